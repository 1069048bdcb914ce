/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What a peer can name wrongly in a buffer: in which order the store and its buffers look, and that
 * each call that was refused for it is counted, once. */
#include "tests/boot/vmo_bed.h"

#include "kernel/vmo_buffer.h"

#define P PAGE_BYTES
#define STORED_BYTES (2 * PAGE_BYTES) /* of ids 1 and 2 */
#define NO_ID 9

static struct vmo_store store, other;
static uint8_t bytes[STORED_BYTES], back[STORED_BYTES];
static struct vmo *one, *two;

static void drop_stores(void)
{
        vmo_store_fini(&store);
        vmo_store_fini(&other);
}

/* Id 1 in `store`, id 2 in `other`. */
static zx_status_t make_stores(void)
{
        vmo_store_init(&store, "bed");
        vmo_store_init(&other, "other");
        bed.clean_up = drop_stores;
        __builtin_memset(back, 0xee, sizeof(back));
        zx_status_t status = bed_vmo(STORED_BYTES, 0, &one);
        if (status == ZX_OK)
                status = vmo_store_register(&store, 1, one);
        if (status == ZX_OK)
                status = bed_vmo(STORED_BYTES, 0, &two);
        return status == ZX_OK ? vmo_store_register(&other, 2, two) : status;
}

/* A buffer of up to two parts; a part of no length and id 0 is left out. */
static void make_buffer(struct test *t, struct vmo_store *in, const struct vmo_region *parts,
                        struct rx_buffer *rx)
{
        vmo_store_make_empty_rx_buffer(in, rx);
        for (uint32_t i = 0; i < 2; i++) {
                if (parts[i].vmo_id != 0 || parts[i].length != 0)
                        EXPECT_OK(rx_buffer_push_space(rx, &(struct rx_space){i, parts[i]}));
        }
}

/* ---- order ---- */

/* A region whose id is none says so whatever its range is; a part is
 * looked at after those before it. */
static const struct {
        struct vmo_region parts[2];
        zx_status_t status;
} bad[] = {
        {{{NO_ID, 0, 8}}, ZX_ERR_NOT_FOUND},
        {{{VMO_STORE_VMOS_MAX, 0, 8}}, ZX_ERR_NOT_FOUND}, /* the first that cannot be one */
        {{{UINT8_MAX, 0, 8}}, ZX_ERR_NOT_FOUND},
        {{{NO_ID, STORED_BYTES + 1, 8}}, ZX_ERR_NOT_FOUND},    /* beyond every size */
        {{{NO_ID, UINT64_MAX, 8}}, ZX_ERR_NOT_FOUND},          /* wraps */
        {{{1, STORED_BYTES - 7, 8}}, ZX_ERR_OUT_OF_RANGE},
        {{{1, UINT64_MAX, 8}}, ZX_ERR_OUT_OF_RANGE},
        {{{1, 0, 8}, {NO_ID, UINT64_MAX, 8}}, ZX_ERR_NOT_FOUND},
        {{{1, STORED_BYTES, 8}, {NO_ID, 0, 8}}, ZX_ERR_OUT_OF_RANGE},
        {{{NO_ID, 0, 8}, {1, STORED_BYTES, 8}}, ZX_ERR_NOT_FOUND},
        /* Of no length, but needed before others. */
        {{{NO_ID, 0, 0}, {1, 0, 8}}, ZX_ERR_NOT_FOUND},
        {{{1, STORED_BYTES + 1, 0}, {1, 0, 8}}, ZX_ERR_OUT_OF_RANGE},
};

static void expect_nothing_done(struct test *t)
{
        EXPECT_EQ(vmo_committed_pages(one) + vmo_committed_pages(two), 0);
        EXPECT_EQ(store.counters.reads + store.counters.writes, 0);
        EXPECT_EQ(other.counters.reads + other.counters.writes, 0);
        for (size_t i = 0; i < 16; i++)
                EXPECT_EQ(back[i], 0xee);
}

SWEPT_TEST(vmo_store_refused, buffers_look_at_the_id_first)
{
        static const struct vmo_region room[2] = {{2, 0, 8}, {2, P, 8}};
        struct rx_buffer rx, good;
        size_t got = 42;
        uint64_t copied = 42;
        TRY(make_stores());
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
                uint64_t refused = store.counters.refused;
                make_buffer(t, &store, bad[i].parts, &rx);
                make_buffer(t, &other, room, &good);
                size_t length = vmo_buffer_length(&rx.buffer);
                EXPECT_STATUS(bad[i].status, vmo_buffer_read(&rx.buffer, back, sizeof(back), &got));
                EXPECT_STATUS(bad[i].status, vmo_buffer_write(&rx.buffer, bytes, length));
                EXPECT_STATUS(bad[i].status,
                              vmo_buffer_copy_from(&good.buffer, &rx.buffer, &copied));
                EXPECT_EQ(store.counters.refused, refused + 3);
                if (length == 16) { /* the other way round it must all be needed */
                        EXPECT_STATUS(bad[i].status,
                                      vmo_buffer_copy_from(&rx.buffer, &good.buffer, &copied));
                        EXPECT_EQ(store.counters.refused, refused + 4);
                }
                EXPECT_EQ(other.counters.refused, 0);
                expect_nothing_done(t);
        }
        EXPECT_EQ(got, 42);
        EXPECT_EQ(copied, 42);
        return ZX_OK;
}

/* What the caller brought too little of comes before any part is looked
 * at, and is nobody's refusal. */
SWEPT_TEST(vmo_store_refused, sizes_come_before_parts)
{
        static const struct vmo_region wrong[2] = {{NO_ID, UINT64_MAX, 8}};
        static const struct vmo_region small[2] = {{NO_ID, UINT64_MAX, 7}};
        struct rx_buffer from, to;
        size_t got = 42;
        uint64_t copied = 42;
        TRY(make_stores());
        make_buffer(t, &store, wrong, &from);
        make_buffer(t, &other, small, &to);
        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL, vmo_buffer_read(&from.buffer, back, 7, &got));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_buffer_write(&from.buffer, bytes, 9));
        EXPECT_STATUS(ZX_ERR_INTERNAL, vmo_buffer_copy_from(&to.buffer, &from.buffer, &copied));
        EXPECT_EQ(store.counters.refused + other.counters.refused, 0);

        /* Both sides bad: the source is looked at first, and only there it is counted. */
        static const struct vmo_region beyond[2] = {{1, STORED_BYTES, 8}};
        make_buffer(t, &store, beyond, &from);
        make_buffer(t, &other, wrong, &to);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_buffer_copy_from(&to.buffer, &from.buffer, &copied));
        EXPECT_EQ(store.counters.refused, 1);
        EXPECT_EQ(other.counters.refused, 0);
        static const struct vmo_region good[2] = {{1, 0, 8}};
        make_buffer(t, &store, good, &from);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_buffer_copy_from(&to.buffer, &from.buffer, &copied));
        EXPECT_EQ(store.counters.refused, 1);
        EXPECT_EQ(other.counters.refused, 1);
        expect_nothing_done(t);
        return ZX_OK;
}

/* ---- counters ---- */

SWEPT_TEST(vmo_store_refused, each_call_is_counted_once)
{
        static const struct vmo_region regions[] = {{NO_ID, 0, 1}, {1, STORED_BYTES, 1},
                                                    {1, UINT64_MAX, UINT64_MAX}};
        struct vmo_span span;
        struct vmo_span_list list = {&span, 1};
        size_t count = 42;
        TRY(make_stores());
        EXPECT_STATUS(ZX_ERR_BAD_STATE,
                      vmo_store_pinned_spans(&store, regions[1], list, &count));
        EXPECT_EQ(store.counters.refused, 0); /* not pinned is not the region's fault */
        TRY(vmo_store_pin(&store, 1));
        for (size_t i = 0; i < ARRAY_COUNT(regions); i++) {
                struct vmo_region wrong = regions[i], good = {2, 0, wrong.length};
                zx_status_t status = i == 0 ? ZX_ERR_NOT_FOUND : ZX_ERR_OUT_OF_RANGE;
                uint64_t refused = 5 * i;
                EXPECT_STATUS(status, vmo_store_read(&store, wrong, back));
                EXPECT_EQ(store.counters.refused, refused + 1);
                EXPECT_STATUS(status, vmo_store_write(&store, wrong, bytes));
                EXPECT_EQ(store.counters.refused, refused + 2);
                EXPECT_STATUS(status, vmo_store_check_read(&store, wrong));
                EXPECT_EQ(store.counters.refused, refused + 3);
                EXPECT_STATUS(status, vmo_store_prepare_write(&store, wrong));
                EXPECT_EQ(store.counters.refused, refused + 4);
                EXPECT_STATUS(status, vmo_store_pinned_spans(&store, wrong, list, &count));
                EXPECT_EQ(store.counters.refused, refused + 5);
                EXPECT_STATUS(status, vmo_store_copy(&store, wrong, &other, good));
                EXPECT_EQ(store.counters.refused, refused + 5);
                EXPECT_EQ(other.counters.refused, i + 1); /* in the destination's store */
        }
        EXPECT_EQ(count, 42);

        /* What is right is counted as that, and a look is no read. */
        uint64_t refused = store.counters.refused;
        struct vmo_region right = {1, P - 1, 2};
        EXPECT_OK(vmo_store_check_read(&store, right));
        EXPECT_OK(vmo_store_prepare_write(&store, right));
        EXPECT_EQ(store.counters.reads + store.counters.writes, 0);
        EXPECT_OK(vmo_store_write(&store, right, bytes));
        EXPECT_OK(vmo_store_read(&store, right, back));
        TRY(vmo_store_copy(&store, right, &other, (struct vmo_region){2, 0, 0}));
        EXPECT_STATUS(
                ZX_ERR_BUFFER_TOO_SMALL,
                vmo_store_pinned_spans(&store, right, (struct vmo_span_list){NULL, 0}, &count));
        EXPECT_EQ(store.counters.reads, 2);
        EXPECT_EQ(store.counters.writes, 1);
        EXPECT_EQ(other.counters.reads, 0);
        EXPECT_EQ(other.counters.writes, 1);
        EXPECT_EQ(store.counters.refused, refused);
        return ZX_OK;
}

/* Memory that is short is not the region's fault either. */
SWEPT_TEST(vmo_store_refused, no_memory_is_no_refusal)
{
        struct list_node taken;
        TRY(make_stores());
        list_init(&taken);
        TRY(pmm_alloc_pages(&bed.pmm, bed_free(), 0, &taken));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY,
                      vmo_store_prepare_write(&store, (struct vmo_region){1, 0, 1}));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY,
                      vmo_store_write(&store, (struct vmo_region){1, 0, 1}, bytes));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY,
                      vmo_store_copy(&store, (struct vmo_region){1, 0, 1}, &other,
                                     (struct vmo_region){2, 0, 0}));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmo_store_pin(&store, 1));
        pmm_free(&bed.pmm, &taken);
        EXPECT_EQ(store.counters.refused + other.counters.refused, 0);
        EXPECT_EQ(store.counters.writes + other.counters.writes, 0);
        return ZX_OK;
}
