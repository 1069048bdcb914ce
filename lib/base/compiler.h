/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* compiler — the few attributes and type tricks that every part uses.
 *
 * Works with gcc >= 12 and clang >= 14; no part uses a compiler extension except through this file
 * (and inline assembly under arch/). */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define NORETURN _Noreturn
#define PRINTF_LIKE(format_index, first_index) \
        __attribute__((format(printf, format_index, first_index)))
#define SECTION(name) __attribute__((section(name)))
#define USED __attribute__((used))
#define UNUSED __attribute__((unused))
#define PACKED __attribute__((packed))
#define ALIGNED(bytes) __attribute__((aligned(bytes)))
#define VECTOR_BYTES(bytes) __attribute__((vector_size(bytes))) /* several numbers as one value */
#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((cold)) /* runs rarely: built for size, away from the rest */
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)

/* In the body of an `if` that does little: keeps the compiler from making it a
 * computation without a branch. A CPU foresees a branch that mostly goes one way; what is
 * computed must be waited for. */
#define KEEP_BRANCH(variable) __asm__ volatile("" : "+r"(variable))
/* Keeps the compiler from computing a variable's value anew wherever it is used. */
#define KEEP_VALUE(variable) __asm__("" : "+r"(variable))
/* In front of a loop of a few cache lines on a hot path: has it begin in one. Elsewhere in a line
 * it may take a tenth more time, and where it would stand is the linker's choice. */
#define BEGIN_CACHE_LINE() __asm__ volatile(".p2align 6")

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The structure of type `type` whose member `member` is at `pointer`. */
#define CONTAINER_OF(pointer, type, member) \
        ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

#define STRINGIFY_(x) #x
#define STRINGIFY(x) STRINGIFY_(x)
#define CONCAT_(a, b) a##b
#define CONCAT(a, b) CONCAT_(a, b)

/* One entry of a linker table: linker.ld (in the image) and the host's linker (which makes
 * __start_<table> and __stop_<table> by itself) both gather the entries of one table in a row. The
 * variable must be `static const` of the table's element type, whose size is a multiple of 8. */
#define LINKER_TABLE_ENTRY(table) USED SECTION(#table) ALIGNED(8)

#endif
