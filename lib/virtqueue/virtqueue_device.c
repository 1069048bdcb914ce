/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What the device's ends of the ring layouts have in common: birth, faults, the end. Relies on
 * virtqueue_layout.h. Facts: Virtio 1.3, 2.7, 2.8; spec/virtio.md, 10. */
#include "virtqueue/virtqueue_device.h"

#include "base/bytes.h"

/* Finds the three areas of a split ring; false: one is missing. */
static COLD bool map_split(struct virtqueue_device *device,
                           const struct virtqueue_device_config *config)
{
        const struct virtqueue_device_memory *memory = &config->memory;
        uint32_t size = config->size;
        struct virtqueue_device_ring *ring = &device->ring;
        ring->descriptors = virtqueue_device_memory_map_whole(memory, config->descriptors_dev,
                                                              virtqueue_descriptors_bytes(size),
                                                              VIRTQUEUE_DESCRIPTOR_ALIGN);
        ring->avail = virtqueue_device_memory_map_whole(
                memory, config->driver_dev, virtqueue_avail_bytes(size), VIRTQUEUE_AVAIL_ALIGN);
        ring->used = virtqueue_device_memory_map_whole(
                memory, config->device_dev, virtqueue_used_bytes(size), VIRTQUEUE_USED_ALIGN);
        return ring->descriptors != NULL && ring->avail != NULL && ring->used != NULL;
}

/* The same of a packed ring. */
static COLD bool map_packed(struct virtqueue_device *device,
                            const struct virtqueue_device_config *config)
{
        const struct virtqueue_device_memory *memory = &config->memory;
        device->packed_ring = virtqueue_device_memory_map_whole(
                memory, config->descriptors_dev, virtqueue_descriptors_bytes(config->size),
                VIRTQUEUE_DESCRIPTOR_ALIGN);
        device->driver_event = virtqueue_device_memory_map_whole(memory, config->driver_dev,
                                                                 VIRTQUEUE_PACKED_EVENT_BYTES,
                                                                 VIRTQUEUE_PACKED_EVENT_ALIGN);
        device->device_event = virtqueue_device_memory_map_whole(memory, config->device_dev,
                                                                 VIRTQUEUE_PACKED_EVENT_BYTES,
                                                                 VIRTQUEUE_PACKED_EVENT_ALIGN);
        return device->packed_ring != NULL && device->driver_event != NULL &&
               device->device_event != NULL;
}

/* Places the queue at the beginning or where a predecessor stood; false: there is no such place. */
static COLD bool place(struct virtqueue_device *device,
                       const struct virtqueue_device_config *config)
{
        const uint16_t first = virtqueue_packed_position((struct virtqueue_packed_place){0, true});
        struct virtqueue_device_state state = config->state;
        if (config->packed) {
                if (!config->resume)
                        state = (struct virtqueue_device_state){first, first};
                device->next_popped = virtqueue_packed_place_of(state.available);
                device->next_pushed = virtqueue_packed_place_of(state.used);
                device->next_published = device->next_pushed;
                return device->next_popped.offset < config->size &&
                       device->next_pushed.offset < config->size;
        }
        if (!config->resume)
                state = (struct virtqueue_device_state){0};
        device->popped = device->seen = state.available;
        device->pushed = device->published = device->checked = state.used;
        device->ahead = (uint64_t)state.available - state.used;
        return true;
}

static bool size_valid(bool packed, uint32_t size)
{
        return packed ? virtqueue_packed_size_valid(size) : virtqueue_split_size_valid(size);
}

COLD zx_status_t virtqueue_device_init(struct virtqueue_device *device,
                                       const struct virtqueue_device_config *config)
{
        struct virtqueue_device made = {
                .ring.size = config->size,
                .slots = config->slots,
                .event_index = config->event_index,
                .indirect = config->indirect,
                .packed = config->packed,
                .in_order = config->in_order,
                .plain = !config->packed && !config->in_order,
                .signal_unknown = config->resume,
                .memory = config->memory,
        };
        if (!size_valid(config->packed, config->size) || config->slots == NULL ||
            config->memory.translate == NULL || !place(&made, config) ||
            !(config->packed ? map_packed(&made, config) : map_split(&made, config)))
                return ZX_ERR_INVALID_ARGS;
        memset(config->slots, 0, config->size * sizeof(*config->slots));
        *device = made;
        ASSERT(virtqueue_device_valid(device));
        return ZX_OK;
}

bool virtqueue_device_valid(const struct virtqueue_device *device)
{
        return size_valid(device->packed, device->ring.size) &&
               device->entries_in_flight <= device->ring.size &&
               device->checked <= device->published && device->published <= device->pushed &&
               device->popped <= device->seen &&          /* [D1] */
               virtqueue_device_in_flight(device) <= device->ring.size; /* [D2] */
}

const char *virtqueue_device_fault_name(enum virtqueue_device_fault_reason reason)
{
        static const char *const names[] = {
                [VIRTQUEUE_DEVICE_FAULT_NONE] = "none",
                [VIRTQUEUE_DEVICE_FAULT_INDEX_JUMP] = "avail index jumped",
                [VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE] = "head outside the ring",
                [VIRTQUEUE_DEVICE_FAULT_HEAD_TWICE] = "head is in flight already",
                [VIRTQUEUE_DEVICE_FAULT_NEXT_RANGE] = "next outside the table",
                [VIRTQUEUE_DEVICE_FAULT_LONG_CHAIN] = "chain longer than the ring",
                [VIRTQUEUE_DEVICE_FAULT_MANY_PIECES] = "chain of too many pieces",
                [VIRTQUEUE_DEVICE_FAULT_ORDER] = "readable behind writable",
                [VIRTQUEUE_DEVICE_FAULT_WRAP] = "range of addresses wraps",
                [VIRTQUEUE_DEVICE_FAULT_TOTAL] = "chain of 2^32 bytes or more",
                [VIRTQUEUE_DEVICE_FAULT_INDIRECT_OFF] = "indirect was not negotiated",
                [VIRTQUEUE_DEVICE_FAULT_INDIRECT_LENGTH] = "indirect table of a wrong length",
                [VIRTQUEUE_DEVICE_FAULT_INDIRECT_NEXT] = "indirect and next together",
                [VIRTQUEUE_DEVICE_FAULT_INDIRECT_NESTED] = "indirect in a table",
                [VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN] = "chain goes on where nothing is available",
                [VIRTQUEUE_DEVICE_FAULT_UNMAPPED] = "not the driver's memory",
                [VIRTQUEUE_DEVICE_FAULT_REFUSED] = "refused by the device",
        };
        return (size_t)reason < ARRAY_COUNT(names) && names[reason] != NULL ? names[reason] : "?";
}

COLD void virtqueue_device_refuse(struct virtqueue_device *device,
                                  enum virtqueue_device_fault_reason reason, uint64_t value,
                                  uint64_t limit)
{
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return;
        device->fault = (struct virtqueue_device_fault){
                .reason = reason,
                .position = device->packed ? virtqueue_packed_position(device->next_popped) :
                                             (uint16_t)device->popped,
                .value = value,
                .limit = limit,
        };
        device->seen = device->popped; /* [D3] */
        device->plain = false;
}

struct virtqueue_device_state virtqueue_device_save(const struct virtqueue_device *device)
{
        ASSERT(device->published == device->pushed);
        if (device->packed)
                return (struct virtqueue_device_state){
                        .available = virtqueue_packed_position(device->next_popped),
                        .used = virtqueue_packed_position(device->next_pushed),
                };
        return (struct virtqueue_device_state){.available = (uint16_t)device->popped,
                                               .used = (uint16_t)device->pushed};
}
