/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* hyperv_scripted_hosted_test — the places where a host leaves its channel messages,
 * in memory that changes as soon as it was looked at: the message slot of Hyper-V, and
 * the slots of the shared pages. */
#define _GNU_SOURCE
#include "tests/host/hyperv_bed.h"
#include "tests/host/restless_memory.h"

#include "drivers/hyperv/vmbus_mailbox_transport.h"

#if defined(__x86_64__)

#define SLOT 2u
#define SLOT_BYTES 256u
#define SLOT_FLAGS 5u

TEST(hyperv, no_byte_of_a_message_slot_is_looked_at_twice)
{
        START(transport);
        for (uint32_t bytes = 0; bytes <= 240; bytes += 24) {
                model.messages = 0;
                memset(&model.last_message, 0, sizeof(model.last_message));
                host_message(0, 1, (uint8_t)bytes, (uint8_t)(bytes + 1));
                restless_begin(at(model.cpus[0].simp.pa), PAGE_BYTES);
                /* The type is looked at until it is 0: the next message may stand there. */
                restless_leave(SLOT * SLOT_BYTES, SLOT * SLOT_BYTES + sizeof(uint32_t));
                hyperv_interrupt(&hyperv);
                restless_end();
                /* But for the flags, which are looked at when the slot is empty again (g.5). */
                if (restless.twice != 0)
                        EXPECT_EQ(restless.twice_at, SLOT * SLOT_BYTES + SLOT_FLAGS);
                EXPECT_LE(restless.twice, 1u);
                REQUIRE_EQ(model.messages, 1);
                EXPECT_EQ(model.broken, 0);
                EXPECT_EQ(model.last_message.bytes, bytes);
                for (uint32_t i = 0; i < bytes; i++)
                        EXPECT_EQ(model.last_message.payload[i], bytes + 1);
        }
        (void)transport;
        end(t);
}

/* ---- the shared pages ---- */

static struct vmbus_mailbox *pages;
static struct vmbus_mailbox_transport guest;

static void answer_reset(uint64_t ns)
{
        (void)ns;
        pages->header.host_generation = pages->header.guest_generation;
}

static void no_doorbell(void *context, uint16_t peer, uint16_t vector)
{
        (void)context;
        (void)peer;
        (void)vector;
}

static uint64_t mailbox_now(void)
{
        static uint64_t now_ns;
        return now_ns += 1000;
}

TEST(vmbus_mailbox, no_byte_of_a_message_slot_is_looked_at_twice)
{
        const struct vmbus_platform answering = {mailbox_now, answer_reset, platform_cpu,
                                                 platform_cpu_count, platform_interrupts_disable,
                                                 platform_interrupts_restore};
        const struct vmbus_mailbox_config config = {
                .platform = &answering, .own_peer = 3, .doorbell = no_doorbell,
                .pages = pages = world_pages(t, 4, NULL)};
        struct vmbus_mailbox_messages *messages = &pages->messages_to_guest;
        memset(&model, 0, sizeof(model));
        memset(pages, 0, sizeof(*pages));
        pages->header.magic = VMBUS_MAILBOX_MAGIC;
        pages->header.version = VMBUS_MAILBOX_VERSION;
        pages->header.host_state = VMBUS_MAILBOX_READY;
        pages->header.ram_bytes = 64 * MIB;
        pages->header.host_generation = UINT32_MAX;
        REQUIRE_OK(vmbus_mailbox_transport_init(&guest, &config));
        REQUIRE_OK(guest.transport.ops->start(&guest.transport, &upcalls));
        for (uint32_t i = 0; i < 2 * VMBUS_MAILBOX_SLOTS; i++) {
                uint32_t bytes = i * 8;
                struct vmbus_mailbox_slot *slot = &messages->slots[i % VMBUS_MAILBOX_SLOTS];
                *slot = (struct vmbus_mailbox_slot){.type = 1, .bytes = (uint8_t)bytes};
                memset(slot->payload, (int)(i + 1), sizeof(slot->payload));
                messages->tail = i + 1;
                model.messages = 0;
                restless_begin(messages, PAGE_BYTES);
                vmbus_mailbox_interrupt(&guest, VMBUS_MAILBOX_VECTOR_MESSAGE);
                restless_end();
                EXPECT_EQ(restless.twice, 0);
                REQUIRE_EQ(model.messages, 1);
                EXPECT_EQ(model.last_message.bytes, bytes);
                for (uint32_t k = 0; k < bytes; k++)
                        EXPECT_EQ(model.last_message.payload[k], i + 1);
        }
        EXPECT_EQ(model.broken, 0);
        guest.transport.ops->stop(&guest.transport);
}

#endif
