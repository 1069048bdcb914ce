/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* clock — the time stamp counter as a monotonic clock. What it relies on to know the frequency is
 * in clock_source.c; the one-shot timer is in timer.c.
 *
 * Ticks become nanoseconds by one multiplication: ns = ticks * multiplier >> 32, with a product
 * of 128 bits, so nothing overflows before the clock has run for centuries. The multiplier is
 * rounded down, which is less than one part in 2^27 at every frequency that passes for sane: a
 * millisecond in a day and a half.
 * Facts: Intel SDM 3, 17.17. Context: any. */
#include "arch/arch.h"
#include "arch/clock_source.h"
#include "arch/smp.h"
#include "base/assert.h"
#include "base/bytes.h"

#define NS_PER_SECOND 1000000000ull
#define FRACTION_BITS 32

static uint64_t origin;
static uint64_t ticks_per_second; /* 0: not calibrated, 1 GHz assumed */
static uint64_t multiplier = BIT_MASK(FRACTION_BITS);

/* LFENCE: not before the loads in front of it have their values, so that a time stamp taken after
 * reading a register or a flag is later than the reading. */
uint64_t arch_ticks(void)
{
        uint32_t low, high;
        __asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
        return (uint64_t)high << 32 | low;
}

uint64_t arch_ticks_per_second(void)
{
        return ticks_per_second;
}

/* The middle of the 128-bit product; arch_ticks_to_ns(UINT64_MAX) fits from 1 GHz on. */
uint64_t arch_ticks_to_ns(uint64_t ticks)
{
        uint64_t low, high;

        __asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(ticks), "rm"(multiplier) : "cc");
        return high << (64 - FRACTION_BITS) | low >> FRACTION_BITS;
}

void arch_clock_set_origin(uint64_t tsc)
{
        origin = tsc;
}

uint64_t arch_clock_ns(void)
{
        uint64_t now = arch_ticks() + (uint64_t)smp_this()->tsc_offset;
        return now > origin ? arch_ticks_to_ns(now - origin) : 0;
}

zx_status_t arch_clock_init(const struct arch_clock_config *config, const char **how)
{
        uint64_t hz;

        ASSERT(ticks_per_second == 0);
        clock_source_configure(config);
        *how = "none";
        for (enum arch_clock_source i = 0; i < ARCH_CLOCK_SOURCE_COUNT; i++) {
                if (arch_clock_measure(i, &hz) != ZX_OK)
                        continue;
                multiplier = (NS_PER_SECOND << FRACTION_BITS) / hz;
                ticks_per_second = hz;
                *how = arch_clock_source_name(i);
                return ZX_OK;
        }
        return ZX_ERR_NOT_FOUND;
}
