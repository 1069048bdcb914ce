/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* fabric — what happens between the ports: where each frame goes.
 *
 *   switch    to the port behind which its destination address was last seen as a source; to all
 *             others when that is not known, or when it is a group address
 *   echo, macswap, discard   no way from port to port: back as it is, back with its two addresses
 *             exchanged, nowhere
 *
 * A frame for which its receiver has no room waits, and with it everything behind it, when there is
 * one receiver only (a wire must not lose what the other side can wait for); for a while: then, and
 * with more receivers at once, it is dropped and counted.
 *
 * Owner       of the batches; ports and capture file stay the caller's
 * Context     one thread
 * Facts       IEEE 802.1D (learning), as far as a small switch goes: no ageing, no spanning tree */
#ifndef TESTS_PEERS_FABRIC_H
#define TESTS_PEERS_FABRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "tests/peers/vhost-user-net/net_port.h"
#include "tests/peers/vhost-user-net/pcap_file.h"

#define FABRIC_PORTS_MAX 16u
#define FABRIC_ADDRESSES 1024u /* places for learned addresses; a power of two */
#define FABRIC_STALL_NS 100000000ull

enum fabric_mode { FABRIC_SWITCH, FABRIC_ECHO, FABRIC_MACSWAP, FABRIC_DISCARD };
enum fabric_when_full { FABRIC_FULL_AUTO, FABRIC_FULL_WAIT, FABRIC_FULL_DROP };

struct fabric_address {
        uint64_t address; /* 48 bits; 0: none */
        struct net_port *port;
};

struct fabric {
        enum fabric_mode mode;
        enum fabric_when_full when_full;
        struct pcap_file *capture; /* NULL: none */
        struct net_port *ports[FABRIC_PORTS_MAX];
        size_t ports_count;
        struct fabric_address addresses[FABRIC_ADDRESSES];
};

/* Adds a port; false: no room, or no memory. */
bool MUST_CHECK fabric_add(struct fabric *fabric, struct net_port *port);

/* Moves frames once from every port; false: nothing moved. */
bool fabric_run(struct fabric *fabric);

/* Before sleeping: false when every port will wake us; true: there is work. */
bool MUST_CHECK fabric_ask(struct fabric *fabric);

/* Whether somebody waits for room, so that time matters. */
bool fabric_stalled(const struct fabric *fabric);

/* Gives up what waits, so that nothing is in the works. */
void fabric_fini(struct fabric *fabric);

#endif
