/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar_protect — new permissions for a range, all or nothing; see vmar.h.
 *
 *   |----- a (r) -----|----- b (rw) -----|        protect the middle to r
 *   |--- a ---|- a' (r) -|- b' (r) -|- b (rw) -|  split at both ends: two pieces more at most
 *   |--- a ---|- a' -|- b' -|-- b (rw) -|         join pieces of one vmar_map that are equal
 *
 * Facts: spec/zircon-objects.md, 7.6 */
#include "kernel/vmar_internal.h"

struct change {
        struct vmar *region;
        uint64_t first, end;
        uint32_t permissions;
        struct vmar_mapping *spares[2]; /* for the split at `first` and the one at `end` */
};

/* Rows 6 and 7, and which spares it takes. */
static zx_status_t check_change(const struct change *change, bool needed[2])
{
        uint64_t at = change->first;

        while (at < change->end) {
                struct vmar_mapping *mapping = vmar_mapping_at(change->region, at);
                if (mapping == NULL)
                        return ZX_ERR_NOT_FOUND;
                if ((change->permissions & ~mapping->permissions_max) != 0)
                        return ZX_ERR_ACCESS_DENIED;
                if (mapping->parent != change->region &&
                    (change->permissions & ~mapping->permissions) != 0)
                        return ZX_ERR_ACCESS_DENIED;
                if (mapping->permissions != change->permissions) {
                        needed[0] |= mapping->node.base < change->first;
                        needed[1] |= vmar_node_end(&mapping->node) > change->end;
                }
                at = vmar_node_end(&mapping->node);
        }
        return ZX_OK;
}

static zx_status_t get_spares(struct change *change, const bool needed[2])
{
        struct slab *mappings = &change->region->space->mappings;

        for (unsigned i = 0; i < 2; i++)
                change->spares[i] = needed[i] ? slab_alloc(mappings) : NULL;
        if ((change->spares[0] != NULL) == needed[0] && (change->spares[1] != NULL) == needed[1])
                return ZX_OK;
        for (unsigned i = 0; i < 2; i++)
                if (change->spares[i] != NULL)
                        slab_free(mappings, change->spares[i]);
        return ZX_ERR_NO_MEMORY;
}

static void make_change(struct change *change)
{
        struct vmar_table *table = change->region->space->table;
        uint64_t at = change->first;

        while (at < change->end) {
                struct vmar_mapping *mapping = vmar_mapping_at(change->region, at);
                if (mapping->permissions != change->permissions) {
                        if (mapping->node.base < change->first) {
                                vmar_mapping_split(mapping, change->first, change->spares[0]);
                                mapping = change->spares[0];
                        }
                        if (vmar_node_end(&mapping->node) > change->end)
                                vmar_mapping_split(mapping, change->end, change->spares[1]);
                        mapping->permissions = change->permissions;
                }
                at = vmar_node_end(&mapping->node);
        }
        if (change->permissions == 0)
                table->unmap(table, change->first, change->end - change->first);
        else
                table->protect(table, change->first, change->end - change->first,
                               change->permissions);
}

/* Joins neighbours that have become equal, from the one before the range to the one behind it. */
static void tidy_up(const struct change *change)
{
        struct vmar_mapping *mapping = vmar_mapping_at(change->region, change->first);
        struct vmar_node *before = vmar_tree_previous(&mapping->node);

        if (before != NULL && before->kind == VMAR_NODE_MAPPING &&
            vmar_mapping_join(vmar_mapping_of_node(before), mapping))
                mapping = vmar_mapping_of_node(before);
        while (mapping != NULL && vmar_node_end(&mapping->node) <= change->end) {
                struct vmar_mapping *next =
                        vmar_mapping_at_or_after(change->region, vmar_node_end(&mapping->node));
                if (next == NULL || !vmar_mapping_join(mapping, next))
                        mapping = next;
        }
}

static zx_status_t protect_locked(struct change *change)
{
        bool needed[2] = {false, false};
        zx_status_t status;

        if (!change->region->alive)
                return ZX_ERR_BAD_STATE;
        if (!vmar_contains(change->region, change->first, change->end - change->first))
                return ZX_ERR_INVALID_ARGS;
        status = check_change(change, needed);
        if (status == ZX_OK && vmar_permissions_forbidden(change->region->space,
                                                          change->permissions))
                status = ZX_ERR_ACCESS_DENIED;
        if (status == ZX_OK)
                status = get_spares(change, needed);
        if (status != ZX_OK)
                return status;
        make_change(change);
        tidy_up(change);
        return ZX_OK;
}

zx_status_t vmar_protect(struct vmar_handle region, uint32_t options, uint64_t va, uint64_t bytes)
{
        struct change change;
        zx_status_t status;

        if (region.vmar == NULL)
                return ZX_ERR_BAD_HANDLE;
        if ((options & ~(VMAR_PERM_MASK | VMAR_PERM_READ_IF_XOM_UNSUPPORTED)) != 0)
                return ZX_ERR_INVALID_ARGS;
        if (options & VMAR_PERM_READ_IF_XOM_UNSUPPORTED)
                options |= VMAR_PERM_READ;
        change = (struct change){.region = region.vmar, .permissions = options & VMAR_PERM_MASK};
        if (!vmar_permissions_sane(change.permissions))
                return ZX_ERR_INVALID_ARGS;
        if ((change.permissions & ~vmar_permissions_of_rights(region.rights)) != 0)
                return ZX_ERR_ACCESS_DENIED;
        bytes = vmar_page_round_up(bytes);
        if (!is_aligned(va, PAGE_BYTES) || bytes == 0)
                return ZX_ERR_INVALID_ARGS;
        change.first = va;
        change.end = va + bytes;
        spinlock_take(&region.vmar->space->lock);
        status = protect_locked(&change);
        spinlock_give(&region.vmar->space->lock);
        return status;
}
