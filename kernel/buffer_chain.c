/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* buffer_chain — one message in page-sized buffers.
 *
 * Facts: spec/zircon-objects.md, 4. */
#include "kernel/buffer_chain.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/page_cache_internal.h"
#include "kernel/pmm_internal.h"

_Static_assert(BUFFER_CHAIN_BUFFER_BYTES == PAGE_BYTES, "a buffer is a page");

/* The first page would hold the wrong canary if the chain had been freed or overwritten. */
static struct buffer_chain_buffer *checked(struct buffer_chain_buffer *buffer)
{
        ASSERT(buffer->canary == BUFFER_CHAIN_CANARY);
        return buffer;
}

static struct buffer_chain_buffer *buffer_of_chain(const struct buffer_chain *chain)
{
        const char *raw_data = (const char *)chain;
        uintptr_t address = (uintptr_t)(raw_data - offsetof(struct buffer_chain_buffer, raw_data));
        return checked((struct buffer_chain_buffer *)address);
}

/* The page structure of the first buffer, in which the chain keeps its length and its cache. */
static struct vm_page *first_page(const struct buffer_chain *chain)
{
        return vm_page_from_node(chain->used_pages.next);
}

static struct page_cache *cache_of(const struct buffer_chain *chain)
{
        return first_page(chain)->use.ipc.owner;
}

/* Makes a page in state IPC a buffer. */
static inline struct buffer_chain_buffer *make_buffer(const struct pmm *pmm, struct vm_page *page,
                                                      uint32_t reserved_bytes)
{
        struct buffer_chain_buffer *buffer = pmm_page_va(pmm, page);
        buffer->next = BUFFER_CHAIN_END;
        buffer->canary = BUFFER_CHAIN_CANARY;
        buffer->reserved_bytes = reserved_bytes;
        return buffer;
}

/* What lies in one buffer of a short message is copied in two pieces if it is more than so
 * many bytes. Payload starts 72 or 16 bytes into a page and so seldom lies like its source;
 * for such bytes one long copy of the usual C library costs a sixth more than two short
 * ones, the second of which begins at a cache line. What does not fit the processor's
 * nearest cache is better copied at one go. */
#define COPY_PIECE_BYTES 2048u
#define COPY_IN_PIECES_BYTES_MAX (4 * BUFFER_CHAIN_BUFFER_BYTES)
#define CACHE_LINE_BYTES 64u

_Static_assert(BUFFER_CHAIN_RAW_DATA_BYTES <= 2 * COPY_PIECE_BYTES, "two pieces");

/* `bytes` bytes in one buffer of a message of `message_bytes`. */
static inline void copy(void *restrict destination, const void *restrict source, size_t bytes,
                        size_t message_bytes)
{
        if (bytes > COPY_PIECE_BYTES && message_bytes <= COPY_IN_PIECES_BYTES_MAX) {
                size_t piece = COPY_PIECE_BYTES - (uintptr_t)destination % CACHE_LINE_BYTES;
                /* What memcpy returns is its destination: one word less to keep meanwhile. */
                destination = (char *)memcpy(destination, source, piece) + piece;
                source = (const char *)source + piece;
                bytes -= piece;
        }
        memcpy(destination, source, bytes);
}

/* ---- a chain's life ---- */

void buffer_chain_initialize_page_cache(struct page_cache *cache,
                                        const struct page_cache_config *config)
{
        zx_status_t status = page_cache_init(cache, config);
        ASSERT(status == ZX_OK);
}

/* A chain of one buffer, in the page `page`, which is in state IPC and on no list. */
static inline struct buffer_chain *make_chain(struct page_cache *cache, struct vm_page *page)
{
        struct buffer_chain_buffer *buffer =
                make_buffer(cache->pmm, page, BUFFER_CHAIN_CHAIN_BYTES);
        struct buffer_chain *chain = (struct buffer_chain *)(void *)buffer->raw_data;
        chain->first = buffer;
        chain->tail = buffer;
        chain->write_offset = 0;
        chain->used_pages.prev = &page->list;
        chain->used_pages.next = &page->list;
        page->list.prev = &chain->used_pages;
        page->list.next = &chain->used_pages;
        list_init(&chain->unused_pages);
        page->use.ipc.owner = cache;
        page->use.ipc.full_bytes = 0;
        return chain;
}

/* When the stock has too few pages. */
static NOINLINE zx_status_t alloc_from_pmm(struct page_cache *cache, uint64_t page_count,
                                           struct buffer_chain **chain_out)
{
        struct list_node pages;
        struct vm_page *page;
        zx_status_t status;
        list_init(&pages);
        if (page_count == 1)
                status = page_cache_alloc_page(cache, PMM_ALLOC_ANY, &page);
        else
                status = page_cache_alloc(cache, page_count, PMM_ALLOC_ANY, &pages);
        if (status != ZX_OK)
                return status;
        if (page_count > 1)
                page = vm_page_from_node(list_remove_head(&pages));
        pmm_move_state(cache->pmm, page, VM_PAGE_ALLOC, VM_PAGE_IPC);
        *chain_out = make_chain(cache, page);
        list_splice_tail(&(*chain_out)->unused_pages, &pages);
        return ZX_OK;
}

/* When it takes more than one page. */
static NOINLINE zx_status_t alloc_pages(struct page_cache *cache, uint64_t bytes,
                                        struct buffer_chain **chain_out)
{
        struct page_cache_entry *entry = page_cache_entry_here(cache);
        if (bytes > BUFFER_CHAIN_SIZE_MAX)
                return ZX_ERR_OUT_OF_RANGE;
        uint64_t page_count = buffer_chain_pages_for(bytes);
        if (UNLIKELY(page_count > entry->count))
                return alloc_from_pmm(cache, page_count, chain_out);
        struct pmm_state_counts *counts = entry->state_counts;
        struct vm_page *page = vm_page_from_node(entry->pages.next);
        struct list_node *rest = page->list.next;
        pmm_relabel(page, VM_PAGE_CACHE, VM_PAGE_IPC);
        struct buffer_chain *chain = make_chain(cache, page);
        entry->pages.next = page_cache_chain_up(rest, page_count - 1, &chain->unused_pages,
                                                &chain->unused_pages);
        pmm_count_add(&counts->pages[VM_PAGE_CACHE], -page_count);
        pmm_count_add(&counts->pages[VM_PAGE_ALLOC], page_count - 1);
        pmm_count_add(&counts->pages[VM_PAGE_IPC], 1);
        page_cache_count_hits(entry, page_count);
        *chain_out = chain;
        return ZX_OK;
}

zx_status_t buffer_chain_alloc(struct page_cache *cache, uint64_t bytes,
                               struct buffer_chain **chain_out)
{
        if (bytes > BUFFER_CHAIN_CONTIG_BYTES)
                return alloc_pages(cache, bytes, chain_out);
        struct page_cache_entry *entry = page_cache_entry_here(cache);
        if (UNLIKELY(entry->count == 0))
                return alloc_from_pmm(cache, 1, chain_out);
        page_cache_count_hits(entry, 1);
        *chain_out = make_chain(cache, page_cache_pop(entry, VM_PAGE_IPC));
        return ZX_OK;
}

/* Puts the buffers of a whole chain, of which no page is unused, on the stock, which has room for
 * them; the first is on top. */
static inline void free_buffers(struct page_cache_entry *entry, struct buffer_chain *chain,
                                struct buffer_chain_buffer *buffer)
{
        struct list_node *first = chain->used_pages.next, *node = first, *last;
        struct pmm_state_counts *counts = entry->state_counts;
        uint64_t count = 0;
        do { /* ends: a page for each buffer [B1] */
                pmm_relabel(vm_page_from_node(node), VM_PAGE_IPC, VM_PAGE_CACHE);
                checked(buffer)->canary = 0;
                buffer = buffer->next;
                last = node;
                node = node->next;
                last->prev = NULL; /* [C3] */
                count++;
        } while (buffer != BUFFER_CHAIN_END);
        ASSERT(node == &chain->used_pages);
        last->next = entry->pages.next;
        entry->pages.next = first;
        pmm_count_add(&counts->pages[VM_PAGE_IPC], -count);
        pmm_count_add(&counts->pages[VM_PAGE_CACHE], count);
        pmm_count_add(&entry->count, count);
}

/* Every page of a chain whose first buffer is `buffer`. */
static NOINLINE void free_pages(struct page_cache *cache, struct buffer_chain *chain,
                                struct buffer_chain_buffer *buffer)
{
        struct page_cache_entry *entry = page_cache_entry_here(cache);
        uint64_t full_buffers = buffer_chain_pages_for(first_page(chain)->use.ipc.full_bytes);
        if (LIKELY(list_is_empty(&chain->unused_pages) &&
                   full_buffers < cache->reserve_pages - entry->count)) {
                free_buffers(entry, chain, buffer);
                return;
        }
        /* The lists are out of the chain before its buffer goes. */
        struct list_node pages;
        list_init(&pages);
        list_splice_tail(&pages, &chain->used_pages);
        list_splice_tail(&pages, &chain->unused_pages);
        while (buffer != BUFFER_CHAIN_END) {
                checked(buffer)->canary = 0;
                buffer = buffer->next;
        }
        page_cache_free(cache, &pages);
}

void buffer_chain_free(struct buffer_chain *chain)
{
        struct buffer_chain_buffer *buffer = buffer_of_chain(chain);
        struct vm_page *page = first_page(chain);
        struct page_cache *cache = page->use.ipc.owner;
        ASSERT(chain->first == buffer);
        if (UNLIKELY(buffer->next != BUFFER_CHAIN_END || !list_is_empty(&chain->unused_pages))) {
                free_pages(cache, chain, buffer);
                return;
        }
        ASSERT(page->list.next == &chain->used_pages); /* the only page */
        ASSERT(vm_page_state(page) == VM_PAGE_IPC);    /* [B1] */
        page->list.prev = NULL;
        page->list.next = NULL;
        buffer->canary = 0;
        struct page_cache_entry *entry = page_cache_entry_here(cache);
        if (LIKELY(entry->count < cache->reserve_pages))
                page_cache_push(entry, page, VM_PAGE_IPC);
        else
                page_cache_free_page(cache, page);
}

void buffer_chain_free_unused_buffers(struct buffer_chain *chain)
{
        (void)buffer_of_chain(chain);
        page_cache_free(cache_of(chain), &chain->unused_pages);
}

/* ---- filling ---- */

void buffer_chain_skip(struct buffer_chain *chain, size_t bytes)
{
        (void)buffer_of_chain(chain);
        ASSERT(chain->tail == chain->first); /* nor closed */
        ASSERT(chain->write_offset == 0);
        ASSERT(bytes <= BUFFER_CHAIN_CONTIG_BYTES);
        chain->write_offset = bytes;
}

/* Puts one more buffer behind the full tail and returns it; NULL: no page is left. */
static inline struct buffer_chain_buffer *grow(struct buffer_chain *chain)
{
        struct list_node *node = chain->unused_pages.next, *next = node->next;
        struct list_node *last = chain->used_pages.prev;
        struct vm_page *first = first_page(chain), *page = vm_page_from_node(node);
        struct pmm *pmm = ((const struct page_cache *)first->use.ipc.owner)->pmm;
        if (UNLIKELY(node == &chain->unused_pages))
                return NULL;
        pmm_move_state(pmm, page, VM_PAGE_ALLOC, VM_PAGE_IPC);
        struct buffer_chain_buffer *buffer = make_buffer(pmm, page, 0);
        first->use.ipc.full_bytes += chain->write_offset;
        chain->tail->next = buffer;
        chain->tail = buffer;
        chain->write_offset = 0;
        /* From the head of one list to the tail of the other. */
        chain->unused_pages.next = next;
        next->prev = &chain->unused_pages;
        last->next = node;
        node->prev = last;
        node->next = &chain->used_pages;
        chain->used_pages.prev = node;
        return buffer;
}

static inline char *payload(struct buffer_chain_buffer *buffer, uint64_t offset)
{
        return (char *)buffer->raw_data + buffer->reserved_bytes + offset;
}

/* Both appends: from `source` if there is one, else from `bytes_in`, which can always be read. */
static ALWAYS_INLINE zx_status_t append(struct buffer_chain *chain,
                                        struct buffer_chain_source *source, const char *bytes_in,
                                        size_t bytes, size_t *copied_out)
{
        struct buffer_chain_buffer *tail = chain->tail;
        zx_status_t status = ZX_OK;
        size_t left = bytes;
        (void)buffer_of_chain(chain);
        if (UNLIKELY(tail == BUFFER_CHAIN_END)) {
                if (copied_out != NULL)
                        *copied_out = 0;
                return bytes == 0 ? ZX_OK : ZX_ERR_OUT_OF_RANGE;
        }
        size_t room = buffer_chain_size(checked(tail)) - chain->write_offset;
        char *to = payload(tail, chain->write_offset);
        while (left > 0) {
                size_t piece = left < room ? left : room;
                if (source != NULL) {
                        status = source->read(source, to, piece);
                        if (status != ZX_OK)
                                break;
                } else {
                        copy(to, bytes_in, piece, bytes);
                        bytes_in += piece;
                }
                chain->write_offset += piece;
                left -= piece;
                if (left == 0)
                        break;
                tail = grow(chain);
                if (UNLIKELY(tail == NULL)) {
                        status = ZX_ERR_OUT_OF_RANGE;
                        break;
                }
                room = BUFFER_CHAIN_RAW_DATA_BYTES;
                to = (char *)tail->raw_data;
        }
        if (status != ZX_OK)
                chain->tail = BUFFER_CHAIN_END; /* closed [B4] */
        if (copied_out != NULL)
                *copied_out = bytes - left;
        return status;
}

zx_status_t buffer_chain_append(struct buffer_chain *chain, struct buffer_chain_source *source,
                                size_t bytes, size_t *copied_out)
{
        ASSERT(source != NULL);
        return append(chain, source, NULL, bytes, copied_out);
}

static NOINLINE zx_status_t append_pieces(struct buffer_chain *chain, const void *source,
                                          size_t bytes, size_t *copied_out)
{
        return append(chain, NULL, source, bytes, copied_out);
}

zx_status_t buffer_chain_append_kernel(struct buffer_chain *chain, const void *source, size_t bytes,
                                       size_t *copied_out)
{
        struct buffer_chain_buffer *first = buffer_of_chain(chain);
        uint64_t offset = chain->write_offset;
        if (UNLIKELY(chain->tail != first || bytes > BUFFER_CHAIN_CONTIG_BYTES - offset ||
                     bytes > COPY_PIECE_BYTES))
                return append_pieces(chain, source, bytes, copied_out);
        /* The usual message fits its first buffer. */
        chain->write_offset = offset + bytes;
        if (copied_out != NULL)
                *copied_out = bytes;
        memcpy((char *)(chain + 1) + offset, source, bytes);
        return ZX_OK;
}

/* ---- reading ---- */

uint64_t buffer_chain_length(const struct buffer_chain *chain)
{
        (void)buffer_of_chain(chain);
        return first_page(chain)->use.ipc.full_bytes + chain->write_offset; /* [B3] */
}

/* Both ways out: to `sink` if there is one, else to `bytes_out`. */
static ALWAYS_INLINE zx_status_t copy_out(const struct buffer_chain *chain,
                                          struct buffer_chain_sink *sink, char *bytes_out,
                                          uint64_t offset, size_t bytes)
{
        uint64_t length = buffer_chain_length(chain);
        if (offset > length || bytes > length - offset)
                return ZX_ERR_OUT_OF_RANGE;

        struct buffer_chain_buffer *buffer = buffer_of_chain(chain);
        const char *from = (const char *)(chain + 1);
        size_t size = BUFFER_CHAIN_CONTIG_BYTES, left = bytes;
        while (left > 0) {
                /* Ends: all of the length is in buffers [B3]. */
                if (LIKELY(offset < size)) {
                        size_t here = size - offset, piece = left < here ? left : here;
                        if (sink != NULL) {
                                zx_status_t status = sink->write(sink, from + offset, piece);
                                if (status != ZX_OK)
                                        return status;
                        } else {
                                copy(bytes_out, from + offset, piece, bytes);
                                bytes_out += piece;
                        }
                        left -= piece;
                        if (left == 0)
                                break;
                        offset = size;
                }
                offset -= size;
                buffer = checked(buffer->next);
                from = (const char *)buffer->raw_data;
                size = BUFFER_CHAIN_RAW_DATA_BYTES;
        }
        return ZX_OK;
}

zx_status_t buffer_chain_copy_out(const struct buffer_chain *chain, struct buffer_chain_sink *sink,
                                  uint64_t offset, size_t bytes)
{
        ASSERT(sink != NULL);
        return copy_out(chain, sink, NULL, offset, bytes);
}

static NOINLINE zx_status_t copy_out_pieces(const struct buffer_chain *chain, void *destination,
                                            uint64_t offset, size_t bytes)
{
        return copy_out(chain, NULL, destination, offset, bytes);
}

zx_status_t buffer_chain_copy_out_kernel(const struct buffer_chain *chain, void *destination,
                                         uint64_t offset, size_t bytes)
{
        (void)buffer_of_chain(chain);
        /* The usual message: all of it in the first buffer, which holds as much as write_offset
         * says, or more when it is not the last. */
        if (UNLIKELY(offset > BUFFER_CHAIN_CONTIG_BYTES || bytes > COPY_PIECE_BYTES ||
                     offset + bytes > chain->write_offset ||
                     offset + bytes > BUFFER_CHAIN_CONTIG_BYTES))
                return copy_out_pieces(chain, destination, offset, bytes);
        memcpy(destination, (const char *)(chain + 1) + offset, bytes);
        return ZX_OK;
}

/* ---- buffers ---- */

struct buffer_chain_buffer *buffer_chain_first(const struct buffer_chain *chain)
{
        ASSERT(chain->first == buffer_of_chain(chain));
        return chain->first;
}

struct buffer_chain_buffer *buffer_chain_next(const struct buffer_chain_buffer *buffer)
{
        return buffer->next == BUFFER_CHAIN_END ? NULL : checked(buffer->next);
}

void *buffer_chain_data(struct buffer_chain_buffer *buffer)
{
        return checked(buffer)->raw_data + buffer->reserved_bytes;
}

size_t buffer_chain_size(const struct buffer_chain_buffer *buffer)
{
        return BUFFER_CHAIN_RAW_DATA_BYTES - buffer->reserved_bytes;
}

/* ---- spans ---- */

/* The buffer in the page behind `node`, a node of chain->used_pages. */
static struct buffer_chain_buffer *buffer_of_node(const struct buffer_chain *chain,
                                                  struct list_node *node)
{
        return checked(pmm_page_va(cache_of(chain)->pmm, vm_page_from_node(node)));
}

zx_status_t buffer_chain_spans_begin(struct buffer_chain_spans *spans,
                                     const struct buffer_chain *chain, uint64_t offset,
                                     size_t bytes)
{
        uint64_t length = buffer_chain_length(chain);
        struct list_node *node = chain->used_pages.next;
        if (offset > length || bytes > length - offset)
                return ZX_ERR_OUT_OF_RANGE;

        /* Without bytes the offset may lie behind the last buffer: nobody looks there. */
        while (bytes > 0) {
                size_t size = buffer_chain_size(buffer_of_node(chain, node));
                if (offset < size) /* ends: the length is in buffers [B3] */
                        break;
                offset -= size;
                node = node->next;
        }
        *spans = (struct buffer_chain_spans){chain, node, offset, bytes};
        return ZX_OK;
}

bool buffer_chain_spans_next(struct buffer_chain_spans *spans, struct buffer_chain_span *span)
{
        if (spans->bytes_left == 0)
                return false;
        struct buffer_chain_buffer *buffer = buffer_of_node(spans->chain, spans->node);
        size_t left_here = buffer_chain_size(buffer) - spans->offset;
        size_t in_page = offsetof(struct buffer_chain_buffer, raw_data) + buffer->reserved_bytes +
                         spans->offset;
        span->pa = vm_page_from_node(spans->node)->pa + in_page;
        span->va = (char *)buffer + in_page;
        span->bytes = min_u64(spans->bytes_left, left_here);
        spans->bytes_left -= span->bytes;
        spans->node = spans->node->next;
        spans->offset = 0;
        return true;
}

/* ---- validity ---- */

static bool links_valid(const struct list_node *list)
{
        LIST_FOR_EACH(node, list)
        {
                if (node->next->prev != node)
                        return false;
        }
        return list->next->prev == list;
}

bool buffer_chain_valid(const struct buffer_chain *chain)
{
        const struct pmm *pmm = cache_of(chain)->pmm;
        const struct buffer_chain_buffer *buffer = chain->first, *last = NULL;
        uint64_t capacity = 0;
        if (!links_valid(&chain->used_pages) || !links_valid(&chain->unused_pages))
                return false;
        LIST_FOR_EACH(node, &chain->used_pages)
        {
                const struct vm_page *page = vm_page_from_node(node);
                if (buffer == BUFFER_CHAIN_END || buffer != pmm_page_va(pmm, page) ||
                    vm_page_state(page) != VM_PAGE_IPC || buffer->canary != BUFFER_CHAIN_CANARY ||
                    buffer->reserved_bytes != (last == NULL ? BUFFER_CHAIN_CHAIN_BYTES : 0))
                        return false; /* [B1] */
                last = buffer;
                capacity += buffer_chain_size(buffer);
                buffer = buffer->next;
        }
        LIST_FOR_EACH(node, &chain->unused_pages)
        {
                if (vm_page_state(vm_page_from_node(node)) != VM_PAGE_ALLOC)
                        return false; /* [B2] */
        }
        return buffer == BUFFER_CHAIN_END && last != NULL &&
               (chain->tail == last || chain->tail == BUFFER_CHAIN_END) &&
               chain->write_offset <= buffer_chain_size(last) &&
               buffer_chain_length(chain) ==
                       capacity - buffer_chain_size(last) + chain->write_offset; /* [B3] */
}
