/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Two guests with this image whose network cards are tied together exchange frames, both ways at
 * once: each frame has a number, a length and a content of its own, and a checksum. None may be
 * lost, come twice, come out of order or be changed. On request, because it needs the other guest
 * (tests/harness/test_net_pair.py starts both):
 *
 *   test=net_pair.exchange net_pair.frames=1000000
 *
 *   HELLO  until the other one has said that it hears us      every few ms, may be lost
 *   DATA   net_pair.frames of them                            as fast as the card takes them
 *   DONE   until the other one has all, and has said so       every few ms, may be lost */
#include "tests/expect.h"

#include <string.h>

#include "base/bytes.h"
#include "drivers/netdev/netdev.h"
#include "kernel/aspace.h"
#include "kernel/cmdline.h"
#include "kernel/memory.h"
#include "kernel/time.h"

#define FRAMES_MAX 100000000
static uint64_t frame_count = 20000;
CMDLINE_UINT(frame_count, "net_pair.frames", 1, FRAMES_MAX, "frames that net_pair.exchange sends");

#define ETHERTYPE 0x88b5 /* for local experiments */
#define MAGIC 0x52494150u
#define LIMIT_MS 1800000
#define SILENCE_LIMIT_NS (200 * NS_PER_SECOND)
#define REPEAT_NS (5 * NS_PER_MS)
#define LINGER_COUNT 40 /* DONEs that are sent after the other one's: one of them arrives */
#define BUFFERS 256
#define BUFFER_BYTES 2048
#define BATCH 32
#define POLL_BUDGET 64

enum kind { KIND_HELLO = 1, KIND_DATA, KIND_DONE };

struct pair_header {
        uint8_t to[NETDEV_MAC_BYTES], from[NETDEV_MAC_BYTES];
        uint16_t ethertype; /* big-endian */
        uint16_t bytes;     /* of the frame */
        uint32_t magic;
        uint32_t kind;
        uint32_t heard; /* HELLO: I hear you */
        uint64_t number;
        uint64_t checksum; /* over what follows */
};
_Static_assert(sizeof(struct pair_header) == 48, "no gaps: a frame is compared as bytes");

static struct {
        struct test *t;
        struct netdev *netdev;
        struct vmo *vmo;
        uint32_t vmo_id;
        uint8_t *memory;
        uint32_t free[BUFFERS], free_count;
        uint8_t frame[BUFFER_BYTES]; /* a private copy of what came */
        uint64_t sent, received, taken_back, heard_ns;
        uint64_t dropped_before; /* what came while nobody was attached */
        bool heard, is_heard, other_done;
} pair;

/* ---- content ---- */

static uint64_t next_word(uint64_t *state)
{
        *state = *state * 6364136223846793005ull + 1442695040888963407ull;
        return *state >> 29;
}

static uint64_t checksum_of(const uint8_t *bytes, uint32_t count)
{
        uint64_t sum = count;
        for (uint32_t at = 0; at < count; at += sizeof(uint64_t)) {
                uint64_t word = 0;
                memcpy(&word, bytes + at, min_u64(sizeof(word), count - at));
                sum = (sum ^ word) * 0x100000001b3ull + (sum >> 31);
        }
        return sum;
}

/* From the shortest to the longest that the card takes, each with as
 * many bytes as its number says. */
static uint32_t frame_bytes(uint64_t number)
{
        uint64_t state = number;
        uint32_t longest = (uint32_t)min_u64(pair.netdev->mtu + NETDEV_HEADER_BYTES, BUFFER_BYTES);
        return 60 + (uint32_t)(next_word(&state) % (longest - 60 + 1));
}

static void fill(uint8_t *bytes, uint32_t count, uint64_t number)
{
        uint64_t state = ~number;
        for (uint32_t at = 0; at < count; at += sizeof(uint64_t)) {
                uint64_t word = next_word(&state);
                memcpy(bytes + at, &word, min_u64(sizeof(word), count - at));
        }
}

/* ---- sending ---- */

static void build(struct netdev_frame *out, enum kind kind, uint64_t number, uint32_t bytes)
{
        struct test *t = pair.t;
        uint32_t buffer = pair.free[--pair.free_count];
        uint8_t *at = pair.memory + buffer * BUFFER_BYTES;
        struct pair_header header = {.ethertype = __builtin_bswap16(ETHERTYPE),
                                     .bytes = (uint16_t)bytes, .magic = MAGIC, .kind = kind,
                                     .heard = pair.heard, .number = number};
        uint32_t content_bytes = bytes - sizeof(header);
        memset(header.to, 0xff, sizeof(header.to));
        memcpy(header.from, pair.netdev->mac, sizeof(header.from));
        fill(at + sizeof(header), content_bytes, number);
        header.checksum = checksum_of(at + sizeof(header), content_bytes);
        memcpy(at, &header, sizeof(header));
        struct vmo_region region = {(uint8_t)pair.vmo_id, buffer * BUFFER_BYTES, bytes};
        struct tx_request request = {.id = buffer, .regions = &region, .region_count = 1};
        *out = (struct netdev_frame){0};
        EXPECT_OK(vmo_store_make_tx_buffer(&pair.netdev->store, &request, false, &out->buffer));
}

/* Hands `count` frames over; those that the card does not take give their buffers back. */
static uint32_t transmit(const struct netdev_frame *frames, uint32_t count)
{
        struct test *t = pair.t;
        uint32_t accepted;
        zx_status_t status = netdev_transmit(pair.netdev, 0, frames, count, &accepted);
        if (status != ZX_ERR_SHOULD_WAIT)
                EXPECT_OK(status);
        for (uint32_t i = count; i > accepted; i--)
                pair.free[pair.free_count++] = frames[i - 1].buffer.id;
        return accepted;
}

static void send_word(enum kind kind)
{
        struct netdev_frame frame;
        if (pair.free_count == 0)
                return;
        build(&frame, kind, 0, 60);
        transmit(&frame, 1);
}

static void send_data(void)
{
        static struct netdev_frame frames[BATCH];
        uint32_t count =
                (uint32_t)min_u64(min_u64(BATCH, pair.free_count), frame_count - pair.sent);
        for (uint32_t i = 0; i < count; i++)
                build(&frames[i], KIND_DATA, pair.sent + i, frame_bytes(pair.sent + i));
        if (count != 0)
                pair.sent += transmit(frames, count);
}

/* ---- receiving ---- */

/* A frame of the other guest's, in pair.frame. */
static void take_frame(uint32_t bytes)
{
        static uint8_t expected[BUFFER_BYTES];
        struct test *t = pair.t;
        struct pair_header header;
        memcpy(&header, pair.frame, sizeof(header));
        if (bytes < sizeof(header) || header.magic != MAGIC)
                return; /* somebody else's */
        pair.heard = true;
        pair.heard_ns = time_ns();
        pair.is_heard |= header.heard != 0 || header.kind != KIND_HELLO;
        pair.other_done |= header.kind == KIND_DONE;
        if (header.kind != KIND_DATA || test_has_failed(t))
                return;
        REQUIRE_EQ(header.number, pair.received);
        REQUIRE_EQ(header.bytes, frame_bytes(header.number));
        REQUIRE_EQ(bytes, header.bytes);
        uint32_t content_bytes = bytes - sizeof(header);
        REQUIRE_EQ(checksum_of(pair.frame + sizeof(header), content_bytes), header.checksum);
        fill(expected, content_bytes, header.number);
        if (!EXPECT_BYTES_EQ(pair.frame + sizeof(header), expected, content_bytes))
                return;
        pair.received++;
}

static void on_receive(void *context, uint32_t queue, const struct netdev_received *frames,
                       uint32_t count)
{
        struct test *t = pair.t;
        (void)context;
        for (uint32_t i = 0; i < count; i++) {
                size_t bytes = 0;
                EXPECT_OK(vmo_buffer_read(&frames[i].buffer.buffer, pair.frame, sizeof(pair.frame),
                                          &bytes));
                netdev_release_frame(pair.netdev, queue, &frames[i]);
                take_frame((uint32_t)bytes);
        }
}

static void on_transmit_done(void *context, uint32_t queue, const uint32_t *ids, uint32_t count,
                             zx_status_t status)
{
        (void)context;
        (void)queue;
        for (uint32_t i = 0; i < count; i++)
                pair.free[pair.free_count++] = ids[i];
        pair.taken_back += status == ZX_OK ? 0 : count;
}

/* ---- the exchange ---- */

static bool goes_on(struct test *t)
{
        return !test_has_failed(t) &&
               EXPECT_LT(time_ns() - pair.heard_ns, SILENCE_LIMIT_NS);
}

static void poll_until(uint64_t deadline)
{
        if (netdev_poll(pair.netdev, 0, POLL_BUDGET) == 0)
                netdev_wait(pair.netdev, 0, deadline);
}

static void exchange(struct test *t)
{
        while (!pair.is_heard && goes_on(t)) {
                send_word(KIND_HELLO);
                poll_until(time_deadline_after(REPEAT_NS));
        }
        while ((pair.sent < frame_count || pair.received < frame_count) && goes_on(t)) {
                uint64_t before = pair.sent;
                send_data();
                if (pair.sent == before)
                        poll_until(time_deadline_after(REPEAT_NS));
                else
                        netdev_poll(pair.netdev, 0, POLL_BUDGET);
                /* It may not have heard that I hear. */
                if (pair.received == 0 && pair.sent == before)
                        send_word(KIND_HELLO);
        }
        for (uint32_t left = LINGER_COUNT; left != 0 && goes_on(t);) {
                send_word(KIND_DONE);
                left -= pair.other_done;
                uint64_t deadline = time_deadline_after(REPEAT_NS);
                while (!time_passed(deadline))
                        poll_until(deadline);
        }
}

static void report(struct test *t, uint64_t took_ns)
{
        const struct netdev_counters *counters = netdev_counters(pair.netdev);
        test_log(t, "sent %llu and received %llu frames in %llu ms, %llu frames/s each way",
                 (unsigned long long)pair.sent, (unsigned long long)pair.received,
                 (unsigned long long)(took_ns / NS_PER_MS),
                 (unsigned long long)(pair.received * NS_PER_SECOND / took_ns));
        test_log(t,
                 "%llu parts, %llu interrupts, %llu notifications, full %llu times, starved %llu",
                 (unsigned long long)counters->total.receive_parts,
                 (unsigned long long)counters->interrupts,
                 (unsigned long long)counters->total.notifications,
                 (unsigned long long)counters->total.transmit_full,
                 (unsigned long long)counters->total.receive_starved);
}

static bool open_pair(struct test *t)
{
        static const struct netdev_client client = {.receive = on_receive,
                                                    .transmit_done = on_transmit_done};
        memset(&pair, 0, sizeof(pair));
        pair.t = t;
        pair.netdev = netdev_at(0);
        pair.heard_ns = time_ns();
        pair.dropped_before = netdev_counters(pair.netdev)->total.receive_dropped;
        for (uint32_t i = 0; i < BUFFERS; i++)
                pair.free[pair.free_count++] = i;
        if (!EXPECT_OK(vmo_create_contiguous(aspace_vmo_pool(), BUFFERS * BUFFER_BYTES,
                                             PAGE_BYTES_LOG2, &pair.vmo)))
                return false;
        EXPECT_OK(netdev_register_vmo(pair.netdev, pair.vmo, &pair.vmo_id));
        pair.memory = netdev_window(pair.netdev, (struct vmo_region){(uint8_t)pair.vmo_id, 0,
                                                                     BUFFERS * BUFFER_BYTES});
        return EXPECT_TRUE(pair.memory != NULL) && EXPECT_OK(netdev_attach(pair.netdev, &client));
}

static void close_pair(struct test *t)
{
        uint64_t deadline = time_deadline_after(NS_PER_SECOND);
        while (pair.free_count < BUFFERS && !time_passed(deadline))
                poll_until(deadline);
        EXPECT_EQ(pair.free_count, BUFFERS);
        EXPECT_EQ(netdev_receive_held(pair.netdev), 0);
        EXPECT_OK(netdev_detach(pair.netdev));
        vmo_put(pair.vmo);
}

TEST_WITH(net_pair, exchange, TEST_ON_REQUEST, LIMIT_MS)
{
        if (netdev_count() == 0)
                SKIP("this machine has no network card");
        if (!open_pair(t))
                return;
        uint64_t began = time_ns();
        exchange(t);
        report(t, time_ns() - began);
        EXPECT_EQ(pair.sent, frame_count);
        EXPECT_EQ(pair.received, frame_count);
        EXPECT_TRUE(pair.other_done);
        EXPECT_EQ(pair.taken_back, 0);
        EXPECT_EQ(netdev_counters(pair.netdev)->total.receive_dropped, pair.dropped_before);
        EXPECT_EQ(netdev_counters(pair.netdev)->faults, 0);
        close_pair(t);
}
