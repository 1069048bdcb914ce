/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of drivers/hyperv/rndis.c: what goes out, byte for byte, and every rule
 * that what comes in can break. Messages are built by hand from spec/vmbus.md, f.6. */
#include "drivers/hyperv/rndis.h"
#include "tests/expect.h"

#include "base/bytes.h"

#define MESSAGE_WORDS 38 /* of the good packet: what reads on is seen by the sanitizer */

/* ---- out ---- */

TEST(rndis, a_plain_packet_has_forty_four_bytes_in_front)
{
        uint32_t out[RNDIS_PACKET_HEADER_BYTES_MAX / 4];
        struct rndis_transmit_info info = {0};
        memset(out, 0xee, sizeof(out));
        EXPECT_EQ(rndis_put_packet(out, &info, 60), 44);
        const uint32_t golden[] = {1, 104, 36, 60, 0, 0, 0, 0, 0, 0, 0};
        EXPECT_EQ(memcmp(out, golden, sizeof(golden)), 0);
        EXPECT_EQ(out[11], 0xeeeeeeee);
}

TEST(rndis, checksum_and_vlan_are_elements_behind_the_header)
{
        uint32_t out[RNDIS_PACKET_HEADER_BYTES_MAX / 4];
        struct rndis_transmit_info info = {.has_checksum = true,
                                           .udp = true,
                                           .transport_offset = 34,
                                           .has_vlan = true,
                                           .vlan_tci = 5 << 13 | 1 << 12 | 0x123};
        EXPECT_EQ(rndis_put_packet(out, &info, 100), 76);
        const uint32_t golden[] = {1,
                                   176,
                                   68,
                                   100,
                                   0,
                                   0,
                                   0,
                                   36,
                                   32,
                                   0,
                                   0,
                                   16,
                                   0,
                                   12,
                                   1 | 8 | 34 << 16, /* IPv4, UDP, transport header */
                                   16,
                                   6,
                                   12,
                                   5 | 8 | 0x123 << 4};
        EXPECT_EQ(memcmp(out, golden, sizeof(golden)), 0);
}

TEST(rndis, segmentation_stands_for_the_checksum_as_well)
{
        uint32_t out[RNDIS_PACKET_HEADER_BYTES_MAX / 4];
        struct rndis_transmit_info info = {.has_checksum = true,
                                           .has_segment = true,
                                           .ipv6 = true,
                                           .transport_offset = 54,
                                           .segment_bytes = 1440};
        EXPECT_EQ(rndis_put_packet(out, &info, 30000), 60);
        EXPECT_EQ(out[7], 36);
        EXPECT_EQ(out[8], 16);
        EXPECT_EQ(out[12], 2);
        EXPECT_EQ(out[14], 1440u | 54u << 20 | 1u << 30 | 1u << 31);
}

TEST(rndis, questions_have_their_information_behind_them)
{
        uint32_t out[16], filter = 0x0d;
        EXPECT_EQ(rndis_put_initialize(out, 7, 0x4000), 24);
        const uint32_t initialize[] = {2, 24, 7, 1, 0, 0x4000};
        EXPECT_EQ(memcmp(out, initialize, sizeof(initialize)), 0);
        struct rndis_request query = {
                .type = RNDIS_QUERY, .request_id = 8, .oid = RNDIS_OID_802_3_PERMANENT_ADDRESS};
        EXPECT_EQ(rndis_put_request(out, &query), 28);
        const uint32_t asked[] = {4, 28, 8, 0x01010101, 0, 0, 0};
        EXPECT_EQ(memcmp(out, asked, sizeof(asked)), 0);
        struct rndis_request set = {.type = RNDIS_SET,
                                    .request_id = 9,
                                    .oid = RNDIS_OID_GEN_CURRENT_PACKET_FILTER,
                                    .information = &filter,
                                    .information_bytes = sizeof(filter)};
        EXPECT_EQ(rndis_put_request(out, &set), 32);
        const uint32_t changed[] = {5, 32, 9, 0x0001010e, 4, 20, 0, 0x0d};
        EXPECT_EQ(memcmp(out, changed, sizeof(changed)), 0);
        EXPECT_EQ(rndis_put_halt(out, 10), 12);
        EXPECT_EQ(out[0], 3);
        EXPECT_EQ(rndis_put_keepalive_complete(out, 11), 16);
        const uint32_t alive[] = {0x80000008, 16, 11, 0};
        EXPECT_EQ(memcmp(out, alive, sizeof(alive)), 0);
}

/* ---- in: packets ---- */

/* A frame of 60 bytes behind three elements: receive checksum, VLAN, an unknown one. */
static uint32_t good_packet(uint32_t message[MESSAGE_WORDS])
{
        static const uint32_t words[] = {
                1,
                0,
                36 + 16 + 16 + 20,
                60,
                0,
                0,
                0,
                36,
                52,
                0,
                0,
                16,
                0,
                12,
                BIT_MASK(RNDIS_RECEIVED_TCP_OK_BIT),
                16,
                6,
                12,
                3 | 0x7ff << 4,
                20,
                0x1234,
                16,
                0xdead,
                0xbeef,
        };
        memset(message, 0, MESSAGE_WORDS * sizeof(uint32_t));
        memcpy(message, words, sizeof(words));
        message[1] = sizeof(words) + 60;
        return message[1];
}

static enum rndis_result take(const uint32_t *message, uint32_t bytes, struct rndis_packet *packet)
{
        uint32_t type, length;
        enum rndis_result result = rndis_take_header(message, bytes, &type, &length);
        return result != RNDIS_OK ? result : rndis_take_packet(message, length, packet);
}

TEST(rndis, a_good_packet_is_taken_apart)
{
        uint32_t message[MESSAGE_WORDS];
        struct rndis_packet packet;
        uint32_t bytes = good_packet(message);
        REQUIRE_EQ(take(message, bytes, &packet), RNDIS_OK);
        EXPECT_EQ(packet.data_offset, 96);
        EXPECT_EQ(packet.data_bytes, 60);
        EXPECT_TRUE(packet.has_checksum);
        EXPECT_EQ(packet.checksum, 8);
        EXPECT_TRUE(packet.has_vlan);
        EXPECT_EQ(packet.vlan_tci, 3 << 13 | 0x7ff);
        EXPECT_FALSE(packet.has_hash);
        EXPECT_FALSE(packet.has_segment);
        EXPECT_FALSE(packet.has_piece);
        /* More bytes in the range than the message has are no fault. */
        EXPECT_EQ(take(message, bytes + 8, &packet), RNDIS_OK);
}

TEST(rndis, hash_and_pieces_are_noted)
{
        uint32_t message[MESSAGE_WORDS];
        struct rndis_packet packet;
        uint32_t bytes = good_packet(message);
        message[12] = 8; /* the first element becomes a hash, the second a piece */
        message[16] = 0x80000001;
        message[18] = 1 | 7 << 8 | 0xabcdu << 16;
        REQUIRE_EQ(take(message, bytes, &packet), RNDIS_OK);
        EXPECT_TRUE(packet.has_hash);
        EXPECT_EQ(packet.hash, 8);
        EXPECT_TRUE(packet.has_piece);
        EXPECT_EQ(packet.piece_flags, 7);
        EXPECT_EQ(packet.piece_id, 0xabcd);
        EXPECT_FALSE(packet.has_vlan);
}

/* One word of the good packet changed, and the rule that this breaks. */
struct broken {
        uint8_t word;
        uint32_t value;
        enum rndis_result result;
};

static const struct broken broken_packets[] = {
        {1, 7, RNDIS_LENGTH_TOO_SMALL},
        {1, 0, RNDIS_LENGTH_TOO_SMALL},
        {1, 43, RNDIS_LENGTH_TOO_SMALL},
        {1, 157, RNDIS_LENGTH_TOO_LARGE},
        {1, UINT32_MAX, RNDIS_LENGTH_TOO_LARGE},
        {2, 35, RNDIS_DATA_OUTSIDE}, /* in the header */
        {2, 89, RNDIS_DATA_OUTSIDE}, /* the last byte is one behind the end */
        {2, UINT32_MAX, RNDIS_DATA_OUTSIDE},
        {2, UINT32_MAX - 7, RNDIS_DATA_OUTSIDE},
        {3, 61, RNDIS_DATA_OUTSIDE},
        {3, UINT32_MAX, RNDIS_DATA_OUTSIDE},
        {3, 0, RNDIS_DATA_EMPTY},
        {5, 1, RNDIS_OOB_DATA},
        {6, 1, RNDIS_OOB_DATA},
        {9, 1, RNDIS_OOB_DATA},
        {7, 32, RNDIS_INFO_OUTSIDE},
        {7, 149, RNDIS_INFO_OUTSIDE},
        {7, UINT32_MAX, RNDIS_INFO_OUTSIDE},
        {8, 113, RNDIS_INFO_OUTSIDE},
        {8, 8, RNDIS_INFO_SIZE},  /* less than an element */
        {8, 56, RNDIS_INFO_SIZE}, /* a rest that is none */
        {11, 0, RNDIS_INFO_SIZE}, /* would never end */
        {11, 8, RNDIS_INFO_SIZE},
        {11, 14, RNDIS_INFO_SIZE},
        {11, 56, RNDIS_INFO_SIZE},
        {11, UINT32_MAX, RNDIS_INFO_SIZE},
        {13, 11, RNDIS_INFO_OFFSET},
        {13, 17, RNDIS_INFO_OFFSET},
        {21, UINT32_MAX, RNDIS_INFO_OFFSET},
};

TEST(rndis, each_rule_of_a_packet_can_be_broken)
{
        uint32_t message[MESSAGE_WORDS];
        struct rndis_packet packet;
        for (size_t i = 0; i < ARRAY_COUNT(broken_packets); i++) {
                const struct broken *broken = &broken_packets[i];
                uint32_t bytes = good_packet(message);
                message[broken->word] = broken->value;
                EXPECT_EQ(take(message, bytes, &packet), broken->result);
        }
        for (uint32_t bytes = 0; bytes < RNDIS_HEADER_BYTES; bytes++)
                EXPECT_EQ(take(message, bytes, &packet), RNDIS_NO_HEADER);
}

/* An element may have no data, and a known one with less than a word of them
 * says nothing. */
TEST(rndis, an_element_without_data_says_nothing)
{
        uint32_t message[MESSAGE_WORDS];
        struct rndis_packet packet;
        uint32_t bytes = good_packet(message);
        message[13] = 16;
        REQUIRE_EQ(take(message, bytes, &packet), RNDIS_OK);
        EXPECT_FALSE(packet.has_checksum);
        EXPECT_TRUE(packet.has_vlan);
}

/* ---- in: answers ---- */

TEST(rndis, an_initialize_is_answered)
{
        const uint32_t message[] = {0x80000002, 52, 7, 0, 1, 0, 1, 0, 8, 0xefffffff, 3, 0, 0};
        struct rndis_control control;
        REQUIRE_EQ(rndis_take_control(message, sizeof(message), &control), RNDIS_OK);
        EXPECT_EQ(control.type, RNDIS_INITIALIZE | RNDIS_COMPLETE);
        EXPECT_EQ(control.request_id, 7);
        EXPECT_EQ(control.status, 0);
        EXPECT_EQ(control.packets_max, 8);
        EXPECT_EQ(control.transfer_bytes_max, 0xefffffff);
        EXPECT_EQ(control.alignment_log2, 3);
        for (uint32_t bytes = RNDIS_HEADER_BYTES; bytes < sizeof(message); bytes++)
                EXPECT_EQ(rndis_take_control(message, bytes, &control), RNDIS_LENGTH_TOO_LARGE);
}

TEST(rndis, an_answer_brings_its_information)
{
        uint32_t message[] = {0x80000004, 32, 9, 0, 6, 16, 0x33221100, 0x5544};
        struct rndis_control control;
        REQUIRE_EQ(rndis_take_control(message, sizeof(message), &control), RNDIS_OK);
        const uint8_t mac[] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55};
        REQUIRE_EQ(control.information_bytes, sizeof(mac));
        EXPECT_EQ(memcmp(control.information, mac, sizeof(mac)), 0);
        message[5] = 15; /* in the header */
        EXPECT_EQ(rndis_take_control(message, sizeof(message), &control),
                  RNDIS_INFORMATION_OUTSIDE);
        message[5] = 19; /* one byte behind the end */
        EXPECT_EQ(rndis_take_control(message, sizeof(message), &control),
                  RNDIS_INFORMATION_OUTSIDE);
        message[5] = UINT32_MAX - 3;
        EXPECT_EQ(rndis_take_control(message, sizeof(message), &control),
                  RNDIS_INFORMATION_OUTSIDE);
        message[5] = 16;
        message[4] = 9;
        EXPECT_EQ(rndis_take_control(message, sizeof(message), &control),
                  RNDIS_INFORMATION_OUTSIDE);
        /* A question that failed has no information, whatever the fields say. */
        message[3] = RNDIS_STATUS_NOT_SUPPORTED;
        EXPECT_EQ(rndis_take_control(message, sizeof(message), &control), RNDIS_OK);
        EXPECT_EQ(control.information_bytes, 0);
        EXPECT_EQ(control.status, RNDIS_STATUS_NOT_SUPPORTED);
}

TEST(rndis, information_has_a_limit)
{
        static uint32_t message[6 + RNDIS_INFORMATION_BYTES_MAX / 4 + 1];
        struct rndis_control control;
        message[0] = 0x80000004;
        message[1] = sizeof(message);
        message[4] = RNDIS_INFORMATION_BYTES_MAX;
        message[5] = 16;
        EXPECT_EQ(rndis_take_control(message, sizeof(message), &control), RNDIS_OK);
        EXPECT_EQ(control.information_bytes, RNDIS_INFORMATION_BYTES_MAX);
        message[4]++;
        EXPECT_EQ(rndis_take_control(message, sizeof(message), &control),
                  RNDIS_INFORMATION_TOO_LONG);
        EXPECT_EQ(control.information_bytes, 0);
}

TEST(rndis, a_status_may_have_a_wrong_length)
{
        /* As an old host sends it: the length is short of the buffer that it announces. */
        uint32_t message[] = {7, 12, RNDIS_STATUS_OFFLOAD_CONFIG, 4, 12, 0x12345678};
        struct rndis_control control;
        REQUIRE_EQ(rndis_take_control(message, sizeof(message), &control), RNDIS_OK);
        EXPECT_EQ(control.type, RNDIS_INDICATE_STATUS);
        EXPECT_EQ(control.request_id, 0);
        EXPECT_EQ(control.status, RNDIS_STATUS_OFFLOAD_CONFIG);
        REQUIRE_EQ(control.information_bytes, 4);
        EXPECT_EQ(memcmp(control.information, &message[5], 4), 0);
        EXPECT_EQ(rndis_take_control(message, 16, &control), RNDIS_LENGTH_TOO_SMALL);
        message[4] = 13;
        EXPECT_EQ(rndis_take_control(message, sizeof(message), &control),
                  RNDIS_INFORMATION_OUTSIDE);
}

TEST(rndis, strange_types_are_named_and_left_alone)
{
        const uint32_t message[] = {0x77, 8}, set[] = {0x80000005, 16, 3, 0xc0000001},
                       alive[] = {8, 12, 4};
        struct rndis_control control;
        EXPECT_EQ(rndis_take_control(message, sizeof(message), &control), RNDIS_OK);
        EXPECT_EQ(control.type, 0x77);
        EXPECT_EQ(rndis_take_control(set, sizeof(set), &control), RNDIS_OK);
        EXPECT_EQ(control.request_id, 3);
        EXPECT_EQ(control.status, 0xc0000001);
        EXPECT_EQ(rndis_take_control(alive, sizeof(alive), &control), RNDIS_OK);
        EXPECT_EQ(control.type, RNDIS_KEEPALIVE);
        EXPECT_EQ(control.request_id, 4);
        EXPECT_EQ(control.status, 0);
        EXPECT_EQ(rndis_take_control(message, 7, &control), RNDIS_NO_HEADER);
}

TEST(rndis, every_rule_has_a_name)
{
        for (uint32_t i = 0; i < RNDIS_RESULT_COUNT; i++)
                for (uint32_t k = 0; k < i; k++)
                        EXPECT_TRUE(rndis_result_name(i) != rndis_result_name(k));
        EXPECT_STR_EQ(rndis_result_name(RNDIS_RESULT_COUNT), "no result");
}
