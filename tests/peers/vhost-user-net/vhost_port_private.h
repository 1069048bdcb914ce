/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vhost_port_private — what vhost_port.c (frames) and vhost_port_socket.c
 * (connections) have in common. */
#ifndef TESTS_PEERS_VHOST_PORT_PRIVATE_H
#define TESTS_PEERS_VHOST_PORT_PRIVATE_H

#include "tests/peers/vhost-user-net/vhost_port.h"

extern const struct net_port_ops vhost_port_ops;

/* Ends the connection, if there is one; `why` is said. */
void vhost_port_disconnect(struct vhost_port *vhost, const char *why);

/* The rest of vhost_port_ops. */
bool vhost_port_must_poll(const struct net_port *port);
void vhost_port_tick(struct net_port *port);
void vhost_port_close(struct net_port *port);

#endif
