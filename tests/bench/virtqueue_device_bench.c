/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_device_bench — what a chain costs that a driver has made available: the device's end.
 *
 * One iteration is one chain: popped and judged, its pieces walked over, pushed; after `batch` of
 * them published. With a batch of 1 the calls for single chains are measured, else those for many.
 * The question whether to signal, with its full fence, is part of virtqueue.transfer.*. The driver
 * is a ring that was filled once: it only moves its index; into the packed ring it copies the
 * descriptors of the lap, which is measured with it. ".1" has one descriptor a
 * chain, ".4" four. chain_io walks chains of one descriptor by virtqueue_chain_read_next(), through
 * a table of three regions. The yardstick copies the same bytes of descriptors and ring entries,
 * there and back. */
#include "base/bytes.h"
#include "tests/bench/bench.h"
#include "tests/bench/virtqueue_bench.h"
#include "virtqueue/virtqueue_chain.h"
#include "virtqueue/virtqueue_device.h"

#define SIZE 256u
#define AVAIL_OFFSET 4096u
#define USED_OFFSET 8192u
#define DATA_OFFSET 12288u
#define RING_DEV 0x100000ull
#define PIECE_BYTES 64u
#define BATCH_MAX 32u

struct device_bench {
        uint32_t descriptors; /* of a chain */
        uint32_t batch;
        bool packed;
};

static ALIGNED(4096) uint8_t area[65536];
static struct virtqueue_device_slot slots[SIZE];
static struct virtqueue_device device;
static uint64_t offered; /* chains, since the beginning */
static struct virtqueue_packed_place offer_place;

/* Three regions: what the rings and the data lie in is the last one. */
static const struct virtqueue_device_region regions[] = {
        {.dev = 0, .bytes = 0xa0000, .va = area},
        {.dev = 0x10000000, .bytes = 0x10000, .va = area},
        {.dev = RING_DEV, .bytes = sizeof(area), .va = area},
};
static const struct virtqueue_device_regions table = {.regions = regions,
                                                      .count = ARRAY_COUNT(regions)};

/* What the driver of a packed ring writes, lap after lap. */
static struct virtqueue_packed_descriptor laps[2][SIZE];

static void make_laps(uint32_t descriptors)
{
        for (uint32_t i = 0; i < 2 * SIZE; i++) {
                uint32_t at = i % SIZE;
                bool last = at % descriptors == descriptors - 1;
                laps[i / SIZE][at] = (struct virtqueue_packed_descriptor){
                        .address = RING_DEV + DATA_OFFSET + at * PIECE_BYTES,
                        .bytes = PIECE_BYTES,
                        .id = (uint16_t)at,
                        .flags = (uint16_t)(virtqueue_packed_available(i < SIZE) | !last),
                };
        }
}

/* Makes the device and a driver's ring full of chains of `count` descriptors,
 * one behind the other. */
static void open_queue(uint32_t count, bool packed)
{
        struct virtqueue_descriptor *descriptors = (void *)area;
        struct virtqueue_avail *avail = (void *)&area[AVAIL_OFFSET];
        struct virtqueue_device_config config = {
                .size = SIZE,
                .event_index = true,
                .packed = packed,
                .descriptors_dev = RING_DEV,
                .driver_dev = RING_DEV + AVAIL_OFFSET,
                .device_dev = RING_DEV + USED_OFFSET,
                .memory = {.translate = virtqueue_device_regions_translate, .context = &table},
                .slots = slots,
        };
        for (uint32_t i = 0; i < SIZE; i++) {
                bool last = i % count == count - 1;
                descriptors[i] = (struct virtqueue_descriptor){
                        .address = RING_DEV + DATA_OFFSET + i * PIECE_BYTES,
                        .bytes = PIECE_BYTES,
                        .flags = last ? 0 : VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT),
                        .next = last ? 0 : (uint16_t)(i + 1),
                };
                avail->ring[i] = (uint16_t)(i * count % SIZE);
        }
        avail->index = 0;
        offered = 0;
        if (packed)
                memset(area, 0, USED_OFFSET + PAGE_BYTES);
        offer_place = (struct virtqueue_packed_place){.wrap = true};
        make_laps(count);
        bench_require(virtqueue_device_init(&device, &config) == ZX_OK, "virtqueue_device_init");
}

/* `count` chains of `descriptors` each, by a driver without any checks that copies what it made
 * ready for this lap; the ring's size is a multiple of them all. */
static void offer_packed(uint32_t count, uint32_t descriptors)
{
        struct virtqueue_packed_descriptor *ring = (void *)area;
        uint32_t entries = count * descriptors, at = offer_place.offset;
        memcpy(&ring[at], &laps[!offer_place.wrap][at], entries * sizeof(*ring));
        bench_keep(ring);
        virtqueue_packed_advance(&offer_place, entries, SIZE);
}

static void offer(uint32_t count)
{
        struct virtqueue_avail *avail = (void *)&area[AVAIL_OFFSET];
        offered += count;
        shared_store_release_u16(&avail->index, (uint16_t)offered);
}

static struct virtqueue_element pieces[SIZE];
static struct virtqueue_request requests[BATCH_MAX];

static uint64_t walk(const struct virtqueue_request *request)
{
        const struct virtqueue_element *piece = request->elements;
        const struct virtqueue_element *end = piece + request->readable_count;
        uint64_t sum = 0;
        for (; piece != end; piece++)
                sum += piece->dev + piece->bytes;
        return sum;
}

/* Pops `count` chains, walks over their pieces, gives them back. */
static void serve(uint32_t count)
{
        struct virtqueue_request_batch batch = {.requests = requests,
                                                .requests_max = count,
                                                .elements = pieces,
                                                .elements_max = SIZE};
        uint64_t sum = 0;
        bench_require(virtqueue_device_pop_batch(&device, &batch) == ZX_OK && batch.count == count,
                      "pop");
        for (uint32_t i = 0; i < count; i++)
                sum += walk(&requests[i]);
        bench_keep((void *)(uintptr_t)sum);
        virtqueue_device_push_read(&device, requests, count);
        virtqueue_device_publish(&device);
}

static void serve_one(void)
{
        struct virtqueue_request request = {.elements = pieces, .elements_max = SIZE};
        bench_require(virtqueue_device_pop(&device, &request) == ZX_OK, "pop");
        uint64_t sum = walk(&request);
        bench_keep((void *)(uintptr_t)sum);
        virtqueue_device_push(&device, request.id, 0);
        virtqueue_device_publish(&device);
}

static void run(void *context, uint64_t iterations)
{
        const struct device_bench *bench = context;
        uint32_t batch = bench->batch;
        open_queue(bench->descriptors, bench->packed);
        for (uint64_t i = 0; i < iterations; i += batch) {
                if (bench->packed)
                        offer_packed(batch, bench->descriptors);
                else
                        offer(batch);
                if (batch == 1)
                        serve_one();
                else
                        serve(batch);
        }
}

static void run_io(void *context, uint64_t iterations)
{
        const struct device_bench *bench = context;
        struct virtqueue_chain_io io;
        struct virtqueue_chain_span span;
        struct virtqueue_request_batch batch = {.requests = requests,
                                                .requests_max = bench->batch,
                                                .elements = pieces,
                                                .elements_max = SIZE};
        open_queue(bench->descriptors, bench->packed);
        for (uint64_t i = 0; i < iterations; i += bench->batch) {
                uint64_t sum = 0;
                offer(bench->batch);
                bench_require(virtqueue_device_pop_batch(&device, &batch) == ZX_OK, "pop");
                for (uint32_t k = 0; k < batch.count; k++) {
                        virtqueue_chain_io_init(&io, &device, &requests[k]);
                        while (virtqueue_chain_read_next(&io, UINT32_MAX, &span) == ZX_OK)
                                sum += (uintptr_t)span.va + span.bytes;
                        bench_require(virtqueue_chain_finish(&io) == VIRTQUEUE_CHAIN_COMPLETE,
                                      "finish");
                }
                bench_keep((void *)(uintptr_t)sum);
                virtqueue_device_publish(&device);
        }
}

static void copy(void *context, uint64_t iterations)
{
        const struct device_bench *bench = context;
        static uint8_t there[VIRTQUEUE_DESCRIPTOR_BYTES * SIZE];
        size_t bytes = bench->descriptors * VIRTQUEUE_DESCRIPTOR_BYTES +
                       VIRTQUEUE_USED_ELEMENT_BYTES;
        for (uint64_t i = 0; i < iterations; i += bench->batch) {
                memcpy(there, area, bytes * bench->batch);
                bench_keep(there);
                memcpy(area, there, bytes * bench->batch);
                bench_keep(area);
        }
}

static struct device_bench one_by_one = {1, 1, false}, ones = {1, 32, false},
                           fours = {4, 32, false}, packed_ones = {1, 32, true},
                           packed_fours = {4, 32, true};

#define BENCH(name_, run_, context_)                                              \
        {.name = name_, .unit = "chain", .run = run_, .yardstick = copy,          \
         .yardstick_name = "copy", .context = context_}

void virtqueue_device_bench_register(void)
{
        static const struct bench benches[] = {
                BENCH("virtqueue.split.device.1.batch1", run, &one_by_one),
                BENCH("virtqueue.split.device.1.batch32", run, &ones),
                BENCH("virtqueue.split.device.4.batch32", run, &fours),
                BENCH("virtqueue.packed.device.1.batch32", run, &packed_ones),
                BENCH("virtqueue.packed.device.4.batch32", run, &packed_fours),
                BENCH("virtqueue.split.chain_io", run_io, &ones),
        };
        for (size_t i = 0; i < ARRAY_COUNT(benches); i++)
                bench_register(&benches[i]);
}
