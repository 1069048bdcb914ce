/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of the ways in which the packed ring's device end takes chains of several descriptors: at a
 * ring's beginning a short plain one is taken in a run, so near its end that it never is the others
 * take it. Where a chain stands means nothing, so the same chain in either place must be popped
 * alike, with anything unusual anywhere in it, and every fault must be the same one. The split
 * ring's are in virtqueue_device_runs_test.c. Facts: Virtio 1.3, 2.8. */
#include "tests/expect.h"

#include "tests/host/virtqueue_device_rig.h"

#define SIZE 32u
#define NEAR_END (SIZE - 3) /* fewer are left than a run may take */
#define LENGTH_MAX 6u       /* more than one run */
#define PIECE_BYTES 100u
#define CHAIN_ID 7u
#define AVAIL_FLAG 0x0080
#define USED_FLAG 0x8000
#define WRAP 0x8000u /* of a position: on the first lap */

enum twist {
        TWIST_NONE,
        TWIST_EMPTY,      /* no bytes */
        TWIST_UPPER,      /* in the upper half of addresses */
        TWIST_LAST_BYTE,  /* up to the last address but one */
        TWIST_OVERFLOW,   /* beyond the last address */
        TWIST_AS_LONG,    /* as many bytes as a run takes */
        TWIST_ALL_LONG,   /* in each piece from here on */
        TWIST_LONG,       /* one byte more */
        TWIST_TOO_LONG,   /* more than the chain may have, if it is not alone */
        TWIST_KIND,       /* the other kind from here on */
        TWIST_KIND_ONCE,  /* the other kind here */
        TWIST_TABLE,      /* it says that it refers to a table */
        TWIST_RESERVED_3, /* flags that mean nothing */
        TWIST_RESERVED_8,
        TWIST_RESERVED_14,
        TWIST_HALF,       /* not available */
        TWIST_OTHER_LAP,  /* available, on the other lap */
        TWIST_ID,         /* an id that is none, where it counts: in the last one */
        TWISTS,
};

struct shape {
        enum twist twist;
        uint32_t length, at, write;
};

static void spoil(struct virtqueue_packed_descriptor *descriptor, enum twist twist)
{
        switch (twist) {
        case TWIST_EMPTY: descriptor->bytes = 0; break;
        case TWIST_UPPER: descriptor->address |= BIT_MASK(63); break;
        case TWIST_LAST_BYTE: descriptor->address = UINT64_MAX - descriptor->bytes; break;
        case TWIST_OVERFLOW: descriptor->address = UINT64_MAX - descriptor->bytes + 2; break;
        case TWIST_AS_LONG: case TWIST_ALL_LONG: descriptor->bytes = 1u << 29; break;
        case TWIST_LONG: descriptor->bytes = (1u << 29) + 1; break;
        case TWIST_TOO_LONG: descriptor->bytes = UINT32_MAX - PIECE_BYTES + 1; break;
        case TWIST_TABLE: descriptor->flags |= RIG_INDIRECT; break;
        case TWIST_RESERVED_3: descriptor->flags |= 1 << 3; break;
        case TWIST_RESERVED_8: descriptor->flags |= 1 << 8; break;
        case TWIST_RESERVED_14: descriptor->flags |= 1 << 14; break;
        case TWIST_HALF: descriptor->flags ^= AVAIL_FLAG; break;
        case TWIST_OTHER_LAP: descriptor->flags ^= AVAIL_FLAG | USED_FLAG; break;
        case TWIST_ID: descriptor->id = SIZE; break;
        default: break;
        }
}

/* A fresh ring whose device stands at `start`, with the chain there. */
static void offer(struct test *t, struct rig *rig, const struct shape *shape, uint32_t start)
{
        uint16_t position = (uint16_t)(WRAP | start);
        struct virtqueue_packed_descriptor *ring = (void *)rig->descriptors;
        memset(rig->config.slots, 0, SIZE * sizeof(*rig->config.slots));
        memset(ring, 0, SIZE * sizeof(*ring));
        for (uint32_t i = 0; i < SIZE; i++) /* used, all of them, before this lap */
                ring[i].flags = i < start ? AVAIL_FLAG | USED_FLAG : 0;
        rig->config.packed = true;
        rig->config.resume = true;
        rig->config.state = (struct virtqueue_device_state){position, position};
        REQUIRE_OK(virtqueue_device_init(&rig->device, &rig->config));
        for (uint32_t i = 0; i < shape->length; i++) {
                struct virtqueue_packed_descriptor *one = &ring[(start + i) % SIZE];
                bool other = shape->twist == TWIST_KIND ? i >= shape->at :
                             shape->twist == TWIST_KIND_ONCE && i == shape->at;
                uint32_t flags = (other ? RIG_WRITE - shape->write : shape->write) |
                                 (i == shape->length - 1 ? 0 : RIG_NEXT) |
                                 (start + i < SIZE ? AVAIL_FLAG : USED_FLAG);
                *one = (struct virtqueue_packed_descriptor){
                        .address = RIG_DATA_DEV + i * 256, .bytes = PIECE_BYTES + i,
                        .id = CHAIN_ID, .flags = (uint16_t)flags};
                if (i == shape->at || (shape->twist == TWIST_ALL_LONG && i > shape->at))
                        spoil(one, shape->twist);
        }
}

static void expect_same_request(struct test *t, const struct virtqueue_request *one,
                                const struct virtqueue_request *two)
{
        uint32_t count = one->readable_count + one->writable_count;
        EXPECT_EQ(one->counts, two->counts);
        EXPECT_EQ(one->bytes, two->bytes);
        EXPECT_EQ(one->id, two->id);
        EXPECT_EQ(one->position, WRAP);
        EXPECT_EQ(two->position, WRAP | NEAR_END);
        for (uint32_t i = 0; i < count && i < LENGTH_MAX; i++) {
                EXPECT_EQ(one->elements[i].dev, two->elements[i].dev);
                EXPECT_EQ(one->elements[i].bytes, two->elements[i].bytes);
        }
}

/* The same, but for offsets, which are counted from where the device stood. */
static void expect_same_device(struct test *t, const struct rig *rigs)
{
        const struct virtqueue_device *one = &rigs[0].device, *two = &rigs[1].device;
        bool broken = one->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE;
        bool offset = one->fault.reason == VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN;
        EXPECT_EQ(one->fault.reason, two->fault.reason);
        EXPECT_EQ(one->fault.position, broken ? WRAP : 0);
        EXPECT_EQ(two->fault.position, broken ? WRAP | NEAR_END : 0);
        EXPECT_EQ(one->fault.value,
                  offset ? (two->fault.value + SIZE - NEAR_END) % SIZE : two->fault.value);
        EXPECT_EQ(one->fault.limit, two->fault.limit);
        EXPECT_EQ(one->popped, two->popped);
        EXPECT_EQ(one->entries_in_flight, two->entries_in_flight);
        EXPECT_EQ(one->next_popped.offset, (two->next_popped.offset + SIZE - NEAR_END) % SIZE);
        for (uint32_t i = 0; i < SIZE; i++)
                EXPECT_EQ(one->slots[i].word, two->slots[i].word);
        EXPECT_TRUE(virtqueue_device_valid(one));
        EXPECT_TRUE(virtqueue_device_valid(two));
}

/* returns what both said */
static zx_status_t try_shape(struct test *t, struct rig *rigs, const struct shape *shape,
                             bool single)
{
        struct virtqueue_request requests[2] = {{0}};
        zx_status_t status[2];
        for (uint32_t which = 0; which < 2; which++) {
                struct rig *rig = &rigs[which];
                struct virtqueue_request_batch batch = {
                        .requests = &requests[which], .requests_max = 1, .elements = rig->pieces,
                        .elements_max = RIG_PIECES_MAX};
                offer(t, rig, shape, which == 0 ? 0 : NEAR_END);
                requests[which].elements = rig->pieces;
                requests[which].elements_max = RIG_PIECES_MAX;
                status[which] = single ? virtqueue_device_pop(&rig->device, &requests[which]) :
                                         virtqueue_device_pop_batch(&rig->device, &batch);
        }
        EXPECT_STATUS(status[0], status[1]);
        expect_same_device(t, rigs);
        if (status[0] == ZX_OK && status[1] == ZX_OK)
                expect_same_request(t, &requests[0], &requests[1]);
        if (shape->twist == TWIST_NONE) { /* said without a second ring */
                uint64_t bytes = shape->length * PIECE_BYTES +
                                 shape->length * (shape->length - 1) / 2;
                uint32_t shift = shape->write != 0 ? 32 : 0;
                EXPECT_OK(status[0]);
                EXPECT_EQ(requests[0].counts, (uint64_t)shape->length << shift);
                EXPECT_EQ(requests[0].bytes, bytes << shift);
        }
        if (test_has_failed(t))
                test_log(t, "twist %u at %u of %u, kind %u", shape->twist, shape->at, shape->length,
                         shape->write);
        return status[0];
}

TEST(virtqueue_device_packed, runs_and_rows_are_judged_alike)
{
        static struct rig rigs[2];
        struct shape shape;
        uint32_t good = 0, faults = 0;
        for (uint32_t which = 0; which < 2; which++)
                rig_prepare(t, &rigs[which], SIZE);
        for (uint32_t i = 0; i < 4 * TWISTS && !test_has_failed(t); i++) {
                shape.twist = i / 4;
                shape.write = i & 1 ? RIG_WRITE : 0;
                for (shape.length = 1; shape.length <= LENGTH_MAX; shape.length++)
                        for (shape.at = 0; shape.at < shape.length; shape.at++) {
                                zx_status_t status = try_shape(t, rigs, &shape, i & 2);
                                if (test_has_failed(t))
                                        return;
                                good += status == ZX_OK;
                                faults += status == ZX_ERR_IO_DATA_INTEGRITY;
                        }
        }
        EXPECT_GT(good, 300);
        EXPECT_GT(faults, 300);
}
