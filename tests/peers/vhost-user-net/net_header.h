/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* net_header — what a virtio network device and its driver say of a frame, and the features that
 * decide what they may say.
 *
 * Facts       Virtio 1.3, 5.1.3, 5.1.6; spec/virtio.md, 2, 9.3, 9.4 */
#ifndef TESTS_PEERS_NET_HEADER_H
#define TESTS_PEERS_NET_HEADER_H

#include <stdint.h>

#include "base/bytes.h"

/* Feature bits of the device. */
#define NET_F_CSUM_BIT 0
#define NET_F_GUEST_CSUM_BIT 1
#define NET_F_MTU_BIT 3
#define NET_F_MAC_BIT 5
#define NET_F_GUEST_TSO4_BIT 7
#define NET_F_GUEST_TSO6_BIT 8
#define NET_F_GUEST_ECN_BIT 9
#define NET_F_GUEST_UFO_BIT 10
#define NET_F_HOST_TSO4_BIT 11
#define NET_F_HOST_TSO6_BIT 12
#define NET_F_HOST_ECN_BIT 13
#define NET_F_HOST_UFO_BIT 14
#define NET_F_MRG_RXBUF_BIT 15
#define NET_F_MQ_BIT 22
#define NET_F_GUEST_USO4_BIT 54
#define NET_F_GUEST_USO6_BIT 55
#define NET_F_HOST_USO_BIT 56

/* Feature bits of rings and transports. */
#define NET_F_INDIRECT_BIT 28
#define NET_F_EVENT_INDEX_BIT 29
#define NET_F_VERSION_1_BIT 32
#define NET_F_PACKED_BIT 34
#define NET_F_IN_ORDER_BIT 35

#define NET_HEADER_BYTES 12u        /* with VERSION_1 or MRG_RXBUF */
#define NET_HEADER_LEGACY_BYTES 10u /* without both: no num_buffers */

/* Bits of the header's flags. */
#define NET_NEEDS_CSUM_BIT 0
#define NET_DATA_VALID_BIT 1

enum net_gso {
        NET_GSO_NONE = 0,
        NET_GSO_TCPV4 = 1,
        NET_GSO_UDP = 3, /* fragments */
        NET_GSO_TCPV6 = 4,
        NET_GSO_UDP_L4 = 5,
};
#define NET_GSO_ECN_BIT 7

struct net_header {
        uint8_t flags;
        uint8_t gso_type;
        uint16_t header_bytes;
        uint16_t gso_bytes;
        uint16_t csum_start;
        uint16_t csum_offset;
        uint16_t buffers;
};

_Static_assert(sizeof(struct net_header) == NET_HEADER_BYTES, "shared with the driver");

#define ETHERNET_HEADER_BYTES 14u
#define ETHERNET_ADDRESS_BYTES 6u
/* The longest that an IP packet of 65535 bytes and two VLAN tags need. */
#define NET_FRAME_BYTES_MAX (65535u + ETHERNET_HEADER_BYTES + 8u)

#endif
