/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* empty_efi — a UEFI application that does nothing: the yardstick for boots under firmware.
 *
 * Entered from gnu-efi's start code; leaves by isa-debug-exit as our guest does after success. */
#define DEBUG_EXIT_PORT 0xf4
#define EXIT_PASS 0x10 /* kernel/exit_code.h */

        .text
        .global efi_main
efi_main:
        mov $EXIT_PASS, %al
        out %al, $DEBUG_EXIT_PORT
        hlt

        .section .note.GNU-stack, "", @progbits
