/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* netdev — the one face that every network card shows to what stands above it.
 *
 *   client --netdev_transmit(frames)--> card --> device      transmit_done(cookie) when it was read
 *   client <--receive(frame, bytes)---- card <-- device      inside netdev_poll()
 *
 * A loop of a client:
 *
 *   netdev_attach(netdev, &client);
 *   netdev_transmit(netdev, frames, count, &accepted);
 *   while (!finished && !time_passed(deadline))
 *           if (netdev_poll(netdev, 64) == 0)
 *                   netdev_wait(netdev, deadline);              // sleeps until the card interrupts
 *
 * Frames are Ethernet frames from the destination address on, without checksum behind them.
 *
 * Owner       frames in transmit() are the client's memory; the card (and the device behind it)
 *             read it until transmit_done. Frames in receive() are the card's memory during the
 *             call only, and the device may still write to it: copy what matters, then check the
 *             copy
 * Context     one thread at a time for one card; transmit() may be called from inside receive() and
 *             transmit_done(), poll() may not
 * Non-goals   for now: queues, buffers named by (VMO id, offset, length), offloads */
#ifndef DRIVERS_NETDEV_NETDEV_H
#define DRIVERS_NETDEV_NETDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

#define NETDEV_MAX 8
#define NETDEV_NAME_BYTES 16
#define NETDEV_MAC_BYTES 6
#define NETDEV_HEADER_BYTES 14 /* of an Ethernet frame, without VLAN tag */
#define NETDEV_MTU_MIN 68
#define NETDEV_MTU_DEFAULT 1500

struct netdev_frame {
        const void *va;
        uint64_t dev;   /* device address of the same bytes, contiguous */
        uint32_t bytes; /* NETDEV_HEADER_BYTES .. mtu + NETDEV_HEADER_BYTES */
        void *cookie;
};

struct netdev_client {
        void (*receive)(void *context, const void *frame, uint32_t bytes);
        /* The card has let go of the frame. `sent` is false when it was taken back from a device
         * that failed or was stopped: nobody knows whether it went out. */
        void (*transmit_done)(void *context, void *cookie, bool sent);
        void *context;
};

struct netdev_counters {
        uint64_t receive_frames, receive_bytes;
        uint64_t receive_dropped;   /* no frame by its length or its header, or no client */
        uint64_t transmit_frames;   /* let go by the device */
        uint64_t transmit_bytes;    /* handed to it */
        uint64_t transmit_full;     /* transmit() that did not take all */
        uint64_t interrupts;        /* for the queues and for the configuration */
        uint64_t interrupts_idle;   /* polls after an interrupt that found nothing */
        uint64_t kicks;             /* notifications of the device */
        uint64_t faults;            /* rules broken by the device; it is down after the first */
        uint64_t leaked_pages;      /* left to a device that could not be reset */
};

struct netdev;

struct netdev_ops {
        zx_status_t (*transmit)(struct netdev *netdev, const struct netdev_frame *frames,
                                uint32_t count, uint32_t *accepted);
        uint32_t (*poll)(struct netdev *netdev, uint32_t budget);
        /* Whether something may be there for poll() that no further interrupt will tell of. */
        bool (*pending)(struct netdev *netdev);
        /* Brings `counters` up to date. */
        void (*update_counters)(struct netdev *netdev);
        /* Lines about the card for `cmd=net`; may be NULL. */
        void (*describe)(struct netdev *netdev);
};

/* Filled by the card's driver; it belongs to it and stays for ever once registered. */
struct netdev {
        char name[NETDEV_NAME_BYTES];
        uint8_t mac[NETDEV_MAC_BYTES];
        uint32_t mtu; /* bytes behind the Ethernet header */
        bool link_up;
        bool running; /* false: stopped, or broken by the device */
        bool polled;  /* the card cannot interrupt */
        bool in_poll;
        const struct netdev_ops *ops;
        struct netdev_client client;
        struct netdev_counters counters; /* read after netdev_counters() */
};

/* Adds a card; names it net0, net1, ... ZX_ERR_NO_RESOURCES: NETDEV_MAX are there. */
zx_status_t MUST_CHECK netdev_register(struct netdev *netdev);
size_t netdev_count(void);
struct netdev *netdev_at(size_t index);

/* Who gets the frames from now on. ZX_ERR_ALREADY_BOUND: the card has a client. */
zx_status_t MUST_CHECK netdev_attach(struct netdev *netdev, const struct netdev_client *client);
/* From now on received frames are dropped and transmit_done is not called any more. */
void netdev_detach(struct netdev *netdev);

/* Hands over frames, in order, with one notification of the device for all.
 *   accepted  out: so many were taken, whatever is returned; the others are still the client's
 *   returns   ZX_OK: all; ZX_ERR_SHOULD_WAIT: no room for the rest now; ZX_ERR_INVALID_ARGS: the
 *             next one has a length that is none; ZX_ERR_BAD_STATE: the card does not run */
zx_status_t MUST_CHECK netdev_transmit(struct netdev *netdev, const struct netdev_frame *frames,
                                       uint32_t count, uint32_t *accepted);

/* Delivers received frames and sent ones, at most `budget` (1..) of each; returns how many. */
uint32_t netdev_poll(struct netdev *netdev, uint32_t budget);

/* Sleeps until the card has interrupted or the deadline (kernel/time.h) has passed. Returns at once
 * when something is pending. A card that cannot interrupt is looked at every millisecond. */
void netdev_wait(struct netdev *netdev, uint64_t deadline_ns);

/* The counters, up to date. */
const struct netdev_counters *netdev_counters(struct netdev *netdev);

#endif
