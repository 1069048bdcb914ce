/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* netvsc — the Hyper-V network card: NVSP and RNDIS on a VMBus channel, behind netdev.
 *
 *   netdev_transmit --> RNDIS header in our page + the client's pages --GPA direct--> host
 *                       transmit_done <------------------ completion of the request
 *   receive <------ one frame per range <--transfer pages-- host, which wrote the receive buffer
 *   netdev_release --> when all ranges of a packet are back: its completion ------> host
 *
 * No byte of a frame is copied, with two exceptions: the headers of a frame that the host is
 * to cut into segments, because NDIS wants other values in them than stand there, and they
 * are the client's; and frames in more pieces than the host takes, or no longer than
 * copy_break (0 unless asked for: the host pays for each page that it has to look up), which
 * go through a section of the send buffer.
 *
 * Sub-allocations. The host cuts the receive buffer into pieces of one size. A range covers one or
 * more of them whole or in part; these are `held` until the client releases the frame. A host that
 * names a held one again breaks a rule, so a frame that somebody reads is not delivered anew.
 *
 * Order. Everything that comes on the channel goes through netvsc_take(): completions note that a
 * request is done, ranges go to a queue. Both are handed to the client in poll only. So a setting,
 * which waits for the host's answer, may read the ring meanwhile and loses nothing.
 *
 * Peer        the host is hostile: netvsc_fault names each rule that it can break. The first one
 *             closes the channel, gives frames under way back as ZX_ERR_CANCELED and stops the
 *             card, at once or, where it was found outside of poll, in the next one;
 *             netdev_restart() opens it again
 * News        of the statuses that a host indicates, media connect and disconnect are the link's.
 *             On purpose without effect: link speed change (netdev names no speed); network change
 *             (the link stays; whoever holds a lease renews it in its own time); offload
 *             configuration (what was agreed at bring-up holds until the next one); those not known
 * Owner       struct netvsc is the caller's and static. The receive buffer is in the netdev's
 *             store; buffers that the host did not let go of stay pinned for ever (vmbus.h)
 * Context     as netdev.h, for queue pair 0; start, stop, rescind: thread, no client's call running
 * Invariants  [V1] a sub-allocation is held from the packet that names
 *             it until its frame is released
 *             [V2] a transaction of the host's is completed once, after its last range was released
 *             [V3] send slots are free, or under way, or done and not yet told
 * Facts       spec/vmbus.md, (f) */
#ifndef DRIVERS_HYPERV_NETVSC_H
#define DRIVERS_HYPERV_NETVSC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "drivers/hyperv/nvsp.h"
#include "drivers/hyperv/rndis.h"
#include "drivers/hyperv/vmbus.h"
#include "drivers/netdev/netdev_card.h"

/* f8615163-df3e-46c5-913f-f2d2f965ed0e, the class of network cards. */
#define NETVSC_INTERFACE VMBUS_GUID(0xf8615163u, 0xdf3e, 0x46c5, 0x913f, 0xf2d2f965ed0eull)

#define NETVSC_SEND_SLOTS 256
#define NETVSC_CONTROL_SLOTS 8 /* requests that are no frames */
#define NETVSC_HEADER_BYTES 256 /* for each send slot: RNDIS header and, for segmentation, a copy of
                                 * the frame's own headers */
#define NETVSC_CONTROL_BYTES 4096
#define NETVSC_SUBALLOCATIONS_MAX 2048
#define NETVSC_RING_PAGES 32             /* of data, each way */
#define NETVSC_RECEIVE_BYTES_MAX (2u << 20) /* halved until there is memory for it ... */
#define NETVSC_RECEIVE_BYTES_MIN (128u << 10)
#define NETVSC_SEND_BYTES (256u << 10)   /* of the send buffer */
#define NETVSC_SECTIONS_MAX 64           /* of it that are used */
#define NETVSC_PIECES_MAX (NETDEV_SPANS_MAX + 3) /* header, and two cuts around a VLAN tag */
#define NETVSC_PAGES_MAX (NETDEV_FRAME_BYTES_MAX / 4096 + 2 * NETVSC_PIECES_MAX)

/* X(name, what holds) */
#define NETVSC_FAULT_LIST(X)                                                                       \
        X(NETVSC_FAULT_NONE, "no rule was broken")                                                 \
        X(NETVSC_FAULT_RING, "the ring keeps its rules")                                           \
        X(NETVSC_FAULT_PACKET_TYPE, "a host sends in-band, completion and transfer pages")         \
        X(NETVSC_FAULT_MESSAGE_SHORT, "an NVSP message has its fields")                            \
        X(NETVSC_FAULT_MESSAGE_TYPE, "transfer pages carry RNDIS messages")                        \
        X(NETVSC_FAULT_COMPLETION, "a completion answers a request, once")                         \
        X(NETVSC_FAULT_ANSWER_TYPE, "an answer is of the type that the question asks for")         \
        X(NETVSC_FAULT_SECTIONS, "the receive buffer has one section that fits it")                \
        X(NETVSC_FAULT_SET_ID, "transfer pages name the receive buffer")                           \
        X(NETVSC_FAULT_NO_TRANSACTION, "transfer pages ask for a completion")                      \
        X(NETVSC_FAULT_RANGE, "a range lies in the section")                                       \
        X(NETVSC_FAULT_HELD, "a sub-allocation is not used again before it was given back")        \
        X(NETVSC_FAULT_RNDIS, "an RNDIS message keeps its rules")                                  \
        X(NETVSC_FAULT_RNDIS_TYPE, "a data range carries a packet")                                \
        X(NETVSC_FAULT_PIECES, "frames are not coalesced unasked")

enum netvsc_fault {
#define NETVSC_FAULT_ENUM_(name, rule) name,
        NETVSC_FAULT_LIST(NETVSC_FAULT_ENUM_)
#undef NETVSC_FAULT_ENUM_
        NETVSC_FAULT_COUNT
};
const char *netvsc_fault_rule(enum netvsc_fault fault);

/* A frame under way. */
struct netvsc_send_slot {
        uint32_t frame_id;
        uint8_t state; /* enum netvsc_slot_state */
        uint8_t section; /* of the send buffer + 1; 0: none */
        bool failed;
};
enum netvsc_slot_state { NETVSC_SLOT_FREE = 0, NETVSC_SLOT_SENT, NETVSC_SLOT_DONE };

/* A packet of transfer pages whose ranges are not all back. */
struct netvsc_transaction {
        uint64_t id;
        uint32_t ranges_left;
        uint16_t next; /* in the list of free ones or of those to be completed */
};

/* A range that was received and not yet handed to the client. */
struct netvsc_range {
        uint32_t offset, bytes;
        uint16_t transaction;
};

/* A question whose answer somebody waits for. */
struct netvsc_call {
        bool waiting, done;
        struct nvsp_message reply;
};

struct netvsc {
        struct netdev netdev;
        struct vmbus_channel *channel;
        struct vmo_pool *pool;
        enum netvsc_fault fault; /* of the present opening */
        enum rndis_result rndis_fault;
        uint32_t version;        /* NVSP */
        uint32_t pieces_max;     /* ranges of a GPA direct packet */
        uint32_t filter;         /* RNDIS packet filter to set */
        uint32_t wanted_mtu;
        bool opened;
        bool link_up_told;       /* as last heard; goes to netdev in poll */
        uint32_t signalled;      /* atomic: the host has signalled since the last poll */

        /* Memory shared with the host. */
        struct vmo *receive_vmo, *header_vmo, *send_vmo;
        struct vmbus_gpadl *receive_gpadl, *send_gpadl;
        uint32_t receive_vmo_id;
        uint32_t receive_bytes;
        const uint8_t *receive_va;
        /* NETVSC_SEND_SLOTS x NETVSC_HEADER_BYTES, then the control page. */
        uint8_t *header_va;
        uint64_t header_pa;
        uint8_t *send_va;
        uint32_t send_section_bytes; /* 0: the host has no use for a send buffer */
        uint64_t send_sections_free; /* bit n: section n */
        uint32_t copy_break;
        uint32_t section_offset, suballocation_bytes, suballocation_count;

        /* Questions. */
        struct netvsc_call call;
        uint32_t request_id;     /* of RNDIS; 0: none waits */
        bool control_done;
        struct rndis_control control;
        struct vmbus_request_slot request_slots[NETVSC_SEND_SLOTS + NETVSC_CONTROL_SLOTS];

        /* Sending. */
        struct netvsc_send_slot slots[NETVSC_SEND_SLOTS];
        uint16_t free_slots[NETVSC_SEND_SLOTS];
        uint32_t free_slot_count;
        uint16_t done_slots[NETVSC_SEND_SLOTS];
        uint32_t done_slot_count;
        uint64_t pages[NETVSC_PAGES_MAX]; /* of one packet, while it is written */
        uint64_t gpa_words[NETVSC_PAGES_MAX + NETVSC_PIECES_MAX];

        /* Receiving. */
        struct netvsc_transaction transactions[NETVSC_SUBALLOCATIONS_MAX];
        uint16_t transaction_free, transaction_done; /* lists */
        /* A queue [range_head, range_tail). */
        struct netvsc_range ranges[NETVSC_SUBALLOCATIONS_MAX];
        uint32_t range_head, range_tail;
        /* Transaction + 1 of the range; 0: not held. */
        uint16_t held[NETVSC_SUBALLOCATIONS_MAX];
        uint16_t held_count[NETVSC_SUBALLOCATIONS_MAX]; /* at the first of a range: how many */
        bool delivered[NETVSC_SUBALLOCATIONS_MAX];     /* at the first: the client has it */
        struct vmbus_transfer_range incoming[NETVSC_SUBALLOCATIONS_MAX];
        struct netdev_received batch[NETDEV_BATCH_MAX];

        void (*describe)(struct netdev *netdev); /* of who can print, or NULL */
        uint64_t completions_put_off; /* did not fit the ring at once */
        uint64_t frames_by_section;   /* copied */
};

/* Opens the card behind an offered channel and brings it up; netdev->running afterwards, filter
 * set, frames flow. The caller adds the netdev to the list.
 *   netvsc   zeroed or stopped; `pool` and `channel` outlive it
 *   returns  ZX_OK. Otherwise the channel is closed again: ZX_ERR_NOT_SUPPORTED: no NVSP version or
 *            no Ethernet; ZX_ERR_NO_MEMORY; ZX_ERR_IO: the host refuses; ZX_ERR_IO_DATA_INTEGRITY:
 *            `fault`; ZX_ERR_TIMED_OUT; what vmbus_open and vmbus_gpadl_create return
 *   context  thread */
zx_status_t MUST_CHECK netvsc_start(struct netvsc *netvsc, struct vmbus_channel *channel,
                                    struct vmo_pool *pool);

/* Halts the card and closes the channel: frames under way are cancelled, the host has let go of all
 * memory (or it is leaked, see vmbus.h). What the client holds stays readable. Twice is fine. */
void netvsc_stop(struct netvsc *netvsc);

/* The channel was taken back: stop, and tell the client that the card is gone. */
void netvsc_remove(struct netvsc *netvsc);

/* Gives the receive buffer back, when netdev_is_idle(). */
void netvsc_fini(struct netvsc *netvsc);

/* ---- between the files of netvsc ---- */

/* Counts a broken rule and remembers it; the caller stops the card. */
zx_status_t netvsc_broken(struct netvsc *netvsc, enum netvsc_fault fault);

/* Everything about the rings' content at the start of an opening. */
void netvsc_receive_reset(struct netvsc *netvsc);
void netvsc_transmit_reset(struct netvsc *netvsc);

/* Reads what is in the ring, `packets_max` packets at most, and notes it.
 *   returns  ZX_OK: there may be more; ZX_ERR_SHOULD_WAIT: the ring is empty;
 *            ZX_ERR_IO_DATA_INTEGRITY: a rule was broken; ZX_ERR_PEER_CLOSED */
zx_status_t netvsc_take(struct netvsc *netvsc, uint32_t packets_max);
/* Hands received ranges to the client, at most `budget`; *done counts them. Status as above. */
zx_status_t netvsc_deliver(struct netvsc *netvsc, uint32_t budget, uint32_t *done);
void netvsc_release(struct netdev *netdev, uint32_t queue, const uint32_t *ids, uint32_t count);
/* After the channel was closed: ranges that nobody has seen go back. */
void netvsc_forget_ranges(struct netvsc *netvsc);
/* Completes the host's transactions that are due, as many as the ring takes. */
zx_status_t netvsc_complete(struct netvsc *netvsc);
/* A control range: an answer, or news. */
zx_status_t netvsc_take_control(struct netvsc *netvsc, const void *message, uint32_t bytes);

zx_status_t netvsc_transmit(struct netdev *netdev, uint32_t queue,
                            const struct netdev_frame *frames, uint32_t count, uint32_t *accepted);
/* A frame's request was completed. */
void netvsc_sent(struct netvsc *netvsc, struct netvsc_send_slot *slot, bool failed);
/* Tells the client of frames that are through, at most `budget`. */
uint32_t netvsc_tell_sent(struct netvsc *netvsc, uint32_t budget);
/* After the channel was closed: all that is under way comes back. */
void netvsc_cancel_sent(struct netvsc *netvsc);

/* The way from an open channel to flowing frames: NVSP, then RNDIS (netvsc_control.c). */
zx_status_t netvsc_set_up(struct netvsc *netvsc);
/* Sets the packet filter to netvsc->filter, 0: no frames. Waits. */
zx_status_t netvsc_set_filter(struct netvsc *netvsc, uint32_t filter);
zx_status_t netvsc_set_multicast(struct netvsc *netvsc, const uint8_t *macs, uint32_t count);
void netvsc_halt(struct netvsc *netvsc);

static inline struct netvsc *netvsc_from(struct netdev *netdev)
{
        return CONTAINER_OF(netdev, struct netvsc, netdev);
}

#endif
