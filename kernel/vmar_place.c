/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar_place — where a new child of a region goes, and vmar_allocate; see vmar.h, and vmar_tree.h
 * for gaps.
 *
 * Facts: spec/zircon-objects.md, 7.2, 7.3 */
#include "kernel/vmar_internal.h"

#define ANY_SPECIFIC (VMAR_SPECIFIC | VMAR_SPECIFIC_OVERWRITE)
#define ALLOCATE_OPTIONS                                                                        \
        (VMAR_SPECIFIC | VMAR_CAN_MAP_SPECIFIC | VMAR_COMPACT | VMAR_CAN_MAP_MASK |             \
         VMAR_OFFSET_IS_UPPER_LIMIT)

static uint32_t align_log2_of(uint32_t options)
{
        return options >> VMAR_ALIGN_SHIFT;
}

static uint64_t alignment_of(uint32_t options)
{
        return 1ull << max_u64(align_log2_of(options), PAGE_BYTES_LOG2);
}

bool vmar_options_unknown(uint32_t options)
{
        uint32_t log2 = align_log2_of(options);
        uint32_t bits = options & (VMAR_ALIGN(1) - 1);

        return bits >> VMAR_OPTION_BIT_COUNT != 0 ||
               (log2 != 0 && (log2 < VMAR_ALIGN_LOG2_MIN || log2 > VMAR_ALIGN_LOG2_MAX));
}

zx_status_t vmar_check_place(const struct vmar *parent, const struct vmar_place *place)
{
        bool specific = (place->options & ANY_SPECIFIC) != 0;
        bool limit = (place->options & VMAR_OFFSET_IS_UPPER_LIMIT) != 0;
        uint64_t room = parent->node.bytes;

        if (!parent->alive)
                return ZX_ERR_BAD_STATE;
        if (place->bytes == 0)
                return ZX_ERR_INVALID_ARGS;
        if ((place->options & VMAR_CAN_MAP_MASK & ~parent->options) != 0)
                return ZX_ERR_ACCESS_DENIED;
        if ((specific && limit) || (!specific && !limit && place->offset != 0) ||
            !is_aligned(place->offset, PAGE_BYTES))
                return ZX_ERR_INVALID_ARGS;
        if ((specific || limit) && !(parent->options & VMAR_CAN_MAP_SPECIFIC))
                return ZX_ERR_ACCESS_DENIED;
        if (limit && (place->offset > room || place->bytes > place->offset))
                return ZX_ERR_INVALID_ARGS;
        if (!limit && (place->offset >= room || place->bytes > room - place->offset))
                return ZX_ERR_INVALID_ARGS;
        if (specific && !is_aligned(parent->node.base + place->offset,
                                    alignment_of(place->options)))
                return ZX_ERR_INVALID_ARGS;
        return ZX_OK;
}

/* ---- exactly there ---- */

static zx_status_t check_specific(struct vmar *parent, const struct vmar_place *place,
                                  uint64_t base)
{
        bool overwrite = (place->options & VMAR_SPECIFIC_OVERWRITE) != 0;

        for (struct vmar_node *node = vmar_tree_at_or_after(&parent->children, base);
             node != NULL && node->base < base + place->bytes; node = vmar_tree_next(node)) {
                if (!overwrite)
                        return ZX_ERR_ALREADY_EXISTS;
                if (node->kind == VMAR_NODE_REGION)
                        return ZX_ERR_INVALID_ARGS;
        }
        return ZX_OK;
}

/* ---- somewhere ---- */

/* splitmix64: a counter and a mixing function; any seed will do. */
static uint64_t random_bits(struct vmar_space *space)
{
        uint64_t z = space->random_state += 0x9e3779b97f4a7c15ull;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
}

static uint64_t random_below(struct vmar_space *space, uint64_t bound)
{
        return (uint64_t)((unsigned __int128)random_bits(space) * bound >> 64);
}

struct search {
        const struct vmar *parent;
        uint64_t bytes, alignment;
        uint64_t end; /* of the last address that may be used */
};

/* Positions in a gap; *first is the lowest of them. */
static uint64_t positions(const struct search *search, const struct vmar_gap *gap, uint64_t *first)
{
        uint64_t end = min_u64(gap->end, search->end);

        *first = round_up(gap->first, search->alignment);
        if (*first >= end || end - *first < search->bytes)
                return 0;
        return (end - search->bytes - *first) / search->alignment + 1;
}

/* Goes through the gaps until position number `index` is found.
 *   returns  true: it is at *base; false: there are only *count */
static bool find_position(const struct search *search, uint64_t index, uint64_t *base,
                          uint64_t *count)
{
        const struct vmar *parent = search->parent;
        uint64_t end = vmar_end(parent), first;
        struct vmar_gap gap;
        bool more = vmar_tree_first_gap(&parent->children, parent->node.base, end, search->bytes,
                                        &gap);

        *count = 0;
        while (more && gap.first < search->end) {
                uint64_t here = positions(search, &gap, &first);
                if (index - *count < here) {
                        *base = first + (index - *count) * search->alignment;
                        return true;
                }
                *count += here;
                more = vmar_tree_next_gap(&parent->children, end, search->bytes, &gap);
        }
        return false;
}

static zx_status_t find_somewhere(struct vmar *parent, const struct vmar_place *place,
                                  uint64_t *base)
{
        struct vmar_space *space = parent->space;
        struct search search = {.parent = parent,
                                .bytes = place->bytes,
                                .alignment = alignment_of(place->options),
                                .end = vmar_end(parent)};
        uint32_t entropy_bits = parent->options & VMAR_COMPACT ? 0 : space->entropy_bits;
        uint64_t index = entropy_bits == 0 ? 0 : random_bits(space) >> (64 - entropy_bits);
        uint64_t count;
        bool found;

        if (place->options & VMAR_OFFSET_IS_UPPER_LIMIT)
                search.end = parent->node.base + place->offset;
        if (find_position(&search, index, base, &count))
                return ZX_OK;
        if (count == 0)
                return ZX_ERR_NO_RESOURCES;
        found = find_position(&search, random_below(space, count), base, &count);
        ASSERT(found);
        return ZX_OK;
}

zx_status_t vmar_find_place(struct vmar *parent, const struct vmar_place *place, uint64_t *base_out)
{
        if ((place->options & ANY_SPECIFIC) == 0)
                return find_somewhere(parent, place, base_out);
        *base_out = parent->node.base + place->offset;
        return check_specific(parent, place, *base_out);
}

/* ---- allocate ---- */

static struct vmar *make_child(struct vmar *parent, const struct vmar_request *request,
                               uint64_t base)
{
        struct vmar *child = slab_alloc(&parent->space->regions);

        if (child == NULL)
                return NULL;
        child->node = (struct vmar_node){
                .base = base, .bytes = request->bytes, .kind = VMAR_NODE_REGION};
        child->space = parent->space;
        child->parent = parent;
        child->references = 2; /* the tree's and the handle's */
        child->options =
                request->options & (VMAR_CAN_MAP_MASK | VMAR_CAN_MAP_SPECIFIC | VMAR_COMPACT);
        child->alive = true;
        vmar_tree_insert(&parent->children, &child->node);
        parent->space->region_count++;
        return child;
}

static zx_status_t allocate_locked(struct vmar *parent, const struct vmar_request *request,
                                   struct vmar **child_out)
{
        struct vmar_place place = {request->options, request->offset, request->bytes};
        uint64_t base;
        zx_status_t status = vmar_check_place(parent, &place);

        if (status == ZX_OK)
                status = vmar_find_place(parent, &place, &base);
        if (status != ZX_OK)
                return status;
        *child_out = make_child(parent, request, base);
        return *child_out == NULL ? ZX_ERR_NO_MEMORY : ZX_OK;
}

zx_status_t vmar_allocate(struct vmar_handle parent, const struct vmar_request *request,
                          struct vmar_handle *child_out, uint64_t *base_out)
{
        uint32_t options = request->options;
        uint32_t can_map = vmar_permissions_of_options(options);
        struct vmar *child = NULL;
        zx_status_t status;

        if (parent.vmar == NULL)
                return ZX_ERR_BAD_HANDLE;
        if ((can_map & ~vmar_permissions_of_rights(parent.rights)) != 0)
                return ZX_ERR_ACCESS_DENIED;
        if ((options & VMAR_PERM_MASK) != 0 || vmar_options_unknown(options))
                return ZX_ERR_INVALID_ARGS;
        if (!is_aligned(request->bytes, PAGE_BYTES))
                return ZX_ERR_INVALID_ARGS;
        if ((options & (VMAR_ALIGN(1) - 1) & ~ALLOCATE_OPTIONS) != 0)
                return ZX_ERR_INVALID_ARGS;

        struct vmar_space *space = parent.vmar->space;
        spinlock_take(&space->lock);
        uint64_t random_state = space->random_state;
        status = allocate_locked(parent.vmar, request, &child);
        if (status != ZX_OK)
                space->random_state = random_state; /* it never happened */
        spinlock_give(&space->lock);
        if (status != ZX_OK)
                return status;
        *child_out = (struct vmar_handle){
                .vmar = child, .rights = RIGHTS_VMAR_DEFAULT | can_map << VMAR_RIGHTS_SHIFT};
        if (base_out != NULL)
                *base_out = child->node.base;
        return ZX_OK;
}
