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
#include "virtqueue/virtqueue_driver.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/shared.h"

/* With EVENT_IDX a muted queue's used_event lags behind; it is moved on before used.idx laps it. */
#define MUTED_LAG_MAX 0x4000

static uint32_t ring_slot(const struct virtqueue_driver *queue, uint64_t count)
{
        return (uint32_t)count & (queue->size - 1);
}

/* Latches the first broken rule; the queue is finished. */
static NOINLINE void fault(struct virtqueue_driver *queue, enum virtqueue_fault_reason reason,
                           uint32_t value, uint32_t limit)
{
        if (queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return;
        queue->fault = (struct virtqueue_fault){.reason = reason,
                                                .value = value,
                                                .limit = limit,
                                                .used_index = (uint16_t)queue->taken};
}

/* ---- giving ---- */

/* What is summed up over the elements of a chain while its descriptors are written. */
struct chain_sum {
        uint64_t total_bytes, writable_bytes;
        uint64_t bad; /* not 0: an element without bytes, or whose addresses wrap */
};

/* Writes the descriptor of one element. Nobody looks at it before the chain is in the avail ring,
 * so it does no harm if the chain turns out to be refused. Relaxed: published by the release store
 * of avail.idx. No branch depends on the element: chains are short, and a branch would cost more
 * than the sums. */
static ALWAYS_INLINE void write_element(struct virtqueue_descriptor *descriptor,
                                        const struct virtqueue_element *element, bool writable,
                                        uint32_t next_flag_and_index, struct chain_sum *sum)
{
        uint64_t dev = element->dev, bytes = element->bytes, last = bytes - 1;
        sum->bad |= last >> 32;                   /* no bytes: all ones */
        sum->bad |= (uint64_t)(dev + last < dev); /* wraps */
        sum->total_bytes += bytes;
        sum->writable_bytes += bytes & -(uint64_t)writable;
        shared_store_u64(&descriptor->address, dev);
        /* bytes, flags and next in one word */
        shared_store_u64(&descriptor->bytes,
                         bytes | (uint64_t)writable << (32 + VIRTQUEUE_WRITE_BIT) |
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
                                          struct chain_sum *sum)
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

zx_status_t virtqueue_split_driver_add(struct virtqueue_driver *queue,
                                       const struct virtqueue_chain *chain)
{
        uint64_t count = (uint64_t)chain->readable_count + chain->writable_count;
        struct chain_sum sum = {0};
        if (UNLIKELY(queue->fault.reason != VIRTQUEUE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (UNLIKELY(count - 1 >= queue->size)) /* none, or too many */
                return ZX_ERR_INVALID_ARGS;
        if (UNLIKELY(count > queue->free_count))
                return ZX_ERR_SHOULD_WAIT;
        uint16_t head = queue->free_head, last = write_chain(queue, chain, (uint32_t)count, &sum);
        if (UNLIKELY((sum.bad | sum.total_bytes >> 32) != 0)) /* 2.7.4: below 2^32 bytes in all */
                return ZX_ERR_INVALID_ARGS;

        uint64_t sequence = queue->added;
        struct virtqueue_slot *slots = queue->slots, *slot = &slots[head];
        queue->free_head = slots[last].next;
        queue->free_count -= (uint32_t)count;
        slots[last].state = VIRTQUEUE_SLOT_LINK;
        if (UNLIKELY(count > 2))
                mark_links(slots, head, last);
        slot->state = VIRTQUEUE_SLOT_HEAD; /* of one descriptor: head and last in one */
        slot->cookie = chain->cookie;
        slot->sequence = sequence;
        slot->writable_bytes = (uint32_t)sum.writable_bytes;
        slot->count = (uint16_t)count;
        shared_store_u16(&queue->avail->ring[ring_slot(queue, sequence)], head);
        queue->added = sequence + 1;
        DEBUG_ASSERT(virtqueue_driver_valid(queue));
        return ZX_OK;
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
                fault(queue, VIRTQUEUE_FAULT_INDEX_JUMP, moved, possible);
                return false;
        }
        queue->seen += moved;
        return true;
}

/* Latches which rule the used entry {id, bytes} breaks; there is one. */
static NOINLINE void fault_of_entry(struct virtqueue_driver *queue, uint32_t id, uint32_t bytes)
{
        const struct virtqueue_slot *slot = &queue->slots[id < queue->size ? id : 0];
        if (id >= queue->size)
                fault(queue, VIRTQUEUE_FAULT_ID_RANGE, id, queue->size);
        else if (slot->state == VIRTQUEUE_SLOT_RETURNED)
                fault(queue, VIRTQUEUE_FAULT_ID_TWICE, id, queue->size);
        else if (slot->state != VIRTQUEUE_SLOT_HEAD || slot->sequence >= queue->published)
                fault(queue, VIRTQUEUE_FAULT_ID_NOT_AVAILABLE, id, queue->size);
        else
                fault(queue, VIRTQUEUE_FAULT_LENGTH, bytes, slot->writable_bytes);
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
                if (UNLIKELY(id >= size))
                        break;
                struct virtqueue_slot *slot = &slots[id];
                if (UNLIKELY(slot->state != VIRTQUEUE_SLOT_HEAD || slot->sequence >= published ||
                             bytes > slot->writable_bytes))
                        break;
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
                fault_of_entry(queue, id, bytes);
        return i;
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
        *count = take_entries(queue, completions, ready);
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
