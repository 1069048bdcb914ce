/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_mailbox_lie_hosted_test — both ends of the shared pages, the guest's and that of
 * vmbus-host, and what the one says to each lie of the other. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "drivers/hyperv/vmbus_mailbox_transport.h"
#include "tests/peers/vmbus_host/program/mailbox.h"
#include "tests/peers/vmbus_host/vmbus_host.h"

#define RAM_BYTES (64 * MIB)
#define EXCHANGES 40

static struct {
        struct vmbus_mailbox *pages;
        struct vmbus_mailbox_transport guest;
        struct mailbox mailbox;
        struct vmbus_host host;
        uint64_t now_ns;
        unsigned messages, broken, events, taken;
} meeting;

static uint64_t now(void)
{
        return meeting.now_ns;
}

/* The host's turn: it follows a reset and takes what was sent. */
static void host_turn(uint64_t ns)
{
        struct mailbox_message message;
        meeting.now_ns += ns;
        if (mailbox_guest_reset(&meeting.mailbox))
                mailbox_reset_done(&meeting.mailbox);
        for (unsigned i = 0; i < VMBUS_MAILBOX_SLOTS && mailbox_peek(&meeting.mailbox, &message);
             i++) {
                meeting.taken++;
                mailbox_took(&meeting.mailbox);
        }
}

static uint32_t cpu(void)
{
        return 0;
}
static uint32_t cpu_count(void)
{
        return 1;
}
static bool interrupts_disable(void)
{
        return true;
}
static void interrupts_restore(bool enabled)
{
        (void)enabled;
}
static const struct vmbus_platform platform = {now, host_turn, cpu, cpu_count, interrupts_disable,
                                               interrupts_restore};

static void doorbell(void *context, uint16_t peer, uint16_t vector)
{
        (void)context;
        (void)peer;
        (void)vector;
}
static void on_message(void *context, const struct vmbus_message *message)
{
        (void)context;
        meeting.messages += message->bytes == 16 && message->payload[15] == 0x5a;
}
static void on_event(void *context, uint32_t flag)
{
        (void)context;
        meeting.events += flag == 77;
}
static void on_broken(void *context)
{
        (void)context;
        meeting.broken++;
}

/* Messages both ways, and events, until something is broken or enough of them went through. */
static void meet(struct test *t, uint64_t lies)
{
        static const struct vmbus_upcalls upcalls = {on_message, on_event, on_broken, NULL};
        static const struct vmbus_host_ops ops;
        const struct vmbus_mailbox_config config = {.platform = &platform, .pages = meeting.pages,
                                                    .own_peer = 1, .doorbell = doorbell};
        struct vmbus_transport *transport = &meeting.guest.transport;
        uint8_t bytes[16];
        memset(bytes, 0x5a, sizeof(bytes));
        struct vmbus_mailbox *pages = meeting.pages;
        memset(&meeting, 0, sizeof(meeting));
        meeting.pages = pages;
        vmbus_host_init(&meeting.host, &(struct vmbus_host_config){.ops = &ops});
        mailbox_init(&meeting.mailbox, meeting.pages, RAM_BYTES, 0);
        meeting.mailbox.liar = &meeting.host;
        REQUIRE_OK(vmbus_mailbox_transport_init(&meeting.guest, &config));
        EXPECT_EQ(meeting.guest.ram_bytes, RAM_BYTES);
        REQUIRE_OK(transport->ops->start(transport, &upcalls));
        vmbus_host_lie(&meeting.host, 1, lies != 0 ? 5 : 0);
        vmbus_host_lie_only(&meeting.host, lies);
        for (unsigned i = 0; i < EXCHANGES && meeting.broken == 0; i++) {
                zx_status_t status = transport->ops->post(transport, 1, bytes, sizeof(bytes));
                EXPECT_STATUS(meeting.broken == 0 ? ZX_OK : ZX_ERR_IO_DATA_INTEGRITY, status);
                host_turn(1);
                EXPECT_TRUE(mailbox_post(&meeting.mailbox, bytes, sizeof(bytes)));
                mailbox_set_event(&meeting.mailbox, 77, 0);
                transport->ops->poll(transport);
        }
}

TEST(vmbus_mailbox_lie, an_honest_host_is_understood)
{
        meeting.pages = world_pages(t, VMBUS_MAILBOX_BYTES / 4096, NULL);
        meet(t, 0);
        EXPECT_EQ(meeting.taken, EXCHANGES);
        EXPECT_EQ(meeting.messages, EXCHANGES);
        EXPECT_EQ(meeting.events, EXCHANGES);
        EXPECT_EQ(meeting.broken, 0);
}

TEST(vmbus_mailbox_lie, each_lie_has_its_fault)
{
        static const struct {
                enum vmbus_host_lie lie;
                enum vmbus_mailbox_fault fault;
        } rows[] = {
                {VMBUS_HOST_LIE_MAILBOX_HEAD, VMBUS_MAILBOX_FAULT_HEAD},
                {VMBUS_HOST_LIE_MAILBOX_TAIL, VMBUS_MAILBOX_FAULT_TAIL},
                {VMBUS_HOST_LIE_MAILBOX_TYPE, VMBUS_MAILBOX_FAULT_SLOT_TYPE},
                {VMBUS_HOST_LIE_MAILBOX_BYTES, VMBUS_MAILBOX_FAULT_SLOT_BYTES},
                {VMBUS_HOST_LIE_MAILBOX_ZERO, VMBUS_MAILBOX_FAULT_SLOT_ZERO},
        };
        _Static_assert(ARRAY_COUNT(rows) == VMBUS_HOST_LIES - VMBUS_HOST_LIE_MAILBOX_HEAD, "all");
        meeting.pages = world_pages(t, VMBUS_MAILBOX_BYTES / 4096, NULL);
        for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
                EXPECT_EQ(rows[i].lie, VMBUS_HOST_LIE_MAILBOX_HEAD + i);
                meet(t, BIT_MASK(rows[i].lie));
                if (!EXPECT_EQ(meeting.guest.fault, rows[i].fault) ||
                    !EXPECT_EQ(meeting.broken, 1) ||
                    !EXPECT_GT(vmbus_host_lies_told(&meeting.host, rows[i].lie), 0u))
                        test_log(t, "%s", vmbus_host_lie_name(rows[i].lie));
        }
}
