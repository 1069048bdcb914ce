/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_device_ring — the bare split ring as a device sees it: one access a call, no memory of
 * what was done, no rules. virtqueue_device.h is built on it and is what a device should use; this
 * layer is for whoever keeps the books himself.
 *
 *   descriptors, avail ring    the driver's; only read here
 *   used ring                  the device's; only written here
 *
 * Indices run freely modulo 65536 and are the caller's. The bounds of what is accessed are kept
 * here whatever the driver wrote; what its words mean is not judged.
 *
 * Owner       the caller, of the struct; the transport, of the memory
 * Context     any; never sleeps; each area has one user at a time
 * Facts       Virtio 1.3, 2.7; spec/zircon-objects.md, 13.2; orders: 13.7 there */
#ifndef VIRTQUEUE_VIRTQUEUE_DEVICE_RING_H
#define VIRTQUEUE_VIRTQUEUE_DEVICE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/shared.h"
#include "virtqueue/virtqueue_layout.h"

struct virtqueue_device_ring {
        const struct virtqueue_descriptor *descriptors; /* virtqueue_descriptors_bytes(size) */
        const struct virtqueue_avail *avail;            /* virtqueue_avail_bytes(size) */
        struct virtqueue_used *used;                    /* virtqueue_used_bytes(size) */
        uint32_t size;                                  /* a power of two, 1..VIRTQUEUE_SIZE_MAX */
};

/* The driver's avail.idx.
 *   order   acquire; pairs with the driver's release of it:
 *           entries and descriptors before it are there */
static inline uint16_t virtqueue_device_ring_avail_index(const struct virtqueue_device_ring *ring)
{
        return shared_load_acquire_u16(&ring->avail->index);
}

/* The head in the avail ring at `index`; any value, also outside the table. Only below the avail
 * index it means something. */
static inline uint16_t virtqueue_device_ring_head(const struct virtqueue_device_ring *ring,
                                                  uint16_t index)
{
        return shared_load_u16(&ring->avail->ring[index & (ring->size - 1)]);
}

/* Whether there is an entry at `index`; its head. Says nothing of how far avail.idx is ahead. */
static inline bool virtqueue_device_ring_avail(const struct virtqueue_device_ring *ring,
                                               uint16_t index, uint16_t *head)
{
        if (virtqueue_device_ring_avail_index(ring) == index)
                return false;
        *head = virtqueue_device_ring_head(ring, index);
        return true;
}

/* A copy of descriptor `which`, each field read once; false: there is none of that number. */
static inline bool MUST_CHECK virtqueue_device_ring_descriptor(
        const struct virtqueue_device_ring *ring, uint32_t which, struct virtqueue_descriptor *copy)
{
        if (UNLIKELY(which >= ring->size))
                return false;
        const struct virtqueue_descriptor *descriptor = &ring->descriptors[which];
        uint64_t rest = shared_load_u64(&descriptor->bytes); /* bytes, flags and next in one word */
        copy->address = shared_load_u64(&descriptor->address);
        copy->bytes = (uint32_t)rest;
        copy->flags = (uint16_t)(rest >> 32);
        copy->next = (uint16_t)(rest >> 48);
        return true;
}

/* Writes the used entry at `index`. The driver does not look at it before _publish_used(). */
static inline void virtqueue_device_ring_insert_used(const struct virtqueue_device_ring *ring,
                                                     uint16_t index,
                                                     struct virtqueue_used_element entry)
{
        struct virtqueue_used_element *used = &ring->used->ring[index & (ring->size - 1)];
        shared_store_u32(&used->id, entry.id);
        shared_store_u32(&used->bytes, entry.bytes);
}

/* Shows the driver all entries below `index`: n entries, one call.
 *   order   release on used.idx; pairs with the driver's acquire of it: entries and the data in the
 *           buffers are there before the index says so */
static inline void virtqueue_device_ring_publish_used(const struct virtqueue_device_ring *ring,
                                                      uint16_t index)
{
        shared_store_release_u16(&ring->used->index, index);
}

/* Whether the driver wants a signal for a used index that moved by `moved` to `index`. Call
 * shared_fence_full() between the publication and this: our used.idx must be visible before we look
 * whether the driver sleeps; the fence pairs with the driver's between its used_event or flag and
 * its second look at used.idx. */
static inline bool virtqueue_device_ring_signal_wanted(const struct virtqueue_device_ring *ring,
                                                       bool event_index, uint16_t index,
                                                       uint64_t moved)
{
        if (!event_index)
                return !(shared_load_u16(&ring->avail->flags) &
                         VIRTQUEUE_FLAG(VIRTQUEUE_NO_INTERRUPT_BIT));
        return virtqueue_event_reached(shared_load_u16(&ring->avail->ring[ring->size]), index,
                                       moved);
}

/* What the driver should know of our wishes: used.flags, without EVENT_IDX. */
static inline void virtqueue_device_ring_set_flags(const struct virtqueue_device_ring *ring,
                                                   uint16_t flags)
{
        shared_store_u16(&ring->used->flags, flags);
}

/* The same with EVENT_IDX: a notification is wanted when the entry `event` becomes available. */
static inline void virtqueue_device_ring_set_avail_event(const struct virtqueue_device_ring *ring,
                                                         uint16_t event)
{
        shared_store_u16(virtqueue_avail_event(ring->used, ring->size), event);
}

#endif
