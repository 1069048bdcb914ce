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

/* What AVAIL and USED of an available descriptor are, in the last 8 bytes. */
static ALWAYS_INLINE uint64_t available_on_lap(bool wrap)
{
        return virtqueue_packed_rest(0, 0, virtqueue_packed_available(wrap));
}

/* A copy of a descriptor, each field read once. Acquire of its flags; pairs with the driver's
 * release of the head's: the address and the rest of the chain come after. */
static ALWAYS_INLINE struct words load_words(const struct virtqueue_packed_descriptor *descriptor)
{
        uint64_t rest = shared_load_acquire_u64(&descriptor->bytes);
        return (struct words){.rest = rest, .dev = shared_load_u64(&descriptor->address)};
}

static NOINLINE zx_status_t refuse(struct virtqueue_device *device,
                                   enum virtqueue_device_fault_reason reason, uint64_t value)
{
        virtqueue_device_refuse(device, reason, value, device->ring.size);
        return ZX_ERR_IO_DATA_INTEGRITY;
}

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
                                       struct words *begun)
{
        struct virtqueue_packed_place place = device->next_popped;
        const struct virtqueue_packed_descriptor *ring = &device->packed_ring[place.offset];
        struct virtqueue_device_slot *slots = device->slots;
        uint32_t size = device->ring.size, position = virtqueue_packed_position(place), done;
        uint32_t room = size - device->entries_in_flight;
        uint64_t readable = available_on_lap(place.wrap), writable_bytes;
        for (done = 0; done < count; done++) {
                struct words words = *begun = load_words(&ring[done]);
                uint64_t dev = words.dev, bytes = (uint32_t)words.rest;
                uint32_t id = (uint16_t)(words.rest >> VIRTQUEUE_PACKED_ID_SHIFT);
                uint64_t usual = words.rest & (REST_BOTH | REST_NEXT | REST_WRITE | REST_INDIRECT);
                struct virtqueue_request *request = &requests[done];
                if (UNLIKELY(dev + bytes <= dev) || UNLIKELY(id >= size) ||
                    UNLIKELY(slots[id].word != 0) || UNLIKELY(done == room))
                        break;
                if (usual == readable) {
                        request->counts = 1;
                        request->bytes = bytes;
                        writable_bytes = 0;
                } else if (usual == (readable | REST_WRITE)) {
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

/* A chain that is being read. */
struct walk {
        struct words words;                /* the descriptor to look at */
        struct virtqueue_packed_place place; /* its own */
        uint64_t available;                /* on that lap */
        uint32_t entries;                  /* of the ring, passed */
};

/* Passes a descriptor that has NEXT; false: the one behind it is not available. */
static ALWAYS_INLINE bool step(const struct virtqueue_device *device, struct walk *walk)
{
        walk->entries++;
        if (UNLIKELY(++walk->place.offset == device->ring.size)) {
                walk->place = (struct virtqueue_packed_place){.wrap = !walk->place.wrap};
                walk->available ^= REST_BOTH;
        }
        walk->words = load_words(&device->packed_ring[walk->place.offset]);
        return (walk->words.rest & REST_BOTH) == walk->available;
}

/* How a row of plain descriptors of one kind ended. */
enum row_end { ROW_LAST, ROW_OTHER, ROW_HALF };

/* Follows plain descriptors of one kind (`write`: REST_WRITE or 0) and takes their buffers.
 *   element   in, out: the next one to fill
 *   returns   ROW_LAST, ROW_HALF; ROW_OTHER: at something else, or at `end` */
static ALWAYS_INLINE enum row_end take_row(const struct virtqueue_device *device,
                                           struct walk *walk, struct virtqueue_element **element,
                                           const struct virtqueue_element *end, uint64_t write,
                                           uint64_t *row_bytes)
{
        for (;;) {
                uint64_t rest = walk->words.rest, dev = walk->words.dev, bytes = (uint32_t)rest;
                if ((rest & (REST_WRITE | REST_INDIRECT)) != write ||
                    UNLIKELY(dev + bytes <= dev) || UNLIKELY(*element == end))
                        return ROW_OTHER;
                (*element)->dev = dev;
                (*element)++->bytes = (uint32_t)bytes;
                *row_bytes += bytes;
                if (!(rest & REST_NEXT))
                        return ROW_LAST;
                if (UNLIKELY(!step(device, walk)))
                        return ROW_HALF;
        }
}

/* Goes on with a chain in which there is something unusual. Ends because every descriptor is
 * counted, or is a table, behind which nothing comes.
 *   returns   ZX_OK: the request says what it is; else as pop_chain() */
static NOINLINE zx_status_t gather_unusual(struct virtqueue_device_gather *gather,
                                           struct walk *walk)
{
        struct virtqueue_device *device = gather->device;
        for (;;) {
                uint64_t rest = walk->words.rest;
                struct virtqueue_descriptor descriptor = {
                        .address = walk->words.dev,
                        .bytes = (uint32_t)rest,
                        .flags = (uint16_t)(rest >> VIRTQUEUE_PACKED_FLAGS_SHIFT),
                };
                if (walk->entries != 0 && rest & REST_INDIRECT) { /* 2.8.7: alone in its chain */
                        virtqueue_device_refuse(device, VIRTQUEUE_DEVICE_FAULT_INDIRECT_NEXT,
                                                walk->words.dev, 0);
                        return ZX_ERR_IO_DATA_INTEGRITY;
                }
                if (!virtqueue_device_gather_descriptor(gather, &descriptor))
                        return virtqueue_device_gather_status(gather);
                if (!(rest & REST_NEXT))
                        break;
                if (!step(device, walk))
                        return refuse(device, VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN,
                                      walk->place.offset);
        }
        return virtqueue_device_gather_finish(gather) ? ZX_OK : ZX_ERR_IO_DATA_INTEGRITY;
}

/* Reads and judges the chain that begins with `walk`, whatever it is.
 *   wait      whether more pieces than there is room for is nobody's fault
 *   returns   ZX_OK: the request says what it is, but for its id; ZX_ERR_NO_RESOURCES: no room;
 *             ZX_ERR_IO_DATA_INTEGRITY */
static ALWAYS_INLINE zx_status_t read_chain(struct virtqueue_device *device,
                                            struct virtqueue_request *request, bool wait,
                                            struct walk *walk)
{
        struct virtqueue_element *elements = request->elements, *element = elements, *behind;
        const struct virtqueue_element *end =
                &elements[min_u32(request->elements_max, device->ring.size)];
        uint64_t readable_bytes = 0, writable_bytes = 0;
        enum row_end how = take_row(device, walk, &element, end, 0, &readable_bytes);
        behind = element;
        if (how == ROW_OTHER)
                how = take_row(device, walk, &element, end, REST_WRITE, &writable_bytes);
        if (UNLIKELY(how == ROW_HALF))
                return refuse(device, VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN, walk->place.offset);
        if (UNLIKELY(how == ROW_OTHER)) {
                struct virtqueue_device_gather gather = {
                        .device = device,
                        .request = request,
                        .wait = wait,
                        .total_bytes = readable_bytes + writable_bytes,
                        .writable_bytes = writable_bytes,
                        .read = (uint32_t)(element - elements),
                        .pieces = (uint32_t)(element - elements),
                        .writable_pieces = (uint32_t)(element - behind),
                        .writable = element != behind,
                };
                return gather_unusual(&gather, walk);
        }
        if (UNLIKELY((readable_bytes + writable_bytes) >> 32 != 0)) /* 2.7.4: below 2^32 bytes */
                return virtqueue_device_gather_refuse_total(device,
                                                            readable_bytes + writable_bytes);
        request->counts = (uint64_t)(behind - elements) | (uint64_t)(element - behind) << 32;
        request->bytes = readable_bytes | writable_bytes << 32;
        return ZX_OK;
}

/* The pieces are good: the chain is the device's now, if its id and its length are. `walk` stands
 * at its last descriptor, which has the id. */
static ALWAYS_INLINE zx_status_t take(struct virtqueue_device *device,
                                      struct virtqueue_request *request, const struct walk *walk)
{
        uint32_t id = (uint16_t)(walk->words.rest >> VIRTQUEUE_PACKED_ID_SHIFT);
        uint32_t size = device->ring.size, entries = walk->entries + 1;
        if (UNLIKELY(id >= size))
                return refuse(device, VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE, id);
        if (UNLIKELY(device->slots[id].word != 0))
                return refuse(device, VIRTQUEUE_DEVICE_FAULT_HEAD_TWICE, id);
        if (UNLIKELY(entries > size - device->entries_in_flight)) /* made available again */
                return refuse(device, VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN,
                              device->next_popped.offset);
        request->id = (uint16_t)id;
        request->position = virtqueue_packed_position(device->next_popped);
        device->slots[id].word = virtqueue_device_slot_word(request->writable_bytes, entries);
        device->entries_in_flight += entries;
        device->next_popped = walk->place;
        virtqueue_packed_advance(&device->next_popped, 1, size);
        device->seen = ++device->popped;
        DEBUG_ASSERT(virtqueue_device_valid(device));
        return ZX_OK;
}

/* Pops the chain that begins with `begun`, and those behind it, whatever they are, as long as there
 * are some and there is room. */
static NOINLINE zx_status_t pop_chains(struct virtqueue_device *device,
                                       struct virtqueue_request_batch *batch, struct words begun)
{
        for (;;) {
                struct walk walk = {.words = begun, .place = device->next_popped};
                struct virtqueue_request *request = &batch->requests[batch->count];
                walk.available = available_on_lap(walk.place.wrap);
                if ((begun.rest & REST_BOTH) != walk.available)
                        return ZX_ERR_SHOULD_WAIT;
                request->elements = &batch->elements[batch->elements_count];
                request->elements_max = batch->elements_max - batch->elements_count;
                zx_status_t status = read_chain(device, request, batch->count != 0, &walk);
                if (LIKELY(status == ZX_OK))
                        status = take(device, request, &walk);
                if (UNLIKELY(status != ZX_OK))
                        return status;
                batch->elements_count += request->readable_count + request->writable_count;
                if (++batch->count == batch->requests_max)
                        return ZX_OK;
                begun = load_words(&device->packed_ring[device->next_popped.offset]);
        }
}

zx_status_t virtqueue_packed_device_pop(struct virtqueue_device *device,
                                        struct virtqueue_request *request)
{
        struct words begun;
        if (UNLIKELY(device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        DEBUG_ASSERT(request->elements_max != 0);
        if (LIKELY(pop_ones(device, request, request->elements, 1, &begun) != 0))
                return ZX_OK;
        struct virtqueue_request_batch batch = {.requests = request,
                                                .requests_max = 1,
                                                .elements = request->elements,
                                                .elements_max = request->elements_max};
        return pop_chains(device, &batch, begun);
}

zx_status_t virtqueue_packed_device_pop_batch(struct virtqueue_device *device,
                                              struct virtqueue_request_batch *batch)
{
        struct words begun;
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
        zx_status_t status = pop_chains(device, batch, begun);
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
                rest |= bytes != 0 ? REST_WRITE : 0;
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
                        lap ^= REST_BOTH;
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
        struct words words;
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return true;
        device->muted = false;
        write_event(device, device->event_index ? VIRTQUEUE_PACKED_EVENT_AT :
                                                  VIRTQUEUE_PACKED_EVENT_ALWAYS);
        /* The driver must see our wish before we look for the last time; pairs with the driver's
         * fence between its descriptors and its read of our event word. */
        shared_fence_full();
        words = load_words(&device->packed_ring[device->next_popped.offset]);
        return (words.rest & REST_BOTH) == available_on_lap(device->next_popped.wrap);
}
