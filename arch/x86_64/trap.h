/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* trap — exceptions, interrupts and NMIs: from the 256 entries to whoever wants them.
 *
 *   trap_entry[vector] -> trap_common -> trap_dispatch -+-> exception: see below
 *        (trap.S)           (trap.S)                     +-> NMI: the NMI handler
 *                                                        +-> vector >= 32: its handler
 *
 * An exception goes to the first of these that takes it, the innermost first:
 *   1. the user fault handler, if it is about a user address (arch_set_user_fault_handler)
 *   2. the exception table, if the instruction that faulted is in it and the address is a user's
 *   3. the probe that is running (arch_trap_probe)
 *   4. kernel_trap_panic
 *
 * Code that user pages are open to (RFLAGS.AC, user_copy.S) may be interrupted; trap_common closes
 * them for whatever runs then, and IRETQ opens them again.
 *
 * For files of arch/ only. Every gate is an interrupt gate: handlers run with interrupts off.
 * Facts: Intel SDM 3, chapter 6 (6.14 for the 64-bit frame and the interrupt stack table). */
#ifndef ARCH_TRAP_H
#define ARCH_TRAP_H

#define TRAP_VECTOR_COUNT 256
#define TRAP_ENTRY_BYTES 8 /* distance between two entries in trap.S */

#define TRAP_DIVIDE_ERROR 0
#define TRAP_DEBUG 1
#define TRAP_NMI 2
#define TRAP_BREAKPOINT 3
#define TRAP_INVALID_OPCODE 6
#define TRAP_DEVICE_NOT_AVAILABLE 7
#define TRAP_DOUBLE_FAULT 8
#define TRAP_STACK_FAULT 12
#define TRAP_GENERAL_PROTECTION 13
#define TRAP_PAGE_FAULT 14
#define TRAP_MACHINE_CHECK 18
#define TRAP_FIRST_INTERRUPT 32 /* below are the CPU's own exceptions */

/* Vectors below 32 for which the CPU pushes an error code: 8, 10..14, 17, 21, 29, 30. */
#define TRAP_ERROR_CODE_VECTORS 0x60227d00

/* Bytes that trap.S pushes below the error code; struct arch_trap_frame is checked against it. */
#define TRAP_FRAME_BYTES 192
#define TRAP_FRAME_RFLAGS 168

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

/* The interrupted state, as it lies on the stack of the handler. What a handler changes here is
 * what the interrupted code continues with. */
struct arch_trap_frame {
        uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
        uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
        uint64_t cr2, dr6;      /* read for exceptions; 0 for interrupts and NMI */
        uint64_t vector, error; /* error is 0 where the CPU pushes none */
        uint64_t rip, cs, rflags, rsp, ss;
};

_Static_assert(sizeof(struct arch_trap_frame) == TRAP_FRAME_BYTES, "trap.S pushes this many bytes");
_Static_assert(offsetof(struct arch_trap_frame, rflags) == TRAP_FRAME_RFLAGS,
               "trap.S reads it there");
_Static_assert(TRAP_FRAME_BYTES % 16 == 0, "the CPU aligns the stack to 16 before it pushes");

typedef void (*trap_handler)(struct arch_trap_frame *frame, void *context);

/* Gives an interrupt vector to `handler`, NULL takes it back; replaces the one before.
 *   vector   32..255
 *   context  handed to the handler as it is
 *   context  interrupts may be on: an interrupt meets either the old pair or the new one
 * An interrupt on a vector without a handler is counted and dropped, and nobody tells the local
 * APIC that it is over. So the owner of the APIC takes every vector that a device could raise by
 * mistake or malice. */
void trap_set_interrupt_handler(uint8_t vector, trap_handler handler, void *context);

/* The same for NMI; without a handler an NMI is a panic. The handler runs on the NMI stack, between
 * any two instructions of anything: it takes no lock and waits for nothing. */
void trap_set_nmi_handler(trap_handler handler, void *context);

/* Interrupts that came in on vectors without a handler, since boot. */
uint64_t trap_unexpected_count(void);

/* One entry of the linker table `exception_table`: a page fault of the instruction at
 * `fault_offset` about a user address continues at `fixup_offset`, with the error code in RAX and
 * all else as it was. Offsets count from their own place in the table,
 * so that no entry needs relocation. */
struct trap_exception {
        int32_t fault_offset;
        int32_t fixup_offset;
};

/* Adds the cause in words to `text`: "page fault: write to 0x1000 (nothing is mapped there)". Reads
 * the frame and, for an invalid opcode in .text, the instruction. trap_describe.c. */
struct text;
void trap_add_cause(struct text *text, const struct arch_trap_frame *frame);

/* Fills the interrupt descriptor table and loads it. Once, by arch_cpu_init, which has already set
 * up the task state segment with the interrupt stacks. */
void trap_init(void);
/* Loads the filled table on the CPU that calls. */
void trap_load(void);

#endif
#endif
