/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* smp — the per-CPU area that GS points at, and what the files of arch/ share about several CPUs.
 *
 * Each CPU writes its own area; others read its counters, and arch_smp_begin writes an area before
 * its CPU runs. The boot CPU's area is static, those of the others lie in a page of their own.
 * For files of arch/ only, assembler sources included (they see the numbers).
 * Facts: Intel SDM 3, 8.4 (starting CPUs), 3.4.4.1 (GS base), 10.6 (interrupts between CPUs). */
#ifndef ARCH_SMP_H
#define ARCH_SMP_H

/* struct smp_start; smp_start.S reads it. */
#define SMP_START_APIC_ID 0
#define SMP_START_STACK_TOP 8
#define SMP_START_CPU 16
#define SMP_START_BYTES 24

/* struct smp_trampoline_values, at the end of the trampoline. */
#define SMP_CR3 0
#define SMP_EFER 4
#define SMP_ENTRY 8

#ifndef __ASSEMBLER__

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "arch/cpu.h"
#include "base/compiler.h"

/* The vectors of interrupts between CPUs; see apic.h. */
#define SMP_VECTOR_WAKE 0xf8
#define SMP_VECTOR_TLB 0xf9

struct smp_task_state {
        uint32_t reserved0;
        uint64_t rsp[3];
        uint64_t reserved1;
        uint64_t ist[7]; /* ist[0] is IST 1 */
        uint64_t reserved2;
        uint16_t reserved3;
        uint16_t io_map_offset;
} PACKED;
_Static_assert(sizeof(struct smp_task_state) == 104, "read by the CPU: Intel SDM 3, figure 7-11");
_Static_assert(offsetof(struct smp_task_state, ist) == 36, "read by the CPU");
_Static_assert(offsetof(struct smp_task_state, io_map_offset) == 102, "read by the CPU");

struct arch_cpu {
        struct arch_cpu *self; /* GS base */
        uint32_t index;
        uint32_t apic_id;
        uint32_t stack_set; /* which STACK_COUNT stacks are its own; see stack_bottom */

        /* trap.c: the probe that is running: the stack pointer to continue with, 0 when none is,
         * and what to fill; handlers of interrupts and NMI that have been entered and not left. */
        uint32_t handler_depth;
        uint64_t probe_stack;
        struct arch_trap_info *probe_info;

        /* timer.c */
        uint64_t timer_deadline_ns;
        uint64_t timer_count;

        int64_t tsc_offset;
        bool tsc_corrected;
        uint64_t tsc_seen; /* when it was first in C */
        uint64_t start_ns;
        uint64_t wake_count;
        uint64_t shootdown_count;

        ALIGNED(16) uint64_t descriptors[CPU_SELECTOR_TSS / sizeof(uint64_t) + 2];
        ALIGNED(16) struct smp_task_state task_state;
};
_Static_assert(offsetof(struct arch_cpu, self) == 0, "smp_this reads it there");
_Static_assert(offsetof(struct arch_cpu, index) == ARCH_CPU_INDEX_OFFSET, "arch.h reads it there");

/* The area of the CPU that calls. Any context, from boot_start on. */
static inline struct arch_cpu *smp_this(void)
{
        struct arch_cpu *cpu;
        __asm__("movq %%gs:0, %0" : "=r"(cpu));
        return cpu;
}

/* Makes `cpu` this CPU's area. */
static inline void smp_set_this(struct arch_cpu *cpu)
{
        cpu->self = cpu;
        cpu_write_msr(CPU_MSR_GS_BASE, (uint64_t)cpu);
}

extern struct arch_cpu smp_boot_cpu;

/* CPUs that take part in shoot-downs, by number; bit 0 from the start. */
extern _Atomic uint64_t smp_online;

/* The area of CPU number `index`, below arch_cpu_count(). */
struct arch_cpu *smp_cpu(uint32_t index);

/* The number of the CPU that owns a set of stacks; `stack_set` itself when its CPU did not come. */
uint32_t smp_index_of_stacks(uint32_t stack_set);

/* Called for every NMI: does not return when another CPU has asked this one to stop. */
void smp_stop_if_asked(void);

/* cpu.c: descriptor tables, interrupt stacks and control registers of the CPU that calls, whose
 * area is set. */
void cpu_init_this(void);

/* timer.c: the timer of the CPU that calls, disarmed; interrupts are off.
 * Nothing when there is none. */
void timer_init_this(void);

/* paging.c: the physical address of the kernel's root table; drops all translations of this CPU. */
uint64_t paging_root_pa(void);
void paging_drop_all(void);

/* One CPU that is to be started; smp_start.S looks for its own APIC id. */
struct smp_start {
        uint32_t apic_id;
        _Atomic uint32_t state;
        uint64_t stack_top;
        struct arch_cpu *cpu;
};
_Static_assert(offsetof(struct smp_start, apic_id) == SMP_START_APIC_ID, "smp_start.S");
_Static_assert(offsetof(struct smp_start, stack_top) == SMP_START_STACK_TOP, "smp_start.S");
_Static_assert(offsetof(struct smp_start, cpu) == SMP_START_CPU, "smp_start.S");
_Static_assert(sizeof(struct smp_start) == SMP_START_BYTES, "smp_start.S");

/* What the trampoline needs, in its own page. */
struct smp_trampoline_values {
        uint32_t cr3;
        uint32_t efer;
        uint64_t entry;
};
_Static_assert(offsetof(struct smp_trampoline_values, entry) == SMP_ENTRY, "smp_start.S");

#endif
#endif
