/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/pmm_console: what the words say, and the free-page checker on the kernel's own
 * pages. The options are tested by tests/harness/test_memory.py. */
#include "tests/expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/pmm_console.h"
#include "kernel/pmm_fragments.h"

static char said[4096], expected[160];

static void keep_line(struct log_sink *sink, const char *line, size_t bytes)
{
        strncat(said, line, bytes < sizeof(said) - strlen(said) ? bytes : 0);
}

/* The two addresses at `at`: "0x1000..0x9e000". */
struct place {
        uint64_t pa, end;
};

static struct place place_at(const char *at)
{
        char *rest;
        uint64_t pa = strtoull(at, &rest, 0);

        return (struct place){pa, strtoull(rest + 2, NULL, 0)};
}

/* The bytes of ranges with these words behind them that are in no arena; all as it was said. */
static uint64_t bytes_in_no_arena(const char *words)
{
        static const char range[] = "# memory: range ", arena[] = "# pmm: arena ";
        uint64_t bytes = 0;

        for (const char *at = said; (at = strstr(at, range)) != NULL; at++) {
                struct place place = place_at(at + strlen(range));
                if (strncmp(strchr(at, '\n') - strlen(words), words, strlen(words)) != 0)
                        continue;
                bytes += place.end - place.pa;
                for (const char *in = said; (in = strstr(in, arena)) != NULL; in++) {
                        struct place ours = place_at(strstr(in, "0x"));
                        uint64_t from = max_u64(place.pa, ours.pa),
                                 to = min_u64(place.end, ours.end);
                        bytes -= from < to ? to - from : 0;
                }
        }
        return bytes;
}

static const char *what_it_says(void (*print)(void))
{
        struct log_sink sink = {.write = keep_line}, *console = log_replace_sinks(&sink);

        said[0] = '\0';
        print();
        log_replace_sinks(console);
        return said;
}

TEST(pmm_console, what_the_console_words_say)
{
        struct list_node none;
        const char *text;

        list_init(&none); /* a request that has to wait is counted, and no failure */
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT,
                      pmm_alloc_pages(&kernel_pmm, SIZE_MAX, PMM_ALLOC_CAN_WAIT, &none));
        text = what_it_says(pmm_console_print);
        const struct pmm_arena *arena = &kernel_pmm.arenas[0];
        const struct pmm_statistics *statistics = &kernel_pmm.statistics;
        struct pmm_fragments fragments = pmm_fragments(&kernel_pmm);

        snprintf(expected, sizeof(expected), "# pmm: arena 0 '%s' 0x%llx..0x%llx, %llu pages\n",
                 arena->name, (unsigned long long)arena->pa,
                 (unsigned long long)(arena->pa + arena->page_count * PAGE_BYTES),
                 (unsigned long long)arena->page_count);
        EXPECT_TRUE(strstr(text, expected) != NULL);
        for (unsigned state = 0; state < VM_PAGE_STATE_COUNT; state++) {
                uint64_t pages = pmm_count_state(&kernel_pmm, (enum vm_page_state)state);
                snprintf(expected, sizeof(expected), "# pmm: %-12s %llu pages\n",
                         vm_page_state_name((enum vm_page_state)state), (unsigned long long)pages);
                EXPECT_EQ(strstr(text, expected) != NULL, pages != 0);
        }
        snprintf(expected, sizeof(expected), "# pmm: %llu runs of free pages, the longest %llu, ",
                 (unsigned long long)fragments.run_count,
                 (unsigned long long)fragments.longest_pages);
        EXPECT_TRUE(strstr(text, expected) != NULL);
        snprintf(expected, sizeof(expected),
                 "# pmm: %llu allocation failures, %llu delayed, "
                 "longest contiguous search %llu groups ",
                 (unsigned long long)statistics->allocation_failures,
                 (unsigned long long)statistics->delayed_allocations,
                 (unsigned long long)statistics->groups_examined_max);
        EXPECT_TRUE(strstr(text, expected) != NULL);
        EXPECT_TRUE(strstr(text, "# pmm: memory is enough; low below ") != NULL);
        EXPECT_TRUE(strstr(text, "# pmm-checker: ") != NULL);
        EXPECT_TRUE(strstr(text, "# memory: range 0x0..0x1000 type ") != NULL);
        uint64_t in_use = bytes_in_no_arena(" type 16") + bytes_in_no_arena(" type 2");
        snprintf(expected, sizeof(expected), " are in no arena, %llu KiB of them in use\n",
                 (unsigned long long)(in_use / KIB));
        EXPECT_TRUE(strstr(text, expected) != NULL);
        snprintf(expected, sizeof(expected), "\n# memory: %llu KiB in ",
                 (unsigned long long)((in_use + bytes_in_no_arena(" type 1")) / KIB));
        EXPECT_TRUE(strstr(text, expected) != NULL);
        text = what_it_says(pmm_console_check);
        EXPECT_TRUE(strstr(text, kernel_pmm.checker.armed ? " free pages are bad now\n"
                                                          : "# pmm-checker: off\n") != NULL);
}

/* ---- the checker, asked for by tests/harness ---- */

/* Writes to a page that is free, and takes it: action=oops says so and
 * goes on, panic ends the run. */
TEST_WITH(pmm_checker_kernel, write_after_free, TEST_ON_REQUEST, 0)
{
        uint64_t failures = kernel_pmm.checker.failure_count;
        struct list_node again;
        struct vm_page *page;

        list_init(&again);
        REQUIRE_TRUE(kernel_pmm.checker.armed);
        REQUIRE_OK(pmm_alloc_page(&kernel_pmm, PMM_ALLOC_ANY, &page));
        uint8_t *bytes = pmm_page_va(&kernel_pmm, page);
        bytes[0x123] = 0x77; /* still ours: no harm */
        pmm_free_page(&kernel_pmm, page);
        EXPECT_EQ(bytes[0x123], kernel_pmm.checker.fill_bytes > 0x123 ? PMM_CHECKER_PATTERN : 0x77);
        bytes[0x7] = 0x99;
        REQUIRE_OK(pmm_alloc_range(&kernel_pmm, page->pa, 1, &again)); /* it lies at the tail */
        EXPECT_EQ(kernel_pmm.checker.failure_count, failures + 1);
        pmm_free(&kernel_pmm, &again);
}
