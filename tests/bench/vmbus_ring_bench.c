/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_bench — what a packet costs that goes through a ring of 64 KiB, both ends on one
 * thread.
 *
 * One iteration is one packet: written with its payload copied in, committed, read, its payload
 * copied out, committed. ".batch16" commits once for 16 packets on each side. "flat", "paged" and
 * "mirrored" are the kinds of data area. The receiver's commits find no producer that waits, and so
 * take a full fence twice in a ring (see vmbus_receiver_commit()); ".settled" are the same packets
 * with the receiver asleep and awake again around each, which takes the fence every time.
 *
 * "transfer_pages.64" is one range of a packet with 64, "gpa_direct.32" a packet with one range
 * of 32 pages, "gpa_direct.32x1" one with 32 ranges of a page: written, committed, read, decoded,
 * committed. Their yardstick copies the same external header in and out. "floor" stores and loads
 * the same words in the same orders, with the same fence, and checks nothing: what this machine
 * takes for a packet at least. (Its batches go round a smaller part of the ring.)
 *
 * The yardstick copies the same payload to an area as large as the ring and back, at offsets that
 * move on as the ring's do: the same cache lines, without the protocol. "one_place" are the same
 * two copies to one place and back: the difference is what a ring of 64 KiB, more than the first
 * cache holds, and payloads that begin anywhere in a cache line take, whoever copies. 16 packets
 * of 4096 bytes do not fit 64 KiB; that one case has 128 KiB. */
#include "tests/bench/bench.h"
#include "vmbus_ring/vmbus_ring.h"

#define RING_BYTES 65536u
#define RING_BYTES_MAX 131072u
#define PAYLOAD_BYTES_MAX 4096u
#define BATCH 16u
/* The words in front of the payload that such packets have beyond a descriptor. */
#define GPA_32_BYTES (8 + (1 + 32) * 8)
#define TRANSFER_64_BYTES (8 + 64 * 8)

enum backing { FLAT, PAGED, MIRRORED };

struct ring_bench {
        enum backing backing;
        uint32_t payload_bytes;
        uint32_t ring_bytes;
        uint64_t signals;
};

static ALIGNED(4096) uint8_t control_page[PAGE_BYTES];
static ALIGNED(4096) uint8_t flat_area[RING_BYTES_MAX];
/* The first byte of the ring under test, for the yardstick. */
static uint8_t *data_area = flat_area;
static void *pages[RING_BYTES_MAX / PAGE_BYTES];
static ALIGNED(64) uint8_t payload_in[PAYLOAD_BYTES_MAX];
static ALIGNED(64) uint8_t payload_out[PAYLOAD_BYTES_MAX];

struct ends {
        struct vmbus_sender sender;
        struct vmbus_receiver receiver;
        struct vmbus_send_position send;
        struct vmbus_receive_position receive;
};

static zx_status_t open_memory(struct vmbus_memory *memory, const struct ring_bench *bench)
{
        uint32_t page_count = bench->ring_bytes / PAGE_BYTES;
        if (bench->backing == MIRRORED)
                return vmbus_memory_init_mirrored(memory, control_page,
                                                  bench_mirror(bench->ring_bytes),
                                                  bench->ring_bytes);
        if (bench->backing == FLAT)
                return vmbus_memory_init_flat(memory, control_page, flat_area, bench->ring_bytes);
        /* Pages in an order that no prefetcher expects: 7 is prime to the powers of two. */
        for (uint32_t i = 0; i < page_count; i++)
                pages[i] = flat_area + i * 7 % page_count * PAGE_BYTES;
        return vmbus_memory_init_paged(memory, control_page, pages, page_count);
}

static void open_ends(struct ends *ends, const struct ring_bench *bench)
{
        struct vmbus_memory memory;
        bench_require(open_memory(&memory, bench) == ZX_OK, "vmbus_memory_init");
        data_area = memory.data != NULL ? memory.data : flat_area;
        memset(payload_in, 0x5a, sizeof(payload_in));
        vmbus_memory_reset(&memory);
        vmbus_sender_init(&ends->sender, &memory);
        vmbus_receiver_init(&ends->receiver, &memory);
        bench_require(vmbus_sender_position(&ends->sender, &ends->send) == VMBUS_OK, "sender");
        bench_require(vmbus_receiver_position(&ends->receiver, &ends->receive) == VMBUS_OK,
                      "receiver");
}

static ALWAYS_INLINE void send_one(struct ends *ends, struct vmbus_send_position *send,
                                   uint32_t payload_bytes, uint64_t id)
{
        const struct vmbus_outgoing packet = {
                .kind = VMBUS_SEND_IN_BAND, .payload_bytes = payload_bytes, .transaction_id = id};
        struct vmbus_range payload;
        enum vmbus_result result = vmbus_sender_write(&ends->sender, send, &packet, &payload);
        bench_require(result == VMBUS_OK, "write");
        struct vmbus_writer writer = vmbus_sender_writer(&ends->sender, &payload);
        result = vmbus_writer_write(&writer, payload_in, payload_bytes);
        bench_require(result == VMBUS_OK, "payload in");
}

static ALWAYS_INLINE void receive_one(struct ends *ends, struct vmbus_receive_position *receive)
{
        struct vmbus_incoming packet;
        enum vmbus_result result = vmbus_receiver_read(&ends->receiver, receive, &packet);
        bench_require(result == VMBUS_OK, "read");
        result = vmbus_receiver_copy(&ends->receiver, &packet.payload, payload_out,
                                     PAYLOAD_BYTES_MAX);
        bench_require(result == VMBUS_OK, "payload out");
}

static void run_single(void *context, uint64_t iterations)
{
        struct ring_bench *bench = context;
        struct ends ends;
        open_ends(&ends, bench);
        struct vmbus_send_position send = ends.send;
        struct vmbus_receive_position receive = ends.receive;
        uint64_t signals = 0;
        uint32_t bytes = bench->payload_bytes;
        for (uint64_t i = 0; i < iterations; i++) {
                send_one(&ends, &send, bytes, i);
                signals += vmbus_sender_commit(&ends.sender, &send);
                receive_one(&ends, &receive);
                signals += vmbus_receiver_commit(&ends.receiver, &receive);
        }
        bench->signals += signals;
        bench_keep(payload_out);
}

static void run_batch(void *context, uint64_t iterations)
{
        struct ring_bench *bench = context;
        struct ends ends;
        open_ends(&ends, bench);
        struct vmbus_send_position send = ends.send;
        struct vmbus_receive_position receive = ends.receive;
        uint64_t signals = 0;
        uint32_t bytes = bench->payload_bytes;
        for (uint64_t done = 0; done < iterations; done += BATCH) {
                uint64_t count = iterations - done < BATCH ? iterations - done : BATCH;
                for (uint64_t i = 0; i < count; i++)
                        send_one(&ends, &send, bytes, i);
                signals += vmbus_sender_commit(&ends.sender, &send);
                for (uint64_t i = 0; i < count; i++)
                        receive_one(&ends, &receive);
                signals += vmbus_receiver_commit(&ends.receiver, &receive);
        }
        bench->signals += signals;
        bench_keep(payload_out);
}

/* Where the next packet of the ring would begin; near enough, and without a seam. */
static inline uint32_t walk(const struct ring_bench *bench, uint32_t offset)
{
        uint32_t next = offset + (uint32_t)VMBUS_IN_BAND_BYTES(bench->payload_bytes);
        return next + bench->payload_bytes <= bench->ring_bytes ? next : 0;
}

static void copy_single(void *context, uint64_t iterations)
{
        const struct ring_bench *bench = context;
        uint32_t offset = 0;
        for (uint64_t i = 0; i < iterations; i++) {
                memcpy(data_area + offset, payload_in, bench->payload_bytes);
                bench_keep(data_area);
                memcpy(payload_out, data_area + offset, bench->payload_bytes);
                bench_keep(payload_out);
                offset = walk(bench, offset);
        }
}

static void copy_in_place(void *context, uint64_t iterations)
{
        const struct ring_bench *bench = context;
        for (uint64_t i = 0; i < iterations; i++) {
                memcpy(flat_area, payload_in, bench->payload_bytes);
                bench_keep(flat_area);
                memcpy(payload_out, flat_area, bench->payload_bytes);
                bench_keep(payload_out);
        }
}

static void copy_batch(void *context, uint64_t iterations)
{
        const struct ring_bench *bench = context;
        uint32_t in = 0, out = 0;
        for (uint64_t done = 0; done < iterations; done += BATCH) {
                uint64_t count = iterations - done < BATCH ? iterations - done : BATCH;
                for (uint64_t i = 0; i < count; i++) {
                        memcpy(data_area + in, payload_in, bench->payload_bytes);
                        bench_keep(data_area);
                        in = walk(bench, in);
                }
                for (uint64_t i = 0; i < count; i++) {
                        memcpy(payload_out, data_area + out, bench->payload_bytes);
                        bench_keep(payload_out);
                        out = walk(bench, out);
                }
        }
}

/* As run_single(), and the receiver is about to sleep each time. */
static void run_settled(void *context, uint64_t iterations)
{
        struct ring_bench *bench = context;
        struct ends ends;
        open_ends(&ends, bench);
        struct vmbus_send_position send = ends.send;
        struct vmbus_receive_position receive = ends.receive;
        uint64_t signals = 0;
        uint32_t bytes = bench->payload_bytes;
        for (uint64_t i = 0; i < iterations; i++) {
                send_one(&ends, &send, bytes, i);
                signals += vmbus_sender_commit(&ends.sender, &send);
                receive_one(&ends, &receive);
                signals += vmbus_receiver_commit(&ends.receiver, &receive);
                signals += vmbus_receiver_commit(&ends.receiver, &receive); /* settles */
        }
        bench->signals += signals;
        bench_keep(payload_out);
}

/* The same words stored and loaded in the same orders, with nothing checked and nothing decided:
 * what a ring with a signal rule costs at least on this machine. Flat, and a packet never wraps. */
static ALWAYS_INLINE void floor_loop(const struct ring_bench *bench, uint64_t iterations,
                                     uint64_t batch)
{
        struct vmbus_control_page *control = (struct vmbus_control_page *)(void *)control_page;
        uint32_t bytes = bench->payload_bytes, seen = 0;
        uint32_t total = (uint32_t)VMBUS_IN_BAND_BYTES(bytes), in = 0, out = 0;
        uint32_t end = bench->ring_bytes - batch * total;
        for (uint64_t done = 0; done < iterations; done += batch) {
                for (uint64_t i = 0; i < batch; i++, in += total) {
                        uint8_t *at = flat_area + in;
                        shared_store_u64(at, total);
                        shared_store_u64(at + 8, i);
                        shared_store_u64(at + total - 8, in);
                        if (bytes != 0)
                                shared_copy_out(at + VMBUS_DESCRIPTOR_BYTES, payload_in, bytes);
                }
                shared_store_release_u32(&control->in, in);
                shared_fence_full();
                seen |= shared_load_acquire_u32(&control->interrupt_mask);
                seen |= shared_load_u32(&control->out);
                seen |= shared_load_acquire_u32(&control->in);
                for (uint64_t i = 0; i < batch; i++, out += total) {
                        uint8_t *at = flat_area + out;
                        seen |= (uint32_t)shared_load_u64(at) | (uint32_t)shared_load_u64(at + 8);
                        if (bytes != 0)
                                shared_copy_in(payload_out, at + VMBUS_DESCRIPTOR_BYTES, bytes);
                }
                shared_store_release_u32(&control->out, out);
                seen |= shared_load_u32(&control->pending_send_size);
                if (in > end)
                        in = out = 0;
        }
        bench_keep(&seen);
        bench_keep(payload_out);
}

static void run_floor(void *context, uint64_t iterations)
{
        floor_loop(context, iterations, 1);
}

static void run_floor_batch(void *context, uint64_t iterations)
{
        floor_loop(context, iterations, BATCH);
}

/* ---- external data ---- */

struct external_bench {
        struct ring_bench ring;
        uint32_t ranges, pages_a_range;
};

static ALIGNED(64) uint64_t words_in[64], words_out[64];

/* Fills words_in as the ranges of a packet, and makes the packet. */
static void make_external(const struct external_bench *bench, struct vmbus_outgoing *packet,
                          struct vmbus_gpa_list *list)
{
        static uint64_t numbers[32];
        vmbus_gpa_list_init(list, words_in, ARRAY_COUNT(words_in));
        *packet = (struct vmbus_outgoing){.kind = VMBUS_SEND_GPA_DIRECT, .gpa = list};
        for (uint32_t i = 0; bench->pages_a_range != 0 && i < bench->ranges; i++) {
                struct vmbus_gpa_range range = {
                        .byte_count = bench->pages_a_range * (uint32_t)PAGE_BYTES,
                        .page_count = bench->pages_a_range,
                        .pages = numbers};
                bench_require(vmbus_gpa_list_push(list, &range) == ZX_OK, "push");
        }
        if (bench->pages_a_range != 0)
                return;
        struct vmbus_transfer_range *ranges = (struct vmbus_transfer_range *)(void *)words_in;
        for (uint32_t i = 0; i < bench->ranges; i++)
                ranges[i] = (struct vmbus_transfer_range){1514, i * 2048};
        *packet = (struct vmbus_outgoing){.kind = VMBUS_SEND_TRANSFER_PAGES,
                                          .transfer = ranges,
                                          .transfer_count = bench->ranges,
                                          .transfer_page_set_id = 0xcafe};
}

static void decode(struct ends *ends, const struct external_bench *bench,
                   const struct vmbus_incoming *packet)
{
        struct vmbus_transfer_list transfer = {.ranges = (void *)words_out,
                                               .capacity = ARRAY_COUNT(words_out),
                                               .buffer_bytes = 1u << 20};
        struct vmbus_gpa_list list;
        enum vmbus_result result;
        if (bench->pages_a_range == 0) {
                result = vmbus_receiver_transfer_ranges(&ends->receiver, packet, &transfer);
        } else {
                vmbus_gpa_list_init(&list, words_out, ARRAY_COUNT(words_out));
                result = vmbus_receiver_gpa_ranges(&ends->receiver, packet, &list);
        }
        bench_require(result == VMBUS_OK, "decode");
}

/* One iteration is a packet, or for transfer pages one range of it. */
static void run_external(void *context, uint64_t iterations)
{
        struct external_bench *bench = context;
        uint64_t step = bench->pages_a_range == 0 ? bench->ranges : 1, signals = 0;
        struct vmbus_outgoing packet;
        struct vmbus_gpa_list list;
        struct ends ends;
        open_ends(&ends, &bench->ring);
        make_external(bench, &packet, &list);
        for (uint64_t i = 0; i < iterations; i += step) {
                struct vmbus_incoming incoming;
                struct vmbus_range payload;
                bench_require(vmbus_sender_write(&ends.sender, &ends.send, &packet, &payload) ==
                                      VMBUS_OK,
                              "write");
                signals += vmbus_sender_commit(&ends.sender, &ends.send);
                bench_require(vmbus_receiver_take(&ends.receiver, &ends.receive, &incoming) ==
                                      VMBUS_OK,
                              "read");
                decode(&ends, bench, &incoming);
                signals += vmbus_receiver_commit(&ends.receiver, &ends.receive);
        }
        bench->ring.signals += signals;
        bench_keep(words_out);
}

static void copy_external(void *context, uint64_t iterations)
{
        const struct external_bench *bench = context;
        uint64_t step = bench->pages_a_range == 0 ? bench->ranges : 1;
        uint32_t bytes = bench->ranges * (1 + bench->pages_a_range) * 8, offset = 0;
        for (uint64_t i = 0; i < iterations; i += step) {
                memcpy(data_area + offset, words_in, bytes);
                bench_keep(data_area);
                memcpy(words_out, data_area + offset, bytes);
                bench_keep(words_out);
                offset = (offset + bytes + 32) % (RING_BYTES / 2);
        }
}

static struct ring_bench contexts[3][7] = {
#define CONTEXTS(backing_)                                                                         \
        {{backing_, 0, RING_BYTES, 0},                                                             \
         {backing_, 64, RING_BYTES, 0},                                                            \
         {backing_, 1500, RING_BYTES, 0},                                                          \
         {backing_, 4096, RING_BYTES, 0},                                                          \
         {backing_, 4096, RING_BYTES_MAX, 0},                                                      \
         {backing_, GPA_32_BYTES, RING_BYTES, 0},                                                  \
         {backing_, TRANSFER_64_BYTES, RING_BYTES, 0}}
        CONTEXTS(FLAT), CONTEXTS(PAGED), CONTEXTS(MIRRORED)};

static struct external_bench transfer_64 = {{FLAT, 0, RING_BYTES, 0}, 64, 0};
static struct external_bench direct_32 = {{FLAT, 0, RING_BYTES, 0}, 1, 32};
static struct external_bench direct_32x1 = {{FLAT, 0, RING_BYTES, 0}, 32, 1};

#define RING(name_, run_, copy_, context_)                                                         \
        {                                                                                          \
                .name = "vmbus_ring." name_, .unit = "packet", .run = (run_), .yardstick = (copy_),\
                .yardstick_name = "two memcpys", .context = (context_)                             \
        }
#define EACH_SIZE(name_, backing_)                                                                 \
        RING(name_ ".0B", run_single, copy_single, &contexts[backing_][0]),                        \
        RING(name_ ".0B.batch16", run_batch, copy_batch, &contexts[backing_][0]),                  \
        RING(name_ ".64B", run_single, copy_single, &contexts[backing_][1]),                       \
        RING(name_ ".64B.batch16", run_batch, copy_batch, &contexts[backing_][1]),                 \
        RING(name_ ".1500B", run_single, copy_single, &contexts[backing_][2]),                     \
        RING(name_ ".1500B.batch16", run_batch, copy_batch, &contexts[backing_][2]),               \
        RING(name_ ".4096B", run_single, copy_single, &contexts[backing_][3]),                     \
        RING(name_ ".4096B.batch16", run_batch, copy_batch, &contexts[backing_][4])
#define EXTERNAL(name_, unit_, context_)                                                           \
        {                                                                                          \
                .name = "vmbus_ring." name_, .unit = unit_, .run = run_external,                   \
                .yardstick = copy_external, .yardstick_name = "two memcpys", .context = (context_) \
        }

static const struct bench benches[] = {
        EACH_SIZE("flat", FLAT),
        EACH_SIZE("paged", PAGED),
        EACH_SIZE("mirrored", MIRRORED),
        RING("floor.0B", run_floor, copy_single, &contexts[FLAT][0]),
        RING("floor.0B.batch16", run_floor_batch, copy_batch, &contexts[FLAT][0]),
        RING("floor.64B", run_floor, copy_single, &contexts[FLAT][1]),
        RING("floor.64B.batch16", run_floor_batch, copy_batch, &contexts[FLAT][1]),
        RING("floor.1500B", run_floor, copy_single, &contexts[FLAT][2]),
        RING("floor.1500B.batch16", run_floor_batch, copy_batch, &contexts[FLAT][2]),
        RING("floor.4096B", run_floor, copy_single, &contexts[FLAT][3]),
        RING("floor.4096B.batch16", run_floor_batch, copy_batch, &contexts[FLAT][4]),
        RING("floor.gpa_direct.32", run_floor, copy_single, &contexts[FLAT][5]),
        RING("floor.transfer_pages.64", run_floor, copy_single, &contexts[FLAT][6]),
        RING("one_place.64B", copy_in_place, copy_single, &contexts[FLAT][1]),
        RING("one_place.1500B", copy_in_place, copy_single, &contexts[FLAT][2]),
        RING("one_place.4096B", copy_in_place, copy_single, &contexts[FLAT][3]),
        RING("flat.64B.settled", run_settled, copy_single, &contexts[FLAT][1]),
        EXTERNAL("gpa_direct.32", "packet", &direct_32),
        EXTERNAL("gpa_direct.32x1", "packet", &direct_32x1),
        EXTERNAL("transfer_pages.64", "range", &transfer_64),
};

void vmbus_ring_bench_register(void)
{
        for (size_t i = 0; i < ARRAY_COUNT(benches); i++)
                bench_register(&benches[i]);
}
