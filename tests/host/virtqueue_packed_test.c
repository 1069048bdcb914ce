/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of the driver's end of a packed ring: against a device written from the standard, and
 * against one that breaks each rule in turn. */
#include "tests/host/virtqueue_packed_device.h"

static struct packed_ring ring;

#define SIZED(size_) ((struct packed_options){.size = (size_)})

static uint16_t flags_of(uint32_t offset)
{
        return test_device_u16(ring.config.descriptors.dev + 16ull * offset + 14);
}

/* ---- the numbers of the standard ---- */

TEST(virtqueue_packed, flags_of_both_laps)
{
        EXPECT_EQ(virtqueue_packed_available(true), 0x0080);
        EXPECT_EQ(virtqueue_packed_used(true), 0x8080);
        EXPECT_EQ(virtqueue_packed_available(false), 0x8000);
        EXPECT_EQ(virtqueue_packed_used(false), 0);
}

/* q = 8, now at offset 1 on lap 0 after three more from 6 on lap 1. */
TEST(virtqueue_packed, event_vectors)
{
        static const struct {
                uint32_t event;
                bool event_index, wanted;
        } vectors[] = {
                {0x00028006, true, true},  {0x00028007, true, true},  {0x00020000, true, true},
                {0x00020001, true, false}, {0x00028005, true, false}, {0x00028000, true, false},
                {0x00000001, true, true},  {0x00010000, true, false}, {0x00030001, true, true},
                {0x00020001, false, true}, {0x00020008, true, true},  {0x0002ffff, true, true},
                {0xfffc0001, true, true},  {0xfffd0000, true, false}, {0xfffe0001, true, false},
        };
        for (size_t i = 0; i < ARRAY_COUNT(vectors); i++)
                EXPECT_EQ(virtqueue_packed_event_wanted(vectors[i].event, 8, vectors[i].event_index,
                                                        1, 3),
                          vectors[i].wanted);
        EXPECT_TRUE(virtqueue_packed_event_wanted(0x00020001, 8, true, 1, 8)); /* a whole lap */
}

TEST(virtqueue_packed, sizes)
{
        EXPECT_FALSE(virtqueue_packed_size_valid(0));
        EXPECT_TRUE(virtqueue_packed_size_valid(1));
        EXPECT_TRUE(virtqueue_packed_size_valid(7));
        EXPECT_TRUE(virtqueue_packed_size_valid(32768));
        EXPECT_FALSE(virtqueue_packed_size_valid(32769));
}

TEST(virtqueue_packed, init_refuses)
{
        REQUIRE_TRUE(packed_init(t, &ring, ((struct packed_options){.size = 6,
                                                                    .indirect_entries = 4})));
        struct virtqueue_driver_config bad[6];
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
                bad[i] = ring.config;
        bad[0].size = 0;
        bad[1].packed = false; /* six is no power of two */
        bad[2].avail.dev += 2;
        bad[3].used.dev += 2;
        bad[4].tables.dev += 8;
        bad[5].indirect_entries = 7;
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_init(&ring.queue, &bad[i]));
}

/* ---- life with a device that keeps the rules ---- */

/* The bytes of two chains of a batch: before publish() the first head is not there; a chain that
 * crosses the end of the ring has both polarities. */
TEST(virtqueue_packed, descriptors_as_they_stand)
{
        struct virtqueue_completion done[4];
        uint32_t count;
        REQUIRE_TRUE(packed_init(t, &ring, SIZED(5)));
        REQUIRE_OK(packed_add(&ring, 1, 1, 1));
        REQUIRE_OK(packed_add(&ring, 1, 0, 2));
        EXPECT_EQ(flags_of(0), 0);
        EXPECT_EQ(flags_of(1), 0x0082);
        EXPECT_EQ(flags_of(2), 0x0080);
        virtqueue_driver_publish(&ring.queue);
        EXPECT_EQ(flags_of(0), 0x0081);
        EXPECT_EQ(flags_of(3), 0);
        EXPECT_EQ(packed_serve(t, &ring, 9), 2);
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 4, &count));
        EXPECT_EQ(count, 2);
        EXPECT_EQ(done[0].written_bytes, 9);
        EXPECT_EQ(done[1].written_bytes, 0);
        REQUIRE_OK(packed_add(&ring, 2, 2, 3));
        virtqueue_driver_publish(&ring.queue);
        EXPECT_EQ(flags_of(3), 0x0081);
        EXPECT_EQ(flags_of(4), 0x0081);
        EXPECT_EQ(flags_of(0), 0x8003);
        EXPECT_EQ(flags_of(1), 0x8002);
        EXPECT_EQ(virtqueue_driver_notification_data(&ring.queue, 3), 0x00020003u);
}

TEST(virtqueue_packed, device_sees_the_chain_after_publish)
{
        struct test_request request;
        REQUIRE_TRUE(packed_init(t, &ring, SIZED(7)));
        REQUIRE_OK(packed_add(&ring, 2, 3, 7));
        EXPECT_FALSE(packed_pop(t, &ring, &request));
        virtqueue_driver_publish(&ring.queue);
        REQUIRE_TRUE(packed_pop(t, &ring, &request));
        EXPECT_EQ(request.count, 5);
        EXPECT_EQ(request.readable_count, 2);
        EXPECT_EQ(request.writable_bytes, 192);
        for (uint32_t i = 0; i < request.count; i++)
                EXPECT_EQ(request.elements[i].dev, 0x100000000ull * (i + 1) + 7 * 64);
        EXPECT_FALSE(packed_pop(t, &ring, &request));
        EXPECT_EQ(ring.queue.free_count, 2);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, packed_add(&ring, 1, 2, 0));
}

/* A chain that is refused leaves nothing behind that a later, shorter one would expose. */
TEST(virtqueue_packed, refused_chains_change_nothing)
{
        struct test_request request;
        REQUIRE_TRUE(packed_init(t, &ring, SIZED(4)));
        struct virtqueue_element elements[3] = {{4096, 64}, {4096, 64}, {4096, 0}};
        struct virtqueue_chain empty = {.elements = elements, .readable_count = 3};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &empty));
        empty.readable_count = 5;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &empty));
        elements[0] = (struct virtqueue_element){4096, 0}; /* alone, which is a shorter way */
        empty.readable_count = 1;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &empty));
        elements[0] = (struct virtqueue_element){0, 0};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &empty));
        elements[0] = (struct virtqueue_element){UINT64_MAX, 2};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &empty));
        empty.readable_count = 0;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &empty));
        REQUIRE_OK(packed_add(&ring, 1, 0, 1));
        virtqueue_driver_publish(&ring.queue);
        REQUIRE_TRUE(packed_pop(t, &ring, &request));
        EXPECT_EQ(request.count, 1);
        EXPECT_FALSE(packed_pop(t, &ring, &request));
}

static void run_laps(struct test *t, struct packed_options options, uint32_t chains)
{
        struct virtqueue_completion done[64];
        REQUIRE_TRUE(packed_init(t, &ring, options));
        uint32_t added = 0, taken = 0, count;
        while (taken < chains) {
                uint32_t filled = 0;
                while (packed_add(&ring, 0, 1, added + 1) == ZX_OK) {
                        added++;
                        filled++;
                }
                REQUIRE_EQ(filled, options.size);
                EXPECT_STATUS(ZX_ERR_SHOULD_WAIT,
                              virtqueue_driver_get(&ring.queue, done, 64, &count));
                virtqueue_driver_publish(&ring.queue);
                REQUIRE_EQ(packed_serve(t, &ring, 17), options.size);
                while (virtqueue_driver_get(&ring.queue, done, 64, &count) == ZX_OK)
                        for (uint32_t i = 0; i < count; i++) {
                                REQUIRE_EQ((uintptr_t)done[i].cookie, ++taken);
                                REQUIRE_EQ(done[i].written_bytes, 17);
                        }
                REQUIRE_EQ(taken, added);
                REQUIRE_TRUE(virtqueue_driver_valid(&ring.queue));
                EXPECT_EQ(ring.queue.free_count, options.size);
        }
        EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_NONE);
}

TEST(virtqueue_packed, laps_of_every_kind_of_size)
{
        run_laps(t, SIZED(1), 70000);
        run_laps(t, SIZED(3), 70000);
        run_laps(t, SIZED(255), 70000);
        run_laps(t, SIZED(32768), 98304);
}

TEST(virtqueue_packed, laps_in_order)
{
        run_laps(t, ((struct packed_options){.size = 3, .in_order = true}), 70000);
        run_laps(t, ((struct packed_options){.size = 256, .in_order = true}), 70000);
}

TEST(virtqueue_packed, out_of_order_and_budget)
{
        static const uintptr_t order[] = {2, 0, 3, 1};
        struct test_request requests[4];
        struct virtqueue_completion done[4];
        uint32_t count;
        REQUIRE_TRUE(packed_init(t, &ring, SIZED(14)));
        for (uintptr_t i = 0; i < 4; i++)
                REQUIRE_OK(packed_add(&ring, 1, (uint32_t)i + 1, i));
        virtqueue_driver_publish(&ring.queue);
        for (size_t i = 0; i < 4; i++)
                REQUIRE_TRUE(packed_pop(t, &ring, &requests[i]));
        for (size_t i = 0; i < 4; i++)
                packed_push(&ring, requests[order[i]].head, (uint32_t)i);
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 3, &count));
        EXPECT_EQ(count, 3);
        for (size_t i = 0; i < 3; i++) {
                EXPECT_EQ((uintptr_t)done[i].cookie, order[i]);
                EXPECT_EQ(done[i].written_bytes, i);
        }
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 3, &count));
        EXPECT_EQ(count, 1);
        EXPECT_EQ(ring.queue.free_count, 14);
}

/* Where the device may write nothing, a length without WRITE means nothing; where it may, the
 * length counts with and without. */
TEST(virtqueue_packed, length_with_and_without_write)
{
        struct virtqueue_completion done[2];
        struct test_request request;
        uint32_t count;
        REQUIRE_TRUE(packed_init(t, &ring, SIZED(4)));
        for (uint32_t writable = 0; writable < 2; writable++) {
                REQUIRE_OK(packed_add(&ring, 1, writable, 0));
                virtqueue_driver_publish(&ring.queue);
                REQUIRE_TRUE(packed_pop(t, &ring, &request));
                uint32_t at = ring.device.used;
                packed_push(&ring, request.head, 60);
                uint16_t *flags = test_device_at(ring.config.descriptors.dev + 16 * at + 14);
                *flags &= (uint16_t)~2;
                REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 2, &count));
                EXPECT_EQ(done[0].written_bytes, writable ? 60 : 0);
        }
}

/* ---- tables ---- */

static struct packed_options tables(uint32_t size, uint32_t entries)
{
        return (struct packed_options){.size = size, .indirect_entries = entries};
}

TEST(virtqueue_packed, chains_in_tables)
{
        struct test_request request;
        REQUIRE_TRUE(packed_init(t, &ring, tables(5, 4)));
        REQUIRE_OK(packed_add(&ring, 2, 2, 7)); /* a table */
        REQUIRE_OK(packed_add(&ring, 1, 0, 8)); /* one needs none */
        REQUIRE_OK(packed_add(&ring, 1, 1, 9));
        EXPECT_EQ(ring.queue.free_count, 2);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, packed_add(&ring, 3, 2, 10)); /* too long for one */
        virtqueue_driver_publish(&ring.queue);
        REQUIRE_TRUE(packed_pop(t, &ring, &request));
        EXPECT_EQ(request.count, 4);
        EXPECT_EQ(request.readable_count, 2);
        EXPECT_EQ(request.writable_bytes, 128);
        for (uint32_t i = 0; i < request.count; i++)
                EXPECT_EQ(request.elements[i].dev, 0x100000000ull * (i + 1) + 7 * 64);
        REQUIRE_TRUE(packed_pop(t, &ring, &request));
        EXPECT_EQ(request.count, 1);
        REQUIRE_TRUE(packed_pop(t, &ring, &request));
        EXPECT_EQ(request.count, 2);
        EXPECT_EQ(request.elements[0].dev, 0x100000000ull + 9 * 64);
        struct virtqueue_element bad[2] = {{4096, 64}, {4096, 0}};
        struct virtqueue_chain chain = {.elements = bad, .readable_count = 2};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_driver_add(&ring.queue, &chain));
        EXPECT_EQ(ring.queue.free_count, 2);
        for (int i = 0; i < 2; i++)
                REQUIRE_OK(packed_add(&ring, 1, 1, 1));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, packed_add(&ring, 1, 1, 1));
}

/* ---- in order ---- */

/* Three batches with one entry each, taken back with a budget that cuts through them. */
TEST(virtqueue_packed, one_entry_for_many)
{
        static const uint32_t last_of[] = {2, 3, 5}, writable[] = {1, 2, 1, 0, 1, 1};
        struct test_request requests[6];
        struct virtqueue_completion done[2];
        uint32_t count, first = 0, next = 0;
        REQUIRE_TRUE(packed_init(t, &ring,
                                 ((struct packed_options){.size = 13, .in_order = true})));
        for (uint32_t i = 0; i < 6; i++)
                REQUIRE_OK(packed_add(&ring, 1, writable[i], i));
        virtqueue_driver_publish(&ring.queue);
        for (size_t i = 0; i < 6; i++)
                REQUIRE_TRUE(packed_pop(t, &ring, &requests[i]));
        for (size_t batch = 0; batch < 3; batch++) {
                uint32_t skip = 0;
                for (; first <= last_of[batch]; first++)
                        skip += requests[first].count;
                packed_use(&ring, requests[last_of[batch]].head, batch == 1 ? 0 : 5, skip);
        }
        while (virtqueue_driver_get(&ring.queue, done, 2, &count) == ZX_OK)
                for (uint32_t i = 0; i < count; i++, next++) {
                        if (next == 0) /* the third is there, whatever its descriptor says */
                                EXPECT_TRUE(virtqueue_driver_ask(&ring.queue, 1));
                        bool last = next == 2 || next == 5; /* the others are completely used */
                        EXPECT_EQ((uintptr_t)done[i].cookie, next);
                        EXPECT_EQ(done[i].written_bytes, last ? 5 : 64 * writable[next]);
                }
        EXPECT_EQ(next, 6);
        EXPECT_EQ(ring.queue.free_count, 13);
        EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_NONE);
}

/* ---- signals ---- */

static void write_device_event(uint32_t mode, uint16_t position)
{
        shared_store_u32(ring.config.used.va, mode << 16 | position);
}

static bool kick_after_one(struct test *t)
{
        EXPECT_OK(packed_add(&ring, 1, 0, 0));
        virtqueue_driver_publish(&ring.queue);
        return virtqueue_driver_kick_needed(&ring.queue);
}

TEST(virtqueue_packed, kicks)
{
        REQUIRE_TRUE(packed_init(t, &ring, ((struct packed_options){.size = 16,
                                                                    .event_index = true})));
        EXPECT_FALSE(virtqueue_driver_kick_needed(&ring.queue));
        EXPECT_TRUE(kick_after_one(t));
        EXPECT_FALSE(virtqueue_driver_kick_needed(&ring.queue)); /* told already */
        write_device_event(1, 0);
        EXPECT_FALSE(kick_after_one(t));
        write_device_event(2, 0x8000 | 3);
        EXPECT_FALSE(kick_after_one(t)); /* 2 */
        REQUIRE_OK(packed_add(&ring, 4, 0, 0));
        EXPECT_FALSE(virtqueue_driver_kick_needed(&ring.queue)); /* not published: not moved */
        EXPECT_TRUE(kick_after_one(t)); /* 3..7: chains jump over positions */
        write_device_event(2, 0x8000 | 7);
        EXPECT_FALSE(kick_after_one(t));
        /* What was added and not published does not move the position that is judged. */
        write_device_event(2, 0x8000 | 12);
        REQUIRE_OK(packed_add(&ring, 1, 0, 0));
        virtqueue_driver_publish(&ring.queue);
        REQUIRE_OK(packed_add(&ring, 3, 0, 0));
        EXPECT_FALSE(virtqueue_driver_kick_needed(&ring.queue));
        EXPECT_EQ(virtqueue_driver_notification_data(&ring.queue, 1), 0x800a0001u);
}

/* The device enables notifications at one place and goes on past it: told at the next publish if we
 * know what it used by then, else when we ask before we wait. One that asks for a place ahead is
 * left in peace, on either lap. */
TEST(virtqueue_packed, device_that_waits_for_a_place_behind_it)
{
        struct virtqueue_completion done[16];
        uint32_t count;
        REQUIRE_TRUE(packed_init(t, &ring, ((struct packed_options){.size = 16,
                                                                    .event_index = true})));
        for (uint32_t lap = 0; lap < 5; lap++) {
                struct virtqueue_packed_place start = ring.queue.next_added, ahead = start;
                for (uint32_t i = 0; i < 5; i++)
                        (void)kick_after_one(t);
                write_device_event(2, virtqueue_packed_position(start)); /* and takes all of them */
                EXPECT_FALSE(virtqueue_driver_kick_overdue(&ring.queue)); /* it may be about to */
                EXPECT_EQ(packed_serve(t, &ring, 0), 5);
                EXPECT_FALSE(kick_after_one(t)); /* what was used is not known yet */
                EXPECT_FALSE(virtqueue_driver_kick_overdue(&ring.queue));
                REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 16, &count));
                EXPECT_EQ(count, 5);
                EXPECT_TRUE(virtqueue_driver_kick_overdue(&ring.queue));
                EXPECT_TRUE(kick_after_one(t));
                virtqueue_packed_advance(&ahead, 14, 16);
                write_device_event(2, virtqueue_packed_position(ahead));
                EXPECT_FALSE(virtqueue_driver_kick_overdue(&ring.queue));
                EXPECT_FALSE(kick_after_one(t));
                /* As far as a device can be: all of the ring is its own. */
                ahead = ring.queue.next_used;
                virtqueue_packed_advance(&ahead, 16, 16);
                write_device_event(2, virtqueue_packed_position(ahead));
                EXPECT_FALSE(virtqueue_driver_kick_overdue(&ring.queue));
                write_device_event(1, virtqueue_packed_position(start)); /* it sleeps not at all */
                EXPECT_FALSE(virtqueue_driver_kick_overdue(&ring.queue));
                EXPECT_EQ(packed_serve(t, &ring, 0), 3);
                REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 16, &count));
                write_device_event(2, virtqueue_packed_position(start));
                EXPECT_FALSE(virtqueue_driver_kick_overdue(&ring.queue)); /* nothing in flight */
        }
}

static uint32_t driver_event(void)
{
        return shared_load_u32(ring.config.avail.va);
}

TEST(virtqueue_packed, wishes)
{
        struct virtqueue_completion done[4];
        uint32_t count;
        REQUIRE_TRUE(packed_init(t, &ring, ((struct packed_options){.size = 5,
                                                                    .event_index = true})));
        for (int lap = 0; lap < 2; lap++) {
                for (uint32_t i = 0; i < 4; i++)
                        REQUIRE_OK(packed_add(&ring, 0, 1, i));
                virtqueue_driver_publish(&ring.queue);
                EXPECT_FALSE(virtqueue_driver_ask(&ring.queue, 3));
                /* From 0 on lap 1, then from 4: the third is at 1 on lap 0. */
                EXPECT_EQ(driver_event(), lap == 0 ? 0x28002u : 0x20001u);
                virtqueue_driver_mute(&ring.queue);
                EXPECT_EQ(driver_event() >> 16, 1u);
                EXPECT_EQ(packed_serve(t, &ring, 1), 4);
                EXPECT_TRUE(virtqueue_driver_ask(&ring.queue, 1)); /* there already */
                REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 4, &count));
        }
        REQUIRE_TRUE(packed_init(t, &ring, SIZED(5)));
        EXPECT_FALSE(virtqueue_driver_ask(&ring.queue, 1));
        EXPECT_EQ(driver_event() >> 16, 0u);
}

/* ---- reset of the queue ---- */

TEST(virtqueue_packed, reset_gives_everything_back)
{
        struct test_request request;
        void *cookie;
        uint32_t cookies = 0;
        REQUIRE_TRUE(packed_init(t, &ring, SIZED(8)));
        for (uintptr_t i = 0; i < 4; i++)
                REQUIRE_OK(packed_add(&ring, 1, i == 0, i));
        virtqueue_driver_publish(&ring.queue);
        REQUIRE_TRUE(packed_pop(t, &ring, &request));
        packed_push(&ring, request.head, 5); /* used, and not taken back */
        for (int i = 0; i < 8 && virtqueue_driver_take_unused(&ring.queue, &cookie); i++)
                cookies |= 1u << (uintptr_t)cookie;
        EXPECT_EQ(cookies, 0xfu);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, packed_add(&ring, 1, 0, 0)); /* being cleared */
        virtqueue_driver_reset(&ring.queue);
        packed_reset_device(&ring);
        EXPECT_EQ(flags_of(0), 0);
        EXPECT_EQ(ring.queue.free_count, 8);
        REQUIRE_OK(packed_add(&ring, 0, 1, 9));
        virtqueue_driver_publish(&ring.queue);
        EXPECT_EQ(packed_serve(t, &ring, 3), 1);
}

/* ---- a device that breaks the rules ---- */

/* Chains with cookies 1 and 2 (1 + 1) in flight, 0 was given back, 3 is not published. */
static bool hostile_init(struct test *t, bool in_order, struct test_request requests[3])
{
        struct virtqueue_completion done[1];
        uint32_t count;
        bool good = packed_init(t, &ring,
                                ((struct packed_options){.size = 16, .in_order = in_order}));
        for (uintptr_t i = 0; i < 3; i++)
                good = good && EXPECT_OK(packed_add(&ring, i == 0 ? 5 : 1, 1, i));
        virtqueue_driver_publish(&ring.queue);
        for (uintptr_t i = 0; i < 3; i++)
                good = good && packed_pop(t, &ring, &requests[i]);
        if (!good)
                return false;
        packed_push(&ring, requests[0].head, 64);
        return EXPECT_OK(virtqueue_driver_get(&ring.queue, done, 1, &count)) &&
               EXPECT_OK(packed_add(&ring, 2, 0, 3));
}

static void expect_broken(struct test *t, enum virtqueue_fault_reason reason, uint32_t value)
{
        struct virtqueue_driver *queue = &ring.queue;
        struct virtqueue_completion done[4];
        uint32_t count, cookies = 0;
        void *cookie;
        uint8_t before[256];
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_driver_get(queue, done, 4, &count));
        EXPECT_EQ(count, 0);
        EXPECT_EQ(queue->fault.reason, reason);
        EXPECT_EQ(queue->fault.value, value);
        EXPECT_EQ(queue->fault.used_index, 6); /* where the bad one stands */
        memcpy(before, ring.config.descriptors.va, sizeof(before));
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, packed_add(&ring, 1, 0, 9));
        virtqueue_driver_publish(queue);
        EXPECT_FALSE(virtqueue_driver_kick_needed(queue));
        EXPECT_TRUE(virtqueue_driver_ask(queue, 1));
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_driver_get(queue, done, 4, &count));
        EXPECT_BYTES_EQ(ring.config.descriptors.va, before, sizeof(before));
        EXPECT_TRUE(virtqueue_driver_valid(queue));
        for (uint32_t i = 0; i < 8 && virtqueue_driver_take_unused(queue, &cookie); i++)
                cookies |= 1u << (uintptr_t)cookie;
        EXPECT_EQ(cookies, 0xeu);
        virtqueue_driver_reset(queue);
        EXPECT_EQ(queue->fault.reason, VIRTQUEUE_FAULT_NONE);
}

static void expect_used_breaks(struct test *t, bool in_order)
{
        struct test_request requests[3];
        for (int which = 0; which < 6; which++) {
                REQUIRE_TRUE(hostile_init(t, in_order, requests));
                struct {
                        uint32_t id, bytes;
                        enum virtqueue_fault_reason reason;
                } cases[] = {
                        {16, 0, VIRTQUEUE_FAULT_ID_RANGE},
                        {0xffff, 0, VIRTQUEUE_FAULT_ID_RANGE},
                        {requests[0].head, 0, VIRTQUEUE_FAULT_ID_TWICE},
                        {15, 0, VIRTQUEUE_FAULT_ID_NOT_AVAILABLE},
                        {requests[1].head, 65, VIRTQUEUE_FAULT_LENGTH},
                        {requests[2].head, UINT32_MAX, VIRTQUEUE_FAULT_LENGTH},
                };
                if (!in_order && which == 2)
                        cases[2].reason = VIRTQUEUE_FAULT_ID_NOT_AVAILABLE; /* taken by chain 3 */
                packed_use(&ring, (uint16_t)cases[which].id, cases[which].bytes, 2);
                expect_broken(t, cases[which].reason,
                              which < 4 ? cases[which].id : cases[which].bytes);
        }
}

TEST(virtqueue_packed, hostile_entries)
{
        expect_used_breaks(t, false);
}

TEST(virtqueue_packed, hostile_entries_in_order)
{
        expect_used_breaks(t, true);
}

/* A length where nothing could be written, and the device insists that it wrote. */
TEST(virtqueue_packed, hostile_length_of_nothing)
{
        struct test_request request;
        struct virtqueue_completion done[1];
        uint32_t count;
        REQUIRE_TRUE(packed_init(t, &ring, SIZED(4)));
        REQUIRE_OK(packed_add(&ring, 1, 0, 0));
        virtqueue_driver_publish(&ring.queue);
        REQUIRE_TRUE(packed_pop(t, &ring, &request));
        packed_push(&ring, request.head, 1);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_driver_get(&ring.queue, done, 1, &count));
        EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_LENGTH);
        /* In a queue whose chains are all for reading nobody listens. */
        for (uint32_t in_order = 0; in_order < 2; in_order++) {
                REQUIRE_TRUE(packed_init(t, &ring, SIZED(4)));
                ring.config.lengths_ignored = true;
                ring.config.in_order = in_order;
                REQUIRE_OK(virtqueue_driver_init(&ring.queue, &ring.config));
                REQUIRE_OK(packed_add(&ring, 1, 0, 0));
                virtqueue_driver_publish(&ring.queue);
                REQUIRE_TRUE(packed_pop(t, &ring, &request));
                packed_push(&ring, request.head, UINT32_MAX);
                EXPECT_OK(virtqueue_driver_get(&ring.queue, done, 1, &count));
                EXPECT_EQ(done[0].written_bytes, 0);
        }
}

TEST(virtqueue_packed, hostile_id_twice)
{
        struct test_request requests[3];
        struct virtqueue_completion done[4];
        uint32_t count;
        REQUIRE_TRUE(hostile_init(t, false, requests));
        packed_push(&ring, requests[1].head, 64);
        packed_push(&ring, requests[1].head, 64);
        /* The first of the two is good and is handed out; the second ends it. */
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_driver_get(&ring.queue, done, 4, &count));
        EXPECT_EQ(count, 1);
        EXPECT_EQ((uintptr_t)done[0].cookie, 1);
        EXPECT_EQ(ring.queue.fault.reason, VIRTQUEUE_FAULT_ID_TWICE);
        EXPECT_EQ(ring.queue.fault.used_index, 8);
        EXPECT_EQ(virtqueue_driver_in_flight(&ring.queue), 1);
}

TEST(virtqueue_packed, hostile_id_not_published)
{
        struct test_request requests[3];
        REQUIRE_TRUE(hostile_init(t, true, requests));
        packed_use(&ring, 3, 0, 2);
        expect_broken(t, VIRTQUEUE_FAULT_ID_NOT_AVAILABLE, 3);
}

/* Nothing in the ring's memory is believed: a device that overwrites all descriptors changes
 * nothing for us but what it says is used. */
TEST(virtqueue_packed, hostile_scribble)
{
        struct test_request requests[3];
        struct virtqueue_completion done[4];
        uint32_t count;
        REQUIRE_TRUE(hostile_init(t, false, requests));
        memset(ring.config.descriptors.va, 0x25, 16 * 16); /* flags: neither used nor available */
        memset(ring.config.avail.va, 0x5a, 4);
        packed_push(&ring, requests[2].head, 64);
        packed_push(&ring, requests[1].head, 1);
        REQUIRE_OK(virtqueue_driver_get(&ring.queue, done, 4, &count));
        EXPECT_EQ(count, 2);
        EXPECT_EQ((uintptr_t)done[0].cookie, 2);
        EXPECT_EQ((uintptr_t)done[1].cookie, 1);
        EXPECT_EQ(ring.queue.free_count, 14);
        virtqueue_driver_publish(&ring.queue);
        EXPECT_EQ(flags_of(10), 0x81); /* the head of chain 3, held back until now */
        for (uint32_t i = 0; i < 7; i++)
                EXPECT_OK(packed_add(&ring, 1, 1, i));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, packed_add(&ring, 1, 0, 0));
}
