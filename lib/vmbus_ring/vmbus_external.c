/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_external — copy, then check. Facts: spec/vmbus.md, b.4, b.5, c.7. */
#include "vmbus_ring/vmbus_external.h"

/* Where a range ends at most: two numbers of 32 bits. */
#define RANGE_END_MAX ((uint64_t)UINT32_MAX * 2)

/* Two ranges in wire form. A processor that has registers of 16 bytes, and may use them, loads and
 * adds up both at once; in the kernel they are two words. */
typedef uint64_t two_ranges VECTOR_BYTES(16);

/* Copies `count` ranges that lie in a row in the ring, each loaded once, and returns their ends,
 * `bias` added to each, as one number: a bit that is set in any of them is set in it. They are
 * looked at on the way, while they are in registers: a copy just made is still on its way to
 * memory, and whoever looks at it waits. */
static ALWAYS_INLINE uint64_t take_row(struct vmbus_transfer_range *target, const uint8_t *row,
                                       uint64_t count, uint64_t bias)
{
        two_ranges sums = {0, 0}, more_sums = {0, 0}, biases = {bias, bias};
        const uint8_t *end = row + count * VMBUS_TRANSFER_RANGE_BYTES;
        for (; end - row >= (ptrdiff_t)(2 * sizeof(two_ranges)); target += 4) {
                two_ranges first, second;
                shared_copy_in(&first, row, sizeof(first));
                shared_copy_in(&second, row + sizeof(first), sizeof(second));
                __builtin_memcpy(target, &first, sizeof(first));
                __builtin_memcpy(target + 2, &second, sizeof(second));
                sums |= (first >> VMBUS_RANGE_BYTE_OFFSET_BIT) + (first & UINT32_MAX) + biases;
                more_sums |= (second >> VMBUS_RANGE_BYTE_OFFSET_BIT) + (second & UINT32_MAX) +
                             biases;
                row += 2 * sizeof(two_ranges);
        }
        sums |= more_sums;
        uint64_t all = sums[0] | sums[1];
        for (; row != end; row += VMBUS_TRANSFER_RANGE_BYTES, target++) {
                uint64_t word = shared_load_u64(row);
                __builtin_memcpy(target, &word, sizeof(word));
                all |= (word >> VMBUS_RANGE_BYTE_OFFSET_BIT) + (uint32_t)word + bias;
        }
        return all;
}

/* What takes the end of the buffer to the largest positive number when it is added: the end of a
 * range, a 64-bit sum, that gets beyond that, and so sets the highest bit, lies outside. */
static uint64_t end_bias(const struct vmbus_transfer_list *list)
{
        return (uint64_t)INT64_MAX - min_u64(list->buffer_bytes, RANGE_END_MAX);
}

/* What remains when the ranges could not be taken in a row, or one of them lies outside: copies
 * what was not copied, and looks at one after the other. */
static NOINLINE COLD enum vmbus_result judge_ranges(struct vmbus_receiver *receiver,
                                                    const struct vmbus_incoming *packet,
                                                    struct vmbus_transfer_list *list, bool copied)
{
        const struct vmbus_transfer_range *ranges = list->ranges;
        if (!copied)
                vmbus_memory_copy_in_pieces_(&receiver->memory, packet->ranges.offset, list->ranges,
                                             packet->range_count * VMBUS_TRANSFER_RANGE_BYTES);
        for (uint32_t i = 0; i < packet->range_count; i++)
                if ((uint64_t)ranges[i].byte_offset + ranges[i].byte_count > list->buffer_bytes)
                        return vmbus_receiver_broken_(receiver, VMBUS_BAD_TRANSFER_RANGE,
                                                      packet->ranges.offset, ranges[i].byte_offset,
                                                      ranges[i].byte_count);
        list->count = packet->range_count;
        return VMBUS_OK;
}

enum vmbus_result vmbus_receiver_transfer_ranges(struct vmbus_receiver *receiver,
                                                 const struct vmbus_incoming *packet,
                                                 struct vmbus_transfer_list *list)
{
        const struct vmbus_memory *memory = &receiver->memory;
        uint32_t count = packet->range_count, index = packet->ranges.offset;
        ASSERT(packet->type == VMBUS_PACKET_TRANSFER_PAGES);
        list->count = 0;
        if (UNLIKELY(receiver->state != VMBUS_END_READY))
                return vmbus_receiver_not_ready_(receiver);
        if (count > list->capacity)
                return VMBUS_RANGE_END;
        bool in_row;
        const uint8_t *row = vmbus_memory_run_(memory, index, count * VMBUS_TRANSFER_RANGE_BYTES,
                                               &in_row);
        if (UNLIKELY(!in_row) ||
            UNLIKELY(take_row(list->ranges, row, count, end_bias(list)) > INT64_MAX))
                return judge_ranges(receiver, packet, list, in_row);
        list->count = count;
        return VMBUS_OK;
}

/* The first broken rule of the ranges, which are in private memory. */
static NOINLINE COLD enum vmbus_result gpa_broken(struct vmbus_receiver *receiver,
                                                  const struct vmbus_incoming *packet,
                                                  const uint64_t *words)
{
        struct vmbus_gpa_check check;
        enum vmbus_result result = vmbus_gpa_validate(
                words, packet->ranges.bytes / VMBUS_WORD_BYTES, packet->range_count, &check);
        return vmbus_receiver_broken_(receiver, result, packet->ranges.offset, check.value,
                                      check.limit);
}

/* The same for a single range, of which no more than the header was looked at. */
static NOINLINE COLD enum vmbus_result gpa_header_broken(struct vmbus_receiver *receiver,
                                                         const struct vmbus_incoming *packet,
                                                         uint64_t header)
{
        return gpa_broken(receiver, packet, &header);
}

/* vmbus_receiver_gpa_ranges() of any ranges that there is room for. */
static NOINLINE enum vmbus_result take_gpa_ranges(struct vmbus_receiver *receiver,
                                                  const struct vmbus_incoming *packet,
                                                  struct vmbus_gpa_list *list)
{
        const struct vmbus_memory *memory = &receiver->memory;
        uint32_t index = packet->ranges.offset, bytes = packet->ranges.bytes;
        uint64_t *words = list->words + list->word_count;
        bool in_row;
        const uint8_t *row = vmbus_memory_run_(memory, index, bytes, &in_row);
        if (LIKELY(in_row)) /* without the care of vmbus_memory_copy_in() for what is short */
                shared_copy_in(words, row, bytes);
        else
                vmbus_memory_copy_in_pieces_(memory, index, words, bytes);
        if (UNLIKELY(!vmbus_gpa_list_take_good_(list, bytes / VMBUS_WORD_BYTES,
                                                packet->range_count)))
                return gpa_broken(receiver, packet, words);
        return VMBUS_OK;
}

enum vmbus_result vmbus_receiver_gpa_ranges(struct vmbus_receiver *receiver,
                                            const struct vmbus_incoming *packet,
                                            struct vmbus_gpa_list *list)
{
        const struct vmbus_memory *memory = &receiver->memory;
        uint32_t index = packet->ranges.offset, word_count = list->word_count;
        uint32_t new_words = packet->ranges.bytes / VMBUS_WORD_BYTES;
        ASSERT(packet->type == VMBUS_PACKET_GPA_DIRECT);
        if (UNLIKELY(receiver->state != VMBUS_END_READY))
                return vmbus_receiver_not_ready_(receiver);
        if (UNLIKELY(new_words > list->word_capacity - word_count))
                return VMBUS_RANGE_END;
        if (packet->range_count != 1 ||
            UNLIKELY(!vmbus_memory_in_data_(memory, index, packet->ranges.bytes)))
                return take_gpa_ranges(receiver, packet, list);
        /* One range, as disks ask for. Its header is loaded once and checked while it is in a
         * register, for who looks at a copy just made waits for it; of its pages, which follow,
         * nothing is checked. */
        const uint8_t *row = memory->data + index;
        uint64_t *words = list->words + word_count;
        uint64_t header = shared_load_u64(row);
        uint32_t page_count = vmbus_gpa_good_pages_(header, new_words);
        if (UNLIKELY(page_count == 0))
                return gpa_header_broken(receiver, packet, header);
        words[0] = header;
        list->word_count = word_count + 1 + page_count;
        list->range_count++;
        shared_copy_in(words + 1, row + VMBUS_WORD_BYTES, page_count * VMBUS_GPA_PAGE_BYTES);
        return VMBUS_OK;
}
