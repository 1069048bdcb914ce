/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A driver that breaks each rule of the split ring in turn, and what the device's end makes of it:
 * the right name, for good, with nothing written. */
#include "tests/host/virtqueue_device_rig.h"

#define SIZE 8u
#define TABLE_DEV (RIG_DATA_DEV + 512)

struct expected {
        enum virtqueue_device_fault_reason reason;
        uint64_t value, limit;
};

/* The queue is broken with `expected`; every call says so, repeatedly, and the driver's memory
 * stays as it is. */
static void expect_latched(struct test *t, struct rig *rig, struct expected expected)
{
        struct virtqueue_device *device = &rig->device;
        uint8_t before[6 + 8 * SIZE];
        EXPECT_EQ(device->fault.reason, expected.reason);
        EXPECT_EQ(device->fault.value, expected.value);
        EXPECT_EQ(device->fault.limit, expected.limit);
        memcpy(before, rig->used, sizeof(before));
        rig_describe(&rig->descriptors[0], RIG_DATA_DEV, 8, 0); /* a good one now: too late */
        for (int i = 0; i < 2; i++) {
                EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, rig_pop(rig));
                virtqueue_device_push(device, 0, 0);
                virtqueue_device_publish(device);
                EXPECT_FALSE(virtqueue_device_signal_needed(device));
                EXPECT_TRUE(virtqueue_device_ask(device));
                virtqueue_device_mute(device);
        }
        virtqueue_device_refuse(device, VIRTQUEUE_DEVICE_FAULT_REFUSED, 1, 2);
        EXPECT_EQ(device->fault.reason, expected.reason); /* the first one stays */
        EXPECT_BYTES_EQ(rig->used, before, sizeof(before));
        EXPECT_TRUE(virtqueue_device_valid(device));
        EXPECT_OK(virtqueue_device_init(device, &rig->config));
        EXPECT_EQ(device->fault.reason, VIRTQUEUE_DEVICE_FAULT_NONE);
}

static void expect_fault(struct test *t, struct rig *rig, struct expected expected)
{
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, rig_pop(rig));
        expect_latched(t, rig, expected);
}

TEST(virtqueue_device, rule_names)
{
        for (unsigned i = 0; i <= VIRTQUEUE_DEVICE_FAULT_REFUSED; i++)
                EXPECT_NE(virtqueue_device_fault_name((enum virtqueue_device_fault_reason)i)[0],
                          '?');
        EXPECT_STR_EQ(virtqueue_device_fault_name((enum virtqueue_device_fault_reason)1000), "?");
}

/* ---- the avail ring ---- */

TEST(virtqueue_device, rule_index_jump)
{
        struct rig rig;
        static const uint16_t jumps[] = {SIZE + 1, 0x8000, 0xffff};
        for (size_t i = 0; i < ARRAY_COUNT(jumps); i++) {
                REQUIRE_TRUE(rig_init(t, &rig, SIZE));
                rig.avail->index = jumps[i];
                expect_fault(t, &rig,
                             (struct expected){VIRTQUEUE_DEVICE_FAULT_INDEX_JUMP, jumps[i], SIZE});
        }
        REQUIRE_TRUE(rig_init(t, &rig, SIZE));
        rig.avail->index = SIZE; /* the most that is possible */
        rig_describe(&rig.descriptors[0], RIG_DATA_DEV, 8, 0);
        EXPECT_OK(rig_pop(&rig));
        /* One is in flight and seven wait: no room for one more, whichever call finds out. */
        rig.avail->index = SIZE + 1;
        EXPECT_TRUE(virtqueue_device_ask(&rig.device));
        expect_latched(t, &rig, (struct expected){VIRTQUEUE_DEVICE_FAULT_INDEX_JUMP, 1, 0});
}

TEST(virtqueue_device, rule_head_range)
{
        static const uint16_t heads[] = {SIZE, 0x7fff, 0xffff};
        struct rig rig;
        for (size_t i = 0; i < ARRAY_COUNT(heads); i++) {
                REQUIRE_TRUE(rig_init(t, &rig, SIZE));
                rig_offer(&rig, heads[i]);
                expect_fault(t, &rig,
                             (struct expected){VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE, heads[i], SIZE});
        }
}

TEST(virtqueue_device, rule_head_twice)
{
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, SIZE));
        rig_describe(&rig.descriptors[3], RIG_DATA_DEV, 8, 0);
        for (int i = 0; i < 3; i++) {
                rig_offer(&rig, 3);
                REQUIRE_OK(rig_pop(&rig));
                virtqueue_device_push(&rig.device, 3, 0); /* given back in between: no offence */
        }
        rig_offer(&rig, 3);
        rig_offer(&rig, 3);
        REQUIRE_OK(rig_pop(&rig));
        expect_fault(t, &rig, (struct expected){VIRTQUEUE_DEVICE_FAULT_HEAD_TWICE, 3, SIZE});
}

/* ---- chains in the descriptor table: rules_of_chains[] says what 0 -> 1 -> 2 looks like ---- */

struct rule_of_chains {
        struct virtqueue_descriptor chain[3];
        struct expected expected;
};

#define D(address_, bytes_, flags_, next_) \
        {.address = (address_), .bytes = (bytes_), .flags = (flags_), .next = (next_)}
#define X RIG_DATA_DEV

static const struct rule_of_chains rules_of_chains[] = {
        {{D(X, 8, RIG_NEXT, SIZE)}, {VIRTQUEUE_DEVICE_FAULT_NEXT_RANGE, SIZE, SIZE}},
        {{D(X, 8, RIG_NEXT, 1), D(X, 8, RIG_NEXT, 0xffff)},
         {VIRTQUEUE_DEVICE_FAULT_NEXT_RANGE, 0xffff, SIZE}},
        {{D(X, 8, RIG_NEXT, 0)}, {VIRTQUEUE_DEVICE_FAULT_LONG_CHAIN, SIZE, SIZE}},
        {{D(X, 8, RIG_NEXT, 1), D(X, 8, RIG_NEXT, 2), D(X, 8, RIG_NEXT, 1)},
         {VIRTQUEUE_DEVICE_FAULT_LONG_CHAIN, SIZE, SIZE}},
        {{D(X, 0, RIG_NEXT, 0)}, {VIRTQUEUE_DEVICE_FAULT_LONG_CHAIN, SIZE, SIZE}}, /* empty ones */
        {{D(X, 8, RIG_NEXT | RIG_WRITE, 1), D(X + 1, 8, 0, 0)},
         {VIRTQUEUE_DEVICE_FAULT_ORDER, X + 1, 0}},
        {{D(X, 0, RIG_NEXT | RIG_WRITE, 1), D(X + 1, 0, 0, 0)}, /* also where nothing is in them */
         {VIRTQUEUE_DEVICE_FAULT_ORDER, X + 1, 0}},
        {{D(UINT64_MAX - 6, 8, 0, 0)}, {VIRTQUEUE_DEVICE_FAULT_WRAP, UINT64_MAX - 6, 8}},
        {{D(X, 8, RIG_NEXT, 1), D(2, UINT32_MAX, RIG_NEXT, 2), D(UINT64_MAX, 2, RIG_WRITE, 0)},
         {VIRTQUEUE_DEVICE_FAULT_WRAP, UINT64_MAX, 2}},
        {{D(X, UINT32_MAX, RIG_NEXT, 1), D(X, 1, 0, 0)},
         {VIRTQUEUE_DEVICE_FAULT_TOTAL, 0x100000000, UINT32_MAX}},
        {{D(X, 0xc0000000, RIG_NEXT, 1), D(X, 0xc0000000, RIG_WRITE, 0)},
         {VIRTQUEUE_DEVICE_FAULT_TOTAL, 0x180000000, UINT32_MAX}},
        {{D(TABLE_DEV, 0, RIG_INDIRECT, 0)},
         {VIRTQUEUE_DEVICE_FAULT_INDIRECT_LENGTH, 0, SIZE * 16}},
        {{D(TABLE_DEV, 24, RIG_INDIRECT, 0)},
         {VIRTQUEUE_DEVICE_FAULT_INDIRECT_LENGTH, 24, SIZE * 16}},
        {{D(TABLE_DEV, SIZE * 16 + 16, RIG_INDIRECT, 0)},
         {VIRTQUEUE_DEVICE_FAULT_INDIRECT_LENGTH, SIZE * 16 + 16, SIZE * 16}},
        {{D(TABLE_DEV, 16, RIG_INDIRECT | RIG_NEXT, 1), D(X, 8, 0, 0)},
         {VIRTQUEUE_DEVICE_FAULT_INDIRECT_NEXT, TABLE_DEV, 0}},
        {{D(UINT64_MAX - 14, 16, RIG_INDIRECT, 0)},
         {VIRTQUEUE_DEVICE_FAULT_WRAP, UINT64_MAX - 14, 16}},
        {{D(0x1000, 16, RIG_INDIRECT, 0)}, {VIRTQUEUE_DEVICE_FAULT_UNMAPPED, 0x1000, 0}},
        {{D(X + RIG_DATA_BYTES - 8, 16, RIG_INDIRECT, 0)}, /* half of the entry is there */
         {VIRTQUEUE_DEVICE_FAULT_UNMAPPED, X + RIG_DATA_BYTES - 8, 0}},
};

TEST(virtqueue_device, rules_of_chains)
{
        struct rig rig;
        rig_prepare(t, &rig, SIZE);
        for (size_t i = 0; i < ARRAY_COUNT(rules_of_chains); i++) {
                rig.avail_index = rig.avail->index = 0;
                REQUIRE_OK(virtqueue_device_init(&rig.device, &rig.config));
                memcpy(rig.descriptors, rules_of_chains[i].chain, sizeof(rules_of_chains[i].chain));
                rig_offer(&rig, 0);
                expect_fault(t, &rig, rules_of_chains[i].expected);
                if (test_has_failed(t)) {
                        test_log(t, "rule %u", (unsigned)i);
                        return;
                }
        }
}

/* ---- chains in a table: the same, of entries ---- */

static const struct rule_of_chains rules_of_tables[] = {
        {{D(X, 8, RIG_NEXT, 3)}, {VIRTQUEUE_DEVICE_FAULT_NEXT_RANGE, 3, 3}}, /* 3 entries, not 8 */
        {{D(X, 8, RIG_NEXT, 1), D(X, 8, RIG_NEXT, 0)},
         {VIRTQUEUE_DEVICE_FAULT_LONG_CHAIN, SIZE, SIZE}},
        {{D(X, 0, RIG_NEXT, 0)}, {VIRTQUEUE_DEVICE_FAULT_LONG_CHAIN, SIZE, SIZE}},
        {{D(X, 8, RIG_NEXT, 2), D(0, 0, 0, 0), D(TABLE_DEV, 16, RIG_INDIRECT, 0)},
         {VIRTQUEUE_DEVICE_FAULT_INDIRECT_NESTED, 2, 3}},
        {{D(X, 8, RIG_NEXT | RIG_WRITE, 1), D(X + 1, 8, 0, 0)},
         {VIRTQUEUE_DEVICE_FAULT_ORDER, X + 1, 0}},
        {{D(UINT64_MAX, 2, 0, 0)}, {VIRTQUEUE_DEVICE_FAULT_WRAP, UINT64_MAX, 2}},
        {{D(X, UINT32_MAX, RIG_NEXT, 1), D(X, 1, RIG_WRITE, 0)},
         {VIRTQUEUE_DEVICE_FAULT_TOTAL, 0x100000000, UINT32_MAX}},
};

TEST(virtqueue_device, rules_of_tables)
{
        struct rig rig;
        rig_prepare(t, &rig, SIZE);
        for (size_t i = 0; i < ARRAY_COUNT(rules_of_tables); i++) {
                rig.avail_index = rig.avail->index = 0;
                REQUIRE_OK(virtqueue_device_init(&rig.device, &rig.config));
                memcpy(rig_at(&rig, TABLE_DEV), rules_of_tables[i].chain, 48);
                rig_describe(&rig.descriptors[0], TABLE_DEV, 48, RIG_INDIRECT);
                rig_offer(&rig, 0);
                expect_fault(t, &rig, rules_of_tables[i].expected);
                if (test_has_failed(t)) {
                        test_log(t, "rule %u", (unsigned)i);
                        return;
                }
        }
}

/* Descriptors before a table and entries in it count together. */
TEST(virtqueue_device, rule_long_chain_in_both)
{
        struct rig rig;
        struct virtqueue_descriptor table[SIZE];
        REQUIRE_TRUE(rig_init(t, &rig, SIZE));
        for (uint32_t i = 0; i < SIZE; i++)
                rig_describe(&table[i], X, 8, i + 1 < SIZE ? rig_next(i + 1, 0) : 0);
        memcpy(rig_at(&rig, TABLE_DEV), table, sizeof(table));
        rig_describe(&rig.descriptors[0], X, 8, rig_next(1, 0));
        rig_describe(&rig.descriptors[1], TABLE_DEV, sizeof(table), RIG_INDIRECT);
        rig_offer(&rig, 0);
        expect_fault(t, &rig, (struct expected){VIRTQUEUE_DEVICE_FAULT_LONG_CHAIN, SIZE, SIZE});
}

TEST(virtqueue_device, rule_indirect_off)
{
        struct rig rig;
        rig_prepare(t, &rig, SIZE);
        rig.config.indirect = false;
        REQUIRE_OK(virtqueue_device_init(&rig.device, &rig.config));
        rig_describe(&rig.descriptors[0], TABLE_DEV, 16, RIG_INDIRECT);
        rig_offer(&rig, 0);
        expect_fault(t, &rig,
                     (struct expected){VIRTQUEUE_DEVICE_FAULT_INDIRECT_OFF, TABLE_DEV, 0});
}

TEST(virtqueue_device, rule_many_pieces)
{
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, SIZE));
        rig_describe(&rig.descriptors[0], X, 8, rig_next(1, 0));
        rig_describe(&rig.descriptors[1], X, 0, rig_next(2, 0)); /* needs no room */
        rig_describe(&rig.descriptors[2], X, 8, RIG_WRITE);
        rig.request.elements_max = 2;
        rig_offer(&rig, 0);
        EXPECT_OK(rig_pop(&rig));
        virtqueue_device_push(&rig.device, 0, 0);
        rig.request.elements_max = 1;
        rig.pieces[1].dev = 77;
        rig_offer(&rig, 0);
        expect_fault(t, &rig, (struct expected){VIRTQUEUE_DEVICE_FAULT_MANY_PIECES, 1, 1});
        EXPECT_EQ(rig.pieces[1].dev, 77);
}

/* ---- in the walks ---- */

TEST(virtqueue_device, rule_unmapped)
{
        struct rig rig;
        struct virtqueue_chain_io io;
        struct virtqueue_chain_span span;
        uint8_t bytes[32];
        uint32_t done = 99;
        REQUIRE_TRUE(rig_init(t, &rig, SIZE));
        uint64_t end = X + RIG_DATA_BYTES;
        rig_describe(&rig.descriptors[0], end - 6, 10, rig_next(1, 0));
        rig_describe(&rig.descriptors[1], X, 10, RIG_WRITE);
        rig_offer(&rig, 0);
        REQUIRE_OK(rig_pop(&rig));
        virtqueue_chain_io_init(&io, &rig.device, &rig.request);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_chain_read(&io, bytes, 32, &done));
        EXPECT_EQ(done, 6); /* up to where it ends */
        for (int i = 0; i < 2; i++) { /* final, for both walks */
                EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_chain_read_next(&io, 1, &span));
                EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtqueue_chain_write_next(&io, 1, &span));
                EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                              virtqueue_chain_write(&io, bytes, 1, &done));
                EXPECT_EQ(done, 0);
        }
        (void)virtqueue_chain_finish(&io);
        expect_latched(t, &rig, (struct expected){VIRTQUEUE_DEVICE_FAULT_UNMAPPED, end, 0});
}

TEST(virtqueue_device, rule_of_the_device_itself)
{
        struct rig rig;
        REQUIRE_TRUE(rig_init(t, &rig, SIZE));
        virtqueue_device_refuse(&rig.device, VIRTQUEUE_DEVICE_FAULT_REFUSED, 12, 34);
        expect_latched(t, &rig, (struct expected){VIRTQUEUE_DEVICE_FAULT_REFUSED, 12, 34});
}

/* What changes behind our back after pop() changes nothing. */
TEST(virtqueue_device, scribbles_after_the_pop)
{
        struct rig rig;
        struct virtqueue_chain_io io;
        uint8_t bytes[16];
        uint32_t done;
        REQUIRE_TRUE(rig_init(t, &rig, SIZE));
        rig_describe(&rig.descriptors[0], X, 8, rig_next(1, 0));
        rig_describe(&rig.descriptors[1], X + 8, 8, RIG_WRITE);
        memcpy(rig_at(&rig, X), "abcdefgh", 8);
        rig_offer(&rig, 0);
        REQUIRE_OK(rig_pop(&rig));
        memset(rig.descriptors, 0xff, 16 * SIZE);
        memset(rig.used, 0xff, 6 + 8 * SIZE);
        for (uint32_t i = 0; i < SIZE; i++)
                rig.avail->ring[i] = 0xffff;
        virtqueue_chain_io_init(&io, &rig.device, &rig.request);
        REQUIRE_OK(virtqueue_chain_read(&io, bytes, 16, &done));
        EXPECT_EQ(done, 8);
        EXPECT_BYTES_EQ(bytes, "abcdefgh", 8);
        REQUIRE_OK(virtqueue_chain_write(&io, bytes, 8, &done));
        EXPECT_EQ(virtqueue_chain_finish(&io), VIRTQUEUE_CHAIN_COMPLETE);
        virtqueue_device_publish(&rig.device);
        EXPECT_EQ(rig.used->index, 1); /* not 0xffff + 1 */
        EXPECT_EQ(rig.used->ring[0].id, 0);
        EXPECT_EQ(rig.used->ring[0].bytes, 8);
}
