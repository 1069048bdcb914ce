/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Every run of 1 to 200 free pages at every place of a group is found, and no longer one is: the
 * run words of kernel/pmm_run.c may never hide what is there. */
#include "base/bytes.h"
#include "kernel/pmm.h"
#include "tests/expect.h"

#define BED_PA (1 * MIB)
#define GROUPS 5
#define PLAYGROUND_PAGES (GROUPS * PMM_GROUP_PAGES)
#define RUN_PAGES_MAX 200

static struct pmm pmm;
static struct list_node list;

/* An arena whose first GROUPS groups are all taken; its structures lie behind them. */
static void make_full_bed(struct test *t)
{
        uint64_t pages = PLAYGROUND_PAGES + PMM_GROUP_PAGES;
        const struct pmm_arena_config config = {"bed", BED_PA, pages * PAGE_BYTES,
                                                BED_PA + PLAYGROUND_PAGES * PAGE_BYTES};
        char *memory = world_pages(t, pages, NULL);
        list_init(&list);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - BED_PA));
        REQUIRE_OK(pmm_add_arena_at(&pmm, &config));
        REQUIRE_OK(pmm_wire_range(&pmm, BED_PA, PLAYGROUND_PAGES));
        while (pmm_count_free_pages(&pmm) > 0) /* what is left behind the structures */
                REQUIRE_OK(pmm_alloc_pages(&pmm, 1, PMM_ALLOC_ANY, &list));
        list_init(&list); /* never given back */
}

static void try_run(struct test *t, uint64_t first, uint64_t count)
{
        uint64_t pa = 0;
        pmm_free_wired_range(&pmm, BED_PA + first * PAGE_BYTES, count);
        REQUIRE_OK(pmm_alloc_contiguous(&pmm, count, PMM_ALLOC_ANY, 0, &pa, &list));
        REQUIRE_EQ(pa, BED_PA + first * PAGE_BYTES);
        pmm_free(&pmm, &list);
        /* One more is not there; that look also corrects the run words. */
        REQUIRE_STATUS(ZX_ERR_NOT_FOUND,
                       pmm_alloc_contiguous(&pmm, count + 1, PMM_ALLOC_ANY, 0, NULL, &list));
        REQUIRE_OK(pmm_alloc_contiguous(&pmm, count, PMM_ALLOC_ANY, 0, &pa, &list));
        pmm_free(&pmm, &list);
        REQUIRE_OK(pmm_wire_range(&pmm, BED_PA + first * PAGE_BYTES, count));
}

TEST(pmm_order, every_run_at_every_place_is_found)
{
        make_full_bed(t);
        for (uint64_t count = 1; count <= RUN_PAGES_MAX; count++) {
                for (uint64_t first = 0; first < PMM_GROUP_PAGES; first++) {
                        try_run(t, first, count);
                        if (test_has_failed(t)) {
                                test_log(t, "%llu pages from page %llu on",
                                         (unsigned long long)count, (unsigned long long)first);
                                return;
                        }
                }
        }
        EXPECT_TRUE(pmm_check_all(&pmm));
}

/* The groups that a search reads are those in which the run may start. */
TEST(pmm_order, a_search_leaves_out_what_cannot_hold_the_run)
{
        make_full_bed(t);
        for (uint64_t first = 5; first <= 40; first += 35) { /* within a group, and over its edge */
                uint64_t page = 3 * PMM_GROUP_PAGES + first;
                pmm_free_wired_range(&pmm, BED_PA + page * PAGE_BYTES, 33);
                pmm_free_wired_range(&pmm, BED_PA + PAGE_BYTES, 31);
                /* Pays for what was allocated before. */
                REQUIRE_STATUS(ZX_ERR_NOT_FOUND,
                               pmm_alloc_contiguous(&pmm, 34, PMM_ALLOC_ANY, 0, NULL, &list));
                pmm.arenas[0].contiguous_hint = 0;
                pmm.statistics.groups_examined_max = 0;
                REQUIRE_OK(pmm_alloc_contiguous(&pmm, 33, PMM_ALLOC_ANY, 0, NULL, &list));
                EXPECT_EQ(pmm.statistics.groups_examined_max, 1); /* none before it */
                pmm_free(&pmm, &list);
                REQUIRE_OK(pmm_wire_range(&pmm, BED_PA + page * PAGE_BYTES, 33));
                REQUIRE_OK(pmm_wire_range(&pmm, BED_PA + PAGE_BYTES, 31));
        }
}

/* The pages of a run come back one by one, from its start or from its end on. */
TEST(pmm_order, a_run_that_is_freed_page_by_page_is_found)
{
        make_full_bed(t);
        for (uint64_t i = 0; i < 2 * PMM_GROUP_PAGES; i++) {
                uint64_t first = i % PMM_GROUP_PAGES, count = 2 + first / 2, pa = 0;
                REQUIRE_STATUS(ZX_ERR_NOT_FOUND, /* corrects the run words */
                               pmm_alloc_contiguous(&pmm, 2, PMM_ALLOC_ANY, 0, NULL, &list));
                for (uint64_t page = 0; page < count; page++) {
                        uint64_t place = i < PMM_GROUP_PAGES ? page : count - 1 - page;
                        uint64_t page_pa = BED_PA + (first + place) * PAGE_BYTES;
                        pmm_unwire_page(&pmm, pmm_page_from_pa(&pmm, page_pa));
                        pmm_free_page(&pmm, pmm_page_from_pa(&pmm, page_pa));
                }
                EXPECT_TRUE(pmm_check_all(&pmm));
                REQUIRE_OK(pmm_alloc_contiguous(&pmm, count, PMM_ALLOC_ANY, 0, &pa, &list));
                REQUIRE_EQ(pa, BED_PA + first * PAGE_BYTES);
                for (struct list_node *node; (node = list_remove_head(&list)) != NULL;)
                        pmm_free_page(&pmm, vm_page_from_node(node));
                REQUIRE_OK(pmm_wire_range(&pmm, BED_PA + first * PAGE_BYTES, count));
        }
}
