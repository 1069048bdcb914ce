/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_transfer_bench — what a transfer costs both sides together: a chain of 8 bytes there
 * and 8 back between two processes on one CPU, with event index, both asleep as often as they can
 * be. One iteration is one chain; the time is the CPU time of both processes, kernel included. The
 * yardstick sends the same bytes through a pipe, there and back, without a second process. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/virtqueue_bench.h"
#include "tests/host/virtqueue_transfer.h"

static struct transfer transfer;
static cpu_set_t every_cpu;

/* Both processes to one CPU, the last that we may use. */
static void pin(pid_t pid)
{
        cpu_set_t one;
        int cpu = CPU_SETSIZE - 1;
        while (cpu > 0 && !CPU_ISSET(cpu, &every_cpu))
                cpu--;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        bench_require(sched_setaffinity(pid, sizeof(one), &one) == 0, "sched_setaffinity");
}

static void stop(void)
{
        kill(transfer.device_pid, SIGKILL);
}

static void run(void *context, uint64_t iterations)
{
        (void)context;
        if (transfer.device_pid == 0) {
                sched_getaffinity(0, sizeof(every_cpu), &every_cpu);
                const char *wrong = transfer_open(&transfer, false, true);
                bench_require(wrong == NULL, "transfer_open");
                atexit(stop);
                pin(transfer.device_pid);
        }
        pin(0);
        const char *wrong = transfer_run(&transfer, iterations);
        if (wrong != NULL)
                bench_fail(wrong);
        sched_setaffinity(0, sizeof(every_cpu), &every_cpu);
}

static uint64_t device_ns(void)
{
        clockid_t clock;
        struct timespec now;
        if (transfer.device_pid == 0)
                return 0;
        bench_require(clock_getcpuclockid(transfer.device_pid, &clock) == 0 &&
                              clock_gettime(clock, &now) == 0,
                      "the device's clock");
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void through_a_pipe(void *context, uint64_t iterations)
{
        static int ends[2];
        uint64_t number = 0;
        (void)context;
        if (ends[1] == 0)
                bench_require(pipe(ends) == 0, "pipe");
        for (uint64_t i = 0; i < 2 * iterations; i++)
                bench_require(write(ends[1], &number, sizeof(number)) == sizeof(number) &&
                                      read(ends[0], &number, sizeof(number)) == sizeof(number),
                              "the pipe");
}

void virtqueue_transfer_bench_register(void)
{
        static const struct bench bench = {.name = "virtqueue.transfer.event_idx",
                                           .unit = "transfer",
                                           .run = run,
                                           .yardstick = through_a_pipe,
                                           .yardstick_name = "a pipe",
                                           .other_ns = device_ns};
        bench_register(&bench);
}
