/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_channel_test — GPADLs and channels of the host side, and what a guest can do wrong
 * with them: spec/vmbus.md, e.6, e.7. */
#include "tests/host/vmbus_host_bed.h"

static struct vmbus_host_echo echo, second;
static struct vmbus_host_offer offers[2];

static void start(struct test *t, uint32_t version, uint32_t features)
{
        bed_init(t, &the_bed);
        vmbus_host_echo_init(&echo, false);
        vmbus_host_echo_init(&second, false);
        vmbus_host_echo_offer(&echo, &offers[0], 0);
        vmbus_host_echo_offer(&second, &offers[1], 1);
        EXPECT_OK(vmbus_host_offer(&the_bed.host, &offers[0], NULL));
        EXPECT_OK(vmbus_host_offer(&the_bed.host, &offers[1], NULL));
        bed_connect(&the_bed, version, features, true);
}

/* ---- GPADLs ---- */

#define PAGE0 BED_FIRST_PAGE
/* A header for 0x55 on channel 1 with `bytes` of ranges announced, and these words. */
#define GPADL(bytes, ranges, ...) MESSAGE(8, 0, 1, 0x55, (bytes) | (ranges) << 16, __VA_ARGS__)

TEST(vmbus_host_channel, a_gpadl_comes_and_goes)
{
        start(t, 0x50003, 0);
        bed_send(&the_bed, GPADL(16, 1, 4096, 0, PAGE0, 0));
        EXPECT_MESSAGE(&the_bed, 10, 0, 1, 0x55, 0);
        EXPECT_RULE(&the_bed, GPADL_UNKNOWN, bed_send(&the_bed, MESSAGE(11, 0, 1, 0x56)));
        EXPECT_RULE(&the_bed, GPADL_UNKNOWN, bed_send(&the_bed, MESSAGE(11, 0, 2, 0x55)));
        EXPECT_RULE(&the_bed, CHANNEL_UNKNOWN, bed_send(&the_bed, MESSAGE(11, 0, 3, 0x55)));
        EXPECT_SILENCE(&the_bed);
        bed_send(&the_bed, MESSAGE(11, 0, 1, 0x55));
        EXPECT_MESSAGE(&the_bed, 12, 0, 0x55);
        EXPECT_RULE(&the_bed, GPADL_UNKNOWN, bed_send(&the_bed, MESSAGE(11, 0, 1, 0x55)));
}

TEST(vmbus_host_channel, a_list_comes_in_pieces)
{
        struct vmbus_host_pages pages;
        start(t, 0x50003, 0);
        bed_gpadl(&the_bed, 1, 0x55, PAGE0, 26); /* the most that one header holds */
        EXPECT_MESSAGE(&the_bed, 10, 0, 1, 0x55, 0);
        bed_gpadl(&the_bed, 1, 0x56, PAGE0 + 26, 27);
        EXPECT_MESSAGE(&the_bed, 10, 0, 1, 0x56, 0);
        bed_gpadl(&the_bed, 1, 0x57, PAGE0 + 7, 26 + 28 + 28 + 1);
        EXPECT_MESSAGE(&the_bed, 10, 0, 1, 0x57, 0);
        REQUIRE_TRUE(vmbus_host_gpadl_pages(&the_bed.host.channels[0], 0x57, &pages));
        REQUIRE_EQ(pages.page_count, 83);
        for (uint32_t i = 0; i < pages.page_count; i++)
                EXPECT_EQ(pages.addresses[i], (uintptr_t)bed_page(&the_bed, PAGE0 + 7 + i));
        /* Pieces may be smaller than they could be, and a header may have no word at all. */
        bed_send(&the_bed, MESSAGE(8, 0, 1, 0x58, 24 | 1 << 16));
        EXPECT_RULE(&the_bed, GPADL_INCOMPLETE, bed_send(&the_bed, MESSAGE(11, 0, 1, 0x58)));
        EXPECT_RULE(&the_bed, GPADL_IN_USE,
                    bed_send(&the_bed, MESSAGE(8, 0, 2, 0x58, 16 | 1 << 16)));
        EXPECT_MESSAGE(&the_bed, 10, 0, 2, 0x58, 0x8000ffff);
        bed_send(&the_bed, MESSAGE(9, 0, 0, 0x58, 8192, 0));
        EXPECT_RULE(&the_bed, GPADL_EMPTY_BODY, bed_send(&the_bed, MESSAGE(9, 0, 0, 0x58, 1)));
        bed_send(&the_bed, MESSAGE(9, 0, 0, 0x58, PAGE0, 0));
        EXPECT_SILENCE(&the_bed);
        bed_send(&the_bed, MESSAGE(9, 0, 0, 0x58, PAGE0 + 1, 0, 0xdead, 0xbeef, 0xdead, 0xbeef));
        EXPECT_MESSAGE(&the_bed, 10, 0, 1, 0x58, 0); /* bytes beyond the list are ignored */
        EXPECT_RULE(&the_bed, GPADL_UNKNOWN, bed_send(&the_bed, MESSAGE(9, 0, 0, 0x58, 1, 2)));
}

TEST(vmbus_host_channel, the_longest_list_fits)
{
        struct vmbus_host_pages pages;
        start(t, 0x50003, 0);
        the_bed.repeat_pages = true;
        bed_gpadl(&the_bed, 1, 0x55, PAGE0, 8190);
        EXPECT_MESSAGE(&the_bed, 10, 0, 1, 0x55, 0);
        REQUIRE_TRUE(vmbus_host_gpadl_pages(&the_bed.host.channels[0], 0x55, &pages));
        EXPECT_EQ(pages.page_count, 8190);
        EXPECT_EQ(pages.addresses[8189],
                  (uintptr_t)bed_page(&the_bed, PAGE0 + 8189 % BED_PAGES));
        bed_gpadl(&the_bed, 1, 0x56, PAGE0, 8190);
        EXPECT_MESSAGE(&the_bed, 10, 0, 1, 0x56, 0);
        EXPECT_RULE(&the_bed, GPADL_NO_ROOM,
                    bed_send(&the_bed, MESSAGE(8, 0, 1, 0x57, 16 | 1 << 16)));
        EXPECT_MESSAGE(&the_bed, 10, 0, 1, 0x57, 0x8000ffff);
        bed_send(&the_bed, MESSAGE(11, 0, 1, 0x55));
        EXPECT_MESSAGE(&the_bed, 12, 0, 0x55);
        bed_gpadl(&the_bed, 1, 0x57, PAGE0, 8190); /* the room of the first one */
        EXPECT_MESSAGE(&the_bed, 10, 0, 1, 0x57, 0);
}

TEST(vmbus_host_channel, gpadls_never_share_words)
{
        uint32_t pages_of[VMBUS_HOST_GPADLS] = {0};
        start(t, 0x50003, 0);
        for (uint32_t round = 0; round < 2000; round++) {
                uint32_t which = world_random_below(t, VMBUS_HOST_GPADLS);
                struct vmbus_host_pages pages;
                if (pages_of[which] != 0) {
                        REQUIRE_TRUE(
                                vmbus_host_gpadl_pages(&the_bed.host.channels[0], which, &pages));
                        REQUIRE_EQ(pages.page_count, pages_of[which]);
                        for (uint32_t i = 0; i < pages.page_count; i++)
                                REQUIRE_EQ(pages.addresses[i],
                                           (uintptr_t)bed_page(&the_bed, PAGE0 + which + i));
                        bed_send(&the_bed, MESSAGE(11, 0, 1, which));
                        pages_of[which] = 0;
                } else {
                        pages_of[which] = 1 + world_random_below(t, 200);
                        bed_gpadl(&the_bed, 1, which, PAGE0 + which, pages_of[which]);
                }
                bed_forget(&the_bed);
        }
        EXPECT_EQ(vmbus_host_faults_total(&the_bed.host), 0);
}

static void expect_no_gpadl(struct test *t, uint32_t channel)
{
        EXPECT_MESSAGE(&the_bed, 10, 0, channel, 0x55, 0x8000ffff);
        EXPECT_FALSE(the_bed.host.gpadls[0].used);
}

TEST(vmbus_host_channel, a_bad_list_is_refused)
{
        start(t, 0x50003, 0);
        EXPECT_RULE(&the_bed, GPADL_BYTES, bed_send(&the_bed, GPADL(8, 1, 4096, 0)));
        expect_no_gpadl(t, 1);
        EXPECT_RULE(&the_bed, GPADL_BYTES, bed_send(&the_bed, GPADL(20, 1, 4096, 0, PAGE0, 0)));
        expect_no_gpadl(t, 1);
        EXPECT_RULE(&the_bed, GPADL_BYTES, bed_send(&the_bed, GPADL(0, 1, 4096, 0, PAGE0, 0)));
        expect_no_gpadl(t, 1);
        EXPECT_RULE(&the_bed, GPADL_RANGES, bed_send(&the_bed, GPADL(16, 0, 4096, 0, PAGE0, 0)));
        expect_no_gpadl(t, 1);
        EXPECT_RULE(&the_bed, GPADL_LIST, bed_send(&the_bed, GPADL(16, 1, 0, 0, PAGE0, 0)));
        expect_no_gpadl(t, 1);
        EXPECT_RULE(&the_bed, GPADL_LIST, bed_send(&the_bed, GPADL(16, 1, 4096, 1, PAGE0, 0)));
        expect_no_gpadl(t, 1);
        EXPECT_RULE(&the_bed, GPADL_LIST, bed_send(&the_bed, GPADL(16, 1, 1, 4096, PAGE0, 0)));
        expect_no_gpadl(t, 1);
        EXPECT_RULE(&the_bed, GPADL_LIST, bed_send(&the_bed, GPADL(16, 2, 4096, 0, PAGE0, 0)));
        expect_no_gpadl(t, 1);
        EXPECT_RULE(&the_bed, GPADL_LIST,
                    bed_send(&the_bed, GPADL(16, 1, 0xffffffff, 0, PAGE0, 0)));
        expect_no_gpadl(t, 1);
        EXPECT_RULE(&the_bed, GPADL_PAGE, bed_send(&the_bed, GPADL(16, 1, 4096, 0, PAGE0 - 1, 0)));
        expect_no_gpadl(t, 1);
        EXPECT_RULE(&the_bed, GPADL_PAGE, bed_send(&the_bed, GPADL(16, 1, 4096, 0, PAGE0, 1)));
        expect_no_gpadl(t, 1);
        EXPECT_RULE(&the_bed, CHANNEL_UNKNOWN,
                    bed_send(&the_bed, MESSAGE(8, 0, 3, 0x55, 16 | 1 << 16, 4096, 0, PAGE0, 0)));
        expect_no_gpadl(t, 3);
        bed_send(&the_bed, GPADL(16, 1, 4096, 0, PAGE0, 0));
        EXPECT_MESSAGE(&the_bed, 10, 0, 1, 0x55, 0);
        EXPECT_RULE(&the_bed, GPADL_IN_USE, bed_send(&the_bed, GPADL(16, 1, 4096, 0, PAGE0, 0)));
        EXPECT_MESSAGE(&the_bed, 10, 0, 1, 0x55, 0x8000ffff);
        bed_send(&the_bed, MESSAGE(8, 0, 2, 0x55, 16 | 1 << 16, 4096, 0, PAGE0, 0));
        EXPECT_MESSAGE(&the_bed, 10, 0, 2, 0x55, 0); /* complete ones: unique on a channel only */
}

/* ---- open ---- */

#define OPEN(gpadl, vp, page, ...) \
        MESSAGE(5, 0, 1, 9, (gpadl), (vp), (page), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
                0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, __VA_ARGS__)

/* An opening that breaks one rule, and its answer. */
#define EXPECT_REFUSED(rule, ...)                                        \
        do {                                                             \
                EXPECT_RULE(&the_bed, rule, bed_send(&the_bed, OPEN(__VA_ARGS__))); \
                EXPECT_MESSAGE(&the_bed, 6, 0, 1, 9, 0x8000ffff);            \
                EXPECT_FALSE(the_bed.host.channels[0].open);                 \
                EXPECT_EQ(the_bed.host.gpadls[0].users, 0);                  \
        } while (0)

TEST(vmbus_host_channel, an_opening_is_checked)
{
        uint32_t *ring;
        start(t, 0x50003, 0);
        bed_gpadl(&the_bed, 1, 0x55, PAGE0, 5);
        bed_send(&the_bed, MESSAGE(8, 0, 1, 0x56, 16 | 1 << 16, 4095, 0, PAGE0, 0));
        bed_send(&the_bed, MESSAGE(8, 0, 1, 0x57, 40 | 2 << 16, 8192, 0, PAGE0, 0, PAGE0 + 1, 0,
                                   4096, 0, PAGE0 + 2, 0));
        bed_gpadl(&the_bed, 1, 0x58, PAGE0, 3);
        bed_forget(&the_bed);
        EXPECT_REFUSED(OPEN_GPADL, 0x66, 0, 2, 0);
        EXPECT_REFUSED(OPEN_SHAPE, 0x56, 0, 2, 0);
        EXPECT_REFUSED(OPEN_SHAPE, 0x57, 0, 2, 0);
        EXPECT_REFUSED(OPEN_DOWNSTREAM, 0x55, 0, 0, 0);
        EXPECT_REFUSED(OPEN_DOWNSTREAM, 0x55, 0, 1, 0);
        EXPECT_REFUSED(OPEN_DOWNSTREAM, 0x55, 0, 4, 0);
        EXPECT_REFUSED(OPEN_DOWNSTREAM, 0x55, 0, 5, 0);
        EXPECT_REFUSED(OPEN_DOWNSTREAM, 0x55, 0, 0xffffffff, 0);
        EXPECT_REFUSED(OPEN_DOWNSTREAM, 0x58, 0, 2, 0);
        ring = (void *)bed_page(&the_bed, PAGE0);
        ring[0] = 4096; /* in of 4096 bytes of data */
        EXPECT_REFUSED(OPEN_RING, 0x55, 0, 2, 0);
        ring[0] = 4;
        EXPECT_REFUSED(OPEN_RING, 0x55, 0, 2, 0);
        ring[0] = 0;
        ring = (void *)bed_page(&the_bed, PAGE0 + 2);
        ring[1] = 8192; /* out of 8192 */
        EXPECT_REFUSED(OPEN_RING, 0x55, 0, 2, 0);
        ring[1] = 0;
        bed_send(&the_bed, OPEN(0x55, 0, 2, 0));
        EXPECT_MESSAGE(&the_bed, 6, 0, 1, 9, 0);
        EXPECT_RULE(&the_bed, CHANNEL_OPEN, bed_send(&the_bed, OPEN(0x55, 0, 2, 0)));
        EXPECT_MESSAGE(&the_bed, 6, 0, 1, 9, 0x8000ffff);
        EXPECT_TRUE(the_bed.host.channels[0].open);
        EXPECT_EQ(the_bed.host.gpadls[0].users, 1);
        EXPECT_RULE(&the_bed, CHANNEL_UNKNOWN,
                    bed_send(&the_bed, MESSAGE(5, 0, 7, 9, 0x55, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                               0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                               0, 0, 0, 0)));
        EXPECT_MESSAGE(&the_bed, 6, 0, 7, 9, 0x8000ffff);
}

static bool opened_never(struct vmbus_host_device *device, struct vmbus_host_channel *channel)
{
        return false;
}

TEST(vmbus_host_channel, a_device_may_refuse_an_opening)
{
        struct vmbus_host_device_ops ops;
        struct vmbus_host_device device = {.ops = &ops};
        struct vmbus_host_offer offer;
        start(t, 0x50003, 0);
        const struct vmbus_host_offer *real = the_bed.host.channels[0].offer;
        ops = *real->device->ops;
        ops.opened = opened_never;
        offer = *real;
        offer.device = &device;
        bed_gpadl(&the_bed, 1, 0x55, PAGE0, 5);
        bed_forget(&the_bed);
        the_bed.host.channels[0].offer = &offer;
        EXPECT_REFUSED(OPEN_REFUSED, 0x55, 0, 2, 0);
        the_bed.host.channels[0].offer = real;
        bed_send(&the_bed, OPEN(0x55, 0, 2, 0)); /* nothing of it stayed */
        EXPECT_MESSAGE(&the_bed, 6, 0, 1, 9, 0);
}

TEST(vmbus_host_channel, the_guest_may_choose_its_event_flag)
{
        struct vmbus_incoming packet;
        struct guest_channel channel = {.id = 1};
        uint64_t payload = 5;
        start(t, 0x60000, 1);
        bed_gpadl(&the_bed, 1, 0x55, PAGE0, 4);
        REQUIRE_TRUE(bed_attach(&the_bed, &channel, PAGE0, 2, 2));
        bed_forget(&the_bed);
        EXPECT_REFUSED(MESSAGE_SHORT, 0x55, 0, 2, 0);
        EXPECT_REFUSED(OPEN_FLAG, 0x55, 0, 2, 0, 2048);
        bed_send(&the_bed, OPEN(0x55, 3, 2, 0, 2047));
        EXPECT_MESSAGE(&the_bed, 6, 0, 1, 9, 0);
        REQUIRE_EQ(bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND, 0, &payload, 8), VMBUS_OK);
        EXPECT_EQ(the_bed.signals[2047], 1);
        EXPECT_EQ(the_bed.signal_vp, 3);
        EXPECT_EQ(bed_receive(&the_bed, &channel, &packet, &payload, 8), VMBUS_OK);
        EXPECT_EQ(payload, 5);
}

TEST(vmbus_host_channel, a_channel_moves_to_another_processor)
{
        struct guest_channel channel;
        uint64_t payload = 5;
        start(t, 0x50003, 0);
        EXPECT_RULE(&the_bed, CHANNEL_UNKNOWN, bed_send(&the_bed, MESSAGE(22, 0, 8, 1)));
        EXPECT_MESSAGE(&the_bed, 24, 0, 8, 0x8000ffff);
        EXPECT_RULE(&the_bed, CHANNEL_NOT_OPEN, bed_send(&the_bed, MESSAGE(22, 0, 1, 1)));
        EXPECT_MESSAGE(&the_bed, 24, 0, 1, 0x8000ffff);
        REQUIRE_TRUE(bed_open(&the_bed, &channel, 1, 2, 2));
        bed_send(&the_bed, MESSAGE(22, 0, 1, 7));
        EXPECT_MESSAGE(&the_bed, 24, 0, 1, 0);
        bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND, 0, &payload, 8);
        EXPECT_EQ(the_bed.signal_vp, 7);
        EXPECT_RULE(&the_bed, MODIFY_NO_VP, bed_send(&the_bed, MESSAGE(22, 0, 1, 0xffffffff)));
        EXPECT_MESSAGE(&the_bed, 24, 0, 1, 0x8000ffff);
        the_bed.host.channels[0].target_vp = 0xffffffff;
        EXPECT_RULE(&the_bed, MODIFY_DISABLED, bed_send(&the_bed, MESSAGE(22, 0, 1, 0)));
        EXPECT_MESSAGE(&the_bed, 24, 0, 1, 0x8000ffff);
        bed_connect(&the_bed, 0x50002, 0, true); /* no response below 5.3 */
        the_bed.next_page = 0;
        REQUIRE_TRUE(bed_open(&the_bed, &channel, 1, 2, 2));
        bed_send(&the_bed, MESSAGE(22, 0, 1, 7));
        EXPECT_SILENCE(&the_bed);
        EXPECT_EQ(the_bed.host.channels[0].target_vp, 7);
}

TEST(vmbus_host_channel, events_go_to_a_processor_that_exists)
{
        start(t, 0x50003, 0);
        the_bed.host.config.vp_count = 2;
        bed_gpadl(&the_bed, 1, 0x55, PAGE0, 4);
        bed_forget(&the_bed);
        EXPECT_REFUSED(OPEN_VP, 0x55, 2, 2, 0);
        bed_send(&the_bed, OPEN(0x55, 1, 2, 0));
        EXPECT_MESSAGE(&the_bed, 6, 0, 1, 9, 0);
        EXPECT_RULE(&the_bed, MODIFY_VP, bed_send(&the_bed, MESSAGE(22, 0, 1, 2)));
        EXPECT_MESSAGE(&the_bed, 24, 0, 1, 0x8000ffff);
        EXPECT_EQ(the_bed.host.channels[0].target_vp, 1);
        bed_send(&the_bed, MESSAGE(7, 0, 1));
        bed_send(&the_bed, OPEN(0x55, 0xffffffff, 2, 0)); /* or to none */
        EXPECT_MESSAGE(&the_bed, 6, 0, 1, 9, 0);
}

TEST(vmbus_host_channel, a_channel_without_interrupts_is_not_signalled)
{
        struct vmbus_incoming packet;
        struct guest_channel channel = {.id = 1};
        uint64_t payload = 5;
        start(t, 0x50003, 0);
        bed_gpadl(&the_bed, 1, 0x55, PAGE0, 4);
        REQUIRE_TRUE(bed_attach(&the_bed, &channel, PAGE0, 2, 2));
        bed_send(&the_bed, OPEN(0x55, 0xffffffff, 2, 0));
        REQUIRE_EQ(bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND, 0, &payload, 8), VMBUS_OK);
        EXPECT_EQ(bed_receive(&the_bed, &channel, &packet, &payload, 8), VMBUS_OK);
        EXPECT_EQ(the_bed.host.signals_out, 0);
}

/* ---- close, rescind ---- */

TEST(vmbus_host_channel, the_ring_outlives_the_channel)
{
        struct guest_channel channel;
        start(t, 0x50003, 0);
        REQUIRE_TRUE(bed_open(&the_bed, &channel, 1, 2, 2));
        EXPECT_RULE(&the_bed, GPADL_BUSY, bed_send(&the_bed, MESSAGE(11, 0, 1, 0x101)));
        EXPECT_RULE(&the_bed, CHANNEL_NOT_OPEN, bed_send(&the_bed, MESSAGE(7, 0, 2)));
        EXPECT_RULE(&the_bed, CHANNEL_UNKNOWN, bed_send(&the_bed, MESSAGE(7, 0, 0)));
        bed_send(&the_bed, MESSAGE(7, 0, 1));
        EXPECT_SILENCE(&the_bed);
        EXPECT_RULE(&the_bed, CHANNEL_NOT_OPEN, bed_send(&the_bed, MESSAGE(7, 0, 1)));
        EXPECT_RULE(&the_bed, EVENT_UNKNOWN, vmbus_host_event(&the_bed.host, BED_CHANNEL_BASE + 1));
        EXPECT_RULE(&the_bed, EVENT_UNKNOWN, vmbus_host_event(&the_bed.host, 1));
        EXPECT_RULE(&the_bed, EVENT_UNKNOWN,
                    vmbus_host_event(&the_bed.host, BED_CHANNEL_BASE + 3000));
        bed_send(&the_bed, MESSAGE(11, 0, 1, 0x101));
        EXPECT_MESSAGE(&the_bed, 12, 0, 0x101);
        EXPECT_TRUE(bed_open(&the_bed, &channel, 1, 3, 4)); /* and again */
}

TEST(vmbus_host_channel, a_rescinded_channel_is_cleared_away_in_order)
{
        struct guest_channel channel;
        uint64_t payload = 5;
        start(t, 0x50003, 0);
        REQUIRE_TRUE(bed_open(&the_bed, &channel, 1, 2, 2));
        vmbus_host_rescind(&the_bed.host, vmbus_host_channel(&the_bed.host, 1));
        bed_poll(&the_bed);
        EXPECT_MESSAGE(&the_bed, 2, 0, 1);
        bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND, 0, &payload, 8); /* into the void */
        EXPECT_EQ(echo.packets, 0);
        EXPECT_RULE(&the_bed, RELEASE_OPEN, bed_send(&the_bed, MESSAGE(13, 0, 1)));
        EXPECT_RULE(&the_bed, GPADL_BUSY, bed_send(&the_bed, MESSAGE(11, 0, 1, 0x101)));
        bed_send(&the_bed, MESSAGE(7, 0, 1));
        EXPECT_REFUSED(CHANNEL_RESCINDED, 0x101, 0, 2, 0);
        EXPECT_RULE(&the_bed, RELEASE_GPADL, bed_send(&the_bed, MESSAGE(13, 0, 1)));
        bed_send(&the_bed, GPADL(16, 1, 4096, 0, PAGE0, 0)); /* still created, and torn down */
        EXPECT_MESSAGE(&the_bed, 10, 0, 1, 0x55, 0);
        bed_send(&the_bed, MESSAGE(11, 0, 1, 0x55));
        EXPECT_MESSAGE(&the_bed, 12, 0, 0x55);
        bed_send(&the_bed, MESSAGE(11, 0, 1, 0x101));
        EXPECT_MESSAGE(&the_bed, 12, 0, 0x101);
        bed_send(&the_bed, MESSAGE(13, 0, 1));
        EXPECT_SILENCE(&the_bed);
        EXPECT_OK(vmbus_host_offer(&the_bed.host, &offers[0], NULL)); /* the id is free again */
        bed_poll(&the_bed);
        EXPECT_EQ(the_bed.inbox[0].words[46], 1);
        bed_forget(&the_bed);
        EXPECT_TRUE(bed_open(&the_bed, &channel, 1, 2, 2));
}

TEST(vmbus_host_channel, a_reserved_channel_survives_the_connection)
{
        struct vmbus_incoming packet;
        struct guest_channel channel = {.id = 1};
        uint64_t payload = 5;
        start(t, 0x40000, 0);
        bed_gpadl(&the_bed, 1, 0x55, PAGE0, 4);
        REQUIRE_TRUE(bed_attach(&the_bed, &channel, PAGE0, 2, 2));
        bed_forget(&the_bed);
        EXPECT_RULE(&the_bed, OPEN_SINT, bed_send(&the_bed, MESSAGE(18, 0, 1, 0, 16, 0x55, 2)));
        EXPECT_RULE(&the_bed, CHANNEL_UNKNOWN,
                    bed_send(&the_bed, MESSAGE(18, 0, 9, 0, 2, 0x55, 2)));
        EXPECT_RULE(&the_bed, CHANNEL_NOT_OPEN, bed_send(&the_bed, MESSAGE(19, 0, 1, 0, 2)));
        bed_send(&the_bed, MESSAGE(18, 0, 1, 4, 2, 0x55, 2));
        EXPECT_SILENCE(&the_bed);
        EXPECT_RULE(&the_bed, CHANNEL_NOT_OPEN, bed_send(&the_bed, MESSAGE(7, 0, 1)));
        bed_connect(&the_bed, 0x50003, 0, false);
        REQUIRE_EQ(bed_packet(&the_bed, &channel, VMBUS_SEND_IN_BAND, 0, &payload, 8), VMBUS_OK);
        EXPECT_EQ(bed_receive(&the_bed, &channel, &packet, &payload, 8), VMBUS_OK);
        bed_send(&the_bed, MESSAGE(16, 0));
        bed_forget(&the_bed);
        bed_send_on(&the_bed, 1, MESSAGE(19, 0, 1, 5, 2)); /* no version is agreed, and it works */
        EXPECT_MESSAGE(&the_bed, 20, 0, 1);
        EXPECT_FALSE(the_bed.host.gpadls[0].used);
        EXPECT_FALSE(the_bed.host.channels[0].open);
}
