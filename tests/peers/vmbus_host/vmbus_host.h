/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host — the host's end of VMBus: offers, GPADLs, channels, and the devices behind them.
 *
 *   guest's message --> vmbus_host_message()  --.            .--> ops.post    message to the guest
 *   guest's event   --> vmbus_host_event()    ---> the host ----> ops.signal  event to the guest
 *   time passes     --> vmbus_host_poll()     --'    |       `--> ops.note    what the guest broke
 *                                                    `--> ops.map   a page of the guest's memory
 *
 * A channel's device (an echo, a network card) is a struct with operations; the host hands it the
 * packets of the guest's ring, checked, and takes its answers. Written from the description of the
 * protocol alone; of lib/ it uses the ring (lib/vmbus_ring), nothing else. So do the guests that it
 * meets, and a mistake of the library would be shared: it is held against byte vectors of another
 * implementation (tests/boot/vmbus_ring_test.c) and against ends by another hand
 * (tests/host/vmbus_stranger_ring.h). Freestanding, no allocation, no globals, no clock.
 *
 * Owner       all memory is the caller's: this struct, the words for GPADLs, offers and
 *             devices live as long as the host
 * Peer        the guest may write every byte that ops.map hands out, at any time, and send any
 *             message; each broken rule has a name (vmbus_host_rule.h). A channel whose ring or
 *             device protocol is broken is served no more until the guest closes it
 * Context     one caller at a time; never sleeps. Every loop is bounded by a number below or by a
 *             checked length
 * Invariants  [H1] the words of two GPADLs never overlap
 *             [H2] a channel that runs has a ring GPADL whose users is not 0
 *             [H3] at most VMBUS_HOST_QUEUE messages wait for ops.post
 * Facts       spec/vmbus.md, (e)
 *
 *   vmbus_host_init(&host, &config);
 *   vmbus_host_offer(&host, &offer, &channel);
 *   for each message: while (vmbus_host_message(...) == ZX_ERR_SHOULD_WAIT) vmbus_host_poll(&host);
 *   for each event:   vmbus_host_event(&host, connection_id);
 *   vmbus_host_poll(&host);        again and again; true: at once */
#ifndef TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_H
#define TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "tests/peers/vmbus_host/vmbus_host_lie.h"
#include "tests/peers/vmbus_host/vmbus_host_rule.h"
#include "tests/peers/vmbus_host/wire.h"
#include "vmbus_ring/vmbus_ring.h"

#define VMBUS_HOST_CHANNELS 16u
#define VMBUS_HOST_GPADLS 48u
#define VMBUS_HOST_QUEUE 16u
/* The longest range list that a guest can describe (e.6): a host with so many words takes one. */
#define VMBUS_HOST_LIST_WORDS_MAX 8191u
/* Packets taken from one channel before the next one has its turn (c.7). */
#define VMBUS_HOST_PACKETS_PER_POLL 64u

/* ---- the world ---- */

struct vmbus_host_ops {
        /* A page of the guest's memory by its number: its address, aligned to 4096, good until the
         * host is reset; NULL when there is no such page. */
        void *(*map)(void *context, uint64_t page_number);
        /* Sends one message, 8 to 240 bytes, to the guest's processor `vp`. False: no room now; the
         * host tries again with its next poll. */
        bool (*post)(void *context, const void *message, uint32_t bytes, uint32_t vp);
        /* Sets an event flag of the guest's processor `vp` and interrupts it. */
        void (*signal)(void *context, uint32_t event_flag, uint32_t vp);
        /* The guest broke a rule. May be NULL. */
        void (*note)(void *context, const struct vmbus_host_fault *fault);
};

struct vmbus_host_config {
        const struct vmbus_host_ops *ops;
        void *context;
        uint64_t *words; /* for range lists of GPADLs, 8 bytes a page; the host's until fini */
        uint32_t word_count;
        uint32_t version_max;        /* WIRE_VERSION_...; 0: 6.0 */
        uint32_t features;           /* of version 6.0 that may be granted; 0: all that it has */
        uint32_t message_connection; /* told in VersionResponse from 5.0 on; 0: 4 */
        uint32_t connection_base;    /* a channel's connection id is this plus its channel id */
        uint32_t vp_count;           /* processors of the guest, as far as known; 0: any number */
};

/* ---- devices ---- */

struct vmbus_host_channel;
struct vmbus_host_device;

struct vmbus_host_device_ops {
        /* The guest opens the channel; false refuses. */
        bool (*opened)(struct vmbus_host_device *device, struct vmbus_host_channel *channel);
        /* It is closed, rescinded or lost; nothing of the guest's
         * memory may be touched after it. */
        void (*closed)(struct vmbus_host_device *device, struct vmbus_host_channel *channel);
        /* One packet; its ranges are read through channel->receiver. True: done with it. False: not
         * now (the ring to the guest is full, say); it comes again. */
        bool (*packet)(struct vmbus_host_device *device, struct vmbus_host_channel *channel,
                       const struct vmbus_incoming *packet);
        /* After the packets of each poll: the device's own work, bounded. True: there is more.
         * May be NULL. */
        bool (*work)(struct vmbus_host_device *device, struct vmbus_host_channel *channel);
        /* A GPADL of the channel is torn down: its pages may not be
         * touched any more. May be NULL. */
        void (*gpadl_gone)(struct vmbus_host_device *device, struct vmbus_host_channel *channel,
                           uint32_t gpadl);
};

struct vmbus_host_device {
        const struct vmbus_host_device_ops *ops;
};

/* What is offered; the caller's, unchanged while the channel exists. */
struct vmbus_host_offer {
        uint8_t interface[WIRE_GUID_BYTES];
        uint8_t instance[WIRE_GUID_BYTES];
        uint16_t flags; /* WIRE_OFFER_... */
        uint16_t subchannel_index;
        uint32_t user_words[2]; /* the first 8 bytes of the user data; the others are 0 */
        struct vmbus_host_device *device;
};

/* ---- the host ---- */

/* The pages of a GPADL, or of a list in general: addresses, not numbers. */
struct vmbus_host_pages {
        const uint64_t *addresses;
        uint32_t page_count;
};

struct vmbus_host_gpadl {
        bool used;
        bool created;
        uint8_t users; /* rings on it */
        uint32_t channel;
        uint32_t handle;
        uint32_t first_word;
        uint32_t word_count;
        uint32_t words_have;
        uint32_t range_count;
};

struct vmbus_host_channel {
        /* For devices to read. */
        struct vmbus_host *host;
        uint32_t id; /* 0: this place is free */
        const struct vmbus_host_offer *offer;
        struct vmbus_receiver receiver; /* guest to host */
        struct vmbus_sender sender;     /* host to guest */
        uint8_t user[WIRE_USER_BYTES];  /* from the opening */
        enum vmbus_host_rule broken;    /* not NONE: served no more */
        /* The host's. */
        bool announced, offer_owed, rescinded, rescind_owed;
        bool open;     /* as the guest sees it */
        bool running;  /* rings attached, device opened */
        bool reserved; /* opened apart from the connection */
        bool signalled, busy;
        bool refused; /* the device did not take a packet, which waits in the ring */
        uint32_t target_vp;
        uint32_t event_flag;
        uint32_t ring_gpadl;
        uint32_t needed_bytes; /* room that a send did not find */
        struct vmbus_receive_position from;
        struct vmbus_send_position to;
        uint64_t packets_in, packets_out;
};

struct vmbus_host_queued {
        uint8_t count;
        ALIGNED(8) uint8_t bytes[WIRE_MESSAGE_BYTES_MAX];
};

struct vmbus_host_liar {
        uint64_t state;
        uint64_t allowed;
        uint32_t rate;
        uint32_t told[VMBUS_HOST_LIES];
};

struct vmbus_host {
        struct vmbus_host_config config;
        uint32_t version; /* 0: none agreed */
        uint32_t features;
        uint32_t message_vp;
        bool offers_requested, delivered_owed;
        bool paused;
        uint8_t before_pause; /* messages in the queue that a pause does not hold back */
        struct vmbus_host_channel channels[VMBUS_HOST_CHANNELS];
        struct vmbus_host_gpadl gpadls[VMBUS_HOST_GPADLS];
        struct vmbus_host_queued queue[VMBUS_HOST_QUEUE];
        uint32_t queue_head, queue_count;
        struct vmbus_host_fault last_fault;
        uint32_t faults[VMBUS_HOST_RULES];
        uint64_t messages_in, messages_out, events_in, signals_out;
        struct vmbus_host_liar liar;
};

/* Begins: no version, no offers. `config` is copied; zero fields mean what they say above. */
void vmbus_host_init(struct vmbus_host *host, const struct vmbus_host_config *config);

/* The guest is gone or begins anew (a reset of the machine): every channel is closed, every GPADL
 * forgotten, reserved channels as well; the offers remain and are made again when requested. */
void vmbus_host_reset(struct vmbus_host *host);

/* Takes one message of the guest.
 *   connection_id  as given to HvPostMessage
 *   bytes, count   private memory, so that nobody changes them meanwhile
 *   returns        ZX_OK: done, or refused and noted; ZX_ERR_SHOULD_WAIT: no room for an answer,
 *                  nothing happened: poll, then bring it again */
zx_status_t MUST_CHECK vmbus_host_message(struct vmbus_host *host, uint32_t connection_id,
                                          const void *bytes, uint32_t count);

/* Takes one event of the guest: it looks at the channel's rings with the next poll.
 *   connection_id  as given to HvSignalEvent */
void vmbus_host_event(struct vmbus_host *host, uint32_t connection_id);

/* Sends what waits, serves the channels, a bounded amount of each.
 *   returns  true: there is more to do at once; false: nothing before the next message, event, or
 *            whatever a device waits for */
bool vmbus_host_poll(struct vmbus_host *host);

/* Offers a channel, now or, when no offers were requested yet, with the others.
 *   offer    the caller's, unchanged until the guest has released the channel
 *   channel  out, may be NULL
 *   returns  ZX_OK; ZX_ERR_NO_RESOURCES when all places are taken */
zx_status_t MUST_CHECK vmbus_host_offer(struct vmbus_host *host,
                                        const struct vmbus_host_offer *offer,
                                        struct vmbus_host_channel **channel);

/* Takes an offer back; the channel ends when the guest has released it, at once when the guest has
 * not heard of it. */
void vmbus_host_rescind(struct vmbus_host *host, struct vmbus_host_channel *channel);

/* The channel of that id, NULL when there is none. */
struct vmbus_host_channel *vmbus_host_channel(struct vmbus_host *host, uint32_t id);

/* Rules that the guest broke, of one kind and of all. */
static inline uint32_t vmbus_host_faults(const struct vmbus_host *host, enum vmbus_host_rule rule)
{
        return host->faults[rule];
}
uint64_t vmbus_host_faults_total(const struct vmbus_host *host);

/* ---- for devices ---- */

/* Writes one packet to the guest; the host publishes it when the device returns.
 *   packet   read, not kept
 *   payload  packet->payload_bytes bytes of private memory
 *   returns  VMBUS_OK; VMBUS_FULL: the device is called again when there may be room;
 *            VMBUS_TOO_LARGE; a broken rule, the channel is then served no more */
enum vmbus_result MUST_CHECK vmbus_host_send(struct vmbus_host_channel *channel,
                                             const struct vmbus_outgoing *packet,
                                             const void *payload);

/* The same with the payload left to the caller, who writes it all through `writer`. */
enum vmbus_result MUST_CHECK vmbus_host_send_begin(struct vmbus_host_channel *channel,
                                                   const struct vmbus_outgoing *packet,
                                                   struct vmbus_writer *writer);

/* Whether a packet of `bytes`, footer included, fits now; as vmbus_host_send() else. */
enum vmbus_result MUST_CHECK vmbus_host_can_send(struct vmbus_host_channel *channel,
                                                 uint64_t bytes);

/* The guest broke `rule` on this channel: noted. */
void vmbus_host_broke(struct vmbus_host_channel *channel, enum vmbus_host_rule rule, uint32_t value,
                      uint32_t limit);
/* The same, and the channel is served no more until it is closed. */
void vmbus_host_fail(struct vmbus_host_channel *channel, enum vmbus_host_rule rule, uint32_t value,
                     uint32_t limit);

/* The pages of a GPADL of this channel, when it is one range of whole pages; else false. They are
 * good until gpadl_gone or closed is called. */
bool MUST_CHECK vmbus_host_gpadl_pages(struct vmbus_host_channel *channel, uint32_t handle,
                                       struct vmbus_host_pages *pages);

/* Copies between private memory and pages of the guest, each shared byte accessed once.
 *   offset, bytes  inside the pages: the caller has checked it */
void vmbus_host_pages_read(const struct vmbus_host_pages *pages, uint64_t offset, void *target,
                           uint32_t bytes);
void vmbus_host_pages_write(const struct vmbus_host_pages *pages, uint64_t offset,
                            const void *source, uint32_t bytes);

/* Copies out the ranges of a GPA-direct packet and maps their pages: in `list` the numbers become
 * addresses, so that vmbus_gpa_next() walks over addresses.
 *   list     empty, its words the caller's
 *   returns  true; false when the ranges are too many for the list (noted), bad (the channel is
 *            served no more) or name a page that is not there (noted): the list is empty then */
bool MUST_CHECK vmbus_host_gpa(struct vmbus_host_channel *channel,
                               const struct vmbus_incoming *packet, struct vmbus_gpa_list *list);

#endif
