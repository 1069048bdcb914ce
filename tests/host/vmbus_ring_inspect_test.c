/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_inspect_test — looking at rings, counting signals, and sharing a sender:
 * spec/vmbus.md, a.1, d.6. */
#include "tests/boot/vmbus_ring_rig.h"
#include "tests/expect.h"

TEST(vmbus_ring, predicates_see_a_lost_signal_and_trust_no_index)
{
        static const struct {
                uint32_t in, out, mask, pending;
                bool reader, writer;
        } rows[] = {
                {0, 0, 0, 0, false, false},      {8, 0, 0, 0, true, false},
                {8, 0, 1, 0, false, false},      {8, 0, 7, 0, false, false},
                {4096, 0, 0, 8, false, false},   {8, 4096, 0, 8, false, false},
                {12, 0, 0, 8, false, false},     {8, 4, 0, 8, false, false},
                {0, 0, 1, 4088, false, true},    {0, 0, 1, 4096, false, false},
                {0, 0, 1, 4095, false, true},    {0, 0, 1, 7, false, false},
                {1000, 0, 1, 3088, false, true}, {1000, 0, 1, 3096, false, false},
                {0, 1000, 0, 992, true, true},   {0, 1000, 0, 1000, true, false},
        };
        struct vmbus_control_page *control = world_pages(t, 1, NULL);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                control->in = rows[i].in;
                control->out = rows[i].out;
                control->interrupt_mask = rows[i].mask;
                control->pending_send_size = rows[i].pending;
                if (!EXPECT_EQ(vmbus_reader_needs_signal(control, 4096), rows[i].reader) ||
                    !EXPECT_EQ(vmbus_writer_needs_signal(control, 4096), rows[i].writer))
                        test_log(t, "in row %zu", i);
        }
}

TEST(vmbus_ring, a_bare_control_page_is_shown)
{
        struct vmbus_control_page *control = world_pages(t, 1, NULL);
        struct vmbus_control_view view;
        struct vmbus_text text;
        char line[200];
        *control = (struct vmbus_control_page){.in = 0x40,
                                               .out = 0xff0,
                                               .interrupt_mask = 1,
                                               .pending_send_size = 0x100,
                                               .feature_bits = 1,
                                               .guest_to_host_interrupt_count = 12345};
        vmbus_inspect_control(control, 4096, &view);
        EXPECT_TRUE(view.indices_valid);
        EXPECT_EQ(view.used_bytes, 0x50);
        EXPECT_EQ(view.free_bytes, 4096 - 8 - 0x50);
        vmbus_text_init(&text, line, sizeof(line));
        vmbus_print_control(&text, &view);
        EXPECT_STR_EQ(line, "ring size 0x1000 in 0x40 out 0xff0 mask 0x1 pending 0x100 "
                            "features 0x1 signals 12345 used 80 free 4008\n");
        EXPECT_EQ(line[text.length], 0);
        EXPECT_EQ(line[text.length - 1], '\n');
        control->out = 3;
        vmbus_inspect_control(control, 4096, &view);
        EXPECT_FALSE(view.indices_valid);
        EXPECT_EQ(view.used_bytes, 0);
        vmbus_text_init(&text, line, 30);
        vmbus_print_control(&text, &view);
        EXPECT_TRUE(text.truncated);
        EXPECT_STR_EQ(line, "ring size 0x1000 in 0x40 out ");
}

TEST(vmbus_ring, live_ends_and_packets_are_shown)
{
        static const struct vmbus_transfer_range range = {60, 0};
        const struct vmbus_outgoing transfer = {.kind = VMBUS_SEND_TRANSFER_PAGES,
                                                .transaction_id = 7,
                                                .transfer = &range,
                                                .transfer_count = 1,
                                                .transfer_page_set_id = 0xcafe};
        struct vmbus_control_page before;
        struct vmbus_incoming packet;
        struct vmbus_range payload;
        struct vmbus_text text;
        char lines[800];
        struct rig rig;
        OPEN(rig, 1, 0xfe0);
        REQUIRE_EQ(put(&rig, VMBUS_SEND_IN_BAND_REQUEST, 0x2a, "0123456789abcdefghi", 19),
                   VMBUS_OK);
        REQUIRE_EQ(vmbus_sender_write(&rig.sender, &rig.to, &transfer, &payload), VMBUS_OK);
        REQUIRE_EQ(put(&rig, VMBUS_SEND_IN_BAND, 5, "xy", 2), VMBUS_OK);
        commit(&rig);
        REQUIRE_EQ(put(&rig, VMBUS_SEND_COMPLETION, 6, "", 0), VMBUS_OK);
        EXPECT_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, 24, 0), VMBUS_OK);
        for (unsigned i = 0; i < 2; i++)
                EXPECT_EQ(receiver_sleeps(&rig), VMBUS_OK);
        before = *rig.memory.control;
        vmbus_text_init(&text, lines, sizeof(lines));
        vmbus_print_packets(&text, &rig.memory, 9);
        EXPECT_STR_EQ(lines,
                      "0x0fe0 in-band id 0x2a wants-completion payload 24: "
                      "30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66 ...\n"
                      "0x0010 transfer-pages id 0x7 wants-completion set 0xcafe "
                      "ranges 1 payload 0\n"
                      "0x0038 in-band payload 8: 78 79 00 00 00 00 00 00\n"
                      "then VMBUS_EMPTY\n");
        vmbus_text_init(&text, lines, sizeof(lines));
        vmbus_print_packets(&text, &rig.memory, 0);
        EXPECT_STR_EQ(lines, "and no more were asked for\n");
        vmbus_text_init(&text, lines, sizeof(lines));
        vmbus_print_sender(&text, &rig.sender, &rig.to);
        EXPECT_STR_EQ(lines, "ring size 0x1000 in 0x58 out 0xfe0 mask 0x1 pending 0x0 "
                             "features 0x1 signals 0 used 120 free 3968\n"
                             "sender ready next_in 0x70 committed_in 0x58 cached_out 0xfe0 "
                             "signals 0 polls 1\n");
        EXPECT_BYTES_EQ(rig.memory.control, &before, sizeof(before)); /* only looked */

        rig.memory.data[0xfe0 + 6] = 4; /* an unknown flag */
        vmbus_text_init(&text, lines, sizeof(lines));
        vmbus_print_packets(&text, &rig.memory, 9);
        EXPECT_STR_EQ(lines, "then VMBUS_BAD_FLAGS at 0xfe0 value 0x4 limit 0x1\n");
        EXPECT_EQ(get(&rig, &packet), VMBUS_BAD_FLAGS);
        vmbus_text_init(&text, lines, sizeof(lines));
        vmbus_print_receiver(&text, &rig.receiver, &rig.from);
        EXPECT_STR_EQ(lines, "ring size 0x1000 in 0x58 out 0xfe0 mask 0x1 pending 0x0 "
                             "features 0x1 signals 0 used 120 free 3968\n"
                             "receiver corrupt next_out 0xfe0 committed_out 0xfe0 cached_in 0x58 "
                             "signals 0 polls 2 VMBUS_BAD_FLAGS at 0xfe0 value 0x4 limit 0x1\n");
}

/* ---- counters (a.1) ---- */

TEST(vmbus_ring, a_guest_counts_its_signals_where_the_host_sees_them)
{
        struct vmbus_incoming packet;
        struct rig rig;
        OPEN(rig, 1, 0);
        rig.memory.control->interrupt_mask = 0;
        REQUIRE_EQ(put_total(&rig, 64), VMBUS_OK);
        EXPECT_TRUE(commit(&rig));
        EXPECT_EQ(rig.sender.signals.sent, 1);
        EXPECT_EQ(rig.memory.control->guest_to_host_interrupt_count, 0); /* a host's end */
        vmbus_sender_count_signals(&rig.sender);
        REQUIRE_EQ(put_total(&rig, 64), VMBUS_OK);
        EXPECT_FALSE(commit(&rig));
        EXPECT_EQ(rig.memory.control->guest_to_host_interrupt_count, 0);
        REQUIRE_TRUE(drain(&rig, 2));
        REQUIRE_EQ(put_total(&rig, 64), VMBUS_OK);
        rig.memory.control->guest_to_host_interrupt_count = 999; /* it is not read back */
        EXPECT_TRUE(commit(&rig));
        EXPECT_EQ(rig.memory.control->guest_to_host_interrupt_count, 2);

        vmbus_receiver_count_signals(&rig.receiver);
        rig.memory.control->pending_send_size = 4088;
        REQUIRE_EQ(get(&rig, &packet), VMBUS_OK);
        EXPECT_TRUE(give_back(&rig));
        EXPECT_EQ(rig.memory.control->guest_to_host_interrupt_count, 1);
}

/* ---- several processors ---- */

TEST(vmbus_ring, a_shared_sender_says_busy_full_and_too_large)
{
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_COMPLETION, .payload_bytes = 4000};
        static uint8_t bytes[4096];
        struct vmbus_multi multi;
        uint32_t seen;
        bool signal;
        struct rig rig;
        OPEN(rig, 1, 0);
        rig.memory.control->interrupt_mask = 0;
        REQUIRE_EQ(vmbus_multi_init(&multi, &rig.sender), VMBUS_OK);
        REQUIRE_EQ(vmbus_multi_send(&multi, &packet, bytes, &signal), VMBUS_OK);
        EXPECT_TRUE(signal);
        EXPECT_EQ(vmbus_multi_send(&multi, &packet, bytes, &signal), VMBUS_FULL);
        EXPECT_FALSE(signal);
        packet.payload_bytes = 4096;
        EXPECT_EQ(vmbus_multi_send(&multi, &packet, bytes, &signal), VMBUS_TOO_LARGE);
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&multi, 4096, &seen), VMBUS_TOO_LARGE);
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&multi, 1000, &seen), VMBUS_FULL);
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&multi, 8, &seen), VMBUS_FULL); /* joins */
        EXPECT_EQ(rig.memory.control->pending_send_size, 1000);
        packet.payload_bytes = 0; /* would fit, and waits like the others */
        EXPECT_EQ(vmbus_multi_send(&multi, &packet, NULL, &signal), VMBUS_FULL);
        struct vmbus_incoming incoming;
        REQUIRE_EQ(get(&rig, &incoming), VMBUS_OK);
        EXPECT_TRUE(give_back(&rig));
        vmbus_multi_signal(&multi);
        EXPECT_EQ(vmbus_multi_woken(&multi), VMBUS_OK);
        EXPECT_EQ(vmbus_multi_woken(&multi), VMBUS_OK); /* the second processor that waited */
        EXPECT_EQ(vmbus_multi_send(&multi, &packet, NULL, &signal), VMBUS_OK);
        atomic_store(&multi.held, 1);
        EXPECT_EQ(vmbus_multi_send(&multi, &packet, NULL, &signal), VMBUS_BUSY);
        EXPECT_EQ(vmbus_multi_prepare_to_sleep(&multi, 8, &seen), VMBUS_BUSY);
        EXPECT_EQ(vmbus_multi_woken(&multi), VMBUS_BUSY);
        EXPECT_EQ(vmbus_multi_cancel_sleep(&multi), VMBUS_BUSY);
        atomic_store(&multi.held, 0);
        EXPECT_EQ(vmbus_multi_send(&multi, &packet, NULL, &signal), VMBUS_OK);
}
