/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* acpi — the few ACPI tables that this kernel reads: RSDP, RSDT/XSDT, MADT, FADT, HPET, MCFG, and
 * in the DSDT \_S5 and virtio-mmio devices (by pattern: there is no AML interpreter here).
 *
 * Every length and checksum is checked before a table is used; a broken table is named and skipped.
 * Facts: ACPI specification 6.5, 5.2; PCI firmware specification 3.3, 4.1.2. Context: boot CPU. */
#ifndef KERNEL_ACPI_H
#define KERNEL_ACPI_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/status.h"
#include "kernel/acpi_aml.h"

#define ACPI_CPUS_MAX 64
#define ACPI_ECAM_MAX 4

struct acpi_ecam {
        uint64_t pa; /* of bus 0's configuration space, even when first_bus > 0 */
        uint16_t segment;
        uint8_t first_bus, last_bus;
};

struct acpi_info {
        bool found;
        struct arch_irq_config irq;
        struct arch_clock_config clock;
        struct arch_exit_config exit;
        uint32_t cpu_count; /* enabled processors in the MADT; 1 without one */
        uint32_t cpu_apic_ids[ACPI_CPUS_MAX];
        uint32_t ecam_count;
        struct acpi_ecam ecam[ACPI_ECAM_MAX];
        uint32_t virtio_mmio_count;
        const struct acpi_aml_virtio_mmio *virtio_mmio;
};

/* Reads the tables. rsdp_pa 0: looks in the BIOS area (0xe0000..0xfffff). Without ACPI every field
 * keeps the PC's default and found is false. Once. */
void acpi_init(uint64_t rsdp_pa);
/* What was read; valid after acpi_init, never changes. */
const struct acpi_info *acpi_info(void);

#endif
