/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The device's end of a packed ring, behind virtqueue_device.h.
 *
 *   descriptors  |== the driver's ==|-- pushed --|..in flight..|=== available ===|
 *                                   ^next_published            ^next_popped
 *                                                ^next_pushed
 *
 * Chains are popped in the ring's order and may be pushed in any; a pushed one is written at
 * next_pushed, over descriptors that were popped. The used descriptor at next_published is held
 * back: the driver stops there, and one store shows it all that were pushed.
 *
 * Relies on virtqueue_layout.h and base/shared.h for every access to the ring, on
 * virtqueue_device_gather.h for the judgement of pieces. Facts: Virtio 1.3, 2.8; spec/virtio.md, 7
 * and 10. */
#include "virtqueue/virtqueue_device_packed.h"

#include "base/assert.h"
#include "virtqueue/virtqueue_device_gather.h"

/* ---- taking ---- */

/* Pops chains of one plain descriptor, the usual case, until one is something else or not there.
 * Everything that lasts is in locals: for all the compiler knows, a store into a request could
 * change the device.
 *   requests  and elements: room for `count`
 *   count     1..; before the ring's end
 *   begun     out: the descriptor that is something else, if fewer than `count` were popped
 *   returns   how many */
static ALWAYS_INLINE uint32_t pop_ones(struct virtqueue_device *device,
                                       struct virtqueue_request *requests,
                                       struct virtqueue_element *elements, uint32_t count,
                                       struct virtqueue_packed_words *begun)
{
        struct virtqueue_packed_place place = device->next_popped;
        const struct virtqueue_packed_descriptor *ring = &device->packed_ring[place.offset];
        struct virtqueue_device_slot *slots = device->slots;
        uint32_t size = device->ring.size, position = virtqueue_packed_position(place), done;
        uint32_t room = size - device->entries_in_flight;
        uint64_t readable = virtqueue_packed_available_on_lap(place.wrap), writable_bytes;
        for (done = 0; done < count; done++) {
                struct virtqueue_packed_words words = virtqueue_packed_load_words(&ring[done]);
                uint64_t dev = words.dev, bytes = (uint32_t)words.rest;
                uint32_t id = (uint16_t)(words.rest >> VIRTQUEUE_PACKED_ID_SHIFT);
                uint64_t usual = words.rest & (VIRTQUEUE_REST_BOTH | VIRTQUEUE_REST_NEXT |
                                               VIRTQUEUE_REST_WRITE | VIRTQUEUE_REST_INDIRECT);
                struct virtqueue_request *request = &requests[done];
                *begun = words;
                if (UNLIKELY(dev + bytes <= dev) || UNLIKELY(id >= size) ||
                    UNLIKELY(slots[id].word != 0) || UNLIKELY(done == room))
                        break;
                if (usual == readable) {
                        request->counts = 1;
                        request->bytes = bytes;
                        writable_bytes = 0;
                } else if (usual == (readable | VIRTQUEUE_REST_WRITE)) {
                        request->counts = 1ull << 32;
                        request->bytes = bytes << 32;
                        writable_bytes = bytes;
                } else {
                        break;
                }
                slots[id].word = virtqueue_device_slot_word(writable_bytes, 1);
                elements[done].dev = dev;
                elements[done].bytes = (uint32_t)bytes;
                request->elements = &elements[done];
                request->place = id | (position + done) << VIRTQUEUE_REQUEST_POSITION_SHIFT;
        }
        device->entries_in_flight += done;
        virtqueue_packed_advance(&device->next_popped, done, size);
        device->seen = device->popped += done;
        DEBUG_ASSERT(virtqueue_device_valid(device));
        return done;
}

zx_status_t virtqueue_packed_device_pop(struct virtqueue_device *device,
                                        struct virtqueue_request *request)
{
        struct virtqueue_packed_words begun;
        if (UNLIKELY(device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        DEBUG_ASSERT(request->elements_max != 0);
        if (LIKELY(pop_ones(device, request, request->elements, 1, &begun) != 0))
                return ZX_OK;
        struct virtqueue_request_batch batch = {.requests = request,
                                                .requests_max = 1,
                                                .elements = request->elements,
                                                .elements_max = request->elements_max};
        return virtqueue_packed_pop_chains(device, &batch, begun);
}

zx_status_t virtqueue_packed_device_pop_batch(struct virtqueue_device *device,
                                              struct virtqueue_request_batch *batch)
{
        struct virtqueue_packed_words begun;
        batch->count = batch->elements_count = 0;
        if (UNLIKELY(device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        ASSERT(batch->requests_max != 0 && batch->elements_max != 0);
        uint32_t count = min_u32(batch->requests_max, batch->elements_max);
        count = min_u32(count, device->ring.size - device->next_popped.offset);
        batch->count = pop_ones(device, batch->requests, batch->elements, count, &begun);
        batch->elements_count = batch->count;
        if (LIKELY(batch->count == count))
                return ZX_OK;
        zx_status_t status = virtqueue_packed_pop_chains(device, batch, begun);
        return status != ZX_ERR_IO_DATA_INTEGRITY && batch->count != 0 ? ZX_OK : status;
}

void virtqueue_packed_device_unpop(struct virtqueue_device *device,
                                   const struct virtqueue_request *request)
{
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return;
        ASSERT(request->id < device->ring.size);
        struct virtqueue_device_slot *slot = &device->slots[request->id];
        ASSERT(slot->word != 0);
        uint32_t entries = virtqueue_device_slot_entries(slot->word);
        struct virtqueue_packed_place place = virtqueue_packed_place_of(request->position);
        struct virtqueue_packed_place behind = place;
        virtqueue_packed_advance(&behind, entries, device->ring.size);
        ASSERT(virtqueue_packed_position(behind) == virtqueue_packed_position(device->next_popped));
        device->next_popped = place;
        device->entries_in_flight -= entries;
        slot->word = 0;
        device->seen = --device->popped;
}

/* ---- giving back ---- */

/* Gives back chains, of `used` or of `requests`: one of the two is NULL, which the compiler
 * knows. */
static ALWAYS_INLINE void push(struct virtqueue_device *device,
                               const struct virtqueue_used_element *used,
                               const struct virtqueue_request *requests, uint32_t count)
{
        struct virtqueue_packed_descriptor *ring = device->packed_ring;
        struct virtqueue_device_slot *slots = device->slots;
        struct virtqueue_packed_place place = device->next_pushed;
        uint32_t size = device->ring.size, freed = 0, usual = 1;
        uint64_t lap = virtqueue_packed_rest(0, 0, virtqueue_packed_used(place.wrap));
        bool first = device->pushed == device->published;
        if (UNLIKELY(device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE))
                return;
        for (uint32_t i = 0; i < count; i++) {
                uint32_t id = used != NULL ? used[i].id : requests[i].id;
                uint64_t bytes = used != NULL ? used[i].bytes : 0;
                ASSERT(id < size);
                uint64_t word = slots[id].word, entries = virtqueue_device_slot_entries(word);
                ASSERT(bytes < virtqueue_device_slot_limit(word)); /* and in flight */
                slots[id].word = 0;
                uint64_t rest = virtqueue_packed_rest(bytes, id, 0) | lap;
                rest |= bytes != 0 ? VIRTQUEUE_REST_WRITE : 0;
                if (UNLIKELY(first)) {
                        first = false;
                        device->held_offset = place.offset;
                        device->held_rest = rest;
                } else {
                        shared_store_u64(&ring[place.offset].bytes, rest);
                }
                if (UNLIKELY(entries != usual)) { /* a guess, so that nothing waits for the load */
                        usual = (uint32_t)entries;
                        KEEP_BRANCH(usual);
                }
                freed += usual;
                place.offset += usual;
                if (UNLIKELY(place.offset >= size)) {
                        place.offset -= size;
                        place.wrap = !place.wrap;
                        lap ^= VIRTQUEUE_REST_BOTH;
                }
        }
        device->next_pushed = place;
        device->entries_in_flight -= freed;
        device->pushed_entries += freed;
        device->pushed += count;
}

void virtqueue_packed_device_push_batch(struct virtqueue_device *device,
                                        const struct virtqueue_used_element *used, uint32_t count)
{
        push(device, used, NULL, count);
}

void virtqueue_packed_device_push_read(struct virtqueue_device *device,
                                       const struct virtqueue_request *requests, uint32_t count)
{
        push(device, NULL, requests, count);
}

void virtqueue_packed_device_publish(struct virtqueue_device *device)
{
        if (device->published == device->pushed ||
            device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return;
        virtqueue_device_end_order(device);
        /* Pairs with the driver's acquire of the flags: data, lengths and the other used
         * descriptors are there before them. */
        struct virtqueue_packed_descriptor *held = &device->packed_ring[device->held_offset];
        shared_store_release_u64(&held->bytes, device->held_rest);
        device->published = device->pushed;
        device->published_entries = device->pushed_entries;
        device->next_published = device->next_pushed;
}

bool virtqueue_packed_device_signal_needed(struct virtqueue_device *device)
{
        uint64_t moved = device->published_entries - device->checked_entries;
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return false;
        device->checked_entries = device->published_entries;
        if (device->signal_unknown) { /* one too many is allowed, one too few is not */
                device->signal_unknown = false;
                return true;
        }
        if (moved == 0)
                return false;
        /* Our used descriptors must be visible before we look whether the driver sleeps; pairs with
         * the driver's fence between writing its event word and its last look at the ring. */
        shared_fence_full();
        return virtqueue_packed_event_wanted(shared_load_u32(device->driver_event),
                                             device->ring.size, device->event_index,
                                             virtqueue_packed_position(device->next_published),
                                             moved);
}

/* ---- notifications ---- */

/* One store: position and flags are never seen apart. */
static void write_event(struct virtqueue_device *device, enum virtqueue_packed_event_mode mode)
{
        uint16_t position = virtqueue_packed_position(device->next_popped);
        shared_store_u32(device->device_event, (uint32_t)mode << 16 | position);
}

void virtqueue_packed_device_mute(struct virtqueue_device *device)
{
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return;
        device->muted = true;
        write_event(device, VIRTQUEUE_PACKED_EVENT_NEVER);
}

bool virtqueue_packed_device_ask(struct virtqueue_device *device)
{
        struct virtqueue_packed_words words;
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return true;
        device->muted = false;
        write_event(device, device->event_index ? VIRTQUEUE_PACKED_EVENT_AT :
                                                  VIRTQUEUE_PACKED_EVENT_ALWAYS);
        /* The driver must see our wish before we look for the last time; pairs with the driver's
         * fence between its descriptors and its read of our event word. */
        shared_fence_full();
        words = virtqueue_packed_load_words(&device->packed_ring[device->next_popped.offset]);
        return (words.rest & VIRTQUEUE_REST_BOTH) ==
               virtqueue_packed_available_on_lap(device->next_popped.wrap);
}
