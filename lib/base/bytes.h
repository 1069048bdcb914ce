/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* bytes — sizes, alignments, checked sums and the four memory functions.
 *
 * All sizes are in bytes. Nothing here fails except where it says so. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define KIB ((uint64_t)1024)
#define MIB ((uint64_t)1024 * KIB)
#define GIB ((uint64_t)1024 * MIB)

#define PAGE_BYTES_LOG2 12
#define PAGE_BYTES 4096ull

/* The mask of bit number `bit`, 0..63. Bits are numbers named ..._BIT; this makes the mask. */
#define BIT_MASK(bit) (1ull << (bit))

/* The four functions that a C compiler may call by itself in freestanding code; whoever links lib/
 * supplies them (picolibc in the kernel, the C library on the host). */
void *memcpy(void *restrict destination, const void *restrict source, size_t bytes);
void *memmove(void *destination, const void *source, size_t bytes);
void *memset(void *destination, int value, size_t bytes);
int memcmp(const void *left, const void *right, size_t bytes);

static inline bool is_power_of_two(uint64_t value)
{
        return value != 0 && (value & (value - 1)) == 0;
}

/* Whether `value` is a multiple of `alignment`, a power of two. */
static inline bool is_aligned(uint64_t value, uint64_t alignment)
{
        return (value & (alignment - 1)) == 0;
}

static inline uint64_t round_down(uint64_t value, uint64_t alignment)
{
        return value & ~(alignment - 1);
}

/* Rounds up to a power of two `alignment`; the caller has made sure that it does not overflow. */
static inline uint64_t round_up(uint64_t value, uint64_t alignment)
{
        return (value + alignment - 1) & ~(alignment - 1);
}

static inline uint64_t div_round_up(uint64_t value, uint64_t divisor)
{
        return value / divisor + (value % divisor != 0);
}

/* Stores a + b modulo 2^64 in *sum; true when the sum did not fit (then *sum means nothing). */
static inline bool MUST_CHECK add_overflows(uint64_t a, uint64_t b, uint64_t *sum)
{
        return __builtin_add_overflow(a, b, sum);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
        return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

#endif
