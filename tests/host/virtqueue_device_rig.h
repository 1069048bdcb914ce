/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_device_rig — a driver's end of a split ring for tests, written from the standard and
 * not from our driver: it writes descriptors and indices as it is told, right or wrong.
 *
 *   RIG_RING_DEV   descriptors | avail | used, one region; the areas end where their pages end
 *   RIG_DATA_DEV   one page | RIG_STEP_BYTES bytes | one page     three regions in a row of driver
 *                  addresses, at unrelated places of our memory; then nothing
 *
 * Facts: Virtio 1.3, 2.7. */
#ifndef TESTS_HOST_VIRTQUEUE_DEVICE_RIG_H
#define TESTS_HOST_VIRTQUEUE_DEVICE_RIG_H

#include "base/bytes.h"
#include "tests/expect.h"
#include "virtqueue/virtqueue_chain.h"
#include "virtqueue/virtqueue_device.h"

#define RIG_DESC_DEV 0x10000000ull
#define RIG_AVAIL_DEV 0x20000000ull
#define RIG_USED_DEV 0x30000000ull
#define RIG_DATA_DEV 0x40000000ull
#define RIG_STEP_BYTES 24ull /* of the middle region: one descriptor and a half */
#define RIG_DATA_BYTES (2 * PAGE_BYTES + RIG_STEP_BYTES)
#define RIG_PIECES_MAX 64u

#define RIG_NEXT 1
#define RIG_WRITE 2
#define RIG_INDIRECT 4

struct rig {
        struct virtqueue_device device;
        struct virtqueue_device_config config;
        struct virtqueue_device_region regions[6];
        struct virtqueue_device_regions table;
        struct virtqueue_descriptor *descriptors;
        struct virtqueue_avail *avail;
        struct virtqueue_used *used;
        uint16_t avail_index;
        struct virtqueue_element pieces[RIG_PIECES_MAX];
        struct virtqueue_request request;
};

static inline uint64_t rig_page_end(uint64_t bytes)
{
        return round_up(bytes, PAGE_BYTES);
}

/* A region whose last byte is the last of its pages, so that one byte too far is a fault. */
static inline void *rig_region(struct test *t, struct virtqueue_device_region *region, uint64_t dev,
                               uint64_t bytes)
{
        char *va = world_pages(t, rig_page_end(bytes) / PAGE_BYTES, NULL);
        va += round_down(rig_page_end(bytes) - bytes, 4);
        *region = (struct virtqueue_device_region){.dev = dev, .bytes = bytes, .va = va};
        return va;
}

static inline struct virtqueue_device_memory rig_memory(const struct rig *rig)
{
        return (struct virtqueue_device_memory){.translate = virtqueue_device_regions_translate,
                                                .context = &rig->table};
}

/* Everything but the device itself. */
static inline void rig_prepare(struct test *t, struct rig *rig, uint32_t size)
{
        memset(rig, 0, sizeof(*rig));
        rig->descriptors = rig_region(t, &rig->regions[0], RIG_DESC_DEV, 16ull * size);
        rig->avail = rig_region(t, &rig->regions[1], RIG_AVAIL_DEV, round_up(6 + 2ull * size, 4));
        rig->used = rig_region(t, &rig->regions[2], RIG_USED_DEV, round_up(6 + 8ull * size, 4));
        rig_region(t, &rig->regions[3], RIG_DATA_DEV, PAGE_BYTES);
        rig_region(t, &rig->regions[4], RIG_DATA_DEV + PAGE_BYTES, RIG_STEP_BYTES);
        rig_region(t, &rig->regions[5], RIG_DATA_DEV + PAGE_BYTES + RIG_STEP_BYTES, PAGE_BYTES);
        rig->table = (struct virtqueue_device_regions){.regions = rig->regions, .count = 6};
        rig->config = (struct virtqueue_device_config){
                .size = size,
                .indirect = true,
                .descriptors_dev = RIG_DESC_DEV,
                .driver_dev = RIG_AVAIL_DEV,
                .device_dev = RIG_USED_DEV,
                .memory = rig_memory(rig),
                .slots = world_pages(t, rig_page_end(8ull * size) / PAGE_BYTES, NULL),
        };
        rig->request = (struct virtqueue_request){.elements = rig->pieces,
                                                  .elements_max = RIG_PIECES_MAX};
}

static inline bool rig_init(struct test *t, struct rig *rig, uint32_t size)
{
        rig_prepare(t, rig, size);
        return EXPECT_OK(virtqueue_device_init(&rig->device, &rig->config));
}

static inline void rig_describe(struct virtqueue_descriptor *descriptor, uint64_t dev,
                                uint32_t bytes, uint32_t flags_and_next)
{
        *descriptor = (struct virtqueue_descriptor){.address = dev,
                                                    .bytes = bytes,
                                                    .flags = (uint16_t)flags_and_next,
                                                    .next = (uint16_t)(flags_and_next >> 16)};
}

/* flags and next in one word, for rig_describe() */
static inline uint32_t rig_next(uint32_t next, uint32_t flags)
{
        return next << 16 | flags | RIG_NEXT;
}

/* Makes a head available at once. */
static inline void rig_offer(struct rig *rig, uint16_t head)
{
        rig->avail->ring[rig->avail_index % rig->config.size] = head;
        rig->avail_index++;
        shared_store_release_u16(&rig->avail->index, rig->avail_index);
}

/* Where the driver's byte `dev` of the data regions is; one past no region. */
static inline uint8_t *rig_at(const struct rig *rig, uint64_t dev)
{
        uint64_t mapped;
        return virtqueue_device_regions_translate(&rig->table, dev, 1, &mapped);
}

static inline zx_status_t rig_pop(struct rig *rig)
{
        return virtqueue_device_pop(&rig->device, &rig->request);
}

#endif
