/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The UEFI loader: BOOTX64.EFI, a firmware application that carries the kernel
 * and hands the machine to it.
 *
 *   check the kernel -> place it -> page tables, boot_info -> command
 *   line -> leave the firmware -> jump
 *
 * Everything that can fail is done while the firmware still stands: each failure is told in words,
 * what was taken is given back, and the firmware goes on with its next boot option.
 * Facts: UEFI 2.10, 2.3.4 (state at entry: long mode, memory mapped at its own address) and 4.6
 * (the configuration table); kernel/boot_info.h (what the kernel wants). */
#include "arch/boot_efi.h"

#include "arch/boot_efi_elf.h"
#include "arch/boot_efi_tables.h"
#include "arch/cpu.h"
#include "base/bytes.h"
#include "kernel/boot_info.h"

#define STACK_BYTES (2 * PAGE_BYTES)
#define LEAF_EXTENDED_FEATURES (CPU_LEAF_EXTENDED + 1)
#define FEATURES_EDX_HUGE_PAGES_BIT 26

/* What outlives the firmware, in one allocation: |boot_info|stack|tables|. */
struct handover {
        EFI_PHYSICAL_ADDRESS pa;
        size_t bytes;
        struct boot_info *boot_info;
        uint64_t stack_top_pa;
        struct efi_tables tables;
};

EFI_STATUS efi_main(EFI_HANDLE image_handle, EFI_SYSTEM_TABLE *system_table);

static bool same_guid(const EFI_GUID *a, const EFI_GUID *b)
{
        const uint8_t *left = (const uint8_t *)a, *right = (const uint8_t *)b;
        for (size_t i = 0; i < sizeof(*a); i++) {
                if (left[i] != right[i])
                        return false;
        }
        return true;
}

/* The ACPI root pointer: that of ACPI 2.0 or later, else that of 1.0, else 0. */
static uint64_t find_rsdp(const EFI_SYSTEM_TABLE *system)
{
        static const EFI_GUID acpi_2 = ACPI_20_TABLE_GUID, acpi_1 = ACPI_TABLE_GUID;
        uint64_t found = 0;
        for (UINTN i = 0; i < system->NumberOfTableEntries; i++) {
                const EFI_CONFIGURATION_TABLE *entry = &system->ConfigurationTable[i];
                if (same_guid(&entry->VendorGuid, &acpi_2))
                        return (uintptr_t)entry->VendorTable;
                if (same_guid(&entry->VendorGuid, &acpi_1))
                        found = (uintptr_t)entry->VendorTable;
        }
        return found;
}

static bool cpu_has_huge_pages(void)
{
        if (cpu_cpuid(CPU_LEAF_EXTENDED, 0).eax < LEAF_EXTENDED_FEATURES)
                return false;
        return (cpu_cpuid(LEAF_EXTENDED_FEATURES, 0).edx & BIT_MASK(FEATURES_EDX_HUGE_PAGES_BIT)) !=
               0;
}

/* Allocates and fills what the kernel is handed, except for what comes
 * later: command line and regions. */
static EFI_STATUS make_handover(const struct efi_firmware *firmware, const struct efi_elf *elf,
                                uint64_t kernel_pa, struct handover *handover)
{
        const size_t info_bytes = round_up(sizeof(struct boot_info), PAGE_BYTES);
        const size_t table_pages = EFI_TABLES_PAGES(elf->image_bytes);
        handover->bytes = info_bytes + STACK_BYTES + table_pages * PAGE_BYTES;
        EFI_STATUS status = efi_memory_allocate(firmware, handover->bytes, &handover->pa);
        if (EFI_ERROR(status))
                return efi_report(firmware, "memory for page tables", NULL, status);

        handover->boot_info = (struct boot_info *)(uintptr_t)handover->pa;
        memset(handover->boot_info, 0, sizeof(*handover->boot_info));
        handover->stack_top_pa = handover->pa + info_bytes + STACK_BYTES;
        handover->tables = (struct efi_tables){
                .pages = (uint64_t *)(uintptr_t)handover->stack_top_pa,
                .pages_pa = handover->stack_top_pa,
                .page_count = table_pages,
                .huge_pages = cpu_has_huge_pages(),
                .image_va = elf->image_va,
                .image_pa = kernel_pa,
                .image_bytes = elf->image_bytes,
                .jump_pa = (uintptr_t)efi_jump,
                .jump_bytes = (uintptr_t)efi_jump_end - (uintptr_t)efi_jump,
        };
        if (!efi_tables_build(&handover->tables)) {
                efi_memory_free(firmware, handover->pa, handover->bytes);
                return efi_report(firmware, "page tables", "too few pages for them",
                                  EFI_OUT_OF_RESOURCES);
        }
        *handover->boot_info = (struct boot_info){
                .magic = BOOT_INFO_MAGIC,
                .version = BOOT_INFO_VERSION,
                .path = BOOT_PATH_UEFI,
                .kernel_pa = kernel_pa,
                .kernel_bytes = elf->image_bytes,
                .rsdp_pa = find_rsdp(firmware->system),
        };
        return EFI_SUCCESS;
}

static EFI_STATUS check_machine(struct efi_firmware *firmware)
{
        EFI_STATUS status = firmware->boot->HandleProtocol(
                firmware->image_handle, &LoadedImageProtocol, (void **)&firmware->loaded);
        if (EFI_ERROR(status))
                return efi_report(firmware, "loaded image protocol", NULL, status);
        /* Four-level tables cannot be loaded into CR3 of a CPU that walks five, and leaving that
         * mode takes a detour without paging. Some releases of OVMF enter it where the CPU can;
         * later ones do so only for guests that need it (edk2, pull request 5829). */
        if ((cpu_read_cr4() & BIT_MASK(CPU_CR4_LA57_BIT)) != 0)
                return efi_report(firmware, "page tables",
                                  "the firmware uses five levels: turn the CPU's la57 off",
                                  EFI_UNSUPPORTED);
        return EFI_SUCCESS;
}

static EFI_STATUS place_kernel(const struct efi_firmware *firmware, struct efi_elf *elf,
                               EFI_PHYSICAL_ADDRESS *pa)
{
        enum efi_elf_result result = efi_elf_check(
                efi_kernel_file, (size_t)(efi_kernel_file_end - efi_kernel_file), elf);
        if (result != EFI_ELF_OK)
                return efi_report(firmware, "the kernel inside this loader",
                                  efi_elf_result_text(result), EFI_LOAD_ERROR);
        EFI_STATUS status = efi_memory_allocate(firmware, elf->image_bytes, pa);
        if (EFI_ERROR(status))
                return efi_report(firmware, "memory for the kernel below 4 GiB", NULL, status);
        efi_elf_load(elf, (void *)(uintptr_t)*pa);
        return EFI_SUCCESS;
}

EFI_STATUS efi_main(EFI_HANDLE image_handle, EFI_SYSTEM_TABLE *system_table)
{
        const uint64_t tsc_entry = __builtin_ia32_rdtsc();
        struct efi_firmware firmware = {.image_handle = image_handle,
                                        .system = system_table,
                                        .boot = system_table->BootServices};
        struct efi_elf elf;
        struct handover handover;
        struct efi_map map;
        EFI_PHYSICAL_ADDRESS kernel_pa;

        EFI_STATUS status = check_machine(&firmware);
        if (EFI_ERROR(status))
                return status;
        status = place_kernel(&firmware, &elf, &kernel_pa);
        if (EFI_ERROR(status))
                return status;
        status = make_handover(&firmware, &elf, kernel_pa, &handover);
        if (EFI_ERROR(status))
                goto undo_kernel;

        struct boot_info *boot_info = handover.boot_info;
        struct efi_text cmdline = {.chars = boot_info->cmdline,
                                   .bytes = sizeof(boot_info->cmdline)};
        boot_info->tsc_entry = tsc_entry;
        status = efi_cmdline_read(&firmware, &cmdline);
        if (EFI_ERROR(status))
                goto undo_handover;
        boot_info->cmdline_truncated = cmdline.truncated;

        status = efi_memory_leave_firmware(&firmware, &map);
        if (EFI_ERROR(status)) {
                efi_report(&firmware, "memory map", NULL, status);
                goto undo_handover;
        }
        efi_map_to_regions(&map, boot_info);
        efi_jump(handover.tables.root_pa, handover.stack_top_pa, (uintptr_t)boot_info,
                 elf.entry_va);

undo_handover:
        efi_memory_free(&firmware, handover.pa, handover.bytes);
undo_kernel:
        efi_memory_free(&firmware, kernel_pa, elf.image_bytes);
        return status;
}
