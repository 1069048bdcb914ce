/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* buffer_chain — one message in page-sized buffers.
 *
 * Facts: spec/zircon-objects.md, 4. */
#include "kernel/buffer_chain.h"

#include "base/assert.h"
#include "base/bytes.h"
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

/* Makes a page, on no list and in state ALLOC, a buffer. */
static struct buffer_chain_buffer *make_buffer(struct pmm *pmm, struct vm_page *page,
                                               uint32_t reserved_bytes)
{
        struct buffer_chain_buffer *buffer = pmm_page_va(pmm, page);
        pmm_move_state(pmm, page, VM_PAGE_ALLOC, VM_PAGE_IPC);
        buffer->next = BUFFER_CHAIN_END;
        buffer->canary = BUFFER_CHAIN_CANARY;
        buffer->reserved_bytes = reserved_bytes;
        return buffer;
}

/* ---- a chain's life ---- */

void buffer_chain_initialize_page_cache(struct page_cache *cache,
                                        const struct page_cache_config *config)
{
        zx_status_t status = page_cache_init(cache, config);
        ASSERT(status == ZX_OK);
}

zx_status_t buffer_chain_alloc(struct page_cache *cache, uint64_t bytes,
                               struct buffer_chain **chain_out)
{
        struct list_node pages;
        struct vm_page *page;
        zx_status_t status;
        if (bytes > BUFFER_CHAIN_SIZE_MAX)
                return ZX_ERR_OUT_OF_RANGE;

        uint64_t page_count = buffer_chain_pages_for(bytes);
        if (page_count == 1) {
                status = page_cache_alloc_page(cache, PMM_ALLOC_ANY, &page);
        } else {
                list_init(&pages);
                status = page_cache_alloc(cache, page_count, PMM_ALLOC_ANY, &pages);
                if (status == ZX_OK)
                        page = vm_page_from_node(list_remove_head(&pages));
        }
        if (status != ZX_OK)
                return status;

        struct buffer_chain_buffer *buffer =
                make_buffer(cache->pmm, page, BUFFER_CHAIN_CHAIN_BYTES);
        struct buffer_chain *chain = (struct buffer_chain *)(void *)buffer->raw_data;
        chain->first = buffer;
        chain->tail = buffer;
        chain->write_offset = 0;
        list_init(&chain->used_pages);
        list_add_tail(&chain->used_pages, &page->list);
        list_init(&chain->unused_pages);
        if (page_count > 1)
                list_splice_tail(&chain->unused_pages, &pages);
        page->use.ipc.owner = cache;
        page->use.ipc.length = 0;
        *chain_out = chain;
        return ZX_OK;
}

void buffer_chain_free(struct buffer_chain *chain)
{
        struct buffer_chain_buffer *buffer = buffer_of_chain(chain);
        struct vm_page *page = first_page(chain);
        struct page_cache *cache = page->use.ipc.owner;
        ASSERT(chain->first == buffer);

        if (LIKELY(buffer->next == BUFFER_CHAIN_END && list_is_empty(&chain->unused_pages))) {
                buffer->canary = 0;
                list_remove(&page->list);
                page_cache_free_page(cache, page);
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
        first_page(chain)->use.ipc.length = bytes;
}

/* Puts one more buffer behind the full tail; false: no page is left. */
static bool grow(struct buffer_chain *chain)
{
        struct list_node *node = list_remove_head(&chain->unused_pages);
        if (node == NULL)
                return false;
        struct buffer_chain_buffer *buffer =
                make_buffer(cache_of(chain)->pmm, vm_page_from_node(node), 0);
        list_add_tail(&chain->used_pages, node);
        chain->tail->next = buffer;
        chain->tail = buffer;
        chain->write_offset = 0;
        return true;
}

static char *payload(struct buffer_chain_buffer *buffer, uint64_t offset)
{
        return (char *)buffer->raw_data + buffer->reserved_bytes + offset;
}

/* Both appends: from `source` if there is one, else from `bytes_in`, which can always be read. */
static zx_status_t append(struct buffer_chain *chain, struct buffer_chain_source *source,
                                        const char *bytes_in, size_t bytes, size_t *copied_out)
{
        zx_status_t status = ZX_OK;
        size_t copied = 0;
        (void)buffer_of_chain(chain);
        if (chain->tail == BUFFER_CHAIN_END && bytes > 0)
                status = ZX_ERR_OUT_OF_RANGE;
        while (status == ZX_OK && copied < bytes) {
                struct buffer_chain_buffer *tail = checked(chain->tail);
                size_t room = buffer_chain_size(tail) - chain->write_offset;
                if (room == 0) {
                        status = grow(chain) ? ZX_OK : ZX_ERR_OUT_OF_RANGE;
                        continue;
                }
                size_t piece = bytes - copied < room ? bytes - copied : room;
                char *destination = payload(tail, chain->write_offset);
                if (source != NULL)
                        status = source->read(source, destination, piece);
                else
                        memcpy(destination, bytes_in + copied, piece);
                if (status == ZX_OK) {
                        chain->write_offset += piece;
                        copied += piece;
                }
        }
        first_page(chain)->use.ipc.length += copied;
        if (status != ZX_OK)
                chain->tail = BUFFER_CHAIN_END; /* closed [B4] */
        if (copied_out != NULL)
                *copied_out = copied;
        return status;
}

zx_status_t buffer_chain_append(struct buffer_chain *chain, struct buffer_chain_source *source,
                                size_t bytes, size_t *copied_out)
{
        ASSERT(source != NULL);
        return append(chain, source, NULL, bytes, copied_out);
}

zx_status_t buffer_chain_append_kernel(struct buffer_chain *chain, const void *source, size_t bytes,
                                       size_t *copied_out)
{
        struct buffer_chain_buffer *first = buffer_of_chain(chain);
        if (UNLIKELY(chain->tail != first ||
                     bytes > BUFFER_CHAIN_CONTIG_BYTES - chain->write_offset))
                return append(chain, NULL, source, bytes, copied_out);
        /* The usual message fits its first buffer. */
        memcpy((char *)(chain + 1) + chain->write_offset, source, bytes);
        chain->write_offset += bytes;
        first_page(chain)->use.ipc.length += bytes;
        if (copied_out != NULL)
                *copied_out = bytes;
        return ZX_OK;
}

/* ---- reading ---- */

uint64_t buffer_chain_length(const struct buffer_chain *chain)
{
        (void)buffer_of_chain(chain);
        return first_page(chain)->use.ipc.length;
}

/* Both ways out: to `sink` if there is one, else to `bytes_out`. */
static zx_status_t copy_out(const struct buffer_chain *chain, struct buffer_chain_sink *sink,
                                          char *bytes_out, uint64_t offset, size_t bytes)
{
        uint64_t length = buffer_chain_length(chain);
        if (offset > length || bytes > length - offset)
                return ZX_ERR_OUT_OF_RANGE;

        struct buffer_chain_buffer *buffer = chain->first;
        while (bytes > 0) {
                /* Ends: all of the length is in buffers [B3]. */
                size_t size = buffer_chain_size(checked(buffer));
                if (offset >= size) {
                        offset -= size;
                        buffer = buffer->next;
                        continue;
                }
                size_t piece = bytes < size - offset ? bytes : size - offset;
                const char *from = payload(buffer, offset);
                if (sink != NULL) {
                        zx_status_t status = sink->write(sink, from, piece);
                        if (status != ZX_OK)
                                return status;
                } else {
                        memcpy(bytes_out, from, piece);
                        bytes_out += piece;
                }
                bytes -= piece;
                offset = 0;
                buffer = buffer->next;
        }
        return ZX_OK;
}

zx_status_t buffer_chain_copy_out(const struct buffer_chain *chain, struct buffer_chain_sink *sink,
                                  uint64_t offset, size_t bytes)
{
        ASSERT(sink != NULL);
        return copy_out(chain, sink, NULL, offset, bytes);
}

zx_status_t buffer_chain_copy_out_kernel(const struct buffer_chain *chain, void *destination,
                                         uint64_t offset, size_t bytes)
{
        uint64_t end;
        if (UNLIKELY(add_overflows(offset, bytes, &end) || end > BUFFER_CHAIN_CONTIG_BYTES))
                return copy_out(chain, NULL, destination, offset, bytes);
        if (end > buffer_chain_length(chain))
                return ZX_ERR_OUT_OF_RANGE;
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

bool buffer_chain_valid(const struct buffer_chain *chain)
{
        const struct pmm *pmm = cache_of(chain)->pmm;
        const struct buffer_chain_buffer *buffer = chain->first, *last = NULL;
        uint64_t capacity = 0;
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
