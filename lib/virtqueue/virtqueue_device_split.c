/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The device's end of a split ring, behind virtqueue_device.h.
 *
 *   avail.ring   |..popped..|=== made available, checked ===|......     chain n stands in slot
 *                           ^popped                          ^seen      n mod size
 *   used.ring    |== the driver's ==|-- pushed --|
 *                                   ^published    ^pushed
 *
 * Relies on virtqueue_device_ring.h for every access to the rings, on
 * virtqueue_device_split_chains.c for chains that are more than one plain descriptor. Facts: Virtio
 * 1.3, 2.7; spec/virtio.md, 10. */
#include "virtqueue/virtqueue_device.h"

#include "base/shared.h"
#include "virtqueue/virtqueue_device_gather.h"
#include "virtqueue/virtqueue_device_split.h"

/* With EVENT_IDX a muted queue's avail_event lags behind;
 * it is moved on before avail.idx laps it. */
#define MUTED_LAG_MAX 0x4000

/* Of virtqueue_split_words.rest. */
#define REST_FLAGS ((uint64_t)UINT16_MAX << VIRTQUEUE_REST_FLAGS_SHIFT)
#define REST_WRITE BIT_MASK(VIRTQUEUE_REST_FLAGS_SHIFT + VIRTQUEUE_WRITE_BIT)

/* ---- taking ---- */

/* Reads avail.idx once and checks how far it moved [D1]; false: broken, latched. */
static ALWAYS_INLINE bool look_at_avail_index(struct virtqueue_device *device)
{
        uint16_t index = virtqueue_device_ring_avail_index(&device->ring);
        uint32_t moved = (uint16_t)(index - (uint16_t)device->seen);
        /* Those popped are in flight, unless they were pushed; those seen were not popped yet. */
        uint32_t known = (uint32_t)(device->seen - device->pushed - device->ahead);
        uint32_t possible = device->ring.size - known;
        DEBUG_ASSERT(known <= device->ring.size);
        if (UNLIKELY(moved > possible)) { /* backwards is a long way forwards */
                virtqueue_device_refuse(device, VIRTQUEUE_DEVICE_FAULT_INDEX_JUMP, moved, possible);
                return false;
        }
        device->seen += moved;
        return true;
}

zx_status_t virtqueue_split_refuse_head(struct virtqueue_device *device, uint32_t head)
{
        uint32_t size = device->ring.size;
        virtqueue_device_refuse(device, head >= size ? VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE :
                                                       VIRTQUEUE_DEVICE_FAULT_HEAD_TWICE,
                                head, size);
        return ZX_ERR_IO_DATA_INTEGRITY;
}

/* Takes a chain whose head is good if it is one plain descriptor: fills in its slot, all of the
 * request but its elements and place, and the element.
 *   returns   false: it is something else; nothing was written */
static ALWAYS_INLINE bool take_one(struct virtqueue_device_slot *slot,
                                   struct virtqueue_split_words words,
                                   struct virtqueue_request *request,
                                   struct virtqueue_element *element)
{
        uint64_t bytes = (uint32_t)words.rest, writable_bytes = 0, flags = words.rest & REST_FLAGS;
        if (UNLIKELY(words.dev + bytes <= words.dev))
                flags = REST_FLAGS; /* something else it is, too */
        if (LIKELY(flags == 0)) {
                request->counts = 1;
                request->bytes = bytes;
        } else if (flags == REST_WRITE) {
                request->counts = 1ull << 32;
                request->bytes = bytes << 32;
                writable_bytes = bytes;
        } else {
                return false;
        }
        slot->word = virtqueue_device_slot_word(writable_bytes, 0);
        element->dev = words.dev;
        element->bytes = (uint32_t)bytes;
        return true;
}

/* Pops chains of one plain descriptor, the usual case, until one is something else. Everything that
 * lasts is in locals: for all the compiler knows, a store into a request could change the device.
 *   request   and element: room for `count` from there on
 *   count     1..; that many are known to be available, before the ring's end
 *   begun     out: the one that is something else, if fewer than `count` were popped
 *   returns   how many */
static ALWAYS_INLINE uint32_t pop_ones(struct virtqueue_device *device,
                                       struct virtqueue_request *request,
                                       struct virtqueue_element *element, uint32_t count,
                                       struct virtqueue_split_begun *begun)
{
        const struct virtqueue_descriptor *descriptors = device->ring.descriptors;
        struct virtqueue_device_slot *slots = device->slots;
        uint32_t size = device->ring.size, place = (uint32_t)device->popped;
        const uint16_t *entry = &device->ring.avail->ring[place & (size - 1)];
        const struct virtqueue_request *first = request, *end = request + count;
        place <<= VIRTQUEUE_REQUEST_POSITION_SHIFT;
        do {
                uint32_t head = shared_load_u16(entry);
                if (!virtqueue_split_head_good(slots, size, head)) {
                        begun->progress = VIRTQUEUE_SPLIT_HEAD_READ;
                        begun->head = head;
                        break;
                }
                struct virtqueue_split_words words = virtqueue_split_load_words(descriptors, head);
                if (!take_one(&slots[head], words, request, element)) {
                        begun->progress = VIRTQUEUE_SPLIT_WORDS_READ;
                        begun->head = head;
                        begun->words = words;
                        break;
                }
                request->elements = element++;
                request->place = head | place;
                place += 1u << VIRTQUEUE_REQUEST_POSITION_SHIFT;
                entry++;
        } while (++request != end);
        uint32_t done = (uint32_t)(request - first);
        device->popped += done;
        DEBUG_ASSERT(virtqueue_device_valid(device));
        return done;
}

/* Looks once for what is available, when nothing is known to be. */
static ALWAYS_INLINE zx_status_t look_if_needed(struct virtqueue_device *device)
{
        if (device->popped != device->seen) /* also not when it is broken [D3] */
                return ZX_OK;
        if (UNLIKELY(device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE) ||
            UNLIKELY(!look_at_avail_index(device)))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (device->popped == device->seen)
                return ZX_ERR_SHOULD_WAIT;
        if (UNLIKELY(device->muted) && device->event_index &&
            (uint16_t)(device->popped - device->avail_event) > MUTED_LAG_MAX)
                virtqueue_split_device_mute(device);
        return ZX_OK;
}

static NOINLINE zx_status_t pop_unusual(struct virtqueue_device *device,
                                        struct virtqueue_request *request, uint32_t head,
                                        struct virtqueue_split_words words)
{
        struct virtqueue_split_begun begun = {
                .progress = VIRTQUEUE_SPLIT_WORDS_READ, .head = head, .words = words};
        struct virtqueue_request_batch batch = {.requests = request,
                                                .requests_max = 1,
                                                .elements = request->elements,
                                                .elements_max = request->elements_max};
        return virtqueue_split_pop_chains(device, &batch, &begun);
}

/* As pop_ones() for one chain; what is unusual is a call at the end, so that nothing is saved. */
zx_status_t virtqueue_split_device_pop(struct virtqueue_device *device,
                                       struct virtqueue_request *request)
{
        zx_status_t status = look_if_needed(device);
        if (UNLIKELY(status != ZX_OK))
                return status;
        DEBUG_ASSERT(request->elements_max != 0);
        uint32_t size = device->ring.size, position = (uint32_t)device->popped;
        uint32_t head = shared_load_u16(&device->ring.avail->ring[position & (size - 1)]);
        if (!virtqueue_split_head_good(device->slots, size, head))
                return virtqueue_split_refuse_head(device, head);
        struct virtqueue_split_words words =
                virtqueue_split_load_words(device->ring.descriptors, head);
        if (!take_one(&device->slots[head], words, request, request->elements))
                return pop_unusual(device, request, head, words);
        request->place = head | position << VIRTQUEUE_REQUEST_POSITION_SHIFT;
        device->popped++;
        DEBUG_ASSERT(virtqueue_device_valid(device));
        return ZX_OK;
}

zx_status_t virtqueue_split_device_pop_batch(struct virtqueue_device *device,
                                             struct virtqueue_request_batch *batch)
{
        struct virtqueue_split_begun begun;
        zx_status_t status = look_if_needed(device);
        batch->count = batch->elements_count = 0;
        if (UNLIKELY(status != ZX_OK))
                return status;
        ASSERT(batch->requests_max != 0 && batch->elements_max != 0);
        uint32_t size = device->ring.size;
        uint32_t count = min_u32(batch->requests_max, batch->elements_max);
        count = min_u32(count, (uint32_t)(device->seen - device->popped));
        count = min_u32(count, size - ((uint32_t)device->popped & (size - 1)));
        batch->count = pop_ones(device, batch->requests, batch->elements, count, &begun);
        batch->elements_count = batch->count;
        if (LIKELY(batch->count == count))
                return ZX_OK;
        return virtqueue_split_pop_chains(device, batch, &begun);
}

void virtqueue_split_device_unpop(struct virtqueue_device *device,
                                  const struct virtqueue_request *request)
{
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return;
        ASSERT(request->id < device->ring.size);
        ASSERT(request->position == (uint16_t)(device->popped - 1));
        ASSERT(device->slots[request->id].word != 0);
        device->slots[request->id].word = 0;
        device->popped--;
}

/* ---- giving back ---- */

/* Gives back chains, of `used` or of `requests`:
 * one of the two is NULL, which the compiler knows. */
static ALWAYS_INLINE void push(struct virtqueue_device *device,
                               const struct virtqueue_used_element *used,
                               const struct virtqueue_request *requests, uint32_t count)
{
        struct virtqueue_device_slot *slots = device->slots;
        struct virtqueue_used_element *ring = device->ring.used->ring;
        uint32_t size = device->ring.size, position = (uint32_t)device->pushed & (size - 1);
        if (UNLIKELY(device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE))
                return;
        device->pushed += count;
        while (count != 0) { /* once, and once more when the ring begins anew */
                uint32_t stretch = min_u32(count, size - position);
                struct virtqueue_used_element *entry = &ring[position], *end = entry + stretch;
                count -= stretch;
                position = 0;
                do {
                        uint64_t id = used != NULL ? used->id : requests->id;
                        uint32_t bytes = used != NULL ? used->bytes : 0;
                        ASSERT(id < size);
                        ASSERT(bytes < slots[id].word); /* in flight, and no more than may be */
                        slots[id].word = 0;
                        shared_store_u32(&entry->id, (uint32_t)id);
                        shared_store_u32(&entry->bytes, bytes);
                        if (used != NULL)
                                used++;
                        else
                                requests++;
                } while (++entry != end);
        }
}

void virtqueue_split_device_push_batch(struct virtqueue_device *device,
                                       const struct virtqueue_used_element *used, uint32_t count)
{
        push(device, used, NULL, count);
}

void virtqueue_split_device_push_read(struct virtqueue_device *device,
                                      const struct virtqueue_request *requests, uint32_t count)
{
        push(device, NULL, requests, count);
}

void virtqueue_split_device_publish(struct virtqueue_device *device)
{
        uint64_t pushed = device->pushed;
        if (device->published == pushed || device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return;
        if (UNLIKELY(device->run.open))
                virtqueue_device_end_order(device);
        virtqueue_device_ring_publish_used(&device->ring, (uint16_t)pushed);
        device->published = pushed;
}

bool virtqueue_split_device_signal_needed(struct virtqueue_device *device)
{
        uint64_t moved = device->published - device->checked;
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return false;
        if (device->signal_unknown) { /* one too many is allowed, one too few is not */
                device->signal_unknown = false;
                device->checked = device->published;
                return true;
        }
        if (moved == 0)
                return false;
        device->checked = device->published;
        /* Our used.idx must be visible before we look whether the driver sleeps; pairs with the
         * driver's fence between writing used_event or avail.flags and its last
         * look at used.idx. */
        shared_fence_full();
        return virtqueue_device_ring_signal_wanted(&device->ring, device->event_index,
                                                   (uint16_t)device->published, moved);
}

/* ---- notifications ---- */

static void write_avail_event(struct virtqueue_device *device, uint16_t event)
{
        device->avail_event = event;
        virtqueue_device_ring_set_avail_event(&device->ring, event);
}

void virtqueue_split_device_mute(struct virtqueue_device *device)
{
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return;
        device->muted = true;
        if (device->event_index) /* just passed, so 65535 more until it is reached */
                write_avail_event(device, (uint16_t)(device->popped - 1));
        else
                virtqueue_device_ring_set_flags(&device->ring,
                                                VIRTQUEUE_FLAG(VIRTQUEUE_NO_NOTIFY_BIT));
}

bool virtqueue_split_device_ask(struct virtqueue_device *device)
{
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return true;
        device->muted = false;
        if (device->event_index)
                write_avail_event(device, (uint16_t)device->seen);
        else
                virtqueue_device_ring_set_flags(&device->ring, 0);
        /* The driver must see our wish before we look for the last time; pairs with the driver's
         * fence between its avail.idx and its read of avail_event or used.flags. */
        shared_fence_full();
        return !look_at_avail_index(device) || device->seen != device->popped;
}
