/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Memory objects, the compact set that runs on every boot; every edge and error is in
 * tests/host/vmo_edges_test.c, random work in tests/host/vmo_model_test.c. */
#include "tests/boot/vmo_bed.h"

static uint8_t bytes[5 * PAGE_BYTES];

static void fill_bytes(void)
{
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = bed_byte(i);
}

SWEPT_TEST(vmo, pages_come_on_demand_and_read_as_zeros)
{
        struct vmo *vmo;
        uint64_t pa;
        TRY(bed_vmo(3 * PAGE_BYTES - 100, 0, &vmo));
        EXPECT_EQ(vmo_size(vmo), 3 * PAGE_BYTES);
        EXPECT_EQ(vmo_content_size(vmo), 3 * PAGE_BYTES - 100);
        __builtin_memset(bytes, 0xff, sizeof(bytes));
        TRY(vmo_read(vmo, bytes, 5, 2 * PAGE_BYTES));
        for (size_t i = 0; i < 2 * PAGE_BYTES; i++)
                EXPECT_EQ(bytes[i], 0);
        EXPECT_EQ(bytes[2 * PAGE_BYTES], 0xff);
        EXPECT_EQ(vmo_committed_pages(vmo), 0);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_get_page(vmo, PAGE_BYTES + 1, 0, &pa));
        TRY(vmo_get_page(vmo, PAGE_BYTES + 1, VMO_PAGE_COMMIT, &pa));
        EXPECT_EQ(vmo_committed_pages(vmo), 1);
        const uint8_t *page = pmm_pa_to_va(&bed.pmm, pa);
        for (size_t i = 0; i < PAGE_BYTES; i++)
                EXPECT_EQ(page[i], 0);
        return ZX_OK;
}

SWEPT_TEST(vmo, writes_are_read_back_across_pages)
{
        static uint8_t back[sizeof(bytes)];
        struct vmo *vmo;
        fill_bytes();
        TRY(bed_vmo(6 * PAGE_BYTES, 0, &vmo));
        TRY(vmo_write(vmo, bytes, 100, sizeof(bytes)));
        EXPECT_EQ(vmo_committed_pages(vmo), 6);
        TRY(vmo_read(vmo, back, 100, sizeof(back)));
        EXPECT_BYTES_EQ(back, bytes, sizeof(back));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_write(vmo, bytes, 6 * PAGE_BYTES - 1, 2));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_read(vmo, back, UINT64_MAX, 2));
        return ZX_OK;
}

SWEPT_TEST(vmo, zero_and_decommit_give_pages_back)
{
        struct vmo *vmo;
        fill_bytes();
        TRY(bed_vmo(5 * PAGE_BYTES, VMO_RESIZABLE, &vmo));
        TRY(vmo_write(vmo, bytes, 0, sizeof(bytes)));
        TRY(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, PAGE_BYTES));
        EXPECT_EQ(vmo_committed_pages(vmo), 4);
        TRY(vmo_op_range(vmo, VMO_OP_ZERO, PAGE_BYTES + 7, 2 * PAGE_BYTES));
        EXPECT_EQ(vmo_committed_pages(vmo), 3);
        TRY(vmo_set_size(vmo, 4 * PAGE_BYTES + 1));
        __builtin_memset(bytes, 0, PAGE_BYTES);
        __builtin_memset(bytes + PAGE_BYTES + 7, 0, 2 * PAGE_BYTES);
        __builtin_memset(bytes + 4 * PAGE_BYTES + 1, 0, PAGE_BYTES - 1);
        static uint8_t back[sizeof(bytes)];
        TRY(vmo_read(vmo, back, 0, sizeof(back)));
        EXPECT_BYTES_EQ(back, bytes, sizeof(back));
        return ZX_OK;
}

SWEPT_TEST(vmo, pins_keep_pages_and_show_spans)
{
        struct vmo *vmo, *run;
        struct vmo_span spans[4];
        size_t count = 0;
        TRY(bed_vmo(3 * PAGE_BYTES, 0, &vmo));
        TRY(bed_contiguous(4 * PAGE_BYTES, 13, &run));
        TRY(bed_pin(vmo, PAGE_BYTES, PAGE_BYTES));
        TRY(bed_pin(run, 0, 4 * PAGE_BYTES));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, 3 * PAGE_BYTES));
        EXPECT_STATUS(ZX_ERR_BAD_STATE,
                      vmo_pinned_spans(vmo, 0, 1, (struct vmo_span_list){spans, 4}, &count));
        TRY(vmo_pinned_spans(run, 100, 3 * PAGE_BYTES, (struct vmo_span_list){spans, 4}, &count));
        EXPECT_EQ(count, 1);
        EXPECT_EQ(spans[0].bytes, 3 * PAGE_BYTES);
        EXPECT_TRUE(is_aligned(spans[0].pa - 100, 2 * PAGE_BYTES));
        TRY(vmo_write(run, "span", 100, 4));
        EXPECT_BYTES_EQ(pmm_pa_to_va(&bed.pmm, spans[0].pa), "span", 4);
        return ZX_OK;
}

/* ---- mappings ---- */

struct test_mapping {
        struct vmo_mapping_link link;
        unsigned calls;
        uint64_t offset, bytes;
};

static void note_unmap(struct vmo_mapping_link *link, uint64_t offset, uint64_t byte_count)
{
        struct test_mapping *mapping = CONTAINER_OF(link, struct test_mapping, link);
        mapping->calls++;
        mapping->offset = offset;
        mapping->bytes = byte_count;
}

static const struct vmo_mapping_ops note_ops = {note_unmap};

SWEPT_TEST(vmo, mappings_hear_of_pages_that_leave)
{
        struct vmo *vmo;
        TRY(bed_vmo(8 * PAGE_BYTES, 0, &vmo));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, 2 * PAGE_BYTES, 4 * PAGE_BYTES));
        struct test_mapping mapping = {
                .link = {.ops = &note_ops, .vmo_offset = 3 * PAGE_BYTES, .bytes = 20 * PAGE_BYTES}};
        vmo_add_mapping(vmo, &mapping.link);
        /* no page there */
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 6 * PAGE_BYTES, 2 * PAGE_BYTES));
        EXPECT_EQ(mapping.calls, 0);
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, PAGE_BYTES, 2 * PAGE_BYTES)); /* before it */
        EXPECT_EQ(mapping.calls, 0);
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 2 * PAGE_BYTES, 3 * PAGE_BYTES));
        EXPECT_EQ(mapping.calls, 1);
        EXPECT_EQ(mapping.offset, 3 * PAGE_BYTES);
        EXPECT_EQ(mapping.bytes, 2 * PAGE_BYTES);
        vmo_remove_mapping(vmo, &mapping.link);
        return ZX_OK;
}
