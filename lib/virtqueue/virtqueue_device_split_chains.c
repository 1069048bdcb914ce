/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Chains of a split ring that are more than one plain descriptor, at the device's end. Three ways,
 * from the usual to the rare; what the first does not take, the next goes on with where it stands:
 *
 *   runs     up to VIRTQUEUE_RUN_PIECES plain descriptors of one kind, in a row in the table
 *   rows     plain descriptors of one kind to the chain's end, or to read and then to write
 *   gather   everything else, and whatever breaks a rule: virtqueue_device_gather.h judges it
 *
 * Each descriptor is read once and judged before its buffer is taken. Facts: Virtio 1.3, 2.7;
 * spec/virtio.md, 10. */
#include "virtqueue/virtqueue_device_split.h"

#include "virtqueue/virtqueue_device_gather.h"

#define FLAG_NEXT BIT_MASK(VIRTQUEUE_NEXT_BIT)
#define FLAG_WRITE BIT_MASK(VIRTQUEUE_WRITE_BIT)

/* A row of plain descriptors of one kind. */
struct row {
        struct virtqueue_split_words words; /* in, out: the first one that was not taken, if any */
        struct virtqueue_element *element;  /* in, out: the next one to fill */
        const struct virtqueue_element *end;
        uint64_t bytes; /* in, out */
        bool ended;     /* out: by the chain's last descriptor */
};

static ALWAYS_INLINE uint32_t kind_of(struct virtqueue_split_words words)
{
        return (uint32_t)(words.rest >> VIRTQUEUE_REST_FLAGS_SHIFT) & FLAG_WRITE;
}

/* ---- runs ---- */

#define REST_ONE_FURTHER (1ull << VIRTQUEUE_REST_NEXT_SHIFT)
/* What must be 0 when the flags and one byte were subtracted: all but `next` and the length. */
#define REST_BAD ((REST_ONE_FURTHER - 1) & ~(uint64_t)(VIRTQUEUE_PLAIN_BYTES_MAX - 1))

/* Constants of take_run(), which the compiler shall keep in registers; `further` is always
 * -REST_ONE_FURTHER. */
struct link {
        uint64_t here, further;
};

/* Takes a chain whose descriptors stand one behind the other, as they do with a driver that has not
 * mixed up its free ones: where the next one stands need not be waited for, and no table has a loop
 * in that direction. More than VIRTQUEUE_PLAIN_BYTES_MAX bytes, or an address in the upper half,
 * are left to take_row().
 *   at      where row->words were read; with VIRTQUEUE_RUN_PIECES descriptors, itself included
 *   link    what is added to its `rest`, if it goes on so, to have its length less one, and what
 *           is added to that for each one further
 *   write   FLAG_WRITE or 0
 *   row     in: bytes 0, room for VIRTQUEUE_RUN_PIECES
 *   returns how many pieces the chain has; 0: it has something else, row says where */
static ALWAYS_INLINE uint32_t take_run(const struct virtqueue_descriptor *at, struct link link,
                                       uint64_t write, struct row *row)
{
        struct virtqueue_element *element = row->element;
        struct virtqueue_split_words words = row->words;
        uint64_t bad = REST_BAD;
        uint32_t bytes = 0;
        KEEP_VALUE(bad);
#pragma GCC unroll 4
        for (uint32_t i = 0; i < VIRTQUEUE_RUN_PIECES; i++) {
                uint64_t less = words.rest + link.here;
                bool last = i == VIRTQUEUE_RUN_PIECES - 1 ||
                            UNLIKELY(less >= VIRTQUEUE_PLAIN_BYTES_MAX);
                if (last)
                        less = words.rest - (write << VIRTQUEUE_REST_FLAGS_SHIFT) - 1;
                if ((last && UNLIKELY((less & bad) != 0)) || UNLIKELY(words.dev > INT64_MAX)) {
                        *row = (struct row){
                                .words = words, .element = element + i, .bytes = bytes};
                        return 0;
                }
                element[i].dev = words.dev;
                element[i].bytes = (uint32_t)words.rest;
                bytes += (uint32_t)words.rest;
                if (last) {
                        row->element = element + i + 1;
                        row->bytes = bytes;
                        return i + 1;
                }
                words = virtqueue_split_load_words(at, i + 1);
                link.here += link.further;
                KEEP_VALUE(link.here);
        }
        return 0;
}

/* What take_run() adds to the `rest` of descriptor 0 of that kind, if it goes on behind it. */
static ALWAYS_INLINE struct link first_link(uint64_t write)
{
        uint64_t flags = (FLAG_NEXT | write) << VIRTQUEUE_REST_FLAGS_SHIFT;
        return (struct link){.here = -REST_ONE_FURTHER - flags - 1, .further = -REST_ONE_FURTHER};
}

/* How many chains are available, before the ring's end, for which there is room as runs. */
static uint32_t count_runs(const struct virtqueue_device *device,
                           const struct virtqueue_request_batch *batch)
{
        uint32_t size = device->ring.size;
        uint32_t room = (batch->elements_max - batch->elements_count) / VIRTQUEUE_RUN_PIECES;
        uint32_t count = min_u32(batch->requests_max - batch->count, room);
        count = min_u32(count, (uint32_t)(device->seen - device->popped));
        return min_u32(count, size - ((uint32_t)device->popped & (size - 1)));
}

/* Pops the chain that was begun, and those behind it, as long as they are runs of one kind.
 *   begun   in: WORDS_READ, nothing taken; out: the next chain, as far as it was read
 *   write   FLAG_WRITE or 0: its kind
 *   returns where the next request is; all before it are popped, device and batch do not say so */
static ALWAYS_INLINE struct virtqueue_request *pop_runs(const struct virtqueue_device *device,
                                                        const struct virtqueue_request_batch *batch,
                                                        struct virtqueue_split_begun *begun,
                                                        uint64_t write)
{
        const struct virtqueue_descriptor *descriptors = device->ring.descriptors, *at;
        struct virtqueue_device_slot *slots = device->slots;
        struct virtqueue_request *request = &batch->requests[batch->count];
        const struct virtqueue_request *end = request + count_runs(device, batch);
        uint32_t size = device->ring.size, place = (uint32_t)device->popped;
        uint64_t head = begun->head;
        uint64_t heads = size >= VIRTQUEUE_RUN_PIECES ? size - VIRTQUEUE_RUN_PIECES + 1 : 0;
        const uint16_t *entry = &device->ring.avail->ring[place & (size - 1)];
        struct row row = {.words = begun->words,
                          .element = &batch->elements[batch->elements_count]};
        struct link link = first_link(write), from_head;
        if (request == end || head >= heads)
                return request;
        place <<= VIRTQUEUE_REQUEST_POSITION_SHIFT;
        at = &descriptors[head];
        KEEP_VALUE(link.here);
        KEEP_VALUE(link.further);
        from_head.further = link.further;
        BEGIN_CACHE_LINE();
        for (;;) {
                KEEP_VALUE(at);
                slots[head].word = virtqueue_device_slot_word(0, 0);
                request->place = (uint32_t)head + place;
                request->elements = row.element;
                from_head.here = link.here + head * link.further;
                uint32_t pieces = take_run(at, from_head, write, &row);
                if (UNLIKELY(pieces == 0)) {
                        begun->head = request->id;
                        slots[request->id].word = 0;
                        begun->taken = (uint32_t)(row.element - request->elements);
                        begun->taken_bytes = row.bytes;
                        begun->words = row.words;
                        begun->progress = VIRTQUEUE_SPLIT_WORDS_READ;
                        break;
                }
                if (write == 0) {
                        request->counts = pieces;
                        request->bytes = row.bytes;
                } else {
                        request->counts = (uint64_t)pieces << 32;
                        request->bytes = row.bytes << 32;
                        slots[request->id].word = virtqueue_device_slot_word(row.bytes, 0);
                }
                if (++request == end) {
                        begun->progress = VIRTQUEUE_SPLIT_UNREAD;
                        break;
                }
                place += 1u << VIRTQUEUE_REQUEST_POSITION_SHIFT;
                head = shared_load_u16(++entry);
                if (UNLIKELY(head >= heads) || UNLIKELY(slots[head].word != 0)) {
                        begun->head = (uint32_t)head;
                        begun->progress = VIRTQUEUE_SPLIT_HEAD_READ;
                        break;
                }
                at = &descriptors[head];
                row.words = virtqueue_split_load_words(at, 0);
        }
        return request;
}

/* Each kind has registers of its own to be kept in. */
static NOINLINE struct virtqueue_request *pop_runs_to_read(
        const struct virtqueue_device *device, const struct virtqueue_request_batch *batch,
        struct virtqueue_split_begun *begun)
{
        return pop_runs(device, batch, begun, 0);
}

static NOINLINE struct virtqueue_request *pop_runs_to_write(
        const struct virtqueue_device *device, const struct virtqueue_request_batch *batch,
        struct virtqueue_split_begun *begun)
{
        return pop_runs(device, batch, begun, FLAG_WRITE);
}

/* ---- rows, and what is in none ---- */

static NOINLINE zx_status_t refuse(struct virtqueue_device *device,
                                   enum virtqueue_device_fault_reason reason, uint32_t value)
{
        virtqueue_device_refuse(device, reason, value, device->ring.size);
        return ZX_ERR_IO_DATA_INTEGRITY;
}

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
        for (;;) {
                uint32_t flags_and_next = (uint32_t)(row->words.rest >> VIRTQUEUE_REST_FLAGS_SHIFT);
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
                row->words = virtqueue_split_load_words(descriptors, next);
        }
}

/* Goes on with a chain at `words`, in which there is something unusual. Ends because every
 * descriptor is counted, or is a table, behind which nothing comes.
 *   returns   ZX_OK: the request says what it is; else as read_rest() */
static NOINLINE zx_status_t gather_unusual(struct virtqueue_device_gather *gather,
                                           struct virtqueue_split_words words)
{
        const struct virtqueue_device_ring *ring = &gather->device->ring;
        struct virtqueue_descriptor descriptor = {
                .address = words.dev,
                .bytes = (uint32_t)words.rest,
                .flags = (uint16_t)(words.rest >> VIRTQUEUE_REST_FLAGS_SHIFT),
                .next = (uint16_t)(words.rest >> VIRTQUEUE_REST_NEXT_SHIFT)};
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
        row.bytes = 0;
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

/* Ends a chain that is no row to the end, or latches what is wrong with one that is too long.
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

/* Notes that the chains before `position` are popped: at the end, and before a fault, which names
 * the place where the device stands [D3]. */
static ALWAYS_INLINE void stand_at(struct virtqueue_device *device, uint32_t position)
{
        device->popped += position - (uint32_t)device->popped;
}

/* Notes in the batch that all requests before `request` are filled. */
static ALWAYS_INLINE void count_requests(struct virtqueue_request_batch *batch,
                                         const struct virtqueue_request *request)
{
        batch->count = (uint32_t)(request - batch->requests);
        if (batch->count != 0)
                batch->elements_count = (uint32_t)(request[-1].elements - batch->elements) +
                                        request[-1].readable_count + request[-1].writable_count;
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

/* Pops the chain that was begun and those behind it that are known to be available, whatever they
 * are, as long as there is room.
 *   begun     WORDS_READ
 *   returns   ZX_OK; ZX_ERR_NO_RESOURCES: not enough room for the next; ZX_ERR_IO_DATA_INTEGRITY */
static NOINLINE zx_status_t pop_rows(struct virtqueue_device *device,
                                     struct virtqueue_request_batch *batch,
                                     const struct virtqueue_split_begun *begun)
{
        const struct virtqueue_descriptor *descriptors = device->ring.descriptors;
        const uint16_t *ring = device->ring.avail->ring;
        struct virtqueue_device_slot *slots = device->slots;
        struct virtqueue_request *request = &batch->requests[batch->count], *request_end;
        struct virtqueue_element *end = &batch->elements[batch->elements_max];
        uint32_t size = device->ring.size, head = begun->head, position = (uint32_t)device->popped;
        struct virtqueue_element *first = &batch->elements[batch->elements_count];
        struct row row = {.words = begun->words,
                          .element = first + begun->taken,
                          .bytes = begun->taken_bytes};
        uint32_t write = begun->taken != 0 ? begun->write : kind_of(begun->words);
        /* A chain that begins before it has more room than it may fill. */
        struct virtqueue_element *wide_end =
                batch->elements_max > size ? end - size : batch->elements;
        zx_status_t status = ZX_OK;
        request_end = request + min_u32(batch->requests_max - batch->count,
                                        (uint32_t)(device->seen - device->popped));
        for (;;) {
                request->elements = first;
                row.end = UNLIKELY(first < wide_end) ? first + size : end;
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
                if (UNLIKELY(!virtqueue_split_head_good(slots, size, head))) {
                        stand_at(device, position);
                        status = virtqueue_split_refuse_head(device, head);
                        break;
                }
                row.words = virtqueue_split_load_words(descriptors, head);
                row.bytes = 0;
                first = row.element;
                write = kind_of(row.words);
        }
        stand_at(device, position);
        count_requests(batch, request);
        DEBUG_ASSERT(virtqueue_device_valid(device));
        return status;
}

/* Notes that the chains before `request` are popped. */
static void note_popped(struct virtqueue_device *device, struct virtqueue_request_batch *batch,
                        const struct virtqueue_request *request)
{
        uint32_t before = batch->count;
        count_requests(batch, request);
        device->popped += batch->count - before;
}

zx_status_t virtqueue_split_pop_chains(struct virtqueue_device *device,
                                       struct virtqueue_request_batch *batch,
                                       struct virtqueue_split_begun *begun)
{
        const struct virtqueue_device_ring *ring = &device->ring;
        begun->taken = 0;
        begun->taken_bytes = 0;
        if (begun->progress == VIRTQUEUE_SPLIT_WORDS_READ) {
                begun->write = kind_of(begun->words);
                note_popped(device, batch, begun->write == 0 ?
                                                   pop_runs_to_read(device, batch, begun) :
                                                   pop_runs_to_write(device, batch, begun));
        }
        if (batch->count == batch->requests_max || device->popped == device->seen)
                return ZX_OK;
        if (begun->progress == VIRTQUEUE_SPLIT_UNREAD)
                begun->head = virtqueue_device_ring_head(ring, (uint16_t)device->popped);
        if (begun->progress != VIRTQUEUE_SPLIT_WORDS_READ) {
                if (!virtqueue_split_head_good(device->slots, ring->size, begun->head))
                        return virtqueue_split_refuse_head(device, begun->head);
                begun->words = virtqueue_split_load_words(ring->descriptors, begun->head);
        }
        zx_status_t status = pop_rows(device, batch, begun);
        return status == ZX_ERR_NO_RESOURCES ? ZX_OK : status;
}
