/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/page_cache: the rules of spec/zircon-objects.md, 3,
 * as the header changes them. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/page_cache.h"

#define FREE_PAGES 60
#define RESERVE 8

static struct pmm pmm;
static struct page_cache cache;
static struct page_cache_entry entries[2];
static struct list_node list;
static uint32_t cpu_now;
static char *memory; /* of this test */

static uint32_t current_cpu(void)
{
        return cpu_now;
}

/* A pmm in which nothing has happened, over the same memory as before. */
static void reset_pmm(struct test *t)
{
        list_init(&list);
        cpu_now = 0;
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, (FREE_PAGES + 1) * PAGE_BYTES));
        REQUIRE_EQ(pmm_count_free_pages(&pmm), FREE_PAGES);
}

static void make_pmm(struct test *t)
{
        memory = world_pages(t, FREE_PAGES + 1, NULL);
        reset_pmm(t);
}

static void expect_cache_valid(struct test *t)
{
        EXPECT_TRUE(page_cache_valid(&cache));
}

static void reset_bed(struct test *t, uint32_t reserve_pages)
{
        struct page_cache_config config = {.pmm = &pmm,
                                           .reserve_pages = reserve_pages,
                                           .cpu_count = 2,
                                           .entries = entries,
                                           .current_cpu = current_cpu};
        reset_pmm(t);
        REQUIRE_OK(page_cache_init(&cache, &config));
        ON_REFUSAL(expect_cache_valid);
}

static void make_bed(struct test *t, uint32_t reserve_pages)
{
        make_pmm(t);
        reset_bed(t, reserve_pages);
}

static void expect_balance(struct test *t, uint64_t in_stock)
{
        EXPECT_TRUE(page_cache_valid(&cache));
        EXPECT_TRUE(pmm_check_all(&pmm));
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_CACHE), in_stock);
}

TEST(page_cache, init_checks_its_bounds)
{
        struct page_cache_config good = {&pmm, RESERVE, 2, entries, NULL}, bad;
        make_pmm(t);
        bad = good;
        bad.pmm = NULL;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, page_cache_init(&cache, &bad));
        bad = good;
        bad.cpu_count = 0;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, page_cache_init(&cache, &bad));
        bad.cpu_count = PAGE_CACHE_CPU_COUNT_MAX + 1;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, page_cache_init(&cache, &bad));
        bad = good;
        bad.reserve_pages = PAGE_CACHE_RESERVE_PAGES_MAX + 1;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, page_cache_init(&cache, &bad));
        bad.reserve_pages = PAGE_CACHE_RESERVE_PAGES_MAX; /* the largest of both */
        bad.cpu_count = PAGE_CACHE_CPU_COUNT_MAX;
        bad.entries = NULL;
        EXPECT_OK(page_cache_init(&cache, &bad));
        page_cache_fini(&cache);
        EXPECT_OK(page_cache_init(&cache, &good));
        expect_balance(t, 0);
        EXPECT_EQ(pmm_count_free_pages(&pmm), FREE_PAGES); /* empty until the first request */
}

TEST(page_cache, entries_can_come_from_the_pmm)
{
        struct page_cache_config config = {&pmm, RESERVE, 40, NULL, NULL};
        struct vm_page *page;
        uint64_t entry_pages = div_round_up(40 * sizeof(struct page_cache_entry), PAGE_BYTES);
        make_pmm(t);
        REQUIRE_OK(page_cache_init(&cache, &config));
        EXPECT_EQ(pmm_count_free_pages(&pmm), FREE_PAGES - entry_pages);
        EXPECT_TRUE(is_aligned((uint64_t)(uintptr_t)cache.entries, 64));
        EXPECT_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page));
        page_cache_free_page(&cache, page);
        page_cache_fini(&cache);
        EXPECT_EQ(pmm_count_free_pages(&pmm), FREE_PAGES);
        config.cpu_count = PAGE_CACHE_CPU_COUNT_MAX;
        REQUIRE_OK(pmm_alloc_pages(&pmm, FREE_PAGES - 5, PMM_ALLOC_ANY, &list));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, page_cache_init(&cache, &config));
        EXPECT_EQ(pmm_count_free_pages(&pmm), 5);
}

TEST(page_cache, first_request_fills_the_stock)
{
        make_bed(t, RESERVE);
        EXPECT_OK(page_cache_alloc(&cache, 0, PMM_ALLOC_ANY, &list));
        EXPECT_EQ(pmm_count_free_pages(&pmm), FREE_PAGES);
        EXPECT_OK(page_cache_alloc(&cache, 3, PMM_ALLOC_ANY, &list));
        EXPECT_EQ(list_count(&list), 3);
        LIST_FOR_EACH(node, &list)
                EXPECT_EQ(vm_page_state(vm_page_from_node(node)), VM_PAGE_ALLOC);
        EXPECT_EQ(page_cache_available(&cache, 0), RESERVE);
        EXPECT_EQ(pmm_count_free_pages(&pmm), FREE_PAGES - 3 - RESERVE);
        struct page_cache_counters counters = page_cache_counters(&cache);
        EXPECT_EQ(counters.hit, 0);
        EXPECT_EQ(counters.missed, 3);
        EXPECT_EQ(counters.refilled, RESERVE);
        expect_balance(t, RESERVE);
}

TEST(page_cache, hits_do_not_touch_the_pmm)
{
        struct vm_page *page;
        make_bed(t, RESERVE);
        EXPECT_OK(page_cache_alloc(&cache, 1, PMM_ALLOC_ANY, &list));
        uint64_t free_pages = pmm_count_free_pages(&pmm);
        EXPECT_OK(page_cache_alloc(&cache, RESERVE - 1, PMM_ALLOC_ANY, &list));
        EXPECT_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page));
        EXPECT_EQ(page_cache_available(&cache, 0), 0);
        EXPECT_EQ(pmm_count_free_pages(&pmm), free_pages);
        EXPECT_EQ(page_cache_counters(&cache).hit, RESERVE);
        expect_balance(t, 0);
}

TEST(page_cache, last_in_first_out)
{
        struct vm_page *a, *b, *again;
        make_bed(t, RESERVE);
        REQUIRE_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &again)); /* the stock is full */
        REQUIRE_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &a));
        REQUIRE_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &b));
        page_cache_free_page(&cache, a);
        page_cache_free_page(&cache, b);
        EXPECT_EQ(vm_page_state(b), VM_PAGE_CACHE);
        REQUIRE_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &again));
        EXPECT_PTR_EQ(again, b);
        REQUIRE_OK(page_cache_alloc(&cache, 1, PMM_ALLOC_ANY, &list));
        EXPECT_PTR_EQ(list.next, &a->list);

        list_add_tail(&list, &b->list);
        page_cache_free(&cache, &list); /* a, b: keeps its order */
        REQUIRE_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &again));
        EXPECT_PTR_EQ(again, a);
        expect_balance(t, RESERVE - 1);
}

TEST(page_cache, surplus_goes_to_the_pmm)
{
        make_bed(t, RESERVE);
        page_cache_free(&cache, &list); /* empty */
        REQUIRE_OK(pmm_alloc_pages(&pmm, RESERVE + 3, PMM_ALLOC_ANY, &list));
        pmm_set_state(&pmm, vm_page_from_node(list.next), VM_PAGE_IPC);
        struct list_node *first = list.next;
        page_cache_free(&cache, &list);
        EXPECT_TRUE(list_is_empty(&list));
        EXPECT_EQ(page_cache_available(&cache, 0), RESERVE);
        EXPECT_EQ(vm_page_state(vm_page_from_node(first)), VM_PAGE_CACHE);
        EXPECT_EQ(pmm_count_free_pages(&pmm), FREE_PAGES - RESERVE);

        struct vm_page *page;
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        page_cache_free_page(&cache, page);
        EXPECT_EQ(vm_page_state(page), VM_PAGE_FREE);
        struct page_cache_counters counters = page_cache_counters(&cache);
        EXPECT_EQ(counters.returned, RESERVE);
        EXPECT_EQ(counters.freed, 4);
        expect_balance(t, RESERVE);
}

TEST(page_cache, a_request_larger_than_the_stock_uses_it_first)
{
        make_bed(t, RESERVE);
        REQUIRE_OK(page_cache_alloc(&cache, 1, PMM_ALLOC_ANY, &list));
        page_cache_free(&cache, &list); /* to the pmm, the stock is full */
        struct list_node *hot = &vm_page_from_node(cache.entries[0].pages.next)->list;
        REQUIRE_OK(page_cache_alloc(&cache, RESERVE + 2, PMM_ALLOC_ANY, &list));
        EXPECT_PTR_EQ(list.next, hot);
        EXPECT_EQ(list_count(&list), RESERVE + 2);
        EXPECT_EQ(page_cache_available(&cache, 0), RESERVE); /* full again */
        struct page_cache_counters counters = page_cache_counters(&cache);
        EXPECT_EQ(counters.hit, RESERVE);
        EXPECT_EQ(counters.missed, 1 + 2);
        EXPECT_EQ(counters.refilled, RESERVE + RESERVE);
        EXPECT_EQ(counters.hit + counters.missed, 1 + RESERVE + 2);
        expect_balance(t, RESERVE);
}

/* Whatever the split between stock and pmm: with n pages in both, n can be had and n + 1 cannot. */
TEST(page_cache, never_fails_while_stock_and_pmm_have_enough)
{
        make_pmm(t);
        for (uint64_t in_pmm = 0; in_pmm < 5; in_pmm++) {
                for (uint64_t in_stock = 0; in_stock <= RESERVE; in_stock++) {
                        struct list_node taken;
                        list_init(&taken);
                        reset_bed(t, RESERVE);
                        REQUIRE_OK(pmm_alloc_pages(&pmm, in_stock, PMM_ALLOC_ANY, &list));
                        page_cache_free(&cache, &list);
                        REQUIRE_OK(pmm_alloc_pages(&pmm, FREE_PAGES - in_stock - in_pmm,
                                                   PMM_ALLOC_ANY, &taken));
                        EXPECT_STATUS(ZX_ERR_NO_MEMORY,
                                      page_cache_alloc(&cache, in_stock + in_pmm + 1, PMM_ALLOC_ANY,
                                                       &list));
                        EXPECT_TRUE(list_is_empty(&list));
                        EXPECT_EQ(page_cache_available(&cache, 0), in_stock);
                        EXPECT_EQ(pmm_count_free_pages(&pmm), in_pmm);
                        uint64_t failures = pmm.statistics.allocation_failures;
                        EXPECT_OK(
                                page_cache_alloc(&cache, in_stock + in_pmm, PMM_ALLOC_ANY, &list));
                        EXPECT_EQ(list_count(&list), in_stock + in_pmm);
                        EXPECT_EQ(pmm.statistics.allocation_failures, failures);
                        expect_balance(t, 0);
                }
        }
}

TEST(page_cache, should_wait_comes_through_and_changes_nothing)
{
        struct vm_page *page;
        make_bed(t, RESERVE);
        REQUIRE_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page));
        pmm.wait_state = PMM_WAIT_UNTIL_RESET;
        EXPECT_OK(
                page_cache_alloc(&cache, RESERVE, PMM_ALLOC_CAN_WAIT, &list)); /* from the stock */
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, page_cache_alloc(&cache, 1, PMM_ALLOC_CAN_WAIT, &list));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, page_cache_alloc_page(&cache, PMM_ALLOC_CAN_WAIT, &page));
        EXPECT_EQ(list_count(&list), RESERVE);
        expect_balance(t, 0);
        EXPECT_OK(page_cache_alloc(&cache, 1, PMM_ALLOC_ANY, &list));
}

TEST(page_cache, each_cpu_has_its_own)
{
        struct vm_page *page, *other;
        make_bed(t, RESERVE);
        REQUIRE_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page));
        EXPECT_EQ(page_cache_available(&cache, 0), RESERVE);
        EXPECT_EQ(page_cache_available(&cache, 1), 0);
        cpu_now = 1;
        REQUIRE_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &other));
        EXPECT_EQ(page_cache_available(&cache, 1), RESERVE);
        page_cache_free_page(&cache, page); /* full here: to the pmm */
        EXPECT_EQ(vm_page_state(page), VM_PAGE_FREE);
        expect_balance(t, 2 * RESERVE);
        EXPECT_EQ(page_cache_drain(&cache, 0), RESERVE);
        EXPECT_EQ(page_cache_available(&cache, 1), RESERVE);
        expect_balance(t, RESERVE);
        EXPECT_EQ(page_cache_drain_all(&cache), RESERVE);
        EXPECT_EQ(page_cache_drain_all(&cache), 0);
        EXPECT_EQ(page_cache_counters(&cache).drained, 2 * RESERVE);
        pmm_free_page(&pmm, other);
        EXPECT_EQ(pmm_count_free_pages(&pmm), FREE_PAGES);
        expect_balance(t, 0);
}

TEST(page_cache, without_a_reserve_it_passes_through)
{
        struct vm_page *page;
        make_bed(t, 0);
        REQUIRE_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page));
        EXPECT_EQ(pmm_count_free_pages(&pmm), FREE_PAGES - 1);
        EXPECT_EQ(page_cache_counters(&cache).missed, 1);
        page_cache_free_page(&cache, page);
        REQUIRE_OK(page_cache_alloc(&cache, FREE_PAGES, PMM_ALLOC_ANY, &list));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page));
        EXPECT_EQ(page_cache_counters(&cache).missed, 1 + FREE_PAGES); /* one that fails is none */
        page_cache_free(&cache, &list);
        EXPECT_EQ(page_cache_counters(&cache).freed, 1 + FREE_PAGES);
        EXPECT_EQ(pmm_count_free_pages(&pmm), FREE_PAGES);
        expect_balance(t, 0);
}

TEST(page_cache, random_work_keeps_the_books)
{
        enum { ROUNDS = 2000, HELD_MAX = 40 };
        uint64_t held = 0, handed_out = 0;
        make_bed(t, RESERVE);
        for (unsigned round = 0; round < ROUNDS && !test_has_failed(t); round++) {
                uint32_t count = world_random_below(t, 14);
                cpu_now = world_random_below(t, 2);
                if (world_random_below(t, 2) == 0 && held + count <= HELD_MAX) {
                        uint64_t mine = page_cache_available(&cache, cpu_now);
                        bool enough = count <= mine + pmm_count_free_pages(&pmm);
                        bool had = TRIED(page_cache_alloc(&cache, count, PMM_ALLOC_ANY, &list)) ==
                                   ZX_OK;
                        EXPECT_EQ(had, enough);
                        held += had ? count : 0;
                        handed_out += had ? count : 0;
                } else if (count <= held) {
                        struct list_node back;
                        list_init(&back);
                        for (uint32_t i = 0; i < count; i++)
                                list_add_tail(&back, list_remove_head(&list));
                        page_cache_free(&cache, &back);
                        held -= count;
                }
                struct page_cache_counters counters = page_cache_counters(&cache);
                EXPECT_EQ(counters.hit + counters.missed, handed_out);
                EXPECT_EQ(list_count(&list), held);
                uint64_t in_stock =
                        page_cache_available(&cache, 0) + page_cache_available(&cache, 1);
                EXPECT_EQ(pmm_count_free_pages(&pmm) + held + in_stock, FREE_PAGES);
                expect_balance(t, in_stock);
        }
}

TEST(page_cache, too_few_for_one_who_can_wait)
{
        struct list_node taken;
        make_bed(t, RESERVE);
        list_init(&taken);
        REQUIRE_OK(page_cache_alloc(&cache, 1, PMM_ALLOC_ANY, &list));
        REQUIRE_OK(pmm_alloc_pages(&pmm, pmm_count_free_pages(&pmm) - 3, PMM_ALLOC_ANY, &taken));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT,
                      page_cache_alloc(&cache, RESERVE + 5, PMM_ALLOC_CAN_WAIT, &list));
        EXPECT_EQ(pmm.statistics.allocation_failures, 0);
        EXPECT_EQ(page_cache_available(&cache, 0), RESERVE);
        EXPECT_OK(page_cache_alloc(&cache, RESERVE + 3, PMM_ALLOC_CAN_WAIT, &list));
        expect_balance(t, 0);
}
