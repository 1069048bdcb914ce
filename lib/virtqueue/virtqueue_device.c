/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What the device's ends of the ring layouts have in common: birth, faults, the end. Relies on
 * virtqueue_layout.h. Facts: Virtio 1.3, 2.7; spec/virtio.md, 10. */
#include "virtqueue/virtqueue_device.h"

#include "base/bytes.h"

/* Finds the three areas; false: one is missing. */
static bool map_ring(struct virtqueue_device_ring *ring,
                     const struct virtqueue_device_config *config)
{
        const struct virtqueue_device_memory *memory = &config->memory;
        uint32_t size = config->size;
        *ring = (struct virtqueue_device_ring){
                .size = size,
                .descriptors = virtqueue_device_memory_map_whole(
                        memory, config->descriptors_dev, virtqueue_descriptors_bytes(size),
                        VIRTQUEUE_DESCRIPTOR_ALIGN),
                .avail = virtqueue_device_memory_map_whole(memory, config->driver_dev,
                                                           virtqueue_avail_bytes(size),
                                                           VIRTQUEUE_AVAIL_ALIGN),
                .used = virtqueue_device_memory_map_whole(memory, config->device_dev,
                                                          virtqueue_used_bytes(size),
                                                          VIRTQUEUE_USED_ALIGN),
        };
        return ring->descriptors != NULL && ring->avail != NULL && ring->used != NULL;
}

zx_status_t virtqueue_device_init(struct virtqueue_device *device,
                                  const struct virtqueue_device_config *config)
{
        struct virtqueue_device_ring ring;
        if (!virtqueue_split_size_valid(config->size) || config->slots == NULL ||
            config->memory.translate == NULL || !map_ring(&ring, config))
                return ZX_ERR_INVALID_ARGS;
        struct virtqueue_device_state state =
                config->resume ? config->state : (struct virtqueue_device_state){0};
        *device = (struct virtqueue_device){
                .ring = ring,
                .slots = config->slots,
                .popped = state.available,
                .seen = state.available,
                .pushed = state.used,
                .published = state.used,
                .checked = state.used,
                .ahead = (uint64_t)state.available - state.used,
                .event_index = config->event_index,
                .indirect = config->indirect,
                .signal_unknown = config->resume,
                .memory = config->memory,
        };
        memset(config->slots, 0, config->size * sizeof(*config->slots));
        ASSERT(virtqueue_device_valid(device));
        return ZX_OK;
}

bool virtqueue_device_valid(const struct virtqueue_device *device)
{
        return virtqueue_split_size_valid(device->ring.size) &&
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
                [VIRTQUEUE_DEVICE_FAULT_UNMAPPED] = "not the driver's memory",
                [VIRTQUEUE_DEVICE_FAULT_REFUSED] = "refused by the device",
        };
        return (size_t)reason < ARRAY_COUNT(names) && names[reason] != NULL ? names[reason] : "?";
}

void virtqueue_device_refuse(struct virtqueue_device *device,
                             enum virtqueue_device_fault_reason reason, uint64_t value,
                             uint64_t limit)
{
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return;
        device->fault = (struct virtqueue_device_fault){.reason = reason,
                                                        .position = (uint16_t)device->popped,
                                                        .value = value,
                                                        .limit = limit};
        device->seen = device->popped; /* [D3] */
}

struct virtqueue_device_state virtqueue_device_save(const struct virtqueue_device *device)
{
        ASSERT(device->published == device->pushed);
        return (struct virtqueue_device_state){.available = (uint16_t)device->popped,
                                               .used = (uint16_t)device->pushed};
}
