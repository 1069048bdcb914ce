/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The way of a frame out of a Hyper-V network card: an RNDIS header on a page of ours and the
 * client's memory as it is, named by its pages. Facts: spec/vmbus.md, f.4, f.6. */
#include "drivers/hyperv/netvsc.h"

#include "base/assert.h"
#include "base/bytes.h"

#define PEEK_BYTES 128 /* of headers, for segmentation */
#define ETHERTYPE_OFFSET 12
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define TCP_CHECKSUM_OFFSET 16
#define UDP_CHECKSUM_OFFSET 6
#define IPV4_LENGTH_OFFSET 2
#define IPV4_CHECKSUM_OFFSET 10
#define IPV4_ADDRESSES_OFFSET 12
#define IPV6_LENGTH_OFFSET 4
#define IPV6_ADDRESSES_OFFSET 8
#define IPV4_ADDRESS_BYTES 4
#define IPV6_ADDRESS_BYTES 16
#define IPV4_HEADER_BYTES_MIN 20
#define IPV6_HEADER_BYTES 40
#define TCP_HEADER_BYTES_MIN 20
#define IP_PROTOCOL_TCP 6

/* A frame on its way into a packet. */
struct outgoing_frame {
        struct rndis_transmit_info info;
        uint8_t head[PEEK_BYTES]; /* its first bytes, copied */
        uint32_t head_bytes;
        uint32_t header_bytes;    /* of it in our memory, in front of the client's pages */
        /* A VLAN tag of NETDEV_VLAN_TAG_BYTES is left out there; 0: none. */
        uint32_t cut_at;
        uint32_t bytes;           /* as the host gets it */
        struct netdev_span pieces[NETVSC_PIECES_MAX];
        uint32_t piece_count;
};

void netvsc_transmit_reset(struct netvsc *netvsc)
{
        for (uint32_t i = 0; i < NETVSC_SEND_SLOTS; i++) {
                netvsc->slots[i] = (struct netvsc_send_slot){0};
                netvsc->free_slots[i] = (uint16_t)(NETVSC_SEND_SLOTS - 1 - i);
        }
        netvsc->free_slot_count = NETVSC_SEND_SLOTS;
        netvsc->done_slot_count = 0;
        netvsc->send_section_bytes = 0;
        netvsc->send_sections_free = 0;
}

static uint16_t get_be16(const uint8_t *at)
{
        return (uint16_t)(at[0] << 8 | at[1]);
}

static void put_be16(uint8_t *at, uint32_t value)
{
        at[0] = (uint8_t)(value >> 8);
        at[1] = (uint8_t)value;
}

/* ---- what the frame is ---- */

/* Copies the frame's first bytes, PEEK_BYTES at most. */
static zx_status_t peek(struct netvsc *netvsc, const struct vmo_buffer *buffer,
                        struct outgoing_frame *out)
{
        out->head_bytes = 0;
        for (uint32_t i = 0; i < buffer->part_count && out->head_bytes < PEEK_BYTES; i++) {
                struct vmo_region region = buffer->parts[i].region;
                region.length = min_u64(region.length, PEEK_BYTES - out->head_bytes);
                zx_status_t status = vmo_store_read(&netvsc->netdev.store, region,
                                                    out->head + out->head_bytes);
                if (status != ZX_OK)
                        return status;
                out->head_bytes += (uint32_t)region.length;
        }
        return ZX_OK;
}

/* The sum over the pseudo-header as NDIS wants it in a frame to be cut: without the length. */
static uint32_t pseudo_sum(const uint8_t *addresses, uint32_t bytes)
{
        uint32_t sum = IP_PROTOCOL_TCP;
        for (uint32_t i = 0; i < bytes; i += 2)
                sum += get_be16(addresses + i);
        while (sum >> 16)
                sum = (sum & UINT16_MAX) + (sum >> 16);
        return sum;
}

/* Changes the copy of the headers of a frame to be cut: lengths and the IPv4 checksum zero, in
 * TCP's the sum of the pseudo-header. */
static zx_status_t adapt_headers(struct outgoing_frame *out, uint32_t ip)
{
        uint32_t tcp = out->info.transport_offset;
        uint32_t ip_min = out->info.ipv6 ? IPV6_HEADER_BYTES : IPV4_HEADER_BYTES_MIN;
        if (tcp < ip + ip_min || tcp + TCP_HEADER_BYTES_MIN > out->header_bytes)
                return ZX_ERR_INVALID_ARGS;
        uint8_t *header = out->head + ip;
        uint32_t sum;
        if (out->info.ipv6) {
                put_be16(header + IPV6_LENGTH_OFFSET, 0);
                sum = pseudo_sum(header + IPV6_ADDRESSES_OFFSET, 2 * IPV6_ADDRESS_BYTES);
        } else {
                put_be16(header + IPV4_LENGTH_OFFSET, 0);
                put_be16(header + IPV4_CHECKSUM_OFFSET, 0);
                sum = pseudo_sum(header + IPV4_ADDRESSES_OFFSET, 2 * IPV4_ADDRESS_BYTES);
        }
        put_be16(out->head + tcp + TCP_CHECKSUM_OFFSET, sum);
        return ZX_OK;
}

/* A tag in the frame goes into the packet's info, for the frame must have none (f.6). */
static void take_tag_out(struct outgoing_frame *out)
{
        if (out->head_bytes < ETHERTYPE_OFFSET + 2 + NETDEV_VLAN_TAG_BYTES ||
            get_be16(out->head + ETHERTYPE_OFFSET) != ETHERTYPE_VLAN || out->info.has_vlan)
                return;
        out->info.has_vlan = true;
        out->info.vlan_tci = get_be16(out->head + ETHERTYPE_OFFSET + 2);
        out->cut_at = ETHERTYPE_OFFSET;
        out->bytes -= NETDEV_VLAN_TAG_BYTES;
        memmove(out->head + ETHERTYPE_OFFSET, out->head + ETHERTYPE_OFFSET + NETDEV_VLAN_TAG_BYTES,
                out->head_bytes - ETHERTYPE_OFFSET - NETDEV_VLAN_TAG_BYTES);
        out->head_bytes -= NETDEV_VLAN_TAG_BYTES;
}

static zx_status_t look_at(struct netvsc *netvsc, const struct netdev_frame *frame,
                           struct outgoing_frame *out)
{
        const struct netdev_offload *offload = &frame->offload;
        uint32_t cut = 0;
        *out = (struct outgoing_frame){.bytes = (uint32_t)vmo_buffer_length(&frame->buffer.buffer)};
        out->info.has_vlan = offload->vlan;
        out->info.vlan_tci = offload->vlan_tci;
        zx_status_t status = peek(netvsc, &frame->buffer.buffer, out);
        if (status != ZX_OK)
                return status;
        take_tag_out(out);
        if (out->cut_at != 0)
                cut = NETDEV_VLAN_TAG_BYTES;
        if (!offload->checksum && offload->segmentation == NETDEV_SEGMENT_NONE)
                return ZX_OK;
        uint16_t ethertype = get_be16(out->head + ETHERTYPE_OFFSET);
        if (ethertype != ETHERTYPE_IPV4 && ethertype != ETHERTYPE_IPV6)
                return ZX_ERR_NOT_SUPPORTED;
        if (offload->checksum_offset != TCP_CHECKSUM_OFFSET &&
            offload->checksum_offset != UDP_CHECKSUM_OFFSET)
                return ZX_ERR_NOT_SUPPORTED;
        if (offload->checksum_start < cut ||
            offload->checksum_start - cut > RNDIS_TRANSPORT_OFFSET_MAX)
                return ZX_ERR_NOT_SUPPORTED;
        out->info.has_checksum = true;
        out->info.ipv6 = ethertype == ETHERTYPE_IPV6;
        out->info.udp = offload->checksum_offset == UDP_CHECKSUM_OFFSET;
        out->info.transport_offset = (uint16_t)(offload->checksum_start - cut);
        if (offload->segmentation == NETDEV_SEGMENT_NONE)
                return ZX_OK;
        if (out->info.udp || offload->segment_bytes < 2 || offload->header_bytes < cut ||
            offload->header_bytes - cut > out->head_bytes)
                return ZX_ERR_NOT_SUPPORTED;
        out->info.has_segment = true;
        out->info.segment_bytes = offload->segment_bytes;
        out->header_bytes = offload->header_bytes - cut;
        return adapt_headers(out, ETHERTYPE_OFFSET + 2);
}

/* ---- where its bytes are ---- */

/* Appends `bytes` at `dev`. */
static bool add_piece(struct outgoing_frame *out, uint64_t dev, uint32_t bytes)
{
        if (bytes == 0)
                return true;
        if (out->piece_count == NETVSC_PIECES_MAX)
                return false;
        out->pieces[out->piece_count++] = (struct netdev_span){dev, bytes};
        return true;
}

/* Adds the client's memory from the frame's byte `from` on, without what is cut out. */
static bool add_pieces(struct outgoing_frame *out, const struct netdev_span *spans, uint32_t count,
                       uint32_t from)
{
        uint32_t cut_end = out->cut_at != 0 ? out->cut_at + NETDEV_VLAN_TAG_BYTES : 0;
        uint32_t at = 0; /* of the current span in the frame */
        for (uint32_t i = 0; i < count; i++) {
                uint32_t start = at, end = at + spans[i].bytes;
                at = end;
                /* In front of the cut, then behind it; either may be empty. */
                uint32_t first_end = out->cut_at != 0 ? (uint32_t)min_u64(end, out->cut_at) : end;
                uint32_t first = (uint32_t)max_u64(start, from);
                if (first < first_end && !add_piece(out, spans[i].dev + (first - start),
                                                    first_end - first))
                        return false;
                if (out->cut_at == 0)
                        continue;
                uint32_t second = (uint32_t)max_u64(max_u64(start, cut_end), from);
                if (second < end && !add_piece(out, spans[i].dev + (second - start), end - second))
                        return false;
        }
        return true;
}

/* ---- packets ---- */

/* Writes one packet about the frame in `slot` and takes the slot. ZX_ERR_SHOULD_WAIT: no room. */
static zx_status_t write_packet(struct netvsc *netvsc, struct vmbus_outgoing *packet,
                                const struct nvsp_message *message, struct netvsc_send_slot *slot)
{
        struct vmbus_channel *channel = netvsc->channel;
        struct vmbus_range range;
        void *unused;
        packet->payload_bytes = sizeof(*message);
        zx_status_t status =
                vmbus_requests_add(&channel->requests, slot, &packet->transaction_id);
        if (status != ZX_OK)
                return ZX_ERR_SHOULD_WAIT;
        enum vmbus_result result = vmbus_sender_write(&channel->sender, &channel->send_position,
                                                      packet, &range);
        if (result != VMBUS_OK) {
                enum vmbus_result cancelled = vmbus_requests_cancel(
                        &channel->requests, packet->transaction_id, &unused);
                ASSERT(cancelled == VMBUS_OK);
                return vmbus_result_status(result);
        }
        struct vmbus_writer writer = vmbus_sender_writer(&channel->sender, &range);
        result = vmbus_writer_write(&writer, message, sizeof(*message));
        ASSERT(result == VMBUS_OK);
        slot->state = NETVSC_SLOT_SENT;
        netvsc->free_slot_count--;
        return ZX_OK;
}

/* The frame's pages, by their numbers. */
static zx_status_t send_pages(struct netvsc *netvsc, struct outgoing_frame *out,
                              struct netvsc_send_slot *slot)
{
        const struct nvsp_message message = {.type = NVSP_SEND_RNDIS_PACKET,
                                             .rndis = {NVSP_CHANNEL_DATA, NVSP_NO_SECTION, 0}};
        uint64_t *pages = netvsc->pages;
        struct vmbus_gpa_list list;
        vmbus_gpa_list_init(&list, netvsc->gpa_words, ARRAY_COUNT(netvsc->gpa_words));
        for (uint32_t i = 0; i < out->piece_count; i++) {
                struct vmbus_gpa_range range = {
                        .byte_count = out->pieces[i].bytes,
                        .byte_offset = (uint32_t)(out->pieces[i].dev % PAGE_BYTES),
                        .pages = pages};
                range.page_count = vmbus_gpa_page_count(range.byte_count, range.byte_offset);
                ASSERT(range.page_count <= NETVSC_PAGES_MAX);
                for (uint32_t k = 0; k < range.page_count; k++)
                        pages[k] = out->pieces[i].dev / PAGE_BYTES + k;
                zx_status_t status = vmbus_gpa_list_push(&list, &range);
                ASSERT(status == ZX_OK);
        }
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_GPA_DIRECT, .gpa = &list};
        return write_packet(netvsc, &packet, &message, slot);
}

/* Copies header and frame to a section of the send buffer.
 * ZX_ERR_NOT_SUPPORTED: it does not fit. */
static zx_status_t send_section(struct netvsc *netvsc, const struct netdev_frame *frame,
                                const struct outgoing_frame *out, struct netvsc_send_slot *slot)
{
        uint8_t header[RNDIS_PACKET_HEADER_BYTES_MAX];
        uint32_t header_bytes = rndis_put_packet(header, &out->info, out->bytes);
        uint32_t total = header_bytes + out->bytes;
        if (total + NETDEV_VLAN_TAG_BYTES > netvsc->send_section_bytes)
                return ZX_ERR_NOT_SUPPORTED;
        if (netvsc->send_sections_free == 0)
                return ZX_ERR_SHOULD_WAIT;
        uint32_t section = (uint32_t)__builtin_ctzll(netvsc->send_sections_free);
        uint8_t *at = netvsc->send_va + (uint64_t)section * netvsc->send_section_bytes;
        size_t copied;
        zx_status_t status =
                vmo_buffer_read(&frame->buffer.buffer, at + header_bytes,
                                netvsc->send_section_bytes - header_bytes, &copied);
        if (status != ZX_OK)
                return status;
        memcpy(at, header, header_bytes);
        at += header_bytes;
        if (out->cut_at != 0)
                memmove(at + out->cut_at, at + out->cut_at + NETDEV_VLAN_TAG_BYTES,
                        out->bytes - out->cut_at);
        if (out->header_bytes != 0)
                memcpy(at, out->head, out->header_bytes);
        const struct nvsp_message message = {.type = NVSP_SEND_RNDIS_PACKET,
                                             .rndis = {NVSP_CHANNEL_DATA, section, total}};
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND_REQUEST};
        status = write_packet(netvsc, &packet, &message, slot);
        if (status != ZX_OK)
                return status;
        slot->section = (uint8_t)(section + 1);
        netvsc->send_sections_free &= ~BIT_MASK(section);
        netvsc->frames_by_section++;
        return ZX_OK;
}

static zx_status_t send_one(struct netvsc *netvsc, const struct netdev_frame *frame)
{
        struct netdev_span spans[NETDEV_SPANS_MAX];
        struct outgoing_frame out;
        zx_status_t status = look_at(netvsc, frame, &out);
        if (status != ZX_OK)
                return status;
        if (netvsc->free_slot_count == 0)
                return ZX_ERR_SHOULD_WAIT;
        uint32_t slot_index = netvsc->free_slots[netvsc->free_slot_count - 1];
        struct netvsc_send_slot *slot = &netvsc->slots[slot_index];
        *slot = (struct netvsc_send_slot){.frame_id = frame->buffer.id};
        if (out.bytes <= netvsc->copy_break) {
                status = send_section(netvsc, frame, &out, slot);
                if (status != ZX_ERR_NOT_SUPPORTED)
                        return status;
        }
        uint32_t count = netdev_spans(&netvsc->netdev, &frame->buffer.buffer, spans, &status);
        if (count == 0)
                return status;
        uint8_t *header = netvsc->header_va + slot_index * NETVSC_HEADER_BYTES;
        uint32_t header_bytes = rndis_put_packet(header, &out.info, out.bytes);
        memcpy(header + header_bytes, out.head, out.header_bytes);
        bool fits = add_piece(&out, netvsc->header_pa + slot_index * NETVSC_HEADER_BYTES,
                              header_bytes + out.header_bytes) &&
                    add_pieces(&out, spans, count,
                               out.header_bytes + (out.cut_at != 0 && out.header_bytes != 0 ?
                                                           NETDEV_VLAN_TAG_BYTES : 0));
        if (fits && out.piece_count <= netvsc->pieces_max)
                return send_pages(netvsc, &out, slot);
        return send_section(netvsc, frame, &out, slot);
}

zx_status_t netvsc_transmit(struct netdev *netdev, uint32_t queue,
                            const struct netdev_frame *frames, uint32_t count, uint32_t *accepted)
{
        struct netvsc *netvsc = netvsc_from(netdev);
        zx_status_t status = ZX_OK;
        (void)queue;
        *accepted = 0;
        if (!netvsc->opened || vmbus_channel_state(netvsc->channel) != VMBUS_CHANNEL_OPEN)
                return ZX_ERR_BAD_STATE;
        vmbus_channel_wake_send(netvsc->channel);
        while (*accepted < count && status == ZX_OK) {
                status = send_one(netvsc, &frames[*accepted]);
                if (status == ZX_OK)
                        ++*accepted;
        }
        zx_status_t committed = vmbus_channel_commit_send(netvsc->channel);
        netdev->queues[0].counters.notifications = netvsc->channel->signal_count;
        return status == ZX_OK && *accepted == 0 ? committed : status;
}

/* ---- back ---- */

static void give_section_back(struct netvsc *netvsc, struct netvsc_send_slot *slot)
{
        if (slot->section != 0)
                netvsc->send_sections_free |= BIT_MASK(slot->section - 1);
        slot->section = 0;
}

void netvsc_sent(struct netvsc *netvsc, struct netvsc_send_slot *slot, bool failed)
{
        ASSERT(slot->state == NETVSC_SLOT_SENT); /* the request table lets an id through once */
        slot->state = NETVSC_SLOT_DONE;
        slot->failed = failed;
        give_section_back(netvsc, slot);
        netvsc->done_slots[netvsc->done_slot_count++] = (uint16_t)(slot - netvsc->slots);
}

static void free_slot(struct netvsc *netvsc, uint32_t index)
{
        netvsc->slots[index].state = NETVSC_SLOT_FREE;
        netvsc->free_slots[netvsc->free_slot_count++] = (uint16_t)index;
}

uint32_t netvsc_tell_sent(struct netvsc *netvsc, uint32_t budget)
{
        uint32_t told = 0, next = 0;
        uint32_t end = (uint32_t)min_u64(budget, netvsc->done_slot_count);
        while (next < end) {
                uint32_t ids[NETDEV_BATCH_MAX], count = 0;
                bool failed = netvsc->slots[netvsc->done_slots[next]].failed;
                while (next < end && count < NETDEV_BATCH_MAX &&
                       netvsc->slots[netvsc->done_slots[next]].failed == failed) {
                        uint32_t index = netvsc->done_slots[next++];
                        ids[count++] = netvsc->slots[index].frame_id;
                        free_slot(netvsc, index);
                }
                told += count;
                netdev_transmit_done(&netvsc->netdev, 0, ids, count, failed ? ZX_ERR_IO : ZX_OK);
        }
        /* The client may have sent from inside; nothing is done by
         * that, so the rest stands still. */
        netvsc->done_slot_count -= end;
        memmove(netvsc->done_slots, netvsc->done_slots + end,
                netvsc->done_slot_count * sizeof(netvsc->done_slots[0]));
        return told;
}

void netvsc_cancel_sent(struct netvsc *netvsc)
{
        (void)netvsc_tell_sent(netvsc, NETVSC_SEND_SLOTS);
        for (uint32_t i = 0; i < NETVSC_SEND_SLOTS; i++) {
                struct netvsc_send_slot *slot = &netvsc->slots[i];
                if (slot->state != NETVSC_SLOT_SENT)
                        continue;
                uint32_t id = slot->frame_id;
                give_section_back(netvsc, slot);
                free_slot(netvsc, i);
                netdev_transmit_done(&netvsc->netdev, 0, &id, 1, ZX_ERR_CANCELED);
        }
}
