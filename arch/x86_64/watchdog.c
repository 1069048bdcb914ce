/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* watchdog — a tick that no `cli` keeps out: the PIT's channel 0 counts, its line of the I/O APIC
 * delivers the edges as NMI. Whether that works is tried, not believed: a machine may have no PIT,
 * another wiring, or an I/O APIC that does not know NMI. Only a tick that arrived counts.
 * Facts: Intel 8254 and 82093AA datasheets. Relies on arch_irq_init and arch_clock_init; uses the
 * one-shot timer, if there is one, while it waits for the first tick. */
#include <stddef.h>

#include "arch/apic.h"
#include "arch/arch.h"
#include "arch/ioapic.h"
#include "arch/pit.h"
#include "arch/trap.h"
#include "base/assert.h"

#define PERIOD_COUNTS 0u     /* stands for 65536: 18.2 ticks a second */
#define TRIAL_COUNTS 239u    /* 200 microseconds */
#define TRIAL_NS 100000000u  /* passes only on a machine where the tick does not work */
#define PIT_READS_MAX 2000u  /* so many reads without a change: no PIT */
#define TIMER_ISA_IRQ 0
#define TIMER_GSI_USUAL 2u   /* where the line is wired when the firmware does not say */

static arch_nmi_handler tick_handler;
static uint32_t trial_ticks;

/* Each tick starts the channel anew: KVM's PIT, by its usual policy for lost ticks, sends
 * the next only when the last was acknowledged, and nobody acknowledges an NMI; a new count
 * makes it forget the last one. While ticks come in, nobody else programs the channel, so
 * no three writes get mixed up. */
static void count_trial(struct arch_trap_frame *frame, void *context)
{
        (void)frame;
        (void)context;
        pit_program(PIT_CHANNEL_TICK, PIT_MODE_PERIODIC, TRIAL_COUNTS);
        __atomic_fetch_add(&trial_ticks, 1, __ATOMIC_RELAXED);
}

static void tick(struct arch_trap_frame *frame, void *context)
{
        (void)context;
        pit_program(PIT_CHANNEL_TICK, PIT_MODE_PERIODIC, PERIOD_COUNTS);
        tick_handler(frame);
}

static bool pit_counts(void)
{
        uint16_t first = pit_read(PIT_CHANNEL_TICK);

        for (uint32_t reads = 0; reads < PIT_READS_MAX; reads++)
                if (pit_read(PIT_CHANNEL_TICK) != first)
                        return true;
        return false;
}

/* Halts, rather than spins, until something happens: a tick, or the timer at the deadline. On a
 * busy host the thread that emulates the PIT gets its turn that way. A tick between the caller's
 * look and the halt is not the last: the next follows at once. */
static void wait_for_event(uint64_t deadline_ns)
{
        uint64_t timer_hz;

        (void)arch_timer_describe(&timer_hz);
        if (timer_hz == 0 || !arch_interrupts_enabled()) {
                arch_pause();
                return;
        }
        arch_timer_arm(deadline_ns);
        arch_wait_for_interrupt();
        arch_timer_arm(UINT64_MAX);
}

static bool route_line(uint32_t gsi)
{
        struct ioapic_route route = {.nmi = true};
        return apic_destination(&route.apic_id) == ZX_OK && ioapic_route(gsi, &route) == ZX_OK;
}

static bool a_tick_comes(void)
{
        uint64_t deadline_ns = arch_clock_ns() + TRIAL_NS;

        while (arch_clock_ns() < deadline_ns) {
                if (__atomic_load_n(&trial_ticks, __ATOMIC_RELAXED) != 0)
                        return true;
                wait_for_event(deadline_ns);
        }
        return __atomic_load_n(&trial_ticks, __ATOMIC_RELAXED) != 0;
}

/* Where the firmware does not move the timer's line, it should be line 0; but QEMU's microvm
 * has it at the usual place and says nothing. Line 0 has only the 8259s then, which are
 * silent, so both may be open. */
zx_status_t arch_watchdog_start(arch_nmi_handler handler)
{
        uint32_t gsi = apic_isa_line(TIMER_ISA_IRQ).gsi;
        bool routed;

        ASSERT(handler != NULL);
        ASSERT(tick_handler == NULL);
        tick_handler = handler;
        pit_program(PIT_CHANNEL_TICK, PIT_MODE_PERIODIC, TRIAL_COUNTS);
        if (!pit_counts())
                return ZX_ERR_NOT_SUPPORTED;
        trap_set_nmi_handler(count_trial, NULL);
        routed = route_line(gsi);
        if (gsi == TIMER_ISA_IRQ)
                routed |= route_line(TIMER_GSI_USUAL);
        if (!routed || !a_tick_comes()) {
                ioapic_mask(gsi);
                if (gsi == TIMER_ISA_IRQ)
                        ioapic_mask(TIMER_GSI_USUAL);
                trap_set_nmi_handler(NULL, NULL);
                return ZX_ERR_NOT_SUPPORTED;
        }
        trap_set_nmi_handler(tick, NULL); /* the next one sets the real period */
        return ZX_OK;
}
