/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* bridge — what is behind the card: the built-in responder, QEMU's socket network, or a tap.
 *
 * The socket is what `qemu -netdev stream` and `-netdev socket` speak: each frame has its length
 * before it, 4 bytes, big-endian; or, with dgram=, one frame a datagram. A peer that does not read
 * loses frames, as on a wire. Errors: a sentence on the standard error, and false. */
#ifndef TESTS_PEERS_VMBUS_HOST_PROGRAM_BRIDGE_H
#define TESTS_PEERS_VMBUS_HOST_PROGRAM_BRIDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/peers/vmbus_host/vmbus_host_responder.h"

#define BRIDGE_FRAME_BYTES_MAX 65536u

struct bridge {
        struct vmbus_host_frame_port port;
        struct vmbus_host_responder responder;
        bool responds; /* the responder is the network */
        int file;      /* tap or socket; -1: none */
        bool stream;
        char *local_path; /* of a datagram socket, to be removed */
        uint32_t have; /* bytes of `gathered` */
        uint64_t lost;
        uint8_t gathered[BRIDGE_FRAME_BYTES_MAX + 4];
};

/* Connects to `network`: responder, none, tap=IF, socket=/PATH, socket=HOST:PORT, dgram=/PATH (our
 * own socket is PATH.vmbus-host then). */
bool bridge_start(struct bridge *bridge, const char *network);
void bridge_stop(struct bridge *bridge);

#endif
