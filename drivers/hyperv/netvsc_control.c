/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Questions to the host of a Hyper-V network card and the wait for their answers: from an open
 * channel to flowing frames. Facts: spec/vmbus.md, f.1, f.2, f.6 to f.8. */
#include "drivers/hyperv/netvsc.h"

#include "base/assert.h"
#include "base/bytes.h"

#define WAIT_PACKETS 16      /* read between two looks at the clock */
#define WAIT_NS 20000        /* of a pause between two looks at the ring */
#define TRANSFER_BYTES_MAX 0x4000
#define PACKET_ALIGNMENT_LOG2_MAX 12
#define NDIS_MAJOR 6
#define NDIS_MINOR 30
#define NDIS_MINOR_BEFORE_5 1
#define MEDIA_CONNECTED 0
#define MULTICAST_MAX 32

/* NDIS objects of the offload OIDs (f.7). */
struct ndis_object {
        uint8_t type, revision;
        uint16_t bytes;
};
#define NDIS_OBJECT_OFFLOAD 0xa7
#define NDIS_OBJECT_DEFAULT 0x80
#define OFFLOAD_BYTES_1 112 /* revision 1 */
struct ndis_offload_parameters {
        struct ndis_object header;
        uint8_t ipv4_checksum, tcp4_checksum, udp4_checksum, tcp6_checksum, udp6_checksum;
        uint8_t lso1, ipsec1, lso2_ipv4, lso2_ipv6, tcp4_connection, tcp6_connection, reserved;
        uint32_t flags;
};
_Static_assert(sizeof(struct ndis_offload_parameters) == 20, "f.7");
#define CHECKSUM_OFF 1
#define CHECKSUM_BOTH 4
#define LSO_OFF 1
#define LSO_ON 2

/* The start of an offload object that is looked at: what can be
 * checksummed on transmit, and LSO. */
struct ndis_offload {
        struct ndis_object header;
        uint32_t ipv4_send_encapsulation, ipv4_send;
        uint32_t ipv4_receive_encapsulation, ipv4_receive;
        uint32_t ipv6_send_encapsulation, ipv6_send;
        uint32_t ipv6_receive_encapsulation, ipv6_receive;
        uint32_t lso1[4], ipsec1[7];
        uint32_t lso2_ipv4_encapsulation, lso2_ipv4_bytes_max, lso2_ipv4_segments_min;
        uint32_t lso2_ipv6_encapsulation, lso2_ipv6_bytes_max, lso2_ipv6_segments_min;
        uint32_t lso2_ipv6_flags, flags;
};
_Static_assert(sizeof(struct ndis_offload) == OFFLOAD_BYTES_1, "f.7");
#define OFFLOAD_TCP_SHIFT 4 /* two bits each */
#define OFFLOAD_UDP_SHIFT 6
#define OFFLOAD_MASK 3u

/* ---- waiting ---- */

/* Reads the ring until *done or the deadline. */
static zx_status_t wait_for(struct netvsc *netvsc, const bool *done)
{
        struct vmbus *vmbus = netvsc->channel->vmbus;
        struct vmbus_transport *transport = vmbus->config.transport;
        uint64_t deadline = transport->ops->now_ns(transport) + vmbus->config.deadline_ns;
        for (;;) {
                zx_status_t status = netvsc_take(netvsc, WAIT_PACKETS);
                if (*done)
                        return ZX_OK;
                if (status != ZX_OK && status != ZX_ERR_SHOULD_WAIT)
                        return status;
                /* Control ranges that were read are owed a completion, or the host runs out. */
                status = netvsc_complete(netvsc);
                if (status != ZX_OK && status != ZX_ERR_SHOULD_WAIT)
                        return status;
                if (transport->ops->now_ns(transport) >= deadline)
                        return ZX_ERR_TIMED_OUT;
                transport->ops->poll(transport);
                transport->ops->pause(transport, WAIT_NS);
        }
}

/* A message that has no answer. */
static zx_status_t tell(struct netvsc *netvsc, const struct nvsp_message *message)
{
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND,
                                        .payload_bytes = sizeof(*message)};
        return vmbus_channel_send(netvsc->channel, &packet, message);
}

/* A message whose answer is of type `reply_type`; it is in netvsc->call.reply then. */
static zx_status_t ask(struct netvsc *netvsc, const struct nvsp_message *message,
                       uint32_t reply_type)
{
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND_REQUEST,
                                        .payload_bytes = sizeof(*message)};
        netvsc->call = (struct netvsc_call){.waiting = true};
        zx_status_t status =
                vmbus_channel_send_request(netvsc->channel, &packet, message, &netvsc->call);
        if (status == ZX_OK)
                status = wait_for(netvsc, &netvsc->call.done);
        netvsc->call.waiting = false;
        if (status == ZX_OK && netvsc->call.reply.type != reply_type)
                return netvsc_broken(netvsc, NETVSC_FAULT_ANSWER_TYPE);
        return status;
}

/* ---- RNDIS ---- */

static uint8_t *control_page(struct netvsc *netvsc)
{
        return netvsc->header_va + NETVSC_SEND_SLOTS * NETVSC_HEADER_BYTES;
}

/* Sends what stands in the control page. The page is used again only after the host has answered,
 * which it cannot before it has read. */
static zx_status_t send_control(struct netvsc *netvsc, uint32_t bytes)
{
        const struct nvsp_message message = {
                .type = NVSP_SEND_RNDIS_PACKET,
                .rndis = {NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0}};
        uint64_t words[2], page = (netvsc->header_pa + NETVSC_SEND_SLOTS * NETVSC_HEADER_BYTES) /
                                  PAGE_BYTES;
        struct vmbus_gpa_list list;
        struct vmbus_gpa_range range = {.byte_count = bytes, .page_count = 1, .pages = &page};
        vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
        zx_status_t status = vmbus_gpa_list_push(&list, &range);
        ASSERT(status == ZX_OK);
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_GPA_DIRECT,
                                        .payload_bytes = sizeof(message),
                                        .gpa = &list};
        return vmbus_channel_send_request(netvsc->channel, &packet, &message, &netvsc->control);
}

static uint32_t next_request(struct netvsc *netvsc)
{
        static uint32_t last; /* unique is enough, over all cards */
        if (++last == 0)
                last = 1;
        netvsc->request_id = last;
        netvsc->control_done = false;
        return last;
}

/* Sends the control page's `bytes` and waits for the answer to the request made last, which is in
 * netvsc->control then. */
static zx_status_t ask_rndis(struct netvsc *netvsc, uint32_t bytes, uint32_t type)
{
        zx_status_t status = send_control(netvsc, bytes);
        if (status == ZX_OK)
                status = wait_for(netvsc, &netvsc->control_done);
        netvsc->request_id = 0;
        if (status == ZX_OK && netvsc->control.type != (type | RNDIS_COMPLETE))
                return netvsc_broken(netvsc, NETVSC_FAULT_ANSWER_TYPE);
        return status;
}

static zx_status_t request(struct netvsc *netvsc, struct rndis_request *what)
{
        what->request_id = next_request(netvsc);
        ASSERT(what->information_bytes <= NETVSC_CONTROL_BYTES - RNDIS_REQUEST_BYTES);
        zx_status_t status =
                ask_rndis(netvsc, rndis_put_request(control_page(netvsc), what), what->type);
        if (status == ZX_OK && netvsc->control.status != RNDIS_STATUS_SUCCESS)
                return ZX_ERR_IO;
        return status;
}

/* Asks for `bytes` bytes of information exactly. ZX_ERR_IO: the host
 * refuses, or has another size. */
static zx_status_t query(struct netvsc *netvsc, uint32_t oid, void *out, uint32_t bytes)
{
        struct rndis_request what = {.type = RNDIS_QUERY, .oid = oid};
        zx_status_t status = request(netvsc, &what);
        if (status != ZX_OK)
                return status;
        if (netvsc->control.information_bytes < bytes)
                return ZX_ERR_IO;
        memcpy(out, netvsc->control.information, bytes);
        return ZX_OK;
}

static zx_status_t set(struct netvsc *netvsc, uint32_t oid, const void *information, uint32_t bytes)
{
        struct rndis_request what = {.type = RNDIS_SET,
                                     .oid = oid,
                                     .information = information,
                                     .information_bytes = bytes};
        return request(netvsc, &what);
}

zx_status_t netvsc_take_control(struct netvsc *netvsc, const void *message, uint32_t bytes)
{
        static struct rndis_control control; /* large; one thread for all cards in this state */
        netvsc->rndis_fault = rndis_take_control(message, bytes, &control);
        if (netvsc->rndis_fault != RNDIS_OK)
                return netvsc_broken(netvsc, NETVSC_FAULT_RNDIS);
        if (control.type == RNDIS_INDICATE_STATUS) {
                if (control.status == RNDIS_STATUS_MEDIA_CONNECT)
                        netvsc->link_up_told = true;
                else if (control.status == RNDIS_STATUS_MEDIA_DISCONNECT)
                        netvsc->link_up_told = false;
                return ZX_OK;
        }
        if (control.type == RNDIS_KEEPALIVE && netvsc->request_id == 0) {
                /* The control page is free, for nobody waits. */
                return send_control(netvsc, rndis_put_keepalive_complete(control_page(netvsc),
                                                                         control.request_id));
        }
        /* An answer that nobody waits for any more came late. */
        if ((control.type & RNDIS_COMPLETE) && netvsc->request_id != 0 &&
            control.request_id == netvsc->request_id) {
                netvsc->control = control;
                netvsc->control_done = true;
        }
        return ZX_OK;
}

/* ---- set-up ---- */

static zx_status_t agree_on_version(struct netvsc *netvsc)
{
        static const uint32_t versions[] = {NVSP_VERSION_6_1, NVSP_VERSION_6, NVSP_VERSION_5,
                                            NVSP_VERSION_4, NVSP_VERSION_2, NVSP_VERSION_1};
        for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
                const struct nvsp_message message = {.type = NVSP_INIT,
                                                     .init = {versions[i], versions[i]}};
                zx_status_t status = ask(netvsc, &message, NVSP_INIT_COMPLETE);
                if (status != ZX_OK)
                        return status;
                if (netvsc->call.reply.init_complete.status != NVSP_STATUS_SUCCESS)
                        continue;
                netvsc->version = versions[i];
                netvsc->pieces_max = (uint32_t)min_u64(
                        netvsc->call.reply.init_complete.mdl_chain_max, NETVSC_PIECES_MAX);
                return ZX_OK;
        }
        return ZX_ERR_NOT_SUPPORTED;
}

static zx_status_t tell_ndis(struct netvsc *netvsc)
{
        const struct nvsp_message config = {
                .type = NVSP_SEND_NDIS_CONFIG,
                .ndis_config = {.frame_bytes = netvsc->wanted_mtu + NETDEV_HEADER_BYTES,
                                .capabilities_low = 1u << NVSP_CAPABILITY_VLAN_BIT}};
        const struct nvsp_message version = {
                .type = NVSP_SEND_NDIS_VERSION,
                .ndis_version = {NDIS_MAJOR, netvsc->version >= NVSP_VERSION_5 ?
                                                     NDIS_MINOR : NDIS_MINOR_BEFORE_5}};
        zx_status_t status = ZX_OK;
        if (netvsc->version >= NVSP_VERSION_2)
                status = tell(netvsc, &config);
        return status == ZX_OK ? tell(netvsc, &version) : status;
}

static zx_status_t give_receive_buffer(struct netvsc *netvsc)
{
        const struct nvsp_message message = {
                .type = NVSP_SEND_RECEIVE_BUFFER,
                .buffer = {netvsc->receive_gpadl->handle, NVSP_RECEIVE_BUFFER_ID, 0}};
        zx_status_t status = ask(netvsc, &message, NVSP_SEND_RECEIVE_BUFFER_COMPLETE);
        if (status != ZX_OK)
                return status;
        const struct nvsp_message *reply = &netvsc->call.reply;
        if (reply->receive_buffer_complete.status != NVSP_STATUS_SUCCESS)
                return ZX_ERR_IO;
        uint64_t size = reply->receive_buffer_complete.suballocation_bytes;
        uint64_t count = reply->receive_buffer_complete.suballocation_count;
        uint64_t start = reply->receive_buffer_complete.offset;
        if (reply->receive_buffer_complete.section_count != 1 || count == 0 ||
            count > NETVSC_SUBALLOCATIONS_MAX || size < NETDEV_MTU_MIN ||
            size > netvsc->receive_bytes || start > netvsc->receive_bytes ||
            size * count > netvsc->receive_bytes - start ||
            reply->receive_buffer_complete.end > netvsc->receive_bytes)
                return netvsc_broken(netvsc, NETVSC_FAULT_SECTIONS);
        netvsc->section_offset = (uint32_t)start;
        netvsc->suballocation_bytes = (uint32_t)size;
        netvsc->suballocation_count = (uint32_t)count;
        return ZX_OK;
}

/* A host that wants none, or a section size that is no use, is done without. */
static zx_status_t give_send_buffer(struct netvsc *netvsc)
{
        const struct nvsp_message message = {
                .type = NVSP_SEND_SEND_BUFFER,
                .buffer = {netvsc->send_gpadl->handle, NVSP_SEND_BUFFER_ID, 0}};
        zx_status_t status = ask(netvsc, &message, NVSP_SEND_SEND_BUFFER_COMPLETE);
        if (status != ZX_OK)
                return status;
        uint32_t size = netvsc->call.reply.send_buffer_complete.section_bytes;
        if (netvsc->call.reply.send_buffer_complete.status != NVSP_STATUS_SUCCESS || size == 0 ||
            !is_aligned(size, sizeof(uint32_t)) || size > NETVSC_SEND_BYTES)
                return ZX_OK;
        uint32_t count = (uint32_t)min_u64(NETVSC_SEND_BYTES / size, NETVSC_SECTIONS_MAX);
        netvsc->send_section_bytes = size;
        netvsc->send_sections_free = count == 64 ? UINT64_MAX : BIT_MASK(count) - 1;
        return ZX_OK;
}

static zx_status_t start_rndis(struct netvsc *netvsc)
{
        uint32_t id = next_request(netvsc);
        zx_status_t status = ask_rndis(
                netvsc, rndis_put_initialize(control_page(netvsc), id, TRANSFER_BYTES_MAX),
                RNDIS_INITIALIZE);
        if (status == ZX_OK && (netvsc->control.status != RNDIS_STATUS_SUCCESS ||
                                netvsc->control.alignment_log2 > PACKET_ALIGNMENT_LOG2_MAX))
                return ZX_ERR_IO;
        return status;
}

static zx_status_t ask_about_card(struct netvsc *netvsc)
{
        struct netdev *netdev = &netvsc->netdev;
        uint32_t frame_bytes, media;
        zx_status_t status = query(netvsc, RNDIS_OID_802_3_PERMANENT_ADDRESS, netdev->mac,
                                   NETDEV_MAC_BYTES);
        if (status != ZX_OK)
                return status;
        status = query(netvsc, RNDIS_OID_GEN_MAXIMUM_FRAME_SIZE, &frame_bytes, sizeof(frame_bytes));
        if (status == ZX_OK && frame_bytes >= NETDEV_MTU_MIN)
                netdev->mtu = (uint32_t)min_u64(frame_bytes, netvsc->wanted_mtu);
        else if (status != ZX_OK && status != ZX_ERR_IO)
                return status;
        status = query(netvsc, RNDIS_OID_GEN_MEDIA_CONNECT_STATUS, &media, sizeof(media));
        if (status == ZX_OK)
                netvsc->link_up_told = media == MEDIA_CONNECTED;
        return status == ZX_ERR_IO ? ZX_OK : status;
}

/* Whether transmit checksums of both kinds (TCP, UDP) are offered in `word`. */
static bool checksums_offered(uint32_t word)
{
        return (word >> OFFLOAD_TCP_SHIFT & OFFLOAD_MASK) &&
               (word >> OFFLOAD_UDP_SHIFT & OFFLOAD_MASK);
}

/* Asks for the offloads that the host has and that netdev knows; none is no error. */
static zx_status_t agree_on_offloads(struct netvsc *netvsc)
{
        struct ndis_offload offer;
        struct ndis_object object = {NDIS_OBJECT_OFFLOAD, 1, OFFLOAD_BYTES_1};
        uint32_t *bits = &netvsc->netdev.capabilities.bits;
        struct rndis_request ask_offer = {.type = RNDIS_QUERY,
                                          .oid = RNDIS_OID_TCP_OFFLOAD_CAPABILITIES,
                                          .information = &object,
                                          .information_bytes = sizeof(object)};
        zx_status_t status = request(netvsc, &ask_offer);
        if (status != ZX_OK || netvsc->control.information_bytes < sizeof(offer))
                return status == ZX_ERR_IO ? ZX_OK : status;
        memcpy(&offer, netvsc->control.information, sizeof(offer));
        if (offer.header.type != NDIS_OBJECT_OFFLOAD)
                return ZX_OK;
        bool checksum = checksums_offered(offer.ipv4_send) && checksums_offered(offer.ipv6_send);
        bool lso4 = checksum && offer.lso2_ipv4_bytes_max >= NETDEV_FRAME_BYTES_MAX / 2;
        bool lso6 = checksum && offer.lso2_ipv6_bytes_max >= NETDEV_FRAME_BYTES_MAX / 2;
        if (!checksum)
                return ZX_OK;
        const struct ndis_offload_parameters wanted = {
                .header = {NDIS_OBJECT_DEFAULT, 1, sizeof(wanted)},
                .ipv4_checksum = CHECKSUM_BOTH, .tcp4_checksum = CHECKSUM_BOTH,
                .udp4_checksum = CHECKSUM_BOTH, .tcp6_checksum = CHECKSUM_BOTH,
                .udp6_checksum = CHECKSUM_BOTH,
                .lso2_ipv4 = lso4 ? LSO_ON : LSO_OFF,
                .lso2_ipv6 = lso6 ? LSO_ON : LSO_OFF};
        status = set(netvsc, RNDIS_OID_TCP_OFFLOAD_PARAMETERS, &wanted, sizeof(wanted));
        if (status != ZX_OK)
                return status == ZX_ERR_IO ? ZX_OK : status;
        *bits |= 1u << NETDEV_CAN_CHECKSUM_BIT | 1u << NETDEV_CAN_CHECK_RECEIVED_BIT;
        *bits |= lso4 ? 1u << NETDEV_CAN_TSO4_BIT : 0;
        *bits |= lso6 ? 1u << NETDEV_CAN_TSO6_BIT : 0;
        uint32_t lso_max = lso4 ? offer.lso2_ipv4_bytes_max : 0;
        if (lso6 && (!lso4 || offer.lso2_ipv6_bytes_max < lso_max))
                lso_max = offer.lso2_ipv6_bytes_max;
        netvsc->netdev.capabilities.segmented_bytes_max =
                (uint32_t)min_u64(lso_max, NETDEV_FRAME_BYTES_MAX);
        return ZX_OK;
}

zx_status_t netvsc_set_filter(struct netvsc *netvsc, uint32_t filter)
{
        return set(netvsc, RNDIS_OID_GEN_CURRENT_PACKET_FILTER, &filter, sizeof(filter));
}

zx_status_t netvsc_set_multicast(struct netvsc *netvsc, const uint8_t *macs, uint32_t count)
{
        ASSERT(count <= MULTICAST_MAX);
        return set(netvsc, RNDIS_OID_802_3_MULTICAST_LIST, macs, count * NETDEV_MAC_BYTES);
}

/* No answer comes to a HALT; closing the channel is the end that counts. */
void netvsc_halt(struct netvsc *netvsc)
{
        const struct nvsp_message receive = {.type = NVSP_REVOKE_RECEIVE_BUFFER,
                                             .revoke = {NVSP_RECEIVE_BUFFER_ID, 0}};
        const struct nvsp_message send = {.type = NVSP_REVOKE_SEND_BUFFER,
                                          .revoke = {NVSP_SEND_BUFFER_ID, 0}};
        uint32_t id = next_request(netvsc);
        netvsc->request_id = 0;
        if (send_control(netvsc, rndis_put_halt(control_page(netvsc), id)) != ZX_OK ||
            tell(netvsc, &receive) != ZX_OK)
                return;
        if (netvsc->send_section_bytes != 0)
                (void)!tell(netvsc, &send);
}

zx_status_t netvsc_set_up(struct netvsc *netvsc)
{
        zx_status_t status = agree_on_version(netvsc);
        if (status == ZX_OK)
                status = tell_ndis(netvsc);
        if (status == ZX_OK)
                status = give_receive_buffer(netvsc);
        if (status == ZX_OK)
                status = give_send_buffer(netvsc);
        if (status == ZX_OK)
                status = start_rndis(netvsc);
        if (status == ZX_OK)
                status = ask_about_card(netvsc);
        if (status == ZX_OK)
                status = agree_on_offloads(netvsc);
        if (status == ZX_OK)
                status = netvsc_set_filter(netvsc, netvsc->filter);
        return status;
}
