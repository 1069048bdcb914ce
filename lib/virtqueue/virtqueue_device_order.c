/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What the device's ends of both layouts do with IN_ORDER: one used entry for many chains.
 *
 *   pushed in order     c0   c1   c2   c3   c4
 *   used ring           [c2.............][c3][c4]      c0 to c2 had nothing to be written
 *
 * The entry stands where the first one's would, has the last one's id, and counts those before it
 * as completely used (2.7.9, 2.8.12). A chain with a writable part ends its run all the same when
 * it was written completely: the standard lets it be passed over, but there are drivers that read
 * the length of each from its own entry.
 *
 * Facts       Virtio 1.3, 2.7.9, 2.8.12 */
#include "virtqueue/virtqueue_device_gather.h"

#include "base/assert.h"
#include "base/shared.h"

/* Writes the entry of the run that is open;
 * a packed one that is first in its batch is held back. */
static void end_run(struct virtqueue_device *device)
{
        struct virtqueue_device_run *run = &device->run;
        run->open = false;
        if (!device->packed) {
                virtqueue_device_ring_insert_used(&device->ring, run->position, run->used);
                return;
        }
        struct virtqueue_packed_place place = virtqueue_packed_place_of(run->position);
        uint64_t rest = virtqueue_packed_used_rest(place.wrap, run->used.id, run->used.bytes);
        if (run->position == virtqueue_packed_position(device->next_published)) {
                device->held_offset = place.offset;
                device->held_rest = rest;
        } else {
                shared_store_u64(&device->packed_ring[place.offset].bytes, rest);
        }
}

static void push(struct virtqueue_device *device, struct virtqueue_used_element used)
{
        struct virtqueue_device_run *run = &device->run;
        ASSERT(used.id < device->ring.size);
        struct virtqueue_device_slot *slot = &device->slots[used.id];
        uint64_t limit = virtqueue_device_slot_limit(slot->word);
        uint32_t entries = virtqueue_device_slot_entries(slot->word);
        ASSERT(used.bytes < limit); /* in flight, and no more than may be written */
        if (run->open && run->writable)
                end_run(device);
        if (!run->open) {
                run->open = true;
                run->position = device->packed ? virtqueue_packed_position(device->next_pushed) :
                                                 (uint16_t)device->pushed;
        }
        run->used = used;
        run->writable = limit > 1;
        slot->word = 0;
        device->pushed++;
        if (!device->packed)
                return;
        device->entries_in_flight -= entries;
        device->pushed_entries += entries;
        virtqueue_packed_advance(&device->next_pushed, entries, device->ring.size);
}

void virtqueue_device_push_batch_in_order(struct virtqueue_device *device,
                                          const struct virtqueue_used_element *used, uint32_t count)
{
        for (uint32_t i = 0; i < count && device->fault.reason == VIRTQUEUE_DEVICE_FAULT_NONE; i++)
                push(device, used[i]);
}

void virtqueue_device_push_read_in_order(struct virtqueue_device *device,
                                         const struct virtqueue_request *requests, uint32_t count)
{
        for (uint32_t i = 0; i < count && device->fault.reason == VIRTQUEUE_DEVICE_FAULT_NONE; i++)
                push(device, (struct virtqueue_used_element){.id = requests[i].id});
}

void virtqueue_device_end_order(struct virtqueue_device *device)
{
        if (device->run.open)
                end_run(device);
}
