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

static NOINLINE zx_status_t refuse(struct virtqueue_device *device,
                                   enum virtqueue_device_fault_reason reason, uint32_t value)
{
        virtqueue_device_refuse(device, reason, value, device->ring.size);
        return ZX_ERR_IO_DATA_INTEGRITY;
}

/* A descriptor in two words, as it is read: bytes, flags << 32 and next << 48 make one. */
struct words {
        uint64_t dev, rest;
};

#define REST_FLAGS_SHIFT 32
#define REST_NEXT_SHIFT 48
#define REST_FLAGS ((uint64_t)UINT16_MAX << REST_FLAGS_SHIFT)
#define REST_WRITE BIT_MASK(REST_FLAGS_SHIFT + VIRTQUEUE_WRITE_BIT)
#define FLAG_NEXT BIT_MASK(VIRTQUEUE_NEXT_BIT)
#define FLAG_WRITE BIT_MASK(VIRTQUEUE_WRITE_BIT)
#define FLAG_INDIRECT BIT_MASK(VIRTQUEUE_INDIRECT_BIT)

/* A chain of which the beginning was read, once, and nothing done with it. */
struct begun {
        uint32_t head; /* as the driver wrote it */
        bool head_good;
        struct words words; /* if it is */
};

/* Descriptor `which`, which is below the ring's size; each field read once. */
static ALWAYS_INLINE struct words load_words(const struct virtqueue_descriptor *descriptors,
                                             uint32_t which)
{
        return (struct words){.rest = shared_load_u64(&descriptors[which].bytes),
                              .dev = shared_load_u64(&descriptors[which].address)};
}

/* Whether a head may be looked at: it is one, and not in flight. */
static ALWAYS_INLINE bool head_good(const struct virtqueue_device_slot *slots, uint32_t size,
                                    uint32_t head)
{
        return LIKELY(head < size) && LIKELY(slots[head].word == 0);
}

static NOINLINE zx_status_t refuse_head(struct virtqueue_device *device, uint32_t head)
{
        return refuse(device, head >= device->ring.size ? VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE :
                                                          VIRTQUEUE_DEVICE_FAULT_HEAD_TWICE, head);
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
                                       struct begun *begun)
{
        const struct virtqueue_descriptor *descriptors = device->ring.descriptors;
        struct virtqueue_device_slot *slots = device->slots;
        uint32_t size = device->ring.size, place = (uint32_t)device->popped;
        const uint16_t *entry = &device->ring.avail->ring[place & (size - 1)];
        const struct virtqueue_request *first = request, *end = request + count;
        place <<= VIRTQUEUE_REQUEST_POSITION_SHIFT;
        do {
                uint32_t head = shared_load_u16(entry);
                if (!head_good(slots, size, head)) {
                        *begun = (struct begun){.head = head};
                        break;
                }
                struct words words = load_words(descriptors, head);
                uint64_t dev = words.dev, bytes = (uint32_t)words.rest, writable_bytes = 0;
                uint64_t flags = words.rest & REST_FLAGS;
                if (UNLIKELY(dev + bytes <= dev))
                        flags = REST_FLAGS; /* something else it is, too */
                if (LIKELY(flags == 0)) {
                        request->counts = 1;
                        request->bytes = bytes;
                } else if (flags == REST_WRITE) {
                        request->counts = 1ull << 32;
                        request->bytes = bytes << 32;
                        writable_bytes = bytes;
                } else {
                        *begun = (struct begun){head, true, words};
                        break;
                }
                slots[head].word = virtqueue_device_slot_word(writable_bytes, 0);
                element->dev = dev;
                element->bytes = (uint32_t)bytes;
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

/* A row of plain descriptors of one kind. */
struct row {
        struct words words; /* in: its first descriptor; out: the one that was not taken, if any */
        struct virtqueue_element *element; /* in, out: the next one to fill */
        const struct virtqueue_element *end;
        uint64_t bytes; /* out */
        bool ended;     /* out: by the chain's last descriptor */
};

static ALWAYS_INLINE void take_piece(struct row *row)
{
        row->element->dev = row->words.dev;
        row->element->bytes = (uint32_t)row->words.rest;
        row->element++;
        row->bytes += (uint32_t)row->words.rest;
}

/* Follows plain descriptors of one kind (`write`: FLAG_WRITE or 0) and takes their buffers.
 *   returns   true: to the end of the chain; false: to something else, whatever it is */
static ALWAYS_INLINE bool take_row(const struct virtqueue_descriptor *descriptors, uint32_t size,
                                   uint32_t write, struct row *row)
{
        const uint32_t more = (write | VIRTQUEUE_FLAG(VIRTQUEUE_NEXT_BIT)) << 16;
        row->bytes = 0;
        for (;;) {
                uint32_t flags_and_next = (uint32_t)(row->words.rest >> REST_FLAGS_SHIFT);
                uint64_t dev = row->words.dev;
                if (UNLIKELY(dev + (uint32_t)row->words.rest <= dev) ||
                    UNLIKELY(row->element == row->end))
                        return false;
                /* Flags above, next below, less what the flags must be: next, or above any. */
                uint32_t next = (flags_and_next << 16 | flags_and_next >> 16) - more;
                if (next >= size) {
                        if ((uint16_t)flags_and_next != write)
                                return false;
                        take_piece(row);
                        return true;
                }
                take_piece(row);
                row->words = load_words(descriptors, next);
        }
}

/* Goes on with a chain at `words`, in which there is something unusual. Ends because every
 * descriptor is counted, or is a table, behind which nothing comes.
 *   returns   ZX_OK: the request says what it is; else as pop_chain() */
static NOINLINE zx_status_t gather_unusual(struct virtqueue_device_gather *gather,
                                           struct words words)
{
        const struct virtqueue_device_ring *ring = &gather->device->ring;
        struct virtqueue_descriptor descriptor = {
                .address = words.dev,
                .bytes = (uint32_t)words.rest,
                .flags = (uint16_t)(words.rest >> REST_FLAGS_SHIFT),
                .next = (uint16_t)(words.rest >> REST_NEXT_SHIFT)};
        for (;;) {
                if (!virtqueue_device_gather_descriptor(gather, &descriptor))
                        return virtqueue_device_gather_status(gather);
                if (!(descriptor.flags & FLAG_NEXT))
                        break;
                if (!virtqueue_device_ring_descriptor(ring, descriptor.next, &descriptor))
                        return refuse(gather->device, VIRTQUEUE_DEVICE_FAULT_NEXT_RANGE,
                                      descriptor.next);
        }
        return virtqueue_device_gather_finish(gather) ? ZX_OK : ZX_ERR_IO_DATA_INTEGRITY;
}

/* Ends a chain that is not one row of plain descriptors.
 *   request   elements, elements_max: the first row's are there
 *   row       the first one; its `element` is behind the request's last
 *   write     its kind
 *   wait      whether more pieces than there is room for is nobody's fault
 *   returns   ZX_OK: the request says what it is, but for its place; ZX_ERR_NO_RESOURCES: no room;
 *             ZX_ERR_IO_DATA_INTEGRITY */
static NOINLINE zx_status_t read_rest(struct virtqueue_device *device,
                                      struct virtqueue_request *request, struct row row,
                                      uint32_t write, bool wait)
{
        struct virtqueue_element *elements = request->elements;
        uint32_t first = (uint32_t)(row.element - elements);
        uint64_t first_bytes = row.bytes;
        bool ended = take_row(device->ring.descriptors, device->ring.size, FLAG_WRITE, &row);
        uint32_t pieces = (uint32_t)(row.element - elements);
        uint64_t total_bytes = first_bytes + row.bytes;
        uint64_t readable_bytes = write != 0 ? 0 : first_bytes;
        uint32_t readable = write != 0 ? 0 : first;
        if (LIKELY(ended) && LIKELY(total_bytes >> 32 == 0)) { /* the usual: to read, to write */
                request->counts = readable | (uint64_t)(pieces - readable) << 32;
                request->bytes = readable_bytes | (total_bytes - readable_bytes) << 32;
                return ZX_OK;
        }
        struct virtqueue_device_gather gather = {
                .device = device,
                .request = request,
                .wait = wait,
                .total_bytes = total_bytes,
                .writable_bytes = total_bytes - readable_bytes,
                .read = pieces,
                .pieces = pieces,
                .writable_pieces = pieces - readable,
        };
        gather.writable = gather.writable_pieces != 0;
        if (!ended)
                return gather_unusual(&gather, row.words);
        return virtqueue_device_gather_finish(&gather) ? ZX_OK : ZX_ERR_IO_DATA_INTEGRITY;
}

/* Notes that the chains before `position` are popped: at the end, and before a fault, which names
 * the place where the device stands [D3]. */
static ALWAYS_INLINE void stand_at(struct virtqueue_device *device, uint32_t position)
{
        device->popped += position - (uint32_t)device->popped;
}

/* Fills in all of the request of a chain that is one row, but for its elements, and its slot. */
static ALWAYS_INLINE void fill_row(struct virtqueue_request *request,
                                   struct virtqueue_device_slot *slot, const struct row *row,
                                   uint32_t write)
{
        uint64_t count = (uint64_t)(row->element - request->elements);
        if (write == 0) {
                request->counts = count;
                request->bytes = row->bytes;
                slot->word = virtqueue_device_slot_word(0, 0);
        } else {
                request->counts = count << 32;
                request->bytes = row->bytes << 32;
                slot->word = virtqueue_device_slot_word(row->bytes, 0);
        }
}

/* Fills in the same of a chain that is something else, or latches what is wrong with it.
 *   row       its beginning, of kind `write`
 *   wait      whether more pieces than there is room for is nobody's fault */
static NOINLINE zx_status_t fill_other(struct virtqueue_device *device,
                                       struct virtqueue_request *request, struct row row,
                                       uint32_t write, bool wait)
{
        if (row.ended) /* 2.7.4: below 2^32 bytes */
                return virtqueue_device_gather_refuse_total(device, row.bytes);
        return read_rest(device, request, row, write, wait);
}

/* Pops the chain that was begun, whose head is good, and those behind it that are known to be
 * available, whatever they are, as long as there is room.
 *   returns   ZX_OK; ZX_ERR_NO_RESOURCES: not enough room for the next; ZX_ERR_IO_DATA_INTEGRITY */
static NOINLINE zx_status_t pop_chains(struct virtqueue_device *device,
                                       struct virtqueue_request_batch *batch,
                                       const struct begun *begun)
{
        const struct virtqueue_descriptor *descriptors = device->ring.descriptors;
        const uint16_t *ring = device->ring.avail->ring;
        struct virtqueue_device_slot *slots = device->slots;
        struct virtqueue_request *request = &batch->requests[batch->count], *request_end;
        struct virtqueue_element *end = &batch->elements[batch->elements_max];
        uint32_t size = device->ring.size, head = begun->head, position = (uint32_t)device->popped;
        struct row row = {.words = begun->words,
                          .element = &batch->elements[batch->elements_count]};
        /* A chain that begins before it has more room than it may fill. */
        struct virtqueue_element *wide_end =
                batch->elements_max > size ? end - size : batch->elements;
        zx_status_t status = ZX_OK;
        request_end = request + min_u32(batch->requests_max - batch->count,
                                        (uint32_t)(device->seen - device->popped));
        for (;;) {
                uint32_t write = (uint32_t)(row.words.rest >> REST_FLAGS_SHIFT) & FLAG_WRITE;
                request->elements = row.element;
                row.end = UNLIKELY(row.element < wide_end) ? row.element + size : end;
                row.ended = take_row(descriptors, size, write, &row);
                if (LIKELY(row.ended) && LIKELY(row.bytes >> 32 == 0)) {
                        fill_row(request, &slots[head], &row, write);
                } else {
                        stand_at(device, position);
                        request->elements_max = (uint32_t)(end - request->elements);
                        status = fill_other(device, request, row, write,
                                            request != batch->requests);
                        if (status != ZX_OK)
                                break;
                        row.element = request->elements + request->readable_count +
                                      request->writable_count;
                        slots[head].word = virtqueue_device_slot_word(request->writable_bytes, 0);
                }
                request->place = head | position << VIRTQUEUE_REQUEST_POSITION_SHIFT;
                position++;
                if (++request == request_end)
                        break;
                head = shared_load_u16(&ring[position & (size - 1)]);
                if (UNLIKELY(!head_good(slots, size, head))) {
                        stand_at(device, position);
                        status = refuse_head(device, head);
                        break;
                }
                row.words = load_words(descriptors, head);
        }
        stand_at(device, position);
        batch->count = (uint32_t)(request - batch->requests);
        if (batch->count != 0)
                batch->elements_count = (uint32_t)(request[-1].elements - batch->elements) +
                                        request[-1].readable_count + request[-1].writable_count;
        DEBUG_ASSERT(virtqueue_device_valid(device));
        return status;
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
                                        struct words words)
{
        struct begun begun = {head, true, words};
        struct virtqueue_request_batch batch = {.requests = request,
                                                .requests_max = 1,
                                                .elements = request->elements,
                                                .elements_max = request->elements_max};
        return pop_chains(device, &batch, &begun);
}

/* As pop_ones() for one chain; what is unusual is a call at the end, so that nothing is saved. */
zx_status_t virtqueue_split_device_pop(struct virtqueue_device *device,
                                       struct virtqueue_request *request)
{
        zx_status_t status = look_if_needed(device);
        if (UNLIKELY(status != ZX_OK))
                return status;
        DEBUG_ASSERT(request->elements_max != 0);
        struct virtqueue_device_slot *slots = device->slots;
        uint32_t size = device->ring.size, position = (uint32_t)device->popped;
        uint32_t head = shared_load_u16(&device->ring.avail->ring[position & (size - 1)]);
        if (!head_good(slots, size, head))
                return refuse_head(device, head);
        struct words words = load_words(device->ring.descriptors, head);
        uint64_t bytes = (uint32_t)words.rest, writable_bytes = 0, flags = words.rest & REST_FLAGS;
        if (UNLIKELY(words.dev + bytes <= words.dev))
                return pop_unusual(device, request, head, words);
        if (LIKELY(flags == 0)) {
                request->counts = 1;
                request->bytes = bytes;
        } else if (flags == REST_WRITE) {
                request->counts = 1ull << 32;
                request->bytes = bytes << 32;
                writable_bytes = bytes;
        } else {
                return pop_unusual(device, request, head, words);
        }
        struct virtqueue_element *element = request->elements;
        slots[head].word = virtqueue_device_slot_word(writable_bytes, 0);
        element->dev = words.dev;
        element->bytes = (uint32_t)bytes;
        request->place = head | position << VIRTQUEUE_REQUEST_POSITION_SHIFT;
        device->popped++;
        DEBUG_ASSERT(virtqueue_device_valid(device));
        return ZX_OK;
}

zx_status_t virtqueue_split_device_pop_batch(struct virtqueue_device *device,
                                             struct virtqueue_request_batch *batch)
{
        struct begun begun;
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
        if (UNLIKELY(!begun.head_good))
                return refuse_head(device, begun.head);
        status = pop_chains(device, batch, &begun);
        return status == ZX_ERR_NO_RESOURCES ? ZX_OK : status;
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

/* Gives back chains, of `used` or of `requests`: one of the two is NULL, which the compiler
 * knows. */
static ALWAYS_INLINE void push(struct virtqueue_device *device,
                               const struct virtqueue_used_element *used,
                               const struct virtqueue_request *requests, uint32_t count)
{
        struct virtqueue_device_slot *slots = device->slots;
        struct virtqueue_used_element *ring = device->ring.used->ring;
        uint32_t size = device->ring.size, position = (uint32_t)device->pushed & (size - 1);
        struct virtqueue_used_element *entry = &ring[position], *end = &ring[size];
        if (UNLIKELY(device->fault.reason != VIRTQUEUE_DEVICE_FAULT_NONE))
                return;
        device->pushed += count;
        for (; count != 0; count--) {
                uint32_t id = used != NULL ? used->id : requests->id;
                uint32_t bytes = used != NULL ? used->bytes : 0;
                ASSERT(id < size);
                ASSERT(bytes < slots[id].word); /* in flight, and no more than may be written */
                slots[id].word = 0;
                shared_store_u32(&entry->id, id);
                shared_store_u32(&entry->bytes, bytes);
                if (++entry == end)
                        entry = ring;
                if (used != NULL)
                        used++;
                else
                        requests++;
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
