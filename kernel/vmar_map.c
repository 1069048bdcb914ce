/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar_map — mappings: making, cutting, joining and removing them; vmar_map and vmar_unmap; see
 * vmar.h.
 *
 * Order of things when something goes: the page table forgets it, then the VMO forgets the mapping,
 * and only then does the tree. The space's lock keeps faults from entering it again meanwhile.
 * Facts: spec/zircon-objects.md, 7.4, 7.5 */
#include "kernel/vmar_internal.h"

#define MAP_OPTIONS                                                                             \
        (VMAR_PERM_MASK | VMAR_PERM_READ_IF_XOM_UNSUPPORTED | VMAR_SPECIFIC |                   \
         VMAR_SPECIFIC_OVERWRITE | VMAR_OFFSET_IS_UPPER_LIMIT | VMAR_MAP_RANGE |                \
         VMAR_REQUIRE_NON_RESIZABLE | VMAR_ALLOW_FAULTS)

/* ---- finding ---- */

struct vmar_mapping *vmar_mapping_at(struct vmar *top, uint64_t va)
{
        struct vmar *at = top;

        for (;;) {
                struct vmar_node *node = vmar_tree_at_or_after(&at->children, va);
                if (node == NULL || node->base > va)
                        return NULL;
                if (node->kind == VMAR_NODE_MAPPING)
                        return vmar_mapping_of_node(node);
                at = vmar_of_node(node);
        }
}

struct vmar_mapping *vmar_mapping_at_or_after(struct vmar *top, uint64_t va)
{
        struct vmar *at = top;

        for (;;) {
                struct vmar_node *node = vmar_tree_at_or_after(&at->children, va);
                if (node != NULL && node->kind == VMAR_NODE_MAPPING)
                        return vmar_mapping_of_node(node);
                if (node != NULL) {
                        at = vmar_of_node(node);
                } else if (at == top) {
                        return NULL;
                } else { /* nothing more in this one: go on behind it */
                        va = vmar_end(at);
                        at = at->parent;
                }
        }
}

/* ---- one mapping ---- */

/* Called by the VMO, with its lock and without ours: only what is constant may be read. */
static void unmap_range(struct vmo_mapping_link *link, uint64_t offset, uint64_t bytes)
{
        struct vmar_mapping *mapping = CONTAINER_OF(link, struct vmar_mapping, link);

        mapping->table->unmap(mapping->table, mapping->va_of_offset_0 + offset, bytes);
}

static const struct vmo_mapping_ops link_ops = {.unmap_range = unmap_range};

/* Puts a mapping with all its fields but those of the link and the trees in place. */
static void enter_mapping(struct vmar_mapping *mapping, struct vmar *parent, uint64_t vmo_offset)
{
        mapping->node.kind = VMAR_NODE_MAPPING;
        mapping->parent = parent;
        mapping->table = parent->space->table;
        mapping->va_of_offset_0 = mapping->node.base - vmo_offset;
        mapping->link = (struct vmo_mapping_link){
                .ops = &link_ops, .vmo_offset = vmo_offset, .bytes = mapping->node.bytes};
        vmo_add_mapping(mapping->vmo, &mapping->link);
        vmar_tree_insert(&parent->children, &mapping->node);
        parent->space->mapping_count++;
}

void vmar_mapping_remove(struct vmar_mapping *mapping)
{
        struct vmar_space *space = mapping->parent->space;

        vmo_remove_mapping(mapping->vmo, &mapping->link);
        vmar_tree_remove(&mapping->parent->children, &mapping->node);
        space->mapping_count--;
        slab_free(&space->mappings, mapping);
}

/* Gives a mapping new ends. */
static void resize(struct vmar_mapping *mapping, uint64_t base, uint64_t end)
{
        vmo_change_mapping(mapping->vmo, &mapping->link, base - mapping->va_of_offset_0,
                           end - base);
        vmar_tree_resize(&mapping->node, base, end - base);
}

void vmar_mapping_split(struct vmar_mapping *mapping, uint64_t at, struct vmar_mapping *spare)
{
        uint64_t end = vmar_node_end(&mapping->node);

        DEBUG_ASSERT(at > mapping->node.base);
        DEBUG_ASSERT(at < end);
        spare->node.base = at;
        spare->node.bytes = end - at;
        spare->vmo = mapping->vmo;
        spare->origin = mapping->origin;
        spare->permissions = mapping->permissions;
        spare->permissions_max = mapping->permissions_max;
        vmar_tree_resize(&mapping->node, mapping->node.base, at - mapping->node.base);
        /* For a moment both are on the VMO's list with the second part, never neither. */
        enter_mapping(spare, mapping->parent, at - mapping->va_of_offset_0);
        vmo_change_mapping(mapping->vmo, &mapping->link, mapping->link.vmo_offset,
                           mapping->node.bytes);
}

bool vmar_mapping_join(struct vmar_mapping *first, struct vmar_mapping *second)
{
        uint64_t end = vmar_node_end(&second->node);

        if (first->origin != second->origin || vmar_node_end(&first->node) != second->node.base ||
            first->permissions != second->permissions)
                return false;
        vmo_change_mapping(first->vmo, &first->link, first->link.vmo_offset,
                           end - first->node.base);
        vmar_mapping_remove(second);
        vmar_tree_resize(&first->node, first->node.base, end - first->node.base);
        return true;
}

/* ---- taking away ---- */

/* A range of one region that is to become empty. */
struct cut {
        struct vmar *region;
        uint64_t first, end;
        struct vmar_mapping *spare; /* for the second half of a mapping that loses its middle */
};

static bool cuts_region(const struct cut *cut, const struct vmar_node *node)
{
        return node != NULL && node->kind == VMAR_NODE_REGION && node->base < cut->end &&
               (node->base < cut->first || vmar_node_end(node) > cut->end);
}

/* Row 4 of vmar_unmap. Only the first and the last child can lie partly outside. */
static zx_status_t check_cut(const struct cut *cut)
{
        const struct vmar_tree *children = &cut->region->children;

        if (cuts_region(cut, vmar_tree_at_or_after(children, cut->first)) ||
            cuts_region(cut, vmar_tree_at_or_after(children, cut->end - 1)))
                return ZX_ERR_INVALID_ARGS;
        return ZX_OK;
}

/* Gets what make_cut will need. ZX_ERR_NO_MEMORY: nothing was taken. */
static zx_status_t prepare_cut(struct cut *cut)
{
        struct vmar_node *node = vmar_tree_at_or_after(&cut->region->children, cut->first);

        cut->spare = NULL;
        if (node == NULL || node->kind != VMAR_NODE_MAPPING || node->base >= cut->first ||
            vmar_node_end(node) <= cut->end)
                return ZX_OK;
        cut->spare = slab_alloc(&cut->region->space->mappings);
        return cut->spare == NULL ? ZX_ERR_NO_MEMORY : ZX_OK;
}

static void cut_mapping(struct cut *cut, struct vmar_mapping *mapping)
{
        uint64_t base = mapping->node.base, end = vmar_node_end(&mapping->node);

        if (base < cut->first && end > cut->end)
                vmar_mapping_split(mapping, cut->end, cut->spare);
        if (base < cut->first)
                resize(mapping, base, cut->first);
        else if (end > cut->end)
                resize(mapping, cut->end, end);
        else
                vmar_mapping_remove(mapping);
}

/* Cannot fail: the page table has no say in it, and the memory is there. */
static void make_cut(struct cut *cut)
{
        struct vmar_table *table = cut->region->space->table;
        struct vmar_node *node = vmar_tree_at_or_after(&cut->region->children, cut->first);

        if (node != NULL && node->base < cut->end)
                table->unmap(table, cut->first, cut->end - cut->first);
        while (node != NULL && node->base < cut->end) {
                if (node->kind == VMAR_NODE_REGION)
                        vmar_take_apart(vmar_of_node(node));
                else
                        cut_mapping(cut, vmar_mapping_of_node(node));
                node = vmar_tree_at_or_after(&cut->region->children, cut->first);
        }
}

static zx_status_t unmap_locked(struct vmar *region, uint64_t va, uint64_t bytes)
{
        struct cut cut = {.region = region, .first = va, .end = va + bytes};
        zx_status_t status;

        if (!region->alive)
                return ZX_ERR_BAD_STATE;
        if (!vmar_contains(region, va, bytes))
                return ZX_ERR_INVALID_ARGS;
        status = check_cut(&cut);
        if (status == ZX_OK)
                status = prepare_cut(&cut);
        if (status == ZX_OK)
                make_cut(&cut);
        return status;
}

zx_status_t vmar_unmap(struct vmar_handle region, uint64_t va, uint64_t bytes)
{
        zx_status_t status;

        if (region.vmar == NULL)
                return ZX_ERR_BAD_HANDLE;
        bytes = vmar_page_round_up(bytes);
        if (!is_aligned(va, PAGE_BYTES) || bytes == 0)
                return ZX_ERR_INVALID_ARGS;
        spinlock_take(&region.vmar->space->lock);
        status = unmap_locked(region.vmar, va, bytes);
        spinlock_give(&region.vmar->space->lock);
        return status;
}

/* ---- mapping ---- */

/* A request, digested. */
struct plan {
        struct vmar *region;
        struct vmo *vmo;
        uint64_t vmo_offset;
        struct vmar_place place;
        uint32_t permissions, permissions_max;
};

/* Rows 3 to 9. */
static zx_status_t check_options(struct vmar_handle region, const struct vmar_map_request *request,
                                 struct plan *plan)
{
        uint32_t options = request->options;
        uint32_t rights = vmar_permissions_of_rights(region.rights & request->vmo.rights);
        uint32_t can_map = vmar_permissions_of_options(region.vmar->options);

        if (options & VMAR_PERM_READ_IF_XOM_UNSUPPORTED)
                options |= VMAR_PERM_READ;
        plan->permissions = options & VMAR_PERM_MASK;
        plan->permissions_max = rights & can_map;
        if (vmar_options_unknown(options) || !vmar_permissions_sane(plan->permissions))
                return ZX_ERR_INVALID_ARGS;
        if ((options & VMAR_MAP_RANGE) && (options & VMAR_SPECIFIC_OVERWRITE))
                return ZX_ERR_INVALID_ARGS;
        if ((options & VMAR_CAN_MAP_MASK) != 0)
                return ZX_ERR_INVALID_ARGS;
        if ((plan->permissions & ~rights) != 0)
                return ZX_ERR_ACCESS_DENIED;
        if ((options & VMAR_REQUIRE_NON_RESIZABLE) && vmo_is_resizable(request->vmo.vmo))
                return ZX_ERR_NOT_SUPPORTED;
        if ((options & (VMAR_ALIGN(1) - 1) & ~MAP_OPTIONS) != 0)
                return ZX_ERR_INVALID_ARGS;
        if ((plan->permissions & ~can_map) != 0 ||
            vmar_permissions_forbidden(region.vmar->space, plan->permissions))
                return ZX_ERR_ACCESS_DENIED;
        return ZX_OK;
}

/* Rows 1 to 11. */
static zx_status_t make_plan(struct vmar_handle region, const struct vmar_map_request *request,
                             struct plan *plan)
{
        uint64_t bytes = vmar_page_round_up(request->bytes), end;
        zx_status_t status;

        if (region.vmar == NULL || request->vmo.vmo == NULL)
                return ZX_ERR_BAD_HANDLE;
        if (!(request->vmo.rights & RIGHT_MAP))
                return ZX_ERR_ACCESS_DENIED;
        status = check_options(region, request, plan);
        if (status != ZX_OK)
                return status;
        if (!is_aligned(request->vmo_offset, PAGE_BYTES))
                return ZX_ERR_INVALID_ARGS;
        if ((bytes == 0 && request->bytes != 0) || add_overflows(request->vmo_offset, bytes, &end))
                return ZX_ERR_OUT_OF_RANGE;
        plan->region = region.vmar;
        plan->vmo = request->vmo.vmo;
        plan->vmo_offset = request->vmo_offset;
        plan->place = (struct vmar_place){request->options, request->offset, bytes};
        return ZX_OK;
}

static zx_status_t map_locked(const struct plan *plan, uint64_t *va_out)
{
        struct vmar *region = plan->region;
        struct slab *mappings = &region->space->mappings;
        struct vmar_mapping *mapping;
        struct cut cut;
        uint64_t base;
        zx_status_t status = vmar_check_place(region, &plan->place);

        if (status == ZX_OK)
                status = vmar_find_place(region, &plan->place, &base);
        if (status != ZX_OK)
                return status;
        mapping = slab_alloc(mappings);
        if (mapping == NULL)
                return ZX_ERR_NO_MEMORY;
        cut = (struct cut){.region = region, .first = base, .end = base + plan->place.bytes};
        status = prepare_cut(&cut); /* something is in the way only with SPECIFIC_OVERWRITE */
        if (status != ZX_OK) {
                slab_free(mappings, mapping);
                return status;
        }
        make_cut(&cut);
        mapping->node.base = base;
        mapping->node.bytes = plan->place.bytes;
        mapping->vmo = plan->vmo;
        mapping->origin = ++region->space->map_count;
        mapping->permissions = plan->permissions;
        mapping->permissions_max = plan->permissions_max;
        enter_mapping(mapping, region, plan->vmo_offset);

        if (plan->place.options & VMAR_MAP_RANGE)
                status = vmar_mapping_enter(mapping, base, plan->place.bytes);
        if (status != ZX_OK) {
                region->space->table->unmap(region->space->table, base, plan->place.bytes);
                vmar_mapping_remove(mapping);
                return status;
        }
        *va_out = base;
        return ZX_OK;
}

zx_status_t vmar_map(struct vmar_handle region, const struct vmar_map_request *request,
                     uint64_t *va_out)
{
        struct plan plan;
        zx_status_t status = make_plan(region, request, &plan);

        if (status != ZX_OK)
                return status;
        struct vmar_space *space = plan.region->space;
        spinlock_take(&space->lock);
        uint64_t random_state = space->random_state;
        status = map_locked(&plan, va_out);
        if (status != ZX_OK)
                space->random_state = random_state;
        spinlock_give(&space->lock);
        return status;
}
