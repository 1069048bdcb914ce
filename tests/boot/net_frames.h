/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* net_frames — builds and takes apart the few kinds of frames that network tests speak: ARP, ICMP
 * echo, DHCP.
 *
 * Whoever parses hands in a private copy of the frame. parse functions return false for anything
 * that is not whole and exactly what they are for; checksums are verified.
 * Facts       RFC 826 (ARP), 791 (IPv4), 792 (ICMP), 768 (UDP), 2131 and 2132 (DHCP),
 *             1071 (checksum) */
#ifndef TESTS_BOOT_NET_FRAMES_H
#define TESTS_BOOT_NET_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define NET_FRAME_BYTES_MAX 1514
#define NET_FRAME_BYTES_MIN 60 /* shorter ones are padded with zeros */
#define NET_MAC_BYTES 6
#define NET_ETHERTYPE_IPV4 0x0800
#define NET_ETHERTYPE_ARP 0x0806
#define NET_IP(a, b, c, d)                                                                         \
        ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define NET_IP_BROADCAST 0xffffffffu

static const uint8_t net_mac_broadcast[NET_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* A frame under construction or under inspection. */
struct net_frame {
        uint32_t bytes;
        uint8_t data[NET_FRAME_BYTES_MAX];
};

static inline uint16_t net_get16(const uint8_t *at)
{
        return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t net_get32(const uint8_t *at)
{
        return (uint32_t)net_get16(at) << 16 | net_get16(at + 2);
}

static inline void net_put8(struct net_frame *frame, uint8_t value)
{
        frame->data[frame->bytes++] = value;
}

static inline void net_put16(struct net_frame *frame, uint16_t value)
{
        net_put8(frame, (uint8_t)(value >> 8));
        net_put8(frame, (uint8_t)value);
}

static inline void net_put32(struct net_frame *frame, uint32_t value)
{
        net_put16(frame, (uint16_t)(value >> 16));
        net_put16(frame, (uint16_t)value);
}

static inline void net_put_bytes(struct net_frame *frame, const void *bytes, uint32_t count)
{
        memcpy(frame->data + frame->bytes, bytes, count);
        frame->bytes += count;
}

static inline void net_pad(struct net_frame *frame, uint32_t bytes)
{
        while (frame->bytes < bytes)
                net_put8(frame, 0);
}

static inline void net_put_ethernet(struct net_frame *frame, const uint8_t *to, const uint8_t *from,
                                    uint16_t type)
{
        frame->bytes = 0;
        net_put_bytes(frame, to, NET_MAC_BYTES);
        net_put_bytes(frame, from, NET_MAC_BYTES);
        net_put16(frame, type);
}

/* The one's complement sum of 16-bit words, folded; `sum` is what came before. */
static inline uint16_t net_sum(const uint8_t *bytes, uint32_t count, uint32_t sum)
{
        for (uint32_t i = 0; i + 1 < count; i += 2)
                sum += net_get16(bytes + i);
        if (count % 2 != 0)
                sum += (uint32_t)bytes[count - 1] << 8;
        while (sum > 0xffff)
                sum = (sum & 0xffff) + (sum >> 16);
        return (uint16_t)sum;
}

static inline void net_store_checksum(uint8_t *at, uint16_t sum)
{
        at[0] = (uint8_t)(~sum >> 8);
        at[1] = (uint8_t)~sum;
}

/* ---- ARP ---- */

#define NET_ARP_REQUEST 1
#define NET_ARP_REPLY 2

struct net_arp {
        uint16_t operation;
        uint8_t sender_mac[NET_MAC_BYTES], target_mac[NET_MAC_BYTES];
        uint32_t sender_ip, target_ip;
};

static inline void net_build_arp_request(struct net_frame *frame, const uint8_t *our_mac,
                                         uint32_t our_ip, uint32_t whose_ip)
{
        static const uint8_t unknown[NET_MAC_BYTES];
        net_put_ethernet(frame, net_mac_broadcast, our_mac, NET_ETHERTYPE_ARP);
        net_put16(frame, 1); /* Ethernet */
        net_put16(frame, NET_ETHERTYPE_IPV4);
        net_put8(frame, NET_MAC_BYTES);
        net_put8(frame, 4);
        net_put16(frame, NET_ARP_REQUEST);
        net_put_bytes(frame, our_mac, NET_MAC_BYTES);
        net_put32(frame, our_ip);
        net_put_bytes(frame, unknown, NET_MAC_BYTES);
        net_put32(frame, whose_ip);
        net_pad(frame, NET_FRAME_BYTES_MIN);
}

static inline bool net_parse_arp(const struct net_frame *frame, struct net_arp *arp)
{
        const uint8_t *at = frame->data + 14;
        if (frame->bytes < 14 + 28 || net_get16(frame->data + 12) != NET_ETHERTYPE_ARP ||
            net_get16(at) != 1 || net_get16(at + 2) != NET_ETHERTYPE_IPV4 ||
            at[4] != NET_MAC_BYTES || at[5] != 4)
                return false;
        arp->operation = net_get16(at + 6);
        memcpy(arp->sender_mac, at + 8, NET_MAC_BYTES);
        arp->sender_ip = net_get32(at + 14);
        memcpy(arp->target_mac, at + 18, NET_MAC_BYTES);
        arp->target_ip = net_get32(at + 24);
        return true;
}

/* ---- IPv4 ---- */

#define NET_PROTOCOL_ICMP 1
#define NET_PROTOCOL_UDP 17

struct net_ip {
        uint8_t protocol;
        uint32_t from, to;
        const uint8_t *payload;
        uint32_t payload_bytes;
};

/* Appends a header for `payload_bytes` that are to follow. */
static inline void net_put_ip(struct net_frame *frame, uint8_t protocol, uint32_t from, uint32_t to,
                              uint32_t payload_bytes)
{
        uint8_t *header = frame->data + frame->bytes;
        net_put16(frame, 0x4500); /* version 4, 5 words; ordinary service */
        net_put16(frame, (uint16_t)(20 + payload_bytes));
        net_put32(frame, 0); /* identification; not a fragment */
        net_put8(frame, 64); /* hops */
        net_put8(frame, protocol);
        net_put16(frame, 0);
        net_put32(frame, from);
        net_put32(frame, to);
        net_store_checksum(header + 10, net_sum(header, 20, 0));
}

static inline bool net_parse_ip(const struct net_frame *frame, struct net_ip *ip)
{
        const uint8_t *header = frame->data + 14;
        if (frame->bytes < 14 + 20 || net_get16(frame->data + 12) != NET_ETHERTYPE_IPV4 ||
            header[0] >> 4 != 4)
                return false;
        uint32_t header_bytes = (header[0] & 15u) * 4, total = net_get16(header + 2);
        if (header_bytes < 20 || total < header_bytes || total > frame->bytes - 14 ||
            (net_get16(header + 6) & 0x3fff) != 0 || /* a fragment */
            net_sum(header, header_bytes, 0) != 0xffff)
                return false;
        *ip = (struct net_ip){.protocol = header[9], .from = net_get32(header + 12),
                              .to = net_get32(header + 16), .payload = header + header_bytes,
                              .payload_bytes = total - header_bytes};
        return true;
}

/* What UDP sums up before its own bytes. */
static inline uint32_t net_pseudo_sum(const struct net_ip *ip)
{
        return (ip->from >> 16) + (ip->from & 0xffff) + (ip->to >> 16) + (ip->to & 0xffff) +
               ip->protocol + ip->payload_bytes;
}

/* ---- ICMP echo ---- */

#define NET_ICMP_ECHO_REQUEST 8
#define NET_ICMP_ECHO_REPLY 0

struct net_echo {
        uint8_t type;
        uint16_t id, sequence;
        const uint8_t *data;
        uint32_t data_bytes;
};

/* Appends an echo request with `data_bytes` of the pattern sequence + i. */
static inline void net_put_echo_request(struct net_frame *frame, uint16_t id, uint16_t sequence,
                                        uint32_t data_bytes)
{
        uint8_t *message = frame->data + frame->bytes;
        net_put16(frame, NET_ICMP_ECHO_REQUEST << 8);
        net_put16(frame, 0);
        net_put16(frame, id);
        net_put16(frame, sequence);
        for (uint32_t i = 0; i < data_bytes; i++)
                net_put8(frame, (uint8_t)(sequence + i));
        net_store_checksum(message + 2, net_sum(message, 8 + data_bytes, 0));
}

static inline bool net_parse_echo(const struct net_ip *ip, struct net_echo *echo)
{
        if (ip->protocol != NET_PROTOCOL_ICMP || ip->payload_bytes < 8 ||
            net_sum(ip->payload, ip->payload_bytes, 0) != 0xffff || ip->payload[1] != 0)
                return false;
        *echo = (struct net_echo){.type = ip->payload[0], .id = net_get16(ip->payload + 4),
                                  .sequence = net_get16(ip->payload + 6), .data = ip->payload + 8,
                                  .data_bytes = ip->payload_bytes - 8};
        return true;
}

/* ---- DHCP ---- */

#define NET_DHCP_SERVER_PORT 67
#define NET_DHCP_CLIENT_PORT 68
#define NET_DHCP_COOKIE 0x63825363u
#define NET_DHCP_DISCOVER 1
#define NET_DHCP_OFFER 2
#define NET_DHCP_FIXED_BYTES 236 /* before the cookie */
#define NET_DHCP_BYTES_MIN 300   /* of the whole message, as old relays want it */
#define NET_DHCP_OPTION_MASK 1
#define NET_DHCP_OPTION_ROUTER 3
#define NET_DHCP_OPTION_TYPE 53
#define NET_DHCP_OPTION_SERVER 54
#define NET_DHCP_OPTION_WANTED 55
#define NET_DHCP_OPTION_END 255

struct net_dhcp {
        uint8_t operation, type;
        uint32_t id, offered_ip, server_ip, router_ip, mask;
        uint8_t client_mac[NET_MAC_BYTES];
};

static inline void net_build_dhcp_discover(struct net_frame *frame, const uint8_t *our_mac,
                                           uint32_t id)
{
        net_put_ethernet(frame, net_mac_broadcast, our_mac, NET_ETHERTYPE_IPV4);
        net_put_ip(frame, NET_PROTOCOL_UDP, 0, NET_IP_BROADCAST, 8 + NET_DHCP_BYTES_MIN);
        net_put16(frame, NET_DHCP_CLIENT_PORT);
        net_put16(frame, NET_DHCP_SERVER_PORT);
        net_put16(frame, 8 + NET_DHCP_BYTES_MIN);
        net_put16(frame, 0); /* no checksum */
        uint32_t start = frame->bytes;
        net_put16(frame, 1 << 8 | 1);          /* request, Ethernet */
        net_put16(frame, NET_MAC_BYTES << 8);  /* 0 hops */
        net_put32(frame, id);
        net_put32(frame, 0x8000); /* no seconds; answer by broadcast: we have no address */
        net_pad(frame, start + 28);
        net_put_bytes(frame, our_mac, NET_MAC_BYTES);
        net_pad(frame, start + NET_DHCP_FIXED_BYTES);
        net_put32(frame, NET_DHCP_COOKIE);
        net_put8(frame, NET_DHCP_OPTION_TYPE);
        net_put16(frame, 1 << 8 | NET_DHCP_DISCOVER);
        net_put8(frame, NET_DHCP_OPTION_WANTED);
        net_put8(frame, 2);
        net_put8(frame, NET_DHCP_OPTION_MASK);
        net_put8(frame, NET_DHCP_OPTION_ROUTER);
        net_put8(frame, NET_DHCP_OPTION_END);
        net_pad(frame, start + NET_DHCP_BYTES_MIN);
}

/* Walks the options; false when one leaves the message. */
static inline bool net_parse_dhcp_options(const uint8_t *at, const uint8_t *end,
                                          struct net_dhcp *dhcp)
{
        while (at < end && *at != NET_DHCP_OPTION_END) {
                if (*at == 0) { /* padding */
                        at++;
                        continue;
                }
                if (end - at < 2 || at[1] > end - at - 2)
                        return false;
                if (at[0] == NET_DHCP_OPTION_TYPE && at[1] == 1)
                        dhcp->type = at[2];
                else if (at[0] == NET_DHCP_OPTION_SERVER && at[1] == 4)
                        dhcp->server_ip = net_get32(at + 2);
                else if (at[0] == NET_DHCP_OPTION_ROUTER && at[1] >= 4)
                        dhcp->router_ip = net_get32(at + 2);
                else if (at[0] == NET_DHCP_OPTION_MASK && at[1] == 4)
                        dhcp->mask = net_get32(at + 2);
                at += 2 + at[1];
        }
        return at < end; /* there was an end mark */
}

/* A DHCP message from a server to a client, cookie and all. */
static inline bool net_parse_dhcp(const struct net_ip *ip, struct net_dhcp *dhcp)
{
        const uint8_t *udp = ip->payload, *message = udp + 8;
        if (ip->protocol != NET_PROTOCOL_UDP || ip->payload_bytes < 8)
                return false;
        uint32_t bytes = net_get16(udp + 4);
        if (bytes < 8 + NET_DHCP_FIXED_BYTES + 4 || bytes > ip->payload_bytes ||
            net_get16(udp) != NET_DHCP_SERVER_PORT || net_get16(udp + 2) != NET_DHCP_CLIENT_PORT)
                return false;
        if (net_get16(udp + 6) != 0 && net_sum(udp, bytes, net_pseudo_sum(ip)) != 0xffff)
                return false;
        if (net_get32(message + NET_DHCP_FIXED_BYTES) != NET_DHCP_COOKIE)
                return false;
        *dhcp = (struct net_dhcp){.operation = message[0], .id = net_get32(message + 4),
                                  .offered_ip = net_get32(message + 16)};
        memcpy(dhcp->client_mac, message + 28, NET_MAC_BYTES);
        return net_parse_dhcp_options(message + NET_DHCP_FIXED_BYTES + 4, udp + bytes, dhcp);
}

#endif
