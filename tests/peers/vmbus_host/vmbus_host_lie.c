/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_lie — the dice, and the lies about messages, signals, rings and packets. Those about
 * the network are told where its messages are made. */
#include "tests/peers/vmbus_host/vmbus_host_internal.h"

void vmbus_host_lie(struct vmbus_host *host, uint64_t seed, uint32_t rate)
{
        memset(&host->liar, 0, sizeof(host->liar));
        host->liar.state = seed;
        host->liar.rate = rate;
        host->liar.allowed = VMBUS_HOST_LIE_ALL;
}

void vmbus_host_lie_only(struct vmbus_host *host, uint64_t lies)
{
        host->liar.allowed = lies;
}

uint32_t vmbus_host_lies_told(const struct vmbus_host *host, enum vmbus_host_lie lie)
{
        return host->liar.told[lie];
}

uint32_t vmbus_host_lies_told_total(const struct vmbus_host *host)
{
        uint32_t total = 0;
        for (uint32_t i = 0; i < VMBUS_HOST_LIES; i++)
                total += host->liar.told[i];
        return total;
}

/* splitmix64: any seed will do, and a number of its own for each call. */
uint32_t host_random(struct vmbus_host *host)
{
        uint64_t z = (host->liar.state += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return (uint32_t)((z ^ (z >> 31)) >> 32);
}

/* A lie that is not allowed throws no dice, so that one lie alone is repeatable as well. */
bool host_lies_now(struct vmbus_host *host, enum vmbus_host_lie lie)
{
        struct vmbus_host_liar *liar = &host->liar;
        if ((liar->allowed & BIT_MASK(lie)) == 0 || host_random(host) % liar->rate != 0)
                return false;
        liar->told[lie]++;
        return true;
}

bool vmbus_host_lies_now(struct vmbus_host *host, enum vmbus_host_lie lie)
{
        return host_lies(host, lie);
}

/* ---- messages ---- */

static void put_u32(struct vmbus_host_queued *message, uint32_t offset, uint32_t value)
{
        memcpy(message->bytes + offset, &value, sizeof(value));
}

static uint32_t get_type(const struct vmbus_host_queued *message)
{
        struct wire_header header;
        memcpy(&header, message->bytes, sizeof(header));
        return header.type;
}

/* Where a message names its channel, its GPADL or opening, its status; 0: it does not. */
static const struct {
        uint8_t channel, id, status;
} fields[WIRE_TYPES] = {
        [WIRE_OFFER_CHANNEL] = {offsetof(struct wire_offer_channel, channel), 0, 0},
        [WIRE_RESCIND_CHANNEL_OFFER] = {8, 0, 0},
        [WIRE_OPEN_RESULT] = {8, 12, 16},
        [WIRE_GPADL_CREATED] = {8, 12, 16},
        [WIRE_GPADL_TORNDOWN] = {0, 8, 0},
        [WIRE_VERSION_RESPONSE] = {0, 0, 8},
        [WIRE_MODIFY_CHANNEL_RESPONSE] = {8, 0, 12},
        [WIRE_MODIFY_CONNECTION_RESPONSE] = {0, 0, 8},
        [WIRE_CLOSE_RESERVED_RESPONSE] = {8, 0, 0},
};

static void lie_about_fields(struct vmbus_host *host, struct vmbus_host_queued *message,
                             uint32_t type)
{
        if (fields[type].channel != 0 && host_lies(host, VMBUS_HOST_LIE_MESSAGE_CHANNEL))
                put_u32(message, fields[type].channel, host_random(host) % (2 * WIRE_EVENT_FLAGS));
        if (fields[type].id != 0 && host_lies(host, VMBUS_HOST_LIE_MESSAGE_ID))
                put_u32(message, fields[type].id, host_random(host));
        if (fields[type].status != 0 && host_lies(host, VMBUS_HOST_LIE_MESSAGE_STATUS))
                put_u32(message, fields[type].status, host_random(host));
        if (type == WIRE_VERSION_RESPONSE && message->count >= WIRE_VERSION_RESPONSE_2_BYTES &&
            host_lies(host, VMBUS_HOST_LIE_VERSION_FEATURES))
                put_u32(message, offsetof(struct wire_version_response, features),
                        host_random(host));
        if (type == WIRE_OFFER_CHANNEL && host_lies(host, VMBUS_HOST_LIE_OFFER_MONITOR))
                put_u32(message, offsetof(struct wire_offer_channel, monitor),
                        host_random(host) | 0x180); /* id 128 or more, valid */
}

bool host_lie_message(struct vmbus_host *host, struct vmbus_host_queued *message, bool *twice)
{
        static const uint8_t of_guests[] = {WIRE_REQUEST_OFFERS, WIRE_OPEN_CHANNEL,
                                            WIRE_GPADL_HEADER, WIRE_INITIATE_CONTACT};
        uint32_t type = get_type(message);
        *twice = false;
        if (host_lies(host, VMBUS_HOST_LIE_MESSAGE_DROP))
                return false;
        lie_about_fields(host, message, type);
        if (host_lies(host, VMBUS_HOST_LIE_MESSAGE_TYPE))
                put_u32(message, 0, WIRE_TYPES + host_random(host) % 1000);
        if (host_lies(host, VMBUS_HOST_LIE_MESSAGE_DIRECTION))
                put_u32(message, 0, of_guests[host_random(host) % ARRAY_COUNT(of_guests)]);
        if (host_lies(host, VMBUS_HOST_LIE_MESSAGE_BITS))
                message->bytes[host_random(host) % message->count] ^=
                        (uint8_t)(1 + host_random(host) % 255);
        if (host_lies(host, VMBUS_HOST_LIE_MESSAGE_SHORT))
                message->count = (uint8_t)(host_random(host) % message->count);
        if (host_lies(host, VMBUS_HOST_LIE_MESSAGE_LONG)) {
                while (message->count < WIRE_MESSAGE_BYTES_MAX)
                        message->bytes[message->count++] = (uint8_t)host_random(host);
        }
        *twice = host_lies(host, VMBUS_HOST_LIE_MESSAGE_TWICE);
        return true;
}

/* ---- packets and rings ---- */

/* Spoils the first word of the first packet that is about to be published. */
void host_lie_before_commit(struct vmbus_host_channel *channel)
{
        const struct vmbus_memory *memory = &channel->sender.memory;
        struct vmbus_host *host = channel->host;
        uint32_t start = channel->to.committed_in;
        if (channel->sender.state != VMBUS_END_READY || channel->to.next_in == start)
                return;
        uint64_t word = vmbus_memory_load_u64(memory, start);
        if (host_lies(host, VMBUS_HOST_LIE_PACKET_LENGTH))
                word = (word & ~(0xffffull << VMBUS_WORD0_LENGTH8_BIT)) |
                       (uint64_t)(uint16_t)host_random(host) << VMBUS_WORD0_LENGTH8_BIT;
        if (host_lies(host, VMBUS_HOST_LIE_PACKET_OFFSET))
                word = (word & ~(0xffffull << VMBUS_WORD0_DATA_OFFSET8_BIT)) |
                       (uint64_t)(uint16_t)host_random(host) << VMBUS_WORD0_DATA_OFFSET8_BIT;
        if (host_lies(host, VMBUS_HOST_LIE_PACKET_TYPE))
                word = (word & ~0xffffull) | host_random(host) % 32;
        if (host_lies(host, VMBUS_HOST_LIE_PACKET_FLAGS))
                word ^= (uint64_t)(uint16_t)host_random(host) << VMBUS_WORD0_FLAGS_BIT;
        vmbus_memory_store_u64(memory, start, word);
        if (host_lies(host, VMBUS_HOST_LIE_PACKET_FOOTER))
                vmbus_memory_store_u64(
                        memory,
                        vmbus_memory_advance(memory, channel->to.next_in,
                                             memory->data_bytes - VMBUS_FOOTER_BYTES),
                        (uint64_t)host_random(host) << 32 | host_random(host));
}

static void lie_about_in(struct vmbus_host_channel *channel)
{
        const struct vmbus_memory *memory = &channel->sender.memory;
        struct vmbus_control_page *control = memory->control;
        struct vmbus_host *host = channel->host;
        uint32_t in = channel->to.committed_in;
        if (host_lies(host, VMBUS_HOST_LIE_RING_IN_RANGE))
                shared_store_seq_cst_u32(&control->in,
                                         memory->data_bytes + host_random(host) % 4096);
        if (host_lies(host, VMBUS_HOST_LIE_RING_IN_ALIGNMENT))
                shared_store_seq_cst_u32(&control->in, in + 1 + host_random(host) % 7);
        if (host_lies(host, VMBUS_HOST_LIE_RING_IN_BACKWARDS))
                shared_store_seq_cst_u32(&control->in,
                                         vmbus_memory_advance(memory, in, memory->data_bytes - 8));
        if (host_lies(host, VMBUS_HOST_LIE_RING_IN_AHEAD))
                shared_store_seq_cst_u32(&control->in,
                                         vmbus_memory_advance(memory, in,
                                                              8 * (1 + host_random(host) % 64)));
}

static void lie_about_out(struct vmbus_host_channel *channel)
{
        const struct vmbus_memory *memory = &channel->receiver.memory;
        struct vmbus_control_page *control = memory->control;
        struct vmbus_host *host = channel->host;
        if (host_lies(host, VMBUS_HOST_LIE_RING_OUT_RANGE))
                shared_store_seq_cst_u32(&control->out,
                                         memory->data_bytes + host_random(host) % 4096);
        if (host_lies(host, VMBUS_HOST_LIE_RING_OUT_ALIGNMENT))
                shared_store_seq_cst_u32(&control->out,
                                         channel->from.committed_out + 1 + host_random(host) % 7);
        if (host_lies(host, VMBUS_HOST_LIE_RING_OUT_AHEAD))
                shared_store_seq_cst_u32(&control->out,
                                         vmbus_memory_advance(memory, channel->from.cached_in,
                                                              8 * (1 + host_random(host) % 64)));
}

void host_lie_after_commit(struct vmbus_host_channel *channel, uint32_t from)
{
        const struct vmbus_memory *memory = &channel->sender.memory;
        struct vmbus_host *host = channel->host;
        uint32_t written = vmbus_memory_distance(memory, from, channel->to.committed_in);
        if (written != 0 && host_lies(host, VMBUS_HOST_LIE_PACKET_SCRIBBLE)) {
                uint32_t at = host_random(host) % (written / VMBUS_WORD_BYTES) * VMBUS_WORD_BYTES;
                vmbus_memory_store_u64(memory, vmbus_memory_advance(memory, from, at),
                                       (uint64_t)host_random(host) << 32 | host_random(host));
        }
        lie_about_in(channel);
        lie_about_out(channel);
        if (host_lies(host, VMBUS_HOST_LIE_RING_PENDING))
                shared_store_seq_cst_u32(&memory->control->pending_send_size, host_random(host));
        if (host_lies(host, VMBUS_HOST_LIE_RING_MASK))
                shared_store_seq_cst_u32(&memory->control->interrupt_mask, 1);
        if (host_lies(host, VMBUS_HOST_LIE_SIGNAL_SPURIOUS))
                host_signal(channel);
}

/* ---- at any time ---- */

static void unasked(struct vmbus_host *host)
{
        static const uint8_t types[] = {WIRE_OPEN_RESULT,      WIRE_GPADL_CREATED,
                                        WIRE_GPADL_TORNDOWN,   WIRE_VERSION_RESPONSE,
                                        WIRE_UNLOAD_COMPLETE,  WIRE_MODIFY_CHANNEL_RESPONSE,
                                        WIRE_OFFER_CHANNEL,    WIRE_ALL_OFFERS_DELIVERED,
                                        WIRE_TL_CONNECT_RESULT};
        struct host_message message;
        for (uint32_t i = 0; i < ARRAY_COUNT(message.words); i++)
                message.words[i] = host_random(host) % 4;
        host_post(host, types[host_random(host) % ARRAY_COUNT(types)], &message,
                  sizeof(struct wire_offer_channel));
}

void host_lie_poll(struct vmbus_host *host)
{
        struct vmbus_host_channel *channel =
                &host->channels[host_random(host) % VMBUS_HOST_CHANNELS];
        if (!host_queue_full(host) && host_lies(host, VMBUS_HOST_LIE_MESSAGE_UNASKED))
                unasked(host);
        if (!host_queue_full(host) && host_lies(host, VMBUS_HOST_LIE_RESCIND_UNKNOWN)) {
                struct wire_channel message = {.channel = host_random(host) % 4096};
                host_post(host, WIRE_RESCIND_CHANNEL_OFFER, &message, sizeof(message));
        }
        if (channel->id != 0 && channel->announced && host_lies(host, VMBUS_HOST_LIE_RESCIND))
                vmbus_host_rescind(host, channel);
}
