/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_echo — a device that sends back what it gets: the simplest
 * one that a channel can have.
 *
 *   guest sends                          the echo answers
 *   in-band, no completion requested     in-band, the same payload
 *   in-band, completion requested        completion, the same id and payload
 *   GPA direct                           inverts every byte of the ranges in the
 *                                        guest's memory; completion (if requested) with
 *                                        struct vmbus_host_echo_direct
 *   completion                           counted, no answer
 *   pipe mode: data, 0 to 16,384 bytes   data, the same bytes (a message pipe; a byte pipe as well)
 *
 * Payloads come back padded to a multiple of 8, as they arrive; in pipe mode with their exact
 * length. With `requests` set, the host also asks: after each opening it sends so many in-band
 * packets that request a completion, transaction ids 1 to `requests`, the payload being the id
 * (8 bytes).
 * Context     as the host */
#ifndef TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_ECHO_H
#define TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_ECHO_H

#include "tests/peers/vmbus_host/vmbus_host.h"

/* Classes of this project's own making, in wire order: {5f0a1e70-6c3b-4d0a-9b1e-0000000000NN}. */
#define VMBUS_HOST_ECHO_GUID_(last)                                                                \
        {                                                                                          \
                0x70, 0x1e, 0x0a, 0x5f, 0x3b, 0x6c, 0x0a, 0x4d, 0x9b, 0x1e, 0, 0, 0, 0, 0, (last)  \
        }
#define VMBUS_HOST_ECHO_PACKETS VMBUS_HOST_ECHO_GUID_(1)  /* interface: packets */
#define VMBUS_HOST_ECHO_MESSAGES VMBUS_HOST_ECHO_GUID_(2) /* interface: a message pipe */
#define VMBUS_HOST_ECHO_INSTANCE(number) VMBUS_HOST_ECHO_GUID_(0x80 + (number))

/* Words of a GPA-direct packet's ranges that the echo takes; more are refused by status 1. */
#define VMBUS_HOST_ECHO_WORDS 64u

/* Payload of the completion of a GPA-direct packet. */
struct vmbus_host_echo_direct {
        uint32_t status; /* 0 done; 1 refused: too many ranges, or a page that is not there */
        uint32_t byte_count;
        uint64_t sum; /* of the bytes as they were before */
};

struct vmbus_host_echo {
        struct vmbus_host_device device;
        bool pipe;
        uint32_t requests;  /* to be set before the opening */
        uint32_t requested; /* sent since then */
        uint64_t packets, bytes, completions;
        uint64_t words[VMBUS_HOST_ECHO_WORDS];
};

/* A fresh echo; `pipe`: the offer has WIRE_OFFER_PIPE. */
void vmbus_host_echo_init(struct vmbus_host_echo *echo, bool pipe);

/* Fills in an offer of it; number 0 .. 127 tells instances apart. */
void vmbus_host_echo_offer(struct vmbus_host_echo *echo, struct vmbus_host_offer *offer,
                           uint8_t number);

#endif
