/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Several threads serve queues of their own and note them; one flush sends the signal for all.
 *
 * What is under test is the order: whoever got the signal sees what each of them had published, not
 * only the last one. How far the others are is told by a count that orders nothing, so that
 * ThreadSanitizer knows of no other way than from note() to flush().
 * Facts: C11, 5.1.2.4 (release sequences). */
#include <pthread.h>
#include <sched.h>

#include "tests/host/virtqueue_device_rig.h"

#include "virtqueue/virtqueue_device_signals.h"

#define SERVERS 2u
#define ROUNDS 500u
#define QUEUE_ENTRIES 8u

struct shared_signals {
        struct virtqueue_device_signals signals;
        _Atomic uint32_t noted; /* by all, in all rounds */
        _Atomic uint32_t round; /* that may begin */
};

struct server {
        struct rig rig;
        struct shared_signals *all;
        uint32_t served; /* a plain word, as what is in a buffer */
        bool failed;
};

/* The signal; the context is its count. */
static void count_signal(void *context)
{
        ++*(uint32_t *)context;
}

static bool serve_one(struct rig *rig)
{
        rig_describe(&rig->descriptors[0], RIG_DATA_DEV, 10, 0);
        rig_offer(rig, 0);
        if (virtqueue_device_pop(&rig->device, &rig->request) != ZX_OK)
                return false;
        virtqueue_device_push(&rig->device, rig->request.id, 0);
        virtqueue_device_publish(&rig->device);
        return true;
}

static void *server_thread(void *argument)
{
        struct server *self = argument;
        struct shared_signals *all = self->all;
        for (uint32_t round = 1; round <= ROUNDS; round++) {
                while (atomic_load_explicit(&all->round, memory_order_acquire) < round)
                        sched_yield();
                self->failed |= !serve_one(&self->rig);
                self->served = round;
                virtqueue_device_signals_note(&all->signals, &self->rig.device);
                atomic_fetch_add_explicit(&all->noted, 1, memory_order_relaxed);
        }
        return NULL;
}

TEST_WITH(virtqueue_signals, one_flush_sees_what_each_thread_published, 0, 120000)
{
        static struct server servers[SERVERS];
        static struct shared_signals all;
        pthread_t handles[SERVERS];
        uint32_t sent = 0;
        memset(&all, 0, sizeof(all));
        virtqueue_device_signals_init(&all.signals, count_signal, &sent);
        for (uint32_t i = 0; i < SERVERS; i++) {
                memset(&servers[i], 0, sizeof(servers[i]));
                servers[i].all = &all;
                if (!rig_init(t, &servers[i].rig, QUEUE_ENTRIES))
                        return;
        }
        for (uint32_t i = 0; i < SERVERS; i++)
                REQUIRE_EQ(pthread_create(&handles[i], NULL, server_thread, &servers[i]), 0);
        for (uint32_t round = 1; round <= ROUNDS; round++) {
                atomic_store_explicit(&all.round, round, memory_order_release);
                while (atomic_load_explicit(&all.noted, memory_order_relaxed) != round * SERVERS)
                        sched_yield();
                EXPECT_TRUE(virtqueue_device_signals_flush(&all.signals));
                for (uint32_t i = 0; i < SERVERS; i++) {
                        EXPECT_EQ(servers[i].served, round);
                        EXPECT_EQ(servers[i].rig.used->index, (uint16_t)round);
                }
        }
        for (uint32_t i = 0; i < SERVERS; i++) {
                pthread_join(handles[i], NULL);
                EXPECT_FALSE(servers[i].failed);
        }
        EXPECT_EQ(sent, ROUNDS);
        EXPECT_EQ(atomic_load(&all.signals.noted), ROUNDS * SERVERS);
        EXPECT_EQ(atomic_load(&all.signals.sent), ROUNDS);
}
