/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_net_offload — what the card does to frames for its guest: checksums, segments, tags.
 * Facts: spec/vmbus.md, f.6; RFC 791, 8200 (IP), 9293 (TCP), 768 (UDP), 1071 (checksum); IEEE
 * 802.1Q. The frame is private memory; its headers are the guest's, so every offset is checked. */
#include "tests/peers/vmbus_host/vmbus_host_net_internal.h"

#define ETHERTYPE_IPV4 0x0800u
#define ETHERTYPE_IPV6 0x86ddu
#define ETHERTYPE_VLAN 0x8100u
#define IPV4_BYTES_MIN 20u
#define IPV6_BYTES 40u
#define TCP_BYTES_MIN 20u
#define UDP_BYTES 8u
#define PROTOCOL_TCP 6u
#define PROTOCOL_UDP 17u
#define TCP_CHECKSUM_AT 16u
#define UDP_CHECKSUM_AT 6u
#define IPV4_CHECKSUM_AT 10u
#define TCP_FLAG_FIN_PSH 0x09u
#define TCP_FLAG_CWR 0x80u
#define FRAGMENT_MASK 0x3fffu /* more fragments, or an offset */
/* Ethernet, IPv4 with options, TCP with options. */
#define HEADERS_BYTES_MAX (14u + 60u + 60u)
#define TAG_BYTES 4u

/* Where the layers of a frame begin. */
struct layers {
        uint32_t ip, transport;
        uint32_t end; /* of the IP packet, as it says itself */
        uint32_t protocol;
        bool ipv6;
};

/* ---- checksum ---- */

static uint32_t sum_bytes(uint32_t sum, const uint8_t *bytes, uint32_t count)
{
        for (; count > 1; count -= 2, bytes += 2)
                sum += net_be16(bytes); /* 2^16 words at most: no overflow */
        if (count == 1)
                sum += (uint32_t)bytes[0] << 8;
        return sum;
}

static uint32_t fold(uint32_t sum)
{
        sum = (sum & 0xffff) + (sum >> 16);
        return (sum & 0xffff) + (sum >> 16);
}

/* The sum over pseudo-header, transport header and data; 0xffff when a checksum in it is right. */
static uint32_t transport_sum(const uint8_t *frame, const struct layers *layers)
{
        uint32_t bytes = layers->end - layers->transport, addresses = layers->ipv6 ? 8 : 12;
        uint32_t sum = sum_bytes(layers->protocol + bytes, frame + layers->ip + addresses,
                                 layers->ipv6 ? 32 : 8);
        return fold(sum_bytes(sum, frame + layers->transport, bytes));
}

static void put_transport_checksum(uint8_t *frame, const struct layers *layers)
{
        uint8_t *at = frame + layers->transport +
                      (layers->protocol == PROTOCOL_TCP ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT);
        net_put_be16(at, 0);
        uint32_t checksum = ~transport_sum(frame, layers) & 0xffff;
        if (checksum == 0 && layers->protocol == PROTOCOL_UDP)
                checksum = 0xffff; /* 0 would say that there is none */
        net_put_be16(at, checksum);
}

static void put_ip_checksum(uint8_t *frame, const struct layers *layers)
{
        uint8_t *ip = frame + layers->ip;
        net_put_be16(ip + IPV4_CHECKSUM_AT, 0);
        net_put_be16(ip + IPV4_CHECKSUM_AT, ~fold(sum_bytes(0, ip, (ip[0] & 15u) * 4)) & 0xffff);
}

/* ---- layers ---- */

/* Finds the layers of an untagged frame; false when it is no whole IP packet with a whole TCP or
 * UDP header right behind the IP header. `length_counts`: what IP says of its length is believed;
 * else (segmentation, where it is 0) the frame's end is its end. */
static bool find_layers(const uint8_t *frame, uint32_t bytes, bool length_counts,
                        struct layers *layers)
{
        uint32_t type, left = bytes - NET_ETHERNET_BYTES, head, total;
        const uint8_t *ip = frame + NET_ETHERNET_BYTES;
        if (bytes < NET_ETHERNET_BYTES + IPV4_BYTES_MIN)
                return false;
        type = net_be16(frame + 12);
        layers->ipv6 = type == ETHERTYPE_IPV6;
        layers->ip = NET_ETHERNET_BYTES;
        if (type == ETHERTYPE_IPV4 && ip[0] >> 4 == 4) {
                head = (ip[0] & 15u) * 4;
                total = net_be16(ip + 2);
                layers->protocol = ip[9];
                if (head < IPV4_BYTES_MIN || (net_be16(ip + 6) & FRAGMENT_MASK) != 0)
                        return false;
        } else if (layers->ipv6 && left >= IPV6_BYTES && ip[0] >> 4 == 6) {
                head = IPV6_BYTES;
                total = net_be16(ip + 4) + IPV6_BYTES;
                layers->protocol = ip[6];
        } else {
                return false;
        }
        if (!length_counts)
                total = left;
        uint32_t least = layers->protocol == PROTOCOL_TCP ? TCP_BYTES_MIN : UDP_BYTES;
        if ((layers->protocol != PROTOCOL_TCP && layers->protocol != PROTOCOL_UDP) ||
            total > left || total < head + least)
                return false;
        layers->transport = layers->ip + head;
        layers->end = layers->ip + total;
        return true;
}

uint32_t net_check_received(const uint8_t *frame, uint32_t bytes)
{
        struct layers layers;
        uint32_t result = 0;
        if (!find_layers(frame, bytes, true, &layers))
                return 0;
        if (!layers.ipv6)
                result = fold(sum_bytes(0, frame + layers.ip, layers.transport - layers.ip)) ==
                                         0xffff
                               ? RNDIS_RX_IP_OK
                               : RNDIS_RX_IP_FAILED;
        bool good = transport_sum(frame, &layers) == 0xffff;
        if (layers.protocol == PROTOCOL_TCP)
                return result | (good ? RNDIS_RX_TCP_OK : RNDIS_RX_TCP_FAILED);
        if (net_be16(frame + layers.transport + UDP_CHECKSUM_AT) == 0)
                return result; /* the sender made none */
        return result | (good ? RNDIS_RX_UDP_OK : RNDIS_RX_UDP_FAILED);
}

/* ---- out ---- */

/* Gives one frame to the port, with its tag; the bytes before it are overwritten. */
static void emit(struct vmbus_host_net *net, uint8_t *frame, uint32_t bytes,
                 const struct net_wishes *wishes)
{
        const struct vmbus_host_frame_port *port = net->config.port;
        if (wishes->has_vlan) {
                uint32_t vlan = wishes->vlan;
                memmove(frame - TAG_BYTES, frame, 12);
                frame -= TAG_BYTES;
                bytes += TAG_BYTES;
                net_put_be16(frame + 12, ETHERTYPE_VLAN);
                net_put_be16(frame + 14, (vlan & 7) << 13 | (vlan >> 3 & 1) << 12 |
                                                 (vlan >> 4 & 0xfff));
        }
        port->give(port->context, frame, bytes);
}

/* Fills in the checksums that are wanted; false: there are no such headers. */
static bool add_checksums(uint8_t *frame, uint32_t bytes, uint32_t wanted)
{
        struct layers layers;
        uint32_t family = wanted & (RNDIS_TX_IPV4 | RNDIS_TX_IPV6);
        uint32_t offset = wanted >> RNDIS_TX_TRANSPORT_BIT & RNDIS_TX_TRANSPORT_MASK;
        if ((wanted & (RNDIS_TX_TCP | RNDIS_TX_UDP | RNDIS_TX_IP_HEADER)) == 0)
                return true;
        if (!find_layers(frame, bytes, true, &layers)) {
                /* An IPv4 header alone needs no transport that we know. */
                const uint8_t *ip = frame + NET_ETHERNET_BYTES;
                if ((wanted & (RNDIS_TX_TCP | RNDIS_TX_UDP)) != 0 ||
                    bytes < NET_ETHERNET_BYTES + IPV4_BYTES_MIN ||
                    net_be16(frame + 12) != ETHERTYPE_IPV4 || (ip[0] & 15u) * 4 < IPV4_BYTES_MIN ||
                    NET_ETHERNET_BYTES + (ip[0] & 15u) * 4 > bytes)
                        return false;
                layers.ip = NET_ETHERNET_BYTES;
                put_ip_checksum(frame, &layers);
                return true;
        }
        if (family != (layers.ipv6 ? RNDIS_TX_IPV6 : RNDIS_TX_IPV4) ||
            (offset != 0 && offset != layers.transport) ||
            ((wanted & RNDIS_TX_TCP) != 0 && layers.protocol != PROTOCOL_TCP) ||
            ((wanted & RNDIS_TX_UDP) != 0 && layers.protocol != PROTOCOL_UDP))
                return false;
        if ((wanted & (RNDIS_TX_TCP | RNDIS_TX_UDP)) != 0)
                put_transport_checksum(frame, &layers);
        if ((wanted & RNDIS_TX_IP_HEADER) != 0 && !layers.ipv6)
                put_ip_checksum(frame, &layers);
        return true;
}

/* Makes the headers of the segment that begins `sent` bytes into the payload. */
static void segment_headers(uint8_t *frame, const struct layers *layers, uint32_t number,
                            uint32_t sent, bool last)
{
        uint8_t *ip = frame + layers->ip, *tcp = frame + layers->transport;
        uint32_t total = layers->end - layers->ip;
        uint32_t sequence = (net_be16(tcp + 4) << 16 | net_be16(tcp + 6)) + sent;
        net_put_be16(tcp + 4, sequence >> 16);
        net_put_be16(tcp + 6, sequence);
        if (!last)
                tcp[13] &= (uint8_t)~TCP_FLAG_FIN_PSH;
        if (number != 0)
                tcp[13] &= (uint8_t)~TCP_FLAG_CWR;
        if (layers->ipv6) {
                net_put_be16(ip + 4, total - IPV6_BYTES);
        } else {
                net_put_be16(ip + 2, total);
                net_put_be16(ip + 4, net_be16(ip + 4) + number);
                put_ip_checksum(frame, layers);
        }
        put_transport_checksum(frame, layers);
}

/* Cuts a long TCP frame into segments. Each one's headers are put right before its payload, over
 * the end of the one before, which has gone by then. */
static bool segment(struct vmbus_host_net *net, uint8_t *frame, uint32_t bytes,
                    const struct net_wishes *wishes)
{
        uint8_t headers[HEADERS_BYTES_MAX];
        uint32_t mss = wishes->lso & RNDIS_LSO_MSS_MASK;
        uint32_t offset = wishes->lso >> RNDIS_LSO_TRANSPORT_BIT & RNDIS_TX_TRANSPORT_MASK;
        struct layers layers;
        if (!find_layers(frame, bytes, false, &layers) || layers.protocol != PROTOCOL_TCP ||
            layers.ipv6 != ((wishes->lso & RNDIS_LSO_IPV6) != 0) ||
            offset != layers.transport || mss == 0)
                return false;
        uint32_t head = layers.transport + (frame[layers.transport + 12] >> 4) * 4u;
        if (head < layers.transport + TCP_BYTES_MIN || head > bytes || head > sizeof(headers) ||
            head + mss > net->frame_bytes)
                return false;
        memcpy(headers, frame, head);
        uint32_t payload = bytes - head, sent = 0, number = 0;
        do { /* mss bytes a round */
                uint32_t count = (uint32_t)min_u64(mss, payload - sent);
                uint8_t *start = frame + sent;
                memcpy(start, headers, head);
                layers.end = head + count;
                segment_headers(start, &layers, number++, sent, sent + count == payload);
                emit(net, start, head + count, wishes);
                sent += count;
        } while (sent < payload);
        return true;
}

bool net_offload(struct vmbus_host_net *net, uint8_t *frame, uint32_t bytes,
                 const struct net_wishes *wishes)
{
        if (wishes->has_lso)
                return segment(net, frame, bytes, wishes);
        if (wishes->has_checksum && !add_checksums(frame, bytes, wishes->checksum))
                return false;
        emit(net, frame, bytes, wishes);
        return true;
}
