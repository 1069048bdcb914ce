/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/cpu and of what several CPUs share: work, locks, the pmm, the page cache,
 * translations, timers, traps. Each runs on all CPUs at once and is skipped on a machine with one.
 *
 * Expectations are for the test's own CPU; the others count what is wrong. The suite smp_crash ends
 * the run and is asked for by tests/harness. */
#include <stdatomic.h>
#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "base/shared.h"
#include "base/spinlock.h"
#include "kernel/buffer_chain_boot.h"
#include "kernel/cpu.h"
#include "kernel/memory.h"
#include "kernel/panic.h"
#include "kernel/time.h"
#include "tests/expect.h"

/* A host may have one processor for all of them. */
#define LIMIT_NS ((4 + cpu_count()) * NS_PER_SECOND)
#define ROUNDS 200u
/* Of all CPUs together: each needs every CPU, and a host may have fewer processors than that. */
#define FLUSHES 64u
#define HELD_MAX 24u
#define CRASH_LIMIT_MS 5000
/* Nothing of the kernel is mapped there; address_space.h. */
#define TEST_VA 0xffffc00000000000ull

static atomic_uint arrived, wrongs;

static void note(bool right)
{
        if (!right)
                atomic_fetch_add(&wrongs, 1);
}

/* Whether there are several CPUs; else the test is skipped. */
static bool several(struct test *t)
{
        atomic_store(&arrived, 0);
        atomic_store(&wrongs, 0);
        if (cpu_count() > 1)
                return true;
        test_skip(t, "the machine has one CPU");
        return false;
}

/* Everybody waits here for everybody, so that what follows happens at the same time. */
static void meet(void)
{
        uint64_t deadline_ns = time_deadline_after(LIMIT_NS);

        atomic_fetch_add(&arrived, 1);
        while (atomic_load(&arrived) < cpu_count() && !time_passed(deadline_ns))
                arch_pause();
        note(atomic_load(&arrived) >= cpu_count());
}

static void run_everywhere(struct test *t, cpu_work_fn function, void *context)
{
        REQUIRE_OK(cpu_run_on_all(function, context, time_deadline_after(LIMIT_NS)));
        EXPECT_EQ(atomic_load(&wrongs), 0);
}

/* ---- work ---- */

static void note_self(void *context)
{
        atomic_uint *seen = context;
        char here;

        atomic_fetch_add(&seen[cpu_current()], 1);
        note(arch_interrupts_enabled());
        /* Its own stack: nobody else's address is that near. */
        atomic_fetch_xor(&seen[CPU_COUNT_MAX], (unsigned)((uint64_t)&here >> 14));
        meet();
}

TEST(smp, every_cpu_answers_and_knows_its_number)
{
        static atomic_uint seen[CPU_COUNT_MAX + 1];

        if (!several(t))
                return;
        memset(seen, 0, sizeof(seen));
        run_everywhere(t, note_self, seen);
        for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
                EXPECT_EQ(atomic_load(&seen[cpu]), 1);
                EXPECT_OK(cpu_run_on(cpu, note_self, seen, time_deadline_after(LIMIT_NS)));
                EXPECT_EQ(atomic_load(&seen[cpu]), 2);
        }
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, cpu_run_on(cpu_count(), note_self, seen, TIME_INFINITE));
}

static atomic_bool release;

static void wait_for_release(void *context)
{
        (void)context;
        atomic_fetch_add(&arrived, 1);
        while (!atomic_load(&release))
                arch_pause();
}

static void append(void *context)
{
        static uint8_t next;
        uint8_t *slot = context;

        *slot = ++next;
}

TEST(smp, work_begins_in_order_and_can_be_taken_back_before)
{
        enum { COUNT = 5 };
        struct cpu_work blocker, work[COUNT];
        uint8_t slots[COUNT] = {0};

        if (!several(t))
                return;
        atomic_store(&release, false);
        cpu_work_init(&blocker, wait_for_release, NULL);
        cpu_work_post(&blocker, 1);
        while (atomic_load(&arrived) == 0)
                arch_pause();
        for (unsigned i = 0; i < COUNT; i++) {
                cpu_work_init(&work[i], append, &slots[i]);
                cpu_work_post(&work[i], 1);
        }
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, cpu_work_wait(&work[0], time_deadline_after(NS_PER_MS)));
        EXPECT_STATUS(ZX_ERR_TIMED_OUT,
                      cpu_run_on(1, append, slots, time_deadline_after(NS_PER_MS)));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, cpu_work_cancel(&blocker)); /* it runs */
        EXPECT_OK(cpu_work_cancel(&work[2]));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, cpu_work_cancel(&work[2]));
        atomic_store(&release, true);
        EXPECT_OK(cpu_work_wait(&work[4], time_deadline_after(LIMIT_NS)));
        for (unsigned i = 0; i < COUNT; i++)
                EXPECT_EQ(work[i].state, i == 2 ? CPU_WORK_IDLE : CPU_WORK_DONE);
        EXPECT_EQ(slots[2], 0);
        EXPECT_EQ(slots[1], slots[0] + 1);
        EXPECT_EQ(slots[3], slots[0] + 2);
        EXPECT_EQ(slots[4], slots[0] + 3);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, cpu_work_cancel(&work[4])); /* done */
        EXPECT_OK(cpu_work_wait(&blocker, time_deadline_after(LIMIT_NS)));
}

static void count_one(void *context)
{
        atomic_fetch_add((atomic_uint *)context, 1);
}

/* Everybody gives work to everybody, or to many where there are more CPUs than a host has
 * processors, and waits for it: nobody may wait for a waiter. */
#define GIVEN_TO_MAX 8u

static uint32_t given_to(void)
{
        return (uint32_t)min_u64(cpu_count(), GIVEN_TO_MAX);
}

static void give_work_to_all(void *context)
{
        meet();
        for (uint32_t i = 0; i < given_to(); i++)
                note(cpu_run_on((cpu_current() + i) % cpu_count(), count_one, context,
                                time_deadline_after(LIMIT_NS)) == ZX_OK);
        if (cpu_current() < GIVEN_TO_MAX)
                note(cpu_run_on_all(count_one, context, time_deadline_after(LIMIT_NS)) == ZX_OK);
}

TEST(smp, cpus_that_give_each_other_work_do_not_block)
{
        static struct cpu_work work[CPU_COUNT_MAX];
        atomic_uint count = 0;

        if (!several(t))
                return;
        for (uint32_t cpu = 1; cpu < cpu_count(); cpu++) {
                cpu_work_init(&work[cpu], give_work_to_all, &count);
                cpu_work_post(&work[cpu], cpu);
        }
        give_work_to_all(&count);
        for (uint32_t cpu = 1; cpu < cpu_count(); cpu++)
                EXPECT_OK(cpu_work_wait(&work[cpu], time_deadline_after(LIMIT_NS)));
        EXPECT_EQ(atomic_load(&wrongs), 0);
        EXPECT_EQ(atomic_load(&count), 2 * given_to() * cpu_count());
}

/* ---- locks, memory ---- */

static struct spinlock lock = SPINLOCK_INIT("smp test");
static uint64_t guarded; /* not atomic, on purpose */

static void count_under_lock(void *context)
{
        (void)context;
        meet();
        for (unsigned i = 0; i < ROUNDS; i++) {
                spinlock_take(&lock);
                uint64_t before = shared_load_u64(&guarded);
                for (unsigned wait = 0; wait < 20; wait++) /* so long that the others come, too */
                        arch_pause();
                shared_store_u64(&guarded, before + 1);
                spinlock_give(&lock);
        }
}

TEST(smp, a_spinlock_lets_one_in_at_a_time)
{
        if (!several(t))
                return;
        guarded = 0;
        run_everywhere(t, count_under_lock, NULL);
        EXPECT_EQ(guarded, ROUNDS * cpu_count());
}

static void storm(void *context)
{
        struct vm_page *held[HELD_MAX];
        struct list_node list;
        uint64_t random = cpu_current() + 1;
        unsigned count = 0;

        (void)context;
        list_init(&list);
        meet();
        for (unsigned round = 0; round < ROUNDS; round++) {
                random = random * 6364136223846793005ull + 1442695040888963407ull;
                if ((random >> 60) < 9 && count < HELD_MAX) {
                        if (pmm_alloc_page(&kernel_pmm, PMM_ALLOC_ANY, &held[count]) != ZX_OK)
                                continue;
                        for (unsigned i = 0; i < ROUNDS / 4; i++) {
                                pmm_set_state(&kernel_pmm, held[count], VM_PAGE_HEAP);
                                pmm_set_state(&kernel_pmm, held[count], VM_PAGE_OBJECT);
                        }
                        shared_store_u64(pmm_page_va(&kernel_pmm, held[count++]), cpu_current());
                } else if (count > 0) {
                        const void *va = pmm_page_va(&kernel_pmm, held[--count]);
                        note(shared_load_u64(va) == cpu_current());
                        pmm_free_page(&kernel_pmm, held[count]);
                }
                if (round % 8 == 0 &&
                    pmm_alloc_contiguous(&kernel_pmm, 2 + (random >> 58), PMM_ALLOC_ANY, 0, NULL,
                                         &list) == ZX_OK)
                        pmm_free(&kernel_pmm, &list);
        }
        while (count > 0)
                pmm_free_page(&kernel_pmm, held[--count]);
}

TEST(smp, a_storm_on_the_pmm_leaves_every_count_exact)
{
        uint64_t before[VM_PAGE_STATE_COUNT];

        if (!several(t))
                return;
        for (unsigned state = 0; state < VM_PAGE_STATE_COUNT; state++)
                before[state] = pmm_count_state(&kernel_pmm, (enum vm_page_state)state);
        run_everywhere(t, storm, NULL);
        for (unsigned state = 0; state < VM_PAGE_STATE_COUNT; state++)
                EXPECT_EQ(pmm_count_state(&kernel_pmm, (enum vm_page_state)state), before[state]);
        EXPECT_TRUE(pmm_check_all(&kernel_pmm));
}

/* What this CPU gives back is what it gets again, whatever the others do meanwhile. */
static void use_own_stock(void *context)
{
        struct page_cache *cache = context;
        struct vm_page *page, *again, *room;

        /* Two out, so that there is room in the stock for one that comes back. */
        note(page_cache_alloc_page(cache, PMM_ALLOC_ANY, &room) == ZX_OK);
        note(page_cache_alloc_page(cache, PMM_ALLOC_ANY, &page) == ZX_OK);
        meet();
        for (unsigned round = 0; round < ROUNDS; round++) {
                page_cache_free_page(cache, page);
                note(page_cache_alloc_page(cache, PMM_ALLOC_ANY, &again) == ZX_OK);
                note(again == page);
                page = again;
        }
        page_cache_free_page(cache, page);
        page_cache_free_page(cache, room);
}

TEST(smp, each_cpu_has_its_own_stock_of_pages)
{
        struct page_cache *cache = &kernel_buffer_chain_cache;
        uint64_t free_pages = pmm_count_free_pages(&kernel_pmm), stock = 0;

        if (!several(t))
                return;
        for (uint32_t cpu = 0; cpu < cpu_count(); cpu++)
                free_pages += page_cache_available(cache, cpu);
        if (cache->reserve_pages == 0) {
                test_skip(t, "no reserve");
                return;
        }
        run_everywhere(t, use_own_stock, cache);
        EXPECT_TRUE(page_cache_valid(cache));
        for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
                EXPECT_GE(page_cache_available(cache, cpu), 1);
                stock += page_cache_available(cache, cpu);
        }
        EXPECT_EQ(buffer_chain_boot_drain(time_deadline_after(LIMIT_NS)), stock);
        EXPECT_EQ(pmm_count_free_pages(&kernel_pmm), free_pages);
        EXPECT_EQ(pmm_count_state(&kernel_pmm, VM_PAGE_CACHE), 0);
}

/* ---- translations ---- */

#define FIRST_WORD 0x1111u
#define SECOND_WORD 0x2222u

static void read_test_va(void *context)
{
        *(uint64_t *)context = shared_load_u64((const void *)TEST_VA);
}

static void map_test_page(struct test *t, uint64_t word)
{
        uint64_t pa;
        void *page = world_pages(t, 1, &pa);

        shared_store_u64(page, word);
        REQUIRE_OK(arch_map(TEST_VA, pa, PAGE_BYTES, 0, &memory_table_source));
}

static void try_test_va(void *context)
{
        uint64_t word;

        atomic_fetch_add((atomic_uint *)context, arch_trap_probe(read_test_va, &word, NULL));
}

TEST(smp, what_one_cpu_unmaps_no_other_sees_any_longer)
{
        uint64_t seen = 0;
        atomic_uint faults = 0;

        if (!several(t))
                return;
        for (uint32_t cpu = 1; cpu < cpu_count(); cpu++) {
                map_test_page(t, FIRST_WORD);
                EXPECT_OK(cpu_run_on(cpu, read_test_va, &seen, TIME_INFINITE)); /* now in its TLB */
                EXPECT_EQ(seen, FIRST_WORD);
                EXPECT_OK(arch_unmap(TEST_VA, PAGE_BYTES));
                map_test_page(t, SECOND_WORD);
                EXPECT_OK(cpu_run_on(cpu, read_test_va, &seen, TIME_INFINITE));
                EXPECT_EQ(seen, SECOND_WORD);
                /* And the other way round. */
                read_test_va(&seen);
                EXPECT_OK(arch_unmap(TEST_VA, PAGE_BYTES));
        }
        run_everywhere(t, try_test_va, &faults); /* a probe on each CPU at once */
        EXPECT_EQ(atomic_load(&faults), cpu_count());
}

static void wait_for_lock(void *context)
{
        bool enabled = arch_interrupts_disable();

        (void)context;
        atomic_fetch_add(&arrived, 1);
        spinlock_take(&lock);
        spinlock_give(&lock);
        arch_interrupts_restore(enabled);
}

TEST(smp, a_cpu_that_waits_for_a_lock_answers_shootdowns)
{
        struct arch_cpu_summary before, after;
        struct cpu_work work;

        if (!several(t))
                return;
        arch_cpu_summary(1, &before);
        spinlock_take(&lock);
        cpu_work_init(&work, wait_for_lock, NULL);
        cpu_work_post(&work, 1);
        while (atomic_load(&arrived) == 0)
                arch_pause();
        for (unsigned i = 0; i < FLUSHES; i++) {
                struct arch_tlb_batch batch = {.everything = i % 2 == 0};
                arch_tlb_add(&batch, TEST_VA, PAGE_BYTES);
                arch_tlb_flush(&batch); /* panics when CPU 1 does not answer */
        }
        spinlock_give(&lock);
        EXPECT_OK(cpu_work_wait(&work, time_deadline_after(LIMIT_NS)));
        arch_cpu_summary(1, &after);
        EXPECT_EQ(after.shootdown_count - before.shootdown_count, FLUSHES);
}

static void flush_often(void *context)
{
        (void)context;
        meet();
        for (unsigned i = 0; i < FLUSHES / cpu_count(); i++) {
                struct arch_tlb_batch batch = {0};
                for (unsigned range = 0; range < i % (ARCH_TLB_RANGES_MAX + 2); range++)
                        arch_tlb_add(&batch, TEST_VA + 2 * range * PAGE_BYTES, PAGE_BYTES);
                note(batch.everything == (i % (ARCH_TLB_RANGES_MAX + 2) > ARCH_TLB_RANGES_MAX));
                arch_tlb_flush(&batch);
                note(batch.range_count == 0);
        }
}

TEST(smp, all_cpus_may_ask_for_shootdowns_at_once)
{
        if (!several(t))
                return;
        run_everywhere(t, flush_often, NULL);
}

/* ---- time ---- */

#define NAP_NS (2 * NS_PER_MS)
#define NAPS_MAX 100u

static void nap(void *context)
{
        uint64_t count = arch_timer_count(), start_ns, passed_ns;

        (void)context;
        meet();
        /* A nap whose end came before the timer was set, because the host had stopped us, needs no
         * timer: take another. */
        for (unsigned nap_number = 0; nap_number < NAPS_MAX && arch_timer_count() == count;
             nap_number++) {
                start_ns = time_ns();
                time_sleep(NAP_NS);
                passed_ns = time_ns() - start_ns;
                note(passed_ns >= NAP_NS);
        }
        note(arch_timer_count() > count);
}

TEST(smp, each_cpu_sleeps_by_its_own_timer)
{
        uint64_t hz;

        if (!several(t))
                return;
        (void)arch_timer_describe(&hz);
        if (hz == 0) {
                test_skip(t, "no timer");
                return;
        }
        run_everywhere(t, nap, NULL);
}

#define TURNS 4u

static _Atomic uint64_t latest_ns;
static atomic_uint turn;

/* Nobody sees a time before one that somebody else has seen already; they take turns at looking. */
static void compare_clocks(void *context)
{
        uint64_t deadline_ns = time_deadline_after(LIMIT_NS);

        (void)context;
        for (unsigned i = 0; i < TURNS; i++) {
                while (atomic_load(&turn) != i * cpu_count() + cpu_current() &&
                       !time_passed(deadline_ns))
                        arch_pause();
                uint64_t now_ns = time_ns();
                note(now_ns >= atomic_load(&latest_ns));
                atomic_store(&latest_ns, now_ns);
                atomic_fetch_add(&turn, 1);
        }
}

TEST(smp, time_never_goes_back_between_cpus)
{
        if (!several(t))
                return;
        atomic_store(&latest_ns, 0);
        atomic_store(&turn, 0);
        run_everywhere(t, compare_clocks, NULL);
        EXPECT_EQ(atomic_load(&turn), TURNS * cpu_count());
}

/* ---- ends of the run, on request ---- */

static void panic_here(void *context)
{
        (void)context;
        panic("on request, on CPU %u", cpu_current());
}

/* The boot CPU goes on talking: nothing of that may follow the verdict. */
TEST_WITH(smp_crash, panic_on_another_cpu_stops_all, TEST_ON_REQUEST, CRASH_LIMIT_MS)
{
        struct cpu_work work;

        if (!several(t))
                return;
        cpu_work_init(&work, panic_here, NULL);
        cpu_work_post(&work, cpu_count() - 1);
        for (;;)
                test_log(t, "the boot CPU goes on");
}

static void panic_together(void *context)
{
        (void)context;
        meet();
        panic_here(NULL);
}

TEST_WITH(smp_crash, all_panic_at_once, TEST_ON_REQUEST, CRASH_LIMIT_MS)
{
        if (!several(t))
                return;
        run_everywhere(t, panic_together, NULL);
}

static unsigned NOINLINE recurse(unsigned depth)
{
        static uint64_t word;

        shared_store_u64(&word, depth);
        if (depth < UINT32_MAX)
                depth += recurse(depth + 1);
        return depth + (unsigned)shared_load_u64(&word);
}

static void overflow_here(void *context)
{
        *(unsigned *)context = recurse(0);
}

TEST_WITH(smp_crash, stack_overflow_on_another_cpu, TEST_ON_REQUEST, CRASH_LIMIT_MS)
{
        unsigned depth;

        if (!several(t))
                return;
        REQUIRE_OK(cpu_run_on(1, overflow_here, &depth, TIME_INFINITE));
}

static void go_deaf(void *context)
{
        (void)context;
        arch_interrupts_disable();
        atomic_fetch_add(&arrived, 1);
        for (;;)
                arch_pause();
}

TEST_WITH(smp_crash, a_deaf_cpu_is_named, TEST_ON_REQUEST, 4 * CRASH_LIMIT_MS)
{
        struct arch_tlb_batch batch = {.everything = true};
        struct cpu_work work;

        if (!several(t))
                return;
        cpu_work_init(&work, go_deaf, NULL);
        cpu_work_post(&work, 1);
        while (atomic_load(&arrived) == 0)
                arch_pause();
        arch_tlb_flush(&batch);
}
