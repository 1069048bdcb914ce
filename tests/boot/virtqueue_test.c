/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of lib/virtqueue, driver's end: its example, one chain, one kick. The rest, and devices
 * that break the rules, in tests/host/virtqueue_rules_test.c. */
#include "tests/boot/virtqueue_test_device.h"

TEST(virtqueue, event_predicate_vectors)
{
        static const struct {
                uint16_t old, now, event;
                bool reached;
        } vectors[] = {
                {0, 1, 0, true},           {1, 2, 0, false},      {0, 4, 2, true},
                {0, 4, 4, false},          {0xfffe, 1, 0xffff, true}, {0xfffe, 1, 0, true},
                {0xfffe, 1, 1, false},     {0xfffe, 1, 0xfffd, false},
        };
        for (size_t i = 0; i < ARRAY_COUNT(vectors); i++)
                EXPECT_EQ(virtqueue_event_reached(vectors[i].event, vectors[i].now,
                                                  (uint16_t)(vectors[i].now - vectors[i].old)),
                          vectors[i].reached);
        for (uint32_t event = 0; event <= UINT16_MAX; event++)
                if (!EXPECT_FALSE(virtqueue_event_reached((uint16_t)event, 5, 0)))
                        break;
}

static unsigned notified, consumed;

static void notify_device(struct virtqueue_driver *queue)
{
        (void)queue;
        notified++;
}

static void consume(const struct virtqueue_completion *done, uint32_t count)
{
        (void)done;
        consumed += count;
}

/* The ten lines from the top of virtqueue_driver.h. */
static void example(struct virtqueue_driver *queue_, uint64_t page_dev, void *page)
{
#define queue (*queue_)
        struct virtqueue_element element = {.dev = page_dev, .bytes = 1536};
        struct virtqueue_chain chain = {.elements = &element, .writable_count = 1, .cookie = page};
        struct virtqueue_completion done[16];
        uint32_t count;
        if (virtqueue_driver_add(&queue, &chain) == ZX_OK)      // as often as there is room
                virtqueue_driver_publish(&queue);               // once a batch
        if (virtqueue_driver_kick_needed(&queue))
                notify_device(&queue);
        while (virtqueue_driver_get(&queue, done, 16, &count) == ZX_OK)
                consume(done, count);                           // done[i].cookie is ours again
#undef queue
}

TEST(virtqueue, example_of_the_header)
{
        struct test_ring ring;
        REQUIRE_TRUE(test_ring_init(t, &ring, 4, false));
        notified = consumed = 0;
        example(&ring.queue, 0x1000, &ring);
        EXPECT_EQ(notified, 1);
        EXPECT_EQ(consumed, 0);
        EXPECT_EQ(test_device_serve(t, &ring.device, 60), 1);
        example(&ring.queue, 0x1000, &ring);
        EXPECT_EQ(consumed, 1);
}

TEST(virtqueue, device_sees_the_chain_after_publish)
{
        struct test_ring ring;
        struct test_request request;
        REQUIRE_TRUE(test_ring_init(t, &ring, 8, false));
        REQUIRE_OK(test_ring_add(&ring, 2, 3, 7));
        EXPECT_FALSE(test_device_pop(t, &ring.device, &request));
        virtqueue_driver_publish(&ring.queue);
        REQUIRE_TRUE(test_device_pop(t, &ring.device, &request));
        EXPECT_EQ(request.count, 5);
        EXPECT_EQ(request.readable_count, 2);
        EXPECT_EQ(request.readable_bytes, 128);
        EXPECT_EQ(request.writable_bytes, 192);
        for (uint32_t i = 0; i < request.count; i++)
                EXPECT_EQ(request.elements[i].dev, 0x100000000ull * (i + 1) + 7 * 64);
        EXPECT_FALSE(test_device_pop(t, &ring.device, &request));
        EXPECT_EQ(ring.queue.free_count, 3);
        EXPECT_TRUE(virtqueue_driver_valid(&ring.queue));
}

TEST(virtqueue, kick_by_event)
{
        struct test_ring ring;
        struct virtqueue_completion done[8];
        uint32_t count;
        REQUIRE_TRUE(test_ring_init(t, &ring, 8, true));
        test_device_set_flags(&ring.device, 1); /* ignored with EVENT_IDX */
        test_device_set_avail_event(&ring.device, 2);
        for (uint32_t i = 0; i < 2; i++) {
                REQUIRE_OK(test_ring_add(&ring, 1, 0, 0));
                virtqueue_driver_publish(&ring.queue);
                EXPECT_FALSE(virtqueue_driver_kick_needed(&ring.queue));
        }
        for (uint32_t i = 0; i < 3; i++) /* entries 2, 3, 4: the event is the batch's first */
                REQUIRE_OK(test_ring_add(&ring, 1, 0, 0));
        virtqueue_driver_publish(&ring.queue);
        EXPECT_TRUE(virtqueue_driver_kick_needed(&ring.queue));
        EXPECT_EQ(test_device_serve(t, &ring.device, 0), 5);
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 8, &count));

        /* Two publications, one question: both count. */
        test_device_set_avail_event(&ring.device, 5);
        REQUIRE_OK(test_ring_add(&ring, 1, 0, 0));
        virtqueue_driver_publish(&ring.queue);
        REQUIRE_OK(test_ring_add(&ring, 1, 0, 0));
        virtqueue_driver_publish(&ring.queue);
        EXPECT_TRUE(virtqueue_driver_kick_needed(&ring.queue));
}
