/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/memory_pressure: stocks of all CPUs go back when memory runs short,
 * each time it does. */
#include "tests/expect.h"

#include <stdatomic.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "kernel/buffer_chain_boot.h"
#include "kernel/cpu.h"
#include "kernel/memory.h"
#include "kernel/memory_pressure.h"
#include "kernel/time.h"

#define LIMIT_NS (10 * NS_PER_SECOND)

static struct list_node taken;

static void stock_up(UNUSED void *context)
{
        struct vm_page *page;

        if (TRIED(page_cache_alloc_page(&kernel_buffer_chain_cache, PMM_ALLOC_ANY, &page)) == ZX_OK)
                page_cache_free_page(&kernel_buffer_chain_cache, page);
}

static uint64_t in_stock(void)
{
        uint64_t pages = 0;

        for (uint32_t cpu = 0; cpu < cpu_count(); cpu++)
                pages += page_cache_available(&kernel_buffer_chain_cache, cpu);
        return pages;
}

static void take_down_to(struct test *t, uint64_t free_pages)
{
        REQUIRE_OK(pmm_alloc_pages(&kernel_pmm, pmm_count_free_pages(&kernel_pmm) - free_pages,
                                   PMM_ALLOC_ANY, &taken));
}

/* Serves until all have given their stocks back. */
static void wait_for_drains(struct test *t)
{
        uint64_t deadline_ns = time_deadline_after(LIMIT_NS);

        while (in_stock() != 0 && !time_passed(deadline_ns)) {
                (void)cpu_serve();
                arch_pause();
        }
        EXPECT_EQ(in_stock(), 0);
}

TEST(memory_pressure, stocks_go_back_each_time_memory_runs_short)
{
        struct memory_pressure before = memory_pressure(), now;

        list_init(&taken);
        REQUIRE_TRUE(!before.is_low);
        for (unsigned round = 1; round <= 3; round++) {
                REQUIRE_OK(cpu_run_on_all(stock_up, NULL, time_deadline_after(LIMIT_NS)));
                uint64_t stock = in_stock(), drained = memory_pressure().drained_pages;
                EXPECT_GE(stock, cpu_count());
                take_down_to(t, before.low_pages); /* not below it yet */
                EXPECT_EQ(memory_pressure().signal_count, before.signal_count + 2 * round - 2);
                EXPECT_EQ(in_stock(), stock);
                take_down_to(t, before.low_pages - 1);
                EXPECT_EQ(memory_pressure().signal_count, before.signal_count + 2 * round - 1);
                wait_for_drains(t);
                now = memory_pressure();
                EXPECT_EQ(now.drained_pages, drained + stock);
                EXPECT_EQ(pmm_count_state(&kernel_pmm, VM_PAGE_CACHE), 0);
                EXPECT_TRUE(now.is_low); /* though the stocks have brought it over the mark */
                EXPECT_EQ(now.signal_count, before.signal_count + 2 * round - 1);

                pmm_free(&kernel_pmm, &taken); /* enough again: said once */
                EXPECT_EQ(memory_pressure().signal_count, before.signal_count + 2 * round);
                EXPECT_FALSE(memory_pressure().is_low);
        }
        EXPECT_TRUE(pmm_check_all(&kernel_pmm));
}

/* ---- all CPUs at once ---- */

static atomic_uint wrongs;

static void swing(UNUSED void *context)
{
        struct list_node mine;

        list_init(&mine);
        for (unsigned i = 0; i < 30; i++) {
                uint64_t free_pages = pmm_count_free_pages(&kernel_pmm);
                if (pmm_alloc_pages(&kernel_pmm, free_pages - free_pages / 40, PMM_ALLOC_ANY,
                                    &mine) == ZX_OK)
                        pmm_free(&kernel_pmm, &mine);
                stock_up(NULL);
        }
        if (!list_is_empty(&mine))
                atomic_fetch_add(&wrongs, 1);
}

TEST_WITH(memory_pressure, every_cpu_makes_it_short_at_once, 0, 60000)
{
        uint64_t signals = memory_pressure().signal_count;

        atomic_store(&wrongs, 0);
        REQUIRE_OK(cpu_run_on_all(swing, NULL, time_deadline_after(4 * LIMIT_NS)));
        EXPECT_EQ(atomic_load(&wrongs), 0);
        EXPECT_GT(memory_pressure().signal_count, signals);
        EXPECT_FALSE(memory_pressure().is_low);
        /* What is left to drain is over, and it works the next time. */
        REQUIRE_OK(cpu_run_on_all(stock_up, NULL, time_deadline_after(LIMIT_NS)));
        EXPECT_TRUE(page_cache_valid(&kernel_buffer_chain_cache));
        EXPECT_TRUE(pmm_check_all(&kernel_pmm));
        list_init(&taken);
        take_down_to(t, memory_pressure().low_pages - 1);
        wait_for_drains(t);
        pmm_free(&kernel_pmm, &taken);
        EXPECT_FALSE(memory_pressure().is_low);
}
