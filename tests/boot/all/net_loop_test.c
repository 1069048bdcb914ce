/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A network that returns each frame as it is: what a card does with lengths, queue pairs, offloads
 * and filters shows in what comes back. On request, since it needs that network
 * (tests/harness/test_net_loop.py has both kinds):
 *
 *   vhost-user-net --mode echo    a virtio back end: returns what was to be done to a frame, too
 *   QEMU's -netdev dgram, and a program that returns each datagram: a card with filters
 *
 * Each frame is followed by a fence, a broadcast of ours: networks here keep the order of a queue,
 * so when the fence is back, what was before it is back or was filtered.
 *
 * Facts       Virtio 1.3, 5.1.6 (headers), 5.1.6.5 (filters) */
#include "tests/expect.h"

#include <string.h>

#include "drivers/netdev/netdev.h"
#include "kernel/aspace.h"
#include "kernel/cmdline.h"
#include "kernel/time.h"
#include "tests/boot/net_frames.h"

static uint64_t seconds = 60;
CMDLINE_UINT(seconds, "net_loop.seconds", 1, 3600,
             "net_loop.announces_and_loses_the_link: how long it waits for somebody to do it");

#define ETHERTYPE 0x88b5 /* for local experiments */
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define PROTOCOL_TCP 6
#define SLOT_BYTES (20 * PAGE_BYTES) /* our VMO has one for the frame and one for the fence */
#define ID_FRAME 0
#define ID_FENCE 1
#define POLL_BUDGET 64
#define BACK_LIMIT_NS (20 * NS_PER_SECOND) /* a hang detector */
#define SEGMENT_BYTES 1448
#define LIMIT_MS 3700000

static const uint8_t stranger[] = {0x52, 0x54, 0, 0x77, 0, 1};
static const uint8_t other_stranger[] = {0x52, 0x54, 0, 0x77, 0, 2};
static const uint8_t group[] = {0x33, 0x33, 0, 0, 0, 7};
static const uint8_t other_group[] = {0x33, 0x33, 0, 0, 0, 8};

static struct {
        struct test *t;
        struct netdev *netdev;
        struct vmo *vmo;
        uint32_t vmo_id, under_way;
        uint8_t sent[SLOT_BYTES], came[SLOT_BYTES];
        uint32_t sent_bytes, came_bytes;
        uint32_t serial; /* of the fence that is awaited */
        bool fence_came;
        uint32_t frame_count; /* that came, without fences */
        uint32_t queue;       /* that the last one came on */
        struct netdev_receive_info info;
        uint32_t announced, went_down, went_up;
} loop;

/* ---- the client ---- */

static void on_receive(UNUSED void *context, uint32_t queue, const struct netdev_received *frames,
                       uint32_t count)
{
        struct test *t = loop.t;
        for (uint32_t i = 0; i < count; i++) {
                static uint8_t copy[SLOT_BYTES];
                size_t bytes = 0;
                EXPECT_OK(vmo_buffer_read(&frames[i].buffer.buffer, copy, sizeof(copy), &bytes));
                netdev_release_frame(loop.netdev, queue, &frames[i]);
                if (bytes == NET_FRAME_BYTES_MIN && net_get16(copy + 12) == ETHERTYPE &&
                    net_get32(copy + 14) == loop.serial) {
                        EXPECT_EQ(queue, loop.queue);
                        loop.fence_came = true;
                        continue;
                }
                memcpy(loop.came, copy, bytes);
                loop.came_bytes = (uint32_t)bytes;
                loop.info = frames[i].info;
                EXPECT_EQ(queue, loop.queue);
                loop.frame_count++;
        }
}

static void on_transmit_done(UNUSED void *context, UNUSED uint32_t queue,
                             UNUSED const uint32_t *ids, uint32_t count, zx_status_t status)
{
        struct test *t = loop.t;
        EXPECT_OK(status);
        loop.under_way -= count;
}

static void on_state(UNUSED void *context)
{
        *(loop.netdev->link_up ? &loop.went_up : &loop.went_down) += 1;
}

static void on_announce(UNUSED void *context)
{
        loop.announced++;
}

static const char *open_loop(struct test *t)
{
        static struct netdev_client client = {.receive = on_receive,
                                              .transmit_done = on_transmit_done,
                                              .state_changed = on_state,
                                              .announce = on_announce};
        memset(&loop, 0, sizeof(loop));
        loop.t = t;
        if (netdev_count() == 0)
                return "this machine has no network card";
        loop.netdev = netdev_at(0);
        client.queue_pairs = loop.netdev->capabilities.queue_pairs;
        if (!EXPECT_OK(vmo_create(aspace_vmo_pool(), 2 * SLOT_BYTES, 0, &loop.vmo)))
                return "no memory";
        EXPECT_OK(netdev_register_vmo(loop.netdev, loop.vmo, &loop.vmo_id));
        EXPECT_OK(netdev_attach(loop.netdev, &client));
        return NULL;
}

static void close_loop(struct test *t)
{
        EXPECT_EQ(loop.under_way, 0);
        EXPECT_EQ(netdev_receive_held(loop.netdev), 0);
        EXPECT_EQ(netdev_counters(loop.netdev)->faults, 0);
        EXPECT_OK(netdev_detach(loop.netdev));
        vmo_put(loop.vmo);
}

/* ---- one frame there and back ---- */

/* Sends `bytes` bytes of slot `id` in `region_count` regions. */
static bool send_slot(uint32_t id, uint32_t bytes, uint32_t region_count,
                      const struct netdev_offload *offload)
{
        struct test *t = loop.t;
        struct vmo_region regions[VMO_BUFFER_PARTS_MAX];
        struct tx_request request = {.id = id, .regions = regions, .region_count = region_count};
        struct netdev_frame frame = {.offload = *offload};
        uint64_t at = id * SLOT_BYTES, end = at + bytes;
        uint32_t accepted = 0;
        for (uint32_t i = 0; i < region_count; i++) {
                uint64_t piece = i + 1 < region_count ? bytes / region_count : end - at;
                regions[i] = (struct vmo_region){(uint8_t)loop.vmo_id, at, piece};
                at += piece;
        }
        loop.under_way++;
        return EXPECT_OK(vmo_store_make_tx_buffer(&loop.netdev->store, &request, false,
                                                  &frame.buffer)) &&
               EXPECT_OK(netdev_transmit(loop.netdev, loop.queue, &frame, 1, &accepted));
}

/* Sends what is in loop.sent, and the fence; how often the frame came before the fence did. */
static uint32_t send_and_see(uint32_t region_count, const struct netdev_offload *offload)
{
        static const struct netdev_offload nothing;
        struct test *t = loop.t;
        struct net_frame fence;
        uint64_t deadline = time_deadline_after(BACK_LIMIT_NS);
        net_put_ethernet(&fence, net_mac_broadcast, loop.netdev->mac, ETHERTYPE);
        net_put32(&fence, ++loop.serial);
        net_pad(&fence, NET_FRAME_BYTES_MIN);
        loop.fence_came = false;
        loop.frame_count = 0;
        if (!EXPECT_OK(vmo_write(loop.vmo, loop.sent, 0, loop.sent_bytes)) ||
            !EXPECT_OK(vmo_write(loop.vmo, fence.data, SLOT_BYTES, fence.bytes)) ||
            !send_slot(ID_FRAME, loop.sent_bytes, region_count,
                       offload != NULL ? offload : &nothing) ||
            !send_slot(ID_FENCE, fence.bytes, 1, &nothing))
                return 0;
        while ((!loop.fence_came || loop.under_way != 0) && EXPECT_FALSE(time_passed(deadline)))
                if (netdev_poll(loop.netdev, loop.queue, POLL_BUDGET) == 0)
                        netdev_wait(loop.netdev, loop.queue, deadline);
        return loop.frame_count;
}

static bool came_unchanged(void)
{
        struct test *t = loop.t;
        return EXPECT_EQ(loop.came_bytes, loop.sent_bytes) &&
               EXPECT_BYTES_EQ(loop.came, loop.sent, loop.sent_bytes);
}

/* ---- frames ---- */

static void put(uint32_t at, uint64_t value, uint32_t bytes)
{
        for (uint32_t i = 0; i < bytes; i++)
                loop.sent[at + i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
}

static void put_addresses(const uint8_t *to, uint16_t ethertype)
{
        memcpy(loop.sent, to, NET_MAC_BYTES);
        memcpy(loop.sent + 6, loop.netdev->mac, NET_MAC_BYTES);
        put(12, ethertype, 2);
}

/* A frame of `bytes` to `to`, with a content of its own. */
static void build_plain(const uint8_t *to, uint32_t bytes)
{
        put_addresses(to, ETHERTYPE);
        for (uint32_t i = 14; i < bytes; i++)
                loop.sent[i] = (uint8_t)(i * 7 + bytes);
        loop.sent_bytes = bytes;
}

/* UDP or TCP over IPv4 or IPv6, to ourselves, the checksum left to the card.
 *   returns  what to tell it */
static struct netdev_offload build_transport(bool ipv6, uint32_t protocol, uint32_t payload_bytes)
{
        uint32_t ip = 14, ip_bytes = ipv6 ? 40 : 20, at = ip + ip_bytes;
        uint32_t head_bytes = protocol == NET_PROTOCOL_UDP ? 8 : 20;
        uint32_t addresses = ip + (ipv6 ? 8 : 12), length = head_bytes + payload_bytes;
        memset(loop.sent, 0, at + head_bytes);
        put_addresses(loop.netdev->mac, ipv6 ? ETHERTYPE_IPV6 : NET_ETHERTYPE_IPV4);
        if (ipv6) {
                put(ip, 6ull << 28, 4);
                put(ip + 4, length, 2);
                put(ip + 6, protocol << 8 | 64, 2);
                for (uint32_t i = 0; i < 32; i++)
                        loop.sent[addresses + i] = (uint8_t)(i % 16 == 0 ? 0xfd : i);
        } else {
                put(ip, 0x4500, 2);
                put(ip + 2, 20 + length, 2);
                put(ip + 8, 64 << 8 | protocol, 2);
                put(addresses, 0x0a0000010a000002, 8);
                net_store_checksum(loop.sent + ip + 10, net_sum(loop.sent + ip, 20, 0));
        }
        put(at, 4000, 2);
        put(at + 2, 4001, 2);
        put(at + (protocol == NET_PROTOCOL_UDP ? 4 : 12),
            protocol == NET_PROTOCOL_UDP ? length : 0x5010, 2);
        for (uint32_t i = 0; i < payload_bytes; i++)
                loop.sent[at + head_bytes + i] = (uint8_t)(i * 11);
        struct netdev_offload offload = {
                .checksum = true, .checksum_start = (uint16_t)at,
                .checksum_offset = protocol == NET_PROTOCOL_UDP ? 6 : 16};
        put(at + offload.checksum_offset,
            net_sum(loop.sent + addresses, at - addresses, protocol + length), 2);
        loop.sent_bytes = at + length;
        return offload;
}

/* The other end may have made the checksum: then it must be right. */
static void expect_checksum(const struct netdev_offload *offload)
{
        struct test *t = loop.t;
        uint32_t start = offload->checksum_start, field = start + offload->checksum_offset;
        EXPECT_EQ(loop.came_bytes, loop.sent_bytes);
        if (loop.info.checksum == NETDEV_CHECKSUM_PARTIAL) {
                EXPECT_EQ(loop.info.checksum_start, start);
                EXPECT_EQ(loop.info.checksum_offset, offload->checksum_offset);
                came_unchanged();
        } else {
                EXPECT_EQ(net_sum(loop.came + start, loop.came_bytes - start,
                                  net_get16(loop.sent + field)), 0xffff);
                memcpy(loop.came + field, loop.sent + field, 2);
                came_unchanged();
        }
}

TEST_WITH(net_loop, frames_come_back_on_their_queue, TEST_ON_REQUEST, LIMIT_MS)
{
        const char *why = open_loop(t);
        if (why != NULL)
                SKIP(why);
        uint32_t longest = loop.netdev->mtu + NETDEV_HEADER_BYTES, count = 0;
        for (loop.queue = 0; loop.queue < loop.netdev->queue_pairs; loop.queue++)
                for (uint32_t bytes = NET_FRAME_BYTES_MIN; bytes <= longest && !test_has_failed(t);
                     bytes += bytes + 97 > longest && bytes < longest ? longest - bytes : 97) {
                        build_plain(loop.netdev->mac, bytes);
                        if (EXPECT_EQ(send_and_see(1 + bytes % VMO_BUFFER_PARTS_MAX, NULL), 1))
                                came_unchanged();
                        EXPECT_EQ(loop.info.segmentation, NETDEV_SEGMENT_NONE);
                        count++;
                }
        test_log(t, "%u frames on %u queue pairs", count, loop.netdev->queue_pairs);
        loop.queue = 0;
        close_loop(t);
}

static void expect_segments(uint8_t segmentation, bool ipv6, uint32_t protocol,
                            uint32_t payload_bytes)
{
        struct test *t = loop.t;
        struct netdev_offload offload = build_transport(ipv6, protocol, payload_bytes);
        offload.segmentation = segmentation;
        offload.segment_bytes = SEGMENT_BYTES;
        offload.header_bytes = (uint16_t)(loop.sent_bytes - payload_bytes);
        if (!EXPECT_EQ(send_and_see(VMO_BUFFER_PARTS_MAX, &offload), 1))
                return;
        EXPECT_EQ(loop.info.segmentation, segmentation);
        EXPECT_EQ(loop.info.segment_bytes, SEGMENT_BYTES);
        EXPECT_EQ(loop.info.header_bytes, offload.header_bytes);
        EXPECT_EQ(loop.info.checksum, NETDEV_CHECKSUM_PARTIAL);
        expect_checksum(&offload);
}

TEST_WITH(net_loop, checksums_and_segments_come_back, TEST_ON_REQUEST, LIMIT_MS)
{
        static const uint32_t payloads[] = {SEGMENT_BYTES + 1, 20000, 64000};
        const char *why = open_loop(t);
        if (why != NULL)
                SKIP(why);
        const struct netdev_capabilities *can = &loop.netdev->capabilities;
        uint32_t checksums = 0, segmented = 0;
        bool leaves = netdev_can(can, NETDEV_CAN_CHECKSUM_BIT);
        bool cuts = netdev_can(can, NETDEV_CAN_COALESCE_BIT); /* else they would not come back */
        bool cuts4 = netdev_can(can, NETDEV_CAN_TSO4_BIT);
        bool cuts6 = netdev_can(can, NETDEV_CAN_TSO6_BIT);
        bool cuts_udp = netdev_can(can, NETDEV_CAN_USO_BIT);
        for (uint32_t i = 0; i < 4 && leaves && !test_has_failed(t); i++) {
                struct netdev_offload offload = build_transport(
                        i & 1, i & 2 ? PROTOCOL_TCP : NET_PROTOCOL_UDP, 333 + i);
                if (EXPECT_EQ(send_and_see(1 + i, &offload), 1))
                        expect_checksum(&offload);
                checksums++;
        }
        for (uint32_t i = 0; i < ARRAY_COUNT(payloads) && cuts && !test_has_failed(t); i++) {
                if (cuts4)
                        expect_segments(NETDEV_SEGMENT_TSO4, false, PROTOCOL_TCP, payloads[i]);
                if (cuts6)
                        expect_segments(NETDEV_SEGMENT_TSO6, true, PROTOCOL_TCP, payloads[i]);
                if (cuts_udp)
                        expect_segments(NETDEV_SEGMENT_USO, false, NET_PROTOCOL_UDP, payloads[i]);
                segmented += (uint32_t)cuts4 + (uint32_t)cuts6 + (uint32_t)cuts_udp;
        }
        test_log(t, "%u checksums left to the card, %u frames to be cut", checksums, segmented);
        close_loop(t);
}

/* ---- filters ---- */

static bool passes(const uint8_t *to)
{
        build_plain(to, 100);
        return send_and_see(1, NULL) == 1;
}

static bool passes_with_tag(uint16_t vlan_id)
{
        build_plain(loop.netdev->mac, 100);
        put(12, (uint64_t)ETHERTYPE_VLAN << 32 | (uint64_t)vlan_id << 16 | ETHERTYPE, 6);
        return send_and_see(1, NULL) == 1;
}

static void expect_modes(struct test *t)
{
        static struct netdev_receive_mode mode;
        memset(&mode, 0, sizeof(mode));
        EXPECT_OK(netdev_set_receive_mode(loop.netdev, &mode));
        EXPECT_TRUE(passes(loop.netdev->mac));
        EXPECT_FALSE(passes(stranger));
        EXPECT_FALSE(passes(group));
        mode.all_multicast = true;
        EXPECT_OK(netdev_set_receive_mode(loop.netdev, &mode));
        EXPECT_TRUE(passes(group));
        EXPECT_FALSE(passes(stranger));
        mode = (struct netdev_receive_mode){.promiscuous = true};
        EXPECT_OK(netdev_set_receive_mode(loop.netdev, &mode));
        EXPECT_TRUE(passes(stranger));
        mode = (struct netdev_receive_mode){.unicast_count = 1, .multicast_count = 1};
        memcpy(mode.macs[0], stranger, NETDEV_MAC_BYTES);
        memcpy(mode.macs[1], group, NETDEV_MAC_BYTES);
        EXPECT_OK(netdev_set_receive_mode(loop.netdev, &mode));
        EXPECT_TRUE(passes(stranger));
        EXPECT_FALSE(passes(other_stranger));
        EXPECT_TRUE(passes(group));
        EXPECT_FALSE(passes(other_group));
}

static void expect_vlans(struct test *t)
{
        EXPECT_FALSE(passes_with_tag(5));
        EXPECT_OK(netdev_set_vlan(loop.netdev, 5, true));
        EXPECT_TRUE(passes_with_tag(5));
        EXPECT_FALSE(passes_with_tag(6));
        EXPECT_OK(netdev_set_vlan(loop.netdev, 6, true));
        EXPECT_OK(netdev_set_vlan(loop.netdev, 5, false));
        EXPECT_FALSE(passes_with_tag(5));
}

TEST_WITH(net_loop, filters_let_through_what_they_are_told, TEST_ON_REQUEST, LIMIT_MS)
{
        static const uint32_t needed[] = {NETDEV_CAN_PROMISCUOUS_BIT, NETDEV_CAN_ALL_MULTICAST_BIT,
                                          NETDEV_CAN_FILTER_MAC_BIT, NETDEV_CAN_FILTER_VLAN_BIT,
                                          NETDEV_CAN_SET_MAC_BIT};
        uint8_t old[NETDEV_MAC_BYTES], new[] = {0x52, 0x54, 0, 0x77, 0, 9};
        const char *why = open_loop(t);
        if (why != NULL)
                SKIP(why);
        for (uint32_t i = 0; i < ARRAY_COUNT(needed); i++)
                EXPECT_TRUE(netdev_can(&loop.netdev->capabilities, needed[i]));
        memcpy(old, loop.netdev->mac, sizeof(old));
        expect_modes(t);
        expect_vlans(t);
        EXPECT_OK(netdev_set_mac(loop.netdev, new));
        EXPECT_BYTES_EQ(loop.netdev->mac, new, sizeof(new));
        /* Twice: a restart sets everything again. */
        for (uint32_t life = 0; life < 2 && !test_has_failed(t); life++) {
                EXPECT_TRUE(passes(new));
                EXPECT_FALSE(passes(old));
                EXPECT_TRUE(passes(stranger));
                EXPECT_FALSE(passes(other_group));
                EXPECT_TRUE(passes_with_tag(6));
                EXPECT_FALSE(passes_with_tag(5));
                EXPECT_OK(netdev_restart(loop.netdev));
        }
        EXPECT_OK(netdev_set_mac(loop.netdev, old));
        EXPECT_TRUE(passes(old));
        EXPECT_FALSE(passes(new));
        close_loop(t);
}

/* By somebody at the emulator's monitor, who does so over and over. */
TEST_WITH(net_loop, announces_and_loses_the_link, TEST_ON_REQUEST, LIMIT_MS)
{
        const char *why = open_loop(t);
        if (why != NULL)
                SKIP(why);
        uint64_t deadline = time_deadline_after(seconds * NS_PER_SECOND);
        test_log(t, "waiting for an announcement, and for the link");
        while ((loop.announced == 0 || loop.went_down == 0 || loop.went_up == 0 ||
                !loop.netdev->link_up) &&
               EXPECT_FALSE(time_passed(deadline)))
                if (netdev_poll(loop.netdev, 0, POLL_BUDGET) == 0)
                        netdev_wait(loop.netdev, 0, deadline);
        EXPECT_EQ(netdev_counters(loop.netdev)->link_changes, loop.went_down + loop.went_up);
        test_log(t, "announced %u, down %u, up %u", loop.announced, loop.went_down, loop.went_up);
        close_loop(t);
}
