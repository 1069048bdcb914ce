/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_net_oid — what the card tells about itself and lets be set. Facts: spec/vmbus.md, f.7;
 * Windows driver documentation for the RSS capabilities. */
#include "tests/peers/vmbus_host/vmbus_host_net_internal.h"

#define OFFLOAD_ETHERNET 2u
/* Two bits a capability: 2 means supported. */
#define OFFLOAD_IPV4_FLAGS (2u << 0 | 2u << 2 | 2u << 4 | 2u << 6 | 2u << 8)
#define OFFLOAD_IPV6_FLAGS (2u << 0 | 2u << 2 | 2u << 4 | 2u << 6)
#define OFFLOAD_LSO_IPV6_FLAGS (2u << 2)
#define LINK_STATE_BYTES 40u
#define RSS_CAPABILITIES_BYTES 20u
#define RSS_PARAMETERS_BYTES 28u
#define RSS_DISABLED 0x10u

static const uint32_t supported[] = {
        OID_GEN_SUPPORTED_LIST,        OID_GEN_HARDWARE_STATUS,
        OID_GEN_MAXIMUM_FRAME_SIZE,    OID_GEN_LINK_SPEED,
        OID_GEN_CURRENT_PACKET_FILTER, OID_GEN_MAXIMUM_TOTAL_SIZE,
        OID_GEN_MEDIA_CONNECT_STATUS,  OID_GEN_MAX_LINK_SPEED,
        OID_GEN_LINK_STATE,            OID_GEN_RNDIS_CONFIG_PARAMETER,
        OID_GEN_XMIT_OK,               OID_GEN_RCV_OK,
        OID_GEN_XMIT_ERROR,            OID_GEN_RCV_ERROR,
        OID_GEN_RCV_NO_BUFFER,         OID_802_3_PERMANENT_ADDRESS,
        OID_802_3_CURRENT_ADDRESS,     OID_802_3_MULTICAST_LIST,
        OID_TCP_OFFLOAD_CURRENT_CONFIG, OID_TCP_OFFLOAD_PARAMETERS,
        OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES};
_Static_assert(sizeof(supported) + 24 <= VMBUS_HOST_NET_ANSWER_BYTES, "fits an answer");

static void put_header(uint8_t *object, uint32_t type, uint32_t revision, uint32_t bytes)
{
        object[0] = (uint8_t)type;
        object[1] = (uint8_t)revision;
        object[2] = (uint8_t)bytes;
        object[3] = (uint8_t)(bytes >> 8);
}

/* The offload object, revision 1. `parameters`: what was switched
 * off (1) is left out; NULL: all. */
static void put_offloads(uint8_t *object, const uint8_t *parameters)
{
        /* Of the parameters: the byte of each checksum, LSO version 2 of IPv4 and of IPv6. */
        bool tcp4 = parameters == NULL || parameters[5] != 1;
        bool tcp6 = parameters == NULL || parameters[7] != 1;
        bool lso4 = parameters == NULL || parameters[11] != 1;
        bool lso6 = parameters == NULL || parameters[12] != 1;
        memset(object, 0, NDIS_OFFLOAD_BYTES);
        put_header(object, NDIS_OBJECT_OFFLOAD, 1, NDIS_OFFLOAD_BYTES);
        for (uint32_t i = 0; i < 4; i++) { /* IPv4 out, in, IPv6 out, in */
                if (i < 2 ? !tcp4 : !tcp6)
                        continue;
                net_put_u32(object, 4 + 8 * i, OFFLOAD_ETHERNET);
                net_put_u32(object, 8 + 8 * i, i < 2 ? OFFLOAD_IPV4_FLAGS : OFFLOAD_IPV6_FLAGS);
        }
        for (uint32_t i = 0; i < 2; i++) { /* LSO version 2, behind LSO version 1 and IPsec */
                if (i == 0 ? !lso4 : !lso6)
                        continue;
                net_put_u32(object, 80 + 12 * i, OFFLOAD_ETHERNET);
                net_put_u32(object, 84 + 12 * i, RNDIS_LSO_BYTES_MAX);
                net_put_u32(object, 88 + 12 * i, RNDIS_LSO_SEGMENTS_MIN);
        }
        if (lso6)
                net_put_u32(object, 104, OFFLOAD_LSO_IPV6_FLAGS);
}

static void put_link_state(const struct vmbus_host_net *net, uint8_t *object)
{
        uint64_t speed = net->link_down ? 0 : (uint64_t)net->config.link_speed * 100;
        memset(object, 0, LINK_STATE_BYTES);
        put_header(object, NDIS_OBJECT_DEFAULT, 1, LINK_STATE_BYTES);
        net_put_u32(object, 4, net->link_down ? 2 : 1);
        net_put_u32(object, 8, 2); /* full duplex */
        memcpy(object + 16, &speed, sizeof(speed));
        memcpy(object + 24, &speed, sizeof(speed));
}

static uint32_t put_value(uint8_t *target, uint32_t *bytes, uint64_t value)
{
        net_put_u32(target, 0, (uint32_t)value);
        *bytes = 4;
        return RNDIS_STATUS_OK;
}

static uint32_t query_objects(struct vmbus_host_net *net, uint32_t oid, uint8_t *target,
                              uint32_t *bytes)
{
        uint64_t speed = (uint64_t)net->config.link_speed * 100;
        switch (oid) {
        case OID_GEN_SUPPORTED_LIST:
                memcpy(target, supported, sizeof(supported));
                *bytes = sizeof(supported);
                return RNDIS_STATUS_OK;
        case OID_GEN_MAX_LINK_SPEED:
                memcpy(target, &speed, sizeof(speed));
                memcpy(target + 8, &speed, sizeof(speed));
                *bytes = 16;
                return RNDIS_STATUS_OK;
        case OID_GEN_LINK_STATE:
                put_link_state(net, target);
                *bytes = LINK_STATE_BYTES;
                return RNDIS_STATUS_OK;
        case OID_802_3_PERMANENT_ADDRESS:
        case OID_802_3_CURRENT_ADDRESS:
                memcpy(target, net->config.mac, 6);
                *bytes = 6;
                return RNDIS_STATUS_OK;
        case OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES:
        case OID_TCP_OFFLOAD_CURRENT_CONFIG:
                put_offloads(target, oid == OID_TCP_OFFLOAD_CURRENT_CONFIG ? net->offload_parameters
                                                                           : NULL);
                *bytes = NDIS_OFFLOAD_BYTES;
                return RNDIS_STATUS_OK;
        case OID_GEN_RECEIVE_SCALE_CAPABILITIES:
                if (net->config.queues < 2)
                        return RNDIS_STATUS_NOT_SUPPORTED;
                memset(target, 0, RSS_CAPABILITIES_BYTES);
                put_header(target, NDIS_OBJECT_RSS_CAPABILITIES, 2, RSS_CAPABILITIES_BYTES);
                net_put_u32(target, 8, net->config.queues);
                net_put_u32(target, 12, net->config.queues);
                net_put_u32(target, 16, NDIS_RSS_TABLE_ENTRIES_MAX);
                *bytes = RSS_CAPABILITIES_BYTES;
                return RNDIS_STATUS_OK;
        default:
                return RNDIS_STATUS_NOT_SUPPORTED;
        }
}

uint32_t net_query(struct vmbus_host_net *net, uint32_t oid, uint8_t *target, uint32_t *bytes)
{
        switch (oid) {
        case OID_GEN_HARDWARE_STATUS: return put_value(target, bytes, 0);
        case OID_GEN_MAXIMUM_FRAME_SIZE:
                return put_value(target, bytes, net->frame_bytes - NET_ETHERNET_BYTES);
        case OID_GEN_LINK_SPEED: return put_value(target, bytes, net->config.link_speed);
        case OID_GEN_CURRENT_PACKET_FILTER: return put_value(target, bytes, net->filter);
        case OID_GEN_MAXIMUM_TOTAL_SIZE: return put_value(target, bytes, net->frame_bytes);
        case OID_GEN_MEDIA_CONNECT_STATUS: return put_value(target, bytes, net->link_down);
        case OID_GEN_XMIT_OK: return put_value(target, bytes, net->frames_in);
        case OID_GEN_RCV_OK: return put_value(target, bytes, net->frames_out);
        case OID_GEN_XMIT_ERROR: return put_value(target, bytes, net->send_errors);
        case OID_GEN_RCV_ERROR: return put_value(target, bytes, 0);
        case OID_GEN_RCV_NO_BUFFER: return put_value(target, bytes, net->receive_shortages);
        default: return query_objects(net, oid, target, bytes);
        }
}

/* ---- set ---- */

static uint32_t refuse(struct vmbus_host_channel *channel, enum vmbus_host_rule rule, uint32_t oid,
                       uint32_t value)
{
        vmbus_host_broke(channel, rule, oid, value);
        return rule == VMBUS_HOST_RNDIS_OID_BYTES ? RNDIS_STATUS_INVALID_LENGTH
                                                  : RNDIS_STATUS_INVALID_DATA;
}

static uint32_t set_offloads(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                             const uint8_t *information, uint32_t bytes)
{
        uint8_t object[NDIS_OFFLOAD_BYTES];
        if (bytes < NDIS_OFFLOAD_PARAMETERS_BYTES)
                return refuse(channel, VMBUS_HOST_RNDIS_OID_BYTES, OID_TCP_OFFLOAD_PARAMETERS,
                              bytes);
        if (information[0] != NDIS_OBJECT_DEFAULT)
                return refuse(channel, VMBUS_HOST_RNDIS_OID_VALUE, OID_TCP_OFFLOAD_PARAMETERS,
                              information[0]);
        for (uint32_t i = 4; i < 16; i++) {
                if (information[i] > 4)
                        return refuse(channel, VMBUS_HOST_RNDIS_OID_VALUE,
                                      OID_TCP_OFFLOAD_PARAMETERS, information[i]);
        }
        for (uint32_t i = 4; i < 16; i++)
                if (information[i] != 0) /* unchanged */
                        net->offload_parameters[i] = information[i];
        put_offloads(object, net->offload_parameters);
        (void)net_indicate(net, NDIS_OFFLOAD_CONFIGURATION, object, sizeof(object));
        return RNDIS_STATUS_OK;
}

static uint32_t set_table(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                          const uint8_t *information, uint32_t bytes)
{
        if (bytes < RSS_PARAMETERS_BYTES)
                return refuse(channel, VMBUS_HOST_RNDIS_OID_BYTES, OID_GEN_RECEIVE_SCALE_PARAMETERS,
                              bytes);
        uint32_t table_bytes = net_u32(information, 12) & 0xffff, offset = net_u32(information, 16);
        uint32_t entries = table_bytes / 4;
        if (information[0] != NDIS_OBJECT_RSS_PARAMETERS || entries > NDIS_RSS_TABLE_ENTRIES_MAX ||
            (uint64_t)offset + table_bytes > bytes)
                return refuse(channel, VMBUS_HOST_RNDIS_OID_VALUE, OID_GEN_RECEIVE_SCALE_PARAMETERS,
                              table_bytes);
        if ((net_u32(information, 4) & RSS_DISABLED) != 0 || entries == 0) {
                net->table_entries = 0;
                return RNDIS_STATUS_OK;
        }
        for (uint32_t i = 0; i < entries; i++)
                if (net_u32(information, offset + 4 * i) > net->subchannels)
                        return refuse(channel, VMBUS_HOST_RNDIS_OID_VALUE,
                                      OID_GEN_RECEIVE_SCALE_PARAMETERS, i);
        for (uint32_t i = 0; i < entries; i++)
                net->table[i] = (uint8_t)net_u32(information, offset + 4 * i);
        net->table_entries = entries;
        net->table_owed = true;
        return RNDIS_STATUS_OK;
}

static uint32_t set_multicast(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                              const uint8_t *information, uint32_t bytes)
{
        if (bytes % 6 != 0 || bytes / 6 > VMBUS_HOST_NET_MULTICAST)
                return refuse(channel, VMBUS_HOST_RNDIS_OID_BYTES, OID_802_3_MULTICAST_LIST, bytes);
        memcpy(net->multicast, information, bytes);
        net->multicast_count = bytes / 6;
        return RNDIS_STATUS_OK;
}

/* Name and value by offset and length; which names there are is nobody's rule. */
static uint32_t set_parameter(struct vmbus_host_channel *channel, const uint8_t *information,
                              uint32_t bytes)
{
        if (bytes < 20)
                return refuse(channel, VMBUS_HOST_RNDIS_OID_BYTES, OID_GEN_RNDIS_CONFIG_PARAMETER,
                              bytes);
        if ((uint64_t)net_u32(information, 0) + net_u32(information, 4) > bytes ||
            (uint64_t)net_u32(information, 12) + net_u32(information, 16) > bytes)
                return refuse(channel, VMBUS_HOST_RNDIS_OID_VALUE, OID_GEN_RNDIS_CONFIG_PARAMETER,
                              0);
        return RNDIS_STATUS_OK;
}

uint32_t net_set(struct vmbus_host_net *net, struct vmbus_host_channel *channel, uint32_t oid,
                 const uint8_t *information, uint32_t bytes)
{
        switch (oid) {
        case OID_GEN_CURRENT_PACKET_FILTER:
                if (bytes != 4)
                        return refuse(channel, VMBUS_HOST_RNDIS_OID_BYTES, oid, bytes);
                if ((net_u32(information, 0) & ~NDIS_FILTER_ALL) != 0)
                        return refuse(channel, VMBUS_HOST_RNDIS_OID_VALUE, oid,
                                      net_u32(information, 0));
                net->filter = net_u32(information, 0);
                return RNDIS_STATUS_OK;
        case OID_802_3_MULTICAST_LIST: return set_multicast(net, channel, information, bytes);
        case OID_TCP_OFFLOAD_PARAMETERS: return set_offloads(net, channel, information, bytes);
        case OID_GEN_RNDIS_CONFIG_PARAMETER: return set_parameter(channel, information, bytes);
        case OID_GEN_RECEIVE_SCALE_PARAMETERS:
                if (net->config.queues > 1)
                        return set_table(net, channel, information, bytes);
                return RNDIS_STATUS_NOT_SUPPORTED;
        default:
                return RNDIS_STATUS_NOT_SUPPORTED;
        }
}
