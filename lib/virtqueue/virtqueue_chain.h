/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_chain — the bytes of a chain that a device has popped: read from the front, written
 * from the front, piece by piece or copied, with an account of what is left.
 *
 *   |== read ==|-- readable left --| |== written ==|.. handed out ..|-- writable left --|
 *                                     ^ used length counts from here
 *
 * Both walks are independent of each other. A piece is as long as it lies in a row in our memory; a
 * buffer that crosses regions comes in several. A piece that is not the driver's memory breaks the
 * queue (VIRTQUEUE_DEVICE_FAULT_UNMAPPED): this and every later call says
 * ZX_ERR_IO_DATA_INTEGRITY.
 *
 * Owner       the request stays the caller's until virtqueue_chain_finish() (or push()); pieces
 *             stay the driver's memory: it may write them while we look
 * Context     that of the queue (virtqueue_device.h)
 * Invariants  [C1] read_bytes <= request->readable_bytes
 *             [C2] written_bytes <= handed_bytes <= request->writable_bytes
 * Facts       spec/zircon-objects.md, 13.4; spec/virtio.md, 6 (used.len) and 10 (item 8) */
#ifndef VIRTQUEUE_VIRTQUEUE_CHAIN_H
#define VIRTQUEUE_VIRTQUEUE_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "virtqueue/virtqueue_device.h"

/* Where a walk stands. */
struct virtqueue_chain_walk {
        uint32_t element; /* index in request->elements */
        uint32_t end;     /* behind the walk's last element */
        uint32_t offset;  /* in the element; below its length */
        uint32_t left;    /* bytes */
};

struct virtqueue_chain_io {
        struct virtqueue_device *device;
        const struct virtqueue_request *request;
        struct virtqueue_chain_walk read, write;
        uint32_t written_bytes; /* [C2] */
};

/* One piece in a row. */
struct virtqueue_chain_span {
        void *va;
        uint32_t bytes; /* 1.. */
};

/* What was left when a chain was given back. */
enum virtqueue_chain_rest {
        VIRTQUEUE_CHAIN_COMPLETE = 0,  /* nothing: all read, all written */
        VIRTQUEUE_CHAIN_READABLE_LEFT, /* not all was read (whatever was written) */
        VIRTQUEUE_CHAIN_WRITABLE_LEFT,
};

/* Begins both walks at the front.
 *   request  popped from `device` and in flight; read until virtqueue_chain_finish() */
static inline void virtqueue_chain_io_init(struct virtqueue_chain_io *io,
                                           struct virtqueue_device *device,
                                           const struct virtqueue_request *request)
{
        uint32_t readable = request->readable_count;
        io->device = device;
        io->request = request;
        io->read = (struct virtqueue_chain_walk){.end = readable, .left = request->readable_bytes};
        io->write = (struct virtqueue_chain_walk){.element = readable,
                                                  .end = readable + request->writable_count,
                                                  .left = request->writable_bytes};
        io->written_bytes = 0;
}

/* Bytes that the walks have not passed yet; nothing is translated for it. */
static inline uint32_t virtqueue_chain_readable_left(const struct virtqueue_chain_io *io)
{
        return io->read.left;
}

static inline uint32_t virtqueue_chain_writable_left(const struct virtqueue_chain_io *io)
{
        return io->write.left;
}

/* Moves a walk on by `bytes` of its present element, of which `element_left` are left. */
static inline void virtqueue_chain_advance(struct virtqueue_chain_walk *walk,
                                           uint32_t element_left, uint32_t bytes)
{
        walk->left -= bytes;
        walk->offset += bytes;
        if (bytes == element_left) {
                walk->element++;
                walk->offset = 0;
        }
}

/* Of either walk, for the two below. */
static inline zx_status_t MUST_CHECK virtqueue_chain_next(struct virtqueue_chain_io *io,
                                                          struct virtqueue_chain_walk *walk,
                                                          uint32_t limit,
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
        *span = (struct virtqueue_chain_span){.va = va, .bytes = (uint32_t)mapped};
        virtqueue_chain_advance(walk, element_left, (uint32_t)mapped);
        return ZX_OK;
}

/* The next piece to read, and moves on behind it.
 *   limit    1..; bytes at most
 *   span     out: the driver may change what is in it: copy, then check, then use the copy
 *   returns  ZX_OK; ZX_ERR_STOP: all was read; ZX_ERR_IO_DATA_INTEGRITY: the queue is broken */
static inline zx_status_t MUST_CHECK virtqueue_chain_read_next(struct virtqueue_chain_io *io,
                                                               uint32_t limit,
                                                               struct virtqueue_chain_span *span)
{
        return virtqueue_chain_next(io, &io->read, limit, span);
}

/* The next piece to write, and moves on behind it. What was written of it counts when
 * virtqueue_chain_add_written() says so; else as virtqueue_chain_read_next(). */
static inline zx_status_t MUST_CHECK virtqueue_chain_write_next(struct virtqueue_chain_io *io,
                                                                uint32_t limit,
                                                                struct virtqueue_chain_span *span)
{
        return virtqueue_chain_next(io, &io->write, limit, span);
}

/* Copies up to `bytes` from the readable part, and moves on behind them.
 *   done     out: bytes copied; less than `bytes` when the chain has no more
 *   returns  ZX_OK, also for 0 bytes; ZX_ERR_IO_DATA_INTEGRITY: the queue is broken, *done of them
 *            were copied */
zx_status_t MUST_CHECK virtqueue_chain_read(struct virtqueue_chain_io *io, void *buffer,
                                            uint32_t bytes, uint32_t *done);

/* Copies up to `bytes` into the writable part, behind what was written so far, and counts them.
 * Everything handed out before must have been counted. Else as virtqueue_chain_read(). */
zx_status_t MUST_CHECK virtqueue_chain_write(struct virtqueue_chain_io *io, const void *buffer,
                                             uint32_t bytes, uint32_t *done);

/* Passes up to `bytes` of the readable part without looking at them; returns how many. */
uint32_t virtqueue_chain_skip(struct virtqueue_chain_io *io, uint32_t bytes);

/* Counts bytes written through pieces of virtqueue_chain_write_next(), in their order.
 *   bytes    of those handed out and not counted yet; more is a bug of the device */
void virtqueue_chain_add_written(struct virtqueue_chain_io *io, uint32_t bytes);

/* Gives the chain back with what was written; the driver sees it after publish(). The io and the
 * request are the caller's again.
 *   returns  whether all was used, for devices to which the rest matters */
static inline enum virtqueue_chain_rest virtqueue_chain_finish(struct virtqueue_chain_io *io)
{
        virtqueue_device_push(io->device, io->request->id, io->written_bytes);
        if (io->read.left != 0)
                return VIRTQUEUE_CHAIN_READABLE_LEFT;
        return io->written_bytes != io->request->writable_bytes ? VIRTQUEUE_CHAIN_WRITABLE_LEFT :
                                                                  VIRTQUEUE_CHAIN_COMPLETE;
}

#endif
