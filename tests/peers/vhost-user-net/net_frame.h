/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* net_frame — frames on their way through the program: private copies, each with the header that it
 * was sent with, in batches.
 *
 *   arena  |....header|frame.....|....header|frame...|
 *                     ^64 n                 ^64 m
 *
 * The header stands right before its frame, so that both go into a receive buffer in one copy.
 *
 * Owner       whoever has the batch
 * Context     one thread
 * Facts       Virtio 1.3, 5.1.6; RFC 1071 (checksums) */
#ifndef TESTS_PEERS_NET_FRAME_H
#define TESTS_PEERS_NET_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "tests/peers/vhost-user-net/net_header.h"

#define NET_BATCH_FRAMES 64u
#define NET_PAIR_ANY UINT32_MAX
#define NET_BATCH_STEP 64u /* a frame begins at a multiple of it, its header before */
#define NET_BATCH_BYTES (4u * (NET_FRAME_BYTES_MAX + 128u))

struct net_frame_place {
        uint8_t *data;  /* the frame; NET_HEADER_BYTES before it is its header */
        uint32_t bytes; /* of the frame */
        uint32_t pair;  /* queue pair it came from and goes back to; or NET_PAIR_ANY */
};

struct net_batch {
        uint32_t count; /* frames */
        uint32_t next;  /* of those, the first that is not delivered yet */
        uint32_t used_bytes;
        struct net_frame_place frames[NET_BATCH_FRAMES];
        uint8_t arena[NET_BATCH_BYTES] ALIGNED(64);
};

/* Why a frame is not let through. */
enum net_frame_fault {
        NET_FRAME_GOOD = 0,
        NET_FRAME_SHORT,        /* less than a header and an Ethernet header */
        NET_FRAME_LONG,         /* more than NET_FRAME_BYTES_MAX */
        NET_FRAME_FLAGS,        /* a flag that drivers must not set, or was not negotiated */
        NET_FRAME_CSUM_RANGE,   /* the checksum's place is not in the frame */
        NET_FRAME_GSO_TYPE,     /* unknown, or not negotiated */
        NET_FRAME_GSO_SIZE,     /* segments of 0 bytes, or without a checksum to be made */
        NET_FRAME_HEADER_BYTES, /* headers longer than the frame */
        NET_FRAME_FAULT_COUNT,
};

/* The header of a frame in a batch. */
static inline struct net_header *net_frame_header(const struct net_frame_place *frame)
{
        return (struct net_header *)(void *)(frame->data - NET_HEADER_BYTES);
}

static inline void net_batch_clear(struct net_batch *batch)
{
        batch->count = batch->next = batch->used_bytes = 0;
}

/* Room for one more frame of any length; false: the batch is full. */
static inline bool net_batch_has_room(const struct net_batch *batch)
{
        return batch->count < NET_BATCH_FRAMES &&
               batch->used_bytes + NET_FRAME_BYTES_MAX + 2 * NET_BATCH_STEP <= NET_BATCH_BYTES;
}

/* Where the next frame is to be put; there is room. Not part of the batch before _add(). */
static inline uint8_t *net_batch_place(struct net_batch *batch)
{
        return batch->arena + batch->used_bytes + NET_BATCH_STEP;
}

/* Adds the frame that was put there, header and all. */
static inline void net_batch_add(struct net_batch *batch, uint32_t bytes, uint32_t pair)
{
        struct net_frame_place *frame = &batch->frames[batch->count++];
        frame->data = net_batch_place(batch);
        frame->bytes = bytes;
        frame->pair = pair;
        batch->used_bytes +=
                (NET_BATCH_STEP + bytes + NET_BATCH_STEP - 1) & ~(NET_BATCH_STEP - 1);
}

/* Judges what a driver with these features says of its frame. */
enum net_frame_fault net_frame_check(const struct net_header *header, uint32_t bytes,
                                     uint64_t features);

/* The name of a fault, for messages. */
const char *net_frame_fault_name(enum net_frame_fault fault);

/* Makes the checksum that the header leaves to be made. */
void net_frame_complete_checksum(struct net_frame_place *frame);

/* Makes a frame fit for a driver with these features: completes its checksum if need be. False: it
 * is one to be segmented, and that driver takes none such. */
bool MUST_CHECK net_frame_adapt(struct net_frame_place *frame, uint64_t features);

/* A number that is the same for all frames of a flow. */
uint32_t net_frame_flow(const struct net_frame_place *frame);

#endif
