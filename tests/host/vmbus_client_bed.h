/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_client_bed — a VMBus client over a small pmm, and a scripted host: a few lines that answer
 * each message as an honest host does, and knobs that make them refuse, stay silent or say
 * something else at a chosen moment. Time is a counter that moves when the client waits.
 *
 * The host's layouts are written as offsets of spec/vmbus.md, (e),
 * not with the client's structures. */
#ifndef TESTS_HOST_VMBUS_CLIENT_BED_H
#define TESTS_HOST_VMBUS_CLIENT_BED_H

#include "tests/expect.h"

#include "base/bytes.h"
#include "drivers/hyperv/vmbus.h"
#include "drivers/hyperv/vmbus_protocol.h"
#include "vmbus_ring/vmbus_ring.h"

#define BED_PAGES 320
#define BED_BASE_PA (5 * MIB)
#define BED_CHANNELS 8
#define BED_GPADLS 8
#define BED_LOG_MAX 512
#define BED_QUEUE_MAX 64
#define BED_TYPES 30
#define BED_LIST_PAGES_MAX 8192
#define BED_DEADLINE_NS 1000000000ull

#define TYPE_BIT(type) (1u << (type))

struct bed_posted {
        uint32_t connection_id, bytes;
        uint8_t payload[VMBUS_MESSAGE_BYTES_MAX] ALIGNED(8);
};

struct bed_list { /* the last GPADL's */
        uint32_t channel_id, handle, bytes_total, bytes_seen, bodies;
        uint64_t words[BED_LIST_PAGES_MAX];
};

static struct {
        struct test *t;
        struct pmm pmm;
        struct vmo_pool pool;
        uint64_t free_pages;
        struct vmbus_transport transport;
        struct vmbus vmbus;
        struct vmbus_config config;
        struct vmbus_channel channels[BED_CHANNELS];
        struct vmbus_gpadl gpadls[BED_GPADLS];
        struct vmbus_upcalls up;
        bool started;

        /* the host */
        uint32_t version_max, feature_bits, connection_id;
        uint8_t supported_value, state_value; /* of VersionResponse when it supports */
        uint32_t silent;  /* TYPE_BITs of messages that it does not answer */
        uint32_t refuse;  /* ... answers with a failure */
        uint32_t full;    /* so many posts find no room */
        uint32_t dead_id; /* posting to this connection id fails for good */
        uint32_t version_bytes; /* 0: as long as the version asks for */
        void (*hook)(uint32_t type); /* before it answers a message */
        unsigned offer_count;
        uint32_t offer_ids[BED_CHANNELS + 4];
        uint16_t offer_subchannels[BED_CHANNELS + 4];
        uint32_t last_open_channel, last_open_id, last_gpadl_channel, last_gpadl;

        struct bed_list list;
        struct bed_posted log[BED_LOG_MAX];
        unsigned log_count;
        struct vmbus_message queue[BED_QUEUE_MAX];
        unsigned queue_head, queue_tail;
        uint64_t events; /* flags 0 .. 63 */
        unsigned signals;
        uint32_t last_signal_id, last_signal_flag;
        uint64_t now_ns;
        unsigned wakes;
} bed;

static const struct vmbus_guid bed_class = VMBUS_GUID(0xf8615163u, 0xdf3e, 0x46c5, 0x913f,
                                                      0xf2d2f965ed0eull);

/* ---- little helpers ---- */

static inline uint32_t get32(const uint8_t *bytes, unsigned offset)
{
        return bytes[offset] | (uint32_t)bytes[offset + 1] << 8 |
               (uint32_t)bytes[offset + 2] << 16 | (uint32_t)bytes[offset + 3] << 24;
}

static inline void put32(uint8_t *bytes, unsigned offset, uint32_t value)
{
        for (unsigned i = 0; i < 4; i++)
                bytes[offset + i] = (uint8_t)(value >> 8 * i);
}

/* ---- the host speaks ---- */

static inline void host_send(const struct vmbus_message *message)
{
        bed.queue[bed.queue_tail++ % BED_QUEUE_MAX] = *message;
}

/* A message of `bytes` bytes: type, then words from offset 8 on. */
static inline void host_say(uint32_t bytes, uint32_t type, uint32_t a, uint32_t b, uint32_t c)
{
        struct vmbus_message message = {.bytes = bytes};
        put32(message.payload, 0, type);
        put32(message.payload, 8, a);
        put32(message.payload, 12, b);
        put32(message.payload, 16, c);
        host_send(&message);
}

static inline void host_offer(uint32_t channel_id, uint16_t subchannel)
{
        struct vmbus_message message = {.bytes = 196};
        uint8_t *bytes = message.payload;
        put32(bytes, 0, 1);
        memcpy(bytes + 8, &bed_class, 16);
        bytes[24] = subchannel == 0 ? (uint8_t)channel_id : (uint8_t)bed.offer_ids[0];
        bytes[56] = 0x10;
        bytes[60] = 4;
        bytes[180] = (uint8_t)subchannel;
        put32(bytes, 184, channel_id);
        bytes[188] = 5;
        bytes[189] = 0; /* the monitor id is not valid */
        bytes[190] = 1;
        put32(bytes, 192, 0x2000 + channel_id);
        host_send(&message);
}

static inline void host_answer_contact(const uint8_t *bytes)
{
        uint32_t version = get32(bytes, 8);
        bool known = version <= bed.version_max;
        struct vmbus_message message = {.bytes = bed.version_bytes};
        put32(message.payload, 0, 15);
        if (known) {
                message.payload[8] = bed.supported_value;
                message.payload[9] = bed.state_value;
                put32(message.payload, 12, version >= 0x50000 ? bed.connection_id : version);
                put32(message.payload, 16, bed.feature_bits);
        }
        if (message.bytes == 0)
                message.bytes = known && version >= 0x60000 ? 20 : 16;
        host_send(&message);
}

static inline void host_hear_list(const uint8_t *bytes, uint32_t size, bool header)
{
        unsigned at = header ? 20 : 16;
        struct bed_list *list = &bed.list;
        if (header) {
                list->channel_id = get32(bytes, 8);
                list->handle = get32(bytes, 12);
                list->bytes_total = bytes[16] | (uint32_t)bytes[17] << 8;
                list->bytes_seen = 0;
                list->bodies = 0;
                bed.last_gpadl = list->handle;
                bed.last_gpadl_channel = list->channel_id;
        } else {
                list->bodies++;
        }
        for (; at < size && list->bytes_seen < list->bytes_total; at += 8, list->bytes_seen += 8)
                memcpy(&list->words[list->bytes_seen / 8], bytes + at, 8);
        if (list->bytes_seen == list->bytes_total && (bed.silent & TYPE_BIT(8)) == 0)
                host_say(20, 10, list->channel_id, list->handle,
                         (bed.refuse & TYPE_BIT(8)) != 0 ? 0x8000ffffu : 0);
}

static inline void host_hear(const uint8_t *bytes, uint32_t size)
{
        uint32_t type = get32(bytes, 0);
        uint32_t failure = type < BED_TYPES && (bed.refuse & TYPE_BIT(type)) != 0 ? 0x8000ffffu : 0;
        if (bed.hook != NULL)
                bed.hook(type);
        if (type == 8 || type == 9)
                host_hear_list(bytes, size, type == 8);
        if (type == 5) {
                bed.last_open_channel = get32(bytes, 8);
                bed.last_open_id = get32(bytes, 12);
        }
        if (type >= BED_TYPES || (bed.silent & TYPE_BIT(type)) != 0)
                return;
        if (type == 14)
                host_answer_contact(bytes);
        if (type == 3) {
                for (unsigned i = 0; i < bed.offer_count; i++)
                        host_offer(bed.offer_ids[i], bed.offer_subchannels[i]);
                host_say(8, 4, 0, 0, 0);
        }
        if (type == 5)
                host_say(20, 6, bed.last_open_channel, bed.last_open_id, failure);
        if (type == 11)
                host_say(12, 12, get32(bytes, 12), 0, 0);
        if (type == 16)
                host_say(8, 17, 0, 0, 0);
        if (type == 22 && bed.vmbus.version >= 0x50003)
                host_say(16, 24, get32(bytes, 8), failure, 0);
        if (type == 27)
                host_say(8, 28, 0, 0, 0);
}

/* ---- the transport ---- */

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
        if (connection_id == bed.dead_id)
                return ZX_ERR_IO;
        if (bed.full != 0) {
                bed.full--;
                return ZX_ERR_SHOULD_WAIT;
        }
        struct bed_posted *posted = &bed.log[bed.log_count++ % BED_LOG_MAX];
        posted->connection_id = connection_id;
        posted->bytes = bytes;
        memcpy(posted->payload, message, bytes);
        host_hear(posted->payload, bytes);
        return ZX_OK;
}

static inline zx_status_t bed_signal(struct vmbus_transport *transport, uint32_t connection_id,
                                     uint32_t flag)
{
        bed.signals++;
        bed.last_signal_id = connection_id;
        bed.last_signal_flag = flag;
        return ZX_OK;
}

static inline void bed_poll(struct vmbus_transport *transport)
{
        for (unsigned i = 0; i < BED_QUEUE_MAX && bed.queue_head != bed.queue_tail; i++) {
                const struct vmbus_message message = bed.queue[bed.queue_head++ % BED_QUEUE_MAX];
                bed.up.message(bed.up.context, &message);
        }
        for (uint32_t flag = 0; flag < 64 && bed.events != 0; flag++)
                if ((bed.events >> flag & 1) != 0) {
                        bed.events &= ~(1ull << flag);
                        bed.up.event(bed.up.context, flag);
                }
}

static inline uint32_t bed_vp_index(struct vmbus_transport *transport, uint32_t cpu)
{
        return cpu < 4 ? cpu + 16 : VMBUS_VP_NONE; /* not the same number */
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

static const struct vmbus_transport_ops bed_ops = {
        .name = "scripted",
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

static inline void bed_wake(void *context)
{
        bed.wakes++;
}

/* ---- begin and end ---- */

/* A host that speaks `version` and offers channels 1 .. offers; nobody connected yet. `memory`:
 * BED_PAGES, for all that the client allocates. */
static inline bool bed_begin(struct test *t, char *memory, uint32_t version, unsigned offers)
{
        memset(&bed, 0, sizeof(bed));
        bed.t = t;
        bed.transport.ops = &bed_ops;
        bed.version_max = version;
        bed.supported_value = 1;
        bed.connection_id = 0x77;
        bed.offer_count = offers;
        for (unsigned i = 0; i < offers; i++)
                bed.offer_ids[i] = i + 1;
        if (!EXPECT_OK(pmm_init(&bed.pmm, (uint64_t)(uintptr_t)memory - BED_BASE_PA)) ||
            !EXPECT_OK(pmm_add_arena(&bed.pmm, "bed", BED_BASE_PA, BED_PAGES * PAGE_BYTES)) ||
            !EXPECT_OK(vmo_pool_init(&bed.pool, &bed.pmm)))
                return false;
        bed.free_pages = pmm_count_free_pages(&bed.pmm);
        bed.config = (struct vmbus_config){
                .transport = &bed.transport,
                .pool = &bed.pool,
                .channels = bed.channels,
                .channel_count = BED_CHANNELS,
                .gpadls = bed.gpadls,
                .gpadl_count = BED_GPADLS,
                .message_cpu = 1,
                .deadline_ns = BED_DEADLINE_NS,
                .wake = bed_wake,
        };
        return true;
}

static inline bool bed_connect(struct test *t)
{
        return EXPECT_OK(vmbus_init(&bed.vmbus, &bed.config)) &&
               EXPECT_OK(vmbus_connect(&bed.vmbus));
}

#define BEGIN(version, offers) \
        REQUIRE_TRUE(bed_begin(t, world_pages(t, BED_PAGES, NULL), (version), (offers)))
#define CONNECT(version, offers)                                                                \
        do {                                                                                    \
                BEGIN(version, offers);                                                         \
                REQUIRE_TRUE(bed_connect(t));                                                   \
        } while (0)

/* Messages that are on their way arrive, and what follows from them is done. */
static inline void bed_settle(void)
{
        bed_poll(&bed.transport);
        vmbus_serve(&bed.vmbus);
        bed_poll(&bed.transport);
        vmbus_serve(&bed.vmbus);
}

/* Leaves in good order and finds every page again. */
static inline void bed_end(struct test *t)
{
        EXPECT_OK(vmbus_disconnect(&bed.vmbus));
        EXPECT_EQ(vmbus_state(&bed.vmbus), VMBUS_STATE_IDLE);
        EXPECT_FALSE(bed.started);
        EXPECT_EQ(bed.vmbus.leaked_pages, 0);
        EXPECT_EQ(pmm_count_free_pages(&bed.pmm), bed.free_pages);
        vmbus_fini(&bed.vmbus);
}

/* ---- what was posted ---- */

static inline unsigned posted_count(uint32_t type)
{
        unsigned count = 0;
        for (unsigned i = 0; i < bed.log_count; i++)
                count += get32(bed.log[i].payload, 0) == type;
        return count;
}

/* The last message of that type, NULL: none. */
static inline const struct bed_posted *posted_last(uint32_t type)
{
        for (unsigned i = bed.log_count; i-- != 0;)
                if (get32(bed.log[i].payload, 0) == type)
                        return &bed.log[i];
        return NULL;
}

/* ---- channels ---- */

/* The first channel that is not free and has that id. */
static inline struct vmbus_channel *bed_channel(uint32_t channel_id)
{
        for (unsigned i = 0; i < BED_CHANNELS; i++)
                if (bed.channels[i].state != VMBUS_CHANNEL_FREE &&
                    bed.channels[i].offer.channel_id == channel_id)
                        return &bed.channels[i];
        return NULL;
}

static const struct vmbus_open_parameters bed_open_small = {.send_pages = 2,
                                                            .receive_pages = 3,
                                                            .cpu = 2};

#define EXPECT_STATE(expected, channel) \
        EXPECT_EQ(vmbus_channel_state(channel), VMBUS_CHANNEL_##expected)
#define EXPECT_FAULTS(expected, rule) EXPECT_EQ(bed.vmbus.faults[VMBUS_FAULT_##rule], expected)

#endif
