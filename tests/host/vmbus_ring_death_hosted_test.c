/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Calls of a ring's two ends in an order that their state machines do not have (vmbus_sender.h,
 * vmbus_receiver.h): each ends the program, in release builds too. Two calls that a caller's bug
 * may lead to as well: a packet of no known kind, and one that names no range. */
#include "tests/host/death.h"

#include "tests/boot/vmbus_ring_rig.h"

static struct rig rig;
static const struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND, .payload_bytes = 8};
static const struct vmbus_outgoing unknown = {.kind = VMBUS_SEND_TRANSFER_PAGES + 1};
static struct vmbus_gpa_list empty_list;
static const struct vmbus_outgoing rangeless = {.kind = VMBUS_SEND_GPA_DIRECT, .gpa = &empty_list};
static struct vmbus_incoming incoming;
static struct vmbus_range payload;
static bool signal_sender;

#define ACT(name, call)                                                                            \
        static void name(void)                                                                     \
        {                                                                                          \
                (void)!(call);                                                                     \
        }
ACT(sender_position, vmbus_sender_position(&rig.sender, &rig.to))
ACT(sender_can_write, vmbus_sender_can_write(&rig.sender, &rig.to, 32))
ACT(sender_write, vmbus_sender_write(&rig.sender, &rig.to, &packet, &payload))
ACT(sender_write_unknown, vmbus_sender_write(&rig.sender, &rig.to, &unknown, &payload))
ACT(sender_write_rangeless, vmbus_sender_write(&rig.sender, &rig.to, &rangeless, &payload))
ACT(sender_commit, vmbus_sender_commit(&rig.sender, &rig.to))
ACT(sender_sleep, vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, 32, 0))
ACT(sender_sleep_for_nothing, vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, 0, 0))
ACT(sender_woken, vmbus_sender_woken(&rig.sender))
ACT(sender_cancel, (vmbus_sender_cancel_sleep(&rig.sender), 0))
ACT(receiver_position, vmbus_receiver_position(&rig.receiver, &rig.from))
ACT(receiver_can_read, vmbus_receiver_can_read(&rig.receiver, &rig.from))
ACT(receiver_read, vmbus_receiver_read(&rig.receiver, &rig.from, &incoming))
ACT(receiver_take, vmbus_receiver_take(&rig.receiver, &rig.from, &incoming))
ACT(receiver_commit, vmbus_receiver_commit(&rig.receiver, &rig.from))
ACT(receiver_sleep, vmbus_receiver_prepare_to_sleep(&rig.receiver, &rig.from, &signal_sender))
ACT(receiver_check, vmbus_receiver_check_sleep(&rig.receiver))
ACT(receiver_woken, vmbus_receiver_woken(&rig.receiver))
ACT(receiver_cancel, (vmbus_receiver_cancel_sleep(&rig.receiver), 0))

#define IS_ASLEEP "state != VMBUS_END_ASLEEP"
#define IS_AWAKE "state == VMBUS_END_ASLEEP"

static void expect_deaths(struct test *t, void (*const acts[])(void), const char *words)
{
        for (size_t i = 0; acts[i] != NULL; i++)
                expect_death(t, acts[i], words);
}

TEST(vmbus_ring, a_sleeping_end_can_only_be_woken)
{
        static void (*const sender_acts[])(void) = {sender_position, sender_can_write, sender_write,
                                                    sender_commit, sender_sleep, NULL};
        static void (*const receiver_acts[])(void) = {receiver_position, receiver_can_read,
                                                      receiver_read, receiver_take,
                                                      receiver_commit, receiver_sleep, NULL};
        OPEN(rig, 1, 0);
        REQUIRE_EQ(receiver_sleeps(&rig), VMBUS_EMPTY);
        expect_deaths(t, receiver_acts, IS_ASLEEP);
        REQUIRE_EQ(vmbus_receiver_woken(&rig.receiver), VMBUS_OK);
        REQUIRE_EQ(put_total(&rig, 4088), VMBUS_OK);
        commit(&rig);
        REQUIRE_EQ(vmbus_sender_prepare_to_sleep(&rig.sender, &rig.to, 32, 0), VMBUS_FULL);
        expect_deaths(t, sender_acts, IS_ASLEEP);
        vmbus_sender_cancel_sleep(&rig.sender);
        EXPECT_EQ(vmbus_sender_can_write(&rig.sender, &rig.to, 32), VMBUS_FULL);
}

TEST(vmbus_ring, an_end_that_is_awake_cannot_be_woken)
{
        static void (*const acts[])(void) = {sender_woken, sender_cancel, receiver_check,
                                             receiver_woken, receiver_cancel, NULL};
        OPEN(rig, 1, 0);
        expect_deaths(t, acts, IS_AWAKE);
}

TEST(vmbus_ring, a_sender_is_asked_for_what_there_is)
{
        OPEN(rig, 1, 0);
        expect_death(t, sender_write_unknown,
                     "direct || packet->kind == VMBUS_SEND_TRANSFER_PAGES");
        expect_death(t, sender_write_rangeless, "packet->gpa->range_count != 0");
        expect_death(t, sender_sleep_for_nothing, "needed_bytes != 0");
}
