/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* log — lines of text on the console.
 *
 * Every line starts with "# ", so that it is a diagnostic in the KTAP stream around it. Sinks are
 * consoles that drivers register; until the first one does, lines wait in a buffer of
 * LOG_EARLY_BYTES and the newest are dropped (and counted) when it is full.
 * Context: any but NMI, on any CPU. A line goes out under one lock, with interrupts off; sinks are
 * called under it and must not log. Nothing logs from a data path. */
#ifndef KERNEL_LOG_H
#define KERNEL_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"

#define LOG_LINE_BYTES 512 /* longer lines are cut and end in "..." */

/* One log line; no newline in `format`. Control characters in what is formatted are shown as '?',
 * so that no argument can break the line. */
void log_line(const char *format, ...) PRINTF_LIKE(1, 2);
/* The same without the "# ", for KTAP itself. */
void log_raw(const char *format, ...) PRINTF_LIKE(1, 2);
void log_raw_v(const char *format, va_list arguments) PRINTF_LIKE(1, 0);

/* For the panic, when all other CPUs have stopped: forgets who was in the middle of a line. */
void log_break_lock(void);

/* A console: writes `bytes` bytes, returns when the hardware has taken
 * them (bounded). Static storage. */
struct log_sink {
        void (*write)(struct log_sink *sink, const char *text, size_t bytes);
        struct log_sink *next;
};
void log_add_sink(struct log_sink *sink);
/* Sends all lines to `sinks` (a list, NULL: to the early buffer) and returns the list that was
 * there. For tests that look at what is logged; they put the old one back. */
struct log_sink *log_replace_sinks(struct log_sink *sinks);

#endif
