/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* bench — what a benchmark is: one operation, and a yardstick that a reader knows the cost of.
 *
 * A part's file, tests/bench/<part>_bench.c, offers one function, <part>_bench_register(), which
 * hands over its benchmarks; tests/bench/bench.c calls it (add the name there), measures and
 * reports. Relies on nothing of libc,
 * so that a bench file sees the part under test as its users do. */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <stdint.h>

/* Static storage, like the strings and the context in it; kept, not copied. */
struct bench {
        const char *name; /* part.what.case */
        const char *unit; /* what one iteration is: "packet", "page", ... */
        /* Does the operation `iterations` times, 1 ..;
         * called again and again on the same context. */
        void (*run)(void *context, uint64_t iterations);
        /* Does the plain thing that it is held against, as often; NULL: no ratio is reported. */
        void (*yardstick)(void *context, uint64_t iterations);
        const char *yardstick_name;
        void *context;
        /* Called before and after each `run`, but not measured; NULL: there is nothing to do. */
        void (*before)(void);
        void (*after)(void);
        /* CPU time of another process that works for `run`, in ns; NULL: there is none. */
        uint64_t (*other_ns)(void);
        /* Not 0: one run of so many iterations and no more; for what is to be seen through once. */
        uint64_t once;
};

/* Adds one benchmark; the program ends with a message when there are more than it has room for. */
void bench_register(const struct bench *bench);

/* Supplied by the bench files; a file that is not there is left out. */
void vmbus_ring_bench_register(void);
void buffer_chain_bench_register(void);
void pmm_bench_register(void);
void virtqueue_bench_register(void);
void page_cache_bench_register(void);
void vmbus_ring_threads_bench_register(void);

/* Keeps the compiler from leaving out work whose result nobody uses,
 * or from moving it out of the loop. */
static inline void bench_keep(const void *pointer)
{
        __asm__ volatile("" : : "r"(pointer) : "memory");
}

/* `bytes` bytes (whole pages), mapped twice in a row; the same for the same size each time. */
uint8_t *bench_mirror(uint64_t bytes);

/* Binds the calling thread to the second processor, or to all but that one; does
 * nothing where there is only one. */
void bench_bind_thread(int to_second);

/* Ends the program with a message; a benchmark that ran into a failure must not report. */
_Noreturn void bench_fail(const char *what);

static inline void bench_require(int held, const char *what)
{
        if (__builtin_expect(!held, 0))
                bench_fail(what);
}

#endif
