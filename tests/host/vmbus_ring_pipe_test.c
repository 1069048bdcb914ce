/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_pipe_test — message and byte pipes, batches and the table of requests: spec/vmbus.md,
 * b.3, b.7, d.8. */
#include "tests/boot/vmbus_ring_rig.h"
#include "tests/expect.h"

static enum vmbus_result send_message(struct rig *rig, const void *bytes, uint32_t count)
{
        const struct vmbus_pipe_bytes message = {bytes, count};
        return vmbus_pipe_write_message(&rig->sender, &rig->to, &message);
}

TEST(vmbus_ring, messages_keep_their_bounds)
{
        char text[16];
        struct vmbus_pipe_buffer buffer = {.bytes = text, .capacity = 4};
        struct rig rig;
        OPEN(rig, 1, 4064);
        REQUIRE_EQ(send_message(&rig, "hello", 5), VMBUS_OK);
        REQUIRE_EQ(send_message(&rig, NULL, 0), VMBUS_OK);
        EXPECT_EQ(rig.to.next_in, 4064 + VMBUS_PIPE_MESSAGE_BYTES(5) + 32 - 4096);
        EXPECT_EQ(vmbus_pipe_read_message(&rig.receiver, &rig.from, &buffer), VMBUS_EMPTY);
        commit(&rig);
        EXPECT_BYTES_EQ(rig.memory.data + 4064 + 16, "\1\0\0\0\5\0\0\0hello\0\0\0", 16);
        EXPECT_EQ(vmbus_pipe_read_message(&rig.receiver, &rig.from, &buffer), VMBUS_RANGE_END);
        EXPECT_EQ(buffer.byte_count, 5);
        EXPECT_EQ(rig.from.next_out, 4064);
        buffer.capacity = sizeof(text);
        REQUIRE_EQ(vmbus_pipe_read_message(&rig.receiver, &rig.from, &buffer), VMBUS_OK);
        EXPECT_EQ(buffer.byte_count, 5);
        EXPECT_BYTES_EQ(text, "hello", 5);
        REQUIRE_EQ(vmbus_pipe_read_message(&rig.receiver, &rig.from, &buffer), VMBUS_OK);
        EXPECT_EQ(buffer.byte_count, 0);
        EXPECT_EQ(vmbus_pipe_read_message(&rig.receiver, &rig.from, &buffer), VMBUS_EMPTY);
}

TEST(vmbus_ring, messages_have_one_largest_size)
{
        static uint8_t bytes[VMBUS_PIPE_BYTES_MAX + 1];
        struct rig rig;
        OPEN(rig, 1, 0);
        EXPECT_EQ(vmbus_pipe_message_bytes_max(&rig.sender), 4088 - 24 - 8);
        EXPECT_EQ(send_message(&rig, bytes, 4057), VMBUS_TOO_LARGE);
        EXPECT_EQ(send_message(&rig, bytes, 4056), VMBUS_OK);
        EXPECT_EQ(send_message(&rig, bytes, 1), VMBUS_FULL);
        OPEN(rig, 8, 0);
        EXPECT_EQ(vmbus_pipe_message_bytes_max(&rig.sender), 16384);
        EXPECT_EQ(send_message(&rig, bytes, 16385), VMBUS_TOO_LARGE);
        EXPECT_EQ(send_message(&rig, bytes, 16384), VMBUS_OK);
}

static uint8_t stream_byte(uint64_t place)
{
        return (uint8_t)(place * 7 + place / 251);
}

/* Random pieces in, random pieces out: the same bytes, in order, and then the end. */
TEST(vmbus_ring, a_byte_pipe_is_one_stream)
{
        static uint8_t bytes[6000], got[6000];
        const uint64_t total = 400000;
        struct vmbus_pipe_reader reader = {0};
        uint64_t written = 0, read = 0, partials = 0;
        bool signal, end_sent = false;
        enum vmbus_result result = VMBUS_EMPTY;
        struct rig rig;
        OPEN(rig, 2, 4000);
        while (result != VMBUS_PIPE_END) { /* each round reads, or writes what the next one reads */
                uint32_t count = 1 + world_random_below(t, sizeof(bytes)), done = 0;
                count = (uint32_t)min_u64(count, total - written);
                struct vmbus_pipe_bytes piece = {bytes, count};
                for (uint32_t i = 0; i < count; i++)
                        bytes[i] = stream_byte(written + i);
                if (count != 0)
                        result = vmbus_pipe_write(&rig.sender, &rig.to, &piece, &done);
                else if (!end_sent)
                        end_sent = send_message(&rig, NULL, 0) == VMBUS_OK;
                REQUIRE_TRUE(count == 0 || result == (done == count ? VMBUS_OK : VMBUS_FULL));
                written += done;
                commit(&rig);
                struct vmbus_pipe_buffer buffer = {
                        got, 1 + world_random_below(t, sizeof(got)), 0};
                result = vmbus_pipe_read(&rig.receiver, &rig.from, &reader, &buffer, &signal);
                partials += reader.open;
                REQUIRE_TRUE(result == VMBUS_PIPE_END || result == VMBUS_OK ||
                             result == VMBUS_EMPTY);
                for (uint32_t i = 0; i < buffer.byte_count; i++)
                        REQUIRE_EQ(got[i], stream_byte(read + i));
                read += buffer.byte_count;
        }
        EXPECT_EQ(read, total);
        EXPECT_GT(partials, 10u);
        struct vmbus_pipe_buffer buffer = {got, 1, 0};
        EXPECT_EQ(vmbus_pipe_read(&rig.receiver, &rig.from, &reader, &buffer, &signal),
                  VMBUS_PIPE_END);
        EXPECT_EQ(rig.memory.control->in, rig.memory.control->out);
}

/* A reader that takes part of a packet leaves a note in the ring;
 * another one goes on from there. */
TEST(vmbus_ring, a_partial_packet_is_continued_by_another_reader)
{
        char text[16];
        struct vmbus_pipe_buffer buffer = {text, 3, 0};
        struct vmbus_pipe_reader first = {0}, second = {0};
        bool signal;
        struct rig rig;
        OPEN(rig, 1, 4096 - 16); /* the header straddles nothing, but the rest is behind the seam */
        REQUIRE_EQ(send_message(&rig, "partial", 7), VMBUS_OK);
        commit(&rig);
        REQUIRE_EQ(vmbus_pipe_read(&rig.receiver, &rig.from, &first, &buffer, &signal), VMBUS_OK);
        EXPECT_BYTES_EQ(text, "par", 3);
        EXPECT_BYTES_EQ(rig.memory.data, "\2\0\0\0\7\0\3\0", 8);
        EXPECT_EQ(rig.memory.control->out, 4096 - 16);
        vmbus_receiver_init(&rig.receiver, &rig.memory);
        REQUIRE_EQ(vmbus_receiver_position(&rig.receiver, &rig.from), VMBUS_OK);
        buffer.capacity = sizeof(text);
        REQUIRE_EQ(vmbus_pipe_read(&rig.receiver, &rig.from, &second, &buffer, &signal), VMBUS_OK);
        EXPECT_EQ(buffer.byte_count, 4);
        EXPECT_BYTES_EQ(text, "tial", 4);
        EXPECT_EQ(rig.memory.control->out, rig.memory.control->in);
}

TEST(vmbus_ring, every_rule_of_a_pipe_has_its_reason)
{
        static const struct {
                enum vmbus_outgoing_kind kind;
                uint32_t payload_bytes, type, len;
                enum vmbus_result message, bytes;
        } rows[] = {
                {VMBUS_SEND_IN_BAND, 16, 1, 8, VMBUS_OK, VMBUS_OK},
                {VMBUS_SEND_IN_BAND_REQUEST, 16, 1, 8, VMBUS_OK, VMBUS_OK},
                {VMBUS_SEND_COMPLETION, 16, 1, 8, VMBUS_BAD_PIPE_PACKET, VMBUS_BAD_PIPE_PACKET},
                {VMBUS_SEND_IN_BAND, 0, 1, 0, VMBUS_BAD_PIPE_HEADER, VMBUS_BAD_PIPE_HEADER},
                {VMBUS_SEND_IN_BAND, 16, 0, 8, VMBUS_BAD_PIPE_TYPE, VMBUS_BAD_PIPE_TYPE},
                {VMBUS_SEND_IN_BAND, 16, 3, 8, VMBUS_BAD_PIPE_TYPE, VMBUS_BAD_PIPE_TYPE},
                {VMBUS_SEND_IN_BAND, 16, 4, 8, VMBUS_BAD_PIPE_TYPE, VMBUS_BAD_PIPE_TYPE},
                {VMBUS_SEND_IN_BAND, 16, 1, 9, VMBUS_BAD_PIPE_LENGTH, VMBUS_BAD_PIPE_LENGTH},
                {VMBUS_SEND_IN_BAND, 16, 1, UINT32_MAX, VMBUS_BAD_PIPE_LENGTH,
                 VMBUS_BAD_PIPE_LENGTH},
                {VMBUS_SEND_IN_BAND, 16400, 1, 16384, VMBUS_OK, VMBUS_OK},
                {VMBUS_SEND_IN_BAND, 16400, 1, 16385, VMBUS_BAD_PIPE_LENGTH, VMBUS_BAD_PIPE_LENGTH},
                {VMBUS_SEND_IN_BAND, 16, 2, 0x00070008, VMBUS_BAD_PIPE_TYPE, VMBUS_OK},
                {VMBUS_SEND_IN_BAND, 16, 2, 0x00080008, VMBUS_BAD_PIPE_TYPE,
                 VMBUS_BAD_PIPE_PARTIAL},
                {VMBUS_SEND_IN_BAND, 16, 2, 0x00000000, VMBUS_BAD_PIPE_TYPE,
                 VMBUS_BAD_PIPE_PARTIAL},
                {VMBUS_SEND_IN_BAND, 16, 2, 0xffff0008, VMBUS_BAD_PIPE_TYPE,
                 VMBUS_BAD_PIPE_PARTIAL},
                {VMBUS_SEND_IN_BAND, 16, 2, 0x00000009, VMBUS_BAD_PIPE_TYPE, VMBUS_BAD_PIPE_LENGTH},
        };
        static uint8_t got[16384];
        for (size_t i = 0; i < ARRAY_COUNT(rows) * 2; i++) {
                bool stream = i % 2;
                enum vmbus_result wanted = stream ? rows[i / 2].bytes : rows[i / 2].message, result;
                struct vmbus_pipe_buffer buffer = {got, sizeof(got), 0};
                struct vmbus_pipe_reader reader = {0};
                uint32_t header[2] = {rows[i / 2].type, rows[i / 2].len};
                bool signal;
                struct rig rig;
                OPEN(rig, 5, 0);
                REQUIRE_EQ(put(&rig, rows[i / 2].kind, 0, NULL, rows[i / 2].payload_bytes),
                           VMBUS_OK);
                if (rows[i / 2].payload_bytes >= 8)
                        memcpy(rig.memory.data + 16, header, 8);
                commit(&rig);
                result = stream ? vmbus_pipe_read(&rig.receiver, &rig.from, &reader, &buffer,
                                                  &signal)
                                : vmbus_pipe_read_message(&rig.receiver, &rig.from, &buffer);
                if (!EXPECT_EQ(result, wanted))
                        test_log(t, "in row %zu, %s", i / 2, stream ? "bytes" : "message");
                if (wanted == VMBUS_OK)
                        continue;
                EXPECT_EQ(rig.receiver.fault.reason, wanted);
                EXPECT_EQ(rig.memory.control->out, 0);
                result = stream ? vmbus_pipe_read(&rig.receiver, &rig.from, &reader, &buffer,
                                                  &signal)
                                : vmbus_pipe_read_message(&rig.receiver, &rig.from, &buffer);
                EXPECT_EQ(result, wanted);
        }
}

/* ---- batches ---- */

TEST(vmbus_ring, a_batch_commits_once_and_has_a_bound)
{
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 0);
        for (uint32_t i = 0; i < 5; i++)
                REQUIRE_EQ(put(&rig, VMBUS_SEND_COMPLETION, i, NULL, 8), VMBUS_OK);
        commit(&rig);
        struct vmbus_batch batch = vmbus_batch_begin(&rig.receiver, &rig.from, 3);
        for (uint32_t i = 0; i < 3; i++) {
                REQUIRE_EQ(vmbus_batch_next(&batch, &packet), VMBUS_OK);
                EXPECT_EQ(packet.transaction_id, i);
        }
        EXPECT_EQ(vmbus_batch_next(&batch, &packet), VMBUS_BATCH_END);
        vmbus_batch_put_back(&batch);
        vmbus_batch_put_back(&batch); /* once is all */
        EXPECT_EQ(rig.memory.control->out, 0);
        EXPECT_FALSE(vmbus_batch_end(&batch));
        EXPECT_EQ(rig.memory.control->out, 64);
        batch = vmbus_batch_begin(&rig.receiver, &rig.from, 8);
        vmbus_batch_put_back(&batch); /* nothing yet */
        for (uint32_t i = 2; i < 5; i++) {
                REQUIRE_EQ(vmbus_batch_next(&batch, &packet), VMBUS_OK);
                EXPECT_EQ(packet.transaction_id, i);
        }
        EXPECT_EQ(vmbus_batch_next(&batch, &packet), VMBUS_EMPTY);
        EXPECT_FALSE(vmbus_batch_end(&batch));
        EXPECT_EQ(rig.memory.control->out, 160);
}

/* A copy of a position tries a batch of writes and is thrown away,
 * or takes the original's place. */
TEST(vmbus_ring, a_cloned_position_tries_a_batch)
{
        const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_COMPLETION, .transaction_id = 9};
        struct vmbus_range payload;
        struct rig rig;
        OPEN(rig, 1, 0);
        struct vmbus_send_position trial = rig.to;
        uint32_t count = 0;
        while (vmbus_sender_write(&rig.sender, &trial, &packet, &payload) == VMBUS_OK)
                count++;
        EXPECT_EQ(count, 4088 / 24);
        EXPECT_EQ(rig.to.next_in, 0);
        EXPECT_FALSE(vmbus_sender_commit(&rig.sender, &rig.to));
        EXPECT_EQ(rig.memory.control->in, 0); /* thrown away */
        trial = rig.to;
        REQUIRE_EQ(vmbus_sender_write(&rig.sender, &trial, &packet, &payload), VMBUS_OK);
        EXPECT_FALSE(vmbus_sender_commit(&rig.sender, &trial));
        EXPECT_EQ(rig.memory.control->in, 24);
        rig.to = trial;
        REQUIRE_TRUE(drain(&rig, 1));
}

/* ---- requests ---- */

TEST(vmbus_ring, requests_are_completed_once_and_by_name)
{
        struct vmbus_request_slot slots[3];
        struct vmbus_requests requests;
        char contexts[4];
        uint64_t ids[4], again;
        void *context = NULL;
        vmbus_requests_init(&requests, slots, 3);
        /* The name that a free slot will have next was not given to anybody yet. */
        EXPECT_EQ(vmbus_requests_complete(&requests, 1, &context), VMBUS_BAD_REQUEST_ID);
        EXPECT_EQ(vmbus_requests_cancel(&requests, 3, &context), VMBUS_BAD_REQUEST_ID);
        for (uint32_t i = 0; i < 3; i++) {
                REQUIRE_OK(vmbus_requests_add(&requests, &contexts[i], &ids[i]));
                EXPECT_NE(ids[i], 0u);
        }
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, vmbus_requests_add(&requests, &contexts[3], &ids[3]));
        EXPECT_EQ(vmbus_requests_complete(&requests, 0, &context), VMBUS_BAD_REQUEST_ID);
        EXPECT_EQ(vmbus_requests_complete(&requests, 4, &context), VMBUS_BAD_REQUEST_ID);
        EXPECT_EQ(vmbus_requests_complete(&requests, ids[1] | 1ull << 32, &context),
                  VMBUS_BAD_REQUEST_ID);
        EXPECT_EQ(vmbus_requests_complete(&requests, UINT64_MAX, &context), VMBUS_BAD_REQUEST_ID);
        EXPECT_TRUE(context == NULL);
        REQUIRE_EQ(vmbus_requests_complete(&requests, ids[1], &context), VMBUS_OK);
        EXPECT_PTR_EQ(context, &contexts[1]);
        EXPECT_EQ(vmbus_requests_complete(&requests, ids[1], &context), VMBUS_BAD_REQUEST_TWICE);
        REQUIRE_OK(vmbus_requests_add(&requests, &contexts[3], &again));
        EXPECT_NE(again, ids[1]); /* the slot is the same, the name is not */
        EXPECT_EQ((uint32_t)again, (uint32_t)ids[1]);
        EXPECT_EQ(vmbus_requests_complete(&requests, ids[1], &context), VMBUS_BAD_REQUEST_TWICE);
        REQUIRE_EQ(vmbus_requests_complete(&requests, again, &context), VMBUS_OK);
        EXPECT_PTR_EQ(context, &contexts[3]);
        REQUIRE_EQ(vmbus_requests_cancel(&requests, ids[2], &context), VMBUS_OK);
        EXPECT_EQ(requests.waiting_count, 1);
        REQUIRE_TRUE(vmbus_requests_drain(&requests, &context));
        EXPECT_PTR_EQ(context, &contexts[0]);
        EXPECT_FALSE(vmbus_requests_drain(&requests, &context));
}

TEST(vmbus_ring, requests_agree_with_a_list_of_ids)
{
        enum { SLOTS = 13, SEEN = 4096 };
        static uint64_t seen[SEEN];
        static bool waits[SEEN];
        struct vmbus_request_slot slots[SLOTS];
        struct vmbus_requests requests;
        uint32_t count = 0, waiting = 0;
        vmbus_requests_init(&requests, slots, SLOTS);
        memset(waits, 0, sizeof(waits));
        while (count < SEEN) {
                void *context;
                if (world_random_below(t, 2) == 0) {
                        zx_status_t status =
                                vmbus_requests_add(&requests, &seen[count], &seen[count]);
                        REQUIRE_STATUS(waiting == SLOTS ? ZX_ERR_NO_RESOURCES : ZX_OK, status);
                        if (status != ZX_OK)
                                continue;
                        for (uint32_t i = 0; i < count && i < 200; i++)
                                REQUIRE_TRUE(seen[count - 1 - i] != seen[count]);
                        waits[count++] = true;
                        waiting++;
                } else if (count != 0) {
                        uint32_t i =
                                count - 1 - world_random_below(t, (uint32_t)min_u64(count, 20));
                        enum vmbus_result result =
                                vmbus_requests_complete(&requests, seen[i], &context);
                        REQUIRE_EQ(result, waits[i] ? VMBUS_OK : VMBUS_BAD_REQUEST_TWICE);
                        if (waits[i])
                                REQUIRE_TRUE(context == &seen[i]);
                        waiting -= waits[i];
                        waits[i] = false;
                }
                REQUIRE_EQ(requests.waiting_count, waiting);
        }
}
