/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_external_test — data areas of every kind, and packets that name memory: GPA direct and
 * transfer pages, spec/vmbus.md, a.3, b.4, b.5, b.8, d.7. */
#include "tests/expect.h"
#include "tests/host/vmbus_ring_backings.h"

#define RANGES_TRIED 11u

static const uint64_t vector_pages[] = {0x100, 0x101}, vector_page[] = {0x200};
static const struct vmbus_gpa_range vector_ranges[] = {
        {.byte_count = 0x1000, .byte_offset = 0x10, .page_count = 2, .pages = vector_pages},
        {.byte_count = 64, .byte_offset = 0, .page_count = 1, .pages = vector_page}};
static const struct vmbus_transfer_range vector_transfer[] = {{60, 0}, {1514, 1806}};

static const uint8_t vector_gpa_direct[] = {
        9, 0, 8, 0, 0xa, 0, 1, 0, 0x55, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0,
        0, 0x10, 0, 0, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0,
        0x40, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,
        0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a,
        0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a, 0x5a,
        0, 0, 0, 0, 0x58, 0, 0, 0};
static const uint8_t vector_transfer_pages[] = {
        7, 0, 5, 0, 6, 0, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xca, 0, 0, 2, 0, 0, 0,
        0x3c, 0, 0, 0, 0, 0, 0, 0, 0xea, 5, 0, 0, 0xe, 7, 0, 0, 0x11, 0x11, 0x11, 0x11,
        0x11, 0x11, 0x11, 0x11, 0, 0, 0, 0, 0xb0, 0, 0, 0};

/* Writes a packet of any kind, its payload full of `byte`. */
static enum vmbus_result put_packet(struct rig *rig, const struct vmbus_outgoing *packet,
                                    uint8_t byte)
{
        struct vmbus_range payload;
        enum vmbus_result result = vmbus_sender_write(&rig->sender, &rig->to, packet, &payload);
        if (result != VMBUS_OK)
                return result;
        struct vmbus_writer writer = vmbus_sender_writer(&rig->sender, &payload);
        return vmbus_writer_fill(&writer, byte, packet->payload_bytes);
}

/* The two packets of b.8, into a ring whose `in` stands at 0x58. */
static bool put_vectors(struct test *t, struct rig *rig)
{
        static uint64_t words[8];
        static struct vmbus_gpa_list list;
        vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
        const struct vmbus_outgoing direct = {.kind = VMBUS_SEND_GPA_DIRECT,
                                              .payload_bytes = 16,
                                              .transaction_id = 0x55,
                                              .gpa = &list};
        const struct vmbus_outgoing transfer = {.kind = VMBUS_SEND_TRANSFER_PAGES,
                                                .payload_bytes = 8,
                                                .transaction_id = 7,
                                                .transfer = vector_transfer,
                                                .transfer_count = 2,
                                                .transfer_page_set_id = 0xcafe};
        return EXPECT_OK(vmbus_gpa_list_push(&list, &vector_ranges[0])) &&
               EXPECT_OK(vmbus_gpa_list_push(&list, &vector_ranges[1])) &&
               EXPECT_EQ(vmbus_outgoing_bytes(&direct), VMBUS_GPA_DIRECT_BYTES(2, 3, 16)) &&
               EXPECT_EQ(vmbus_outgoing_bytes(&transfer), VMBUS_TRANSFER_PAGES_BYTES(2, 8)) &&
               EXPECT_EQ(put_packet(rig, &direct, 0x5a), VMBUS_OK) &&
               EXPECT_EQ(put_packet(rig, &transfer, 0x11), VMBUS_OK);
}

/* Reads the two packets and compares every number. */
static void expect_vectors(struct test *t, struct rig *rig)
{
        uint64_t words[8];
        struct vmbus_transfer_range ranges[2];
        struct vmbus_transfer_list transfer = {.ranges = ranges, .capacity = 2,
                                               .buffer_bytes = 1806 + 1514};
        struct vmbus_gpa_list list;
        struct vmbus_gpa_range range;
        struct vmbus_incoming packet;
        vmbus_gpa_list_init(&list, words, 5);
        REQUIRE_EQ(get(rig, &packet), VMBUS_OK);
        REQUIRE_EQ(packet.type, VMBUS_PACKET_GPA_DIRECT);
        EXPECT_EQ(packet.transaction_id, 0x55);
        REQUIRE_EQ(vmbus_receiver_gpa_ranges(&rig->receiver, &packet, &list), VMBUS_OK);
        REQUIRE_EQ(list.range_count, 2);
        struct vmbus_gpa_cursor cursor = vmbus_gpa_list_cursor(&list);
        for (uint32_t i = 0; i < 2; i++) {
                REQUIRE_TRUE(vmbus_gpa_next(&cursor, &range));
                EXPECT_EQ(range.byte_count, vector_ranges[i].byte_count);
                EXPECT_EQ(range.byte_offset, vector_ranges[i].byte_offset);
                REQUIRE_EQ(range.page_count, vector_ranges[i].page_count);
                EXPECT_BYTES_EQ(range.pages, vector_ranges[i].pages, 8 * range.page_count);
        }
        EXPECT_FALSE(vmbus_gpa_next(&cursor, &range));
        EXPECT_EQ(vmbus_receiver_gpa_ranges(&rig->receiver, &packet, &list), VMBUS_RANGE_END);
        EXPECT_EQ(list.range_count, 2);

        REQUIRE_EQ(get(rig, &packet), VMBUS_OK);
        REQUIRE_EQ(packet.type, VMBUS_PACKET_TRANSFER_PAGES);
        EXPECT_EQ(packet.transfer_page_set_id, 0xcafe);
        transfer.capacity = 1;
        EXPECT_EQ(vmbus_receiver_transfer_ranges(&rig->receiver, &packet, &transfer),
                  VMBUS_RANGE_END);
        transfer.capacity = 2;
        REQUIRE_EQ(vmbus_receiver_transfer_ranges(&rig->receiver, &packet, &transfer), VMBUS_OK);
        REQUIRE_EQ(transfer.count, 2);
        EXPECT_BYTES_EQ(ranges, vector_transfer, sizeof(ranges));
}

TEST(vmbus_ring, external_packets_are_the_bytes_of_the_vectors)
{
        struct rig rig;
        OPEN(rig, 1, 0x58);
        memset(rig.memory.data, 0xee, 4096);
        REQUIRE_TRUE(put_vectors(t, &rig));
        commit(&rig);
        EXPECT_EQ(rig.memory.control->in, 0xe8);
        EXPECT_BYTES_EQ(rig.memory.data + 0x58, vector_gpa_direct, sizeof(vector_gpa_direct));
        EXPECT_BYTES_EQ(rig.memory.data + 0xb0, vector_transfer_pages,
                        sizeof(vector_transfer_pages));
        expect_vectors(t, &rig);
}

/* On every kind of area, with the end of the data, or of a page, at each word of the packets. */
TEST(vmbus_ring, external_packets_may_straddle_any_seam)
{
        for (enum backing backing = 0; backing < BACKING_COUNT; backing++) {
                void *table[BACKING_PAGES_MAX];
                struct rig rig;
                REQUIRE_TRUE(open_backing(t, &rig, backing, 2, table));
                for (uint32_t seam = 4096; seam <= 8192; seam += 4096) {
                        for (uint32_t before = 0; before <= 0x90; before += 8) {
                                uint32_t start = (seam - before) % 8192;
                                REQUIRE_TRUE(attach_at(t, &rig, start));
                                REQUIRE_TRUE(put_vectors(t, &rig));
                                commit(&rig);
                                for (uint32_t i = 0; i < 0x50; i++)
                                        REQUIRE_EQ(*backing_byte(&rig.memory, (start + i) % 8192),
                                                   vector_gpa_direct[i]);
                                for (uint32_t i = 0; i < 0x30; i++)
                                        REQUIRE_EQ(*backing_byte(&rig.memory,
                                                                 (start + 0x58 + i) % 8192),
                                                   vector_transfer_pages[i]);
                                expect_vectors(t, &rig);
                                REQUIRE_TRUE(!test_has_failed(t));
                        }
                }
        }
}

TEST(vmbus_ring, external_packet_obeys_the_one_maximum)
{
        static uint64_t words[600];
        static const uint64_t pages[2] = {1, 2};
        struct vmbus_gpa_range range = {.byte_count = 4097, .page_count = 2, .pages = pages};
        struct vmbus_gpa_list list;
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_GPA_DIRECT, .gpa = &list};
        struct vmbus_range payload;
        struct rig rig;
        OPEN(rig, 1, 0);
        vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
        while (vmbus_outgoing_bytes(&packet) <= 4088)
                REQUIRE_OK(vmbus_gpa_list_push(&list, &range));
        EXPECT_EQ(vmbus_sender_write(&rig.sender, &rig.to, &packet, &payload), VMBUS_TOO_LARGE);
        EXPECT_EQ(rig.to.next_in, 0);
        list.word_count -= 3;
        list.range_count--;
        EXPECT_EQ(vmbus_sender_write(&rig.sender, &rig.to, &packet, &payload), VMBUS_OK);
        EXPECT_EQ(rig.to.next_in, vmbus_outgoing_bytes(&packet));
        EXPECT_EQ(vmbus_sender_write(&rig.sender, &rig.to, &packet, &payload), VMBUS_FULL);
}

/* ---- d.7: the rules of GPA ranges and their order ---- */

#define RANGE(count, offset) ((uint64_t)(offset) << 32 | (count))

TEST(vmbus_ring, gpa_ranges_are_held_against_every_rule_in_order)
{
        static const struct {
                uint64_t word;
                uint32_t words, ranges;
                enum vmbus_result result;
                uint32_t used;
        } rows[] = {
                {RANGE(1, 0), 2, 1, VMBUS_OK, 2},
                {RANGE(1, 0), 9, 1, VMBUS_OK, 2}, /* words left over are allowed */
                {RANGE(1, 0), 2, 0, VMBUS_OK, 0},
                {RANGE(1, 4095), 2, 1, VMBUS_OK, 2},
                {RANGE(2, 4095), 3, 1, VMBUS_OK, 3},
                {RANGE(4096, 4095), 3, 1, VMBUS_OK, 3},
                {RANGE(4097, 4095), 3, 1, VMBUS_OK, 3},
                {RANGE(4098, 4095), 3, 1, VMBUS_BAD_GPA_PAGES, 0},
                {RANGE(1, 0), 0, 1, VMBUS_BAD_GPA_HEADER, 0},
                {RANGE(1, 0), 2, 2, VMBUS_BAD_GPA_HEADER, 0},
                {RANGE(1, 0), 1, 1, VMBUS_BAD_GPA_PAGES, 0},
                {RANGE(2, 4095), 2, 1, VMBUS_BAD_GPA_PAGES, 0},
                {RANGE(0, 0), 2, 1, VMBUS_BAD_GPA_EMPTY, 0},
                {RANGE(0, 4096), 2, 1, VMBUS_BAD_GPA_EMPTY, 0},      /* before the offset */
                {RANGE(1, 4096), 2, 1, VMBUS_BAD_GPA_OFFSET, 0},
                {RANGE(UINT32_MAX, UINT32_MAX), 2, 1, VMBUS_BAD_GPA_OFFSET, 0}, /* before the sum */
                {RANGE(UINT32_MAX, 0), 2, 1, VMBUS_BAD_GPA_OVERFLOW, 0}, /* before the pages */
                {RANGE(UINT32_MAX - 4095, 1), 2, 1, VMBUS_BAD_GPA_OVERFLOW, 0},
                {RANGE(UINT32_MAX - 4095, 0), 2, 1, VMBUS_BAD_GPA_PAGES, 0},
        };
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                uint64_t words[9] = {rows[i].word};
                struct vmbus_gpa_check check;
                struct vmbus_gpa_list list;
                if (!EXPECT_EQ(vmbus_gpa_validate(words, rows[i].words, rows[i].ranges, &check),
                               rows[i].result))
                        test_log(t, "in row %zu", i);
                EXPECT_EQ(vmbus_gpa_list_take(&list, words, rows[i].words, rows[i].ranges),
                          rows[i].result);
                EXPECT_EQ(list.word_count, rows[i].used);
                EXPECT_EQ(list.range_count, rows[i].result == VMBUS_OK ? rows[i].ranges : 0);
                if (rows[i].result == VMBUS_OK)
                        EXPECT_EQ(check.words_used, rows[i].used);
        }
}

TEST(vmbus_ring, gpa_list_takes_only_good_ranges)
{
        static const uint64_t pages[3] = {7, 8, 9};
        uint64_t words[7];
        struct vmbus_gpa_range found;
        struct vmbus_gpa_list list;
        vmbus_gpa_list_init(&list, words, 7);
        struct vmbus_gpa_range range = {.byte_count = 8192, .page_count = 2, .pages = pages};
        EXPECT_FALSE(vmbus_gpa_list_contiguous_aligned(&list, &found));
        EXPECT_OK(vmbus_gpa_list_push(&list, &range));
        REQUIRE_TRUE(vmbus_gpa_list_contiguous_aligned(&list, &found));
        EXPECT_EQ(found.page_count, 2);
        EXPECT_PTR_EQ(found.pages, words + 1);
        EXPECT_OK(vmbus_gpa_list_push(&list, &range));
        EXPECT_FALSE(vmbus_gpa_list_contiguous_aligned(&list, &found)); /* two of them */
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, vmbus_gpa_list_push(&list, &range));
        EXPECT_EQ(list.range_count, 2);
        vmbus_gpa_list_clear(&list);
        range.page_count = 3; /* more than it touches */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_gpa_list_push(&list, &range));
        range.page_count = 1; /* fewer */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_gpa_list_push(&list, &range));
        range.byte_count = 0;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_gpa_list_push(&list, &range));
        EXPECT_EQ(list.word_count, 0);
        range.byte_count = 4095;
        EXPECT_OK(vmbus_gpa_list_push(&list, &range));
        EXPECT_FALSE(vmbus_gpa_list_contiguous_aligned(&list, &found)); /* no whole page */
        vmbus_gpa_list_clear(&list);
        range.byte_count = 4096;
        range.byte_offset = 8;
        range.page_count = 2;
        EXPECT_OK(vmbus_gpa_list_push(&list, &range));
        EXPECT_FALSE(vmbus_gpa_list_contiguous_aligned(&list, &found)); /* an offset */
}

/* ---- a peer's ranges ---- */

TEST(vmbus_ring, bad_ranges_latch_the_receiver)
{
        static const struct {
                struct vmbus_transfer_range range;
                uint64_t buffer_bytes;
                bool good;
        } rows[] = {{{60, 0}, 60, true},
                    {{0, 60}, 60, true},
                    {{60, 1}, 60, false},
                    {{0, 61}, 60, false},
                    {{UINT32_MAX, 61}, 60, false}, /* wraps in 32 bits */
                    {{UINT32_MAX, 1}, 1ull << 32, true}};
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                struct vmbus_transfer_range ranges[2];
                struct vmbus_transfer_list list = {.ranges = ranges, .capacity = 2,
                                                   .buffer_bytes = rows[i].buffer_bytes};
                const struct vmbus_outgoing out = {.kind = VMBUS_SEND_TRANSFER_PAGES,
                                                   .transfer = &rows[i].range,
                                                   .transfer_count = 1};
                struct vmbus_incoming packet;
                struct rig rig;
                OPEN(rig, 1, 4096 - 24);
                REQUIRE_EQ(put_packet(&rig, &out, 0), VMBUS_OK);
                commit(&rig);
                REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
                enum vmbus_result wanted = rows[i].good ? VMBUS_OK : VMBUS_BAD_TRANSFER_RANGE;
                if (!EXPECT_EQ(vmbus_receiver_transfer_ranges(&rig.receiver, &packet, &list),
                               wanted))
                        test_log(t, "in row %zu", i);
                EXPECT_EQ(list.count, rows[i].good ? 1 : 0);
                EXPECT_EQ(rig.receiver.fault.reason, wanted);
                EXPECT_EQ(get(&rig, &packet), rows[i].good ? VMBUS_EMPTY : wanted);
        }
        uint64_t words[8];
        struct vmbus_gpa_list list;
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 0x58);
        vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
        REQUIRE_TRUE(put_vectors(t, &rig));
        commit(&rig);
        rig.memory.data[0x58 + 24 + 6] = 1; /* byte_offset 0x10010 */
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_EQ(vmbus_receiver_gpa_ranges(&rig.receiver, &packet, &list), VMBUS_BAD_GPA_OFFSET);
        EXPECT_EQ(rig.receiver.fault.value, 0x10010);
        EXPECT_EQ(list.range_count, 0);
        EXPECT_EQ(list.word_count, 0);
        EXPECT_EQ(get(&rig, &packet), VMBUS_BAD_GPA_OFFSET);
        EXPECT_EQ(vmbus_receiver_gpa_ranges(&rig.receiver, &packet, &list), VMBUS_BAD_GPA_OFFSET);
}

/* Ranges are looked at several at a time: whichever of them is wrong is found, and named, be they
 * in a row or around the seam. A `bad` of `count` means none. */
static bool expect_found(struct test *t, struct rig *rig, uint32_t count, uint32_t bad)
{
        struct vmbus_transfer_range sent[RANGES_TRIED], seen[RANGES_TRIED] = {0};
        struct vmbus_transfer_list list = {
                .ranges = seen, .capacity = RANGES_TRIED, .buffer_bytes = 1000};
        const struct vmbus_outgoing out = {
                .kind = VMBUS_SEND_TRANSFER_PAGES, .transfer = sent, .transfer_count = count};
        struct vmbus_incoming packet;
        for (uint32_t i = 0; i < count; i++)
                sent[i] = (struct vmbus_transfer_range){i + 1, i == bad ? 1000 - i : 999 - i};
        if (!EXPECT_EQ(put_packet(rig, &out, 0), VMBUS_OK))
                return false;
        commit(rig);
        if (!EXPECT_EQ(get(rig, &packet), VMBUS_OK))
                return false;
        enum vmbus_result wanted = bad == count ? VMBUS_OK : VMBUS_BAD_TRANSFER_RANGE;
        bool held =
                EXPECT_EQ(vmbus_receiver_transfer_ranges(&rig->receiver, &packet, &list), wanted);
        if (bad == count)
                return EXPECT_EQ(list.count, count) && held &&
                       EXPECT_BYTES_EQ(seen, sent, count * sizeof(sent[0]));
        return EXPECT_EQ(rig->receiver.fault.value, 1000 - bad) &&
               EXPECT_EQ(rig->receiver.fault.limit, bad + 1) && EXPECT_EQ(list.count, 0) && held;
}

TEST(vmbus_ring, a_bad_range_is_found_wherever_it_stands)
{
        static const uint32_t starts[] = {64, 4096 - 24, 4096 - 48, 4096 - 72, 4096 - 96};
        struct rig rig;
        OPEN(rig, 1, 0);
        for (uint32_t count = 1; count <= RANGES_TRIED; count++)
                for (uint32_t bad = 0; bad <= count; bad++)
                        for (size_t i = 0; i < ARRAY_COUNT(starts); i++)
                                if (!attach_at(t, &rig, starts[i]) ||
                                    !expect_found(t, &rig, count, bad))
                                        test_log(t, "range %u of %u at %u", bad, count, starts[i]);
}

/* A packet of one range, {byte_count, byte_offset}, with room for three pages. */
static const struct {
        uint32_t header[2];
        enum vmbus_result result;
        uint32_t words_used, value, limit; /* the last two of what is wrong */
} single_ranges[] = {{{3 * 4096, 0}, VMBUS_OK, 4, 0, 0},
                     {{2 * 4096 + 1, 0}, VMBUS_OK, 4, 0, 0},
                     {{2 * 4096, 4095}, VMBUS_OK, 4, 0, 0},
                     {{1, 4095}, VMBUS_OK, 2, 0, 0}, /* and words behind it */
                     {{3 * 4096, 1}, VMBUS_BAD_GPA_PAGES, 0, 3, 4},
                     {{0, 0}, VMBUS_BAD_GPA_EMPTY, 0, 0, 1},
                     {{0, 4095}, VMBUS_BAD_GPA_EMPTY, 0, 0, 1},
                     {{1, 4096}, VMBUS_BAD_GPA_OFFSET, 0, 4096, 4095},
                     {{UINT32_MAX, 1}, VMBUS_BAD_GPA_OVERFLOW, 0, UINT32_MAX, UINT32_MAX},
                     {{UINT32_MAX - 4095, 0}, VMBUS_BAD_GPA_PAGES, 0, 3, 0xfffff}};

/* Behind a range that the list has already. */
static bool expect_single(struct test *t, struct rig *rig, size_t row)
{
        enum vmbus_result wanted = single_ranges[row].result;
        uint32_t used = single_ranges[row].words_used;
        uint64_t sent[4] = {0, 0x100, UINT64_MAX, 0x102}, words[2 + 4];
        struct vmbus_gpa_list out_list = {.words = sent, .word_count = 4, .range_count = 1}, list;
        const struct vmbus_outgoing out = {.kind = VMBUS_SEND_GPA_DIRECT, .gpa = &out_list};
        const struct vmbus_fault *fault = &rig->receiver.fault;
        struct vmbus_incoming packet;
        memcpy(sent, single_ranges[row].header, sizeof(sent[0]));
        vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
        if (!EXPECT_OK(vmbus_gpa_list_push(&list, &vector_ranges[1])) ||
            !EXPECT_EQ(put_packet(rig, &out, 0), VMBUS_OK))
                return false;
        commit(rig);
        return EXPECT_EQ(get(rig, &packet), VMBUS_OK) &&
               EXPECT_EQ(vmbus_receiver_gpa_ranges(&rig->receiver, &packet, &list), wanted) &&
               EXPECT_EQ(list.word_count, 2 + used) &&
               EXPECT_EQ(list.range_count, wanted == VMBUS_OK ? 2 : 1) &&
               EXPECT_BYTES_EQ(words + 2, sent, used * sizeof(sent[0])) &&
               EXPECT_EQ(words[1], vector_page[0]) && EXPECT_EQ(fault->reason, wanted) &&
               EXPECT_EQ(fault->value, single_ranges[row].value) &&
               EXPECT_EQ(fault->limit, single_ranges[row].limit) &&
               EXPECT_EQ(get(rig, &packet), wanted == VMBUS_OK ? VMBUS_EMPTY : wanted);
}

/* In a row, and around the seam: right in front of the header, and between it and the pages. */
TEST(vmbus_ring, a_single_range_is_held_against_every_rule)
{
        static const uint32_t starts[] = {64, 4096 - 24, 4096 - 32};
        struct rig rig;
        OPEN(rig, 1, 0);
        for (size_t row = 0; row < ARRAY_COUNT(single_ranges); row++)
                for (size_t i = 0; i < ARRAY_COUNT(starts); i++)
                        if (!attach_at(t, &rig, starts[i]) || !expect_single(t, &rig, row))
                                test_log(t, "row %zu at %u", row, starts[i]);
}

/* ---- areas ---- */

TEST(vmbus_ring, paged_memory_refuses_bad_pages)
{
        uint8_t *pages = world_pages(t, 2, NULL);
        void *table[2] = {pages + PAGE_BYTES, pages + PAGE_BYTES};
        struct vmbus_memory memory;
        EXPECT_OK(vmbus_memory_init_paged(&memory, pages, table, 2));
        EXPECT_EQ(memory.data_bytes, 8192);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_paged(&memory, pages, table, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_paged(&memory, NULL, table, 2));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_paged(&memory, pages, NULL, 2));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                      vmbus_memory_init_paged(&memory, pages, table, UINT64_MAX / 4096 + 2));
        table[1] = pages + 4;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_paged(&memory, pages, table, 2));
        table[1] = NULL;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_paged(&memory, pages, table, 2));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                      vmbus_memory_init_mirrored(&memory, pages, pages + PAGE_BYTES, 4095));
}

TEST(vmbus_ring, spans_cover_a_range_on_every_area)
{
        for (enum backing backing = 0; backing < BACKING_COUNT; backing++) {
                static const uint32_t counts[BACKING_COUNT] = {2, 2, 1};
                const struct vmbus_outgoing out = {.kind = VMBUS_SEND_IN_BAND,
                                                   .payload_bytes = 8000};
                void *table[BACKING_PAGES_MAX];
                struct vmbus_span spans[VMBUS_SPANS_MAX];
                struct vmbus_range payload;
                struct rig rig;
                uint32_t index = 4000 + 16, covered = 0;
                REQUIRE_TRUE(open_backing(t, &rig, backing, 3, table));
                REQUIRE_TRUE(attach_at(t, &rig, 4000));
                REQUIRE_EQ(vmbus_sender_write(&rig.sender, &rig.to, &out, &payload), VMBUS_OK);
                struct vmbus_writer writer = vmbus_sender_writer(&rig.sender, &payload);
                EXPECT_EQ(vmbus_writer_spans(&writer, spans),
                          backing == BACKING_FLAT ? 1 : counts[backing]);
                while (vmbus_writer_left_bytes(&writer) != 0) {
                        uint32_t count = vmbus_writer_spans(&writer, spans);
                        REQUIRE_TRUE(count != 0);
                        for (uint32_t i = 0; i < count; i++) {
                                EXPECT_PTR_EQ(spans[i].bytes, backing_byte(&rig.memory, index));
                                index += spans[i].byte_count;
                                covered += spans[i].byte_count;
                                REQUIRE_EQ(vmbus_writer_skip(&writer, spans[i].byte_count),
                                           VMBUS_OK);
                        }
                }
                EXPECT_EQ(covered, 8000);
                EXPECT_EQ(vmbus_writer_skip(&writer, 1), VMBUS_RANGE_END);
        }
}
