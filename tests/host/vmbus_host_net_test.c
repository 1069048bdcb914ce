/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_net_test — the card's set-up, its requests and its refusals:
 * spec/vmbus.md, f.1 to f.3, f.6 to f.8. */
#include "tests/host/vmbus_host_net_bed.h"

struct net_bed the_net;

static uint32_t answer[64];

/* ---- NVSP ---- */

TEST(vmbus_host_net, a_version_is_agreed)
{
        static const uint32_t good[] = {2, 0x30002, 0x40000, 0x50000, 0x60000, 0x60001};
        for (uint32_t i = 0; i < ARRAY_COUNT(good); i++) {
                REQUIRE_TRUE(net_open(t, 1));
                EXPECT_EQ(net_ask(MESSAGE(1, 0x60002, 0x60002, 0, 0, 0, 0), answer), 32);
                EXPECT_BYTES_EQ(answer, ((uint32_t[]){2, 0xffffffff, 34, 7, 0, 0, 0, 0}), 32);
                EXPECT_EQ(net_ask(MESSAGE(1, good[i], good[i], 0, 0, 0, 0), answer),
                          good[i] == 0x60001 ? 40 : 32);
                EXPECT_BYTES_EQ(answer, ((uint32_t[]){2, i == 0 ? 2 : 0xffffffff, 34, 1, 0, 0, 0}),
                                28);
        }
        REQUIRE_TRUE(net_open(t, 1));
        EXPECT_RULE(&the_bed, NVSP_VERSION, net_ask(MESSAGE(1, 0x50000, 0x60000), answer));
        EXPECT_EQ(answer[3], 7);
        the_net.net.config.version_max = 0x50000;
        net_ask(MESSAGE(1, 0x60000, 0x60000), answer);
        EXPECT_EQ(answer[3], 7);
}

TEST(vmbus_host_net, buffers_are_cut_into_sections)
{
        REQUIRE_TRUE(net_open(t, 1));
        net_ask(MESSAGE(1, 0x60001, 0x60001), answer);
        EXPECT_EQ(net_ask(MESSAGE(125, 9014, 0, 8, 0), answer), 0); /* empty, as it was asked for */
        EXPECT_EQ(net_ask(MESSAGE(100, 6, 30), answer), 0);
        the_net.receive_page = bed_take_pages(&the_bed, NET_RECEIVE_PAGES);
        bed_gpadl(&the_bed, 1, 0x200, the_net.receive_page, NET_RECEIVE_PAGES);
        bed_send(&the_bed, MESSAGE(8, 0, 1, 0x202, 16 | 1 << 16, 100, 0, the_net.receive_page, 0));
        bed_gpadl(&the_bed, 1, 0x203, the_net.receive_page, 4);
        EXPECT_RULE(&the_bed, NVSP_BUFFER, net_ask(MESSAGE(101, 0x999, 0xcafe), answer));
        EXPECT_EQ(answer[1], 2);
        EXPECT_RULE(&the_bed, NVSP_BUFFER, net_ask(MESSAGE(101, 0x202, 0xcafe), answer));
        EXPECT_RULE(&the_bed, NVSP_BUFFER, net_ask(MESSAGE(101, 0x203, 0xcafe), answer));
        EXPECT_RULE(&the_bed, NVSP_BUFFER_ID, net_ask(MESSAGE(101, 0x200, 0xface), answer));
        EXPECT_EQ(net_ask(MESSAGE(101, 0x200, 0xcafe), answer), 40);
        EXPECT_BYTES_EQ(answer, ((uint32_t[]){102, 1, 1, 0, 9306, 28, 260568, 0, 0, 0}), 40);
        EXPECT_RULE(&the_bed, NVSP_BUFFER_ID, net_ask(MESSAGE(104, 0x200, 0xcafe), answer));
        EXPECT_RULE(&the_bed, NVSP_BUFFER, net_ask(MESSAGE(104, 0x999, 0xface), answer));
        EXPECT_EQ(net_ask(MESSAGE(104, 0x200, 0xface), answer), 40);
        EXPECT_BYTES_EQ(answer, ((uint32_t[]){105, 1, 6144, 0, 0, 0, 0, 0, 0, 0}), 40);
        EXPECT_EQ(the_net.net.send_sections, 42);
        /* Both may be taken away, and given again. */
        EXPECT_EQ(net_ask(MESSAGE(103, 0xcafe), answer), 0);
        EXPECT_EQ(net_ask(MESSAGE(106, 0xface), answer), 0);
        EXPECT_EQ(the_net.net.suballocations + the_net.net.send_sections, 0);
        net_ask(MESSAGE(101, 0x200, 0xcafe), answer);
        EXPECT_EQ(answer[1], 1);
        bed_forget(&the_bed);
        bed_send(&the_bed, MESSAGE(11, 0, 1, 0x200)); /* so may their pages, under version 3 */
        EXPECT_MESSAGE(&the_bed, 12, 0, 0x200);
        EXPECT_EQ(the_net.net.suballocations, 0);
}

TEST(vmbus_host_net, odd_frame_sizes_count_as_1514)
{
        static const uint32_t sizes[][2] = {{1513, 1514}, {1514, 1514}, {9216, 9216}, {9217, 1514}};
        for (uint32_t i = 0; i < ARRAY_COUNT(sizes); i++) {
                REQUIRE_TRUE(net_open(t, 1));
                net_ask(MESSAGE(1, 0x30002, 0x30002), answer);
                net_tell(MESSAGE(125, sizes[i][0], 0, 0, 0));
                EXPECT_EQ(the_net.net.frame_bytes, sizes[i][1]);
        }
}

/* A message that may not come now; the channel is served no more. */
#define EXPECT_BROKEN(rule, ...)                                                    \
        do {                                                                        \
                EXPECT_RULE(&the_bed, rule, net_ask(MESSAGE(__VA_ARGS__), answer)); \
                EXPECT_EQ(the_bed.host.channels[0].broken, VMBUS_HOST_##rule);      \
        } while (0)

TEST(vmbus_host_net, the_order_of_the_set_up_is_kept)
{
        REQUIRE_TRUE(net_open(t, 1));
        EXPECT_BROKEN(NVSP_ORDER, 100, 6, 30);
        REQUIRE_TRUE(net_open(t, 1));
        EXPECT_RULE(&the_bed, NVSP_ORDER, net_tell(MESSAGE(1, 0x60000, 0x60000)));
        static const uint32_t rows[][5] = {
                {1, 0x60000, 0x60000}, /* a second Init */
                {101, 0x200, 0xcafe},  /* a receive buffer before the configuration */
                {107, 1, 0xffffffff},  /* RNDIS before it */
                {133, 1, 1}, {0, 0, 0}, {2, 0, 0}, {126, 0, 0}};
        for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
                REQUIRE_TRUE(net_open(t, 1));
                net_ask(MESSAGE(1, 0x60000, 0x60000), answer);
                EXPECT_BROKEN(NVSP_ORDER, rows[i][0], rows[i][1], rows[i][2], 0, 0);
        }
        REQUIRE_TRUE(net_open(t, 1));
        net_ask(MESSAGE(1, 2, 2), answer);
        EXPECT_BROKEN(NVSP_ORDER, 125, 1514, 0, 0, 0); /* unknown to version 1 */
        static const uint32_t twice[][3] = {{100, 6, 30}, {125, 1514, 0}};
        for (uint32_t i = 0; i < ARRAY_COUNT(twice); i++) {
                REQUIRE_TRUE(net_open(t, 1));
                net_ask(MESSAGE(1, 0x60000, 0x60000), answer);
                net_tell(MESSAGE(twice[i][0], twice[i][1], twice[i][2], 0, 0));
                EXPECT_BROKEN(NVSP_ORDER, twice[i][0], twice[i][1], twice[i][2], 0, 0);
        }
}

TEST(vmbus_host_net, a_message_is_long_enough)
{
        static const uint32_t rows[][2] = {{1, 8}, {107, 12}, {125, 16}, {133, 8}, {103, 4},
                                           {101, 8}, {99, 0}};
        for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
                REQUIRE_TRUE(net_open(t, 1));
                const uint32_t words[5] = {rows[i][0]};
                /* The ring rounds lengths up to 8; what is a whole word short is seen. */
                EXPECT_RULE(&the_bed, PACKET_SHORT, net_tell(words, rows[i][1] & ~7u));
        }
        REQUIRE_TRUE(net_open(t, 1));
        EXPECT_RULE(&the_bed, PACKET_TYPE,
                    bed_packet(&the_bed, &the_net.channel, VMBUS_SEND_TRANSFER_PAGES, 0, &rows[0],
                               12));
}

TEST(vmbus_host_net, the_card_comes_up_with_every_version)
{
        static const uint32_t versions[] = {2, 0x30002, 0x40000, 0x50000, 0x60000, 0x60001};
        for (uint32_t i = 0; i < ARRAY_COUNT(versions); i++) {
                REQUIRE_TRUE(net_up(t, versions[i], 1));
                EXPECT_EQ(vmbus_host_faults_total(&the_bed.host), 0);
                EXPECT_EQ(the_net.net.filter, 0xd);
        }
        EXPECT_EQ(net_ask(MESSAGE(129, 0), answer), 0); /* the synthetic path, as it is */
        EXPECT_EQ(net_ask(MESSAGE(131, 0, 0x10101), answer), 40);
        EXPECT_EQ(answer[0], 132);
        EXPECT_EQ(answer[1], 2);
        EXPECT_BROKEN(NVSP_TYPE, 77, 0, 0);
        REQUIRE_TRUE(net_up(t, 0x30002, 1));
        EXPECT_BROKEN(NVSP_TYPE, 129, 0, 0);
}

/* ---- RNDIS ---- */

TEST(vmbus_host_net, rndis_begins_once)
{
        REQUIRE_TRUE(net_open(t, 1));
        net_ask(MESSAGE(1, 0x60000, 0x60000), answer);
        net_tell(MESSAGE(125, 1514, 0, 0, 0));
        net_buffers(answer);
        EXPECT_RULE(&the_bed, RNDIS_ORDER,
                    EXPECT_EQ(net_control_send(MESSAGE(8, 12, 1)), 2));
        EXPECT_RULE(&the_bed, RNDIS_VERSION,
                    net_control(MESSAGE(2, 24, 9, 2, 0, 0x4000), answer));
        EXPECT_EQ(answer[3], 0xc0010004);
        EXPECT_EQ(net_control(MESSAGE(2, 24, 9, 1, 0, 0x4000), answer), 52);
        EXPECT_BYTES_EQ(answer, ((uint32_t[]){0x80000002, 52, 9, 0, 1, 0, 1, 0, 8, 0xefffffff, 3,
                                              0, 0}), 52);
        EXPECT_RULE(&the_bed, RNDIS_ORDER, net_control(MESSAGE(2, 24, 9, 1, 0, 0x4000), answer));
        EXPECT_EQ(answer[3], 0xc0000001);
        EXPECT_EQ(net_control(MESSAGE(8, 12, 10), answer), 16);
        EXPECT_BYTES_EQ(answer, ((uint32_t[]){0x80000008, 16, 10, 0}), 16);
        EXPECT_EQ(net_control(MESSAGE(6, 12, 0), answer), 16);
        EXPECT_BYTES_EQ(answer, ((uint32_t[]){0x80000006, 16, 0, 1}), 16);
        EXPECT_EQ(net_control_send(MESSAGE(3, 12, 11)), 1); /* HALT, no answer */
        EXPECT_FALSE(the_net.net.initialised);
        EXPECT_EQ(net_control(MESSAGE(2, 24, 9, 1, 0, 0x4000), answer), 52);
        EXPECT_EQ(answer[3], 0);
}

TEST(vmbus_host_net, what_the_card_tells)
{
        static const struct {
                uint32_t oid, bytes, words[4];
        } rows[] = {{0x10102, 4, {0}},
                    {0x10106, 4, {1500}},
                    {0x10107, 4, {100000000}},
                    {0x1010e, 4, {0xd}},
                    {0x10111, 4, {1514}},
                    {0x10114, 4, {0}},
                    {0x10206, 16, {0x540be400, 2, 0x540be400, 2}},
                    {0x20101, 4, {0}},
                    {0x20105, 4, {0}},
                    {0x1010101, 6, {0x33221102, 0x5544}},
                    {0x1010102, 6, {0x33221102, 0x5544}}};
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
                EXPECT_EQ(net_control(MESSAGE(4, 28, 100 + i, rows[i].oid, 0, 20, 0), answer),
                          24 + rows[i].bytes);
                EXPECT_BYTES_EQ(answer, ((uint32_t[]){0x80000004, 24 + rows[i].bytes, 100 + i, 0,
                                                      rows[i].bytes, 16}), 24);
                EXPECT_BYTES_EQ(answer + 6, rows[i].words, rows[i].bytes);
        }
        EXPECT_EQ(net_control(MESSAGE(4, 28, 1, 0x10101, 0, 20, 0), answer), 24 + 21 * 4);
        EXPECT_EQ(answer[6], 0x10101);
        EXPECT_EQ(net_control(MESSAGE(4, 28, 1, 0x10207, 0, 20, 0), answer), 24 + 40);
        EXPECT_BYTES_EQ(answer + 6, ((uint32_t[]){0x00280180, 1, 2, 0, 0x540be400, 2, 0x540be400, 2,
                                                  0, 0}), 40);
        EXPECT_EQ(net_control(MESSAGE(4, 28, 1, 0xfc01020d, 0, 20, 0), answer), 24 + 112);
        EXPECT_EQ(answer[6], 0x007001a7);
        EXPECT_BYTES_EQ(answer + 7, ((uint32_t[]){2, 0x2aa, 2, 0x2aa, 2, 0xaa, 2, 0xaa}), 32);
        EXPECT_BYTES_EQ(answer + 26, ((uint32_t[]){2, 0xf53c, 2, 2, 0xf53c, 2, 8}), 28);
        EXPECT_RULE(&the_bed, RNDIS_OID,
                    net_control(MESSAGE(4, 28, 5, 0x10203, 0, 20, 0), answer)); /* one queue */
        EXPECT_BYTES_EQ(answer, ((uint32_t[]){0x80000004, 24, 5, 0xc00000bb, 0, 0}), 24);
        EXPECT_RULE(&the_bed, RNDIS_OID, net_control(MESSAGE(5, 28, 5, 77, 0, 20, 0), answer));
        EXPECT_BYTES_EQ(answer, ((uint32_t[]){0x80000005, 16, 5, 0xc00000bb}), 16);
}

/* A SET that is refused with a status. */
#define EXPECT_SET_REFUSED(rule, status, ...)                                          \
        do {                                                                           \
                EXPECT_RULE(&the_bed, rule, net_control(MESSAGE(__VA_ARGS__), answer)); \
                EXPECT_EQ(answer[3], status);                                          \
        } while (0)

TEST(vmbus_host_net, what_can_be_set)
{
        struct net_transfer transfer;
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        EXPECT_SET_REFUSED(RNDIS_OID_BYTES, 0xc0010014, 5, 30, 1, 0x1010e, 2, 20, 0, 1);
        EXPECT_SET_REFUSED(RNDIS_OID_VALUE, 0xc0010015, 5, 32, 1, 0x1010e, 4, 20, 0, 0x40);
        EXPECT_SET_REFUSED(RNDIS_INFORMATION, 0xc0010015, 5, 32, 1, 0x1010e, 4, 24, 0, 1);
        EXPECT_SET_REFUSED(RNDIS_INFORMATION, 0xc0010015, 5, 32, 1, 0x1010e, 4, 16, 0, 1);
        EXPECT_SET_REFUSED(RNDIS_INFORMATION, 0xc0010015, 5, 32, 1, 0x1010e, 4, 0xfffffff8, 0, 1);
        EXPECT_SET_REFUSED(RNDIS_INFORMATION, 0xc0010015, 5, 32, 1, 0x1010e, 0xffffffff, 20, 0, 1);
        EXPECT_EQ(the_net.net.filter, 0xd);
        EXPECT_RULE(&the_bed, RNDIS_REQUEST,
                    net_control(MESSAGE(5, 32, 0, 0x1010e, 4, 20, 0, 0x20), answer));
        EXPECT_EQ(the_net.net.filter, 0x20);
        EXPECT_EQ(net_control(MESSAGE(5, 36, 3, 0x1010103, 6, 20, 0, 0x5e0001, 0x100), answer), 16);
        EXPECT_EQ(the_net.net.multicast_count, 1);
        EXPECT_SET_REFUSED(RNDIS_OID_BYTES, 0xc0010014, 5, 36, 3, 0x1010103, 7, 20, 0, 0, 0);
        EXPECT_EQ(net_control(MESSAGE(5, 56, 3, 0x1021b, 28, 20, 0, 20, 4, 2, 24, 4, 0, 0), answer),
                  16);
        EXPECT_EQ(answer[3], 0);
        EXPECT_SET_REFUSED(RNDIS_OID_VALUE, 0xc0010015, 5, 56, 3, 0x1021b, 28, 20, 0, 20, 4, 2, 25,
                           4, 0, 0);
        EXPECT_SET_REFUSED(RNDIS_OID_BYTES, 0xc0010014, 5, 44, 3, 0x1021b, 16, 20, 0, 0, 0, 0, 0);
        /* Offloads: the answer, then the indication of what is on now. */
        EXPECT_EQ(net_control(MESSAGE(5, 48, 3, 0xfc01020c, 20, 20, 0, 0x00140180, 0x01040404, 0x04,
                                      0x0201, 0), answer), 16);
        EXPECT_EQ(answer[3], 0);
        REQUIRE_TRUE(net_transfer(&transfer));
        EXPECT_EQ(transfer.ranges[0].byte_count, 20 + 112);
        memcpy(answer, net_range(&transfer, 0), 132);
        net_return(&transfer);
        EXPECT_BYTES_EQ(answer, ((uint32_t[]){7, 132, 0x40020006, 112, 12, 0x007001a7, 2, 0x2aa, 2,
                                              0x2aa, 0, 0, 0, 0}), 56);
        EXPECT_SET_REFUSED(RNDIS_OID_VALUE, 0xc0010015, 5, 48, 3, 0xfc01020c, 20, 20, 0, 0x00140180,
                           0x05010404, 0x04, 0x0201, 0);
        EXPECT_SET_REFUSED(RNDIS_OID_BYTES, 0xc0010014, 5, 44, 3, 0xfc01020c, 16, 20, 0, 0x00140180,
                           0, 0, 0);
}

TEST(vmbus_host_net, a_broken_request_is_refused)
{
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        EXPECT_RULE(&the_bed, RNDIS_BYTES,
                    EXPECT_EQ(net_control_send(MESSAGE(4, 29, 1, 0, 0, 0, 0)), 5));
        EXPECT_RULE(&the_bed, RNDIS_BYTES,
                    EXPECT_EQ(net_control_send(MESSAGE(4, 24, 1, 0, 0, 0)), 5));
        EXPECT_RULE(&the_bed, RNDIS_BYTES,
                    EXPECT_EQ(net_control_send(MESSAGE(4, 7, 1, 0, 0, 0)), 5));
        EXPECT_RULE(&the_bed, RNDIS_BYTES, EXPECT_EQ(net_control_send(MESSAGE(4)), 5));
        EXPECT_RULE(&the_bed, RNDIS_TYPE, EXPECT_EQ(net_control_send(MESSAGE(1, 16, 1, 0)), 2));
        EXPECT_RULE(&the_bed, RNDIS_TYPE, EXPECT_EQ(net_control_send(MESSAGE(9, 16, 1, 0)), 2));
        EXPECT_RULE(&the_bed, NVSP_SECTION,
                    net_ask(MESSAGE(107, 1, 10, 12, 0, 0, 0), answer));
        EXPECT_EQ(answer[1], 2);
        EXPECT_RULE(&the_bed, NVSP_SECTION, net_ask(MESSAGE(107, 1, 0, 6145, 0, 0, 0), answer));
        EXPECT_RULE(&the_bed, NVSP_CHANNEL_TYPE, net_ask(MESSAGE(107, 2, 0, 12, 0, 0, 0), answer));
        EXPECT_RULE(&the_bed, RNDIS_BYTES,
                    net_ask(MESSAGE(107, 1, 0xffffffff, 0, 0, 0, 0), answer)); /* nothing at all */
        EXPECT_EQ(answer[1], 5);
        /* More requests than can wait, because the guest returns no buffer. */
        the_net.net.free_suballocations = 0;
        uint32_t status = 1, count = 0;
        for (; status == 1 && count < 20; count++)
                status = net_control_send(MESSAGE(8, 12, 10));
        EXPECT_EQ(status, 6);
        EXPECT_EQ(count, VMBUS_HOST_NET_ANSWERS);
}

TEST(vmbus_host_net, the_link_goes_down_and_up)
{
        struct net_transfer transfer;
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        vmbus_host_net_link(&the_net.net, true);
        EXPECT_EQ(the_net.net.answer_count, 0);
        for (uint32_t up = 0; up < 2; up++) {
                vmbus_host_net_link(&the_net.net, up != 0);
                bed_poll(&the_bed);
                REQUIRE_TRUE(net_transfer(&transfer));
                EXPECT_BYTES_EQ(net_range(&transfer, 0),
                                ((uint32_t[]){7, 20, up ? 0x4001000b : 0x4001000c, 0, 12}), 20);
                net_return(&transfer);
                net_control(MESSAGE(4, 28, 1, 0x10114, 0, 20, 0), answer);
                EXPECT_EQ(answer[6], 1 - up);
        }
}

TEST(vmbus_host_net, what_comes_to_a_pulled_cable_is_lost)
{
        static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
        struct net_transfer transfer;
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        EXPECT_TRUE(vmbus_host_net_takes(&the_net.net));
        for (uint32_t up = 0; up < 2; up++) {
                vmbus_host_net_link(&the_net.net, up != 0);
                if (up == 0)
                        net_arrive(frame, sizeof(frame));
                bed_poll(&the_bed);
                REQUIRE_TRUE(net_transfer(&transfer)); /* that the link changed */
                net_return(&transfer);
                EXPECT_TRUE(vmbus_host_net_takes(&the_net.net));
        }
        EXPECT_EQ(the_net.net.frames_unplugged, 1);
        EXPECT_FALSE(net_transfer(&transfer));
        net_arrive(frame, sizeof(frame));
        bed_poll(&the_bed);
        EXPECT_TRUE(net_transfer(&transfer));
        EXPECT_EQ(the_net.net.frames_unplugged, 1);
}

TEST(vmbus_host_net, frames_wait_while_the_guest_has_no_room)
{
        static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
        struct net_transfer first, second;
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        uint32_t free = the_net.net.free_suballocations;
        for (uint64_t turn = 1; turn <= 2; turn++) {
                the_net.net.free_suballocations = 3; /* one more than is kept for answers */
                net_arrive(frame, sizeof(frame));
                net_arrive(frame, sizeof(frame));
                bed_poll(&the_bed);
                REQUIRE_TRUE(net_transfer(&first));
                EXPECT_EQ(first.count, 1);
                EXPECT_FALSE(net_transfer(&second));
                EXPECT_FALSE(vmbus_host_net_takes(&the_net.net));
                bed_poll(&the_bed);
                EXPECT_EQ(the_net.net.stalls, turn);
                the_net.net.link_down = true; /* frames to be lost need no room */
                EXPECT_TRUE(vmbus_host_net_takes(&the_net.net));
                the_net.net.link_down = false;
                the_net.net.free_suballocations = free - 1;
                bed_poll(&the_bed);
                EXPECT_TRUE(vmbus_host_net_takes(&the_net.net));
                REQUIRE_TRUE(net_transfer(&second));
                net_return(&first);
                net_return(&second);
        }
        EXPECT_EQ(the_net.net.free_suballocations, free);
        EXPECT_EQ(the_net.net.stalls, 2);
        EXPECT_EQ(the_net.net.frames_out, 4);
        EXPECT_EQ(the_net.net.receive_shortages, 0);
}

/* The same with the ring, nearly filled here: its sender asks to be signalled for room. */
TEST(vmbus_host_net, frames_wait_while_the_ring_is_full)
{
        static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
        static uint8_t payload[3000];
        const struct vmbus_outgoing filler = {.kind = VMBUS_SEND_IN_BAND,
                                              .payload_bytes = sizeof(payload)};
        struct net_transfer transfer;
        struct vmbus_incoming packet;
        uint32_t arrived = 0, taken = 0;
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        for (uint32_t i = 0; i < 10; i++)
                EXPECT_EQ(vmbus_host_send(the_net.net.channels[0], &filler, payload), VMBUS_OK);
        while (vmbus_host_net_takes(&the_net.net) && arrived < NET_FRAMES) {
                net_arrive(frame, sizeof(frame)); /* one at a time: a packet each */
                bed_poll(&the_bed);
                arrived++;
        }
        EXPECT_TRUE(arrived > 1 && arrived < NET_FRAMES);
        EXPECT_GT(the_net.net.free_suballocations, 2);
        EXPECT_EQ(the_net.net.stalls, 1);
        for (uint32_t i = 0; i < 10; i++)
                EXPECT_EQ(
                        bed_receive(&the_bed, &the_net.channel, &packet, payload, sizeof(payload)),
                        VMBUS_OK);
        bed_poll(&the_bed);
        EXPECT_TRUE(vmbus_host_net_takes(&the_net.net));
        while (taken < arrived && net_transfer(&transfer))
                taken++;
        EXPECT_EQ(taken, arrived);
}

TEST(vmbus_host_net, a_link_change_waits_for_room)
{
        struct net_transfer transfers[VMBUS_HOST_NET_ANSWERS + 1], more;
        REQUIRE_TRUE(net_up(t, 0x60001, 1));
        uint32_t free = the_net.net.free_suballocations;
        the_net.net.free_suballocations = 0;
        for (uint32_t i = 0; i < VMBUS_HOST_NET_ANSWERS - 1; i++)
                EXPECT_EQ(net_control_send(MESSAGE(8, 12, 10)), 1);
        vmbus_host_net_link(&the_net.net, false); /* the last room */
        vmbus_host_net_link(&the_net.net, true);
        the_net.net.free_suballocations = free;
        bed_poll(&the_bed);
        /* Everything at once: nothing else would wake the host for what was owed. */
        uint32_t told = 0;
        for (uint32_t i = 0; i < ARRAY_COUNT(transfers); i++) {
                REQUIRE_TRUE(net_transfer(&transfers[i]));
                told += memcmp(net_range(&transfers[i], 0), ((uint32_t[]){7, 20, 0x4001000b}),
                               12) == 0;
        }
        EXPECT_EQ(told, 1);
        for (uint32_t i = 0; i < ARRAY_COUNT(transfers); i++)
                net_return(&transfers[i]);
        EXPECT_FALSE(net_transfer(&more));
}

/* All frames to the second channel; in `answer` is the table that the host sent for it. */
static void frames_to_second(struct test *t)
{
        struct vmbus_incoming packet;
        EXPECT_EQ(net_control(MESSAGE(5, 60, 3, 0x10204, 32, 20, 0, 0x00200189, 0, 0x101, 4, 28, 0,
                                      0, 1),
                              answer),
                  16);
        EXPECT_EQ(answer[3], 0);
        EXPECT_EQ(bed_receive(&the_bed, &the_net.channel, &packet, answer, 128), VMBUS_OK);
}

TEST(vmbus_host_net, subchannels_come_and_go_with_the_card)
{
        struct guest_channel second;
        struct net_transfer transfer;
        REQUIRE_TRUE(net_up(t, 0x60001, 3));
        EXPECT_EQ(net_control(MESSAGE(4, 28, 1, 0x10203, 0, 20, 0), answer), 24 + 20);
        EXPECT_BYTES_EQ(answer + 6, ((uint32_t[]){0x00140288, 0, 3, 3, 128}), 20);
        EXPECT_RULE(&the_bed, NVSP_SUBCHANNELS, net_ask(MESSAGE(133, 1, 3), answer));
        EXPECT_EQ(answer[1], 2);
        EXPECT_RULE(&the_bed, NVSP_SUBCHANNELS, net_ask(MESSAGE(133, 2, 1), answer));
        EXPECT_EQ(net_ask(MESSAGE(133, 1, 2), answer), 40);
        EXPECT_BYTES_EQ(answer, ((uint32_t[]){133, 1, 2}), 12);
        REQUIRE_EQ(the_bed.inbox_count, 2);
        for (uint32_t i = 0; i < 2; i++) {
                EXPECT_EQ(the_bed.inbox[i].words[0], 1);
                EXPECT_EQ(the_bed.inbox[i].words[2], 0xf8615163);
                EXPECT_EQ(the_bed.inbox[i].words[45], i + 1);
                EXPECT_EQ(the_bed.inbox[i].words[46], i + 2);
        }
        bed_forget(&the_bed);
        REQUIRE_TRUE(bed_open(&the_bed, &second, 2, 3, 3));
        frames_to_second(t);
        EXPECT_EQ(answer[0], 134);
        EXPECT_EQ(answer[1], 16);
        EXPECT_EQ(answer[2], 12);
        EXPECT_EQ(answer[3 + 15], 1);
        uint8_t frame[60] = {2, 0x11, 0x22, 0x33, 0x44, 0x55};
        net_arrive(frame, sizeof(frame));
        bed_poll(&the_bed);
        EXPECT_FALSE(net_transfer(&transfer));
        REQUIRE_TRUE(net_transfer_on(&second, &transfer));
        EXPECT_EQ(transfer.count, 1);
        EXPECT_RULE(&the_bed, NVSP_COMPLETION, net_return(&transfer)); /* on the wrong channel */
        /* What is given back there makes room when the first channel was served already. */
        uint32_t others = the_net.net.free_suballocations - 2; /* but what is kept for answers */
        the_net.net.free_suballocations -= others;
        bed_poll(&the_bed);
        EXPECT_FALSE(vmbus_host_net_takes(&the_net.net));
        (void)!bed_packet(&the_bed, &second, VMBUS_SEND_COMPLETION, transfer.id,
                          (const uint32_t[]){108, 1}, 8);
        EXPECT_TRUE(vmbus_host_net_takes(&the_net.net));
        the_net.net.free_suballocations += others;
        EXPECT_EQ(the_net.net.free_suballocations, the_net.net.suballocations);
        EXPECT_SET_REFUSED(RNDIS_OID_VALUE, 0xc0010015, 5, 60, 3, 0x10204, 32, 20, 0, 0x00200189, 0,
                           0x101, 4, 28, 0, 0, 3);
        EXPECT_SET_REFUSED(RNDIS_OID_VALUE, 0xc0010015, 5, 60, 3, 0x10204, 32, 20, 0, 0x00200189, 0,
                           0x101, 4, 29, 0, 0, 1);
        EXPECT_SET_REFUSED(RNDIS_OID_VALUE, 0xc0010015, 5, 60, 3, 0x10204, 32, 20, 0, 0x00200189, 0,
                           0x101, 4, 0xfffffffc, 0, 0, 1);
        bed_forget(&the_bed);
        bed_send(&the_bed, MESSAGE(7, 0, 1)); /* the card closes: the others are rescinded */
        EXPECT_MESSAGE(&the_bed, 2, 0, 2);
        EXPECT_MESSAGE(&the_bed, 2, 0, 3);
}

/* Buffers that come back, whichever way, do not change that the ring is full. */
TEST(vmbus_host_net, what_is_given_back_makes_no_room_in_a_full_ring)
{
        static const uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
        uint32_t payload[32] = {0};
        const struct vmbus_outgoing filler = {.kind = VMBUS_SEND_IN_BAND,
                                              .payload_bytes = sizeof(payload)};
        struct guest_channel second;
        struct net_transfer on_first, on_second;
        struct vmbus_incoming packet;
        REQUIRE_TRUE(net_up(t, 0x60001, 2));
        net_arrive(frame, sizeof(frame));
        bed_poll(&the_bed);
        REQUIRE_TRUE(net_transfer(&on_first));
        EXPECT_EQ(net_ask(MESSAGE(133, 1, 1), answer), 40);
        bed_forget(&the_bed);
        REQUIRE_TRUE(bed_open(&the_bed, &second, 2, 3, 3));
        frames_to_second(t);
        net_arrive(frame, sizeof(frame));
        bed_poll(&the_bed);
        REQUIRE_TRUE(net_transfer_on(&second, &on_second));
        while (vmbus_host_send(the_net.net.channels[0], &filler, payload) == VMBUS_OK)
                continue; /* at most what the ring holds */
        net_arrive(frame, sizeof(frame));
        bed_poll(&the_bed);
        EXPECT_FALSE(vmbus_host_net_takes(&the_net.net));
        EXPECT_EQ(the_net.net.stalls, 1);
        net_return(&on_first);
        EXPECT_FALSE(vmbus_host_net_takes(&the_net.net));
        EXPECT_EQ(the_net.net.stalls, 1); /* the same one still */
        (void)!bed_packet(&the_bed, &second, VMBUS_SEND_COMPLETION, on_second.id,
                          (const uint32_t[]){108, 1}, 8);
        EXPECT_FALSE(vmbus_host_net_takes(&the_net.net));
        EXPECT_EQ(the_net.net.free_suballocations, the_net.net.suballocations);
        while (bed_receive(&the_bed, &the_net.channel, &packet, payload, sizeof(payload)) ==
               VMBUS_OK)
                continue;
        EXPECT_TRUE(vmbus_host_net_takes(&the_net.net));
        EXPECT_TRUE(net_transfer_on(&second, &on_second));
        EXPECT_EQ(the_net.net.stalls, 1);
}
