/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* acpi_tables — ACPI tables as bytes -> one struct of facts. Knows no CPU and no memory map: the
 * tables are reached through a callback, so that hand-made and hostile ones are tested on the host.
 *
 *   RSDP -> XSDT (or RSDT) -> MADT, HPET, MCFG, FADT -> DSDT (\_S5 and virtio-mmio devices by
 *   their byte patterns, see acpi_aml.h; AML is not interpreted)
 *
 * Every table is checked (signature, length, checksum) before a field of it is used; one that fails
 * is counted, named in `broken`, and skipped: the others still count. Everything is bounded by the
 * names below, whatever the bytes say, and nothing outside the length that was mapped is read.
 *
 * Owner    caller's struct; nothing points into the tables afterwards
 * Context  any; the cost is that of `map`
 * Facts    ACPI 6.5, 5.2 (tables), 7.4.2 (\_S5), 20.2 (AML encoding); IA-PC HPET 1.0a, 3.2.4;
 *          PCI Firmware 3.3, 4.1.2 (MCFG) */
#ifndef KERNEL_ACPI_TABLES_H
#define KERNEL_ACPI_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "kernel/acpi_aml.h"

#define ACPI_TABLES_ROOT_ENTRIES_MAX 64     /* tables named by the root table */
#define ACPI_TABLES_TABLE_BYTES_MAX (1u << 20)
#define ACPI_TABLES_CPUS_MAX 64
#define ACPI_TABLES_IOAPICS_MAX 8
#define ACPI_TABLES_OVERRIDES_MAX 16
#define ACPI_TABLES_ECAM_MAX 4
#define ACPI_TABLES_BROKEN_MAX 8

#define ACPI_TABLES_RSDP_BYTES 36 /* of revision 2; revision 0 has the first 20 */

/* Makes `bytes` bytes of physical memory readable.
 *   returns  a pointer to the byte `pa`, good for the rest of the
 *            reading; NULL: cannot be reached */
typedef const void *(*acpi_tables_map_fn)(void *context, uint64_t pa, uint64_t bytes);

/* A register as tables name it (Generic Address Structure, 5.2.3.2). */
enum acpi_tables_space { ACPI_TABLES_SPACE_MEMORY = 0, ACPI_TABLES_SPACE_PORT = 1 };
struct acpi_tables_register {
        uint64_t address; /* 0: not there */
        uint8_t space;    /* as found; only the two values above are ever stored with an address */
};

/* Why a table was not used. */
enum acpi_tables_fault {
        ACPI_TABLES_UNREACHABLE = 1, /* `map` refused its address */
        ACPI_TABLES_BAD_SIGNATURE,
        /* Shorter than its fixed part, or beyond ACPI_TABLES_TABLE_BYTES_MAX. */
        ACPI_TABLES_BAD_LENGTH,
        ACPI_TABLES_BAD_CHECKSUM,
        ACPI_TABLES_BAD_ENTRY,    /* an entry that does not fit; those before it were used */
};

struct acpi_tables {
        bool has_madt, has_fadt, has_hpet, has_mcfg, has_s5;
        bool reduced_hardware;
        uint32_t revision; /* of the RSDP */

        uint64_t lapic_pa;
        uint32_t cpu_count; /* enabled ones, also those beyond the array */
        uint32_t cpu_apic_ids[ACPI_TABLES_CPUS_MAX];
        uint32_t ioapic_count;
        struct {
                uint64_t pa;
                uint32_t gsi_base;
        } ioapics[ACPI_TABLES_IOAPICS_MAX];
        uint32_t override_count;
        struct {
                uint8_t isa_irq;
                uint32_t gsi;
                uint16_t mps_flags;
        } overrides[ACPI_TABLES_OVERRIDES_MAX];

        struct acpi_tables_register pm1a_control, pm1b_control, pm_timer, reset, sleep_control;
        uint32_t pm_timer_bits; /* 24 or 32 */
        uint8_t reset_value;
        uint8_t s5_a, s5_b; /* SLP_TYP values, 0..7; with reduced hardware s5_a is the one */

        uint64_t hpet_pa;
        uint32_t ecam_count;
        struct {
                uint64_t pa;
                uint16_t segment;
                uint8_t first_bus, last_bus;
        } ecam[ACPI_TABLES_ECAM_MAX];

        uint32_t virtio_mmio_count;
        struct acpi_aml_virtio_mmio virtio_mmio[ACPI_AML_VIRTIO_MMIO_MAX];

        uint32_t ignored_count; /* good entries that did not fit an array above, or made no sense */
        uint32_t broken_count;  /* tables with a fault, also those beyond the array */
        struct {
                /* What was expected or found; '?' for bytes that are not letters. */
                char signature[5];
                uint8_t fault;     /* enum acpi_tables_fault */
                uint64_t pa;
        } broken[ACPI_TABLES_BROKEN_MAX];
};

/* Whether `bytes` (ACPI_TABLES_RSDP_BYTES of them are there) is a root
 * pointer: signature and checksums. */
bool acpi_tables_is_rsdp(const uint8_t *bytes);

/* Reads all tables.
 *   rsdp_pa  physical address of the root pointer
 *   map      see above; called with `context`
 *   out      all of it is written, whatever is returned
 *   returns  ZX_OK: there is a good root table (tables under it may be broken: out->broken);
 *            ZX_ERR_IO_DATA_INTEGRITY: the root pointer or both root tables are broken;
 *            out holds zeros and the reasons */
zx_status_t MUST_CHECK acpi_tables_read(uint64_t rsdp_pa, acpi_tables_map_fn map, void *context,
                                        struct acpi_tables *out);

/* The name of an enum acpi_tables_fault, a static string. */
const char *acpi_tables_fault_name(unsigned fault);

#endif
