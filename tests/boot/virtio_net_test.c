/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The virtio network card of this machine, in conversation with whoever is at its other end: by
 * default QEMU's user network, which answers DHCP, ARP and ICMP echo as 10.0.2.2. Nothing here is
 * simulated. */
#include "tests/expect.h"

#include <string.h>

#include "drivers/netdev/netdev.h"
#include "drivers/virtio/virtio_net.h"
#include "kernel/aspace.h"
#include "kernel/cmdline.h"
#include "kernel/memory.h"
#include "kernel/time.h"
#include "tests/boot/net_frames.h"

static char peer[16] = "user";
CMDLINE_STRING(peer, "net.peer",
               "who is at the other end of the network card: user (QEMU's) or none");

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

static void on_receive(void *context, uint32_t queue, const struct netdev_received *frames,
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

static void on_transmit_done(void *context, uint32_t queue, const uint32_t *ids, uint32_t count,
                             zx_status_t status)
{
        (void)context;
        (void)queue;
        for (uint32_t i = 0; i < count; i++)
                net.free[net.free_count++] = ids[i];
        *(status == ZX_OK ? &net.sent : &net.taken_back) += count;
}

/* Attaches to the first virtio card. Returns NULL, or why the test cannot run. */
static const char *net_open(struct test *t, void (*receive)(const struct net_frame *frame))
{
        static const struct netdev_client client = {.receive = on_receive,
                                                    .transmit_done = on_transmit_done};
        memset(&net, 0, sizeof(net));
        net.t = t;
        if (strcmp(peer, "user") != 0)
                return "net.peer says that nobody answers";
        for (size_t i = netdev_count(); i > 0; i--)
                if (virtio_net_is(netdev_at(i - 1)))
                        net.netdev = netdev_at(i - 1);
        if (net.netdev == NULL)
                return "this machine has no virtio network card";
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
static void net_close(struct test *t)
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
static struct netdev_frame frame_of(uint32_t buffer, uint32_t bytes)
{
        struct test *t = net.t;
        struct netdev_frame frame = {0};
        struct vmo_region region = {(uint8_t)net.vmo_id, buffer * SEND_BUFFER_BYTES, bytes};
        struct tx_request request = {.id = buffer, .regions = &region, .region_count = 1};
        EXPECT_OK(vmo_store_make_tx_buffer(&net.netdev->store, &request, false, &frame.buffer));
        return frame;
}

/* Sends a frame; false (nothing changed): the card or our buffers are full. */
static bool net_send(const struct net_frame *frame)
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
static void catch_frame(const struct net_frame *frame)
{
        if (net.caught_count < CAUGHT_MAX)
                net.caught[net.caught_count++] = *frame;
}

/* Polls until something was caught that `wanted` takes; NULL when nothing came in time. */
static const struct net_frame *net_await(bool (*wanted)(const struct net_frame *frame))
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

/* ---- DHCP ---- */

static uint32_t dhcp_id;

static bool is_dhcp_offer(const struct net_frame *frame)
{
        struct net_ip ip;
        struct net_dhcp dhcp;
        return net_parse_ip(frame, &ip) && net_parse_dhcp(&ip, &dhcp) && dhcp.id == dhcp_id &&
               dhcp.type == NET_DHCP_OFFER;
}

TEST(virtio_net, dhcp_offer)
{
        struct net_frame frame;
        struct net_ip ip;
        struct net_dhcp offer;
        const char *why = net_open(t, catch_frame);
        if (why != NULL)
                SKIP(why);
        dhcp_id = (uint32_t)time_ns() | 1;
        net_build_dhcp_discover(&frame, net.netdev->mac, dhcp_id);
        EXPECT_TRUE(net_send(&frame));
        const struct net_frame *answer = net_await(is_dhcp_offer);
        if (EXPECT_TRUE(answer != NULL) && net_parse_ip(answer, &ip) &&
            net_parse_dhcp(&ip, &offer)) {
                EXPECT_EQ(offer.operation, 2);
                EXPECT_BYTES_EQ(offer.client_mac, net.netdev->mac, NET_MAC_BYTES);
                EXPECT_EQ(ip.from, offer.server_ip);
                EXPECT_NE(offer.server_ip, 0);
                EXPECT_NE(offer.offered_ip, 0);
                EXPECT_NE(offer.offered_ip, NET_IP_BROADCAST);
                if (offer.server_ip == SLIRP_ROUTER) {
                        EXPECT_EQ(offer.offered_ip & SLIRP_MASK, SLIRP_NETWORK);
                        EXPECT_GE(offer.offered_ip, SLIRP_GUEST);
                        EXPECT_EQ(offer.mask, SLIRP_MASK);
                        EXPECT_EQ(offer.router_ip, SLIRP_ROUTER);
                }
                test_log(t, "offered %u.%u.%u.%u by %u.%u.%u.%u", offer.offered_ip >> 24,
                         offer.offered_ip >> 16 & 255, offer.offered_ip >> 8 & 255,
                         offer.offered_ip & 255, offer.server_ip >> 24, offer.server_ip >> 16 & 255,
                         offer.server_ip >> 8 & 255, offer.server_ip & 255);
        }
        net_close(t);
}

/* ---- ARP ---- */

static bool is_arp_reply(const struct net_frame *frame)
{
        struct net_arp arp;
        return net_parse_arp(frame, &arp) && arp.operation == NET_ARP_REPLY;
}

/* Asks who has the router's address; the answer's fields are checked. */
static bool resolve_router(struct test *t, struct net_arp *arp)
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

TEST(virtio_net, arp_of_the_router)
{
        struct net_arp arp;
        const char *why = net_open(t, catch_frame);
        if (why != NULL)
                SKIP(why);
        resolve_router(t, &arp);
        net_close(t);
}

/* ---- ICMP ---- */

#define ECHO_ID 0x5041

static bool is_echo_reply(const struct net_frame *frame)
{
        struct net_ip ip;
        struct net_echo echo;
        return net_parse_ip(frame, &ip) && net_parse_echo(&ip, &echo) &&
               echo.type == NET_ICMP_ECHO_REPLY && echo.id == ECHO_ID;
}

/* One echo of `data_bytes` to the router, all of which must come back. */
static void expect_echo(struct test *t, const struct net_arp *router, uint16_t sequence,
                        uint32_t data_bytes)
{
        struct net_frame frame;
        struct net_ip ip;
        struct net_echo echo;
        net_put_ethernet(&frame, router->sender_mac, net.netdev->mac, NET_ETHERTYPE_IPV4);
        net_put_ip(&frame, NET_PROTOCOL_ICMP, SLIRP_GUEST, SLIRP_ROUTER, 8 + data_bytes);
        net_put_echo_request(&frame, ECHO_ID, sequence, data_bytes);
        net_pad(&frame, NET_FRAME_BYTES_MIN);
        EXPECT_TRUE(net_send(&frame));
        const struct net_frame *answer = net_await(is_echo_reply);
        REQUIRE_TRUE(answer != NULL);
        REQUIRE_TRUE(net_parse_ip(answer, &ip) && net_parse_echo(&ip, &echo));
        EXPECT_EQ(ip.from, SLIRP_ROUTER);
        EXPECT_EQ(ip.to, SLIRP_GUEST);
        EXPECT_EQ(echo.sequence, sequence);
        REQUIRE_EQ(echo.data_bytes, data_bytes);
        for (uint32_t i = 0; i < data_bytes; i++)
                REQUIRE_EQ(echo.data[i], (uint8_t)(sequence + i));
}

/* From the shortest to the longest frame of this MTU: 28 bytes go to IP and ICMP. */
TEST(virtio_net, icmp_echo_of_all_lengths)
{
        struct net_arp router;
        const char *why = net_open(t, catch_frame);
        if (why != NULL)
                SKIP(why);
        uint32_t longest = (uint32_t)min_u64(net.netdev->mtu, NETDEV_MTU_DEFAULT) - 28;
        const uint32_t lengths[] = {0, 1, 2, 17, 18, 19, 511, longest - 1, longest};
        if (resolve_router(t, &router))
                for (uint16_t i = 0; i < ARRAY_COUNT(lengths) && !test_has_failed(t); i++)
                        expect_echo(t, &router, i, lengths[i]);
        net_close(t);
}

/* ---- bursts ---- */

#define BURST_MAX 520
#define BURST_IP(i) NET_IP(10, 0, 64 + (i) / 200, 1 + (i) % 200)

static uint8_t burst_answers[BURST_MAX];
static uint32_t burst_answered;

static void count_answer(const struct net_frame *frame)
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
static void run_burst(struct test *t, uint32_t count)
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

TEST(virtio_net, burst_of_100)
{
        const char *why = net_open(t, count_answer);
        if (why != NULL)
                SKIP(why);
        run_burst(t, 100);
        net_close(t);
}

/* More than any ring here has entries, so that every index wraps its ring. */
TEST(virtio_net, burst_of_520_wraps_the_rings)
{
        const char *why = net_open(t, count_answer);
        if (why != NULL)
                SKIP(why);
        const struct virtio_net *card = virtio_net_from(net.netdev);
        uint64_t received = card->pairs[0].receive.ring.taken, sent = card->pairs[0].transmit.ring.taken;
        run_burst(t, BURST_MAX);
        EXPECT_GE(card->pairs[0].receive.ring.taken - received, BURST_MAX);
        EXPECT_GT(card->pairs[0].receive.ring.taken, card->pairs[0].receive.ring.size);
        net_close(t);
        EXPECT_EQ(card->pairs[0].transmit.ring.taken - sent, BURST_MAX);
        EXPECT_EQ(net.sent, BURST_MAX);
}

/* ---- interrupts ---- */

/* An answer is noticed without a single poll: only the interrupt handler can have made it pending.
 * */
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

/* A stop gives every page back but the receive memory; after a restart the card speaks as
 * before. */
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
        uint32_t pages = (uint32_t)list_count(&card->pairs[0].receive.pages) +
                         (uint32_t)list_count(&card->pairs[0].transmit.pages) +
                         (uint32_t)list_count(&card->control.pages);
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

/* Polls until the card has found out and runs again: one fault, one restart, and everything as
 * before. */
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
