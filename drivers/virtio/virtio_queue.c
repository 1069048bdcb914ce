/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The memory of a queue, from a pmm.
 *
 *   | descriptors | avail | pad to 4 | used | pad |     page aligned, contiguous: shared
 *   | tables of indirect descriptors | pad |            page aligned, contiguous: shared
 *   | slots | pad |                                     page aligned, contiguous: ours alone */
#include "drivers/virtio/virtio_queue.h"

#include "base/bytes.h"

zx_status_t virtio_queue_alloc(struct virtio_queue *queue, uint64_t bytes,
                               struct virtqueue_area *area)
{
        struct list_node pages;
        list_init(&pages);
        if (pmm_alloc_contiguous(queue->pmm, div_round_up(bytes, PAGE_BYTES), PMM_ALLOC_ANY,
                                 PAGE_BYTES_LOG2, &area->dev, &pages) != ZX_OK)
                return ZX_ERR_NO_MEMORY;
        list_splice_tail(&queue->pages, &pages);
        area->va = pmm_pa_to_va(queue->pmm, area->dev);
        return ZX_OK;
}

static struct virtqueue_area area_at(const struct virtqueue_area *base, uint64_t offset)
{
        return (struct virtqueue_area){.va = (char *)base->va + offset, .dev = base->dev + offset};
}

/* The areas of a packed ring are smaller than those of a split one; both are cut from one piece. */
static zx_status_t make_ring(struct virtio_queue *queue, uint32_t size,
                             const struct virtio_queue_options *options)
{
        const struct virtio_device *device = queue->device;
        uint64_t avail_offset = virtqueue_descriptors_bytes(size);
        uint64_t used_offset =
                round_up(avail_offset + virtqueue_avail_bytes(size), VIRTQUEUE_USED_ALIGN);
        struct virtqueue_area ring, slots, tables = {0};
        uint32_t indirect_entries = 0;
        if (virtio_device_has(device, VIRTIO_F_INDIRECT_DESC))
                indirect_entries = (uint32_t)min_u64(options->indirect_entries, size);
        zx_status_t status =
                virtio_queue_alloc(queue, used_offset + virtqueue_used_bytes(size), &ring);
        if (status == ZX_OK)
                status = virtio_queue_alloc(queue, size * sizeof(struct virtqueue_slot), &slots);
        if (status == ZX_OK && indirect_entries != 0)
                status = virtio_queue_alloc(queue, (uint64_t)size * indirect_entries *
                                                           VIRTQUEUE_DESCRIPTOR_BYTES, &tables);
        if (status != ZX_OK)
                return status;
        struct virtqueue_driver_config config = {
                .size = size,
                .event_index = virtio_device_has(device, VIRTIO_F_EVENT_IDX),
                .packed = virtio_device_has(device, VIRTIO_F_RING_PACKED),
                .in_order = virtio_device_has(device, VIRTIO_F_IN_ORDER),
                .lengths_ignored = options->read_only,
                .indirect_entries = indirect_entries,
                .descriptors = ring,
                .avail = area_at(&ring, round_up(avail_offset, VIRTQUEUE_USED_ALIGN)),
                .used = area_at(&ring, used_offset),
                .tables = tables,
                .slots = slots.va,
        };
        return virtqueue_driver_init(&queue->ring, &config);
}

static zx_status_t enable(struct virtio_queue *queue)
{
        const struct virtqueue_driver_config *config = &queue->ring.config;
        struct virtio_queue_setup setup = {
                .size = config->size,
                .descriptors_dev = config->descriptors.dev,
                .driver_dev = config->avail.dev,
                .device_dev = config->used.dev,
                .no_interrupt = queue->no_interrupt,
        };
        if (queue->no_interrupt)
                virtqueue_driver_mute(&queue->ring);
        return virtio_device_queue_enable(queue->device, queue->index, &setup);
}

zx_status_t virtio_queue_open(struct virtio_queue *queue, struct virtio_device *device,
                              uint16_t index, const struct virtio_queue_options *options)
{
        uint32_t size;
        *queue = (struct virtio_queue){.device = device, .pmm = options->pmm, .index = index,
                                        .no_interrupt = options->no_interrupt};
        list_init(&queue->pages);
        zx_status_t status = virtio_device_queue_size(device, index, options->size_limit, &size);
        if (status != ZX_OK)
                return status;
        status = make_ring(queue, size, options);
        if (status != ZX_OK)
                goto undo_pages;
        status = enable(queue);
        if (status != ZX_OK)
                goto undo_pages;
        return ZX_OK;

undo_pages:
        virtio_queue_close(queue);
        return status;
}

zx_status_t virtio_queue_reset(struct virtio_queue *queue)
{
        return virtio_device_queue_reset(queue->device, queue->index);
}

zx_status_t virtio_queue_reopen(struct virtio_queue *queue)
{
        virtqueue_driver_reset(&queue->ring);
        return enable(queue);
}

void virtio_queue_close(struct virtio_queue *queue)
{
        if (queue->pmm != NULL)
                pmm_free(queue->pmm, &queue->pages);
        queue->ring = (struct virtqueue_driver){0};
}

uint64_t virtio_queue_abandon(struct virtio_queue *queue)
{
        uint64_t count = queue->pmm != NULL ? list_count(&queue->pages) : 0;
        list_init(&queue->pages);
        queue->ring = (struct virtqueue_driver){0};
        return count;
}
