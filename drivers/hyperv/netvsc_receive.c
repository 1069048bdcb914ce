/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What comes on the channel of a Hyper-V network card, and the completions that it is owed.
 *
 *   ring -> netvsc_take -> ranges (a queue) -> netvsc_deliver -> client -> netvsc_release
 *                                                                              |
 *   ring <- netvsc_complete <- transactions whose last range is back <---------+
 *
 * Facts: spec/vmbus.md, f.3, f.5. */
#include "drivers/hyperv/netvsc.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "vmbus_ring/vmbus_external.h"

#define NO_TRANSACTION UINT16_MAX /* end of a list */

void netvsc_receive_reset(struct netvsc *netvsc)
{
        for (uint32_t i = 0; i < NETVSC_SUBALLOCATIONS_MAX; i++) {
                bool last = i + 1 == NETVSC_SUBALLOCATIONS_MAX;
                netvsc->transactions[i].next = last ? NO_TRANSACTION : (uint16_t)(i + 1);
                netvsc->held[i] = 0;
                netvsc->delivered[i] = false;
        }
        netvsc->transaction_free = 0;
        netvsc->transaction_done = NO_TRANSACTION;
        netvsc->range_head = netvsc->range_tail = 0;
}

/* ---- the host's transactions ---- */

/* One for `ranges` ranges (1 ..). There is always one: each holds a sub-allocation at least,
 * and there are as many of these. */
static uint16_t transaction_begin(struct netvsc *netvsc, uint64_t id, uint32_t ranges)
{
        uint16_t index = netvsc->transaction_free;
        ASSERT(index != NO_TRANSACTION);
        struct netvsc_transaction *transaction = &netvsc->transactions[index];
        netvsc->transaction_free = transaction->next;
        transaction->id = id;
        transaction->ranges_left = ranges;
        return index;
}

static void transaction_range_back(struct netvsc *netvsc, uint16_t index)
{
        struct netvsc_transaction *transaction = &netvsc->transactions[index];
        ASSERT(transaction->ranges_left != 0);
        if (--transaction->ranges_left != 0)
                return;
        transaction->next = netvsc->transaction_done;
        netvsc->transaction_done = index;
}

zx_status_t netvsc_complete(struct netvsc *netvsc)
{
        struct vmbus_channel *channel = netvsc->channel;
        const struct nvsp_message message = {.type = NVSP_SEND_RNDIS_PACKET_COMPLETE,
                                             .rndis_complete.status = NVSP_STATUS_SUCCESS};
        if (netvsc->transaction_done == NO_TRANSACTION)
                return ZX_OK;
        if (!netvsc->opened || vmbus_channel_state(channel) != VMBUS_CHANNEL_OPEN)
                return ZX_ERR_PEER_CLOSED;
        vmbus_channel_wake_send(channel);
        enum vmbus_result result = VMBUS_OK;
        while (netvsc->transaction_done != NO_TRANSACTION) {
                uint16_t index = netvsc->transaction_done;
                struct netvsc_transaction *transaction = &netvsc->transactions[index];
                struct vmbus_outgoing packet = {.kind = VMBUS_SEND_COMPLETION,
                                                .payload_bytes = sizeof(message),
                                                .transaction_id = transaction->id};
                struct vmbus_range range;
                result = vmbus_sender_write(&channel->sender, &channel->send_position, &packet,
                                            &range);
                if (result != VMBUS_OK)
                        break;
                struct vmbus_writer writer = vmbus_sender_writer(&channel->sender, &range);
                result = vmbus_writer_write(&writer, &message, sizeof(message));
                ASSERT(result == VMBUS_OK);
                netvsc->transaction_done = transaction->next;
                transaction->next = netvsc->transaction_free;
                netvsc->transaction_free = index;
        }
        zx_status_t status = vmbus_channel_commit_send(channel);
        if (result == VMBUS_FULL)
                netvsc->completions_put_off++;
        if (vmbus_result_is_corrupt(result))
                return netvsc_broken(netvsc, NETVSC_FAULT_RING);
        return status == ZX_OK ? vmbus_result_status(result) : status;
}

/* ---- ranges ---- */

/* The sub-allocations that a range touches, if it lies in the section. */
static bool range_place(const struct netvsc *netvsc, const struct vmbus_transfer_range *range,
                        uint32_t *first, uint32_t *count)
{
        uint64_t section_bytes =
                (uint64_t)netvsc->suballocation_bytes * netvsc->suballocation_count;
        if (range->byte_offset < netvsc->section_offset)
                return false;
        uint64_t offset = range->byte_offset - netvsc->section_offset;
        if (range->byte_count == 0 || offset > section_bytes ||
            range->byte_count > section_bytes - offset)
                return false;
        *first = (uint32_t)(offset / netvsc->suballocation_bytes);
        *count = (uint32_t)((offset + range->byte_count - 1) / netvsc->suballocation_bytes) -
                 *first + 1;
        return true;
}

/* Checks all ranges of a packet and holds their sub-allocations [V1]. */
static enum netvsc_fault hold_ranges(struct netvsc *netvsc, uint32_t range_count,
                                     uint16_t transaction)
{
        for (uint32_t i = 0; i < range_count; i++) {
                uint32_t first, count;
                if (!range_place(netvsc, &netvsc->incoming[i], &first, &count))
                        return NETVSC_FAULT_RANGE;
                for (uint32_t k = first; k < first + count; k++) {
                        if (netvsc->held[k] != 0)
                                return NETVSC_FAULT_HELD;
                        netvsc->held[k] = (uint16_t)(transaction + 1);
                }
                netvsc->held_count[first] = (uint16_t)count;
        }
        return NETVSC_FAULT_NONE;
}

/* Gives back what a range holds; `first` is its first sub-allocation. */
static void let_go(struct netvsc *netvsc, uint32_t first)
{
        uint16_t transaction = (uint16_t)(netvsc->held[first] - 1);
        ASSERT(netvsc->held[first] != 0);
        for (uint32_t k = first; k < first + netvsc->held_count[first]; k++)
                netvsc->held[k] = 0;
        netvsc->delivered[first] = false;
        transaction_range_back(netvsc, transaction);
}

static uint32_t first_of(const struct netvsc *netvsc, uint32_t offset)
{
        return (offset - netvsc->section_offset) / netvsc->suballocation_bytes;
}

void netvsc_forget_ranges(struct netvsc *netvsc)
{
        while (netvsc->range_head != netvsc->range_tail) {
                const struct netvsc_range *range =
                        &netvsc->ranges[netvsc->range_head++ % NETVSC_SUBALLOCATIONS_MAX];
                let_go(netvsc, first_of(netvsc, range->offset));
        }
}

/* ---- packets ---- */

/* Copies the NVSP message of a packet; at least `words` words behind its type. */
static bool copy_message(struct netvsc *netvsc, const struct vmbus_incoming *packet, uint32_t words,
                         struct nvsp_message *message)
{
        struct vmbus_reader reader =
                vmbus_receiver_reader(&netvsc->channel->receiver, &packet->payload);
        uint32_t bytes = (uint32_t)min_u64(packet->payload.bytes, sizeof(*message));
        *message = (struct nvsp_message){0};
        if (bytes < (1 + words) * sizeof(uint32_t))
                return false;
        return vmbus_reader_read(&reader, message, bytes) == VMBUS_OK;
}

static zx_status_t take_completion(struct netvsc *netvsc, const struct vmbus_incoming *packet)
{
        struct nvsp_message message;
        void *request;
        if (vmbus_channel_complete(netvsc->channel, packet, &request) != ZX_OK)
                return netvsc_broken(netvsc, NETVSC_FAULT_COMPLETION);
        /* An answer without content is legal for what has none (f.2: 100, 125). */
        bool whole = copy_message(netvsc, packet, 1, &message);
        if (request == &netvsc->call) {
                netvsc->call.reply = message;
                netvsc->call.done = true;
                return ZX_OK;
        }
        if (request == &netvsc->control)
                return ZX_OK; /* the host has read a control message */
        if (!whole)
                return netvsc_broken(netvsc, NETVSC_FAULT_MESSAGE_SHORT);
        if (message.type != NVSP_SEND_RNDIS_PACKET_COMPLETE)
                return netvsc_broken(netvsc, NETVSC_FAULT_ANSWER_TYPE);
        netvsc_sent(netvsc, request, message.rndis_complete.status != NVSP_STATUS_SUCCESS);
        return ZX_OK;
}

static void queue_range(struct netvsc *netvsc, const struct vmbus_transfer_range *range,
                        uint16_t transaction)
{
        /* Each queued range holds a sub-allocation, so there is room. */
        ASSERT(netvsc->range_tail - netvsc->range_head < NETVSC_SUBALLOCATIONS_MAX);
        netvsc->ranges[netvsc->range_tail++ % NETVSC_SUBALLOCATIONS_MAX] = (struct netvsc_range){
                .offset = range->byte_offset,
                .bytes = range->byte_count,
                .transaction = transaction,
        };
}

/* All ranges of a packet are held: data wait for the client, control is read at once. */
static zx_status_t take_ranges(struct netvsc *netvsc, uint32_t channel_type, uint32_t range_count,
                               uint16_t transaction)
{
        zx_status_t status = ZX_OK;
        for (uint32_t i = 0; i < range_count; i++) {
                const struct vmbus_transfer_range *range = &netvsc->incoming[i];
                if (channel_type == NVSP_CHANNEL_DATA) {
                        queue_range(netvsc, range, transaction);
                        continue;
                }
                if (status == ZX_OK)
                        status = netvsc_take_control(
                                netvsc, netvsc->receive_va + range->byte_offset, range->byte_count);
                let_go(netvsc, first_of(netvsc, range->byte_offset));
        }
        return status;
}

static zx_status_t take_transfer(struct netvsc *netvsc, const struct vmbus_incoming *packet)
{
        struct nvsp_message message;
        struct vmbus_transfer_list list = {.ranges = netvsc->incoming,
                                           .capacity = netvsc->suballocation_count,
                                           .buffer_bytes = netvsc->receive_bytes};
        if (packet->transfer_page_set_id != NVSP_RECEIVE_BUFFER_ID || netvsc->receive_gpadl == NULL)
                return netvsc_broken(netvsc, NETVSC_FAULT_SET_ID);
        if (!packet->has_transaction_id)
                return netvsc_broken(netvsc, NETVSC_FAULT_NO_TRANSACTION);
        if (!copy_message(netvsc, packet, 1, &message))
                return netvsc_broken(netvsc, NETVSC_FAULT_MESSAGE_SHORT);
        if (message.type != NVSP_SEND_RNDIS_PACKET ||
            (message.rndis.channel != NVSP_CHANNEL_DATA &&
             message.rndis.channel != NVSP_CHANNEL_CONTROL))
                return netvsc_broken(netvsc, NETVSC_FAULT_MESSAGE_TYPE);
        enum vmbus_result result =
                vmbus_receiver_transfer_ranges(&netvsc->channel->receiver, packet, &list);
        if (result == VMBUS_RANGE_END) /* more ranges than there are sub-allocations */
                return netvsc_broken(netvsc, NETVSC_FAULT_HELD);
        if (result != VMBUS_OK)
                return netvsc_broken(netvsc, NETVSC_FAULT_RING);
        if (list.count == 0)
                return netvsc_broken(netvsc, NETVSC_FAULT_RANGE);
        if (netvsc->transaction_free == NO_TRANSACTION) /* those to be completed hold none */
                return netvsc_broken(netvsc, NETVSC_FAULT_HELD);
        uint16_t transaction = transaction_begin(netvsc, packet->transaction_id, list.count);
        enum netvsc_fault fault = hold_ranges(netvsc, list.count, transaction);
        if (fault != NETVSC_FAULT_NONE)
                return netvsc_broken(netvsc, fault);
        return take_ranges(netvsc, message.rndis.channel, list.count, transaction);
}

static zx_status_t take_packet(struct netvsc *netvsc, const struct vmbus_incoming *packet)
{
        switch (packet->type) {
        case VMBUS_PACKET_COMPLETION:
                return take_completion(netvsc, packet);
        case VMBUS_PACKET_TRANSFER_PAGES:
                return take_transfer(netvsc, packet);
        case VMBUS_PACKET_IN_BAND:
                /* A virtual function comes or goes, a table of queues: nothing that we use. */
                return ZX_OK;
        default:
                return netvsc_broken(netvsc, NETVSC_FAULT_PACKET_TYPE);
        }
}

zx_status_t netvsc_take(struct netvsc *netvsc, uint32_t packets_max)
{
        struct vmbus_channel *channel = netvsc->channel;
        zx_status_t status = ZX_OK;
        if (!netvsc->opened || vmbus_channel_state(channel) != VMBUS_CHANNEL_OPEN)
                return ZX_ERR_PEER_CLOSED;
        vmbus_channel_wake_receive(channel);
        for (uint32_t i = 0; i < packets_max && status == ZX_OK; i++) {
                struct vmbus_incoming packet;
                enum vmbus_result result = vmbus_receiver_take(
                        &channel->receiver, &channel->receive_position, &packet);
                if (result == VMBUS_EMPTY)
                        status = ZX_ERR_SHOULD_WAIT;
                else if (result != VMBUS_OK)
                        status = netvsc_broken(netvsc, NETVSC_FAULT_RING);
                else
                        status = take_packet(netvsc, &packet);
        }
        zx_status_t committed = vmbus_channel_commit_receive(channel);
        return status == ZX_OK ? committed : status;
}

/* ---- to the client ---- */

static void describe(const struct rndis_packet *packet, struct netdev_receive_info *info)
{
        const uint32_t failed = 1u << RNDIS_RECEIVED_TCP_FAILED_BIT |
                                1u << RNDIS_RECEIVED_UDP_FAILED_BIT |
                                1u << RNDIS_RECEIVED_IP_FAILED_BIT;
        const uint32_t good = 1u << RNDIS_RECEIVED_TCP_OK_BIT | 1u << RNDIS_RECEIVED_UDP_OK_BIT;
        *info = (struct netdev_receive_info){0};
        if (packet->has_checksum && (packet->checksum & good) && !(packet->checksum & failed))
                info->checksum = NETDEV_CHECKSUM_VALID;
        info->vlan = packet->has_vlan;
        info->vlan_tci = packet->vlan_tci;
}

/* Makes a frame of a range. *frame_out says whether it is one: not
 * when its length is that of none. */
static zx_status_t frame_of(struct netvsc *netvsc, const struct netvsc_range *range,
                            struct netdev_received *frame, bool *frame_out)
{
        const uint8_t *message = netvsc->receive_va + range->offset;
        struct rndis_packet packet;
        uint32_t type, length;
        *frame_out = false;
        netvsc->rndis_fault = rndis_take_header(message, range->bytes, &type, &length);
        if (netvsc->rndis_fault == RNDIS_OK && type != RNDIS_PACKET)
                return netvsc_broken(netvsc, NETVSC_FAULT_RNDIS_TYPE);
        if (netvsc->rndis_fault == RNDIS_OK)
                netvsc->rndis_fault = rndis_take_packet(message, length, &packet);
        if (netvsc->rndis_fault != RNDIS_OK)
                return netvsc_broken(netvsc, NETVSC_FAULT_RNDIS);
        if (packet.has_piece)
                return netvsc_broken(netvsc, NETVSC_FAULT_PIECES);
        if (packet.data_bytes < NETDEV_HEADER_BYTES ||
            packet.data_bytes > netvsc->netdev.mtu + NETDEV_HEADER_BYTES + NETDEV_VLAN_TAG_BYTES)
                return ZX_OK;
        struct rx_space space = {
                .id = first_of(netvsc, range->offset),
                .region = {.vmo_id = (uint8_t)netvsc->receive_vmo_id,
                           .offset = range->offset + packet.data_offset,
                           .length = packet.data_bytes},
        };
        vmo_store_make_rx_space_buffer(&netvsc->netdev.store, &space, &frame->buffer);
        describe(&packet, &frame->info);
        *frame_out = true;
        return ZX_OK;
}

zx_status_t netvsc_deliver(struct netvsc *netvsc, uint32_t budget, uint32_t *done)
{
        zx_status_t status = ZX_OK;
        *done = 0;
        while (*done < budget && status == ZX_OK && netvsc->range_head != netvsc->range_tail) {
                uint32_t count = 0;
                while (count < NETDEV_BATCH_MAX && *done < budget && status == ZX_OK &&
                       netvsc->range_head != netvsc->range_tail) {
                        struct netvsc_range range =
                                netvsc->ranges[netvsc->range_head++ % NETVSC_SUBALLOCATIONS_MAX];
                        uint32_t first = first_of(netvsc, range.offset);
                        bool is_frame;
                        status = frame_of(netvsc, &range, &netvsc->batch[count], &is_frame);
                        if (is_frame) {
                                netvsc->delivered[first] = true;
                                count++;
                        } else {
                                netvsc->netdev.queues[0].counters.receive_dropped++;
                                let_go(netvsc, first);
                        }
                        ++*done;
                }
                if (count != 0)
                        netdev_receive_done(&netvsc->netdev, 0, netvsc->batch, count);
        }
        return status;
}

void netvsc_release(struct netdev *netdev, uint32_t queue, const uint32_t *ids, uint32_t count)
{
        struct netvsc *netvsc = netvsc_from(netdev);
        (void)queue;
        for (uint32_t i = 0; i < count; i++) {
                ASSERT(ids[i] < NETVSC_SUBALLOCATIONS_MAX && netvsc->delivered[ids[i]]);
                let_go(netvsc, ids[i]);
        }
        /* What does not fit, or comes after the end, is sent by the next poll, or never. */
        (void)netvsc_complete(netvsc);
}
