/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_consumer_fuzz — a hostile consumer: the input writes the words that a consumer may
 * write, and those that it may not, and the sender writes, commits, sleeps and wakes. What the
 * sender has published is read by an honest receiver beside it, in the order in which it was sent.
 */
#include "tests/fuzz/vmbus_ring_fuzz.h"

struct writing {
        struct fuzz_ring ring;
        struct vmbus_sender sender;
        struct vmbus_send_position position;
};

static uint8_t bytes[FUZZ_PAGES_MAX * PAGE_BYTES + 64];
static uint64_t words[64];

static void hostile_write(struct writing *writing, struct fuzz_input *input)
{
        struct vmbus_control_page *control = writing->ring.memory.control;
        switch (fuzz_u8(input) % 8) {
        case 0:
        case 1:
                control->out = fuzz_size(input);
                break;
        case 2: /* what an honest one would do: take everything */
                control->out = writing->position.committed_in;
                break;
        case 3:
                control->interrupt_mask = fuzz_u8(input) % 2;
                break;
        case 4:
                control->in = fuzz_size(input);
                break;
        case 5:
                control->pending_send_size = fuzz_u32(input);
                break;
        default:
                vmbus_memory_store_u64(&writing->ring.memory,
                                       fuzz_size(input) % writing->ring.memory.data_bytes & ~7u,
                                       fuzz_u32(input));
                break;
        }
}

static void write_packet(struct writing *writing, struct fuzz_input *input)
{
        static const uint64_t pages[2] = {1, 2};
        const struct vmbus_gpa_range range = {5000, 1, 2, pages};
        uint32_t ranges = fuzz_u8(input) % 20;
        struct vmbus_gpa_list list;
        struct vmbus_outgoing packet = {.kind = 1 + fuzz_u8(input) % 5,
                                        .payload_bytes = fuzz_size(input),
                                        .transaction_id = fuzz_u8(input),
                                        .gpa = &list,
                                        .transfer = (void *)words,
                                        .transfer_count = ranges};
        struct vmbus_send_position before = writing->position;
        struct vmbus_range payload;
        vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
        for (uint32_t i = 0; i < ranges + 1; i++)
                CHECK(vmbus_gpa_list_push(&list, &range) == ZX_OK);
        enum vmbus_result result =
                vmbus_sender_write(&writing->sender, &writing->position, &packet, &payload);
        if (result != VMBUS_OK) {
                CHECK(writing->position.next_in == before.next_in);
                return;
        }
        uint64_t total = vmbus_outgoing_bytes(&packet);
        CHECK(total <= vmbus_sender_packet_bytes_max(&writing->sender));
        CHECK(vmbus_memory_distance(&writing->ring.memory, before.next_in,
                                    writing->position.next_in) == total);
        struct vmbus_writer writer = vmbus_sender_writer(&writing->sender, &payload);
        CHECK(vmbus_writer_write(&writer, bytes, packet.payload_bytes) == VMBUS_OK);
}

/* What was written since the last commit is good, whatever the consumer does meanwhile to the
 * control page (the data it left alone). */
static void check_written(struct writing *writing, bool data_untouched)
{
        struct vmbus_receiver probe = {.memory = writing->ring.memory, .state = VMBUS_END_READY};
        struct vmbus_receive_position from = {.next_out = writing->position.committed_in,
                                              .committed_out = writing->position.committed_in,
                                              .cached_in = writing->position.next_in};
        struct vmbus_incoming packet;
        if (!data_untouched)
                return;
        while (from.next_out != writing->position.next_in) /* each round moves on by 24 or more */
                CHECK(vmbus_receiver_read(&probe, &from, &packet) == VMBUS_OK);
}

static void step(struct writing *writing, struct fuzz_input *input)
{
        struct vmbus_sender *sender = &writing->sender;
        struct vmbus_pipe_bytes message = {bytes, fuzz_u8(input) * 16u};
        uint32_t written;
        if (sender->state == VMBUS_END_ASLEEP) {
                (void)!vmbus_sender_woken(sender);
                return;
        }
        switch (fuzz_u8(input) % 8) {
        case 0:
                (void)!vmbus_sender_commit(sender, &writing->position);
                if (sender->state == VMBUS_END_READY)
                        CHECK(writing->position.committed_in == writing->position.next_in);
                break;
        case 1:
                vmbus_sender_revert(&writing->position);
                break;
        case 2:
                (void)!vmbus_sender_prepare_to_sleep(sender, &writing->position,
                                                     1 + fuzz_size(input) % 9000,
                                                     vmbus_sender_wake_bytes(sender));
                break;
        case 3:
                (void)!vmbus_pipe_write_message(sender, &writing->position, &message);
                break;
        case 4:
                if (message.byte_count != 0)
                        (void)!vmbus_pipe_write(sender, &writing->position, &message, &written);
                break;
        default:
                write_packet(writing, input);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_input input = {data, size};
        struct writing writing = {0};
        fuzz_open(&writing.ring, fuzz_u8(&input));
        vmbus_sender_init(&writing.sender, &writing.ring.memory);
        CHECK(vmbus_sender_position(&writing.sender, &writing.position) == VMBUS_OK);
        bool untouched = true;
        while (input.left != 0) {
                enum vmbus_result before = writing.sender.fault.reason;
                if (fuzz_u8(&input) % 2) {
                        untouched &= input.left != 0 && *input.next % 8 < 6;
                        hostile_write(&writing, &input);
                } else {
                        step(&writing, &input);
                }
                check_written(&writing, untouched);
                CHECK(vmbus_send_position_valid(&writing.ring.memory, &writing.position));
                CHECK(before == VMBUS_OK || before == writing.sender.fault.reason);
        }
        fuzz_close(&writing.ring);
        return 0;
}
