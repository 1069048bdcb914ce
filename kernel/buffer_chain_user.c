/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* buffer_chain_user — messages from and to user memory. */
#include "kernel/buffer_chain_user.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/user_copy.h"

/* ---- source and sink ---- */

static zx_status_t read_user(struct buffer_chain_source *base, void *destination, size_t bytes)
{
        struct buffer_chain_user_source *source =
                CONTAINER_OF(base, struct buffer_chain_user_source, base);
        zx_status_t status = user_copy_from(destination, source->user_va, bytes, NULL);

        if (status == ZX_OK)
                source->user_va += bytes;
        return status;
}

/* The address tells afterwards how far it came, to the byte. */
static zx_status_t write_user(struct buffer_chain_sink *base, const void *bytes, size_t byte_count)
{
        struct buffer_chain_user_sink *sink =
                CONTAINER_OF(base, struct buffer_chain_user_sink, base);
        size_t copied;
        zx_status_t status = user_copy_to(sink->user_va, bytes, byte_count, &copied);

        sink->user_va += copied;
        return status;
}

struct buffer_chain_user_source buffer_chain_user_source(uint64_t user_va)
{
        return (struct buffer_chain_user_source){{read_user}, user_va};
}

struct buffer_chain_user_sink buffer_chain_user_sink(uint64_t user_va)
{
        return (struct buffer_chain_user_sink){{write_user}, user_va};
}

/* ---- chains ---- */

/* Always fails: closes the chain as a source that cannot be read does. */
static zx_status_t read_nothing(struct buffer_chain_source *base, void *destination, size_t bytes)
{
        return ZX_ERR_INVALID_ARGS;
}

zx_status_t buffer_chain_append_user(struct buffer_chain *chain, uint64_t user_va, size_t bytes,
                                     size_t *copied_out)
{
        struct buffer_chain_user_source source = buffer_chain_user_source(user_va);

        if (bytes > 0 && !user_copy_range_valid(user_va, bytes))
                source.base.read = read_nothing;
        return buffer_chain_append(chain, &source.base, bytes, copied_out);
}

zx_status_t buffer_chain_copy_out_user(const struct buffer_chain *chain, uint64_t user_va,
                                       uint64_t offset, size_t bytes, size_t *copied_out)
{
        struct buffer_chain_user_sink sink = buffer_chain_user_sink(user_va);
        uint64_t length = buffer_chain_length(chain);
        zx_status_t status;

        if (offset > length || bytes > length - offset)
                status = ZX_ERR_OUT_OF_RANGE;
        else if (bytes > 0 && !user_copy_range_valid(user_va, bytes))
                status = ZX_ERR_INVALID_ARGS;
        else
                status = buffer_chain_copy_out(chain, &sink.base, offset, bytes);
        if (copied_out != NULL)
                *copied_out = sink.user_va - user_va;
        return status;
}

/* ---- iovecs ---- */

static zx_status_t read_user_iovecs(struct message_packet_iovec_source *base,
                                    struct message_packet_iovec *iovecs, uint32_t first,
                                    uint32_t count)
{
        struct message_packet_user_iovecs *source =
                CONTAINER_OF(base, struct message_packet_user_iovecs, base);
        uint64_t user_va;

        if (add_overflows(source->array_va, (uint64_t)first * sizeof(*iovecs), &user_va))
                return ZX_ERR_INVALID_ARGS;
        return user_copy_from(iovecs, user_va, count * sizeof(*iovecs), NULL);
}

static zx_status_t read_user_bytes(struct message_packet_iovec_source *base, void *destination,
                                   uint64_t address, size_t bytes)
{
        return user_copy_from(destination, address, bytes, NULL);
}

struct message_packet_user_iovecs message_packet_user_iovecs(uint64_t array_va)
{
        return (struct message_packet_user_iovecs){{read_user_iovecs, read_user_bytes}, array_va};
}
