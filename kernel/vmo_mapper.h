/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_mapper — owns at most one mapping and takes it away in the end.
 *
 *   struct vmo_mapper mapper;
 *   vmo_mapper_init(&mapper, home);
 *   vmo_mapper_create_and_map(&mapper, &(struct vmo_mapper_create){.bytes = 100, ...}, NULL);
 *   ... mapper.start ...
 *   vmo_mapper_fini(&mapper);
 *
 * Owner       the caller's storage; it holds a reference on its manager (NULL: the root) while
 *             something is mapped. May move, by vmo_mapper_move only
 * Context     as vmar.h; one mapper is one thread's
 * Invariants  [P1] start is 0 exactly when nothing is mapped; then bytes is 0 and manager NULL
 *             [P2] what is mapped is in a region that is alive, and only the mapper takes it away
 * Errors      a region destroyed under a mapper ([M2] of vmar_manager.h) is our bug: an ASSERT ends
 *             the run in unmap, fini or move. Addresses that somebody else has unmapped are not
 *             noticed: unmapping a hole is ZX_OK, and what lies there meanwhile goes
 * Better      than the original: moving a mapper onto itself changes nothing
 * Facts       spec/zircon-objects.md, 9 */
#ifndef KERNEL_VMO_MAPPER_H
#define KERNEL_VMO_MAPPER_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "kernel/vmar_manager.h"

struct vmo_mapper {
        struct vmar_home *home;
        struct vmar_manager *manager;
        uint64_t start; /* address */
        uint64_t bytes; /* as asked for, not rounded */
};

void vmo_mapper_init(struct vmo_mapper *mapper, struct vmar_home *home);
/* Unmaps. */
void vmo_mapper_fini(struct vmo_mapper *mapper);

struct vmo_mapper_create {
        uint64_t bytes;
        uint32_t map_options;         /* VMAR_PERM_* and the like */
        struct vmar_manager *manager; /* NULL: the root */
        uint32_t rights;              /* that *vmo_out gets; RIGHT_SAME: RIGHTS_VMO_DEFAULT */
        uint32_t cache_policy;        /* enum vmo_cache_policy */
        uint32_t vmo_options;         /* VMO_RESIZABLE or 0 */
};
/* Makes a VMO and maps all of it. Checks, in this order, nothing changed after a failure:
 *   INVALID_ARGS  bytes 0
 *   BAD_STATE     something is mapped already; it stays
 *   INVALID_ARGS  a manager without a region
 *   what vmo_create, vmo_set_cache_policy (policy other than 0) and vmar_map say
 *   INVALID_ARGS  vmo_out is there and `rights` is more than RIGHTS_VMO_DEFAULT
 *   vmo_out  out: a handle with one reference, the caller's; NULL: only the mapping keeps the VMO.
 *            Untouched on failure */
zx_status_t MUST_CHECK vmo_mapper_create_and_map(struct vmo_mapper *mapper,
                                                 const struct vmo_mapper_create *request,
                                                 struct vmo_handle *vmo_out);

struct vmo_mapper_map {
        struct vmo_handle vmo; /* its reference stays the caller's */
        uint64_t offset;
        uint64_t bytes; /* 0: to the end of the VMO */
        uint32_t map_options;
        struct vmar_manager *manager;
};
/* Maps a part of a VMO. Checks, in this order:
 *   INVALID_ARGS  no VMO
 *   BAD_STATE     something is mapped already; it stays
 *   INVALID_ARGS  a manager without a region
 *   OUT_OF_RANGE  offset + bytes overflows or is more than the VMO's size
 *   what vmar_map says; INVALID_ARGS for nothing: offset is the VMO's size and bytes 0 */
zx_status_t MUST_CHECK vmo_mapper_map(struct vmo_mapper *mapper,
                                      const struct vmo_mapper_map *request);

/* Takes the mapping away and gives the manager's reference back; nothing when nothing is mapped. */
void vmo_mapper_unmap(struct vmo_mapper *mapper);

/* Unmaps `to`, then gives it what `from` has; `from` becomes empty. The address does not change.
 * Onto itself: nothing. `to` has been initialised. */
void vmo_mapper_move(struct vmo_mapper *to, struct vmo_mapper *from);

#endif
