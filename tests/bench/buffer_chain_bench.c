/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* buffer_chain_bench — the life of one message: alloc, append, copy out, free.
 *
 * The yardstick copies the same bytes in and out of one flat buffer, which is what any store of
 * messages has to do at least. ".empty_cache" has no reserve, so that every page comes from the pmm
 * and goes back to it. */
#include "kernel/buffer_chain.h"
#include "tests/bench/bench.h"

#define ARENA_PAGES 128
#define ARENA_PA (1 * MIB)
#define MESSAGE_BYTES_MAX 65536

struct cycle_bench {
        struct page_cache *cache;
        uint64_t bytes;
};

static ALIGNED(4096) char memory[ARENA_PAGES * PAGE_BYTES];
static ALIGNED(4096) char bytes_in[MESSAGE_BYTES_MAX], bytes_out[MESSAGE_BYTES_MAX],
        flat[MESSAGE_BYTES_MAX];
static struct pmm pmm;
static struct page_cache cache, empty_cache;
static struct page_cache_entry entries[2];

static void run_cycle(void *context, uint64_t iterations)
{
        const struct cycle_bench *bench = context;
        for (uint64_t i = 0; i < iterations; i++) {
                struct buffer_chain *chain;
                zx_status_t status = buffer_chain_alloc(bench->cache, bench->bytes, &chain);
                bench_require(status == ZX_OK, "alloc");
                status = buffer_chain_append_kernel(chain, bytes_in, bench->bytes, NULL);
                bench_require(status == ZX_OK, "append");
                status = buffer_chain_copy_out_kernel(chain, bytes_out, 0, bench->bytes);
                bench_require(status == ZX_OK, "copy out");
                buffer_chain_free(chain);
                bench_keep(bytes_out);
        }
}

static void run_flat(void *context, uint64_t iterations)
{
        const struct cycle_bench *bench = context;
        for (uint64_t i = 0; i < iterations; i++) {
                memcpy(flat, bytes_in, bench->bytes);
                bench_keep(flat);
                memcpy(bytes_out, flat, bench->bytes);
                bench_keep(bytes_out);
        }
}

static struct cycle_bench cycles[] = {
        {&cache, 64}, {&cache, 4096}, {&cache, 65536}, {&empty_cache, 64}};

#define CYCLE(name_, index_)                                                              \
        {.name = "buffer_chain.cycle." name_, .unit = "message", .run = run_cycle,        \
         .yardstick = run_flat, .yardstick_name = "two copies", .context = &cycles[index_]}

static const struct bench benches[] = {CYCLE("64B", 0), CYCLE("4KiB", 1), CYCLE("64KiB", 2),
                                       CYCLE("64B.empty_cache", 3)};

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
