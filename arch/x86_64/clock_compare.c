/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Two counters watched for the same stretch of time: how fast the time stamp counter runs, told by
 * one of known speed. Relies on nothing but arch_ticks(), so that it is tried on counters that a
 * test makes up. See clock_source.h. */
#include "arch/clock_source.h"

#include <stddef.h>

#include "base/assert.h"
#include "base/bytes.h"

/* MUL gives 128 bits, DIV takes them; that there is no overflow is checked before. */
uint64_t clock_scale(uint64_t a, uint64_t b, uint64_t c)
{
        uint64_t low, high, quotient, remainder;

        __asm__("mulq %3" : "=a"(low), "=d"(high) : "a"(a), "rm"(b) : "cc");
        ASSERT(high < c);
        __asm__("divq %4" : "=a"(quotient), "=d"(remainder) : "a"(low), "d"(high), "rm"(c) : "cc");
        return quotient;
}

/* ---- watching ---- */

#define SAMPLE_TRIES 4
#define STILL_READS_MAX 2000u /* so many reads without a change: the counter stands still */

/* One reading of both counters, the closest of a few: the time stamp counter before and after a
 * read that was not interrupted are near each other, and their middle belongs to it. */
struct sample {
        uint64_t ticks;
        uint64_t count;
};

static struct sample take_sample(const struct clock_counter *counter)
{
        struct sample best = {0};
        uint64_t best_width = UINT64_MAX;

        for (uint32_t i = 0; i < SAMPLE_TRIES; i++) {
                uint64_t before = arch_ticks();
                uint64_t count = counter->read(counter);
                uint64_t width = arch_ticks() - before;
                if (width < best_width) {
                        best_width = width;
                        best.ticks = before + width / 2;
                        best.count = count;
                }
        }
        return best;
}

static uint64_t moved(const struct clock_counter *counter, uint64_t from, uint64_t to)
{
        uint64_t delta = counter->down ? from - to : to - from;
        return counter->bits == 64 ? delta : delta & (BIT_MASK(counter->bits) - 1);
}

zx_status_t clock_compare(const struct clock_counter *counter, uint64_t counted_min,
                          uint64_t ticks_max, struct clock_interval *interval)
{
        struct sample first = take_sample(counter);
        uint64_t previous = first.count, seen = first.ticks, step_max = 0;
        uint32_t still_reads = 0;

        for (;;) { /* ends by ticks_max at the latest */
                uint64_t count = counter->read(counter);
                uint64_t ticks = arch_ticks();
                step_max = max_u64(step_max, ticks - seen);
                seen = ticks;
                if (moved(counter, first.count, count) >= counted_min ||
                    ticks - first.ticks >= ticks_max)
                        break;
                still_reads = count == previous ? still_reads + 1 : 0;
                previous = count;
                if (still_reads == STILL_READS_MAX)
                        return ZX_ERR_IO;
        }
        struct sample last = take_sample(counter);
        interval->step_max = max_u64(step_max, last.ticks - seen);
        interval->ticks = last.ticks - first.ticks;
        interval->counted = moved(counter, first.count, last.count);
        return interval->ticks != 0 ? ZX_OK : ZX_ERR_IO;
}

/* ---- measuring ---- */

#define WINDOW_COUNTS_MIN 2000u     /* so that one count is 0.05 % at most; 1.7 ms of the PIT */
#define WINDOWS_PER_SECOND 1000u    /* 1 ms where that is counts enough */
#define TICKS_MAX (CLOCK_HZ_MAX / 200) /* 5 ms of the fastest counter */
#define WINDOWS_MAX 5u
#define STEPS_MIN 8u /* in a window; usually there are some hundreds */

/* A host that does not let the machine run for longer than the counter takes to wrap (55 ms with
 * the PIT) makes the time stamp counter look faster than it is. Then the window has a large step,
 * and another one is tried; where all have one, the slowest speed is the nearest to the truth. */
zx_status_t clock_measure_against(const struct clock_counter *counter, uint64_t *hz_out)
{
        uint64_t counts = max_u64(counter->hz / WINDOWS_PER_SECOND, WINDOW_COUNTS_MIN);
        uint64_t best_hz = UINT64_MAX;
        for (uint32_t i = 0; i < WINDOWS_MAX; i++) {
                struct clock_interval interval;
                zx_status_t status = clock_compare(counter, counts, TICKS_MAX, &interval);
                bool whole = status == ZX_OK && interval.step_max <= interval.ticks / STEPS_MIN;
                if (status == ZX_OK && interval.counted >= counts) {
                        uint64_t hz = clock_scale(interval.ticks, counter->hz, interval.counted);
                        best_hz = whole ? hz : min_u64(best_hz, hz);
                }
                if (status != ZX_OK || whole)
                        break;
        }
        *hz_out = best_hz;
        return best_hz != UINT64_MAX ? ZX_OK : ZX_ERR_IO;
}
