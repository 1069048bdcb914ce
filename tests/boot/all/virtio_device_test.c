/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of drivers/virtio/virtio_device and virtio_features against a scripted device: each step of
 * the handshake in order, and each way in which a device can refuse or misbehave. */
#include "tests/expect.h"

#include <stdio.h>
#include <string.h>

#include "drivers/virtio/virtio_device.h"

#define LOG_BYTES 256
#define CONFIG_BYTES 24
#define VERSION_1 BIT_MASK(VIRTIO_F_VERSION_1)
#define NEVER UINT32_MAX

/* What the device does, and what was done to it. */
static struct script {
        struct virtio_transport transport;
        uint8_t status;
        uint32_t resets_in; /* status reads until a reset is done; NEVER */
        uint32_t reads_left;
        bool refuses_features;
        bool breaks_at_start;
        uint64_t offered, accepted;
        uint16_t queues;
        uint32_t queue_size;
        uint8_t config[CONFIG_BYTES];
        uint32_t generation;
        uint32_t config_changes; /* so many reads of the configuration find it changing */
        uint64_t clock_ns;
        char log[LOG_BYTES]; /* writes, in order: sXX status, aN bank N of the features */
} script;

static struct virtio_device device;

static void note(const char *what, unsigned value)
{
        size_t used = strlen(script.log);
        snprintf(script.log + used, LOG_BYTES - used, "%s%s%x", used == 0 ? "" : " ", what, value);
}

static uint8_t script_status(struct virtio_transport *transport)
{
        (void)transport;
        if (script.status == 0 && script.reads_left != 0) {
                script.reads_left -= script.reads_left != NEVER;
                return VIRTIO_STATUS_DRIVER_OK; /* not done yet */
        }
        return script.status;
}

static void script_set_status(struct virtio_transport *transport, uint8_t status)
{
        (void)transport;
        note("s", status);
        if (status == 0)
                script.reads_left = script.resets_in;
        if (script.refuses_features)
                status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
        if (script.breaks_at_start && (status & VIRTIO_STATUS_DRIVER_OK))
                status |= VIRTIO_STATUS_NEEDS_RESET;
        script.status = status;
}

static uint32_t script_offered(struct virtio_transport *transport, uint32_t bank)
{
        (void)transport;
        return bank < 2 ? (uint32_t)(script.offered >> 32 * bank) : 0;
}

static void script_accept(struct virtio_transport *transport, uint32_t bank, uint32_t bits)
{
        (void)transport;
        note("a", bank);
        script.accepted |= (uint64_t)bits << 32 * bank;
}

static uint16_t script_queue_count(struct virtio_transport *transport)
{
        (void)transport;
        return script.queues;
}

static uint32_t script_queue_size_max(struct virtio_transport *transport, uint16_t queue)
{
        (void)transport;
        (void)queue;
        return script.queue_size;
}

static uint32_t script_generation(struct virtio_transport *transport)
{
        (void)transport;
        return script.generation;
}

/* A changing configuration: every byte of the next generation is one more than in the last. */
static uint32_t script_config_read(struct virtio_transport *transport, uint32_t offset,
                                   uint8_t bytes)
{
        uint32_t value = 0;
        (void)transport;
        memcpy(&value, script.config + offset, bytes);
        if (script.config_changes != 0) {
                script.config_changes -= script.config_changes != NEVER;
                script.generation++;
                for (uint32_t i = 0; i < CONFIG_BYTES; i++)
                        script.config[i]++;
        }
        return value;
}

static uint64_t script_now_ns(struct virtio_transport *transport)
{
        (void)transport;
        return script.clock_ns;
}

static void script_pause(struct virtio_transport *transport)
{
        (void)transport;
        script.clock_ns += 1000000;
}

static const struct virtio_transport_ops script_ops = {
        .name = "script",
        .status = script_status,
        .set_status = script_set_status,
        .offered_features = script_offered,
        .accept_features = script_accept,
        .queue_count = script_queue_count,
        .queue_size_max = script_queue_size_max,
        .config_generation = script_generation,
        .config_read = script_config_read,
        .now_ns = script_now_ns,
        .pause = script_pause,
};

static void script_init(void)
{
        memset(&script, 0, sizeof(script));
        script.transport = (struct virtio_transport){
                .ops = &script_ops, .device_type = 1, .config_bytes = CONFIG_BYTES};
        script.status = 0xf; /* as firmware left it */
        script.offered = VERSION_1;
        script.queues = 3;
        script.queue_size = 256;
        virtio_device_init(&device, &script.transport);
}

static const struct virtio_wishes net_wishes = {
        .wanted = BIT_MASK(VIRTIO_F_EVENT_IDX) | BIT_MASK(VIRTIO_NET_F_MAC),
        .rules = virtio_net_feature_rules,
        .rule_count = VIRTIO_NET_FEATURE_RULES,
};

/* ---- the handshake ---- */

TEST(virtio_device, handshake_in_order)
{
        script_init();
        REQUIRE_OK(virtio_device_reset(&device));
        REQUIRE_OK(virtio_device_negotiate(&device, &net_wishes));
        REQUIRE_OK(virtio_device_start(&device));
        EXPECT_STR_EQ(script.log, "s0 s1 s3 a0 a1 sb sf");
        EXPECT_EQ(device.state, VIRTIO_DEVICE_LIVE);
        EXPECT_FALSE(virtio_device_needs_reset(&device));
        script.status |= VIRTIO_STATUS_NEEDS_RESET;
        EXPECT_TRUE(virtio_device_needs_reset(&device));
        REQUIRE_OK(virtio_device_reset(&device));
        EXPECT_EQ(device.state, VIRTIO_DEVICE_RESET);
        EXPECT_EQ(device.features, 0);
}

TEST(virtio_device, reset_takes_its_time)
{
        script_init();
        script.resets_in = 500;
        EXPECT_OK(virtio_device_reset(&device));
        EXPECT_EQ(script.clock_ns, 500 * 1000000ull);
}

TEST(virtio_device, reset_never_ends)
{
        script_init();
        script.resets_in = NEVER;
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, virtio_device_reset(&device));
        EXPECT_EQ(device.state, VIRTIO_DEVICE_FAILED);
        EXPECT_EQ(script.clock_ns, VIRTIO_RESET_LIMIT_NS);
}

TEST(virtio_device, device_is_gone)
{
        script_init();
        script.status = 0xff;
        EXPECT_TRUE(virtio_device_needs_reset(&device));
}

static void expect_refused(struct test *t, zx_status_t status, const struct virtio_wishes *wishes,
                           const char *log)
{
        REQUIRE_OK(virtio_device_reset(&device));
        EXPECT_STATUS(status, virtio_device_negotiate(&device, wishes));
        EXPECT_EQ(device.state, VIRTIO_DEVICE_FAILED);
        EXPECT_EQ(device.features, 0);
        EXPECT_STR_EQ(script.log, log);
}

TEST(virtio_device, legacy_device)
{
        script_init();
        script.offered = 0xffffffff;
        expect_refused(t, ZX_ERR_NOT_SUPPORTED, &net_wishes, "s0 s1 s3 s83");
}

TEST(virtio_device, device_refuses_our_features)
{
        script_init();
        script.refuses_features = true;
        expect_refused(t, ZX_ERR_IO, &net_wishes, "s0 s1 s3 a0 a1 sb s83");
}

TEST(virtio_device, required_feature_is_missing)
{
        struct virtio_wishes wishes = net_wishes;
        script_init();
        wishes.required = BIT_MASK(VIRTIO_NET_F_STATUS);
        expect_refused(t, ZX_ERR_NOT_SUPPORTED, &wishes, "s0 s1 s3 s83");
}

TEST(virtio_device, broken_at_once)
{
        script_init();
        script.breaks_at_start = true;
        REQUIRE_OK(virtio_device_reset(&device));
        REQUIRE_OK(virtio_device_negotiate(&device, &net_wishes));
        EXPECT_STATUS(ZX_ERR_IO, virtio_device_start(&device));
        EXPECT_EQ(device.state, VIRTIO_DEVICE_FAILED);
        EXPECT_TRUE(script.status & VIRTIO_STATUS_FAILED);
}

/* ---- features ---- */

static uint64_t negotiate(struct test *t, uint64_t offered, const struct virtio_wishes *wishes)
{
        script_init();
        script.offered = offered;
        EXPECT_OK(virtio_device_reset(&device));
        EXPECT_OK(virtio_device_negotiate(&device, wishes));
        EXPECT_EQ(script.accepted, device.features);
        EXPECT_EQ(device.features & ~offered, 0); /* [D1] */
        return device.features;
}

TEST(virtio_device, only_what_is_wanted_and_offered)
{
        EXPECT_EQ(negotiate(t, UINT64_MAX, &net_wishes), VERSION_1 | net_wishes.wanted);
        EXPECT_EQ(negotiate(t, VERSION_1, &net_wishes), VERSION_1);
        EXPECT_EQ(negotiate(t, VERSION_1 | BIT_MASK(VIRTIO_NET_F_MAC) | BIT_MASK(30), &net_wishes),
                  VERSION_1 | BIT_MASK(VIRTIO_NET_F_MAC));
}

/* A device offers what it must not: the dependants fall, in chains too. */
TEST(virtio_device, features_without_what_they_need)
{
        struct virtio_wishes greedy = net_wishes;
        greedy.wanted = UINT64_MAX;
        uint64_t csum = BIT_MASK(VIRTIO_NET_F_CSUM), tso4 = BIT_MASK(VIRTIO_NET_F_HOST_TSO4);
        uint64_t ecn = BIT_MASK(VIRTIO_NET_F_HOST_ECN), mq = BIT_MASK(VIRTIO_NET_F_MQ);
        uint64_t control = BIT_MASK(VIRTIO_NET_F_CTRL_VQ), rss = BIT_MASK(VIRTIO_NET_F_RSS);
        uint64_t tunnel = BIT_MASK(VIRTIO_NET_F_HASH_TUNNEL);
        EXPECT_EQ(negotiate(t, VERSION_1 | tso4 | ecn, &greedy), VERSION_1);
        EXPECT_EQ(negotiate(t, VERSION_1 | csum | ecn, &greedy), VERSION_1 | csum);
        EXPECT_EQ(negotiate(t, VERSION_1 | csum | tso4 | ecn, &greedy),
                  VERSION_1 | csum | tso4 | ecn);
        EXPECT_EQ(negotiate(t, VERSION_1 | mq | rss | tunnel, &greedy), VERSION_1);
        EXPECT_EQ(negotiate(t, VERSION_1 | control | tunnel, &greedy), VERSION_1 | control);
        EXPECT_EQ(negotiate(t, VERSION_1 | control | rss | tunnel, &greedy),
                  VERSION_1 | control | rss | tunnel);
}

static uint64_t refuse_mac(struct virtio_device *asked)
{
        return asked->offered & BIT_MASK(VIRTIO_NET_F_MAC);
}

TEST(virtio_device, features_refused_by_configuration)
{
        struct virtio_wishes wishes = net_wishes;
        wishes.refused = refuse_mac;
        EXPECT_EQ(negotiate(t, UINT64_MAX, &wishes), VERSION_1 | BIT_MASK(VIRTIO_F_EVENT_IDX));
}

TEST(virtio_device, feature_table_is_whole)
{
        for (size_t i = 0; i < VIRTIO_NET_FEATURE_RULES; i++) {
                EXPECT_NE(virtio_net_feature_rules[i].any_of, 0);
                EXPECT_FALSE(virtio_net_feature_rules[i].any_of &
                             BIT_MASK(virtio_net_feature_rules[i].bit));
        }
}

TEST(virtio_device, feature_names)
{
        char text[VIRTIO_FEATURES_TEXT_BYTES], small[12];
        virtio_features_describe(VERSION_1 | BIT_MASK(VIRTIO_NET_F_MAC) | BIT_MASK(4), 1, text,
                                 sizeof(text));
        EXPECT_STR_EQ(text, "4 mac version-1");
        virtio_features_describe(VERSION_1 | BIT_MASK(VIRTIO_NET_F_MAC), 2, text, sizeof(text));
        EXPECT_STR_EQ(text, "5 version-1");
        virtio_features_describe(VERSION_1 | BIT_MASK(VIRTIO_NET_F_MAC), 1, small, sizeof(small));
        EXPECT_STR_EQ(small, "mac");
        virtio_features_describe(0, 1, text, sizeof(text));
        EXPECT_STR_EQ(text, "");
        /* What does not fit is left out by whole names. */
        static char whole[2 * VIRTIO_FEATURES_TEXT_BYTES];
        virtio_features_describe(UINT64_MAX, 1, whole, sizeof(whole));
        EXPECT_STR_EQ(whole + strlen(whole) - 12, "speed-duplex");
        virtio_features_describe(UINT64_MAX, 1, text, sizeof(text));
        EXPECT_BYTES_EQ(text, whole, strlen(text));
        EXPECT_EQ(whole[strlen(text)], ' ');
}

/* ---- queues and configuration ---- */

static void expect_queue_size(struct test *t, uint32_t max, zx_status_t status, uint32_t expected)
{
        uint32_t size = 0;
        script.queue_size = max;
        EXPECT_STATUS(status, virtio_device_queue_size(&device, 0, 64, &size));
        EXPECT_EQ(size, expected);
}

TEST(virtio_device, queue_sizes)
{
        uint32_t size;
        script_init();
        expect_queue_size(t, 256, ZX_OK, 64);
        expect_queue_size(t, 64, ZX_OK, 64);
        expect_queue_size(t, 1, ZX_OK, 1);
        expect_queue_size(t, 32768, ZX_OK, 64);
        expect_queue_size(t, 0, ZX_ERR_NOT_FOUND, 0);
        expect_queue_size(t, 48, ZX_ERR_IO_DATA_INTEGRITY, 0);
        expect_queue_size(t, 65535, ZX_ERR_IO_DATA_INTEGRITY, 0);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, virtio_device_queue_size(&device, 3, 64, &size));
}

TEST(virtio_device, configuration_of_one_generation)
{
        uint8_t fields[6];
        script_init();
        script.config_changes = 4; /* in the middle of the first try */
        REQUIRE_OK(virtio_device_config_read(&device, 0, fields, sizeof(fields), 1));
        for (size_t i = 0; i < sizeof(fields); i++)
                EXPECT_EQ(fields[i], 4);
}

TEST(virtio_device, configuration_that_never_rests)
{
        uint8_t fields[6];
        script_init();
        script.config_changes = NEVER;
        EXPECT_STATUS(ZX_ERR_TIMED_OUT,
                      virtio_device_config_read(&device, 0, fields, sizeof(fields), 1));
}

TEST(virtio_device, configuration_too_short)
{
        uint32_t field;
        script_init();
        EXPECT_OK(virtio_device_config_read(&device, CONFIG_BYTES - 4, &field, 4, 4));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      virtio_device_config_read(&device, CONFIG_BYTES, &field, 4, 4));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      virtio_device_config_read(&device, UINT32_MAX - 3, &field, 4, 4));
        script.transport.config_bytes = 0;
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, virtio_device_config_read(&device, 0, &field, 1, 1));
}
