/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_reference_test — what the reference's own tests ask of a ring, with their
 * numbers: ours must give the same answer to each, or a stricter one where spec/vmbus.md,
 * c.6, calls the reference's a flaw. Facts: the tests in OVR (lib.rs, gparange.rs) and,
 * one layer up, OVA (queue.rs).
 *
 *   what is asked there                                       here; elsewhere in more cases
 *   OVR 1  eight bytes through a ring, unmasked               a_packet_goes_through;
 *                                                             loopback_of_random_packets
 *   OVR 2  the mask keeps signals away                        the_mask_decides; sender_signals_...
 *   OVR 3  pending size of two packets in a ring of four      a_producer_waits_for_two_packets;
 *                                                             receiver_signals_exactly_...
 *   OVR 4  GPA direct whose header does not fit its offset    a_header_must_fit; every_rule_of_...,
 *   OVR 5  the same of transfer pages                         every_small_header_is_judged_...
 *   OVR 6  an offset beyond the first page                    an_offset_lies_in_the_first_page;
 *                                                             gpa_ranges_are_held_against_...
 *   OVA 1  two ranges and a payload through GPA direct        two_ranges_travel; the vectors
 *   OVA 2  a range of nothing is no range                     a_range_of_nothing_is_refused
 *   OVA 3  three ranges of a shared buffer, two at a page's   ranges_of_a_buffer_travel;
 *          end                                                a_bad_range_is_found_...
 *   OVA 4  a full ring: wait, and write again when it is      a_full_ring_is_waited_for;
 *          read                                               two_threads_lose_no_signal */
#include "tests/boot/vmbus_ring_rig.h"
#include "tests/expect.h"

#define RING_PAGES 4u /* 16 KiB */

/* Writes and commits; the signal. */
static bool write_one(struct test *t, struct rig *rig, const void *bytes, uint32_t count)
{
        EXPECT_EQ(put(rig, VMBUS_SEND_IN_BAND, 0, bytes, count), VMBUS_OK);
        return commit(rig);
}

/* Reads one packet and gives it back; the signal. */
static bool read_one(struct test *t, struct rig *rig, void *bytes, uint32_t count)
{
        struct vmbus_incoming packet;
        EXPECT_EQ(get(rig, &packet), VMBUS_OK);
        EXPECT_EQ(packet.payload.bytes, VMBUS_ROUND8(count));
        if (bytes != NULL)
                EXPECT_EQ(vmbus_receiver_copy(&rig->receiver, &packet.payload, bytes, count),
                          VMBUS_OK);
        return give_back(rig);
}

TEST(vmbus_reference, a_packet_goes_through)
{
        static const uint8_t payload[8] = {1, 2, 3, 4, 5, 6, 7, 8};
        uint8_t got[8];
        struct rig rig;
        OPEN(rig, RING_PAGES, 0);
        EXPECT_EQ(receiver_sleeps(&rig), VMBUS_EMPTY);
        EXPECT_TRUE(write_one(t, &rig, payload, 8));
        EXPECT_EQ(vmbus_receiver_woken(&rig.receiver), VMBUS_OK);
        EXPECT_FALSE(read_one(t, &rig, got, 8));
        EXPECT_BYTES_EQ(got, payload, 8);
}

TEST(vmbus_reference, the_mask_decides)
{
        struct rig rig;
        OPEN(rig, RING_PAGES, 0);
        EXPECT_FALSE(write_one(t, &rig, "abc", 3)); /* masked from the start */
        EXPECT_FALSE(read_one(t, &rig, NULL, 3));
        EXPECT_EQ(receiver_sleeps(&rig), VMBUS_EMPTY);
        EXPECT_TRUE(write_one(t, &rig, "abc", 3));
        EXPECT_EQ(vmbus_receiver_woken(&rig.receiver), VMBUS_OK);
        EXPECT_FALSE(read_one(t, &rig, NULL, 3));
}

TEST(vmbus_reference, a_producer_waits_for_two_packets)
{
        enum { PAYLOAD = 4000, TOTAL = 4024 };
        struct rig rig;
        OPEN(rig, RING_PAGES, 0);
        for (unsigned i = 0; i < 4; i++)
                (void)write_one(t, &rig, NULL, PAYLOAD);
        EXPECT_EQ(put(&rig, VMBUS_SEND_IN_BAND, 0, NULL, PAYLOAD), VMBUS_FULL);
        EXPECT_FALSE(read_one(t, &rig, NULL, PAYLOAD)); /* nobody waits */
        (void)write_one(t, &rig, NULL, PAYLOAD);
        EXPECT_EQ(put(&rig, VMBUS_SEND_IN_BAND, 0, NULL, PAYLOAD), VMBUS_FULL);
        EXPECT_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, TOTAL, 2 * TOTAL),
                  VMBUS_FULL);
        EXPECT_EQ(rig.memory.control->pending_send_size, 2 * TOTAL);
        EXPECT_FALSE(read_one(t, &rig, NULL, PAYLOAD));
        EXPECT_TRUE(read_one(t, &rig, NULL, PAYLOAD));
        EXPECT_FALSE(read_one(t, &rig, NULL, PAYLOAD));
        EXPECT_EQ(vmbus_sender_woken(&rig.sender), VMBUS_OK);
}

/* data_offset8 is 2, the external header needs 3. */
TEST(vmbus_reference, a_header_must_fit)
{
        static const uint64_t types[] = {VMBUS_PACKET_GPA_DIRECT, VMBUS_PACKET_TRANSFER_PAGES};
        for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
                const uint64_t words[3] = {VMBUS_WORD0(types[i], 2, 3, 0), 0, 1ull << 32 | i};
                struct vmbus_incoming packet;
                struct rig rig;
                OPEN(rig, RING_PAGES, 0);
                memcpy(rig.memory.data, words, sizeof(words));
                rig.memory.control->in = 4096;
                EXPECT_EQ(get(&rig, &packet), VMBUS_BAD_EXTERNAL_HEADER);
                EXPECT_EQ(rig.from.next_out, 0);
        }
}

TEST(vmbus_reference, an_offset_lies_in_the_first_page)
{
        uint64_t words[2] = {0x1000ull << 32 | 1, 0xdeadbeef};
        struct vmbus_gpa_list list;
        EXPECT_EQ(vmbus_gpa_list_take(&list, words, 2, 1), VMBUS_BAD_GPA_OFFSET);
        EXPECT_EQ(list.range_count, 0);
}

TEST(vmbus_reference, two_ranges_travel)
{
        static const uint64_t first_pages[2] = {4096, 8192}, second_pages[1] = {8192};
        const struct vmbus_gpa_range given[2] = {{4096, 20, 2, first_pages},
                                                 {200, 0, 1, second_pages}};
        uint64_t words[8], got_words[8];
        struct vmbus_gpa_list list, got;
        struct vmbus_gpa_range range;
        struct vmbus_range payload;
        struct vmbus_incoming packet;
        uint8_t bytes[24];
        struct rig rig;
        OPEN(rig, RING_PAGES, 0);
        vmbus_gpa_list_init(&list, words, 8);
        vmbus_gpa_list_init(&got, got_words, 8);
        for (unsigned i = 0; i < 2; i++)
                REQUIRE_OK(vmbus_gpa_list_push(&list, &given[i]));
        const struct vmbus_outgoing out = {
                .kind = VMBUS_SEND_GPA_DIRECT, .payload_bytes = 24, .gpa = &list};
        REQUIRE_EQ(vmbus_sender_write(&rig.sender, &rig.to, &out, &payload), VMBUS_OK);
        struct vmbus_writer writer = vmbus_sender_writer(&rig.sender, &payload);
        REQUIRE_EQ(vmbus_writer_fill(&writer, 0xf, 24), VMBUS_OK);
        commit(&rig);
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        REQUIRE_EQ(packet.payload.bytes, 24);
        REQUIRE_EQ(vmbus_receiver_copy(&rig.receiver, &packet.payload, bytes, 24), VMBUS_OK);
        for (unsigned i = 0; i < 24; i++)
                EXPECT_EQ(bytes[i], 0xf);
        EXPECT_EQ(packet.range_count, 2);
        REQUIRE_EQ(vmbus_receiver_gpa_ranges(&rig.receiver, &packet, &got), VMBUS_OK);
        struct vmbus_gpa_cursor cursor = vmbus_gpa_list_cursor(&got);
        for (unsigned i = 0; i < 2; i++) {
                REQUIRE_TRUE(vmbus_gpa_next(&cursor, &range));
                EXPECT_EQ(range.byte_offset, given[i].byte_offset);
                EXPECT_EQ(range.byte_count, given[i].byte_count);
                REQUIRE_EQ(range.page_count, given[i].page_count);
                EXPECT_BYTES_EQ(range.pages, given[i].pages, range.page_count * 8);
        }
        EXPECT_FALSE(vmbus_gpa_next(&cursor, &range));
}

/* The reference writes such a range and refuses it when it is read; ours writes none, and refuses
 * one of a peer, with a page behind it or without. */
TEST(vmbus_reference, a_range_of_nothing_is_refused)
{
        static const uint64_t page[1] = {1};
        for (uint32_t page_words = 0; page_words < 2; page_words++) {
                const uint64_t in[] = {VMBUS_WORD0(VMBUS_PACKET_GPA_DIRECT, 4 + page_words,
                                                   4 + page_words, 1), 0, 1ull << 32, 0, 7};
                uint64_t words[4];
                struct vmbus_gpa_list list;
                struct vmbus_gpa_range nothing = {0, 0, page_words, page};
                struct vmbus_incoming packet;
                struct rig rig;
                OPEN(rig, RING_PAGES, 0);
                vmbus_gpa_list_init(&list, words, 4);
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_gpa_list_push(&list, &nothing));
                memcpy(rig.memory.data, in, sizeof(in));
                rig.memory.control->in = 40 + 8 * page_words;
                enum vmbus_result result = get(&rig, &packet);
                if (result == VMBUS_OK)
                        result = vmbus_receiver_gpa_ranges(&rig.receiver, &packet, &list);
                EXPECT_EQ(result, page_words == 0 ? VMBUS_BAD_RANGE_COUNT : VMBUS_BAD_GPA_EMPTY);
                EXPECT_EQ(list.range_count, 0);
        }
}

TEST(vmbus_reference, ranges_of_a_buffer_travel)
{
        static const struct vmbus_transfer_range given[3] = {{0x10, 0x10}, {0x10, 0xfff},
                                                             {0x10, 0x1000}};
        struct vmbus_transfer_range got[3];
        struct vmbus_transfer_list list = {.ranges = got, .capacity = 3, .buffer_bytes = 0x3000};
        const struct vmbus_outgoing out = {.kind = VMBUS_SEND_TRANSFER_PAGES,
                                           .transfer = given,
                                           .transfer_count = 3,
                                           .transfer_page_set_id = 13};
        struct vmbus_range payload;
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, RING_PAGES, 0);
        REQUIRE_EQ(vmbus_sender_write(&rig.sender, &rig.to, &out, &payload), VMBUS_OK);
        commit(&rig);
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_EQ(packet.transfer_page_set_id, 13);
        EXPECT_EQ(packet.range_count, 3);
        REQUIRE_EQ(vmbus_receiver_transfer_ranges(&rig.receiver, &packet, &list), VMBUS_OK);
        EXPECT_EQ(list.count, 3);
        EXPECT_BYTES_EQ(got, given, sizeof(given));
}

TEST(vmbus_reference, a_full_ring_is_waited_for)
{
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 0);
        EXPECT_EQ(vmbus_sender_can_write(&rig.sender, &rig.to, 4000), VMBUS_OK);
        (void)write_one(t, &rig, NULL, 4000);
        const struct vmbus_outgoing out = {.kind = VMBUS_SEND_IN_BAND, .payload_bytes = 4000};
        EXPECT_EQ(put(&rig, VMBUS_SEND_IN_BAND, 0, NULL, 4000), VMBUS_FULL);
        EXPECT_EQ(
                vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, vmbus_outgoing_bytes(&out), 0),
                VMBUS_FULL);
        EXPECT_TRUE(read_one(t, &rig, NULL, 4000));
        EXPECT_EQ(get(&rig, &packet), VMBUS_EMPTY);
        EXPECT_EQ(vmbus_sender_woken(&rig.sender), VMBUS_OK);
        EXPECT_EQ(put(&rig, VMBUS_SEND_IN_BAND, 0, NULL, 4000), VMBUS_OK);
}
