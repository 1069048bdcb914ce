/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_echo — sends back what it gets. Facts: spec/vmbus.md, (b), e.4. */
#include "tests/peers/vmbus_host/vmbus_host_echo.h"

#include "tests/peers/vmbus_host/vmbus_host_internal.h"

/* Bytes copied from ring to ring at a time. */
#define ECHO_PIECE_BYTES 256u

static struct vmbus_host_echo *echo_of(struct vmbus_host_device *device)
{
        return CONTAINER_OF(device, struct vmbus_host_echo, device);
}

static bool opened(struct vmbus_host_device *device, struct vmbus_host_channel *channel)
{
        echo_of(device)->requested = 0;
        return true;
}

static void closed(struct vmbus_host_device *device, struct vmbus_host_channel *channel)
{
}

/* Sends `payload`, `bytes` of which are meant, back; the length of the answer is settled before
 * the guest can change anything. */
static bool send_back(struct vmbus_host_channel *channel, const struct vmbus_incoming *packet,
                      const void *head, uint32_t head_bytes, uint32_t bytes)
{
        struct vmbus_outgoing answer = {.kind = packet->completion_requested ? VMBUS_SEND_COMPLETION
                                                                             : VMBUS_SEND_IN_BAND,
                                        .payload_bytes = bytes,
                                        .transaction_id = packet->transaction_id};
        struct vmbus_reader reader = vmbus_receiver_reader(&channel->receiver, &packet->payload);
        struct vmbus_writer writer;
        uint8_t piece[ECHO_PIECE_BYTES];
        enum vmbus_result result = vmbus_host_send_begin(channel, &answer, &writer);
        if (result == VMBUS_FULL)
                return false;
        if (result == VMBUS_TOO_LARGE) { /* the rings differ in size: nothing can be sent back */
                vmbus_host_broke(channel, VMBUS_HOST_PACKET_SHORT, bytes,
                                 vmbus_sender_packet_bytes_max(&channel->sender));
                return true;
        }
        if (result != VMBUS_OK)
                return true;
        result = vmbus_reader_skip(&reader, head_bytes);
        ASSERT(result == VMBUS_OK);
        result = vmbus_writer_write(&writer, head, head_bytes);
        ASSERT(result == VMBUS_OK);
        for (uint32_t left = bytes - head_bytes; left > 0;) {
                uint32_t count = (uint32_t)min_u64(left, sizeof(piece));
                result = vmbus_reader_read(&reader, piece, count);
                ASSERT(result == VMBUS_OK);
                result = vmbus_writer_write(&writer, piece, count);
                ASSERT(result == VMBUS_OK);
                left -= count;
        }
        return true;
}

static bool pipe_packet(struct vmbus_host_channel *channel, const struct vmbus_incoming *packet)
{
        struct vmbus_pipe_header header;
        struct vmbus_reader reader = vmbus_receiver_reader(&channel->receiver, &packet->payload);
        if (vmbus_reader_read(&reader, &header, sizeof(header)) != VMBUS_OK ||
            header.packet_type != VMBUS_PIPE_DATA || header.len > VMBUS_PIPE_BYTES_MAX ||
            header.len > packet->payload.bytes - sizeof(header)) {
                vmbus_host_fail(channel, VMBUS_HOST_PIPE_HEADER, packet->payload.bytes, 0);
                return true;
        }
        uint32_t bytes = (uint32_t)sizeof(header) + header.len;
        if (host_lies(channel->host, VMBUS_HOST_LIE_PIPE_HEADER)) {
                uint32_t garbage = host_random(channel->host);
                if (garbage % 2 == 0)
                        header.packet_type = VMBUS_PIPE_DATA + 1 + garbage % 1000;
                else
                        header.len = packet->payload.bytes + garbage % VMBUS_PIPE_BYTES_MAX;
        }
        return send_back(channel, packet, &header, sizeof(header), bytes);
}

/* Inverts the bytes of one range, page by page, and adds up what they were. */
static uint64_t invert(const struct vmbus_gpa_range *range)
{
        const struct vmbus_host_pages pages = {range->pages, range->page_count};
        uint8_t piece[ECHO_PIECE_BYTES];
        uint64_t sum = 0;
        for (uint32_t done = 0; done < range->byte_count;) {
                uint32_t count = (uint32_t)min_u64(range->byte_count - done, sizeof(piece));
                vmbus_host_pages_read(&pages, (uint64_t)range->byte_offset + done, piece, count);
                for (uint32_t i = 0; i < count; i++) {
                        sum += piece[i];
                        piece[i] = (uint8_t)~piece[i];
                }
                vmbus_host_pages_write(&pages, (uint64_t)range->byte_offset + done, piece, count);
                done += count;
        }
        return sum;
}

static bool direct_packet(struct vmbus_host_echo *echo, struct vmbus_host_channel *channel,
                          const struct vmbus_incoming *packet)
{
        struct vmbus_host_echo_direct answer = {.status = 1};
        struct vmbus_outgoing completion = {.kind = VMBUS_SEND_COMPLETION,
                                            .payload_bytes = sizeof(answer),
                                            .transaction_id = packet->transaction_id};
        struct vmbus_gpa_list list;
        struct vmbus_gpa_range range;
        if (packet->completion_requested &&
            vmbus_host_can_send(channel, vmbus_outgoing_bytes(&completion)) == VMBUS_FULL)
                return false; /* before anything is inverted, for the packet comes again */
        vmbus_gpa_list_init(&list, echo->words, VMBUS_HOST_ECHO_WORDS);
        if (vmbus_host_gpa(channel, packet, &list)) {
                struct vmbus_gpa_cursor cursor = vmbus_gpa_list_cursor(&list);
                answer.status = 0;
                while (vmbus_gpa_next(&cursor, &range)) {
                        answer.byte_count += range.byte_count;
                        answer.sum += invert(&range);
                }
        }
        /* There was room, so nothing but a broken channel is left to go wrong. */
        return !packet->completion_requested || channel->broken != VMBUS_HOST_NONE ||
               vmbus_host_send(channel, &completion, &answer) != VMBUS_FULL;
}

static bool packet(struct vmbus_host_device *device, struct vmbus_host_channel *channel,
                   const struct vmbus_incoming *packet)
{
        struct vmbus_host_echo *echo = echo_of(device);
        bool done = true;
        if (packet->type == VMBUS_PACKET_COMPLETION)
                echo->completions++;
        else if (packet->type == VMBUS_PACKET_IN_BAND && echo->pipe)
                done = pipe_packet(channel, packet);
        else if (packet->type == VMBUS_PACKET_IN_BAND)
                done = send_back(channel, packet, NULL, 0, packet->payload.bytes);
        else if (packet->type == VMBUS_PACKET_GPA_DIRECT && !echo->pipe)
                done = direct_packet(echo, channel, packet);
        else
                vmbus_host_fail(channel, VMBUS_HOST_PACKET_TYPE, packet->type, 0);
        echo->packets += done;
        echo->bytes += done ? packet->payload.bytes : 0;
        return done;
}

static bool work(struct vmbus_host_device *device, struct vmbus_host_channel *channel)
{
        struct vmbus_host_echo *echo = echo_of(device);
        for (uint32_t i = 0; i < VMBUS_HOST_PACKETS_PER_POLL; i++) {
                uint64_t id = (uint64_t)echo->requested + 1;
                struct vmbus_outgoing request = {.kind = VMBUS_SEND_IN_BAND_REQUEST,
                                                 .payload_bytes = sizeof(id),
                                                 .transaction_id = id};
                if (echo->requested >= echo->requests)
                        return false;
                if (vmbus_host_send(channel, &request, &id) != VMBUS_OK)
                        return false;
                echo->requested++;
        }
        return true;
}

void vmbus_host_echo_init(struct vmbus_host_echo *echo, bool pipe)
{
        static const struct vmbus_host_device_ops ops = {
                .opened = opened, .closed = closed, .packet = packet, .work = work};
        memset(echo, 0, sizeof(*echo));
        echo->device.ops = &ops;
        echo->pipe = pipe;
}

void vmbus_host_echo_offer(struct vmbus_host_echo *echo, struct vmbus_host_offer *offer,
                           uint8_t number)
{
        static const uint8_t packets[] = VMBUS_HOST_ECHO_PACKETS;
        static const uint8_t messages[] = VMBUS_HOST_ECHO_MESSAGES;
        const uint8_t instance[] = VMBUS_HOST_ECHO_INSTANCE(number);
        *offer = (struct vmbus_host_offer){.device = &echo->device,
                                           .flags = WIRE_OFFER_ENUMERATE};
        memcpy(offer->interface, echo->pipe ? messages : packets, sizeof(offer->interface));
        memcpy(offer->instance, instance, sizeof(offer->instance));
        if (echo->pipe) {
                offer->flags |= WIRE_OFFER_PIPE;
                offer->user_words[0] = WIRE_PIPE_MESSAGES;
        }
}
