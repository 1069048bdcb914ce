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
 *
 * Who serves. A message interrupts the boot CPU. What it means for the connection is done there
 * and then: a channel is OFFERED, or REVOKED, whatever the CPU is doing. Telling the driver
 * blocks, and whoever uses the device shall not lose it in the midst of a call, so that is
 * vmbus_serve() as work of the boot CPU (kernel/cpu.h): before the next self-test, in
 * netdev_wait() and other waits, and in cpu_serve(). A test or a console word that computes
 * without waiting finds its channel closed at once, but new devices are brought up, and the host
 * gets the old channel's id back, when it has ended or waits.
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
