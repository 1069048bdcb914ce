/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The split ring, driver's end, behind virtqueue_driver.h.
 *
 *   avail.ring   |..............|=== shown to the device ===|-- added --|        chain n stands in
 *                                                           ^published  ^added    slot n mod size
 *   used.ring    |..taken back..|=== used ===|
 *                               ^taken       ^seen = used.idx as last read and checked
 *
 * Relies on virtqueue_layout.h and base/shared.h for every access to what the device can write.
 * Facts: Virtio 1.3, 2.7; memory orders 2.7.13 and 2.7.7. */
#include "virtqueue/virtqueue_driver_private.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/shared.h"

/* With EVENT_IDX a muted queue's used_event lags behind; it is moved on before used.idx laps it. */
#define MUTED_LAG_MAX 0x4000

static uint32_t ring_slot(const struct virtqueue_driver *queue, uint64_t count)
{
        return (uint32_t)count & (queue->size - 1);
}

/* ---- giving ---- */

#define REST_FLAGS_SHIFT 32
#define REST_NEXT BIT_MASK(REST_FLAGS_SHIFT + VIRTQUEUE_NEXT_BIT)
#define REST_INDIRECT BIT_MASK(REST_FLAGS_SHIFT + VIRTQUEUE_INDIRECT_BIT)
#define REST_WRITE_SHIFT (REST_FLAGS_SHIFT + VIRTQUEUE_WRITE_BIT)
#define REST_NEXT_INDEX_SHIFT 48

/* Writes a descriptor. Nobody looks at it before its chain is in the avail ring, so it does no harm
 * if the chain turns out to be refused. Relaxed: published by the release store of avail.idx.
 *   rest   bytes, flags << 32 and next << 48, in one word */
static ALWAYS_INLINE void write_descriptor(struct virtqueue_descriptor *descriptor, uint64_t dev,
                                           uint64_t rest)
{
        shared_store_u64(&descriptor->address, dev);
        shared_store_u64(&descriptor->bytes, rest);
}

/* Adds chains of one element, the usual case, until one is something else, is not good, or finds no
 * room. Everything that lasts is in locals: for all the compiler knows, a store into the ring could
 * change the queue.
 *   returns   how many were added */
static ALWAYS_INLINE uint32_t add_ones(struct virtqueue_driver *queue,
                                       const struct virtqueue_chain *chains, uint32_t count)
{
        struct virtqueue_descriptor *descriptors = queue->descriptors;
        struct virtqueue_slot *slots = queue->slots;
        uint16_t *ring = queue->avail->ring;
        uint64_t added = queue->added;
        uint32_t mask = queue->size - 1, head = queue->free_head, done;
        if (count > queue->free_count)
                count = queue->free_count;
        if (UNLIKELY(queue->plain_max == 0))
                return 0;
        for (done = 0; done < count; done++) {
                const struct virtqueue_chain *chain = &chains[done];
                uint64_t writable = chain->writable_count;
                if (chain->readable_count + writable != 1)
                        break;
                uint64_t dev = chain->elements->dev, bytes = chain->elements->bytes;
                if (UNLIKELY(!virtqueue_driver_plain(dev, bytes)))
                        break;
                struct virtqueue_slot *slot = &slots[head];
                uint32_t next = slot->next;
                write_descriptor(&descriptors[head], dev, bytes | writable << REST_WRITE_SHIFT);
                shared_store_u16(&ring[added & mask], (uint16_t)head);
                slot->cookie = chain->cookie;
                slot->sequence = added++;
                slot->word = virtqueue_slot_word((uint32_t)(bytes & -writable), 1, next);
                head = next;
        }
        queue->added = added;
        queue->free_head = (uint16_t)head;
        queue->free_count -= done;
        DEBUG_ASSERT(virtqueue_driver_valid(queue));
        return done;
}

/* As add_ones() for direct chains of two elements, which are nearly as usual: header and data. */
static NOINLINE uint32_t add_pairs(struct virtqueue_driver *queue,
                                   const struct virtqueue_chain *chains, uint32_t count)
{
        struct virtqueue_descriptor *descriptors = queue->descriptors;
        struct virtqueue_slot *slots = queue->slots;
        uint16_t *ring = queue->avail->ring;
        uint64_t added = queue->added;
        uint32_t mask = queue->size - 1, head = queue->free_head, done;
        if (count > queue->free_count / 2)
                count = queue->free_count / 2;
        if (UNLIKELY(queue->plain_max < 2))
                return 0;
        for (done = 0; done < count; done++) {
                const struct virtqueue_chain *chain = &chains[done];
                const struct virtqueue_element *first = &chain->elements[0];
                const struct virtqueue_element *second = &chain->elements[1];
                uint64_t writable = chain->writable_count;
                if (chain->readable_count + writable != 2)
                        break;
                uint64_t dev = first->dev, bytes = first->bytes;
                uint64_t second_dev = second->dev, second_bytes = second->bytes;
                if (UNLIKELY(!virtqueue_driver_plain(dev, bytes)) ||
                    UNLIKELY(!virtqueue_driver_plain(second_dev, second_bytes)) ||
                    UNLIKELY((bytes + second_bytes) >> 32 != 0))
                        break;
                struct virtqueue_slot *slot = &slots[head];
                uint32_t next = slot->next;
                const struct virtqueue_pair_kind *kind = &virtqueue_pair_kinds[writable];
                write_descriptor(&descriptors[head], dev,
                                 bytes | (uint64_t)kind->first_flags << REST_FLAGS_SHIFT |
                                         (uint64_t)next << REST_NEXT_INDEX_SHIFT);
                write_descriptor(&descriptors[next], second_dev,
                                 second_bytes | (uint64_t)kind->second_flags << REST_FLAGS_SHIFT);
                shared_store_u16(&ring[added & mask], (uint16_t)head);
                slot->cookie = chain->cookie;
                slot->sequence = added++;
                slot->word = virtqueue_slot_word(((uint32_t)bytes & kind->first_mask) +
                                                 ((uint32_t)second_bytes & kind->second_mask),
                                                 2, next);
                /* A used id of it is one that was never given, whatever it was before. */
                slots[next].writable_bytes = VIRTQUEUE_SLOT_FREE;
                head = slots[next].next;
        }
        queue->added = added;
        queue->free_head = (uint16_t)head;
        queue->free_count -= 2 * done;
        DEBUG_ASSERT(virtqueue_driver_valid(queue));
        return done;
}

/* Writes a direct chain of `count` elements that is known to be good; returns the slot of its last
 * descriptor. The free list is as it was. */
static uint32_t write_elements(struct virtqueue_driver *queue, const struct virtqueue_chain *chain,
                               uint32_t count)
{
        const struct virtqueue_element *elements = chain->elements;
        struct virtqueue_slot *slots = queue->slots;
        uint32_t index = queue->free_head;
        for (uint32_t i = 0;; i++) {
                uint64_t rest = elements[i].bytes;
                uint32_t next = slots[index].next;
                rest |= (uint64_t)(i >= chain->readable_count) << REST_WRITE_SHIFT;
                if (i != 0)
                        slots[index].writable_bytes = VIRTQUEUE_SLOT_FREE; /* as in add_pairs() */
                if (i + 1 < count)
                        rest |= REST_NEXT | (uint64_t)next << REST_NEXT_INDEX_SHIFT;
                write_descriptor(&queue->descriptors[index], elements[i].dev, rest);
                if (i + 1 == count)
                        return index;
                index = next;
        }
}

/* Adds a chain that the others did not take, or says why it cannot be added. */
static NOINLINE zx_status_t add_any(struct virtqueue_driver *queue,
                                    const struct virtqueue_chain *chain)
{
        uint64_t count = (uint64_t)chain->readable_count + chain->writable_count;
        bool table = virtqueue_driver_uses_table(queue, count);
        uint32_t entries = table ? 1 : (uint32_t)count;
        uint32_t head = queue->free_head, last = head;
        struct virtqueue_slot *slot = &queue->slots[head];
        struct virtqueue_chain_sum sum = {0};
        if (UNLIKELY(queue->fault.reason != VIRTQUEUE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (UNLIKELY(count - 1 >= queue->size)) /* none, or too many */
                return ZX_ERR_INVALID_ARGS;
        if (UNLIKELY(entries > queue->free_count))
                return ZX_ERR_SHOULD_WAIT;
        for (uint32_t i = 0; i < count; i++)
                virtqueue_chain_sum_add(&sum, &chain->elements[i], i >= chain->readable_count);
        if (UNLIKELY(virtqueue_chain_sum_bad(&sum)))
                return ZX_ERR_INVALID_ARGS;
        if (table) {
                uint64_t dev = virtqueue_driver_write_table(queue, head, chain, true);
                write_descriptor(&queue->descriptors[head], dev,
                                 count * VIRTQUEUE_DESCRIPTOR_BYTES | REST_INDIRECT);
        } else {
                last = write_elements(queue, chain, entries);
        }
        shared_store_u16(&queue->avail->ring[ring_slot(queue, queue->added)], (uint16_t)head);
        slot->cookie = chain->cookie;
        slot->sequence = queue->added++;
        slot->word = virtqueue_slot_word((uint32_t)sum.writable_bytes, entries, slot->next);
        queue->free_head = queue->slots[last].next;
        queue->free_count -= entries;
        DEBUG_ASSERT(virtqueue_driver_valid(queue));
        return ZX_OK;
}

zx_status_t virtqueue_split_driver_add(struct virtqueue_driver *queue,
                                       const struct virtqueue_chain *chain)
{
        return LIKELY(add_ones(queue, chain, 1) != 0) || add_pairs(queue, chain, 1) != 0 ?
                       ZX_OK :
                       add_any(queue, chain);
}

static NOINLINE uint32_t add_ones_of_batch(struct virtqueue_driver *queue,
                                           const struct virtqueue_chain *chains, uint32_t count)
{
        return add_ones(queue, chains, count);
}

zx_status_t virtqueue_split_driver_add_batch(struct virtqueue_driver *queue,
                                             const struct virtqueue_chain *chains, uint32_t count,
                                             uint32_t *added)
{
        zx_status_t status = ZX_OK;
        uint32_t done = 0;
        while (done < count) {
                uint32_t run = add_ones_of_batch(queue, &chains[done], count - done);
                if (run == 0)
                        run = add_pairs(queue, &chains[done], count - done);
                if (run == 0) {
                        status = add_any(queue, &chains[done]);
                        if (status != ZX_OK)
                                break;
                        run = 1;
                }
                done += run;
        }
        *added = done;
        return status;
}

void virtqueue_split_driver_publish(struct virtqueue_driver *queue)
{
        if (queue->published == queue->added || queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return;
        /* Pairs with the device's acquire of avail.idx:
         * descriptors and ring entries stay before it. */
        shared_store_release_u16(&queue->avail->index, (uint16_t)queue->added);
        queue->published = queue->added;
}

bool virtqueue_split_driver_kick_needed(struct virtqueue_driver *queue)
{
        uint64_t moved = queue->published - queue->checked;
        if (moved == 0 || queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return false;
        queue->checked = queue->published;
        /* Our avail.idx must be visible before we look whether the device sleeps; pairs with the
         * device's fence between writing avail_event or used.flags and its last
         * look at avail.idx. */
        shared_fence_full();
        if (!queue->event_index)
                return !(shared_load_u16(&queue->used->flags) &
                         VIRTQUEUE_FLAG(VIRTQUEUE_NO_NOTIFY_BIT));
        uint16_t event = shared_load_u16(virtqueue_avail_event(queue->used, queue->size));
        return virtqueue_event_reached(event, (uint16_t)queue->published, moved);
}

/* ---- taking back ---- */

/* Reads used.idx once and checks how far it moved [V2]; false: broken, latched. */
static bool look_at_used_index(struct virtqueue_driver *queue)
{
        /* Pairs with the device's release of used.idx: entries and data come after it. */
        uint16_t index = shared_load_acquire_u16(&queue->used->index);
        uint16_t moved = (uint16_t)(index - (uint16_t)queue->seen);
        uint32_t possible = (uint32_t)(queue->published - queue->seen);
        if (UNLIKELY(moved > possible)) { /* backwards is a long way forwards */
                virtqueue_driver_fault(queue, VIRTQUEUE_FAULT_INDEX_JUMP, moved, possible);
                return false;
        }
        queue->seen += moved;
        return true;
}

/* The last descriptor of a chain of `entries`, whose second is `link`. Our own links, which the
 * device cannot change. */
static ALWAYS_INLINE uint32_t last_link(const struct virtqueue_slot *slots, uint32_t link,
                                        uint32_t entries)
{
        for (uint32_t i = 2; i < entries; i++)
                link = slots[link].next;
        return link;
}

/* Takes `ready` used entries from `taken` on; returns how many were good. After the last good one
 * the queue is as if only those had been there, with the fault latched if there was a bad one.
 * A chain's descriptors go back to the free list as they are linked. */
static uint32_t take_entries(struct virtqueue_driver *queue,
                             struct virtqueue_completion *completions, uint32_t ready)
{
        const struct virtqueue_used_element *ring = queue->used->ring;
        struct virtqueue_slot *slots = queue->slots;
        uint32_t size = queue->size, free_count = queue->free_count, done;
        uint32_t index = (uint32_t)queue->taken, head = queue->free_head;
        uint32_t length_mask = queue->length_mask;
        uint64_t published = queue->published;
        for (done = 0; done < ready; done++, index++) {
                const struct virtqueue_used_element *used = &ring[index & (size - 1)];
                uint32_t id = shared_load_u32(&used->id);
                uint32_t bytes = shared_load_u32(&used->bytes) & length_mask;
                struct virtqueue_slot *slot = &slots[id];
                if (UNLIKELY(id >= size) ||
                    UNLIKELY(!virtqueue_driver_entry_good(slot, slot->word, published, bytes))) {
                        queue->taken += done; /* which one it is */
                        virtqueue_driver_fault_of_entry(queue, id, bytes);
                        queue->taken -= done;
                        break;
                }
                uint32_t entries = slot->count, next = head;
                completions[done].cookie = slot->cookie;
                completions[done].written_bytes = bytes;
                if (entries != 1) {
                        next = slot->next;
                        slots[last_link(slots, next, entries)].next = (uint16_t)head;
                }
                slot->word = virtqueue_slot_word(VIRTQUEUE_SLOT_RETURNED, 0, next);
                head = id;
                free_count += entries;
        }
        queue->free_head = (uint16_t)head;
        queue->free_count = free_count;
        queue->taken += done;
        return done;
}

/* The same with IN_ORDER, where one entry may stand for many chains. */
static NOINLINE uint32_t take_in_order(struct virtqueue_driver *queue,
                                       struct virtqueue_completion *completions, uint32_t ready)
{
        for (uint32_t i = 0; i < ready; i++) {
                const struct virtqueue_used_element *used =
                        &queue->used->ring[ring_slot(queue, queue->taken)];
                if (queue->batch_left == 0 &&
                    !virtqueue_driver_begin_batch(queue, shared_load_u32(&used->id),
                                                  shared_load_u32(&used->bytes) &
                                                          queue->length_mask,
                                                  (uint32_t)(queue->seen - queue->taken)))
                        return i;
                (void)virtqueue_driver_take_oldest(queue, &completions[i]);
        }
        return ready;
}

static void write_used_event(struct virtqueue_driver *queue, uint16_t event)
{
        queue->used_event = event;
        shared_store_u16(virtqueue_used_event(queue->avail, queue->size), event);
}

zx_status_t virtqueue_split_driver_get(struct virtqueue_driver *queue,
                                       struct virtqueue_completion *completions, uint32_t budget,
                                       uint32_t *count)
{
        ASSERT(budget != 0);
        *count = 0;
        if (UNLIKELY(queue->fault.reason != VIRTQUEUE_FAULT_NONE) || !look_at_used_index(queue))
                return ZX_ERR_IO_DATA_INTEGRITY;
        uint32_t ready = (uint32_t)(queue->seen - queue->taken);
        if (ready == 0)
                return ZX_ERR_SHOULD_WAIT;
        if (ready > budget)
                ready = budget;
        *count = queue->in_order ? take_in_order(queue, completions, ready) :
                                   take_entries(queue, completions, ready);
        if (UNLIKELY(*count < ready))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (queue->muted && queue->event_index &&
            (uint16_t)(queue->taken - queue->used_event) > MUTED_LAG_MAX)
                write_used_event(queue, (uint16_t)(queue->taken - 1));
        DEBUG_ASSERT(virtqueue_driver_valid(queue));
        return ZX_OK;
}

/* ---- signals ---- */

void virtqueue_split_driver_mute(struct virtqueue_driver *queue)
{
        queue->muted = true;
        if (queue->event_index) /* just passed, so 65535 more until it is reached */
                write_used_event(queue, (uint16_t)(queue->taken - 1));
        else
                shared_store_u16(&queue->avail->flags, VIRTQUEUE_FLAG(VIRTQUEUE_NO_INTERRUPT_BIT));
}

bool virtqueue_split_driver_ask(struct virtqueue_driver *queue, uint32_t count)
{
        uint32_t in_flight = virtqueue_driver_in_flight(queue);
        ASSERT(count != 0 && (count == 1 || count <= in_flight));
        if (queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return true;
        queue->muted = false;
        if (queue->event_index)
                write_used_event(queue, (uint16_t)(queue->taken + count - 1));
        else
                shared_store_u16(&queue->avail->flags, 0);
        /* The device must see our wish before we look for the last time; pairs with the device's
         * fence between its used.idx and its read of used_event or avail.flags. */
        shared_fence_full();
        if (!look_at_used_index(queue))
                return true;
        return (uint32_t)(queue->seen - queue->taken) >= count;
}
