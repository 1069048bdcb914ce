/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* responder_port — a port of the fabric behind which there is a host that exists only here: it
 * answers ARP and ICMP echo, and hands out addresses by DHCP. For guests whose only need is that
 * somebody answers.
 *
 * Its addresses are laid out as those of QEMU's user network: with 10.0.2.2/24 the first client
 * gets 10.0.2.15, and the host says that it is the router.
 *
 * Peer        whoever sends frames: each is parsed within its bounds, and what is not whole, or not
 *             for us, is not answered
 * Facts       RFC 826 (ARP), 791, 792 (ICMP), 768, 2131 and 2132 (DHCP) */
#ifndef TESTS_PEERS_RESPONDER_PORT_H
#define TESTS_PEERS_RESPONDER_PORT_H

#include "base/compiler.h"
#include "tests/peers/vhost-user-net/net_port.h"

/* Makes one from "A.B.C.D/BITS"; NULL, with a line on the standard error output: that is none. */
struct net_port *responder_port_new(const char *address);

#endif
