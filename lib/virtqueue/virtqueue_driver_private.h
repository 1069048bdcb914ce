/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_driver_private — what the driver's ends of both layouts share and nobody else needs.
 *
 * Facts       Virtio 1.3, 2.7 and 2.8 */
#ifndef VIRTQUEUE_VIRTQUEUE_DRIVER_PRIVATE_H
#define VIRTQUEUE_VIRTQUEUE_DRIVER_PRIVATE_H

#include "base/compiler.h"
#include "base/shared.h"
#include "virtqueue/virtqueue_driver.h"

/* What is summed up over the elements of a chain. */
struct virtqueue_chain_sum {
        uint64_t total_bytes, writable_bytes;
        uint64_t bad; /* not 0: an element without bytes, or whose addresses wrap */
};

/* Adds one element. No branch depends on it: chains are short, and a branch would cost more. */
static ALWAYS_INLINE void virtqueue_chain_sum_add(struct virtqueue_chain_sum *sum,
                                                  const struct virtqueue_element *element,
                                                  bool writable)
{
        uint64_t dev = element->dev, bytes = element->bytes, last = bytes - 1;
        sum->bad |= last >> 32;                   /* no bytes: all ones */
        sum->bad |= (uint64_t)(dev + last < dev); /* wraps */
        sum->total_bytes += bytes;
        sum->writable_bytes += bytes & -(uint64_t)writable;
}

/* Whether no call would take the chain; 2.7.4: below 2^32 bytes in all. */
static ALWAYS_INLINE bool virtqueue_chain_sum_bad(const struct virtqueue_chain_sum *sum)
{
        return (sum->bad | sum->total_bytes >> 32) != 0;
}

/* The longest chain that the short way of adding takes: none that goes into a table. */
static ALWAYS_INLINE uint32_t virtqueue_driver_plain_max(uint32_t size, uint32_t indirect_entries)
{
        return indirect_entries > 1 ? 1 : size;
}

/* What a slot's three fields are together. */
static ALWAYS_INLINE uint64_t virtqueue_slot_word(uint32_t writable_bytes, uint32_t count,
                                                  uint32_t next)
{
        return writable_bytes | (uint64_t)count << 32 | (uint64_t)next << 48;
}

static ALWAYS_INLINE uint32_t virtqueue_slot_word_count(uint64_t word)
{
        return (uint16_t)(word >> 32);
}

static ALWAYS_INLINE uint32_t virtqueue_slot_word_next(uint64_t word)
{
        return (uint32_t)(word >> 48);
}

/* Whether an element is plainly good: there is something in it, and its addresses do not wrap. One
 * that ends where addresses end is left to the long way, which judges all. */
static ALWAYS_INLINE bool virtqueue_driver_plain(uint64_t dev, uint64_t bytes)
{
        return dev + bytes > dev;
}

/* Of a chain of two elements, of which 0, 1 or 2 are to be written: which ones. */
struct virtqueue_pair_kind {
        uint16_t first_flags, second_flags; /* NEXT and WRITE of the descriptors */
        uint32_t first_mask, second_mask;   /* over lengths: all ones, or nothing */
};

static const struct virtqueue_pair_kind virtqueue_pair_kinds[] = {
        {VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT), 0, 0, 0},
        {VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT), VIRTQUEUE_FLAG(VIRTQUEUE_WRITE_BIT), 0, UINT32_MAX},
        {VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT) | VIRTQUEUE_FLAG(VIRTQUEUE_WRITE_BIT),
         VIRTQUEUE_FLAG(VIRTQUEUE_WRITE_BIT), UINT32_MAX, UINT32_MAX},
};

/* Latches the first broken rule; the queue is finished. */
void virtqueue_driver_fault(struct virtqueue_driver *queue, enum virtqueue_fault_reason reason,
                            uint32_t value, uint32_t limit);

/* Latches which rule the used entry {id, bytes} breaks; there is one. */
void virtqueue_driver_fault_of_entry(struct virtqueue_driver *queue, uint32_t id, uint32_t bytes);

/* Whether the slot of an id below the ring's size is a chain's that may be used, and `bytes` fit
 * into it. */
static ALWAYS_INLINE bool virtqueue_driver_entry_good(const struct virtqueue_slot *slot,
                                                      uint64_t word, uint64_t published,
                                                      uint32_t bytes)
{
        return virtqueue_slot_word_count(word) != 0 && slot->sequence < published &&
               bytes <= (uint32_t)word;
}

/* Whether a chain of `count` elements goes into a table. */
static ALWAYS_INLINE bool virtqueue_driver_uses_table(const struct virtqueue_driver *queue,
                                                      uint64_t count)
{
        return UNLIKELY(queue->indirect_entries != 0) && count > 1 &&
               count <= queue->indirect_entries;
}

/* Writes a chain, which is good, into the table of slot `head`; relaxed, published with the
 * descriptor that refers to it.
 *   linked   whether entries have NEXT and next (split; packed tables are read in order)
 *   returns  the device address of the table */
uint64_t virtqueue_driver_write_table(const struct virtqueue_driver *queue, uint32_t head,
                                      const struct virtqueue_chain *chain, bool linked);

/* IN_ORDER: takes in the entry {id, bytes}, with which the device has used all chains from the
 * oldest to `id`; queue->batch_left says how many.
 *   limit    1..; chains that can have been used
 *   returns  false: broken, latched */
bool MUST_CHECK virtqueue_driver_begin_batch(struct virtqueue_driver *queue, uint32_t id,
                                             uint32_t bytes, uint32_t limit);

/* IN_ORDER: takes back the oldest chain, the first of what is left of a batch.
 *   returns  descriptors of the ring that it had */
uint32_t virtqueue_driver_take_oldest(struct virtqueue_driver *queue,
                                      struct virtqueue_completion *completion);

#endif
