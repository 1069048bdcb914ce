/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What a device must not do with chains is a bug of ours, and ends the run: an id that is none, a
 * chain that is not in flight, more bytes than may be written, of each layout, singly and in
 * batches. Each is tried in a child, which must die of it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/host/virtqueue_device_rig.h"

#define SIZE 8u
#define ID 5u
#define BYTES 64u
#define AVAIL_FLAG 0x80
#define SURVIVED 7

enum way { WAY_PUSH, WAY_BATCH, WAY_READ, WAYS };

static struct rig rig;

/* One chain to write, of `length` descriptors, popped. */
static bool pop_one(struct test *t, bool packed, uint32_t length)
{
        rig_prepare(t, &rig, SIZE);
        rig.config.packed = packed;
        if (!EXPECT_OK(virtqueue_device_init(&rig.device, &rig.config)))
                return false;
        for (uint32_t i = 0; i < length; i++) {
                uint32_t next = i + 1 < length ? RIG_NEXT : 0;
                uint32_t packed_words = (AVAIL_FLAG | RIG_WRITE | next) << 16 | ID;
                uint32_t split_words = (ID + i + 1) << 16 | RIG_WRITE | next;
                rig_describe(&rig.descriptors[packed ? i : ID + i], RIG_DATA_DEV, BYTES / length,
                             packed ? packed_words : split_words);
        }
        if (!packed)
                rig_offer(&rig, ID);
        if (!EXPECT_OK(rig_pop(&rig)) || !EXPECT_EQ(rig.request.id, ID))
                return false;
        rig.config.slots[SIZE] = rig.config.slots[ID]; /* behind them; nobody may look there */
        return true;
}

static void push(enum way way, uint32_t id, uint32_t bytes)
{
        struct virtqueue_used_element used = {.id = id, .bytes = bytes};
        struct virtqueue_request request = {.id = (uint16_t)id};
        if (way == WAY_PUSH)
                virtqueue_device_push(&rig.device, (uint16_t)id, bytes);
        else if (way == WAY_BATCH)
                virtqueue_device_push_batch(&rig.device, &used, 1);
        else
                virtqueue_device_push_read(&rig.device, &request, 1);
}

/* Whether a child that pushes this dies of an assertion; what it says of it is not shown. */
static bool dies(enum way way, uint32_t id, uint32_t bytes)
{
        int state;
        pid_t child = fork();
        if (child == 0) {
                int nowhere = open("/dev/null", O_WRONLY);
                (void)dup2(nowhere, STDERR_FILENO);
                (void)signal(SIGABRT, SIG_DFL);
                push(way, id, bytes);
                _exit(SURVIVED);
        }
        return child > 0 && waitpid(child, &state, 0) == child && WIFSIGNALED(state) &&
               WTERMSIG(state) == SIGABRT;
}

static void try_bugs(struct test *t, bool packed, uint32_t length)
{
        for (enum way way = 0; way < WAYS; way++) {
                REQUIRE_TRUE(pop_one(t, packed, length));
                EXPECT_TRUE(dies(way, SIZE, 0));
                EXPECT_TRUE(dies(way, ID - 1, 0));
                if (way != WAY_READ)
                        EXPECT_TRUE(dies(way, ID, BYTES + 1));
                push(way, ID, way != WAY_READ ? BYTES : 0);
                EXPECT_EQ(virtqueue_device_in_flight(&rig.device), 0u);
                EXPECT_TRUE(dies(way, ID, 0)); /* a second time */
                if (test_has_failed(t))
                        test_log(t, "way %u, chain of %u", (unsigned)way, length);
        }
}

TEST(virtqueue_device, bugs_end_the_run)
{
        try_bugs(t, false, 1);
        try_bugs(t, false, 2);
}

TEST(virtqueue_device_packed, bugs_end_the_run)
{
        try_bugs(t, true, 1);
        try_bugs(t, true, 2);
}
