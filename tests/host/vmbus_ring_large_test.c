/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_large_test — GPA direct packets whose header has 65,536 bytes and more, up to the
 * largest packet that the format can express: where a size in 16 bits, or one in units of 8 taken
 * for bytes, would wrap (spec/vmbus.md, b.6, c.6). */
#include "tests/boot/vmbus_ring_rig.h"

#include "base/bytes.h"

#define RING_PAGES 130u /* more than the largest packet */
#define HEADER_BYTES 24u /* descriptor and external header */
#define FOOTER_BYTES 8u
#define LARGEST_BYTES 524288u
#define LARGEST_WORDS ((LARGEST_BYTES - HEADER_BYTES - FOOTER_BYTES) / 8)

static uint64_t words[LARGEST_WORDS + 1], words_read[LARGEST_WORDS + 1];
static uint64_t pages[LARGEST_WORDS + 1];

TEST(vmbus_ring, a_gpa_list_may_take_a_header_beyond_64_kib)
{
        static const struct {
                uint32_t words, payload;
                enum vmbus_result result;
        } rows[] = {
                {8188, 8, VMBUS_OK}, /* the header ends at 65,528, */
                {8189, 8, VMBUS_OK}, /* at 65,536 */
                {8190, 8, VMBUS_OK},
                {8191, 8, VMBUS_OK}, /* the list alone */
                {8192, 8, VMBUS_OK},
                {16384, 40, VMBUS_OK},
                {LARGEST_WORDS - 2, 8, VMBUS_OK}, /* 8 bytes below the largest */
                {LARGEST_WORDS - 1, 8, VMBUS_OK},
                {LARGEST_WORDS, 0, VMBUS_OK},
                {LARGEST_WORDS - 1, 9, VMBUS_TOO_LARGE},
                {LARGEST_WORDS, 1, VMBUS_TOO_LARGE},
                {LARGEST_WORDS + 1, 0, VMBUS_TOO_LARGE},
        };
        static struct rig rig;
        for (uint32_t i = 0; i < ARRAY_COUNT(pages); i++)
                pages[i] = 0x100000000ull + i * 3;
        /* Each packet lies around the end at first. */
        OPEN(rig, RING_PAGES, RING_PAGES * 4096 - 40);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                uint32_t page_count = rows[i].words - 1;
                const struct vmbus_gpa_range range = {.byte_count = page_count * 4096 - 5,
                                                      .byte_offset = 5,
                                                      .page_count = page_count,
                                                      .pages = pages};
                struct vmbus_gpa_list list;
                vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
                REQUIRE_OK(vmbus_gpa_list_push(&list, &range));
                const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_GPA_DIRECT,
                                                      .payload_bytes = rows[i].payload,
                                                      .transaction_id = i,
                                                      .gpa = &list};
                struct vmbus_range payload;
                EXPECT_EQ(vmbus_sender_write(&rig.sender, &rig.to, &packet, &payload),
                          rows[i].result);
                if (rows[i].result != VMBUS_OK)
                        continue;
                struct vmbus_writer writer = vmbus_sender_writer(&rig.sender, &payload);
                REQUIRE_EQ(vmbus_writer_fill(&writer, 0x5a, rows[i].payload), VMBUS_OK);
                commit(&rig);

                struct vmbus_incoming incoming;
                struct vmbus_gpa_list read;
                uint8_t bytes[40];
                vmbus_gpa_list_init(&read, words_read, ARRAY_COUNT(words_read));
                REQUIRE_EQ(get(&rig, &incoming), VMBUS_OK);
                EXPECT_EQ(incoming.type, VMBUS_PACKET_GPA_DIRECT);
                EXPECT_EQ(incoming.transaction_id, i);
                EXPECT_EQ(incoming.range_count, 1u);
                EXPECT_EQ(incoming.payload.bytes, rows[i].payload);
                REQUIRE_EQ(vmbus_receiver_gpa_ranges(&rig.receiver, &incoming, &read), VMBUS_OK);
                EXPECT_EQ(memcmp(words_read, words, rows[i].words * 8), 0);
                REQUIRE_EQ(vmbus_receiver_copy(&rig.receiver, &incoming.payload, bytes,
                                               sizeof(bytes)),
                           VMBUS_OK);
                for (uint32_t k = 0; k < rows[i].payload; k++)
                        EXPECT_EQ(bytes[k], 0x5a);
                give_back(&rig);
        }
}
