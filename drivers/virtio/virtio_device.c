/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The life of a virtio device, over a transport's operations. Knows no bus, no clock and no memory
 * of its own. Facts: Virtio 1.3, 3.1.1, 2.1, 2.2, 2.5. */
#include "drivers/virtio/virtio_device.h"

#include "base/assert.h"
#include "virtqueue/virtqueue_layout.h"

#define STATUS_GONE 0xff /* what a device that was unplugged reads as */

static uint8_t read_status(struct virtio_device *device)
{
        return device->transport->ops->status(device->transport);
}

/* Status bits are never cleared but by a reset, so each write keeps the earlier ones (2.1.1). */
static void add_status(struct virtio_device *device, uint8_t bits)
{
        device->transport->ops->set_status(device->transport, read_status(device) | bits);
}

void virtio_device_init(struct virtio_device *device, struct virtio_transport *transport)
{
        *device = (struct virtio_device){.transport = transport};
}

zx_status_t virtio_transport_wait_zero(struct virtio_transport *transport,
                                       uint32_t (*load)(struct virtio_transport *transport,
                                                        uint16_t queue),
                                       uint16_t queue)
{
        uint64_t start_ns = transport->ops->now_ns(transport);
        while (load(transport, queue) != 0) {
                if (transport->ops->now_ns(transport) - start_ns >= VIRTIO_RESET_LIMIT_NS)
                        return ZX_ERR_TIMED_OUT;
                transport->ops->pause(transport);
        }
        return ZX_OK;
}

static uint32_t load_status(struct virtio_transport *transport, uint16_t queue)
{
        (void)queue;
        return transport->ops->status(transport);
}

zx_status_t virtio_device_reset(struct virtio_device *device)
{
        struct virtio_transport *transport = device->transport;
        transport->ops->set_status(transport, 0);
        if (virtio_transport_wait_zero(transport, load_status, 0) != ZX_OK) {
                device->state = VIRTIO_DEVICE_FAILED;
                return ZX_ERR_TIMED_OUT;
        }
        device->features = 0;
        device->state = VIRTIO_DEVICE_RESET;
        return ZX_OK;
}

void virtio_device_fail(struct virtio_device *device)
{
        add_status(device, VIRTIO_STATUS_FAILED);
        device->state = VIRTIO_DEVICE_FAILED;
}

/* What of the offered bits we take: wanted, not refused, and with all needs met [D1]. */
static uint64_t choose_features(struct virtio_device *device, const struct virtio_wishes *wishes)
{
        uint64_t wanted = wishes->wanted | wishes->required | BIT_MASK(VIRTIO_F_VERSION_1);
        if (wishes->refused != NULL)
                wanted &= ~wishes->refused(device);
        return virtio_features_clear_unmet(device->offered & wanted, wishes->rules,
                                           wishes->rule_count);
}

zx_status_t virtio_device_negotiate(struct virtio_device *device,
                                    const struct virtio_wishes *wishes)
{
        struct virtio_transport *transport = device->transport;
        const struct virtio_transport_ops *ops = transport->ops;
        uint64_t required = wishes->required | BIT_MASK(VIRTIO_F_VERSION_1);
        zx_status_t status = ZX_ERR_NOT_SUPPORTED;
        ASSERT(device->state == VIRTIO_DEVICE_RESET);

        add_status(device, VIRTIO_STATUS_ACKNOWLEDGE);
        add_status(device, VIRTIO_STATUS_DRIVER);
        device->offered = ops->offered_features(transport, 0) |
                          (uint64_t)ops->offered_features(transport, 1) << 32;
        uint64_t chosen = choose_features(device, wishes);
        if ((chosen & required) != required)
                goto fail;
        ops->accept_features(transport, 0, (uint32_t)chosen);
        ops->accept_features(transport, 1, (uint32_t)(chosen >> 32));
        add_status(device, VIRTIO_STATUS_FEATURES_OK);
        status = ZX_ERR_IO;
        uint8_t answer = read_status(device);
        if (!(answer & VIRTIO_STATUS_FEATURES_OK) || answer == STATUS_GONE)
                goto fail;
        device->features = chosen;
        device->state = VIRTIO_DEVICE_FEATURES;
        return ZX_OK;

fail:
        virtio_device_fail(device);
        return status;
}

zx_status_t virtio_device_queue_size(struct virtio_device *device, uint16_t queue, uint32_t limit,
                                     uint32_t *size)
{
        struct virtio_transport *transport = device->transport;
        ASSERT(is_power_of_two(limit));
        if (queue >= transport->ops->queue_count(transport))
                return ZX_ERR_NOT_FOUND;
        uint32_t max = transport->ops->queue_size_max(transport, queue);
        if (max == 0)
                return ZX_ERR_NOT_FOUND;
        /* 2.7: split queues are powers of two; 2.8.10.1: packed ones need not be */
        if (virtio_device_has(device, VIRTIO_F_RING_PACKED) ? !virtqueue_packed_size_valid(max) :
                                                              !virtqueue_split_size_valid(max))
                return ZX_ERR_IO_DATA_INTEGRITY;
        *size = max < limit ? max : limit;
        return ZX_OK;
}

static bool can_reset_queues(const struct virtio_device *device)
{
        return device->state == VIRTIO_DEVICE_LIVE &&
               virtio_device_has(device, VIRTIO_F_RING_RESET);
}

zx_status_t virtio_device_queue_enable(struct virtio_device *device, uint16_t queue,
                                       const struct virtio_queue_setup *setup)
{
        ASSERT(device->state == VIRTIO_DEVICE_FEATURES || can_reset_queues(device));
        ASSERT(queue < VIRTIO_QUEUES_MAX || setup->no_interrupt);
        return device->transport->ops->queue_enable(device->transport, queue, setup);
}

zx_status_t virtio_device_queue_reset(struct virtio_device *device, uint16_t queue)
{
        ASSERT(can_reset_queues(device));
        return device->transport->ops->queue_reset(device->transport, queue);
}

zx_status_t virtio_device_start(struct virtio_device *device)
{
        ASSERT(device->state == VIRTIO_DEVICE_FEATURES);
        add_status(device, VIRTIO_STATUS_DRIVER_OK);
        device->state = VIRTIO_DEVICE_LIVE;
        if (virtio_device_needs_reset(device)) {
                virtio_device_fail(device);
                return ZX_ERR_IO;
        }
        return ZX_OK;
}

bool virtio_device_needs_reset(struct virtio_device *device)
{
        /* A device that is gone reads as all ones, which has the bit as well. */
        return (read_status(device) & VIRTIO_STATUS_NEEDS_RESET) != 0;
}

static void read_fields(struct virtio_transport *transport, uint32_t offset, uint8_t *fields,
                        uint32_t bytes, uint8_t width)
{
        for (uint32_t at = 0; at < bytes; at += width) {
                uint32_t value = transport->ops->config_read(transport, offset + at, width);
                memcpy(fields + at, &value, width);
        }
}

zx_status_t virtio_device_config_read(struct virtio_device *device, uint32_t offset, void *fields,
                                      uint32_t bytes, uint8_t width)
{
        struct virtio_transport *transport = device->transport;
        ASSERT(offset % width == 0 && bytes % width == 0);
        if (offset > transport->config_bytes || bytes > transport->config_bytes - offset)
                return ZX_ERR_OUT_OF_RANGE;
        for (uint32_t try = 0; try < VIRTIO_CONFIG_TRIES_MAX; try++) {
                uint32_t generation = transport->ops->config_generation(transport);
                read_fields(transport, offset, fields, bytes, width);
                if (transport->ops->config_generation(transport) == generation)
                        return ZX_OK;
        }
        return ZX_ERR_TIMED_OUT;
}
