/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The smallest guest there can be: started by PVH, it leaves at once through isa-debug-exit
 * with the code of success. bench_boot.py measures it beside the kernel: what is left of
 * its time is the emulator's own.
 * Facts: spec of PVH direct boot (32-bit entry, Xen note 18 with 4-byte
 * alignment); QEMU's isa-debug-exit. */
        .set EXIT_PORT, 0xf4
        .set EXIT_PASS, 0x10
        .set XEN_PHYS32_ENTRY, 18

        .section .note.pvh, "a", @note
        .balign 4
        .long 4, 4, XEN_PHYS32_ENTRY
        .asciz "Xen"
        .long _start

        .text
        .code32
        .globl _start
_start: movb $EXIT_PASS, %al
        outb %al, $EXIT_PORT
1:      hlt
        jmp 1b

        .section .note.GNU-stack, "", @progbits
