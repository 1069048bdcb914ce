/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* driver — the table of drivers; kernel/main.c names none of them.
 *
 * A driver is one entry of a linker table. start() looks for its hardware and returns ZX_OK
 * when it drives it, ZX_ERR_NOT_FOUND when there is none (not an error), anything else when
 * there was and it failed (that is logged with the name). Phases run in order; within a
 * phase the order is not defined. */
#ifndef KERNEL_DRIVER_H
#define KERNEL_DRIVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

enum driver_phase {
        DRIVER_PHASE_CONSOLE = 1, /* before everything: no memory, no interrupts, no clock */
        DRIVER_PHASE_BUS = 2,     /* memory, clock and interrupts are there */
        DRIVER_PHASE_DEVICE = 3,  /* buses are enumerated */
};

struct driver {
        const char *name;
        uint32_t phase; /* enum driver_phase */
        uint32_t reserved;
        zx_status_t (*start)(void);
        void (*stop)(void); /* may be NULL; quiets the hardware before the machine is left */
};

#define DRIVER(variable_, name_, phase_, start_, stop_)                        \
        LINKER_TABLE_ENTRY(driver_table)                                       \
        static const struct driver variable_ = {                               \
                .name = (name_), .phase = (phase_), .start = (start_), .stop = (stop_)}

void driver_start_phase(enum driver_phase phase);
/* Stops, in reverse order, every driver that started. */
void driver_stop_all(void);

#endif
