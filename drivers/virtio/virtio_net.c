/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A virtio network card from its birth to its end; the frames' way is in virtio_net_data.c.
 * Facts: Virtio 1.3, 5.1.3 (features), 5.1.4 (configuration), 5.1.5 (initialisation). */
#include "drivers/virtio/virtio_net.h"

#include <stdio.h>

#include "base/bytes.h"
#include "kernel/log.h"
#include "kernel/memory.h"

/* Interrupts between two polls after which the device is taken to have gone mad, masked, and polled
 * from then on. An honest one interrupts once or twice between two polls: it is asked for each
 * interrupt. */
#define STORM_INTERRUPTS 100000

#define MAC_MULTICAST_BIT 0 /* of the first byte */
#define MAC_LOCAL_BIT 1
#define VLAN_TAG_BYTES 4

static void on_interrupt(void *context, uint32_t sources)
{
        struct virtio_net *net = context;
        atomic_fetch_add(&net->interrupts, 1);
        atomic_fetch_or(&net->sources, sources);
        if (atomic_fetch_add(&net->interrupts_since_poll, 1) >= STORM_INTERRUPTS) {
                atomic_store(&net->storm, true);
                net->device.transport->ops->interrupts_mask(net->device.transport);
        }
}

/* ---- configuration ---- */

/* The largest MTU whose frames, with VLAN tag and header, fit a page. */
static uint32_t mtu_max(void)
{
        return PAGE_BYTES - sizeof(struct virtio_net_header) - NETDEV_HEADER_BYTES - VLAN_TAG_BYTES;
}

/* An MTU that a page does not hold, or that no network has, is left alone, and the default stays.
 * */
static uint64_t refused_features(struct virtio_device *device)
{
        uint16_t mtu;
        if (!(device->offered & BIT_MASK(VIRTIO_NET_F_MTU)))
                return 0;
        zx_status_t status = virtio_device_config_read(device, VIRTIO_NET_CONFIG_MTU, &mtu,
                                                       sizeof(mtu), sizeof(mtu));
        return status == ZX_OK && mtu >= NETDEV_MTU_MIN && mtu <= mtu_max() ?
                       0 : BIT_MASK(VIRTIO_NET_F_MTU);
}

static const struct virtio_wishes wishes = {
        .wanted = BIT_MASK(VIRTIO_F_EVENT_IDX) | BIT_MASK(VIRTIO_F_ACCESS_PLATFORM) |
                  BIT_MASK(VIRTIO_F_ORDER_PLATFORM) | BIT_MASK(VIRTIO_NET_F_MAC) |
                  BIT_MASK(VIRTIO_NET_F_STATUS) | BIT_MASK(VIRTIO_NET_F_MTU),
        .refused = refused_features,
        .rules = virtio_net_feature_rules,
        .rule_count = VIRTIO_NET_FEATURE_RULES,
};

/* Without an address of the device's: a locally administered one, from where the card's memory
 * lies. */
static void invent_mac(struct virtio_net *net)
{
        uint64_t seed = (uintptr_t)net >> 4;
        net->netdev.mac[0] = BIT_MASK(MAC_LOCAL_BIT);
        for (size_t i = 1; i < NETDEV_MAC_BYTES; i++, seed >>= 8)
                net->netdev.mac[i] = (uint8_t)seed;
}

static zx_status_t read_configuration(struct virtio_net *net)
{
        struct virtio_device *device = &net->device;
        struct netdev *netdev = &net->netdev;
        zx_status_t status = ZX_OK;
        uint16_t link = BIT_MASK(VIRTIO_NET_LINK_UP_BIT), mtu = NETDEV_MTU_DEFAULT;
        if (virtio_device_has(device, VIRTIO_NET_F_MAC))
                status = virtio_device_config_read(device, VIRTIO_NET_CONFIG_MAC, netdev->mac,
                                                   NETDEV_MAC_BYTES, 1);
        else
                invent_mac(net);
        if (status == ZX_OK && virtio_device_has(device, VIRTIO_NET_F_STATUS))
                status = virtio_device_config_read(device, VIRTIO_NET_CONFIG_STATUS, &link,
                                                   sizeof(link), sizeof(link));
        if (status == ZX_OK && virtio_device_has(device, VIRTIO_NET_F_MTU))
                status = virtio_device_config_read(device, VIRTIO_NET_CONFIG_MTU, &mtu, sizeof(mtu),
                                                   sizeof(mtu));
        if (status != ZX_OK)
                return status;
        /* Read a second time since it was judged: it is judged again. */
        if (mtu < NETDEV_MTU_MIN || mtu > mtu_max() ||
            (netdev->mac[0] & BIT_MASK(MAC_MULTICAST_BIT)))
                return ZX_ERR_IO_DATA_INTEGRITY;
        netdev->mtu = mtu;
        netdev->link_up = (link & BIT_MASK(VIRTIO_NET_LINK_UP_BIT)) != 0;
        net->receive_limit_bytes = netdev->mtu + NETDEV_HEADER_BYTES + VLAN_TAG_BYTES;
        return ZX_OK;
}

/* ---- the end ---- */

/* Takes every buffer out of the queues. Only when the device has let go of them. */
static void release_buffers(struct virtio_net *net)
{
        void *cookie;
        while (virtqueue_driver_take_unused(&net->receive.ring, &cookie))
                pmm_free_page(&kernel_pmm, cookie);
        while (virtqueue_driver_take_unused(&net->transmit.ring, &cookie))
                if (net->netdev.client.transmit_done != NULL)
                        net->netdev.client.transmit_done(net->netdev.client.context, cookie, false);
}

/* Frees what the queues hold, or leaves it to a device that does not let go. */
static void free_memory(struct virtio_net *net, bool device_let_go)
{
        struct netdev_counters *counters = &net->netdev.counters;
        if (device_let_go) {
                release_buffers(net);
                virtio_queue_close(&net->receive);
                virtio_queue_close(&net->transmit);
                if (net->transmit_header_page != NULL)
                        pmm_free_page(&kernel_pmm,
                                      pmm_page_from_va(&kernel_pmm, net->transmit_header_page));
        } else {
                counters->leaked_pages += virtqueue_driver_in_flight(&net->receive.ring) + 1;
                counters->leaked_pages += virtio_queue_abandon(&net->receive);
                counters->leaked_pages += virtio_queue_abandon(&net->transmit);
        }
        net->transmit_header_page = NULL;
}

void virtio_net_stop(struct virtio_net *net)
{
        struct virtio_transport *transport = net->device.transport;
        if (net->transmit_header_page == NULL)
                return; /* stopped already */
        net->netdev.running = false;
        net->netdev.link_up = false;
        net->kicks_before += net->receive.kicks + net->transmit.kicks;
        zx_status_t status = virtio_device_reset(&net->device);
        transport->ops->interrupts_close(transport);
        if (status != ZX_OK)
                log_line("virtio-net: %s: the device does not answer to a reset; "
                         "its memory stays with it",
                         net->netdev.name);
        free_memory(net, status == ZX_OK);
}

void virtio_net_fault(struct virtio_net *net, const struct virtio_queue *queue)
{
        net->netdev.counters.faults++;
        if (queue == NULL)
                log_line("virtio-net: %s: the device asks for a reset, or is gone; stopped",
                         net->netdev.name);
        else
                log_line("virtio-net: %s: the device broke queue %u: %s (%u, limit %u, at index "
                         "%u); stopped",
                         net->netdev.name, queue->index,
                         virtqueue_fault_name(queue->ring.fault.reason),
                         (unsigned)queue->ring.fault.value, (unsigned)queue->ring.fault.limit,
                         queue->ring.fault.used_index);
        virtio_net_stop(net);
}

/* ---- the beginning ---- */

static zx_status_t make_header_page(struct virtio_net *net)
{
        struct vm_page *page;
        zx_status_t status = pmm_alloc_page(&kernel_pmm, PMM_ALLOC_ANY, &page);
        if (status != ZX_OK)
                return status;
        net->transmit_header_page = memory_pa_to_va(page->pa);
        memset(net->transmit_header_page, 0, PAGE_BYTES);
        return ZX_OK;
}

/* Steps 7 and 8 of 3.1.1: interrupts, queues, receive buffers, DRIVER_OK, and only then the first
 * kick. */
static zx_status_t go_live(struct virtio_net *net)
{
        struct virtio_device *device = &net->device;
        struct virtio_transport *transport = device->transport;
        transport->ops->interrupts_open(transport, VIRTIO_NET_QUEUES, on_interrupt, net);
        zx_status_t status = virtio_queue_open(&net->receive, device, VIRTIO_NET_RECEIVE_QUEUE,
                                               VIRTIO_NET_QUEUE_SIZE_MAX);
        if (status != ZX_OK)
                return status;
        status = virtio_queue_open(&net->transmit, device, VIRTIO_NET_TRANSMIT_QUEUE,
                                   VIRTIO_NET_QUEUE_SIZE_MAX);
        if (status != ZX_OK)
                return status;
        if (virtio_net_fill(net, VIRTIO_NET_QUEUE_SIZE_MAX) == 0)
                return ZX_ERR_NO_MEMORY;
        if (net->transmit.ring.size < 2) /* a frame takes two elements */
                return ZX_ERR_NOT_SUPPORTED;
        virtqueue_driver_publish(&net->receive.ring);
        status = virtio_device_start(device);
        if (status != ZX_OK)
                return status;
        transport->ops->interrupts_start(transport);
        virtio_queue_flush(&net->receive);
        return ZX_OK;
}

static bool pending(struct netdev *netdev)
{
        struct virtio_net *net = virtio_net_from(netdev);
        return atomic_load(&net->sources) != 0 || !netdev->running;
}

static void update_counters(struct netdev *netdev)
{
        struct virtio_net *net = virtio_net_from(netdev);
        netdev->counters.interrupts = atomic_load(&net->interrupts);
        netdev->counters.interrupts_idle = net->interrupts_idle;
        netdev->counters.kicks = net->kicks_before;
        if (netdev->running)
                netdev->counters.kicks += net->receive.kicks + net->transmit.kicks;
        netdev->polled = atomic_load(&net->storm) ||
                         net->device.transport->interrupt_mode == VIRTIO_INTERRUPTS_NONE;
}

static const struct netdev_ops ops = {
        .transmit = virtio_net_transmit,
        .poll = virtio_net_poll,
        .pending = pending,
        .update_counters = update_counters,
};

/* From a device in any state to a running card, or to nothing held. */
static zx_status_t bring_up(struct virtio_net *net)
{
        zx_status_t status = virtio_device_reset(&net->device);
        if (status == ZX_OK)
                status = virtio_device_negotiate(&net->device, &wishes);
        if (status != ZX_OK)
                return status;
        status = read_configuration(net);
        if (status == ZX_OK)
                status = make_header_page(net);
        if (status == ZX_OK)
                status = go_live(net);
        if (status != ZX_OK) {
                virtio_device_fail(&net->device);
                virtio_net_stop(net);
                return status;
        }
        net->netdev.running = true;
        update_counters(&net->netdev);
        return ZX_OK;
}

zx_status_t virtio_net_start(struct virtio_net *net, struct virtio_transport *transport)
{
        *net = (struct virtio_net){.netdev.ops = &ops};
        list_init(&net->receive.pages);
        list_init(&net->transmit.pages);
        virtio_device_init(&net->device, transport);
        zx_status_t status = bring_up(net);
        if (status != ZX_OK)
                return status;
        status = netdev_register(&net->netdev);
        if (status != ZX_OK)
                virtio_net_stop(net);
        return status;
}

zx_status_t virtio_net_restart(struct virtio_net *net)
{
        virtio_net_stop(net);
        atomic_store(&net->storm, false);
        atomic_store(&net->sources, 0);
        return bring_up(net);
}
