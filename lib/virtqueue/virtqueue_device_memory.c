/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Translation of driver addresses, see virtqueue_device_memory.h. Relies on base/shared.h for the
 * copy. Facts: spec/virtio.md, 10. */
#include "virtqueue/virtqueue_device_memory.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/shared.h"

void *virtqueue_device_regions_translate(const void *context, uint64_t dev, uint64_t bytes,
                                         uint64_t *mapped_bytes)
{
        void *va = virtqueue_device_regions_find(context, dev, mapped_bytes);
        if (va != NULL)
                *mapped_bytes = min_u64(bytes, *mapped_bytes);
        return va;
}

void *virtqueue_device_memory_map_whole(const struct virtqueue_device_memory *memory, uint64_t dev,
                                        uint64_t bytes, uint64_t alignment)
{
        uint64_t mapped;
        void *va = virtqueue_device_memory_map(memory, dev, bytes, &mapped);
        if (va == NULL || mapped < bytes || !is_aligned(dev, alignment) ||
            !is_aligned((uintptr_t)va, alignment))
                return NULL;
        return va;
}

bool virtqueue_device_memory_copy_in(const struct virtqueue_device_memory *memory,
                                     void *destination, uint64_t dev, uint64_t bytes)
{
        char *to = destination;
        while (bytes != 0) {
                uint64_t mapped;
                const void *va = virtqueue_device_memory_map(memory, dev, bytes, &mapped);
                if (va == NULL)
                        return false;
                ASSERT(mapped != 0); /* a translation without a byte would go on for ever */
                shared_copy_in(to, va, mapped);
                to += mapped;
                dev += mapped; /* wraps to 0 only when bytes becomes 0 */
                bytes -= mapped;
        }
        return true;
}
