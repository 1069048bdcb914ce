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
#include "virtqueue/virtqueue_device.h"

#include "base/assert.h"
#include "base/shared.h"
#include "virtqueue/virtqueue_device_gather.h"

/* ---- taking ---- */

/* A descriptor in two words, as it is read: bytes, id << 32 and flags << 48 make one. */
struct words {
        uint64_t dev, rest;
};

#define REST_FLAG(bit) BIT_MASK(VIRTQUEUE_PACKED_FLAGS_SHIFT + (bit))
#define REST_NEXT REST_FLAG(VIRTQUEUE_NEXT_BIT)
#define REST_WRITE REST_FLAG(VIRTQUEUE_WRITE_BIT)
#define REST_INDIRECT REST_FLAG(VIRTQUEUE_INDIRECT_BIT)
#define REST_BOTH (REST_FLAG(VIRTQUEUE_AVAIL_BIT) | REST_FLAG(VIRTQUEUE_USED_BIT))

/* A copy of the descriptor at `place`, each field read once; false: it is not available. Acquire of
 * its flags; pairs with the driver's release of the head's: the address and the rest of the chain
 * come after. */
static ALWAYS_INLINE bool load_words(const struct virtqueue_device *device,
                                     struct virtqueue_packed_place place, struct words *words)
{
        const struct virtqueue_packed_descriptor *descriptor = &device->packed_ring[place.offset];
        words->rest = shared_load_acquire_u64(&descriptor->bytes);
        words->dev = shared_load_u64(&descriptor->address);
        return (words->rest & REST_BOTH) ==
               (uint64_t)virtqueue_packed_available(place.wrap) << VIRTQUEUE_PACKED_FLAGS_SHIFT;
}

static NOINLINE zx_status_t refuse(struct virtqueue_device *device,
                                   enum virtqueue_device_fault_reason reason, uint64_t value)
{
        virtqueue_device_refuse(device, reason, value, device->ring.size);
        return ZX_ERR_IO_DATA_INTEGRITY;
}

/* The chain's pieces are good: it is the device's now, if its id and its length are.
 *   last      words of its last descriptor, which has the id
 *   entries   descriptors of the ring that it has
 *   behind    the place behind it */
static ALWAYS_INLINE zx_status_t take(struct virtqueue_device *device,
                                      struct virtqueue_request *request, uint64_t last,
                                      uint32_t entries, struct virtqueue_packed_place behind)
{
        uint32_t id = (uint16_t)(last >> VIRTQUEUE_PACKED_ID_SHIFT), size = device->ring.size;
        if (UNLIKELY(id >= size))
                return refuse(device, VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE, id);
        struct virtqueue_device_slot *slot = &device->slots[id];
        if (UNLIKELY(slot->in_flight))
                return refuse(device, VIRTQUEUE_DEVICE_FAULT_HEAD_TWICE, id);
        if (UNLIKELY(entries > size - device->entries_in_flight)) /* made available again */
                return refuse(device, VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN,
                              device->next_popped.offset);
        request->id = (uint16_t)id;
        request->position = virtqueue_packed_position(device->next_popped);
        *slot = (struct virtqueue_device_slot){.writable_bytes = request->writable_bytes,
                                               .in_flight = entries};
        device->entries_in_flight += entries;
        device->next_popped = behind;
        device->seen = ++device->popped;
        DEBUG_ASSERT(virtqueue_device_valid(device));
        return ZX_OK;
}

/* A descriptor that is no plain buffer; `first` of its chain or not. False: it breaks a rule. */
static NOINLINE bool gather_unusual(struct virtqueue_device_gather *gather, struct words words,
                                    bool first)
{
        struct virtqueue_descriptor descriptor = {
                .address = words.dev,
                .bytes = (uint32_t)words.rest,
                .flags = (uint16_t)(words.rest >> VIRTQUEUE_PACKED_FLAGS_SHIFT),
        };
        if (!first && words.rest & REST_INDIRECT) { /* 2.8.7: alone in its chain */
                virtqueue_device_refuse(gather->device, VIRTQUEUE_DEVICE_FAULT_INDIRECT_NEXT,
                                        words.dev, 0);
                return false;
        }
        return virtqueue_device_gather_descriptor(gather, &descriptor);
}

/* A chain of more than one descriptor, or with something unusual in its first, which is `words`.
 * Ends because every descriptor is counted, or is a table, behind which nothing comes. */
static NOINLINE zx_status_t pop_chain(struct virtqueue_device *device,
                                      struct virtqueue_request *request, struct words words)
{
        struct virtqueue_device_gather gather = {.device = device, .request = request};
        struct virtqueue_packed_place place = device->next_popped;
        uint32_t entries = 0;
        for (;;) {
                if (UNLIKELY(words.rest & REST_INDIRECT) ||
                    UNLIKELY(!virtqueue_device_gather_plain(&gather, words.dev,
                                                            (uint32_t)words.rest,
                                                            (words.rest & REST_WRITE) != 0))) {
                        if (!gather_unusual(&gather, words, entries == 0))
                                return ZX_ERR_IO_DATA_INTEGRITY;
                }
                entries++;
                virtqueue_packed_advance(&place, 1, device->ring.size);
                if (!(words.rest & REST_NEXT))
                        break;
                if (!load_words(device, place, &words))
                        return refuse(device, VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN, place.offset);
        }
        if (!virtqueue_device_gather_finish(&gather))
                return ZX_ERR_IO_DATA_INTEGRITY;
        return take(device, request, words.rest, entries, place);
}

zx_status_t virtqueue_packed_device_pop(struct virtqueue_device *device,
                                        struct virtqueue_request *request)
{
        struct virtqueue_packed_place behind = device->next_popped;
        struct words words;
        if (UNLIKELY(device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (!load_words(device, behind, &words))
                return ZX_ERR_SHOULD_WAIT;
        DEBUG_ASSERT(request->elements_max != 0);
        uint32_t bytes = (uint32_t)words.rest;
        if ((words.rest & (REST_NEXT | REST_INDIRECT)) != 0 ||
            UNLIKELY(words.dev + bytes <= words.dev)) /* empty, or where addresses end */
                return pop_chain(device, request, words);

        /* One plain descriptor: a short way of its own, because it is the usual case. */
        uint32_t writable_bytes = words.rest & REST_WRITE ? bytes : 0;
        request->elements[0].dev = words.dev;
        request->elements[0].bytes = bytes;
        request->readable_count = !(words.rest & REST_WRITE);
        request->writable_count = (words.rest & REST_WRITE) != 0;
        request->readable_bytes = bytes - writable_bytes;
        request->writable_bytes = writable_bytes;
        virtqueue_packed_advance(&behind, 1, device->ring.size);
        return take(device, request, words.rest, 1, behind);
}

void virtqueue_packed_device_unpop(struct virtqueue_device *device,
                                   const struct virtqueue_request *request)
{
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return;
        ASSERT(request->id < device->ring.size);
        struct virtqueue_device_slot *slot = &device->slots[request->id];
        ASSERT(slot->in_flight);
        struct virtqueue_packed_place place = virtqueue_packed_place_of(request->position);
        struct virtqueue_packed_place behind = place;
        virtqueue_packed_advance(&behind, slot->in_flight, device->ring.size);
        ASSERT(virtqueue_packed_position(behind) == virtqueue_packed_position(device->next_popped));
        device->next_popped = place;
        device->entries_in_flight -= slot->in_flight;
        slot->in_flight = 0;
        device->seen = --device->popped;
}

/* ---- giving back ---- */

void virtqueue_packed_device_push(struct virtqueue_device *device, uint16_t id,
                                  uint32_t written_bytes)
{
        struct virtqueue_device_slot *slot = &device->slots[id];
        struct virtqueue_packed_place *place = &device->next_pushed;
        uint64_t flags = virtqueue_packed_used(place->wrap) |
                         (uint32_t)(written_bytes != 0) << VIRTQUEUE_WRITE_BIT;
        uint64_t rest = virtqueue_packed_rest(written_bytes, id, flags);
        if (device->pushed == device->published) {
                device->held_offset = place->offset;
                device->held_rest = rest;
        } else {
                shared_store_u64(&device->packed_ring[place->offset].bytes, rest);
        }
        device->entries_in_flight -= slot->in_flight;
        device->pushed_entries += slot->in_flight;
        virtqueue_packed_advance(place, slot->in_flight, device->ring.size);
        slot->in_flight = 0;
        device->pushed++;
}

void virtqueue_packed_device_publish(struct virtqueue_device *device)
{
        if (device->published == device->pushed ||
            device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return;
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
        struct words words;
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return true;
        device->muted = false;
        write_event(device, device->event_index ? VIRTQUEUE_PACKED_EVENT_AT :
                                                  VIRTQUEUE_PACKED_EVENT_ALWAYS);
        /* The driver must see our wish before we look for the last time; pairs with the driver's
         * fence between its descriptors and its read of our event word. */
        shared_fence_full();
        return load_words(device, device->next_popped, &words);
}
