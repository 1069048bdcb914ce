/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Headers of frames, judged and honoured; see net_frame.h. Facts: Virtio 1.3, 5.1.6.2 and 5.1.6.4;
 * spec/virtio.md, 9.4 and 10 (item 11). */
#include "tests/peers/vhost-user-net/net_frame.h"

#include <string.h>

#include "tests/peers/net_bytes.h"

#define IP_VERSION_SHIFT 4
#define ETHERTYPE_OFFSET 12u
#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86ddu
#define IPV4_ADDRESSES_OFFSET 12u
#define IPV4_PROTOCOL_OFFSET 9u
#define IPV4_FRAGMENT_MASK 0x3fffu
#define IPV6_ADDRESSES_OFFSET 8u
#define PROTOCOL_TCP 6u
#define PROTOCOL_UDP 17u

/* The feature that lets a driver send this type; the feature that makes one take it is below. */
static int host_bit(uint8_t gso_type)
{
        switch (gso_type) {
        case NET_GSO_TCPV4: return NET_F_HOST_TSO4_BIT;
        case NET_GSO_TCPV6: return NET_F_HOST_TSO6_BIT;
        case NET_GSO_UDP: return NET_F_HOST_UFO_BIT;
        case NET_GSO_UDP_L4: return NET_F_HOST_USO_BIT;
        default: return -1;
        }
}

/* Both bits must be there for UDP segments: the header does not say which IP it is. */
static uint64_t guest_mask(uint8_t gso_type)
{
        switch (gso_type) {
        case NET_GSO_TCPV4: return BIT_MASK(NET_F_GUEST_TSO4_BIT);
        case NET_GSO_TCPV6: return BIT_MASK(NET_F_GUEST_TSO6_BIT);
        case NET_GSO_UDP: return BIT_MASK(NET_F_GUEST_UFO_BIT);
        default: return BIT_MASK(NET_F_GUEST_USO4_BIT) | BIT_MASK(NET_F_GUEST_USO6_BIT);
        }
}

static enum net_frame_fault check_gso(const struct net_header *header, uint32_t bytes,
                                      uint64_t features)
{
        uint8_t type = header->gso_type & (uint8_t)~BIT_MASK(NET_GSO_ECN_BIT);
        int bit = host_bit(type);
        if (bit < 0 || !(features & BIT_MASK(bit)))
                return NET_FRAME_GSO_TYPE;
        if (header->gso_type & BIT_MASK(NET_GSO_ECN_BIT) &&
            !(features & BIT_MASK(NET_F_HOST_ECN_BIT)))
                return NET_FRAME_GSO_TYPE;
        if (header->gso_bytes == 0 || !(header->flags & BIT_MASK(NET_NEEDS_CSUM_BIT)))
                return NET_FRAME_GSO_SIZE;
        return header->header_bytes > bytes ? NET_FRAME_HEADER_BYTES : NET_FRAME_GOOD;
}

enum net_frame_fault net_frame_check(const struct net_header *header, uint32_t bytes,
                                     uint64_t features)
{
        if (LIKELY((header->flags | header->gso_type) == 0))
                return NET_FRAME_GOOD;
        if (header->flags & ~BIT_MASK(NET_NEEDS_CSUM_BIT) ||
            (header->flags != 0 && !(features & BIT_MASK(NET_F_CSUM_BIT))))
                return NET_FRAME_FLAGS;
        if (header->flags != 0 &&
            (uint32_t)header->csum_start + header->csum_offset + sizeof(uint16_t) > bytes)
                return NET_FRAME_CSUM_RANGE;
        return header->gso_type == NET_GSO_NONE ? NET_FRAME_GOOD :
                                                  check_gso(header, bytes, features);
}

const char *net_frame_fault_name(enum net_frame_fault fault)
{
        static const char *const names[NET_FRAME_FAULT_COUNT] = {
                [NET_FRAME_GOOD] = "good",
                [NET_FRAME_SHORT] = "shorter than its headers",
                [NET_FRAME_LONG] = "longer than any frame",
                [NET_FRAME_FLAGS] = "flags that were not negotiated",
                [NET_FRAME_CSUM_RANGE] = "checksum outside the frame",
                [NET_FRAME_GSO_TYPE] = "segmentation that was not negotiated",
                [NET_FRAME_GSO_SIZE] = "segments of no size, or without checksum",
                [NET_FRAME_HEADER_BYTES] = "headers longer than the frame",
        };
        return (unsigned)fault < NET_FRAME_FAULT_COUNT ? names[fault] : "?";
}

void net_frame_complete_checksum(struct net_frame_place *frame)
{
        struct net_header *header = net_frame_header(frame);
        if (!(header->flags & BIT_MASK(NET_NEEDS_CSUM_BIT)))
                return;
        uint16_t checksum = internet_checksum(frame->data + header->csum_start,
                                              frame->bytes - header->csum_start);
        if (checksum == 0) /* in UDP 0 means none; in TCP both are the same number */
                checksum = UINT16_MAX;
        put16(frame->data + header->csum_start + header->csum_offset, checksum);
        header->flags = 0;
        header->csum_start = header->csum_offset = 0;
}

bool net_frame_adapt(struct net_frame_place *frame, uint64_t features)
{
        struct net_header *header = net_frame_header(frame);
        if (LIKELY((header->flags | header->gso_type) == 0))
                return true;
        if (header->gso_type != NET_GSO_NONE) {
                uint8_t type = header->gso_type & (uint8_t)~BIT_MASK(NET_GSO_ECN_BIT);
                uint64_t needed = guest_mask(type) | BIT_MASK(NET_F_GUEST_CSUM_BIT);
                if (header->gso_type != type)
                        needed |= BIT_MASK(NET_F_GUEST_ECN_BIT);
                return (features & needed) == needed;
        }
        if (!(features & BIT_MASK(NET_F_GUEST_CSUM_BIT)))
                net_frame_complete_checksum(frame);
        return true;
}

/* Mixes `bytes` bytes into `hash` (FNV-1a by words). */
static uint32_t mix(uint32_t hash, const uint8_t *at, uint32_t bytes)
{
        for (uint32_t i = 0; i < bytes; i++)
                hash = (hash ^ at[i]) * 0x01000193u;
        return hash;
}

uint32_t net_frame_flow(const struct net_frame_place *frame)
{
        const uint8_t *ip = frame->data + ETHERNET_HEADER_BYTES;
        uint32_t bytes = frame->bytes - ETHERNET_HEADER_BYTES, hash = 0x811c9dc5u;
        uint32_t type = get16(frame->data + ETHERTYPE_OFFSET);
        if (type == ETHERTYPE_IPV4 && bytes >= 40 && ip[0] >> IP_VERSION_SHIFT == 4) {
                uint32_t header_bytes = (ip[0] & 15u) * 4;
                uint8_t protocol = ip[IPV4_PROTOCOL_OFFSET];
                hash = mix(hash, ip + IPV4_ADDRESSES_OFFSET, 8);
                if ((protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP) &&
                    !(get16(ip + 6) & IPV4_FRAGMENT_MASK) && header_bytes + 4 <= bytes)
                        hash = mix(hash, ip + header_bytes, 4);
                return hash;
        }
        if (type == ETHERTYPE_IPV6 && bytes >= 44)
                return mix(mix(hash, ip + IPV6_ADDRESSES_OFFSET, 32), ip + 40, 4);
        return mix(hash, frame->data, 2 * ETHERNET_ADDRESS_BYTES);
}
