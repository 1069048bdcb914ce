/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Longer tests of kernel/cpu: calls to all CPUs that end late or meet each other, translations
 * under everybody's feet, and a CPU that is alone. The short ones are in tests/boot/smp_test.c. */
#include "tests/expect.h"

#include <stdatomic.h>
#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "kernel/aspace.h"
#include "kernel/buffer_chain.h"
#include "kernel/buffer_chain_boot.h"
#include "kernel/cpu.h"
#include "kernel/memory.h"
#include "kernel/time.h"
#include "kernel/user_copy.h"

#define LIMIT_NS (20 * NS_PER_SECOND)
#define SHORT_NS (20 * NS_PER_MS)

static atomic_uint count, wrongs;
static atomic_bool stop;

static void count_one(UNUSED void *context)
{
        atomic_fetch_add(&count, 1);
}

/* ---- calls to all ---- */

static void wait_for_stop(UNUSED void *context)
{
        atomic_fetch_add(&count, 1);
        while (!atomic_load(&stop))
                arch_pause();
}

TEST(cpu, a_call_to_all_that_one_cpu_does_not_take_times_out)
{
        struct cpu_work busy;

        if (cpu_count() == 1)
                SKIP("the machine has one CPU");
        atomic_store(&count, 0);
        atomic_store(&stop, false);
        cpu_work_init(&busy, wait_for_stop, NULL);
        cpu_work_post(&busy, 1);
        while (atomic_load(&count) == 0)
                arch_pause();
        atomic_store(&count, 0);
        EXPECT_STATUS(ZX_ERR_TIMED_OUT,
                      cpu_run_on_all(count_one, NULL, time_deadline_after(SHORT_NS)));
        EXPECT_EQ(atomic_load(&count), cpu_count() - 1); /* all but the busy one */
        atomic_store(&stop, true);
        EXPECT_OK(cpu_work_wait(&busy, time_deadline_after(LIMIT_NS)));
        /* What was taken back does not run later, and the next call has everything it needs. */
        EXPECT_OK(cpu_run_on_all(count_one, NULL, time_deadline_after(LIMIT_NS)));
        EXPECT_EQ(atomic_load(&count), 2 * cpu_count() - 1);
}

static void call_all(UNUSED void *context)
{
        if (cpu_run_on_all(count_one, NULL, time_deadline_after(LIMIT_NS)) != ZX_OK)
                atomic_fetch_add(&wrongs, 1);
}

/* CPU 1 has CPU 0 call all, while CPU 0 waits for CPU 1 in a call to all. */
static void make_0_call_all(UNUSED void *context)
{
        if (cpu_current() == 1 &&
            cpu_run_on(0, call_all, NULL, time_deadline_after(LIMIT_NS)) != ZX_OK)
                atomic_fetch_add(&wrongs, 1);
}

TEST(cpu, a_call_to_all_within_one_of_the_same_cpu)
{
        if (cpu_count() == 1)
                SKIP("the machine has one CPU");
        atomic_store(&count, 0);
        atomic_store(&wrongs, 0);
        EXPECT_OK(cpu_run_on_all(make_0_call_all, NULL, time_deadline_after(LIMIT_NS)));
        EXPECT_EQ(atomic_load(&wrongs), 0);
        EXPECT_EQ(atomic_load(&count), cpu_count());
}

/* ---- translations ---- */

#define PAGES 8u
#define SPARE_PAGES 16u
#define ROUNDS 400u
#define POISON 0xdeaddeaddeaddeadull /* what is in pages that are somebody else's */

static struct vmo *vmo;
static uint64_t base;

/* Reads and writes user pages until told to stop: what it sees is what it or nobody wrote there,
 * never what is in a page that the VMO has given away. */
static void use_pages(UNUSED void *context)
{
        uint64_t word, mine = cpu_current(), at = 0;

        while (!atomic_load(&stop)) {
                uint64_t va = base + at++ % PAGES * PAGE_BYTES + 8 * mine;
                zx_status_t status = user_copy_from(&word, va, sizeof(word), NULL);
                if ((status == ZX_OK && word != 0 && word != mine) ||
                    (status != ZX_OK && status != ZX_ERR_ACCESS_DENIED &&
                     status != ZX_ERR_NO_MEMORY))
                        atomic_fetch_add(&wrongs, 1);
                status = user_copy_to(va, &mine, sizeof(mine), NULL);
                if (status != ZX_OK && status != ZX_ERR_ACCESS_DENIED && status != ZX_ERR_NO_MEMORY)
                        atomic_fetch_add(&wrongs, 1);
        }
}

/* Takes pages that were just freed, writes over them, looks whether anybody else does, and gives
 * them back. */
static void own_what_was_freed(struct test *t)
{
        struct list_node pages;

        list_init(&pages);
        REQUIRE_OK(pmm_alloc_pages(&kernel_pmm, SPARE_PAGES, PMM_ALLOC_ANY, &pages));
        LIST_FOR_EACH(node, &pages)
        {
                uint64_t *words = pmm_page_va(&kernel_pmm, vm_page_from_node(node));
                for (size_t i = 0; i < PAGE_BYTES / sizeof(*words); i++)
                        words[i] = POISON;
        }
        for (unsigned i = 0; i < 100; i++)
                arch_pause();
        LIST_FOR_EACH(node, &pages)
        {
                const uint64_t *words = pmm_page_va(&kernel_pmm, vm_page_from_node(node));
                for (size_t i = 0; i < cpu_count(); i++)
                        EXPECT_EQ(words[i], POISON);
        }
        pmm_free(&kernel_pmm, &pages);
}

static void change_something(struct test *t, struct vmar_handle region, unsigned round)
{
        uint64_t page = world_random_below(t, PAGES),
                 pages = 1 + world_random_below(t, PAGES - page);
        uint64_t va = base + page * PAGE_BYTES, bytes = pages * PAGE_BYTES, where;
        const uint32_t rw = VMAR_PERM_READ | VMAR_PERM_WRITE;
        struct vmar_map_request again = {rw | VMAR_SPECIFIC_OVERWRITE, page * PAGE_BYTES, bytes,
                                         {vmo, RIGHTS_VMO_DEFAULT}, page * PAGE_BYTES};

        switch (round % 3) {
        case 0:
                EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, page * PAGE_BYTES, bytes));
                break;
        case 1:
                EXPECT_OK(vmar_protect(region, round % 2 ? VMAR_PERM_READ : rw, va, bytes));
                break;
        default:
                EXPECT_OK(vmar_map(region, &again, &where));
                break;
        }
}

TEST_WITH(cpu, nobody_sees_a_page_that_was_given_away, 0, 60000)
{
        static struct cpu_work work[CPU_COUNT_MAX];
        const struct vmar_request request = {VMAR_CAN_MAP_MASK | VMAR_CAN_MAP_SPECIFIC, 0,
                                             PAGES * PAGE_BYTES};
        uint64_t tables = aspace_table_page_count(), va;
        struct vmar_handle region;

        if (cpu_count() == 1)
                SKIP("the machine has one CPU");
        REQUIRE_OK(vmar_allocate(aspace_user_root(), &request, &region, &base));
        REQUIRE_OK(vmo_create(aspace_vmo_pool(), PAGES * PAGE_BYTES, 0, &vmo));
        const struct vmar_map_request map = {
                VMAR_PERM_READ | VMAR_PERM_WRITE | VMAR_SPECIFIC, 0, PAGES * PAGE_BYTES,
                {vmo, RIGHTS_VMO_DEFAULT}, 0};
        REQUIRE_OK(vmar_map(region, &map, &va));
        atomic_store(&wrongs, 0);
        atomic_store(&stop, false);
        for (uint32_t cpu = 1; cpu < cpu_count(); cpu++) {
                cpu_work_init(&work[cpu], use_pages, NULL);
                cpu_work_post(&work[cpu], cpu);
        }
        for (unsigned round = 0; round < ROUNDS && !test_has_failed(t); round++) {
                change_something(t, region, round);
                own_what_was_freed(t);
        }
        atomic_store(&stop, true);
        for (uint32_t cpu = 1; cpu < cpu_count(); cpu++)
                EXPECT_OK(cpu_work_wait(&work[cpu], time_deadline_after(LIMIT_NS)));
        EXPECT_EQ(atomic_load(&wrongs), 0);
        EXPECT_TRUE(vmar_valid(aspace_user()));
        EXPECT_TRUE(vmo_valid(vmo));
        EXPECT_OK(vmar_destroy(region));
        vmar_close(region);
        vmo_put(vmo);
        EXPECT_EQ(aspace_table_page_count(), tables);
        EXPECT_TRUE(pmm_check_all(&kernel_pmm));
}

/* ---- work of the boot CPU that nobody waits for ---- */

static struct cpu_work left;

TEST(cpu, a_test_leaves_work_behind)
{
        REQUIRE_TRUE(cpu_current() == 0);
        atomic_store(&count, 0);
        cpu_work_init(&left, count_one, NULL);
        cpu_work_post(&left, 0);
        EXPECT_EQ(atomic_load(&count), 0); /* nobody interrupts a test for it */
}

TEST(cpu, the_next_one_finds_it_done)
{
        if (left.function == NULL)
                SKIP("the test before this one does not run");
        EXPECT_EQ(cpu_work_state(&left), CPU_WORK_DONE);
        EXPECT_EQ(atomic_load(&count), 1);
}

/* ---- a CPU that is alone ---- */

/* With the pmm's lock in our hands: whoever took it would wait for ever. */
static void use_memory_under_its_lock(struct test *t)
{
        struct vm_page *page;
        struct buffer_chain *chain;
        struct list_node run;
        uint64_t pa;

        list_init(&run);
        REQUIRE_TRUE(spinlock_try(&kernel_pmm.lock));
        (void)page_cache_drain_all(&kernel_buffer_chain_cache);
        EXPECT_OK(buffer_chain_alloc(&kernel_buffer_chain_cache, 2 * PAGE_BYTES, &chain));
        buffer_chain_free(chain);
        EXPECT_OK(pmm_alloc_page(&kernel_pmm, PMM_ALLOC_ANY, &page));
        pmm_free_page(&kernel_pmm, page);
        EXPECT_OK(pmm_alloc_contiguous(&kernel_pmm, 4, PMM_ALLOC_ANY, PAGE_BYTES_LOG2, &pa, &run));
        pmm_free(&kernel_pmm, &run);
        spinlock_give(&kernel_pmm.lock);
}

/* Where there is nobody else nothing is locked, asked or set up for others. */
TEST(cpu, alone_it_pays_for_nobody)
{
        struct arch_cpu_summary summary;

        if (cpu_count() > 1)
                SKIP("the machine has several CPUs");
        REQUIRE_TRUE(kernel_pmm.current_cpu == NULL);
        REQUIRE_TRUE(kernel_buffer_chain_cache.current_cpu == NULL);
        EXPECT_EQ(kernel_buffer_chain_cache.cpu_count, 1);
        EXPECT_EQ(kernel_pmm.cpu_count, 1);
        use_memory_under_its_lock(t);
        atomic_store(&count, 0);
        EXPECT_OK(cpu_run_on_all(count_one, NULL, time_deadline_after(LIMIT_NS)));
        EXPECT_EQ(atomic_load(&count), 1);
        arch_cpu_summary(0, &summary);
        EXPECT_EQ(summary.interrupt_count, 0); /* no message to itself */
        EXPECT_EQ(summary.shootdown_count, 0);
}
