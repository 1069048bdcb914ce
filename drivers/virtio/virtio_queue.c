/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The memory of a queue, from the kernel's pmm.
 *
 *   | descriptors | avail | pad to 4 | used | pad |     page aligned, contiguous: shared
 *   | slots | pad |                                     page aligned, contiguous: ours alone
 */
#include "drivers/virtio/virtio_queue.h"

#include "base/bytes.h"
#include "kernel/memory.h"

/* `bytes` of contiguous memory on whole pages; the pages are noted in queue->pages. */
static zx_status_t alloc_area(struct virtio_queue *queue, uint64_t bytes,
                              struct virtqueue_area *area)
{
        struct list_node pages;
        list_init(&pages);
        if (pmm_alloc_contiguous(&kernel_pmm, div_round_up(bytes, PAGE_BYTES), PMM_ALLOC_ANY,
                                 PAGE_BYTES_LOG2, &area->dev, &pages) != ZX_OK)
                return ZX_ERR_NO_MEMORY;
        list_splice_tail(&queue->pages, &pages);
        area->va = memory_pa_to_va(area->dev);
        return ZX_OK;
}

static struct virtqueue_area area_at(const struct virtqueue_area *base, uint64_t offset)
{
        return (struct virtqueue_area){.va = (char *)base->va + offset, .dev = base->dev + offset};
}

static zx_status_t make_ring(struct virtio_queue *queue, uint32_t size, bool event_index)
{
        uint64_t avail_offset = virtqueue_descriptors_bytes(size);
        uint64_t used_offset =
                round_up(avail_offset + virtqueue_avail_bytes(size), VIRTQUEUE_USED_ALIGN);
        struct virtqueue_area ring, slots;
        zx_status_t status = alloc_area(queue, used_offset + virtqueue_used_bytes(size), &ring);
        if (status == ZX_OK)
                status = alloc_area(queue, size * sizeof(struct virtqueue_slot), &slots);
        if (status != ZX_OK)
                return status;
        struct virtqueue_driver_config config = {
                .size = size,
                .event_index = event_index,
                .descriptors = ring,
                .avail = area_at(&ring, avail_offset),
                .used = area_at(&ring, used_offset),
                .slots = slots.va,
        };
        return virtqueue_driver_init(&queue->ring, &config);
}

zx_status_t virtio_queue_open(struct virtio_queue *queue, struct virtio_device *device,
                              uint16_t index, uint32_t size_limit)
{
        uint32_t size;
        *queue = (struct virtio_queue){.device = device, .index = index};
        list_init(&queue->pages);
        zx_status_t status = virtio_device_queue_size(device, index, size_limit, &size);
        if (status != ZX_OK)
                return status;
        status = make_ring(queue, size, virtio_device_has(device, VIRTIO_F_EVENT_IDX));
        if (status != ZX_OK)
                goto undo_pages;
        struct virtio_queue_setup setup = {
                .size = size,
                .descriptors_dev = queue->ring.config.descriptors.dev,
                .driver_dev = queue->ring.config.avail.dev,
                .device_dev = queue->ring.config.used.dev,
        };
        status = virtio_device_queue_enable(device, index, &setup);
        if (status != ZX_OK)
                goto undo_pages;
        return ZX_OK;

undo_pages:
        virtio_queue_close(queue);
        return status;
}

void virtio_queue_close(struct virtio_queue *queue)
{
        pmm_free(&kernel_pmm, &queue->pages);
        queue->ring = (struct virtqueue_driver){0};
}

uint64_t virtio_queue_abandon(struct virtio_queue *queue)
{
        uint64_t count = list_count(&queue->pages);
        list_init(&queue->pages);
        queue->ring = (struct virtqueue_driver){0};
        return count;
}
