/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_rule — one name for each rule that a guest can break towards the host.
 *
 * What breaks a rule is refused (with an answer where the protocol has one), counted and told to
 * the log; the connection goes on, except that a channel whose ring or device protocol is broken is
 * served no more until it is closed. Relies on nothing.
 * Facts       spec/vmbus.md, (e), (f) */
#ifndef TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_RULE_H
#define TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_RULE_H

#include <stdint.h>

/* X(name, rule); value broke it, limit is what it was held against */
#define VMBUS_HOST_RULE_LIST(X)                                                                    \
        X(NONE, "")                                                                                \
        X(MESSAGE_BYTES, "a message has 8 to 240 bytes")                                           \
        X(MESSAGE_ZERO, "the second word of a message is 0")                                       \
        X(MESSAGE_TYPE, "the type is one that guests send")                                        \
        X(MESSAGE_SHORT, "a message is as long as its layout")                                     \
        X(MESSAGE_CONNECTION, "a message goes to the connection id that was announced")            \
        X(MESSAGE_UNNEGOTIATED, "first a version is agreed")                                       \
        X(MESSAGE_VERSION, "the type belongs to the version that was agreed")                      \
        X(MESSAGE_FEATURE, "the type belongs to a feature that was granted")                       \
        X(MESSAGE_PAUSED, "while paused only Resume, Unload and InitiateContact come")             \
        X(CONTACT_MONITOR, "monitor pages come in pairs")                                          \
        X(CONTACT_SINT, "messages go to SINT 2")                                                   \
        X(CONTACT_VTL, "the target VTL is 0")                                                      \
        X(CONTACT_ZERO, "reserved bytes are 0")                                                    \
        X(CONTACT_CLIENT, "who asks for the client id feature sends an id")                        \
        X(OFFERS_TWICE, "offers are requested once a connection")                                  \
        X(CHANNEL_UNKNOWN, "the channel was offered")                                              \
        X(CHANNEL_OPEN, "the channel is not open")                                                 \
        X(CHANNEL_NOT_OPEN, "the channel is open")                                                 \
        X(CHANNEL_RESCINDED, "the channel was not rescinded")                                      \
        X(OPEN_GPADL, "the ring's GPADL exists on this channel")                                   \
        X(OPEN_SHAPE, "the ring's GPADL is one range of whole pages")                              \
        X(OPEN_DOWNSTREAM, "each ring has a control page and a page of data")                      \
        X(OPEN_FLAG, "an event flag is below 2048")                                                \
        X(OPEN_RING, "the ring's indices are valid")                                               \
        X(OPEN_REFUSED, "the device accepts the opening")                                          \
        X(OPEN_SINT, "a SINT is below 16")                                                         \
        X(OPEN_VP, "events go to a processor that exists, or to none")                             \
        X(GPADL_BYTES, "a range list is whole words, two at least")                                \
        X(GPADL_RANGES, "a range list has a range")                                                \
        X(GPADL_IN_USE, "the handle is new")                                                       \
        X(GPADL_UNKNOWN, "the handle is known")                                                    \
        X(GPADL_INCOMPLETE, "the list is complete")                                                \
        X(GPADL_EMPTY_BODY, "a body has a word")                                                   \
        X(GPADL_LIST, "each range of the list is good")                                            \
        X(GPADL_PAGE, "the pages of the list exist")                                               \
        X(GPADL_BUSY, "the ring is closed before its GPADL goes")                                  \
        X(GPADL_NO_ROOM, "(this host has no room for the list)")                                   \
        X(MODIFY_NO_VP, "a modified channel keeps its interrupts")                                 \
        X(MODIFY_VP, "events go to a processor that exists")                                       \
        X(MODIFY_DISABLED, "a channel without interrupts is not modified")                         \
        X(RELEASE_NOT_RESCINDED, "only a rescinded channel is released")                           \
        X(RELEASE_OPEN, "a released channel is closed")                                            \
        X(RELEASE_GPADL, "a released channel has no GPADL")                                        \
        X(EVENT_UNKNOWN, "an event names an open channel")                                         \
        X(RING, "the ring is not corrupt")                                                         \
        X(PACKET_TYPE, "the device takes packets of this type")                                    \
        X(PACKET_SHORT, "a packet is as long as its message")                                      \
        X(PACKET_PAGE, "the pages of a packet exist")                                              \
        X(PACKET_RANGES, "a packet names no more pages than the device takes")                     \
        X(PIPE_HEADER, "a packet of a pipe begins with the header of its data")                    \
        X(NVSP_TYPE, "the NVSP message is one that guests send")                                   \
        X(NVSP_ORDER, "NVSP messages come in the order of the set-up")                             \
        X(NVSP_VERSION, "both version words are the same")                                         \
        X(NVSP_BUFFER, "a buffer is a GPADL of one range of whole pages")                          \
        X(NVSP_BUFFER_ID, "a buffer has the id of its kind")                                       \
        X(NVSP_SECTION, "a send-buffer section lies in the buffer")                                \
        X(NVSP_COMPLETION, "a completion names a transfer that is out")                            \
        X(NVSP_CHANNEL_TYPE, "an RNDIS packet is data or control")                                 \
        X(NVSP_SUBCHANNELS, "fewer subchannels are asked for than there are queues")               \
        X(RNDIS_BYTES, "an RNDIS message is as long as it says")                                   \
        X(RNDIS_TYPE, "the RNDIS message is one that guests send")                                 \
        X(RNDIS_ORDER, "RNDIS begins with INITIALIZE, once")                                       \
        X(RNDIS_VERSION, "RNDIS is version 1.0")                                                   \
        X(RNDIS_REQUEST, "a request id is not 0")                                                  \
        X(RNDIS_INFORMATION, "the information lies in its message")                                \
        X(RNDIS_OID, "the OID is known")                                                           \
        X(RNDIS_OID_BYTES, "the information has the length of its OID")                            \
        X(RNDIS_OID_VALUE, "the value is one that its OID allows")                                 \
        X(RNDIS_DATA, "the frame lies in its message")                                             \
        X(RNDIS_RESERVED, "out-of-band fields and VC handle are 0")                                \
        X(RNDIS_PPI, "the per-packet info lies in its message")                                    \
        X(RNDIS_COUNT, "no more messages in a packet than announced")                              \
        X(RNDIS_FRAME, "the frame has 14 bytes and fits")                                          \
        X(RNDIS_OFFLOAD, "an offload has headers that allow it")

enum vmbus_host_rule {
#define VMBUS_HOST_RULE_ENUM_(name, rule) VMBUS_HOST_##name,
        VMBUS_HOST_RULE_LIST(VMBUS_HOST_RULE_ENUM_)
#undef VMBUS_HOST_RULE_ENUM_
                VMBUS_HOST_RULES
};

/* One broken rule. */
struct vmbus_host_fault {
        enum vmbus_host_rule rule;
        uint32_t channel; /* 0: none */
        uint32_t value;
        uint32_t limit;
};

/* The name, such as "GPADL_LIST", and the rule, as static strings; "?" for other numbers. */
const char *vmbus_host_rule_name(enum vmbus_host_rule rule);
const char *vmbus_host_rule_text(enum vmbus_host_rule rule);

#endif
