/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_internal — what vmo.c (life, properties, mappings), vmo_range.c (pages) and vmo_copy.c
 * (bytes) share.
 *
 * Pages are named here by their number, offset / PAGE_BYTES. "Held" means share_count is not 0. */
#ifndef KERNEL_VMO_INTERNAL_H
#define KERNEL_VMO_INTERNAL_H

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/vmo.h"

/* Whether [offset, offset + bytes) is inside [0, size); an empty range may be at the end. */
static inline bool vmo_range_is_in(uint64_t size, uint64_t offset, uint64_t bytes)
{
        return offset <= size && bytes <= size - offset;
}

static inline uint32_t vmo_page_pins(const struct vm_page *page)
{
        return page->use.object.bits & VM_PAGE_PIN_COUNT_MASK;
}

/* The page with this number, below the size; NULL: not there. Not for physical VMOs. Lock held. */
struct vm_page *vmo_find_page(const struct vmo *vmo, uint64_t number);

/* The first page in [*number, end) that is there, and its address; false: none.
 * Any kind. Lock held. */
bool vmo_next_page(const struct vmo *vmo, uint64_t *number, uint64_t end, uint64_t *pa);

/* Takes the lock, with all pages of [offset, offset + bytes) there.
 *   returns  ZX_OK: the lock is held; otherwise it is not, and nothing has changed:
 *            ZX_ERR_OUT_OF_RANGE; ZX_ERR_NO_MEMORY */
zx_status_t MUST_CHECK vmo_lock_committed(struct vmo *vmo, uint64_t offset, uint64_t bytes);

/* Takes pages [first, end) that have no pins out of a paged VMO, after the mappings have forgotten
 * all of the range. Those that nobody holds are put on `dead`,
 * for pmm_free without the lock. Lock held. */
void vmo_drop_pages(struct vmo *vmo, uint64_t first, uint64_t end, struct list_node *dead);

/* Whether a page of [first, end) has `least` pins or more, 1 .. VM_PAGE_PIN_COUNT_MAX. Lock
 * held; not for physical VMOs. */
bool vmo_any_has_pins(const struct vmo *vmo, uint64_t first, uint64_t end, uint32_t least);

/* Drops what is in the caches of these bytes of a page, if the policy or the caller needs that. */
void vmo_clean_page(const struct vmo *vmo, const struct vm_page *page);

/* Makes every byte of the range 0 in pages that are there;
 * takes the lock by itself, page by page. */
void vmo_zero_present(struct vmo *vmo, uint64_t offset, uint64_t bytes);

#endif
