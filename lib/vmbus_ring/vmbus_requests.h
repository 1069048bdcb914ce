/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_requests — the requests of one end that wait for their completion, by transaction id.
 *
 *   id on the wire    |generation, 32 bits|slot number + 1, 32 bits|        never 0, never a
 *   pointer
 *
 * The peer returns the id; the table tells whether it is that of a request, and of one that still
 * waits. A slot's generation moves on with each completion, so an id is not used again before its
 * slot has had 2^32 requests.
 *
 * Owner       the caller, of slots and contexts; nothing to release
 * Context     one caller at a time
 * Invariants  [Q1] a slot is either free (in the list from free_first on) or waits; waiting_count
 *                  of them wait
 * Facts       spec/vmbus.md, b.3, c.7 */
#ifndef VMBUS_RING_VMBUS_REQUESTS_H
#define VMBUS_RING_VMBUS_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "vmbus_ring/vmbus_result.h"

struct vmbus_request_slot {
        void *context;
        uint32_t generation;
        uint32_t next_free; /* of a free slot: the next one's number, or slot_count */
        bool waits;
};

struct vmbus_requests {
        struct vmbus_request_slot *slots;
        uint32_t slot_count;
        uint32_t free_first;
        uint32_t free_last;
        uint32_t waiting_count;
};

/* An empty table in `slots`, slot_count of them, 1 .. 2^32 - 2. */
void vmbus_requests_init(struct vmbus_requests *requests, struct vmbus_request_slot *slots,
                         uint32_t slot_count);

/* Notes one request, before it is written.
 *   context  what vmbus_requests_complete() hands back; not looked at
 *   id       out: the transaction id to send
 *   returns  ZX_OK; ZX_ERR_NO_RESOURCES when all slots wait, nothing changed */
zx_status_t MUST_CHECK vmbus_requests_add(struct vmbus_requests *requests, void *context,
                                          uint64_t *id);

/* Takes out the request that the peer completes.
 *   id       as it was received: any number
 *   context  out, on VMBUS_OK
 *   returns  VMBUS_OK; VMBUS_BAD_REQUEST_TWICE for a request that was completed before;
 *            VMBUS_BAD_REQUEST_ID for an id that was never made; nothing changed then. Whether the
 *            packet is dropped (b.3) or the channel closed is for the caller to decide */
enum vmbus_result MUST_CHECK vmbus_requests_complete(struct vmbus_requests *requests, uint64_t id,
                                                     void **context);

/* Takes out a request that was never sent, or is given up: it counts as completed.
 *   returns  as vmbus_requests_complete() */
static inline enum vmbus_result MUST_CHECK
vmbus_requests_cancel(struct vmbus_requests *requests, uint64_t id, void **context)
{
        return vmbus_requests_complete(requests, id, context);
}

/* At the end of a channel: takes out any request that still waits; false when there is none. At
 * most slot_count calls return true. */
bool MUST_CHECK vmbus_requests_drain(struct vmbus_requests *requests, void **context);

#endif
