/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_net_receive — frames and answers for the guest, through its receive buffer. Facts:
 * spec/vmbus.md, f.3, f.5. */
#include "tests/peers/vmbus_host/vmbus_host_net_internal.h"

/* Batches of frames handed over in one turn. */
#define NET_BATCHES_PER_POLL 4u

/* ---- sub-allocations [N1] ---- */

void net_receive_reset(struct vmbus_host_net *net)
{
        memset(net->busy, 0, sizeof(net->busy));
        memset(net->heads, 0, sizeof(net->heads));
        net->free_suballocations = net->suballocations;
        net->next_suballocation = 0;
}

bool net_take(struct vmbus_host_net *net, uint32_t reserve, uint16_t *number)
{
        if (net->free_suballocations <= reserve)
                return false;
        for (uint32_t i = 0; i < net->suballocations; i++) {
                uint32_t at = net->next_suballocation;
                net->next_suballocation = at + 1 == net->suballocations ? 0 : at + 1;
                if ((net->busy[at / 64] >> at % 64 & 1) != 0)
                        continue;
                net->busy[at / 64] |= BIT_MASK(at % 64);
                net->free_suballocations--;
                *number = (uint16_t)at;
                return true;
        }
        return false;
}

static void give_back(struct vmbus_host_net *net, uint32_t number)
{
        ASSERT((net->busy[number / 64] >> number % 64 & 1) != 0);
        net->busy[number / 64] &= ~BIT_MASK(number % 64);
        net->free_suballocations++;
}

void net_returned(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                  const struct vmbus_incoming *packet)
{
        struct vmbus_reader reader = vmbus_receiver_reader(&channel->receiver, &packet->payload);
        uint32_t message[2];
        uint64_t head = packet->transaction_id;
        if (vmbus_reader_read(&reader, message, sizeof(message)) != VMBUS_OK ||
            message[0] != NVSP_SEND_RNDIS_PACKET_COMPLETE) {
                vmbus_host_broke(channel, VMBUS_HOST_PACKET_SHORT, packet->payload.bytes,
                                 sizeof(message));
                return;
        }
        if (head >= net->suballocations || (net->heads[head / 64] >> head % 64 & 1) == 0 ||
            net->owner[head] != channel->offer->subchannel_index) {
                vmbus_host_broke(channel, VMBUS_HOST_NVSP_COMPLETION, (uint32_t)head,
                                 net->suballocations);
                return;
        }
        net->heads[head / 64] &= ~BIT_MASK(head % 64);
        for (uint32_t at = (uint32_t)head, left = VMBUS_HOST_NET_BATCH;
             at != NET_NO_SUBALLOCATION && left > 0; left--) {
                uint32_t next = net->chain[at];
                give_back(net, at);
                at = next;
        }
}

/* ---- one transfer ---- */

/* Lies about where the ranges are. */
static void lie_about_ranges(struct vmbus_host_net *net, struct net_batch *batch,
                             struct vmbus_outgoing *packet)
{
        struct vmbus_host *host = batch->channel->host;
        struct vmbus_transfer_range *range =
                &batch->ranges[host_random(host) % (batch->count != 0 ? batch->count : 1)];
        if (host_lies(host, VMBUS_HOST_LIE_TRANSFER_SET))
                packet->transfer_page_set_id = (uint16_t)host_random(host);
        if (host_lies(host, VMBUS_HOST_LIE_TRANSFER_BOUNDS)) {
                if ((host_random(host) & 1) != 0)
                        range->byte_offset = UINT32_MAX - host_random(host) % 4096;
                else
                        range->byte_count = (uint32_t)(net->receive.page_count * PAGE_BYTES) -
                                            host_random(host) % 4096;
        }
        if (host_lies(host, VMBUS_HOST_LIE_TRANSFER_NONE))
                packet->transfer_count = 0;
        if (batch->count > 1 && host_lies(host, VMBUS_HOST_LIE_TRANSFER_REUSE))
                batch->ranges[1 + host_random(host) % (batch->count - 1)] = batch->ranges[0];
}

/* Lies about how many there are: in the ring, where the packet has just been written. */
static void lie_about_count(struct vmbus_host_channel *channel, uint32_t start)
{
        const struct vmbus_memory *memory = &channel->sender.memory;
        uint32_t at = vmbus_memory_advance(memory, start, VMBUS_DESCRIPTOR_BYTES);
        if (!host_lies(channel->host, VMBUS_HOST_LIE_TRANSFER_COUNT))
                return;
        uint64_t word = vmbus_memory_load_u64(memory, at) & UINT32_MAX;
        vmbus_memory_store_u64(memory, at, word | (uint64_t)host_random(channel->host) << 32);
}

/* Sends the batch, for which there is room; its sub-allocations are out from now on. */
static void send_batch(struct vmbus_host_net *net, struct net_batch *batch)
{
        struct vmbus_host_channel *channel = batch->channel;
        uint32_t message[10] = {NVSP_SEND_RNDIS_PACKET, batch->channel_type, NVSP_SECTION_NONE, 0};
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_TRANSFER_PAGES,
                                        .payload_bytes = net_message_words(net) * 4,
                                        .transaction_id = batch->numbers[0],
                                        .transfer = batch->ranges,
                                        .transfer_count = batch->count,
                                        .transfer_page_set_id = NVSP_RECEIVE_BUFFER_ID};
        uint32_t start = channel->to.next_in, head = batch->numbers[0];
        for (uint32_t i = 0; i < batch->count; i++)
                net->chain[batch->numbers[i]] =
                        i + 1 < batch->count ? batch->numbers[i + 1] : NET_NO_SUBALLOCATION;
        net->heads[head / 64] |= BIT_MASK(head % 64);
        net->owner[head] = (uint8_t)channel->offer->subchannel_index;
        if (UNLIKELY(channel->host->liar.rate != 0))
                lie_about_ranges(net, batch, &packet);
        if (vmbus_host_send(channel, &packet, message) != VMBUS_OK) {
                ASSERT(channel->broken != VMBUS_HOST_NONE); /* room was found before */
                return;
        }
        if (UNLIKELY(channel->host->liar.rate != 0))
                lie_about_count(channel, start);
}

/* Room in the ring for the largest batch. */
static bool room(struct vmbus_host_channel *channel)
{
        return vmbus_host_can_send(channel, VMBUS_TRANSFER_PAGES_BYTES(VMBUS_HOST_NET_BATCH, 40)) ==
               VMBUS_OK;
}

/* Puts `head` and `body` into a sub-allocation and adds its range to the batch. */
static void add_range(struct vmbus_host_net *net, struct net_batch *batch, uint16_t number,
                      const struct vmbus_span head, const struct vmbus_span body)
{
        uint64_t offset = (uint64_t)number * net->suballocation_bytes;
        ASSERT(head.byte_count + body.byte_count <= net->suballocation_bytes);
        vmbus_host_pages_write(&net->receive, offset, head.bytes, head.byte_count);
        vmbus_host_pages_write(&net->receive, offset + head.byte_count, body.bytes,
                               body.byte_count);
        batch->numbers[batch->count] = number;
        batch->ranges[batch->count++] = (struct vmbus_transfer_range){
                head.byte_count + body.byte_count, (uint32_t)offset};
}

/* ---- answers ---- */

/* The lies about what is said of a frame. */
static void lie_about_frame(struct vmbus_host *host, uint8_t *message)
{
        static const uint32_t sizes[] = {0, 8, 13, 0x7ffffffc}, offsets[] = {0, 8, 20, 0xfffffffc};
        static const uint8_t out_of_band[] = {20, 24, 36};
        uint32_t element = RNDIS_OFFSET_BASE + net_u32(message, 28);
        bool has_info = net_u32(message, 32) != 0;
        if (host_lies(host, VMBUS_HOST_LIE_RNDIS_DATA))
                net_put_u32(message, 8 + host_random(host) % 2 * 4,
                            0x80000000u | host_random(host));
        if (has_info && host_lies(host, VMBUS_HOST_LIE_RNDIS_PPI_SIZE))
                net_put_u32(message, element, sizes[host_random(host) % ARRAY_COUNT(sizes)]);
        if (has_info && host_lies(host, VMBUS_HOST_LIE_RNDIS_PPI_OFFSET))
                net_put_u32(message, element + 8,
                            offsets[host_random(host) % ARRAY_COUNT(offsets)]);
        if (has_info && host_lies(host, VMBUS_HOST_LIE_RNDIS_PPI))
                net_put_u32(message, 28 + host_random(host) % 2 * 4, 0x7ffffff4);
        if (host_lies(host, VMBUS_HOST_LIE_RNDIS_OOB))
                net_put_u32(message, out_of_band[host_random(host) % ARRAY_COUNT(out_of_band)],
                            1 + host_random(host) % 64);
}

/* The lies about an RNDIS message that is about to go out. */
static void lie_about_message(struct vmbus_host *host, uint8_t *message, uint32_t bytes)
{
        if (host_lies(host, VMBUS_HOST_LIE_RNDIS_TYPE))
                net_put_u32(message, 0, host_random(host));
        if (host_lies(host, VMBUS_HOST_LIE_RNDIS_LENGTH))
                net_put_u32(message, 4, bytes + 1 + host_random(host));
        if (host_lies(host, VMBUS_HOST_LIE_RNDIS_SHORT))
                net_put_u32(message, 4, host_random(host) % 12);
        if (net_u32(message, 0) == RNDIS_PACKET) {
                lie_about_frame(host, message);
                return;
        }
        if (host_lies(host, VMBUS_HOST_LIE_RNDIS_REQUEST))
                net_put_u32(message, 8, host_random(host));
        if (net_u32(message, 0) != (RNDIS_QUERY | RNDIS_COMPLETE) || net_u32(message, 16) == 0)
                return;
        if (host_lies(host, VMBUS_HOST_LIE_RNDIS_INFORMATION))
                net_put_u32(message, 16 + host_random(host) % 2 * 4,
                            0x80000000u | host_random(host));
        if (host_lies(host, VMBUS_HOST_LIE_RNDIS_ANSWER))
                net_put_u32(message, 16, host_random(host) % net_u32(message, 16));
}

static void send_answers(struct vmbus_host_net *net, struct vmbus_host_channel *channel)
{
        while (net->answer_count > 0 && room(channel)) { /* at most VMBUS_HOST_NET_ANSWERS */
                struct vmbus_host_net_answer *answer = &net->answers[net->answer_head];
                struct net_batch batch = {.channel = channel,
                                          .channel_type = NVSP_CHANNEL_CONTROL};
                uint16_t number;
                if (!net_take(net, 0, &number))
                        return;
                if (UNLIKELY(channel->host->liar.rate != 0))
                        lie_about_message(channel->host, answer->message, answer->bytes);
                add_range(net, &batch, number, (struct vmbus_span){answer->message, answer->bytes},
                          (struct vmbus_span){answer->message, 0});
                send_batch(net, &batch);
                net->answer_head = (net->answer_head + 1) % VMBUS_HOST_NET_ANSWERS;
                net->answer_count--;
        }
}

static void send_table(struct vmbus_host_net *net, struct vmbus_host_channel *channel)
{
        uint32_t message[3 + NVSP_INDIRECTION_ENTRIES] = {
                NVSP_SEND_INDIRECTION_TABLE, NVSP_INDIRECTION_ENTRIES, 12};
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND,
                                        .payload_bytes = sizeof(message)};
        for (uint32_t i = 0; i < NVSP_INDIRECTION_ENTRIES; i++)
                message[3 + i] = net->table[i % net->table_entries];
        if (vmbus_host_send(channel, &packet, message) != VMBUS_FULL)
                net->table_owed = false;
}

/* ---- frames ---- */

static bool filter_passes(const struct vmbus_host_net *net, const uint8_t *frame)
{
        static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
        if ((net->filter & NDIS_FILTER_PROMISCUOUS) != 0)
                return true;
        if ((frame[0] & 1) == 0)
                return (net->filter & NDIS_FILTER_DIRECTED) != 0 &&
                       memcmp(frame, net->config.mac, 6) == 0;
        if (memcmp(frame, broadcast, 6) == 0)
                return (net->filter & NDIS_FILTER_BROADCAST) != 0;
        if ((net->filter & NDIS_FILTER_ALL_MULTICAST) != 0)
                return true;
        for (uint32_t i = 0; i < net->multicast_count; i++)
                if (memcmp(frame, net->multicast[i], 6) == 0)
                        return (net->filter & NDIS_FILTER_MULTICAST) != 0;
        return false;
}

/* The open channel that a frame belongs to; a flow, told by its addresses, stays on one. */
static struct vmbus_host_channel *queue_of(const struct vmbus_host_net *net, const uint8_t *frame,
                                           uint32_t bytes)
{
        uint32_t hash = 0;
        struct vmbus_host_channel *channel = NULL;
        if (net->table_entries == 0)
                return net->channels[0];
        for (uint32_t i = 26; i < 38 && i < bytes; i++)
                hash = hash * 31 + frame[i];
        channel = net->channels[net->table[hash % net->table_entries]];
        return channel != NULL && channel->broken == VMBUS_HOST_NONE ? channel : net->channels[0];
}

/* Takes the tag out of the frame; the value of its per-packet info, or 0 when there is none. */
static bool untag(uint8_t *frame, uint32_t *bytes, uint32_t *info)
{
        if (*bytes < NET_ETHERNET_BYTES + 4 || net_be16(frame + 12) != 0x8100)
                return false;
        uint32_t tag = net_be16(frame + 14);
        *info = tag >> 13 | (tag >> 12 & 1) << 3 | (tag & 0xfff) << 4;
        memmove(frame + 12, frame + 16, *bytes - 16);
        *bytes -= 4;
        return true;
}

/* RNDIS headers of a frame of `bytes`; their length. */
static uint32_t make_header(uint8_t header[NET_BEFORE_BYTES], uint32_t bytes, uint32_t checksum,
                            const uint32_t *vlan)
{
        struct rndis_packet packet = {.type = RNDIS_PACKET, .data_length = bytes};
        uint32_t at = RNDIS_PACKET_BYTES;
        if (checksum != 0) {
                struct rndis_ppi info = {sizeof(info), RNDIS_PPI_CHECKSUM, RNDIS_PPI_HEADER_BYTES,
                                         checksum};
                memcpy(header + at, &info, sizeof(info));
                at += sizeof(info);
        }
        if (vlan != NULL) {
                struct rndis_ppi info = {sizeof(info), RNDIS_PPI_VLAN, RNDIS_PPI_HEADER_BYTES,
                                         *vlan};
                memcpy(header + at, &info, sizeof(info));
                at += sizeof(info);
        }
        if (at != RNDIS_PACKET_BYTES) {
                packet.ppi_offset = RNDIS_PACKET_BYTES - RNDIS_OFFSET_BASE;
                packet.ppi_length = at - RNDIS_PACKET_BYTES;
        }
        packet.data_offset = at - RNDIS_OFFSET_BASE;
        packet.length = at + bytes;
        memcpy(header, &packet, sizeof(packet));
        return at;
}

/* Puts the frame in net->config.frame into a sub-allocation of the batch. */
static void add_frame(struct vmbus_host_net *net, struct net_batch *batch, uint32_t bytes)
{
        uint8_t header[NET_BEFORE_BYTES], *frame = net->config.frame;
        uint32_t vlan, checksum;
        uint16_t number;
        if (!net_take(net, NET_RESERVED, &number)) {
                net->receive_shortages++;
                return;
        }
        bool tagged = untag(frame, &bytes, &vlan);
        checksum = net_check_received(frame, bytes);
        uint32_t before = make_header(header, bytes, checksum, tagged ? &vlan : NULL);
        if (UNLIKELY(batch->channel->host->liar.rate != 0))
                lie_about_message(batch->channel->host, header, before + bytes);
        add_range(net, batch, number, (struct vmbus_span){header, before},
                  (struct vmbus_span){frame, bytes});
        net->frames_out++;
}

/* One batch of frames of one queue; how many frames were taken from the port, and whether to a
 * channel that has its turn later. */
static uint32_t receive_batch(struct vmbus_host_net *net, bool *others)
{
        const struct vmbus_host_frame_port *port = net->config.port;
        uint8_t *frame = net->config.frame;
        struct net_batch batch = {.channel_type = NVSP_CHANNEL_DATA};
        uint32_t taken = 0;
        while (taken < VMBUS_HOST_NET_BATCH) {
                net->ring_full = batch.count == 0 && !room(net->channels[0]);
                if (!net_has_room(net))
                        break; /* frames wait in the port */
                uint32_t bytes = port->take(port->context, frame, net->frame_bytes + 4);
                if (bytes == 0)
                        break;
                taken++;
                if (bytes < NET_ETHERNET_BYTES || bytes > net->frame_bytes + 4 ||
                    (bytes > net->frame_bytes && net_be16(frame + 12) != 0x8100) ||
                    !filter_passes(net, frame)) {
                        net->frames_filtered++;
                        continue;
                }
                struct vmbus_host_channel *channel = queue_of(net, frame, bytes);
                if (batch.count != 0 && batch.channel != channel) {
                        send_batch(net, &batch);
                        batch.count = 0;
                }
                if (batch.count == 0 && !room(channel)) {
                        net->receive_shortages++;
                        continue; /* its ring is full: dropped, as by a wire */
                }
                batch.channel = channel;
                *others |= channel != net->channels[0];
                add_frame(net, &batch, bytes);
        }
        if (batch.count != 0)
                send_batch(net, &batch);
        return taken;
}

/* ---- the turn ---- */

/* Packets that wait for the port have no event to come, and completions that would free receive
 * buffers wait behind them: frames that the guest could not be given by now are dropped, as by a
 * wire. Returns whether there is something to go on with. */
static bool make_port_ready(struct vmbus_host_net *net)
{
        const struct vmbus_host_frame_port *port = net->config.port;
        if (!net->port_full)
                return false;
        while (!port->ready(port->context)) { /* at most what the port holds */
                if (port->take(port->context, net->config.frame, VMBUS_HOST_NET_FRAME_BYTES) == 0)
                        return false;
                net->receive_shortages++;
        }
        net->port_full = false;
        return true;
}

/* The link is down: what comes is lost, as on a wire. Returns whether there may be more. */
static bool drop_frames(struct vmbus_host_net *net)
{
        const struct vmbus_host_frame_port *port = net->config.port;
        for (uint32_t i = 0; i < NET_BATCHES_PER_POLL * VMBUS_HOST_NET_BATCH; i++) {
                if (port->take(port->context, net->config.frame, VMBUS_HOST_NET_FRAME_BYTES) == 0)
                        return false;
                net->frames_unplugged++;
        }
        return true;
}

bool net_work(struct vmbus_host_net *net, struct vmbus_host_channel *channel)
{
        bool more = false, others = false, had_room = net_has_room(net);
        uint32_t taken = 1;
        if (net->state != VMBUS_HOST_NET_READY || net->suballocations == 0)
                return make_port_ready(net);
        if (net->initialised && host_lies(channel->host, VMBUS_HOST_LIE_LINK))
                vmbus_host_net_link(net, net->link_down);
        if (host_lies(channel->host, VMBUS_HOST_LIE_TRANSFER_SCRIBBLE)) {
                uint64_t garbage = (uint64_t)host_random(channel->host) << 32;
                uint32_t at = host_random(channel->host) % net->suballocations;
                vmbus_host_pages_write(&net->receive,
                                       (uint64_t)at * net->suballocation_bytes +
                                               host_random(channel->host) % 64,
                                       &garbage, sizeof(garbage));
        }
        send_answers(net, channel);
        if (net->link_owed) { /* it found no room among the answers */
                net_indicate_link(net);
                send_answers(net, channel);
        }
        if (net->table_owed)
                send_table(net, channel);
        if (net->initialised && net->link_down)
                more = drop_frames(net);
        if (!net->initialised || net->filter == 0 || net->link_down)
                return make_port_ready(net) || more;
        for (uint32_t i = 0; i < NET_BATCHES_PER_POLL && taken != 0 &&
                             channel->broken == VMBUS_HOST_NONE; i++)
                taken = receive_batch(net, &others);
        net->stalls += had_room && !net_has_room(net);
        more = taken != 0;
        more |= make_port_ready(net);
        return (more || others) && channel->broken == VMBUS_HOST_NONE;
}
