# SPDX-License-Identifier: MIT
# Copyright (c) 2026 The Paravane authors
#
# The UEFI boot path: $(EFI), an application that carries the stripped kernel, and $(ESP), a FAT image with
# it as \EFI\BOOT\BOOTX64.EFI. Both are the same bytes on every build of the same sources.
#
# gnu-efi (headers, start code, linker script, two libraries) comes from the distribution; where it is not
# under /usr/include and /usr/lib, set GNU_EFI_INC and GNU_EFI_LIB.

GNU_EFI_INC ?= /usr/include/efi
GNU_EFI_LIB ?= /usr/lib

# Parts that know nothing of firmware; the host tests link them as well.
EFI_PURE_NAMES   := boot_efi_elf boot_efi_map boot_efi_tables boot_efi_text
EFI_PURE_SOURCES := $(EFI_PURE_NAMES:%=arch/x86_64/%.c)
EFI_SOURCES      := $(wildcard arch/x86_64/boot_efi*.c arch/x86_64/boot_efi*.S)
EFI_OBJECTS      := $(EFI_SOURCES:%=$(B)/efi/%.o)

# A program of its own: position independent, with the firmware's stack and calling convention in mind, and
# free of vector registers like the kernel.
EFI_FLAGS := $(COMMON_FLAGS) -m64 -O2 -fpic -fshort-wchar -fvisibility=hidden -mno-red-zone \
  -mgeneral-regs-only -fno-stack-protector -fno-asynchronous-unwind-tables -fno-unwind-tables \
  -fcf-protection=none -DGNU_EFI_USE_MS_ABI -DPARAVANE_DEBUG=0
EFI_WARNINGS := $(WARNINGS) $(if $(filter gcc,$(COMPILER)),-Wstack-usage=8192)
EFI_LINK_FLAGS := -nostdlib -shared -Bsymbolic -znocombreloc -znoexecstack --no-undefined \
  --build-id=none --hash-style=sysv -T $(GNU_EFI_LIB)/elf_x86_64_efi.lds
EFI_SECTIONS := .text .sdata .data .dynamic .dynsym .rel .rela .rel.* .rela.* .reloc
EFI_SUBSYSTEM_APPLICATION := 10

efi_flags_of = -I$(INC)/arch $(call freestanding,$(CC)) -isystem $(GNU_EFI_INC) \
  -isystem $(GNU_EFI_INC)/x86_64

$(B)/efi/%.c.o: %.c $(INC)/.stamp $(B)/flags arch/x86_64/efi.mk
	$(call say,EFICC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(EFI_FLAGS) $(EFI_WARNINGS) $(efi_flags_of) -c $< -o $@

$(B)/efi/%.S.o: %.S $(INC)/.stamp $(B)/flags arch/x86_64/efi.mk
	$(call say,EFIAS,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(EFI_FLAGS) $(efi_flags_of) -Wa,-I$(B) -c $< -o $@
$(B)/efi/arch/x86_64/boot_efi_jump.S.o: $(B)/paravane.stripped.elf

$(B)/efi/loader.so: $(EFI_OBJECTS)
	$(call say,LD,$@)
	$(Q)$(LD) $(EFI_LINK_FLAGS) $(GNU_EFI_LIB)/crt0-efi-x86_64.o $(EFI_OBJECTS) -o $@ \
	  $(GNU_EFI_LIB)/libefi.a $(GNU_EFI_LIB)/libgnuefi.a

$(EFI): $(B)/efi/loader.so
	$(call say,EFI,$@)
	$(Q)$(OBJCOPY) $(EFI_SECTIONS:%=-j %) --target=efi-app-x86_64 \
	  --subsystem=$(EFI_SUBSYSTEM_APPLICATION) $< $@

# ---- the EFI system partition -------------------------------------------------------------------
#
# A FAT16 volume without a partition table, which UEFI firmware takes as it is. 4 MiB is the smallest round
# size that is FAT16 by its number of clusters; a larger loader gets a larger volume. Serial number, label
# and all times are fixed: FAT has no time before 1980.

ESP_BYTES_MIN := 4194304
ESP_SERIAL    := 50415645
ESP_EPOCH     := $(if $(filter-out 0,$(SOURCE_DATE_EPOCH)),$(SOURCE_DATE_EPOCH),315532800)
ESP_MTOOLS    := env TZ=UTC SOURCE_DATE_EPOCH=$(ESP_EPOCH) MTOOLSRC=/dev/null

# make_esp: an ESP image $(1) with the application $(2).
define make_esp
$(Q)set -e; rm -f $(1).part; mkdir -p $(1).files; size=$$(stat -c %s $(2)); \
size=$$(( (size + size / 8 + 1048575) / 1048576 * 1048576 )); \
[ $$size -ge $(ESP_BYTES_MIN) ] || size=$(ESP_BYTES_MIN); \
truncate -s $$size $(1).part; \
cp $(2) $(1).files/BOOTX64.EFI; touch -d @$(ESP_EPOCH) $(1).files/BOOTX64.EFI; \
$(ESP_MTOOLS) mformat -i $(1).part -N $(ESP_SERIAL) -v PARAVANE -T $$((size / 512)) -h 16 -s 32 -c 1 ::; \
$(ESP_MTOOLS) mmd -i $(1).part ::/EFI ::/EFI/BOOT; \
$(ESP_MTOOLS) mcopy -m -i $(1).part $(1).files/BOOTX64.EFI ::/EFI/BOOT/BOOTX64.EFI; \
mv $(1).part $(1)
endef

$(ESP): $(EFI) arch/x86_64/efi.mk
	$(call say,ESP,$@)
	$(call make_esp,$@,$<)

# The yardstick of boot times: the same image with an application that does nothing, as $(YARDSTICK).
YARDSTICK ?= build/bench/efi/esp.img
.PHONY: efi-yardstick
efi-yardstick: $(YARDSTICK)
$(YARDSTICK): tests/harness/empty_efi.S arch/x86_64/efi.mk
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -c $< -o $(@D)/empty.o
	$(Q)$(LD) $(EFI_LINK_FLAGS) $(GNU_EFI_LIB)/crt0-efi-x86_64.o $(@D)/empty.o -o $(@D)/empty.so \
	  $(GNU_EFI_LIB)/libgnuefi.a
	$(Q)$(OBJCOPY) $(EFI_SECTIONS:%=-j %) --target=efi-app-x86_64 \
	  --subsystem=$(EFI_SUBSYSTEM_APPLICATION) $(@D)/empty.so $(@D)/empty.efi
	$(call make_esp,$@,$(@D)/empty.efi)

-include $(EFI_OBJECTS:.o=.d)
