/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* mailbox — see the header. */
#include "tests/peers/vmbus_host/program/mailbox.h"

#include <stdio.h>
#include <string.h>

#include "base/shared.h"

static uint32_t next_index(uint32_t index)
{
        return index + 1 == VMBUS_MAILBOX_INDEX_LIMIT ? 0 : index + 1;
}

/* The messages between two indices, UINT32_MAX when one of them is out of range. */
static uint32_t between(uint32_t head, uint32_t tail)
{
        if (head >= VMBUS_MAILBOX_INDEX_LIMIT || tail >= VMBUS_MAILBOX_INDEX_LIMIT)
                return UINT32_MAX;
        return tail >= head ? tail - head : tail + (VMBUS_MAILBOX_INDEX_LIMIT - head);
}

static bool broke(struct mailbox *mailbox, const char *what, uint32_t value)
{
        if (!mailbox->broken)
                fprintf(stderr, "vmbus-host: the guest broke the mailbox: %s is %u\n", what, value);
        mailbox->broken = true;
        return false;
}

void mailbox_init(struct mailbox *mailbox, struct vmbus_mailbox *shared, uint64_t ram_bytes,
                  uint32_t our_id)
{
        *mailbox = (struct mailbox){.shared = shared};
        memset(shared, 0, sizeof(*shared));
        shared_store_u64(&shared->header.ram_bytes, ram_bytes);
        shared_store_u32(&shared->header.host_peer, our_id);
        shared_store_u32(&shared->header.version, VMBUS_MAILBOX_VERSION);
        shared_store_u32(&shared->header.host_state, VMBUS_MAILBOX_READY);
        shared_store_release_u64(&shared->header.magic, VMBUS_MAILBOX_MAGIC);
}

bool mailbox_guest_reset(struct mailbox *mailbox)
{
        struct vmbus_mailbox_header *header = &mailbox->shared->header;
        uint32_t state = shared_load_acquire_u32(&header->guest_state);
        uint32_t generation = shared_load_u32(&header->guest_generation);
        if (state != VMBUS_MAILBOX_RESET || generation == 0 || generation == mailbox->generation)
                return false;
        mailbox->generation = generation;
        return true;
}

void mailbox_reset_done(struct mailbox *mailbox)
{
        struct vmbus_mailbox *shared = mailbox->shared;
        mailbox->in_head = mailbox->out_tail = 0;
        mailbox->broken = false;
        memset((uint8_t *)shared + VMBUS_MAILBOX_PAGE_BYTES, 0,
               sizeof(*shared) - VMBUS_MAILBOX_PAGE_BYTES);
        shared_store_release_u32(&shared->header.host_generation, mailbox->generation);
}

static bool lies(struct mailbox *mailbox, enum vmbus_host_lie lie)
{
        return mailbox->liar != NULL && vmbus_host_lies_now(mailbox->liar, lie);
}

static bool guest_is_ready(const struct mailbox *mailbox)
{
        return !mailbox->broken && mailbox->generation != 0 &&
               shared_load_acquire_u32(&mailbox->shared->header.guest_state) == VMBUS_MAILBOX_READY;
}

bool mailbox_peek(struct mailbox *mailbox, struct mailbox_message *message)
{
        struct vmbus_mailbox_messages *messages = &mailbox->shared->messages_to_host;
        struct vmbus_mailbox_slot slot;
        if (!guest_is_ready(mailbox))
                return false;
        uint32_t tail = shared_load_acquire_u32(&messages->tail);
        uint32_t count = between(mailbox->in_head, tail);
        if (count > VMBUS_MAILBOX_SLOTS)
                return broke(mailbox, "the tail of its messages", tail);
        if (count == 0)
                return false;
        shared_copy_in(&slot, &messages->slots[mailbox->in_head % VMBUS_MAILBOX_SLOTS],
                       sizeof(slot));
        if (slot.bytes > VMBUS_MAILBOX_MESSAGE_BYTES_MAX)
                return broke(mailbox, "the length of a message", slot.bytes);
        *message = (struct mailbox_message){
                .type = slot.type, .bytes = slot.bytes, .connection_id = slot.connection_id};
        memcpy(message->payload, slot.payload, sizeof(message->payload));
        return true;
}

void mailbox_took(struct mailbox *mailbox)
{
        uint32_t head = next_index(mailbox->in_head);
        mailbox->in_head = head;
        if (lies(mailbox, VMBUS_HOST_LIE_MAILBOX_HEAD))
                head = (head + 1 + VMBUS_MAILBOX_SLOTS) % VMBUS_MAILBOX_INDEX_LIMIT;
        shared_store_release_u32(&mailbox->shared->messages_to_host.head, head);
}

bool mailbox_post(struct mailbox *mailbox, const void *bytes, uint32_t count)
{
        struct vmbus_mailbox_messages *messages = &mailbox->shared->messages_to_guest;
        struct vmbus_mailbox_slot slot = {.type = 1, .bytes = (uint8_t)count};
        if (!guest_is_ready(mailbox))
                return false;
        uint32_t head = shared_load_acquire_u32(&messages->head);
        uint32_t used = between(head, mailbox->out_tail);
        if (used > VMBUS_MAILBOX_SLOTS)
                return broke(mailbox, "the head of our messages", head);
        if (used == VMBUS_MAILBOX_SLOTS)
                return false;
        memcpy(slot.payload, bytes, count);
        if (lies(mailbox, VMBUS_HOST_LIE_MAILBOX_TYPE))
                slot.type = 2;
        if (lies(mailbox, VMBUS_HOST_LIE_MAILBOX_BYTES))
                slot.bytes = VMBUS_MAILBOX_MESSAGE_BYTES_MAX + 1;
        if (lies(mailbox, VMBUS_HOST_LIE_MAILBOX_ZERO))
                slot.flags = 1;
        shared_copy_out(&messages->slots[mailbox->out_tail % VMBUS_MAILBOX_SLOTS], &slot,
                        sizeof(slot));
        uint32_t tail = next_index(mailbox->out_tail);
        mailbox->out_tail = tail;
        if (lies(mailbox, VMBUS_HOST_LIE_MAILBOX_TAIL))
                tail = (tail + VMBUS_MAILBOX_SLOTS) % VMBUS_MAILBOX_INDEX_LIMIT;
        shared_store_release_u32(&messages->tail, tail);
        return true;
}

uint64_t mailbox_take_events(struct mailbox *mailbox, uint32_t word)
{
        uint64_t *flags = &mailbox->shared->to_host.flags[word];
        if (!guest_is_ready(mailbox) || shared_load_u64(flags) == 0)
                return 0;
        return __atomic_exchange_n(flags, 0, __ATOMIC_ACQUIRE);
}

void mailbox_set_event(struct mailbox *mailbox, uint32_t flag, uint32_t vp)
{
        __atomic_fetch_or(&mailbox->shared->to_guest[vp].flags[flag / 64], 1ull << flag % 64,
                          __ATOMIC_RELEASE);
}
