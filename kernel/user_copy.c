/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* user_copy — range checks and status codes around arch_user_copy. */
#include "kernel/user_copy.h"

#include "arch/arch.h"
#include "base/bytes.h"

bool user_copy_range_valid(uint64_t user_va, size_t bytes)
{
        return user_va <= ARCH_USER_END && bytes <= ARCH_USER_END - user_va;
}

static zx_status_t copy(void *destination, const void *source, size_t bytes, size_t *copied_out)
{
        zx_status_t status;
        size_t copied = arch_user_copy(destination, source, bytes, &status);

        if (copied_out != NULL)
                *copied_out = copied;
        return status;
}

/* What both functions say without copying; false: there is something to copy. */
static bool is_decided(uint64_t user_va, size_t bytes, size_t *copied_out, zx_status_t *status)
{
        if (copied_out != NULL)
                *copied_out = 0;
        *status = bytes == 0 || user_copy_range_valid(user_va, bytes) ? ZX_OK : ZX_ERR_INVALID_ARGS;
        return bytes == 0 || *status != ZX_OK;
}

zx_status_t user_copy_from(void *destination, uint64_t user_va, size_t bytes, size_t *copied_out)
{
        zx_status_t status;

        if (is_decided(user_va, bytes, copied_out, &status))
                return status;
        return copy(destination, (const void *)user_va, bytes, copied_out);
}

zx_status_t user_copy_to(uint64_t user_va, const void *source, size_t bytes, size_t *copied_out)
{
        zx_status_t status;

        if (is_decided(user_va, bytes, copied_out, &status))
                return status;
        return copy((void *)user_va, source, bytes, copied_out);
}
