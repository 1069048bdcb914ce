/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A virtio network card from its birth to its end; the frames' ways are in virtio_net_receive.c and _transmit.c.
 * Facts: Virtio 1.3, 5.1.3 (features), 5.1.4 (configuration), 5.1.5 (initialisation). */
#include "drivers/virtio/virtio_net.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/log.h"

/* Interrupts between two polls after which the device is taken to have gone mad, masked, and polled
 * from then on. An honest one interrupts once or twice between two polls: it is asked for each
 * interrupt. */
#define STORM_INTERRUPTS 100000

/* A watchdog for cards whose configuration interrupt does not come: every so many idle polls the
 * status is read. */
#define IDLE_POLLS_BEFORE_STATUS 256

#define QUEUE_SOURCES ((uint32_t)BIT_MASK(VIRTIO_QUEUES_MAX) - 1)

#define MAC_MULTICAST_BIT 0 /* of the first byte */
#define MAC_LOCAL_BIT 1

/* The queue pairs that sources of interrupts belong to, the configuration to the first. */
static uint32_t pairs_of(uint32_t sources)
{
        uint32_t pairs = (sources & VIRTIO_SOURCE_CONFIG) != 0;
        for (uint32_t left = sources & QUEUE_SOURCES; left != 0; left &= left - 1)
                pairs |= 1u << __builtin_ctz(left) / 2;
        return pairs & ((1u << NETDEV_QUEUE_PAIRS_MAX) - 1);
}

static void on_interrupt(void *context, uint32_t sources)
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

/* ---- configuration ---- */

/* An MTU that no network has is left alone, and the default stays. */
static uint64_t refused_features(struct virtio_device *device)
{
        uint16_t mtu;
        if (!(device->offered & BIT_MASK(VIRTIO_NET_F_MTU)))
                return 0;
        zx_status_t status = virtio_device_config_read(device, VIRTIO_NET_CONFIG_MTU, &mtu,
                                                       sizeof(mtu), sizeof(mtu));
        return status == ZX_OK && mtu >= NETDEV_MTU_MIN ? 0 :
                        BIT_MASK(VIRTIO_NET_F_MTU);
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
        if (mtu < NETDEV_MTU_MIN || (netdev->mac[0] & BIT_MASK(MAC_MULTICAST_BIT)))
                return ZX_ERR_IO_DATA_INTEGRITY;
        netdev->mtu = mtu;
        netdev->link_up = (link & BIT_MASK(VIRTIO_NET_LINK_UP_BIT)) != 0;
        net->header_bytes = sizeof(struct virtio_net_header);
        net->receive_limit_bytes = netdev->mtu + NETDEV_HEADER_BYTES + NETDEV_VLAN_TAG_BYTES;
        return ZX_OK;
}

static void update_counters(struct netdev *netdev)
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

/* ---- the end ---- */

/* Leaves the rings to a device that may still use them. So that what it knows of the client's
 * memory is never anybody else's, a reference to those VMOs stays for ever. */
static void abandon(struct virtio_net *net)
{
        struct netdev *netdev = &net->netdev;
        for (uint32_t i = 0; i < net->pair_count; i++) {
                netdev->counters.leaked_pages += virtio_queue_abandon(&net->pairs[i].receive);
                netdev->counters.leaked_pages += virtio_queue_abandon(&net->pairs[i].transmit);
        }
        for (uint32_t id = 0; id < VMO_STORE_VMOS_MAX; id++) {
                struct vmo *vmo = vmo_store_vmo(&netdev->store, id);
                if (vmo == NULL)
                        continue;
                vmo_get(vmo);
                netdev->counters.leaked_pages += vmo_committed_pages(vmo);
        }
        log_line("virtio-net: %s: the device does not answer to a reset; its memory stays with it",
                 netdev->name);
}

static void close_queues(struct virtio_net *net)
{
        for (uint32_t i = 0; i < net->pair_count; i++) {
                virtio_net_take_parts(net, i);
                virtio_queue_close(&net->pairs[i].receive);
                virtio_queue_close(&net->pairs[i].transmit);
        }
}

void virtio_net_stop(struct virtio_net *net)
{
        struct virtio_transport *transport = net->device.transport;
        if (!net->open)
                return;
        net->open = net->broken = false;
        update_counters(&net->netdev);
        netdev_set_running(&net->netdev, false);
        zx_status_t status = virtio_device_reset(&net->device);
        transport->ops->interrupts_close(transport);
        for (uint32_t i = 0; i < net->pair_count; i++)
                virtio_net_cancel(net, i);
        if (status == ZX_OK)
                close_queues(net);
        else
                abandon(net);
        net->pair_count = 0;
}

zx_status_t virtio_net_free_memory(struct virtio_net *net)
{
        if (netdev_receive_held(&net->netdev) != 0)
                return ZX_ERR_BAD_STATE;
        for (uint32_t i = 0; i < NETDEV_QUEUE_PAIRS_MAX; i++)
                virtio_net_free_parts(net, i);
        return ZX_OK;
}

/* ---- the beginning ---- */

static zx_status_t open_pair(struct virtio_net *net, uint32_t queue)
{
        struct virtio_net_pair *pair = &net->pairs[queue];
        struct virtio_queue_options options = {.pmm = net->pmm,
                                               .size_limit = VIRTIO_NET_QUEUE_SIZE_MAX};
        uint16_t first = (uint16_t)(2 * queue);
        list_init(&pair->receive.pages);
        list_init(&pair->transmit.pages);
        net->pair_count = queue + 1;
        pair->kicks_counted = 0;
        zx_status_t status = virtio_queue_open(&pair->receive, &net->device,
                                               first + VIRTIO_NET_RECEIVE_QUEUE, &options);
        if (status != ZX_OK)
                return status;
        options.indirect_entries = 1 + NETDEV_SPANS_MAX;
        status = virtio_queue_open(&pair->transmit, &net->device,
                                   first + VIRTIO_NET_TRANSMIT_QUEUE, &options);
        if (status != ZX_OK)
                return status;
        if (pair->transmit.ring.size < 2) /* a frame takes two elements */
                return ZX_ERR_NOT_SUPPORTED;
        return virtio_net_make_sent(net, queue);
}

/* Steps 7 and 8 of 3.1.1: interrupts, queues, receive buffers, DRIVER_OK, and only then the first
 * kick. */
static zx_status_t go_live(struct virtio_net *net)
{
        struct virtio_device *device = &net->device;
        struct virtio_transport *transport = device->transport;
        transport->ops->interrupts_open(transport, VIRTIO_NET_TRANSMIT_QUEUE + 1, on_interrupt, net);
        net->open = true;
        zx_status_t status = open_pair(net, 0);
        if (status == ZX_OK)
                status = virtio_net_make_parts(net, 0);
        if (status != ZX_OK)
                return status;
        virtio_net_give_parts(net, 0);
        virtqueue_driver_publish(&net->pairs[0].receive.ring);
        status = virtio_device_start(device);
        if (status != ZX_OK)
                return status;
        transport->ops->interrupts_start(transport);
        virtio_queue_flush(&net->pairs[0].receive);
        return ZX_OK;
}

static void describe_capabilities(struct virtio_net *net)
{
        const struct virtio_net_pair *pair = &net->pairs[0];
        uint32_t bits = 0;
        if (virtio_device_has(&net->device, VIRTIO_NET_F_STATUS))
                bits |= (uint32_t)BIT_MASK(NETDEV_CAN_REPORT_LINK_BIT);
        net->netdev.capabilities = (struct netdev_capabilities){
                .bits = bits,
                .queue_pairs = 1,
                .transmit_head_bytes = (uint16_t)net->header_bytes,
                .transmit_depth = pair->transmit.ring.size,
                .receive_depth = pair->part_count,
                .receive_part_bytes = pair->part_bytes - net->header_bytes,
        };
}

/* From a device in any state to a running card, or to nothing held but receive memory. */
static zx_status_t bring_up(struct virtio_net *net)
{
        zx_status_t status = virtio_device_reset(&net->device);
        if (status == ZX_OK)
                status = virtio_device_negotiate(&net->device, &wishes);
        if (status != ZX_OK)
                return status;
        status = read_configuration(net);
        if (status == ZX_OK)
                status = go_live(net);
        if (status != ZX_OK) {
                virtio_device_fail(&net->device);
                virtio_net_stop(net);
                return status;
        }
        describe_capabilities(net);
        netdev_set_running(&net->netdev, true);
        update_counters(&net->netdev);
        return ZX_OK;
}

zx_status_t virtio_net_start(struct virtio_net *net, struct virtio_transport *transport,
                             struct vmo_pool *pool)
{
        memset(net, 0, sizeof(*net));
        net->pmm = pool->pmm;
        netdev_init(&net->netdev, &virtio_net_ops, pool);
        virtio_device_init(&net->device, transport);
        zx_status_t status = bring_up(net);
        if (status == ZX_OK)
                status = netdev_add(&net->netdev);
        if (status != ZX_OK) {
                virtio_net_stop(net);
                zx_status_t freed = virtio_net_free_memory(net);
                ASSERT(freed == ZX_OK); /* there was no client yet */
        }
        return status;
}

zx_status_t virtio_net_restart(struct virtio_net *net)
{
        virtio_net_stop(net);
        atomic_store(&net->storm, false);
        atomic_store(&net->sources, 0);
        return bring_up(net);
}

/* ---- faults and recovery ---- */

void virtio_net_fault(struct virtio_net *net, const struct virtio_queue *queue)
{
        net->netdev.counters.faults++;
        if (queue == NULL)
                log_line("virtio-net: %s: the device asks for a reset, or is gone",
                         net->netdev.name);
        else
                log_line("virtio-net: %s: the device broke queue %u: %s (%u, limit %u, at index "
                         "%u)",
                         net->netdev.name, queue->index,
                         virtqueue_fault_name(queue->ring.fault.reason),
                         (unsigned)queue->ring.fault.value, (unsigned)queue->ring.fault.limit,
                         queue->ring.fault.used_index);
        net->broken = true;
        netdev_set_running(&net->netdev, false);
}

/* Frames that have moved in the life of this card. */
static uint64_t moved_frames(struct virtio_net *net)
{
        const struct netdev_counters *counters = netdev_counters(&net->netdev);
        return counters->total.receive_frames + counters->total.transmit_done -
               counters->total.transmit_failed;
}

/* A device that breaks again and again without doing anything is left alone. */
static void recover(struct virtio_net *net)
{
        uint64_t moved = moved_frames(net);
        net->broken = false;
        net->recoveries = moved == net->recovered_frames ? net->recoveries + 1 : 1;
        net->recovered_frames = moved;
        zx_status_t status = ZX_ERR_UNAVAILABLE;
        if (net->recoveries <= VIRTIO_NET_RECOVERIES_MAX)
                status = netdev_restart(&net->netdev);
        else
                virtio_net_stop(net);
        log_line("virtio-net: %s: %s (%s)", net->netdev.name,
                 status == ZX_OK ? "runs again" : "stays down", zx_status_name(status));
}

/* ---- polling ---- */

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
                netdev_set_link(&net->netdev, (link & BIT_MASK(VIRTIO_NET_LINK_UP_BIT)) != 0);
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
static uint32_t poll(struct netdev *netdev, uint32_t queue, uint32_t budget)
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
                recover(net);
        return sent + received;
}

static bool pending(struct netdev *netdev, uint32_t queue)
{
        struct virtio_net *net = virtio_net_from(netdev);
        return !netdev->running || !net->pairs[queue].armed ||
               (atomic_load(&net->sources) & sources_of(queue)) != 0;
}

static zx_status_t restart(struct netdev *netdev)
{
        return virtio_net_restart(virtio_net_from(netdev));
}

const struct netdev_ops virtio_net_ops = {
        .transmit = virtio_net_transmit,
        .poll = poll,
        .release = virtio_net_release,
        .pending = pending,
        .restart = restart,
        .update_counters = update_counters,
};
