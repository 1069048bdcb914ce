/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What an operating system makes of frames that are to be finished: a kernel behind a tap with
 * virtio headers (tests/harness/test_net_loop.py). It refuses a connection that does not exist, and
 * says in doing so how much of it had come. On request.
 *
 * Facts       RFC 9293, 3.10.7.1 (a segment without ACK: a reset that acknowledges all
 *             of it), 768 (UDP), 1122, 3.2.2.1 (port unreachable quotes the datagram) */
#include "tests/boot/net_client.h"

#define PORT_CLOSED 9
#define PORT_OURS 40000
#define PROTOCOL_TCP 6
#define TCP_HEAD_BYTES 20
#define UDP_HEAD_BYTES 8
#define TCP_RESET_ACK 0x14
#define TCP_PUSH 0x08
#define SEQUENCE 0xfffff000u /* the sum wraps */
#define SEGMENT_BYTES 1448
#define IP_AT NETDEV_HEADER_BYTES
#define TRANSPORT_AT (IP_AT + 20)
#define ICMP_UNREACHABLE 3
#define ICMP_PORT 3
#define LONGEST_BYTES 64000

static uint8_t bytes_out[TRANSPORT_AT + TCP_HEAD_BYTES + LONGEST_BYTES];

static void put(uint32_t at, uint32_t value, uint32_t bytes)
{
        for (uint32_t i = 0; i < bytes; i++)
                bytes_out[at + i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

/* The headers up to IP, and the pseudo-header's sum at `sum_at`. */
static void build(const struct net_arp *host, uint8_t protocol, uint32_t transport_bytes,
                  uint32_t sum_at)
{
        struct net_frame head;
        struct net_ip ip = {.protocol = protocol, .from = SLIRP_GUEST, .to = SLIRP_ROUTER,
                            .payload_bytes = transport_bytes};
        net_put_ethernet(&head, host->sender_mac, net.netdev->mac, NET_ETHERTYPE_IPV4);
        net_put_ip(&head, protocol, ip.from, ip.to, transport_bytes);
        memcpy(bytes_out, head.data, head.bytes);
        put(TRANSPORT_AT, PORT_OURS << 16 | PORT_CLOSED, 4);
        uint32_t sum = net_pseudo_sum(&ip);
        put(sum_at, (sum & 0xffff) + (sum >> 16), 2);
}

/* From the start of the VMO, while none of the buffers there is under way. */
static void send_large(struct test *t, uint32_t bytes, const struct netdev_offload *offload)
{
        struct netdev_frame frame = {.offload = *offload};
        struct vmo_region region = {(uint8_t)net.vmo_id, 0, bytes};
        struct tx_request request = {.regions = &region, .region_count = 1};
        uint64_t deadline = time_deadline_after(ANSWER_LIMIT_NS);
        uint32_t accepted;
        while (net.free_count < SEND_BUFFERS && EXPECT_FALSE(time_passed(deadline)))
                if (netdev_poll(net.netdev, 0, POLL_BUDGET) == 0)
                        netdev_wait(net.netdev, 0, deadline);
        request.id = net.free[--net.free_count];
        EXPECT_OK(vmo_write(net.vmo, bytes_out, 0, bytes));
        EXPECT_OK(vmo_store_make_tx_buffer(&net.netdev->store, &request, false, &frame.buffer));
        EXPECT_OK(netdev_transmit(net.netdev, 0, &frame, 1, &accepted));
}

/* ---- TCP ---- */

static bool is_reset(const struct net_frame *frame)
{
        struct net_ip ip;
        return net_parse_ip(frame, &ip) && ip.protocol == PROTOCOL_TCP && ip.from == SLIRP_ROUTER &&
               ip.payload_bytes >= TCP_HEAD_BYTES && net_get16(ip.payload) == PORT_CLOSED &&
               net_get16(ip.payload + 2) == PORT_OURS && ip.payload[13] == TCP_RESET_ACK;
}

/* `payload_bytes` in one frame, which the card is to cut; the reset acknowledges all of them. */
static void expect_taken(struct test *t, const struct net_arp *host, uint32_t payload_bytes)
{
        struct net_ip ip;
        struct netdev_offload offload = {.checksum = true, .checksum_start = TRANSPORT_AT,
                                         .checksum_offset = 16,
                                         .segmentation = NETDEV_SEGMENT_TSO4,
                                         .segment_bytes = SEGMENT_BYTES,
                                         .header_bytes = TRANSPORT_AT + TCP_HEAD_BYTES};
        memset(bytes_out, 0x5a, sizeof(bytes_out));
        put(TRANSPORT_AT + 4, SEQUENCE, 4);
        put(TRANSPORT_AT + 8, 0, 4);
        put(TRANSPORT_AT + 12, TCP_HEAD_BYTES / 4 << 12 | TCP_PUSH, 2);
        put(TRANSPORT_AT + 14, 1000, 2);
        put(TRANSPORT_AT + 18, 0, 2);
        build(host, PROTOCOL_TCP, TCP_HEAD_BYTES + payload_bytes, TRANSPORT_AT + 16);
        send_large(t, TRANSPORT_AT + TCP_HEAD_BYTES + payload_bytes, &offload);
        const struct net_frame *answer = net_await(is_reset);
        if (EXPECT_TRUE(answer != NULL) && net_parse_ip(answer, &ip))
                EXPECT_EQ(net_get32(ip.payload + 8), SEQUENCE + payload_bytes);
}

TEST_WITH(net_stack, takes_a_frame_that_is_to_be_cut, TEST_ON_REQUEST, 0)
{
        static const uint32_t payloads[] = {SEGMENT_BYTES + 1, 20000, LONGEST_BYTES};
        struct net_arp host;
        const char *why = net_open_card(t, NULL, catch_frame);
        if (why != NULL)
                SKIP(why);
        EXPECT_TRUE(netdev_can(&net.netdev->capabilities, NETDEV_CAN_TSO4_BIT));
        if (resolve_router(t, &host))
                for (uint32_t i = 0; i < ARRAY_COUNT(payloads); i++)
                        expect_taken(t, &host, payloads[i]);
        net_close(t);
}

/* ---- UDP ---- */

static bool is_unreachable(const struct net_frame *frame)
{
        struct net_ip ip;
        return net_parse_ip(frame, &ip) && ip.protocol == NET_PROTOCOL_ICMP &&
               ip.from == SLIRP_ROUTER && ip.payload_bytes >= 8 + 20 + UDP_HEAD_BYTES &&
               ip.payload[0] == ICMP_UNREACHABLE && ip.payload[1] == ICMP_PORT;
}

TEST_WITH(net_stack, takes_a_checksum_that_is_to_be_made, TEST_ON_REQUEST, 0)
{
        struct netdev_offload offload = {.checksum = true, .checksum_start = TRANSPORT_AT,
                                         .checksum_offset = 6};
        struct net_arp host;
        struct net_ip ip;
        const char *why = net_open_card(t, NULL, catch_frame);
        if (why != NULL)
                SKIP(why);
        EXPECT_TRUE(netdev_can(&net.netdev->capabilities, NETDEV_CAN_CHECKSUM_BIT));
        if (resolve_router(t, &host)) {
                memset(bytes_out, 0x5a, sizeof(bytes_out));
                build(&host, NET_PROTOCOL_UDP, UDP_HEAD_BYTES + 333, TRANSPORT_AT + 6);
                put(TRANSPORT_AT + 4, UDP_HEAD_BYTES + 333, 2);
                send_large(t, TRANSPORT_AT + UDP_HEAD_BYTES + 333, &offload);
                const struct net_frame *answer = net_await(is_unreachable);
                if (EXPECT_TRUE(answer != NULL) && net_parse_ip(answer, &ip))
                        EXPECT_BYTES_EQ(ip.payload + 8 + 20, bytes_out + TRANSPORT_AT, 6);
        }
        net_close(t);
}
