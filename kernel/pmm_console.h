/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm_console — the pmm's console words and the options of its free-page checker.
 *
 *   pmm         arenas, pages by state, how the free ones lie, failures, pressure; the memory map
 *   pmmcheck    verifies every free page now, and says what the checker has found so far
 *
 * Options     kernel.pmm-checker.enable, .fill-size, .action
 * Words of Zircon's `pmm`, and what is here instead. Console words run once, after boot, without
 * arguments; nobody types while the kernel runs:
 *   dump                    pmm
 *   checker status          pmm, its last line but the map; pmmcheck
 *   checker check           pmmcheck
 *   checker enable SIZE ..  the options, from the first page on
 *   free                    not here: a line a second needs somebody who looks on
 *   drop_user_pt            not here: page tables are freed as soon as they are empty
 *   dump in a panic         not here: a panic takes no locks, so it says
 *                           nothing that changes under one
 * Facts       spec/zircon-objects.md, 2.8, 2.10, 14 */
#ifndef KERNEL_PMM_CONSOLE_H
#define KERNEL_PMM_CONSOLE_H

/* Starts the checker if the command line says so. Once, when all
 * arenas are there. Context: boot. */
void pmm_console_start_checker(void);

/* The two words. Context: thread. */
void pmm_console_print(void);
void pmm_console_check(void);

#endif
