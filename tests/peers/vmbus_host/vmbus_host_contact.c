/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_contact — the connection as a whole: version, offers, pause, end. Facts:
 * spec/vmbus.md, e.3, e.4, e.8. */
#include "tests/peers/vmbus_host/vmbus_host_internal.h"

static const uint32_t versions[] = {WIRE_VERSION_3_0, WIRE_VERSION_4_0, WIRE_VERSION_4_1,
                                    WIRE_VERSION_5_0, WIRE_VERSION_5_1, WIRE_VERSION_5_2,
                                    WIRE_VERSION_5_3, WIRE_VERSION_6_0};

static bool version_is_known(const struct vmbus_host *host, uint32_t version)
{
        for (uint32_t i = 0; i < ARRAY_COUNT(versions); i++)
                if (versions[i] == version)
                        return version <= host->config.version_max;
        return false;
}

/* ---- contact ---- */

void host_disconnect(struct vmbus_host *host, bool everything)
{
        for (uint32_t i = 0; i < VMBUS_HOST_CHANNELS; i++) {
                struct vmbus_host_channel *channel = &host->channels[i];
                if (channel->id == 0 || (channel->reserved && !everything))
                        continue;
                host_stop_channel(channel);
                host_gpadl_forget(host, channel->id);
                channel->open = false;
                channel->reserved = false;
                channel->announced = false;
                channel->offer_owed = false;
                channel->rescind_owed = false;
                if (channel->rescinded)
                        channel->id = 0; /* nobody is left who would release it */
        }
        host_queue_clear(host);
        host->version = 0;
        host->features = 0;
        host->offers_requested = false;
        host->delivered_owed = false;
}

/* The first rule that a contact of a known version breaks, or NONE. */
static enum vmbus_host_rule check_contact(const struct host_message *message, uint32_t features)
{
        const struct wire_initiate_contact *contact = &message->contact;
        if ((contact->parent_to_child == 0) != (contact->child_to_parent == 0))
                return VMBUS_HOST_CONTACT_MONITOR;
        if (contact->version < WIRE_VERSION_5_0)
                return VMBUS_HOST_NONE;
        if (contact->sint != WIRE_SINT)
                return VMBUS_HOST_CONTACT_SINT;
        if (contact->version >= WIRE_VERSION_5_1 && contact->vtl != 0)
                return VMBUS_HOST_CONTACT_VTL;
        if (contact->zero[0] != 0 || contact->zero[1] != 0)
                return VMBUS_HOST_CONTACT_ZERO;
        if ((features & WIRE_FEATURE_CLIENT_ID) != 0 && message->count < sizeof(*contact))
                return VMBUS_HOST_CONTACT_CLIENT;
        return VMBUS_HOST_NONE;
}

static void answer_contact(struct vmbus_host *host, const struct wire_initiate_contact *contact,
                           enum wire_connection_state state)
{
        struct wire_version_response response = {.supported = 1, .state = state};
        uint32_t bytes = WIRE_VERSION_RESPONSE_BYTES;
        response.connection = contact->version >= WIRE_VERSION_5_0
                                      ? host->config.message_connection
                                      : contact->version;
        if (contact->version >= WIRE_VERSION_6_0) {
                response.features = host->features;
                bytes = WIRE_VERSION_RESPONSE_2_BYTES;
        }
        host_post(host, WIRE_VERSION_RESPONSE, &response, bytes);
}

void host_initiate_contact(struct vmbus_host *host, const struct host_message *message)
{
        const struct wire_initiate_contact *contact = &message->contact;
        uint32_t features = contact->version >= WIRE_VERSION_6_0
                                    ? contact->features & host->config.features
                                    : 0;
        host_disconnect(host, false);
        host->message_vp = contact->target_vp;
        if (!version_is_known(host, contact->version)) {
                struct wire_version_response response = {.supported = 0};
                host_post(host, WIRE_VERSION_RESPONSE, &response, WIRE_VERSION_RESPONSE_BYTES);
                return;
        }
        enum vmbus_host_rule rule = check_contact(message, features);
        if (rule != VMBUS_HOST_NONE) {
                host_note(host, rule, 0, contact->version, 0);
                answer_contact(host, contact, WIRE_CONNECTION_FAILED);
                return;
        }
        host->version = contact->version;
        host->features = features;
        answer_contact(host, contact, WIRE_CONNECTION_OK);
}

void host_unload(struct vmbus_host *host)
{
        struct wire_header complete;
        host_disconnect(host, false);
        host_post(host, WIRE_UNLOAD_COMPLETE, &complete, sizeof(complete));
}

void host_pause(struct vmbus_host *host)
{
        struct wire_header response;
        host_post(host, WIRE_PAUSE_RESPONSE, &response, sizeof(response));
        host->paused = true;
        host->before_pause = (uint8_t)host->queue_count;
}

void host_resume(struct vmbus_host *host)
{
        host->paused = false;
        host->before_pause = 0;
}

void host_modify_connection(struct vmbus_host *host, const struct host_message *message)
{
        const struct wire_modify_connection *modify = &message->modify_connection;
        struct wire_modify_connection_response response = {.state = WIRE_CONNECTION_OK};
        if ((modify->parent_to_child == 0) != (modify->child_to_parent == 0)) {
                host_note(host, VMBUS_HOST_CONTACT_MONITOR, 0, 0, 0);
                response.state = WIRE_CONNECTION_FAILED;
        }
        host_post(host, WIRE_MODIFY_CONNECTION_RESPONSE, &response,
                  WIRE_MODIFY_CONNECTION_RESPONSE_BYTES);
}

/* There are no sockets here: every attempt is refused, as of 4.1 with a message. */
void host_tl_connect(struct vmbus_host *host, const struct host_message *message)
{
        struct wire_tl_result result = {.status = WIRE_STATUS_CONNECTION_REFUSED};
        if (host->version < WIRE_VERSION_4_1)
                return;
        memcpy(result.endpoint, message->tl_connect.endpoint, sizeof(result.endpoint));
        memcpy(result.service, message->tl_connect.service, sizeof(result.service));
        host_post(host, WIRE_TL_CONNECT_RESULT, &result, sizeof(result));
}

/* ---- offers ---- */

void host_request_offers(struct vmbus_host *host)
{
        if (host->offers_requested) {
                host_note(host, VMBUS_HOST_OFFERS_TWICE, 0, 0, 0);
                return;
        }
        host->offers_requested = true;
        host->delivered_owed = true;
        for (uint32_t i = 0; i < VMBUS_HOST_CHANNELS; i++)
                if (host->channels[i].id != 0 && !host->channels[i].rescinded)
                        host->channels[i].offer_owed = true;
}

static void post_offer(struct vmbus_host_channel *channel)
{
        const struct vmbus_host_offer *offer = channel->offer;
        struct vmbus_host *host = channel->host;
        struct wire_offer_channel message = {
                .flags = offer->flags,
                .subchannel_index = offer->subchannel_index,
                .channel = channel->id,
                .monitor = WIRE_MONITOR_NONE,
                .dedicated = 1,
                .connection = host->config.connection_base + channel->id,
        };
        memcpy(message.interface, offer->interface, sizeof(message.interface));
        memcpy(message.instance, offer->instance, sizeof(message.instance));
        memcpy(message.user, offer->user_words, sizeof(offer->user_words));
        channel->offer_owed = false;
        channel->announced = true;
        host_post(host, WIRE_OFFER_CHANNEL, &message, sizeof(message));
}

void host_send_offers(struct vmbus_host *host)
{
        for (uint32_t i = 0; i < VMBUS_HOST_CHANNELS; i++) {
                struct vmbus_host_channel *channel = &host->channels[i];
                if (host_queue_full(host))
                        return;
                if (channel->id != 0 && channel->offer_owed)
                        post_offer(channel);
                if (host_queue_full(host))
                        return;
                if (channel->id != 0 && channel->rescind_owed) {
                        struct wire_channel message = {.channel = channel->id};
                        channel->rescind_owed = false;
                        host_post(host, WIRE_RESCIND_CHANNEL_OFFER, &message, sizeof(message));
                }
        }
        if (host->delivered_owed && !host_queue_full(host)) {
                struct wire_header message;
                host->delivered_owed = false;
                host_post(host, WIRE_ALL_OFFERS_DELIVERED, &message, sizeof(message));
        }
}

zx_status_t vmbus_host_offer(struct vmbus_host *host, const struct vmbus_host_offer *offer,
                             struct vmbus_host_channel **channel)
{
        for (uint32_t i = 0; i < VMBUS_HOST_CHANNELS; i++) {
                struct vmbus_host_channel *free = &host->channels[i];
                if (free->id != 0)
                        continue;
                memset(free, 0, sizeof(*free));
                free->host = host;
                free->id = i + 1;
                free->offer = offer;
                free->offer_owed = host->offers_requested;
                if (channel != NULL)
                        *channel = free;
                return ZX_OK;
        }
        return ZX_ERR_NO_RESOURCES;
}

void vmbus_host_rescind(struct vmbus_host *host, struct vmbus_host_channel *channel)
{
        if (channel->id == 0 || channel->rescinded)
                return;
        host_stop_channel(channel);
        channel->offer_owed = false;
        if (!channel->announced) {
                channel->id = 0;
                return;
        }
        channel->rescinded = true;
        channel->rescind_owed = true;
}

void host_released(struct vmbus_host *host, const struct host_message *message)
{
        uint32_t id = message->channel.channel;
        struct vmbus_host_channel *channel = vmbus_host_channel(host, id);
        if (channel == NULL || !channel->announced) {
                host_note(host, VMBUS_HOST_CHANNEL_UNKNOWN, id, id, 0);
        } else if (!channel->rescinded) {
                host_note(host, VMBUS_HOST_RELEASE_NOT_RESCINDED, id, id, 0);
        } else if (channel->open) {
                host_note(host, VMBUS_HOST_RELEASE_OPEN, id, id, 0);
        } else if (host_gpadl_any(host, id)) {
                host_note(host, VMBUS_HOST_RELEASE_GPADL, id, id, 0);
        } else {
                channel->id = 0;
        }
}
