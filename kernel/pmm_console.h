/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm_console — the pmm's console words and the options of its free-page checker.
 *
 *   pmm         arenas, pages by state, how the free ones lie, failures, pressure; the memory map
 *   pmmcheck    verifies every free page now, and says what the checker has found so far
 *
 * Options     kernel.pmm-checker.enable, .fill-size, .action
 * Facts       spec/zircon-objects.md, 2.8, 2.10, 14 */
#ifndef KERNEL_PMM_CONSOLE_H
#define KERNEL_PMM_CONSOLE_H

/* Starts the checker if the command line says so. Once, when all arenas are there. Context: boot. */
void pmm_console_start_checker(void);

/* The two words. Context: thread. */
void pmm_console_print(void);
void pmm_console_check(void);

#endif
