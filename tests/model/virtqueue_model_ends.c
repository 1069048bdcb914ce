/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The two ends of a queue for the model, see virtqueue_model_ends.h: as a driver and a device use
 * lib/virtqueue, with one chain of a readable buffer at a time or as many as there is room for. */
#include "tests/model/virtqueue_model_ends.h"

#include "virtqueue/virtqueue_device.h"
#include "virtqueue/virtqueue_driver.h"

#define DEV 0x1000ull /* of the place; buffer n is at BUFFERS_DEV + n */
#define BUFFERS_DEV 0x100000ull
#define ANSWER 100u

static struct model_options options;
static struct virtqueue_driver driver;
static struct virtqueue_device device;
static struct virtqueue_slot slots[MODEL_SIZE];
static struct virtqueue_device_slot device_slots[MODEL_SIZE];
static const struct virtqueue_device_region region = {
        .dev = DEV, .bytes = MODEL_PLACE_BYTES, .va = model_place};
static const struct virtqueue_device_regions table = {.regions = &region, .count = 1};

static struct virtqueue_area area(uint32_t offset)
{
        return (struct virtqueue_area){.va = model_place + offset, .dev = DEV + offset};
}

void model_open(struct model_options chosen)
{
        options = chosen;
        struct virtqueue_driver_config driver_config = {
                .size = MODEL_SIZE,
                .packed = options.packed,
                .event_index = options.event_index,
                .in_order = options.in_order,
                .descriptors = area(MODEL_DESCRIPTORS),
                .avail = area(MODEL_DRIVER_AREA),
                .used = area(MODEL_DEVICE_AREA),
                .slots = slots,
        };
        struct virtqueue_device_config device_config = {
                .size = MODEL_SIZE,
                .packed = options.packed,
                .event_index = options.event_index,
                .in_order = options.in_order,
                .descriptors_dev = DEV + MODEL_DESCRIPTORS,
                .driver_dev = DEV + MODEL_DRIVER_AREA,
                .device_dev = DEV + MODEL_DEVICE_AREA,
                .memory = {.translate = virtqueue_device_regions_translate, .context = &table},
                .slots = device_slots,
        };
        model_require(virtqueue_driver_init(&driver, &driver_config) == ZX_OK, "driver init");
        model_require(virtqueue_device_init(&device, &device_config) == ZX_OK, "device init");
}

/* Adds chain `number`, whose buffer is the one of its place in the row; false: no room. */
static bool add(uint32_t number)
{
        uint32_t buffer = number % MODEL_SIZE;
        struct virtqueue_element element = {.dev = BUFFERS_DEV + buffer, .bytes = 1};
        struct virtqueue_chain chain = {
                .elements = &element, .writable_count = 1, .cookie = (void *)(uintptr_t)number};
        if (number >= driver.taken + MODEL_SIZE)
                return false;
        model_write_buffer(buffer, number);
        zx_status_t status = virtqueue_driver_add(&driver, &chain);
        model_require(status == ZX_OK, "add");
        return true;
}

static uint32_t take(uint32_t next)
{
        struct virtqueue_completion done[MODEL_SIZE];
        uint32_t count;
        zx_status_t status = virtqueue_driver_get(&driver, done, MODEL_SIZE, &count);
        model_require(status == (count != 0 ? ZX_OK : ZX_ERR_SHOULD_WAIT), "get");
        for (uint32_t i = 0; i < count; i++, next++) {
                model_require(done[i].cookie == (void *)(uintptr_t)next, "order");
                model_require(done[i].written_bytes == 1, "length");
                model_require(model_read_buffer(next % MODEL_SIZE) == next + ANSWER, "answer");
        }
        return count;
}

void model_drive(uint32_t first, uint32_t end)
{
        uint32_t added = first, taken = first;
        while (taken < end) {
                while (added < end && add(added))
                        added++;
                virtqueue_driver_publish(&driver);
                if (virtqueue_driver_kick_needed(&driver))
                        model_kick();
                uint32_t count = take(taken);
                taken += count;
                if (count != 0 || virtqueue_driver_ask(&driver, 1))
                        continue;
                model_await_signal();
                if (options.mute)
                        virtqueue_driver_mute(&driver);
        }
}

void model_serve(uint32_t count)
{
        struct virtqueue_element element;
        struct virtqueue_request request = {.elements = &element, .elements_max = 1};
        while (count != 0) {
                zx_status_t status = virtqueue_device_pop(&device, &request);
                if (status == ZX_ERR_SHOULD_WAIT) {
                        if (virtqueue_device_ask(&device))
                                continue;
                        model_await_kick();
                        if (options.mute)
                                virtqueue_device_mute(&device);
                        continue;
                }
                model_require(status == ZX_OK && request.writable_count == 1, "pop");
                uint32_t buffer = (uint32_t)(element.dev - BUFFERS_DEV);
                model_require(buffer < MODEL_SIZE, "buffer");
                model_write_buffer(buffer, model_read_buffer(buffer) + ANSWER);
                virtqueue_device_push(&device, request.id, 1);
                virtqueue_device_publish(&device);
                count--;
                if (virtqueue_device_signal_needed(&device))
                        model_signal();
        }
}
