/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Our driver's end and our device's end in two processes: no transfer and no wake-up is lost. */
#define _GNU_SOURCE
#include "tests/expect.h"
#include "tests/host/virtqueue_transfer.h"

#define TRANSFERS 250000u
#define WAYS 16 /* layouts, events, and those of transfer_in_each_way() */
/* In all of them; `make bench` moves as many in one. */
#define TRANSFERS_LONG 10000000u
#define RUN_LENGTH_MAX 700u /* between two drains; now and then short, so that both fall asleep */

static void transfer_all(struct test *t, struct transfer_options options, uint64_t count)
{
        static struct transfer transfer;
        const char *wrong = transfer_open(&transfer, options);
        for (uint64_t left = count; left != 0 && wrong == NULL;) {
                uint64_t length = 1 + world_random_below(t, RUN_LENGTH_MAX);
                if (length > left)
                        length = left;
                wrong = transfer_run(&transfer, length);
                left -= length;
        }
        const char *end = transfer_close(&transfer);
        EXPECT_STR_EQ(wrong != NULL ? wrong : "nothing wrong", "nothing wrong");
        EXPECT_STR_EQ(end != NULL ? end : "served to the end", "served to the end");
        EXPECT_EQ(transfer.answered, count);
        EXPECT_GT(transfer.sleeps, 0u);
        EXPECT_EQ(transfer.driver.taken, count);
}

/* Plain, in order, with tables, and with both. */
static void transfer_in_each_way(struct test *t, struct transfer_options options,
                                 uint64_t count)
{
        for (uint32_t bits = 0; bits < 4 && !test_has_failed(t); bits++) {
                options.in_order = bits & 1;
                options.indirect = bits & 2;
                transfer_all(t, options, count);
        }
}

TEST_WITH(virtqueue_transfer, split_by_flags, 0, 120000)
{
        transfer_in_each_way(t, (struct transfer_options){0}, TRANSFERS);
}

TEST_WITH(virtqueue_transfer, split_by_events, 0, 120000)
{
        transfer_in_each_way(t, (struct transfer_options){.event_index = true}, TRANSFERS);
}

TEST_WITH(virtqueue_transfer, packed_by_flags, 0, 120000)
{
        transfer_in_each_way(t, (struct transfer_options){.packed = true}, TRANSFERS);
}

TEST_WITH(virtqueue_transfer, packed_by_events, 0, 120000)
{
        transfer_in_each_way(t, (struct transfer_options){.packed = true, .event_index = true},
                             TRANSFERS);
}

/* The same for ten million transfers in all: on request. */
TEST_WITH(virtqueue_transfer_long, in_every_way, TEST_ON_REQUEST, 3600000)
{
        for (uint32_t bits = 0; bits < WAYS / 4 && !test_has_failed(t); bits++)
                transfer_in_each_way(t, (struct transfer_options){.packed = bits & 1,
                                                                  .event_index = bits & 2},
                                     TRANSFERS_LONG / WAYS);
}
