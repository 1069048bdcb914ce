/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* user_copy — the only instructions of this kernel that may touch user pages. See arch_user_copy.
 *
 * Facts: Intel SDM 3, 4.6.1 (SMAP, RFLAGS.AC); volume 1, 7.3.9.3 (a REP MOVS that faults leaves its
 * registers at the element that did).
 * trap.c goes on at the fixup of an entry with the status in eax. */
        .macro on_fault at, fixup
        .pushsection exception_table, "a"
        .balign 8
        .long \at - .
        .long \fixup - .
        .popsection
        .endm

/* uint64_t user_copy_bytes(void *destination, const void *source, uint64_t bytes,
 *                          zx_status_t *status_out, bool has_smap)
 *
 * Words, then the bytes that are left. A word that faults may lie on both sides of a page's edge:
 * what is left is then tried again byte by byte, so that the count is exact. */
        .section .text.user_copy, "ax"
        .code64
        .balign 16
        .global user_copy_bytes
        .type user_copy_bytes, @function
user_copy_bytes:
        push %rbp                       /* for backtraces */
        mov %rsp, %rbp
        mov %rcx, %r9                   /* status_out */
        mov %rdi, %r10
        mov %rdx, %rcx
        shr $3, %rcx
        and $7, %edx
        xor %eax, %eax                  /* ZX_OK */
        test %r8b, %r8b
        jz 1f
        stac
1:      rep movsq
2:      mov %rdx, %rcx
3:      rep movsb
4:      test %r8b, %r8b
        jz 5f
        clac
5:      mov %eax, (%r9)
        mov %rdi, %rax
        sub %r10, %rax
        pop %rbp
        ret
6:      lea (%rdx, %rcx, 8), %rdx       /* all that is left */
        xor %eax, %eax
        jmp 2b
        .size user_copy_bytes, . - user_copy_bytes

        on_fault 1b, 6b
        on_fault 3b, 4b

        .section .note.GNU-stack, "", @progbits
