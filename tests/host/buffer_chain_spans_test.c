/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of the span iterator of kernel/buffer_chain: every range near an edge, compared with what
 * copy_out says is there. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/buffer_chain.h"

#define FREE_PAGES 20
#define FIRST BUFFER_CHAIN_CONTIG_BYTES
#define NEXT BUFFER_CHAIN_RAW_DATA_BYTES
#define LENGTH (FIRST + 2 * NEXT + 100)

static struct pmm pmm;
static struct page_cache cache;
static unsigned char *pattern, *out;
static struct buffer_chain *chain;

static void make_bed(struct test *t)
{
        static struct page_cache_entry entry;
        struct page_cache_config config = {&pmm, 0, 1, &entry, NULL};
        char *memory = world_pages(t, FREE_PAGES + 1, NULL);
        pattern = world_pages(t, 4, NULL);
        out = world_pages(t, 4, NULL);
        for (uint32_t i = 0; i < LENGTH; i++)
                pattern[i] = (unsigned char)(i * 7 + (i >> 8) * 13 + 1);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, (FREE_PAGES + 1) * PAGE_BYTES));
        buffer_chain_initialize_page_cache(&cache, &config);
        REQUIRE_OK(buffer_chain_alloc(&cache, LENGTH, &chain));
        REQUIRE_OK(buffer_chain_append_kernel(chain, pattern, LENGTH, NULL));
}

/* The spans of a range: not empty, inside one page, one behind the other, few enough, the bytes. */
static void expect_range(struct test *t, uint64_t offset, size_t bytes)
{
        struct buffer_chain_spans spans;
        struct buffer_chain_span span;
        uint64_t at = 0, count = 0;
        REQUIRE_OK(buffer_chain_spans_begin(&spans, chain, offset, bytes));
        while (buffer_chain_spans_next(&spans, &span)) {
                count++;
                REQUIRE_TRUE(span.bytes > 0);
                REQUIRE_TRUE(span.bytes <= bytes - at);
                EXPECT_EQ(span.pa / PAGE_BYTES, (span.pa + span.bytes - 1) / PAGE_BYTES);
                EXPECT_PTR_EQ(span.va, pmm_pa_to_va(&pmm, span.pa));
                EXPECT_BYTES_EQ(span.va, pattern + offset + at, span.bytes);
                at += span.bytes;
        }
        EXPECT_EQ(at, bytes);
        EXPECT_LE(count, buffer_chain_spans_max(bytes));
        EXPECT_FALSE(buffer_chain_spans_next(&spans, &span)); /* over is over */
}

TEST(buffer_chain_spans, every_range_near_an_edge)
{
        static const uint64_t edges[] = {0, FIRST, FIRST + NEXT, FIRST + 2 * NEXT, LENGTH};
        make_bed(t);
        for (size_t i = 0; i < ARRAY_COUNT(edges); i++) {
                for (size_t k = i; k < ARRAY_COUNT(edges); k++) {
                        for (int from = -2; from <= 2; from++) {
                                for (int to = -2; to <= 2; to++) {
                                        int64_t start = (int64_t)edges[i] + from;
                                        int64_t end = (int64_t)edges[k] + to;
                                        if (start >= 0 && end >= start && end <= LENGTH)
                                                expect_range(t, (uint64_t)start,
                                                             (size_t)(end - start));
                                }
                        }
                }
        }
        buffer_chain_free(chain);
}

TEST(buffer_chain_spans, past_the_length_is_out_of_range)
{
        struct buffer_chain_spans spans = {NULL, NULL, 0, 77};
        make_bed(t);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_spans_begin(&spans, chain, 0, LENGTH + 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_spans_begin(&spans, chain, LENGTH, 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_spans_begin(&spans, chain, LENGTH + 1, 0));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_spans_begin(&spans, chain, 2, SIZE_MAX));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_spans_begin(&spans, chain, UINT64_MAX, 2));
        EXPECT_EQ(spans.bytes_left, 77);
        buffer_chain_free(chain);
}

TEST(buffer_chain_spans, at_most_as_many_as_promised)
{
        EXPECT_EQ(buffer_chain_spans_max(0), 0);
        EXPECT_EQ(buffer_chain_spans_max(1), 1);
        EXPECT_EQ(buffer_chain_spans_max(2), 2); /* an edge may lie between any two bytes */
        EXPECT_EQ(buffer_chain_spans_max(NEXT + 1), 2);
        EXPECT_EQ(buffer_chain_spans_max(NEXT + 2), 3);
}

TEST(buffer_chain_spans, skipped_bytes_and_full_buffers)
{
        struct buffer_chain_spans spans;
        struct buffer_chain_span span;
        make_bed(t);
        buffer_chain_free(chain);
        REQUIRE_OK(buffer_chain_alloc(&cache, FIRST, &chain));
        buffer_chain_skip(chain, 100);
        REQUIRE_OK(buffer_chain_append_kernel(chain, pattern, FIRST - 100, NULL));
        REQUIRE_OK(buffer_chain_spans_begin(&spans, chain, 100, FIRST - 100));
        EXPECT_TRUE(buffer_chain_spans_next(&spans, &span));
        EXPECT_EQ(span.bytes, FIRST - 100);
        EXPECT_BYTES_EQ(span.va, pattern, FIRST - 100);
        /* behind a full last buffer */
        REQUIRE_OK(buffer_chain_spans_begin(&spans, chain, FIRST, 0));
        EXPECT_FALSE(buffer_chain_spans_next(&spans, &span));
        buffer_chain_free(chain);
        EXPECT_EQ(pmm_count_free_pages(&pmm), FREE_PAGES);
}
