/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_net_rig — a virtio network card made of our own device side, and a client of netdev, with
 * the driver between them. The device obeys, unless a test tells it to misbehave.
 *
 *   rig_init(t, pages);                       // a pmm of its own
 *   rig.offered |= ...; rig.queue_size = 16;  // what the card is like
 *   rig_start(t);                             // virtio_net_start and netdev_attach
 *   rig_deliver(0, &header, bytes, count);    // the device receives a frame
 *   netdev_poll(&net.netdev, 0, 64);          // the client has it: rig.got[]
 *   rig_send(t, ...); rig_serve(0);           // the client sends; the device has it: rig.sent[]
 *
 * Commands are served at once, when the driver notifies. Addresses that the driver gives are
 * looked up in the pmm: one that is not its memory, or a page that is free, fails the test.
 *
 * Context   one thread, one test at a time */
#ifndef TESTS_HOST_MACHINE_VIRTIO_NET_RIG_H
#define TESTS_HOST_MACHINE_VIRTIO_NET_RIG_H

#include "tests/expect.h"

#include "base/bytes.h"
#include "drivers/virtio/virtio_net.h"
#include "virtqueue/virtqueue_chain.h"
#include "virtqueue/virtqueue_device.h"

#define RIG_PAGES_MAX 4096
#define RIG_BASE_PA (5 * MIB)
#define RIG_QUEUES 40
#define RIG_QUEUE_SIZE_MAX 64
#define RIG_CONFIG_BYTES 32
#define RIG_SENT_MAX 128
#define RIG_GOT_MAX 128
#define RIG_DONE_MAX 512
#define RIG_COMMANDS_MAX 64
#define RIG_COMMAND_BYTES 512
#define RIG_FRAME_BYTES 66000
#define RIG_SHORT_BYTES 128 /* of each frame that is kept */

#define RIG_NET(name) BIT_MASK(VIRTIO_NET_F_##name)
#define RIG_F(name) BIT_MASK(VIRTIO_F_##name)

struct rig_queue {
        bool live;
        bool wild; /* rig_use() was here: the device side knows no longer what is going on */
        uint32_t resets; /* RING_RESET */
        uint32_t notifications; /* since it was made live */
        uint32_t aimed_at; /* the CPU of its interrupts, + 1 */
        struct virtio_queue_setup setup;
        struct virtqueue_device device;
        struct virtqueue_device_slot slots[RIG_QUEUE_SIZE_MAX];
};

/* A frame that the device read. */
struct rig_sent {
        struct virtio_net_header header;
        uint32_t bytes;    /* of the frame */
        uint32_t elements; /* that its chain had */
        uint8_t start[RIG_SHORT_BYTES];
        uint32_t sum; /* of all its bytes */
};

/* A frame that the client got. */
struct rig_got {
        struct netdev_received frame;
        uint32_t queue;
        uint32_t sum;
        bool held;
};

struct rig_command {
        uint8_t class, command;
        uint32_t bytes;
        uint8_t data[RIG_COMMAND_BYTES];
};

struct rig {
        struct test *t;
        /* memory */
        struct pmm pmm;
        struct vmo_pool pool;
        uint8_t *memory;
        uint32_t pages;
        uint64_t free_pages;
        struct list_node taken;
        /* With takes_pages: rig_take_pages(this) when features are accepted. */
        uint64_t leaves_pages;
        bool takes_pages;
        uint32_t bad_addresses; /* that the driver gave to the device */
        /* the device: how it is */
        uint64_t offered;
        uint8_t config[RIG_CONFIG_BYTES];
        uint32_t config_bytes;
        uint16_t queue_count;
        uint32_t queue_size;
        bool hostile; /* what the rings say may be anything: no expectations about that */
        bool never_resets;
        bool has_no_interrupts;
        bool breaks_at_start; /* NEEDS_RESET as soon as DRIVER_OK is set */
        bool queue_never_resets;
        bool only_offers_reset; /* of a queue; as the memory-mapped transport finds out */
        bool control_silent;
        bool control_says_nothing; /* used, with nothing written */
        uint8_t control_answer;
        bool control_refuses_once; /* then all is well again */
        uint32_t control_answers_left; /* good ones, before control_answer; UINT32_MAX: all */
        /* ... and what happened to it */
        struct virtio_transport transport;
        uint8_t status;
        uint64_t accepted;
        struct rig_queue queues[RIG_QUEUES];
        uint64_t clock_ns;
        uint32_t resets, notifications, interrupts;
        uint32_t woken; /* queue pairs, a bit each; the test clears it */
        void (*at_notification)(uint16_t queue); /* what the device does then; NULL: nothing */
        virtio_interrupt_fn handler;
        void *handler_context;
        uint16_t vectors;
        bool started, masked;
        struct rig_command commands[RIG_COMMANDS_MAX];
        uint32_t command_count;
        struct rig_sent sent[RIG_SENT_MAX];
        uint32_t sent_count;
        void *last_written; /* where the first piece of the last frame received went */
        /* the client */
        bool holds; /* does not release */
        struct rig_got got[RIG_GOT_MAX];
        uint32_t got_count;
        uint32_t done_ids[RIG_DONE_MAX];
        zx_status_t done_status[RIG_DONE_MAX];
        uint32_t done_count, changes, announces;
        struct vmo *vmo;
        uint32_t vmo_id;
        uint32_t queue_pairs;
};

extern struct rig rig;
extern struct virtio_net rig_net;

static inline struct netdev *rig_card(void)
{
        return &rig_net.netdev;
}

/* A card with VERSION_1 and MAC and nothing else, that has not been started. */
void rig_init(struct test *t, uint32_t pages);
/* Starts it and attaches the client, with a VMO of 64 pages in the store.
 *   returns  what virtio_net_start returned */
zx_status_t rig_start(struct test *t);
/* Detaches, stops, gives everything back, and expects that nothing is missing. */
void rig_finish(struct test *t);
/* The parts of both that rig_start and rig_finish consist of. */
zx_status_t rig_start_card(void);
zx_status_t rig_attach(void);
void rig_release_all(void);
/* Takes memory away, into rig.taken, until so many pages are left. */
void rig_take_pages(uint64_t left);

/* ---- the device ---- */

/* Receives a frame of `count` bytes of the pattern, behind `header` (its buffer_count is filled in
 * if it is 0 and MRG_RXBUF was accepted).
 *   returns  false: the driver has given too few buffers; nothing has happened */
bool rig_deliver(uint32_t pair, struct virtio_net_header header, uint32_t seed, uint32_t count);
/* Uses the next receive buffer with exactly these bytes, header and
 * all; for what no device does. */
bool rig_deliver_raw(uint32_t pair, const void *bytes, uint32_t count);
/* Reads what is available in the transmit queue, into rig.sent, and gives it back; returns how
 * many frames. */
uint32_t rig_serve(uint32_t pair);
void rig_interrupt(uint32_t sources);
/* Puts an entry into a used ring (packed: writes a descriptor) as if a chain were given back. */
void rig_use(uint16_t queue, uint16_t id, uint32_t bytes);
/* The used index of a queue's ring runs ahead. Split rings only. */
void rig_break_queue(uint16_t queue);

/* ---- the client ---- */

/* Byte i of the frame with that seed, and the sum of the first `count`. */
static inline uint8_t rig_byte(uint32_t seed, uint32_t i)
{
        return (uint8_t)(seed * 31 + i * 7 + i / 256 + 3);
}
uint32_t rig_sum(uint32_t seed, uint32_t count);

/* A frame of the client's memory: `count` bytes of the pattern in `parts` regions from `offset` on
 * in its VMO, which it is written to. */
struct netdev_frame rig_frame(struct test *t, uint32_t id, uint64_t offset, uint32_t count,
                              uint32_t parts);
zx_status_t rig_send(uint32_t queue, const struct netdev_frame *frame);
uint32_t rig_poll(uint32_t queue);

#endif
