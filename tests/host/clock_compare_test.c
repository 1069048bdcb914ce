/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of arch/x86_64/clock_compare.c on counters that are made up here, in a machine that its
 * host stops for a while at any place: the speed found is right all the same. Facts: 8254 datasheet
 * (16 bits, down), ACPI 6.5, 4.8.3.3 (24 bits), IA-PC HPET 1.0a. */
#include "tests/expect.h"

#include "arch/clock_source.h"
#include "base/bytes.h"

#define TICKS_HZ 2000000000ull
#define TICKS_PER_MS (TICKS_HZ / 1000)
#define READ_TICKS 1500   /* for a reading of the counter; the other one takes a tenth of it */
#define LOOKS_OF_SAMPLE 8 /* clock_compare() takes the closest of four */
#define WINDOWS 5         /* that clock_measure_against() looks at */

static struct {
        uint64_t ticks;
        uint32_t looks; /* at the time */
        bool (*stops)(uint32_t look);
        uint32_t stops_parameter;
        uint64_t stop_ticks;
        bool dead;
} machine;

uint64_t arch_ticks(void)
{
        machine.ticks += READ_TICKS / 10;
        if (machine.stops(machine.looks++))
                machine.ticks += machine.stop_ticks;
        return machine.ticks;
}

static bool stops_never(uint32_t look)
{
        return false;
}

static bool stops_at(uint32_t look)
{
        return look == machine.stops_parameter;
}

static bool stops_each(uint32_t look)
{
        return look % machine.stops_parameter == 0;
}

/* At the first look after a window's first sample, which ends the window with the next, and, but in
 * one of them, in the last sample. */
static bool stops_twice_but_in_one(uint32_t look)
{
        uint32_t looks = 2 * LOOKS_OF_SAMPLE + 2, at = look % looks;
        return at == LOOKS_OF_SAMPLE ||
               (at == LOOKS_OF_SAMPLE + 2 && look / looks != machine.stops_parameter);
}

static uint64_t read_counter(const struct clock_counter *counter)
{
        machine.ticks += READ_TICKS;
        if (machine.dead)
                return 17;
        uint64_t count = clock_scale(machine.ticks, counter->hz, TICKS_HZ);
        return (counter->down ? -count : count) & (BIT_MASK(counter->bits) - 1);
}

static const struct clock_counter counters[] = {
        {.read = read_counter, .bits = 16, .down = true, .hz = 1193182},
        {.read = read_counter, .bits = 24, .hz = 3579545},
        {.read = read_counter, .bits = 32, .hz = 100000000},
};

static void expect_speed(struct test *t, const struct clock_counter *counter)
{
        uint64_t hz = 0;
        if (!EXPECT_OK(clock_measure_against(counter, &hz)) ||
            !EXPECT_LT(max_u64(hz, TICKS_HZ) - min_u64(hz, TICKS_HZ), TICKS_HZ / 200))
                test_log(t, "%u bits, %llu Hz, stops by %u", (unsigned)counter->bits,
                         (unsigned long long)hz, (unsigned)machine.stops_parameter);
}

static void machine_init(bool (*stops)(uint32_t look), uint32_t parameter, uint64_t stop_ms)
{
        memset(&machine, 0, sizeof(machine));
        machine.stops = stops;
        machine.stops_parameter = parameter;
        machine.stop_ticks = stop_ms * TICKS_PER_MS;
}

TEST(clock_compare, speed_against_each_counter)
{
        for (uint32_t i = 0; i < ARRAY_COUNT(counters); i++) {
                machine_init(stops_never, 0, 0);
                expect_speed(t, &counters[i]);
                EXPECT_LT(machine.ticks, 2 * TICKS_PER_MS);
        }
}

/* Shorter and longer than the PIT takes to wrap, once and several times. */
TEST(clock_compare, a_stop_anywhere_changes_nothing)
{
        static const uint32_t stops_ms[] = {1, 3, 20, 54, 55, 56, 57, 58, 62, 100, 109, 113, 500};
        for (uint32_t i = 0; i < ARRAY_COUNT(counters); i++)
                for (uint32_t s = 0; s < ARRAY_COUNT(stops_ms); s++)
                        for (uint32_t at = 0; at < 2400 && !test_has_failed(t); at++) {
                                machine_init(stops_at, at, stops_ms[s]);
                                expect_speed(t, &counters[i]);
                        }
}

/* A host that never lets the machine run for long, but for one reading of both counters. No stop is
 * as long as the counter takes to wrap. */
TEST(clock_compare, stops_without_an_end)
{
        for (uint32_t again = 2 * LOOKS_OF_SAMPLE; again < 300; again++) {
                machine_init(stops_each, again, 20);
                expect_speed(t, &counters[0]);
        }
}

/* In each window but one there are two stops, together longer than the PIT takes to wrap. */
TEST(clock_compare, the_slowest_speed_is_right)
{
        for (uint32_t good = 0; good < WINDOWS; good++) {
                machine_init(stops_twice_but_in_one, good, 40);
                expect_speed(t, &counters[0]);
        }
}

TEST(clock_compare, counters_that_do_not_count)
{
        struct clock_counter slow = {.read = read_counter, .bits = 32, .hz = 1000};
        uint64_t hz;
        machine_init(stops_never, 0, 0);
        EXPECT_STATUS(ZX_ERR_IO, clock_measure_against(&slow, &hz));
        machine.dead = true;
        EXPECT_STATUS(ZX_ERR_IO, clock_measure_against(&counters[0], &hz));
        /* Stopped for half an hour at each turn: whatever it says, it says something. */
        for (uint32_t again = 1; again < 50; again++) {
                machine_init(stops_each, again, 1800000);
                zx_status_t status = clock_measure_against(&counters[2], &hz);
                EXPECT_TRUE(status == ZX_OK || status == ZX_ERR_IO);
        }
}
