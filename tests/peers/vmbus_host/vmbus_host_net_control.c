/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_net_control — RNDIS requests and their answers. Facts: spec/vmbus.md, f.6. */
#include "tests/peers/vmbus_host/vmbus_host_net_internal.h"

#define RNDIS_REQUEST_BYTES 12u /* type, length, request id */
#define RNDIS_INITIALIZE_BYTES 24u
#define RNDIS_INFORMATION_BYTES 28u /* of QUERY and SET, before the information */
#define RNDIS_QUERY_COMPLETE_BYTES 24u
#define RNDIS_INDICATE_BYTES 20u

/* ---- answers ---- */

/* The next free answer of that type, `bytes` long; the caller has seen that there is one. */
static uint8_t *answer(struct vmbus_host_net *net, uint32_t type, uint32_t bytes)
{
        struct vmbus_host_net_answer *next =
                &net->answers[(net->answer_head + net->answer_count) % VMBUS_HOST_NET_ANSWERS];
        ASSERT(net->answer_count < VMBUS_HOST_NET_ANSWERS);
        ASSERT(bytes <= VMBUS_HOST_NET_ANSWER_BYTES);
        net->answer_count++;
        memset(next->message, 0, sizeof(next->message));
        next->bytes = (uint16_t)bytes;
        net_put_u32(next->message, 0, type);
        net_put_u32(next->message, 4, bytes);
        return next->message;
}

bool net_indicate(struct vmbus_host_net *net, uint32_t status, const void *buffer, uint32_t bytes)
{
        if (!net->initialised)
                return true; /* who asks now is told by the answer */
        if (net->answer_count == VMBUS_HOST_NET_ANSWERS)
                return false;
        uint8_t *message = answer(net, RNDIS_INDICATE_STATUS, RNDIS_INDICATE_BYTES + bytes);
        net_put_u32(message, 8, status);
        net_put_u32(message, 12, bytes);
        net_put_u32(message, 16, RNDIS_INDICATE_BYTES - RNDIS_OFFSET_BASE);
        if (bytes != 0)
                memcpy(message + RNDIS_INDICATE_BYTES, buffer, bytes);
        return true;
}

/* ---- requests ---- */

static void initialize(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                       const uint8_t *request)
{
        uint8_t *message = answer(net, RNDIS_INITIALIZE | RNDIS_COMPLETE, 52);
        uint32_t status = RNDIS_STATUS_OK;
        if (net->initialised) {
                vmbus_host_broke(channel, VMBUS_HOST_RNDIS_ORDER, RNDIS_INITIALIZE, 1);
                status = RNDIS_STATUS_FAILURE;
        } else if (net_u32(request, 12) != 1 || net_u32(request, 16) != 0) {
                vmbus_host_broke(channel, VMBUS_HOST_RNDIS_VERSION, net_u32(request, 12),
                                 net_u32(request, 16));
                status = RNDIS_STATUS_BAD_VERSION;
        } else {
                net->initialised = true;
        }
        net_put_u32(message, 8, net_u32(request, 8));
        net_put_u32(message, 12, status);
        net_put_u32(message, 16, 1); /* version 1.0 */
        net_put_u32(message, 24, 1); /* connectionless */
        net_put_u32(message, 32, RNDIS_PACKETS_MAX);
        net_put_u32(message, 36, RNDIS_TRANSFER_BYTES);
        net_put_u32(message, 40, RNDIS_ALIGNMENT_FACTOR);
}

/* The information of a QUERY or SET; false: it leaves its message. */
static bool information(struct vmbus_host_channel *channel, const uint8_t *request, uint32_t bytes,
                        const uint8_t **start, uint32_t *length)
{
        uint64_t offset = (uint64_t)net_u32(request, 20) + RNDIS_OFFSET_BASE;
        *length = net_u32(request, 16);
        *start = request;
        if (*length == 0)
                return true;
        if (offset < RNDIS_INFORMATION_BYTES || offset + *length > bytes) {
                vmbus_host_broke(channel, VMBUS_HOST_RNDIS_INFORMATION, (uint32_t)offset, *length);
                return false;
        }
        *start = request + offset;
        return true;
}

static void query(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                  const uint8_t *request, uint32_t bytes)
{
        uint8_t *message = answer(net, RNDIS_QUERY | RNDIS_COMPLETE, RNDIS_QUERY_COMPLETE_BYTES);
        struct vmbus_host_net_answer *whole =
                CONTAINER_OF(message, struct vmbus_host_net_answer, message[0]);
        uint32_t status = RNDIS_STATUS_INVALID_DATA, count = 0, length;
        const uint8_t *start;
        if (information(channel, request, bytes, &start, &length))
                status = net_query(net, net_u32(request, 12),
                                   message + RNDIS_QUERY_COMPLETE_BYTES, &count);
        if (status == RNDIS_STATUS_NOT_SUPPORTED)
                vmbus_host_broke(channel, VMBUS_HOST_RNDIS_OID, net_u32(request, 12), 0);
        net_put_u32(message, 8, net_u32(request, 8));
        net_put_u32(message, 12, status);
        net_put_u32(message, 16, count);
        net_put_u32(message, 20,
                    count == 0 ? 0 : RNDIS_QUERY_COMPLETE_BYTES - RNDIS_OFFSET_BASE);
        net_put_u32(message, 4, RNDIS_QUERY_COMPLETE_BYTES + count);
        whole->bytes = (uint16_t)(RNDIS_QUERY_COMPLETE_BYTES + count);
}

static void set(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                const uint8_t *request, uint32_t bytes)
{
        uint8_t *message = answer(net, RNDIS_SET | RNDIS_COMPLETE, 16);
        uint32_t status = RNDIS_STATUS_INVALID_DATA, length;
        const uint8_t *start;
        if (information(channel, request, bytes, &start, &length))
                status = net_set(net, channel, net_u32(request, 12), start, length);
        if (status == RNDIS_STATUS_NOT_SUPPORTED)
                vmbus_host_broke(channel, VMBUS_HOST_RNDIS_OID, net_u32(request, 12), 0);
        net_put_u32(message, 8, net_u32(request, 8));
        net_put_u32(message, 12, status);
}

static void reset(struct vmbus_host_net *net)
{
        uint8_t *message = answer(net, RNDIS_RESET | RNDIS_COMPLETE, 16);
        net->filter = 0;
        net->multicast_count = 0;
        net_put_u32(message, 12, 1); /* addresses and filter are to be set again */
}

static void keepalive(struct vmbus_host_net *net, const uint8_t *request)
{
        uint8_t *message = answer(net, RNDIS_KEEPALIVE | RNDIS_COMPLETE, 16);
        net_put_u32(message, 8, net_u32(request, 8));
}

static void halt(struct vmbus_host_net *net)
{
        net->halts++;
        net->initialised = false;
        net->filter = 0;
        net->multicast_count = 0;
        net->answer_count = 0;
}

/* The bytes that a request of that type has; 0: guests do not send it. */
static uint32_t bytes_of(uint32_t type)
{
        switch (type) {
        case RNDIS_INITIALIZE: return RNDIS_INITIALIZE_BYTES;
        case RNDIS_QUERY:
        case RNDIS_SET: return RNDIS_INFORMATION_BYTES;
        case RNDIS_HALT:
        case RNDIS_RESET:
        case RNDIS_KEEPALIVE: return RNDIS_REQUEST_BYTES;
        default: return 0;
        }
}

enum nvsp_status net_control(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                             const uint8_t *message, uint32_t bytes)
{
        uint32_t type = net_u32(message, 0);
        if (bytes_of(type) == 0) {
                vmbus_host_broke(channel, VMBUS_HOST_RNDIS_TYPE, type, 0);
                return NVSP_STATUS_FAILURE;
        }
        if (bytes < bytes_of(type)) {
                vmbus_host_broke(channel, VMBUS_HOST_RNDIS_BYTES, bytes, bytes_of(type));
                return NVSP_STATUS_INVALID_RNDIS;
        }
        if (type != RNDIS_INITIALIZE && !net->initialised) {
                vmbus_host_broke(channel, VMBUS_HOST_RNDIS_ORDER, type, 0);
                return NVSP_STATUS_FAILURE;
        }
        if (type != RNDIS_HALT && type != RNDIS_RESET && net_u32(message, 8) == 0)
                vmbus_host_broke(channel, VMBUS_HOST_RNDIS_REQUEST, 0, type);
        /* Two: a request may cause an indication as well. */
        if (net->answer_count + 2 > VMBUS_HOST_NET_ANSWERS)
                return NVSP_STATUS_BUSY;
        switch (type) {
        case RNDIS_INITIALIZE: initialize(net, channel, message); break;
        case RNDIS_QUERY: query(net, channel, message, bytes); break;
        case RNDIS_SET: set(net, channel, message, bytes); break;
        case RNDIS_RESET: reset(net); break;
        case RNDIS_KEEPALIVE: keepalive(net, message); break;
        default: halt(net); break;
        }
        return NVSP_STATUS_SUCCESS;
}
