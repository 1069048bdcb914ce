/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_buffer — frames in up to four pieces of registered VMOs.
 *
 * Facts: spec/zircon-objects.md, 10.4. */
#include "kernel/vmo_buffer.h"

#include "base/assert.h"
#include "base/bytes.h"

static void init(struct vmo_buffer *buffer, struct vmo_store *store)
{
        memset(buffer, 0, sizeof(*buffer));
        buffer->store = store;
}

zx_status_t vmo_buffer_push(struct vmo_buffer *buffer, uint32_t buffer_id, struct vmo_region region)
{
        uint64_t length;
        if (buffer->part_count == VMO_BUFFER_PARTS_MAX ||
            add_overflows(buffer->length, region.length, &length))
                return ZX_ERR_INVALID_ARGS;
        buffer->parts[buffer->part_count++] = (struct vmo_buffer_part){buffer_id, region};
        buffer->length = length;
        return ZX_OK;
}

zx_status_t vmo_buffer_read(const struct vmo_buffer *buffer, void *destination, size_t capacity,
                            size_t *read_out)
{
        uint8_t *at = destination;
        zx_status_t status = ZX_OK;
        if (buffer->length > capacity)
                return ZX_ERR_BUFFER_TOO_SMALL;
        for (uint32_t i = 0; i < buffer->part_count && status == ZX_OK; i++)
                status = vmo_store_check_read(buffer->store, buffer->parts[i].region);
        for (uint32_t i = 0; i < buffer->part_count && status == ZX_OK; i++) {
                status = vmo_store_read(buffer->store, buffer->parts[i].region, at);
                at += buffer->parts[i].region.length;
        }
        if (status == ZX_OK)
                *read_out = buffer->length;
        return status;
}

/* The first `bytes` bytes of a region, or all of it. */
static struct vmo_region head_of(struct vmo_region region, uint64_t bytes)
{
        region.length = min_u64(region.length, bytes);
        return region;
}

/* Checks the parts that take the first `bytes` bytes, and makes their pages. */
static zx_status_t prepare(struct vmo_buffer *buffer, uint64_t bytes)
{
        zx_status_t status = ZX_OK;
        /* First what costs nothing, so that a bad part does not leave pages behind. */
        uint64_t left = bytes;
        for (uint32_t i = 0; i < buffer->part_count && left > 0 && status == ZX_OK; i++) {
                struct vmo_region region = head_of(buffer->parts[i].region, left);
                status = vmo_store_check_read(buffer->store, region);
                left -= region.length;
        }
        left = bytes;
        for (uint32_t i = 0; i < buffer->part_count && left > 0 && status == ZX_OK; i++) {
                struct vmo_region region = head_of(buffer->parts[i].region, left);
                status = vmo_store_prepare_write(buffer->store, region);
                left -= region.length;
        }
        return status;
}

zx_status_t vmo_buffer_write(struct vmo_buffer *buffer, const void *source, size_t bytes)
{
        const uint8_t *at = source;
        if (bytes > buffer->length)
                return ZX_ERR_OUT_OF_RANGE;
        zx_status_t status = prepare(buffer, bytes);
        for (uint32_t i = 0; i < buffer->part_count && bytes > 0 && status == ZX_OK; i++) {
                struct vmo_region region = head_of(buffer->parts[i].region, bytes);
                status = vmo_store_write(buffer->store, region, at);
                at += region.length;
                bytes -= region.length;
        }
        return status;
}

/* ---- copy ---- */

/* A place in a buffer: byte `offset` of part `part`. */
struct cursor {
        const struct vmo_buffer *buffer;
        uint32_t part;
        uint64_t offset;
};

/* What is left of the part the cursor is in; goes on to the next part where nothing is. */
static struct vmo_region rest_of_part(struct cursor *cursor)
{
        while (cursor->offset == cursor->buffer->parts[cursor->part].region.length) {
                cursor->part++;
                cursor->offset = 0;
                /* lengths were compared before */
                ASSERT(cursor->part < cursor->buffer->part_count);
        }
        struct vmo_region region = cursor->buffer->parts[cursor->part].region;
        region.offset += cursor->offset;
        region.length -= cursor->offset;
        return region;
}

zx_status_t vmo_buffer_copy_from(struct vmo_buffer *to, const struct vmo_buffer *from,
                                 uint64_t *copied_out)
{
        struct cursor source = {from, 0, 0}, target = {to, 0, 0};
        zx_status_t status = ZX_OK;
        if (from->length > to->length)
                return ZX_ERR_INTERNAL;
        for (uint32_t i = 0; i < from->part_count && status == ZX_OK; i++)
                status = vmo_store_check_read(from->store, from->parts[i].region);
        if (status == ZX_OK)
                status = prepare(to, from->length);

        uint64_t left = from->length;
        while (left > 0 && status == ZX_OK) { /* at most a piece for each border */
                struct vmo_region here = rest_of_part(&source), there = rest_of_part(&target);
                here.length = min_u64(here.length, there.length);
                status = vmo_store_copy(from->store, here, to->store, there);
                source.offset += here.length;
                target.offset += here.length;
                left -= here.length;
        }
        if (status == ZX_OK)
                *copied_out = from->length;
        return status;
}

bool vmo_buffer_valid(const struct vmo_buffer *buffer)
{
        uint64_t length = 0;
        if (buffer->part_count > VMO_BUFFER_PARTS_MAX || buffer->store == NULL)
                return false;
        for (uint32_t i = 0; i < buffer->part_count; i++) {
                if (add_overflows(length, buffer->parts[i].region.length, &length))
                        return false;
        }
        return length == buffer->length;
}

/* ---- transmit ---- */

zx_status_t vmo_store_make_tx_buffer(struct vmo_store *store, const struct tx_request *request,
                                     bool want_metadata, struct tx_buffer *tx)
{
        memset(tx, 0, sizeof(*tx));
        init(&tx->buffer, store);
        tx->id = request->id;
        tx->port_id = request->port_id;
        tx->frame_type = request->frame_type;
        tx->has_metadata = want_metadata;
        tx->metadata = (struct tx_metadata){TX_INFO_NONE, request->flags};
        zx_status_t status = ZX_OK;
        for (uint32_t i = 0; i < request->region_count && status == ZX_OK; i++)
                status = vmo_buffer_push(&tx->buffer, request->id, request->regions[i]);
        return status;
}

bool tx_buffer_take_metadata(struct tx_buffer *tx, struct tx_metadata *metadata)
{
        if (!tx->has_metadata)
                return false;
        tx->has_metadata = false;
        *metadata = tx->metadata;
        return true;
}

/* ---- receive ---- */

void vmo_store_make_empty_rx_buffer(struct vmo_store *store, struct rx_buffer *rx)
{
        init(&rx->buffer, store);
}

void vmo_store_make_rx_space_buffer(struct vmo_store *store, const struct rx_space *space,
                                    struct rx_buffer *rx)
{
        init(&rx->buffer, store);
        rx->buffer.parts[rx->buffer.part_count++] =
                (struct vmo_buffer_part){space->id, space->region};
        rx->buffer.length = space->region.length;
}

zx_status_t rx_buffer_push_space(struct rx_buffer *rx, const struct rx_space *space)
{
        return vmo_buffer_push(&rx->buffer, space->id, space->region);
}

void rx_buffer_with_space(const struct rx_buffer *rx, rx_space_fn function, void *context)
{
        for (uint32_t i = 0; i < rx->buffer.part_count; i++)
                function(context, rx->buffer.parts[i].buffer_id, rx->buffer.parts[i].region);
}

void rx_buffer_with_return(const struct rx_buffer *rx, uint64_t written, rx_return_fn function,
                           void *context)
{
        for (uint32_t i = 0; i < rx->buffer.part_count; i++) {
                uint64_t length = min_u64(written, rx->buffer.parts[i].region.length);
                function(context, rx->buffer.parts[i].buffer_id, 0, length);
                written -= length;
        }
}
