/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of lib/virtqueue, driver's end: the split ring against a device written from the
 * standard, and against a device that breaks each rule in turn. The guest runs
 * tests/boot/virtqueue_test.c, and the virtio drivers. */
#include "tests/boot/virtqueue_test_device.h"

#define BUDGET 64

/* ---- layout: the numbers of the standard ---- */

TEST(virtqueue, area_sizes)
{
        EXPECT_EQ(virtqueue_descriptors_bytes(256), 4096);
        EXPECT_EQ(virtqueue_avail_bytes(256), 518);
        EXPECT_EQ(virtqueue_used_bytes(256), 2054);
        EXPECT_EQ(virtqueue_descriptors_bytes(1), 16);
        EXPECT_EQ(virtqueue_avail_bytes(1), 8);
        EXPECT_EQ(virtqueue_used_bytes(1), 14);
        EXPECT_EQ(virtqueue_descriptors_bytes(32768), 524288);
        EXPECT_EQ(virtqueue_avail_bytes(32768), 65542);
        EXPECT_EQ(virtqueue_used_bytes(32768), 262150);
}

/* The packed ring's mode 2: q = 8, now at offset 1 on the lap after advancing 3 slots from 6; an
 * event of the lap before is taken less q. */
TEST(virtqueue, event_predicate_vectors_packed)
{
        EXPECT_TRUE(virtqueue_event_reached((uint16_t)(6 - 8), 1, 3));
        EXPECT_TRUE(virtqueue_event_reached((uint16_t)(7 - 8), 1, 3));
        EXPECT_TRUE(virtqueue_event_reached(0, 1, 3));
        EXPECT_FALSE(virtqueue_event_reached(1, 1, 3));
        EXPECT_FALSE(virtqueue_event_reached((uint16_t)(5 - 8), 1, 3));
        EXPECT_FALSE(virtqueue_event_reached((uint16_t)(0 - 8), 1, 3));
}

TEST(virtqueue, notification_data_vectors)
{
        EXPECT_EQ(virtqueue_notification_data(3, 0x8005), 0x80050003u);
        EXPECT_EQ(virtqueue_notification_data(3, 7 | 1u << 15), 0x80070003u);
}

/* ---- life with a device that keeps the rules ---- */

TEST(virtqueue, init_refuses)
{
        struct test_ring ring;
        REQUIRE_TRUE(test_ring_init(t, &ring, 8, false));
        static const uint32_t sizes[] = {0, 3, 12, 32767, 65536, 1u << 31};
        for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
                struct virtqueue_driver_config config = ring.config;
                config.size = sizes[i];
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_init(&ring.queue, &config));
        }
        struct virtqueue_driver_config bad[7];
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
                bad[i] = ring.config;
        bad[0].slots = NULL;
        bad[1].descriptors.va = NULL;
        bad[2].descriptors.dev += 8;
        bad[3].avail.dev += 1;
        bad[4].used.dev += 2;
        bad[5].descriptors.dev = UINT64_MAX - 15;
        bad[6].used.va = (char *)bad[6].used.va + 2;
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_init(&ring.queue, &bad[i]));
}

TEST(virtqueue, refused_chains_change_nothing)
{
        struct test_ring ring;
        REQUIRE_TRUE(test_ring_init(t, &ring, 4, false));
        struct virtqueue_element elements[5];
        for (size_t i = 0; i < ARRAY_COUNT(elements); i++)
                elements[i] = (struct virtqueue_element){.dev = 4096, .bytes = 0x40000000};
        struct virtqueue_driver before = ring.queue;
        struct virtqueue_chain none = {.elements = elements};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &none));
        struct virtqueue_chain long_one = {.elements = elements, .readable_count = 5};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &long_one));
        struct virtqueue_chain wraps = {.elements = elements, .readable_count = UINT32_MAX,
                                        .writable_count = 2};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &wraps));
        struct virtqueue_chain four_gib = {.elements = elements, .readable_count = 2,
                                           .writable_count = 2};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &four_gib));
        elements[1] = (struct virtqueue_element){.dev = 0, .bytes = 0};
        struct virtqueue_chain empty = {.elements = elements, .writable_count = 2};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &empty));
        elements[0].dev = UINT64_MAX - 100;
        struct virtqueue_chain beyond = {.elements = elements, .writable_count = 1};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &beyond));
        EXPECT_BYTES_EQ(&ring.queue, &before, sizeof(before));
        REQUIRE_OK(test_ring_add(&ring, 3, 0, 1));
        before = ring.queue;
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, test_ring_add(&ring, 1, 1, 2));
        EXPECT_BYTES_EQ(&ring.queue, &before, sizeof(before));
        EXPECT_OK(test_ring_add(&ring, 0, 1, 3));
}

/* One chain just below 4 GiB is legal, and its length comes back whole. */
TEST(virtqueue, longest_chain)
{
        struct test_ring ring;
        REQUIRE_TRUE(test_ring_init(t, &ring, 2, false));
        struct virtqueue_element element = {.dev = 4096, .bytes = UINT32_MAX};
        struct virtqueue_chain chain = {.elements = &element, .writable_count = 1, .cookie = &ring};
        struct virtqueue_completion done[2];
        uint32_t count;
        REQUIRE_OK(virtqueue_driver_add(&ring.queue, &chain));
        virtqueue_driver_publish(&ring.queue);
        EXPECT_EQ(test_device_serve(t, &ring.device, UINT32_MAX), 1);
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 2, &count));
        EXPECT_EQ(done[0].written_bytes, UINT32_MAX);
}

/* Fills the ring, empties it, and so on until `chains` have passed; in order. */
static void run_laps(struct test *t, uint32_t size, uint32_t chains, bool event_index)
{
        struct test_ring ring;
        struct virtqueue_completion done[BUDGET];
        REQUIRE_TRUE(test_ring_init(t, &ring, size, event_index));
        uint32_t added = 0, taken = 0, count;
        while (taken < chains) {
                uint32_t filled = 0;
                while (test_ring_add(&ring, 0, 1, added + 1) == ZX_OK) {
                        added++;
                        filled++;
                }
                REQUIRE_EQ(filled, size);
                EXPECT_STATUS(ZX_ERR_SHOULD_WAIT,
                              virtqueue_driver_get(&ring.queue, done, BUDGET, &count));
                virtqueue_driver_publish(&ring.queue);
                EXPECT_EQ(virtqueue_driver_in_flight(&ring.queue), size);
                REQUIRE_EQ(test_device_serve(t, &ring.device, 17), size);
                while (virtqueue_driver_get(&ring.queue, done, BUDGET, &count) == ZX_OK)
                        for (uint32_t i = 0; i < count; i++) {
                                REQUIRE_EQ((uintptr_t)done[i].cookie, ++taken);
                                REQUIRE_EQ(done[i].written_bytes, 17);
                        }
                REQUIRE_EQ(taken, added);
                REQUIRE_TRUE(virtqueue_driver_valid(&ring.queue));
                EXPECT_EQ(ring.queue.free_count, size);
        }
        EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_NONE);
}

TEST(virtqueue, size_1_past_the_index_wrap)
{
        run_laps(t, 1, 70000, true);
}

TEST(virtqueue, size_2_past_the_index_wrap)
{
        run_laps(t, 2, 70000, false);
}

TEST(virtqueue, size_256_past_the_index_wrap)
{
        run_laps(t, 256, 70000, true);
}

TEST(virtqueue, size_32768_past_the_index_wrap)
{
        run_laps(t, 32768, 98304, false);
}

TEST(virtqueue, out_of_order_and_budget)
{
        struct test_ring ring;
        struct test_request requests[4];
        struct virtqueue_completion done[4];
        static const uintptr_t order[] = {2, 0, 3, 1};
        uint32_t count;
        REQUIRE_TRUE(test_ring_init(t, &ring, 16, false));
        for (uintptr_t i = 0; i < 4; i++)
                REQUIRE_OK(test_ring_add(&ring, 1, (uint32_t)i + 1, i));
        virtqueue_driver_publish(&ring.queue);
        for (size_t i = 0; i < 4; i++)
                REQUIRE_TRUE(test_device_pop(t, &ring.device, &requests[i]));
        for (size_t i = 0; i < 4; i++)
                test_device_push(&ring.device, requests[order[i]].head, (uint32_t)i);
        test_device_publish(&ring.device);
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 3, &count));
        EXPECT_EQ(count, 3);
        for (size_t i = 0; i < 3; i++) {
                EXPECT_EQ((uintptr_t)done[i].cookie, order[i]);
                EXPECT_EQ(done[i].written_bytes, i);
        }
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 3, &count));
        EXPECT_EQ(count, 1);
        EXPECT_EQ((uintptr_t)done[0].cookie, order[3]);
        EXPECT_EQ(ring.queue.free_count, 16);
}

/* One chain stays with the device while more than 65536 others pass it. */
TEST(virtqueue, a_chain_may_stay_behind)
{
        struct test_ring ring;
        struct test_request first, request;
        struct virtqueue_completion done[1];
        uint32_t count;
        REQUIRE_TRUE(test_ring_init(t, &ring, 4, true));
        REQUIRE_OK(test_ring_add(&ring, 0, 1, 1000000));
        virtqueue_driver_publish(&ring.queue);
        REQUIRE_TRUE(test_device_pop(t, &ring.device, &first));
        for (uint32_t i = 0; i < 65540; i++) {
                REQUIRE_OK(test_ring_add(&ring, 1, 1, i));
                virtqueue_driver_publish(&ring.queue);
                REQUIRE_TRUE(test_device_pop(t, &ring.device, &request));
                test_device_push(&ring.device, request.head, 1);
                test_device_publish(&ring.device);
                REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 1, &count));
                REQUIRE_EQ((uintptr_t)done[0].cookie, i);
        }
        test_device_push(&ring.device, first.head, 64);
        test_device_publish(&ring.device);
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 1, &count));
        EXPECT_EQ((uintptr_t)done[0].cookie, 1000000);
}

/* ---- signals ---- */

TEST(virtqueue, kick_by_flag)
{
        struct test_ring ring;
        REQUIRE_TRUE(test_ring_init(t, &ring, 8, false));
        EXPECT_FALSE(virtqueue_driver_kick_needed(&ring.queue)); /* nothing published */
        REQUIRE_OK(test_ring_add(&ring, 1, 0, 0));
        EXPECT_FALSE(virtqueue_driver_kick_needed(&ring.queue)); /* still nothing */
        virtqueue_driver_publish(&ring.queue);
        EXPECT_TRUE(virtqueue_driver_kick_needed(&ring.queue));
        EXPECT_FALSE(virtqueue_driver_kick_needed(&ring.queue)); /* told already */
        test_device_set_flags(&ring.device, 1);
        REQUIRE_OK(test_ring_add(&ring, 1, 0, 0));
        virtqueue_driver_publish(&ring.queue);
        EXPECT_FALSE(virtqueue_driver_kick_needed(&ring.queue));
}

/* Completes one chain with 64 bytes at the device. */
static void complete_one(struct test *t, struct test_ring *ring)
{
        struct test_request request;
        REQUIRE_TRUE(test_device_pop(t, &ring->device, &request));
        test_device_push(&ring->device, request.head, (uint32_t)request.writable_bytes);
        test_device_publish(&ring->device);
}

static void expect_signals(struct test *t, bool event_index)
{
        struct test_ring ring;
        struct virtqueue_completion done[8];
        uint32_t count;
        REQUIRE_TRUE(test_ring_init(t, &ring, 8, event_index));
        for (uintptr_t i = 0; i < 8; i++)
                REQUIRE_OK(test_ring_add(&ring, 0, 1, i));
        virtqueue_driver_publish(&ring.queue);

        EXPECT_FALSE(virtqueue_driver_ask(&ring.queue, 1));
        complete_one(t, &ring);
        EXPECT_TRUE(test_device_interrupts(&ring.device));
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 8, &count));

        virtqueue_driver_mute(&ring.queue);
        complete_one(t, &ring);
        EXPECT_FALSE(test_device_interrupts(&ring.device));
        /* Used between the last get() and the question: it must be noticed now or never. */
        EXPECT_TRUE(virtqueue_driver_ask(&ring.queue, 1));
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 8, &count));
        EXPECT_EQ(count, 1);

        EXPECT_FALSE(virtqueue_driver_ask(&ring.queue, 3));
        complete_one(t, &ring);
        EXPECT_EQ(test_device_interrupts(&ring.device), !event_index);
        complete_one(t, &ring);
        EXPECT_EQ(test_device_interrupts(&ring.device), !event_index);
        EXPECT_FALSE(virtqueue_driver_ask(&ring.queue, 3));
        complete_one(t, &ring);
        EXPECT_TRUE(test_device_interrupts(&ring.device));
        EXPECT_TRUE(virtqueue_driver_ask(&ring.queue, 3));
}

TEST(virtqueue, signals_by_flag)
{
        expect_signals(t, false);
}

TEST(virtqueue, signals_by_event)
{
        expect_signals(t, true);
}

/* A muted queue stays quiet for more than a lap of the 16-bit index. */
TEST(virtqueue, muted_past_the_index_wrap)
{
        struct test_ring ring;
        struct virtqueue_completion done[8];
        uint32_t count, interrupts = 0;
        REQUIRE_TRUE(test_ring_init(t, &ring, 8, true));
        virtqueue_driver_mute(&ring.queue);
        for (uint32_t i = 0; i < 140000 / 8; i++) {
                while (test_ring_add(&ring, 0, 1, i) == ZX_OK)
                        ;
                virtqueue_driver_publish(&ring.queue);
                REQUIRE_EQ(test_device_serve(t, &ring.device, 0), 8);
                interrupts += test_device_interrupts(&ring.device);
                REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 8, &count));
        }
        EXPECT_LE(interrupts, 1);
}

/* ---- a device that breaks the rules ---- */

/* A ring of 8 with two chains of 1 + 1 in flight (cookies 1, 2; heads as popped), one that was
 * given back (cookie 0) and one that was added but not published (cookie 3). */
struct hostile {
        struct test_ring ring;
        struct test_request given_back, first, second;
};

static bool hostile_init(struct test *t, struct hostile *hostile)
{
        struct test_ring *ring = &hostile->ring;
        struct virtqueue_completion done[1];
        uint32_t count;
        bool good = test_ring_init(t, ring, 16, false);
        for (uintptr_t i = 0; i < 3; i++)
                good = good && EXPECT_OK(test_ring_add(ring, i == 0 ? 5 : 1, 1, i));
        virtqueue_driver_publish(&ring->queue);
        good = good && test_device_pop(t, &ring->device, &hostile->given_back) &&
               test_device_pop(t, &ring->device, &hostile->first) &&
               test_device_pop(t, &ring->device, &hostile->second);
        test_device_push(&ring->device, hostile->given_back.head, 64);
        test_device_publish(&ring->device);
        good = good && EXPECT_OK(virtqueue_driver_get(&ring->queue, done, 1, &count)) &&
               EXPECT_OK(test_ring_add(ring, 2, 0, 3));
        return good;
}

/* The fault must be `reason` with `value`; everything must say so from now on, nothing may change
 * what the device sees, and all chains that are still out must come back once by take_unused(). */
static void expect_broken(struct test *t, struct hostile *hostile,
                          enum virtqueue_fault_reason reason, uint32_t value)
{
        struct virtqueue_driver *queue = &hostile->ring.queue;
        struct virtqueue_completion done[4];
        uint32_t count, cookies = 0;
        void *cookie;
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_driver_get(queue, done, 4, &count));
        EXPECT_EQ(count, 0);
        EXPECT_EQ(queue->fault.reason, reason);
        EXPECT_EQ(queue->fault.value, value);
        uint16_t shown = test_device_u16(hostile->ring.config.avail.dev + 2);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, test_ring_add(&hostile->ring, 1, 0, 9));
        virtqueue_driver_publish(queue);
        EXPECT_EQ(test_device_u16(hostile->ring.config.avail.dev + 2), shown);
        EXPECT_FALSE(virtqueue_driver_kick_needed(queue));
        EXPECT_TRUE(virtqueue_driver_ask(queue, 1));
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_driver_get(queue, done, 4, &count));
        EXPECT_TRUE(virtqueue_driver_valid(queue));
        EXPECT_EQ(queue->fault.reason, reason); /* the first one stays */
        for (uint32_t i = 0; i < 8 && virtqueue_driver_take_unused(queue, &cookie); i++)
                cookies |= 1u << (uintptr_t)cookie;
        EXPECT_EQ(cookies, 0xeu); /* 1, 2, 3; not 0, which came back in good order */
        EXPECT_OK(virtqueue_driver_init(queue, &hostile->ring.config));
        EXPECT_EQ(queue->fault.reason, VIRTQUEUE_FAULT_NONE);
}

/* Gives back `id` with `bytes`, which must break the rule `reason`. */
static void expect_used_breaks(struct test *t, struct hostile *hostile, uint32_t id, uint32_t bytes,
                               enum virtqueue_fault_reason reason)
{
        test_device_push(&hostile->ring.device, id, bytes);
        test_device_publish(&hostile->ring.device);
        expect_broken(t, hostile, reason, reason == VIRTQUEUE_FAULT_LENGTH ? bytes : id);
}

TEST(virtqueue, hostile_index_ahead)
{
        struct hostile hostile;
        REQUIRE_TRUE(hostile_init(t, &hostile));
        hostile.ring.device.used_index += 3; /* two are in flight */
        test_device_publish(&hostile.ring.device);
        expect_broken(t, &hostile, VIRTQUEUE_FAULT_INDEX_JUMP, 3);
}

TEST(virtqueue, hostile_index_back)
{
        struct hostile hostile;
        REQUIRE_TRUE(hostile_init(t, &hostile));
        hostile.ring.device.used_index--;
        test_device_publish(&hostile.ring.device);
        expect_broken(t, &hostile, VIRTQUEUE_FAULT_INDEX_JUMP, 0xffff);
}

/* Back to an index that we have not taken yet, but have seen. */
static void seen_then_back(struct test *t, bool by_ask)
{
        struct test_ring ring;
        struct virtqueue_completion done[1];
        uint32_t count;
        REQUIRE_TRUE(test_ring_init(t, &ring, 8, false));
        for (uintptr_t i = 0; i < 4; i++)
                REQUIRE_OK(test_ring_add(&ring, 0, 1, i));
        virtqueue_driver_publish(&ring.queue);
        REQUIRE_EQ(test_device_serve(t, &ring.device, 1), 4);
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 1, &count));
        ring.device.used_index = 2;
        test_device_publish(&ring.device);
        if (by_ask) {
                EXPECT_TRUE(virtqueue_driver_ask(&ring.queue, 1));
                EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_INDEX_JUMP);
        }
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_driver_get(&ring.queue, done, 1, &count));
        EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_INDEX_JUMP);
}

TEST(virtqueue, hostile_index_back_behind_seen)
{
        seen_then_back(t, false);
        seen_then_back(t, true);
}

TEST(virtqueue, hostile_id_outside)
{
        static const uint32_t ids[] = {16, 17, 0xffff, 0x10000, UINT32_MAX};
        for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
                struct hostile hostile;
                REQUIRE_TRUE(hostile_init(t, &hostile));
                expect_used_breaks(t, &hostile, ids[i], 0, VIRTQUEUE_FAULT_ID_RANGE);
        }
}

/* Behind our slots lies memory that looks like the slot of a chain in flight, at size itself and
 * where a check on 16 bits of the id would end up:
 * an id must be refused before its slot is looked at. */
TEST(virtqueue, hostile_id_of_a_tempting_slot)
{
        static const uint32_t behind[] = {16, 0x10000};
        for (size_t i = 0; i < ARRAY_COUNT(behind); i++) {
                struct hostile hostile;
                REQUIRE_TRUE(hostile_init(t, &hostile));
                uint32_t id = behind[i] + (behind[i] == 16 ? 0 : hostile.first.head);
                struct virtqueue_slot *slots =
                        world_pages(t, div_round_up((id + 1) * sizeof(*slots), PAGE_BYTES), NULL);
                memcpy(slots, hostile.ring.queue.slots, 16 * sizeof(*slots));
                slots[id] = slots[hostile.first.head];
                hostile.ring.queue.slots = slots;
                expect_used_breaks(t, &hostile, id, 0, VIRTQUEUE_FAULT_ID_RANGE);
        }
}

TEST(virtqueue, hostile_id_twice)
{
        struct hostile hostile;
        struct virtqueue_completion done[4];
        uint32_t count;
        REQUIRE_TRUE(hostile_init(t, &hostile));
        struct test_device *device = &hostile.ring.device;
        test_device_push(device, hostile.first.head, 64);
        test_device_push(device, hostile.first.head, 64);
        test_device_publish(device);
        /* The first of the two is good and is handed out; the second ends it. */
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                      virtqueue_driver_get(&hostile.ring.queue, done, 4, &count));
        EXPECT_EQ(count, 1);
        EXPECT_EQ((uintptr_t)done[0].cookie, 1);
        EXPECT_EQ(hostile.ring.queue.fault.reason, VIRTQUEUE_FAULT_ID_TWICE);
        EXPECT_EQ(hostile.ring.queue.fault.value, hostile.first.head);
        EXPECT_EQ(hostile.ring.queue.fault.used_index, 2); /* where the bad one stands */
        EXPECT_EQ(virtqueue_driver_in_flight(&hostile.ring.queue), 1);
}

TEST(virtqueue, hostile_id_never_given)
{
        struct hostile hostile;
        REQUIRE_TRUE(hostile_init(t, &hostile));
        expect_used_breaks(t, &hostile, 15, 0, VIRTQUEUE_FAULT_ID_NOT_AVAILABLE);
}

TEST(virtqueue, hostile_id_inside_a_chain)
{
        struct hostile hostile;
        REQUIRE_TRUE(hostile_init(t, &hostile));
        uint16_t inside = test_device_u16(hostile.ring.config.descriptors.dev +
                                          16ull * hostile.first.head + 14);
        expect_used_breaks(t, &hostile, inside, 0, VIRTQUEUE_FAULT_ID_NOT_AVAILABLE);
}

/* Also where that descriptor was a head, and came back in good order, before. */
TEST(virtqueue, hostile_id_inside_a_chain_that_was_a_head)
{
        for (uint32_t pieces = 2; pieces <= 3; pieces++) {
                struct test_ring ring;
                struct test_request request;
                struct virtqueue_completion done[4];
                uint32_t count;
                REQUIRE_TRUE(test_ring_init(t, &ring, 16, false));
                for (uint32_t i = 0; i < 3; i++)
                        REQUIRE_OK(test_ring_add(&ring, 1, 0, i));
                virtqueue_driver_publish(&ring.queue);
                REQUIRE_EQ(test_device_serve(t, &ring.device, 0), 3);
                REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 4, &count));
                REQUIRE_OK(test_ring_add(&ring, pieces - 1, 1, 7));
                virtqueue_driver_publish(&ring.queue);
                REQUIRE_TRUE(test_device_pop(t, &ring.device, &request));
                uint16_t inside = test_device_u16(ring.config.descriptors.dev +
                                                  16ull * request.head + 14);
                EXPECT_LT(inside, 3);
                test_device_push(&ring.device, inside, 0);
                test_device_publish(&ring.device);
                EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                              virtqueue_driver_get(&ring.queue, done, 4, &count));
                EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_ID_NOT_AVAILABLE);
        }
}

TEST(virtqueue, hostile_id_not_published)
{
        struct hostile hostile;
        REQUIRE_TRUE(hostile_init(t, &hostile));
        uint16_t head = test_device_u16(hostile.ring.config.avail.dev + 4 + 2 * 3);
        expect_used_breaks(t, &hostile, head, 0, VIRTQUEUE_FAULT_ID_NOT_AVAILABLE);
}

TEST(virtqueue, hostile_length)
{
        struct hostile hostile;
        REQUIRE_TRUE(hostile_init(t, &hostile));
        expect_used_breaks(t, &hostile, hostile.first.head, 65, VIRTQUEUE_FAULT_LENGTH);
        REQUIRE_TRUE(hostile_init(t, &hostile));
        expect_used_breaks(t, &hostile, hostile.second.head, UINT32_MAX, VIRTQUEUE_FAULT_LENGTH);
}

/* A queue whose chains are all for reading takes no notice of a length, whatever it is; a length
 * that is only wrong is still a fault everywhere else. */
TEST(virtqueue, lengths_ignored)
{
        struct hostile hostile;
        struct virtqueue_completion done[4];
        uint32_t count;
        REQUIRE_TRUE(hostile_init(t, &hostile));
        hostile.ring.config.lengths_ignored = true;
        REQUIRE_OK(virtqueue_driver_init(&hostile.ring.queue, &hostile.ring.config));
        test_ring_reset_device(&hostile.ring);
        EXPECT_OK(test_ring_add(&hostile.ring, 2, 0, 7));
        virtqueue_driver_publish(&hostile.ring.queue);
        uint16_t head = test_device_u16(hostile.ring.config.avail.dev + 4);
        test_device_push(&hostile.ring.device, head, UINT32_MAX);
        test_device_publish(&hostile.ring.device);
        EXPECT_OK(virtqueue_driver_get(&hostile.ring.queue, done, 4, &count));
        EXPECT_EQ(count, 1);
        EXPECT_EQ(done[0].written_bytes, 0);
        EXPECT_EQ((uintptr_t)done[0].cookie, 7);
        EXPECT_EQ(hostile.ring.queue.fault.reason, VIRTQUEUE_FAULT_NONE);
}

/* Nothing in the ring's memory is believed: a device that overwrites all of it but what it may
 * write changes nothing for us. */
TEST(virtqueue, hostile_scribble)
{
        struct hostile hostile;
        struct virtqueue_completion done[4];
        uint32_t count;
        REQUIRE_TRUE(hostile_init(t, &hostile));
        struct test_ring *ring = &hostile.ring;
        memset(ring->config.descriptors.va, 0xa5, virtqueue_descriptors_bytes(16));
        memset(ring->config.avail.va, 0x5a, virtqueue_avail_bytes(16));
        test_device_push(&ring->device, hostile.second.head, 64);
        test_device_push(&ring->device, hostile.first.head, 1);
        test_device_publish(&ring->device);
        REQUIRE_OK(virtqueue_driver_get(&ring->queue, done, 4, &count));
        EXPECT_EQ(count, 2);
        EXPECT_EQ((uintptr_t)done[0].cookie, 2);
        EXPECT_EQ(done[0].written_bytes, 64);
        EXPECT_EQ((uintptr_t)done[1].cookie, 1);
        EXPECT_EQ(ring->queue.free_count, 14); /* the unpublished chain has two */
        virtqueue_driver_publish(&ring->queue);
        EXPECT_EQ(test_device_u16(ring->config.avail.dev + 2), 4); /* not 0x5a5a + 1 */
        for (uint32_t i = 0; i < 7; i++)
                EXPECT_OK(test_ring_add(ring, 1, 1, i));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, test_ring_add(ring, 1, 0, 0));
        EXPECT_TRUE(virtqueue_driver_valid(&ring->queue));
}
