/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* test_case — what a test is: one entry of the linker table `test_table`,
 * and what a runner offers it.
 *
 * kernel/selftest.c runs the table in the guest and speaks KTAP; tests/host/runner.c
 * runs the same table on the host over cmocka. Test files include tests/expect.h, which
 * builds its vocabulary on this. */
#ifndef BASE_TEST_CASE_H
#define BASE_TEST_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct test; /* the running test; belongs to the runner */

enum test_flags {
        /* Runs only when the filter names its suite to the letter ("crash.*", not "*"). For tests
         * whose success is a panic, a hang or a failure: they prove the runner and the harness. */
        TEST_ON_REQUEST = 1,
};

struct test_case {
        const char *suite;
        const char *name;
        void (*run)(struct test *t);
        uint32_t flags;
        uint32_t limit_ms; /* hang detector; 0: the runner's default */
        uint32_t line;     /* tests of a suite run in the order in which they stand in their file */
        uint32_t reserved;
};

/* ---- what a runner supplies ---- */

/* Notes a failed assertion: the test has failed, and the text is shown with file and line. */
void test_fail(struct test *t, const char *file, unsigned line, const char *format, ...)
        PRINTF_LIKE(4, 5);
/* Says that the test cannot run here and why; the body must return right after (SKIP does).
 * `reason` is kept, not copied. */
void test_skip(struct test *t, const char *reason);
/* A line of diagnostics ("# ..."), shown whatever the result. */
void test_log(struct test *t, const char *format, ...) PRINTF_LIKE(2, 3);
bool test_has_failed(const struct test *t);

/* ---- what the world supplies ---- */

/* Contiguous zeroed pages for this test, page aligned, given back by the runner when the test ends.
 *   pa_out  (may be NULL) the address by which a device or a PMM would know them: in the guest the
 *           physical address, on the host a made-up one that differs from the pointer,
 *           so that one used for the other fails at once. va == pa + world_physmap_base()
 *           holds for all of them.
 *   returns never NULL; a world that has no pages left ends the run with a message */
void *world_pages(struct test *t, size_t page_count, uint64_t *pa_out);
uint64_t world_physmap_base(void);

/* A repeatable pseudo-random sequence, seeded from the test's name. */
uint32_t world_random(struct test *t);

#endif
