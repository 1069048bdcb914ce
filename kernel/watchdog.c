/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* See watchdog.h. The tick may be an NMI: what it shares with tasks is read and written in an order
 * that holds between any two instructions of one CPU. */
#include "kernel/watchdog.h"

#include <stdatomic.h>
#include <stddef.h>

#include "arch/arch.h"
#include "base/assert.h"
#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/time.h"

#define TICK_NS (55 * NS_PER_MS)

static bool wanted = true;
CMDLINE_FLAG(wanted, "watchdog", "end a test that hangs; off: let it hang, for a debugger");

static enum watchdog_kind kind;
static _Atomic uint64_t tick_count;

/* deadline_ns is written last when armed and first when disarmed: whoever
 * sees a deadline sees its name. */
static const char *armed_name;
static uint32_t armed_limit_ms;
static _Atomic uint64_t deadline_ns = TIME_INFINITE;

/* Whether the time is up. Says so once: the panic itself must not be interrupted by another. */
static bool tick_is_fatal(void)
{
        atomic_fetch_add_explicit(&tick_count, 1, memory_order_relaxed);
        if (time_ns() < atomic_load_explicit(&deadline_ns, memory_order_acquire))
                return false;
        atomic_store_explicit(&deadline_ns, TIME_INFINITE, memory_order_relaxed);
        return true;
}

static void nmi_tick(const struct arch_trap_frame *frame)
{
        if (tick_is_fatal())
                panic_at(frame, "watchdog: %s did not end within %u ms", armed_name,
                         armed_limit_ms);
}

static void timer_tick(void)
{
        if (tick_is_fatal())
                panic("watchdog: %s did not end within %u ms", armed_name, armed_limit_ms);
}

void watchdog_init(void)
{
        ASSERT(kind == WATCHDOG_OFF);
        if (!wanted) {
                log_line("watchdog: off, as asked");
                return;
        }
        zx_status_t status = arch_watchdog_start(nmi_tick);
        if (status == ZX_OK) {
                kind = WATCHDOG_NMI;
                return;
        }
        if (time_set_tick(timer_tick, TICK_NS) == ZX_OK)
                kind = WATCHDOG_TIMER;
        log_line("watchdog: no NMI tick on this machine, %s",
                 kind == WATCHDOG_TIMER ? "loops with interrupts off are not caught"
                                        : "hangs are not caught");
}

void watchdog_arm(const char *name, uint32_t limit_ms)
{
        watchdog_disarm();
        armed_name = name;
        armed_limit_ms = limit_ms;
        /* release: pairs with the acquire in tick_is_fatal */
        atomic_store_explicit(&deadline_ns, time_deadline_after(limit_ms * NS_PER_MS),
                              memory_order_release);
}

void watchdog_disarm(void)
{
        atomic_store_explicit(&deadline_ns, TIME_INFINITE, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst); /* before the next name is written */
}

bool watchdog_is_armed(void)
{
        return atomic_load_explicit(&deadline_ns, memory_order_relaxed) != TIME_INFINITE;
}

enum watchdog_kind watchdog_kind(void)
{
        return kind;
}

uint64_t watchdog_tick_count(void)
{
        return atomic_load_explicit(&tick_count, memory_order_relaxed);
}
