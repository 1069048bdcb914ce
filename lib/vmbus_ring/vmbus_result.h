/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_result — what the functions of a ring return, and the note that a broken ring keeps.
 *
 * Three kinds, never mixed: normal life (OK, EMPTY, FULL), a request that this ring can never meet
 * (nothing has changed), and a rule that the peer broke. The last kind has one name a rule; the end
 * that found it is latched: from then on every function of that end returns the same name and
 * touches the ring no more. A misuse by the caller is none of these; it fails an ASSERT.
 * Facts: spec/vmbus.md, c.6 (rules, with its measured flaws repaired), c.7. */
#ifndef VMBUS_RING_VMBUS_RESULT_H
#define VMBUS_RING_VMBUS_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/status.h"

/* X(name, number, the rule that was broken, or what happened) */
#define VMBUS_RESULT_LIST(X)                                                                       \
        X(VMBUS_OK, 0, "done")                                                                     \
        X(VMBUS_EMPTY, 1, "no packet in the ring")                                                 \
        X(VMBUS_FULL, 2, "not enough free bytes in the ring")                                      \
        X(VMBUS_TOO_LARGE, 3, "more than this ring or the format can ever hold")                   \
        X(VMBUS_COMMIT_FIRST, 4, "sleeping now would never end: commit what is uncommitted")       \
        X(VMBUS_RANGE_END, 5, "more bytes asked for than the range has left")                      \
        X(VMBUS_BUSY, 6, "another processor holds this end; nothing changed, try again")           \
        X(VMBUS_PIPE_END, 7, "the peer ended its byte stream")                                     \
        X(VMBUS_BATCH_END, 8, "the batch has as many packets as it may")                           \
        VMBUS_CORRUPT_LIST(X)

/* X(name, number, rule); fault.value broke it, fault.limit is what it was held against */
#define VMBUS_CORRUPT_LIST(X)                                                                      \
        X(VMBUS_BAD_IN_RANGE, 16, "in < size of the data")                                         \
        X(VMBUS_BAD_IN_ALIGNMENT, 17, "in is a multiple of 8")                                     \
        X(VMBUS_BAD_IN_BACKWARDS, 18, "in never takes back what it published")                     \
        X(VMBUS_BAD_OUT_RANGE, 19, "out < size of the data")                                       \
        X(VMBUS_BAD_OUT_ALIGNMENT, 20, "out is a multiple of 8")                                   \
        X(VMBUS_BAD_OUT_BACKWARDS, 21, "out stays between its last value and in")                  \
        X(VMBUS_BAD_AVAILABLE, 22, "what is in the ring is at least the smallest packet")          \
        X(VMBUS_BAD_DATA_OFFSET, 23, "data_offset8 >= 2")                                          \
        X(VMBUS_BAD_LENGTH, 24, "length8 >= data_offset8")                                         \
        X(VMBUS_BAD_TOTAL, 25, "packet and footer end at in or before it")                         \
        X(VMBUS_BAD_FLAGS, 26, "no flag but bit 0")                                                \
        X(VMBUS_BAD_TYPE, 27, "type is 6, 7, 9 or 11")                                             \
        X(VMBUS_BAD_EXTERNAL_HEADER, 28, "data_offset8 >= 3 with external data")                   \
        X(VMBUS_BAD_RANGE_COUNT_ZERO, 29, "a GPA-direct packet has a range")                       \
        X(VMBUS_BAD_RANGE_COUNT, 30, "all ranges fit the external header")                         \
        X(VMBUS_BAD_INTERRUPT_MASK, 31, "nobody but the consumer sets interrupt_mask")             \
        X(VMBUS_BAD_TRANSFER_RANGE, 32, "each transfer range lies in its buffer")                  \
        X(VMBUS_BAD_GPA_HEADER, 33, "each GPA range has a header word")                            \
        X(VMBUS_BAD_GPA_EMPTY, 34, "a GPA range has at least one byte")                            \
        X(VMBUS_BAD_GPA_OFFSET, 35, "a GPA range begins in its first page")                        \
        X(VMBUS_BAD_GPA_OVERFLOW, 36, "offset and length of a GPA range add up in 32 bits")        \
        X(VMBUS_BAD_GPA_PAGES, 37, "a GPA range lists every page that it covers")                  \
        X(VMBUS_BAD_PIPE_PACKET, 38, "a pipe carries in-band packets only")                        \
        X(VMBUS_BAD_PIPE_HEADER, 39, "a packet of a pipe begins with a pipe header")               \
        X(VMBUS_BAD_PIPE_TYPE, 40, "a pipe header says data, or partial on a byte pipe")           \
        X(VMBUS_BAD_PIPE_LENGTH, 41, "what a pipe header announces is in the packet")              \
        X(VMBUS_BAD_PIPE_PARTIAL, 42, "less than all of a partial packet is consumed")             \
        X(VMBUS_BAD_REQUEST_ID, 43, "a completion names a request that was made")                  \
        X(VMBUS_BAD_REQUEST_TWICE, 44, "a request is completed once")

enum vmbus_result {
#define VMBUS_RESULT_ENUM_(name, number, rule) name = (number),
        VMBUS_RESULT_LIST(VMBUS_RESULT_ENUM_)
#undef VMBUS_RESULT_ENUM_
};

#define VMBUS_CORRUPT_FIRST VMBUS_BAD_IN_RANGE

/* Whether `result` names a rule that the peer broke. */
static inline bool vmbus_result_is_corrupt(enum vmbus_result result)
{
        return result >= VMBUS_CORRUPT_FIRST;
}

/* `result` of a slow way out, which is never VMBUS_OK; said so that a compiler that sees only the
 * way in does not warn of what is filled in on VMBUS_OK. */
static inline enum vmbus_result vmbus_result_not_ok_(enum vmbus_result result)
{
        ASSERT(result != VMBUS_OK);
        return result;
}

/* The first broken rule of an end; reason is VMBUS_OK while there is none. */
struct vmbus_fault {
        enum vmbus_result reason;
        uint32_t index; /* where the end stood: the packet's, or its own last committed one */
        uint32_t value; /* the value that broke the rule, as it was read */
        uint32_t limit; /* what it was held against */
};

/* The name and the rule as static strings; "VMBUS_?" and "" for a number that is not in the
 * list. */
const char *vmbus_result_name(enum vmbus_result result);
const char *vmbus_result_rule(enum vmbus_result result);

/* The same for callers that speak zx_status_t:
 *   VMBUS_OK -> ZX_OK                           EMPTY, FULL, BUSY -> ZX_ERR_SHOULD_WAIT
 *   COMMIT_FIRST -> ZX_ERR_BAD_STATE            TOO_LARGE, RANGE_END -> ZX_ERR_OUT_OF_RANGE
 *   PIPE_END -> ZX_ERR_PEER_CLOSED              BATCH_END -> ZX_ERR_STOP
 *   every broken rule -> ZX_ERR_IO_DATA_INTEGRITY */
zx_status_t vmbus_result_status(enum vmbus_result result);

#endif
