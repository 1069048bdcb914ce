/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Several queue pairs of the virtio network card: each one's interrupts come on
 * the CPU of its number. The other end is a host on a tap, which answers a flow on
 * the queue that it was asked on. */
#include "tests/expect.h"

#include <stdatomic.h>
#include <string.h>

#include "drivers/netdev/netdev.h"
#include "drivers/virtio/virtio_net.h"
#include "drivers/virtio/virtio_pci.h"
#include "kernel/aspace.h"
#include "kernel/cpu.h"
#include "kernel/time.h"
#include "tests/boot/net_frames.h"

#define HOST NET_IP(10, 0, 2, 2)
#define GUEST(queue) NET_IP(10, 0, 2, 20 + (queue))
#define BUFFER_BYTES 2048
#define ECHO_ID 0x5052
#define ECHO_BYTES 100
/* Of each question, a second each: the host may need one to learn where the flow goes. */
#define TRIES 5

static struct {
        struct netdev *netdev;
        struct vmo *vmo;
        uint32_t vmo_id, under_way;
        uint8_t host_mac[NET_MAC_BYTES];
        bool resolved;
        uint32_t echoes[NETDEV_QUEUE_PAIRS_MAX]; /* answers, by the queue that they came on */
        virtio_interrupt_fn handler;             /* the card's own */
        void *handler_context;
        _Atomic uint32_t cpus[2 * NETDEV_QUEUE_PAIRS_MAX]; /* bit n: queue interrupted on CPU n */
} queues;

/* Instead of the card's handler, on whatever CPU. */
static void note_cpu(void *context, uint32_t sources)
{
        (void)context;
        for (uint32_t queue = 0; queue < ARRAY_COUNT(queues.cpus); queue++)
                if (sources & VIRTIO_SOURCE_QUEUE(queue))
                        atomic_fetch_or(&queues.cpus[queue], 1u << cpu_current());
        queues.handler(queues.handler_context, sources);
}

static void on_receive(void *context, uint32_t queue, const struct netdev_received *frames,
                       uint32_t count)
{
        static struct net_frame frame;
        (void)context;
        for (uint32_t i = 0; i < count; i++) {
                struct net_ip ip;
                struct net_arp arp;
                struct net_echo echo;
                size_t bytes = 0;
                zx_status_t status = vmo_buffer_read(&frames[i].buffer.buffer, frame.data,
                                                     sizeof(frame.data), &bytes);
                netdev_release_frame(queues.netdev, queue, &frames[i]);
                frame.bytes = (uint32_t)bytes;
                if (status != ZX_OK)
                        continue;
                if (net_parse_arp(&frame, &arp) && arp.operation == NET_ARP_REPLY) {
                        memcpy(queues.host_mac, arp.sender_mac, sizeof(queues.host_mac));
                        queues.resolved = true;
                } else if (net_parse_ip(&frame, &ip) && net_parse_echo(&ip, &echo) &&
                           echo.type == NET_ICMP_ECHO_REPLY && echo.id == ECHO_ID) {
                        queues.echoes[queue]++;
                }
        }
}

static void on_transmit_done(void *context, uint32_t queue, const uint32_t *ids, uint32_t count,
                             zx_status_t status)
{
        (void)context, (void)queue, (void)ids, (void)status;
        queues.under_way -= count;
}

static void send(struct test *t, uint32_t queue, const struct net_frame *frame)
{
        uint32_t accepted;
        struct netdev_frame out = {0};
        struct vmo_region region = {(uint8_t)queues.vmo_id, queue * BUFFER_BYTES, frame->bytes};
        struct tx_request request = {.id = queue, .regions = &region, .region_count = 1};
        REQUIRE_OK(vmo_write(queues.vmo, frame->data, queue * BUFFER_BYTES, frame->bytes));
        REQUIRE_OK(vmo_store_make_tx_buffer(&queues.netdev->store, &request, false, &out.buffer));
        queues.under_way++;
        REQUIRE_OK(netdev_transmit(queues.netdev, queue, &out, 1, &accepted));
}

/* Sleeps for `queue`, and looks at all of them. */
static void poll_all(uint32_t queue, uint64_t deadline)
{
        netdev_wait(queues.netdev, queue, deadline);
        for (uint32_t i = 0; i < queues.netdev->queue_pairs; i++)
                netdev_poll(queues.netdev, i, 64);
}

static void talk_on(struct test *t, uint32_t queue)
{
        struct net_frame frame;
        queues.resolved = false;
        for (uint32_t try = 0; try < TRIES && !queues.resolved && !test_has_failed(t); try++) {
                uint64_t moment = time_deadline_after(NS_PER_SECOND);
                net_build_arp_request(&frame, queues.netdev->mac, GUEST(queue), HOST);
                send(t, queue, &frame);
                while ((!queues.resolved || queues.under_way != 0) && !time_passed(moment))
                        poll_all(queue, time_deadline_after(NS_PER_MS));
        }
        REQUIRE_TRUE(queues.resolved);
        for (uint16_t try = 0; try < TRIES && !test_has_failed(t); try++) {
                uint32_t before = queues.echoes[queue];
                uint64_t moment = time_deadline_after(NS_PER_SECOND);
                net_put_ethernet(&frame, queues.host_mac, queues.netdev->mac, NET_ETHERTYPE_IPV4);
                net_put_ip(&frame, NET_PROTOCOL_ICMP, GUEST(queue), HOST, 8 + ECHO_BYTES);
                net_put_echo_request(&frame, ECHO_ID, try, ECHO_BYTES);
                send(t, queue, &frame);
                while ((queues.echoes[queue] == before || queues.under_way != 0) &&
                       !time_passed(moment))
                        poll_all(queue, moment);
        }
        EXPECT_GT(queues.echoes[queue], 0);
}

static void talk_on_all(struct test *t, struct virtio_net *card)
{
        for (uint32_t queue = 0; queue < queues.netdev->queue_pairs; queue++)
                talk_on(t, queue);
        for (uint32_t queue = 0; queue < 2 * queues.netdev->queue_pairs; queue++) {
                uint32_t cpus = atomic_load(&queues.cpus[queue]),
                         own = 1u << queue / 2 % cpu_count();
                EXPECT_EQ(cpus & ~own, 0);
                if (queue % 2 == VIRTIO_NET_RECEIVE_QUEUE)
                        EXPECT_EQ(cpus, own);
        }
        EXPECT_EQ(card->pair_count, queues.netdev->queue_pairs);
}

TEST(virtio_net_queues, interrupts_come_on_their_cpus)
{
        static struct netdev_client client = {.receive = on_receive,
                                              .transmit_done = on_transmit_done};
        memset(&queues, 0, sizeof(queues));
        if (netdev_count() == 0)
                SKIP("this machine has no network card");
        queues.netdev = netdev_at(0);
        struct virtio_net *card = virtio_net_from(queues.netdev);
        if (card->device.transport->interrupt_mode != VIRTIO_INTERRUPTS_PER_QUEUE ||
            queues.netdev->capabilities.queue_pairs < 2 || cpu_count() < 2)
                SKIP("needs two queue pairs with vectors of their own, and two CPUs");
        struct virtio_pci *pci = CONTAINER_OF(card->device.transport, struct virtio_pci, transport);
        client.queue_pairs = queues.netdev->capabilities.queue_pairs;
        REQUIRE_OK(vmo_create(aspace_vmo_pool(), NETDEV_QUEUE_PAIRS_MAX * BUFFER_BYTES, 0,
                              &queues.vmo));
        EXPECT_OK(netdev_register_vmo(queues.netdev, queues.vmo, &queues.vmo_id));
        if (EXPECT_OK(netdev_attach(queues.netdev, &client))) {
                queues.handler = pci->handler;
                queues.handler_context = pci->handler_context;
                pci->handler = note_cpu;
                talk_on_all(t, card);
                pci->handler = queues.handler;
                EXPECT_EQ(queues.under_way, 0);
                EXPECT_OK(netdev_detach(queues.netdev));
        }
        vmo_put(queues.vmo);
}
