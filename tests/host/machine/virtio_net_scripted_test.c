/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_net over receive memory that is watched and that a device changes behind its back: of what
 * stands in front of a frame there is one look, and what it said then holds to the end. Needs what
 * tests/host/watched_memory.h needs. */
#define _GNU_SOURCE
#include "tests/host/machine/virtio_net_rig.h"

#include <string.h>

#include "tests/host/watched_memory.h"

#if defined(__x86_64__)

#define PAGES 1024
#define MTU 9000
#define FRAME_BYTES 3000 /* two parts */

static const struct virtio_net_header checked = {.flags = VIRTIO_NET_DATA_VALID};

static struct {
        size_t offset; /* of the access that is being let through */
        uint32_t looks[sizeof(struct virtio_net_header)]; /* that began at this byte of part 0 */
} script;

static void before_access(size_t offset)
{
        script.offset = offset;
}

static void after_access(void)
{
        if (script.offset < ARRAY_COUNT(script.looks))
                script.looks[script.offset]++;
}

static void start(struct test *t, uint64_t features)
{
        const uint16_t mtu = MTU;
        rig_init(t, PAGES);
        rig.offered |= RIG_NET(MRG_RXBUF) | RIG_NET(MTU) | RIG_NET(GUEST_CSUM) | features;
        rig.queue_count = 3;
        memcpy(rig.config + VIRTIO_NET_CONFIG_MTU, &mtu, sizeof(mtu));
        REQUIRE_OK(rig_start(t));
        memset(&script, 0, sizeof(script));
}

static uint8_t *memory(void)
{
        return rig_card()->runs[rig_net.pairs[0].memory_id].va;
}

static void expect_frame(struct test *t, uint32_t bytes)
{
        REQUIRE_EQ(rig.got_count, 1);
        EXPECT_EQ(rig.got[0].frame.buffer.buffer.length, bytes);
        EXPECT_EQ(rig.got[0].frame.info.checksum, NETDEV_CHECKSUM_VALID);
        EXPECT_EQ(rig.got[0].sum, rig_sum(1, bytes));
        EXPECT_EQ(rig_card()->queues[0].counters.receive_dropped, 0);
}

/* Frames of one part and of two, all of it within one poll. */
TEST(virtio_net_scripted, header_is_read_once)
{
        const uint64_t features[] = {0, RIG_NET(CTRL_VQ) | RIG_NET(HASH_REPORT)};
        for (uint32_t i = 0; i < 4; i++) {
                uint32_t bytes = i < 2 ? 60 : FRAME_BYTES, looks = 0;
                start(t, features[i % 2]);
                EXPECT_TRUE(rig_deliver(0, checked, 1, bytes));
                watched_open(memory(), rig_card()->runs[rig_net.pairs[0].memory_id].bytes,
                             before_access, after_access);
                watch();
                rig_poll(0);
                unwatch();
                watched_close();
                for (uint32_t at = 0; at < rig_net.header_bytes; at++) {
                        EXPECT_LE(script.looks[at], 1);
                        looks += script.looks[at];
                }
                EXPECT_GT(looks, 0);
                expect_frame(t, bytes);
                rig_finish(t);
        }
}

/* The first part has been looked at; what the device writes over its header then is not read. */
TEST(virtio_net_scripted, header_that_changes_between_the_parts)
{
        start(t, 0);
        EXPECT_TRUE(rig_deliver(0, checked, 1, FRAME_BYTES));
        EXPECT_EQ(netdev_poll(rig_card(), 0, 1), 1);
        EXPECT_EQ(rig.got_count, 0);
        memset(memory(), 0xff, rig_net.header_bytes);
        EXPECT_EQ(netdev_poll(rig_card(), 0, 1), 1);
        expect_frame(t, FRAME_BYTES);
        rig_finish(t);
}

#endif
