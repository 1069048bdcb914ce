/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The instructions of the Hyper-V guest interface; drivers/hyperv knows what to do with them.
 * Facts: spec/vmbus.md, g.4. */
#include "arch/arch.h"
#include "arch/cpu.h"

void arch_hyperv_cpuid(uint32_t leaf, uint32_t registers[4])
{
        struct cpu_cpuid r = cpu_cpuid(leaf, 0);
        registers[0] = r.eax;
        registers[1] = r.ebx;
        registers[2] = r.ecx;
        registers[3] = r.edx;
}

uint64_t arch_hyperv_read_msr(uint32_t msr)
{
        return cpu_read_msr(msr);
}

void arch_hyperv_write_msr(uint32_t msr, uint64_t value)
{
        cpu_write_msr(msr, value);
}

uint64_t arch_hyperv_hypercall(const void *page, uint64_t control, uint64_t input, uint64_t output)
{
        uint64_t result;
        register uint64_t r8 __asm__("r8") = output;
        __asm__ volatile("call *%[page]"
                         : "=a"(result), "+c"(control), "+d"(input), "+r"(r8)
                         : [page] "r"(page)
                         : "r9", "r10", "r11", "cc", "memory");
        return result;
}
