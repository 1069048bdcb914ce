/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What the virtio network card of this machine must do beyond carrying frames (net_card_test.c):
 * rings that wrap, interrupts, ends and new beginnings. */
#include "tests/boot/net_client.h"

#include "drivers/virtio/virtio_net.h"
#include "kernel/memory.h"

static const char *net_open(struct test *t, void (*receive)(const struct net_frame *frame))
{
        return net_open_card(t, virtio_net_is, receive);
}

TEST(virtio_net, burst_of_520_wraps_the_rings)
{
        if (strcmp(net_peer, "host") == 0)
                SKIP("more askers than a host remembers at a time");
        const char *why = net_open(t, count_answer);
        if (why != NULL)
                SKIP(why);
        const struct virtio_net *card = virtio_net_from(net.netdev);
        uint64_t received = card->pairs[0].receive.ring.taken,
                 sent = card->pairs[0].transmit.ring.taken;
        uint32_t bursts = 0;
        do {
                run_burst(t, BURST_MAX);
                bursts++;
        } while (card->pairs[0].receive.ring.taken - received <=
                         card->pairs[0].receive.ring.size && !test_has_failed(t));
        EXPECT_GE(card->pairs[0].receive.ring.taken - received, bursts * BURST_MAX);
        net_close(t);
        EXPECT_EQ(card->pairs[0].transmit.ring.taken - sent, bursts * BURST_MAX);
        EXPECT_EQ(net.sent, bursts * BURST_MAX);
}

/* ---- interrupts ---- */

/* An answer is noticed without a single poll:
 * only the interrupt handler can have made it pending. */
TEST(virtio_net, interrupts_announce_frames)
{
        struct net_frame frame;
        const char *why = net_open(t, count_answer);
        if (why != NULL)
                SKIP(why);
        const struct virtio_net *card = virtio_net_from(net.netdev);
        uint64_t deadline = time_deadline_after(ANSWER_LIMIT_NS);
        while ((netdev_poll(net.netdev, 0, POLL_BUDGET) != 0 ||
                net.netdev->ops->pending(net.netdev, 0)) &&
               EXPECT_TRUE(!time_passed(deadline)))
                ;
        if (net.netdev->polled) {
                net_close(t);
                SKIP("the card cannot interrupt here");
        }
        burst_answered = 0;
        uint64_t before = netdev_counters(net.netdev)->interrupts;
        net_build_arp_request(&frame, net.netdev->mac, BURST_IP(0), SLIRP_ROUTER);
        EXPECT_TRUE(net_send(&frame));
        while (!(card->sources & VIRTIO_SOURCE_QUEUE(VIRTIO_NET_RECEIVE_QUEUE)) &&
               !time_passed(deadline))
                time_wait_interrupt(deadline);
        EXPECT_TRUE(card->sources & VIRTIO_SOURCE_QUEUE(VIRTIO_NET_RECEIVE_QUEUE));
        EXPECT_GT(netdev_counters(net.netdev)->interrupts, before);
        EXPECT_EQ(burst_answered, 0); /* nobody has polled */
        netdev_poll(net.netdev, 0, POLL_BUDGET);
        EXPECT_EQ(burst_answered, 1);
        net_close(t);
}

/* ---- refusals, reset ---- */

TEST(virtio_net, refused_frames_change_nothing)
{
        const char *why = net_open(t, NULL);
        if (why != NULL)
                SKIP(why);
        const uint32_t lengths[] = {0, NETDEV_HEADER_BYTES - 1,
                                    net.netdev->mtu + NETDEV_HEADER_BYTES + 1};
        const struct virtio_net *card = virtio_net_from(net.netdev);
        uint64_t added = card->pairs[0].transmit.ring.added;
        for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
                struct netdev_frame frame = frame_of(0, lengths[i]);
                uint32_t accepted;
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                              netdev_transmit(net.netdev, 0, &frame, 1, &accepted));
                EXPECT_EQ(accepted, 0);
        }
        EXPECT_EQ(card->pairs[0].transmit.ring.added, added);
        net_close(t);
}

/* A stop gives every page back but the receive memory;
 * after a restart the card speaks as before. */
TEST(virtio_net, stop_and_restart)
{
        struct net_arp arp;
        struct net_frame frame;
        uint32_t accepted;
        const char *why = net_open(t, catch_frame);
        if (why != NULL)
                SKIP(why);
        struct virtio_net *card = virtio_net_from(net.netdev);
        uint64_t live = pmm_count_free_pages(&kernel_pmm);
        uint32_t pages = card->control_open ? (uint32_t)list_count(&card->control.pages) : 0;
        for (uint32_t i = 0; i < card->pair_count; i++)
                pages += (uint32_t)list_count(&card->pairs[i].receive.pages) +
                         (uint32_t)list_count(&card->pairs[i].transmit.pages);
        net_build_arp_request(&frame, net.netdev->mac, SLIRP_GUEST, SLIRP_ROUTER);
        EXPECT_TRUE(net_send(&frame));
        virtio_net_stop(card);
        EXPECT_EQ(pmm_count_free_pages(&kernel_pmm), live + pages);
        EXPECT_EQ(net.free_count, SEND_BUFFERS); /* the frame came back, sent or not */
        EXPECT_FALSE(net.netdev->running);
        struct netdev_frame refused = frame_of(0, 60);
        EXPECT_STATUS(ZX_ERR_BAD_STATE,
                      netdev_transmit(net.netdev, 0, &refused, 1, &accepted));
        EXPECT_EQ(netdev_poll(net.netdev, 0, POLL_BUDGET), 0);
        if (EXPECT_OK(netdev_restart(net.netdev))) {
                EXPECT_EQ(pmm_count_free_pages(&kernel_pmm), live);
                resolve_router(t, &arp);
        }
        net_close(t);
        EXPECT_EQ(netdev_counters(net.netdev)->leaked_pages, 0);
}

/* ---- on request: a device that is driven into its own fault handling ---- */

/* Polls until the card has found out and runs again:
 * one fault, one restart, and everything as before. */
static void expect_recovery(struct test *t, uint64_t faults)
{
        struct net_arp arp;
        uint64_t deadline = time_deadline_after(ANSWER_LIMIT_NS);
        while (netdev_counters(net.netdev)->faults == faults && !time_passed(deadline))
                if (netdev_poll(net.netdev, 0, POLL_BUDGET) == 0)
                        netdev_wait(net.netdev, 0, deadline);
        EXPECT_EQ(netdev_counters(net.netdev)->faults, faults + 1);
        EXPECT_TRUE(net.netdev->running);
        resolve_router(t, &arp);
        net_close(t);
}

/* The avail index runs ahead of what was added: QEMU sets DEVICE_NEEDS_RESET and interrupts (and
 * says so on its standard error, which is why this runs on request only). */
TEST_WITH(virtio_net_fault, device_asks_for_a_reset, TEST_ON_REQUEST, 0)
{
        const char *why = net_open(t, catch_frame);
        if (why != NULL)
                SKIP(why);
        struct virtio_net *card = virtio_net_from(net.netdev);
        card->pairs[0].transmit.ring.avail->index += 0x4000;
        card->device.transport->ops->notify(card->device.transport, VIRTIO_NET_TRANSMIT_QUEUE);
        expect_recovery(t, netdev_counters(net.netdev)->faults);
}

/* The used index jumps, as if the device had gone mad: found at the next poll. */
TEST_WITH(virtio_net_fault, used_index_jumps, TEST_ON_REQUEST, 0)
{
        const char *why = net_open(t, catch_frame);
        if (why != NULL)
                SKIP(why);
        virtio_net_from(net.netdev)->pairs[0].receive.ring.used->index += 0x4000;
        expect_recovery(t, netdev_counters(net.netdev)->faults);
}
