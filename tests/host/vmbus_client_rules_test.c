/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The tables of the VMBus client against tables written a second time from the specification:
 * messages by type, direction, version, features and length; every arrow of a channel's life, and
 * every one that is forbidden. And a host that says anything at any time. */
#include "tests/host/vmbus_client_bed.h"

/* ---- messages: e.2 ---- */

static const struct {
        uint8_t type;
        bool host; /* sends it */
        uint8_t bytes;
        uint32_t first; /* version, 1: any that is agreed; 0: before that, too */
        uint32_t feature;
} table[] = {
        {1, true, 196, 1, 0},        {2, true, 12, 1, 0},        {3, false, 8, 1, 0},
        {4, true, 8, 1, 0},          {5, false, 148, 1, 0},      {6, true, 20, 1, 0},
        {7, false, 12, 1, 0},        {8, false, 20, 1, 0},       {9, false, 16, 1, 0},
        {10, true, 20, 1, 0},        {11, false, 16, 1, 0},      {12, true, 12, 1, 0},
        {13, false, 12, 1, 0},       {14, false, 40, 0, 0},      {15, true, 9, 0, 0},
        {16, false, 8, 1, 0},        {17, true, 8, 1, 0},        {18, false, 28, 0x40000, 0},
        {19, false, 20, 0, 0},       {20, true, 12, 0x40000, 0}, {21, false, 40, 0x40000, 0},
        {22, false, 16, 0x40001, 0}, {23, true, 44, 0x40001, 0}, {24, true, 16, 0x50003, 0},
        {25, false, 24, 0x60000, 4}, {26, true, 9, 0x60000, 4},  {27, false, 8, 0x60000, 0x20},
        {28, true, 8, 0x60000, 0x20}, {29, false, 8, 0x60000, 0x20},
};

static enum vmbus_fault_rule expected_fault(uint32_t type, uint32_t bytes, uint32_t version,
                                            uint32_t features)
{
        if (bytes < 8 || bytes > 240)
                return VMBUS_FAULT_HEADER;
        if (type == 0 || type > 29)
                return VMBUS_FAULT_TYPE;
        if (!table[type - 1].host)
                return VMBUS_FAULT_DIRECTION;
        if (version < table[type - 1].first ||
            (table[type - 1].feature != 0 && (features & table[type - 1].feature) == 0))
                return VMBUS_FAULT_VERSION;
        return bytes < table[type - 1].bytes ? VMBUS_FAULT_LENGTH : VMBUS_FAULT_NONE;
}

TEST(vmbus_client_rules, the_table_of_messages_is_that_of_the_specification)
{
        static const uint32_t versions[] = {0,       0x30000, 0x40000, 0x40001, 0x50000,
                                            0x50001, 0x50002, 0x50003, 0x60000};
        static const uint32_t features[] = {0, 4, 0x20, 0xff, 0xdb};
        static const uint32_t odd_types[] = {0, 30, 31, 255, 256, 0x10001, 0x80000001, UINT32_MAX};
        unsigned seen[VMBUS_FAULT_COUNT] = {0};
        for (unsigned v = 0; v < ARRAY_COUNT(versions); v++)
                for (unsigned f = 0; f < ARRAY_COUNT(features); f++)
                        for (uint32_t n = 0; n < 30 + ARRAY_COUNT(odd_types); n++)
                                for (uint32_t bytes = 0; bytes <= 241; bytes++) {
                                        uint32_t type = n < 30 ? n : odd_types[n - 30];
                                        struct vmbus_message message = {.bytes = bytes};
                                        const struct vmbus_agreement agreed = {versions[v],
                                                                               features[f]};
                                        put32(message.payload, 0, type);
                                        enum vmbus_fault_rule expected = expected_fault(
                                                type, bytes, versions[v], features[f]);
                                        seen[expected]++;
                                        if (vmbus_protocol_check(&message, &agreed) != expected)
                                                REQUIRE_EQ(type * 1000 + bytes, 0);
                                }
        for (unsigned i = VMBUS_FAULT_NONE; i <= VMBUS_FAULT_LENGTH; i++)
                EXPECT_GT(seen[i], 0);
}

/* Each rule that breaks a connection does so, and the connection can be had again. */
TEST(vmbus_client_rules, a_bad_message_breaks_the_connection_in_good_order)
{
        static const struct {
                enum vmbus_fault_rule rule;
                uint32_t bytes, type, a;
        } cases[] = {
                {VMBUS_FAULT_HEADER, 7, 2, 1},    {VMBUS_FAULT_TYPE, 8, 30, 0},
                {VMBUS_FAULT_TYPE, 8, 0, 0},      {VMBUS_FAULT_DIRECTION, 40, 14, 0},
                {VMBUS_FAULT_VERSION, 8, 28, 0},  {VMBUS_FAULT_LENGTH, 11, 2, 1},
                {VMBUS_FAULT_ID_RANGE, 196, 1, 0}, {VMBUS_FAULT_OFFERS_END, 8, 4, 0},
                {VMBUS_FAULT_SUPPORTED, 16, 15, 2},
        };
        for (unsigned i = 0; i < ARRAY_COUNT(cases); i++) {
                CONNECT(0x60000, 2);
                REQUIRE_OK(vmbus_open(bed_channel(1), &bed_open_small));
                unsigned wakes = bed.wakes;
                host_say(cases[i].bytes, cases[i].type, cases[i].a, 0, 0);
                bed_poll(&bed.transport);
                EXPECT_EQ(vmbus_state(&bed.vmbus), VMBUS_STATE_BROKEN);
                EXPECT_EQ(bed.vmbus.fault, cases[i].rule);
                EXPECT_EQ(bed.vmbus.faults[cases[i].rule], 1);
                EXPECT_GT(bed.wakes, wakes);
                EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_open(bed_channel(2), &bed_open_small));
                EXPECT_OK(vmbus_disconnect(&bed.vmbus));
                EXPECT_EQ(posted_count(13), 0);
                EXPECT_OK(vmbus_connect(&bed.vmbus));
                EXPECT_EQ(bed.vmbus.fault, VMBUS_FAULT_NONE);
                bed_end(t);
        }
}

/* The rules of the transport itself: it says that the host broke one. */
TEST(vmbus_client_rules, a_transport_that_breaks_ends_the_connection)
{
        CONNECT(0x60000, 2);
        REQUIRE_OK(vmbus_open(bed_channel(1), &bed_open_small));
        unsigned wakes = bed.wakes;
        bed.up.broken(bed.up.context);
        EXPECT_EQ(vmbus_state(&bed.vmbus), VMBUS_STATE_BROKEN);
        EXPECT_EQ(bed.vmbus.fault, VMBUS_FAULT_TRANSPORT);
        EXPECT_EQ(bed.vmbus.faults[VMBUS_FAULT_TRANSPORT], 1);
        EXPECT_GT(bed.wakes, wakes);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_open(bed_channel(2), &bed_open_small));
        EXPECT_OK(vmbus_disconnect(&bed.vmbus));
        EXPECT_OK(vmbus_connect(&bed.vmbus));
        EXPECT_EQ(bed.vmbus.fault, VMBUS_FAULT_NONE);
        bed_end(t);
}

static uint32_t bad_at;
static void bad_hook(uint32_t type)
{
        if (type == bad_at) {
                bad_at = 0;
                host_say(8, 99, 0, 0, 0);
                bed_poll(&bed.transport);
        }
}

TEST(vmbus_client_rules, a_bad_message_ends_every_wait)
{
        static const uint32_t moments[] = {14, 3, 8, 5, 22, 7, 11, 27};
        for (unsigned i = 0; i < ARRAY_COUNT(moments); i++) {
                BEGIN(0x60000, 1);
                bed.config.features_wanted = bed.feature_bits = VMBUS_FEATURE_PAUSE_RESUME;
                REQUIRE_OK(vmbus_init(&bed.vmbus, &bed.config));
                bad_at = moments[i];
                bed.hook = bad_hook;
                zx_status_t status = vmbus_connect(&bed.vmbus);
                struct vmbus_channel *channel = bed_channel(1);
                if (status == ZX_OK)
                        status = vmbus_open(channel, &bed_open_small);
                if (status == ZX_OK)
                        status = vmbus_modify(channel, 1);
                if (status == ZX_OK)
                        status = vmbus_pause(&bed.vmbus);
                if (status == ZX_OK)
                        status = vmbus_resume(&bed.vmbus);
                if (status == ZX_OK)
                        status = vmbus_close(channel);
                if (moments[i] == 7) /* the connection is gone before the GPADL is asked for */
                        EXPECT_STATUS(ZX_ERR_BAD_STATE, status);
                else
                        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, status);
                EXPECT_EQ(bad_at, 0);
                EXPECT_LT(bed.now_ns, BED_DEADLINE_NS); /* nothing was waited out */
                bed_end(t);
        }
}

/* ---- the life of a channel ---- */

TEST(vmbus_client_rules, a_channel_has_these_arrows_and_no_others)
{
#define S(name) VMBUS_CHANNEL_##name
#define E(name) VMBUS_EVENT_##name
        static const struct {
                enum vmbus_channel_state from;
                enum vmbus_channel_event event;
                enum vmbus_channel_state to;
        } drawn[] = {
                {S(FREE), E(OFFER), S(OFFERED)},
                {S(OFFERED), E(OPEN), S(PREPARING)},
                {S(OFFERED), E(RESCIND), S(RESCINDED)},
                {S(PREPARING), E(CREATED), S(OPENING)},
                {S(PREPARING), E(REFUSED), S(OFFERED)},
                {S(PREPARING), E(REFUSED_RESCINDED), S(RESCINDED)},
                {S(PREPARING), E(CLOSE), S(CLOSING)},
                {S(PREPARING), E(RESCIND), S(PREPARING)},
                {S(OPENING), E(OPENED), S(OPEN)},
                {S(OPENING), E(REFUSED), S(CLOSING)},
                {S(OPENING), E(RESCIND), S(OPENING)},
                {S(OPEN), E(CLOSE), S(CLOSING)},
                {S(OPEN), E(RESCIND), S(REVOKED)},
                {S(REVOKED), E(CLOSE), S(CLOSING)},
                {S(CLOSING), E(TORN), S(OFFERED)},
                {S(CLOSING), E(TORN_RESCINDED), S(RESCINDED)},
                {S(CLOSING), E(RESCIND), S(CLOSING)},
                {S(RESCINDED), E(RELEASED), S(FREE)},
        };
        unsigned arrows = 0;
        for (unsigned state = 0; state < VMBUS_CHANNEL_STATE_COUNT; state++)
                for (unsigned event = 0; event < VMBUS_EVENT_COUNT; event++) {
                        enum vmbus_channel_state to = VMBUS_CHANNEL_STATE_COUNT;
                        for (unsigned i = 0; i < ARRAY_COUNT(drawn); i++)
                                if (drawn[i].from == state && drawn[i].event == event)
                                        to = drawn[i].to;
                        arrows += to != VMBUS_CHANNEL_STATE_COUNT;
                        if (vmbus_channel_next(state, event) != to)
                                EXPECT_EQ(state * 100 + event, UINT32_MAX);
                }
        EXPECT_EQ(arrows, ARRAY_COUNT(drawn));
}

/* What a user may ask for in a state that has no such arrow changes nothing and says so. */
TEST(vmbus_client_rules, what_a_state_does_not_allow_is_refused)
{
        CONNECT(0x60000, 1);
        struct vmbus_channel *channel = bed_channel(1);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_close(channel)); /* OFFERED */
        REQUIRE_OK(vmbus_open(channel, &bed_open_small));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_open(channel, &bed_open_small)); /* OPEN */
        host_say(12, 2, 1, 0, 0);
        bed_poll(&bed.transport);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_open(channel, &bed_open_small)); /* REVOKED */
        EXPECT_OK(vmbus_close(channel));
        EXPECT_STATE(RESCINDED, channel);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_open(channel, &bed_open_small));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_close(channel));
        vmbus_serve(&bed.vmbus);
        EXPECT_STATE(FREE, channel);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_open(channel, &bed_open_small));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_close(channel));
        struct vmbus_gpadl *gpadl;
        const uint64_t number = 1;
        const struct vmbus_gpadl_memory memory = {.page_numbers = &number, .page_count = 1};
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmbus_gpadl_create(channel, &memory, &gpadl));
        bed_end(t);
}

/* ---- anything at any time ---- */

/* Messages that an honest host could send, at the wrong moment and about anything. */
static void say_something(struct test *t)
{
        static const uint8_t types[] = {1, 2, 2, 4, 6, 10, 12, 15, 17, 20, 23, 24, 28};
        uint32_t type = types[world_random_below(t, ARRAY_COUNT(types))];
        uint32_t id = 1 + world_random_below(t, BED_CHANNELS + 2);
        if (type == 4 && world_random_below(t, 30) != 0)
                return;
        if (type == 1) {
                if (world_random_below(t, 40) == 0 ||
                    bed.vmbus.channel_of_id[id] == 0)
                        host_offer(id, (uint16_t)world_random_below(t, 3));
                return;
        }
        host_say(44, type, world_random_below(t, 3) == 0 ? bed.last_gpadl : id,
                 world_random_below(t, 2) == 0 ? bed.last_open_id : bed.last_gpadl,
                 world_random_below(t, 2));
}

static void noisy_hook(uint32_t type)
{
        if (type == 16 || type == 14)
                return; /* or few connections would be made */
        for (unsigned i = world_random_below(bed.t, 4); i != 0; i--)
                say_something(bed.t);
}

TEST(vmbus_client_rules, any_host_is_survived)
{
        unsigned broken = 0, opened = 0;
        char *memory = world_pages(t, BED_PAGES, NULL);
        for (unsigned round = 0; round < 400; round++) {
                struct vmbus_channel *channel;
                REQUIRE_TRUE(bed_begin(t, memory, 0x60000, 3));
                bed.config.features_wanted = bed.feature_bits = VMBUS_FEATURE_PAUSE_RESUME;
                bed.hook = noisy_hook;
                REQUIRE_OK(vmbus_init(&bed.vmbus, &bed.config));
                zx_status_t connected = vmbus_connect(&bed.vmbus);
                for (unsigned step = 0; step < 30 && connected == ZX_OK; step++) {
                        channel = &bed.channels[world_random_below(t, BED_CHANNELS)];
                        bed.silent = world_random_below(t, 8) == 0 ? 1u << world_random_below(t, 30)
                                                                   : 0;
                        switch (world_random_below(t, 6)) {
                        case 0:
                        case 1:
                                opened += vmbus_open(channel, &bed_open_small) == ZX_OK;
                                break;
                        case 2:
                                (void)vmbus_close(channel);
                                break;
                        case 3:
                                (void)!vmbus_modify(channel, 1);
                                break;
                        case 4:
                                bed.events = world_random(t);
                                bed_settle();
                                break;
                        default:
                                say_something(t);
                                bed_settle();
                        }
                }
                broken += vmbus_state(&bed.vmbus) == VMBUS_STATE_BROKEN;
                bed.silent = 0;
                bed.queue_head = bed.queue_tail;
                bed_end(t);
        }
        EXPECT_GT(broken, 20);
        EXPECT_LT(broken, 380);
        EXPECT_GT(opened, 300);
}
