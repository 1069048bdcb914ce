/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* world_threads — what lib/base/spinlock.h asks of a host program: threads stand for CPUs. */
#include <sched.h>
#include <stdatomic.h>

#include "base/spinlock.h"

void spinlock_wait(void)
{
        sched_yield();
}

uint32_t spinlock_self(void)
{
        static atomic_uint last;
        static _Thread_local uint32_t self;

        if (self == 0)
                self = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
        return self;
}
