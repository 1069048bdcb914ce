/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_transfer_bench — what a transfer costs both sides together: a chain of 8 bytes there
 * and 8 back between two processes on one CPU, with event index, both asleep as often as they can
 * be. One iteration is one chain; the time is the CPU time of both processes, kernel included. The
 * yardstick sends the same bytes through a pipe, there and back, without a second process.
 *
 * "ten_million" is one run of as many, each answer looked at:
 * none is lost, and nobody sleeps for ever. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/virtqueue_bench.h"
#include "tests/host/virtqueue_transfer.h"

#define MANY 10000000u

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
        if (transfer.device_pid > 0)
                kill(transfer.device_pid, SIGKILL);
}

static void start(void)
{
        static bool known;
        if (transfer.device_pid != 0)
                return;
        sched_getaffinity(0, sizeof(every_cpu), &every_cpu);
        const char *wrong =
                transfer_open(&transfer, (struct transfer_options){.event_index = true});
        bench_require(wrong == NULL, "transfer_open");
        if (!known)
                atexit(stop);
        known = true;
        pin(transfer.device_pid);
}

static void start_anew(void)
{
        if (transfer.device_pid != 0)
                bench_require(transfer_close(&transfer) == NULL, "the device had given up");
        transfer.device_pid = 0;
        start();
}

static void expect_all(void)
{
        bench_require(transfer.next == MANY && transfer.answered == MANY &&
                              transfer.driver.taken == MANY && transfer.sleeps != 0,
                      "ten million transfers: some are missing");
        bench_require(transfer_close(&transfer) == NULL, "the device had given up");
        transfer.device_pid = 0;
}

static void run(void *context, uint64_t iterations)
{
        (void)context;
        start();
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
        static const struct bench ten_million = {.name = "virtqueue.transfer.ten_million",
                                                 .unit = "transfer",
                                                 .run = run,
                                                 .before = start_anew,
                                                 .after = expect_all,
                                                 .other_ns = device_ns,
                                                 .once = MANY};
        bench_register(&bench);
        bench_register(&ten_million);
}
