/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* ioapic — the I/O APICs: from a global system interrupt (GSI) to a redirection entry.
 *
 * For files of arch/ only. Facts: Intel 82093AA datasheet, 3.1 and 3.2. Context: boot CPU; callers
 * hold interrupts off, because an entry is reached through an index register. */
#ifndef ARCH_IOAPIC_H
#define ARCH_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

#define IOAPIC_COUNT_MAX 8

struct ioapic_route {
        uint8_t vector; /* ignored for NMI */
        bool nmi;       /* delivered as a non-maskable interrupt; edge */
        bool level, active_low;
        uint8_t apic_id; /* physical destination */
};

/* Takes the I/O APIC with these registers in, every line masked.
 *   returns ZX_OK; ZX_ERR_NOT_FOUND: nothing answers there;
 *   ZX_ERR_NO_RESOURCES: IOAPIC_COUNT_MAX are in */
zx_status_t MUST_CHECK ioapic_add(volatile void *registers, uint32_t gsi_base);
uint32_t ioapic_count(void);
uint32_t ioapic_line_count(void);

/* Routes and unmasks a line, or masks it. ZX_ERR_NOT_FOUND: no I/O APIC has that GSI. */
zx_status_t MUST_CHECK ioapic_route(uint32_t gsi, const struct ioapic_route *route);
void ioapic_mask(uint32_t gsi);

#endif
