/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar_manager — a region that several share and the last of them destroys.
 *
 *   home ── root                       NULL as a manager means the root, everywhere
 *     ^      └─ region <── manager <── child manager's parent, mappers, the creator
 *
 * Many small mappings scattered over a large region each need page tables of their own; a COMPACT
 * region lays them side by side under the same tables. That is what a manager is for.
 *
 * Owner       managers come from the home's slab; one reference from create or use to put. A child
 *             holds a reference on its parent, a mapper one on its manager, so a region outlives
 *             what is in it
 * Context     as vmar.h; references are atomic
 * Invariants  [M1] an owned region is alive as long as its manager: nobody else destroys it, nor a
 *                  region around it, nor closes the manager's handle
 *             [M2] a used region is alive as long as a mapper or a child's manager is in it
 * Errors      breaking [M1] or [M2] is our bug: an ASSERT ends the run when the manager, child or
 *             mapper gives back what is gone already. So is giving a reference back twice, or
 *             taking one of a manager that is gone: an ASSERT, as long as its memory is nobody
 *             else's yet
 * Better      than the original: the status of a failure is returned, not lost; sizes are rounded
 *             up to a page instead of failing
 * Facts       spec/zircon-objects.md, 8 */
#ifndef KERNEL_VMAR_MANAGER_H
#define KERNEL_VMAR_MANAGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "kernel/slab.h"
#include "kernel/vmar.h"

/* Where managers and mappers are at home: what a process is to the original. */
struct vmar_home {
        struct vmar_handle root; /* its reference is somebody else's */
        struct slab managers;
        struct vmo_pool *vmos;   /* of VMOs that a mapper makes */
};
/* ZX_ERR_INVALID_ARGS: no root, no pool. `pool`->pmm is where managers come from. */
zx_status_t MUST_CHECK vmar_home_init(struct vmar_home *home, struct vmar_handle root,
                                      struct vmo_pool *pool);
/* All managers are gone; otherwise our bug. */
void vmar_home_fini(struct vmar_home *home);

struct vmar_manager {
        uint32_t references; /* atomic */
        bool owned;          /* destroyed with the last reference */
        struct vmar_home *home;
        struct vmar_manager *parent; /* NULL: the root */
        struct vmar_handle region;   /* one reference */
        uint64_t start;
        uint64_t bytes;
};

#define VMAR_MANAGER_OPTIONS_DEFAULT (VMAR_COMPACT | VMAR_CAN_MAP_READ | VMAR_CAN_MAP_WRITE)

struct vmar_manager_request {
        uint64_t bytes;              /* rounded up to a page */
        struct vmar_manager *parent; /* NULL: the root */
        uint32_t options;            /* VMAR_MANAGER_OPTIONS_DEFAULT is the usual */
};
/* Allocates a region and becomes its owner.
 *   manager_out  out: one reference; NULL on failure
 *   returns      ZX_OK; ZX_ERR_INVALID_ARGS: bytes 0 or rounding up past 2^64, a parent without a
 *                region; ZX_ERR_NO_MEMORY; what vmar_allocate says */
zx_status_t MUST_CHECK vmar_manager_create(struct vmar_home *home,
                                           const struct vmar_manager_request *request,
                                           struct vmar_manager **manager_out);
/* Makes a manager of a region that is somebody else's and stays so. Its owner must not destroy it
 * under a mapper or a child [M2]. Without either he may: then create and map with this manager say
 * ZX_ERR_BAD_STATE, and its last put only closes the handle.
 *   region       duplicated, not consumed
 *   manager_out  out: one reference; NULL for the root region, which is its own manager, and on
 *                failure
 *   returns      ZX_OK; ZX_ERR_NO_MEMORY; ZX_ERR_INVALID_ARGS: no handle; what vmar_get_info and
 *                vmar_duplicate say: ZX_ERR_ACCESS_DENIED */
zx_status_t MUST_CHECK vmar_manager_use(struct vmar_home *home, struct vmar_handle region,
                                        struct vmar_manager **manager_out);

/* One more reference, or one less; NULL is fine. With the last one an owned region is destroyed
 * with all that is in it, the handle is closed, and the parent's reference given back. */
void vmar_manager_get(struct vmar_manager *manager);
void vmar_manager_put(struct vmar_manager *manager);

/* The region to map in: the home's root for NULL. Borrowed. */
struct vmar_handle vmar_manager_region(struct vmar_home *home, const struct vmar_manager *manager);

#endif
