/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_device_memory — from the addresses that a driver writes to pointers that a device may
 * follow.
 *
 *   driver's addresses   |--- region ---|........|--- region ---|--- region ---|
 *                               |                       |              |
 *   our pointers            anywhere                anywhere       anywhere
 *
 * A range of driver addresses may cross from one region into the next; it is then used in pieces.
 * What lies in no region is nobody's memory, and whoever asks for it gets nothing.
 *
 * Owner       the memory is the driver's; pointers are good as long as the transport keeps its map
 *             as it is (a vhost-user back end changes it only while its queues are stopped)
 * Context     any; nothing here is written
 * Facts       spec/zircon-objects.md, 13.1 (DriverMem); spec/virtio.md, 10 (items 1, 5, 7) */
#ifndef VIRTQUEUE_VIRTQUEUE_DEVICE_MEMORY_H
#define VIRTQUEUE_VIRTQUEUE_DEVICE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* What a transport supplies. */
struct virtqueue_device_memory {
        /* Where the byte `dev` is, and how many of the `bytes` from it lie in a row there.
         *   bytes         1..; dev + bytes - 1 does not wrap
         *   mapped_bytes  out: 1..bytes, or more; not looked at with NULL
         *   returns       NULL: `dev` is not the driver's memory */
        void *(*translate)(const void *context, uint64_t dev, uint64_t bytes,
                           uint64_t *mapped_bytes);
        const void *context;
};

/* One piece of the driver's memory. */
struct virtqueue_device_region {
        uint64_t dev;   /* driver address of the first byte */
        uint64_t bytes; /* dev + bytes - 1 does not wrap */
        void *va;
};

/* The context of virtqueue_device_regions_translate(). */
struct virtqueue_device_regions {
        const struct virtqueue_device_region *regions; /* any order, not overlapping */
        size_t count;
};

/* A translate function for a table of regions; looks at them in their order, so the largest should
 * stand first. */
void *virtqueue_device_regions_translate(const void *context, uint64_t dev, uint64_t bytes,
                                         uint64_t *mapped_bytes);

/* The same, in line: the usual table is short, and a call through a pointer costs as much. */
static ALWAYS_INLINE void *virtqueue_device_regions_find(
        const struct virtqueue_device_regions *table, uint64_t dev, uint64_t *mapped_bytes)
{
        const struct virtqueue_device_region *region = table->regions;
        const struct virtqueue_device_region *end = region + table->count;
        for (; region != end; region++) {
                uint64_t offset = dev - region->dev; /* huge when dev is below it */
                if (offset < region->bytes) {
                        *mapped_bytes = region->bytes - offset;
                        return (char *)region->va + offset;
                }
        }
        return NULL;
}

/* Where the byte `dev` is.
 *   bytes         1..; any address, also one whose range wraps
 *   mapped_bytes  out: 1..bytes of them lie in a row there
 *   returns       NULL: the range wraps, or does not begin in the driver's memory */
static inline void *virtqueue_device_memory_map(const struct virtqueue_device_memory *memory,
                                                uint64_t dev, uint64_t bytes,
                                                uint64_t *mapped_bytes)
{
        uint64_t mapped = 0;
        void *va;
        if (UNLIKELY(dev + (bytes - 1) < dev))
                return NULL;
        if (LIKELY(memory->translate == virtqueue_device_regions_translate))
                va = virtqueue_device_regions_find(memory->context, dev, &mapped);
        else
                va = memory->translate(memory->context, dev, bytes, &mapped);
        *mapped_bytes = mapped < bytes ? mapped : bytes;
        return va;
}

/* A range that must lie in one piece: an area of a ring.
 *   alignment  a power of two; of the driver's address and of the pointer
 *   returns    NULL: it does not, or it is not aligned */
void *virtqueue_device_memory_map_whole(const struct virtqueue_device_memory *memory, uint64_t dev,
                                        uint64_t bytes, uint64_t alignment);

/* Copies `bytes` from the driver's memory, over as many regions as it takes; each byte is read
 *   once. bytes    1..; far below 2^32: a driver may be behind regions of one byte each
 *   returns  false: some of it is not the driver's memory; what was copied means nothing then */
bool MUST_CHECK virtqueue_device_memory_copy_in(const struct virtqueue_device_memory *memory,
                                                void *destination, uint64_t dev, uint64_t bytes);

#endif
