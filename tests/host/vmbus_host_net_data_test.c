/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_net_data_test — frames through the card, both ways, its offloads, and its lies:
 * spec/vmbus.md, f.4 to f.6. */
#include "tests/host/vmbus_host_net_bed.h"
#include "tests/peers/vmbus_host/vmbus_host_responder.h"

static uint32_t answer[64];

/* ---- from the guest ---- */

/* An RNDIS packet message of these bytes at `target`: `words` of per-packet info between header and
 * frame. Returns its length. */
static uint32_t make_packet(uint8_t *target, const void *frame, uint32_t bytes,
                            const uint32_t *info, uint32_t info_bytes)
{
        uint32_t words[11] = {1, 44 + info_bytes + bytes, 36 + info_bytes, bytes, 0, 0, 0,
                              info_bytes != 0 ? 36 : 0, info_bytes, 0, 0};
        memcpy(target, words, 44);
        memcpy(target + 44, info, info_bytes);
        memcpy(target + 44 + info_bytes, frame, bytes);
        return words[1];
}

static void fill_frame(uint8_t *frame, uint32_t bytes)
{
        for (uint32_t i = 0; i < bytes; i++)
                frame[i] = (uint8_t)(i * 5 + bytes);
        frame[12] = 0x88;
        frame[13] = 0xb5; /* an ethertype for experiments */
}

/* Sends what lies in section 1; the NVSP status. */
static uint32_t send_section(uint32_t bytes)
{
        net_ask((const uint32_t[]){107, 0, 1, bytes, 0, 0, 0, 0, 0, 0}, 40, answer);
        return answer[0] == 108 ? answer[1] : UINT32_MAX;
}

/* Sends what lies at `target` in RAM by pages, behind `section_bytes` of section 1. */
static uint32_t send_pages(struct test *t, const uint8_t *start, uint32_t bytes,
                           uint32_t section_bytes)
{
        uint64_t words[128], pages[32];
        struct vmbus_gpa_list list;
        uint32_t message[10] = {107, 0, section_bytes != 0 ? 1 : 0xffffffff, section_bytes};
        struct vmbus_outgoing direct = {.kind = VMBUS_SEND_GPA_DIRECT, .payload_bytes = 40,
                                        .transaction_id = 99, .gpa = &list};
        struct vmbus_incoming packet;
        uint64_t offset = (uint64_t)(start - the_bed.ram);
        struct vmbus_gpa_range range = {.byte_count = bytes,
                                        .byte_offset = (uint32_t)(offset % 4096),
                                        .page_count =
                                                (uint32_t)((offset % 4096 + bytes + 4095) / 4096),
                                        .pages = pages};
        for (uint32_t i = 0; i < range.page_count; i++)
                pages[i] = BED_FIRST_PAGE + offset / 4096 + i;
        vmbus_gpa_list_init(&list, words, ARRAY_COUNT(words));
        EXPECT_OK(vmbus_gpa_list_push(&list, &range));
        EXPECT_EQ(bed_write(&the_net.channel, &direct, message), VMBUS_OK);
        bed_commit(&the_bed, &the_net.channel);
        memset(answer, 0, sizeof(answer));
        if (bed_receive(&the_bed, &the_net.channel, &packet, answer, 40) != VMBUS_OK ||
            packet.transaction_id != 99)
                return UINT32_MAX;
        return answer[1];
}

TEST(vmbus_host_net_data, frames_go_out)
{
        static uint8_t frame[1514];
        uint32_t bytes, page;
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        fill_frame(frame, sizeof(frame));
        bytes = make_packet(net_section(1), frame, 1514, NULL, 0);
        EXPECT_EQ(send_section(bytes), 1);
        REQUIRE_EQ(the_net.given, 1);
        EXPECT_EQ(the_net.given_bytes[0], 1514);
        EXPECT_BYTES_EQ(the_net.gave[0], frame, 1514);
        page = bed_take_pages(&the_bed, 2);
        bytes = make_packet(bed_page(&the_bed, page) + 3000, frame, 1400, NULL, 0);
        EXPECT_EQ(send_pages(t, bed_page(&the_bed, page) + 3000, bytes, 0), 1);
        EXPECT_EQ(the_net.given_bytes[1], 1400);
        EXPECT_BYTES_EQ(the_net.gave[1], frame, 1400);
        /* The section holds the beginning, the pages the rest. */
        bytes = make_packet(net_section(1), frame, 1300, NULL, 0);
        memcpy(bed_page(&the_bed, page) + 7, net_section(1) + 100, bytes - 100);
        EXPECT_EQ(send_pages(t, bed_page(&the_bed, page) + 7, bytes - 100, 100), 1);
        EXPECT_EQ(the_net.given_bytes[2], 1300);
        EXPECT_BYTES_EQ(the_net.gave[2], frame, 1300);
        EXPECT_EQ(vmbus_host_faults_total(&the_bed.host), 0);
        EXPECT_EQ(the_net.net.frames_in, 3);
}

TEST(vmbus_host_net_data, several_messages_in_one_packet)
{
        uint8_t frame[64];
        uint32_t at = 0, last = 0;
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        for (uint32_t i = 0; i < 8; i++) {
                fill_frame(frame, 57 + i);
                last = at + make_packet(net_section(1) + at, frame, 57 + i, NULL, 0);
                at = (last + 7) / 8 * 8;
        }
        EXPECT_EQ(send_section(last), 1);
        REQUIRE_EQ(the_net.given, 8);
        for (uint32_t i = 0; i < 8; i++) {
                fill_frame(frame, 57 + i);
                EXPECT_EQ(the_net.given_bytes[i], 57 + i);
                EXPECT_BYTES_EQ(the_net.gave[i], frame, 57 + i);
        }
        last = at + make_packet(net_section(1) + at, frame, 60, NULL, 0);
        EXPECT_RULE(&the_bed, RNDIS_COUNT, EXPECT_EQ(send_section(last), 5));
        EXPECT_RULE(&the_bed, RNDIS_BYTES, EXPECT_EQ(send_section(at - 100), 5));
}

TEST(vmbus_host_net_data, a_broken_packet_is_no_frame)
{
        static const struct {
                uint32_t word, value;
                enum vmbus_host_rule rule;
        } rows[] = {
                {0, 2, VMBUS_HOST_RNDIS_TYPE},        {1, 105, VMBUS_HOST_RNDIS_BYTES},
                {1, 7, VMBUS_HOST_RNDIS_BYTES},       {1, 40, VMBUS_HOST_RNDIS_BYTES},
                {1, 0xffffffff, VMBUS_HOST_RNDIS_BYTES},
                {2, 35, VMBUS_HOST_RNDIS_DATA},       {2, 37, VMBUS_HOST_RNDIS_DATA},
                {2, 0xffffffff, VMBUS_HOST_RNDIS_DATA}, {3, 61, VMBUS_HOST_RNDIS_DATA},
                {3, 0xffffffff, VMBUS_HOST_RNDIS_DATA}, {3, 13, VMBUS_HOST_RNDIS_FRAME},
                {3, 0, VMBUS_HOST_RNDIS_FRAME},       {4, 1, VMBUS_HOST_RNDIS_RESERVED},
                {5, 1, VMBUS_HOST_RNDIS_RESERVED},    {6, 1, VMBUS_HOST_RNDIS_RESERVED},
                {9, 1, VMBUS_HOST_RNDIS_RESERVED},    {10, 1, VMBUS_HOST_RNDIS_RESERVED},
                {8, 61, VMBUS_HOST_RNDIS_PPI},        {8, 8, VMBUS_HOST_RNDIS_PPI}};
        static uint8_t frame[1515];
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
                fill_frame(frame, 60);
                make_packet(net_section(1), frame, 60, NULL, 0);
                ((uint32_t *)(void *)net_section(1))[7] = 36;
                ((uint32_t *)(void *)net_section(1))[rows[i].word] = rows[i].value;
                uint32_t before = vmbus_host_faults(&the_bed.host, rows[i].rule);
                if (!EXPECT_EQ(send_section(104), 5))
                        test_log(t, "row %u", i);
                EXPECT_GT(vmbus_host_faults(&the_bed.host, rows[i].rule), before);
        }
        fill_frame(frame, 1515);
        uint32_t bytes = make_packet(net_section(1), frame, 1515, NULL, 0);
        EXPECT_RULE(&the_bed, RNDIS_FRAME, EXPECT_EQ(send_section(bytes), 5));
        EXPECT_EQ(the_net.given, 0);
        EXPECT_EQ(the_bed.host.channels[0].broken, VMBUS_HOST_NONE);
}

TEST(vmbus_host_net_data, per_packet_info_is_walked_with_care)
{
        /* The bytes of all info, then its words. */
        static const uint32_t bad[][7] = {
                {24, 0},         {24, 8},         {12, 11, 9, 12},    {16, 16, 0, 8},
                {16, 16, 9, 17}, {16, 16, 0, 17}, {12, 12, 0, 12},    {16, 16, 0, 16},
                {20, 18, 9, 12}, {24, 28, 9, 12}, {8, 8, 9},          {16, 0xfffffff0, 9, 12},
                {20, 12, 9, 12}, {24, 12, 9, 12, 8, 9, 12}};
        static const uint32_t unknown[4] = {16, 9, 12, 0x101};
        uint8_t frame[60];
        uint32_t bytes;
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        fill_frame(frame, 60);
        for (uint32_t i = 0; i < ARRAY_COUNT(bad); i++) {
                bytes = make_packet(net_section(1), frame, 60, bad[i] + 1, bad[i][0]);
                EXPECT_RULE(&the_bed, RNDIS_PPI, EXPECT_EQ(send_section(bytes), 5));
        }
        bytes = make_packet(net_section(1), frame, 60, unknown, 16);
        EXPECT_EQ(send_section(bytes), 1); /* not understood, no harm */
        EXPECT_EQ(the_net.given, 1);
}

TEST(vmbus_host_net_data, frames_need_rndis)
{
        uint8_t frame[60];
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        EXPECT_EQ(net_control_send(MESSAGE(3, 12, 11)), 1);
        fill_frame(frame, 60);
        uint32_t bytes = make_packet(net_section(1), frame, 60, NULL, 0);
        EXPECT_RULE(&the_bed, RNDIS_ORDER, EXPECT_EQ(send_section(bytes), 2));
}

/* ---- offloads ---- */

/* The sum as RFC 1071 has it, the plain way; `count` bytes, big-endian words. */
static uint32_t plain_sum(const uint8_t *bytes, uint32_t count, uint32_t start)
{
        uint64_t sum = start;
        for (uint32_t i = 0; i < count; i++)
                sum += i % 2 == 0 ? (uint64_t)bytes[i] << 8 : bytes[i];
        while (sum > 0xffff)
                sum = (sum & 0xffff) + (sum >> 16);
        return (uint32_t)sum;
}

/* Ethernet, IP and TCP or UDP with `payload` bytes and no checksums; the length of the frame. */
static uint32_t make_ip(uint8_t *frame, bool ipv6, bool tcp, uint32_t payload)
{
        uint32_t ip = ipv6 ? 40 : 20, head = tcp ? 32 : 8, bytes = 14 + ip + head + payload;
        uint32_t length = head + payload + (ipv6 ? 0 : 20);
        for (uint32_t i = 0; i < bytes; i++)
                frame[i] = (uint8_t)(i * 3 + 1);
        uint8_t *at = frame + 12;
        *at++ = ipv6 ? 0x86 : 0x08;
        *at++ = ipv6 ? 0xdd : 0x00;
        at[0] = ipv6 ? 0x60 : 0x45;
        at[ipv6 ? 4 : 2] = (uint8_t)(length >> 8);
        at[ipv6 ? 5 : 3] = (uint8_t)length;
        at[ipv6 ? 6 : 9] = tcp ? 6 : 17;
        if (!ipv6)
                at[6] = 0x40, at[7] = 0, at[10] = at[11] = 0;
        at += ip;
        if (tcp) {
                memcpy(at + 4, "\xff\xff\xff\x00", 4); /* sequence */
                at[12] = 0x80;
                at[13] = 0x99; /* CWR, ACK, PSH, FIN */
                at[16] = at[17] = 0;
        } else {
                at[4] = (uint8_t)((payload + 8) >> 8);
                at[5] = (uint8_t)(payload + 8);
                at[6] = at[7] = 0;
        }
        return bytes;
}

static bool checksums_hold(struct test *t, const uint8_t *frame, bool ipv6, bool tcp,
                           uint32_t payload)
{
        const uint8_t *ip = frame + 14;
        uint32_t head = ipv6 ? 40 : 20, bytes = (tcp ? 32 : 8) + payload;
        uint32_t pseudo = plain_sum(ip + (ipv6 ? 8 : 12), ipv6 ? 32 : 8, (tcp ? 6 : 17) + bytes);
        bool good = EXPECT_EQ(plain_sum(ip + head, bytes, pseudo), 0xffff);
        return ipv6 ? good : good & EXPECT_EQ(plain_sum(ip, 20, 0), 0xffff);
}

TEST(vmbus_host_net_data, checksums_are_filled_in)
{
        static uint8_t frame[1514];
        for (uint32_t kind = 0; kind < 4; kind++) {
                bool ipv6 = kind & 1, tcp = kind & 2;
                REQUIRE_TRUE(net_up(t, 0x60001, 1));
                for (uint32_t payload = 0; payload < 1400; payload += 1 + payload) {
                        uint32_t info[4] = {16, 0, 12, (ipv6 ? 2 : 0x11) | (tcp ? 4 : 8)};
                        uint32_t bytes = make_ip(frame, ipv6, tcp, payload);
                        if (payload % 3 == 0)
                                info[3] |= (ipv6 ? 54u : 34u) << 16;
                        uint32_t all = make_packet(net_section(1), frame, bytes, info, 16);
                        the_net.given = 0;
                        EXPECT_EQ(send_section(all), 1);
                        REQUIRE_EQ(the_net.given, 1);
                        EXPECT_EQ(the_net.given_bytes[0], bytes);
                        checksums_hold(t, the_net.gave[0], ipv6, tcp, payload);
                        EXPECT_BYTES_EQ(the_net.gave[0] + bytes - payload, frame + bytes - payload,
                                        payload);
                }
                /* A sum that makes the checksum 0, which would mean that there is none. */
                if (!tcp) {
                        uint32_t info[4] = {16, 0, 12, (ipv6 ? 2 : 0x11) | 8},
                                 head = ipv6 ? 54 : 34;
                        uint32_t bytes = make_ip(frame, ipv6, false, 4);
                        frame[head + 8] = frame[head + 9] = 0;
                        uint32_t rest = 0xffff - plain_sum(frame + head, 12,
                                plain_sum(frame + (ipv6 ? 22 : 26), ipv6 ? 32 : 8, 17 + 12));
                        frame[head + 8] = (uint8_t)(rest >> 8);
                        frame[head + 9] = (uint8_t)rest;
                        bytes = make_packet(net_section(1), frame, bytes, info, 16);
                        the_net.given = 0;
                        EXPECT_EQ(send_section(bytes), 1);
                        EXPECT_BYTES_EQ(the_net.gave[0] + head + 6, "\xff\xff", 2);
                }
                /* The wrong family, protocol or offset, and a packet that is cut off. */
                uint32_t wrong[][4] = {{16, 0, 12, (ipv6 ? 0x11 : 2) | (tcp ? 4 : 8)},
                                       {16, 0, 12, (ipv6 ? 2 : 0x11) | (tcp ? 8 : 4)},
                                       {16, 0, 12, (ipv6 ? 2 : 0x11) | (tcp ? 4 : 8) | 35u << 16},
                                       {16, 0, 12, (ipv6 ? 2 : 0x11) | (tcp ? 4 : 8)}};
                for (uint32_t i = 0; i < 4; i++) {
                        uint32_t bytes = make_ip(frame, ipv6, tcp, 30) - (i == 3);
                        bytes = make_packet(net_section(1), frame, bytes, wrong[i], 16);
                        EXPECT_RULE(&the_bed, RNDIS_OFFLOAD, EXPECT_EQ(send_section(bytes), 5));
                }
        }
}

TEST(vmbus_host_net_data, long_segments_are_cut)
{
        static uint8_t frame[9000];
        for (uint32_t ipv6 = 0; ipv6 < 2; ipv6++) {
                uint32_t head = ipv6 ? 86 : 66, transport = ipv6 ? 54 : 34, sent = 0;
                uint32_t info[8] = {16, 2, 12, 1000 | transport << 20 | 1u << 30 | ipv6 << 31,
                                    16, 6, 12, 0x1235};
                REQUIRE_TRUE(net_up(t, 0x60001, 1));
                uint32_t bytes = make_ip(frame, ipv6, true, 5500);
                uint32_t all = make_packet(net_section(1), frame, bytes, info, ipv6 ? 32 : 16);
                REQUIRE_EQ(send_section(all), 1);
                REQUIRE_EQ(the_net.given, 6);
                for (uint32_t i = 0; i < 6; i++) {
                        uint32_t payload = i == 5 ? 500 : 1000;
                        uint8_t *got = the_net.gave[i];
                        if (ipv6) { /* tagged as well: priority 5, id 0x123 */
                                EXPECT_EQ(the_net.given_bytes[i], head + payload + 4);
                                EXPECT_BYTES_EQ(got + 12, "\x81\x00\xa1\x23", 4);
                                memmove(got + 4, got, 12);
                                got += 4;
                        } else {
                                EXPECT_EQ(the_net.given_bytes[i], head + payload);
                                EXPECT_EQ(got[19], (uint8_t)(frame[19] + i)); /* IP id */
                        }
                        EXPECT_BYTES_EQ(got, frame, 14);
                        checksums_hold(t, got, ipv6, true, payload);
                        uint32_t sequence = (uint32_t)got[transport + 4] << 24 |
                                            got[transport + 5] << 16 | got[transport + 6] << 8 |
                                            got[transport + 7];
                        EXPECT_EQ(sequence, 0xffffff00 + sent);
                        EXPECT_EQ(got[transport + 13], i == 0 ? 0x90 : i == 5 ? 0x19 : 0x10);
                        EXPECT_BYTES_EQ(got + head, frame + head + sent, payload);
                        sent += payload;
                }
                static const uint32_t wrong[] = {0, 1000, 1000 | 33u << 20, 1600 | 34u << 20};
                for (uint32_t i = 0; i < ARRAY_COUNT(wrong); i++) {
                        info[3] = wrong[i] | (i == 0 ? transport << 20 : 0) | ipv6 << 31;
                        all = make_packet(net_section(1), frame, bytes, info, 16);
                        EXPECT_RULE(&the_bed, RNDIS_OFFLOAD, EXPECT_EQ(send_section(all), 5));
                }
                EXPECT_EQ(the_net.given, 6);
        }
}

TEST(vmbus_host_net_data, a_tag_travels_beside_the_frame)
{
        static const uint32_t info[4] = {16, 6, 12, 5 | 1 << 3 | 0x123 << 4};
        struct net_transfer transfer;
        uint8_t frame[60], tagged[64];
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        fill_frame(frame, 60);
        memcpy(frame, net_mac, 6);
        uint32_t bytes = make_packet(net_section(1), frame, 60, info, 16);
        EXPECT_EQ(send_section(bytes), 1);
        memcpy(tagged, frame, 12);
        memcpy(tagged + 12, "\x81\x00\xb1\x23", 4);
        memcpy(tagged + 16, frame + 12, 48);
        EXPECT_EQ(the_net.given_bytes[0], 64);
        EXPECT_BYTES_EQ(the_net.gave[0], tagged, 64);
        net_arrive(tagged, 64);
        bed_poll(&the_bed);
        REQUIRE_TRUE(net_transfer(&transfer));
        EXPECT_EQ(transfer.ranges[0].byte_count, 44 + 16 + 60);
        EXPECT_BYTES_EQ(net_range(&transfer, 0),
                        ((uint32_t[]){1, 120, 52, 60, 0, 0, 0, 36, 16, 0, 0, 16, 6, 12, info[3]}),
                        60);
        EXPECT_BYTES_EQ(net_range(&transfer, 0) + 60, frame, 60);
}

/* ---- to the guest ---- */

TEST(vmbus_host_net_data, frames_come_in_batches)
{
        struct net_transfer transfer[3];
        static uint8_t frame[1514];
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        for (uint32_t i = 0; i < 40; i++) {
                fill_frame(frame, 60 + i * 37);
                memcpy(frame, net_mac, 6);
                net_arrive(frame, 60 + i * 37 > 1514 ? 1514 : 60 + i * 37);
        }
        bed_poll(&the_bed);
        for (uint32_t i = 0, number = 0; i < 3; i++) {
                REQUIRE_TRUE(net_transfer(&transfer[i]));
                EXPECT_EQ(transfer[i].message[1], 0);
                EXPECT_EQ(transfer[i].message[2], 0xffffffff);
                EXPECT_EQ(transfer[i].count, i == 2 ? 8 : 16);
                for (uint32_t j = 0; j < transfer[i].count; j++, number++) {
                        uint32_t bytes = 60 + number * 37 > 1514 ? 1514 : 60 + number * 37;
                        fill_frame(frame, 60 + number * 37);
                        memcpy(frame, net_mac, 6);
                        EXPECT_EQ(transfer[i].ranges[j].byte_count, 44 + bytes);
                        EXPECT_BYTES_EQ(net_range(&transfer[i], j),
                                        ((uint32_t[]){1, 44 + bytes, 36, bytes, 0, 0, 0, 0, 0, 0,
                                                      0}), 44);
                        EXPECT_BYTES_EQ(net_range(&transfer[i], j) + 44, frame, bytes);
                }
        }
        EXPECT_EQ(the_net.net.free_suballocations + 40, the_net.net.suballocations);
        for (uint32_t i = 0; i < 3; i++) /* in another order than they came */
                net_return(&transfer[(i + 1) % 3]);
        EXPECT_EQ(the_net.net.free_suballocations, the_net.net.suballocations);
        EXPECT_RULE(&the_bed, NVSP_COMPLETION, net_return(&transfer[0])); /* twice */
        transfer[0].id = 1u << 20;
        EXPECT_RULE(&the_bed, NVSP_COMPLETION, net_return(&transfer[0]));
        transfer[0].id = 1ull << 40;
        EXPECT_RULE(&the_bed, NVSP_COMPLETION, net_return(&transfer[0]));
        EXPECT_RULE(&the_bed, PACKET_SHORT,
                    bed_packet(&the_bed, &the_net.channel, VMBUS_SEND_COMPLETION, 0, "", 0));
}

TEST(vmbus_host_net_data, the_filter_decides)
{
        static const uint8_t destinations[6][6] = {
                {0x02, 0x11, 0x22, 0x33, 0x44, 0x55}, {0x02, 0x11, 0x22, 0x33, 0x44, 0x56},
                {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {1, 0, 0x5e, 0, 0, 1}, {1, 0, 0x5e, 0, 0, 2}};
        static const uint8_t expected[][6] = {
                {0x00, 0}, {0x01, 1}, {0x08, 4}, {0x02, 8}, {0x04, 24}, {0x20, 31}, {0x0b, 13}};
        static uint8_t frame[1515];
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        net_control(MESSAGE(5, 36, 3, 0x1010103, 6, 20, 0, 0x5e0001, 0x100), answer);
        for (uint32_t i = 0; i < ARRAY_COUNT(expected); i++) {
                net_control(MESSAGE(5, 32, 2, 0x1010e, 4, 20, 0, expected[i][0]), answer);
                for (uint32_t j = 0; j < 5; j++) {
                        struct net_transfer transfer;
                        fill_frame(frame, 60);
                        memcpy(frame, destinations[j], 6);
                        net_arrive(frame, 60);
                        bed_poll(&the_bed);
                        bool came = net_transfer(&transfer);
                        if (!EXPECT_EQ(came, expected[i][1] >> j & 1))
                                test_log(t, "filter 0x%x, destination %u", expected[i][0], j);
                        if (came)
                                net_return(&transfer);
                        the_net.taken = the_net.waiting = 0; /* with filter 0 nobody takes it */
                }
        }
        net_control(MESSAGE(5, 32, 2, 0x1010e, 4, 20, 0, 0x20), answer);
        uint64_t before = the_net.net.frames_filtered;
        net_arrive(frame, 13);
        net_arrive(frame, 1515); /* too short and, without a tag, too long */
        bed_poll(&the_bed);
        EXPECT_EQ(the_net.net.frames_filtered, before + 2);
}

TEST(vmbus_host_net_data, checksums_of_received_frames_are_told)
{
        static uint8_t frame[200];
        static const uint32_t good[] = {0x20 | 0x10, 0x10, 0x20 | 8, 8};
        static const uint32_t bad[] = {0x20 | 2, 2, 0x20 | 1, 1};
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        net_control(MESSAGE(5, 32, 2, 0x1010e, 4, 20, 0, 0x20), answer);
        for (uint32_t kind = 0; kind < 4; kind++) {
                bool ipv6 = kind & 1, tcp = kind & 2;
                uint32_t info[4] = {16, 0, 12, (ipv6 ? 2 : 0x11) | (tcp ? 4 : 8)};
                uint32_t bytes = make_ip(frame, ipv6, tcp, 33);
                uint32_t all = make_packet(net_section(1), frame, bytes, info, 16);
                the_net.given = 0;
                REQUIRE_EQ(send_section(all), 1);
                for (uint32_t i = 0; i < 3; i++) {
                        struct net_transfer transfer;
                        uint32_t words[15];
                        memcpy(frame, the_net.gave[0], bytes);
                        if (i == 1)
                                frame[bytes - 1] ^= 1;
                        if (i == 2)
                                frame[14 + 8] ^= 1; /* time to live; an address of IPv6 */
                        net_arrive(frame, bytes);
                        bed_poll(&the_bed);
                        REQUIRE_TRUE(net_transfer(&transfer));
                        memcpy(words, net_range(&transfer, 0), sizeof(words));
                        EXPECT_EQ(words[8], 16);
                        EXPECT_EQ(words[12], 0);
                        if (i == 2 && !ipv6)
                                EXPECT_EQ(words[14], (good[kind] & ~0x20u) | 4);
                        else
                                EXPECT_EQ(words[14], i == 0 ? good[kind] : bad[kind]);
                        net_return(&transfer);
                }
        }
}

TEST(vmbus_host_net_data, a_guest_that_returns_nothing_gets_no_more)
{
        struct net_transfer transfer;
        uint8_t frame[60];
        uint32_t frames = 0;
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        fill_frame(frame, 60);
        memcpy(frame, net_mac, 6);
        for (uint32_t i = 0; i < 20; i++) {
                for (uint32_t j = 0; j < 10; j++)
                        if (the_net.waiting < NET_FRAMES)
                                net_arrive(frame, 60);
                bed_poll(&the_bed);
                while (net_transfer(&transfer))
                        frames += transfer.count;
        }
        EXPECT_EQ(frames, the_net.net.suballocations - 2); /* two are kept for answers */
        EXPECT_EQ(net_control(MESSAGE(8, 12, 10), answer), 16);
}

/* Writes `count` packets with the ARP request in section 1, and only then rings. */
static uint32_t ask_at_once(uint32_t bytes, uint32_t count)
{
        uint32_t written = 0;
        const uint32_t message[10] = {107, 0, 1, bytes};
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND, .payload_bytes = 40};
        while (written < count && bed_write(&the_net.channel, &packet, message) == VMBUS_OK)
                written++;
        bed_commit(&the_bed, &the_net.channel);
        return written;
}

/* How many frames have come; given back or kept. */
static uint32_t receive_all(bool give_back)
{
        struct net_transfer transfer;
        uint32_t frames = 0;
        while (net_transfer(&transfer)) {
                frames += transfer.count;
                if (give_back)
                        net_return(&transfer);
        }
        return frames;
}

/* More questions in one turn than the port has room for answers: none is lost while the guest has
 * buffers, and a guest without any is heard all the same. */
TEST(vmbus_host_net_data, a_full_port_lets_packets_wait)
{
        static struct vmbus_host_responder responder;
        static const uint8_t request[42] = {
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0x11, 0x22, 0x33, 0x44, 0x55, 8, 6, 0, 1, 8,
                0, 6, 4, 0, 1, 2, 0x11, 0x22, 0x33, 0x44, 0x55, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0,
                10, 0, 2, 2};
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        vmbus_host_responder_init(&responder);
        the_net.port = responder.port;
        uint32_t bytes = make_packet(net_section(1), request, sizeof(request), NULL, 0);
        for (uint32_t round = 0; round < 5; round++) {
                EXPECT_EQ(ask_at_once(bytes, 100), 100);
                EXPECT_EQ(receive_all(true), 100);
        }
        EXPECT_EQ(responder.overruns, 0);
        EXPECT_EQ(the_net.net.receive_shortages, 0);
        EXPECT_EQ(the_net.net.free_suballocations, the_net.net.suballocations);
        uint32_t frames = 0;
        for (uint32_t round = 0; round < 5; round++) {
                EXPECT_EQ(ask_at_once(bytes, 100), 100);
                frames += receive_all(false);
        }
        EXPECT_EQ(frames, the_net.net.suballocations - 2);
        EXPECT_EQ(the_net.net.frames_in, 1000);
        EXPECT_EQ(frames + the_net.net.receive_shortages + responder.count, 500);
        EXPECT_EQ(net_control(MESSAGE(8, 12, 10), answer), 16);
        net_tell(MESSAGE(103, 0xcafe)); /* the receive buffer is gone */
        EXPECT_EQ(ask_at_once(bytes, 100), 100);
        EXPECT_EQ(the_net.net.frames_in, 1100);
        EXPECT_EQ(vmbus_host_faults_total(&the_bed.host), 0);
}

TEST(vmbus_host_net_data, buffers_that_are_gone_are_not_touched)
{
        uint8_t frame[60];
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        fill_frame(frame, 60);
        memcpy(frame, net_mac, 6);
        bed_send(&the_bed, MESSAGE(11, 0, 1, 0x200));
        bed_send(&the_bed, MESSAGE(11, 0, 1, 0x201));
        memset(bed_page(&the_bed, the_net.receive_page), 0x77, NET_RECEIVE_PAGES * 4096);
        net_arrive(frame, 60);
        bed_poll(&the_bed);
        for (uint32_t i = 0; i < NET_RECEIVE_PAGES * 4096; i++)
                REQUIRE_EQ(bed_page(&the_bed, the_net.receive_page)[i], 0x77);
        EXPECT_RULE(&the_bed, NVSP_SECTION, EXPECT_EQ(send_section(100), 2));
}

/* ---- lies ---- */

static uint32_t told[VMBUS_HOST_LIES]; /* by the life below */

/* Several short lives under lies about the network. */
static uint64_t live(struct test *t, uint64_t seed, uint32_t rate, uint64_t lies)
{
        static const uint64_t honest_first = BIT_MASK(VMBUS_HOST_LIE_TRANSFER_SET) - 1;
        uint64_t hash = 0;
        uint8_t frame[100];
        memset(told, 0, sizeof(told));
        fill_frame(frame, 100);
        memcpy(frame, net_mac, 6);
        memcpy(frame + 12, "\x81\x00\x00\x05", 4); /* a tag, so that there is per-packet info */
        for (uint32_t round = 0; round < 6; round++) {
                if (!net_open(t, 1))
                        return 0;
                vmbus_host_lie(&the_bed.host, seed + round, rate);
                vmbus_host_lie_only(&the_bed.host, lies & ~honest_first);
                net_ask(MESSAGE(1, 0x60001, 0x60001), answer);
                net_tell(MESSAGE(125, 1514, 0, 0, 0));
                bed_gpadl(&the_bed, 1, 0x200, bed_take_pages(&the_bed, NET_RECEIVE_PAGES),
                          NET_RECEIVE_PAGES);
                the_net.receive_page = BED_FIRST_PAGE + 18;
                the_net.send_page = bed_take_pages(&the_bed, NET_SEND_PAGES);
                bed_gpadl(&the_bed, 1, 0x201, the_net.send_page, NET_SEND_PAGES);
                bed_forget(&the_bed);
                net_ask(MESSAGE(101, 0x200, 0xcafe), answer);
                net_ask(MESSAGE(104, 0x201, 0xface), answer);
                net_control(MESSAGE(2, 24, 1, 1, 0, 0x4000), answer);
                net_control(MESSAGE(4, 28, 1, 0x10101, 0, 20, 0), answer);
                net_control(MESSAGE(5, 32, 2, 0x1010e, 4, 20, 0, 0xd), answer);
                the_net.net.filter = 0xd; /* whatever was said */
                for (uint32_t i = 0; i < 30; i++) {
                        struct vmbus_incoming packet;
                        uint8_t bytes[512];
                        net_arrive(frame, 100);
                        net_arrive(frame, 100);
                        bed_poll(&the_bed);
                        while (bed_receive(&the_bed, &the_net.channel, &packet, bytes,
                                           sizeof(bytes)) == VMBUS_OK) {
                                if (packet.type == VMBUS_PACKET_TRANSFER_PAGES)
                                        (void)!bed_packet(&the_bed, &the_net.channel,
                                                          VMBUS_SEND_COMPLETION,
                                                          packet.transaction_id,
                                                          (const uint32_t[]){108, 1}, 8);
                                hash = hash * 31 + packet.range_count + packet.type;
                        }
                }
                for (uint32_t i = 0; i < 70 * 4096; i += 4)
                        hash = hash * 33 + *(uint32_t *)(void *)(the_bed.ram + i);
                for (uint32_t i = 0; i < VMBUS_HOST_LIES; i++)
                        told[i] += vmbus_host_lies_told(&the_bed.host, i);
        }
        return hash;
}

TEST(vmbus_host_net_data, each_lie_about_the_network_is_told)
{
        uint64_t honest = live(t, 1, 0, VMBUS_HOST_LIE_ALL);
        for (uint32_t lie = VMBUS_HOST_LIE_TRANSFER_SET; lie < VMBUS_HOST_LIE_MAILBOX_HEAD; lie++) {
                uint64_t hash = live(t, 1, 2, BIT_MASK(lie));
                if (!EXPECT_GT(told[lie], 0) || !EXPECT_NE(hash, honest))
                        test_log(t, "%s", vmbus_host_lie_name(lie));
                for (uint32_t other = 0; other < VMBUS_HOST_LIES; other++)
                        EXPECT_EQ(other == lie || told[other] == 0, true);
        }
        EXPECT_EQ(live(t, 5, 10, VMBUS_HOST_LIE_ALL), live(t, 5, 10, VMBUS_HOST_LIE_ALL));
}
