/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* acpi_aml — the little that this kernel reads out of AML without interpreting it.
 *
 * Two patterns are known, and both are written as constants by every machine monitor that writes
 * them at all: the sleep package \_S5 (acpi_tables.c), and a virtio-mmio device:
 *
 *   Device (....) { ... Name (_HID, "LNRO0005") ...
 *                   Name (_CRS, ResourceTemplate () { Memory32Fixed (..), Interrupt (..) }) }
 *
 * Why a pattern and not the slots that QEMU's microvm is known to have: the table says which slots
 * hold a device, which line each raises and how that line works, on Firecracker as well; a list of
 * addresses would have to be touched to be believed, and would be right for one machine only. What
 * computes its resources instead of writing them down is not found; the command line can name it.
 *
 * Peer      hand-made tables: nothing outside `bytes` is read, each search has a bound
 * Context   any; no state
 * Facts     ACPI 6.5, 20.2.4 (PkgLength), 20.2.5 (Name, Device), 6.4.3.4 (fixed memory), 6.4.3.6
 *           (interrupts); the id LNRO0005 as in QEMU's and Firecracker's tables */
#ifndef KERNEL_ACPI_AML_H
#define KERNEL_ACPI_AML_H

#include <stdbool.h>
#include <stdint.h>

#define ACPI_AML_VIRTIO_MMIO_MAX 32 /* microvm has 24 slots */
/* How far before its _HID a device's head is looked for. */
#define ACPI_AML_DEVICE_HEAD_BYTES_MAX 256

struct acpi_aml_virtio_mmio {
        uint64_t pa;
        uint32_t bytes;
        uint32_t gsi;
        bool level, active_low;
};

/* Decodes a PkgLength.
 *   at       in: its first byte; out: the byte behind it
 *   end      out: the byte behind the package, at most `bytes`
 *   returns  false: cut off, or a length that does not fit; *at and *end are as they were */
bool acpi_aml_length(const uint8_t *aml, uint32_t bytes, uint32_t *at, uint32_t *end);

/* Decodes one integer at *at, moves *at behind it; false: not an integer of at most 32 bits, or cut
 * off at `end`. */
bool acpi_aml_integer(const uint8_t *aml, uint32_t end, uint32_t *at, uint32_t *value);

/* Finds the virtio-mmio devices.
 *   found    room for ACPI_AML_VIRTIO_MMIO_MAX
 *   ignored  out: how many had that _HID and no fixed memory and interrupt, or no room
 *   returns  how many were found, in the order of the table */
uint32_t acpi_aml_virtio_mmio(const uint8_t *aml, uint32_t bytes,
                              struct acpi_aml_virtio_mmio *found, uint32_t *ignored);

#endif
