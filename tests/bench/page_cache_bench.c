/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* page_cache_bench — whether the hit path of the page cache slows down when another CPU is on it as
 * well.
 *
 * Two threads stand for two CPUs. The other one does the same work all the time while the measured
 * one runs; the yardstick is the same operation while it sleeps. A ratio near 1 says that nothing
 * is shared on the path. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "kernel/page_cache.h"
#include "tests/bench/bench.h"

#define CPUS 2
#define ARENA_PAGES 4096
#define ARENA_PA (1 * GIB)
#define RESERVE_PAGES 32
#define WAIT_US 20 /* asleep: the measure is the CPU time of this thread */

static ALIGNED(4096) char memory[ARENA_PAGES * sizeof(struct vm_page) + 64 * KIB];
static struct pmm pmm;
static struct pmm_state_counts counts[CPUS];
static struct page_cache cache;
static struct page_cache_entry entries[CPUS];
static _Thread_local uint32_t this_cpu;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
/* What the other thread does, NULL: nothing; and how far it has come, so that it is known to run.
 * */
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

static void *other_thread(void *unused)
{
        (void)unused;
        this_cpu = 1;
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
        pthread_mutex_lock(&mutex);
        other_work = work;
        pthread_cond_signal(&changed);
        pthread_mutex_unlock(&mutex);
        while (work != NULL && other_rounds == before) /* until it is at it */
                usleep(WAIT_US);
}

static void hit_alone(void *context, uint64_t iterations)
{
        (void)context;
        hits(iterations);
}

static void hit_of_two(void *context, uint64_t iterations)
{
        (void)context;
        set_other(hits);
        hits(iterations);
        set_other(NULL);
}

static const struct bench benches[] = {
        {.name = "page_cache.hit.2cpus",
         .unit = "page",
         .run = hit_of_two,
         .yardstick = hit_alone,
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
