/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Our driver's end and our device's end in two processes: no transfer and no wake-up is lost. */
#define _GNU_SOURCE
#include "tests/expect.h"
#include "tests/host/virtqueue_transfer.h"

#define TRANSFERS 500000u
#define RUN_LENGTH_MAX 700u /* between two drains; now and then short, so that both fall asleep */

static void transfer_millions(struct test *t, bool packed, bool event_index)
{
        static struct transfer transfer;
        const char *wrong = transfer_open(&transfer, packed, event_index);
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
}

TEST_WITH(virtqueue_transfer, split_by_flags, 0, 120000)
{
        transfer_millions(t, false, false);
}

TEST_WITH(virtqueue_transfer, split_by_events, 0, 120000)
{
        transfer_millions(t, false, true);
}

TEST_WITH(virtqueue_transfer, packed_by_flags, 0, 120000)
{
        transfer_millions(t, true, false);
}

TEST_WITH(virtqueue_transfer, packed_by_events, 0, 120000)
{
        transfer_millions(t, true, true);
}
