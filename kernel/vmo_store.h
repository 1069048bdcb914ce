/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_store — small numbers for VMOs, so that descriptors can name memory as (id, offset, length).
 *
 *   id   0        1       2  ...  31
 *      [VMO a] [free] [VMO b]   [free]           free ids are on a list; the one freed last is
 *                               reused last
 *
 * Bytes are reached through the VMO (vmo_read, vmo_write, vmo_copy), that is through the physical
 * map, and not through a mapping of the whole VMO as in the original. So registering costs no
 * address space and no page table, works for memory that is not contiguous, is the same code on the
 * host, and a page that was never written costs nothing. What a mapping promises, the store
 * promises too: it counts as one, so the cache policy cannot change under it, and a resizable VMO
 * is refused, so the size cannot. Devices reach the bytes by physical address: vmo_store_pin, then
 * vmo_store_pinned_spans.
 *
 * Owner       the caller gives the memory of struct vmo_store, which must not move; the store holds
 *             a reference to each VMO from register to unregister
 * Context     read, write, copy, spans: any CPU, as vmo.h. register, push, pin, unregister and
 *             fini: not at the same time as anything else on this store (the caller holds a lock,
 *             or is the only one)
 * Invariants  [S1] an id is in use exactly when its slot has a VMO; used_count is their number
 *             [S2] every id that is not in use is on the free list, once
 *             [S3] a registered VMO is not resizable, CACHED, not empty, and not physical
 *             [S4] pinned slots have every page pinned once by the store
 * Facts       spec/zircon-objects.md, 10.1 to 10.3. Beyond it: the id is checked before anything
 *             else is done, bounds are in subtraction form, copies may overlap */
#ifndef KERNEL_VMO_STORE_H
#define KERNEL_VMO_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/status.h"
#include "kernel/vmo.h"

#define VMO_STORE_VMOS_MAX 32

/* Names bytes of a registered VMO. Comes from a peer:
 * nothing in it is checked before it is used. */
struct vmo_region {
        uint8_t vmo_id;
        uint64_t offset;
        uint64_t length;
};

struct vmo_store_slot {
        struct vmo *vmo; /* NULL: free */
        bool pinned;
        struct vmo_mapping_link link; /* counts as a mapping */
};

struct vmo_store_counters {
        uint64_t reads;  /* calls that succeeded, Copy once in each */
        uint64_t writes;
        /* Calls about bytes (read, write, copy, check_read, prepare_write, pinned_spans) that named
         * an id or a range that is none: once for each call; a Copy in the destination's store. */
        uint64_t refused;
};

struct vmo_store {
        const char *name; /* kept, not copied */
        struct list_node node; /* for whoever lists stores (the console) */
        uint32_t used_count;
        struct vmo_store_counters counters;
        struct vmo_store_slot slots[VMO_STORE_VMOS_MAX];
        /* a ring of free ids; VMO_STORE_VMOS_MAX is its head */
        uint8_t free_next[VMO_STORE_VMOS_MAX + 1];
        uint8_t free_prev[VMO_STORE_VMOS_MAX + 1];
};

/* Makes an empty store. */
void vmo_store_init(struct vmo_store *store, const char *name);
/* Unregisters every VMO. */
void vmo_store_fini(struct vmo_store *store);

/* Gives a VMO an id.
 *   vmo      the store takes a reference of its own; the caller's stays the caller's, whatever is
 *            returned
 *   returns  ZX_OK; in this order, nothing changed: ZX_ERR_BAD_HANDLE: vmo NULL;
 *            ZX_ERR_OUT_OF_RANGE: no such id; ZX_ERR_ALREADY_EXISTS: id in use;
 *            ZX_ERR_NOT_SUPPORTED: resizable or physical; ZX_ERR_INVALID_ARGS: empty;
 *            ZX_ERR_BAD_STATE: its cache policy is not CACHED */
zx_status_t MUST_CHECK vmo_store_register(struct vmo_store *store, uint32_t id, struct vmo *vmo);
/* The same with an id of the store's choice. ZX_ERR_NO_RESOURCES, instead of the errors about ids:
 * none is free. */
zx_status_t MUST_CHECK vmo_store_push(struct vmo_store *store, struct vmo *vmo, uint32_t *id_out);
/* Takes the id away, unpins, drops the reference. ZX_ERR_NOT_FOUND: id not in use or none. A device
 * must have let go of the memory before. */
zx_status_t MUST_CHECK vmo_store_unregister(struct vmo_store *store, uint32_t id);

/* The VMO with this id, without a reference; NULL: none. */
struct vmo *vmo_store_vmo(const struct vmo_store *store, uint32_t id);

/* ---- bytes: ZX_ERR_NOT_FOUND: id not in use; ZX_ERR_OUT_OF_RANGE: beyond the VMO (its size in
 * whole pages)
 *      or, with length 0, an offset > size; ZX_ERR_NO_MEMORY: a page was missing. Nothing copied
 *      then. ---- */

zx_status_t MUST_CHECK vmo_store_read(struct vmo_store *store, struct vmo_region region,
                                      void *destination);
zx_status_t MUST_CHECK vmo_store_write(struct vmo_store *store, struct vmo_region region,
                                       const void *source);
/* Copies `length` bytes (that of `from`; to.length is ignored) from one store to another or the
 * same. Overlap is allowed: the destination gets what the source was. Checks: source id,
 * destination id, source range, destination range. */
zx_status_t MUST_CHECK vmo_store_copy(struct vmo_store *from_store, struct vmo_region from,
                                      struct vmo_store *to_store, struct vmo_region to);

/* Whether a read, or a write of this region would succeed;
 * the pages for a write are made, all or nothing. */
zx_status_t MUST_CHECK vmo_store_check_read(struct vmo_store *store, struct vmo_region region);
zx_status_t MUST_CHECK vmo_store_prepare_write(struct vmo_store *store, struct vmo_region region);

/* ---- devices ---- */

/* Makes and pins all pages of a VMO, until it is unregistered.
 *   returns  ZX_OK; ZX_ERR_NOT_FOUND; ZX_ERR_ALREADY_BOUND: pinned before; vmo_pin's own */
zx_status_t MUST_CHECK vmo_store_pin(struct vmo_store *store, uint32_t id);
/* The physical memory of a region, as vmo_pinned_spans.
 *   returns  ZX_OK; ZX_ERR_NOT_FOUND: id not in use; ZX_ERR_BAD_STATE: not pinned;
 *            ZX_ERR_OUT_OF_RANGE; ZX_ERR_BUFFER_TOO_SMALL: *count_out says how many it takes;
 *            (NULL, 0) asks for that */
zx_status_t MUST_CHECK vmo_store_pinned_spans(struct vmo_store *store, struct vmo_region region,
                                              struct vmo_span_list list, size_t *count_out);

/* [S1], [S2], and of [S3] and [S4] what can be seen in constant time for each slot. */
bool vmo_store_valid(const struct vmo_store *store);

#endif
