/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_device_bench — what a chain costs that a driver has made available: the device's end.
 *
 * One iteration is one chain: popped and judged, its pieces walked over, pushed; after `batch` of
 * them published. The question whether to signal, with its full fence, is part of
 * virtqueue.transfer.*. The driver is a ring that was filled once: it only moves its index; of the
 * packed ring it writes every descriptor anew, which is measured with it. ".1" has one descriptor a
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

/* Makes the device and a driver's ring full of chains of `count` descriptors, one behind the
 * other. */
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
        bench_require(virtqueue_device_init(&device, &config) == ZX_OK, "virtqueue_device_init");
}

/* `count` chains of `descriptors` each, by a driver without any checks. */
static void offer_packed(uint32_t count, uint32_t descriptors)
{
        struct virtqueue_packed_descriptor *ring = (void *)area;
        for (uint32_t i = 0; i < count * descriptors; i++) {
                bool last = i % descriptors == descriptors - 1;
                uint32_t at = offer_place.offset;
                uint64_t flags = virtqueue_packed_available(offer_place.wrap) | (uint32_t)!last;
                shared_store_u64(&ring[at].address, RING_DEV + DATA_OFFSET + at * PIECE_BYTES);
                shared_store_release_u64(&ring[at].bytes,
                                         virtqueue_packed_rest(PIECE_BYTES, at, flags));
                virtqueue_packed_advance(&offer_place, 1, SIZE);
        }
}

static void offer(uint32_t count)
{
        struct virtqueue_avail *avail = (void *)&area[AVAIL_OFFSET];
        offered += count;
        shared_store_release_u16(&avail->index, (uint16_t)offered);
}

static void run(void *context, uint64_t iterations)
{
        const struct device_bench *bench = context;
        struct virtqueue_element pieces[SIZE];
        struct virtqueue_request request = {.elements = pieces, .elements_max = SIZE};
        uint32_t batch = bench->batch;
        open_queue(bench->descriptors, bench->packed);
        for (uint64_t i = 0; i < iterations; i += batch) {
                uint64_t sum = 0;
                if (bench->packed)
                        offer_packed(batch, bench->descriptors);
                else
                        offer(batch);
                for (uint32_t k = 0; k < batch; k++) {
                        bench_require(virtqueue_device_pop(&device, &request) == ZX_OK, "pop");
                        for (uint32_t piece = 0; piece < request.readable_count; piece++)
                                sum += pieces[piece].dev + pieces[piece].bytes;
                        virtqueue_device_push(&device, request.id, 0);
                }
                bench_keep(&sum);
                virtqueue_device_publish(&device);
        }
}

static void run_io(void *context, uint64_t iterations)
{
        const struct device_bench *bench = context;
        struct virtqueue_element pieces[SIZE];
        struct virtqueue_request request = {.elements = pieces, .elements_max = SIZE};
        struct virtqueue_chain_io io;
        struct virtqueue_chain_span span;
        uint32_t batch = bench->batch;
        open_queue(bench->descriptors, bench->packed);
        for (uint64_t i = 0; i < iterations; i += batch) {
                uint64_t sum = 0;
                offer(batch);
                for (uint32_t k = 0; k < batch; k++) {
                        bench_require(virtqueue_device_pop(&device, &request) == ZX_OK, "pop");
                        virtqueue_chain_io_init(&io, &device, &request);
                        while (virtqueue_chain_read_next(&io, UINT32_MAX, &span) == ZX_OK)
                                sum += (uintptr_t)span.va + span.bytes;
                        bench_require(virtqueue_chain_finish(&io) == VIRTQUEUE_CHAIN_COMPLETE,
                                      "finish");
                }
                bench_keep(&sum);
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
