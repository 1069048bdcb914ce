/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar_internal — what vmar.c (space, handles, destroy), vmar_place.c (where), vmar_map.c (map,
 * unmap), vmar_protect.c, vmar_range.c (operations, faults) and vmar_valid.c share.
 *
 * All functions: the space's lock is held. */
#ifndef KERNEL_VMAR_INTERNAL_H
#define KERNEL_VMAR_INTERNAL_H

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/vmar.h"
#include "kernel/vmar_tree.h"

enum vmar_node_kind { VMAR_NODE_REGION = 1, VMAR_NODE_MAPPING = 2 };

struct vmar {
        struct vmar_node node; /* in parent->children; base and bytes are constant */
        struct vmar_space *space; /* constant */
        struct vmar *parent;      /* NULL: the root, or dead */
        struct vmar_tree children;
        uint32_t references; /* atomic: the handles', and the tree's while it is alive */
        uint32_t options;    /* constant: VMAR_CAN_MAP_*, VMAR_COMPACT */
        bool alive;
};

struct vmar_mapping {
        struct vmar_node node; /* in parent->children */
        struct vmar *parent;
        struct vmar_table *table; /* constant */
        struct vmo *vmo;          /* constant; the link's reference */
        struct vmo_mapping_link link;
        uint64_t va_of_offset_0; /* constant, modulo 2^64: unmap_range needs it without our lock */
        uint64_t origin; /* constant: which vmar_map made it; pieces of one have the same */
        uint32_t permissions;    /* VMAR_PERM_* */
        uint32_t permissions_max;
};

static inline struct vmar *vmar_of_node(struct vmar_node *node)
{
        DEBUG_ASSERT(node->kind == VMAR_NODE_REGION);
        return CONTAINER_OF(node, struct vmar, node);
}

static inline struct vmar_mapping *vmar_mapping_of_node(struct vmar_node *node)
{
        DEBUG_ASSERT(node->kind == VMAR_NODE_MAPPING);
        return CONTAINER_OF(node, struct vmar_mapping, node);
}

static inline uint64_t vmar_end(const struct vmar *vmar)
{
        return vmar_node_end(&vmar->node);
}

/* Whether [va, va + bytes) is inside a region; bytes is not 0. */
static inline bool vmar_contains(const struct vmar *vmar, uint64_t va, uint64_t bytes)
{
        return va >= vmar->node.base && va < vmar_end(vmar) && bytes <= vmar_end(vmar) - va;
}

/* Rounded up to a page; 0 when that is past 2^64. */
static inline uint64_t vmar_page_round_up(uint64_t bytes)
{
        return bytes > UINT64_MAX - (PAGE_BYTES - 1) ? 0 : round_up(bytes, PAGE_BYTES);
}

/* CAN_MAP_* for PERM_*, and rights for either. */
#define VMAR_CAN_MAP_SHIFT (VMAR_CAN_MAP_READ_BIT - VMAR_PERM_READ_BIT)
_Static_assert(VMAR_CAN_MAP_MASK == VMAR_PERM_MASK << VMAR_CAN_MAP_SHIFT, "in the same order");
#define VMAR_RIGHTS_SHIFT RIGHT_READ_BIT
_Static_assert((RIGHT_READ | RIGHT_WRITE | RIGHT_EXECUTE) == VMAR_PERM_MASK << VMAR_RIGHTS_SHIFT,
               "in the same order");
static inline uint32_t vmar_permissions_of_options(uint32_t options)
{
        return (options & VMAR_CAN_MAP_MASK) >> VMAR_CAN_MAP_SHIFT;
}
static inline uint32_t vmar_permissions_of_rights(uint32_t rights)
{
        return rights >> VMAR_RIGHTS_SHIFT & VMAR_PERM_MASK;
}

/* WRITE or EXECUTE without READ is no set of permissions. */
static inline bool vmar_permissions_sane(uint32_t permissions)
{
        return permissions == 0 || (permissions & VMAR_PERM_READ) != 0;
}

/* WRITE with EXECUTE where the space forbids it. */
static inline bool vmar_permissions_forbidden(const struct vmar_space *space, uint32_t permissions)
{
        const uint32_t both = VMAR_PERM_WRITE | VMAR_PERM_EXECUTE;
        return space->forbid_write_execute && (permissions & both) == both;
}

/* ---- vmar.c ---- */

/* Gives one reference back; with the last one the region's memory goes.
 * With or without the lock. */
void vmar_release(struct vmar *vmar);
/* Takes `vmar` and all that is in it out of the tree;
 * the page table has forgotten the range already. */
void vmar_take_apart(struct vmar *vmar);

/* ---- vmar_place.c ---- */

/* Bits that are no option, or an alignment that is none. */
bool vmar_options_unknown(uint32_t options);
struct vmar_place {
        uint32_t options;
        uint64_t offset, bytes;
};
/* Rows 5 to 11 of vmar_allocate. */
zx_status_t MUST_CHECK vmar_check_place(const struct vmar *parent, const struct vmar_place *place);
/* Row 12, for a place that was checked.
 * SPECIFIC_OVERWRITE: ZX_ERR_INVALID_ARGS for a region in the way. */
zx_status_t MUST_CHECK vmar_find_place(struct vmar *parent, const struct vmar_place *place,
                                       uint64_t *base_out);

/* ---- vmar_map.c ---- */

/* The mapping at `va`, at any depth; NULL: none. */
struct vmar_mapping *vmar_mapping_at(struct vmar *top, uint64_t va);
/* The first mapping that ends after `va`, at any depth below `top`; NULL: none. */
struct vmar_mapping *vmar_mapping_at_or_after(struct vmar *top, uint64_t va);
/* Makes [base, at) of `mapping` and [at, end) of `spare`, which is fresh from the slab. */
void vmar_mapping_split(struct vmar_mapping *mapping, uint64_t at, struct vmar_mapping *spare);
/* Makes one of two neighbours that one vmar_map made and that differ in nothing; `second` is gone
 * then. Others stay two, so that to unmap what one vmar_map made never needs memory.
 *   returns  whether they could be joined */
bool vmar_mapping_join(struct vmar_mapping *first, struct vmar_mapping *second);
/* Takes it out of the tree and off the VMO; the page table has forgotten it. */
void vmar_mapping_remove(struct vmar_mapping *mapping);

/* ---- vmar_range.c ---- */

/* Enters the pages of [va, va + bytes), all in `mapping`, that are there. ZX_OK; ZX_ERR_NO_MEMORY:
 * some were entered. */
zx_status_t MUST_CHECK vmar_mapping_enter(struct vmar_mapping *mapping, uint64_t va,
                                          uint64_t bytes);

#endif
