/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Batches of both ends of a virtqueue, split and packed: a batch is its chains one by one, up to the
 * one that cannot be; it is seen at once and asks for one notification at most. Relies on the tests
 * of single chains for everything else. */
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

/* Chains of 1, 1, 2, 2, 3 elements and so on, the first of them readable, with distinct addresses. */
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

/* As many as there is room for: 1 + 1 + 2 + 2 + 3 + 3 + 1 + 1 + 2 descriptors of 16; in tables, all. */
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
