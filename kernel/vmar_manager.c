/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar_manager — see vmar_manager.h. */
#include "kernel/vmar_manager.h"

#include "base/assert.h"
#include "base/bytes.h"

zx_status_t vmar_home_init(struct vmar_home *home, struct vmar_handle root, struct vmo_pool *pool)
{
        if (root.vmar == NULL || pool == NULL)
                return ZX_ERR_INVALID_ARGS;
        home->root = root;
        home->vmos = pool;
        return slab_init(&home->managers, "vmar manager", pool->pmm, sizeof(struct vmar_manager));
}

void vmar_home_fini(struct vmar_home *home)
{
        slab_fini(&home->managers);
}

struct vmar_handle vmar_manager_region(struct vmar_home *home, const struct vmar_manager *manager)
{
        return manager == NULL ? home->root : manager->region;
}

/* ---- making ---- */

static struct vmar_manager *make(struct vmar_home *home, struct vmar_manager *parent)
{
        struct vmar_manager *manager = slab_alloc(&home->managers);

        if (manager == NULL)
                return NULL;
        vmar_manager_get(parent);
        manager->references = 1;
        manager->home = home;
        manager->parent = parent;
        return manager;
}

zx_status_t vmar_manager_create(struct vmar_home *home, const struct vmar_manager_request *request,
                                struct vmar_manager **manager_out)
{
        struct vmar_handle parent = vmar_manager_region(home, request->parent);
        struct vmar_request place = {.options = request->options};
        struct vmar_manager *manager;
        zx_status_t status;

        *manager_out = NULL;
        if (request->bytes == 0 || request->bytes > UINT64_MAX - (PAGE_BYTES - 1) ||
            parent.vmar == NULL)
                return ZX_ERR_INVALID_ARGS;
        manager = make(home, request->parent);
        if (manager == NULL)
                return ZX_ERR_NO_MEMORY;
        place.bytes = round_up(request->bytes, PAGE_BYTES);
        status = vmar_allocate(parent, &place, &manager->region, &manager->start);
        if (status != ZX_OK) {
                vmar_manager_put(manager);
                return status;
        }
        manager->bytes = place.bytes;
        manager->owned = true;
        *manager_out = manager;
        return ZX_OK;
}

zx_status_t vmar_manager_use(struct vmar_home *home, struct vmar_handle region,
                             struct vmar_manager **manager_out)
{
        struct vmar_manager *manager;
        struct vmar_info info;
        zx_status_t status;

        *manager_out = NULL;
        if (region.vmar == NULL)
                return ZX_ERR_INVALID_ARGS;
        manager = make(home, NULL);
        if (manager == NULL)
                return ZX_ERR_NO_MEMORY;
        status = vmar_get_info(region, &info);
        if (status != ZX_OK || region.vmar == home->root.vmar)
                goto undo_make; /* the root is its own manager */
        status = vmar_duplicate(region, RIGHT_SAME, &manager->region);
        if (status != ZX_OK)
                goto undo_make;
        manager->start = info.base;
        manager->bytes = info.bytes;
        *manager_out = manager;
        return ZX_OK;

undo_make:
        vmar_manager_put(manager);
        return status;
}

/* ---- references ---- */

void vmar_manager_get(struct vmar_manager *manager)
{
        if (manager == NULL)
                return;
        /* relaxed: the caller has a reference already */
        uint32_t before = __atomic_fetch_add(&manager->references, 1, __ATOMIC_RELAXED);
        ASSERT(before != 0);
}

static void end(struct vmar_manager *manager)
{
        if (manager->owned) {
                zx_status_t status = vmar_destroy(manager->region);
                ASSERT(status == ZX_OK); /* [M1] */
        }
        vmar_close(manager->region);
        slab_free(&manager->home->managers, manager);
}

/* Up the line of parents for as long as each one's last reference was its child's. */
void vmar_manager_put(struct vmar_manager *manager)
{
        while (manager != NULL) {
                struct vmar_manager *parent = manager->parent;
                /* acq_rel: who ends it sees what the others did before they gave theirs */
                uint32_t before = __atomic_fetch_sub(&manager->references, 1, __ATOMIC_ACQ_REL);
                ASSERT(before != 0);
                if (before > 1)
                        return;
                end(manager);
                manager = parent;
        }
}
