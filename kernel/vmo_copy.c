/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_copy — bytes in and out of memory objects.
 *
 * A page is held while its bytes are moved and the lock is not: vmo_drop_pages may take it out of
 * the VMO meanwhile, then whoever lets go of it last frees it. Facts: spec/zircon-objects.md, 6. */
#include "kernel/vmo.h"

#include "kernel/vmo_internal.h"

/* What a page that is not there reads as. Never written;
 * not const, so that it costs no room in the image. */
static uint8_t zero_page[PAGE_BYTES];

/* ---- holding ---- */

/* Holds the page at `offset`. *page is NULL when it is not there and `make` is false. */
static zx_status_t hold(struct vmo *vmo, uint64_t offset, bool make, struct vm_page **page)
{
        if (make) {
                zx_status_t status = vmo_lock_committed(vmo, offset, 1);
                if (status != ZX_OK)
                        return status;
        } else {
                spinlock_take(&vmo->lock);
                if (offset >= vmo->size_bytes) {
                        spinlock_give(&vmo->lock);
                        return ZX_ERR_OUT_OF_RANGE;
                }
        }
        *page = vmo_find_page(vmo, offset / PAGE_BYTES);
        if (*page != NULL)
                (*page)->use.object.share_count++;
        spinlock_give(&vmo->lock);
        return ZX_OK;
}

static void let_go(struct vmo *vmo, struct vm_page *page)
{
        if (page == NULL)
                return;
        spinlock_take(&vmo->lock);
        ASSERT(page->use.object.share_count != 0);
        page->use.object.share_count--;
        bool dead = page->use.object.share_count == 0 && page->use.object.owner == NULL;
        spinlock_give(&vmo->lock);
        if (dead)
                pmm_free_page(vmo->pool->pmm, page);
}

static uint8_t *byte_at(const struct vmo *vmo, const struct vm_page *page, uint64_t offset)
{
        return (uint8_t *)pmm_page_va(vmo->pool->pmm, page) + offset % PAGE_BYTES;
}

/* ---- checks ---- */

zx_status_t vmo_check_read(struct vmo *vmo, uint64_t offset, uint64_t bytes)
{
        uint64_t end;
        zx_status_t status = ZX_OK;
        if (add_overflows(offset, bytes, &end))
                return ZX_ERR_OUT_OF_RANGE;
        if (vmo->kind == VMO_KIND_PHYSICAL)
                return ZX_ERR_NOT_SUPPORTED;
        spinlock_take(&vmo->lock);
        if (vmo->cache_policy != VMO_CACHE_CACHED)
                status = ZX_ERR_BAD_STATE;
        else if (end > vmo->size_bytes)
                status = ZX_ERR_OUT_OF_RANGE;
        spinlock_give(&vmo->lock);
        return status;
}

zx_status_t vmo_prepare_write(struct vmo *vmo, uint64_t offset, uint64_t bytes)
{
        zx_status_t status = vmo_check_read(vmo, offset, bytes);
        if (status != ZX_OK || bytes == 0)
                return status;
        status = vmo_lock_committed(vmo, offset, bytes);
        if (status == ZX_OK)
                spinlock_give(&vmo->lock);
        return status;
}

/* ---- read and write ---- */

zx_status_t vmo_read_to(struct vmo *vmo, struct vmo_sink *sink, uint64_t offset, size_t bytes)
{
        zx_status_t status = vmo_check_read(vmo, offset, bytes);
        while (bytes > 0 && status == ZX_OK) {
                size_t piece = min_u64(bytes, PAGE_BYTES - offset % PAGE_BYTES);
                struct vm_page *page;
                status = hold(vmo, offset, false, &page);
                if (status != ZX_OK)
                        return status;
                status = sink->write(sink, page == NULL ? zero_page : byte_at(vmo, page, offset),
                                     piece);
                let_go(vmo, page);
                offset += piece;
                bytes -= piece;
        }
        return status;
}

zx_status_t vmo_write_from(struct vmo *vmo, struct vmo_source *source, uint64_t offset,
                           size_t bytes)
{
        zx_status_t status = vmo_prepare_write(vmo, offset, bytes);
        while (bytes > 0 && status == ZX_OK) {
                size_t piece = min_u64(bytes, PAGE_BYTES - offset % PAGE_BYTES);
                struct vm_page *page;
                status = hold(vmo, offset, true, &page);
                if (status != ZX_OK)
                        return status;
                status = source->read(source, byte_at(vmo, page, offset), piece);
                let_go(vmo, page);
                offset += piece;
                bytes -= piece;
        }
        return status;
}

struct memory_sink {
        struct vmo_sink sink;
        uint8_t *at;
};

static zx_status_t write_memory(struct vmo_sink *sink, const void *bytes, size_t byte_count)
{
        struct memory_sink *memory = CONTAINER_OF(sink, struct memory_sink, sink);
        memcpy(memory->at, bytes, byte_count);
        memory->at += byte_count;
        return ZX_OK;
}

struct memory_source {
        struct vmo_source source;
        const uint8_t *at;
};

static zx_status_t read_memory(struct vmo_source *source, void *destination, size_t byte_count)
{
        struct memory_source *memory = CONTAINER_OF(source, struct memory_source, source);
        memcpy(destination, memory->at, byte_count);
        memory->at += byte_count;
        return ZX_OK;
}

zx_status_t vmo_read(struct vmo *vmo, void *destination, uint64_t offset, size_t bytes)
{
        struct memory_sink memory = {{write_memory}, destination};
        return vmo_read_to(vmo, &memory.sink, offset, bytes);
}

zx_status_t vmo_write(struct vmo *vmo, const void *source, uint64_t offset, size_t bytes)
{
        struct memory_source memory = {{read_memory}, source};
        return vmo_write_from(vmo, &memory.source, offset, bytes);
}

void vmo_zero_present(struct vmo *vmo, uint64_t offset, uint64_t bytes)
{
        uint64_t end = offset + bytes, pa;
        while (offset < end) {
                uint64_t number = offset / PAGE_BYTES;
                spinlock_take(&vmo->lock);
                uint64_t end_number = div_round_up(min_u64(end, vmo->size_bytes), PAGE_BYTES);
                if (!vmo_next_page(vmo, &number, end_number, &pa)) {
                        spinlock_give(&vmo->lock);
                        return;
                }
                struct vm_page *page = vmo_find_page(vmo, number);
                page->use.object.share_count++;
                bool uncached = vmo->cache_policy != VMO_CACHE_CACHED;
                spinlock_give(&vmo->lock);

                offset = max_u64(offset, number * PAGE_BYTES);
                uint64_t piece = min_u64(end - offset, PAGE_BYTES - offset % PAGE_BYTES);
                memset(byte_at(vmo, page, offset), 0, piece);
                if (uncached)
                        vmo_clean_page(vmo, page);
                let_go(vmo, page);
                offset += piece;
        }
}

/* ---- copy ---- */

/* One piece that lies in one page on each side. */
static zx_status_t copy_piece(struct vmo_place to, struct vmo_place from, size_t bytes)
{
        struct vm_page *to_page, *from_page;
        zx_status_t status = hold(from.vmo, from.offset, false, &from_page);
        if (status != ZX_OK)
                return status;
        status = hold(to.vmo, to.offset, true, &to_page);
        if (status == ZX_OK) {
                uint8_t *destination = byte_at(to.vmo, to_page, to.offset);
                if (from_page == NULL)
                        memset(destination, 0, bytes);
                else
                        memmove(destination, byte_at(from.vmo, from_page, from.offset), bytes);
                let_go(to.vmo, to_page);
        }
        let_go(from.vmo, from_page);
        return status;
}

/* How many of the last `bytes` bytes before `end` lie in one page. */
static uint64_t tail_in_page(uint64_t end, uint64_t bytes)
{
        return min_u64(bytes, (end - 1) % PAGE_BYTES + 1);
}

zx_status_t vmo_copy(struct vmo_place to, struct vmo_place from, size_t bytes)
{
        zx_status_t status = vmo_check_read(from.vmo, from.offset, bytes);
        if (status == ZX_OK)
                status = vmo_prepare_write(to.vmo, to.offset, bytes);
        /* Upwards into itself: from the end, so that nothing is overwritten before it is read. */
        bool backward = from.vmo == to.vmo && from.offset < to.offset;
        while (bytes > 0 && status == ZX_OK) {
                struct vmo_place here = from, there = to;
                size_t piece;
                if (backward) {
                        piece = tail_in_page(from.offset + bytes,
                                             tail_in_page(to.offset + bytes, bytes));
                        here.offset += bytes - piece;
                        there.offset += bytes - piece;
                } else {
                        piece = min_u64(bytes, min_u64(PAGE_BYTES - from.offset % PAGE_BYTES,
                                                       PAGE_BYTES - to.offset % PAGE_BYTES));
                        from.offset += piece;
                        to.offset += piece;
                }
                status = copy_piece(there, here, piece);
                bytes -= piece;
        }
        return status;
}
