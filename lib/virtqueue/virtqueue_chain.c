/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Walks over the bytes of a chain, see virtqueue_chain.h. Relies on base/shared.h for every copy
 * from and to the driver's memory. */
#include "virtqueue/virtqueue_chain.h"

#include "base/assert.h"
#include "base/shared.h"

zx_status_t virtqueue_chain_read(struct virtqueue_chain_io *io, void *buffer, uint32_t bytes,
                                 uint32_t *done)
{
        struct virtqueue_chain_span span;
        zx_status_t status = ZX_OK;
        uint32_t copied = 0;
        while (copied < bytes && status == ZX_OK) {
                status = virtqueue_chain_next(io, &io->read, bytes - copied, &span);
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
                status = virtqueue_chain_next(io, &io->write, bytes - copied, &span);
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
                virtqueue_chain_advance(walk, element_left, step);
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
