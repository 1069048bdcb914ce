/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* See scripted_machine.h. */
#include "tests/host/machine/scripted_machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/io.h"
#include "base/assert.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/time.h"

#define LINES_MAX 64
#define MESSAGES_MAX 64
#define MESSAGE_ADDRESS 0xfee00000u
#define MESSAGE_CPU_SHIFT 12
#define MAPPED_BASE 0x10000000u /* what drivers get is no pointer: nothing but a call may use it */

struct scripted_machine scripted_machine;

static struct {
        struct scripted_registers places[SCRIPTED_PLACES_MAX];
        uint32_t place_count;
        struct {
                uintptr_t va;
                uint64_t pa, bytes;
        } mappings[SCRIPTED_MAPPINGS_MAX];
        uint32_t mapping_count;
        uintptr_t next_va;
        struct {
                arch_irq_handler handler;
                void *context;
                bool masked;
        } lines[LINES_MAX], messages[MESSAGES_MAX];
} machine;

void scripted_machine_reset(void)
{
        memset(&machine, 0, sizeof(machine));
        machine.next_va = MAPPED_BASE;
        scripted_machine = (struct scripted_machine){.messages_left = MESSAGES_MAX};
}

void scripted_machine_place(const struct scripted_registers *registers)
{
        ASSERT(machine.place_count < SCRIPTED_PLACES_MAX);
        machine.places[machine.place_count++] = *registers;
}

/* ---- registers ---- */

zx_status_t memory_map_physical(uint64_t pa, uint64_t bytes, enum memory_map_kind kind,
                                void **va_out)
{
        ASSERT(kind == MEMORY_MAP_DEVICE);
        if (bytes == 0 || bytes > UINT64_MAX - pa)
                return ZX_ERR_INVALID_ARGS;
        if (scripted_machine.mapping_refused || machine.mapping_count == SCRIPTED_MAPPINGS_MAX)
                return ZX_ERR_NO_MEMORY;
        machine.mappings[machine.mapping_count].va = machine.next_va + pa % PAGE_BYTES;
        machine.mappings[machine.mapping_count].pa = pa;
        machine.mappings[machine.mapping_count].bytes = bytes;
        *va_out = (void *)machine.mappings[machine.mapping_count++].va;
        machine.next_va += (bytes / PAGE_BYTES + 2) * PAGE_BYTES;
        return ZX_OK;
}

/* The physical address behind a mapped one; false: the driver may not touch that. */
static bool find_pa(uintptr_t va, uint8_t bytes, uint64_t *pa)
{
        if (va % bytes != 0)
                return false;
        for (uint32_t i = 0; i < machine.mapping_count; i++) {
                uint64_t offset = va - machine.mappings[i].va;
                if (va >= machine.mappings[i].va && offset < machine.mappings[i].bytes &&
                    bytes <= machine.mappings[i].bytes - offset) {
                        *pa = machine.mappings[i].pa + offset;
                        return true;
                }
        }
        return false;
}

static const struct scripted_registers *find_place(uint64_t pa, uint8_t bytes)
{
        for (uint32_t i = 0; i < machine.place_count; i++) {
                const struct scripted_registers *place = &machine.places[i];
                if (pa >= place->pa && pa - place->pa < place->bytes &&
                    bytes <= place->bytes - (pa - place->pa))
                        return place;
        }
        return NULL;
}

uint32_t scripted_io_read(const volatile void *address, uint8_t bytes)
{
        uint64_t pa;
        if (!find_pa((uintptr_t)address, bytes, &pa)) {
                scripted_machine.bad_accesses++;
                return UINT32_MAX;
        }
        const struct scripted_registers *place = find_place(pa, bytes);
        if (place == NULL) /* nobody answers */
                return UINT32_MAX;
        return place->read(place->context, pa - place->pa, bytes);
}

void scripted_io_write(volatile void *address, uint32_t value, uint8_t bytes)
{
        uint64_t pa;
        if (!find_pa((uintptr_t)address, bytes, &pa)) {
                scripted_machine.bad_accesses++;
                return;
        }
        const struct scripted_registers *place = find_place(pa, bytes);
        if (place != NULL)
                place->write(place->context, pa - place->pa, bytes, value);
}

/* ---- interrupts ---- */

bool arch_interrupts_disable(void)
{
        return true;
}

void arch_interrupts_restore(bool enabled)
{
        ASSERT(enabled);
}

zx_status_t arch_irq_connect_gsi(uint32_t gsi, bool level, bool active_low, const char *name,
                                 arch_irq_handler handler, void *context)
{
        ASSERT(name != NULL && handler != NULL);
        (void)level;
        (void)active_low;
        if (scripted_machine.lines_refused || gsi >= LINES_MAX)
                return ZX_ERR_NOT_FOUND;
        if (machine.lines[gsi].handler != NULL)
                return ZX_ERR_ALREADY_BOUND;
        machine.lines[gsi].handler = handler;
        machine.lines[gsi].context = context;
        machine.lines[gsi].masked = false;
        scripted_machine.lines_open++;
        return ZX_OK;
}

void arch_irq_mask_gsi(uint32_t gsi)
{
        ASSERT(gsi < LINES_MAX && machine.lines[gsi].handler != NULL);
        machine.lines[gsi].masked = true;
        scripted_machine.masks++;
}

void arch_irq_disconnect_gsi(uint32_t gsi)
{
        ASSERT(gsi < LINES_MAX && machine.lines[gsi].handler != NULL);
        machine.lines[gsi].handler = NULL;
        scripted_machine.lines_open--;
}

bool scripted_machine_raise(uint32_t gsi)
{
        if (gsi >= LINES_MAX || machine.lines[gsi].handler == NULL || machine.lines[gsi].masked)
                return false;
        machine.lines[gsi].handler(machine.lines[gsi].context);
        return true;
}

zx_status_t arch_irq_allocate_msi(const char *name, arch_irq_handler handler, void *context,
                                  struct arch_msi_message *message)
{
        uint32_t i = 0;
        ASSERT(name != NULL && handler != NULL);
        while (i < MESSAGES_MAX && machine.messages[i].handler != NULL)
                i++;
        if (i == MESSAGES_MAX || scripted_machine.messages_left == 0)
                return ZX_ERR_NO_RESOURCES;
        scripted_machine.messages_left--;
        scripted_machine.messages_open++;
        machine.messages[i].handler = handler;
        machine.messages[i].context = context;
        *message = (struct arch_msi_message){.address = MESSAGE_ADDRESS, .data = i};
        return ZX_OK;
}

void arch_irq_free_msi(const struct arch_msi_message *message)
{
        ASSERT(message->data < MESSAGES_MAX && machine.messages[message->data].handler != NULL);
        machine.messages[message->data].handler = NULL;
        scripted_machine.messages_open--;
        scripted_machine.messages_left++;
}

zx_status_t arch_irq_aim_msi(struct arch_msi_message *message, uint32_t cpu)
{
        ASSERT(cpu < SCRIPTED_CPUS);
        if (scripted_machine.aiming_refused)
                return ZX_ERR_NOT_SUPPORTED;
        message->address = MESSAGE_ADDRESS | cpu << MESSAGE_CPU_SHIFT;
        return ZX_OK;
}

bool scripted_machine_signal(uint64_t address, uint32_t data)
{
        if (address >> 20 != MESSAGE_ADDRESS >> 20 || data >= MESSAGES_MAX ||
            machine.messages[data].handler == NULL)
                return false;
        machine.messages[data].handler(machine.messages[data].context);
        return true;
}

/* ---- the rest of the kernel ---- */

uint32_t cpu_count(void)
{
        return SCRIPTED_CPUS;
}

const struct acpi_info *acpi_info(void)
{
        return &scripted_machine.acpi;
}

uint64_t time_ns(void)
{
        return scripted_machine.clock_ns;
}

uint64_t time_deadline_after(uint64_t duration_ns)
{
        return scripted_machine.clock_ns + duration_ns;
}

void time_sleep(uint64_t duration_ns)
{
        scripted_machine.clock_ns += duration_ns;
        if (scripted_machine.on_sleep != NULL)
                scripted_machine.on_sleep();
}

void log_line(const char *format, ...)
{
        size_t used = strlen(scripted_machine.log);
        va_list arguments;
        if (used + sizeof("\n") >= sizeof(scripted_machine.log))
                return; /* full: what comes is not kept */
        va_start(arguments, format);
        vsnprintf(scripted_machine.log + used, sizeof(scripted_machine.log) - used - 1, format,
                  arguments);
        va_end(arguments);
        strcat(scripted_machine.log, "\n");
}
