/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* GPADLs: memory that the host may use, under a handle. What the host has not let go of stays
 * pinned. Facts: spec/vmbus.md, e.6, e.11. */
#include "drivers/hyperv/vmbus_internal.h"

/* Where the page numbers of a list come from, one after the other. */
struct page_source {
        struct vmo *vmo;
        uint64_t offset;
        const uint64_t *page_numbers;
};

static zx_status_t page_number(const struct page_source *source, uint32_t index, uint64_t *number)
{
        if (source->vmo == NULL) {
                *number = source->page_numbers[index];
                return ZX_OK;
        }
        uint64_t pa;
        zx_status_t status = vmo_get_page(source->vmo, source->offset + index * PAGE_BYTES, 0, &pa);
        if (status == ZX_OK)
                *number = pa >> PAGE_BYTES_LOG2;
        return status;
}

/* ---- slots; the lock is held ---- */

struct vmbus_gpadl *vmbus_gpadl_find(struct vmbus *vmbus, uint32_t handle,
                                     enum vmbus_gpadl_state state)
{
        for (uint32_t i = 0; i < vmbus->config.gpadl_count; i++) {
                struct vmbus_gpadl *gpadl = &vmbus->config.gpadls[i];
                if (gpadl->state == state && (handle == 0 || gpadl->handle == handle))
                        return gpadl;
        }
        return NULL;
}

static bool handle_used(const struct vmbus *vmbus, uint32_t handle)
{
        for (uint32_t i = 0; i < vmbus->config.gpadl_count; i++)
                if (vmbus->config.gpadls[i].state != VMBUS_GPADL_FREE &&
                    vmbus->config.gpadls[i].handle == handle)
                        return true;
        return false;
}

/* Bodies and torndown messages name no channel, so a handle is unique in the connection; the number
 * goes up, so that a late answer does not meet a new list.
 * At most gpadl_count of them are in use. */
static uint32_t new_handle(struct vmbus *vmbus)
{
        uint32_t handle;
        do {
                handle = ++vmbus->next_handle;
        } while (handle == 0 || handle_used(vmbus, handle));
        return handle;
}

static struct vmbus_gpadl *take_slot(struct vmbus_channel *channel,
                                     const struct page_source *source, uint32_t page_count)
{
        struct vmbus *vmbus = channel->vmbus;
        bool enabled = vmbus_lock(vmbus);
        struct vmbus_gpadl *gpadl = vmbus_gpadl_find(vmbus, 0, VMBUS_GPADL_FREE);
        if (gpadl != NULL)
                *gpadl = (struct vmbus_gpadl){.handle = new_handle(vmbus),
                                              .channel_id = channel->offer.channel_id,
                                              .state = VMBUS_GPADL_CREATING,
                                              .page_count = page_count,
                                              .vmo = source->vmo,
                                              .offset = source->offset};
        vmbus_unlock(vmbus, enabled);
        return gpadl;
}

/* ---- ends ---- */

static void unpin(const struct page_source *source, uint32_t page_count)
{
        if (source->vmo == NULL)
                return;
        vmo_unpin(source->vmo, source->offset, page_count * PAGE_BYTES);
        vmo_put(source->vmo);
}

/* The host has nothing of it: gives the pages back and the slot free. */
static void release(struct vmbus *vmbus, struct vmbus_gpadl *gpadl)
{
        const struct page_source source = {.vmo = gpadl->vmo, .offset = gpadl->offset};
        uint32_t page_count = gpadl->page_count;
        bool enabled = vmbus_lock(vmbus);
        gpadl->state = VMBUS_GPADL_FREE;
        vmbus_unlock(vmbus, enabled);
        unpin(&source, page_count);
}

/* Takes it from its owner: gives the pages back if the host is done with it, else leaves that to
 * vmbus_gpadls_reap. */
static zx_status_t end(struct vmbus *vmbus, struct vmbus_gpadl *gpadl, zx_status_t status)
{
        bool enabled = vmbus_lock(vmbus);
        bool done = gpadl->state == VMBUS_GPADL_DONE;
        gpadl->abandoned = !done;
        vmbus_unlock(vmbus, enabled);
        if (!done)
                return status != ZX_OK ? status : ZX_ERR_TIMED_OUT;
        release(vmbus, gpadl);
        return status;
}

/* ---- create ---- */

/* Header, then bodies. *posted tells whether the host has heard of it. */
static zx_status_t post_list(struct vmbus *vmbus, const struct vmbus_gpadl *gpadl,
                             const struct page_source *source, bool *posted)
{
        struct vmbus_gpadl_header_message header = {
                .header.type = VMBUS_GPADL_HEADER,
                .channel_id = gpadl->channel_id,
                .handle = gpadl->handle,
                .range_bytes = (uint16_t)((1 + gpadl->page_count) * sizeof(uint64_t)),
                .range_count = 1,
        };
        struct vmbus_gpadl_body_message body = {.header.type = VMBUS_GPADL_BODY,
                                                .handle = gpadl->handle};
        uint64_t words[VMBUS_GPADL_BODY_WORDS];
        uint32_t room = VMBUS_GPADL_HEADER_WORDS, used = 1;
        words[0] = gpadl->page_count * PAGE_BYTES; /* u32 length, u32 offset 0 */

        for (uint32_t i = 0; i < gpadl->page_count;) {
                zx_status_t status = ZX_OK;
                while (used < room && i < gpadl->page_count && status == ZX_OK)
                        status = page_number(source, i++, &words[used++]);
                uint32_t bytes = used * (uint32_t)sizeof(words[0]);
                if (status == ZX_OK && room == VMBUS_GPADL_HEADER_WORDS) {
                        memcpy(header.words, words, bytes);
                        status = vmbus_post(vmbus, &header, VMBUS_GPADL_HEADER_BYTES + bytes);
                } else if (status == ZX_OK) {
                        body.number++;
                        memcpy(body.words, words, bytes);
                        status = vmbus_post(vmbus, &body, VMBUS_GPADL_BODY_BYTES + bytes);
                }
                if (status != ZX_OK)
                        return status;
                *posted = true;
                room = VMBUS_GPADL_BODY_WORDS;
                used = 0;
        }
        return ZX_OK;
}

static zx_status_t establish(struct vmbus_channel *channel, struct vmbus_gpadl *gpadl,
                             const struct page_source *source)
{
        struct vmbus *vmbus = channel->vmbus;
        struct vmbus_call call = {.type = VMBUS_GPADL_CREATED,
                                  .channel_id = gpadl->channel_id,
                                  .id = gpadl->handle};
        bool posted = false;
        zx_status_t status = vmbus_call_begin(vmbus, &call);
        if (status == ZX_OK)
                status = vmbus_call_end(vmbus, &call, post_list(vmbus, gpadl, source, &posted));
        if (status == ZX_OK && call.host_status == VMBUS_STATUS_SUCCESS)
                return ZX_OK;
        if (!posted) {
                bool enabled = vmbus_lock(vmbus);
                gpadl->state = VMBUS_GPADL_DONE; /* the host has never heard of it */
                vmbus_unlock(vmbus, enabled);
        }
        return end(vmbus, gpadl, status == ZX_OK ? ZX_ERR_ACCESS_DENIED : status);
}

zx_status_t vmbus_gpadl_create(struct vmbus_channel *channel,
                               const struct vmbus_gpadl_memory *memory,
                               struct vmbus_gpadl **gpadl_out)
{
        struct vmbus *vmbus = channel->vmbus;
        const struct page_source source = {memory->vmo, memory->offset, memory->page_numbers};
        uint64_t page_count = memory->vmo != NULL ? memory->bytes / PAGE_BYTES
                                                  : memory->page_count;
        if (page_count == 0 || page_count > VMBUS_GPADL_PAGES_MAX ||
            (memory->vmo == NULL && memory->page_numbers == NULL) ||
            (memory->vmo != NULL && !is_aligned(memory->offset | memory->bytes, PAGE_BYTES)))
                return ZX_ERR_INVALID_ARGS;
        if (vmbus_channel_state(channel) == VMBUS_CHANNEL_FREE ||
            vmbus_state(vmbus) != VMBUS_STATE_CONNECTED)
                return ZX_ERR_BAD_STATE;
        if (source.vmo != NULL) {
                zx_status_t status = vmo_pin(source.vmo, source.offset, memory->bytes);
                if (status != ZX_OK)
                        return status;
                vmo_get(source.vmo);
        }
        struct vmbus_gpadl *gpadl = take_slot(channel, &source, (uint32_t)page_count);
        if (gpadl == NULL) {
                unpin(&source, (uint32_t)page_count);
                return ZX_ERR_NO_RESOURCES;
        }
        zx_status_t status = establish(channel, gpadl, &source);
        if (status == ZX_OK)
                *gpadl_out = gpadl;
        return status;
}

/* ---- tear down ---- */

static struct vmbus_gpadl_teardown_message teardown_of(struct vmbus_gpadl *gpadl)
{
        return (struct vmbus_gpadl_teardown_message){.header.type = VMBUS_GPADL_TEARDOWN,
                                                     .channel_id = gpadl->channel_id,
                                                     .handle = gpadl->handle};
}

/* LIVE becomes TEARING, if the connection can carry that now. */
static bool begin_teardown(struct vmbus *vmbus, struct vmbus_gpadl *gpadl)
{
        bool enabled = vmbus_lock(vmbus);
        bool can = gpadl->state == VMBUS_GPADL_LIVE && vmbus->state == VMBUS_STATE_CONNECTED;
        if (can)
                gpadl->state = VMBUS_GPADL_TEARING;
        vmbus_unlock(vmbus, enabled);
        return can;
}

zx_status_t vmbus_gpadl_teardown(struct vmbus_channel *channel, struct vmbus_gpadl *gpadl)
{
        struct vmbus *vmbus = channel->vmbus;
        const struct vmbus_gpadl_teardown_message message = teardown_of(gpadl);
        struct vmbus_call call = {.type = VMBUS_GPADL_TORNDOWN, .id = gpadl->handle};
        ASSERT(gpadl->state == VMBUS_GPADL_LIVE && !gpadl->abandoned);
        if (!begin_teardown(vmbus, gpadl))
                return end(vmbus, gpadl, ZX_ERR_BAD_STATE);
        return end(vmbus, gpadl, vmbus_exchange(vmbus, &call, &message, sizeof(message)));
}

void vmbus_gpadls_reap(struct vmbus *vmbus)
{
        for (uint32_t i = 0; i < vmbus->config.gpadl_count; i++) {
                struct vmbus_gpadl *gpadl = &vmbus->config.gpadls[i];
                bool enabled = vmbus_lock(vmbus);
                bool abandoned = gpadl->state != VMBUS_GPADL_FREE && gpadl->abandoned;
                bool done = gpadl->state == VMBUS_GPADL_DONE;
                vmbus_unlock(vmbus, enabled);
                if (abandoned && done) {
                        release(vmbus, gpadl);
                } else if (abandoned && begin_teardown(vmbus, gpadl)) {
                        const struct vmbus_gpadl_teardown_message message = teardown_of(gpadl);
                        /* Without an answer it stays as it is, and so do its pages [B2]. */
                        zx_status_t status UNUSED =
                                vmbus_post(vmbus, &message, sizeof(message));
                }
        }
}

void vmbus_gpadls_abandon(struct vmbus *vmbus, uint32_t channel_id)
{
        bool enabled = vmbus_lock(vmbus);
        for (uint32_t i = 0; i < vmbus->config.gpadl_count; i++)
                if (vmbus->config.gpadls[i].channel_id == channel_id)
                        vmbus->config.gpadls[i].abandoned = true;
        vmbus_unlock(vmbus, enabled);
}

bool vmbus_gpadls_left(struct vmbus *vmbus, uint32_t channel_id)
{
        bool left = false;
        bool enabled = vmbus_lock(vmbus);
        for (uint32_t i = 0; i < vmbus->config.gpadl_count; i++)
                left = left || (vmbus->config.gpadls[i].channel_id == channel_id &&
                                vmbus->config.gpadls[i].state != VMBUS_GPADL_FREE);
        vmbus_unlock(vmbus, enabled);
        return left;
}

void vmbus_gpadls_end(struct vmbus *vmbus, bool confirmed)
{
        for (uint32_t i = 0; i < vmbus->config.gpadl_count; i++) {
                struct vmbus_gpadl *gpadl = &vmbus->config.gpadls[i];
                if (gpadl->state == VMBUS_GPADL_FREE)
                        continue;
                if (confirmed || gpadl->state == VMBUS_GPADL_DONE) {
                        release(vmbus, gpadl);
                } else {
                        vmbus->leaked_pages += gpadl->page_count;
                        gpadl->state = VMBUS_GPADL_FREE;
                }
        }
}
