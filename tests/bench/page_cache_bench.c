/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* page_cache_bench — whether the hit path of the page cache, and a message on top of it, slow down
 * when another CPU is on them as well.
 *
 * Two threads stand for two CPUs, each bound to a processor if there are two. The other one does
 * the same work all the time while the measured one runs; the yardstick is the same operation while
 * it sleeps. A ratio near 1 says that nothing is shared on the path. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "kernel/buffer_chain.h"
#include "tests/bench/bench.h"

#define CPUS 2
#define ARENA_PAGES 256
#define ARENA_PA (1 * GIB)
#define RESERVE_PAGES 32
#define WAIT_US 20 /* asleep: the measure is the CPU time of this thread */

#define MESSAGE_BYTES 64

static ALIGNED(4096) char memory[ARENA_PAGES * PAGE_BYTES];
static struct pmm pmm;
static struct pmm_state_counts counts[CPUS];
static struct page_cache cache;
static struct page_cache_entry entries[CPUS];
static _Thread_local uint32_t this_cpu;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
/* What the other thread does, NULL: nothing;
 * and how far it has come, so that it is known to run. */
static void (*_Atomic other_work)(uint64_t iterations);
static _Atomic uint64_t other_rounds;

static uint32_t current_cpu(void)
{
        return this_cpu;
}

static void hits(uint64_t iterations)
{
        struct vm_page *page;
        for (uint64_t i = 0; i < iterations; i++) {
                bench_require(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page) == ZX_OK, "hit");
                bench_keep(page);
                page_cache_free_page(&cache, page);
        }
}

static void messages(uint64_t iterations)
{
        static ALIGNED(4096) char bytes[CPUS][PAGE_BYTES];
        char *in = bytes[this_cpu], *out = in + PAGE_BYTES / 2;
        struct buffer_chain *chain;
        for (uint64_t i = 0; i < iterations; i++) {
                bench_require(buffer_chain_alloc(&cache, MESSAGE_BYTES, &chain) == ZX_OK, "alloc");
                bench_require(buffer_chain_append_kernel(chain, in, MESSAGE_BYTES, NULL) == ZX_OK,
                              "append");
                bench_require(buffer_chain_copy_out_kernel(chain, out, 0, MESSAGE_BYTES) == ZX_OK,
                              "copy out");
                buffer_chain_free(chain);
                bench_keep(out);
        }
}

static void *other_thread(void *unused)
{
        (void)unused;
        this_cpu = 1;
        bench_bind_thread(1);
        for (;;) {
                void (*work)(uint64_t) = other_work;
                if (work != NULL) {
                        work(64);
                        other_rounds++;
                        continue;
                }
                pthread_mutex_lock(&mutex);
                while (other_work == NULL)
                        pthread_cond_wait(&changed, &mutex);
                pthread_mutex_unlock(&mutex);
        }
        return NULL;
}

static void set_other(void (*work)(uint64_t))
{
        uint64_t before = other_rounds;
        bench_bind_thread(0);
        pthread_mutex_lock(&mutex);
        other_work = work;
        pthread_cond_signal(&changed);
        pthread_mutex_unlock(&mutex);
        while (work != NULL && other_rounds == before) /* until it is at it */
                usleep(WAIT_US);
}

static void run_hits(void *context, uint64_t iterations)
{
        (void)context;
        hits(iterations);
}

static void other_hits(void)
{
        set_other(hits);
}

static void run_messages(void *context, uint64_t iterations)
{
        (void)context;
        messages(iterations);
}

static void other_messages(void)
{
        set_other(messages);
}

static void other_rests(void)
{
        set_other(NULL);
}

/* As run_..., so that bench.c can tell them apart. */
static void alone_hits(void *context, uint64_t iterations)
{
        run_hits(context, iterations);
}

static void alone_messages(void *context, uint64_t iterations)
{
        run_messages(context, iterations);
}

static const struct bench benches[] = {
        {.name = "page_cache.hit.2cpus",
         .unit = "page",
         .run = run_hits,
         .before = other_hits,
         .after = other_rests,
         .yardstick = alone_hits,
         .yardstick_name = "the same with the other CPU at rest"},
        {.name = "buffer_chain.cycle.64B.2cpus",
         .unit = "message",
         .run = run_messages,
         .before = other_messages,
         .after = other_rests,
         .yardstick = alone_messages,
         .yardstick_name = "the same with the other CPU at rest"},
};

/* Two out and one back, so that there is always room in the stock. */
static void fill_stock(void)
{
        struct vm_page *page;
        for (int i = 0; i < 2; i++)
                bench_require(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page) == ZX_OK, "fill");
        page_cache_free_page(&cache, page);
}

void page_cache_bench_register(void)
{
        const struct pmm_arena_config arena = {"bench", ARENA_PA, ARENA_PAGES * PAGE_BYTES,
                                               ARENA_PA};
        const struct page_cache_config config = {&pmm, RESERVE_PAGES, CPUS, entries, current_cpu};
        pthread_t thread;
        bench_require(pmm_structure_bytes(ARENA_PAGES) <= sizeof(memory), "memory");
        bench_require(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - ARENA_PA) == ZX_OK, "pmm_init");
        pmm_set_cpus(&pmm, counts, CPUS, current_cpu);
        bench_require(pmm_add_arena_at(&pmm, &arena) == ZX_OK, "arena");
        bench_require(page_cache_init(&cache, &config) == ZX_OK, "page_cache_init");
        this_cpu = 1;
        fill_stock();
        this_cpu = 0;
        fill_stock();
        bench_require(pthread_create(&thread, NULL, other_thread, NULL) == 0, "thread");
        for (size_t i = 0; i < ARRAY_COUNT(benches); i++)
                bench_register(&benches[i]);
}
