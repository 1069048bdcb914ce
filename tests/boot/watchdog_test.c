/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/watchdog.c that end well; that it bites is proved by crash.hang and
 * crash.hang_cli. The runner's own watch over these tests ends with the first watchdog_arm. */
#include "tests/expect.h"

#include "arch/arch.h"
#include "kernel/time.h"
#include "kernel/watchdog.h"

#define FAR_MS 60000u
#define TICK_LIMIT_NS (2 * NS_PER_SECOND) /* a tick is due every 55 ms */

TEST(watchdog, arms_and_disarms)
{
        watchdog_arm("watchdog.test", FAR_MS);
        EXPECT_TRUE(watchdog_is_armed());
        watchdog_arm("watchdog.again", FAR_MS);
        EXPECT_TRUE(watchdog_is_armed());
        watchdog_disarm();
        EXPECT_FALSE(watchdog_is_armed());
        watchdog_disarm();
        EXPECT_FALSE(watchdog_is_armed());
}

/* With the NMI, interrupts are off meanwhile: that is what it is for. */
TEST(watchdog, ticks_while_armed)
{
        uint64_t before = watchdog_tick_count();
        if (watchdog_kind() == WATCHDOG_OFF)
                SKIP("the watchdog is off");
        watchdog_arm("watchdog.test", FAR_MS);
        uint64_t deadline_ns = time_deadline_after(TICK_LIMIT_NS);
        bool enabled = arch_interrupts_disable();
        if (watchdog_kind() == WATCHDOG_TIMER)
                arch_interrupts_restore(enabled);
        while (watchdog_tick_count() == before && !time_passed(deadline_ns))
                arch_pause();
        arch_interrupts_restore(enabled);
        EXPECT_GT(watchdog_tick_count(), before);
        EXPECT_TRUE(watchdog_is_armed());
        watchdog_disarm();
}
