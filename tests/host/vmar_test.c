/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Spaces, handles, allocate and map: each row of each table of checks, and each edge.
 * vmar_change_test.c has what changes mappings that are there.
 *
 * Host only for its size; tests/boot/aspace_test.c proves the same on real page tables. */
#include "tests/host/vmar_bed.h"

#include "kernel/vmar_internal.h"

/* ---- the space ---- */

TEST(vmar, space_configurations_that_are_refused)
{
        bed_make_pmm(t, 16);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, bed_make_space(0, PAGE_BYTES, 0, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, bed_make_space(BED_BASE, 0, 0, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, bed_make_space(BED_BASE + 1, PAGE_BYTES, 0, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, bed_make_space(BED_BASE, PAGE_BYTES + 1, 0, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                      bed_make_space(PAGE_BYTES, BIT_MASK(63), 0, 0)); /* a page over 2^63 */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, bed_make_space(PAGE_BYTES, 0 - PAGE_BYTES, 0, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, bed_make_space(BED_BASE, PAGE_BYTES, 37, 0));
        REQUIRE_OK(bed_make_space(PAGE_BYTES, BIT_MASK(63) - PAGE_BYTES, 36, 0));
        bed_end(t);
}

/* ---- handles ---- */

BED_TEST(vmar, handles)
{
        struct vmar_handle child, copy, none = {0};
        struct vmar_info info;

        REQUIRE_OK(bed_region_at(bed.root, 2, 4, &child));
        EXPECT_EQ(child.rights, RIGHTS_VMAR_DEFAULT | RIGHT_READ | RIGHT_WRITE);
        EXPECT_OK(vmar_get_info(child, &info));
        EXPECT_EQ(info.base, va_of(2));
        EXPECT_EQ(info.bytes, PAGES(4));
        EXPECT_TRUE(info.alive);
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmar_get_info(none, &info));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                      vmar_get_info((struct vmar_handle){child.vmar, RIGHT_READ}, &info));

        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmar_duplicate(none, RIGHT_SAME, &copy));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                      vmar_duplicate((struct vmar_handle){child.vmar, RIGHT_READ}, RIGHT_SAME,
                                     &copy));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_duplicate(child, RIGHT_EXECUTE, &copy));
        REQUIRE_OK(vmar_duplicate(child, RIGHT_READ | RIGHT_INSPECT, &copy));
        EXPECT_PTR_EQ(copy.vmar, child.vmar);
        EXPECT_EQ(copy.rights, RIGHT_READ | RIGHT_INSPECT);

        vmar_close(child); /* the addresses stay taken, the other handle stays good */
        vmar_close(none);
        EXPECT_TREE("2-6{}");
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS, bed_region_at(bed.root, 3, 1, &child));
        EXPECT_OK(vmar_destroy(copy));
        EXPECT_OK(vmar_get_info(copy, &info));
        EXPECT_FALSE(info.alive);
        vmar_close(copy);
        EXPECT_TREE("");
}

BED_TEST(vmar, everything_on_a_dead_region_is_bad_state)
{
        struct vmar_handle dead, grandchild, child;
        struct vmo *vmo = make_vmo(t, 1);
        uint64_t va;
        struct vmar_map_request map = {.options = RW, .bytes = PAGE_BYTES,
                                       .vmo = {vmo, RIGHTS_ALL}};
        struct vmar_request allocate = {.bytes = PAGE_BYTES};

        REQUIRE_OK(bed_region_at(bed.root, 0, 16, &dead));
        REQUIRE_OK(bed_region_at(dead, 4, 4, &grandchild));
        REQUIRE_OK(bed_map_at(grandchild, 0, 1, vmo));
        EXPECT_OK(vmar_fault(&bed.space, va_of(4), VMAR_FAULT_WRITE));
        EXPECT_TRUE(bed_shown(va_of(4)));
        EXPECT_EQ(bed.space.region_count, 3);
        REQUIRE_OK(vmar_destroy(dead)); /* with what is in it */
        EXPECT_FALSE(bed_shown(va_of(4)));
        EXPECT_EQ(bed.space.region_count, 1);
        EXPECT_EQ(bed.space.mapping_count, 0);
        EXPECT_PTR_EQ(dead.vmar->parent, NULL); /* [R5] */
        EXPECT_PTR_EQ(grandchild.vmar->parent, NULL);
        for (unsigned i = 0; i < 2; i++) {
                struct vmar_handle handle = i == 0 ? dead : grandchild;
                EXPECT_STATUS(ZX_ERR_BAD_STATE, vmar_allocate(handle, &allocate, &child, NULL));
                EXPECT_STATUS(ZX_ERR_BAD_STATE, vmar_map(handle, &map, &va));
                EXPECT_STATUS(ZX_ERR_BAD_STATE, vmar_unmap(handle, va_of(4), PAGE_BYTES));
                EXPECT_STATUS(ZX_ERR_BAD_STATE, vmar_protect(handle, 0, va_of(4), PAGE_BYTES));
                EXPECT_STATUS(ZX_ERR_BAD_STATE,
                              vmar_op_range(handle, VMAR_OP_MAP_RANGE, va_of(4), PAGE_BYTES));
                EXPECT_STATUS(ZX_ERR_BAD_STATE, vmar_destroy(handle));
                vmar_close(handle);
        }
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmar_destroy(bed.root));
        EXPECT_TREE("");
        REQUIRE_OK(bed_map_at(bed.root, 0, 16, vmo)); /* the addresses are free again */
        vmo_put(vmo);
}

BED_TEST(vmar, no_handle_is_bad_handle)
{
        struct vmar_handle none = {0}, child;
        struct vmo *vmo = make_vmo(t, 1);
        struct vmar_map_request map = {.options = RW, .bytes = PAGE_BYTES,
                                       .vmo = {vmo, RIGHTS_ALL}};
        uint64_t va;

        EXPECT_STATUS(ZX_ERR_BAD_HANDLE,
                      vmar_allocate(none, &(struct vmar_request){.bytes = 1}, &child, NULL));
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmar_map(none, &map, &va));
        map.vmo.vmo = NULL;
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmar_map(bed.root, &map, &va));
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmar_unmap(none, 1, 0));
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmar_protect(none, BIT_MASK(20), 1, 0));
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmar_op_range(none, 99, 1, 0));
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmar_destroy(none));
        vmo_put(vmo);
}

/* ---- allocate: the table of checks ---- */

/* Each row breaks the rule of its number; where it can, also a later one, which must not win. */
BED_TEST(vmar, allocate_checks_in_order)
{
        const uint64_t P = PAGE_BYTES, end = BED_WINDOW_PAGES * P;
        const uint32_t S = VMAR_SPECIFIC, L = VMAR_OFFSET_IS_UPPER_LIMIT, all = UINT32_MAX;
        struct vmar_handle narrow, small, child = {0};
        struct {
                struct vmar_handle *parent;
                uint32_t rights, options;
                uint64_t offset, bytes;
                zx_status_t status;
        } rows[] = {
                {&bed.root, RIGHT_WRITE, VMAR_CAN_MAP_READ | VMAR_PERM_READ, 0, P,
                 ZX_ERR_ACCESS_DENIED},
                {&bed.root, RIGHT_READ, VMAR_CAN_MAP_WRITE, 0, 1, ZX_ERR_ACCESS_DENIED},
                {&bed.root, RIGHT_READ, VMAR_CAN_MAP_EXECUTE, 0, 1, ZX_ERR_ACCESS_DENIED},
                {&bed.root, all, VMAR_PERM_READ, 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, VMAR_PERM_WRITE, 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, VMAR_PERM_EXECUTE, 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, 1u << 15, 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, 1u << 23, 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, VMAR_ALIGN(1), 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, VMAR_ALIGN(9), 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, VMAR_ALIGN(33), 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, VMAR_ALIGN(255), 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, 0, 0, P + 1, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, VMAR_SPECIFIC_OVERWRITE, 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, VMAR_MAP_RANGE, 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, VMAR_REQUIRE_NON_RESIZABLE, 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, VMAR_ALLOW_FAULTS, 0, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, VMAR_PERM_READ_IF_XOM_UNSUPPORTED, 0, P, ZX_ERR_INVALID_ARGS},
                {&narrow, all, VMAR_CAN_MAP_WRITE, 0, 0, ZX_ERR_INVALID_ARGS}, /* 6 before 7 */
                {&narrow, all, VMAR_CAN_MAP_WRITE | S | L, 1, P, ZX_ERR_ACCESS_DENIED},
                {&narrow, all, VMAR_CAN_MAP_EXECUTE, 0, P, ZX_ERR_ACCESS_DENIED},
                {&narrow, all, S | L, 0, P, ZX_ERR_INVALID_ARGS}, /* 8 before 9 */
                {&narrow, all, 0, P, P, ZX_ERR_INVALID_ARGS},
                {&narrow, all, S, 1, P, ZX_ERR_INVALID_ARGS},
                {&narrow, all, S, 0, 100 * P, ZX_ERR_ACCESS_DENIED}, /* 9 before 10 */
                {&narrow, all, L, 8 * P, P, ZX_ERR_ACCESS_DENIED},
                {&bed.root, all, S, end, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, S, end - P, 2 * P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, S, P, 0 - P, ZX_ERR_INVALID_ARGS}, /* offset + bytes wraps */
                {&bed.root, all, 0, 0, end + P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, L, end + P, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, L, P, 2 * P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, S | VMAR_ALIGN(13), P, P, ZX_ERR_INVALID_ARGS},
                /* 11 before 12 */
                {&bed.root, all, S | VMAR_ALIGN(16), 8 * P, P, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, S, 8 * P, P, ZX_ERR_ALREADY_EXISTS},
                {&bed.root, all, S, 7 * P, 2 * P, ZX_ERR_ALREADY_EXISTS},
                {&bed.root, all, S, 15 * P, 2 * P, ZX_ERR_ALREADY_EXISTS},
                {&small, all, 0, 0, 3 * P, ZX_ERR_NO_RESOURCES},
                {&small, all, L, 2 * P, 2 * P, ZX_ERR_NO_RESOURCES},
                {&small, all, VMAR_ALIGN(14), 0, P, ZX_ERR_NO_RESOURCES},
        };

        /* Pages 8..16 without CAN_MAP_SPECIFIC; 20..24 of which 21 is taken. */
        REQUIRE_OK(vmar_allocate(bed.root,
                                 &(struct vmar_request){S | VMAR_CAN_MAP_READ, 8 * P, 8 * P},
                                 &narrow, NULL));
        REQUIRE_OK(bed_region_at(bed.root, 20, 4, &small));
        REQUIRE_OK(bed_region_at(small, 0, 2, &child));
        vmar_close(child);
        for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
                struct vmar_handle parent = {rows[i].parent->vmar, rows[i].rights};
                struct vmar_request request = {rows[i].options, rows[i].offset, rows[i].bytes};
                zx_status_t status = vmar_allocate(parent, &request, &child, NULL);
                if (status != rows[i].status)
                        test_fail(t, __FILE__, __LINE__, "row %u: got %s", i,
                                  zx_status_name(status));
        }
        EXPECT_TREE("8-16{} 20-24{20-22{}}");
        vmar_close(narrow);
        vmar_close(small);
}

BED_TEST(vmar, allocate_gives_what_was_asked_for)
{
        struct vmar_handle child, inner;
        uint64_t base;

        REQUIRE_OK(vmar_allocate(bed.root, &(struct vmar_request){
                VMAR_CAN_MAP_READ | VMAR_CAN_MAP_EXECUTE | VMAR_ALIGN(10), 0, PAGES(3)}, &child,
                                &base));
        EXPECT_EQ(base, BED_BASE); /* an alignment below a page is a page */
        EXPECT_EQ(child.rights, RIGHTS_VMAR_DEFAULT | RIGHT_READ | RIGHT_EXECUTE);
        /* CAN_MAP_SPECIFIC is not checked against the parent, and is not inherited. */
        REQUIRE_OK(vmar_allocate(child, &(struct vmar_request){VMAR_CAN_MAP_SPECIFIC, 0, PAGES(3)},
                                 &inner,
                                 NULL));
        EXPECT_EQ(inner.rights, RIGHTS_VMAR_DEFAULT);
        vmar_close(child);
        vmar_close(inner);
        REQUIRE_OK(vmar_allocate(bed.root,
                                 &(struct vmar_request){VMAR_SPECIFIC | VMAR_ALIGN(20), MIB,
                                                        PAGES(1)},
                                 &child, &base));
        EXPECT_EQ(base, BED_BASE + MIB);
        vmar_close(child);
        EXPECT_TREE("0-3{0-3{}} 256-257{}");
}

/* ---- map: the table of checks ---- */

BED_TEST(vmar, map_checks_in_order)
{
        const uint64_t P = PAGE_BYTES;
        const uint32_t S = VMAR_SPECIFIC, O = VMAR_SPECIFIC_OVERWRITE, R = VMAR_PERM_READ,
                       W = VMAR_PERM_WRITE, X = VMAR_PERM_EXECUTE, all = UINT32_MAX;
        struct vmo *vmo = make_vmo(t, 4), *fixed;
        struct vmar_handle readable, child;
        uint64_t va = 0;
        struct {
                struct vmar_handle *region;
                uint32_t region_rights, vmo_rights, options;
                uint64_t offset, bytes, vmo_offset;
                zx_status_t status;
        } rows[] = {
                /* 2 before 3 */
                {&bed.root, all, all & ~RIGHT_MAP, W, 0, P, 0, ZX_ERR_ACCESS_DENIED},
                {&bed.root, all, all, W, 0, P, 0, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, all, X, 0, P, 0, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, all, R | 1u << 15, 0, P, 0, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, all, R | VMAR_ALIGN(9), 0, P, 0, ZX_ERR_INVALID_ARGS},
                {&bed.root, 0, all, W, 0, P, 0, ZX_ERR_INVALID_ARGS}, /* 3 before 6 */
                {&bed.root, 0, all, R | O | VMAR_MAP_RANGE, 0, P, 0, ZX_ERR_INVALID_ARGS},
                {&bed.root, 0, all, R | VMAR_CAN_MAP_READ, 0, P, 0, ZX_ERR_INVALID_ARGS},
                {&bed.root, 0, all, R | VMAR_CAN_MAP_WRITE, 0, P, 0, ZX_ERR_INVALID_ARGS},
                {&bed.root, 0, all, R | VMAR_CAN_MAP_EXECUTE, 0, P, 0, ZX_ERR_INVALID_ARGS},
                {&bed.root, RIGHT_WRITE, all, R | VMAR_REQUIRE_NON_RESIZABLE, 0, P, 0,
                 ZX_ERR_ACCESS_DENIED}, /* 6 before 7 */
                {&bed.root, RIGHT_READ, all, R | W, 0, P, 0, ZX_ERR_ACCESS_DENIED},
                {&bed.root, RIGHT_READ, all, R | X, 0, P, 0, ZX_ERR_ACCESS_DENIED},
                {&bed.root, all, RIGHT_MAP | RIGHT_WRITE, R, 0, P, 0, ZX_ERR_ACCESS_DENIED},
                {&bed.root, all, RIGHT_MAP | RIGHT_READ, R | W, 0, P, 0, ZX_ERR_ACCESS_DENIED},
                {&bed.root, all, RIGHT_MAP | RIGHT_READ, R | X, 0, P, 0, ZX_ERR_ACCESS_DENIED},
                {&bed.root, RIGHT_WRITE, all, VMAR_PERM_READ_IF_XOM_UNSUPPORTED, 0, P, 0,
                 ZX_ERR_ACCESS_DENIED},
                {&bed.root, all, all, R | VMAR_REQUIRE_NON_RESIZABLE | VMAR_COMPACT, 0, P, 0,
                 ZX_ERR_NOT_SUPPORTED}, /* 7 before 8 */
                {&readable, all, all, R | W | VMAR_COMPACT, 0, P, 0, ZX_ERR_INVALID_ARGS},
                {&readable, all, all, R | W | VMAR_CAN_MAP_SPECIFIC, 0, P, 0, ZX_ERR_INVALID_ARGS},
                {&readable, all, all, R | W, 0, P, 1, ZX_ERR_ACCESS_DENIED}, /* 9 before 10 */
                {&readable, all, all, R | X, 0, P, 1, ZX_ERR_ACCESS_DENIED},
                {&bed.root, all, all, R, 0, UINT64_MAX, 1, ZX_ERR_INVALID_ARGS}, /* 10 before 11 */
                {&bed.root, all, all, R | S, 1, UINT64_MAX, 0, ZX_ERR_OUT_OF_RANGE},
                /* 11 before 12 */
                {&bed.root, all, all, R | S, 1, 2 * P, 0 - P, ZX_ERR_OUT_OF_RANGE},
                {&bed.root, all, all, R, 0, 0, 0, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, all, R | S | VMAR_OFFSET_IS_UPPER_LIMIT, 0, P, 0,
                 ZX_ERR_INVALID_ARGS},
                {&bed.root, all, all, R | O | VMAR_OFFSET_IS_UPPER_LIMIT, 0, P, 0,
                 ZX_ERR_INVALID_ARGS},
                {&bed.root, all, all, R, P, P, 0, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, all, R | S, 1, P, 0, ZX_ERR_INVALID_ARGS},
                {&readable, all, all, R | S, 0, 99 * P, 0, ZX_ERR_ACCESS_DENIED},
                {&readable, all, all, R | O, 0, 99 * P, 0, ZX_ERR_ACCESS_DENIED},
                {&readable, all, all, R | VMAR_OFFSET_IS_UPPER_LIMIT, 0, 99 * P, 0,
                 ZX_ERR_ACCESS_DENIED},
                {&bed.root, all, all, R | S, PAGES(BED_WINDOW_PAGES), 1, 0, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, all, R | S, PAGES(BED_WINDOW_PAGES - 1), P + 1, 0,
                 ZX_ERR_INVALID_ARGS},
                {&bed.root, all, all, R | VMAR_OFFSET_IS_UPPER_LIMIT, P, P + 1, 0,
                 ZX_ERR_INVALID_ARGS},
                {&bed.root, all, all, R | O | VMAR_ALIGN(13), P, P, 0, ZX_ERR_INVALID_ARGS},
                {&bed.root, all, all, R | S, 9 * P, P, 0, ZX_ERR_ALREADY_EXISTS},
                /* a region is there */
                {&bed.root, all, all, R | O, 9 * P, P, 0, ZX_ERR_INVALID_ARGS},
                {&readable, all, all, R, 0, 5 * P, 0, ZX_ERR_INVALID_ARGS},
                {&readable, all, all, R, 0, 4 * P, 0, ZX_ERR_NO_RESOURCES},
        };

        REQUIRE_OK(vmar_allocate(bed.root,
                                 &(struct vmar_request){S | VMAR_CAN_MAP_READ, 8 * P, 4 * P},
                                 &readable, NULL));
        REQUIRE_OK(vmar_allocate(readable, &(struct vmar_request){0, 0, P}, &child, NULL));
        vmar_close(child);
        for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
                struct vmar_handle region = {rows[i].region->vmar, rows[i].region_rights};
                struct vmar_map_request request = {rows[i].options, rows[i].offset, rows[i].bytes,
                                                   {vmo, rows[i].vmo_rights}, rows[i].vmo_offset};
                zx_status_t status = vmar_map(region, &request, &va);
                if (status != rows[i].status)
                        test_fail(t, __FILE__, __LINE__, "row %u: got %s", i,
                                  zx_status_name(status));
        }
        EXPECT_EQ(va, 0);
        EXPECT_TREE("8-12{8-9{}}");
        /* What a region cannot have no mapping in it can, whatever the handles say. */
        EXPECT_OK(vmar_map((struct vmar_handle){readable.vmar, all},
                           &(struct vmar_map_request){R, 0, P, {vmo, all}, 0}, &va));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                      vmar_protect((struct vmar_handle){readable.vmar, all}, R | W, va, P));
        EXPECT_TREE("8-12{8-9{} 9-10r}");
        REQUIRE_OK(vmo_create(&bed.pool, P, 0, &fixed)); /* not resizable: fine */
        EXPECT_OK(vmar_map(bed.root, &(struct vmar_map_request){R | VMAR_REQUIRE_NON_RESIZABLE |
                                                                 VMAR_ALLOW_FAULTS, 0, 1,
                                                                {fixed, RIGHTS_ALL}, 0}, &va));
        EXPECT_EQ(va, BED_BASE);
        vmar_close(readable);
        vmo_put(vmo);
        vmo_put(fixed);
}

TEST(vmar, write_and_execute_together_where_that_is_forbidden)
{
        uint64_t va;
        struct vmo *vmo;
        struct vmar_map_request map = {.options = RW | RX, .bytes = 1};

        bed_make(t);
        vmo = make_vmo(t, 1);
        map.vmo = (struct vmo_handle){vmo, RIGHTS_ALL};
        REQUIRE_OK(vmar_map(bed.root, &map, &va));
        EXPECT_OK(vmar_unmap(bed.root, va, 1));
        bed.space.forbid_write_execute = true;
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_map(bed.root, &map, &va));
        map.options = RX;
        REQUIRE_OK(vmar_map(bed.root, &map, &va));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_protect(bed.root, RW | RX, va, 1));
        EXPECT_OK(vmar_protect(bed.root, RW, va, 1)); /* one after the other is fine */
        EXPECT_OK(vmar_protect(bed.root, VMAR_PERM_READ_IF_XOM_UNSUPPORTED | VMAR_PERM_EXECUTE, va,
                               1));
        EXPECT_TREE("0-1rx");
        vmo_put(vmo);
        bed_end(t);
}

BED_TEST(vmar, a_mapping_keeps_its_vmo)
{
        struct vmo *vmo = make_vmo(t, 2);
        uint64_t va, pa;
        uint32_t permissions;

        REQUIRE_OK(vmo_write(vmo, "x", PAGE_BYTES, 1));
        REQUIRE_OK(vmar_map(bed.root, &(struct vmar_map_request){VMAR_PERM_READ, 0, PAGE_BYTES + 1,
                                                                 {vmo, RIGHTS_ALL}, 0}, &va));
        EXPECT_EQ(vmo_committed_pages(vmo), 1);
        vmo_put(vmo); /* the mapping's reference is the only one now */
        EXPECT_OK(vmar_fault(&bed.space, va + PAGE_BYTES + 5, 0));
        REQUIRE_TRUE(bed_table_query(&bed.table.table, va + PAGE_BYTES, &pa, &permissions));
        EXPECT_EQ(*(char *)pmm_pa_to_va(&bed.pmm, pa), 'x');
        EXPECT_EQ(permissions, VMAR_PERM_READ);
        EXPECT_OK(vmar_unmap(bed.root, va, 2 * PAGE_BYTES));
        EXPECT_EQ(pmm_count_state(&bed.pmm, VM_PAGE_OBJECT), 0);
}

BED_TEST(vmar, map_range_enters_what_is_there)
{
        struct vmo *vmo = make_vmo(t, 4);
        struct vmar_map_request map = {RW | VMAR_MAP_RANGE, 0, PAGES(6), {vmo, RIGHTS_ALL}, 0};
        uint64_t va;

        REQUIRE_OK(vmo_write(vmo, "a", 0, 1));
        REQUIRE_OK(vmo_write(vmo, "c", PAGES(2), 1));
        REQUIRE_OK(vmar_map(bed.root, &map, &va)); /* beyond the end of the VMO: allowed */
        EXPECT_TRUE(bed_shown(va));
        EXPECT_FALSE(bed_shown(va + PAGES(1)));
        EXPECT_TRUE(bed_shown(va + PAGES(2)));
        EXPECT_EQ(bed_shown_count(), 2);
        EXPECT_EQ(vmo_committed_pages(vmo), 2);
        vmo_put(vmo);
}

BED_TEST(vmar, contiguous_and_physical_memory)
{
        struct vmo *run, *window;
        struct vmar_map_request map = {RW | VMAR_MAP_RANGE, 0, PAGES(8), {NULL, RIGHTS_ALL}, 0};
        uint64_t va;

        REQUIRE_OK(vmo_create_contiguous(&bed.pool, PAGES(8), 0, &run));
        map.vmo.vmo = run;
        REQUIRE_OK((bed.table.map_calls = 0, vmar_map(bed.root, &map, &va)));
        EXPECT_EQ(bed_shown_count(), 8);
        EXPECT_EQ(bed.table.map_calls, 1); /* one run, for which a table may have large entries */
        EXPECT_OK(vmar_unmap(bed.root, va, PAGES(8)));

        REQUIRE_OK(vmo_create_physical(&bed.pool, 64 * GIB, PAGES(2), &window));
        map.vmo.vmo = window;
        map.bytes = PAGES(3);
        REQUIRE_OK(vmar_map(bed.root, &map, &va));
        EXPECT_EQ(bed_shown_count(), 2);
        EXPECT_EQ(bed.table.entries[bed_index(va) + 1].pa, 64 * GIB + PAGES(1));
        EXPECT_EQ(bed.table.entries[bed_index(va)].policy, VMO_CACHE_UNCACHED);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmar_fault(&bed.space, va + PAGES(2), 0));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmar_op_range(bed.root, VMAR_OP_DECOMMIT, va,
                                                          PAGES(2)));
        map.vmo_offset = PAGES(2); /* nothing there at all */
        REQUIRE_OK(vmar_map(bed.root, &map, &va));
        EXPECT_EQ(bed_shown_count(), 2);
        vmo_put(run);
        vmo_put(window);
}

/* ---- validity ---- */

/* Puts something wrong into a place, looks, and puts back what was there. */
#define EXPECT_SEEN(place_, wrong_)                      \
        do {                                             \
                __typeof__(place_) right_ = (place_);    \
                EXPECT_TRUE(vmar_valid(&bed.space));     \
                (place_) = (wrong_);                     \
                EXPECT_FALSE(vmar_valid(&bed.space));    \
                (place_) = right_;                       \
        } while (0)

BED_TEST(vmar, valid_sees_what_is_wrong)
{
        struct vmo *vmo = make_vmo(t, 4);
        struct vmar_handle region;

        REQUIRE_OK(bed_region_at(bed.root, 8, 8, &region));
        REQUIRE_OK(bed_map_at(region, 0, 4, vmo));
        REQUIRE_OK(vmar_op_range(region, VMAR_OP_COMMIT, va_of(8), PAGES(4)));
        struct vmar_mapping *mapping = vmar_mapping_at(bed.space.root, va_of(8));
        struct vmar *inner = mapping->parent;
        EXPECT_SEEN(bed.space.region_count, 3);
        EXPECT_SEEN(bed.space.mapping_count, 0);
        EXPECT_SEEN(inner->alive, false);
        EXPECT_SEEN(inner->space, NULL);
        EXPECT_SEEN(inner->references, 0);
        EXPECT_SEEN(inner->parent, NULL);
        EXPECT_SEEN(inner->options, 0); /* what it permits no more is mapped */
        EXPECT_SEEN(mapping->parent, bed.space.root);
        EXPECT_SEEN(mapping->table, NULL);
        EXPECT_SEEN(mapping->permissions, VMAR_PERM_READ); /* the table says otherwise */
        EXPECT_SEEN(mapping->permissions_max, VMAR_PERM_READ);
        EXPECT_SEEN(mapping->link.vmo_offset, PAGES(1));
        EXPECT_SEEN(mapping->link.bytes, PAGES(3));
        EXPECT_SEEN(mapping->va_of_offset_0, va_of(7));
        EXPECT_SEEN(bed.table.entries[8].pa, bed.table.entries[9].pa);
        bed.table.entries[12] = bed.table.entries[11]; /* behind the mapping */
        EXPECT_FALSE(vmar_valid(&bed.space));
        bed.table.entries[12].present = false;
        EXPECT_TRUE(vmar_valid(&bed.space));
        vmar_close(region);
        vmo_put(vmo);
}

BED_TEST(vmar, dead_comes_after_options_and_before_places)
{
        struct vmar_handle dead, child;
        struct vmo *vmo = make_vmo(t, 1);
        const uint64_t P = PAGE_BYTES;
        uint64_t va;
        REQUIRE_OK(bed_region_at(bed.root, 0, 4, &dead));
        REQUIRE_OK(vmar_destroy(dead));
        const struct {
                uint32_t rights, options;
                uint64_t offset, bytes;
                zx_status_t status;
        } allocations[] = {
                {0, VMAR_CAN_MAP_READ, 0, P, ZX_ERR_ACCESS_DENIED},
                {~0u, VMAR_PERM_READ, 0, P, ZX_ERR_INVALID_ARGS},
                {~0u, 0, 0, P + 1, ZX_ERR_INVALID_ARGS},
                {~0u, VMAR_MAP_RANGE, 0, P, ZX_ERR_INVALID_ARGS},
                {~0u, 0, 0, 0, ZX_ERR_BAD_STATE},
                {~0u, VMAR_CAN_MAP_EXECUTE, 0, P, ZX_ERR_BAD_STATE},
                {~0u, VMAR_SPECIFIC, 1, 99 * P, ZX_ERR_BAD_STATE},
        };
        for (unsigned i = 0; i < ARRAY_COUNT(allocations); i++) {
                const struct vmar_request request = {allocations[i].options, allocations[i].offset,
                                                     allocations[i].bytes};
                const struct vmar_handle handle = {dead.vmar, allocations[i].rights};
                EXPECT_STATUS(allocations[i].status, vmar_allocate(handle, &request, &child, NULL));
        }
        const struct {
                uint32_t options;
                uint64_t bytes, vmo_offset;
                zx_status_t status;
        } maps[] = {
                {RW, P, 1, ZX_ERR_INVALID_ARGS},
                {RW, UINT64_MAX, 0, ZX_ERR_OUT_OF_RANGE},
                {RW, 0, 0, ZX_ERR_BAD_STATE},
        };
        for (unsigned i = 0; i < ARRAY_COUNT(maps); i++) {
                const struct vmar_map_request request = {
                        maps[i].options, 0, maps[i].bytes, {vmo, RIGHTS_ALL}, maps[i].vmo_offset};
                const struct vmar_handle handle = {dead.vmar, ~0u};
                EXPECT_STATUS(maps[i].status, vmar_map(handle, &request, &va));
        }
        vmar_close(dead);
        vmo_put(vmo);
}
