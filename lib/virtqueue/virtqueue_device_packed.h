/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_device_packed — what both halves of a packed ring's device end have in common. Private
 * to them: virtqueue_device_packed.c takes chains of one descriptor, and gives back;
 * virtqueue_device_packed_chains.c takes all other chains.
 *
 * Facts       Virtio 1.3, 2.8 */
#ifndef VIRTQUEUE_VIRTQUEUE_DEVICE_PACKED_H
#define VIRTQUEUE_VIRTQUEUE_DEVICE_PACKED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/shared.h"
#include "virtqueue/virtqueue_device.h"
#include "virtqueue/virtqueue_device_gather.h"

/* A descriptor in two words, as it is read: bytes, id << 32 and flags << 48 make one. */
struct virtqueue_packed_words {
        uint64_t dev, rest;
};

/* Its flags, in the last 8 bytes. */
#define VIRTQUEUE_REST_FLAG(bit) BIT_MASK(VIRTQUEUE_PACKED_FLAGS_SHIFT + (bit))
#define VIRTQUEUE_REST_NEXT VIRTQUEUE_REST_FLAG(VIRTQUEUE_NEXT_BIT)
#define VIRTQUEUE_REST_WRITE VIRTQUEUE_REST_FLAG(VIRTQUEUE_WRITE_BIT)
#define VIRTQUEUE_REST_INDIRECT VIRTQUEUE_REST_FLAG(VIRTQUEUE_INDIRECT_BIT)
#define VIRTQUEUE_REST_BOTH \
        (VIRTQUEUE_REST_FLAG(VIRTQUEUE_AVAIL_BIT) | VIRTQUEUE_REST_FLAG(VIRTQUEUE_USED_BIT))

/* What must be 0 in the last 8 bytes of a plain descriptor when its flags and one byte were
 * subtracted: all but the id and the length. So it has these flags and from 1 to
 * VIRTQUEUE_PLAIN_BYTES_MAX bytes. */
#define VIRTQUEUE_REST_ID (UINT64_C(0xffff) << VIRTQUEUE_PACKED_ID_SHIFT)
#define VIRTQUEUE_REST_BAD (~(VIRTQUEUE_REST_ID | (VIRTQUEUE_PLAIN_BYTES_MAX - 1)))

/* What AVAIL and USED of an available descriptor are, in the last 8 bytes. */
static ALWAYS_INLINE uint64_t virtqueue_packed_available_on_lap(bool wrap)
{
        return virtqueue_packed_rest(0, 0, virtqueue_packed_available(wrap));
}

/* A copy of a descriptor, each field read once. Acquire of its flags; pairs with the driver's
 * release of the head's: the address and the rest of the chain come after. */
static ALWAYS_INLINE struct virtqueue_packed_words virtqueue_packed_load_words(
        const struct virtqueue_packed_descriptor *descriptor)
{
        uint64_t rest = shared_load_acquire_u64(&descriptor->bytes);
        return (struct virtqueue_packed_words){.rest = rest,
                                               .dev = shared_load_u64(&descriptor->address)};
}

/* Pops the chain that begins with `begun`, and those behind it, whatever they are, as long as there
 * are some and there is room.
 *   batch    count and elements_count say what is in it already
 *   begun    the descriptor where the device stands: it is not read again
 *   returns  ZX_OK: batch->count is not 0, and more may be available than fitted, or
 *            behind the ring's end; ZX_ERR_SHOULD_WAIT: nothing is available;
 *            ZX_ERR_NO_RESOURCES: batch->count chains, one or more, were popped before one
 *            that has more pieces than is left of the room; ZX_ERR_IO_DATA_INTEGRITY:
 *            batch->count were popped before the fault */
zx_status_t MUST_CHECK virtqueue_packed_pop_chains(struct virtqueue_device *device,
                                                   struct virtqueue_request_batch *batch,
                                                   struct virtqueue_packed_words begun);

#endif
