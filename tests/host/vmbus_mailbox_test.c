/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The guest's end of the shared pages, against a host that is played by the test, word by word as
 * lib/vmbus_mailbox/vmbus_mailbox.h says. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "drivers/hyperv/vmbus_mailbox_transport.h"

static struct {
        struct vmbus_mailbox *pages;
        struct vmbus_mailbox_transport guest;
        uint64_t now_ns;
        bool answers_reset;
        unsigned doorbells[2];
        uint32_t cpu, cpus;
        uint32_t last_peer;
        unsigned messages, broken, event_count;
        struct vmbus_message last;
        uint32_t events[8];
} bed;

static uint64_t now(void)
{
        return bed.now_ns;
}

/* The host does what a RESET asks for: the guest sees it after a while. */
static void pause(uint64_t ns)
{
        struct vmbus_mailbox_header *header = &bed.pages->header;
        bed.now_ns += ns;
        if (bed.answers_reset && header->guest_state == VMBUS_MAILBOX_RESET &&
            header->host_generation != header->guest_generation) {
                memset((char *)bed.pages + 4096, 0, 3 * 4096);
                header->host_generation = header->guest_generation;
        }
}

static uint32_t cpu(void)
{
        return bed.cpu;
}
static uint32_t cpu_count(void)
{
        return bed.cpus;
}
static bool interrupts_disable(void)
{
        return true;
}
static void interrupts_restore(bool enabled)
{
}
static const struct vmbus_platform platform = {now, pause, cpu, cpu_count, interrupts_disable,
                                               interrupts_restore};

static void doorbell(void *context, uint16_t peer, uint16_t vector)
{
        bed.last_peer = peer;
        bed.doorbells[vector]++;
}
static void on_message(void *context, const struct vmbus_message *message)
{
        bed.messages++;
        bed.last = *message;
}
static void on_event(void *context, uint32_t flag)
{
        bed.events[bed.event_count++ % 8] = flag;
}
static void on_broken(void *context)
{
        bed.broken++;
}
static const struct vmbus_upcalls upcalls = {on_message, on_event, on_broken, NULL};

static zx_status_t begin(struct test *t)
{
        const struct vmbus_mailbox_config config = {.platform = &platform, .pages = bed.pages,
                                                    .own_peer = 3, .doorbell = doorbell};
        return vmbus_mailbox_transport_init(&bed.guest, &config);
}

/* A host that is there and answers. */
static void fresh(struct test *t)
{
        memset(&bed, 0, sizeof(bed));
        bed.pages = world_pages(t, 16, NULL);
        bed.answers_reset = true;
        bed.cpus = 2;
        bed.pages->header.magic = VMBUS_MAILBOX_MAGIC;
        bed.pages->header.version = 2;
        bed.pages->header.host_state = VMBUS_MAILBOX_READY;
        bed.pages->header.host_peer = 0xfffe;
        bed.pages->header.host_generation = UINT32_MAX; /* the next one is not 0 */
        bed.pages->header.ram_bytes = 64 * MIB;
        memset((char *)bed.pages + 4096, 0xee, 3 * 4096); /* of an earlier guest */
}

#define START(transport)                                                        \
        struct vmbus_transport *transport = &bed.guest.transport;               \
        fresh(t);                                                               \
        REQUIRE_OK(begin(t));                                                   \
        REQUIRE_OK(transport->ops->start(transport, &upcalls))

/* The host puts one message into its ring. */
static void host_put(uint8_t bytes, uint8_t fill)
{
        struct vmbus_mailbox_messages *messages = &bed.pages->messages_to_guest;
        struct vmbus_mailbox_slot *slot = &messages->slots[messages->tail % 15];
        *slot = (struct vmbus_mailbox_slot){.type = 1, .bytes = bytes};
        memset(slot->payload, fill, sizeof(slot->payload));
        messages->tail++;
        if (messages->tail == VMBUS_MAILBOX_INDEX_LIMIT)
                messages->tail = 0;
}

TEST(vmbus_mailbox, looks_at_the_header_before_anything_else)
{
        fresh(t);
        bed.pages->header.magic ^= 1;
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, begin(t));
        fresh(t);
        bed.pages->header.version = 1;
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, begin(t));
        fresh(t);
        bed.pages->header.host_state = VMBUS_MAILBOX_ABSENT;
        EXPECT_STATUS(ZX_ERR_UNAVAILABLE, begin(t));
        fresh(t);
        bed.pages->header.host_peer = 0x10000;
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, begin(t));
        fresh(t);
        EXPECT_OK(begin(t));
        EXPECT_EQ(bed.guest.ram_bytes, 64 * MIB);
}

TEST(vmbus_mailbox, resets_the_host_first)
{
        START(transport);
        EXPECT_EQ(bed.pages->header.guest_state, VMBUS_MAILBOX_READY);
        EXPECT_EQ(bed.pages->header.guest_peer, 3);
        EXPECT_EQ(bed.pages->header.guest_generation, 1);
        EXPECT_EQ(bed.doorbells[0], 2); /* RESET, READY */
        EXPECT_EQ(bed.last_peer, 0xfffe);
        transport->ops->stop(transport);
        EXPECT_EQ(bed.pages->header.guest_state, VMBUS_MAILBOX_ABSENT);
        EXPECT_OK(transport->ops->start(transport, &upcalls));
        EXPECT_EQ(bed.pages->header.guest_generation, 2);
        bed.answers_reset = false;
        transport->ops->stop(transport);
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, transport->ops->start(transport, &upcalls));
        EXPECT_EQ(bed.pages->header.guest_state, VMBUS_MAILBOX_ABSENT);
        EXPECT_EQ(transport->ops->vp_index(transport, 1), 1);
        EXPECT_EQ(transport->ops->vp_index(transport, 2), VMBUS_VP_NONE);
}

TEST(vmbus_mailbox, posts_into_fifteen_slots)
{
        uint8_t message[240];
        START(transport);
        struct vmbus_mailbox_messages *messages = &bed.pages->messages_to_host;
        /* Near the end of the indices, too. */
        bed.guest.post_tail = bed.guest.post_head = messages->head = messages->tail =
                VMBUS_MAILBOX_INDEX_LIMIT - 7;
        for (unsigned i = 0; i < 15; i++) {
                memset(message, (int)i, sizeof(message));
                EXPECT_OK(transport->ops->post(transport, 0x40 + i, message, 16 * i));
        }
        EXPECT_EQ(messages->tail, 8);
        EXPECT_EQ(bed.doorbells[0], 2 + 15);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, transport->ops->post(transport, 1, message, 8));
        for (unsigned i = 0; i < 15; i++) {
                const struct vmbus_mailbox_slot *slot =
                        &messages->slots[(VMBUS_MAILBOX_INDEX_LIMIT - 7 + i) % 15];
                EXPECT_EQ(slot->type, 1);
                EXPECT_EQ(slot->bytes, 16 * i);
                EXPECT_EQ(slot->flags | slot->zero, 0);
                EXPECT_EQ(slot->connection_id, 0x40 + i);
                memset(message, (int)i, sizeof(message));
                EXPECT_BYTES_EQ(slot->payload, message, 16 * i);
        }
        messages->head = VMBUS_MAILBOX_INDEX_LIMIT - 6;
        EXPECT_OK(transport->ops->post(transport, 1, message, 8));
        bed.pages->header.host_state = VMBUS_MAILBOX_ABSENT;
        EXPECT_STATUS(ZX_ERR_IO, transport->ops->post(transport, 1, message, 8));
        EXPECT_STATUS(ZX_ERR_IO, transport->ops->signal(transport, 1, 8));
        EXPECT_EQ(bed.broken, 0);
}

TEST(vmbus_mailbox, latches_a_head_that_no_honest_host_writes)
{
        static const uint32_t heads[] = {3, 4, VMBUS_MAILBOX_INDEX_LIMIT - 1,
                                         VMBUS_MAILBOX_INDEX_LIMIT, UINT32_MAX};
        for (unsigned i = 0; i < ARRAY_COUNT(heads); i++) {
                START(transport);
                EXPECT_OK(transport->ops->post(transport, 1, "12345678", 8));
                EXPECT_OK(transport->ops->post(transport, 1, "12345678", 8));
                bed.pages->messages_to_host.head = heads[i];
                EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                              transport->ops->post(transport, 1, "12345678", 8));
                EXPECT_EQ(bed.guest.fault, VMBUS_MAILBOX_FAULT_HEAD);
                bed.pages->messages_to_host.head = 1;
                EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                              transport->ops->post(transport, 1, "12345678", 8));
                EXPECT_EQ(bed.broken, 1);
        }
        START(transport); /* and one that goes back */
        EXPECT_OK(transport->ops->post(transport, 1, "12345678", 8));
        bed.pages->messages_to_host.head = 1;
        EXPECT_OK(transport->ops->post(transport, 1, "12345678", 8));
        bed.pages->messages_to_host.head = 0;
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                      transport->ops->post(transport, 1, "12345678", 8));
}

TEST(vmbus_mailbox, takes_messages_in_order)
{
        START(transport);
        struct vmbus_mailbox_messages *messages = &bed.pages->messages_to_guest;
        bed.guest.take_head = messages->head = messages->tail = VMBUS_MAILBOX_INDEX_LIMIT - 4;
        for (uint8_t round = 0; round < 3; round++) {
                bed.messages = 0;
                for (uint8_t i = 0; i < 5; i++)
                        host_put((uint8_t)(8 + i), (uint8_t)(round * 16 + i));
                vmbus_mailbox_interrupt(&bed.guest, VMBUS_MAILBOX_VECTOR_EVENT);
                EXPECT_EQ(bed.messages, 0);
                vmbus_mailbox_interrupt(&bed.guest, VMBUS_MAILBOX_VECTOR_MESSAGE);
                EXPECT_EQ(bed.messages, 5);
                EXPECT_EQ(bed.last.bytes, 12);
                EXPECT_EQ(bed.last.payload[11], round * 16 + 4);
                EXPECT_EQ(messages->head, messages->tail);
        }
        EXPECT_EQ(bed.doorbells[0], 2); /* the host did not wait */
        for (uint8_t i = 0; i < 15; i++)
                host_put(240, i);
        transport->ops->poll(transport);
        EXPECT_EQ(bed.last.bytes, 240);
        EXPECT_EQ(bed.doorbells[0], 3); /* now it may */
        transport->ops->stop(transport);
        host_put(8, 1);
        transport->ops->poll(transport);
        EXPECT_EQ(bed.messages, 5 + 15);
}

TEST(vmbus_mailbox, latches_what_is_wrong_with_a_slot)
{
        static const enum vmbus_mailbox_fault faults[] = {
                VMBUS_MAILBOX_FAULT_TAIL,       VMBUS_MAILBOX_FAULT_TAIL,
                VMBUS_MAILBOX_FAULT_SLOT_TYPE,  VMBUS_MAILBOX_FAULT_SLOT_BYTES,
                VMBUS_MAILBOX_FAULT_SLOT_ZERO,  VMBUS_MAILBOX_FAULT_SLOT_ZERO,
                VMBUS_MAILBOX_FAULT_SLOT_ZERO,
        };
        for (unsigned i = 0; i < ARRAY_COUNT(faults); i++) {
                START(transport);
                struct vmbus_mailbox_messages *messages = &bed.pages->messages_to_guest;
                host_put(8, 1);
                host_put(8, 2);
                if (i == 0)
                        messages->tail = 16;
                if (i == 1)
                        messages->tail = VMBUS_MAILBOX_INDEX_LIMIT;
                if (i == 2)
                        messages->slots[1].type = 2;
                if (i == 3)
                        messages->slots[1].bytes = 241;
                if (i == 4)
                        messages->slots[1].flags = 1;
                if (i == 5)
                        messages->slots[1].zero = 1;
                if (i == 6)
                        messages->slots[1].connection_id = 1ull << 40;
                transport->ops->poll(transport);
                EXPECT_EQ(bed.guest.fault, faults[i]);
                EXPECT_EQ(bed.messages, i < 2 ? 0 : 1);
                EXPECT_EQ(bed.broken, 1);
                messages->slots[1] = messages->slots[0];
                bed.pages->to_guest[0].flags[0] = 2;
                transport->ops->poll(transport);
                EXPECT_EQ(bed.messages, i < 2 ? 0 : 1);
                EXPECT_EQ(bed.event_count, 0);
                EXPECT_STATUS(ZX_ERR_IO, transport->ops->signal(transport, 1, 1));
                EXPECT_EQ(bed.broken, 1);
        }
}

TEST(vmbus_mailbox, signals_by_flag_and_rings_once)
{
        static const uint32_t flags[] = {0, 63, 64, 1000, 2047};
        START(transport);
        for (unsigned i = 0; i < ARRAY_COUNT(flags); i++) {
                EXPECT_OK(transport->ops->signal(transport, 0x2000, flags[i]));
                EXPECT_EQ(bed.doorbells[1], i + 1);
                EXPECT_OK(transport->ops->signal(transport, 0x2000, flags[i])); /* nobody looked */
                EXPECT_EQ(bed.doorbells[1], i + 1);
                EXPECT_EQ(bed.pages->to_host.flags[flags[i] / 64] >> flags[i] % 64 & 1, 1);
                bed.pages->to_guest[0].flags[flags[i] / 64] |= 1ull << flags[i] % 64;
        }
        bed.pages->to_host.flags[0] = 0;
        EXPECT_OK(transport->ops->signal(transport, 0x2000, 0));
        EXPECT_EQ(bed.doorbells[1], ARRAY_COUNT(flags) + 1);
        vmbus_mailbox_interrupt(&bed.guest, VMBUS_MAILBOX_VECTOR_MESSAGE);
        EXPECT_EQ(bed.event_count, 0);
        vmbus_mailbox_interrupt(&bed.guest, VMBUS_MAILBOX_VECTOR_EVENT);
        EXPECT_EQ(bed.event_count, ARRAY_COUNT(flags));
        EXPECT_BYTES_EQ(bed.events, flags, sizeof(flags));
        for (unsigned i = 0; i < 32; i++)
                EXPECT_EQ(bed.pages->to_guest[0].flags[i], 0);
}

TEST(vmbus_mailbox, takes_events_on_the_cpu_that_they_are_for)
{
        START(transport);
        struct vmbus_mailbox_events *sets = bed.pages->to_guest;
        EXPECT_EQ((uint8_t *)sets - (uint8_t *)bed.pages, 4096 + 256);
        sets[0].flags[0] = 1ull << 5;
        sets[1].flags[3] = 1ull << 7;
        vmbus_mailbox_interrupt(&bed.guest, VMBUS_MAILBOX_VECTOR_EVENT + 1);
        EXPECT_EQ(bed.event_count, 1);
        EXPECT_EQ(bed.events[0], 3 * 64 + 7);
        EXPECT_EQ(sets[0].flags[0], 1ull << 5);
        EXPECT_EQ(sets[1].flags[3], 0);
        sets[1].flags[3] = 1ull << 7;
        transport->ops->poll(transport); /* on CPU 0 */
        EXPECT_EQ(bed.event_count, 2);
        EXPECT_EQ(bed.events[1], 5);
        bed.cpu = 1;
        transport->ops->poll(transport);
        EXPECT_EQ(bed.event_count, 3);
        EXPECT_EQ(bed.events[2], 3 * 64 + 7);
        /* Nothing comes after the end, by any vector. */
        transport->ops->stop(transport);
        for (unsigned vp = 0; vp < VMBUS_MAILBOX_VPS; vp++)
                sets[vp].flags[0] = 1;
        for (uint16_t vector = 0; vector < VMBUS_MAILBOX_VECTORS; vector++)
                vmbus_mailbox_interrupt(&bed.guest, vector);
        EXPECT_EQ(bed.event_count, 3);
}

TEST(vmbus_mailbox, has_a_number_for_cpus_with_a_vector_only)
{
        START(transport);
        transport->ops->stop(transport);
        bed.cpus = 20;
        REQUIRE_OK(begin(t));
        REQUIRE_OK(transport->ops->start(transport, &upcalls));
        EXPECT_EQ(transport->ops->vp_index(transport, 7), 7);
        EXPECT_EQ(transport->ops->vp_index(transport, 8), VMBUS_VP_NONE);
        bed.guest.vp_count = 1; /* the device has two vectors */
        EXPECT_EQ(transport->ops->vp_index(transport, 0), 0);
        EXPECT_EQ(transport->ops->vp_index(transport, 1), VMBUS_VP_NONE);
        bed.cpu = 9; /* polls for itself: nothing but messages */
        bed.pages->to_guest[0].flags[0] = 1;
        bed.pages->event_pad[(9 - VMBUS_MAILBOX_VPS) * sizeof(bed.pages->to_guest[0])] = 1;
        transport->ops->poll(transport);
        EXPECT_EQ(bed.event_count, 0);
}
