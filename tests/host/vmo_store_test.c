/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The store of VMOs and its buffers, the compact set that runs on every boot; every edge and error
 * is in tests/host/vmo_store_edges_test.c. */
#include "tests/boot/vmo_bed.h"

#include "kernel/vmo_buffer.h"

static struct vmo_store store;

static void drop_store(void)
{
        vmo_store_fini(&store);
}

static void make_store(void)
{
        vmo_store_init(&store, "bed");
        bed.clean_up = drop_store;
}

SWEPT_TEST(vmo_store, bytes_by_id_offset_and_length)
{
        struct vmo *vmo;
        char back[8] = "........";
        make_store();
        TRY(bed_vmo(2 * PAGE_BYTES, 0, &vmo));
        EXPECT_OK(vmo_store_register(&store, 31, vmo));
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS, vmo_store_register(&store, 31, vmo));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_store_register(&store, 32, vmo));
        TRY(vmo_store_write(&store, (struct vmo_region){31, PAGE_BYTES - 3, 6}, "across"));
        TRY(vmo_store_copy(&store, (struct vmo_region){31, PAGE_BYTES - 3, 6}, &store,
                           (struct vmo_region){31, PAGE_BYTES - 1, 0})); /* over itself, upwards */
        TRY(vmo_store_read(&store, (struct vmo_region){31, PAGE_BYTES - 3, 8}, back));
        EXPECT_BYTES_EQ(back, "acacross", 8);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_read(&store, (struct vmo_region){30, 0, 1},
                                                       back));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      vmo_store_read(&store, (struct vmo_region){31, 2, UINT64_MAX}, back));
        EXPECT_TRUE(vmo_store_valid(&store));
        EXPECT_OK(vmo_store_unregister(&store, 31));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_store_unregister(&store, 31));
        return ZX_OK;
}

SWEPT_TEST(vmo_store, frames_in_parts)
{
        static const struct vmo_region regions[] = {{1, 10, 5}, {2, 0, 0}, {2, PAGE_BYTES - 2, 7}};
        const struct tx_request request = {.id = 77, .regions = regions, .region_count = 3,
                                           .flags = 9};
        struct tx_buffer tx;
        struct rx_buffer rx;
        struct tx_metadata metadata;
        struct vmo *one, *two;
        uint64_t copied = 0;
        char back[12] = "............";
        make_store();
        TRY(bed_vmo(PAGE_BYTES, 0, &one));
        TRY(bed_vmo(2 * PAGE_BYTES, 0, &two));
        EXPECT_OK(vmo_store_register(&store, 1, one));
        EXPECT_OK(vmo_store_register(&store, 2, two));
        EXPECT_OK(vmo_store_make_tx_buffer(&store, &request, true, &tx));
        EXPECT_EQ(vmo_buffer_length(&tx.buffer), 12);
        EXPECT_EQ(tx_buffer_id(&tx), 77);
        EXPECT_TRUE(tx_buffer_take_metadata(&tx, &metadata));
        EXPECT_EQ(metadata.flags, 9);
        EXPECT_FALSE(tx_buffer_take_metadata(&tx, &metadata));
        TRY(vmo_buffer_write(&tx.buffer, "hello, world", 12));
        TRY(vmo_store_read(&store, regions[2], back));
        EXPECT_BYTES_EQ(back, ", world.....", 12);

        vmo_store_make_rx_space_buffer(&store, &(struct rx_space){5, {2, 100, 4}}, &rx);
        EXPECT_STATUS(ZX_ERR_INTERNAL, vmo_buffer_copy_from(&rx.buffer, &tx.buffer, &copied));
        EXPECT_OK(rx_buffer_push_space(&rx, &(struct rx_space){6, {1, 100, 20}}));
        TRY(vmo_buffer_copy_from(&rx.buffer, &tx.buffer, &copied));
        EXPECT_EQ(copied, 12);
        TRY(vmo_store_read(&store, (struct vmo_region){1, 100, 8}, back));
        EXPECT_BYTES_EQ(back, "o, world", 8);
        return ZX_OK;
}

SWEPT_TEST(vmo_store, devices_get_physical_memory)
{
        struct vmo *vmo;
        struct vmo_span spans[2];
        size_t count = 0;
        make_store();
        TRY(bed_vmo(2 * PAGE_BYTES, 0, &vmo));
        EXPECT_OK(vmo_store_register(&store, 0, vmo));
        struct vmo_region region = {0, PAGE_BYTES - 4, 8};
        EXPECT_STATUS(ZX_ERR_BAD_STATE,
                      vmo_store_pinned_spans(&store, region, (struct vmo_span_list){spans, 2},
                                             &count));
        TRY(vmo_store_pin(&store, 0));
        EXPECT_STATUS(ZX_ERR_ALREADY_BOUND, vmo_store_pin(&store, 0));
        TRY(vmo_store_write(&store, region, "devmem!?"));
        TRY(vmo_store_pinned_spans(&store, region, (struct vmo_span_list){spans, 2}, &count));
        EXPECT_BYTES_EQ(pmm_pa_to_va(&bed.pmm, spans[0].pa), "devm", 4);
        const char *tail = count == 1 ? (char *)pmm_pa_to_va(&bed.pmm, spans[0].pa) + 4
                                      : pmm_pa_to_va(&bed.pmm, spans[1].pa);
        EXPECT_BYTES_EQ(tail, "em!?", 4);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, PAGE_BYTES));
        return ZX_OK;
}
