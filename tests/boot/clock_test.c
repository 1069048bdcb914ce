/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of arch_clock_*, arch_timer_* and kernel/time.c on the live machine. A busy host may
 * stop this CPU at any point for any time, so "too late" is never a failure unless it is
 * absurd; "too early" always is. */
#include "tests/expect.h"

#include "arch/arch.h"
#include "base/bytes.h"
#include "kernel/time.h"
#include "kernel/watchdog.h"

#define READS 20000u
#define SHORT_NS (NS_PER_MS / 2)
#define ABSURD_NS (2 * NS_PER_SECOND)

TEST(clock, never_goes_back)
{
        uint64_t previous_ns = time_ns(), previous_ticks = arch_ticks();
        uint32_t back = 0;

        EXPECT_NE(previous_ns, 0u);
        for (uint32_t i = 0; i < READS; i++) {
                uint64_t ns = time_ns(), ticks = arch_ticks();
                back += ns < previous_ns || ticks < previous_ticks;
                previous_ns = ns;
                previous_ticks = ticks;
        }
        EXPECT_EQ(back, 0u);
}

#define SECONDS_OF_DECADE (10ull * 365 * 24 * 3600)

TEST(clock, ticks_become_nanoseconds_without_overflow)
{
        uint64_t hz = arch_ticks_per_second();
        if (hz == 0)
                SKIP("nothing tells the counter's frequency here");
        EXPECT_EQ(arch_ticks_to_ns(0), 0u);
        uint64_t second_ns = arch_ticks_to_ns(hz);
        EXPECT_LE(second_ns, NS_PER_SECOND);
        EXPECT_GE(second_ns, NS_PER_SECOND - NS_PER_SECOND / 100000000 - 1);
        uint64_t decade_ns = arch_ticks_to_ns(hz * SECONDS_OF_DECADE);
        EXPECT_LE(decade_ns, SECONDS_OF_DECADE * NS_PER_SECOND);
        EXPECT_GE(decade_ns, SECONDS_OF_DECADE * (NS_PER_SECOND - 10));
}

#define TOLERANCE_SHARE 50u /* 2 %: CPUID 0x16 rounds to MHz, and hosts stumble */

TEST(clock, frequency_agrees_with_other_sources)
{
        uint64_t hz = arch_ticks_per_second(), other_hz;
        uint32_t agreed = 0;

        if (hz == 0)
                SKIP("nothing tells the counter's frequency here");
        for (enum arch_clock_source i = 0; i < ARCH_CLOCK_SOURCE_COUNT; i++) {
                zx_status_t status = arch_clock_measure(i, &other_hz);
                if (status == ZX_ERR_NOT_FOUND)
                        continue;
                EXPECT_OK(status);
                if (status != ZX_OK)
                        continue;
                uint64_t difference = max_u64(hz, other_hz) - min_u64(hz, other_hz);
                if (!EXPECT_LE(difference, hz / TOLERANCE_SHARE))
                        test_log(t, "by %s", arch_clock_source_name(i));
                agreed++;
        }
        EXPECT_GE(agreed, 1u);
        if (agreed == 1)
                SKIP("only one source on this machine");
}

TEST(clock, deadlines)
{
        EXPECT_EQ(time_deadline_after(UINT64_MAX), TIME_INFINITE);
        EXPECT_FALSE(time_passed(TIME_INFINITE));
        EXPECT_TRUE(time_passed(0));
        uint64_t deadline_ns = time_deadline_after(NS_PER_SECOND);
        EXPECT_GT(deadline_ns, NS_PER_SECOND);
        EXPECT_FALSE(time_passed(time_deadline_after(1000 * NS_PER_SECOND)));
}

static void expect_sleep(struct test *t, uint64_t duration_ns)
{
        uint64_t before_ns = time_ns();
        time_sleep(duration_ns);
        uint64_t slept_ns = time_ns() - before_ns;
        EXPECT_GE(slept_ns, duration_ns);
        EXPECT_LT(slept_ns, duration_ns + ABSURD_NS);
}

TEST(clock, sleeps_at_least_as_long_as_asked)
{
        expect_sleep(t, 0);
        expect_sleep(t, 1);
        expect_sleep(t, 100 * NS_PER_US);
        expect_sleep(t, 3 * NS_PER_MS); /* more than one halt */
        EXPECT_TRUE(arch_interrupts_enabled());
}

TEST(clock, sleeps_with_interrupts_off)
{
        bool enabled = arch_interrupts_disable();
        expect_sleep(t, SHORT_NS);
        EXPECT_FALSE(arch_interrupts_enabled());
        arch_interrupts_restore(enabled);
}

TEST(clock, wait_returns_at_once_when_it_is_too_late)
{
        uint64_t before = arch_timer_count();
        time_wait_interrupt(0);
        time_wait_interrupt(time_ns());
        EXPECT_EQ(arch_timer_count(), before);
}

/* Nothing else raises an interrupt: the wait ends by itself, in the
 * millisecond that its contract names. */
TEST(clock, wait_for_nothing_ends)
{
        uint64_t before_ns = time_ns();
        time_wait_interrupt(TIME_INFINITE);
        EXPECT_LT(time_ns() - before_ns, ABSURD_NS);
        EXPECT_TRUE(arch_interrupts_enabled());
}

/* ---- the one-shot timer itself ---- */

static bool timer_is_usable(void)
{
        return arch_timer_describe(NULL)[0] != 'n' && watchdog_kind() != WATCHDOG_TIMER;
}
#define REQUIRE_TIMER()                                        \
        do {                                                   \
                if (!timer_is_usable())                        \
                        SKIP("the timer is not there or used by the watchdog"); \
        } while (0)

/* Spins until the handler has run once more; the time by then, 0: it did not. */
static uint64_t wait_for_timer(uint64_t count_before)
{
        uint64_t limit_ns = time_deadline_after(ABSURD_NS);
        while (arch_timer_count() == count_before)
                if (time_passed(limit_ns))
                        return 0;
        return time_ns();
}

TEST(clock, timer_fires_at_its_deadline_and_once)
{
        REQUIRE_TIMER();
        for (uint64_t wait_ns = 10 * NS_PER_US; wait_ns <= 4 * NS_PER_MS; wait_ns *= 20) {
                uint64_t count = arch_timer_count();
                uint64_t deadline_ns = time_deadline_after(wait_ns);
                arch_timer_arm(deadline_ns);
                EXPECT_GE(wait_for_timer(count), deadline_ns);
                time_sleep(0);
                EXPECT_EQ(arch_timer_count(), count + 1);
        }
        arch_timer_arm(UINT64_MAX);
}

static void other_irq(void *context)
{
        (void)context;
}

#define TURNS_MAX 100 /* of a test in which the machine must not stand still */

/* Else the timer would fire once more for a waiter that has long gone on. Where the machine stood
 * still until that deadline, which is armed until something else is, the next turn says it. */
TEST(clock, a_wait_that_another_interrupt_ended_leaves_no_deadline)
{
        struct arch_msi_message other;
        REQUIRE_TIMER();
        REQUIRE_OK(arch_irq_allocate_msi("test", other_irq, NULL, &other));
        uint64_t count;
        uint32_t turns = 0;
        bool late;
        do {
                (void)arch_interrupts_disable();
                arch_irq_raise_self(&other);
                uint64_t deadline_ns = time_deadline_after(2 * NS_PER_MS);
                time_wait_interrupt_disabled(deadline_ns);
                (void)arch_interrupts_disable();
                count = arch_timer_count();
                arch_timer_arm(time_deadline_after(10 * NS_PER_US));
                late = time_passed(deadline_ns);
                arch_interrupts_enable();
        } while (late && ++turns < TURNS_MAX);
        arch_irq_free_msi(&other);
        EXPECT_LT(turns, TURNS_MAX);
        EXPECT_NE(wait_for_timer(count), 0u);
        uint64_t limit_ns = time_deadline_after(3 * NS_PER_MS);
        while (!time_passed(limit_ns))
                arch_pause();
        EXPECT_EQ(arch_timer_count(), count + 1);
}

TEST(clock, timer_of_the_past_fires_at_once)
{
        REQUIRE_TIMER();
        uint64_t count = arch_timer_count();
        arch_timer_arm(0);
        EXPECT_NE(wait_for_timer(count), 0u);
}

TEST(clock, arming_again_replaces_the_deadline)
{
        REQUIRE_TIMER();
        uint64_t count = arch_timer_count();
        uint64_t later_ns = time_deadline_after(2 * NS_PER_MS);
        bool enabled = arch_interrupts_disable(); /* the host may stop us between the two */
        arch_timer_arm(time_deadline_after(SHORT_NS));
        arch_timer_arm(later_ns);
        arch_interrupts_restore(enabled);
        EXPECT_GE(wait_for_timer(count), later_ns); /* not at the first one */
        count = arch_timer_count();
        arch_timer_arm(time_deadline_after(1000 * NS_PER_SECOND));
        arch_timer_arm(time_deadline_after(SHORT_NS));
        EXPECT_NE(wait_for_timer(count), 0u);
}

TEST(clock, disarmed_timer_is_silent)
{
        REQUIRE_TIMER();
        uint64_t count;
        uint32_t turns = 0;
        bool late;
        do {
                count = arch_timer_count();
                bool enabled = arch_interrupts_disable();
                uint64_t deadline_ns = time_deadline_after(SHORT_NS);
                arch_timer_arm(deadline_ns);
                arch_timer_arm(UINT64_MAX);
                late = time_passed(deadline_ns);
                time_sleep(2 * SHORT_NS); /* spins, so it does not arm the timer itself */
                arch_interrupts_restore(enabled);
        } while (late && ++turns < TURNS_MAX);
        EXPECT_LT(turns, TURNS_MAX);
        for (uint32_t i = 0; i < READS / 100; i++)
                arch_pause();
        EXPECT_EQ(arch_timer_count(), count);
}
