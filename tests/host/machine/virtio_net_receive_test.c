/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_net against a device of ours: the edges of receiving. Which part is whose, frames of
 * several parts that come late or are given up, and the bounds of what a header may say. */
#include "tests/host/machine/virtio_net_checks.h"

#include <string.h>

#define LEGACY_HEADER 12u /* bytes without HASH_REPORT */

static const struct virtio_net_header plain;

static void start_with_mtu(struct test *t, uint64_t features, uint16_t mtu)
{
        rig_init(t, PAGES);
        rig.offered |= features | RIG_NET(MTU);
        memcpy(rig.config + VIRTIO_NET_CONFIG_MTU, &mtu, 2);
        REQUIRE_OK(rig_start(t));
}

/* Part i of a frame of `count` parts of 100 bytes each, with the pattern of `seed`. */
static void deliver_part(struct test *t, uint32_t seed, uint16_t count, uint32_t i)
{
        uint8_t bytes[LEGACY_HEADER + 100];
        uint32_t skipped = i == 0 ? LEGACY_HEADER : 0;
        memcpy(bytes, &(struct virtio_net_header){.buffer_count = count}, LEGACY_HEADER);
        for (uint32_t at = 0; at < 100; at++)
                bytes[skipped + at] = rig_byte(seed, 100 * i + at);
        EXPECT_TRUE(rig_deliver_raw(0, bytes, skipped + 100));
}

static void expect_all_parts_given(struct test *t)
{
        EXPECT_EQ(virtqueue_driver_in_flight(&rig_net.pairs[0].receive.ring),
                  rig_net.pairs[0].part_count);
}

/* ---- memory ---- */

/* An MTU whose longest frame fills a part to the byte, if the header were not. */
TEST(virtio_net_receive, header_has_room_beside_the_longest_frame)
{
        const uint32_t limit = 17 * VIRTIO_NET_PART_ALIGN;
        start_with_mtu(t, 0, (uint16_t)(limit - NETDEV_HEADER_BYTES - NETDEV_VLAN_TAG_BYTES));
        receive_one(t, plain, limit);
        expect_dropped(t, plain, limit + 1);
        rig_finish(t);
}

/* Of segments of UDP alone: that, too, wants room for the longest frame there is. */
TEST(virtio_net_receive, coalesced_udp_has_room)
{
        const uint64_t udp[] = {RIG_NET(GUEST_USO4), RIG_NET(GUEST_USO6)};
        struct virtio_net_header header = {.gso_type = VIRTIO_NET_GSO_UDP, .gso_bytes = 1000};
        for (uint32_t i = 0; i < ARRAY_COUNT(udp); i++) {
                start_with(t, RIG_NET(GUEST_CSUM) | udp[i] | RIG_NET(MRG_RXBUF));
                EXPECT_TRUE(netdev_can(&rig_card()->capabilities, NETDEV_CAN_COALESCE_BIT));
                receive_one(t, header, NETDEV_FRAME_BYTES_MAX);
                expect_dropped(t, header, NETDEV_FRAME_BYTES_MAX + 1);
                rig_finish(t);
        }
}

/* The ring of the next life is smaller: there are not more parts than it has entries. */
TEST(virtio_net_receive, smaller_ring_after_a_restart)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig_card()->capabilities.receive_depth, 16);
        rig.holds = true;
        receive_one(t, plain, 100);
        rig.queue_size = 8;
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, netdev_restart(rig_card()));
        EXPECT_EQ(rig.got[0].sum, rig_sum(0, 100));
        rig_release_all();
        EXPECT_OK(netdev_restart(rig_card()));
        EXPECT_EQ(rig_card()->capabilities.receive_depth, 8);
        EXPECT_EQ(rig_card()->capabilities.transmit_depth, 8);
        EXPECT_EQ(rig_card()->capabilities.receive_part_bytes,
                  rig_net.pairs[0].part_bytes - rig_net.header_bytes);
        expect_all_parts_given(t);
        receive_one(t, plain, 100);
        rig_finish(t);
}

/* ---- several parts ---- */

/* A whole frame and the beginning of the next in one poll; and again, with nothing left over. */
TEST(virtio_net_receive, half_a_frame_behind_whole_ones)
{
        start_with_mtu(t, RIG_NET(MRG_RXBUF), 7900);
        for (uint32_t round = 0; round < 3; round++) {
                uint32_t got = rig.got_count, seed = 10 * round;
                deliver_part(t, seed, 1, 0);
                deliver_part(t, seed + 1, 1, 0);
                deliver_part(t, seed + 2, 3, 0);
                rig_poll(0);
                EXPECT_EQ(rig.got_count, got + 2);
                deliver_part(t, seed + 2, 3, 1);
                rig_poll(0);
                deliver_part(t, seed + 2, 3, 2);
                deliver_part(t, seed + 3, 1, 0);
                rig_poll(0);
                REQUIRE_EQ(rig.got_count, got + 4);
                for (uint32_t i = 0; i < 4; i++)
                        EXPECT_EQ(rig.got[got + i].sum, rig_sum(seed + i, i == 2 ? 300 : 100));
                EXPECT_EQ(rig.got[got + 2].frame.buffer.buffer.part_count, 3);
        }
        expect_all_parts_given(t);
        rig_finish(t);
}

/* What the client holds it keeps over a restart, also of a frame that had waited for its parts. */
TEST(virtio_net_receive, held_frame_that_came_in_pieces)
{
        start_with_mtu(t, RIG_NET(MRG_RXBUF), 7900);
        rig.holds = true;
        for (uint32_t i = 0; i < 3; i++) {
                deliver_part(t, 4, 3, i);
                rig_poll(0);
        }
        REQUIRE_EQ(rig.got_count, 1);
        EXPECT_OK(netdev_restart(rig_card()));
        EXPECT_EQ(virtqueue_driver_in_flight(&rig_net.pairs[0].receive.ring),
                  rig_net.pairs[0].part_count - 3);
        while (rig_deliver(0, plain, 9, 1500))
                ; /* all that the device has, and nothing of what is held */
        for (uint32_t i = 0; i < 3; i++)
                EXPECT_EQ(rig_net.pairs[0].part_states[rig.got[0].frame.buffer.buffer.parts[i]
                                                               .buffer_id],
                          VIRTIO_NET_PART_CLIENT);
        rig_poll(0);
        rig_release_all();
        EXPECT_EQ(netdev_receive_held(rig_card()), 0);
        rig_finish(t);
}

/* A restart in the middle of a frame that was given up: the next frame is none of it. */
TEST(virtio_net_receive, restart_among_parts_of_no_use)
{
        start_with_mtu(t, RIG_NET(MRG_RXBUF), 1500);
        deliver_part(t, 1, 7, 0); /* six more belong to it */
        rig_poll(0);
        EXPECT_EQ(netdev_counters(rig_card())->total.receive_dropped, 1);
        EXPECT_OK(netdev_restart(rig_card()));
        receive_one(t, plain, 100);
        rig_finish(t);
}

/* Frames that are dropped take all their parts with them, and count once. */
TEST(virtio_net_receive, dropped_frames_take_their_parts)
{
        const struct virtio_net_header two = {.buffer_count = 2};
        start_with_mtu(t, RIG_NET(MRG_RXBUF), 1500);
        uint16_t all = (uint16_t)rig_net.pairs[0].part_count;
        for (uint16_t i = 0; i < all; i++) /* as many parts as there are: it may be so */
                deliver_part(t, 1, all, i);
        rig_poll(0);
        EXPECT_EQ(netdev_counters(rig_card())->total.receive_dropped, 1);
        receive_one(t, plain, 100);
        /* A first part with nothing behind its header. */
        EXPECT_TRUE(rig_deliver_raw(0, &two, LEGACY_HEADER));
        deliver_part(t, 2, 1, 0); /* its second */
        rig_poll(0);
        EXPECT_EQ(netdev_counters(rig_card())->total.receive_dropped, 2);
        EXPECT_EQ(rig.got_count, 1);
        receive_one(t, plain, 100);
        expect_all_parts_given(t);
        rig_finish(t);
}

/* ---- headers ---- */

TEST(virtio_net_receive, bounds_of_a_header)
{
        struct virtio_net_header header = {.flags = 4}; /* RSC_INFO: never negotiated */
        rig_init(t, PAGES);
        rig.offered |= RIG_NET(GUEST_CSUM) | RIG_NET(GUEST_TSO4) | RIG_NET(GUEST_ECN) |
                       RIG_NET(MRG_RXBUF);
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(receive_one(t, header, 100)->checksum, NETDEV_CHECKSUM_UNKNOWN);
        header = (struct virtio_net_header){.gso_type = VIRTIO_NET_GSO_ECN};
        expect_dropped(t, header, 100); /* ECN of no segments */
        header = (struct virtio_net_header){.gso_type = VIRTIO_NET_GSO_TCP4, .gso_bytes = 1448,
                                            .header_bytes = 3000};
        EXPECT_EQ(receive_one(t, header, 3000)->header_bytes, 3000);
        EXPECT_EQ(receive_one(t, header, 2999)->header_bytes, 0);
        receive_one(t, header, NETDEV_FRAME_BYTES_MAX);
        expect_dropped(t, header, NETDEV_FRAME_BYTES_MAX + 1);
        rig_finish(t);
}

/* The last kind of hash there is; and without the feature there is none, whatever was in the header
 * when there was. */
TEST(virtio_net_receive, hash_reports_of_another_life)
{
        struct virtio_net_header header = {.hash_value = 7,
                                           .hash_report = NETDEV_HASH_UDP_IPV6_EX};
        start_with(t, RIG_NET(CTRL_VQ) | RIG_NET(HASH_REPORT));
        EXPECT_EQ(receive_one(t, header, 100)->hash_type, NETDEV_HASH_UDP_IPV6_EX);
        EXPECT_EQ(receive_one(t, header, 100)->hash_value, 7);
        rig.offered &= ~RIG_NET(HASH_REPORT);
        EXPECT_OK(netdev_restart(rig_card()));
        const struct netdev_receive_info *info = receive_one(t, plain, 100);
        EXPECT_EQ(info->hash_type, NETDEV_HASH_NONE);
        EXPECT_EQ(info->hash_value, 0);
        EXPECT_EQ(info->head_bytes, LEGACY_HEADER);
        rig_finish(t);
}

/* ---- budgets ---- */

/* The last batch of a poll is what is left of its budget, either way. */
TEST(virtio_net_receive, budget_that_is_no_multiple_of_a_batch)
{
        const uint32_t sent = NETDEV_BATCH_MAX + 10, budget = NETDEV_BATCH_MAX + 1;
        rig_init(t, PAGES);
        rig.queue_size = RIG_QUEUE_SIZE_MAX;
        rig.offered |= RIG_F(INDIRECT_DESC);
        REQUIRE_OK(rig_start(t));
        for (uint32_t id = 0; id < sent; id++) {
                struct netdev_frame frame = rig_frame(t, id, id * 1024, 100, 1);
                EXPECT_OK(rig_send(0, &frame));
                EXPECT_TRUE(rig_deliver(0, plain, id, 60));
        }
        EXPECT_EQ(rig_serve(0), sent);
        EXPECT_EQ(netdev_poll(rig_card(), 0, budget), 2 * budget);
        EXPECT_EQ(rig.done_count, budget);
        EXPECT_EQ(rig.got_count, budget);
        EXPECT_EQ(netdev_poll(rig_card(), 0, budget), 2 * (sent - budget));
        EXPECT_EQ(netdev_counters(rig_card())->total.receive_starved, 0);
        rig_finish(t);
}
