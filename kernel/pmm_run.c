/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm_run — pages in a row: a given range, or any run of a length and alignment.
 *
 * Runs are searched in the free bitmap, 64 pages a word, and only from groups whose run words say
 * that one may start there. What starts in a group and has 64 pages or more goes on in the next:
 * the words tell 2^k pages in a row that lie in the two, up to 64. A search for n pages asks for
 * k = floor(log2(n)), 6 at most; so for powers of two up to 64 it looks at nothing in vain.
 *
 * A free sets a group's bit, and that of the group before when the run reaches over the edge. An
 * allocation leaves the bits as they are; the search that comes by corrects them. So a search pays
 * for what was allocated since the last one, once.
 * Facts: spec/zircon-objects.md, 2.5, 2.6. */
#include "kernel/pmm.h"
#include "kernel/pmm_internal.h"

/* ---- the bitmap ---- */

uint64_t pmm_run_last_not_free(const struct pmm_arena *arena, uint64_t first, uint64_t count)
{
        uint64_t end = first + count;
        uint64_t first_group = first / PMM_GROUP_PAGES;
        for (uint64_t group = (end - 1) / PMM_GROUP_PAGES + 1; group-- > first_group;) {
                uint64_t not_free = ~pmm_group_free_bits(arena, group) &
                                    pmm_group_bits(group, first, end);
                if (not_free != 0)
                        return group * PMM_GROUP_PAGES + 63 - (uint64_t)__builtin_clzll(not_free);
        }
        return PMM_RUN_ALL_FREE;
}

/* Under the lock, as everything that has no comment about it.
 *
 * Takes the pages [first, end) of one group, all FREE; for what they become see take_run. */
static void take_in_group(struct pmm *pmm, struct pmm_arena *arena, uint64_t first, uint64_t end,
                          struct list_node *list)
{
        uint64_t group = first / PMM_GROUP_PAGES;
        if (!pmm_group_is_set_up(arena, group))
                pmm_set_up_group(pmm, arena, group);
        arena->free_words[group] &= ~pmm_group_bits(group, first, end);
        for (struct vm_page *page = &arena->pages[first]; page < &arena->pages[end]; page++) {
                list_remove(&page->list);
                if (UNLIKELY(pmm->checker.armed))
                        (void)pmm_checker_verify(pmm, page);
                pmm_relabel(page, VM_PAGE_FREE, list != NULL ? VM_PAGE_ALLOC : VM_PAGE_WIRED);
                if (list != NULL)
                        list_add_tail(list, &page->list);
        }
}

/* Takes the pages [first, first + count), all FREE: ALLOC and appended to `list`, or, if that is
 * NULL, WIRED and on no list. */
static void take_run(struct pmm *pmm, struct pmm_arena *arena, uint64_t first, uint64_t count,
                     struct list_node *list)
{
        uint64_t end = first + count;
        for (uint64_t at = first; at < end; at = round_down(at, PMM_GROUP_PAGES) + PMM_GROUP_PAGES)
                take_in_group(pmm, arena, at,
                              min_u64(end, round_down(at, PMM_GROUP_PAGES) + PMM_GROUP_PAGES),
                              list);
        pmm_count_add(&pmm->free_in_zone[arena->zone], -count);
        pmm_count_add(&pmm->state_count[VM_PAGE_FREE], -count);
        pmm_count_add(&pmm->state_count[list != NULL ? VM_PAGE_ALLOC : VM_PAGE_WIRED], count);
}

/* ---- a given range ---- */

/* Walks the pieces of [pa, pa + count pages) that lie in one arena each. With `take` false it
 * checks that every page is there and FREE, and changes nothing. */
static zx_status_t walk_range(struct pmm *pmm, uint64_t pa, uint64_t count, bool take,
                              struct list_node *list)
{
        while (count > 0) {
                struct pmm_arena *arena = pmm_arena_of_pa(pmm, pa);
                if (arena == NULL)
                        return ZX_ERR_NOT_FOUND;
                uint64_t first = (pa - arena->pa) / PAGE_BYTES;
                uint64_t piece = min_u64(count, arena->page_count - first);
                if (take)
                        take_run(pmm, arena, first, piece, list);
                else if (pmm_run_last_not_free(arena, first, piece) != PMM_RUN_ALL_FREE)
                        return ZX_ERR_NOT_FOUND;
                pa += piece * PAGE_BYTES; /* an arena never ends at 2^64 */
                count -= piece;
        }
        return ZX_OK;
}

static zx_status_t take_range(struct pmm *pmm, uint64_t pa, uint64_t count, struct list_node *list)
{
        pa = round_down(pa, PAGE_BYTES);
        zx_status_t status = walk_range(pmm, pa, count, false, list);
        if (status != ZX_OK)
                return status;
        status = walk_range(pmm, pa, count, true, list);
        ASSERT(status == ZX_OK);
        pmm_signal_after_alloc(pmm);
        return ZX_OK;
}

static zx_status_t lock_and_take_range(struct pmm *pmm, uint64_t pa, uint64_t count,
                                       struct list_node *list)
{
        pmm_lock(pmm);
        zx_status_t status = take_range(pmm, pa, count, list);
        pmm_unlock(pmm);
        return status;
}

zx_status_t pmm_alloc_range(struct pmm *pmm, uint64_t pa, size_t count, struct list_node *list)
{
        ASSERT(list_is_empty(list));
        return lock_and_take_range(pmm, pa, count, list);
}

zx_status_t pmm_wire_range(struct pmm *pmm, uint64_t pa, size_t count)
{
        return lock_and_take_range(pmm, pa, count, NULL);
}

/* ---- any run ---- */

static uint32_t order_of_count(uint64_t count)
{
        return 63 - (uint32_t)__builtin_clzll(min_u64(count, PMM_GROUP_PAGES));
}

/* Makes a group's run words say what is true of it. */
static void correct_run_words(const struct pmm_arena *arena, uint64_t group)
{
        uint32_t longest = pmm_run_order(arena, group);
        for (uint32_t order = PMM_GROUP_PAGES_LOG2; order > 0; order--) {
                uint64_t *word = pmm_run_word(arena, order, group / 64);
                uint64_t bit = BIT_MASK(group % 64);
                *word = order == longest ? *word | bit : *word & ~bit;
        }
}

bool pmm_run_words_valid(const struct pmm_arena *arena, uint64_t group)
{
        uint32_t longest = pmm_run_order(arena, group);
        bool said = longest == 0;
        for (uint32_t order = PMM_GROUP_PAGES_LOG2; order >= longest && order > 0; order--)
                said |= (*pmm_run_word(arena, order, group / 64) & BIT_MASK(group % 64)) != 0;
        return said;
}

/* Bit i: 2^order pages in a row may start in group 64 * groups_word + i. */
static uint64_t may_have_run(const struct pmm_arena *arena, uint32_t order, uint64_t groups_word)
{
        uint64_t bits = 0;
        for (; order <= PMM_GROUP_PAGES_LOG2; order++)
                bits |= *pmm_run_word(arena, order, groups_word);
        return bits;
}

/* The lowest group >= `group` in which a run of that order's length may start; the number of groups
 * or more when there is none. */
static uint64_t next_group(const struct pmm_arena *arena, uint64_t group, uint32_t order)
{
        uint64_t words = div_round_up(pmm_arena_groups(arena), 64);
        uint64_t mask = UINT64_MAX << (group % 64);
        if (order == 0)
                return group;
        for (uint64_t at = group / 64; at < words; at++, mask = UINT64_MAX) {
                uint64_t bits = may_have_run(arena, order, at) & mask;
                if (bits != 0)
                        return at * 64 + (uint64_t)__builtin_ctzll(bits);
        }
        return words * 64;
}

struct run_request {
        uint64_t count;
        uint32_t order;
        uint64_t align_pages; /* of the physical address, a power of two */
        uint64_t align_comb;  /* every align_pages-th bit, from bit 0 on */
        uint64_t *examined;   /* counts the groups looked at */
};

static uint64_t align_comb(uint64_t align_pages)
{
        return align_pages >= PMM_GROUP_PAGES ? 1 : UINT64_MAX / (BIT_MASK(align_pages) - 1);
}

/* Bit i: page i of the group has the alignment. */
static uint64_t aligned_bits(const struct pmm_arena *arena, uint64_t group,
                             const struct run_request *request)
{
        uint64_t frame = arena->pa / PAGE_BYTES + group * PMM_GROUP_PAGES;
        uint64_t first = -frame & (request->align_pages - 1);
        return first < PMM_GROUP_PAGES ? request->align_comb << first : 0;
}

/* Bit i: a run of `count` free pages, or of 64 if it is more, starts at page i of the group. Such a
 * run lies in this group and the next, so two words say it; folded as in pmm_run_order. */
static uint64_t run_start_bits(const struct pmm_arena *arena, uint64_t group, uint64_t count)
{
        uint64_t low = pmm_group_free_bits(arena, group), high = 0;
        uint64_t wanted = min_u64(count, PMM_GROUP_PAGES), in_a_row = 1;
        if (wanted > 1 && group + 1 < pmm_arena_groups(arena))
                high = pmm_group_free_bits(arena, group + 1);
        while (in_a_row < wanted && low != 0) {
                uint64_t fold = min_u64(in_a_row, wanted - in_a_row);
                low &= low >> fold | high << (PMM_GROUP_PAGES - fold);
                high &= high >> fold;
                in_a_row += fold;
        }
        return low;
}

/* The lowest start of a run in [from, limit); false: there is none. */
static bool find_run_between(const struct pmm_arena *arena, uint64_t from, uint64_t limit,
                             const struct run_request *request, uint64_t *first)
{
        limit = min_u64(limit, arena->page_count - request->count + 1);
        while (from < limit) {
                uint64_t group = next_group(arena, from / PMM_GROUP_PAGES, request->order);
                from = max_u64(from, group * PMM_GROUP_PAGES);
                if (from >= limit)
                        return false;
                uint64_t starts = run_start_bits(arena, group, request->count);
                ++*request->examined;
                if (starts == 0)
                        correct_run_words(arena, group);
                else
                        starts &= aligned_bits(arena, group, request) &
                                  pmm_group_bits(group, from, limit);
                if (starts == 0) {
                        from = (group + 1) * PMM_GROUP_PAGES;
                        continue;
                }
                uint64_t start = group * PMM_GROUP_PAGES + (uint64_t)__builtin_ctzll(starts);
                uint64_t bad = pmm_run_last_not_free(arena, start, request->count);
                if (bad == PMM_RUN_ALL_FREE) {
                        *first = start;
                        return true;
                }
                from = bad + 1;
        }
        return false;
}

/* The seam: finds `count` free pages in a row in one arena, from where the last success ended. */
static bool find_run(const struct pmm_arena *arena, const struct run_request *request,
                     uint64_t *first)
{
        if (request->count > arena->page_count)
                return false;
        return find_run_between(arena, arena->contiguous_hint, arena->page_count, request, first) ||
               find_run_between(arena, 0, arena->contiguous_hint, request, first);
}

zx_status_t pmm_alloc_contiguous(struct pmm *pmm, size_t count, uint32_t flags, uint32_t align_log2,
                                 uint64_t *pa_out, struct list_node *list)
{
        ASSERT((flags & ~(uint32_t)PMM_ALLOC_LO_MEM) == 0);
        ASSERT(align_log2 < 64);
        if (count == 0)
                return ZX_OK;
        if (count == 1 && align_log2 <= PAGE_BYTES_LOG2) {
                struct vm_page *page;
                zx_status_t status = pmm_alloc_page(pmm, flags, &page);
                if (status != ZX_OK)
                        return status;
                list_add_tail(list, &page->list);
                if (pa_out != NULL)
                        *pa_out = page->pa;
                return ZX_OK;
        }

        uint64_t examined = 0, first;
        uint64_t align_pages = BIT_MASK(max_u64(align_log2, PAGE_BYTES_LOG2) - PAGE_BYTES_LOG2);
        struct run_request request = {
                .count = count,
                .order = order_of_count(count),
                .align_pages = align_pages,
                .align_comb = align_comb(align_pages),
                .examined = &examined,
        };
        zx_status_t status = ZX_ERR_NOT_FOUND;
        pmm_lock(pmm);
        for (uint32_t i = 0; i < pmm->arena_count && status != ZX_OK; i++) {
                struct pmm_arena *arena = &pmm->arenas[i];
                if ((flags & PMM_ALLOC_LO_MEM) != 0 && arena->zone != PMM_ZONE_LOW)
                        continue;
                if (!find_run(arena, &request, &first))
                        continue;
                take_run(pmm, arena, first, count, list);
                arena->contiguous_hint = (first + count) % arena->page_count;
                if (pa_out != NULL)
                        *pa_out = arena->pa + first * PAGE_BYTES;
                status = ZX_OK;
        }
        pmm->statistics.groups_examined_max =
                max_u64(pmm->statistics.groups_examined_max, examined);
        if (status == ZX_OK)
                pmm_signal_after_alloc(pmm);
        pmm_unlock(pmm);
        return status;
}
