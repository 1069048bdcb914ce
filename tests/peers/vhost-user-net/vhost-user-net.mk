# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# vhost-user-net: a host program on the device side of lib/virtqueue. make peers builds it, and the same under
# AddressSanitizer and UBSan, with which the tests run.

VHOST_USER_NET_SOURCES := $(wildcard tests/peers/vhost-user-net/*.c)
PEER_PART_SOURCES      := $(wildcard lib/base/*.c lib/virtqueue/*.c)
PEER_ASAN_FLAGS        := $(COMMON_FLAGS) -O1 -DPARAVANE_DEBUG=1 -fno-omit-frame-pointer $(HOST_asan_FLAGS)

$(eval $(call host_program,build/vhost-user-net,$(BENCH_FLAGS),$(PEER_PART_SOURCES),\
  $(VHOST_USER_NET_SOURCES),vhost-user-net,))
$(eval $(call host_program,build/vhost-user-net-asan,$(PEER_ASAN_FLAGS),$(PEER_PART_SOURCES),\
  $(VHOST_USER_NET_SOURCES),vhost-user-net,))

.PHONY: peers
peers: build/vhost-user-net/vhost-user-net build/vhost-user-net-asan/vhost-user-net
