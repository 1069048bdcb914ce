/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm_page — single pages: allocate, free, change state.
 *
 * Facts: spec/zircon-objects.md, 2.2, 2.4, 2.5. */
#include "kernel/pmm.h"
#include "kernel/pmm_internal.h"

#define KNOWN_FLAGS (PMM_ALLOC_LO_MEM | PMM_ALLOC_CAN_WAIT)

/* States from which a page can be freed: all but the pmm's own and WIRED. */
#define FREEABLE_STATES                                                                     \
        (BIT_MASK(VM_PAGE_ALLOC) | BIT_MASK(VM_PAGE_OBJECT) | BIT_MASK(VM_PAGE_HEAP) |      \
         BIT_MASK(VM_PAGE_MMU) | BIT_MASK(VM_PAGE_IOMMU) | BIT_MASK(VM_PAGE_IPC) |          \
         BIT_MASK(VM_PAGE_CACHE) | BIT_MASK(VM_PAGE_SLAB) | BIT_MASK(VM_PAGE_ZRAM))

/* States that a holder may give to a page. */
#define LABEL_STATES (FREEABLE_STATES | BIT_MASK(VM_PAGE_WIRED))

static bool state_in(enum vm_page_state state, uint64_t states)
{
        return (BIT_MASK(state) & states) != 0;
}

/* ---- allocation ---- */

/* Whether this request has to wait although there may be pages (2.7). */
static bool has_to_wait(struct pmm *pmm, uint32_t flags)
{
        if (LIKELY((flags & PMM_ALLOC_CAN_WAIT) == 0) || pmm->wait_state != PMM_WAIT_UNTIL_RESET)
                return false;
        pmm->statistics.delayed_allocations++;
        return true;
}

/* Everything up to pmm_alloc_page is under the lock.
 *
 * Takes the page at the head of a zone that has one. */
static struct vm_page *take_head(struct pmm *pmm, enum pmm_zone zone)
{
        struct list_node *list = &pmm->free_list[zone];
        if (UNLIKELY(list_is_empty(list)))
                pmm_set_up_next_group(pmm, zone);
        struct vm_page *page = vm_page_from_node(list->next);
        uint64_t number;
        struct pmm_arena *arena = pmm_arena_of_page(pmm, page, &number);

        pmm_move_state_locked(pmm, page, VM_PAGE_FREE, VM_PAGE_ALLOC);
        pmm_count_add(&pmm->free_in_zone[zone], -1ull);
        arena->free_words[number / PMM_GROUP_PAGES] &= ~BIT_MASK(number % PMM_GROUP_PAGES);
        list_remove(&page->list);
        if (UNLIKELY(pmm->checker.armed))
                (void)pmm_checker_verify(pmm, page);
        return page;
}

static inline zx_status_t alloc_page(struct pmm *pmm, uint32_t flags, struct vm_page **page)
{
        if (has_to_wait(pmm, flags))
                return ZX_ERR_SHOULD_WAIT;

        bool high = pmm->free_in_zone[PMM_ZONE_HIGH] != 0 && (flags & PMM_ALLOC_LO_MEM) == 0;
        enum pmm_zone zone = high ? PMM_ZONE_HIGH : PMM_ZONE_LOW;
        if (UNLIKELY(pmm->free_in_zone[zone] == 0)) {
                pmm_signal_failed(pmm, 1);
                return ZX_ERR_NO_MEMORY;
        }
        *page = take_head(pmm, zone);
        pmm_signal_after_alloc(pmm);
        return ZX_OK;
}

/* What happens to a request for more pages than there are. */
static zx_status_t not_enough(struct pmm *pmm, size_t count, uint32_t flags)
{
        if ((flags & PMM_ALLOC_CAN_WAIT) != 0 && pmm->wait_state != PMM_WAIT_NEVER) {
                pmm->statistics.delayed_allocations++;
                return ZX_ERR_SHOULD_WAIT;
        }
        pmm_signal_failed(pmm, count);
        return ZX_ERR_NO_MEMORY;
}

/* `count` is at least 1. */
static zx_status_t alloc_pages(struct pmm *pmm, uint64_t count, uint32_t flags,
                               struct list_node *list)
{
        struct vm_page *page;
        if (count == 1) {
                zx_status_t status = alloc_page(pmm, flags, &page);
                if (status == ZX_OK)
                        list_add_tail(list, &page->list);
                return status;
        }

        uint64_t from_high = 0;
        if ((flags & PMM_ALLOC_LO_MEM) == 0)
                from_high = min_u64(count, pmm->free_in_zone[PMM_ZONE_HIGH]);
        if (count - from_high > pmm->free_in_zone[PMM_ZONE_LOW])
                return not_enough(pmm, count, flags);
        if (has_to_wait(pmm, flags))
                return ZX_ERR_SHOULD_WAIT;

        for (uint64_t i = 0; i < count; i++) {
                page = take_head(pmm, i < from_high ? PMM_ZONE_HIGH : PMM_ZONE_LOW);
                list_add_tail(list, &page->list);
        }
        pmm_signal_after_alloc(pmm);
        return ZX_OK;
}

zx_status_t pmm_alloc_page(struct pmm *pmm, uint32_t flags, struct vm_page **page)
{
        ASSERT((flags & ~(uint32_t)KNOWN_FLAGS) == 0);
        pmm_lock(pmm);
        zx_status_t status = alloc_page(pmm, flags, page);
        pmm_unlock(pmm);
        return status;
}

zx_status_t pmm_alloc_pages(struct pmm *pmm, size_t count, uint32_t flags, struct list_node *list)
{
        ASSERT((flags & ~(uint32_t)KNOWN_FLAGS) == 0);
        if (count == 0)
                return ZX_OK;
        pmm_lock(pmm);
        zx_status_t status = alloc_pages(pmm, count, flags, list);
        pmm_unlock(pmm);
        return status;
}

zx_status_t pmm_alloc_between(struct pmm *pmm, uint64_t least, uint64_t most, uint32_t flags,
                              struct list_node *list, uint64_t *count_out)
{
        ASSERT((flags & ~(uint32_t)PMM_ALLOC_CAN_WAIT) == 0);
        ASSERT(least > 0);
        pmm_lock(pmm);
        uint64_t count = max_u64(least, min_u64(most, pmm->state_count[VM_PAGE_FREE]));
        zx_status_t status = alloc_pages(pmm, count, flags, list);
        pmm_unlock(pmm);
        *count_out = count;
        return status;
}

/* ---- free ---- */

/* A group with the pages that have just become FREE in it, before its bits say so. */
struct freed {
        struct pmm_arena *arena; /* NULL: none yet */
        uint64_t group;
        uint64_t bits;
        uint64_t count; /* of them */
};

/* Everything up to pmm_free_locked is under the lock, but pmm_free_page.
 *
 * Makes a page FREE and the head (or, with free_late, the tail) of its free list, in all but
 * its bit. It must be on no list.
 *   last     where the page freed before this one lies: most pages that come together lie together
 *   returns  the arena, *number out */
static ALWAYS_INLINE struct pmm_arena *give_back(struct pmm *pmm, struct vm_page *page,
                                                 struct pmm_arena *last, uint64_t *number)
{
        struct pmm_arena *arena = last;
        enum vm_page_state state = vm_page_state(page);

        if (last == NULL || !pmm_arena_has_page(last, page, number))
                arena = pmm_arena_of_page(pmm, page, number);
        ASSERT(state < VM_PAGE_STATE_COUNT);
        ASSERT(state_in(state, FREEABLE_STATES)); /* a second free ends here */
        ASSERT(!list_in_list(&page->list));
        ASSERT(page->loan_flags == 0);
        if (state == VM_PAGE_OBJECT) {
                ASSERT(page->use.object.owner == NULL);
                ASSERT((page->use.object.bits & VM_PAGE_PIN_COUNT_MASK) == 0);
        }
        pmm_write_state(page, VM_PAGE_FREE);
        pmm_count_add(&pmm->state_count[state], -1ull);
        if (UNLIKELY(pmm->free_late))
                pmm_add_tail(pmm, arena, page);
        else
                list_add_head(&pmm->free_list[arena->zone], &page->list);
        return arena;
}

/* Sets the bits of a group, and counts its pages. */
static void settle(struct pmm *pmm, const struct freed *freed)
{
        if (freed->arena == NULL)
                return;
        pmm_mark_free_bits(freed->arena, freed->group, freed->bits);
        pmm_count_add(&pmm->free_in_zone[freed->arena->zone], freed->count);
        pmm_count_add(&pmm->state_count[VM_PAGE_FREE], freed->count);
}

void pmm_free_page(struct pmm *pmm, struct vm_page *page)
{
        uint64_t number;
        pmm_lock(pmm);
        struct pmm_arena *arena = give_back(pmm, page, NULL, &number);
        pmm_count_add(&pmm->free_in_zone[arena->zone], 1);
        pmm_count_add(&pmm->state_count[VM_PAGE_FREE], 1);
        pmm_mark_free(arena, number);
        pmm_signal_after_free(pmm);
        pmm_unlock(pmm);
}

void pmm_free_locked(struct pmm *pmm, struct list_node *list)
{
        struct freed freed = {NULL, 0, 0, 0};
        /* From the tail, so that the list keeps its order at the head of the free list. */
        for (struct list_node *node = list->prev, *before; node != list; node = before) {
                uint64_t number;
                before = node->prev;
                node->prev = NULL;
                node->next = NULL;
                struct pmm_arena *arena =
                        give_back(pmm, vm_page_from_node(node), freed.arena, &number);
                uint64_t group = number / PMM_GROUP_PAGES;
                if (UNLIKELY(group != freed.group || arena != freed.arena)) {
                        settle(pmm, &freed);
                        freed = (struct freed){arena, group, 0, 0};
                }
                freed.bits |= BIT_MASK(number % PMM_GROUP_PAGES);
                freed.count++;
        }
        settle(pmm, &freed);
        list_init(list);
}

void pmm_free(struct pmm *pmm, struct list_node *list)
{
        pmm_lock(pmm);
        pmm_free_locked(pmm, list);
        pmm_signal_after_free(pmm);
        pmm_unlock(pmm);
}

/* ---- states ---- */

void pmm_set_state(struct pmm *pmm, struct vm_page *page, enum vm_page_state state)
{
        enum vm_page_state from = vm_page_state(page);
        ASSERT(from < VM_PAGE_STATE_COUNT);
        ASSERT((unsigned)state < VM_PAGE_STATE_COUNT);
        ASSERT(state_in(from, FREEABLE_STATES));
        ASSERT(state_in(state, LABEL_STATES));
        if (state == VM_PAGE_OBJECT && from != VM_PAGE_OBJECT)
                memset(&page->use, 0, sizeof(page->use));
        pmm_move_state(pmm, page, from, state);
}

void pmm_unwire_page(struct pmm *pmm, struct vm_page *page)
{
        uint64_t number;
        const struct pmm_arena *arena = pmm_arena_of_page(pmm, page, &number);
        ASSERT(number < arena->own_first || number >= arena->own_end); /* [P4] */
        if (list_in_list(&page->list))
                list_remove(&page->list);
        pmm_move_state(pmm, page, VM_PAGE_WIRED, VM_PAGE_ALLOC);
}

void pmm_free_wired_range(struct pmm *pmm, uint64_t pa, size_t count)
{
        struct list_node pages; /* the lowest is the first, and the next to be allocated */
        list_init(&pages);
        for (size_t i = 0; i < count; i++) {
                struct vm_page *page = pmm_page_from_pa(pmm, pa + i * PAGE_BYTES);
                ASSERT(page != NULL);
                pmm_unwire_page(pmm, page);
                list_add_tail(&pages, &page->list);
        }
        pmm_free(pmm, &pages);
}
