/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of the two ways in which the split ring's device end takes plain chains: descriptors that
 * stand one behind the other are taken in a run, others follow their links. Where descriptors stand
 * means nothing, so the same chains, forwards in one ring and backwards in another, must be popped
 * alike, with anything unusual anywhere in them, and every fault must be the same one. */
#include "tests/expect.h"

#include "tests/host/virtqueue_device_rig.h"

#define SIZE 32u
#define CHAINS 3u
#define AREA 8u /* descriptors that a chain may stand in */
#define LENGTH_MAX 6u
#define PIECE_BYTES 100u

enum twist {
        TWIST_NONE,
        TWIST_AWAY,      /* the rest of the chain stands elsewhere */
        TWIST_STALE,     /* a link in every descriptor, also where it means nothing */
        TWIST_OUTSIDE,   /* the link leaves the table by one */
        TWIST_LOOP,      /* the link leads to the beginning */
        TWIST_SELF,      /* it leads to where it is */
        TWIST_EMPTY,     /* no bytes */
        TWIST_UPPER,     /* in the upper half of addresses */
        TWIST_WRAP,      /* beyond the last address */
        TWIST_LONG,      /* more bytes than the run takes */
        TWIST_AS_LONG,   /* just as many */
        TWIST_TOO_LONG,  /* more bytes than the chain may have */
        TWIST_KIND,      /* the other kind from here on */
        TWIST_KIND_ONCE, /* the other kind here */
        TWIST_TABLE,     /* it says that it refers to a table */
        TWIST_RESERVED,  /* a flag that means nothing */
        TWIST_OVER,      /* the chain at the table's end goes on behind it */
        TWIST_TWICE,     /* the last chain is the one before it again */
        TWIST_HEAD,      /* the last chain is none */
        TWISTS,
};

/* What chain number 1 is; those around it are plain. */
struct shape {
        enum twist twist;
        uint32_t length, at, write;
};

static struct virtqueue_element pieces[2][RIG_PIECES_MAX];
static struct virtqueue_request requests[2][CHAINS];

/* Where piece `i` of a chain stands: the last area is at the table's end. */
static uint32_t place_of(const struct shape *shape, uint32_t chain, uint32_t i, bool backwards)
{
        uint32_t area = chain == 2 ? SIZE - AREA : chain * AREA;
        if (backwards)
                return area + AREA - 1 - i;
        if (chain == 1 && shape->twist == TWIST_AWAY && i > shape->at)
                return 2 * AREA + i;
        return area + (chain == 2 ? AREA - shape->length : 0) + i;
}

static void spoil(struct virtqueue_descriptor *descriptor, enum twist twist)
{
        switch (twist) {
        case TWIST_EMPTY: descriptor->bytes = 0; break;
        case TWIST_UPPER: descriptor->address |= BIT_MASK(63); break;
        case TWIST_WRAP: descriptor->address = UINT64_MAX - PIECE_BYTES + 2; break;
        case TWIST_LONG: descriptor->bytes = (1u << 29) + 1; break;
        case TWIST_AS_LONG: descriptor->bytes = 1u << 29; break;
        case TWIST_TOO_LONG: descriptor->bytes = UINT32_MAX - PIECE_BYTES + 1; break;
        case TWIST_TABLE: descriptor->flags |= RIG_INDIRECT; break;
        case TWIST_RESERVED: descriptor->flags |= 0x8000; break;
        default: break;
        }
}

static uint32_t next_of(const struct shape *shape, uint32_t chain, uint32_t i, bool backwards)
{
        bool here = chain == 1 && i == shape->at;
        bool over = chain == 2 && i == shape->length - 1 && shape->twist == TWIST_OVER;
        if (over || (here && shape->twist == TWIST_OUTSIDE))
                return SIZE;
        if (here && shape->twist == TWIST_LOOP)
                return place_of(shape, chain, 0, backwards);
        if (here && shape->twist == TWIST_SELF)
                return place_of(shape, chain, i, backwards);
        return i == shape->length - 1 ? 0 : place_of(shape, chain, i + 1, backwards);
}

static void describe_chain(struct rig *rig, const struct shape *shape, uint32_t chain,
                           bool backwards)
{
        for (uint32_t i = 0; i < shape->length; i++) {
                struct virtqueue_descriptor *descriptor =
                        &rig->descriptors[place_of(shape, chain, i, backwards)];
                bool twisted = chain == 1 && i == shape->at;
                bool leads_on = twisted && shape->twist >= TWIST_OUTSIDE &&
                                shape->twist <= TWIST_SELF;
                bool over = chain == 2 && shape->twist == TWIST_OVER;
                bool last = i == shape->length - 1 && !leads_on && !over;
                bool other = chain == 1 && (shape->twist == TWIST_KIND ? i >= shape->at :
                                            shape->twist == TWIST_KIND_ONCE && twisted);
                uint32_t flags = (other ? RIG_WRITE - shape->write : shape->write) |
                                 (last ? 0 : RIG_NEXT);
                uint32_t next = next_of(shape, chain, i, backwards);
                if (last && shape->twist == TWIST_STALE)
                        next = chain * 7 + i;
                rig_describe(descriptor, RIG_DATA_DEV + chain * 4096 + i * 256,
                             PIECE_BYTES + i, next << 16 | flags);
                if (twisted)
                        spoil(descriptor, shape->twist);
        }
        if (chain == 2 && shape->twist == TWIST_TWICE)
                rig_offer(rig, (uint16_t)place_of(shape, 1, 0, backwards));
        else
                rig_offer(rig, chain == 2 && shape->twist == TWIST_HEAD ?
                                       SIZE + 3 : (uint16_t)place_of(shape, chain, 0, backwards));
}

/* The same in both, but for the ids. */
static void expect_alike(struct test *t, const struct rig *rigs,
                         const struct virtqueue_request_batch *batches)
{
        const struct virtqueue_device_fault *fault = &rigs[0].device.fault;
        REQUIRE_EQ(batches[0].count, batches[1].count);
        REQUIRE_EQ(batches[0].elements_count, batches[1].elements_count);
        for (uint32_t i = 0; i < batches[0].count; i++) {
                const struct virtqueue_request *one = &requests[0][i], *two = &requests[1][i];
                EXPECT_EQ(one->counts, two->counts);
                EXPECT_EQ(one->bytes, two->bytes);
                EXPECT_EQ(one->position, two->position);
                EXPECT_EQ(one->elements - pieces[0], two->elements - pieces[1]);
                EXPECT_EQ(rigs[0].device.slots[one->id].word, rigs[1].device.slots[two->id].word);
                uint32_t count = one->readable_count + one->writable_count;
                for (uint32_t k = 0; k < count; k++) {
                        EXPECT_EQ(one->elements[k].dev, two->elements[k].dev);
                        EXPECT_EQ(one->elements[k].bytes, two->elements[k].bytes);
                }
        }
        EXPECT_EQ(fault->reason, rigs[1].device.fault.reason);
        EXPECT_EQ(fault->position, rigs[1].device.fault.position);
        if (fault->reason != VIRTQUEUE_DEVICE_FAULT_HEAD_TWICE)
                EXPECT_EQ(fault->value, rigs[1].device.fault.value);
        EXPECT_EQ(fault->limit, rigs[1].device.fault.limit);
}

/* After a fault no slot is marked but of those that were popped. */
static void expect_marked(struct test *t, const struct rig *rig, uint32_t count)
{
        uint32_t marked = 0;
        for (uint32_t i = 0; i < SIZE; i++)
                marked += rig->device.slots[i].word != 0;
        EXPECT_EQ(marked, count);
        EXPECT_TRUE(virtqueue_device_valid(&rig->device));
}

/* Pops until nothing is left; with room for `room` pieces a call. */
static void pop_both(struct test *t, struct rig *rigs, uint32_t room, uint32_t requests_max)
{
        struct virtqueue_used_element used[CHAINS];
        zx_status_t status[2] = {ZX_OK, ZX_OK};
        for (uint32_t call = 0; call <= CHAINS && status[0] == ZX_OK; call++) {
                struct virtqueue_request_batch batches[2];
                for (uint32_t which = 0; which < 2; which++) {
                        batches[which] = (struct virtqueue_request_batch){
                                .requests = requests[which], .requests_max = requests_max,
                                .elements = pieces[which], .elements_max = room};
                        status[which] = virtqueue_device_pop_batch(&rigs[which].device,
                                                                   &batches[which]);
                        expect_marked(t, &rigs[which], batches[which].count);
                }
                EXPECT_EQ(status[0], status[1]);
                expect_alike(t, rigs, batches);
                for (uint32_t which = 0; which < 2; which++) {
                        for (uint32_t i = 0; i < batches[which].count; i++)
                                used[i] = (struct virtqueue_used_element){requests[which][i].id, 0};
                        virtqueue_device_push_batch(&rigs[which].device, used,
                                                    batches[which].count);
                        virtqueue_device_publish(&rigs[which].device);
                }
        }
        EXPECT_STATUS(rigs[0].device.fault.reason == VIRTQUEUE_DEVICE_FAULT_NONE ?
                              ZX_ERR_SHOULD_WAIT : ZX_ERR_IO_DATA_INTEGRITY, status[0]);
}

static void open_rigs(struct test *t, struct rig *rigs)
{
        for (uint32_t which = 0; which < 2; which++) {
                struct rig *rig = &rigs[which];
                memset(rig->config.slots, 0, SIZE * sizeof(*rig->config.slots));
                memset(rig->descriptors, 0, SIZE * sizeof(*rig->descriptors));
                rig->avail_index = 0;
                shared_store_u16(&rig->avail->index, 0);
                shared_store_u16(&rig->used->index, 0);
                REQUIRE_OK(virtqueue_device_init(&rig->device, &rig->config));
        }
}

static void try_shape(struct test *t, struct rig *rigs, const struct shape *shape)
{
        static const uint32_t rooms[] = {RIG_PIECES_MAX, SIZE, 13, LENGTH_MAX};
        for (uint32_t i = 0; i < 2 * ARRAY_COUNT(rooms) && !test_has_failed(t); i++) {
                if (rigs[0].device.fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                        open_rigs(t, rigs);
                for (uint32_t which = 0; which < 2; which++)
                        for (uint32_t chain = 0; chain < CHAINS; chain++)
                                describe_chain(&rigs[which], shape, chain, which);
                pop_both(t, rigs, rooms[i / 2], i % 2 ? 1 : CHAINS);
        }
        if (test_has_failed(t))
                test_log(t, "twist %u at %u of %u, kind %u", shape->twist, shape->at, shape->length,
                         shape->write);
}

/* Without room for more pieces than a chain has, the ring goes round as well: three chains at a
 * time do not divide its size. */
TEST(virtqueue_device, runs_and_links_are_judged_alike)
{
        struct rig rigs[2];
        struct shape shape;
        uint64_t faults = 0, wraps = 0;
        for (uint32_t which = 0; which < 2; which++) {
                rig_prepare(t, &rigs[which], SIZE);
                rigs[which].device.fault.reason = VIRTQUEUE_DEVICE_FAULT_NONE;
        }
        open_rigs(t, rigs);
        for (uint32_t twist = 0; twist < TWISTS; twist++)
                for (shape.length = 1; shape.length <= LENGTH_MAX; shape.length++)
                        for (shape.at = 0; shape.at < shape.length; shape.at++)
                                for (shape.write = 0; shape.write <= RIG_WRITE;
                                     shape.write += RIG_WRITE) {
                                        shape.twist = twist;
                                        try_shape(t, rigs, &shape);
                                        if (test_has_failed(t))
                                                return;
                                        faults += rigs[0].device.fault.reason !=
                                                  VIRTQUEUE_DEVICE_FAULT_NONE;
                                        wraps += rigs[0].device.popped > SIZE;
                                }
        EXPECT_GT(faults, 100);
        EXPECT_GT(wraps, 100);
}

/* Said without a second ring: what a run is taken for, at each length and of both kinds. */
TEST(virtqueue_device, runs_of_each_length)
{
        struct rig rig;
        rig_prepare(t, &rig, SIZE);
        REQUIRE_OK(virtqueue_device_init(&rig.device, &rig.config));
        for (uint32_t write = 0; write <= RIG_WRITE; write += RIG_WRITE)
                for (uint32_t length = 1; length <= LENGTH_MAX; length++) {
                        struct shape shape = {TWIST_NONE, length, 0, write};
                        struct virtqueue_request_batch batch = {
                                .requests = requests[0], .requests_max = CHAINS,
                                .elements = pieces[0], .elements_max = RIG_PIECES_MAX};
                        uint64_t bytes = length * PIECE_BYTES + length * (length - 1) / 2;
                        for (uint32_t chain = 0; chain < CHAINS; chain++)
                                describe_chain(&rig, &shape, chain, false);
                        while (rig.device.pushed != rig.avail_index) {
                                REQUIRE_OK(virtqueue_device_pop_batch(&rig.device, &batch));
                                for (uint32_t i = 0; i < batch.count; i++) {
                                        struct virtqueue_request *request = &batch.requests[i];
                                        uint64_t shift = write != 0 ? 32 : 0;
                                        EXPECT_EQ(request->counts, (uint64_t)length << shift);
                                        EXPECT_EQ(request->bytes, bytes << shift);
                                        EXPECT_EQ(request->elements[length - 1].bytes,
                                                  PIECE_BYTES + length - 1);
                                        virtqueue_device_push(&rig.device, request->id,
                                                              request->writable_bytes);
                                }
                        }
                        virtqueue_device_publish(&rig.device);
                }
}
