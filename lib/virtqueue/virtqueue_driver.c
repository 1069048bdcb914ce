/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What the driver's ends of both ring layouts have in common: birth, the free list, faults, the
 * end. Relies on virtqueue_layout.h. Facts: Virtio 1.3, 2.7. */
#include "virtqueue/virtqueue_driver.h"

#include "base/assert.h"
#include "base/bytes.h"

static bool area_valid(const struct virtqueue_area *area, uint64_t bytes, uint64_t alignment)
{
        uint64_t end;
        return area->va != NULL && is_aligned((uintptr_t)area->va, alignment) &&
               is_aligned(area->dev, alignment) && !add_overflows(area->dev, bytes, &end);
}

zx_status_t virtqueue_driver_init(struct virtqueue_driver *queue,
                                  const struct virtqueue_driver_config *config)
{
        uint32_t size = config->size;
        if (!virtqueue_split_size_valid(size) || config->slots == NULL ||
            !area_valid(&config->descriptors, virtqueue_descriptors_bytes(size),
                        VIRTQUEUE_DESCRIPTOR_ALIGN) ||
            !area_valid(&config->avail, virtqueue_avail_bytes(size), VIRTQUEUE_AVAIL_ALIGN) ||
            !area_valid(&config->used, virtqueue_used_bytes(size), VIRTQUEUE_USED_ALIGN))
                return ZX_ERR_INVALID_ARGS;

        *queue = (struct virtqueue_driver){
                .descriptors = config->descriptors.va,
                .avail = config->avail.va,
                .used = config->used.va,
                .slots = config->slots,
                .size = size,
                .free_count = size,
                .event_index = config->event_index,
                .config = *config,
        };
        memset(config->descriptors.va, 0, virtqueue_descriptors_bytes(size));
        memset(config->avail.va, 0, virtqueue_avail_bytes(size));
        memset(config->used.va, 0, virtqueue_used_bytes(size));
        for (uint32_t i = 0; i < size; i++)
                queue->slots[i] = (struct virtqueue_slot){.next = (uint16_t)(i + 1)};
        queue->slots[size - 1].next = 0; /* never followed: free_count ends the list first */

        ASSERT(virtqueue_driver_valid(queue));
        return ZX_OK;
}

bool virtqueue_driver_valid(const struct virtqueue_driver *queue)
{
        return virtqueue_split_size_valid(queue->size) &&
               queue->taken <= queue->seen && queue->seen <= queue->published && /* [V2] */
               queue->published <= queue->added &&                               /* [V2] */
               queue->added - queue->taken <= queue->size &&                     /* [V1] */
               queue->free_count <= queue->size - (queue->added - queue->taken) && /* [V3] */
               queue->free_head < queue->size;                                   /* [V3] */
}

const char *virtqueue_fault_name(enum virtqueue_fault_reason reason)
{
        switch (reason) {
        case VIRTQUEUE_FAULT_NONE:
                return "none";
        case VIRTQUEUE_FAULT_INDEX_JUMP:
                return "used index jumped";
        case VIRTQUEUE_FAULT_ID_RANGE:
                return "used id outside the ring";
        case VIRTQUEUE_FAULT_ID_NOT_AVAILABLE:
                return "used id was not made available";
        case VIRTQUEUE_FAULT_ID_TWICE:
                return "used id given back twice";
        case VIRTQUEUE_FAULT_LENGTH:
                return "used length beyond the buffer";
        }
        return "?";
}

bool virtqueue_driver_take_unused(struct virtqueue_driver *queue, void **cookie)
{
        queue->free_count = 0; /* nothing is added to a queue that is being cleared */
        while (queue->unused_scan < queue->size) {
                struct virtqueue_slot *slot = &queue->slots[queue->unused_scan++];
                if (slot->state == VIRTQUEUE_SLOT_HEAD) {
                        slot->state = VIRTQUEUE_SLOT_FREE;
                        *cookie = slot->cookie;
                        return true;
                }
        }
        return false;
}
