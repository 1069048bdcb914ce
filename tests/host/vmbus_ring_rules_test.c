/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_rules_test — room, waiting, and every rule that a peer can break: spec/vmbus.md, (c).
 * Where a test says "the peer", it writes the shared memory by hand. */
#define VMBUS_RING_EXAMPLE
#include "vmbus_ring/vmbus_ring.h"

#include "tests/boot/vmbus_ring_rig.h"
#include "tests/expect.h"

TEST(vmbus_ring, example_in_the_header_runs)
{
        struct rig rig;
        OPEN(rig, 1, 0);
        EXPECT_TRUE(vmbus_ring_example(&rig.sender, &rig.to, &rig.receiver, &rig.from));
}

/* ---- room ---- */

TEST(vmbus_ring, full_and_empty_are_told_apart)
{
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 8);
        EXPECT_EQ(get(&rig, &packet), VMBUS_EMPTY);
        EXPECT_EQ(vmbus_sender_packet_bytes_max(&rig.sender), 4088);
        REQUIRE_EQ(put_total(&rig, 4088), VMBUS_OK);
        EXPECT_EQ(put_total(&rig, 24), VMBUS_FULL);
        EXPECT_EQ(vmbus_sender_can_write(&rig.sender, &rig.to, 1), VMBUS_FULL);
        EXPECT_EQ(get(&rig, &packet), VMBUS_EMPTY); /* not committed yet */
        commit(&rig);
        EXPECT_EQ(rig.memory.control->in, 0);
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_EQ(packet.payload.bytes, 4064);
        EXPECT_EQ(get(&rig, &packet), VMBUS_EMPTY);
        EXPECT_EQ(put_total(&rig, 24), VMBUS_FULL); /* not given back yet */
        give_back(&rig);
        EXPECT_EQ(put_total(&rig, 24), VMBUS_OK);
        EXPECT_EQ(vmbus_sender_can_write(&rig.sender, &rig.to, 4064), VMBUS_OK);
        EXPECT_EQ(vmbus_sender_can_write(&rig.sender, &rig.to, 4065), VMBUS_FULL);
}

TEST(vmbus_ring, one_largest_packet_everywhere)
{
        struct vmbus_range payload;
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND};
        struct rig rig;
        for (uint32_t pages = 1; pages <= 130; pages += 129) {
                uint32_t max = pages == 1 ? 4088 : VMBUS_PACKET_BYTES_MAX;
                OPEN(rig, pages, 0);
                EXPECT_EQ(vmbus_sender_packet_bytes_max(&rig.sender), max);
                EXPECT_EQ(vmbus_sender_can_write(&rig.sender, &rig.to, max), VMBUS_OK);
                EXPECT_EQ(vmbus_sender_can_write(&rig.sender, &rig.to, max + 1), VMBUS_TOO_LARGE);
                EXPECT_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, max + 1, 0),
                          VMBUS_TOO_LARGE);
                packet.payload_bytes = max - 24 + 1;
                EXPECT_EQ(vmbus_sender_write(&rig.sender, &rig.to, &packet, &payload),
                          VMBUS_TOO_LARGE);
                packet.payload_bytes = UINT32_MAX;
                EXPECT_EQ(vmbus_sender_write(&rig.sender, &rig.to, &packet, &payload),
                          VMBUS_TOO_LARGE);
                EXPECT_EQ(rig.to.next_in, 0);
                packet.payload_bytes = max - 24;
                EXPECT_EQ(vmbus_sender_write(&rig.sender, &rig.to, &packet, &payload), VMBUS_OK);
                EXPECT_EQ(rig.to.next_in, max);
                EXPECT_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, max, 0),
                          VMBUS_COMMIT_FIRST);
                commit(&rig);
                EXPECT_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, max, 0), VMBUS_FULL);
                EXPECT_EQ(rig.memory.control->pending_send_size, max);
        }
}

TEST(vmbus_ring, revert_drops_what_was_not_committed)
{
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 0);
        REQUIRE_EQ(put(&rig, VMBUS_SEND_COMPLETION, 1, NULL, 8), VMBUS_OK);
        REQUIRE_EQ(put(&rig, VMBUS_SEND_COMPLETION, 2, NULL, 8), VMBUS_OK);
        vmbus_sender_revert(&rig.to);
        REQUIRE_EQ(put(&rig, VMBUS_SEND_COMPLETION, 3, NULL, 8), VMBUS_OK);
        REQUIRE_EQ(put(&rig, VMBUS_SEND_COMPLETION, 4, NULL, 8), VMBUS_OK);
        commit(&rig);
        struct vmbus_receive_position ahead = rig.from;
        REQUIRE_EQ(vmbus_receiver_read(&rig.receiver, &ahead, &packet), VMBUS_OK);
        REQUIRE_EQ(vmbus_receiver_read(&rig.receiver, &ahead, &packet), VMBUS_OK);
        EXPECT_EQ(packet.transaction_id, 4);
        EXPECT_EQ(vmbus_receiver_read(&rig.receiver, &ahead, &packet), VMBUS_EMPTY);
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_EQ(packet.transaction_id, 3);
        vmbus_receiver_revert(&rig.from);
        EXPECT_FALSE(give_back(&rig));
        EXPECT_EQ(rig.memory.control->out, 0);
        REQUIRE_TRUE(drain(&rig, 2));
        EXPECT_EQ(rig.memory.control->out, 64);
}

TEST(vmbus_ring, own_index_is_never_read_back)
{
        struct rig rig;
        OPEN(rig, 1, 0);
        REQUIRE_EQ(put_total(&rig, 32), VMBUS_OK);
        rig.memory.control->in = 0x7ffffff1; /* the peer overwrites it */
        commit(&rig);
        EXPECT_EQ(rig.memory.control->in, 32);
        rig.memory.control->out = 0;
        REQUIRE_TRUE(drain(&rig, 1));
        EXPECT_EQ(rig.memory.control->out, 32);
}

/* ---- waiting (c.4) ---- */

TEST(vmbus_ring, receiver_sleeps_only_on_an_empty_ring)
{
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 0);
        EXPECT_EQ(receiver_sleeps(&rig), VMBUS_EMPTY);
        EXPECT_EQ(rig.memory.control->interrupt_mask, 0);
        EXPECT_EQ(vmbus_receiver_check_sleep(&rig.receiver), VMBUS_OK);
        REQUIRE_EQ(put_total(&rig, 24), VMBUS_OK);
        REQUIRE_EQ(put_total(&rig, 24), VMBUS_OK);
        EXPECT_TRUE(commit(&rig));
        EXPECT_EQ(vmbus_receiver_woken(&rig.receiver), VMBUS_OK);
        EXPECT_EQ(rig.memory.control->interrupt_mask, 1);

        EXPECT_EQ(receiver_sleeps(&rig), VMBUS_OK);
        EXPECT_EQ(rig.memory.control->interrupt_mask, 1);
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_EQ(receiver_sleeps(&rig), VMBUS_COMMIT_FIRST);
        EXPECT_EQ(rig.memory.control->interrupt_mask, 1);
        give_back(&rig);
        EXPECT_EQ(receiver_sleeps(&rig), VMBUS_EMPTY);
        vmbus_receiver_cancel_sleep(&rig.receiver);
        EXPECT_EQ(rig.memory.control->interrupt_mask, 1);
        EXPECT_EQ(get(&rig, &packet), VMBUS_EMPTY);
}

TEST(vmbus_ring, sender_sleeps_until_the_packet_fits)
{
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 1000);
        REQUIRE_EQ(put_total(&rig, 2000), VMBUS_OK);
        REQUIRE_EQ(put_total(&rig, 2000), VMBUS_OK);
        commit(&rig);
        EXPECT_EQ(put_total(&rig, 104), VMBUS_FULL);
        EXPECT_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, 97, 0), VMBUS_FULL);
        EXPECT_EQ(rig.memory.control->pending_send_size, 104);
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_TRUE(give_back(&rig));
        EXPECT_EQ(vmbus_sender_woken(&rig.sender), VMBUS_OK);
        EXPECT_EQ(rig.memory.control->pending_send_size, 0);
        EXPECT_EQ(put_total(&rig, 104), VMBUS_OK);
        commit(&rig);

        /* Room turns up between the failed write and the sleep. */
        EXPECT_EQ(put_total(&rig, 2200), VMBUS_FULL);
        REQUIRE_TRUE(drain(&rig, 2));
        EXPECT_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, 2200, 4000), VMBUS_OK);
        EXPECT_EQ(rig.memory.control->pending_send_size, 0);
        EXPECT_EQ(put_total(&rig, 2200), VMBUS_OK);
}

TEST(vmbus_ring, sender_asks_for_its_uncommitted_bytes_on_top)
{
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 0);
        REQUIRE_EQ(put_total(&rig, 2000), VMBUS_OK);
        commit(&rig);
        REQUIRE_EQ(put_total(&rig, 1600), VMBUS_OK); /* stays uncommitted: 488 left */
        EXPECT_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, 2496, 0), VMBUS_COMMIT_FIRST);
        EXPECT_EQ(rig.memory.control->pending_send_size, 0);
        EXPECT_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, 600, 0), VMBUS_FULL);
        EXPECT_EQ(rig.memory.control->pending_send_size, 2200);
        /* The receiver sees 2088 free before and 4088 after:
         * without the 1600 it would not signal. */
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_TRUE(give_back(&rig));
        EXPECT_EQ(vmbus_sender_woken(&rig.sender), VMBUS_OK);
        EXPECT_EQ(put_total(&rig, 600), VMBUS_OK);
}

TEST(vmbus_ring, sender_may_ask_to_be_woken_later)
{
        struct rig rig;
        OPEN(rig, 1, 0);
        REQUIRE_EQ(put_total(&rig, 4000), VMBUS_OK);
        commit(&rig);
        EXPECT_EQ(vmbus_sender_wake_bytes(&rig.sender), 1024);
        EXPECT_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, 100, 1024), VMBUS_FULL);
        EXPECT_EQ(rig.memory.control->pending_send_size, 1024);
        vmbus_sender_cancel_sleep(&rig.sender);
        EXPECT_EQ(rig.memory.control->pending_send_size, 0);
        EXPECT_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, 100, UINT64_MAX), VMBUS_FULL);
        EXPECT_EQ(rig.memory.control->pending_send_size, 4088);
}

/* ---- a peer that breaks the rules (c.6, c.7) ---- */

/* What each broken end must do: say the same for ever and leave ring and position alone. */
static void expect_receiver_latched(struct test *t, struct rig *rig, enum vmbus_result reason)
{
        struct vmbus_incoming packet;
        struct vmbus_receive_position before = rig->from;
        uint32_t out = rig->memory.control->out;
        rig->memory.control->in = rig->from.next_out; /* even if the peer mends its ways */
        EXPECT_EQ(get(rig, &packet), reason);
        EXPECT_EQ(vmbus_receiver_can_read(&rig->receiver, &rig->from), reason);
        EXPECT_EQ(vmbus_receiver_position(&rig->receiver, &rig->from), reason);
        EXPECT_EQ(receiver_sleeps(rig), reason);
        EXPECT_EQ(vmbus_receiver_check_sleep(&rig->receiver), reason);
        EXPECT_EQ(vmbus_receiver_woken(&rig->receiver), reason);
        EXPECT_FALSE(give_back(rig));
        EXPECT_BYTES_EQ(&rig->from, &before, sizeof(before));
        EXPECT_EQ(rig->memory.control->out, out);
        EXPECT_EQ(rig->receiver.fault.reason, reason);
}

TEST(vmbus_ring, every_rule_of_a_packet_has_its_reason)
{
        static const struct {
                uint64_t word0, external;
                uint32_t available;
                enum vmbus_result reason;
                uint32_t value, limit;
        } rows[] = {
                {VMBUS_WORD0(6, 2, 2, 0), 0, 8, VMBUS_BAD_AVAILABLE, 8, 24},
                {VMBUS_WORD0(6, 2, 2, 0), 0, 16, VMBUS_BAD_AVAILABLE, 16, 24},
                {VMBUS_WORD0(6, 2, 2, 0), 0, 24, VMBUS_OK, 0, 0},
                {VMBUS_WORD0(6, 4, 3, 0), 0, 64, VMBUS_BAD_LENGTH, 3, 4},
                {VMBUS_WORD0(6, 2, 0, 0), 0, 64, VMBUS_BAD_LENGTH, 0, 2},
                {VMBUS_WORD0(6, 1, 4, 0), 0, 64, VMBUS_BAD_DATA_OFFSET, 1, 2},
                {VMBUS_WORD0(6, 0, 0, 0), 0, 64, VMBUS_BAD_DATA_OFFSET, 0, 2},
                {VMBUS_WORD0(6, 3, 3, 0), 0, 32, VMBUS_OK, 0, 0},
                {VMBUS_WORD0(6, 2, 3, 0), 0, 24, VMBUS_BAD_TOTAL, 32, 24}, /* no footer */
                {VMBUS_WORD0(6, 2, 65535, 0), 0, 64, VMBUS_BAD_TOTAL, 524288, 64},
                {VMBUS_WORD0(6, 2, 2, 2), 0, 24, VMBUS_BAD_FLAGS, 2, 1},
                {VMBUS_WORD0(6, 2, 2, 0x8001), 0, 24, VMBUS_BAD_FLAGS, 0x8001, 1},
                {VMBUS_WORD0(0, 2, 2, 0), 0, 24, VMBUS_BAD_TYPE, 0, 11},
                {VMBUS_WORD0(8, 2, 2, 0), 0, 24, VMBUS_BAD_TYPE, 8, 11},
                {VMBUS_WORD0(10, 2, 2, 0), 0, 24, VMBUS_BAD_TYPE, 10, 11},
                {VMBUS_WORD0(12, 3, 3, 1), 0, 32, VMBUS_BAD_TYPE, 12, 11},
                {VMBUS_WORD0(0x106, 2, 2, 0), 0, 24, VMBUS_BAD_TYPE, 0x106, 11},
                {VMBUS_WORD0(7, 2, 2, 0), 0, 24, VMBUS_BAD_EXTERNAL_HEADER, 2, 3},
                {VMBUS_WORD0(9, 2, 5, 1), 0, 48, VMBUS_BAD_EXTERNAL_HEADER, 2, 3},
                {VMBUS_WORD0(7, 3, 3, 1), 0, 32, VMBUS_OK, 0, 0},
                {VMBUS_WORD0(7, 4, 4, 1), 2ull << 32, 40, VMBUS_BAD_RANGE_COUNT, 2, 1},
                {VMBUS_WORD0(7, 4, 4, 0), UINT64_MAX, 40, VMBUS_BAD_RANGE_COUNT, UINT32_MAX, 1},
                {VMBUS_WORD0(9, 5, 5, 1), 0, 48, VMBUS_BAD_RANGE_COUNT_ZERO, 0, 1},
                {VMBUS_WORD0(9, 4, 4, 1), 1ull << 32, 40, VMBUS_BAD_RANGE_COUNT, 1, 0},
                {VMBUS_WORD0(9, 5, 5, 1), 1ull << 32, 48, VMBUS_OK, 0, 0},
                {VMBUS_WORD0(9, 6, 6, 1), 2ull << 32, 56, VMBUS_BAD_RANGE_COUNT, 2, 1},
        };
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                struct vmbus_incoming packet;
                struct rig rig;
                OPEN(rig, 1, 4088);
                memcpy(rig.memory.data + 4088, &rows[i].word0, 8);
                memcpy(rig.memory.data + 8, &rows[i].external, 8);
                rig.memory.control->in = rows[i].available - 8;
                if (!EXPECT_EQ(get(&rig, &packet), rows[i].reason))
                        test_log(t, "in row %zu", i);
                if (rows[i].reason == VMBUS_OK)
                        continue;
                EXPECT_EQ(rig.from.next_out, 4088);
                EXPECT_EQ(rig.receiver.fault.index, 4088);
                EXPECT_EQ(rig.receiver.fault.value, rows[i].value);
                EXPECT_EQ(rig.receiver.fault.limit, rows[i].limit);
                expect_receiver_latched(t, &rig, rows[i].reason);
        }
}

TEST(vmbus_ring, receiver_refuses_bad_indices)
{
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 0);
        rig.memory.control->in = 4096;
        EXPECT_EQ(get(&rig, &packet), VMBUS_BAD_IN_RANGE);
        EXPECT_EQ(rig.receiver.fault.value, 4096);
        expect_receiver_latched(t, &rig, VMBUS_BAD_IN_RANGE);

        OPEN(rig, 1, 0);
        rig.memory.control->in = 4092;
        EXPECT_EQ(vmbus_receiver_can_read(&rig.receiver, &rig.from), VMBUS_BAD_IN_ALIGNMENT);
        expect_receiver_latched(t, &rig, VMBUS_BAD_IN_ALIGNMENT);

        OPEN(rig, 1, 0);
        REQUIRE_EQ(put_total(&rig, 64), VMBUS_OK);
        commit(&rig);
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        rig.memory.control->in = 32; /* inside what it has published */
        EXPECT_EQ(get(&rig, &packet), VMBUS_BAD_IN_BACKWARDS);
        expect_receiver_latched(t, &rig, VMBUS_BAD_IN_BACKWARDS);

        /* Found while deciding on a signal: no signal, and the next call says why (c.3, 3). */
        OPEN(rig, 1, 0);
        REQUIRE_EQ(put_total(&rig, 64), VMBUS_OK);
        commit(&rig);
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        rig.memory.control->pending_send_size = 4088;
        rig.memory.control->in = UINT32_MAX;
        EXPECT_FALSE(give_back(&rig));
        expect_receiver_latched(t, &rig, VMBUS_BAD_IN_RANGE);

        /* At the start both are checked. */
        OPEN(rig, 1, 0);
        rig.memory.control->out = 4096;
        EXPECT_EQ(vmbus_receiver_position(&rig.receiver, &rig.from), VMBUS_BAD_OUT_RANGE);
        vmbus_receiver_init(&rig.receiver, &rig.memory);
        rig.memory.control->out = 2;
        EXPECT_EQ(vmbus_receiver_position(&rig.receiver, &rig.from), VMBUS_BAD_OUT_ALIGNMENT);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, vmbus_result_status(rig.receiver.fault.reason));
        EXPECT_STR_EQ(vmbus_result_name(rig.receiver.fault.reason), "VMBUS_BAD_OUT_ALIGNMENT");
}

static void expect_sender_latched(struct test *t, struct rig *rig, enum vmbus_result reason)
{
        uint32_t in = rig->memory.control->in;
        rig->memory.control->out = rig->to.committed_in;
        EXPECT_EQ(put_total(rig, 24), reason);
        EXPECT_EQ(vmbus_sender_can_write(&rig->sender, &rig->to, 24), reason);
        EXPECT_EQ(vmbus_sender_prepare_to_sleep(&rig->sender, &rig->to, 24, 0), reason);
        EXPECT_EQ(vmbus_sender_woken(&rig->sender), reason);
        EXPECT_EQ(vmbus_sender_position(&rig->sender, &rig->to), reason);
        EXPECT_FALSE(commit(rig));
        EXPECT_EQ(rig->memory.control->in, in);
        EXPECT_EQ(rig->sender.fault.reason, reason);
}

TEST(vmbus_ring, sender_refuses_bad_indices)
{
        static const struct {
                uint32_t out;
                enum vmbus_result reason;
        } rows[] = {{4096, VMBUS_BAD_OUT_RANGE},
                    {UINT32_MAX, VMBUS_BAD_OUT_RANGE},
                    {4092, VMBUS_BAD_OUT_ALIGNMENT},
                    {992, VMBUS_BAD_OUT_BACKWARDS},   /* turned back */
                    {3008, VMBUS_BAD_OUT_BACKWARDS}}; /* ran past what is committed */
        struct rig rig;
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                OPEN(rig, 1, 1000);
                REQUIRE_EQ(put_total(&rig, 2000), VMBUS_OK);
                commit(&rig);
                REQUIRE_EQ(put_total(&rig, 2000), VMBUS_OK);
                rig.memory.control->out = rows[i].out;
                EXPECT_EQ(put_total(&rig, 2000), rows[i].reason);
                EXPECT_EQ(rig.sender.fault.value, rows[i].out);
                expect_sender_latched(t, &rig, rows[i].reason);
        }
        OPEN(rig, 1, 0);
        rig.memory.control->in = 4100;
        EXPECT_EQ(vmbus_sender_position(&rig.sender, &rig.to), VMBUS_BAD_IN_RANGE);
        vmbus_sender_init(&rig.sender, &rig.memory);
        rig.memory.control->in = 9;
        EXPECT_EQ(vmbus_sender_position(&rig.sender, &rig.to), VMBUS_BAD_IN_ALIGNMENT);
        EXPECT_EQ(vmbus_sender_can_write(&rig.sender, &rig.to, 24), VMBUS_BAD_IN_ALIGNMENT);
}

TEST(vmbus_ring, a_mask_set_by_the_peer_is_found)
{
        struct rig rig;
        OPEN(rig, 1, 0);
        REQUIRE_EQ(receiver_sleeps(&rig), VMBUS_EMPTY);
        rig.memory.control->interrupt_mask = 5;
        EXPECT_EQ(vmbus_receiver_check_sleep(&rig.receiver), VMBUS_BAD_INTERRUPT_MASK);
        EXPECT_EQ(rig.receiver.fault.value, 5);
        expect_receiver_latched(t, &rig, VMBUS_BAD_INTERRUPT_MASK);

        OPEN(rig, 1, 0);
        REQUIRE_EQ(receiver_sleeps(&rig), VMBUS_EMPTY);
        rig.memory.control->interrupt_mask = 1;
        EXPECT_EQ(vmbus_receiver_woken(&rig.receiver), VMBUS_BAD_INTERRUPT_MASK);
}
