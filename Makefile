# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# Paravane's front door for builders; `make help` lists the targets.
#
# All output goes under build/. An image is built in one flavour, in a folder of its own:
#   FLAVOUR=release (default) | debug        optimised | -Og with DEBUG_ASSERT
#   CC=gcc (default) | clang                 clang's output goes to build/<flavour>-clang
#   TESTS=1 (default) | 0 | all              0: no self-tests, build/<flavour>-notests; all: also tests/boot/all
#                                            and those of portable parts that usually run on the host
#                                            only, build/<flavour>-alltests
#   DRIVERS="virtio hyperv" (default)        the device families in it; DRIVERS=virtio gives the smallest guest
#                                            with a network card, build/<flavour>-virtio, DRIVERS= none

FLAVOUR ?= release
TESTS   ?= 1
DRIVERS ?= $(DRIVERS_ALL)
DRIVERS_ALL := virtio hyperv
ifeq ($(origin CC),default)
CC := gcc
endif
OBJCOPY ?= objcopy
NM      ?= nm
OBJDUMP ?= objdump
PYTHON  ?= /usr/bin/python3
V       ?= 0
Q := $(if $(filter 0,$(V)),@,)
say = @$(if $(filter 0,$(V)),printf '  %-8s%s\n' '$(1)' '$(2)',:)

ifeq ($(filter $(FLAVOUR),release debug),)
$(error FLAVOUR=$(FLAVOUR): expected release or debug)
endif
ifeq ($(filter $(TESTS),0 1 all),)
$(error TESTS=$(TESTS): expected 0, 1 or all)
endif

ifneq ($(filter-out $(DRIVERS_ALL),$(DRIVERS)),)
$(error DRIVERS=$(DRIVERS): expected some of $(DRIVERS_ALL))
endif

EMPTY :=
SPACE := $(EMPTY) $(EMPTY)
DRIVERS_SUFFIX := $(if $(filter-out $(DRIVERS),$(DRIVERS_ALL)),-$(or $(subst $(SPACE),-,$(sort $(DRIVERS))),nodrivers))

COMPILER := $(if $(findstring clang,$(notdir $(CC))),clang,gcc)
B := build/$(FLAVOUR)$(if $(filter clang,$(COMPILER)),-clang)$(if $(filter 0,$(TESTS)),-notests)$(if $(filter all,$(TESTS)),-alltests)$(DRIVERS_SUFFIX)
PICOLIBC := build/picolibc

.DEFAULT_GOAL := image
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
.PHONY: image run test bench debug help clean host-tests check compile_commands.json setup FORCE

# ---- the rooms of the house ---------------------------------------------------------------------
#
# Who may include whom is enforced: each row below gets its own include folder (build/include/<row>),
# made of links to exactly the headers it may see, and is compiled with no other. Includes are always
# written with the folder ("kernel/pmm.h"), never relative, so that nothing is found by accident;
# tests/harness/check_includes.sh holds the sources to that.

LIB_PARTS   := base vmbus_ring vmbus_mailbox virtqueue
# Files of kernel/ that know no CPU and also build on the host (the starred ones of the design).
PURE_NAMES  := memory_map pmm pmm_page pmm_run pmm_signal pmm_checker pmm_fragments pmm_internal page_cache \
               page_cache_internal buffer_chain acpi_aml acpi_tables message_packet channel slab page_tree vmo \
               vmo_range vmo_copy vmo_internal vmo_store vmo_buffer rights vmar vmar_tree vmar_place vmar_map vmar_protect vmar_range \
               vmar_valid vmar_internal vmar_manager vmo_mapper
PURE_SOURCES := $(wildcard $(PURE_NAMES:%=kernel/%.c))
# The same of drivers/: they reach hardware through a struct of operations only, so that host tests can put
# a scripted device behind them. They see lib/, the kernel headers above, and each other.
PURE_DRIVER_NAMES := netdev/netdev netdev/netdev_card netdev/netdev_memory
PURE_DRIVER_NAMES += hyperv/vmbus hyperv/vmbus_internal hyperv/vmbus_transport hyperv/vmbus_protocol \
                     hyperv/vmbus_call hyperv/vmbus_message hyperv/vmbus_gpadl hyperv/vmbus_channel \
                     hyperv/vmbus_packet hyperv/vmbus_mailbox_transport hyperv/hyperv_transport \
                     hyperv/hyperv_registers
PURE_DRIVER_NAMES += hyperv/netvsc hyperv/netvsc_control hyperv/netvsc_receive hyperv/netvsc_transmit \
                     hyperv/nvsp hyperv/rndis
PURE_DRIVER_SOURCES := $(wildcard $(PURE_DRIVER_NAMES:%=drivers/%.c))
# What is on a data path is built for speed, with nearly all of lib/; the rest for size.
SMALL_SOURCES := lib/vmbus_ring/vmbus_inspect.c
FAST_NAMES   := pmm pmm_page pmm_run page_cache buffer_chain message_packet channel slab
FAST_SOURCES := $(wildcard $(FAST_NAMES:%=kernel/%.c)) \
                drivers/virtio/virtio_net_receive.c drivers/virtio/virtio_net_transmit.c \
                drivers/virtio/virtio_queue.c drivers/netdev/netdev_memory.c \
                drivers/hyperv/vmbus_packet.c

LIB_SOURCES    := $(wildcard $(LIB_PARTS:%=lib/%/*.c))
ARCH_SOURCES   := $(filter-out arch/x86_64/boot_efi%,$(wildcard arch/x86_64/*.c arch/x86_64/*.S))
KERNEL_SOURCES := $(filter-out $(PURE_SOURCES),$(wildcard kernel/*.c))
DRIVER_SOURCES := $(wildcard $(patsubst %,drivers/%/*.c,serial pci $(if $(DRIVERS),netdev) $(DRIVERS)))
# Tests that no guest can run: threads, libc, memory mapped twice, minutes of random work, the UEFI loader, what
# is counted with PARAVANE_DEBUG only.
NEED_THE_HOST  := %_hosted_test.c %_model_test.c tests/host/boot_efi% tests/host/clock_compare% \
                  tests/host/vmbus_ring_external_test.c tests/host/vmbus_lie_test.c \
                  tests/host/vmbus_stranger_test.c tests/host/vmbus_client_arrows_test.c
# Tests of drivers that are not in the image; net_* need any network card.
NO_DRIVER_FOR  := $(if $(filter virtio,$(DRIVERS)),,virtio_%) $(if $(DRIVERS),,net_%) \
                  $(if $(filter hyperv,$(DRIVERS)),,hyperv_% vmbus_client% vmbus_mailbox% netvsc_% rndis_%)
NO_DRIVER_FOR  := $(foreach name,$(NO_DRIVER_FOR),$(addsuffix /$(name)_test.c,tests/boot tests/boot/all tests/host))
BOOT_TESTS      = $(filter-out $(NO_DRIVER_FOR),$(wildcard $(1)))
# The other ends of rings, which tests are linked with; some folders of tests/peers are programs of the host.
HOST_PEERS     := vhost-user-net echo-client
PEER_SOURCES   := $(foreach source,$(wildcard tests/peers/*/*.c),$(if $(filter $(HOST_PEERS),$(word 3,$(subst /, ,$(source)))),,$(source)))
TEST_SOURCES   := $(if $(filter-out 0,$(TESTS)),tests/expect.c $(PEER_SOURCES) \
  $(call BOOT_TESTS,tests/boot/*.c)) \
  $(if $(filter all,$(TESTS)),$(call BOOT_TESTS,tests/boot/all/*.c) tests/host/refusal.c \
  $(filter-out $(NEED_THE_HOST),$(call BOOT_TESTS,tests/host/*_test.c)))
# Page allocations that tests/host/refusal.c stands in front of, and tests of the memory objects that need the guest
# and run once more for each of them (TESTS=all).
comma := ,
REFUSABLE      := pmm_alloc_page pmm_alloc_pages pmm_alloc_range pmm_alloc_contiguous pmm_alloc_between \
                  pmm_free_page pmm_free pmm_free_late
REFUSED_TESTS  := tests/boot/message_test.c $(patsubst %,tests/boot/all/%_test.c,aspace \
                  buffer_chain_boot buffer_chain_user channel_wait memory_pressure vmo_store_boot)
IMAGE_SOURCES  := $(LIB_SOURCES) $(ARCH_SOURCES) $(PURE_SOURCES) $(KERNEL_SOURCES) \
                  $(DRIVER_SOURCES) $(TEST_SOURCES)

DRIVER_FAMILIES := $(sort $(notdir $(patsubst %/,%,$(dir $(wildcard drivers/*/*.c)))))
BUS_FAMILIES    := pci netdev

# The row of a source file: which include folder it is compiled with.
row = $(strip \
  $(if $(filter lib/%,$(1)),lib-$(word 2,$(subst /, ,$(1))),\
  $(if $(filter arch/%,$(1)),arch,\
  $(if $(filter $(PURE_SOURCES),$(1)),pure,\
  $(if $(filter kernel/%,$(1)),kernel,\
  $(if $(filter $(PURE_DRIVER_SOURCES),$(1)),pure-driver,\
  $(if $(filter drivers/%,$(1)),driver-$(word 2,$(subst /, ,$(1))),\
  $(if $(filter tests/host/machine/%,$(1)),machine,\
  $(if $(filter tests/boot/% tests/expect.c,$(1)),boot-test,\
  $(if $(filter tests/%,$(1)),host-test,unknown))))))))))

ROWS := $(LIB_PARTS:%=lib-%) arch pure kernel pure-driver $(DRIVER_FAMILIES:%=driver-%) boot-test host-test machine
INC  := build/include

# link-<row>: fills build/include/<row>; $(1) is that folder.
link = ln -sfn $(abspath $(1)) $(2)
define include_rows
$(Q)rm -rf $(INC) && mkdir -p $(ROWS:%=$(INC)/%)
$(Q)set -e; top=$(CURDIR); \
for part in $(LIB_PARTS); do \
  ln -s $$top/lib/base $(INC)/lib-$$part/base; \
  [ $$part = base ] || ln -s $$top/lib/$$part $(INC)/lib-$$part/$$part; \
done; \
for row in pure kernel pure-driver boot-test host-test machine $(DRIVER_FAMILIES:%=driver-%); do \
  for part in $(LIB_PARTS); do ln -s $$top/lib/$$part $(INC)/$$row/$$part; done; \
done; \
ln -s $$top/lib/base $(INC)/arch/base; ln -s $$top/arch/x86_64 $(INC)/arch/arch; \
mkdir $(INC)/arch/kernel; ln -s $$top/kernel/boot_info.h $(INC)/arch/kernel/; \
for row in pure pure-driver host-test; do mkdir $(INC)/$$row/kernel; \
  for name in $(PURE_NAMES) boot_info; do [ ! -e kernel/$$name.h ] || \
    ln -s $$top/kernel/$$name.h $(INC)/$$row/kernel/; done; done; \
for row in pure-driver host-test; do for name in $(PURE_DRIVER_NAMES); do \
  mkdir -p $(INC)/$$row/drivers/$${name%/*}; [ ! -e drivers/$$name.h ] || \
  ln -s $$top/drivers/$$name.h $(INC)/$$row/drivers/$${name%/*}/; done; done; \
mkdir $(INC)/host-test/arch; for name in $(EFI_PURE_NAMES); do [ ! -e arch/x86_64/$$name.h ] || \
  ln -s $$top/arch/x86_64/$$name.h $(INC)/host-test/arch/; done; \
for row in kernel boot-test machine $(DRIVER_FAMILIES:%=driver-%); do \
  ln -s $$top/kernel $(INC)/$$row/kernel; mkdir $(INC)/$$row/arch; \
  ln -s $$top/arch/x86_64/arch.h $(INC)/$$row/arch/; done; \
for family in $(DRIVER_FAMILIES); do mkdir $(INC)/driver-$$family/drivers; \
  ln -s $$top/arch/x86_64/io.h $(INC)/driver-$$family/arch/; \
  for seen in $$family $(BUS_FAMILIES); do \
    ln -sfn $$top/drivers/$$seen $(INC)/driver-$$family/drivers/$$seen; done; done; \
for row in boot-test machine; do ln -s $$top/drivers $(INC)/$$row/drivers; done; \
ln -s $$top/tests/host/machine/scripted_io.h $(INC)/machine/arch/io.h; \
for row in boot-test host-test machine; do ln -s $$top/tests $(INC)/$$row/tests; done
endef

# ---- flags --------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
  -Wmissing-declarations -Wold-style-definition -Wpointer-arith -Wcast-align -Wwrite-strings \
  -Wundef -Wvla -Wformat=2 -Wimplicit-fallthrough -Wdouble-promotion \
  -Wnested-externs -Wno-unused-parameter
WARNINGS += $(if $(filter gcc,$(COMPILER)),-Wlogical-op -Wduplicated-cond -Wduplicated-branches \
  -Wtrampolines -Wstack-usage=2048,-Wno-gnu-statement-expression)
# Lengths on the wire are 16 and 32 bits: in the parts that handle them a silent narrowing is an error.
STRICT_WARNINGS := -Wconversion -Wno-sign-conversion

COMMON_FLAGS := -std=gnu17 -ffreestanding -fno-common -fno-strict-aliasing -g -gdwarf-4 -MMD -MP \
  -ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(CURDIR)/=
KERNEL_FLAGS := $(COMMON_FLAGS) -m64 -mcmodel=kernel -mno-red-zone -mgeneral-regs-only \
  -fno-pic -fno-pie -fno-omit-frame-pointer -fno-stack-protector \
  -fno-asynchronous-unwind-tables -fno-unwind-tables -ffunction-sections -fdata-sections \
  -fcf-protection=none
KERNEL_FLAGS += -DPARAVANE_DEBUG=$(if $(filter debug,$(FLAVOUR)),1,0)
KERNEL_FLAGS += -DPARAVANE_FLAVOUR='"$(notdir $(B))"'

# The compiler's own freestanding headers, and nothing of the host's C library.
freestanding = -nostdinc -isystem $(shell $(1) -print-file-name=include)
PICOLIBC_FLAGS := -isystem $(PICOLIBC)/include

# Per row: include folder, C library or not, strictness. Host tests in the image (TESTS=all): gcc sees
# uninitialised values at -Oz that it does not see at the host's -O1.
row_flags = -I$(INC)/$(1) $(call freestanding,$(CC)) \
  $(if $(filter lib-% pure,$(1)),$(STRICT_WARNINGS)) \
  $(if $(filter kernel driver-% boot-test,$(1)),$(PICOLIBC_FLAGS)) \
  $(if $(filter boot-test host-test,$(1)),-Wno-sign-compare) \
  $(if $(filter gcc,$(COMPILER)),$(if $(filter host-test,$(1)),-Wstack-usage=8192 -Wno-maybe-uninitialized))

# Data paths for speed; everything that runs once for size; the tests, which are half of the image, and all but
# rings and frames of the two families of devices for size whatever it costs.
source_optimise = $(strip $(if $(filter debug,$(FLAVOUR)),-Og,\
  $(if $(filter-out $(SMALL_SOURCES),$(filter lib/% $(FAST_SOURCES),$(1))),-O2,\
  $(if $(filter tests/% drivers/hyperv/% drivers/virtio/%,$(1)),-Oz,-Os))))
refused_flags = $(if $(filter all,$(TESTS)),$(if $(filter $(REFUSED_TESTS),$(1)),-DEXPECT_REFUSALS=1))
source_flags = $(call row_flags,$(call row,$(1))) $(call source_optimise,$(1)) $(call refused_flags,$(1))

# ---- image --------------------------------------------------------------------------------------

KERNEL_OBJECTS := $(IMAGE_SOURCES:%=$(B)/obj/%.o)
KERNEL := $(B)/paravane.elf
EFI    := $(B)/BOOTX64.EFI
ESP    := $(B)/esp.img
# -n: the file is not padded to pages; whoever loads it copies, nobody maps it.
LINK_FLAGS := -nostdlib -static $(if $(filter gcc,$(COMPILER)),-no-pie) -Wl,--gc-sections -Wl,-n \
  -Wl,-z,noexecstack -Wl,--build-id=none -Wl,-z,norelro -T linker.ld \
  $(if $(filter all,$(TESTS)),$(patsubst %,-Wl$(comma)--wrap=%,$(REFUSABLE) world_pages))
LIBS := $(PICOLIBC)/lib/libc.a

image: $(KERNEL) $(B)/paravane.stripped.elf $(ESP)

# Made anew when a part or a portable file is added or goes, and not when one changes.
$(INC).list: FORCE
	$(call keep_line,$(LIB_PARTS) $(DRIVER_FAMILIES) $(PURE_NAMES) $(PURE_DRIVER_NAMES) $(EFI_PURE_NAMES) $(ROWS))
$(INC)/.stamp: Makefile $(INC).list
	$(include_rows)
	$(Q)touch $@

# Rebuild what depends on flags when they change: keep_line writes $(1) to the target if it is not there yet.
keep_line = $(Q)mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || \
	  printf '%s\n' '$(subst ','\'',$(1))' > $@
FLAGS_LINE = $(CC) $(KERNEL_FLAGS) $(WARNINGS) $(STRICT_WARNINGS) $(PICOLIBC_FLAGS) $(LINK_FLAGS) \
  $(foreach source,$(IMAGE_SOURCES),$(source):$(call source_optimise,$(source))$(call refused_flags,$(source))) $(EFI_FLAGS) $(EFI_WARNINGS) \
  $(IMAGE_SOURCES) $(EFI_SOURCES)
$(B)/flags: FORCE
	$(call keep_line,$(FLAGS_LINE))

# The library's headers are system headers, which the dependency files leave out.
$(B)/obj/%.c.o: %.c $(INC)/.stamp $(B)/flags $(LIBS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(KERNEL_FLAGS) $(WARNINGS) $(call source_flags,$<) -c $< -o $@

$(B)/obj/%.S.o: %.S $(INC)/.stamp $(B)/flags
	$(call say,AS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(KERNEL_FLAGS) $(call source_flags,$<) -c $< -o $@

# The symbol table is made from a first link and put behind everything that has an address in code, so
# that the second link moves no function; gen_symbols.sh --check compares the two.
$(B)/symbols0.S: kernel/gen_symbols.sh
	$(Q)mkdir -p $(@D); kernel/gen_symbols.sh --empty > $@
$(B)/symbols1.S: $(B)/link0.elf kernel/gen_symbols.sh
	$(Q)NM='$(NM)' kernel/gen_symbols.sh $< > $@
$(B)/symbols%.o: $(B)/symbols%.S
	$(Q)$(CC) -c $< -o $@

link_kernel = $(CC) $(LINK_FLAGS) -Wl,-Map=$(@:.elf=.map) -o $@ $(filter %.o,$^) $(LIBS) \
  $(shell $(CC) -m64 -print-libgcc-file-name)
$(B)/link0.elf: $(KERNEL_OBJECTS) $(B)/symbols0.o linker.ld $(LIBS)
	$(call say,LD,$@)
	$(Q)$(link_kernel)
$(KERNEL): $(KERNEL_OBJECTS) $(B)/symbols1.o linker.ld $(LIBS) arch/x86_64/check_no_simd.sh
	$(call say,LD,$@)
	$(Q)$(link_kernel)
	$(Q)NM='$(NM)' kernel/gen_symbols.sh --check $(B)/link0.elf $@
	$(Q)OBJDUMP='$(OBJDUMP)' arch/x86_64/check_no_simd.sh $@

$(B)/paravane.stripped.elf: $(KERNEL)
	$(call say,STRIP,$@)
	$(Q)$(OBJCOPY) --strip-all $< $@

# picolibc is built once for all flavours; lib/picolibc/build.sh says where the source comes from.
$(PICOLIBC)/lib/libc.a: lib/picolibc/build.sh $(wildcard lib/picolibc/*)
	$(call say,PICOLIBC,$(PICOLIBC))
	$(Q)lib/picolibc/build.sh $(PICOLIBC)
	$(Q)touch $@

-include arch/x86_64/efi.mk
-include tests/tests.mk

-include $(KERNEL_OBJECTS:.o=.d)

# ---- other targets ------------------------------------------------------------------------------

run: image
	./run-qemu.sh

debug:
	./run-qemu.sh --gdb

# Installs the tools that are missing (Debian, Ubuntu); NEED=image, run, test, clang, debug, peers or all.
NEED ?= test
setup:
	$(Q)tests/harness/setup.sh --need $(NEED)

clean:
	rm -rf build compile_commands.json

# Prints a variable: make print-KERNEL
print-%:
	@echo '$($*)'

# command_of: one line of the list, for source $(1) with the arguments $(2); a shell of its own each.
define command_of
$(Q)printf '%s\n' '$(CC)' $(2) -c $(1) | awk -v file='$(1)' -v folder='$(CURDIR)' '{ \
  gsub(/["\\]/, "\\\\&"); words = words (NR > 1 ? "," : "") "\"" $$0 "\"" } END { \
  printf "{\"directory\":\"%s\",\"file\":\"%s\",\"arguments\":[%s]}\n", folder, file, words }' >> $@.part

endef
compile_commands.json: $(INC)/.stamp
	$(call say,GEN,$@)
	$(Q): > $@.part
	$(foreach source,$(sort $(filter %.c,$(IMAGE_SOURCES)) $(wildcard tests/boot/all/*.c)),$(call command_of,$(source),$(KERNEL_FLAGS) \
	  $(call source_flags,$(source))))
	$(foreach source,$(filter %.c,$(EFI_SOURCES)),$(call command_of,$(source),$(EFI_FLAGS) $(efi_flags_of)))
	$(foreach source,$(HOST_ONLY_SOURCES),$(call command_of,$(source),$(call host_flags_of,$(source))))
	$(Q){ echo '['; sed '$$!s/$$/,/' $@.part; echo ']'; } > $@; rm $@.part

help:
	@echo 'make                      the image: $(B)/paravane.elf (PVH), BOOTX64.EFI and esp.img (UEFI)'
	@echo 'make run                  builds and boots under OVMF: ./run-qemu.sh (see its --help)'
	@echo 'make test                 everything that CI runs: host tests, then the boot matrix'
	@echo 'make host-tests           only the host tests (AddressSanitizer, UBSan)'
	@echo 'make peers                host programs at the other end of a ring (tests/peers)'
	@echo 'make test-peers           the guest and those programs meet QEMU, DPDK and Linux'
	@echo 'make fuzz                 the fuzzers, FUZZ_SECONDS each (clang)'
	@echo 'make model                memory orders under a model checker (Debian: relacy-dev)'
	@echo 'make bench                benchmarks; writes build/bench/results.json'
	@echo 'make debug                QEMU waits for gdb; prints the line that connects'
	@echo 'make compile_commands.json  for editors'
	@echo 'make setup                installs the tools that are missing (Debian, Ubuntu)'
	@echo 'make clean                removes build/'
	@echo
	@echo 'FLAVOUR=release|debug  CC=gcc|clang  TESTS=1|0|all  DRIVERS="$(DRIVERS_ALL)"  V=0|1  DL_DIR=FOLDER (archives already there)'
