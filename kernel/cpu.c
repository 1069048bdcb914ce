/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* cpu — starting the other CPUs, their idle loop, and work from one CPU to another. See cpu.h.
 *
 * A piece of work changes hands with its state: IDLE and QUEUED under the lock of the target's
 * queue, RUNNING under the same lock, DONE by the target alone (release), which the poster reads
 * (acquire). After DONE the target does not touch it again: the storage may be gone. */
#include "kernel/cpu.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/acpi.h"
#include "kernel/cmdline.h"
#include "kernel/command.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/panic.h"
#include "kernel/symbols.h"
#include "kernel/time.h"

_Static_assert(ACPI_CPUS_MAX == ARCH_CPU_COUNT_MAX, "as many as the MADT's reader notes");

/* A waiter looks so often before it halts:
 * an answer that comes at once costs no halt and no wake-up. */
#define LOOKS_BEFORE_HALT 200u

static uint64_t cpus_wanted = CPU_COUNT_MAX;
CMDLINE_UINT(cpus_wanted, "cpus", 1, CPU_COUNT_MAX, 
             "how many CPUs to run at most; 1: only the boot CPU");

struct cpu_queue {
        struct spinlock lock; /* taken with interrupts off */
        struct list_node work;
        struct cpu_work all_work; /* of cpu_run_on_all */
        uint64_t run_count;
} ALIGNED(64);

static struct cpu_queue queues[CPU_COUNT_MAX];
static uint32_t running_count = 1;
static struct pmm_state_counts state_counts[CPU_COUNT_MAX];
_Static_assert(PMM_CPU_COUNT_MAX >= CPU_COUNT_MAX, "every CPU counts pages for itself");

uint32_t cpu_current_number(void)
{
        return cpu_current();
}

uint32_t cpu_count(void)
{
        return __atomic_load_n(&running_count, __ATOMIC_RELAXED);
}

/* ---- what lib/base/spinlock.h asks of this world ---- */

void spinlock_wait(void)
{
        arch_tlb_poll();
        arch_pause();
}

uint32_t spinlock_self(void)
{
        return cpu_current() + 1;
}

/* ---- work ---- */

void cpu_work_init(struct cpu_work *work, cpu_work_fn function, void *context)
{
        *work = (struct cpu_work){.function = function, .context = context};
}

void cpu_work_post(struct cpu_work *work, uint32_t cpu)
{
        struct cpu_queue *queue = &queues[cpu];
        uint32_t state = cpu_work_state(work);

        ASSERT(cpu < cpu_count());
        ASSERT(state == CPU_WORK_IDLE || state == CPU_WORK_DONE);
        work->cpu = cpu;
        work->poster = cpu_current();
        bool enabled = cpu_lock_irq_save(&queue->lock);
        __atomic_store_n(&work->state, CPU_WORK_QUEUED, __ATOMIC_RELAXED);
        list_add_tail(&queue->work, &work->node);
        cpu_unlock_irq_restore(&queue->lock, enabled);
        arch_cpu_wake(cpu);
}

/* Takes and runs the first work of this CPU; false: there is none. */
static bool run_one(void)
{
        struct cpu_queue *queue = &queues[cpu_current()];
        bool enabled = cpu_lock_irq_save(&queue->lock);
        struct list_node *node = list_remove_head(&queue->work);
        struct cpu_work *work = node != NULL ? CONTAINER_OF(node, struct cpu_work, node) : NULL;

        if (work != NULL)
                __atomic_store_n(&work->state, CPU_WORK_RUNNING, __ATOMIC_RELAXED);
        cpu_unlock_irq_restore(&queue->lock, enabled);
        if (work == NULL)
                return false;

        uint32_t poster = work->poster;
        work->function(work->context);
        queue->run_count++;
        /* release: pairs with the acquire in cpu_work_state; now it is the poster's */
        __atomic_store_n(&work->state, CPU_WORK_DONE, __ATOMIC_RELEASE);
        arch_cpu_wake(poster);
        return true;
}

static bool has_work(void)
{
        const struct list_node *work = &queues[cpu_current()].work;

        return __atomic_load_n(&work->next, __ATOMIC_RELAXED) != work;
}

uint32_t cpu_serve(void)
{
        uint32_t count = 0;

        while (run_one())
                count++;
        return count;
}

/* Halts until something happens, or the deadline; not at all when there is work, or `work` is done.
 * The look is with interrupts off, so a wake-up after it ends the halt. */
static void halt_unless(const struct cpu_work *work, uint64_t deadline_ns)
{
        bool enabled = arch_interrupts_disable();

        ASSERT(enabled);
        if (has_work() || (work != NULL && cpu_work_state(work) == CPU_WORK_DONE))
                arch_interrupts_restore(enabled);
        else
                time_wait_interrupt_disabled(deadline_ns);
}

zx_status_t cpu_work_wait(struct cpu_work *work, uint64_t deadline_ns)
{
        uint32_t looks = 0;

        while (cpu_work_state(work) != CPU_WORK_DONE) {
                if (run_one())
                        continue;
                if (++looks < LOOKS_BEFORE_HALT) {
                        arch_pause();
                        continue;
                }
                if (time_passed(deadline_ns))
                        return ZX_ERR_TIMED_OUT;
                halt_unless(work, deadline_ns);
        }
        return ZX_OK;
}

zx_status_t cpu_work_cancel(struct cpu_work *work)
{
        struct cpu_queue *queue = &queues[work->cpu];
        zx_status_t status = ZX_ERR_BAD_STATE;
        bool enabled = cpu_lock_irq_save(&queue->lock);

        if (cpu_work_state(work) == CPU_WORK_QUEUED) {
                list_remove(&work->node);
                __atomic_store_n(&work->state, CPU_WORK_IDLE, __ATOMIC_RELAXED);
                status = ZX_OK;
        }
        cpu_unlock_irq_restore(&queue->lock, enabled);
        return status;
}

/* Waits for work that was posted; what has begun by the deadline has to end. */
static zx_status_t wait_or_cancel(struct cpu_work *work, uint64_t deadline_ns)
{
        const char *name;
        uint64_t offset;

        if (cpu_work_wait(work, deadline_ns) == ZX_OK)
                return ZX_OK;
        if (cpu_work_cancel(work) == ZX_OK)
                return ZX_ERR_TIMED_OUT;
        if (cpu_work_wait(work, time_deadline_after(CPU_RUN_GRACE_NS)) == ZX_OK)
                return ZX_OK;
        if (!symbols_lookup((uint64_t)work->function, &name, &offset))
                name = "?";
        panic("CPU %u does not come back from %s", work->cpu, name);
}

zx_status_t cpu_run_on(uint32_t cpu, cpu_work_fn function, void *context, uint64_t deadline_ns)
{
        struct cpu_work work;

        if (cpu >= cpu_count())
                return ZX_ERR_OUT_OF_RANGE;
        if (cpu == cpu_current()) {
                function(context);
                return ZX_OK;
        }
        cpu_work_init(&work, function, context);
        cpu_work_post(&work, cpu);
        return wait_or_cancel(&work, deadline_ns);
}

/* When the calling CPU is in the middle of a call for all: the waiting for the others cannot be
 * ended here, and their work structures are in use. */
static zx_status_t run_on_each(cpu_work_fn function, void *context, uint64_t deadline_ns)
{
        zx_status_t status = ZX_OK;

        for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
                zx_status_t one = cpu_run_on(cpu, function, context, deadline_ns);
                if (one != ZX_OK)
                        status = one;
        }
        return status;
}

zx_status_t cpu_run_on_all(cpu_work_fn function, void *context, uint64_t deadline_ns)
{
        static struct spinlock one_at_a_time = SPINLOCK_INIT("cpu_run_on_all");
        static uint32_t holder; /* number of the CPU plus 1; each looks for its own only */
        uint32_t self = cpu_current() + 1;
        zx_status_t status = ZX_OK;

        if (__atomic_load_n(&holder, __ATOMIC_RELAXED) == self)
                return run_on_each(function, context, deadline_ns);
        /* Who has it may be waiting for us to run his work. */
        while (!spinlock_try(&one_at_a_time)) {
                if (!run_one())
                        spinlock_wait();
        }
        __atomic_store_n(&holder, self, __ATOMIC_RELAXED);
        for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
                if (cpu == cpu_current())
                        continue;
                cpu_work_init(&queues[cpu].all_work, function, context);
                cpu_work_post(&queues[cpu].all_work, cpu);
        }
        function(context);
        for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
                if (cpu == cpu_current())
                        continue;
                zx_status_t one = wait_or_cancel(&queues[cpu].all_work, deadline_ns);
                if (one != ZX_OK)
                        status = one;
        }
        __atomic_store_n(&holder, 0, __ATOMIC_RELAXED);
        spinlock_give(&one_at_a_time);
        return status;
}

/* ---- starting ---- */

static void idle(void)
{
        arch_interrupts_enable();
        for (;;) {
                if (!run_one())
                        halt_unless(NULL, TIME_INFINITE);
        }
}

static uint64_t alloc_run(uint64_t page_count, bool low)
{
        struct list_node pages;
        uint64_t pa;

        list_init(&pages);
        if (pmm_alloc_contiguous(&kernel_pmm, page_count, low ? PMM_ALLOC_LO_MEM : PMM_ALLOC_ANY,
                                 PAGE_BYTES_LOG2, &pa, &pages) != ZX_OK)
                return 0;
        for (struct list_node *node; (node = list_remove_head(&pages)) != NULL;)
                pmm_set_state(&kernel_pmm, vm_page_from_node(node), VM_PAGE_WIRED);
        return pa;
}

static void free_run(uint64_t pa, uint64_t page_count)
{
        pmm_free_wired_range(&kernel_pmm, pa, page_count);
}

static uint32_t wanted_count(void)
{
        return (uint32_t)min_u64(acpi_info()->cpu_count, cpus_wanted);
}

void cpu_start_begin(void)
{
        const struct acpi_info *acpi = acpi_info();
        const struct arch_smp_config config = {
                .trampoline_pa = memory_trampoline_pa(),
                .apic_ids = acpi->cpu_apic_ids,
                .apic_id_count = wanted_count(),
                .entry = idle,
                .alloc_run = alloc_run,
                .free_run = free_run,
                .source = &memory_table_source,
        };

        for (uint32_t cpu = 0; cpu < max_u64(config.apic_id_count, 1); cpu++) {
                spinlock_init(&queues[cpu].lock, "work queue");
                list_init(&queues[cpu].work);
        }
        if (config.apic_id_count > 1)
                pmm_set_cpus(&kernel_pmm, state_counts, CPU_COUNT_MAX, cpu_current_number);
        arch_smp_begin(&config);
}

void cpu_start_finish(void)
{
        struct arch_cpu_summary summary;
        uint32_t count = arch_smp_finish(free_run);

        __atomic_store_n(&running_count, count, __ATOMIC_RELAXED);
        if (count > 1)
                log_line("cpu: %u CPUs run", count);
        if (count < wanted_count())
                log_line("cpu: %u of %u CPUs did not start", wanted_count() - count,
                         wanted_count());
        for (uint32_t cpu = 1; cpu < count; cpu++) {
                arch_cpu_summary(cpu, &summary);
                if (summary.tsc_corrected)
                        log_line("cpu: the time stamp counter of CPU %u is corrected by %lld", cpu,
                                 (long long)summary.tsc_offset);
        }
}

/* ---- console ---- */

static void cpu_print(void)
{
        struct arch_cpu_summary summary;

        for (uint32_t cpu = 0; cpu < cpu_count(); cpu++) {
                arch_cpu_summary(cpu, &summary);
                log_line("cpu: %u APIC %u: started in %llu us, work %llu, woken %llu, timer %llu, "
                         "shoot-downs %llu, counter %+lld",
                         cpu, summary.apic_id, (unsigned long long)(summary.start_ns / NS_PER_US),
                         (unsigned long long)queues[cpu].run_count,
                         (unsigned long long)summary.interrupt_count,
                         (unsigned long long)summary.timer_count,
                         (unsigned long long)summary.shootdown_count,
                         (long long)summary.tsc_offset);
        }
}
COMMAND(cpu_command, "cpu", "the CPUs that run, and what they have done", cpu_print);
