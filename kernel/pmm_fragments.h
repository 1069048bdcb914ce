/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm_fragments — how the free pages lie: in few long runs, or in many short ones.
 *
 * Context  as pmm.h; walks the whole bitmap under the pmm's lock, 64
 *          pages a word: for the console */
#ifndef KERNEL_PMM_FRAGMENTS_H
#define KERNEL_PMM_FRAGMENTS_H

#include "kernel/pmm.h"

/* Runs of 2^k .. 2^(k+1) - 1 pages count for order k; the last order has all longer ones, too. */
#define PMM_FRAGMENTS_ORDER_COUNT 16

struct pmm_fragments {
        /* Of free pages, as long as they go in one arena. */
        uint64_t runs[PMM_FRAGMENTS_ORDER_COUNT];
        uint64_t run_count;
        uint64_t free_pages;
        uint64_t longest_pages;
};
struct pmm_fragments pmm_fragments(struct pmm *pmm);

/* 0: all free pages are in one run, or there are none; near 100: no run holds much of them. */
static inline unsigned pmm_fragments_percent(const struct pmm_fragments *fragments)
{
        uint64_t elsewhere = fragments->free_pages - fragments->longest_pages;
        return fragments->free_pages == 0 ? 0 : (unsigned)(elsewhere * 100 / fragments->free_pages);
}

#endif
