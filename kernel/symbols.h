/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* symbols — the name of the function that an address lies in.
 *
 * The table is made from the linked image by kernel/gen_symbols.sh and linked in behind everything
 * else that is read-only, so that adding it moves no function. Context: any, NMI included, on one
 * CPU at a time; never allocates. */
#ifndef KERNEL_SYMBOLS_H
#define KERNEL_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* Looks up an address in .text.
 *   name     out: static text, good until the next look-up; untouched on failure. A self-test is
 *            "suite.name"
 *   offset   out: bytes from the function's start
 *   returns  false: not an address in .text, or before its first symbol
 *   cost     a walk over the table up to there: some ten thousand instructions
 * A return address points behind the call; when the call is the function's last instruction that is
 * the next function. For those, look up address - 1. */
bool MUST_CHECK symbols_lookup(uint64_t address, const char **name, uint64_t *offset);

/* How many functions the table knows. */
size_t symbols_count(void);

#endif
