/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_stranger_ring — the two ends of a VMBus ring once more, by
 * another hand than lib/vmbus_ring.
 *
 *   lib/vmbus_ring's sender   -- one ring -->  stranger_consumer
 *   stranger_producer         -- one ring -->  lib/vmbus_ring's receiver
 *
 * The client and the peer in tests/peers/vmbus_host both stand on lib/vmbus_ring, and two ends of
 * one library agree on its mistakes. This file has read the description of the wire and nothing
 * else: it names no file, number or structure of the library. It is slow and plain: bytes one at a
 * time, the peer's index loaded whenever it is needed, nothing cached. The consumer is as strict as
 * the old checked builds of hosts, which look at the footer and at every bit that ought to be zero.
 *
 * Owner       the caller's memory throughout
 * Context     one producer, one consumer; never sleeps: who has been told to wait waits himself
 * Facts       spec/vmbus.md, (a), (b), (c) */
#ifndef TESTS_HOST_VMBUS_STRANGER_RING_H
#define TESTS_HOST_VMBUS_STRANGER_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* a.1, byte offsets in the control page */
#define STRANGER_IN 0u
#define STRANGER_OUT 4u
#define STRANGER_MASK 8u
#define STRANGER_PENDING 12u
#define STRANGER_FEATURES 64u
/* b.1, b.2 */
#define STRANGER_UNIT 8u
#define STRANGER_DESCRIPTOR 16u
#define STRANGER_FOOTER 8u
#define STRANGER_IN_BAND 6u
#define STRANGER_TRANSFER 7u
#define STRANGER_GPA 9u
#define STRANGER_COMPLETION 11u
#define STRANGER_WANTS_COMPLETION 1u

enum stranger_result {
        STRANGER_DONE,
        STRANGER_NOT_NOW, /* empty, or no room */
        STRANGER_BROKEN   /* the other side broke a rule */
};

struct stranger_memory {
        uint8_t *control; /* 4096 bytes */
        uint8_t *data;
        uint32_t size; /* of the data, a multiple of 4096 */
};

/* One packet. Who puts it gives all; who takes it gives room, and learns the lengths. */
struct stranger_packet {
        uint16_t type;
        uint16_t flags;
        uint64_t id;
        uint8_t *header; /* what follows the descriptor: b.4, b.5; a multiple of 8 */
        uint32_t header_bytes;
        uint8_t *payload;
        uint32_t payload_bytes; /* taken: a multiple of 8 */
};

struct stranger_producer {
        struct stranger_memory memory;
        uint32_t published, next;
};

struct stranger_consumer {
        struct stranger_memory memory;
        uint32_t published, next;
        uint32_t header_room, payload_room; /* of the packets that are handed in */
};

/* ---- words and bytes ---- */

static inline _Atomic uint32_t *stranger_word(const struct stranger_memory *memory,
                                              uint32_t offset)
{
        return (_Atomic uint32_t *)(void *)(memory->control + offset);
}

static inline uint32_t stranger_round(uint32_t bytes)
{
        return (bytes + STRANGER_UNIT - 1) / STRANGER_UNIT * STRANGER_UNIT;
}

static inline bool stranger_index_good(const struct stranger_memory *memory, uint32_t index)
{
        return index < memory->size && index % STRANGER_UNIT == 0;
}

/* a.2; both indices are good */
static inline uint32_t stranger_free(const struct stranger_memory *memory, uint32_t in,
                                     uint32_t out)
{
        return out > in ? out - in - STRANGER_UNIT : memory->size - (in - out) - STRANGER_UNIT;
}

static inline uint32_t stranger_held(const struct stranger_memory *memory, uint32_t in,
                                     uint32_t out)
{
        return in >= out ? in - out : memory->size + in - out;
}

static inline void stranger_store(const struct stranger_memory *memory, uint32_t *at,
                                  const uint8_t *bytes, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                memory->data[*at] = bytes[i];
                *at = *at + 1 == memory->size ? 0 : *at + 1;
        }
}

static inline void stranger_store_number(const struct stranger_memory *memory, uint32_t *at,
                                         uint64_t number, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                uint8_t byte = (uint8_t)(number >> (8 * i));
                stranger_store(memory, at, &byte, 1);
        }
}

static inline uint8_t stranger_byte(const struct stranger_memory *memory, uint64_t at)
{
        return memory->data[at % memory->size];
}

static inline uint64_t stranger_number(const struct stranger_memory *memory, uint64_t at,
                                       uint32_t count)
{
        uint64_t number = 0;
        for (uint32_t i = 0; i < count; i++)
                number |= (uint64_t)stranger_byte(memory, at + i) << (8 * i);
        return number;
}

/* ---- external headers ---- */

static inline uint32_t stranger_append(uint8_t *bytes, uint32_t at, uint64_t number, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                bytes[at + i] = (uint8_t)(number >> (8 * i));
        return at + count;
}

static inline uint64_t stranger_peek(const uint8_t *bytes, uint32_t at, uint32_t count)
{
        uint64_t number = 0;
        for (uint32_t i = 0; i < count; i++)
                number |= (uint64_t)bytes[at + i] << (8 * i);
        return number;
}

/* ---- producer ---- */

static inline void stranger_producer_attach(struct stranger_producer *producer,
                                            const struct stranger_memory *memory)
{
        *producer = (struct stranger_producer){.memory = *memory};
        atomic_store(stranger_word(memory, STRANGER_PENDING), 0);
        atomic_store(stranger_word(memory, STRANGER_FEATURES), 1);
}

static inline uint32_t stranger_packet_bytes(const struct stranger_packet *packet)
{
        return STRANGER_DESCRIPTOR + packet->header_bytes + stranger_round(packet->payload_bytes) +
               STRANGER_FOOTER;
}

/* Whether `bytes` are free behind what was put so far. */
static inline enum stranger_result stranger_room(const struct stranger_producer *producer,
                                                 uint32_t bytes)
{
        const struct stranger_memory *memory = &producer->memory;
        uint32_t out = atomic_load(stranger_word(memory, STRANGER_OUT));
        if (!stranger_index_good(memory, out))
                return STRANGER_BROKEN;
        return stranger_free(memory, producer->next, out) >= bytes ? STRANGER_DONE
                                                                   : STRANGER_NOT_NOW;
}

/* Writes a packet behind those that wait for stranger_publish(). */
static inline enum stranger_result stranger_put(struct stranger_producer *producer,
                                                const struct stranger_packet *packet)
{
        const struct stranger_memory *memory = &producer->memory;
        uint32_t at = producer->next, start = at;
        uint32_t body = STRANGER_DESCRIPTOR + packet->header_bytes;
        uint32_t padding = stranger_round(packet->payload_bytes) - packet->payload_bytes;
        enum stranger_result room = stranger_room(producer, stranger_packet_bytes(packet));
        if (room != STRANGER_DONE)
                return room;
        stranger_store_number(memory, &at, packet->type, 2);
        stranger_store_number(memory, &at, body / STRANGER_UNIT, 2);
        stranger_store_number(memory, &at,
                              (body + packet->payload_bytes + padding) / STRANGER_UNIT, 2);
        stranger_store_number(memory, &at, packet->flags, 2);
        stranger_store_number(memory, &at, packet->id, 8);
        stranger_store(memory, &at, packet->header, packet->header_bytes);
        stranger_store(memory, &at, packet->payload, packet->payload_bytes);
        stranger_store_number(memory, &at, 0, padding);
        stranger_store_number(memory, &at, 0, 4);
        stranger_store_number(memory, &at, start, 4);
        producer->next = at;
        return STRANGER_DONE;
}

/* c.2: true when the consumer is to be signalled. */
static inline bool stranger_publish(struct stranger_producer *producer)
{
        const struct stranger_memory *memory = &producer->memory;
        uint32_t before = producer->published;
        if (producer->next == before)
                return false;
        atomic_store(stranger_word(memory, STRANGER_IN), producer->next);
        producer->published = producer->next;
        if (atomic_load(stranger_word(memory, STRANGER_MASK)) != 0)
                return false;
        return atomic_load(stranger_word(memory, STRANGER_OUT)) == before;
}

/* c.4: nothing waits to be published, and `bytes` did not fit. True: wait for a signal, then call
 * stranger_producer_woken(); false: look again at once. */
static inline bool stranger_producer_waits(struct stranger_producer *producer, uint32_t bytes)
{
        atomic_store(stranger_word(&producer->memory, STRANGER_PENDING), bytes);
        if (stranger_room(producer, bytes) == STRANGER_NOT_NOW)
                return true;
        atomic_store(stranger_word(&producer->memory, STRANGER_PENDING), 0);
        return false;
}

static inline void stranger_producer_woken(struct stranger_producer *producer)
{
        atomic_store(stranger_word(&producer->memory, STRANGER_PENDING), 0);
}

/* ---- consumer ---- */

static inline void stranger_consumer_attach(struct stranger_consumer *consumer,
                                            const struct stranger_memory *memory)
{
        *consumer = (struct stranger_consumer){.memory = *memory};
        atomic_store(stranger_word(memory, STRANGER_MASK), 1);
}

/* b.4, b.5: whether the header holds what its range count says, and nothing else. */
static inline bool stranger_header_good(const struct stranger_packet *packet)
{
        uint32_t at = 8;
        if (packet->type != STRANGER_TRANSFER && packet->type != STRANGER_GPA)
                return packet->header_bytes == 0;
        if (packet->header_bytes < at)
                return false;
        uint64_t ranges = stranger_peek(packet->header, 4, 4);
        if (packet->type == STRANGER_TRANSFER)
                return 8 + 8 * ranges == packet->header_bytes;
        for (; ranges > 0 && at + 8 <= packet->header_bytes; ranges--) {
                uint64_t bytes = stranger_peek(packet->header, at, 4);
                uint64_t offset = stranger_peek(packet->header, at + 4, 4);
                uint64_t pages = (offset + bytes + 4095) / 4096;
                if (bytes == 0 || offset > 4095 || 8 * pages > packet->header_bytes - at - 8)
                        return false;
                at += 8 + (uint32_t)(8 * pages);
        }
        return ranges == 0 && at > 8 && at == packet->header_bytes;
}

/* Takes one packet; it is the producer's again with stranger_release(). */
static inline enum stranger_result stranger_take(struct stranger_consumer *consumer,
                                                 struct stranger_packet *packet)
{
        const struct stranger_memory *memory = &consumer->memory;
        uint64_t at = consumer->next;
        uint32_t in = atomic_load(stranger_word(memory, STRANGER_IN));
        if (!stranger_index_good(memory, in))
                return STRANGER_BROKEN;
        uint32_t held = stranger_held(memory, in, consumer->next);
        if (held == 0)
                return STRANGER_NOT_NOW;
        if (held < STRANGER_DESCRIPTOR + STRANGER_FOOTER)
                return STRANGER_BROKEN;
        packet->type = (uint16_t)stranger_number(memory, at, 2);
        uint32_t data = (uint32_t)stranger_number(memory, at + 2, 2) * STRANGER_UNIT;
        uint32_t length = (uint32_t)stranger_number(memory, at + 4, 2) * STRANGER_UNIT;
        packet->flags = (uint16_t)stranger_number(memory, at + 6, 2);
        packet->id = stranger_number(memory, at + 8, 8);
        if (packet->type != STRANGER_IN_BAND && packet->type != STRANGER_TRANSFER &&
            packet->type != STRANGER_GPA && packet->type != STRANGER_COMPLETION)
                return STRANGER_BROKEN;
        if (data < STRANGER_DESCRIPTOR || length < data || length + STRANGER_FOOTER > held ||
            packet->flags > STRANGER_WANTS_COMPLETION)
                return STRANGER_BROKEN;
        if (stranger_number(memory, at + length, 4) != 0 ||
            stranger_number(memory, at + length + 4, 4) != at)
                return STRANGER_BROKEN;
        packet->header_bytes = data - STRANGER_DESCRIPTOR;
        packet->payload_bytes = length - data;
        if (packet->header_bytes > consumer->header_room ||
            packet->payload_bytes > consumer->payload_room)
                return STRANGER_BROKEN;
        for (uint32_t i = 0; i < packet->header_bytes; i++)
                packet->header[i] = stranger_byte(memory, at + STRANGER_DESCRIPTOR + i);
        for (uint32_t i = 0; i < packet->payload_bytes; i++)
                packet->payload[i] = stranger_byte(memory, at + data + i);
        if (!stranger_header_good(packet))
                return STRANGER_BROKEN;
        consumer->next = (uint32_t)((at + length + STRANGER_FOOTER) % memory->size);
        return STRANGER_DONE;
}

/* c.3: true when the producer is to be signalled. */
static inline bool stranger_release(struct stranger_consumer *consumer)
{
        const struct stranger_memory *memory = &consumer->memory;
        uint32_t before = consumer->published;
        if (consumer->next == before)
                return false;
        atomic_store(stranger_word(memory, STRANGER_OUT), consumer->next);
        consumer->published = consumer->next;
        uint32_t pending = atomic_load(stranger_word(memory, STRANGER_PENDING)) / STRANGER_UNIT *
                           STRANGER_UNIT;
        uint32_t in = atomic_load(stranger_word(memory, STRANGER_IN));
        if (pending == 0 || !stranger_index_good(memory, in))
                return false;
        return stranger_free(memory, in, before) < pending &&
               pending <= stranger_free(memory, in, consumer->next);
}

/* c.4: all that was taken is released. True: wait for a signal, then call
 * stranger_consumer_woken(); false: look again at once. */
static inline bool stranger_consumer_waits(struct stranger_consumer *consumer)
{
        atomic_store(stranger_word(&consumer->memory, STRANGER_MASK), 0);
        if (atomic_load(stranger_word(&consumer->memory, STRANGER_IN)) == consumer->next)
                return true;
        atomic_store(stranger_word(&consumer->memory, STRANGER_MASK), 1);
        return false;
}

static inline void stranger_consumer_woken(struct stranger_consumer *consumer)
{
        atomic_store(stranger_word(&consumer->memory, STRANGER_MASK), 1);
}

#endif
