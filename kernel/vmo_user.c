/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_user — see the header. */
#include "kernel/vmo_user.h"

#include "base/bytes.h"
#include "kernel/user_copy.h"

struct user_sink {
        struct vmo_sink sink;
        uint64_t va;
};

struct user_source {
        struct vmo_source source;
        uint64_t va;
};

static zx_status_t to_user(struct vmo_sink *base, const void *bytes, size_t byte_count)
{
        struct user_sink *sink = CONTAINER_OF(base, struct user_sink, sink);
        zx_status_t status = user_copy_to(sink->va, bytes, byte_count, NULL);
        sink->va += byte_count;
        return status;
}

static zx_status_t from_user(struct vmo_source *base, void *destination, size_t byte_count)
{
        struct user_source *source = CONTAINER_OF(base, struct user_source, source);
        zx_status_t status = user_copy_from(destination, source->va, byte_count, NULL);
        source->va += byte_count;
        return status;
}

/* What both directions look at first, and nothing is made for it: the VMO's range, then
 * the whole range of user memory. */
static zx_status_t check(struct vmo *vmo, uint64_t user_va, uint64_t offset, size_t bytes)
{
        zx_status_t status = vmo_check_read(vmo, offset, bytes);
        if (status == ZX_OK && bytes != 0 && !user_copy_range_valid(user_va, bytes))
                status = ZX_ERR_INVALID_ARGS;
        return status;
}

zx_status_t vmo_read_user(struct vmo *vmo, uint64_t user_va, uint64_t offset, size_t bytes)
{
        struct user_sink sink = {{to_user}, user_va};
        zx_status_t status = check(vmo, user_va, offset, bytes);
        return status == ZX_OK ? vmo_read_to(vmo, &sink.sink, offset, bytes) : status;
}

zx_status_t vmo_write_user(struct vmo *vmo, uint64_t user_va, uint64_t offset, size_t bytes)
{
        struct user_source source = {{from_user}, user_va};
        zx_status_t status = check(vmo, user_va, offset, bytes);
        return status == ZX_OK ? vmo_write_from(vmo, &source.source, offset, bytes) : status;
}
