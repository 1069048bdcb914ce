/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* cpu — all CPUs of the machine: starts them, gives them work, stops them.
 *
 *   boot CPU                       every other CPU
 *     kernel_main ...                idle: take work -> run it -> ... -> halt
 *     cpu_run_on(2, f, c, d)  ---->  queue of CPU 2, interrupt to wake it -> f(c)
 *            ^------------------------------ done
 *
 * There is no scheduler and no preemption. A function that is given to a CPU runs there in thread
 * context (interrupts on, on that CPU's own stack) until it returns. The boot CPU has no idle
 * loop: it takes work only while it waits for others (cpu_work_wait, cpu_run_on, cpu_run_on_all)
 * and in cpu_serve, which is called at the start of each self-test and by who waits for a message
 * (channel_wait) or, on the boot CPU, for a frame (netdev_wait). Every CPU that waits for others or
 * for a message takes work, so two CPUs that give each other work do not block each other.
 *
 * CPUs are numbered from 0 (the boot CPU) without gaps, in the order of the MADT; one that did not
 * start has no number. Interrupt lines and the watchdog's tick go to the boot CPU only, messages of
 * devices also to those CPUs that they were aimed at (arch_irq_aim_msi).
 *
 * Lock order. A lock may be taken while one to its left is held, never the other way round:
 *
 *   vmar tree > vmo > page tables > slab > pmm > TLB shoot-down > work queue > log
 *   channels > channel > slab         vmo stores > vmo         windows > pmm
 *
 *   - page_cache has no lock: each CPU touches its own stock only.
 *   - cpu_run_on, cpu_run_on_all, cpu_work_wait: with no lock held (work runs while they wait).
 *   - user memory is touched with no lock held to the right of "vmar tree": the access may fault,
 *     and the fault takes the locks from there on.
 *   - the work queue's and the log's lock are also taken by interrupt handlers, hence with
 *     interrupts off (cpu_lock_irq_save); all others above never by interrupt handlers. NMI and
 *     panic take none.
 *   - drivers' locks: their headers (drivers/hyperv/vmbus.h,
 *     drivers/virtio/virtio_transport.h). Under one that interrupt handlers take, too, only the
 *     work queue's and the log's may be taken.
 *   - two locks of one kind: the one at the lower address first.
 *   - a CPU that waits for a spinlock answers TLB shoot-downs meanwhile, whatever its interrupt
 *     flag; one that waits for anything else with interrupts off does not, and may wait no longer
 *     than milliseconds.
 *
 * Facts: Intel SDM 3, 8.4 (starting), 10.6 (interrupts between CPUs); ACPI 6.5, 5.2.12 (MADT). */
#ifndef KERNEL_CPU_H
#define KERNEL_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/spinlock.h"
#include "base/status.h"

#define CPU_COUNT_MAX ARCH_CPU_COUNT_MAX

/* Starts all other CPUs, which come while the boot goes on. On a machine with one CPU it does
 * nothing. Once; needs acpi_init, memory_init and interrupts. Context: boot CPU. */
void cpu_start_begin(void);
/* Waits until each runs its idle loop, some seconds at most; says on the console who did not come.
 * Once, after time_init. Context: boot CPU. */
void cpu_start_finish(void);

/* The CPU that calls: 0 .. cpu_count() - 1. Any context, from the first line of kernel_main on. The
 * answer stays true because nothing moves between CPUs. */
static inline uint32_t cpu_current(void)
{
        return arch_cpu_index();
}

/* The same, for parts that want a pointer to it; one pointer for all of them. */
uint32_t cpu_current_number(void);

/* CPUs that run; 1 until cpu_start_finish has returned, then constant. */
uint32_t cpu_count(void);

/* ---- work ---- */

typedef void (*cpu_work_fn)(void *context);

enum cpu_work_state {
        CPU_WORK_IDLE = 0,   /* the caller's: may be posted */
        CPU_WORK_QUEUED = 1, /* the target's */
        CPU_WORK_RUNNING = 2,
        CPU_WORK_DONE = 3,   /* the caller's again; what the function wrote is visible */
};

/* One function to run on one CPU. Caller's storage, which must not move or go away between
 * cpu_work_post and CPU_WORK_DONE (or a cpu_work_cancel that said ZX_OK). */
struct cpu_work {
        struct list_node node;
        cpu_work_fn function;
        void *context;
        uint32_t cpu;    /* the target, and who is woken in the end: set by cpu_work_post */
        uint32_t poster;
        uint32_t state; /* enum cpu_work_state, atomic */
};

void cpu_work_init(struct cpu_work *work, cpu_work_fn function, void *context);

/* Puts `work` at the end of the queue of `cpu` and wakes it. Work on one CPU starts in the order in
 * which it was posted. `cpu` may be the caller itself: it then runs when the caller next waits or
 * serves.
 *   work     IDLE or DONE
 *   cpu      below cpu_count()
 *   order    what the caller wrote before is seen by the function
 *   context  any but NMI */
void cpu_work_post(struct cpu_work *work, uint32_t cpu);

/* Waits until the work is done, and takes work of this CPU meanwhile.
 *   deadline_ns  of arch_clock_ns; UINT64_MAX: no end
 *   returns      ZX_OK: done, the storage is the caller's; ZX_ERR_TIMED_OUT: still queued or
 *                running
 *   context      thread, interrupts on, no lock held */
zx_status_t MUST_CHECK cpu_work_wait(struct cpu_work *work, uint64_t deadline_ns);

/* enum cpu_work_state as of now. DONE: what the function wrote is visible. */
static inline uint32_t cpu_work_state(const struct cpu_work *work)
{
        /* acquire: pairs with the release in run_one */
        return __atomic_load_n(&work->state, __ATOMIC_ACQUIRE);
}

/* Takes work back that has not begun.
 *   returns  ZX_OK: it will not run, IDLE again; ZX_ERR_BAD_STATE: it runs, or is done, or was
 *            never posted */
zx_status_t MUST_CHECK cpu_work_cancel(struct cpu_work *work);

/* Runs function(context) on `cpu` and waits for its end; on the calling CPU itself as a plain call.
 *   returns  ZX_OK: it has run; ZX_ERR_OUT_OF_RANGE: no such CPU;
 *            ZX_ERR_TIMED_OUT: it had not begun at the deadline, and will not run. A function that
 *            has begun by then is waited for; after CPU_RUN_GRACE_NS more that is a panic that
 *            names CPU and function
 *   context  thread, interrupts on, no lock held */
zx_status_t MUST_CHECK cpu_run_on(uint32_t cpu, cpu_work_fn function, void *context,
                                  uint64_t deadline_ns);
#define CPU_RUN_GRACE_NS 10000000000ull

/* Runs it on every CPU at the same time, the calling one included.
 *   returns  ZX_OK: it has run everywhere; ZX_ERR_TIMED_OUT: on some CPU it had not begun (and will
 *            not)
 *   context  as above; one of these calls at a time, others wait for it and take work meanwhile.
 *            From work that its CPU took while it was in here itself: on one CPU after the other */
zx_status_t MUST_CHECK cpu_run_on_all(cpu_work_fn function, void *context, uint64_t deadline_ns);

/* Runs what is queued for this CPU and returns how many functions that were. For the boot CPU,
 * which nobody else makes do it. Context: as cpu_work_wait. */
uint32_t cpu_serve(void);

/* ---- locks that interrupt handlers take as well ---- */

/* Interrupts off, then the lock.
 *   returns  whether interrupts were on, for cpu_unlock_irq_restore */
static inline bool MUST_CHECK cpu_lock_irq_save(struct spinlock *lock)
{
        bool enabled = arch_interrupts_disable();
        spinlock_take(lock);
        return enabled;
}

static inline void cpu_unlock_irq_restore(struct spinlock *lock, bool enabled)
{
        spinlock_give(lock);
        arch_interrupts_restore(enabled);
}

#endif
