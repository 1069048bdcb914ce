/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar_range — operations on the memory behind a range, and faults; see vmar.h.
 *
 * Pages of a paged VMO are entered while the VMO's lock is held, so that none can leave it in
 * between; those of a contiguous or physical one stay where they are as long as the mapping lives,
 * and are entered in one run, for which the page table may have larger entries.
 * Facts: spec/zircon-objects.md, 7.7 */
#include "kernel/vmar_internal.h"

/* ---- entering pages ---- */

struct enter {
        struct vmo_page_visitor visitor;
        const struct vmar_mapping *mapping;
};

static zx_status_t enter_page(struct vmo_page_visitor *visitor, uint64_t offset, uint64_t pa,
                              enum vmo_cache_policy policy)
{
        const struct vmar_mapping *mapping = CONTAINER_OF(visitor, struct enter, visitor)->mapping;
        struct vmar_table_entry entry = {.va = mapping->va_of_offset_0 + offset,
                                         .pa = pa,
                                         .bytes = PAGE_BYTES,
                                         .permissions = mapping->permissions,
                                         .policy = policy};

        return mapping->table->map(mapping->table, &entry);
}

/* Contiguous and physical: [offset, offset + bytes) of the VMO, as far as there is one. */
static zx_status_t enter_run(struct vmar_mapping *mapping, uint64_t offset, uint64_t bytes)
{
        uint64_t size = vmo_size(mapping->vmo);
        struct vmar_table_entry entry = {.va = mapping->va_of_offset_0 + offset,
                                         .permissions = mapping->permissions,
                                         .policy = vmo_cache_policy(mapping->vmo)};
        zx_status_t status;

        if (offset >= size)
                return ZX_OK;
        entry.bytes = min_u64(bytes, size - offset);
        status = vmo_get_page(mapping->vmo, offset, 0, &entry.pa);
        return status == ZX_OK ? mapping->table->map(mapping->table, &entry) : status;
}

zx_status_t vmar_mapping_enter(struct vmar_mapping *mapping, uint64_t va, uint64_t bytes)
{
        struct enter enter = {.visitor = {enter_page}, .mapping = mapping};
        uint64_t offset = va - mapping->va_of_offset_0;

        if (mapping->permissions == 0)
                return ZX_OK;
        if (vmo_kind(mapping->vmo) != VMO_KIND_PAGED)
                return enter_run(mapping, offset, bytes);
        return vmo_with_pages(mapping->vmo, offset, bytes, 0, &enter.visitor);
}

/* ---- operations ---- */

#define OP_BIT(op) (1u << (op))
#define OPS_KNOWN                                                                               \
        (OP_BIT(VMAR_OP_COMMIT) | OP_BIT(VMAR_OP_DECOMMIT) | OP_BIT(VMAR_OP_MAP_RANGE) |        \
         OP_BIT(VMAR_OP_ZERO) | OP_BIT(VMAR_OP_DONT_NEED) | OP_BIT(VMAR_OP_ALWAYS_NEED) |       \
         OP_BIT(VMAR_OP_PREFETCH))
#define OPS_OF_OWN_MAPPINGS \
        (OP_BIT(VMAR_OP_COMMIT) | OP_BIT(VMAR_OP_DECOMMIT) | OP_BIT(VMAR_OP_PREFETCH))
#define OPS_THAT_WRITE (OP_BIT(VMAR_OP_COMMIT) | OP_BIT(VMAR_OP_DECOMMIT) | OP_BIT(VMAR_OP_ZERO))
#define OP_END 32u

struct operation {
        struct vmar *region;
        uint32_t op;
        uint64_t first, end;
};

static bool is_one_of(uint32_t op, uint32_t set)
{
        return op < OP_END && (OP_BIT(op) & set) != 0;
}

/* The part of a mapping that lies in the range, as offsets in its VMO. */
static uint64_t part_of(const struct operation *operation, const struct vmar_mapping *mapping,
                        uint64_t *bytes)
{
        uint64_t first = max_u64(operation->first, mapping->node.base);

        *bytes = min_u64(operation->end, vmar_node_end(&mapping->node)) - first;
        return first - mapping->va_of_offset_0;
}

/* Rows 4 to 7. */
static zx_status_t check_operation(const struct operation *operation)
{
        uint64_t at = operation->first;

        while (at < operation->end) {
                struct vmar_mapping *mapping = vmar_mapping_at(operation->region, at);
                uint64_t offset, bytes;
                if (mapping == NULL)
                        return ZX_ERR_BAD_STATE;
                if (mapping->parent != operation->region &&
                    is_one_of(operation->op, OPS_OF_OWN_MAPPINGS))
                        return ZX_ERR_INVALID_ARGS;
                offset = part_of(operation, mapping, &bytes);
                if (is_one_of(operation->op, OPS_THAT_WRITE)) {
                        uint64_t size = vmo_size(mapping->vmo);
                        if (!(mapping->permissions_max & VMAR_PERM_WRITE))
                                return ZX_ERR_ACCESS_DENIED;
                        if (offset > size || bytes > size - offset)
                                return ZX_ERR_OUT_OF_RANGE;
                }
                at = vmar_node_end(&mapping->node);
        }
        return ZX_OK;
}

static zx_status_t operate_on_mapping(uint32_t op, struct vmar_mapping *mapping, uint64_t offset,
                                      uint64_t bytes)
{
        uint64_t va = mapping->va_of_offset_0 + offset;
        zx_status_t status;

        switch (op) {
        case VMAR_OP_COMMIT:
                status = vmo_op_range(mapping->vmo, VMO_OP_COMMIT, offset, bytes);
                return status == ZX_OK ? vmar_mapping_enter(mapping, va, bytes) : status;
        case VMAR_OP_DECOMMIT:
                return vmo_op_range(mapping->vmo, VMO_OP_DECOMMIT, offset, bytes);
        case VMAR_OP_ZERO:
                return vmo_op_range(mapping->vmo, VMO_OP_ZERO, offset, bytes);
        case VMAR_OP_MAP_RANGE:
                return vmar_mapping_enter(mapping, va, bytes);
        default:
                return ZX_OK; /* a hint */
        }
}

static zx_status_t operate_locked(const struct operation *operation)
{
        uint64_t at = operation->first;
        zx_status_t status;

        if (!operation->region->alive)
                return ZX_ERR_BAD_STATE;
        if (!vmar_contains(operation->region, operation->first, operation->end - operation->first))
                return ZX_ERR_OUT_OF_RANGE;
        status = check_operation(operation);
        while (status == ZX_OK && at < operation->end) {
                struct vmar_mapping *mapping = vmar_mapping_at(operation->region, at);
                uint64_t bytes, offset = part_of(operation, mapping, &bytes);
                status = operate_on_mapping(operation->op, mapping, offset, bytes);
                at = vmar_node_end(&mapping->node);
        }
        return status;
}

zx_status_t vmar_op_range(struct vmar_handle region, uint32_t op, uint64_t va, uint64_t bytes)
{
        struct operation operation = {.region = region.vmar, .op = op, .first = va};
        zx_status_t status;

        if (region.vmar == NULL)
                return ZX_ERR_BAD_HANDLE;
        bytes = vmar_page_round_up(bytes);
        if (!is_one_of(op, OPS_KNOWN) || !is_aligned(va, PAGE_BYTES) || bytes == 0)
                return ZX_ERR_INVALID_ARGS;
        operation.end = va + bytes;
        spinlock_take(&region.vmar->space->lock);
        status = operate_locked(&operation);
        spinlock_give(&region.vmar->space->lock);
        return status;
}

/* ---- faults ---- */

static zx_status_t fault_locked(struct vmar_space *space, uint64_t va, uint32_t flags)
{
        struct vmar_mapping *mapping = vmar_mapping_at(space->root, va);
        struct enter enter = {.visitor = {enter_page}, .mapping = mapping};
        uint32_t needed = VMAR_PERM_READ | (flags & VMAR_FAULT_WRITE ? VMAR_PERM_WRITE : 0) |
                          (flags & VMAR_FAULT_EXECUTE ? VMAR_PERM_EXECUTE : 0);
        uint32_t page_flags = VMO_PAGE_COMMIT;
        zx_status_t status;

        if (mapping == NULL)
                return ZX_ERR_NOT_FOUND;
        if ((needed & ~mapping->permissions) != 0)
                return ZX_ERR_ACCESS_DENIED;
        if (mapping->permissions & VMAR_PERM_WRITE)
                page_flags |= VMO_PAGE_WRITE; /* it is entered writable, whatever was tried now */
        status = vmo_with_page(mapping->vmo, round_down(va, PAGE_BYTES) - mapping->va_of_offset_0,
                               page_flags, &enter.visitor);
        if (status == ZX_OK)
                space->fault_count++;
        return status;
}

zx_status_t vmar_fault(struct vmar_space *space, uint64_t va, uint32_t flags)
{
        zx_status_t status;

        spinlock_take(&space->lock);
        status = fault_locked(space, va, flags);
        spinlock_give(&space->lock);
        return status;
}
