/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of the memory objects that need the guest (real page tables, user memory, the kernel's own
 * pools), once more for each page allocation in them, with that one refused: tests/host/refusal.h
 * says what must hold then. Those that run on the host do the same there (host-tests --refuse), and
 * aspace_short_test.c by itself: each of its calls meets 0, 1, 2 ... free pages.
 *
 * On request, and on one CPU: test=refused.* in the image with TESTS=all. */
#include "tests/expect.h"

#include <string.h>

#include "base/bytes.h"
#include "kernel/buffer_chain_boot.h"
#include "kernel/cpu.h"
#include "kernel/linker_table.h"
#include "kernel/memory.h"
#include "kernel/selftest.h"
#include "tests/host/refusal.h"

LINKER_TABLE_DECLARE(test_table, struct test_case);

#define LIMIT_MS 120000

static struct refusal_result run_refused(struct test *t, const struct test_case *test_case,
                                         uint64_t nth, bool *passed)
{
        struct refusal_result result;

        /* Else a page may come from there. */
        (void)page_cache_drain_all(&kernel_buffer_chain_cache);
        refusal_start(t, nth);
        refusal_watch(&kernel_pmm);
        *passed = selftest_run_within(test_case);
        (void)page_cache_drain_all(&kernel_buffer_chain_cache);
        refusal_stop();
        result = refusal_result();
        if (!*passed)
                test_fail(t, __FILE__, __LINE__, "%s.%s with page allocation %llu refused",
                          test_case->suite, test_case->name, (unsigned long long)nth);
        return result;
}

static void refuse_each(struct test *t, const struct test_case *test_case)
{
        struct refusal_result plain, result;
        uint64_t refused = 0;
        bool passed;

        (void)run_refused(t, test_case, 0, &passed); /* makes tables that stay */
        plain = run_refused(t, test_case, 0, &passed);
        for (uint64_t n = 1; passed && n <= plain.allocations; n++) {
                result = run_refused(t, test_case, n, &passed);
                refused += result.refused;
                if (!EXPECT_EQ(result.pages, plain.pages))
                        test_log(t, "%s.%s: page allocation %llu", test_case->suite,
                                 test_case->name, (unsigned long long)n);
        }
        test_log(t, "%s.%s: %llu of %llu allocations refused", test_case->suite, test_case->name,
                 (unsigned long long)refused, (unsigned long long)plain.allocations);
}

static void refuse_suite(struct test *t, const char *suite)
{
        unsigned found = 0;

        if (cpu_count() > 1)
                SKIP("several CPUs allocate at the same time");
        LINKER_TABLE_FOR_EACH(test_case, test_table, struct test_case)
        {
                if (strcmp(test_case->suite, suite) != 0 || (test_case->flags & TEST_ON_REQUEST))
                        continue;
                found++;
                refuse_each(t, test_case);
        }
        EXPECT_GT(found, 0);
}

#define REFUSED(suite_) \
        TEST_WITH(refused, suite_, TEST_ON_REQUEST, LIMIT_MS) { refuse_suite(t, #suite_); }

REFUSED(aspace)
REFUSED(buffer_chain_boot)
REFUSED(buffer_chain_user)
REFUSED(channel_wait)
REFUSED(memory_pressure)
REFUSED(message)
REFUSED(vmo_store_boot)
