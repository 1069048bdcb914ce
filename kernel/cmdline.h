/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* cmdline — the words of the command line: `name=value`, or a bare `name` for a flag.
 *
 * Every word that means something is declared with CMDLINE_* beside the code that uses
 * it and gathered in a linker table. A word that nobody declared is named on the
 * console; a value that does not parse or is out of range is an error that says what was
 * expected, and the default stays. */
#ifndef KERNEL_CMDLINE_H
#define KERNEL_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum cmdline_kind {
        CMDLINE_KIND_UINT = 1,
        CMDLINE_KIND_FLAG,
        CMDLINE_KIND_STRING,
        CMDLINE_KIND_EACH,
};

/* Takes the value of one word of a kind that may come several times.
 *   value    `length` characters, not terminated
 *   returns  NULL; else what is wrong with it, and nothing was taken */
typedef const char *(*cmdline_take_fn)(const char *value, size_t length);

struct cmdline_option {
        const char *name;
        const char *help; /* one line, for `help` and README */
        enum cmdline_kind kind;
        /* Size of the array behind `value` for strings, terminator included. */
        uint32_t string_bytes;
        union {
                void *value; /* uint64_t, bool or char array; holds the default until parsed */
                cmdline_take_fn take;
        };
        uint64_t min, max;     /* for numbers, inclusive */
};

/* A number, decimal or 0x hex, optionally with K, M or G behind it. */
#define CMDLINE_UINT(variable_, name_, min_, max_, help_)                                \
        LINKER_TABLE_ENTRY(cmdline_table)                                                \
        static const struct cmdline_option variable_##_option_ = {                       \
                .name = (name_), .help = (help_), .kind = CMDLINE_KIND_UINT,             \
                .value = &(variable_), .min = (min_), .max = (max_)}
/* `name`, `name=true|1|on` or `name=false|0|off`. */
#define CMDLINE_FLAG(variable_, name_, help_)                                            \
        LINKER_TABLE_ENTRY(cmdline_table)                                                \
        static const struct cmdline_option variable_##_option_ = {                       \
                .name = (name_), .help = (help_), .kind = CMDLINE_KIND_FLAG,             \
                .value = &(variable_)}
/* Text up to the next space. */
#define CMDLINE_STRING(array_, name_, help_)                                             \
        LINKER_TABLE_ENTRY(cmdline_table)                                                \
        static const struct cmdline_option array_##_option_ = {                          \
                .name = (name_), .help = (help_), .kind = CMDLINE_KIND_STRING,           \
                .value = (array_), .string_bytes = sizeof(array_)}
/* A word that may come several times: each value goes to `take_`. */
#define CMDLINE_EACH(take_, name_, help_)                                                \
        LINKER_TABLE_ENTRY(cmdline_table)                                                \
        static const struct cmdline_option take_##_option_ = {                           \
                .name = (name_), .help = (help_), .kind = CMDLINE_KIND_EACH,             \
                .take = (take_)}

/* A whole number as CMDLINE_UINT takes it, with nothing behind it; false when
 * it is not one or does not fit. */
bool cmdline_number(const char *text, size_t length, uint64_t *number);

/* Parses `text` against the table and reports every word that is unknown or wrong through the log.
 * Returns the number of words reported. */
size_t cmdline_parse(const char *text);

#endif
