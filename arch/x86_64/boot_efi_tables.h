/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot_efi_tables — the page tables on which the kernel is entered, made of
 * pages that the caller gives.
 *
 *   virtual                          physical
 *   0 .. 4 GiB                       the same, in 2 MiB or 1 GiB pages
 *   around the jump code             the same, should that be above 4 GiB
 *   image_va .. + image_bytes        image_pa .. , in 4 KiB pages
 *
 * Everything is writable and executable: the kernel builds tables of its own at once.
 *
 * Owner       the caller gives the pages; they are the tables, and must not move afterwards
 * Context     any; pure: tables are written through `pages`, and point at each other by `pages_pa`
 * Facts       Intel SDM volume 3, 4.5 (4-level paging), table 4-15 to 4-20 */
#ifndef ARCH_BOOT_EFI_TABLES_H
#define ARCH_BOOT_EFI_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"

#define EFI_TABLES_IDENTITY_BYTES (4 * GIB)
/* What efi_tables_build never exceeds for an image of that size:
 *   fixed   the root; 1 + 2 + 1 tables of the second level for identity, jump code and
 *           image; 4 + 2 + 2 of the third
 *   else    one of the fourth for each 2 MiB of the image, and one
 *           more as it need not be aligned */
#define EFI_TABLES_FIXED_PAGES 13
#define EFI_TABLES_PAGES(image_bytes) \
        (EFI_TABLES_FIXED_PAGES + div_round_up((image_bytes), 2 * MIB) + 1)

struct efi_tables {
        /* in */
        uint64_t *pages;    /* page aligned, page_count * PAGE_BYTES long, any content */
        uint64_t pages_pa;  /* where the CPU finds them, page aligned */
        size_t page_count;
        bool huge_pages;    /* the CPU has 1 GiB pages */
        uint64_t image_va, image_pa, image_bytes; /* page aligned */
        uint64_t jump_pa, jump_bytes;             /* at least one byte, at most 2 MiB */
        /* out */
        size_t pages_used;
        uint64_t root_pa; /* for CR3 */
};

/* Builds the tables.
 *   returns  false when page_count is less than what they take;
 *            EFI_TABLES_PAGES(image_bytes) is enough */
bool MUST_CHECK efi_tables_build(struct efi_tables *tables);

#endif
