/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_payload — the bytes of a packet: ranges of the ring, a writer, a reader, and spans.
 *
 *   data_bytes end v
 *   |1 2 3 ........|           a range that wraps: two spans, {last bytes} then {first bytes};
 *   range: offset ---^ bytes   writer and reader walk over the seam by themselves
 *
 * A range comes from vmbus_sender_write() or vmbus_receiver_read() and is plain numbers; the writer
 * or reader made from it holds the ring's address. All three are copied freely and need no release.
 * Lifetime    until the position that gave the range is committed or reverted; after that the bytes
 *             belong to the peer
 * Peer        may change the bytes of an incoming range at any time: copy out first, then parse the
 *             copy
 * Context     as the end that the range came from
 * Facts       spec/vmbus.md, b.1, c.7, d.3 */
#ifndef VMBUS_RING_VMBUS_PAYLOAD_H
#define VMBUS_RING_VMBUS_PAYLOAD_H

#include <stdint.h>

#include "vmbus_ring/vmbus_memory.h"
#include "vmbus_ring/vmbus_result.h"

/* `bytes` bytes of the ring from index `offset` on. Outgoing: the exact payload; incoming: the
 * payload with its padding, always a multiple of 8. Handed on by pointer: as a value it would
 * travel in one register, loaded as 8 bytes right after it was stored as 4 and 4, for which a
 * processor waits. */
struct vmbus_range {
        uint32_t offset;
        uint32_t bytes;
};

/* ---- writer ---- */

struct vmbus_writer {
        const struct vmbus_memory *memory;
        struct vmbus_range left;
};

/* Writes the next `bytes` bytes of the range.
 *   source   private memory, `bytes` long; ignored when that is 0
 *   returns  VMBUS_OK; VMBUS_RANGE_END when fewer are left, nothing written
 *   order    none: vmbus_sender_commit() publishes
 *   cost     one copy, two at the seam */
static inline enum vmbus_result MUST_CHECK vmbus_writer_write(struct vmbus_writer *writer,
                                                              const void *source, uint32_t bytes)
{
        if (UNLIKELY(bytes > writer->left.bytes))
                return VMBUS_RANGE_END;
        vmbus_memory_copy_out(writer->memory, writer->left.offset, source, bytes);
        writer->left.offset = vmbus_memory_advance(writer->memory, writer->left.offset, bytes);
        writer->left.bytes -= bytes;
        return VMBUS_OK;
}

/* Writes `bytes` times the byte `value`; otherwise as vmbus_writer_write(). */
enum vmbus_result MUST_CHECK vmbus_writer_fill(struct vmbus_writer *writer, uint8_t value,
                                               uint32_t bytes);

/* Passes over `bytes` bytes, which the caller has written through spans; VMBUS_RANGE_END when fewer
 * are left, nothing changed. */
static inline enum vmbus_result MUST_CHECK vmbus_writer_skip(struct vmbus_writer *writer,
                                                             uint32_t bytes)
{
        if (UNLIKELY(bytes > writer->left.bytes))
                return VMBUS_RANGE_END;
        writer->left.offset = vmbus_memory_advance(writer->memory, writer->left.offset, bytes);
        writer->left.bytes -= bytes;
        return VMBUS_OK;
}

/* The bytes not yet written. What is never written keeps what was in the ring before, for the peer
 * to see: a caller that stops early fills the rest. */
static inline uint32_t vmbus_writer_left_bytes(const struct vmbus_writer *writer)
{
        return writer->left.bytes;
}

/* ---- reader ---- */

struct vmbus_reader {
        const struct vmbus_memory *memory;
        struct vmbus_range left;
};

/* Copies the next `bytes` bytes of the range to private memory, each loaded once.
 *   target   `bytes` long; ignored when that is 0
 *   returns  VMBUS_OK; VMBUS_RANGE_END when fewer are left, nothing copied
 *   cost     one copy, two at the seam */
static inline enum vmbus_result MUST_CHECK vmbus_reader_read(struct vmbus_reader *reader,
                                                             void *target, uint32_t bytes)
{
        if (UNLIKELY(bytes > reader->left.bytes))
                return VMBUS_RANGE_END;
        vmbus_memory_copy_in(reader->memory, reader->left.offset, target, bytes);
        reader->left.offset = vmbus_memory_advance(reader->memory, reader->left.offset, bytes);
        reader->left.bytes -= bytes;
        return VMBUS_OK;
}

/* Passes over `bytes` bytes; VMBUS_RANGE_END when fewer are left, nothing changed. */
static inline enum vmbus_result MUST_CHECK vmbus_reader_skip(struct vmbus_reader *reader,
                                                             uint32_t bytes)
{
        if (UNLIKELY(bytes > reader->left.bytes))
                return VMBUS_RANGE_END;
        reader->left.offset = vmbus_memory_advance(reader->memory, reader->left.offset, bytes);
        reader->left.bytes -= bytes;
        return VMBUS_OK;
}

static inline uint32_t vmbus_reader_left_bytes(const struct vmbus_reader *reader)
{
        return reader->left.bytes;
}

/* ---- spans, for use without a copy ---- */

#define VMBUS_SPANS_MAX 2

struct vmbus_span {
        uint8_t *bytes;
        uint32_t byte_count;
};
struct vmbus_const_span {
        const uint8_t *bytes;
        uint32_t byte_count;
};

/* What is left of the range, as pieces of address space.
 *   spans    out: filled from the front
 *   returns  how many, 0 .. VMBUS_SPANS_MAX; 0 for an empty range. In a flat area they are all of
 *            it, in a mirrored one the first is. In a paged area each is the rest of one page, so
 *            they may be less than all: skip what they cover and ask again
 * The writer or reader does not move. A reader's spans are still the peer's to change: every byte
 * counts as read once only where it is loaded once. */
uint32_t vmbus_writer_spans(const struct vmbus_writer *writer,
                            struct vmbus_span spans[VMBUS_SPANS_MAX]);
uint32_t vmbus_reader_spans(const struct vmbus_reader *reader,
                            struct vmbus_const_span spans[VMBUS_SPANS_MAX]);

#endif
