/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A card's store of VMOs: who registered what, where the bytes are. A VMO that is one run of
 * physical memory (a contiguous one is) is remembered as such, so that turning its regions into
 * device addresses takes no lock and no look at its pages; others are asked page by page. */
#include "drivers/netdev/netdev_card.h"

#include "base/assert.h"
#include "base/bytes.h"

zx_status_t netdev_add_memory(struct netdev *netdev, struct vmo *vmo, uint32_t *id_out)
{
        struct vmo_span span;
        size_t count;
        uint32_t id;
        zx_status_t status = vmo_store_push(&netdev->store, vmo, &id);
        if (status != ZX_OK)
                return status;
        status = vmo_store_pin(&netdev->store, id);
        if (status != ZX_OK) {
                ASSERT(vmo_store_unregister(&netdev->store, id) == ZX_OK);
                return status;
        }
        struct netdev_run *run = &netdev->runs[id];
        *run = (struct netdev_run){.bytes = vmo_size(vmo)};
        if (vmo_pinned_spans(vmo, 0, run->bytes, (struct vmo_span_list){&span, 1}, &count) ==
            ZX_OK) {
                run->va = pmm_pa_to_va(netdev->pool->pmm, span.pa);
                run->dev = span.pa;
        }
        *id_out = id;
        return ZX_OK;
}

void netdev_remove_memory(struct netdev *netdev, uint32_t id)
{
        ASSERT(id < VMO_STORE_VMOS_MAX);
        netdev->runs[id] = (struct netdev_run){0};
        netdev->client_vmos &= ~(uint32_t)BIT_MASK(id);
        zx_status_t status = vmo_store_unregister(&netdev->store, id);
        ASSERT(status == ZX_OK);
}

zx_status_t netdev_register_vmo(struct netdev *netdev, struct vmo *vmo, uint32_t *id_out)
{
        zx_status_t status = netdev_add_memory(netdev, vmo, id_out);
        if (status == ZX_OK)
                netdev->client_vmos |= (uint32_t)BIT_MASK(*id_out);
        return status;
}

zx_status_t netdev_unregister_vmo(struct netdev *netdev, uint32_t id)
{
        if (id >= VMO_STORE_VMOS_MAX || !(netdev->client_vmos & BIT_MASK(id)))
                return ZX_ERR_NOT_FOUND;
        if (netdev_transmit_in_flight(netdev) != 0)
                return ZX_ERR_BAD_STATE;
        netdev_remove_memory(netdev, id);
        return ZX_OK;
}

void *netdev_window(struct netdev *netdev, struct vmo_region region)
{
        struct vmo_span span;
        size_t count;
        if (region.vmo_id >= VMO_STORE_VMOS_MAX || region.length == 0)
                return NULL;
        const struct netdev_run *run = &netdev->runs[region.vmo_id];
        if (region.offset > run->bytes || region.length > run->bytes - region.offset)
                return NULL;
        if (run->va != NULL)
                return run->va + region.offset;
        if (vmo_store_pinned_spans(&netdev->store, region, (struct vmo_span_list){&span, 1},
                                   &count) != ZX_OK)
                return NULL;
        return pmm_pa_to_va(netdev->pool->pmm, span.pa);
}

/* The spans of a region in scattered memory, `room` at most; 0 and *status_out: none. */
static uint32_t scattered_spans(struct netdev *netdev, struct vmo_region region,
                                struct netdev_span *spans, uint32_t room, zx_status_t *status_out)
{
        struct vmo_span found[NETDEV_SPANS_MAX];
        size_t count;
        *status_out = vmo_store_pinned_spans(&netdev->store, region,
                                             (struct vmo_span_list){found, room}, &count);
        if (*status_out != ZX_OK)
                return 0;
        for (size_t i = 0; i < count; i++)
                spans[i] = (struct netdev_span){found[i].pa, (uint32_t)found[i].bytes};
        return (uint32_t)count;
}

uint32_t netdev_spans(struct netdev *netdev, const struct vmo_buffer *buffer,
                      struct netdev_span *spans, zx_status_t *status_out)
{
        uint32_t count = 0;
        /* NETDEV_SPANS_MAX is what any frame has at most, so there is always room for one more. */
        for (uint32_t i = 0; i < buffer->part_count; i++) {
                struct vmo_region region = buffer->parts[i].region;
                const struct netdev_run *run = &netdev->runs[region.vmo_id];
                uint32_t more = 1;
                if (run->va != NULL)
                        spans[count] = (struct netdev_span){run->dev + region.offset,
                                                            (uint32_t)region.length};
                else
                        more = scattered_spans(netdev, region, &spans[count],
                                               NETDEV_SPANS_MAX - count, status_out);
                if (more == 0)
                        return 0;
                count += more;
        }
        return count;
}
