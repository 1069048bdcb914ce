/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Messages and event flags in shared pages. Facts: lib/vmbus_mailbox/vmbus_mailbox.h. */
#include "drivers/hyperv/vmbus_mailbox_transport.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/shared.h"

#define RESET_DEADLINE_NS 2000000000ull
#define RESET_PAUSE_NS 1000000ull
#define MESSAGE_TYPE_VMBUS 1
#define HEADER(field) (&mailbox->pages->header.field)

static struct vmbus_mailbox_transport *of(struct vmbus_transport *transport)
{
        return CONTAINER_OF(transport, struct vmbus_mailbox_transport, transport);
}

/* ---- indices ---- */

static uint32_t next_index(uint32_t index)
{
        return index + 1 == VMBUS_MAILBOX_INDEX_LIMIT ? 0 : index + 1;
}

/* From `head` on up to `tail`; both below the limit. */
static uint32_t distance(uint32_t head, uint32_t tail)
{
        return tail >= head ? tail - head : tail + (VMBUS_MAILBOX_INDEX_LIMIT - head);
}

static bool is_broken(const struct vmbus_mailbox_transport *mailbox)
{
        return __atomic_load_n(&mailbox->fault, __ATOMIC_RELAXED) != VMBUS_MAILBOX_FAULT_NONE;
}

static void latch(struct vmbus_mailbox_transport *mailbox, enum vmbus_mailbox_fault fault)
{
        uint8_t none = VMBUS_MAILBOX_FAULT_NONE;
        if (__atomic_compare_exchange_n(&mailbox->fault, &none, (uint8_t)fault, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
                mailbox->upcalls.broken(mailbox->upcalls.context);
}

/* ---- out ---- */

static void ring(struct vmbus_mailbox_transport *mailbox, uint16_t vector)
{
        mailbox->doorbell(mailbox->doorbell_context, mailbox->host_peer, vector);
}

/* With post_lock held; *fault is what the host broke. */
static zx_status_t put_slot(struct vmbus_mailbox_transport *mailbox,
                            const struct vmbus_mailbox_slot *slot, enum vmbus_mailbox_fault *fault)
{
        struct vmbus_mailbox_messages *messages = &mailbox->pages->messages_to_host;
        uint32_t tail = mailbox->post_tail;
        uint32_t head = shared_load_acquire_u32(&messages->head); /* the host's release */
        if (head >= VMBUS_MAILBOX_INDEX_LIMIT ||
            distance(mailbox->post_head, head) > distance(mailbox->post_head, tail)) {
                *fault = VMBUS_MAILBOX_FAULT_HEAD;
                return ZX_ERR_IO_DATA_INTEGRITY;
        }
        mailbox->post_head = head;
        if (distance(head, tail) == VMBUS_MAILBOX_SLOTS)
                return ZX_ERR_SHOULD_WAIT;
        shared_copy_out(&messages->slots[tail % VMBUS_MAILBOX_SLOTS], slot, sizeof(*slot));
        mailbox->post_tail = next_index(tail);
        /* Slot before index; pairs with the host's acquire. */
        shared_store_release_u32(&messages->tail, mailbox->post_tail);
        return ZX_OK;
}

static zx_status_t mailbox_post(struct vmbus_transport *transport, uint32_t connection_id,
                                const void *message, uint32_t bytes)
{
        struct vmbus_mailbox_transport *mailbox = of(transport);
        enum vmbus_mailbox_fault fault = VMBUS_MAILBOX_FAULT_NONE;
        struct vmbus_mailbox_slot slot = {.type = MESSAGE_TYPE_VMBUS,
                                          .bytes = (uint8_t)bytes,
                                          .connection_id = connection_id};
        ASSERT(bytes <= VMBUS_MAILBOX_MESSAGE_BYTES_MAX);
        if (is_broken(mailbox))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (shared_load_u32(HEADER(host_state)) != VMBUS_MAILBOX_READY)
                return ZX_ERR_IO;
        memcpy(slot.payload, message, bytes);
        spinlock_take(&mailbox->post_lock);
        zx_status_t status = put_slot(mailbox, &slot, &fault);
        spinlock_give(&mailbox->post_lock);
        if (fault != VMBUS_MAILBOX_FAULT_NONE)
                latch(mailbox, fault);
        else
                ring(mailbox, VMBUS_MAILBOX_VECTOR_MESSAGE); /* also when full: it may sleep */
        return status;
}

static zx_status_t mailbox_signal(struct vmbus_transport *transport, uint32_t connection_id,
                                  uint32_t flag)
{
        struct vmbus_mailbox_transport *mailbox = of(transport);
        uint64_t bit = BIT_MASK(flag % 64);
        ASSERT(flag < VMBUS_MAILBOX_FLAGS);
        if (is_broken(mailbox) || shared_load_u32(HEADER(host_state)) != VMBUS_MAILBOX_READY)
                return ZX_ERR_IO;
        /* Ring stores before the flag; pairs with the host's exchange. Who finds the flag set has
         * somebody before him who rings. */
        uint64_t before = __atomic_fetch_or(&mailbox->pages->to_host.flags[flag / 64], bit,
                                            __ATOMIC_SEQ_CST);
        if ((before & bit) == 0)
                ring(mailbox, VMBUS_MAILBOX_VECTOR_EVENT);
        return ZX_OK;
}

/* ---- in ---- */

static enum vmbus_mailbox_fault check_slot(const struct vmbus_mailbox_slot *slot)
{
        if (slot->type != MESSAGE_TYPE_VMBUS)
                return VMBUS_MAILBOX_FAULT_SLOT_TYPE;
        if (slot->bytes > VMBUS_MAILBOX_MESSAGE_BYTES_MAX)
                return VMBUS_MAILBOX_FAULT_SLOT_BYTES;
        if (slot->flags != 0 || slot->zero != 0 || slot->connection_id != 0)
                return VMBUS_MAILBOX_FAULT_SLOT_ZERO;
        return VMBUS_MAILBOX_FAULT_NONE;
}

/* Takes what is in the slots now and hands it up, with take_lock held: in order, one at a time.
 * Returns what the host broke. */
static enum vmbus_mailbox_fault take_slots(struct vmbus_mailbox_transport *mailbox)
{
        struct vmbus_mailbox_messages *messages = &mailbox->pages->messages_to_guest;
        uint32_t head = mailbox->take_head;
        uint32_t tail = shared_load_acquire_u32(&messages->tail); /* the host's release */
        if (tail >= VMBUS_MAILBOX_INDEX_LIMIT || distance(head, tail) > VMBUS_MAILBOX_SLOTS)
                return VMBUS_MAILBOX_FAULT_TAIL;
        bool was_full = distance(head, tail) == VMBUS_MAILBOX_SLOTS;
        while (head != tail) { /* at most VMBUS_MAILBOX_SLOTS */
                struct vmbus_mailbox_slot slot;
                struct vmbus_message message;
                shared_copy_in(&slot, &messages->slots[head % VMBUS_MAILBOX_SLOTS], sizeof(slot));
                enum vmbus_mailbox_fault fault = check_slot(&slot);
                if (fault != VMBUS_MAILBOX_FAULT_NONE)
                        return fault;
                head = next_index(head);
                mailbox->take_head = head;
                shared_store_release_u32(&messages->head, head); /* pairs with the host's acquire */
                message.bytes = slot.bytes;
                memcpy(message.payload, slot.payload, slot.bytes);
                mailbox->upcalls.message(mailbox->upcalls.context, &message);
        }
        if (was_full)
                ring(mailbox, VMBUS_MAILBOX_VECTOR_MESSAGE); /* the host may wait for room */
        return VMBUS_MAILBOX_FAULT_NONE;
}

static void take_flags(struct vmbus_mailbox_transport *mailbox, uint32_t vp)
{
        for (uint32_t word = 0; word < VMBUS_MAILBOX_FLAGS / 64; word++) {
                uint64_t *flags = &mailbox->pages->to_guest[vp].flags[word];
                uint64_t set = shared_load_u64(flags);
                if (set == 0)
                        continue;
                /* Flags before what the host wrote before them; pairs with its fetch_or. */
                set = __atomic_exchange_n(flags, 0, __ATOMIC_SEQ_CST);
                for (; set != 0; set &= set - 1)
                        mailbox->upcalls.event(mailbox->upcalls.context,
                                               word * 64 + (uint32_t)__builtin_ctzll(set));
        }
}

static void take_messages(struct vmbus_mailbox_transport *mailbox)
{
        enum vmbus_mailbox_fault fault = VMBUS_MAILBOX_FAULT_NONE;
        bool enabled = mailbox->platform->interrupts_disable();
        spinlock_take(&mailbox->take_lock);
        if (mailbox->running && !is_broken(mailbox))
                fault = take_slots(mailbox);
        spinlock_give(&mailbox->take_lock);
        mailbox->platform->interrupts_restore(enabled);
        if (fault != VMBUS_MAILBOX_FAULT_NONE)
                latch(mailbox, fault);
}

static void take_events(struct vmbus_mailbox_transport *mailbox, uint32_t vp)
{
        bool enabled = mailbox->platform->interrupts_disable();
        /* Either stop() sees that we are here, or we see that it was here. */
        __atomic_fetch_add(&mailbox->taking, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&mailbox->running, __ATOMIC_SEQ_CST) && !is_broken(mailbox))
                take_flags(mailbox, vp);
        __atomic_fetch_sub(&mailbox->taking, 1, __ATOMIC_RELEASE);
        mailbox->platform->interrupts_restore(enabled);
}

void vmbus_mailbox_interrupt(struct vmbus_mailbox_transport *mailbox, uint16_t vector)
{
        ASSERT(vector < VMBUS_MAILBOX_VECTORS);
        if (vector == VMBUS_MAILBOX_VECTOR_MESSAGE)
                take_messages(mailbox);
        else
                take_events(mailbox, vector - VMBUS_MAILBOX_VECTOR_EVENT);
}

/* What is for this CPU, as its vector would. */
static void mailbox_poll(struct vmbus_transport *transport)
{
        struct vmbus_mailbox_transport *mailbox = of(transport);
        uint32_t cpu = mailbox->platform->cpu();
        take_messages(mailbox);
        if (cpu < mailbox->vp_count)
                take_events(mailbox, cpu);
}

/* ---- start and stop ---- */

static zx_status_t mailbox_start(struct vmbus_transport *transport,
                                 const struct vmbus_upcalls *upcalls)
{
        struct vmbus_mailbox_transport *mailbox = of(transport);
        const struct vmbus_platform *platform = mailbox->platform;
        uint32_t last = shared_load_u32(HEADER(host_generation));
        mailbox->upcalls = *upcalls;
        mailbox->fault = VMBUS_MAILBOX_FAULT_NONE;
        mailbox->generation = last + 1 == 0 ? 1 : last + 1;
        shared_store_u32(HEADER(guest_peer), mailbox->own_peer);
        shared_store_u32(HEADER(guest_generation), mailbox->generation);
        shared_store_release_u32(HEADER(guest_state), VMBUS_MAILBOX_RESET);
        ring(mailbox, VMBUS_MAILBOX_VECTOR_MESSAGE);

        uint64_t deadline = platform->now_ns() + RESET_DEADLINE_NS;
        while (shared_load_acquire_u32(HEADER(host_generation)) != mailbox->generation) {
                if (platform->now_ns() >= deadline) {
                        shared_store_u32(HEADER(guest_state), VMBUS_MAILBOX_ABSENT);
                        return ZX_ERR_TIMED_OUT;
                }
                platform->pause(RESET_PAUSE_NS);
        }
        /* The host has zeroed the pages; all indices begin at 0. */
        mailbox->post_tail = 0;
        mailbox->post_head = 0;
        mailbox->take_head = 0;
        __atomic_store_n(&mailbox->running, true, __ATOMIC_RELEASE);
        shared_store_release_u32(HEADER(guest_state), VMBUS_MAILBOX_READY);
        ring(mailbox, VMBUS_MAILBOX_VECTOR_MESSAGE);
        return ZX_OK;
}

static void mailbox_stop(struct vmbus_transport *transport)
{
        struct vmbus_mailbox_transport *mailbox = of(transport);
        bool enabled = mailbox->platform->interrupts_disable();
        spinlock_take(&mailbox->take_lock); /* a handler that runs is waited for */
        __atomic_store_n(&mailbox->running, false, __ATOMIC_SEQ_CST);
        spinlock_give(&mailbox->take_lock);
        while (__atomic_load_n(&mailbox->taking, __ATOMIC_SEQ_CST) != 0)
                spinlock_wait(); /* a handler that runs is waited for */
        mailbox->platform->interrupts_restore(enabled);
        shared_store_u32(HEADER(guest_state), VMBUS_MAILBOX_ABSENT);
}

static uint32_t mailbox_vp_index(struct vmbus_transport *transport, uint32_t cpu)
{
        return cpu < of(transport)->vp_count ? cpu : VMBUS_VP_NONE;
}

static uint64_t mailbox_now(struct vmbus_transport *transport)
{
        return of(transport)->platform->now_ns();
}

static void mailbox_pause(struct vmbus_transport *transport, uint64_t ns)
{
        of(transport)->platform->pause(ns);
}

static bool mailbox_interrupts_disable(struct vmbus_transport *transport)
{
        return of(transport)->platform->interrupts_disable();
}

static void mailbox_interrupts_restore(struct vmbus_transport *transport, bool enabled)
{
        of(transport)->platform->interrupts_restore(enabled);
}

static const struct vmbus_transport_ops mailbox_ops = {
        .name = "shared pages",
        .start = mailbox_start,
        .stop = mailbox_stop,
        .post = mailbox_post,
        .signal = mailbox_signal,
        .poll = mailbox_poll,
        .vp_index = mailbox_vp_index,
        .now_ns = mailbox_now,
        .pause = mailbox_pause,
        .interrupts_disable = mailbox_interrupts_disable,
        .interrupts_restore = mailbox_interrupts_restore,
};

zx_status_t vmbus_mailbox_transport_init(struct vmbus_mailbox_transport *mailbox,
                                         const struct vmbus_mailbox_config *config)
{
        *mailbox = (struct vmbus_mailbox_transport){
                .transport.ops = &mailbox_ops,
                .platform = config->platform,
                .pages = config->pages,
                .doorbell = config->doorbell,
                .doorbell_context = config->doorbell_context,
                .own_peer = config->own_peer,
        };
        spinlock_init(&mailbox->post_lock, "vmbus post");
        spinlock_init(&mailbox->take_lock, "vmbus take");
        mailbox->vp_count = (uint32_t)min_u64(config->platform->cpu_count(), VMBUS_MAILBOX_VPS);
        if (shared_load_acquire_u64(HEADER(magic)) != VMBUS_MAILBOX_MAGIC)
                return ZX_ERR_NOT_FOUND;
        if (shared_load_u32(HEADER(version)) != VMBUS_MAILBOX_VERSION)
                return ZX_ERR_NOT_SUPPORTED;
        if (shared_load_acquire_u32(HEADER(host_state)) != VMBUS_MAILBOX_READY)
                return ZX_ERR_UNAVAILABLE;
        uint32_t peer = shared_load_u32(HEADER(host_peer));
        if (peer > UINT16_MAX)
                return ZX_ERR_IO_DATA_INTEGRITY;
        mailbox->host_peer = (uint16_t)peer;
        mailbox->ram_bytes = shared_load_u64(HEADER(ram_bytes));
        return ZX_OK;
}
