/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* net_client — the client that network tests are: a card's frames in, a card's frames out, and the
 * few questions that every network here answers. By default that is QEMU's user network, or what
 * vmbus-host plays, both as 10.0.2.2. Nothing here is simulated. */
#ifndef TESTS_BOOT_NET_CLIENT_H
#define TESTS_BOOT_NET_CLIENT_H

#include "tests/expect.h"

#include <string.h>

#include "drivers/netdev/netdev.h"
#include "kernel/aspace.h"
#include "kernel/time.h"
#include "tests/boot/net_frames.h"

extern char net_peer[16]; /* net_card_test.c */

#define ANSWER_LIMIT_NS (3 * NS_PER_SECOND)
#define BURST_LIMIT_NS (6 * NS_PER_SECOND)
#define POLL_BUDGET 64
#define SEND_BUFFERS 64
#define SEND_BUFFER_BYTES 2048
#define CAUGHT_MAX 8

/* QEMU's user network as documented: network 10.0.2.0/24, host and router .2, DHCP from .15. */
#define SLIRP_ROUTER NET_IP(10, 0, 2, 2)
#define SLIRP_GUEST NET_IP(10, 0, 2, 15)
#define SLIRP_NETWORK NET_IP(10, 0, 2, 0)
#define SLIRP_MASK NET_IP(255, 255, 255, 0)

/* What the tests see of the card. */
static struct {
        struct test *t;
        struct netdev *netdev;
        struct vmo *vmo; /* SEND_BUFFERS of them */
        uint32_t vmo_id;
        uint32_t free[SEND_BUFFERS], free_count;
        uint32_t sent, taken_back;
        void (*receive)(const struct net_frame *frame);
        struct net_frame current; /* a private copy of the frame that was just received */
        struct net_frame caught[CAUGHT_MAX];
        uint32_t caught_count;
} net;

static inline void on_receive(void *context, uint32_t queue, const struct netdev_received *frames,
                       uint32_t count)
{
        (void)context;
        for (uint32_t i = 0; i < count; i++) {
                size_t bytes = 0;
                /* A copy, since the device could still write to it. */
                zx_status_t status = vmo_buffer_read(&frames[i].buffer.buffer, net.current.data,
                                                     sizeof(net.current.data), &bytes);
                netdev_release_frame(net.netdev, queue, &frames[i]);
                net.current.bytes = (uint32_t)bytes;
                if (status == ZX_OK && net.receive != NULL)
                        net.receive(&net.current);
        }
}

static inline void on_transmit_done(void *context, uint32_t queue, const uint32_t *ids,
                                    uint32_t count, zx_status_t status)
{
        (void)context;
        (void)queue;
        for (uint32_t i = 0; i < count; i++)
                net.free[net.free_count++] = ids[i];
        *(status == ZX_OK ? &net.sent : &net.taken_back) += count;
}

/* Attaches to the first card that `wanted` takes (NULL: any). Returns
 * NULL, or why the test cannot run. */
static inline const char *net_open_card(struct test *t, bool (*wanted)(const struct netdev *netdev),
                                        void (*receive)(const struct net_frame *frame))
{
        static const struct netdev_client client = {.receive = on_receive,
                                                    .transmit_done = on_transmit_done};
        memset(&net, 0, sizeof(net));
        net.t = t;
        if (strcmp(net_peer, "user") != 0 && strcmp(net_peer, "host") != 0)
                return "net.peer says that nobody answers";
        for (size_t i = netdev_count(); i > 0; i--)
                if (wanted == NULL || wanted(netdev_at(i - 1)))
                        net.netdev = netdev_at(i - 1);
        if (net.netdev == NULL)
                return "this machine has no such network card";
        net.receive = receive;
        for (uint32_t i = 0; i < SEND_BUFFERS; i++)
                net.free[net.free_count++] = i;
        if (!EXPECT_OK(vmo_create(aspace_vmo_pool(), SEND_BUFFERS * SEND_BUFFER_BYTES, 0,
                                  &net.vmo)))
                return "no memory";
        EXPECT_TRUE(net.netdev->running);
        EXPECT_TRUE(net.netdev->link_up);
        EXPECT_OK(netdev_register_vmo(net.netdev, net.vmo, &net.vmo_id));
        EXPECT_OK(netdev_attach(net.netdev, &client));
        return NULL;
}

/* Waits until the device has let go of every buffer: their pages end with the test. */
static inline void net_close(struct test *t)
{
        uint64_t deadline = time_deadline_after(ANSWER_LIMIT_NS);
        while (net.free_count < SEND_BUFFERS && net.netdev->running && !time_passed(deadline))
                if (netdev_poll(net.netdev, 0, POLL_BUDGET) == 0)
                        netdev_wait(net.netdev, 0, deadline);
        if (!EXPECT_EQ(net.free_count, SEND_BUFFERS)) /* then a reset is the only way to get them */
                EXPECT_OK(netdev_restart(net.netdev));
        EXPECT_EQ(netdev_receive_held(net.netdev), 0);
        EXPECT_OK(netdev_detach(net.netdev)); /* and its VMO with it */
        vmo_put(net.vmo);
}

/* The frame that send buffer `buffer` is. */
static inline struct netdev_frame frame_of(uint32_t buffer, uint32_t bytes)
{
        struct test *t = net.t;
        struct netdev_frame frame = {0};
        struct vmo_region region = {(uint8_t)net.vmo_id, buffer * SEND_BUFFER_BYTES, bytes};
        struct tx_request request = {.id = buffer, .regions = &region, .region_count = 1};
        EXPECT_OK(vmo_store_make_tx_buffer(&net.netdev->store, &request, false, &frame.buffer));
        return frame;
}

/* Sends a frame; false (nothing changed): the card or our buffers are full. */
static inline bool net_send(const struct net_frame *frame)
{
        struct test *t = net.t;
        uint32_t accepted, buffer;
        if (net.free_count == 0)
                return false;
        buffer = net.free[net.free_count - 1];
        EXPECT_OK(vmo_write(net.vmo, frame->data, buffer * SEND_BUFFER_BYTES, frame->bytes));
        struct netdev_frame out = frame_of(buffer, frame->bytes);
        zx_status_t status = netdev_transmit(net.netdev, 0, &out, 1, &accepted);
        if (status == ZX_ERR_SHOULD_WAIT)
                return false;
        EXPECT_OK(status);
        net.free_count -= accepted;
        return accepted == 1;
}

/* Keeps the frames that it is called for. */
static inline void catch_frame(const struct net_frame *frame)
{
        if (net.caught_count < CAUGHT_MAX)
                net.caught[net.caught_count++] = *frame;
}

/* Polls until something was caught that `wanted` takes; NULL when nothing came in time. */
static inline const struct net_frame *net_await(bool (*wanted)(const struct net_frame *frame))
{
        uint64_t deadline = time_deadline_after(ANSWER_LIMIT_NS);
        while (!time_passed(deadline)) {
                net.caught_count = 0;
                uint32_t done = netdev_poll(net.netdev, 0, CAUGHT_MAX);
                for (uint32_t i = 0; i < net.caught_count; i++)
                        if (wanted(&net.caught[i]))
                                return &net.caught[i];
                if (done == 0)
                        netdev_wait(net.netdev, 0, deadline);
        }
        return NULL;
}

/* ---- ARP ---- */

static inline bool is_arp_reply(const struct net_frame *frame)
{
        struct net_arp arp;
        return net_parse_arp(frame, &arp) && arp.operation == NET_ARP_REPLY;
}

/* Asks who has the router's address; the answer's fields are checked. */
static inline bool resolve_router(struct test *t, struct net_arp *arp)
{
        struct net_frame frame;
        net_build_arp_request(&frame, net.netdev->mac, SLIRP_GUEST, SLIRP_ROUTER);
        EXPECT_TRUE(net_send(&frame));
        const struct net_frame *answer = net_await(is_arp_reply);
        if (!EXPECT_TRUE(answer != NULL) || !net_parse_arp(answer, arp))
                return false;
        return EXPECT_EQ(arp->sender_ip, SLIRP_ROUTER) & EXPECT_EQ(arp->target_ip, SLIRP_GUEST) &
               EXPECT_BYTES_EQ(arp->target_mac, net.netdev->mac, NET_MAC_BYTES) &
               EXPECT_BYTES_EQ(answer->data, net.netdev->mac, NET_MAC_BYTES) &
               EXPECT_BYTES_EQ(answer->data + NET_MAC_BYTES, arp->sender_mac, NET_MAC_BYTES) &
               EXPECT_FALSE(arp->sender_mac[0] & 1); /* no group address */
}

/* ---- bursts ---- */

#define BURST_MAX 520
#define BURST_IP(i) NET_IP(10, 0, 64 + (i) / 200, 1 + (i) % 200)

static uint8_t burst_answers[BURST_MAX];
static uint32_t burst_answered;

static inline void count_answer(const struct net_frame *frame)
{
        struct net_arp arp;
        if (!is_arp_reply(frame) || !net_parse_arp(frame, &arp) || arp.sender_ip != SLIRP_ROUTER)
                return;
        for (uint32_t i = 0; i < BURST_MAX; i++)
                if (arp.target_ip == BURST_IP(i)) {
                        burst_answers[i]++;
                        burst_answered++;
                }
}

/* `count` requests, each from an address of its own so that each answer says which one it is for,
 * sent as fast as the card takes them; each must be answered exactly once. */
static inline void run_burst(struct test *t, uint32_t count)
{
        struct net_frame frame;
        uint64_t deadline = time_deadline_after(BURST_LIMIT_NS);
        uint32_t asked = 0;
        memset(burst_answers, 0, sizeof(burst_answers));
        burst_answered = 0;
        while (burst_answered < count && !time_passed(deadline) && !test_has_failed(t)) {
                while (asked < count) {
                        net_build_arp_request(&frame, net.netdev->mac, BURST_IP(asked),
                                              SLIRP_ROUTER);
                        if (!net_send(&frame))
                                break;
                        asked++;
                }
                if (netdev_poll(net.netdev, 0, POLL_BUDGET) == 0)
                        netdev_wait(net.netdev, 0, deadline);
        }
        EXPECT_EQ(burst_answered, count);
        for (uint32_t i = 0; i < count; i++)
                if (!EXPECT_EQ(burst_answers[i], 1))
                        break;
}


#endif
