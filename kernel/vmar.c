/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar — spaces, handles, taking regions apart, walking; see vmar.h. */
#include "kernel/vmar_internal.h"

/* ---- a space ---- */

static bool config_valid(const struct vmar_space_config *config)
{
        uint64_t end;

        return config->table != NULL && config->pmm != NULL && config->base != 0 &&
               config->bytes != 0 &&
               is_aligned(config->base | config->bytes, PAGE_BYTES) &&
               !add_overflows(config->base, config->bytes, &end) && end <= BIT_MASK(63) &&
               config->entropy_bits <= VMAR_ENTROPY_BITS_MAX;
}

zx_status_t vmar_space_init(struct vmar_space *space, const struct vmar_space_config *config)
{
        zx_status_t status;

        if (!config_valid(config))
                return ZX_ERR_INVALID_ARGS;
        *space = (struct vmar_space){.table = config->table,
                                     .entropy_bits = config->entropy_bits,
                                     .forbid_write_execute = config->forbid_write_execute,
                                     .random_state = config->seed};
        spinlock_init(&space->lock, "vmar tree");
        status = slab_init(&space->regions, "region", config->pmm, sizeof(struct vmar));
        ASSERT(status == ZX_OK);
        status = slab_init(&space->mappings, "mapping", config->pmm, sizeof(struct vmar_mapping));
        ASSERT(status == ZX_OK);
        space->root = slab_alloc(&space->regions);
        if (space->root == NULL)
                return ZX_ERR_NO_MEMORY;
        space->root->node = (struct vmar_node){
                .base = config->base, .bytes = config->bytes, .kind = VMAR_NODE_REGION};
        space->root->space = space;
        space->root->references = 1;
        space->root->options = VMAR_CAN_MAP_MASK | VMAR_CAN_MAP_SPECIFIC;
        space->root->alive = true;
        space->region_count = 1;
        return ZX_OK;
}

void vmar_space_fini(struct vmar_space *space)
{
        ASSERT(space->root != NULL); /* twice */
        spinlock_take(&space->lock);
        space->table->unmap(space->table, space->root->node.base, space->root->node.bytes);
        vmar_take_apart(space->root);
        spinlock_give(&space->lock);
        space->root = NULL;
        ASSERT(space->region_count == 0);
        ASSERT(space->mapping_count == 0);
        slab_fini(&space->regions); /* a handle that was not closed */
        slab_fini(&space->mappings);
}

struct vmar_handle vmar_space_root(struct vmar_space *space)
{
        return (struct vmar_handle){.vmar = space->root,
                                    .rights = RIGHTS_VMAR_DEFAULT | RIGHT_READ | RIGHT_WRITE |
                                              RIGHT_EXECUTE};
}

/* ---- handles ---- */

zx_status_t vmar_duplicate(struct vmar_handle handle, uint32_t rights,
                           struct vmar_handle *handle_out)
{
        if (handle.vmar == NULL)
                return ZX_ERR_BAD_HANDLE;
        if (!(handle.rights & RIGHT_DUPLICATE))
                return ZX_ERR_ACCESS_DENIED;
        if (rights == RIGHT_SAME)
                rights = handle.rights;
        if ((rights & ~handle.rights) != 0)
                return ZX_ERR_INVALID_ARGS;
        /* relaxed: the caller has a reference, so the region cannot go meanwhile */
        uint32_t before = __atomic_fetch_add(&handle.vmar->references, 1, __ATOMIC_RELAXED);
        ASSERT(before != 0);
        *handle_out = (struct vmar_handle){.vmar = handle.vmar, .rights = rights};
        return ZX_OK;
}

void vmar_release(struct vmar *vmar)
{
        /* acq_rel: whoever gives the last one sees what the others did to it before
         * they gave theirs */
        uint32_t before = __atomic_fetch_sub(&vmar->references, 1, __ATOMIC_ACQ_REL);

        ASSERT(before != 0);
        if (before > 1)
                return;
        ASSERT(!vmar->alive); /* the tree's own reference was closed: the root's handle, say */
        slab_free(&vmar->space->regions, vmar);
}

void vmar_close(struct vmar_handle handle)
{
        if (handle.vmar != NULL)
                vmar_release(handle.vmar);
}

zx_status_t vmar_get_info(struct vmar_handle handle, struct vmar_info *info_out)
{
        if (handle.vmar == NULL)
                return ZX_ERR_BAD_HANDLE;
        if (!(handle.rights & RIGHT_INSPECT))
                return ZX_ERR_ACCESS_DENIED;
        spinlock_take(&handle.vmar->space->lock);
        *info_out = (struct vmar_info){.base = handle.vmar->node.base,
                                       .bytes = handle.vmar->node.bytes,
                                       .alive = handle.vmar->alive};
        spinlock_give(&handle.vmar->space->lock);
        return ZX_OK;
}

/* ---- the end of a region ---- */

/* It has no children any more. */
static void detach(struct vmar *vmar)
{
        if (vmar->parent != NULL)
                vmar_tree_remove(&vmar->parent->children, &vmar->node);
        vmar->parent = NULL;
        vmar->alive = false;
        vmar->space->region_count--;
        vmar_release(vmar);
}

/* Depth first without a stack: the way back is the parent. Ends after as many rounds as there are
 * nodes, and as many again on the way back. */
void vmar_take_apart(struct vmar *vmar)
{
        struct vmar *at = vmar;

        for (;;) {
                struct vmar_node *child = at->children.root;
                struct vmar *parent = at->parent;
                if (child == NULL) {
                        bool last = at == vmar;
                        detach(at);
                        if (last)
                                return;
                        at = parent;
                } else if (child->kind == VMAR_NODE_REGION) {
                        at = vmar_of_node(child);
                } else {
                        vmar_mapping_remove(vmar_mapping_of_node(child));
                }
        }
}

static zx_status_t destroy_locked(struct vmar *vmar)
{
        struct vmar_table *table = vmar->space->table;

        if (!vmar->alive)
                return ZX_ERR_BAD_STATE;
        if (vmar == vmar->space->root)
                return ZX_ERR_NOT_SUPPORTED;
        if (vmar->children.root != NULL)
                table->unmap(table, vmar->node.base, vmar->node.bytes);
        vmar_take_apart(vmar);
        return ZX_OK;
}

zx_status_t vmar_destroy(struct vmar_handle region)
{
        zx_status_t status;

        if (region.vmar == NULL)
                return ZX_ERR_BAD_HANDLE;
        spinlock_take(&region.vmar->space->lock);
        status = destroy_locked(region.vmar);
        spinlock_give(&region.vmar->space->lock);
        return status;
}

/* ---- walking ---- */

static void visit_region(const struct vmar *vmar, uint32_t depth, vmar_visit_fn visit,
                         void *context)
{
        visit(context, &(struct vmar_entry){.is_region = true,
                                            .depth = depth,
                                            .base = vmar->node.base,
                                            .bytes = vmar->node.bytes,
                                            .options = vmar->options});
}

static void visit_mapping(const struct vmar_mapping *mapping, uint32_t depth, vmar_visit_fn visit,
                          void *context)
{
        uint32_t options = mapping->permissions | mapping->permissions_max << VMAR_CAN_MAP_SHIFT;

        visit(context, &(struct vmar_entry){.depth = depth,
                                            .base = mapping->node.base,
                                            .bytes = mapping->node.bytes,
                                            .options = options,
                                            .vmo = mapping->vmo,
                                            .vmo_offset = mapping->link.vmo_offset});
}

void vmar_walk(struct vmar_space *space, vmar_visit_fn visit, void *context)
{
        struct vmar *at;
        struct vmar_node *child;
        uint32_t depth = 1;

        spinlock_take(&space->lock);
        at = space->root;
        visit_region(at, 0, visit, context);
        child = vmar_tree_first(&at->children);
        while (child != NULL || at->parent != NULL) {
                if (child == NULL) { /* back up, behind the region just left */
                        child = vmar_tree_next(&at->node);
                        at = at->parent;
                        depth--;
                } else if (child->kind == VMAR_NODE_REGION) {
                        at = vmar_of_node(child);
                        visit_region(at, depth++, visit, context);
                        child = vmar_tree_first(&at->children);
                } else {
                        visit_mapping(vmar_mapping_of_node(child), depth, visit, context);
                        child = vmar_tree_next(child);
                }
        }
        spinlock_give(&space->lock);
}
