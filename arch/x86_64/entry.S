/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* entry — the ELF's entry point, for boot paths that are in 64-bit mode already (kernel/boot_info.h
 * says in which state). Takes a stack of ours and goes on in C. */
        .section .text.entry, "ax"
        .code64
        .global kernel_entry64
kernel_entry64:
        cli
        cld
        lea boot_stack_top(%rip), %rsp
        xor %ebp, %ebp                  /* the end of every backtrace */
        call boot_start
        ud2

        .section .note.GNU-stack, "", @progbits
