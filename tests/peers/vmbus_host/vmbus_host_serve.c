/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_serve — one turn of an open channel: packets in, the device's work, packets out.
 *
 *   event --> woken --> packets, at most VMBUS_HOST_PACKETS_PER_POLL --> device's work
 *         --> commit both rings, signal --> nothing left: unmask, sleep; no room: ask for room
 *
 * Facts: spec/vmbus.md, c.2 to c.4. */
#include "tests/peers/vmbus_host/vmbus_host_internal.h"

void host_signal(struct vmbus_host_channel *channel)
{
        struct vmbus_host *host = channel->host;
        uint32_t flag = channel->event_flag;
        if (channel->target_vp == WIRE_VP_NONE)
                return;
        if (host_lies(host, VMBUS_HOST_LIE_SIGNAL_DROP))
                return;
        if (host_lies(host, VMBUS_HOST_LIE_SIGNAL_OTHER))
                flag = host_random(host) % WIRE_EVENT_FLAGS;
        host->signals_out++;
        host->config.ops->signal(host->config.context, flag, channel->target_vp);
}

/* ---- sending ---- */

static enum vmbus_result judge(struct vmbus_host_channel *channel, enum vmbus_result result,
                               uint64_t bytes)
{
        if (result == VMBUS_FULL)
                channel->needed_bytes = (uint32_t)max_u64(channel->needed_bytes, bytes);
        else if (vmbus_result_is_corrupt(result))
                vmbus_host_fail(channel, VMBUS_HOST_RING, result, channel->sender.fault.value);
        return result;
}

enum vmbus_result vmbus_host_can_send(struct vmbus_host_channel *channel, uint64_t bytes)
{
        if (channel->sender.state == VMBUS_END_ASLEEP)
                return VMBUS_FULL;
        return judge(channel, vmbus_sender_can_write(&channel->sender, &channel->to, bytes), bytes);
}

enum vmbus_result vmbus_host_send_begin(struct vmbus_host_channel *channel,
                                        const struct vmbus_outgoing *packet,
                                        struct vmbus_writer *writer)
{
        struct vmbus_outgoing sent = *packet;
        struct vmbus_range payload;
        if (channel->sender.state == VMBUS_END_ASLEEP)
                return VMBUS_FULL;
        if (sent.kind == VMBUS_SEND_COMPLETION &&
            host_lies(channel->host, VMBUS_HOST_LIE_COMPLETION_UNKNOWN))
                sent.transaction_id ^= 1ull << (host_random(channel->host) % 64);
        enum vmbus_result result = judge(
                channel, vmbus_sender_write(&channel->sender, &channel->to, &sent, &payload),
                vmbus_outgoing_bytes(&sent));
        if (result != VMBUS_OK)
                return result;
        channel->packets_out++;
        *writer = vmbus_sender_writer(&channel->sender, &payload);
        return VMBUS_OK;
}

enum vmbus_result vmbus_host_send(struct vmbus_host_channel *channel,
                                  const struct vmbus_outgoing *packet, const void *payload)
{
        struct vmbus_writer writer;
        uint32_t times = 1;
        if (packet->kind == VMBUS_SEND_COMPLETION) {
                if (host_lies(channel->host, VMBUS_HOST_LIE_COMPLETION_DROP))
                        return VMBUS_OK;
                times += host_lies(channel->host, VMBUS_HOST_LIE_COMPLETION_TWICE);
        }
        for (uint32_t i = 0; i < times; i++) {
                enum vmbus_result result = vmbus_host_send_begin(channel, packet, &writer);
                if (result != VMBUS_OK)
                        return i == 0 ? result : VMBUS_OK;
                result = vmbus_writer_write(&writer, payload, packet->payload_bytes);
                ASSERT(result == VMBUS_OK);
        }
        return VMBUS_OK;
}

/* ---- the turn ---- */

/* An event serves both rings. */
static void wake(struct vmbus_host_channel *channel)
{
        enum vmbus_result result = VMBUS_OK;
        if (channel->receiver.state == VMBUS_END_ASLEEP)
                result = vmbus_receiver_woken(&channel->receiver);
        if (result != VMBUS_OK)
                vmbus_host_fail(channel, VMBUS_HOST_RING, result, channel->receiver.fault.value);
        if (channel->sender.state == VMBUS_END_ASLEEP)
                vmbus_sender_cancel_sleep(&channel->sender); /* awake; nothing to check */
        channel->signalled = false;
}

/* Hands packets to the device; true when there may be more. */
static bool take_packets(struct vmbus_host_channel *channel)
{
        struct vmbus_host_device *device = channel->offer->device;
        struct vmbus_incoming packet;
        enum vmbus_result result = VMBUS_OK;
        uint32_t left = VMBUS_HOST_PACKETS_PER_POLL;
        channel->refused = false;
        while (left > 0 && channel->broken == VMBUS_HOST_NONE && channel->running) {
                uint32_t before = channel->from.next_out;
                result = vmbus_receiver_take(&channel->receiver, &channel->from, &packet);
                if (result != VMBUS_OK)
                        break;
                if (!device->ops->packet(device, channel, &packet)) {
                        channel->from.next_out = before;
                        channel->refused = true;
                        return false;
                }
                channel->packets_in++;
                left--;
        }
        if (vmbus_result_is_corrupt(result) && channel->broken == VMBUS_HOST_NONE)
                vmbus_host_fail(channel, VMBUS_HOST_RING, result, channel->receiver.fault.value);
        return left == 0;
}

/* Publishes what the turn wrote and read, and signals when the other side waits for it. */
static void publish(struct vmbus_host_channel *channel)
{
        uint32_t from = channel->to.committed_in;
        bool signal;
        if (UNLIKELY(channel->host->liar.rate != 0))
                host_lie_before_commit(channel);
        signal = channel->sender.state == VMBUS_END_READY &&
                 vmbus_sender_commit(&channel->sender, &channel->to);
        if (channel->receiver.state == VMBUS_END_READY)
                signal |= vmbus_receiver_commit(&channel->receiver, &channel->from);
        /* Who turns away with packets left commits once more than it
         * has read (vmbus_receiver.h). */
        if (channel->receiver.state == VMBUS_END_READY && channel->refused)
                signal |= vmbus_receiver_commit(&channel->receiver, &channel->from);
        if (signal)
                host_signal(channel);
        if (UNLIKELY(channel->host->liar.rate != 0))
                host_lie_after_commit(channel, from);
}

/* Unmasks signals of an empty ring; true when a packet came meanwhile. */
static bool sleep_receiver(struct vmbus_host_channel *channel)
{
        bool signal = false;
        enum vmbus_result result = vmbus_receiver_prepare_to_sleep(&channel->receiver,
                                                                   &channel->from, &signal);
        if (signal)
                host_signal(channel);
        if (vmbus_result_is_corrupt(result))
                vmbus_host_fail(channel, VMBUS_HOST_RING, result, channel->receiver.fault.value);
        return result == VMBUS_OK;
}

/* Asks for the room that was missing; true when it is there already. */
static bool sleep_sender(struct vmbus_host_channel *channel)
{
        uint32_t needed = channel->needed_bytes;
        enum vmbus_result result;
        channel->needed_bytes = 0;
        if (channel->sender.state != VMBUS_END_READY)
                return false;
        result = vmbus_sender_prepare_to_sleep(&channel->sender, &channel->to, needed,
                                               vmbus_sender_wake_bytes(&channel->sender));
        if (vmbus_result_is_corrupt(result))
                vmbus_host_fail(channel, VMBUS_HOST_RING, result, channel->sender.fault.value);
        return result == VMBUS_OK;
}

bool host_serve_channel(struct vmbus_host_channel *channel)
{
        struct vmbus_host_device *device = channel->offer->device;
        bool more = false;
        if (channel->broken != VMBUS_HOST_NONE)
                return false;
        if (channel->signalled)
                wake(channel);
        if (channel->broken == VMBUS_HOST_NONE && channel->receiver.state == VMBUS_END_READY)
                more = take_packets(channel);
        if (channel->broken == VMBUS_HOST_NONE && channel->running && device->ops->work != NULL)
                more |= device->ops->work(device, channel);
        if (!channel->running)
                return false;
        publish(channel);
        if (channel->broken != VMBUS_HOST_NONE)
                return false;
        if (channel->needed_bytes != 0)
                more |= sleep_sender(channel);
        if (!more && !channel->refused && channel->receiver.state == VMBUS_END_READY)
                more = sleep_receiver(channel);
        return more && channel->broken == VMBUS_HOST_NONE;
}
