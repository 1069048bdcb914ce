/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_queue — one queue of a virtio device with the memory behind it, from a pmm's pages.
 *
 * Ring and slots lie on pages of their own: what the device can write shares no page with anything
 * else.
 *
 * Owner       the pages are the queue's from open() to close(), and close() is for a device that
 *             has been reset; without that they are leaked on purpose by abandon()
 * Context     as virtio_device.h
 * Facts       Virtio 1.3, 2.7, 4.1.5.1.3 */
#ifndef DRIVERS_VIRTIO_VIRTIO_QUEUE_H
#define DRIVERS_VIRTIO_VIRTIO_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"
#include "drivers/virtio/virtio_device.h"
#include "kernel/pmm.h"
#include "virtqueue/virtqueue_driver.h"

struct virtio_queue_options {
        struct pmm *pmm; /* where the memory comes from; stays */
        uint32_t size_limit;       /* entries at most, a power of two */
        uint32_t indirect_entries; /* as in virtqueue_driver_config, cut to the size; used if
                                      INDIRECT_DESC was negotiated */
        bool no_interrupt; /* it is only ever polled */
        bool read_only;    /* the device has nothing to write: lengths that it names are ignored */
};

struct virtio_queue {
        struct virtqueue_driver ring;
        struct virtio_device *device;
        struct pmm *pmm;
        uint16_t index;
        bool no_interrupt;
        struct list_node pages; /* of ring and slots, and what virtio_queue_alloc() gave */
        uint64_t kicks;
};

/* Makes queue `index` live.
 *   returns  ZX_OK; ZX_ERR_NO_MEMORY; or what virtio_device_queue_size and _queue_enable return.
 *            After an error nothing is held. (If enabling failed half-way the device was only told
 *            addresses; it may not use them before DRIVER_OK,
 *            which the caller must not set then.) */
zx_status_t MUST_CHECK virtio_queue_open(struct virtio_queue *queue, struct virtio_device *device,
                                         uint16_t index,
                                         const struct virtio_queue_options *options);
/* `bytes` of contiguous memory on whole pages, not zeroed, that goes with the queue.
 *   returns  ZX_OK; ZX_ERR_NO_MEMORY: nothing has changed */
zx_status_t MUST_CHECK virtio_queue_alloc(struct virtio_queue *queue, uint64_t bytes,
                                          struct virtqueue_area *area);
/* Takes the queue, which is live, out of the device's hands (RING_RESET was accepted). Then its
 * cookies are taken out with virtqueue_driver_take_unused(), and virtio_queue_reopen() makes it
 * live again, empty, with the memory it had.
 *   returns  ZX_OK; ZX_ERR_TIMED_OUT: the device does not let go of it;
 *            reopen: what virtio_device_queue_enable returns */
zx_status_t MUST_CHECK virtio_queue_reset(struct virtio_queue *queue);
zx_status_t MUST_CHECK virtio_queue_reopen(struct virtio_queue *queue);
/* Gives the pages back. The device has been reset and every cookie was taken out. Does nothing to a
 * queue that is all zeros or closed. */
void virtio_queue_close(struct virtio_queue *queue);
/* Leaves the pages to a device that does not answer; returns how many they are. */
uint64_t virtio_queue_abandon(struct virtio_queue *queue);

/* Before waiting for the device: notifies one that would not wake up otherwise. */
static inline void virtio_queue_wake(struct virtio_queue *queue)
{
        if (!virtqueue_driver_kick_overdue(&queue->ring))
                return;
        queue->device->transport->ops->notify(queue->device->transport, queue->index);
        queue->kicks++;
}

/* Shows the device what was added and notifies it if it wants that. */
static inline void virtio_queue_flush(struct virtio_queue *queue)
{
        virtqueue_driver_publish(&queue->ring);
        if (!virtqueue_driver_kick_needed(&queue->ring))
                return;
        queue->device->transport->ops->notify(queue->device->transport, queue->index);
        queue->kicks++;
}

#endif
