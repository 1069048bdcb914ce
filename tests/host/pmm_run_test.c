/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/pmm_run: ranges, wiring, contiguous runs. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/pmm.h"
#include "kernel/pmm_internal.h"

#define BED_PA (1 * MIB)
#define BED_PAGES 200 /* the last three hold structures */
#define BED_OWN 3
#define BED_FREE (BED_PAGES - BED_OWN)

static struct pmm pmm;
static struct list_node list;

static void make_bed(struct test *t, uint64_t pa, uint64_t page_count)
{
        char *memory = world_pages(t, page_count, NULL);
        list_init(&list);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - pa));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", pa, page_count * PAGE_BYTES));
}

/* Two arenas that touch, `page_count` pages each. */
static void make_neighbours(struct test *t, uint64_t pa, uint64_t page_count)
{
        make_bed(t, pa, 2 * page_count);
        REQUIRE_OK(pmm_init(&pmm, pmm.physmap_base));
        REQUIRE_OK(pmm_add_arena(&pmm, "one", pa, page_count * PAGE_BYTES));
        REQUIRE_OK(
                pmm_add_arena(&pmm, "two", pa + page_count * PAGE_BYTES, page_count * PAGE_BYTES));
}

/* Whether `list` holds `count` ALLOC pages in a row from `pa` on. */
static void expect_run(struct test *t, uint64_t pa, uint64_t count)
{
        uint64_t seen = 0;
        LIST_FOR_EACH(node, &list)
        {
                struct vm_page *page = vm_page_from_node(node);
                EXPECT_EQ(page->pa, pa + seen * PAGE_BYTES);
                EXPECT_EQ(vm_page_state(page), VM_PAGE_ALLOC);
                seen++;
        }
        EXPECT_EQ(seen, count);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

/* ---- ranges ---- */

TEST(pmm_run, range_is_taken_in_ascending_order)
{
        make_bed(t, BED_PA, BED_PAGES);
        EXPECT_OK(pmm_alloc_range(&pmm, BED_PA, 0, &list));
        /* Over a group's edge. */
        EXPECT_OK(pmm_alloc_range(&pmm, BED_PA + 60 * PAGE_BYTES + 5, 10, &list));
        expect_run(t, BED_PA + 60 * PAGE_BYTES, 10);
        EXPECT_EQ(pmm_count_free_pages(&pmm), BED_FREE - 10);
        pmm_free(&pmm, &list);
        EXPECT_OK(pmm_alloc_range(&pmm, BED_PA, BED_FREE, &list));
        expect_run(t, BED_PA, BED_FREE);
        EXPECT_EQ(pmm_count_free_pages(&pmm), 0);
}

TEST(pmm_run, range_with_a_page_that_is_not_free_changes_nothing)
{
        struct vm_page *page;
        make_bed(t, BED_PA, BED_PAGES);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page)); /* the first one */
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, pmm_alloc_range(&pmm, BED_PA, 5, &list));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, pmm_alloc_range(&pmm, BED_PA + 190 * PAGE_BYTES, 8, &list));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      pmm_alloc_range(&pmm, BED_PA + 190 * PAGE_BYTES, 11, &list));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, pmm_alloc_range(&pmm, BED_PA - PAGE_BYTES, 2, &list));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      pmm_alloc_range(&pmm, BED_PA + PAGE_BYTES, SIZE_MAX, &list));
        EXPECT_TRUE(list_is_empty(&list));
        EXPECT_EQ(pmm_count_free_pages(&pmm), BED_FREE - 1);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm_run, range_goes_on_in_the_next_arena)
{
        make_bed(t, BED_PA, 16);
        REQUIRE_OK(pmm_init(&pmm, pmm.physmap_base));
        struct pmm_arena_config one = {"one", BED_PA, 8 * PAGE_BYTES, BED_PA};
        REQUIRE_OK(pmm_add_arena_at(&pmm, &one)); /* its structures are at the start */
        REQUIRE_OK(pmm_add_arena(&pmm, "two", BED_PA + 8 * PAGE_BYTES, 8 * PAGE_BYTES));
        EXPECT_OK(pmm_alloc_range(&pmm, BED_PA + PAGE_BYTES, 14, &list));
        expect_run(t, BED_PA + PAGE_BYTES, 14);
        EXPECT_EQ(pmm_count_free_pages(&pmm), 0);
        pmm_free(&pmm, &list);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, pmm_alloc_range(&pmm, BED_PA + PAGE_BYTES, 15, &list));
        EXPECT_EQ(pmm_count_free_pages(&pmm), 14);
}

TEST(pmm_run, wired_pages_stay_until_they_are_unwired)
{
        make_bed(t, BED_PA, BED_PAGES);
        EXPECT_OK(pmm_wire_range(&pmm, BED_PA, 70));
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_WIRED), BED_OWN + 70);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, pmm_wire_range(&pmm, BED_PA + 69 * PAGE_BYTES, 2));
        EXPECT_FALSE(list_in_list(&pmm_page_from_pa(&pmm, BED_PA)->list));
        EXPECT_TRUE(pmm_check_all(&pmm));

        struct vm_page *page = pmm_page_from_pa(&pmm, BED_PA + 5 * PAGE_BYTES);
        list_add_tail(&list, &page->list); /* whoever wired it may keep it on a list */
        pmm_unwire_page(&pmm, page);
        EXPECT_TRUE(list_is_empty(&list));
        EXPECT_EQ(vm_page_state(page), VM_PAGE_ALLOC);
        pmm_free_page(&pmm, page);
        pmm_free_wired_range(&pmm, BED_PA, 5);
        EXPECT_EQ(pmm_count_free_pages(&pmm), BED_FREE - 64);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        EXPECT_EQ(page->pa, BED_PA);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

/* ---- runs ---- */

TEST(pmm_run, contiguous_gives_the_first_run_and_goes_on_behind_it)
{
        uint64_t pa = 42;
        make_bed(t, BED_PA, BED_PAGES);
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 0, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pa, 42);
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 10, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pa, BED_PA);
        expect_run(t, BED_PA, 10);
        pmm_free(&pmm, &list);
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 10, PMM_ALLOC_ANY, 3, NULL, &list)); /* the hint */
        expect_run(t, BED_PA + 10 * PAGE_BYTES, 10);
}

TEST(pmm_run, contiguous_wraps_once)
{
        uint64_t pa;
        make_bed(t, BED_PA, BED_PAGES);
        REQUIRE_OK(pmm_alloc_contiguous(&pmm, 150, PMM_ALLOC_ANY, 0, &pa, &list));
        pmm_free(&pmm, &list);
        /* 47 are left behind. */
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 60, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pa, BED_PA);
        pmm_free(&pmm, &list);
        /* The hint is 60 now; a run that starts below it and ends
         * above it is found after the wrap. */
        EXPECT_OK(pmm_alloc_contiguous(&pmm, BED_FREE - 1, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pa, BED_PA);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm_run, contiguous_aligns_the_physical_address)
{
        uint64_t pa;
        make_bed(t, BED_PA + 3 * PAGE_BYTES, BED_PAGES);
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 2, PMM_ALLOC_ANY, 16, &pa, &list));
        EXPECT_EQ(pa, BED_PA + 16 * PAGE_BYTES);
        /* One page, aligned. */
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 1, PMM_ALLOC_ANY, 17, &pa, &list));
        EXPECT_EQ(pa, BED_PA + 32 * PAGE_BYTES);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      pmm_alloc_contiguous(&pmm, 2, PMM_ALLOC_ANY, 21, &pa, &list));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      pmm_alloc_contiguous(&pmm, 2, PMM_ALLOC_ANY, 63, &pa, &list));
        EXPECT_EQ(pa, BED_PA + 32 * PAGE_BYTES);
        EXPECT_EQ(list_count(&list), 3);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm_run, contiguous_not_found_is_no_failure)
{
        uint64_t pa = 42;
        make_bed(t, BED_PA, BED_PAGES);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      pmm_alloc_contiguous(&pmm, BED_FREE + 1, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      pmm_alloc_contiguous(&pmm, BED_PAGES + 1, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      pmm_alloc_contiguous(&pmm, SIZE_MAX, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pmm.statistics.allocation_failures, 0);
        EXPECT_FALSE(pmm.first_failure.happened);
        REQUIRE_OK(pmm_alloc_pages(&pmm, BED_FREE, PMM_ALLOC_ANY, &list));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY,
                      pmm_alloc_contiguous(&pmm, 1, PMM_ALLOC_ANY, 12, &pa, &list));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      pmm_alloc_contiguous(&pmm, 1, PMM_ALLOC_ANY, 13, &pa, &list));
        EXPECT_EQ(pa, 42);
}

TEST(pmm_run, contiguous_between_pages_that_are_taken)
{
        uint64_t pa;
        make_bed(t, BED_PA, BED_PAGES);
        /* 63 pages, then 64, then 68. */
        REQUIRE_OK(pmm_wire_range(&pmm, BED_PA + 63 * PAGE_BYTES, 1));
        REQUIRE_OK(pmm_wire_range(&pmm, BED_PA + 128 * PAGE_BYTES, 1));
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 64, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pa, BED_PA + 64 * PAGE_BYTES);
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 68, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pa, BED_PA + 129 * PAGE_BYTES);
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 63, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pa, BED_PA);
        EXPECT_GE(pmm.statistics.groups_examined_max, 2);
        EXPECT_EQ(pmm_count_free_pages(&pmm), 0);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm_run, contiguous_starts_right_behind_what_is_taken)
{
        uint64_t pa;
        make_bed(t, BED_PA, BED_PAGES);
        REQUIRE_OK(pmm_wire_range(&pmm, BED_PA + 70 * PAGE_BYTES, 1));
        EXPECT_OK(pmm_alloc_contiguous(&pmm, BED_FREE - 71, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pa, BED_PA + 71 * PAGE_BYTES);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm_run, contiguous_never_crosses_arenas)
{
        uint64_t pa;
        make_bed(t, BED_PA, 64);
        REQUIRE_OK(pmm_init(&pmm, pmm.physmap_base));
        struct pmm_arena_config one = {"one", BED_PA, 32 * PAGE_BYTES, BED_PA};
        REQUIRE_OK(pmm_add_arena_at(&pmm, &one)); /* free up to its last page */
        REQUIRE_OK(pmm_add_arena(&pmm, "two", BED_PA + 32 * PAGE_BYTES, 32 * PAGE_BYTES));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      pmm_alloc_contiguous(&pmm, 32, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 31, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pa, BED_PA + PAGE_BYTES);
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 31, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pa, BED_PA + 32 * PAGE_BYTES);
}

TEST(pmm_run, contiguous_lo_mem_stays_below_4_gib)
{
        uint64_t pa;
        make_neighbours(t, 4 * GIB - 16 * PAGE_BYTES, 16);
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 10, PMM_ALLOC_LO_MEM, 0, &pa, &list));
        EXPECT_EQ(pa, 4 * GIB - 16 * PAGE_BYTES);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      pmm_alloc_contiguous(&pmm, 10, PMM_ALLOC_LO_MEM, 0, &pa, &list));
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 10, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pa, 4 * GIB);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm_run, last_not_free_looks_back_to_front)
{
        make_bed(t, BED_PA, BED_PAGES);
        const struct pmm_arena *arena = &pmm.arenas[0];
        EXPECT_EQ(pmm_run_last_not_free(arena, 0, BED_FREE), PMM_RUN_ALL_FREE);
        EXPECT_EQ(pmm_run_last_not_free(arena, 0, BED_FREE + 1), BED_FREE);
        REQUIRE_OK(pmm_wire_range(&pmm, BED_PA + 3 * PAGE_BYTES, 1));
        REQUIRE_OK(pmm_wire_range(&pmm, BED_PA + 64 * PAGE_BYTES, 1));
        EXPECT_EQ(pmm_run_last_not_free(arena, 0, 64), 3);
        EXPECT_EQ(pmm_run_last_not_free(arena, 0, 65), 64);
        EXPECT_EQ(pmm_run_last_not_free(arena, 4, 60), PMM_RUN_ALL_FREE);
        EXPECT_EQ(pmm_run_last_not_free(arena, 3, 1), 3);
        EXPECT_EQ(pmm_run_last_not_free(arena, 65, 100), PMM_RUN_ALL_FREE);
}
