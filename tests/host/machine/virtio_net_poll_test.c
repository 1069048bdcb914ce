/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_net against a device of ours: when interrupts are asked for, what a poll looks at, what is
 * counted, and how often a card or a queue may break. */
#include "tests/host/machine/virtio_net_checks.h"

#include <string.h>

#define IDLE_POLLS 256 /* after which the status is read */
#define STORM 100000   /* interrupts between two polls */

static void start_pairs(struct test *t, uint16_t pairs, uint64_t features)
{
        pairs_init(t, pairs, RIG_NET(MQ) | features);
        rig.queue_pairs = pairs;
        REQUIRE_OK(rig_start(t));
}

/* A card with a large ring and event indices, and frames under way. */
static void start_sending(struct test *t, uint32_t count)
{
        rig_init(t, PAGES);
        rig.queue_size = RIG_QUEUE_SIZE_MAX;
        rig.offered |= RIG_F(EVENT_IDX);
        REQUIRE_OK(rig_start(t));
        send_some(t, count);
}

/* The device gives back one sent frame; returns whether it has to interrupt. */
static bool use_one(struct test *t)
{
        struct virtqueue_device *device = &rig.queues[VIRTIO_NET_TRANSMIT_QUEUE].device;
        struct virtqueue_element pieces[RIG_QUEUE_SIZE_MAX];
        struct virtqueue_request request = {.elements = pieces, .elements_max = RIG_QUEUE_SIZE_MAX};
        struct virtqueue_chain_io io;
        if (!EXPECT_OK(virtqueue_device_pop(device, &request)))
                return false;
        virtqueue_chain_io_init(&io, device, &request);
        (void)virtqueue_chain_finish(&io);
        virtqueue_device_publish(device);
        return virtqueue_device_signal_needed(device);
}

static bool pending(uint32_t queue)
{
        return rig_card()->ops->pending(rig_card(), queue);
}

/* ---- asking for interrupts ---- */

/* Sent frames interrupt once, when three quarters of those that were out are through. */
TEST(virtio_net_poll, sent_frames_wait_for_three_quarters)
{
        start_sending(t, 16);
        rig_poll(0);
        EXPECT_FALSE(pending(0));
        for (uint32_t i = 1; i <= 16; i++)
                EXPECT_EQ(use_one(t), i == 12);
        EXPECT_EQ(rig_poll(0), 16);
        rig_finish(t);
}

/* A budget that was used up on sent frames: there may be more, so the pair does not sleep on it. */
TEST(virtio_net_poll, budget_used_up_on_sent_frames)
{
        start_sending(t, 16);
        for (uint32_t i = 0; i < 4; i++)
                (void)use_one(t);
        EXPECT_EQ(netdev_poll(rig_card(), 0, 2), 2);
        EXPECT_TRUE(pending(0));
        EXPECT_EQ(netdev_poll(rig_card(), 0, 3), 2);
        EXPECT_FALSE(pending(0));
        rig_finish(t);
}

/* What is sent after asking was not in the question: the next poll asks again. */
TEST(virtio_net_poll, sending_wants_another_look)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        rig_poll(0);
        EXPECT_FALSE(pending(0));
        send_some(t, 1);
        EXPECT_TRUE(pending(0));
        rig_poll(0);
        EXPECT_FALSE(pending(0));
        rig_finish(t);
}

/* A card that stopped lets nobody sleep, whichever pair found it out. */
TEST(virtio_net_poll, stopped_card_lets_nobody_sleep)
{
        start_pairs(t, 2, RIG_NET(STATUS) | RIG_NET(GUEST_ANNOUNCE));
        rig_poll(1);
        EXPECT_FALSE(pending(1));
        rig.config[VIRTIO_NET_CONFIG_STATUS] = 3; /* up, and announce: of a broken device */
        rig.status |= VIRTIO_STATUS_NEEDS_RESET;
        rig_interrupt(VIRTIO_SOURCE_CONFIG);
        rig_poll(0);
        EXPECT_FALSE(rig_card()->running);
        EXPECT_FALSE(rig_card()->link_up);
        EXPECT_EQ(rig.announces, 0);
        EXPECT_TRUE(pending(1));
        rig_finish(t);
}

/* ---- the status ---- */

TEST(virtio_net_poll, status_without_its_features)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        rig.config[VIRTIO_NET_CONFIG_STATUS] = 0;
        rig_interrupt(VIRTIO_SOURCE_CONFIG);
        rig_poll(0);
        EXPECT_TRUE(rig_card()->link_up);
        rig_finish(t);
        rig_init(t, PAGES);
        rig.offered |= RIG_NET(STATUS) | RIG_NET(CTRL_VQ);
        rig.config[VIRTIO_NET_CONFIG_STATUS] = 0;
        REQUIRE_OK(rig_start(t));
        EXPECT_FALSE(rig_card()->link_up);
        rig.config[VIRTIO_NET_CONFIG_STATUS] = 3; /* up, and announce */
        rig_interrupt(VIRTIO_SOURCE_CONFIG);
        rig_poll(0);
        EXPECT_TRUE(rig_card()->link_up);
        EXPECT_EQ(rig.announces, 0);
        EXPECT_EQ(rig.command_count, 0);
        rig_finish(t);
}

/* Without an interrupt it is read after so many idle polls, and then after as many again. */
TEST(virtio_net_poll, status_is_not_read_by_every_idle_poll)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        for (uint32_t i = 0; i < IDLE_POLLS; i++)
                rig_poll(0);
        rig.status |= VIRTIO_STATUS_NEEDS_RESET;
        for (uint32_t i = 1; i < IDLE_POLLS; i++)
                rig_poll(0);
        EXPECT_EQ(netdev_counters(rig_card())->faults, 0);
        rig_poll(0);
        EXPECT_EQ(netdev_counters(rig_card())->faults, 1);
        rig_finish(t);
}

/* ---- storms and counters ---- */

TEST(virtio_net_poll, many_interrupts_with_polls_between_are_no_storm)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        for (uint32_t round = 0; round < 3; round++) {
                for (uint32_t i = 0; i < STORM / 2; i++)
                        rig_interrupt(VIRTIO_SOURCE_QUEUE(0));
                rig_poll(0);
        }
        EXPECT_FALSE(rig.masked);
        for (uint32_t i = 0; i <= STORM; i++)
                rig_interrupt(VIRTIO_SOURCE_QUEUE(0));
        EXPECT_TRUE(rig.masked);
        (void)netdev_counters(rig_card());
        EXPECT_TRUE(rig_card()->polled);
        /* A restart is a new beginning: neither the storm nor its last interrupt is left. */
        uint64_t idle = rig_card()->queues[0].counters.interrupts_idle;
        EXPECT_OK(netdev_restart(rig_card()));
        EXPECT_FALSE(rig_card()->polled);
        rig_poll(0);
        EXPECT_EQ(rig_card()->queues[0].counters.interrupts_idle, idle);
        rig_finish(t);
}

TEST(virtio_net_poll, card_without_interrupts_is_polled)
{
        rig_init(t, PAGES);
        rig.has_no_interrupts = true;
        REQUIRE_OK(rig_start(t));
        EXPECT_TRUE(rig_card()->polled);
        expect_traffic(t, 0);
        (void)netdev_counters(rig_card());
        EXPECT_TRUE(rig_card()->polled);
        rig_finish(t);
}

/* Each notification is counted once, over all lives of the card. */
TEST(virtio_net_poll, notifications_over_several_lives)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        for (uint32_t life = 0; life < 3; life++) {
                for (uint32_t i = 0; i <= life; i++)
                        expect_traffic(t, 0);
                if (life == 1)
                        EXPECT_EQ(netdev_counters(rig_card())->total.notifications,
                                  rig.notifications);
                EXPECT_OK(netdev_restart(rig_card()));
        }
        for (uint32_t i = 0; i < 2; i++)
                EXPECT_EQ(netdev_counters(rig_card())->total.notifications, rig.notifications);
        EXPECT_EQ(netdev_counters(rig_card())->total.receive_starved, 0);
        rig_finish(t);
}

/* ---- how often it may break ---- */

static void ask_for_reset(void)
{
        rig.status |= VIRTIO_STATUS_NEEDS_RESET;
        rig_interrupt(VIRTIO_SOURCE_CONFIG);
        rig_poll(0);
}

/* Only frames that have moved count as a life: those that came back do not. A card that is left
 * alone holds nothing. */
TEST(virtio_net_poll, recoveries_are_counted_anew_after_traffic)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        expect_traffic(t, 0);
        for (uint32_t round = 1; round <= 2; round++) {
                for (uint32_t i = 0; i < VIRTIO_NET_RECOVERIES_MAX; i++) {
                        ask_for_reset();
                        EXPECT_TRUE(rig_card()->running);
                }
                if (round == 1)
                        expect_traffic(t, 0);
        }
        send_some(t, 3);
        ask_for_reset();
        EXPECT_FALSE(rig_card()->running);
        EXPECT_EQ(netdev_counters(rig_card())->restarts, 2 * VIRTIO_NET_RECOVERIES_MAX);
        EXPECT_EQ(netdev_transmit_in_flight(rig_card()), 0);
        EXPECT_EQ(rig.status & VIRTIO_STATUS_DRIVER_OK, 0);
        EXPECT_FALSE(rig_net.open);
        rig_finish(t);
}

TEST(virtio_net_poll, frames_that_came_back_are_no_traffic)
{
        for (uint32_t queue_reset = 0; queue_reset < 2; queue_reset++) {
                start_with(t, queue_reset ? RIG_F(RING_RESET) : 0);
                for (uint32_t i = 0; i < VIRTIO_NET_RECOVERIES_MAX; i++) {
                        send_some(t, 1);
                        rig_break_queue(VIRTIO_NET_TRANSMIT_QUEUE);
                        rig_poll(0);
                        EXPECT_EQ(rig.done_count, i + 1);
                        EXPECT_TRUE(rig_card()->running);
                }
                uint64_t restarts = netdev_counters(rig_card())->restarts;
                EXPECT_EQ(restarts, queue_reset ? 0 : VIRTIO_NET_RECOVERIES_MAX);
                send_some(t, 1);
                rig_break_queue(VIRTIO_NET_TRANSMIT_QUEUE);
                rig_poll(0);
                EXPECT_EQ(rig_card()->running, queue_reset);
                EXPECT_EQ(netdev_counters(rig_card())->restarts, restarts + queue_reset);
                rig_finish(t);
        }
}

TEST(virtio_net_poll, queue_resets_are_counted_anew_after_traffic)
{
        start_with(t, RIG_F(RING_RESET));
        expect_traffic(t, 0);
        for (uint32_t round = 1; round <= 2; round++) {
                for (uint32_t i = 0; i < VIRTIO_NET_RECOVERIES_MAX; i++) {
                        rig_break_queue(VIRTIO_NET_RECEIVE_QUEUE);
                        rig_poll(0);
                        EXPECT_EQ(netdev_counters(rig_card())->restarts, 0);
                        /* The device is told of the memory in its new ring. */
                        EXPECT_EQ(rig.queues[VIRTIO_NET_RECEIVE_QUEUE].notifications, 1);
                }
                if (round == 1)
                        expect_traffic(t, 0);
        }
        rig_break_queue(VIRTIO_NET_RECEIVE_QUEUE);
        rig_poll(0);
        EXPECT_EQ(netdev_counters(rig_card())->restarts, 1);
        expect_traffic(t, 0);
        rig_finish(t);
}

/* More frames under way than one call of the client takes: each comes back once. */
TEST(virtio_net_poll, many_frames_come_back)
{
        const uint32_t count = NETDEV_BATCH_MAX + 8;
        uint64_t seen = 0;
        rig_init(t, PAGES);
        rig.queue_size = RIG_QUEUE_SIZE_MAX;
        rig.offered |= RIG_F(INDIRECT_DESC);
        REQUIRE_OK(rig_start(t));
        send_some(t, count);
        EXPECT_OK(netdev_restart(rig_card()));
        REQUIRE_EQ(rig.done_count, count);
        for (uint32_t i = 0; i < count; i++) {
                EXPECT_STATUS(ZX_ERR_CANCELED, rig.done_status[i]);
                seen |= BIT_MASK(rig.done_ids[i]);
        }
        EXPECT_EQ(seen, BIT_MASK(count) - 1);
        rig_finish(t);
}
