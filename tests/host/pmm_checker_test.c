/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/pmm_checker: each row of the table in spec/zircon-objects.md, 2.8. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/pmm.h"

#define BED_PAGES 70

static struct pmm pmm;
static struct list_node list;
static unsigned report_count;
static struct pmm_checker_report last_report;

static void note_report(void *context, const struct pmm_checker_report *report)
{
        ++*(unsigned *)context;
        last_report = *report;
}

static void make_bed(struct test *t)
{
        char *memory = world_pages(t, BED_PAGES, NULL);
        list_init(&list);
        report_count = 0;
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, BED_PAGES * PAGE_BYTES));
}

static bool enable(uint32_t fill_bytes)
{
        struct pmm_checker_config config = {fill_bytes, true, note_report, &report_count};
        return pmm_checker_enable(&pmm, &config);
}

static size_t pattern_bytes(const struct vm_page *page)
{
        const unsigned char *bytes = pmm_page_va(&pmm, page);
        size_t count = 0;
        while (count < PAGE_BYTES && bytes[count] == PMM_CHECKER_PATTERN)
                count++;
        return count;
}

TEST(pmm_checker, fill_bytes_rules)
{
        EXPECT_TRUE(pmm_checker_fill_bytes_valid(8));
        EXPECT_TRUE(pmm_checker_fill_bytes_valid(PAGE_BYTES));
        EXPECT_FALSE(pmm_checker_fill_bytes_valid(0));
        EXPECT_FALSE(pmm_checker_fill_bytes_valid(12));
        EXPECT_FALSE(pmm_checker_fill_bytes_valid(PAGE_BYTES + 8));
        EXPECT_FALSE(pmm_checker_fill_bytes_valid(UINT64_MAX & ~7ull));
}

TEST(pmm_checker, enabled_fills_what_is_freed_and_verifies_nothing_yet)
{
        struct vm_page *page;
        make_bed(t);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        pmm_free_page(&pmm, page);
        EXPECT_EQ(pattern_bytes(page), 0);
        EXPECT_TRUE(enable(64));
        EXPECT_FALSE(enable(128));
        EXPECT_EQ(pmm.checker.fill_bytes, 64);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        pmm_free_page(&pmm, page);
        EXPECT_EQ(pattern_bytes(page), 64);
        *(char *)pmm_page_va(&pmm, page) = 0;
        REQUIRE_OK(pmm_alloc_range(&pmm, page->pa, 1, &list));
        EXPECT_EQ(pmm_checker_check_all(&pmm), 0);
        EXPECT_EQ(report_count, 0);
}

TEST(pmm_checker, armed_fills_every_free_page)
{
        struct vm_page *taken;
        make_bed(t);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &taken));
        EXPECT_TRUE(enable(PAGE_BYTES));
        pmm_checker_arm(&pmm);
        pmm_checker_arm(&pmm); /* again: nothing */
        EXPECT_EQ(pattern_bytes(taken), 0);
        EXPECT_EQ(pmm_checker_check_all(&pmm), 0);
        for (uint64_t i = 1; i < BED_PAGES - 1; i++)
                EXPECT_EQ(pattern_bytes(pmm_page_from_pa(&pmm, MIB + i * PAGE_BYTES)), PAGE_BYTES);
        REQUIRE_OK(pmm_alloc_pages(&pmm, BED_PAGES - 2, PMM_ALLOC_ANY, &list));
        EXPECT_EQ(report_count, 0);
        pmm_free(&pmm, &list);
        EXPECT_EQ(pmm_checker_check_all(&pmm), 0);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm_checker, a_write_after_free_is_reported_on_allocation)
{
        struct vm_page *page;
        make_bed(t);
        EXPECT_TRUE(enable(128));
        pmm_checker_arm(&pmm);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        pmm_free_page(&pmm, page);
        ((char *)pmm_page_va(&pmm, page))[128] = 1; /* behind what is filled: not seen */
        EXPECT_EQ(pmm_checker_check_all(&pmm), 0);
        ((char *)pmm_page_va(&pmm, page))[127] ^= 1;
        EXPECT_EQ(pmm_checker_check_all(&pmm), 1);
        REQUIRE_OK(pmm_alloc_range(&pmm, page->pa, 1, &list)); /* it would be the last to come */
        EXPECT_EQ(report_count, 2);
        EXPECT_EQ(pmm.checker.failure_count, 2);
        EXPECT_PTR_EQ(last_report.page, page);
        EXPECT_EQ(last_report.first_bad_byte, 127);
        EXPECT_EQ(last_report.fill_bytes, 128);
        EXPECT_PTR_EQ(last_report.va, pmm_page_va(&pmm, page));
        EXPECT_TRUE(last_report.panic);
        pmm_free(&pmm, &list); /* filled again */
        EXPECT_EQ(pmm_checker_check_all(&pmm), 0);
}

TEST(pmm_checker, runs_and_ranges_are_verified_and_lists_only_where_new)
{
        uint64_t pa;
        make_bed(t);
        EXPECT_TRUE(enable(8));
        pmm_checker_arm(&pmm);
        for (uint64_t i = 0; i < 6; i++)
                *(uint64_t *)pmm_pa_to_va(&pmm, MIB + i * PAGE_BYTES) = i;
        EXPECT_OK(pmm_alloc_pages(&pmm, 2, PMM_ALLOC_ANY, &list));
        EXPECT_EQ(report_count, 2);
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 2, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(pa, MIB + 2 * PAGE_BYTES);
        EXPECT_EQ(report_count, 4); /* not again those that are on the list already */
        EXPECT_OK(pmm_wire_range(&pmm, MIB + 4 * PAGE_BYTES, 2));
        EXPECT_EQ(report_count, 6);
}

/* Memory above 4 GiB has a free list of its own. */
TEST(pmm_checker, the_high_list_is_filled_and_looked_at)
{
        struct vm_page *page;
        char *memory = world_pages(t, BED_PAGES, NULL);
        report_count = 0;
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - 4 * GIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "high", 4 * GIB, BED_PAGES * PAGE_BYTES));
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page)); /* its group is on the list now */
        pmm_free_page(&pmm, page);
        EXPECT_TRUE(enable(64));
        pmm_checker_arm(&pmm);
        EXPECT_EQ(pattern_bytes(page), 64);
        *(char *)pmm_page_va(&pmm, page) = 0;
        EXPECT_EQ(pmm_checker_check_all(&pmm), 1);
}

/* An arena that comes after the checker was armed: its pages are filled when they are set up. */
TEST(pmm_checker, an_arena_that_comes_later)
{
        char *memory = world_pages(t, 2 * BED_PAGES, NULL);
        list_init(&list);
        report_count = 0;
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "one", MIB, BED_PAGES * PAGE_BYTES));
        EXPECT_TRUE(enable(PAGE_BYTES));
        pmm_checker_arm(&pmm);
        REQUIRE_OK(
                pmm_add_arena(&pmm, "two", MIB + BED_PAGES * PAGE_BYTES, BED_PAGES * PAGE_BYTES));
        EXPECT_EQ(pmm_checker_check_all(&pmm), 0);
        struct vm_page *later = pmm_page_from_pa(&pmm, MIB + BED_PAGES * PAGE_BYTES);
        EXPECT_EQ(pattern_bytes(later), PAGE_BYTES);
        REQUIRE_OK(pmm_alloc_pages(&pmm, pmm_count_free_pages(&pmm), PMM_ALLOC_ANY, &list));
        EXPECT_EQ(report_count, 0);
        EXPECT_TRUE(pmm_check_all(&pmm));
}
