/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm_run — pages in a row: a given range, or any run of a length and alignment.
 *
 * Runs are searched in the free bitmap, 64 pages a word; find_run is the only function that knows how, so
 * that another structure can take its place. Facts: spec/zircon-objects.md, 2.5, 2.6. */
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

/* The lowest free page number >= `from`, or page_count. */
static uint64_t next_free(const struct pmm_arena *arena, uint64_t from)
{
        for (uint64_t group = from / PMM_GROUP_PAGES; group < pmm_arena_groups(arena); group++) {
                uint64_t bits = pmm_group_free_bits(arena, group) &
                                pmm_group_bits(group, from, arena->page_count);
                if (bits != 0)
                        return group * PMM_GROUP_PAGES + (uint64_t)__builtin_ctzll(bits);
        }
        return arena->page_count;
}

/* Makes the pages [first, first + count), all FREE, leave the pmm in the given state. They are appended
 * to `list`, or left on no list if it is NULL. */
static void take_run(struct pmm *pmm, struct pmm_arena *arena, uint64_t first, uint64_t count,
                     struct list_node *list)
{
        for (uint64_t number = first; number < first + count; number++) {
                uint64_t group = number / PMM_GROUP_PAGES;
                if (!pmm_group_is_set_up(arena, group))
                        pmm_set_up_group(pmm, arena, group);
                struct vm_page *page = &arena->pages[number];
                list_remove(&page->list);
                arena->free_words[group] &= ~BIT_MASK(number % PMM_GROUP_PAGES);
                pmm->free_in_zone[arena->zone]--;
                if (UNLIKELY(pmm->checker.armed))
                        (void)pmm_checker_verify(pmm, page);
                if (list != NULL) {
                        pmm_move_state(pmm, page, VM_PAGE_FREE, VM_PAGE_ALLOC);
                        list_add_tail(list, &page->list);
                } else {
                        pmm_move_state(pmm, page, VM_PAGE_FREE, VM_PAGE_WIRED);
                }
        }
}

/* ---- a given range ---- */

/* Walks the pieces of [pa, pa + count pages) that lie in one arena each. With `take` false it checks that
 * every page is there and FREE, and changes nothing. */
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

zx_status_t pmm_alloc_range(struct pmm *pmm, uint64_t pa, size_t count, struct list_node *list)
{
        ASSERT(list_is_empty(list));
        return take_range(pmm, pa, count, list);
}

zx_status_t pmm_wire_range(struct pmm *pmm, uint64_t pa, size_t count)
{
        return take_range(pmm, pa, count, NULL);
}

/* ---- any run ---- */

/* The lowest page number >= `number` whose physical address has the alignment; false: beyond the arena. */
static bool next_aligned(const struct pmm_arena *arena, uint32_t align_log2, uint64_t *number)
{
        uint64_t mask = BIT_MASK(align_log2) - 1, address;
        if (add_overflows(arena->pa + *number * PAGE_BYTES, mask, &address))
                return false;
        *number = ((address & ~mask) - arena->pa) / PAGE_BYTES;
        return *number < arena->page_count;
}

struct run_request {
        uint64_t count;
        uint32_t align_log2; /* at least PAGE_BYTES_LOG2 */
        uint64_t *examined;  /* counts candidates */
};

/* Searches for candidates in [from, limit). Returns whether there is a run, and where. */
static bool find_run_between(const struct pmm_arena *arena, uint64_t from, uint64_t limit,
                             const struct run_request *request, uint64_t *first)
{
        uint64_t candidate = from;
        while (next_aligned(arena, request->align_log2, &candidate) && candidate < limit &&
               candidate <= arena->page_count - request->count) {
                ++*request->examined;
                uint64_t bad = pmm_run_last_not_free(arena, candidate, request->count);
                if (bad == PMM_RUN_ALL_FREE) {
                        *first = candidate;
                        return true;
                }
                candidate = next_free(arena, bad + 1); /* no run starts at a page that is not free */
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
        struct run_request request = {
                .count = count,
                .align_log2 = align_log2 > PAGE_BYTES_LOG2 ? align_log2 : PAGE_BYTES_LOG2,
                .examined = &examined,
        };
        zx_status_t status = ZX_ERR_NOT_FOUND;
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
        pmm->statistics.runs_examined_max = max_u64(pmm->statistics.runs_examined_max, examined);
        if (status == ZX_OK)
                pmm_signal_after_alloc(pmm);
        return status;
}
