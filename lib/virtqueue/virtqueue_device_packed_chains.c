/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Chains of a packed ring that are more than one plain descriptor, at the device's end. Three ways,
 * from the usual to the rare; what the first does not take, the next goes on with where it stands:
 *
 *   runs     up to VIRTQUEUE_RUN_PIECES plain descriptors of one kind, before the ring's end
 *   rows     plain descriptors to read, then to write, to the chain's end
 *   gather   everything else, and whatever breaks a rule: virtqueue_device_gather.h judges it
 *
 * Each descriptor is read once and judged before its buffer is taken. Facts: Virtio 1.3, 2.8;
 * spec/virtio.md, 7 and 10. */
#include "virtqueue/virtqueue_device_packed.h"

#include "virtqueue/virtqueue_device_gather.h"

static NOINLINE zx_status_t refuse(struct virtqueue_device *device,
                                   enum virtqueue_device_fault_reason reason, uint64_t value)
{
        virtqueue_device_refuse(device, reason, value, device->ring.size);
        return ZX_ERR_IO_DATA_INTEGRITY;
}

/* A chain that is being read, or is about to be. */
struct row {
        struct virtqueue_packed_words words; /* the descriptor to look at */
        uint32_t entries; /* of the ring, before it: plain ones of one kind, their buffers taken */
        bool writable;    /* they are */
        uint64_t bytes;   /* in their buffers */
};

/* Takes the buffers of a chain of up to VIRTQUEUE_RUN_PIECES plain descriptors of one kind.
 *   at       where row->words were read; with so many descriptors of the ring, itself included
 *   more     what is added to the `rest` of one that goes on, see VIRTQUEUE_REST_BAD
 *   element  room for VIRTQUEUE_RUN_PIECES
 *   row      words: in: the first descriptor's, out: of the last one that was looked at; bytes:
 *            out
 *   returns  how many pieces the chain has; 0: that descriptor is something else; row->entries says
 *            how many are before it */
static ALWAYS_INLINE uint32_t take_run(const struct virtqueue_packed_descriptor *at, uint64_t more,
                                       struct virtqueue_element *element, struct row *row)
{
        struct virtqueue_packed_words words = row->words;
        uint64_t bad = VIRTQUEUE_REST_BAD;
        uint32_t bytes = 0;
        KEEP_VALUE(bad);
#pragma GCC unroll 4
        for (uint32_t i = 0; i < VIRTQUEUE_RUN_PIECES; i++) {
                uint64_t less = words.rest + more;
                bool last = i == VIRTQUEUE_RUN_PIECES - 1 || UNLIKELY((less & bad) != 0);
                if (last)
                        less += VIRTQUEUE_REST_NEXT;
                if ((last && UNLIKELY((less & bad) != 0)) || UNLIKELY(words.dev > INT64_MAX)) {
                        *row = (struct row){.words = words, .entries = i, .bytes = bytes};
                        return 0;
                }
                element[i].dev = words.dev;
                element[i].bytes = (uint32_t)words.rest;
                bytes += (uint32_t)words.rest;
                if (last) {
                        row->words = words;
                        row->bytes = bytes;
                        return i + 1;
                }
                words = virtqueue_packed_load_words(at + i + 1);
        }
        return 0;
}

/* How many descriptors of the ring, and as many elements, runs may fill. */
static uint32_t count_near(const struct virtqueue_device *device,
                           const struct virtqueue_request_batch *batch)
{
        uint32_t size = device->ring.size;
        uint32_t near = min_u32(size - device->next_popped.offset,
                                batch->elements_max - batch->elements_count);
        return min_u32(near, size - device->entries_in_flight);
}

/* Notes that `entries` descriptors were popped, as the chains before `request`. */
static ALWAYS_INLINE void note_popped(struct virtqueue_device *device,
                                      struct virtqueue_request_batch *batch, uint32_t entries,
                                      const struct virtqueue_request *request)
{
        uint32_t count = (uint32_t)(request - &batch->requests[batch->count]);
        batch->count += count;
        batch->elements_count += entries;
        device->entries_in_flight += entries;
        virtqueue_packed_advance(&device->next_popped, entries, device->ring.size);
        device->seen = device->popped += count;
        DEBUG_ASSERT(virtqueue_device_valid(device));
}

/* Pops the chain that begins with row->words and those behind it, as long as they are runs of one
 * kind before the ring's end, there are some and there is room. Everything that lasts is in locals:
 * for all the compiler knows, a store into a request could change the device.
 *   write     VIRTQUEUE_REST_WRITE or 0: the kind
 *   row       in: all 0 but words; out, where the result is true: the chain that is something else,
 *             as far as it was read
 *   returns   false: there is no such chain; nothing is available, or the batch is full, or the
 *             ring's end was reached */
static ALWAYS_INLINE bool pop_runs(struct virtqueue_device *device,
                                   struct virtqueue_request_batch *batch, uint64_t write,
                                   struct row *row)
{
        const struct virtqueue_packed_place place = device->next_popped;
        const struct virtqueue_packed_descriptor *ring = device->packed_ring;
        const struct virtqueue_packed_descriptor *at = &ring[place.offset];
        struct virtqueue_element *element = &batch->elements[batch->elements_count];
        struct virtqueue_request *request = &batch->requests[batch->count];
        const struct virtqueue_request *end = &batch->requests[batch->requests_max];
        struct virtqueue_device_slot *slots = device->slots;
        const uint64_t size = device->ring.size;
        const uint64_t available = virtqueue_packed_available_on_lap(place.wrap);
        uint32_t near = count_near(device, batch);
        uint32_t position = (uint32_t)virtqueue_packed_position(place)
                            << VIRTQUEUE_REQUEST_POSITION_SHIFT;
        uint64_t more = -(available + VIRTQUEUE_REST_NEXT + write + 1);
        const struct virtqueue_packed_descriptor *far = at;
        struct row chain = {.words = row->words};
        bool begun = true;
        if (near >= VIRTQUEUE_RUN_PIECES)
                far += near - VIRTQUEUE_RUN_PIECES + 1;
        KEEP_VALUE(more);
        while (LIKELY(at < far)) {
                uint64_t pieces = take_run(at, more, element, &chain);
                if (UNLIKELY(pieces == 0))
                        break;
                uint64_t id = (uint16_t)(chain.words.rest >> VIRTQUEUE_PACKED_ID_SHIFT);
                if (UNLIKELY(id >= size) || UNLIKELY(slots[id].word != 0)) {
                        chain.entries = (uint32_t)pieces - 1;
                        chain.bytes -= (uint32_t)chain.words.rest;
                        break;
                }
                slots[id].word = virtqueue_device_slot_word(write != 0 ? chain.bytes : 0, pieces);
                request->counts = write != 0 ? pieces << 32 : pieces;
                request->bytes = write != 0 ? chain.bytes << 32 : chain.bytes;
                request->elements = element;
                request->place = (uint32_t)id + position;
                position += (uint32_t)pieces << VIRTQUEUE_REQUEST_POSITION_SHIFT;
                element += pieces;
                at += pieces;
                if (++request == end || (UNLIKELY(at >= far) && at == &ring[size])) {
                        begun = false;
                        break;
                }
                chain = (struct row){.words = virtqueue_packed_load_words(at)};
        }
        note_popped(device, batch, (uint32_t)(at - &ring[place.offset]), request);
        if (!begun || (chain.entries == 0 && (chain.words.rest & VIRTQUEUE_REST_BOTH) != available))
                return false;
        *row = chain;
        row->writable = write != 0 && chain.entries != 0;
        return true;
}

/* Each kind has registers of its own to be kept in. */
static NOINLINE bool pop_runs_to_read(struct virtqueue_device *device,
                                      struct virtqueue_request_batch *batch, struct row *row)
{
        return pop_runs(device, batch, 0, row);
}

static NOINLINE bool pop_runs_to_write(struct virtqueue_device *device,
                                       struct virtqueue_request_batch *batch, struct row *row)
{
        return pop_runs(device, batch, VIRTQUEUE_REST_WRITE, row);
}

/* The same, wherever it leads. */
struct walk {
        struct virtqueue_packed_words words;                /* the descriptor to look at */
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
                walk->available ^= VIRTQUEUE_REST_BOTH;
        }
        walk->words = virtqueue_packed_load_words(&device->packed_ring[walk->place.offset]);
        return (walk->words.rest & VIRTQUEUE_REST_BOTH) == walk->available;
}

/* How a row of plain descriptors of one kind ended. */
enum row_end { ROW_LAST, ROW_OTHER, ROW_HALF };

/* Follows plain descriptors of one kind (`write`: VIRTQUEUE_REST_WRITE or 0) and takes their
 * buffers.
 *   element   in, out: the next one to fill
 *   returns   ROW_LAST, ROW_HALF; ROW_OTHER: at something else, or at `end` */
static ALWAYS_INLINE enum row_end take_row(const struct virtqueue_device *device,
                                           struct walk *walk, struct virtqueue_element **element,
                                           const struct virtqueue_element *end, uint64_t write,
                                           uint64_t *row_bytes)
{
        for (;;) {
                uint64_t rest = walk->words.rest, dev = walk->words.dev, bytes = (uint32_t)rest;
                if ((rest & (VIRTQUEUE_REST_WRITE | VIRTQUEUE_REST_INDIRECT)) != write ||
                    UNLIKELY(dev + bytes <= dev) || UNLIKELY(*element == end))
                        return ROW_OTHER;
                (*element)->dev = dev;
                (*element)++->bytes = (uint32_t)bytes;
                *row_bytes += bytes;
                if (!(rest & VIRTQUEUE_REST_NEXT))
                        return ROW_LAST;
                if (UNLIKELY(!step(device, walk)))
                        return ROW_HALF;
        }
}

/* Goes on with a chain in which there is something unusual. Ends because every descriptor is
 * counted, or is a table, behind which nothing comes.
 *   returns   ZX_OK: the request says what it is; else as read_rest() */
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
                /* 2.8.7: alone in its chain */
                if (walk->entries != 0 && rest & VIRTQUEUE_REST_INDIRECT) {
                        virtqueue_device_refuse(device, VIRTQUEUE_DEVICE_FAULT_INDIRECT_NEXT,
                                                walk->words.dev, 0);
                        return ZX_ERR_IO_DATA_INTEGRITY;
                }
                if (!virtqueue_device_gather_descriptor(gather, &descriptor))
                        return virtqueue_device_gather_status(gather);
                if (!(rest & VIRTQUEUE_REST_NEXT))
                        break;
                if (!step(device, walk))
                        return refuse(device, VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN,
                                      walk->place.offset);
        }
        return virtqueue_device_gather_finish(gather) ? ZX_OK : ZX_ERR_IO_DATA_INTEGRITY;
}

/* Reads and judges the rest of a chain, whatever it is.
 *   wait      whether more pieces than there is room for is nobody's fault
 *   row       its beginning; the pieces are in the request's elements
 *   walk      in: at row->words
 *   returns   ZX_OK: the request says what it is, but for its id; ZX_ERR_NO_RESOURCES: no room;
 *             ZX_ERR_IO_DATA_INTEGRITY */
static ALWAYS_INLINE zx_status_t read_rest(struct virtqueue_device *device,
                                           struct virtqueue_request *request, bool wait,
                                           const struct row *row, struct walk *walk)
{
        struct virtqueue_element *elements = request->elements, *element = &elements[row->entries];
        struct virtqueue_element *behind = row->writable ? elements : element;
        const struct virtqueue_element *end =
                &elements[min_u32(request->elements_max, device->ring.size)];
        uint64_t readable_bytes = row->writable ? 0 : row->bytes;
        uint64_t writable_bytes = row->writable ? row->bytes : 0;
        bool there = (walk->words.rest & VIRTQUEUE_REST_BOTH) == walk->available;
        enum row_end how = there ? ROW_OTHER : ROW_HALF;
        if (how == ROW_OTHER && !row->writable) {
                how = take_row(device, walk, &element, end, 0, &readable_bytes);
                behind = element;
        }
        if (how == ROW_OTHER)
                how = take_row(device, walk, &element, end, VIRTQUEUE_REST_WRITE, &writable_bytes);
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

zx_status_t virtqueue_packed_pop_chains(struct virtqueue_device *device,
                                        struct virtqueue_request_batch *batch,
                                        struct virtqueue_packed_words begun)
{
        for (;;) {
                struct row row = {.words = begun};
                if (!((begun.rest & VIRTQUEUE_REST_WRITE) == 0 ?
                              pop_runs_to_read(device, batch, &row) :
                              pop_runs_to_write(device, batch, &row)))
                        return batch->count != 0 ? ZX_OK : ZX_ERR_SHOULD_WAIT;
                struct walk walk = {.words = row.words, .place = device->next_popped,
                                    .entries = row.entries};
                struct virtqueue_request *request = &batch->requests[batch->count];
                walk.available = virtqueue_packed_available_on_lap(walk.place.wrap);
                walk.place.offset += row.entries;
                request->elements = &batch->elements[batch->elements_count];
                request->elements_max = batch->elements_max - batch->elements_count;
                zx_status_t status = read_rest(device, request, batch->count != 0, &row, &walk);
                if (LIKELY(status == ZX_OK))
                        status = take(device, request, &walk);
                if (UNLIKELY(status != ZX_OK))
                        return status;
                batch->elements_count += request->readable_count + request->writable_count;
                if (++batch->count == batch->requests_max)
                        return ZX_OK;
                begun = virtqueue_packed_load_words(
                        &device->packed_ring[device->next_popped.offset]);
        }
}
