/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* user_copy — bytes from and to the user half of the address space, whatever is mapped there.
 *
 *   user_copy_from   range check -> SMAP open -> copy -> SMAP closed
 *                                                | fault
 *                     user fault handler: filled in -> the copy goes on
 *                     exception table: cannot be -> the copy ends and knows how far it came
 *
 * Nobody else touches user memory: an ordinary access is a panic on a CPU with SMAP, and should be
 * read as a bug on one without. An address is a number here (user_va), never a pointer, so that it
 * cannot be followed by accident.
 *
 * Context     thread, interrupts on or off; not in interrupt handlers. The access may fault, and
 *             the fault may take locks: none to the right of "vmar tree" in kernel/cpu.h may be
 *             held
 * Errors      in this order:
 *             ZX_ERR_INVALID_ARGS   the range is not in the user half (kernel address, hole, or it
 *                                   wraps)
 *             ZX_ERR_NOT_FOUND      nothing is mapped at the byte at which it ended
 *             ZX_ERR_ACCESS_DENIED  something is, and forbids this access (a write to a read-only
 *                                   page)
 *             ZX_ERR_OUT_OF_RANGE   a mapping, beyond the end of its VMO
 *             ZX_ERR_NO_MEMORY      there is no page for it, or no table; later there may be
 *             Bytes before that one are copied; nothing behind it is touched
 * Not errors  a fault on the kernel's side of the copy is our bug and a panic, as everywhere
 * Peer        user memory may change while it is read: read it once, into memory of the kernel,
 *             check that
 * Facts       Intel SDM 3, 4.6.1 (SMAP and RFLAGS.AC); volume 1, 7.3.9.3 (a fault inside REP MOVS);
 *             spec/zircon-objects.md, 1 (status codes) and 4.3 */
#ifndef KERNEL_USER_COPY_H
#define KERNEL_USER_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

/* Whether bytes [user_va, user_va + bytes) lie in the user half, without wrapping. 0 bytes: where
 * user_va may point one past the last byte of the half. Says nothing about what is mapped. */
bool user_copy_range_valid(uint64_t user_va, size_t bytes);

/* Copies `bytes` bytes of user memory to `destination`.
 *   bytes       0: ZX_OK, user_va is not looked at
 *   copied_out  (may be NULL) how many bytes were copied, from the front; all of them with ZX_OK
 *   returns     as above */
zx_status_t MUST_CHECK user_copy_from(void *destination, uint64_t user_va, size_t bytes,
                                      size_t *copied_out);
/* The other way round. */
zx_status_t MUST_CHECK user_copy_to(uint64_t user_va, const void *source, size_t bytes,
                                    size_t *copied_out);

#endif
