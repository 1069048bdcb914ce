/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Walks over the bytes of a chain, see virtqueue_chain.h. Relies on base/shared.h for every copy
 * from and to the driver's memory. */
#include "virtqueue/virtqueue_chain.h"

#include "base/assert.h"
#include "base/shared.h"

/* Moves a walk on by `bytes` of its present element. */
static ALWAYS_INLINE void advance(struct virtqueue_chain_walk *walk, uint32_t element_left,
                                  uint32_t bytes)
{
        walk->left -= bytes;
        if (bytes == element_left) {
                walk->element++;
                walk->offset = 0;
        } else {
                walk->offset += bytes;
        }
}

static ALWAYS_INLINE zx_status_t walk_next(struct virtqueue_chain_io *io,
                                           struct virtqueue_chain_walk *walk, uint32_t limit,
                                           struct virtqueue_chain_span *span)
{
        struct virtqueue_device *device = io->device;
        if (UNLIKELY(device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (walk->element == walk->end)
                return ZX_ERR_STOP;
        const struct virtqueue_element *element = &io->request->elements[walk->element];
        uint32_t element_left = element->bytes - walk->offset;
        uint64_t mapped, dev = element->dev + walk->offset;
        void *va = virtqueue_device_memory_map(&device->memory, dev,
                                               element_left < limit ? element_left : limit,
                                               &mapped);
        if (UNLIKELY(va == NULL)) {
                virtqueue_device_refuse(device, VIRTQUEUE_DEVICE_FAULT_UNMAPPED, dev, 0);
                return ZX_ERR_IO_DATA_INTEGRITY;
        }
        ASSERT(mapped != 0); /* of the translation, or of the limit */
        span->va = va;
        span->bytes = (uint32_t)mapped;
        advance(walk, element_left, span->bytes);
        return ZX_OK;
}

zx_status_t virtqueue_chain_read_next(struct virtqueue_chain_io *io, uint32_t limit,
                                      struct virtqueue_chain_span *span)
{
        return walk_next(io, &io->read, limit, span);
}

zx_status_t virtqueue_chain_write_next(struct virtqueue_chain_io *io, uint32_t limit,
                                       struct virtqueue_chain_span *span)
{
        return walk_next(io, &io->write, limit, span);
}

zx_status_t virtqueue_chain_read(struct virtqueue_chain_io *io, void *buffer, uint32_t bytes,
                                 uint32_t *done)
{
        struct virtqueue_chain_span span;
        zx_status_t status = ZX_OK;
        uint32_t copied = 0;
        while (copied < bytes && status == ZX_OK) {
                status = walk_next(io, &io->read, bytes - copied, &span);
                if (status == ZX_OK) {
                        shared_copy_in((char *)buffer + copied, span.va, span.bytes);
                        copied += span.bytes;
                }
        }
        *done = copied;
        return status == ZX_ERR_STOP ? ZX_OK : status;
}

zx_status_t virtqueue_chain_write(struct virtqueue_chain_io *io, const void *buffer, uint32_t bytes,
                                  uint32_t *done)
{
        struct virtqueue_chain_span span;
        zx_status_t status = ZX_OK;
        uint32_t copied = 0;
        ASSERT(io->written_bytes + io->write.left == io->request->writable_bytes);
        while (copied < bytes && status == ZX_OK) {
                status = walk_next(io, &io->write, bytes - copied, &span);
                if (status == ZX_OK) {
                        shared_copy_out(span.va, (const char *)buffer + copied, span.bytes);
                        copied += span.bytes;
                }
        }
        io->written_bytes += copied;
        *done = copied;
        return status == ZX_ERR_STOP ? ZX_OK : status;
}

uint32_t virtqueue_chain_skip(struct virtqueue_chain_io *io, uint32_t bytes)
{
        struct virtqueue_chain_walk *walk = &io->read;
        uint32_t skipped = 0;
        while (skipped < bytes && walk->element != walk->end) {
                uint32_t element_left =
                        io->request->elements[walk->element].bytes - walk->offset;
                uint32_t step = bytes - skipped;
                if (step > element_left)
                        step = element_left;
                advance(walk, element_left, step);
                skipped += step;
        }
        return skipped;
}

void virtqueue_chain_add_written(struct virtqueue_chain_io *io, uint32_t bytes)
{
        uint32_t handed_bytes = io->request->writable_bytes - io->write.left;
        ASSERT(bytes <= handed_bytes - io->written_bytes); /* [C2] */
        io->written_bytes += bytes;
}

enum virtqueue_chain_rest virtqueue_chain_finish(struct virtqueue_chain_io *io)
{
        virtqueue_device_push(io->device, io->request->id, io->written_bytes);
        if (io->read.left != 0)
                return VIRTQUEUE_CHAIN_READABLE_LEFT;
        return io->written_bytes != io->request->writable_bytes ? VIRTQUEUE_CHAIN_WRITABLE_LEFT :
                                                                  VIRTQUEUE_CHAIN_COMPLETE;
}
