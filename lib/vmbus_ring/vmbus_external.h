/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_external — the ranges of transfer pages and GPA direct, decoded into checked numbers.
 *
 * vmbus_receiver_read() has checked that the ranges it counted can be there; these two copy them
 * out of the ring, once, and check the copy. What a caller gets has no rule left to break. A
 * packet with a broken range latches the receiver as any other broken packet does.
 *
 * Context     as the receiver; before the packet is committed
 * Facts       spec/vmbus.md, b.4, b.5, c.7, d.7 */
#ifndef VMBUS_RING_VMBUS_EXTERNAL_H
#define VMBUS_RING_VMBUS_EXTERNAL_H

#include "vmbus_ring/vmbus_gpa.h"
#include "vmbus_ring/vmbus_receiver.h"

/* Where the ranges of a transfer-pages packet go. */
struct vmbus_transfer_list {
        struct vmbus_transfer_range *ranges; /* private memory */
        uint32_t capacity;
        uint32_t count;        /* out */
        uint64_t buffer_bytes; /* length of the buffer that the set id names; the caller compares
                                * packet->transfer_page_set_id before */
};

/* Copies out and checks the ranges of one packet.
 *   packet   of type VMBUS_PACKET_TRANSFER_PAGES, from vmbus_receiver_read()
 *   list     ranges, capacity and buffer_bytes in; the ranges and count out, each of them
 *            with byte_offset + byte_count <= buffer_bytes. A length of 0 is allowed
 *   returns  VMBUS_OK; VMBUS_RANGE_END when packet->range_count > capacity, nothing copied;
 *            VMBUS_BAD_TRANSFER_RANGE or the earlier fault of a broken end: count is 0
 *   cost     one copy, one comparison a range */
enum vmbus_result MUST_CHECK vmbus_receiver_transfer_ranges(struct vmbus_receiver *receiver,
                                                            const struct vmbus_incoming *packet,
                                                            struct vmbus_transfer_list *list);

/* Appends the ranges of one packet to `list`.
 *   packet   of type VMBUS_PACKET_GPA_DIRECT, from vmbus_receiver_read()
 *   returns  VMBUS_OK; VMBUS_RANGE_END when the list has no room for the words of the header;
 *            VMBUS_BAD_GPA_... or the earlier fault of a broken end. The list is as before then
 *   cost     one copy, a few comparisons a range; the pages are not looked at one by one, and
 *            whether such pages exist is for the caller to know */
enum vmbus_result MUST_CHECK vmbus_receiver_gpa_ranges(struct vmbus_receiver *receiver,
                                                       const struct vmbus_incoming *packet,
                                                       struct vmbus_gpa_list *list);

#endif
