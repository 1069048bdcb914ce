/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_store — ids for VMOs, and bytes by id, offset and length.
 *
 * Facts: spec/zircon-objects.md, 10.1 to 10.3. */
#include "kernel/vmo_store.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/vmo_internal.h"

#define RING_HEAD VMO_STORE_VMOS_MAX
#define NOT_ON_RING UINT8_MAX

/* ---- free ids ---- */

static void ring_add_tail(struct vmo_store *store, uint8_t id)
{
        uint8_t last = store->free_prev[RING_HEAD];
        store->free_next[last] = id;
        store->free_prev[id] = last;
        store->free_next[id] = RING_HEAD;
        store->free_prev[RING_HEAD] = id;
}

static void ring_remove(struct vmo_store *store, uint8_t id)
{
        store->free_next[store->free_prev[id]] = store->free_next[id];
        store->free_prev[store->free_next[id]] = store->free_prev[id];
        store->free_next[id] = store->free_prev[id] = NOT_ON_RING;
}

void vmo_store_init(struct vmo_store *store, const char *name)
{
        memset(store, 0, sizeof(*store));
        store->name = name;
        store->free_next[RING_HEAD] = store->free_prev[RING_HEAD] = RING_HEAD;
        for (uint8_t id = 0; id < VMO_STORE_VMOS_MAX; id++)
                ring_add_tail(store, id);
}

void vmo_store_fini(struct vmo_store *store)
{
        for (uint32_t id = 0; id < VMO_STORE_VMOS_MAX; id++) {
                if (store->slots[id].vmo != NULL && vmo_store_unregister(store, id) != ZX_OK)
                        ASSERT(false);
        }
}

/* ---- registering ---- */

struct vmo *vmo_store_vmo(const struct vmo_store *store, uint32_t id)
{
        return id < VMO_STORE_VMOS_MAX ? store->slots[id].vmo : NULL;
}

/* The store looks pages up each time, so there is nothing to forget. */
static void nothing_to_unmap(struct vmo_mapping_link *link, uint64_t offset, uint64_t bytes)
{
        (void)link;
        (void)offset;
        (void)bytes;
}

static const struct vmo_mapping_ops link_ops = {nothing_to_unmap};

zx_status_t vmo_store_register(struct vmo_store *store, uint32_t id, struct vmo *vmo)
{
        if (vmo == NULL)
                return ZX_ERR_BAD_HANDLE;
        if (id >= VMO_STORE_VMOS_MAX)
                return ZX_ERR_OUT_OF_RANGE;
        struct vmo_store_slot *slot = &store->slots[id];
        if (slot->vmo != NULL)
                return ZX_ERR_ALREADY_EXISTS;
        if (vmo_is_resizable(vmo) || vmo_kind(vmo) == VMO_KIND_PHYSICAL)
                return ZX_ERR_NOT_SUPPORTED;
        if (vmo_size(vmo) == 0)
                return ZX_ERR_INVALID_ARGS;

        *slot = (struct vmo_store_slot){
                .link = {.ops = &link_ops, .vmo_offset = 0, .bytes = vmo_size(vmo)}};
        vmo_add_mapping(vmo, &slot->link);
        if (vmo_cache_policy(vmo) != VMO_CACHE_CACHED) { /* cannot change any more */
                vmo_remove_mapping(vmo, &slot->link);
                return ZX_ERR_BAD_STATE;
        }
        slot->vmo = vmo;
        store->used_count++;
        ring_remove(store, (uint8_t)id);
        return ZX_OK;
}

zx_status_t vmo_store_push(struct vmo_store *store, struct vmo *vmo, uint32_t *id_out)
{
        uint32_t id = store->free_next[RING_HEAD];
        if (vmo == NULL)
                return ZX_ERR_BAD_HANDLE;
        if (id == RING_HEAD)
                return ZX_ERR_NO_RESOURCES;
        zx_status_t status = vmo_store_register(store, id, vmo);
        if (status == ZX_OK)
                *id_out = id;
        return status;
}

zx_status_t vmo_store_unregister(struct vmo_store *store, uint32_t id)
{
        struct vmo *vmo = vmo_store_vmo(store, id);
        if (vmo == NULL)
                return ZX_ERR_NOT_FOUND;
        struct vmo_store_slot *slot = &store->slots[id];
        if (slot->pinned)
                vmo_unpin(vmo, 0, vmo_size(vmo));
        slot->vmo = NULL;
        slot->pinned = false;
        store->used_count--;
        ring_add_tail(store, (uint8_t)id);
        vmo_remove_mapping(vmo, &slot->link); /* and the reference with it */
        return ZX_OK;
}

/* ---- bytes ---- */

static void count(uint64_t *counter)
{
        __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* Counts a call that named what is none. */
static zx_status_t note_refusal(struct vmo_store *store, zx_status_t status)
{
        if (status == ZX_ERR_NOT_FOUND || status == ZX_ERR_OUT_OF_RANGE)
                count(&store->counters.refused);
        return status;
}

/* Counts what became of a call. */
static zx_status_t counted(struct vmo_store *store, zx_status_t status, uint64_t *counter)
{
        if (status == ZX_OK)
                count(counter);
        return note_refusal(store, status);
}

zx_status_t vmo_store_check_read(struct vmo_store *store, struct vmo_region region)
{
        struct vmo *vmo = vmo_store_vmo(store, region.vmo_id);
        zx_status_t status = ZX_ERR_NOT_FOUND;
        if (vmo != NULL)
                status = vmo_check_read(vmo, region.offset, region.length);
        return note_refusal(store, status);
}

zx_status_t vmo_store_prepare_write(struct vmo_store *store, struct vmo_region region)
{
        struct vmo *vmo = vmo_store_vmo(store, region.vmo_id);
        zx_status_t status = ZX_ERR_NOT_FOUND;
        if (vmo != NULL)
                status = vmo_prepare_write(vmo, region.offset, region.length);
        return note_refusal(store, status);
}

zx_status_t vmo_store_read(struct vmo_store *store, struct vmo_region region, void *destination)
{
        struct vmo *vmo = vmo_store_vmo(store, region.vmo_id);
        zx_status_t status = ZX_ERR_NOT_FOUND;
        if (vmo != NULL)
                status = vmo_read(vmo, destination, region.offset, region.length);
        return counted(store, status, &store->counters.reads);
}

zx_status_t vmo_store_write(struct vmo_store *store, struct vmo_region region, const void *source)
{
        struct vmo *vmo = vmo_store_vmo(store, region.vmo_id);
        zx_status_t status = ZX_ERR_NOT_FOUND;
        if (vmo != NULL)
                status = vmo_write(vmo, source, region.offset, region.length);
        return counted(store, status, &store->counters.writes);
}

zx_status_t vmo_store_copy(struct vmo_store *from_store, struct vmo_region from,
                           struct vmo_store *to_store, struct vmo_region to)
{
        struct vmo_place from_place = {vmo_store_vmo(from_store, from.vmo_id), from.offset};
        struct vmo_place to_place = {vmo_store_vmo(to_store, to.vmo_id), to.offset};
        zx_status_t status = ZX_ERR_NOT_FOUND;
        if (from_place.vmo != NULL && to_place.vmo != NULL)
                status = vmo_copy(to_place, from_place, from.length);
        if (status == ZX_OK)
                count(&from_store->counters.reads);
        return counted(to_store, status, &to_store->counters.writes);
}

/* ---- devices ---- */

zx_status_t vmo_store_pin(struct vmo_store *store, uint32_t id)
{
        struct vmo *vmo = vmo_store_vmo(store, id);
        if (vmo == NULL)
                return ZX_ERR_NOT_FOUND;
        if (store->slots[id].pinned)
                return ZX_ERR_ALREADY_BOUND;
        zx_status_t status = vmo_pin(vmo, 0, vmo_size(vmo));
        store->slots[id].pinned = status == ZX_OK;
        return status;
}

zx_status_t vmo_store_pinned_spans(struct vmo_store *store, struct vmo_region region,
                                   struct vmo_span_list list, size_t *count_out)
{
        struct vmo *vmo = vmo_store_vmo(store, region.vmo_id);
        zx_status_t status = ZX_ERR_NOT_FOUND;
        if (vmo != NULL && !store->slots[region.vmo_id].pinned)
                status = ZX_ERR_BAD_STATE;
        else if (vmo != NULL)
                status = vmo_pinned_spans(vmo, region.offset, region.length, list, count_out);
        return note_refusal(store, status);
}

/* ---- validity ---- */

bool vmo_store_valid(const struct vmo_store *store)
{
        uint32_t used = 0, free_ids = 0;
        for (uint32_t id = 0; id < VMO_STORE_VMOS_MAX; id++) {
                const struct vmo_store_slot *slot = &store->slots[id];
                bool on_ring = store->free_next[id] != NOT_ON_RING;
                if ((slot->vmo != NULL) == on_ring) /* [S2] */
                        return false;
                used += slot->vmo != NULL;
                if (slot->vmo == NULL ? slot->pinned
                                      : vmo_is_resizable(slot->vmo) ||
                                                vmo_kind(slot->vmo) == VMO_KIND_PHYSICAL ||
                                                vmo_cache_policy(slot->vmo) != VMO_CACHE_CACHED)
                        return false;
        }
        uint8_t at = RING_HEAD;
        while (store->free_next[at] != RING_HEAD && free_ids <= VMO_STORE_VMOS_MAX) {
                uint8_t next = store->free_next[at];
                if (next > RING_HEAD || store->free_prev[next] != at)
                        return false;
                at = next;
                free_ids++;
        }
        return used == store->used_count && used + free_ids == VMO_STORE_VMOS_MAX; /* [S1], [S2] */
}
