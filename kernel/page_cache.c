/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* page_cache — the stock of pages of each CPU, and how it is filled up and drained.
 *
 * Facts: spec/zircon-objects.md, 3. */
#include "kernel/page_cache.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/pmm_internal.h"

static NOINLINE struct page_cache_entry *entry_of_this_cpu(const struct page_cache *cache)
{
        uint32_t cpu = cache->current_cpu();
        ASSERT(cpu < cache->cpu_count);
        return &cache->entries[cpu];
}

static inline struct page_cache_entry *current_entry(const struct page_cache *cache)
{
        return LIKELY(cache->current_cpu == NULL) ? cache->entries : entry_of_this_cpu(cache);
}

zx_status_t page_cache_init(struct page_cache *cache, const struct page_cache_config *config)
{
        uint64_t entries_pa;
        if (config->pmm == NULL || config->cpu_count == 0 ||
            config->cpu_count > PAGE_CACHE_CPU_COUNT_MAX ||
            config->reserve_pages > PAGE_CACHE_RESERVE_PAGES_MAX ||
            (config->pmm->current_cpu != NULL &&
             (config->pmm->current_cpu != config->current_cpu ||
              config->pmm->cpu_count < config->cpu_count)))
                return ZX_ERR_INVALID_ARGS;

        memset(cache, 0, sizeof(*cache));
        list_init(&cache->own_pages);
        cache->pmm = config->pmm;
        cache->reserve_pages = config->reserve_pages;
        cache->cpu_count = config->cpu_count;
        cache->current_cpu = config->current_cpu;
        cache->entries = config->entries;
        if (cache->entries == NULL) {
                uint64_t bytes = config->cpu_count * sizeof(cache->entries[0]);
                zx_status_t status = pmm_alloc_contiguous(
                        cache->pmm, div_round_up(bytes, PAGE_BYTES), PMM_ALLOC_ANY, PAGE_BYTES_LOG2,
                        &entries_pa, &cache->own_pages);
                if (status != ZX_OK)
                        return ZX_ERR_NO_MEMORY;
                cache->entries = pmm_pa_to_va(cache->pmm, entries_pa);
        }
        memset(cache->entries, 0, cache->cpu_count * sizeof(cache->entries[0]));
        for (uint32_t cpu = 0; cpu < cache->cpu_count; cpu++) {
                list_init(&cache->entries[cpu].pages);
                cache->entries[cpu].state_counts =
                        &cache->pmm->cpu_counts[cache->pmm->current_cpu != NULL ? cpu : 0];
        }
        return ZX_OK;
}

void page_cache_fini(struct page_cache *cache)
{
        page_cache_drain_all(cache);
        cache->entries = NULL;
        pmm_free(cache->pmm, &cache->own_pages);
}

/* ---- the stock ---- */

static void set_count(struct page_cache_entry *entry, uint64_t count)
{
        __atomic_store_n(&entry->count, count, __ATOMIC_RELAXED); /* others may look at it */
}

/* Moves the first `count` nodes of `from`, which has that many, to the tail of `to`; every page
 * changes from state `old_state` to `new_state`. */
static void move_pages(struct pmm_state_counts *counts, struct list_node *from,
                       struct list_node *to, uint64_t count, enum vm_page_state old_state,
                       enum vm_page_state new_state)
{
        struct list_node *first = from->next, *last = from;
        if (count == 0)
                return;
        for (uint64_t i = 0; i < count; i++) {
                last = last->next;
                pmm_relabel(vm_page_from_node(last), old_state, new_state);
        }
        pmm_count_add(&counts->pages[old_state], -count);
        pmm_count_add(&counts->pages[new_state], count);
        from->next = last->next;
        last->next->prev = from;
        first->prev = to->prev;
        to->prev->next = first;
        last->next = to;
        to->prev = last;
}

/* Hands out the whole stock and what is missing from the pmm, which also fills the stock up as far
 * as it can. Asking for no more than it has keeps a request that can be served from failing. */
static zx_status_t alloc_from_pmm(struct page_cache *cache, struct page_cache_entry *entry,
                                  uint64_t count, uint32_t flags, struct list_node *list)
{
        uint64_t missing = count - entry->count;
        uint64_t wanted;
        struct list_node fresh;
        list_init(&fresh);
        zx_status_t status = pmm_alloc_between(cache->pmm, missing, missing + cache->reserve_pages,
                                               flags, &fresh, &wanted);
        if (status != ZX_OK)
                return status;

        pmm_count_add(&entry->counters.hit, entry->count);
        pmm_count_add(&entry->counters.missed, missing);
        pmm_count_add(&entry->counters.refilled, wanted - missing);
        move_pages(entry->state_counts, &entry->pages, list, entry->count, VM_PAGE_CACHE,
                   VM_PAGE_ALLOC);
        move_pages(entry->state_counts, &fresh, list, missing, VM_PAGE_ALLOC, VM_PAGE_ALLOC);
        move_pages(entry->state_counts, &fresh, &entry->pages, wanted - missing, VM_PAGE_ALLOC,
                   VM_PAGE_CACHE);
        set_count(entry, wanted - missing);
        return ZX_OK;
}

zx_status_t page_cache_alloc(struct page_cache *cache, size_t count, uint32_t flags,
                             struct list_node *list)
{
        struct page_cache_entry *entry = current_entry(cache);
        ASSERT(count <= PAGE_CACHE_REQUEST_PAGES_MAX);
        ASSERT((flags & ~(uint32_t)PMM_ALLOC_CAN_WAIT) == 0);
        if (UNLIKELY(count > entry->count))
                return alloc_from_pmm(cache, entry, count, flags, list);
        move_pages(entry->state_counts, &entry->pages, list, count, VM_PAGE_CACHE, VM_PAGE_ALLOC);
        pmm_count_add(&entry->count, -count);
        pmm_count_add(&entry->counters.hit, count);
        return ZX_OK;
}

static NOINLINE zx_status_t alloc_page_from_pmm(struct page_cache *cache,
                                                struct page_cache_entry *entry, uint32_t flags,
                                                struct vm_page **page)
{
        struct list_node list;
        list_init(&list);
        zx_status_t status = alloc_from_pmm(cache, entry, 1, flags, &list);
        if (status == ZX_OK)
                *page = vm_page_from_node(list_remove_head(&list));
        return status;
}

zx_status_t page_cache_alloc_page(struct page_cache *cache, uint32_t flags, struct vm_page **page)
{
        struct page_cache_entry *entry = current_entry(cache);
        ASSERT((flags & ~(uint32_t)PMM_ALLOC_CAN_WAIT) == 0);
        if (UNLIKELY(entry->count == 0))
                return alloc_page_from_pmm(cache, entry, flags, page);
        struct vm_page *hot = vm_page_from_node(entry->pages.next);
        pmm_count_move(entry->state_counts, hot, VM_PAGE_CACHE, VM_PAGE_ALLOC);
        list_remove(&hot->list);
        pmm_count_add(&entry->count, -1ull);
        pmm_count_add(&entry->counters.hit, 1);
        *page = hot;
        return ZX_OK;
}

/* ---- giving back ---- */

/* A page that is freed here for the second time is in state CACHE or FREE and ends in this
 * assertion. */
static inline void park(struct page_cache_entry *entry, struct vm_page *page)
{
        enum vm_page_state state = vm_page_state(page);
        ASSERT(state == VM_PAGE_ALLOC || state == VM_PAGE_IPC);
        pmm_count_move(entry->state_counts, page, state, VM_PAGE_CACHE);
}

void page_cache_free(struct page_cache *cache, struct list_node *list)
{
        struct page_cache_entry *entry = current_entry(cache);
        uint64_t room = cache->reserve_pages - entry->count, kept = 0;
        struct list_node *last = list, surplus;
        while (kept < room && last->next != list) {
                last = last->next;
                park(entry, vm_page_from_node(last));
                kept++;
        }

        list_init(&surplus);
        if (UNLIKELY(last->next != list)) { /* cut behind `last` */
                surplus.next = last->next;
                surplus.prev = list->prev;
                surplus.next->prev = &surplus;
                surplus.prev->next = &surplus;
                last->next = list;
                list->prev = last;
        }
        list_splice_head(&entry->pages, list);
        pmm_count_add(&entry->count, kept);
        pmm_count_add(&entry->counters.returned, kept);
        if (UNLIKELY(!list_is_empty(&surplus))) {
                pmm_count_add(&entry->counters.freed, list_count(&surplus));
                pmm_free(cache->pmm, &surplus);
        }
}

void page_cache_free_page(struct page_cache *cache, struct vm_page *page)
{
        struct page_cache_entry *entry = current_entry(cache);
        ASSERT(!list_in_list(&page->list));
        if (UNLIKELY(entry->count >= cache->reserve_pages)) {
                pmm_count_add(&entry->counters.freed, 1);
                pmm_free_page(cache->pmm, page);
                return;
        }
        park(entry, page);
        list_add_head(&entry->pages, &page->list);
        pmm_count_add(&entry->count, 1);
        pmm_count_add(&entry->counters.returned, 1);
}

uint64_t page_cache_drain(struct page_cache *cache, uint32_t cpu)
{
        ASSERT(cpu < cache->cpu_count);
        struct page_cache_entry *entry = &cache->entries[cpu];
        uint64_t count = entry->count;
        pmm_free(cache->pmm, &entry->pages);
        set_count(entry, 0);
        pmm_count_add(&entry->counters.drained, count);
        return count;
}

uint64_t page_cache_drain_all(struct page_cache *cache)
{
        uint64_t count = 0;
        for (uint32_t cpu = 0; cpu < cache->cpu_count; cpu++)
                count += page_cache_drain(cache, cpu);
        return count;
}

/* ---- what it knows about itself ---- */

uint64_t page_cache_available(const struct page_cache *cache, uint32_t cpu)
{
        ASSERT(cpu < cache->cpu_count);
        return __atomic_load_n(&cache->entries[cpu].count, __ATOMIC_RELAXED);
}

struct page_cache_counters page_cache_counters(const struct page_cache *cache)
{
        struct page_cache_counters sum;
        memset(&sum, 0, sizeof(sum));
        for (uint32_t cpu = 0; cpu < cache->cpu_count; cpu++) {
                const struct page_cache_counters *one = &cache->entries[cpu].counters;
                sum.hit += __atomic_load_n(&one->hit, __ATOMIC_RELAXED);
                sum.missed += __atomic_load_n(&one->missed, __ATOMIC_RELAXED);
                sum.refilled += __atomic_load_n(&one->refilled, __ATOMIC_RELAXED);
                sum.returned += __atomic_load_n(&one->returned, __ATOMIC_RELAXED);
                sum.freed += __atomic_load_n(&one->freed, __ATOMIC_RELAXED);
                sum.drained += __atomic_load_n(&one->drained, __ATOMIC_RELAXED);
        }
        return sum;
}

bool page_cache_valid(const struct page_cache *cache)
{
        for (uint32_t cpu = 0; cpu < cache->cpu_count; cpu++) {
                const struct page_cache_entry *entry = &cache->entries[cpu];
                const struct page_cache_counters *c = &entry->counters;
                const struct list_node *node = entry->pages.next;
                for (uint64_t i = 0; i < entry->count; i++, node = node->next) {
                        const struct vm_page *page =
                                vm_page_from_node((struct list_node *)(uintptr_t)node);
                        if (node == &entry->pages || node->next->prev != node ||
                            vm_page_state(page) != VM_PAGE_CACHE)
                                return false;
                }
                if (node != &entry->pages || entry->count > cache->reserve_pages ||
                    c->refilled + c->returned - c->hit - c->drained != entry->count)
                        return false;
        }
        return true;
}
