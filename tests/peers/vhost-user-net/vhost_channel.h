/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vhost_channel — vhost-user messages over a unix socket: one at a time, whole, with their file
 * descriptors, without ever waiting for the other side.
 *
 * Owner       the socket, the descriptors of a message that has not been handed over or not been
 *             taken, and the storage are the channel's. Whoever takes a descriptor sets its place
 *             to -1
 * Peer        the front end; of what it sends only the frame is judged here (version, length,
 *             number of descriptors): what is in a payload is vhost_session's
 * Context     one thread
 * Facts       docs/interop/vhost-user.rst of QEMU 7.2; unix(7) */
#ifndef TESTS_PEERS_VHOST_CHANNEL_H
#define TESTS_PEERS_VHOST_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "tests/peers/vhost-user-net/vhost_wire.h"

#define VHOST_WHY_BYTES 160

struct vhost_message {
        struct vhost_header header;
        union vhost_payload payload;
        int fds[VHOST_FDS_MAX]; /* the first fds_count; -1: taken */
        uint32_t fds_count;
};

struct vhost_channel {
        int socket;
        uint32_t received_bytes; /* of the message under way, header included */
        struct vhost_message message;
};

enum vhost_channel_result {
        VHOST_CHANNEL_MESSAGE, /* channel->message is whole */
        VHOST_CHANNEL_AGAIN,   /* not yet */
        VHOST_CHANNEL_CLOSED,  /* the front end has gone, between two messages */
        VHOST_CHANNEL_BROKEN,  /* what came is no message; `why` says what is wrong */
};

/* Takes over a connected socket. */
void vhost_channel_open(struct vhost_channel *channel, int socket);

/* Closes the socket and what is left of a message's descriptors. */
void vhost_channel_close(struct vhost_channel *channel);

/* Reads on until a message is whole. After VHOST_CHANNEL_MESSAGE the caller looks at it and calls
 * vhost_channel_release() before the next call.
 *   why   VHOST_WHY_BYTES; written with VHOST_CHANNEL_BROKEN */
enum vhost_channel_result MUST_CHECK vhost_channel_receive(struct vhost_channel *channel,
                                                           char *why);

/* Closes the descriptors that nobody took. */
void vhost_channel_release(struct vhost_channel *channel);

/* Answers the message at hand; false: the front end does not read, or has gone. */
bool MUST_CHECK vhost_channel_reply(struct vhost_channel *channel, const void *payload,
                                    uint32_t bytes);

#endif
