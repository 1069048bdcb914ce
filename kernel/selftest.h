/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* selftest — runs the linker table of tests and speaks KTAP on the console.
 *
 *   KTAP version 1          printed by kernel_main, so that every log
 *                           line is a diagnostic inside KTAP
 *   1..2                    one line a suite
 *     KTAP version 1
 *     # Subtest: pmm
 *     1..3
 *     ok 1 first_test
 *     # kernel/pmm_test.c:10: expected a == b, got 1 (0x1) and 2 (0x2)
 *     not ok 2 second_test
 *     ok 3 third_test # SKIP why
 *   not ok 1 pmm
 *   ok 2 buffer_chain
 *   # verdict: FAIL 1 of 5 tests failed, 1 skipped
 *
 * Facts: Documentation/dev-tools/ktap.rst of Linux. Context: boot CPU, thread. */
#ifndef KERNEL_SELFTEST_H
#define KERNEL_SELFTEST_H

#include <stdbool.h>
#include <stdint.h>

struct test_case;

/* Runs every test that the command line's test=GLOB selects (all by default; "list" only lists
 * them). Returns the exit code for arch_exit; kernel/exit_code.h. Prints all but the verdict. */
uint8_t selftest_run(void);
/* The last line. */
void selftest_print_verdict(void);
/* "suite.name" of the test that runs now, NULL outside of tests. For panic. */
const char *selftest_current(void);
/* For a test that runs another one: its body, in a test of its own whose pages go back at once;
 * under the time limit of the outer one. Returns whether it passed, or was skipped. */
bool selftest_run_within(const struct test_case *test_case);

#endif
