/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The store of VMOs, TxBuffer and RxBuffer: every error and every edge that the specification
 * names. Each test runs once more for each page that can be refused to it
 * (tests/boot/vmo_bed.h). */
#include "tests/boot/vmo_bed.h"

#include "kernel/vmo_buffer.h"

#define P PAGE_BYTES

static struct vmo_store store, other;
static uint8_t bytes[4 * PAGE_BYTES], back[4 * PAGE_BYTES];

static void drop_stores(void)
{
        vmo_store_fini(&store);
        vmo_store_fini(&other);
}

static void make_stores(void)
{
        vmo_store_init(&store, "bed");
        vmo_store_init(&other, "other");
        bed.clean_up = drop_stores;
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = bed_byte(i);
        __builtin_memset(back, 0xee, sizeof(back));
}

static struct vmo_region region(uint8_t id, uint64_t offset, uint64_t length)
{
        return (struct vmo_region){id, offset, length};
}

static zx_status_t stored_vmo(struct vmo_store *in, uint32_t id, uint64_t size, struct vmo **vmo)
{
        zx_status_t status = bed_vmo(size, 0, vmo);
        return status == ZX_OK ? vmo_store_register(in, id, *vmo) : status;
}

/* What of `back` was written: nothing. */
static void expect_untouched(struct test *t)
{
        for (size_t i = 0; i < sizeof(back); i++) {
                if (!EXPECT_EQ(back[i], 0xee))
                        return;
        }
}

/* ---- ids ---- */

SWEPT_TEST(vmo_store_edges, register_checks_in_order)
{
        struct vmo *vmo, *resizable, *empty, *both, *physical, *uncached;
        make_stores();
        TRY(bed_vmo(P, 0, &vmo));
        TRY(bed_vmo(P, VMO_RESIZABLE, &resizable));
        TRY(bed_vmo(0, 0, &empty));
        TRY(bed_physical(0xfee00000, P, &physical));
        TRY(bed_vmo(P, 0, &uncached));
        TRY(vmo_set_cache_policy(uncached, VMO_CACHE_UNCACHED));

        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmo_store_register(&store, 99, NULL));
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmo_store_register(&store, 3, NULL));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_store_register(&store, 32, resizable));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_store_register(&store, UINT32_MAX, vmo));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_store_register(&store, 3, resizable));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_store_register(&store, 3, physical));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_store_register(&store, 3, empty));
        TRY(bed_vmo(0, VMO_RESIZABLE, &both)); /* resizable before empty */
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_store_register(&store, 3, both));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_store_register(&store, 3, uncached));
        /* refused: counts as no mapping */
        EXPECT_OK(vmo_set_cache_policy(uncached, VMO_CACHE_CACHED));
        EXPECT_EQ(store.used_count, 0);
        EXPECT_TRUE(vmo_store_valid(&store));
        EXPECT_OK(vmo_store_register(&store, 3, vmo));
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS, vmo_store_register(&store, 3, resizable));
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS, vmo_store_register(&store, 3, uncached));
        EXPECT_PTR_EQ(vmo_store_vmo(&store, 3), vmo); /* the old entry is untouched */
        EXPECT_OK(vmo_store_register(&store, 4, vmo)); /* one VMO under two ids */
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_set_cache_policy(vmo, VMO_CACHE_UNCACHED));
        EXPECT_EQ(store.used_count, 2);
        EXPECT_TRUE(vmo_store_valid(&store));
        return ZX_OK;
}

SWEPT_TEST(vmo_store_edges, unregister_and_references)
{
        struct vmo *vmo;
        make_stores();
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_unregister(&store, 0));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_unregister(&store, 32));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_unregister(&store, UINT32_MAX));
        TRY(vmo_create(&bed.pool, P, 0, &vmo));
        EXPECT_OK(vmo_store_register(&store, 0, vmo));
        EXPECT_OK(vmo_store_register(&store, 31, vmo));
        vmo_put(vmo); /* the store keeps it */
        EXPECT_EQ(slab_counts(&bed.pool.vmos).objects, 1);
        zx_status_t written = TRIED(vmo_store_write(&store, region(0, 0, 4), bytes));
        EXPECT_OK(vmo_store_unregister(&store, 0));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_read(&store, region(0, 0, 4), back));
        if (written == ZX_OK) {
                EXPECT_OK(vmo_store_read(&store, region(31, 0, 4), back));
                EXPECT_BYTES_EQ(back, bytes, 4);
        }
        EXPECT_OK(vmo_store_unregister(&store, 31));
        EXPECT_EQ(slab_counts(&bed.pool.vmos).objects, 0);
        EXPECT_EQ(bed_free() + list_count(&bed.taken), bed.free_pages);
        TRY(written);
        return ZX_OK;
}

SWEPT_TEST(vmo_store_edges, push_takes_the_id_that_is_free_longest)
{
        struct vmo *vmo, *resizable;
        uint32_t id = 99;
        make_stores();
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmo_store_push(&store, NULL, &id));
        TRY(bed_vmo(P, 0, &vmo));
        TRY(bed_vmo(P, VMO_RESIZABLE, &resizable));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_store_push(&store, resizable, &id));
        EXPECT_EQ(id, 99);
        EXPECT_OK(vmo_store_register(&store, 1, vmo));
        for (uint32_t i = 0; i < VMO_STORE_VMOS_MAX - 1; i++) {
                EXPECT_OK(vmo_store_push(&store, vmo, &id));
                EXPECT_EQ(id, i == 0 ? 0 : i + 1);
                EXPECT_TRUE(vmo_store_valid(&store));
        }
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, vmo_store_push(&store, vmo, &id));
        EXPECT_OK(vmo_store_unregister(&store, 20));
        EXPECT_OK(vmo_store_unregister(&store, 7));
        EXPECT_OK(vmo_store_unregister(&store, 15));
        EXPECT_OK(vmo_store_register(&store, 7, vmo)); /* from the middle of the free ones */
        EXPECT_TRUE(vmo_store_valid(&store));
        EXPECT_OK(vmo_store_push(&store, vmo, &id));
        EXPECT_EQ(id, 20);
        EXPECT_OK(vmo_store_push(&store, vmo, &id));
        EXPECT_EQ(id, 15);
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, vmo_store_push(&store, vmo, &id));
        EXPECT_EQ(store.used_count, VMO_STORE_VMOS_MAX);
        EXPECT_TRUE(vmo_store_valid(&store));
        return ZX_OK;
}

/* ---- bytes ---- */

SWEPT_TEST(vmo_store_edges, bounds_do_not_wrap)
{
        static const struct vmo_region bad[] = {
                {5, 0, 2 * PAGE_BYTES + 1}, {5, 2 * PAGE_BYTES, 1},  {5, 2 * PAGE_BYTES + 1, 0},
                {5, UINT64_MAX, 1},         {5, UINT64_MAX, 2},      {5, 2, UINT64_MAX},
                {5, 1, UINT64_MAX},         {5, UINT64_MAX, UINT64_MAX},
        };
        struct vmo *vmo;
        make_stores();
        TRY(stored_vmo(&store, 5, 2 * P - 100, &vmo)); /* the size counts, not the content size */
        TRY(stored_vmo(&other, 5, 2 * P, &vmo));
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_store_read(&store, bad[i], back));
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_store_write(&store, bad[i], bytes));
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_store_check_read(&store, bad[i]));
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_store_prepare_write(&store, bad[i]));
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_store_copy(&store, bad[i], &other,
                                                                  region(5, 0, 0)));
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                              vmo_store_copy(&other, region(5, 0, bad[i].length), &store, bad[i]));
        }
        EXPECT_EQ(store.counters.refused, 5 * ARRAY_COUNT(bad)); /* one copy counts in `other` */
        EXPECT_EQ(store.counters.reads + store.counters.writes, 0);
        expect_untouched(t);
        EXPECT_EQ(pmm_count_state(&bed.pmm, VM_PAGE_OBJECT), 0);
        EXPECT_OK(vmo_store_read(&store, region(5, 2 * P, 0), back));
        EXPECT_OK(vmo_store_write(&store, region(5, 2 * P, 0), bytes));
        TRY(vmo_store_write(&store, region(5, 0, 2 * P), bytes));
        EXPECT_OK(vmo_store_read(&store, region(5, 0, 2 * P), back));
        EXPECT_BYTES_EQ(back, bytes, 2 * P);
        return ZX_OK;
}

SWEPT_TEST(vmo_store_edges, copy_checks_ids_then_ranges)
{
        struct vmo *vmo;
        make_stores();
        TRY(stored_vmo(&store, 1, 2 * P, &vmo));
        TRY(stored_vmo(&other, 2, 2 * P, &vmo));
        struct vmo_region good = region(1, 0, 8), to = region(2, P - 4, 0);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_copy(&store, region(2, 0, 8), &other, to));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_copy(&store, region(32, 0, 8), &other, to));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_copy(&store, good, &other, region(255, 0, 0)));
        /* The destination's id comes before the source's range. */
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_copy(&store, region(1, 9 * P, 8), &other, good));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_store_copy(&store, region(1, 9 * P, 8), &other, to));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_store_copy(&store, good, &other,
                                                          region(2, 2 * P - 7, 0)));
        EXPECT_EQ(pmm_count_state(&bed.pmm, VM_PAGE_OBJECT), 0);
        TRY(vmo_store_write(&store, good, bytes));
        TRY(vmo_store_copy(&store, good, &other, to));
        EXPECT_OK(vmo_store_read(&other, region(2, P - 4, 8), back));
        EXPECT_BYTES_EQ(back, bytes, 8);
        EXPECT_EQ(store.counters.reads, 1);
        EXPECT_EQ(other.counters.writes, 1);
        return ZX_OK;
}

/* One VMO under two ids: overlap is seen for what it is. */
SWEPT_TEST(vmo_store_edges, copy_over_itself)
{
        struct vmo *vmo;
        make_stores();
        TRY(stored_vmo(&store, 1, 3 * P, &vmo));
        EXPECT_OK(vmo_store_register(&store, 2, vmo));
        EXPECT_OK(vmo_store_register(&other, 1, vmo));
        for (int shift = -5000; shift <= 5000; shift += 1250) {
                uint64_t from = 5000, to = (uint64_t)(5000 + shift);
                TRY(vmo_store_write(&store, region(1, 0, 3 * P), bytes));
                bool far = shift % 500 != 0;
                TRY(vmo_store_copy(&store, region(1, from, 2000), far ? &other : &store,
                                   region(far ? 1 : 2, to, 0)));
                TRY(vmo_store_read(&store, region(1, to, 2000), back));
                EXPECT_BYTES_EQ(back, bytes + from, 2000);
        }
        return ZX_OK;
}

/* ---- devices ---- */

SWEPT_TEST(vmo_store_edges, pins)
{
        struct vmo *vmo, *run;
        struct vmo_span spans[4];
        size_t count = 42;
        struct vmo_span_list list = {spans, 4};
        make_stores();
        TRY(stored_vmo(&store, 1, 3 * P, &vmo));
        TRY(bed_contiguous(4 * P, 0, &run));
        EXPECT_OK(vmo_store_register(&store, 2, run));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_pin(&store, 0));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_pin(&store, 32));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_pinned_spans(&store, region(0, 0, 1), list,
                                                               &count));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_store_pinned_spans(&store, region(1, 0, 1), list,
                                                               &count));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_store_pinned_spans(&store, region(1, 9 * P, 1), list,
                                                               &count));
        EXPECT_EQ(count, 42);
        TRY(vmo_store_pin(&store, 1));
        TRY(vmo_store_pin(&store, 2));
        EXPECT_STATUS(ZX_ERR_ALREADY_BOUND, vmo_store_pin(&store, 1));
        EXPECT_TRUE(vmo_store_valid(&store));
        EXPECT_EQ(vmo_committed_pages(vmo), 3);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      vmo_store_pinned_spans(&store, region(1, 1, 3 * P), list, &count));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      vmo_store_pinned_spans(&store, region(2, 2, UINT64_MAX), list, &count));
        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL,
                      vmo_store_pinned_spans(&store, region(2, 5, 3 * P),
                                             (struct vmo_span_list){NULL, 0}, &count));
        EXPECT_EQ(count, 1);
        EXPECT_OK(vmo_store_pinned_spans(&store, region(2, 5, 3 * P), list, &count));
        EXPECT_EQ(spans[0].bytes, 3 * P);
        TRY(vmo_store_write(&store, region(2, 5, 4), "phys"));
        EXPECT_BYTES_EQ(pmm_pa_to_va(&bed.pmm, spans[0].pa), "phys", 4);

        EXPECT_OK(vmo_store_unregister(&store, 1)); /* takes the pins off */
        EXPECT_TRUE(vmo_store_valid(&store));
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, 3 * P));
        EXPECT_OK(vmo_store_register(&store, 1, vmo)); /* a new life, not pinned */
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_store_pinned_spans(&store, region(1, 0, 1), list,
                                                               &count));
        return ZX_OK;
}

/* ---- buffers ---- */

SWEPT_TEST(vmo_store_edges, a_fifth_part_is_an_error)
{
        struct vmo_region regions[5];
        struct tx_buffer tx;
        struct rx_buffer rx;
        make_stores();
        for (unsigned i = 0; i < 5; i++)
                /* not looked at yet */
                regions[i] = region((uint8_t)(200 + i), UINT64_MAX - i, i + 1);
        struct tx_request request = {.id = 3, .regions = regions, .region_count = 5, .port_id = 4,
                                     .frame_type = 6};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_store_make_tx_buffer(&store, &request, false, &tx));
        request.region_count = UINT32_MAX;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_store_make_tx_buffer(&store, &request, false, &tx));
        request.region_count = 4;
        EXPECT_OK(vmo_store_make_tx_buffer(&store, &request, false, &tx));
        EXPECT_EQ(vmo_buffer_length(&tx.buffer), 10);
        EXPECT_EQ(tx.buffer.part_count, 4);
        EXPECT_EQ(tx.port_id, 4);
        EXPECT_EQ(tx.frame_type, 6);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_buffer_push(&tx.buffer, 3, region(0, 0, 0)));
        EXPECT_TRUE(vmo_buffer_valid(&tx.buffer));

        vmo_store_make_empty_rx_buffer(&store, &rx);
        EXPECT_EQ(vmo_buffer_length(&rx.buffer), 0);
        for (uint32_t i = 0; i < 4; i++)
                EXPECT_OK(rx_buffer_push_space(&rx, &(struct rx_space){i, regions[i]}));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, rx_buffer_push_space(&rx,
                                                                &(struct rx_space){4, regions[4]}));
        EXPECT_EQ(rx.buffer.part_count, 4);
        EXPECT_EQ(vmo_buffer_length(&rx.buffer), 10);
        EXPECT_TRUE(vmo_buffer_valid(&rx.buffer));

        vmo_store_make_rx_space_buffer(&store, &(struct rx_space){1, region(0, 0, UINT64_MAX)},
                                       &rx);
        EXPECT_EQ(vmo_buffer_length(&rx.buffer), UINT64_MAX);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                      rx_buffer_push_space(&rx, &(struct rx_space){2, region(0, 0, 1)}));
        EXPECT_OK(rx_buffer_push_space(&rx, &(struct rx_space){2, region(0, 0, 0)}));
        EXPECT_TRUE(vmo_buffer_valid(&rx.buffer));
        regions[1].length = UINT64_MAX;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_store_make_tx_buffer(&store, &request, false, &tx));
        return ZX_OK;
}

TEST(vmo_store_edges, metadata_is_taken_once)
{
        struct tx_buffer tx;
        struct tx_metadata metadata = {0};
        const struct tx_request request = {.id = 1, .flags = 0x80000001};
        make_stores();
        REQUIRE_OK(vmo_store_make_tx_buffer(&store, &request, false, &tx));
        EXPECT_FALSE(tx_buffer_take_metadata(&tx, &metadata));
        EXPECT_EQ(metadata.flags, 0);
        EXPECT_EQ(tx_buffer_id(&tx), 1); /* without parts */
        REQUIRE_OK(vmo_store_make_tx_buffer(&store, &request, true, &tx));
        EXPECT_TRUE(tx_buffer_take_metadata(&tx, &metadata));
        EXPECT_EQ(metadata.flags, 0x80000001);
        EXPECT_EQ(metadata.info_type, TX_INFO_NONE);
        EXPECT_FALSE(tx_buffer_take_metadata(&tx, &metadata));
}

/* A buffer of these parts. */
static void make_buffer(struct test *t, struct rx_buffer *rx, const struct vmo_region *regions,
                        size_t count)
{
        vmo_store_make_empty_rx_buffer(&store, rx);
        for (size_t i = 0; i < count; i++)
                EXPECT_OK(rx_buffer_push_space(rx, &(struct rx_space){(uint32_t)i, regions[i]}));
}

SWEPT_TEST(vmo_store_edges, write_checks_all_before_it_copies)
{
        static const struct {
                struct vmo_region last;
                zx_status_t status;
        } cases[] = {{{9, 0, 100}, ZX_ERR_NOT_FOUND},
                     {{2, 2 * PAGE_BYTES, 100}, ZX_ERR_OUT_OF_RANGE},
                     {{2, UINT64_MAX - 5, 100}, ZX_ERR_OUT_OF_RANGE}};
        struct vmo *one, *two;
        struct rx_buffer rx;
        size_t got = 42;
        make_stores();
        TRY(stored_vmo(&store, 1, P, &one));
        TRY(stored_vmo(&store, 2, 2 * P, &two));
        for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
                const struct vmo_region parts[] = {{1, 0, 10}, {2, P - 5, 10}, {1, 7, 0},
                                                   cases[i].last};
                make_buffer(t, &rx, parts, 4);
                EXPECT_STATUS(cases[i].status, vmo_buffer_write(&rx.buffer, bytes, 21));
                EXPECT_EQ(vmo_committed_pages(one) + vmo_committed_pages(two), 0);
                EXPECT_STATUS(cases[i].status, vmo_buffer_read(&rx.buffer, back, sizeof(back),
                                                               &got));
                expect_untouched(t);
                EXPECT_EQ(got, 42);
        }
        /* Only the bytes that are needed have to be there. */
        const struct vmo_region long_part[] = {{1, P - 10, 100}};
        make_buffer(t, &rx, long_part, 1);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_buffer_write(&rx.buffer, bytes, 11));
        TRY(vmo_buffer_write(&rx.buffer, bytes, 10));
        TRY(vmo_op_range(one, VMO_OP_DECOMMIT, 0, P));
        /* A part behind the last byte does not matter, one without bytes before it does. */
        const struct vmo_region late[] = {{1, 0, 10}, {9, 0, 10}};
        make_buffer(t, &rx, late, 2);
        EXPECT_OK(vmo_buffer_write(&rx.buffer, bytes, 0));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_buffer_write(&rx.buffer, bytes, 21));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_buffer_write(&rx.buffer, bytes, SIZE_MAX));
        EXPECT_EQ(vmo_committed_pages(one), 0);
        TRY(vmo_buffer_write(&rx.buffer, bytes, 10));
        const struct vmo_region hollow[] = {{9, 0, 0}, {1, 0, 10}};
        make_buffer(t, &rx, hollow, 2);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_buffer_write(&rx.buffer, bytes, 10));
        EXPECT_OK(vmo_buffer_write(&rx.buffer, bytes, 0)); /* looks at no part */
        return ZX_OK;
}

SWEPT_TEST(vmo_store_edges, read_appends_the_parts)
{
        static const struct vmo_region parts[] = {{1, 100, 3}, {2, 0, 0}, {2, PAGE_BYTES - 1, 5},
                                                  {1, 0, 1}};
        struct vmo *one, *two;
        struct rx_buffer rx;
        size_t got = 42;
        make_stores();
        TRY(stored_vmo(&store, 1, P, &one));
        TRY(stored_vmo(&store, 2, 2 * P, &two));
        make_buffer(t, &rx, parts, 4);
        TRY(vmo_buffer_write(&rx.buffer, "123456789", 9));
        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL, vmo_buffer_read(&rx.buffer, back, 8, &got));
        expect_untouched(t);
        TRY(vmo_buffer_read(&rx.buffer, back, 9, &got));
        EXPECT_EQ(got, 9);
        EXPECT_BYTES_EQ(back, "123456789", 9);
        EXPECT_EQ(back[9], 0xee);
        TRY(vmo_store_read(&store, region(2, P - 1, 5), back));
        EXPECT_BYTES_EQ(back, "45678", 5);
        TRY(vmo_store_read(&store, region(1, 0, 1), back));
        EXPECT_EQ(back[0], '9');
        vmo_store_make_empty_rx_buffer(&store, &rx);
        EXPECT_OK(vmo_buffer_read(&rx.buffer, NULL, 0, &got));
        EXPECT_EQ(got, 0);
        return ZX_OK;
}

/* All ways to cut 12 bytes into up to four parts on either side. */
SWEPT_TEST(vmo_store_edges, copy_from_splits_at_the_borders_of_both)
{
        enum { BYTES = 12 };
        struct vmo *one, *two;
        struct rx_buffer from, to;
        uint64_t copied = 0;
        unsigned compared = 0;
        make_stores();
        TRY(stored_vmo(&store, 1, 4 * P, &one));
        TRY(stored_vmo(&store, 2, 4 * P, &two));
        for (unsigned cut = 0; cut < 13 * 13 * 13; cut += 5) {
                unsigned a = cut % 13, b = cut / 13 % 13, c = cut / 169;
                if (a + b + c > BYTES)
                        continue;
                const uint64_t lengths[] = {a, b, c, BYTES - a - b - c};
                struct vmo_region source[4], target[4];
                for (unsigned i = 0; i < 4; i++) {
                        source[i] = region(1, (i + 1) * 1000, lengths[i]);
                        target[i] = region(2, (4 - i) * 1020, lengths[(i * 3 + 1) % 4] + (i == 3));
                }
                make_buffer(t, &from, source, 4);
                make_buffer(t, &to, target, 4);
                TRY(vmo_buffer_write(&from.buffer, bytes + cut, BYTES));
                TRY(vmo_buffer_copy_from(&to.buffer, &from.buffer, &copied));
                EXPECT_EQ(copied, BYTES);
                size_t got;
                TRY(vmo_buffer_read(&to.buffer, back, sizeof(back), &got));
                EXPECT_BYTES_EQ(back, bytes + cut, BYTES);
                compared++;
        }
        EXPECT_GT(compared, 80);
        return ZX_OK;
}

SWEPT_TEST(vmo_store_edges, copy_from_checks_all_before_it_copies)
{
        static const struct vmo_region good[] = {{1, 0, 10}, {1, 20, 10}};
        static const struct vmo_region bad_id[] = {{2, 0, 10}, {9, 0, 10}};
        static const struct vmo_region bad_range[] = {{2, 0, 10}, {2, PAGE_BYTES - 9, 10}};
        static const struct vmo_region hollow[] = {{2, 0, 20}, {9, 0, 0}};
        struct vmo *one, *two;
        struct rx_buffer from, to;
        uint64_t copied = 42;
        make_stores();
        TRY(stored_vmo(&store, 1, P, &one));
        TRY(stored_vmo(&store, 2, P, &two));
        TRY(vmo_store_write(&store, region(1, 0, 100), bytes));

        make_buffer(t, &from, good, 2);
        make_buffer(t, &to, bad_id, 2);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_buffer_copy_from(&to.buffer, &from.buffer, &copied));
        make_buffer(t, &to, bad_range, 2);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_buffer_copy_from(&to.buffer, &from.buffer, &copied));
        make_buffer(t, &to, good, 1);
        EXPECT_STATUS(ZX_ERR_INTERNAL, vmo_buffer_copy_from(&to.buffer, &from.buffer, &copied));
        make_buffer(t, &to, hollow, 1);
        make_buffer(t, &from, bad_range, 2);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_buffer_copy_from(&to.buffer, &from.buffer, &copied));
        make_buffer(t, &from, hollow, 2);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_buffer_copy_from(&to.buffer, &from.buffer, &copied));
        EXPECT_EQ(copied, 42);
        EXPECT_EQ(vmo_committed_pages(two), 0); /* nothing was written, nothing was made */

        vmo_store_make_empty_rx_buffer(&store, &from);
        EXPECT_OK(vmo_buffer_copy_from(&to.buffer, &from.buffer, &copied));
        EXPECT_EQ(copied, 0);
        return ZX_OK;
}

/* Between two stores, and with no page for the second part:
 * nothing is written to the first either. */
SWEPT_TEST(vmo_store_edges, no_memory_has_written_nothing)
{
        struct vmo *one, *two, *three;
        struct rx_buffer from, to;
        struct list_node taken;
        uint64_t copied = 42;
        const struct vmo_region source[] = {{1, 0, 2 * P}};
        make_stores();
        TRY(stored_vmo(&other, 1, 2 * P, &one));
        TRY(stored_vmo(&store, 2, P, &two));
        TRY(stored_vmo(&store, 3, P, &three));
        TRY(vmo_store_write(&other, source[0], bytes));
        TRY(vmo_store_write(&store, region(2, 0, 1), "A"));
        make_buffer(t, &from, source, 1);
        from.buffer.store = &other;
        const struct vmo_region target[] = {{2, 0, P}, {3, 0, P}};
        make_buffer(t, &to, target, 2);

        list_init(&taken);
        TRY(pmm_alloc_pages(&bed.pmm, bed_free(), 0, &taken));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmo_buffer_copy_from(&to.buffer, &from.buffer, &copied));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmo_buffer_write(&to.buffer, bytes, 2 * P));
        EXPECT_OK(vmo_store_read(&store, region(2, 0, 2), back));
        EXPECT_BYTES_EQ(back, "A", 2);
        EXPECT_EQ(copied, 42);
        pmm_free(&bed.pmm, &taken);
        TRY(vmo_buffer_copy_from(&to.buffer, &from.buffer, &copied));
        EXPECT_EQ(copied, 2 * P);
        EXPECT_OK(vmo_store_read(&store, region(3, 0, P), back));
        EXPECT_BYTES_EQ(back, bytes + P, P);
        return ZX_OK;
}

/* ---- what a driver is told ---- */

struct told {
        unsigned count;
        uint32_t ids[4];
        struct vmo_region regions[4];
        uint64_t offsets[4], lengths[4];
};

static void tell_space(void *context, uint32_t id, struct vmo_region at)
{
        struct told *told = context;
        told->ids[told->count] = id;
        told->regions[told->count++] = at;
}

static void tell_return(void *context, uint32_t id, uint64_t offset, uint64_t length)
{
        struct told *told = context;
        told->ids[told->count] = id;
        told->offsets[told->count] = offset;
        told->lengths[told->count++] = length;
}

TEST(vmo_store_edges, with_space_and_with_return)
{
        static const uint64_t written[][4] = {/* total, then what each part has */
                                              {0, 0, 0, 0}, {3, 3, 0, 0}, {10, 10, 0, 0},
                                              {11, 10, 0, 1}, {25, 10, 0, 15}, {99, 10, 0, 20}};
        static const struct vmo_region parts[] = {{1, 50, 10}, {2, 60, 0}, {3, 70, 20}};
        struct rx_buffer rx;
        make_stores();
        make_buffer(t, &rx, parts, 3);
        struct told told = {0};
        rx_buffer_with_space(&rx, tell_space, &told);
        EXPECT_EQ(told.count, 3);
        for (unsigned i = 0; i < 3; i++) {
                EXPECT_EQ(told.ids[i], i);
                EXPECT_EQ(told.regions[i].vmo_id, parts[i].vmo_id);
                EXPECT_EQ(told.regions[i].offset, parts[i].offset);
                EXPECT_EQ(told.regions[i].length, parts[i].length);
        }
        for (unsigned w = 0; w < ARRAY_COUNT(written); w++) {
                told = (struct told){0};
                rx_buffer_with_return(&rx, written[w][0], tell_return, &told);
                EXPECT_EQ(told.count, 3); /* once for every part */
                for (unsigned i = 0; i < 3; i++) {
                        EXPECT_EQ(told.ids[i], i);
                        EXPECT_EQ(told.offsets[i], 0);
                        EXPECT_EQ(told.lengths[i], written[w][i + 1]);
                }
        }
        vmo_store_make_empty_rx_buffer(&store, &rx);
        told.count = 0;
        rx_buffer_with_space(&rx, tell_space, &told);
        rx_buffer_with_return(&rx, 5, tell_return, &told);
        EXPECT_EQ(told.count, 0);
}

/* A pin that was refused is not remembered: nothing is taken back with the registration. */
SWEPT_TEST(vmo_store_edges, a_refused_pin_is_none)
{
        struct vmo *vmo;
        make_stores();
        TRY(bed_vmo(P, 0, &vmo));
        for (unsigned i = 0; i < VM_PAGE_PIN_COUNT_MAX; i++)
                TRY(bed_pin(vmo, 0, P));
        TRY(vmo_store_register(&store, 1, vmo));
        EXPECT_STATUS(ZX_ERR_UNAVAILABLE, vmo_store_pin(&store, 1));
        EXPECT_OK(vmo_store_unregister(&store, 1));
        /* All of the others are still there. */
        EXPECT_STATUS(ZX_ERR_UNAVAILABLE, vmo_pin(vmo, 0, P));
        return ZX_OK;
}
