/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* memory_pressure — see memory_pressure.h. */
#include "kernel/memory_pressure.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/buffer_chain_boot.h"
#include "kernel/cmdline.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "kernel/memory.h"

#define LOW_FRACTION 32u
#define WARNING_MIB_DEFAULT 300u
#define MIB_PAGES (MIB / PAGE_BYTES)

static uint64_t warning_mib;
CMDLINE_UINT(warning_mib, "kernel.oom.warning-mb", 0, UINT64_MAX / MIB,
             "less free memory than this is short: stocks of pages are given back; "
             "0: a 32nd, at most 300");

static uint64_t low_pages, high_pages;
static struct cpu_work drains[CPU_COUNT_MAX];
static _Atomic uint64_t drained_pages;
/* Written by signals only, which come one at a time. */
static atomic_bool is_low;
static _Atomic uint64_t signal_count;

static void drain(UNUSED void *context)
{
        atomic_fetch_add(&drained_pages,
                         page_cache_drain(&kernel_buffer_chain_cache, cpu_current()));
}

static void signal(void *context);

/* What is to be signalled next when so many pages are free. */
static struct pmm_signal_config next_signal(uint64_t free_pages)
{
        bool low = free_pages < low_pages;

        atomic_store(&is_low, low);
        return (struct pmm_signal_config){.lower_pages = low ? 0 : low_pages,
                                          .upper_pages = low ? high_pages : UINT64_MAX,
                                          .signal = signal};
}

/* Under the pmm's lock. */
static void signal(UNUSED void *context)
{
        struct pmm_signal_config next = next_signal(pmm_count_free_pages(&kernel_pmm));
        bool armed = pmm_set_next_free_memory_signal(&kernel_pmm, &next);

        ASSERT(armed);
        atomic_fetch_add(&signal_count, 1);
        for (uint32_t cpu = 0; cpu < cpu_count() && atomic_load(&is_low); cpu++) {
                uint32_t state = cpu_work_state(&drains[cpu]);
                /* One that waits will drain. One that runs, too, or has: then its CPU, which has
                 * done nothing since, has no stock. */
                if (state != CPU_WORK_QUEUED && state != CPU_WORK_RUNNING)
                        cpu_work_post(&drains[cpu], cpu);
        }
}

void memory_pressure_boot(void)
{
        uint64_t wanted = warning_mib * MIB_PAGES, total = kernel_pmm.total_pages;
        struct pmm_signal_config first;

        if (warning_mib == 0)
                wanted = min_u64(total / LOW_FRACTION, WARNING_MIB_DEFAULT * MIB_PAGES);
        low_pages = min_u64(wanted, total / 2);
        high_pages = low_pages + min_u64(low_pages, (total - low_pages) / 4);
        for (uint32_t cpu = 0; cpu < cpu_count(); cpu++)
                cpu_work_init(&drains[cpu], drain, NULL);
        first = next_signal(pmm_count_free_pages(&kernel_pmm)); /* nobody else allocates yet */
        bool armed = pmm_set_free_memory_signal(&kernel_pmm, &first);
        ASSERT(armed);
}

struct memory_pressure memory_pressure(void)
{
        return (struct memory_pressure){low_pages, high_pages, atomic_load(&is_low),
                                        atomic_load(&signal_count), atomic_load(&drained_pages)};
}

void memory_pressure_print(void)
{
        log_line("pmm: memory is %s; low below %llu KiB, enough above %llu KiB; %llu signals, "
                 "%llu pages given back from stocks",
                 atomic_load(&is_low) ? "low" : "enough",
                 (unsigned long long)(low_pages * PAGE_BYTES / KIB),
                 (unsigned long long)(high_pages * PAGE_BYTES / KIB),
                 (unsigned long long)atomic_load(&signal_count),
                 (unsigned long long)atomic_load(&drained_pages));
}
