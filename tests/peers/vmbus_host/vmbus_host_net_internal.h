/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_net_internal — what the files of the network card share with each other. */
#ifndef TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_NET_INTERNAL_H
#define TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_NET_INTERNAL_H

#include "tests/peers/vmbus_host/vmbus_host_internal.h"
#include "tests/peers/vmbus_host/vmbus_host_net.h"

/* Room around a frame in a sub-allocation: RNDIS headers before it, and bytes behind it that a
 * guest may overwrite (f.3). */
#define NET_BEFORE_BYTES 256u
#define NET_BEHIND_BYTES 36u
#define NET_ETHERNET_BYTES 14u
/* Sub-allocations that frames leave to answers. */
#define NET_RESERVED 2u
#define NET_NO_SUBALLOCATION 0xffffu

/* One transfer to the guest: ranges that go out, and come back, together. */
struct net_batch {
        struct vmbus_host_channel *channel;
        uint32_t channel_type;
        uint32_t count;
        struct vmbus_transfer_range ranges[VMBUS_HOST_NET_BATCH];
        uint16_t numbers[VMBUS_HOST_NET_BATCH];
};

static inline uint32_t net_u32(const void *bytes, uint32_t offset)
{
        uint32_t value;
        memcpy(&value, (const uint8_t *)bytes + offset, sizeof(value));
        return value;
}

static inline void net_put_u32(void *bytes, uint32_t offset, uint32_t value)
{
        memcpy((uint8_t *)bytes + offset, &value, sizeof(value));
}

static inline uint32_t net_be16(const uint8_t *bytes)
{
        return (uint32_t)bytes[0] << 8 | bytes[1];
}

static inline void net_put_be16(uint8_t *bytes, uint32_t value)
{
        bytes[0] = (uint8_t)(value >> 8);
        bytes[1] = (uint8_t)value;
}

/* Whether a frame can be given to the guest, were there one in the port: there is a sub-allocation
 * for it, and the ring had room when it was looked at last. */
static inline bool net_has_room(const struct vmbus_host_net *net)
{
        return !net->ring_full && net->free_suballocations > NET_RESERVED;
}

/* ---- vmbus_host_net.c ---- */

/* The words of an NVSP message of the version in use. */
static inline uint32_t net_message_words(const struct vmbus_host_net *net)
{
        return net->version >= NVSP_VERSION_6_1 ? NVSP_MESSAGE_WORDS_6_1 : NVSP_MESSAGE_WORDS;
}
/* Answers `packet` with an NVSP message, if it asked for an answer; false: no room, try again. */
bool net_complete(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                  const struct vmbus_incoming *packet, const uint32_t *message);

/* ---- vmbus_host_net_receive.c: to the guest ---- */

void net_receive_reset(struct vmbus_host_net *net);
/* Takes a sub-allocation; false when none is free beyond `reserve`. */
bool net_take(struct vmbus_host_net *net, uint32_t reserve, uint16_t *number);
/* The guest is done with a group: NVSP completion `packet`. */
void net_returned(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                  const struct vmbus_incoming *packet);
/* Sends answers and frames that are waiting, bounded; true: there is more. */
bool net_work(struct vmbus_host_net *net, struct vmbus_host_channel *channel);

/* ---- vmbus_host_net_send.c: from the guest ---- */

/* Message 107; false: no room for the completion, try again. */
bool net_rndis_packet(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                      const struct vmbus_incoming *packet, const uint32_t *message);

/* ---- vmbus_host_net_control.c ---- */

/* One control message in private memory, `bytes` long, its header checked. */
enum nvsp_status net_control(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                             const uint8_t *message, uint32_t bytes);
/* Queues INDICATE_STATUS with `bytes` of buffer; false: no room, and nothing was queued. */
bool net_indicate(struct vmbus_host_net *net, uint32_t status, const void *buffer, uint32_t bytes);
/* Says how the link is, if that is owed; without room it stays owed. */
void net_indicate_link(struct vmbus_host_net *net);

/* ---- vmbus_host_net_oid.c ---- */

/* Fills in what an OID says, up to `capacity` bytes; the RNDIS status. */
uint32_t net_query(struct vmbus_host_net *net, uint32_t oid, uint8_t *target, uint32_t *bytes);
uint32_t net_set(struct vmbus_host_net *net, struct vmbus_host_channel *channel, uint32_t oid,
                 const uint8_t *information, uint32_t bytes);

/* ---- vmbus_host_net_offload.c ---- */

/* What the guest wants done with a frame. */
struct net_wishes {
        bool has_checksum, has_lso, has_vlan;
        uint32_t checksum, lso, vlan; /* as in the per-packet info */
};
/* Does it and gives the frame, or its segments, to the port. `frame` has 8 bytes before it that may
 * be overwritten. False: the headers do not allow it; nothing was sent. */
bool net_offload(struct vmbus_host_net *net, uint8_t *frame, uint32_t bytes,
                 const struct net_wishes *wishes);
/* What a received frame's checksums are worth, as the value of the per-packet info; 0: unknown. */
uint32_t net_check_received(const uint8_t *frame, uint32_t bytes);

#endif
