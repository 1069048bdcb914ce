/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_sender — what the sending end does seldom: start, look at `out`, sleep, break.
 *
 * Relies on vmbus_memory.h for the arithmetic. Facts: spec/vmbus.md, a.4, c.2, c.4, c.5, c.7. */
#include "vmbus_ring/vmbus_sender.h"

/* Where the ranges of a packet with external data begin: behind the descriptor and a word with
 * their number. */
#define RANGES_OFFSET (VMBUS_DESCRIPTOR_BYTES + VMBUS_EXTERNAL_HEADER_BYTES)

COLD void vmbus_sender_init(struct vmbus_sender *sender, const struct vmbus_memory *memory)
{
        ASSERT(is_aligned(memory->data_bytes, VMBUS_DATA_UNIT_BYTES)); /* [V1] */
        ASSERT(memory->data_bytes != 0);
        *sender = (struct vmbus_sender){.memory = *memory};
        sender->packet_bytes_max =
                (uint32_t)min_u64(memory->data_bytes - VMBUS_GAP_BYTES, VMBUS_PACKET_BYTES_MAX);
        shared_store_u32(&memory->control->pending_send_size, 0);
        shared_store_u32(&memory->control->feature_bits,
                         (uint32_t)BIT_MASK(VMBUS_FEATURE_PENDING_SEND_SIZE_BIT));
}

/* Latches the first broken rule and returns it. */
static enum vmbus_result broken(struct vmbus_sender *sender, struct vmbus_fault fault)
{
        ASSERT(sender->state != VMBUS_END_CORRUPT);
        ASSERT(vmbus_result_is_corrupt(fault.reason));
        sender->state = VMBUS_END_CORRUPT;
        sender->fault = fault;
        return fault.reason;
}

NOINLINE enum vmbus_result vmbus_sender_not_ready_(const struct vmbus_sender *sender)
{
        ASSERT(sender->state != VMBUS_END_ASLEEP); /* woken or cancel_sleep comes first */
        return sender->fault.reason;
}

/* The two rules that the consumer's index obeys by itself; our own stands at `in`. */
static enum vmbus_result check_out(struct vmbus_sender *sender, uint32_t out, uint32_t in)
{
        uint32_t data_bytes = sender->memory.data_bytes;
        if (out >= data_bytes)
                return broken(sender,
                              (struct vmbus_fault){VMBUS_BAD_OUT_RANGE, in, out, data_bytes});
        if (!is_aligned(out, VMBUS_WORD_BYTES))
                return broken(sender, (struct vmbus_fault){VMBUS_BAD_OUT_ALIGNMENT, in, out,
                                                           VMBUS_WORD_BYTES});
        return VMBUS_OK;
}

COLD enum vmbus_result vmbus_sender_position(struct vmbus_sender *sender,
                                             struct vmbus_send_position *position)
{
        uint32_t data_bytes = sender->memory.data_bytes;
        if (sender->state != VMBUS_END_READY)
                return vmbus_sender_not_ready_(sender);

        /* Snapshot; below this only the locals are used. */
        uint32_t in = shared_load_u32(&sender->memory.control->in);
        uint32_t out = shared_load_acquire_u32(&sender->memory.control->out); /* c.5, 2 */

        if (in >= data_bytes)
                return broken(sender, (struct vmbus_fault){VMBUS_BAD_IN_RANGE, 0, in, data_bytes});
        if (!is_aligned(in, VMBUS_WORD_BYTES))
                return broken(sender, (struct vmbus_fault){VMBUS_BAD_IN_ALIGNMENT, 0, in,
                                                           VMBUS_WORD_BYTES});
        enum vmbus_result result = check_out(sender, out, in);
        if (result != VMBUS_OK)
                return result;
        *position =
                (struct vmbus_send_position){.next_in = in, .committed_in = in, .cached_out = out};
        return VMBUS_OK;
}

NOINLINE enum vmbus_result vmbus_sender_load_out_(struct vmbus_sender *sender,
                                                  uint32_t committed_in, uint32_t cached_out,
                                                  uint32_t *out)
{
        const struct vmbus_memory *memory = &sender->memory;
        uint32_t value = shared_load_acquire_u32(&memory->control->out); /* c.5, 2 */
        enum vmbus_result result = check_out(sender, value, committed_in);
        if (result != VMBUS_OK)
                return result;
        /* The consumer moves from cached_out towards committed_in and not beyond: what is in use
         * shrinks. An `out` that turned back, or ran past `in`, shows as use that grew. */
        uint32_t used = vmbus_memory_distance(memory, value, committed_in);
        if (used > vmbus_memory_distance(memory, cached_out, committed_in))
                return broken(sender, (struct vmbus_fault){VMBUS_BAD_OUT_BACKWARDS, committed_in,
                                                           value, cached_out});
        *out = value;
        return VMBUS_OK;
}

COLD NOINLINE void vmbus_sender_put_pieces_(const struct vmbus_sender *sender, uint32_t start,
                                            struct vmbus_in_band packet)
{
        vmbus_sender_put_(sender, start, packet, false);
}

/* A packet with external data: its ranges, and where its parts are, from its start on. */
struct external {
        const void *ranges;
        uint64_t ranges_bytes;
        uint64_t data_offset;
        uint64_t footer;
        uint64_t total;
};

static ALWAYS_INLINE struct external external_sizes(const struct vmbus_outgoing *packet,
                                                    bool direct)
{
        struct external external;
        external.ranges = direct ? (const void *)packet->gpa->words : packet->transfer;
        uint64_t words = direct ? packet->gpa->word_count : packet->transfer_count;
        external.ranges_bytes = words * VMBUS_WORD_BYTES;
        external.data_offset = RANGES_OFFSET + external.ranges_bytes;
        external.footer = external.data_offset + VMBUS_ROUND8(packet->payload_bytes);
        external.total = external.footer + VMBUS_FOOTER_BYTES;
        return external;
}

static ALWAYS_INLINE uint64_t external_word0(const struct external *external, bool direct)
{
        return VMBUS_WORD0(direct ? VMBUS_PACKET_GPA_DIRECT : VMBUS_PACKET_TRANSFER_PAGES,
                           external->data_offset / VMBUS_WORD_BYTES,
                           external->footer / VMBUS_WORD_BYTES,
                           1u << VMBUS_FLAG_COMPLETION_REQUESTED_BIT);
}

/* The word in front of the ranges. */
static ALWAYS_INLINE uint64_t external_header(const struct vmbus_outgoing *packet, bool direct)
{
        if (direct)
                return (uint64_t)packet->gpa->range_count << VMBUS_EXTERNAL_RANGE_COUNT_BIT;
        return (uint64_t)packet->transfer_page_set_id << VMBUS_EXTERNAL_SET_ID_BIT |
               (uint64_t)packet->transfer_count << VMBUS_EXTERNAL_RANGE_COUNT_BIT;
}

/* Writes it where it does not lie in a row, or where `out` must be looked at first. */
static NOINLINE COLD enum vmbus_result write_external_apart(struct vmbus_sender *sender,
                                                            struct vmbus_send_position *position,
                                                            const struct vmbus_outgoing *packet,
                                                            struct vmbus_range *payload)
{
        const struct vmbus_memory *memory = &sender->memory;
        bool direct = packet->kind == VMBUS_SEND_GPA_DIRECT;
        struct external external = external_sizes(packet, direct);
        uint32_t start = position->next_in, footer = (uint32_t)external.footer;
        const uint64_t head[] = {external_word0(&external, direct), packet->transaction_id,
                                 external_header(packet, direct)};
        enum vmbus_result result = vmbus_sender_can_write(sender, position, external.total);
        if (result != VMBUS_OK)
                return result;
        /* From here on nothing fails; total fits the ring and the 16-bit fields. */
        position->next_in = vmbus_memory_advance(memory, start, (uint32_t)external.total);
        payload->offset = vmbus_memory_advance(memory, start, (uint32_t)external.data_offset);
        payload->bytes = packet->payload_bytes;
        vmbus_memory_copy_out_pieces_(memory, start, head, sizeof(head));
        vmbus_memory_copy_out_pieces_(memory, vmbus_memory_advance(memory, start, sizeof(head)),
                                      external.ranges, (uint32_t)external.ranges_bytes);
        if (!is_aligned(packet->payload_bytes, VMBUS_WORD_BYTES))
                vmbus_memory_store_u64(
                        memory, vmbus_memory_advance(memory, start, footer - VMBUS_WORD_BYTES), 0);
        vmbus_memory_store_u64(memory, vmbus_memory_advance(memory, start, footer),
                               (uint64_t)start << VMBUS_FOOTER_INDEX_BIT);
        return VMBUS_OK;
}

/* The first word apart from the rest: with GPA direct it is the header of a range, whose pages are
 * often a power of two, which is copied in fewer steps than one word more. There is a word. */
static ALWAYS_INLINE void copy_ranges_out(uint8_t *run, const struct external *external)
{
        uint64_t first;
        __builtin_memcpy(&first, external->ranges, sizeof(first));
        shared_store_u64(run, first);
        shared_copy_out(run + sizeof(first), (const uint8_t *)external->ranges + sizeof(first),
                        external->ranges_bytes - sizeof(first));
}

NOINLINE enum vmbus_result vmbus_sender_write_external_(struct vmbus_sender *sender,
                                                        struct vmbus_send_position *position,
                                                        const struct vmbus_outgoing *packet,
                                                        struct vmbus_range *payload)
{
        bool direct = packet->kind == VMBUS_SEND_GPA_DIRECT;
        ASSERT(direct || packet->kind == VMBUS_SEND_TRANSFER_PAGES);
        ASSERT(!direct || packet->gpa->range_count != 0);
        struct external external = external_sizes(packet, direct);
        uint32_t start = position->next_in;
        DEBUG_ASSERT(external.total == vmbus_outgoing_bytes(packet));
        if (UNLIKELY(!vmbus_sender_room_ahead_(sender, position, external.total)))
                return write_external_apart(sender, position, packet, payload);
        DEBUG_ASSERT(vmbus_send_position_valid(&sender->memory, position));
        uint8_t *run = vmbus_memory_at_(&sender->memory, start);
        position->next_in = start + (uint32_t)external.total;
        payload->offset = start + (uint32_t)external.data_offset;
        payload->bytes = packet->payload_bytes;
        shared_store_u64(run, external_word0(&external, direct));
        shared_store_u64(run + VMBUS_WORD_BYTES, packet->transaction_id);
        shared_store_u64(run + VMBUS_DESCRIPTOR_BYTES, external_header(packet, direct));
        /* Padding shares a word with the payload's last bytes: zero it, the payload comes later. */
        if (!is_aligned(packet->payload_bytes, VMBUS_WORD_BYTES))
                shared_store_u64(run + external.footer - VMBUS_WORD_BYTES, 0);
        shared_store_u64(run + external.footer, (uint64_t)start << VMBUS_FOOTER_INDEX_BIT);
        if (external.ranges_bytes != 0)
                copy_ranges_out(run + RANGES_OFFSET, &external);
        return VMBUS_OK;
}

NOINLINE bool vmbus_signal_counted_(struct vmbus_signal_count *count)
{
        count->sent++;
        if (count->word != NULL)
                shared_store_u64(count->word, count->sent);
        return true;
}

COLD enum vmbus_result vmbus_sender_prepare_to_sleep(struct vmbus_sender *sender,
                                                     struct vmbus_send_position *position,
                                                     uint64_t needed_bytes, uint64_t wake_bytes)
{
        const struct vmbus_memory *memory = &sender->memory;
        enum vmbus_result result;
        ASSERT(needed_bytes != 0);
        if (sender->state != VMBUS_END_READY)
                return vmbus_sender_not_ready_(sender);
        DEBUG_ASSERT(vmbus_send_position_valid(memory, position));
        if (needed_bytes > sender->packet_bytes_max)
                return VMBUS_TOO_LARGE;

        /* The consumer reckons from the published `in`: what is written but not committed looks
         * free to it and must be asked for on top. It never sees more free bytes than an empty ring
         * has. */
        uint64_t uncommitted =
                vmbus_memory_distance(memory, position->committed_in, position->next_in);
        uint64_t empty_free = memory->data_bytes - VMBUS_GAP_BYTES;
        if (uncommitted + VMBUS_ROUND8(needed_bytes) > empty_free)
                return VMBUS_COMMIT_FIRST;
        sender->polls++;
        uint64_t beyond = VMBUS_ROUND8(max_u64(needed_bytes, min_u64(wake_bytes, empty_free)));
        shared_store_u32(&memory->control->pending_send_size,
                         (uint32_t)min_u64(uncommitted + beyond, empty_free));
        shared_fence_full(); /* c.5, 6: pairs with the store of `out` in vmbus_receiver_commit() */

        uint32_t out;
        result = vmbus_sender_load_out_(sender, position->committed_in, position->cached_out, &out);
        if (result != VMBUS_OK)
                return result;
        position->cached_out = out;
        if (vmbus_memory_free(memory, position->next_in, out) >= needed_bytes) {
                shared_store_u32(&memory->control->pending_send_size, 0);
                return VMBUS_OK;
        }
        sender->state = VMBUS_END_ASLEEP;
        return VMBUS_FULL;
}

enum vmbus_result vmbus_sender_woken(struct vmbus_sender *sender)
{
        if (sender->state == VMBUS_END_CORRUPT)
                return sender->fault.reason;
        vmbus_sender_cancel_sleep(sender);
        return VMBUS_OK;
}

void vmbus_sender_cancel_sleep(struct vmbus_sender *sender)
{
        if (sender->state == VMBUS_END_CORRUPT)
                return;
        ASSERT(sender->state == VMBUS_END_ASLEEP);
        shared_store_u32(&sender->memory.control->pending_send_size, 0);
        sender->state = VMBUS_END_READY;
}
