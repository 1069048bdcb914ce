/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_device_split — what both halves of a split ring's device end have in common. Private
 * to them: virtqueue_device_split.c looks at the avail ring, takes chains of one descriptor, and
 * gives back; virtqueue_device_split_chains.c takes all other chains.
 *
 * Facts       Virtio 1.3, 2.7 */
#ifndef VIRTQUEUE_VIRTQUEUE_DEVICE_SPLIT_H
#define VIRTQUEUE_VIRTQUEUE_DEVICE_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/shared.h"
#include "virtqueue/virtqueue_device.h"

/* A descriptor in two words, as it is read: bytes, flags << 32 and next << 48 make one. */
struct virtqueue_split_words {
        uint64_t dev, rest;
};

#define VIRTQUEUE_REST_FLAGS_SHIFT 32
#define VIRTQUEUE_REST_NEXT_SHIFT 48

enum virtqueue_split_progress {
        VIRTQUEUE_SPLIT_UNREAD,     /* not even its head was read */
        VIRTQUEUE_SPLIT_HEAD_READ,  /* and not judged */
        VIRTQUEUE_SPLIT_WORDS_READ, /* the head is good */
};

/* The next chain, as far as it was read: what was is not read again. */
struct virtqueue_split_begun {
        enum virtqueue_split_progress progress;
        uint32_t head;
        struct virtqueue_split_words words; /* the first descriptor with which nothing was done */
        uint32_t taken; /* plain descriptors before it, in the elements behind the batch's */
        uint32_t write; /* 0 or 1 << VIRTQUEUE_WRITE_BIT: the kind of all that were taken */
        uint64_t taken_bytes;
};

/* Descriptor `which`, which is below the ring's size; each field read once. */
static ALWAYS_INLINE struct virtqueue_split_words virtqueue_split_load_words(
        const struct virtqueue_descriptor *descriptors, uint32_t which)
{
        return (struct virtqueue_split_words){
                .rest = shared_load_u64(&descriptors[which].bytes),
                .dev = shared_load_u64(&descriptors[which].address)};
}

/* Whether a head may be looked at: it is one, and not in flight. */
static ALWAYS_INLINE bool virtqueue_split_head_good(const struct virtqueue_device_slot *slots,
                                                    uint32_t size, uint32_t head)
{
        return LIKELY(head < size) && LIKELY(slots[head].word == 0);
}

/* Latches what is wrong with a head that is not good; returns ZX_ERR_IO_DATA_INTEGRITY. */
zx_status_t virtqueue_split_refuse_head(struct virtqueue_device *device, uint32_t head);

/* Pops a chain that was begun, of which nothing was taken, and those behind it that are known to be
 * available, as long as there is room.
 *   batch    count and elements_count say what is in it already
 *   begun    in; scratch
 *   returns  ZX_OK; ZX_ERR_IO_DATA_INTEGRITY: batch->count chains were popped before */
zx_status_t MUST_CHECK virtqueue_split_pop_chains(struct virtqueue_device *device,
                                                  struct virtqueue_request_batch *batch,
                                                  struct virtqueue_split_begun *begun);

#endif
