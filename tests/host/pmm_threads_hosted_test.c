/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/pmm and kernel/page_cache from several threads at once, one for each "CPU"; under
 * AddressSanitizer and, above all, under ThreadSanitizer. What must come out is arithmetic: every
 * page back, every count exact, no page in two hands. */
#include <string.h>

#include "base/bytes.h"
#include "base/spinlock.h"
#include "kernel/buffer_chain.h"
#include "kernel/page_cache.h"
#include "kernel/pmm.h"
#include "tests/host/thread_bed.h"

#define BED_PA (1 * MIB)
#define BED_PAGES 1500
#define HELD_MAX 40
#define ROUNDS 3000
#define CACHE_RESERVE 16

static struct page_cache cache;
static struct page_cache_entry entries[THREADS];

static void make_bed(struct test *t)
{
        make_pmm(t, BED_PAGES);
}

/* ---- the lock ---- */

static struct spinlock lock = SPINLOCK_INIT("test");
static uint64_t guarded; /* deliberately not atomic */

static void *count_under_lock(void *number)
{
        (void)number;
        for (unsigned i = 0; i < 20000; i++) {
                if (i % 3 == 0) {
                        while (!spinlock_try(&lock))
                                spinlock_wait();
                } else {
                        spinlock_take(&lock);
                }
                guarded++;
                spinlock_give(&lock);
        }
        return NULL;
}

TEST(threads, a_spinlock_lets_one_in_at_a_time)
{
        guarded = 0;
        run_threads(t, THREADS, count_under_lock);
        EXPECT_EQ(guarded, THREADS * 20000ull);
        EXPECT_TRUE(spinlock_try(&lock));
        EXPECT_FALSE(spinlock_try(&lock));
        EXPECT_TRUE(spinlock_is_held(&lock));
        spinlock_give(&lock);
        EXPECT_FALSE(spinlock_is_held(&lock));
}

/* ---- the pmm ---- */

/* Writes its number into a page it holds and looks whether it is still there. */
static void stamp(const struct vm_page *page, uint64_t number)
{
        *(uint64_t *)pmm_page_va(&pmm, page) = number;
}

static bool stamped(const struct vm_page *page, uint64_t number)
{
        return *(const uint64_t *)pmm_page_va(&pmm, page) == number;
}

static void *storm(void *number)
{
        struct vm_page *held[HELD_MAX];
        struct list_node list;
        uint64_t held_count = 0, random = (uintptr_t)number + 1, pa;
        this_cpu = (uint32_t)(uintptr_t)number;
        list_init(&list);
        for (unsigned round = 0; round < ROUNDS; round++) {
                switch (next_random(&random) % 6) {
                case 0:
                case 1:
                        if (held_count < HELD_MAX &&
                            pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &held[held_count]) == ZX_OK) {
                                pmm_set_state(&pmm, held[held_count], VM_PAGE_OBJECT);
                                stamp(held[held_count++], (uintptr_t)number);
                        }
                        break;
                case 2:
                case 3:
                        if (held_count > 0) {
                                struct vm_page *page = held[--held_count];
                                note(stamped(page, (uintptr_t)number));
                                note(pmm_page_from_pa(&pmm, page->pa) == page);
                                pmm_free_page(&pmm, page);
                        }
                        break;
                case 4:
                        if (pmm_alloc_pages(&pmm, 1 + next_random(&random) % 20, PMM_ALLOC_ANY,
                                            &list) == ZX_OK)
                                pmm_free(&pmm, &list);
                        break;
                default:
                        if (pmm_alloc_contiguous(&pmm, 2 + next_random(&random) % 70,
                                                 PMM_ALLOC_ANY, 0, &pa, &list) == ZX_OK) {
                                note(vm_page_from_node(list.next)->pa == pa);
                                stamp(vm_page_from_node(list.next), pa);
                                stamp(vm_page_from_node(list.prev), pa);
                                note(stamped(vm_page_from_node(list.next), pa));
                                pmm_free(&pmm, &list);
                        }
                        break;
                }
        }
        while (held_count > 0)
                pmm_free_page(&pmm, held[--held_count]);
        return NULL;
}

TEST(threads, a_storm_on_the_pmm_leaves_every_count_exact)
{
        make_bed(t);
        uint64_t free_pages = pmm_count_free_pages(&pmm);
        run_threads(t, THREADS, storm);
        EXPECT_EQ(atomic_load(&wrongs), 0u);
        EXPECT_EQ(pmm_count_free_pages(&pmm), free_pages);
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_OBJECT), 0u);
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_ALLOC), 0u);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

/* All pages go through all hands: whoever gets the last of them must not be told that there are
 * none while they only change owners. */
static void *take_all(void *number)
{
        struct list_node list;
        this_cpu = (uint32_t)(uintptr_t)number;
        list_init(&list);
        for (unsigned round = 0; round < 200; round++) {
                zx_status_t status = pmm_alloc_pages(&pmm, pmm_count_free_pages(&pmm),
                                                     PMM_ALLOC_ANY, &list);
                note(status == ZX_OK || status == ZX_ERR_NO_MEMORY);
                if (status != ZX_OK)
                        note(list_is_empty(&list));
                pmm_free(&pmm, &list);
        }
        return NULL;
}

TEST(threads, all_or_nothing_holds_for_everybody)
{
        make_bed(t);
        uint64_t free_pages = pmm_count_free_pages(&pmm);
        run_threads(t, THREADS, take_all);
        EXPECT_EQ(atomic_load(&wrongs), 0u);
        EXPECT_EQ(pmm_count_free_pages(&pmm), free_pages);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

/* Groups are set up by whoever comes first, also by a mere look. */
static void *look_at_all(void *number)
{
        this_cpu = (uint32_t)(uintptr_t)number;
        for (uint64_t i = 0; i < BED_PAGES; i++) {
                if (i % PMM_GROUP_PAGES == 0)
                        pthread_barrier_wait(&all_here);
                const struct vm_page *page = pmm_page_from_pa(&pmm, BED_PA + i * PAGE_BYTES);
                note(page->pa == BED_PA + i * PAGE_BYTES);
                note(vm_page_state(page) == VM_PAGE_FREE || vm_page_state(page) == VM_PAGE_WIRED);
        }
        return NULL;
}

TEST(threads, groups_are_set_up_once)
{
        for (unsigned round = 0; round < 20; round++) {
                make_bed(t);
                run_threads(t, THREADS, look_at_all);
                EXPECT_EQ(atomic_load(&wrongs), 0u);
                EXPECT_TRUE(pmm_check_all(&pmm));
        }
}

/* What one CPU has counted stays counted when there are more. */
TEST(threads, cpus_can_join_later)
{
        struct vm_page *page;
        char *memory = world_pages(t, BED_PAGES, NULL);
        this_cpu = 1;
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - BED_PA));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", BED_PA, BED_PAGES * PAGE_BYTES));
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        pmm_set_state(&pmm, page, VM_PAGE_HEAP);
        pmm_set_cpus(&pmm, counts, THREADS, current_cpu);
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_HEAP), 1u);
        EXPECT_TRUE(pmm_check_all(&pmm));
        pmm_set_state(&pmm, page, VM_PAGE_SLAB);
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_HEAP), 0u);
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_SLAB), 1u);
        EXPECT_EQ(counts[1].pages[VM_PAGE_SLAB], 1u);
        EXPECT_TRUE(pmm_check_all(&pmm));
        pmm_free_page(&pmm, page);
        EXPECT_TRUE(pmm_check_all(&pmm));
        this_cpu = 0;
}

/* ---- the page cache and chains ---- */

static _Atomic(struct vm_page *) mailbox[THREADS];

/* Takes pages here and gives them to the next CPU, which frees them. */
static void *pass_on(void *number)
{
        struct vm_page *page;
        struct list_node list;
        uint64_t random = (uintptr_t)number + 7;
        this_cpu = (uint32_t)(uintptr_t)number;
        list_init(&list);
        for (unsigned round = 0; round < ROUNDS; round++) {
                if (page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page) == ZX_OK) {
                        stamp(page, page->pa);
                        page = atomic_exchange(&mailbox[(this_cpu + 1) % THREADS], page);
                        if (page != NULL) {
                                note(stamped(page, page->pa));
                                page_cache_free_page(&cache, page);
                        }
                }
                page = atomic_exchange(&mailbox[this_cpu], NULL);
                if (page != NULL) {
                        note(stamped(page, page->pa));
                        page_cache_free_page(&cache, page);
                }
                if (page_cache_alloc(&cache, next_random(&random) % 24, PMM_ALLOC_ANY, &list) ==
                    ZX_OK)
                        page_cache_free(&cache, &list);
                if (round % 500 == 0)
                        (void)page_cache_drain(&cache, this_cpu);
                (void)page_cache_available(&cache, (this_cpu + 1) % THREADS);
        }
        return NULL;
}

static void make_cache(struct test *t)
{
        const struct page_cache_config config = {&pmm, CACHE_RESERVE, THREADS, entries,
                                                 current_cpu};
        make_bed(t);
        REQUIRE_OK(page_cache_init(&cache, &config));
}

TEST(threads, each_cpu_has_its_own_stock_and_no_page_is_lost)
{
        make_cache(t);
        uint64_t free_pages = pmm_count_free_pages(&pmm);
        run_threads(t, THREADS, pass_on);
        for (unsigned i = 0; i < THREADS; i++) {
                struct vm_page *page = atomic_exchange(&mailbox[i], NULL);
                if (page != NULL)
                        pmm_free_page(&pmm, page);
        }
        EXPECT_EQ(atomic_load(&wrongs), 0u);
        EXPECT_TRUE(page_cache_valid(&cache));
        EXPECT_GT(page_cache_counters(&cache).hit, (uint64_t)THREADS * ROUNDS);
        page_cache_drain_all(&cache);
        EXPECT_EQ(pmm_count_free_pages(&pmm), free_pages);
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_CACHE), 0u);
        EXPECT_TRUE(pmm_check_all(&pmm));
        page_cache_fini(&cache);
}

TEST(threads, a_cache_numbers_cpus_as_its_pmm_does)
{
        struct page_cache_config config = {&pmm, CACHE_RESERVE, THREADS, entries, NULL};
        make_bed(t);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, page_cache_init(&cache, &config));
        config.current_cpu = current_cpu;
        config.cpu_count = THREADS + 1;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, page_cache_init(&cache, &config));
        config.cpu_count = THREADS;
        EXPECT_OK(page_cache_init(&cache, &config));
        page_cache_fini(&cache);
}

static void *chains(void *number)
{
        static const char text[6000] = "a message";
        char copy[sizeof(text)];
        struct buffer_chain *chain;
        this_cpu = (uint32_t)(uintptr_t)number;
        for (unsigned round = 0; round < ROUNDS / 4; round++) {
                if (buffer_chain_alloc(&cache, sizeof(text), &chain) != ZX_OK)
                        continue;
                size_t copied = 0;
                note(buffer_chain_append_kernel(chain, text, sizeof(text), &copied) == ZX_OK);
                note(buffer_chain_copy_out_kernel(chain, copy, 0, sizeof(copy)) == ZX_OK);
                note(memcmp(copy, text, sizeof(text)) == 0);
                buffer_chain_free(chain);
        }
        return NULL;
}

TEST(threads, chains_of_all_cpus_share_one_cache)
{
        make_cache(t);
        uint64_t free_pages = pmm_count_free_pages(&pmm);
        run_threads(t, THREADS, chains);
        EXPECT_EQ(atomic_load(&wrongs), 0u);
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_IPC), 0u);
        page_cache_drain_all(&cache);
        EXPECT_EQ(pmm_count_free_pages(&pmm), free_pages);
        EXPECT_TRUE(pmm_check_all(&pmm));
        page_cache_fini(&cache);
}

/* Whoever took the pmm's lock here again would end in an assertion. */
TEST(threads, hits_take_no_lock)
{
        struct vm_page *page;
        struct buffer_chain *chain;
        make_cache(t);
        REQUIRE_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page)); /* stocks up */
        page_cache_free_page(&cache, page); /* the stock is full: to the pmm */
        spinlock_take(&pmm.lock);
        EXPECT_OK(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page));
        page_cache_free_page(&cache, page);
        EXPECT_OK(buffer_chain_alloc(&cache, 9000, &chain));
        buffer_chain_free(chain);
        spinlock_give(&pmm.lock);
        page_cache_fini(&cache);
}
