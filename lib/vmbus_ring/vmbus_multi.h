/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_multi — a front for one sender that several processors share.
 *
 * A ring has one producer; this makes one of many, with a lock that is held for one packet. Nothing
 * waits for ever: who does not get the lock within VMBUS_MULTI_TRIES looks is told VMBUS_BUSY and
 * may try again, or do something else first.
 *
 * While one processor sleeps for room, the others are told VMBUS_FULL, so that a large packet is
 * not overtaken by small ones without end; all of them wait for the same signal.
 *
 * Owner       the caller, of this struct and of the sender, which nobody else touches any more
 * Context     any number of callers; in interrupts only where the holder of the lock cannot be
 *             interrupted by another caller on the same processor (that one would be told
 *             VMBUS_BUSY over and over, but nothing would hang)
 * Facts       spec/vmbus.md, c.2, c.4 */
#ifndef VMBUS_RING_VMBUS_MULTI_H
#define VMBUS_RING_VMBUS_MULTI_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmbus_ring/vmbus_sender.h"

/* Looks at the lock before giving up. */
#define VMBUS_MULTI_TRIES 4096u

struct vmbus_multi {
        atomic_uint held; /* 0 or 1 */
        struct vmbus_sender *sender;
        struct vmbus_send_position position;
};

/* Takes over a sender that was started.
 *   returns  as vmbus_sender_position() */
enum vmbus_result MUST_CHECK vmbus_multi_init(struct vmbus_multi *multi,
                                              struct vmbus_sender *sender);

/* Writes and commits one packet.
 *   packet   as for vmbus_sender_write()
 *   payload  packet->payload_bytes of private memory; ignored when that is 0
 *   signal   out: true: send the peer one signal now
 *   returns  VMBUS_OK; VMBUS_FULL, also while somebody sleeps for room; VMBUS_TOO_LARGE;
 *            VMBUS_BUSY; a broken rule. Nothing is sent unless VMBUS_OK
 *   order    the lock: acquire when taken, release when given back */
enum vmbus_result MUST_CHECK vmbus_multi_send(struct vmbus_multi *multi,
                                              const struct vmbus_outgoing *packet,
                                              const void *payload, bool *signal);

/* After VMBUS_FULL: asks the peer for a signal, as vmbus_sender_prepare_to_sleep().
 *   returns  VMBUS_FULL: wait for the signal, then vmbus_multi_woken(), then try again. Also when
 *            another processor sleeps already: the signal is one for all. VMBUS_OK: try again now;
 *            VMBUS_TOO_LARGE; VMBUS_BUSY; a broken rule */
enum vmbus_result MUST_CHECK vmbus_multi_prepare_to_sleep(struct vmbus_multi *multi,
                                                          uint64_t needed_bytes);

/* After a signal or a deadline: nobody sleeps any more. On every processor that waited; the first
 * one does it.
 *   returns  VMBUS_OK; VMBUS_BUSY; the broken rule of a broken end */
enum vmbus_result MUST_CHECK vmbus_multi_woken(struct vmbus_multi *multi);

#endif
