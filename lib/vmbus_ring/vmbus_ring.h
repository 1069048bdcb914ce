/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring — the ring of a Hyper-V VMBus channel, both ends; this header is the whole of it.
 *
 *   vmbus_wire.h       control page, packet words, sizes
 *   vmbus_result.h     what functions return; one name for each rule that a peer can break
 *   vmbus_memory.h     the memory under a ring: flat, mirrored, paged; index arithmetic
 *   vmbus_payload.h    writer, reader and spans over the bytes of a packet
 *   vmbus_sender.h     the end that writes: write, commit, revert, sleep until there is room
 *   vmbus_receiver.h   the end that reads: read or take, commit, revert, sleep until there is a
 *                      packet
 *   vmbus_gpa.h        lists of pages, for GPA-direct packets
 *   vmbus_external.h   the ranges of received packets, as checked numbers
 *   vmbus_batch.h      several packets read under one commit
 *   vmbus_pipe.h       messages and byte streams, for channels in pipe mode
 *   vmbus_requests.h   transaction ids that are no pointers, completions that are checked
 *   vmbus_multi.h      one sender for several processors
 *   vmbus_inspect.h    looking from outside: words, predicates, text
 *
 * A channel has two rings; each side is the sender of one and the receiver of the other. All memory
 * is the caller's; nothing is allocated, nothing global, no loop depends on what a peer wrote. The
 * peer is hostile: what breaks a rule latches the end, and never leads to an access outside the
 * memory handed in. Facts: spec/vmbus.md, (a) to (d), from openvmm's vmbus_ring, Linux, FreeBSD,
 * DPDK, QEMU and mu_msvm.
 *
 * The order of calls, as code that a test compiles and runs as it stands: */
#ifndef VMBUS_RING_VMBUS_RING_H
#define VMBUS_RING_VMBUS_RING_H

#include "vmbus_ring/vmbus_batch.h"
#include "vmbus_ring/vmbus_external.h"
#include "vmbus_ring/vmbus_gpa.h"
#include "vmbus_ring/vmbus_inspect.h"
#include "vmbus_ring/vmbus_memory.h"
#include "vmbus_ring/vmbus_multi.h"
#include "vmbus_ring/vmbus_payload.h"
#include "vmbus_ring/vmbus_pipe.h"
#include "vmbus_ring/vmbus_receiver.h"
#include "vmbus_ring/vmbus_requests.h"
#include "vmbus_ring/vmbus_result.h"
#include "vmbus_ring/vmbus_sender.h"
#include "vmbus_ring/vmbus_wire.h"

#ifdef VMBUS_RING_EXAMPLE
static bool vmbus_ring_example(struct vmbus_sender *sender, struct vmbus_send_position *to,
                               struct vmbus_receiver *receiver, struct vmbus_receive_position *from)
{
        struct vmbus_outgoing packet = {.kind = VMBUS_SEND_IN_BAND, .payload_bytes = 6};
        struct vmbus_range payload;
        struct vmbus_incoming incoming;
        char text[8];
        if (vmbus_sender_write(sender, to, &packet, &payload) != VMBUS_OK)
                return false; /* VMBUS_FULL: vmbus_sender_prepare_to_sleep() */
        struct vmbus_writer writer = vmbus_sender_writer(sender, &payload);
        if (vmbus_writer_write(&writer, "hello", 6) != VMBUS_OK)
                return false;
        bool signal_receiver = vmbus_sender_commit(sender, to); /* one for many packets */

        if (vmbus_receiver_read(receiver, from, &incoming) != VMBUS_OK)
                return false; /* VMBUS_EMPTY: vmbus_receiver_prepare_to_sleep() */
        if (vmbus_receiver_copy(receiver, &incoming.payload, text, sizeof(text)) != VMBUS_OK)
                return false;
        bool signal_sender = vmbus_receiver_commit(receiver, from); /* one for many */
        return !signal_sender && !signal_receiver && memcmp(text, "hello\0\0", 8) == 0;
}
#endif

#endif
