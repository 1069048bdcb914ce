/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* buffer_chain — page-sized buffers in a row that hold one message; the chain lives in its first
 * buffer.
 *
 *   page 0     |link|canary|reserved|struct buffer_chain| payload, 4024 bytes            |
 *   page 1..   |link|canary|reserved| payload, 4080 bytes                                |
 *   offset      0    8      12       16                  72 (page 0), 16 (the others)
 *
 *   buffer_chain_alloc   reserves every page that the size needs; only the first is a buffer yet
 *   ..._skip, _append    fill; a reserved page becomes a buffer when the one before it is full
 *   ..._copy_out         reads, any number of times
 *   ..._free             gives every page back to the page cache, in one pass
 *
 * Owner       whoever got the chain from buffer_chain_alloc, until buffer_chain_free; payload
 *             offsets count from the first byte behind the chain object
 * Context     one owner at a time; no lock; as the page cache below it
 * Errors      a buffer whose canary is gone, a chain freed twice: our bugs, ASSERT in every build
 * Invariants  [B1] pages behind the buffers are on used_pages, in the order of the buffers, state
 *             IPC
 *             [B2] pages not used yet are on unused_pages, state ALLOC
 *             [B3] length == bytes skipped and appended == capacity of all buffers but the last
 *                  plus write_offset, also when the chain is closed
 *             [B4] a closed chain (after a failed append) has tail == BUFFER_CHAIN_END
 * Contents    pages are not zeroed: what was skipped but not written holds old bytes
 * Facts       spec/zircon-objects.md, 4. Beyond it: sizes are checked for overflow, the chain knows
 *             its length, so that reading past it is an error, and append says how much it copied
 *
 *   struct buffer_chain *chain;
 *   if (buffer_chain_alloc(&cache, sizeof(header) + bytes, &chain) == ZX_OK) {
 *           buffer_chain_append_kernel(chain, &header, sizeof(header));
 *           ...
 *           buffer_chain_free(chain);
 *   } */
#ifndef KERNEL_BUFFER_CHAIN_H
#define KERNEL_BUFFER_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"
#include "kernel/page_cache.h"

#define BUFFER_CHAIN_BUFFER_BYTES 4096       /* kSizeOfBuffer */
#define BUFFER_CHAIN_BUFFER_FIELDS_BYTES 16  /* kSizeOfBufferFields */
#define BUFFER_CHAIN_RAW_DATA_BYTES 4080     /* kRawDataSize */
#define BUFFER_CHAIN_CHAIN_BYTES 56          /* kSizeOfBufferChain */
#define BUFFER_CHAIN_CONTIG_BYTES 4024       /* kContig: payload of the first buffer */
#define BUFFER_CHAIN_RESERVE_PAGES_DEFAULT 32

#define BUFFER_CHAIN_CANARY 0x43465542u /* "BUFC" in memory */

/* Payload sizes up to this one are accepted (then it is the memory that is too small). */
#define BUFFER_CHAIN_SIZE_MAX (SIZE_MAX - BUFFER_CHAIN_CHAIN_BYTES - BUFFER_CHAIN_RAW_DATA_BYTES)

/* The end of the list of buffers, and the tail of a closed chain; points at nothing. */
#define BUFFER_CHAIN_END ((struct buffer_chain_buffer *)(uintptr_t)1)

struct buffer_chain_buffer {
        struct buffer_chain_buffer *next; /* BUFFER_CHAIN_END behind the last */
        uint32_t canary;
        uint32_t reserved_bytes; /* at the start of raw_data: the chain object, or 0 */
        uint8_t raw_data[BUFFER_CHAIN_RAW_DATA_BYTES];
};
_Static_assert(sizeof(struct buffer_chain_buffer) == BUFFER_CHAIN_BUFFER_BYTES, "4.2");
_Static_assert(offsetof(struct buffer_chain_buffer, canary) == 8, "4.2");
_Static_assert(offsetof(struct buffer_chain_buffer, reserved_bytes) == 12, "4.2");
_Static_assert(offsetof(struct buffer_chain_buffer, raw_data) == BUFFER_CHAIN_BUFFER_FIELDS_BYTES,
              "4.2");

/* At the start of the first buffer's raw data. Its page cache, and the bytes in front of the tail,
 * are noted in the page structure of that buffer (vm_page.use.ipc). */
struct buffer_chain {
        struct buffer_chain_buffer *first;
        struct buffer_chain_buffer *tail; /* where the next byte goes; BUFFER_CHAIN_END: closed */
        uint64_t write_offset;            /* in the tail's payload */
        struct list_node used_pages;
        struct list_node unused_pages;
};
_Static_assert(sizeof(struct buffer_chain) == BUFFER_CHAIN_CHAIN_BYTES, "4.2");
_Static_assert(offsetof(struct buffer_chain, tail) == 8, "4.2");
_Static_assert(offsetof(struct buffer_chain, write_offset) == 16, "4.2");
_Static_assert(offsetof(struct buffer_chain, used_pages) == 24, "4.2");
_Static_assert(offsetof(struct buffer_chain, unused_pages) == 40, "4.2");
_Static_assert(BUFFER_CHAIN_CONTIG_BYTES == BUFFER_CHAIN_RAW_DATA_BYTES - BUFFER_CHAIN_CHAIN_BYTES,
              "4.1");

/* Where appended bytes come from when a copy can fail (user memory). `read` copies the next `bytes`
 * bytes and moves on; a status other than ZX_OK means that the source cannot be read. */
struct buffer_chain_source {
        zx_status_t (*read)(struct buffer_chain_source *source, void *destination, size_t bytes);
};
/* Where copied-out bytes go, likewise. */
struct buffer_chain_sink {
        zx_status_t (*write)(struct buffer_chain_sink *sink, const void *bytes, size_t byte_count);
};

/* InitializePageCache: makes the private cache of all chains, `cache`, with config->reserve_pages
 * pages for each CPU. Once, at boot, after the number of CPUs is known; failure is an assertion. */
void buffer_chain_initialize_page_cache(struct page_cache *cache,
                                        const struct page_cache_config *config);

/* Pages for `bytes` of payload: ceil((bytes + 56) / 4080). bytes <= BUFFER_CHAIN_SIZE_MAX. */
static inline uint64_t buffer_chain_pages_for(uint64_t bytes)
{
        return (bytes + BUFFER_CHAIN_CHAIN_BYTES + BUFFER_CHAIN_RAW_DATA_BYTES - 1) /
               BUFFER_CHAIN_RAW_DATA_BYTES;
}

/* A chain with room for `bytes`, which may be 0.
 *   cache    where pages come from and go back to; must outlive the chain
 *   returns  ZX_OK; ZX_ERR_OUT_OF_RANGE: bytes > BUFFER_CHAIN_SIZE_MAX; ZX_ERR_NO_MEMORY;
 *            nothing changed */
zx_status_t MUST_CHECK buffer_chain_alloc(struct page_cache *cache, uint64_t bytes,
                                          struct buffer_chain **chain_out);
/* Every page goes back to the cache. The pointer is dead afterwards. */
void buffer_chain_free(struct buffer_chain *chain);
/* Gives reserved pages that are not buffers yet back; appends that need one then fail. */
void buffer_chain_free_unused_buffers(struct buffer_chain *chain);

/* Leaves `bytes` bytes at the start, for a header that is written later through buffer_chain_data.
 * Only before anything was appended or skipped, at most BUFFER_CHAIN_CONTIG_BYTES:
 * otherwise our bug. */
void buffer_chain_skip(struct buffer_chain *chain, size_t bytes);

/* Adds bytes at the end; allocates nothing.
 *   copied_out  (may be NULL) how many bytes of these are in the chain now
 *   returns     ZX_OK; bytes 0: ZX_OK, always;
 *               ZX_ERR_OUT_OF_RANGE: no reserved page is left, or the chain is closed (then copied
 *               0); the source's own status
 * After a failure the chain is closed: what was copied stays and can be read, nothing can be added.
 * A piece (what fits one buffer) whose read failed is not part of it. */
zx_status_t MUST_CHECK buffer_chain_append(struct buffer_chain *chain,
                                           struct buffer_chain_source *source, size_t bytes,
                                           size_t *copied_out);
/* The same from memory that can always be read. */
zx_status_t MUST_CHECK buffer_chain_append_kernel(struct buffer_chain *chain, const void *source,
                                                  size_t bytes, size_t *copied_out);

/* Copies out `bytes` bytes from `offset` on.
 *   returns  ZX_OK; ZX_ERR_OUT_OF_RANGE: offset + bytes > buffer_chain_length, nothing was written;
 *            the sink's own status: what was written before it stays written.
 *            bytes 0 within: ZX_OK */
zx_status_t MUST_CHECK buffer_chain_copy_out(const struct buffer_chain *chain,
                                             struct buffer_chain_sink *sink, uint64_t offset,
                                             size_t bytes);
zx_status_t MUST_CHECK buffer_chain_copy_out_kernel(const struct buffer_chain *chain,
                                                    void *destination, uint64_t offset,
                                                    size_t bytes);

/* Bytes skipped and appended so far. */
uint64_t buffer_chain_length(const struct buffer_chain *chain);

/* buffers(): the first one, and the one behind `buffer` (NULL behind the last);
 * with the canary checked. */
struct buffer_chain_buffer *buffer_chain_first(const struct buffer_chain *chain);
struct buffer_chain_buffer *buffer_chain_next(const struct buffer_chain_buffer *buffer);
/* data() and size() of a buffer: its payload area, all of it whatever is filled. */
void *buffer_chain_data(struct buffer_chain_buffer *buffer);
size_t buffer_chain_size(const struct buffer_chain_buffer *buffer);

/* ---- spans: the bytes of a chain where they lie, for descriptors and packets that name physical
 * addresses ----
 *
 *   struct buffer_chain_spans spans;
 *   struct buffer_chain_span span;
 *   if (buffer_chain_spans_begin(&spans, chain, offset, bytes) == ZX_OK)
 *           while (buffer_chain_spans_next(&spans, &span))
 *                   add_descriptor(span.pa, span.bytes);
 *
 * Spans come in order, are not empty and add up to `bytes`; each lies in one page. A range of n
 * bytes has at most buffer_chain_spans_max(n) of them. The chain must not be freed while somebody
 * uses a span, nor, for the iterator, appended to. */
struct buffer_chain_span {
        uint64_t pa;
        void *va; /* the same bytes */
        size_t bytes;
};
struct buffer_chain_spans {
        const struct buffer_chain *chain;
        struct list_node *node; /* of the page structure behind the next span */
        size_t offset;          /* in that buffer's payload */
        size_t bytes_left;
};
/* returns  ZX_OK; ZX_ERR_OUT_OF_RANGE:
 *          offset + bytes > buffer_chain_length. bytes 0 within: no span */
zx_status_t MUST_CHECK buffer_chain_spans_begin(struct buffer_chain_spans *spans,
                                                const struct buffer_chain *chain, uint64_t offset,
                                                size_t bytes);
bool buffer_chain_spans_next(struct buffer_chain_spans *spans, struct buffer_chain_span *span);
static inline uint64_t buffer_chain_spans_max(uint64_t bytes)
{
        return bytes == 0 ? 0
                          : 1 + (bytes - 1 + BUFFER_CHAIN_RAW_DATA_BYTES - 1) /
                                            BUFFER_CHAIN_RAW_DATA_BYTES;
}

/* [B1]..[B4]; walks the chain. */
bool buffer_chain_valid(const struct buffer_chain *chain);

#endif
