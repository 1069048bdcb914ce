/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_producer_fuzz — a hostile producer: the input writes anything anywhere, at any time,
 * and the receiver reads, decodes, sleeps and wakes. */
#include "tests/fuzz/vmbus_ring_fuzz.h"

#define READS_MAX 8u

struct reading {
        struct fuzz_ring ring;
        struct vmbus_receiver receiver;
        struct vmbus_receive_position position;
        struct vmbus_pipe_reader pipe;
};

static uint8_t copy[FUZZ_PAGES_MAX * PAGE_BYTES];
static uint64_t words[FUZZ_PAGES_MAX * PAGE_BYTES / 8];

/* What holds of a good packet, whoever sent it. */
static void use_packet(struct reading *reading, const struct vmbus_incoming *packet)
{
        struct vmbus_receiver *receiver = &reading->receiver;
        struct vmbus_transfer_list transfer = {(void *)words, ARRAY_COUNT(words), 0, 100000};
        struct vmbus_gpa_list list;
        struct vmbus_gpa_range range;
        CHECK(packet->payload.bytes < reading->ring.memory.data_bytes);
        CHECK(vmbus_receiver_copy(receiver, &packet->payload, copy, sizeof(copy)) == VMBUS_OK);
        CHECK(packet->range_count <= packet->ranges.bytes / 8);
        if (packet->type == VMBUS_PACKET_TRANSFER_PAGES &&
            vmbus_receiver_transfer_ranges(receiver, packet, &transfer) == VMBUS_OK) {
                for (uint32_t i = 0; i < transfer.count; i++)
                        CHECK((uint64_t)transfer.ranges[i].byte_offset +
                                      transfer.ranges[i].byte_count <=
                              100000);
        }
        if (packet->type != VMBUS_PACKET_GPA_DIRECT)
                return;
        vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
        if (vmbus_receiver_gpa_ranges(receiver, packet, &list) != VMBUS_OK)
                return;
        uint32_t used = 0;
        struct vmbus_gpa_cursor cursor = vmbus_gpa_list_cursor(&list);
        while (vmbus_gpa_next(&cursor, &range)) {
                CHECK(range.byte_count != 0 && range.byte_offset < PAGE_BYTES);
                used += 1 + range.page_count;
        }
        CHECK(used == list.word_count && used <= packet->ranges.bytes / 8);
}

/* The peer's part: one write. */
static void hostile_write(struct reading *reading, struct fuzz_input *input)
{
        struct vmbus_control_page *control = reading->ring.memory.control;
        uint32_t index, value;
        switch (fuzz_u8(input) % 8) {
        case 0:
        case 1:
                control->in = fuzz_size(input);
                break;
        case 2:
                control->pending_send_size = fuzz_size(input);
                break;
        case 3:
                control->interrupt_mask = fuzz_u8(input) % 4;
                break;
        case 4:
                control->out = fuzz_size(input);
                break;
        default:
                index = fuzz_size(input) % reading->ring.memory.data_bytes & ~7u;
                value = fuzz_u32(input);
                vmbus_memory_store_u64(&reading->ring.memory, index,
                                       (uint64_t)fuzz_u32(input) << 32 | value);
                break;
        }
}

/* Both ways of reading the next packet find the same. */
static void read_both(struct reading *reading)
{
        struct vmbus_receiver one = reading->receiver, other = reading->receiver;
        struct vmbus_receive_position from = reading->position, other_from = reading->position;
        struct vmbus_incoming packet, taken;
        const size_t end = offsetof(struct vmbus_incoming, payload) + sizeof(packet.payload);
        enum vmbus_result result = vmbus_receiver_read(&one, &from, &packet);
        CHECK(vmbus_receiver_take(&other, &other_from, &taken) == result);
        CHECK(memcmp(&one, &other, sizeof(one)) == 0);
        CHECK(memcmp(&from, &other_from, sizeof(from)) == 0);
        if (result == VMBUS_OK)
                CHECK(memcmp(&packet, &taken, end) == 0);
}

static void read_some(struct reading *reading, uint32_t packets_max)
{
        struct vmbus_incoming packet;
        struct vmbus_batch batch =
                vmbus_batch_begin(&reading->receiver, &reading->position, packets_max);
        for (uint32_t i = 0; i < READS_MAX; i++) {
                read_both(reading);
                if (vmbus_batch_next(&batch, &packet) != VMBUS_OK)
                        break;
                use_packet(reading, &packet);
                if (reading->receiver.state != VMBUS_END_READY)
                        return;
        }
        if (packets_max == 3)
                vmbus_batch_put_back(&batch);
}

/* The receiver's part: one step that its state allows. */
static void step(struct reading *reading, struct fuzz_input *input)
{
        struct vmbus_receiver *receiver = &reading->receiver;
        struct vmbus_pipe_buffer buffer = {copy, 100, 0};
        bool signal;
        if (receiver->state == VMBUS_END_ASLEEP) {
                if (fuzz_u8(input) & 1)
                        (void)!vmbus_receiver_woken(receiver);
                else
                        vmbus_receiver_cancel_sleep(receiver);
                return;
        }
        switch (fuzz_u8(input) % 8) {
        case 0:
                signal = vmbus_receiver_commit(receiver, &reading->position);
                break;
        case 1:
                (void)!vmbus_receiver_prepare_to_sleep(receiver, &reading->position, &signal);
                break;
        case 2:
                if (!reading->pipe.open)
                        vmbus_receiver_revert(&reading->position);
                break;
        case 3:
                (void)!vmbus_pipe_read(receiver, &reading->position, &reading->pipe, &buffer,
                                       &signal);
                CHECK(buffer.byte_count <= buffer.capacity);
                CHECK(!reading->pipe.open ||
                      reading->pipe.left.bytes < reading->ring.memory.data_bytes);
                break;
        case 4:
                if (!reading->pipe.open)
                        (void)!vmbus_pipe_read_message(receiver, &reading->position, &buffer);
                break;
        default:
                if (!reading->pipe.open)
                        read_some(reading, 1 + fuzz_u8(input) % 4);
                break;
        }
}

static void look(struct reading *reading)
{
        char text[400];
        struct vmbus_text lines;
        vmbus_text_init(&lines, text, sizeof(text));
        vmbus_print_receiver(&lines, &reading->receiver, &reading->position);
        vmbus_print_packets(&lines, &reading->ring.memory, 4);
        CHECK(lines.length < sizeof(text) && text[lines.length] == '\0');
        (void)vmbus_reader_needs_signal(reading->ring.control, reading->ring.memory.data_bytes);
        (void)vmbus_writer_needs_signal(reading->ring.control, reading->ring.memory.data_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_input input = {data, size};
        struct reading reading = {0};
        fuzz_open(&reading.ring, fuzz_u8(&input));
        vmbus_receiver_init(&reading.receiver, &reading.ring.memory);
        CHECK(vmbus_receiver_position(&reading.receiver, &reading.position) == VMBUS_OK);
        while (input.left != 0) {
                enum vmbus_result before = reading.receiver.fault.reason;
                uint8_t what = fuzz_u8(&input) % 4;
                if (what < 2)
                        hostile_write(&reading, &input);
                else if (what == 2)
                        step(&reading, &input);
                else
                        look(&reading);
                CHECK(vmbus_receive_position_valid(&reading.ring.memory, &reading.position));
                CHECK(before == VMBUS_OK || before == reading.receiver.fault.reason);
                CHECK((reading.receiver.fault.reason != VMBUS_OK) ==
                      (reading.receiver.state == VMBUS_END_CORRUPT));
        }
        fuzz_close(&reading.ring);
        return 0;
}
