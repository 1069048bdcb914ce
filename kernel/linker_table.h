/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* linker_table — walks the tables that linker.ld gathers. */
#ifndef KERNEL_LINKER_TABLE_H
#define KERNEL_LINKER_TABLE_H

#include <stddef.h>

/* Declares the bounds of a table of `type`. */
#define LINKER_TABLE_DECLARE(table, type) extern const type __start_##table[], __stop_##table[]

#define LINKER_TABLE_COUNT(table) ((size_t)(__stop_##table - __start_##table))

#define LINKER_TABLE_FOR_EACH(entry, table, type) \
        for (const type *entry = __start_##table; entry != __stop_##table; entry++)

#endif
