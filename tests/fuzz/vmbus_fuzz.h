/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_fuzz — what the fuzz targets that stand on the VMBus client's bed need of a kernel: an
 * assertion is a finding, and so is a lock that does not come back. */
#ifndef TESTS_FUZZ_VMBUS_FUZZ_H
#define TESTS_FUZZ_VMBUS_FUZZ_H

#include "tests/fuzz/expect_aborts.h"
#include "tests/fuzz/one_thread.h"

NORETURN void assert_failed(const char *file, unsigned line, const char *expression)
{
        fprintf(stderr, "%s:%u: assertion failed: %s\n", file, line, expression);
        abort();
}

#endif
