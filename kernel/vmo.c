/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo — life, properties and mappings of memory objects.
 *
 * Facts: spec/zircon-objects.md, 6. */
#include "kernel/vmo.h"

#include "kernel/vmo_internal.h"

#define KNOWN_OPTIONS (VMO_RESIZABLE | VMO_DISCARDABLE)
#define ALIGN_LOG2_MAX 63

/* ---- the pool ---- */

zx_status_t vmo_pool_init(struct vmo_pool *pool, struct pmm *pmm)
{
        memset(pool, 0, sizeof(*pool));
        pool->pmm = pmm;
        zx_status_t status = slab_init(&pool->vmos, "vmo", pmm, sizeof(struct vmo));
        if (status != ZX_OK)
                return status;
        return slab_init(&pool->nodes, "page_tree", pmm, sizeof(struct page_tree_node));
}

void vmo_pool_fini(struct vmo_pool *pool)
{
        slab_fini(&pool->vmos);
        slab_fini(&pool->nodes);
}

/* ---- life ---- */

static struct vmo *new_vmo(struct vmo_pool *pool, enum vmo_kind kind, uint64_t size_bytes)
{
        struct vmo *vmo = slab_alloc(&pool->vmos);
        if (vmo == NULL)
                return NULL;
        spinlock_init(&vmo->lock, "vmo");
        vmo->reference_count = 1;
        vmo->kind = (uint8_t)kind;
        vmo->pool = pool;
        vmo->size_bytes = round_up(size_bytes, PAGE_BYTES);
        vmo->content_bytes = size_bytes;
        page_tree_init(&vmo->tree);
        list_init(&vmo->mappings);
        return vmo;
}

zx_status_t vmo_create(struct vmo_pool *pool, uint64_t size_bytes, uint32_t options,
                       struct vmo **vmo_out)
{
        if ((options & ~KNOWN_OPTIONS) != 0)
                return ZX_ERR_INVALID_ARGS;
        if ((options & VMO_DISCARDABLE) != 0)
                return ZX_ERR_NOT_SUPPORTED;
        if (size_bytes > VMO_BYTES_MAX)
                return ZX_ERR_OUT_OF_RANGE;
        struct vmo *vmo = new_vmo(pool, VMO_KIND_PAGED, size_bytes);
        if (vmo == NULL)
                return ZX_ERR_NO_MEMORY;
        vmo->resizable = (options & VMO_RESIZABLE) != 0;
        *vmo_out = vmo;
        return ZX_OK;
}

zx_status_t vmo_create_contiguous(struct vmo_pool *pool, uint64_t size_bytes, uint32_t align_log2,
                                  struct vmo **vmo_out)
{
        struct list_node pages, *node;
        uint64_t pa, number = 0;
        if (size_bytes == 0 || !is_aligned(size_bytes, PAGE_BYTES) || align_log2 > ALIGN_LOG2_MAX)
                return ZX_ERR_INVALID_ARGS;
        struct vmo *vmo = new_vmo(pool, VMO_KIND_CONTIGUOUS, size_bytes);
        if (vmo == NULL)
                return ZX_ERR_NO_MEMORY;
        list_init(&pages);
        if (pmm_alloc_contiguous(pool->pmm, size_bytes / PAGE_BYTES, PMM_ALLOC_ANY, align_log2, &pa,
                                 &pages) != ZX_OK)
                goto undo_vmo;

        vmo->base_pa = pa;
        vmo->first_page = vm_page_from_node(pages.next);
        memset(pmm_pa_to_va(pool->pmm, pa), 0, size_bytes);
        while ((node = list_remove_head(&pages)) != NULL) {
                struct vm_page *page = vm_page_from_node(node);
                ASSERT(page == &vmo->first_page[number]); /* a run lies in one arena */
                pmm_set_state(pool->pmm, page, VM_PAGE_OBJECT);
                page->use.object.owner = vmo;
                page->use.object.offset = number++ * PAGE_BYTES;
        }
        vmo->committed_pages = number;
        *vmo_out = vmo;
        return ZX_OK;
undo_vmo:
        slab_free(&pool->vmos, vmo);
        return ZX_ERR_NO_MEMORY;
}

zx_status_t vmo_create_physical(struct vmo_pool *pool, uint64_t pa, uint64_t size_bytes,
                                struct vmo **vmo_out)
{
        uint64_t last;
        if (size_bytes == 0 || !is_aligned(size_bytes, PAGE_BYTES) || !is_aligned(pa, PAGE_BYTES) ||
            add_overflows(pa, size_bytes - 1, &last))
                return ZX_ERR_INVALID_ARGS;
        struct vmo *vmo = new_vmo(pool, VMO_KIND_PHYSICAL, size_bytes);
        if (vmo == NULL)
                return ZX_ERR_NO_MEMORY;
        vmo->base_pa = pa;
        vmo->cache_policy = VMO_CACHE_UNCACHED;
        *vmo_out = vmo;
        return ZX_OK;
}

void vmo_get(struct vmo *vmo)
{
        uint32_t before = __atomic_fetch_add(&vmo->reference_count, 1, __ATOMIC_RELAXED);
        ASSERT(before != 0);
        ASSERT(before != UINT32_MAX);
}

static void destroy(struct vmo *vmo)
{
        struct vmo_pool *pool = vmo->pool;
        struct list_node dead;
        list_init(&dead);
        ASSERT(vmo->mapping_count == 0);
        ASSERT(vmo->pinned_pages == 0);
        if (vmo->kind == VMO_KIND_PAGED)
                vmo_drop_pages(vmo, 0, vmo->size_bytes / PAGE_BYTES, &dead);
        for (uint64_t i = 0; vmo->kind == VMO_KIND_CONTIGUOUS && i < vmo->committed_pages; i++) {
                vmo->first_page[i].use.object.owner = NULL;
                list_add_tail(&dead, &vmo->first_page[i].list);
        }
        pmm_free(pool->pmm, &dead);
        slab_free(&pool->vmos, vmo);
}

void vmo_put(struct vmo *vmo)
{
        /* Release, so that what this holder did comes before the end; acquire, so that whoever ends
         * it sees what the others did. */
        uint32_t before = __atomic_fetch_sub(&vmo->reference_count, 1, __ATOMIC_ACQ_REL);
        ASSERT(before != 0);
        if (before == 1)
                destroy(vmo);
}

/* ---- properties ---- */

static uint64_t read_locked(struct vmo *vmo, const uint64_t *field)
{
        spinlock_take(&vmo->lock);
        uint64_t value = *field;
        spinlock_give(&vmo->lock);
        return value;
}

uint64_t vmo_size(struct vmo *vmo)
{
        return read_locked(vmo, &vmo->size_bytes);
}

uint64_t vmo_content_size(struct vmo *vmo)
{
        return read_locked(vmo, &vmo->content_bytes);
}

uint64_t vmo_committed_pages(struct vmo *vmo)
{
        return read_locked(vmo, &vmo->committed_pages);
}

enum vmo_cache_policy vmo_cache_policy(struct vmo *vmo)
{
        spinlock_take(&vmo->lock);
        enum vmo_cache_policy policy = (enum vmo_cache_policy)vmo->cache_policy;
        spinlock_give(&vmo->lock);
        return policy;
}

zx_status_t vmo_set_size(struct vmo *vmo, uint64_t size_bytes)
{
        uint64_t rounded;
        struct list_node dead;
        if (add_overflows(size_bytes, PAGE_BYTES - 1, &rounded))
                return ZX_ERR_OUT_OF_RANGE;
        rounded = round_down(rounded, PAGE_BYTES);
        if (!vmo->resizable)
                return ZX_ERR_UNAVAILABLE;

        list_init(&dead);
        spinlock_take(&vmo->lock);
        if (rounded < vmo->size_bytes) {
                uint64_t first = rounded / PAGE_BYTES, end = vmo->size_bytes / PAGE_BYTES;
                if (vmo_any_has_pins(vmo, first, end, 1)) {
                        spinlock_give(&vmo->lock);
                        return ZX_ERR_BAD_STATE;
                }
                vmo_drop_pages(vmo, first, end, &dead);
        }
        vmo->size_bytes = rounded;
        vmo->content_bytes = size_bytes;
        spinlock_give(&vmo->lock);
        pmm_free(vmo->pool->pmm, &dead);
        vmo_zero_present(vmo, size_bytes, rounded - size_bytes);
        return ZX_OK;
}

zx_status_t vmo_set_content_size(struct vmo *vmo, uint64_t content_bytes)
{
        zx_status_t status = ZX_ERR_OUT_OF_RANGE;
        spinlock_take(&vmo->lock);
        if (content_bytes <= vmo->size_bytes) {
                vmo->content_bytes = content_bytes;
                status = ZX_OK;
        }
        spinlock_give(&vmo->lock);
        return status;
}

zx_status_t vmo_set_cache_policy(struct vmo *vmo, uint32_t policy)
{
        zx_status_t status = ZX_ERR_BAD_STATE;
        uint64_t pa;
        if ((policy & ~VMO_CACHE_POLICY_MASK) != 0)
                return ZX_ERR_INVALID_ARGS;
        spinlock_take(&vmo->lock);
        if (policy == vmo->cache_policy) {
                status = ZX_OK;
        } else if (vmo->mapping_count == 0 && vmo->pinned_pages == 0 &&
                   (vmo->committed_pages == 0 || vmo->cache_policy == VMO_CACHE_CACHED)) {
                vmo->cache_policy = (uint8_t)policy;
                status = ZX_OK;
                for (uint64_t number = 0; vmo->committed_pages != 0 &&
                     vmo_next_page(vmo, &number, vmo->size_bytes / PAGE_BYTES, &pa); number++)
                        vmo_clean_page(vmo, vmo_find_page(vmo, number));
        }
        spinlock_give(&vmo->lock);
        return status;
}

/* ---- mappings ---- */

void vmo_add_mapping(struct vmo *vmo, struct vmo_mapping_link *link)
{
        ASSERT(link->ops != NULL);
        ASSERT(is_aligned(link->vmo_offset | link->bytes, PAGE_BYTES));
        vmo_get(vmo);
        spinlock_take(&vmo->lock);
        list_add_tail(&vmo->mappings, &link->node);
        vmo->mapping_count++;
        spinlock_give(&vmo->lock);
}

void vmo_change_mapping(struct vmo *vmo, struct vmo_mapping_link *link, uint64_t vmo_offset,
                        uint64_t bytes)
{
        ASSERT(is_aligned(vmo_offset | bytes, PAGE_BYTES));
        spinlock_take(&vmo->lock);
        ASSERT(list_in_list(&link->node));
        link->vmo_offset = vmo_offset;
        link->bytes = bytes;
        spinlock_give(&vmo->lock);
}

void vmo_remove_mapping(struct vmo *vmo, struct vmo_mapping_link *link)
{
        spinlock_take(&vmo->lock);
        ASSERT(list_in_list(&link->node));
        ASSERT(vmo->mapping_count != 0);
        list_remove(&link->node);
        vmo->mapping_count--;
        spinlock_give(&vmo->lock);
        vmo_put(vmo);
}

/* ---- validity ---- */

/* [V2], [V3] for one page; pins and count are added up by the caller. */
static bool page_is_valid(const struct vmo *vmo, const struct vm_page *page, uint64_t number)
{
        return vm_page_state(page) == VM_PAGE_OBJECT && page->use.object.owner == vmo &&
               page->use.object.offset == number * PAGE_BYTES && !list_in_list(&page->list);
}

bool vmo_valid(struct vmo *vmo)
{
        spinlock_take(&vmo->lock);
        uint64_t end = vmo->kind == VMO_KIND_PHYSICAL ? 0 : vmo->size_bytes / PAGE_BYTES;
        uint64_t pages = 0, pinned = 0, pa;
        bool valid = is_aligned(vmo->size_bytes, PAGE_BYTES) && /* [V1] */
                     vmo->content_bytes <= vmo->size_bytes && vmo->reference_count != 0 &&
                     list_count(&vmo->mappings) == vmo->mapping_count;
        for (uint64_t number = 0; valid && vmo_next_page(vmo, &number, end, &pa); number++) {
                const struct vm_page *page = vmo_find_page(vmo, number);
                valid = page->pa == pa && page_is_valid(vmo, page, number);
                pages++;
                pinned += vmo_page_pins(page) != 0;
        }
        /* Nothing beyond the size. */
        if (vmo->kind == VMO_KIND_PAGED)
                valid = valid && page_tree_next(&vmo->tree, &end, PAGE_TREE_NUMBER_END) == NULL;
        valid = valid && pages == vmo->committed_pages && pinned == vmo->pinned_pages;
        spinlock_give(&vmo->lock);
        return valid;
}
