/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What the driver's ends of both ring layouts have in common: birth, the free list, faults, the
 * end. Relies on virtqueue_layout.h. Facts: Virtio 1.3, 2.7. */
#include "virtqueue/virtqueue_driver.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "virtqueue/virtqueue_driver_private.h"

static COLD bool area_valid(const struct virtqueue_area *area, uint64_t bytes, uint64_t alignment)
{
        uint64_t end;
        return area->va != NULL && is_aligned((uintptr_t)area->va, alignment) &&
               is_aligned(area->dev, alignment) && !add_overflows(area->dev, bytes, &end);
}

/* What the areas of a ring must be. */
struct ring_shape {
        uint64_t avail_bytes, avail_alignment, used_bytes, used_alignment, tables_bytes;
};

static COLD struct ring_shape shape_of(const struct virtqueue_driver_config *config)
{
        uint32_t size = config->size;
        struct ring_shape shape = {
                .avail_bytes = virtqueue_avail_bytes(size),
                .avail_alignment = VIRTQUEUE_AVAIL_ALIGN,
                .used_bytes = virtqueue_used_bytes(size),
                .used_alignment = VIRTQUEUE_USED_ALIGN,
                .tables_bytes = virtqueue_descriptors_bytes(size) * config->indirect_entries,
        };
        if (config->packed) {
                shape.avail_bytes = shape.used_bytes = VIRTQUEUE_PACKED_EVENT_BYTES;
                shape.avail_alignment = shape.used_alignment = VIRTQUEUE_PACKED_EVENT_ALIGN;
        }
        return shape;
}

static bool size_valid(bool packed, uint32_t size)
{
        return packed ? virtqueue_packed_size_valid(size) : virtqueue_split_size_valid(size);
}

static COLD bool config_valid(const struct virtqueue_driver_config *config)
{
        if (!size_valid(config->packed, config->size) || config->slots == NULL ||
            config->indirect_entries > config->size)
                return false;
        struct ring_shape shape = shape_of(config);
        return area_valid(&config->descriptors, virtqueue_descriptors_bytes(config->size),
                          VIRTQUEUE_DESCRIPTOR_ALIGN) &&
               area_valid(&config->avail, shape.avail_bytes, shape.avail_alignment) &&
               area_valid(&config->used, shape.used_bytes, shape.used_alignment) &&
               (shape.tables_bytes == 0 ||
                area_valid(&config->tables, shape.tables_bytes, VIRTQUEUE_DESCRIPTOR_ALIGN));
}

COLD zx_status_t virtqueue_driver_init(struct virtqueue_driver *queue,
                                       const struct virtqueue_driver_config *config)
{
        uint32_t size = config->size;
        if (!config_valid(config))
                return ZX_ERR_INVALID_ARGS;
        *queue = (struct virtqueue_driver){
                .descriptors = config->descriptors.va,
                .avail = config->avail.va,
                .used = config->used.va,
                .slots = config->slots,
                .size = size,
                .free_count = size,
                .plain_max = virtqueue_driver_plain_max(size, config->indirect_entries),
                .length_mask = config->lengths_ignored ? 0 : UINT32_MAX,
                .event_index = config->event_index,
                .packed = config->packed,
                .in_order = config->in_order,
                .indirect_entries = config->indirect_entries,
                .next_added = {.wrap = true},
                .next_used = {.wrap = true},
                .next_published = {.wrap = true},
                .config = *config,
        };
        struct ring_shape shape = shape_of(config);
        memset(config->descriptors.va, 0, virtqueue_descriptors_bytes(size));
        memset(config->avail.va, 0, shape.avail_bytes);
        memset(config->used.va, 0, shape.used_bytes);
        for (uint32_t i = 0; i < size; i++)
                queue->slots[i] = (struct virtqueue_slot){.next = (uint16_t)(i + 1)};
        /* Followed only with IN_ORDER; else free_count ends the list first. */
        queue->slots[size - 1].next = 0;

        ASSERT(virtqueue_driver_valid(queue));
        return ZX_OK;
}

COLD void virtqueue_driver_reset(struct virtqueue_driver *queue)
{
        struct virtqueue_driver_config config = queue->config;
        zx_status_t status = virtqueue_driver_init(queue, &config);
        ASSERT(status == ZX_OK); /* it was good before */
}

bool virtqueue_driver_valid(const struct virtqueue_driver *queue)
{
        return size_valid(queue->packed, queue->size) &&
               queue->taken <= queue->seen && queue->seen <= queue->published && /* [V2] */
               queue->published <= queue->added &&                               /* [V2] */
               queue->added - queue->taken <= queue->size &&                     /* [V1] */
               queue->free_count <= queue->size - (queue->added - queue->taken) && /* [V3] */
               queue->free_head < queue->size;                                   /* [V3] */
}

COLD void virtqueue_driver_fault(struct virtqueue_driver *queue,
                                 enum virtqueue_fault_reason reason, uint32_t value,
                                 uint32_t limit)
{
        if (queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return;
        queue->plain_max = 0;
        queue->fault = (struct virtqueue_fault){
                .reason = reason,
                .value = value,
                .limit = limit,
                .used_index = queue->packed ? (uint16_t)queue->next_used.offset :
                                              (uint16_t)queue->taken,
        };
}

COLD void virtqueue_driver_fault_of_entry(struct virtqueue_driver *queue, uint32_t id,
                                          uint32_t bytes)
{
        const struct virtqueue_slot *slot = &queue->slots[id < queue->size ? id : 0];
        if (id >= queue->size)
                virtqueue_driver_fault(queue, VIRTQUEUE_FAULT_ID_RANGE, id, queue->size);
        else if (slot->count == 0 && slot->writable_bytes == VIRTQUEUE_SLOT_RETURNED)
                virtqueue_driver_fault(queue, VIRTQUEUE_FAULT_ID_TWICE, id, queue->size);
        else if (slot->count == 0 || slot->sequence >= queue->published)
                virtqueue_driver_fault(queue, VIRTQUEUE_FAULT_ID_NOT_AVAILABLE, id, queue->size);
        else
                virtqueue_driver_fault(queue, VIRTQUEUE_FAULT_LENGTH, bytes, slot->writable_bytes);
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
        case VIRTQUEUE_FAULT_ORDER:
                return "used out of order";
        }
        return "?";
}

COLD bool virtqueue_driver_take_unused(struct virtqueue_driver *queue, void **cookie)
{
        queue->free_count = 0; /* nothing is added to a queue that is being cleared */
        while (queue->unused_scan < queue->size) {
                struct virtqueue_slot *slot = &queue->slots[queue->unused_scan++];
                if (slot->count != 0) {
                        slot->count = 0;
                        *cookie = slot->cookie;
                        return true;
                }
        }
        return false;
}
