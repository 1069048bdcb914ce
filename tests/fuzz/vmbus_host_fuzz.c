/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_fuzz — a hostile guest at the door of tests/peers/vmbus_host: the input is a
 * script of messages, events, words written anywhere in the guest's memory, and packets,
 * among which short cuts lead to open channels and a running card, so that what lies behind
 * them is met. The host must touch nothing but the pages it was given, fail no assertion, and
 * come to rest after every step.
 *
 * Every page of the guest is an allocation of its own: a byte too far is a fault. */
#include "tests/fuzz/vmbus_ring_fuzz.h"
#include "tests/peers/vmbus_host/vmbus_host.h"
#include "tests/peers/vmbus_host/vmbus_host_echo.h"
#include "tests/peers/vmbus_host/vmbus_host_net.h"
#include "tests/peers/vmbus_host/vmbus_host_responder.h"

#define RAM_PAGES 64u
#define RING_PAGES 8u /* four each way; channel c has those from c x RING_PAGES on */
#define RECEIVE_PAGE 32u
#define RECEIVE_PAGES 16u
#define SEND_PAGE 48u
#define SEND_PAGES 4u
#define DATA_BYTES (3 * PAGE_BYTES)
#define POLLS_MAX 400u
#define STEPS_MAX 2000u

static uint8_t *ram[RAM_PAGES];
static struct vmbus_host host;
static struct vmbus_host_echo echo, pipe_echo;
static struct vmbus_host_net net;
static struct vmbus_host_responder responder;
static struct vmbus_host_offer offers[2];
static uint64_t words[VMBUS_HOST_LIST_WORDS_MAX];
static uint8_t *frame;
static bool deaf; /* the guest takes no messages */

static void *map_page(void *context, uint64_t page_number)
{
        return page_number < RAM_PAGES ? ram[page_number] : NULL;
}

static bool post(void *context, const void *message, uint32_t bytes, uint32_t vp)
{
        uint8_t copy[WIRE_MESSAGE_BYTES_MAX];
        if (bytes > sizeof(copy))
                abort();
        memcpy(copy, message, bytes);
        return !deaf;
}

static void set_event(void *context, uint32_t event_flag, uint32_t vp)
{
        if (event_flag >= WIRE_EVENT_FLAGS)
                abort();
}

static void start(void)
{
        static const struct vmbus_host_ops ops = {
                .map = map_page, .post = post, .signal = set_event};
        for (uint32_t i = 0; i < RAM_PAGES; i++) {
                if (ram[i] == NULL)
                        ram[i] = fuzz_page(PAGE_BYTES);
                memset(ram[i], 0, PAGE_BYTES);
        }
        if (frame == NULL)
                frame = malloc(VMBUS_HOST_NET_FRAME_BYTES);
        deaf = false;
        vmbus_host_init(&host, &(struct vmbus_host_config){.ops = &ops,
                                                           .words = words,
                                                           .word_count = ARRAY_COUNT(words)});
        vmbus_host_responder_init(&responder);
        vmbus_host_net_init(&net, &(struct vmbus_host_net_config){
                                          .port = &responder.port, .frame = frame, .queues = 3});
        vmbus_host_echo_init(&echo, false);
        vmbus_host_echo_init(&pipe_echo, true);
        vmbus_host_echo_offer(&echo, &offers[0], 0);
        vmbus_host_echo_offer(&pipe_echo, &offers[1], 1);
        if (vmbus_host_net_offer(&net, &host, 0, NULL) != ZX_OK ||
            vmbus_host_offer(&host, &offers[0], NULL) != ZX_OK ||
            vmbus_host_offer(&host, &offers[1], NULL) != ZX_OK)
                abort();
}

static void settle(void)
{
        for (uint32_t i = 0; vmbus_host_poll(&host); i++)
                if (i == POLLS_MAX)
                        abort(); /* it never comes to rest */
}

static void send(uint32_t connection, const uint32_t *message, uint32_t bytes)
{
        (void)!vmbus_host_message(&host, connection, message, bytes);
        (void)vmbus_host_poll(&host);
}
#define SEND(...) send(4, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}))

static void send_gpadl(uint32_t channel, uint32_t handle, uint32_t first, uint32_t count)
{
        uint32_t message[60] = {8, 0, channel, handle, (8 + 8 * count) | 1 << 16, count * 4096, 0};
        for (uint32_t i = 0; i < count; i++)
                message[7 + 2 * i] = first + i;
        send(4, message, 28 + 8 * count);
}

/* ---- steps ---- */

static uint32_t load(uint32_t page, uint32_t offset)
{
        uint32_t value;
        memcpy(&value, ram[page] + offset, 4);
        return value;
}

static void store(uint32_t page, uint32_t offset, uint32_t value)
{
        memcpy(ram[page] + offset, &value, 4);
}

static void raw_message(struct fuzz_input *input)
{
        uint32_t message[64] = {0};
        uint32_t count = fuzz_u8(input) % 64, connection = fuzz_u8(input);
        for (uint32_t i = 0; i < count; i++)
                message[i] = fuzz_u8(input) < 0xc0 ? fuzz_u8(input) : fuzz_u32(input);
        send(connection < 0xe0 ? 4 : connection % 8, message,
             count * 4 - (count != 0 ? connection % 2 : 0));
}

static void connect(struct fuzz_input *input)
{
        static const uint32_t versions[] = {0x60000, 0x50003, 0x60000, 0x50000};
        SEND(14, 0, versions[fuzz_u8(input) % 4], 0, 2, fuzz_u8(input), 0, 0, 0, 0, 0, 0, 0, 0);
        SEND(3, 0);
}

static void open_channel(struct fuzz_input *input)
{
        uint32_t index = fuzz_u8(input) % 4;
        uint32_t message[39] = {5, 0, index + 1, 1, 0x100 + index, 0, RING_PAGES / 2};
        for (uint32_t i = 0; i < RING_PAGES; i++)
                memset(ram[index * RING_PAGES + i], 0, PAGE_BYTES);
        message[38] = index + 1; /* event flag, where it counts */
        send_gpadl(index + 1, 0x100 + index, index * RING_PAGES, RING_PAGES);
        send(4, message, sizeof(message));
}

/* Appends `count` words to a channel's ring and publishes them. */
static void append(uint32_t index, const uint32_t *packet, uint32_t count)
{
        uint32_t control = index * RING_PAGES, in = load(control, 0) % DATA_BYTES & ~7u;
        for (uint32_t i = 0; i < count; i++) {
                store(control + 1 + in / PAGE_BYTES, in % PAGE_BYTES, packet[i]);
                in = (in + 4) % DATA_BYTES;
        }
        store(control, 0, in);
        vmbus_host_event(&host, index + 1);
}

/* A packet whose descriptor is good; its payload comes from the input. */
static void packet(struct fuzz_input *input)
{
        static const uint8_t types[] = {6, 6, 9, 9, 11, 7};
        uint32_t whole[80] = {0}, index = fuzz_u8(input) % 4;
        uint32_t type = types[fuzz_u8(input) % 6], length8 = 2 + fuzz_u8(input) % 34;
        uint32_t external = type == 9 || type == 7 ? 1 + fuzz_u8(input) % 6 : 0;
        uint32_t offset8 = 2 + external < length8 ? 2 + external : length8;
        whole[0] = type | offset8 << 16;
        whole[1] = length8 | (uint32_t)(fuzz_u8(input) % 2) << 16;
        whole[2] = fuzz_u8(input);
        for (uint32_t i = 4; i < length8 * 2; i++)
                whole[i] = fuzz_u8(input) < 0xe0 ? fuzz_u8(input) : fuzz_u32(input);
        if (external != 0)
                whole[5] %= 4;
        append(index, whole, length8 * 2 + 2);
}

/* An NVSP message of the card's channel, in band, with a completion. */
static void nvsp(const uint32_t *message)
{
        uint32_t whole[16] = {6 | 2 << 16, 7 | 1 << 16, 9};
        memcpy(whole + 4, message, 40);
        append(0, whole, 16);
        settle();
        store(RING_PAGES / 2, 4, load(RING_PAGES / 2, 0)); /* the guest has read it all */
}

static void control(const uint32_t *message, uint32_t bytes)
{
        memcpy(ram[SEND_PAGE], message, bytes);
        nvsp((const uint32_t[10]){107, 1, 0, bytes});
}

static void bring_up(struct fuzz_input *input)
{
        static const uint32_t versions[] = {0x60001, 0x60000, 0x50000, 0x40000, 0x30002, 2};
        uint32_t version = versions[fuzz_u8(input) % 6];
        nvsp((const uint32_t[10]){1, version, version});
        if (version != 2)
                nvsp((const uint32_t[10]){125, 1514});
        send_gpadl(1, 0x200, RECEIVE_PAGE, RECEIVE_PAGES);
        send_gpadl(1, 0x201, SEND_PAGE, SEND_PAGES);
        nvsp((const uint32_t[10]){101, 0x200, 0xcafe});
        nvsp((const uint32_t[10]){104, 0x201, 0xface});
        control((const uint32_t[]){2, 24, 1, 1, 0, 0x4000}, 24);
        control((const uint32_t[]){5, 32, 2, 0x1010e, 4, 20, 0, 0x2f}, 32);
}

/* RNDIS from the input in the first section, sent. */
static void rndis(struct fuzz_input *input)
{
        uint32_t kind = fuzz_u8(input) % 2, count = fuzz_u8(input) % 64;
        store(SEND_PAGE, 0, fuzz_u8(input) % 10);
        store(SEND_PAGE, 4, fuzz_u8(input) < 0xe0 ? count * 4 : fuzz_u32(input));
        for (uint32_t i = 2; i < count; i++)
                store(SEND_PAGE, i * 4, fuzz_u8(input) < 0xe0 ? fuzz_u8(input) : fuzz_u32(input));
        nvsp((const uint32_t[10]){107, kind, fuzz_u8(input) < 0xf0 ? 0 : fuzz_u8(input),
                                  count * 4});
}

static void arrive(struct fuzz_input *input)
{
        uint8_t bytes[64];
        for (uint32_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = fuzz_u8(input);
        responder.port.give(&responder, bytes, sizeof(bytes));
        responder.leased = true;
        (void)vmbus_host_responder_ping(&responder);
}

static void step(struct fuzz_input *input)
{
        switch (fuzz_u8(input) % 16) {
        case 0: raw_message(input); break;
        case 1: connect(input); break;
        case 2: open_channel(input); break;
        case 3:
        case 4:
        case 5: packet(input); break;
        case 6: vmbus_host_event(&host, fuzz_u8(input) % 8); break;
        case 7: bring_up(input); break;
        case 8:
        case 9: rndis(input); break;
        case 10: arrive(input); break;
        case 11: { /* a word anywhere, mostly of a control page */
                uint32_t page = fuzz_u8(input) % RAM_PAGES, offset = fuzz_u8(input) % 8 * 4;
                store(page, fuzz_u8(input) < 0xc0 ? offset : fuzz_u32(input) % 4093,
                      fuzz_size(input));
                break;
        }
        case 12: vmbus_host_net_link(&net, (fuzz_u8(input) & 1) != 0); break;
        case 13: { /* honest: reads all that came on a channel */
                uint32_t control = fuzz_u8(input) % 4 * RING_PAGES + RING_PAGES / 2;
                store(control, 4, load(control, 0));
                vmbus_host_event(&host, control / RING_PAGES + 1);
                break;
        }
        case 14: {
                struct vmbus_host_channel *channel = vmbus_host_channel(&host, fuzz_u8(input) % 8);
                if (channel != NULL && fuzz_u8(input) % 4 == 0)
                        vmbus_host_rescind(&host, channel);
                break;
        }
        default:
                deaf = fuzz_u8(input) % 4 == 0;
                if (fuzz_u8(input) == 0xff)
                        vmbus_host_reset(&host);
                if (fuzz_u8(input) == 0xfe)
                        vmbus_host_lie(&host, fuzz_u8(input), 1 + fuzz_u8(input));
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct fuzz_input input = {data, size};
        start();
        for (uint32_t i = 0; i < STEPS_MAX && input.left > 0; i++) {
                step(&input);
                settle();
        }
        return 0;
}
