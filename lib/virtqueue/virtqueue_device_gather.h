/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_device_gather — from copies of descriptors to the pieces of a request. Private to the
 * device's ends: virtqueue_device_split.c and _packed.c follow the chains in their rings, hand
 * copies over, and this part judges them, goes into tables and adds up.
 *
 * Facts       Virtio 1.3, 2.7.4 and 2.7.5; spec/virtio.md, 10, items 4 to 8 */
#ifndef VIRTQUEUE_VIRTQUEUE_DEVICE_GATHER_H
#define VIRTQUEUE_VIRTQUEUE_DEVICE_GATHER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "virtqueue/virtqueue_device.h"

/* A chain that is being read; all zero but the first two in the beginning. */
struct virtqueue_device_gather {
        struct virtqueue_device *device;
        struct virtqueue_request *request;
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

/* Ends the chain and fills in the request; false as above. */
bool MUST_CHECK virtqueue_device_gather_finish(struct virtqueue_device_gather *gather);

/* Latches that a chain has `total_bytes`, 2^32 or more; returns ZX_ERR_IO_DATA_INTEGRITY. */
zx_status_t virtqueue_device_gather_refuse_total(struct virtqueue_device *device,
                                                 uint64_t total_bytes);

#endif
