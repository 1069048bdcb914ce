/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of drivers/hyperv/netvsc*.c against a host that another hand has written: bring-up by every
 * version, frames both ways, offloads, link, settings, the end in each of its forms. */
#include "tests/host/netvsc_bed.h"

/* Nobody sleeps in netdev_wait() here; in the image the kernel's own is used. */
__attribute__((weak)) void netdev_wake(struct netdev *netdev, uint32_t queue_bits)
{
        (void)netdev;
        (void)queue_bits;
}

/* ---- bring-up ---- */

TEST(netvsc, a_card_comes_up_and_goes)
{
        CONNECT(0);
        const uint8_t mac[] = {2, 0, 0, 0, 0, 9};
        EXPECT_TRUE(bed.card.netdev.running);
        EXPECT_TRUE(bed.card.netdev.link_up);
        EXPECT_BYTES_EQ(bed.card.netdev.mac, mac, sizeof(mac));
        EXPECT_EQ(bed.card.netdev.mtu, 1500);
        EXPECT_EQ(bed.card.version, NVSP_VERSION_6_1);
        EXPECT_GT(bed.card.suballocation_count, 100);
        EXPECT_GT(bed.card.send_section_bytes, 0);
        EXPECT_EQ(vmbus_host_rig_filter(), 1 | 4 | 8); /* directed, all multicast, broadcast */
        bed_end(t);
        EXPECT_EQ(bed.rescinds, 1);
        EXPECT_EQ(vmbus_host_rig_faults(), 0);
}

TEST(netvsc, every_version_carries_frames)
{
        static const uint32_t versions[] = {NVSP_VERSION_6_1, NVSP_VERSION_6, NVSP_VERSION_5,
                                            NVSP_VERSION_4, NVSP_VERSION_2, NVSP_VERSION_1};
        char *memory = world_pages(t, BED_PAGES, NULL);
        for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
                REQUIRE_TRUE(bed_begin(t, memory, versions[i]));
                REQUIRE_OK(vmbus_connect(&bed.vmbus));
                REQUIRE_OK(bed.offer_status);
                REQUIRE_TRUE(bed_attach(t));
                EXPECT_EQ(bed.card.version, versions[i]);
                struct netdev_frame frame = bed_make_frame(1, 100, 1);
                EXPECT_OK(bed_send(&frame));
                EXPECT_TRUE(bed_until(&bed.done_ok, 1));
                EXPECT_TRUE(bed_sent_right(1, 100));
                bed.to_receive = 1;
                EXPECT_TRUE(bed_until(&bed.received, 1));
                bed_end(t);
                EXPECT_EQ(vmbus_host_rig_faults(), 0);
        }
}

/* What the host is told of NDIS, by version (f.8), and how it is taken leave of: the channel,
 * then the buffers' GPADLs, before version 4 the other way round; by a card that begins anew,
 * HALT and both revokes first. */
TEST(netvsc, the_host_hears_what_its_version_wants)
{
        static const struct {
                uint32_t version, minor, capabilities;
                uint8_t end[5]; /* messages, the last ones: TEARDOWN 11, CLOSE 7, UNLOAD 16 */
        } cases[] = {
                {NVSP_VERSION_6_1, 30, 8, {7, 11, 11, 11, 16}},
                {NVSP_VERSION_5, 30, 8, {7, 11, 11, 11, 16}},
                {NVSP_VERSION_4, 1, 8, {7, 11, 11, 11, 16}},
                {NVSP_VERSION_2, 1, 8, {11, 11, 7, 11, 16}},
                {NVSP_VERSION_1, 1, 0, {11, 11, 7, 11, 16}},
        };
        char *memory = world_pages(t, BED_PAGES, NULL);
        for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
                REQUIRE_TRUE(bed_begin(t, memory, cases[i].version));
                REQUIRE_OK(vmbus_connect(&bed.vmbus));
                REQUIRE_OK(bed.offer_status);
                struct vmbus_host_rig_heard heard = vmbus_host_rig_heard();
                EXPECT_EQ(heard.ndis_major, 6);
                EXPECT_EQ(heard.ndis_minor, cases[i].minor);
                EXPECT_EQ(heard.capabilities, cases[i].capabilities);
                bed.on_signal = vmbus_host_rig_poll;
                REQUIRE_OK(netdev_restart(&bed.card.netdev));
                bed.on_signal = NULL;
                heard = vmbus_host_rig_heard();
                EXPECT_EQ(heard.halts, 1);
                EXPECT_EQ(heard.revokes, 2);
                bed_end(t);
                for (uint32_t k = 0; k < 5; k++)
                        EXPECT_EQ(bed.posted[(bed.posted_count - 5 + k) % BED_POSTED_MAX],
                                  cases[i].end[k]);
                EXPECT_EQ(vmbus_host_rig_faults(), 0);
        }
}

/* Set up by a host that takes no frames as long as we want, with its cable
 * out: nobody tells us afterwards. */
TEST(netvsc, the_host_is_asked_for_mtu_and_link)
{
        BEGIN(0);
        bed.card.wanted_mtu = 9300; /* 9216 with the header is the most (f.2): then 1500 it is */
        vmbus_host_rig_link(false);
        REQUIRE_OK(vmbus_connect(&bed.vmbus));
        REQUIRE_OK(bed.offer_status);
        EXPECT_EQ(bed.card.netdev.mtu, 1500);
        EXPECT_FALSE(bed.card.netdev.link_up);
        bed_end(t);
}

/* ---- frames out ---- */

TEST(netvsc, frames_of_all_sizes_and_pieces_go_out_whole)
{
        CONNECT(0);
        uint32_t id = 0;
        for (uint32_t bytes = 14; bytes <= 1514; bytes += 75) {
                for (uint32_t parts = 1; parts <= VMO_BUFFER_PARTS_MAX; parts++) {
                        struct netdev_frame frame = bed_make_frame(++id, bytes, parts);
                        REQUIRE_OK(bed_send(&frame));
                        REQUIRE_TRUE(bed_until(&bed.done_ok, id));
                        EXPECT_TRUE(bed_sent_right(id, bytes));
                }
        }
        EXPECT_EQ(bed.card.frames_by_section, 0);
        EXPECT_EQ(bed.done_other, 0);
        bed_end(t);
}

TEST(netvsc, small_frames_go_through_a_section_when_asked)
{
        CONNECT(0);
        bed.card.copy_break = 200;
        for (uint32_t id = 1; id <= 300; id++) {
                struct netdev_frame frame = bed_make_frame(id, id <= 150 ? 200 : 201, 3);
                REQUIRE_OK(bed_send(&frame));
                REQUIRE_TRUE(bed_until(&bed.done_ok, id));
                EXPECT_TRUE(bed_sent_right(id, id <= 150 ? 200 : 201));
        }
        EXPECT_EQ(bed.card.frames_by_section, 150);
        bed_end(t);
}

TEST(netvsc, too_many_pieces_for_the_host_are_copied)
{
        CONNECT(0);
        bed.card.pieces_max = 3; /* as if InitComplete had said so */
        struct netdev_frame frame = bed_make_frame(1, 1000, 4);
        REQUIRE_OK(bed_send(&frame));
        REQUIRE_TRUE(bed_until(&bed.done_ok, 1));
        EXPECT_TRUE(bed_sent_right(1, 1000));
        EXPECT_EQ(bed.card.frames_by_section, 1);
        bed_end(t);
}

/* A full card says so, loses nothing, and goes on. */
TEST(netvsc, a_flood_meets_back_pressure_and_arrives_whole)
{
        CONNECT(0);
        struct netdev_frame frame = bed_make_frame(7, 1514, 2);
        uint64_t accepted_count = 0, waits = 0;
        for (unsigned i = 0; i < 2000; i++) {
                uint32_t accepted;
                zx_status_t status =
                        netdev_transmit(&bed.card.netdev, 0, &frame, 1, &accepted);
                accepted_count += accepted;
                if (status == ZX_ERR_SHOULD_WAIT) {
                        EXPECT_EQ(accepted, 0);
                        waits++;
                        bed_round();
                } else {
                        REQUIRE_OK(status);
                }
        }
        EXPECT_GT(waits, 0);
        REQUIRE_TRUE(bed_until(&bed.done_ok, accepted_count));
        EXPECT_EQ(bed.sent_count, accepted_count);
        EXPECT_EQ(bed.sent_bytes, accepted_count * 1514);
        EXPECT_EQ(netdev_counters(&bed.card.netdev)->total.transmit_full, waits);
        bed_end(t);
}

/* On the guest's page of each ring, where a host looks for it (a.1). */
TEST(netvsc, signals_are_counted_where_the_host_sees_them)
{
        CONNECT(0);
        const struct vmbus_sender *sender = &bed.card.channel->sender;
        for (uint32_t id = 1; id <= 5; id++) {
                struct netdev_frame frame = bed_make_frame(id, 60, 1);
                REQUIRE_OK(bed_send(&frame));
                REQUIRE_TRUE(bed_until(&bed.done_ok, id));
        }
        EXPECT_GE(sender->signals.sent, 5);
        EXPECT_EQ(sender->memory.control->guest_to_host_interrupt_count, sender->signals.sent);
        const struct vmbus_receiver *receiver = &bed.card.channel->receiver;
        EXPECT_PTR_EQ(receiver->signals.word,
                      &receiver->memory.control->guest_to_host_interrupt_count);
        bed_end(t);
}

TEST(netvsc, a_tag_is_carried_beside_the_frame)
{
        CONNECT(0);
        /* By offload. */
        struct netdev_frame frame = bed_make_frame(1, 64, 1);
        frame.offload.vlan = true;
        frame.offload.vlan_tci = 3 << 13 | 0x123;
        REQUIRE_OK(bed_send(&frame));
        REQUIRE_TRUE(bed_until(&bed.done_ok, 1));
        const uint8_t tag[] = {0x81, 0x00, 0x61, 0x23};
        EXPECT_EQ(bed_last_sent()->bytes, 68);
        EXPECT_BYTES_EQ(bed_last_sent()->data + 12, tag, sizeof(tag));
        EXPECT_EQ(bed_last_sent()->data[16], bed_byte(1, 12));
        /* In the frame, over each border of parts: it is cut out, and the host puts it back. */
        for (uint32_t parts = 1; parts <= VMO_BUFFER_PARTS_MAX; parts++) {
                for (uint32_t bytes = 40; bytes < 72; bytes += 3) {
                        frame = bed_make_frame(2, bytes, parts);
                        uint8_t *at = NULL;
                        uint32_t passed = 0;
                        for (uint32_t i = 0; i < 4; i++) {
                                const struct vmo_buffer *buffer = &frame.buffer.buffer;
                                for (uint32_t k = 0, sum = 0; k < parts; k++) {
                                        uint32_t length =
                                                (uint32_t)buffer->parts[k].region.length;
                                        if (12 + i >= sum && 12 + i < sum + length)
                                                at = bed.va + buffer->parts[k].region.offset + 12 +
                                                     i - sum;
                                        sum += length;
                                }
                                *at = tag[i];
                                passed++;
                        }
                        REQUIRE_OK(bed_send(&frame));
                        REQUIRE_TRUE(bed_until(&bed.done_ok, bed.done_ok + 1));
                        const struct bed_frame *sent = bed_last_sent();
                        EXPECT_EQ(sent->bytes, bytes);
                        EXPECT_BYTES_EQ(sent->data + 12, tag, sizeof(tag));
                        for (uint32_t i = 16; i < bytes; i++)
                                EXPECT_EQ(sent->data[i], bed_byte(2, i));
                        EXPECT_EQ(passed, 4);
                }
        }
        bed_end(t);
}

/* ---- offloads: the host carries them out, so what arrives on the network is checked ---- */

static uint16_t sum16(const uint8_t *bytes, uint32_t count, uint32_t sum)
{
        for (uint32_t i = 0; i < count; i++)
                sum += (uint32_t)bytes[i] << (i % 2 == 0 ? 8 : 0);
        while (sum >> 16)
                sum = (sum & UINT16_MAX) + (sum >> 16);
        return (uint16_t)sum;
}

/* Of the transport header at `start`: the fields that a checksum and a segmentation need, with the
 * sum of the pseudo-header in the checksum's place, as netdev wants it.
 *   header_bytes  of the header alone
 *   addresses     the sum of the 16-bit words of both */
static void make_transport(struct netdev_frame *frame, uint16_t start, uint8_t protocol,
                           uint32_t header_bytes, uint16_t addresses)
{
        struct vmo_region whole = frame->buffer.buffer.parts[0].region;
        uint8_t *at = bed.va + whole.offset + start;
        uint32_t length = (uint32_t)whole.length - start;
        if (protocol == 6)
                at[12] = (uint8_t)(header_bytes / 4 << 4); /* data offset */
        if (protocol == 17) {
                at[4] = (uint8_t)(length >> 8);
                at[5] = (uint8_t)length;
        }
        uint16_t offset = protocol == 6 ? 16 : 6;
        uint16_t pseudo = sum16(NULL, 0, addresses + protocol + length);
        at[offset] = (uint8_t)(pseudo >> 8);
        at[offset + 1] = (uint8_t)pseudo;
        frame->offload.checksum = true;
        frame->offload.checksum_start = start;
        frame->offload.checksum_offset = offset;
}

/* Headers of an IPv4 frame: Ethernet, IP, then `transport` bytes of a protocol;
 * in the client's VMO, one part. */
static struct netdev_frame make_ipv4(uint8_t protocol, uint32_t transport, uint32_t payload)
{
        uint32_t bytes = 34 + transport + payload;
        struct netdev_frame frame = bed_make_frame(1, bytes, 1);
        uint8_t *at = bed.va + frame.buffer.buffer.parts[0].region.offset;
        const uint8_t ip[] = {0x45, 0, (uint8_t)((bytes - 14) >> 8), (uint8_t)(bytes - 14),
                              0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
        at[12] = 0x08;
        at[13] = 0x00;
        memcpy(at + 14, ip, sizeof(ip));
        uint16_t header = (uint16_t)~sum16(ip, sizeof(ip), 0);
        at[24] = (uint8_t)(header >> 8);
        at[25] = (uint8_t)header;
        make_transport(&frame, 34, protocol, transport, sum16(ip + 12, 8, 0));
        return frame;
}

static bool ipv4_sums_right(const struct bed_frame *sent, uint8_t protocol)
{
        uint32_t length = sent->bytes - 34;
        return sum16(sent->data + 14, 20, 0) == 0xffff &&
               sum16(sent->data + 34, length, sum16(sent->data + 26, 8, protocol + length)) ==
                       0xffff;
}

TEST(netvsc, the_host_fills_in_checksums)
{
        CONNECT(0);
        REQUIRE_TRUE(netdev_can(&bed.card.netdev.capabilities, NETDEV_CAN_CHECKSUM_BIT));
        struct netdev_frame tcp = make_ipv4(6, 20, 333);
        REQUIRE_OK(bed_send(&tcp));
        REQUIRE_TRUE(bed_until(&bed.done_ok, 1));
        EXPECT_TRUE(ipv4_sums_right(bed_last_sent(), 6));
        struct netdev_frame udp = make_ipv4(17, 8, 50);
        REQUIRE_OK(bed_send(&udp));
        REQUIRE_TRUE(bed_until(&bed.done_ok, 2));
        EXPECT_TRUE(ipv4_sums_right(bed_last_sent(), 17));
        bed_end(t);
}

/* Sends a frame that is to be cut, and judges the segments.
 *   sums_right  the judge of their checksums */
static void expect_segments(struct test *t, struct netdev_frame *frame, uint32_t payload,
                            bool (*sums_right)(const struct bed_frame *sent, uint8_t protocol))
{
        uint32_t headers = frame->offload.header_bytes, segment = frame->offload.segment_bytes;
        uint8_t before[128];
        const uint8_t *header = bed.va + frame->buffer.buffer.parts[0].region.offset;
        REQUIRE_TRUE(headers <= sizeof(before));
        memcpy(before, header, headers);
        REQUIRE_OK(bed_send(frame));
        REQUIRE_TRUE(bed_until(&bed.done_ok, 1));
        EXPECT_EQ(bed.sent_count, (payload + segment - 1) / segment);
        for (uint64_t i = 0; i < bed.sent_count; i++) {
                const struct bed_frame *sent = &bed.sent[i];
                EXPECT_TRUE(sums_right(sent, 6));
                EXPECT_EQ(sent->bytes, i + 1 < bed.sent_count ? headers + segment
                                                              : headers + payload % segment);
                EXPECT_EQ(sent->data[headers], bed_byte(1, (uint32_t)(headers + i * segment)));
        }
        EXPECT_BYTES_EQ(header, before, headers); /* the client's memory is as it was */
}

TEST(netvsc, the_host_cuts_a_large_frame_into_segments)
{
        CONNECT(0);
        REQUIRE_TRUE(netdev_can(&bed.card.netdev.capabilities, NETDEV_CAN_TSO4_BIT));
        enum { payload = 20000, segment = 1448 };
        /* 20 KiB do not fit one page of the client's window, which is contiguous. */
        struct netdev_frame frame = make_ipv4(6, 32, payload);
        frame.offload.segmentation = NETDEV_SEGMENT_TSO4;
        frame.offload.segment_bytes = segment;
        frame.offload.header_bytes = 66;
        expect_segments(t, &frame, payload, ipv4_sums_right);
        bed_end(t);
}

/* The same for IPv6: Ethernet, IP, then `transport` bytes of a protocol. */
static struct netdev_frame make_ipv6(uint8_t protocol, uint32_t transport, uint32_t payload)
{
        uint32_t bytes = 54 + transport + payload;
        struct netdev_frame frame = bed_make_frame(1, bytes, 1);
        uint8_t *at = bed.va + frame.buffer.buffer.parts[0].region.offset;
        const uint8_t ip[40] = {0x60, 0, 0, 0, (uint8_t)((bytes - 54) >> 8), (uint8_t)(bytes - 54),
                                protocol, 64, 0xfe, 0x80, [23] = 1, 0xfe, 0x80, [39] = 2};
        at[12] = 0x86;
        at[13] = 0xdd;
        memcpy(at + 14, ip, sizeof(ip));
        make_transport(&frame, 54, protocol, transport, sum16(ip + 8, 32, 0));
        return frame;
}

static bool ipv6_sums_right(const struct bed_frame *sent, uint8_t protocol)
{
        uint32_t length = sent->bytes - 54;
        return (uint32_t)(sent->data[18] << 8 | sent->data[19]) == length &&
               sum16(sent->data + 54, length, sum16(sent->data + 22, 32, protocol + length)) ==
                       0xffff;
}

TEST(netvsc, the_host_fills_in_checksums_of_ipv6)
{
        CONNECT(0);
        struct netdev_frame tcp = make_ipv6(6, 20, 333);
        REQUIRE_OK(bed_send(&tcp));
        REQUIRE_TRUE(bed_until(&bed.done_ok, 1));
        EXPECT_EQ(bed_last_sent()->bytes, 54 + 20 + 333);
        EXPECT_TRUE(ipv6_sums_right(bed_last_sent(), 6));
        struct netdev_frame udp = make_ipv6(17, 8, 50);
        REQUIRE_OK(bed_send(&udp));
        REQUIRE_TRUE(bed_until(&bed.done_ok, 2));
        EXPECT_TRUE(ipv6_sums_right(bed_last_sent(), 17));
        bed_end(t);
        EXPECT_EQ(vmbus_host_rig_faults(), 0);
}

TEST(netvsc, the_host_cuts_a_large_frame_of_ipv6_into_segments)
{
        CONNECT(0);
        REQUIRE_TRUE(netdev_can(&bed.card.netdev.capabilities, NETDEV_CAN_TSO6_BIT));
        enum { payload = 20000, segment = 1428, headers = 86 };
        struct netdev_frame frame = make_ipv6(6, headers - 54, payload);
        frame.offload.segmentation = NETDEV_SEGMENT_TSO6;
        frame.offload.segment_bytes = segment;
        frame.offload.header_bytes = headers;
        expect_segments(t, &frame, payload, ipv6_sums_right);
        bed_end(t);
        EXPECT_EQ(vmbus_host_rig_faults(), 0);
}

/* The headers of a frame to be cut, as NDIS wants them (f.6): no length, no IPv4 checksum,
 * in TCP's the sum of the addresses and the protocol. The host makes all of them anew for
 * each segment, whatever stood there; so they are looked at where the card has put them, in
 * the piece behind RNDIS's own. */
static void expect_ready_for_ndis(struct test *t, const struct netdev_frame *frame, bool ipv6)
{
        const uint8_t *given = bed.va + frame->buffer.buffer.parts[0].region.offset,
                      *message = NULL;
        uint32_t words[4], tcp = ipv6 ? 54 : 34;
        for (uint32_t slot = 0; slot < NETVSC_SEND_SLOTS && message == NULL; slot++) {
                memcpy(words, bed.card.header_va + slot * NETVSC_HEADER_BYTES, sizeof(words));
                if (words[0] == RNDIS_PACKET)
                        message = bed.card.header_va + slot * NETVSC_HEADER_BYTES;
        }
        REQUIRE_TRUE(message != NULL);
        const uint8_t *made = message + 8 + words[2];
        uint16_t sum = ipv6 ? sum16(given + 22, 32, 6) : sum16(given + 26, 8, 6);
        EXPECT_EQ(made[tcp + 16] << 8 | made[tcp + 17], sum);
        EXPECT_EQ(made[ipv6 ? 18 : 16] | made[ipv6 ? 19 : 17], 0);
        if (!ipv6)
                EXPECT_EQ(made[24] | made[25], 0);
        EXPECT_BYTES_EQ(made + tcp - 8, given + tcp - 8, 8 + 16); /* the rest is as it was */
}

TEST(netvsc, headers_of_a_large_frame_are_made_ready_for_ndis)
{
        for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
                CONNECT(0);
                struct netdev_frame frame = ipv6 ? make_ipv6(6, 32, 9000) : make_ipv4(6, 32, 9000);
                frame.offload.segmentation = ipv6 ? NETDEV_SEGMENT_TSO6 : NETDEV_SEGMENT_TSO4;
                frame.offload.segment_bytes = 1400;
                frame.offload.header_bytes = ipv6 ? 86 : 66;
                REQUIRE_OK(bed_send(&frame));
                REQUIRE_TRUE(bed_until(&bed.done_ok, 1));
                expect_ready_for_ndis(t, &frame, ipv6 != 0);
                bed_end(t);
        }
}

TEST(netvsc, what_ndis_cannot_do_is_refused)
{
        CONNECT(0);
        struct netdev_frame frame = make_ipv4(6, 20, 100);
        frame.offload.checksum_offset = 10; /* neither TCP nor UDP */
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, bed_send(&frame));
        frame = make_ipv4(6, 20, 100);
        bed.va[frame.buffer.buffer.parts[0].region.offset + 12] = 0x86; /* no IP at all */
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, bed_send(&frame));
        EXPECT_EQ(bed.card.free_slot_count, NETVSC_SEND_SLOTS);
        bed_round();
        EXPECT_EQ(bed.sent_count, 0);
        bed_end(t);
}

/* ---- frames in ---- */

TEST(netvsc, many_frames_come_in_whole)
{
        CONNECT(0);
        uint64_t total = 0;
        for (uint32_t bytes = 60; bytes <= 1514; bytes += 121) {
                bed.receive_bytes = bytes;
                bed.to_receive = 500;
                total += 500;
                REQUIRE_TRUE(bed_until(&bed.received, total));
        }
        EXPECT_EQ(bed.received_wrong, 0);
        EXPECT_EQ(netdev_receive_held(&bed.card.netdev), 0);
        EXPECT_EQ(bed.card.fault, NETVSC_FAULT_NONE);
        bed_end(t);
        EXPECT_EQ(vmbus_host_rig_faults(), 0);
}

TEST(netvsc, a_received_tag_is_told)
{
        CONNECT(0);
        bed.receive_tci = 5 << 13 | 77;
        bed.to_receive = 1;
        REQUIRE_TRUE(bed_until(&bed.received, 1));
        EXPECT_TRUE(bed.info.vlan);
        EXPECT_EQ(bed.info.vlan_tci, 5 << 13 | 77);
        EXPECT_EQ(bed.received_wrong, 0);
        bed_end(t);
}

/* A client that releases nothing stops the flow, and nothing else. */
TEST(netvsc, what_is_held_is_not_written_again)
{
        CONNECT(0);
        bed.keep = true;
        bed.to_receive = 5000;
        for (unsigned i = 0; i < 300; i++)
                bed_round();
        /* The host keeps a few for its control messages. */
        EXPECT_LE(bed.received, bed.card.suballocation_count);
        EXPECT_GE(bed.received + 8, bed.card.suballocation_count);
        EXPECT_EQ(netdev_receive_held(&bed.card.netdev), bed.received);
        EXPECT_EQ(bed.to_receive, 5000 - bed.received);
        uint64_t before = bed.received;
        bed.keep = false;
        bed_release_held();
        REQUIRE_TRUE(bed_until(&bed.received, 5000));
        EXPECT_GT(bed.received, before);
        bed_end(t);
}

static uint32_t in_at_signal;
static void note_in(void)
{
        in_at_signal = bed.card.channel->sender.memory.control->in;
}

/* What is given back together is told together: the host that is woken finds all of it. */
TEST(netvsc, completions_go_out_in_one_batch)
{
        CONNECT(0);
        bed.keep = true;
        for (uint64_t count = 1; count <= 10; count++) { /* each by a packet of its own */
                bed.to_receive = 1;
                REQUIRE_TRUE(bed_until(&bed.received, count));
        }
        for (unsigned i = 0; i < 4; i++)
                bed_round(); /* the host sleeps */
        uint64_t signals = bed.card.channel->sender.signals.sent;
        bed.on_signal = note_in;
        bed_release_held();
        EXPECT_EQ(bed.card.channel->sender.signals.sent, signals + 1);
        EXPECT_EQ(in_at_signal, bed.card.channel->sender.memory.control->in);
        bed.on_signal = NULL;
        bed_round();
        EXPECT_EQ(vmbus_host_rig_heard().buffers_out, 0);
        bed_end(t);
}

/* Completions that find the ring full wait, and none is lost: else the
 * host would run out of buffers. */
TEST(netvsc, completions_that_do_not_fit_go_out_later)
{
        static const uint32_t switch_data_path[10] = {129, 0}; /* to where it is: means nothing */
        const struct vmbus_outgoing filler = {.kind = VMBUS_SEND_IN_BAND,
                                              .payload_bytes = sizeof(switch_data_path)};
        CONNECT(0);
        bed.keep = true;
        for (uint64_t count = 1; count <= 20; count++) {
                bed.to_receive = 1;
                REQUIRE_TRUE(bed_until(&bed.received, count));
        }
        while (vmbus_channel_send(bed.card.channel, &filler, switch_data_path) == ZX_OK)
                ; /* the host does not look: the ring ends it */
        bed_release_held();
        EXPECT_EQ(bed.card.completions_put_off, 1);
        EXPECT_EQ(vmbus_host_rig_heard().buffers_out, 20);
        for (unsigned i = 0; i < 100; i++)
                bed_round();
        EXPECT_EQ(vmbus_host_rig_heard().buffers_out, 0);
        EXPECT_EQ(vmbus_host_rig_faults(), 0);
        bed_end(t);
}

TEST(netvsc, frames_without_a_client_are_dropped_and_counted)
{
        BEGIN(0);
        REQUIRE_OK(vmbus_connect(&bed.vmbus));
        bed.to_receive = 3000; /* more than there are sub-allocations */
        for (unsigned i = 0; i < 500; i++)
                bed_round();
        EXPECT_EQ(bed.to_receive, 0);
        EXPECT_EQ(netdev_counters(&bed.card.netdev)->total.receive_dropped, 3000);
        bed_end(t);
}

/* ---- link and settings ---- */

TEST(netvsc, the_link_goes_and_comes)
{
        CONNECT(0);
        vmbus_host_rig_link(false);
        for (unsigned i = 0; i < 10; i++)
                bed_round();
        EXPECT_FALSE(bed.card.netdev.link_up);
        EXPECT_GT(bed.state_changes, 0);
        vmbus_host_rig_link(true);
        for (unsigned i = 0; i < 10; i++)
                bed_round();
        EXPECT_TRUE(bed.card.netdev.link_up);
        bed_end(t);
}

/* What NDIS or the host has no list for is let through whole, and a restart keeps what was set. */
TEST(netvsc, a_receive_mode_is_widened_where_it_must_and_kept)
{
        CONNECT(0);
        struct netdev_receive_mode mode = {.unicast_count = 1};
        mode.macs[0][0] = 2;
        REQUIRE_OK(netdev_set_receive_mode(&bed.card.netdev, &mode));
        EXPECT_EQ(vmbus_host_rig_filter(), 1 | 8 | 0x20); /* all there is */
        mode = (struct netdev_receive_mode){.multicast_count = 17}; /* the host has room for 16 */
        for (uint32_t i = 0; i < 17; i++)
                mode.macs[i][0] = 1;
        REQUIRE_OK(netdev_set_receive_mode(&bed.card.netdev, &mode));
        EXPECT_EQ(vmbus_host_rig_filter() & (4 | 0x20), 4); /* all multicast */
        mode = (struct netdev_receive_mode){.promiscuous = true};
        REQUIRE_OK(netdev_set_receive_mode(&bed.card.netdev, &mode));
        REQUIRE_OK(netdev_restart(&bed.card.netdev));
        EXPECT_EQ(vmbus_host_rig_filter(), 1 | 8 | 0x20);
        bed_end(t);
}

TEST(netvsc, filters_are_set_while_frames_flow)
{
        CONNECT(0);
        struct netdev_receive_mode mode = {.promiscuous = true};
        bed.to_receive = 400;
        REQUIRE_OK(netdev_set_receive_mode(&bed.card.netdev, &mode));
        EXPECT_EQ(vmbus_host_rig_filter() & 0x20, 0x20);
        mode = (struct netdev_receive_mode){.multicast_count = 2};
        mode.macs[0][0] = mode.macs[1][0] = 1;
        mode.macs[1][5] = 9;
        REQUIRE_OK(netdev_set_receive_mode(&bed.card.netdev, &mode));
        EXPECT_EQ(vmbus_host_rig_filter(), 1 | 2 | 8);
        EXPECT_EQ(vmbus_host_rig_multicast_count(), 2);
        EXPECT_EQ(vmbus_host_rig_multicast(1)[5], 9);
        /* What came while we waited for the answers is not lost. */
        REQUIRE_TRUE(bed_until(&bed.received, 400));
        bed_end(t);
}

/* ---- ends ---- */

TEST(netvsc, a_rescind_in_traffic_loses_no_frame_and_no_page)
{
        CONNECT(0);
        struct netdev_frame frame = bed_make_frame(3, 600, 2);
        bed.keep = true;
        bed.to_receive = 50;
        for (unsigned i = 0; i < 5; i++)
                bed_round();
        uint64_t sent = 0;
        while (bed_send(&frame) == ZX_OK)
                sent++;
        EXPECT_GT(bed.held_count, 0);
        vmbus_host_rig_rescind();
        for (unsigned i = 0; i < 20; i++)
                bed_round();
        EXPECT_EQ(bed.rescinds, 1);
        EXPECT_TRUE(bed.card.netdev.removed);
        EXPECT_EQ(bed.done_ok + bed.done_other, sent);
        EXPECT_FALSE(netdev_is_idle(&bed.card.netdev));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, bed_send(&frame));
        EXPECT_STATUS(ZX_ERR_PEER_CLOSED, netdev_restart(&bed.card.netdev));
        bed_end(t);
        EXPECT_TRUE(netdev_is_idle(&bed.card.netdev));
}

TEST(netvsc, a_restart_gives_back_what_was_under_way_and_goes_on)
{
        CONNECT(0);
        struct netdev_frame frame = bed_make_frame(3, 600, 2);
        uint64_t sent = 0;
        while (sent < 20 && bed_send(&frame) == ZX_OK)
                sent++;
        bed.keep = true;
        bed.to_receive = 10;
        REQUIRE_TRUE(bed_until(&bed.received, 10));
        for (uint64_t more = 0; more < 5; more++)
                sent += bed_send(&frame) == ZX_OK;
        /* What the client holds would be written by the host. */
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, netdev_restart(&bed.card.netdev));
        EXPECT_FALSE(bed.card.netdev.running);
        EXPECT_EQ(bed.done_ok + bed.done_other, sent);
        bed.keep = false;
        bed_release_held();
        REQUIRE_OK(netdev_restart(&bed.card.netdev));
        EXPECT_TRUE(bed.card.netdev.running);
        frame = bed_make_frame(4, 300, 1);
        uint64_t done = bed.done_ok;
        REQUIRE_OK(bed_send(&frame));
        REQUIRE_TRUE(bed_until(&bed.done_ok, done + 1));
        EXPECT_TRUE(bed_sent_right(4, 300));
        bed.to_receive = 10;
        REQUIRE_TRUE(bed_until(&bed.received, 20));
        bed_end(t);
}

/* Every n-th page that the card asks for is refused once: it does
 * not come up, and nothing stays. */
TEST(netvsc, memory_that_runs_out_leaves_nothing_behind)
{
        char *memory = world_pages(t, BED_PAGES, NULL);
        unsigned failures = 0;
        bool up = false;
        for (uint64_t kept = 0; !up && kept < 900; kept += 13) {
                struct list_node pages;
                list_init(&pages);
                REQUIRE_TRUE(bed_begin(t, memory, 0));
                /* All but `kept` pages are somebody else's. */
                uint64_t take = pmm_count_free_pages(&bed.pmm) - kept;
                REQUIRE_OK(pmm_alloc_pages(&bed.pmm, take, PMM_ALLOC_ANY, &pages));
                zx_status_t status = vmbus_connect(&bed.vmbus);
                up = status == ZX_OK && bed.offer_status == ZX_OK;
                failures += !up;
                EXPECT_TRUE(bed.offer_status == ZX_OK || bed.offer_status == ZX_ERR_NO_MEMORY);
                pmm_free(&bed.pmm, &pages);
                bed_end(t);
        }
        EXPECT_TRUE(up);
        EXPECT_GT(failures, 5);
}

/* ---- a host that lies ---- */

/* Whatever it does, nothing is lost but what it was given and does
 * not let go, and nothing hangs. */
TEST(netvsc, a_lying_host_costs_no_memory_and_no_time)
{
        char *memory = world_pages(t, BED_PAGES, NULL);
        unsigned broken = 0, up = 0;
        for (uint64_t seed = 1; seed <= 400; seed++) {
                REQUIRE_TRUE(bed_begin(t, memory, 0));
                /* Half of them from the start, half of them when the card is up. */
                if (seed % 2 == 0)
                        vmbus_host_rig_lie(seed, 1 + seed % 40);
                zx_status_t status = vmbus_connect(&bed.vmbus);
                bool running = status == ZX_OK && bed.card.channel != NULL &&
                               bed.card.netdev.running;
                if (running) {
                        up++;
                        vmbus_host_rig_lie(seed, 1 + seed % 40);
                        REQUIRE_TRUE(bed_attach(t));
                        bed.receive_bytes = 60 + seed * 3;
                        bed.to_receive = 200;
                        struct netdev_frame frame = bed_make_frame(1, 60 + (uint32_t)seed, 2);
                        for (unsigned i = 0; i < 200; i++) {
                                (void)bed_send(&frame);
                                bed_round();
                        }
                        EXPECT_TRUE(vmo_store_valid(&bed.card.netdev.store));
                        EXPECT_LE(netdev_transmit_in_flight(&bed.card.netdev), NETVSC_SEND_SLOTS);
                }
                broken += bed.card.fault != NETVSC_FAULT_NONE || bed.vmbus.fault != 0;
                (void)!vmbus_disconnect(&bed.vmbus);
                EXPECT_EQ(vmbus_state(&bed.vmbus), VMBUS_STATE_IDLE);
                if (bed.card.channel != NULL) {
                        EXPECT_FALSE(bed.card.opened);
                        EXPECT_EQ(netdev_transmit_in_flight(&bed.card.netdev), 0);
                        bed_detach(t);
                        netvsc_fini(&bed.card);
                }
                uint64_t missing = bed.free_pages - pmm_count_free_pages(&bed.pmm);
                /* A VMO that is leaked keeps its slab's page, and its tree's. */
                EXPECT_GE(missing, bed.vmbus.leaked_pages);
                EXPECT_LE(missing, bed.vmbus.leaked_pages + (bed.vmbus.leaked_pages != 0 ? 2 : 0));
        }
        EXPECT_GT(broken, 50);
        EXPECT_GT(up, 50);
}
