/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* scripted_machine — the machine under drivers that are built for the host: what a test says it is.
 *
 *   scripted_machine_reset();
 *   scripted_machine_place(&(struct scripted_registers){.pa = ..., .bytes = ..., .read = ...});
 *   virtio_mmio_open(&virtio, &place);            // maps them; each access is a call from here on
 *   scripted_machine_raise(24);                   // as the device would pull its line
 *
 * It offers the functions of the kernel and of arch that the drivers use: mapping
 * registers, interrupt lines and messages, the clock (which only sleeping moves), the log
 * (kept). An access outside a mapped range, of the wrong width or misaligned, fails the
 * test that runs: it is a bug of the driver.
 *
 * Context   one thread, one test at a time */
#ifndef TESTS_HOST_MACHINE_SCRIPTED_MACHINE_H
#define TESTS_HOST_MACHINE_SCRIPTED_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/acpi.h"

#define SCRIPTED_PLACES_MAX 8
#define SCRIPTED_MAPPINGS_MAX 128
#define SCRIPTED_LOG_BYTES 4096
#define SCRIPTED_CPUS 4

/* Registers of a device in physical memory. */
struct scripted_registers {
        uint64_t pa;
        uint64_t bytes;
        uint32_t (*read)(void *context, uint64_t offset, uint8_t bytes);
        void (*write)(void *context, uint64_t offset, uint8_t bytes, uint32_t value);
        void *context;
};

/* What happened, and what the machine is to do. */
struct scripted_machine {
        char log[SCRIPTED_LOG_BYTES]; /* lines, each with its newline */
        uint64_t clock_ns;
        uint32_t bad_accesses; /* the driver touched what is not its */
        uint32_t lines_open, messages_open, masks;
        uint32_t messages_left;  /* of MSI; then ZX_ERR_NO_RESOURCES */
        bool lines_refused;      /* no I/O APIC has any line */
        bool mapping_refused;    /* ZX_ERR_NO_MEMORY */
        bool aiming_refused;     /* messages reach the boot CPU only */
        void (*on_sleep)(void);  /* what other CPUs do while this one waits; NULL: nothing */
        struct acpi_info acpi;
};
extern struct scripted_machine scripted_machine;

/* Nothing is anywhere; nothing has happened. Forgets lines and
 * messages that are still connected. */
void scripted_machine_reset(void);
void scripted_machine_place(const struct scripted_registers *registers);
/* Interrupts once on that GSI; false: nobody has connected it, or it is masked. */
bool scripted_machine_raise(uint32_t gsi);
/* Interrupts by a message, as a device that writes it would; false:
 * no such message was given out. */
bool scripted_machine_signal(uint64_t address, uint32_t data);

#endif
