/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* tap_port — a port of the fabric that is a tap of this host's kernel, with virtio headers, so that
 * checksums and segmentation stay undone on the way when both ends can do without.
 *
 * Facts       Documentation/networking/tuntap.rst of Linux; its uapi header linux/if_tun.h */
#ifndef TESTS_PEERS_TAP_PORT_H
#define TESTS_PEERS_TAP_PORT_H

#include "base/compiler.h"
#include "tests/peers/vhost-user-net/net_port.h"
#include "tests/peers/vhost-user-net/poller.h"

/* Opens the tap `name`, which is made if it is not there (that needs CAP_NET_ADMIN). NULL, with a
 * line on the standard error output: it cannot be had. */
struct net_port *tap_port_new(const char *name, struct poller *poller);

/* Tells the kernel what those who get the tap's frames can take (GUEST_CSUM, GUEST_TSO4...). */
void tap_port_set_offloads(struct net_port *port, uint64_t features);

#endif
