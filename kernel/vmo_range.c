/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_range — pages of memory objects: made, dropped, pinned, shown to page tables.
 *
 * New pages are taken from the pmm and zeroed before the lock is taken, and freed after it has been
 * given. Facts: spec/zircon-objects.md, 6. */
#include "kernel/vmo.h"

#include "kernel/vmo_internal.h"

/* ---- finding ---- */

struct vm_page *vmo_find_page(const struct vmo *vmo, uint64_t number)
{
        if (vmo->kind == VMO_KIND_CONTIGUOUS)
                return &vmo->first_page[number];
        return page_tree_find(&vmo->tree, number);
}

bool vmo_next_page(const struct vmo *vmo, uint64_t *number, uint64_t end, uint64_t *pa)
{
        if (*number >= end)
                return false;
        if (vmo->kind != VMO_KIND_PAGED) {
                *pa = vmo->base_pa + *number * PAGE_BYTES;
                return true;
        }
        const struct vm_page *page = page_tree_next(&vmo->tree, number, end);
        if (page != NULL)
                *pa = page->pa;
        return page != NULL;
}

bool vmo_any_has_pins(const struct vmo *vmo, uint64_t first, uint64_t end, uint32_t least)
{
        uint64_t pa;
        if (vmo->pinned_pages == 0)
                return false;
        for (uint64_t number = first; vmo_next_page(vmo, &number, end, &pa); number++) {
                if (vmo_page_pins(vmo_find_page(vmo, number)) >= least)
                        return true;
        }
        return false;
}

void vmo_clean_page(const struct vmo *vmo, const struct vm_page *page)
{
        if (vmo->pool->clean_cache != NULL)
                vmo->pool->clean_cache(pmm_page_va(vmo->pool->pmm, page), PAGE_BYTES);
}

/* ---- making ---- */

/* `count` pages in state OBJECT, zeroed, without owner. */
static zx_status_t make_pages(struct pmm *pmm, uint64_t count, struct list_node *fresh)
{
        zx_status_t status = pmm_alloc_pages(pmm, count, PMM_ALLOC_ANY, fresh);
        if (status != ZX_OK)
                return status;
        LIST_FOR_EACH(node, fresh)
        {
                struct vm_page *page = vm_page_from_node(node);
                pmm_set_state(pmm, page, VM_PAGE_OBJECT);
                memset(pmm_page_va(pmm, page), 0, PAGE_BYTES);
        }
        return ZX_OK;
}

static uint64_t count_missing(const struct vmo *vmo, uint64_t first, uint64_t end)
{
        uint64_t missing = first < end ? end - first : 0, pa;
        for (uint64_t number = first; vmo_next_page(vmo, &number, end, &pa); number++)
                missing--;
        return missing;
}

/* Puts pages of `fresh` where [first, end) has none, and takes more from the pmm if they do not
 * suffice (somebody has decommitted meanwhile).
 * On failure everything made here is back on `fresh`. */
static zx_status_t fill(struct vmo *vmo, uint64_t first, uint64_t end, struct list_node *fresh)
{
        struct vmo_pool *pool = vmo->pool;
        struct list_node made, *node;
        zx_status_t status = ZX_OK;
        list_init(&made);
        for (uint64_t number = first; number < end; number++) {
                if (page_tree_find(&vmo->tree, number) != NULL)
                        continue;
                if (list_is_empty(fresh))
                        status = make_pages(pool->pmm, 1, fresh);
                if (status != ZX_OK)
                        goto undo;
                struct vm_page *page = vm_page_from_node(fresh->next);
                status = page_tree_insert(&vmo->tree, &pool->nodes, number, page);
                if (status != ZX_OK)
                        goto undo;
                page->use.object.owner = vmo;
                page->use.object.offset = number * PAGE_BYTES;
                vmo->committed_pages++;
                list_remove(&page->list);
                list_add_tail(&made, &page->list);
                if (vmo->cache_policy != VMO_CACHE_CACHED)
                        vmo_clean_page(vmo, page);
        }
        while (list_remove_head(&made) != NULL)
                ;
        return ZX_OK;
undo:
        while ((node = list_remove_head(&made)) != NULL) {
                struct vm_page *page = vm_page_from_node(node);
                page_tree_remove(&vmo->tree, &pool->nodes, page->use.object.offset / PAGE_BYTES);
                page->use.object.owner = NULL;
                vmo->committed_pages--;
                list_add_tail(fresh, node);
        }
        return status;
}

zx_status_t vmo_lock_committed(struct vmo *vmo, uint64_t offset, uint64_t bytes)
{
        uint64_t first = offset / PAGE_BYTES, end = div_round_up(offset + bytes, PAGE_BYTES);
        struct list_node fresh;
        if (bytes == 0)
                end = first;
        spinlock_take(&vmo->lock);
        if (!vmo_range_is_in(vmo->size_bytes, offset, bytes)) {
                spinlock_give(&vmo->lock);
                return ZX_ERR_OUT_OF_RANGE;
        }
        uint64_t missing = vmo->kind == VMO_KIND_PAGED ? count_missing(vmo, first, end) : 0;
        if (missing == 0)
                return ZX_OK;
        spinlock_give(&vmo->lock);

        list_init(&fresh);
        zx_status_t status = make_pages(vmo->pool->pmm, missing, &fresh);
        if (status != ZX_OK)
                return status;
        spinlock_take(&vmo->lock);
        if (vmo_range_is_in(vmo->size_bytes, offset, bytes))
                status = fill(vmo, first, end, &fresh);
        else
                status = ZX_ERR_OUT_OF_RANGE;
        if (status == ZX_OK && list_is_empty(&fresh))
                return ZX_OK;

        /* Surplus pages, because of a failure or of somebody who was faster, are freed here; with
         * the lock held in the good case, for the caller wants it. */
        if (status != ZX_OK)
                spinlock_give(&vmo->lock);
        pmm_free(vmo->pool->pmm, &fresh);
        return status;
}

/* ---- dropping ---- */

static void tell_mappings(struct vmo *vmo, uint64_t offset, uint64_t bytes)
{
        LIST_FOR_EACH(node, &vmo->mappings)
        {
                struct vmo_mapping_link *link = CONTAINER_OF(node, struct vmo_mapping_link, node);
                uint64_t first = max_u64(offset, link->vmo_offset);
                /* Ends as distances from `first`, for a window may end at 2^64. */
                uint64_t skipped = first - link->vmo_offset;
                if (skipped >= link->bytes || first - offset >= bytes)
                        continue;
                link->ops->unmap_range(link, first,
                                       min_u64(link->bytes - skipped, bytes - (first - offset)));
        }
}

void vmo_drop_pages(struct vmo *vmo, uint64_t first, uint64_t end, struct list_node *dead)
{
        uint64_t number = first, pa;
        if (!vmo_next_page(vmo, &number, end, &pa))
                return;
        tell_mappings(vmo, first * PAGE_BYTES, (end - first) * PAGE_BYTES);
        for (; vmo_next_page(vmo, &number, end, &pa); number++) {
                struct vm_page *page = page_tree_find(&vmo->tree, number);
                if (vmo_page_pins(page) != 0)
                        continue;
                page_tree_remove(&vmo->tree, &vmo->pool->nodes, number);
                page->use.object.owner = NULL;
                vmo->committed_pages--;
                if (page->use.object.share_count == 0) /* otherwise the last holder frees it */
                        list_add_tail(dead, &page->list);
        }
}

/* ---- operations on ranges ---- */

static zx_status_t decommit(struct vmo *vmo, uint64_t offset, uint64_t bytes)
{
        uint64_t first = offset / PAGE_BYTES, end = first + bytes / PAGE_BYTES;
        zx_status_t status = ZX_OK;
        struct list_node dead;
        if (!is_aligned(offset | bytes, PAGE_BYTES))
                return ZX_ERR_INVALID_ARGS;
        if (vmo->kind != VMO_KIND_PAGED)
                return ZX_ERR_NOT_SUPPORTED;
        list_init(&dead);
        spinlock_take(&vmo->lock);
        if (!vmo_range_is_in(vmo->size_bytes, offset, bytes))
                status = ZX_ERR_OUT_OF_RANGE;
        else if (vmo_any_has_pins(vmo, first, end, 1))
                status = ZX_ERR_BAD_STATE;
        else
                vmo_drop_pages(vmo, first, end, &dead);
        spinlock_give(&vmo->lock);
        pmm_free(vmo->pool->pmm, &dead);
        return status;
}

static zx_status_t zero(struct vmo *vmo, uint64_t offset, uint64_t bytes)
{
        uint64_t first = div_round_up(offset, PAGE_BYTES), end = (offset + bytes) / PAGE_BYTES;
        zx_status_t status = ZX_OK;
        struct list_node dead;
        if (vmo->kind == VMO_KIND_PHYSICAL)
                return ZX_ERR_NOT_SUPPORTED;
        list_init(&dead);
        spinlock_take(&vmo->lock);
        if (vmo->cache_policy != VMO_CACHE_CACHED)
                status = ZX_ERR_BAD_STATE;
        else if (!vmo_range_is_in(vmo->size_bytes, offset, bytes))
                status = ZX_ERR_OUT_OF_RANGE;
        else if (vmo->kind == VMO_KIND_PAGED && first < end)
                vmo_drop_pages(vmo, first, end, &dead);
        spinlock_give(&vmo->lock);
        pmm_free(vmo->pool->pmm, &dead);
        if (status == ZX_OK) /* parts of pages, and pages that are pinned */
                vmo_zero_present(vmo, offset, bytes);
        return status;
}

static zx_status_t commit(struct vmo *vmo, uint64_t offset, uint64_t bytes)
{
        if (vmo->kind == VMO_KIND_PHYSICAL)
                return ZX_ERR_NOT_SUPPORTED;
        zx_status_t status = vmo_lock_committed(vmo, offset, bytes);
        if (status == ZX_OK)
                spinlock_give(&vmo->lock);
        return status;
}

static zx_status_t clean(struct vmo *vmo, uint32_t op, uint64_t offset, uint64_t bytes)
{
        uint64_t pa;
        if (bytes == 0)
                return ZX_ERR_INVALID_ARGS;
        spinlock_take(&vmo->lock);
        zx_status_t status = ZX_OK;
        if (vmo->kind == VMO_KIND_PHYSICAL)
                status = ZX_ERR_NOT_SUPPORTED;
        else if (!vmo_range_is_in(vmo->size_bytes, offset, bytes))
                status = ZX_ERR_OUT_OF_RANGE;
        else if (op == VMO_OP_CACHE_INVALIDATE)
                status = ZX_ERR_NOT_SUPPORTED;
        uint64_t end = status == ZX_OK ? div_round_up(offset + bytes, PAGE_BYTES) : 0;
        for (uint64_t number = offset / PAGE_BYTES; vmo_next_page(vmo, &number, end, &pa); number++)
                vmo_clean_page(vmo, vmo_find_page(vmo, number));
        spinlock_give(&vmo->lock);
        return status;
}

zx_status_t vmo_op_range(struct vmo *vmo, uint32_t op, uint64_t offset, uint64_t bytes)
{
        switch (op) {
        case VMO_OP_COMMIT:
                return commit(vmo, offset, bytes);
        case VMO_OP_DECOMMIT:
                return decommit(vmo, offset, bytes);
        case VMO_OP_ZERO:
                return zero(vmo, offset, bytes);
        case VMO_OP_CACHE_SYNC:
        case VMO_OP_CACHE_INVALIDATE:
        case VMO_OP_CACHE_CLEAN:
        case VMO_OP_CACHE_CLEAN_INVALIDATE:
                return clean(vmo, op, offset, bytes);
        case VMO_OP_LOCK:
        case VMO_OP_UNLOCK:
        case VMO_OP_TRY_LOCK:
                return ZX_ERR_NOT_SUPPORTED;
        case VMO_OP_DONT_NEED:
        case VMO_OP_ALWAYS_NEED:
                return vmo_range_is_in(vmo_size(vmo), offset, bytes) ? ZX_OK : ZX_ERR_OUT_OF_RANGE;
        default:
                return ZX_ERR_INVALID_ARGS;
        }
}

/* ---- pins ---- */

/* Whether the pages of [first, end) that are there can take one more pin; the lock is held. */
static zx_status_t check_pins(const struct vmo *vmo, uint64_t first, uint64_t end)
{
        return vmo_any_has_pins(vmo, first, end, VM_PAGE_PIN_COUNT_MAX) ? ZX_ERR_UNAVAILABLE
                                                                        : ZX_OK;
}

zx_status_t vmo_pin(struct vmo *vmo, uint64_t offset, uint64_t bytes)
{
        uint64_t first = offset / PAGE_BYTES, end = first + bytes / PAGE_BYTES;
        zx_status_t status = ZX_OK;
        if (bytes == 0 || !is_aligned(offset | bytes, PAGE_BYTES))
                return ZX_ERR_INVALID_ARGS;
        if (vmo->kind == VMO_KIND_PHYSICAL) /* it cannot go away */
                return vmo_range_is_in(vmo->size_bytes, offset, bytes) ? ZX_OK
                                                                       : ZX_ERR_OUT_OF_RANGE;
        /* A refusal makes no page: looked at before, and after the lock was given to make them. */
        spinlock_take(&vmo->lock);
        status = vmo_range_is_in(vmo->size_bytes, offset, bytes) ? check_pins(vmo, first, end)
                                                                 : ZX_ERR_OUT_OF_RANGE;
        spinlock_give(&vmo->lock);
        if (status == ZX_OK)
                status = vmo_lock_committed(vmo, offset, bytes);
        if (status != ZX_OK)
                return status;
        status = check_pins(vmo, first, end);
        for (uint64_t number = first; number < end && status == ZX_OK; number++) {
                struct vm_page *page = vmo_find_page(vmo, number);
                vmo->pinned_pages += vmo_page_pins(page) == 0;
                /* the count is in the lowest bits and was below its maximum */
                page->use.object.bits++;
        }
        spinlock_give(&vmo->lock);
        return status;
}

void vmo_unpin(struct vmo *vmo, uint64_t offset, uint64_t bytes)
{
        uint64_t first = offset / PAGE_BYTES, end = first + bytes / PAGE_BYTES;
        ASSERT(is_aligned(offset | bytes, PAGE_BYTES));
        if (vmo->kind == VMO_KIND_PHYSICAL)
                return;
        spinlock_take(&vmo->lock);
        ASSERT(vmo_range_is_in(vmo->size_bytes, offset, bytes));
        for (uint64_t number = first; number < end; number++) {
                struct vm_page *page = vmo_find_page(vmo, number);
                ASSERT(page != NULL);
                ASSERT(vmo_page_pins(page) != 0);
                page->use.object.bits--;
                vmo->pinned_pages -= vmo_page_pins(page) == 0;
        }
        spinlock_give(&vmo->lock);
}

/* Adds a piece behind the last span. */
static void add_span(struct vmo_span_list list, size_t *count, uint64_t *end_pa,
                     struct vmo_span piece)
{
        if (*count == 0 || *end_pa != piece.pa) {
                if (*count < list.capacity)
                        list.spans[*count] = (struct vmo_span){piece.pa, 0};
                ++*count;
        }
        if (*count <= list.capacity)
                list.spans[*count - 1].bytes += piece.bytes;
        *end_pa = piece.pa + piece.bytes;
}

zx_status_t vmo_pinned_spans(struct vmo *vmo, uint64_t offset, uint64_t bytes,
                             struct vmo_span_list list, size_t *count_out)
{
        zx_status_t status = ZX_OK;
        size_t count = 0;
        uint64_t end_pa = 0, pa;
        spinlock_take(&vmo->lock);
        if (!vmo_range_is_in(vmo->size_bytes, offset, bytes))
                status = ZX_ERR_OUT_OF_RANGE;
        while (bytes != 0 && status == ZX_OK) {
                uint64_t number = offset / PAGE_BYTES, in_page = offset % PAGE_BYTES;
                uint64_t piece = bytes; /* physical: all in a row */
                if (vmo->kind != VMO_KIND_PHYSICAL)
                        piece = min_u64(bytes, PAGE_BYTES - in_page);
                if (!vmo_next_page(vmo, &number, number + 1, &pa) ||
                    (vmo->kind != VMO_KIND_PHYSICAL &&
                     vmo_page_pins(vmo_find_page(vmo, number)) == 0)) {
                        status = ZX_ERR_BAD_STATE;
                        break;
                }
                add_span(list, &count, &end_pa, (struct vmo_span){pa + in_page, piece});
                offset += piece;
                bytes -= piece;
        }
        spinlock_give(&vmo->lock);
        if (status != ZX_OK)
                return status;
        *count_out = count;
        return count > list.capacity ? ZX_ERR_BUFFER_TOO_SMALL : ZX_OK;
}

/* ---- pages, for page tables ---- */

/* Takes the lock with the pages of the range there,
 * if the flags ask for that and the kind has any. */
static zx_status_t lock_for(struct vmo *vmo, uint64_t offset, uint64_t bytes, uint32_t flags)
{
        ASSERT((flags & ~(uint32_t)(VMO_PAGE_COMMIT | VMO_PAGE_WRITE)) == 0);
        if (flags != 0 && vmo->kind == VMO_KIND_PAGED)
                return vmo_lock_committed(vmo, offset, bytes);
        spinlock_take(&vmo->lock);
        if (vmo_range_is_in(vmo->size_bytes, offset, bytes))
                return ZX_OK;
        spinlock_give(&vmo->lock);
        return ZX_ERR_OUT_OF_RANGE;
}

zx_status_t vmo_with_page(struct vmo *vmo, uint64_t offset, uint32_t flags,
                          struct vmo_page_visitor *visitor)
{
        uint64_t number = offset / PAGE_BYTES, pa;
        zx_status_t status = lock_for(vmo, number * PAGE_BYTES, PAGE_BYTES, flags);
        if (status != ZX_OK)
                return status;
        status = ZX_ERR_NOT_FOUND;
        if (vmo_next_page(vmo, &number, number + 1, &pa))
                status = visitor->enter(visitor, number * PAGE_BYTES, pa,
                                        (enum vmo_cache_policy)vmo->cache_policy);
        spinlock_give(&vmo->lock);
        return status;
}

struct note_page {
        struct vmo_page_visitor visitor;
        uint64_t pa;
};

static zx_status_t note_page(struct vmo_page_visitor *visitor, uint64_t offset, uint64_t pa,
                             enum vmo_cache_policy policy)
{
        (void)offset;
        (void)policy;
        CONTAINER_OF(visitor, struct note_page, visitor)->pa = pa;
        return ZX_OK;
}

zx_status_t vmo_get_page(struct vmo *vmo, uint64_t offset, uint32_t flags, uint64_t *pa_out)
{
        struct note_page note = {.visitor = {note_page}};
        zx_status_t status = vmo_with_page(vmo, offset, flags, &note.visitor);
        if (status == ZX_OK)
                *pa_out = note.pa;
        return status;
}

zx_status_t vmo_with_pages(struct vmo *vmo, uint64_t offset, uint64_t bytes, uint32_t flags,
                           struct vmo_page_visitor *visitor)
{
        uint64_t size, part, pa;
        zx_status_t status;
        ASSERT(is_aligned(offset | bytes, PAGE_BYTES));
        do {
                size = vmo_size(vmo);
                if (offset >= size)
                        return ZX_OK;
                part = min_u64(bytes, size - offset);
                status = lock_for(vmo, offset, part, flags);
        } while (status == ZX_ERR_OUT_OF_RANGE); /* it shrank in between; ends when that does */
        if (status != ZX_OK)
                return status;
        uint64_t end = (offset + part) / PAGE_BYTES;
        for (uint64_t number = offset / PAGE_BYTES;
             status == ZX_OK && vmo_next_page(vmo, &number, end, &pa); number++)
                status = visitor->enter(visitor, number * PAGE_BYTES, pa,
                                        (enum vmo_cache_policy)vmo->cache_policy);
        spinlock_give(&vmo->lock);
        return status;
}
