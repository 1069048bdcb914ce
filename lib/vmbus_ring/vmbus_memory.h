/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_memory — the memory under a ring, and the arithmetic on its indices.
 *
 *   control page | data[0] ............ data[data_bytes - 1]
 *                     ^out  ======^in        used bytes: out .. in, modulo data_bytes
 *
 * The only file that knows how an index becomes an address. The data area is one of three:
 *
 *   flat      |0 1 2 3|            one piece of address space
 *   mirrored  |0 1 2 3|0 1 2 3|    the same pages mapped twice in a row: no copy is ever split
 *   paged     |2| |0|  |3| |1|     pages that lie apart, found through a table
 *
 * Packets are reached through the accessors below: where a run of bytes lies in a row, one word in,
 * one word out, bytes in, bytes out. They are inline so that the kind of area is a branch that the
 * processor predicts, not a call through a pointer.
 *
 * Owner       the caller hands the memory in and keeps it until both ends are done with it; of a
 *             paged area the table of pages as well, which nobody changes meanwhile
 * Peer        may write every byte at any time (never the table, which is private); each is loaded
 *             through base/shared.h
 * Context     any
 * Invariants  [V1] data_bytes is a multiple of 4096, not 0; control and data are aligned to 8
 *             [V2] an index is < data_bytes and a multiple of 8, so that no word straddles the end
 *             [V3] exactly one of data and pages is not NULL
 * Facts       spec/vmbus.md, a.2, a.3 */
#ifndef VMBUS_RING_VMBUS_MEMORY_H
#define VMBUS_RING_VMBUS_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/compiler.h"
#include "base/shared.h"
#include "base/status.h"
#include "vmbus_ring/vmbus_wire.h"

/* Plain data: copied freely, nothing to release. */
struct vmbus_memory {
        struct vmbus_control_page *control;
        uint8_t *data;           /* flat and mirrored: the first byte */
        uint8_t *const *pages;   /* paged: the address of each page of 4096 bytes */
        uint64_t straight_bytes; /* from data on in a row: data_bytes; mirrored: twice; paged: 0 */
        uint32_t data_bytes;
};

/* Takes a control page and a data area that is one flat piece of address space.
 *   control     VMBUS control page, 4096 bytes; need not lie next to the data
 *   data        data_bytes long
 *   data_bytes  a multiple of 4096, 4096 .. 2^32 - 4096; no power of two needed
 *   returns     ZX_OK; ZX_ERR_INVALID_ARGS for a NULL, for an address that is no multiple of 8, for
 *               a size out of its range
 * Nothing is read or written. */
zx_status_t MUST_CHECK vmbus_memory_init_flat(struct vmbus_memory *memory, void *control,
                                              void *data, uint64_t data_bytes);

/* The same for data pages that the caller has mapped twice in a row: byte data_bytes + i is byte
 * i once more. That they are is taken on trust. */
zx_status_t MUST_CHECK vmbus_memory_init_mirrored(struct vmbus_memory *memory, void *control,
                                                  void *data, uint64_t data_bytes);

/* The same for pages anywhere.
 *   pages       page_count addresses of 4096 bytes each; the table stays the caller's and stays
 *               as it is while the memory is used
 *   page_count  1 .. 2^20 - 1
 *   returns     as above; also ZX_ERR_INVALID_ARGS when one of the pages is NULL or no multiple
 *               of 8 */
zx_status_t MUST_CHECK vmbus_memory_init_paged(struct vmbus_memory *memory, void *control,
                                               void *const *pages, uint64_t page_count);

/* Zeroes the control page. The owner of the pages does this once before the peer learns of them
 * (a.3); the data area keeps its content. */
void vmbus_memory_reset(const struct vmbus_memory *memory);

/* ---- index arithmetic: these three, and nothing beside them ---- */

/* `index` moved on by `bytes`, 0 .. data_bytes - 1; no sum that could overflow 32 bits. */
static inline uint32_t vmbus_memory_advance(const struct vmbus_memory *memory, uint32_t index,
                                            uint32_t bytes)
{
        uint32_t to_end = memory->data_bytes - index;
        DEBUG_ASSERT(index < memory->data_bytes); /* [V2] */
        DEBUG_ASSERT(bytes < memory->data_bytes);
        if (LIKELY(bytes < to_end))
                return index + bytes;
        return bytes - to_end;
}

/* The bytes from `from` on up to `to`; 0 when they are equal. With out and in: the bytes in use. */
static inline uint32_t vmbus_memory_distance(const struct vmbus_memory *memory, uint32_t from,
                                             uint32_t to)
{
        uint32_t difference = to - from; /* modulo 2^32 */
        return LIKELY(to >= from) ? difference : difference + memory->data_bytes;
}

/* The bytes free to write. One word is held back, for in == out already means empty. */
static inline uint32_t vmbus_memory_free(const struct vmbus_memory *memory, uint32_t in,
                                         uint32_t out)
{
        return memory->data_bytes - VMBUS_GAP_BYTES - vmbus_memory_distance(memory, out, in);
}

/* ---- accessors ---- */

/* The address of one byte. */
static ALWAYS_INLINE uint8_t *vmbus_memory_at_(const struct vmbus_memory *memory, uint32_t index)
{
        DEBUG_ASSERT(index < memory->data_bytes); /* [V2] */
        if (LIKELY(memory->pages == NULL))
                return memory->data + index;
        return memory->pages[index >> PAGE_BYTES_LOG2] + index % PAGE_BYTES;
}

/* The bytes from `index` on that lie in a row, at least 1; those of a mirrored area may reach
 * beyond its end. */
static ALWAYS_INLINE uint64_t vmbus_memory_row_bytes(const struct vmbus_memory *memory,
                                                     uint32_t index)
{
        if (LIKELY(memory->pages == NULL))
                return memory->straight_bytes - index;
        return PAGE_BYTES - index % PAGE_BYTES;
}

/* Whether the `bytes` bytes from `index` on, 1 .., lie in a row, in an area that is not paged: one
 * comparison tells both. */
static ALWAYS_INLINE bool vmbus_memory_in_data_(const struct vmbus_memory *memory, uint32_t index,
                                                uint32_t bytes)
{
        return (uint64_t)index + bytes <= memory->straight_bytes;
}

/* The address of the byte at `index`, and whether it is that of the `bytes` bytes from there on,
 * 1 .., because they lie in a row. */
static ALWAYS_INLINE uint8_t *vmbus_memory_run_(const struct vmbus_memory *memory, uint32_t index,
                                                uint32_t bytes, bool *in_row)
{
        DEBUG_ASSERT(index < memory->data_bytes); /* [V2] */
        *in_row = true;
        if (LIKELY(vmbus_memory_in_data_(memory, index, bytes)))
                return memory->data + index;
        *in_row = bytes <= vmbus_memory_row_bytes(memory, index);
        return vmbus_memory_at_(memory, index);
}

/* Whether they do, and the index behind them is still in the data: then no index in them and none
 * right behind them needs vmbus_memory_advance(). True for most packets, tested once for each. */
static ALWAYS_INLINE bool vmbus_memory_straight(const struct vmbus_memory *memory, uint32_t index,
                                                uint32_t bytes)
{
        return bytes < memory->data_bytes - index &&
               (LIKELY(memory->pages == NULL) || index % PAGE_BYTES + bytes <= PAGE_BYTES);
}

/* The address of the word `offset` bytes behind `start`; `run`: the address of `start`, used when
 * the two lie in a row. */
static ALWAYS_INLINE uint8_t *vmbus_memory_word_(const struct vmbus_memory *memory, bool in_row,
                                                 uint8_t *run, uint32_t start, uint32_t offset)
{
        if (LIKELY(in_row))
                return run + offset;
        return vmbus_memory_at_(memory, vmbus_memory_advance(memory, start, offset));
}

/* One aligned word of the data area, relaxed: a peer that breaks the rules may change it meanwhile,
 * so it is loaded once and the result is what is checked. */
static inline uint64_t vmbus_memory_load_u64(const struct vmbus_memory *memory, uint32_t index)
{
        DEBUG_ASSERT(is_aligned(index, VMBUS_WORD_BYTES)); /* [V2] */
        return shared_load_u64(vmbus_memory_at_(memory, index));
}

static inline void vmbus_memory_store_u64(const struct vmbus_memory *memory, uint32_t index,
                                          uint64_t value)
{
        DEBUG_ASSERT(is_aligned(index, VMBUS_WORD_BYTES)); /* [V2] */
        shared_store_u64(vmbus_memory_at_(memory, index), value);
}

/* Private: copies of what does not lie in a row. */
void vmbus_memory_copy_in_pieces_(const struct vmbus_memory *memory, uint32_t index,
                                  void *restrict target, uint32_t bytes);
void vmbus_memory_copy_out_pieces_(const struct vmbus_memory *memory, uint32_t index,
                                   const void *restrict source, uint32_t bytes);

/* A cache line, the size of many messages: copied without a call, which takes longer to find out
 * how than to copy so little. */
#define VMBUS_LINE_BYTES 64u

/* Copies between private memory and the data area, around its end if need be.
 *   index  of the first byte, any alignment, < data_bytes
 *   bytes  0 .. data_bytes; with 0 the private pointer is ignored */
static ALWAYS_INLINE void vmbus_memory_copy_in(const struct vmbus_memory *memory, uint32_t index,
                                               void *restrict target, uint32_t bytes)
{
        bool in_row;
        DEBUG_ASSERT(bytes <= memory->data_bytes);
        if (UNLIKELY(bytes == 0))
                return;
        const uint8_t *run = vmbus_memory_run_(memory, index, bytes, &in_row);
        if (LIKELY(in_row) && bytes == VMBUS_LINE_BYTES)
                shared_copy_in(target, run, VMBUS_LINE_BYTES);
        else if (LIKELY(in_row))
                shared_copy_in(target, run, bytes);
        else
                vmbus_memory_copy_in_pieces_(memory, index, target, bytes);
}

static ALWAYS_INLINE void vmbus_memory_copy_out(const struct vmbus_memory *memory, uint32_t index,
                                                const void *restrict source, uint32_t bytes)
{
        bool in_row;
        DEBUG_ASSERT(bytes <= memory->data_bytes);
        if (UNLIKELY(bytes == 0))
                return;
        uint8_t *run = vmbus_memory_run_(memory, index, bytes, &in_row);
        if (LIKELY(in_row) && bytes == VMBUS_LINE_BYTES)
                shared_copy_out(run, source, VMBUS_LINE_BYTES);
        else if (LIKELY(in_row))
                shared_copy_out(run, source, bytes);
        else
                vmbus_memory_copy_out_pieces_(memory, index, source, bytes);
}

#endif
