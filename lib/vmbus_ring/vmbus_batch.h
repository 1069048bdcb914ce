/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_batch — several packets read and given back under one commit.
 *
 *   begin -> next ... next -> end          at most packets_max times next, whatever the peer does;
 *              `-> put_back                the last packet stays in the ring, for another time
 *
 * The batch is a view of a receiver and its position, which nobody else uses between begin and end.
 * Context     as the receiver
 * Facts       spec/vmbus.md, c.7 (a bounded number of packets a wake-up), d.8 */
#ifndef VMBUS_RING_VMBUS_BATCH_H
#define VMBUS_RING_VMBUS_BATCH_H

#include "vmbus_ring/vmbus_receiver.h"

struct vmbus_batch {
        struct vmbus_receiver *receiver;
        struct vmbus_receive_position *position;
        uint32_t packets_left;
        uint32_t last_out; /* where the last packet begins */
};

/* Starts a batch of up to packets_max packets, 1 .. */
static inline struct vmbus_batch vmbus_batch_begin(struct vmbus_receiver *receiver,
                                                   struct vmbus_receive_position *position,
                                                   uint32_t packets_max)
{
        return (struct vmbus_batch){.receiver = receiver,
                                    .position = position,
                                    .packets_left = packets_max,
                                    .last_out = position->next_out};
}

/* The next packet; its ranges live until end.
 *   returns  VMBUS_OK; VMBUS_EMPTY; VMBUS_BATCH_END after packets_max of them; a broken rule */
static ALWAYS_INLINE enum vmbus_result MUST_CHECK vmbus_batch_next(struct vmbus_batch *batch,
                                                                   struct vmbus_incoming *packet)
{
        if (UNLIKELY(batch->packets_left == 0))
                return VMBUS_BATCH_END;
        uint32_t start = batch->position->next_out;
        enum vmbus_result result = vmbus_receiver_read(batch->receiver, batch->position, packet);
        if (UNLIKELY(result != VMBUS_OK))
                return result;
        batch->packets_left--;
        batch->last_out = start;
        return VMBUS_OK;
}

/* Puts the packet of the last successful next back: the next batch begins with it. Once for each
 * next; more do nothing. */
static inline void vmbus_batch_put_back(struct vmbus_batch *batch)
{
        batch->position->next_out = batch->last_out;
}

/* Gives back what was taken; as vmbus_receiver_commit(). */
static inline bool MUST_CHECK vmbus_batch_end(struct vmbus_batch *batch)
{
        return vmbus_receiver_commit(batch->receiver, batch->position);
}

#endif
