/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_user — a VMO's bytes from and to user memory: vmo_read_to and vmo_write_from (kernel/vmo.h)
 * over kernel/user_copy.h. The memory may be a mapping of the same VMO.
 *
 * Context  as user_copy: it may fault and take locks, a VMO's among them; with none held
 * Errors   those of vmo_read and vmo_write come first, then of the whole range of user memory
 *          (ZX_ERR_INVALID_ARGS: not in the user half; nothing is copied), then the copy's own
 * Facts    spec/zircon-objects.md, 6. Unlike there: memory that is mapped otherwise says
 *          ZX_ERR_ACCESS_DENIED, not NOT_FOUND, as everywhere in user_copy.h */
#ifndef KERNEL_VMO_USER_H
#define KERNEL_VMO_USER_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "kernel/vmo.h"

/* `bytes` bytes from `offset` of the VMO to user memory at `user_va`. A copy that failed has
 * written what it reached, from the front. */
zx_status_t MUST_CHECK vmo_read_user(struct vmo *vmo, uint64_t user_va, uint64_t offset,
                                     size_t bytes);
/* The other way round; pages of the VMO that are missing are made first, all or nothing. */
zx_status_t MUST_CHECK vmo_write_user(struct vmo *vmo, uint64_t user_va, uint64_t offset,
                                      size_t bytes);

#endif
