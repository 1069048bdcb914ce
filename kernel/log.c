/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* log — see log.h. One line buffer on the stack per call, so that an
 * exception inside a log call can log. */
#include "kernel/log.h"

#include <stdio.h>
#include <string.h>

#include "kernel/cpu.h"

#define LOG_EARLY_BYTES 2048
#define CONTROL_DELETE 0x7f

/* Over everything below. */
static struct spinlock lock = SPINLOCK_INIT("log");
static struct log_sink *sinks;
static char early_text[LOG_EARLY_BYTES];
static size_t early_bytes, early_dropped_lines;

static void write_line_locked(const char *text, size_t bytes)
{
        if (sinks == NULL) {
                if (bytes > LOG_EARLY_BYTES - early_bytes) {
                        early_dropped_lines++;
                        return;
                }
                memcpy(early_text + early_bytes, text, bytes);
                early_bytes += bytes;
                return;
        }
        for (struct log_sink *sink = sinks; sink != NULL; sink = sink->next)
                sink->write(sink, text, bytes);
}

static void write_line(const char *text, size_t bytes)
{
        bool enabled = cpu_lock_irq_save(&lock);

        write_line_locked(text, bytes);
        cpu_unlock_irq_restore(&lock, enabled);
}

void log_break_lock(void)
{
        spinlock_init(&lock, "log");
}

/* What comes from outside (a command line, a device's or firmware's name) must not end a line, or
 * it could say "ok 1" in the test's place. */
static void clean_text(char *text, size_t bytes)
{
        for (size_t i = 0; i < bytes; i++) {
                unsigned char c = (unsigned char)text[i];
                if (c < ' ' || c == CONTROL_DELETE)
                        text[i] = '?';
        }
}

/* Formats `prefix`, the text and a newline into one write, so that a line is never torn. */
static void PRINTF_LIKE(2, 0) log_prefixed(const char *prefix, const char *format,
                                           va_list arguments)
{
        char line[LOG_LINE_BYTES];
        size_t used = strlen(prefix);
        int wanted;

        memcpy(line, prefix, used);
        wanted = vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
        if (wanted < 0)
                wanted = 0;
        if ((size_t)wanted >= sizeof(line) - used - 1) {
                used = sizeof(line) - 2;
                memcpy(line + used - 3, "...", 3);
        } else {
                used += (size_t)wanted;
        }
        clean_text(line, used);
        line[used++] = '\n';
        write_line(line, used);
}

void log_line(const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        log_prefixed("# ", format, arguments);
        va_end(arguments);
}

void log_raw_v(const char *format, va_list arguments)
{
        log_prefixed("", format, arguments);
}

void log_raw(const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        log_prefixed("", format, arguments);
        va_end(arguments);
}

void log_add_sink(struct log_sink *sink)
{
        bool enabled = cpu_lock_irq_save(&lock);
        bool first = sinks == NULL;

        sink->next = sinks;
        sinks = sink;
        if (first)
                sink->write(sink, early_text, early_bytes);
        cpu_unlock_irq_restore(&lock, enabled);
        if (first && early_dropped_lines != 0)
                log_line("log: %zu early lines did not fit and were dropped", early_dropped_lines);
}

struct log_sink *log_replace_sinks(struct log_sink *new_sinks)
{
        bool enabled = cpu_lock_irq_save(&lock);
        struct log_sink *old = sinks;

        sinks = new_sinks;
        cpu_unlock_irq_restore(&lock, enabled);
        return old;
}
