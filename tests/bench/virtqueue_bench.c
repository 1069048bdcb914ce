/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_bench — what a buffer costs that goes to a device and comes back, driver's end.
 *
 * One iteration is one chain: added, published with 63 others, taken back with them; the question
 * whether to notify is asked once a batch, full fence included. A device that only copies heads
 * from the avail ring to the used ring (packed: writes used descriptors) is measured with it. ".1"
 * has one descriptor a chain, ".2" two. The yardstick copies the same bytes of descriptors and ring
 * entries, there and back, without the protocol. */
#include "base/bytes.h"
#include "base/shared.h"
#include "tests/bench/bench.h"
#include "tests/bench/virtqueue_bench.h"
#include "virtqueue/virtqueue_driver.h"

#define SIZE 256u
#define BATCH 64u

struct queue_bench {
        uint32_t elements; /* of a chain */
        bool packed;
};

static ALIGNED(4096) uint8_t descriptors[VIRTQUEUE_DESCRIPTOR_BYTES * SIZE];
static ALIGNED(4096) uint8_t avail_area[8192], used_area[8192];
static struct virtqueue_slot slots[SIZE];
static struct virtqueue_driver queue;

static uint32_t used_position; /* where the device of the packed ring writes; runs freely */

static void open_queue(bool packed)
{
        used_position = 0;
        struct virtqueue_driver_config config = {
                .size = SIZE,
                .event_index = true,
                .packed = packed,
                .descriptors = {.va = descriptors, .dev = 0x100000},
                .avail = {.va = avail_area, .dev = 0x200000},
                .used = {.va = used_area, .dev = 0x300000},
                .slots = slots,
        };
        bench_require(virtqueue_driver_init(&queue, &config) == ZX_OK, "virtqueue_driver_init");
}

/* Gives every chain of the batch straight back. */
static void device_serves(uint16_t index)
{
        const struct virtqueue_avail *avail = queue.avail;
        struct virtqueue_used *used = queue.used;
        for (uint16_t i = 0; i < BATCH; i++, index++)
                used->ring[index % SIZE].id = avail->ring[index % SIZE];
        bench_keep(used);
        used->index = index;
}

static void packed_device_serves(uint32_t count)
{
        struct virtqueue_packed_descriptor *ring = (void *)descriptors;
        uint32_t position = used_position;
        for (uint32_t i = 0; i < BATCH; i++, position += count) {
                uint16_t id = ring[(position + count - 1) % SIZE].id;
                uint16_t flags = virtqueue_packed_used(position / SIZE % 2 == 0);
                shared_store_u64(&ring[position % SIZE].bytes, virtqueue_packed_rest(0, id, flags));
        }
        used_position = position;
        bench_keep(ring);
}

/* What a user has: where its buffers are, and a chain for each. */
static struct virtqueue_element elements[BATCH][2];
static struct virtqueue_chain chains[BATCH];

static void make_chains(const struct queue_bench *bench)
{
        for (uintptr_t i = 0; i < BATCH; i++) {
                elements[i][0] = (struct virtqueue_element){.dev = 0x1000000, .bytes = 12};
                elements[i][1] = (struct virtqueue_element){.dev = 0x2000000, .bytes = 1514};
                chains[i] = (struct virtqueue_chain){.elements = elements[i],
                                                     .readable_count = bench->elements};
        }
}

static void run_batch(const struct queue_bench *bench)
{
        struct virtqueue_completion done[BATCH];
        uint16_t index = (uint16_t)queue.added;
        uint32_t count;
        for (uintptr_t i = 0; i < BATCH; i++) {
                elements[i][0].dev += 4096;
                chains[i].cookie = (void *)i;
        }
        bench_keep(chains);
        bench_require(virtqueue_driver_add_batch(&queue, chains, BATCH, &count) == ZX_OK, "add");
        virtqueue_driver_publish(&queue);
        bool kick = virtqueue_driver_kick_needed(&queue);
        bench_keep(&kick);
        if (bench->packed)
                packed_device_serves(bench->elements);
        else
                device_serves(index);
        bench_require(virtqueue_driver_get(&queue, done, BATCH, &count) == ZX_OK && count == BATCH,
                      "get");
        bench_keep(done);
}

static void run(void *context, uint64_t iterations)
{
        const struct queue_bench *bench = context;
        open_queue(bench->packed);
        make_chains(bench);
        for (uint64_t i = 0; i < iterations; i += BATCH)
                run_batch(bench);
}

static void copy(void *context, uint64_t iterations)
{
        const struct queue_bench *bench = context;
        static uint8_t there[VIRTQUEUE_DESCRIPTOR_BYTES * SIZE];
        size_t bytes =
                (bench->elements * VIRTQUEUE_DESCRIPTOR_BYTES + VIRTQUEUE_USED_ELEMENT_BYTES) *
                (size_t)BATCH;
        for (uint64_t i = 0; i < iterations; i += BATCH) {
                memcpy(there, descriptors, bytes);
                bench_keep(there);
                memcpy(descriptors, there, bytes);
                bench_keep(descriptors);
        }
}

static struct queue_bench one = {1, false}, two = {2, false}, packed_one = {1, true},
                          packed_two = {2, true};

#define BENCH(name_, context_)                                                    \
        {.name = name_, .unit = "buffer", .run = run, .yardstick = copy,          \
         .yardstick_name = "copy", .context = context_}

void virtqueue_bench_register(void)
{
        static const struct bench benches[] = {
                BENCH("virtqueue.split.driver.1", &one),
                BENCH("virtqueue.split.driver.2", &two),
                BENCH("virtqueue.packed.driver.1", &packed_one),
                BENCH("virtqueue.packed.driver.2", &packed_two),
        };
        for (size_t i = 0; i < ARRAY_COUNT(benches); i++)
                bench_register(&benches[i]);
        virtqueue_device_bench_register();
        virtqueue_transfer_bench_register();
}
