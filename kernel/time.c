/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* See time.h. One hardware timer a CPU serves two: whoever waits there, and, on the boot CPU, the
 * tick. There is one thread of execution a CPU, so one waiter at a time; a wait inside an interrupt
 * handler is not allowed anyway.
 * Relies on arch_clock_*, arch_timer_*. */
#include "kernel/time.h"

#include <stddef.h>

#include "arch/arch.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/acpi.h"
#include "kernel/command.h"
#include "kernel/log.h"

/* How long a halt may last: a wake-up that came between the caller's check and the halt
 * is lost for that long at most. */
#define HALT_NS_MAX NS_PER_MS
#define HZ_PER_KHZ 1000u
#define KHZ_PER_MHZ 1000u

static bool has_timer;
static const char *source = "not calibrated";

/* Each CPU's own: set with interrupts off, 0 when the wait has ended. */
static uint64_t wake_ns[ARCH_CPU_COUNT_MAX];
/* The boot CPU's. */
static uint64_t next_tick_ns = TIME_INFINITE;
static void (*tick_handler)(void);
static uint64_t tick_period_ns;

static void arm(void)
{
        uint32_t cpu = arch_cpu_index();
        uint64_t wake = wake_ns[cpu] != 0 ? wake_ns[cpu] : TIME_INFINITE;

        arch_timer_arm(cpu == 0 ? min_u64(wake, next_tick_ns) : wake);
}

/* The interrupt itself is what wakes a waiter. */
static void timer_fired(void)
{
        uint64_t now_ns = arch_clock_ns();
        uint32_t cpu = arch_cpu_index();

        if (now_ns >= wake_ns[cpu])
                wake_ns[cpu] = 0;
        if (cpu == 0 && now_ns >= next_tick_ns) {
                next_tick_ns = now_ns + tick_period_ns;
                tick_handler();
        }
        arm();
}

static void print_clock(void)
{
        uint64_t counter_khz = arch_ticks_per_second() / HZ_PER_KHZ;
        uint64_t timer_hz;
        const char *timer = arch_timer_describe(&timer_hz);

        log_line("clock: %llu.%03llu MHz by %s, timer %s %llu.%03llu MHz",
                 (unsigned long long)(counter_khz / KHZ_PER_MHZ),
                 (unsigned long long)(counter_khz % KHZ_PER_MHZ), source, timer,
                 (unsigned long long)(timer_hz / HZ_PER_KHZ / KHZ_PER_MHZ),
                 (unsigned long long)(timer_hz / HZ_PER_KHZ % KHZ_PER_MHZ));
}

void time_init(uint64_t tsc_entry)
{
        arch_clock_set_origin(tsc_entry);
        if (arch_clock_init(&acpi_info()->clock, &source) != ZX_OK)
                log_line("clock: nothing tells the counter's frequency, 1 GHz assumed");
        has_timer = arch_timer_init(timer_fired) == ZX_OK;
        print_clock();
}

uint64_t time_ns(void)
{
        return arch_clock_ns();
}

uint64_t time_deadline_after(uint64_t duration_ns)
{
        uint64_t deadline_ns;
        return add_overflows(time_ns(), duration_ns, &deadline_ns) ? TIME_INFINITE : deadline_ns;
}

void time_wait_interrupt(uint64_t deadline_ns)
{
        uint64_t now_ns = time_ns();

        if (deadline_ns <= now_ns)
                return;
        if (!has_timer || !arch_interrupts_disable()) {
                arch_pause();
                return;
        }
        wake_ns[arch_cpu_index()] = min_u64(deadline_ns, now_ns + HALT_NS_MAX);
        arm();
        arch_wait_for_interrupt();
        wake_ns[arch_cpu_index()] = 0; /* another interrupt may have come first */
}

void time_wait_interrupt_disabled(uint64_t deadline_ns)
{
        ASSERT(!arch_interrupts_enabled());
        if (deadline_ns != TIME_INFINITE) {
                if (!has_timer || deadline_ns <= time_ns()) {
                        arch_interrupts_enable();
                        return;
                }
                wake_ns[arch_cpu_index()] = deadline_ns;
                arm();
        }
        arch_wait_for_interrupt();
        wake_ns[arch_cpu_index()] = 0;
}

void time_sleep(uint64_t duration_ns)
{
        uint64_t deadline_ns = time_deadline_after(duration_ns);

        while (!time_passed(deadline_ns))
                time_wait_interrupt(deadline_ns);
}

zx_status_t time_set_tick(void (*tick)(void), uint64_t period_ns)
{
        ASSERT(arch_cpu_index() == 0);
        ASSERT(tick_handler == NULL);
        ASSERT(tick != NULL && period_ns != 0);
        if (!has_timer)
                return ZX_ERR_NOT_SUPPORTED;
        bool enabled = arch_interrupts_disable();
        tick_handler = tick;
        tick_period_ns = period_ns;
        next_tick_ns = time_ns() + period_ns;
        arm();
        arch_interrupts_restore(enabled);
        return ZX_OK;
}

static void clock_print(void)
{
        uint64_t hz;

        print_clock();
        for (enum arch_clock_source i = 0; i < ARCH_CLOCK_SOURCE_COUNT; i++) {
                zx_status_t status = arch_clock_measure(i, &hz);
                if (status == ZX_OK)
                        log_line("clock: %s says %llu Hz", arch_clock_source_name(i),
                                 (unsigned long long)hz);
                else
                        log_line("clock: %s: %s", arch_clock_source_name(i),
                                 zx_status_name(status));
        }
        log_line("clock: %llu ns since the start", (unsigned long long)time_ns());
}
COMMAND(clock_command, "clock", "what each source says about the counter's frequency", clock_print);
