/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* memory_pressure — gives back what is only kept in stock when memory runs short.
 *
 *            free < low: every CPU drains its stock of pages
 *   enough  ------------------------------------------------>  low
 *           <------------------------------------------------
 *            free > high
 *
 * The pmm signals each of these once (and the first allocation that ever fails), under its lock and
 * on whatever CPU; the signal arms the next one and posts the drains (kernel/cpu.h). The boot CPU
 * gives its stock back when it next waits for or serves others, all others at once. While memory is
 * low, a CPU that needs pages stocks up again.
 *
 * Options  kernel.oom.warning-mb: `low`, at most half of memory; by default a 32nd, at
 *          most 300 MiB. `high` is twice that, but at most `low` and a quarter of what is above it
 * Non-goals  the levels critical and out-of-memory, debounce and hysteresis by time, reboot: nobody
 *          here could act on them. So kernel.oom.enable, .behavior, .outofmemory-mb, .critical-mb,
 *          .debounce-mb, .hysteresis-seconds and .imminent-oom-delta-mb are unknown words of the
 *          command line, and are named as such at boot
 * Facts    spec/zircon-objects.md, 2.7, 14 */
#ifndef KERNEL_MEMORY_PRESSURE_H
#define KERNEL_MEMORY_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

/* Arms the first signal. Once; after buffer_chain_boot and cpu_start_finish. */
void memory_pressure_boot(void);

struct memory_pressure {
        uint64_t low_pages, high_pages;
        bool is_low;           /* the last signal came with fewer than low_pages free */
        uint64_t signal_count;
        uint64_t drained_pages;
};
/* As of some moment of the call. Any CPU, not in interrupt handlers. */
struct memory_pressure memory_pressure(void);

/* A line on the console. */
void memory_pressure_print(void);

#endif
