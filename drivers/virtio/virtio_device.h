/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_device — brings a virtio device up and down, on any transport.
 *
 *      reset        negotiate                    start
 *   ?  ---->  RESET ---------> FEATURES (queues) ------> LIVE
 *                \---------------\---> FAILED <-----------/      any error; only a reset leads out
 *
 *   virtio_device_init(&device, transport);
 *   virtio_device_reset(&device);                              // also to stop it
 *   virtio_device_negotiate(&device, &wishes);                 // device.features is final then
 *   virtio_device_queue_enable(&device, 0, &setup);            // each queue; see virtio_queue.h
 *   virtio_device_start(&device);                              // notifications only from here on
 *
 * Peer        status, features, sizes and configuration are the device's; every wait has a bound
 * Context     one thread at a time for one device, but for what is of one queue
 *             (virtio_transport.h): queues may each have a thread; waits, at most
 *             VIRTIO_RESET_LIMIT_NS
 * Invariants  [D1] features is a subset of offered, and no bit is in it without what it needs
 * Facts       Virtio 1.3, 3.1 (initialisation), 2.1.2 (status), 2.5.1 (configuration generation),
 *             6 (feature bits); the numbers of feature bits are in virtio_features.h */
#ifndef DRIVERS_VIRTIO_VIRTIO_DEVICE_H
#define DRIVERS_VIRTIO_VIRTIO_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"
#include "drivers/virtio/virtio_features.h"
#include "drivers/virtio/virtio_transport.h"

enum virtio_status {
        VIRTIO_STATUS_ACKNOWLEDGE = 1,
        VIRTIO_STATUS_DRIVER = 2,
        VIRTIO_STATUS_DRIVER_OK = 4,
        VIRTIO_STATUS_FEATURES_OK = 8,
        VIRTIO_STATUS_NEEDS_RESET = 64,
        VIRTIO_STATUS_FAILED = 128,
};

enum virtio_device_state {
        VIRTIO_DEVICE_UNKNOWN = 0, /* as firmware left it */
        VIRTIO_DEVICE_RESET,       /* owns nothing of ours */
        VIRTIO_DEVICE_FEATURES,    /* the feature set is frozen */
        VIRTIO_DEVICE_LIVE,
        VIRTIO_DEVICE_FAILED, /* may still own buffers, until a reset has succeeded */
};

#define VIRTIO_RESET_LIMIT_NS 1000000000ull
#define VIRTIO_CONFIG_TRIES_MAX 16 /* reads of configuration that keeps changing */

struct virtio_device {
        struct virtio_transport *transport;
        enum virtio_device_state state;
        uint64_t offered;  /* bits 0..63, as read in negotiate() */
        uint64_t features; /* accepted [D1] */
};

struct virtio_wishes {
        uint64_t wanted;   /* accepted when offered and their needs are met */
        uint64_t required; /* without one of these: ZX_ERR_NOT_SUPPORTED; VERSION_1 is always one */
        /* Which of the offered bits are not to be accepted, by what the configuration says: a field
         * may be read as soon as its feature is offered (2.5). May be NULL. */
        uint64_t (*refused)(struct virtio_device *device);
        const struct virtio_feature_rule *rules; /* of the device type; the ring's are known */
        size_t rule_count;
};

static inline bool virtio_device_has(const struct virtio_device *device, uint32_t bit)
{
        return (device->features & BIT_MASK(bit)) != 0;
}

void virtio_device_init(struct virtio_device *device, struct virtio_transport *transport);

/* Waits, by the transport's clock, until `load` of `queue` returns 0: how every kind of reset ends.
 *   returns  ZX_OK; ZX_ERR_TIMED_OUT: not within VIRTIO_RESET_LIMIT_NS */
zx_status_t MUST_CHECK virtio_transport_wait_zero(
        struct virtio_transport *transport,
        uint32_t (*load)(struct virtio_transport *transport, uint16_t queue), uint16_t queue);

/* Resets and waits until the device says that it is done: only then is memory that it knew ours
 * again.
 *   returns  ZX_OK; ZX_ERR_TIMED_OUT: it did not answer in VIRTIO_RESET_LIMIT_NS; the state is
 *            FAILED and it must be taken to own whatever it was given */
zx_status_t MUST_CHECK virtio_device_reset(struct virtio_device *device);

/* Steps 2 to 6 of 3.1.1. The device must have been reset.
 *   returns  ZX_OK; ZX_ERR_NOT_SUPPORTED: legacy device, or a required feature is missing;
 *            ZX_ERR_IO: the device refuses our subset. The device is FAILED then. */
zx_status_t MUST_CHECK virtio_device_negotiate(struct virtio_device *device,
                                               const struct virtio_wishes *wishes);

/* The size to use for a queue.
 *   limit    at most that many entries; a power of two
 *   size     out: the largest that device and limit allow; with RING_PACKED any number
 *   returns  ZX_OK; ZX_ERR_NOT_FOUND: no such queue;
 *            ZX_ERR_IO_DATA_INTEGRITY: a size that no queue has */
zx_status_t MUST_CHECK virtio_device_queue_size(struct virtio_device *device, uint16_t queue,
                                                uint32_t limit, uint32_t *size);

/* Makes a queue live; between negotiate() and start(), or after queue_reset(). What
 * ops->queue_enable returns. */
zx_status_t MUST_CHECK virtio_device_queue_enable(struct virtio_device *device, uint16_t queue,
                                                  const struct virtio_queue_setup *setup);

/* Takes a queue back from a live device; RING_RESET was accepted. What ops->queue_reset returns. */
zx_status_t MUST_CHECK virtio_device_queue_reset(struct virtio_device *device, uint16_t queue);

/* DRIVER_OK. ZX_ERR_IO: the device asks for a reset at once; it is FAILED then. */
zx_status_t MUST_CHECK virtio_device_start(struct virtio_device *device);

/* Gives up: sets FAILED, so that the device stops; what it owns it keeps until a reset. */
void virtio_device_fail(struct virtio_device *device);

/* Whether a live device has asked for a reset (DEVICE_NEEDS_RESET),
 * or has gone (status all ones). */
bool virtio_device_needs_reset(struct virtio_device *device);

/* Reads bytes of the device configuration, all of one generation.
 *   fields   private; `bytes` of it are written, in accesses of `width` (1, 2 or 4), which divides
 *            offset and bytes
 *   returns  ZX_OK; ZX_ERR_OUT_OF_RANGE: the device's configuration is shorter; ZX_ERR_TIMED_OUT:
 *            it changed VIRTIO_CONFIG_TRIES_MAX times under our eyes */
zx_status_t MUST_CHECK virtio_device_config_read(struct virtio_device *device, uint32_t offset,
                                                 void *fields, uint32_t bytes, uint8_t width);

#endif
