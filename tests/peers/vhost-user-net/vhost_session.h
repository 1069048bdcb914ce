/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vhost_session — one connection to a front end: what was negotiated, its memory, its rings; and
 * what each message does to them.
 *
 * Every message is checked before it does anything: number known and negotiated, length,
 * descriptors, then its values by its own handler. The first one that is wrong ends the connection
 * with a line that says which message and why.
 *
 * Owner       everything that came over the connection: it all ends with vhost_session_close()
 * Peer        the front end (this file's matter); the driver behind it (virtqueue_device's)
 * Context     one thread; between batches, when no chain is in the works
 * Non-goals   logging of dirty pages (live migration), IOTLB messages, in-flight buffers,
 *             descriptors from us to the front end
 * Facts       docs/interop/vhost-user.rst of QEMU 7.2; spec/virtio.md, 13 */
#ifndef TESTS_PEERS_VHOST_SESSION_H
#define TESTS_PEERS_VHOST_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "tests/peers/vhost-user-net/poller.h"
#include "tests/peers/vhost-user-net/vhost_channel.h"
#include "tests/peers/vhost-user-net/vhost_memory.h"
#include "tests/peers/vhost-user-net/vhost_vring.h"

#define VHOST_PAIRS_MAX 64u
#define VHOST_RINGS_MAX (2 * VHOST_PAIRS_MAX)
#define VHOST_NET_CONFIG_BYTES 12u

/* What is on offer; the same for all connections of a port. */
struct vhost_offer {
        uint64_t features;
        uint64_t protocol_features;
        uint32_t pairs;                         /* 1..VHOST_PAIRS_MAX */
        uint8_t config[VHOST_NET_CONFIG_BYTES]; /* for GET_CONFIG: the device's configuration */
};

struct vhost_kick_watch {
        struct poller_watch watch;
        struct vhost_vring *ring;
};

struct vhost_session {
        const char *name; /* for messages */
        const struct vhost_offer *offer;
        struct poller *poller;
        bool open;
        bool verbose;
        struct vhost_channel channel;
        struct vhost_memory memory;
        uint64_t features, protocol_features;
        uint32_t mtu;        /* as NET_SET_MTU said; 0: it did not */
        uint32_t rings_used; /* one more than the highest ring that was spoken of */
        struct vhost_vring rings[VHOST_RINGS_MAX];
        struct vhost_kick_watch kicks[VHOST_RINGS_MAX];
        uint64_t messages;
        uint64_t broken_rings;
};

/* Once, before the first connection; `name` and `offer` are kept. */
void vhost_session_init(struct vhost_session *session, const char *name,
                        const struct vhost_offer *offer, struct poller *poller);

/* Takes over a connected socket; the session is closed. */
void vhost_session_open(struct vhost_session *session, int socket);

/* Ends the connection: everything of it is given back. `why`: NULL, or what is said of it. */
void vhost_session_close(struct vhost_session *session, const char *why);

/* Handles what has come. Afterwards the session may be closed. */
void vhost_session_receive(struct vhost_session *session);

/* Whether some ring runs whose driver does not kick. */
bool vhost_session_must_poll(const struct vhost_session *session);

static inline bool vhost_session_has(const struct vhost_session *session, int feature_bit)
{
        return (session->features & BIT_MASK(feature_bit)) != 0;
}

/* Ring 2 k receives (from the driver's view), ring 2 k + 1 transmits. */
static inline struct vhost_vring *vhost_session_receive_ring(struct vhost_session *session,
                                                             uint32_t pair)
{
        return &session->rings[2 * pair];
}

static inline struct vhost_vring *vhost_session_transmit_ring(struct vhost_session *session,
                                                              uint32_t pair)
{
        return &session->rings[2 * pair + 1];
}

#endif
