/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* aspace — the user half of the address space: a VMAR tree over the CPU's page tables, filled by
 * faults.
 *
 *   user address touched ──> page fault ──> vmar_fault ──> vmo page ──> arch_map ──> try again
 *
 * There is one, in the lower half of the tables that every CPU is on, so it is always active. Its
 * page tables come from the pmm when a page is entered and go back when their last entry does.
 *
 * The kernel touches user addresses only through user_copy (user_copy.h), with no lock held.
 *
 * Context     any CPU, not from interrupt handlers. The lock of the page tables is "page tables" in
 *             the lock order: right of vmo, left of slab, pmm and TLB shoot-down
 * Options     aslr.disable, aslr.entropy_bits, aslr.seed
 * Facts       spec/zircon-objects.md, 7, 14; Intel SDM 3, 4.5, 4.6 (SMAP), 4.10 (TLBs) */
#ifndef KERNEL_ASPACE_H
#define KERNEL_ASPACE_H

#include <stdint.h>

#include "kernel/vmar.h"
#include "kernel/vmar_manager.h"

/* The first 16 MiB stay unmapped for ever, so that small numbers are never addresses; and the last
 * page, so that no user address is next to the hole. */
#define ASPACE_USER_BASE 0x1000000ull
#define ASPACE_USER_END 0x00007ffffffff000ull

/* Makes the space and hooks page faults. Once, at boot; needs memory_init. */
void aspace_init(void);

/* The space, and its root region with all rights (borrowed). */
struct vmar_space *aspace_user(void);
struct vmar_handle aspace_user_root(void);
/* Managers and mappers of the user half; VMOs from aspace_vmo_pool(). */
struct vmar_home *aspace_user_home(void);
/* The kernel's pool of VMOs, over kernel_pmm. */
struct vmo_pool *aspace_vmo_pool(void);

/* Pages in state MMU that are tables of the user half now. */
uint64_t aspace_table_page_count(void);

#endif
