/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* apic — interrupt vectors and who owns them; arch_irq_* of arch.h stands on this.
 *
 *   0x20-0x2f  where the 8259s would raise theirs; only spurious ones can arrive
 *   0x30-0xef  given out, to messages (MSI) and to I/O APIC lines alike
 *   0xf0-0xff  fixed: between CPUs (0xf8, 0xf9; smp.h), timer, errors, spurious
 *
 * For files of arch/ only. */
#ifndef ARCH_APIC_H
#define ARCH_APIC_H

#include <stdint.h>

#include "arch/arch.h"

#define APIC_VECTOR_PIC 0x20
#define APIC_VECTOR_FIRST 0x30
#define APIC_VECTOR_LAST 0xef
#define APIC_VECTOR_TIMER 0xfd
#define APIC_VECTOR_ERROR 0xfe
#define APIC_VECTOR_SPURIOUS 0xff

#define APIC_NO_GSI UINT32_MAX

/* Gives a fixed vector (0xf0..0xff) to `handler`. The end of
 * interrupt is written when it returns. */
void apic_claim_vector(uint8_t vector, const char *name, arch_irq_handler handler, void *context);

/* Enables the local APIC of the CPU that calls, in the boot CPU's mode and with its vectors. After
 * arch_irq_init; interrupts are off. */
void apic_init_this(void);

/* The GSI behind an ISA IRQ, and how its line works, after the firmware's overrides. */
struct apic_isa_line {
        uint32_t gsi;
        bool level, active_low;
};
struct apic_isa_line apic_isa_line(uint8_t isa_irq);

/* Whether interrupts of devices can be sent to this CPU: its APIC id has to fit eight bits. */
zx_status_t MUST_CHECK apic_destination(uint8_t *apic_id);

#endif
