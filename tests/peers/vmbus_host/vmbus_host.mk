# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# vmbus-host: a VMBus host for a guest under plain QEMU. The library is compiled as freestanding C, as in the
# image; only the program around it sees libc.
#   make vmbus-host           build/peers/vmbus-host
#   make vmbus-host-asan      build/peers-asan/vmbus-host, under AddressSanitizer and UBSan

VMBUS_HOST_SOURCES         := $(LIB_SOURCES) $(wildcard tests/peers/vmbus_host/*.c)
VMBUS_HOST_PROGRAM_SOURCES := $(wildcard tests/peers/vmbus_host/program/*.c)

$(eval $(call host_program,build/peers,$(BENCH_FLAGS),$(VMBUS_HOST_SOURCES),$(VMBUS_HOST_PROGRAM_SOURCES),vmbus-host,))
$(eval $(call host_program,build/peers-asan,$(HOST_FLAGS) $(HOST_asan_FLAGS),$(VMBUS_HOST_SOURCES),\
  $(VMBUS_HOST_PROGRAM_SOURCES),vmbus-host,))

.PHONY: peers vmbus-host vmbus-host-asan
peers: build/peers/vmbus-host build/peers-asan/vmbus-host
vmbus-host: build/peers/vmbus-host
vmbus-host-asan: build/peers-asan/vmbus-host
