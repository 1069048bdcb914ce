/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* slab — small objects of one size, out of pages of the pmm.
 *
 *   page   |struct slab_page: slab, list, used count, bitmap|object|object|...|rest|
 *   offset  0                                                SLAB_PAGE_HEADER_BYTES
 *
 * The kernel has no heap; what it makes many of (VMOs, regions, channel ends) comes from a slab of
 * its own. A page is taken from the pmm when no object is left and goes back as soon as its last
 * object does, so that a slab without objects owns nothing.
 *
 *   static struct slab channels;
 *   slab_init(&channels, "channel", &kernel_pmm, sizeof(struct channel));
 *   struct channel *channel = slab_alloc(&channels);        // zeroed, or NULL
 *   slab_free(&channels, channel);
 *
 * Owner       struct slab is the caller's and must not move; an object is the caller's from alloc
 *             to free
 * Context     any CPU; not from interrupt handlers; the lock is held without calling anything but
 *             the pmm (order: locks of objects, then slab, then pmm)
 * Invariants  [A1] a page is on the list exactly while it has a free object
 *             [A2] used_count of a page is the number of clear bits of its bitmap's first
 *                  objects_per_page; object_count is their sum over all pages
 *             [A3] pages are in state SLAB; no page is without an object
 * Errors      freeing an object twice, into another slab, or a pointer that is no object: our bugs,
 *             ASSERT in every build
 * Facts       none from outside; state SLAB as in spec/zircon-objects.md, 2.2 */
#ifndef KERNEL_SLAB_H
#define KERNEL_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/spinlock.h"
#include "base/status.h"
#include "kernel/pmm.h"

#define SLAB_ALIGNMENT 16 /* of every object; sizes are rounded up to it */
#define SLAB_BITMAP_WORDS 4
#define SLAB_PAGE_HEADER_BYTES 64
#define SLAB_OBJECT_BYTES_MAX (PAGE_BYTES - SLAB_PAGE_HEADER_BYTES)

struct slab {
        struct spinlock lock;
        const char *name; /* the caller's, static */
        struct pmm *pmm;
        uint32_t object_bytes; /* rounded up */
        uint32_t objects_per_page;
        /* slab_page.node of pages with a free object; the fullest is not sought */
        struct list_node partial;
        uint64_t object_count;
        uint64_t page_count;
        uint64_t failure_count; /* slab_alloc returned NULL */
};

struct slab_counts {
        uint64_t objects;  /* handed out */
        uint64_t pages;    /* in state SLAB for them */
        uint64_t failures; /* of slab_alloc */
};

/* Makes an empty slab; takes no page yet.
 *   name          kept, not copied
 *   object_bytes  1 .. SLAB_OBJECT_BYTES_MAX
 *   returns       ZX_OK; ZX_ERR_INVALID_ARGS: object_bytes out of bounds, pmm NULL */
zx_status_t MUST_CHECK slab_init(struct slab *slab, const char *name, struct pmm *pmm,
                                 size_t object_bytes);
/* Every object has been freed; otherwise our bug. */
void slab_fini(struct slab *slab);

/* One object, all bytes 0, aligned to SLAB_ALIGNMENT.
 *   returns  NULL: no memory, nothing changed
 *   cost     at most one page from the pmm */
void *MUST_CHECK slab_alloc(struct slab *slab);
/* `object` came from slab_alloc of this slab; NULL is our bug. */
void slab_free(struct slab *slab, void *object);

struct slab_counts slab_counts(struct slab *slab);

/* [A1]..[A3] for pages with a free object, and that the full pages make up the rest of the counts.
 * Walks the list; takes the lock. */
bool slab_valid(struct slab *slab);

#endif
