/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Interrupts and polling of a virtio network card: masked while a queue pair is drained, asked for
 * again when it is empty. Facts: Virtio 1.3, 2.7.10 (suppression), 5.1.6. */
#include "drivers/virtio/virtio_net.h"

#include "base/bytes.h"

/* Interrupts between two polls after which the device is taken to have gone mad, masked, and polled
 * from then on. An honest one interrupts once or twice between two polls:
 * it is asked for each interrupt. */
#define STORM_INTERRUPTS 100000

/* A watchdog for cards whose configuration interrupt does not come: every so many idle polls the
 * status is read. */
#define IDLE_POLLS_BEFORE_STATUS 256

#define QUEUE_SOURCES ((uint32_t)BIT_MASK(VIRTIO_QUEUES_MAX) - 1)

/* The queue pairs that sources of interrupts belong to, the configuration to the first. */
static uint32_t pairs_of(uint32_t sources)
{
        uint32_t pairs = (sources & VIRTIO_SOURCE_CONFIG) != 0;
        for (uint32_t left = sources & QUEUE_SOURCES; left != 0; left &= left - 1)
                pairs |= 1u << __builtin_ctz(left) / 2;
        return pairs & ((1u << NETDEV_QUEUE_PAIRS_MAX) - 1);
}

void virtio_net_on_interrupt(void *context, uint32_t sources)
{
        struct virtio_net *net = context;
        atomic_fetch_add(&net->interrupts, 1);
        atomic_fetch_or(&net->sources, sources);
        netdev_wake(&net->netdev, pairs_of(sources));
        if (atomic_fetch_add(&net->interrupts_since_poll, 1) >= STORM_INTERRUPTS) {
                atomic_store(&net->storm, true);
                net->device.transport->ops->interrupts_mask(net->device.transport);
        }
}

/* ---- polling ---- */

static void look_at_status(struct virtio_net *net)
{
        uint16_t bits;
        if (virtio_device_needs_reset(&net->device)) {
                virtio_net_fault(net, NULL);
                return;
        }
        if (!virtio_device_has(&net->device, VIRTIO_NET_F_STATUS) ||
            virtio_device_config_read(&net->device, VIRTIO_NET_CONFIG_STATUS, &bits, sizeof(bits),
                                      sizeof(bits)) != ZX_OK)
                return;
        netdev_set_link(&net->netdev, (bits & BIT_MASK(VIRTIO_NET_LINK_UP_BIT)) != 0);
        if ((bits & BIT_MASK(VIRTIO_NET_ANNOUNCE_BIT)) &&
            virtio_device_has(&net->device, VIRTIO_NET_F_GUEST_ANNOUNCE)) {
                netdev_announce(&net->netdev);
                virtio_net_acknowledge_announce(net);
        }
}

static uint32_t sources_of(uint32_t queue)
{
        uint32_t bits = VIRTIO_SOURCE_QUEUE(2 * queue + VIRTIO_NET_RECEIVE_QUEUE) |
                        VIRTIO_SOURCE_QUEUE(2 * queue + VIRTIO_NET_TRANSMIT_QUEUE);
        return queue == 0 ? bits | VIRTIO_SOURCE_CONFIG : bits;
}

/* Asks for the next interrupts; what came in the meantime is noted as if it had interrupted. */
static void arm(struct virtio_net *net, uint32_t queue)
{
        struct virtio_net_pair *pair = &net->pairs[queue];
        /* Sent frames can wait until three quarters of them are through. */
        uint32_t in_flight = virtqueue_driver_in_flight(&pair->transmit.ring);
        uint32_t enough = in_flight - in_flight / 4;
        pair->armed = true;
        if (virtqueue_driver_ask(&pair->receive.ring, 1) ||
            (in_flight != 0 && virtqueue_driver_ask(&pair->transmit.ring, enough)))
                pair->armed = false;
        else
                virtio_queue_wake(&pair->transmit);
}

static void disarm(struct virtio_net_pair *pair)
{
        pair->armed = false;
        if (!pair->receive.ring.muted)
                virtqueue_driver_mute(&pair->receive.ring);
        if (!pair->transmit.ring.muted)
                virtqueue_driver_mute(&pair->transmit.ring);
}

/* Masked while it drains; only a queue pair that was found empty asks for interrupts again, and
 * looks once more after that. */
uint32_t virtio_net_poll(struct netdev *netdev, uint32_t queue, uint32_t budget)
{
        struct virtio_net *net = virtio_net_from(netdev);
        struct virtio_net_pair *pair = &net->pairs[queue];
        struct netdev_queue_counters *counters = &netdev->queues[queue].counters;
        uint32_t sources = atomic_fetch_and(&net->sources, ~sources_of(queue)) & sources_of(queue);
        atomic_store(&net->interrupts_since_poll, 0);
        disarm(pair);

        uint32_t sent = virtio_net_reap(net, queue, budget), received = 0;
        if (netdev->running)
                received = virtio_net_receive(net, queue, budget);
        if (sent + received == 0) {
                pair->idle_polls++;
                counters->interrupts_idle += sources != 0 && !(sources & VIRTIO_SOURCE_CONFIG);
        }
        counters->receive_starved += virtqueue_driver_in_flight(&pair->receive.ring) == 0;
        if (netdev->running && queue == 0 &&
            ((sources & VIRTIO_SOURCE_CONFIG) || pair->idle_polls >= IDLE_POLLS_BEFORE_STATUS)) {
                pair->idle_polls = 0;
                look_at_status(net);
        }
        if (netdev->running && sent < budget && received < budget)
                arm(net, queue);
        if (net->broken && netdev->queue_pairs == 1)
                virtio_net_recover(net);
        return sent + received;
}

bool virtio_net_pending(struct netdev *netdev, uint32_t queue)
{
        struct virtio_net *net = virtio_net_from(netdev);
        return !netdev->running || !net->pairs[queue].armed ||
               (atomic_load(&net->sources) & sources_of(queue)) != 0;
}

void virtio_net_update_counters(struct netdev *netdev)
{
        struct virtio_net *net = virtio_net_from(netdev);
        netdev->counters.interrupts = atomic_load(&net->interrupts);
        for (uint32_t i = 0; i < net->pair_count; i++) {
                struct virtio_net_pair *pair = &net->pairs[i];
                uint64_t kicks = pair->receive.kicks + pair->transmit.kicks;
                netdev->queues[i].counters.notifications += kicks - pair->kicks_counted;
                pair->kicks_counted = kicks;
        }
        netdev->polled = atomic_load(&net->storm) ||
                         net->device.transport->interrupt_mode == VIRTIO_INTERRUPTS_NONE;
}
