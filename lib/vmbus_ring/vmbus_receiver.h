/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_receiver — the end that reads packets.
 *
 *   | free ...... | read, not committed | to read, known so far | published later ... |
 *                 ^committed_out        ^next_out               ^cached_in
 *
 * The position (three indices) is the caller's: several packets are read under one commit, a copy
 * of it looks ahead and is thrown away, revert goes back to what was not committed. One line of
 * positions at a time: once a copy has been committed, it replaces the one it was copied from.
 *
 *              prepare_to_sleep = EMPTY                any function finds a broken rule
 *      READY ------------------------------> ASLEEP    READY, ASLEEP -------------> CORRUPT
 *            <------------------------------
 *              woken, cancel_sleep
 *
 *   READY    signals are masked; everything may be called but woken, cancel_sleep and check_sleep
 *   ASLEEP   signals are unmasked; only those three may be called, all else fails an ASSERT
 *   CORRUPT  `fault` says which rule; everything returns it, nothing touches the ring. Start over
 *            with vmbus_receiver_init() after the channel was closed and opened again
 *
 * Owner       the caller, of the struct and of the memory; nothing to release
 * Peer        may write: every byte of the memory. We load `in`, `pending_send_size` and the words
 *             of each packet's headers once each, and never an index of our own after the position
 *             was taken. Of interrupt_mask, which is ours, only woken and check_sleep look whether
 *             somebody set it
 * Context     one caller at a time; never sleeps itself; usable in interrupts; no loop anywhere
 * Invariants  [R1] the three indices of a position are valid [V2]
 *             [R2] going up from committed_out one meets next_out, then cached_in, then a gap of
 *                  8 or more
 * Facts       spec/vmbus.md, c.1, c.3, c.4, c.5, c.6 */
#ifndef VMBUS_RING_VMBUS_RECEIVER_H
#define VMBUS_RING_VMBUS_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "vmbus_ring/vmbus_memory.h"
#include "vmbus_ring/vmbus_payload.h"
#include "vmbus_ring/vmbus_result.h"
#include "vmbus_ring/vmbus_sender.h"
#include "vmbus_ring/vmbus_wire.h"

struct vmbus_receiver {
        struct vmbus_memory memory;
        enum vmbus_end_state state;
        struct vmbus_fault fault;
        struct vmbus_signal_count signals;
        uint64_t polls; /* looks for a packet by prepare_to_sleep, asleep afterwards or not */
};

struct vmbus_receive_position {
        uint32_t next_out;
        uint32_t committed_out;
        uint32_t cached_in;
        /* Given back since pending_send_size was last looked at behind a full fence; see commit. */
        uint32_t unsettled_words;
};

/* One packet, its headers checked. Plain numbers; the ranges live as vmbus_payload.h says. */
struct vmbus_incoming {
        uint64_t transaction_id; /* 0 unless has_transaction_id */
        enum vmbus_packet_type type;
        bool has_transaction_id;       /* completions, and whatever requests one */
        bool completion_requested;     /* we owe a completion with this id, exactly one */
        uint16_t transfer_page_set_id; /* transfer pages, else 0 */
        uint32_t range_count;          /* transfer pages (any number), GPA direct (1 ..), else 0 */
        struct vmbus_range ranges;     /* those ranges in wire form, else empty. All of them fit;
                                        * their content is not checked: vmbus_external.h does */
        struct vmbus_range payload;    /* padding included, a multiple of 8 */
};

/* ---- start ---- */

/* Becomes the receiving end of `memory`, with signals masked. Once for each opening of the channel,
 * before the peer's first look at this ring.
 *   memory  from vmbus_memory_init_*(); copied */
void vmbus_receiver_init(struct vmbus_receiver *receiver, const struct vmbus_memory *memory);

/* Takes the position from the control page; the only time that our own index is read.
 *   returns  VMBUS_OK; a broken rule when an index is not valid, *position unchanged */
enum vmbus_result MUST_CHECK vmbus_receiver_position(struct vmbus_receiver *receiver,
                                                     struct vmbus_receive_position *position);

/* Whether the peer says that it sets pending_send_size when it waits. It may say so late; not
 * checked. */
bool vmbus_receiver_peer_sets_pending_size(const struct vmbus_receiver *receiver);

/* As vmbus_sender_count_signals(), for the signals that tell the producer of room. */
static inline void vmbus_receiver_count_signals(struct vmbus_receiver *receiver)
{
        receiver->signals.word = &receiver->memory.control->guest_to_host_interrupt_count;
}

/* ---- private: the slow ways out ---- */

/* Not READY: a caller who should have woken up first, or a broken ring. */
enum vmbus_result vmbus_receiver_not_ready_(const struct vmbus_receiver *receiver);
/* Latches and returns the reason. */
enum vmbus_result vmbus_receiver_broken_(struct vmbus_receiver *receiver, enum vmbus_result reason,
                                         uint32_t index, uint64_t value, uint64_t limit);
/* What is known of a packet that is not a common one, or broken. Single numbers, not the packet,
 * which can then stay in registers where the caller is inline. */
struct vmbus_rare {
        uint32_t start;
        uint32_t available; /* bytes in the ring from there on */
        uint64_t word0;
        uint64_t transaction_id;       /* out: the second word */
        uint32_t range_count;          /* out: types 7 and 9, else 0; so is the next */
        uint32_t transfer_page_set_id; /* fits 16 bits */
};
/* Holds the first word of a packet against every rule, and looks at what it announces; VMBUS_OK or
 * the first rule that is broken. */
enum vmbus_result vmbus_receiver_read_rare_(struct vmbus_receiver *receiver,
                                            struct vmbus_rare *rare);

static inline bool vmbus_receive_position_valid(const struct vmbus_memory *memory,
                                                const struct vmbus_receive_position *position)
{
        uint32_t read = vmbus_memory_distance(memory, position->committed_out, position->next_out);
        uint32_t known =
                vmbus_memory_distance(memory, position->committed_out, position->cached_in);
        return position->next_out < memory->data_bytes &&
               is_aligned(position->next_out, VMBUS_WORD_BYTES) &&
               position->committed_out < memory->data_bytes &&
               position->cached_in < memory->data_bytes && read <= known; /* [R1] [R2] */
}

/* Checks a value just loaded from `in` against its range, its alignment and the last one: VMBUS_OK
 * or the first rule that is broken. */
enum vmbus_result vmbus_receiver_check_in_(struct vmbus_receiver *receiver, uint32_t in,
                                           uint32_t committed_out, uint32_t cached_in);

/* Whether such a value breaks no rule, told without a call: when nothing was left to read and all
 * was given back, `in` may be anywhere. Of the others vmbus_receiver_check_in_() judges. */
static ALWAYS_INLINE bool
vmbus_receiver_in_plain_(const struct vmbus_receiver *receiver, uint32_t in,
                         const struct vmbus_receive_position *position)
{
        return in < receiver->memory.data_bytes && is_aligned(in, VMBUS_WORD_BYTES) &&
               position->cached_in == position->committed_out;
}

/* The one look at the peer's index. */
static ALWAYS_INLINE uint32_t vmbus_receiver_load_in_(const struct vmbus_receiver *receiver)
{
        return shared_load_acquire_u32(&receiver->memory.control->in); /* c.5, 1 */
}

/* ---- packets ---- */

/* Whether there is something to read; looks at the peer's index only when it must.
 *   returns  VMBUS_OK; VMBUS_EMPTY; a broken rule
 *   order    acquire of `in`; pairs with the store of `in` in vmbus_sender_commit() (c.5, 1) */
static ALWAYS_INLINE enum vmbus_result MUST_CHECK
vmbus_receiver_can_read(struct vmbus_receiver *receiver, struct vmbus_receive_position *position)
{
        if (UNLIKELY(receiver->state != VMBUS_END_READY))
                return vmbus_result_not_ok_(vmbus_receiver_not_ready_(receiver));
        DEBUG_ASSERT(vmbus_receive_position_valid(&receiver->memory, position));
        if (position->next_out != position->cached_in)
                return VMBUS_OK;

        uint32_t in = vmbus_receiver_load_in_(receiver);
        if (UNLIKELY(!vmbus_receiver_in_plain_(receiver, in, position))) {
                enum vmbus_result result = vmbus_receiver_check_in_(
                        receiver, in, position->committed_out, position->cached_in);
                if (result != VMBUS_OK)
                        return vmbus_result_not_ok_(result);
        }
        position->cached_in = in;
        return position->next_out == in ? VMBUS_EMPTY : VMBUS_OK;
}

/* The bytes from next_out on in which a packet can lie so that the index behind it is `in` at most,
 * or is still in the data: then none in it needs vmbus_memory_advance(). There is something to
 * read. */
static ALWAYS_INLINE uint32_t vmbus_receiver_ahead_(const struct vmbus_receiver *receiver,
                                                    const struct vmbus_receive_position *position)
{
        uint32_t out = position->next_out, in = position->cached_in;
        return (out < in ? in : receiver->memory.data_bytes - VMBUS_WORD_BYTES) - out;
}

/* The lower half of the first word of a packet of that type with
 * nothing in front of its payload. */
#define VMBUS_WORD0_LOW_(type) ((uint32_t)VMBUS_WORD0(type, VMBUS_DATA_OFFSET8_MIN, 0, 0))

/* The field of the first word, in bytes. */
static ALWAYS_INLINE uint32_t vmbus_word0_data_offset_(uint64_t word0)
{
        return (uint32_t)word0 >> (VMBUS_WORD0_DATA_OFFSET8_BIT - VMBUS_WORD_BYTES_LOG2) &
               UINT16_MAX * VMBUS_WORD_BYTES;
}
static ALWAYS_INLINE uint32_t vmbus_word0_length_(uint64_t word0)
{
        return (uint32_t)(word0 >> (VMBUS_WORD0_LENGTH8_BIT - VMBUS_WORD_BYTES_LOG2)) &
               UINT16_MAX * VMBUS_WORD_BYTES;
}

/* Whether the first word is that of a packet without external data, with its payload right behind
 * the descriptor, that breaks no rule and ends within `ahead` bytes: what is common, told without a
 * call. Type and offset are compared in one step. Of the others vmbus_receiver_read_rare_() judges.
 * The footer counts: a packet whose footer lies beyond `in` is broken. */
static ALWAYS_INLINE bool vmbus_receiver_word0_plain_(uint64_t word0, uint32_t ahead)
{
        uint32_t low = (uint32_t)word0, length = vmbus_word0_length_(word0);
        if (UNLIKELY(low != VMBUS_WORD0_LOW_(VMBUS_PACKET_IN_BAND)) &&
            low != VMBUS_WORD0_LOW_(VMBUS_PACKET_COMPLETION))
                return false;
        if (UNLIKELY(word0 >> VMBUS_WORD0_FLAGS_BIT > 1u << VMBUS_FLAG_COMPLETION_REQUESTED_BIT))
                return false;
        if (UNLIKELY(length < VMBUS_DESCRIPTOR_BYTES))
                return false;
        return LIKELY(length + VMBUS_FOOTER_BYTES <= ahead);
}

/* Fills in what a good descriptor says. */
static ALWAYS_INLINE void vmbus_receiver_get_(uint32_t start, uint64_t word0, uint64_t id,
                                              struct vmbus_incoming *packet)
{
        packet->type = (enum vmbus_packet_type)(uint16_t)(word0 >> VMBUS_WORD0_TYPE_BIT);
        packet->completion_requested = packet->type != VMBUS_PACKET_COMPLETION &&
                                       (word0 >> VMBUS_WORD0_FLAGS_BIT) != 0;
        packet->has_transaction_id = packet->type == VMBUS_PACKET_COMPLETION ||
                                     packet->completion_requested;
        packet->transaction_id = packet->has_transaction_id ? id : 0;
        packet->transfer_page_set_id = 0;
        packet->range_count = 0;
        packet->ranges = (struct vmbus_range){start, 0};
        packet->payload.bytes = vmbus_word0_length_(word0) - vmbus_word0_data_offset_(word0);
}

/* The same for a plain one, and moves behind it. */
static ALWAYS_INLINE void vmbus_receiver_get_plain_(struct vmbus_receive_position *position,
                                                    uint64_t word0, uint64_t id,
                                                    struct vmbus_incoming *packet)
{
        uint32_t start = position->next_out, length = vmbus_word0_length_(word0);
        vmbus_receiver_get_(start, word0, id, packet);
        packet->payload.offset = start + VMBUS_DESCRIPTOR_BYTES;
        packet->payload.bytes = length - VMBUS_DESCRIPTOR_BYTES; /* data_offset8 is that */
        position->next_out = start + length + VMBUS_FOOTER_BYTES;
}

/* vmbus_receiver_read() of a packet that is not plain, behind the one look at its first word. */
static ALWAYS_INLINE enum vmbus_result
vmbus_receiver_read_rest_(struct vmbus_receiver *receiver, struct vmbus_receive_position *position,
                          uint64_t word0, struct vmbus_incoming *packet)
{
        const struct vmbus_memory *memory = &receiver->memory;
        uint32_t start = position->next_out;
        struct vmbus_rare rare = {
                .start = start,
                .available = vmbus_memory_distance(memory, start, position->cached_in),
                .word0 = word0};
        enum vmbus_result result = vmbus_receiver_read_rare_(receiver, &rare);
        if (UNLIKELY(result != VMBUS_OK))
                return vmbus_result_not_ok_(result);
        uint32_t data_offset = vmbus_word0_data_offset_(word0);
        vmbus_receiver_get_(start, word0, rare.transaction_id, packet);
        if (packet->type == VMBUS_PACKET_TRANSFER_PAGES ||
            packet->type == VMBUS_PACKET_GPA_DIRECT) {
                uint32_t ranges_offset = VMBUS_DESCRIPTOR_BYTES + VMBUS_EXTERNAL_HEADER_BYTES;
                packet->range_count = rare.range_count;
                packet->transfer_page_set_id = (uint16_t)rare.transfer_page_set_id;
                packet->ranges.offset = vmbus_memory_advance(memory, start, ranges_offset);
                packet->ranges.bytes = data_offset - ranges_offset;
        }
        packet->payload.offset = vmbus_memory_advance(memory, start, data_offset);
        position->next_out = vmbus_memory_advance(memory, start,
                                                  vmbus_word0_length_(word0) + VMBUS_FOOTER_BYTES);
        return VMBUS_OK;
}

/* Reads the headers of the next packet and moves next_out behind it; the peer sees nothing yet.
 *   packet   out; means nothing unless the result is VMBUS_OK
 *   returns  VMBUS_OK; VMBUS_EMPTY; a broken rule, *position as it was
 *   order    as vmbus_receiver_can_read()
 *   cost     two words loaded, three for types 7 and 9; no copy. Inline for loops over packets
 *            without external data, whose position and packet can then stay in registers */
static ALWAYS_INLINE enum vmbus_result MUST_CHECK
vmbus_receiver_read(struct vmbus_receiver *receiver, struct vmbus_receive_position *position,
                    struct vmbus_incoming *packet)
{
        enum vmbus_result result = vmbus_receiver_can_read(receiver, position);
        if (UNLIKELY(result != VMBUS_OK))
                return result;
        /* The one look at the first word; below this only the local is used. What is there to read
         * is a multiple of 8 and not 0, so the word is there. */
        uint32_t start = position->next_out;
        bool in_row;
        uint8_t *run =
                vmbus_memory_run_(&receiver->memory, start, VMBUS_DESCRIPTOR_BYTES, &in_row);
        uint64_t word0 = shared_load_u64(run);
        if (UNLIKELY(!in_row) ||
            UNLIKELY(!vmbus_receiver_word0_plain_(word0,
                                                  vmbus_receiver_ahead_(receiver, position))))
                return vmbus_receiver_read_rest_(receiver, position, word0, packet);
        uint64_t id = shared_load_u64(run + VMBUS_WORD_BYTES);
        vmbus_receiver_get_plain_(position, word0, id, packet);
        return VMBUS_OK;
}

/* The same, not inline: less code, and faster for types 7 and 9. For callers whose packets are of
 * every kind and lie in memory anyway. */
enum vmbus_result MUST_CHECK vmbus_receiver_take(struct vmbus_receiver *receiver,
                                                 struct vmbus_receive_position *position,
                                                 struct vmbus_incoming *packet);

/* A reader over a range of a packet of this end (`payload` or `ranges`); as many as are wanted. */
static inline struct vmbus_reader vmbus_receiver_reader(const struct vmbus_receiver *receiver,
                                                        const struct vmbus_range *range)
{
        return (struct vmbus_reader){.memory = &receiver->memory,
                                     .left = {.offset = range->offset, .bytes = range->bytes}};
}

/* Copies a whole range to private memory, where the peer cannot change it any more.
 *   target        at least target_bytes long
 *   target_bytes  what there is room for
 *   returns       VMBUS_OK: range->bytes bytes were copied; VMBUS_RANGE_END when they do not fit,
 *                 nothing copied */
static inline enum vmbus_result MUST_CHECK
vmbus_receiver_copy(const struct vmbus_receiver *receiver, const struct vmbus_range *range,
                    void *target, uint32_t target_bytes)
{
        uint32_t bytes = range->bytes;
        if (UNLIKELY(bytes > target_bytes))
                return VMBUS_RANGE_END;
        vmbus_memory_copy_in(&receiver->memory, range->offset, target, bytes);
        return VMBUS_OK;
}

/* Goes back to the first packet that was read since the last commit. */
static inline void vmbus_receiver_revert(struct vmbus_receive_position *position)
{
        position->next_out = position->committed_out;
}

/* Looks at pending_send_size behind a full fence and tells whether what was given back since the
 * last such look ends a wait of the producer (c.3, 2 to 4); unsettled_words is 0 after that. The
 * position comes as a value, so that in the callers, which are inline, it can stay in registers. */
bool vmbus_receiver_settle_(struct vmbus_receiver *receiver,
                            struct vmbus_receive_position position);

/* Gives the bytes of every packet read since the last commit back to the producer; their ranges end
 * here.
 *   returns  true: send the peer one signal now. The rule (c.3), as what the peer may rely on:
 *            whenever it waits for `pending_send_size` free bytes, giving back the bytes that take
 *            the free ones from below that number up to it or beyond signals, and nothing else
 *            does. False on a broken end, where nothing is given back; also when the look at `in`
 *            breaks a rule, which the next call then returns
 *   order    release: packet reads before `out`; pairs with the acquire of `out` in vmbus_sender
 *            (c.5, 2). Between the store of `out` and the load of pending_send_size a full fence is
 *            needed (c.5, 5); pairs with the fence in vmbus_sender_prepare_to_sleep() (c.5, 6). It
 *            is put off while that is safe: a commit without it still sees a producer that waits,
 *            except one that fell asleep in this very moment, and that one is found by whatever
 *            comes next: the next commit, this time or one later; a commit after half a ring, or
 *            one with nothing to give back (both with the fence); or prepare_to_sleep, which has
 *            a fence anyway. So one who stops reading sleeps by vmbus_receiver_prepare_to_sleep(),
 *            and one who polls instead, or turns to other work with packets left unread, commits
 *            once more than it has read
 *   cost     a plain store and a plain load; a full fence as just said */
static ALWAYS_INLINE bool MUST_CHECK vmbus_receiver_commit(struct vmbus_receiver *receiver,
                                                           struct vmbus_receive_position *position)
{
        struct vmbus_control_page *control = receiver->memory.control;
        uint32_t given = vmbus_memory_distance(&receiver->memory, position->committed_out,
                                               position->next_out);
        if (UNLIKELY(receiver->state != VMBUS_END_READY)) {
                (void)vmbus_receiver_not_ready_(receiver);
                return false;
        }
        DEBUG_ASSERT(vmbus_receive_position_valid(&receiver->memory, position));
        position->unsettled_words += given / VMBUS_WORD_BYTES;
        if (UNLIKELY(given == 0)) {
                if (position->unsettled_words == 0)
                        return false;
        } else {
                shared_store_release_u32(&control->out, position->next_out); /* c.5, 2 */
                position->committed_out = position->next_out;
                if (LIKELY(shared_load_u32(&control->pending_send_size) == 0 &&
                           position->unsettled_words <
                                   receiver->memory.data_bytes / VMBUS_WORD_BYTES / 2))
                        return false;
        }
        bool signal = vmbus_receiver_settle_(receiver, *position);
        position->unsettled_words = 0;
        return signal;
}

/* ---- waiting for packets ---- */

/* Unmasks signals and looks once more, at `in` and, if something was given back since the last
 * look, at pending_send_size.
 *   signal_sender  out: true: send the peer one signal now, whatever the result; as the result of
 *                  vmbus_receiver_commit()
 *   returns  VMBUS_EMPTY: asleep; wait for a signal, then call vmbus_receiver_woken(), or give up
 *            by vmbus_receiver_cancel_sleep(). VMBUS_OK: there is a packet, not asleep.
 *            VMBUS_COMMIT_FIRST: the producer does not signal while it believes that we have
 *            packets left; not asleep, nothing changed. A broken rule
 *   order    full fence between the stores of interrupt_mask and, earlier, `out` and the loads of
 *            `in` and pending_send_size (c.5, 4 and 5); pairs with the fence in
 *            vmbus_sender_commit() (c.5, 3) and the one in vmbus_sender_prepare_to_sleep()
 *            (c.5, 6). Release of the mask: `out` before it; pairs with the acquire of the mask in
 *            vmbus_sender_commit() (c.5, 7) */
enum vmbus_result MUST_CHECK
vmbus_receiver_prepare_to_sleep(struct vmbus_receiver *receiver,
                                struct vmbus_receive_position *position, bool *signal_sender);

/* While asleep, as often as wanted, for a watchdog: a peer that sets our mask would let us sleep
 * for ever.
 *   returns  VMBUS_OK; VMBUS_BAD_INTERRUPT_MASK or the broken rule of a broken end */
enum vmbus_result MUST_CHECK vmbus_receiver_check_sleep(struct vmbus_receiver *receiver);

/* After a signal: masks signals, awake. Signals are hints (c.4): there may be nothing to read. A
 * batch of reads under one signal has a bound, for the peer can fill as fast as we read (c.7).
 *   returns  as vmbus_receiver_check_sleep() */
enum vmbus_result MUST_CHECK vmbus_receiver_woken(struct vmbus_receiver *receiver);
/* The same without a signal and without the check: deadline, close. */
void vmbus_receiver_cancel_sleep(struct vmbus_receiver *receiver);

#endif
