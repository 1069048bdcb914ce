/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* How free pages lie: every run counted once, over the edges of words, in each arena for itself. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/pmm_fragments.h"

#define ARENA_PAGES 400u
#define ODD_ARENA_PAGES 384u /* its free pages go on to the end of the last word */
#define BASE_PA (16 * MIB)

static struct pmm pmm;
static struct list_node taken;
static char *memory; /* of this test */

static void make_memory(struct test *t, unsigned arenas)
{
        memory = world_pages(t, arenas * (ARENA_PAGES + 1), NULL);
}

static void make_bed(struct test *t, unsigned arenas)
{
        list_init(&taken);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - BASE_PA));
        for (unsigned i = 0; i < arenas; i++) {
                uint64_t pa = BASE_PA + i * (ARENA_PAGES + 1) * PAGE_BYTES;
                struct pmm_arena_config odd = {"bed", pa, ODD_ARENA_PAGES * PAGE_BYTES, pa};
                if (i % 2 != 0)
                        REQUIRE_OK(pmm_add_arena_at(&pmm, &odd));
                else
                        REQUIRE_OK(pmm_add_arena(&pmm, "bed", pa, ARENA_PAGES * PAGE_BYTES));
        }
}

/* Takes pages by number in the first arena. */
static void take(struct test *t, uint64_t first, uint64_t count)
{
        struct list_node range, *node;
        list_init(&range);
        REQUIRE_OK(pmm_alloc_range(&pmm, BASE_PA + first * PAGE_BYTES, count, &range));
        while ((node = list_remove_head(&range)) != NULL)
                list_add_tail(&taken, node);
}

/* The same by looking at each page. */
static struct pmm_fragments by_page(void)
{
        struct pmm_fragments result = {{0}, 0, 0, 0};
        for (uint32_t i = 0; i < pmm.arena_count; i++) {
                uint64_t run = 0;
                for (uint64_t number = 0; number <= pmm.arenas[i].page_count; number++) {
                        const struct vm_page *page = NULL;
                        if (number < pmm.arenas[i].page_count)
                                page = pmm_page_from_pa(&pmm,
                                                        pmm.arenas[i].pa + number * PAGE_BYTES);
                        if (page != NULL && vm_page_state(page) == VM_PAGE_FREE) {
                                run++;
                                continue;
                        }
                        unsigned order = 0;
                        while (run >> (order + 1) != 0)
                                order++;
                        result.runs[order] += run != 0;
                        result.run_count += run != 0;
                        result.free_pages += run;
                        result.longest_pages = max_u64(result.longest_pages, run);
                        run = 0;
                }
        }
        return result;
}

static void expect_right(struct test *t)
{
        struct pmm_fragments got = pmm_fragments(&pmm), want = by_page();
        EXPECT_BYTES_EQ(&got, &want, sizeof(got));
        EXPECT_EQ(got.free_pages, pmm_count_free_pages(&pmm));
}

TEST(pmm_fragments, one_run_is_not_fragmented)
{
        make_memory(t, 1);
        make_bed(t, 1);
        struct pmm_fragments fragments = pmm_fragments(&pmm); /* no group is set up yet */
        EXPECT_EQ(fragments.run_count, 1);
        EXPECT_EQ(fragments.longest_pages, pmm_count_free_pages(&pmm));
        EXPECT_EQ(fragments.runs[8], 1); /* 256 .. 511 pages */
        EXPECT_EQ(pmm_fragments_percent(&fragments), 0);
        take(t, 0, pmm_count_free_pages(&pmm));
        fragments = pmm_fragments(&pmm);
        EXPECT_EQ(fragments.run_count, 0);
        EXPECT_EQ(pmm_fragments_percent(&fragments), 0);
        pmm_free(&pmm, &taken);
}

TEST(pmm_fragments, runs_at_every_edge_of_a_word)
{
        make_memory(t, 1);
        for (uint64_t first = 0; first < 130; first++) {
                make_bed(t, 1);
                take(t, first, 1);
                take(t, first + 3, 64);
                expect_right(t);
                if (first != 0) {
                        struct pmm_fragments fragments = pmm_fragments(&pmm);
                        EXPECT_EQ(fragments.run_count, 3);
                        EXPECT_EQ(fragments.longest_pages, max_u64(first,
                                  pmm_count_free_pages(&pmm) - first - 2));
                }
                pmm_free(&pmm, &taken);
        }
}

TEST(pmm_fragments, arenas_are_apart_and_every_second_page_is_the_worst)
{
        make_memory(t, 3);
        make_bed(t, 3);
        struct pmm_fragments fragments = pmm_fragments(&pmm);
        EXPECT_EQ(fragments.run_count, 3);
        EXPECT_EQ(pmm_fragments_percent(&fragments), 66);
        make_bed(t, 1);
        uint64_t pages = pmm_count_free_pages(&pmm);
        for (uint64_t number = 0; number < pages; number += 2)
                take(t, number, 1);
        fragments = pmm_fragments(&pmm);
        EXPECT_EQ(fragments.runs[0], pages / 2);
        EXPECT_EQ(fragments.longest_pages, 1);
        EXPECT_EQ(pmm_fragments_percent(&fragments), 99);
        expect_right(t);
        pmm_free(&pmm, &taken);
}

TEST(pmm_fragments, agrees_with_a_look_at_each_page)
{
        make_memory(t, 2);
        make_bed(t, 2);
        for (unsigned round = 0; round < 300; round++) {
                uint64_t first = world_random_below(t, ARENA_PAGES);
                uint64_t count = 1 + world_random_below(t, 1u << world_random_below(t, 8));
                struct list_node range, *node;
                list_init(&range);
                if (TRIED(pmm_alloc_range(&pmm, BASE_PA + first * PAGE_BYTES, count, &range)) ==
                    ZX_OK)
                        while ((node = list_remove_head(&range)) != NULL)
                                list_add_head(&taken, node);
                else if (!list_is_empty(&taken))
                        pmm_free_page(&pmm, vm_page_from_node(list_remove_tail(&taken)));
                expect_right(t);
        }
        pmm_free(&pmm, &taken);
}
