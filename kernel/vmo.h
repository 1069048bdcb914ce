/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo — memory objects: a size, and pages that come when they are needed.
 *
 *   kind         pages                                                     made by
 *   paged        on demand, zero-filled, in a radix tree by page number    vmo_create
 *   contiguous   all there from the start, one run of physical memory      vmo_create_contiguous
 *   physical     not ours: a range of addresses (registers, a window)      vmo_create_physical
 *
 *   content size <= size, size is whole pages; read and write see all of [0, size)
 *
 * Sharing. A VMO has a reference count; who stores a pointer holds a reference. Page tables that
 * show its pages are told through mapping links: whenever a page leaves the VMO (decommit, zero,
 * shrink), unmap_range is called for every link over it, with the VMO's lock held, before the page
 * is freed. A fault handler brings a page into a page table inside vmo_with_page, under the same
 * lock; so no page table ever shows a page that the VMO has given away.
 *
 *   vmar tree lock > vmo lock > (slab, pmm, page tables, TLB)       kernel/cpu.h has all of them
 *
 * Copies run without the lock, page by page: the page is held meanwhile (share_count), and a
 * decommit at that moment takes it out of the VMO and leaves the freeing to the holder. So sources
 * and sinks may fault, and a long copy is not atomic.
 *
 * Owner       the pool; vmo_put of the last reference frees all
 * Context     any CPU; not from interrupt handlers
 * Invariants  [V1] size_bytes is a multiple of PAGE_BYTES, content_bytes <= size_bytes
 *             [V2] pages in the tree are in state OBJECT, owner is the VMO, offset their place,
 *                  below size; committed_pages is their number
 *             [V3] a page with a pin count stays where it is until it is unpinned; pinned_pages
 *                  counts them
 *             [V4] a cache policy other than CACHED means: no reads, writes or zeroing by this
 *                  kernel
 * Non-goals   rights (whoever has handles checks them), children, DISCARDABLE, pagers
 * Facts       spec/zircon-objects.md, 6. Beyond it: COMMIT, write and pin are all or nothing;
 *             contiguous and physical VMOs refuse what they cannot do with NOT_SUPPORTED */
#ifndef KERNEL_VMO_H
#define KERNEL_VMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/spinlock.h"
#include "base/status.h"
#include "kernel/page_tree.h"
#include "kernel/pmm.h"
#include "kernel/slab.h"

/* The largest size: the last page that 64 bits can address is left out, so that no end wraps. */
#define VMO_BYTES_MAX (UINT64_MAX - PAGE_BYTES + 1)
_Static_assert((VMO_BYTES_MAX & (PAGE_BYTES - 1)) == 0, "whole pages");

/* ---- the pool ---- */

/* Where VMOs, the nodes of their trees and their pages come from.
 * One for the kernel, one for each test. */
struct vmo_pool {
        struct pmm *pmm;
        struct slab vmos;
        struct slab nodes;
        /* Writes the cache lines of these bytes back and drops them, before memory becomes
         * uncached; NULL: a world where nothing is uncached. Pages that go back to the pmm need
         * it not: whoever has them next sees them cached, and writes before he reads. */
        void (*clean_cache)(const void *va, size_t bytes);
};

/* Makes an empty pool over `pmm`. ZX_ERR_INVALID_ARGS: pmm NULL. Takes no page yet. */
zx_status_t MUST_CHECK vmo_pool_init(struct vmo_pool *pool, struct pmm *pmm);
/* All VMOs are gone; otherwise our bug. */
void vmo_pool_fini(struct vmo_pool *pool);

/* ---- what a VMO is ---- */

enum vmo_option {
        VMO_OPTION_RESIZABLE_BIT = 1,
        VMO_OPTION_DISCARDABLE_BIT = 2, /* known, not supported */
};
#define VMO_RESIZABLE ((uint32_t)BIT_MASK(VMO_OPTION_RESIZABLE_BIT))
#define VMO_DISCARDABLE ((uint32_t)BIT_MASK(VMO_OPTION_DISCARDABLE_BIT))

enum vmo_kind { VMO_KIND_PAGED = 0, VMO_KIND_CONTIGUOUS = 1, VMO_KIND_PHYSICAL = 2 };

enum vmo_cache_policy {
        VMO_CACHE_CACHED = 0,
        VMO_CACHE_UNCACHED = 1,
        VMO_CACHE_UNCACHED_DEVICE = 2,
        VMO_CACHE_WRITE_COMBINING = 3,
};
#define VMO_CACHE_POLICY_MASK 3u

/* Fields are vmo.c's (and vmo_*.c's); others use the functions. */
struct vmo {
        struct spinlock lock; /* over everything below but what is constant */
        uint32_t reference_count; /* atomic */
        uint8_t kind;         /* constant */
        bool resizable;       /* constant */
        uint8_t cache_policy;
        struct vmo_pool *pool; /* constant */
        uint64_t size_bytes;   /* constant unless resizable */
        uint64_t content_bytes;
        uint64_t base_pa; /* constant; contiguous and physical */
        struct vm_page *first_page; /* constant; contiguous */
        struct page_tree tree; /* paged */
        uint64_t committed_pages;
        uint64_t pinned_pages;
        uint64_t mapping_count;
        struct list_node mappings; /* vmo_mapping_link.node */
};

/* ---- life ---- */

/* A paged VMO without pages.
 *   size_bytes  rounded up to a page; 0 is legal; the content size keeps what was passed
 *   options     VMO_RESIZABLE or 0
 *   vmo_out     out: one reference, the caller's
 *   returns     ZX_OK; ZX_ERR_INVALID_ARGS: an unknown option; ZX_ERR_NOT_SUPPORTED: DISCARDABLE;
 *               ZX_ERR_OUT_OF_RANGE: size over VMO_BYTES_MAX; ZX_ERR_NO_MEMORY */
zx_status_t MUST_CHECK vmo_create(struct vmo_pool *pool, uint64_t size_bytes, uint32_t options,
                                  struct vmo **vmo_out);
/* All pages at once, zeroed, in one run. Never resizable, never gives a page back before its end.
 *   size_bytes  whole pages, not 0
 *   align_log2  of the physical address; below a page means a page; at most 63
 *   returns     ZX_OK; ZX_ERR_INVALID_ARGS: size or alignment; ZX_ERR_NO_MEMORY: also when there is
 *               no such run */
zx_status_t MUST_CHECK vmo_create_contiguous(struct vmo_pool *pool, uint64_t size_bytes,
                                             uint32_t align_log2, struct vmo **vmo_out);
/* A window on physical addresses that stay whoever's they are; its cache policy starts as UNCACHED.
 * There is no reading or writing here, only mapping and spans.
 *   pa, size_bytes  whole pages, size not 0, not wrapping
 *   returns         ZX_OK; ZX_ERR_INVALID_ARGS; ZX_ERR_NO_MEMORY */
zx_status_t MUST_CHECK vmo_create_physical(struct vmo_pool *pool, uint64_t pa, uint64_t size_bytes,
                                           struct vmo **vmo_out);

/* One more reference; the caller has one. */
void vmo_get(struct vmo *vmo);
/* Gives one reference back. With the last one the VMO and its pages are freed; no mapping and no
 * pin may be left then (each goes with a reference). */
void vmo_put(struct vmo *vmo);

/* ---- properties ---- */

uint64_t vmo_size(struct vmo *vmo);
static inline enum vmo_kind vmo_kind(const struct vmo *vmo)
{
        return (enum vmo_kind)vmo->kind;
}
static inline bool vmo_is_resizable(const struct vmo *vmo)
{
        return vmo->resizable;
}
enum vmo_cache_policy vmo_cache_policy(struct vmo *vmo);
uint64_t vmo_content_size(struct vmo *vmo);
/* Pages that are there now; contiguous: all; physical: 0, they are not ours. */
uint64_t vmo_committed_pages(struct vmo *vmo);

/* The size rounded up, the content size as passed. Pages beyond the new size leave; from the new
 * content size to the end of its page everything becomes zero.
 *   returns  ZX_OK; in this order, nothing changed: ZX_ERR_OUT_OF_RANGE: over VMO_BYTES_MAX;
 *            ZX_ERR_UNAVAILABLE: not resizable;
 *            ZX_ERR_BAD_STATE: a page that would leave is pinned */
zx_status_t MUST_CHECK vmo_set_size(struct vmo *vmo, uint64_t size_bytes);
/* ZX_ERR_OUT_OF_RANGE: larger than the size. Changes no byte. */
zx_status_t MUST_CHECK vmo_set_content_size(struct vmo *vmo, uint64_t content_bytes);

/* How mappings made from now on see the memory.
 *   returns  ZX_OK; ZX_ERR_INVALID_ARGS: bits outside VMO_CACHE_POLICY_MASK;
 *            ZX_ERR_BAD_STATE: mapped, or pinned, or it has pages and is not CACHED now
 *            From CACHED, pages that are there are cleaned out of the caches, by
 *            pool->clean_cache */
zx_status_t MUST_CHECK vmo_set_cache_policy(struct vmo *vmo, uint32_t policy);

/* ---- bytes ---- */

/* Checks of read, write and copy, in this order: offset + bytes overflows: ZX_ERR_OUT_OF_RANGE;
 * physical: ZX_ERR_NOT_SUPPORTED; cache policy not CACHED: ZX_ERR_BAD_STATE; beyond the size:
 * ZX_ERR_OUT_OF_RANGE. Then exactly `bytes` bytes or an error; 0 bytes at offset <= size: ZX_OK. */

/* Pages that are not there read as zeros and stay away. */
zx_status_t MUST_CHECK vmo_read(struct vmo *vmo, void *destination, uint64_t offset, size_t bytes);
/* Pages that are missing are made first, all or nothing: ZX_ERR_NO_MEMORY has written nothing. */
zx_status_t MUST_CHECK vmo_write(struct vmo *vmo, const void *source, uint64_t offset,
                                 size_t bytes);

/* The same where the other side of the copy can fail (kernel/vmo_user.h): called for one page
 * at most, in order, with no lock held. A status other than ZX_OK ends the copy and is
 * returned; what was copied stays. */
struct vmo_sink {
        zx_status_t (*write)(struct vmo_sink *sink, const void *bytes, size_t byte_count);
};
struct vmo_source {
        zx_status_t (*read)(struct vmo_source *source, void *destination, size_t byte_count);
};
zx_status_t MUST_CHECK vmo_read_to(struct vmo *vmo, struct vmo_sink *sink, uint64_t offset,
                                   size_t bytes);
zx_status_t MUST_CHECK vmo_write_from(struct vmo *vmo, struct vmo_source *source, uint64_t offset,
                                      size_t bytes);

/* From one VMO to another or to itself; ranges may overlap, the result is as if through a third
 * place. Checks: all of `from`, then all of `to`;
 * then the destination's pages are made, all or nothing. */
struct vmo_place {
        struct vmo *vmo;
        uint64_t offset;
};
zx_status_t MUST_CHECK vmo_copy(struct vmo_place to, struct vmo_place from, size_t bytes);

/* Whether a read or write of this range would pass the checks above; and for a write, that its
 * pages are there (made if not, all or nothing: ZX_ERR_NO_MEMORY). For those who check all before
 * they copy. */
zx_status_t MUST_CHECK vmo_check_read(struct vmo *vmo, uint64_t offset, uint64_t bytes);
zx_status_t MUST_CHECK vmo_prepare_write(struct vmo *vmo, uint64_t offset, uint64_t bytes);

/* ---- ranges ---- */

enum vmo_op {
        VMO_OP_COMMIT = 1,
        VMO_OP_DECOMMIT = 2,
        VMO_OP_LOCK = 3,
        VMO_OP_UNLOCK = 4,
        VMO_OP_CACHE_SYNC = 6,
        VMO_OP_CACHE_INVALIDATE = 7,
        VMO_OP_CACHE_CLEAN = 8,
        VMO_OP_CACHE_CLEAN_INVALIDATE = 9,
        VMO_OP_ZERO = 10,
        VMO_OP_TRY_LOCK = 11,
        VMO_OP_DONT_NEED = 12,
        VMO_OP_ALWAYS_NEED = 13,
};
/* One operation on [offset, offset + bytes).
 *   COMMIT    makes the pages of the range, all or nothing. OUT_OF_RANGE; NO_MEMORY; physical:
 *             NOT_SUPPORTED
 *   DECOMMIT  the range becomes zero and without pages. Misaligned: INVALID_ARGS; OUT_OF_RANGE; a
 *             page is pinned: BAD_STATE, nothing changed; contiguous, physical: NOT_SUPPORTED
 *   ZERO      the range becomes zero; whole pages that are not pinned leave a paged VMO.
 *             OUT_OF_RANGE; physical: NOT_SUPPORTED; policy not CACHED: BAD_STATE
 *   CACHE_*   bytes 0: INVALID_ARGS; physical: NOT_SUPPORTED; OUT_OF_RANGE; INVALIDATE:
 *             NOT_SUPPORTED (it needs a debugging kernel); else done by pool->clean_cache for pages
 *             that are there
 *   LOCK, UNLOCK, TRY_LOCK   NOT_SUPPORTED (no VMO is discardable)
 *   DONT_NEED, ALWAYS_NEED   OUT_OF_RANGE; else nothing: hints
 *   any other                INVALID_ARGS
 * Checks in the order: op, alignment or emptiness, kind, policy, range, pins, memory. */
zx_status_t MUST_CHECK vmo_op_range(struct vmo *vmo, uint32_t op, uint64_t offset, uint64_t bytes);

/* ---- pins and physical memory ---- */

/* Makes the pages of a range and keeps them in place until vmo_unpin of the same range. Pins
 * count, up to VM_PAGE_PIN_COUNT_MAX for a page. All or nothing. Whoever pins holds a reference.
 * What is physical cannot go away: there a pin only looks at the range, nothing counts it, and
 * every page is as good as pinned.
 *   returns  ZX_OK; ZX_ERR_INVALID_ARGS: misaligned, or bytes 0; ZX_ERR_OUT_OF_RANGE;
 *            ZX_ERR_UNAVAILABLE: a page has VM_PAGE_PIN_COUNT_MAX pins; ZX_ERR_NO_MEMORY */
zx_status_t MUST_CHECK vmo_pin(struct vmo *vmo, uint64_t offset, uint64_t bytes);
/* Takes one pin off each page of a range that was pinned; a page without one is our bug. */
void vmo_unpin(struct vmo *vmo, uint64_t offset, uint64_t bytes);

/* Physical memory of a pinned range, in order, neighbours merged; the sum of bytes is `bytes`. */
struct vmo_span {
        uint64_t pa;
        uint64_t bytes;
};
/*   offset, bytes  need not be aligned; every page must be pinned
 *   spans          `capacity` of them; (NULL, 0) asks for the number
 *   count_out      out: with ZX_OK how many were filled in, with BUFFER_TOO_SMALL how many it takes
 *   returns        ZX_OK; ZX_ERR_OUT_OF_RANGE; ZX_ERR_BAD_STATE: a page is not pinned;
 *                  ZX_ERR_BUFFER_TOO_SMALL: the first `capacity` spans are there */
struct vmo_span_list {
        struct vmo_span *spans;
        size_t capacity;
};
zx_status_t MUST_CHECK vmo_pinned_spans(struct vmo *vmo, uint64_t offset, uint64_t bytes,
                                        struct vmo_span_list list, size_t *count_out);

/* ---- pages, for page tables ---- */

enum vmo_page_flags {
        VMO_PAGE_COMMIT = 1 << 0, /* make the page if it is not there */
        VMO_PAGE_WRITE = 1 << 1,  /* it will be written; implies COMMIT */
};
/* The physical address of the page at `offset` (rounded down).
 *   returns  ZX_OK; ZX_ERR_OUT_OF_RANGE: beyond the size; ZX_ERR_NOT_FOUND: not there and neither
 *            flag set; ZX_ERR_NO_MEMORY
 * The page may leave the VMO as soon as this returns, unless the caller pinned it. */
zx_status_t MUST_CHECK vmo_get_page(struct vmo *vmo, uint64_t offset, uint32_t flags,
                                    uint64_t *pa_out);

/* The same, and calls `enter` with the page while the VMO's lock is held: what a fault handler
 * does, so that the page cannot leave before it is in the page table. `enter` may take locks to the
 * right of "vmo" only; its status is returned. */
struct vmo_page_visitor {
        zx_status_t (*enter)(struct vmo_page_visitor *visitor, uint64_t offset, uint64_t pa,
                             enum vmo_cache_policy policy);
};
zx_status_t MUST_CHECK vmo_with_page(struct vmo *vmo, uint64_t offset, uint32_t flags,
                                     struct vmo_page_visitor *visitor);
/* The same for every page of [offset, offset + bytes), both page aligned, that is there (flags 0)
 * or for all (COMMIT: made first, all or nothing), ascending; pages beyond the size are left out.
 * Ends with the first status of `enter` that is not ZX_OK and returns it. */
zx_status_t MUST_CHECK vmo_with_pages(struct vmo *vmo, uint64_t offset, uint64_t bytes,
                                      uint32_t flags, struct vmo_page_visitor *visitor);

/* ---- mappings ---- */

/* Lives in the mapper's structure. The window may reach beyond the VMO's size. */
struct vmo_mapping_link {
        struct list_node node;
        const struct vmo_mapping_ops *ops;
        uint64_t vmo_offset; /* page aligned; changed by vmo_change_mapping only */
        uint64_t bytes;      /* page aligned */
};
struct vmo_mapping_ops {
        /* Pages of [offset, offset + bytes) of the VMO, a part of the link's window, are about to
         * leave: no page table may show them when this returns, on no CPU. Called with the VMO's
         * lock held; must not fail, must not call vmo.h. */
        void (*unmap_range)(struct vmo_mapping_link *link, uint64_t offset, uint64_t bytes);
};

/* Puts a link on the VMO's list and takes a reference for it.
 * link->ops, vmo_offset and bytes are set. */
void vmo_add_mapping(struct vmo *vmo, struct vmo_mapping_link *link);
/* Moves the window of a link that is on the list (a mapping that was trimmed). */
void vmo_change_mapping(struct vmo *vmo, struct vmo_mapping_link *link, uint64_t vmo_offset,
                        uint64_t bytes);
/* Takes the link off and gives its reference back: the VMO may be gone afterwards. */
void vmo_remove_mapping(struct vmo *vmo, struct vmo_mapping_link *link);

/* ---- validity ---- */

/* [V1]..[V3], by walking the pages; takes the lock. */
bool vmo_valid(struct vmo *vmo);

#endif
