/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot_pvh — a PVH loader's start_info into boot_info.
 *
 * start_info, its memory map and the command line lie in low memory that is ours to reuse later, so
 * all that is needed is copied here, before anything else runs. They must lie below 1 GiB, which is
 * what the boot tables map. Facts: Xen's hvm_start_info.h; spec/virtio.md, 14.2. */
#include "arch/boot.h"

#include "arch/address_space.h"
#include "arch/arch.h"
#include "arch/smp.h"
#include "base/bytes.h"

#define START_INFO_MAGIC 0x336ec578u
#define START_INFO_BYTES_V0 40 /* up to rsdp; the memory map came with version 1 */
#define BOOT_MAPPED_BYTES GIB

struct start_info {
        uint32_t magic;
        uint32_t version;
        uint32_t flags;
        uint32_t module_count;
        uint64_t modules_pa;
        uint64_t cmdline_pa;
        uint64_t rsdp_pa;
        uint64_t memory_map_pa;
        uint32_t memory_map_count;
        uint32_t reserved;
};
_Static_assert(sizeof(struct start_info) == 56, "Xen's layout");
_Static_assert(offsetof(struct start_info, memory_map_pa) == START_INFO_BYTES_V0, "Xen's layout");

struct memory_map_entry {
        uint64_t pa;
        uint64_t bytes;
        uint32_t type;
        uint32_t reserved;
};
_Static_assert(sizeof(struct memory_map_entry) == 24, "Xen's layout");

/* The bytes at a physical address, NULL where the boot tables do not reach. */
static const void *boot_view(uint64_t pa, uint64_t bytes)
{
        if (pa == 0 || pa >= BOOT_MAPPED_BYTES || bytes > BOOT_MAPPED_BYTES - pa)
                return NULL;
        return (const void *)pa;
}

/* E820 types, which PVH uses, to ours. */
static uint32_t region_type(uint32_t e820_type)
{
        switch (e820_type) {
        case 1:
                return BOOT_REGION_RAM;
        case 3:
                return BOOT_REGION_ACPI_RECLAIM;
        case 4:
                return BOOT_REGION_ACPI_NVS;
        case 5:
                return BOOT_REGION_UNUSABLE;
        default:
                return BOOT_REGION_RESERVED;
        }
}

static void copy_memory_map(struct boot_info *info, const struct start_info *start)
{
        const struct memory_map_entry *map =
                boot_view(start->memory_map_pa,
                          (uint64_t)start->memory_map_count * sizeof(struct memory_map_entry));
        if (start->version < 1 || map == NULL)
                return;
        for (uint32_t i = 0; i < start->memory_map_count; i++) {
                if (map[i].bytes == 0)
                        continue; /* microvm ends its map with an entry of zeroes */
                if (info->region_count == BOOT_REGIONS_MAX) {
                        info->regions_dropped++;
                        continue;
                }
                info->regions[info->region_count++] = (struct boot_region){
                        .pa = map[i].pa, .bytes = map[i].bytes, .type = region_type(map[i].type)};
        }
}

static void copy_cmdline(struct boot_info *info, uint64_t cmdline_pa)
{
        const char *text = boot_view(cmdline_pa, BOOT_CMDLINE_BYTES);
        size_t length = 0;
        if (text == NULL)
                return;
        while (length < BOOT_CMDLINE_BYTES && text[length] != '\0')
                length++;
        if (length == BOOT_CMDLINE_BYTES) {
                info->cmdline_truncated = 1;
                length--;
        }
        memcpy(info->cmdline, text, length);
        info->cmdline[length] = '\0';
}

NORETURN void boot_pvh_start(uint64_t start_info_pa, uint64_t tsc_entry)
{
        smp_set_this(&smp_boot_cpu);

        struct boot_info *info = &boot_info_own;
        const struct start_info *start = boot_view(start_info_pa, sizeof(*start));

        info->path = BOOT_PATH_PVH;
        info->tsc_entry = tsc_entry;
        info->kernel_pa = (uint64_t)image_start - IMAGE_VA_OFFSET;
        info->kernel_bytes = (uint64_t)(image_end - image_start);
        if (start != NULL && start->magic == START_INFO_MAGIC) {
                info->magic = BOOT_INFO_MAGIC;
                info->version = BOOT_INFO_VERSION;
                info->rsdp_pa = start->rsdp_pa;
                copy_memory_map(info, start);
                copy_cmdline(info, start->cmdline_pa);
        }
        kernel_main(info);
}
