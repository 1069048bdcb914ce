/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_responder — a small network of one: a router that leases an address, answers ARP and
 * pings, and pings back. A frame port for a card that has nobody else to talk to.
 *
 *   10.0.2.2  the router; 10.0.2.15  the guest      (as on QEMU's user network)
 *
 * Answers: ARP for every address of the net but the guest's own; ICMP echo to any address; DHCP
 * discover and request; UDP to port 7 (echo). What it cannot make sense of is dropped and counted.
 * Context     as the card's port; no clock: the caller decides when to ping
 * Facts       RFC 826, 791, 792, 768, 862, 2131, 2132 */
#ifndef TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_RESPONDER_H
#define TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_RESPONDER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/peers/vmbus_host/vmbus_host_net.h"

#define VMBUS_HOST_RESPONDER_FRAMES 32u
#define VMBUS_HOST_RESPONDER_SLOT 2048u

#define VMBUS_HOST_RESPONDER_ADDRESS 0x0a000202u /* 10.0.2.2 */
#define VMBUS_HOST_RESPONDER_GUEST 0x0a00020fu   /* 10.0.2.15 */

struct vmbus_host_responder {
        struct vmbus_host_frame_port port; /* for the card's configuration */
        uint8_t guest_mac[6];
        bool leased;
        uint16_t ping_sequence;
        uint32_t pings_sent, pings_answered; /* those of ours */
        uint32_t arp_answered, echo_answered, leases, udp_answered, dropped, overruns;
        uint32_t head, count;
        uint16_t bytes[VMBUS_HOST_RESPONDER_FRAMES];
        uint8_t frames[VMBUS_HOST_RESPONDER_FRAMES][VMBUS_HOST_RESPONDER_SLOT];
};

void vmbus_host_responder_init(struct vmbus_host_responder *responder);

/* Sends the guest one ping of 56 bytes; false while it has no lease, or too much waits for it. */
bool vmbus_host_responder_ping(struct vmbus_host_responder *responder);

#endif
