/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* shared — memory that somebody outside this program writes while we look at it.
 *
 * Every byte that a peer (a device, a hypervisor, another CPU that follows no rules of C) can
 * change is read through this file, once, into a local; the local is checked; only the local is
 * used after that. The accesses are C11 atomics on naturally aligned words, so the compiler neither
 * splits nor repeats nor invents them.
 *
 *   shared_load_*          relaxed                  a value that is only compared or copied
 *   shared_load_acquire_*  acquire                  an index that says "bytes before me are ready";
 *                                                   pairs with the peer's release store
 *   shared_store_*         relaxed
 *   shared_store_release_* release                  publishes what was written before;
 *                                                   pairs with the peer's acquire load
 *   shared_fence_full()    sequentially consistent  between my store and my load of the peer's word
 *                                                   (store-buffering); both sides need one
 *   shared_store_seq_cst_u32()
 *                          sequentially consistent  a store that is seen before anything that
 *                                                   follows it
 *
 * On x86-64 loads and stores of all these orders are plain moves, except that the seq_cst
 * store is an exchange and the full fence a locked instruction on a word that nobody else
 * has. Where the words behind the store lie in its cache line, as in a ring's control page, a
 * plain store and the fence cost half of what the exchange does: a load from the line of an
 * exchange waits for all of it. */
#ifndef BASE_SHARED_H
#define BASE_SHARED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define SHARED_ACCESSORS_(bits)                                                                    \
        static inline uint##bits##_t shared_load_u##bits(const void *address)                      \
        {                                                                                          \
                return __atomic_load_n((const uint##bits##_t *)address, __ATOMIC_RELAXED);         \
        }                                                                                          \
        static inline uint##bits##_t shared_load_acquire_u##bits(const void *address)              \
        {                                                                                          \
                return __atomic_load_n((const uint##bits##_t *)address, __ATOMIC_ACQUIRE);         \
        }                                                                                          \
        static inline void shared_store_u##bits(void *address, uint##bits##_t value)               \
        {                                                                                          \
                __atomic_store_n((uint##bits##_t *)address, value, __ATOMIC_RELAXED);              \
        }                                                                                          \
        static inline void shared_store_release_u##bits(void *address, uint##bits##_t value)       \
        {                                                                                          \
                __atomic_store_n((uint##bits##_t *)address, value, __ATOMIC_RELEASE);              \
        }

SHARED_ACCESSORS_(8)
SHARED_ACCESSORS_(16)
SHARED_ACCESSORS_(32)
SHARED_ACCESSORS_(64)
#undef SHARED_ACCESSORS_

static inline void shared_store_seq_cst_u32(void *address, uint32_t value)
{
        __atomic_store_n((uint32_t *)address, value, __ATOMIC_SEQ_CST);
}

/* Below the stack pointer, out of the way of what was just stored there, and yet in this thread's
 * own memory: the instruction changes nothing, whatever lies there. (A compiler's own fence is an
 * MFENCE or waits for the word on top of the stack: twice the time, or a tenth more.) */
static inline void shared_fence_full(void)
{
#if defined(__x86_64__)
        __asm__ volatile("lock orl $0, -64(%%rsp)" ::: "memory", "cc");
#else
        atomic_thread_fence(memory_order_seq_cst);
#endif
}

static inline void shared_fence_acquire(void)
{
        atomic_thread_fence(memory_order_acquire);
}

static inline void shared_fence_release(void)
{
        atomic_thread_fence(memory_order_release);
}

/* Hides from the compiler what it knows of a size that is no constant. From a bound it
 * would conclude that a copy is short and expand it to a string instruction, whose start
 * costs more than calling memcpy. */
static inline size_t shared_hide_size_(size_t bytes)
{
        __asm__("" : "+r"(bytes));
        return bytes;
}

/* Copies between private and shared memory, any alignment, any length. Every shared byte is
 * accessed exactly once (the compiler cannot re-read the source: its memory is declared changed on
 * both sides of the copy). The copy is not atomic as a whole: a peer that breaks the rules can tear
 * it, so what was copied in is checked after the copy, never before. */
static inline void shared_copy_in(void *restrict private_bytes, const void *restrict shared_bytes,
                                  size_t bytes)
{
        if (!__builtin_constant_p(bytes))
                bytes = shared_hide_size_(bytes);
        __asm__ volatile("" ::: "memory");
        __builtin_memcpy(private_bytes, shared_bytes, bytes);
        __asm__ volatile("" ::: "memory");
}

static inline void shared_copy_out(void *restrict shared_bytes, const void *restrict private_bytes,
                                   size_t bytes)
{
        if (!__builtin_constant_p(bytes))
                bytes = shared_hide_size_(bytes);
        __asm__ volatile("" ::: "memory");
        __builtin_memcpy(shared_bytes, private_bytes, bytes);
        __asm__ volatile("" ::: "memory");
}

#endif
