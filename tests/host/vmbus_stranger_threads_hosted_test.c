/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_stranger_threads_hosted_test — an end of lib/vmbus_ring and one by another hand on two
 * threads, asleep whenever they may be: what each promises the other about signals (c.4, c.5) is
 * enough for the other, who knows the promise from the description only. A signal that never comes
 * shows as a wait that ends at its deadline. */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "tests/expect.h"
#include "tests/host/vmbus_stranger_ring.h"
#include "vmbus_ring/vmbus_ring.h"

#define PACKETS 30000u
#define PAYLOAD_BYTES_MAX 500u
#define WAIT_SECONDS_MAX 60

struct both {
        struct stranger_memory memory;
        struct vmbus_memory ours;
        sem_t producer_signal, consumer_signal;
        const char *failure[2]; /* of the producer, of the consumer */
        uint32_t sleeps[2];
};

static bool await(sem_t *signal)
{
        struct timespec deadline;
        clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec += WAIT_SECONDS_MAX;
        return sem_timedwait(signal, &deadline) == 0;
}

/* Packet number `number`: its length, and every byte of it. */
static uint32_t length_of(uint32_t number)
{
        return number * 2654435761u % PAYLOAD_BYTES_MAX;
}
static uint8_t byte_of(uint32_t number, uint32_t at)
{
        return (uint8_t)(number * 31 + at * 7);
}

static bool right(const uint8_t *payload, uint32_t bytes, uint32_t number)
{
        uint32_t length = length_of(number);
        if (bytes != stranger_round(length))
                return false;
        for (uint32_t i = 0; i < bytes; i++)
                if (payload[i] != (i < length ? byte_of(number, i) : 0))
                        return false;
        return true;
}

/* ---- ours to the stranger ---- */

static void *our_producer(void *argument)
{
        struct both *both = argument;
        struct vmbus_sender sender;
        struct vmbus_send_position to;
        uint8_t bytes[PAYLOAD_BYTES_MAX];
        vmbus_sender_init(&sender, &both->ours);
        if (vmbus_sender_position(&sender, &to) != VMBUS_OK)
                both->failure[0] = "position";
        for (uint32_t n = 0; n < PACKETS && both->failure[0] == NULL;) {
                struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND,
                                                .payload_bytes = length_of(n)};
                struct vmbus_range payload;
                enum vmbus_result result = vmbus_sender_write(&sender, &to, &packet, &payload);
                if (result == VMBUS_OK) {
                        struct vmbus_writer writer = vmbus_sender_writer(&sender, &payload);
                        for (uint32_t i = 0; i < packet.payload_bytes; i++)
                                bytes[i] = byte_of(n, i);
                        if (vmbus_writer_write(&writer, bytes, packet.payload_bytes) != VMBUS_OK)
                                both->failure[0] = "write";
                        n++;
                } else if (result != VMBUS_FULL) {
                        both->failure[0] = "the ring is broken, says our producer";
                        break;
                }
                if ((result == VMBUS_FULL || n % 3 == 0 || n == PACKETS) &&
                    vmbus_sender_commit(&sender, &to))
                        sem_post(&both->consumer_signal);
                if (result == VMBUS_OK)
                        continue;
                result = vmbus_sender_prepare_to_sleep(&sender, &to,
                                                       vmbus_outgoing_bytes(&packet), 0);
                if (result != VMBUS_FULL)
                        continue;
                both->sleeps[0]++;
                if (!await(&both->producer_signal) || vmbus_sender_woken(&sender) != VMBUS_OK)
                        both->failure[0] = "our producer was never woken";
        }
        return NULL;
}

static void *strange_consumer(void *argument)
{
        struct both *both = argument;
        struct stranger_consumer consumer;
        uint8_t header[8], payload[PAYLOAD_BYTES_MAX + 8];
        stranger_consumer_attach(&consumer, &both->memory);
        consumer.header_room = sizeof(header);
        consumer.payload_room = sizeof(payload);
        for (uint32_t n = 0; n < PACKETS && both->failure[1] == NULL;) {
                struct stranger_packet packet = {.header = header, .payload = payload};
                enum stranger_result result = stranger_take(&consumer, &packet);
                if (result == STRANGER_DONE && right(payload, packet.payload_bytes, n))
                        n++;
                else if (result != STRANGER_NOT_NOW)
                        both->failure[1] = "the stranger read something else";
                if ((result == STRANGER_NOT_NOW || n % 5 == 0) && stranger_release(&consumer))
                        sem_post(&both->producer_signal);
                if (result != STRANGER_NOT_NOW || !stranger_consumer_waits(&consumer))
                        continue;
                both->sleeps[1]++;
                if (!await(&both->consumer_signal))
                        both->failure[1] = "the strange consumer was never woken";
                stranger_consumer_woken(&consumer);
        }
        return NULL;
}

/* ---- the stranger to us ---- */

static void *strange_producer(void *argument)
{
        struct both *both = argument;
        struct stranger_producer producer;
        uint8_t bytes[PAYLOAD_BYTES_MAX];
        stranger_producer_attach(&producer, &both->memory);
        for (uint32_t n = 0; n < PACKETS && both->failure[0] == NULL;) {
                struct stranger_packet packet = {.type = STRANGER_IN_BAND,
                                                 .payload = bytes,
                                                 .payload_bytes = length_of(n)};
                for (uint32_t i = 0; i < packet.payload_bytes; i++)
                        bytes[i] = byte_of(n, i);
                enum stranger_result result = stranger_put(&producer, &packet);
                n += result == STRANGER_DONE;
                if (result == STRANGER_BROKEN)
                        both->failure[0] = "the stranger found out broken";
                if ((result == STRANGER_NOT_NOW || n % 3 == 0 || n == PACKETS) &&
                    stranger_publish(&producer))
                        sem_post(&both->consumer_signal);
                if (result != STRANGER_NOT_NOW ||
                    !stranger_producer_waits(&producer, stranger_packet_bytes(&packet)))
                        continue;
                both->sleeps[0]++;
                if (!await(&both->producer_signal))
                        both->failure[0] = "the strange producer was never woken";
                stranger_producer_woken(&producer);
        }
        return NULL;
}

static void *our_consumer(void *argument)
{
        struct both *both = argument;
        struct vmbus_receiver receiver;
        struct vmbus_receive_position from;
        uint8_t payload[PAYLOAD_BYTES_MAX + 8];
        vmbus_receiver_init(&receiver, &both->ours);
        if (vmbus_receiver_position(&receiver, &from) != VMBUS_OK)
                both->failure[1] = "position";
        for (uint32_t n = 0; n < PACKETS && both->failure[1] == NULL;) {
                struct vmbus_incoming packet;
                bool signal = false;
                enum vmbus_result result = vmbus_receiver_read(&receiver, &from, &packet);
                if (result == VMBUS_OK)
                        result = vmbus_receiver_copy(&receiver, &packet.payload, payload,
                                                     sizeof(payload));
                if (result == VMBUS_OK && right(payload, packet.payload.bytes, n))
                        n++;
                else if (result != VMBUS_EMPTY)
                        both->failure[1] = "we read something else";
                if ((result == VMBUS_EMPTY || n % 5 == 0) &&
                    vmbus_receiver_commit(&receiver, &from))
                        sem_post(&both->producer_signal);
                if (result != VMBUS_EMPTY)
                        continue;
                result = vmbus_receiver_prepare_to_sleep(&receiver, &from, &signal);
                if (signal)
                        sem_post(&both->producer_signal);
                if (result != VMBUS_EMPTY)
                        continue;
                both->sleeps[1]++;
                if (!await(&both->consumer_signal) || vmbus_receiver_woken(&receiver) != VMBUS_OK)
                        both->failure[1] = "our consumer was never woken";
        }
        return NULL;
}

static void meet(struct test *t, void *(*producer)(void *), void *(*consumer)(void *))
{
        struct both both = {.sleeps = {0}};
        pthread_t threads[2];
        uint8_t *pages = world_pages(t, 2, NULL);
        both.memory = (struct stranger_memory){pages, pages + 4096, 4096};
        REQUIRE_OK(vmbus_memory_init_flat(&both.ours, pages, pages + 4096, 4096));
        REQUIRE_EQ(sem_init(&both.producer_signal, 0, 0), 0);
        REQUIRE_EQ(sem_init(&both.consumer_signal, 0, 0), 0);
        REQUIRE_EQ(pthread_create(&threads[0], NULL, producer, &both), 0);
        REQUIRE_EQ(pthread_create(&threads[1], NULL, consumer, &both), 0);
        for (unsigned i = 0; i < 2; i++) {
                REQUIRE_EQ(pthread_join(threads[i], NULL), 0);
                EXPECT_STR_EQ(both.failure[i] != NULL ? both.failure[i] : "", "");
        }
        EXPECT_GT(both.sleeps[0] + both.sleeps[1], 0);
        sem_destroy(&both.producer_signal);
        sem_destroy(&both.consumer_signal);
}

TEST(vmbus_stranger, reads_on_another_thread_what_we_write)
{
        meet(t, our_producer, strange_consumer);
}

TEST(vmbus_stranger, writes_on_another_thread_what_we_read)
{
        meet(t, strange_producer, our_consumer);
}
