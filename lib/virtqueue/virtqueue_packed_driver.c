/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The packed ring, driver's end, behind virtqueue_driver.h.
 *
 *   descriptors  |..taken back..|=== used or the device's ===|-- added --|..free..|
 *                               ^next_used                   ^next_published
 *                                                                        ^next_added
 *
 * The head of the first chain behind next_published is held back: the device stops there, whatever
 * is behind it, and one store of that head shows it everything. Ids are slot numbers, and say
 * nothing of where a chain stands in the ring; how many descriptors it has is in its slot.
 *
 * Relies on virtqueue_layout.h and base/shared.h for every access to what the device can write.
 * Facts: Virtio 1.3, 2.8; memory orders 2.8.21 and 2.8.22. */
#include "virtqueue/virtqueue_driver_private.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/shared.h"

static inline struct virtqueue_packed_descriptor *ring_of(const struct virtqueue_driver *queue)
{
        return (void *)queue->descriptors;
}

#define REST_FLAG(bit) BIT_MASK(VIRTQUEUE_PACKED_FLAGS_SHIFT + (bit))
#define REST_NEXT REST_FLAG(VIRTQUEUE_NEXT_BIT)
#define REST_INDIRECT REST_FLAG(VIRTQUEUE_INDIRECT_BIT)
#define REST_BOTH (REST_FLAG(VIRTQUEUE_AVAIL_BIT) | REST_FLAG(VIRTQUEUE_USED_BIT))
#define REST_FLAGS_SHIFT VIRTQUEUE_PACKED_FLAGS_SHIFT
#define REST_WRITE_SHIFT (REST_FLAGS_SHIFT + VIRTQUEUE_WRITE_BIT)

/* ---- giving ---- */

/* AVAIL and USED as they are in what is added on this lap. */
static ALWAYS_INLINE uint64_t available_on_lap(bool wrap)
{
        return virtqueue_packed_rest(0, 0, virtqueue_packed_available(wrap));
}

static ALWAYS_INLINE uint64_t rest_of_id(uint32_t id)
{
        return (uint64_t)id << VIRTQUEUE_PACKED_ID_SHIFT;
}

/* Writes a descriptor. Relaxed: published by the release store of the first head of the batch.
 *   rest   bytes, id << 32 and flags << 48, in one word */
static ALWAYS_INLINE void write_descriptor(struct virtqueue_packed_descriptor *descriptor,
                                           uint64_t dev, uint64_t rest)
{
        shared_store_u64(&descriptor->address, dev);
        shared_store_u64(&descriptor->bytes, rest);
}

/* Books a run of chains whose slots and descriptors are written.
 *   next_id   the first free one then */
static ALWAYS_INLINE void book(struct virtqueue_driver *queue, uint32_t chains, uint32_t entries,
                               uint32_t next_id)
{
        queue->added += chains;
        queue->added_entries += entries;
        queue->free_count -= entries;
        queue->free_head = (uint16_t)next_id;
        virtqueue_packed_advance(&queue->next_added, entries, queue->size);
        DEBUG_ASSERT(virtqueue_driver_valid(queue));
}

/* Of `count` chains of `entries` each, how many have room before the ring's end. */
static ALWAYS_INLINE uint32_t in_a_row(const struct virtqueue_driver *queue, uint32_t count,
                                       uint32_t entries)
{
        uint32_t room = queue->size - queue->next_added.offset;
        if (room > queue->free_count)
                room = queue->free_count;
        room /= entries;
        return count < room ? count : room;
}

/* Adds chains of one element, the usual case, until one is something else, is not good, or finds no
 * room before the ring's end. Everything that lasts is in locals: for all the compiler knows, a
 * store into the ring could change the queue.
 *   hold      whether the first may be the first of what will be published: its head is held back
 *   returns   how many were added */
static ALWAYS_INLINE uint32_t add_ones(struct virtqueue_driver *queue,
                                       const struct virtqueue_chain *chains, uint32_t count,
                                       bool hold)
{
        struct virtqueue_packed_descriptor *ring = &ring_of(queue)[queue->next_added.offset];
        struct virtqueue_slot *slots = queue->slots;
        uint64_t lap = available_on_lap(queue->next_added.wrap), added = queue->added;
        uint32_t id = queue->free_head, done;
        if (UNLIKELY(queue->plain_max == 0))
                return 0;
        count = in_a_row(queue, count, 1);
        for (done = 0; done < count; done++) {
                const struct virtqueue_chain *chain = &chains[done];
                uint64_t writable = chain->writable_count;
                if (chain->readable_count + writable != 1)
                        break;
                uint64_t dev = chain->elements->dev, bytes = chain->elements->bytes;
                if (UNLIKELY(!virtqueue_driver_plain(dev, bytes)))
                        break;
                struct virtqueue_slot *slot = &slots[id];
                uint32_t next = slot->next;
                uint64_t rest = bytes | writable << REST_WRITE_SHIFT | rest_of_id(id) | lap;
                if (hold && added == queue->published) {
                        queue->held_offset = queue->next_added.offset;
                        queue->held_rest = rest;
                        shared_store_u64(&ring[done].address, dev);
                } else {
                        write_descriptor(&ring[done], dev, rest);
                }
                slot->cookie = chain->cookie;
                slot->sequence = added++;
                slot->word = virtqueue_slot_word((uint32_t)(bytes & -writable), 1, next);
                id = next;
        }
        book(queue, done, done, id);
        return done;
}

/* The same for direct chains of two elements, which are nearly as usual: header and data. */
static NOINLINE uint32_t add_pairs(struct virtqueue_driver *queue,
                                   const struct virtqueue_chain *chains, uint32_t count)
{
        struct virtqueue_packed_descriptor *ring = &ring_of(queue)[queue->next_added.offset];
        struct virtqueue_slot *slots = queue->slots;
        uint64_t lap = available_on_lap(queue->next_added.wrap), added = queue->added;
        uint32_t id = queue->free_head, done;
        if (UNLIKELY(queue->plain_max < 2))
                return 0;
        count = in_a_row(queue, count, 2);
        for (done = 0; done < count; done++, ring += 2) {
                const struct virtqueue_chain *chain = &chains[done];
                const struct virtqueue_element *elements = chain->elements;
                uint64_t writable = chain->writable_count;
                if (chain->readable_count + writable != 2)
                        break;
                uint64_t dev = elements[0].dev, bytes = elements[0].bytes;
                uint64_t second_dev = elements[1].dev, second_bytes = elements[1].bytes;
                if (UNLIKELY(!virtqueue_driver_plain(dev, bytes)) ||
                    UNLIKELY(!virtqueue_driver_plain(second_dev, second_bytes)) ||
                    UNLIKELY((bytes + second_bytes) >> 32 != 0))
                        break;
                struct virtqueue_slot *slot = &slots[id];
                uint32_t next = slot->next;
                uint64_t both = rest_of_id(id) | lap;
                const struct virtqueue_pair_kind *kind = &virtqueue_pair_kinds[writable];
                write_descriptor(&ring[0], dev,
                                 bytes | (uint64_t)kind->first_flags << REST_FLAGS_SHIFT | both);
                write_descriptor(&ring[1], second_dev,
                                 second_bytes | (uint64_t)kind->second_flags << REST_FLAGS_SHIFT |
                                         both);
                slot->cookie = chain->cookie;
                slot->sequence = added++;
                slot->word = virtqueue_slot_word(((uint32_t)bytes & kind->first_mask) +
                                                 ((uint32_t)second_bytes & kind->second_mask),
                                                 2, next);
                id = next;
        }
        book(queue, done, 2 * done, id);
        return done;
}

static NOINLINE uint32_t add_ones_behind(struct virtqueue_driver *queue,
                                         const struct virtqueue_chain *chains, uint32_t count)
{
        return add_ones(queue, chains, count, false);
}

/* Writes the descriptors of a chain that is known to be good.
 *   table   NULL: it is direct; else where its elements' table is, which is written */
static void write_chain(struct virtqueue_driver *queue, const struct virtqueue_chain *chain,
                        const struct virtqueue_element *table)
{
        uint32_t count = chain->readable_count + chain->writable_count;
        uint32_t readable_count = chain->readable_count;
        const struct virtqueue_element *elements = chain->elements;
        struct virtqueue_packed_place place = queue->next_added;
        uint64_t usual = rest_of_id(queue->free_head);
        if (table != NULL) {
                elements = table;
                count = readable_count = 1;
                usual |= REST_INDIRECT;
        }
        for (uint32_t i = 0; i < count; i++) {
                struct virtqueue_packed_descriptor *descriptor = &ring_of(queue)[place.offset];
                uint64_t rest = usual | elements[i].bytes | available_on_lap(place.wrap);
                rest |= (uint64_t)(i >= readable_count) << REST_WRITE_SHIFT;
                rest |= i + 1 < count ? REST_NEXT : 0;
                if (i == 0 && queue->added == queue->published) {
                        shared_store_u64(&descriptor->address, elements[i].dev);
                        queue->held_offset = place.offset;
                        queue->held_rest = rest;
                } else {
                        write_descriptor(descriptor, elements[i].dev, rest);
                }
                virtqueue_packed_advance(&place, 1, queue->size);
        }
}

/* Adds a chain that the others did not take, or says why it cannot be added. All elements are
 * judged before any is written: what was marked available behind the end of a later, shorter chain
 * would be taken for one. */
static NOINLINE zx_status_t add_any(struct virtqueue_driver *queue,
                                    const struct virtqueue_chain *chain)
{
        uint64_t count = (uint64_t)chain->readable_count + chain->writable_count;
        bool tabled = virtqueue_driver_uses_table(queue, count);
        struct virtqueue_element table;
        uint32_t entries = tabled ? 1 : (uint32_t)count;
        uint32_t id = queue->free_head;
        struct virtqueue_slot *slot = &queue->slots[id];
        struct virtqueue_chain_sum sum = {0};
        if (UNLIKELY(queue->fault.reason != VIRTQUEUE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (UNLIKELY(count - 1 >= queue->size)) /* none, or too many */
                return ZX_ERR_INVALID_ARGS;
        if (UNLIKELY(entries > queue->free_count))
                return ZX_ERR_SHOULD_WAIT;
        for (uint32_t i = 0; i < count; i++)
                virtqueue_chain_sum_add(&sum, &chain->elements[i], i >= chain->readable_count);
        if (UNLIKELY(virtqueue_chain_sum_bad(&sum)))
                return ZX_ERR_INVALID_ARGS;
        if (tabled) {
                table.dev = virtqueue_driver_write_table(queue, id, chain, false);
                table.bytes = (uint32_t)count * VIRTQUEUE_DESCRIPTOR_BYTES;
        }
        write_chain(queue, chain, tabled ? &table : NULL);
        slot->cookie = chain->cookie;
        slot->sequence = queue->added;
        slot->word = virtqueue_slot_word((uint32_t)sum.writable_bytes, entries, slot->next);
        book(queue, 1, entries, slot->next);
        return ZX_OK;
}

zx_status_t virtqueue_packed_driver_add(struct virtqueue_driver *queue,
                                        const struct virtqueue_chain *chain)
{
        return LIKELY(add_ones(queue, chain, 1, true) != 0) ? ZX_OK : add_any(queue, chain);
}

zx_status_t virtqueue_packed_driver_add_batch(struct virtqueue_driver *queue,
                                              const struct virtqueue_chain *chains, uint32_t count,
                                              uint32_t *added)
{
        uint32_t done = 0, run;
        zx_status_t status = ZX_OK;
        while (done < count) {
                run = 0;
                if (LIKELY(queue->added != queue->published)) {
                        run = add_ones_behind(queue, &chains[done], count - done);
                        if (run == 0)
                                run = add_pairs(queue, &chains[done], count - done);
                }
                if (run == 0) {
                        status = add_any(queue, &chains[done]);
                        if (status != ZX_OK)
                                break;
                        run = 1;
                }
                done += run;
        }
        *added = done;
        return status;
}

void virtqueue_packed_driver_publish(struct virtqueue_driver *queue)
{
        if (queue->published == queue->added || queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return;
        /* Pairs with the device's acquire of the head's flags: all other descriptors of the batch,
         * and the rest of this one, are there before them. */
        shared_store_release_u64(&ring_of(queue)[queue->held_offset].bytes, queue->held_rest);
        queue->published = queue->added;
        queue->published_entries = queue->added_entries;
        queue->next_published = queue->next_added;
}

/* How far `to` is ahead of `from`, in a ring that is two laps long. */
static uint32_t laps_between(uint32_t size, struct virtqueue_packed_place from,
                             struct virtqueue_packed_place to)
{
        uint32_t start = from.offset + (from.wrap ? size : 0),
                 end = to.offset + (to.wrap ? size : 0);
        return end >= start ? end - start : end + 2 * size - start;
}

/* Whether an event word names a place that the device has used already. */
static bool event_is_forgotten(const struct virtqueue_driver *queue, uint32_t event)
{
        struct virtqueue_packed_place at = virtqueue_packed_place_of((uint16_t)event);
        uint32_t mode = event >> 16 & VIRTQUEUE_PACKED_EVENT_MODE_MASK;
        return mode == VIRTQUEUE_PACKED_EVENT_AT && queue->event_index && at.offset < queue->size &&
               laps_between(queue->size, queue->next_used, at) > queue->size;
}

bool virtqueue_packed_driver_kick_overdue(const struct virtqueue_driver *queue)
{
        return queue->fault.reason == VIRTQUEUE_FAULT_NONE && queue->taken != queue->published &&
               event_is_forgotten(queue, shared_load_u32(queue->used));
}

bool virtqueue_packed_driver_kick_needed(struct virtqueue_driver *queue)
{
        uint64_t moved = queue->published_entries - queue->checked_entries;
        if (moved == 0 || queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return false;
        queue->checked_entries = queue->published_entries;
        /* Our descriptors must be visible before we look whether the device sleeps; pairs with the
         * device's fence between writing its event word and its last look at the ring. */
        shared_fence_full();
        uint32_t event = shared_load_u32(queue->used);
        return virtqueue_packed_event_wanted(event, queue->size, queue->event_index,
                                             virtqueue_packed_position(queue->next_published),
                                             moved) ||
               event_is_forgotten(queue, event);
}

/* ---- taking back ---- */

/* What AVAIL and USED of a used descriptor are, in the last 8 bytes. */
static ALWAYS_INLINE uint64_t used_on_lap(bool wrap)
{
        return wrap ? REST_BOTH : 0;
}

/* The last 8 bytes of the descriptor at `place`, read once; *used: whether the device has used it.
 * Acquire of its flags; pairs with the device's release of them: id, length and data come after. */
static ALWAYS_INLINE uint64_t look_at(const struct virtqueue_driver *queue,
                                      struct virtqueue_packed_place place, bool *used)
{
        uint64_t rest = shared_load_acquire_u64(&ring_of(queue)[place.offset].bytes);
        *used = (rest & REST_BOTH) == used_on_lap(place.wrap);
        return rest;
}

/* The length that a used descriptor gives. Where the device could not write anything, a length
 * without WRITE is reserved (2.8.21) and is not looked at;
 * where it could, some devices leave WRITE out. */
static uint32_t used_bytes(const struct virtqueue_driver *queue, uint32_t id, uint64_t rest)
{
        bool reserved = queue->slots[id].writable_bytes == 0 &&
                        !(rest & BIT_MASK(REST_WRITE_SHIFT));
        return reserved ? 0 : (uint32_t)rest & queue->length_mask;
}

/* The used descriptor `rest` breaks a rule, or has a reserved length and does not.
 *   returns   whether it is good; else the rule is latched */
static COLD NOINLINE bool judge(struct virtqueue_driver *queue, uint64_t rest)
{
        uint32_t id = (uint16_t)(rest >> VIRTQUEUE_PACKED_ID_SHIFT), bytes = 0;
        if (id < queue->size) {
                const struct virtqueue_slot *slot = &queue->slots[id];
                bytes = used_bytes(queue, id, rest);
                if (virtqueue_driver_entry_good(slot, slot->word, queue->published, bytes))
                        return true;
        }
        virtqueue_driver_fault_of_entry(queue, id, bytes);
        return false;
}

/* Takes back up to `budget` chains; stops at a broken rule, which is latched then. */
static uint32_t take_entries(struct virtqueue_driver *queue,
                             struct virtqueue_completion *completions, uint32_t budget)
{
        const struct virtqueue_packed_descriptor *ring = ring_of(queue);
        struct virtqueue_slot *slots = queue->slots;
        uint32_t size = queue->size, first = queue->next_used.offset, usual = 1, done;
        uint64_t published = queue->published, lap = used_on_lap(queue->next_used.wrap);
        uint32_t offset = first, id = queue->free_head, laps = 0;
        for (done = 0; done < budget; done++) {
                uint64_t rest = shared_load_acquire_u64(&ring[offset].bytes); /* as look_at() */
                uint32_t next = id, bytes = (uint32_t)rest;
                if ((rest & REST_BOTH) != lap)
                        break;
                id = (uint16_t)(rest >> VIRTQUEUE_PACKED_ID_SHIFT);
                struct virtqueue_slot *slot = &slots[id];
                if (UNLIKELY(id >= size) ||
                    UNLIKELY(!virtqueue_driver_entry_good(slot, slot->word, published, bytes))) {
                        queue->next_used.offset = offset; /* which one it is */
                        if (!judge(queue, rest)) {
                                id = next;
                                break;
                        }
                        bytes = 0;
                }
                uint32_t entries = slot->count;
                completions[done].cookie = slot->cookie;
                completions[done].written_bytes = bytes;
                slot->word = virtqueue_slot_word(VIRTQUEUE_SLOT_RETURNED, 0, next);
                /* Where the next one is would be known after two loads, one on the other. That it
                 * is as far as from the last one is a guess that the CPU makes at once. */
                if (UNLIKELY(entries != usual)) {
                        usual = entries;
                        KEEP_BRANCH(usual);
                }
                offset += usual;
                if (UNLIKELY(offset >= size)) {
                        offset -= size;
                        lap ^= REST_BOTH;
                        laps++;
                }
        }
        /* What they had, all together: as far as we came. */
        queue->free_count += laps * size + offset - first;
        queue->free_head = (uint16_t)id;
        queue->taken += done;
        queue->next_used = (struct virtqueue_packed_place){.offset = offset, .wrap = lap != 0};
        return done;
}

/* The same with IN_ORDER, where one descriptor may stand for many chains. */
static NOINLINE uint32_t take_in_order(struct virtqueue_driver *queue,
                                       struct virtqueue_completion *completions, uint32_t budget)
{
        uint32_t i = 0;
        for (; i < budget; i++) {
                uint32_t in_flight = virtqueue_driver_in_flight(queue);
                if (queue->batch_left == 0) {
                        bool used;
                        uint64_t rest = look_at(queue, queue->next_used, &used);
                        uint32_t id = (uint16_t)(rest >> VIRTQUEUE_PACKED_ID_SHIFT);
                        if (!used)
                                break;
                        uint32_t bytes = 0;
                        if (id < queue->size)
                                bytes = used_bytes(queue, id, rest);
                        if (!virtqueue_driver_begin_batch(queue, id, bytes, in_flight))
                                break;
                }
                uint32_t entries = virtqueue_driver_take_oldest(queue, &completions[i]);
                virtqueue_packed_advance(&queue->next_used, entries, queue->size);
        }
        return i;
}

zx_status_t virtqueue_packed_driver_get(struct virtqueue_driver *queue,
                                        struct virtqueue_completion *completions, uint32_t budget,
                                        uint32_t *count)
{
        ASSERT(budget != 0);
        *count = 0;
        if (UNLIKELY(queue->fault.reason != VIRTQUEUE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        *count = queue->in_order ? take_in_order(queue, completions, budget) :
                                   take_entries(queue, completions, budget);
        queue->seen = queue->taken;
        DEBUG_ASSERT(virtqueue_driver_valid(queue));
        if (UNLIKELY(queue->fault.reason != VIRTQUEUE_FAULT_NONE))
                return ZX_ERR_IO_DATA_INTEGRITY;
        return *count != 0 ? ZX_OK : ZX_ERR_SHOULD_WAIT;
}

/* ---- signals ---- */

/* One store: position and flags are never seen apart. */
static void write_event(struct virtqueue_driver *queue, enum virtqueue_packed_event_mode mode,
                        uint16_t position)
{
        shared_store_u32(queue->avail, (uint32_t)mode << 16 | position);
}

void virtqueue_packed_driver_mute(struct virtqueue_driver *queue)
{
        queue->muted = true;
        write_event(queue, VIRTQUEUE_PACKED_EVENT_NEVER, 0);
}

bool virtqueue_packed_driver_ask(struct virtqueue_driver *queue, uint32_t count)
{
        struct virtqueue_packed_place at = queue->next_used;
        bool used;
        ASSERT(count != 0 && (count == 1 || count <= virtqueue_driver_in_flight(queue)));
        if (queue->fault.reason != VIRTQUEUE_FAULT_NONE)
                return true;
        queue->muted = false;
        virtqueue_packed_advance(&at, count - 1, queue->size);
        write_event(queue,
                    queue->event_index ? VIRTQUEUE_PACKED_EVENT_AT : VIRTQUEUE_PACKED_EVENT_ALWAYS,
                    virtqueue_packed_position(at));
        /* The device must see our wish before we look for the last time; pairs with the device's
         * fence between its used descriptors and its read of our event word. */
        shared_fence_full();
        (void)look_at(queue, queue->next_used, &used);
        return used || queue->batch_left != 0;
}
