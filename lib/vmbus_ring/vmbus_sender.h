/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_sender — the end that writes packets.
 *
 *   | free ...... | committed, not read | written, not committed | free ...... |
 *                 ^cached_out           ^committed_in            ^next_in
 *
 * The position (three indices) is the caller's: several packets are written under one commit, a
 * copy of it tries a batch and is thrown away, revert drops what was not committed. One line of
 * positions at a time: once a copy has been committed, it replaces the one it was copied from.
 *
 *              prepare_to_sleep = FULL                 any function finds a broken rule
 *      READY ------------------------------> ASLEEP    READY, ASLEEP -------------> CORRUPT
 *            <------------------------------
 *              woken, cancel_sleep
 *
 *   READY    everything may be called but woken and cancel_sleep
 *   ASLEEP   pending_send_size is set; only woken and cancel_sleep may be called, all else fails an
 *            ASSERT
 *   CORRUPT  `fault` says which rule; everything returns it, nothing touches the ring. Start over
 *            with vmbus_sender_init() after the channel was closed and opened again
 *
 * Owner       the caller, of the struct and of the memory; nothing to release
 * Peer        may write: every byte of the memory. We load `out` and `interrupt_mask`, nothing
 *             else, and never an index of our own after the position was taken
 * Context     one caller at a time; never sleeps itself; usable in interrupts; no loop anywhere
 * Invariants  [S1] the three indices of a position are valid [V2]
 *             [S2] going up from cached_out one meets committed_in, then next_in, then a gap of
 *                  8 or more
 * Facts       spec/vmbus.md, c.1, c.2, c.4, c.5, c.6 */
#ifndef VMBUS_RING_VMBUS_SENDER_H
#define VMBUS_RING_VMBUS_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "vmbus_ring/vmbus_gpa.h"
#include "vmbus_ring/vmbus_memory.h"
#include "vmbus_ring/vmbus_payload.h"
#include "vmbus_ring/vmbus_result.h"
#include "vmbus_ring/vmbus_wire.h"

enum vmbus_end_state { VMBUS_END_READY = 0, VMBUS_END_ASLEEP, VMBUS_END_CORRUPT };

/* The signals that an end asked its caller to send. */
struct vmbus_signal_count {
        uint64_t sent;
        uint64_t *word; /* the same for others to see, in the control page; NULL: is not shown */
};

struct vmbus_sender {
        struct vmbus_memory memory;
        enum vmbus_end_state state;
        uint32_t packet_bytes_max;
        struct vmbus_fault fault;
        struct vmbus_signal_count signals;
        uint64_t polls; /* looks for room by prepare_to_sleep, asleep afterwards or not */
};

struct vmbus_send_position {
        uint32_t next_in;
        uint32_t committed_in;
        uint32_t cached_out;
};

enum vmbus_outgoing_kind {
        VMBUS_SEND_IN_BAND = 1,     /* no completion */
        VMBUS_SEND_IN_BAND_REQUEST, /* the peer owes a completion with the same transaction id */
        VMBUS_SEND_COMPLETION,      /* answers such a request */
        VMBUS_SEND_GPA_DIRECT,      /* a request that names pages of memory; guests send it */
        VMBUS_SEND_TRANSFER_PAGES,  /* a request that names ranges of a shared buffer */
};

/* One packet to write. What its kind does not mention is ignored; the pointers are read by
 * vmbus_sender_write() and not kept. */
struct vmbus_outgoing {
        enum vmbus_outgoing_kind kind;
        uint32_t payload_bytes;
        uint64_t transaction_id; /* no pointer, if the host is not trusted (b.3): vmbus_requests */
        const struct vmbus_gpa_list *gpa;            /* GPA direct: 1 .. ranges */
        const struct vmbus_transfer_range *transfer; /* transfer pages: */
        uint32_t transfer_count;                     /* so many of them, 0 .. */
        uint16_t transfer_page_set_id;
};

/* ---- start ---- */

/* Becomes the sending end of `memory`: declares support of pending_send_size and clears it. Once
 * for each opening of the channel, before the peer's first look at this ring.
 *   memory  from vmbus_memory_init_*(); copied */
void vmbus_sender_init(struct vmbus_sender *sender, const struct vmbus_memory *memory);

/* Takes the position from the control page; the only time that our own index is read.
 *   returns  VMBUS_OK; a broken rule when an index is not valid, *position unchanged */
enum vmbus_result MUST_CHECK vmbus_sender_position(struct vmbus_sender *sender,
                                                   struct vmbus_send_position *position);

/* The largest packet of this ring, footer included: what write, can_write and prepare_to_sleep
 * accept, and what an empty ring takes. A multiple of 8. */
static inline uint32_t vmbus_sender_packet_bytes_max(const struct vmbus_sender *sender)
{
        return sender->packet_bytes_max;
}

/* What `packet` takes in the ring, footer included; may be more than packet_bytes_max. */
static inline uint64_t vmbus_outgoing_bytes(const struct vmbus_outgoing *packet)
{
        if (packet->kind == VMBUS_SEND_GPA_DIRECT)
                return VMBUS_IN_BAND_BYTES(packet->payload_bytes) + VMBUS_EXTERNAL_HEADER_BYTES +
                       (uint64_t)packet->gpa->word_count * VMBUS_WORD_BYTES;
        if (packet->kind == VMBUS_SEND_TRANSFER_PAGES)
                return VMBUS_TRANSFER_PAGES_BYTES(packet->transfer_count, packet->payload_bytes);
        return VMBUS_IN_BAND_BYTES(packet->payload_bytes);
}

/* From now on counts the signals of this end at the end of the control page (a.1), which is the
 * guest's to write: only the guest's ends call this, after init. The count starts at 0. */
static inline void vmbus_sender_count_signals(struct vmbus_sender *sender)
{
        sender->signals.word = &sender->memory.control->guest_to_host_interrupt_count;
}

/* ---- private: the slow ways out ---- */

/* Not READY: a caller who should have woken up first, or a broken ring. */
enum vmbus_result vmbus_sender_not_ready_(const struct vmbus_sender *sender);
/* Loads and checks `out`; VMBUS_OK and *out, or a broken rule. */
enum vmbus_result vmbus_sender_load_out_(struct vmbus_sender *sender, uint32_t committed_in,
                                         uint32_t cached_out, uint32_t *out);

static inline bool vmbus_send_position_valid(const struct vmbus_memory *memory,
                                             const struct vmbus_send_position *position)
{
        uint32_t committed =
                vmbus_memory_distance(memory, position->cached_out, position->committed_in);
        uint32_t written = vmbus_memory_distance(memory, position->cached_out, position->next_in);
        return position->next_in < memory->data_bytes &&
               is_aligned(position->next_in, VMBUS_WORD_BYTES) &&
               position->committed_in < memory->data_bytes &&
               position->cached_out < memory->data_bytes && committed <= written; /* [S1] [S2] */
}

/* What of a packet without external data goes into its words; a value, so that it can stay in
 * registers where the caller is inline. */
struct vmbus_in_band {
        enum vmbus_outgoing_kind kind;
        uint32_t payload_bytes;
        uint64_t transaction_id;
};

/* Stores every word of a packet without external data but its payload. */
static ALWAYS_INLINE void vmbus_sender_put_(const struct vmbus_sender *sender, uint32_t start,
                                            struct vmbus_in_band packet, bool in_row)
{
        const struct vmbus_memory *memory = &sender->memory;
        uint32_t footer = (uint32_t)VMBUS_IN_BAND_BYTES(packet.payload_bytes) - VMBUS_FOOTER_BYTES;
        uint32_t last = footer - VMBUS_WORD_BYTES; /* both from the start of the packet */
        uint32_t type = packet.kind == VMBUS_SEND_COMPLETION ? VMBUS_PACKET_COMPLETION
                                                              : VMBUS_PACKET_IN_BAND;
        uint32_t flags = packet.kind == VMBUS_SEND_IN_BAND_REQUEST
                               ? 1u << VMBUS_FLAG_COMPLETION_REQUESTED_BIT
                               : 0;
        uint8_t *run = in_row ? vmbus_memory_at_(memory, start) : NULL;
        shared_store_u64(
                vmbus_memory_word_(memory, in_row, run, start, 0),
                VMBUS_WORD0(type, VMBUS_DATA_OFFSET8_MIN, footer / VMBUS_WORD_BYTES, flags));
        shared_store_u64(vmbus_memory_word_(memory, in_row, run, start, VMBUS_WORD_BYTES),
                         packet.transaction_id);
        /* Padding shares a word with the payload's last bytes: zero it, the payload comes later. */
        if (!is_aligned(packet.payload_bytes, VMBUS_WORD_BYTES))
                shared_store_u64(vmbus_memory_word_(memory, in_row, run, start, last), 0);
        shared_store_u64(vmbus_memory_word_(memory, in_row, run, start, footer),
                         (uint64_t)start << VMBUS_FOOTER_INDEX_BIT);
}

/* The same for a packet that does not lie in a row; out of line, for in most rings it is seldom. */
void vmbus_sender_put_pieces_(const struct vmbus_sender *sender, uint32_t start,
                              struct vmbus_in_band packet);
/* vmbus_sender_write() for a packet with external data. */
enum vmbus_result MUST_CHECK vmbus_sender_write_external_(struct vmbus_sender *sender,
                                                          struct vmbus_send_position *position,
                                                          const struct vmbus_outgoing *packet,
                                                          struct vmbus_range *payload);
/* Counts one signal and returns true. */
bool vmbus_signal_counted_(struct vmbus_signal_count *count);

/* ---- packets ---- */

/* Whether a packet of `total_bytes` can be written now; loads the peer's index only when it must.
 *   total_bytes  from vmbus_outgoing_bytes(): footer included, 1 ..
 *   returns      VMBUS_OK: the next write of that size succeeds; VMBUS_FULL; VMBUS_TOO_LARGE; a
 *                broken rule
 *   order        acquire of `out`; pairs with the release in vmbus_receiver_commit() (c.5, 2) */
static ALWAYS_INLINE enum vmbus_result MUST_CHECK
vmbus_sender_can_write(struct vmbus_sender *sender, struct vmbus_send_position *position,
                       uint64_t total_bytes)
{
        enum vmbus_result result;
        uint32_t out;
        if (UNLIKELY(sender->state != VMBUS_END_READY))
                return vmbus_result_not_ok_(vmbus_sender_not_ready_(sender));
        DEBUG_ASSERT(vmbus_send_position_valid(&sender->memory, position));
        if (UNLIKELY(total_bytes > sender->packet_bytes_max))
                return VMBUS_TOO_LARGE;
        if (LIKELY(vmbus_memory_free(&sender->memory, position->next_in, position->cached_out) >=
                   total_bytes))
                return VMBUS_OK;
        result = vmbus_sender_load_out_(sender, position->committed_in, position->cached_out, &out);
        if (UNLIKELY(result != VMBUS_OK))
                return result;
        position->cached_out = out;
        if (vmbus_memory_free(&sender->memory, position->next_in, out) >= total_bytes)
                return VMBUS_OK;
        return VMBUS_FULL;
}

/* Whether a packet of `total_bytes` fits right at next_in, in a row, with the index behind it still
 * in the data: true for most packets, and told by one comparison, for behind next_in lies either
 * `out` or the end of the data. All are multiples of 8, so that short of `out` means that the gap
 * stays free. Of the others vmbus_sender_can_write() judges. */
static ALWAYS_INLINE bool vmbus_sender_room_ahead_(const struct vmbus_sender *sender,
                                                   const struct vmbus_send_position *position,
                                                   uint64_t total_bytes)
{
        const struct vmbus_memory *memory = &sender->memory;
        uint32_t start = position->next_in, out = position->cached_out;
        uint32_t end = start < out ? out : memory->data_bytes;
        return LIKELY(sender->state == VMBUS_END_READY) && LIKELY(total_bytes < end - start) &&
               LIKELY(total_bytes <= VMBUS_PACKET_BYTES_MAX) &&
               (LIKELY(memory->pages == NULL) ||
                LIKELY(start % PAGE_BYTES + total_bytes <= PAGE_BYTES));
}

/* Writes descriptor, external header, padding and footer of one packet and moves next_in; the peer
 * sees nothing yet.
 *   packet   read, not kept
 *   payload  out: where its bytes belong; the caller writes them all before commit
 *            (vmbus_sender_writer)
 *   returns  VMBUS_OK; VMBUS_FULL (vmbus_outgoing_bytes() says what is needed) and VMBUS_TOO_LARGE
 *            with nothing changed; a broken rule
 *   order    as vmbus_sender_can_write()
 *   cost     three or four words stored; with external data a copy of its ranges */
static ALWAYS_INLINE enum vmbus_result MUST_CHECK
vmbus_sender_write(struct vmbus_sender *sender, struct vmbus_send_position *position,
                   const struct vmbus_outgoing *packet, struct vmbus_range *payload)
{
        if (UNLIKELY(packet->kind >= VMBUS_SEND_GPA_DIRECT))
                return vmbus_sender_write_external_(sender, position, packet, payload);
        uint64_t total = VMBUS_IN_BAND_BYTES(packet->payload_bytes);
        const struct vmbus_memory *memory = &sender->memory;
        struct vmbus_in_band words = {packet->kind, packet->payload_bytes, packet->transaction_id};
        uint32_t start = position->next_in, bytes = (uint32_t)total;
        if (LIKELY(vmbus_sender_room_ahead_(sender, position, total))) {
                DEBUG_ASSERT(vmbus_send_position_valid(memory, position));
                vmbus_sender_put_(sender, start, words, true);
                *payload = (struct vmbus_range){start + VMBUS_DESCRIPTOR_BYTES,
                                                packet->payload_bytes};
                position->next_in = start + bytes;
                return VMBUS_OK;
        }
        enum vmbus_result result = vmbus_sender_can_write(sender, position, total);
        if (UNLIKELY(result != VMBUS_OK))
                return result;
        /* From here on nothing fails; total fits the ring and the 16-bit fields. */
        *payload = (struct vmbus_range){vmbus_memory_advance(memory, start, VMBUS_DESCRIPTOR_BYTES),
                                        packet->payload_bytes};
        position->next_in = vmbus_memory_advance(memory, start, bytes);
        vmbus_sender_put_pieces_(sender, start, words);
        return VMBUS_OK;
}

/* A writer over the payload of a packet of this end. */
static inline struct vmbus_writer vmbus_sender_writer(const struct vmbus_sender *sender,
                                                      const struct vmbus_range *payload)
{
        return (struct vmbus_writer){.memory = &sender->memory,
                                     .left = {.offset = payload->offset, .bytes = payload->bytes}};
}

/* Drops every packet written since the last commit. */
static inline void vmbus_sender_revert(struct vmbus_send_position *position)
{
        position->next_in = position->committed_in;
}

/* Publishes every packet written since the last commit.
 *   returns  true: send the peer one signal now. The rule (c.2), as what the peer may rely on:
 *            whenever it has told us that it emptied the ring, and has not masked signals, the next
 *            packet signals. So: a signal if and only if something was written, the mask is clear,
 *            and `out` stands where `in` stood before. False on a broken end, where nothing is
 *            published
 *   order    release: packet bytes before `in`; pairs with the acquire of `in` in vmbus_receiver
 *            (c.5, 1). Full fence between the store of `in` and the loads of mask and `out`
 *            (c.5, 3); pairs with the fence in vmbus_receiver_prepare_to_sleep() (c.5, 4). Acquire
 *            of the mask: it is loaded before `out`, so that a consumer that read the packet and
 *            went to sleep behind it is not signalled for it; pairs with the release of the mask in
 *            vmbus_receiver_prepare_to_sleep() (c.5, 7)
 *   cost     one locked instruction. It cannot be spared or put off, as the receiver's can: after
 *            a commit the sender may have nothing to say for an hour, and nobody would look at the
 *            mask again */
static ALWAYS_INLINE bool MUST_CHECK vmbus_sender_commit(struct vmbus_sender *sender,
                                                         struct vmbus_send_position *position)
{
        struct vmbus_control_page *control = sender->memory.control;
        uint32_t previous_in = position->committed_in;
        if (UNLIKELY(sender->state != VMBUS_END_READY)) {
                (void)vmbus_sender_not_ready_(sender);
                return false;
        }
        DEBUG_ASSERT(vmbus_send_position_valid(&sender->memory, position));
        if (UNLIKELY(position->next_in == previous_in))
                return false;
        shared_store_release_u32(&control->in, position->next_in); /* c.5, 1 */
        position->committed_in = position->next_in;
        shared_fence_full(); /* c.5, 3 */
        uint32_t mask = shared_load_acquire_u32(&control->interrupt_mask); /* c.5, 7 */
        if (mask != VMBUS_INTERRUPTS_UNMASKED)
                return false;
        /* Only compared, so it need not be valid. */
        if (shared_load_u32(&control->out) != previous_in)
                return false;
        return vmbus_signal_counted_(&sender->signals);
}

/* ---- waiting for room ---- */

/* Asks the peer for a signal when there is room, and looks once more; what is uncommitted stays so.
 *   needed_bytes  size of the packet that did not fit, footer included, 1 .. packet_bytes_max
 *   wake_bytes    free bytes at which to be woken, beyond what is uncommitted; less than
 *                 needed_bytes (0) means needed_bytes. More of them (vmbus_sender_wake_bytes)
 *                 spares signals. What is asked for never exceeds what an empty ring has free
 *   returns       VMBUS_FULL: asleep; wait for a signal, then call vmbus_sender_woken(), or give up
 *                 by vmbus_sender_cancel_sleep(). VMBUS_OK: there is room, not asleep.
 *                 VMBUS_TOO_LARGE: never. VMBUS_COMMIT_FIRST: with what is uncommitted it would not
 *                 fit even an empty ring, so the signal would never come; not asleep, nothing
 *                 changed. A broken rule
 *   order         full fence between the store of pending_send_size and the load of `out` (c.5, 6);
 *                 pairs with the fence of vmbus_receiver_commit() (c.5, 5), which may be put off */
enum vmbus_result MUST_CHECK vmbus_sender_prepare_to_sleep(struct vmbus_sender *sender,
                                                           struct vmbus_send_position *position,
                                                           uint64_t needed_bytes,
                                                           uint64_t wake_bytes);

/* A wake_bytes that keeps the two ends from waking each other for every packet: a quarter of the
 * ring, or packet_bytes_max where that is less. A policy, not a rule of the protocol (c.4). */
static inline uint32_t vmbus_sender_wake_bytes(const struct vmbus_sender *sender)
{
        return (uint32_t)min_u64(sender->memory.data_bytes / 4, sender->packet_bytes_max);
}

/* After a signal: no longer waits. Signals are hints (c.4): the packet may still not fit; try, and
 * sleep again. Only while asleep. Returns VMBUS_OK or the broken rule of a broken end. */
enum vmbus_result MUST_CHECK vmbus_sender_woken(struct vmbus_sender *sender);
/* The same without a signal: deadline, close. */
void vmbus_sender_cancel_sleep(struct vmbus_sender *sender);

#endif
