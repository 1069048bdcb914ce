/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The way down through a virtio network card: the client's frames become chains of a header and
 * the runs of memory that they lie in. Nothing here allocates but virtio_net_make_sent(), and
 * nothing prints. Facts: Virtio 1.3, 5.1.6.2. */
#include "drivers/virtio/virtio_net.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/shared.h"

#define NOBODY UINT32_MAX

zx_status_t virtio_net_make_sent(struct virtio_net *net, uint32_t queue)
{
        struct virtio_net_pair *pair = &net->pairs[queue];
        uint32_t size = pair->transmit.ring.size;
        struct virtqueue_area records;
        zx_status_t status = virtio_queue_alloc(
                &pair->transmit, (uint64_t)size * VIRTIO_NET_HEADER_STRIDE, &pair->headers);
        if (status == ZX_OK)
                status = virtio_queue_alloc(&pair->transmit, size * sizeof(*pair->sent), &records);
        if (status != ZX_OK)
                return status;
        memset(pair->headers.va, 0, (size_t)size * VIRTIO_NET_HEADER_STRIDE);
        pair->sent = records.va;
        for (uint32_t i = 0; i < size; i++)
                pair->sent[i].next = i + 1 < size ? i + 1 : NOBODY;
        pair->sent_free = 0;
        return ZX_OK;
}

static zx_status_t send_one(struct virtio_net *net, struct virtio_net_pair *pair,
                            const struct netdev_frame *frame)
{
        struct virtqueue_element elements[1 + NETDEV_SPANS_MAX];
        struct netdev_span spans[NETDEV_SPANS_MAX];
        struct virtio_net_header header = {0};
        uint32_t record = pair->sent_free, count;
        zx_status_t status = ZX_OK;
        if (record == NOBODY)
                return ZX_ERR_SHOULD_WAIT;
        uint64_t header_offset = (uint64_t)record * VIRTIO_NET_HEADER_STRIDE;
        count = netdev_spans(&net->netdev, &frame->buffer.buffer, spans, &status);
        if (count == 0)
                return status;
        shared_copy_out((uint8_t *)pair->headers.va + header_offset, &header, sizeof(header));
        elements[0] = (struct virtqueue_element){pair->headers.dev + header_offset,
                                                 net->header_bytes};
        for (uint32_t i = 0; i < count; i++)
                elements[1 + i] = (struct virtqueue_element){spans[i].dev, spans[i].bytes};
        struct virtqueue_chain chain = {.elements = elements, .readable_count = 1 + count,
                                        .cookie = (void *)(uintptr_t)record};
        status = virtqueue_driver_add(&pair->transmit.ring, &chain);
        if (status != ZX_OK)
                return status;
        pair->sent_free = pair->sent[record].next;
        pair->sent[record].id = frame->buffer.id;
        return ZX_OK;
}

zx_status_t virtio_net_transmit(struct netdev *netdev, uint32_t queue,
                                const struct netdev_frame *frames, uint32_t count,
                                uint32_t *accepted)
{
        struct virtio_net *net = virtio_net_from(netdev);
        struct virtio_net_pair *pair = &net->pairs[queue];
        zx_status_t status = ZX_OK;
        for (*accepted = 0; *accepted < count; ++*accepted) {
                status = send_one(net, pair, &frames[*accepted]);
                if (status != ZX_OK)
                        break;
        }
        virtio_queue_flush(&pair->transmit);
        pair->armed = false;
        /* A broken ring is found and told by poll. */
        return status == ZX_ERR_IO_DATA_INTEGRITY ? ZX_ERR_BAD_STATE : status;
}

/* ---- and back ---- */

static uint32_t free_record(struct virtio_net_pair *pair, const void *cookie)
{
        uint32_t record = (uint32_t)(uintptr_t)cookie;
        pair->sent[record].next = pair->sent_free;
        pair->sent_free = record;
        return pair->sent[record].id;
}

uint32_t virtio_net_reap(struct virtio_net *net, uint32_t queue, uint32_t budget)
{
        struct virtio_net_pair *pair = &net->pairs[queue];
        struct virtqueue_completion done[NETDEV_BATCH_MAX];
        uint32_t ids[NETDEV_BATCH_MAX], taken = 0, count;
        zx_status_t status = ZX_OK;
        while (taken < budget && status == ZX_OK) {
                uint32_t batch = (uint32_t)min_u64(budget - taken, NETDEV_BATCH_MAX);
                status = virtqueue_driver_get(&pair->transmit.ring, done, batch, &count);
                for (uint32_t i = 0; i < count; i++)
                        ids[i] = free_record(pair, done[i].cookie);
                if (count != 0)
                        netdev_transmit_done(&net->netdev, queue, ids, count, ZX_OK);
                taken += count;
        }
        if (status == ZX_ERR_IO_DATA_INTEGRITY)
                virtio_net_fault(net, &pair->transmit);
        return taken;
}

void virtio_net_cancel(struct virtio_net *net, uint32_t queue)
{
        struct virtio_net_pair *pair = &net->pairs[queue];
        uint32_t ids[NETDEV_BATCH_MAX], count = 0;
        void *cookie;
        while (pair->transmit.ring.size != 0 &&
               virtqueue_driver_take_unused(&pair->transmit.ring, &cookie)) {
                ids[count++] = free_record(pair, cookie);
                if (count < NETDEV_BATCH_MAX)
                        continue;
                netdev_transmit_done(&net->netdev, queue, ids, count, ZX_ERR_CANCELED);
                count = 0;
        }
        if (count != 0)
                netdev_transmit_done(&net->netdev, queue, ids, count, ZX_ERR_CANCELED);
}
