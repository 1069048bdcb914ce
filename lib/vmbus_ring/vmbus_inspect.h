/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_inspect — looking at a ring from outside, without being one of its ends and without writing
 * anything to it.
 *
 * For debuggers, watchdogs and whoever restores a ring. Everything is loaded once and checked; what
 * is shown is a moment of a ring that moves on. The signal predicates are for kicking a stuck ring
 * or for a signal that may have been lost over save and restore: one signal too many does no harm.
 *
 * Context     any, beside both ends
 * Facts       spec/vmbus.md, d.6 */
#ifndef VMBUS_RING_VMBUS_INSPECT_H
#define VMBUS_RING_VMBUS_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "vmbus_ring/vmbus_receiver.h"
#include "vmbus_ring/vmbus_sender.h"

/* The words of a control page. */
struct vmbus_control_view {
        uint32_t data_bytes;
        uint32_t in, out;
        uint32_t interrupt_mask;
        uint32_t pending_send_size;
        uint32_t feature_bits;
        uint64_t guest_to_host_interrupt_count;
        bool indices_valid;              /* both */
        uint32_t used_bytes, free_bytes; /* 0 unless they are */
};

/* Looks at a bare control page, which need not have an end here.
 *   data_bytes  size of the data area, as the one who set the ring up says */
void vmbus_inspect_control(const struct vmbus_control_page *control, uint32_t data_bytes,
                           struct vmbus_control_view *view);

/* Whether the consumer may be asleep with packets waiting: signals are not masked, and the ring is
 * not empty. False when an index is not valid. */
bool vmbus_reader_needs_signal(const struct vmbus_control_page *control, uint32_t data_bytes);
/* Whether the producer may be asleep with room waiting: it wants pending_send_size bytes, and so
 * many are free. False when an index is not valid. */
bool vmbus_writer_needs_signal(const struct vmbus_control_page *control, uint32_t data_bytes);

/* ---- text ---- */

/* Text in the caller's buffer, always ended by a NUL; what does not fit is left out. */
struct vmbus_text {
        char *buffer;
        uint32_t capacity; /* with the NUL, 1 .. */
        uint32_t length;   /* without it */
        bool truncated;
};

/* Empty text. */
static inline void vmbus_text_init(struct vmbus_text *text, char *buffer, uint32_t capacity)
{
        ASSERT(capacity != 0);
        *text = (struct vmbus_text){.buffer = buffer, .capacity = capacity};
        buffer[0] = '\0';
}

/* Appends one line: the words of a control page. */
void vmbus_print_control(struct vmbus_text *text, const struct vmbus_control_view *view);
/* Appends the state of a live end: its control page, its position, and its fault, if any. */
void vmbus_print_sender(struct vmbus_text *text, const struct vmbus_sender *sender,
                        const struct vmbus_send_position *position);
void vmbus_print_receiver(struct vmbus_text *text, const struct vmbus_receiver *receiver,
                          const struct vmbus_receive_position *position);

/* Appends a line for each of the next packets to read, with the first bytes of its payload, and one
 * line that says why there are no more.
 *   memory       of the ring; its own `out` says where to begin
 *   packets_max  as many lines at most */
void vmbus_print_packets(struct vmbus_text *text, const struct vmbus_memory *memory,
                         uint32_t packets_max);

#endif
