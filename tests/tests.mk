# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# Host tests, fuzzers and benchmarks: the same sources as in the image, built for the host.
# One program a build kind: build/host-<kind>/host-tests (kind: asan; tsan: tests with threads). The parts under test are compiled as
# freestanding C with only their own include folder, as in the image; only the runner sees libc.

# Peers (PEER_SOURCES): the other end of a ring, freestanding; programs around them have rules of their own.
HOST_PART_SOURCES := $(LIB_SOURCES) $(PURE_SOURCES) $(PURE_DRIVER_SOURCES) $(EFI_PURE_SOURCES) $(PEER_SOURCES)
# Tests of those parts run in both worlds; the others in tests/boot need the guest.
SHARED_TEST_NAMES := $(LIB_PARTS) $(PURE_NAMES)
HOST_TEST_SOURCES := $(wildcard $(SHARED_TEST_NAMES:%=tests/boot/%_test.c)) \
                     $(wildcard tests/host/*_test.c) tests/expect.c
# Drivers on a scripted machine (tests/host/machine): their own files, with arch/io.h replaced by calls into it,
# and the tests of theirs that touch no real device.
MACHINE_SOURCES := kernel/irq_line.c kernel/cmdline.c drivers/pci/pci_probe.c drivers/pci/pci_msix.c \
  $(patsubst %,drivers/virtio/virtio_%.c,device features mmio mmio_places pci pci_access pci_ops queue net net_features \
  net_receive net_transmit net_control net_poll)
MACHINE_TEST_SOURCES := $(wildcard tests/host/machine/*.c) tests/boot/all/virtio_device_test.c \
  tests/boot/all/virtio_pci_test.c
HOST_BENCH_SOURCES := $(wildcard tests/bench/*.c)

HOST_FLAGS := $(COMMON_FLAGS) -O1 -DPARAVANE_DEBUG=1 -fno-omit-frame-pointer
# With it come the page allocations that tests/host/refusal.c stands in front of (REFUSABLE).
HOST_asan_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -DEXPECT_REFUSALS=1
# Fences are not understood by it; where one is needed, the words around it are atomic as well.
HOST_tsan_FLAGS := -fsanitize=thread $(if $(filter gcc,$(COMPILER)),-Wno-tsan -Wno-maybe-uninitialized)
BENCH_FLAGS := $(COMMON_FLAGS) -O2 -DPARAVANE_DEBUG=0
# What is measured of kernel/ uses the registers that it uses in the kernel. (With others the compiler pairs
# neighbouring words into one load, which waits for the two stores that wrote them.)
bench_part_flags = $(if $(filter build/bench,$(1)),$(if $(filter kernel/%,$(2)),-mgeneral-regs-only))
HOST_WARNINGS := $(WARNINGS) $(if $(filter gcc,$(COMPILER)),-Wno-stack-usage)
# How the UEFI loader leaves the firmware is tried on firmware that the test makes up, with gnu-efi's headers.
HOST_EFI_SOURCES := arch/x86_64/boot_efi_memory.c tests/host/boot_efi_memory_test.c
# And how the clock learns its speed, on counters that the test makes up.
HOST_CLOCK_SOURCES := arch/x86_64/clock_compare.c tests/host/clock_compare_test.c
HOST_EFI_FLAGS    = -I$(INC)/arch -isystem $(GNU_EFI_INC) -isystem $(GNU_EFI_INC)/x86_64 \
  -fshort-wchar -DGNU_EFI_USE_MS_ABI
host_arch_flags_of = $(if $(filter $(HOST_EFI_SOURCES),$(1)),$(HOST_EFI_FLAGS)) \
  $(if $(filter $(HOST_CLOCK_SOURCES),$(1)),-I$(INC)/arch)

# The row of a source in a host program; where a driver is built for the host, its machine has a C library.
host_row = $(if $(filter $(MACHINE_SOURCES) $(MACHINE_TEST_SOURCES),$(1)),machine,\
  $(patsubst boot-test,host-test,$(call row,$(1))))
host_libc_of = $(if $(filter machine,$(call host_row,$(1))),,$(call freestanding,$(CC)))

# host-program: $(1) folder, $(2) flags, $(3) freestanding sources, $(4) hosted sources, $(5) program, $(6) libraries
define host_program
$(1)_FLAGS_LINE := $$(CC) $(2) $$(HOST_WARNINGS) $$(STRICT_WARNINGS) $(3) $(4) $(6)
$(1)/flags: FORCE
	$$(call keep_line,$$($(1)_FLAGS_LINE))
$(1)/$(5): $$(patsubst %,$(1)/obj/%.o,$(3) $(4))
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $(2) -o $$@ $$^ $(6)
$(patsubst %,$(1)/obj/%.o,$(3)): $(1)/obj/%.o: % $$(INC)/.stamp $(1)/flags Makefile tests/tests.mk
	$$(call say,HOSTCC,$$<)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $(2) $$(HOST_WARNINGS) -I$$(INC)/$$(strip $$(call host_row,$$<)) \
	  $$(call host_libc_of,$$<) -Wno-sign-compare $$(call host_arch_flags_of,$$<) \
	  $$(call bench_part_flags,$(1),$$<) \
	  $$(if $$(filter lib-% pure,$$(call row,$$<)),$$(STRICT_WARNINGS)) -c $$< -o $$@
$(patsubst %,$(1)/obj/%.o,$(4)): $(1)/obj/%.o: % $$(INC)/.stamp $(1)/flags Makefile tests/tests.mk
	$$(call say,HOSTCC,$$<)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $(filter-out -ffreestanding,$(2)) $$(HOST_WARNINGS) -Wno-sign-compare -I$$(INC)/host-test \
	  -c $$< -o $$@
-include $(patsubst %,$(1)/obj/%.d,$(3) $(4))
endef

# Host tests that need the C library or threads are named *_hosted_test.c; all others are freestanding.
HOSTED_TEST_SOURCES := $(filter %_hosted_test.c,$(HOST_TEST_SOURCES))
# Of the programs around peers, what a test looks at.
HOSTED_PEER_SOURCES := tests/peers/vmbus_host/program/mailbox.c
$(eval $(call host_program,build/host-asan,$(HOST_FLAGS) $(HOST_asan_FLAGS),\
  $(HOST_PART_SOURCES) $(filter arch/%,$(HOST_EFI_SOURCES) $(HOST_CLOCK_SOURCES)) \
  $(filter-out %_hosted_test.c,$(HOST_TEST_SOURCES)) $(MACHINE_SOURCES) $(MACHINE_TEST_SOURCES),\
  tests/host/runner.c tests/host/world_threads.c tests/host/refusal.c $(HOSTED_PEER_SOURCES) \
  $(HOSTED_TEST_SOURCES),host-tests,\
  $(REFUSABLE:%=-Wl,--wrap=%) -lcmocka -lpthread))

# Where threads meet: the *_threads_hosted_test.c of the parts, under ThreadSanitizer.
THREAD_TEST_SOURCES := $(filter %_threads_hosted_test.c,$(HOSTED_TEST_SOURCES))
# A card calls up into netdev_boot.c, for which tests/host/netvsc_test.c stands in: not in these two programs.
NO_CARD_SOURCES := $(filter-out drivers/hyperv/netvsc%,$(HOST_PART_SOURCES))
$(eval $(call host_program,build/host-tsan,$(HOST_FLAGS) $(HOST_tsan_FLAGS),\
  $(NO_CARD_SOURCES) tests/expect.c,\
  tests/host/runner.c tests/host/world_threads.c $(THREAD_TEST_SOURCES),host-tests,-lcmocka -lpthread))

$(eval $(call host_program,build/bench,$(BENCH_FLAGS),$(NO_CARD_SOURCES),\
  tests/host/world_threads.c $(HOST_BENCH_SOURCES),bench,-lpthread))

# For compile_commands.json: the files that are in no image. Some are programs on libc, on either side of the fence.
HOST_PROGRAM_SOURCES := $(filter-out $(PEER_SOURCES),$(wildcard tests/peers/*/*.c tests/peers/*/*/*.c)) \
  $(wildcard tests/model/*.c tests/fuzz/*.c)
HOST_ONLY_SOURCES := $(wildcard tests/host/*.c tests/host/machine/*.c) $(PEER_SOURCES) $(HOST_PROGRAM_SOURCES) $(HOST_BENCH_SOURCES)
HOST_LIBC_SOURCES := tests/host/runner.c tests/host/world_threads.c $(HOSTED_TEST_SOURCES) $(HOST_BENCH_SOURCES) $(HOST_PROGRAM_SOURCES)
host_flags_of = $(if $(filter tests/model/%,$(1)),-I.) \
  $(if $(filter $(HOST_LIBC_SOURCES),$(1)),$(filter-out -ffreestanding,$(HOST_FLAGS)),\
  $(HOST_FLAGS) $(call host_libc_of,$(1))) \
  -I$(INC)/$(strip $(if $(filter tests/fuzz/%,$(1)),$(call fuzz_row,$(1)),$(call host_row,$(1)))) $(call host_efi_flags_of,$(1))

host-tests: build/host-asan/host-tests build/host-tsan/host-tests
	$(Q)build/host-asan/host-tests $(GLOB)
	$(Q)build/host-tsan/host-tests $(if $(GLOB),--maybe $(GLOB))

# ---- make test ----------------------------------------------------------------------------------
#
# Tools, images, host tests, then pytest over tests/harness. The last line is "N passed, N failed", with
# ", N skipped" behind it where there are some, from the JUnit file.
#   TEST_JOBS=N       tests at a time (2)
#   FULL_MATRIX=1     UEFI boots every combination, too; minutes more
#   PYTEST_ARGS=...   such as -k crash
TEST_JOBS   ?= 2
FULL_MATRIX ?= 0
TEST_ENV    := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u FLAVOUR -u CC -u TESTS -u DRIVERS
# As many jobs as there are processors, unless the caller has said something about jobs.
sub_make     = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$$(nproc)) \
  DRIVERS='$(DRIVERS_ALL)'

# A step before the tests that fails is one failed test.
or_fail      = || { echo 'make test: $(1)'; echo '0 passed, 1 failed'; exit 1; }

test:
	@tests/harness/setup.sh --need image,run,test $(call or_fail,tools are missing)
	+@$(sub_make) FLAVOUR=release CC=gcc TESTS=1 image $(call or_fail,the image does not build)
	+@$(sub_make) FLAVOUR=debug CC=gcc TESTS=1 image $(call or_fail,the debug image does not build)
	+@$(sub_make) FLAVOUR=release CC=gcc TESTS=0 image \
	  $(call or_fail,the image without tests does not build)
	+@$(sub_make) FLAVOUR=release CC=gcc TESTS=all image \
	  $(call or_fail,the image with all tests does not build)
	+@for set in 'DRIVERS=virtio TESTS=1' 'DRIVERS=virtio TESTS=0' 'DRIVERS= TESTS=1'; do \
	  $(sub_make) FLAVOUR=release CC=gcc $$set image $(call or_fail,the image with $$set does not build); done
	+@command -v clang > /dev/null || { echo 'no clang here: its image is not tested'; exit 0; }; \
	  $(sub_make) FLAVOUR=release CC=clang TESTS=1 image $(call or_fail,clang does not build the image)
	+@$(sub_make) FLAVOUR=release CC=gcc build/host-asan/host-tests build/host-tsan/host-tests \
	  $(call or_fail,the host tests do not build)
	+@$(sub_make) FLAVOUR=release CC=gcc peers $(call or_fail,the peers do not build)
	+@$(sub_make) FLAVOUR=release CC=gcc fuzz-smoke $(call or_fail,the fuzz targets do not build)
	@tests/harness/setup.sh --need peers || echo 'strangers that are not there are not met (skipped)'
	@tests/harness/setup.sh --need model || echo 'without relacy the memory orders are not tried (skipped)'
	@rm -rf build/test && mkdir -p build/test
	@status=0; $(TEST_ENV) $(PYTHON) -B -m pytest tests/harness -p no:cacheprovider -q -rfEs --basetemp=build/test/tmp \
	  -n $(TEST_JOBS) --dist loadgroup --junitxml=build/test/junit.xml \
	  $(if $(filter 1,$(FULL_MATRIX)),--full-matrix) $(PYTEST_ARGS) || status=$$?; \
	$(PYTHON) -B tests/harness/summary.py build/test/junit.xml $$status

# ---- make bench ---------------------------------------------------------------------------------
#
# The program measures operations and writes build/bench/results.json; the scripts add boots, instruction counts
# and round trips to it.
bench:
	@tests/harness/setup.sh --need image,run,test
	+@$(sub_make) FLAVOUR=release CC=gcc TESTS=1 image build/bench/bench
	$(Q)build/bench/bench
	$(Q)$(TEST_ENV) $(PYTHON) -B tests/harness/bench_boot.py build/bench/results.json
	+@$(sub_make) FLAVOUR=release CC=gcc TESTS=all image vmbus-host
	$(Q)$(TEST_ENV) $(PYTHON) -B tests/harness/bench_guest.py build/bench/results.json
	$(Q)$(TEST_ENV) $(PYTHON) -B tests/harness/bench_vmbus.py build/bench/results.json
	+@$(sub_make) FLAVOUR=release CC=gcc peers
	@tests/harness/setup.sh --need peers || echo 'strangers that are not there are not measured'
	$(Q)$(TEST_ENV) $(PYTHON) -B tests/harness/bench_peers.py build/bench/results.json

# ---- tests/peers: programs at the other end of a ring, each with its own rules -------------------------
-include $(wildcard tests/peers/*/*.mk)

# The programs, and the tests in which they meet the guest and strangers (QEMU, DPDK, Linux).
.PHONY: peers test-peers
peers:
test-peers:
	@tests/harness/setup.sh --need image,run,test
	@tests/harness/setup.sh --need peers || echo 'strangers that are not there are not met (skipped)'
	+@$(sub_make) FLAVOUR=release CC=gcc TESTS=1 image peers
	+@$(sub_make) FLAVOUR=release CC=gcc TESTS=all image
	@mkdir -p build/test
	$(Q)$(TEST_ENV) $(PYTHON) -B -m pytest tests/harness/test_peers*.py tests/harness/test_net_*.py \
	  -p no:cacheprovider -q -rfEs --basetemp=build/test/tmp-peers -n $(TEST_JOBS) --dist loadgroup \
	  $(if $(filter 1,$(FULL_MATRIX)),--full-matrix) $(PYTEST_ARGS)

# ---- make fuzz ----------------------------------------------------------------------------------
include tests/fuzz/fuzz.mk

# ---- make model ---------------------------------------------------------------------------------
#
# The memory orders of lib/vmbus_ring and lib/virtqueue under the relacy model checker (Debian: relacy-dev), as
# they are and each weakened in turn; minutes.
.PHONY: model
model:
	@tests/harness/setup.sh --need model
	$(Q)mkdir -p build/model && for part in vmbus_ring virtqueue; do \
	  $(PYTHON) -B tests/model/$${part}_orders.py build/model/$$part || exit 1; done
