/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* memory — from the boot path's map to a kernel that owns its memory: the one place where
 * boot_info, arch paging and the pmm meet.
 *
 *   regions -> normalise -> carve out kernel and page 0 -> early pages -> arch_paging_build/switch
 *           -> pmm arenas -> LOADER regions become free
 *
 * Context: boot CPU. */
#ifndef KERNEL_MEMORY_H
#define KERNEL_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "kernel/pmm.h"

struct boot_info;

/* The kernel's page source; valid after memory_init. */
extern struct pmm kernel_pmm;

/* Once, at boot. Says on the console how much memory it needs when there is less, and panics. */
void memory_init(const struct boot_info *boot_info);

/* Physical memory that is RAM of a pmm arena, seen through the physical map. */
void *memory_pa_to_va(uint64_t pa);
/* The physical address behind a pointer into the physical map or into the kernel image. */
uint64_t memory_va_to_pa(const void *va);

/* One line on the console for each range of the normalised map, and one
 * for what of it is in no arena. */
void memory_print_map(void);

/* A page of RAM below 1 MiB that nobody else uses, for the code that other CPUs
 * start with; 0: there is none. */
uint64_t memory_trampoline_pa(void);

/* Page tables out of kernel_pmm, in state MMU. */
struct arch_table_source;
extern const struct arch_table_source memory_table_source;

enum memory_map_kind {
        MEMORY_MAP_DEVICE = 1, /* uncached, for registers */
        MEMORY_MAP_TABLE = 2,  /* cached, read-only, for firmware tables */
        MEMORY_MAP_CODE = 3,   /* cached, executable, not writable: code of the hypervisor's */
};
/* Maps physical memory that is not ours to allocate (registers, firmware tables). `pa` and `bytes`
 * need not be aligned. The mapping is permanent; the same range may be mapped more than once.
 *   va_out   points at the byte `pa`
 *   returns  ZX_OK; ZX_ERR_INVALID_ARGS (bytes 0, wraps, beyond the CPU's
 *            physical width); ZX_ERR_NO_MEMORY;
 *            ZX_ERR_ACCESS_DENIED: MEMORY_MAP_DEVICE, and a byte of it is RAM: whoever
 *            named that address (a firmware table, a BAR) would have us write into
 *            memory that is somebody else's */
zx_status_t MUST_CHECK memory_map_physical(uint64_t pa, uint64_t bytes, enum memory_map_kind kind,
                                           void **va_out);

#endif
