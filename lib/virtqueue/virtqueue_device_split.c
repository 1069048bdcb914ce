/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The device's end of a split ring, behind virtqueue_device.h.
 *
 *   avail.ring   |..popped..|=== made available, checked ===|......     chain n stands in slot
 *                           ^popped                          ^seen      n mod size
 *   used.ring    |== the driver's ==|-- pushed --|
 *                                   ^published    ^pushed
 *
 * Relies on virtqueue_device_ring.h for every access to the rings, on virtqueue_device_gather.h for
 * the judgement of pieces. Facts: Virtio 1.3, 2.7; spec/virtio.md, 10. */
#include "virtqueue/virtqueue_device.h"

#include "base/shared.h"
#include "virtqueue/virtqueue_device_gather.h"

/* With EVENT_IDX a muted queue's avail_event lags behind; it is moved on before avail.idx laps
 * it. */
#define MUTED_LAG_MAX 0x4000

/* ---- taking ---- */

/* Reads avail.idx once and checks how far it moved [D1]; false: broken, latched. */
static bool look_at_avail_index(struct virtqueue_device *device)
{
        uint16_t index = virtqueue_device_ring_avail_index(&device->ring);
        uint16_t moved = (uint16_t)(index - (uint16_t)device->seen);
        uint32_t known =
                (uint32_t)(device->seen - device->popped) + virtqueue_device_in_flight(device);
        uint32_t possible = device->ring.size > known ? device->ring.size - known : 0;
        if (UNLIKELY(moved > possible)) { /* backwards is a long way forwards */
                virtqueue_device_refuse(device, VIRTQUEUE_DEVICE_FAULT_INDEX_JUMP, moved, possible);
                return false;
        }
        device->seen += moved;
        return true;
}

/* When nothing is known to be available: looks whether there is. */
static NOINLINE zx_status_t pop_after_look(struct virtqueue_device *device,
                                           struct virtqueue_request *request)
{
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE || !look_at_avail_index(device))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (device->popped == device->seen)
                return ZX_ERR_SHOULD_WAIT;
        if (device->muted && device->event_index &&
            (uint16_t)(device->popped - device->avail_event) > MUTED_LAG_MAX)
                virtqueue_split_device_mute(device);
        return virtqueue_split_device_pop(device, request);
}

static NOINLINE zx_status_t refuse(struct virtqueue_device *device,
                                   enum virtqueue_device_fault_reason reason, uint32_t value)
{
        virtqueue_device_refuse(device, reason, value, device->ring.size);
        return ZX_ERR_IO_DATA_INTEGRITY;
}

/* The chain is good: it is the device's now. */
static ALWAYS_INLINE zx_status_t take(struct virtqueue_device *device,
                                      struct virtqueue_request *request, uint16_t head,
                                      uint32_t writable_bytes)
{
        request->id = head;
        request->position = (uint16_t)device->popped;
        device->slots[head] = (struct virtqueue_device_slot){.writable_bytes = writable_bytes,
                                                             .in_flight = true};
        device->popped++;
        DEBUG_ASSERT(virtqueue_device_valid(device));
        return ZX_OK;
}

/* A descriptor in two words, as it is read: bytes, flags << 32 and next << 48 make one. */
struct words {
        uint64_t dev, rest;
};

#define REST_FLAG(bit) BIT_MASK(32 + (bit))
#define REST_NEXT REST_FLAG(VIRTQUEUE_NEXT_BIT)
#define REST_WRITE REST_FLAG(VIRTQUEUE_WRITE_BIT)
#define REST_INDIRECT REST_FLAG(VIRTQUEUE_INDIRECT_BIT)

/* A copy of descriptor `which`, which is below the ring's size; each field read once. */
static ALWAYS_INLINE struct words load_words(const struct virtqueue_device_ring *ring,
                                             uint32_t which)
{
        const struct virtqueue_descriptor *descriptor = &ring->descriptors[which];
        return (struct words){.dev = shared_load_u64(&descriptor->address),
                              .rest = shared_load_u64(&descriptor->bytes)};
}

/* Whether there is something in it, and its addresses do not wrap. Those that end where addresses
 * end are left to the long way. */
static ALWAYS_INLINE bool plain_range(struct words words)
{
        return words.dev + (uint32_t)words.rest > words.dev;
}

/* Goes on with a chain at `words`, in which there is something unusual. Ends because every
 * descriptor is counted, or is a table, behind which nothing comes. */
static NOINLINE zx_status_t pop_unusual(struct virtqueue_device_gather *gather, uint16_t head,
                                        struct words words)
{
        struct virtqueue_device *device = gather->device;
        struct virtqueue_descriptor descriptor = {.address = words.dev,
                                                  .bytes = (uint32_t)words.rest,
                                                  .flags = (uint16_t)(words.rest >> 32),
                                                  .next = (uint16_t)(words.rest >> 48)};
        for (;;) {
                if (!virtqueue_device_gather_descriptor(gather, &descriptor))
                        return ZX_ERR_IO_DATA_INTEGRITY;
                if (!(descriptor.flags & VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT)))
                        break;
                if (!virtqueue_device_ring_descriptor(&device->ring, descriptor.next, &descriptor))
                        return refuse(device, VIRTQUEUE_DEVICE_FAULT_NEXT_RANGE, descriptor.next);
        }
        if (!virtqueue_device_gather_finish(gather))
                return ZX_ERR_IO_DATA_INTEGRITY;
        return take(device, gather->request, head, gather->request->writable_bytes);
}

/* How a row of plain descriptors of one kind ended. */
enum row_end { ROW_LAST, ROW_OTHER, ROW_BAD_NEXT };

/* What a row has added up. */
struct row {
        struct words words; /* in: its first descriptor; out: the one with which it ended */
        uint64_t bytes;
        uint32_t pieces; /* in, out: in the request so far */
        uint32_t limit;  /* of pieces */
};

/* Follows plain descriptors of one kind (`write`: REST_WRITE or 0) and takes their buffers. */
static ALWAYS_INLINE enum row_end take_row(const struct virtqueue_device_ring *ring,
                                           struct virtqueue_element *elements, struct row *row,
                                           uint64_t write)
{
        struct words words = row->words;
        enum row_end end = ROW_OTHER;
        row->bytes = 0;
        while ((words.rest & (REST_WRITE | REST_INDIRECT)) == write && plain_range(words) &&
               row->pieces != row->limit) {
                elements[row->pieces].dev = words.dev;
                elements[row->pieces++].bytes = (uint32_t)words.rest;
                row->bytes += (uint32_t)words.rest;
                if (!(words.rest & REST_NEXT)) {
                        end = ROW_LAST;
                        break;
                }
                if (UNLIKELY(words.rest >> 48 >= ring->size)) {
                        end = ROW_BAD_NEXT;
                        break;
                }
                words = load_words(ring, (uint32_t)(words.rest >> 48));
        }
        row->words = words;
        return end;
}

/* A chain of more than one descriptor, or with something unusual in its first. */
static NOINLINE zx_status_t pop_chain(struct virtqueue_device *device,
                                      struct virtqueue_request *request, uint16_t head,
                                      struct words words)
{
        const struct virtqueue_device_ring *ring = &device->ring;
        struct row row = {.words = words,
                          .limit = request->elements_max < ring->size ? request->elements_max :
                                                                        ring->size};
        uint64_t readable_bytes, writable_bytes = 0;
        enum row_end end = take_row(ring, request->elements, &row, 0);
        uint32_t readable_count = row.pieces;
        readable_bytes = row.bytes;
        if (end == ROW_OTHER) {
                end = take_row(ring, request->elements, &row, REST_WRITE);
                writable_bytes = row.bytes;
        }
        if (UNLIKELY(end == ROW_BAD_NEXT))
                return refuse(device, VIRTQUEUE_DEVICE_FAULT_NEXT_RANGE,
                              (uint32_t)(row.words.rest >> 48));
        if (UNLIKELY(end == ROW_OTHER)) {
                struct virtqueue_device_gather gather = {
                        .device = device,
                        .request = request,
                        .total_bytes = readable_bytes + writable_bytes,
                        .writable_bytes = writable_bytes,
                        .read = row.pieces,
                        .pieces = row.pieces,
                        .writable_pieces = row.pieces - readable_count,
                        .writable = row.pieces != readable_count,
                };
                return pop_unusual(&gather, head, row.words);
        }
        if (UNLIKELY((readable_bytes + writable_bytes) >> 32 != 0)) /* 2.7.4: below 2^32 bytes */
                return virtqueue_device_gather_refuse_total(device,
                                                            readable_bytes + writable_bytes);
        request->readable_count = readable_count;
        request->writable_count = row.pieces - readable_count;
        request->readable_bytes = (uint32_t)readable_bytes;
        request->writable_bytes = (uint32_t)writable_bytes;
        return take(device, request, head, (uint32_t)writable_bytes);
}

zx_status_t virtqueue_split_device_pop(struct virtqueue_device *device,
                                       struct virtqueue_request *request)
{
        const struct virtqueue_device_ring *ring = &device->ring;
        uint64_t popped = device->popped;
        if (popped == device->seen) /* also when it is broken [D3] */
                return pop_after_look(device, request);
        uint16_t head = virtqueue_device_ring_head(ring, (uint16_t)popped);
        if (UNLIKELY(head >= ring->size))
                return refuse(device, VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE, head);
        if (UNLIKELY(device->slots[head].in_flight))
                return refuse(device, VIRTQUEUE_DEVICE_FAULT_HEAD_TWICE, head);
        struct words words = load_words(ring, head);
        DEBUG_ASSERT(request->elements_max != 0);
        if ((words.rest & (REST_NEXT | REST_INDIRECT)) != 0 || UNLIKELY(!plain_range(words)))
                return pop_chain(device, request, head, words);

        /* One plain descriptor: a short way of its own, because it is the usual case. */
        uint32_t bytes = (uint32_t)words.rest;
        uint32_t writable_bytes = words.rest & REST_WRITE ? bytes : 0;
        request->elements[0].dev = words.dev;
        request->elements[0].bytes = bytes;
        request->readable_count = !(words.rest & REST_WRITE);
        request->writable_count = (words.rest & REST_WRITE) != 0;
        request->readable_bytes = bytes - writable_bytes;
        request->writable_bytes = writable_bytes;
        return take(device, request, head, writable_bytes);
}

void virtqueue_split_device_unpop(struct virtqueue_device *device,
                                  const struct virtqueue_request *request)
{
        if (device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return;
        ASSERT(request->id < device->ring.size);
        ASSERT(request->position == (uint16_t)(device->popped - 1));
        ASSERT(device->slots[request->id].in_flight);
        device->slots[request->id].in_flight = false;
        device->popped--;
}

/* ---- giving back ---- */

void virtqueue_split_device_publish(struct virtqueue_device *device)
{
        if (device->published == device->pushed ||
            device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE)
                return;
        virtqueue_device_ring_publish_used(&device->ring, (uint16_t)device->pushed);
        device->published = device->pushed;
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
         * driver's fence between writing used_event or avail.flags and its last look at
         * used.idx. */
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
