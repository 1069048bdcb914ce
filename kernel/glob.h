/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* glob — matches names against patterns with '*' (any run of characters, also
 * none) and '?' (exactly one). */
#ifndef KERNEL_GLOB_H
#define KERNEL_GLOB_H

#include <stdbool.h>

/* Whether the whole of `text` matches `pattern`. Time at most length(pattern) * length(text). */
bool glob_matches(const char *pattern, const char *text);

#endif
