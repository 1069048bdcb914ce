/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar — virtual address regions: who may put what where in an address space.
 *
 *   space ── root region [base, base + bytes)
 *              ├─ mapping  VMO a, read/write
 *              ├─ region   what may be mapped in it: CAN_MAP_*
 *              │    ├─ mapping  VMO a, read
 *              │    └─ region
 *              └─ mapping  VMO b
 *
 * Children of a region lie inside it and do not overlap. The tree is the truth; a page table (an
 * interface here: struct vmar_table) is only a cache of it, filled by faults or ahead of time, and
 * whatever it has lost comes back by the next fault. So nothing that takes something away can fail.
 *
 * A mapping knows one set of permissions. vmar_protect on a part of one makes pieces of it, and
 * joins them again when they differ in nothing any more: permissions may differ inside what one
 * vmar_map made. What different calls made stays apart.
 *
 * Owner       vmar_space_init's caller gives the storage; regions and mappings live in slabs of the
 *             space. A struct vmar_handle counts as one reference on its region: from vmar_allocate
 *             or vmar_duplicate to vmar_close. Closing does not free the addresses; vmar_destroy
 *             does, and leaves the handle valid, but every operation on it says BAD_STATE
 * Context     any CPU; not from interrupt handlers. One lock for the space, "vmar tree" in the lock
 *             order, held over VMO and page-table work. No recursion; loops are bounded by the
 *             number of children in the range
 * Invariants  [R1] children lie inside their region, in order, without overlap ([T1]..[T3] of
 *                  vmar_tree.h)
 *             [R2] a mapping's permissions are a part of what it may ever have, and that of its
 *                  region's
 *             [R3] each mapping is on its VMO's list with exactly its window, and holds a reference
 *             [R4] the page table shows nothing where no mapping is, and nowhere more than its
 *                  mapping permits
 *             [R5] region_count and mapping_count are right; dead regions have no children and no
 *                  parent
 * Better      than Zircon, on purpose:
 *             - unmap and protect are all or nothing: what memory they need, they get before the
 *               first change (Zircon's protect can end with NO_MEMORY half way)
 *             - range operations hold the lock from the checks to the end; only what the VMO says
 *               can end one half way
 * Differs     where Zircon's documents and code disagree, the newer code is followed: SPECIFIC on
 *             an occupied range ALREADY_EXISTS; no room NO_RESOURCES; unmap of holes ZX_OK; COMPACT
 *             places at the first fit, without randomness; protect through a parent region is
 *             allowed when it only takes permissions away, else ACCESS_DENIED; a mapping beyond the
 *             end of its VMO is allowed, touching that part is not.
 *             A space may forbid WRITE together with EXECUTE (the kernel's does): ACCESS_DENIED
 * Facts       spec/zircon-objects.md, 7 */
#ifndef KERNEL_VMAR_H
#define KERNEL_VMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/spinlock.h"
#include "base/status.h"
#include "kernel/rights.h"
#include "kernel/slab.h"
#include "kernel/vmo.h"

/* ---- options, 7.1 ---- */

enum vmar_option_bit {
        VMAR_PERM_READ_BIT = 0,
        VMAR_PERM_WRITE_BIT = 1,
        VMAR_PERM_EXECUTE_BIT = 2,
        VMAR_COMPACT_BIT = 3,
        VMAR_SPECIFIC_BIT = 4,
        VMAR_SPECIFIC_OVERWRITE_BIT = 5,
        VMAR_CAN_MAP_SPECIFIC_BIT = 6,
        VMAR_CAN_MAP_READ_BIT = 7,
        VMAR_CAN_MAP_WRITE_BIT = 8,
        VMAR_CAN_MAP_EXECUTE_BIT = 9,
        VMAR_MAP_RANGE_BIT = 10,
        VMAR_REQUIRE_NON_RESIZABLE_BIT = 11,
        VMAR_ALLOW_FAULTS_BIT = 12,
        VMAR_OFFSET_IS_UPPER_LIMIT_BIT = 13,
        VMAR_PERM_READ_IF_XOM_UNSUPPORTED_BIT = 14,
        VMAR_OPTION_BIT_COUNT = 15,
        VMAR_ALIGN_SHIFT = 24, /* log2 of the alignment in 8 bits: 0, or 10..32 */
};
#define VMAR_PERM_READ ((uint32_t)BIT_MASK(VMAR_PERM_READ_BIT))
#define VMAR_PERM_WRITE ((uint32_t)BIT_MASK(VMAR_PERM_WRITE_BIT))
#define VMAR_PERM_EXECUTE ((uint32_t)BIT_MASK(VMAR_PERM_EXECUTE_BIT))
#define VMAR_PERM_MASK (VMAR_PERM_READ | VMAR_PERM_WRITE | VMAR_PERM_EXECUTE)
/* A region in which placement is the first fit. Not inherited by its sub-regions. */
#define VMAR_COMPACT ((uint32_t)BIT_MASK(VMAR_COMPACT_BIT))
/* Exactly at the offset. Needs CAN_MAP_SPECIFIC of the region. */
#define VMAR_SPECIFIC ((uint32_t)BIT_MASK(VMAR_SPECIFIC_BIT))
/* The same, and mappings that are in the way are replaced there. */
#define VMAR_SPECIFIC_OVERWRITE ((uint32_t)BIT_MASK(VMAR_SPECIFIC_OVERWRITE_BIT))
#define VMAR_CAN_MAP_SPECIFIC ((uint32_t)BIT_MASK(VMAR_CAN_MAP_SPECIFIC_BIT))
#define VMAR_CAN_MAP_READ ((uint32_t)BIT_MASK(VMAR_CAN_MAP_READ_BIT))
#define VMAR_CAN_MAP_WRITE ((uint32_t)BIT_MASK(VMAR_CAN_MAP_WRITE_BIT))
#define VMAR_CAN_MAP_EXECUTE ((uint32_t)BIT_MASK(VMAR_CAN_MAP_EXECUTE_BIT))
#define VMAR_CAN_MAP_MASK (VMAR_CAN_MAP_READ | VMAR_CAN_MAP_WRITE | VMAR_CAN_MAP_EXECUTE)
/* Enter the pages that are there into the page table at once. */
#define VMAR_MAP_RANGE ((uint32_t)BIT_MASK(VMAR_MAP_RANGE_BIT))
#define VMAR_REQUIRE_NON_RESIZABLE ((uint32_t)BIT_MASK(VMAR_REQUIRE_NON_RESIZABLE_BIT))
#define VMAR_ALLOW_FAULTS ((uint32_t)BIT_MASK(VMAR_ALLOW_FAULTS_BIT))
/* The offset is where the range must end at the latest. Needs CAN_MAP_SPECIFIC of the region. */
#define VMAR_OFFSET_IS_UPPER_LIMIT ((uint32_t)BIT_MASK(VMAR_OFFSET_IS_UPPER_LIMIT_BIT))
/* This CPU has no execute-only memory: the same as PERM_READ. */
#define VMAR_PERM_READ_IF_XOM_UNSUPPORTED \
        ((uint32_t)BIT_MASK(VMAR_PERM_READ_IF_XOM_UNSUPPORTED_BIT))
/* Below a page is the same as a page. */
#define VMAR_ALIGN(log2) ((uint32_t)(log2) << VMAR_ALIGN_SHIFT)
#define VMAR_ALIGN_LOG2_MIN 10
#define VMAR_ALIGN_LOG2_MAX 32

/* ---- the page table ---- */

/* One run of pages for it. */
struct vmar_table_entry {
        uint64_t va, pa, bytes; /* page aligned */
        uint32_t permissions;   /* VMAR_PERM_*; not 0 */
        enum vmo_cache_policy policy;
};
/* Called with the space's lock held, `map` and `unmap` also with a VMO's. Must not call vmar.h or
 * vmo.h; takes what lock it needs by itself. */
struct vmar_table {
        /* Shows these pages. Whatever was entered at these addresses is replaced.
         *   returns  ZX_OK; ZX_ERR_NO_MEMORY, or a status of its own (an address that this CPU
         *            cannot reach): then none of these addresses shows anything */
        zx_status_t (*map)(struct vmar_table *table, const struct vmar_table_entry *entry);
        /* Shows nothing there any more, on no CPU, when it returns. Holes are fine. It may take
         * away more than it was asked to where it has no memory for less. */
        void (*unmap)(struct vmar_table *table, uint64_t va, uint64_t bytes);
        /* What is entered there gets these permissions (not 0), on all CPUs when it returns. It may
         * take away instead, and more than it was asked to. */
        void (*protect)(struct vmar_table *table, uint64_t va, uint64_t bytes,
                        uint32_t permissions);
        /* Whether a page is entered there; which, and with what permissions. For vmar_valid. */
        bool (*query)(struct vmar_table *table, uint64_t va, uint64_t *pa_out,
                      uint32_t *permissions_out);
};

/* ---- a space ---- */

struct vmar;         /* a region: vmar_internal.h */
struct vmar_mapping; /* likewise */

/* A region and what its holder may do with it. {NULL} is no handle. */
struct vmar_handle {
        struct vmar *vmar;
        uint32_t rights; /* RIGHT_* */
};
/* A VMO likewise. Whoever keeps one keeps a reference. */
struct vmo_handle {
        struct vmo *vmo;
        uint32_t rights;
};

#define VMAR_ENTROPY_BITS_DEFAULT 30
#define VMAR_ENTROPY_BITS_MAX 36

struct vmar_space_config {
        uint64_t base, bytes; /* of the root; page aligned, base not 0, end at most 2^63 */
        struct vmar_table *table;
        struct pmm *pmm;      /* for regions and mappings */
        uint32_t entropy_bits; /* aslr.entropy_bits; 0: first fit everywhere */
        /* of the placement: the same seed and calls give the same addresses */
        uint64_t seed;
        bool forbid_write_execute;
};

/* Fields are vmar*.c's. */
struct vmar_space {
        struct spinlock lock;
        struct vmar_table *table;
        struct slab regions, mappings;
        struct vmar *root;
        uint32_t entropy_bits;
        bool forbid_write_execute;
        uint64_t random_state;
        uint64_t region_count; /* alive, the root included */
        uint64_t mapping_count;
        uint64_t map_count; /* vmar_map since the beginning */
        uint64_t fault_count; /* vmar_fault said ZX_OK */
};

/* Makes a space with an empty root that may map anything anywhere.
 *   returns  ZX_OK; ZX_ERR_INVALID_ARGS: an unfit range, or entropy_bits over the maximum;
 *            ZX_ERR_NO_MEMORY */
zx_status_t MUST_CHECK vmar_space_init(struct vmar_space *space,
                                       const struct vmar_space_config *config);
/* Destroys everything in it, once. All handles but the root's have been closed, those of dead
 * regions too, and the root's has not; otherwise our bug: an ASSERT. */
void vmar_space_fini(struct vmar_space *space);
/* The root with all rights, without a reference of its own: not to be closed. */
struct vmar_handle vmar_space_root(struct vmar_space *space);

/* ---- handles ---- */

/* A second handle.
 *   rights   RIGHT_SAME, or a part of those that `handle` has
 *   returns  ZX_OK; ZX_ERR_BAD_HANDLE; ZX_ERR_ACCESS_DENIED: no RIGHT_DUPLICATE;
 *            ZX_ERR_INVALID_ARGS: more rights than there are */
zx_status_t MUST_CHECK vmar_duplicate(struct vmar_handle handle, uint32_t rights,
                                      struct vmar_handle *handle_out);
/* Gives the handle's reference back; {NULL} is fine. The region stays where it is. Once for each
 * handle, and never for the root's:
 * an ASSERT, as one on using a handle whose region's memory is gone. */
void vmar_close(struct vmar_handle handle);

struct vmar_info {
        uint64_t base, bytes;
        bool alive;
};
/* Also of a dead region. ZX_OK; ZX_ERR_BAD_HANDLE; ZX_ERR_ACCESS_DENIED: no RIGHT_INSPECT */
zx_status_t MUST_CHECK vmar_get_info(struct vmar_handle handle, struct vmar_info *info_out);

/* ---- regions and mappings ---- */

/* Every function that takes a handle says ZX_ERR_BAD_HANDLE to {NULL} before anything else. "dead:
 * BAD_STATE" below: the region was destroyed. On any status but ZX_OK nothing has changed. */

struct vmar_request {
        uint32_t options;
        uint64_t offset; /* from the region's base; 0 without SPECIFIC* and UPPER_LIMIT */
        uint64_t bytes;
};
/* Takes a part of a region as a region of its own. Checks, in this order:
 *
 *    1  ACCESS_DENIED   the handle lacks READ, WRITE or EXECUTE for a requested CAN_MAP_*
 *    2  INVALID_ARGS    PERM_* or unknown bits; an alignment that is not 0 or 10..32
 *    3  INVALID_ARGS    bytes is not whole pages
 *    4  INVALID_ARGS    options other than SPECIFIC, CAN_MAP_*, COMPACT, UPPER_LIMIT, alignment
 *    5  BAD_STATE       dead
 *    6  INVALID_ARGS    bytes is 0
 *    7  ACCESS_DENIED   CAN_MAP_READ, _WRITE or _EXECUTE that the parent does not have
 *    8  INVALID_ARGS    SPECIFIC with UPPER_LIMIT; an offset with neither; a misaligned offset
 *    9  ACCESS_DENIED   SPECIFIC or UPPER_LIMIT in a parent without CAN_MAP_SPECIFIC
 *   10  INVALID_ARGS    it does not fit: offset or bytes beyond the parent, or beyond the limit
 *   11  INVALID_ARGS    SPECIFIC: base + offset is not aligned as requested
 *   12  ALREADY_EXISTS  SPECIFIC: something is there
 *       NO_RESOURCES    not SPECIFIC: no gap is large enough
 *   13  NO_MEMORY       for the region itself
 *
 *   child_out  out: one handle, with RIGHTS_VMAR_DEFAULT and READ, WRITE, EXECUTE as CAN_MAP_* say
 *   base_out   out: where it begins; never 0; may be NULL
 * Placement: positions that fit are numbered from the lowest; a random number below 2^entropy_bits
 * picks one, drawn again among those that exist if there are fewer. In a COMPACT parent the number
 * is always 0.
 * cost       first fit at page alignment O(log n); else the gaps that are large enough are walked,
 *            and only those */
zx_status_t MUST_CHECK vmar_allocate(struct vmar_handle parent, const struct vmar_request *request,
                                     struct vmar_handle *child_out, uint64_t *base_out);

struct vmar_map_request {
        uint32_t options;
        uint64_t offset; /* as in struct vmar_request */
        uint64_t bytes;  /* rounded up to a page */
        struct vmo_handle vmo;
        uint64_t vmo_offset;
};
/* Shows a part of a VMO in a region. Checks, in this order:
 *
 *    1  BAD_HANDLE      no VMO
 *    2  ACCESS_DENIED   the VMO's handle lacks RIGHT_MAP
 *    3  INVALID_ARGS    unknown bits, a bad alignment; WRITE or EXECUTE without READ
 *    4  INVALID_ARGS    MAP_RANGE with SPECIFIC_OVERWRITE
 *    5  INVALID_ARGS    CAN_MAP_READ, _WRITE, _EXECUTE
 *    6  ACCESS_DENIED   a permission that the VMO's or the region's handle does not have as a right
 *    7  NOT_SUPPORTED   REQUIRE_NON_RESIZABLE and it is resizable
 *    8  INVALID_ARGS    COMPACT, CAN_MAP_SPECIFIC
 *    9  ACCESS_DENIED   a permission that the region does not have as CAN_MAP_*; WRITE with EXECUTE
 *                       in a space that forbids it
 *   10  INVALID_ARGS    vmo_offset is misaligned
 *   11  OUT_OF_RANGE    bytes rounds up past 2^64; vmo_offset + bytes overflows
 *   12  as vmar_allocate from 5 on, SPECIFIC_OVERWRITE counts as SPECIFIC in 8, 9, 10, 11
 *       INVALID_ARGS    SPECIFIC_OVERWRITE: a sub-region touches the range (in place of
 *                       ALREADY_EXISTS)
 *   13  NO_MEMORY       for the mapping; MAP_RANGE: for page tables, or another status of theirs;
 *                       the mapping is gone again
 *
 * What the mapping may ever be protected to: what both handles have as rights and the region as
 * CAN_MAP_*, as of now. The mapping holds a reference on the VMO.
 *   va_out   out: where it begins */
zx_status_t MUST_CHECK vmar_map(struct vmar_handle region, const struct vmar_map_request *request,
                                uint64_t *va_out);

/* Takes away all that lies in [va, va + bytes): whole mappings, ends of mappings, the middle of
 * one, whole sub-regions with all that is in them. Holes are fine. Checks, in this order:
 *
 *    1  INVALID_ARGS    va misaligned; bytes, rounded up, is 0
 *    2  BAD_STATE       dead
 *    3  INVALID_ARGS    not inside the region
 *    4  INVALID_ARGS    a sub-region lies only partly in the range
 *    5  NO_MEMORY       the middle of a mapping, and no room for its second half */
zx_status_t MUST_CHECK vmar_unmap(struct vmar_handle region, uint64_t va, uint64_t bytes);

/* Gives all of [va, va + bytes) the permissions in `options`, 0 for none. Checks, in this order:
 *
 *    1  INVALID_ARGS    options other than PERM_* and READ_IF_XOM_UNSUPPORTED; WRITE or EXECUTE
 *                       without READ
 *    2  ACCESS_DENIED   the handle lacks one of them as a right
 *    3  INVALID_ARGS    va misaligned; bytes, rounded up, is 0
 *    4  BAD_STATE       dead
 *    5  INVALID_ARGS    not inside the region
 *    6  NOT_FOUND       some of it is not mapped
 *    7  ACCESS_DENIED   more than a mapping may ever have; more than a mapping of a sub-region has
 *                       now; WRITE with EXECUTE in a space that forbids it
 *    8  NO_MEMORY       for the pieces, two at most
 * 6 and 7: the lowest address that offends decides. */
zx_status_t MUST_CHECK vmar_protect(struct vmar_handle region, uint32_t options, uint64_t va,
                                    uint64_t bytes);

/* Takes a region and all that is in it away; its addresses are its parent's again.
 *   returns  ZX_OK; ZX_ERR_NOT_SUPPORTED: the root; ZX_ERR_BAD_STATE: dead */
zx_status_t MUST_CHECK vmar_destroy(struct vmar_handle region);

enum vmar_op {
        VMAR_OP_COMMIT = 1,
        VMAR_OP_DECOMMIT = 2,
        VMAR_OP_MAP_RANGE = 3,
        VMAR_OP_ZERO = 10,
        VMAR_OP_DONT_NEED = 12,
        VMAR_OP_ALWAYS_NEED = 13,
        VMAR_OP_PREFETCH = 14,
};
/* Does something to the memory behind [va, va + bytes). COMMIT makes its pages and enters them;
 * DECOMMIT and ZERO are the VMO's; MAP_RANGE enters pages that are there; the others are hints:
 * checked, then nothing. Checks, in this order:
 *
 *    1  INVALID_ARGS    unknown op; va misaligned; bytes, rounded up, is 0
 *    2  BAD_STATE       dead
 *    3  OUT_OF_RANGE    not inside the region
 *    4  BAD_STATE       some of it is not mapped
 *    5  INVALID_ARGS    COMMIT, DECOMMIT, PREFETCH: a mapping there belongs to a sub-region
 *    6  ACCESS_DENIED   COMMIT, DECOMMIT, ZERO: a mapping there may never be writable
 *    7  OUT_OF_RANGE    COMMIT, DECOMMIT, ZERO: it reaches beyond the VMO
 *    8  what vmo.h says to that op: NOT_SUPPORTED, BAD_STATE (a pinned page; ZERO of memory that
 *       is not cached), NO_MEMORY; COMMIT, MAP_RANGE: what the page table says
 * 4 to 7: the lowest address that offends decides. 8 may come after a part was done: mappings are
 * taken in order of address, and each is all or nothing. */
zx_status_t MUST_CHECK vmar_op_range(struct vmar_handle region, uint32_t op, uint64_t va,
                                     uint64_t bytes);

/* ---- faults ---- */

enum vmar_fault_flags { VMAR_FAULT_WRITE = 1 << 0, VMAR_FAULT_EXECUTE = 1 << 1 };

/* Somebody touched `va` and the page table said no: enters the page, making it if it is not there.
 *   flags    what was tried; 0 is a read
 *   returns  ZX_OK: try again; ZX_ERR_NOT_FOUND: no mapping there; ZX_ERR_ACCESS_DENIED: it does
 *            not permit that; ZX_ERR_OUT_OF_RANGE: beyond the end of the VMO; ZX_ERR_NO_MEMORY;
 *            what the page table says to a page that it cannot show
 *   context  no lock held, "vmar tree" and all to its right */
zx_status_t MUST_CHECK vmar_fault(struct vmar_space *space, uint64_t va, uint32_t flags);

/* ---- looking ---- */

struct vmar_entry {
        bool is_region;
        uint32_t depth; /* 0: the root */
        uint64_t base, bytes;
        /* region: CAN_MAP_*, COMPACT; mapping: PERM_* and, as CAN_MAP_*, what it may have */
        uint32_t options;
        struct vmo *vmo;  /* mapping; only good for comparing */
        uint64_t vmo_offset;
};
/* Calls `visit` for the root and everything in it, by address, a region before its children; with
 * the lock held, so it must not call back. */
typedef void (*vmar_visit_fn)(void *context, const struct vmar_entry *entry);
void vmar_walk(struct vmar_space *space, vmar_visit_fn visit, void *context);

/* [R1], [R2], [R5]; [R3] as far as it can be seen from here; [R4] for the first pages of each
 * mapping and the pages on either side of it. Takes the lock; walks everything. */
bool vmar_valid(struct vmar_space *space);

#endif
