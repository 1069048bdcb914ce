/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Memory objects: sizes, policies, operations on ranges, pins, pages for page tables, mappings. As
 * tests/host/vmo_edges_test.c, which has making, bytes and copies. */
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

/* ---- sizes ---- */

SWEPT_TEST(vmo_range_edges, set_size)
{
        struct vmo *vmo, *fixed;
        fill_bytes();
        TRY(bed_vmo(P, 0, &fixed));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_set_size(fixed, UINT64_MAX)); /* before resizable */
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_set_size(fixed, VMO_BYTES_MAX + 1));
        EXPECT_STATUS(ZX_ERR_UNAVAILABLE, vmo_set_size(fixed, VMO_BYTES_MAX));
        EXPECT_STATUS(ZX_ERR_UNAVAILABLE, vmo_set_size(fixed, P));

        TRY(bed_vmo(4 * P, VMO_RESIZABLE, &vmo));
        TRY(vmo_write(vmo, bytes, 0, 4 * P));
        TRY(bed_pin(vmo, 2 * P, P));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_set_size(vmo, 2 * P));
        EXPECT_EQ(vmo_size(vmo), 4 * P);
        EXPECT_EQ(vmo_committed_pages(vmo), 4);
        EXPECT_OK(vmo_set_size(vmo, 2 * P + 1)); /* the pinned page stays, the one behind it goes */
        EXPECT_EQ(vmo_size(vmo), 3 * P);
        EXPECT_EQ(vmo_content_size(vmo), 2 * P + 1);
        EXPECT_EQ(vmo_committed_pages(vmo), 3);
        EXPECT_OK(vmo_read(vmo, back, 0, 3 * P));
        EXPECT_BYTES_EQ(back, bytes, 2 * P + 1);
        expect_all(t, back + 2 * P + 1, 0, P - 1);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_read(vmo, back, 3 * P, 1));

        EXPECT_OK(vmo_set_size(vmo, 5 * P - 1)); /* grows with zeros, without pages */
        EXPECT_EQ(vmo_committed_pages(vmo), 3);
        EXPECT_OK(vmo_read(vmo, back, 3 * P, 2 * P));
        expect_all(t, back, 0, 2 * P);
        EXPECT_OK(vmo_set_size(vmo, VMO_BYTES_MAX));
        EXPECT_EQ(vmo_size(vmo), VMO_BYTES_MAX);
        return ZX_OK;
}

SWEPT_TEST(vmo_range_edges, content_size)
{
        struct vmo *vmo;
        TRY(bed_vmo(P + 1, 0, &vmo));
        EXPECT_EQ(vmo_content_size(vmo), P + 1);
        TRY(vmo_write(vmo, "x", P + 9, 1)); /* behind the content, within the size */
        EXPECT_OK(vmo_set_content_size(vmo, 2 * P));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_set_content_size(vmo, 2 * P + 1));
        EXPECT_EQ(vmo_content_size(vmo), 2 * P);
        EXPECT_OK(vmo_set_content_size(vmo, 0));
        EXPECT_EQ(vmo_content_size(vmo), 0);
        EXPECT_OK(vmo_read(vmo, back, P + 9, 1));
        EXPECT_EQ(back[0], 'x');
        return ZX_OK;
}

/* ---- cache policy ---- */

static unsigned cleaned;
static void count_cleaned(const void *va, size_t count)
{
        cleaned += is_aligned((uintptr_t)va, P) && count == P;
}

static void ignore_unmap(struct vmo_mapping_link *link, uint64_t offset, uint64_t count)
{
}
static const struct vmo_mapping_ops ignore_ops = {ignore_unmap};

static void no_clean_cache(void)
{
        bed.pool.clean_cache = NULL;
}

SWEPT_TEST(vmo_range_edges, cache_policy)
{
        struct vmo *vmo, *empty;
        struct vmo_mapping_link link = {.ops = &ignore_ops, .bytes = P};
        bed.pool.clean_cache = count_cleaned;
        bed.clean_up = no_clean_cache;
        TRY(bed_vmo(4 * P, VMO_RESIZABLE, &vmo));
        TRY(bed_vmo(4 * P, 0, &empty));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, P, 2 * P));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_set_cache_policy(vmo, VMO_CACHE_POLICY_MASK + 1));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_set_cache_policy(vmo, UINT32_MAX));

        vmo_add_mapping(vmo, &link);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_set_cache_policy(vmo, VMO_CACHE_UNCACHED));
        EXPECT_OK(vmo_set_cache_policy(vmo, VMO_CACHE_CACHED)); /* is so already */
        vmo_remove_mapping(vmo, &link);
        EXPECT_OK(vmo_pin(vmo, P, P));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_set_cache_policy(vmo, VMO_CACHE_UNCACHED));
        vmo_unpin(vmo, P, P);

        cleaned = 0;
        EXPECT_OK(vmo_set_cache_policy(vmo, VMO_CACHE_UNCACHED)); /* from CACHED, with pages */
        EXPECT_EQ(cleaned, 2);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_set_cache_policy(vmo, VMO_CACHE_WRITE_COMBINING));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_set_cache_policy(vmo, VMO_CACHE_CACHED));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_op_range(vmo, VMO_OP_ZERO, 0, P));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_op_range(vmo, VMO_OP_ZERO, 9 * P, P));
        EXPECT_OK(vmo_set_size(vmo, 2 * P - 1)); /* clears the last byte, for real */
        EXPECT_EQ(cleaned, 3);
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, 2 * P));
        EXPECT_OK(vmo_set_cache_policy(vmo, VMO_CACHE_CACHED)); /* no pages, so it may */

        cleaned = 0;
        EXPECT_OK(vmo_set_cache_policy(empty, VMO_CACHE_UNCACHED_DEVICE));
        EXPECT_EQ(cleaned, 0);
        TRY((cleaned = 0, vmo_op_range(empty, VMO_OP_COMMIT, 0, 3 * P))); /* zeros reach memory */
        EXPECT_EQ(cleaned, 3);
        return ZX_OK;
}

/* ---- ranges ---- */

SWEPT_TEST(vmo_range_edges, operations_and_their_errors)
{
        static const uint32_t unknown[] = {0, 5, 14, 15, UINT32_MAX};
        static const uint32_t locks[] = {VMO_OP_LOCK, VMO_OP_UNLOCK, VMO_OP_TRY_LOCK};
        static const uint32_t hints[] = {VMO_OP_DONT_NEED, VMO_OP_ALWAYS_NEED};
        static const uint32_t caches[] = {VMO_OP_CACHE_SYNC, VMO_OP_CACHE_CLEAN,
                                          VMO_OP_CACHE_CLEAN_INVALIDATE, VMO_OP_CACHE_INVALIDATE};
        static const uint32_t ranged[] = {VMO_OP_COMMIT, VMO_OP_DECOMMIT, VMO_OP_ZERO,
                                          VMO_OP_DONT_NEED,
                                          VMO_OP_CACHE_SYNC, VMO_OP_CACHE_INVALIDATE};
        struct vmo *vmo;
        bed.pool.clean_cache = count_cleaned;
        bed.clean_up = no_clean_cache;
        TRY(bed_vmo(4 * P, 0, &vmo));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, P, 2 * P));
        for (unsigned i = 0; i < ARRAY_COUNT(unknown); i++)
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_op_range(vmo, unknown[i], 0, P));
        for (unsigned i = 0; i < ARRAY_COUNT(locks); i++)
                EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_op_range(vmo, locks[i], 0, P));
        for (unsigned i = 0; i < ARRAY_COUNT(hints); i++)
                EXPECT_OK(vmo_op_range(vmo, hints[i], 0, 4 * P));
        for (unsigned i = 0; i < ARRAY_COUNT(caches); i++) {
                bool invalidate = caches[i] == VMO_OP_CACHE_INVALIDATE;
                cleaned = 0;
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_op_range(vmo, caches[i], 0, 0));
                EXPECT_EQ(cleaned, 0);
                EXPECT_STATUS(invalidate ? ZX_ERR_NOT_SUPPORTED : ZX_OK,
                              vmo_op_range(vmo, caches[i], 1, 2 * P));
                EXPECT_EQ(cleaned, invalidate ? 0 : 2);
        }
        for (unsigned i = 0; i < ARRAY_COUNT(ranged); i++) {
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_op_range(vmo, ranged[i], 0, 5 * P));
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_op_range(vmo, ranged[i], 4 * P, P));
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_op_range(vmo, ranged[i], P, -P)); /* wraps */
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_op_range(vmo, ranged[i], -P, 2 * P));
        }
        EXPECT_EQ(vmo_committed_pages(vmo), 2);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_op_range(vmo, VMO_OP_DECOMMIT, 1, P));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_op_range(vmo, VMO_OP_DECOMMIT, P, P - 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_op_range(vmo, VMO_OP_DECOMMIT, 5 * P, 0));
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 4 * P, 0));
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_ZERO, 4 * P, 0));
        EXPECT_EQ(vmo_committed_pages(vmo), 2);
        return ZX_OK;
}

SWEPT_TEST(vmo_range_edges, commit_keeps_what_is_there)
{
        struct vmo *vmo;
        uint64_t before, after;
        TRY(bed_vmo(300 * P, 0, &vmo)); /* two levels */
        TRY(vmo_write(vmo, "keep", 70 * P, 4));
        TRY(vmo_get_page(vmo, 70 * P, 0, &before));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, 69 * P + 1, 2 * P)); /* parts of pages are pages */
        EXPECT_EQ(vmo_committed_pages(vmo), 3);
        TRY(vmo_get_page(vmo, 70 * P, 0, &after));
        EXPECT_EQ(before, after);
        EXPECT_OK(vmo_read(vmo, back, 70 * P, 4));
        EXPECT_BYTES_EQ(back, "keep", 4);
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, 63 * P, 10 * P));
        EXPECT_EQ(vmo_committed_pages(vmo), 10);
        EXPECT_EQ(pmm_count_state(&bed.pmm, VM_PAGE_OBJECT), 10);
        return ZX_OK;
}

SWEPT_TEST(vmo_range_edges, zero_in_parts)
{
        static const uint64_t edges[] = {0, 3, P - 1, P, P + 1, 2 * P, 3 * P - 2, 3 * P, 4 * P};
        struct vmo *vmo;
        for (unsigned a = 0; a < ARRAY_COUNT(edges); a++) {
                for (unsigned b = a; b < ARRAY_COUNT(edges); b++) {
                        uint64_t offset = edges[a], length = edges[b] - edges[a];
                        fill_bytes();
                        if (a + b == 0)
                                TRY(bed_vmo(4 * P, 0, &vmo));
                        TRY(vmo_write(vmo, bytes, 0, 4 * P));
                        EXPECT_OK(vmo_op_range(vmo, VMO_OP_ZERO, offset, length));
                        uint64_t whole = edges[b] / P > div_round_up(offset, P)
                                                 ? edges[b] / P - div_round_up(offset, P) : 0;
                        EXPECT_EQ(vmo_committed_pages(vmo), 4 - whole);
                        __builtin_memset(bytes + offset, 0, length);
                        EXPECT_OK(vmo_read(vmo, back, 0, 4 * P));
                        EXPECT_BYTES_EQ(back, bytes, 4 * P);
                }
        }
        return ZX_OK;
}

/* ---- pins ---- */

SWEPT_TEST(vmo_range_edges, pins)
{
        struct vmo *vmo;
        fill_bytes();
        TRY(bed_vmo(4 * P, 0, &vmo));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_pin(vmo, 0, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_pin(vmo, 1, P));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_pin(vmo, 0, P + 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_pin(vmo, 0, 5 * P));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_pin(vmo, P, -P));
        EXPECT_EQ(vmo_committed_pages(vmo), 0);

        TRY(vmo_write(vmo, bytes, 0, 4 * P));
        for (unsigned i = 0; i < VM_PAGE_PIN_COUNT_MAX; i++)
                TRY(bed_pin(vmo, 2 * P, P));
        EXPECT_STATUS(ZX_ERR_UNAVAILABLE, vmo_pin(vmo, 0, 4 * P)); /* because of one of them */
        /* so the others are not pinned */
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, 2 * P));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, 4 * P));
        EXPECT_EQ(vmo_committed_pages(vmo), 2);

        uint64_t before, after; /* zeroed where it is */
        TRY(vmo_get_page(vmo, 2 * P, 0, &before));
        TRY(vmo_op_range(vmo, VMO_OP_ZERO, 0, 4 * P));
        TRY(vmo_get_page(vmo, 2 * P, 0, &after));
        EXPECT_EQ(before, after);
        EXPECT_EQ(vmo_committed_pages(vmo), 1);
        expect_all(t, pmm_pa_to_va(&bed.pmm, after), 0, P);

        while (bed.pin_count > 1) {
                bed.pin_count--;
                vmo_unpin(vmo, 2 * P, P);
                EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_op_range(vmo, VMO_OP_DECOMMIT, 2 * P, P));
        }
        bed.pin_count = 0;
        vmo_unpin(vmo, 2 * P, P);
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 2 * P, P));
        return ZX_OK;
}

SWEPT_TEST(vmo_range_edges, spans)
{
        struct vmo *vmo, *between;
        struct vmo_span spans[8];
        uint64_t pa[6];
        size_t count = 99;
        /* Pages in an order that is not theirs: 0, 2, 1 and some in a row. */
        TRY(bed_vmo(6 * P, 0, &vmo));
        TRY(bed_vmo(P, 0, &between));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, 0, P));
        TRY(vmo_op_range(between, VMO_OP_COMMIT, 0, P));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, 2 * P, P));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, P, P));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, 3 * P, 3 * P));
        struct vmo_span_list list = {spans, 8};
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_pinned_spans(vmo, 0, 1, list, &count));
        TRY(bed_pin(vmo, 0, 5 * P));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_pinned_spans(vmo, 0, 5 * P + 1, list, &count));
        TRY(bed_pin(vmo, 5 * P, P));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_pinned_spans(vmo, 0, 6 * P + 1, list, &count));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_pinned_spans(vmo, 6 * P + 1, 0, list, &count));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_pinned_spans(vmo, 5, UINT64_MAX, list, &count));
        EXPECT_EQ(count, 99);
        EXPECT_OK(vmo_pinned_spans(vmo, 6 * P, 0, list, &count));
        EXPECT_EQ(count, 0);

        for (uint64_t i = 0; i < 6; i++)
                TRY(vmo_get_page(vmo, i * P, 0, &pa[i]));
        for (uint64_t offset = 0; offset <= 2 * P; offset += 777) {
                for (uint64_t length = 1; offset + length <= 6 * P; length += 1234) {
                        TRY(vmo_pinned_spans(vmo, offset, length, list, &count));
                        uint64_t at = offset;
                        /* byte for byte the right place, merged */
                        for (size_t i = 0; i < count; i++) {
                                EXPECT_NE(spans[i].bytes, 0);
                                if (i > 0)
                                        EXPECT_NE(spans[i - 1].pa + spans[i - 1].bytes,
                                                  spans[i].pa);
                                for (uint64_t b = 0; b < spans[i].bytes; b++, at++) {
                                        EXPECT_EQ(spans[i].pa + b, pa[at / P] + at % P);
                                }
                        }
                        EXPECT_EQ(at, offset + length);
                        size_t needed = 0;
                        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL,
                                      vmo_pinned_spans(vmo, offset, length,
                                                       (struct vmo_span_list){NULL, 0}, &needed));
                        EXPECT_EQ(needed, count);
                }
        }
        TRY(vmo_pinned_spans(vmo, 0, 6 * P, list, &count));
        EXPECT_GE(count, 3);
        struct vmo_span first[2] = {{0, 0}, {7, 7}};
        size_t needed = 0;
        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL,
                      vmo_pinned_spans(vmo, 0, 6 * P, (struct vmo_span_list){first, 1}, &needed));
        EXPECT_EQ(needed, count);
        EXPECT_EQ(first[0].pa, spans[0].pa);
        EXPECT_EQ(first[0].bytes, spans[0].bytes);
        EXPECT_EQ(first[1].pa, 7); /* not written */
        return ZX_OK;
}

/* ---- pages for page tables ---- */

struct test_visitor {
        struct vmo_page_visitor visitor;
        unsigned calls, stop_at;
        uint64_t offsets[8], pa[8];
        enum vmo_cache_policy policy;
        struct vmo *vmo;
        bool unlocked;
};

static zx_status_t visit(struct vmo_page_visitor *visitor, uint64_t offset, uint64_t pa,
                         enum vmo_cache_policy policy)
{
        struct test_visitor *v = CONTAINER_OF(visitor, struct test_visitor, visitor);
        if (v->calls == v->stop_at)
                return ZX_ERR_ALREADY_EXISTS;
        v->offsets[v->calls] = offset;
        v->pa[v->calls++] = pa;
        v->policy = policy;
        v->unlocked = v->unlocked || !spinlock_is_held(&v->vmo->lock);
        return ZX_OK;
}

SWEPT_TEST(vmo_range_edges, visiting_pages)
{
        struct vmo *vmo;
        TRY(bed_vmo(5 * P, 0, &vmo));
        TRY(vmo_set_cache_policy(vmo, VMO_CACHE_WRITE_COMBINING));
        struct test_visitor v = {.visitor = {visit}, .stop_at = 8, .vmo = vmo};
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_with_page(vmo, P, 0, &v.visitor));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_with_page(vmo, 5 * P, VMO_PAGE_COMMIT, &v.visitor));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_with_page(vmo, UINT64_MAX, VMO_PAGE_WRITE,
                                                         &v.visitor));
        EXPECT_EQ(v.calls, 0);
        TRY(vmo_with_page(vmo, 3 * P + 9, VMO_PAGE_WRITE, &v.visitor));
        EXPECT_EQ(v.calls, 1);
        EXPECT_EQ(v.offsets[0], 3 * P);
        EXPECT_EQ(v.policy, VMO_CACHE_WRITE_COMBINING);
        EXPECT_FALSE(v.unlocked);
        TRY(vmo_with_page(vmo, P, VMO_PAGE_COMMIT, &v.visitor));
        v.stop_at = v.calls;
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS, vmo_with_page(vmo, P, 0, &v.visitor));

        v.calls = 0;
        v.stop_at = 8;
        /* what is there, within the size */
        EXPECT_OK(vmo_with_pages(vmo, 0, 100 * P, 0, &v.visitor));
        EXPECT_EQ(v.calls, 2);
        EXPECT_EQ(v.offsets[0], P);
        EXPECT_EQ(v.offsets[1], 3 * P);
        EXPECT_OK(vmo_with_pages(vmo, 5 * P, P, VMO_PAGE_COMMIT, &v.visitor)); /* nothing there */
        EXPECT_OK(vmo_with_pages(vmo, 3 * P, -3 * P, 0, &v.visitor));
        EXPECT_EQ(v.calls, 3);
        v.calls = 0;
        TRY(vmo_with_pages(vmo, P, 9 * P, VMO_PAGE_COMMIT, &v.visitor));
        EXPECT_EQ(v.calls, 4);
        EXPECT_EQ(vmo_committed_pages(vmo), 4);
        v.calls = 0;
        v.stop_at = 2;
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS, vmo_with_pages(vmo, 0, 5 * P, 0, &v.visitor));
        EXPECT_EQ(v.calls, 2);
        EXPECT_FALSE(v.unlocked);
        return ZX_OK;
}

/* ---- mappings ---- */

struct test_mapping {
        struct vmo_mapping_link link;
        uint64_t pages; /* bit i: page i was to be forgotten */
        struct vmo *vmo;
        bool unlocked;
};

static void note_pages(struct vmo_mapping_link *link, uint64_t offset, uint64_t count)
{
        struct test_mapping *mapping = CONTAINER_OF(link, struct test_mapping, link);
        for (uint64_t at = offset; at < offset + count; at += P)
                mapping->pages |= BIT_MASK(at / P % 64);
        mapping->unlocked = mapping->unlocked || !spinlock_is_held(&mapping->vmo->lock);
}

static const struct vmo_mapping_ops note_ops = {note_pages};

SWEPT_TEST(vmo_range_edges, every_mapping_over_the_range_is_told)
{
        struct vmo *vmo;
        struct test_mapping mappings[3];
        static const uint64_t windows[3][2] = {{0, 4 * P}, {2 * P, -2 * P}, {6 * P, P}};
        TRY(bed_vmo(8 * P, VMO_RESIZABLE, &vmo));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, 0, 8 * P));
        for (unsigned i = 0; i < 3; i++) {
                mappings[i] = (struct test_mapping){
                        .link = {.ops = &note_ops, .vmo_offset = windows[i][0],
                                 .bytes = windows[i][1]},
                        .vmo = vmo};
                vmo_add_mapping(vmo, &mappings[i].link);
        }
        vmo_get(vmo);
        vmo_put(vmo); /* the links' references are not the last ones either */

        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 3 * P, P));
        EXPECT_EQ(mappings[0].pages, 0x08);
        EXPECT_EQ(mappings[1].pages, 0x08);
        EXPECT_EQ(mappings[2].pages, 0);
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_ZERO, P + 1, 3 * P)); /* whole pages only: 2 and 3 */
        EXPECT_EQ(mappings[0].pages, 0x0c);
        EXPECT_EQ(mappings[1].pages, 0x0c);
        vmo_change_mapping(vmo, &mappings[2].link, 7 * P, P);
        EXPECT_OK(vmo_set_size(vmo, 6 * P + 5));
        EXPECT_EQ(mappings[0].pages, 0x0c);
        EXPECT_EQ(mappings[1].pages, 0x8c);
        EXPECT_EQ(mappings[2].pages, 0x80);
        vmo_remove_mapping(vmo, &mappings[1].link);
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, 7 * P));
        EXPECT_EQ(mappings[0].pages, 0x0f);
        EXPECT_EQ(mappings[1].pages, 0x8c);
        EXPECT_EQ(mappings[2].pages, 0x80);
        for (unsigned i = 0; i < 3; i++)
                EXPECT_FALSE(mappings[i].unlocked);
        vmo_remove_mapping(vmo, &mappings[0].link);
        vmo_remove_mapping(vmo, &mappings[2].link);
        return ZX_OK;
}

SWEPT_TEST(vmo_range_edges, a_mapping_keeps_the_vmo)
{
        struct vmo *vmo;
        struct vmo_mapping_link link = {.ops = &ignore_ops, .bytes = P};
        TRY(vmo_create(&bed.pool, P, 0, &vmo));
        vmo_add_mapping(vmo, &link);
        vmo_put(vmo);
        EXPECT_EQ(slab_counts(&bed.pool.vmos).objects, 1);
        EXPECT_EQ(vmo_size(vmo), P);
        vmo_remove_mapping(vmo, &link);
        EXPECT_EQ(slab_counts(&bed.pool.vmos).objects, 0);
        return ZX_OK;
}

TEST(vmo_range_edges, a_pool_needs_a_pmm)
{
        struct vmo_pool pool;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_pool_init(&pool, NULL));
}

SWEPT_TEST(vmo_range_edges, a_pin_that_is_refused_makes_no_page)
{
        struct vmo *vmo;
        TRY(bed_vmo(4 * P, 0, &vmo));
        for (unsigned i = 0; i < VM_PAGE_PIN_COUNT_MAX; i++)
                TRY(bed_pin(vmo, 2 * P, P));
        EXPECT_STATUS(ZX_ERR_UNAVAILABLE, vmo_pin(vmo, 0, 4 * P));
        EXPECT_EQ(vmo_committed_pages(vmo), 1);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_pin(vmo, 9 * P + 1, P)); /* alignment before range */
        return ZX_OK;
}
