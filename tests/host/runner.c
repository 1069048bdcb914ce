/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* runner — runs the linker table of tests on the host, as cmocka tests.
 *
 * Usage: PROGRAM [--list | --maybe | --refuse | --refuse-all] [GLOB]
 *   GLOB          as in the guest: "pmm.*", "*.free_*"
 *   --maybe       it is no failure when no test matches
 *   --refuse      each test once more for each page allocation in it, with that one refused;
 *                 tests/host/refusal.h. Tests that would take longer than REFUSE_SECONDS leave some
 *                 out; with --refuse-all they do not
 * cmocka's own environment variables work (CMOCKA_MESSAGE_OUTPUT=xml, CMOCKA_XML_FILE). Exit
 * status: the number of failed tests. The back end of tests/expect.h: a failed EXPECT prints and
 * marks the test; the test is failed towards cmocka when its body has returned. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <fnmatch.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/test_case.h"

/* va == pa + this. mmap gives addresses near 0x7f..., so a made-up physical address is one that no
 * program here has mapped. */
#define WORLD_SHIFT 0x0000700000000000ull
#define WORLD_PAGE_BYTES 4096ull
#define WORLD_REGIONS_MAX 64 /* world_pages calls of one test */

extern const struct test_case __start_test_table[], __stop_test_table[];

struct test {
        const struct test_case *test_case;
        unsigned failures;
        const char *skip_reason;
        uint64_t random_state;
        struct {
                void *map;
                size_t bytes;
        } regions[WORLD_REGIONS_MAX];
        size_t region_count;
};

void test_fail(struct test *t, const char *file, unsigned line, const char *format, ...)
{
        va_list arguments;
        t->failures++;
        fprintf(stderr, "# %s.%s: %s:%u: ", t->test_case->suite, t->test_case->name, file, line);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
}

void test_skip(struct test *t, const char *reason)
{
        t->skip_reason = reason;
}

void test_log(struct test *t, const char *format, ...)
{
        va_list arguments;
        fprintf(stderr, "# %s.%s: ", t->test_case->suite, t->test_case->name);
        va_start(arguments, format);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
        fputc('\n', stderr);
}

bool test_has_failed(const struct test *t)
{
        return t->failures != 0;
}

/* A guard page on both sides, so that one byte too far is a fault here and now. */
void *world_pages(struct test *t, size_t page_count, uint64_t *pa_out)
{
        size_t bytes = (page_count + 2) * WORLD_PAGE_BYTES;
        if (t->region_count == WORLD_REGIONS_MAX) {
                fprintf(stderr, "world_pages: more than %d calls in one test\n", WORLD_REGIONS_MAX);
                abort();
        }
        char *map =
                mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED || mprotect(map + WORLD_PAGE_BYTES, page_count * WORLD_PAGE_BYTES,
                                          PROT_READ | PROT_WRITE)) {
                perror("world_pages");
                abort();
        }
        t->regions[t->region_count].map = map;
        t->regions[t->region_count++].bytes = bytes;
        if (pa_out != NULL)
                *pa_out = (uint64_t)(uintptr_t)(map + WORLD_PAGE_BYTES) - world_physmap_base();
        return map + WORLD_PAGE_BYTES;
}

uint64_t world_physmap_base(void)
{
        return WORLD_SHIFT;
}

uint32_t world_random(struct test *t)
{
        /* splitmix64 */
        uint64_t z = (t->random_state += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return (uint32_t)((z ^ (z >> 31)) >> 32);
}

NORETURN void assert_failed(const char *file, unsigned line, const char *expression)
{
        fprintf(stderr, "# assertion failed: %s:%u: %s\n", file, line, expression);
        abort();
}

static void begin_test(struct test *t)
{
        for (const char *c = t->test_case->name; *c != '\0'; c++)
                t->random_state = t->random_state * 31 + (unsigned char)*c;
}

static void end_test(struct test *t)
{
        for (size_t i = 0; i < t->region_count; i++)
                munmap(t->regions[i].map, t->regions[i].bytes);
}

static void run_one(void **state)
{
        struct test t = {.test_case = *state};
        begin_test(&t);
        t.test_case->run(&t);
        end_test(&t);
        if (t.failures != 0)
                fail_msg("%u assertions failed", t.failures);
        if (t.skip_reason != NULL) {
                fprintf(stderr, "# SKIP %s\n", t.skip_reason);
                skip();
        }
}

static bool selected(const struct test_case *test_case, const char *glob)
{
        char name[256];
        snprintf(name, sizeof(name), "%s.%s", test_case->suite, test_case->name);
        if (test_case->flags & TEST_ON_REQUEST)
                return glob != NULL &&
                       strncmp(glob, test_case->suite, strlen(test_case->suite)) == 0 &&
                       fnmatch(glob, name, 0) == 0;
        return glob == NULL || fnmatch(glob, name, 0) == 0;
}

/* ---- refusals ---- */

#ifdef EXPECT_REFUSALS
#include "tests/host/refusal.h"

#define REFUSE_SECONDS 2.0
#define REFUSE_FIRST 16u /* so many of each test, whatever they take */

static double seconds(void)
{
        struct timespec now;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
        return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One run of a test with allocation `nth` refused. Returns whether it passed. */
static bool run_refused(const struct test_case *test_case, uint64_t nth,
                        struct refusal_result *result)
{
        struct test t = {.test_case = test_case};
        begin_test(&t);
        refusal_start(&t, nth);
        t.test_case->run(&t);
        refusal_stop();
        *result = refusal_result();
        end_test(&t);
        return t.failures == 0;
}

struct refuse_total {
        uint64_t tests, allocations, refused, again, failed;
};

/* All runs of one test: without a refusal, then with each. */
static void refuse_each(const struct test_case *test_case, bool all, struct refuse_total *total)
{
        struct refusal_result plain, result;
        uint64_t step = 1, refused = 0, again = 0, failed = 0;
        double start = seconds();
        if (!run_refused(test_case, 0, &plain)) {
                total->failed++;
                return;
        }
        double all_take = (seconds() - start) * (double)plain.allocations;
        if (!all && all_take > REFUSE_SECONDS)
                step = 1 + (uint64_t)(all_take / REFUSE_SECONDS);
        for (uint64_t n = 1; n <= plain.allocations; n += n < REFUSE_FIRST ? 1 : step) {
                bool passed = run_refused(test_case, n, &result);
                if (passed && result.pages != plain.pages) {
                        fprintf(stderr, "# %s.%s: %lld pages are out in the end, not %lld\n",
                                test_case->suite, test_case->name, (long long)result.pages,
                                (long long)plain.pages);
                        passed = false;
                }
                if (!passed) {
                        fprintf(stderr, "# %s.%s: with page allocation %llu of %llu refused\n",
                                test_case->suite, test_case->name, (unsigned long long)n,
                                (unsigned long long)plain.allocations);
                        failed++;
                }
                refused += result.refused;
                again += result.again;
        }
        printf("%sok %s.%s: %llu of %llu allocations refused, %llu calls made again\n",
               failed != 0 ? "not " : "", test_case->suite, test_case->name,
               (unsigned long long)refused, (unsigned long long)plain.allocations,
               (unsigned long long)again);
        total->tests++;
        total->allocations += plain.allocations;
        total->refused += refused;
        total->again += again;
        total->failed += failed != 0;
}

/* Every selected test; returns the exit status. */
static int refuse(const char *glob, bool all)
{
        struct refuse_total total = {0};
        for (const struct test_case *test = __start_test_table; test < __stop_test_table; test++)
                if (selected(test, glob))
                        refuse_each(test, all, &total);
        printf("%llu tests, %llu of %llu allocations refused, %llu calls made again, %llu failed\n",
               (unsigned long long)total.tests, (unsigned long long)total.refused,
               (unsigned long long)total.allocations, (unsigned long long)total.again,
               (unsigned long long)total.failed);
        return total.tests == 0 || total.failed != 0;
}

#else
static int refuse(const char *glob, bool all)
{
        (void)glob;
        (void)all;
        fputs("this program was built without refusals\n", stderr);
        return 1;
}
#endif

int main(int argc, char **argv)
{
        if (argc > 1 && strncmp(argv[1], "--refuse", strlen("--refuse")) == 0)
                return refuse(argc > 2 ? argv[2] : NULL, strcmp(argv[1], "--refuse-all") == 0);
        bool list = argc > 1 && strcmp(argv[1], "--list") == 0;
        bool maybe = argc > 1 && strcmp(argv[1], "--maybe") == 0;
        const char *glob = argc > 1 + list + maybe ? argv[1 + list + maybe] : NULL;
        size_t count = (size_t)(__stop_test_table - __start_test_table), chosen = 0;
        int status = list ? 0 : 1;
        struct CMUnitTest *tests = calloc(count + 1, sizeof(*tests));
        if (tests == NULL)
                return 1;
        for (size_t i = 0; i < count; i++) {
                const struct test_case *test_case = &__start_test_table[i];
                char name[256];
                if (!selected(test_case, glob))
                        continue;
                snprintf(name, sizeof(name), "%s.%s", test_case->suite, test_case->name);
                if (list) {
                        puts(name);
                        continue;
                }
                tests[chosen].name = strdup(name);
                tests[chosen].test_func = run_one;
                tests[chosen++].initial_state = (void *)(uintptr_t)test_case;
        }
        if (chosen == 0 && maybe)
                status = 0;
        else if (chosen == 0 && !list)
                fprintf(stderr, "no test matches %s\n", glob ? glob : "*");
        if (chosen != 0)
                status = _cmocka_run_group_tests("host", tests, chosen, NULL, NULL);
        for (size_t i = 0; i < chosen; i++)
                free((void *)(uintptr_t)tests[i].name);
        free(tests);
        return status;
}
