/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of the driver's end of a split ring with IN_ORDER, with tables, with notification data and
 * after a reset of the queue. */
#include "tests/boot/virtqueue_test_device.h"

static bool init(struct test *t, struct test_ring *ring, uint32_t size, uint32_t entries,
                 bool in_order)
{
        if (!test_ring_init(t, ring, size, false))
                return false;
        ring->config.in_order = in_order;
        ring->config.indirect_entries = entries;
        if (entries != 0)
                ring->config.tables = test_area(t, 16ull * size * entries, 16);
        return EXPECT_OK(virtqueue_driver_init(&ring->queue, &ring->config));
}

/* ---- tables ---- */

TEST(virtqueue_split, chains_in_tables)
{
        struct test_ring ring;
        REQUIRE_TRUE(init(t, &ring, 4, 3, false));
        REQUIRE_OK(test_ring_add(&ring, 1, 2, 7)); /* a table */
        REQUIRE_OK(test_ring_add(&ring, 0, 1, 8)); /* one needs none */
        EXPECT_EQ(ring.queue.free_count, 2);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, test_ring_add(&ring, 2, 2, 9)); /* too long for one */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, test_ring_add(&ring, 3, 2, 9)); /* and for the ring */
        const struct virtqueue_descriptor *head = ring.config.descriptors.va;
        EXPECT_EQ(head->flags, 4);
        EXPECT_EQ(head->bytes, 48);
        EXPECT_EQ(head->address, ring.config.tables.dev);
        const struct virtqueue_descriptor *entry = ring.config.tables.va;
        for (uint32_t i = 0; i < 3; i++) {
                EXPECT_EQ(entry[i].address, 0x100000000ull * (i + 1) + 7 * 64);
                EXPECT_EQ(entry[i].bytes, 64);
                EXPECT_EQ(entry[i].flags, (i < 2) + (i > 0 ? 2 : 0));
                EXPECT_EQ(entry[i].next, i < 2 ? i + 1 : 0);
        }
        EXPECT_EQ(head[1].flags, 2);
        REQUIRE_OK(test_ring_add(&ring, 1, 1, 9));
        EXPECT_EQ(head[2].address, ring.config.tables.dev + 2 * 48); /* its own table */
        struct virtqueue_element bad[2] = {{4096, 64}, {UINT64_MAX, 2}};
        struct virtqueue_chain chain = {.elements = bad, .readable_count = 2};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &chain));
        EXPECT_EQ(ring.queue.free_count, 1);
        REQUIRE_OK(test_ring_add(&ring, 1, 1, 9));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, test_ring_add(&ring, 1, 1, 9));
        /* Used lengths are judged against what the table's entries hold. */
        virtqueue_driver_publish(&ring.queue);
        test_device_push(&ring.device, 0, 128);
        test_device_publish(&ring.device);
        struct virtqueue_completion done[1];
        uint32_t count;
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 1, &count));
        EXPECT_EQ(done[0].written_bytes, 128);
        EXPECT_EQ(ring.queue.free_count, 1);
}

/* ---- in order ---- */

/* Descriptors are used in the ring's order, lap after lap, whatever the lengths. */
TEST(virtqueue_split, in_order_descriptors)
{
        struct test_ring ring;
        struct test_request request;
        struct virtqueue_completion done[4];
        uint32_t count, expected = 0;
        REQUIRE_TRUE(init(t, &ring, 8, 0, true));
        for (uint32_t i = 0; i < 70000; i++) {
                uint32_t elements = 1 + i % 3;
                REQUIRE_OK(test_ring_add(&ring, elements, 0, i));
                virtqueue_driver_publish(&ring.queue);
                REQUIRE_TRUE(test_device_pop(t, &ring.device, &request));
                REQUIRE_EQ(request.head, expected);
                REQUIRE_EQ(request.count, elements);
                expected = (expected + elements) % 8;
                test_device_push(&ring.device, request.head, 0);
                test_device_publish(&ring.device);
                REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 4, &count));
                REQUIRE_EQ((uintptr_t)done[0].cookie, i);
                REQUIRE_EQ(ring.queue.free_count, 8);
        }
}

/* Writes one used entry for the `count` chains up to the one with `head`. */
static void use_batch(struct test_ring *ring, uint16_t head, uint32_t bytes, uint16_t count)
{
        test_device_push(&ring->device, head, bytes);
        ring->device.used_index = (uint16_t)(ring->device.used_index + count - 1);
        test_device_publish(&ring->device);
}

static bool open_six(struct test *t, struct test_ring *ring, struct test_request *requests)
{
        static const uint32_t writable[] = {1, 2, 1, 0, 1, 1};
        if (!init(t, ring, 16, 0, true))
                return false;
        for (uint32_t i = 0; i < 6; i++)
                if (!EXPECT_OK(test_ring_add(ring, 1, writable[i], i)))
                        return false;
        virtqueue_driver_publish(&ring->queue);
        for (uint32_t i = 0; i < 6; i++)
                if (!EXPECT_TRUE(test_device_pop(t, &ring->device, &requests[i])))
                        return false;
        return true;
}

TEST(virtqueue_split, one_entry_for_many)
{
        static const uint32_t written[] = {64, 128, 5, 0, 64, 5};
        struct test_ring ring;
        static struct test_request requests[6];
        struct virtqueue_completion done[2];
        uint32_t count, next = 0;
        REQUIRE_TRUE(open_six(t, &ring, requests));
        use_batch(&ring, requests[2].head, 5, 3);
        use_batch(&ring, requests[3].head, 0, 1);
        use_batch(&ring, requests[5].head, 5, 2);
        while (virtqueue_driver_get(&ring.queue, done, 2, &count) == ZX_OK)
                for (uint32_t i = 0; i < count; i++, next++) {
                        EXPECT_EQ((uintptr_t)done[i].cookie, next);
                        EXPECT_EQ(done[i].written_bytes, written[next]);
                }
        EXPECT_EQ(next, 6);
        EXPECT_EQ(ring.queue.free_count, 16);
        EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_NONE);
        EXPECT_TRUE(virtqueue_driver_valid(&ring.queue));
}

/* An entry for more chains than the index says, and ids that cannot be. */
TEST(virtqueue_split, hostile_order)
{
        struct test_ring ring;
        static struct test_request requests[6];
        struct virtqueue_completion done[8];
        uint32_t count;
        REQUIRE_TRUE(open_six(t, &ring, requests));
        use_batch(&ring, requests[2].head, 0, 2);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_driver_get(&ring.queue, done, 8, &count));
        EXPECT_EQ(count, 0);
        EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_ORDER);
        EXPECT_EQ(ring.queue.fault.value, requests[2].head);
        EXPECT_EQ(ring.queue.fault.limit, 2);
        REQUIRE_TRUE(open_six(t, &ring, requests));
        use_batch(&ring, 16, 0, 1);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_driver_get(&ring.queue, done, 8, &count));
        EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_ID_RANGE);
        REQUIRE_TRUE(open_six(t, &ring, requests));
        use_batch(&ring, requests[1].head, 129, 2);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_driver_get(&ring.queue, done, 8, &count));
        EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_LENGTH);
        REQUIRE_TRUE(open_six(t, &ring, requests));
        use_batch(&ring, requests[0].head, 0, 1);
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 8, &count));
        use_batch(&ring, requests[0].head, 0, 1);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_driver_get(&ring.queue, done, 8, &count));
        EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_ID_TWICE);
        EXPECT_STR_EQ(virtqueue_fault_name(VIRTQUEUE_FAULT_ORDER), "used out of order");
}

/* ---- the rest ---- */

TEST(virtqueue_split, notification_data)
{
        struct test_ring ring;
        REQUIRE_TRUE(init(t, &ring, 8, 0, false));
        EXPECT_EQ(virtqueue_driver_notification_data(&ring.queue, 3), 3u);
        REQUIRE_OK(test_ring_add(&ring, 2, 0, 0));
        EXPECT_EQ(virtqueue_driver_notification_data(&ring.queue, 3), 3u);
        virtqueue_driver_publish(&ring.queue);
        EXPECT_EQ(virtqueue_driver_notification_data(&ring.queue, 3), 0x00010003u);
        ring.queue.published = 0x18005; /* as far as nobody waits for here */
        EXPECT_EQ(virtqueue_driver_notification_data(&ring.queue, 3), 0x80050003u);
}

TEST(virtqueue_split, reset_gives_everything_back)
{
        struct test_ring ring;
        void *cookie;
        uint32_t cookies = 0;
        REQUIRE_TRUE(init(t, &ring, 8, 4, true));
        for (uintptr_t i = 0; i < 4; i++)
                REQUIRE_OK(test_ring_add(&ring, 1, (uint32_t)i, i));
        virtqueue_driver_publish(&ring.queue);
        for (int i = 0; i < 8 && virtqueue_driver_take_unused(&ring.queue, &cookie); i++)
                cookies |= 1u << (uintptr_t)cookie;
        EXPECT_EQ(cookies, 0xfu);
        virtqueue_driver_reset(&ring.queue);
        test_ring_reset_device(&ring);
        EXPECT_EQ(ring.queue.free_count, 8);
        EXPECT_EQ(test_device_u16(ring.config.avail.dev + 2), 0);
        EXPECT_TRUE(ring.queue.in_order);
        EXPECT_EQ(ring.queue.indirect_entries, 4);
        REQUIRE_OK(test_ring_add(&ring, 1, 0, 9));
        virtqueue_driver_publish(&ring.queue);
        EXPECT_EQ(test_device_serve(t, &ring.device, 0), 1);
}
