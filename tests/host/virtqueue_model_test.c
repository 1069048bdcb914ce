/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The split ring against a model, millions of chains: whatever the driver's end adds must reach the
 * device as it was, come back once with the right length, and neither side may sleep while there is
 * work for it. Then random nonsense from the device: accepted exactly when the model says that it
 * is no nonsense. */
#include "tests/boot/virtqueue_test_device.h"

#define MODEL_SIZE_MAX 1024
#define MODEL_ELEMENTS_MAX 4
#define MODEL_BUDGET_MAX 32

enum model_state { MODEL_FREE, MODEL_ADDED, MODEL_HELD, MODEL_USED };

/* One chain; its index is its cookie. */
struct model_chain {
        enum model_state state;
        uint16_t head;
        uint32_t readable_count, writable_count, written_bytes;
        uint64_t writable_bytes;
        struct virtqueue_element elements[MODEL_ELEMENTS_MAX];
};

struct model {
        struct test *t;
        struct test_ring ring;
        struct model_chain chains[MODEL_SIZE_MAX];
        uint32_t free[MODEL_SIZE_MAX], free_count;   /* cookies that are not in use */
        uint32_t order[MODEL_SIZE_MAX];              /* added and not yet popped, oldest first */
        uint32_t order_first, order_count;
        uint32_t held[MODEL_SIZE_MAX], held_count;   /* at the device */
        uint32_t used[MODEL_SIZE_MAX], used_first, used_count; /* given back, oldest first */
        uint64_t taken;
        uint32_t asked;       /* the driver sleeps until this many are used */
        bool driver_sleeps, device_sleeps;
        uint64_t kicks, interrupts;
};

static struct model model;

static void model_init(struct test *t, uint32_t size, bool event_index)
{
        model = (struct model){.t = t, .free_count = size};
        for (uint32_t i = 0; i < size; i++)
                model.free[i] = i;
        REQUIRE_TRUE(test_ring_init(t, &model.ring, size, event_index));
        test_device_set_avail_event(&model.ring.device, 0);
        model.device_sleeps = true;
}

static uint32_t below(uint32_t bound)
{
        return world_random_below(model.t, bound);
}

/* ---- the driver ---- */

static zx_status_t add_one(void)
{
        uint32_t cookie = model.free[model.free_count - 1];
        struct model_chain *chain = &model.chains[cookie];
        uint32_t limit = model.ring.config.size < MODEL_ELEMENTS_MAX ? model.ring.config.size :
                                                                       MODEL_ELEMENTS_MAX;
        uint32_t count = 1 + below(limit);
        chain->readable_count = below(count + 1);
        chain->writable_count = count - chain->readable_count;
        chain->writable_bytes = 0;
        for (uint32_t i = 0; i < count; i++) {
                chain->elements[i].dev = (uint64_t)world_random(model.t) << 20 | below(1 << 20);
                chain->elements[i].bytes = 1 + below(below(8) == 0 ? 1u << 30 : 4096);
                if (i >= chain->readable_count)
                        chain->writable_bytes += chain->elements[i].bytes;
        }
        struct virtqueue_chain request = {.elements = chain->elements,
                                          .readable_count = chain->readable_count,
                                          .writable_count = chain->writable_count,
                                          .cookie = chain};
        zx_status_t status = virtqueue_driver_add(&model.ring.queue, &request);
        if (status == ZX_OK) {
                chain->state = MODEL_ADDED;
                model.free_count--;
                model.order[(model.order_first + model.order_count++) % MODEL_SIZE_MAX] = cookie;
        }
        return status;
}

static void driver_gives(void)
{
        struct test *t = model.t;
        uint32_t wanted = 1 + below(model.ring.config.size);
        for (uint32_t i = 0; i < wanted && model.free_count != 0; i++) {
                uint32_t room = model.ring.queue.free_count;
                zx_status_t status = add_one();
                if (status != ZX_OK) {
                        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, status);
                        EXPECT_LT(room, MODEL_ELEMENTS_MAX);
                        break;
                }
        }
        if (below(4) == 0)
                return; /* leave them unpublished for now */
        virtqueue_driver_publish(&model.ring.queue);
        if (virtqueue_driver_kick_needed(&model.ring.queue)) {
                model.device_sleeps = false;
                model.kicks++;
        }
}

static void check_taken(const struct virtqueue_completion *completion)
{
        struct test *t = model.t;
        uint32_t expected = model.used[model.used_first % MODEL_SIZE_MAX];
        REQUIRE_TRUE(model.used_count != 0);
        REQUIRE_TRUE(completion->cookie == &model.chains[expected]);
        REQUIRE_EQ(model.chains[expected].state, MODEL_USED);
        REQUIRE_EQ(completion->written_bytes, model.chains[expected].written_bytes);
        model.chains[expected].state = MODEL_FREE;
        model.free[model.free_count++] = expected;
        model.used_first++;
        model.used_count--;
        model.taken++;
}

static void driver_takes(void)
{
        struct test *t = model.t;
        struct virtqueue_completion done[MODEL_BUDGET_MAX];
        uint32_t count, budget = 1 + below(MODEL_BUDGET_MAX);
        if (model.driver_sleeps)
                return;
        if (below(3) == 0)
                virtqueue_driver_mute(&model.ring.queue);
        zx_status_t status = virtqueue_driver_get(&model.ring.queue, done, budget, &count);
        for (uint32_t i = 0; i < count && !test_has_failed(t); i++)
                check_taken(&done[i]);
        if (status == ZX_OK)
                return;
        REQUIRE_STATUS(ZX_ERR_SHOULD_WAIT, status);
        uint32_t in_flight = virtqueue_driver_in_flight(&model.ring.queue);
        model.asked = in_flight > 1 ? 1 + below(in_flight) : 1;
        model.driver_sleeps = !virtqueue_driver_ask(&model.ring.queue, model.asked);
}

/* ---- the device ---- */

static void check_popped(const struct test_request *request)
{
        struct test *t = model.t;
        REQUIRE_TRUE(model.order_count != 0);
        uint32_t cookie = model.order[model.order_first++ % MODEL_SIZE_MAX];
        struct model_chain *chain = &model.chains[cookie];
        model.order_count--;
        REQUIRE_EQ(request->count, chain->readable_count + chain->writable_count);
        REQUIRE_EQ(request->readable_count, chain->readable_count);
        REQUIRE_EQ(request->writable_bytes, chain->writable_bytes);
        for (uint32_t i = 0; i < request->count; i++) {
                REQUIRE_EQ(request->elements[i].dev, chain->elements[i].dev);
                REQUIRE_EQ(request->elements[i].bytes, chain->elements[i].bytes);
        }
        chain->head = request->head;
        chain->state = MODEL_HELD;
        model.held[model.held_count++] = cookie;
}

static void device_pops(void)
{
        struct test *t = model.t;
        struct test_device *device = &model.ring.device;
        struct test_request request;
        uint32_t wanted = 1 + below(device->size);
        if (model.device_sleeps)
                return;
        test_device_set_flags(device, device->event_index ? (uint16_t)below(2) : 1);
        for (uint32_t i = 0; i < wanted && !test_has_failed(t); i++) {
                if (test_device_pop(t, device, &request)) {
                        check_popped(&request);
                        continue;
                }
                test_device_set_flags(device, device->event_index ? (uint16_t)below(2) : 0);
                test_device_set_avail_event(device, device->avail_seen);
                shared_fence_full();
                model.device_sleeps = test_device_u16(device->avail_dev + 2) == device->avail_seen;
                return;
        }
}

static void device_uses(void)
{
        struct test_device *device = &model.ring.device;
        uint32_t wanted = below(model.held_count + 1);
        for (uint32_t i = 0; i < wanted; i++) {
                uint32_t which = below(model.held_count), cookie = model.held[which];
                struct model_chain *chain = &model.chains[cookie];
                model.held[which] = model.held[--model.held_count];
                chain->written_bytes = chain->writable_bytes == 0 ? 0 :
                                       below(4) == 0 ? (uint32_t)chain->writable_bytes :
                                                       below((uint32_t)chain->writable_bytes);
                chain->state = MODEL_USED;
                test_device_push(device, chain->head, chain->written_bytes);
                model.used[(model.used_first + model.used_count++) % MODEL_SIZE_MAX] = cookie;
        }
        if (wanted == 0)
                return;
        test_device_publish(device);
        if (test_device_interrupts(device)) {
                model.driver_sleeps = false;
                model.interrupts++;
        }
}

/* Neither side sleeps while there is work that it would not be told of. */
static void check_nobody_oversleeps(void)
{
        struct test *t = model.t;
        const struct test_device *device = &model.ring.device;
        if (model.device_sleeps)
                REQUIRE_EQ(test_device_u16(device->avail_dev + 2), device->avail_seen);
        if (model.driver_sleeps)
                EXPECT_LT(model.used_count, model.asked);
        REQUIRE_TRUE(virtqueue_driver_valid(&model.ring.queue));
}

static void random_step(void)
{
        static void (*const steps[])(void) = {driver_gives, driver_takes, device_pops, device_uses};
        steps[below(ARRAY_COUNT(steps))]();
}

static void run_model(struct test *t, uint32_t size, bool event_index, uint64_t chains)
{
        model_init(t, size, event_index);
        /* A step moves a chain on with a fair chance; a run that needs this many is stuck. */
        uint64_t step_limit = chains * 64 + 100000, step = 0;
        while (model.taken < chains && !test_has_failed(t) && step++ < step_limit) {
                random_step();
                check_nobody_oversleeps();
        }
        EXPECT_GE(model.taken, chains);
        EXPECT_EQ(model.ring.queue.fault.reason, VIRTQUEUE_FAULT_NONE);
        if (event_index && size >= 64) { /* suppression does suppress */
                EXPECT_LT(model.kicks, model.taken / 2);
                EXPECT_LT(model.interrupts, model.taken / 2);
        }
}

TEST_WITH(virtqueue_model, million_of_flags, 0, 60000)
{
        run_model(t, 256, false, 1000000);
}

TEST_WITH(virtqueue_model, million_of_events, 0, 60000)
{
        run_model(t, 256, true, 1000000);
}

TEST_WITH(virtqueue_model, small_rings, 0, 60000)
{
        for (uint32_t size = 1; size <= 16 && !test_has_failed(t); size *= 2) {
                run_model(t, size, true, 150000);
                run_model(t, size, false, 150000);
        }
}

TEST_WITH(virtqueue_model, large_ring, 0, 60000)
{
        run_model(t, 1024, true, 500000);
}

/* ---- nonsense ---- */

#define NONSENSE_ROUNDS 3000
#define NONSENSE_STEPS 40

/* A fresh queue in the memory of the last one (world_pages gives memory for a few rings only), with
 * a random honest past of which nothing is left to be taken. */
static void nonsense_restart(struct test *t)
{
        struct virtqueue_completion done[1];
        struct test_ring ring = model.ring;
        uint32_t count, size = ring.config.size;
        model = (struct model){.t = t, .ring = ring, .free_count = size, .device_sleeps = true};
        for (uint32_t i = 0; i < size; i++)
                model.free[i] = i;
        test_ring_reset_device(&model.ring);
        REQUIRE_OK(virtqueue_driver_init(&model.ring.queue, &model.ring.config));
        for (uint32_t i = 0; i < NONSENSE_STEPS; i++)
                random_step();
        while (model.used_count != 0 && !test_has_failed(t)) {
                REQUIRE_OK(virtqueue_driver_get(&model.ring.queue, done, 1, &count));
                check_taken(&done[0]);
        }
}

/* The chain in flight whose head is `id`: held by the device, or published and not popped yet. */
static const struct model_chain *nonsense_meant(uint32_t id)
{
        const struct test_device *device = &model.ring.device;
        for (uint32_t i = 0; i < model.held_count; i++)
                if (model.chains[model.held[i]].head == id)
                        return &model.chains[model.held[i]];
        uint32_t waiting = (uint16_t)(test_device_u16(device->avail_dev + 2) - device->avail_seen);
        for (uint32_t i = 0; i < waiting; i++) {
                uint32_t slot = (uint32_t)(device->avail_seen + i) % device->size;
                if (test_device_u16(device->avail_dev + 4 + 2 * slot) == id)
                        return &model.chains[model.order[(model.order_first + i) % MODEL_SIZE_MAX]];
        }
        return NULL;
}

/* One random used entry and one random move of the index; returns what get() said. */
static zx_status_t nonsense_round(struct test *t)
{
        struct test_device *device = &model.ring.device;
        struct virtqueue_completion done[1] = {{0}};
        uint32_t count, in_flight = virtqueue_driver_in_flight(&model.ring.queue);
        uint32_t id = below(4) == 0 ? world_random(t) : below(device->size + 2);
        uint32_t bytes = below(3) == 0 ? world_random(t) : below(64);
        uint16_t move = below(4) == 0 ? (uint16_t)world_random(t) : 1;
        const struct model_chain *meant = nonsense_meant(id);
        test_device_push(device, id, bytes);
        device->used_index = (uint16_t)(device->used_index - 1 + move);
        test_device_publish(device);

        zx_status_t status = virtqueue_driver_get(&model.ring.queue, done, 1, &count);
        bool good = move <= in_flight && meant != NULL && bytes <= meant->writable_bytes;
        zx_status_t expected = good ? ZX_OK : ZX_ERR_IO_DATA_INTEGRITY;
        EXPECT_STATUS(move == 0 ? ZX_ERR_SHOULD_WAIT : expected, status);
        if (status == ZX_OK)
                EXPECT_PTR_EQ(done[0].cookie, meant);
        return status;
}

TEST_WITH(virtqueue_model, random_nonsense, 0, 60000)
{
        uint32_t accepted = 0, reasons = 0;
        for (uint32_t round = 0; round < NONSENSE_ROUNDS && !test_has_failed(t); round++) {
                if (round % (NONSENSE_ROUNDS / 3) == 0) /* rings of 4, 16 and 64 */
                        model_init(t, 4u << 2 * (round / (NONSENSE_ROUNDS / 3)), false);
                nonsense_restart(t);
                if (test_has_failed(t))
                        return;
                accepted += nonsense_round(t) == ZX_OK;
                reasons |= 1u << model.ring.queue.fault.reason;
        }
        EXPECT_GT(accepted, 100);  /* the generator does hit good ones ... */
        EXPECT_EQ(reasons, 0x3fu); /* ... and every rule */
}
