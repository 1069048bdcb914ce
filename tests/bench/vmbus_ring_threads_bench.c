/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_threads_bench — packets that go from one thread to another, and there and back.
 *
 * Two rings of 64 KiB, one each way, as in a channel. The measured thread sends on the first; the
 * other thread, bound to another processor if there is one, polls it and takes everything, and for
 * the round trips answers each packet on the second. Both poll, so no signal is waited for; what is
 * measured is the processor's work of carrying the lines over, which other programs on the machine
 * disturb: figures to look at, not to hold anybody to.
 *
 * "packet" rows end when the last packet has been read. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "tests/bench/bench.h"
#include "vmbus_ring/vmbus_ring.h"

#define RING_BYTES 65536u
#define PAYLOAD_BYTES 64u
#define BATCH_MAX 16u
#define POLLS_BEFORE_YIELD 4096

struct lane {
        struct vmbus_sender sender;
        struct vmbus_receiver receiver;
        struct vmbus_send_position send;
        struct vmbus_receive_position receive;
};

enum work { WORK_NONE, WORK_TAKE, WORK_ANSWER };

static ALIGNED(4096) uint8_t control_pages[2][PAGE_BYTES], areas[2][RING_BYTES];
static ALIGNED(64) uint8_t payload_in[PAYLOAD_BYTES];
static struct lane lanes[2] ALIGNED(64); /* out, and back */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static _Atomic int work;                           /* enum work, of the other thread */
static _Atomic int at_work;                        /* the same as that thread has seen it */
static ALIGNED(64) _Atomic uint64_t taken_packets; /* by the other thread */

/* Between two looks at what has not changed: another thread may need this processor. */
static void wait_a_moment(uint32_t *polls)
{
        if (++*polls % POLLS_BEFORE_YIELD == 0)
                sched_yield();
        else
                __builtin_ia32_pause();
}

static void open_lane(int number)
{
        struct lane *lane = &lanes[number];
        struct vmbus_memory memory;
        bench_require(vmbus_memory_init_flat(&memory, control_pages[number], areas[number],
                                             RING_BYTES) == ZX_OK,
                      "memory");
        vmbus_memory_reset(&memory);
        vmbus_sender_init(&lane->sender, &memory);
        vmbus_receiver_init(&lane->receiver, &memory);
        bench_require(vmbus_sender_position(&lane->sender, &lane->send) == VMBUS_OK, "sender");
        bench_require(vmbus_receiver_position(&lane->receiver, &lane->receive) == VMBUS_OK,
                      "receiver");
}

/* Waits while the ring is full; what was written before is committed by then. */
static void send_one(struct lane *lane, uint64_t id)
{
        const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND,
                                              .payload_bytes = PAYLOAD_BYTES,
                                              .transaction_id = id};
        struct vmbus_range payload;
        enum vmbus_result result;
        uint32_t polls = 0;
        while ((result = vmbus_sender_write(&lane->sender, &lane->send, &packet, &payload)) ==
               VMBUS_FULL)
                wait_a_moment(&polls);
        bench_require(result == VMBUS_OK, "write");
        struct vmbus_writer writer = vmbus_sender_writer(&lane->sender, &payload);
        bench_require(vmbus_writer_write(&writer, payload_in, PAYLOAD_BYTES) == VMBUS_OK, "copy");
}

/* Whether there was a packet. */
static bool take_one(struct lane *lane)
{
        uint8_t bytes[PAYLOAD_BYTES];
        struct vmbus_incoming packet;
        enum vmbus_result result = vmbus_receiver_read(&lane->receiver, &lane->receive, &packet);
        if (result == VMBUS_EMPTY)
                return false;
        bench_require(result == VMBUS_OK, "read");
        bench_require(vmbus_receiver_copy(&lane->receiver, &packet.payload, bytes,
                                          sizeof(bytes)) == VMBUS_OK,
                      "copy out");
        bench_keep(bytes);
        return true;
}

/* Takes what is there, BATCH_MAX packets at most; how many. */
static uint32_t take_some(struct lane *lane)
{
        uint32_t count = 0;
        while (count < BATCH_MAX && take_one(lane))
                count++;
        if (count != 0)
                (void)!vmbus_receiver_commit(&lane->receiver, &lane->receive);
        return count;
}

static void answer(uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                send_one(&lanes[1], i);
        if (count != 0)
                (void)!vmbus_sender_commit(&lanes[1].sender, &lanes[1].send);
}

static void *other_thread(void *unused)
{
        uint32_t polls = 0;
        (void)unused;
        bench_bind_thread(1);
        for (;;) {
                at_work = work;
                if (at_work == WORK_NONE) {
                        pthread_mutex_lock(&mutex);
                        while (work == WORK_NONE)
                                pthread_cond_wait(&changed, &mutex);
                        pthread_mutex_unlock(&mutex);
                        continue;
                }
                uint32_t count = take_some(&lanes[0]);
                if (at_work == WORK_ANSWER)
                        answer(count);
                if (count == 0)
                        wait_a_moment(&polls);
                else
                        atomic_store_explicit(&taken_packets, taken_packets + count,
                                              memory_order_release);
        }
        return NULL;
}

static void set_work(enum work wanted)
{
        uint32_t polls = 0;
        bench_bind_thread(0);
        pthread_mutex_lock(&mutex);
        work = wanted;
        pthread_cond_signal(&changed);
        pthread_mutex_unlock(&mutex);
        while (at_work != (int)wanted)
                wait_a_moment(&polls);
}

static void let_take(void)
{
        set_work(WORK_TAKE);
}

static void let_answer(void)
{
        set_work(WORK_ANSWER);
}

static void let_rest(void)
{
        set_work(WORK_NONE);
}

/* context: packets a commit. */
static void run_send(void *context, uint64_t iterations)
{
        uint64_t batch = *(const uint32_t *)context, end = taken_packets + iterations;
        uint32_t polls = 0;
        for (uint64_t done = 0; done < iterations; done += batch) {
                for (uint64_t i = done; i < done + batch && i < iterations; i++)
                        send_one(&lanes[0], i);
                (void)!vmbus_sender_commit(&lanes[0].sender, &lanes[0].send);
        }
        while (atomic_load_explicit(&taken_packets, memory_order_acquire) != end)
                wait_a_moment(&polls);
}

static void run_round_trip(void *context, uint64_t iterations)
{
        uint32_t polls = 0;
        (void)context;
        for (uint64_t i = 0; i < iterations; i++) {
                send_one(&lanes[0], i);
                (void)!vmbus_sender_commit(&lanes[0].sender, &lanes[0].send);
                while (take_some(&lanes[1]) == 0)
                        wait_a_moment(&polls);
        }
}

static uint32_t batches[] = {1, BATCH_MAX};

static const struct bench benches[] = {
        {.name = "vmbus_ring.two_threads.64B",
         .unit = "packet",
         .run = run_send,
         .before = let_take,
         .after = let_rest,
         .context = &batches[0]},
        {.name = "vmbus_ring.two_threads.64B.batch16",
         .unit = "packet",
         .run = run_send,
         .before = let_take,
         .after = let_rest,
         .context = &batches[1]},
        {.name = "vmbus_ring.two_threads.round_trip",
         .unit = "round trip",
         .run = run_round_trip,
         .before = let_answer,
         .after = let_rest},
};

void vmbus_ring_threads_bench_register(void)
{
        pthread_t thread;
        open_lane(0);
        open_lane(1);
        bench_require(pthread_create(&thread, NULL, other_thread, NULL) == 0, "thread");
        for (size_t i = 0; i < ARRAY_COUNT(benches); i++)
                bench_register(&benches[i]);
}
