/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_test — the connection and its messages, as a guest meets them: spec/vmbus.md, (e). */
#include "tests/host/vmbus_host_bed.h"

struct bed the_bed;
ALIGNED(4096) uint8_t bed_ram[BED_PAGES * PAGE_BYTES];
static struct vmbus_host_echo echo, pipe_echo;
static struct vmbus_host_offer offers[2];

/* Channel 1 echoes packets, channel 2 messages of a pipe. */
static void start(struct test *t)
{
        bed_init(t, &the_bed);
        vmbus_host_echo_init(&echo, false);
        vmbus_host_echo_init(&pipe_echo, true);
        vmbus_host_echo_offer(&echo, &offers[0], 0);
        vmbus_host_echo_offer(&pipe_echo, &offers[1], 1);
        EXPECT_OK(vmbus_host_offer(&the_bed.host, &offers[0], NULL));
        EXPECT_OK(vmbus_host_offer(&the_bed.host, &offers[1], NULL));
}

/* ---- version ---- */

static const uint32_t known[] = {0x30000, 0x40000, 0x40001, 0x50000,
                                 0x50001, 0x50002, 0x50003, 0x60000};

TEST(vmbus_host, every_version_is_answered_in_its_form)
{
        start(t);
        for (uint32_t i = 0; i < ARRAY_COUNT(known); i++) {
                uint32_t version = known[i], old = version < 0x50000;
                bed_send_on(&the_bed, old ? 1 : 4,
                            MESSAGE(14, 0, version, 3, old ? 0 : 2, 0xff, 0, 0, 0, 0, 0, 0, 0, 0));
                if (version == 0x60000)
                        EXPECT_MESSAGE(&the_bed, 15, 0, 1, BED_CONNECTION, 0x2d);
                else
                        EXPECT_MESSAGE(&the_bed, 15, 0, 1, old ? version : BED_CONNECTION);
                EXPECT_EQ(the_bed.host.version, version);
                EXPECT_EQ(the_bed.host.message_vp, 3);
        }
        EXPECT_SILENCE(&the_bed);
        EXPECT_EQ(vmbus_host_faults_total(&the_bed.host), 0);
}

TEST(vmbus_host, other_versions_are_not_supported)
{
        static const uint32_t others[] = {0, 0xd, 0x10001, 0x20004, 0x30001, 0x40002,
                                          0x50004, 0x60001, 0x70000, UINT32_MAX};
        start(t);
        for (uint32_t i = 0; i < ARRAY_COUNT(others); i++) {
                bed_send_on(&the_bed, others[i] < 0x50000 ? 1 : 4,
                            MESSAGE(14, 0, others[i], 0, 2, 0, 0, 0, 0, 0));
                EXPECT_MESSAGE(&the_bed, 15, 0, 0, 0);
                EXPECT_EQ(the_bed.host.version, 0);
        }
        the_bed.host.config.version_max = 0x50003;
        bed_send_on(&the_bed, 4, MESSAGE(14, 0, 0x60000, 0, 2, 0, 0, 0, 0, 0));
        EXPECT_MESSAGE(&the_bed, 15, 0, 0, 0);
        bed_send_on(&the_bed, 4, MESSAGE(14, 0, 0x50003, 0, 2, 0, 0, 0, 0, 0));
        EXPECT_MESSAGE(&the_bed, 15, 0, 1, BED_CONNECTION);
}

TEST(vmbus_host, a_bad_contact_fails)
{
        start(t);
        EXPECT_RULE(&the_bed, CONTACT_MONITOR,
                    bed_send_on(&the_bed, 4, MESSAGE(14, 0, 0x50003, 0, 2, 0, 0x5000, 0, 0, 0)));
        EXPECT_MESSAGE(&the_bed, 15, 0, 0x201, BED_CONNECTION);
        EXPECT_RULE(&the_bed, CONTACT_MONITOR,
                    bed_send_on(&the_bed, 1, MESSAGE(14, 0, 0x40001, 0, 0, 0, 0, 0, 0x5000, 0)));
        EXPECT_MESSAGE(&the_bed, 15, 0, 0x201, 0x40001);
        EXPECT_RULE(&the_bed, CONTACT_SINT,
                    bed_send_on(&the_bed, 4, MESSAGE(14, 0, 0x50000, 0, 3, 0, 0, 0, 0, 0)));
        EXPECT_RULE(&the_bed, CONTACT_VTL,
                    bed_send_on(&the_bed, 4, MESSAGE(14, 0, 0x50001, 0, 0x202, 0, 0, 0, 0, 0)));
        EXPECT_RULE(&the_bed, CONTACT_ZERO,
                    bed_send_on(&the_bed, 4, MESSAGE(14, 0, 0x50001, 0, 0x10002, 0, 0, 0, 0, 0)));
        EXPECT_RULE(&the_bed, CONTACT_CLIENT,
                    bed_send_on(&the_bed, 4, MESSAGE(14, 0, 0x60000, 0, 2, 8, 0, 0, 0, 0)));
        EXPECT_EQ(the_bed.host.version, 0);
        bed_forget(&the_bed);
        /* A VTL is no field of 5.0, and both monitor pages are fine. */
        bed_send_on(&the_bed, 4, MESSAGE(14, 0, 0x50000, 0, 0x202, 0, 0x5000, 0, 0x6000, 0));
        EXPECT_MESSAGE(&the_bed, 15, 0, 1, BED_CONNECTION);
}

/* ---- what every message must be ---- */

TEST(vmbus_host, a_message_passes_the_common_rules)
{
        const uint64_t of_guests = 0x2a6d6ba8; /* 3 5 7 8 9 11 13 14 16 18 19 21 22 25 27 29 */
        uint32_t words[61] = {14, 0, 0x30000};
        start(t);
        EXPECT_RULE(&the_bed, MESSAGE_BYTES, bed_send(&the_bed, words, 7));
        EXPECT_RULE(&the_bed, MESSAGE_BYTES, bed_send(&the_bed, words, 241));
        EXPECT_RULE(&the_bed, MESSAGE_UNNEGOTIATED, bed_send_on(&the_bed, 1, MESSAGE(3, 0)));
        EXPECT_RULE(&the_bed, MESSAGE_CONNECTION, bed_send_on(&the_bed, 4, words, 40));
        EXPECT_RULE(&the_bed, MESSAGE_SHORT, bed_send_on(&the_bed, 1, words, 39));
        words[2] = 0x50000;
        EXPECT_RULE(&the_bed, MESSAGE_CONNECTION, bed_send_on(&the_bed, 1, words, 40));
        EXPECT_SILENCE(&the_bed);
        bed_connect(&the_bed, 0x50003, 0, false);
        EXPECT_RULE(&the_bed, MESSAGE_CONNECTION, bed_send_on(&the_bed, 4, MESSAGE(3, 0)));
        EXPECT_RULE(&the_bed, MESSAGE_ZERO, bed_send(&the_bed, MESSAGE(3, 1)));
        for (uint32_t type = 0; type < 40; type++) {
                uint32_t message[60] = {type, 0};
                if ((of_guests >> type & 1) != 0)
                        continue;
                EXPECT_RULE(&the_bed, MESSAGE_TYPE, bed_send(&the_bed, message, sizeof(message)));
        }
        EXPECT_SILENCE(&the_bed);
}

TEST(vmbus_host, each_type_has_a_length_a_version_and_a_feature)
{
        static const struct {
                uint32_t type, bytes, version, feature;
        } rows[] = {
                {3, 8, 0, 0},         {5, 148, 0, 0},       {7, 12, 0, 0},
                {8, 20, 0, 0},        {9, 16, 0, 0},        {11, 16, 0, 0},
                {13, 12, 0, 0},       {16, 8, 0, 0},        {18, 28, 0x40000, 0},
                {21, 40, 0x40000, 0}, {22, 16, 0x40001, 0}, {25, 24, 0x60000, 4},
                {27, 8, 0x60000, 32}, {29, 8, 0x60000, 32}};
        uint32_t words[60] = {0};
        start(t);
        for (uint32_t i = 0; i < ARRAY_COUNT(rows); i++) {
                bed_connect(&the_bed, 0x60000, 0xff, true);
                words[0] = rows[i].type;
                if (rows[i].bytes > 8)
                        EXPECT_RULE(&the_bed, MESSAGE_SHORT,
                                    bed_send(&the_bed, words, rows[i].bytes - 1));
                if (rows[i].feature != 0) {
                        bed_connect(&the_bed, 0x60000, 0xff & ~rows[i].feature, true);
                        EXPECT_RULE(&the_bed, MESSAGE_FEATURE,
                                    bed_send(&the_bed, words, rows[i].bytes));
                }
                for (uint32_t j = 0; j < ARRAY_COUNT(known) && known[j] < rows[i].version; j++) {
                        bed_connect(&the_bed, known[j], 0xff, true);
                        EXPECT_RULE(&the_bed, MESSAGE_VERSION,
                                    bed_send(&the_bed, words, rows[i].bytes));
                }
        }
}

/* ---- offers ---- */

/* Channel `id` with its class, flags and first user word; everything else is 0. */
static void expect_offer(struct test *t, uint32_t id, uint32_t flags, uint32_t user)
{
        uint32_t words[49] = {1, 0, 0x5f0a1e70, 0x4d0a6c3b, 0x00001e9b, id << 24, 0x5f0a1e70,
                              0x4d0a6c3b, 0x00001e9b, (0x7f + id) << 24};
        words[14] = flags;
        words[15] = user;
        words[46] = id;
        words[47] = 0x100ff; /* no monitor, dedicated interrupt */
        words[48] = BED_CHANNEL_BASE + id;
        bed_expect(&the_bed, words, sizeof(words), 196);
}

static void expect_offers(struct test *t)
{
        expect_offer(t, 1, 1, 0);
        expect_offer(t, 2, 0x11, 4);
        EXPECT_MESSAGE(&the_bed, 4, 0);
}

TEST(vmbus_host, offers_come_when_asked_for_and_once)
{
        start(t);
        bed_connect(&the_bed, 0x50003, 0, false);
        EXPECT_SILENCE(&the_bed);
        bed_send(&the_bed, MESSAGE(3, 0));
        expect_offers(t);
        EXPECT_RULE(&the_bed, OFFERS_TWICE, bed_send(&the_bed, MESSAGE(3, 0)));
        EXPECT_SILENCE(&the_bed);
        bed_connect(&the_bed, 0x30000, 0, false); /* a new contact forgets them */
        bed_send(&the_bed, MESSAGE(3, 0));
        expect_offers(t);
        EXPECT_SILENCE(&the_bed);
}

TEST(vmbus_host, offers_are_added_and_taken_back)
{
        struct vmbus_host_channel *third;
        struct vmbus_host_offer offer;
        struct vmbus_host_echo late;
        start(t);
        vmbus_host_echo_init(&late, false);
        vmbus_host_echo_offer(&late, &offer, 2);
        REQUIRE_OK(vmbus_host_offer(&the_bed.host, &offer, &third));
        vmbus_host_rescind(&the_bed.host, third); /* nobody has heard of it */
        EXPECT_TRUE(vmbus_host_channel(&the_bed.host, 3) == NULL);
        bed_connect(&the_bed, 0x50003, 0, true);
        REQUIRE_OK(vmbus_host_offer(&the_bed.host, &offer, &third));
        bed_poll(&the_bed);
        EXPECT_EQ(the_bed.inbox[0].words[0], 1);
        EXPECT_EQ(the_bed.inbox[0].words[46], 3);
        bed_forget(&the_bed);
        vmbus_host_rescind(&the_bed.host, third);
        vmbus_host_rescind(&the_bed.host, third);
        bed_poll(&the_bed);
        EXPECT_MESSAGE(&the_bed, 2, 0, 3);
        EXPECT_SILENCE(&the_bed);
        EXPECT_RULE(&the_bed, RELEASE_NOT_RESCINDED, bed_send(&the_bed, MESSAGE(13, 0, 1)));
        EXPECT_RULE(&the_bed, CHANNEL_UNKNOWN, bed_send(&the_bed, MESSAGE(13, 0, 4)));
        bed_send(&the_bed, MESSAGE(13, 0, 3));
        EXPECT_TRUE(vmbus_host_channel(&the_bed.host, 3) == NULL);
        EXPECT_RULE(&the_bed, CHANNEL_UNKNOWN, bed_send(&the_bed, MESSAGE(13, 0, 3)));
        for (uint32_t i = 2; i < VMBUS_HOST_CHANNELS; i++)
                EXPECT_OK(vmbus_host_offer(&the_bed.host, &offer, NULL));
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, vmbus_host_offer(&the_bed.host, &offer, NULL));
}

/* ---- the end, the pause, the rest ---- */

TEST(vmbus_host, unload_ends_everything)
{
        struct guest_channel channel;
        start(t);
        bed_connect(&the_bed, 0x50003, 0, true);
        REQUIRE_TRUE(bed_open(&the_bed, &channel, 1, 2, 2));
        bed_send(&the_bed, MESSAGE(16, 0));
        EXPECT_MESSAGE(&the_bed, 17, 0);
        EXPECT_EQ(the_bed.host.version, 0);
        EXPECT_FALSE(the_bed.host.channels[0].running);
        EXPECT_FALSE(the_bed.host.gpadls[0].used);
        EXPECT_RULE(&the_bed, MESSAGE_UNNEGOTIATED, bed_send(&the_bed, MESSAGE(3, 0)));
        the_bed.next_page = 0;
        bed_connect(&the_bed, 0x50003, 0, true);
        EXPECT_TRUE(bed_open(&the_bed, &channel, 1, 2, 2));
}

TEST(vmbus_host, a_pause_holds_messages_back)
{
        start(t);
        bed_connect(&the_bed, 0x60000, 0x20, true);
        bed_send(&the_bed, MESSAGE(27, 0));
        EXPECT_MESSAGE(&the_bed, 28, 0);
        vmbus_host_rescind(&the_bed.host, vmbus_host_channel(&the_bed.host, 2));
        EXPECT_FALSE(vmbus_host_poll(&the_bed.host));
        EXPECT_SILENCE(&the_bed);
        EXPECT_RULE(&the_bed, MESSAGE_PAUSED, bed_send(&the_bed, MESSAGE(3, 0)));
        bed_send(&the_bed, MESSAGE(29, 0));
        EXPECT_MESSAGE(&the_bed, 2, 0, 2);
        bed_send(&the_bed, MESSAGE(27, 0));
        bed_send(&the_bed, MESSAGE(16, 0)); /* ends the pause as well */
        EXPECT_MESSAGE(&the_bed, 28, 0);
        EXPECT_MESSAGE(&the_bed, 17, 0);
}

TEST(vmbus_host, monitor_pages_change_and_sockets_are_refused)
{
        start(t);
        bed_connect(&the_bed, 0x60000, 4, true);
        bed_send(&the_bed, MESSAGE(25, 0, 0x5000, 0, 0x6000, 0));
        EXPECT_EQ(the_bed.inbox[0].count, 9);
        EXPECT_EQ(the_bed.inbox[0].words[2], 0);
        bed_forget(&the_bed);
        EXPECT_RULE(&the_bed, CONTACT_MONITOR,
                    bed_send(&the_bed, MESSAGE(25, 0, 0x5000, 0, 0, 0)));
        EXPECT_EQ(the_bed.inbox[0].words[2], 2);
        bed_forget(&the_bed);
        bed_send(&the_bed, MESSAGE(21, 0, 1, 2, 3, 4, 5, 6, 7, 8));
        EXPECT_MESSAGE(&the_bed, 23, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0xc0000236);
        bed_connect(&the_bed, 0x40000, 0, true); /* which has no result message */
        bed_send(&the_bed, MESSAGE(21, 0, 1, 2, 3, 4, 5, 6, 7, 8));
        EXPECT_SILENCE(&the_bed);
}

TEST(vmbus_host, a_guest_without_room_loses_nothing)
{
        uint32_t taken = 0;
        start(t);
        bed_connect(&the_bed, 0x50003, 0, true);
        the_bed.room = 0;
        while (taken < 100 && vmbus_host_message(&the_bed.host, the_bed.connection,
                                                 MESSAGE(22, 0, 9, taken)) == ZX_OK)
                taken++;
        EXPECT_LT(taken, VMBUS_HOST_QUEUE);
        EXPECT_GT(taken, VMBUS_HOST_QUEUE / 2);
        EXPECT_SILENCE(&the_bed);
        the_bed.room = 1;
        bed_poll(&the_bed);
        EXPECT_OK(
                vmbus_host_message(&the_bed.host, the_bed.connection, MESSAGE(22, 0, 9, taken++)));
        the_bed.room = UINT32_MAX;
        bed_poll(&the_bed);
        for (uint32_t i = 0; i < taken; i++)
                EXPECT_MESSAGE(&the_bed, 24, 0, 9, 0x8000ffff);
        EXPECT_SILENCE(&the_bed);
        /* Offers wait for room as well. */
        bed_connect(&the_bed, 0x50003, 0, false);
        the_bed.room = 0;
        bed_send(&the_bed, MESSAGE(3, 0));
        for (uint32_t i = 0; i < 3; i++) {
                the_bed.room = 1;
                bed_poll(&the_bed);
                EXPECT_EQ(the_bed.inbox_count, i + 1);
        }
        expect_offers(t);
}

TEST(vmbus_host, a_reset_forgets_all_but_the_offers)
{
        struct guest_channel channel;
        start(t);
        bed_connect(&the_bed, 0x50003, 0, true);
        REQUIRE_TRUE(bed_open(&the_bed, &channel, 1, 2, 2));
        vmbus_host_rescind(&the_bed.host, vmbus_host_channel(&the_bed.host, 2));
        vmbus_host_reset(&the_bed.host);
        EXPECT_FALSE(vmbus_host_poll(&the_bed.host));
        EXPECT_SILENCE(&the_bed);
        EXPECT_EQ(the_bed.host.version, 0);
        EXPECT_TRUE(vmbus_host_channel(&the_bed.host, 1) != NULL);
        /* Nobody is left to release it. */
        EXPECT_TRUE(vmbus_host_channel(&the_bed.host, 2) == NULL);
        EXPECT_FALSE(the_bed.host.channels[0].open);
}

TEST(vmbus_host, rules_and_lies_have_names)
{
        EXPECT_STR_EQ(vmbus_host_rule_name(VMBUS_HOST_GPADL_LIST), "GPADL_LIST");
        EXPECT_STR_EQ(vmbus_host_rule_text(VMBUS_HOST_CONTACT_SINT), "messages go to SINT 2");
        EXPECT_STR_EQ(vmbus_host_rule_name((enum vmbus_host_rule)1000), "?");
        EXPECT_STR_EQ(vmbus_host_lie_name(VMBUS_HOST_LIE_RESCIND), "RESCIND");
        EXPECT_STR_EQ(vmbus_host_lie_text(VMBUS_HOST_LIES), "?");
}
