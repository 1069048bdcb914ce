/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/buffer_chain: every size of spec/zircon-objects.md, 4.2, every method of 4.3,
 * every rule of 4.4, and what the header promises beyond them. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/buffer_chain.h"

#define FREE_PAGES 60
#define RESERVE 20
#define MESSAGE_BYTES_MAX (65536 + 48 + 64 * 8) /* the largest channel message */
#define FIRST BUFFER_CHAIN_CONTIG_BYTES
#define NEXT BUFFER_CHAIN_RAW_DATA_BYTES

static struct pmm pmm;
static struct page_cache cache;
static unsigned char *pattern, *out; /* MESSAGE_BYTES_MAX each */
static struct buffer_chain *chain;

static void expect_cache_valid(struct test *t)
{
        EXPECT_TRUE(page_cache_valid(&cache));
}

static void make_bed(struct test *t, uint32_t reserve_pages)
{
        static struct page_cache_entry entry;
        struct page_cache_config config = {&pmm, reserve_pages, 1, &entry, NULL};
        char *memory = world_pages(t, FREE_PAGES + 1, NULL);
        pattern = world_pages(t, 17, NULL);
        out = world_pages(t, 17, NULL);
        for (uint32_t i = 0; i < MESSAGE_BYTES_MAX; i++)
                pattern[i] = (unsigned char)(i * 7 + (i >> 8) * 13 + 1);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, (FREE_PAGES + 1) * PAGE_BYTES));
        REQUIRE_EQ(pmm_count_free_pages(&pmm), FREE_PAGES);
        buffer_chain_initialize_page_cache(&cache, &config);
        ON_REFUSAL(expect_cache_valid);
}

static uint64_t in_state(enum vm_page_state state)
{
        return pmm_count_state(&pmm, state);
}

/* Every page is back in the cache or the pmm. */
static void expect_no_leak(struct test *t)
{
        EXPECT_EQ(in_state(VM_PAGE_FREE) + in_state(VM_PAGE_CACHE), FREE_PAGES);
        EXPECT_TRUE(page_cache_valid(&cache));
        EXPECT_TRUE(pmm_check_all(&pmm));
}

static void append_ok(struct test *t, size_t from, size_t bytes)
{
        size_t copied = SIZE_MAX;
        EXPECT_OK(buffer_chain_append_kernel(chain, pattern + from, bytes, &copied));
        EXPECT_EQ(copied, bytes);
        EXPECT_TRUE(buffer_chain_valid(chain));
}

/* A source that copies from `pattern` and fails after `good_bytes`. */
struct test_source {
        struct buffer_chain_source base;
        size_t at, good_bytes;
        unsigned calls;
};

static zx_status_t read_pattern(struct buffer_chain_source *base, void *destination, size_t bytes)
{
        struct test_source *source = CONTAINER_OF(base, struct test_source, base);
        source->calls++;
        if (source->at + bytes > source->good_bytes)
                return ZX_ERR_INVALID_ARGS;
        __builtin_memcpy(destination, pattern + source->at, bytes);
        source->at += bytes;
        return ZX_OK;
}

struct test_sink {
        struct buffer_chain_sink base;
        size_t at, good_bytes;
};

static zx_status_t write_out(struct buffer_chain_sink *base, const void *bytes, size_t byte_count)
{
        struct test_sink *sink = CONTAINER_OF(base, struct test_sink, base);
        if (sink->at + byte_count > sink->good_bytes)
                return ZX_ERR_ACCESS_DENIED;
        __builtin_memcpy(out + sink->at, bytes, byte_count);
        sink->at += byte_count;
        return ZX_OK;
}

/* ---- sizes ---- */

TEST(buffer_chain, pages_for_the_sizes_of_the_table)
{
        static const struct {
                uint64_t bytes, pages;
        } rows[] = {{0, 1},    {1, 1},    {4024, 1}, {4025, 2},   {4096, 2},
                    {8104, 2}, {8105, 3}, {8192, 3}, {65536, 17}, {MESSAGE_BYTES_MAX, 17}};
        make_bed(t, RESERVE);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                EXPECT_EQ(buffer_chain_pages_for(rows[i].bytes), rows[i].pages);
                REQUIRE_OK(buffer_chain_alloc(&cache, rows[i].bytes, &chain));
                EXPECT_EQ(in_state(VM_PAGE_IPC), 1);
                EXPECT_EQ(in_state(VM_PAGE_ALLOC), rows[i].pages - 1);
                EXPECT_EQ(buffer_chain_length(chain), 0);
                EXPECT_TRUE(buffer_chain_valid(chain));
                buffer_chain_free(chain);
                expect_no_leak(t);
        }
}

TEST(buffer_chain, size_that_overflows_is_out_of_range)
{
        make_bed(t, RESERVE);
        chain = NULL;
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_alloc(&cache, UINT64_MAX, &chain));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_alloc(&cache, UINT64_MAX - 56, &chain));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      buffer_chain_alloc(&cache, BUFFER_CHAIN_SIZE_MAX + 1, &chain));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, buffer_chain_alloc(&cache, BUFFER_CHAIN_SIZE_MAX, &chain));
        EXPECT_PTR_EQ(chain, NULL);
        expect_no_leak(t);
}

TEST(buffer_chain, layout_in_memory)
{
        make_bed(t, RESERVE);
        REQUIRE_OK(buffer_chain_alloc(&cache, FIRST + 1, &chain));
        struct buffer_chain_buffer *buffer = buffer_chain_first(chain);
        EXPECT_TRUE(is_aligned((uint64_t)(uintptr_t)buffer, PAGE_BYTES));
        EXPECT_PTR_EQ(chain, (char *)buffer + 16);
        EXPECT_PTR_EQ(buffer_chain_data(buffer), (char *)buffer + 72);
        EXPECT_EQ(buffer_chain_size(buffer), 4024);
        EXPECT_BYTES_EQ((char *)buffer + 8, "BUFC", 4);
        EXPECT_PTR_EQ(buffer_chain_next(buffer), NULL);
        append_ok(t, 0, FIRST + 1);
        buffer = buffer_chain_next(buffer);
        EXPECT_PTR_EQ(buffer_chain_data(buffer), (char *)buffer + 16);
        EXPECT_EQ(buffer_chain_size(buffer), 4080);
        EXPECT_EQ(*(unsigned char *)buffer_chain_data(buffer), pattern[FIRST]);
        EXPECT_PTR_EQ(buffer_chain_next(buffer), NULL);
        buffer_chain_free(chain);
        expect_no_leak(t);
}

/* ---- append and copy out ---- */

TEST(buffer_chain, bytes_come_back_for_every_size_near_an_edge)
{
        static const size_t edges[] = {0, FIRST, 4096, FIRST + NEXT, 8192, FIRST + 2 * NEXT, 65536};
        make_bed(t, RESERVE);
        for (size_t i = 0; i < ARRAY_COUNT(edges); i++) {
                for (size_t bytes = edges[i] < 2 ? 0 : edges[i] - 2; bytes <= edges[i] + 2;
                     bytes++) {
                        REQUIRE_OK(buffer_chain_alloc(&cache, bytes, &chain));
                        append_ok(t, 0, bytes);
                        EXPECT_EQ(buffer_chain_length(chain), bytes);
                        __builtin_memset(out, 0, bytes + 1);
                        EXPECT_OK(buffer_chain_copy_out_kernel(chain, out, 0, bytes));
                        EXPECT_BYTES_EQ(out, pattern, bytes);
                        EXPECT_EQ(out[bytes], 0);
                        EXPECT_EQ(in_state(VM_PAGE_ALLOC), 0);
                        buffer_chain_free(chain);
                }
        }
        expect_no_leak(t);
}

TEST(buffer_chain, pieces_and_offsets_of_every_kind)
{
        enum { ROUNDS = 60 };
        make_bed(t, RESERVE);
        for (unsigned round = 0; round < ROUNDS && !test_has_failed(t); round++) {
                size_t total = world_random_below(t, 5 * NEXT), at = 0;
                REQUIRE_OK(buffer_chain_alloc(&cache, total, &chain));
                while (at < total) {
                        size_t piece = 1 + world_random_below(t, (uint32_t)(total - at));
                        if (world_random_below(t, 2) == 0)
                                piece = min_u64(piece, 1 + world_random_below(t, 300));
                        append_ok(t, at, piece);
                        at += piece;
                }
                for (unsigned i = 0; i < 20; i++) {
                        size_t offset = world_random_below(t, (uint32_t)total + 1);
                        size_t bytes = world_random_below(t, (uint32_t)(total - offset) + 1);
                        EXPECT_OK(buffer_chain_copy_out_kernel(chain, out, offset, bytes));
                        EXPECT_BYTES_EQ(out, pattern + offset, bytes);
                }
                buffer_chain_free(chain);
        }
        expect_no_leak(t);
}

TEST(buffer_chain, exactly_full_takes_no_new_page)
{
        make_bed(t, RESERVE);
        REQUIRE_OK(buffer_chain_alloc(&cache, FIRST + NEXT, &chain));
        append_ok(t, 0, FIRST);
        EXPECT_EQ(in_state(VM_PAGE_IPC), 1);
        append_ok(t, 0, 0);
        EXPECT_EQ(in_state(VM_PAGE_IPC), 1);
        append_ok(t, FIRST, 1);
        EXPECT_EQ(in_state(VM_PAGE_IPC), 2);
        append_ok(t, FIRST + 1, NEXT - 1);
        EXPECT_OK(buffer_chain_copy_out_kernel(chain, out, 0, FIRST + NEXT));
        EXPECT_BYTES_EQ(out, pattern, FIRST + NEXT);
        buffer_chain_free(chain);
        expect_no_leak(t);
}

TEST(buffer_chain, reading_past_the_length_is_out_of_range)
{
        make_bed(t, RESERVE);
        REQUIRE_OK(buffer_chain_alloc(&cache, 2 * NEXT, &chain));
        EXPECT_OK(buffer_chain_copy_out_kernel(chain, out, 0, 0));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_copy_out_kernel(chain, out, 0, 1));
        append_ok(t, 0, FIRST + 10);
        out[0] = 0x5a;
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_copy_out_kernel(chain, out, 0, FIRST + 11));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_copy_out_kernel(chain, out, FIRST + 10, 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_copy_out_kernel(chain, out, FIRST + 11, 0));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_copy_out_kernel(chain, out, UINT64_MAX, 2));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_copy_out_kernel(chain, out, 1, SIZE_MAX));
        EXPECT_EQ(out[0], 0x5a);
        EXPECT_OK(buffer_chain_copy_out_kernel(chain, out, FIRST + 10, 0));
        EXPECT_OK(buffer_chain_copy_out_kernel(chain, out, FIRST + 9,
                                               1)); /* an offset past the first buffer */
        EXPECT_EQ(out[0], pattern[FIRST + 9]);
        buffer_chain_free(chain);
        expect_no_leak(t);
}

TEST(buffer_chain, skip_leaves_room_for_a_header)
{
        make_bed(t, RESERVE);
        REQUIRE_OK(buffer_chain_alloc(&cache, 40 + 100, &chain));
        buffer_chain_skip(chain, 40);
        EXPECT_EQ(buffer_chain_length(chain), 40);
        append_ok(t, 40, 100);
        __builtin_memcpy(buffer_chain_data(buffer_chain_first(chain)), pattern, 40);
        EXPECT_EQ(buffer_chain_length(chain), 140);
        EXPECT_OK(buffer_chain_copy_out_kernel(chain, out, 0, 140));
        EXPECT_BYTES_EQ(out, pattern, 140);
        buffer_chain_free(chain);

        REQUIRE_OK(buffer_chain_alloc(&cache, FIRST + 1, &chain)); /* all of the first buffer */
        buffer_chain_skip(chain, FIRST);
        append_ok(t, 7, 1);
        EXPECT_OK(buffer_chain_copy_out_kernel(chain, out, FIRST, 1));
        EXPECT_EQ(out[0], pattern[7]);
        buffer_chain_free(chain);
        expect_no_leak(t);
}

/* ---- what can fail ---- */

/* After a failed append: nothing can be added, everything copied can be read. */
static void expect_closed(struct test *t, uint64_t length)
{
        size_t copied = 42;
        EXPECT_EQ(buffer_chain_length(chain), length);
        EXPECT_TRUE(buffer_chain_valid(chain));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_append_kernel(chain, pattern, 1, &copied));
        EXPECT_EQ(copied, 0);
        EXPECT_OK(buffer_chain_append_kernel(chain, pattern, 0, &copied));
        EXPECT_EQ(copied, 0);
        EXPECT_OK(buffer_chain_copy_out_kernel(chain, out, 0, length));
        EXPECT_BYTES_EQ(out, pattern, length);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_copy_out_kernel(chain, out, 0, length + 1));
}

TEST(buffer_chain, more_than_reserved_is_out_of_range)
{
        size_t copied = 0;
        make_bed(t, RESERVE);
        REQUIRE_OK(buffer_chain_alloc(&cache, 5000, &chain));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      buffer_chain_append_kernel(chain, pattern, FIRST + NEXT + 1, &copied));
        EXPECT_EQ(copied, FIRST + NEXT); /* the pages are used up, not just the size asked for */
        expect_closed(t, FIRST + NEXT);
        buffer_chain_free(chain);
        expect_no_leak(t);
}

TEST(buffer_chain, source_that_fails_at_every_place)
{
        static const size_t good[] = {0,           1, FIRST - 1, FIRST, FIRST + 1, FIRST + NEXT - 1,
                                      FIRST + NEXT};
        make_bed(t, RESERVE);
        for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
                struct test_source source = {{read_pattern}, 0, good[i], 0};
                size_t copied = 42, whole = good[i] < FIRST          ? 0
                                            : good[i] < FIRST + NEXT ? FIRST
                                                                     : good[i];
                REQUIRE_OK(buffer_chain_alloc(&cache, FIRST + 2 * NEXT, &chain));
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                              buffer_chain_append(chain, &source.base, FIRST + 2 * NEXT, &copied));
                EXPECT_EQ(copied, whole); /* pieces, each one buffer */
                expect_closed(t, whole);
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                              buffer_chain_append(chain, &source.base, 1, NULL));
                buffer_chain_free_unused_buffers(chain);
                buffer_chain_free(chain);
                expect_no_leak(t);
        }
}

TEST(buffer_chain, source_is_asked_once_a_buffer)
{
        struct test_source source = {{read_pattern}, 0, SIZE_MAX / 2, 0};
        make_bed(t, RESERVE);
        REQUIRE_OK(buffer_chain_alloc(&cache, 65536, &chain));
        EXPECT_OK(buffer_chain_append(chain, &source.base, 0, NULL));
        EXPECT_EQ(source.calls, 0);
        EXPECT_OK(buffer_chain_append(chain, &source.base, 65536, NULL));
        EXPECT_EQ(source.calls, 17);
        EXPECT_OK(buffer_chain_copy_out_kernel(chain, out, 0, 65536));
        EXPECT_BYTES_EQ(out, pattern, 65536);
        buffer_chain_free(chain);
        expect_no_leak(t);
}

TEST(buffer_chain, sink_that_fails_keeps_what_was_written)
{
        struct test_sink sink = {{write_out}, 0, SIZE_MAX / 2};
        make_bed(t, RESERVE);
        REQUIRE_OK(buffer_chain_alloc(&cache, 65536, &chain));
        append_ok(t, 0, 65536);
        EXPECT_OK(buffer_chain_copy_out(chain, &sink.base, 3, 65533));
        EXPECT_BYTES_EQ(out, pattern + 3, 65533);
        __builtin_memset(out, 0, 65536);
        sink = (struct test_sink){{write_out}, 0, FIRST + NEXT};
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, buffer_chain_copy_out(chain, &sink.base, 0, 65536));
        EXPECT_BYTES_EQ(out, pattern, FIRST + NEXT);
        EXPECT_EQ(out[FIRST + NEXT], 0);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_copy_out(chain, &sink.base, 1, 65536));
        buffer_chain_free(chain);
        expect_no_leak(t);
}

TEST(buffer_chain, free_unused_buffers_gives_back_what_is_reserved)
{
        size_t copied;
        make_bed(t, RESERVE);
        REQUIRE_OK(buffer_chain_alloc(&cache, FIRST + 3 * NEXT, &chain));
        append_ok(t, 0, FIRST + 1);
        EXPECT_EQ(in_state(VM_PAGE_ALLOC), 2);
        buffer_chain_free_unused_buffers(chain);
        EXPECT_EQ(in_state(VM_PAGE_ALLOC), 0);
        buffer_chain_free_unused_buffers(chain); /* again: nothing */
        EXPECT_EQ(in_state(VM_PAGE_IPC), 2);
        append_ok(t, FIRST + 1, 10); /* there is still room in the tail */
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      buffer_chain_append_kernel(chain, pattern + FIRST + 11, NEXT, &copied));
        EXPECT_EQ(copied, NEXT - 11);
        expect_closed(t, FIRST + NEXT);
        buffer_chain_free(chain);
        expect_no_leak(t);
}

/* The n-th page refused, for every n and every fill of the stock:
 * an error, no leak, nothing changed. */
TEST(buffer_chain, no_page_is_lost_when_memory_runs_out)
{
        enum { PAGES_MAX = 17 };
        make_bed(t, RESERVE);
        for (uint64_t in_stock = 0; in_stock <= RESERVE; in_stock += 4) {
                for (uint64_t n = 0; n <= PAGES_MAX + 1; n++) {
                        struct list_node stock, taken;
                        list_init(&stock);
                        list_init(&taken);
                        page_cache_drain_all(&cache);
                        uint64_t stocked = min_u64(in_stock, n);
                        REQUIRE_OK(pmm_alloc_pages(&pmm, stocked, PMM_ALLOC_ANY, &stock));
                        page_cache_free(&cache, &stock);
                        REQUIRE_OK(pmm_alloc_pages(&pmm, FREE_PAGES - n, PMM_ALLOC_ANY, &taken));
                        for (uint64_t pages = 1; pages <= PAGES_MAX; pages++) {
                                uint64_t bytes = FIRST + (pages - 1) * NEXT;
                                zx_status_t status = TRIED(buffer_chain_alloc(&cache, bytes,
                                                                              &chain));
                                EXPECT_STATUS(pages <= n ? ZX_OK : ZX_ERR_NO_MEMORY, status);
                                if (status == ZX_OK) {
                                        append_ok(t, 0, bytes);
                                        buffer_chain_free(chain);
                                }
                        }
                        EXPECT_EQ(in_state(VM_PAGE_FREE) + in_state(VM_PAGE_CACHE), n);
                        pmm_free(&pmm, &taken);
                        expect_no_leak(t);
                }
        }
}

/* ---- free ---- */

TEST(buffer_chain, free_returns_to_the_stock_and_the_rest_to_the_pmm)
{
        make_bed(t, 4);
        REQUIRE_OK(buffer_chain_alloc(&cache, FIRST + 5 * NEXT, &chain));
        append_ok(t, 0, FIRST + 2 * NEXT);
        EXPECT_EQ(in_state(VM_PAGE_IPC), 3);
        EXPECT_EQ(in_state(VM_PAGE_CACHE), 4);
        struct buffer_chain_buffer *first = buffer_chain_first(chain);
        struct buffer_chain_buffer *second = buffer_chain_next(first);
        page_cache_drain_all(&cache);
        buffer_chain_free(chain);
        EXPECT_EQ(first->canary, 0);
        EXPECT_EQ(second->canary, 0);
        EXPECT_EQ(in_state(VM_PAGE_CACHE), 4);
        EXPECT_EQ(in_state(VM_PAGE_FREE), FREE_PAGES - 4);
        REQUIRE_OK(buffer_chain_alloc(&cache, 0, &chain)); /* the hottest page: the first buffer */
        EXPECT_PTR_EQ(buffer_chain_first(chain), first);
        buffer_chain_free(chain);
        expect_no_leak(t);
}

/* Chains of one to four full buffers meet a stock with room for none
 * of them up to room for more. */
TEST(buffer_chain, free_meets_every_room_in_the_stock)
{
        enum { STOCK = 6, PAGES_MAX = 4 };
        make_bed(t, STOCK);
        for (uint64_t pages = 1; pages <= PAGES_MAX; pages++) {
                for (uint64_t room = 0; room <= STOCK; room++) {
                        struct buffer_chain_buffer *buffers[PAGES_MAX];
                        struct list_node stock;
                        REQUIRE_OK(buffer_chain_alloc(&cache, FIRST + (pages - 1) * NEXT, &chain));
                        append_ok(t, 0, FIRST + (pages - 1) * NEXT);
                        buffers[0] = buffer_chain_first(chain);
                        for (uint64_t i = 1; i < pages; i++)
                                buffers[i] = buffer_chain_next(buffers[i - 1]);
                        page_cache_drain_all(&cache);
                        list_init(&stock);
                        REQUIRE_OK(pmm_alloc_pages(&pmm, STOCK - room, PMM_ALLOC_ANY, &stock));
                        page_cache_free(&cache, &stock);
                        buffer_chain_free(chain);
                        for (uint64_t i = 0; i < pages; i++)
                                EXPECT_EQ(buffers[i]->canary, 0);
                        EXPECT_EQ(in_state(VM_PAGE_CACHE), STOCK - room + min_u64(room, pages));
                        expect_no_leak(t);
                }
        }
}

TEST(buffer_chain, many_chains_at_once)
{
        enum { CHAINS = 12, ROUNDS = 400 };
        static struct buffer_chain *chains[CHAINS];
        static uint32_t lengths[CHAINS];
        make_bed(t, RESERVE);
        __builtin_memset(chains, 0, sizeof(chains));
        for (unsigned round = 0; round < ROUNDS && !test_has_failed(t); round++) {
                uint32_t i = world_random_below(t, CHAINS);
                if (chains[i] == NULL) {
                        lengths[i] = world_random_below(t, 4 * NEXT);
                        REQUIRE_OK(buffer_chain_alloc(&cache, lengths[i], &chain));
                        append_ok(t, i, lengths[i]);
                        chains[i] = chain;
                        continue;
                }
                EXPECT_TRUE(buffer_chain_valid(chains[i]));
                EXPECT_OK(buffer_chain_copy_out_kernel(chains[i], out, 0, lengths[i]));
                EXPECT_BYTES_EQ(out, pattern + i, lengths[i]);
                buffer_chain_free(chains[i]);
                chains[i] = NULL;
        }
        for (uint32_t i = 0; i < CHAINS; i++) {
                if (chains[i] != NULL)
                        buffer_chain_free(chains[i]);
        }
        expect_no_leak(t);
}
