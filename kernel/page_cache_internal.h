/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* page_cache_internal — the stock of one CPU, inline: what page_cache.c and buffer_chain.c take
 * from it and put back for every message.
 *
 *   entry->pages.next -> page -> page -> ... -> entry->pages
 *
 * The stock is a stack: only `next` leads on, so that neither end of a move touches a neighbour's
 * page structure; `prev` is NULL in all of them [C3]. */
#ifndef KERNEL_PAGE_CACHE_INTERNAL_H
#define KERNEL_PAGE_CACHE_INTERNAL_H

#include "kernel/page_cache.h"
#include "kernel/pmm_internal.h"

/* The entry of the calling CPU when there are several. */
struct page_cache_entry *page_cache_entry_of_cpu_(const struct page_cache *cache);

static inline struct page_cache_entry *page_cache_entry_here(const struct page_cache *cache)
{
        return LIKELY(cache->current_cpu == NULL) ? cache->entries
                                                  : page_cache_entry_of_cpu_(cache);
}

/* Takes the page on top of a stock that has one: in state `state` and on no list. That it counts as
 * a hit is the caller's business, as in the next function. */
static ALWAYS_INLINE struct vm_page *page_cache_pop(struct page_cache_entry *entry,
                                                    enum vm_page_state state)
{
        struct list_node *node = entry->pages.next;
        struct vm_page *page = vm_page_from_node(node);
        DEBUG_ASSERT(node != &entry->pages);
        DEBUG_ASSERT(node->prev == NULL); /* [C3] */
        pmm_count_move(entry->state_counts, page, VM_PAGE_CACHE, state);
        entry->pages.next = node->next;
        node->next = NULL;
        return page;
}

/* Puts `count` pages of a stock, from `node` on, between `last`, the tail of `list`, and its
 * head; they are in state ALLOC now. Returns what stays in the stock; to take them out and to
 * count them is the caller's business. */
static ALWAYS_INLINE struct list_node *page_cache_chain_up(struct list_node *node, uint64_t count,
                                                           struct list_node *last,
                                                           struct list_node *list)
{
        for (; count > 0; count--) {
                pmm_relabel(vm_page_from_node(node), VM_PAGE_CACHE, VM_PAGE_ALLOC);
                node->prev = last;
                last->next = node;
                last = node;
                node = node->next;
        }
        last->next = list;
        list->prev = last;
        return node;
}

/* Moves the `count` pages on top, in state ALLOC now, to the tail of `list`. There are so many. */
static inline void page_cache_pop_to(struct page_cache_entry *entry, uint64_t count,
                                     struct list_node *list)
{
        entry->pages.next = page_cache_chain_up(entry->pages.next, count, list->prev, list);
        pmm_count_add(&entry->state_counts->pages[VM_PAGE_CACHE], -count);
        pmm_count_add(&entry->state_counts->pages[VM_PAGE_ALLOC], count);
}

/* What follows the two above when the pages came from the stock. */
static inline void page_cache_count_hits(struct page_cache_entry *entry, uint64_t count)
{
        pmm_count_add(&entry->count, -count);
        pmm_count_add(&entry->counters.hit, count);
}

/* Puts a page on top of a stock that is not full. It is on no list, and in state `state`: the
 * caller has just made sure of both. */
static ALWAYS_INLINE void page_cache_push(struct page_cache_entry *entry, struct vm_page *page,
                                          enum vm_page_state state)
{
        struct list_node *node = &page->list;
        struct pmm_state_counts *counts = entry->state_counts;
        DEBUG_ASSERT(!list_in_list(node));
        DEBUG_ASSERT(node->prev == NULL); /* [C3] */
        DEBUG_ASSERT(vm_page_state(page) == state);
        pmm_write_state(page, VM_PAGE_CACHE);
        pmm_count_add(&counts->pages[state], -1ull);
        pmm_count_add(&counts->pages[VM_PAGE_CACHE], 1);
        node->next = entry->pages.next;
        entry->pages.next = node;
        pmm_count_add(&entry->count, 1);
}

#endif
