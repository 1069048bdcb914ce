/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_net — the card's life: NVSP set-up, buffers, subchannels. Facts: spec/vmbus.md, f.1 to
 * f.3, f.8. */
#include "tests/peers/vmbus_host/vmbus_host_net_internal.h"

/* Offsets of the fields of f.2, in words. */
#define NVSP_WORDS_MAX 10u

static struct vmbus_host_net *net_of(struct vmbus_host_device *device)
{
        return CONTAINER_OF(device, struct vmbus_host_net, device);
}

/* ---- answers ---- */

bool net_complete(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                  const struct vmbus_incoming *packet, const uint32_t *message)
{
        uint32_t words[NVSP_WORDS_MAX] = {0};
        struct vmbus_outgoing completion = {.kind = VMBUS_SEND_COMPLETION,
                                            .payload_bytes = net_message_words(net) * 4,
                                            .transaction_id = packet->transaction_id};
        if (!packet->completion_requested)
                return true;
        if (message == NULL)
                completion.payload_bytes = 0;
        else
                memcpy(words, message, NVSP_MESSAGE_WORDS * 4);
        if (host_lies(channel->host, VMBUS_HOST_LIE_NVSP_TYPE))
                words[0] = host_random(channel->host);
        if (host_lies(channel->host, VMBUS_HOST_LIE_NVSP_STATUS))
                words[1 + host_random(channel->host) % 3] = host_random(channel->host);
        if (completion.payload_bytes != 0 && host_lies(channel->host, VMBUS_HOST_LIE_NVSP_SHORT))
                completion.payload_bytes = host_random(channel->host) % completion.payload_bytes;
        return vmbus_host_send(channel, &completion, words) != VMBUS_FULL;
}

/* ---- set-up ---- */

static bool init(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                 const struct vmbus_incoming *packet, const uint32_t *message)
{
        static const uint32_t versions[] = {NVSP_VERSION_1, NVSP_VERSION_2, NVSP_VERSION_4,
                                            NVSP_VERSION_5, NVSP_VERSION_6, NVSP_VERSION_6_1};
        uint32_t answer[NVSP_MESSAGE_WORDS] = {NVSP_INIT_COMPLETE, UINT32_MAX, NVSP_MDL_CHAIN_MAX,
                                               NVSP_STATUS_UNSUPPORTED};
        uint32_t version = message[1], chosen = 0;
        for (uint32_t i = 0; i < ARRAY_COUNT(versions); i++)
                if (versions[i] == version && version <= net->config.version_max)
                        chosen = version;
        if (message[1] != message[2]) {
                vmbus_host_broke(channel, VMBUS_HOST_NVSP_VERSION, message[1], message[2]);
                chosen = 0;
        }
        if (chosen != 0)
                answer[3] = NVSP_STATUS_SUCCESS;
        if (chosen == NVSP_VERSION_1)
                answer[1] = NVSP_VERSION_1;
        net->version = chosen;
        if (!net_complete(net, channel, packet, answer)) {
                net->version = 0;
                return false;
        }
        if (chosen != 0)
                net->state = VMBUS_HOST_NET_SETUP;
        return true;
}

/* The pages of a buffer by its message, or false with the rule noted. */
static bool find_buffer(struct vmbus_host_channel *channel, const uint32_t *message, uint32_t id,
                        struct vmbus_host_pages *pages)
{
        if ((uint16_t)message[2] != id) {
                vmbus_host_broke(channel, VMBUS_HOST_NVSP_BUFFER_ID, (uint16_t)message[2], id);
                return false;
        }
        if (!vmbus_host_gpadl_pages(channel, message[1], pages)) {
                vmbus_host_broke(channel, VMBUS_HOST_NVSP_BUFFER, message[1], 0);
                return false;
        }
        return true;
}

static bool receive_buffer(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                           const struct vmbus_incoming *packet, const uint32_t *message)
{
        uint32_t answer[NVSP_MESSAGE_WORDS] = {NVSP_SEND_RECEIVE_BUFFER_COMPLETE,
                                               NVSP_STATUS_FAILURE};
        struct vmbus_host_pages pages;
        uint32_t bytes = NET_BEFORE_BYTES + net->frame_bytes + NET_BEHIND_BYTES;
        bool good = find_buffer(channel, message, NVSP_RECEIVE_BUFFER_ID, &pages);
        uint32_t count = good ? (uint32_t)min_u64(pages.page_count * PAGE_BYTES / bytes,
                                                  VMBUS_HOST_NET_SUBALLOCATIONS)
                              : 0;
        if (good && count <= NET_RESERVED) {
                vmbus_host_broke(channel, VMBUS_HOST_NVSP_BUFFER, pages.page_count, NET_RESERVED);
                good = false;
        }
        if (good) {
                answer[1] = NVSP_STATUS_SUCCESS;
                answer[2] = 1; /* section: offset, size, number, end */
                answer[4] = bytes;
                answer[5] = count;
                answer[6] = bytes * count;
        }
        if (good && host_lies(channel->host, VMBUS_HOST_LIE_NVSP_SECTIONS))
                answer[2 + host_random(channel->host) % 5] = host_random(channel->host);
        if (!net_complete(net, channel, packet, answer))
                return false;
        if (good) {
                net->receive = pages; /* [N2] */
                net->receive_gpadl = message[1];
                net->suballocation_bytes = bytes;
                net->suballocations = count;
                net_receive_reset(net);
        }
        return true;
}

static bool send_buffer(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                        const struct vmbus_incoming *packet, const uint32_t *message)
{
        uint32_t answer[NVSP_MESSAGE_WORDS] = {NVSP_SEND_SEND_BUFFER_COMPLETE, NVSP_STATUS_FAILURE};
        struct vmbus_host_pages pages;
        bool good = find_buffer(channel, message, NVSP_SEND_BUFFER_ID, &pages);
        if (good) {
                answer[1] = NVSP_STATUS_SUCCESS;
                answer[2] = VMBUS_HOST_NET_SECTION_BYTES;
        }
        if (good && host_lies(channel->host, VMBUS_HOST_LIE_NVSP_SECTIONS))
                answer[2] = host_random(channel->host);
        if (!net_complete(net, channel, packet, answer))
                return false;
        if (good) {
                net->send = pages; /* [N2] */
                net->send_gpadl = message[1];
                net->send_sections = (uint32_t)(pages.page_count * PAGE_BYTES /
                                                VMBUS_HOST_NET_SECTION_BYTES);
        }
        return true;
}

static void forget_receive(struct vmbus_host_net *net)
{
        net->receive = (struct vmbus_host_pages){0};
        net->suballocations = 0;
        net_receive_reset(net);
}

static void forget_send(struct vmbus_host_net *net)
{
        net->send = (struct vmbus_host_pages){0};
        net->send_sections = 0;
}

static void revoke(struct vmbus_host_net *net, uint32_t type)
{
        net->revokes++;
        if (type == NVSP_REVOKE_RECEIVE_BUFFER)
                forget_receive(net);
        else
                forget_send(net);
}

static void configure(struct vmbus_host_net *net, const uint32_t *message)
{
        net->configured = true;
        net->frame_bytes = message[1];
        net->capabilities = message[3]; /* the low half */
        if (message[1] < NVSP_FRAME_BYTES_MIN || message[1] > NVSP_FRAME_BYTES_MAX)
                net->frame_bytes = NVSP_FRAME_BYTES_MIN;
}

/* Whether `type` may come now, before RNDIS has begun (f.2). */
static bool setup_allows(const struct vmbus_host_net *net, uint32_t type)
{
        switch (type) {
        case NVSP_SEND_NDIS_CONFIG:
                return net->version >= NVSP_VERSION_2 && !net->configured &&
                       net->receive.page_count == 0;
        case NVSP_SEND_NDIS_VERSION:
                return !net->ndis_version;
        case NVSP_SEND_RECEIVE_BUFFER:
                return net->receive.page_count == 0 &&
                       (net->configured || net->version < NVSP_VERSION_2);
        case NVSP_SEND_SEND_BUFFER:
                return net->send.page_count == 0;
        case NVSP_REVOKE_RECEIVE_BUFFER:
        case NVSP_REVOKE_SEND_BUFFER:
                return true;
        case NVSP_SEND_RNDIS_PACKET:
                return net->receive.page_count != 0;
        default:
                return false;
        }
}

/* ---- subchannels ---- */

static bool subchannels(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                        const struct vmbus_incoming *packet, const uint32_t *message)
{
        uint32_t answer[NVSP_MESSAGE_WORDS] = {NVSP_SUBCHANNEL, NVSP_STATUS_FAILURE};
        uint32_t count = message[2];
        bool good = message[1] == NVSP_SUBCHANNEL_ALLOCATE && count < net->config.queues &&
                    net->subchannels == 0;
        if (!good)
                vmbus_host_broke(channel, VMBUS_HOST_NVSP_SUBCHANNELS, count, net->config.queues);
        if (good) {
                answer[1] = NVSP_STATUS_SUCCESS;
                answer[2] = count;
        }
        if (!net_complete(net, channel, packet, answer))
                return false;
        for (uint32_t i = 1; good && i <= count; i++) {
                if (vmbus_host_offer(channel->host, &net->offers[i], NULL) != ZX_OK)
                        break; /* fewer than granted: the guest sees fewer offers */
                net->subchannels++;
        }
        return true;
}

/* ---- packets ---- */

static bool setup_message(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                          const struct vmbus_incoming *packet, const uint32_t *message)
{
        if (!setup_allows(net, message[0])) {
                vmbus_host_fail(channel, VMBUS_HOST_NVSP_ORDER, message[0], net->state);
                return true;
        }
        switch (message[0]) {
        case NVSP_SEND_RECEIVE_BUFFER: return receive_buffer(net, channel, packet, message);
        case NVSP_SEND_SEND_BUFFER: return send_buffer(net, channel, packet, message);
        case NVSP_SEND_RNDIS_PACKET:
                net->state = VMBUS_HOST_NET_READY;
                return net_rndis_packet(net, channel, packet, message);
        default:
                break;
        }
        if (!net_complete(net, channel, packet, NULL))
                return false;
        switch (message[0]) {
        case NVSP_SEND_NDIS_CONFIG: configure(net, message); break;
        case NVSP_SEND_NDIS_VERSION:
                net->ndis_version = true;
                net->ndis_major = message[1];
                net->ndis_minor = message[2];
                break;
        default: revoke(net, message[0]); break;
        }
        return true;
}

static bool ready_message(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                          const struct vmbus_incoming *packet, const uint32_t *message)
{
        uint32_t answer[NVSP_MESSAGE_WORDS] = {NVSP_OID_QUERY_EX_COMPLETE, NVSP_STATUS_FAILURE};
        bool primary = channel->offer->subchannel_index == 0;
        if (message[0] == NVSP_SEND_RNDIS_PACKET)
                return net_rndis_packet(net, channel, packet, message);
        if (primary && net->version >= NVSP_VERSION_5 && message[0] == NVSP_SUBCHANNEL)
                return subchannels(net, channel, packet, message);
        if (primary && net->version >= NVSP_VERSION_5 && message[0] == NVSP_OID_QUERY_EX)
                return net_complete(net, channel, packet, answer);
        if (primary && (message[0] == NVSP_REVOKE_RECEIVE_BUFFER ||
                        message[0] == NVSP_REVOKE_SEND_BUFFER ||
                        (message[0] == NVSP_SWITCH_DATA_PATH && net->version >= NVSP_VERSION_4))) {
                if (!net_complete(net, channel, packet, NULL))
                        return false;
                if (message[0] != NVSP_SWITCH_DATA_PATH)
                        revoke(net, message[0]);
                return true;
        }
        vmbus_host_fail(channel, VMBUS_HOST_NVSP_TYPE, message[0], net->state);
        return true;
}

/* The bytes of an NVSP message that its type needs; of unknown types 4. */
static uint32_t bytes_of_type(uint32_t type)
{
        switch (type) {
        case NVSP_INIT:
        case NVSP_SEND_NDIS_VERSION:
        case NVSP_SEND_RECEIVE_BUFFER:
        case NVSP_SEND_SEND_BUFFER:
        case NVSP_SUBCHANNEL: return 12;
        case NVSP_SEND_RNDIS_PACKET: return 16;
        case NVSP_SEND_NDIS_CONFIG: return 20;
        case NVSP_REVOKE_RECEIVE_BUFFER:
        case NVSP_REVOKE_SEND_BUFFER:
        case NVSP_SWITCH_DATA_PATH: return 8;
        default: return 4;
        }
}

static bool packet(struct vmbus_host_device *device, struct vmbus_host_channel *channel,
                   const struct vmbus_incoming *packet)
{
        struct vmbus_host_net *net = net_of(device);
        struct vmbus_reader reader = vmbus_receiver_reader(&channel->receiver, &packet->payload);
        uint32_t message[NVSP_WORDS_MAX] = {0};
        uint32_t bytes = (uint32_t)min_u64(sizeof(message), packet->payload.bytes);
        if (packet->type == VMBUS_PACKET_COMPLETION) {
                net_returned(net, channel, packet);
                return true;
        }
        enum vmbus_result result = vmbus_reader_read(&reader, message, bytes);
        ASSERT(result == VMBUS_OK);
        if (bytes < 4 || bytes < bytes_of_type(message[0])) {
                vmbus_host_fail(channel, VMBUS_HOST_PACKET_SHORT, bytes, message[0]);
                return true;
        }
        if (packet->type == VMBUS_PACKET_TRANSFER_PAGES ||
            (packet->type == VMBUS_PACKET_GPA_DIRECT && message[0] != NVSP_SEND_RNDIS_PACKET)) {
                vmbus_host_fail(channel, VMBUS_HOST_PACKET_TYPE, packet->type, message[0]);
                return true;
        }
        if (net->state == VMBUS_HOST_NET_READY)
                return ready_message(net, channel, packet, message);
        if (net->state == VMBUS_HOST_NET_SETUP)
                return setup_message(net, channel, packet, message);
        if (message[0] == NVSP_INIT && packet->completion_requested)
                return init(net, channel, packet, message);
        vmbus_host_fail(channel, VMBUS_HOST_NVSP_ORDER, message[0], net->state);
        return true;
}

/* ---- life ---- */

static void forget(struct vmbus_host_net *net)
{
        net->state = VMBUS_HOST_NET_BEGIN;
        net->version = 0;
        net->configured = net->ndis_version = net->initialised = net->table_owed = false;
        net->link_owed = net->ring_full = false;
        net->frame_bytes = NVSP_FRAME_BYTES_MIN;
        net->filter = 0;
        net->multicast_count = 0;
        net->table_entries = 0;
        net->answer_count = 0;
        memset(net->offload_parameters, 0, sizeof(net->offload_parameters));
        forget_receive(net);
        forget_send(net);
}

static bool opened(struct vmbus_host_device *device, struct vmbus_host_channel *channel)
{
        struct vmbus_host_net *net = net_of(device);
        uint32_t index = channel->offer->subchannel_index;
        if (index == 0)
                forget(net);
        else if (net->state != VMBUS_HOST_NET_READY)
                return false;
        net->channels[index] = channel;
        return true;
}

/* With the first channel all others go. */
static void closed(struct vmbus_host_device *device, struct vmbus_host_channel *channel)
{
        struct vmbus_host_net *net = net_of(device);
        struct vmbus_host *host = channel->host;
        net->channels[channel->offer->subchannel_index] = NULL;
        if (channel->offer->subchannel_index != 0)
                return;
        forget(net);
        net->subchannels = 0;
        for (uint32_t i = 1; i <= VMBUS_HOST_CHANNELS; i++) {
                struct vmbus_host_channel *other = vmbus_host_channel(host, i);
                if (other != NULL && other != channel && other->offer->device == device &&
                    other->offer->subchannel_index != 0)
                        vmbus_host_rescind(host, other);
        }
}

static void gpadl_gone(struct vmbus_host_device *device, struct vmbus_host_channel *channel,
                       uint32_t gpadl)
{
        struct vmbus_host_net *net = net_of(device);
        if (channel->offer->subchannel_index != 0)
                return;
        if (net->receive.page_count != 0 && net->receive_gpadl == gpadl)
                forget_receive(net);
        if (net->send.page_count != 0 && net->send_gpadl == gpadl)
                forget_send(net);
}

static bool work(struct vmbus_host_device *device, struct vmbus_host_channel *channel)
{
        if (channel->offer->subchannel_index != 0)
                return net_of(device)->port_full; /* the primary's turn makes it ready */
        return net_work(net_of(device), channel);
}

void vmbus_host_net_init(struct vmbus_host_net *net, const struct vmbus_host_net_config *config)
{
        static const struct vmbus_host_device_ops ops = {.opened = opened,
                                                         .closed = closed,
                                                         .packet = packet,
                                                         .work = work,
                                                         .gpadl_gone = gpadl_gone};
        memset(net, 0, sizeof(*net));
        net->device.ops = &ops;
        net->config = *config;
        if (net->config.queues == 0)
                net->config.queues = 1;
        if (net->config.version_max == 0)
                net->config.version_max = NVSP_VERSION_6_1;
        if (net->config.link_speed == 0)
                net->config.link_speed = 100000000;
        ASSERT(net->config.queues <= VMBUS_HOST_NET_QUEUES);
        forget(net);
}

zx_status_t vmbus_host_net_offer(struct vmbus_host_net *net, struct vmbus_host *host,
                                 uint8_t number, struct vmbus_host_channel **channel)
{
        static const uint8_t interface[] = WIRE_NET_INTERFACE;
        for (uint32_t i = 0; i < VMBUS_HOST_NET_QUEUES; i++) {
                struct vmbus_host_offer *offer = &net->offers[i];
                *offer = (struct vmbus_host_offer){.flags = i == 0 ? WIRE_OFFER_ENUMERATE : 0,
                                                   .subchannel_index = (uint16_t)i,
                                                   .device = &net->device};
                memcpy(offer->interface, interface, sizeof(offer->interface));
                memcpy(offer->instance, net->config.mac, sizeof(net->config.mac));
                offer->instance[WIRE_GUID_BYTES - 1] = number;
        }
        return vmbus_host_offer(host, &net->offers[0], channel);
}

void net_indicate_link(struct vmbus_host_net *net)
{
        uint32_t status = net->link_down ? NDIS_MEDIA_DISCONNECT : NDIS_MEDIA_CONNECT;
        if (net->link_owed)
                net->link_owed = !net_indicate(net, status, NULL, 0);
}

void vmbus_host_net_link(struct vmbus_host_net *net, bool up)
{
        if (net->link_down == !up)
                return;
        net->link_down = !up;
        net->link_owed = true;
        net_indicate_link(net);
}

bool vmbus_host_net_takes(const struct vmbus_host_net *net)
{
        return net->state == VMBUS_HOST_NET_READY && net->suballocations != 0 && net->initialised &&
               (net->link_down || (net->filter != 0 && net_has_room(net))) &&
               net->channels[0] != NULL && net->channels[0]->broken == VMBUS_HOST_NONE;
}
