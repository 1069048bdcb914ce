/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_driver — the driver's end of a virtqueue: gives chains of buffers to a device that is
 * not trusted, and takes them back.
 *
 *      add, add       publish           (device)          get
 *   free ----> added ----------> in flight ----> used ----------> free
 *              nobody sees it    the device's until get() has returned its cookie
 *
 * Ten lines of use (compiled as they stand by tests/boot/virtqueue_test.c):
 *
 *   struct virtqueue_element element = {.dev = page_dev, .bytes = 1536};
 *   struct virtqueue_chain chain = {.elements = &element, .writable_count = 1, .cookie = page};
 *   struct virtqueue_completion done[16];
 *   uint32_t count;
 *   if (virtqueue_driver_add(&queue, &chain) == ZX_OK)      // or many at once: _add_batch()
 *           virtqueue_driver_publish(&queue);               // once a batch
 *   if (virtqueue_driver_kick_needed(&queue))
 *           notify_device(&queue);
 *   while (virtqueue_driver_get(&queue, done, 16, &count) == ZX_OK)
 *           consume(done, count);                           // done[i].cookie is ours again
 *
 * To sleep until the device has used something, in this order: get() until ZX_ERR_SHOULD_WAIT, then
 * virtqueue_driver_ask(&queue, 1); sleep only if that returned false.
 *
 * Owner       caller gives the memory (three areas, one slot an entry); it may take it back when
 *             the device has been reset. Buffers are the caller's; this part keeps only addresses.
 * Peer        may write: everything in the three areas (by the rules only the device area). Nothing
 *             in them is believed: what we wrote is remembered in the slots, what the device wrote
 *             is read once and checked. A broken rule is latched in `fault`; from then on every
 *             call says ZX_ERR_IO_DATA_INTEGRITY, and the way out is: reset the device,
 *             take_unused(), init().
 * Context     one caller at a time for one queue; never sleeps, never allocates, no locks
 * Invariants  [V1] published - taken chains are in flight; added - taken is at most size
 *             [V2] taken <= seen <= published <= added. They count chains since init and never
 *                  wrap; the ring's 16-bit indices are their low bits
 *             [V3] free_count descriptors are free; every other one belongs to exactly one chain
 *                  that was added and not yet taken back. Free slots are on the list from
 *                  free_head; with IN_ORDER the list is the ring itself, in its order
 * Layouts     split and packed, chosen by the config and then the same to the caller
 * Facts       Virtio 1.3, 2.7 (split), 2.8 (packed) */
#ifndef VIRTQUEUE_VIRTQUEUE_DRIVER_H
#define VIRTQUEUE_VIRTQUEUE_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "virtqueue/virtqueue_element.h"
#include "virtqueue/virtqueue_layout.h"

/* The rule that the device broke; the comment says what `value` and `limit` of the fault mean. */
enum virtqueue_fault_reason {
        VIRTQUEUE_FAULT_NONE = 0,
        VIRTQUEUE_FAULT_INDEX_JUMP,       /* used.idx moved by value, limit chains could be used */
        VIRTQUEUE_FAULT_ID_RANGE,         /* used id value, limit entries in the ring */
        VIRTQUEUE_FAULT_ID_NOT_AVAILABLE, /* used id value was not made available as a head */
        VIRTQUEUE_FAULT_ID_TWICE,         /* used id value had been given back already */
        VIRTQUEUE_FAULT_LENGTH,           /* used length value, limit bytes were writable */
        VIRTQUEUE_FAULT_ORDER,            /* IN_ORDER: used id value is not one of the oldest limit
                                             chains that could have been used */
};

struct virtqueue_fault {
        enum virtqueue_fault_reason reason;
        uint32_t value;
        uint32_t limit;
        uint16_t used_index; /* of the used entry that was being read; packed: offset in the ring */
};

struct virtqueue_chain {
        const struct virtqueue_element *elements; /* those the device reads, then those it writes */
        uint32_t readable_count;
        uint32_t writable_count;
        void *cookie; /* comes back with the completion; not looked at */
};

struct virtqueue_completion {
        void *cookie;
        uint32_t written_bytes; /* 0..the chain's writable bytes; bytes behind it are garbage */
};

/* What a descriptor is to us that is no head of a chain that was added and not taken back. */
enum virtqueue_slot_state {
        VIRTQUEUE_SLOT_FREE = 0, /* or in a chain, behind its head */
        VIRTQUEUE_SLOT_RETURNED, /* free, and was a head when it was last in use */
};

/* What we remember of each descriptor; private memory, never shown to the device. */
struct virtqueue_slot {
        void *cookie;      /* in a head */
        uint64_t sequence; /* in a head: chains added before this one */
        union {
                struct {
                        uint32_t writable_bytes; /* in a head; else enum virtqueue_slot_state */
                        uint16_t count; /* in a head: descriptors of the ring that the chain takes,
                                           1..; else 0 */
                        uint16_t next;  /* of the chain (split), or of the free list */
                };
                uint64_t word; /* all three, written at once */
        };
        uint64_t reserved;
};

struct virtqueue_area {
        void *va;
        uint64_t dev; /* device address of the same byte */
};

struct virtqueue_driver_config {
        uint32_t size;    /* entries, 1..VIRTQUEUE_SIZE_MAX; split: a power of two */
        bool event_index; /* EVENT_IDX was negotiated */
        bool packed;      /* RING_PACKED was negotiated */
        bool in_order;    /* IN_ORDER was negotiated */
        /* Every chain will be for reading only. Some devices name a length all the same when they
         * give one back; it is not looked at, and completions say 0. Without this, such a length is
         * VIRTQUEUE_FAULT_LENGTH. */
        bool lengths_ignored;
        /* INDIRECT_DESC was negotiated, and chains of 2..indirect_entries elements are to go into
         * tables, where they take one descriptor of the ring; 0: none. At most `size`. */
        uint32_t indirect_entries;
        struct virtqueue_area descriptors; /* virtqueue_descriptors_bytes(size), 16-aligned */
        struct virtqueue_area avail;       /* virtqueue_avail_bytes(size), 2-aligned; packed: the
                                              driver's event word, 4 bytes, 4-aligned */
        struct virtqueue_area used;        /* virtqueue_used_bytes(size), 4-aligned; packed: the
                                              device's event word, 4 bytes, 4-aligned */
        struct virtqueue_area tables;      /* size * indirect_entries * 16 bytes, 16-aligned */
        struct virtqueue_slot *slots;      /* size of them */
};


/* Fields may be read (for display), and are written only by the functions below. */
struct virtqueue_driver {
        struct virtqueue_descriptor *descriptors;
        struct virtqueue_avail *avail;
        struct virtqueue_used *used;
        struct virtqueue_slot *slots;
        uint32_t size;
        uint32_t free_count;
        uint32_t length_mask; /* over lengths that the device names; 0: ignored */
        uint32_t plain_max; /* descriptors of a chain that can take the short way; 0: broken */
        uint64_t added;     /* chains, since init */
        uint64_t published; /* of those, shown to the device: avail.idx */
        uint64_t seen;      /* of those, used: used.idx when it was last read, checked */
        uint64_t taken;     /* of those, taken back by get() */
        uint64_t checked;   /* published when kick_needed() was last asked */
        uint32_t unused_scan; /* where take_unused() goes on */
        uint16_t free_head;
        uint16_t used_event; /* what we last wrote there */
        bool event_index;
        bool muted; /* the device was told that we want no signals */
        bool packed;
        bool in_order;
        uint32_t indirect_entries;
        /* IN_ORDER: the oldest chain that was not taken back, and what is left of the batch that
         * the device announced with one entry. */
        uint32_t oldest;
        uint32_t batch_left;  /* chains */
        uint32_t batch_bytes; /* written into its last one */
        /* The packed ring: next descriptor to fill, next to look at, the former at the last
         * publish(), and the head that is held back until the next one. */
        struct virtqueue_packed_place next_added, next_used, next_published;
        uint32_t held_offset;
        uint64_t held_rest;
        uint64_t added_entries;   /* descriptors, since init */
        uint64_t published_entries;
        uint64_t checked_entries; /* published when kick_needed() was last asked */
        struct virtqueue_fault fault;
        struct virtqueue_driver_config config; /* for the transport: the device addresses */
};

/* Makes an empty queue and zeroes the three areas. The device must not know them yet.
 *   config   copied; its memory must stay until the device has been reset
 *   returns  ZX_OK; ZX_ERR_INVALID_ARGS: size, a NULL, an alignment (va or device address), an
 *            area whose device addresses wrap, or more indirect_entries than `size`. Nothing was
 *            written then. */
zx_status_t MUST_CHECK virtqueue_driver_init(struct virtqueue_driver *queue,
                                             const struct virtqueue_driver_config *config);

/* Makes the queue empty again, with the memory it has: after a reset of the queue (RING_RESET) or
 * of the device, and after take_unused() has returned false.
 * Nobody else may know the areas then. */
void virtqueue_driver_reset(struct virtqueue_driver *queue);

/* Whether the invariants [V1], [V2] and the bounds of [V3] hold; constant time. */
bool virtqueue_driver_valid(const struct virtqueue_driver *queue);

/* The name of a broken rule as a static string, for logs. */
const char *virtqueue_fault_name(enum virtqueue_fault_reason reason);

/* Takes back a chain that the device never returned; call until false. Only when the queue or the
 * device has been reset (and said so): until then it may use every buffer that it was given.
 * Also after a fault. Without that, only to learn what a queue that is given up for good still had:
 * ring, tables and buffers then stay with the device.
 *   cookie   out: of one chain, added or in flight, in no particular order
 *   returns  false when there is none left; init() is then the only call that makes sense */
bool MUST_CHECK virtqueue_driver_take_unused(struct virtqueue_driver *queue, void **cookie);

static inline uint32_t virtqueue_driver_in_flight(const struct virtqueue_driver *queue)
{
        return (uint32_t)(queue->published - queue->taken); /* [V1] */
}

/* What a notification carries with NOTIFICATION_DATA.
 *   queue_value   index of the queue, or the value that the device supplied for it */
static inline uint32_t virtqueue_driver_notification_data(const struct virtqueue_driver *queue,
                                                          uint16_t queue_value)
{
        uint16_t position = queue->packed ?
                virtqueue_packed_position(queue->next_published) :
                (uint16_t)queue->published;
        return virtqueue_notification_data(queue_value, position);
}

/* ---- the two layouts behind the face: virtqueue_split_driver.c, virtqueue_packed_driver.c ---- */

zx_status_t MUST_CHECK virtqueue_split_driver_add(struct virtqueue_driver *queue,
                                                  const struct virtqueue_chain *chain);
zx_status_t MUST_CHECK virtqueue_split_driver_add_batch(struct virtqueue_driver *queue,
                                                        const struct virtqueue_chain *chains,
                                                        uint32_t count, uint32_t *added);
void virtqueue_split_driver_publish(struct virtqueue_driver *queue);
bool MUST_CHECK virtqueue_split_driver_kick_needed(struct virtqueue_driver *queue);
zx_status_t MUST_CHECK virtqueue_split_driver_get(struct virtqueue_driver *queue,
                                                  struct virtqueue_completion *completions,
                                                  uint32_t budget, uint32_t *count);
void virtqueue_split_driver_mute(struct virtqueue_driver *queue);
bool MUST_CHECK virtqueue_split_driver_ask(struct virtqueue_driver *queue, uint32_t count);

zx_status_t MUST_CHECK virtqueue_packed_driver_add(struct virtqueue_driver *queue,
                                                   const struct virtqueue_chain *chain);
zx_status_t MUST_CHECK virtqueue_packed_driver_add_batch(struct virtqueue_driver *queue,
                                                         const struct virtqueue_chain *chains,
                                                         uint32_t count, uint32_t *added);
void virtqueue_packed_driver_publish(struct virtqueue_driver *queue);
bool MUST_CHECK virtqueue_packed_driver_kick_needed(struct virtqueue_driver *queue);
bool MUST_CHECK virtqueue_packed_driver_kick_overdue(const struct virtqueue_driver *queue);
zx_status_t MUST_CHECK virtqueue_packed_driver_get(struct virtqueue_driver *queue,
                                                   struct virtqueue_completion *completions,
                                                   uint32_t budget, uint32_t *count);
void virtqueue_packed_driver_mute(struct virtqueue_driver *queue);
bool MUST_CHECK virtqueue_packed_driver_ask(struct virtqueue_driver *queue, uint32_t count);

/* ---- the face ---- */

/* Adds one chain; the device does not see it before publish().
 *   chain    1..size elements; all lengths > 0; together below 2^32 bytes; no address wraps. Read
 *            during the call only. From now on until its cookie comes back the buffers are not
 *            ours.
 *   returns  ZX_OK; ZX_ERR_SHOULD_WAIT: not enough free descriptors now; ZX_ERR_INVALID_ARGS: a
 *            chain that no call would take (its count is judged before the room, its elements after
 *            it); ZX_ERR_IO_DATA_INTEGRITY: the queue is broken. Nothing has changed in these
 *            three.
 *   cost     two stores of 8 bytes an element, and 2 (split) or 16 (a table) more; no fence */
static inline zx_status_t MUST_CHECK virtqueue_driver_add(struct virtqueue_driver *queue,
                                                          const struct virtqueue_chain *chain)
{
        return queue->packed ? virtqueue_packed_driver_add(queue, chain) :
                               virtqueue_split_driver_add(queue, chain);
}

/* Adds chains in their order, as virtqueue_driver_add() does with each, until one cannot be. In a
 * batch a chain costs about half of what it costs alone.
 *   count    0..
 *   added    out: chains[0..added) were added, whatever is returned
 *   returns  ZX_OK: all; else what virtqueue_driver_add() says of chains[*added] */
static inline zx_status_t MUST_CHECK virtqueue_driver_add_batch(
        struct virtqueue_driver *queue, const struct virtqueue_chain *chains, uint32_t count,
        uint32_t *added)
{
        return queue->packed ? virtqueue_packed_driver_add_batch(queue, chains, count, added) :
                               virtqueue_split_driver_add_batch(queue, chains, count, added);
}

/* Shows the device every chain added so far. It may use them at once, before any notification.
 *   order    release on avail.idx (packed: the first head's flags); pairs with the device's acquire
 *            of it: the descriptors and ring entries are there before the index says so */
static inline void virtqueue_driver_publish(struct virtqueue_driver *queue)
{
        if (queue->packed)
                virtqueue_packed_driver_publish(queue);
        else
                virtqueue_split_driver_publish(queue);
}

/* Whether the device wants to be notified of what was published since this was last asked. Ask
 * after every publish(); a true answer must be followed by a notification. Any number of chains is
 * one question, so a batch takes one notification at most.
 *   order    full fence between our avail.idx and the read of used.flags or avail_event; pairs with
 *            the device's fence between its write of that word and its second look at avail.idx */
static inline bool MUST_CHECK virtqueue_driver_kick_needed(struct virtqueue_driver *queue)
{
        return queue->packed ? virtqueue_packed_driver_kick_needed(queue) :
                               virtqueue_split_driver_kick_needed(queue);
}

/* Whether chains are in flight and the device waits for a place in the ring that it has already
 * passed, so that nothing that is added there would ever wake it. A device that enables
 * notifications and then goes on to empty the ring does that unless it enables them anew: QEMU's
 * virtio-net (7.2, and later ones) with RING_PACKED and EVENT_IDX, when what it sends to has been
 * slow. Ask when nothing has come for a while, or before waiting; a true answer should be
 * followed by a notification, which is never wrong. kick_needed() looks for it as well, but does
 * not yet know then what was used. */
static inline bool MUST_CHECK virtqueue_driver_kick_overdue(const struct virtqueue_driver *queue)
{
        return queue->packed && virtqueue_packed_driver_kick_overdue(queue);
}

/* Takes back up to `budget` chains that the device has used, in the order in which it used them.
 *   budget   1..; bounds the work of one call
 *   count    out: completions[0..count) are valid, whatever is returned: those chains are ours
 *            again
 *   returns  ZX_OK: at least one; ZX_ERR_SHOULD_WAIT: none; ZX_ERR_IO_DATA_INTEGRITY: the device
 *            broke a rule, see queue->fault; chains it still holds stay untouched until
 *            take_unused()
 *   order    acquire on used.idx; pairs with the device's release of it: used entries and the data
 *            in the buffers are there */
static inline zx_status_t MUST_CHECK virtqueue_driver_get(struct virtqueue_driver *queue,
                                                          struct virtqueue_completion *completions,
                                                          uint32_t budget, uint32_t *count)
{
        return queue->packed ? virtqueue_packed_driver_get(queue, completions, budget, count) :
                               virtqueue_split_driver_get(queue, completions, budget, count);
}

/* Tells the device that signals are not wanted. Advice only: some may still come. */
static inline void virtqueue_driver_mute(struct virtqueue_driver *queue)
{
        if (queue->packed)
                virtqueue_packed_driver_mute(queue);
        else
                virtqueue_split_driver_mute(queue);
}

/* Asks for a signal when `count` more chains have been used, counted from what get() has returned.
 * Without EVENT_IDX the signal may come from the first of them on; packed, they are counted by
 * their descriptors, of which every chain has at least one, so it may come early as well.
 *   count    1..max(1, chains in flight)
 *   returns  true when that many (packed: the first) are there already, or the queue is broken: no
 *            signal may come, call get(); false: a signal will come
 *   order    full fence between our used_event or flag and the second look at used.idx; pairs with
 *            the device's fence between its used.idx and its read of that word */
static inline bool MUST_CHECK virtqueue_driver_ask(struct virtqueue_driver *queue, uint32_t count)
{
        return queue->packed ? virtqueue_packed_driver_ask(queue, count) :
                               virtqueue_split_driver_ask(queue, count);
}

#endif
