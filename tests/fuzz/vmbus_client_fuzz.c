/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A hostile VMBus host for the client: the input is a list of steps. A step is something that the
 * user does (connect, open, close, ...), or a message of any bytes that the host sends, at once or
 * while the client waits for the answer to its next message; or bytes that it writes into a ring.
 *
 * What must hold: no access outside, no assertion, no wait without an end; and after the host has
 * said UnloadComplete every page is back. */
#include "tests/fuzz/vmbus_fuzz.h"
#include "tests/host/vmbus_client_bed.h"

#define STEPS_MAX 200

static struct {
        const uint8_t *at, *end;
        bool in_hook;
} input;
static uint8_t memory[BED_PAGES * 4096] ALIGNED(4096);

static uint8_t take(void)
{
        return input.at == input.end ? 0 : *input.at++;
}

/* A message: length, then as many bytes as there are. Ids that exist are put in where the input
 * says. */
static void say(void)
{
        struct vmbus_message message = {.bytes = take()};
        uint8_t patch = take();
        for (uint32_t i = 0; i < message.bytes && i < sizeof(message.payload); i++)
                message.payload[i] = i >= 1 && i < 8 ? 0 : i < 24 || (patch & 1) != 0 ? take() : 0;
        if ((patch & 2) != 0)
                put32(message.payload, 8, bed.last_open_channel);
        if ((patch & 4) != 0)
                put32(message.payload, 12, bed.last_open_id);
        if ((patch & 8) != 0)
                put32(message.payload, 12, bed.last_gpadl);
        if ((patch & 16) != 0)
                put32(message.payload, 8, bed.last_gpadl);
        if ((patch & 32) != 0)
                put32(message.payload, 184, take());
        host_send(&message);
}

static void hook(uint32_t type)
{
        if (input.in_hook || type == VMBUS_UNLOAD)
                return;
        input.in_hook = true;
        if ((take() & 3) == 1) {
                say();
                bed_poll(&bed.transport);
        }
        input.in_hook = false;
}

/* Bytes for the pages that the host was last told of, then the client reads. */
static void scribble(struct vmbus_channel *channel)
{
        struct vmbus_incoming packet;
        uint8_t bytes[64];
        uint32_t count = bed.list.bytes_total / 8;
        if (vmbus_channel_state(channel) != VMBUS_CHANNEL_OPEN || count < 2)
                return;
        for (uint8_t i = take() & 31; i != 0; i--) {
                uint64_t pa = bed.list.words[1 + take() % (count - 1)] * 4096;
                uint32_t offset = (take() & 1) != 0 ? take() * 4u : take() * 16u;
                if (pmm_page_from_pa(&bed.pmm, pa) != NULL)
                        *((uint8_t *)pmm_pa_to_va(&bed.pmm, pa) + offset % 4096) = take();
        }
        for (unsigned i = 0; i < 4; i++)
                if (vmbus_channel_receive(channel, &packet, bytes, sizeof(bytes)) != ZX_OK)
                        break;
        (void)!vmbus_channel_sleep(channel);
        const struct vmbus_outgoing outgoing = {.kind = VMBUS_SEND_IN_BAND, .payload_bytes = 40};
        (void)!vmbus_channel_send(channel, &outgoing, bytes);
}

static void make_gpadl(struct vmbus_channel *channel)
{
        static const uint64_t numbers[64];
        struct vmbus_gpadl *gpadl;
        const struct vmbus_gpadl_memory list = {.page_numbers = numbers,
                                                .page_count = 1 + take() % 64};
        if (vmbus_gpadl_create(channel, &list, &gpadl) == ZX_OK && (take() & 1) != 0 &&
            vmbus_channel_state(channel) != VMBUS_CHANNEL_FREE)
                (void)vmbus_gpadl_teardown(channel, gpadl);
}

static void step(void)
{
        uint8_t what = take();
        struct vmbus_channel *channel = &bed.channels[what >> 5];
        bed.silent = 0;
        switch (what & 15) {
        case 0:
                (void)!vmbus_open(channel, &bed_open_small);
                break;
        case 1:
                (void)vmbus_close(channel);
                break;
        case 2:
                (void)!vmbus_modify(channel, take() & 3);
                break;
        case 3:
                make_gpadl(channel);
                break;
        case 4:
                if (vmbus_pause(&bed.vmbus) == ZX_OK && (take() & 1) != 0)
                        (void)!vmbus_resume(&bed.vmbus);
                break;
        case 5:
                (void)!vmbus_resume(&bed.vmbus);
                break;
        case 6:
                scribble(channel);
                break;
        case 7: /* the next answer does not come */
                bed.silent = 1u << (take() % BED_TYPES) & ~TYPE_BIT(16);
                (void)!vmbus_open(channel, &bed_open_small);
                break;
        case 8:
                bed.events = 1ull << (take() & 63);
                break;
        case 9:
                (void)vmbus_disconnect(&bed.vmbus);
                (void)!vmbus_connect(&bed.vmbus);
                break;
        default:
                say();
        }
        bed_settle();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
        static const uint32_t versions[] = {0x60000, 0x50003, 0x40000, 0x30000};
        struct test *t = NULL; /* the EXPECT_* name it */
        input.at = data;
        input.end = data + bytes;
        if (!bed_begin(NULL, (char *)memory, versions[take() & 3], 3))
                abort();
        bed.config.features_wanted = bed.feature_bits = VMBUS_FEATURE_PAUSE_RESUME;
        bed.hook = hook;
        if (!EXPECT_OK(vmbus_init(&bed.vmbus, &bed.config)))
                abort();
        (void)!vmbus_connect(&bed.vmbus);
        for (unsigned i = 0; i < STEPS_MAX && input.at != input.end; i++)
                step();
        bed.silent = 0;
        bed.hook = NULL;
        bed.queue_head = bed.queue_tail;
        EXPECT_OK(vmbus_disconnect(&bed.vmbus));
        EXPECT_EQ(bed.vmbus.leaked_pages, 0);
        EXPECT_EQ(pmm_count_free_pages(&bed.pmm), bed.free_pages);
        return 0;
}
