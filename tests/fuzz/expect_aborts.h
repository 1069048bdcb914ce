/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* expect_aborts — tests/expect.h for a fuzz target that stands on a test's bed or rig: whatever the
 * bed expects and does not get is a finding. */
#ifndef TESTS_FUZZ_EXPECT_ABORTS_H
#define TESTS_FUZZ_EXPECT_ABORTS_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/expect.h"

bool expect_failed_(struct test *t, const char *file, unsigned line, const char *text)
{
        (void)t;
        fprintf(stderr, "%s:%u: %s\n", file, line, text);
        abort();
}

bool expect_relation_failed_(struct test *t, const char *file, unsigned line, const char *text,
                             long long left, long long right)
{
        fprintf(stderr, "%lld, %lld\n", left, right);
        return expect_failed_(t, file, line, text);
}

bool expect_status_failed_(struct test *t, const char *file, unsigned line, const char *text,
                           zx_status_t expected, zx_status_t got)
{
        return expect_relation_failed_(t, file, line, text, expected, got);
}

#endif
