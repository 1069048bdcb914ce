/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* watchdog — a tick that no `cli` keeps out: the PIT's channel 0 counts, its line of the I/O APIC delivers
 * the edges as NMI. Whether that works is tried, not believed: a machine may have no PIT, another wiring, or
 * an I/O APIC that does not know NMI. Only a tick that arrived counts.
 * Facts: Intel 8254 and 82093AA datasheets. Relies on arch_irq_init, arch_clock_init. */
#include <stddef.h>

#include "arch/apic.h"
#include "arch/arch.h"
#include "arch/ioapic.h"
#include "arch/pit.h"
#include "arch/trap.h"
#include "base/assert.h"

#define PERIOD_COUNTS 0u     /* stands for 65536: 18.2 ticks a second */
#define TRIAL_COUNTS 239u    /* 200 microseconds */
#define TRIAL_NS 50000000u   /* a busy host may leave its device threads waiting; reached only on failure */
#define PIT_READS_MAX 2000u  /* so many reads without a change: no PIT */
#define TIMER_ISA_IRQ 0
#define TIMER_GSI_USUAL 2u   /* where the line is wired when the firmware does not say */

static arch_nmi_handler tick_handler;
static uint32_t trial_ticks;

static void count_trial(struct arch_trap_frame *frame, void *context)
{
        (void)frame;
        (void)context;
        __atomic_fetch_add(&trial_ticks, 1, __ATOMIC_RELAXED);
}

static void tick(struct arch_trap_frame *frame, void *context)
{
        (void)context;
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

/* Whether ticks come in through that line. On failure it is masked again. */
static bool try_line(uint32_t gsi)
{
        struct ioapic_route route = {.nmi = true};

        if (apic_destination(&route.apic_id) != ZX_OK || ioapic_route(gsi, &route) != ZX_OK)
                return false;
        uint64_t deadline_ns = arch_clock_ns() + TRIAL_NS;
        while (arch_clock_ns() < deadline_ns) {
                if (__atomic_load_n(&trial_ticks, __ATOMIC_RELAXED) != 0)
                        return true;
                arch_pause();
        }
        ioapic_mask(gsi);
        return false;
}

zx_status_t arch_watchdog_start(arch_nmi_handler handler)
{
        uint32_t gsi = apic_isa_line(TIMER_ISA_IRQ).gsi;

        ASSERT(handler != NULL);
        ASSERT(tick_handler == NULL);
        tick_handler = handler;
        pit_program(PIT_CHANNEL_TICK, PIT_MODE_PERIODIC, TRIAL_COUNTS);
        if (!pit_counts())
                return ZX_ERR_NOT_SUPPORTED;
        trap_set_nmi_handler(count_trial, NULL);
        if (!try_line(gsi) && (gsi == TIMER_GSI_USUAL || !try_line(TIMER_GSI_USUAL))) {
                trap_set_nmi_handler(NULL, NULL);
                return ZX_ERR_NOT_SUPPORTED;
        }
        trap_set_nmi_handler(tick, NULL);
        pit_program(PIT_CHANNEL_TICK, PIT_MODE_PERIODIC, PERIOD_COUNTS);
        return ZX_OK;
}
