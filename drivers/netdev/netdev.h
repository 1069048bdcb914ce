/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* netdev — the one face that every network card shows to what stands above it. Frames are named by
 * (VMO id, offset, length) and never copied: neither on the way down nor on the way up.
 *
 *   client's VMOs --netdev_register_vmo--> store --+
 *   netdev_transmit(frames) --> card --> device     \   transmit_done(ids, status): let go of
 *                                                    > one store of VMOs a card
 *   receive(frames) <---------- card <-- device     /   the client's until netdev_release(ids)
 *   card's VMOs -------------------------> store --+
 *
 * A loop of a client, for each queue pair that it uses:
 *
 *   netdev_register_vmo(netdev, vmo, &vmo_id);
 *   netdev_attach(netdev, &client);
 *   netdev_transmit(netdev, queue, frames, count, &accepted);
 *   while (!finished && !time_passed(deadline))
 *           if (netdev_poll(netdev, queue, 64) == 0)      // calls receive() and transmit_done()
 *                   netdev_wait(netdev, queue, deadline); // sleeps until the card interrupts
 *
 * Frames are Ethernet frames from the destination address on, without checksum behind them and
 * without anything in front: what a device puts there is the card's business.
 *
 * Why received frames lie in the card's memory. The other end of a VMBus channel writes into one
 * buffer that it was given once, at places and in an order of its own choice; a virtio device can
 * be given any memory. So memory goes from the card to the client and not the other way: the card
 * registers VMOs in the store, a received frame is a struct rx_buffer of up to four regions of
 * them, and the client has those regions until it releases them.
 *
 * Owner       transmit: the client's memory, which the card and the device read from
 *             netdev_transmit() until transmit_done() names the frame's id; it must not change
 *             meanwhile. Receive: the card's memory, the client's from receive() to
 *             netdev_release(), part by part. It may be written to meanwhile by the client, and
 *             transmitted again (release it when transmit_done() came). A device that breaks the
 *             rules may write to it at any time: copy what decides, then look at the copy.
 *             A card that stopped or was removed leaves both as they are: frames under way come
 *             back with a status, of which one (ZX_ERR_TIMED_OUT) says that the device may still
 *             read them; received parts stay readable until they are released
 * Context     a queue pair: one thread at a time for transmit, poll, wait and release, with
 *             different queue pairs on different CPUs as they like. transmit() and release() may be
 *             called inside receive() and transmit_done(), poll() may not. The functions under
 *             "settings": the thread of queue pair 0, outside of its callbacks. attach, detach,
 *             register_vmo, unregister_vmo and restart: while no other thread is in a call for this
 *             card. A card that may be taken away (netvsc) is used on the boot CPU: it comes and
 *             goes as work of that CPU, so for a client there in netdev_wait() or in a cpu_serve()
 *             of its own, never inside another call
 * Invariants  [N1] out of all frames accepted, each id comes back once
 *             [N2] a part of a received frame is never delivered again before it was released
 *             [N3] nothing is dropped without being counted; a full ring is ZX_ERR_SHOULD_WAIT
 * Facts       Ethernet II and 802.1Q; the store: spec/zircon-objects.md, 10 */
#ifndef DRIVERS_NETDEV_NETDEV_H
#define DRIVERS_NETDEV_NETDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "kernel/vmo_buffer.h"
#include "kernel/vmo_store.h"

#define NETDEV_MAX 8
#define NETDEV_NAME_BYTES 16
#define NETDEV_QUEUE_PAIRS_MAX 8
#define NETDEV_BATCH_MAX 32 /* frames of one callback */

#define NETDEV_MAC_BYTES 6
#define NETDEV_HEADER_BYTES 14 /* of an Ethernet frame, without VLAN tag */
#define NETDEV_VLAN_TAG_BYTES 4
#define NETDEV_MTU_MIN 68
#define NETDEV_MTU_DEFAULT 1500
#define NETDEV_PAYLOAD_BYTES_MAX 65535u /* of one frame that is segmented or was coalesced */
#define NETDEV_FRAME_BYTES_MAX                                                                     \
        (NETDEV_PAYLOAD_BYTES_MAX + NETDEV_HEADER_BYTES + NETDEV_VLAN_TAG_BYTES)
/* Runs of physical memory that any frame has at most: each of the four regions may begin and end
 * inside a page. */
#define NETDEV_SPANS_MAX (NETDEV_FRAME_BYTES_MAX / 4096 + 2 * VMO_BUFFER_PARTS_MAX)

/* ---- what a card can do ---- */

enum netdev_capability {
        NETDEV_CAN_CHECKSUM_BIT = 0,     /* fill in a checksum on the way out */
        NETDEV_CAN_TSO4_BIT,             /* cut TCP over IPv4 into segments */
        NETDEV_CAN_TSO6_BIT,
        NETDEV_CAN_TSO_ECN_BIT,          /* ... with CWR set in the first one */
        NETDEV_CAN_USO_BIT,              /* cut UDP into datagrams */
        NETDEV_CAN_VLAN_INSERT_BIT,      /* put a tag in on the way out */
        NETDEV_CAN_CHECK_RECEIVED_BIT,   /* says whether checksums are good */
        NETDEV_CAN_COALESCE_BIT,         /* joins received segments (LRO) */
        NETDEV_CAN_VLAN_STRIP_BIT,       /* takes the tag out of received frames */
        NETDEV_CAN_HASH_BIT,             /* tells the hash of received frames */
        NETDEV_CAN_MULTIQUEUE_BIT,       /* more than one queue pair */
        NETDEV_CAN_PROMISCUOUS_BIT,
        NETDEV_CAN_ALL_MULTICAST_BIT,
        NETDEV_CAN_FILTER_MAC_BIT,       /* lists of unicast and multicast addresses */
        NETDEV_CAN_FILTER_VLAN_BIT,
        NETDEV_CAN_SET_MAC_BIT,
        NETDEV_CAN_MODERATE_BIT,         /* delay interrupts */
        NETDEV_CAN_REPORT_LINK_BIT,      /* otherwise the link counts as up */
        NETDEV_CAPABILITIES
};

/* Constant while the card runs; a restart may change it. */
struct netdev_capabilities {
        uint32_t bits;                 /* enum netdev_capability */
        uint16_t queue_pairs;          /* 1..NETDEV_QUEUE_PAIRS_MAX that can be used */
        uint16_t transmit_head_bytes;  /* see netdev_frame.head_bytes; 0: no use for it */
        uint32_t transmit_depth;       /* frames that fit a transmit queue at best */
        uint32_t receive_depth;        /* parts that the card has for a receive queue */
        uint32_t receive_part_bytes;   /* bytes of a frame that such a part holds */
        uint32_t segmented_bytes_max;  /* largest frame with segmentation; 0: none */
};

static inline bool netdev_can(const struct netdev_capabilities *capabilities,
                              enum netdev_capability which)
{
        return (capabilities->bits >> which & 1) != 0;
}

/* ---- frames to send ---- */

enum netdev_segmentation {
        NETDEV_SEGMENT_NONE = 0,
        NETDEV_SEGMENT_TSO4,
        NETDEV_SEGMENT_TSO6,
        NETDEV_SEGMENT_USO, /* UDP over IPv4 or IPv6, every datagram but the last of one size */
};

/* What the card is to do to a frame; all zero: nothing.
 *   checksum      the 16-bit one's complement sum of the bytes from checksum_start to the end of
 *                 the frame goes to checksum_start + checksum_offset, where the sum of the
 *                 pseudo-header stands before. Needed with segmentation
 *   segmentation  the payload behind the first header_bytes (1..; Ethernet to TCP or UDP) leaves in
 *                 pieces of segment_bytes (1..), each with these headers, adapted
 *   ecn           TSO: CWR is set in the first segment only */
struct netdev_offload {
        bool checksum;
        uint8_t segmentation; /* enum netdev_segmentation */
        bool ecn;
        bool vlan;            /* put a tag with vlan_tci behind the addresses */
        uint16_t checksum_start, checksum_offset;
        uint16_t segment_bytes;
        uint16_t header_bytes;
        uint16_t vlan_tci;
};

/* One frame: NETDEV_HEADER_BYTES..mtu + NETDEV_HEADER_BYTES (with a tag in it,
 * NETDEV_VLAN_TAG_BYTES more; with segmentation up to capabilities.segmented_bytes_max) in 1..4
 * regions, none empty, of VMOs in the card's store. `buffer.id` names it in transmit_done and is
 * the client's choice. */
struct netdev_frame {
        struct tx_buffer buffer;
        struct netdev_offload offload;
        /* So many bytes in front of the first region, in the same page, are the frame's too: the
         * card may write headers of the device's there and save a piece. What was there is lost.
         * 0: nothing. */
        uint16_t head_bytes;
};

/* ---- frames that came ---- */

enum netdev_checksum {
        NETDEV_CHECKSUM_UNKNOWN = 0, /* look yourself */
        /* The card or its host has looked: the innermost one is good. */
        NETDEV_CHECKSUM_VALID,
        /* The frame never was on a wire: the field at checksum_start + checksum_offset holds the
         * sum of the pseudo-header only. Good as it is here; to be filled in before the frame goes
         * anywhere else (hand the two numbers to netdev_offload). */
        NETDEV_CHECKSUM_PARTIAL,
};

/* Of an RSS hash: what it was taken over. */
enum netdev_hash {
        NETDEV_HASH_NONE = 0,
        NETDEV_HASH_IPV4,
        NETDEV_HASH_TCP_IPV4,
        NETDEV_HASH_UDP_IPV4,
        NETDEV_HASH_IPV6,
        NETDEV_HASH_TCP_IPV6,
        NETDEV_HASH_UDP_IPV6,
        NETDEV_HASH_IPV6_EX, /* with home address or routing header */
        NETDEV_HASH_TCP_IPV6_EX,
        NETDEV_HASH_UDP_IPV6_EX,
};

/* What the peer said of a frame, checked against its length. */
struct netdev_receive_info {
        uint8_t checksum;     /* enum netdev_checksum */
        uint8_t segmentation; /* enum netdev_segmentation: made of several frames */
        bool ecn;             /* CWR was set in the first of them */
        bool vlan;            /* a tag with vlan_tci was taken out */
        uint8_t hash_type;    /* enum netdev_hash */
        uint8_t reserved;
        uint16_t checksum_start, checksum_offset; /* PARTIAL: start + offset + 2 <= length */
        uint16_t segment_bytes;                   /* with segmentation: 1.. */
        uint16_t header_bytes;                    /* with segmentation; 0: not told */
        uint16_t vlan_tci;
        uint32_t hash_value;
        uint16_t head_bytes; /* in front of the first region the client may write so many, and pass
                                them on as netdev_frame.head_bytes */
};

/* Its bytes are buffer.buffer.parts[0..part_count), nothing in front and nothing behind; each
 * part's buffer_id is what netdev_release() takes. */
struct netdev_received {
        struct rx_buffer buffer;
        struct netdev_receive_info info;
};

/* ---- the client ---- */

struct netdev;

/* All calls come from inside netdev_poll() of that queue pair, transmit_done also from
 * netdev_restart() and from the end of a card (then for any queue pair). */
struct netdev_client {
        /* 1..NETDEV_BATCH_MAX frames came; their parts are the client's now, the array is the
         * card's and goes when this returns. */
        void (*receive)(void *context, uint32_t queue, const struct netdev_received *frames,
                        uint32_t count);
        /* The card has let go of these frames, 1..NETDEV_BATCH_MAX. ZX_OK: the device has read
         * them; ZX_ERR_CANCELED: taken back from a device that stopped: nobody knows whether they
         * went out; ZX_ERR_IO: the device says that it did not send them; ZX_ERR_TIMED_OUT: the
         * card was given up because the device does not answer to a reset, and the device may read
         * them at any time from now on: leave the memory as it is until netdev_restart() returns
         * ZX_OK. The card keeps a reference of its own to these VMOs, for ever
         * (counters.leaked_pages), so letting go of them is safe. */
        void (*transmit_done)(void *context, uint32_t queue, const uint32_t *ids, uint32_t count,
                              zx_status_t status);
        /* netdev->link_up or netdev->running has changed. May be NULL. */
        void (*state_changed)(void *context);
        /* The network is to learn again where this card is (after a migration): send gratuitous
         * packets. May be NULL. */
        void (*announce)(void *context);
        void *context;
        uint32_t queue_pairs; /* that it is going to poll: 1..capabilities.queue_pairs; 0 means 1 */
};

/* ---- counters ---- */

struct netdev_queue_counters {
        uint64_t receive_frames, receive_bytes;
        uint64_t receive_parts;    /* in how many parts they came */
        uint64_t receive_dropped;  /* broken header or length, or nobody attached */
        uint64_t receive_starved;  /* polls that found the device without a single part to fill */
        uint64_t transmit_frames, transmit_bytes; /* handed to the device */
        uint64_t transmit_done;                   /* of those, let go by it */
        uint64_t transmit_failed;                 /* of those, with another status than ZX_OK */
        uint64_t transmit_full;    /* transmit() that did not take all */
        uint64_t interrupts_idle;  /* polls after an interrupt that found nothing */
        uint64_t notifications;    /* of the device */
};

struct netdev_counters {
        struct netdev_queue_counters total;
        uint64_t interrupts;
        uint64_t faults;       /* rules broken by the device; each stops it */
        uint64_t restarts;
        uint64_t link_changes;
        uint64_t leaked_pages; /* left to a device that could not be reset */
};

/* ---- the card ---- */

struct netdev_ops;

/* Of one queue pair; netdev's own, written by the thread of the pair. */
struct netdev_queue {
        struct netdev_queue_counters counters;
        uint64_t receive_released; /* parts */
        bool in_poll;
        uint32_t waiter; /* atomic: the CPU that sleeps in netdev_wait() + 1; 0: none */
};

/* Where the bytes of a VMO of the store are, if they are in one run. */
struct netdev_run {
        uint8_t *va; /* NULL: scattered */
        uint64_t dev;
        uint64_t bytes; /* 0: no VMO has this id */
};

/* Filled by the card's driver (netdev_card.h); the client reads what is up to running. */
struct netdev {
        char name[NETDEV_NAME_BYTES];
        uint8_t mac[NETDEV_MAC_BYTES];
        bool link_up;
        bool running; /* false: stopped, broken by the device, or removed */
        bool removed; /* it will never run again */
        bool polled;  /* the card cannot interrupt */
        uint32_t mtu; /* bytes behind the Ethernet header */
        uint32_t queue_pairs; /* in use: what the client asked for, 1 before there was one */
        struct netdev_capabilities capabilities;

        const struct netdev_ops *ops;
        struct netdev_client client;
        struct vmo_store store;
        struct vmo_pool *pool; /* where the card's memory comes from */
        uint32_t client_vmos;  /* bit n: id n was registered by the client */
        struct netdev_run runs[VMO_STORE_VMOS_MAX];
        struct netdev_queue queues[NETDEV_QUEUE_PAIRS_MAX];
        struct netdev_counters counters; /* read after netdev_counters() */
};

/* ---- cards (netdev_boot.c) ---- */

size_t netdev_count(void);
struct netdev *netdev_at(size_t index);

/* Sleeps until the card has interrupted for this queue pair or the deadline (kernel/time.h) has
 * passed. Returns at once when something is pending. A card that cannot interrupt is looked at
 * every millisecond. On the boot CPU it runs that CPU's work first and after each interrupt
 * (cpu_serve): there cards come, and this one may be removed.
 *   context  as cpu_serve; not inside receive() and transmit_done(). The caller is attached, or the
 *            card may become another one meanwhile */
void netdev_wait(struct netdev *netdev, uint32_t queue, uint64_t deadline_ns);

/* ---- clients ---- */

/* Who gets the frames from now on.
 *   returns  ZX_OK; ZX_ERR_ALREADY_BOUND: the card has a client; ZX_ERR_INVALID_ARGS: queue_pairs
 *            too large; ZX_ERR_BAD_STATE: the card does not run; or why the queue pairs could not
 *            be made ready. Nothing has changed then, except that a card which may or may not use
 *            the new queue pairs (ZX_ERR_IO, ZX_ERR_TIMED_OUT) stops, until netdev_restart() */
zx_status_t MUST_CHECK netdev_attach(struct netdev *netdev, const struct netdev_client *client);
/* The opposite; the client's VMOs leave the store. From now on what comes is dropped.
 *   returns  ZX_OK; ZX_ERR_BAD_STATE: frames are under way, or received parts were not released:
 *            nothing has changed. netdev_restart() brings the former back */
zx_status_t MUST_CHECK netdev_detach(struct netdev *netdev);

/* Puts a VMO into the store and pins it, so that frames can be in it.
 *   id_out   out: its id, 0..VMO_STORE_VMOS_MAX - 1
 *   returns  ZX_OK; what vmo_store_push and vmo_store_pin return. Nothing has changed then */
zx_status_t MUST_CHECK netdev_register_vmo(struct netdev *netdev, struct vmo *vmo,
                                           uint32_t *id_out);
/* Takes it out again.
 *   returns  ZX_OK; ZX_ERR_NOT_FOUND: no VMO of the client's has this id; ZX_ERR_BAD_STATE: frames
 *            are under way (any: which memory they are in is not remembered) */
zx_status_t MUST_CHECK netdev_unregister_vmo(struct netdev *netdev, uint32_t id);

/* ---- data ---- */

/* Hands over frames, in order, with at most one notification of the device for all.
 *   frames    read during the call only; what is not accepted stays the client's
 *   accepted  out: so many were taken, whatever is returned
 *   returns   ZX_OK: all; ZX_ERR_SHOULD_WAIT: no room for the rest now, poll and try again;
 *             of the first frame that was not taken: ZX_ERR_INVALID_ARGS: its length, its parts or
 *             its offload make no sense; ZX_ERR_NOT_SUPPORTED: an offload that the card lacks;
 *             ZX_ERR_NOT_FOUND, ZX_ERR_OUT_OF_RANGE: its regions, as the store says;
 *             ZX_ERR_BAD_STATE: the card does not run, or nobody is attached */
zx_status_t MUST_CHECK netdev_transmit(struct netdev *netdev, uint32_t queue,
                                       const struct netdev_frame *frames, uint32_t count,
                                       uint32_t *accepted);

/* Delivers what has come and what was sent, at most `budget` (1..) of each.
 *   returns  how many; less than the budget means that the queue pair was drained and interrupts
 *            are asked for again, `budget` or more that they stay off: poll again */
uint32_t netdev_poll(struct netdev *netdev, uint32_t queue, uint32_t budget);

/* Gives parts of received frames back to the card, in any order, also after it stopped.
 *   queue    of the queue pair that delivered them
 *   ids      part ids (vmo_buffer_part.buffer_id) that the client has. Any other one is our bug */
void netdev_release(struct netdev *netdev, uint32_t queue, const uint32_t *ids, uint32_t count);
/* All parts of one frame. */
void netdev_release_frame(struct netdev *netdev, uint32_t queue,
                          const struct netdev_received *frame);

/* The bytes of a region where they are, for looking or writing in place.
 *   returns  NULL: no such VMO, outside of it, empty, or not in one run of memory
 *   note     of received frames: see "Owner" above, about what is looked at in place */
void *netdev_window(struct netdev *netdev, struct vmo_region region);

/* Frames handed over and not yet back, of all queue pairs. */
uint64_t netdev_transmit_in_flight(const struct netdev *netdev);
/* Parts delivered and not yet released. */
uint64_t netdev_receive_held(const struct netdev *netdev);

/* ---- settings: each ZX_ERR_NOT_SUPPORTED when the capability is missing, ZX_ERR_BAD_STATE when
 *      the card does not run, ZX_ERR_IO when the device refuses (it is then as it was before),
 *      ZX_ERR_TIMED_OUT when it does not answer. A restart sets them again. ---- */

#define NETDEV_FILTER_MACS_MAX 32

/* Which frames the card takes, besides those to its own address and broadcasts. Filters keep off
 * frames in the card; some let through more than was asked for. */
struct netdev_receive_mode {
        bool promiscuous;
        bool all_multicast;
        uint8_t unicast_count, multicast_count; /* together at most NETDEV_FILTER_MACS_MAX */
        uint8_t macs[NETDEV_FILTER_MACS_MAX][NETDEV_MAC_BYTES]; /* unicast ones first */
};
zx_status_t MUST_CHECK netdev_set_receive_mode(struct netdev *netdev,
                                               const struct netdev_receive_mode *mode);
/* Lets frames with this VLAN id, 0..4094, through, or not any more. Cards that can filter begin
 * with no id allowed; frames without a tag always pass. ZX_ERR_INVALID_ARGS: the id. */
zx_status_t MUST_CHECK netdev_set_vlan(struct netdev *netdev, uint16_t vlan_id, bool pass);
/* ZX_ERR_INVALID_ARGS: a group address, or all zeros. */
zx_status_t MUST_CHECK netdev_set_mac(struct netdev *netdev, const uint8_t *mac);

/* An interrupt comes when so many frames are there, or so long after the first of them; 0 in either
 * means at once. */
struct netdev_moderation {
        uint32_t receive_frames, receive_us;
        uint32_t transmit_frames, transmit_us;
};
zx_status_t MUST_CHECK netdev_set_moderation(struct netdev *netdev,
                                             const struct netdev_moderation *moderation);

/* Resets the card, broken or not, and brings it up again with the same client: frames under way
 * come back with ZX_ERR_CANCELED (ZX_ERR_TIMED_OUT: see transmit_done), received parts stay the
 * client's.
 *   returns  ZX_OK: it runs; ZX_ERR_PEER_CLOSED: it was removed; ZX_ERR_SHOULD_WAIT: its receive
 *            memory must be made anew and the client holds parts of it; or what bringing it up
 *            returned. The card does not run then */
zx_status_t MUST_CHECK netdev_restart(struct netdev *netdev);

/* ---- looking ---- */

/* The counters, up to date, with the sum over all queue pairs. */
const struct netdev_counters *netdev_counters(struct netdev *netdev);
/* The name of a capability, for lists. */
const char *netdev_capability_name(enum netdev_capability which);

#endif
