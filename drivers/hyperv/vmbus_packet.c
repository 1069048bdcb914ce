/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Packets through the rings of an open channel, with the signals that are due. Facts:
 * spec/vmbus.md, c.2 to c.4, e.9; lib/vmbus_ring for the rings. */
#include "drivers/hyperv/vmbus_internal.h"

void vmbus_channel_signal(struct vmbus_channel *channel)
{
        struct vmbus_transport *transport = channel->vmbus->config.transport;
        __atomic_fetch_add(&channel->signal_count, 1, __ATOMIC_RELAXED);
        /* One that nobody hears: the host is about to take the channel back, and says so itself. */
        zx_status_t status UNUSED = transport->ops->signal(
                transport, channel->offer.connection_id, channel->offer.channel_id);
}

static bool is_open(const struct vmbus_channel *channel)
{
        return vmbus_channel_state(channel) == VMBUS_CHANNEL_OPEN;
}

/* ---- sending ---- */

void vmbus_channel_wake_send(struct vmbus_channel *channel)
{
        if (channel->sender.state == VMBUS_END_ASLEEP)
                vmbus_sender_cancel_sleep(&channel->sender);
}

zx_status_t vmbus_channel_commit_send(struct vmbus_channel *channel)
{
        if (!is_open(channel))
                return ZX_ERR_PEER_CLOSED;
        if (vmbus_sender_commit(&channel->sender, &channel->send_position))
                vmbus_channel_signal(channel);
        return channel->sender.state == VMBUS_END_CORRUPT ? ZX_ERR_IO_DATA_INTEGRITY : ZX_OK;
}

zx_status_t vmbus_channel_send(struct vmbus_channel *channel,
                               const struct vmbus_outgoing *packet, const void *payload)
{
        struct vmbus_range range;
        if (!is_open(channel))
                return ZX_ERR_PEER_CLOSED;
        vmbus_channel_wake_send(channel);
        enum vmbus_result result = vmbus_sender_write(&channel->sender, &channel->send_position,
                                                      packet, &range);
        if (result != VMBUS_OK)
                return vmbus_result_status(result);
        struct vmbus_writer writer = vmbus_sender_writer(&channel->sender, &range);
        result = vmbus_writer_write(&writer, payload, packet->payload_bytes);
        ASSERT(result == VMBUS_OK); /* the range is as long as the payload */
        return vmbus_channel_commit_send(channel);
}

zx_status_t vmbus_channel_send_request(struct vmbus_channel *channel,
                                       const struct vmbus_outgoing *packet, const void *payload,
                                       void *request)
{
        struct vmbus_outgoing copy = *packet;
        if (!is_open(channel))
                return ZX_ERR_PEER_CLOSED;
        ASSERT(channel->requests.slot_count != 0); /* given to vmbus_open */
        zx_status_t status = vmbus_requests_add(&channel->requests, request,
                                                &copy.transaction_id);
        if (status != ZX_OK)
                return status;
        status = vmbus_channel_send(channel, &copy, payload);
        if (status != ZX_OK) {
                enum vmbus_result result = vmbus_requests_cancel(&channel->requests,
                                                                 copy.transaction_id, &request);
                ASSERT(result == VMBUS_OK);
        }
        return status;
}

zx_status_t vmbus_channel_complete(struct vmbus_channel *channel,
                                   const struct vmbus_incoming *packet, void **request_out)
{
        if (channel->requests.slot_count == 0 ||
            vmbus_requests_complete(&channel->requests, packet->transaction_id, request_out) !=
                    VMBUS_OK)
                return ZX_ERR_NOT_FOUND;
        return ZX_OK;
}

zx_status_t vmbus_channel_send_sleep(struct vmbus_channel *channel, uint64_t bytes)
{
        if (!is_open(channel))
                return ZX_ERR_PEER_CLOSED;
        if (channel->sender.state == VMBUS_END_ASLEEP)
                return ZX_ERR_SHOULD_WAIT;
        return vmbus_result_status(
                vmbus_sender_prepare_to_sleep(&channel->sender, &channel->send_position, bytes,
                                              vmbus_sender_wake_bytes(&channel->sender)));
}

/* ---- receiving ---- */

void vmbus_channel_wake_receive(struct vmbus_channel *channel)
{
        if (channel->receiver.state != VMBUS_END_ASLEEP)
                return;
        /* A broken rule latches the end; the next call says so. */
        enum vmbus_result result UNUSED = vmbus_receiver_woken(&channel->receiver);
}

zx_status_t vmbus_channel_commit_receive(struct vmbus_channel *channel)
{
        if (!is_open(channel))
                return ZX_ERR_PEER_CLOSED;
        if (vmbus_receiver_commit(&channel->receiver, &channel->receive_position))
                vmbus_channel_signal(channel);
        return channel->receiver.state == VMBUS_END_CORRUPT ? ZX_ERR_IO_DATA_INTEGRITY : ZX_OK;
}

zx_status_t vmbus_channel_receive(struct vmbus_channel *channel, struct vmbus_incoming *packet,
                                  void *buffer, uint32_t buffer_bytes)
{
        if (!is_open(channel))
                return ZX_ERR_PEER_CLOSED;
        vmbus_channel_wake_receive(channel);
        enum vmbus_result result =
                vmbus_receiver_take(&channel->receiver, &channel->receive_position, packet);
        if (result == VMBUS_OK &&
            vmbus_receiver_copy(&channel->receiver, &packet->payload, buffer, buffer_bytes) !=
                    VMBUS_OK) {
                vmbus_receiver_revert(&channel->receive_position);
                return ZX_ERR_BUFFER_TOO_SMALL;
        }
        /* Also with nothing read: who polls settles here what the last commits put off. */
        if (result == VMBUS_OK || result == VMBUS_EMPTY) {
                zx_status_t status = vmbus_channel_commit_receive(channel);
                if (status == ZX_ERR_PEER_CLOSED)
                        return status;
        }
        return vmbus_result_status(result);
}

zx_status_t vmbus_channel_sleep(struct vmbus_channel *channel)
{
        bool signal = false;
        if (!is_open(channel))
                return ZX_ERR_PEER_CLOSED;
        if (channel->receiver.state == VMBUS_END_ASLEEP)
                return ZX_ERR_SHOULD_WAIT;
        enum vmbus_result result = vmbus_receiver_prepare_to_sleep(
                &channel->receiver, &channel->receive_position, &signal);
        if (signal)
                vmbus_channel_signal(channel);
        return vmbus_result_status(result);
}
