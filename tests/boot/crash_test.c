/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Crashes on request: tests whose success is that the guest goes down in the right way, with the
 * right last line and exit code. They prove the panic, the watchdog, the runner and the harness;
 * tests/harness asks for them one by one (test=crash.NAME) and says what each must leave behind.
 *
 *   name                what happens                                    the run ends with
 *   panic assert        a panic by call, by ASSERT                      PANIC
 *   null_write ... double_fault   an exception                          PANIC, cause in words
 *   fail                a failed expectation                            FAIL
 *   hang hang_cli       a loop, interrupts on or off                    PANIC by the watchdog
 *   triple_fault        the machine resets                              no verdict
 *   exit_silent         leaves with the code of success                 no verdict */
#include "tests/expect.h"

#include "arch/arch.h"
#include "base/assert.h"
#include "base/shared.h"
#include "kernel/exit_code.h"
#include "kernel/panic.h"

#define CRASH_LIMIT_MS 1000
#define RET_OPCODE 0xc3
#define NON_CANONICAL 0x0000900000000000ull
#define RECURSIONS_MAX 100000

#define CRASH_TEST(name_) TEST_WITH(crash, name_, TEST_ON_REQUEST, CRASH_LIMIT_MS)

extern const char text_start[], rodata_start[]; /* linker.ld */

/* The compiler must not know what comes out, or it would reason about the crash. */
static uint64_t hidden_word;
static uint64_t hide(uint64_t value)
{
        shared_store_u64(&hidden_word, value);
        return shared_load_u64(&hidden_word);
}

CRASH_TEST(panic)
{
        panic("on request, number %d", 42);
}

CRASH_TEST(assert)
{
        uint64_t two = hide(2);

        ASSERT(two + two == 5);
}

CRASH_TEST(null_write)
{
        shared_store_u64((void *)hide(0), 1);
}

CRASH_TEST(execute_data)
{
        static uint8_t code[1];

        shared_store_u8(code, RET_OPCODE);
        ((void (*)(void))hide((uint64_t)code))();
        test_fail(t, __FILE__, __LINE__, "data was executed");
}

CRASH_TEST(write_text)
{
        shared_store_u8((void *)hide((uint64_t)text_start), 0);
        test_fail(t, __FILE__, __LINE__, "code was overwritten");
}

CRASH_TEST(write_rodata)
{
        shared_store_u8((void *)hide((uint64_t)rodata_start), 0);
        test_fail(t, __FILE__, __LINE__, "a constant was overwritten");
}

static unsigned NOINLINE recurse(unsigned depth)
{
        if (depth < RECURSIONS_MAX)
                depth += recurse(depth + 1);
        return depth + (unsigned)hide(depth);
}

CRASH_TEST(stack_overflow)
{
        test_fail(t, __FILE__, __LINE__, "the stack has no end: %u", recurse(0));
}

CRASH_TEST(divide)
{
        test_fail(t, __FILE__, __LINE__, "1000 / 0 is %llu", 1000ull / hide(0));
}

CRASH_TEST(undefined)
{
        __builtin_trap();
}

CRASH_TEST(general_protection)
{
        test_fail(t, __FILE__, __LINE__, "read %d",
                  shared_load_u8((const void *)hide(NON_CANONICAL)));
}

/* A page fault that finds no stack:
 * the stack pointer leads nowhere, but into no guard page either. */
CRASH_TEST(double_fault)
{
        arch_fault_without_stack();
}

CRASH_TEST(fail)
{
        EXPECT_EQ(hide(2) + 2, 5);
}

CRASH_TEST(hang)
{
        arch_interrupts_enable();
        for (;;)
                arch_pause();
}

CRASH_TEST(hang_cli)
{
        arch_interrupts_disable();
        for (;;)
                arch_pause();
}

CRASH_TEST(triple_fault)
{
        arch_triple_fault();
}

CRASH_TEST(exit_silent)
{
        arch_exit(SELFTEST_EXIT_PASS);
}
