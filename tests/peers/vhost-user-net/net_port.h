/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* net_port — one end of the program's network: something that frames come from and go to.
 *
 * Kinds: vhost_port.c (a front end), tap_port.c (a tap of this host), responder_port.c (an
 * answering host that exists only here).
 *
 * Owner       whoever made it; the fabric keeps a pointer
 * Context     one thread */
#ifndef TESTS_PEERS_NET_PORT_H
#define TESTS_PEERS_NET_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"
#include "tests/peers/vhost-user-net/net_frame.h"

#define NET_PORT_NAME_BYTES 128

struct net_port;

enum net_delivery {
        NET_DELIVERED,
        NET_FULL,    /* it takes frames, but not now; nothing has changed */
        NET_DROPPED, /* it does not take this one, or none at all; counted */
};

struct net_port_ops {
        /* Adds frames that have come to `batch`, which is empty. */
        void (*take)(struct net_port *port, struct net_batch *batch);
        /* `frame` may be changed so that it fits; it stays a good frame for others. */
        enum net_delivery (*deliver)(struct net_port *port, struct net_frame_place *frame);
        /* Makes visible what was delivered and what was taken. */
        void (*flush)(struct net_port *port);
        /* Before the program sleeps: sees to it that it wakes when frames come (ask_source) or
         * when there may be room again (ask_sink); true: that is so already. */
        bool (*ask_source)(struct net_port *port);
        bool (*ask_sink)(struct net_port *port);
        /* Nobody tells when frames come: the program must not sleep. */
        bool (*must_poll)(const struct net_port *port);
        /* Once a second. */
        void (*tick)(struct net_port *port);
        void (*close)(struct net_port *port);
};

struct net_port_counters {
        uint64_t frames_in, bytes_in;   /* taken from it */
        uint64_t frames_out, bytes_out; /* delivered to it */
        uint64_t dropped_full;          /* no room for them */
        uint64_t dropped_down;          /* nobody there */
        uint64_t dropped_offload;       /* to be segmented, which the receiver cannot take */
        uint64_t dropped_large;         /* longer than its receive buffers */
        uint64_t bad_frames;            /* came with a wrong header; not let in */
        uint64_t discarded;             /* taken and given to nobody, as told */
};

struct net_port {
        const struct net_port_ops *ops;
        char name[NET_PORT_NAME_BYTES];
        struct net_port_counters counters;
        /* The fabric's: */
        struct net_batch *batch;     /* frames taken from it, not all delivered */
        struct net_port *stalled_on; /* who has no room for the next of them; NULL: nobody */
        uint64_t stalled_since_ns;
        bool touched;                /* to be flushed */
};

#endif
