/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* bench — measures every registered benchmark and writes build/bench/results.json.
 *
 * Usage: PROGRAM [GLOB] [--output FILE]      GLOB as for tests: "vmbus_ring.*"
 *
 * Time is the CPU time of this thread, so that other programs on the machine disturb it little. For
 * each benchmark a run length is found that takes about RUN_NS; then operation and yardstick take
 * turns, RUNS times each, so that a slow spell of the machine meets both. Of the runs, the fastest
 * and the median count; the ratio is that of the fastest ones. Runs are short and many because a
 * processor that shares its core with another one is undisturbed for moments only.
 *
 * results.json: an array of {"name", "unit", "min", "median", "yardstick", "ratio"}; times in
 * nanoseconds for one unit, yardstick and ratio null where there is none. */
#define _GNU_SOURCE
#include <fnmatch.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "tests/bench/bench.h"

#define BENCHES_MAX 128
#define MIRRORS_MAX 4
#define RUNS 401
#define RUN_NS 200000.0
#define IMPLAUSIBLE 10 /* times faster than the median */
#define ITERATIONS_MAX (UINT64_C(1) << 40)
#define OUTPUT_DEFAULT "build/bench/results.json"

/* Files that are not there are left out. */
#pragma weak vmbus_ring_bench_register
#pragma weak buffer_chain_bench_register
#pragma weak pmm_bench_register
#pragma weak virtqueue_bench_register
#pragma weak page_cache_bench_register
#pragma weak vmbus_ring_threads_bench_register

static void (*const parts[])(void) = {
        vmbus_ring_bench_register,
        buffer_chain_bench_register,
        pmm_bench_register,
        virtqueue_bench_register,
        page_cache_bench_register,
        vmbus_ring_threads_bench_register,
};

struct result {
        double min, median, yardstick; /* ns for one iteration; yardstick < 0: none */
};

static const struct bench *benches[BENCHES_MAX];
static size_t bench_count;

void bench_register(const struct bench *bench)
{
        if (bench_count == BENCHES_MAX)
                bench_fail("more than BENCHES_MAX benchmarks");
        benches[bench_count++] = bench;
}

_Noreturn void bench_fail(const char *what)
{
        fprintf(stderr, "bench: failed: %s\n", what);
        exit(1);
}

NORETURN void assert_failed(const char *file, unsigned line, const char *expression)
{
        fprintf(stderr, "bench: assertion failed: %s:%u: %s\n", file, line, expression);
        abort();
}

uint8_t *bench_mirror(uint64_t bytes)
{
        static uint8_t *maps[MIRRORS_MAX];
        static uint64_t sizes[MIRRORS_MAX];
        int place = 0;
        while (place < MIRRORS_MAX && sizes[place] != 0 && sizes[place] != bytes)
                place++;
        bench_require(place < MIRRORS_MAX, "more than MIRRORS_MAX sizes");
        if (sizes[place] == bytes)
                return maps[place];
        int file = memfd_create("ring", 0);
        bench_require(file >= 0 && ftruncate(file, (off_t)bytes) == 0, "memfd_create");
        uint8_t *map = mmap(NULL, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (uint64_t i = 0; i < 2; i++)
                bench_require(map != MAP_FAILED &&
                                      mmap(map + i * bytes, bytes, PROT_READ | PROT_WRITE,
                                           MAP_SHARED | MAP_FIXED, file, 0) != MAP_FAILED,
                              "mmap");
        close(file);
        maps[place] = map;
        sizes[place] = bytes;
        return map;
}

void bench_bind_thread(int to_second)
{
        cpu_set_t processors;
        long count = sysconf(_SC_NPROCESSORS_ONLN);
        CPU_ZERO(&processors);
        for (int processor = 0; processor < count && processor < CPU_SETSIZE; processor++)
                if ((processor == 1) == (to_second != 0))
                        CPU_SET(processor, &processors);
        (void)sched_setaffinity(0, sizeof(processors), &processors); /* fails for an empty set */
}

static double thread_ns(void)
{
        struct timespec now;
        if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0)
                bench_fail("clock_gettime");
        return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* ns for one iteration. */
static double measure(const struct bench *bench, void (*run)(void *, uint64_t),
                      uint64_t iterations)
{
        bool is_run = run == bench->run;
        uint64_t (*other_ns)(void) = is_run ? bench->other_ns : NULL;
        if (is_run && bench->before != NULL)
                bench->before();
        double start = thread_ns() + (other_ns != NULL ? (double)other_ns() : 0);
        run(bench->context, iterations);
        double end = thread_ns() + (other_ns != NULL ? (double)other_ns() : 0);
        if (is_run && bench->after != NULL)
                bench->after();
        return (end - start) / (double)iterations;
}

/* How many iterations take about RUN_NS; also warms up. */
static uint64_t calibrate(const struct bench *bench, void (*run)(void *, uint64_t))
{
        uint64_t iterations = 1;
        (void)measure(bench, run, 1); /* what is only done once is no part of a run's length */
        while (iterations < ITERATIONS_MAX) {
                double ns = measure(bench, run, iterations) * (double)iterations;
                if (ns >= RUN_NS / 2)
                        return iterations;
                iterations *= 2;
        }
        return iterations;
}

static int compare(const void *left, const void *right)
{
        double l = *(const double *)left, r = *(const double *)right;
        return (l > r) - (l < r);
}

/* The fastest of RUNS sorted runs. Where a hypervisor takes processors away and accounts for it
 * later, the CPU time of a run is now and then next to nothing: such a run says nothing. */
static double fastest(const double *runs)
{
        int first = 0;
        while (runs[first] < runs[RUNS / 2] / IMPLAUSIBLE)
                first++;
        return runs[first];
}

static struct result measure_bench(const struct bench *bench)
{
        double runs[RUNS], yardsticks[RUNS];
        if (bench->once != 0) {
                double ns = measure(bench, bench->run, bench->once);
                return (struct result){.min = ns, .median = ns, .yardstick = -1};
        }
        uint64_t iterations = calibrate(bench, bench->run);
        uint64_t yardstick_iterations =
                bench->yardstick != NULL ? calibrate(bench, bench->yardstick) : 0;
        for (int i = 0; i < RUNS; i++) {
                runs[i] = measure(bench, bench->run, iterations);
                if (bench->yardstick != NULL)
                        yardsticks[i] =
                                measure(bench, bench->yardstick, yardstick_iterations);
        }
        qsort(runs, RUNS, sizeof(runs[0]), compare);
        if (bench->yardstick != NULL)
                qsort(yardsticks, RUNS, sizeof(yardsticks[0]), compare);
        return (struct result){.min = fastest(runs),
                               .median = runs[RUNS / 2],
                               .yardstick = bench->yardstick != NULL ? fastest(yardsticks) : -1};
}

static void report(FILE *output, const struct bench *bench, const struct result *result, int first)
{
        printf("%-36s %9.2f %9.2f", bench->name, result->min, result->median);
        fprintf(output,
                "%s\n  {\"name\": \"%s\", \"unit\": \"%s\", \"min\": %.3f, \"median\": %.3f, ",
                first ? "" : ",", bench->name, bench->unit, result->min, result->median);
        if (result->yardstick > 0) {
                printf(" %9.2f %6.2f  %s\n", result->yardstick, result->min / result->yardstick,
                       bench->yardstick_name);
                fprintf(output, "\"yardstick\": %.3f, \"ratio\": %.3f}", result->yardstick,
                        result->min / result->yardstick);
        } else {
                printf("\n");
                fprintf(output, "\"yardstick\": null, \"ratio\": null}");
        }
        fflush(stdout);
}

int main(int argc, char **argv)
{
        const char *glob = "*", *path = OUTPUT_DEFAULT;
        size_t reported = 0;
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--output") == 0 && i + 1 < argc)
                        path = argv[++i];
                else
                        glob = argv[i];
        }
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
                if (parts[i] != NULL)
                        parts[i]();

        FILE *output = fopen(path, "w");
        if (output == NULL) {
                perror(path);
                return 1;
        }
        fputc('[', output);
        printf("%-36s %9s %9s %9s %6s  (ns)\n", "name", "min", "median", "yardstick", "ratio");
        for (size_t i = 0; i < bench_count; i++) {
                if (fnmatch(glob, benches[i]->name, 0) != 0)
                        continue;
                struct result result = measure_bench(benches[i]);
                report(output, benches[i], &result, reported++ == 0);
        }
        fputs("\n]\n", output);
        if (fclose(output) != 0) {
                perror(path);
                return 1;
        }
        if (reported == 0) {
                fprintf(stderr, "bench: no benchmark matches %s\n", glob);
                return 1;
        }
        return 0;
}
