/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_test — both ends of a ring against the bytes and the truth tables of
 * spec/vmbus.md, (b) and (c). Where a test says "the peer", it writes the shared memory by hand.
 * The rules one by one are in tests/host/vmbus_ring_rules_test.c, heavy runs beside it. */
#include "tests/boot/vmbus_ring_rig.h"
#include "tests/expect.h"

#define LOOPBACK_PACKETS 2000u

TEST(vmbus_ring, ends_announce_themselves)
{
        struct rig rig;
        OPEN(rig, 1, 0);
        EXPECT_EQ(rig.memory.control->feature_bits, 1);
        EXPECT_EQ(rig.memory.control->interrupt_mask, 1);
        EXPECT_EQ(rig.memory.control->pending_send_size, 0);
        EXPECT_TRUE(vmbus_receiver_peer_sets_pending_size(&rig.receiver));
        rig.memory.control->feature_bits = 2;
        EXPECT_FALSE(vmbus_receiver_peer_sets_pending_size(&rig.receiver));
}

/* ---- bytes (b.8) ---- */

static const uint8_t vector_in_band[] = {
        6, 0, 2, 0, 3, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 1, 2, 3,
        4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0};
static const uint8_t vector_request[] = {
        6, 0, 2, 0, 3, 0, 1, 0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0xbb, 0xcc, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0x20, 0, 0, 0};
static const uint8_t vector_completion[] = {
        0xb, 0, 2, 0, 2, 0, 0, 0, 0x2a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0};
static const uint8_t vector_gpa_direct[] = {
        9, 0, 8, 0, 0xa, 0, 1, 0, 0x55, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0,
        0x10, 0, 0, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0x40,
        0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a,
        0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0, 0, 0, 0, 0x58, 0,
        0, 0};
static const uint8_t vector_transfer_pages[] = {
        7, 0, 5, 0, 6, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xca, 0, 0, 2, 0, 0, 0,
        0x3c, 0, 0, 0, 0, 0, 0, 0, 0xea, 5, 0, 0, 0xe, 7, 0, 0, 0x11, 0x11, 0x11, 0x11,
        0x11, 0x11, 0x11, 0x11, 0, 0, 0, 0, 0xb0, 0, 0, 0};

TEST(vmbus_ring, sender_writes_the_bytes_of_the_vectors)
{
        struct rig rig;
        OPEN(rig, 1, 0);
        memset(rig.memory.data, 0xee, 0x58); /* what is not written must not look written */
        rig.memory.control->interrupt_mask = 0;
        REQUIRE_EQ(put(&rig, VMBUS_SEND_IN_BAND, 0x1122334455667788, "\1\2\3\4\5\6\7\10", 8),
                   VMBUS_OK);
        EXPECT_EQ(rig.memory.control->in, 0);
        EXPECT_TRUE(commit(&rig));
        EXPECT_EQ(rig.memory.control->in, 0x20);
        REQUIRE_EQ(put(&rig, VMBUS_SEND_IN_BAND_REQUEST, 0x2a, "\xaa\xbb\xcc", 3), VMBUS_OK);
        EXPECT_FALSE(commit(&rig));
        EXPECT_EQ(rig.memory.control->in, 0x40);
        REQUIRE_EQ(put(&rig, VMBUS_SEND_COMPLETION, 0x2a, "", 0), VMBUS_OK);
        EXPECT_FALSE(commit(&rig));
        EXPECT_EQ(rig.memory.control->in, 0x58);
        EXPECT_BYTES_EQ(rig.memory.data, vector_in_band, sizeof(vector_in_band));
        EXPECT_BYTES_EQ(rig.memory.data + 0x20, vector_request, sizeof(vector_request));
        EXPECT_BYTES_EQ(rig.memory.data + 0x40, vector_completion, sizeof(vector_completion));
}

TEST(vmbus_ring, sender_wraps_as_the_vector)
{
        static const uint8_t before[] = {
                6, 0, 2, 0, 6, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5,
                6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        static const uint8_t after[] = {
                16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 0,
                0, 0, 0, 0xe0, 0x0f, 0, 0};
        uint8_t payload[32], copy[32];
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 0xfe0);
        for (uint32_t i = 0; i < sizeof(payload); i++)
                payload[i] = (uint8_t)i;
        REQUIRE_EQ(put(&rig, VMBUS_SEND_IN_BAND, 9, payload, sizeof(payload)), VMBUS_OK);
        EXPECT_FALSE(commit(&rig));
        EXPECT_EQ(rig.memory.control->in, 0x18);
        EXPECT_BYTES_EQ(rig.memory.data + 0xfe0, before, sizeof(before));
        EXPECT_BYTES_EQ(rig.memory.data, after, sizeof(after));
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_EQ(packet.payload.bytes, 32);
        REQUIRE_EQ(vmbus_receiver_copy(&rig.receiver, &packet.payload, copy, 32), VMBUS_OK);
        EXPECT_BYTES_EQ(copy, payload, 32);
        EXPECT_EQ(vmbus_receiver_copy(&rig.receiver, &packet.payload, copy, 31), VMBUS_RANGE_END);
}

/* Puts the bytes of a vector in the ring as the peer would, at 0, and publishes them. */
static void peer_put(struct rig *rig, const uint8_t *bytes, uint32_t count)
{
        memcpy(rig->memory.data, bytes, count);
        rig->memory.control->in = count;
}

TEST(vmbus_ring, receiver_decodes_the_vectors)
{
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 0);
        peer_put(&rig, vector_in_band, sizeof(vector_in_band));
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_EQ(packet.type, VMBUS_PACKET_IN_BAND);
        EXPECT_FALSE(packet.has_transaction_id || packet.completion_requested);
        EXPECT_EQ(packet.transaction_id, 0);
        EXPECT_EQ(packet.payload.offset, 16);
        EXPECT_EQ(packet.payload.bytes, 8);

        OPEN(rig, 1, 0);
        peer_put(&rig, vector_completion, sizeof(vector_completion));
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_EQ(packet.type, VMBUS_PACKET_COMPLETION);
        EXPECT_TRUE(packet.has_transaction_id && !packet.completion_requested);
        EXPECT_EQ(packet.transaction_id, 0x2a);
        EXPECT_EQ(packet.payload.bytes, 0);
        EXPECT_EQ(rig.from.next_out, 24);

        OPEN(rig, 1, 0);
        peer_put(&rig, vector_gpa_direct, sizeof(vector_gpa_direct));
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_EQ(packet.type, VMBUS_PACKET_GPA_DIRECT);
        EXPECT_TRUE(packet.has_transaction_id && packet.completion_requested);
        EXPECT_EQ(packet.range_count, 2);
        EXPECT_EQ(packet.ranges.offset, 24);
        EXPECT_EQ(packet.ranges.bytes, 40);
        EXPECT_EQ(packet.payload.offset, 64);
        EXPECT_EQ(packet.payload.bytes, 16);

        OPEN(rig, 1, 0);
        peer_put(&rig, vector_transfer_pages, sizeof(vector_transfer_pages));
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_EQ(packet.type, VMBUS_PACKET_TRANSFER_PAGES);
        EXPECT_EQ(packet.transfer_page_set_id, 0xcafe);
        EXPECT_EQ(packet.range_count, 2);
        EXPECT_EQ(packet.ranges.bytes, 16);
        EXPECT_EQ(packet.payload.bytes, 8);
        EXPECT_EQ(rig.from.next_out, 56);
}

/* ---- signals (c.2, c.3) ---- */

TEST(vmbus_ring, sender_signals_exactly_when_the_ring_was_empty_and_unmasked)
{
        for (uint32_t row = 0; row < 8; row++) {
                bool writes = row & 1, masked = row & 2, behind = row & 4;
                struct rig rig;
                OPEN(rig, 1, 4000);
                if (behind) {
                        REQUIRE_EQ(put_total(&rig, 48), VMBUS_OK);
                        commit(&rig);
                }
                rig.memory.control->interrupt_mask = masked ? 0x80000000 : 0; /* any but 0 */
                if (writes) {
                        REQUIRE_EQ(put_total(&rig, 64), VMBUS_OK);
                        REQUIRE_EQ(put_total(&rig, 64), VMBUS_OK);
                }
                EXPECT_EQ(commit(&rig), writes && !masked && !behind);
                EXPECT_FALSE(commit(&rig)); /* nothing new */
        }
}

TEST(vmbus_ring, receiver_signals_exactly_when_free_bytes_reach_the_pending_size)
{
        /* 4088 free when empty; 1000 + 2000 in use:
         * 1088 free, 2088 after the first is given back. */
        static const struct {
                uint32_t pending;
                bool signal;
        } rows[] = {{0, false},    {7, false},    {8, false},    {1088, false},      {1095, false},
                    {1096, true},  {1103, true},  {2000, true},  {2088, true},       {2095, true},
                    {2096, false}, {4088, false}, {4095, false}, {UINT32_MAX, false}};
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                struct vmbus_incoming packet;
                struct rig rig;
                OPEN(rig, 1, 2000);
                REQUIRE_EQ(put_total(&rig, 1000), VMBUS_OK);
                REQUIRE_EQ(put_total(&rig, 2000), VMBUS_OK);
                commit(&rig);
                rig.memory.control->pending_send_size = rows[i].pending;
                EXPECT_FALSE(give_back(&rig)); /* nothing read */
                REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
                EXPECT_EQ(give_back(&rig), rows[i].signal);
                EXPECT_EQ(rig.memory.control->out, 3000);
                EXPECT_EQ(rig.memory.control->pending_send_size, rows[i].pending);
        }
}

/* ---- all of it together ---- */

TEST(vmbus_ring, loopback_of_random_packets)
{
        static uint8_t bytes[512], copy[512];
        uint32_t sent = 0, received = 0;
        uint32_t sizes[8];
        struct rig rig;
        OPEN(rig, 1, 4056);
        for (uint32_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)world_random(t);
        while (received < LOOPBACK_PACKETS) { /* at most one round a packet: each round moves one */
                uint32_t batch = 1 + world_random_below(t, ARRAY_COUNT(sizes)), written = 0;
                for (; written < batch; written++) {
                        sizes[written] = world_random_below(t, 500);
                        if (put(&rig, VMBUS_SEND_COMPLETION, sent, bytes + (sent & 7),
                                sizes[written]) != VMBUS_OK)
                                break;
                        sent++;
                }
                REQUIRE_TRUE(written != 0);
                commit(&rig);
                for (uint32_t i = 0; i < written; i++, received++) {
                        struct vmbus_incoming packet;
                        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
                        REQUIRE_EQ(packet.transaction_id, received);
                        REQUIRE_EQ(packet.payload.bytes, VMBUS_ROUND8(sizes[i]));
                        REQUIRE_EQ(vmbus_receiver_copy(&rig.receiver, &packet.payload, copy,
                                                       sizeof(copy)),
                                   VMBUS_OK);
                        REQUIRE_TRUE(memcmp(copy, bytes + (received & 7), sizes[i]) == 0);
                }
                EXPECT_FALSE(give_back(&rig));
        }
        EXPECT_EQ(sent, received);
        EXPECT_EQ(rig.memory.control->in, rig.memory.control->out);
}
