/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vhost_port — a port of the fabric that is a vhost-user front end: its socket, its session,
 * and the frames in its rings.
 *
 * Listens on a socket, or connects to one (again and again, once a second); one front end at a
 * time, and after it has gone the next.
 *
 * Owner       of the socket's file, the session, and everything below
 * Context     one thread
 * Facts       Virtio 1.3, 5.1.6; spec/virtio.md, 9.4, 9.5, 10 (items 11, 12) */
#ifndef TESTS_PEERS_VHOST_PORT_H
#define TESTS_PEERS_VHOST_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "tests/peers/vhost-user-net/net_port.h"
#include "tests/peers/vhost-user-net/vhost_session.h"

#define VHOST_PORT_PATH_BYTES 108u /* of a socket's address, with the end mark */
#define VHOST_PORT_CHAINS_MAX 1024u /* receive buffers for one frame */
#define VHOST_PORT_FRAMES 32u       /* taken from a ring before the next one has its turn */

/* Receive buffers that were popped ahead, of one ring: [first, popped) of requests. Only during a
 * batch: what is left is put back with its end, or when the next frame is for another ring. */
struct vhost_port_stock {
        struct vhost_vring *ring; /* NULL: there is none */
        uint32_t first, popped;
        uint32_t elements; /* of the ring's, in use */
        struct virtqueue_request requests[VHOST_PORT_CHAINS_MAX];
};

struct vhost_port {
        struct net_port port; /* first */
        char path[VHOST_PORT_PATH_BYTES];
        bool connects;
        bool refused_said;
        int listener; /* -1: none */
        struct poller_watch listener_watch, channel_watch;
        struct poller *poller;
        struct vhost_session session;
        uint32_t turn; /* the pair whose transmit ring is looked at first */
        uint64_t sessions;
        struct virtqueue_request taken[VHOST_PORT_FRAMES];
        struct vhost_port_stock stock;
};

/* Makes a port; false, with a line on the standard error output: the socket cannot be had.
 *   path   kept */
struct vhost_port *vhost_port_new(const char *path, bool connects, const struct vhost_offer *offer,
                                  struct poller *poller);

#endif
