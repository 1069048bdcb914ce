/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/buffer_chain_boot: what the console word `bufferchain` says, after work of
 * which every page is known. (That the command line's reserve arrives:
 * tests/boot/message_test.c, tests/harness.) */
#include "tests/expect.h"

#include <stdio.h>
#include <string.h>

#include "kernel/buffer_chain.h"
#include "kernel/buffer_chain_boot.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/time.h"

#define LIMIT_NS (10 * NS_PER_SECOND)
#define PAGES_MAX 3u /* of one message here */

static struct page_cache *const cache = &kernel_buffer_chain_cache;
static char said[512], expected[512];

static void keep_line(struct log_sink *sink, const char *line, size_t bytes)
{
        strncat(said, line, bytes < sizeof(said) - strlen(said) ? bytes : 0);
}

/* What has to be said now, of numbers that the test has kept itself. */
struct books {
        struct page_cache_counters counters;
        uint64_t stock, buffers;
};

static void expect_said(struct test *t, const struct books *books)
{
        struct log_sink sink = {.write = keep_line}, *console = log_replace_sinks(&sink);
        const struct page_cache_counters *counters = &books->counters;

        said[0] = '\0';
        buffer_chain_boot_print();
        log_replace_sinks(console);
        snprintf(expected, sizeof(expected),
                 "# bufferchain: reserve %u pages a CPU, %llu in stock, %llu pages are buffers\n"
                 "# bufferchain: pages hit %llu, missed %llu, refilled %llu, returned %llu, "
                 "freed %llu, drained %llu\n",
                 cache->reserve_pages, (unsigned long long)books->stock,
                 (unsigned long long)books->buffers, (unsigned long long)counters->hit,
                 (unsigned long long)counters->missed, (unsigned long long)counters->refilled,
                 (unsigned long long)counters->returned, (unsigned long long)counters->freed,
                 (unsigned long long)counters->drained);
        EXPECT_STR_EQ(said, expected);
        /* In stock is what came in and did not go out [C2]. */
        EXPECT_EQ(counters->refilled + counters->returned - counters->hit - counters->drained,
                  books->stock);
}

TEST(buffer_chain_boot, what_the_console_word_says)
{
        uint64_t deadline_ns = time_deadline_after(LIMIT_NS), reserve = cache->reserve_pages;
        struct buffer_chain *large, *small;
        struct books books;

        if (reserve < 2 * PAGES_MAX)
                SKIP("the reserve is too small for these messages");
        (void)buffer_chain_boot_drain(deadline_ns);
        books = (struct books){page_cache_counters(cache), 0,
                               pmm_count_state(&kernel_pmm, VM_PAGE_IPC)};
        expect_said(t, &books);

        /* From an empty stock: all of its pages come from the pmm, and the stock is filled up. */
        REQUIRE_OK(buffer_chain_alloc(cache, 2 * BUFFER_CHAIN_RAW_DATA_BYTES, &large));
        books.counters.missed += PAGES_MAX;
        books.counters.refilled += reserve;
        books.stock = reserve;
        books.buffers += 1; /* the others are reserved only */
        expect_said(t, &books);
        REQUIRE_OK(buffer_chain_alloc(cache, 1, &small));
        books.counters.hit += 1;
        books.stock -= 1;
        books.buffers += 1;
        expect_said(t, &books);

        /* Back: there is room for one of the three. */
        buffer_chain_free(large);
        books.counters.returned += 1;
        books.counters.freed += PAGES_MAX - 1;
        books.stock += 1;
        books.buffers -= 1;
        expect_said(t, &books);
        buffer_chain_free(small);
        books.counters.freed += 1;
        books.buffers -= 1;
        expect_said(t, &books);
        EXPECT_EQ(buffer_chain_boot_drain(deadline_ns), reserve);
        books.counters.drained += reserve;
        books.stock = 0;
        expect_said(t, &books);
}
