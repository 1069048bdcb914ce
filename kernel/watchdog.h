/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* watchdog — ends what does not end: a named stretch of work with a limit; when the limit passes,
 * the kernel panics at the interrupted instruction, so that the backtrace shows the loop.
 *
 *   watchdog_arm("pmm.stress", 10000);  work();  watchdog_disarm();
 *
 * One stretch at a time. Its tick (18 a second, so the limit is overrun by 55 ms at most) is an NMI
 * where the machine has the means, and then loops with interrupts off are caught too; elsewhere it
 * is the timer interrupt, and they are not. watchdog_kind() says which.
 * Context: boot CPU; arm and disarm from tasks. */
#ifndef KERNEL_WATCHDOG_H
#define KERNEL_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

/* Starts the tick; after time_init. The word watchdog=off leaves it out. */
void watchdog_init(void);

/* Arms, or replaces what was armed.
 *   name      kept, not copied, until disarmed; shown in the panic
 *   limit_ms  from now */
void watchdog_arm(const char *name, uint32_t limit_ms);
/* Nothing happens if it was not armed. */
void watchdog_disarm(void);
bool watchdog_is_armed(void);

enum watchdog_kind { WATCHDOG_OFF = 0, WATCHDOG_NMI, WATCHDOG_TIMER };
enum watchdog_kind watchdog_kind(void);
/* Ticks since watchdog_init. */
uint64_t watchdog_tick_count(void);

#endif
