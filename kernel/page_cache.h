/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* page_cache — a stock of pages for each CPU, in front of the pmm.
 *
 *   page_cache_alloc:  stock (last in, first out) -> pmm, which also fills the stock up
 *   page_cache_free:   stock, up to the reserve   -> pmm
 *
 * A request fails only when the CPU's stock and the pmm together have too few pages. The stock is
 * empty until the first request. Pages in it are in state CACHE: for the pmm they are not free;
 * page_cache_drain gives them back.
 *
 * Owner       struct page_cache is the caller's and must not move; its entries are the caller's or,
 *             if none are handed in, pages of the pmm
 * Context     any CPU, not from interrupt handlers, and nothing else runs on the CPU meanwhile
 *             (there is no preemption; on the host: a thread for each CPU). Each CPU touches its
 *             own entry only, so there is no lock; only what goes to the pmm takes the pmm's. A
 *             page may come back on another CPU than it was handed out on, and stays there
 * Invariants  [C1] entry->count is the length of its list and at most the reserve
 *             [C2] hit + missed is the number of pages handed out;
 *                  refilled + returned - hit - drained is the number of pages in the stock
 *             [C3] the pages of a stock are chained by list.next alone, the last one leads to the
 *                  entry; list.prev is NULL
 * Facts       spec/zircon-objects.md, 3. Unlike there: last in first out, stock and pmm are
 *             combined, the stock is used before new pages and can be drained, and no request is
 *             made to wait at random (host-tests --refuse refuses each in turn) */
#ifndef KERNEL_PAGE_CACHE_H
#define KERNEL_PAGE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"
#include "kernel/pmm.h"

#define PAGE_CACHE_CPU_COUNT_MAX 1024
#define PAGE_CACHE_RESERVE_PAGES_MAX (1u << 20)
#define PAGE_CACHE_REQUEST_PAGES_MAX (1ull << 60) /* more is our bug */

/* In pages. */
struct page_cache_counters {
        uint64_t hit;      /* handed out from the stock */
        uint64_t missed;   /* handed out from the pmm */
        uint64_t refilled; /* from the pmm into the stock */
        /* Freed into the stock; not counted, but reckoned from the others [C2]. */
        uint64_t returned;
        uint64_t freed;    /* freed to the pmm because the stock was full */
        uint64_t drained;  /* from the stock to the pmm by page_cache_drain */
};

struct page_cache_entry {
        struct list_node pages; /* a stack through `next` [C3]; on top: the page freed last */
        uint64_t count;
        struct pmm_state_counts *state_counts; /* where the pmm counts for this CPU */
        struct page_cache_counters counters;
} ALIGNED(64);

struct page_cache {
        struct pmm *pmm;
        struct page_cache_entry *entries;
        uint32_t cpu_count;
        uint32_t reserve_pages;
        uint32_t (*current_cpu)(void);
        struct list_node own_pages; /* what the entries are made of, if they came from the pmm */
};

struct page_cache_config {
        struct pmm *pmm;
        uint32_t reserve_pages;           /* for each CPU, 0 .. PAGE_CACHE_RESERVE_PAGES_MAX */
        uint32_t cpu_count;               /* 1 .. PAGE_CACHE_CPU_COUNT_MAX */
        struct page_cache_entry *entries; /* cpu_count of them; NULL: taken from the pmm */
        uint32_t (*current_cpu)(void);    /* 0 .. cpu_count - 1; NULL: always 0. If the pmm has
                                           * been given one, it is the same */
};

/* Makes an empty cache.
 *   returns  ZX_OK; ZX_ERR_NO_MEMORY: no pages for the entries;
 *            ZX_ERR_INVALID_ARGS: a bound of the config */
zx_status_t MUST_CHECK page_cache_init(struct page_cache *cache,
                                       const struct page_cache_config *config);
/* Drains every CPU and gives the entries back. Nobody uses the cache any more. */
void page_cache_fini(struct page_cache *cache);

/* Pages for the current CPU, in state ALLOC, appended to `list`.
 *   count    0: nothing, ZX_OK
 *   flags    PMM_ALLOC_ANY or PMM_ALLOC_CAN_WAIT, for the pmm
 *   returns  ZX_OK; the pmm's status (NO_MEMORY, SHOULD_WAIT), nothing changed
 *   cost     no call of the pmm while the stock suffices */
zx_status_t MUST_CHECK page_cache_alloc(struct page_cache *cache, size_t count, uint32_t flags,
                                        struct list_node *list);
/* Takes every page on `list`, which becomes empty; they are in state ALLOC or IPC. As many as fit
 * go in front of the stock and keep their order, the others go to the pmm. The first on `list` is
 * the next to be handed out. */
void page_cache_free(struct page_cache *cache, struct list_node *list);

/* One page, without a list. */
zx_status_t MUST_CHECK page_cache_alloc_page(struct page_cache *cache, uint32_t flags,
                                             struct vm_page **page);
void page_cache_free_page(struct page_cache *cache, struct vm_page *page);

/* Gives the stock of one CPU back to the pmm; returns the number of pages. On that CPU, or while it
 * does not use the cache (cpu_run_on in the kernel). */
uint64_t page_cache_drain(struct page_cache *cache, uint32_t cpu);
/* Of all CPUs, while none of them uses the cache. */
uint64_t page_cache_drain_all(struct page_cache *cache);

/* Pages in stock, of one CPU. May be a moment old for another. */
uint64_t page_cache_available(const struct page_cache *cache, uint32_t cpu);
/* The sum over all CPUs. Exact while none of them uses the cache. */
struct page_cache_counters page_cache_counters(const struct page_cache *cache);

/* [C1] and [C3] for every CPU; walks the lists. While none of them uses the cache. */
bool page_cache_valid(const struct page_cache *cache);

#endif
