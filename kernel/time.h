/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* time — the monotonic clock and deadlines; every wait in this kernel has one.
 *
 * Nanoseconds since the first instruction of ours, from the time stamp counter. Before time_init
 * the clock runs at an assumed 1 GHz. Context: any. */
#ifndef KERNEL_TIME_H
#define KERNEL_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

#define TIME_INFINITE UINT64_MAX
#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_SECOND 1000000000ull

/* Learns the counter's frequency, starts the one-shot timer, says both on the console. After
 * interrupts_init; once. A machine without a source for the frequency runs on, at the
 * assumed 1 GHz; one without a timer spins where it would halt.
 *   tsc_entry  boot_info.tsc_entry: the counter at time 0 */
void time_init(uint64_t tsc_entry);

uint64_t time_ns(void);
/* now + duration, TIME_INFINITE when that overflows. */
uint64_t time_deadline_after(uint64_t duration_ns);
static inline bool time_passed(uint64_t deadline_ns)
{
        return time_ns() >= deadline_ns;
}
/* Waits at least that long; halts between interrupts when they are enabled, else spins. */
void time_sleep(uint64_t duration_ns);
/* Halts this CPU until an interrupt or the deadline, for loops of the form
 *     while (!done) {
 *             if (time_passed(deadline))
 *                     return ZX_ERR_TIMED_OUT;
 *             time_wait_interrupt(deadline);
 *     }
 * A wake-up between the check and the halt is not lost for longer than 1 ms. */
void time_wait_interrupt(uint64_t deadline_ns);

/* The same for a caller that has interrupts off already, so that nothing is lost between its last
 * look and the halt. Returns with interrupts on. */
void time_wait_interrupt_disabled(uint64_t deadline_ns);

/* Calls `tick` in interrupt context every period_ns or a little later,
 * from now on. For the watchdog.
 *   returns  ZX_OK; ZX_ERR_NOT_SUPPORTED: there is no timer */
zx_status_t MUST_CHECK time_set_tick(void (*tick)(void), uint64_t period_ns);

#endif
