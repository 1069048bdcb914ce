/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm_fragments — see pmm_fragments.h. */
#include "kernel/pmm_fragments.h"

#include "kernel/pmm_internal.h"

static void add_run(struct pmm_fragments *fragments, uint64_t pages)
{
        if (pages == 0)
                return;
        uint64_t order = 63 - (uint64_t)__builtin_clzll(pages);
        fragments->runs[min_u64(order, PMM_FRAGMENTS_ORDER_COUNT - 1)]++;
        fragments->run_count++;
        fragments->free_pages += pages;
        fragments->longest_pages = max_u64(fragments->longest_pages, pages);
}

/* Adds what a word ends, and returns the run that goes on behind it. */
static uint64_t add_word(struct pmm_fragments *fragments, uint64_t word, uint64_t run)
{
        unsigned at = 0;
        if (word == UINT64_MAX)
                return run + PMM_GROUP_PAGES;
        while (word != 0) { /* ends: each turn shifts out a run and the page behind it */
                unsigned taken = (unsigned)__builtin_ctzll(word);
                if (taken != 0) {
                        add_run(fragments, run);
                        run = 0;
                        word >>= taken;
                        at += taken;
                }
                unsigned free_here = pmm_ones_at_bottom(word);
                run += free_here;
                at += free_here;
                word = at < PMM_GROUP_PAGES ? word >> free_here : 0;
        }
        if (at == PMM_GROUP_PAGES)
                return run;
        add_run(fragments, run);
        return 0;
}

struct pmm_fragments pmm_fragments(struct pmm *pmm)
{
        struct pmm_fragments fragments;
        memset(&fragments, 0, sizeof(fragments));
        pmm_lock(pmm);
        for (uint32_t i = 0; i < pmm->arena_count; i++) {
                const struct pmm_arena *arena = &pmm->arenas[i];
                uint64_t run = 0;
                for (uint64_t group = 0; group < pmm_arena_groups(arena); group++)
                        run = add_word(&fragments, pmm_group_free_bits(arena, group), run);
                add_run(&fragments, run);
        }
        pmm_unlock(pmm);
        return fragments;
}
