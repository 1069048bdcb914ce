/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Batches of both ends of a virtqueue, split and packed: a batch is its chains one by one, up to
 * the one that cannot be; it is seen at once and asks for one notification at most. Relies on the
 * tests of single chains for everything else. */
#include "base/bytes.h"
#include "tests/expect.h"
#include "virtqueue/virtqueue_device.h"
#include "virtqueue/virtqueue_driver.h"

#define SIZE 16u
#define DESCRIPTORS_DEV 0x1000ull
#define DRIVER_DEV 0x3000ull
#define DEVICE_DEV 0x4000ull
#define TABLES_DEV 0x5000ull
#define AREA_BYTES 0x8000u
#define TABLE_ENTRIES 4u

/* Driver addresses 0x1000 .. are the bytes of `area` from there on. */
static ALIGNED(4096) uint8_t area[AREA_BYTES];
static const struct virtqueue_device_region region = {
        .dev = 0, .bytes = AREA_BYTES, .va = area};
static const struct virtqueue_device_regions table = {.regions = &region, .count = 1};

static struct virtqueue_driver driver;
static struct virtqueue_device device;
static struct virtqueue_slot slots[SIZE];
static struct virtqueue_device_slot device_slots[SIZE];

struct shape {
        bool packed, event_index, in_order, indirect;
};

static const struct shape shapes[] = {
        {false, false, false, false}, {false, true, false, true}, {false, true, true, false},
        {true, false, false, false},  {true, true, false, true},  {true, true, true, false},
};

static bool open_pair(struct test *t, const struct shape *shape)
{
        struct virtqueue_driver_config driver_config = {
                .size = SIZE,
                .packed = shape->packed,
                .event_index = shape->event_index,
                .in_order = shape->in_order,
                .indirect_entries = shape->indirect ? TABLE_ENTRIES : 0,
                .descriptors = {area + DESCRIPTORS_DEV, DESCRIPTORS_DEV},
                .avail = {area + DRIVER_DEV, DRIVER_DEV},
                .used = {area + DEVICE_DEV, DEVICE_DEV},
                .tables = {area + TABLES_DEV, TABLES_DEV},
                .slots = slots,
        };
        struct virtqueue_device_config device_config = {
                .size = SIZE,
                .packed = shape->packed,
                .event_index = shape->event_index,
                .indirect = shape->indirect,
                .in_order = shape->in_order,
                .descriptors_dev = DESCRIPTORS_DEV,
                .driver_dev = DRIVER_DEV,
                .device_dev = DEVICE_DEV,
                .memory = {.translate = virtqueue_device_regions_translate, .context = &table},
                .slots = device_slots,
        };
        return EXPECT_OK(virtqueue_driver_init(&driver, &driver_config)) &&
               EXPECT_OK(virtqueue_device_init(&device, &device_config));
}

/* ---- the driver's end ---- */

#define CHAINS_MAX 12u

static struct virtqueue_element elements[CHAINS_MAX][SIZE + 1];
static struct virtqueue_chain chains[CHAINS_MAX];

/* Chains of 1, 1, 2, 2, 3 elements and so on, the first of them readable,
 * all at addresses of their own. */
static void make_chains(void)
{
        for (uint32_t i = 0; i < CHAINS_MAX; i++) {
                uint32_t count = 1 + i / 2 % 3;
                for (uint32_t k = 0; k < SIZE + 1; k++)
                        elements[i][k] = (struct virtqueue_element){
                                .dev = 0x100000 * (i + 1) + 0x100 * k, .bytes = 1 + i + k};
                chains[i] = (struct virtqueue_chain){.elements = elements[i],
                                                     .readable_count = count - i % count,
                                                     .writable_count = i % count,
                                                     .cookie = &chains[i]};
        }
}

/* Pops a chain, which must be `expected`, and gives it back. */
static void pop_and_push(struct test *t, const struct virtqueue_chain *expected)
{
        struct virtqueue_element pieces[SIZE];
        struct virtqueue_request request = {.elements = pieces, .elements_max = SIZE};
        REQUIRE_OK(virtqueue_device_pop(&device, &request));
        REQUIRE_EQ(request.readable_count, expected->readable_count);
        REQUIRE_EQ(request.writable_count, expected->writable_count);
        for (uint32_t i = 0; i < request.readable_count + request.writable_count; i++) {
                EXPECT_EQ(pieces[i].dev, expected->elements[i].dev);
                EXPECT_EQ(pieces[i].bytes, expected->elements[i].bytes);
        }
        virtqueue_device_push(&device, request.id, request.writable_bytes);
}

/* Everything that was added reaches the device, in its order, and comes back. */
static void expect_added(struct test *t, uint32_t count)
{
        struct virtqueue_completion done[CHAINS_MAX];
        struct virtqueue_element pieces[SIZE];
        struct virtqueue_request request = {.elements = pieces, .elements_max = SIZE};
        uint32_t taken = 0;
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, virtqueue_device_pop(&device, &request));
        virtqueue_driver_publish(&driver);
        EXPECT_EQ(virtqueue_driver_in_flight(&driver), count);
        for (uint32_t i = 0; i < count && !test_has_failed(t); i++)
                pop_and_push(t, &chains[i]);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, virtqueue_device_pop(&device, &request));
        virtqueue_device_publish(&device);
        if (count != 0)
                REQUIRE_OK(virtqueue_driver_get(&driver, done, CHAINS_MAX, &taken));
        REQUIRE_EQ(taken, count);
        for (uint32_t i = 0; i < count; i++) {
                EXPECT_PTR_EQ(done[i].cookie, &chains[i]);
                uint32_t writable_bytes = 0;
                for (uint32_t k = 0; k < chains[i].writable_count; k++)
                        writable_bytes += elements[i][chains[i].readable_count + k].bytes;
                EXPECT_EQ(done[i].written_bytes, writable_bytes);
        }
        EXPECT_EQ(driver.free_count, SIZE);
}

/* Adds all of `chains` in one call at every place of the ring; `good` of them can be added. */
static void run_batches(struct test *t, const struct shape *shape, uint32_t good, zx_status_t why)
{
        REQUIRE_TRUE(open_pair(t, shape));
        for (uint32_t lap = 0; lap < 3 * SIZE && !test_has_failed(t); lap++) {
                uint32_t added = 99;
                EXPECT_STATUS(why, virtqueue_driver_add_batch(&driver, chains, CHAINS_MAX, &added));
                EXPECT_EQ(added, good);
                expect_added(t, added);
                if (good == 0)
                        return;
                /* one more, so that the next batch begins at another place */
                EXPECT_OK(virtqueue_driver_add(&driver, &chains[0]));
                expect_added(t, 1);
        }
}

/* As many as there is room for: 1 + 1 + 2 + 2 + 3 + 3 + 1 + 1 + 2 descriptors of 16;
 * in tables, all. */
TEST(virtqueue_batch, adds_until_the_ring_is_full)
{
        for (size_t i = 0; i < ARRAY_COUNT(shapes) && !test_has_failed(t); i++) {
                make_chains();
                if (shapes[i].indirect)
                        run_batches(t, &shapes[i], CHAINS_MAX, ZX_OK);
                else
                        run_batches(t, &shapes[i], 9, ZX_ERR_SHOULD_WAIT);
        }
}

/* Whatever is wrong with a chain, the ones before it are added and none behind it. */
TEST(virtqueue_batch, stops_at_a_chain_that_no_call_would_take)
{
        for (uint32_t wrong = 0; wrong < 6; wrong++)
                for (uint32_t at = 0; at < 6; at++)
                        for (size_t i = 0; i < ARRAY_COUNT(shapes) && !test_has_failed(t); i++) {
                                make_chains();
                                struct virtqueue_chain *chain = &chains[at];
                                struct virtqueue_element *last =
                                        &elements[at][chain->readable_count +
                                                      chain->writable_count - 1];
                                if (wrong == 0)
                                        last->bytes = 0;
                                else if (wrong == 1)
                                        *last = (struct virtqueue_element){.dev = 0};
                                else if (wrong == 2)
                                        *last = (struct virtqueue_element){UINT64_MAX - 9, 11};
                                else if (wrong == 3)
                                        chain->readable_count = chain->writable_count = 0;
                                else if (wrong == 4)
                                        chain->readable_count = SIZE + 1;
                                else if (chain->readable_count + chain->writable_count == 1)
                                        chain->readable_count = UINT32_MAX,
                                        chain->writable_count = 2; /* one, modulo 2^32 */
                                else
                                        elements[at][0].bytes = last->bytes = UINT32_MAX;
                                run_batches(t, &shapes[i], at, ZX_ERR_INVALID_ARGS);
                        }
}

/* Addresses may go up to the last one there is. */
TEST(virtqueue_batch, takes_the_end_of_the_addresses)
{
        for (uint32_t at = 0; at < 6; at++)
                for (size_t i = 0; i < ARRAY_COUNT(shapes) && !test_has_failed(t); i++) {
                        make_chains();
                        for (uint32_t k = 0; k < SIZE; k++)
                                elements[at][k].dev = UINT64_MAX - elements[at][k].bytes + 1;
                        chains[9].readable_count = 0; /* so that all shapes stop at it */
                        chains[9].writable_count = 0;
                        run_batches(t, &shapes[i], 9, ZX_ERR_INVALID_ARGS);
                }
}

TEST(virtqueue_batch, none_and_broken)
{
        for (size_t i = 0; i < ARRAY_COUNT(shapes) && !test_has_failed(t); i++) {
                struct virtqueue_completion done[2];
                uint32_t added = 99, count;
                make_chains();
                REQUIRE_TRUE(open_pair(t, &shapes[i]));
                EXPECT_OK(virtqueue_driver_add_batch(&driver, chains, 0, &added));
                EXPECT_EQ(added, 0);
                EXPECT_OK(virtqueue_driver_add_batch(&driver, &chains[2], 2, &added));
                virtqueue_driver_publish(&driver);
                if (shapes[i].packed)
                        shared_store_u64(&area[DESCRIPTORS_DEV + 8],
                                         virtqueue_packed_rest(0, SIZE, virtqueue_packed_used(1)));
                else
                        shared_store_u16(&area[DEVICE_DEV + 2], 3); /* of two */
                EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                              virtqueue_driver_get(&driver, done, 2, &count));
                for (uint32_t k = 0; k < 6; k++) {
                        added = 99;
                        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                                      virtqueue_driver_add_batch(&driver, &chains[k], 6, &added));
                        EXPECT_EQ(added, 0);
                }
        }
}

/* One question a batch: yes exactly when the wanted place is in it, anywhere; then no. Past the
 * wrap of the 16-bit indices. */
TEST(virtqueue_batch, asks_for_one_notification)
{
        for (size_t i = 0; i < ARRAY_COUNT(shapes) && !test_has_failed(t); i++) {
                make_chains();
                REQUIRE_TRUE(open_pair(t, &shapes[i]));
                uint32_t asked = 0;
                EXPECT_FALSE(virtqueue_device_ask(&device));
                for (uint32_t chain = 0; chain < 70000 && !test_has_failed(t);) {
                        struct virtqueue_element pieces[SIZE];
                        struct virtqueue_request request = {.elements = pieces,
                                                            .elements_max = SIZE};
                        struct virtqueue_completion done[8];
                        uint32_t batch = 1 + chain % 7, added, popped = chain % 5 % (batch + 1);
                        EXPECT_OK(virtqueue_driver_add_batch(&driver, chains, batch, &added));
                        virtqueue_driver_publish(&driver);
                        EXPECT_TRUE(virtqueue_driver_kick_needed(&driver));
                        EXPECT_FALSE(virtqueue_driver_kick_needed(&driver));
                        for (uint32_t k = 0; k < batch; k++) {
                                REQUIRE_OK(virtqueue_device_pop(&device, &request));
                                virtqueue_device_push(&device, request.id, 0);
                                if (k == popped) { /* a wish in the middle, of which it is told */
                                        asked++;
                                        EXPECT_EQ(virtqueue_device_ask(&device), k + 1 < batch);
                                }
                        }
                        virtqueue_device_publish(&device);
                        EXPECT_OK(virtqueue_driver_get(&driver, done, 8, &added));
                        EXPECT_EQ(added, batch);
                        EXPECT_FALSE(virtqueue_device_ask(&device));
                        chain += batch;
                }
                EXPECT_GT(asked, 10000);
        }
}

/* ---- the device's end ---- */

static struct virtqueue_element pieces[3 * SIZE];
static struct virtqueue_request requests[SIZE];

static struct virtqueue_request_batch room(uint32_t requests_max, uint32_t elements_max)
{
        return (struct virtqueue_request_batch){.requests = requests,
                                                .elements = pieces,
                                                .requests_max = requests_max,
                                                .elements_max = elements_max};
}

/* Publishes `count` of the chains, from the first on. */
static void give(struct test *t, uint32_t count)
{
        uint32_t added;
        REQUIRE_OK(virtqueue_driver_add_batch(&driver, chains, count, &added));
        virtqueue_driver_publish(&driver);
}

/* Takes back everything there is; the cookies must be those of the chains from the first on. */
static void take_back(struct test *t, uint32_t count)
{
        struct virtqueue_completion done[SIZE];
        uint32_t taken = 0;
        virtqueue_device_publish(&device);
        REQUIRE_OK(virtqueue_driver_get(&driver, done, SIZE, &taken));
        REQUIRE_EQ(taken, count);
        for (uint32_t i = 0; i < count; i++)
                EXPECT_PTR_EQ(done[i].cookie, &chains[i]);
}

/* Two calls in a row bring all chains at every place of the ring (one ends where the ring does). */
TEST(virtqueue_batch, pops_and_pushes_at_every_place)
{
        for (size_t i = 0; i < ARRAY_COUNT(shapes) && !test_has_failed(t); i++) {
                make_chains();
                REQUIRE_TRUE(open_pair(t, &shapes[i]));
                for (uint32_t lap = 0; lap < 5 * SIZE && !test_has_failed(t); lap++) {
                        uint32_t count = 1 + lap % 9, popped = 0, used_elements = 0;
                        struct virtqueue_used_element used[SIZE];
                        give(t, count);
                        for (uint32_t call = 0; call < 2 && popped < count; call++) {
                                struct virtqueue_request_batch batch = room(SIZE, 3 * SIZE);
                                REQUIRE_OK(virtqueue_device_pop_batch(&device, &batch));
                                for (uint32_t k = 0; k < batch.count; k++, popped++) {
                                        const struct virtqueue_request *request = &requests[k];
                                        EXPECT_EQ(request->readable_count,
                                                  chains[popped].readable_count);
                                        EXPECT_EQ(request->writable_count,
                                                  chains[popped].writable_count);
                                        EXPECT_EQ(request->elements[0].dev,
                                                  chains[popped].elements[0].dev);
                                        used[popped].id = request->id;
                                        used[popped].bytes = request->writable_bytes;
                                        used_elements += request->readable_count;
                                        used_elements += request->writable_count;
                                }
                                used_elements -= batch.elements_count;
                        }
                        EXPECT_EQ(popped, count);
                        EXPECT_EQ(used_elements, 0);
                        EXPECT_EQ(virtqueue_device_in_flight(&device), count);
                        virtqueue_device_push_batch(&device, used, count);
                        EXPECT_EQ(virtqueue_device_in_flight(&device), 0);
                        take_back(t, count);
                }
        }
}

/* A chain that finds too little room behind others waits; alone it is a fault that it is too long
 * for the room that there is. */
TEST(virtqueue_batch, pops_as_much_as_there_is_room_for)
{
        for (size_t i = 0; i < ARRAY_COUNT(shapes) && !test_has_failed(t); i++)
                for (uint32_t elements_max = 3; elements_max < 8; elements_max++) {
                        /* 1, 1, 2, 2, 3, 3 pieces */
                        static const uint32_t fitting[] = {2, 3, 3, 4, 4};
                        make_chains();
                        REQUIRE_TRUE(open_pair(t, &shapes[i]));
                        give(t, 6);
                        struct virtqueue_request_batch batch = room(SIZE, elements_max);
                        REQUIRE_OK(virtqueue_device_pop_batch(&device, &batch));
                        EXPECT_EQ(batch.count, fitting[elements_max - 3]);
                        EXPECT_EQ(virtqueue_device_in_flight(&device), batch.count);
                        uint32_t popped = batch.count;
                        batch = room(1, elements_max);
                        REQUIRE_OK(virtqueue_device_pop_batch(&device, &batch));
                        EXPECT_EQ(batch.count, 1);
                        EXPECT_EQ(requests[0].elements[0].dev, chains[popped].elements[0].dev);
                        for (popped++; popped < 5; popped++) {
                                REQUIRE_OK(virtqueue_device_pop_batch(&device, &batch));
                                EXPECT_EQ(batch.count, 1);
                        }
                        batch = room(1, 2);
                        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                                      virtqueue_device_pop_batch(&device, &batch));
                        EXPECT_EQ(batch.count, 0);
                        EXPECT_EQ(device.fault.reason, VIRTQUEUE_DEVICE_FAULT_MANY_PIECES);
                }
}

/* The chains before a bad one are there, and the queue is broken for good. */
static void expect_broken(struct test *t, uint32_t at, enum virtqueue_device_fault_reason reason)
{
        for (uint32_t call = 0; call < 2; call++) {
                struct virtqueue_request_batch batch = room(SIZE, SIZE);
                EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                              virtqueue_device_pop_batch(&device, &batch));
                EXPECT_EQ(batch.count, call == 0 ? at : 0);
                EXPECT_EQ(device.fault.reason, reason);
                if (!device.packed)
                        EXPECT_EQ(device.fault.position, at);
                EXPECT_TRUE(virtqueue_device_valid(&device));
        }
}

/* Six chains of `each` descriptors; that of number `at` is spoiled. */
static void pop_spoiled(struct test *t, const struct shape *shape, uint32_t each, uint32_t at)
{
        struct virtqueue_descriptor *descriptors = (void *)&area[DESCRIPTORS_DEV];
        struct virtqueue_avail *avail = (void *)&area[DRIVER_DEV];
        for (uint32_t wrong = 0; wrong < 3; wrong++) {
                make_chains();
                for (uint32_t k = 0; k < 6; k++) {
                        chains[k].readable_count = each;
                        chains[k].writable_count = 0;
                }
                REQUIRE_TRUE(open_pair(t, shape));
                give(t, 6);
                struct virtqueue_descriptor *descriptor = &descriptors[at * each];
                if (wrong == 0) {
                        descriptor->address = UINT64_MAX - 2;
                        descriptor->bytes = 4;
                        expect_broken(t, at, VIRTQUEUE_DEVICE_FAULT_WRAP);
                } else if (shape->packed) {
                        struct virtqueue_packed_descriptor *last =
                                (void *)&descriptors[at * each + each - 1];
                        last->id = SIZE;
                        expect_broken(t, at, VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE);
                } else if (wrong == 1) {
                        avail->ring[at] = SIZE;
                        expect_broken(t, at, VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE);
                } else {
                        descriptor->flags |= VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT);
                        descriptor->next = SIZE;
                        expect_broken(t, at, VIRTQUEUE_DEVICE_FAULT_NEXT_RANGE);
                }
        }
}

TEST(virtqueue_batch, pops_up_to_a_broken_rule)
{
        for (size_t i = 0; i < ARRAY_COUNT(shapes) && !test_has_failed(t); i++)
                for (uint32_t at = 0; at < 4; at++) {
                        pop_spoiled(t, &shapes[i], 1, at);
                        if (!shapes[i].indirect)
                                pop_spoiled(t, &shapes[i], 2, at);
                }
}

/* Packed: all descriptors are the device's, and the driver marks one available on the next lap. */
TEST(virtqueue_batch, pops_no_descriptor_that_is_in_flight)
{
        for (uint32_t batched = 0; batched < 2; batched++) {
                const struct shape shape = {.packed = true};
                struct virtqueue_packed_descriptor *ring = (void *)&area[DESCRIPTORS_DEV];
                struct virtqueue_request_batch batch = room(SIZE, SIZE);
                struct virtqueue_request request = {.elements = pieces, .elements_max = SIZE};
                make_chains();
                chains[0].readable_count = SIZE;
                REQUIRE_TRUE(open_pair(t, &shape));
                give(t, 1);
                REQUIRE_OK(virtqueue_device_pop(&device, &request));
                ring[0] = (struct virtqueue_packed_descriptor){
                        .address = 4096, .bytes = 1, .id = 1,
                        .flags = virtqueue_packed_available(false)};
                EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                              batched != 0 ? virtqueue_device_pop_batch(&device, &batch) :
                                             virtqueue_device_pop(&device, &request));
                EXPECT_EQ(device.fault.reason, VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN);
        }
}

TEST(virtqueue_batch, pops_nothing)
{
        for (size_t i = 0; i < ARRAY_COUNT(shapes) && !test_has_failed(t); i++) {
                make_chains();
                REQUIRE_TRUE(open_pair(t, &shapes[i]));
                struct virtqueue_request_batch batch = room(SIZE, SIZE);
                EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, virtqueue_device_pop_batch(&device, &batch));
                EXPECT_EQ(batch.count, 0);
        }
}

/* IN_ORDER: chains without a writable part have one entry together, with the last one's id where
 * the first one's would be; one with a writable part ends it. The driver's end takes them all. */
TEST(virtqueue_batch, one_entry_for_many)
{
        for (uint32_t packed = 0; packed < 2; packed++) {
                struct shape shape = {.packed = packed != 0, .in_order = true};
                static const uint32_t writable_at = 4;
                make_chains();
                for (uint32_t k = 0; k < 8; k++)
                        chains[k].readable_count = k != writable_at,
                        chains[k].writable_count = k == writable_at;
                REQUIRE_TRUE(open_pair(t, &shape));
                give(t, 8);
                struct virtqueue_request_batch batch = room(8, SIZE);
                REQUIRE_OK(virtqueue_device_pop_batch(&device, &batch));
                REQUIRE_EQ(batch.count, 8);
                struct virtqueue_packed_descriptor *ring = (void *)&area[DESCRIPTORS_DEV];
                struct virtqueue_used *used = (void *)&area[DEVICE_DEV];
                for (uint32_t k = 0; k < 8; k++) {
                        ring[k].flags = 0;
                        used->ring[k].id = 77;
                }
                virtqueue_device_push_read(&device, requests, 3);
                virtqueue_device_push(&device, requests[3].id, 0);
                virtqueue_device_push(&device, requests[4].id, 1);
                virtqueue_device_push_read(&device, &requests[5], 3);
                virtqueue_device_publish(&device);
                for (uint32_t k = 0; k < 8; k++) {
                        bool entry = k == 0 || k == 5;
                        uint32_t id = requests[k == 0 ? 4 : 7].id;
                        if (packed)
                                EXPECT_EQ(ring[k].flags, entry ? 0x8080 | (k == 0) << 1 : 0);
                        if (packed && entry)
                                EXPECT_EQ(ring[k].id, id);
                        if (!packed)
                                EXPECT_EQ(used->ring[k].id, entry ? id : 77);
                }
                if (!packed)
                        EXPECT_EQ(used->index, 8);
                take_back(t, 8);
        }
}
