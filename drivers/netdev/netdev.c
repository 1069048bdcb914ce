/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What is the same for all cards: who is attached, which frames make sense, what is counted. Knows
 * no CPU and no clock. Relies on kernel/vmo_store.h; the store's side is netdev_memory.c. */
#include "drivers/netdev/netdev_card.h"

#include "base/assert.h"
#include "base/bytes.h"

#define ETHERTYPE_OFFSET 12 /* in a frame */
#define ETHERTYPE_VLAN 0x8100
#define CHECKSUM_BYTES 2
#define MAC_GROUP_BIT 0 /* of the first byte */
#define VLAN_ID_MAX 4094

void netdev_init(struct netdev *netdev, const struct netdev_ops *ops, struct vmo_pool *pool)
{
        *netdev = (struct netdev){.ops = ops, .pool = pool, .queue_pairs = 1};
        vmo_store_init(&netdev->store, netdev->name);
}

/* ---- clients ---- */

zx_status_t netdev_attach(struct netdev *netdev, const struct netdev_client *client)
{
        uint32_t pairs = client->queue_pairs == 0 ? 1 : client->queue_pairs;
        zx_status_t status = ZX_OK;
        ASSERT(client->receive != NULL && client->transmit_done != NULL);
        if (netdev->client.receive != NULL)
                return ZX_ERR_ALREADY_BOUND;
        if (!netdev->running)
                return ZX_ERR_BAD_STATE;
        if (pairs > netdev->capabilities.queue_pairs)
                return ZX_ERR_INVALID_ARGS;
        if (pairs != netdev->queue_pairs)
                status = netdev->ops->use_queue_pairs(netdev, pairs);
        if (status != ZX_OK)
                return status;
        netdev->queue_pairs = pairs;
        netdev->client = *client;
        return ZX_OK;
}

zx_status_t netdev_detach(struct netdev *netdev)
{
        if (netdev_transmit_in_flight(netdev) != 0 || netdev_receive_held(netdev) != 0)
                return ZX_ERR_BAD_STATE;
        netdev->client = (struct netdev_client){0};
        for (uint32_t id = 0; id < VMO_STORE_VMOS_MAX; id++)
                if (netdev->client_vmos & BIT_MASK(id))
                        netdev_remove_memory(netdev, id);
        return ZX_OK;
}

static void tell(struct netdev *netdev)
{
        if (netdev->client.state_changed != NULL)
                netdev->client.state_changed(netdev->client.context);
}

void netdev_set_link(struct netdev *netdev, bool up)
{
        if (netdev->link_up == up)
                return;
        netdev->link_up = up;
        netdev->counters.link_changes++;
        tell(netdev);
}

void netdev_set_running(struct netdev *netdev, bool running)
{
        if (netdev->running == running)
                return;
        netdev->running = running;
        if (!running)
                netdev->link_up = false;
        tell(netdev);
}

void netdev_announce(struct netdev *netdev)
{
        if (netdev->client.announce != NULL)
                netdev->client.announce(netdev->client.context);
}

void netdev_remove(struct netdev *netdev)
{
        netdev->removed = true;
        netdev->running = netdev->link_up = false;
        tell(netdev);
}

bool netdev_is_idle(const struct netdev *netdev)
{
        return netdev->client.receive == NULL && netdev_receive_held(netdev) == 0;
}

zx_status_t netdev_restart(struct netdev *netdev)
{
        if (netdev->removed)
                return ZX_ERR_PEER_CLOSED;
        netdev->counters.restarts++;
        return netdev->ops->restart(netdev);
}

/* ---- transmit ---- */

static bool can(const struct netdev *netdev, enum netdev_capability which)
{
        return netdev_can(&netdev->capabilities, which);
}

static zx_status_t check_segmentation(const struct netdev *netdev,
                                      const struct netdev_offload *offload, uint64_t bytes)
{
        static const uint8_t needed[] = {[NETDEV_SEGMENT_TSO4] = NETDEV_CAN_TSO4_BIT,
                                         [NETDEV_SEGMENT_TSO6] = NETDEV_CAN_TSO6_BIT,
                                         [NETDEV_SEGMENT_USO] = NETDEV_CAN_USO_BIT};
        if (offload->segmentation >= ARRAY_COUNT(needed) || !offload->checksum ||
            offload->segment_bytes == 0 || offload->header_bytes == 0 ||
            offload->header_bytes > bytes ||
            (offload->ecn && offload->segmentation == NETDEV_SEGMENT_USO))
                return ZX_ERR_INVALID_ARGS;
        if (!can(netdev, needed[offload->segmentation]) ||
            (offload->ecn && !can(netdev, NETDEV_CAN_TSO_ECN_BIT)))
                return ZX_ERR_NOT_SUPPORTED;
        return bytes <= netdev->capabilities.segmented_bytes_max ? ZX_OK : ZX_ERR_INVALID_ARGS;
}

static zx_status_t check_offload(const struct netdev *netdev, const struct netdev_offload *offload,
                                 uint64_t bytes)
{
        if (offload->checksum) {
                if ((uint64_t)offload->checksum_start + offload->checksum_offset +
                            CHECKSUM_BYTES > bytes)
                        return ZX_ERR_INVALID_ARGS;
                if (!can(netdev, NETDEV_CAN_CHECKSUM_BIT))
                        return ZX_ERR_NOT_SUPPORTED;
        }
        if (offload->vlan && !can(netdev, NETDEV_CAN_VLAN_INSERT_BIT))
                return ZX_ERR_NOT_SUPPORTED;
        if (offload->segmentation != NETDEV_SEGMENT_NONE)
                return check_segmentation(netdev, offload, bytes);
        return offload->ecn ? ZX_ERR_INVALID_ARGS : ZX_OK;
}

/* Whether a frame that is too long by its MTU has a tag in it, which does not count. */
static bool has_tag(struct netdev *netdev, const struct vmo_buffer *buffer)
{
        struct vmo_region type = buffer->parts[0].region;
        uint8_t bytes[2];
        if (type.length < ETHERTYPE_OFFSET + sizeof(bytes))
                return false;
        type.offset += ETHERTYPE_OFFSET;
        type.length = sizeof(bytes);
        return vmo_store_read(&netdev->store, type, bytes) == ZX_OK &&
               bytes[0] == ETHERTYPE_VLAN >> 8 && bytes[1] == (ETHERTYPE_VLAN & 0xff);
}

static zx_status_t check_length(struct netdev *netdev, const struct netdev_frame *frame)
{
        uint64_t bytes = frame->buffer.buffer.length;
        uint64_t limit = (uint64_t)netdev->mtu + NETDEV_HEADER_BYTES;
        if (bytes < NETDEV_HEADER_BYTES)
                return ZX_ERR_INVALID_ARGS;
        if (bytes <= limit || frame->offload.segmentation != NETDEV_SEGMENT_NONE)
                return ZX_OK; /* check_segmentation has its own limit */
        return bytes <= limit + NETDEV_VLAN_TAG_BYTES && !frame->offload.vlan &&
                               has_tag(netdev, &frame->buffer.buffer) ?
                       ZX_OK : ZX_ERR_INVALID_ARGS;
}

static zx_status_t check_regions(const struct netdev *netdev, const struct vmo_buffer *buffer)
{
        uint64_t sum = 0;
        if (buffer->store != &netdev->store || buffer->part_count - 1 >= VMO_BUFFER_PARTS_MAX)
                return ZX_ERR_INVALID_ARGS;
        for (uint32_t i = 0; i < buffer->part_count; i++) {
                struct vmo_region region = buffer->parts[i].region;
                if (region.vmo_id >= VMO_STORE_VMOS_MAX || netdev->runs[region.vmo_id].bytes == 0)
                        return ZX_ERR_NOT_FOUND;
                uint64_t bytes = netdev->runs[region.vmo_id].bytes;
                if (region.offset > bytes || region.length > bytes - region.offset)
                        return ZX_ERR_OUT_OF_RANGE;
                if (region.length == 0)
                        return ZX_ERR_INVALID_ARGS;
                sum += region.length; /* each is less than 2^62: it is memory that exists */
        }
        return sum == buffer->length ? ZX_OK : ZX_ERR_INVALID_ARGS;
}

static zx_status_t check_frame(struct netdev *netdev, const struct netdev_frame *frame)
{
        const struct vmo_buffer *buffer = &frame->buffer.buffer;
        zx_status_t status = check_regions(netdev, buffer);
        if (status == ZX_OK && frame->head_bytes > buffer->parts[0].region.offset % PAGE_BYTES)
                status = ZX_ERR_INVALID_ARGS;
        if (status == ZX_OK)
                status = check_length(netdev, frame);
        if (status == ZX_OK)
                status = check_offload(netdev, &frame->offload, buffer->length);
        return status;
}

zx_status_t netdev_transmit(struct netdev *netdev, uint32_t queue,
                            const struct netdev_frame *frames, uint32_t count, uint32_t *accepted)
{
        zx_status_t status = ZX_OK, sent = ZX_OK;
        uint32_t good = 0;
        *accepted = 0;
        ASSERT(queue < NETDEV_QUEUE_PAIRS_MAX);
        if (!netdev->running || netdev->client.receive == NULL || queue >= netdev->queue_pairs)
                return ZX_ERR_BAD_STATE;
        while (good < count && (status = check_frame(netdev, &frames[good])) == ZX_OK)
                good++;
        if (good != 0)
                sent = netdev->ops->transmit(netdev, queue, frames, good, accepted);
        struct netdev_queue_counters *counters = &netdev->queues[queue].counters;
        counters->transmit_frames += *accepted;
        for (uint32_t i = 0; i < *accepted; i++)
                counters->transmit_bytes += frames[i].buffer.buffer.length;
        counters->transmit_full += sent == ZX_ERR_SHOULD_WAIT;
        return sent != ZX_OK ? sent : status;
}

void netdev_transmit_done(struct netdev *netdev, uint32_t queue, const uint32_t *ids,
                          uint32_t count, zx_status_t status)
{
        struct netdev_queue_counters *counters = &netdev->queues[queue].counters;
        counters->transmit_done += count;
        counters->transmit_failed += status == ZX_OK ? 0 : count;
        ASSERT(counters->transmit_done <= counters->transmit_frames); /* [N1] */
        netdev->client.transmit_done(netdev->client.context, queue, ids, count, status);
}

uint64_t netdev_transmit_in_flight(const struct netdev *netdev)
{
        uint64_t sum = 0;
        for (uint32_t i = 0; i < NETDEV_QUEUE_PAIRS_MAX; i++)
                sum += netdev->queues[i].counters.transmit_frames -
                       netdev->queues[i].counters.transmit_done;
        return sum;
}

/* ---- receive ---- */

static uint32_t part_ids(const struct netdev_received *frame, uint32_t *ids)
{
        for (uint32_t i = 0; i < frame->buffer.buffer.part_count; i++)
                ids[i] = frame->buffer.buffer.parts[i].buffer_id;
        return frame->buffer.buffer.part_count;
}

void netdev_receive_done(struct netdev *netdev, uint32_t queue,
                         const struct netdev_received *frames, uint32_t count)
{
        struct netdev_queue_counters *counters = &netdev->queues[queue].counters;
        uint32_t ids[VMO_BUFFER_PARTS_MAX];
        if (netdev->client.receive == NULL) {
                counters->receive_dropped += count;
                for (uint32_t i = 0; i < count; i++)
                        netdev->ops->release(netdev, queue, ids, part_ids(&frames[i], ids));
                return;
        }
        counters->receive_frames += count;
        for (uint32_t i = 0; i < count; i++) {
                counters->receive_bytes += frames[i].buffer.buffer.length;
                counters->receive_parts += frames[i].buffer.buffer.part_count;
        }
        netdev->client.receive(netdev->client.context, queue, frames, count);
}

void netdev_release(struct netdev *netdev, uint32_t queue, const uint32_t *ids, uint32_t count)
{
        struct netdev_queue *pair = &netdev->queues[queue];
        ASSERT(queue < NETDEV_QUEUE_PAIRS_MAX);
        pair->receive_released += count;
        ASSERT(pair->receive_released <= pair->counters.receive_parts); /* [N2] */
        netdev->ops->release(netdev, queue, ids, count);
}

void netdev_release_frame(struct netdev *netdev, uint32_t queue,
                          const struct netdev_received *frame)
{
        uint32_t ids[VMO_BUFFER_PARTS_MAX];
        netdev_release(netdev, queue, ids, part_ids(frame, ids));
}

uint64_t netdev_receive_held(const struct netdev *netdev)
{
        uint64_t sum = 0;
        for (uint32_t i = 0; i < NETDEV_QUEUE_PAIRS_MAX; i++)
                sum += netdev->queues[i].counters.receive_parts -
                       netdev->queues[i].receive_released;
        return sum;
}

uint32_t netdev_poll(struct netdev *netdev, uint32_t queue, uint32_t budget)
{
        ASSERT(budget != 0 && queue < NETDEV_QUEUE_PAIRS_MAX);
        struct netdev_queue *pair = &netdev->queues[queue];
        ASSERT(!pair->in_poll);
        if (!netdev->running || queue >= netdev->queue_pairs)
                return 0;
        pair->in_poll = true;
        uint32_t done = netdev->ops->poll(netdev, queue, budget);
        pair->in_poll = false;
        return done;
}

/* ---- settings ---- */

static zx_status_t may_set(const struct netdev *netdev, uint32_t needed)
{
        if ((netdev->capabilities.bits & needed) != needed)
                return ZX_ERR_NOT_SUPPORTED;
        return netdev->running ? ZX_OK : ZX_ERR_BAD_STATE;
}

static bool is_group(const uint8_t *mac)
{
        return (mac[0] & BIT_MASK(MAC_GROUP_BIT)) != 0;
}

zx_status_t netdev_set_receive_mode(struct netdev *netdev, const struct netdev_receive_mode *mode)
{
        uint32_t needed = 0, macs = (uint32_t)mode->unicast_count + mode->multicast_count;
        needed |= mode->promiscuous ? (uint32_t)BIT_MASK(NETDEV_CAN_PROMISCUOUS_BIT) : 0;
        needed |= mode->all_multicast ? (uint32_t)BIT_MASK(NETDEV_CAN_ALL_MULTICAST_BIT) : 0;
        needed |= macs != 0 ? (uint32_t)BIT_MASK(NETDEV_CAN_FILTER_MAC_BIT) : 0;
        if (netdev->ops->set_receive_mode == NULL)
                return ZX_ERR_NOT_SUPPORTED;
        if (macs > NETDEV_FILTER_MACS_MAX)
                return ZX_ERR_INVALID_ARGS;
        for (uint32_t i = 0; i < macs; i++)
                if (is_group(mode->macs[i]) != (i >= mode->unicast_count))
                        return ZX_ERR_INVALID_ARGS;
        zx_status_t status = may_set(netdev, needed);
        return status == ZX_OK ? netdev->ops->set_receive_mode(netdev, mode) : status;
}

zx_status_t netdev_set_vlan(struct netdev *netdev, uint16_t vlan_id, bool pass)
{
        if (vlan_id > VLAN_ID_MAX)
                return ZX_ERR_INVALID_ARGS;
        zx_status_t status = may_set(netdev, BIT_MASK(NETDEV_CAN_FILTER_VLAN_BIT));
        return status == ZX_OK ? netdev->ops->set_vlan(netdev, vlan_id, pass) : status;
}

zx_status_t netdev_set_mac(struct netdev *netdev, const uint8_t *mac)
{
        static const uint8_t zeros[NETDEV_MAC_BYTES];
        if (is_group(mac) || memcmp(mac, zeros, NETDEV_MAC_BYTES) == 0)
                return ZX_ERR_INVALID_ARGS;
        zx_status_t status = may_set(netdev, BIT_MASK(NETDEV_CAN_SET_MAC_BIT));
        if (status == ZX_OK)
                status = netdev->ops->set_mac(netdev, mac);
        if (status == ZX_OK)
                memcpy(netdev->mac, mac, NETDEV_MAC_BYTES);
        return status;
}

zx_status_t netdev_set_moderation(struct netdev *netdev,
                                  const struct netdev_moderation *moderation)
{
        zx_status_t status = may_set(netdev, BIT_MASK(NETDEV_CAN_MODERATE_BIT));
        return status == ZX_OK ? netdev->ops->set_moderation(netdev, moderation) : status;
}

/* ---- looking ---- */

const struct netdev_counters *netdev_counters(struct netdev *netdev)
{
        /* All of them are 64 bits wide and are summed as such. */
        const size_t count = sizeof(struct netdev_queue_counters) / sizeof(uint64_t);
        uint64_t *total = (uint64_t *)&netdev->counters.total;
        if (netdev->ops->update_counters != NULL)
                netdev->ops->update_counters(netdev);
        memset(total, 0, sizeof(netdev->counters.total));
        for (uint32_t queue = 0; queue < NETDEV_QUEUE_PAIRS_MAX; queue++) {
                const uint64_t *counters = (const uint64_t *)&netdev->queues[queue].counters;
                for (size_t i = 0; i < count; i++)
                        total[i] += counters[i];
        }
        return &netdev->counters;
}

const char *netdev_capability_name(enum netdev_capability which)
{
        static const char *const names[NETDEV_CAPABILITIES] = {
                [NETDEV_CAN_CHECKSUM_BIT] = "checksum",
                [NETDEV_CAN_TSO4_BIT] = "tso4",
                [NETDEV_CAN_TSO6_BIT] = "tso6",
                [NETDEV_CAN_TSO_ECN_BIT] = "tso-ecn",
                [NETDEV_CAN_USO_BIT] = "uso",
                [NETDEV_CAN_VLAN_INSERT_BIT] = "vlan-insert",
                [NETDEV_CAN_CHECK_RECEIVED_BIT] = "receive-checksum",
                [NETDEV_CAN_COALESCE_BIT] = "coalesce",
                [NETDEV_CAN_VLAN_STRIP_BIT] = "vlan-strip",
                [NETDEV_CAN_HASH_BIT] = "hash",
                [NETDEV_CAN_MULTIQUEUE_BIT] = "multiqueue",
                [NETDEV_CAN_PROMISCUOUS_BIT] = "promiscuous",
                [NETDEV_CAN_ALL_MULTICAST_BIT] = "all-multicast",
                [NETDEV_CAN_FILTER_MAC_BIT] = "filter-mac",
                [NETDEV_CAN_FILTER_VLAN_BIT] = "filter-vlan",
                [NETDEV_CAN_SET_MAC_BIT] = "set-mac",
                [NETDEV_CAN_MODERATE_BIT] = "moderate",
                [NETDEV_CAN_REPORT_LINK_BIT] = "link",
        };
        return which < NETDEV_CAPABILITIES ? names[which] : "?";
}
