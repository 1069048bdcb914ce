/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* buffer_chain_boot — see buffer_chain_boot.h. */
#include "kernel/buffer_chain_boot.h"

#include "kernel/buffer_chain.h"
#include "kernel/cmdline.h"
#include "kernel/command.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "kernel/memory.h"

/* A stock larger than this is memory that nobody else can use. */
#define RESERVE_PAGES_MAX 4096

struct page_cache kernel_buffer_chain_cache;

static uint64_t reserve_pages = BUFFER_CHAIN_RESERVE_PAGES_DEFAULT;
CMDLINE_UINT(reserve_pages, "kernel.bufferchain.reserve-pages", 0, RESERVE_PAGES_MAX,
             "pages that each CPU keeps in stock for messages");

void buffer_chain_boot(void)
{
        const struct page_cache_config config = {
                .pmm = &kernel_pmm,
                .reserve_pages = (uint32_t)reserve_pages,
                .cpu_count = cpu_count(),
                .current_cpu = kernel_pmm.current_cpu,
        };

        buffer_chain_initialize_page_cache(&kernel_buffer_chain_cache, &config);
}

static void drain_this(void *context)
{
        _Atomic uint64_t *count = context;

        *count += page_cache_drain(&kernel_buffer_chain_cache, cpu_current());
}

uint64_t buffer_chain_boot_drain(uint64_t deadline_ns)
{
        _Atomic uint64_t count = 0;

        if (cpu_run_on_all(drain_this, &count, deadline_ns) != ZX_OK)
                log_line("bufferchain: not every CPU came to give its stock back");
        return count;
}

void buffer_chain_boot_print(void)
{
        struct page_cache_counters counters = page_cache_counters(&kernel_buffer_chain_cache);
        uint64_t stock = 0;

        for (uint32_t cpu = 0; cpu < kernel_buffer_chain_cache.cpu_count; cpu++)
                stock += page_cache_available(&kernel_buffer_chain_cache, cpu);

        log_line("bufferchain: reserve %u pages a CPU, %llu in stock, %llu pages are buffers",
                 kernel_buffer_chain_cache.reserve_pages,
                 (unsigned long long)stock,
                 (unsigned long long)pmm_count_state(&kernel_pmm, VM_PAGE_IPC));
        log_line("bufferchain: pages hit %llu, missed %llu, refilled %llu, returned %llu, "
                 "freed %llu, drained %llu",
                 (unsigned long long)counters.hit, (unsigned long long)counters.missed,
                 (unsigned long long)counters.refilled, (unsigned long long)counters.returned,
                 (unsigned long long)counters.freed, (unsigned long long)counters.drained);
}
COMMAND(bufferchain_command, "bufferchain",
        "the page cache of message buffers: reserve, stock, counters", buffer_chain_boot_print);
