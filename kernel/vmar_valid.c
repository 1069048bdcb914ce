/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar_valid — checks a whole space against the invariants of vmar.h. */
#include "kernel/vmar_internal.h"

/* Pages at the start of a mapping whose entries are looked at. */
#define PAGES_LOOKED_AT 16u

/* [R4] for a page at which `mapping` is, NULL for none. */
static bool page_valid(struct vmar_space *space, struct vmar_mapping *mapping, uint64_t va)
{
        uint64_t pa, page_pa;
        uint32_t permissions;

        if (!space->table->query(space->table, va, &pa, &permissions))
                return true; /* the next fault brings it */
        if (mapping == NULL || permissions != mapping->permissions)
                return false;
        return vmo_get_page(mapping->vmo, va - mapping->va_of_offset_0, 0, &page_pa) == ZX_OK &&
               page_pa == pa;
}

static bool table_valid(struct vmar_space *space, struct vmar_mapping *mapping)
{
        uint64_t base = mapping->node.base, end = vmar_node_end(&mapping->node);

        for (uint64_t i = 0; i < min_u64(PAGES_LOOKED_AT, mapping->node.bytes / PAGE_BYTES); i++)
                if (!page_valid(space, mapping, base + i * PAGE_BYTES))
                        return false;
        return page_valid(space, vmar_mapping_at(space->root, base - PAGE_BYTES),
                          base - PAGE_BYTES) &&
               page_valid(space, vmar_mapping_at(space->root, end), end);
}

static bool mapping_valid(struct vmar_space *space, const struct vmar *parent,
                          struct vmar_mapping *mapping)
{
        uint64_t offset = mapping->node.base - mapping->va_of_offset_0;

        return mapping->parent == parent && mapping->table == space->table &&
               (mapping->permissions & ~mapping->permissions_max) == 0 && /* [R2] */
               (mapping->permissions_max & ~vmar_permissions_of_options(parent->options)) == 0 &&
               vmar_permissions_sane(mapping->permissions) &&
               list_in_list(&mapping->link.node) && mapping->link.vmo_offset == offset && /* [R3] */
               mapping->link.bytes == mapping->node.bytes && table_valid(space, mapping);
}

/* A region by itself [R1]. */
static bool region_valid(const struct vmar_space *space, const struct vmar *region)
{
        const struct vmar_node *top = region->children.root;

        return region->alive && region->space == space && region->references != 0 &&
               vmar_tree_valid(&region->children) &&
               (top == NULL || (top->subtree_first >= region->node.base &&
                                top->subtree_end <= vmar_end(region)));
}

static bool space_valid(struct vmar_space *space)
{
        struct vmar *at = space->root;
        struct vmar_node *child = vmar_tree_first(&at->children);
        uint64_t regions = 1, mappings = 0;

        if (at->parent != NULL || !region_valid(space, at))
                return false;
        while (child != NULL || at->parent != NULL) {
                if (child == NULL) {
                        child = vmar_tree_next(&at->node);
                        at = at->parent;
                } else if (child->kind == VMAR_NODE_REGION) {
                        struct vmar *region = vmar_of_node(child);
                        if (region->parent != at || !region_valid(space, region))
                                return false;
                        at = region;
                        regions++;
                        child = vmar_tree_first(&at->children);
                } else {
                        if (!mapping_valid(space, at, vmar_mapping_of_node(child)))
                                return false;
                        mappings++;
                        child = vmar_tree_next(child);
                }
        }
        return regions == space->region_count && mappings == space->mapping_count; /* [R5] */
}

bool vmar_valid(struct vmar_space *space)
{
        bool valid;

        spinlock_take(&space->lock);
        valid = space_valid(space);
        spinlock_give(&space->lock);
        return valid;
}
