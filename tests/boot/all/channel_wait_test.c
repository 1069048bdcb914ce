/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/channel_wait: calls that halt, and two ends on two CPUs. What channels do
 * otherwise is tested on the host (tests/host/channel_test.c, channel_call_test.c). */
#include "tests/expect.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "kernel/buffer_chain_boot.h"
#include "kernel/channel_boot.h"
#include "kernel/channel_wait.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/time.h"

#define LIMIT_NS (10 * NS_PER_SECOND)
#define CALLS 100u
#define MESSAGES 300u
#define MESSAGE_BYTES 5000u /* two pages */

static struct channel_end *near, *far;
static uint64_t ipc_pages;
static atomic_uint wrongs; /* of the other CPU: EXPECT is for the test's own */

static void note(bool right)
{
        if (!right)
                atomic_fetch_add(&wrongs, 1);
}

static void make_bed(struct test *t)
{
        ipc_pages = pmm_count_state(&kernel_pmm, VM_PAGE_IPC);
        atomic_store(&wrongs, 0);
        REQUIRE_OK(channel_create(&kernel_channels, &channel_wait_ops, &near, &far));
}

static void expect_no_leak(struct test *t)
{
        EXPECT_EQ(atomic_load(&wrongs), 0);
        EXPECT_EQ(slab_counts(&kernel_channels.slab).objects, 0);
        EXPECT_EQ(pmm_count_state(&kernel_pmm, VM_PAGE_IPC), ipc_pages);
}

static struct message_packet *numbered(uint32_t number, size_t bytes)
{
        static const uint32_t nothing[MESSAGE_BYTES / 4];
        struct message_packet *packet;

        if (TRIED(message_packet_create_kernel(&kernel_buffer_chain_cache, nothing, bytes, 0,
                                               &packet)) != ZX_OK)
                return NULL;
        message_packet_set_txid(packet, number);
        return packet;
}

static zx_status_t read_any(struct channel_end *end, struct message_packet **packet)
{
        struct channel_read_limits limits = {MESSAGE_PACKET_BYTES_MAX, 0, false};

        return channel_read(end, CHANNEL_OWNER_NONE, &limits, packet);
}

/* ---- one CPU is enough ---- */

/* Reads one request at the far end and sends it back. */
static void answer_one(UNUSED void *context)
{
        struct message_packet *packet;

        note(read_any(far, &packet) == ZX_OK);
        note(channel_write(far, CHANNEL_OWNER_NONE, &packet) == ZX_OK);
}

static void close_far(UNUSED void *context)
{
        channel_close(far);
}

TEST(channel_wait, who_waits_does_the_work_of_its_cpu)
{
        struct message_packet *packet, *reply = NULL;
        struct cpu_work work;

        make_bed(t);
        cpu_work_init(&work, answer_one, NULL);
        cpu_work_post(&work, cpu_current());
        packet = numbered(1, 8);
        EXPECT_OK(channel_call(near, CHANNEL_OWNER_NONE, &packet, time_deadline_after(LIMIT_NS),
                               &reply));
        REQUIRE_TRUE(reply != NULL);
        EXPECT_GE(message_packet_txid(reply), 1u << CHANNEL_TXID_KERNEL_BIT);
        message_packet_free(reply);

        REQUIRE_OK(cpu_work_wait(&work, time_deadline_after(LIMIT_NS)));
        cpu_work_init(&work, close_far, NULL);
        cpu_work_post(&work, cpu_current());
        packet = numbered(1, 8);
        EXPECT_STATUS(ZX_ERR_PEER_CLOSED,
                      channel_call(near, CHANNEL_OWNER_NONE, &packet,
                                   time_deadline_after(LIMIT_NS), &reply));
        REQUIRE_OK(cpu_work_wait(&work, time_deadline_after(LIMIT_NS)));
        channel_close(near);
        expect_no_leak(t);
}

TEST(channel_wait, call_times_out_at_its_deadline)
{
        uint64_t start_ns = time_ns();
        struct message_packet *packet, *reply = NULL;

        make_bed(t);
        packet = numbered(1, 8);
        EXPECT_STATUS(ZX_ERR_TIMED_OUT,
                      channel_call(near, CHANNEL_OWNER_NONE, &packet,
                                   time_deadline_after(5 * NS_PER_MS), &reply));
        EXPECT_GE(time_ns() - start_ns, 5 * NS_PER_MS);
        EXPECT_LT(time_ns() - start_ns, LIMIT_NS);
        EXPECT_TRUE(arch_interrupts_enabled());
        EXPECT_EQ(channel_pending(far, NULL), 1);
        channel_close(near);
        channel_close(far);
        expect_no_leak(t);
}

/* ---- the console word ---- */

static char said[512];

static void keep_line(struct log_sink *sink, const char *line, size_t bytes)
{
        strncat(said, line, bytes < sizeof(said) - strlen(said) ? bytes : 0);
}

TEST(channel_wait, what_the_console_word_says)
{
        struct log_sink sink = {.write = keep_line}, *console;
        struct message_packet *packet;
        char expected[sizeof(said)];

        make_bed(t);
        for (uint32_t i = 0; i < 3; i++) {
                packet = numbered(i, 8);
                EXPECT_OK(channel_write(near, CHANNEL_OWNER_NONE, &packet));
        }
        EXPECT_OK(read_any(far, &packet));
        message_packet_free(packet);
        channel_close(near);
        console = log_replace_sinks(&sink);
        said[0] = '\0';
        channel_print();
        log_replace_sinks(console);
        snprintf(expected, sizeof(expected),
                 "# channel: 0.0 closed, messages 0, at most 0, callers 0\n"
                 "# channel: 0.1 open, messages 2, at most 3, callers 0\n"
                 "# channel: 1 channels in 1 pages, 2 messages wait; %llu could not be made\n",
                 (unsigned long long)slab_counts(&kernel_channels.slab).failures);
        EXPECT_STR_EQ(said, expected);
        channel_close(far);
        expect_no_leak(t);
}

/* ---- too many messages ---- */

static void write_more(struct test *t, unsigned count)
{
        for (unsigned i = 0; i < count && !test_has_failed(t); i++) {
                struct message_packet *packet = numbered(i, 8);
                REQUIRE_TRUE(packet != NULL);
                EXPECT_OK(channel_write(near, CHANNEL_OWNER_NONE, &packet));
        }
}

/* The warning is written to the console with the channel's lock held, in the middle of a write. */
TEST(channel_wait, half_the_limit_is_said_on_the_console)
{
        static const char line[] = "# channel: 1750 messages wait at one end, 3500 are the limit\n";
        struct log_sink sink = {.write = keep_line}, *console;
        struct message_packet *packet;
        char before[sizeof(line)], again[sizeof(said)];

        if (pmm_count_free_pages(&kernel_pmm) < 2 * CHANNEL_PENDING_WARNING)
                SKIP("the machine has too little memory for so many messages");
        make_bed(t);
        said[0] = '\0';
        console = log_replace_sinks(&sink);
        write_more(t, CHANNEL_PENDING_WARNING - 1);
        strncpy(before, said, sizeof(before));
        write_more(t, 20);
        for (unsigned i = 0; i < 20 && !test_has_failed(t); i++) {
                EXPECT_OK(read_any(far, &packet));
                message_packet_free(packet);
        }
        strcpy(again, said);
        write_more(t, 1); /* reached again */
        log_replace_sinks(console);
        EXPECT_STR_EQ(before, "");
        EXPECT_STR_EQ(again, line);
        EXPECT_STR_EQ(said + strlen(again), line);
        EXPECT_EQ(channel_pending(far, NULL), CHANNEL_PENDING_WARNING);
        EXPECT_TRUE(channel_valid(near->channel));
        channel_close(near);
        channel_close(far);
        expect_no_leak(t);
}

/* ---- two CPUs ---- */

/* Sends everything back until the other end is closed. */
static void echo(UNUSED void *context)
{
        uint64_t deadline_ns = time_deadline_after(LIMIT_NS);
        struct message_packet *packet;
        zx_status_t status;

        while ((status = read_any(far,
                                  &packet)) != ZX_ERR_PEER_CLOSED && !time_passed(deadline_ns)) {
                if (status == ZX_OK)
                        note(channel_write(far, CHANNEL_OWNER_NONE, &packet) == ZX_OK);
                else
                        arch_pause();
                note(status == ZX_OK || status == ZX_ERR_SHOULD_WAIT);
        }
        note(status == ZX_ERR_PEER_CLOSED);
        channel_close(far);
}

TEST(channel_wait, two_ends_on_two_cpus)
{
        uint64_t deadline_ns = time_deadline_after(LIMIT_NS);
        struct message_packet *packet = NULL, *reply = NULL;
        uint32_t sent = 0, received = 0;
        struct cpu_work work;

        if (cpu_count() == 1)
                SKIP("the machine has one CPU");
        make_bed(t);
        cpu_work_init(&work, echo, NULL);
        cpu_work_post(&work, 1);
        for (uint32_t i = 0; i < CALLS && !test_has_failed(t); i++) {
                packet = numbered(i, 8);
                EXPECT_OK(channel_call(near, CHANNEL_OWNER_NONE, &packet, deadline_ns, &reply));
                if (reply != NULL)
                        message_packet_free(reply);
                reply = NULL;
        }
        /* Plain messages meanwhile go and come in order. */
        while (received < MESSAGES && !time_passed(deadline_ns)) {
                packet = sent < MESSAGES ? numbered(sent, MESSAGE_BYTES) : NULL;
                if (packet != NULL) {
                        EXPECT_OK(channel_write(near, CHANNEL_OWNER_NONE, &packet));
                        sent++;
                }
                if (read_any(near, &packet) == ZX_OK) {
                        EXPECT_EQ(message_packet_txid(packet), received);
                        message_packet_free(packet);
                        received++;
                }
        }
        EXPECT_EQ(received, MESSAGES);
        EXPECT_TRUE(channel_valid(near->channel));
        channel_close(near);
        EXPECT_OK(cpu_work_wait(&work, time_deadline_after(LIMIT_NS)));
        expect_no_leak(t);
}
