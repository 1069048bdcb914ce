/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_external — copy, then check. Facts: spec/vmbus.md, b.4, b.5, c.7. */
#include "vmbus_ring/vmbus_external.h"

/* Where a range ends at most: two numbers of 32 bits. */
#define RANGE_END_MAX ((uint64_t)UINT32_MAX * 2)

/* Whether all ranges lie in the buffer. To each end, a 64-bit sum, is added what takes the end of the
 * buffer to the largest positive number: whoever gets beyond that, and so sets the highest bit, lies
 * outside. One bit for all, so that nothing is predicted; four to a round, for a round costs as much as
 * a range. */
static bool all_inside(const struct vmbus_transfer_range *ranges, uint32_t count,
                       uint64_t buffer_bytes)
{
        uint64_t bias = (uint64_t)INT64_MAX - min_u64(buffer_bytes, RANGE_END_MAX);
        uint64_t sums = 0;
#pragma GCC unroll 4
        for (uint32_t i = 0; i < count; i++)
                sums |= bias + ranges[i].byte_offset + ranges[i].byte_count;
        return sums <= INT64_MAX;
}

/* The first range that leaves the buffer; there is one. */
static uint32_t first_outside(const struct vmbus_transfer_range *ranges, uint32_t count,
                              uint64_t buffer_bytes)
{
        uint32_t i = 0;
        while (i < count - 1 &&
               (uint64_t)ranges[i].byte_offset + ranges[i].byte_count <= buffer_bytes)
                i++;
        return i;
}

enum vmbus_result vmbus_receiver_transfer_ranges(struct vmbus_receiver *receiver,
                                                 const struct vmbus_incoming *packet,
                                                 struct vmbus_transfer_list *list)
{
        uint32_t count = packet->range_count;
        ASSERT(packet->type == VMBUS_PACKET_TRANSFER_PAGES);
        list->count = 0;
        if (receiver->state != VMBUS_END_READY)
                return vmbus_receiver_not_ready_(receiver);
        if (count > list->capacity)
                return VMBUS_RANGE_END;
        vmbus_memory_copy_in(&receiver->memory, packet->ranges.offset, list->ranges,
                             count * VMBUS_TRANSFER_RANGE_BYTES);
        if (!all_inside(list->ranges, count, list->buffer_bytes)) {
                uint32_t bad = first_outside(list->ranges, count, list->buffer_bytes);
                return vmbus_receiver_broken_(receiver, VMBUS_BAD_TRANSFER_RANGE,
                                              packet->ranges.offset, list->ranges[bad].byte_offset,
                                              list->ranges[bad].byte_count);
        }
        list->count = count;
        return VMBUS_OK;
}

enum vmbus_result vmbus_receiver_gpa_ranges(struct vmbus_receiver *receiver,
                                            const struct vmbus_incoming *packet,
                                            struct vmbus_gpa_list *list)
{
        uint32_t words = packet->ranges.bytes / VMBUS_WORD_BYTES;
        struct vmbus_gpa_check check;
        ASSERT(packet->type == VMBUS_PACKET_GPA_DIRECT);
        if (receiver->state != VMBUS_END_READY)
                return vmbus_receiver_not_ready_(receiver);
        if (words > list->word_capacity - list->word_count)
                return VMBUS_RANGE_END;
        vmbus_memory_copy_in(&receiver->memory, packet->ranges.offset,
                             list->words + list->word_count, packet->ranges.bytes);
        enum vmbus_result result = vmbus_gpa_list_extend(list, words, packet->range_count, &check);
        if (result == VMBUS_OK)
                return VMBUS_OK;
        return vmbus_receiver_broken_(receiver, result, packet->ranges.offset, check.value,
                                      check.limit);
}
