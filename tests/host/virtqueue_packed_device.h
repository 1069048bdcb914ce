/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_packed_device — a device's end of a packed ring for tests, written from the standard
 * and not from lib/virtqueue: it reads the ring through device addresses only, and can be told to
 * break every rule. The split one is tests/boot/virtqueue_test_device.h.
 *
 * Facts: Virtio 1.3, 2.8. */
#ifndef TESTS_HOST_VIRTQUEUE_PACKED_DEVICE_H
#define TESTS_HOST_VIRTQUEUE_PACKED_DEVICE_H

#include "tests/boot/virtqueue_test_device.h"

struct packed_device {
        uint64_t ring_dev;
        uint32_t size;
        uint32_t next, used;       /* offsets: to look at, to write */
        unsigned next_wrap, used_wrap; /* counters */
        uint16_t count_of[32768];  /* by id: descriptors of the chain */
};

/* A queue, its memory and the device; too large for a stack. */
struct packed_ring {
        struct virtqueue_driver queue;
        struct virtqueue_driver_config config;
        struct packed_device device;
};

struct packed_options {
        uint32_t size, indirect_entries;
        bool event_index, in_order;
};

static inline void packed_reset_device(struct packed_ring *ring)
{
        struct packed_device *device = &ring->device;
        device->ring_dev = ring->config.descriptors.dev;
        device->size = ring->config.size;
        device->next = device->used = 0;
        device->next_wrap = device->used_wrap = 1;
}

static inline bool packed_init(struct test *t, struct packed_ring *ring,
                               struct packed_options options)
{
        uint32_t size = options.size;
        uint64_t tables_bytes = 16ull * size * options.indirect_entries;
        ring->config = (struct virtqueue_driver_config){
                .size = size,
                .packed = true,
                .event_index = options.event_index,
                .in_order = options.in_order,
                .indirect_entries = options.indirect_entries,
                .descriptors = test_area(t, 16ull * size, 16),
                .avail = test_area(t, 4, 4),
                .used = test_area(t, 4, 4),
                .slots = test_area(t, size * sizeof(struct virtqueue_slot), 32).va,
        };
        if (tables_bytes != 0)
                ring->config.tables = test_area(t, tables_bytes, 16);
        packed_reset_device(ring);
        return EXPECT_OK(virtqueue_driver_init(&ring->queue, &ring->config));
}

/* Takes the next available chain; false: there is none.
 * A chain that breaks a rule fails the test. */
static inline bool packed_pop(struct test *t, struct packed_ring *ring,
                              struct test_request *request)
{
        struct packed_device *device = &ring->device;
        uint16_t flags, count = 0;
        *request = (struct test_request){0};
        do {
                uint64_t at = device->ring_dev + 16ull * device->next;
                flags = test_device_u16(at + 14);
                unsigned avail = flags >> 7 & 1, used = flags >> 15;
                if (avail != device->next_wrap || used == device->next_wrap) {
                        EXPECT_EQ(count, 0); /* a chain is there as a whole or not */
                        return false;
                }
                if (!EXPECT_EQ(flags & 0x7f78, 0))
                        return false;
                uint64_t list = at;
                uint32_t entries = 1;
                if (flags & 4) { /* a table: all of it, in its order */
                        list = shared_load_u64(test_device_at(at));
                        entries = shared_load_u32(test_device_at(at + 8)) / 16;
                        EXPECT_EQ(flags & 1, 0);
                }
                for (uint32_t i = 0; i < entries; i++, list += 16) {
                        bool writable = test_device_u16(list + 14) & 2;
                        struct virtqueue_element *element = &request->elements[request->count++];
                        element->dev = shared_load_u64(test_device_at(list));
                        element->bytes = shared_load_u32(test_device_at(list + 8));
                        *(writable ? &request->writable_bytes : &request->readable_bytes) +=
                                element->bytes;
                        request->readable_count += !writable;
                        EXPECT_TRUE(writable || request->writable_bytes == 0);
                }
                request->head = test_device_u16(at + 12); /* the last one's id counts */
                count++;
                if (++device->next == device->size) {
                        device->next = 0;
                        device->next_wrap ^= 1;
                }
        } while (flags & 1);
        if (!EXPECT_LT(request->head, device->size))
                return false;
        device->count_of[request->head] = count;
        return true;
}

/* Writes a used descriptor and makes it seen; the next one goes `skip` further. */
static inline void packed_use(struct packed_ring *ring, uint16_t id, uint32_t bytes, uint32_t skip)
{
        struct packed_device *device = &ring->device;
        uint64_t at = device->ring_dev + 16ull * device->used;
        shared_store_u32(test_device_at(at + 8), bytes);
        shared_store_u16(test_device_at(at + 12), id);
        shared_store_release_u16(test_device_at(at + 14),
                                 (device->used_wrap ? 0x8080 : 0) | (bytes != 0 ? 2 : 0));
        device->used += skip;
        if (device->used >= device->size) {
                device->used -= device->size;
                device->used_wrap ^= 1;
        }
}

static inline void packed_push(struct packed_ring *ring, uint16_t id, uint32_t bytes)
{
        packed_use(ring, id, bytes, ring->device.count_of[id]);
}

/* The device serves everything available, in order, each with `bytes` written; returns how many. */
static inline uint32_t packed_serve(struct test *t, struct packed_ring *ring, uint32_t bytes)
{
        struct test_request request;
        uint32_t count = 0;
        while (count <= ring->device.size && packed_pop(t, ring, &request)) {
                packed_push(ring, request.head, request.writable_bytes != 0 ? bytes : 0);
                count++;
        }
        return count;
}

/* Adds a chain of `readable` and `writable` elements of 64 bytes at made-up device addresses. */
static inline zx_status_t packed_add(struct packed_ring *ring, uint32_t readable, uint32_t writable,
                                     uintptr_t cookie)
{
        struct virtqueue_element elements[TEST_CHAIN_ELEMENTS_MAX];
        for (uint32_t i = 0; i < readable + writable; i++)
                elements[i] = (struct virtqueue_element){
                        .dev = 0x100000000ull * (i + 1) + cookie * 64, .bytes = 64};
        struct virtqueue_chain chain = {.elements = elements, .readable_count = readable,
                                        .writable_count = writable, .cookie = (void *)cookie};
        return virtqueue_driver_add(&ring->queue, &chain);
}

#endif
