/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* buffer_chain_bench — the life of one message: alloc, append, copy out, free.
 *
 * The yardstick copies the same bytes in and out of one flat buffer, which is what any store of
 * messages has to do at least. What a copy costs depends on where its ends lie (on one processor
 * two copies of 4 KiB take 51 ns from page to page and 78 between buffers that malloc gave), so
 * both sides take one place after another, spread over a page at multiples of 16 bytes as malloc's
 * are. In "4KiB.aligned" everything begins at a page, which a chain's payload cannot.
 *
 * "64B.empty_cache" has no reserve, so that every page comes from the pmm and goes back to it.
 * "floor.4KiB.aligned" is no chain at all: the copies that 4 KiB take when they lie in two pages as
 * in a chain, 72 bytes behind the start of the first and 16 behind that of the second, each copy at
 * one go; in "floor.4KiB.aligned.pieces" those of more than 2 KiB are cut as a chain does. */
#include "kernel/buffer_chain.h"
#include "tests/bench/bench.h"

#define ARENA_PAGES 128
#define ARENA_PA (1 * MIB)
#define MESSAGE_BYTES_MAX 65536

struct cycle_bench {
        struct page_cache *cache;
        uint64_t bytes;
        uint64_t places; /* 1: everything at the start of a page; else PLACES */
};

/* 17 is odd: four places for each remainder of 64. */
#define PLACES 16u
#define PLACE_BYTES (17 * 16)

static ALIGNED(4096) char memory[ARENA_PAGES * PAGE_BYTES];
static ALIGNED(4096) char bytes_in[MESSAGE_BYTES_MAX + PAGE_BYTES],
        bytes_out[MESSAGE_BYTES_MAX + PAGE_BYTES], flat[MESSAGE_BYTES_MAX + PAGE_BYTES];
static struct pmm pmm;
static struct page_cache cache, empty_cache;
static struct page_cache_entry entries[2];

/* The i-th place in a buffer; with a different odd factor for each, no two go in step. */
static char *place(const struct cycle_bench *bench, char *buffer, uint64_t i, uint64_t factor)
{
        return buffer + (i * factor & (bench->places - 1)) * PLACE_BYTES;
}

static void run_cycle(void *context, uint64_t iterations)
{
        const struct cycle_bench *bench = context;
        for (uint64_t i = 0; i < iterations; i++) {
                const char *in = place(bench, bytes_in, i, 1);
                char *out = place(bench, bytes_out, i, 7);
                struct buffer_chain *chain;
                zx_status_t status = buffer_chain_alloc(bench->cache, bench->bytes, &chain);
                bench_require(status == ZX_OK, "alloc");
                status = buffer_chain_append_kernel(chain, in, bench->bytes, NULL);
                bench_require(status == ZX_OK, "append");
                status = buffer_chain_copy_out_kernel(chain, out, 0, bench->bytes);
                bench_require(status == ZX_OK, "copy out");
                buffer_chain_free(chain);
                bench_keep(bytes_out);
        }
}

static void run_flat(void *context, uint64_t iterations)
{
        const struct cycle_bench *bench = context;
        for (uint64_t i = 0; i < iterations; i++) {
                const char *in = place(bench, bytes_in, i, 1);
                char *out = place(bench, bytes_out, i, 7), *middle = place(bench, flat, i, 5);
                memcpy(middle, in, bench->bytes);
                bench_keep(flat);
                memcpy(out, middle, bench->bytes);
                bench_keep(bytes_out);
        }
}

/* As much of a message as lies in the first page of a chain, and where it lies in the two. */
#define FIRST_BYTES BUFFER_CHAIN_CONTIG_BYTES
#define FIRST_OFFSET (BUFFER_CHAIN_BUFFER_BYTES - BUFFER_CHAIN_CONTIG_BYTES)
#define SECOND_OFFSET (2 * BUFFER_CHAIN_BUFFER_BYTES - BUFFER_CHAIN_RAW_DATA_BYTES)

static volatile uint64_t piece_bytes[] = {MESSAGE_BYTES_MAX, 2048}; /* unknown to the compiler */

static void copy_pieces(char *to, const char *from, uint64_t bytes, uint64_t piece)
{
        for (; bytes > piece; bytes -= piece, to += piece, from += piece)
                memcpy(to, from, piece);
        memcpy(to, from, bytes);
}

static void run_floor(void *context, uint64_t iterations)
{
        uint64_t piece = *(const volatile uint64_t *)context;
        uint64_t second_bytes = 4096 - FIRST_BYTES;
        for (uint64_t i = 0; i < iterations; i++) {
                copy_pieces(flat + FIRST_OFFSET, bytes_in, FIRST_BYTES, piece);
                copy_pieces(flat + SECOND_OFFSET, bytes_in + FIRST_BYTES, second_bytes, piece);
                bench_keep(flat);
                copy_pieces(bytes_out, flat + FIRST_OFFSET, FIRST_BYTES, piece);
                copy_pieces(bytes_out + FIRST_BYTES, flat + SECOND_OFFSET, second_bytes, piece);
                bench_keep(bytes_out);
        }
}

static void run_flat_4096(void *context, uint64_t iterations)
{
        static struct cycle_bench bench = {NULL, 4096, 1};
        (void)context;
        run_flat(&bench, iterations);
}

static struct cycle_bench cycles[] = {
        {&cache, 64, PLACES},    {&cache, 4096, PLACES},      {&cache, 4096, 1},
        {&cache, 65536, PLACES}, {&empty_cache, 64, PLACES}};

#define CYCLE(name_, index_)                                                              \
        {.name = "buffer_chain.cycle." name_, .unit = "message", .run = run_cycle,        \
         .yardstick = run_flat, .yardstick_name = "two copies", .context = &cycles[index_]}

#define FLOOR(name_, index_)                                                              \
        {.name = "buffer_chain.floor." name_, .unit = "message", .run = run_floor,        \
         .yardstick = run_flat_4096, .yardstick_name = "two copies",                      \
         .context = (void *)(uintptr_t)&piece_bytes[index_]}

static const struct bench benches[] = {
        CYCLE("64B", 0),
        CYCLE("4KiB", 1),
        CYCLE("4KiB.aligned", 2),
        CYCLE("64KiB", 3),
        CYCLE("64B.empty_cache", 4),
        FLOOR("4KiB.aligned", 0),
        FLOOR("4KiB.aligned.pieces", 1)};

void buffer_chain_bench_register(void)
{
        const struct page_cache_config config = {&pmm, BUFFER_CHAIN_RESERVE_PAGES_DEFAULT, 1,
                                                 &entries[0], NULL};
        const struct page_cache_config no_reserve = {&pmm, 0, 1, &entries[1], NULL};
        bench_require(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - ARENA_PA) == ZX_OK, "pmm_init");
        bench_require(pmm_add_arena(&pmm, "bench", ARENA_PA, sizeof(memory)) == ZX_OK,
                      "pmm_add_arena");
        buffer_chain_initialize_page_cache(&cache, &config);
        buffer_chain_initialize_page_cache(&empty_cache, &no_reserve);
        for (size_t i = 0; i < ARRAY_COUNT(benches); i++)
                bench_register(&benches[i]);
}
