/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* selftest — the guest's back end of tests/expect.h; see selftest.h. */
#include "kernel/selftest.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "base/test_case.h"
#include "kernel/cmdline.h"
#include "kernel/cpu.h"
#include "kernel/exit_code.h"
#include "kernel/glob.h"
#include "kernel/linker_table.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/panic.h"
#include "kernel/time.h"
#include "kernel/watchdog.h"

#define SELFTESTS_MAX 1024
#define SELFTEST_LIMIT_MS 10000
#define SELFTEST_NAME_BYTES 128

LINKER_TABLE_DECLARE(test_table, struct test_case);

struct test {
        const struct test_case *test_case;
        unsigned failures;
        const char *skip_reason;
        uint64_t random_state;
        struct list_node pages; /* given back when the test ends */
};

static char filter[128];
CMDLINE_STRING(filter, "test",
               "which self-tests run: a pattern such as pmm.* over suite.name; or list, none");

/* The selected tests: suites in table order, the tests of a suite by line. */
static const struct test_case *selected[SELFTESTS_MAX];
static size_t selected_count;
static struct {
        unsigned passed, failed, skipped;
} tally;
static char current_name[SELFTEST_NAME_BYTES];
static char verdict[SELFTEST_NAME_BYTES + 64] = "FAIL the self-tests did not run";

/* ---- what base/test_case.h asks of a runner ---- */

void test_fail(struct test *t, const char *file, unsigned line, const char *format, ...)
{
        char text[LOG_LINE_BYTES - 16];
        va_list arguments;

        t->failures++;
        va_start(arguments, format);
        vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        log_raw("  # %s:%u: %s", file, line, text);
}

void test_skip(struct test *t, const char *reason)
{
        t->skip_reason = reason;
}

void test_log(struct test *t, const char *format, ...)
{
        char text[LOG_LINE_BYTES - 16];
        va_list arguments;

        (void)t;
        va_start(arguments, format);
        vsnprintf(text, sizeof(text), format, arguments);
        va_end(arguments);
        log_raw("  # %s", text);
}

bool test_has_failed(const struct test *t)
{
        return t->failures != 0;
}

void *world_pages(struct test *t, size_t page_count, uint64_t *pa_out)
{
        uint64_t pa;
        zx_status_t status = pmm_alloc_contiguous(&kernel_pmm, page_count, PMM_ALLOC_ANY,
                                                  PAGE_BYTES_LOG2, &pa, &t->pages);
        void *va;

        if (status != ZX_OK)
                panic("world_pages: %zu contiguous pages: %s", page_count, zx_status_name(status));
        va = memory_pa_to_va(pa);
        memset(va, 0, page_count * PAGE_BYTES);
        if (pa_out != NULL)
                *pa_out = pa;
        return va;
}

uint64_t world_physmap_base(void)
{
        return ARCH_PHYSMAP_BASE;
}

uint32_t world_random(struct test *t)
{
        /* splitmix64 */
        uint64_t z = (t->random_state += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return (uint32_t)((z ^ (z >> 31)) >> 32);
}

/* ---- selection ---- */

static bool is_selected(const struct test_case *test)
{
        char name[SELFTEST_NAME_BYTES];
        size_t suite_length = strlen(test->suite);

        snprintf(name, sizeof(name), "%s.%s", test->suite, test->name);
        /* By request means: the pattern spells the suite out. */
        if ((test->flags & TEST_ON_REQUEST) &&
            (strncmp(filter, test->suite, suite_length) != 0 || filter[suite_length] != '.'))
                return false;
        return filter[0] == '\0' || glob_matches(filter, name);
}

/* Whether `later` runs after `earlier`: the table's order of suites
 * is kept, lines order a suite. */
static size_t insertion_index(const struct test_case *test)
{
        size_t at = selected_count;

        for (size_t i = 0; i < selected_count; i++) {
                if (strcmp(selected[i]->suite, test->suite) != 0)
                        continue;
                at = i + 1;
                if (selected[i]->line > test->line)
                        return i;
        }
        return at;
}

static void select_tests(void)
{
        LINKER_TABLE_FOR_EACH(test, test_table, struct test_case)
        {
                size_t at;

                if (!is_selected(test))
                        continue;
                ASSERT(selected_count < SELFTESTS_MAX);
                at = insertion_index(test);
                memmove(&selected[at + 1], &selected[at],
                        (selected_count - at) * sizeof(selected[0]));
                selected[at] = test;
                selected_count++;
        }
}

/* One past the last test of the suite that starts at `first`. */
static size_t suite_end(size_t first)
{
        size_t end = first;
        while (end < selected_count && strcmp(selected[end]->suite, selected[first]->suite) == 0)
                end++;
        return end;
}

/* ---- running ---- */

/* With `t` fresh but for the test that it is. */
static void run_body(struct test *t)
{
        list_init(&t->pages);
        for (const char *c = t->test_case->name; *c != '\0'; c++)
                t->random_state = t->random_state * 31 + (unsigned char)*c;
        t->test_case->run(t);
        pmm_free(&kernel_pmm, &t->pages);
}

bool selftest_run_within(const struct test_case *test_case)
{
        struct test t = {.test_case = test_case};

        run_body(&t);
        return t.failures == 0;
}

static void run_test(const struct test_case *test_case, size_t number)
{
        struct test t = {.test_case = test_case};
        uint32_t limit_ms = test_case->limit_ms != 0 ? test_case->limit_ms : SELFTEST_LIMIT_MS;

        snprintf(current_name, sizeof(current_name), "%s.%s", test_case->suite, test_case->name);

        watchdog_arm(current_name, limit_ms);
        (void)cpu_serve(); /* what tests left behind, and devices that come and go */
        run_body(&t);
        watchdog_disarm();
        current_name[0] = '\0';

        if (t.failures != 0) {
                tally.failed++;
                log_raw("  not ok %zu %s", number, test_case->name);
        } else if (t.skip_reason != NULL) {
                tally.skipped++;
                log_raw("  ok %zu %s # SKIP %s", number, test_case->name, t.skip_reason);
        } else {
                tally.passed++;
                log_raw("  ok %zu %s", number, test_case->name);
        }
}

static void run_suite(size_t first, size_t end, size_t number)
{
        unsigned failed_before = tally.failed;

        log_raw("  KTAP version 1");
        log_raw("  # Subtest: %s", selected[first]->suite);
        log_raw("  1..%zu", end - first);
        for (size_t i = first; i < end; i++)
                run_test(selected[i], i - first + 1);
        log_raw("%sok %zu %s", tally.failed != failed_before ? "not " : "", number,
                selected[first]->suite);
}

static uint8_t list_tests(void)
{
        LINKER_TABLE_FOR_EACH(test, test_table, struct test_case)
        {
                log_line("test: %s.%s%s", test->suite, test->name,
                         test->flags & TEST_ON_REQUEST ? " (by request)" : "");
        }
        log_raw("1..0 # SKIP test=list");
        snprintf(verdict, sizeof(verdict), "PASS %zu tests listed", LINKER_TABLE_COUNT(test_table));
        return SELFTEST_EXIT_PASS;
}

static uint8_t run_none(const char *reason, bool is_failure)
{
        log_raw("1..0 # SKIP %s", reason);
        snprintf(verdict, sizeof(verdict), "%s %s", is_failure ? "FAIL" : "PASS", reason);
        return is_failure ? SELFTEST_EXIT_FAIL : SELFTEST_EXIT_PASS;
}

uint8_t selftest_run(void)
{
        size_t suite_count = 0, number = 0;
        char reason[SELFTEST_NAME_BYTES + 32];

        if (LINKER_TABLE_COUNT(test_table) == 0)
                return run_none("this image has no self-tests", false);
        if (strcmp(filter, "list") == 0)
                return list_tests();
        if (strcmp(filter, "none") == 0)
                return run_none("test=none", false);
        select_tests();
        if (selected_count == 0) {
                snprintf(reason, sizeof(reason), "no self-test matches '%s'", filter);
                return run_none(reason, true);
        }

        for (size_t first = 0; first < selected_count; first = suite_end(first))
                suite_count++;
        log_raw("1..%zu", suite_count);
        for (size_t first = 0; first < selected_count; first = suite_end(first))
                run_suite(first, suite_end(first), ++number);

        if (tally.failed != 0)
                snprintf(verdict, sizeof(verdict), "FAIL %u of %zu tests failed, %u skipped",
                         tally.failed, selected_count, tally.skipped);
        else
                snprintf(verdict, sizeof(verdict), "PASS %u tests passed, %u skipped", tally.passed,
                         tally.skipped);
        return tally.failed != 0 ? SELFTEST_EXIT_FAIL : SELFTEST_EXIT_PASS;
}

void selftest_print_verdict(void)
{
        log_line("verdict: %s", verdict);
}

const char *selftest_current(void)
{
        return current_name[0] != '\0' ? current_name : NULL;
}
