/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* panic — the last words. See panic.h for the lines that machines read.
 *
 * Everything here works on the stack it finds (an interrupt stack may be all there is), allocates
 * nothing and waits for nothing but the log's sinks, which are synchronous: when log_line returns,
 * the line is out. */
#include "kernel/panic.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "arch/arch.h"
#include "base/assert.h"
#include "kernel/cpu.h"
#include "kernel/exit_code.h"
#include "kernel/log.h"
#include "kernel/selftest.h"
#include "kernel/symbols.h"

#define PANIC_CAUSE_BYTES 256
#define PANIC_FRAMES_MAX 1024 /* a stack has no room for more: 16 KiB, 16 bytes a frame */
#define PANIC_FIRST_LINES 24
#define PANIC_LAST_LINES 8

static unsigned panic_depth;
static char panic_cause[PANIC_CAUSE_BYTES];

/* Says the last line and leaves. */
static NORETURN void panic_leave(const char *note, const char *cause)
{
        log_line("verdict: PANIC %s%s", note, cause);
        arch_exit(SELFTEST_EXIT_PANIC);
}

/* First of all in every panic. One inside that of a panic leaves without a word. */
static void panic_enter(void)
{
        arch_panic_begin();
        log_break_lock(); /* whoever had it has stopped, or is what we came from */
        panic_depth++;
        if (panic_depth > 2)
                arch_exit(SELFTEST_EXIT_PANIC);
}

/* The first line. A panic inside a panic (the printing itself is broken) gets no other. */
static void panic_say_cause(const char *cause)
{
        if (panic_depth == 2)
                panic_leave("inside a panic: ", cause);
        log_line("panic: %s", cause);
        if (cpu_count() > 1)
                log_line("  on CPU %u", cpu_current());
        if (selftest_current() != NULL)
                log_line("  in test %s", selftest_current());
}

static void print_frame(uint64_t address, bool exact)
{
        /* A return address points behind the call, which may be another function already. */
        uint64_t back = exact ? 0 : 1, offset;
        const char *name;

        if (symbols_lookup(address - back, &name, &offset))
                log_line("  at 0x%016llx %s+0x%llx", (unsigned long long)address, name,
                         (unsigned long long)(offset + back));
        else
                log_line("  at 0x%016llx ?", (unsigned long long)address);
}

/* One line a frame, innermost first; repeated frames once; of a long way the two ends.
 *   frame       NULL: from here; else from where it was interrupted
 *   skip_until  frames before this return address are panic's own; 0: none are */
static void panic_backtrace(const struct arch_trap_frame *frame, uint64_t skip_until)
{
        static uint64_t addresses[PANIC_FRAMES_MAX];
        size_t count = arch_backtrace(frame, addresses, PANIC_FRAMES_MAX), first = 0, lines = 0;

        for (size_t i = 0; i < count && skip_until != 0; i++) {
                if (addresses[i] == skip_until) {
                        first = i;
                        break;
                }
        }
        for (size_t i = first, next; i < count; i = next) {
                for (next = i + 1; next < count && addresses[next] == addresses[i];)
                        next++;
                print_frame(addresses[i], frame != NULL && i == 0);
                if (next - i > 1)
                        log_line("  ... the same %zu times more", next - i - 1);
                if (++lines == PANIC_FIRST_LINES && count - next > PANIC_LAST_LINES) {
                        log_line("  ... %zu frames left out", count - next - PANIC_LAST_LINES);
                        next = count - PANIC_LAST_LINES;
                }
        }
}

static NORETURN void NOINLINE PRINTF_LIKE(2, 0)
panic_from(uint64_t caller, const char *format, va_list arguments)
{
        char cause[PANIC_CAUSE_BYTES];

        panic_enter();
        vsnprintf(cause, sizeof(cause), format, arguments);
        panic_say_cause(cause);
        panic_backtrace(NULL, caller);
        panic_leave("", cause);
}

void panic(const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        panic_from((uint64_t)__builtin_return_address(0), format, arguments);
}

void assert_failed(const char *file, unsigned line, const char *expression)
{
        panic("assertion failed: %s, at %s:%u", expression, file, line);
}

void kernel_arch_panic(const char *cause)
{
        panic("%s", cause);
}

/* ---- panics about a frame ---- */

static void print_line(const char *text)
{
        log_line("  %s", text);
}

void panic_at(const struct arch_trap_frame *frame, const char *format, ...)
{
        char cause[PANIC_CAUSE_BYTES];
        va_list arguments;

        panic_enter();
        va_start(arguments, format);
        vsnprintf(cause, sizeof(cause), format, arguments);
        va_end(arguments);
        panic_say_cause(cause);
        arch_trap_describe(frame, print_line);
        panic_backtrace(frame, 0);
        panic_leave("", cause);
}

/* arch_trap_describe's first line is the cause. */
static void take_cause(const char *text)
{
        if (panic_cause[0] == '\0')
                snprintf(panic_cause, sizeof(panic_cause), "%s", text);
}

static void print_all_but_the_cause(const char *text)
{
        static bool cause_seen;

        if (cause_seen)
                print_line(text);
        cause_seen = true;
}

void kernel_trap_panic(const struct arch_trap_frame *frame)
{
        panic_enter();
        panic_cause[0] = '\0';
        arch_trap_describe(frame, take_cause);
        panic_say_cause(panic_cause);
        arch_trap_describe(frame, print_all_but_the_cause);
        panic_backtrace(frame, 0);
        panic_leave("", panic_cause);
}
