/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* timer — the one-shot timer of each CPU: the local APIC's, waiting for a time stamp where the CPU
 * can do that, else counting down at a rate that was measured against the time stamp counter.
 *
 * The hardware is set for CHUNK_NS at most and set again when that has passed, so a deadline
 * may lie as far away as it likes; an interrupt that comes early for whatever reason is
 * answered by setting the rest.
 * Facts: Intel SDM 3, 10.5.4 (timer), 10.5.4.1 (deadline mode). Context: interrupts and tasks;
 * arch_timer_init on the boot CPU, timer_init_this on every other. */
#include "arch/apic.h"
#include "arch/arch.h"
#include "arch/clock_source.h"
#include "arch/cpu.h"
#include "arch/lapic.h"
#include "arch/smp.h"
#include "base/assert.h"
#include "base/bytes.h"

#define NS_PER_SECOND 1000000000ull
#define CHUNK_NS NS_PER_SECOND
#define DISARMED UINT64_MAX

#define COUNT_BITS 32
#define CALIBRATIONS_PER_SECOND 2000u /* half a millisecond */
#define COUNT_HZ_MIN 100000ull
#define COUNT_HZ_MAX (NS_PER_SECOND * 10)

/* What all CPUs have in common; written before the others run. */
static struct {
        arch_timer_handler handler; /* NULL: no timer */
        uint64_t hz; /* of what is counted: the APIC's timer, or the time stamp counter */
        bool by_time_stamp;
} timer;

/* Sets the hardware for the deadline, or for the first part of the
 * way to it. Interrupts are off. */
static void set_hardware(uint64_t now_ns)
{
        uint64_t deadline_ns = smp_this()->timer_deadline_ns;
        uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
        uint64_t counts = clock_scale(min_u64(left_ns, CHUNK_NS), timer.hz, NS_PER_SECOND) + 1;

        if (timer.by_time_stamp)
                cpu_write_msr(CPU_MSR_TSC_DEADLINE, arch_ticks() + counts);
        else
                lapic_write(LAPIC_TIMER_INITIAL, (uint32_t)min_u64(counts, UINT32_MAX));
}

static void stop_hardware(void)
{
        if (timer.by_time_stamp)
                cpu_write_msr(CPU_MSR_TSC_DEADLINE, 0);
        else
                lapic_write(LAPIC_TIMER_INITIAL, 0);
}

static void timer_interrupt(void *context)
{
        struct arch_cpu *cpu = smp_this();
        uint64_t now_ns = arch_clock_ns();

        (void)context;
        if (cpu->timer_deadline_ns == DISARMED)
                return; /* disarmed while this interrupt was on its way */
        if (now_ns < cpu->timer_deadline_ns) {
                set_hardware(now_ns);
                return;
        }
        cpu->timer_deadline_ns = DISARMED;
        __atomic_store_n(&cpu->timer_count, cpu->timer_count + 1, __ATOMIC_RELAXED);
        timer.handler();
}

static uint64_t read_timer(const struct clock_counter *counter)
{
        (void)counter;
        return lapic_read(LAPIC_TIMER_CURRENT);
}

/* Counts in a second of the APIC's timer; 0: it does not count. */
static uint64_t calibrate(void)
{
        const struct clock_counter counter = {.read = read_timer, .bits = COUNT_BITS, .down = true};
        uint64_t hz = arch_ticks_per_second() != 0 ? arch_ticks_per_second() : NS_PER_SECOND;
        struct clock_interval interval;

        lapic_write(LAPIC_TIMER_INITIAL, UINT32_MAX);
        zx_status_t status = clock_compare(&counter, UINT64_MAX, hz / CALIBRATIONS_PER_SECOND,
                                           &interval);
        lapic_write(LAPIC_TIMER_INITIAL, 0);
        if (status != ZX_OK)
                return 0;
        uint64_t count_hz = clock_scale(interval.counted, hz, interval.ticks);
        return count_hz >= COUNT_HZ_MIN && count_hz <= COUNT_HZ_MAX ? count_hz : 0;
}

zx_status_t arch_timer_init(arch_timer_handler handler)
{
        bool enabled = arch_interrupts_disable();
        zx_status_t status = ZX_ERR_NOT_SUPPORTED;

        ASSERT(handler != NULL);
        ASSERT(timer.handler == NULL);
        if (!lapic_is_ready())
                goto out;
        timer.by_time_stamp = cpu_features()->tsc_deadline && arch_ticks_per_second() != 0;
        if (timer.by_time_stamp) {
                timer.hz = arch_ticks_per_second();
        } else {
                lapic_write(LAPIC_TIMER_DIVIDE, LAPIC_TIMER_DIVIDE_BY_1);
                timer.hz = calibrate();
                if (timer.hz == 0)
                        goto out;
        }
        timer.handler = handler;
        apic_claim_vector(APIC_VECTOR_TIMER, "timer", timer_interrupt, NULL);
        timer_init_this();
        status = ZX_OK;
out:
        arch_interrupts_restore(enabled);
        return status;
}

void timer_init_this(void)
{
        uint32_t entry = APIC_VECTOR_TIMER;

        smp_this()->timer_deadline_ns = DISARMED;
        if (timer.handler == NULL)
                return;
        if (timer.by_time_stamp)
                entry |= (uint32_t)BIT_MASK(LAPIC_TIMER_DEADLINE_BIT);
        else
                lapic_write(LAPIC_TIMER_DIVIDE, LAPIC_TIMER_DIVIDE_BY_1);
        lapic_write(LAPIC_LVT_TIMER, entry);
        /* The entry is a store to memory, the deadline a write to an
         * MSR, which does not wait for it. */
        __asm__ volatile("mfence" : : : "memory");
        stop_hardware();
}

void arch_timer_arm(uint64_t deadline_ns)
{
        bool enabled = arch_interrupts_disable();

        ASSERT(timer.handler != NULL);
        smp_this()->timer_deadline_ns = deadline_ns;
        if (deadline_ns == DISARMED)
                stop_hardware();
        else
                set_hardware(arch_clock_ns());
        arch_interrupts_restore(enabled);
}

uint64_t arch_timer_count(void)
{
        /* An interrupt changes it. */
        return __atomic_load_n(&smp_this()->timer_count, __ATOMIC_RELAXED);
}

const char *arch_timer_describe(uint64_t *hz)
{
        if (hz != NULL)
                *hz = timer.hz;
        if (timer.handler == NULL)
                return "none";
        return timer.by_time_stamp ? "tsc-deadline" : "lapic one-shot";
}
