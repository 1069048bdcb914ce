/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* hyperv — the kernel's one VMBus connection: which transport there is, the memory of the client,
 * and the console word `vmbus`.
 *
 *   Hyper-V, by CPUID --.
 *   shared pages, PCI --+--> vmbus_connect() --> drivers of vmbus_driver_table
 *
 * A machine with neither pays one look at a CPUID bit and at the list of PCI devices, and no
 * memory.
 * Context     boot CPU, thread */
#ifndef DRIVERS_HYPERV_HYPERV_H
#define DRIVERS_HYPERV_HYPERV_H

#include "drivers/hyperv/vmbus.h"

/* The connection; NULL: there is none. */
struct vmbus *hyperv_vmbus(void);

/* The kernel's clock, CPU numbers and interrupt flag, for transports. */
extern const struct vmbus_platform hyperv_platform;

/* Prints a connection as `cmd=vmbus` does. */
void hyperv_print(const struct vmbus *vmbus);

#endif
