/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The page tables on which the kernel is entered; see boot_efi_tables.h. */
#include "arch/boot_efi_tables.h"

#define ENTRIES_PER_TABLE 512
#define INDEX_BITS 9
#define ROOT_LEVEL 4

#define ENTRY_PRESENT BIT_MASK(0)
#define ENTRY_WRITE BIT_MASK(1)
#define ENTRY_LARGE BIT_MASK(7)
#define ENTRY_ADDRESS_MASK 0x000ffffffffff000ull

/* Bytes that one entry of a table of `level` covers: 4 KiB at level 1, 2 MiB, 1 GiB, 512 GiB. */
static uint64_t level_bytes(unsigned level)
{
        return PAGE_BYTES << (INDEX_BITS * (level - 1));
}

static uint64_t *table_at(const struct efi_tables *tables, uint64_t pa)
{
        return tables->pages + (pa - tables->pages_pa) / sizeof(uint64_t);
}

static bool take_page(struct efi_tables *tables, uint64_t *pa)
{
        if (tables->pages_used == tables->page_count)
                return false;
        *pa = tables->pages_pa + tables->pages_used * PAGE_BYTES;
        tables->pages_used++;
        memset(table_at(tables, *pa), 0, PAGE_BYTES);
        return true;
}

struct efi_mapping {
        uint64_t va;
        uint64_t pa;
        uint64_t bytes;
        /* 1: 4 KiB, 2: 2 MiB, 3: 1 GiB pages; all three above are multiples of that. */
        unsigned level;
};

static bool map_one(struct efi_tables *tables, const struct efi_mapping *mapping, uint64_t offset)
{
        uint64_t va = mapping->va + offset;
        uint64_t *table = table_at(tables, tables->root_pa);
        for (unsigned level = ROOT_LEVEL;; level--) {
                uint64_t *entry = &table[va / level_bytes(level) % ENTRIES_PER_TABLE];
                if (level == mapping->level) {
                        *entry = (mapping->pa + offset) | ENTRY_PRESENT | ENTRY_WRITE |
                                 (level > 1 ? ENTRY_LARGE : 0);
                        return true;
                }
                if ((*entry & ENTRY_PRESENT) == 0) {
                        uint64_t pa;
                        if (!take_page(tables, &pa))
                                return false;
                        *entry = pa | ENTRY_PRESENT | ENTRY_WRITE;
                }
                table = table_at(tables, *entry & ENTRY_ADDRESS_MASK);
        }
}

static bool map_range(struct efi_tables *tables, const struct efi_mapping *mapping)
{
        for (uint64_t offset = 0; offset < mapping->bytes; offset += level_bytes(mapping->level)) {
                if (!map_one(tables, mapping, offset))
                        return false;
        }
        return true;
}

bool efi_tables_build(struct efi_tables *tables)
{
        const struct efi_mapping identity = {.bytes = EFI_TABLES_IDENTITY_BYTES,
                                             .level = tables->huge_pages ? 3 : 2};
        const struct efi_mapping image = {.va = tables->image_va,
                                          .pa = tables->image_pa,
                                          .bytes = tables->image_bytes,
                                          .level = 1};
        /* Never below 4 GiB, where it would run into the 1 GiB pages of the identity map. */
        uint64_t jump_start = max_u64(round_down(tables->jump_pa, 2 * MIB),
                                      EFI_TABLES_IDENTITY_BYTES);
        uint64_t jump_end = round_up(tables->jump_pa + tables->jump_bytes, 2 * MIB);
        const struct efi_mapping jump = {.va = jump_start,
                                         .pa = jump_start,
                                         .bytes = jump_end > jump_start ? jump_end - jump_start : 0,
                                         .level = 2};

        tables->pages_used = 0;
        return take_page(tables, &tables->root_pa) && map_range(tables, &identity) &&
               map_range(tables, &jump) && map_range(tables, &image);
}
