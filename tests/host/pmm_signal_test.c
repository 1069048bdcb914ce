/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/pmm_signal: each row of the table in spec/zircon-objects.md, 2.7. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/pmm.h"

#define FREE_PAGES 40

static struct pmm pmm;
static struct list_node list;
static unsigned signal_count;

static void count_signal(void *context)
{
        ++*(unsigned *)context;
}

static void make_bed(struct test *t)
{
        char *memory = world_pages(t, FREE_PAGES + 1, NULL);
        list_init(&list);
        signal_count = 0;
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, (FREE_PAGES + 1) * PAGE_BYTES));
        REQUIRE_EQ(pmm_count_free_pages(&pmm), FREE_PAGES);
}

static bool arm(uint64_t lower, uint64_t upper, uint64_t delay_level)
{
        struct pmm_signal_config config = {lower, upper, delay_level, count_signal, &signal_count};
        return pmm_set_free_memory_signal(&pmm, &config);
}

/* Takes pages until `free_pages` are left. */
static void take_down_to(struct test *t, uint64_t free_pages)
{
        while (pmm_count_free_pages(&pmm) > free_pages)
                REQUIRE_OK(pmm_alloc_pages(&pmm, 1, PMM_ALLOC_ANY, &list));
}

static void give_one(void)
{
        pmm_free_page(&pmm, vm_page_from_node(list_remove_head(&list)));
}

TEST(pmm_signal, outside_the_corridor_nothing_is_armed)
{
        make_bed(t);
        EXPECT_FALSE(arm(0, FREE_PAGES - 1, 0));
        EXPECT_FALSE(arm(FREE_PAGES + 1, FREE_PAGES + 2, 0));
        take_down_to(t, 0);
        EXPECT_EQ(signal_count, 0);
        EXPECT_FALSE(arm(1, UINT64_MAX, 0));
}

TEST(pmm_signal, below_lower_signals_once)
{
        make_bed(t);
        EXPECT_TRUE(arm(30, FREE_PAGES, 0));
        take_down_to(t, 30);
        EXPECT_EQ(signal_count, 0);
        take_down_to(t, 29);
        EXPECT_EQ(signal_count, 1);
        take_down_to(t, 10);
        EXPECT_EQ(signal_count, 1);
        EXPECT_TRUE(arm(5, 10, 0)); /* again after it was armed again */
        EXPECT_OK(pmm_alloc_pages(&pmm, 6, PMM_ALLOC_ANY, &list));
        EXPECT_EQ(signal_count, 2);
}

TEST(pmm_signal, above_upper_signals_once)
{
        make_bed(t);
        take_down_to(t, 20);
        EXPECT_TRUE(arm(10, 21, 0));
        give_one();
        EXPECT_EQ(signal_count, 0);
        give_one();
        EXPECT_EQ(signal_count, 1);
        pmm_free(&pmm, &list);
        EXPECT_EQ(signal_count, 1);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

/* Swings between two marks, as kernel/memory_pressure does. */
static void arm_the_other(UNUSED void *context)
{
        bool low = pmm_count_free_pages(&pmm) < 10;
        struct pmm_signal_config outside = {21, UINT64_MAX, 0, arm_the_other, NULL},
                                 next = {low ? 0 : 10, low ? 20 : UINT64_MAX, 0, arm_the_other,
                                         NULL};
        signal_count++;
        if (low && pmm_set_next_free_memory_signal(&pmm, &outside))
                signal_count += 100;
        if (!pmm_set_next_free_memory_signal(&pmm, &next))
                signal_count += 100;
}

TEST(pmm_signal, a_signal_may_arm_the_next)
{
        struct pmm_signal_config first = {10, UINT64_MAX, 0, arm_the_other, NULL};
        make_bed(t);
        EXPECT_TRUE(pmm_set_free_memory_signal(&pmm, &first));
        for (unsigned round = 1; round < 8; round += 2) {
                take_down_to(t, 9);
                EXPECT_EQ(signal_count, round);
                take_down_to(t, round);
                EXPECT_EQ(signal_count, round);
                while (pmm_count_free_pages(&pmm) < 20)
                        give_one();
                EXPECT_EQ(signal_count, round);
                give_one();
                EXPECT_EQ(signal_count, round + 1);
        }
        pmm_free(&pmm, &list);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm_signal, contiguous_and_range_and_wire_signal_too)
{
        uint64_t pa;
        make_bed(t);
        EXPECT_TRUE(arm(38, FREE_PAGES, 0));
        EXPECT_OK(pmm_alloc_contiguous(&pmm, 4, PMM_ALLOC_ANY, 0, &pa, &list));
        EXPECT_EQ(signal_count, 1);
        EXPECT_TRUE(arm(34, FREE_PAGES, 0));
        EXPECT_OK(pmm_wire_range(&pmm, MIB + 10 * PAGE_BYTES, 4));
        EXPECT_EQ(signal_count, 2);
        EXPECT_TRUE(arm(10, 32, 0));
        pmm_free_wired_range(&pmm, MIB + 10 * PAGE_BYTES, 4);
        EXPECT_EQ(signal_count, 3);
}

TEST(pmm_signal, first_failure_ever_signals)
{
        struct vm_page *page;
        make_bed(t);
        EXPECT_TRUE(arm(0, UINT64_MAX, 0));
        take_down_to(t, 0);
        EXPECT_EQ(signal_count, 0);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        EXPECT_EQ(signal_count, 1);
        EXPECT_TRUE(arm(0, UINT64_MAX, 0));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        EXPECT_EQ(signal_count, 1); /* the second failure does not */
}

TEST(pmm_signal, delay_is_sticky_until_a_new_call)
{
        struct vm_page *page;
        make_bed(t);
        EXPECT_TRUE(arm(30, UINT64_MAX, 20));
        take_down_to(t, 20);
        EXPECT_EQ(pmm_wait_state(&pmm), PMM_WAIT_ONCE_LEVEL_TRIPPED);
        EXPECT_EQ(signal_count, 1); /* at 29; the delay level still counts after it */
        take_down_to(t, 19);
        EXPECT_EQ(pmm_wait_state(&pmm), PMM_WAIT_UNTIL_RESET);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, pmm_alloc_page(&pmm, PMM_ALLOC_CAN_WAIT, &page));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, pmm_alloc_pages(&pmm, 2, PMM_ALLOC_CAN_WAIT, &list));
        EXPECT_EQ(pmm.statistics.delayed_allocations, 2);
        EXPECT_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page)); /* others are still served */
        pmm_free_page(&pmm, page);
        pmm_free(&pmm, &list);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, pmm_alloc_page(&pmm, PMM_ALLOC_CAN_WAIT, &page));
        EXPECT_TRUE(arm(0, UINT64_MAX, 0));
        EXPECT_OK(pmm_alloc_page(&pmm, PMM_ALLOC_CAN_WAIT, &page));
        EXPECT_TRUE(pmm_check_all(&pmm));
}

/* One step from above the signal to the delay level: there it is not below it. */
TEST(pmm_signal, exactly_at_the_delay_level_nobody_waits)
{
        struct vm_page *page;
        make_bed(t);
        EXPECT_TRUE(arm(30, UINT64_MAX, 20));
        EXPECT_OK(pmm_alloc_pages(&pmm, FREE_PAGES - 20, PMM_ALLOC_ANY, &list));
        EXPECT_EQ(signal_count, 1);
        EXPECT_EQ(pmm_wait_state(&pmm), PMM_WAIT_ONCE_LEVEL_TRIPPED);
        /* The last one that is served. */
        EXPECT_OK(pmm_alloc_page(&pmm, PMM_ALLOC_CAN_WAIT, &page));
        EXPECT_EQ(pmm_wait_state(&pmm), PMM_WAIT_UNTIL_RESET);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, pmm_alloc_page(&pmm, PMM_ALLOC_CAN_WAIT, &page));
}

TEST(pmm_signal, delay_at_once)
{
        struct vm_page *page;
        make_bed(t);
        EXPECT_TRUE(arm(0, UINT64_MAX, PMM_DELAY_AT_ONCE));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, pmm_alloc_page(&pmm, PMM_ALLOC_CAN_WAIT, &page));
        EXPECT_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
}

TEST(pmm_signal, never_waits_again_after_stop)
{
        struct vm_page *page;
        make_bed(t);
        EXPECT_TRUE(arm(0, UINT64_MAX, PMM_DELAY_AT_ONCE));
        pmm_stop_returning_should_wait(&pmm);
        EXPECT_OK(pmm_alloc_page(&pmm, PMM_ALLOC_CAN_WAIT, &page));
        EXPECT_TRUE(arm(0, UINT64_MAX, PMM_DELAY_AT_ONCE));
        EXPECT_EQ(pmm_wait_state(&pmm), PMM_WAIT_NEVER);
        EXPECT_OK(pmm_alloc_page(&pmm, PMM_ALLOC_CAN_WAIT, &page));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY,
                      pmm_alloc_pages(&pmm, FREE_PAGES, PMM_ALLOC_CAN_WAIT, &list));
}

TEST(pmm_signal, a_refused_call_leaves_signal_and_delay_as_they_are)
{
        struct vm_page *page;
        make_bed(t);
        EXPECT_TRUE(arm(30, UINT64_MAX, PMM_DELAY_AT_ONCE));
        EXPECT_FALSE(arm(0, FREE_PAGES - 1, 0));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, pmm_alloc_page(&pmm, PMM_ALLOC_CAN_WAIT, &page));
        take_down_to(t, 29);
        EXPECT_EQ(signal_count, 1); /* the old corridor still holds */
}
