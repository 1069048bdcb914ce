/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* smp_start — from the start-up interrupt in real mode to smp_started() in C.
 *
 * The part between smp_trampoline and smp_trampoline_end is copied to a page below 1 MiB and runs
 * there, on tables that map this page at its own address (read, execute) and the kernel half. Every
 * CPU goes through it at the same time, so nothing in it is written and there is no stack before
 * the one that is found by the APIC id. Facts: Intel SDM 3, 8.4.3, 9.9.1;
 * volume 2, CPUID leaf 0BH. */
#include "arch/cpu.h"
#include "arch/smp.h"

#define OFFSET(label) (label - smp_trampoline)
#define SELECTOR_CODE32 0x18
#define CR0_PROTECTED 0x00000001
#define CR0_PAGED 0x80010033 /* PG, WP, NE, ET, MP, PE */
#define CPUID_BASIC 0
#define CPUID_FEATURES 1
#define CPUID_TOPOLOGY 0xb

        .section .rodata.smp_trampoline, "a"
        .balign 16
        .global smp_trampoline
smp_trampoline:
        .code16
        cli
        cld
        mov %cs, %ax
        mov %ax, %ds
        movzwl %ax, %ebx
        shl $4, %ebx                    /* EBX: where this page is, from here to the end */
        /* The two addresses below are stored relative to the page;
         * only registers may be changed. */
        lgdtl OFFSET(trampoline_gdt_pointer)
        mov $CR0_PROTECTED, %eax
        mov %eax, %cr0
        ljmpl *OFFSET(trampoline_far32)

        .code32
trampoline32:
        mov $CPU_SELECTOR_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov $(1 << CPU_CR4_PAE_BIT), %eax
        mov %eax, %cr4
        mov OFFSET(smp_trampoline_values) + SMP_CR3(%ebx), %eax
        mov %eax, %cr3
        mov $CPU_MSR_EFER, %ecx
        xor %edx, %edx
        mov OFFSET(smp_trampoline_values) + SMP_EFER(%ebx), %eax
        wrmsr
        mov $CR0_PAGED, %eax
        mov %eax, %cr0
        ljmpl *OFFSET(trampoline_far64)(%ebx)

        .code64
trampoline64:
        mov %ebx, %ebx
        jmp *OFFSET(smp_trampoline_values) + SMP_ENTRY(%rbx)

        .balign 8
        .global smp_trampoline_gdt
smp_trampoline_gdt:
        .quad 0
        .quad 0x00af9b000000ffff        /* CPU_SELECTOR_CODE: 64-bit */
        .quad 0x00cf93000000ffff        /* CPU_SELECTOR_DATA */
        .quad 0x00cf9b000000ffff        /* SELECTOR_CODE32 */
trampoline_gdt_pointer:
        .word . - smp_trampoline_gdt - 1
        .global smp_trampoline_fix_gdt, smp_trampoline_fix_far32, smp_trampoline_fix_far64
smp_trampoline_fix_gdt:                 /* smp.c adds the page's address to these three */
        .long OFFSET(smp_trampoline_gdt)
        .balign 4
trampoline_far32:
smp_trampoline_fix_far32:
        .long OFFSET(trampoline32)
        .word SELECTOR_CODE32
        .balign 4
trampoline_far64:
smp_trampoline_fix_far64:
        .long OFFSET(trampoline64)
        .word CPU_SELECTOR_CODE
        .balign 8
        .global smp_trampoline_values
smp_trampoline_values:
        .skip 16
        .global smp_trampoline_end
smp_trampoline_end:

        .section .text.smp, "ax"
        .code64
        .global smp_entry64
        .type smp_entry64, @function
smp_entry64:
        mov $CPUID_BASIC, %eax
        cpuid
        cmp $CPUID_TOPOLOGY, %eax
        jb 1f
        mov $CPUID_TOPOLOGY, %eax       /* all 32 bits of the id, where the leaf has it */
        xor %ecx, %ecx
        cpuid
        test %ebx, %ebx
        jz 1f
        mov %edx, %r8d
        jmp 2f
1:      mov $CPUID_FEATURES, %eax
        cpuid
        shr $24, %ebx
        mov %ebx, %r8d
2:      lea smp_start_table(%rip), %rsi
        mov smp_start_count(%rip), %ecx
        jmp 4f
3:      cmp %r8d, SMP_START_APIC_ID(%rsi)
        je 5f
        add $SMP_START_BYTES, %rsi
        dec %ecx
4:      test %ecx, %ecx
        jnz 3b
6:      cli                             /* nobody wants this one */
        hlt
        jmp 6b
5:      mov SMP_START_STACK_TOP(%rsi), %rsp
        xor %ebp, %ebp                  /* the end of every backtrace */
        mov %rsi, %rdi
        call smp_started
        ud2
        .size smp_entry64, . - smp_entry64

        .section .note.GNU-stack, "", @progbits
