/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm_internal — what the files of the pmm share, and page_cache's short way to change a page's
 * state.
 *
 * A page is named here by its arena and its number in it; a group is PMM_GROUP_PAGES pages, one
 * word of the free bitmap. */
#ifndef KERNEL_PMM_INTERNAL_H
#define KERNEL_PMM_INTERNAL_H

#include "kernel/pmm.h"

_Static_assert(PMM_GROUP_PAGES == 64, "a group is one word of bits");

/* Counters are changed by their owner only and may be read by anybody at any time: one whole store
 * each. (It also keeps the compiler from pairing neighbours into one wide load, which stalls behind
 * the narrow stores of the call before.) */
static inline void pmm_count_add(uint64_t *counter, uint64_t addend)
{
        __atomic_store_n(counter, *counter + addend, __ATOMIC_RELAXED);
}

/* Moves one page from one state to another that are both known to be right [P1]. */
static inline void pmm_move_state(struct pmm *pmm, struct vm_page *page, enum vm_page_state from,
                                  enum vm_page_state to)
{
        ASSERT(vm_page_state(page) == from);
        pmm_count_add(&pmm->state_count[from], -1ull);
        pmm_count_add(&pmm->state_count[to], 1);
        __atomic_store_n(&page->state, (uint8_t)to, __ATOMIC_RELAXED);
}

static inline uint64_t pmm_arena_groups(const struct pmm_arena *arena)
{
        return div_round_up(arena->page_count, PMM_GROUP_PAGES);
}

/* The bits of [first, end), page numbers, that lie in `group`. */
static inline uint64_t pmm_group_bits(uint64_t group, uint64_t first, uint64_t end)
{
        uint64_t base = group * PMM_GROUP_PAGES;
        first = max_u64(first, base);
        end = min_u64(end, base + PMM_GROUP_PAGES);
        if (first >= end)
                return 0;
        return (UINT64_MAX >> (PMM_GROUP_PAGES - (end - first))) << (first - base);
}

static inline bool pmm_group_is_set_up(const struct pmm_arena *arena, uint64_t group)
{
        return (arena->set_up_words[group / 64] & BIT_MASK(group % 64)) != 0;
}

/* The free pages of a group, whether it is set up or not. */
static inline uint64_t pmm_group_free_bits(const struct pmm_arena *arena, uint64_t group)
{
        if (pmm_group_is_set_up(arena, group))
                return arena->free_words[group];
        return pmm_group_bits(group, 0, arena->page_count) &
               ~pmm_group_bits(group, arena->own_first, arena->own_end);
}

/* The arena of a page and its number there; a pointer that is no page structure of ours is our
 * bug. */
static inline struct pmm_arena *pmm_arena_of_page(const struct pmm *pmm, const struct vm_page *page,
                                                  uint64_t *number)
{
        for (uint32_t i = 0; i < pmm->arena_count; i++) {
                const struct pmm_arena *arena = &pmm->arenas[i];
                uint64_t offset = (uint64_t)(uintptr_t)page - (uint64_t)(uintptr_t)arena->pages;
                if (offset >= arena->page_count * sizeof(*page))
                        continue;
                *number = offset / sizeof(*page);
                ASSERT(page->pa == arena->pa + *number * PAGE_BYTES);
                ASSERT(page == &arena->pages[*number]);
                return (struct pmm_arena *)(uintptr_t)arena;
        }
        assert_failed(__FILE__, __LINE__, "a page of this pmm");
}

/* The arena that contains an address, NULL if none does. */
static inline struct pmm_arena *pmm_arena_of_pa(const struct pmm *pmm, uint64_t pa)
{
        for (uint32_t i = 0; i < pmm->arena_count; i++) {
                const struct pmm_arena *arena = &pmm->arenas[i];
                if (pa - arena->pa < arena->page_count * PAGE_BYTES)
                        return (struct pmm_arena *)(uintptr_t)arena;
        }
        return NULL;
}

/* ---- pmm.c ---- */

/* Sets up a group that is not: its free pages go to the tail of the zone's list, ascending. */
void pmm_set_up_group(struct pmm *pmm, struct pmm_arena *arena, uint64_t group);
/* Sets up one more group with a free page in that zone; there must be one. */
void pmm_set_up_next_group(struct pmm *pmm, enum pmm_zone zone);

/* ---- pmm_run.c ---- */

/* The highest page number in [first, first + count), count > 0, that is not FREE; PMM_RUN_ALL_FREE:
 * none. */
#define PMM_RUN_ALL_FREE UINT64_MAX
uint64_t pmm_run_last_not_free(const struct pmm_arena *arena, uint64_t first, uint64_t count);

/* ---- pmm_signal.c ---- */

/* After an allocation that left fewer than watch_lower_pages; after a free that left more than
 * watch_upper_pages; after a failure. */
void pmm_signal_fell(struct pmm *pmm);
void pmm_signal_rose(struct pmm *pmm);
void pmm_signal_failed(struct pmm *pmm, uint64_t page_count);

static inline void pmm_signal_after_alloc(struct pmm *pmm)
{
        if (UNLIKELY(pmm->state_count[VM_PAGE_FREE] < pmm->watch_lower_pages))
                pmm_signal_fell(pmm);
}
static inline void pmm_signal_after_free(struct pmm *pmm)
{
        if (UNLIKELY(pmm->state_count[VM_PAGE_FREE] > pmm->watch_upper_pages))
                pmm_signal_rose(pmm);
}

/* ---- pmm_checker.c ---- */

void pmm_checker_fill(struct pmm *pmm, struct vm_page *page);
/* Reports a page that somebody wrote to while it was free. Only while armed. */
bool pmm_checker_verify(struct pmm *pmm, const struct vm_page *page);

#endif
