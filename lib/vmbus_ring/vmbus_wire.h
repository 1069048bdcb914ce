/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_wire — what both ends of a VMBus ring agree on: the control page, the packet words, the
 * sizes.
 *
 * Relies on nothing but base/bytes.h. Facts: spec/vmbus.md, a.1 (control page), b.1 to b.6
 * (packets). Everything is little-endian. */
#ifndef VMBUS_RING_VMBUS_WIRE_H
#define VMBUS_RING_VMBUS_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the words of the ring are little-endian");

/* ---- control page (a.1) ---- */

/* The page in front of a ring's data. Each word has one writer for ever: none is updated by
 * both. */
struct vmbus_control_page {
        uint32_t in;                /* producer: index at which the next packet will begin */
        uint32_t out;               /* consumer: index of the next packet to read */
        uint32_t interrupt_mask;    /* consumer: 0: signal when the ring is empty no longer */
        uint32_t pending_send_size; /* producer: free bytes that it waits for; 0: does not wait */
        uint32_t reserved0[12];
        uint32_t feature_bits; /* producer: VMBUS_FEATURE_PENDING_SEND_SIZE_BIT */
        uint8_t reserved1[4020];
        uint64_t guest_to_host_interrupt_count; /* guest: signals that it sent for this ring */
};

_Static_assert(sizeof(struct vmbus_control_page) == PAGE_BYTES, "a.1");
_Static_assert(offsetof(struct vmbus_control_page, in) == 0, "a.1");
_Static_assert(offsetof(struct vmbus_control_page, out) == 4, "a.1");
_Static_assert(offsetof(struct vmbus_control_page, interrupt_mask) == 8, "a.1");
_Static_assert(offsetof(struct vmbus_control_page, pending_send_size) == 12, "a.1");
_Static_assert(offsetof(struct vmbus_control_page, reserved0) == 16, "a.1");
_Static_assert(offsetof(struct vmbus_control_page, feature_bits) == 64, "a.1");
_Static_assert(offsetof(struct vmbus_control_page, reserved1) == 68, "a.1");
_Static_assert(offsetof(struct vmbus_control_page, guest_to_host_interrupt_count) == 4088, "a.1");

#define VMBUS_FEATURE_PENDING_SEND_SIZE_BIT 0
#define VMBUS_INTERRUPTS_UNMASKED 0u
#define VMBUS_INTERRUPTS_MASKED 1u

/* ---- data area (a.2) ---- */

/* Indices, packet sizes and the data area itself are multiples of this. */
#define VMBUS_WORD_BYTES 8u
#define VMBUS_WORD_BYTES_LOG2 3
_Static_assert(VMBUS_WORD_BYTES == 1u << VMBUS_WORD_BYTES_LOG2, "a.2");
/* Never used for packets: a ring full to the last word would look empty. */
#define VMBUS_GAP_BYTES 8u
/* The data area is a multiple of this, not necessarily a power of two. */
#define VMBUS_DATA_UNIT_BYTES PAGE_BYTES

/* ---- packets (b.1, b.2) ----
 *
 *   first word          second word      external header     payload, padded     footer
 *   |type|off8|len8|fl| |transaction_id| |types 7, 9 only|   |.............00|   |0|index|
 *   0                   8                16                   off8 x 8            len8 x 8   + 8
 *
 * Every part may straddle the end of the data area, but no 8-byte word ever does. */

enum vmbus_packet_type {
        VMBUS_PACKET_IN_BAND = 6,
        VMBUS_PACKET_TRANSFER_PAGES = 7,
        VMBUS_PACKET_GPA_DIRECT = 9,
        VMBUS_PACKET_COMPLETION = 0xb,
};

#define VMBUS_DESCRIPTOR_BYTES 16u
#define VMBUS_FOOTER_BYTES 8u
/* Types 7 and 9: a word with the number of ranges stands between descriptor and ranges (b.4,
 * b.5). */
#define VMBUS_EXTERNAL_HEADER_BYTES 8u
#define VMBUS_TRANSFER_RANGE_BYTES 8u
/* Length and offset of a GPA-direct range; 8 bytes for each of its pages follow, one page at
 * least. */
#define VMBUS_GPA_RANGE_BYTES 8u
#define VMBUS_GPA_PAGE_BYTES 8u

/* Lowest bits of the fields of the first word. */
#define VMBUS_WORD0_TYPE_BIT 0
#define VMBUS_WORD0_DATA_OFFSET8_BIT 16
#define VMBUS_WORD0_LENGTH8_BIT 32
#define VMBUS_WORD0_FLAGS_BIT 48
/* Among the flags: the receiver owes one completion packet with the same transaction id (b.3). */
#define VMBUS_FLAG_COMPLETION_REQUESTED_BIT 0
/* data_offset8 of a packet without and with an external header, at least. */
#define VMBUS_DATA_OFFSET8_MIN (VMBUS_DESCRIPTOR_BYTES / VMBUS_WORD_BYTES)
#define VMBUS_DATA_OFFSET8_EXTERNAL_MIN                                                            \
        (VMBUS_DATA_OFFSET8_MIN + VMBUS_EXTERNAL_HEADER_BYTES / VMBUS_WORD_BYTES)
/* In the word of the external header (b.4, b.5); the set id only in transfer pages. */
#define VMBUS_EXTERNAL_SET_ID_BIT 0
#define VMBUS_EXTERNAL_RANGE_COUNT_BIT 32
/* The first word of a range of transfer pages and of a GPA-direct range. */
#define VMBUS_RANGE_BYTE_COUNT_BIT 0
#define VMBUS_RANGE_BYTE_OFFSET_BIT 32
/* In the footer's word: the index at which the packet begins. */
#define VMBUS_FOOTER_INDEX_BIT 32

/* The first word of a packet; all four arguments must fit 16 bits. */
#define VMBUS_WORD0(type, data_offset8, length8, flags)                                            \
        ((uint64_t)(type) << VMBUS_WORD0_TYPE_BIT |                                                \
         (uint64_t)(data_offset8) << VMBUS_WORD0_DATA_OFFSET8_BIT |                                \
         (uint64_t)(length8) << VMBUS_WORD0_LENGTH8_BIT |                                          \
         (uint64_t)(flags) << VMBUS_WORD0_FLAGS_BIT)

/* One range of transfer pages as it stands in the ring (b.4). */
struct vmbus_transfer_range {
        uint32_t byte_count;
        uint32_t byte_offset; /* in the buffer that the set id names */
};

_Static_assert(sizeof(struct vmbus_transfer_range) == VMBUS_TRANSFER_RANGE_BYTES, "b.4");
_Static_assert(offsetof(struct vmbus_transfer_range, byte_offset) == 4, "b.4");

/* ---- pipes (b.7) ---- */

/* In front of the payload on channels in pipe mode. */
struct vmbus_pipe_header {
        uint32_t packet_type; /* enum vmbus_pipe_packet */
        uint32_t len;         /* data: bytes that follow; partial: see VMBUS_PIPE_PARTIAL_... */
};

_Static_assert(sizeof(struct vmbus_pipe_header) == 8, "b.7");
_Static_assert(offsetof(struct vmbus_pipe_header, len) == 4, "b.7");

enum vmbus_pipe_packet {
        VMBUS_PIPE_DATA = 1,
        VMBUS_PIPE_PARTIAL = 2, /* never sent: a reader leaves it in the ring it reads from */
        VMBUS_PIPE_SETUP_GPA_DIRECT = 3,
        VMBUS_PIPE_TEARDOWN_GPA_DIRECT = 4,
};

#define VMBUS_PIPE_HEADER_BYTES 8u
/* The most that one packet of a pipe carries behind the header. */
#define VMBUS_PIPE_BYTES_MAX 16384u
/* The two halves of len in a partial header. */
#define VMBUS_PIPE_PARTIAL_LENGTH_BIT 0
#define VMBUS_PIPE_PARTIAL_CONSUMED_BIT 16

/* ---- sizes (b.6) ----
 *
 * What a packet takes in the ring, footer included; constants when the arguments are.
 * `payload_bytes` up to UINT32_MAX; the results do not overflow, but may be more than any ring
 * accepts. */

#define VMBUS_ROUND8(bytes) (((uint64_t)(bytes) + 7) & ~(uint64_t)7)
#define VMBUS_IN_BAND_BYTES(payload_bytes)                                                         \
        (VMBUS_DESCRIPTOR_BYTES + VMBUS_ROUND8(payload_bytes) + VMBUS_FOOTER_BYTES)
#define VMBUS_COMPLETION_BYTES(payload_bytes) VMBUS_IN_BAND_BYTES(payload_bytes)
#define VMBUS_TRANSFER_PAGES_BYTES(range_count, payload_bytes)                                     \
        (VMBUS_IN_BAND_BYTES(payload_bytes) + VMBUS_EXTERNAL_HEADER_BYTES +                        \
         (uint64_t)(range_count)*VMBUS_TRANSFER_RANGE_BYTES)
/* `page_count` is the sum over all ranges. */
#define VMBUS_GPA_DIRECT_BYTES(range_count, page_count, payload_bytes)                             \
        (VMBUS_IN_BAND_BYTES(payload_bytes) + VMBUS_EXTERNAL_HEADER_BYTES +                        \
         (uint64_t)(range_count)*VMBUS_GPA_RANGE_BYTES +                                           \
         (uint64_t)(page_count)*VMBUS_GPA_PAGE_BYTES)

/* `message_bytes` without the pipe header. */
#define VMBUS_PIPE_MESSAGE_BYTES(message_bytes)                                                    \
        VMBUS_IN_BAND_BYTES(VMBUS_PIPE_HEADER_BYTES + (uint64_t)(message_bytes))

#define VMBUS_PACKET_BYTES_MIN (VMBUS_DESCRIPTOR_BYTES + VMBUS_FOOTER_BYTES)
/* The largest length8 is 65,535. */
#define VMBUS_PACKET_BYTES_MAX (UINT16_MAX * 8u + VMBUS_FOOTER_BYTES)
#define VMBUS_PAYLOAD_BYTES_MAX (VMBUS_PACKET_BYTES_MAX - VMBUS_PACKET_BYTES_MIN)

_Static_assert(VMBUS_PACKET_BYTES_MIN == 24, "b.6");
_Static_assert(VMBUS_PACKET_BYTES_MAX == 524288, "b.6");
_Static_assert(VMBUS_PAYLOAD_BYTES_MAX == 524264, "b.6");

#endif
