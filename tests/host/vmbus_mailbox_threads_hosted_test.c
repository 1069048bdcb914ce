/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The end of the transport over shared pages while another CPU hands up
 * an event: stop() waits for it. */
#include "tests/expect.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "drivers/hyperv/vmbus_mailbox_transport.h"

#define YIELDS 1000 /* of a handler that gives stop() the time to return too early */

static struct vmbus_mailbox_transport guest;
static struct vmbus_mailbox *pages;
static atomic_bool in_handler, stopping, stopped, stopped_too_early;

static uint64_t now(void)
{
        return 0; /* no deadline passes */
}

/* The host takes a reset as soon as somebody waits for it. */
static void pause(uint64_t ns)
{
        __atomic_store_n(&pages->header.host_generation, pages->header.guest_generation,
                         __ATOMIC_RELEASE);
}

static uint32_t cpu(void)
{
        return 0;
}

static uint32_t cpu_count(void)
{
        return 2;
}

static bool interrupts_disable(void)
{
        return true;
}

static void interrupts_restore(bool enabled)
{
}

static void doorbell(void *context, uint16_t peer, uint16_t vector)
{
}

static void on_message(void *context, const struct vmbus_message *message)
{
}

static void on_broken(void *context)
{
}

static void on_event(void *context, uint32_t flag)
{
        atomic_store(&in_handler, true);
        while (!atomic_load(&stopping))
                sched_yield();
        for (unsigned i = 0; i < YIELDS; i++) {
                sched_yield();
                if (atomic_load(&stopped))
                        atomic_store(&stopped_too_early, true);
        }
        atomic_store(&in_handler, false);
}

static void *take_events(void *argument)
{
        vmbus_mailbox_interrupt(&guest, VMBUS_MAILBOX_VECTOR_EVENT + 1);
        return NULL;
}

TEST(vmbus_mailbox, stop_waits_for_a_handler_on_another_cpu)
{
        static const struct vmbus_platform platform = {
                now, pause, cpu, cpu_count, interrupts_disable, interrupts_restore};
        const struct vmbus_upcalls upcalls = {on_message, on_event, on_broken, NULL};
        pthread_t thread;
        pages = world_pages(t, 16, NULL);
        pages->header.magic = VMBUS_MAILBOX_MAGIC;
        pages->header.version = VMBUS_MAILBOX_VERSION;
        pages->header.host_state = VMBUS_MAILBOX_READY;
        const struct vmbus_mailbox_config config = {.platform = &platform, .pages = pages,
                                                    .own_peer = 3, .doorbell = doorbell};
        REQUIRE_OK(vmbus_mailbox_transport_init(&guest, &config));
        REQUIRE_OK(guest.transport.ops->start(&guest.transport, &upcalls));
        pages->to_guest[1].flags[0] = 1;
        REQUIRE_EQ(pthread_create(&thread, NULL, take_events, NULL), 0);
        while (!atomic_load(&in_handler))
                sched_yield();
        atomic_store(&stopping, true);
        guest.transport.ops->stop(&guest.transport);
        EXPECT_FALSE(atomic_load(&in_handler));
        atomic_store(&stopped, true);
        REQUIRE_EQ(pthread_join(thread, NULL), 0);
        EXPECT_FALSE(atomic_load(&stopped_too_early));
}
