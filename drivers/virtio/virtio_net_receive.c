/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The way up through a virtio network card: parts of receive memory go to the device, come back
 * with frames in them, and go to the client. Nothing here allocates but virtio_net_make_parts(),
 * and nothing prints. Facts: Virtio 1.3, 5.1.6.3, 5.1.6.4. */
#include "drivers/virtio/virtio_net.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/shared.h"
#include "kernel/vmo.h"

#define GSO_NONE 0

/* ---- parts ---- */

static uint32_t part_bytes_wanted(const struct virtio_net *net)
{
        uint64_t bytes = round_up(net->header_bytes + net->receive_limit_bytes,
                                  VIRTIO_NET_PART_ALIGN);
        return (uint32_t)max_u64(bytes, VIRTIO_NET_PART_BYTES_MIN);
}

static uint32_t part_count_wanted(const struct virtio_net_pair *pair, uint32_t part_bytes)
{
        uint64_t count = VIRTIO_NET_RECEIVE_BYTES_MAX / part_bytes;
        return (uint32_t)min_u64(count, pair->receive.ring.size);
}

static bool client_has_parts(const struct virtio_net_pair *pair)
{
        for (uint32_t i = 0; i < pair->part_count; i++)
                if (pair->part_states[i] == VIRTIO_NET_PART_CLIENT)
                        return true;
        return false;
}

/* One VMO of `count` parts, in the store, and a state for each. */
static zx_status_t make_memory(struct virtio_net *net, struct virtio_net_pair *pair, uint32_t count)
{
        uint64_t bytes = round_up((uint64_t)count * pair->part_bytes, PAGE_BYTES), states_pa;
        zx_status_t status = vmo_create_contiguous(net->netdev.pool, bytes, PAGE_BYTES_LOG2,
                                                   &pair->memory);
        if (status != ZX_OK)
                return status;
        list_init(&pair->part_pages);
        status = pmm_alloc_contiguous(net->pmm, div_round_up(count, PAGE_BYTES), PMM_ALLOC_ANY,
                                      PAGE_BYTES_LOG2, &states_pa, &pair->part_pages);
        if (status != ZX_OK)
                goto undo_memory;
        status = netdev_add_memory(&net->netdev, pair->memory, &pair->memory_id);
        if (status != ZX_OK)
                goto undo_pages;
        pair->part_states = pmm_pa_to_va(net->pmm, states_pa);
        memset(pair->part_states, VIRTIO_NET_PART_HERE, count);
        pair->part_count = count;
        return ZX_OK;

undo_pages:
        pmm_free(net->pmm, &pair->part_pages);
undo_memory:
        vmo_put(pair->memory);
        pair->memory = NULL;
        return status;
}

zx_status_t virtio_net_make_parts(struct virtio_net *net, uint32_t queue)
{
        struct virtio_net_pair *pair = &net->pairs[queue];
        uint32_t bytes = part_bytes_wanted(net), count = part_count_wanted(pair, bytes);
        if (pair->memory != NULL && pair->part_bytes == bytes && pair->part_count <= count)
                return ZX_OK;
        if (pair->memory != NULL && client_has_parts(pair))
                return ZX_ERR_SHOULD_WAIT;
        virtio_net_free_parts(net, queue);
        pair->part_bytes = bytes;
        /* Half of it is better than no card. */
        zx_status_t status = make_memory(net, pair, count);
        while (status == ZX_ERR_NO_MEMORY && count >= 2 * VIRTIO_NET_PARTS_MIN)
                status = make_memory(net, pair, count /= 2);
        return status;
}

void virtio_net_free_parts(struct virtio_net *net, uint32_t queue)
{
        struct virtio_net_pair *pair = &net->pairs[queue];
        if (pair->memory == NULL)
                return;
        netdev_remove_memory(&net->netdev, pair->memory_id);
        pmm_free(net->pmm, &pair->part_pages);
        vmo_put(pair->memory);
        pair->memory = NULL;
        pair->part_count = 0;
}

/* Puts one part into the ring. Only a broken or closed ring has no room: there are not more parts
 * than entries. */
static void give(struct virtio_net *net, struct virtio_net_pair *pair, uint32_t part)
{
        const struct netdev_run *run = &net->netdev.runs[pair->memory_id];
        struct virtqueue_element element = {.dev = run->dev + (uint64_t)part * pair->part_bytes,
                                            .bytes = pair->part_bytes};
        struct virtqueue_chain chain = {.elements = &element, .writable_count = 1,
                                        .cookie = (void *)(uintptr_t)part};
        bool given = virtqueue_driver_add(&pair->receive.ring, &chain) == ZX_OK;
        pair->part_states[part] = given ? VIRTIO_NET_PART_DEVICE : VIRTIO_NET_PART_HERE;
}

void virtio_net_give_parts(struct virtio_net *net, uint32_t queue)
{
        struct virtio_net_pair *pair = &net->pairs[queue];
        for (uint32_t part = 0; part < pair->part_count; part++)
                if (pair->part_states[part] == VIRTIO_NET_PART_HERE)
                        give(net, pair, part);
}

void virtio_net_take_parts(struct virtio_net *net, uint32_t queue)
{
        struct virtio_net_pair *pair = &net->pairs[queue];
        for (uint32_t part = 0; part < pair->part_count; part++)
                if (pair->part_states[part] == VIRTIO_NET_PART_DEVICE)
                        pair->part_states[part] = VIRTIO_NET_PART_HERE;
}

void virtio_net_release(struct netdev *netdev, uint32_t queue, const uint32_t *ids, uint32_t count)
{
        struct virtio_net *net = virtio_net_from(netdev);
        struct virtio_net_pair *pair = &net->pairs[queue];
        for (uint32_t i = 0; i < count; i++) {
                ASSERT(ids[i] < pair->part_count &&
                       pair->part_states[ids[i]] == VIRTIO_NET_PART_CLIENT); /* [N2] */
                pair->part_states[ids[i]] = VIRTIO_NET_PART_HERE;
                if (netdev->running)
                        give(net, pair, ids[i]);
        }
        if (netdev->running && !netdev->queues[queue].in_poll) /* poll does it at its end */
                virtio_queue_flush(&pair->receive);
}

/* ---- frames ---- */

/* Checks one used part, and names its frame; false: there is none. */
static bool take_frame(struct virtio_net *net, struct virtio_net_pair *pair, uint32_t part,
                       uint32_t written_bytes, struct netdev_received *frame)
{
        struct virtio_net_header header;
        uint64_t offset = (uint64_t)part * pair->part_bytes;
        uint32_t bytes = written_bytes - net->header_bytes; /* checked below */
        if (written_bytes < net->header_bytes + NETDEV_HEADER_BYTES ||
            bytes > net->receive_limit_bytes)
                return false;
        shared_copy_in(&header, net->netdev.runs[pair->memory_id].va + offset, sizeof(header));
        /* Nothing was negotiated that would let the device merge frames. `flags` is not looked at:
         * some devices set NEEDS_CSUM unasked, and the frame's checksum then fails higher up. */
        if (header.gso_type != GSO_NONE)
                return false;
        struct rx_space space = {.id = part,
                                 .region = {(uint8_t)pair->memory_id, offset + net->header_bytes,
                                            bytes}};
        vmo_store_make_rx_space_buffer(&net->netdev.store, &space, &frame->buffer);
        frame->info = (struct netdev_receive_info){.head_bytes = (uint16_t)net->header_bytes};
        return true;
}

/* Frames of one call to the client: as many as the stack has room for. */
#define FRAMES_MAX 4

uint32_t virtio_net_receive(struct virtio_net *net, uint32_t queue, uint32_t budget)
{
        struct virtio_net_pair *pair = &net->pairs[queue];
        struct virtqueue_completion done[FRAMES_MAX];
        struct netdev_received frames[FRAMES_MAX];
        uint32_t taken = 0, count;
        zx_status_t status = ZX_OK;
        while (taken < budget && status == ZX_OK && net->netdev.running) {
                uint32_t good = 0, batch = (uint32_t)min_u64(budget - taken, FRAMES_MAX);
                status = virtqueue_driver_get(&pair->receive.ring, done, batch, &count);
                for (uint32_t i = 0; i < count; i++) {
                        uint32_t part = (uint32_t)(uintptr_t)done[i].cookie;
                        pair->part_states[part] = VIRTIO_NET_PART_CLIENT;
                        if (take_frame(net, pair, part, done[i].written_bytes, &frames[good])) {
                                good++;
                                continue;
                        }
                        net->netdev.queues[queue].counters.receive_dropped++;
                        give(net, pair, part);
                }
                if (good != 0)
                        netdev_receive_done(&net->netdev, queue, frames, good);
                taken += count;
        }
        if (status == ZX_ERR_IO_DATA_INTEGRITY)
                virtio_net_fault(net, &pair->receive);
        else
                virtio_queue_flush(&pair->receive);
        return taken;
}
