/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of the walks over the bytes of a chain, for a device that has popped it. Pieces that are
 * not the driver's memory: virtqueue_device_rules_test.c. */
#include "tests/host/virtqueue_device_rig.h"

/* A chain of four pieces that cross the regions, one of a single byte:
 * 0 -> 1 read (30 over the first boundary, 1), 2 -> 3 write (40 over both, 3). */
static bool open_io(struct test *t, struct rig *rig, struct virtqueue_chain_io *io)
{
        uint64_t edge = RIG_DATA_DEV + PAGE_BYTES;
        if (!rig_init(t, rig, 4))
                return false;
        rig_describe(&rig->descriptors[0], edge - 20, 30, rig_next(1, 0));
        rig_describe(&rig->descriptors[1], edge + 1000, 1, rig_next(2, 0));
        rig_describe(&rig->descriptors[2], edge - 10, 40, rig_next(3, RIG_WRITE));
        rig_describe(&rig->descriptors[3], RIG_DATA_DEV, 3, RIG_WRITE);
        for (uint32_t i = 0; i < 30; i++)
                *rig_at(rig, edge - 20 + i) = (uint8_t)(i + 1);
        *rig_at(rig, edge + 1000) = 31;
        rig_offer(rig, 0);
        if (!EXPECT_OK(rig_pop(rig)))
                return false;
        virtqueue_chain_io_init(io, &rig->device, &rig->request);
        return true;
}

TEST(virtqueue_chain, read_piece_by_piece)
{
        static const uint32_t limits[] = {7, 100, 100, 5, 1}, expected[] = {7, 13, 10, 1};
        struct rig rig;
        struct virtqueue_chain_io io;
        struct virtqueue_chain_span span;
        REQUIRE_TRUE(open_io(t, &rig, &io));
        EXPECT_EQ(virtqueue_chain_readable_left(&io), 31);
        uint32_t seen = 0;
        for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
                REQUIRE_OK(virtqueue_chain_read_next(&io, limits[i], &span));
                EXPECT_EQ(span.bytes, expected[i]);
                for (uint32_t k = 0; k < span.bytes; k++)
                        EXPECT_EQ(((uint8_t *)span.va)[k], ++seen);
                EXPECT_EQ(virtqueue_chain_readable_left(&io), 31 - seen);
        }
        EXPECT_STATUS(ZX_ERR_STOP, virtqueue_chain_read_next(&io, 1, &span));
        EXPECT_STATUS(ZX_ERR_STOP, virtqueue_chain_read_next(&io, 1, &span));
}

TEST(virtqueue_chain, read_and_skip)
{
        struct rig rig;
        struct virtqueue_chain_io io;
        uint8_t bytes[64];
        uint32_t done;
        REQUIRE_TRUE(open_io(t, &rig, &io));
        REQUIRE_OK(virtqueue_chain_read(&io, bytes, 3, &done));
        EXPECT_EQ(done, 3);
        EXPECT_EQ(virtqueue_chain_skip(&io, 20), 20);
        REQUIRE_OK(virtqueue_chain_read(&io, bytes, 0, &done));
        EXPECT_EQ(done, 0);
        REQUIRE_OK(virtqueue_chain_read(&io, bytes, sizeof(bytes), &done));
        EXPECT_EQ(done, 8);
        for (uint32_t i = 0; i < done; i++)
                EXPECT_EQ(bytes[i], 24 + i);
        REQUIRE_OK(virtqueue_chain_read(&io, bytes, 1, &done));
        EXPECT_EQ(done, 0);
        EXPECT_EQ(virtqueue_chain_skip(&io, 1), 0);
        REQUIRE_TRUE(open_io(t, &rig, &io));
        EXPECT_EQ(virtqueue_chain_skip(&io, 1000), 31);
}

TEST(virtqueue_chain, write_and_finish)
{
        struct rig rig;
        struct virtqueue_chain_io io;
        struct virtqueue_chain_span span;
        uint8_t bytes[64];
        uint32_t done;
        for (uint32_t i = 0; i < 64; i++)
                bytes[i] = (uint8_t)(100 + i);
        REQUIRE_TRUE(open_io(t, &rig, &io));
        REQUIRE_OK(virtqueue_chain_write(&io, bytes, 12, &done));
        EXPECT_EQ(done, 12);
        REQUIRE_OK(virtqueue_chain_write_next(&io, 100, &span));
        EXPECT_EQ(span.bytes, 22); /* to the end of the middle region */
        memcpy(span.va, &bytes[12], span.bytes);
        virtqueue_chain_add_written(&io, 20);
        virtqueue_chain_add_written(&io, 2);
        EXPECT_EQ(virtqueue_chain_writable_left(&io), 9);
        REQUIRE_OK(virtqueue_chain_write(&io, &bytes[34], 30, &done));
        EXPECT_EQ(done, 9);
        for (uint32_t i = 0; i < 40; i++)
                EXPECT_EQ(*rig_at(&rig, RIG_DATA_DEV + PAGE_BYTES - 10 + i), 100 + i);
        EXPECT_EQ(*rig_at(&rig, RIG_DATA_DEV + PAGE_BYTES + 30), 0); /* not one byte more */
        for (uint32_t i = 0; i < 3; i++)
                EXPECT_EQ(*rig_at(&rig, RIG_DATA_DEV + i), 140 + i);
        EXPECT_EQ(virtqueue_chain_finish(&io), VIRTQUEUE_CHAIN_READABLE_LEFT);
        virtqueue_device_publish(&rig.device);
        EXPECT_EQ(rig.used->ring[0].bytes, 43);
}

TEST(virtqueue_chain, what_was_left)
{
        struct rig rig;
        struct virtqueue_chain_io io;
        struct virtqueue_chain_span span;
        uint8_t bytes[64] = {0};
        uint32_t done;
        REQUIRE_TRUE(open_io(t, &rig, &io));
        EXPECT_EQ(virtqueue_chain_skip(&io, 31), 31);
        REQUIRE_OK(virtqueue_chain_write(&io, bytes, 42, &done));
        EXPECT_EQ(virtqueue_chain_finish(&io), VIRTQUEUE_CHAIN_WRITABLE_LEFT);
        REQUIRE_TRUE(open_io(t, &rig, &io));
        EXPECT_EQ(virtqueue_chain_skip(&io, 31), 31);
        REQUIRE_OK(virtqueue_chain_write(&io, bytes, 43, &done));
        EXPECT_EQ(virtqueue_chain_finish(&io), VIRTQUEUE_CHAIN_COMPLETE);
        /* Handed out and not written is not written. */
        REQUIRE_TRUE(open_io(t, &rig, &io));
        EXPECT_EQ(virtqueue_chain_skip(&io, 31), 31);
        REQUIRE_OK(virtqueue_chain_write_next(&io, 10, &span));
        virtqueue_chain_add_written(&io, 4);
        EXPECT_EQ(virtqueue_chain_finish(&io), VIRTQUEUE_CHAIN_WRITABLE_LEFT);
        virtqueue_device_publish(&rig.device);
        EXPECT_EQ(rig.used->ring[0].bytes, 4);
}
