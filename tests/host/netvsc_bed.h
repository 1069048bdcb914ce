/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* netvsc_bed — a Hyper-V network card over the VMBus client, and the host of tests/peers/vmbus_host
 * at the other end, all in one thread: the host works whenever the client polls its transport.
 *
 *   client --netdev--> netvsc --> vmbus ==ring== vmbus_host --> vmbus_host_net --> frame port
 *                                                                                  (the test) */
#ifndef TESTS_HOST_NETVSC_BED_H
#define TESTS_HOST_NETVSC_BED_H

#include "tests/expect.h"

#include "base/bytes.h"
#include "drivers/hyperv/netvsc.h"
#include "tests/peers/vmbus_host/vmbus_host_rig.h"

#define BED_PAGES 1400
#define BED_BASE_PA (7 * MIB)
#define BED_CHANNELS 4
#define BED_GPADLS 8
#define BED_DEADLINE_NS 50000000ull
#define BED_SENT_MAX 64
#define BED_CLIENT_PAGES 64
#define BED_HELD_MAX 4096
#define BED_POSTED_MAX 16
#define BED_ROUNDS_MAX 20000 /* of polling until something has happened */

/* A frame as the network saw it. */
struct bed_frame {
        uint32_t bytes;
        uint8_t data[2048];
};

static struct {
        struct test *t;
        struct pmm pmm;
        struct vmo_pool pool;
        uint64_t free_pages;
        struct netvsc card;
        zx_status_t offer_status;
        unsigned rescinds;

        struct vmbus_transport transport;
        struct vmbus_upcalls up;
        struct vmbus vmbus;
        struct vmbus_channel channels[BED_CHANNELS];
        struct vmbus_gpadl gpadls[BED_GPADLS];
        uint64_t now_ns;
        bool started;

        /* The network. */
        struct bed_frame sent[BED_SENT_MAX]; /* the last ones, in a ring */
        uint64_t sent_count, sent_bytes;
        uint64_t to_receive; /* frames that the network still has for the guest */
        uint32_t receive_bytes;
        uint16_t receive_tci; /* not 0: with a tag */
        uint64_t made;

        /* The client. */
        struct vmo *vmo;
        uint8_t *va;
        uint32_t vmo_id;
        bool attached, keep; /* keep: release nothing */
        uint32_t held[BED_HELD_MAX];
        uint32_t held_count;
        uint64_t received, received_wrong, done_ok, done_other;
        zx_status_t done_status;
        struct netdev_receive_info info; /* of the last frame */
        unsigned state_changes;

        uint8_t posted[BED_POSTED_MAX]; /* types of the last messages of the client, in a ring */
        uint32_t posted_count;
        void (*on_signal)(void); /* the client signals; NULL: the host looks later */

        /* Asked in place of the host when somebody waits for an answer; false: the host is, too. */
        bool (*instead)(void);
} bed;

/* ---- the network ---- */

/* What frame `number` has at `at`. */
static inline uint8_t bed_byte(uint64_t number, uint32_t at)
{
        return at < 12 ? (uint8_t)(at == 0 ? 2 : at) : (uint8_t)(number * 7 + at * 3 + (at >> 8));
}

static inline void bed_give(const void *frame, uint32_t bytes)
{
        struct bed_frame *kept = &bed.sent[bed.sent_count++ % BED_SENT_MAX];
        kept->bytes = bytes;
        bed.sent_bytes += bytes;
        memcpy(kept->data, frame, min_u64(bytes, sizeof(kept->data)));
}

static inline const struct bed_frame *bed_last_sent(void)
{
        return &bed.sent[(bed.sent_count - 1) % BED_SENT_MAX];
}

static inline uint32_t bed_take(void *frame, uint32_t capacity)
{
        uint8_t *data = frame;
        uint32_t at = 12, bytes = bed.receive_bytes;
        if (bed.to_receive == 0 || bytes + 4 > capacity)
                return 0;
        bed.to_receive--;
        for (uint32_t i = 0; i < 12; i++)
                data[i] = bed_byte(bed.made, i);
        memcpy(data, bed.card.netdev.mac, NETDEV_MAC_BYTES);
        if (bed.receive_tci != 0) {
                data[at++] = 0x81;
                data[at++] = 0x00;
                data[at++] = (uint8_t)(bed.receive_tci >> 8);
                data[at++] = (uint8_t)bed.receive_tci;
        }
        data[at++] = 0x88; /* an ethertype for experiments */
        data[at++] = 0xb5;
        for (uint32_t i = 14; i < bytes; i++)
                data[at++] = bed_byte(bed.made, i);
        bed.made++;
        return at;
}

/* ---- the transport ----
 * Messages and events go straight to the host, its answers to the client. */

static inline void *bed_map(uint64_t page_number)
{
        uint64_t pa = page_number * PAGE_BYTES;
        if (pa < BED_BASE_PA || pa >= BED_BASE_PA + BED_PAGES * PAGE_BYTES)
                return NULL;
        return pmm_pa_to_va(&bed.pmm, pa);
}

static inline bool bed_post_up(const void *message, uint32_t bytes)
{
        struct vmbus_message copy = {.bytes = bytes};
        memcpy(copy.payload, message, bytes);
        if (bed.started)
                bed.up.message(bed.up.context, &copy);
        return true;
}

static inline void bed_signal_up(uint32_t event_flag)
{
        if (bed.started)
                bed.up.event(bed.up.context, event_flag);
}

static const struct vmbus_host_rig_ops bed_rig_ops = {.map = bed_map,
                                                      .post = bed_post_up,
                                                      .signal = bed_signal_up,
                                                      .give = bed_give,
                                                      .take = bed_take};

static inline zx_status_t bed_start(struct vmbus_transport *transport,
                                    const struct vmbus_upcalls *upcalls)
{
        bed.up = *upcalls;
        bed.started = true;
        return ZX_OK;
}

static inline void bed_stop(struct vmbus_transport *transport)
{
        bed.started = false;
}

static inline zx_status_t bed_post(struct vmbus_transport *transport, uint32_t connection_id,
                                   const void *message, uint32_t bytes)
{
        bed.posted[bed.posted_count++ % BED_POSTED_MAX] = *(const uint8_t *)message;
        return vmbus_host_rig_message(connection_id, message, bytes);
}

static inline zx_status_t bed_signal(struct vmbus_transport *transport, uint32_t connection_id,
                                     uint32_t flag)
{
        vmbus_host_rig_event(connection_id);
        if (bed.on_signal != NULL)
                bed.on_signal();
        return ZX_OK;
}

static inline void bed_poll(struct vmbus_transport *transport)
{
        if (bed.instead == NULL || !bed.instead())
                vmbus_host_rig_poll();
}

static inline uint32_t bed_vp_index(struct vmbus_transport *transport, uint32_t cpu)
{
        return cpu;
}

static inline uint64_t bed_now(struct vmbus_transport *transport)
{
        return bed.now_ns;
}

static inline void bed_pause(struct vmbus_transport *transport, uint64_t ns)
{
        bed.now_ns += ns;
}

static inline bool bed_interrupts_disable(struct vmbus_transport *transport)
{
        return true;
}

static inline void bed_interrupts_restore(struct vmbus_transport *transport, bool enabled)
{
}

static const struct vmbus_transport_ops bed_transport_ops = {
        .name = "loopback",
        .start = bed_start,
        .stop = bed_stop,
        .post = bed_post,
        .signal = bed_signal,
        .poll = bed_poll,
        .vp_index = bed_vp_index,
        .now_ns = bed_now,
        .pause = bed_pause,
        .interrupts_disable = bed_interrupts_disable,
        .interrupts_restore = bed_interrupts_restore,
};

/* ---- the driver ---- */

static inline zx_status_t bed_offered(struct vmbus_channel *channel)
{
        bed.offer_status = netvsc_start(&bed.card, channel, &bed.pool);
        return bed.offer_status;
}

static inline void bed_rescinded(struct vmbus_channel *channel)
{
        bed.rescinds++;
        netvsc_remove(&bed.card);
}

static const struct vmbus_driver bed_driver = {.name = "netvsc",
                                               .interface = NETVSC_INTERFACE,
                                               .offer = bed_offered,
                                               .rescind = bed_rescinded};

/* ---- the client ---- */

static inline void bed_release_held(void)
{
        netdev_release(&bed.card.netdev, 0, bed.held, bed.held_count);
        bed.held_count = 0;
}

/* Compares a received frame with what the network made. */
static inline bool bed_frame_right(const struct netdev_received *frame, uint64_t number)
{
        const struct vmo_buffer *buffer = &frame->buffer.buffer;
        if (buffer->part_count != 1 || buffer->length != bed.receive_bytes)
                return false;
        const uint8_t *data = netdev_window(&bed.card.netdev, buffer->parts[0].region);
        if (data == NULL || memcmp(data, bed.card.netdev.mac, NETDEV_MAC_BYTES) != 0)
                return false;
        for (uint32_t i = 14; i < bed.receive_bytes; i++)
                if (data[i] != bed_byte(number, i))
                        return false;
        return true;
}

static inline void bed_receive(void *context, uint32_t queue, const struct netdev_received *frames,
                               uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                if (!bed_frame_right(&frames[i], bed.received))
                        bed.received_wrong++;
                bed.received++;
                bed.info = frames[i].info;
                bed.held[bed.held_count++ % BED_HELD_MAX] =
                        frames[i].buffer.buffer.parts[0].buffer_id;
        }
        if (!bed.keep)
                bed_release_held();
}

static inline void bed_done(void *context, uint32_t queue, const uint32_t *ids, uint32_t count,
                            zx_status_t status)
{
        *(status == ZX_OK ? &bed.done_ok : &bed.done_other) += count;
        if (status != ZX_OK)
                bed.done_status = status;
}

static inline void bed_state_changed(void *context)
{
        bed.state_changes++;
}

static inline bool bed_attach(struct test *t)
{
        const struct netdev_client client = {.receive = bed_receive,
                                             .transmit_done = bed_done,
                                             .state_changed = bed_state_changed};
        if (!EXPECT_OK(netdev_attach(&bed.card.netdev, &client)) ||
            !EXPECT_OK(vmo_create_contiguous(&bed.pool, BED_CLIENT_PAGES * PAGE_BYTES, 12,
                                             &bed.vmo)) ||
            !EXPECT_OK(netdev_register_vmo(&bed.card.netdev, bed.vmo, &bed.vmo_id)))
                return false;
        struct vmo_region all = {.vmo_id = (uint8_t)bed.vmo_id, .length = PAGE_BYTES};
        bed.va = netdev_window(&bed.card.netdev, all);
        bed.attached = true;
        return EXPECT_TRUE(bed.va != NULL);
}

/* ---- begin and end ---- */

/* A host with a card of that NVSP version (0: the newest); nobody connected yet. */
static inline bool bed_begin(struct test *t, char *memory, uint32_t version_max)
{
        memset(&bed, 0, sizeof(bed));
        bed.t = t;
        bed.transport.ops = &bed_transport_ops;
        bed.receive_bytes = 60;
        if (!EXPECT_OK(pmm_init(&bed.pmm, (uint64_t)(uintptr_t)memory - BED_BASE_PA)) ||
            !EXPECT_OK(pmm_add_arena(&bed.pmm, "bed", BED_BASE_PA, BED_PAGES * PAGE_BYTES)) ||
            !EXPECT_OK(vmo_pool_init(&bed.pool, &bed.pmm)))
                return false;
        bed.free_pages = pmm_count_free_pages(&bed.pmm);
        const struct vmbus_config config = {
                .transport = &bed.transport,
                .pool = &bed.pool,
                .drivers = &bed_driver,
                .driver_count = 1,
                .channels = bed.channels,
                .channel_count = BED_CHANNELS,
                .gpadls = bed.gpadls,
                .gpadl_count = BED_GPADLS,
                .deadline_ns = BED_DEADLINE_NS,
        };
        static const uint8_t mac[NETDEV_MAC_BYTES] = {2, 0, 0, 0, 0, 9};
        return EXPECT_OK(vmbus_host_rig_begin(&bed_rig_ops, mac, version_max)) &&
               EXPECT_OK(vmbus_init(&bed.vmbus, &config));
}

#define BEGIN(version) REQUIRE_TRUE(bed_begin(t, world_pages(t, BED_PAGES, NULL), (version)))
#define CONNECT(version)                                                                           \
        do {                                                                                       \
                BEGIN(version);                                                                    \
                REQUIRE_OK(vmbus_connect(&bed.vmbus));                                             \
                REQUIRE_OK(bed.offer_status);                                                      \
                REQUIRE_TRUE(bed_attach(t));                                                       \
        } while (0)

/* One round of both sides. */
static inline void bed_round(void)
{
        vmbus_host_rig_poll();
        vmbus_serve(&bed.vmbus);
        if (bed.card.netdev.running)
                (void)netdev_poll(&bed.card.netdev, 0, 64);
}

/* Rounds until *value has reached `target`. */
static inline bool bed_until(const uint64_t *value, uint64_t target)
{
        for (unsigned i = 0; i < BED_ROUNDS_MAX && *value < target; i++)
                bed_round();
        return *value >= target;
}

static inline void bed_detach(struct test *t)
{
        if (!bed.attached)
                return;
        bed_release_held();
        EXPECT_OK(netdev_detach(&bed.card.netdev));
        vmo_put(bed.vmo);
        bed.attached = false;
}

/* Leaves in good order and finds every page again. */
static inline void bed_end(struct test *t)
{
        EXPECT_OK(vmbus_disconnect(&bed.vmbus));
        EXPECT_FALSE(bed.card.opened);
        bed_detach(t);
        netvsc_fini(&bed.card);
        EXPECT_EQ(bed.vmbus.leaked_pages, 0);
        EXPECT_EQ(pmm_count_free_pages(&bed.pmm), bed.free_pages);
        EXPECT_EQ(bed.received_wrong, 0);
        vmbus_fini(&bed.vmbus);
}

/* ---- sending ---- */

/* A frame of `bytes` in the client's VMO, in `parts` pieces (1 .. 4) with gaps between them. */
static inline struct netdev_frame bed_make_frame(uint32_t id, uint32_t bytes, uint32_t parts)
{
        struct netdev_frame frame = {0};
        struct vmo_region regions[VMO_BUFFER_PARTS_MAX];
        uint64_t offset = 100 + id % 3;
        uint32_t at = 0;
        for (uint32_t i = 0; i < parts; i++) {
                uint32_t length = i + 1 == parts ? bytes - at : bytes / parts;
                regions[i] = (struct vmo_region){(uint8_t)bed.vmo_id, offset, length};
                for (uint32_t k = 0; k < length; k++)
                        bed.va[offset + k] = bed_byte(id, at + k);
                at += length;
                offset += length + 37;
        }
        const struct tx_request request = {.id = id, .regions = regions, .region_count = parts};
        struct test *t = bed.t;
        EXPECT_OK(vmo_store_make_tx_buffer(&bed.card.netdev.store, &request, false, &frame.buffer));
        return frame;
}

static inline zx_status_t bed_send(const struct netdev_frame *frame)
{
        uint32_t accepted;
        return netdev_transmit(&bed.card.netdev, 0, frame, 1, &accepted);
}

/* Whether the last frame on the network is frame `id` of `bytes` bytes, byte for byte. */
static inline bool bed_sent_right(uint32_t id, uint32_t bytes)
{
        const struct bed_frame *sent = bed_last_sent();
        if (sent->bytes != bytes)
                return false;
        for (uint32_t i = 0; i < bytes; i++)
                if (sent->data[i] != bed_byte(id, i))
                        return false;
        return true;
}

#endif
