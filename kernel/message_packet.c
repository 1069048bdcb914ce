/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* message_packet — one message of a channel, in one BufferChain.
 *
 * Facts: spec/zircon-objects.md, 5. */
#include "kernel/message_packet.h"

#include "base/assert.h"
#include "base/bytes.h"

/* Payload bytes in front of the data. */
static size_t prefix_bytes(size_t handle_count)
{
        return sizeof(struct message_packet) + handle_count * sizeof(void *);
}

/* ---- creation ---- */

/* A packet with room for data_bytes_max bytes of data and none in it. */
static zx_status_t create_empty(struct page_cache *cache, uint64_t data_bytes_max,
                                size_t handle_count, struct message_packet **packet_out)
{
        struct buffer_chain *chain;
        if (data_bytes_max > MESSAGE_PACKET_BYTES_MAX || handle_count > MESSAGE_PACKET_HANDLES_MAX)
                return ZX_ERR_OUT_OF_RANGE;
        zx_status_t status =
                buffer_chain_alloc(cache, prefix_bytes(handle_count) + data_bytes_max, &chain);
        if (status != ZX_OK)
                return status;

        buffer_chain_skip(chain, prefix_bytes(handle_count));
        struct message_packet *packet = buffer_chain_data(buffer_chain_first(chain));
        memset(packet, 0, prefix_bytes(handle_count));
        packet->chain = chain;
        packet->handles = (void **)(packet + 1);
        packet->handle_count = (uint16_t)handle_count;
        *packet_out = packet;
        return ZX_OK;
}

/* The end of each creation: a packet that `data_bytes` were appended to is handed out, one that was
 * not filled is freed. */
static zx_status_t finish(struct message_packet *packet, zx_status_t status, size_t data_bytes,
                          struct message_packet **packet_out)
{
        packet->data_bytes = (uint32_t)data_bytes;
        if (status == ZX_OK)
                *packet_out = packet;
        else
                message_packet_free(packet);
        return status;
}

zx_status_t message_packet_create(struct page_cache *cache, struct buffer_chain_source *source,
                                  size_t data_bytes, size_t handle_count,
                                  struct message_packet **packet_out)
{
        struct message_packet *packet;
        zx_status_t status = create_empty(cache, data_bytes, handle_count, &packet);
        if (status != ZX_OK)
                return status;
        status = buffer_chain_append(packet->chain, source, data_bytes, NULL);
        return finish(packet, status, data_bytes, packet_out);
}

zx_status_t message_packet_create_kernel(struct page_cache *cache, const void *data,
                                         size_t data_bytes, size_t handle_count,
                                         struct message_packet **packet_out)
{
        struct message_packet *packet;
        zx_status_t status = create_empty(cache, data_bytes, handle_count, &packet);
        if (status != ZX_OK)
                return status;
        status = buffer_chain_append_kernel(packet->chain, data, data_bytes, NULL);
        return finish(packet, status, data_bytes, packet_out);
}

/* ---- creation from iovecs ---- */

/* The bytes of one iovec as a source of the chain. */
struct iovec_bytes {
        struct buffer_chain_source base;
        struct message_packet_iovec_source *source;
        uint64_t address;
};

static zx_status_t read_iovec_bytes(struct buffer_chain_source *base, void *destination,
                                    size_t bytes)
{
        struct iovec_bytes *from = CONTAINER_OF(base, struct iovec_bytes, base);
        zx_status_t status =
                from->source->read_bytes(from->source, destination, from->address, bytes);
        from->address += bytes; /* may wrap where the source has just refused it */
        return status;
}

/* One step: entries as they were at one moment, checked, with the sum of their sizes. */
struct iovec_step {
        struct message_packet_iovec iovecs[MESSAGE_PACKET_IOVECS_A_STEP];
        uint32_t count;
        uint64_t bytes;
};

static zx_status_t read_step(struct message_packet_iovec_source *source, uint32_t first,
                             uint32_t iovec_count, struct iovec_step *step)
{
        uint32_t left = iovec_count - first;
        step->count = left < MESSAGE_PACKET_IOVECS_A_STEP ? left : MESSAGE_PACKET_IOVECS_A_STEP;
        step->bytes = 0;
        if (step->count == 0)
                return ZX_OK;
        zx_status_t status = source->read_iovecs(source, step->iovecs, first, step->count);
        for (uint32_t i = 0; i < step->count && status == ZX_OK; i++) {
                step->bytes += step->iovecs[i].bytes;
                if (step->iovecs[i].reserved != 0)
                        status = ZX_ERR_INVALID_ARGS;
        }
        return status;
}

static zx_status_t append_step(struct message_packet *packet,
                               struct message_packet_iovec_source *source,
                               const struct iovec_step *step)
{
        zx_status_t status = ZX_OK;
        if (step->bytes > MESSAGE_PACKET_BYTES_MAX - packet->data_bytes)
                return ZX_ERR_OUT_OF_RANGE;
        for (uint32_t i = 0; i < step->count && status == ZX_OK; i++) {
                struct iovec_bytes from = {{read_iovec_bytes}, source, step->iovecs[i].address};
                status = buffer_chain_append(packet->chain, &from.base, step->iovecs[i].bytes,
                                             NULL);
        }
        packet->data_bytes += (uint32_t)step->bytes;
        return status;
}

zx_status_t message_packet_create_iovecs(struct page_cache *cache,
                                         struct message_packet_iovec_source *source,
                                         uint32_t iovec_count, size_t handle_count,
                                         struct message_packet **packet_out)
{
        struct message_packet *packet;
        struct iovec_step step;
        bool one_step = iovec_count <= MESSAGE_PACKET_IOVECS_A_STEP;
        if (iovec_count > MESSAGE_PACKET_IOVECS_MAX || handle_count > MESSAGE_PACKET_HANDLES_MAX)
                return ZX_ERR_OUT_OF_RANGE;

        zx_status_t status = read_step(source, 0, iovec_count, &step);
        if (status == ZX_OK)
                status = create_empty(cache, one_step ? step.bytes : MESSAGE_PACKET_BYTES_MAX,
                                      handle_count, &packet);
        if (status != ZX_OK)
                return status;
        for (uint32_t done = 0;;) {
                status = append_step(packet, source, &step);
                done += step.count;
                if (status != ZX_OK || done == iovec_count) /* ends: done grows */
                        break;
                status = read_step(source, done, iovec_count, &step);
                if (status != ZX_OK)
                        break;
        }
        buffer_chain_free_unused_buffers(packet->chain);
        return finish(packet, status, packet->data_bytes, packet_out);
}

/* ---- end ---- */

void message_packet_free_list(struct list_node *packets)
{
        struct list_node *node;
        /* Handles that die may add packets behind: as many turns as there are packets in all. */
        while ((node = list_remove_head(packets)) != NULL) {
                struct message_packet *packet = message_packet_from_node(node);
                for (uint32_t i = 0; packet->owns_handles && i < packet->handle_count; i++) {
                        if (packet->handles[i] != NULL)
                                packet->handle_ops->close(packet->handles[i], packets);
                }
                buffer_chain_free(packet->chain);
        }
}

void message_packet_free(struct message_packet *packet)
{
        struct list_node packets;
        list_init(&packets);
        list_add_tail(&packets, &packet->node);
        message_packet_free_list(&packets);
}

/* ---- contents ---- */

void message_packet_set_owns_handles(struct message_packet *packet, bool owns,
                                     const struct message_packet_handle_ops *ops)
{
        ASSERT(!owns || ops != NULL);
        packet->owns_handles = owns;
        packet->handle_ops = ops;
}

static void *data_of(const struct message_packet *packet)
{
        return packet->handles + packet->handle_count;
}

uint32_t message_packet_txid(const struct message_packet *packet)
{
        uint32_t txid = 0;
        if (packet->data_bytes >= MESSAGE_PACKET_TXID_BYTES)
                memcpy(&txid, data_of(packet), MESSAGE_PACKET_TXID_BYTES);
        return txid;
}

void message_packet_set_txid(struct message_packet *packet, uint32_t txid)
{
        if (packet->data_bytes >= MESSAGE_PACKET_TXID_BYTES)
                memcpy(data_of(packet), &txid, MESSAGE_PACKET_TXID_BYTES);
}

zx_status_t message_packet_copy_data(const struct message_packet *packet,
                                     struct buffer_chain_sink *sink)
{
        return buffer_chain_copy_out(packet->chain, sink, prefix_bytes(packet->handle_count),
                                     packet->data_bytes);
}

void message_packet_copy_data_kernel(const struct message_packet *packet, void *destination)
{
        zx_status_t status = buffer_chain_copy_out_kernel(packet->chain, destination,
                                                          prefix_bytes(packet->handle_count),
                                                          packet->data_bytes);
        ASSERT(status == ZX_OK); /* [M2] */
}

bool message_packet_valid(const struct message_packet *packet)
{
        return packet->data_bytes <= MESSAGE_PACKET_BYTES_MAX &&
               packet->handle_count <= MESSAGE_PACKET_HANDLES_MAX && /* [M1] */
               packet->handles == (void *const *)(packet + 1) &&
               (!packet->owns_handles || packet->handle_ops != NULL) &&
               buffer_chain_valid(packet->chain) &&
               packet->chain->tail != BUFFER_CHAIN_END &&
               buffer_chain_length(packet->chain) ==
                       prefix_bytes(packet->handle_count) + packet->data_bytes; /* [M2] */
}
