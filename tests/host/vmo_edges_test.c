/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Memory objects: every error, and every edge that the specification names. Each test runs once
 * more for each page that can be refused to it (tests/boot/vmo_bed.h). */
#include "tests/boot/vmo_bed.h"

#define P PAGE_BYTES

static uint8_t bytes[8 * PAGE_BYTES], back[8 * PAGE_BYTES];

static void fill_bytes(void)
{
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = bed_byte(i);
        __builtin_memset(back, 0xee, sizeof(back));
}

static void expect_all(struct test *t, const uint8_t *at, uint8_t value, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                if (!EXPECT_EQ(at[i], value))
                        return;
        }
}

/* ---- making ---- */

SWEPT_TEST(vmo_edges, create_refuses_options_and_sizes)
{
        struct vmo *vmo = NULL;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_create(&bed.pool, P, 1, &vmo));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_create(&bed.pool, P, VMO_RESIZABLE | 8, &vmo));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_create(&bed.pool, P, VMO_DISCARDABLE | 1u << 31,
                                                      &vmo));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_create(&bed.pool, P, VMO_DISCARDABLE, &vmo));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_create(&bed.pool, VMO_BYTES_MAX + 1, 0, &vmo));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_create(&bed.pool, UINT64_MAX, 0, &vmo));
        EXPECT_TRUE(vmo == NULL);

        TRY(bed_vmo(VMO_BYTES_MAX, 0, &vmo)); /* the largest one, at both ends */
        TRY(vmo_write(vmo, "z", VMO_BYTES_MAX - 1, 1));
        TRY(vmo_write(vmo, "a", 0, 1));
        TRY(vmo_read(vmo, back, VMO_BYTES_MAX - 1, 1));
        EXPECT_EQ(back[0], 'z');
        EXPECT_EQ(vmo_committed_pages(vmo), 2);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmo_op_range(vmo, VMO_OP_COMMIT, 0, VMO_BYTES_MAX));
        EXPECT_EQ(vmo_committed_pages(vmo), 2);
        TRY(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, VMO_BYTES_MAX));
        EXPECT_EQ(vmo_committed_pages(vmo), 0);
        return ZX_OK;
}

SWEPT_TEST(vmo_edges, size_zero_is_legal)
{
        struct vmo *vmo;
        size_t count = 7;
        TRY(bed_vmo(0, VMO_RESIZABLE, &vmo));
        EXPECT_EQ(vmo_size(vmo), 0);
        EXPECT_EQ(vmo_content_size(vmo), 0);
        EXPECT_OK(vmo_read(vmo, back, 0, 0));
        EXPECT_OK(vmo_write(vmo, back, 0, 0));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_read(vmo, back, 0, 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_write(vmo, back, 0, 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_read(vmo, back, 1, 0));
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_COMMIT, 0, 0));
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, 0));
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_ZERO, 0, 0));
        EXPECT_OK(vmo_pinned_spans(vmo, 0, 0, (struct vmo_span_list){NULL, 0}, &count));
        EXPECT_EQ(count, 0);
        TRY(vmo_set_size(vmo, 1));
        EXPECT_EQ(vmo_size(vmo), P);
        EXPECT_EQ(vmo_content_size(vmo), 1);
        TRY(vmo_write(vmo, "xyz", P - 3, 3));
        TRY(vmo_set_size(vmo, 0));
        EXPECT_EQ(vmo_committed_pages(vmo), 0);
        return ZX_OK;
}

SWEPT_TEST(vmo_edges, contiguous)
{
        struct vmo *vmo = NULL;
        uint64_t pa, next;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_create_contiguous(&bed.pool, 0, 0, &vmo));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_create_contiguous(&bed.pool, P + 1, 0, &vmo));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_create_contiguous(&bed.pool, P, 64, &vmo));
        /* Not NOT_FOUND, as the pmm says. */
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmo_create_contiguous(&bed.pool, BED_PAGES * P, 0, &vmo));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmo_create_contiguous(&bed.pool, P, 63, &vmo));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmo_create_contiguous(&bed.pool, VMO_BYTES_MAX, 0, &vmo));
        EXPECT_TRUE(vmo == NULL);

        /* Memory that somebody has used. */
        struct vmo *dirty;
        fill_bytes();
        TRY(bed_vmo(8 * P, 0, &dirty));
        TRY(vmo_write(dirty, bytes, 0, 8 * P));
        TRY(vmo_op_range(dirty, VMO_OP_DECOMMIT, 0, 8 * P));

        TRY(bed_contiguous(4 * P, 14, &vmo));
        EXPECT_EQ(vmo_committed_pages(vmo), 4);
        EXPECT_FALSE(vmo_is_resizable(vmo));
        EXPECT_EQ(vmo_kind(vmo), VMO_KIND_CONTIGUOUS);
        TRY(vmo_read(vmo, back, 0, 4 * P));
        expect_all(t, back, 0, 4 * P);
        TRY(vmo_get_page(vmo, 0, 0, &pa));
        EXPECT_TRUE(is_aligned(pa, 4 * P));
        for (uint64_t i = 1; i < 4; i++) {
                TRY(vmo_get_page(vmo, i * P, VMO_PAGE_WRITE, &next));
                EXPECT_EQ(next, pa + i * P);
        }
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_get_page(vmo, 4 * P, 0, &next));
        EXPECT_STATUS(ZX_ERR_UNAVAILABLE, vmo_set_size(vmo, 8 * P));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, P));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, 1));
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_COMMIT, 0, 4 * P));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_op_range(vmo, VMO_OP_COMMIT, 0, 4 * P + 1));

        TRY(vmo_write(vmo, bytes, 0, 4 * P)); /* zeroing keeps the pages */
        TRY(vmo_op_range(vmo, VMO_OP_ZERO, 5, 3 * P));
        EXPECT_EQ(vmo_committed_pages(vmo), 4);
        TRY(vmo_read(vmo, back, 0, 4 * P));
        EXPECT_BYTES_EQ(back, bytes, 5);
        expect_all(t, back + 5, 0, 3 * P);
        EXPECT_BYTES_EQ(back + 5 + 3 * P, bytes + 5 + 3 * P, P - 5);
        return ZX_OK;
}

SWEPT_TEST(vmo_edges, physical)
{
        const uint64_t pa = 0xfee00000;
        struct vmo *vmo = NULL;
        struct vmo_span span;
        uint64_t at;
        size_t count;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_create_physical(&bed.pool, pa + 1, P, &vmo));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_create_physical(&bed.pool, pa, P - 1, &vmo));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_create_physical(&bed.pool, pa, 0, &vmo));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_create_physical(&bed.pool, -P, 2 * P, &vmo));
        EXPECT_TRUE(vmo == NULL);
        TRY(bed_physical(-P, P, &vmo)); /* the last page there is */
        TRY(bed_physical(pa, 3 * P, &vmo));
        EXPECT_EQ(vmo_kind(vmo), VMO_KIND_PHYSICAL);
        EXPECT_EQ(vmo_cache_policy(vmo), VMO_CACHE_UNCACHED);
        EXPECT_EQ(vmo_committed_pages(vmo), 0);
        EXPECT_OK(vmo_get_page(vmo, 2 * P + 5, VMO_PAGE_WRITE, &at));
        EXPECT_EQ(at, pa + 2 * P);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_get_page(vmo, 3 * P, 0, &at));

        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_read(vmo, back, 1, UINT64_MAX));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_read(vmo, back, 0, 1));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_write(vmo, back, 0, 1));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_write(vmo, back, 9 * P, 1));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_op_range(vmo, VMO_OP_COMMIT, 0, P));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, P));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_op_range(vmo, VMO_OP_ZERO, 0, P));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_op_range(vmo, VMO_OP_CACHE_CLEAN, 0, P));
        static const uint32_t ops[] = {VMO_OP_COMMIT,      VMO_OP_DECOMMIT,
                                       VMO_OP_ZERO,        VMO_OP_CACHE_SYNC,
                                       VMO_OP_CACHE_CLEAN, VMO_OP_CACHE_INVALIDATE};
        for (unsigned i = 0; i < ARRAY_COUNT(ops); i++) /* the kind before the range */
                EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_op_range(vmo, ops[i], 9 * P, P));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_op_range(vmo, VMO_OP_CACHE_CLEAN, 9 * P, 0));
        EXPECT_STATUS(ZX_ERR_UNAVAILABLE, vmo_set_size(vmo, P));

        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_pin(vmo, 2 * P, 2 * P));
        EXPECT_OK(vmo_pin(vmo, 0, 3 * P));
        EXPECT_OK(vmo_pinned_spans(vmo, 7, 3 * P - 7, (struct vmo_span_list){&span, 1}, &count));
        EXPECT_EQ(count, 1);
        EXPECT_EQ(span.pa, pa + 7);
        EXPECT_EQ(span.bytes, 3 * P - 7);
        vmo_unpin(vmo, 0, 3 * P);
        EXPECT_OK(vmo_set_cache_policy(vmo, VMO_CACHE_WRITE_COMBINING));
        EXPECT_EQ(vmo_cache_policy(vmo), VMO_CACHE_WRITE_COMBINING);
        return ZX_OK;
}

SWEPT_TEST(vmo_edges, references_keep_the_pages)
{
        struct vmo *vmo;
        TRY(vmo_create(&bed.pool, P, 0, &vmo));
        vmo_get(vmo);
        zx_status_t status = TRIED(vmo_write(vmo, "stay", 0, 4));
        uint64_t with_page = bed_free();
        vmo_put(vmo);
        EXPECT_EQ(bed_free(), with_page);
        if (status == ZX_OK) {
                EXPECT_OK(vmo_read(vmo, back, 0, 4));
                EXPECT_BYTES_EQ(back, "stay", 4);
        }
        vmo_put(vmo);
        TRY(status);
        EXPECT_EQ(bed_free(), with_page + 2); /* its page, and the slab's */
        return ZX_OK;
}

/* ---- bytes ---- */

SWEPT_TEST(vmo_edges, order_of_checks_of_bytes)
{
        struct vmo *vmo, *uncached;
        fill_bytes();
        TRY(bed_vmo(2 * P, 0, &vmo));
        TRY(bed_vmo(2 * P, 0, &uncached));
        TRY(vmo_set_cache_policy(uncached, VMO_CACHE_UNCACHED));

        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_read(uncached, back, UINT64_MAX, 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_write(uncached, back, 2, UINT64_MAX - 1));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_read(uncached, back, 5 * P, 1));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_write(uncached, back, 0, 1));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_read(uncached, back, 0, 0));

        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_read(vmo, back, 0, 2 * P + 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_read(vmo, back, 2 * P, 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_read(vmo, back, 2 * P + 1, 0));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_write(vmo, bytes, P, P + 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_write(vmo, bytes, 2 * P + 1, 0));
        EXPECT_EQ(vmo_committed_pages(vmo), 0); /* nothing was written */
        expect_all(t, back, 0xee, 2 * P);       /* nothing was copied */
        EXPECT_OK(vmo_read(vmo, back, 2 * P, 0));
        EXPECT_OK(vmo_write(vmo, bytes, 2 * P, 0));
        TRY(vmo_write(vmo, bytes, 2 * P - 1, 1));
        EXPECT_OK(vmo_read(vmo, back, 2 * P - 1, 1));
        EXPECT_EQ(back[0], bytes[0]);
        EXPECT_EQ(back[1], 0xee);
        return ZX_OK;
}

/* Every offset and length around the borders of pages. */
SWEPT_TEST(vmo_edges, borders_of_pages)
{
        static const uint64_t edges[] = {0, 1, P - 1, P, P + 1, 2 * P - 1, 2 * P, 3 * P - 1, 3 * P};
        static uint8_t model[3 * PAGE_BYTES];
        struct vmo *vmo;
        fill_bytes();
        TRY(bed_vmo(3 * P, 0, &vmo));
        __builtin_memset(model, 0, sizeof(model));
        for (unsigned a = 0; a < ARRAY_COUNT(edges); a++) {
                for (unsigned b = a; b < ARRAY_COUNT(edges); b++) {
                        uint64_t offset = edges[a], length = edges[b] - edges[a];
                        const uint8_t *source = bytes + 3 * a + 5 * b;
                        TRY(vmo_write(vmo, source, offset, length));
                        __builtin_memcpy(model + offset, source, length);
                        __builtin_memset(back, 0xee, length + 1);
                        EXPECT_OK(vmo_read(vmo, back, offset, length));
                        EXPECT_BYTES_EQ(back, source, length);
                        EXPECT_EQ(back[length], 0xee);
                        EXPECT_OK(vmo_read(vmo, back, 0, 3 * P));
                        EXPECT_BYTES_EQ(back, model, 3 * P);
                }
        }
        return ZX_OK;
}

SWEPT_TEST(vmo_edges, no_memory_has_written_nothing)
{
        struct vmo *vmo, *rest;
        struct list_node taken;
        fill_bytes();
        TRY(bed_vmo(6 * P, 0, &vmo));
        TRY(bed_vmo(P, 0, &rest));
        TRY(vmo_write(vmo, bytes, P, P));
        uint64_t free_pages = bed_free();
        list_init(&taken);
        TRY(free_pages < 3 ? ZX_ERR_NO_MEMORY
                           : pmm_alloc_pages(&bed.pmm, free_pages - 3, 0, &taken));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmo_write(vmo, bytes + 7, 0, 6 * P));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmo_op_range(vmo, VMO_OP_COMMIT, 0, 6 * P));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmo_pin(vmo, 0, 6 * P));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY,
                      vmo_copy((struct vmo_place){vmo, 0}, (struct vmo_place){vmo, P}, 5 * P));
        EXPECT_EQ(bed_free(), 3);
        EXPECT_EQ(vmo_committed_pages(vmo), 1);
        EXPECT_OK(vmo_read(vmo, back, 0, 6 * P));
        expect_all(t, back, 0, P);
        EXPECT_BYTES_EQ(back + P, bytes, P);
        expect_all(t, back + 2 * P, 0, 4 * P);
        /* what there is suffices for this */
        zx_status_t status = TRIED(vmo_write(vmo, bytes + 7, 0, 4 * P));
        pmm_free(&bed.pmm, &taken);
        TRY(status);
        EXPECT_EQ(vmo_committed_pages(vmo), 4);
        return ZX_OK;
}

/* A sink and a source that look at what is going on, act in the middle, and fail when told. */
struct test_stream {
        struct vmo_sink sink;
        struct vmo_source source;
        struct vmo *vmo; /* whose pages it takes away while they are copied; NULL: does nothing */
        size_t done, fail_at;
        unsigned calls;
        size_t longest;
};

static zx_status_t stream_step(struct test_stream *stream, size_t byte_count)
{
        if (stream->vmo != NULL &&
            vmo_op_range(stream->vmo, VMO_OP_DECOMMIT, 0, vmo_size(stream->vmo)) != ZX_OK)
                return ZX_ERR_INTERNAL;
        stream->calls++;
        if (byte_count > stream->longest)
                stream->longest = byte_count;
        if (stream->done + byte_count > stream->fail_at)
                return ZX_ERR_ACCESS_DENIED;
        stream->done += byte_count;
        return ZX_OK;
}

static zx_status_t take_bytes(struct vmo_sink *sink, const void *from, size_t byte_count)
{
        struct test_stream *stream = CONTAINER_OF(sink, struct test_stream, sink);
        size_t at = stream->done;
        zx_status_t status = stream_step(stream, byte_count);
        if (status == ZX_OK)
                __builtin_memcpy(back + at, from, byte_count);
        return status;
}

static zx_status_t give_bytes(struct vmo_source *source, void *destination, size_t byte_count)
{
        struct test_stream *stream = CONTAINER_OF(source, struct test_stream, source);
        size_t at = stream->done;
        zx_status_t status = stream_step(stream, byte_count);
        if (status == ZX_OK)
                __builtin_memcpy(destination, bytes + at, byte_count);
        return status;
}

SWEPT_TEST(vmo_edges, sinks_and_sources_that_fail)
{
        struct vmo *vmo;
        fill_bytes();
        TRY(bed_vmo(4 * P, 0, &vmo));
        for (size_t whole = 0; whole < 4; whole++) { /* pages, of which the first is a part */
                size_t good = whole == 0 ? 0 : whole * P - 10;
                TRY(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, 4 * P));
                struct test_stream in = {.source = {give_bytes}, .fail_at = good + 5};
                zx_status_t status = TRIED(vmo_write_from(vmo, &in.source, 10, 4 * P - 10));
                if (status == ZX_ERR_NO_MEMORY)
                        TRY(status);
                EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, status);
                EXPECT_EQ(in.done, good);
                EXPECT_LE(in.longest, P);
                struct test_stream out = {.sink = {take_bytes}, .fail_at = good + 5};
                EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmo_read_to(vmo, &out.sink, 10, 4 * P - 10));
                EXPECT_EQ(out.done, good);
                EXPECT_EQ(out.calls, whole + 1);
                EXPECT_BYTES_EQ(back, bytes, good);
                EXPECT_OK(vmo_read(vmo, back, 10 + good, 4 * P - 10 - good));
                expect_all(t, back, 0, 4 * P - 10 - good);
        }
        return ZX_OK;
}

/* The page under the copy leaves the VMO:
 * the copy ends well, nothing is lost, nothing is used after. */
SWEPT_TEST(vmo_edges, pages_that_leave_while_they_are_copied)
{
        struct vmo *vmo;
        fill_bytes();
        TRY(bed_vmo(3 * P, 0, &vmo));
        TRY(vmo_write(vmo, bytes, 0, 3 * P));
        struct test_stream out = {.sink = {take_bytes}, .fail_at = SIZE_MAX / 2, .vmo = vmo};
        EXPECT_OK(vmo_read_to(vmo, &out.sink, 0, 3 * P));
        EXPECT_BYTES_EQ(back, bytes, P);     /* it was held */
        expect_all(t, back + P, 0, 2 * P);   /* these had left before */
        EXPECT_EQ(vmo_committed_pages(vmo), 0);
        EXPECT_EQ(pmm_count_state(&bed.pmm, VM_PAGE_OBJECT), 0);

        struct test_stream in = {.source = {give_bytes}, .fail_at = SIZE_MAX / 2, .vmo = vmo};
        TRY((in.calls = 0, in.done = 0, vmo_write_from(vmo, &in.source, 0, 3 * P)));
        EXPECT_EQ(in.calls, 3);
        EXPECT_EQ(vmo_committed_pages(vmo), 0);
        EXPECT_EQ(pmm_count_state(&bed.pmm, VM_PAGE_OBJECT), 0);

        /* Failing with the page gone frees it as well. */
        TRY(vmo_write(vmo, bytes, 0, P));
        struct test_stream bad = {.sink = {take_bytes}, .fail_at = 0, .vmo = vmo};
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmo_read_to(vmo, &bad.sink, 0, P));
        EXPECT_EQ(pmm_count_state(&bed.pmm, VM_PAGE_OBJECT), 0);
        return ZX_OK;
}

/* The VMO shrinks under a read. */
static zx_status_t shrink(struct vmo_sink *sink, const void *from, size_t byte_count)
{
        return vmo_set_size(CONTAINER_OF(sink, struct test_stream, sink)->vmo, P);
}

SWEPT_TEST(vmo_edges, a_vmo_that_shrinks_under_a_read)
{
        struct vmo *vmo;
        fill_bytes();
        TRY(bed_vmo(3 * P, VMO_RESIZABLE, &vmo));
        TRY(vmo_write(vmo, bytes, 0, 3 * P));
        struct test_stream out = {.sink = {shrink}, .vmo = vmo};
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_read_to(vmo, &out.sink, 0, 3 * P));
        return ZX_OK;
}

/* ---- copy ---- */

SWEPT_TEST(vmo_edges, copy_within_itself_is_a_memmove)
{
        static const uint64_t edges[] = {0, 1, P - 1, P, P + 5, 2 * P, 3 * P - 7};
        static const uint64_t lengths[] = {0, 1, 8, P - 1, P, P + 3, 2 * P + 9, 3 * P};
        static uint8_t model[6 * PAGE_BYTES];
        struct vmo *vmo;
        fill_bytes();
        __builtin_memcpy(model, bytes, sizeof(model));
        TRY(bed_vmo(6 * P, 0, &vmo));
        TRY(vmo_write(vmo, bytes, 0, 6 * P));
        for (unsigned a = 0; a < ARRAY_COUNT(edges); a++) {
                for (unsigned b = 0; b < ARRAY_COUNT(edges); b++) {
                        for (unsigned l = 0; l < ARRAY_COUNT(lengths); l++) {
                                struct vmo_place from = {vmo, edges[a]}, to = {vmo, edges[b]};
                                EXPECT_OK(vmo_copy(to, from, lengths[l]));
                                __builtin_memmove(model + edges[b], model + edges[a], lengths[l]);
                                EXPECT_OK(vmo_read(vmo, back, 0, 6 * P));
                                if (!EXPECT_BYTES_EQ(back, model, 6 * P))
                                        return ZX_OK;
                        }
                }
        }
        return ZX_OK;
}

SWEPT_TEST(vmo_edges, copy_between_two)
{
        struct vmo *from, *to, *physical;
        fill_bytes();
        TRY(bed_vmo(4 * P, 0, &from));
        TRY(bed_vmo(4 * P, 0, &to));
        TRY(bed_physical(0xfee00000, P, &physical));
        struct vmo_place source = {from, 100}, target = {to, 1000};

        /* Source first, then destination; nothing is made for a copy that is refused. */
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_copy(target, (struct vmo_place){physical, 0},
                                                     5 * P));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_copy((struct vmo_place){physical, 0}, source,
                                                    4 * P));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_copy((struct vmo_place){physical, 0}, source, 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_copy(target, source, 4 * P - 999));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_copy(target, source, SIZE_MAX));
        EXPECT_EQ(vmo_committed_pages(to), 0);
        EXPECT_OK(vmo_copy((struct vmo_place){to, 4 * P}, (struct vmo_place){from, 4 * P}, 0));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_copy(target, (struct vmo_place){from, 4 * P + 1},
                                                    0));

        TRY(vmo_write(from, bytes, 0, P));
        TRY(vmo_write(from, bytes + 2 * P, 2 * P, P)); /* page 1 is not there */
        TRY(vmo_write(to, bytes + 999, 0, 4 * P));
        TRY(vmo_copy(target, source, 3 * P - 200));
        EXPECT_EQ(vmo_committed_pages(from), 2); /* the source stays as it is */
        __builtin_memset(bytes + P, 0, P);
        TRY(vmo_read(to, back, 1000, 3 * P - 200));
        EXPECT_BYTES_EQ(back, bytes + 100, 3 * P - 200);
        return ZX_OK;
}
