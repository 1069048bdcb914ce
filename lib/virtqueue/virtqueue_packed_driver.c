/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The packed ring, driver's end, behind virtqueue_driver.h.
 *
 *   descriptors  |..taken back..|=== used or the device's ===|-- added --|..free..|
 *                               ^next_used                   ^next_published
 *                                                                        ^next_added
 *
 * The head of the first chain behind next_published is held back: the device stops there, whatever
 * is behind it, and one store of that head shows it everything. Ids are slot numbers, and say
 * nothing of where a chain stands in the ring; how many descriptors it has is in its slot.
 *
 * Relies on virtqueue_layout.h and base/shared.h for every access to what the device can write.
 * Facts: Virtio 1.3, 2.8; memory orders 2.8.21 and 2.8.22. */
#include "virtqueue/virtqueue_driver_private.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/shared.h"

static inline struct virtqueue_packed_descriptor *ring_of(const struct virtqueue_driver *queue)
{
        return (void *)queue->descriptors;
}

/* ---- giving ---- */

/* Puts down the rest of a chain's head, or holds it back: the first chain of a batch. */
static ALWAYS_INLINE void put_head(struct virtqueue_driver *queue, uint64_t *rest_in_ring,
                                   uint64_t rest)
{
        if (queue->added == queue->published) {
                queue->held_offset = queue->next_added.offset;
                queue->held_rest = rest;
        } else {
                shared_store_u64(rest_in_ring, rest);
        }
}

/* Writes the descriptors of a chain that is known to be good, which must come before anything is
 * written: what was marked available behind the end of a later, shorter chain would be taken for
 * one. Relaxed: published by the release store of the first head. */
static ALWAYS_INLINE void write_chain(struct virtqueue_driver *queue,
                                      const struct virtqueue_chain *chain, uint32_t count,
                                      uint32_t id)
{
        const uint64_t write = BIT_MASK(VIRTQUEUE_PACKED_FLAGS_SHIFT + VIRTQUEUE_WRITE_BIT);
        const uint64_t next = BIT_MASK(VIRTQUEUE_PACKED_FLAGS_SHIFT + VIRTQUEUE_NEXT_BIT);
        struct virtqueue_packed_descriptor *ring = ring_of(queue);
        const struct virtqueue_element *elements = chain->elements;
        struct virtqueue_packed_place place = queue->next_added;
        uint32_t size = queue->size, readable_count = chain->readable_count;
        uint64_t id_and_lap = virtqueue_packed_rest(0, id, virtqueue_packed_available(place.wrap));
        for (uint32_t i = 0; i < count; i++) {
                struct virtqueue_packed_descriptor *descriptor = &ring[place.offset];
                uint64_t rest = elements[i].bytes | id_and_lap;
                rest |= i >= readable_count ? write : 0;
                rest |= i + 1 < count ? next : 0;
                shared_store_u64(&descriptor->address, elements[i].dev);
                if (i == 0)
                        put_head(queue, (uint64_t *)(void *)&descriptor->bytes, rest);
                else
                        shared_store_u64(&descriptor->bytes, rest);
                if (UNLIKELY(++place.offset == size)) { /* the next lap: both bits inverted */
                        place = (struct virtqueue_packed_place){.wrap = !place.wrap};
                        id_and_lap ^= virtqueue_packed_rest(0, 0, virtqueue_packed_used(true));
                }
        }
        queue->next_added = place;
}

/* The chain's descriptors are there: notes it under the first free id. */
static ALWAYS_INLINE zx_status_t enter(struct virtqueue_driver *queue,
                                       const struct virtqueue_chain *chain, uint32_t count,
                                       uint32_t writable_bytes)
{
        struct virtqueue_slot *slot = &queue->slots[queue->free_head];
        uint64_t sequence = queue->added;
        queue->added = sequence + 1;
        queue->added_entries += count;
        queue->free_count -= count;
        queue->free_head = slot->next;
        slot->state = VIRTQUEUE_SLOT_HEAD;
        slot->cookie = chain->cookie;
        slot->sequence = sequence;
        slot->writable_bytes = writable_bytes;
        slot->count = (uint16_t)count;
        DEBUG_ASSERT(virtqueue_driver_valid(queue));
        return ZX_OK;
}

/* A chain that goes into the table of its id. There is a free descriptor. */
static NOINLINE zx_status_t add_table(struct virtqueue_driver *queue,
                                      const struct virtqueue_chain *chain)
{
        struct virtqueue_chain_sum sum = {0};
        uint32_t id = queue->free_head;
        uint64_t bytes = (uint64_t)(chain->readable_count + chain->writable_count) *
                         VIRTQUEUE_DESCRIPTOR_BYTES;
        uint64_t dev = virtqueue_driver_write_table(queue, id, chain, false, &sum);
        if (virtqueue_chain_sum_bad(&sum))
                return ZX_ERR_INVALID_ARGS;
        struct virtqueue_packed_descriptor *descriptor =
                &ring_of(queue)[queue->next_added.offset];
        shared_store_u64(&descriptor->address, dev);
        put_head(queue, (uint64_t *)(void *)&descriptor->bytes,
                 virtqueue_packed_rest(bytes, id,
                                virtqueue_packed_available(queue->next_added.wrap) |
                                        VIRTQUEUE_FLAG(VIRTQUEUE_INDIRECT_BIT)));
        virtqueue_packed_advance(&queue->next_added, 1, queue->size);
        return enter(queue, chain, 1, (uint32_t)sum.writable_bytes);
}

/* A chain of more than one element, or one that add() did not like. */
static NOINLINE zx_status_t add_chain(struct virtqueue_driver *queue,
                                      const struct virtqueue_chain *chain)
{
        uint64_t count = (uint64_t)chain->readable_count + chain->writable_count;
        struct virtqueue_chain_sum sum = {0};
        if (UNLIKELY(queue->fault.reason != VIRTQUEUE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (UNLIKELY(count - 1 >= queue->size)) /* none, or too many */
                return ZX_ERR_INVALID_ARGS;
        if (virtqueue_driver_uses_table(queue, count))
                return queue->free_count != 0 ? add_table(queue, chain) : ZX_ERR_SHOULD_WAIT;
        if (UNLIKELY(count > queue->free_count))
                return ZX_ERR_SHOULD_WAIT;
        for (uint32_t i = 0; i < count; i++)
                virtqueue_chain_sum_add(&sum, &chain->elements[i], i >= chain->readable_count);
        if (UNLIKELY(virtqueue_chain_sum_bad(&sum)))
                return ZX_ERR_INVALID_ARGS;
        write_chain(queue, chain, (uint32_t)count, queue->free_head);
        return enter(queue, chain, (uint32_t)count, (uint32_t)sum.writable_bytes);
}

zx_status_t virtqueue_packed_driver_add(struct virtqueue_driver *queue,
                                        const struct virtqueue_chain *chain)
{
        uint64_t count = (uint64_t)chain->readable_count + chain->writable_count;
        const struct virtqueue_element *element = chain->elements;
        if (count != 1 || UNLIKELY(queue->free_count == 0) ||
            UNLIKELY(queue->fault.reason != VIRTQUEUE_FAULT_NONE))
                return add_chain(queue, chain);
        /* One element: a short way of its own, because it is the usual case. */
        uint64_t dev = element->dev, bytes = element->bytes;
        if (UNLIKELY(bytes == 0 || dev + (bytes - 1) < dev))
                return ZX_ERR_INVALID_ARGS;
        uint32_t offset = queue->next_added.offset, writable = chain->writable_count;
        uint64_t flags = virtqueue_packed_available(queue->next_added.wrap) |
                         writable << VIRTQUEUE_WRITE_BIT;
        struct virtqueue_packed_descriptor *descriptor = &ring_of(queue)[offset];
        shared_store_u64(&descriptor->address, dev);
        put_head(queue, (uint64_t *)(void *)&descriptor->bytes,
                 virtqueue_packed_rest(bytes, queue->free_head, flags));
        queue->next_added.offset = ++offset;
        if (UNLIKELY(offset == queue->size))
                queue->next_added =
                        (struct virtqueue_packed_place){.wrap = !queue->next_added.wrap};
        return enter(queue, chain, 1, writable != 0 ? (uint32_t)bytes : 0);
}

void virtqueue_packed_driver_publish(struct virtqueue_driver *queue)
{
        if (queue->published == queue->added || queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return;
        /* Pairs with the device's acquire of the head's flags: all other descriptors of the batch,
         * and the rest of this one, are there before them. */
        shared_store_release_u64(&ring_of(queue)[queue->held_offset].bytes, queue->held_rest);
        queue->published = queue->added;
        queue->published_entries = queue->added_entries;
        queue->next_published = queue->next_added;
}

bool virtqueue_packed_driver_kick_needed(struct virtqueue_driver *queue)
{
        uint64_t moved = queue->published_entries - queue->checked_entries;
        if (moved == 0 || queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return false;
        queue->checked_entries = queue->published_entries;
        /* Our descriptors must be visible before we look whether the device sleeps; pairs with the
         * device's fence between writing its event word and its last look at the ring. */
        shared_fence_full();
        return virtqueue_packed_event_wanted(
                shared_load_u32(queue->used), queue->size, queue->event_index,
                virtqueue_packed_position(queue->next_published),
                moved);
}

/* ---- taking back ---- */

#define REST_FLAG(bit) BIT_MASK(VIRTQUEUE_PACKED_FLAGS_SHIFT + (bit))
#define REST_BOTH (REST_FLAG(VIRTQUEUE_AVAIL_BIT) | REST_FLAG(VIRTQUEUE_USED_BIT))

/* What AVAIL and USED of a used descriptor are, in the last 8 bytes. */
static ALWAYS_INLINE uint64_t used_on_lap(bool wrap)
{
        return wrap ? REST_BOTH : 0;
}

/* The last 8 bytes of the descriptor at `place`, read once; *used: whether the device has used it.
 * Acquire of its flags; pairs with the device's release of them: id, length and data come after. */
static ALWAYS_INLINE uint64_t look_at(const struct virtqueue_driver *queue,
                                      struct virtqueue_packed_place place, bool *used)
{
        uint64_t rest = shared_load_acquire_u64(&ring_of(queue)[place.offset].bytes);
        *used = (rest & REST_BOTH) == used_on_lap(place.wrap);
        return rest;
}

/* The length that a used descriptor gives. Where the device could not write anything, a length
 * without WRITE is reserved (2.8.21) and is not looked at; where it could, some devices leave WRITE
 * out. */
static ALWAYS_INLINE uint32_t used_bytes(const struct virtqueue_slot *slot, uint64_t rest)
{
        bool reserved = slot->writable_bytes == 0 && !(rest & REST_FLAG(VIRTQUEUE_WRITE_BIT));
        return reserved ? 0 : (uint32_t)rest;
}

/* Takes back up to `budget` chains; stops at a broken rule, which is latched then. */
static uint32_t take_entries(struct virtqueue_driver *queue,
                             struct virtqueue_completion *completions, uint32_t budget)
{
        const struct virtqueue_packed_descriptor *ring = ring_of(queue);
        struct virtqueue_slot *slots = queue->slots;
        uint32_t size = queue->size, free_count = queue->free_count, i, id = 0, bytes = 0;
        uint32_t offset = queue->next_used.offset;
        uint64_t published = queue->published, lap = used_on_lap(queue->next_used.wrap);
        uint16_t free_head = queue->free_head;
        bool bad = false;
        for (i = 0; i < budget; i++) {
                uint64_t rest = shared_load_acquire_u64(&ring[offset].bytes); /* as look_at() */
                if ((rest & REST_BOTH) != lap)
                        break;
                id = (uint16_t)(rest >> VIRTQUEUE_PACKED_ID_SHIFT);
                bytes = LIKELY(id < size) ? used_bytes(&slots[id], rest) : 0;
                bad = !virtqueue_driver_entry_good(slots, size, published, id, bytes);
                if (UNLIKELY(bad))
                        break;
                struct virtqueue_slot *slot = &slots[id];
                completions[i].cookie = slot->cookie;
                completions[i].written_bytes = bytes;
                slot->state = VIRTQUEUE_SLOT_RETURNED;
                slot->next = free_head;
                free_head = (uint16_t)id;
                free_count += slot->count;
                offset += slot->count;
                if (UNLIKELY(offset >= size)) {
                        offset -= size;
                        lap ^= REST_BOTH;
                }
        }
        queue->free_head = free_head;
        queue->free_count = free_count;
        queue->taken += i;
        queue->next_used = (struct virtqueue_packed_place){.offset = offset, .wrap = lap != 0};
        if (UNLIKELY(bad))
                virtqueue_driver_fault_of_entry(queue, id, bytes);
        return i;
}

/* The same with IN_ORDER, where one descriptor may stand for many chains. */
static NOINLINE uint32_t take_in_order(struct virtqueue_driver *queue,
                                       struct virtqueue_completion *completions, uint32_t budget)
{
        uint32_t i = 0;
        for (; i < budget; i++) {
                uint32_t in_flight = virtqueue_driver_in_flight(queue);
                if (queue->batch_left == 0) {
                        bool used;
                        uint64_t rest = look_at(queue, queue->next_used, &used);
                        uint32_t id = (uint16_t)(rest >> VIRTQUEUE_PACKED_ID_SHIFT);
                        if (!used)
                                break;
                        uint32_t bytes =
                                id < queue->size ? used_bytes(&queue->slots[id], rest) : 0;
                        if (!virtqueue_driver_begin_batch(queue, id, bytes, in_flight))
                                break;
                }
                uint32_t entries = virtqueue_driver_take_oldest(queue, &completions[i]);
                virtqueue_packed_advance(&queue->next_used, entries, queue->size);
        }
        return i;
}

zx_status_t virtqueue_packed_driver_get(struct virtqueue_driver *queue,
                                        struct virtqueue_completion *completions, uint32_t budget,
                                        uint32_t *count)
{
        ASSERT(budget != 0);
        *count = 0;
        if (UNLIKELY(queue->fault.reason != VIRTQUEUE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        *count = queue->in_order ? take_in_order(queue, completions, budget) :
                                   take_entries(queue, completions, budget);
        queue->seen = queue->taken;
        DEBUG_ASSERT(virtqueue_driver_valid(queue));
        if (UNLIKELY(queue->fault.reason != VIRTQUEUE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        return *count != 0 ? ZX_OK : ZX_ERR_SHOULD_WAIT;
}

/* ---- signals ---- */

/* One store: position and flags are never seen apart. */
static void write_event(struct virtqueue_driver *queue, enum virtqueue_packed_event_mode mode,
                        uint16_t position)
{
        shared_store_u32(queue->avail, (uint32_t)mode << 16 | position);
}

void virtqueue_packed_driver_mute(struct virtqueue_driver *queue)
{
        queue->muted = true;
        write_event(queue, VIRTQUEUE_PACKED_EVENT_NEVER, 0);
}

bool virtqueue_packed_driver_ask(struct virtqueue_driver *queue, uint32_t count)
{
        struct virtqueue_packed_place at = queue->next_used;
        bool used;
        ASSERT(count != 0 && (count == 1 || count <= virtqueue_driver_in_flight(queue)));
        if (queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return true;
        queue->muted = false;
        virtqueue_packed_advance(&at, count - 1, queue->size);
        write_event(queue,
                    queue->event_index ? VIRTQUEUE_PACKED_EVENT_AT : VIRTQUEUE_PACKED_EVENT_ALWAYS,
                    virtqueue_packed_position(at));
        /* The device must see our wish before we look for the last time; pairs with the device's
         * fence between its used descriptors and its read of our event word. */
        shared_fence_full();
        (void)look_at(queue, queue->next_used, &used);
        return used || queue->batch_left != 0;
}
