/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A virtio network card from its birth to its end; what it does meanwhile is in
 * the other files, virtio_net.h has the list. Facts: Virtio 1.3, 3.1, 5.1.5 (initialisation). */
#include "drivers/virtio/virtio_net.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/cpu.h"
#include "kernel/log.h"

/* ---- the end ---- */

/* Leaves to a device what it may still use: the rings, and what it knows of the client's memory. So
 * that this is never anybody else's, a reference to those VMOs stays for ever, taken before the
 * client hears of its frames and may let go of its own. */
static void abandon(struct virtio_net *net)
{
        struct netdev *netdev = &net->netdev;
        uint64_t pages = 0;
        for (uint32_t id = 0; id < VMO_STORE_VMOS_MAX; id++) {
                struct vmo *vmo = vmo_store_vmo(&netdev->store, id);
                if (vmo == NULL)
                        continue;
                vmo_get(vmo);
                pages += vmo_committed_pages(vmo);
                if (vmo_pin(vmo, 0, vmo_size(vmo)) != ZX_OK)
                        log_line("virtio-net: %s: VMO %u has too many pins", netdev->name, id);
        }
        for (uint32_t i = 0; i < net->pair_count; i++) {
                virtio_net_return_sent(net, i, ZX_ERR_TIMED_OUT);
                pages += virtio_queue_abandon(&net->pairs[i].receive);
                pages += virtio_queue_abandon(&net->pairs[i].transmit);
        }
        netdev->counters.leaked_pages += pages + virtio_queue_abandon(&net->control);
        log_line("virtio-net: %s: the device does not answer to a reset; its memory stays with it",
                 netdev->name);
}

static void close_queues(struct virtio_net *net)
{
        for (uint32_t i = 0; i < net->pair_count; i++) {
                virtio_net_return_sent(net, i, ZX_ERR_CANCELED);
                virtio_net_take_parts(net, i);
                virtio_queue_close(&net->pairs[i].receive);
                virtio_queue_close(&net->pairs[i].transmit);
        }
        if (net->control_open)
                virtio_queue_close(&net->control);
}

void virtio_net_stop(struct virtio_net *net)
{
        struct virtio_transport *transport = net->device.transport;
        if (!net->open)
                return;
        net->open = net->broken = false;
        virtio_net_update_counters(&net->netdev);
        netdev_set_running(&net->netdev, false);
        zx_status_t status = virtio_device_reset(&net->device);
        transport->ops->interrupts_close(transport);
        if (status == ZX_OK)
                close_queues(net);
        else
                abandon(net);
        net->pair_count = 0;
        net->control_open = false;
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
                                               .size_limit = net->options.queue_size};
        uint16_t first = (uint16_t)(2 * queue);
        pair->kicks_counted = 0;
        net->pair_count = queue + 1;
        zx_status_t status = virtio_queue_open(&pair->receive, &net->device,
                                               first + VIRTIO_NET_RECEIVE_QUEUE, &options);
        if (status != ZX_OK)
                return status;
        options.indirect_entries = 1 + NETDEV_SPANS_MAX;
        options.read_only = true;
        status = virtio_queue_open(&pair->transmit, &net->device,
                                   first + VIRTIO_NET_TRANSMIT_QUEUE, &options);
        if (status != ZX_OK)
                return status;
        if (pair->transmit.ring.size < 2) /* a frame takes two elements */
                return ZX_ERR_NOT_SUPPORTED;
        return virtio_net_make_sent(net, queue);
}

static zx_status_t open_queues(struct virtio_net *net)
{
        uint32_t pairs = (uint32_t)min_u64(net->device_pairs, net->options.queue_pairs);
        zx_status_t status = ZX_OK;
        for (uint32_t queue = 0; queue < pairs && status == ZX_OK; queue++)
                status = open_pair(net, queue);
        if (status == ZX_OK)
                status = virtio_net_open_control(net);
        return status;
}

/* Gives the receive queues of pairs from..count-1 their memory: all of them, or (what the device
 * has cannot be freed) none, and what was made for it is gone again. */
static zx_status_t fill_pairs(struct virtio_net *net, uint32_t from, uint32_t count)
{
        uint32_t made = 0;
        for (uint32_t queue = from; queue < count; queue++) {
                bool had = net->pairs[queue].memory != NULL;
                zx_status_t status = virtio_net_make_parts(net, queue);
                if (status == ZX_OK) {
                        made |= had ? 0 : 1u << queue;
                        continue;
                }
                for (uint32_t i = from; i < queue; i++)
                        if (made >> i & 1)
                                virtio_net_free_parts(net, i);
                return status;
        }
        for (uint32_t queue = from; queue < count; queue++) {
                virtio_net_give_parts(net, queue);
                virtqueue_driver_publish(&net->pairs[queue].receive.ring);
        }
        return ZX_OK;
}

/* The interrupts of a queue pair go to the CPU of the same number, as far as there are so many. */
static void spread_interrupts(struct virtio_net *net, uint32_t pairs)
{
        struct virtio_transport *transport = net->device.transport;
        for (uint32_t pair = 0; pair < pairs && transport->ops->interrupts_aim != NULL; pair++) {
                uint16_t receive = (uint16_t)(2 * pair);
                transport->ops->interrupts_aim(transport, receive, pair % cpu_count());
                transport->ops->interrupts_aim(transport, receive + 1, pair % cpu_count());
        }
}

/* Steps 7 and 8 of 3.1.1: queues, receive buffers, interrupts, DRIVER_OK,
 * and only then the first kick. */
static zx_status_t go_live(struct virtio_net *net)
{
        struct virtio_device *device = &net->device;
        struct virtio_transport *transport = device->transport;
        uint32_t used = net->netdev.queue_pairs;
        net->open = true;
        transport->ops->interrupts_open(
                transport, (uint16_t)(2 * min_u64(net->device_pairs, net->options.queue_pairs)),
                virtio_net_on_interrupt, net);
        zx_status_t status = open_queues(net);
        if (status == ZX_OK && used > net->pair_count) /* there were more in the last life */
                status = ZX_ERR_IO;
        if (status == ZX_OK)
                status = fill_pairs(net, 0, used);
        if (status != ZX_OK)
                return status;
        spread_interrupts(net, net->pair_count);
        transport->ops->interrupts_start(transport);
        status = virtio_device_start(device);
        if (status != ZX_OK)
                return status;
        for (uint32_t queue = 0; queue < used; queue++)
                virtio_queue_flush(&net->pairs[queue].receive);
        if (used != 1 || (device->features & (BIT_MASK(VIRTIO_NET_F_RSS) |
                                              BIT_MASK(VIRTIO_NET_F_HASH_REPORT))))
                status = virtio_net_steer(net, used);
        return status;
}

/* From a device in any state to a running card, or to nothing held but receive memory. */
static zx_status_t try_bring_up(struct virtio_net *net)
{
        zx_status_t status = virtio_device_reset(&net->device);
        if (status != ZX_OK)
                return status;
        for (uint32_t queue = 0; queue < NETDEV_QUEUE_PAIRS_MAX; queue++)
                virtio_net_take_parts(net, queue); /* of a life that no reset had ended */
        status = virtio_device_negotiate(&net->device, &virtio_net_wishes);
        if (status == ZX_OK)
                status = virtio_net_read_configuration(net);
        if (status == ZX_OK)
                status = go_live(net);
        if (status == ZX_OK)
                virtio_net_restore_settings(net);
        if (status == ZX_OK && net->broken)
                status = ZX_ERR_IO;
        if (status != ZX_OK) {
                virtio_device_fail(&net->device);
                virtio_net_stop(net);
                return status;
        }
        virtio_net_describe_capabilities(net);
        virtio_net_update_counters(&net->netdev);
        netdev_set_running(&net->netdev, true);
        return ZX_OK;
}

/* A device that turned out not to reset queues is asked again without that feature. */
static zx_status_t bring_up(struct virtio_net *net)
{
        const struct virtio_transport *transport = net->device.transport;
        bool resets_queues = transport->resets_queues;
        zx_status_t status = try_bring_up(net);
        if (status != ZX_OK && resets_queues && !transport->resets_queues)
                status = try_bring_up(net);
        return status;
}

static zx_status_t use_queue_pairs(struct netdev *netdev, uint32_t count)
{
        struct virtio_net *net = virtio_net_from(netdev);
        zx_status_t status = fill_pairs(net, netdev->queue_pairs, count);
        if (status != ZX_OK)
                return status;
        for (uint32_t queue = netdev->queue_pairs; queue < count; queue++)
                virtio_queue_flush(&net->pairs[queue].receive);
        return virtio_net_steer(net, count);
}

static zx_status_t restart(struct netdev *netdev)
{
        return virtio_net_restart(virtio_net_from(netdev));
}

static const struct netdev_ops virtio_net_ops = {
        .transmit = virtio_net_transmit,
        .poll = virtio_net_poll,
        .release = virtio_net_release,
        .pending = virtio_net_pending,
        .use_queue_pairs = use_queue_pairs,
        .restart = restart,
        .set_receive_mode = virtio_net_set_receive_mode,
        .set_vlan = virtio_net_set_vlan,
        .set_mac = virtio_net_set_mac,
        .set_moderation = virtio_net_set_moderation,
        .update_counters = virtio_net_update_counters,
};

bool virtio_net_is(const struct netdev *netdev)
{
        return netdev->ops == &virtio_net_ops;
}

zx_status_t virtio_net_start(struct virtio_net *net, struct virtio_transport *transport,
                             const struct virtio_net_options *options)
{
        memset(net, 0, sizeof(*net));
        net->options = *options;
        if (net->options.queue_size == 0)
                net->options.queue_size = VIRTIO_NET_QUEUE_SIZE_DEFAULT;
        net->options.queue_pairs = (uint32_t)min_u64(max_u64(options->queue_pairs, 1),
                                                     NETDEV_QUEUE_PAIRS_MAX);
        net->pmm = options->pool->pmm;
        netdev_init(&net->netdev, &virtio_net_ops, options->pool);
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

/* Takes one broken queue out of the device's hands, empties it and gives it back. */
static zx_status_t reset_queue(struct virtio_net *net, struct virtio_queue *queue)
{
        uint32_t index = queue->index / 2u;
        struct virtio_net_pair *pair = &net->pairs[index];
        zx_status_t status = virtio_queue_reset(queue);
        if (status != ZX_OK)
                return status;
        if (queue == &pair->transmit)
                virtio_net_return_sent(net, index, ZX_ERR_CANCELED);
        else
                virtio_net_take_parts(net, index);
        status = virtio_queue_reopen(queue);
        if (status == ZX_OK && queue == &pair->receive) {
                virtio_net_give_parts(net, index);
                virtio_queue_flush(queue);
        }
        return status;
}

/* The same limit as for recoveries, but for each pair: it is its thread that is here. */
static bool may_reset_queue(struct virtio_net *net, const struct virtio_queue *queue)
{
        if (queue == NULL || queue == &net->control ||
            !virtio_device_has(&net->device, VIRTIO_F_RING_RESET))
                return false;
        struct virtio_net_pair *pair = &net->pairs[queue->index / 2u];
        const struct netdev_queue_counters *counters =
                &net->netdev.queues[queue->index / 2u].counters;
        uint64_t moved = counters->receive_frames + counters->transmit_done -
                         counters->transmit_failed;
        pair->resets = moved == pair->reset_frames ? pair->resets + 1 : 1;
        pair->reset_frames = moved;
        return pair->resets <= VIRTIO_NET_RECOVERIES_MAX;
}

void virtio_net_fault(struct virtio_net *net, struct virtio_queue *queue)
{
        const char *name = net->netdev.name;
        /* Several queue pairs may be here at once. */
        __atomic_fetch_add(&net->netdev.counters.faults, 1, __ATOMIC_RELAXED);
        if (queue == NULL)
                log_line("virtio-net: %s: the device must be reset, or is gone", name);
        else
                log_line("virtio-net: %s: the device broke queue %u: %s (%u, limit %u, at index "
                         "%u)",
                         name, queue->index, virtqueue_fault_name(queue->ring.fault.reason),
                         (unsigned)queue->ring.fault.value, (unsigned)queue->ring.fault.limit,
                         queue->ring.fault.used_index);
        if (may_reset_queue(net, queue) && reset_queue(net, queue) == ZX_OK) {
                log_line("virtio-net: %s: queue %u was reset", name, queue->index);
                return;
        }
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
void virtio_net_recover(struct virtio_net *net)
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

