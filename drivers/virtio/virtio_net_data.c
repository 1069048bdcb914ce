/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The way of the frames through a virtio network card. Nothing here allocates but
 * virtio_net_fill(), and nothing prints but a fault. Facts: Virtio 1.3, 5.1.6. */
#include "drivers/virtio/virtio_net.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/shared.h"
#include "kernel/memory.h"

#define GSO_NONE 0
/* A watchdog for cards whose configuration interrupt does not come: every so many idle polls the
 * status is read. */
#define IDLE_POLLS_BEFORE_STATUS 256

/* ---- receiving ---- */

static zx_status_t give_page(struct virtio_net *net, struct vm_page *page)
{
        struct virtqueue_element element = {.dev = page->pa, .bytes = PAGE_BYTES};
        struct virtqueue_chain chain = {.elements = &element, .writable_count = 1, .cookie = page};
        return virtqueue_driver_add(&net->receive.ring, &chain);
}

uint32_t virtio_net_fill(struct virtio_net *net, uint32_t count)
{
        uint32_t added = 0;
        for (; added < count && net->receive.ring.free_count != 0; added++) {
                struct vm_page *page;
                if (pmm_alloc_page(&kernel_pmm, PMM_ALLOC_ANY, &page) != ZX_OK)
                        break;
                /* So that a device that writes less than it says shows us zeros and not old pages.
                 * */
                memset(memory_pa_to_va(page->pa), 0, PAGE_BYTES);
                if (give_page(net, page) != ZX_OK) {
                        pmm_free_page(&kernel_pmm, page);
                        break;
                }
        }
        return added;
}

/* Checks one used buffer and hands its frame up. */
static void take_frame(struct virtio_net *net, const struct vm_page *page, uint32_t written_bytes)
{
        struct netdev *netdev = &net->netdev;
        struct virtio_net_header header;
        const char *va = memory_pa_to_va(page->pa);
        uint32_t bytes = written_bytes - (uint32_t)sizeof(header); /* checked below */
        if (written_bytes < sizeof(header) + NETDEV_HEADER_BYTES ||
            bytes > net->receive_limit_bytes) {
                netdev->counters.receive_dropped++;
                return;
        }
        shared_copy_in(&header, va, sizeof(header));
        /* Nothing was negotiated that would let the device merge frames. `flags` is not looked at:
         * some devices set NEEDS_CSUM unasked, and the frame's checksum then fails higher up. */
        if (header.gso_type != GSO_NONE || netdev->client.receive == NULL) {
                netdev->counters.receive_dropped++;
                return;
        }
        netdev->counters.receive_frames++;
        netdev->counters.receive_bytes += bytes;
        netdev->client.receive(netdev->client.context, va + sizeof(header), bytes);
}

/* Takes up to `budget` frames; their pages go straight back to the device, in batches. */
static uint32_t receive_frames(struct virtio_net *net, uint32_t budget)
{
        struct virtqueue_completion done[VIRTIO_NET_BATCH_MAX];
        uint32_t taken = 0, count;
        zx_status_t status = ZX_OK;
        while (taken < budget && status == ZX_OK) {
                uint32_t batch = (uint32_t)min_u64(budget - taken, VIRTIO_NET_BATCH_MAX);
                status = virtqueue_driver_get(&net->receive.ring, done, batch, &count);
                for (uint32_t i = 0; i < count; i++) {
                        struct vm_page *page = done[i].cookie;
                        take_frame(net, page, done[i].written_bytes);
                        /* The chain that came back has just made the room; only a broken ring
                         * refuses. */
                        if (give_page(net, page) != ZX_OK)
                                pmm_free_page(&kernel_pmm, page);
                }
                virtio_queue_flush(&net->receive);
                taken += count;
        }
        if (status == ZX_ERR_IO_DATA_INTEGRITY)
                virtio_net_fault(net, &net->receive);
        return taken;
}

/* ---- sending ---- */

static zx_status_t send_one(struct virtio_net *net, const struct netdev_frame *frame)
{
        struct virtqueue_element elements[2] = {
                {.dev = memory_va_to_pa(net->transmit_header_page),
                 .bytes = sizeof(struct virtio_net_header)},
                {.dev = frame->dev, .bytes = frame->bytes},
        };
        struct virtqueue_chain chain = {.elements = elements,
                                        .readable_count = ARRAY_COUNT(elements),
                                        .cookie = frame->cookie};
        return virtqueue_driver_add(&net->transmit.ring, &chain);
}

/* Tells the client of up to `budget` frames that the device has let go. */
static uint32_t reap_frames(struct virtio_net *net, uint32_t budget)
{
        struct netdev *netdev = &net->netdev;
        struct virtqueue_completion done[VIRTIO_NET_BATCH_MAX];
        uint32_t taken = 0, count;
        zx_status_t status = ZX_OK;
        while (taken < budget && status == ZX_OK) {
                uint32_t batch = (uint32_t)min_u64(budget - taken, VIRTIO_NET_BATCH_MAX);
                status = virtqueue_driver_get(&net->transmit.ring, done, batch, &count);
                for (uint32_t i = 0; i < count; i++) {
                        netdev->counters.transmit_frames++;
                        if (netdev->client.transmit_done != NULL)
                                netdev->client.transmit_done(netdev->client.context, done[i].cookie,
                                                             true);
                }
                taken += count;
        }
        if (status == ZX_ERR_IO_DATA_INTEGRITY)
                virtio_net_fault(net, &net->transmit);
        return taken;
}

zx_status_t virtio_net_transmit(struct netdev *netdev, const struct netdev_frame *frames,
                                uint32_t count, uint32_t *accepted)
{
        struct virtio_net *net = virtio_net_from(netdev);
        zx_status_t status = ZX_OK;
        for (*accepted = 0; *accepted < count; ++*accepted) {
                status = send_one(net, &frames[*accepted]);
                if (status != ZX_OK)
                        break;
                netdev->counters.transmit_bytes += frames[*accepted].bytes;
        }
        virtio_queue_flush(&net->transmit);
        if (status == ZX_ERR_SHOULD_WAIT)
                netdev->counters.transmit_full++;
        return status;
}

/* ---- both ---- */

static void look_at_status(struct virtio_net *net)
{
        uint16_t link;
        if (virtio_device_needs_reset(&net->device)) {
                virtio_net_fault(net, NULL);
                return;
        }
        if (virtio_device_has(&net->device, VIRTIO_NET_F_STATUS) &&
            virtio_device_config_read(&net->device, VIRTIO_NET_CONFIG_STATUS, &link, sizeof(link),
                                      sizeof(link)) == ZX_OK)
                net->netdev.link_up = (link & BIT_MASK(VIRTIO_NET_LINK_UP_BIT)) != 0;
}

/* Asks for the next interrupts; what came in the meantime is noted as if it had interrupted. */
static void rearm(struct virtio_net *net)
{
        /* Sent frames can wait until three quarters of them are through. */
        uint32_t in_flight = virtqueue_driver_in_flight(&net->transmit.ring);
        uint32_t enough = in_flight - in_flight / 4;
        if (virtqueue_driver_ask(&net->receive.ring, 1))
                atomic_fetch_or(&net->sources, VIRTIO_SOURCE_QUEUE(VIRTIO_NET_RECEIVE_QUEUE));
        if (in_flight != 0 && virtqueue_driver_ask(&net->transmit.ring, enough))
                atomic_fetch_or(&net->sources, VIRTIO_SOURCE_QUEUE(VIRTIO_NET_TRANSMIT_QUEUE));
}

uint32_t virtio_net_poll(struct netdev *netdev, uint32_t budget)
{
        struct virtio_net *net = virtio_net_from(netdev);
        uint32_t sources = atomic_exchange(&net->sources, 0);
        atomic_store(&net->interrupts_since_poll, 0);

        uint32_t done = reap_frames(net, budget);
        if (netdev->running)
                done += receive_frames(net, budget);
        if (done == 0)
                net->idle_polls++;
        if (netdev->running &&
            ((sources & VIRTIO_SOURCE_CONFIG) || net->idle_polls >= IDLE_POLLS_BEFORE_STATUS)) {
                net->idle_polls = 0;
                look_at_status(net);
        }
        if (done == 0 && sources != 0 && !(sources & VIRTIO_SOURCE_CONFIG))
                net->interrupts_idle++;
        if (netdev->running)
                rearm(net);
        return done;
}
