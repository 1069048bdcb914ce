/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* assert — for our own bugs only; never for a value that a peer can write.
 *
 * ASSERT is in every build. DEBUG_ASSERT is in builds with PARAVANE_DEBUG=1 (debug flavour, host
 * tests, fuzzers) and may be slow; elsewhere its expression is compiled but not evaluated.
 * One condition each, no side effects. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include "base/compiler.h"

#ifndef PARAVANE_DEBUG
#define PARAVANE_DEBUG 0
#endif

/* Supplied by the world a part is built into: the kernel panics with a backtrace, host programs
 * print and abort. Called on the failing thread, in any context. */
NORETURN void assert_failed(const char *file, unsigned line, const char *expression);

#define ASSERT(condition)                                               \
        do {                                                            \
                if (UNLIKELY(!(condition)))                             \
                        assert_failed(__FILE__, __LINE__, #condition);  \
        } while (0)

#if PARAVANE_DEBUG
#define DEBUG_ASSERT(condition) ASSERT(condition)
#else
#define DEBUG_ASSERT(condition)               \
        do {                                  \
                (void)sizeof(!(condition));   \
        } while (0)
#endif

#endif
