/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Memory objects: what each kind allows under each cache policy, as tables; spec/zircon-objects.md,
 * 6, and the header's order of checks (op, alignment or emptiness, kind, policy, range). */
#include "tests/boot/vmo_bed.h"

#define P PAGE_BYTES
#define PAGES 4
#define PHYSICAL_PA 0xfee00000
#define POLICIES (VMO_CACHE_POLICY_MASK + 1)

#define OK ZX_OK
#define ARGS ZX_ERR_INVALID_ARGS
#define RANGE ZX_ERR_OUT_OF_RANGE
#define STATE ZX_ERR_BAD_STATE
#define NOT ZX_ERR_NOT_SUPPORTED

static unsigned cleaned; /* whole pages */

static void count_cleaned(const void *va, size_t count)
{
        cleaned += is_aligned((uintptr_t)va, P) && count == P;
}

static void no_clean_cache(void)
{
        bed.pool.clean_cache = NULL;
}

static zx_status_t MUST_CHECK make(enum vmo_kind kind, struct vmo **vmo)
{
        bed.pool.clean_cache = count_cleaned;
        bed.clean_up = no_clean_cache;
        switch (kind) {
        case VMO_KIND_PAGED:
                return bed_vmo(PAGES * P, 0, vmo);
        case VMO_KIND_CONTIGUOUS:
                return bed_contiguous(PAGES * P, 0, vmo);
        default:
                return bed_physical(PHYSICAL_PA, PAGES * P, vmo);
        }
}

/* ---- operations ---- */

/* Inside the size; with a policy other than CACHED; beyond the size, CACHED and not. */
struct answers {
        zx_status_t cached, other, beyond, beyond_other;
};

static const struct row {
        uint32_t op;
        bool cleans; /* where it is OK: so many pages as are there */
        struct answers paged, contiguous;
        zx_status_t physical, physical_beyond;
} rows[] = {
        {VMO_OP_COMMIT, false, {OK, OK, RANGE, RANGE}, {OK, OK, RANGE, RANGE}, NOT, NOT},
        {VMO_OP_DECOMMIT, false, {OK, OK, RANGE, RANGE}, {NOT, NOT, NOT, NOT}, NOT, NOT},
        {VMO_OP_ZERO, false, {OK, STATE, RANGE, STATE}, {OK, STATE, RANGE, STATE}, NOT, NOT},
        {VMO_OP_CACHE_SYNC, true, {OK, OK, RANGE, RANGE}, {OK, OK, RANGE, RANGE}, NOT, NOT},
        {VMO_OP_CACHE_CLEAN, true, {OK, OK, RANGE, RANGE}, {OK, OK, RANGE, RANGE}, NOT, NOT},
        {VMO_OP_CACHE_CLEAN_INVALIDATE, true, {OK, OK, RANGE, RANGE}, {OK, OK, RANGE, RANGE},
         NOT, NOT},
        {VMO_OP_CACHE_INVALIDATE, false, {NOT, NOT, RANGE, RANGE}, {NOT, NOT, RANGE, RANGE}, NOT,
         NOT},
        {VMO_OP_DONT_NEED, false, {OK, OK, RANGE, RANGE}, {OK, OK, RANGE, RANGE}, OK, RANGE},
        {VMO_OP_ALWAYS_NEED, false, {OK, OK, RANGE, RANGE}, {OK, OK, RANGE, RANGE}, OK, RANGE},
        {VMO_OP_LOCK, false, {NOT, NOT, NOT, NOT}, {NOT, NOT, NOT, NOT}, NOT, NOT},
        {VMO_OP_UNLOCK, false, {NOT, NOT, NOT, NOT}, {NOT, NOT, NOT, NOT}, NOT, NOT},
        {VMO_OP_TRY_LOCK, false, {NOT, NOT, NOT, NOT}, {NOT, NOT, NOT, NOT}, NOT, NOT},
        {5, false, {ARGS, ARGS, ARGS, ARGS}, {ARGS, ARGS, ARGS, ARGS}, ARGS, ARGS},
};

static void expect_row(struct test *t, struct vmo *vmo, const struct row *row)
{
        bool cached = vmo_cache_policy(vmo) == VMO_CACHE_CACHED;
        struct answers of_kind = vmo_kind(vmo) == VMO_KIND_PAGED ? row->paged : row->contiguous;
        zx_status_t inside = cached ? of_kind.cached : of_kind.other;
        zx_status_t beyond = cached ? of_kind.beyond : of_kind.beyond_other;
        uint64_t there = vmo_committed_pages(vmo);
        if (vmo_kind(vmo) == VMO_KIND_PHYSICAL) {
                inside = row->physical;
                beyond = row->physical_beyond;
        }
        cleaned = 0;
        EXPECT_STATUS(beyond, vmo_op_range(vmo, row->op, P, PAGES * P));
        EXPECT_STATUS(beyond, vmo_op_range(vmo, row->op, -P, 2 * P));
        EXPECT_EQ(cleaned, 0);
        EXPECT_EQ(vmo_committed_pages(vmo), there);
        EXPECT_STATUS(inside, vmo_op_range(vmo, row->op, 0, PAGES * P));
        EXPECT_TRUE(row->op == VMO_OP_COMMIT ||
                    cleaned == (inside == OK && row->cleans ? there : 0));
        /* Alignment and emptiness come before kind and range. */
        if (row->op == VMO_OP_DECOMMIT)
                EXPECT_STATUS(ARGS, vmo_op_range(vmo, row->op, 9 * P + 1, P));
        if (row->cleans || row->op == VMO_OP_CACHE_INVALIDATE)
                EXPECT_STATUS(ARGS, vmo_op_range(vmo, row->op, 9 * P, 0));
}

SWEPT_TEST(vmo_kinds, operations_of_every_kind_under_every_policy)
{
        for (unsigned kind = VMO_KIND_PAGED; kind <= VMO_KIND_PHYSICAL; kind++) {
                for (uint32_t policy = 0; policy < POLICIES; policy++) {
                        struct vmo *vmo;
                        TRY(make((enum vmo_kind)kind, &vmo));
                        TRY(vmo_set_cache_policy(vmo, policy));
                        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                                bool all = rows[i].op == VMO_OP_COMMIT; /* then it makes nothing */
                                if (kind == VMO_KIND_PAGED)
                                        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, all ? 0 : P,
                                                         all ? PAGES * P : 2 * P));
                                expect_row(t, vmo, &rows[i]);
                        }
                        uint64_t pages = kind == VMO_KIND_CONTIGUOUS ? PAGES : 0;
                        if (kind == VMO_KIND_PAGED)
                                TRY(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, PAGES * P));
                        EXPECT_EQ(vmo_committed_pages(vmo), pages);
                }
        }
        return ZX_OK;
}

/* Of no length, in the middle of a page: nothing is made, nothing leaves. */
SWEPT_TEST(vmo_kinds, operations_on_nothing)
{
        static const uint32_t ops[] = {VMO_OP_COMMIT, VMO_OP_ZERO, VMO_OP_DONT_NEED,
                                       VMO_OP_ALWAYS_NEED};
        struct vmo *vmo;
        TRY(make(VMO_KIND_PAGED, &vmo));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, 0, P));
        for (size_t i = 0; i < ARRAY_COUNT(ops); i++) {
                EXPECT_OK(vmo_op_range(vmo, ops[i], 5, 0));
                EXPECT_OK(vmo_op_range(vmo, ops[i], P + 5, 0));
                EXPECT_OK(vmo_op_range(vmo, ops[i], PAGES * P, 0));
                EXPECT_STATUS(RANGE, vmo_op_range(vmo, ops[i], PAGES * P + 1, 0));
                EXPECT_EQ(vmo_committed_pages(vmo), 1);
        }
        EXPECT_OK(vmo_prepare_write(vmo, P + 5, 0));
        EXPECT_OK(vmo_write(vmo, "", P + 5, 0));
        EXPECT_EQ(vmo_committed_pages(vmo), 1);
        return ZX_OK;
}

/* ---- bytes ---- */

SWEPT_TEST(vmo_kinds, bytes_of_every_kind_under_every_policy)
{
        struct vmo *plain;
        uint8_t byte = 0;
        TRY(bed_vmo(P, 0, &plain));
        TRY(vmo_op_range(plain, VMO_OP_COMMIT, 0, P));
        for (unsigned kind = VMO_KIND_PAGED; kind <= VMO_KIND_PHYSICAL; kind++) {
                for (uint32_t policy = 0; policy < POLICIES; policy++) {
                        struct vmo *vmo;
                        zx_status_t inside = policy == VMO_CACHE_CACHED ? OK : STATE;
                        zx_status_t beyond = policy == VMO_CACHE_CACHED ? RANGE : STATE;
                        TRY(make((enum vmo_kind)kind, &vmo));
                        TRY(vmo_set_cache_policy(vmo, policy));
                        if (kind == VMO_KIND_PAGED) /* memory is not what is asked about */
                                TRY(vmo_op_range(vmo, VMO_OP_COMMIT, 0, PAGES * P));
                        if (kind == VMO_KIND_PHYSICAL)
                                inside = beyond = NOT;
                        struct vmo_place place = {vmo, 0}, other = {plain, 0};
                        EXPECT_STATUS(inside, vmo_read(vmo, &byte, PAGES * P - 1, 1));
                        EXPECT_STATUS(inside, vmo_write(vmo, "x", PAGES * P - 1, 1));
                        EXPECT_STATUS(inside, vmo_check_read(vmo, PAGES * P, 0));
                        EXPECT_STATUS(inside, vmo_prepare_write(vmo, 0, 1));
                        EXPECT_STATUS(inside, vmo_copy(place, other, 1));
                        EXPECT_STATUS(inside, vmo_copy(other, place, 1));
                        EXPECT_STATUS(beyond, vmo_read(vmo, &byte, PAGES * P, 1));
                        EXPECT_STATUS(beyond, vmo_write(vmo, "x", PAGES * P, 1));
                        EXPECT_STATUS(beyond, vmo_check_read(vmo, PAGES * P + 1, 0));
                        EXPECT_STATUS(beyond, vmo_prepare_write(vmo, PAGES * P, 1));
                        EXPECT_STATUS(RANGE, vmo_read(vmo, &byte, UINT64_MAX, 1));
                        EXPECT_STATUS(RANGE, vmo_prepare_write(vmo, 1, UINT64_MAX));
                }
        }
        return ZX_OK;
}

/* ---- policies ---- */

static void ignore_unmap(struct vmo_mapping_link *link, uint64_t offset, uint64_t count)
{
}
static const struct vmo_mapping_ops ignore_ops = {ignore_unmap};

/* From each policy to each: a contiguous VMO always has pages, a
 * physical one never has any of ours. */
SWEPT_TEST(vmo_kinds, policies_of_contiguous_and_physical)
{
        for (uint32_t from = 0; from < POLICIES; from++) {
                for (uint32_t to = 0; to < POLICIES; to++) {
                        struct vmo *run, *window;
                        struct vmo_mapping_link link = {.ops = &ignore_ops, .bytes = P};
                        bool allowed = from == VMO_CACHE_CACHED || from == to;
                        bed.pool.clean_cache = count_cleaned;
                        bed.clean_up = no_clean_cache;
                        TRY(bed_physical(PHYSICAL_PA, PAGES * P, &window));
                        TRY(vmo_create_contiguous(&bed.pool, PAGES * P, 0, &run)); /* put below */
                        EXPECT_EQ(vmo_cache_policy(run), VMO_CACHE_CACHED);
                        EXPECT_EQ(vmo_cache_policy(window), VMO_CACHE_UNCACHED);
                        EXPECT_STATUS(ARGS, vmo_set_cache_policy(run, POLICIES + from));
                        EXPECT_STATUS(ARGS, vmo_set_cache_policy(window, POLICIES + from));
                        EXPECT_OK(vmo_set_cache_policy(run, from));
                        EXPECT_OK(vmo_set_cache_policy(window, from));

                        /* Every page of the run on its way out of the caches, none else. */
                        cleaned = 0;
                        EXPECT_STATUS(allowed ? OK : STATE, vmo_set_cache_policy(run, to));
                        EXPECT_EQ(cleaned, from == VMO_CACHE_CACHED && from != to ? PAGES : 0);
                        EXPECT_EQ(vmo_cache_policy(run), allowed ? to : from);
                        EXPECT_OK(vmo_pin(window, 0, P)); /* nothing but a look at the range */
                        EXPECT_OK(vmo_set_cache_policy(window, to));
                        EXPECT_EQ(vmo_cache_policy(window), to);
                        vmo_unpin(window, 0, P);
                        EXPECT_EQ(cleaned, from == VMO_CACHE_CACHED && from != to ? PAGES : 0);

                        vmo_add_mapping(window, &link);
                        EXPECT_STATUS(from == to ? OK : STATE, vmo_set_cache_policy(window, from));
                        vmo_remove_mapping(window, &link);
                        EXPECT_EQ(vmo_cache_policy(window), to);
                        EXPECT_TRUE(vmo_valid(run));
                        vmo_put(run);
                }
        }
        return ZX_OK;
}

SWEPT_TEST(vmo_kinds, a_pinned_or_mapped_run_keeps_its_policy)
{
        struct vmo *run;
        struct vmo_mapping_link link = {.ops = &ignore_ops, .bytes = P};
        TRY(make(VMO_KIND_CONTIGUOUS, &run));
        EXPECT_OK(vmo_pin(run, 3 * P, P));
        EXPECT_STATUS(STATE, vmo_set_cache_policy(run, VMO_CACHE_UNCACHED));
        vmo_unpin(run, 3 * P, P);
        vmo_add_mapping(run, &link);
        EXPECT_STATUS(STATE, vmo_set_cache_policy(run, VMO_CACHE_UNCACHED));
        vmo_remove_mapping(run, &link);
        EXPECT_OK(vmo_set_cache_policy(run, VMO_CACHE_UNCACHED));
        return ZX_OK;
}

/* ---- sizes and pins ---- */

SWEPT_TEST(vmo_kinds, sizes_and_pins_of_contiguous_and_physical)
{
        struct vmo_span span;
        struct vmo_span_list list = {&span, 1};
        size_t count = 42;
        for (unsigned kind = VMO_KIND_CONTIGUOUS; kind <= VMO_KIND_PHYSICAL; kind++) {
                struct vmo *vmo;
                TRY(make((enum vmo_kind)kind, &vmo));
                EXPECT_STATUS(RANGE, vmo_set_size(vmo, UINT64_MAX));
                EXPECT_STATUS(ZX_ERR_UNAVAILABLE, vmo_set_size(vmo, PAGES * P));
                EXPECT_EQ(vmo_content_size(vmo), PAGES * P);
                EXPECT_OK(vmo_set_content_size(vmo, 1));
                EXPECT_STATUS(RANGE, vmo_set_content_size(vmo, PAGES * P + 1));
                EXPECT_EQ(vmo_content_size(vmo), 1);
                EXPECT_EQ(vmo_size(vmo), PAGES * P);

                EXPECT_STATUS(ARGS, vmo_pin(vmo, 0, 0));
                EXPECT_STATUS(ARGS, vmo_pin(vmo, 9 * P + 1, P));
                EXPECT_STATUS(ARGS, vmo_pin(vmo, 9 * P, P + 1));
                EXPECT_STATUS(RANGE, vmo_pin(vmo, P, PAGES * P));
                EXPECT_STATUS(RANGE, vmo_pin(vmo, P, -P));
                EXPECT_STATUS(RANGE, vmo_pinned_spans(vmo, P, PAGES * P, list, &count));
                EXPECT_EQ(count, 42);
                /* A window is there for good: its pages count as pinned. */
                EXPECT_STATUS(kind == VMO_KIND_CONTIGUOUS ? STATE : OK,
                              vmo_pinned_spans(vmo, P, 1, list, &count));
                for (unsigned i = 0; i < VM_PAGE_PIN_COUNT_MAX; i++)
                        EXPECT_OK(vmo_pin(vmo, 2 * P, P));
                EXPECT_STATUS(kind == VMO_KIND_CONTIGUOUS ? ZX_ERR_UNAVAILABLE : OK,
                              vmo_pin(vmo, 0, PAGES * P));
                EXPECT_OK(vmo_pinned_spans(vmo, 2 * P + 1, P - 1, list, &count));
                EXPECT_EQ(span.bytes, P - 1);
                for (unsigned i = 0; i < VM_PAGE_PIN_COUNT_MAX; i++)
                        vmo_unpin(vmo, 2 * P, P);
                count = 42;
        }
        return ZX_OK;
}
