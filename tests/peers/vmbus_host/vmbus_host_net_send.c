/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_net_send — RNDIS packets from the guest: gathered from send buffer and pages, checked,
 * taken apart. Facts: spec/vmbus.md, f.4, f.6.
 *
 *   | first page of config.frame, free | RNDIS messages, as the guest sent them ....
 *                                       ^NET_AHEAD_BYTES
 * Everything is copied out before the first check: the guest may change its memory at any time. */
#include "tests/peers/vmbus_host/vmbus_host_net_internal.h"

/* Kept free before the messages, so that a frame at their very beginning can grow a tag. */
#define NET_AHEAD_BYTES 16u
#define NET_GATHERED_MAX (VMBUS_HOST_NET_FRAME_BYTES - NET_AHEAD_BYTES)

/* Copies the section's bytes; false: the rule is noted. */
static bool gather_section(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                           const uint32_t *message, uint8_t *target, uint32_t *bytes)
{
        uint32_t section = message[2], used = message[3];
        *bytes = 0;
        if (section == NVSP_SECTION_NONE)
                return true;
        if (section >= net->send_sections || used > VMBUS_HOST_NET_SECTION_BYTES) {
                vmbus_host_broke(channel, VMBUS_HOST_NVSP_SECTION, section, used);
                return false;
        }
        vmbus_host_pages_read(&net->send, (uint64_t)section * VMBUS_HOST_NET_SECTION_BYTES, target,
                              used);
        *bytes = used;
        return true;
}

/* Appends the bytes of the packet's pages; false: the rule is noted. */
static bool gather_pages(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                         const struct vmbus_incoming *packet, uint8_t *target, uint32_t *bytes)
{
        struct vmbus_gpa_list list;
        struct vmbus_gpa_range range;
        if (packet->type != VMBUS_PACKET_GPA_DIRECT)
                return true;
        vmbus_gpa_list_init(&list, net->words, VMBUS_HOST_NET_WORDS);
        if (!vmbus_host_gpa(channel, packet, &list))
                return false;
        struct vmbus_gpa_cursor cursor = vmbus_gpa_list_cursor(&list);
        while (vmbus_gpa_next(&cursor, &range)) { /* at most VMBUS_HOST_NET_WORDS / 2 */
                const struct vmbus_host_pages pages = {range.pages, range.page_count};
                if (range.byte_count > NET_GATHERED_MAX - *bytes) {
                        vmbus_host_broke(channel, VMBUS_HOST_PACKET_RANGES, range.byte_count,
                                         NET_GATHERED_MAX);
                        return false;
                }
                vmbus_host_pages_read(&pages, range.byte_offset, target + *bytes, range.byte_count);
                *bytes += range.byte_count;
        }
        return true;
}

/* ---- one frame ---- */

/* Whether `length` bytes at `offset` (counted as RNDIS does) lie in a message of `bytes` behind its
 * header of `head` bytes. */
static bool lies_in(uint32_t offset, uint32_t length, uint32_t head, uint32_t bytes)
{
        uint64_t start = (uint64_t)offset + RNDIS_OFFSET_BASE;
        return start >= head && start + length <= bytes;
}

/* Walks the per-packet info; false: it is broken. */
static bool read_info(const uint8_t *info, uint32_t bytes, struct net_wishes *wishes)
{
        while (bytes > 0) { /* each element takes 12 bytes at least */
                if (bytes < RNDIS_PPI_HEADER_BYTES)
                        return false;
                uint32_t size = net_u32(info, 0), type = net_u32(info, 4);
                uint32_t offset = net_u32(info, 8);
                if (size < RNDIS_PPI_HEADER_BYTES || size > bytes || size % 4 != 0 ||
                    offset < RNDIS_PPI_HEADER_BYTES || offset > size)
                        return false;
                bool known = type == RNDIS_PPI_CHECKSUM || type == RNDIS_PPI_LSO ||
                             type == RNDIS_PPI_VLAN;
                if (known && size - offset < 4)
                        return false;
                if (type == RNDIS_PPI_CHECKSUM) {
                        wishes->has_checksum = true;
                        wishes->checksum = net_u32(info, offset);
                } else if (type == RNDIS_PPI_LSO) {
                        wishes->has_lso = true;
                        wishes->lso = net_u32(info, offset);
                } else if (type == RNDIS_PPI_VLAN) {
                        wishes->has_vlan = true;
                        wishes->vlan = net_u32(info, offset);
                }
                info += size;
                bytes -= size;
        }
        return true;
}

static enum vmbus_host_rule check_packet(const struct rndis_packet *packet, uint32_t bytes)
{
        if (bytes < RNDIS_PACKET_BYTES)
                return VMBUS_HOST_RNDIS_BYTES;
        if (packet->oob_offset != 0 || packet->oob_length != 0 || packet->oob_elements != 0 ||
            packet->vc_handle != 0 || packet->reserved != 0)
                return VMBUS_HOST_RNDIS_RESERVED;
        if (!lies_in(packet->data_offset, packet->data_length, RNDIS_PACKET_BYTES, bytes))
                return VMBUS_HOST_RNDIS_DATA;
        if (packet->ppi_length != 0 &&
            !lies_in(packet->ppi_offset, packet->ppi_length, RNDIS_PACKET_BYTES, bytes))
                return VMBUS_HOST_RNDIS_PPI;
        return VMBUS_HOST_NONE;
}

static bool send_frame(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                       uint8_t *message, uint32_t bytes)
{
        struct net_wishes wishes = {0};
        struct rndis_packet packet = {0};
        memcpy(&packet, message, min_u64(bytes, sizeof(packet)));
        enum vmbus_host_rule rule = check_packet(&packet, bytes);
        if (rule == VMBUS_HOST_NONE && packet.ppi_length != 0 &&
            !read_info(message + packet.ppi_offset + RNDIS_OFFSET_BASE, packet.ppi_length, &wishes))
                rule = VMBUS_HOST_RNDIS_PPI;
        if (rule == VMBUS_HOST_NONE && (packet.data_length < NET_ETHERNET_BYTES ||
                                        (!wishes.has_lso && packet.data_length > net->frame_bytes)))
                rule = VMBUS_HOST_RNDIS_FRAME;
        if (rule == VMBUS_HOST_NONE &&
            !net_offload(net, message + packet.data_offset + RNDIS_OFFSET_BASE, packet.data_length,
                         &wishes))
                rule = VMBUS_HOST_RNDIS_OFFLOAD;
        if (rule != VMBUS_HOST_NONE) {
                vmbus_host_broke(channel, rule, packet.data_offset, packet.data_length);
                return false;
        }
        net->frames_in++;
        return true;
}

/* ---- message 107 ---- */

/* Every RNDIS message in `bytes` gathered bytes; the status of the whole. */
static enum nvsp_status take_messages(struct vmbus_host_net *net,
                                      struct vmbus_host_channel *channel, uint32_t channel_type,
                                      uint32_t bytes)
{
        uint8_t *all = net->config.frame + NET_AHEAD_BYTES;
        enum nvsp_status status = NVSP_STATUS_SUCCESS;
        uint32_t at = 0, count = 0;
        do {
                uint8_t *message = all + at;
                uint32_t left = bytes - at;
                uint32_t length = left >= RNDIS_HEADER_BYTES ? net_u32(message, 4) : 0;
                if (length < RNDIS_HEADER_BYTES || length > left) {
                        vmbus_host_broke(channel, VMBUS_HOST_RNDIS_BYTES, length, left);
                        return NVSP_STATUS_INVALID_RNDIS;
                }
                if (++count > RNDIS_PACKETS_MAX) {
                        vmbus_host_broke(channel, VMBUS_HOST_RNDIS_COUNT, count, RNDIS_PACKETS_MAX);
                        return NVSP_STATUS_INVALID_RNDIS;
                }
                if (channel_type == NVSP_CHANNEL_CONTROL)
                        return net_control(net, channel, message, length);
                if (net_u32(message, 0) != RNDIS_PACKET) {
                        vmbus_host_broke(channel, VMBUS_HOST_RNDIS_TYPE, net_u32(message, 0), 0);
                        return NVSP_STATUS_INVALID_RNDIS;
                }
                if (!send_frame(net, channel, message, length)) {
                        net->send_errors++;
                        status = NVSP_STATUS_INVALID_RNDIS;
                }
                at += (uint32_t)round_up(length, BIT_MASK(RNDIS_ALIGNMENT_FACTOR));
        } while (at < bytes);
        return status;
}

bool net_rndis_packet(struct vmbus_host_net *net, struct vmbus_host_channel *channel,
                      const struct vmbus_incoming *packet, const uint32_t *message)
{
        uint32_t answer[NVSP_MESSAGE_WORDS] = {NVSP_SEND_RNDIS_PACKET_COMPLETE,
                                               NVSP_STATUS_FAILURE};
        uint8_t *all = net->config.frame + NET_AHEAD_BYTES;
        uint32_t bytes = 0;
        /* Nothing is done before there is room to say so: the packet would come again. */
        if (packet->completion_requested &&
            vmbus_host_can_send(channel, VMBUS_COMPLETION_BYTES(net_message_words(net) * 4)) ==
                    VMBUS_FULL)
                return false;
        if (message[1] == NVSP_CHANNEL_DATA && net->config.port->ready != NULL &&
            !net->config.port->ready(net->config.port->context)) {
                net->port_full = true;
                return false;
        }
        if (message[1] > NVSP_CHANNEL_CONTROL)
                vmbus_host_broke(channel, VMBUS_HOST_NVSP_CHANNEL_TYPE, message[1], 1);
        else if (message[1] == NVSP_CHANNEL_DATA && !net->initialised)
                vmbus_host_broke(channel, VMBUS_HOST_RNDIS_ORDER, RNDIS_PACKET, 0);
        else if (gather_section(net, channel, message, all, &bytes) &&
                 gather_pages(net, channel, packet, all, &bytes))
                answer[1] = take_messages(net, channel, message[1], bytes);
        if (channel->broken != VMBUS_HOST_NONE)
                return true;
        return net_complete(net, channel, packet, answer);
}
