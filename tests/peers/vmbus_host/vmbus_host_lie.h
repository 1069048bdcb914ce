/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_lie — the lying mode: a host that breaks the rules on purpose, repeatably.
 *
 * At each opportunity (a message leaves, a packet is written, a poll ends) the host throws a dice;
 * one time in `rate` it breaks one rule of those that are allowed. The same seed, the same guest
 * and the same order of calls give the same lies.
 * Context     as the host
 * Facts       spec/vmbus.md, c.7, e.11, f.3, f.5: what a guest must not trust */
#ifndef TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_LIE_H
#define TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_LIE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* X(name, what it does) */
#define VMBUS_HOST_LIE_LIST(X)                                                                     \
        X(MESSAGE_SHORT, "a message ends before its layout does")                                  \
        X(MESSAGE_LONG, "a message has 240 bytes, garbage behind its layout")                      \
        X(MESSAGE_TYPE, "a message has a type that does not exist")                                \
        X(MESSAGE_DIRECTION, "a message has a type that only guests send")                         \
        X(MESSAGE_CHANNEL, "a message names another channel")                                      \
        X(MESSAGE_ID, "a message names another GPADL or another opening")                          \
        X(MESSAGE_STATUS, "a message has another status")                                          \
        X(MESSAGE_BITS, "a message has a random byte in it")                                       \
        X(MESSAGE_DROP, "a message does not come")                                                 \
        X(MESSAGE_TWICE, "a message comes twice")                                                  \
        X(MESSAGE_UNASKED, "an answer comes that nobody asked for")                                \
        X(VERSION_FEATURES, "features are granted that nobody asked for")                          \
        X(OFFER_MONITOR, "an offer has a monitor id beyond the table")                             \
        X(RESCIND, "an offer is rescinded for no reason")                                          \
        X(RESCIND_UNKNOWN, "an offer is rescinded that was never made")                            \
        X(SIGNAL_DROP, "a signal does not come")                                                   \
        X(SIGNAL_SPURIOUS, "a signal comes for nothing")                                           \
        X(SIGNAL_OTHER, "a signal comes on another channel's flag")                                \
        X(RING_IN_RANGE, "in lies beyond the ring")                                                \
        X(RING_IN_ALIGNMENT, "in is no multiple of 8")                                             \
        X(RING_IN_BACKWARDS, "in takes back what it published")                                    \
        X(RING_IN_AHEAD, "in runs ahead of what was written")                                      \
        X(RING_OUT_RANGE, "out lies beyond the ring")                                              \
        X(RING_OUT_ALIGNMENT, "out is no multiple of 8")                                           \
        X(RING_OUT_AHEAD, "out passes in")                                                         \
        X(RING_PENDING, "pending_send_size is a random number")                                    \
        X(RING_MASK, "the guest's own interrupt mask is set")                                      \
        X(PACKET_LENGTH, "a packet is longer than what is there")                                  \
        X(PACKET_OFFSET, "a packet's data begin behind its end")                                   \
        X(PACKET_TYPE, "a packet has a type that does not exist")                                  \
        X(PACKET_FLAGS, "a packet has flags that do not exist")                                    \
        X(PACKET_FOOTER, "a packet's footer is garbage")                                           \
        X(PACKET_SCRIBBLE, "a packet changes after it was signalled")                              \
        X(COMPLETION_UNKNOWN, "a completion has an id that nobody used")                           \
        X(COMPLETION_TWICE, "a completion comes twice")                                            \
        X(COMPLETION_DROP, "a completion does not come")                                           \
        X(PIPE_HEADER, "a pipe header says nothing known, or more than there is")                  \
        X(TRANSFER_SET, "transfer pages name another buffer")                                      \
        X(TRANSFER_BOUNDS, "a transfer range leaves its buffer")                                   \
        X(TRANSFER_COUNT, "more transfer ranges are announced than are there")                     \
        X(TRANSFER_NONE, "a transfer has no range")                                                \
        X(TRANSFER_REUSE, "a range is given out again before it came back")                        \
        X(TRANSFER_SCRIBBLE, "received bytes change after they were signalled")                    \
        X(NVSP_TYPE, "an NVSP message has a type that does not exist")                             \
        X(NVSP_STATUS, "an NVSP message has another status")                                       \
        X(NVSP_SECTIONS, "sections do not fit their buffer")                                       \
        X(NVSP_SHORT, "an NVSP message ends before its layout does")                               \
        X(RNDIS_LENGTH, "an RNDIS message is longer than its range")                               \
        X(RNDIS_SHORT, "an RNDIS message is shorter than its header")                              \
        X(RNDIS_TYPE, "an RNDIS message has a type that does not exist")                           \
        X(RNDIS_DATA, "a frame leaves its RNDIS message")                                          \
        X(RNDIS_PPI, "per-packet info leaves its RNDIS message")                                   \
        X(RNDIS_PPI_SIZE, "an element of per-packet info has no size, or leaves its list")         \
        X(RNDIS_PPI_OFFSET, "an element of per-packet info has its data elsewhere")                \
        X(RNDIS_OOB, "a frame has out-of-band records or a virtual circuit")                       \
        X(RNDIS_REQUEST, "an answer names another request")                                        \
        X(RNDIS_INFORMATION, "information leaves its RNDIS message")                               \
        X(RNDIS_ANSWER, "an answer has less information than its question asks for")               \
        X(LINK, "the link goes down and up")                                                       \
        X(MAILBOX_HEAD, "in shared pages: more messages are taken than were sent")                 \
        X(MAILBOX_TAIL, "in shared pages: more messages are sent than there are slots")            \
        X(MAILBOX_TYPE, "in shared pages: a slot holds no VMBus message")                          \
        X(MAILBOX_BYTES, "in shared pages: a slot holds more bytes than it has room for")          \
        X(MAILBOX_ZERO, "in shared pages: reserved fields of a slot are not zero")

/* The last ones are about what carries messages, and told by program/mailbox.c. */
enum vmbus_host_lie {
#define VMBUS_HOST_LIE_ENUM_(name, text) VMBUS_HOST_LIE_##name,
        VMBUS_HOST_LIE_LIST(VMBUS_HOST_LIE_ENUM_)
#undef VMBUS_HOST_LIE_ENUM_
                VMBUS_HOST_LIES
};
_Static_assert(VMBUS_HOST_LIES <= 64, "a bit each");

#define VMBUS_HOST_LIE_ALL (~0ull)
/* Those about what carries messages: each ends a guest's connection at once. */
#define VMBUS_HOST_LIE_OF_MAILBOX                                                                  \
        (BIT_MASK(VMBUS_HOST_LIE_MAILBOX_HEAD) | BIT_MASK(VMBUS_HOST_LIE_MAILBOX_TAIL) |           \
         BIT_MASK(VMBUS_HOST_LIE_MAILBOX_TYPE) | BIT_MASK(VMBUS_HOST_LIE_MAILBOX_BYTES) |          \
         BIT_MASK(VMBUS_HOST_LIE_MAILBOX_ZERO))

struct vmbus_host;

/* Starts to lie, or stops.
 *   seed  any number
 *   rate  one opportunity in so many; 0: never (how a host begins)
 * All lies are allowed after this. */
void vmbus_host_lie(struct vmbus_host *host, uint64_t seed, uint32_t rate);

/* Which lies are allowed: the sum of BIT_MASK(VMBUS_HOST_LIE_...). */
void vmbus_host_lie_only(struct vmbus_host *host, uint64_t lies);

/* Throws the dice; true: the caller tells that lie now. For those that
 * the host does not tell itself. */
bool vmbus_host_lies_now(struct vmbus_host *host, enum vmbus_host_lie lie);

/* How many lies were told, of one kind and of all. */
uint32_t vmbus_host_lies_told(const struct vmbus_host *host, enum vmbus_host_lie lie);
uint32_t vmbus_host_lies_told_total(const struct vmbus_host *host);

const char *vmbus_host_lie_name(enum vmbus_host_lie lie);
const char *vmbus_host_lie_text(enum vmbus_host_lie lie);

#endif
