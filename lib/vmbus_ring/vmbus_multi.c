/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_multi — a lock with a bound, and the sender behind it. Facts: spec/vmbus.md, c.2, c.4. */
#include "vmbus_ring/vmbus_multi.h"

static bool take_lock(struct vmbus_multi *multi)
{
        for (uint32_t i = 0; i < VMBUS_MULTI_TRIES; i++) {
                if (atomic_load_explicit(&multi->held, memory_order_relaxed) != 0)
                        continue;
                /* Acquire: pairs with the release in give_lock(). */
                if (atomic_exchange_explicit(&multi->held, 1, memory_order_acquire) == 0)
                        return true;
        }
        return false;
}

static void give_lock(struct vmbus_multi *multi)
{
        atomic_store_explicit(&multi->held, 0, memory_order_release);
}

enum vmbus_result vmbus_multi_init(struct vmbus_multi *multi, struct vmbus_sender *sender)
{
        atomic_init(&multi->held, 0);
        atomic_init(&multi->signals, 0);
        multi->seen = 0;
        multi->needed_bytes = 0;
        multi->sender = sender;
        return vmbus_sender_position(sender, &multi->position);
}

/* Under the lock. */
static enum vmbus_result send(struct vmbus_multi *multi, const struct vmbus_outgoing *packet,
                              const void *payload, bool *signal)
{
        struct vmbus_sender *sender = multi->sender;
        struct vmbus_range range;
        if (sender->state == VMBUS_END_ASLEEP)
                return vmbus_outgoing_bytes(packet) > sender->packet_bytes_max ? VMBUS_TOO_LARGE
                                                                               : VMBUS_FULL;
        enum vmbus_result result = vmbus_sender_write(sender, &multi->position, packet, &range);
        if (result != VMBUS_OK)
                return result;
        vmbus_memory_copy_out(&sender->memory, range.offset, payload, range.bytes);
        *signal = vmbus_sender_commit(sender, &multi->position);
        return VMBUS_OK;
}

enum vmbus_result vmbus_multi_send(struct vmbus_multi *multi, const struct vmbus_outgoing *packet,
                                   const void *payload, bool *signal)
{
        *signal = false;
        if (!take_lock(multi))
                return VMBUS_BUSY;
        enum vmbus_result result = send(multi, packet, payload, signal);
        give_lock(multi);
        return result;
}

/* Under the lock. Whoever sleeps already is taken into the sleep that begins here, or woken:
 * between the end of the one and the beginning of the other the peer may find nobody to signal. */
static enum vmbus_result join_sleep(struct vmbus_multi *multi, uint64_t needed_bytes,
                                    uint32_t *seen)
{
        struct vmbus_sender *sender = multi->sender;
        bool joins = sender->state == VMBUS_END_ASLEEP;
        if (needed_bytes > sender->packet_bytes_max)
                return VMBUS_TOO_LARGE;
        if (joins) {
                needed_bytes = max_u64(needed_bytes, multi->needed_bytes);
                vmbus_sender_cancel_sleep(sender);
        }
        multi->needed_bytes = needed_bytes;
        multi->seen = *seen = vmbus_multi_signals(multi);
        enum vmbus_result result =
                vmbus_sender_prepare_to_sleep(sender, &multi->position, needed_bytes, 0);
        if (joins && result != VMBUS_FULL)
                vmbus_multi_signal(multi);
        return result;
}

enum vmbus_result vmbus_multi_prepare_to_sleep(struct vmbus_multi *multi, uint64_t needed_bytes,
                                               uint32_t *seen)
{
        if (!take_lock(multi))
                return VMBUS_BUSY;
        enum vmbus_result result = join_sleep(multi, needed_bytes, seen);
        give_lock(multi);
        return result;
}

static enum vmbus_result end_sleep(struct vmbus_multi *multi, bool without_signal)
{
        enum vmbus_result result = VMBUS_OK;
        if (!take_lock(multi))
                return VMBUS_BUSY;
        /* A signal since the last one joined has reached everybody in the sleep. */
        bool ends = without_signal || vmbus_multi_signals(multi) != multi->seen;
        if (multi->sender->state == VMBUS_END_CORRUPT ||
            (multi->sender->state == VMBUS_END_ASLEEP && ends))
                result = vmbus_sender_woken(multi->sender);
        if (without_signal)
                vmbus_multi_signal(multi);
        give_lock(multi);
        return result;
}

enum vmbus_result vmbus_multi_woken(struct vmbus_multi *multi)
{
        return end_sleep(multi, false);
}

enum vmbus_result vmbus_multi_cancel_sleep(struct vmbus_multi *multi)
{
        return end_sleep(multi, true);
}
