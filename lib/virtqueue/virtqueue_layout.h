/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_layout — the bytes that driver and device share, of the split and of the packed ring.
 *
 *   split    descriptors  16 q bytes, 16-aligned    written by the driver
 *            avail ring   6 + 2 q,     2-aligned    written by the driver     ("driver area")
 *            used ring    6 + 8 q,     4-aligned    written by the device     ("device area")
 *   packed   descriptors  16 q bytes, 16-aligned    written by both
 *            two event suppression words of 4 bytes, 4-aligned
 *
 * Index fields run freely modulo 65536; the slot of index i is i mod q. All fields are
 * little-endian, and so is every machine this builds for. Nothing here touches memory.
 *
 * Facts       Virtio 1.3, 2.7 (split), 2.8 (packed), 4.1.5.2 (notification layout)
 * Relies on   base/bytes.h */
#ifndef VIRTQUEUE_VIRTQUEUE_LAYOUT_H
#define VIRTQUEUE_VIRTQUEUE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ring fields are stored as they are");

#define VIRTQUEUE_SIZE_MAX 32768u /* entries of either ring, 2.7 and 2.8.10 */

/* Bits of a descriptor's flags. */
#define VIRTQUEUE_NEXT_BIT 0     /* the chain goes on */
#define VIRTQUEUE_WRITE_BIT 1    /* the device writes this element; else it reads it */
#define VIRTQUEUE_INDIRECT_BIT 2 /* the element is a table of descriptors */
#define VIRTQUEUE_AVAIL_BIT 7    /* packed only */
#define VIRTQUEUE_USED_BIT 15    /* packed only */

/* Bit of split flags fields: the writer wants no signal (advisory; ignored with EVENT_IDX). */
#define VIRTQUEUE_NO_INTERRUPT_BIT 0 /* in avail.flags */
#define VIRTQUEUE_NO_NOTIFY_BIT 0    /* in used.flags */

#define VIRTQUEUE_FLAG(bit) ((uint16_t)BIT_MASK(bit))

#define VIRTQUEUE_DESCRIPTOR_BYTES 16u
#define VIRTQUEUE_USED_ELEMENT_BYTES 8u
#define VIRTQUEUE_DESCRIPTOR_ALIGN 16u
#define VIRTQUEUE_AVAIL_ALIGN 2u
#define VIRTQUEUE_USED_ALIGN 4u

struct virtqueue_descriptor {
        uint64_t address;
        uint32_t bytes;
        uint16_t flags;
        uint16_t next; /* with NEXT: index of the chain's next descriptor */
};

/* The same 16 bytes in a packed ring. */
struct virtqueue_packed_descriptor {
        uint64_t address;
        uint32_t bytes; /* in a used one: written by the device */
        uint16_t id;    /* the driver's name for the chain; in its last descriptor, and when used */
        uint16_t flags;
};

/* Of the last 8 bytes of a packed descriptor, which are read and written as one word. */
#define VIRTQUEUE_PACKED_ID_SHIFT 32
#define VIRTQUEUE_PACKED_FLAGS_SHIFT 48

/* When a packed ring's peer wants to be signalled: one word in each direction. */
struct virtqueue_packed_event {
        uint16_t position; /* offset, and in bit 15 the wrap counter; with EVENT_AT */
        uint16_t flags;    /* enum virtqueue_packed_event_mode in the low two bits */
};

enum virtqueue_packed_event_mode {
        VIRTQUEUE_PACKED_EVENT_ALWAYS = 0,
        VIRTQUEUE_PACKED_EVENT_NEVER = 1,
        VIRTQUEUE_PACKED_EVENT_AT = 2, /* that descriptor; only with EVENT_IDX */
};

#define VIRTQUEUE_PACKED_EVENT_BYTES 4u
#define VIRTQUEUE_PACKED_EVENT_ALIGN 4u
#define VIRTQUEUE_PACKED_EVENT_MODE_MASK 3u
#define VIRTQUEUE_PACKED_WRAP_BIT 15 /* in a position */
#define VIRTQUEUE_PACKED_OFFSET_MASK 0x7fffu

struct virtqueue_avail {
        uint16_t flags;
        uint16_t index;  /* of the next entry to be filled */
        uint16_t ring[]; /* heads; then, with EVENT_IDX, used_event */
};

struct virtqueue_used_element {
        uint32_t id;    /* head of the chain */
        uint32_t bytes; /* written by the device, from the start of the writable part */
};

struct virtqueue_used {
        uint16_t flags;
        uint16_t index;
        struct virtqueue_used_element ring[]; /* then, with EVENT_IDX, avail_event (16 bits) */
};

_Static_assert(sizeof(struct virtqueue_descriptor) == VIRTQUEUE_DESCRIPTOR_BYTES,
               "read by the device");
_Static_assert(offsetof(struct virtqueue_descriptor, bytes) == 8, "read by the device");
_Static_assert(offsetof(struct virtqueue_descriptor, flags) == 12, "read by the device");
_Static_assert(offsetof(struct virtqueue_descriptor, next) == 14, "read by the device");
_Static_assert(offsetof(struct virtqueue_avail, index) == 2, "read by the device");
_Static_assert(offsetof(struct virtqueue_avail, ring) == 4, "read by the device");
_Static_assert(sizeof(struct virtqueue_used_element) == VIRTQUEUE_USED_ELEMENT_BYTES,
               "written by it");
_Static_assert(offsetof(struct virtqueue_used, index) == 2, "written by the device");
_Static_assert(offsetof(struct virtqueue_used, ring) == 4, "written by the device");

_Static_assert(sizeof(struct virtqueue_packed_descriptor) == VIRTQUEUE_DESCRIPTOR_BYTES,
               "read by the device");
_Static_assert(offsetof(struct virtqueue_packed_descriptor, bytes) == 8, "read by the device");
_Static_assert(offsetof(struct virtqueue_packed_descriptor, id) == 12, "read by the device");
_Static_assert(offsetof(struct virtqueue_packed_descriptor, flags) == 14, "read by the device");
_Static_assert(sizeof(struct virtqueue_packed_event) == VIRTQUEUE_PACKED_EVENT_BYTES,
               "read by the device");

/* Bytes of the three areas of a split ring of `size` entries, the event words included. */
static inline uint64_t virtqueue_descriptors_bytes(uint32_t size)
{
        return (uint64_t)VIRTQUEUE_DESCRIPTOR_BYTES * size;
}

static inline uint64_t virtqueue_avail_bytes(uint32_t size)
{
        return sizeof(struct virtqueue_avail) + sizeof(uint16_t) * ((uint64_t)size + 1);
}

static inline uint64_t virtqueue_used_bytes(uint32_t size)
{
        return sizeof(struct virtqueue_used) + (uint64_t)VIRTQUEUE_USED_ELEMENT_BYTES * size +
               sizeof(uint16_t);
}

/* Whether a split ring may have `size` entries. */
static inline bool virtqueue_split_size_valid(uint32_t size)
{
        return is_power_of_two(size) && size <= VIRTQUEUE_SIZE_MAX;
}

/* Whether a packed ring may have `size` entries: any number (2.8.10.1). */
static inline bool virtqueue_packed_size_valid(uint32_t size)
{
        return size - 1 < VIRTQUEUE_SIZE_MAX;
}

/* The two event words, behind the rings. */
static inline uint16_t *virtqueue_used_event(struct virtqueue_avail *avail, uint32_t size)
{
        return &avail->ring[size];
}

static inline uint16_t *virtqueue_avail_event(struct virtqueue_used *used, uint32_t size)
{
        return (uint16_t *)(void *)&used->ring[size];
}

/* Whether a peer that asked to be told when entry `event` is filled must be told now.
 *   index   free-running index after the move (packed: ring position, `event` less q on the other
 *           lap)
 *   moved   how far it moved since this was last asked, 0..; a whole batch is one question
 * Modulo 65536 by construction: comparing with >= would break at the wrap, comparing only the last
 * entry would miss batches (2.7.10). */
static inline bool virtqueue_event_reached(uint16_t event, uint16_t index, uint64_t moved)
{
        return (uint16_t)(index - event - 1) < moved;
}

/* Both bits, AVAIL and USED, as they are in a descriptor of the lap with wrap counter `wrap`. */
static inline uint16_t virtqueue_packed_available(bool wrap)
{
        return wrap ? VIRTQUEUE_FLAG(VIRTQUEUE_AVAIL_BIT) : VIRTQUEUE_FLAG(VIRTQUEUE_USED_BIT);
}

static inline uint16_t virtqueue_packed_used(bool wrap)
{
        return wrap ? VIRTQUEUE_FLAG(VIRTQUEUE_AVAIL_BIT) | VIRTQUEUE_FLAG(VIRTQUEUE_USED_BIT) : 0;
}

/* The last 8 bytes of a packed descriptor. */
static inline uint64_t virtqueue_packed_rest(uint64_t bytes, uint32_t id, uint64_t flags)
{
        return bytes | (uint64_t)id << VIRTQUEUE_PACKED_ID_SHIFT |
               flags << VIRTQUEUE_PACKED_FLAGS_SHIFT;
}

/* Where somebody stands in a packed ring. */
struct virtqueue_packed_place {
        uint32_t offset; /* below size */
        bool wrap;       /* the wrap counter; true in the beginning */
};

/* Moves a place on by `count` entries, at most a lap. */
static inline void virtqueue_packed_advance(struct virtqueue_packed_place *place, uint32_t count,
                                            uint32_t size)
{
        place->offset += count;
        if (place->offset >= size) {
                place->offset -= size;
                place->wrap = !place->wrap;
        }
}

/* A place as event words, notifications and saved states have it, and back. */
static inline uint16_t virtqueue_packed_position(struct virtqueue_packed_place place)
{
        return (uint16_t)(place.offset | (uint32_t)place.wrap << VIRTQUEUE_PACKED_WRAP_BIT);
}

static inline struct virtqueue_packed_place virtqueue_packed_place_of(uint16_t position)
{
        return (struct virtqueue_packed_place){
                .offset = position & VIRTQUEUE_PACKED_OFFSET_MASK,
                .wrap = (position & BIT_MASK(VIRTQUEUE_PACKED_WRAP_BIT)) != 0,
        };
}

/* Whether a peer whose event word is `event` must be told that `moved` entries up to `position`
 * were filled since this was last asked. Words that no rule allows (an offset outside the
 * ring, mode 3, mode 2 without EVENT_IDX) count as a wish to be told. */
static inline bool virtqueue_packed_event_wanted(uint32_t event, uint32_t size, bool event_index,
                                                 uint16_t position, uint64_t moved)
{
        uint32_t mode = event >> 16 & VIRTQUEUE_PACKED_EVENT_MODE_MASK;
        uint32_t at = event & VIRTQUEUE_PACKED_OFFSET_MASK;
        if (mode == VIRTQUEUE_PACKED_EVENT_NEVER)
                return false;
        if (mode != VIRTQUEUE_PACKED_EVENT_AT || !event_index || at >= size || moved >= size)
                return true;
        if (((event ^ position) & BIT_MASK(VIRTQUEUE_PACKED_WRAP_BIT)) != 0) /* the lap before */
                at -= size;
        return virtqueue_event_reached((uint16_t)at, position & VIRTQUEUE_PACKED_OFFSET_MASK,
                                       moved);
}

/* What a 32-bit notification carries with NOTIFICATION_DATA.
 *   queue      index of the queue, or the value that the device supplied for it
 *   position   split: avail index after publishing; packed: ring offset | wrap counter << 15 */
static inline uint32_t virtqueue_notification_data(uint16_t queue, uint16_t position)
{
        return (uint32_t)position << 16 | queue;
}

#endif
