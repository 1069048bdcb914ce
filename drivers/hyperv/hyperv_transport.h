/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* hyperv_transport — VMBus over the hypervisor that it was made for: hypercalls out, the synthetic
 * interrupt controller in, the reference clock.
 *
 *   post    HvPostMessage through an input page a CPU         signal  HvSignalEvent in registers
 *   SINT 2 -> hyperv_interrupt(): message slot 2 (empty it, then EOM if another one waits), event
 *             flags of area 2, all of the CPU that runs it
 *
 * CPUID, MSRs and the hypercall instruction are reached through an ops struct, so all of this runs
 * on the host against a model of those registers. It has run on such a model only, never on
 * Hyper-V. Isolated guests (VBS, SNP, TDX) are refused: their pages would have to be shared first.
 *
 * Owner       the caller: the struct; pages come from the pmm and go back in close
 * Context     open, close, start, stop: thread on the boot CPU. hyperv_interrupt: interrupts off,
 *             on each CPU for itself, so that a CPU's pages have one reader and need no lock
 * Facts       spec/vmbus.md, (g) */
#ifndef DRIVERS_HYPERV_HYPERV_TRANSPORT_H
#define DRIVERS_HYPERV_HYPERV_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "drivers/hyperv/hyperv_registers.h"
#include "drivers/hyperv/vmbus_transport.h"
#include "kernel/pmm.h"

#define HYPERV_CPUS_MAX 64

/* The instructions. MSRs are those of the CPU that calls. */
struct hyperv_ops {
        void (*cpuid)(uint32_t leaf, uint32_t registers[HYPERV_REGISTER_COUNT]);
        uint64_t (*read_msr)(uint32_t msr);
        void (*write_msr)(uint32_t msr, uint64_t value);
        /* Calls the first byte of the hypercall page: RCX, RDX, R8 in, RAX out. */
        uint64_t (*hypercall)(const void *page, uint64_t control, uint64_t input, uint64_t output);
        uint64_t (*ticks)(void); /* time stamp counter, not before earlier loads */
        /* Where a page of RAM can be executed; NULL: no memory for tables. */
        const void *(*map_code)(uint64_t pa);
        /* Runs function(context) on every CPU at once and waits for them. */
        zx_status_t (*on_every_cpu)(void (*function)(void *context), void *context);
};

struct hyperv_features {
        uint32_t eax, ebx; /* of HYPERV_LEAF_FEATURES */
};

/* Whether this is a hypervisor that carries VMBus. Without one it costs one CPUID.
 *   hypervisor  CPUID 1 said that there is any: nothing is asked without
 *   returns     ZX_OK; ZX_ERR_NOT_FOUND: another hypervisor, or none; ZX_ERR_NOT_SUPPORTED: the
 *               interface is there without what VMBus needs;
 *               ZX_ERR_ACCESS_DENIED: an isolated guest */
zx_status_t MUST_CHECK hyperv_detect(const struct hyperv_ops *ops, bool hypervisor,
                                     struct hyperv_features *features);

struct hyperv_cpu {
        struct vm_page *pages[3]; /* messages, events, input of hypercalls */
        struct hyperv_message_page *messages;
        struct hyperv_event_page *events;
        uint8_t *input;
        uint64_t input_pa;
        uint32_t vp_index;
        uint64_t message_count, event_count, ignored_count; /* for the console */
};

struct hyperv_transport {
        struct vmbus_transport transport; /* first */
        const struct hyperv_ops *ops;
        const struct vmbus_platform *platform;
        struct pmm *pmm;
        struct hyperv_features features;
        uint8_t vector; /* of SINT 2, on every CPU */
        uint32_t cpu_count;
        bool running, slow_signals, broken;
        struct vmbus_upcalls upcalls;
        struct vm_page *hypercall_page, *tsc_page;
        const void *hypercall_code;
        const struct hyperv_tsc_page *tsc;
        struct hyperv_cpu cpus[HYPERV_CPUS_MAX];
};

struct hyperv_config {
        const struct hyperv_ops *ops;
        const struct vmbus_platform *platform;
        struct pmm *pmm;
        struct hyperv_features features; /* from hyperv_detect */
        uint8_t vector; /* whose handler calls hyperv_interrupt and then ends the interrupt */
};

/* Announces the guest, enables hypercalls and the clock page; starts nothing else.
 *   returns  ZX_OK; ZX_ERR_NO_MEMORY; ZX_ERR_NOT_SUPPORTED: the hypervisor does not enable
 *            hypercalls, or there are more CPUs than HYPERV_CPUS_MAX; all is undone then */
zx_status_t MUST_CHECK hyperv_transport_open(struct hyperv_transport *hyperv,
                                             const struct hyperv_config *config);
/* Undoes it; stopped. */
void hyperv_transport_close(struct hyperv_transport *hyperv);

void hyperv_interrupt(struct hyperv_transport *hyperv);

/* The reference clock in units of 100 ns: from the page when it is valid, else from the MSR. */
uint64_t hyperv_reference_time(const struct hyperv_transport *hyperv);

#endif
