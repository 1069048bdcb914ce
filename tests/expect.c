/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* expect — how a failed expectation reads; the same in both worlds. */
#include "tests/expect.h"

bool expect_failed_(struct test *t, const char *file, unsigned line, const char *text)
{
        test_fail(t, file, line, "expected %s", text);
        return false;
}

bool expect_relation_failed_(struct test *t, const char *file, unsigned line, const char *text,
                             long long left, long long right)
{
        test_fail(t, file, line, "expected %s, got %lld (0x%llx) and %lld (0x%llx)", text, left,
                  (unsigned long long)left, right, (unsigned long long)right);
        return false;
}

bool expect_status_failed_(struct test *t, const char *file, unsigned line, const char *text,
                           zx_status_t expected, zx_status_t got)
{
        test_fail(t, file, line, "expected %s from %s, got %s", zx_status_name(expected), text,
                  zx_status_name(got));
        return false;
}

bool expect_pointer_failed_(struct test *t, const char *file, unsigned line, const char *text,
                            const void *left, const void *right)
{
        test_fail(t, file, line, "expected %s, got %p and %p", text, left, right);
        return false;
}

bool expect_string_eq_(struct test *t, const char *file, unsigned line, const char *text,
                       const char *left, const char *right)
{
        size_t i = 0;

        while (left[i] == right[i] && left[i] != '\0')
                i++;
        if (left[i] == right[i])
                return true;
        test_fail(t, file, line, "expected %s, got \"%s\" and \"%s\"", text, left, right);
        return false;
}

bool expect_bytes_eq_(struct test *t, const char *file, unsigned line, const char *text,
                      const struct expect_bytes *bytes)
{
        const unsigned char *left = bytes->left, *right = bytes->right;

        for (size_t i = 0; i < bytes->count; i++) {
                if (left[i] != right[i]) {
                        test_fail(t, file, line,
                                  "expected %s, byte %zu of %zu is 0x%02x and 0x%02x", text, i,
                                  bytes->count, left[i], right[i]);
                        return false;
                }
        }
        return true;
}
