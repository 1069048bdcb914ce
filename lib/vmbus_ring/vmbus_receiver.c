/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_receiver — what the receiving end does seldom: start, external headers, sleep, break.
 *
 * Relies on vmbus_memory.h for the arithmetic. Facts: spec/vmbus.md, a.4, b.4, b.5, c.3 to c.7. */
#include "vmbus_ring/vmbus_receiver.h"

/* Where the ranges of a packet with external data begin. */
#define RANGES_OFFSET (VMBUS_DESCRIPTOR_BYTES + VMBUS_EXTERNAL_HEADER_BYTES)

COLD void vmbus_receiver_init(struct vmbus_receiver *receiver, const struct vmbus_memory *memory)
{
        ASSERT(is_aligned(memory->data_bytes, VMBUS_DATA_UNIT_BYTES)); /* [V1] */
        ASSERT(memory->data_bytes != 0);
        *receiver = (struct vmbus_receiver){.memory = *memory};
        shared_store_u32(&memory->control->interrupt_mask, VMBUS_INTERRUPTS_MASKED);
}

NOINLINE enum vmbus_result vmbus_receiver_broken_(struct vmbus_receiver *receiver,
                                                  enum vmbus_result reason, uint32_t index,
                                                  uint64_t value, uint64_t limit)
{
        ASSERT(receiver->state != VMBUS_END_CORRUPT);
        ASSERT(vmbus_result_is_corrupt(reason));
        receiver->state = VMBUS_END_CORRUPT;
        receiver->fault = (struct vmbus_fault){reason, index, (uint32_t)value, (uint32_t)limit};
        return reason;
}

NOINLINE enum vmbus_result vmbus_receiver_not_ready_(const struct vmbus_receiver *receiver)
{
        ASSERT(receiver->state != VMBUS_END_ASLEEP); /* woken or cancel_sleep comes first */
        return receiver->fault.reason;
}

COLD NOINLINE enum vmbus_result vmbus_receiver_check_in_(struct vmbus_receiver *receiver,
                                                         uint32_t in, uint32_t committed_out,
                                                         uint32_t cached_in)
{
        const struct vmbus_memory *memory = &receiver->memory;
        if (in >= memory->data_bytes)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_IN_RANGE, committed_out, in,
                                              memory->data_bytes);
        if (!is_aligned(in, VMBUS_WORD_BYTES))
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_IN_ALIGNMENT, committed_out, in,
                                              VMBUS_WORD_BYTES);
        /* The producer moves away from committed_out: what is there to read grows until we
         * commit. */
        if (vmbus_memory_distance(memory, committed_out, in) <
            vmbus_memory_distance(memory, committed_out, cached_in))
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_IN_BACKWARDS, committed_out, in,
                                              cached_in);
        return VMBUS_OK;
}

COLD enum vmbus_result vmbus_receiver_position(struct vmbus_receiver *receiver,
                                               struct vmbus_receive_position *position)
{
        if (receiver->state != VMBUS_END_READY)
                return vmbus_receiver_not_ready_(receiver);

        /* Snapshot; below this only the locals are used. */
        uint32_t out = shared_load_u32(&receiver->memory.control->out);
        uint32_t in = shared_load_acquire_u32(&receiver->memory.control->in); /* c.5, 1 */

        if (out >= receiver->memory.data_bytes)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_OUT_RANGE, 0, out,
                                              receiver->memory.data_bytes);
        if (!is_aligned(out, VMBUS_WORD_BYTES))
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_OUT_ALIGNMENT, 0, out,
                                              VMBUS_WORD_BYTES);
        enum vmbus_result result = vmbus_receiver_check_in_(receiver, in, out, out);
        if (result != VMBUS_OK)
                return result;
        *position = (struct vmbus_receive_position){
                .next_out = out, .committed_out = out, .cached_in = in};
        return VMBUS_OK;
}

bool vmbus_receiver_peer_sets_pending_size(const struct vmbus_receiver *receiver)
{
        uint32_t features = shared_load_u32(&receiver->memory.control->feature_bits);
        return (features & BIT_MASK(VMBUS_FEATURE_PENDING_SEND_SIZE_BIT)) != 0;
}

/* In the order of c.6. */
static COLD enum vmbus_result check_word0(struct vmbus_receiver *receiver, uint32_t index,
                                          uint64_t word0, uint32_t available)
{
        uint32_t type = (uint16_t)(word0 >> VMBUS_WORD0_TYPE_BIT);
        uint32_t data_offset8 = (uint16_t)(word0 >> VMBUS_WORD0_DATA_OFFSET8_BIT);
        uint32_t length8 = (uint16_t)(word0 >> VMBUS_WORD0_LENGTH8_BIT);
        uint32_t flags = (uint16_t)(word0 >> VMBUS_WORD0_FLAGS_BIT);
        uint32_t total = length8 * VMBUS_WORD_BYTES + VMBUS_FOOTER_BYTES;

        if (length8 < data_offset8)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_LENGTH, index, length8,
                                              data_offset8);
        if (data_offset8 < VMBUS_DATA_OFFSET8_MIN)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_DATA_OFFSET, index, data_offset8,
                                              VMBUS_DATA_OFFSET8_MIN);
        if (total > available)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_TOTAL, index, total, available);
        if (flags > 1u << VMBUS_FLAG_COMPLETION_REQUESTED_BIT)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_FLAGS, index, flags,
                                              1u << VMBUS_FLAG_COMPLETION_REQUESTED_BIT);
        if (type == VMBUS_PACKET_IN_BAND || type == VMBUS_PACKET_COMPLETION)
                return VMBUS_OK;
        if (type != VMBUS_PACKET_TRANSFER_PAGES && type != VMBUS_PACKET_GPA_DIRECT)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_TYPE, index, type,
                                              VMBUS_PACKET_COMPLETION);
        if (data_offset8 < VMBUS_DATA_OFFSET8_EXTERNAL_MIN)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_EXTERNAL_HEADER, index,
                                              data_offset8, VMBUS_DATA_OFFSET8_EXTERNAL_MIN);
        return VMBUS_OK;
}

/* How many ranges fit in `ranges_bytes`; a GPA-direct range has one page at least. */
static uint32_t range_count_max(bool direct, uint32_t ranges_bytes)
{
        return direct ? ranges_bytes / (VMBUS_GPA_RANGE_BYTES + VMBUS_GPA_PAGE_BYTES)
                      : ranges_bytes / VMBUS_TRANSFER_RANGE_BYTES;
}

/* `header` is the word in front of the ranges of a packet of types 7 and 9. */
static NOINLINE COLD enum vmbus_result check_header(struct vmbus_receiver *receiver, uint32_t start,
                                                    uint64_t word0, uint64_t header)
{
        bool direct = (uint16_t)(word0 >> VMBUS_WORD0_TYPE_BIT) == VMBUS_PACKET_GPA_DIRECT;
        uint32_t data_offset = vmbus_word0_data_offset_(word0);
        uint32_t count = (uint32_t)(header >> VMBUS_EXTERNAL_RANGE_COUNT_BIT);
        uint32_t count_max = range_count_max(direct, data_offset - RANGES_OFFSET);
        if (direct && count == 0)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_RANGE_COUNT_ZERO, start, 0, 1);
        if (count > count_max)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_RANGE_COUNT, start, count,
                                              count_max);
        return VMBUS_OK;
}

COLD NOINLINE enum vmbus_result vmbus_receiver_read_rare_(struct vmbus_receiver *receiver,
                                                          struct vmbus_rare *rare)
{
        const struct vmbus_memory *memory = &receiver->memory;
        uint64_t word0 = rare->word0;
        uint32_t type = (uint16_t)(word0 >> VMBUS_WORD0_TYPE_BIT);
        if (rare->available < VMBUS_PACKET_BYTES_MIN)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_AVAILABLE, rare->start,
                                              rare->available, VMBUS_PACKET_BYTES_MIN);
        enum vmbus_result result = check_word0(receiver, rare->start, word0, rare->available);
        if (result != VMBUS_OK)
                return result;
        rare->transaction_id = vmbus_memory_load_u64(
                memory, vmbus_memory_advance(memory, rare->start, VMBUS_WORD_BYTES));
        rare->range_count = 0;
        rare->transfer_page_set_id = 0;
        if (type != VMBUS_PACKET_TRANSFER_PAGES && type != VMBUS_PACKET_GPA_DIRECT)
                return VMBUS_OK;
        uint64_t header = vmbus_memory_load_u64(
                memory, vmbus_memory_advance(memory, rare->start, VMBUS_DESCRIPTOR_BYTES));
        rare->range_count = (uint32_t)(header >> VMBUS_EXTERNAL_RANGE_COUNT_BIT);
        if (type == VMBUS_PACKET_TRANSFER_PAGES)
                rare->transfer_page_set_id = (uint16_t)(header >> VMBUS_EXTERNAL_SET_ID_BIT);
        return check_header(receiver, rare->start, word0, header);
}

/* vmbus_receiver_take() once `in` was loaded and is not plain. */
static NOINLINE COLD enum vmbus_result take_judged(struct vmbus_receiver *receiver,
                                                   struct vmbus_receive_position *position,
                                                   struct vmbus_incoming *packet, uint32_t in)
{
        enum vmbus_result result = vmbus_receiver_check_in_(receiver, in, position->committed_out,
                                                            position->cached_in);
        if (result != VMBUS_OK)
                return result;
        position->cached_in = in;
        if (position->next_out == in)
                return VMBUS_EMPTY;
        return vmbus_receiver_take(receiver, position, packet); /* finds it there */
}

/* The same once the first word was loaded and is not common. */
static NOINLINE COLD enum vmbus_result take_rest(struct vmbus_receiver *receiver,
                                                 struct vmbus_receive_position *position,
                                                 struct vmbus_incoming *packet, uint64_t word0)
{
        return vmbus_receiver_read_rest_(receiver, position, word0, packet);
}

/* What of the first word is the same in all good packets of a type: all but the two lengths and the
 * one flag. */
static ALWAYS_INLINE uint64_t word0_kind(uint64_t word0)
{
        return word0 & ~VMBUS_WORD0(0, UINT16_MAX, UINT16_MAX,
                                    1u << VMBUS_FLAG_COMPLETION_REQUESTED_BIT);
}

/* vmbus_receiver_take() once the first word was loaded and is not plain: fills in what a packet
 * with external data says that breaks no rule up to its ranges, and moves behind it; the rest goes
 * to take_rest(). Not by vmbus_receiver_get_(), most of whose cases cannot be here. */
static ALWAYS_INLINE enum vmbus_result take_external(struct vmbus_receiver *receiver,
                                                     struct vmbus_receive_position *position,
                                                     struct vmbus_incoming *packet, uint64_t word0,
                                                     const uint8_t *run)
{
        uint32_t length = vmbus_word0_length_(word0), data_offset = vmbus_word0_data_offset_(word0);
        uint32_t start = position->next_out, ranges_bytes = data_offset - RANGES_OFFSET;
        bool direct = word0_kind(word0) == VMBUS_PACKET_GPA_DIRECT;
        if (!direct && UNLIKELY(word0_kind(word0) != VMBUS_PACKET_TRANSFER_PAGES))
                return take_rest(receiver, position, packet, word0);
        if (UNLIKELY(data_offset < RANGES_OFFSET))
                return take_rest(receiver, position, packet, word0);
        if (UNLIKELY(length < data_offset))
                return take_rest(receiver, position, packet, word0);
        if (UNLIKELY(length + VMBUS_FOOTER_BYTES > vmbus_receiver_ahead_(receiver, position)))
                return take_rest(receiver, position, packet, word0);
        uint64_t id = shared_load_u64(run + VMBUS_WORD_BYTES);
        uint64_t header = shared_load_u64(run + VMBUS_DESCRIPTOR_BYTES);
        uint32_t count = (uint32_t)(header >> VMBUS_EXTERNAL_RANGE_COUNT_BIT);
        if (UNLIKELY(count > range_count_max(direct, ranges_bytes)))
                return check_header(receiver, start, word0, header);
        if (direct && UNLIKELY(count == 0))
                return check_header(receiver, start, word0, header);
        uint64_t requested = word0 >> VMBUS_WORD0_FLAGS_BIT; /* that flag or none */
        packet->transaction_id = id & (0 - requested);
        packet->type = (enum vmbus_packet_type)word0_kind(word0);
        packet->has_transaction_id = requested != 0;
        packet->completion_requested = requested != 0;
        packet->transfer_page_set_id =
                direct ? 0 : (uint16_t)(header >> VMBUS_EXTERNAL_SET_ID_BIT);
        packet->range_count = count;
        packet->ranges = (struct vmbus_range){start + RANGES_OFFSET, ranges_bytes};
        packet->payload = (struct vmbus_range){start + data_offset, length - data_offset};
        position->next_out = start + length + VMBUS_FOOTER_BYTES;
        return VMBUS_OK;
}

enum vmbus_result vmbus_receiver_take(struct vmbus_receiver *receiver,
                                      struct vmbus_receive_position *position,
                                      struct vmbus_incoming *packet)
{
        const struct vmbus_memory *memory = &receiver->memory;
        uint32_t start = position->next_out;
        if (UNLIKELY(receiver->state != VMBUS_END_READY))
                return vmbus_receiver_not_ready_(receiver);
        DEBUG_ASSERT(vmbus_receive_position_valid(memory, position));
        if (start == position->cached_in) {
                uint32_t in = vmbus_receiver_load_in_(receiver);
                if (UNLIKELY(!vmbus_receiver_in_plain_(receiver, in, position)))
                        return take_judged(receiver, position, packet, in);
                position->cached_in = in;
                if (UNLIKELY(start == in))
                        return VMBUS_EMPTY;
        }
        /* The one look at each word; what is checked and used is the local. */
        bool in_row;
        const uint8_t *run = vmbus_memory_run_(memory, start, RANGES_OFFSET, &in_row);
        uint64_t word0 = shared_load_u64(run);
        if (UNLIKELY(!in_row))
                return take_rest(receiver, position, packet, word0);
        if (!vmbus_receiver_word0_plain_(word0, vmbus_receiver_ahead_(receiver, position)))
                return take_external(receiver, position, packet, word0, run);
        vmbus_receiver_get_plain_(position, word0, shared_load_u64(run + VMBUS_WORD_BYTES), packet);
        return VMBUS_OK;
}

/* The second half of a settlement: the caller's fence lies between the store of `out` and this. */
static bool wait_ended(struct vmbus_receiver *receiver,
                       const struct vmbus_receive_position *position)
{
        const struct vmbus_memory *memory = &receiver->memory;
        uint64_t given = (uint64_t)position->unsettled_words * VMBUS_WORD_BYTES;
        uint32_t pending = shared_load_u32(&memory->control->pending_send_size); /* c.5, 5 */
        /* The low bits are noise of peers that reckon with one byte of gap instead of 8 (c.3). */
        pending &= ~(VMBUS_WORD_BYTES - 1);
        if (pending == 0)
                return false;
        /* Only reckoned with: no packet is read by it, so it needs no order of its
         * own. That it is no older than what the producer had published when it began
         * to wait is the fence's doing. */
        uint32_t in = shared_load_u32(&memory->control->in);
        if (vmbus_receiver_check_in_(receiver, in, position->committed_out, position->cached_in) !=
            VMBUS_OK)
                return false;
        /* Free now, and without what was given back. The producer may have filled part of that
         * already: then it had seen it before it went to sleep, and waits for more than is free
         * now. */
        uint64_t now = vmbus_memory_free(memory, in, position->committed_out);
        uint64_t before = now - min_u64(now, given);
        return before < pending && pending <= now && vmbus_signal_counted_(&receiver->signals);
}

NOINLINE bool vmbus_receiver_settle_(struct vmbus_receiver *receiver,
                                     struct vmbus_receive_position position)
{
        shared_fence_full(); /* c.5, 5: pairs with the fence in vmbus_sender_prepare_to_sleep() */
        return wait_ended(receiver, &position);
}

COLD enum vmbus_result vmbus_receiver_prepare_to_sleep(struct vmbus_receiver *receiver,
                                                       struct vmbus_receive_position *position,
                                                       bool *signal_sender)
{
        struct vmbus_control_page *control = receiver->memory.control;
        *signal_sender = false;
        if (receiver->state != VMBUS_END_READY)
                return vmbus_receiver_not_ready_(receiver);
        DEBUG_ASSERT(vmbus_receive_position_valid(&receiver->memory, position));
        if (position->next_out != position->committed_out)
                return VMBUS_COMMIT_FIRST;
        receiver->polls++;
        shared_store_release_u32(&control->interrupt_mask, VMBUS_INTERRUPTS_UNMASKED); /* c.5, 7 */
        /* c.5, 4 and 5: pairs with the fence in vmbus_sender_commit() and the one in
         * vmbus_sender_prepare_to_sleep() */
        shared_fence_full();
        if (position->unsettled_words != 0)
                *signal_sender = wait_ended(receiver, position);
        position->unsettled_words = 0;
        enum vmbus_result result = vmbus_receiver_can_read(receiver, position);
        if (result == VMBUS_EMPTY)
                receiver->state = VMBUS_END_ASLEEP;
        else
                shared_store_u32(&control->interrupt_mask, VMBUS_INTERRUPTS_MASKED);
        return result;
}

enum vmbus_result vmbus_receiver_check_sleep(struct vmbus_receiver *receiver)
{
        if (receiver->state == VMBUS_END_CORRUPT)
                return receiver->fault.reason;
        ASSERT(receiver->state == VMBUS_END_ASLEEP);
        uint32_t mask = shared_load_u32(&receiver->memory.control->interrupt_mask);
        if (mask != VMBUS_INTERRUPTS_UNMASKED)
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_INTERRUPT_MASK, 0, mask,
                                              VMBUS_INTERRUPTS_UNMASKED);
        return VMBUS_OK;
}

enum vmbus_result vmbus_receiver_woken(struct vmbus_receiver *receiver)
{
        enum vmbus_result result = vmbus_receiver_check_sleep(receiver);
        if (result == VMBUS_OK)
                vmbus_receiver_cancel_sleep(receiver);
        return result;
}

void vmbus_receiver_cancel_sleep(struct vmbus_receiver *receiver)
{
        if (receiver->state == VMBUS_END_CORRUPT)
                return;
        ASSERT(receiver->state == VMBUS_END_ASLEEP);
        shared_store_u32(&receiver->memory.control->interrupt_mask, VMBUS_INTERRUPTS_MASKED);
        receiver->state = VMBUS_END_READY;
}
