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

/* Frames of one call to the client: as many as the stack has room for. */
#define FRAMES_MAX 6

#define COALESCED                                                                                  \
        (BIT_MASK(VIRTIO_NET_F_GUEST_TSO4) | BIT_MASK(VIRTIO_NET_F_GUEST_TSO6) |                   \
         BIT_MASK(VIRTIO_NET_F_GUEST_USO4) | BIT_MASK(VIRTIO_NET_F_GUEST_USO6))

/* ---- parts ---- */

/* A frame has VMO_BUFFER_PARTS_MAX parts at most; without MRG_RXBUF it has one. */
static uint32_t part_bytes_wanted(const struct virtio_net *net)
{
        uint64_t bytes = net->device.features & COALESCED ? NETDEV_FRAME_BYTES_MAX :
                                                            net->receive_limit_bytes;
        bytes += net->header_bytes;
        if (virtio_device_has(&net->device, VIRTIO_NET_F_MRG_RXBUF))
                bytes = div_round_up(bytes, VMO_BUFFER_PARTS_MAX);
        return (uint32_t)max_u64(round_up(bytes, VIRTIO_NET_PART_ALIGN),
                                 VIRTIO_NET_PART_BYTES_MIN);
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
        const struct vmo_buffer *building = &pair->building.buffer.buffer;
        for (uint32_t part = 0; part < pair->part_count; part++)
                if (pair->part_states[part] == VIRTIO_NET_PART_DEVICE)
                        pair->part_states[part] = VIRTIO_NET_PART_HERE;
        for (uint32_t i = 0; pair->parts_left != 0 && i < building->part_count; i++)
                pair->part_states[building->parts[i].buffer_id] = VIRTIO_NET_PART_HERE;
        pair->parts_left = pair->skip_left = 0;
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

/* What a gso_type is, if the features that were accepted allow it. */
static bool segmentation_of(const struct virtio_net *net, uint8_t gso_type,
                            struct netdev_receive_info *info)
{
        uint64_t features = net->device.features, needed;
        switch (gso_type & (uint8_t)~VIRTIO_NET_GSO_ECN) {
        case VIRTIO_NET_GSO_NONE:
                info->segmentation = NETDEV_SEGMENT_NONE;
                return gso_type == VIRTIO_NET_GSO_NONE;
        case VIRTIO_NET_GSO_TCP4:
                info->segmentation = NETDEV_SEGMENT_TSO4;
                needed = BIT_MASK(VIRTIO_NET_F_GUEST_TSO4);
                break;
        case VIRTIO_NET_GSO_TCP6:
                info->segmentation = NETDEV_SEGMENT_TSO6;
                needed = BIT_MASK(VIRTIO_NET_F_GUEST_TSO6);
                break;
        case VIRTIO_NET_GSO_UDP:
                info->segmentation = NETDEV_SEGMENT_USO;
                needed = BIT_MASK(VIRTIO_NET_F_GUEST_USO4) | BIT_MASK(VIRTIO_NET_F_GUEST_USO6);
                break;
        default:
                return false;
        }
        info->ecn = (gso_type & VIRTIO_NET_GSO_ECN) != 0;
        if (info->ecn && (!(features & BIT_MASK(VIRTIO_NET_F_GUEST_ECN)) ||
                          info->segmentation == NETDEV_SEGMENT_USO))
                return false;
        return (features & needed) != 0;
}

/* Fills in what the header says of a frame of `bytes`; false: it cannot be. */
static bool read_header(const struct virtio_net *net, const struct virtio_net_header *header,
                        uint64_t bytes, struct netdev_receive_info *info)
{
        *info = (struct netdev_receive_info){.head_bytes = (uint16_t)net->header_bytes};
        if (!segmentation_of(net, header->gso_type, info))
                return false;
        if (info->segmentation != NETDEV_SEGMENT_NONE) {
                if (header->gso_bytes == 0)
                        return false;
                info->segment_bytes = header->gso_bytes;
                info->header_bytes = header->header_bytes <= bytes ? header->header_bytes : 0;
        } else if (bytes > net->receive_limit_bytes) {
                return false;
        }
        if (net->header_bytes == sizeof(*header) &&
            header->hash_report <= NETDEV_HASH_UDP_IPV6_EX) {
                info->hash_type = (uint8_t)header->hash_report;
                info->hash_value = header->hash_value;
        }
        /* Without GUEST_CSUM some devices set flags unasked; they mean nothing then. */
        if (!virtio_device_has(&net->device, VIRTIO_NET_F_GUEST_CSUM))
                return true;
        if (header->flags & VIRTIO_NET_NEEDS_CHECKSUM) {
                info->checksum = NETDEV_CHECKSUM_PARTIAL;
                info->checksum_start = header->checksum_start;
                info->checksum_offset = header->checksum_offset;
                return (uint64_t)header->checksum_start + header->checksum_offset +
                               sizeof(uint16_t) <= bytes;
        }
        if (header->flags & VIRTIO_NET_DATA_VALID)
                info->checksum = NETDEV_CHECKSUM_VALID;
        return true;
}

/* Copies the header in front of a frame's first part to pair->header, once; everything is judged of
 * that copy, also when the last part is there: the device can still write to the original. */
static void copy_header(const struct virtio_net *net, struct virtio_net_pair *pair, uint32_t part)
{
        const uint8_t *va = net->netdev.runs[pair->memory_id].va;
        shared_copy_in(&pair->header, va + (uint64_t)part * pair->part_bytes, net->header_bytes);
}

static bool push_part(const struct virtio_net_pair *pair, struct netdev_received *frame,
                      uint32_t part, uint64_t skipped_bytes, uint64_t bytes)
{
        struct vmo_region region = {(uint8_t)pair->memory_id,
                                    (uint64_t)part * pair->part_bytes + skipped_bytes, bytes};
        return bytes != 0 && vmo_buffer_push(&frame->buffer.buffer, part, region) == ZX_OK;
}

/* Begins a frame with its first part; false: it is none, and pair->skip_left more parts belong to
 * it. pair->parts_left is what is still to come. */
static bool begin_frame(struct virtio_net *net, struct virtio_net_pair *pair, uint32_t part,
                        uint32_t written_bytes, struct netdev_received *frame)
{
        uint32_t parts = 1;
        vmo_store_make_empty_rx_buffer(&net->netdev.store, &frame->buffer);
        pair->parts_left = 0;
        if (written_bytes < net->header_bytes)
                return false;
        copy_header(net, pair, part);
        if (virtio_device_has(&net->device, VIRTIO_NET_F_MRG_RXBUF)) {
                parts = pair->header.buffer_count;
                if (parts == 0 || parts > pair->part_count)
                        return false; /* a number that tells nothing of what follows */
        }
        pair->parts_left = parts - 1;
        if (parts <= VMO_BUFFER_PARTS_MAX &&
            push_part(pair, frame, part, net->header_bytes, written_bytes - net->header_bytes))
                return true;
        pair->skip_left = pair->parts_left;
        pair->parts_left = 0;
        return false;
}

/* Looks at the whole of it, now that all parts are there. */
static bool finish_frame(const struct virtio_net *net, const struct virtio_net_pair *pair,
                         struct netdev_received *frame)
{
        const struct vmo_buffer *buffer = &frame->buffer.buffer;
        return buffer->length >= NETDEV_HEADER_BYTES && buffer->length <= NETDEV_FRAME_BYTES_MAX &&
               read_header(net, &pair->header, buffer->length, &frame->info);
}

/* Nothing came of these parts. */
static void drop(struct virtio_net *net, struct virtio_net_pair *pair,
                 const struct netdev_received *frame)
{
        for (uint32_t i = 0; i < frame->buffer.buffer.part_count; i++)
                give(net, pair, frame->buffer.buffer.parts[i].buffer_id);
}

/* Takes in one used part.
 *   frame    of which parts are there already if pair->parts_left is not 0
 *   returns  whether it is whole now */
static bool take_part(struct virtio_net *net, uint32_t queue,
                      const struct virtqueue_completion *done, struct netdev_received *frame)
{
        struct virtio_net_pair *pair = &net->pairs[queue];
        uint32_t part = (uint32_t)(uintptr_t)done->cookie;
        bool good;
        pair->part_states[part] = VIRTIO_NET_PART_CLIENT;
        if (pair->skip_left != 0) {
                pair->skip_left--;
                give(net, pair, part);
                return false;
        }
        if (pair->parts_left == 0) {
                good = begin_frame(net, pair, part, done->written_bytes, frame);
        } else {
                pair->parts_left--;
                good = push_part(pair, frame, part, 0, done->written_bytes);
                if (!good) { /* the rest of it is no use either */
                        pair->skip_left = pair->parts_left;
                        pair->parts_left = 0;
                }
        }
        if (good && pair->parts_left != 0)
                return false;
        if (good && finish_frame(net, pair, frame))
                return true;
        net->netdev.queues[queue].counters.receive_dropped++;
        drop(net, pair, frame);
        if (!good) /* this part was not in the frame */
                give(net, pair, part);
        return false;
}

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
                if (pair->parts_left != 0)
                        frames[0] = pair->building;
                for (uint32_t i = 0; i < count; i++)
                        good += take_part(net, queue, &done[i], &frames[good]);
                if (pair->parts_left != 0)
                        pair->building = frames[good];
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
