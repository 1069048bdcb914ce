/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* thread_bed — four threads that play four CPUs on one pmm, for the *_threads_hosted_test.c: their
 * numbers, what they got wrong, and their beginning at one time. */
#ifndef TESTS_HOST_THREAD_BED_H
#define TESTS_HOST_THREAD_BED_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "kernel/pmm.h"
#include "tests/expect.h"

#define THREADS 4

static struct pmm pmm;
static struct pmm_state_counts counts[THREADS];
static _Thread_local uint32_t this_cpu;
static atomic_uint wrongs; /* failures of the threads; EXPECT is for the test's own thread */
/* So that they run at the same time, and not one after the other: for bodies that wait there. */
static pthread_barrier_t all_here;

static inline uint32_t current_cpu(void)
{
        return this_cpu;
}

static inline void note(bool right)
{
        if (!right)
                atomic_fetch_add(&wrongs, 1);
}

static inline uint32_t next_random(uint64_t *state)
{
        *state = *state * 6364136223846793005ull + 1442695040888963407ull;
        return (uint32_t)(*state >> 33);
}

/* `pages` pages at 1 MiB, for THREADS CPUs. */
static inline void make_pmm(struct test *t, uint64_t pages)
{
        char *memory = world_pages(t, pages, NULL);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        pmm_set_cpus(&pmm, counts, THREADS, current_cpu);
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, pages * PAGE_BYTES));
        atomic_store(&wrongs, 0);
}

/* `body` in `count` threads, 1..THREADS, each with its number; returns when all
 * have ended, with nothing noted. */
static inline void run_threads(struct test *t, unsigned count, void *(*body)(void *))
{
        pthread_t threads[THREADS];
        REQUIRE_EQ(pthread_barrier_init(&all_here, NULL, count), 0);
        for (uintptr_t i = 0; i < count; i++)
                REQUIRE_EQ(pthread_create(&threads[i], NULL, body, (void *)i), 0);
        for (unsigned i = 0; i < count; i++)
                REQUIRE_EQ(pthread_join(threads[i], NULL), 0);
        pthread_barrier_destroy(&all_here);
        EXPECT_EQ(atomic_load(&wrongs), 0u);
}

#endif
