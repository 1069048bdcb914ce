/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_mapper — see vmo_mapper.h. */
#include "kernel/vmo_mapper.h"

#include "base/assert.h"
#include "base/bytes.h"

void vmo_mapper_init(struct vmo_mapper *mapper, struct vmar_home *home)
{
        *mapper = (struct vmo_mapper){.home = home};
}

void vmo_mapper_fini(struct vmo_mapper *mapper)
{
        vmo_mapper_unmap(mapper);
}

/* What both ways of mapping check after their own arguments. */
static zx_status_t check(const struct vmo_mapper *mapper, const struct vmar_manager *manager)
{
        if (mapper->start != 0)
                return ZX_ERR_BAD_STATE;
        if (vmar_manager_region(mapper->home, manager).vmar == NULL)
                return ZX_ERR_INVALID_ARGS;
        return ZX_OK;
}

/* Maps and, if that went well, becomes the owner. */
static zx_status_t map(struct vmo_mapper *mapper, const struct vmo_mapper_map *request,
                       uint64_t bytes)
{
        const struct vmar_map_request map_request = {.options = request->map_options,
                                                     .bytes = bytes,
                                                     .vmo = request->vmo,
                                                     .vmo_offset = request->offset};
        uint64_t start;
        zx_status_t status = vmar_map(vmar_manager_region(mapper->home, request->manager),
                                      &map_request, &start);

        if (status != ZX_OK)
                return status;
        vmar_manager_get(request->manager);
        mapper->manager = request->manager;
        mapper->start = start;
        mapper->bytes = bytes;
        return ZX_OK;
}

static zx_status_t map_new(struct vmo_mapper *mapper, const struct vmo_mapper_create *request,
                           struct vmo *vmo)
{
        const struct vmo_mapper_map map_request = {.vmo = {vmo, RIGHTS_VMO_DEFAULT},
                                                   .map_options = request->map_options,
                                                   .manager = request->manager};
        zx_status_t status = ZX_OK;

        if (request->cache_policy != 0)
                status = vmo_set_cache_policy(vmo, request->cache_policy);
        return status == ZX_OK ? map(mapper, &map_request, request->bytes) : status;
}

zx_status_t vmo_mapper_create_and_map(struct vmo_mapper *mapper,
                                      const struct vmo_mapper_create *request,
                                      struct vmo_handle *vmo_out)
{
        uint32_t rights = request->rights == RIGHT_SAME ? RIGHTS_VMO_DEFAULT : request->rights;
        struct vmo *vmo;
        zx_status_t status;

        if (request->bytes == 0)
                return ZX_ERR_INVALID_ARGS;
        status = check(mapper, request->manager);
        if (status == ZX_OK)
                status = vmo_create(mapper->home->vmos, request->bytes, request->vmo_options, &vmo);
        if (status != ZX_OK)
                return status;
        status = map_new(mapper, request, vmo);
        if (status != ZX_OK)
                goto undo_create;
        if (vmo_out != NULL && (rights & ~RIGHTS_VMO_DEFAULT) != 0) {
                status = ZX_ERR_INVALID_ARGS;
                goto undo_map;
        }
        if (vmo_out != NULL)
                *vmo_out = (struct vmo_handle){vmo, rights};
        else
                vmo_put(vmo); /* the mapping has its own reference */
        return ZX_OK;

undo_map:
        vmo_mapper_unmap(mapper);
undo_create:
        vmo_put(vmo);
        return status;
}

zx_status_t vmo_mapper_map(struct vmo_mapper *mapper, const struct vmo_mapper_map *request)
{
        uint64_t size, end;
        zx_status_t status;

        if (request->vmo.vmo == NULL)
                return ZX_ERR_INVALID_ARGS;
        status = check(mapper, request->manager);
        if (status != ZX_OK)
                return status;
        size = vmo_size(request->vmo.vmo);
        if (add_overflows(request->offset, request->bytes, &end) || end > size)
                return ZX_ERR_OUT_OF_RANGE;
        return map(mapper, request, request->bytes != 0 ? request->bytes : size - request->offset);
}

void vmo_mapper_unmap(struct vmo_mapper *mapper)
{
        struct vmar_manager *manager = mapper->manager;
        zx_status_t status;

        if (mapper->start == 0)
                return;
        status = vmar_unmap(vmar_manager_region(mapper->home, manager), mapper->start,
                            mapper->bytes);
        ASSERT(status == ZX_OK); /* what one vmar_map made: needs no memory */
        *mapper = (struct vmo_mapper){.home = mapper->home};
        vmar_manager_put(manager);
}

void vmo_mapper_move(struct vmo_mapper *to, struct vmo_mapper *from)
{
        if (to == from)
                return;
        vmo_mapper_unmap(to);
        *to = *from;
        *from = (struct vmo_mapper){.home = from->home};
}
