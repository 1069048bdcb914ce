/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of the device's end of a packed ring: with a driver that keeps the rules, and with one that
 * breaks each in turn. Descriptors are written as the standard has them, by hand. */
#include "tests/host/virtqueue_device_rig.h"

#define SIZE 5u
#define AVAIL_FLAG 0x80
#define USED_FLAG 0x8000
#define TABLE_DEV (RIG_DATA_DEV + 512)
#define X RIG_DATA_DEV

/* The driver's side of a packed ring in the memory of a rig; its rings are those of a split one,
 * used otherwise: the words for events begin the areas for avail and used. */
static struct rig rig;

static bool open_packed(struct test *t, uint32_t size, bool event_index)
{
        rig_prepare(t, &rig, 8);
        rig.config.size = size;
        rig.config.packed = true;
        rig.config.event_index = event_index;
        return EXPECT_OK(virtqueue_device_init(&rig.device, &rig.config));
}

static struct virtqueue_packed_descriptor *packed_ring(void)
{
        return (struct virtqueue_packed_descriptor *)(void *)rig.descriptors;
}

static void describe(uint32_t offset, uint64_t dev, uint32_t bytes, uint32_t id_and_flags)
{
        packed_ring()[offset] = (struct virtqueue_packed_descriptor){
                .address = dev,
                .bytes = bytes,
                .id = (uint16_t)(id_and_flags >> 16),
                .flags = (uint16_t)id_and_flags,
        };
}

static uint32_t id(uint32_t which, uint32_t flags)
{
        return which << 16 | flags;
}

/* Chains of one on the first lap: offset i has id i. */
static void offer_ones(uint32_t first, uint32_t count)
{
        for (uint32_t i = first; i < first + count; i++)
                describe(i, X + 8 * i, 8, id(i, AVAIL_FLAG | RIG_WRITE));
}

TEST(virtqueue_device_packed, init_refuses)
{
        REQUIRE_TRUE(open_packed(t, SIZE, false));
        struct virtqueue_device_config bad[6];
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
                bad[i] = rig.config;
        bad[0].size = 32769;
        bad[1].size = 0;
        bad[2].driver_dev += 2;
        bad[3].device_dev += 2;
        bad[4].resume = true;
        bad[4].state = (struct virtqueue_device_state){SIZE, 0};
        bad[5].resume = true;
        bad[5].state = (struct virtqueue_device_state){0, 0x8000 | SIZE};
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, virtqueue_device_init(&rig.device, &bad[i]));
}

TEST(virtqueue_device_packed, chains_over_the_end)
{
        REQUIRE_TRUE(open_packed(t, SIZE, false));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, rig_pop(&rig));
        describe(1, X + 100, 20, id(3, AVAIL_FLAG | RIG_NEXT | RIG_WRITE));
        describe(2, X + 200, 30, id(4, AVAIL_FLAG | RIG_WRITE));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, rig_pop(&rig)); /* the head decides */
        describe(0, X, 10, id(2, AVAIL_FLAG | RIG_NEXT));
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.id, 4); /* of the last */
        EXPECT_EQ(rig.request.readable_count, 1);
        EXPECT_EQ(rig.request.writable_count, 2);
        EXPECT_EQ(rig.request.readable_bytes, 10);
        EXPECT_EQ(rig.request.writable_bytes, 50);
        EXPECT_EQ(rig.pieces[1].dev, X + 100);
        EXPECT_EQ(rig.device.entries_in_flight, 3);
        virtqueue_device_push(&rig.device, 4, 33);
        EXPECT_EQ(packed_ring()[0].flags, AVAIL_FLAG | RIG_NEXT);
        virtqueue_device_publish(&rig.device);
        EXPECT_EQ(packed_ring()[0].flags, AVAIL_FLAG | USED_FLAG | RIG_WRITE);
        EXPECT_EQ(packed_ring()[0].id, 4);
        EXPECT_EQ(packed_ring()[0].bytes, 33);
        /* 3, 4 and, on the other lap, 0. */
        describe(3, X, 1, id(1, AVAIL_FLAG | RIG_NEXT));
        describe(4, X, 2, id(1, AVAIL_FLAG | RIG_NEXT));
        describe(0, X, 3, id(1, USED_FLAG));
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_EQ(rig.request.readable_bytes, 6);
        EXPECT_EQ(rig.request.position, 0x8003);
        virtqueue_device_push(&rig.device, 1, 0);
        virtqueue_device_publish(&rig.device);
        EXPECT_EQ(packed_ring()[3].flags, AVAIL_FLAG | USED_FLAG); /* nothing written: no WRITE */
        struct virtqueue_device_state state = virtqueue_device_save(&rig.device);
        EXPECT_EQ(state.available, 1); /* offset 1, wrap counter 0 */
        EXPECT_EQ(state.used, 1);
        describe(1, X, 9, id(0, AVAIL_FLAG)); /* of the lap before */
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, rig_pop(&rig));
        describe(1, X, 9, id(0, USED_FLAG));
        REQUIRE_OK(rig_pop(&rig));
        virtqueue_device_push(&rig.device, 0, 0);
        virtqueue_device_publish(&rig.device);
        EXPECT_EQ(packed_ring()[1].flags, 0);
        EXPECT_TRUE(virtqueue_device_valid(&rig.device));
}

/* What lies behind the ring looks like more chains, and is no part of it: pops in one batch what
 * is left of the lap, chains of `length` descriptors behind one of two. */
static void pop_to_the_end(struct test *t, uint32_t length, uint32_t write)
{
        struct virtqueue_request requests[8] = {{0}};
        struct virtqueue_request_batch batch = {.requests = requests, .requests_max = 8,
                                                .elements = rig.pieces,
                                                .elements_max = RIG_PIECES_MAX};
        REQUIRE_TRUE(open_packed(t, 6, false));
        for (uint32_t i = 0; i < 8; i++) {
                bool next = i < 2 ? i == 0 : (i - 2) % length != length - 1;
                describe(i, X + 8 * i, 8, id(i % 6, AVAIL_FLAG | write | (next ? RIG_NEXT : 0)));
        }
        REQUIRE_OK(rig_pop(&rig));
        virtqueue_device_push(&rig.device, rig.request.id, 0);
        virtqueue_device_publish(&rig.device);
        REQUIRE_OK(virtqueue_device_pop_batch(&rig.device, &batch));
        EXPECT_EQ(batch.count, 4 / length);
        EXPECT_EQ(rig.device.next_popped.offset, 0);
        EXPECT_FALSE(rig.device.next_popped.wrap);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, virtqueue_device_pop_batch(&rig.device, &batch));
        EXPECT_EQ(rig.device.fault.reason, VIRTQUEUE_DEVICE_FAULT_NONE);
}

TEST(virtqueue_device_packed, nothing_behind_the_end)
{
        for (uint32_t length = 1; length <= 4; length *= 2) {
                pop_to_the_end(t, length, 0);
                pop_to_the_end(t, length, RIG_WRITE);
        }
}

/* A chain that goes on behind the end goes on at the beginning, and nothing is available there. */
TEST(virtqueue_device_packed, half_a_chain_at_the_end)
{
        struct virtqueue_request requests[8] = {{0}};
        struct virtqueue_request_batch batch = {.requests = requests, .requests_max = 8,
                                                .elements = rig.pieces,
                                                .elements_max = RIG_PIECES_MAX};
        REQUIRE_TRUE(open_packed(t, 6, false));
        for (uint32_t i = 0; i < 8; i++)
                describe(i, X, 8,
                         id(i % 6, AVAIL_FLAG | (i != 1 && i != 3 && i < 6 ? RIG_NEXT : 0)));
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_device_pop_batch(&rig.device, &batch));
        EXPECT_EQ(batch.count, 2);
        EXPECT_EQ(rig.device.fault.reason, VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN);
        EXPECT_EQ(rig.device.fault.value, 0);
}

/* Out of order, one publication: the driver sees nothing before the first one's flags. */
TEST(virtqueue_device_packed, back_in_any_order)
{
        REQUIRE_TRUE(open_packed(t, SIZE, false));
        offer_ones(0, 4);
        for (uint32_t i = 0; i < 4; i++) {
                REQUIRE_OK(rig_pop(&rig));
                EXPECT_EQ(rig.request.id, i);
                EXPECT_EQ(rig.request.writable_bytes, 8);
        }
        virtqueue_device_push(&rig.device, 2, 1);
        virtqueue_device_push(&rig.device, 0, 2);
        EXPECT_EQ(packed_ring()[0].flags, AVAIL_FLAG | RIG_WRITE);
        EXPECT_EQ(packed_ring()[1].flags, AVAIL_FLAG | USED_FLAG | RIG_WRITE);
        EXPECT_EQ(packed_ring()[1].id, 0);
        EXPECT_EQ(packed_ring()[1].bytes, 2);
        virtqueue_device_publish(&rig.device);
        EXPECT_EQ(packed_ring()[0].id, 2);
        EXPECT_EQ(packed_ring()[0].bytes, 1);
        EXPECT_EQ(virtqueue_device_in_flight(&rig.device), 2);
        EXPECT_EQ(rig.device.entries_in_flight, 2);
}

TEST(virtqueue_device_packed, tables)
{
        struct virtqueue_packed_descriptor table[3] = {
                {X, 10, 77, 0}, {X + 10, 20, 88, RIG_NEXT}, {X + 30, 30, 99, RIG_WRITE}};
        static const uint64_t places[] = {TABLE_DEV, X + PAGE_BYTES - 20};
        REQUIRE_TRUE(open_packed(t, SIZE, false));
        for (uint32_t place = 0; place < 2; place++) {
                for (uint32_t i = 0; i < sizeof(table); i++)
                        *rig_at(&rig, places[place] + i) = ((uint8_t *)table)[i];
                describe(place, places[place], sizeof(table),
                         id(3, AVAIL_FLAG | RIG_INDIRECT | RIG_WRITE));
                REQUIRE_OK(rig_pop(&rig));
                EXPECT_EQ(rig.request.id, 3);
                EXPECT_EQ(rig.request.readable_count, 2);
                EXPECT_EQ(rig.request.writable_count, 1);
                EXPECT_EQ(rig.request.readable_bytes, 30);
                EXPECT_EQ(rig.request.writable_bytes, 30);
                EXPECT_EQ(rig.device.entries_in_flight, 1);
                virtqueue_device_push(&rig.device, 3, 30);
        }
}

TEST(virtqueue_device_packed, unpop)
{
        struct virtqueue_request requests[3];
        struct virtqueue_element pieces[3][2];
        REQUIRE_TRUE(open_packed(t, SIZE, false));
        describe(0, X, 1, id(0, AVAIL_FLAG));
        describe(1, X, 1, id(1, AVAIL_FLAG | RIG_NEXT));
        describe(2, X, 1, id(1, AVAIL_FLAG));
        describe(3, X, 1, id(2, AVAIL_FLAG | RIG_NEXT));
        describe(4, X, 1, id(2, AVAIL_FLAG));
        for (uint32_t i = 0; i < 3; i++) {
                requests[i] = (struct virtqueue_request){.elements = pieces[i], .elements_max = 2};
                REQUIRE_OK(virtqueue_device_pop(&rig.device, &requests[i]));
        }
        EXPECT_EQ(rig.device.next_popped.offset, 0);
        virtqueue_device_unpop(&rig.device, &requests[2]);
        virtqueue_device_unpop(&rig.device, &requests[1]);
        EXPECT_EQ(rig.device.entries_in_flight, 1);
        EXPECT_EQ(virtqueue_device_in_flight(&rig.device), 1);
        for (uint32_t i = 1; i < 3; i++) {
                REQUIRE_OK(rig_pop(&rig));
                EXPECT_EQ(rig.request.id, i);
        }
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, rig_pop(&rig));
}

TEST(virtqueue_device_packed, goes_on_elsewhere)
{
        struct virtqueue_device successor;
        REQUIRE_TRUE(open_packed(t, SIZE, false));
        offer_ones(0, 4);
        for (uint32_t i = 0; i < 3; i++) {
                REQUIRE_OK(rig_pop(&rig));
                virtqueue_device_push(&rig.device, (uint16_t)i, 1);
        }
        virtqueue_device_publish(&rig.device);
        rig.config.resume = true;
        rig.config.state = virtqueue_device_save(&rig.device);
        EXPECT_EQ(rig.config.state.available, 0x8003);
        EXPECT_EQ(rig.config.state.used, 0x8003);
        REQUIRE_OK(virtqueue_device_init(&successor, &rig.config));
        EXPECT_TRUE(virtqueue_device_signal_needed(&successor)); /* the first may owe one */
        EXPECT_FALSE(virtqueue_device_signal_needed(&successor));
        REQUIRE_OK(virtqueue_device_pop(&successor, &rig.request));
        EXPECT_EQ(rig.request.id, 3);
        virtqueue_device_push(&successor, 3, 1);
        virtqueue_device_publish(&successor);
        EXPECT_EQ(packed_ring()[3].flags, AVAIL_FLAG | USED_FLAG | RIG_WRITE);
}

TEST(virtqueue_device_packed, empty_pieces)
{
        REQUIRE_TRUE(open_packed(t, SIZE, false));
        describe(0, 5, 0, id(0, AVAIL_FLAG));
        describe(1, 0, 0, id(1, AVAIL_FLAG | RIG_WRITE));
        describe(2, UINT64_MAX - 7, 8, id(2, AVAIL_FLAG)); /* where addresses end */
        for (uint32_t i = 0; i < 3; i++) {
                REQUIRE_OK(rig_pop(&rig));
                EXPECT_EQ(rig.request.id, i);
                EXPECT_EQ(rig.request.readable_count + rig.request.writable_count, i == 2);
        }
        EXPECT_EQ(rig.request.readable_bytes, 8);
}

/* ---- signals ---- */

static bool signal_after(struct test *t, uint32_t first, uint32_t count)
{
        offer_ones(first, count);
        for (uint32_t i = 0; i < count; i++) {
                EXPECT_OK(rig_pop(&rig));
                virtqueue_device_push(&rig.device, rig.request.id, 0);
        }
        virtqueue_device_publish(&rig.device);
        return virtqueue_device_signal_needed(&rig.device);
}

TEST(virtqueue_device_packed, signals)
{
        REQUIRE_TRUE(open_packed(t, 8, true));
        uint32_t *event = (uint32_t *)(void *)rig.avail;
        EXPECT_FALSE(virtqueue_device_signal_needed(&rig.device));
        EXPECT_TRUE(signal_after(t, 0, 1));
        EXPECT_FALSE(virtqueue_device_signal_needed(&rig.device));
        *event = 0x10000;
        EXPECT_FALSE(signal_after(t, 1, 1));
        *event = 0x28003;
        EXPECT_FALSE(signal_after(t, 2, 1));
        EXPECT_TRUE(signal_after(t, 3, 3)); /* the batch's first */
        *event = 0x28005;
        EXPECT_FALSE(signal_after(t, 6, 1)); /* passed */
        *event = 0x28007;
        EXPECT_TRUE(signal_after(t, 7, 1)); /* at the end of the lap */
        /* One chain, three positions; the middle one is asked for. */
        REQUIRE_TRUE(open_packed(t, 8, true));
        *(uint32_t *)(void *)rig.avail = 0x28001;
        describe(0, X, 1, id(0, AVAIL_FLAG | RIG_NEXT));
        describe(1, X, 1, id(0, AVAIL_FLAG | RIG_NEXT));
        describe(2, X, 1, id(0, AVAIL_FLAG));
        REQUIRE_OK(rig_pop(&rig));
        virtqueue_device_push(&rig.device, 0, 0);
        virtqueue_device_publish(&rig.device);
        EXPECT_TRUE(virtqueue_device_signal_needed(&rig.device));
        /* What is pushed and not published does not move the position that is judged. */
        REQUIRE_TRUE(open_packed(t, 8, true));
        event = (uint32_t *)(void *)rig.avail;
        *event = 0x28002;
        offer_ones(0, 3);
        for (uint32_t i = 0; i < 3; i++)
                REQUIRE_OK(rig_pop(&rig));
        virtqueue_device_push(&rig.device, 0, 0);
        virtqueue_device_publish(&rig.device);
        virtqueue_device_push(&rig.device, 1, 0);
        virtqueue_device_push(&rig.device, 2, 0);
        EXPECT_FALSE(virtqueue_device_signal_needed(&rig.device));
        virtqueue_device_publish(&rig.device);
        EXPECT_TRUE(virtqueue_device_signal_needed(&rig.device));
}

TEST(virtqueue_device_packed, notifications)
{
        for (int event_index = 0; event_index < 2; event_index++) {
                REQUIRE_TRUE(open_packed(t, SIZE, event_index != 0));
                uint32_t *word = (uint32_t *)(void *)rig.used;
                EXPECT_FALSE(virtqueue_device_ask(&rig.device));
                EXPECT_EQ(*word, event_index ? 0x28000u : 0x8000u);
                virtqueue_device_mute(&rig.device);
                EXPECT_EQ(*word >> 16, 1u);
                offer_ones(0, 1);
                EXPECT_TRUE(virtqueue_device_ask(&rig.device)); /* to be noticed now or never */
                REQUIRE_OK(rig_pop(&rig));
                EXPECT_FALSE(virtqueue_device_ask(&rig.device));
                EXPECT_EQ(*word, event_index ? 0x28001u : 0x8001u);
        }
}

/* ---- a driver that breaks the rules ---- */

struct rule {
        struct virtqueue_packed_descriptor ring[3];
        struct {
                enum virtqueue_device_fault_reason reason;
                uint64_t value, limit;
        } expected;
};

#define A AVAIL_FLAG
#define N (AVAIL_FLAG | RIG_NEXT)

static const struct rule rules[] = {
        {{{X, 8, SIZE, A}}, {VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE, SIZE, SIZE}},
        {{{X, 8, 0, N}, {X, 8, 0xffff, A}}, {VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE, 0xffff, SIZE}},
        {{{X, 8, 0, N}, {X, 8, 0, 0}}, {VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN, 1, SIZE}},
        {{{X, 8, 0, N}, {X, 8, 0, N}, {X, 8, 0, A | USED_FLAG}},
         {VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN, 2, SIZE}},
        {{{X, 8, 0, N | RIG_WRITE}, {X + 1, 8, 0, A}}, {VIRTQUEUE_DEVICE_FAULT_ORDER, X + 1, 0}},
        {{{UINT64_MAX, 2, 0, A}}, {VIRTQUEUE_DEVICE_FAULT_WRAP, UINT64_MAX, 2}},
        {{{X, UINT32_MAX, 0, N}, {X, 1, 0, A}},
         {VIRTQUEUE_DEVICE_FAULT_TOTAL, 0x100000000, UINT32_MAX}},
        {{{TABLE_DEV, 16, 0, N | RIG_INDIRECT}, {X, 8, 0, A}},
         {VIRTQUEUE_DEVICE_FAULT_INDIRECT_NEXT, TABLE_DEV, 0}},
        {{{X, 8, 0, N}, {TABLE_DEV, 16, 0, A | RIG_INDIRECT}},
         {VIRTQUEUE_DEVICE_FAULT_INDIRECT_NEXT, TABLE_DEV, 0}},
        {{{TABLE_DEV, 24, 0, A | RIG_INDIRECT}},
         {VIRTQUEUE_DEVICE_FAULT_INDIRECT_LENGTH, 24, SIZE * 16}},
        {{{TABLE_DEV, 96, 0, A | RIG_INDIRECT}},
         {VIRTQUEUE_DEVICE_FAULT_INDIRECT_LENGTH, 96, SIZE * 16}},
        {{{TABLE_DEV, 48, 0, A | RIG_INDIRECT}}, /* the table has INDIRECT in its second */
         {VIRTQUEUE_DEVICE_FAULT_INDIRECT_NESTED, 1, 3}},
        {{{0x1000, 16, 0, A | RIG_INDIRECT}}, {VIRTQUEUE_DEVICE_FAULT_UNMAPPED, 0x1000, 0}},
};

TEST(virtqueue_device_packed, rules)
{
        struct virtqueue_packed_descriptor table[2] = {{X, 8, 0, 0}, {X, 8, 0, RIG_INDIRECT}};
        REQUIRE_TRUE(open_packed(t, SIZE, false));
        memcpy(rig_at(&rig, TABLE_DEV), table, sizeof(table));
        for (size_t i = 0; i < ARRAY_COUNT(rules) && !test_has_failed(t); i++) {
                uint8_t before[16 * SIZE];
                REQUIRE_OK(virtqueue_device_init(&rig.device, &rig.config));
                memset(rig.descriptors, 0, 16 * SIZE);
                memcpy(rig.descriptors, rules[i].ring, sizeof(rules[i].ring));
                memcpy(before, rig.descriptors, sizeof(before));
                for (int again = 0; again < 2; again++) {
                        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, rig_pop(&rig));
                        EXPECT_EQ(rig.device.fault.reason, rules[i].expected.reason);
                        EXPECT_EQ(rig.device.fault.value, rules[i].expected.value);
                        EXPECT_EQ(rig.device.fault.limit, rules[i].expected.limit);
                        virtqueue_device_push(&rig.device, 0, 0);
                        virtqueue_device_publish(&rig.device);
                        EXPECT_FALSE(virtqueue_device_signal_needed(&rig.device));
                        EXPECT_TRUE(virtqueue_device_ask(&rig.device));
                        virtqueue_device_mute(&rig.device);
                        EXPECT_EQ(*(uint32_t *)(void *)rig.used, 0);
                }
                EXPECT_BYTES_EQ(rig.descriptors, before, sizeof(before));
                EXPECT_TRUE(virtqueue_device_valid(&rig.device));
                if (test_has_failed(t))
                        test_log(t, "rule %u", (unsigned)i);
        }
}

TEST(virtqueue_device_packed, rule_id_twice)
{
        REQUIRE_TRUE(open_packed(t, SIZE, false));
        describe(0, X, 8, id(3, A));
        describe(1, X, 8, id(3, A));
        REQUIRE_OK(rig_pop(&rig));
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, rig_pop(&rig));
        EXPECT_EQ(rig.device.fault.reason, VIRTQUEUE_DEVICE_FAULT_HEAD_TWICE);
        EXPECT_EQ(rig.device.fault.value, 3);
}

/* What was pushed and not published when the driver breaks a rule is not shown to it any more. */
TEST(virtqueue_device_packed, pushed_before_a_fault)
{
        uint8_t before[16 * SIZE];
        REQUIRE_TRUE(open_packed(t, SIZE, false));
        describe(0, X, 8, id(3, A));
        describe(1, X, 8, id(SIZE, A));
        REQUIRE_OK(rig_pop(&rig));
        virtqueue_device_push(&rig.device, 3, 0);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, rig_pop(&rig));
        EXPECT_EQ(rig.device.fault.reason, VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE);
        memcpy(before, rig.descriptors, sizeof(before));
        virtqueue_device_publish(&rig.device);
        EXPECT_BYTES_EQ(rig.descriptors, before, sizeof(before));
        EXPECT_EQ(rig.device.published, 0);
}

TEST(virtqueue_device_packed, rule_many_pieces)
{
        REQUIRE_TRUE(open_packed(t, SIZE, false));
        describe(0, X, 8, id(0, N));
        describe(1, X, 8, id(0, N));
        describe(2, X, 8, id(0, A));
        rig.request.elements_max = 2;
        rig.pieces[2].dev = 77;
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, rig_pop(&rig));
        EXPECT_EQ(rig.device.fault.reason, VIRTQUEUE_DEVICE_FAULT_MANY_PIECES);
        EXPECT_EQ(rig.device.fault.limit, 2);
        EXPECT_EQ(rig.pieces[2].dev, 77);
}

/* Slots whose chains are in flight, made available again; and a chain without an end. */
TEST(virtqueue_device_packed, rule_restamped)
{
        REQUIRE_TRUE(open_packed(t, SIZE, false));
        for (uint32_t i = 0; i < 4; i++)
                describe(i, X, 8, id(i, A));
        for (uint32_t i = 0; i < 4; i++)
                REQUIRE_OK(rig_pop(&rig));
        describe(4, X, 8, id(4, N));
        describe(0, X, 8, id(4, USED_FLAG));
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, rig_pop(&rig));
        EXPECT_EQ(rig.device.fault.reason, VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN);
        EXPECT_EQ(rig.device.fault.value, 4);
        EXPECT_EQ(rig.device.entries_in_flight, 4);

        REQUIRE_TRUE(open_packed(t, SIZE, false));
        for (uint32_t i = 0; i < SIZE; i++)
                describe(i, X, i % 2 * 8, id(0, N)); /* and then the first, not of the other lap */
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, rig_pop(&rig));
        EXPECT_EQ(rig.device.fault.reason, VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN);
        EXPECT_EQ(rig.device.fault.value, 0);
}
