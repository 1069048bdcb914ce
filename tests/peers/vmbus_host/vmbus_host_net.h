/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_net — a network card's host side: NVSP and RNDIS behind a channel, frames before it.
 *
 *   guest --> ring, send buffer, pages --> RNDIS --> offloads --> port.give --> network
 *   guest <-- ring, receive buffer     <-- RNDIS <-- filter   <-- port.take <-- network
 *
 * Speaks NVSP 6.1, 6, 5, 4, 2 and 1. Carries out the offloads that it announces: checksums and TCP
 * segmentation of what the guest sends, checking of what it receives, VLAN tags both ways. With
 * more than one queue it offers subchannels and spreads frames over them as the guest's table says.
 *
 *            INIT: a version agreed        first RNDIS message, receive buffer there
 *   BEGIN --------------------------> SETUP -------------------------------> READY
 *     ^                                 |                                      |
 *     '-------- the channel is closed --+--------------------------------------'
 *
 * Owner       the caller, of this struct and of the frame memory; the port outlives the card
 * Context     as the host; the port's functions are called from vmbus_host_poll()
 * Invariants  [N1] a sub-allocation is busy from being sent until its group's completion
 *             [N2] the buffers are used only between their message and gpadl_gone, revoke or close
 * Facts       spec/vmbus.md, (f) */
#ifndef TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_NET_H
#define TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_NET_H

#include "tests/peers/vmbus_host/vmbus_host.h"
#include "tests/peers/vmbus_host/wire_net.h"

#define VMBUS_HOST_NET_QUEUES 4u
#define VMBUS_HOST_NET_SUBALLOCATIONS 2048u
#define VMBUS_HOST_NET_SECTION_BYTES 6144u
#define VMBUS_HOST_NET_ANSWERS 8u
#define VMBUS_HOST_NET_ANSWER_BYTES 256u
#define VMBUS_HOST_NET_MULTICAST 16u
#define VMBUS_HOST_NET_BATCH 16u
#define VMBUS_HOST_NET_WORDS 128u
/* Frame memory: at least what a full segmentation offload with its headers needs. */
#define VMBUS_HOST_NET_FRAME_BYTES 66560u

/* What is behind the card. Frames have no preamble and no check sequence; a VLAN tag is in them. */
struct vmbus_host_frame_port {
        void *context;
        /* A frame of the guest, 14 bytes or more; not kept. What cannot be sent is dropped. */
        void (*give)(void *context, const void *frame, uint32_t bytes);
        /* The next frame for the guest, up to `capacity` bytes; returns its length, 0: none now. */
        uint32_t (*take)(void *context, void *frame, uint32_t capacity);
        /* Whether there is room for what one packet of the guest can bring
         * (RNDIS_PACKETS_MAX frames, or a segmented one). While there is not, packets wait
         * in the guest's ring. NULL: always. */
        bool (*ready)(void *context);
};

struct vmbus_host_net_config {
        const struct vmbus_host_frame_port *port;
        uint8_t *frame;       /* VMBUS_HOST_NET_FRAME_BYTES, for one frame at a time */
        uint8_t mac[6];
        uint8_t queues;       /* 0 or 1: no subchannels; up to VMBUS_HOST_NET_QUEUES */
        uint32_t version_max; /* NVSP_VERSION_...; 0: 6.1 */
        uint32_t link_speed;  /* in units of 100 bit/s; 0: 10 Gbit/s */
};

enum vmbus_host_net_state { VMBUS_HOST_NET_BEGIN, VMBUS_HOST_NET_SETUP, VMBUS_HOST_NET_READY };

struct vmbus_host_net_answer {
        uint16_t bytes;
        ALIGNED(4) uint8_t message[VMBUS_HOST_NET_ANSWER_BYTES];
};

struct vmbus_host_net {
        struct vmbus_host_device device;
        struct vmbus_host_net_config config;
        struct vmbus_host_offer offers[VMBUS_HOST_NET_QUEUES];
        struct vmbus_host_channel *channels[VMBUS_HOST_NET_QUEUES]; /* open ones, by index */
        enum vmbus_host_net_state state;
        uint32_t version;
        uint32_t subchannels; /* offered */
        bool configured, ndis_version, initialised, link_down;
        bool link_owed; /* an indication of link_down that found no room among the answers */
        uint32_t frame_bytes; /* longest frame without a tag */
        /* Buffers [N2]. */
        struct vmbus_host_pages receive, send;
        uint32_t receive_gpadl, send_gpadl;
        uint32_t suballocation_bytes, suballocations, free_suballocations, next_suballocation;
        uint32_t send_sections;
        uint64_t busy[VMBUS_HOST_NET_SUBALLOCATIONS / 64];  /* [N1] */
        uint64_t heads[VMBUS_HOST_NET_SUBALLOCATIONS / 64]; /* first of a group that is out */
        uint16_t chain[VMBUS_HOST_NET_SUBALLOCATIONS];      /* next of the group */
        uint8_t owner[VMBUS_HOST_NET_SUBALLOCATIONS];       /* index of its channel */
        /* RNDIS. */
        uint32_t filter;
        uint8_t multicast[VMBUS_HOST_NET_MULTICAST][6];
        uint32_t multicast_count;
        uint8_t table[NDIS_RSS_TABLE_ENTRIES_MAX]; /* indices of channels */
        uint32_t table_entries;                    /* 0: all to the first */
        bool table_owed;
        bool port_full; /* a packet waits in its ring for the port */
        uint32_t ndis_major, ndis_minor, capabilities; /* as the guest said them last */
        uint32_t halts, revokes;                       /* that the guest sent, in all */
        bool ring_full; /* without room for a batch of frames, at the last look */
        uint8_t offload_parameters[NDIS_OFFLOAD_PARAMETERS_BYTES];
        struct vmbus_host_net_answer answers[VMBUS_HOST_NET_ANSWERS];
        uint32_t answer_head, answer_count;
        uint64_t words[VMBUS_HOST_NET_WORDS]; /* ranges of one packet */
        uint64_t frames_in, frames_out, frames_filtered, send_errors, receive_shortages;
        uint64_t frames_unplugged; /* came while the link was down: dropped */
        uint64_t stalls;           /* turns that had room for a frame, and left none */
};

/* A fresh card; `config` is copied. */
void vmbus_host_net_init(struct vmbus_host_net *net, const struct vmbus_host_net_config *config);

/* Offers it on `host`; `number` tells cards apart.
 *   returns  as vmbus_host_offer() */
zx_status_t MUST_CHECK vmbus_host_net_offer(struct vmbus_host_net *net, struct vmbus_host *host,
                                            uint8_t number, struct vmbus_host_channel **channel);

/* The cable is pulled or put back; the guest is told, as soon as there is room. Frames that come
 * to a pulled one are dropped. */
void vmbus_host_net_link(struct vmbus_host_net *net, bool up);

/* Whether frames are taken from the port now, to the guest or to be dropped; false: the card is not
 * up, or the guest has given no memory back for more, or the first channel's ring is full, and they
 * wait. Its next signal may change that: ask after each vmbus_host_poll(). */
bool vmbus_host_net_takes(const struct vmbus_host_net *net);

#endif
