/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* interrupts — hands what ACPI said to the CPU's interrupt and exit
 * code, and lets interrupts in. */
#ifndef KERNEL_INTERRUPTS_H
#define KERNEL_INTERRUPTS_H

/* After acpi_init; once. Panics when the machine has no local APIC:
 * nothing here runs without one. */
void interrupts_init(void);

#endif
