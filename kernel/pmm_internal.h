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

/* With one CPU at a time (no pmm_set_cpus) there is nothing to lock out,
 * and nothing is paid for it. */
static inline void pmm_lock(struct pmm *pmm)
{
        if (pmm->current_cpu != NULL)
                spinlock_take(&pmm->lock);
}

static inline void pmm_unlock(struct pmm *pmm)
{
        if (pmm->current_cpu != NULL)
                spinlock_give(&pmm->lock);
}

/* What the calling CPU counts without the lock. */
static inline struct pmm_state_counts *pmm_counts_here(const struct pmm *pmm)
{
        return LIKELY(pmm->current_cpu == NULL) ? pmm->cpu_counts
                                                : pmm->cpu_counts + pmm->current_cpu();
}

/* Writes the state of a page; that it was right to, and to count it, is the caller's business. */
static inline void pmm_write_state(struct vm_page *page, enum vm_page_state state)
{
        __atomic_store_n(&page->state, (uint8_t)state, __ATOMIC_RELAXED);
}

/* The same for a page that must be in `from`. */
static inline void pmm_relabel(struct vm_page *page, enum vm_page_state from,
                               enum vm_page_state to)
{
        ASSERT(vm_page_state(page) == from);
        pmm_write_state(page, to);
}

/* Moves a page of the caller's from one state to another that are both known to be right, neither
 * of them FREE [P1]. Without the lock; `counts` is what the calling CPU counts. */
static inline void pmm_count_move(struct pmm_state_counts *counts, struct vm_page *page,
                                  enum vm_page_state from, enum vm_page_state to)
{
        pmm_relabel(page, from, to);
        pmm_count_add(&counts->pages[from], -1ull);
        pmm_count_add(&counts->pages[to], 1);
}

static inline void pmm_move_state(struct pmm *pmm, struct vm_page *page, enum vm_page_state from,
                                  enum vm_page_state to)
{
        pmm_count_move(pmm_counts_here(pmm), page, from, to);
}

/* The same with any states, under the lock. */
static inline void pmm_move_state_locked(struct pmm *pmm, struct vm_page *page,
                                         enum vm_page_state from, enum vm_page_state to)
{
        pmm_relabel(page, from, to);
        pmm_count_add(&pmm->state_count[from], -1ull);
        pmm_count_add(&pmm->state_count[to], 1);
}

static inline uint64_t pmm_arena_groups(const struct pmm_arena *arena)
{
        return arena->group_count;
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
        /* acquire: pairs with the release in pmm_set_up_group; the structures may be read then */
        return (__atomic_load_n(&arena->set_up_words[group / 64], __ATOMIC_ACQUIRE) &
                BIT_MASK(group % 64)) != 0;
}

/* The free pages of a group, whether it is set up or not. */
static inline uint64_t pmm_group_free_bits(const struct pmm_arena *arena, uint64_t group)
{
        if (pmm_group_is_set_up(arena, group))
                return arena->free_words[group];
        return pmm_group_bits(group, 0, arena->page_count) &
               ~pmm_group_bits(group, arena->own_first, arena->own_end);
}

/* Whether a page belongs to an arena, and its number there; a pointer into the array that is
 * no page structure is our bug. */
static inline bool pmm_arena_has_page(const struct pmm_arena *arena, const struct vm_page *page,
                                      uint64_t *number)
{
        uint64_t offset = (uint64_t)(uintptr_t)page - (uint64_t)(uintptr_t)arena->pages;
        if (offset >= arena->page_count * sizeof(*page))
                return false;
        *number = offset / sizeof(*page);
        ASSERT(page->pa == arena->pa + *number * PAGE_BYTES);
        ASSERT(page == &arena->pages[*number]);
        return true;
}

/* The arena of a page and its number there;
 * a pointer that is no page structure of ours is our bug. */
static inline struct pmm_arena *pmm_arena_of_page(const struct pmm *pmm, const struct vm_page *page,
                                                  uint64_t *number)
{
        for (uint32_t i = 0; i < pmm->arena_count; i++)
                if (pmm_arena_has_page(&pmm->arenas[i], page, number))
                        return (struct pmm_arena *)(uintptr_t)&pmm->arenas[i];
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

/* ---- pmm_page.c ---- */

/* Between `least` and `most` pages, at least 1 and as many as there are; else as pmm_alloc_pages.
 *   count_out  out: how many were appended to `list` */
zx_status_t MUST_CHECK pmm_alloc_between(struct pmm *pmm, uint64_t least, uint64_t most,
                                         uint32_t flags, struct list_node *list,
                                         uint64_t *count_out);

/* ---- everything below: under the lock ---- */

/* ---- pmm_page.c, too ---- */

/* pmm_free, but for the lock and the signal; the last of the list comes first. */
void pmm_free_locked(struct pmm *pmm, struct list_node *list);

/* ---- pmm.c ---- */

/* Sets up a group that is not: its free pages go to the tail of the zone's list, ascending. */
void pmm_set_up_group(struct pmm *pmm, struct pmm_arena *arena, uint64_t group);
/* Sets up one more group with a free page in that zone; there must be one. */
void pmm_set_up_next_group(struct pmm *pmm, enum pmm_zone zone);

/* ---- pmm_run.c: the run words [P5] ---- */

/* The run word of an order, 1 .. PMM_GROUP_PAGES_LOG2, with the bits of 64 groups. */
static inline uint64_t *pmm_run_word(const struct pmm_arena *arena, uint32_t order,
                                     uint64_t groups_word)
{
        return &arena->run_words[(order - 1) * arena->run_order_words + groups_word];
}

/* How many ones stand in a row at the bottom and at the top of a word. */
static inline unsigned pmm_ones_at_bottom(uint64_t word)
{
        return word == UINT64_MAX ? 64 : (unsigned)__builtin_ctzll(~word);
}

static inline unsigned pmm_ones_at_top(uint64_t word)
{
        return word == UINT64_MAX ? 64 : (unsigned)__builtin_clzll(~word);
}

/* Whether a group is noted to have the longest run that is told apart:
 * then there is no more to note. */
static inline bool pmm_longest_run_noted(const struct pmm_arena *arena, uint64_t group)
{
        return (*pmm_run_word(arena, PMM_GROUP_PAGES_LOG2, group / 64) >> group % 64 & 1) != 0;
}

/* Notes that `length` free pages in a row start in a group, 1 .. */
static inline void pmm_note_run(struct pmm_arena *arena, uint64_t group, unsigned length)
{
        uint32_t order = 63 - (uint32_t)__builtin_clzll(length);
        if (order > PMM_GROUP_PAGES_LOG2)
                order = PMM_GROUP_PAGES_LOG2;
        if (order > 0)
                *pmm_run_word(arena, order, group / 64) |= BIT_MASK(group % 64);
}

/* Notes the run that reaches from the group before this one, whose free pages are in `word`, over
 * the edge. */
static inline void pmm_note_run_from_before(struct pmm_arena *arena, uint64_t group, uint64_t word)
{
        unsigned before = group > 0 ? pmm_ones_at_top(pmm_group_free_bits(arena, group - 1)) : 0;
        if (before > 0)
                pmm_note_run(arena, group - 1, before + pmm_ones_at_bottom(word));
}

/* The free pages at the start of the group behind this one. */
static inline unsigned pmm_free_behind(const struct pmm_arena *arena, uint64_t group)
{
        if (group + 1 >= pmm_arena_groups(arena))
                return 0;
        return pmm_ones_at_bottom(pmm_group_free_bits(arena, group + 1));
}

/* Makes page `number` free in the bitmap, and keeps [P5]. */
static inline void pmm_mark_free(struct pmm_arena *arena, uint64_t number)
{
        uint64_t group = number / PMM_GROUP_PAGES;
        unsigned bit = (unsigned)(number % PMM_GROUP_PAGES);
        uint64_t word = arena->free_words[group] | BIT_MASK(bit);
        unsigned above = pmm_ones_at_bottom(word >> bit); /* with the page itself */
        unsigned below = pmm_ones_at_top(word << (63 - bit)) - 1;

        arena->free_words[group] = word;
        if (!pmm_longest_run_noted(arena, group)) {
                unsigned behind = 0;
                if (UNLIKELY(bit + above == PMM_GROUP_PAGES))
                        behind = pmm_free_behind(arena, group);
                pmm_note_run(arena, group, below + above + behind);
        }
        if (UNLIKELY(below == bit))
                pmm_note_run_from_before(arena, group, word);
}

/* floor(log2) of the most free pages in a row that start in a group and end in it or the next; also
 * 0 when it has no free page. The words are folded onto themselves: after folding by 1, a bit says
 * "two in a row"; by 2, "four in a row"; by 4, "eight" ... */
static inline uint32_t pmm_run_order(const struct pmm_arena *arena, uint64_t group)
{
        uint64_t low = pmm_group_free_bits(arena, group), high = 0;
        if (group + 1 < pmm_arena_groups(arena))
                high = pmm_group_free_bits(arena, group + 1);
        for (uint32_t order = 0; order < PMM_GROUP_PAGES_LOG2; order++) {
                unsigned fold = 1u << order;
                low &= low >> fold | high << (PMM_GROUP_PAGES - fold);
                high &= high >> fold;
                if (low == 0)
                        return order;
        }
        return PMM_GROUP_PAGES_LOG2;
}

/* The same as pmm_mark_free for all pages of a group whose bits are in `bits`. */
static inline void pmm_mark_free_bits(struct pmm_arena *arena, uint64_t group, uint64_t bits)
{
        uint64_t word = arena->free_words[group] | bits;
        arena->free_words[group] = word;
        pmm_note_run(arena, group, 1u << pmm_run_order(arena, group));
        if ((word & 1) != 0)
                pmm_note_run_from_before(arena, group, word);
}

/* Whether [P5] holds for a group. */
bool pmm_run_words_valid(const struct pmm_arena *arena, uint64_t group);

/* ---- pmm_run.c ---- */

/* The highest page number in [first, first + count), count > 0, that is not FREE;
 * PMM_RUN_ALL_FREE: none. */
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
/* Puts a page that is being freed at the tail of its free list, filled if the checker is on. Groups
 * that are not set up are behind that: one of them comes in front of a page that would be alone. */
void pmm_add_tail(struct pmm *pmm, const struct pmm_arena *arena, struct vm_page *page);
/* Reports a page that somebody wrote to while it was free. Only while armed. */
bool pmm_checker_verify(struct pmm *pmm, const struct vm_page *page);

#endif
