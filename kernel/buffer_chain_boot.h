/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* buffer_chain_boot — the kernel's one page cache for BufferChains, sized by the command line's
 * kernel.bufferchain.reserve-pages, and the console word `bufferchain`. */
#ifndef KERNEL_BUFFER_CHAIN_BOOT_H
#define KERNEL_BUFFER_CHAIN_BOOT_H

#include "kernel/page_cache.h"

/* Where every chain of this kernel gets its pages; valid after buffer_chain_boot. */
extern struct page_cache kernel_buffer_chain_cache;

/* After memory_init, cmdline_parse and cpu_start_finish; once. */
void buffer_chain_boot(void);

/* For when memory is short: every CPU gives its stock back to the pmm.
 *   returns  the number of pages. Context: as cpu_run_on_all */
uint64_t buffer_chain_boot_drain(uint64_t deadline_ns);

/* The console word `bufferchain`: reserve, stock, buffers, and what page_cache_counters says. */
void buffer_chain_boot_print(void);

#endif
