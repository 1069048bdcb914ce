/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot_efi_map — from the firmware's memory map to boot_info's regions.
 *
 *   UEFI type                                  becomes
 *   1, 2     loader code, data                 LOADER: this program, the kernel, what it was given
 *   3, 4, 7  boot services, conventional       RAM, provided that it can be cached write-back
 *   8        unusable                          UNUSABLE
 *   9, 10    ACPI reclaim, NVS                 ACPI_RECLAIM, ACPI_NVS
 *   others   runtime, devices, persistent,     RESERVED
 *            not yet accepted, unknown
 *
 * Boot services memory holds the firmware's page tables, GDT and stack: whoever uses this map runs
 * on tables and a stack of its own before anything is written there.
 *
 * Owner       the caller gives map and boot_info
 * Context     any; pure; after ExitBootServices
 * Facts       UEFI 2.10, 7.2.3 (descriptor) and table 7.10 (types after ExitBootServices) */
#ifndef ARCH_BOOT_EFI_MAP_H
#define ARCH_BOOT_EFI_MAP_H

#include <stddef.h>
#include <stdint.h>

struct boot_info;

/* UEFI 2.10, 7.2.3. Firmware may use a larger stride than this structure. */
struct efi_map_descriptor {
        uint32_t type;
        uint32_t padding;
        uint64_t pa;
        uint64_t va;
        uint64_t page_count;
        uint64_t attributes;
};
_Static_assert(sizeof(struct efi_map_descriptor) == 40, "UEFI 2.10, 7.2.3");

struct efi_map {
        const void *descriptors;
        size_t bytes;            /* of the whole map */
        size_t descriptor_bytes; /* the stride that the firmware told */
};

/* Sets boot_info's regions, region_count and regions_dropped. Neighbours of one type become one
 * region; an empty descriptor is left out; one that wraps, or finds no room, is counted as dropped.
 * A stride below the structure's size makes one dropped region and nothing else. */
void efi_map_to_regions(const struct efi_map *map, struct boot_info *boot_info);

#endif
