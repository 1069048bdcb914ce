/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The tree of ranges against an array, and where new ranges are placed.
 *
 * Host only for its size. */
#include "tests/host/vmar_bed.h"

#include "kernel/vmar_tree.h"

/* ---- the tree, against an array of bytes ---- */

#define CELLS 512u
#define NODES 200u

static struct vmar_tree tree;
static struct vmar_node nodes[NODES];
static uint8_t cells[CELLS]; /* 0: free, else 1 + the number of a node */

static uint64_t next_cell(uint64_t from, bool taken)
{
        while (from < CELLS && (cells[from] != 0) != taken)
                from++;
        return from;
}

static void add_node(struct test *t, unsigned number)
{
        uint64_t base = world_random_below(t, CELLS), bytes = 1 + world_random_below(t, 5);
        if (base + bytes > CELLS || next_cell(base, true) < base + bytes)
                return;
        nodes[number] = (struct vmar_node){.base = base, .bytes = bytes};
        __builtin_memset(&cells[base], (int)number + 1, bytes);
        vmar_tree_insert(&tree, &nodes[number]);
}

static void change_node(struct test *t, unsigned number)
{
        struct vmar_node *node = &nodes[number];
        uint64_t cut = world_random_below(t, (uint32_t)node->bytes);
        __builtin_memset(&cells[node->base], 0, node->bytes);
        if (world_random_below(t, 3) == 0 && cut != 0) { /* shorter, at the front or at the back */
                bool front = world_random_below(t, 2) != 0;
                vmar_tree_resize(node, node->base + (front ? cut : 0), node->bytes - cut);
                __builtin_memset(&cells[node->base], (int)number + 1, node->bytes);
                return;
        }
        vmar_tree_remove(&tree, node);
        node->bytes = 0;
}

static void check_lookups(struct test *t)
{
        uint64_t address = world_random_below(t, CELLS + 4), taken = next_cell(address, true);
        struct vmar_node *node = vmar_tree_at_or_after(&tree, address);
        EXPECT_PTR_EQ(node, taken == CELLS || taken > CELLS ? NULL : &nodes[cells[taken] - 1]);
        taken = next_cell(0, true);
        EXPECT_PTR_EQ(vmar_tree_first(&tree), taken == CELLS ? NULL : &nodes[cells[taken] - 1]);
        if (node != NULL) {
                struct vmar_node *next = vmar_tree_next(node);
                taken = next_cell(vmar_node_end(node), true);
                EXPECT_PTR_EQ(next, taken == CELLS ? NULL : &nodes[cells[taken] - 1]);
                if (next != NULL)
                        EXPECT_PTR_EQ(vmar_tree_previous(next), node);
        }
}

/* All gaps of at least `bytes`, in order, as the array says. */
static void check_gaps(struct test *t, uint64_t bytes)
{
        struct vmar_gap gap;
        bool more = vmar_tree_first_gap(&tree, 0, CELLS, bytes, &gap);
        for (uint64_t first = next_cell(0, false), end; first < CELLS; first = next_cell(end,
                                                                                         false)) {
                end = next_cell(first, true);
                if (end - first < bytes)
                        continue;
                REQUIRE_TRUE(more);
                EXPECT_EQ(gap.first, first);
                EXPECT_EQ(gap.end, end);
                EXPECT_PTR_EQ(gap.after, end == CELLS ? NULL : &nodes[cells[end] - 1]);
                more = vmar_tree_next_gap(&tree, CELLS, bytes, &gap);
        }
        EXPECT_FALSE(more);
}

TEST(vmar_tree, agrees_with_an_array)
{
        for (unsigned round = 0; round < 20 && !test_has_failed(t); round++) {
                __builtin_memset(nodes, 0, sizeof(nodes));
                __builtin_memset(cells, 0, sizeof(cells));
                tree = (struct vmar_tree){NULL};
                for (unsigned step = 0; step < 600 && !test_has_failed(t); step++) {
                        unsigned number = world_random_below(t, NODES);
                        if (nodes[number].bytes == 0)
                                add_node(t, number);
                        else if (world_random_below(t, 10) < 4 + round % 4)
                                change_node(t, number);
                        EXPECT_TRUE(vmar_tree_valid(&tree));
                        check_lookups(t);
                        check_gaps(t, 1 + world_random_below(t, 12));
                }
        }
}

TEST(vmar_tree, stays_low)
{
        static struct vmar_node many[4096];
        tree = (struct vmar_tree){NULL};
        for (unsigned i = 0; i < ARRAY_COUNT(many); i++) { /* ascending: a list without balance */
                many[i] = (struct vmar_node){.base = 2 * i, .bytes = 1};
                vmar_tree_insert(&tree, &many[i]);
        }
        EXPECT_TRUE(vmar_tree_valid(&tree));
        EXPECT_LE(tree.root->height, 13); /* 4096 nodes */
        EXPECT_EQ(tree.root->largest_gap, 1);
        for (unsigned i = 0; i < ARRAY_COUNT(many); i += 2)
                vmar_tree_remove(&tree, &many[i]);
        EXPECT_TRUE(vmar_tree_valid(&tree));
        EXPECT_EQ(tree.root->largest_gap, 3);
}

TEST(vmar_tree, validity_sees_what_is_wrong)
{
        struct vmar_node n[7];
        tree = (struct vmar_tree){NULL};
        for (unsigned i = 0; i < ARRAY_COUNT(n); i++) {
                n[i] = (struct vmar_node){.base = 10 * i, .bytes = 5};
                vmar_tree_insert(&tree, &n[i]);
        }
        REQUIRE_TRUE(vmar_tree_valid(&tree));
        for (unsigned i = 0; i < ARRAY_COUNT(n); i++) {
                struct vmar_node good = n[i];
                n[i].largest_gap++;
                EXPECT_FALSE(vmar_tree_valid(&tree));
                n[i] = good;
                n[i].subtree_end++;
                EXPECT_FALSE(vmar_tree_valid(&tree));
                n[i] = good;
                n[i].subtree_first++;
                EXPECT_FALSE(vmar_tree_valid(&tree));
                n[i] = good;
                n[i].height++;
                EXPECT_FALSE(vmar_tree_valid(&tree));
                n[i] = good;
                n[i].bytes = 0;
                EXPECT_FALSE(vmar_tree_valid(&tree));
                n[i] = good;
                n[i].base += 10; /* over the next one */
                EXPECT_FALSE(vmar_tree_valid(&tree));
                n[i] = good;
        }
        EXPECT_TRUE(vmar_tree_valid(&tree));
}

/* ---- placement ---- */

static struct vmo *vmo;

static zx_status_t place(struct vmar_handle region, uint32_t options, uint64_t offset,
                         uint64_t pages,
                         uint64_t *page_out)
{
        uint64_t va = 0;
        struct vmar_map_request request = {VMAR_PERM_READ | options, offset, PAGES(pages),
                                           {vmo, RIGHTS_ALL}, 0};
        zx_status_t status = vmar_map(region, &request, &va);
        *page_out = bed_index(va);
        return status;
}

static void make(struct test *t, uint64_t pages, uint32_t entropy_bits, uint64_t seed)
{
        bed_make_pmm(t, BED_PAGES_MAX);
        REQUIRE_OK(bed_make_space(BED_BASE, PAGES(pages), entropy_bits, seed));
        REQUIRE_OK(vmo_create(&bed.pool, PAGES(100), 0, &vmo));
}

static void unmake(struct test *t)
{
        vmo_put(vmo);
        bed_end(t);
}

TEST(vmar_place, first_fit)
{
        uint64_t page;
        make(t, 64, 0, 0);
        for (uint64_t i = 0; i < 16; i++) { /* no guard gaps: one behind the other */
                EXPECT_OK(place(bed.root, 0, 0, 4, &page));
                EXPECT_EQ(page, 4 * i);
        }
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, place(bed.root, 0, 0, 1, &page));
        EXPECT_OK(vmar_unmap(bed.root, BED_BASE + PAGES(10), PAGES(1)));
        EXPECT_OK(vmar_unmap(bed.root, BED_BASE + PAGES(20), PAGES(3)));
        EXPECT_OK(vmar_unmap(bed.root, BED_BASE + PAGES(40), PAGES(6)));
        EXPECT_OK(vmar_unmap(bed.root, BED_BASE + PAGES(60), PAGES(4)));
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, place(bed.root, 0, 0, 7, &page));
        EXPECT_OK(place(bed.root, 0, 0, 2, &page));
        EXPECT_EQ(page, 20);
        EXPECT_OK(place(bed.root, 0, 0, 4, &page));
        EXPECT_EQ(page, 40);
        EXPECT_OK(place(bed.root, 0, 0, 4, &page)); /* behind the last one */
        EXPECT_EQ(page, 60);
        EXPECT_OK(place(bed.root, 0, 0, 1, &page));
        EXPECT_EQ(page, 10);
        EXPECT_OK(vmar_unmap(bed.root, BED_BASE, PAGES(3))); /* before the first one */
        EXPECT_OK(place(bed.root, 0, 0, 3, &page));
        EXPECT_EQ(page, 0);
        unmake(t);
}

TEST(vmar_place, alignment)
{
        uint64_t page;
        make(t, 4096, 0, 0);
        EXPECT_OK(place(bed.root, 0, 0, 1, &page));
        EXPECT_OK(place(bed.root, VMAR_ALIGN(14), 0, 1, &page)); /* 4 pages */
        EXPECT_EQ(page, 4);
        EXPECT_OK(place(bed.root, VMAR_ALIGN(14), 0, 5, &page));
        EXPECT_EQ(page, 8);
        EXPECT_OK(place(bed.root, VMAR_ALIGN(10), 0, 3, &page)); /* 1 KiB is a page */
        EXPECT_EQ(page, 1);
        EXPECT_OK(place(bed.root, VMAR_ALIGN(21), 0, 1, &page));
        EXPECT_EQ(page, 512);
        EXPECT_OK(place(bed.root, VMAR_ALIGN(21), 0, 2000, &page));
        EXPECT_EQ(page, 1024);
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, place(bed.root, VMAR_ALIGN(24), 0, 1, &page));
        unmake(t);
        make(t, (8 * GIB) / PAGE_BYTES, 0, 0);
        EXPECT_OK(place(bed.root, VMAR_ALIGN(32), 0, 1, &page)); /* 4 GiB */
        EXPECT_EQ(BED_BASE + PAGES(page), 4 * GIB);
        EXPECT_OK(place(bed.root, VMAR_ALIGN(32), 0, 1, &page));
        EXPECT_EQ(BED_BASE + PAGES(page), 8 * GIB);
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, place(bed.root, VMAR_ALIGN(32), 0, 1, &page));
        unmake(t);
}

TEST(vmar_place, upper_limit)
{
        uint64_t page;
        const uint32_t L = VMAR_OFFSET_IS_UPPER_LIMIT;
        make(t, 64, 0, 0);
        EXPECT_OK(place(bed.root, L, PAGES(8), 8, &page)); /* exactly up to the limit */
        EXPECT_EQ(page, 0);
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, place(bed.root, L, PAGES(8), 1, &page));
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, place(bed.root, L, PAGES(10), 3, &page));
        EXPECT_OK(place(bed.root, L, PAGES(10), 2, &page));
        EXPECT_EQ(page, 8);
        EXPECT_OK(place(bed.root, L, PAGES(64), 54, &page)); /* the limit is the region's end */
        EXPECT_EQ(page, 10);
        unmake(t);
        make(t, 64, 30, 3);
        for (unsigned i = 0; i < 5; i++) { /* at random, but below it */
                EXPECT_OK(place(bed.root, L, PAGES(20), 3, &page));
                EXPECT_LE(page, 17);
        }
        unmake(t);
}

/* Where 1000 placements of `pages` pages went, in a space of 64 pages of which 8..24 are taken. */
static void count_places(struct test *t, uint32_t entropy_bits, uint64_t pages, unsigned counts[64])
{
        uint64_t page;
        __builtin_memset(counts, 0, 64 * sizeof(counts[0]));
        make(t, 64, entropy_bits, 99);
        REQUIRE_OK(bed_map_at(bed.root, 8, 16, vmo));
        for (unsigned i = 0; i < 1000; i++) {
                REQUIRE_OK(place(bed.root, 0, 0, pages, &page));
                REQUIRE_TRUE(page < 64);
                counts[page]++;
                REQUIRE_OK(vmar_unmap(bed.root, BED_BASE + PAGES(page), PAGES(pages)));
        }
        unmake(t);
}

TEST(vmar_place, random_over_all_positions_that_fit)
{
        unsigned counts[64];
        count_places(t, 30, 4, counts);
        for (unsigned i = 0; i < 64; i++) { /* 5 positions and 37 more; 24 each on average */
                bool fits = i <= 4 || (i >= 24 && i <= 60);
                EXPECT_EQ(counts[i] != 0, fits);
                EXPECT_LT(counts[i], 60);
        }
        count_places(t, 3, 4, counts); /* the first 8 positions only */
        for (unsigned i = 0; i < 64; i++)
                EXPECT_EQ(counts[i] != 0, i <= 4 || (i >= 24 && i <= 26));
        count_places(t, 1, 40, counts); /* one position: the second draw */
        EXPECT_EQ(counts[24], 1000);
}

TEST(vmar_place, the_seed_decides)
{
        uint64_t pages[3][8];
        for (unsigned run = 0; run < 3; run++) {
                make(t, 1u << 20, 30, run == 2 ? 8 : 7);
                for (unsigned i = 0; i < 8; i++)
                        EXPECT_OK(place(bed.root, 0, 0, 1, &pages[run][i]));
                unmake(t);
        }
        EXPECT_BYTES_EQ(pages[0], pages[1], sizeof(pages[0]));
        EXPECT_TRUE(__builtin_memcmp(pages[0], pages[2], sizeof(pages[0])) != 0);
}

TEST(vmar_place, what_failed_moves_nothing)
{
        const struct vmar_request too_large = {0, 0, PAGES(1u << 20)};
        uint64_t pages[2][4], page;
        struct vmar_handle child;

        for (unsigned run = 0; run < 2; run++) {
                make(t, 1u << 20, 30, 7);
                for (unsigned i = 0; i < 4; i++) {
                        EXPECT_OK(place(bed.root, 0, 0, 1, &pages[run][i]));
                        if (run == 0)
                                continue;
                        EXPECT_STATUS(ZX_ERR_NO_RESOURCES,
                                      place(bed.root, 0, 0, 1u << 20, &page));
                        EXPECT_STATUS(ZX_ERR_NO_RESOURCES,
                                      vmar_allocate(bed.root, &too_large, &child, NULL));
                }
                unmake(t);
        }
        EXPECT_BYTES_EQ(pages[0], pages[1], sizeof(pages[0]));
}

TEST(vmar_place, compact_is_first_fit_and_not_inherited)
{
        struct vmar_handle compact, inner;
        struct vmar_request request = {VMAR_COMPACT | VMAR_CAN_MAP_READ, 0, PAGES(4096)};
        uint64_t base, page, in_order = 0;
        make(t, 1u << 20, 36, 5);
        REQUIRE_OK(vmar_allocate(bed.root, &request, &compact, &base));
        /* it is itself placed at random; this seed is not the one in a million */
        EXPECT_NE(base, BED_BASE);
        for (uint64_t i = 0; i < 8; i++) {
                EXPECT_OK(place(compact, 0, 0, 2, &page));
                EXPECT_EQ(page, bed_index(base) + 2 * i);
        }
        request.options = VMAR_CAN_MAP_READ;
        request.bytes = PAGES(2000);
        REQUIRE_OK(vmar_allocate(compact, &request, &inner, &base));
        EXPECT_OK(place(inner, 0, 0, 2, &page));
        for (uint64_t i = 0; i < 8; i++) {
                uint64_t last = page;
                EXPECT_OK(place(inner, 0, 0, 2, &page));
                in_order += page == last + 2;
        }
        EXPECT_LT(in_order, 3);
        vmar_close(compact);
        vmar_close(inner);
        unmake(t);
}

TEST(vmar_place, random_over_aligned_positions)
{
        unsigned counts[64] = {0};
        uint64_t page;
        make(t, 64, 30, 99);
        REQUIRE_OK(bed_map_at(bed.root, 9, 16, vmo)); /* 9 to 25 are taken */
        for (unsigned i = 0; i < 1000; i++) {
                REQUIRE_OK(place(bed.root, VMAR_ALIGN(15) | VMAR_OFFSET_IS_UPPER_LIMIT, PAGES(60),
                                 3, &page));
                counts[page]++;
                REQUIRE_OK(vmar_unmap(bed.root, BED_BASE + PAGES(page), PAGES(3)));
        }
        for (unsigned i = 0; i < 64; i++) /* steps of 8 pages, ends up to 60 */
                EXPECT_EQ(counts[i] != 0, i == 0 || i == 32 || i == 40 || i == 48 || i == 56);
        unmake(t);
}
