/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Flows by their hash: which queue pair a flow comes on, and what the card says of its hash,
 * beside the Toeplitz hash computed here. On request, since it needs a card with RSS or hash
 * reports and a host on a tap (tests/harness/test_net_matrix.py makes both). The host answers
 * echoes (a hash of the addresses) and resets connections to a port where nobody listens (a
 * hash of addresses and ports).
 *
 * Facts       Virtio 1.3, 5.1.6.4 (hash of a frame), 5.1.6.5.6.4 (how
 *             a queue is chosen), 5.1.6.5.7 */
#include "tests/expect.h"

#include <string.h>

#include "drivers/netdev/netdev.h"
#include "drivers/virtio/virtio_net.h"
#include "kernel/aspace.h"
#include "kernel/time.h"
#include "tests/boot/net_frames.h"

#define HOST NET_IP(10, 0, 2, 2)
#define GUEST(number) NET_IP(10, 0, 2, 20 + (number))
#define ADDRESSES 4 /* of ours: flows without ports */
#define PORTS 24    /* of the first one: flows with ports */
#define FLOWS (ADDRESSES + PORTS)
#define FIRST_PORT 4000
#define CLOSED_PORT 9
#define PROTOCOL_TCP 6
#define TCP_SYN 0x5002 /* a header of 5 words */
#define TCP_RST_BIT 2  /* of byte 13 */
#define ECHO_ID 0x5053
#define ECHO_BYTES 64
#define TRIES 10 /* of each question, a second each */
#define TABLE_ENTRIES 64 /* of the driver's table, which names pair i % pairs in entry i */
#define LIMIT_MS 600000

static struct {
        struct test *t;
        struct netdev *netdev;
        struct vmo *vmo;
        uint32_t vmo_id, under_way;
        uint8_t host_mac[NET_MAC_BYTES];
        bool resolved;
        bool steered, reports; /* RSS, HASH_REPORT */
        uint32_t flow;         /* whose answer is awaited */
        bool answered[FLOWS];
        uint32_t flows[NETDEV_QUEUE_PAIRS_MAX]; /* by the queue that they came on */
        uint32_t reported;
} hashed;

/* The customary key, which the driver gives to the card. */
static const uint8_t key[] = {
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
        0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
        0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

/* For every bit of the input that is set: the 32 bits of the key from there on. */
static uint32_t toeplitz(const uint8_t *input, uint32_t bytes)
{
        uint32_t hash = 0, window = net_get32(key);
        for (uint32_t bit = 0; bit < 8 * bytes; bit++) {
                uint32_t next = bit + 32;
                if (input[bit / 8] >> (7 - bit % 8) & 1)
                        hash ^= window;
                window = window << 1 | (key[next / 8] >> (7 - next % 8) & 1);
        }
        return hash;
}

/* The hash of a frame that came: over addresses, and ports if it has some. */
static uint32_t hash_of(const struct net_ip *ip)
{
        struct net_frame input = {.bytes = 0};
        net_put32(&input, ip->from);
        net_put32(&input, ip->to);
        if (ip->protocol == PROTOCOL_TCP)
                net_put_bytes(&input, ip->payload, 4);
        return toeplitz(input.data, input.bytes);
}

/* Which flow a frame is an answer to; FLOWS: none. */
static uint32_t flow_of(const struct net_ip *ip)
{
        struct net_echo echo;
        if (ip->from != HOST)
                return FLOWS;
        if (net_parse_echo(ip, &echo) && echo.type == NET_ICMP_ECHO_REPLY && echo.id == ECHO_ID &&
            ip->to - GUEST(0) < ADDRESSES)
                return ip->to - GUEST(0);
        if (ip->protocol == PROTOCOL_TCP && ip->payload_bytes >= 20 && ip->to == GUEST(0) &&
            (ip->payload[13] >> TCP_RST_BIT & 1) && net_get16(ip->payload + 2) - FIRST_PORT < PORTS)
                return ADDRESSES + net_get16(ip->payload + 2) - FIRST_PORT;
        return FLOWS;
}

static void judge(uint32_t queue, const struct net_frame *frame,
                  const struct netdev_receive_info *info)
{
        struct test *t = hashed.t;
        struct net_arp arp;
        struct net_ip ip;
        if (net_parse_arp(frame, &arp)) {
                if (arp.operation == NET_ARP_REPLY) {
                        memcpy(hashed.host_mac, arp.sender_mac, sizeof(hashed.host_mac));
                        hashed.resolved = true;
                }
                EXPECT_EQ(info->hash_type, NETDEV_HASH_NONE);
                if (hashed.steered)
                        EXPECT_EQ(queue, 0);
        }
        if (!net_parse_ip(frame, &ip) || flow_of(&ip) == FLOWS || hashed.answered[flow_of(&ip)])
                return;
        uint32_t hash = hash_of(&ip);
        if (hashed.steered)
                EXPECT_EQ(queue, hash % TABLE_ENTRIES % hashed.netdev->queue_pairs);
        if (hashed.reports) {
                EXPECT_EQ(info->hash_value, hash);
                EXPECT_EQ(info->hash_type,
                          ip.protocol == PROTOCOL_TCP ? NETDEV_HASH_TCP_IPV4 : NETDEV_HASH_IPV4);
                hashed.reported++;
        }
        hashed.flows[queue]++;
        hashed.answered[flow_of(&ip)] = true;
}

/* ---- the client ---- */

static void on_receive(UNUSED void *context, uint32_t queue, const struct netdev_received *frames,
                       uint32_t count)
{
        static struct net_frame frame;
        for (uint32_t i = 0; i < count; i++) {
                size_t bytes = 0;
                zx_status_t status = vmo_buffer_read(&frames[i].buffer.buffer, frame.data,
                                                     sizeof(frame.data), &bytes);
                struct netdev_receive_info info = frames[i].info;
                netdev_release_frame(hashed.netdev, queue, &frames[i]);
                frame.bytes = (uint32_t)bytes;
                if (status == ZX_OK)
                        judge(queue, &frame, &info);
        }
}

static void on_transmit_done(UNUSED void *context, UNUSED uint32_t queue,
                             UNUSED const uint32_t *ids, uint32_t count, UNUSED zx_status_t status)
{
        hashed.under_way -= count;
}

/* Sends it, and polls until `answered` or for a second. */
static void ask(struct test *t, const struct net_frame *frame, const bool *answered)
{
        uint32_t accepted;
        uint64_t moment = time_deadline_after(NS_PER_SECOND);
        struct netdev_frame out = {0};
        struct vmo_region region = {(uint8_t)hashed.vmo_id, 0, frame->bytes};
        struct tx_request request = {.regions = &region, .region_count = 1};
        REQUIRE_OK(vmo_write(hashed.vmo, frame->data, 0, frame->bytes));
        REQUIRE_OK(vmo_store_make_tx_buffer(&hashed.netdev->store, &request, false, &out.buffer));
        hashed.under_way++;
        REQUIRE_OK(netdev_transmit(hashed.netdev, 0, &out, 1, &accepted));
        while ((!*answered || hashed.under_way != 0) && !time_passed(moment))
                for (uint32_t queue = 0; queue < hashed.netdev->queue_pairs; queue++)
                        netdev_poll(hashed.netdev, queue, NETDEV_BATCH_MAX);
        EXPECT_EQ(hashed.under_way, 0);
}

static void resolve(struct test *t, uint32_t ip)
{
        struct net_frame frame;
        hashed.resolved = false;
        net_build_arp_request(&frame, hashed.netdev->mac, ip, HOST);
        for (uint32_t try = 0; try < TRIES && !hashed.resolved && !test_has_failed(t); try++)
                ask(t, &frame, &hashed.resolved);
        REQUIRE_TRUE(hashed.resolved);
}

static void build_connection(struct net_frame *frame, uint16_t port)
{
        net_put_ip(frame, PROTOCOL_TCP, GUEST(0), HOST, 20);
        uint8_t *header = frame->data + frame->bytes;
        struct net_ip ip = {.protocol = PROTOCOL_TCP, .from = GUEST(0), .to = HOST,
                            .payload_bytes = 20};
        net_put16(frame, port);
        net_put16(frame, CLOSED_PORT);
        net_put32(frame, port);
        net_put32(frame, 0);
        net_put16(frame, TCP_SYN);
        net_put16(frame, UINT16_MAX);
        net_put32(frame, 0);
        net_store_checksum(header + 16, net_sum(header, 20, net_pseudo_sum(&ip)));
}

static void ask_on_flow(struct test *t, uint32_t flow)
{
        struct net_frame frame;
        net_put_ethernet(&frame, hashed.host_mac, hashed.netdev->mac, NET_ETHERTYPE_IPV4);
        if (flow < ADDRESSES) {
                net_put_ip(&frame, NET_PROTOCOL_ICMP, GUEST(flow), HOST, 8 + ECHO_BYTES);
                net_put_echo_request(&frame, ECHO_ID, (uint16_t)flow, ECHO_BYTES);
        } else {
                build_connection(&frame, (uint16_t)(FIRST_PORT + flow - ADDRESSES));
        }
        net_pad(&frame, NET_FRAME_BYTES_MIN);
        for (uint32_t try = 0; try < TRIES && !hashed.answered[flow] && !test_has_failed(t); try++)
                ask(t, &frame, &hashed.answered[flow]);
        EXPECT_TRUE(hashed.answered[flow]);
}

static void ask_on_all_flows(struct test *t)
{
        uint32_t pairs = hashed.netdev->queue_pairs, used = 0;
        for (uint32_t i = 0; i < ADDRESSES && !test_has_failed(t); i++)
                resolve(t, GUEST(i));
        for (uint32_t flow = 0; flow < FLOWS && !test_has_failed(t); flow++)
                ask_on_flow(t, flow);
        for (uint32_t queue = 0; queue < pairs; queue++)
                used += hashed.flows[queue] != 0;
        test_log(t, "%u flows on %u of %u queue pairs, %u hashes reported, %s", FLOWS, used, pairs,
                 hashed.reported, hashed.steered ? "steered by hash" : "not steered");
        if (hashed.steered)
                EXPECT_EQ(used, pairs);
        if (hashed.reports)
                EXPECT_EQ(hashed.reported, FLOWS);
}

TEST_WITH(net_hash, flows_come_on_the_queue_of_their_hash, TEST_ON_REQUEST, LIMIT_MS)
{
        static struct netdev_client client = {.receive = on_receive,
                                              .transmit_done = on_transmit_done};
        static const uint8_t addresses[] = {66, 9, 149, 187, 161, 142, 100, 80};
        EXPECT_EQ(toeplitz(addresses, sizeof(addresses)), 0x323e8fc2); /* what everybody's says */
        memset(&hashed, 0, sizeof(hashed));
        hashed.t = t;
        if (netdev_count() == 0 || !virtio_net_is(netdev_at(0)))
                SKIP("this machine has no virtio network card");
        hashed.netdev = netdev_at(0);
        const struct virtio_device *device = &virtio_net_from(hashed.netdev)->device;
        hashed.steered = virtio_device_has(device, VIRTIO_NET_F_RSS);
        hashed.reports = netdev_can(&hashed.netdev->capabilities, NETDEV_CAN_HASH_BIT);
        client.queue_pairs = hashed.netdev->capabilities.queue_pairs;
        REQUIRE_OK(vmo_create(aspace_vmo_pool(), PAGE_BYTES, 0, &hashed.vmo));
        EXPECT_OK(netdev_register_vmo(hashed.netdev, hashed.vmo, &hashed.vmo_id));
        if (EXPECT_OK(netdev_attach(hashed.netdev, &client))) {
                ask_on_all_flows(t);
                EXPECT_OK(netdev_detach(hashed.netdev));
        }
        vmo_put(hashed.vmo);
}
