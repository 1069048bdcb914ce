/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* boot_efi_jump — from the firmware's page tables to ours and into the kernel;
 * and the kernel's ELF itself.
 *
 * Facts: kernel/boot_info.h (the state in which the kernel is entered);
 * Intel SDM volume 3, 4.10.4.1. */
#include "arch/cpu.h"

/* void efi_jump(root_pa: rdi, stack_top_pa: rsi, boot_info_pa: rdx, entry_va: rcx) */
        .section .text.efi_jump, "ax"
        .code64
        .global efi_jump
        .hidden efi_jump
efi_jump:
        cli
        cld
        /* Without PGE no translation of the firmware's outlives the write to CR3. */
        mov %cr4, %rax
        and $~(1 << CPU_CR4_PGE_BIT), %rax
        mov %rax, %cr4
        mov %rdi, %cr3
        mov %rsi, %rsp
        mov %rdx, %rdi
        xor %ebp, %ebp                  /* the end of every backtrace */
        jmp *%rcx
        .global efi_jump_end
        .hidden efi_jump_end
efi_jump_end:

        .section .rodata.efi_kernel, "a"
        .balign 16
        .global efi_kernel_file
        .hidden efi_kernel_file
efi_kernel_file:
        .incbin "paravane.stripped.elf"
        .global efi_kernel_file_end
        .hidden efi_kernel_file_end
efi_kernel_file_end:

        .section .note.GNU-stack, "", @progbits
