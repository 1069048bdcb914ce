/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* user_copy — what arch.h says of user memory, over user_copy.S. */
#include "arch/arch.h"
#include "arch/cpu.h"

/* user_copy.S */
uint64_t user_copy_bytes(void *destination, const void *source, uint64_t bytes,
                         zx_status_t *status_out, bool has_smap);

uint64_t arch_user_copy(void *destination, const void *source, uint64_t bytes,
                        zx_status_t *status_out)
{
        return user_copy_bytes(destination, source, bytes, status_out, cpu_features()->smap);
}
