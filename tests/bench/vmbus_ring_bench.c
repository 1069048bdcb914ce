/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_bench — what a packet costs that goes through a ring of 64 KiB, both ends on one
 * thread.
 *
 * One iteration is one packet: written with its payload copied in, committed, read, its payload
 * copied out, committed. ".batch16" commits once for 16 packets on each side. The yardstick copies
 * the same payload to an area as large as the ring and back, at offsets that move on as the ring's
 * do: the same cache lines, without the protocol. 16 packets of 4096 bytes do not fit 64 KiB; that
 * one case has 128 KiB. */
#include "tests/bench/bench.h"
#include "vmbus_ring/vmbus_ring.h"

#define RING_BYTES 65536u
#define RING_BYTES_MAX 131072u
#define PAYLOAD_BYTES_MAX 4096u
#define BATCH 16u

struct ring_bench {
        uint32_t payload_bytes;
        uint32_t ring_bytes;
        uint64_t signals;
};

static ALIGNED(4096) uint8_t control_page[PAGE_BYTES];
static ALIGNED(4096) uint8_t data_area[RING_BYTES_MAX];
static ALIGNED(64) uint8_t payload_in[PAYLOAD_BYTES_MAX];
static ALIGNED(64) uint8_t payload_out[PAYLOAD_BYTES_MAX];

struct ends {
        struct vmbus_sender sender;
        struct vmbus_receiver receiver;
        struct vmbus_send_position send;
        struct vmbus_receive_position receive;
};

static void open_ends(struct ends *ends, uint32_t ring_bytes)
{
        struct vmbus_memory memory;
        bench_require(vmbus_memory_init_flat(&memory, control_page, data_area, ring_bytes) == ZX_OK,
                      "vmbus_memory_init_flat");
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
        open_ends(&ends, bench->ring_bytes);
        struct vmbus_send_position send = ends.send;
        struct vmbus_receive_position receive = ends.receive;
        uint64_t signals = 0;
        for (uint64_t i = 0; i < iterations; i++) {
                send_one(&ends, &send, bench->payload_bytes, i);
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
        open_ends(&ends, bench->ring_bytes);
        struct vmbus_send_position send = ends.send;
        struct vmbus_receive_position receive = ends.receive;
        uint64_t signals = 0;
        for (uint64_t done = 0; done < iterations; done += BATCH) {
                uint64_t count = iterations - done < BATCH ? iterations - done : BATCH;
                for (uint64_t i = 0; i < count; i++)
                        send_one(&ends, &send, bench->payload_bytes, i);
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

static struct ring_bench contexts[] = {
        {0, RING_BYTES, 0},    {64, RING_BYTES, 0},       {1500, RING_BYTES, 0},
        {4096, RING_BYTES, 0}, {4096, RING_BYTES_MAX, 0},
};

#define SINGLE(name_, context_)                                                                    \
        {                                                                                          \
                .name = "vmbus_ring.flat." name_, .unit = "packet", .run = run_single,             \
                .yardstick = copy_single, .yardstick_name = "two memcpys", .context = (context_)   \
        }
#define BATCHED(name_, context_)                                                                   \
        {                                                                                          \
                .name = "vmbus_ring.flat." name_ ".batch16", .unit = "packet", .run = run_batch,   \
                .yardstick = copy_batch, .yardstick_name = "two memcpys", .context = (context_)    \
        }

static const struct bench benches[] = {
        SINGLE("0B", &contexts[0]),    BATCHED("0B", &contexts[0]),
        SINGLE("64B", &contexts[1]),   BATCHED("64B", &contexts[1]),
        SINGLE("1500B", &contexts[2]), BATCHED("1500B", &contexts[2]),
        SINGLE("4096B", &contexts[3]), BATCHED("4096B", &contexts[4]),
};

void vmbus_ring_bench_register(void)
{
        for (size_t i = 0; i < ARRAY_COUNT(benches); i++)
                bench_register(&benches[i]);
}
