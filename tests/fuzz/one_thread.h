/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* one_thread — locks in a fuzz target, which has one thread: one that is taken stays so, and to
 * wait for it is a finding. */
#ifndef TESTS_FUZZ_ONE_THREAD_H
#define TESTS_FUZZ_ONE_THREAD_H

#include <stdlib.h>

#include "base/spinlock.h"

void spinlock_wait(void)
{
        abort();
}

uint32_t spinlock_self(void)
{
        return 1;
}

#endif
