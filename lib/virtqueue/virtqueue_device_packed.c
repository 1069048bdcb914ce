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

/* Pops chains of one plain descriptor of one kind, the usual case, until one is something else or
 * not there. Everything that lasts is in locals: for all the compiler knows, a store into a request
 * could change the device.
 *   request   and element: room for `count` from there on
 *   count     1..; before the ring's end, and not in flight
 *   write     VIRTQUEUE_REST_WRITE or 0: the kind
 *   begun     in, with `write`: the first descriptor; out: the one that is something else, if fewer
 *             than `count` were popped
 *   returns   how many */
static ALWAYS_INLINE uint32_t pop_ones(struct virtqueue_device *device,
                                       struct virtqueue_request *request,
                                       struct virtqueue_element *element, uint32_t count,
                                       uint64_t write, struct virtqueue_packed_words *begun)
{
        const struct virtqueue_packed_place place = device->next_popped;
        const struct virtqueue_packed_descriptor *at = &device->packed_ring[place.offset];
        const uint64_t size = device->ring.size;
        struct virtqueue_device_slot *slots = device->slots;
        uint64_t usual = -(virtqueue_packed_available_on_lap(place.wrap) + write + 1);
        uint64_t bad = VIRTQUEUE_REST_BAD, word = virtqueue_device_slot_word(0, 1);
        uint32_t position = (uint32_t)virtqueue_packed_position(place)
                            << VIRTQUEUE_REQUEST_POSITION_SHIFT;
        const struct virtqueue_request *first = request, *end = request + count;
        KEEP_VALUE(usual);
        KEEP_VALUE(bad);
        KEEP_VALUE(word);
        do {
                struct virtqueue_packed_words words;
                words = write != 0 && request == first ? *begun : virtqueue_packed_load_words(at);
                uint64_t id = (uint16_t)(words.rest >> VIRTQUEUE_PACKED_ID_SHIFT);
                uint64_t bytes = (uint32_t)words.rest;
                if (UNLIKELY(((words.rest + usual) & bad) != 0) ||
                    UNLIKELY(words.dev > INT64_MAX) || UNLIKELY(id >= size) ||
                    UNLIKELY(slots[id].word != 0)) {
                        *begun = words;
                        break;
                }
                slots[id].word = write != 0 ? word + bytes : word;
                request->counts = write != 0 ? 1ull << 32 : 1;
                request->bytes = write != 0 ? bytes << 32 : bytes;
                request->place = (uint32_t)id + position;
                request->elements = element;
                element->dev = words.dev;
                element->bytes = (uint32_t)bytes;
                position += 1u << VIRTQUEUE_REQUEST_POSITION_SHIFT;
                element++;
                at++;
        } while (++request != end);
        uint32_t done = (uint32_t)(request - first);
        device->entries_in_flight += done;
        virtqueue_packed_advance(&device->next_popped, done, (uint32_t)size);
        device->seen = device->popped += done;
        DEBUG_ASSERT(virtqueue_device_valid(device));
        return done;
}

/* Each kind has registers of its own to be kept in. */
static NOINLINE uint32_t pop_ones_to_read(struct virtqueue_device *device,
                                          struct virtqueue_request *request,
                                          struct virtqueue_element *element, uint32_t count,
                                          struct virtqueue_packed_words *begun)
{
        return pop_ones(device, request, element, count, 0, begun);
}

static NOINLINE uint32_t pop_ones_to_write(struct virtqueue_device *device,
                                           struct virtqueue_request *request,
                                           struct virtqueue_element *element, uint32_t count,
                                           struct virtqueue_packed_words *begun)
{
        return pop_ones(device, request, element, count, VIRTQUEUE_REST_WRITE, begun);
}

/* Pops chains of one plain descriptor, those to read and then those to write, until there is
 * something else or nothing; parameters as above, but that nothing is begun.
 *   returns   how many */
static ALWAYS_INLINE uint32_t pop_plain(struct virtqueue_device *device,
                                        struct virtqueue_request *request,
                                        struct virtqueue_element *element, uint32_t count,
                                        struct virtqueue_packed_words *begun)
{
        uint32_t done = pop_ones_to_read(device, request, element, count, begun);
        if (done != count && (begun->rest & VIRTQUEUE_REST_WRITE) != 0)
                done += pop_ones_to_write(device, request + done, element + done, count - done,
                                          begun);
        return done;
}

/* Goes on at the descriptor where the device stands, when all of the ring is in flight: it is not
 * available, or should not be. */
static NOINLINE zx_status_t pop_overrun(struct virtqueue_device *device,
                                        struct virtqueue_request_batch *batch)
{
        return virtqueue_packed_pop_chains(
                device, batch,
                virtqueue_packed_load_words(&device->packed_ring[device->next_popped.offset]));
}

zx_status_t virtqueue_packed_device_pop(struct virtqueue_device *device,
                                        struct virtqueue_request *request)
{
        struct virtqueue_packed_words begun;
        if (UNLIKELY(device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        DEBUG_ASSERT(request->elements_max != 0);
        bool room = device->entries_in_flight != device->ring.size;
        if (LIKELY(room) && LIKELY(pop_plain(device, request, request->elements, 1, &begun) != 0))
                return ZX_OK;
        struct virtqueue_request_batch batch = {.requests = request,
                                                .requests_max = 1,
                                                .elements = request->elements,
                                                .elements_max = request->elements_max};
        if (UNLIKELY(!room))
                return pop_overrun(device, &batch);
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
        uint32_t size = device->ring.size;
        uint32_t count = min_u32(batch->requests_max, batch->elements_max);
        count = min_u32(count, size - device->next_popped.offset);
        count = min_u32(count, size - device->entries_in_flight);
        if (UNLIKELY(count == 0))
                return pop_overrun(device, batch);
        batch->count = pop_plain(device, batch->requests, batch->elements, count, &begun);
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
 * knows. That a chain has as many descriptors as the one before it is a guess, so that nothing
 * waits for the slot. */
static ALWAYS_INLINE void push(struct virtqueue_device *device,
                               const struct virtqueue_used_element *used,
                               const struct virtqueue_request *requests, uint32_t count)
{
        char *ring = (char *)&device->packed_ring->bytes;
        struct virtqueue_device_slot *slots = device->slots;
        const struct virtqueue_packed_place place = device->next_pushed;
        const uint32_t size = device->ring.size;
        uint64_t at = virtqueue_descriptors_bytes(place.offset); /* in bytes, as what follows */
        uint64_t end = virtqueue_descriptors_bytes(size), step = VIRTQUEUE_DESCRIPTOR_BYTES;
        uint64_t usual = virtqueue_device_slot_word(0, 1), usual_max = UINT32_MAX, lap;
        void *target = ring + at; /* NULL: held back */
        if (UNLIKELY(device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE))
                return;
        if (device->pushed == device->published) { /* the first one */
                device->held_offset = place.offset;
                target = NULL;
        }
        lap = virtqueue_packed_rest(0, 0, virtqueue_packed_used(place.wrap));
        KEEP_VALUE(usual_max);
        for (uint32_t i = 0; i < count; i++) {
                uint64_t id = used != NULL ? used[i].id : requests[i].id;
                uint64_t bytes = used != NULL ? used[i].bytes : 0;
                ASSERT(id < size);
                uint64_t writable_bytes = slots[id].word - usual;
                if (UNLIKELY(writable_bytes > usual_max)) { /* another number of descriptors */
                        uint64_t word = writable_bytes + usual;
                        uint32_t entries = virtqueue_device_slot_entries(word);
                        ASSERT(entries != 0); /* in flight */
                        step = virtqueue_descriptors_bytes(entries);
                        KEEP_BRANCH(step);
                        usual = virtqueue_device_slot_word(0, entries);
                        writable_bytes = word - usual;
                }
                ASSERT(bytes <= writable_bytes);
                slots[id].word = 0;
                uint64_t rest = virtqueue_packed_rest(bytes, (uint32_t)id, 0) | lap;
                rest |= bytes != 0 ? VIRTQUEUE_REST_WRITE : 0;
                if (LIKELY(target != NULL))
                        shared_store_u64(target, rest);
                else
                        device->held_rest = rest;
                at += step;
                if (UNLIKELY(at >= end)) {
                        at -= end;
                        lap ^= VIRTQUEUE_REST_BOTH;
                }
                target = ring + at;
        }
        device->next_pushed = (struct virtqueue_packed_place){
                .offset = (uint32_t)(at / VIRTQUEUE_DESCRIPTOR_BYTES), .wrap = lap != 0};
        uint32_t freed = device->next_pushed.offset - place.offset +
                         (device->next_pushed.wrap != place.wrap ? size : 0);
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
