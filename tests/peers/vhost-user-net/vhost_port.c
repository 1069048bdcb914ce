/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Frames in the rings of a front end, see vhost_port.h; its socket is in vhost_port_socket.c. Every
 * walk through a ring or a chain is lib/virtqueue's. Facts: Virtio 1.3, 5.1.6. */
#include "tests/peers/vhost-user-net/vhost_port_private.h"

#include <stdio.h>
#include <string.h>

#include "virtqueue/virtqueue_chain.h"

#define CACHE_LINE_BYTES 64

static uint32_t header_bytes(const struct vhost_session *session)
{
        return vhost_session_has(session, NET_F_VERSION_1_BIT) ||
                               vhost_session_has(session, NET_F_MRG_RXBUF_BIT) ?
                       NET_HEADER_BYTES :
                       NET_HEADER_LEGACY_BYTES;
}

/* A ring whose driver broke a rule is said once and left alone; the driver's reset revives it. */
static void note_fault(struct vhost_port *vhost, struct vhost_vring *ring)
{
        const struct virtqueue_device_fault *fault = &ring->device.fault;
        if (!vhost_vring_broken(ring))
                return;
        vhost->session.broken_rings++;
        fprintf(stderr, "%s: ring %u is broken by its driver: %s (0x%llx, limit 0x%llx)\n",
                vhost->port.name, (unsigned)(ring - vhost->session.rings),
                virtqueue_device_fault_name(fault->reason), (unsigned long long)fault->value,
                (unsigned long long)fault->limit);
}

/* A signal that the front end does not let us send. */
static void lose_front_end(struct vhost_port *vhost)
{
        vhost_port_disconnect(vhost, "the call descriptor blocks");
}

/* Pages that were not there any more, in whatever was done before. */
static void check_memory(struct vhost_port *vhost)
{
        if (UNLIKELY(vhost->session.memory.lost))
                vhost_port_disconnect(vhost, "memory was cut off after it was mapped");
}

/* ---- from the driver ---- */

/* Copies header and frame of a chain behind the batch; says what is wrong with them.
 *   bytes   out: of the frame */
static enum net_frame_fault read_frame(struct vhost_session *session,
                                       struct virtqueue_chain_io *io, struct net_batch *batch,
                                       uint32_t *bytes)
{
        uint8_t *data = net_batch_place(batch);
        uint32_t head = header_bytes(session), all = virtqueue_chain_readable_left(io), done, rest;
        if (all < head + ETHERNET_HEADER_BYTES)
                return NET_FRAME_SHORT;
        if (all > head + NET_FRAME_BYTES_MAX)
                return NET_FRAME_LONG;
        *bytes = all - head;
        if (LIKELY(head == NET_HEADER_BYTES)) {
                if (virtqueue_chain_read(io, data - head, all, &done) != ZX_OK || done != all)
                        return NET_FRAME_SHORT;
        } else if (virtqueue_chain_read(io, data - NET_HEADER_BYTES, head, &done) != ZX_OK ||
                   virtqueue_chain_read(io, data, *bytes, &rest) != ZX_OK ||
                   done + rest != all) {
                return NET_FRAME_SHORT;
        }
        struct net_header *header = (struct net_header *)(void *)(data - NET_HEADER_BYTES);
        header->buffers = 0;
        return net_frame_check(header, *bytes, session->features);
}

/* Pops up to VHOST_PORT_FRAMES chains, and has the beginning of each fetched: by the time that it
 * is copied it has come over from the driver's CPU. How many. */
static uint32_t pop_chains(struct vhost_port *vhost, struct vhost_vring *ring)
{
        uint32_t count = 0, elements = 0;
        while (count < VHOST_PORT_FRAMES && ring->elements_max - elements >= ring->size) {
                struct virtqueue_request *request = &vhost->taken[count];
                uint64_t mapped;
                request->elements = ring->elements + elements;
                request->elements_max = ring->elements_max - elements;
                if (virtqueue_device_pop(&ring->device, request) != ZX_OK)
                        break;
                count++;
                elements += request->readable_count + request->writable_count;
                if (request->readable_count == 0)
                        continue;
                const struct virtqueue_element *first = &request->elements[0];
                const char *va = virtqueue_device_memory_map(&ring->device.memory, first->dev,
                                                             first->bytes, &mapped);
                if (va != NULL) { /* what is not the driver's is found out when it is read */
                        __builtin_prefetch(va);
                        __builtin_prefetch(va + CACHE_LINE_BYTES);
                }
        }
        return count;
}

/* Takes what a transmit ring has; what a disabled one has is dropped. */
static void take_ring(struct vhost_port *vhost, uint32_t pair, struct net_batch *batch)
{
        struct vhost_session *session = &vhost->session;
        struct vhost_vring *ring = vhost_session_transmit_ring(session, pair);
        struct virtqueue_chain_io io;
        uint32_t count = pop_chains(vhost, ring), done = 0;
        for (; done < count && net_batch_has_room(batch); done++) {
                uint32_t bytes;
                virtqueue_chain_io_init(&io, &ring->device, &vhost->taken[done]);
                if (!ring->enabled)
                        vhost->port.counters.discarded++;
                else if (LIKELY(read_frame(session, &io, batch, &bytes) == NET_FRAME_GOOD))
                        net_batch_add(batch, bytes, pair);
                else
                        vhost->port.counters.bad_frames++;
                (void)virtqueue_chain_finish(&io);
        }
        while (count > done) /* no room: as if they had not been taken */
                virtqueue_device_unpop(&ring->device, &vhost->taken[--count]);
        if (done != 0) {
                vhost->port.touched = true;
                vhost_vring_mute(ring);
        }
        note_fault(vhost, ring);
}

static void take(struct net_port *port, struct net_batch *batch)
{
        struct vhost_port *vhost = CONTAINER_OF(port, struct vhost_port, port);
        uint32_t pairs = vhost->session.rings_used / 2;
        if (pairs == 0)
                return;
        for (uint32_t i = 0; i < pairs; i++) {
                uint32_t pair = (vhost->turn + i) % pairs;
                if (vhost_session_transmit_ring(&vhost->session, pair)->running)
                        take_ring(vhost, pair, batch);
        }
        vhost->turn = (vhost->turn + 1) % pairs;
        check_memory(vhost);
}

/* ---- to the driver ---- */

/* The ring for a frame: that of its pair when it has one, else by its flow; NULL: the driver
 * receives nothing now. */
static struct vhost_vring *choose_ring(struct vhost_session *session,
                                       const struct net_frame_place *frame)
{
        uint32_t pairs = session->rings_used / 2, active = 0;
        if (frame->pair < pairs) {
                struct vhost_vring *ring = vhost_session_receive_ring(session, frame->pair);
                if (ring->running && ring->enabled)
                        return ring;
        }
        for (uint32_t i = 0; i < pairs; i++) {
                const struct vhost_vring *ring = vhost_session_receive_ring(session, i);
                active += ring->running && ring->enabled;
        }
        if (active == 0)
                return NULL;
        uint32_t pair = active == 1 ? 0 : net_frame_flow(frame) % active;
        for (uint32_t i = 0; i < pairs; i++) {
                struct vhost_vring *ring = vhost_session_receive_ring(session, i);
                if (ring->running && ring->enabled && pair-- == 0)
                        return ring;
        }
        return NULL;
}

/* Puts back what is left of the stock. */
static void end_stock(struct vhost_port_stock *stock)
{
        if (stock->ring == NULL)
                return;
        while (stock->popped > stock->first)
                virtqueue_device_unpop(&stock->ring->device, &stock->requests[--stock->popped]);
        stock->ring = NULL;
}

/* Pops more receive buffers, several at a time, and has them fetched for writing; false: there are
 * none now, or none that the stock has room for. */
static bool fill_stock(struct vhost_port_stock *stock)
{
        struct vhost_vring *ring = stock->ring;
        uint32_t before = stock->popped;
        while (stock->popped - before < VHOST_PORT_FRAMES &&
               stock->popped < VHOST_PORT_CHAINS_MAX &&
               ring->elements_max - stock->elements >= ring->size) {
                struct virtqueue_request *request = &stock->requests[stock->popped];
                uint64_t mapped;
                request->elements = ring->elements + stock->elements;
                request->elements_max = ring->elements_max - stock->elements;
                if (virtqueue_device_pop(&ring->device, request) != ZX_OK)
                        break;
                stock->popped++;
                stock->elements += request->readable_count + request->writable_count;
                if (request->writable_count == 0)
                        continue;
                const struct virtqueue_element *first = &request->elements[request->readable_count];
                const char *va = virtqueue_device_memory_map(&ring->device.memory, first->dev,
                                                             first->bytes, &mapped);
                if (va != NULL) {
                        __builtin_prefetch(va, 1);
                        __builtin_prefetch(va + CACHE_LINE_BYTES, 1);
                }
        }
        return stock->popped != before;
}

/* Makes the stock one of this ring, with room. */
static void begin_stock(struct vhost_port_stock *stock, struct vhost_vring *ring)
{
        if (stock->ring == ring && stock->first != stock->popped)
                return;
        end_stock(stock);
        stock->ring = ring;
        stock->first = stock->popped = stock->elements = 0;
}

/* How many receive buffers of the stock `bytes` take, which are then at its beginning.
 *   count    out, with NET_DELIVERED */
static enum net_delivery gather(struct vhost_port *vhost, struct vhost_vring *ring, uint32_t bytes,
                                uint32_t *count)
{
        struct vhost_port_stock *stock = &vhost->stock;
        bool mergeable = vhost_session_has(&vhost->session, NET_F_MRG_RXBUF_BIT), again = false;
        uint32_t head = header_bytes(&vhost->session);
        uint64_t gathered = 0;
        begin_stock(stock, ring);
        *count = 0;
        while (gathered < bytes) {
                if (*count != 0 && !mergeable)
                        goto too_large;
                if (stock->first + *count == stock->popped && !fill_stock(stock)) {
                        if (ring->device.fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                                return NET_DROPPED;
                        bool full = stock->popped == VHOST_PORT_CHAINS_MAX ||
                                    ring->elements_max - stock->elements < ring->size;
                        if (!full)
                                return NET_FULL;
                        if (again || stock->first == 0)
                                goto too_large;
                        end_stock(stock); /* from its beginning there may be room enough */
                        begin_stock(stock, ring);
                        again = true;
                        gathered = *count = 0;
                        continue;
                }
                uint32_t writable = stock->requests[stock->first + (*count)++].writable_bytes;
                if (UNLIKELY(writable < head)) {
                        virtqueue_device_refuse(&ring->device, VIRTQUEUE_DEVICE_FAULT_REFUSED,
                                                writable, head);
                        return NET_DROPPED;
                }
                gathered += writable;
        }
        return NET_DELIVERED;

too_large:
        vhost->port.counters.dropped_large++;
        return NET_DROPPED;
}

/* Writes header and frame over `count` buffers; false: the queue broke on the way. */
static bool write_frame(struct vhost_port *vhost, const struct net_frame_place *frame,
                        uint32_t count)
{
        struct vhost_port_stock *stock = &vhost->stock;
        struct virtqueue_device *device = &stock->ring->device;
        uint32_t head = header_bytes(&vhost->session), left = head + frame->bytes, done;
        const uint8_t *from = frame->data - NET_HEADER_BYTES;
        net_frame_header(frame)->buffers = (uint16_t)count;
        for (uint32_t i = 0; i < count; i++) {
                const struct virtqueue_request *request = &stock->requests[stock->first++];
                uint32_t part = (uint32_t)min_u64(left, request->writable_bytes);
                struct virtqueue_chain_io io;
                virtqueue_chain_io_init(&io, device, request);
                if (UNLIKELY(head != NET_HEADER_BYTES) && i == 0) { /* without num_buffers */
                        if (virtqueue_chain_write(&io, from, head, &done) != ZX_OK)
                                return false;
                        from = frame->data;
                        part -= head;
                        left -= head;
                }
                if (virtqueue_chain_write(&io, from, part, &done) != ZX_OK)
                        return false;
                from += part;
                left -= part;
                (void)virtqueue_chain_finish(&io);
        }
        return true;
}

static enum net_delivery deliver(struct net_port *port, struct net_frame_place *frame)
{
        struct vhost_port *vhost = CONTAINER_OF(port, struct vhost_port, port);
        struct vhost_session *session = &vhost->session;
        uint32_t count;
        struct vhost_vring *ring = choose_ring(session, frame);
        if (ring == NULL || ring->device.fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE) {
                port->counters.dropped_down++;
                return NET_DROPPED;
        }
        if (!net_frame_adapt(frame, session->features)) {
                port->counters.dropped_offload++;
                return NET_DROPPED;
        }
        enum net_delivery result =
                gather(vhost, ring, header_bytes(session) + frame->bytes, &count);
        if (result == NET_DELIVERED && !write_frame(vhost, frame, count))
                result = NET_DROPPED;
        if (result == NET_DELIVERED)
                vhost_vring_mute(ring);
        else
                end_stock(&vhost->stock); /* there may be no flush */
        note_fault(vhost, ring);
        return result;
}

/* ---- between batches ---- */

static void flush(struct net_port *port)
{
        struct vhost_port *vhost = CONTAINER_OF(port, struct vhost_port, port);
        end_stock(&vhost->stock);
        for (uint32_t i = 0; i < vhost->session.rings_used; i++) {
                struct vhost_vring *ring = &vhost->session.rings[i];
                if (!ring->running)
                        continue;
                virtqueue_device_publish(&ring->device);
                if (!vhost_vring_signal(ring)) {
                        lose_front_end(vhost);
                        return;
                }
        }
        check_memory(vhost);
}

static bool ask_source(struct net_port *port)
{
        struct vhost_port *vhost = CONTAINER_OF(port, struct vhost_port, port);
        bool ready = false;
        for (uint32_t i = 1; i < vhost->session.rings_used; i += 2) {
                struct vhost_vring *ring = &vhost->session.rings[i];
                if (ring->running)
                        ready |= vhost_vring_ask(ring);
        }
        return ready;
}

/* For any of them: more wake-ups than needed, but each is followed by another try. */
static bool ask_sink(struct net_port *port)
{
        struct vhost_port *vhost = CONTAINER_OF(port, struct vhost_port, port);
        bool ready = false;
        for (uint32_t i = 0; i < vhost->session.rings_used; i += 2) {
                struct vhost_vring *ring = &vhost->session.rings[i];
                if (ring->running)
                        ready |= vhost_vring_ask(ring);
        }
        return ready;
}

const struct net_port_ops vhost_port_ops = {
        .take = take,
        .deliver = deliver,
        .flush = flush,
        .ask_source = ask_source,
        .ask_sink = ask_sink,
        .must_poll = vhost_port_must_poll,
        .tick = vhost_port_tick,
        .close = vhost_port_close,
};
