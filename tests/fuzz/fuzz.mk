# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# Fuzzers: one program for each tests/fuzz/<part>_<door>_fuzz.c, with clang's libFuzzer under
# AddressSanitizer and UBSan.
#   make fuzz-build                    builds them
#   make fuzz FUZZ_SECONDS=60          makes the seeds and runs each so long (10)
#   build/fuzz/<name> CRASH            runs one input again
#   make fuzz-smoke                    builds build/fuzz-smoke/<name>, with any compiler and without libFuzzer
#                                      (tests/fuzz/smoke.c); `make test` runs each for a moment
# Seeds come from tests/fuzz/<part>_seeds.py DOOR FOLDER, where there is one.

FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 10
FUZZ_SOURCES := $(wildcard tests/fuzz/*_fuzz.c)
FUZZ_NAMES   := $(FUZZ_SOURCES:tests/fuzz/%_fuzz.c=%)
FUZZ_FLAGS   := $(filter-out -ffreestanding,$(COMMON_FLAGS)) -O1 -DPARAVANE_DEBUG=1 \
  -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined \
  -Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-gnu-statement-expression
FUZZ_LIB_OBJECTS := $(patsubst %,build/fuzz/obj/%.o,$(LIB_SOURCES) $(PURE_SOURCES) $(PURE_DRIVER_SOURCES) \
  $(PEER_SOURCES))
# A driver, on the machine that its tests run on: with all that they stand on.
FUZZ_DRIVER_NAMES   := virtio_net_device virtio_transport
FUZZ_DRIVER_OBJECTS := $(patsubst %,build/fuzz/obj/%.o,\
  $(filter drivers/netdev/% drivers/virtio/virtio_net% drivers/virtio/virtio_queue.c \
  drivers/virtio/virtio_device.c drivers/virtio/virtio_features.c,$(MACHINE_SOURCES)) \
  tests/host/machine/virtio_net_rig.c)
# Transports, on the scripted machine.
FUZZ_TRANSPORT_OBJECTS := $(patsubst %,build/fuzz/obj/%.o,\
  $(filter-out drivers/virtio/virtio_net%,$(MACHINE_SOURCES)) \
  tests/host/machine/scripted_machine.c tests/host/world_threads.c)
fuzz_row = $(if $(filter drivers/% $(MACHINE_SOURCES) tests/host/machine/% \
  $(FUZZ_DRIVER_NAMES:%=tests/fuzz/%_fuzz.c),$(1)),machine,host-test)

.PHONY: fuzz fuzz-build $(FUZZ_NAMES:%=fuzz-run-%)
.SECONDARY: $(FUZZ_LIB_OBJECTS) $(FUZZ_DRIVER_OBJECTS) $(FUZZ_TRANSPORT_OBJECTS) $(FUZZ_SOURCES:%=build/fuzz/obj/%.o)

build/fuzz/obj/%.c.o: %.c $(INC)/.stamp tests/fuzz/fuzz.mk
	$(call say,FUZZCC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -I$(INC)/$(call fuzz_row,$<) -c $< -o $@
# An archive, so that each program gets only the parts that it uses.
build/fuzz/parts.a: $(FUZZ_LIB_OBJECTS)
	$(Q)rm -f $@ && ar rcs $@ $^
build/fuzz/virtio_net_device: $(FUZZ_DRIVER_OBJECTS)
build/fuzz/virtio_transport: $(FUZZ_TRANSPORT_OBJECTS)
$(FUZZ_NAMES:%=build/fuzz/%): build/fuzz/%: build/fuzz/obj/tests/fuzz/%_fuzz.c.o build/fuzz/parts.a
	$(call say,LD,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(filter %.a,$^)

fuzz-build: $(FUZZ_NAMES:%=build/fuzz/%)
fuzz: $(FUZZ_NAMES:%=fuzz-run-%)

# <part>_<door>: the door is the last word.
fuzz_door = $(lastword $(subst _, ,$(1)))
fuzz_part = $(patsubst %_$(call fuzz_door,$(1)),%,$(1))
$(FUZZ_NAMES:%=fuzz-run-%): fuzz-run-%: build/fuzz/%
	$(Q)mkdir -p build/fuzz/corpus/$* build/fuzz/seeds/$*
	$(Q)if [ -f tests/fuzz/$(call fuzz_part,$*)_seeds.py ]; then \
	  $(PYTHON) -B tests/fuzz/$(call fuzz_part,$*)_seeds.py $(call fuzz_door,$*) build/fuzz/seeds/$*; fi
	$(Q)build/fuzz/$* -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -timeout=10 \
	  -artifact_prefix=build/fuzz/ -print_final_stats=1 build/fuzz/corpus/$* build/fuzz/seeds/$*

-include $(FUZZ_LIB_OBJECTS:.o=.d) $(FUZZ_DRIVER_OBJECTS:.o=.d) $(FUZZ_TRANSPORT_OBJECTS:.o=.d) $(FUZZ_SOURCES:%=build/fuzz/obj/%.d)

# ---- without libFuzzer, for `make test`: on the objects of the host tests, which are built there anyway --------
FUZZ_SMOKE_FLAGS := $(filter-out -ffreestanding -DEXPECT_REFUSALS=%,$(HOST_FLAGS) $(HOST_asan_FLAGS)) -Wall -Wextra -Werror \
  -Wno-unused-parameter -Wno-sign-compare
# The machine's own files are built anew: there they refuse allocations.
fuzz_smoke_object = $(patsubst build/fuzz/obj/%,build/host-asan/obj/%,$(filter-out build/fuzz/obj/tests/%,$(1))) \
  $(patsubst build/fuzz/obj/%.c.o,build/fuzz-smoke/obj/%.o,$(filter build/fuzz/obj/tests/%,$(1)))
build/fuzz-smoke/parts.a: $(FUZZ_LIB_OBJECTS:build/fuzz/obj/%=build/host-asan/obj/%)
	$(Q)mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^
build/fuzz-smoke/obj/%.o: %.c $(INC)/.stamp build/host-asan/flags tests/fuzz/fuzz.mk
	$(call say,FUZZCC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(FUZZ_SMOKE_FLAGS) -I$(INC)/$(call fuzz_row,$<) -c $< -o $@
# What a target on a machine is linked with beside the archive; tests/harness/test_proof.py asks for it.
FUZZ_SMOKE_WITH_virtio_net_device := $(call fuzz_smoke_object,$(FUZZ_DRIVER_OBJECTS))
FUZZ_SMOKE_WITH_virtio_transport  := $(call fuzz_smoke_object,$(FUZZ_TRANSPORT_OBJECTS))
build/fuzz-smoke/virtio_net_device: $(FUZZ_SMOKE_WITH_virtio_net_device)
build/fuzz-smoke/virtio_transport: $(FUZZ_SMOKE_WITH_virtio_transport)
$(FUZZ_NAMES:%=build/fuzz-smoke/%): build/fuzz-smoke/%: build/fuzz-smoke/obj/tests/fuzz/%_fuzz.o \
  build/fuzz-smoke/obj/tests/fuzz/smoke.o build/fuzz-smoke/parts.a
	$(call say,LD,$@)
	$(Q)$(CC) $(FUZZ_SMOKE_FLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^)
.PHONY: fuzz-smoke
.SECONDARY: $(FUZZ_NAMES:%=build/fuzz-smoke/obj/tests/fuzz/%_fuzz.o) build/fuzz-smoke/obj/tests/fuzz/smoke.o
fuzz-smoke: $(FUZZ_NAMES:%=build/fuzz-smoke/%)
-include $(FUZZ_NAMES:%=build/fuzz-smoke/obj/tests/fuzz/%_fuzz.d)
