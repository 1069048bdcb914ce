/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_device — the device's end of a virtqueue: takes chains of buffers from a driver that is
 * not trusted, and gives them back.
 *
 *   (driver)            pop                        push        publish          (driver)
 *   available ----> popped: ours, in flight ----> pushed ----> used
 *                      |  unpop: as if it had not been popped
 *
 * Ten lines of use (compiled as they stand by tests/host/virtqueue_device_test.c):
 *
 *   struct virtqueue_element pieces[QUEUE_SIZE];
 *   struct virtqueue_request request = {.elements = pieces, .elements_max = QUEUE_SIZE};
 *   struct virtqueue_chain_io io;
 *   while (virtqueue_device_pop(&device, &request) == ZX_OK) {
 *           virtqueue_chain_io_init(&io, &device, &request);
 *           serve(&io);                                     // reads and writes through it
 *           (void)virtqueue_chain_finish(&io);              // or virtqueue_device_push()
 *   }
 *   virtqueue_device_publish(&device);                      // once a batch
 *   if (virtqueue_device_signal_needed(&device))
 *           interrupt_driver(&device);
 *
 * To sleep until the driver has made something available, in this order: pop() until
 * ZX_ERR_SHOULD_WAIT, then virtqueue_device_ask(&device); sleep only if that returned false.
 *
 * pop() reads the whole chain, each shared field once, judges it whole, and leaves a private copy
 * in the request. Everything behind it (virtqueue_chain.h) works on that copy, so that no walk can
 * meet a loop, another order than the first time, or a descriptor that has changed.
 *
 * Owner       caller gives slots and requests; the rings are the driver's memory
 * Peer        may write: everything in the rings, at any time, and all the buffers. Nothing is
 *             believed: the addresses of the rings, indices, descriptors and tables are checked. A
 *             broken rule is latched in `fault`; from then on every call says
 *             ZX_ERR_IO_DATA_INTEGRITY and nothing more is written for the driver. The way out is
 *             DEVICE_NEEDS_RESET, a reset by the driver, and init()
 * Context     one caller at a time for one queue and the walks of its chains; never sleeps, never
 *             allocates, no locks
 * Invariants  [D1] published <= pushed; popped <= seen; they count chains and never wrap, the
 *                  ring's 16-bit indices are their low bits
 *             [D2] chains in flight were popped and neither pushed nor unpopped; each has its slot
 *                  marked; at most size
 *             [D3] a broken queue has seen == popped: nothing is available in it
 *             [D4] no entry of the used ring is written that is not the answer to a popped chain
 * Layouts     split and packed, chosen by the config and then the same to the caller
 * Facts       Virtio 1.3, 2.7, 2.8; spec/virtio.md, 10; spec/zircon-objects.md, 13 */
#ifndef VIRTQUEUE_VIRTQUEUE_DEVICE_H
#define VIRTQUEUE_VIRTQUEUE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/compiler.h"
#include "base/status.h"
#include "virtqueue/virtqueue_device_memory.h"
#include "virtqueue/virtqueue_device_ring.h"
#include "virtqueue/virtqueue_element.h"
#include "virtqueue/virtqueue_layout.h"

/* The rule that the driver broke; the comment says what `value` and `limit` of the fault mean. */
enum virtqueue_device_fault_reason {
        VIRTQUEUE_DEVICE_FAULT_NONE = 0,
        VIRTQUEUE_DEVICE_FAULT_INDEX_JUMP,  /* avail.idx moved by value, limit chains could be */
        VIRTQUEUE_DEVICE_FAULT_HEAD_RANGE,  /* head or id value, limit entries in the ring */
        VIRTQUEUE_DEVICE_FAULT_HEAD_TWICE,  /* head or id value is in flight already */
        VIRTQUEUE_DEVICE_FAULT_NEXT_RANGE,  /* next is value, limit entries in the table */
        VIRTQUEUE_DEVICE_FAULT_LONG_CHAIN,  /* more than limit descriptors, or it loops */
        VIRTQUEUE_DEVICE_FAULT_MANY_PIECES, /* more pieces than limit, the room in the request */
        VIRTQUEUE_DEVICE_FAULT_ORDER,       /* a piece to read, at value, behind one to write */
        VIRTQUEUE_DEVICE_FAULT_WRAP,        /* address value and limit bytes wrap */
        VIRTQUEUE_DEVICE_FAULT_TOTAL,       /* value bytes in the chain, 2^32 or more */
        VIRTQUEUE_DEVICE_FAULT_INDIRECT_OFF,    /* a table, INDIRECT_DESC was not negotiated */
        VIRTQUEUE_DEVICE_FAULT_INDIRECT_LENGTH, /* a table of value bytes, limit are allowed */
        VIRTQUEUE_DEVICE_FAULT_INDIRECT_NEXT,   /* a table, and the chain goes on behind it; packed:
                                                   or began before it */
        VIRTQUEUE_DEVICE_FAULT_INDIRECT_NESTED, /* a table in a table */
        VIRTQUEUE_DEVICE_FAULT_HALF_CHAIN,  /* packed: the chain goes on at offset value, which is
                                               not available (again) */
        VIRTQUEUE_DEVICE_FAULT_UNMAPPED,    /* address value is not the driver's memory */
        VIRTQUEUE_DEVICE_FAULT_REFUSED,     /* the device itself found something: virtqueue_device_
                                               refuse(), value and limit are its own */
};

struct virtqueue_device_fault {
        enum virtqueue_device_fault_reason reason;
        uint16_t position; /* ring position of the chain that was being looked at */
        uint64_t value;
        uint64_t limit;
};

/* A chain that was popped. `elements` holds the pieces to read, then those to write, none of them
 * empty (empty ones, which no rule forbids, are left out). */
struct virtqueue_request {
        struct virtqueue_element *elements; /* in: the caller's, elements_max of them */
        union {
                struct {
                        uint32_t readable_count;
                        uint32_t writable_count;
                };
                uint64_t counts; /* both, written at once */
        };
        union {
                struct {
                        uint32_t readable_bytes;
                        uint32_t writable_bytes; /* both together are below 2^32 */
                };
                uint64_t bytes; /* both, written at once */
        };
        uint32_t elements_max; /* in: 1..; the ring's size is always enough */
        union {
                struct {
                        uint16_t id;       /* for push() */
                        uint16_t position; /* where it stood in the ring; for unpop() */
                };
                uint32_t place; /* both, written at once */
        };
};

/* Room for many chains. */
struct virtqueue_request_batch {
        struct virtqueue_request *requests; /* in: the caller's; what is in them does not matter.
                                               out: all but elements_max */
        struct virtqueue_element *elements; /* in: the caller's, for all the requests together */
        uint32_t requests_max;              /* in: 1.. */
        uint32_t elements_max; /* in: 1..; the ring's size is always enough for one chain */
        uint32_t count;          /* out: requests[0..count) were popped */
        uint32_t elements_count; /* out: elements[0..elements_count) are theirs */
};

/* What we remember of each head; private memory. */
struct virtqueue_device_slot {
        uint64_t word; /* 0: it is not in flight; else its writable bytes + 1, and in a packed ring
                          in the upper 16 bits how many descriptors of the ring the chain has */
};

/* Where a queue stands, to go on there later (a migration, a back end that reconnects): the two
 * positions of the next chain to pop and of the next entry to use. Split: the two indices; packed:
 * two offsets, with the wrap counters in bit 15. */
struct virtqueue_device_state {
        uint16_t available;
        uint16_t used;
};

struct virtqueue_device_config {
        uint32_t size;     /* entries, 1..VIRTQUEUE_SIZE_MAX; split: a power of two */
        bool event_index;  /* EVENT_IDX was negotiated */
        bool indirect;     /* INDIRECT_DESC was negotiated */
        bool packed;       /* RING_PACKED was negotiated */
        bool in_order;     /* IN_ORDER was negotiated: one entry for many chains */
        bool resume;       /* go on at `state`; else from the beginning, in an empty ring */
        struct virtqueue_device_state state;
        uint64_t descriptors_dev; /* the three areas, as the driver named them */
        uint64_t driver_dev; /* avail ring; packed: the driver's event word, 4-aligned */
        uint64_t device_dev; /* used ring; packed: the device's event word, 4-aligned */
        struct virtqueue_device_memory memory;
        struct virtqueue_device_slot *slots; /* size of them */
};

/* IN_ORDER: chains that were pushed and are one entry, which is not written yet. */
struct virtqueue_device_run {
        struct virtqueue_used_element used; /* of the last one */
        uint16_t position;                  /* of the first one, in the ring */
        bool open;
        bool writable; /* the last one has a writable part */
};

/* Fields may be read (for display), and are written only by the functions below. */
struct virtqueue_device {
        struct virtqueue_device_ring ring; /* packed: only the size */
        struct virtqueue_device_slot *slots;
        uint64_t popped;    /* [D1] the low 16 bits are the avail index of the next chain */
        uint64_t seen;      /* [D1] avail.idx when it was last read, checked */
        uint64_t pushed;    /* [D1] the low 16 bits are the used index of the next entry */
        uint64_t published; /* [D1] of those, shown to the driver: used.idx */
        uint64_t checked;   /* published when signal_needed() was last asked */
        uint64_t ahead;     /* [D2] popped - pushed in the beginning, modulo 2^64 */
        uint16_t avail_event; /* what we last wrote there */
        bool event_index;
        bool indirect;
        bool muted;          /* the driver was told that we want no notifications */
        bool signal_unknown; /* a predecessor may owe the driver a signal */
        bool packed;
        bool in_order;
        bool plain; /* neither of them, nor broken: push() has a short way */
        struct virtqueue_device_run run;
        struct virtqueue_packed_descriptor *packed_ring;
        const void *driver_event; /* struct virtqueue_packed_event */
        void *device_event;
        /* The packed ring: next descriptor to look at, next to use, the latter at the last
         * publish(), and the used descriptor that is held back until the next one. */
        struct virtqueue_packed_place next_popped, next_pushed, next_published;
        uint32_t entries_in_flight; /* descriptors of the chains in flight; at most size */
        uint32_t held_offset;
        uint64_t held_rest;
        uint64_t pushed_entries;    /* descriptors, since init */
        uint64_t published_entries;
        uint64_t checked_entries;   /* published when signal_needed() was last asked */
        struct virtqueue_device_fault fault;
        struct virtqueue_device_memory memory;
};

/* Takes up a queue that a driver has set up. The rings are looked up once, here.
 *   config   copied
 *   returns  ZX_OK; ZX_ERR_INVALID_ARGS: the size, a state outside the ring, or an area that is not
 *            aligned, not in one piece or not the driver's memory. Nothing was written then. */
zx_status_t MUST_CHECK virtqueue_device_init(struct virtqueue_device *device,
                                             const struct virtqueue_device_config *config);

/* Whether the invariants [D1] and [D2] hold; constant time. */
bool virtqueue_device_valid(const struct virtqueue_device *device);

/* The name of a broken rule as a static string, for logs. */
const char *virtqueue_device_fault_name(enum virtqueue_device_fault_reason reason);

/* Latches a fault that the device found itself, in what it read from a chain: the queue is broken
 * from now on. The first fault stays. */
void virtqueue_device_refuse(struct virtqueue_device *device,
                             enum virtqueue_device_fault_reason reason, uint64_t value,
                             uint64_t limit);

/* Where the queue stands. Chains in flight are not part of it: they are lost for a successor that
 * goes on from here, so give all back first, or go back with unpop(). Everything pushed must have
 * been published. */
struct virtqueue_device_state virtqueue_device_save(const struct virtqueue_device *device);

/* ---- the two layouts behind the face: virtqueue_device_split.c, virtqueue_device_packed.c ---- */

zx_status_t MUST_CHECK virtqueue_split_device_pop(struct virtqueue_device *device,
                                                  struct virtqueue_request *request);
zx_status_t MUST_CHECK virtqueue_split_device_pop_batch(struct virtqueue_device *device,
                                                        struct virtqueue_request_batch *batch);
void virtqueue_split_device_unpop(struct virtqueue_device *device,
                                  const struct virtqueue_request *request);
void virtqueue_split_device_push_batch(struct virtqueue_device *device,
                                       const struct virtqueue_used_element *used, uint32_t count);
void virtqueue_split_device_push_read(struct virtqueue_device *device,
                                      const struct virtqueue_request *requests, uint32_t count);
void virtqueue_split_device_publish(struct virtqueue_device *device);
bool MUST_CHECK virtqueue_split_device_signal_needed(struct virtqueue_device *device);
void virtqueue_split_device_mute(struct virtqueue_device *device);
bool MUST_CHECK virtqueue_split_device_ask(struct virtqueue_device *device);

zx_status_t MUST_CHECK virtqueue_packed_device_pop(struct virtqueue_device *device,
                                                   struct virtqueue_request *request);
zx_status_t MUST_CHECK virtqueue_packed_device_pop_batch(struct virtqueue_device *device,
                                                         struct virtqueue_request_batch *batch);
void virtqueue_packed_device_unpop(struct virtqueue_device *device,
                                   const struct virtqueue_request *request);
void virtqueue_packed_device_push_batch(struct virtqueue_device *device,
                                        const struct virtqueue_used_element *used, uint32_t count);
void virtqueue_packed_device_push_read(struct virtqueue_device *device,
                                       const struct virtqueue_request *requests, uint32_t count);
void virtqueue_packed_device_publish(struct virtqueue_device *device);
bool MUST_CHECK virtqueue_packed_device_signal_needed(struct virtqueue_device *device);
void virtqueue_packed_device_mute(struct virtqueue_device *device);
bool MUST_CHECK virtqueue_packed_device_ask(struct virtqueue_device *device);

/* With IN_ORDER, either: virtqueue_device_order.c. */
void virtqueue_device_push_batch_in_order(struct virtqueue_device *device,
                                          const struct virtqueue_used_element *used,
                                          uint32_t count);
void virtqueue_device_push_read_in_order(struct virtqueue_device *device,
                                         const struct virtqueue_request *requests, uint32_t count);

/* ---- the face ---- */

/* Takes the next available chain.
 *   request  in: elements, elements_max; out: everything else. Not looked at again by this part
 *   returns  ZX_OK; ZX_ERR_SHOULD_WAIT: none is available, nothing has changed;
 *            ZX_ERR_IO_DATA_INTEGRITY: the queue is broken, the request means nothing
 *   order    acquire on avail.idx, see virtqueue_device_ring.h; packed: on the flags of the head,
 *            pairs with the driver's release of them
 *   cost     two loads of 8 bytes a descriptor; at most `size` descriptors, tables included */
static inline zx_status_t MUST_CHECK virtqueue_device_pop(struct virtqueue_device *device,
                                                          struct virtqueue_request *request)
{
        return device->packed ? virtqueue_packed_device_pop(device, request) :
                                virtqueue_split_device_pop(device, request);
}

/* Takes available chains as long as there is room for them; each is read and judged as pop() does,
 * with one look at what is available, so that some may be left: call until ZX_ERR_SHOULD_WAIT.
 *   batch    in and out. A chain that finds too few elements left behind others waits for the next
 *            call
 *   returns  ZX_OK: one or more; ZX_ERR_SHOULD_WAIT: none is available, nothing has changed;
 *            ZX_ERR_IO_DATA_INTEGRITY: the queue is broken, batch->count chains were popped before
 *   order    as pop(); split: once a call */
static inline zx_status_t MUST_CHECK virtqueue_device_pop_batch(
        struct virtqueue_device *device, struct virtqueue_request_batch *batch)
{
        return device->packed ? virtqueue_packed_device_pop_batch(device, batch) :
                                virtqueue_split_device_pop_batch(device, batch);
}

/* Undoes the pop of the chain that was popped last and is still in flight; so several, the latest
 * first. What is popped next is read and judged anew. */
static inline void virtqueue_device_unpop(struct virtqueue_device *device,
                                          const struct virtqueue_request *request)
{
        if (device->packed)
                virtqueue_packed_device_unpop(device, request);
        else
                virtqueue_split_device_unpop(device, request);
}

/* How many chains are the device's: popped and not given back [D2]. */
static inline uint32_t virtqueue_device_in_flight(const struct virtqueue_device *device)
{
        return (uint32_t)(device->popped - device->pushed - device->ahead);
}

/* Shows the driver every chain pushed so far.
 *   order   release on used.idx, see virtqueue_device_ring.h; packed: on the flags of the first
 *           used descriptor, pairs with the driver's acquire of them */
static inline void virtqueue_device_publish(struct virtqueue_device *device)
{
        if (device->packed)
                virtqueue_packed_device_publish(device);
        else
                virtqueue_split_device_publish(device);
}

/* Whether the driver wants to be signalled for what was published since this was last asked; any
 * number of chains is one question. Ask after every publish(); a true answer must be followed by a
 * signal.
 *   order   full fence between our used.idx and the read of avail.flags or used_event; pairs with
 *           the driver's fence between its write of that word and its second look at used.idx */
static inline bool MUST_CHECK virtqueue_device_signal_needed(struct virtqueue_device *device)
{
        return device->packed ? virtqueue_packed_device_signal_needed(device) :
                                virtqueue_split_device_signal_needed(device);
}

/* Tells the driver that notifications are not wanted. Advice only: some may still come. */
static inline void virtqueue_device_mute(struct virtqueue_device *device)
{
        if (device->packed)
                virtqueue_packed_device_mute(device);
        else
                virtqueue_split_device_mute(device);
}

/* Asks for a notification when the driver makes the next chain available.
 *   returns  true when there is one already (or the queue is broken): no notification may come,
 *            call pop(); false: a notification will come
 *   order    full fence between our avail_event or flag and the second look at avail.idx; pairs
 *            with the driver's fence between its avail.idx and its read of that word */
static inline bool MUST_CHECK virtqueue_device_ask(struct virtqueue_device *device)
{
        return device->packed ? virtqueue_packed_device_ask(device) :
                                virtqueue_split_device_ask(device);
}

/* Gives chains back, in their order; the driver sees none of them before publish(). In any order of
 * popping; with IN_ORDER in that order, and chains without a writable part, but for the last of a
 * batch, have no used entry of their own. Nothing happens on a broken queue.
 *   used     ids of requests that are in flight, each once, and for each the bytes written from the
 *            start of the writable part, all of them: 0..its writable_bytes. Anything else is a bug
 *            of the device, not of the driver */
static inline void virtqueue_device_push_batch(struct virtqueue_device *device,
                                               const struct virtqueue_used_element *used,
                                               uint32_t count)
{
        if (UNLIKELY(device->in_order))
                virtqueue_device_push_batch_in_order(device, used, count);
        else if (device->packed)
                virtqueue_packed_device_push_batch(device, used, count);
        else
                virtqueue_split_device_push_batch(device, used, count);
}

/* The same of chains that were only read, in one stroke: nothing was written into any of them. */
static inline void virtqueue_device_push_read(struct virtqueue_device *device,
                                              const struct virtqueue_request *requests,
                                              uint32_t count)
{
        if (UNLIKELY(device->in_order))
                virtqueue_device_push_read_in_order(device, requests, count);
        else if (device->packed)
                virtqueue_packed_device_push_read(device, requests, count);
        else
                virtqueue_split_device_push_read(device, requests, count);
}

/* Gives one chain back: a batch of one, and the split ring's here, where it is short. */
static inline void virtqueue_device_push(struct virtqueue_device *device, uint16_t id,
                                         uint32_t written_bytes)
{
        struct virtqueue_used_element used = {.id = id, .bytes = written_bytes};
        if (!device->plain) {
                virtqueue_device_push_batch(device, &used, 1);
                return;
        }
        ASSERT(id < device->ring.size);
        struct virtqueue_device_slot *slot = &device->slots[id];
        ASSERT(written_bytes < slot->word); /* in flight, and no more than may be written */
        slot->word = 0;
        virtqueue_device_ring_insert_used(&device->ring, (uint16_t)device->pushed++, used);
}

#endif
