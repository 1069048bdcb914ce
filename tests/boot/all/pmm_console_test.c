/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/pmm_console: what the words say, and the free-page checker on the kernel's own
 * pages. The options are tested by tests/harness/test_memory.py. */
#include "tests/expect.h"

#include <string.h>

#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/pmm_console.h"

static char said[4096];

static void keep_line(struct log_sink *sink, const char *line, size_t bytes)
{
        strncat(said, line, bytes < sizeof(said) - strlen(said) ? bytes : 0);
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
        const char *text = what_it_says(pmm_console_print);

        EXPECT_TRUE(strstr(text, "# pmm: arena 0 '") != NULL);
        EXPECT_TRUE(strstr(text, "# pmm: free         ") != NULL);
        EXPECT_TRUE(strstr(text, " runs of free pages, the longest ") != NULL);
        EXPECT_TRUE(strstr(text, " allocation failures, 0 delayed, ") != NULL);
        EXPECT_TRUE(strstr(text, "# pmm: memory is enough; low below ") != NULL);
        EXPECT_TRUE(strstr(text, "# pmm-checker: ") != NULL);
        EXPECT_TRUE(strstr(text, "# memory: range 0x0..0x1000 type ") != NULL);
        text = what_it_says(pmm_console_check);
        EXPECT_TRUE(strstr(text, kernel_pmm.checker.armed ? " free pages are bad now\n"
                                                          : "# pmm-checker: off\n") != NULL);
}

/* ---- the checker, asked for by tests/harness ---- */

/* Writes to a page that is free, and takes it: action=oops says so and goes on, panic ends the run. */
TEST_WITH(pmm_checker_kernel, write_after_free, TEST_ON_REQUEST, 0)
{
        uint64_t failures = kernel_pmm.checker.failure_count;
        struct vm_page *page, *again;

        REQUIRE_TRUE(kernel_pmm.checker.armed);
        REQUIRE_OK(pmm_alloc_page(&kernel_pmm, PMM_ALLOC_ANY, &page));
        uint8_t *bytes = pmm_page_va(&kernel_pmm, page);
        bytes[0x123] = 0x77; /* still ours: no harm */
        pmm_free_page(&kernel_pmm, page);
        EXPECT_EQ(bytes[0x123], kernel_pmm.checker.fill_bytes > 0x123 ? PMM_CHECKER_PATTERN : 0x77);
        bytes[0x7] = 0x99;
        REQUIRE_OK(pmm_alloc_page(&kernel_pmm, PMM_ALLOC_ANY, &again));
        EXPECT_PTR_EQ(again, page);
        EXPECT_EQ(kernel_pmm.checker.failure_count, failures + 1);
        pmm_free_page(&kernel_pmm, again);
}
