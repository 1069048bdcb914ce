/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_multi_test — several processors asleep on one sender, in the orders in which a wake-up
 * could be lost, one call after the other. A and B are the processors; each test ends with nobody
 * waiting for a signal that nobody owes. The same with threads:
 * vmbus_ring_threads_hosted_test.c. */
#include "tests/boot/vmbus_ring_rig.h"

#define SMALL_BYTES 1000u /* in the ring, with descriptor and footer */
#define LARGE_BYTES 3000u

struct shared_rig {
        struct rig rig;
        struct vmbus_multi multi;
        uint32_t seen_a, seen_b;
};

static enum vmbus_result send_total(struct shared_rig *shared, uint32_t total_bytes)
{
        static const uint8_t zeros[LARGE_BYTES];
        const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND,
                                              .payload_bytes =
                                                      total_bytes - VMBUS_PACKET_BYTES_MIN};
        bool signal;
        return vmbus_multi_send(&shared->multi, &packet, zeros, &signal);
}

/* A ring of one page with a small and a large packet in it and no room for another; A sleeps for
 * `needed_bytes`. */
static bool a_sleeps(struct test *t, struct shared_rig *shared, uint32_t needed_bytes)
{
        return open_at(t, &shared->rig, 1, 0) &&
               EXPECT_EQ(vmbus_multi_init(&shared->multi, &shared->rig.sender), VMBUS_OK) &&
               EXPECT_EQ(send_total(shared, SMALL_BYTES), VMBUS_OK) &&
               EXPECT_EQ(send_total(shared, LARGE_BYTES), VMBUS_OK) &&
               EXPECT_EQ(send_total(shared, SMALL_BYTES), VMBUS_FULL) &&
               EXPECT_EQ(vmbus_multi_prepare_to_sleep(&shared->multi, needed_bytes,
                                                      &shared->seen_a),
                         VMBUS_FULL);
}

/* The peer reads one packet; a signal that it owes is counted. Returns whether it owed one. */
static bool peer_reads(struct test *t, struct shared_rig *shared)
{
        struct vmbus_incoming packet;
        EXPECT_EQ(get(&shared->rig, &packet), VMBUS_OK);
        bool owed = give_back(&shared->rig);
        if (owed)
                vmbus_multi_signal(&shared->multi);
        return owed;
}

static uint32_t pending(const struct shared_rig *shared)
{
        return shared->rig.memory.control->pending_send_size;
}

#define A_SLEEPS(shared, bytes) REQUIRE_TRUE(a_sleeps(t, &(shared), (bytes)))

TEST(vmbus_ring, who_joins_a_sleep_after_its_signal_is_told_of_the_room)
{
        struct shared_rig shared;
        A_SLEEPS(shared, SMALL_BYTES);
        EXPECT_TRUE(peer_reads(t, &shared));
        /* A has not run yet: to B the ring is still full. */
        EXPECT_EQ(send_total(&shared, SMALL_BYTES), VMBUS_FULL);
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&shared.multi, SMALL_BYTES, &shared.seen_b),
                  VMBUS_OK);
        EXPECT_EQ(pending(&shared), 0u);
        EXPECT_EQ(send_total(&shared, SMALL_BYTES), VMBUS_OK);
        EXPECT_NE(vmbus_multi_signals(&shared.multi), shared.seen_a);
        EXPECT_EQ(vmbus_multi_woken(&shared.multi), VMBUS_OK);
        EXPECT_EQ(pending(&shared), 0u);
}

TEST(vmbus_ring, who_joins_a_sleep_after_its_signal_for_more_keeps_its_own)
{
        struct shared_rig shared;
        A_SLEEPS(shared, SMALL_BYTES);
        EXPECT_TRUE(peer_reads(t, &shared));
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&shared.multi, LARGE_BYTES, &shared.seen_b),
                  VMBUS_FULL);
        EXPECT_EQ(pending(&shared), LARGE_BYTES);
        EXPECT_EQ(vmbus_multi_signals(&shared.multi), shared.seen_b);
        /* A runs at last: B's sleep goes on, and A joins it, for no less than B needs. */
        EXPECT_NE(vmbus_multi_signals(&shared.multi), shared.seen_a);
        EXPECT_EQ(vmbus_multi_woken(&shared.multi), VMBUS_OK);
        EXPECT_EQ(pending(&shared), LARGE_BYTES);
        EXPECT_EQ(send_total(&shared, SMALL_BYTES), VMBUS_FULL);
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&shared.multi, SMALL_BYTES, &shared.seen_a),
                  VMBUS_FULL);
        EXPECT_EQ(pending(&shared), LARGE_BYTES);
        EXPECT_TRUE(peer_reads(t, &shared));
        EXPECT_NE(vmbus_multi_signals(&shared.multi), shared.seen_a);
        EXPECT_NE(vmbus_multi_signals(&shared.multi), shared.seen_b);
        EXPECT_EQ(vmbus_multi_woken(&shared.multi), VMBUS_OK);
        EXPECT_EQ(pending(&shared), 0u);
        EXPECT_EQ(send_total(&shared, LARGE_BYTES), VMBUS_OK);
}

TEST(vmbus_ring, who_finds_room_wakes_those_whose_signal_it_took)
{
        struct shared_rig shared;
        A_SLEEPS(shared, SMALL_BYTES);
        /* The peer has stored `out`, and has not looked at pending_send_size. */
        shared.rig.memory.control->out = SMALL_BYTES;
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&shared.multi, SMALL_BYTES, &shared.seen_b),
                  VMBUS_OK);
        EXPECT_EQ(pending(&shared), 0u); /* so it owes none */
        EXPECT_NE(vmbus_multi_signals(&shared.multi), shared.seen_a);
        EXPECT_EQ(vmbus_multi_woken(&shared.multi), VMBUS_OK);
        EXPECT_EQ(send_total(&shared, SMALL_BYTES), VMBUS_OK);
}

TEST(vmbus_ring, who_comes_late_from_one_sleep_does_not_end_the_next)
{
        struct shared_rig shared;
        A_SLEEPS(shared, SMALL_BYTES);
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&shared.multi, SMALL_BYTES, &shared.seen_b),
                  VMBUS_FULL);
        EXPECT_TRUE(peer_reads(t, &shared));
        EXPECT_EQ(vmbus_multi_woken(&shared.multi), VMBUS_OK); /* A, who takes all the room */
        EXPECT_EQ(send_total(&shared, SMALL_BYTES), VMBUS_OK);
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&shared.multi, SMALL_BYTES, &shared.seen_a),
                  VMBUS_FULL);
        EXPECT_EQ(vmbus_multi_woken(&shared.multi), VMBUS_OK); /* B */
        EXPECT_EQ(pending(&shared), SMALL_BYTES);
        EXPECT_TRUE(peer_reads(t, &shared));
        EXPECT_NE(vmbus_multi_signals(&shared.multi), shared.seen_a);
}

TEST(vmbus_ring, who_gives_up_a_shared_sleep_wakes_the_others)
{
        struct shared_rig shared;
        A_SLEEPS(shared, LARGE_BYTES);
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&shared.multi, SMALL_BYTES, &shared.seen_b),
                  VMBUS_FULL);
        EXPECT_EQ(vmbus_multi_cancel_sleep(&shared.multi), VMBUS_OK);
        EXPECT_EQ(pending(&shared), 0u);
        EXPECT_NE(vmbus_multi_signals(&shared.multi), shared.seen_b);
        EXPECT_EQ(vmbus_multi_woken(&shared.multi), VMBUS_OK);
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&shared.multi, SMALL_BYTES, &shared.seen_b),
                  VMBUS_FULL);
        EXPECT_EQ(pending(&shared), SMALL_BYTES); /* no more than who is left needs */
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&shared.multi, BIT_MASK(40), &shared.seen_b),
                  VMBUS_TOO_LARGE);
        EXPECT_EQ(pending(&shared), SMALL_BYTES);
}

TEST(vmbus_ring, who_finds_a_broken_rule_wakes_the_others)
{
        struct shared_rig shared;
        A_SLEEPS(shared, SMALL_BYTES);
        shared.rig.memory.control->out = 3;
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&shared.multi, SMALL_BYTES, &shared.seen_b),
                  VMBUS_BAD_OUT_ALIGNMENT);
        EXPECT_NE(vmbus_multi_signals(&shared.multi), shared.seen_a);
        EXPECT_EQ(vmbus_multi_woken(&shared.multi), VMBUS_BAD_OUT_ALIGNMENT);
        EXPECT_EQ(vmbus_multi_cancel_sleep(&shared.multi), VMBUS_BAD_OUT_ALIGNMENT);
        EXPECT_EQ(send_total(&shared, SMALL_BYTES), VMBUS_BAD_OUT_ALIGNMENT);
}
