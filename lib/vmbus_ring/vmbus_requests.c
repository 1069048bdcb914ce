/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_requests — a table with a free list that is first in, first out: a slot rests as long as it
 * can. Facts: spec/vmbus.md, b.3, c.7. */
#include "vmbus_ring/vmbus_requests.h"

#include "base/assert.h"

#define GENERATION_BIT 32

void vmbus_requests_init(struct vmbus_requests *requests, struct vmbus_request_slot *slots,
                         uint32_t slot_count)
{
        ASSERT(slot_count != 0);
        ASSERT(slot_count < UINT32_MAX);
        *requests = (struct vmbus_requests){
                .slots = slots, .slot_count = slot_count, .free_last = slot_count - 1};
        for (uint32_t i = 0; i < slot_count; i++)
                slots[i] = (struct vmbus_request_slot){.next_free = i + 1};
}

zx_status_t vmbus_requests_add(struct vmbus_requests *requests, void *context, uint64_t *id)
{
        uint32_t number = requests->free_first;
        if (number == requests->slot_count)
                return ZX_ERR_NO_RESOURCES;
        struct vmbus_request_slot *slot = &requests->slots[number];
        DEBUG_ASSERT(!slot->waits); /* [Q1] */
        requests->free_first = slot->next_free;
        requests->waiting_count++;
        slot->waits = true;
        slot->context = context;
        *id = (uint64_t)slot->generation << GENERATION_BIT | (number + 1);
        return ZX_OK;
}

/* Makes the slot free, as the last of the free ones. */
static void *release(struct vmbus_requests *requests, uint32_t number)
{
        struct vmbus_request_slot *slot = &requests->slots[number];
        void *context = slot->context;
        slot->waits = false;
        slot->context = NULL;
        slot->generation++;
        slot->next_free = requests->slot_count;
        if (requests->free_first == requests->slot_count)
                requests->free_first = number;
        else
                requests->slots[requests->free_last].next_free = number;
        requests->free_last = number;
        requests->waiting_count--;
        return context;
}

enum vmbus_result vmbus_requests_complete(struct vmbus_requests *requests, uint64_t id,
                                          void **context)
{
        uint32_t number = (uint32_t)id - 1;
        uint32_t generation = (uint32_t)(id >> GENERATION_BIT);
        if (number >= requests->slot_count) /* 0 became the largest number */
                return VMBUS_BAD_REQUEST_ID;
        const struct vmbus_request_slot *slot = &requests->slots[number];
        if (generation == slot->generation && slot->waits) {
                *context = release(requests, number);
                return VMBUS_OK;
        }
        /* Of the generations before the slot's all were made and completed; no other was made. */
        return generation < slot->generation ? VMBUS_BAD_REQUEST_TWICE : VMBUS_BAD_REQUEST_ID;
}

bool vmbus_requests_drain(struct vmbus_requests *requests, void **context)
{
        if (requests->waiting_count == 0)
                return false;
        for (uint32_t i = 0; i < requests->slot_count; i++) {
                if (!requests->slots[i].waits)
                        continue;
                *context = release(requests, i);
                return true;
        }
        return false;
}
