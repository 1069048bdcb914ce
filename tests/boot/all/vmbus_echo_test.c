/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Round trips over the connection that this machine has (run-qemu.sh --vmbus): packets of 8
 * to 256 bytes go to the host's echo, so many at a time, and each must come back in its turn with
 * what it had. On request; the log says how many came back a second.
 *
 * Peer        the host: a packet is compared as a copy, byte by byte
 * Facts       spec/vmbus.md, (b), (c); tests/peers/vmbus_host/vmbus_host_echo.h */
#include "tests/expect.h"

#include <string.h>

#include "kernel/cmdline.h"
#include "kernel/time.h"
#include "tests/boot/vmbus_machine.h"

static uint64_t packets = 1000, window = 1, seconds = 600;
CMDLINE_UINT(packets, "vmbus_echo.packets", 1, UINT32_MAX, "vmbus_echo.round_trips: how many");
CMDLINE_UINT(window, "vmbus_echo.window", 1, 1024, "vmbus_echo.round_trips: under way at a time");
CMDLINE_UINT(seconds, "vmbus_echo.seconds", 1, 3600,
             "vmbus_echo.round_trips: in which it must be done");

#define WORDS_MAX 32
#define SILENCE_NS (10 * NS_PER_SECOND) /* so long nothing came back: lost */
#define TEST_LIMIT_MS 3700000

static uint32_t called; /* atomic */

static void on_event(struct vmbus_channel *channel, void *context)
{
        (void)channel;
        (void)context;
        __atomic_store_n(&called, 1, __ATOMIC_RELEASE);
}

/* Packet number `i`; returns its length. */
static uint32_t make_packet(uint64_t i, uint64_t *words)
{
        uint32_t count = 1 + (uint32_t)(i % WORDS_MAX);
        for (uint32_t w = 0; w < count; w++)
                words[w] = i * 0x9e3779b97f4a7c15ull + w;
        return count * (uint32_t)sizeof(*words);
}

static uint64_t send_some(struct test *t, struct vmbus_channel *channel, uint64_t sent,
                          uint64_t end)
{
        uint64_t words[WORDS_MAX];
        for (; sent < end; sent++) {
                struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND,
                                                .payload_bytes = make_packet(sent, words)};
                zx_status_t status = vmbus_channel_send(channel, &packet, words);
                if (status == ZX_ERR_SHOULD_WAIT)
                        break;
                if (!EXPECT_OK(status))
                        break;
        }
        return sent;
}

static uint64_t receive_some(struct test *t, struct vmbus_channel *channel, uint64_t received)
{
        uint64_t expected[WORDS_MAX], words[WORDS_MAX];
        struct vmbus_incoming packet;
        while (!test_has_failed(t)) {
                zx_status_t status = vmbus_channel_receive(channel, &packet, words, sizeof(words));
                if (status == ZX_ERR_SHOULD_WAIT || !EXPECT_OK(status))
                        break;
                uint32_t bytes = make_packet(received, expected);
                if (EXPECT_EQ(packet.payload.bytes, bytes))
                        EXPECT_BYTES_EQ(words, expected, bytes);
                received++;
        }
        return received;
}

/* Until there is something to receive; a test that waited too long has failed. */
static void wait_for_packets(struct test *t, struct vmbus_channel *channel)
{
        struct vmbus_transport *transport = channel->vmbus->config.transport;
        uint64_t deadline = time_deadline_after(SILENCE_NS);
        __atomic_store_n(&called, 0, __ATOMIC_RELAXED);
        zx_status_t status = vmbus_channel_sleep(channel);
        while (status == ZX_ERR_SHOULD_WAIT && __atomic_load_n(&called, __ATOMIC_ACQUIRE) == 0) {
                if (!EXPECT_FALSE(time_passed(deadline)))
                        return;
                transport->ops->pause(transport, NS_PER_MS); /* does not poll the rings */
        }
        if (status != ZX_ERR_SHOULD_WAIT)
                EXPECT_OK(status);
}

TEST_WITH(vmbus_echo, round_trips, TEST_ON_REQUEST, TEST_LIMIT_MS)
{
        static const struct vmbus_open_parameters parameters = {
                .send_pages = 16, .receive_pages = 16, .callback = on_event};
        struct vmbus_channel *channel = vmbus_machine_echo();
        if (channel == NULL)
                SKIP("no VMBus host with an echo here");
        REQUIRE_OK(vmbus_open(channel, &parameters));
        uint64_t sent = 0, received = 0, begin_ns = time_ns(), waits = 0;
        uint64_t deadline = time_deadline_after(seconds * NS_PER_SECOND);
        while (received < packets && !test_has_failed(t) && EXPECT_FALSE(time_passed(deadline))) {
                uint64_t before = received, end = min_u64(packets, received + window);
                sent = send_some(t, channel, sent, end);
                received = receive_some(t, channel, received);
                if (received == before) {
                        waits++;
                        wait_for_packets(t, channel);
                }
        }
        uint64_t took_ns = time_ns() - begin_ns;
        EXPECT_EQ(received, packets);
        EXPECT_EQ(sent, packets);
        test_log(t, "%llu round trips, %llu under way, %llu waits: %llu ns each, %llu a second",
                 (unsigned long long)received, (unsigned long long)window,
                 (unsigned long long)waits, (unsigned long long)(took_ns / max_u64(received, 1)),
                 (unsigned long long)(received * NS_PER_SECOND / max_u64(took_ns, 1)));
        EXPECT_OK(vmbus_close(channel));
        for (unsigned i = 0; i < VMBUS_FAULT_COUNT; i++)
                EXPECT_EQ(hyperv_vmbus()->faults[i], 0);
}
