/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* panic — the last words: cause, registers, backtrace with function
 * names; then the machine is left.
 *
 * The lines that a machine reads: "# panic: CAUSE" first, "#   at 0xADDRESS function+0xOFFSET" for
 * each frame, and the verdict line "# verdict: PANIC ..." last. Exit code SELFTEST_EXIT_PANIC.
 * Context: any, NMI included. A panic inside a panic prints one line and leaves. */
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

#include "base/compiler.h"

NORETURN void panic(const char *format, ...) PRINTF_LIKE(1, 2);

struct arch_trap_frame;
/* The same, for a cause that interrupted `frame` (watchdog). */
NORETURN void panic_at(const struct arch_trap_frame *frame, const char *format, ...)
        PRINTF_LIKE(2, 3);

#endif
