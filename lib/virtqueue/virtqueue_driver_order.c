/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What the driver's ends of both layouts do with IN_ORDER and with tables.
 *
 * With IN_ORDER chains come back in the order in which they were added, and the device may say so
 * with one entry for many: the last one's id, at the place of the first one's entry. Those before
 * it count as completely used (2.7.9, 2.8.12). Slots are given out in the ring's order, so that the
 * chain behind one is found without a list.
 *
 * Facts       Virtio 1.3, 2.7.5, 2.7.9, 2.8.7, 2.8.12 */
#include "virtqueue/virtqueue_driver_private.h"

#include "base/assert.h"
#include "base/shared.h"

/* The slot of the chain that was added after the one at `head`. */
static uint32_t head_after(const struct virtqueue_driver *queue, uint32_t head)
{
        uint32_t next = head + (queue->packed ? 1 : queue->slots[head].count);
        return next < queue->size ? next : next - queue->size;
}

bool virtqueue_driver_begin_batch(struct virtqueue_driver *queue, uint32_t id, uint32_t bytes,
                                  uint32_t limit)
{
        uint32_t head = queue->oldest, count = 1;
        if (id >= queue->size ||
            !virtqueue_driver_entry_good(&queue->slots[id], queue->slots[id].word, queue->published,
                                         bytes)) {
                virtqueue_driver_fault_of_entry(queue, id, bytes);
                return false;
        }
        for (; count <= limit && head != id; count++)
                head = head_after(queue, head);
        if (count > limit) {
                virtqueue_driver_fault(queue, VIRTQUEUE_FAULT_ORDER, id, limit);
                return false;
        }
        queue->batch_left = count;
        queue->batch_bytes = bytes;
        return true;
}

uint32_t virtqueue_driver_take_oldest(struct virtqueue_driver *queue,
                                      struct virtqueue_completion *completion)
{
        uint32_t head = queue->oldest;
        struct virtqueue_slot *slot = &queue->slots[head];
        uint32_t count = slot->count;
        ASSERT(count != 0);
        completion->cookie = slot->cookie;
        queue->batch_left--;
        completion->written_bytes =
                queue->batch_left == 0 ? queue->batch_bytes : slot->writable_bytes;
        queue->oldest = head_after(queue, head);
        slot->word = virtqueue_slot_word(VIRTQUEUE_SLOT_RETURNED, 0, slot->next);
        queue->free_count += count;
        queue->taken++;
        return count;
}

uint64_t virtqueue_driver_write_table(const struct virtqueue_driver *queue, uint32_t head,
                                      const struct virtqueue_chain *chain, bool linked)
{
        uint64_t offset = (uint64_t)head * queue->indirect_entries * VIRTQUEUE_DESCRIPTOR_BYTES;
        struct virtqueue_descriptor *table =
                (void *)((char *)queue->config.tables.va + offset);
        uint32_t count = chain->readable_count + chain->writable_count;
        for (uint32_t i = 0; i < count; i++) {
                const struct virtqueue_element *element = &chain->elements[i];
                bool writable = i >= chain->readable_count;
                uint64_t flags = (uint64_t)writable << VIRTQUEUE_WRITE_BIT;
                shared_store_u64(&table[i].address, element->dev);
                if (!linked) { /* flags stand elsewhere, and the id means nothing */
                        shared_store_u64(&table[i].bytes,
                                         element->bytes | flags << VIRTQUEUE_PACKED_FLAGS_SHIFT);
                        continue;
                }
                if (i + 1 < count)
                        flags |= BIT_MASK(VIRTQUEUE_NEXT_BIT) | (uint64_t)(i + 1) << 16;
                shared_store_u64(&table[i].bytes, element->bytes | flags << 32);
        }
        return queue->config.tables.dev + offset;
}
