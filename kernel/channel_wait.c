/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* channel_wait — the seam between kernel/channel.c and CPUs that halt. */
#include "kernel/channel_wait.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "arch/arch.h"
#include "base/assert.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "kernel/time.h"

#define LOOKS_BEFORE_HALT 200
/* Work that another CPU posts right before the halt is not seen for that long at most. */
#define HALT_NS_MAX NS_PER_MS

/* Acquire: pairs with the release in channel.c's complete(), as the channel's own look does. */
static bool is_done(const atomic_uint *done)
{
        return atomic_load_explicit(done, memory_order_acquire) != 0;
}

static zx_status_t wait_for(const atomic_uint *done, uint64_t deadline_ns)
{
        uint64_t halt_ns = time_deadline_after(HALT_NS_MAX);

        ASSERT(arch_interrupts_enabled());
        for (unsigned i = 0; i < LOOKS_BEFORE_HALT; i++) {
                if (is_done(done))
                        return ZX_OK;
                arch_pause();
        }
        if (time_passed(deadline_ns))
                return ZX_ERR_TIMED_OUT;
        if (cpu_serve() != 0) /* the answer may need this CPU first */
                return ZX_OK;
        /* With interrupts off, so that the wake-up is not lost between the look and the halt. */
        (void)arch_interrupts_disable();
        if (is_done(done))
                arch_interrupts_enable();
        else
                time_wait_interrupt_disabled(deadline_ns < halt_ns ? deadline_ns : halt_ns);
        return ZX_OK;
}

static void warn(UNUSED struct channel_end *end, uint32_t pending)
{
        log_line("channel: %u messages wait at one end, %u are the limit", pending,
                 CHANNEL_PENDING_MAX);
}

const struct channel_ops channel_wait_ops = {
        .waiter = cpu_current,
        .wait = wait_for,
        .wake = arch_cpu_wake,
        .warning = warn,
};
