/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The connection of the VMBus client against a scripted host: versions, features, deadlines,
 * posting, pause, the end. Facts: spec/vmbus.md, e.1, e.3, e.8, e.10. */
#include "tests/host/vmbus_client_bed.h"

static const uint32_t all_versions[] = {0x60000, 0x50003, 0x50002, 0x50001,
                                        0x50000, 0x40001, 0x40000, 0x30000};

TEST(vmbus_client, asks_for_versions_from_the_newest_down)
{
        for (unsigned v = 0; v < ARRAY_COUNT(all_versions); v++) {
                uint32_t version = all_versions[v];
                CONNECT(version, 1);
                EXPECT_EQ(bed.vmbus.version, version);
                EXPECT_EQ(posted_count(14), v + 1);
                for (unsigned i = 0; i <= v; i++) {
                        const uint8_t *bytes = bed.log[i].payload;
                        bool five = all_versions[i] >= 0x50000;
                        EXPECT_EQ(get32(bytes, 8), all_versions[i]);
                        EXPECT_EQ(bed.log[i].connection_id, five ? 4 : 1);
                        EXPECT_EQ(bed.log[i].bytes, 40);
                        EXPECT_EQ(get32(bytes, 12), 17); /* the VP of message_cpu 1 */
                        EXPECT_EQ(bytes[16], five ? 2 : 0);
                        EXPECT_EQ(get32(bytes, 20), 0);
                        EXPECT_EQ(get32(bytes, 24) | get32(bytes, 32), 0);
                }
                EXPECT_EQ(posted_last(3)->connection_id, version >= 0x50000 ? 0x77 : 1);
                EXPECT_STATE(OFFERED, bed_channel(1));
                bed_end(t);
                EXPECT_EQ(posted_last(16)->connection_id, version >= 0x50000 ? 0x77 : 1);
        }
}

TEST(vmbus_client, gives_up_when_no_version_is_known)
{
        BEGIN(0x20004, 1);
        REQUIRE_OK(vmbus_init(&bed.vmbus, &bed.config));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmbus_connect(&bed.vmbus));
        EXPECT_EQ(posted_count(14), ARRAY_COUNT(all_versions));
        EXPECT_EQ(posted_count(16), 0); /* nobody to take leave of */
        EXPECT_EQ(vmbus_state(&bed.vmbus), VMBUS_STATE_IDLE);
        bed_end(t);
}

TEST(vmbus_client, begins_at_version_max)
{
        BEGIN(0x60000, 1);
        bed.config.version_max = VMBUS_VERSION_5_1;
        REQUIRE_TRUE(bed_connect(t));
        EXPECT_EQ(bed.vmbus.version, 0x50001);
        EXPECT_EQ(posted_count(14), 1);
        bed_end(t);
}

TEST(vmbus_client, asks_only_for_features_it_knows_and_masks_the_answer)
{
        BEGIN(0x60000, 1);
        bed.config.features_wanted = UINT32_MAX;
        bed.feature_bits = 0xf0 | VMBUS_FEATURE_CLIENT_ID;
        for (unsigned i = 0; i < 16; i++)
                bed.config.client_id.bytes[i] = (uint8_t)(0xa0 + i);
        REQUIRE_TRUE(bed_connect(t));
        const struct bed_posted *contact = posted_last(14);
        EXPECT_EQ(get32(contact->payload, 20), 0x2b);
        EXPECT_EQ(contact->bytes, 56);
        EXPECT_BYTES_EQ(contact->payload + 40, &bed.config.client_id, 16);
        EXPECT_EQ(bed.vmbus.features, 0x28);
        EXPECT_FAULTS(1, FEATURES);
        bed_end(t);
}

TEST(vmbus_client, tries_an_older_version_where_the_new_connection_does_not_exist)
{
        BEGIN(0x40001, 1);
        bed.dead_id = 4;
        REQUIRE_TRUE(bed_connect(t));
        EXPECT_EQ(bed.vmbus.version, 0x40001);
        bed_end(t);
}

TEST(vmbus_client, passes_on_that_the_host_is_short)
{
        static const struct {
                uint8_t state;
                zx_status_t status;
        } cases[] = {{1, ZX_ERR_NO_RESOURCES}, {2, ZX_ERR_IO}, {77, ZX_ERR_IO}};
        for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
                BEGIN(0x60000, 1);
                bed.state_value = cases[i].state;
                REQUIRE_OK(vmbus_init(&bed.vmbus, &bed.config));
                EXPECT_STATUS(cases[i].status, vmbus_connect(&bed.vmbus));
                EXPECT_EQ(posted_count(14), 1); /* and does not ask for an older one */
                bed_end(t);
        }
}

TEST(vmbus_client, refuses_a_version_response_that_is_cut_or_odd)
{
        static const struct {
                uint32_t version, bytes;
                uint8_t supported;
                enum vmbus_fault_rule fault;
        } cases[] = {
                {0x60000, 19, 1, VMBUS_FAULT_LENGTH},  {0x60000, 20, 1, VMBUS_FAULT_NONE},
                {0x50000, 15, 1, VMBUS_FAULT_LENGTH},  {0x50000, 16, 1, VMBUS_FAULT_NONE},
                {0x40000, 9, 1, VMBUS_FAULT_NONE},     {0x40000, 8, 1, VMBUS_FAULT_LENGTH},
                {0x60000, 20, 2, VMBUS_FAULT_SUPPORTED},
        };
        for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
                BEGIN(cases[i].version, 1);
                bed.config.version_max = cases[i].version;
                bed.version_bytes = cases[i].bytes;
                bed.supported_value = cases[i].supported;
                REQUIRE_OK(vmbus_init(&bed.vmbus, &bed.config));
                EXPECT_STATUS(cases[i].fault == VMBUS_FAULT_NONE ? ZX_OK : ZX_ERR_IO_DATA_INTEGRITY,
                              vmbus_connect(&bed.vmbus));
                EXPECT_EQ(bed.vmbus.fault, cases[i].fault);
                bed_end(t);
        }
}

TEST(vmbus_client, every_wait_of_connect_has_a_deadline)
{
        static const uint32_t types[] = {14, 3};
        for (unsigned i = 0; i < ARRAY_COUNT(types); i++) {
                BEGIN(0x50003, 1);
                bed.config.version_max = 0x50003;
                bed.silent = TYPE_BIT(types[i]);
                REQUIRE_OK(vmbus_init(&bed.vmbus, &bed.config));
                EXPECT_STATUS(ZX_ERR_TIMED_OUT, vmbus_connect(&bed.vmbus));
                EXPECT_GE(bed.now_ns, BED_DEADLINE_NS);
                EXPECT_LT(bed.now_ns, 2 * BED_DEADLINE_NS);
                EXPECT_EQ(vmbus_state(&bed.vmbus), VMBUS_STATE_IDLE);
                bed.silent = 0;
                EXPECT_OK(vmbus_connect(&bed.vmbus)); /* and may try again */
                bed_end(t);
        }
}

TEST(vmbus_client, posts_again_while_there_is_no_room)
{
        BEGIN(0x60000, 1);
        bed.full = 9;
        REQUIRE_TRUE(bed_connect(t));
        EXPECT_EQ(posted_count(14), 1);
        EXPECT_GE(bed.now_ns, 10000ull * 511); /* 10 us, doubling: nine waits */
        bed.full = UINT32_MAX;
        uint64_t before = bed.now_ns;
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, vmbus_open(bed_channel(1), &bed_open_small));
        EXPECT_LT(bed.now_ns - before, 2 * BED_DEADLINE_NS);
        EXPECT_STATE(OFFERED, bed_channel(1));
        bed.full = 0;
        bed_end(t);
}

TEST(vmbus_client, connects_again_after_the_end)
{
        CONNECT(0x60000, 2);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_connect(&bed.vmbus));
        EXPECT_OK(vmbus_open(bed_channel(2), &bed_open_small));
        EXPECT_OK(vmbus_disconnect(&bed.vmbus));
        EXPECT_EQ(posted_count(7), 1);  /* closed and taken back in good order */
        EXPECT_EQ(posted_count(11), 1);
        EXPECT_EQ(posted_count(13), 0); /* but not released: the host did not ask */
        EXPECT_EQ(posted_count(16), 1);
        EXPECT_TRUE(bed_channel(1) == NULL);
        EXPECT_OK(vmbus_connect(&bed.vmbus));
        EXPECT_STATE(OFFERED, bed_channel(2));
        bed_end(t);
}

TEST(vmbus_client, pauses_and_resumes_where_agreed)
{
        CONNECT(0x60000, 1);
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmbus_pause(&bed.vmbus));
        bed_end(t);

        BEGIN(0x60000, 1);
        bed.config.features_wanted = VMBUS_FEATURE_PAUSE_RESUME;
        bed.feature_bits = VMBUS_FEATURE_PAUSE_RESUME;
        REQUIRE_TRUE(bed_connect(t));
        struct vmbus_channel *channel = bed_channel(1);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_resume(&bed.vmbus));
        EXPECT_OK(vmbus_open(channel, &bed_open_small));
        EXPECT_OK(vmbus_pause(&bed.vmbus));
        EXPECT_EQ(vmbus_state(&bed.vmbus), VMBUS_STATE_PAUSED);
        unsigned before = bed.log_count;
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_pause(&bed.vmbus));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_close(channel));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_modify(channel, 1));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_open(channel, &bed_open_small));
        vmbus_serve(&bed.vmbus);
        EXPECT_EQ(bed.log_count, before); /* nothing goes out meanwhile */
        EXPECT_OK(vmbus_resume(&bed.vmbus));
        EXPECT_EQ(posted_count(29), 1);
        EXPECT_OK(vmbus_close(channel));
        bed.silent = TYPE_BIT(27);
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, vmbus_pause(&bed.vmbus));
        EXPECT_EQ(vmbus_state(&bed.vmbus), VMBUS_STATE_CONNECTED);
        bed.silent = 0;
        EXPECT_OK(vmbus_pause(&bed.vmbus));
        bed_end(t); /* out of the pause */
}

static void rescind_before_the_pause(uint32_t type)
{
        if (type == 27)
                host_say(12, 2, 1, 0, 0);
}

/* What came before the pause is served after it: while it lasts only Resume
 * and Unload may go out (e.8). */
TEST(vmbus_client, serves_nothing_in_a_pause)
{
        BEGIN(0x60000, 1);
        bed.config.features_wanted = VMBUS_FEATURE_PAUSE_RESUME;
        bed.feature_bits = VMBUS_FEATURE_PAUSE_RESUME;
        REQUIRE_TRUE(bed_connect(t));
        struct vmbus_channel *channel = bed_channel(1);
        bed.hook = rescind_before_the_pause;
        EXPECT_OK(vmbus_pause(&bed.vmbus));
        EXPECT_STATE(RESCINDED, channel);
        vmbus_serve(&bed.vmbus);
        EXPECT_STATE(RESCINDED, channel);
        EXPECT_EQ(posted_count(13), 0);
        EXPECT_OK(vmbus_resume(&bed.vmbus));
        vmbus_serve(&bed.vmbus);
        EXPECT_STATE(FREE, channel);
        EXPECT_EQ(posted_count(13), 1);
        bed_end(t);
}

static void talk_before_the_end(uint32_t type)
{
        if (type != 16)
                return;
        host_offer(3, 0);
        host_say(12, 2, 9, 0, 0);
        host_say(12, 12, 0x999, 0, 0);
        host_say(20, 6, 1, 1, 0);
}

/* Before UnloadComplete other messages may come, which mean nothing any more (e.10). */
TEST(vmbus_client, drains_what_comes_before_the_end)
{
        CONNECT(0x60000, 1);
        bed.hook = talk_before_the_end;
        EXPECT_OK(vmbus_disconnect(&bed.vmbus));
        EXPECT_TRUE(bed_channel(3) == NULL);
        for (unsigned rule = 0; rule < VMBUS_FAULT_COUNT; rule++)
                EXPECT_EQ(bed.vmbus.faults[rule], 0);
        bed.hook = NULL;
        EXPECT_OK(vmbus_connect(&bed.vmbus));
        bed_end(t);
}

TEST(vmbus_client, keeps_what_a_silent_host_may_still_write_to)
{
        CONNECT(0x60000, 1);
        EXPECT_OK(vmbus_open(bed_channel(1), &bed_open_small));
        bed.silent = TYPE_BIT(11) | TYPE_BIT(16);
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, vmbus_disconnect(&bed.vmbus));
        EXPECT_EQ(vmbus_state(&bed.vmbus), VMBUS_STATE_IDLE);
        EXPECT_EQ(bed.vmbus.leaked_pages, 7); /* 1 + 2 + 1 + 3 */
        EXPECT_LE(pmm_count_free_pages(&bed.pmm) + 7, bed.free_pages);
        bed.silent = 0;
        EXPECT_OK(vmbus_connect(&bed.vmbus));
        EXPECT_OK(vmbus_disconnect(&bed.vmbus));
}

TEST(vmbus_client, refuses_a_bad_config)
{
        BEGIN(0x60000, 1);
        struct vmbus_config good = bed.config, bad;
#define BAD(change)                                                             \
        do {                                                                    \
                bad = good;                                                     \
                bad.change;                                                     \
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmbus_init(&bed.vmbus, &bad)); \
        } while (0)
        BAD(transport = NULL);
        BAD(pool = NULL);
        BAD(channels = NULL);
        BAD(channel_count = 0);
        BAD(channel_count = 256);
        BAD(gpadls = NULL);
        BAD(gpadl_count = 0);
        BAD(driver_count = 1);
#undef BAD
}

TEST(vmbus_client, writes_guids_as_people_do)
{
        char text[VMBUS_GUID_TEXT_BYTES];
        vmbus_guid_text(&bed_class, text);
        EXPECT_STR_EQ(text, "f8615163-df3e-46c5-913f-f2d2f965ed0e");
        EXPECT_TRUE(vmbus_guid_equal(&bed_class, &bed_class));
        struct vmbus_guid other = bed_class;
        other.bytes[15] ^= 1;
        EXPECT_FALSE(vmbus_guid_equal(&bed_class, &other));
}
