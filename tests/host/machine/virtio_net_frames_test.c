/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_net against a device of ours: frames both ways, over every ring that can be negotiated,
 * and what a header may say of them. */
#include "tests/host/machine/virtio_net_checks.h"

#include <string.h>

#define ROUNDS 200

static const struct virtio_net_header plain;

#define RING_FEATURES                                                                              \
        (RIG_F(EVENT_IDX) | RIG_F(INDIRECT_DESC) | RIG_F(RING_PACKED) | RIG_F(IN_ORDER))

/* The subset of RING_FEATURES, MRG_RXBUF and HASH_REPORT with number `choice`, 0..63. */
static uint64_t chosen(uint32_t choice)
{
        const uint64_t features[] = {RIG_F(EVENT_IDX), RIG_F(INDIRECT_DESC), RIG_F(RING_PACKED),
                                     RIG_F(IN_ORDER), RIG_NET(MRG_RXBUF), RIG_NET(HASH_REPORT)};
        uint64_t some = 0;
        for (uint32_t i = 0; i < ARRAY_COUNT(features); i++)
                some |= choice >> i & 1 ? features[i] : 0;
        return some;
}

static void move_frames(struct test *t)
{
        uint64_t notifications = rig.notifications;
        for (uint32_t round = 0; round < ROUNDS && !test_has_failed(t); round++) {
                uint32_t bytes = 60 + world_random_below(t, 1455), got = rig.got_count;
                struct netdev_frame frame = rig_frame(t, round, (round % 32) * 2048, bytes,
                                                      1 + round % VMO_BUFFER_PARTS_MAX);
                REQUIRE_OK(rig_send(0, &frame));
                REQUIRE_EQ(rig_serve(0), 1);
                const struct rig_sent *sent = &rig.sent[(rig.sent_count - 1) % RIG_SENT_MAX];
                EXPECT_EQ(sent->bytes, bytes);
                EXPECT_EQ(sent->sum, rig_sum(round, bytes));
                EXPECT_EQ(sent->header.flags | sent->header.gso_type, 0);
                REQUIRE_TRUE(rig_deliver(0, plain, round + 7, bytes));
                EXPECT_GE(rig_poll(0), 1);
                REQUIRE_EQ(rig.got_count, got + 1);
                const struct rig_got *last = &rig.got[got % RIG_GOT_MAX];
                EXPECT_EQ(last->frame.buffer.buffer.length, bytes);
                EXPECT_EQ(last->frame.buffer.buffer.part_count, 1);
                EXPECT_EQ(last->sum, rig_sum(round + 7, bytes));
        }
        EXPECT_EQ(rig.done_count, ROUNDS);
        for (uint32_t i = 0; i < ROUNDS; i++) {
                EXPECT_EQ(rig.done_ids[i], i);
                EXPECT_STATUS(ZX_OK, rig.done_status[i]);
        }
        EXPECT_GT(rig.notifications, notifications);
}

TEST(virtio_net_frames, both_ways_over_every_ring)
{
        for (uint32_t choice = 0; choice < 64 && !test_has_failed(t); choice++) {
                start_with(t, chosen(choice) | RIG_NET(CTRL_VQ));
                EXPECT_EQ(rig_net.device.features, rig.offered);
                EXPECT_EQ(rig_net.pairs[0].receive.ring.packed,
                          (rig.offered & RIG_F(RING_PACKED)) != 0);
                move_frames(t);
                const struct netdev_counters *counters = netdev_counters(rig_card());
                EXPECT_EQ(counters->total.receive_frames, ROUNDS);
                EXPECT_EQ(counters->total.transmit_done, ROUNDS);
                EXPECT_EQ(counters->total.receive_bytes, counters->total.transmit_bytes);
                EXPECT_EQ(counters->total.receive_dropped + counters->faults, 0);
                rig_finish(t);
        }
}

/* ---- sending ---- */

/* One chain of so many elements; header and frame as given. */
static void expect_sent(struct test *t, const struct netdev_frame *frame, uint32_t elements)
{
        uint32_t id = frame->buffer.id;
        REQUIRE_OK(rig_send(0, frame));
        REQUIRE_EQ(rig_serve(0), 1);
        const struct rig_sent *sent = &rig.sent[(rig.sent_count - 1) % RIG_SENT_MAX];
        EXPECT_EQ(sent->elements, elements);
        EXPECT_EQ(sent->bytes, frame->buffer.buffer.length);
        EXPECT_EQ(sent->sum, rig_sum(id, sent->bytes));
}

TEST(virtio_net_frames, runs_of_memory_are_elements)
{
        rig_init(t, PAGES);
        rig.queue_size = 64;
        /* Every second page is taken, so that the client's are nowhere in a row. */
        struct list_node odd;
        list_init(&odd);
        for (uint64_t pa = RIG_BASE_PA + PAGE_BYTES; pa < RIG_BASE_PA + PAGES / 2 * PAGE_BYTES;
             pa += 2 * PAGE_BYTES) {
                struct list_node one;
                list_init(&one);
                if (pmm_alloc_range(&rig.pmm, pa, 1, &one) == ZX_OK)
                        list_splice_tail(&rig.taken, &one);
        }
        REQUIRE_OK(rig_start(t));
        struct netdev_frame inside = rig_frame(t, 1, 100, 1000, 1);
        expect_sent(t, &inside, 2);
        struct netdev_frame across = rig_frame(t, 2, PAGE_BYTES - 100, 1000, 1);
        expect_sent(t, &across, 3);
        struct netdev_frame four = rig_frame(t, 3, 2 * PAGE_BYTES - 50, 1400, 4);
        expect_sent(t, &four, 6);
        EXPECT_EQ(rig_poll(0), 3);
        rig_finish(t);
}

/* With room in front of the frame the header goes there, and a piece is saved. */
TEST(virtio_net_frames, header_in_front)
{
        start_with(t, RIG_NET(CSUM));
        uint32_t head = rig_card()->capabilities.transmit_head_bytes;
        EXPECT_EQ(head, 12);
        struct netdev_frame frame = rig_frame(t, 5, 2 * PAGE_BYTES + 64, 700, 2);
        frame.head_bytes = 64;
        frame.offload.checksum = true;
        frame.offload.checksum_start = 34;
        frame.offload.checksum_offset = 6;
        expect_sent(t, &frame, 2);
        const struct rig_sent *sent = &rig.sent[0];
        EXPECT_EQ(sent->header.flags, VIRTIO_NET_NEEDS_CHECKSUM);
        EXPECT_EQ(sent->header.checksum_start, 34);
        EXPECT_EQ(sent->header.checksum_offset, 6);
        frame.head_bytes = (uint16_t)(head - 1); /* not enough */
        expect_sent(t, &frame, 3);
        frame.head_bytes = 65; /* not in the page */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, rig_send(0, &frame));
        EXPECT_EQ(rig_poll(0), 2);
        rig_finish(t);
}

struct offload_case {
        struct netdev_offload offload;
        uint8_t gso_type;
};

TEST(virtio_net_frames, segmentation_headers)
{
        static const struct offload_case cases[] = {
                {{.checksum = true, .segmentation = NETDEV_SEGMENT_TSO4}, VIRTIO_NET_GSO_TCP4},
                {{.checksum = true, .segmentation = NETDEV_SEGMENT_TSO6}, VIRTIO_NET_GSO_TCP6},
                {{.checksum = true, .segmentation = NETDEV_SEGMENT_USO}, VIRTIO_NET_GSO_UDP},
                {{.checksum = true, .segmentation = NETDEV_SEGMENT_TSO4, .ecn = true},
                 VIRTIO_NET_GSO_TCP4 | VIRTIO_NET_GSO_ECN},
        };
        rig_init(t, PAGES);
        rig.queue_size = 64;
        rig.offered |= RIG_NET(CSUM) | RIG_NET(HOST_TSO4) | RIG_NET(HOST_TSO6) |
                       RIG_NET(HOST_ECN) | RIG_NET(HOST_USO);
        REQUIRE_OK(rig_start(t));
        for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
                struct netdev_frame frame = rig_frame(t, i, 10, 64000, 4);
                frame.offload = cases[i].offload;
                frame.offload.checksum_start = 34;
                frame.offload.checksum_offset = 16;
                frame.offload.segment_bytes = 1448;
                frame.offload.header_bytes = 66;
                REQUIRE_OK(rig_send(0, &frame));
                REQUIRE_EQ(rig_serve(0), 1);
                const struct rig_sent *sent = &rig.sent[i];
                EXPECT_EQ(sent->header.gso_type, cases[i].gso_type);
                EXPECT_EQ(sent->header.flags, VIRTIO_NET_NEEDS_CHECKSUM);
                EXPECT_EQ(sent->header.gso_bytes, 1448);
                EXPECT_EQ(sent->header.header_bytes, 66);
                EXPECT_EQ(sent->header.checksum_start, 34);
                EXPECT_EQ(sent->bytes, 64000);
                EXPECT_EQ(sent->sum, rig_sum(i, 64000));
        }
        EXPECT_EQ(rig_poll(0), ARRAY_COUNT(cases));
        rig_finish(t);
}

/* A card that can cut one kind of frames says so, takes those and no others. */
TEST(virtio_net_frames, each_kind_of_segmentation_alone)
{
        const uint64_t features[] = {[NETDEV_SEGMENT_TSO4] = RIG_NET(HOST_TSO4),
                                     [NETDEV_SEGMENT_TSO6] = RIG_NET(HOST_TSO6),
                                     [NETDEV_SEGMENT_USO] = RIG_NET(HOST_USO)};
        const uint32_t bits[] = {[NETDEV_SEGMENT_TSO4] = BIT_MASK(NETDEV_CAN_TSO4_BIT),
                                 [NETDEV_SEGMENT_TSO6] = BIT_MASK(NETDEV_CAN_TSO6_BIT),
                                 [NETDEV_SEGMENT_USO] = BIT_MASK(NETDEV_CAN_USO_BIT)};
        for (uint8_t can = NETDEV_SEGMENT_NONE; can < ARRAY_COUNT(features); can++) {
                uint32_t cuts = 0;
                rig_init(t, PAGES);
                rig.queue_size = 64;
                rig.offered |= RIG_NET(CSUM) | features[can];
                REQUIRE_OK(rig_start(t));
                for (uint8_t kind = NETDEV_SEGMENT_TSO4; kind < ARRAY_COUNT(features); kind++) {
                        struct netdev_frame frame = rig_frame(t, kind, 10, 20000, 1);
                        frame.offload = (struct netdev_offload){
                                .checksum = true, .segmentation = kind, .segment_bytes = 1000,
                                .header_bytes = 66};
                        cuts |= bits[kind];
                        EXPECT_STATUS(kind == can ? ZX_OK : ZX_ERR_NOT_SUPPORTED,
                                      rig_send(0, &frame));
                }
                EXPECT_EQ(rig_card()->capabilities.bits & cuts, bits[can]);
                EXPECT_EQ(rig_card()->capabilities.segmented_bytes_max,
                          can == NETDEV_SEGMENT_NONE ? 0 : NETDEV_FRAME_BYTES_MAX);
                EXPECT_EQ(rig_serve(0), can != NETDEV_SEGMENT_NONE);
                rig_poll(0);
                rig_finish(t);
        }
}

/* The largest frame in four regions of scattered pages: the most elements that there can be. */
TEST(virtio_net_frames, largest_segmented_frame)
{
        rig_init(t, PAGES);
        rig.queue_size = 32;
        rig.offered |= RIG_NET(CSUM) | RIG_NET(HOST_TSO4);
        REQUIRE_OK(rig_start(t));
        struct netdev_frame frame = rig_frame(t, 9, PAGE_BYTES - 1, NETDEV_FRAME_BYTES_MAX, 4);
        frame.offload = (struct netdev_offload){.checksum = true, .segment_bytes = 1,
                                                .segmentation = NETDEV_SEGMENT_TSO4,
                                                .header_bytes = 54};
        REQUIRE_OK(rig_send(0, &frame));
        EXPECT_EQ(rig_serve(0), 1);
        EXPECT_EQ(rig.sent[0].bytes, NETDEV_FRAME_BYTES_MAX);
        EXPECT_EQ(rig.sent[0].sum, rig_sum(9, NETDEV_FRAME_BYTES_MAX));
        EXPECT_LE(rig.sent[0].elements, 1 + NETDEV_SPANS_MAX);
        EXPECT_EQ(rig_poll(0), 1);
        rig_finish(t);
}

static void expect_refused(struct test *t, zx_status_t status, struct netdev_frame frame)
{
        EXPECT_STATUS(status, rig_send(0, &frame));
        EXPECT_EQ(netdev_transmit_in_flight(rig_card()), 0);
}

#define OFFLOAD(...) ((struct netdev_offload){__VA_ARGS__})

static struct netdev_frame with(struct netdev_frame frame, struct netdev_offload offload)
{
        frame.offload = offload;
        return frame;
}

TEST(virtio_net_frames, offloads_that_are_refused)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t)); /* a card that can do nothing */
        struct netdev_frame f = rig_frame(t, 1, 0, 200, 1);
        expect_refused(t, ZX_ERR_NOT_SUPPORTED, with(f, OFFLOAD(.checksum = true)));
        expect_refused(t, ZX_ERR_NOT_SUPPORTED, with(f, OFFLOAD(.vlan = true)));
        rig_finish(t);

        start_with(t, RIG_NET(CSUM) | RIG_NET(HOST_TSO4) | RIG_NET(HOST_USO));
        f = rig_frame(t, 1, 0, 200, 1);
        const struct netdev_offload good = {.checksum = true, .segment_bytes = 100,
                                            .segmentation = NETDEV_SEGMENT_TSO4,
                                            .header_bytes = 54};
        struct netdev_offload bad = good;
        bad.segmentation = NETDEV_SEGMENT_TSO6;
        expect_refused(t, ZX_ERR_NOT_SUPPORTED, with(f, bad));
        bad = good, bad.ecn = true;
        expect_refused(t, ZX_ERR_NOT_SUPPORTED, with(f, bad));
        bad.segmentation = NETDEV_SEGMENT_USO;
        expect_refused(t, ZX_ERR_INVALID_ARGS, with(f, bad));
        bad = good, bad.checksum = false;
        expect_refused(t, ZX_ERR_INVALID_ARGS, with(f, bad));
        bad = good, bad.segment_bytes = 0;
        expect_refused(t, ZX_ERR_INVALID_ARGS, with(f, bad));
        bad = good, bad.header_bytes = 0;
        expect_refused(t, ZX_ERR_INVALID_ARGS, with(f, bad));
        bad = good, bad.header_bytes = 201;
        expect_refused(t, ZX_ERR_INVALID_ARGS, with(f, bad));
        bad = good, bad.segmentation = NETDEV_SEGMENT_USO + 1;
        expect_refused(t, ZX_ERR_INVALID_ARGS, with(f, bad));
        bad = good, bad.checksum_start = 150, bad.checksum_offset = 49;
        expect_refused(t, ZX_ERR_INVALID_ARGS, with(f, bad));
        bad.checksum_start = UINT16_MAX, bad.checksum_offset = UINT16_MAX;
        expect_refused(t, ZX_ERR_INVALID_ARGS, with(f, bad));
        expect_refused(t, ZX_ERR_INVALID_ARGS, with(f, OFFLOAD(.ecn = true)));
        bad = good, bad.checksum_start = 150, bad.checksum_offset = 48;
        EXPECT_OK(rig_send(0, &(struct netdev_frame){f.buffer, bad, 0}));
        rig_serve(0);
        rig_poll(0);
        rig_finish(t);
}

TEST(virtio_net_frames, frames_that_are_refused)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        struct netdev_frame f = rig_frame(t, 1, 0, 1518, 1), bad;
        expect_refused(t, ZX_ERR_INVALID_ARGS, f); /* too long without a tag in it */
        const uint8_t tag[] = {0x81, 0x00};
        EXPECT_OK(vmo_write(rig.vmo, tag, 12, sizeof(tag)));
        EXPECT_OK(rig_send(0, &f));
        bad = rig_frame(t, 1, 0, 1519, 1);
        EXPECT_OK(vmo_write(rig.vmo, tag, 12, sizeof(tag)));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, rig_send(0, &bad));
        rig_serve(0);
        rig_poll(0);
        expect_refused(t, ZX_ERR_INVALID_ARGS, rig_frame(t, 1, 0, 13, 1));
        bad = rig_frame(t, 1, 0, 100, 2);
        bad.buffer.buffer.parts[1].region.vmo_id = 31;
        expect_refused(t, ZX_ERR_NOT_FOUND, bad);
        bad.buffer.buffer.parts[1].region.vmo_id = 32;
        expect_refused(t, ZX_ERR_NOT_FOUND, bad);
        bad = rig_frame(t, 1, 0, 100, 2);
        bad.buffer.buffer.parts[1].region.offset = 64 * PAGE_BYTES - 49;
        expect_refused(t, ZX_ERR_OUT_OF_RANGE, bad);
        bad.buffer.buffer.parts[1].region.offset = UINT64_MAX - 10;
        expect_refused(t, ZX_ERR_OUT_OF_RANGE, bad);
        bad = rig_frame(t, 1, 0, 100, 2);
        bad.buffer.buffer.part_count = 0;
        expect_refused(t, ZX_ERR_INVALID_ARGS, bad);
        bad.buffer.buffer.part_count = 5;
        expect_refused(t, ZX_ERR_INVALID_ARGS, bad);
        bad = rig_frame(t, 1, 0, 100, 2);
        bad.buffer.buffer.parts[1].region.length = 0;
        expect_refused(t, ZX_ERR_INVALID_ARGS, bad);
        bad.buffer.buffer.parts[1].region.length = 51; /* the sum says 100 */
        expect_refused(t, ZX_ERR_INVALID_ARGS, bad);
        bad = rig_frame(t, 1, 0, 100, 1);
        bad.buffer.buffer.store = NULL;
        expect_refused(t, ZX_ERR_INVALID_ARGS, bad);
        /* A good one in front of a bad one goes. */
        struct netdev_frame both[2] = {rig_frame(t, 7, 0, 100, 1), bad};
        uint32_t accepted;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, netdev_transmit(rig_card(), 0, both, 2, &accepted));
        EXPECT_EQ(accepted, 1);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, netdev_transmit(rig_card(), 1, both, 1, &accepted));
        EXPECT_EQ(rig_serve(0), 1);
        rig_poll(0);
        rig_finish(t);
}

/* A flood meets ZX_ERR_SHOULD_WAIT, loses nothing, and goes on when there is room.
 * The device answers as late as it can: with IN_ORDER it has one used entry for all of them. */
static void flood(struct test *t, uint64_t features)
{
        uint32_t sent = 0, refused = 0;
        start_with(t, features);
        while (rig.done_count < 500 && !test_has_failed(t)) {
                struct netdev_frame frame = rig_frame(t, sent, (sent % 32) * 2048, 64, 1);
                zx_status_t status = rig_send(0, &frame);
                if (status == ZX_OK) {
                        sent++;
                        continue;
                }
                EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, status);
                refused++;
                EXPECT_GT(rig_serve(0), 0);
                EXPECT_GT(rig_poll(0), 0);
        }
        EXPECT_GT(refused, 10);
        EXPECT_EQ(netdev_counters(rig_card())->total.transmit_full, refused);
        EXPECT_EQ(netdev_transmit_in_flight(rig_card()), sent - rig.done_count);
        for (uint32_t i = 0; i < 500; i++)
                EXPECT_EQ(rig.done_ids[i], i);
        rig_serve(0);
        rig_poll(0);
        rig_finish(t);
}

TEST(virtio_net_frames, flood)
{
        const uint64_t rings[] = {0, RIG_F(IN_ORDER), RIG_F(RING_PACKED),
                                  RIG_F(RING_PACKED) | RIG_F(IN_ORDER),
                                  RIG_F(INDIRECT_DESC) | RIG_F(IN_ORDER)};
        for (uint32_t i = 0; i < ARRAY_COUNT(rings) && !test_has_failed(t); i++)
                flood(t, rings[i]);
}

/* ---- receiving ---- */

TEST(virtio_net_frames, lengths_that_are_none)
{
        uint8_t bytes[40] = {0};
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        for (uint32_t length = 0; length < 12 + NETDEV_HEADER_BYTES; length++) {
                EXPECT_TRUE(rig_deliver_raw(0, bytes, length));
                rig_poll(0);
        }
        EXPECT_EQ(netdev_counters(rig_card())->total.receive_dropped, 26);
        expect_dropped(t, plain, 1500 + 14 + 4 + 1);
        receive_one(t, plain, 1500 + 14 + 4);
        receive_one(t, plain, 14);
        rig_finish(t);
}

TEST(virtio_net_frames, checksums_that_were_looked_at)
{
        struct virtio_net_header partial = {.flags = VIRTIO_NET_NEEDS_CHECKSUM,
                                            .checksum_start = 34, .checksum_offset = 6};
        struct virtio_net_header valid = {.flags = VIRTIO_NET_DATA_VALID};
        start_with(t, RIG_NET(GUEST_CSUM));
        EXPECT_EQ(receive_one(t, plain, 100)->checksum, NETDEV_CHECKSUM_UNKNOWN);
        EXPECT_EQ(receive_one(t, valid, 100)->checksum, NETDEV_CHECKSUM_VALID);
        const struct netdev_receive_info *info = receive_one(t, partial, 100);
        EXPECT_EQ(info->checksum, NETDEV_CHECKSUM_PARTIAL);
        EXPECT_EQ(info->checksum_start, 34);
        EXPECT_EQ(info->checksum_offset, 6);
        receive_one(t, partial, 42);
        expect_dropped(t, partial, 41); /* the field is not in the frame */
        partial.checksum_start = partial.checksum_offset = UINT16_MAX;
        expect_dropped(t, partial, 1000);
        rig_finish(t);

        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t)); /* without the feature, flags mean nothing */
        EXPECT_EQ(receive_one(t, partial, 100)->checksum, NETDEV_CHECKSUM_UNKNOWN);
        EXPECT_EQ(receive_one(t, valid, 100)->checksum, NETDEV_CHECKSUM_UNKNOWN);
        rig_finish(t);
}

#define LRO (RIG_NET(GUEST_CSUM) | RIG_NET(GUEST_TSO4) | RIG_NET(GUEST_TSO6))

TEST(virtio_net_frames, coalesced_frames)
{
        struct virtio_net_header header = {.gso_type = VIRTIO_NET_GSO_TCP4, .gso_bytes = 1448,
                                           .header_bytes = 66};
        start_with(t, LRO | RIG_NET(MRG_RXBUF) | RIG_NET(GUEST_ECN));
        const struct netdev_receive_info *info = receive_one(t, header, 30000);
        EXPECT_EQ(info->segmentation, NETDEV_SEGMENT_TSO4);
        EXPECT_EQ(info->segment_bytes, 1448);
        EXPECT_EQ(info->header_bytes, 66);
        EXPECT_FALSE(info->ecn);
        header.gso_type |= VIRTIO_NET_GSO_ECN;
        EXPECT_TRUE(receive_one(t, header, 30000)->ecn);
        header.gso_type = VIRTIO_NET_GSO_TCP6;
        header.header_bytes = 30001; /* a wish of the device's only */
        info = receive_one(t, header, 30000);
        EXPECT_EQ(info->segmentation, NETDEV_SEGMENT_TSO6);
        EXPECT_EQ(info->header_bytes, 0);
        receive_one(t, header, NETDEV_FRAME_BYTES_MAX);
        header.gso_bytes = 0;
        expect_dropped(t, header, 3000);
        header.gso_bytes = 1448;
        header.gso_type = VIRTIO_NET_GSO_UDP; /* not negotiated */
        expect_dropped(t, header, 3000);
        header.gso_type = 3; /* UFO: never */
        expect_dropped(t, header, 3000);
        header.gso_type = VIRTIO_NET_GSO_ECN;
        expect_dropped(t, header, 3000);
        expect_dropped(t, plain, 1519); /* no segments, and longer than the MTU */
        rig_finish(t);

        const uint64_t udp[] = {RIG_NET(GUEST_USO4), RIG_NET(GUEST_USO6)};
        for (uint32_t i = 0; i < ARRAY_COUNT(udp); i++) { /* either says it of both */
                start_with(t, LRO | udp[i] | RIG_NET(GUEST_ECN) | RIG_NET(MRG_RXBUF));
                header.gso_type = VIRTIO_NET_GSO_UDP;
                EXPECT_EQ(receive_one(t, header, 3000)->segmentation, NETDEV_SEGMENT_USO);
                header.gso_type |= VIRTIO_NET_GSO_ECN; /* that is TCP's */
                expect_dropped(t, header, 3000);
                rig_finish(t);
        }
        start_with(t, LRO | RIG_NET(MRG_RXBUF));
        header.gso_type = VIRTIO_NET_GSO_TCP4 | VIRTIO_NET_GSO_ECN; /* not negotiated */
        expect_dropped(t, header, 3000);
        rig_finish(t);
}

TEST(virtio_net_frames, hash_reports)
{
        struct virtio_net_header header = {.hash_value = 0x51ccc178,
                                           .hash_report = NETDEV_HASH_TCP_IPV4};
        start_with(t, RIG_NET(CTRL_VQ) | RIG_NET(HASH_REPORT));
        const struct netdev_receive_info *info = receive_one(t, header, 100);
        EXPECT_EQ(info->hash_type, NETDEV_HASH_TCP_IPV4);
        EXPECT_EQ(info->hash_value, 0x51ccc178);
        EXPECT_EQ(info->head_bytes, 20);
        header.hash_report = 10; /* there is no such number */
        EXPECT_EQ(receive_one(t, header, 100)->hash_type, NETDEV_HASH_NONE);
        rig_finish(t);
}

/* ---- several parts ---- */

TEST(virtio_net_frames, parts_of_a_frame)
{
        uint16_t mtu = 7900;
        rig_init(t, PAGES);
        rig.offered |= RIG_NET(MRG_RXBUF) | RIG_NET(MTU);
        memcpy(rig.config + VIRTIO_NET_CONFIG_MTU, &mtu, 2);
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig_card()->mtu, 7900);
        rig.holds = true;
        uint32_t part_bytes = rig_net.pairs[0].part_bytes;
        EXPECT_TRUE(rig_deliver(0, plain, 1, 5000));
        EXPECT_TRUE(rig_deliver(0, plain, 2, part_bytes - 12)); /* fills one exactly */
        EXPECT_TRUE(rig_deliver(0, plain, 3, part_bytes - 11)); /* one byte more */
        EXPECT_TRUE(rig_deliver(0, plain, 4, 7900 + 18));
        rig_poll(0);
        REQUIRE_EQ(rig.got_count, 4);
        const uint32_t lengths[] = {5000, part_bytes - 12, part_bytes - 11, 7918};
        const uint32_t parts[] = {3, 1, 2, 4};
        for (uint32_t i = 0; i < 4; i++) {
                const struct vmo_buffer *buffer = &rig.got[i].frame.buffer.buffer;
                EXPECT_EQ(buffer->length, lengths[i]);
                EXPECT_EQ(buffer->part_count, parts[i]);
                EXPECT_EQ(rig.got[i].sum, rig_sum(i + 1, lengths[i]));
                EXPECT_EQ(buffer->parts[0].region.offset % part_bytes, 12);
        }
        EXPECT_EQ(netdev_receive_held(rig_card()), 10);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, netdev_detach(rig_card()));
        /* A window on each part, where its bytes are. */
        for (uint32_t i = 0; i < 3; i++)
                EXPECT_TRUE(netdev_window(rig_card(),
                                          rig.got[0].frame.buffer.buffer.parts[i].region) != NULL);
        rig_release_all();
        EXPECT_EQ(netdev_receive_held(rig_card()), 0);
        rig_finish(t);
}

/* Some parts are seen before the others are there: the frame waits. */
TEST(virtio_net_frames, parts_one_by_one)
{
        uint8_t bytes[2048] = {0};
        struct virtio_net_header header = {.buffer_count = 3};
        uint16_t mtu = 7900;
        rig_init(t, PAGES);
        rig.offered |= RIG_NET(MRG_RXBUF) | RIG_NET(MTU);
        memcpy(rig.config + VIRTIO_NET_CONFIG_MTU, &mtu, 2);
        REQUIRE_OK(rig_start(t));
        memcpy(bytes, &header, 12);
        for (uint32_t i = 12; i < sizeof(bytes); i++)
                bytes[i] = rig_byte(6, i - 12);
        EXPECT_TRUE(rig_deliver_raw(0, bytes, 1000));
        EXPECT_EQ(rig_poll(0), 1);
        EXPECT_EQ(rig.got_count, 0);
        EXPECT_TRUE(rig_deliver_raw(0, bytes + 1000, 500));
        EXPECT_EQ(rig_poll(0), 1);
        EXPECT_EQ(rig.got_count, 0);
        EXPECT_TRUE(rig_deliver_raw(0, bytes + 1500, 548));
        rig_poll(0);
        REQUIRE_EQ(rig.got_count, 1);
        EXPECT_EQ(rig.got[0].sum, rig_sum(6, 2048 - 12));
        /* Stopped in the middle of one: nothing is lost. */
        EXPECT_TRUE(rig_deliver_raw(0, bytes, 1000));
        rig_poll(0);
        EXPECT_OK(netdev_restart(rig_card()));
        EXPECT_EQ(virtqueue_driver_in_flight(&rig_net.pairs[0].receive.ring),
                  rig_net.pairs[0].part_count);
        receive_one(t, plain, 100);
        rig_finish(t);
}

TEST(virtio_net_frames, counts_of_parts_that_are_none)
{
        uint8_t bytes[100] = {0};
        struct virtio_net_header header = {0};
        start_with(t, RIG_NET(MRG_RXBUF));
        const uint16_t useless[] = {0, 17, UINT16_MAX}; /* more than there are parts */
        for (uint32_t i = 0; i < ARRAY_COUNT(useless); i++) {
                header.buffer_count = useless[i];
                memcpy(bytes, &header, 12);
                EXPECT_TRUE(rig_deliver_raw(0, bytes, sizeof(bytes)));
                rig_poll(0);
                EXPECT_EQ(netdev_counters(rig_card())->total.receive_dropped, i + 1);
        }
        receive_one(t, plain, 100);
        /* Five parts are one too many: all five go, and the next frame is one again. */
        header.buffer_count = 5;
        memcpy(bytes, &header, 12);
        for (uint32_t i = 0; i < 5; i++)
                EXPECT_TRUE(rig_deliver_raw(0, bytes, sizeof(bytes)));
        rig_poll(0);
        EXPECT_EQ(netdev_counters(rig_card())->total.receive_dropped, 4);
        receive_one(t, plain, 100);
        /* So is a part with nothing in it. */
        header.buffer_count = 3;
        memcpy(bytes, &header, 12);
        EXPECT_TRUE(rig_deliver_raw(0, bytes, sizeof(bytes)));
        EXPECT_TRUE(rig_deliver_raw(0, bytes, 0));
        EXPECT_TRUE(rig_deliver_raw(0, bytes, sizeof(bytes)));
        rig_poll(0);
        EXPECT_EQ(netdev_counters(rig_card())->total.receive_dropped, 5);
        receive_one(t, plain, 100);
        EXPECT_EQ(virtqueue_driver_in_flight(&rig_net.pairs[0].receive.ring),
                  rig_net.pairs[0].part_count);
        rig_finish(t);
}

/* ---- clients ---- */

/* The device runs out of parts, nothing breaks, and all flows again after a release. */
TEST(virtio_net_frames, client_that_does_not_release)
{
        uint32_t delivered = 0;
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        rig.holds = true;
        while (rig_deliver(0, plain, delivered, 60))
                delivered++;
        EXPECT_EQ(delivered, rig_net.pairs[0].part_count);
        while (rig_poll(0) != 0)
                ;
        EXPECT_EQ(rig.got_count, delivered);
        EXPECT_FALSE(rig_deliver(0, plain, 0, 60));
        EXPECT_GT(netdev_counters(rig_card())->total.receive_starved, 0);
        for (uint32_t i = 0; i < delivered; i++) /* none was overwritten */
                EXPECT_EQ(rig.got[i].sum, rig_sum(i, 60));
        rig_release_all();
        receive_one(t, plain, 60);
        rig_release_all();
        rig_finish(t);
}

/* The device reads and writes the memory that the client names and sees: what changes there after
 * the call, and after the frame was handed up, is seen by the other one. */
TEST(virtio_net_frames, nothing_is_copied)
{
        const uint8_t changed = 0xa5;
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        struct netdev_frame frame = rig_frame(t, 1, PAGE_BYTES - 40, 300, 3);
        REQUIRE_OK(rig_send(0, &frame));
        for (uint32_t at = 0; at < 300; at++)
                EXPECT_OK(vmo_write(rig.vmo, &changed, PAGE_BYTES - 40 + at, 1));
        EXPECT_EQ(rig_serve(0), 1);
        for (uint32_t at = 0; at < RIG_SHORT_BYTES; at++)
                EXPECT_EQ(rig.sent[0].start[at], changed);
        rig.holds = true;
        REQUIRE_TRUE(rig_deliver(0, plain, 2, 300));
        EXPECT_EQ(rig_poll(0), 2);
        uint8_t *written = rig.last_written;
        const struct vmo_buffer *buffer = &rig.got[0].frame.buffer.buffer;
        EXPECT_EQ(netdev_window(rig_card(), buffer->parts[0].region),
                  written + rig_net.header_bytes);
        rig_finish(t);
}

/* What came is sent back from where it lies: no byte is copied. */
TEST(virtio_net_frames, echo_in_place)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        rig.holds = true;
        receive_one(t, plain, 300);
        const struct netdev_received *frame = &rig.got[0].frame;
        struct netdev_frame back = {.head_bytes = frame->info.head_bytes};
        struct tx_request request = {.id = 77, .region_count = 1,
                                     .regions = &frame->buffer.buffer.parts[0].region};
        EXPECT_OK(vmo_store_make_tx_buffer(&rig_card()->store, &request, false, &back.buffer));
        EXPECT_OK(rig_send(0, &back));
        EXPECT_EQ(rig_serve(0), 1);
        EXPECT_EQ(rig.sent[0].sum, rig_sum(0, 300));
        EXPECT_EQ(rig.sent[0].elements, 1);
        EXPECT_EQ(rig_poll(0), 1);
        EXPECT_EQ(rig.done_ids[0], 77);
        rig_finish(t);
}
