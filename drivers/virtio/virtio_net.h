/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_net — the network card of virtio: one receive and one transmit queue, behind netdev.h.
 *
 * To get this device:  -netdev user,id=n0 -device virtio-net-pci,netdev=n0
 *
 *   receive   one page a buffer: | header, 12 bytes | frame ... |, given again when the client has
 *             seen it
 *   transmit  two elements a frame: a header of zeros, the same for all, and the client's memory
 *
 * Features    VERSION_1; if offered MAC, STATUS, MTU (when a page holds such a frame), EVENT_IDX,
 *             ACCESS_PLATFORM, ORDER_PLATFORM. No offloads, so headers say nothing; no MRG_RXBUF,
 *             so a frame is one buffer and num_buffers means nothing
 * Peer        what the device can break ends the card (a broken ring, DEVICE_NEEDS_RESET): it is
 *             reset, its memory comes back, and netdev says that it does not run. A bad header
 *             costs the frame
 * Context     netdev.h
 * Facts       Virtio 1.3, 5.1 */
#ifndef DRIVERS_VIRTIO_VIRTIO_NET_H
#define DRIVERS_VIRTIO_VIRTIO_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "drivers/netdev/netdev.h"
#include "drivers/virtio/virtio_device.h"
#include "drivers/virtio/virtio_queue.h"

#define VIRTIO_NET_RECEIVE_QUEUE 0
#define VIRTIO_NET_TRANSMIT_QUEUE 1
#define VIRTIO_NET_QUEUES 2
#define VIRTIO_NET_QUEUE_SIZE_MAX 64 /* entries; a page waits for a frame in each for receiving */
#define VIRTIO_NET_BATCH_MAX 32      /* completions taken from a queue at a time */

/* Device configuration, 5.1.4: offsets. */
#define VIRTIO_NET_CONFIG_MAC 0
#define VIRTIO_NET_CONFIG_STATUS 6
#define VIRTIO_NET_CONFIG_MTU 10
#define VIRTIO_NET_LINK_UP_BIT 0 /* of status */

/* With VERSION_1 and without HASH_REPORT; 5.1.6. */
struct virtio_net_header {
        uint8_t flags;
        uint8_t gso_type;
        uint16_t header_bytes;
        uint16_t gso_bytes;
        uint16_t checksum_start;
        uint16_t checksum_offset;
        uint16_t buffer_count;
};
_Static_assert(sizeof(struct virtio_net_header) == 12, "written by the device");

struct virtio_net {
        struct netdev netdev;
        struct virtio_device device;
        struct virtio_queue receive, transmit;
        uint64_t receive_limit_bytes; /* longest frame that is handed up */
        void *transmit_header_page;   /* NULL: none */
        /* Written by the interrupt handler. */
        _Atomic uint32_t sources;  /* VIRTIO_SOURCE_* not yet looked at */
        _Atomic uint64_t interrupts;
        _Atomic uint32_t interrupts_since_poll;
        _Atomic bool storm; /* masked for good: the device interrupts without end */
        uint32_t idle_polls;
        uint64_t interrupts_idle;
        uint64_t kicks_before; /* of earlier lives */
};

/* Brings the card up on a transport that has been opened, fills the receive ring.
 *   net      static storage: it stays registered with netdev
 *   returns  ZX_OK; what bringing it up returned: then nothing is held and the device is reset or
 *            FAILED */
zx_status_t MUST_CHECK virtio_net_start(struct virtio_net *net, struct virtio_transport *transport);

/* Resets the device, waits for it, and only then frees everything; frames that were not sent come
 * back to the client. A device that does not answer keeps its pages (counters.leaked_pages). */
void virtio_net_stop(struct virtio_net *net);

/* Stops a card that was started once, broken or not, and brings it up again with the same client.
 *   returns  as virtio_net_start; after an error the card does not run */
zx_status_t MUST_CHECK virtio_net_restart(struct virtio_net *net);

/* For the data path's own file. */
/* The device broke a rule of `queue`, or (NULL) asks for a reset: counts it, says so, stops the
 * card. */
void virtio_net_fault(struct virtio_net *net, const struct virtio_queue *queue);
uint32_t virtio_net_poll(struct netdev *netdev, uint32_t budget);
zx_status_t virtio_net_transmit(struct netdev *netdev, const struct netdev_frame *frames,
                                uint32_t count, uint32_t *accepted);
/* Gives the device every page that is there for receiving, as far as there is room.
 *   count    pages to allocate at most
 *   returns  how many were added */
uint32_t virtio_net_fill(struct virtio_net *net, uint32_t count);

static inline struct virtio_net *virtio_net_from(struct netdev *netdev)
{
        return CONTAINER_OF(netdev, struct virtio_net, netdev);
}

#endif
