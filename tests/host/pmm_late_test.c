/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of delayed reuse, pmm_free_late and any free while the checker is on:
 * spec/zircon-objects.md, 2.4. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/pmm.h"

#define BED_PA (1 * MIB)
#define BED_PAGES 130 /* three groups of page structures, the last two pages hold them */
#define BED_FREE (BED_PAGES - 2)

static struct pmm pmm;
static struct list_node list, late;

static void make_bed(struct test *t, uint64_t pa)
{
        char *memory = world_pages(t, BED_PAGES, NULL);
        list_init(&list);
        list_init(&late);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - pa));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", pa, BED_PAGES * PAGE_BYTES));
}

/* The next pages to be allocated are pages `first` .. `first + count - 1` of the bed. */
static void expect_next(struct test *t, uint64_t first, uint64_t count)
{
        for (uint64_t i = 0; i < count; i++) {
                struct vm_page *page;
                REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
                EXPECT_EQ((page->pa - BED_PA) / PAGE_BYTES, first + i);
        }
}

TEST(pmm_late, goes_out_behind_what_is_free_now_in_its_order)
{
        make_bed(t, BED_PA);
        pmm_free_late(&pmm, &late); /* empty: nothing */
        REQUIRE_OK(pmm_alloc_pages(&pmm, 3, PMM_ALLOC_ANY, &late));
        REQUIRE_OK(pmm_alloc_pages(&pmm, 2, PMM_ALLOC_ANY, &list));
        pmm_free_late(&pmm, &late);
        EXPECT_TRUE(list_is_empty(&late));
        EXPECT_EQ(pmm_count_free_pages(&pmm), BED_FREE - 2);
        EXPECT_EQ(vm_page_state(pmm_page_from_pa(&pmm, BED_PA)), VM_PAGE_FREE);
        EXPECT_TRUE(pmm_check_all(&pmm));
        pmm_free(&pmm, &list);
        expect_next(t, 3, 61); /* those two are at the head, then the rest of what is set up */
        expect_next(t, 0, 3);
        expect_next(t, 64, 64);
        EXPECT_EQ(pmm_count_free_pages(&pmm), 0);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

/* The free list is empty, but pages wait that are not set up. */
TEST(pmm_late, is_not_the_next_one_while_there_is_another)
{
        make_bed(t, BED_PA);
        REQUIRE_OK(pmm_alloc_pages(&pmm, 1, PMM_ALLOC_ANY, &late));
        REQUIRE_OK(pmm_alloc_pages(&pmm, 63, PMM_ALLOC_ANY, &list));
        pmm_free_late(&pmm, &late);
        EXPECT_TRUE(pmm_check_all(&pmm));
        expect_next(t, 64, 64);
        expect_next(t, 0, 1);
        struct vm_page *page = pmm_page_from_pa(&pmm, BED_PA + 100 * PAGE_BYTES);
        list_add_tail(&late, &page->list);
        pmm_free_late(&pmm, &late); /* the only page there is */
        expect_next(t, 100, 1);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
}

/* Two zones, a list each: the order of one says nothing about the other. */
TEST(pmm_late, each_zone_has_a_tail)
{
        enum { EACH = 8, FREE_EACH = EACH - 1 };
        uint64_t low_pa = 4 * GIB - EACH * PAGE_BYTES;
        struct vm_page *page;
        make_bed(t, low_pa);
        REQUIRE_OK(pmm_init(&pmm, pmm.physmap_base));
        REQUIRE_OK(pmm_add_arena(&pmm, "low", low_pa, EACH * PAGE_BYTES));
        REQUIRE_OK(pmm_add_arena(&pmm, "high", 4 * GIB, EACH * PAGE_BYTES));
        REQUIRE_OK(pmm_alloc_pages(&pmm, 1, PMM_ALLOC_ANY, &late));
        REQUIRE_OK(pmm_alloc_pages(&pmm, 1, PMM_ALLOC_LO_MEM, &late));
        pmm_free_late(&pmm, &late);
        EXPECT_TRUE(pmm_check_all(&pmm));
        for (uint64_t i = 1; i <= FREE_EACH; i++) {
                REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
                EXPECT_EQ(page->pa, 4 * GIB + i % FREE_EACH * PAGE_BYTES);
                REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_LO_MEM, &page));
                EXPECT_EQ(page->pa, low_pa + i % FREE_EACH * PAGE_BYTES);
        }
}

/* Late for single pages, but as good as any for a run. */
TEST(pmm_late, runs_are_found_as_always)
{
        uint64_t pa = 0;
        make_bed(t, BED_PA);
        REQUIRE_OK(pmm_alloc_pages(&pmm, BED_FREE, PMM_ALLOC_ANY, &list));
        for (uint64_t i = 40; i < 90; i++) { /* over a group's edge */
                struct vm_page *page = pmm_page_from_pa(&pmm, BED_PA + i * PAGE_BYTES);
                list_remove(&page->list);
                list_add_head(&late, &page->list);
        }
        pmm_free_late(&pmm, &late);
        EXPECT_TRUE(pmm_check_all(&pmm));
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 50, PMM_ALLOC_ANY, 0, &pa, &late));
        EXPECT_EQ(pa, BED_PA + 40 * PAGE_BYTES);
}

static void count_signal(void *context)
{
        ++*(unsigned *)context;
}

TEST(pmm_late, signals_above_the_upper_mark)
{
        unsigned count = 0;
        struct pmm_signal_config config = {0, BED_FREE - 3, 0, count_signal, &count};
        make_bed(t, BED_PA);
        REQUIRE_OK(pmm_alloc_pages(&pmm, 2, PMM_ALLOC_ANY, &list));
        REQUIRE_OK(pmm_alloc_pages(&pmm, 1, PMM_ALLOC_ANY, &late));
        EXPECT_TRUE(pmm_set_free_memory_signal(&pmm, &config));
        pmm_free_late(&pmm, &late);
        EXPECT_EQ(count, 1);
}

/* ---- the checker ---- */

static void no_report(void *context, const struct pmm_checker_report *report)
{
        ++*(unsigned *)context;
}

TEST(pmm_late, every_free_is_late_while_the_checker_is_on)
{
        unsigned reports = 0;
        struct pmm_checker_config config = {8, false, no_report, &reports};
        struct vm_page *page;
        make_bed(t, BED_PA);
        EXPECT_TRUE(pmm_checker_enable(&pmm, &config));
        REQUIRE_OK(pmm_alloc_pages(&pmm, 2, PMM_ALLOC_ANY, &list));
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        pmm_free_page(&pmm, page);
        pmm_free(&pmm, &list);
        EXPECT_TRUE(list_is_empty(&list));
        EXPECT_EQ(*(unsigned char *)pmm_page_va(&pmm, page), PMM_CHECKER_PATTERN);
        EXPECT_EQ(*(unsigned char *)pmm_pa_to_va(&pmm, BED_PA), PMM_CHECKER_PATTERN);
        expect_next(t, 3, 61);
        expect_next(t, 2, 1); /* freed before the list of two */
        REQUIRE_OK(pmm_alloc_pages(&pmm, 2, PMM_ALLOC_ANY, &list));
        LIST_FOR_EACH(node, &list)
                EXPECT_LT(vm_page_from_node(node)->pa, BED_PA + 2 * PAGE_BYTES);
        EXPECT_TRUE(pmm_check_all(&pmm));

        pmm_checker_arm(&pmm);
        /* Of 64 free pages this one is the last to go out: a late write is found all that time. */
        page = vm_page_from_node(list_remove_head(&list));
        pmm_free_page(&pmm, page);
        expect_next(t, 64, 64);
        *(unsigned char *)pmm_page_va(&pmm, page) = 0;
        EXPECT_EQ(reports, 0);
        expect_next(t, (page->pa - BED_PA) / PAGE_BYTES, 1);
        EXPECT_EQ(reports, 1);
}
