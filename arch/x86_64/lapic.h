/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* lapic — this CPU's local APIC, by memory-mapped registers (xAPIC) or by MSRs (x2APIC).
 *
 * For files of arch/ only. Facts: Intel SDM 3, chapter 10 (10.4 registers, 10.12 x2APIC).
 * Context: lapic_init on the boot CPU; the others on every CPU for its own; any but NMI. */
#ifndef ARCH_LAPIC_H
#define ARCH_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

/* Offsets of the memory-mapped registers; in x2APIC mode the MSR is
 * CPU_MSR_X2APIC_FIRST + offset / 16. */
#define LAPIC_ID 0x020
#define LAPIC_VERSION 0x030
#define LAPIC_TASK_PRIORITY 0x080
#define LAPIC_END_OF_INTERRUPT 0x0b0
#define LAPIC_SPURIOUS 0x0f0
#define LAPIC_IN_SERVICE 0x100 /* eight registers of 32 vectors, 16 bytes apart */
#define LAPIC_ERROR_STATUS 0x280
#define LAPIC_COMMAND_LOW 0x300
#define LAPIC_COMMAND_HIGH 0x310
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_LVT_THERMAL 0x330
#define LAPIC_LVT_COUNTERS 0x340
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LAPIC_LVT_ERROR 0x370
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE 0x3e0
#define LAPIC_SELF 0x3f0 /* x2APIC only */

#define LAPIC_LVT_MASKED_BIT 16
/* Mode: wait for a time stamp; both mode bits clear: one-shot. */
#define LAPIC_TIMER_DEADLINE_BIT 18
#define LAPIC_TIMER_DIVIDE_BY_1 0x0b

/* Switches it on, x2APIC when the CPU has that, with every local source
 * masked but NMI (LINT1) and errors.
 *   registers         mapped uncached, NULL allowed when the CPU has x2APIC
 *   spurious_vector   low four bits set
 *   returns ZX_OK; ZX_ERR_NOT_SUPPORTED: no local APIC, or no way to reach it; nothing changed */
zx_status_t MUST_CHECK lapic_init(volatile void *registers, uint8_t spurious_vector,
                                  uint8_t error_vector);
/* The same on another CPU, in the same mode. Every CPU sees its own registers at the same address.
 *   takes_nmi  whether the machine's NMI line is for this CPU */
void lapic_init_this(uint8_t spurious_vector, uint8_t error_vector, bool takes_nmi);
bool lapic_is_ready(void);
bool lapic_is_x2apic(void);
uint32_t lapic_id(void);

uint32_t lapic_read(uint32_t offset);
void lapic_write(uint32_t offset, uint32_t value);

void lapic_end_of_interrupt(void);
/* Whether an interrupt on that vector was taken and not ended yet. */
bool lapic_in_service(uint8_t vector);
/* Error bits since the last call, which clears them. */
uint32_t lapic_take_errors(void);
/* Interrupts another CPU; what was written before is seen by whoever gets it.
 *   apic_id  physical; at most 255 when not in x2APIC mode
 *   command  a vector (fixed delivery, edge), or one of LAPIC_COMMAND_* */
void lapic_send(uint32_t apic_id, uint32_t command);
#define LAPIC_COMMAND_NMI 0x4400u
#define LAPIC_COMMAND_INIT 0x4500u
#define LAPIC_COMMAND_START_UP 0x4600u /* and the number of the page to start at; 10.6.1 */

/* Raises that vector on this CPU. */
void lapic_send_self(uint8_t vector);

#endif
