/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_model_test — the ring against slow and obvious models of it, on the host only.
 *
 * A ring is modelled as a list of packets and a byte image; a packet's check as the rules of
 * spec/vmbus.md, c.6, one after the other; the arithmetic as remainders.
 * None shares code with the part. */
#include "tests/expect.h"
#include "tests/host/vmbus_ring_backings.h"

TEST(vmbus_ring, sizes_are_those_of_the_format)
{
        EXPECT_EQ(VMBUS_IN_BAND_BYTES(0), 24);
        EXPECT_EQ(VMBUS_IN_BAND_BYTES(1), 32);
        EXPECT_EQ(VMBUS_IN_BAND_BYTES(8), 32);
        EXPECT_EQ(VMBUS_COMPLETION_BYTES(9), 40);
        EXPECT_EQ(VMBUS_TRANSFER_PAGES_BYTES(2, 8), 56);
        EXPECT_EQ(VMBUS_GPA_DIRECT_BYTES(2, 3, 16), 88);
        EXPECT_EQ(VMBUS_IN_BAND_BYTES(VMBUS_PAYLOAD_BYTES_MAX), 524288);
        EXPECT_EQ(VMBUS_IN_BAND_BYTES(UINT32_MAX), 0x100000018ull);
}

TEST(vmbus_ring, results_have_names_rules_and_statuses)
{
        EXPECT_STR_EQ(vmbus_result_name(VMBUS_BAD_TOTAL), "VMBUS_BAD_TOTAL");
        EXPECT_STR_EQ(vmbus_result_name((enum vmbus_result)9), "VMBUS_?");
        EXPECT_STR_EQ(vmbus_result_rule(VMBUS_BAD_OUT_ALIGNMENT), "out is a multiple of 8");
        EXPECT_STR_EQ(vmbus_result_rule((enum vmbus_result)9), "");
        EXPECT_STATUS(ZX_OK, vmbus_result_status(VMBUS_OK));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, vmbus_result_status(VMBUS_EMPTY));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, vmbus_result_status(VMBUS_FULL));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmbus_result_status(VMBUS_TOO_LARGE));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_result_status(VMBUS_COMMIT_FIRST));
#define INTEGRITY_(name, number, rule) \
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, vmbus_result_status(name));
        VMBUS_CORRUPT_LIST(INTEGRITY_)
#undef INTEGRITY_
}

TEST(vmbus_ring, memory_refuses_bad_sizes_and_addresses)
{
        struct vmbus_memory memory;
        uint8_t *page = world_pages(t, 2, NULL), *data = page + PAGE_BYTES;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_flat(&memory, page, data, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_flat(&memory, page, data, 4095));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_flat(&memory, page, data, 4104));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_flat(&memory, page, data, 1ull << 32));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_flat(&memory, NULL, data, 4096));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_flat(&memory, page, NULL, 4096));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_flat(&memory, page + 4, data, 4096));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_memory_init_flat(&memory, page, data + 4, 4096));
        EXPECT_OK(vmbus_memory_init_flat(&memory, page, data, 4096));
}

TEST(vmbus_ring, every_part_of_a_packet_may_straddle_the_end)
{
        struct vmbus_incoming packet;
        uint8_t copy[24];
        struct rig rig;
        for (uint32_t start = 4096 - 40; start < 4096; start += 8) {
                OPEN(rig, 1, start);
                memset(rig.memory.data, 0xee, 4096);
                REQUIRE_EQ(put(&rig, VMBUS_SEND_IN_BAND_REQUEST, start, "abcdefghijklmnopq", 17),
                           VMBUS_OK);
                commit(&rig);
                EXPECT_EQ(rig.memory.control->in, start + 48 - 4096);
                REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
                EXPECT_EQ(packet.transaction_id, start);
                REQUIRE_EQ(vmbus_receiver_copy(&rig.receiver, &packet.payload, copy, 24), VMBUS_OK);
                EXPECT_BYTES_EQ(copy, "abcdefghijklmnopq\0\0\0\0\0\0\0", 24);
                EXPECT_EQ(rig.from.next_out, rig.memory.control->in);
        }
}

TEST(vmbus_ring, writer_and_reader_end_with_their_range)
{
        struct vmbus_outgoing out = {.kind = VMBUS_SEND_IN_BAND, .payload_bytes = 21};
        struct vmbus_span spans[VMBUS_SPANS_MAX];
        struct vmbus_const_span read_spans[VMBUS_SPANS_MAX];
        struct vmbus_range payload;
        struct vmbus_incoming packet;
        char text[24];
        struct rig rig;
        OPEN(rig, 1, 4096 - 32);
        memset(rig.memory.data, 0xee, 4096);
        REQUIRE_EQ(vmbus_sender_write(&rig.sender, &rig.to, &out, &payload), VMBUS_OK);
        struct vmbus_writer writer = vmbus_sender_writer(&rig.sender, &payload);
        REQUIRE_EQ(vmbus_writer_spans(&writer, spans), 2);
        EXPECT_PTR_EQ(spans[0].bytes, rig.memory.data + 4080);
        EXPECT_EQ(spans[0].byte_count, 16);
        EXPECT_PTR_EQ(spans[1].bytes, rig.memory.data);
        EXPECT_EQ(spans[1].byte_count, 5);
        EXPECT_EQ(vmbus_writer_write(&writer, "abc", 3), VMBUS_OK);
        EXPECT_EQ(vmbus_writer_write(&writer, NULL, 0), VMBUS_OK);
        EXPECT_EQ(vmbus_writer_fill(&writer, '-', 15), VMBUS_OK);
        EXPECT_EQ(vmbus_writer_left_bytes(&writer), 3);
        EXPECT_EQ(vmbus_writer_write(&writer, "wxyz", 4), VMBUS_RANGE_END);
        EXPECT_EQ(vmbus_writer_fill(&writer, '+', 4), VMBUS_RANGE_END);
        EXPECT_EQ(vmbus_writer_write(&writer, "xyz", 3), VMBUS_OK);
        EXPECT_EQ(vmbus_writer_spans(&writer, spans), 0);
        commit(&rig);

        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        struct vmbus_reader reader = vmbus_receiver_reader(&rig.receiver, &packet.payload);
        EXPECT_EQ(vmbus_reader_left_bytes(&reader), 24);
        EXPECT_EQ(vmbus_reader_spans(&reader, read_spans), 2);
        EXPECT_EQ(read_spans[1].byte_count, 8);
        EXPECT_EQ(vmbus_reader_skip(&reader, 1), VMBUS_OK);
        EXPECT_EQ(vmbus_reader_read(&reader, text, 24), VMBUS_RANGE_END);
        EXPECT_EQ(vmbus_reader_skip(&reader, 24), VMBUS_RANGE_END);
        EXPECT_EQ(vmbus_reader_read(&reader, NULL, 0), VMBUS_OK);
        EXPECT_EQ(vmbus_reader_read(&reader, text, 23), VMBUS_OK);
        EXPECT_BYTES_EQ(text, "bc---------------xyz\0\0\0", 23);
        EXPECT_EQ(vmbus_reader_spans(&reader, read_spans), 0);
}

/* Found by two_threads_lose_no_signal: between our store of `out` and our load of `in` the producer
 * may go beyond where `out` stood before. That breaks no rule. */
TEST(vmbus_ring, producer_may_fill_what_is_just_given_back)
{
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 0);
        REQUIRE_EQ(put_total(&rig, 4000), VMBUS_OK);
        commit(&rig);
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        rig.memory.control->out = rig.from.next_out; /* what give_back is about to store */
        REQUIRE_EQ(put_total(&rig, 1000), VMBUS_OK);
        commit(&rig);
        EXPECT_EQ(rig.memory.control->in, 904);
        REQUIRE_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, 3200, 0), VMBUS_FULL);
        EXPECT_FALSE(give_back(&rig));
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_TRUE(give_back(&rig));
        EXPECT_EQ(vmbus_sender_woken(&rig.sender), VMBUS_OK);
}

/* ---- a ring as a list of packets ---- */

#define MODEL_PACKETS 512u /* more than the ring below holds: 12280 / 24 */
#define MODEL_PAGES_MAX 3u
#define MODEL_PACKETS_EACH 40000u

/* What is in the external header, is a function of the id: see external_word(). */
struct model_packet {
        uint64_t id;
        uint32_t total_bytes, payload_bytes;
        uint32_t external_words; /* behind the word with the count */
        uint32_t range_count;
        enum vmbus_outgoing_kind kind;
};

/* packets[first ..]: given back < read < committed < written, each a count since the start. */
struct model {
        struct rig rig;
        uint32_t data_bytes, write_index;
        uint64_t given_back, read, committed, written;
        struct model_packet packets[MODEL_PACKETS];
        uint8_t image[MODEL_PAGES_MAX * 4096];
        void *table[BACKING_PAGES_MAX];
};

static struct model_packet *model_at(struct model *model, uint64_t number)
{
        return &model->packets[number % MODEL_PACKETS];
}

static uint32_t model_bytes(struct model *model, uint64_t first, uint64_t end)
{
        uint32_t sum = 0;
        for (uint64_t i = first; i < end; i++)
                sum += model_at(model, i)->total_bytes;
        return sum;
}

static uint8_t model_payload_byte(uint64_t id, uint32_t i)
{
        return (uint8_t)(id * 37 + i * 11 + 5);
}

static void model_put_byte(struct model *model, uint8_t byte)
{
        model->image[model->write_index] = byte;
        model->write_index = (model->write_index + 1) % model->data_bytes;
}

static void model_put_number(struct model *model, uint64_t number, uint32_t bytes)
{
        for (uint32_t i = 0; i < bytes; i++)
                model_put_byte(model, (uint8_t)(number >> (8 * i)));
}

/* GPA direct: ranges of two pages each, so three words; transfer pages: one word a range. */
static uint64_t external_word(const struct model_packet *packet, uint32_t i)
{
        if (packet->kind == VMBUS_SEND_TRANSFER_PAGES)
                return (packet->id + i) << 32 | (i * 5 + 1);
        return i % 3 == 0 ? (uint64_t)(1 + packet->id % 4095) << 32 | 4096
                          : packet->id * 1000 + i;
}

static bool is_external(const struct model_packet *packet)
{
        return packet->kind >= VMBUS_SEND_GPA_DIRECT;
}

/* Every byte of one packet, in the order of b.1. */
static void model_put_packet(struct model *model, const struct model_packet *packet)
{
        static const uint8_t types[] = {0, 6, 6, 0xb, 9, 7}, flags[] = {0, 0, 1, 0, 1, 1};
        uint32_t start = model->write_index;
        uint32_t external = is_external(packet) ? 1 + packet->external_words : 0;
        model_put_number(model, types[packet->kind], 2);
        model_put_number(model, 2 + external, 2);
        model_put_number(model, (packet->total_bytes - 8) / 8, 2);
        model_put_number(model, flags[packet->kind], 2);
        model_put_number(model, packet->id, 8);
        if (is_external(packet)) {
                bool transfer = packet->kind == VMBUS_SEND_TRANSFER_PAGES;
                model_put_number(model, transfer ? (uint16_t)(packet->id + 3) : 0, 4);
                model_put_number(model, packet->range_count, 4);
        }
        for (uint32_t i = 0; i < packet->external_words; i++)
                model_put_number(model, external_word(packet, i), 8);
        for (uint32_t i = 0; i < packet->total_bytes - 24 - 8 * external; i++)
                model_put_byte(model,
                               i < packet->payload_bytes ? model_payload_byte(packet->id, i) : 0);
        model_put_number(model, 0, 4);
        model_put_number(model, start, 4);
}

static uint32_t model_size(struct test *t, const struct model *model)
{
        switch (world_random_below(t, 8)) {
        case 0:
                return world_random_below(t, model->data_bytes + 64);
        case 1:
                return model->data_bytes - 32 - 8 + world_random_below(t, 16);
        case 2:
                return 0;
        default:
                return world_random_below(t, 300);
        }
}

/* Writes one packet with its payload. */
static enum vmbus_result model_put(struct model *model, const struct model_packet *packet,
                                   const uint8_t *bytes)
{
        static uint64_t words[3 * 8];
        struct vmbus_gpa_list list = {words, ARRAY_COUNT(words), packet->external_words,
                                      packet->range_count};
        const struct vmbus_outgoing out = {
                .kind = packet->kind,
                .payload_bytes = packet->payload_bytes,
                .transaction_id = packet->id,
                .gpa = &list,
                .transfer = (const struct vmbus_transfer_range *)(const void *)words,
                .transfer_count = packet->range_count,
                .transfer_page_set_id = (uint16_t)(packet->id + 3)};
        struct vmbus_range payload;
        for (uint32_t i = 0; i < packet->external_words; i++)
                words[i] = external_word(packet, i);
        enum vmbus_result result =
                vmbus_sender_write(&model->rig.sender, &model->rig.to, &out, &payload);
        if (result != VMBUS_OK)
                return result;
        struct vmbus_writer writer = vmbus_sender_writer(&model->rig.sender, &payload);
        uint32_t half = packet->payload_bytes / 2;
        result = vmbus_writer_write(&writer, bytes, half);
        return result != VMBUS_OK
                     ? result
                     : vmbus_writer_write(&writer, bytes + half, packet->payload_bytes - half);
}

static bool model_write(struct test *t, struct model *model)
{
        static uint8_t bytes[MODEL_PAGES_MAX * 4096 + 64];
        struct model_packet packet = {.id = model->written * 3 + 1,
                                      .payload_bytes = model_size(t, model),
                                      .kind = VMBUS_SEND_IN_BAND + world_random_below(t, 5)};
        if (packet.kind == VMBUS_SEND_GPA_DIRECT)
                packet.range_count = 1 + world_random_below(t, 7);
        if (packet.kind == VMBUS_SEND_TRANSFER_PAGES)
                packet.range_count = world_random_below(t, 20);
        packet.external_words = packet.range_count * (packet.kind == VMBUS_SEND_GPA_DIRECT ? 3 : 1);
        packet.total_bytes = 16 + (is_external(&packet) ? 8 + 8 * packet.external_words : 0) +
                             (packet.payload_bytes + 7) / 8 * 8 + 8;
        uint32_t used = model_bytes(model, model->given_back, model->written);
        enum vmbus_result expected = packet.total_bytes > model->data_bytes - 8 ? VMBUS_TOO_LARGE
                                   : packet.total_bytes + used + 8 > model->data_bytes ? VMBUS_FULL
                                                                                       : VMBUS_OK;
        for (uint32_t i = 0; i < packet.payload_bytes; i++)
                bytes[i] = model_payload_byte(packet.id, i);
        if (!EXPECT_EQ(
                    vmbus_sender_can_write(&model->rig.sender, &model->rig.to, packet.total_bytes),
                    expected) ||
            !EXPECT_EQ(model_put(model, &packet, bytes), expected))
                return false;
        if (expected == VMBUS_OK) {
                *model_at(model, model->written++) = packet;
                model_put_packet(model, &packet);
        }
        return true;
}

static bool model_commit(struct test *t, struct model *model)
{
        bool expected = model->written != model->committed &&
                        model->rig.memory.control->interrupt_mask == 0 &&
                        model->given_back == model->committed;
        model->committed = model->written;
        return EXPECT_EQ(commit(&model->rig), expected) &&
               EXPECT_EQ(model->rig.memory.control->in, model->write_index);
}

/* The external header of a packet, decoded, is what was put in. */
static bool model_external(struct test *t, struct model *model,
                           const struct model_packet *expected,
                           const struct vmbus_incoming *packet)
{
        uint64_t words[24];
        struct vmbus_gpa_list list;
        struct vmbus_transfer_list transfer = {.ranges = (void *)words,
                                               .capacity = 24,
                                               .buffer_bytes = 1ull << 32};
        if (!is_external(expected))
                return EXPECT_EQ(packet->range_count, 0) && EXPECT_EQ(packet->ranges.bytes, 0);
        if (packet->type == VMBUS_PACKET_GPA_DIRECT) {
                vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
                if (!EXPECT_EQ(vmbus_receiver_gpa_ranges(&model->rig.receiver, packet, &list),
                               VMBUS_OK) ||
                    !EXPECT_EQ(list.word_count, expected->external_words))
                        return false;
        } else if (!EXPECT_EQ(vmbus_receiver_transfer_ranges(&model->rig.receiver, packet,
                                                             &transfer),
                              VMBUS_OK) ||
                   !EXPECT_EQ(packet->transfer_page_set_id, (uint16_t)(expected->id + 3))) {
                return false;
        }
        for (uint32_t i = 0; i < expected->external_words; i++)
                if (words[i] != external_word(expected, i))
                        return EXPECT_EQ(words[i], external_word(expected, i));
        return EXPECT_EQ(packet->range_count, expected->range_count);
}

static bool model_read(struct test *t, struct model *model)
{
        static const enum vmbus_packet_type types[] = {0, 6, 6, 0xb, 9, 7};
        static uint8_t bytes[MODEL_PAGES_MAX * 4096];
        struct vmbus_incoming packet;
        bool empty = model->read == model->committed;
        if (!EXPECT_EQ(get(&model->rig, &packet), empty ? VMBUS_EMPTY : VMBUS_OK) || empty)
                return empty;
        const struct model_packet *expected = model_at(model, model->read++);
        bool has_id = expected->kind != VMBUS_SEND_IN_BAND;
        EXPECT_EQ(packet.type, types[expected->kind]);
        EXPECT_EQ(packet.completion_requested, expected->kind == VMBUS_SEND_IN_BAND_REQUEST ||
                                                       is_external(expected));
        EXPECT_EQ(packet.has_transaction_id, has_id);
        EXPECT_EQ(packet.transaction_id, has_id ? expected->id : 0);
        uint32_t external = is_external(expected) ? 8 + 8 * expected->external_words : 0;
        if (!EXPECT_EQ(packet.payload.bytes, expected->total_bytes - 24 - external) ||
            !model_external(t, model, expected, &packet))
                return false;
        /* In two pieces, so that a seam may lie in either. */
        struct vmbus_reader reader = vmbus_receiver_reader(&model->rig.receiver, &packet.payload);
        uint32_t first = world_random_below(t, packet.payload.bytes + 1);
        EXPECT_EQ(vmbus_reader_read(&reader, bytes, first), VMBUS_OK);
        EXPECT_EQ(vmbus_reader_read(&reader, bytes + first, packet.payload.bytes - first),
                  VMBUS_OK);
        for (uint32_t i = 0; i < packet.payload.bytes; i++) {
                uint8_t byte = i < expected->payload_bytes ? model_payload_byte(expected->id, i)
                                                           : 0;
                if (bytes[i] != byte)
                        return EXPECT_EQ(bytes[i], byte);
        }
        return true;
}

static bool model_give_back(struct test *t, struct model *model)
{
        uint32_t empty_free = model->data_bytes - 8;
        uint32_t before = empty_free - model_bytes(model, model->given_back, model->committed);
        uint32_t after = empty_free - model_bytes(model, model->read, model->committed);
        uint32_t pending = model->rig.memory.control->pending_send_size / 8 * 8;
        bool expected = model->read != model->given_back && pending != 0 && before < pending &&
                        after >= pending;
        model->given_back = model->read;
        return EXPECT_EQ(give_back(&model->rig), expected);
}

static bool model_sender_sleeps(struct test *t, struct model *model)
{
        uint32_t needed = 24 + world_random_below(t, model->data_bytes);
        uint32_t rounded = (needed + 7) / 8 * 8;
        uint32_t max = model->data_bytes - 8;
        uint32_t used = model_bytes(model, model->given_back, model->written);
        uint32_t uncommitted = model_bytes(model, model->committed, model->written);
        enum vmbus_result expected = needed > max                ? VMBUS_TOO_LARGE
                                   : uncommitted + rounded > max ? VMBUS_COMMIT_FIRST
                                   : used + needed <= max        ? VMBUS_OK
                                                                 : VMBUS_FULL;
        if (!EXPECT_EQ(vmbus_sender_prepare_to_sleep(&model->rig.sender, &model->rig.to, needed, 0),
                       expected))
                return false;
        return EXPECT_EQ(model->rig.memory.control->pending_send_size,
                         expected == VMBUS_FULL ? uncommitted + rounded : 0);
}

static bool model_receiver_sleeps(struct test *t, struct model *model)
{
        enum vmbus_result expected = model->read != model->given_back ? VMBUS_COMMIT_FIRST
                                   : model->read != model->committed  ? VMBUS_OK
                                                                      : VMBUS_EMPTY;
        return EXPECT_EQ(receiver_sleeps(&model->rig), expected) &&
               EXPECT_EQ(model->rig.memory.control->interrupt_mask, expected != VMBUS_EMPTY);
}

static bool model_sender_step(struct test *t, struct model *model)
{
        if (model->rig.sender.state == VMBUS_END_ASLEEP) {
                if (world_random_below(t, 4) == 0)
                        return EXPECT_EQ(vmbus_sender_woken(&model->rig.sender), VMBUS_OK);
                return true;
        }
        switch (world_random_below(t, 12)) {
        case 0:
                return model_sender_sleeps(t, model);
        case 1:
                vmbus_sender_revert(&model->rig.to);
                model->write_index = model->rig.memory.control->in;
                model->written = model->committed;
                return true;
        case 2:
        case 3:
        case 4:
        case 5:
                return model_commit(t, model);
        default:
                return model_write(t, model);
        }
}

static bool model_receiver_step(struct test *t, struct model *model)
{
        if (model->rig.receiver.state == VMBUS_END_ASLEEP) {
                if (world_random_below(t, 4) == 0)
                        return EXPECT_EQ(vmbus_receiver_woken(&model->rig.receiver), VMBUS_OK);
                return true;
        }
        switch (world_random_below(t, 12)) {
        case 0:
                return model_receiver_sleeps(t, model);
        case 1:
                vmbus_receiver_revert(&model->rig.from);
                model->read = model->given_back;
                return true;
        case 2:
        case 3:
        case 4:
                return model_give_back(t, model);
        default:
                return model_read(t, model);
        }
}

static bool model_image_agrees(struct test *t, const struct model *model)
{
        for (uint32_t page = 0; page < model->data_bytes; page += 4096)
                if (!EXPECT_BYTES_EQ(backing_byte(&model->rig.memory, page), model->image + page,
                                     4096))
                        return false;
        return true;
}

/* `packets` packets go through a ring of that kind and size; every step is compared. */
static void model_run(struct test *t, enum backing backing, uint32_t pages, uint64_t packets)
{
        static struct model model;
        uint64_t steps_max = packets * 64, steps = 0; /* about 6 a packet are enough */
        memset(&model, 0, sizeof(model));
        model.data_bytes = pages * 4096;
        model.write_index = 4096 - 8 * pages;
        REQUIRE_TRUE(open_backing(t, &model.rig, backing, pages, model.table));
        REQUIRE_TRUE(attach_at(t, &model.rig, model.write_index));
        for (; model.given_back < packets && steps < steps_max; steps++) {
                bool good = world_random_below(t, 2) ? model_sender_step(t, &model)
                                                     : model_receiver_step(t, &model);
                if (steps % 16 == 0)
                        good &= model_image_agrees(t, &model);
                REQUIRE_TRUE(good && !test_has_failed(t));
        }
        EXPECT_GE(model.given_back, packets);
}

TEST_WITH(vmbus_ring, random_steps_agree_with_a_list_of_packets, 0, 120000)
{
        for (enum backing backing = 0; backing < BACKING_COUNT; backing++)
                for (uint32_t pages = 1; pages <= MODEL_PAGES_MAX; pages += 2)
                        model_run(t, backing, pages, MODEL_PACKETS_EACH);
}

/* The same for ten million packets in all: minutes, so on request. */
TEST_WITH(vmbus_ring_long, random_steps_agree_with_a_list_of_packets, TEST_ON_REQUEST, 3600000)
{
        for (enum backing backing = 0; backing < BACKING_COUNT; backing++)
                for (uint32_t pages = 1; pages <= MODEL_PAGES_MAX; pages += 2)
                        model_run(t, backing, pages, 10000000 / 6 + 1);
}

/* ---- arithmetic and headers, exhaustively ---- */

TEST(vmbus_ring, arithmetic_is_that_of_remainders)
{
        const struct vmbus_memory memory = {.data_bytes = 4096};
        for (uint32_t in = 0; in < 4096; in += 8) {
                for (uint32_t out = 0; out < 4096; out += 8) {
                        uint32_t used = (in + 4096 - out) % 4096;
                        REQUIRE_EQ(vmbus_memory_distance(&memory, out, in), used);
                        REQUIRE_EQ(vmbus_memory_free(&memory, in, out), 4096 - used - 8);
                        REQUIRE_EQ(vmbus_memory_advance(&memory, out, in), (in + out) % 4096);
                }
        }
        const struct vmbus_memory huge = {.data_bytes = UINT32_MAX - 4095};
        EXPECT_EQ(vmbus_memory_advance(&huge, UINT32_MAX - 4103, 8), 0);
        EXPECT_EQ(vmbus_memory_advance(&huge, UINT32_MAX - 4103, UINT32_MAX - 4103),
                  UINT32_MAX - 4111);
        EXPECT_EQ(vmbus_memory_free(&huge, 0, 8), 0);
}

struct header {
        uint32_t type, data_offset8, length8, flags, range_count, available;
};

/* The rules of b.2, b.4, b.5 and c.6, in the order of c.6. */
static enum vmbus_result header_rules(const struct header *header)
{
        uint32_t range_words = header->data_offset8 - 3;
        if (header->available < 24)
                return VMBUS_BAD_AVAILABLE;
        if (header->length8 < header->data_offset8)
                return VMBUS_BAD_LENGTH;
        if (header->data_offset8 < 2)
                return VMBUS_BAD_DATA_OFFSET;
        if (header->length8 * 8 + 8 > header->available)
                return VMBUS_BAD_TOTAL;
        if (header->flags != 0 && header->flags != 1)
                return VMBUS_BAD_FLAGS;
        if (header->type == 6 || header->type == 11)
                return VMBUS_OK;
        if (header->type != 7 && header->type != 9)
                return VMBUS_BAD_TYPE;
        if (header->data_offset8 < 3)
                return VMBUS_BAD_EXTERNAL_HEADER;
        if (header->type == 9 && header->range_count == 0)
                return VMBUS_BAD_RANGE_COUNT_ZERO;
        if (header->range_count > (header->type == 9 ? range_words / 2 : range_words))
                return VMBUS_BAD_RANGE_COUNT;
        return VMBUS_OK;
}

static bool header_agrees(struct test *t, struct rig *rig, const struct header *header)
{
        struct vmbus_incoming packet;
        uint64_t words[3] = {(uint64_t)header->flags << 48 | (uint64_t)header->length8 << 32 |
                                     header->data_offset8 << 16 | header->type,
                             77, (uint64_t)header->range_count << 32 | 0xcafe};
        enum vmbus_result expected = header_rules(header);
        memcpy(rig->memory.data, words, sizeof(words));
        rig->memory.control->in = header->available;
        rig->memory.control->out = 0;
        vmbus_receiver_init(&rig->receiver, &rig->memory);
        if (!EXPECT_EQ(vmbus_receiver_position(&rig->receiver, &rig->from), VMBUS_OK) ||
            !EXPECT_EQ(get(rig, &packet), expected))
                return false;
        if (expected != VMBUS_OK)
                return EXPECT_EQ(rig->from.next_out, 0);
        bool external = header->type == 7 || header->type == 9;
        return EXPECT_EQ(rig->from.next_out, header->length8 * 8 + 8) &&
               EXPECT_EQ(packet.payload.offset, header->data_offset8 * 8) &&
               EXPECT_EQ(packet.payload.bytes, (header->length8 - header->data_offset8) * 8) &&
               EXPECT_EQ(packet.range_count, external ? header->range_count : 0) &&
               EXPECT_EQ(packet.ranges.bytes, external ? header->data_offset8 * 8 - 24 : 0) &&
               EXPECT_EQ(packet.transfer_page_set_id, header->type == 7 ? 0xcafe : 0);
}

TEST_WITH(vmbus_ring, every_small_header_is_judged_by_the_rules, 0, 60000)
{
        static const uint32_t flags[] = {0, 1, 2, 3, 0x8000}, counts[] = {0, 1, 2, 3, UINT32_MAX};
        struct header header;
        struct rig rig;
        OPEN(rig, 1, 0);
        for (header.type = 0; header.type < 15; header.type++)
                for (header.data_offset8 = 0; header.data_offset8 < 8; header.data_offset8++)
                        for (header.length8 = 0; header.length8 < 9; header.length8++)
                                for (uint32_t i = 0; i < 5 * 5 * 10; i++) {
                                        header.flags = flags[i % 5];
                                        header.range_count = counts[i / 5 % 5];
                                        header.available = 8 + i / 25 * 8;
                                        REQUIRE_TRUE(header_agrees(t, &rig, &header));
                                }
}

/* A peer that writes noise anywhere, at any time: whatever is read lies in the ring (the pages
 * around it fault), and once broken stays broken. */
TEST_WITH(vmbus_ring, noise_never_leads_out_of_the_ring, 0, 60000)
{
        static uint8_t copy[4096];
        uint32_t good = 0;
        struct rig rig;
        OPEN(rig, 1, 0);
        for (uint32_t round = 0; round < 200000; round++) {
                struct vmbus_incoming packet;
                uint64_t word0 = VMBUS_WORD0(6 + world_random_below(t, 6), world_random_below(t, 8),
                                             world_random_below(t, 64), world_random_below(t, 3));
                rig.memory.control->out = world_random_below(t, 512) * 8;
                rig.memory.control->in = world_random_below(t, 520) * 8;
                vmbus_receiver_init(&rig.receiver, &rig.memory);
                if (vmbus_receiver_position(&rig.receiver, &rig.from) != VMBUS_OK)
                        continue;
                memcpy(rig.memory.data + rig.from.next_out, &word0, 8);
                for (uint32_t i = 0; i < 4 && get(&rig, &packet) == VMBUS_OK; i++, good++) {
                        REQUIRE_EQ(vmbus_receiver_copy(&rig.receiver, &packet.payload, copy,
                                                       sizeof(copy)),
                                   VMBUS_OK);
                        REQUIRE_EQ(vmbus_receiver_copy(&rig.receiver, &packet.ranges, copy,
                                                       sizeof(copy)),
                                   VMBUS_OK);
                        rig.memory.control->pending_send_size = world_random(t);
                        rig.memory.control->in = world_random_below(t, 520) * 8;
                        give_back(&rig);
                }
                rig.memory.data[world_random_below(t, 4096)] = (uint8_t)world_random(t);
        }
        EXPECT_GT(good, 1000);
}
