/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* stdatomic — stands in for C's own when lib/vmbus_ring/vmbus_multi.c is compiled for the relacy
 * model checker, inside a namespace: what that file uses of it, on relacy's atomics. Relacy has
 * made memory_order_* macros of two arguments: the order, and where in the source it stands. */
typedef rl::atomic<unsigned> atomic_uint;

using rl::mo_acquire;
using rl::mo_relaxed;
using rl::mo_release;

static void atomic_init(atomic_uint *word, unsigned value)
{
        word->store(value, memory_order_relaxed);
}
static unsigned atomic_load_explicit(const atomic_uint *word, rl::memory_order order,
                                     const rl::debug_info &place)
{
        return word->load(order, place);
}
static void atomic_store_explicit(atomic_uint *word, unsigned value, rl::memory_order order,
                                  const rl::debug_info &place)
{
        word->store(value, order, place);
}
static unsigned atomic_exchange_explicit(atomic_uint *word, unsigned value, rl::memory_order order,
                                         const rl::debug_info &place)
{
        return word->exchange(value, order, place);
}
static unsigned atomic_fetch_add_explicit(atomic_uint *word, unsigned value, rl::memory_order order,
                                          const rl::debug_info &place)
{
        return word->fetch_add(value, order, place);
}
