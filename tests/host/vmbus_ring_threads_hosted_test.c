/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_threads_hosted_test — the two ends on two threads, asleep as often as they can be.
 *
 * What is under test is that no wake-up is lost (c.5, 3 to 6): each end sleeps only as the protocol
 * says and wakes only by the other's signal; a signal that never comes shows as a wait that ends at
 * its deadline. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <semaphore.h>
#include <time.h>

#include <sys/mman.h>
#include <unistd.h>

#include "tests/expect.h"
#include "tests/host/vmbus_ring_backings.h"

#define PACKETS 200000u
#define PAYLOAD_BYTES_MAX 700u
#define WAIT_SECONDS_MAX 20

uint8_t *backing_mirror(struct test *t, uint32_t page_count)
{
        size_t bytes = page_count * PAGE_BYTES;
        int file = memfd_create("ring", 0);
        if (file < 0 || ftruncate(file, (off_t)bytes) != 0)
                abort();
        uint8_t *base = mmap(NULL, 2 * bytes + PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                             -1, 0);
        for (size_t i = 0; i < 2; i++)
                if (base == MAP_FAILED ||
                    mmap(base + i * bytes, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                         file, 0) == MAP_FAILED)
                        abort();
        close(file);
        return base;
}

struct two_threads {
        struct rig rig;
        sem_t sender_signal, receiver_signal;
        uint64_t sender_sleeps, receiver_sleeps, sent_sum, received_sum;
        const char *sender_failure, *receiver_failure;
};

/* Waits for a signal; false when it did not come. */
static bool await(sem_t *signal)
{
        struct timespec deadline;
        clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec += WAIT_SECONDS_MAX;
        return sem_timedwait(signal, &deadline) == 0;
}

static uint32_t next_random(uint64_t *state)
{
        *state = *state * 6364136223846793005ull + 1442695040888963407ull;
        return (uint32_t)(*state >> 33);
}

static uint64_t checksum(uint64_t id, const uint8_t *bytes, uint32_t count)
{
        uint64_t sum = id;
        for (uint32_t i = 0; i < count; i++)
                sum = sum * 31 + bytes[i];
        return sum;
}

/* Sleeps until `total_bytes` fit; NULL or what went wrong.
 * What is uncommitted stays so half of the time. */
static const char *sender_sleep(struct two_threads *both, uint32_t total_bytes, bool commit_before)
{
        struct rig *rig = &both->rig;
        if (commit_before && commit(rig))
                sem_post(&both->receiver_signal);
        enum vmbus_result result =
                vmbus_sender_prepare_to_sleep(&rig->sender, &rig->to, total_bytes, 0);
        if (result == VMBUS_COMMIT_FIRST)
                return commit_before ? "COMMIT_FIRST with nothing uncommitted"
                                     : sender_sleep(both, total_bytes, true);
        if (result == VMBUS_OK)
                return NULL;
        if (result != VMBUS_FULL)
                return vmbus_result_name(result);
        both->sender_sleeps++;
        if (!await(&both->sender_signal))
                return "the sender was never woken";
        return vmbus_sender_woken(&rig->sender) == VMBUS_OK ? NULL : "sender woken";
}

static void *sender_thread(void *argument)
{
        struct two_threads *both = argument;
        struct rig *rig = &both->rig;
        uint64_t random = 1;
        uint8_t bytes[PAYLOAD_BYTES_MAX];
        for (uint32_t id = 0; id < PACKETS && both->sender_failure == NULL; id++) {
                uint32_t count = next_random(&random) % PAYLOAD_BYTES_MAX;
                for (uint32_t i = 0; i < count; i++)
                        bytes[i] = (uint8_t)(id + i * 7);
                both->sent_sum += checksum(id, bytes, count);
                enum vmbus_result result;
                while ((result = put(rig, VMBUS_SEND_COMPLETION, (uint64_t)id << 32 | count, bytes,
                                     count)) == VMBUS_FULL) {
                        both->sender_failure = sender_sleep(both,
                                                            (uint32_t)VMBUS_IN_BAND_BYTES(count),
                                                            next_random(&random) % 2);
                        if (both->sender_failure != NULL)
                                return NULL;
                }
                if (result != VMBUS_OK)
                        both->sender_failure = vmbus_result_name(result);
                if ((next_random(&random) % 3 == 0 || id == PACKETS - 1) && commit(rig))
                        sem_post(&both->receiver_signal);
        }
        return NULL;
}

static const char *receiver_sleep(struct two_threads *both)
{
        struct rig *rig = &both->rig;
        if (give_back(rig))
                sem_post(&both->sender_signal);
        enum vmbus_result result = receiver_sleeps(rig);
        if (rig->owed)
                sem_post(&both->sender_signal);
        if (result == VMBUS_OK)
                return NULL;
        if (result != VMBUS_EMPTY)
                return vmbus_result_name(result);
        both->receiver_sleeps++;
        if (!await(&both->receiver_signal))
                return "the receiver was never woken";
        return vmbus_receiver_woken(&rig->receiver) == VMBUS_OK ? NULL : "receiver woken";
}

static void *receiver_thread(void *argument)
{
        struct two_threads *both = argument;
        struct rig *rig = &both->rig;
        uint8_t bytes[VMBUS_ROUND8(PAYLOAD_BYTES_MAX)];
        uint64_t random = 2;
        uint32_t received = 0;
        while (received < PACKETS && both->receiver_failure == NULL) {
                struct vmbus_incoming packet;
                enum vmbus_result result = get(rig, &packet);
                if (result == VMBUS_EMPTY) {
                        both->receiver_failure = receiver_sleep(both);
                        continue;
                }
                if (result != VMBUS_OK ||
                    vmbus_receiver_copy(&rig->receiver, &packet.payload, bytes, sizeof(bytes)) !=
                            VMBUS_OK ||
                    packet.transaction_id >> 32 != received) {
                        both->receiver_failure = vmbus_result_name(result);
                        break;
                }
                both->received_sum += checksum(received, bytes, (uint32_t)packet.transaction_id);
                received++;
                if (next_random(&random) % 3 == 0 && give_back(rig))
                        sem_post(&both->sender_signal);
        }
        if (both->receiver_failure == NULL && give_back(rig)) /* else it may be asleep */
                sem_post(&both->sender_signal);
        return NULL;
}

TEST_WITH(vmbus_ring, two_threads_lose_no_signal, 0, 120000)
{
        static struct two_threads both;
        pthread_t sender, receiver;
        memset(&both, 0, sizeof(both));
        OPEN(both.rig, 1, 0);
        both.rig.way = READ_CALL;
        REQUIRE_EQ(sem_init(&both.sender_signal, 0, 0), 0);
        REQUIRE_EQ(sem_init(&both.receiver_signal, 0, 0), 0);
        REQUIRE_EQ(pthread_create(&sender, NULL, sender_thread, &both), 0);
        REQUIRE_EQ(pthread_create(&receiver, NULL, receiver_thread, &both), 0);
        pthread_join(sender, NULL);
        pthread_join(receiver, NULL);
        if (both.sender_failure != NULL)
                test_log(t, "sender: %s", both.sender_failure);
        if (both.receiver_failure != NULL)
                test_log(t, "receiver: %s", both.receiver_failure);
        EXPECT_TRUE(both.sender_failure == NULL);
        EXPECT_TRUE(both.receiver_failure == NULL);
        EXPECT_EQ(both.received_sum, both.sent_sum);
        EXPECT_GT(both.sender_sleeps, 0u);
        EXPECT_GT(both.receiver_sleeps, 0u);
        sem_destroy(&both.sender_signal);
        sem_destroy(&both.receiver_signal);
}

/* ---- several processors on one sender ---- */

#define MULTI_THREADS 3u
#define MULTI_PACKETS 5000u /* of each thread */
#define MULTI_BYTES_MAX 3000u
#define MULTI_TRIES_MAX 1000000u /* BUSY and FULL of one packet */

struct multi_threads {
        struct rig rig;
        struct vmbus_multi multi;
        pthread_mutex_t lock; /* under which the condition is told, after each vmbus_multi_signal */
        pthread_cond_t signalled;
        atomic_uint sleeps;
};

struct multi_thread {
        struct multi_threads *all;
        uint32_t number;
        const char *failure;
};

static void wake_all(struct multi_threads *all)
{
        pthread_mutex_lock(&all->lock);
        pthread_cond_broadcast(&all->signalled);
        pthread_mutex_unlock(&all->lock);
}

/* False when the signal did not come. */
static bool await_signals(struct multi_threads *all, uint32_t seen)
{
        struct timespec deadline;
        int status = 0;
        clock_gettime(CLOCK_REALTIME, &deadline);
        deadline.tv_sec += WAIT_SECONDS_MAX;
        pthread_mutex_lock(&all->lock);
        while (status == 0 && vmbus_multi_signals(&all->multi) == seen)
                status = pthread_cond_timedwait(&all->signalled, &all->lock, &deadline);
        pthread_mutex_unlock(&all->lock);
        return status == 0;
}

/* After FULL: sleeps until it is worth another try; anything but OK and BUSY is for the caller. */
static enum vmbus_result multi_sleep(struct multi_thread *self, uint64_t bytes)
{
        struct multi_threads *all = self->all;
        uint32_t seen;
        enum vmbus_result result = vmbus_multi_prepare_to_sleep(&all->multi, bytes, &seen);
        if (result == VMBUS_BUSY)
                return result;
        if (result != VMBUS_FULL) {
                wake_all(all);
                return result;
        }
        atomic_fetch_add(&all->sleeps, 1);
        if (!await_signals(all, seen)) {
                self->failure = "a sender was never woken";
                return VMBUS_FULL;
        }
        for (uint32_t i = 0; i < MULTI_TRIES_MAX; i++) {
                result = vmbus_multi_woken(&all->multi);
                if (result != VMBUS_BUSY)
                        break;
                sched_yield();
        }
        return result;
}

static uint32_t multi_bytes(uint32_t number, uint32_t packet)
{
        /* Now and then one that takes most of the ring. */
        return packet % 16 == number ? MULTI_BYTES_MAX - packet % 64 : 100 + packet % 300;
}

static void *multi_sender(void *argument)
{
        struct multi_thread *self = argument;
        uint8_t bytes[MULTI_BYTES_MAX];
        uint32_t tries = 0;
        for (uint32_t i = 0; i < MULTI_PACKETS && self->failure == NULL;) {
                const struct vmbus_outgoing packet = {
                        .kind = VMBUS_SEND_COMPLETION,
                        .payload_bytes = multi_bytes(self->number, i),
                        .transaction_id = (uint64_t)self->number << 32 | i};
                bool signal;
                memset(bytes, (int)(i * 3 + self->number), sizeof(bytes));
                enum vmbus_result result =
                        vmbus_multi_send(&self->all->multi, &packet, bytes, &signal);
                if (result == VMBUS_OK) {
                        i++;
                        tries = 0;
                        continue;
                }
                if (result == VMBUS_FULL)
                        result = multi_sleep(self, vmbus_outgoing_bytes(&packet));
                if (result == VMBUS_BUSY)
                        sched_yield();
                else if (result != VMBUS_OK && self->failure == NULL)
                        self->failure = vmbus_result_name(result);
                if (++tries > MULTI_TRIES_MAX)
                        self->failure = "no progress";
        }
        return NULL;
}

/* Takes one packet and checks it; its sender and number must be the next. */
static bool take_next(struct test *t, struct rig *rig, uint32_t next[MULTI_THREADS])
{
        struct vmbus_incoming packet;
        uint8_t bytes[VMBUS_ROUND8(MULTI_BYTES_MAX)];
        if (!EXPECT_EQ(get(rig, &packet), VMBUS_OK))
                return false;
        uint32_t number = (uint32_t)(packet.transaction_id >> 32);
        if (!EXPECT_LT(number, MULTI_THREADS) ||
            !EXPECT_EQ((uint32_t)packet.transaction_id, next[number]) ||
            !EXPECT_EQ(vmbus_receiver_copy(&rig->receiver, &packet.payload, bytes, sizeof(bytes)),
                       VMBUS_OK))
                return false;
        for (uint32_t i = 0; i < multi_bytes(number, next[number]); i++)
                if (bytes[i] != (uint8_t)(next[number] * 3 + number))
                        return EXPECT_EQ(bytes[i], (uint8_t)(next[number] * 3 + number));
        next[number]++;
        return true;
}

/* Every packet of every thread arrives whole, and those of one thread in their order; a thread that
 * finds no room sleeps, and is woken by signals that the ring owes and by nothing else. */
TEST_WITH(vmbus_ring, several_threads_share_one_sender, 0, 120000)
{
        static struct multi_threads all;
        struct multi_thread threads[MULTI_THREADS];
        pthread_t handles[MULTI_THREADS];
        uint32_t next[MULTI_THREADS] = {0};
        bool good = true;
        time_t deadline = time(NULL) + 2 * WAIT_SECONDS_MAX;
        memset(&all, 0, sizeof(all));
        OPEN(all.rig, 1, 0);
        all.rig.way = READ_INLINE;
        REQUIRE_EQ(pthread_mutex_init(&all.lock, NULL), 0);
        REQUIRE_EQ(pthread_cond_init(&all.signalled, NULL), 0);
        REQUIRE_EQ(vmbus_multi_init(&all.multi, &all.rig.sender), VMBUS_OK);
        for (uint32_t i = 0; i < MULTI_THREADS; i++) {
                threads[i] = (struct multi_thread){&all, i, NULL};
                REQUIRE_EQ(pthread_create(&handles[i], NULL, multi_sender, &threads[i]), 0);
        }
        for (uint32_t received = 0; good && received < MULTI_THREADS * MULTI_PACKETS;) {
                if (vmbus_receiver_can_read(&all.rig.receiver, &all.rig.from) != VMBUS_EMPTY) {
                        good = take_next(t, &all.rig, next);
                        received++;
                } else {
                        sched_yield();
                        good = EXPECT_TRUE(time(NULL) <= deadline);
                }
                if (good && give_back(&all.rig)) {
                        vmbus_multi_signal(&all.multi);
                        wake_all(&all);
                }
        }
        for (uint32_t i = 0; i < MULTI_THREADS; i++) {
                pthread_join(handles[i], NULL);
                if (threads[i].failure != NULL)
                        test_log(t, "sender %u: %s", i, threads[i].failure);
                EXPECT_TRUE(threads[i].failure == NULL);
        }
        EXPECT_GT(atomic_load(&all.sleeps), 0u);
        pthread_cond_destroy(&all.signalled);
        pthread_mutex_destroy(&all.lock);
}
