/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of lib/virtqueue/virtqueue_device_signals.h. With it everything of the reference for device
 * sides (spec/zircon-objects.md, 13) has a counterpart:
 *
 *   DriverRange, DeviceRange, DriverMem  struct virtqueue_device_memory,
 *                                        virtqueue_device_memory_map()
 *   size helpers                         virtqueue_descriptors_bytes(),
 *                                        _avail_bytes(), _used_bytes()
 *   ring: Driver, Device                 virtqueue_device_ring.h, function by function
 *   Queue: next_chain, return_written    virtqueue_device_pop(), _push(),
 *                                        _publish(), _signal_needed()
 *   chain.iter, direct and indirect      the pieces of a struct virtqueue_request
 *   ReadableChain, WritableChain         virtqueue_chain.h: read, write,
 *                                        limits, what is left, finish
 *   return_complete                      virtqueue_chain_finish()
 *   BufferedNotify                       virtqueue_device_signals.h
 *   NotificationCounter                  `noted` and `sent` there; `kicks` of the driver's queues
 *   the stream of chains                 pop() until SHOULD_WAIT, virtqueue_device_ask(), sleep
 *   FakeQueue                            virtqueue_device_rig.h, which
 *                                        may write what is wrong, too */
#include "tests/host/virtqueue_device_rig.h"

#include "virtqueue/virtqueue_device_signals.h"

static uint32_t signals_sent;

static void send_signal(void *context)
{
        signals_sent += *(const uint32_t *)context;
}

/* Makes a chain available, serves it. */
static void serve_one(struct test *t, struct rig *rig)
{
        rig_describe(&rig->descriptors[0], RIG_DATA_DEV, 10, 0);
        rig_offer(rig, 0);
        EXPECT_OK(virtqueue_device_pop(&rig->device, &rig->request));
        virtqueue_device_push(&rig->device, rig->request.id, 0);
        virtqueue_device_publish(&rig->device);
}

TEST(virtqueue_signals, one_for_two_queues)
{
        static struct rig first, second;
        static const uint32_t one = 1;
        struct virtqueue_device_signals signals;
        if (!rig_init(t, &first, 8) || !rig_init(t, &second, 8))
                return;
        signals_sent = 0;
        virtqueue_device_signals_init(&signals, send_signal, (void *)(uintptr_t)&one);
        EXPECT_FALSE(virtqueue_device_signals_flush(&signals)); /* nothing is owed */
        for (uint32_t round = 0; round < 3; round++) {
                serve_one(t, &first);
                virtqueue_device_signals_note(&signals, &first.device);
                serve_one(t, &second);
                virtqueue_device_signals_note(&signals, &second.device);
        }
        EXPECT_EQ(signals_sent, 0); /* not before it is told to */
        EXPECT_TRUE(virtqueue_device_signals_flush(&signals));
        EXPECT_FALSE(virtqueue_device_signals_flush(&signals)); /* once */
        EXPECT_EQ(signals_sent, 1);
        EXPECT_EQ(atomic_load(&signals.noted), 6);
        EXPECT_EQ(atomic_load(&signals.sent), 1);
        /* Nothing was published, or nobody wants to hear of it: nothing is owed. */
        virtqueue_device_signals_note(&signals, &first.device);
        second.avail->flags = VIRTQUEUE_FLAG(VIRTQUEUE_NO_INTERRUPT_BIT);
        serve_one(t, &second);
        virtqueue_device_signals_note(&signals, &second.device);
        EXPECT_FALSE(virtqueue_device_signals_flush(&signals));
        /* One that wants it does not wait for one that does not. */
        serve_one(t, &first);
        virtqueue_device_signals_note(&signals, &first.device);
        serve_one(t, &second);
        virtqueue_device_signals_note(&signals, &second.device);
        EXPECT_TRUE(virtqueue_device_signals_flush(&signals));
        EXPECT_EQ(signals_sent, 2);
}
