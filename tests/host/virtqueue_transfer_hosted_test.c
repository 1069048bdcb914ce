/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Our driver's end and our device's end in two processes: no transfer and no wake-up is lost. */
#define _GNU_SOURCE
#include "tests/expect.h"
#include "tests/host/virtqueue_transfer.h"

/* `make bench` moves ten millions, tests/bench/virtqueue_transfer_bench.c. */
#define TRANSFERS 250000u
#define RUN_LENGTH_MAX 700u /* between two drains; now and then short, so that both fall asleep */

static void transfer_all(struct test *t, struct transfer_options options)
{
        static struct transfer transfer;
        const char *wrong = transfer_open(&transfer, options);
        for (uint64_t left = TRANSFERS; left != 0 && wrong == NULL;) {
                uint64_t length = 1 + world_random_below(t, RUN_LENGTH_MAX);
                if (length > left)
                        length = left;
                wrong = transfer_run(&transfer, length);
                left -= length;
        }
        const char *end = transfer_close(&transfer);
        EXPECT_STR_EQ(wrong != NULL ? wrong : "nothing wrong", "nothing wrong");
        EXPECT_STR_EQ(end != NULL ? end : "served to the end", "served to the end");
        EXPECT_EQ(transfer.answered, TRANSFERS);
        EXPECT_GT(transfer.sleeps, 0u);
        EXPECT_EQ(transfer.driver.taken, TRANSFERS);
}

/* Plain, in order, with tables, and with both. */
static void transfer_in_each_way(struct test *t, struct transfer_options options)
{
        for (uint32_t bits = 0; bits < 4 && !test_has_failed(t); bits++) {
                options.in_order = bits & 1;
                options.indirect = bits & 2;
                transfer_all(t, options);
        }
}

TEST_WITH(virtqueue_transfer, split_by_flags, 0, 120000)
{
        transfer_in_each_way(t, (struct transfer_options){0});
}

TEST_WITH(virtqueue_transfer, split_by_events, 0, 120000)
{
        transfer_in_each_way(t, (struct transfer_options){.event_index = true});
}

TEST_WITH(virtqueue_transfer, packed_by_flags, 0, 120000)
{
        transfer_in_each_way(t, (struct transfer_options){.packed = true});
}

TEST_WITH(virtqueue_transfer, packed_by_events, 0, 120000)
{
        transfer_in_each_way(t, (struct transfer_options){.packed = true, .event_index = true});
}
