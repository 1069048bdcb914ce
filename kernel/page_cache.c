/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* page_cache — the stock of pages of each CPU, and how it is filled up and drained.
 *
 * Facts: spec/zircon-objects.md, 3. */
#include "kernel/page_cache.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/page_cache_internal.h"

NOINLINE struct page_cache_entry *page_cache_entry_of_cpu_(const struct page_cache *cache)
{
        uint32_t cpu = cache->current_cpu();
        ASSERT(cpu < cache->cpu_count);
        return &cache->entries[cpu];
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
                cache->entries[cpu].pages.next = &cache->entries[cpu].pages;
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

/* Puts pages that have just come from the pmm, on `list` and in state ALLOC, into an empty stock;
 * the first is on top. */
static void stock_up(struct page_cache_entry *entry, struct list_node *list, uint64_t count)
{
        struct list_node *last = &entry->pages;
        LIST_FOR_EACH(node, list)
        {
                pmm_relabel(vm_page_from_node(node), VM_PAGE_ALLOC, VM_PAGE_CACHE);
                node->prev = NULL; /* [C3] */
                last->next = node;
                last = node;
        }
        last->next = &entry->pages;
        pmm_count_add(&entry->state_counts->pages[VM_PAGE_ALLOC], -count);
        pmm_count_add(&entry->state_counts->pages[VM_PAGE_CACHE], count);
        set_count(entry, count);
}

/* Moves the first `count` nodes of `from`, which has that many, to the tail of `to`. */
static void move_nodes(struct list_node *from, struct list_node *to, uint64_t count)
{
        for (uint64_t i = 0; i < count; i++)
                list_add_tail(to, list_remove_head(from));
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
        page_cache_pop_to(entry, entry->count, list);
        move_nodes(&fresh, list, missing);
        stock_up(entry, &fresh, wanted - missing);
        return ZX_OK;
}

zx_status_t page_cache_alloc(struct page_cache *cache, size_t count, uint32_t flags,
                             struct list_node *list)
{
        struct page_cache_entry *entry = page_cache_entry_here(cache);
        ASSERT(count <= PAGE_CACHE_REQUEST_PAGES_MAX);
        ASSERT((flags & ~(uint32_t)PMM_ALLOC_CAN_WAIT) == 0);
        if (UNLIKELY(count > entry->count))
                return alloc_from_pmm(cache, entry, count, flags, list);
        page_cache_pop_to(entry, count, list);
        page_cache_count_hits(entry, count);
        return ZX_OK;
}

static NOINLINE zx_status_t alloc_page_from_pmm(struct page_cache *cache,
                                                struct page_cache_entry *entry, uint32_t flags,
                                                struct vm_page **page)
{
        struct list_node list;
        zx_status_t status;
        if (cache->reserve_pages == 0) { /* no stock to fill up */
                status = pmm_alloc_page(cache->pmm, flags, page);
                pmm_count_add(&entry->counters.missed, status == ZX_OK);
                return status;
        }
        list_init(&list);
        status = alloc_from_pmm(cache, entry, 1, flags, &list);
        if (status == ZX_OK)
                *page = vm_page_from_node(list_remove_head(&list));
        return status;
}

zx_status_t page_cache_alloc_page(struct page_cache *cache, uint32_t flags, struct vm_page **page)
{
        struct page_cache_entry *entry = page_cache_entry_here(cache);
        ASSERT((flags & ~(uint32_t)PMM_ALLOC_CAN_WAIT) == 0);
        if (UNLIKELY(entry->count == 0))
                return alloc_page_from_pmm(cache, entry, flags, page);
        *page = page_cache_pop(entry, VM_PAGE_ALLOC);
        page_cache_count_hits(entry, 1);
        return ZX_OK;
}

/* ---- giving back ---- */

/* Of a list that leaves a chain of `next` behind: the rest of it, from behind `last` on, as a list
 * of its own. */
static void cut(struct list_node *list, struct list_node *last, struct list_node *rest)
{
        rest->next = last->next;
        rest->prev = list->prev;
        rest->next->prev = rest;
        rest->prev->next = rest;
}

void page_cache_free(struct page_cache *cache, struct list_node *list)
{
        struct page_cache_entry *entry = page_cache_entry_here(cache);
        struct pmm_state_counts *counts = entry->state_counts;
        uint64_t room = cache->reserve_pages - entry->count, kept = 0, buffers = 0;
        struct list_node *last = list, surplus;
        while (kept < room && last->next != list) {
                last = last->next;
                struct vm_page *page = vm_page_from_node(last);
                enum vm_page_state state = vm_page_state(page);
                ASSERT(state == VM_PAGE_ALLOC || state == VM_PAGE_IPC); /* nor freed before */
                pmm_write_state(page, VM_PAGE_CACHE);
                last->prev = NULL; /* [C3] */
                buffers += state == VM_PAGE_IPC;
                kept++;
        }
        pmm_count_add(&counts->pages[VM_PAGE_IPC], -buffers);
        pmm_count_add(&counts->pages[VM_PAGE_ALLOC], buffers - kept);
        pmm_count_add(&counts->pages[VM_PAGE_CACHE], kept);
        pmm_count_add(&entry->count, kept);

        bool full = last->next != list;
        if (UNLIKELY(full))
                cut(list, last, &surplus);
        if (LIKELY(kept != 0)) {
                last->next = entry->pages.next;
                entry->pages.next = list->next;
        }
        list_init(list);
        if (UNLIKELY(full)) {
                pmm_count_add(&entry->counters.freed, list_count(&surplus));
                pmm_free(cache->pmm, &surplus);
        }
}

void page_cache_free_page(struct page_cache *cache, struct vm_page *page)
{
        struct page_cache_entry *entry = page_cache_entry_here(cache);
        enum vm_page_state state = vm_page_state(page);
        ASSERT(!list_in_list(&page->list));
        if (UNLIKELY(entry->count >= cache->reserve_pages)) {
                pmm_count_add(&entry->counters.freed, 1);
                pmm_free_page(cache->pmm, page);
                return;
        }
        /* A page that is freed here for the second time is in state CACHE or FREE. */
        ASSERT(state == VM_PAGE_ALLOC || state == VM_PAGE_IPC);
        page_cache_push(entry, page, state);
}

uint64_t page_cache_drain(struct page_cache *cache, uint32_t cpu)
{
        ASSERT(cpu < cache->cpu_count);
        struct page_cache_entry *entry = &cache->entries[cpu];
        uint64_t count = entry->count;
        struct list_node pages;
        list_init(&pages);
        page_cache_pop_to(entry, count, &pages);
        pmm_free(cache->pmm, &pages);
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
        uint64_t in_stock = 0;
        memset(&sum, 0, sizeof(sum));
        for (uint32_t cpu = 0; cpu < cache->cpu_count; cpu++) {
                const struct page_cache_counters *one = &cache->entries[cpu].counters;
                sum.hit += __atomic_load_n(&one->hit, __ATOMIC_RELAXED);
                sum.missed += __atomic_load_n(&one->missed, __ATOMIC_RELAXED);
                sum.refilled += __atomic_load_n(&one->refilled, __ATOMIC_RELAXED);
                sum.freed += __atomic_load_n(&one->freed, __ATOMIC_RELAXED);
                sum.drained += __atomic_load_n(&one->drained, __ATOMIC_RELAXED);
                in_stock += page_cache_available(cache, cpu);
        }
        sum.returned = in_stock + sum.hit + sum.drained - sum.refilled; /* [C2] */
        return sum;
}

bool page_cache_valid(const struct page_cache *cache)
{
        for (uint32_t cpu = 0; cpu < cache->cpu_count; cpu++) {
                const struct page_cache_entry *entry = &cache->entries[cpu];
                const struct list_node *node = entry->pages.next;
                for (uint64_t i = 0; i < entry->count; i++, node = node->next) {
                        const struct vm_page *page =
                                vm_page_from_node((struct list_node *)(uintptr_t)node);
                        if (node == &entry->pages || node->prev != NULL || /* [C3] */
                            vm_page_state(page) != VM_PAGE_CACHE)
                                return false;
                }
                if (node != &entry->pages || entry->count > cache->reserve_pages)
                        return false;
        }
        return true;
}
