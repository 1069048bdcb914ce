/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What changes mappings that are there: unmap, overwrite, protect, operations on ranges, faults,
 * VMOs that take pages back; and each page allocation refused.
 *
 * Host only for its size. */
#include "tests/host/vmar_bed.h"

/* ---- unmap ---- */

BED_TEST(vmar_change, unmap_checks_in_order)
{
        struct vmar_handle dead, child;
        const uint64_t P = PAGE_BYTES, last = va_of(BED_WINDOW_PAGES - 1);

        REQUIRE_OK(bed_region_at(bed.root, 4, 4, &child));
        REQUIRE_OK(bed_region_at(bed.root, 0, 4, &dead));
        REQUIRE_OK(vmar_destroy(dead));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(dead, va_of(0) + 1, P)); /* 1 before 2 */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(dead, va_of(0), 0));
        /* rounds to 0 */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(bed.root, va_of(0), UINT64_MAX));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmar_unmap(dead, 0, P)); /* 2 before 3 */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(bed.root, va_of(0) - P, P));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(bed.root, last + P, P));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(bed.root, last, P + 1));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(bed.root, last, 0 - P));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(child, va_of(3), P));
        /* 4: partly inside */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(bed.root, va_of(0), 5 * P));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(bed.root, va_of(7), 5 * P));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(bed.root, va_of(5), P));
        EXPECT_OK(vmar_unmap(bed.root, va_of(0), 4 * P)); /* nothing there: fine */
        EXPECT_OK(vmar_unmap(child, va_of(4), 4 * P));
        EXPECT_OK(vmar_unmap(bed.root, va_of(8), P + 1));
        EXPECT_TREE("4-8{}");
        vmar_close(dead);
        vmar_close(child);
}

BED_TEST(vmar_change, unmap_whole_ends_and_middle)
{
        struct vmo *vmo = make_vmo(t, 16);

        REQUIRE_OK(bed_map_at(bed.root, 10, 10, vmo));
        REQUIRE_OK(vmar_op_range(bed.root, VMAR_OP_COMMIT, va_of(10), PAGES(10)));
        EXPECT_EQ(bed_shown_count(), 10);
        /* the front, from the hole before it */
        EXPECT_OK(vmar_unmap(bed.root, va_of(8), PAGES(4)));
        EXPECT_TREE("12-20rw+2");
        EXPECT_EQ(bed_shown_count(), 8);
        EXPECT_OK(vmar_unmap(bed.root, va_of(19), 1)); /* the back; bytes are rounded up */
        EXPECT_TREE("12-19rw+2");
        EXPECT_OK(vmar_unmap(bed.root, va_of(14), PAGES(2))); /* the middle */
        EXPECT_TREE("12-14rw+2 16-19rw+6");
        EXPECT_EQ(bed_shown_count(), 5);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmar_fault(&bed.space, va_of(14), 0));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmar_fault(&bed.space, va_of(16) - 1, 0));
        EXPECT_OK(vmar_unmap(bed.root, va_of(13), PAGES(4))); /* a back, a hole and a front */
        EXPECT_TREE("12-13rw+2 17-19rw+7");
        EXPECT_OK(vmar_unmap(bed.root, va_of(17), PAGES(2))); /* exactly one */
        EXPECT_TREE("12-13rw+2");
        EXPECT_OK(vmar_unmap(bed.root, BED_BASE, PAGES(BED_WINDOW_PAGES)));
        EXPECT_TREE("");
        EXPECT_EQ(bed_shown_count(), 0);
        EXPECT_EQ(bed.table.table_pages, 0);
        vmo_put(vmo);
}

BED_TEST(vmar_change, unmap_takes_sub_regions_that_lie_inside)
{
        struct vmo *vmo = make_vmo(t, 16);
        struct vmar_handle child, inner;

        REQUIRE_OK(bed_region_at(bed.root, 4, 8, &child));
        REQUIRE_OK(bed_region_at(child, 2, 4, &inner));
        REQUIRE_OK(bed_map_at(inner, 1, 2, vmo));
        REQUIRE_OK(bed_map_at(child, 0, 2, vmo));
        REQUIRE_OK(bed_map_at(bed.root, 0, 4, vmo));
        REQUIRE_OK(bed_map_at(bed.root, 12, 4, vmo));
        EXPECT_TREE("0-4rw 4-12{4-6rw 6-10{7-9rw}} 12-16rw");
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(bed.root, va_of(2), PAGES(9)));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(child, va_of(5), PAGES(2)));
        EXPECT_TREE("0-4rw 4-12{4-6rw 6-10{7-9rw}} 12-16rw"); /* nothing changed */
        EXPECT_OK(vmar_unmap(bed.root, va_of(2), PAGES(12)));
        EXPECT_TREE("0-2rw 14-16rw+2");
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmar_unmap(inner, va_of(7), 1));
        vmar_close(child);
        vmar_close(inner);
        vmo_put(vmo);
}

/* ---- SPECIFIC_OVERWRITE ---- */

static zx_status_t overwrite(struct vmo *vmo, uint64_t page, uint64_t pages)
{
        uint64_t va;
        struct vmar_map_request request = {VMAR_PERM_READ | VMAR_SPECIFIC_OVERWRITE, PAGES(page),
                                           PAGES(pages), {vmo, RIGHTS_ALL}, 0};
        return vmar_map(bed.root, &request, &va);
}

BED_TEST(vmar_change, overwrite_replaces_mappings_and_no_regions)
{
        struct vmo *old = make_vmo(t, 16), *new = make_vmo(t, 16);
        struct vmar_handle child;

        REQUIRE_OK(bed_map_at(bed.root, 0, 10, old));
        REQUIRE_OK(vmar_op_range(bed.root, VMAR_OP_COMMIT, va_of(0), PAGES(10)));
        EXPECT_OK(overwrite(new, 4, 2)); /* the middle */
        EXPECT_TREE("0-4rw 4-6r 6-10rw+6");
        EXPECT_EQ(bed_shown_count(), 8);
        EXPECT_OK(vmar_fault(&bed.space, va_of(4), 0));
        EXPECT_OK(overwrite(new, 3, 4)); /* a whole mapping and two ends */
        EXPECT_TREE("0-3rw 3-7r 7-10rw+7");
        /* what it showed was page 0 of `new`, now it is page 1 */
        EXPECT_FALSE(bed_shown(va_of(4)));
        EXPECT_OK(overwrite(new, 20, 1)); /* nothing in the way */
        REQUIRE_OK(bed_region_at(bed.root, 12, 1, &child));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, overwrite(new, 0, 13));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, overwrite(new, 12, 8));
        EXPECT_TREE("0-3rw 3-7r 7-10rw+7 12-13{} 20-21r");
        EXPECT_EQ(bed_shown_count(), 6);
        vmar_close(child);
        vmo_put(old);
        vmo_put(new);
}

/* ---- protect ---- */

BED_TEST(vmar_change, protect_checks_in_order)
{
        struct vmo *vmo = make_vmo(t, 8);
        struct vmar_handle child, dead, reader = {bed.root.vmar, RIGHT_READ};
        const uint32_t R = VMAR_PERM_READ;
        const uint64_t P = PAGE_BYTES;
        uint64_t va;

        REQUIRE_OK(bed_region_at(bed.root, 30, 1, &dead));
        REQUIRE_OK(vmar_destroy(dead));
        REQUIRE_OK(bed_map_at(bed.root, 0, 4, vmo));
        REQUIRE_OK(vmar_map(bed.root, &(struct vmar_map_request){R | VMAR_SPECIFIC, PAGES(4),
                                                                 PAGES(2),
                                        {vmo, RIGHT_MAP | RIGHT_READ}, 0}, &va)); /* read at most */
        REQUIRE_OK(bed_region_at(bed.root, 8, 4, &child));
        REQUIRE_OK(vmar_map(child, &(struct vmar_map_request){R | VMAR_SPECIFIC, 0, PAGES(4),
                                        {vmo, RIGHTS_ALL}, 0}, &va));

        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_protect(reader, RW | VMAR_MAP_RANGE, 1, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_protect(reader, RW | VMAR_ALIGN(12), 1, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_protect(reader, VMAR_PERM_WRITE, 1, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_protect(reader, VMAR_PERM_EXECUTE, 1, 0));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_protect(reader, RW, 1, 0)); /* 2 before 3 */
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_protect(reader, RX, 1, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_protect(dead, 0, va_of(0) + 1, P));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_protect(dead, 0, va_of(0), 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_protect(dead, 0, va_of(0), UINT64_MAX));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmar_protect(dead, 0, 0, P)); /* 4 before 5 */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_protect(bed.root, R, BED_BASE - P, P));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_protect(child, R, va_of(11), 2 * P));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmar_protect(bed.root, R, va_of(0), 7 * P));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmar_protect(bed.root, RW, va_of(6), P));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmar_protect(bed.root, R, va_of(6), 3 * P));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_protect(bed.root, RW, va_of(0), 5 * P));
        /* comes first */
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_protect(bed.root, RW, va_of(0), 7 * P));
        /* region: no EXECUTE */
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_protect(child, RX, va_of(8), P));
        /* through a parent */
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_protect(bed.root, RW, va_of(8), P));
        EXPECT_TREE("0-4rw 4-6r 8-12{8-12r}");
        EXPECT_OK(vmar_protect(child, RW, va_of(8), P)); /* by its own region */
        EXPECT_OK(vmar_protect(bed.root, R, va_of(8), P)); /* through a parent, only taking away */
        EXPECT_OK(vmar_protect(bed.root, 0, va_of(9), P));
        EXPECT_TREE("0-4rw 4-6r 8-12{8-9r 9-10+1 10-12r+2}");
        EXPECT_OK(vmar_protect(bed.root, VMAR_PERM_READ_IF_XOM_UNSUPPORTED, va_of(0), P));
        EXPECT_TREE("0-1r 1-4rw+1 4-6r 8-12{8-9r 9-10+1 10-12r+2}");
        vmar_close(dead);
        vmar_close(child);
        vmo_put(vmo);
}

BED_TEST(vmar_change, protect_makes_pieces_and_joins_them_again)
{
        struct vmo *vmo = make_vmo(t, 16);
        const uint32_t R = VMAR_PERM_READ;

        REQUIRE_OK(bed_map_at(bed.root, 0, 8, vmo));
        REQUIRE_OK(bed_map_at(bed.root, 8, 8, vmo));
        REQUIRE_OK(vmar_op_range(bed.root, VMAR_OP_COMMIT, va_of(0), PAGES(16)));
        EXPECT_OK(vmar_protect(bed.root, R, va_of(2), PAGES(2))); /* the middle of one */
        EXPECT_TREE("0-2rw 2-4r+2 4-8rw+4 8-16rw");
        EXPECT_EQ(bed.table.entries[2].permissions, R);
        EXPECT_EQ(bed.table.entries[4].permissions, RW);
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_fault(&bed.space, va_of(3), VMAR_FAULT_WRITE));
        EXPECT_OK(vmar_fault(&bed.space, va_of(4), VMAR_FAULT_WRITE));
        EXPECT_OK(vmar_protect(bed.root, R, va_of(4), PAGES(1))); /* beside it */
        EXPECT_TREE("0-2rw 2-5r+2 5-8rw+5 8-16rw");
        /* over the edge of two mappings */
        EXPECT_OK(vmar_protect(bed.root, R, va_of(7), PAGES(3)));
        EXPECT_TREE("0-2rw 2-5r+2 5-7rw+5 7-8r+7 8-10r 10-16rw+2");
        EXPECT_OK(vmar_protect(bed.root, 0, va_of(1), PAGES(12)));
        EXPECT_TREE("0-1rw 1-8+1 8-13 13-16rw+5");
        EXPECT_EQ(bed_shown_count(), 4);
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_fault(&bed.space, va_of(2), 0));
        EXPECT_OK(vmar_protect(bed.root, RW, va_of(0), PAGES(16)));
        EXPECT_TREE("0-8rw 8-16rw"); /* one for each vmar_map, as in the beginning */
        EXPECT_EQ(bed.space.mapping_count, 2);
        EXPECT_OK(vmar_fault(&bed.space, va_of(2), VMAR_FAULT_WRITE));
        vmo_put(vmo);
}

BED_TEST(vmar_change, protect_goes_through_sub_regions_and_out_again)
{
        struct vmo *vmo = make_vmo(t, 16);
        struct vmar_handle child, inner;
        const uint32_t R = VMAR_PERM_READ;

        REQUIRE_OK(bed_region_at(bed.root, 4, 4, &child));
        REQUIRE_OK(bed_region_at(child, 1, 2, &inner));
        REQUIRE_OK(bed_map_at(bed.root, 0, 4, vmo));
        REQUIRE_OK(bed_map_at(child, 0, 1, vmo));
        REQUIRE_OK(bed_map_at(inner, 0, 2, vmo));
        REQUIRE_OK(bed_map_at(child, 3, 1, vmo));
        REQUIRE_OK(bed_map_at(bed.root, 8, 4, vmo));
        EXPECT_OK(vmar_protect(bed.root, R, va_of(2), PAGES(8)));
        EXPECT_TREE("0-2rw 2-4r+2 4-8{4-5r 5-7{5-7r} 7-8r} 8-10r 10-12rw+2");
        EXPECT_OK(vmar_protect(bed.root, 0, va_of(5), PAGES(1))); /* a piece of one inside */
        EXPECT_TREE("0-2rw 2-4r+2 4-8{4-5r 5-7{5-6 6-7r+1} 7-8r} 8-10r 10-12rw+2");
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_protect(bed.root, R, va_of(2), PAGES(8)));
        EXPECT_OK(vmar_protect(bed.root, 0, va_of(6), PAGES(4))); /* joins it, and goes on */
        EXPECT_TREE("0-2rw 2-4r+2 4-8{4-5r 5-7{5-7} 7-8} 8-10 10-12rw+2");
        EXPECT_OK(vmar_protect(bed.root, RW, va_of(8), PAGES(2)));
        EXPECT_TREE("0-2rw 2-4r+2 4-8{4-5r 5-7{5-7} 7-8} 8-12rw");
        EXPECT_OK(vmar_protect(inner, RW, va_of(5), PAGES(2)));
        EXPECT_TREE("0-2rw 2-4r+2 4-8{4-5r 5-7{5-7rw} 7-8} 8-12rw");
        vmar_close(child);
        vmar_close(inner);
        vmo_put(vmo);
}

BED_TEST(vmar_change, protect_back_joins_both_sides)
{
        struct vmo *vmo = make_vmo(t, 16);

        REQUIRE_OK(bed_map_at(bed.root, 0, 8, vmo));
        REQUIRE_OK(vmar_op_range(bed.root, VMAR_OP_COMMIT, va_of(0), PAGES(8)));
        EXPECT_OK(vmar_protect(bed.root, VMAR_PERM_READ, va_of(2), PAGES(3)));
        EXPECT_TREE("0-2rw 2-5r+2 5-8rw+5");
        EXPECT_OK(vmar_protect(bed.root, RW, va_of(2), PAGES(3)));
        EXPECT_TREE("0-8rw");
        EXPECT_EQ(bed.space.mapping_count, 1);
        EXPECT_OK(vmo_set_size(vmo, PAGES(1))); /* it is one for the VMO, too */
        EXPECT_EQ(bed_shown_count(), 1);
        vmo_put(vmo);
}

/* The next mapping is two regions further out, or there is none. */
BED_TEST(vmar_change, protect_at_the_end_of_a_sub_region_with_a_hole)
{
        struct vmo *vmo = make_vmo(t, 16);
        struct vmar_handle child, inner;
        const uint32_t R = VMAR_PERM_READ;

        REQUIRE_OK(bed_region_at(bed.root, 4, 4, &child));
        REQUIRE_OK(bed_region_at(child, 1, 3, &inner));
        REQUIRE_OK(bed_map_at(inner, 0, 2, vmo));
        EXPECT_OK(vmar_protect(bed.root, R, va_of(6), PAGES(1)));
        EXPECT_TREE("4-8{5-8{5-6rw 6-7r+1}}");
        REQUIRE_OK(bed_map_at(bed.root, 8, 2, vmo));
        EXPECT_OK(vmar_protect(bed.root, R, va_of(5), PAGES(2)));
        EXPECT_TREE("4-8{5-8{5-7r}} 8-10rw");
        EXPECT_OK(vmar_protect(child, 0, va_of(6), PAGES(1)));
        EXPECT_TREE("4-8{5-8{5-6r 6-7+1}} 8-10rw");
        vmar_close(child);
        vmar_close(inner);
        vmo_put(vmo);
}

BED_TEST(vmar_change, protect_that_changes_nothing_needs_nothing)
{
        struct vmo *vmo = make_vmo(t, 8);

        REQUIRE_OK(bed_map_at(bed.root, 0, 8, vmo));
        EXPECT_OK(vmar_protect(bed.root, RW, va_of(2), PAGES(2)));
        EXPECT_TREE("0-8rw");
        vmo_put(vmo);
}

/* ---- range operations ---- */

BED_TEST(vmar_change, op_range_checks_in_order)
{
        struct vmo *vmo = make_vmo(t, 4);
        struct vmar_handle child, dead;
        const uint64_t P = PAGE_BYTES;
        const uint32_t ops[] = {VMAR_OP_COMMIT, VMAR_OP_DECOMMIT, VMAR_OP_MAP_RANGE, VMAR_OP_ZERO,
                                VMAR_OP_DONT_NEED, VMAR_OP_ALWAYS_NEED, VMAR_OP_PREFETCH};
        uint64_t va;

        REQUIRE_OK(bed_region_at(bed.root, 30, 1, &dead));
        REQUIRE_OK(vmar_destroy(dead));
        REQUIRE_OK(bed_map_at(bed.root, 0, 6, vmo)); /* two pages beyond the VMO */
        REQUIRE_OK(vmar_map(bed.root, &(struct vmar_map_request){VMAR_PERM_READ | VMAR_SPECIFIC,
                                                                 PAGES(8),
                                        PAGES(2), {vmo, RIGHT_MAP | RIGHT_READ}, 0}, &va));
        REQUIRE_OK(bed_region_at(bed.root, 10, 4, &child));
        REQUIRE_OK(bed_map_at(child, 0, 4, vmo));

        for (uint32_t op = 0; op < 40; op++) {
                bool known = false;
                for (unsigned i = 0; i < ARRAY_COUNT(ops); i++)
                        known |= ops[i] == op;
                EXPECT_STATUS(known ? ZX_ERR_BAD_STATE : ZX_ERR_INVALID_ARGS,
                              vmar_op_range(dead, op, 0, P));
        }
        for (unsigned i = 0; i < ARRAY_COUNT(ops); i++) {
                uint32_t op = ops[i];
                bool writes = op == VMAR_OP_COMMIT || op == VMAR_OP_DECOMMIT || op == VMAR_OP_ZERO;
                bool own = op == VMAR_OP_COMMIT || op == VMAR_OP_DECOMMIT || op == VMAR_OP_PREFETCH;
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_op_range(dead, op, 1, P));
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_op_range(dead, op, 0, 0));
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_op_range(dead, op, 0, UINT64_MAX));
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmar_op_range(bed.root, op, BED_BASE - P, P));
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmar_op_range(child, op, va_of(13), 2 * P));
                EXPECT_STATUS(ZX_ERR_BAD_STATE, vmar_op_range(bed.root, op, va_of(6), P));
                EXPECT_STATUS(own ? ZX_ERR_INVALID_ARGS : ZX_ERR_BAD_STATE, /* a hole behind it */
                              vmar_op_range(bed.root, op, va_of(12), 4 * P));
                EXPECT_STATUS(own ? ZX_ERR_INVALID_ARGS : ZX_OK,
                              vmar_op_range(bed.root, op, va_of(10), P));
                EXPECT_STATUS(writes ? ZX_ERR_ACCESS_DENIED : ZX_OK,
                              vmar_op_range(bed.root, op, va_of(8), P));
                EXPECT_STATUS(writes ? ZX_ERR_OUT_OF_RANGE : ZX_OK,
                              vmar_op_range(bed.root, op, va_of(0), 5 * P));
                EXPECT_OK(vmar_op_range(bed.root, op, va_of(0), 4 * P - 1));
        }
        vmar_close(dead);
        vmar_close(child);
        vmo_put(vmo);
}

BED_TEST(vmar_change, op_range_does_it)
{
        struct vmo *a = make_vmo(t, 4), *b = make_vmo(t, 4);
        uint8_t byte = 1;

        REQUIRE_OK(bed_map_at(bed.root, 0, 4, a));
        REQUIRE_OK(bed_map_at(bed.root, 4, 4, b));
        /* over two mappings */
        EXPECT_OK(vmar_op_range(bed.root, VMAR_OP_COMMIT, va_of(2), PAGES(4)));
        EXPECT_EQ(vmo_committed_pages(a), 2);
        EXPECT_EQ(vmo_committed_pages(b), 2);
        EXPECT_TRUE(bed_shown(va_of(2)) && bed_shown(va_of(5)));
        EXPECT_EQ(bed_shown_count(), 4);

        EXPECT_OK(vmo_write(a, &byte, PAGES(3), 1));
        EXPECT_OK(vmar_op_range(bed.root, VMAR_OP_ZERO, va_of(3), 1));
        EXPECT_OK(vmo_read(a, &byte, PAGES(3), 1));
        EXPECT_EQ(byte, 0);
        EXPECT_OK(vmar_op_range(bed.root, VMAR_OP_DECOMMIT, va_of(2), PAGES(3)));
        EXPECT_EQ(vmo_committed_pages(a), 0);
        EXPECT_EQ(vmo_committed_pages(b), 1);
        EXPECT_EQ(bed_shown_count(), 1); /* the table forgot what the VMO gave away */
        EXPECT_OK(vmo_write(a, &byte, 0, 1));
        EXPECT_OK(vmar_op_range(bed.root, VMAR_OP_MAP_RANGE, va_of(0), PAGES(8)));
        EXPECT_EQ(bed_shown_count(), 2);
        REQUIRE_OK(vmo_pin(b, PAGES(1), PAGE_BYTES));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmar_op_range(bed.root, VMAR_OP_DECOMMIT, va_of(4),
                                                      PAGES(4)));
        vmo_unpin(b, PAGES(1), PAGE_BYTES);
        /* No permissions: the pages are made, nothing is shown. */
        EXPECT_OK(vmar_protect(bed.root, 0, va_of(0), PAGES(4)));
        EXPECT_OK(vmar_op_range(bed.root, VMAR_OP_COMMIT, va_of(0), PAGES(4)));
        EXPECT_EQ(vmo_committed_pages(a), 4);
        EXPECT_FALSE(bed_shown(va_of(0)));
        vmo_put(a);
        vmo_put(b);
}

/* ---- faults and what VMOs take back ---- */

BED_TEST(vmar_change, faults)
{
        struct vmo *vmo = make_vmo(t, 2);
        struct vmar_handle child;
        uint64_t va;

        REQUIRE_OK(bed_region_at(bed.root, 4, 8, &child));
        REQUIRE_OK(bed_map_at(child, 1, 4, vmo));
        REQUIRE_OK(vmar_map(bed.root, &(struct vmar_map_request){RX | VMAR_SPECIFIC, 0, PAGES(1),
                                                                 {vmo, RIGHTS_ALL}, PAGES(1)},
                                                                                 &va));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmar_fault(&bed.space, va_of(4), 0));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmar_fault(&bed.space, va_of(20), 0));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmar_fault(&bed.space, 0, 0));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmar_fault(&bed.space, UINT64_MAX, 0));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_fault(&bed.space, va_of(5), VMAR_FAULT_EXECUTE));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_fault(&bed.space, va_of(0), VMAR_FAULT_WRITE));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmar_fault(&bed.space, va_of(7), 0));
        EXPECT_EQ(bed.space.fault_count, 0);
        EXPECT_EQ(vmo_committed_pages(vmo), 0);
        EXPECT_OK(vmar_fault(&bed.space, va_of(6) + 123, 0));
        EXPECT_OK(vmar_fault(&bed.space, va_of(0), VMAR_FAULT_EXECUTE));
        EXPECT_EQ(bed.table.entries[0].pa, bed.table.entries[6].pa); /* page 1 of the VMO, both */
        EXPECT_EQ(bed.table.entries[0].permissions, RX);
        /* again: somebody was faster */
        EXPECT_OK(vmar_fault(&bed.space, va_of(6), VMAR_FAULT_WRITE));
        EXPECT_EQ(bed_shown_count(), 2);
        EXPECT_EQ(bed.space.fault_count, 3);
        /* The VMO shrinks, and grows again. */
        EXPECT_OK(vmo_set_size(vmo, PAGES(1)));
        EXPECT_EQ(bed_shown_count(), 0);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmar_fault(&bed.space, va_of(6), 0));
        EXPECT_OK(vmo_set_size(vmo, PAGES(4)));
        EXPECT_OK(vmar_fault(&bed.space, va_of(8), 0));
        vmar_close(child);
        vmo_put(vmo);
}

BED_TEST(vmar_change, what_a_vmo_takes_back_is_found_in_pieces_too)
{
        struct vmo *vmo = make_vmo(t, 16);
        struct vmo *other = make_vmo(t, 16);

        REQUIRE_OK(bed_map_at(bed.root, 0, 16, vmo));
        REQUIRE_OK(bed_map_at(bed.root, 100, 16, vmo));
        REQUIRE_OK(vmar_op_range(bed.root, VMAR_OP_COMMIT, va_of(0), PAGES(16)));
        REQUIRE_OK(vmar_op_range(bed.root, VMAR_OP_MAP_RANGE, va_of(100), PAGES(16)));
        REQUIRE_OK(vmar_protect(bed.root, VMAR_PERM_READ, va_of(6), PAGES(4)));
        REQUIRE_OK(vmar_unmap(bed.root, va_of(3), PAGES(2)));
        REQUIRE_OK(vmar_unmap(bed.root, va_of(0), PAGES(1)));
        REQUIRE_OK(overwrite(other, 12, 2));
        EXPECT_TREE("1-3rw+1 5-6rw+5 6-10r+6 10-12rw+10 12-14r 14-16rw+14 100-116rw");
        for (uint64_t page = 0; page < 16; page++) {
                uint64_t before = bed_shown_count();
                bool shown = bed_shown(va_of(page));
                EXPECT_EQ(shown, page != 0 && page != 3 && page != 4 && page != 12 && page != 13);
                EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, PAGES(page), PAGE_BYTES));
                EXPECT_FALSE(bed_shown(va_of(page)));
                EXPECT_EQ(bed_shown_count(), before - (shown ? 2 : 1));
                EXPECT_TRUE(vmar_valid(&bed.space));
        }
        vmo_put(vmo);
        vmo_put(other);
}

BED_TEST(vmar_change, the_end_of_a_space_is_the_end_of_what_is_in_it)
{
        struct vmar_handle child = bed.root, next;
        struct vmo *vmo = make_vmo(t, 64);

        for (unsigned i = 0; i < 20; i++) { /* deep */
                REQUIRE_OK(bed_map_at(child, 0, 1, vmo));
                REQUIRE_OK(bed_region_at(child, 1, 60 - 2 * i, &next));
                if (i > 0)
                        vmar_close(child);
                child = next;
        }
        vmar_close(child);
        REQUIRE_OK(vmar_op_range(bed.root, VMAR_OP_MAP_RANGE, va_of(0), 1));
        for (unsigned i = 0; i < 20; i++)
                EXPECT_OK(vmar_fault(&bed.space, va_of(i), 0));
        EXPECT_EQ(bed.space.region_count, 21);
        EXPECT_TRUE(vmar_valid(&bed.space));
        vmo_put(vmo);
}

/* ---- memory runs out ---- */

static struct vmo *sweep_vmo;
static struct vmar_handle sweep_child;

static void sweep_clean(void)
{
        vmar_close(sweep_child);
        if (sweep_vmo != NULL)
                vmo_put(sweep_vmo);
        sweep_child = (struct vmar_handle){0};
        sweep_vmo = NULL;
}

/* Each of the operations that can need memory, and that a refusal has changed nothing. */
#define TRY_UNCHANGED(expression)                                               \
        do {                                                                    \
                char before_[400];                                              \
                __builtin_strcpy(before_, bed_tree());                          \
                zx_status_t done_ = TRIED(expression);                          \
                if (done_ != ZX_OK)                                             \
                        EXPECT_STR_EQ(bed_tree(), before_);                     \
                TRY(done_);                                                     \
        } while (0)

static zx_status_t sweep_body(struct test *t)
{
        uint64_t va;
        struct vmar_map_request map = {RW | VMAR_MAP_RANGE, 0, PAGES(1030), {NULL, RIGHTS_ALL}, 0};

        TRY(vmo_create(&bed.pool, PAGES(2000), 0, &sweep_vmo));
        map.vmo.vmo = sweep_vmo;
        TRY_UNCHANGED(bed_region_at(bed.root, 4000, 100, &sweep_child));
        TRY(vmo_write(sweep_vmo, "1", 0, 1));
        TRY(vmo_write(sweep_vmo, "2", PAGES(600), 1));
        TRY(vmo_write(sweep_vmo, "3", PAGES(1025), 1));
        TRY_UNCHANGED(vmar_map(bed.root, &map, &va)); /* three tables, or none */
        EXPECT_EQ(bed.table.table_pages, 3);
        /* 29 of these fill a page of the slab. */
        for (unsigned i = 0; i < 20; i++)
                TRY_UNCHANGED(vmar_protect(bed.root, VMAR_PERM_READ, va + PAGES(40 * i + 20),
                                           PAGES(10)));
        for (unsigned i = 0; i < 5; i++)
                TRY_UNCHANGED(vmar_unmap(bed.root, va + PAGES(40 * i + 22), PAGES(2)));
        for (unsigned i = 0; i < 3; i++)
                TRY_UNCHANGED(overwrite(sweep_vmo, 40 * i + 25, 1));
        TRY(vmar_fault(&bed.space, va + PAGES(5), VMAR_FAULT_WRITE));
        TRY_UNCHANGED(vmar_op_range(bed.root, VMAR_OP_COMMIT, va + PAGES(6), PAGES(4)));
        TRY_UNCHANGED(bed_map_at(sweep_child, 0, 1, sweep_vmo));
        TRY(vmar_fault(&bed.space, va_of(4000), 0));
        return ZX_OK;
}

TEST(vmar_change, every_allocation_refused)
{
        bed_sweep(t, sweep_body, sweep_clean);
}

TEST(vmar_change, unmap_and_protect_need_no_memory_but_for_a_middle)
{
        struct vmo *vmo;

        bed_make(t);
        vmo = make_vmo(t, 64);
        REQUIRE_OK(bed_map_at(bed.root, 0, 32, vmo));
        REQUIRE_OK(bed_map_at(bed.root, 32, 32, vmo));
        REQUIRE_OK(vmar_op_range(bed.root, VMAR_OP_COMMIT, va_of(0), PAGES(64)));
        for (uint64_t i = 0; i < 40; i++) /* until the slab has no room left either */
                if (bed_map_at(bed.root, 100 + 2 * i, 1, vmo) != ZX_OK)
                        break;
        REQUIRE_OK(pmm_alloc_pages(&bed.pmm, pmm_count_free_pages(&bed.pmm), PMM_ALLOC_ANY,
                                   &bed.taken));
        for (uint64_t i = 0; bed_map_at(bed.root, 200 + 2 * i, 1, vmo) == ZX_OK; i++)
                continue;
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_unmap(bed.root, va_of(8), PAGES(2)));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_protect(bed.root, VMAR_PERM_READ, va_of(8), PAGES(2)));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_protect(bed.root, VMAR_PERM_READ, va_of(0), PAGES(2)));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, overwrite(vmo, 8, 2));
        /* Room for one piece, where two are needed: it is given back, every time. */
        EXPECT_OK(vmar_unmap(bed.root, va_of(100), PAGES(1)));
        for (unsigned i = 0; i < 2; i++) {
                EXPECT_STATUS(ZX_ERR_NO_MEMORY, overwrite(vmo, 8, 2));
                EXPECT_STATUS(ZX_ERR_NO_MEMORY,
                              vmar_protect(bed.root, VMAR_PERM_READ, va_of(8), PAGES(2)));
        }
        REQUIRE_OK(bed_map_at(bed.root, 100, 1, vmo));
        EXPECT_EQ(bed_shown_count(), 64); /* nothing changed */
        EXPECT_OK(vmar_unmap(bed.root, va_of(0), PAGES(8)));
        EXPECT_OK(vmar_unmap(bed.root, va_of(30), PAGES(4)));
        EXPECT_OK(vmar_protect(bed.root, VMAR_PERM_READ, va_of(8), PAGES(22)));
        EXPECT_EQ(bed_shown_count(), 52);
        vmo_put(vmo);
        bed_end(t);
}

BED_TEST(vmar_change, what_the_regions_handle_lacked_stays_out)
{
        struct vmo *vmo = make_vmo(t, 1);
        const struct vmar_handle reader = {bed.root.vmar, RIGHT_READ};
        const struct vmar_map_request request = {
                VMAR_PERM_READ, 0, PAGES(1), {vmo, RIGHTS_ALL}, 0};
        uint64_t va;
        REQUIRE_OK(vmar_map(reader, &request, &va));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_protect(bed.root, RW, va, PAGES(1)));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                      vmar_op_range(bed.root, VMAR_OP_COMMIT, va, PAGES(1)));
        EXPECT_OK(vmar_protect(reader, 0, va, PAGES(1)));
        vmo_put(vmo);
}
