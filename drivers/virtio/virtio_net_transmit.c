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

static struct virtio_net_header header_of(const struct netdev_offload *offload)
{
        static const uint8_t gso_types[] = {[NETDEV_SEGMENT_NONE] = VIRTIO_NET_GSO_NONE,
                                            [NETDEV_SEGMENT_TSO4] = VIRTIO_NET_GSO_TCP4,
                                            [NETDEV_SEGMENT_TSO6] = VIRTIO_NET_GSO_TCP6,
                                            [NETDEV_SEGMENT_USO] = VIRTIO_NET_GSO_UDP};
        struct virtio_net_header header = {0};
        if (!offload->checksum)
                return header;
        header.flags = VIRTIO_NET_NEEDS_CHECKSUM;
        header.checksum_start = offload->checksum_start;
        header.checksum_offset = offload->checksum_offset;
        if (offload->segmentation == NETDEV_SEGMENT_NONE)
                return header;
        header.gso_type = gso_types[offload->segmentation];
        header.gso_type |= offload->ecn ? VIRTIO_NET_GSO_ECN : 0;
        header.gso_bytes = offload->segment_bytes;
        header.header_bytes = offload->header_bytes; /* exact, as GUEST_HDRLEN wants it */
        return header;
}

/* Writes the header where the client has left room for it, in front of its first span.
 *   returns  false: there is none */
static bool put_in_front(struct virtio_net *net, const struct netdev_frame *frame,
                         const struct virtio_net_header *header, struct netdev_span *first)
{
        struct vmo_region room = frame->buffer.buffer.parts[0].region;
        if (frame->head_bytes < net->header_bytes)
                return false;
        room.offset -= net->header_bytes; /* head_bytes lie in the same page: netdev.h */
        room.length = net->header_bytes;
        void *va = netdev_window(&net->netdev, room);
        if (va == NULL)
                return false;
        shared_copy_out(va, header, net->header_bytes);
        first->dev -= net->header_bytes;
        first->bytes += net->header_bytes;
        return true;
}

/* The elements of a frame's chain: elements[0] for the header, spans from 1 on.
 *   first    out: the element that the chain begins with
 *   returns  how many there are; 0: *status_out */
static uint32_t make_elements(struct virtio_net *net, struct virtio_net_pair *pair,
                              const struct netdev_frame *frame, struct virtqueue_element *elements,
                              uint32_t *first, zx_status_t *status_out)
{
        struct netdev_span spans[NETDEV_SPANS_MAX];
        struct virtio_net_header header = header_of(&frame->offload);
        uint32_t count = netdev_spans(&net->netdev, &frame->buffer.buffer, spans, status_out);
        uint64_t at = (uint64_t)pair->sent_free * VIRTIO_NET_HEADER_STRIDE;
        if (count == 0)
                return 0;
        *first = put_in_front(net, frame, &header, &spans[0]);
        if (*first == 0) {
                shared_copy_out((uint8_t *)pair->headers.va + at, &header, net->header_bytes);
                elements[0] = (struct virtqueue_element){pair->headers.dev + at,
                                                         net->header_bytes};
        }
        for (uint32_t i = 0; i < count; i++)
                elements[1 + i] = (struct virtqueue_element){spans[i].dev, spans[i].bytes};
        return 1 + count - *first;
}

static zx_status_t send_one(struct virtio_net *net, struct virtio_net_pair *pair,
                            const struct netdev_frame *frame)
{
        struct virtqueue_element elements[1 + NETDEV_SPANS_MAX];
        uint32_t record = pair->sent_free, first;
        zx_status_t status = ZX_OK;
        if (record == NOBODY)
                return ZX_ERR_SHOULD_WAIT;
        uint32_t count = make_elements(net, pair, frame, elements, &first, &status);
        if (count == 0)
                return status;
        struct virtqueue_chain chain = {.elements = &elements[first], .readable_count = count,
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
        /* A broken ring is found and put right by poll. */
        return status == ZX_ERR_IO_DATA_INTEGRITY ? ZX_ERR_SHOULD_WAIT : status;
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

void virtio_net_return_sent(struct virtio_net *net, uint32_t queue, zx_status_t status)
{
        struct virtio_net_pair *pair = &net->pairs[queue];
        uint32_t ids[NETDEV_BATCH_MAX], count = 0;
        void *cookie;
        while (pair->transmit.ring.size != 0 &&
               virtqueue_driver_take_unused(&pair->transmit.ring, &cookie)) {
                ids[count++] = free_record(pair, cookie);
                if (count < NETDEV_BATCH_MAX)
                        continue;
                netdev_transmit_done(&net->netdev, queue, ids, count, status);
                count = 0;
        }
        if (count != 0)
                netdev_transmit_done(&net->netdev, queue, ids, count, status);
}
