/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_client_arrows_test — channels that live until each arrow of the picture in vmbus.h has been
 * walked, by messages and calls, not by asking the table. */
#include "tests/host/vmbus_client_bed.h"

static uint32_t rescind_at; /* the message during which the host takes channel 1 back */

static void hook(uint32_t type)
{
        if (type != rescind_at)
                return;
        rescind_at = 0;
        host_say(12, 2, 1, 0, 0);
        bed_poll(&bed.transport);
}

enum end { CLOSED, TAKEN_BACK, LEFT };

/* One life of channel 1. */
struct life {
        /* The type of a message; those that the host does not answer. */
        uint32_t rescind_at, silent;
        enum end end;
        enum vmbus_channel_state state; /* after its opening, and its end */
};

static const struct life lives[] = {
        {0, 0, CLOSED, VMBUS_CHANNEL_OFFERED},
        {0, 0, TAKEN_BACK, VMBUS_CHANNEL_FREE},
        {0, TYPE_BIT(8), LEFT, VMBUS_CHANNEL_OFFERED},  /* its GPADL is late */
        {0, TYPE_BIT(5), LEFT, VMBUS_CHANNEL_OFFERED},  /* its opening is */
        {8, 0, LEFT, VMBUS_CHANNEL_RESCINDED},
        {8, TYPE_BIT(8), LEFT, VMBUS_CHANNEL_RESCINDED},
        {5, 0, LEFT, VMBUS_CHANNEL_RESCINDED},
        {7, 0, CLOSED, VMBUS_CHANNEL_RESCINDED},
};

static void live(struct test *t, const struct life *life)
{
        struct vmbus_channel *channel = bed_channel(1);
        rescind_at = life->rescind_at;
        bed.hook = hook;
        bed.silent = life->silent;
        bool opened = vmbus_open(channel, &bed_open_small) == ZX_OK;
        EXPECT_EQ(opened, life->end != LEFT);
        if (life->end == TAKEN_BACK) {
                host_say(12, 2, 1, 0, 0);
                bed_poll(&bed.transport);
                EXPECT_STATE(REVOKED, channel);
                EXPECT_OK(vmbus_close(channel));
                EXPECT_STATE(RESCINDED, channel);
                bed_settle();
        } else if (life->end == CLOSED) {
                EXPECT_OK(vmbus_close(channel));
        }
        EXPECT_EQ(vmbus_channel_state(channel), life->state);
        bed.silent = 0;
        bed_settle();
}

TEST(vmbus_client_arrows, each_is_walked_and_no_other)
{
        uint32_t walked[VMBUS_CHANNEL_STATE_COUNT][VMBUS_EVENT_COUNT] = {{0}};
        for (unsigned i = 0; i < ARRAY_COUNT(lives); i++) {
                CONNECT(0x60000, 2);
                live(t, &lives[i]);
                bed_end(t);
                for (unsigned from = 0; from < VMBUS_CHANNEL_STATE_COUNT; from++)
                        for (unsigned event = 0; event < VMBUS_EVENT_COUNT; event++)
                                walked[from][event] += bed.vmbus.walked[from][event];
        }
        for (unsigned from = 0; from < VMBUS_CHANNEL_STATE_COUNT; from++)
                for (unsigned event = 0; event < VMBUS_EVENT_COUNT; event++) {
                        bool drawn = vmbus_channel_next(from, event) != VMBUS_CHANNEL_STATE_COUNT;
                        if (!EXPECT_EQ(walked[from][event] != 0, drawn))
                                test_log(t, "%s, event %u", vmbus_channel_state_name(from), event);
                }
}
