/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* buffer_chain_boot — the kernel's one page cache for BufferChains, sized by the command line's
 * kernel.bufferchain.reserve-pages. */
#ifndef KERNEL_BUFFER_CHAIN_BOOT_H
#define KERNEL_BUFFER_CHAIN_BOOT_H

#include "kernel/page_cache.h"

/* Where every chain of this kernel gets its pages; valid after buffer_chain_boot. */
extern struct page_cache kernel_buffer_chain_cache;

/* After memory_init and cmdline_parse; once. */
void buffer_chain_boot(void);

#endif
