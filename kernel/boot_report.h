/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot_report — how long each step of the boot took: one line, `boot:
 * entry 0.0 ms, console 0.3 ms, ...`. */
#ifndef KERNEL_BOOT_REPORT_H
#define KERNEL_BOOT_REPORT_H

#include <stdint.h>

/* The boot began at this time stamp. */
void boot_report_begin(uint64_t tsc);
/* The step `name` (kept) has just ended. */
void boot_report_step(const char *name);
/* Prints the line; after the clock is calibrated. */
void boot_report_print(void);

#endif
