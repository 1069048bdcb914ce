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

/* Writes the descriptor of one element. Nobody looks at it before the chain is in the avail ring,
 * so it does no harm if the chain turns out to be refused. Relaxed: published by the release store
 * of avail.idx. */
static ALWAYS_INLINE void write_element(struct virtqueue_descriptor *descriptor,
                                        const struct virtqueue_element *element, bool writable,
                                        uint32_t next_flag_and_index,
                                        struct virtqueue_chain_sum *sum)
{
        virtqueue_chain_sum_add(sum, element, writable);
        shared_store_u64(&descriptor->address, element->dev);
        /* bytes, flags and next in one word */
        shared_store_u64(&descriptor->bytes,
                         element->bytes | (uint64_t)writable << (32 + VIRTQUEUE_WRITE_BIT) |
                                 (uint64_t)next_flag_and_index << 32);
}

static inline uint32_t next_flag_and_index(uint16_t next)
{
        return (uint32_t)next << 16 | VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT);
}

/* Writes the descriptors of a chain along the free list, which stays as it is.
 *   returns  the slot of its last descriptor */
static ALWAYS_INLINE uint16_t write_chain(const struct virtqueue_driver *queue,
                                          const struct virtqueue_chain *chain, uint32_t count,
                                          struct virtqueue_chain_sum *sum)
{
        const struct virtqueue_element *elements = chain->elements;
        struct virtqueue_descriptor *descriptors = queue->descriptors;
        const struct virtqueue_slot *slots = queue->slots;
        uint32_t readable_count = chain->readable_count;
        uint16_t index = queue->free_head;
        for (uint32_t i = 0; i + 1 < count; i++) {
                uint16_t next = slots[index].next;
                write_element(&descriptors[index], &elements[i], i >= readable_count,
                              next_flag_and_index(next), sum);
                index = next;
        }
        write_element(&descriptors[index], &elements[count - 1], count > readable_count, 0, sum);
        return index;
}

/* Marks the descriptors between the head and the last one as links of a chain. */
static NOINLINE void mark_links(struct virtqueue_slot *slots, uint16_t head, uint16_t last)
{
        for (uint16_t index = slots[head].next; index != last; index = slots[index].next)
                slots[index].state = VIRTQUEUE_SLOT_LINK;
}

/* The chain is good: notes it under `head`, of which `count` descriptors up to `last` are its own,
 * and puts it into the avail ring. */
static ALWAYS_INLINE zx_status_t enter(struct virtqueue_driver *queue,
                                       const struct virtqueue_chain *chain, uint32_t count,
                                       uint16_t last, uint32_t writable_bytes)
{
        uint16_t head = queue->free_head;
        uint64_t sequence = queue->added;
        struct virtqueue_slot *slots = queue->slots, *slot = &slots[head];
        queue->free_head = slots[last].next;
        queue->free_count -= count;
        slots[last].state = VIRTQUEUE_SLOT_LINK;
        if (UNLIKELY(count > 2))
                mark_links(slots, head, last);
        slot->state = VIRTQUEUE_SLOT_HEAD; /* of one descriptor: head and last in one */
        slot->cookie = chain->cookie;
        slot->sequence = sequence;
        slot->writable_bytes = writable_bytes;
        slot->count = (uint16_t)count;
        shared_store_u16(&queue->avail->ring[ring_slot(queue, sequence)], head);
        queue->added = sequence + 1;
        DEBUG_ASSERT(virtqueue_driver_valid(queue));
        return ZX_OK;
}

/* A chain that goes into the table of its head. There is a free descriptor. */
static NOINLINE zx_status_t add_table(struct virtqueue_driver *queue,
                                      const struct virtqueue_chain *chain)
{
        struct virtqueue_chain_sum sum = {0};
        uint16_t head = queue->free_head;
        uint64_t bytes = (uint64_t)(chain->readable_count + chain->writable_count) *
                         VIRTQUEUE_DESCRIPTOR_BYTES;
        uint64_t dev = virtqueue_driver_write_table(queue, head, chain, true, &sum);
        if (virtqueue_chain_sum_bad(&sum))
                return ZX_ERR_INVALID_ARGS;
        shared_store_u64(&queue->descriptors[head].address, dev);
        shared_store_u64(&queue->descriptors[head].bytes,
                         bytes | BIT_MASK(32 + VIRTQUEUE_INDIRECT_BIT));
        return enter(queue, chain, 1, head, (uint32_t)sum.writable_bytes);
}

zx_status_t virtqueue_split_driver_add(struct virtqueue_driver *queue,
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
        uint16_t last = write_chain(queue, chain, (uint32_t)count, &sum);
        if (UNLIKELY(virtqueue_chain_sum_bad(&sum)))
                return ZX_ERR_INVALID_ARGS;
        return enter(queue, chain, (uint32_t)count, last, (uint32_t)sum.writable_bytes);
}

void virtqueue_split_driver_publish(struct virtqueue_driver *queue)
{
        if (queue->published == queue->added || queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return;
        /* Pairs with the device's acquire of avail.idx: descriptors and ring entries stay before
         * it. */
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
         * device's fence between writing avail_event or used.flags and its last look at avail.idx.
         * */
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

/* The last descriptor of a chain of more than one; its links become free. Walks our own links only.
 * */
static struct virtqueue_slot *free_links(struct virtqueue_slot *slots, struct virtqueue_slot *head)
{
        struct virtqueue_slot *last = head;
        for (uint16_t i = 1; i < head->count; i++) {
                last = &slots[last->next];
                DEBUG_ASSERT(last->state == VIRTQUEUE_SLOT_LINK); /* [V3] */
                last->state = VIRTQUEUE_SLOT_FREE;
        }
        return last;
}

/* Takes `ready` used entries from `taken` on; returns how many were good. After the last good one
 * the queue is as if only those had been there, with the fault latched if there was a bad one. */
static uint32_t take_entries(struct virtqueue_driver *queue,
                             struct virtqueue_completion *completions, uint32_t ready)
{
        const struct virtqueue_used_element *ring = queue->used->ring;
        struct virtqueue_slot *slots = queue->slots;
        uint32_t size = queue->size, free_count = queue->free_count, i, id = 0, bytes = 0;
        uint64_t published = queue->published, taken = queue->taken;
        uint16_t free_head = queue->free_head;
        for (i = 0; i < ready; i++) {
                const struct virtqueue_used_element *used = &ring[(taken + i) & (size - 1)];
                id = shared_load_u32(&used->id);
                bytes = shared_load_u32(&used->bytes);
                if (UNLIKELY(!virtqueue_driver_entry_good(slots, size, published, id, bytes)))
                        break;
                struct virtqueue_slot *slot = &slots[id];
                completions[i].cookie = slot->cookie;
                completions[i].written_bytes = bytes;
                struct virtqueue_slot *last = slot->count > 1 ? free_links(slots, slot) : slot;
                slot->state = VIRTQUEUE_SLOT_RETURNED;
                last->next = free_head;
                free_head = (uint16_t)id;
                free_count += slot->count;
        }
        queue->free_head = free_head;
        queue->free_count = free_count;
        queue->taken = taken + i;
        if (UNLIKELY(i < ready))
                virtqueue_driver_fault_of_entry(queue, id, bytes);
        return i;
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
                                                  shared_load_u32(&used->bytes),
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
