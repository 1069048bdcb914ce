/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_memory — the memory under a ring, and the arithmetic on its indices.
 *
 *   control page | data[0] ............ data[data_bytes - 1]
 *                     ^out  ======^in        used bytes: out .. in, modulo data_bytes
 *
 * The only file that knows how an index becomes an address. Packets are reached through its four
 * accessors (one word in, one word out, bytes in, bytes out) and through spans; whatever else the
 * data area may be one day (pages that lie apart, or mapped twice in a row) is another case in
 * these and nowhere else. They are inline so that such a case is a branch that the processor
 * predicts, not a call through a pointer.
 *
 * Owner       the caller hands the memory in and keeps it until both ends are done with it
 * Peer        may write every byte at any time; each is loaded through base/shared.h
 * Context     any
 * Invariants  [V1] data_bytes is a multiple of 4096, not 0; control and data are aligned to 8
 *             [V2] an index is < data_bytes and a multiple of 8, so that no word straddles the end
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
        uint8_t *data;
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

/* Zeroes the control page. The owner of the pages does this once before the peer learns of them
 * (a.3); the data area keeps its content. */
void vmbus_memory_reset(const struct vmbus_memory *memory);

/* ---- index arithmetic: these four, and nothing beside them ---- */

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

/* The same for a piece of the ring that `straight` says does not reach the end; a constant at every
 * call, so that the test is made once for a packet and not for each of its words. */
static ALWAYS_INLINE uint32_t vmbus_memory_step(const struct vmbus_memory *memory, uint32_t index,
                                                uint32_t bytes, bool straight)
{
        return straight ? index + bytes : vmbus_memory_advance(memory, index, bytes);
}

/* The bytes from `from` on up to `to`; 0 when they are equal. With out and in: the bytes in use. */
static inline uint32_t vmbus_memory_distance(const struct vmbus_memory *memory, uint32_t from,
                                             uint32_t to)
{
        return to >= from ? to - from : memory->data_bytes - (from - to);
}

/* The bytes free to write. One word is held back, for in == out already means empty. */
static inline uint32_t vmbus_memory_free(const struct vmbus_memory *memory, uint32_t in,
                                         uint32_t out)
{
        return memory->data_bytes - VMBUS_GAP_BYTES - vmbus_memory_distance(memory, out, in);
}

/* ---- accessors ---- */

/* One aligned word of the data area, relaxed: a peer that breaks the rules may change it meanwhile,
 * so it is loaded once and the result is what is checked. */
static inline uint64_t vmbus_memory_load_u64(const struct vmbus_memory *memory, uint32_t index)
{
        DEBUG_ASSERT(index < memory->data_bytes); /* [V2] */
        DEBUG_ASSERT(is_aligned(index, VMBUS_WORD_BYTES));
        return shared_load_u64(memory->data + index);
}

static inline void vmbus_memory_store_u64(const struct vmbus_memory *memory, uint32_t index,
                                          uint64_t value)
{
        DEBUG_ASSERT(index < memory->data_bytes); /* [V2] */
        DEBUG_ASSERT(is_aligned(index, VMBUS_WORD_BYTES));
        shared_store_u64(memory->data + index, value);
}

/* Copies between private memory and the data area, around its end if need be.
 *   index  of the first byte, any alignment, < data_bytes
 *   bytes  0 .. data_bytes; with 0 the private pointer is ignored */
static inline void vmbus_memory_copy_in(const struct vmbus_memory *memory, uint32_t index,
                                        void *restrict bytes_out, uint32_t bytes)
{
        uint32_t to_end = memory->data_bytes - index;
        DEBUG_ASSERT(index < memory->data_bytes);
        DEBUG_ASSERT(bytes <= memory->data_bytes);
        if (UNLIKELY(bytes == 0))
                return;
        if (LIKELY(bytes <= to_end)) {
                shared_copy_in(bytes_out, memory->data + index, bytes);
                return;
        }
        shared_copy_in(bytes_out, memory->data + index, to_end);
        shared_copy_in((uint8_t *)bytes_out + to_end, memory->data, bytes - to_end);
}

static inline void vmbus_memory_copy_out(const struct vmbus_memory *memory, uint32_t index,
                                         const void *restrict source, uint32_t bytes)
{
        uint32_t to_end = memory->data_bytes - index;
        DEBUG_ASSERT(index < memory->data_bytes);
        DEBUG_ASSERT(bytes <= memory->data_bytes);
        if (UNLIKELY(bytes == 0))
                return;
        if (LIKELY(bytes <= to_end)) {
                shared_copy_out(memory->data + index, source, bytes);
                return;
        }
        shared_copy_out(memory->data + index, source, to_end);
        shared_copy_out(memory->data, (const uint8_t *)source + to_end, bytes - to_end);
}

#endif
