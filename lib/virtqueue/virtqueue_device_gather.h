/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_device_gather — from copies of descriptors to the pieces of a request. Private to the
 * device's ends: virtqueue_device_split_chains.c and _packed_chains.c follow the chains in their
 * rings, hand copies over, and this part judges them, goes into tables and adds up.
 *
 * Facts       Virtio 1.3, 2.7.4 and 2.7.5; spec/virtio.md, 10, items 4 to 8 */
#ifndef VIRTQUEUE_VIRTQUEUE_DEVICE_GATHER_H
#define VIRTQUEUE_VIRTQUEUE_DEVICE_GATHER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "virtqueue/virtqueue_device.h"

/* The word of a slot in flight, and what is in it; `entries` only of a packed ring, else 0. */
#define VIRTQUEUE_DEVICE_SLOT_ENTRIES_SHIFT 48

static ALWAYS_INLINE uint64_t virtqueue_device_slot_word(uint64_t writable_bytes, uint64_t entries)
{
        return (writable_bytes + 1) | entries << VIRTQUEUE_DEVICE_SLOT_ENTRIES_SHIFT;
}

static ALWAYS_INLINE uint32_t virtqueue_device_slot_entries(uint64_t word)
{
        return (uint32_t)(word >> VIRTQUEUE_DEVICE_SLOT_ENTRIES_SHIFT);
}

/* More than what may have been written; 0 when it is not in flight. */
static ALWAYS_INLINE uint64_t virtqueue_device_slot_limit(uint64_t word)
{
        return word & (BIT_MASK(VIRTQUEUE_DEVICE_SLOT_ENTRIES_SHIFT) - 1);
}

/* Runs: chains of up to so many plain descriptors, whose buffers have at most so many bytes. An
 * address in the lower half does not wrap with them, nor does the sum of a chain. */
#define VIRTQUEUE_RUN_PIECES 4
#define VIRTQUEUE_PLAIN_BYTES_MAX (1u << 29)
_Static_assert((uint64_t)VIRTQUEUE_RUN_PIECES * VIRTQUEUE_PLAIN_BYTES_MAX <= UINT32_MAX, "sums");

/* IN_ORDER: writes what is not written of what was pushed; before the store that publishes it. */
void virtqueue_device_end_order(struct virtqueue_device *device);

/* The last 8 bytes of a used descriptor. */
static ALWAYS_INLINE uint64_t virtqueue_packed_used_rest(bool wrap, uint32_t id, uint32_t bytes)
{
        uint64_t write = bytes != 0 ? BIT_MASK(VIRTQUEUE_WRITE_BIT) : 0;
        return virtqueue_packed_rest(bytes, id, virtqueue_packed_used(wrap) | write);
}

/* Where the position is in a request's `place`; the id is below it. */
#define VIRTQUEUE_REQUEST_POSITION_SHIFT 16

/* A chain that is being read; all zero but the first three in the beginning. */
struct virtqueue_device_gather {
        struct virtqueue_device *device;
        struct virtqueue_request *request;
        bool wait; /* more pieces than there is room for is nobody's fault */
        uint64_t total_bytes, writable_bytes;
        uint32_t read;   /* descriptors so far, tables' entries included: at most the ring's size */
        uint32_t pieces; /* of those, with bytes */
        uint32_t writable_pieces;
        bool writable; /* a descriptor to write was met */
};

/* Takes one descriptor of the ring, or the table that it refers to. NEXT is only looked at together
 * with INDIRECT; to follow it is the caller's.
 *   returns  false: a rule is broken, latched in the device */
bool MUST_CHECK virtqueue_device_gather_descriptor(struct virtqueue_device_gather *gather,
                                                   const struct virtqueue_descriptor *descriptor);

/* The short way for a plain buffer: takes it.
 *   returns  false: it is unusual, or breaks a rule; nothing was taken, and the long way,
 *            virtqueue_device_gather_descriptor(), says what it is */
static ALWAYS_INLINE bool virtqueue_device_gather_plain(struct virtqueue_device_gather *gather,
                                                        uint64_t dev, uint32_t bytes, bool writable)
{
        struct virtqueue_request *request = gather->request;
        if (UNLIKELY(dev + bytes <= dev || (gather->writable && !writable) ||
                     gather->read == gather->device->ring.size ||
                     gather->pieces == request->elements_max))
                return false;
        request->elements[gather->pieces].dev = dev;
        request->elements[gather->pieces++].bytes = bytes;
        gather->read++;
        gather->writable = writable;
        gather->total_bytes += bytes;
        gather->writable_bytes += writable ? bytes : 0;
        gather->writable_pieces += writable;
        return true;
}

/* What became of a chain after one of these was false: ZX_ERR_IO_DATA_INTEGRITY, or with `wait`
 * ZX_ERR_NO_RESOURCES, and nothing has changed. */
static inline zx_status_t virtqueue_device_gather_status(
        const struct virtqueue_device_gather *gather)
{
        bool bad = gather->device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE;
        return bad ? ZX_ERR_IO_DATA_INTEGRITY : ZX_ERR_NO_RESOURCES;
}

/* Ends the chain and fills in the request; false as above. */
bool MUST_CHECK virtqueue_device_gather_finish(struct virtqueue_device_gather *gather);

/* Latches that a chain has `total_bytes`, 2^32 or more; returns ZX_ERR_IO_DATA_INTEGRITY. */
zx_status_t virtqueue_device_gather_refuse_total(struct virtqueue_device *device,
                                                 uint64_t total_bytes);

#endif
