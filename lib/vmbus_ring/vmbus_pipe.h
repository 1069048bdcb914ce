/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_pipe — messages and bytes over a ring, for channels in pipe mode.
 *
 *   packet of a pipe    |descriptor|packet_type, len|payload, len bytes|padding|footer|
 *
 * A message pipe keeps the bounds of messages: one packet each. A byte pipe does not: what was
 * written in two pieces may be read in one or in three. The end of a byte stream is a packet
 * without bytes. A byte reader that takes part of a packet notes in the packet's header, in the
 * ring, how much it has taken (the partial header of b.7), so that a reader that attaches later
 * goes on there; by itself it never reads that note back.
 *
 * None of these functions commits the sender; the receiving ones commit as they say.
 * Context     as the end that they use
 * Facts       spec/vmbus.md, b.7, c.7 */
#ifndef VMBUS_RING_VMBUS_PIPE_H
#define VMBUS_RING_VMBUS_PIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmbus_ring/vmbus_receiver.h"
#include "vmbus_ring/vmbus_sender.h"

/* The largest message of this ring: VMBUS_PIPE_BYTES_MAX, or what fits. */
uint32_t vmbus_pipe_message_bytes_max(const struct vmbus_sender *sender);

struct vmbus_pipe_bytes {
        const void *bytes; /* private memory; ignored when byte_count is 0 */
        uint32_t byte_count;
};

/* Writes one message.
 *   message  0 .. vmbus_pipe_message_bytes_max() bytes. On a byte pipe 0 bytes are the end of the
 *            stream
 *   returns  VMBUS_OK; VMBUS_FULL (VMBUS_PIPE_MESSAGE_BYTES says what is needed); VMBUS_TOO_LARGE;
 *            a broken rule. Nothing written then */
enum vmbus_result MUST_CHECK vmbus_pipe_write_message(struct vmbus_sender *sender,
                                                      struct vmbus_send_position *position,
                                                      const struct vmbus_pipe_bytes *message);

/* Bytes of a stream that go into one packet at most: small enough that the reader can give space
 * back while the writer goes on. A policy, not a rule of the protocol (b.7). */
#define VMBUS_PIPE_CHUNK_BYTES 2048u

/* Writes bytes of a stream, in packets of up to VMBUS_PIPE_CHUNK_BYTES.
 *   bytes    1 .. bytes (the end of the stream is vmbus_pipe_write_message() of none)
 *   written  out: how many were written, from the front
 *   returns  VMBUS_OK when that is all of them; VMBUS_FULL when it is fewer; a broken rule */
enum vmbus_result MUST_CHECK vmbus_pipe_write(struct vmbus_sender *sender,
                                              struct vmbus_send_position *position,
                                              const struct vmbus_pipe_bytes *bytes,
                                              uint32_t *written);

struct vmbus_pipe_buffer {
        void *bytes; /* private memory */
        uint32_t capacity;
        uint32_t byte_count; /* out */
};

/* Reads one message into `buffer`; the caller commits.
 *   returns  VMBUS_OK, byte_count being its length; VMBUS_EMPTY; VMBUS_RANGE_END when it is longer
 *            than capacity: byte_count says how long, and it stays in the ring; a broken rule,
 *            among them VMBUS_BAD_PIPE_... (a partial header is none of a message pipe) */
enum vmbus_result MUST_CHECK vmbus_pipe_read_message(struct vmbus_receiver *receiver,
                                                     struct vmbus_receive_position *position,
                                                     struct vmbus_pipe_buffer *buffer);

/* A byte reader; zeroed it is at the start. */
struct vmbus_pipe_reader {
        bool open;  /* in the middle of the packet at position->next_out */
        bool ended; /* the packet that ends the stream was read */
        struct vmbus_range left;
        uint32_t header; /* index of its header */
        uint32_t length;
        uint32_t behind; /* index behind that packet */
};

/* Reads what is there of the stream, up to `capacity` bytes, and commits every packet that was
 * read to its end.
 *   buffer   capacity 1 ..; byte_count out
 *   signal   out: true: send the peer one signal now
 *   returns  VMBUS_OK, byte_count being 1 ..; VMBUS_EMPTY; VMBUS_PIPE_END, from the end of the
 *            stream on every time; a broken rule (*buffer is filled up to there, byte_count says
 *            how far)
 *   order    that of vmbus_receiver_commit(), whose fence may be put off: the signal that a
 *            producer is owed is settled at the latest by the call that returns VMBUS_EMPTY, or by
 *            vmbus_receiver_prepare_to_sleep(). So read until there is nothing, or sleep
 *   cost     one copy; two words more for a packet that is read in parts */
enum vmbus_result MUST_CHECK vmbus_pipe_read(struct vmbus_receiver *receiver,
                                             struct vmbus_receive_position *position,
                                             struct vmbus_pipe_reader *reader,
                                             struct vmbus_pipe_buffer *buffer, bool *signal);

#endif
