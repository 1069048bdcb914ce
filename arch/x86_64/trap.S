/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* trap — the 256 entries, the way into C and back, and the frame of an expected fault. See trap.h.
 *
 * There is no user mode, so no entry swaps GS or stacks: the CPU has already chosen the stack (the
 * interrupted one, or one of the interrupt stack table) and aligned it to 16 bytes. Facts: Intel
 * SDM 3, 6.14. */
#include "arch/cpu.h"
#include "arch/trap.h"

        .section .text.trap, "ax"
        .code64

/* One entry per vector, eight bytes: names the vector, as a byte with a sign, and goes on to where
 * the frame is made the same with and without an error code. */
        .balign TRAP_ENTRY_BYTES
        .global trap_entry
        .type trap_entry, @function
trap_entry:
        .set vector, 0
        .rept TRAP_VECTOR_COUNT
        .balign TRAP_ENTRY_BYTES, 0xcc
        push $(vector - (vector & 0x80) * 2)
        .if vector < 32 && ((TRAP_ERROR_CODE_VECTORS >> (vector & 31)) & 1)
        jmp trap_common
        .else
        jmp trap_without_error
        .endif
        .set vector, vector + 1
        .endr
        /* An error here: an entry is longer than TRAP_ENTRY_BYTES. */
        .org trap_entry + TRAP_VECTOR_COUNT * TRAP_ENTRY_BYTES
        .size trap_entry, . - trap_entry

        .balign 16
        .type trap_without_error, @function
trap_without_error:
        push (%rsp)                     /* the vector, below where it is now */
        movq $0, 8(%rsp)                /* and an error code in its place */
        .size trap_without_error, . - trap_without_error
        .type trap_common, @function
trap_common:
        cld
        andq $0xff, (%rsp)              /* the vector without its sign */
        sub $16, %rsp                   /* dr6, cr2: filled in C */
        push %rax
        push %rcx
        push %rdx
        push %rbx
        push %rbp
        push %rsi
        push %rdi
        push %r8
        push %r9
        push %r10
        push %r11
        push %r12
        push %r13
        push %r14
        push %r15
        /* A copy from or to user memory was interrupted: user pages are closed to what runs now.
         * POPFQ, because CLAC is an invalid opcode on a CPU without SMAP. */
        testl $(1 << CPU_RFLAGS_AC_BIT), TRAP_FRAME_RFLAGS(%rsp)
        jz 1f
        pushfq
        andl $~(1 << CPU_RFLAGS_AC_BIT), (%rsp)
        popfq
1:      mov %rsp, %rdi
        call trap_dispatch
        /* arch_backtrace knows this address:
         * the frame of an interrupted function lies right above it. */
        .global trap_return
trap_return:
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %r11
        pop %r10
        pop %r9
        pop %r8
        pop %rdi
        pop %rsi
        pop %rbp
        pop %rbx
        pop %rdx
        pop %rcx
        pop %rax
        add $32, %rsp                   /* cr2, dr6, vector, error */
        iretq
        .size trap_common, . - trap_common

/* bool trap_probe_call(void (*function)(void *), void *context, uint64_t *stack_out)
 *
 * Saves what a C function must keep, stores where at *stack_out, and calls function(context):
 * returns false. When that faults, trap_dispatch continues at trap_probe_recover with the stack
 * pointer from *stack_out: the same call returns true, as if it had been called anew. */
        .balign 16
        .global trap_probe_call
        .type trap_probe_call, @function
trap_probe_call:
        push %rbp
        mov %rsp, %rbp
        push %rbx
        push %r12
        push %r13
        push %r14
        push %r15
        pushfq                          /* also aligns the stack to 16 for the call */
        mov %rsp, (%rdx)
        mov %rdi, %rax
        mov %rsi, %rdi
        call *%rax
        xor %eax, %eax
        add $8, %rsp                    /* keeps the flags that the function left */
        jmp 1f
        .global trap_probe_recover
trap_probe_recover:
        mov $1, %eax
        popfq
1:      pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbx
        pop %rbp
        ret
        .size trap_probe_call, . - trap_probe_call

        .section .note.GNU-stack, "", @progbits
