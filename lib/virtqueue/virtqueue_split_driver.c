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
        queue->fault = (struct virtqueue_fault){
                .reason = reason, .value = value, .limit = limit, .used_index = (uint16_t)queue->taken};
}

/* ---- giving ---- */

/* Checks all elements and adds up the writable ones; false for a chain that no ring takes. */
static bool chain_valid(const struct virtqueue_driver *queue, const struct virtqueue_chain *chain,
                        uint32_t *writable_bytes)
{
        uint64_t total = 0, readable = 0, count = (uint64_t)chain->readable_count +
                                                  chain->writable_count;
        if (count == 0 || count > queue->size)
                return false;
        for (uint32_t i = 0; i < count; i++) {
                const struct virtqueue_element *element = &chain->elements[i];
                uint64_t end;
                if (element->bytes == 0 || add_overflows(element->dev, element->bytes, &end))
                        return false;
                if (i == chain->readable_count)
                        readable = total;
                total += element->bytes;
        }
        if (chain->writable_count == 0)
                readable = total;
        *writable_bytes = (uint32_t)(total - readable);
        return total <= UINT32_MAX; /* 2.7.4: below 2^32 bytes in all */
}

static void write_descriptor(struct virtqueue_descriptor *descriptor,
                             const struct virtqueue_element *element, uint16_t flags, uint16_t next)
{
        /* Relaxed: published by the release store of avail.idx. The second word is bytes, flags, next. */
        shared_store_u64(&descriptor->address, element->dev);
        shared_store_u64(&descriptor->bytes,
                         element->bytes | (uint64_t)flags << 32 | (uint64_t)next << 48);
}

zx_status_t virtqueue_split_driver_add(struct virtqueue_driver *queue,
                                       const struct virtqueue_chain *chain)
{
        uint32_t writable_bytes, count = chain->readable_count + chain->writable_count;
        if (UNLIKELY(queue->fault.reason != VIRTQUEUE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (UNLIKELY(!chain_valid(queue, chain, &writable_bytes)))
                return ZX_ERR_INVALID_ARGS;
        if (UNLIKELY(count > queue->free_count))
                return ZX_ERR_SHOULD_WAIT;

        uint16_t head = queue->free_head, index = head;
        for (uint32_t i = 0; i < count; i++) {
                struct virtqueue_slot *slot = &queue->slots[index];
                bool last = i + 1 == count;
                uint16_t flags = last ? 0 : VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT);
                if (i >= chain->readable_count)
                        flags |= VIRTQUEUE_FLAG(VIRTQUEUE_WRITE_BIT);
                write_descriptor(&queue->descriptors[index], &chain->elements[i], flags,
                                 last ? 0 : slot->next);
                slot->state = VIRTQUEUE_SLOT_LINK;
                index = slot->next;
        }
        queue->free_head = index;
        queue->free_count -= count;

        struct virtqueue_slot *slot = &queue->slots[head];
        slot->cookie = chain->cookie;
        slot->writable_bytes = writable_bytes;
        slot->sequence = queue->added;
        slot->count = (uint16_t)count;
        slot->state = VIRTQUEUE_SLOT_HEAD;
        shared_store_u16(&queue->avail->ring[ring_slot(queue, queue->added)], head);
        queue->added++;
        DEBUG_ASSERT(virtqueue_driver_valid(queue));
        return ZX_OK;
}

void virtqueue_split_driver_publish(struct virtqueue_driver *queue)
{
        if (queue->published == queue->added || queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return;
        /* Pairs with the device's acquire of avail.idx: descriptors and ring entries stay before it. */
        shared_store_release_u16(&queue->avail->index, (uint16_t)queue->added);
        queue->published = queue->added;
}

bool virtqueue_split_driver_kick_needed(struct virtqueue_driver *queue)
{
        uint64_t moved = queue->published - queue->checked;
        if (moved == 0 || queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return false;
        queue->checked = queue->published;
        /* Our avail.idx must be visible before we look whether the device sleeps; pairs with the device's
         * fence between writing avail_event or used.flags and its last look at avail.idx. */
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

/* Whether `id` is the head of a chain in flight; if not, latches why. */
static bool id_valid(struct virtqueue_driver *queue, uint32_t id)
{
        if (UNLIKELY(id >= queue->size)) {
                fault(queue, VIRTQUEUE_FAULT_ID_RANGE, id, queue->size);
                return false;
        }
        const struct virtqueue_slot *slot = &queue->slots[id];
        if (UNLIKELY(slot->state == VIRTQUEUE_SLOT_RETURNED)) {
                fault(queue, VIRTQUEUE_FAULT_ID_TWICE, id, queue->size);
                return false;
        }
        if (UNLIKELY(slot->state != VIRTQUEUE_SLOT_HEAD || slot->sequence >= queue->published)) {
                fault(queue, VIRTQUEUE_FAULT_ID_NOT_AVAILABLE, id, queue->size);
                return false;
        }
        return true;
}

/* Puts the chain of `head` on the free list; walks our own links only. */
static void free_chain(struct virtqueue_driver *queue, uint16_t head)
{
        struct virtqueue_slot *last = &queue->slots[head];
        uint16_t count = last->count;
        last->state = VIRTQUEUE_SLOT_RETURNED;
        for (uint16_t i = 1; i < count; i++) {
                last = &queue->slots[last->next];
                DEBUG_ASSERT(last->state == VIRTQUEUE_SLOT_LINK); /* [V3] */
                last->state = VIRTQUEUE_SLOT_FREE;
        }
        last->next = queue->free_head;
        queue->free_head = head;
        queue->free_count += count;
}

/* Takes the used entry at used_index; false: broken, latched, nothing taken. */
static bool take_one(struct virtqueue_driver *queue, struct virtqueue_completion *completion)
{
        const struct virtqueue_used_element *used =
                &queue->used->ring[ring_slot(queue, queue->taken)];
        uint32_t id = shared_load_u32(&used->id);
        uint32_t bytes = shared_load_u32(&used->bytes);
        if (!id_valid(queue, id))
                return false;
        struct virtqueue_slot *slot = &queue->slots[id];
        if (UNLIKELY(bytes > slot->writable_bytes)) {
                fault(queue, VIRTQUEUE_FAULT_LENGTH, bytes, slot->writable_bytes);
                return false;
        }
        completion->cookie = slot->cookie;
        completion->written_bytes = bytes;
        free_chain(queue, (uint16_t)id);
        queue->taken++;
        return true;
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
        for (uint32_t i = 0; i < ready; i++) {
                if (UNLIKELY(!take_one(queue, &completions[i])))
                        return ZX_ERR_IO_DATA_INTEGRITY;
                *count = i + 1;
        }
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
        /* The device must see our wish before we look for the last time; pairs with the device's fence
         * between its used.idx and its read of used_event or avail.flags. */
        shared_fence_full();
        if (!look_at_used_index(queue))
                return true;
        return (uint32_t)(queue->seen - queue->taken) >= count;
}
