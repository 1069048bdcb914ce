/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_channel — a channel is opened, modified and closed. Facts: spec/vmbus.md, a.3, e.7. */
#include "tests/peers/vmbus_host/vmbus_host_internal.h"

/* A control page and one page of data. */
#define HOST_RING_PAGES_MIN 2u

/* What the two forms of opening have in common. */
struct host_opening {
        uint32_t gpadl;
        uint32_t target_vp;
        uint32_t downstream_page;
        uint32_t event_flag;
        bool reserved;
};

void vmbus_host_broke(struct vmbus_host_channel *channel, enum vmbus_host_rule rule, uint32_t value,
                      uint32_t limit)
{
        host_note(channel->host, rule, channel->id, value, limit);
}

void vmbus_host_fail(struct vmbus_host_channel *channel, enum vmbus_host_rule rule, uint32_t value,
                     uint32_t limit)
{
        if (channel->broken == VMBUS_HOST_NONE)
                channel->broken = rule;
        vmbus_host_broke(channel, rule, value, limit);
}

/* ---- open ---- */

static bool vp_exists(const struct vmbus_host *host, uint32_t vp)
{
        return host->config.vp_count == 0 || vp < host->config.vp_count;
}

/* Makes the two rings out of the pages; the first rule that is broken, or NONE. */
static enum vmbus_host_rule attach(struct vmbus_host_channel *channel,
                                   const struct vmbus_host_pages *pages, uint32_t downstream_page)
{
        struct vmbus_memory memory;
        void *const *table = (void *const *)(uintptr_t)pages->addresses;
        if (downstream_page < HOST_RING_PAGES_MIN ||
            downstream_page > pages->page_count - HOST_RING_PAGES_MIN ||
            pages->page_count < 2 * HOST_RING_PAGES_MIN)
                return VMBUS_HOST_OPEN_DOWNSTREAM;
        if (vmbus_memory_init_paged(&memory, table[0], table + 1, downstream_page - 1) != ZX_OK)
                return VMBUS_HOST_OPEN_SHAPE;
        vmbus_receiver_init(&channel->receiver, &memory);
        if (vmbus_receiver_position(&channel->receiver, &channel->from) != VMBUS_OK)
                return VMBUS_HOST_OPEN_RING;
        table += downstream_page;
        if (vmbus_memory_init_paged(&memory, table[0], table + 1,
                                    pages->page_count - downstream_page - 1) != ZX_OK)
                return VMBUS_HOST_OPEN_SHAPE;
        vmbus_sender_init(&channel->sender, &memory);
        if (vmbus_sender_position(&channel->sender, &channel->to) != VMBUS_OK)
                return VMBUS_HOST_OPEN_RING;
        return VMBUS_HOST_NONE;
}

static enum vmbus_host_rule open(struct vmbus_host_channel *channel,
                                 const struct host_opening *opening)
{
        struct vmbus_host *host = channel->host;
        struct vmbus_host_gpadl *gpadl = host_gpadl_find(host, channel->id, opening->gpadl);
        struct vmbus_host_pages pages;
        if (channel->rescinded)
                return VMBUS_HOST_CHANNEL_RESCINDED;
        if (channel->open)
                return VMBUS_HOST_CHANNEL_OPEN;
        if (gpadl == NULL || !gpadl->created)
                return VMBUS_HOST_OPEN_GPADL;
        if (!vmbus_host_gpadl_pages(channel, opening->gpadl, &pages))
                return VMBUS_HOST_OPEN_SHAPE;
        if (opening->event_flag >= WIRE_EVENT_FLAGS)
                return VMBUS_HOST_OPEN_FLAG;
        if (opening->target_vp != WIRE_VP_NONE && !vp_exists(host, opening->target_vp))
                return VMBUS_HOST_OPEN_VP;
        enum vmbus_host_rule rule = attach(channel, &pages, opening->downstream_page);
        if (rule != VMBUS_HOST_NONE)
                return rule;
        channel->target_vp = opening->target_vp;
        channel->event_flag = opening->event_flag;
        channel->ring_gpadl = opening->gpadl;
        channel->broken = VMBUS_HOST_NONE;
        channel->needed_bytes = 0;
        channel->refused = false;
        if (!channel->offer->device->ops->opened(channel->offer->device, channel))
                return VMBUS_HOST_OPEN_REFUSED;
        channel->open = true;
        channel->running = true;
        channel->reserved = opening->reserved;
        channel->signalled = true; /* there may be packets already */
        gpadl->users++;            /* [H2] */
        return VMBUS_HOST_NONE;
}

void host_open_channel(struct vmbus_host *host, const struct host_message *message)
{
        const struct wire_open_channel *request = &message->open;
        struct vmbus_host_channel *channel = vmbus_host_channel(host, request->channel);
        struct wire_open_result result = {.channel = request->channel,
                                          .open_id = request->open_id,
                                          .status = WIRE_STATUS_OK};
        struct host_opening opening = {.gpadl = request->gpadl,
                                       .target_vp = request->target_vp,
                                       .downstream_page = request->downstream_page,
                                       .event_flag = request->channel};
        enum vmbus_host_rule rule = VMBUS_HOST_NONE;
        bool longer = (host->features & WIRE_FEATURE_SIGNAL_PARAMETERS) != 0;
        if (longer)
                opening.event_flag = request->event_flag;
        if (longer && message->count < WIRE_OPEN_CHANNEL_2_BYTES) {
                rule = VMBUS_HOST_MESSAGE_SHORT;
        } else if (channel == NULL || !channel->announced) {
                rule = VMBUS_HOST_CHANNEL_UNKNOWN;
        } else {
                if (!channel->open)
                        memcpy(channel->user, request->user, sizeof(channel->user));
                rule = open(channel, &opening);
        }
        if (rule != VMBUS_HOST_NONE) {
                host_note(host, rule, request->channel, request->gpadl, request->downstream_page);
                result.status = WIRE_STATUS_UNSUCCESSFUL;
        }
        host_post(host, WIRE_OPEN_RESULT, &result, sizeof(result));
}

/* No answer is defined: what goes wrong is only noted. */
void host_open_reserved(struct vmbus_host *host, const struct host_message *message)
{
        const struct wire_open_reserved *request = &message->open_reserved;
        struct vmbus_host_channel *channel = vmbus_host_channel(host, request->channel);
        struct host_opening opening = {.gpadl = request->gpadl,
                                       .target_vp = request->target_vp,
                                       .downstream_page = request->downstream_page,
                                       .event_flag = request->channel,
                                       .reserved = true};
        enum vmbus_host_rule rule = VMBUS_HOST_NONE;
        if (channel == NULL || !channel->announced)
                rule = VMBUS_HOST_CHANNEL_UNKNOWN;
        else if (request->target_sint >= WIRE_SINTS)
                rule = VMBUS_HOST_OPEN_SINT;
        else
                rule = open(channel, &opening);
        if (rule != VMBUS_HOST_NONE)
                host_note(host, rule, request->channel, request->gpadl, request->target_sint);
}

/* ---- modify, close ---- */

void host_modify_channel(struct vmbus_host *host, const struct host_message *message)
{
        const struct wire_modify_channel *request = &message->modify;
        struct vmbus_host_channel *channel = vmbus_host_channel(host, request->channel);
        struct wire_modify_channel_response response = {.channel = request->channel,
                                                        .status = WIRE_STATUS_OK};
        enum vmbus_host_rule rule = VMBUS_HOST_NONE;
        if (channel == NULL || !channel->announced)
                rule = VMBUS_HOST_CHANNEL_UNKNOWN;
        else if (!channel->open)
                rule = VMBUS_HOST_CHANNEL_NOT_OPEN;
        else if (request->target_vp == WIRE_VP_NONE)
                rule = VMBUS_HOST_MODIFY_NO_VP;
        else if (!vp_exists(host, request->target_vp))
                rule = VMBUS_HOST_MODIFY_VP;
        else if (channel->target_vp == WIRE_VP_NONE)
                rule = VMBUS_HOST_MODIFY_DISABLED;
        else
                channel->target_vp = request->target_vp;
        if (rule != VMBUS_HOST_NONE) {
                host_note(host, rule, request->channel, request->target_vp, 0);
                response.status = WIRE_STATUS_UNSUCCESSFUL;
        }
        if (host->version >= WIRE_VERSION_5_3)
                host_post(host, WIRE_MODIFY_CHANNEL_RESPONSE, &response, sizeof(response));
}

void host_stop_channel(struct vmbus_host_channel *channel)
{
        if (!channel->running)
                return;
        struct vmbus_host_gpadl *gpadl =
                host_gpadl_find(channel->host, channel->id, channel->ring_gpadl);
        channel->running = false;
        channel->signalled = false;
        channel->busy = false;
        channel->offer->device->ops->closed(channel->offer->device, channel);
        gpadl->users--; /* [H2] */
}

void host_close_channel(struct vmbus_host *host, const struct host_message *message)
{
        uint32_t id = message->channel.channel;
        struct vmbus_host_channel *channel = vmbus_host_channel(host, id);
        if (channel == NULL || !channel->announced) {
                host_note(host, VMBUS_HOST_CHANNEL_UNKNOWN, id, id, 0);
        } else if (!channel->open || channel->reserved) {
                host_note(host, VMBUS_HOST_CHANNEL_NOT_OPEN, id, id, 0);
        } else {
                host_stop_channel(channel);
                channel->open = false;
        }
}

void host_close_reserved(struct vmbus_host *host, const struct host_message *message)
{
        uint32_t id = message->close_reserved.channel;
        struct vmbus_host_channel *channel = vmbus_host_channel(host, id);
        struct wire_channel response = {.channel = id};
        if (channel == NULL || !channel->reserved) {
                host_note(host, VMBUS_HOST_CHANNEL_NOT_OPEN, id, id, 0);
                return;
        }
        host->message_vp = message->close_reserved.target_vp;
        host_stop_channel(channel);
        channel->open = false;
        channel->reserved = false;
        if (host->version == 0)
                host_gpadl_forget(host, id); /* of a connection that is gone */
        host_post(host, WIRE_CLOSE_RESERVED_RESPONSE, &response, sizeof(response));
}
