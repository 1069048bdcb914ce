/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* expect — the parts of the test vocabulary that are too long for a macro; the same in both worlds. */
#include "tests/expect.h"

bool expect_bytes_eq_(struct test *t, const void *left, const void *right, size_t count,
                      const char *file, unsigned line, const char *expression)
{
        const unsigned char *l = left, *r = right;
        for (size_t i = 0; i < count; i++) {
                if (l[i] != r[i]) {
                        test_fail(t, file, line, "expected %s, byte %zu of %zu is 0x%02x and 0x%02x",
                                  expression, i, count, l[i], r[i]);
                        return false;
                }
        }
        return true;
}
