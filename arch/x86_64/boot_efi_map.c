/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* From the firmware's memory map to boot_info's regions; see boot_efi_map.h. */
#include "arch/boot_efi_map.h"

#include <stdbool.h>

#include "base/bytes.h"
#include "kernel/boot_info.h"

/* UEFI 2.10, table 7.10. */
enum efi_map_type {
        EFI_MAP_LOADER_CODE = 1,
        EFI_MAP_LOADER_DATA = 2,
        EFI_MAP_BOOT_SERVICES_CODE = 3,
        EFI_MAP_BOOT_SERVICES_DATA = 4,
        EFI_MAP_CONVENTIONAL = 7,
        EFI_MAP_UNUSABLE = 8,
        EFI_MAP_ACPI_RECLAIM = 9,
        EFI_MAP_ACPI_NVS = 10,
};

#define EFI_MAP_WRITE_BACK_BIT 3
/* Set aside for one purpose by whoever built the machine (EFI_MEMORY_SP). */
#define EFI_MAP_SPECIFIC_PURPOSE_BIT 18

static enum boot_region_type region_type(const struct efi_map_descriptor *descriptor)
{
        bool ordinary = (descriptor->attributes & BIT_MASK(EFI_MAP_WRITE_BACK_BIT)) != 0 &&
                        (descriptor->attributes & BIT_MASK(EFI_MAP_SPECIFIC_PURPOSE_BIT)) == 0;
        switch (descriptor->type) {
        case EFI_MAP_LOADER_CODE:
        case EFI_MAP_LOADER_DATA:
                return ordinary ? BOOT_REGION_LOADER : BOOT_REGION_RESERVED;
        case EFI_MAP_BOOT_SERVICES_CODE:
        case EFI_MAP_BOOT_SERVICES_DATA:
        case EFI_MAP_CONVENTIONAL:
                return ordinary ? BOOT_REGION_RAM : BOOT_REGION_RESERVED;
        case EFI_MAP_UNUSABLE:
                return BOOT_REGION_UNUSABLE;
        case EFI_MAP_ACPI_RECLAIM:
                return BOOT_REGION_ACPI_RECLAIM;
        case EFI_MAP_ACPI_NVS:
                return BOOT_REGION_ACPI_NVS;
        default:
                return BOOT_REGION_RESERVED;
        }
}

/* Firmware lists its map in order, so a look at the last region finds nearly all neighbours; those
 * that it misses cost a region each and nothing else. */
static void add_region(struct boot_info *boot_info, const struct boot_region *region)
{
        if (boot_info->region_count > 0) {
                struct boot_region *last = &boot_info->regions[boot_info->region_count - 1];
                if (last->type == region->type && last->pa + last->bytes == region->pa) {
                        last->bytes += region->bytes;
                        return;
                }
        }
        if (boot_info->region_count == BOOT_REGIONS_MAX) {
                boot_info->regions_dropped++;
                return;
        }
        boot_info->regions[boot_info->region_count++] = *region;
}

void efi_map_to_regions(const struct efi_map *map, struct boot_info *boot_info)
{
        boot_info->region_count = 0;
        boot_info->regions_dropped = 0;
        if (map->descriptor_bytes < sizeof(struct efi_map_descriptor)) {
                boot_info->regions_dropped = 1;
                return;
        }
        for (size_t i = 0; i < map->bytes / map->descriptor_bytes; i++) {
                struct efi_map_descriptor descriptor;
                memcpy(&descriptor, (const uint8_t *)map->descriptors + i * map->descriptor_bytes,
                       sizeof(descriptor));
                if (descriptor.page_count == 0)
                        continue;
                uint64_t end;
                if (descriptor.page_count > UINT64_MAX / PAGE_BYTES ||
                    add_overflows(descriptor.pa, descriptor.page_count * PAGE_BYTES, &end)) {
                        boot_info->regions_dropped++;
                        continue;
                }
                const struct boot_region region = {.pa = descriptor.pa,
                                                   .bytes = end - descriptor.pa,
                                                   .type = region_type(&descriptor)};
                add_region(boot_info, &region);
        }
}
