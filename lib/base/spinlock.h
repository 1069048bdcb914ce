/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* spinlock — mutual exclusion between CPUs (or, on the host, threads) for sections that are short
 * and bounded.
 *
 *   struct spinlock lock = SPINLOCK_INIT("pmm");
 *   spinlock_take(&lock);  ...  spinlock_give(&lock);
 *
 * A waiter reads until the word looks free and only then tries to write it (test and test-and-set),
 * so that waiting moves no cache line between CPUs. Not fair, on purpose: under a hypervisor a
 * waiter may be off its processor for milliseconds, and a queue would make everybody behind it wait
 * for it; here whoever runs gets on. Nobody starves for longer than the others keep the lock busy
 * without a gap; keep sections short.
 *
 * Owner      the caller; an unlocked lock may be moved or forgotten
 * Context    any, with one rule: a lock that an interrupt handler takes is taken with interrupts
 *            off everywhere (cpu_lock_irq_save in kernel/cpu.h). The lock knows nothing of
 *            interrupts. The order in which locks nest is written in kernel/cpu.h
 * Invariants [S1] word is 1 exactly while somebody is between take and give
 *            [S2] with PARAVANE_DEBUG, owner is the holder's spinlock_self() while word is 1, else
 *            0
 * Errors     in every build: giving a lock that is not held. With PARAVANE_DEBUG: taking one that
 *            the taker holds, giving one that somebody else holds
 * Order      take is an acquire that pairs with the release in give: what was written before a give
 *            is seen after the next take */
#ifndef BASE_SPINLOCK_H
#define BASE_SPINLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/compiler.h"

struct spinlock {
        atomic_uint word;
#if PARAVANE_DEBUG
        atomic_uint owner;
#endif
        const char *name; /* static text, for messages */
};

#define SPINLOCK_INIT(lock_name) {.name = (lock_name)}

/* Supplied by the world a part is built into, as assert_failed is.
 *
 * Called between two looks at a lock that is taken: the kernel answers a pending TLB shoot-down
 * there, for the CPU that waits may have interrupts off and be the one that the holder waits for; a
 * host program yields. */
void spinlock_wait(void);
/* A number other than 0 for the CPU or thread that calls. Only used with PARAVANE_DEBUG. */
uint32_t spinlock_self(void);

#if PARAVANE_DEBUG
static inline bool spinlock_is_owner_(const struct spinlock *lock)
{
        atomic_uint *owner = (atomic_uint *)(uintptr_t)&lock->owner;
        return atomic_load_explicit(owner, memory_order_relaxed) == spinlock_self();
}
#endif

static inline void spinlock_init(struct spinlock *lock, const char *name)
{
        *lock = (struct spinlock)SPINLOCK_INIT(name);
}

/* Takes the lock if nobody has it; never waits.
 *   returns  whether it was taken */
static inline bool MUST_CHECK spinlock_try(struct spinlock *lock)
{
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) != 0 ||
            atomic_exchange_explicit(&lock->word, 1, memory_order_acquire) != 0)
                return false;
#if PARAVANE_DEBUG
        atomic_store_explicit(&lock->owner, spinlock_self(), memory_order_relaxed);
#endif
        return true;
}

/* Takes the lock, waits while somebody else has it. */
static inline void spinlock_take(struct spinlock *lock)
{
#if PARAVANE_DEBUG
        /* Only we write our own number there,
         * so a torn moment of somebody else's cannot look like it. */
        ASSERT(!spinlock_is_owner_(lock)); /* [S2] */
#endif
        while (UNLIKELY(!spinlock_try(lock)))
                spinlock_wait();
}

/* Gives it back; the caller holds it. */
static inline void spinlock_give(struct spinlock *lock)
{
        ASSERT(atomic_load_explicit(&lock->word, memory_order_relaxed) != 0); /* [S1] */
#if PARAVANE_DEBUG
        ASSERT(spinlock_is_owner_(lock)); /* [S2] */
        atomic_store_explicit(&lock->owner, 0, memory_order_relaxed);
#endif
        atomic_store_explicit(&lock->word, 0, memory_order_release);
}

/* Whether somebody holds it at this moment. Only "the caller holds it" is a safe conclusion, and
 * only where the caller does: for assertions at the top of functions that need the lock. */
static inline bool spinlock_is_held(const struct spinlock *lock)
{
#if PARAVANE_DEBUG
        return spinlock_is_owner_(lock);
#else
        atomic_uint *word = (atomic_uint *)(uintptr_t)&lock->word;
        return atomic_load_explicit(word, memory_order_relaxed) != 0;
#endif
}

#endif
