/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host — messages in, messages out, and the turn of everything else.
 *
 * Every message of the guest passes the table below before anybody looks into it. Answers wait in a
 * queue until the world takes them; while the queue has no room for an answer, the guest's next
 * message is not taken. Facts: spec/vmbus.md, e.1, e.2. */
#include "tests/peers/vmbus_host/vmbus_host_internal.h"

/* Answers that one message can cause at most, a lie's repetition among them. */
#define HOST_ANSWERS_MAX 3u

enum {
        HOST_ANY_VERSION = 1, /* valid before a version is agreed */
        HOST_WHILE_PAUSED = 2,
};

/* What the guest may send; bytes 0: nothing of that type. */
static const struct host_layout {
        uint8_t bytes;
        uint8_t flags;
        uint8_t feature;
        uint32_t version; /* the first one */
} layouts[WIRE_TYPES] = {
        [WIRE_REQUEST_OFFERS] = {.bytes = sizeof(struct wire_header)},
        [WIRE_OPEN_CHANNEL] = {.bytes = WIRE_OPEN_CHANNEL_BYTES},
        [WIRE_CLOSE_CHANNEL] = {.bytes = sizeof(struct wire_channel)},
        [WIRE_GPADL_HEADER] = {.bytes = sizeof(struct wire_gpadl_header)},
        [WIRE_GPADL_BODY] = {.bytes = sizeof(struct wire_gpadl_body)},
        [WIRE_GPADL_TEARDOWN] = {.bytes = sizeof(struct wire_gpadl_teardown)},
        [WIRE_REL_ID_RELEASED] = {.bytes = sizeof(struct wire_channel)},
        [WIRE_INITIATE_CONTACT] = {.bytes = WIRE_INITIATE_CONTACT_BYTES,
                                   .flags = HOST_ANY_VERSION | HOST_WHILE_PAUSED},
        [WIRE_UNLOAD] = {.bytes = sizeof(struct wire_header), .flags = HOST_WHILE_PAUSED},
        [WIRE_OPEN_RESERVED_CHANNEL] = {.bytes = sizeof(struct wire_open_reserved),
                                        .version = WIRE_VERSION_4_0},
        [WIRE_CLOSE_RESERVED_CHANNEL] = {.bytes = sizeof(struct wire_close_reserved),
                                         .flags = HOST_ANY_VERSION},
        [WIRE_TL_CONNECT_REQUEST] = {.bytes = WIRE_TL_CONNECT_BYTES, .version = WIRE_VERSION_4_0},
        [WIRE_MODIFY_CHANNEL] = {.bytes = sizeof(struct wire_modify_channel),
                                 .version = WIRE_VERSION_4_1},
        [WIRE_MODIFY_CONNECTION] = {.bytes = sizeof(struct wire_modify_connection),
                                    .version = WIRE_VERSION_6_0,
                                    .feature = WIRE_FEATURE_MODIFY_CONNECTION},
        [WIRE_PAUSE] = {.bytes = sizeof(struct wire_header), .version = WIRE_VERSION_6_0,
                        .feature = WIRE_FEATURE_PAUSE},
        [WIRE_RESUME] = {.bytes = sizeof(struct wire_header), .flags = HOST_WHILE_PAUSED,
                         .version = WIRE_VERSION_6_0, .feature = WIRE_FEATURE_PAUSE},
};

void vmbus_host_init(struct vmbus_host *host, const struct vmbus_host_config *config)
{
        memset(host, 0, sizeof(*host));
        host->config = *config;
        if (host->config.version_max == 0)
                host->config.version_max = WIRE_VERSION_6_0;
        if (host->config.features == 0)
                host->config.features = HOST_FEATURES;
        if (host->config.message_connection == 0)
                host->config.message_connection = WIRE_CONNECTION_CONTACT;
}

void vmbus_host_reset(struct vmbus_host *host)
{
        host_disconnect(host, true);
        host->message_vp = 0;
}

void host_note(struct vmbus_host *host, enum vmbus_host_rule rule, uint32_t channel, uint32_t value,
               uint32_t limit)
{
        host->last_fault = (struct vmbus_host_fault){rule, channel, value, limit};
        host->faults[rule]++;
        if (host->config.ops->note != NULL)
                host->config.ops->note(host->config.context, &host->last_fault);
}

uint64_t vmbus_host_faults_total(const struct vmbus_host *host)
{
        uint64_t total = 0;
        for (uint32_t i = 0; i < VMBUS_HOST_RULES; i++)
                total += host->faults[i];
        return total;
}

struct vmbus_host_channel *vmbus_host_channel(struct vmbus_host *host, uint32_t id)
{
        if (id == 0 || id > VMBUS_HOST_CHANNELS || host->channels[id - 1].id == 0)
                return NULL;
        return &host->channels[id - 1];
}

/* ---- out ---- */

bool host_queue_full(const struct vmbus_host *host)
{
        return host->queue_count + HOST_ANSWERS_MAX > VMBUS_HOST_QUEUE;
}

void host_queue_clear(struct vmbus_host *host)
{
        host->queue_count = 0;
        host->queue_head = 0;
        host->paused = false;
        host->before_pause = 0;
}

static void enqueue(struct vmbus_host *host, const struct vmbus_host_queued *message)
{
        ASSERT(host->queue_count < VMBUS_HOST_QUEUE); /* [H3] */
        host->queue[(host->queue_head + host->queue_count) % VMBUS_HOST_QUEUE] = *message;
        host->queue_count++;
}

void host_post(struct vmbus_host *host, uint32_t type, void *message, uint32_t bytes)
{
        struct vmbus_host_queued queued = {.count = (uint8_t)bytes};
        struct wire_header *header = message;
        bool twice = false;
        ASSERT(bytes <= WIRE_MESSAGE_BYTES_MAX);
        *header = (struct wire_header){.type = type};
        memcpy(queued.bytes, message, bytes);
        if (UNLIKELY(host->liar.rate != 0) && !host_lie_message(host, &queued, &twice))
                return;
        enqueue(host, &queued);
        if (twice && host->queue_count < VMBUS_HOST_QUEUE)
                enqueue(host, &queued);
}

/* Hands the queue to the world; true when it is empty, or held back by a pause. */
static bool flush(struct vmbus_host *host)
{
        while (host->queue_count > 0) { /* at most VMBUS_HOST_QUEUE rounds [H3] */
                struct vmbus_host_queued *first = &host->queue[host->queue_head];
                if (host->paused && host->before_pause == 0)
                        return true;
                if (!host->config.ops->post(host->config.context, first->bytes, first->count,
                                            host->message_vp))
                        return false;
                host->messages_out++;
                host->before_pause -= host->before_pause != 0;
                host->queue_head = (host->queue_head + 1) % VMBUS_HOST_QUEUE;
                host->queue_count--;
        }
        return true;
}

/* ---- in ---- */

static bool connection_is_right(const struct vmbus_host *host, uint32_t type, uint32_t version,
                                uint32_t connection_id)
{
        if (type == WIRE_INITIATE_CONTACT)
                return connection_id == (version >= WIRE_VERSION_5_0 ? WIRE_CONNECTION_CONTACT
                                                                     : WIRE_CONNECTION_OLD);
        /* Reserved channels live apart from the connection, whose version they need not know. */
        if (type == WIRE_CLOSE_RESERVED_CHANNEL)
                return connection_id == WIRE_CONNECTION_OLD ||
                       connection_id == WIRE_CONNECTION_CONTACT ||
                       connection_id == host->config.message_connection;
        return connection_id == (host->version >= WIRE_VERSION_5_0
                                         ? host->config.message_connection
                                         : WIRE_CONNECTION_OLD);
}

/* The first rule that the message breaks, or NONE; *value and *limit are filled in then. */
static enum vmbus_host_rule check(const struct vmbus_host *host, uint32_t connection_id,
                                  const struct host_message *message, uint32_t *value,
                                  uint32_t *limit)
{
        uint32_t type = message->header.type;
        *value = type;
        *limit = 0;
        if (type >= WIRE_TYPES || layouts[type].bytes == 0)
                return VMBUS_HOST_MESSAGE_TYPE;
        const struct host_layout *layout = &layouts[type];
        if (message->header.zero != 0) {
                *value = message->header.zero;
                return VMBUS_HOST_MESSAGE_ZERO;
        }
        if (message->count < layout->bytes) {
                *value = message->count;
                *limit = layout->bytes;
                return VMBUS_HOST_MESSAGE_SHORT;
        }
        if (host->version == 0 && (layout->flags & HOST_ANY_VERSION) == 0)
                return VMBUS_HOST_MESSAGE_UNNEGOTIATED;
        if ((layout->flags & HOST_ANY_VERSION) == 0 && host->version < layout->version)
                return VMBUS_HOST_MESSAGE_VERSION;
        if ((host->features & layout->feature) != layout->feature)
                return VMBUS_HOST_MESSAGE_FEATURE;
        if (!connection_is_right(host, type, message->contact.version, connection_id)) {
                *value = connection_id;
                return VMBUS_HOST_MESSAGE_CONNECTION;
        }
        if (host->paused && (layout->flags & HOST_WHILE_PAUSED) == 0)
                return VMBUS_HOST_MESSAGE_PAUSED;
        return VMBUS_HOST_NONE;
}

static void dispatch(struct vmbus_host *host, const struct host_message *message)
{
        switch (message->header.type) {
        case WIRE_INITIATE_CONTACT: host_initiate_contact(host, message); break;
        case WIRE_REQUEST_OFFERS: host_request_offers(host); break;
        case WIRE_OPEN_CHANNEL: host_open_channel(host, message); break;
        case WIRE_CLOSE_CHANNEL: host_close_channel(host, message); break;
        case WIRE_GPADL_HEADER: host_gpadl_header(host, message); break;
        case WIRE_GPADL_BODY: host_gpadl_body(host, message); break;
        case WIRE_GPADL_TEARDOWN: host_gpadl_teardown(host, message); break;
        case WIRE_REL_ID_RELEASED: host_released(host, message); break;
        case WIRE_UNLOAD: host_unload(host); break;
        case WIRE_OPEN_RESERVED_CHANNEL: host_open_reserved(host, message); break;
        case WIRE_CLOSE_RESERVED_CHANNEL: host_close_reserved(host, message); break;
        case WIRE_TL_CONNECT_REQUEST: host_tl_connect(host, message); break;
        case WIRE_MODIFY_CHANNEL: host_modify_channel(host, message); break;
        case WIRE_MODIFY_CONNECTION: host_modify_connection(host, message); break;
        case WIRE_PAUSE: host_pause(host); break;
        default: host_resume(host); break; /* the table has no other */
        }
}

zx_status_t vmbus_host_message(struct vmbus_host *host, uint32_t connection_id, const void *bytes,
                               uint32_t count)
{
        struct host_message message = {.count = count};
        uint32_t value, limit;
        if (host_queue_full(host))
                return ZX_ERR_SHOULD_WAIT;
        host->messages_in++;
        if (count < sizeof(struct wire_header) || count > WIRE_MESSAGE_BYTES_MAX) {
                host_note(host, VMBUS_HOST_MESSAGE_BYTES, 0, count, WIRE_MESSAGE_BYTES_MAX);
                return ZX_OK;
        }
        memcpy(message.bytes, bytes, count);
        enum vmbus_host_rule rule = check(host, connection_id, &message, &value, &limit);
        if (rule != VMBUS_HOST_NONE)
                host_note(host, rule, 0, value, limit);
        else
                dispatch(host, &message);
        return ZX_OK;
}

void vmbus_host_event(struct vmbus_host *host, uint32_t connection_id)
{
        struct vmbus_host_channel *channel =
                vmbus_host_channel(host, connection_id - host->config.connection_base);
        host->events_in++;
        if (channel == NULL || !channel->open) {
                host_note(host, VMBUS_HOST_EVENT_UNKNOWN, 0, connection_id, 0);
                return;
        }
        channel->signalled = true;
}

bool vmbus_host_poll(struct vmbus_host *host)
{
        bool more = false;
        host_send_offers(host);
        (void)flush(host); /* where the world has no room, it will when the guest has read */
        for (uint32_t i = 0; i < VMBUS_HOST_CHANNELS; i++)
                if (host->channels[i].running)
                        more |= host_serve_channel(&host->channels[i]);
        if (UNLIKELY(host->liar.rate != 0))
                host_lie_poll(host);
        host_send_offers(host);
        (void)flush(host);
        return more;
}
