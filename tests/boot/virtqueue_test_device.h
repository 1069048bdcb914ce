/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_test_device — a device's end of a split ring for tests, written from the standard and
 * not from our driver: it shares no code with lib/virtqueue, reads the ring through device
 * addresses only, and can be told to break every rule.
 *
 * Facts: Virtio 1.3, 2.7. Relies on world_pages(): a device address is not a pointer. */
#ifndef TESTS_BOOT_VIRTQUEUE_TEST_DEVICE_H
#define TESTS_BOOT_VIRTQUEUE_TEST_DEVICE_H

#include "base/bytes.h"
#include "base/shared.h"
#include "tests/expect.h"
#include "virtqueue/virtqueue_driver.h"

#define TEST_CHAIN_ELEMENTS_MAX 16

struct test_device {
        uint64_t descriptors_dev, avail_dev, used_dev;
        uint32_t size;
        bool event_index;
        uint16_t avail_seen; /* chains popped */
        uint16_t used_index; /* as written */
        uint16_t signalled;  /* used index at the last question whether to interrupt */
};

/* One chain as the device found it. */
struct test_request {
        uint16_t head;
        uint32_t count, readable_count;
        uint64_t readable_bytes, writable_bytes;
        struct virtqueue_element elements[TEST_CHAIN_ELEMENTS_MAX];
};

/* A queue, the memory behind it and the device at its other end. */
struct test_ring {
        struct virtqueue_driver queue;
        struct test_device device;
        struct virtqueue_driver_config config;
};

static inline void *test_device_at(uint64_t dev)
{
        return (void *)(uintptr_t)(dev + world_physmap_base());
}

static inline uint16_t test_device_u16(uint64_t dev)
{
        return shared_load_u16(test_device_at(dev));
}

/* An area that ends where its pages end, so that on the host one byte too far is a fault. */
static inline struct virtqueue_area test_area(struct test *t, uint64_t bytes, uint64_t alignment)
{
        uint64_t pages = div_round_up(bytes, PAGE_BYTES), pa;
        char *va = world_pages(t, pages, &pa);
        uint64_t offset = round_down(pages * PAGE_BYTES - bytes, alignment);
        return (struct virtqueue_area){.va = va + offset, .dev = pa + offset};
}

static inline void test_ring_reset_device(struct test_ring *ring)
{
        ring->device = (struct test_device){
                .descriptors_dev = ring->config.descriptors.dev,
                .avail_dev = ring->config.avail.dev,
                .used_dev = ring->config.used.dev,
                .size = ring->config.size,
                .event_index = ring->config.event_index,
        };
}

static inline bool test_ring_init(struct test *t, struct test_ring *ring, uint32_t size,
                                  bool event_index)
{
        ring->config = (struct virtqueue_driver_config){
                .size = size,
                .event_index = event_index,
                .descriptors = test_area(t, 16ull * size, 16),
                .avail = test_area(t, 6 + 2ull * size, 2),
                .used = test_area(t, 6 + 8ull * size, 4),
                .slots = test_area(t, size * sizeof(struct virtqueue_slot),
                                   sizeof(struct virtqueue_slot)).va,
        };
        test_ring_reset_device(ring);
        return EXPECT_OK(virtqueue_driver_init(&ring->queue, &ring->config));
}

/* Takes the next available chain; false: there is none.
 * A chain that breaks a rule fails the test. */
static inline bool test_device_pop(struct test *t, struct test_device *device,
                                   struct test_request *request)
{
        uint16_t index = shared_load_acquire_u16(test_device_at(device->avail_dev + 2));
        if (index == device->avail_seen)
                return false;
        if (!EXPECT_LE((uint16_t)(index - device->avail_seen), device->size))
                return false;
        *request = (struct test_request){0};
        uint32_t slot = device->avail_seen++ % device->size;
        uint16_t at = test_device_u16(device->avail_dev + 4 + 2 * slot), flags;
        request->head = at;
        do {
                uint64_t descriptor = device->descriptors_dev + 16ull * at;
                if (!EXPECT_LT(at, device->size) ||
                    !EXPECT_LT(request->count, TEST_CHAIN_ELEMENTS_MAX))
                        return false;
                struct virtqueue_element *element = &request->elements[request->count++];
                element->dev = shared_load_u64(test_device_at(descriptor));
                element->bytes = shared_load_u32(test_device_at(descriptor + 8));
                flags = test_device_u16(descriptor + 12);
                at = test_device_u16(descriptor + 14);
                EXPECT_NE(element->bytes, 0);
                EXPECT_EQ(flags & ~3, 0);
                if (flags & 2) {
                        request->writable_bytes += element->bytes;
                } else {
                        EXPECT_EQ(request->writable_bytes, 0); /* readable ones come first */
                        request->readable_bytes += element->bytes;
                        request->readable_count++;
                }
        } while (flags & 1);
        return true;
}

/* Writes a used entry; the driver does not see it before test_device_publish. */
static inline void test_device_push(struct test_device *device, uint32_t id, uint32_t bytes)
{
        uint64_t entry = device->used_dev + 4 + 8ull * (device->used_index % device->size);
        shared_store_u32(test_device_at(entry), id);
        shared_store_u32(test_device_at(entry + 4), bytes);
        device->used_index++;
}

static inline void test_device_publish(struct test_device *device)
{
        shared_store_release_u16(test_device_at(device->used_dev + 2), device->used_index);
}

/* Whether the driver wants an interrupt for what was published since the last question. */
static inline bool test_device_interrupts(struct test_device *device)
{
        uint16_t old = device->signalled, now = device->used_index;
        device->signalled = now;
        shared_fence_full();
        if (!device->event_index)
                return !(test_device_u16(device->avail_dev) & 1);
        uint16_t event = test_device_u16(device->avail_dev + 4 + 2ull * device->size);
        return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

static inline void test_device_set_flags(struct test_device *device, uint16_t flags)
{
        shared_store_u16(test_device_at(device->used_dev), flags);
}

static inline void test_device_set_avail_event(struct test_device *device, uint16_t event)
{
        shared_store_u16(test_device_at(device->used_dev + 4 + 8ull * device->size), event);
}

/* Adds a chain of `readable` and `writable` elements of 64 bytes at made-up device addresses. */
static inline zx_status_t test_ring_add(struct test_ring *ring, uint32_t readable,
                                        uint32_t writable, uintptr_t cookie)
{
        struct virtqueue_element elements[TEST_CHAIN_ELEMENTS_MAX];
        for (uint32_t i = 0; i < readable + writable; i++)
                elements[i] = (struct virtqueue_element){
                        .dev = 0x100000000ull * (i + 1) + cookie * 64, .bytes = 64};
        struct virtqueue_chain chain = {.elements = elements, .readable_count = readable,
                                        .writable_count = writable, .cookie = (void *)cookie};
        return virtqueue_driver_add(&ring->queue, &chain);
}

/* The device serves everything available, in order, each with `bytes` written; returns how many. */
static inline uint32_t test_device_serve(struct test *t, struct test_device *device, uint32_t bytes)
{
        struct test_request request;
        uint32_t count = 0;
        while (count <= device->size && test_device_pop(t, device, &request)) {
                test_device_push(device, request.head, bytes);
                count++;
        }
        test_device_publish(device);
        return count;
}

#endif
