/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The tree of pages against a list of numbers; and with no memory for the n-th node, for each n. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/page_tree.h"

#define ARENA_PAGES 400
#define MODEL_MAX 600

static struct pmm pmm;
static struct slab nodes;
static struct page_tree tree;
static struct vm_page pages[MODEL_MAX]; /* the tree only passes pointers on */
static uint64_t numbers[MODEL_MAX];     /* of pages[i]; NONE: not in the tree */

#define NONE UINT64_MAX

static void make_bed(struct test *t)
{
        char *memory = world_pages(t, ARENA_PAGES, NULL);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, ARENA_PAGES * PAGE_BYTES));
        REQUIRE_OK(slab_init(&nodes, "nodes", &pmm, sizeof(struct page_tree_node)));
        page_tree_init(&tree);
        for (unsigned i = 0; i < MODEL_MAX; i++)
                numbers[i] = NONE;
}

static unsigned model_find(uint64_t number)
{
        for (unsigned i = 0; i < MODEL_MAX; i++) {
                if (numbers[i] == number)
                        return i;
        }
        return MODEL_MAX;
}

static void expect_next(struct test *t, uint64_t from, uint64_t end)
{
        uint64_t best = NONE, at = from;
        for (unsigned i = 0; i < MODEL_MAX; i++) {
                if (numbers[i] != NONE && numbers[i] >= from && numbers[i] < end)
                        best = min_u64(best, numbers[i]);
        }
        struct vm_page *page = page_tree_next(&tree, &at, end);
        if (best == NONE) {
                EXPECT_TRUE(page == NULL);
                return;
        }
        EXPECT_EQ(at, best);
        EXPECT_PTR_EQ(page, &pages[model_find(best)]);
}

/* Numbers that crowd, that are far apart, and at the edges of nodes. */
static uint64_t some_number(struct test *t)
{
        uint64_t wide = (uint64_t)world_random(t) << 32 | world_random(t);
        uint64_t number = wide >> (12 + world_random_below(t, 52));
        if (world_random_below(t, 3) == 0)
                number = (number & ~63ull) + (world_random_below(t, 2) != 0 ? 63 : 0);
        return min_u64(number, PAGE_TREE_NUMBER_END - 1);
}

TEST(page_tree, agrees_with_a_list)
{
        enum { ROUNDS = 20000 };
        make_bed(t);
        for (unsigned round = 0; round < ROUNDS && !test_has_failed(t); round++) {
                uint32_t i = world_random_below(t, MODEL_MAX);
                uint64_t number = some_number(t);
                /* Now more, now fewer, so that it is empty at times. */
                bool more = round / 2000 % 2 == 0;
                if (world_random_below(t, 8) < (more ? 5 : 1)) {
                        if (numbers[i] == NONE && model_find(number) == MODEL_MAX) {
                                REQUIRE_OK(page_tree_insert(&tree, &nodes, number, &pages[i]));
                                numbers[i] = number;
                        }
                } else if (numbers[i] != NONE) {
                        EXPECT_PTR_EQ(page_tree_remove(&tree, &nodes, numbers[i]), &pages[i]);
                        EXPECT_TRUE(page_tree_find(&tree, numbers[i]) == NULL);
                        numbers[i] = NONE;
                }
                unsigned there = model_find(number);
                EXPECT_PTR_EQ(page_tree_find(&tree, number),
                              there < MODEL_MAX ? &pages[there] : NULL);
                if (there == MODEL_MAX)
                        EXPECT_TRUE(page_tree_remove(&tree, &nodes, number) == NULL);
                expect_next(t, number, PAGE_TREE_NUMBER_END);
                expect_next(t, number, number + world_random_below(t, 4));
                expect_next(t, 0, some_number(t));
        }
        for (unsigned i = 0; i < MODEL_MAX; i++) {
                if (numbers[i] != NONE)
                        EXPECT_PTR_EQ(page_tree_remove(&tree, &nodes, numbers[i]), &pages[i]);
        }
        EXPECT_TRUE(tree.root == NULL);
        slab_fini(&nodes); /* no node is left */
}

TEST(page_tree, small_trees_have_few_nodes)
{
        static const struct {
                uint64_t number;
                unsigned nodes;
        } cases[] = {{0, 0},    {1, 1},     {63, 1},    {64, 2},
                     {4095, 2}, {4096, 3}, {PAGE_TREE_NUMBER_END - 1, 9}};
        make_bed(t);
        for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
                REQUIRE_OK(page_tree_insert(&tree, &nodes, cases[i].number, &pages[i]));
                EXPECT_EQ(slab_counts(&nodes).objects, cases[i].nodes);
                EXPECT_PTR_EQ(page_tree_find(&tree, cases[i].number), &pages[i]);
                EXPECT_TRUE(page_tree_find(&tree, UINT64_MAX) == NULL);
                EXPECT_PTR_EQ(page_tree_remove(&tree, &nodes, cases[i].number), &pages[i]);
                EXPECT_EQ(slab_counts(&nodes).objects, 0);
        }
}

/* Every node of an insertion refused once: the tree is as before. */
TEST(page_tree, no_node_changes_nothing)
{
        static const uint64_t first[] = {NONE, 0, 1, 5000, 1ull << 40};
        static const uint64_t second[] = {0, 2, 64, 5001, 9999, 1ull << 30, (1ull << 40) + 1,
                                          (1ull << 51) + 3};
        static struct list_node taken;
        unsigned refused = 0;
        make_bed(t);
        for (unsigned a = 0; a < ARRAY_COUNT(first); a++) {
                for (unsigned b = 0; b < ARRAY_COUNT(second); b++) {
                        zx_status_t status = ZX_ERR_NO_MEMORY;
                        if (first[a] == second[b])
                                continue;
                        for (uint64_t n = 0; status != ZX_OK && n < 20; n++) {
                                /* `n` nodes more: leave one object slot at a time by
                                 * filling the slab. */
                                static void *filler[16 * 7];
                                unsigned filled = 0;
                                page_tree_init(&tree);
                                if (first[a] != NONE)
                                        REQUIRE_OK(page_tree_insert(&tree, &nodes, first[a],
                                                                    &pages[0]));
                                list_init(&taken);
                                uint64_t held = slab_counts(&nodes).objects;
                                while ((held + filled + n) % nodes.objects_per_page != 0)
                                        filler[filled++] = TRIED_POINTER(slab_alloc(&nodes));
                                uint64_t spare_pages =
                                        (held + filled + n) / nodes.objects_per_page -
                                                       slab_counts(&nodes).pages;
                                REQUIRE_OK(pmm_alloc_pages(&pmm,
                                                           pmm_count_free_pages(&pmm) - spare_pages,
                                                           PMM_ALLOC_ANY, &taken));
                                uint32_t height = tree.height;
                                void *root = tree.root;
                                status = TRIED(page_tree_insert(&tree, &nodes, second[b],
                                                                &pages[1]));
                                if (status != ZX_OK) {
                                        refused++;
                                        EXPECT_STATUS(ZX_ERR_NO_MEMORY, status);
                                        EXPECT_EQ(tree.height, height);
                                        EXPECT_PTR_EQ(tree.root, root);
                                        EXPECT_EQ(slab_counts(&nodes).objects, held + filled);
                                        EXPECT_TRUE(page_tree_find(&tree, second[b]) == NULL);
                                } else {
                                        EXPECT_PTR_EQ(page_tree_remove(&tree, &nodes, second[b]),
                                                      &pages[1]);
                                }
                                if (first[a] != NONE)
                                        EXPECT_PTR_EQ(page_tree_remove(&tree, &nodes, first[a]),
                                                      &pages[0]);
                                while (filled > 0)
                                        slab_free(&nodes, filler[--filled]);
                                pmm_free(&pmm, &taken);
                                EXPECT_EQ(slab_counts(&nodes).pages, 0);
                        }
                        EXPECT_OK(status);
                }
        }
        EXPECT_GT(refused, 60);
}
