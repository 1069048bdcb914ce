/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_net — the network card of virtio, behind netdev.h.
 *
 * To get this device:  -netdev user,id=n0 -device virtio-net-pci,netdev=n0
 *
 *   receive    one contiguous VMO a queue pair, in parts of one size; a chain is one part:
 *              | header, 12 or 20 bytes | frame ... |     with MRG_RXBUF up to 4 parts a frame
 *   transmit   the header (in front of the frame if the client leaves room, else in a table of
 *              ours), then the client's memory, run by run
 *
 *   control    one command at a time, waited for
 *
 *   virtio_net.c            the life: bring-up, stop, recovery
 *   virtio_net_features.c   what is accepted, configuration, capabilities
 *   virtio_net_receive.c    parts and frames
 *   virtio_net_transmit.c   chains and completions
 *   virtio_net_control.c    commands and settings
 *   virtio_net_poll.c       interrupts and polling
 *
 * Features    of those offered (virtio_net_features.c has the list), all but:
 *               GUEST_TSO4/6, GUEST_ECN, GUEST_USO4/6 without MRG_RXBUF: each buffer would have to
 *                 be 64 KiB
 *               MTU below NETDEV_MTU_MIN; MQ, RSS when the numbers in the configuration are none;
 *                 RSS, HASH_REPORT when tables or keys are shorter than the standard's least. Of
 *                 more pairs than NETDEV_QUEUE_PAIRS_MAX the first ones are used
 *               RING_RESET where the transport's registers do not reset queues
 *               GUEST_UFO, HOST_UFO: out of use. CTRL_GUEST_OFFLOADS: what is received is settled
 *                 once and for all. CTRL_RX_EXTRA: netdev has no such modes. VQ_NOTF_COAL: one
 *                 moderation for all queues. SPEED_DUPLEX, RSC_EXT, STANDBY, HASH_TUNNEL: nobody
 *                 would look
 *               NOTIFICATION_DATA, and NOTIF_CONFIG_DATA, which changes the same word: a
 *                 notification is the queue's number, and the device reads in the ring what is
 *                 new. SR_IOV: virtual functions are nobody's here. ADMIN_VQ: it administers such
 *                 functions
 *               what has no name in virtio_features.h: bits of legacy devices (6, 24, 27), and
 *                 newer ones than the standard below
 *             Three need nothing to be done: ACCESS_PLATFORM, because no IOMMU translates (none is
 *             ever switched on), so that the platform's addresses for devices are the physical
 *             ones, which we give anyhow; ORDER_PLATFORM, because the rings have fences for another
 *             processor, memory is coherent for devices on x86, and a notification is an uncached
 *             store behind them; GUEST_HDRLEN, because netdev's clients say how long the headers of
 *             what is to be cut are, and it is passed on exactly, with that bit or without
 * Peer        what the device can break stops the card (a broken ring, DEVICE_NEEDS_RESET): it is
 *             reset, frames under way come back with ZX_ERR_CANCELED, and it is brought up again:
 *             by the poll that found out, or, if several queue pairs are in use, by
 *             netdev_restart(), for which the client brings its threads out. After
 *             VIRTIO_NET_RECOVERIES_MAX times without a frame in between it stays down. A bad
 *             header costs the frame. Where RING_RESET was accepted and one ring is broken, only
 *             that queue is reset, without a word to other queue pairs
 * Context     netdev.h
 * Facts       Virtio 1.3, 5.1 */
#ifndef DRIVERS_VIRTIO_VIRTIO_NET_H
#define DRIVERS_VIRTIO_VIRTIO_NET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "drivers/netdev/netdev_card.h"
#include "drivers/virtio/virtio_device.h"
#include "drivers/virtio/virtio_queue.h"

#define VIRTIO_NET_RECEIVE_QUEUE 0 /* of pair n: 2 n */
#define VIRTIO_NET_TRANSMIT_QUEUE 1 /* 2 n + 1 */
#define VIRTIO_NET_QUEUE_SIZE_DEFAULT 256u
#define VIRTIO_NET_QUEUE_SIZE_MAX 1024u
#define VIRTIO_NET_VLAN_IDS 4096u
#define VIRTIO_NET_KEY_BYTES 40 /* of the Toeplitz hash */
#define VIRTIO_NET_TABLE_ENTRIES_MIN 128u /* of the table for RSS; we use no more */
#define VIRTIO_NET_RECOVERIES_MAX 4

#define VIRTIO_NET_PART_BYTES_MIN 2048u
#define VIRTIO_NET_PART_ALIGN 128u
#define VIRTIO_NET_RECEIVE_BYTES_MAX (2 * MIB) /* of a queue's parts together */
#define VIRTIO_NET_PARTS_MIN 8 /* fewer are not worth a card, unless the ring is smaller */

/* Device configuration, 5.1.4: offsets. */
#define VIRTIO_NET_CONFIG_MAC 0
#define VIRTIO_NET_CONFIG_STATUS 6
#define VIRTIO_NET_CONFIG_PAIRS 8
#define VIRTIO_NET_CONFIG_MTU 10
#define VIRTIO_NET_CONFIG_KEY_BYTES 17
#define VIRTIO_NET_CONFIG_TABLE_ENTRIES 18
#define VIRTIO_NET_CONFIG_HASH_TYPES 20
#define VIRTIO_NET_LINK_UP_BIT 0 /* of status */
#define VIRTIO_NET_ANNOUNCE_BIT 1

/* In front of each frame, 5.1.6. */
struct virtio_net_header {
        uint8_t flags;
        uint8_t gso_type;
        uint16_t header_bytes;
        uint16_t gso_bytes;
        uint16_t checksum_start;
        uint16_t checksum_offset;
        uint16_t buffer_count;
        /* with HASH_REPORT */
        uint32_t hash_value;
        uint16_t hash_report; /* enum netdev_hash has the same numbers */
        uint16_t padding;
};
_Static_assert(sizeof(struct virtio_net_header) == 20, "written by the device");
#define VIRTIO_NET_HEADER_BYTES 12u /* without HASH_REPORT */

enum virtio_net_header_flag { VIRTIO_NET_NEEDS_CHECKSUM = 1, VIRTIO_NET_DATA_VALID = 2 };
enum virtio_net_gso {
        VIRTIO_NET_GSO_NONE = 0,
        VIRTIO_NET_GSO_TCP4 = 1,
        VIRTIO_NET_GSO_TCP6 = 4,
        VIRTIO_NET_GSO_UDP = 5,
        VIRTIO_NET_GSO_ECN = 0x80, /* a flag on top of the TCP ones */
};

#define VIRTIO_NET_HEADER_STRIDE 32u /* of the table of transmit headers */

/* Who has a part of receive memory. */
enum virtio_net_part {
        VIRTIO_NET_PART_HERE = 0, /* nobody */
        VIRTIO_NET_PART_DEVICE,
        VIRTIO_NET_PART_CLIENT,
};

/* A frame under way. */
struct virtio_net_sent {
        uint32_t id;
        uint32_t next; /* of the free ones */
};

struct virtio_net_pair {
        struct virtio_queue receive, transmit;
        /* The receive memory, which outlives resets. */
        struct vmo *memory; /* NULL: none */
        uint32_t memory_id; /* in the store */
        uint32_t part_bytes, part_count;
        uint8_t *part_states; /* enum virtio_net_part */
        struct list_node part_pages;
        /* A frame of which some parts are there. */
        struct netdev_received building;
        struct virtio_net_header header; /* the one copy of that frame's */
        uint32_t parts_left; /* that are still to come */
        uint32_t skip_left;  /* parts of a frame that was given up */
        /* Of the transmit queue; the memory goes with it. */
        struct virtqueue_area headers; /* VIRTIO_NET_HEADER_STRIDE * size */
        struct virtio_net_sent *sent;  /* size of them */
        uint32_t sent_free;
        bool armed; /* interrupts were asked for, and nothing was sent since */
        uint32_t idle_polls;
        uint64_t kicks_counted; /* of the queues' kicks, in netdev's counters */
        uint32_t resets;        /* of its queues since a frame moved */
        uint64_t reset_frames;  /* how many had moved then */
};

struct virtio_net_options {
        struct vmo_pool *pool;  /* where memory comes from */
        uint64_t unwanted;      /* features that are not to be accepted */
        uint32_t queue_size;    /* at most, a power of two; 0: VIRTIO_NET_QUEUE_SIZE_DEFAULT */
        uint32_t queue_pairs;   /* at most; 0: one */
};

/* What a client has set, for the next life. */
struct virtio_net_settings {
        bool mode_set, mac_set, moderation_set, vlans_set;
        struct netdev_receive_mode mode;
        uint8_t mac[NETDEV_MAC_BYTES];
        struct netdev_moderation moderation;
        uint8_t vlans[VIRTIO_NET_VLAN_IDS / 8]; /* one bit an id */
};

struct virtio_net {
        struct netdev netdev;
        struct virtio_device device;
        struct pmm *pmm;
        struct virtio_net_options options;
        struct virtio_net_pair pairs[NETDEV_QUEUE_PAIRS_MAX];
        uint32_t pair_count; /* of which the queues are open */
        uint32_t header_bytes;
        uint32_t receive_limit_bytes; /* longest frame that is handed up, unless coalesced */
        bool open;   /* holds queues */
        bool broken; /* waits for its recovery */
        uint32_t recoveries;       /* since a frame moved */
        uint64_t recovered_frames; /* how many had moved then */
        /* The control queue; of one page, the command and its answer. */
        struct virtio_queue control;
        bool control_open;
        bool control_stuck; /* a command was never answered: its page is the device's */
        uint16_t control_index;
        uint16_t device_pairs; /* what the device has */
        struct virtqueue_area command;
        uint32_t hash_types;    /* the device's, bits of 5.1.6.4.3 */
        uint16_t table_entries; /* of its table for RSS, at most */
        struct virtio_net_settings settings;
        /* Written by the interrupt handler. */
        _Atomic uint32_t sources; /* VIRTIO_SOURCE_* not yet looked at */
        _Atomic uint64_t interrupts;
        _Atomic uint32_t interrupts_since_poll;
        _Atomic bool storm; /* masked for good: the device interrupts without end */
};

/* Brings the card up on a transport that has been opened, fills the receive ring.
 *   net      static storage: netdev knows it from now on
 *   options  copied
 *   returns  ZX_OK; what bringing it up returned:
 *            then nothing is held and the device is reset or FAILED */
zx_status_t MUST_CHECK virtio_net_start(struct virtio_net *net, struct virtio_transport *transport,
                                        const struct virtio_net_options *options);

/* Resets the device, waits for it, and only then frees what it had; frames that were not sent come
 * back to the client. Parts that the client has stay in its hands. A device that does not answer
 * keeps its pages (counters.leaked_pages) and a reference to every VMO of the store; the frames
 * come back with ZX_ERR_TIMED_OUT then. */
void virtio_net_stop(struct virtio_net *net);
/* The end of a stopped card: its receive memory as well. ZX_ERR_BAD_STATE: the client has parts of
 * it; it stays then. */
zx_status_t MUST_CHECK virtio_net_free_memory(struct virtio_net *net);

/* Stops a card that was started once, broken or not, and brings it up again with the same client:
 * netdev_restart(), which says what it returns. */
zx_status_t MUST_CHECK virtio_net_restart(struct virtio_net *net);

/* Fills in what the command line says: virtio_net.features, .queue-size, .queue-pairs
 * (virtio_net_options.c). */
void virtio_net_options_of_command_line(struct virtio_net_options *options);

/* Whether a card is one of this driver's, so that virtio_net_from() may be asked. */
bool virtio_net_is(const struct netdev *netdev);

static inline struct virtio_net *virtio_net_from(struct netdev *netdev)
{
        return CONTAINER_OF(netdev, struct virtio_net, netdev);
}

/* ---- between the files of this driver ---- */

/* The device broke a rule of `queue`, or (NULL) asks for a reset or can be brought to no known
 * state without one: counts it, says so, and resets the queue
 * or marks the card for its recovery. */
void virtio_net_fault(struct virtio_net *net, struct virtio_queue *queue);
/* What a poll that finds the card marked does about it. */
void virtio_net_recover(struct virtio_net *net);

/* virtio_net_features.c */
extern const struct virtio_wishes virtio_net_wishes;
zx_status_t MUST_CHECK virtio_net_read_configuration(struct virtio_net *net);
void virtio_net_describe_capabilities(struct virtio_net *net);

/* virtio_net_control.c */
/* Opens the control queue, if it was negotiated; before DRIVER_OK. */
zx_status_t MUST_CHECK virtio_net_open_control(struct virtio_net *net);
/* Steers frames to the first `count` pairs. ZX_ERR_IO, ZX_ERR_TIMED_OUT: to those of before, or the
 * card is marked for its recovery */
zx_status_t MUST_CHECK virtio_net_steer(struct virtio_net *net, uint32_t count);
/* Sets everything again that a client had set; what fails is said and left. */
void virtio_net_restore_settings(struct virtio_net *net);
void virtio_net_acknowledge_announce(struct virtio_net *net);
zx_status_t virtio_net_set_receive_mode(struct netdev *netdev,
                                        const struct netdev_receive_mode *mode);
zx_status_t virtio_net_set_vlan(struct netdev *netdev, uint16_t vlan_id, bool pass);
zx_status_t virtio_net_set_mac(struct netdev *netdev, const uint8_t *mac);
zx_status_t virtio_net_set_moderation(struct netdev *netdev,
                                      const struct netdev_moderation *moderation);

/* virtio_net_poll.c */
void virtio_net_on_interrupt(void *context, uint32_t sources);
uint32_t virtio_net_poll(struct netdev *netdev, uint32_t queue, uint32_t budget);
bool virtio_net_pending(struct netdev *netdev, uint32_t queue);
void virtio_net_update_counters(struct netdev *netdev);

/* virtio_net_receive.c */
/* Makes the receive memory of a pair whose queue is open, or takes what there is if it fits.
 *   returns  ZX_OK; ZX_ERR_NO_MEMORY; ZX_ERR_NO_RESOURCES: no id is free in the store;
 *            ZX_ERR_SHOULD_WAIT: what there is does not fit, and the client has parts of it */
zx_status_t MUST_CHECK virtio_net_make_parts(struct virtio_net *net, uint32_t queue);
void virtio_net_free_parts(struct virtio_net *net, uint32_t queue);
/* Gives the device every part that nobody has; does not publish. */
void virtio_net_give_parts(struct virtio_net *net, uint32_t queue);
/* Takes up to `budget` frames' chains and hands the frames up; returns how many chains. */
uint32_t virtio_net_receive(struct virtio_net *net, uint32_t queue, uint32_t budget);
void virtio_net_release(struct netdev *netdev, uint32_t queue, const uint32_t *ids,
                        uint32_t count);
/* After a reset: no part is the device's any more. */
void virtio_net_take_parts(struct virtio_net *net, uint32_t queue);

/* virtio_net_transmit.c */
/* Makes the header table and the records of a transmit queue that is open. */
zx_status_t MUST_CHECK virtio_net_make_sent(struct virtio_net *net, uint32_t queue);
zx_status_t virtio_net_transmit(struct netdev *netdev, uint32_t queue,
                                const struct netdev_frame *frames, uint32_t count,
                                uint32_t *accepted);
/* Tells the client of up to `budget` frames that the device has let go; returns how many. */
uint32_t virtio_net_reap(struct virtio_net *net, uint32_t queue, uint32_t budget);
/* Every frame under way comes back, with ZX_ERR_CANCELED after a reset, and with ZX_ERR_TIMED_OUT
 * when the device does not answer to one and the ring is about to be left to it. */
void virtio_net_return_sent(struct virtio_net *net, uint32_t queue, zx_status_t status);

#endif
