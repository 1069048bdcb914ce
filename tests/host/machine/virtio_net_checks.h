/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What the tests of virtio_net ask of its rig again and again. */
#ifndef TESTS_HOST_MACHINE_VIRTIO_NET_CHECKS_H
#define TESTS_HOST_MACHINE_VIRTIO_NET_CHECKS_H

#include <string.h>

#include "tests/host/machine/virtio_net_rig.h"

#define PAGES 1024 /* of the machine, unless a test says otherwise */

/* A card that offers `features` beside the usual ones, with a client. */
static inline void start_with(struct test *t, uint64_t features)
{
        rig_init(t, PAGES);
        rig.offered |= features;
        REQUIRE_OK(rig_start(t));
}

/* A card with so many queue pairs and a control queue, not started. */
static inline void pairs_init(struct test *t, uint16_t pairs, uint64_t features)
{
        rig_init(t, PAGES);
        rig.offered |= RIG_NET(CTRL_VQ) | features;
        memcpy(rig.config + VIRTIO_NET_CONFIG_PAIRS, &pairs, 2);
        rig.queue_count = 2 * pairs + 1;
}

/* Frames 0 .. count - 1, to queue pair 0. */
static inline void send_some(struct test *t, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                struct netdev_frame frame = rig_frame(t, i, i * 1024, 100, 1);
                EXPECT_OK(rig_send(0, &frame));
        }
}

/* Delivers a frame of `bytes` bytes, which is dropped, and counted. */
static inline void expect_dropped(struct test *t, struct virtio_net_header header, uint32_t bytes)
{
        uint64_t dropped = netdev_counters(rig_card())->total.receive_dropped;
        uint32_t got = rig.got_count;
        EXPECT_TRUE(rig_deliver(0, header, 1, bytes));
        rig_poll(0);
        EXPECT_EQ(netdev_counters(rig_card())->total.receive_dropped, dropped + 1);
        EXPECT_EQ(rig.got_count, got);
}

/* Delivers a frame of `bytes` bytes, which arrives; returns what is said of it. */
static inline const struct netdev_receive_info *receive_one(struct test *t,
                                                            struct virtio_net_header header,
                                                            uint32_t bytes)
{
        static const struct netdev_receive_info nothing;
        uint32_t got = rig.got_count;
        if (!EXPECT_TRUE(rig_deliver(0, header, got, bytes)))
                return &nothing;
        rig_poll(0);
        if (!EXPECT_EQ(rig.got_count, got + 1))
                return &nothing;
        const struct rig_got *last = &rig.got[got % RIG_GOT_MAX];
        EXPECT_EQ(last->frame.buffer.buffer.length, bytes);
        EXPECT_EQ(last->sum, rig_sum(got, bytes));
        return &last->frame.info;
}

/* A frame each way over this queue pair. */
static inline void expect_traffic(struct test *t, uint32_t queue)
{
        uint32_t got = rig.got_count, done = rig.done_count;
        struct netdev_frame frame = rig_frame(t, 1000 + done, 0, 100, 2);
        EXPECT_OK(rig_send(queue, &frame));
        EXPECT_EQ(rig_serve(queue), 1);
        EXPECT_TRUE(rig_deliver(queue, (struct virtio_net_header){0}, 5, 200));
        rig_poll(queue);
        if (EXPECT_EQ(rig.got_count, got + 1)) {
                EXPECT_EQ(rig.got[got % RIG_GOT_MAX].sum, rig_sum(5, 200));
                EXPECT_EQ(rig.got[got % RIG_GOT_MAX].queue, queue);
        }
        if (EXPECT_EQ(rig.done_count, done + 1))
                EXPECT_STATUS(ZX_OK, rig.done_status[done % RIG_DONE_MAX]);
}

#endif
