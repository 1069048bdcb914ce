/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* cpu — names and one-instruction functions for this CPU's registers; what CPUID says; selectors.
 *
 * For files of arch/ only, assembler sources included (they see the numbers, not the functions).
 * cpu.c also has arch_interrupts_* and arch_wait_for_interrupt of arch.h.
 * Facts: Intel SDM 3, 2.5 (control registers), 3.4 (selectors), 4.1 (paging modes), chapter 2 of
 * volume 4 (MSRs); volume 2, CPUID; AMD APM 2, 3.1 and 3.2. */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

/* ---- segment selectors of our descriptor table ---- */

#define CPU_SELECTOR_CODE 0x08
#define CPU_SELECTOR_DATA 0x10
#define CPU_SELECTOR_TSS 0x18 /* takes two slots */

/* ---- interrupt stack table slots, and the stacks of linker.ld behind them ---- */

#define CPU_IST_NONE 0
#define CPU_IST_DOUBLE_FAULT 1
#define CPU_IST_NMI 2
#define CPU_IST_MACHINE_CHECK 3 /* and debug exceptions */

/* ---- control registers: bit numbers ---- */

#define CPU_CR0_PE_BIT 0
#define CPU_CR0_MP_BIT 1
#define CPU_CR0_EM_BIT 2
#define CPU_CR0_TS_BIT 3
#define CPU_CR0_ET_BIT 4
#define CPU_CR0_NE_BIT 5
#define CPU_CR0_WP_BIT 16
#define CPU_CR0_PG_BIT 31

#define CPU_CR4_DE_BIT 3
#define CPU_CR4_PAE_BIT 5
#define CPU_CR4_MCE_BIT 6
#define CPU_CR4_PGE_BIT 7
#define CPU_CR4_OSFXSR_BIT 9
#define CPU_CR4_UMIP_BIT 11
#define CPU_CR4_LA57_BIT 12
#define CPU_CR4_SMEP_BIT 20
#define CPU_CR4_SMAP_BIT 21

#define CPU_RFLAGS_RESERVED_BIT 1 /* always one */
#define CPU_RFLAGS_TF_BIT 8
#define CPU_RFLAGS_IF_BIT 9
#define CPU_RFLAGS_AC_BIT 18 /* with SMAP: user pages may be touched */

/* ---- model-specific registers ---- */

#define CPU_MSR_TSC 0x10
#define CPU_MSR_APIC_BASE 0x1b
#define CPU_MSR_MTRR_CAP 0xfe
#define CPU_MSR_PAT 0x277
#define CPU_MSR_TSC_DEADLINE 0x6e0
#define CPU_MSR_X2APIC_FIRST 0x800
#define CPU_MSR_EFER 0xc0000080
#define CPU_MSR_FS_BASE 0xc0000100
#define CPU_MSR_GS_BASE 0xc0000101

#define CPU_EFER_LME_BIT 8
#define CPU_EFER_LMA_BIT 10
#define CPU_EFER_NXE_BIT 11

/* CPUID's range of leaves that belongs to the hypervisor. */
#define CPU_LEAF_HYPERVISOR 0x40000000u
#define CPU_LEAF_EXTENDED 0x80000000u

#ifndef __ASSEMBLER__

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* ---- CPUID ---- */

struct cpu_cpuid {
        uint32_t eax, ebx, ecx, edx;
};

/* Executes CPUID as it stands. A leaf beyond the maximum gives the data of some other leaf on Intel
 * CPUs: check with cpu_has_leaf() first. Serialising;
 * exits to the hypervisor (a microsecond or more). */
static inline struct cpu_cpuid cpu_cpuid(uint32_t leaf, uint32_t subleaf)
{
        struct cpu_cpuid r;
        __asm__ volatile("cpuid"
                         : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                         : "a"(leaf), "c"(subleaf)
                         : "memory");
        return r;
}

/* ---- control and model-specific registers ---- */

static inline uint64_t cpu_read_cr0(void)
{
        uint64_t value;
        __asm__ volatile("movq %%cr0, %0" : "=r"(value) : : "memory");
        return value;
}

static inline void cpu_write_cr0(uint64_t value)
{
        __asm__ volatile("movq %0, %%cr0" : : "r"(value) : "memory");
}

static inline uint64_t cpu_read_cr2(void)
{
        uint64_t value;
        __asm__ volatile("movq %%cr2, %0" : "=r"(value) : : "memory");
        return value;
}

static inline uint64_t cpu_read_cr3(void)
{
        uint64_t value;
        __asm__ volatile("movq %%cr3, %0" : "=r"(value) : : "memory");
        return value;
}

/* Also drops every translation that is not global from this CPU's TLB. */
static inline void cpu_write_cr3(uint64_t value)
{
        __asm__ volatile("movq %0, %%cr3" : : "r"(value) : "memory");
}

static inline uint64_t cpu_read_cr4(void)
{
        uint64_t value;
        __asm__ volatile("movq %%cr4, %0" : "=r"(value) : : "memory");
        return value;
}

/* A change of PGE drops every translation, global ones too. */
static inline void cpu_write_cr4(uint64_t value)
{
        __asm__ volatile("movq %0, %%cr4" : : "r"(value) : "memory");
}

static inline uint64_t cpu_read_dr6(void)
{
        uint64_t value;
        __asm__ volatile("movq %%db6, %0" : "=r"(value) : : "memory");
        return value;
}

/* Drops the translation of one address, global or not, from this CPU's TLB. */
static inline void cpu_invalidate_page(uint64_t va)
{
        __asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

/* A register that the CPU does not have raises #GP. */
static inline uint64_t cpu_read_msr(uint32_t msr)
{
        uint32_t low, high;
        __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
        return (uint64_t)high << 32 | low;
}

static inline void cpu_write_msr(uint32_t msr, uint64_t value)
{
        __asm__ volatile("wrmsr"
                         :
                         : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                         : "memory");
}

static inline uint64_t cpu_read_rflags(void)
{
        uint64_t value;
        __asm__ volatile("pushfq\n\tpopq %0" : "=r"(value) : : "memory");
        return value;
}

/* Stops this CPU until the next interrupt. */
static inline void cpu_halt(void)
{
        __asm__ volatile("hlt" : : : "memory");
}

/* ---- what this CPU is ---- */

#define CPU_VENDOR_BYTES 13 /* twelve letters and the terminator */
#define CPU_MODEL_BYTES 49

struct arch_cpu_features {
        bool nx, smep, smap, umip, pge, mce;
        bool gbpages;        /* 1 GiB pages */
        bool x2apic;
        bool tsc_deadline;   /* the local APIC's timer can wait for a time stamp */
        bool tsc_invariant;  /* the time stamp counter runs at one rate, whatever the CPU does */
        bool rdtscp;
        bool hypervisor;     /* CPUID's hypervisor leaves are there */
        bool la57;           /* the CPU can do five levels of page tables; this kernel uses four */
        uint8_t physical_bits; /* 36 where CPUID does not say */
        uint8_t linear_bits;
        uint32_t leaf_max, extended_leaf_max, hypervisor_leaf_max; /* the last is 0 without one */
        char vendor[CPU_VENDOR_BYTES], model[CPU_MODEL_BYTES], hypervisor_vendor[CPU_VENDOR_BYTES];
};

/* What arch_cpu_init found; valid from then on and never changed. */
const struct arch_cpu_features *cpu_features(void);

/* Whether this CPU (or hypervisor) answers that CPUID leaf. Valid after arch_cpu_init. */
bool cpu_has_leaf(uint32_t leaf);

#endif
#endif
