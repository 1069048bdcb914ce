/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* netdev_card — what a network card's driver supplies to netdev, and what it finds there.
 *
 *   netdev_init(&card->netdev, &ops, pool)
 *   netdev_add_memory()                     its receive VMOs, into the store
 *   mac, mtu, capabilities, link_up, running = true
 *   netdev_add()                            net0, net1, ...: clients may come
 *   ... netdev_receive_done(), netdev_transmit_done(), netdev_set_link() from inside ops->poll
 *   running = false, netdev_transmit_done(CANCELED) for what it had
 *   netdev_remove()                         only when the device is gone for good
 *
 * Checked before the driver is called: the frame's length, that its parts are non-empty regions of
 * pinned VMOs, and its offload, against capabilities, mtu and its own length. So a driver turns a
 * frame into device addresses with netdev_spans() and never looks at a region itself.
 *
 * Owner       struct netdev lies in the card's structure, which is static: it is never freed
 * Context     as netdev.h; ops are called in the context of the client's call
 * Facts       netdev.h */
#ifndef DRIVERS_NETDEV_NETDEV_CARD_H
#define DRIVERS_NETDEV_NETDEV_CARD_H

#include "drivers/netdev/netdev.h"

struct netdev_ops {
        /* As netdev_transmit(), of frames that were checked. */
        zx_status_t (*transmit)(struct netdev *netdev, uint32_t queue,
                                const struct netdev_frame *frames, uint32_t count,
                                uint32_t *accepted);
        uint32_t (*poll)(struct netdev *netdev, uint32_t queue, uint32_t budget);
        /* As netdev_release(); the card checks the ids. */
        void (*release)(struct netdev *netdev, uint32_t queue, const uint32_t *ids,
                        uint32_t count);
        /* Whether something may be there for poll() that no further interrupt will tell of. */
        bool (*pending)(struct netdev *netdev, uint32_t queue);
        /* Makes `count` (1..capabilities.queue_pairs) queue pairs ready and steers frames to these
         * only. NULL: there is one. */
        zx_status_t (*use_queue_pairs)(struct netdev *netdev, uint32_t count);
        zx_status_t (*restart)(struct netdev *netdev);

        /* NULL where no capability says otherwise. */
        zx_status_t (*set_receive_mode)(struct netdev *netdev,
                                        const struct netdev_receive_mode *mode);
        zx_status_t (*set_vlan)(struct netdev *netdev, uint16_t vlan_id, bool pass);
        zx_status_t (*set_mac)(struct netdev *netdev, const uint8_t *mac); /* netdev->mac is set
                                                                              by netdev */
        zx_status_t (*set_moderation)(struct netdev *netdev,
                                      const struct netdev_moderation *moderation);

        /* Brings `counters`, those of the queues and `polled` up to date; NULL: they are. */
        void (*update_counters)(struct netdev *netdev);
        /* Lines about the card for `cmd=net`; may be NULL. */
        void (*describe)(struct netdev *netdev);
};

/* Makes an empty netdev that does not run.
 *   pool  of VMOs and pages, for the card; stays */
void netdev_init(struct netdev *netdev, const struct netdev_ops *ops, struct vmo_pool *pool);

/* Adds it to the list of cards, by the next free name. ZX_ERR_NO_RESOURCES: NETDEV_MAX are
 * there. (netdev_boot.c) */
zx_status_t MUST_CHECK netdev_add(struct netdev *netdev);
/* The card is gone for good and has let go of all memory of its own and of others: removed is set,
 * running cleared, the client told. The netdev stays on the list until its client has released
 * everything and has detached; then netdev_is_idle() is true and it may be forgotten by
 * netdev_forget(). */
void netdev_remove(struct netdev *netdev);
bool netdev_is_idle(const struct netdev *netdev);
/* Off the list; nobody is attached. (netdev_boot.c) */
void netdev_forget(struct netdev *netdev);

/* ---- memory ---- */

/* Puts a VMO of the card's into the store, pinned; as netdev_register_vmo. */
zx_status_t MUST_CHECK netdev_add_memory(struct netdev *netdev, struct vmo *vmo,
                                         uint32_t *id_out);
/* Takes it out. No part of it is the client's, and the device has let go of it. */
void netdev_remove_memory(struct netdev *netdev, uint32_t id);

/* A run of physical memory, as a device knows it. */
struct netdev_span {
        uint64_t dev;
        uint32_t bytes; /* 1.. */
};
/* Where the bytes of a checked frame are, in order.
 *   spans    NETDEV_SPANS_MAX of them
 *   returns  how many, 1..NETDEV_SPANS_MAX; 0: a region is not in pinned memory (status_out) */
uint32_t netdev_spans(struct netdev *netdev, const struct vmo_buffer *buffer,
                      struct netdev_span *spans, zx_status_t *status_out);

/* ---- data: inside ops->poll, and when the card stops ---- */

/* Delivers `count` (1..NETDEV_BATCH_MAX) frames, or releases and counts them when nobody is
 * attached. receive_frames, _bytes, _parts and _dropped are counted here. */
void netdev_receive_done(struct netdev *netdev, uint32_t queue,
                         const struct netdev_received *frames, uint32_t count);
/* Tells that the device let go of `count` (1..NETDEV_BATCH_MAX) frames. transmit_done and _failed
 * are counted here (transmit_frames, _bytes and _full in netdev_transmit). */
void netdev_transmit_done(struct netdev *netdev, uint32_t queue, const uint32_t *ids,
                          uint32_t count, zx_status_t status);
/* Sets running or link_up and tells the client if it changed. */
void netdev_set_link(struct netdev *netdev, bool up);
void netdev_set_running(struct netdev *netdev, bool running);
/* Asks the client to announce itself. */
void netdev_announce(struct netdev *netdev);

/* For the card's interrupt handler: wakes the CPUs that sleep in netdev_wait() for the queue pairs
 * whose bits are set. (netdev_boot.c; interrupt context) */
void netdev_wake(struct netdev *netdev, uint32_t queue_bits);

#endif
