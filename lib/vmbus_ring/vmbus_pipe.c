/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_pipe — pipe headers, written, checked and, in the ring that is read, rewritten.
 * Facts: spec/vmbus.md, b.7, c.7. */
#include "vmbus_ring/vmbus_pipe.h"

/* A byte reader takes at most so many packets in one call. */
#define PACKETS_A_READ_MAX 64u

uint32_t vmbus_pipe_message_bytes_max(const struct vmbus_sender *sender)
{
        uint32_t fits = sender->packet_bytes_max - VMBUS_PACKET_BYTES_MIN - VMBUS_PIPE_HEADER_BYTES;
        return (uint32_t)min_u64(fits, VMBUS_PIPE_BYTES_MAX);
}

enum vmbus_result vmbus_pipe_write_message(struct vmbus_sender *sender,
                                           struct vmbus_send_position *position,
                                           const struct vmbus_pipe_bytes *message)
{
        struct vmbus_pipe_header header = {VMBUS_PIPE_DATA, message->byte_count};
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND};
        struct vmbus_range payload;
        if (message->byte_count > vmbus_pipe_message_bytes_max(sender))
                return VMBUS_TOO_LARGE;
        packet.payload_bytes = VMBUS_PIPE_HEADER_BYTES + message->byte_count;
        enum vmbus_result result = vmbus_sender_write(sender, position, &packet, &payload);
        if (result != VMBUS_OK)
                return result;
        struct vmbus_writer writer = vmbus_sender_writer(sender, &payload);
        result = vmbus_writer_write(&writer, &header, sizeof(header));
        ASSERT(result == VMBUS_OK);
        result = vmbus_writer_write(&writer, message->bytes, message->byte_count);
        ASSERT(result == VMBUS_OK);
        return VMBUS_OK;
}

enum vmbus_result vmbus_pipe_write(struct vmbus_sender *sender,
                                   struct vmbus_send_position *position,
                                   const struct vmbus_pipe_bytes *bytes, uint32_t *written)
{
        *written = 0;
        ASSERT(bytes->byte_count != 0);
        while (*written < bytes->byte_count) { /* at most once for each chunk that the ring holds */
                struct vmbus_pipe_bytes chunk = {
                        .bytes = (const uint8_t *)bytes->bytes + *written,
                        .byte_count = (uint32_t)min_u64(bytes->byte_count - *written,
                                                        VMBUS_PIPE_CHUNK_BYTES)};
                enum vmbus_result result = vmbus_pipe_write_message(sender, position, &chunk);
                if (result != VMBUS_OK)
                        return result;
                *written += chunk.byte_count;
        }
        return VMBUS_OK;
}

/* ---- reading ---- */

/* The pipe header of a packet, loaded once, and what it says. */
struct pipe_data {
        struct vmbus_range data; /* what is left to read */
        uint32_t header;         /* index of the header */
        uint32_t length;         /* before anybody read part of it */
};

/* Checks the packet and its header, which is one word. `partial`: a partial header is allowed. */
static enum vmbus_result check_packet(struct vmbus_receiver *receiver,
                                      const struct vmbus_incoming *packet, bool partial,
                                      struct pipe_data *pipe)
{
        const struct vmbus_range *payload = &packet->payload;
        if (packet->type != VMBUS_PACKET_IN_BAND)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_PIPE_PACKET, payload->offset,
                                              packet->type, VMBUS_PACKET_IN_BAND);
        if (payload->bytes < VMBUS_PIPE_HEADER_BYTES)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_PIPE_HEADER, payload->offset,
                                              payload->bytes, VMBUS_PIPE_HEADER_BYTES);
        uint64_t word = vmbus_memory_load_u64(&receiver->memory, payload->offset);
        uint32_t type = (uint32_t)word, len = (uint32_t)(word >> 32), consumed = 0;
        if (type != VMBUS_PIPE_DATA && !(partial && type == VMBUS_PIPE_PARTIAL))
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_PIPE_TYPE, payload->offset, type,
                                              VMBUS_PIPE_DATA);
        if (type == VMBUS_PIPE_PARTIAL) {
                consumed = (uint16_t)(len >> VMBUS_PIPE_PARTIAL_CONSUMED_BIT);
                len = (uint16_t)(len >> VMBUS_PIPE_PARTIAL_LENGTH_BIT);
        }
        uint32_t max = (uint32_t)min_u64(payload->bytes - VMBUS_PIPE_HEADER_BYTES,
                                         VMBUS_PIPE_BYTES_MAX);
        if (len > max)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_PIPE_LENGTH, payload->offset, len,
                                              max);
        if (type == VMBUS_PIPE_PARTIAL && consumed >= len)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_PIPE_PARTIAL, payload->offset,
                                              consumed, len);
        pipe->header = payload->offset;
        pipe->length = len;
        pipe->data.offset = vmbus_memory_advance(&receiver->memory, payload->offset,
                                                 VMBUS_PIPE_HEADER_BYTES + consumed);
        pipe->data.bytes = len - consumed;
        return VMBUS_OK;
}

enum vmbus_result vmbus_pipe_read_message(struct vmbus_receiver *receiver,
                                          struct vmbus_receive_position *position,
                                          struct vmbus_pipe_buffer *buffer)
{
        struct vmbus_receive_position behind = *position;
        struct vmbus_incoming packet;
        struct pipe_data pipe;
        enum vmbus_result result = vmbus_receiver_read(receiver, &behind, &packet);
        if (result == VMBUS_OK)
                result = check_packet(receiver, &packet, false, &pipe);
        if (result != VMBUS_OK)
                return result;
        buffer->byte_count = pipe.length;
        result = vmbus_receiver_copy(receiver, &pipe.data, buffer->bytes, buffer->capacity);
        if (result == VMBUS_OK)
                *position = behind;
        return result;
}

/* Opens the next packet; position stays in front of it until it was read to its end. */
static enum vmbus_result open_packet(struct vmbus_receiver *receiver,
                                     struct vmbus_receive_position *position,
                                     struct vmbus_pipe_reader *reader)
{
        struct vmbus_receive_position behind = *position;
        struct vmbus_incoming packet;
        struct pipe_data pipe;
        enum vmbus_result result = vmbus_receiver_read(receiver, &behind, &packet);
        position->cached_in = behind.cached_in;
        if (result == VMBUS_OK)
                result = check_packet(receiver, &packet, true, &pipe);
        if (result != VMBUS_OK)
                return result;
        reader->open = true;
        reader->behind = behind.next_out;
        reader->left = pipe.data;
        reader->header = pipe.header;
        reader->length = pipe.length;
        reader->ended = pipe.length == 0;
        return VMBUS_OK;
}

/* Copies from the open packet, and closes it when nothing is left. */
static void take(struct vmbus_receiver *receiver, struct vmbus_receive_position *position,
                 struct vmbus_pipe_reader *reader, struct vmbus_pipe_buffer *buffer)
{
        uint32_t bytes = (uint32_t)min_u64(buffer->capacity - buffer->byte_count,
                                           reader->left.bytes);
        vmbus_memory_copy_in(&receiver->memory, reader->left.offset,
                             (uint8_t *)buffer->bytes + buffer->byte_count, bytes);
        buffer->byte_count += bytes;
        reader->left.offset = vmbus_memory_advance(&receiver->memory, reader->left.offset, bytes);
        reader->left.bytes -= bytes;
        if (reader->left.bytes == 0) {
                position->next_out = reader->behind;
                reader->open = false;
                return;
        }
        uint64_t len = (uint64_t)reader->length << VMBUS_PIPE_PARTIAL_LENGTH_BIT |
                       (uint64_t)(reader->length - reader->left.bytes)
                               << VMBUS_PIPE_PARTIAL_CONSUMED_BIT;
        vmbus_memory_store_u64(&receiver->memory, reader->header, VMBUS_PIPE_PARTIAL | len << 32);
}

enum vmbus_result vmbus_pipe_read(struct vmbus_receiver *receiver,
                                  struct vmbus_receive_position *position,
                                  struct vmbus_pipe_reader *reader,
                                  struct vmbus_pipe_buffer *buffer, bool *signal)
{
        enum vmbus_result result = VMBUS_OK;
        ASSERT(buffer->capacity != 0);
        *signal = false;
        buffer->byte_count = 0;
        if (receiver->state != VMBUS_END_READY)
                return vmbus_receiver_not_ready_(receiver);
        for (uint32_t packets = 0; packets < PACKETS_A_READ_MAX; packets++) {
                if (reader->ended || buffer->byte_count == buffer->capacity)
                        break;
                if (!reader->open)
                        result = open_packet(receiver, position, reader);
                if (result != VMBUS_OK)
                        break;
                take(receiver, position, reader, buffer);
        }
        *signal = vmbus_receiver_commit(receiver, position);
        if (buffer->byte_count != 0 && !vmbus_result_is_corrupt(result))
                return VMBUS_OK;
        return result == VMBUS_OK || reader->ended ? VMBUS_PIPE_END : result;
}
