/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_multi — a front for one sender that several processors share.
 *
 * A ring has one producer; this makes one of many, with a lock that is held for one packet. Nothing
 * waits for ever: who does not get the lock within VMBUS_MULTI_TRIES looks is told VMBUS_BUSY and
 * may try again, or do something else first.
 *
 * While one processor sleeps for room, the others are told VMBUS_FULL, so that a large packet is
 * not overtaken by small ones without end. They may join it, and then all wait for one signal:
 *
 *      while ((result = vmbus_multi_send(&multi, &packet, payload, &signal)) == VMBUS_FULL) {
 *              result = vmbus_multi_prepare_to_sleep(&multi, vmbus_outgoing_bytes(&packet), &seen);
 *              if (result == VMBUS_FULL) {
 *                      while (vmbus_multi_signals(&multi) == seen)
 *                              wait;       // on a condition, a futex, by polling
 *                      result = vmbus_multi_woken(&multi);
 *              }
 *      }                                   // and VMBUS_BUSY from any of them: call it again
 *
 *   - on each signal of the peer (the interrupt handler, the channel's callback):
 *     vmbus_multi_signal(), then wake everybody who waits
 *   - where it says below "wakes the others": the same was done here already; wake everybody who
 *     waits. On a processor that polls vmbus_multi_signals() there is nothing to do
 *   - a sleep ends for all at once, and never without such a count: whoever was counted into it
 *     finds signals != seen
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
        atomic_uint held;    /* 0 or 1 */
        atomic_uint signals; /* goes up, and wraps, with each signal and each end of a sleep */
        uint32_t seen;       /* `signals` when the last one joined the sleep that goes on */
        uint64_t needed_bytes; /* the most that anybody in it needs */
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

/* After VMBUS_FULL: asks the peer for a signal, as vmbus_sender_prepare_to_sleep(). Where somebody
 * sleeps already, for the larger need of both, and looks once more at `out`: the signal of that
 * sleep may have come before this call.
 *   seen     out: vmbus_multi_signals() before the look
 *   returns  VMBUS_FULL: wait until vmbus_multi_signals() is not *seen, then vmbus_multi_woken(),
 *            then try again. VMBUS_OK: there is room, nobody sleeps, try again now; wakes the
 *            others. A broken rule; wakes the others. VMBUS_TOO_LARGE and VMBUS_BUSY: nothing has
 *            changed
 *   order    acquire of `signals`; pairs with the release in vmbus_multi_signal() */
enum vmbus_result MUST_CHECK vmbus_multi_prepare_to_sleep(struct vmbus_multi *multi,
                                                          uint64_t needed_bytes, uint32_t *seen);

/* Counts a signal of the peer. Takes no lock: in interrupts, too, and in the middle of any other
 * call. Then wake everybody who waits. */
static inline void vmbus_multi_signal(struct vmbus_multi *multi)
{
        atomic_fetch_add_explicit(&multi->signals, 1, memory_order_release);
}

/* What a waiter compares with what it has seen. Acquire: pairs with vmbus_multi_signal(). */
static inline uint32_t vmbus_multi_signals(const struct vmbus_multi *multi)
{
        return atomic_load_explicit(&multi->signals, memory_order_acquire);
}

/* After a signal, on every processor that waited: the first one ends the sleep. One that somebody
 * joined after the last signal goes on.
 *   returns  VMBUS_OK: try again; VMBUS_BUSY; the broken rule of a broken end */
enum vmbus_result MUST_CHECK vmbus_multi_woken(struct vmbus_multi *multi);

/* The same without a signal: deadline, close. Ends the sleep for all and wakes the others, who
 * sleep again if they still must. Returns as vmbus_multi_woken(). */
enum vmbus_result MUST_CHECK vmbus_multi_cancel_sleep(struct vmbus_multi *multi);

#endif
