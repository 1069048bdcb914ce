/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus — the guest's end of VMBus: the connection, its channels, their drivers.
 *
 *   VMBUS_DRIVER(echo_driver, "echo", ECHO_GUID, echo_offer, echo_rescind);
 *
 *   static zx_status_t echo_offer(struct vmbus_channel *channel)     // thread; may block
 *   {
 *           struct vmbus_open_parameters parameters = {
 *                   .send_pages = 16, .receive_pages = 16, .callback = echo_interrupt };
 *           return vmbus_open(channel, &parameters);
 *   }
 *   vmbus_channel_send(channel, &packet, "hello", 5);                // writes, commits, signals
 *   while (vmbus_channel_receive(channel, &packet, buffer, sizeof(buffer)) == ZX_OK)
 *           ...
 *   vmbus_channel_sleep(channel);        // SHOULD_WAIT: the callback comes with the next packet
 *
 * The life of a channel (vmbus_channel_next is the whole of it):
 *
 *            offer          open             created          opened         rescind
 *      FREE ------> OFFERED ------> PREPARING ------> OPENING -------> OPEN ---------> REVOKED
 *       ^            ^  |  ^  refused   | |              |              |                |
 *       |            |  |  +------------+ | close        | refused      | close          | close
 *       |            |  |               | v              v              v                |
 *       |       torn |  | rescind       | +----------> CLOSING <-------+----------------+
 *       |            +--|---------------|---------------+ |
 *       | released      v               |                 | torn, rescinded
 *       +---------- RESCINDED <---------+-----------------+
 *                                   refused, rescinded
 *
 *   FREE       no such channel                    PREPARING  the rings' GPADL is being made
 *   OFFERED    known, not open                    OPENING    waits for OpenResult
 *   OPEN       rings and signals work             CLOSING    the rings' GPADL is being torn down
 *   REVOKED    open, but the host took the        RESCINDED  taken back and closed: RelIdReleased
 *              device away: signals end,                     goes out when the driver's rescind()
 *              close is due                                  has returned
 *
 * A rescind in PREPARING, OPENING and CLOSING is remembered and ends what is waited for. Who opens
 * a channel that no driver took closes it when it is REVOKED.
 *
 * Life of the connection: IDLE -> CONTACTING -> CONNECTED <-> PAUSED, then UNLOADING -> IDLE. A
 * message that breaks the table of vmbus_protocol.h makes it BROKEN: every wait ends with
 * ZX_ERR_IO_DATA_INTEGRITY, no further message is believed but UnloadComplete, channels are as
 * REVOKED, and vmbus_disconnect() is the way out.
 *
 * Peer        the host is hostile: every message is a private copy, held against one table (type,
 *             direction, version, length), then its ids against what is outstanding. What an honest
 *             host can also send at an unlucky moment is counted and ignored (e.11); what it cannot
 *             breaks the connection. `faults` has a count for each rule
 * Owner       struct vmbus, the array of channels and that of GPADLs are the caller's and stay
 *             where they are between vmbus_init and vmbus_fini. Rings belong to the client. Memory
 *             that the host may still write to is never freed: when a GPADL cannot be torn down,
 *             its pages are kept, and counted in leaked_pages, until the host lets go or for good
 * Context     "thread" functions block, at most as long as their deadline: with interrupts on, no
 *             lock held, on any CPU. Several CPUs may work on several channels at once; on one
 *             channel, one of open, close, modify, GPADL functions at a time; its sending end one
 *             caller at a time, its receiving end likewise
 * Locks       vmbus.lock (connection: states, calls, GPADLs) and each channel's event_lock (held
 *             while its callback runs) are taken with interrupts off, also in interrupts.
 *             event_lock is to the left of vmbus.lock; neither is held while a transport works or a
 *             VMO is touched
 * Invariants  [B1] channel_of_id maps an id to the one slot that is not FREE and has it, or to none
 *             [B2] a GPADL that is not FREE or DONE keeps its pages pinned
 *             [B3] a channel's state changes by vmbus_channel_next() only
 * Facts       spec/vmbus.md, a.3, a.4, (e) */
#ifndef DRIVERS_HYPERV_VMBUS_H
#define DRIVERS_HYPERV_VMBUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/spinlock.h"
#include "base/status.h"
#include "drivers/hyperv/vmbus_transport.h"
#include "kernel/vmo.h"
#include "vmbus_ring/vmbus_receiver.h"
#include "vmbus_ring/vmbus_requests.h"
#include "vmbus_ring/vmbus_sender.h"

#define VMBUS_CHANNEL_ID_MAX 2047u
#define VMBUS_CHANNELS_MAX 255u
#define VMBUS_USER_BYTES 120u
#define VMBUS_GPADL_PAGES_MAX 8190u /* e.6: the list's length has 16 bits */
#define VMBUS_RING_PAGES_MAX 2048u  /* of data, in one direction */
#define VMBUS_CPU_NONE UINT32_MAX
#define VMBUS_DEADLINE_NS_DEFAULT 10000000000ull

/* Windows layout: u32, u16, u16 little-endian, then 8 bytes in order (e.1). */
struct vmbus_guid {
        uint8_t bytes[16];
};
/* f8615163-df3e-46c5-913f-f2d2f965ed0e as VMBUS_GUID(0xf8615163, 0xdf3e, 0x46c5, 0x913f,
 * 0xf2d2f965ed0e) */
#define VMBUS_GUID(a, b, c, d, e)                                                               \
        {                                                                                       \
                {                                                                               \
                        (a) & 0xff, (a) >> 8 & 0xff, (a) >> 16 & 0xff, (a) >> 24 & 0xff,        \
                        (b) & 0xff, (b) >> 8 & 0xff, (c) & 0xff, (c) >> 8 & 0xff,               \
                        (d) >> 8 & 0xff, (d) & 0xff, (e) >> 40 & 0xff, (e) >> 32 & 0xff,        \
                        (e) >> 24 & 0xff, (e) >> 16 & 0xff, (e) >> 8 & 0xff, (e) & 0xff         \
                }                                                                               \
        }

bool vmbus_guid_equal(const struct vmbus_guid *left, const struct vmbus_guid *right);
#define VMBUS_GUID_TEXT_BYTES 37
void vmbus_guid_text(const struct vmbus_guid *guid, char text[VMBUS_GUID_TEXT_BYTES]);

/* ---- rules ---- */

/* X(name, number, fatal, what holds). Fatal: the connection is latched. */
#define VMBUS_FAULT_LIST(X)                                                                     \
        X(VMBUS_FAULT_NONE, 0, false, "no rule was broken")                                     \
        X(VMBUS_FAULT_HEADER, 1, true, "a message has its header")                              \
        X(VMBUS_FAULT_TYPE, 2, true, "a message is of a type that exists")                      \
        X(VMBUS_FAULT_DIRECTION, 3, true, "a host sends what hosts send")                       \
        X(VMBUS_FAULT_VERSION, 4, true, "a message is part of the negotiated version")          \
        X(VMBUS_FAULT_LENGTH, 5, true, "a message is as long as its layout")                    \
        X(VMBUS_FAULT_ID_RANGE, 6, true, "an offered channel id is 1 to 2047")                  \
        X(VMBUS_FAULT_ID_LIVE, 7, true, "an id is not offered again before it was released")    \
        X(VMBUS_FAULT_SUPPORTED, 8, true, "a version is supported, or it is not: 0 or 1")       \
        X(VMBUS_FAULT_OFFERS_END, 9, true, "all offers are delivered once")                     \
        X(VMBUS_FAULT_ID_UNKNOWN, 10, false, "a message names a channel that is known")         \
        X(VMBUS_FAULT_NOT_AWAITED, 11, false, "an answer is awaited")                           \
        X(VMBUS_FAULT_RESCIND_TWICE, 12, false, "an offer is rescinded once")                   \
        X(VMBUS_FAULT_EVENT_UNKNOWN, 13, false, "an event flag is of an opened channel")        \
        X(VMBUS_FAULT_NO_SLOT, 14, false, "there are not more offers than this client holds")   \
        X(VMBUS_FAULT_FEATURES, 15, false, "features granted are among those asked for")        \
        X(VMBUS_FAULT_BROKEN, 16, false, "a broken connection hears UnloadComplete only")       \
        X(VMBUS_FAULT_TRANSPORT, 17, true, "the transport's own rules hold")

enum vmbus_fault_rule {
#define VMBUS_FAULT_ENUM_(name, number, fatal, rule) name = (number),
        VMBUS_FAULT_LIST(VMBUS_FAULT_ENUM_)
#undef VMBUS_FAULT_ENUM_
        VMBUS_FAULT_COUNT
};
const char *vmbus_fault_name(enum vmbus_fault_rule rule);
bool vmbus_fault_is_fatal(enum vmbus_fault_rule rule);

/* ---- offers and channels ---- */

struct vmbus_offer {
        struct vmbus_guid interface; /* the class of device */
        struct vmbus_guid instance;
        uint16_t flags; /* VMBUS_OFFER_* */
        uint16_t mmio_mib, mmio_optional_mib;
        uint16_t subchannel_index; /* 0: primary */
        uint16_t channel_id;
        uint32_t connection_id;
        uint8_t monitor_id; /* 0xff: none; monitored notification is not used */
        bool dedicated_interrupt;
        uint8_t user_data[VMBUS_USER_BYTES]; /* pipe mode: u32 type, 112 bytes, u32 flags (e.4) */
};
#define VMBUS_OFFER_CONFIDENTIAL_RING 0x0002
#define VMBUS_OFFER_CONFIDENTIAL_MEMORY 0x0004
#define VMBUS_OFFER_PINNED_MEMORY 0x0008
#define VMBUS_OFFER_PIPE 0x0010
#define VMBUS_OFFER_HVSOCK 0x2000
#define VMBUS_PIPE_TYPE_BYTE 0
#define VMBUS_PIPE_TYPE_MESSAGE 4

enum vmbus_channel_state {
        VMBUS_CHANNEL_FREE = 0,
        VMBUS_CHANNEL_OFFERED,
        VMBUS_CHANNEL_PREPARING,
        VMBUS_CHANNEL_OPENING,
        VMBUS_CHANNEL_OPEN,
        VMBUS_CHANNEL_CLOSING,
        VMBUS_CHANNEL_REVOKED,
        VMBUS_CHANNEL_RESCINDED,
        VMBUS_CHANNEL_STATE_COUNT
};

/* What moves a channel. TORN and REFUSED of a channel that was rescinded meanwhile are the two
 * _RESCINDED ones. */
enum vmbus_channel_event {
        VMBUS_EVENT_OFFER = 0,
        VMBUS_EVENT_OPEN,
        VMBUS_EVENT_CREATED,
        VMBUS_EVENT_REFUSED, /* or late */
        VMBUS_EVENT_REFUSED_RESCINDED,
        VMBUS_EVENT_OPENED,
        VMBUS_EVENT_CLOSE,
        VMBUS_EVENT_TORN,
        VMBUS_EVENT_TORN_RESCINDED,
        VMBUS_EVENT_RESCIND,
        VMBUS_EVENT_RELEASED,
        VMBUS_EVENT_COUNT
};
/* The state after `event`; VMBUS_CHANNEL_STATE_COUNT: there is no such arrow. The picture above. */
enum vmbus_channel_state vmbus_channel_next(enum vmbus_channel_state state,
                                            enum vmbus_channel_event event);
const char *vmbus_channel_state_name(enum vmbus_channel_state state);

struct vmbus;
struct vmbus_channel;
struct vmbus_driver;

/* The host signalled. Interrupt or thread context, interrupts off, event_lock held: it never runs
 * twice at once, and not any more when vmbus_close() or vmbus_disconnect() has returned. Short: it
 * notes or wakes; rings may be used, functions that block may not. Signals are hints and may come
 * for nothing. */
typedef void (*vmbus_channel_fn)(struct vmbus_channel *channel, void *context);

/* Memory that the host may use. */
struct vmbus_gpadl_memory {
        /* Either part of a VMO, which the client pins and holds until the host has let go: */
        struct vmo *vmo;
        uint64_t offset, bytes; /* whole pages */
        /* or, vmo NULL, page numbers (address / 4096) of memory that the caller keeps. The list is
         * read during vmbus_gpadl_create only. */
        const uint64_t *page_numbers;
        uint32_t page_count; /* 1 .. VMBUS_GPADL_PAGES_MAX, in either case */
};

enum vmbus_gpadl_state {
        VMBUS_GPADL_FREE = 0,
        VMBUS_GPADL_CREATING,
        VMBUS_GPADL_LIVE,
        VMBUS_GPADL_TEARING,
        VMBUS_GPADL_DONE, /* refused or torn down: the host has nothing any more */
};

struct vmbus_gpadl {
        uint32_t handle; /* on the wire, unique in the connection; what protocols of devices name */
        uint16_t channel_id;
        uint8_t state;  /* enum vmbus_gpadl_state; vmbus.lock */
        bool abandoned; /* nobody waits: vmbus_serve() ends it when the host answers */
        uint32_t page_count;
        struct vmo *vmo; /* pinned, one reference; NULL: the caller's pages */
        uint64_t offset;
};

struct vmbus_channel {
        struct vmbus *vmbus;
        struct vmbus_offer offer;
        uint8_t state;      /* enum vmbus_channel_state; written under vmbus.lock */
        bool rescinded;     /* sticky until FREE */
        bool announce;      /* a driver is to be told of the offer */
        bool modifying;     /* ModifyChannel sent and not answered (5.3) */
        uint32_t open_id;   /* of the last opening; 0: none since the offer; atomic */
        uint32_t cpu;       /* where events go, or VMBUS_CPU_NONE */
        const struct vmbus_driver *driver; /* that took the offer; NULL: none */
        void *driver_context;              /* the driver's, to use as it likes */

        struct spinlock event_lock;
        vmbus_channel_fn callback; /* NULL: none; event_lock */
        void *callback_context;
        uint64_t event_count, signal_count; /* in, out */

        /* Valid in OPEN and REVOKED. Whoever wants several packets under one commit uses them
         * directly, then vmbus_channel_commit_send and _receive. */
        struct vmbus_sender sender;
        struct vmbus_send_position send_position;
        struct vmbus_receiver receiver;
        struct vmbus_receive_position receive_position;
        struct vmbus_requests requests; /* slot_count 0 when open was given no slots */

        struct vmbus_gpadl *ring_gpadl;
        struct vmo *ring_vmo;  /* both rings */
        struct vmo *table_vmo; /* addresses of their pages; NULL: they lie in a row */
        uint32_t send_pages, receive_pages;
};

static inline enum vmbus_channel_state vmbus_channel_state(const struct vmbus_channel *channel)
{
        return (enum vmbus_channel_state)__atomic_load_n(&channel->state, __ATOMIC_ACQUIRE);
}

/* ---- drivers ---- */

/* One entry of the linker table vmbus_driver_table; the kernel's connection uses that table.
 *   offer    a channel of this class is there, primary or not (channel->offer.subchannel_index,
 *            vmbus_channel_primary()); a subchannel only when its primary was taken. ZX_OK takes
 *            it; anything else leaves it alone. May open it. channel->driver_context is the
 *            driver's
 *   rescind  only for channels taken: the host took it back, or the connection ends, and signals
 *            have stopped. Closes the channel and ends its GPADLs; what it leaves is ended for it.
 *            When it has returned the channel is gone. May be NULL
 * Context: thread, no lock held, one of these at a time in a connection; from vmbus_connect(),
 * vmbus_serve() and vmbus_disconnect(). */
struct vmbus_driver {
        const char *name;
        struct vmbus_guid interface;
        zx_status_t (*offer)(struct vmbus_channel *channel);
        void (*rescind)(struct vmbus_channel *channel);
};
#define VMBUS_DRIVER(variable_, name_, interface_, offer_, rescind_)                            \
        LINKER_TABLE_ENTRY(vmbus_driver_table)                                                  \
        static const struct vmbus_driver variable_ = {.name = (name_),                          \
                                                      .interface = interface_,                  \
                                                      .offer = (offer_),                        \
                                                      .rescind = (rescind_)}

/* ---- the connection ---- */

enum vmbus_state {
        VMBUS_STATE_IDLE = 0,
        VMBUS_STATE_CONTACTING,
        VMBUS_STATE_CONNECTED,
        VMBUS_STATE_PAUSED,
        VMBUS_STATE_UNLOADING,
        VMBUS_STATE_BROKEN,
        VMBUS_STATE_COUNT
};
const char *vmbus_state_name(enum vmbus_state state);

struct vmbus_config {
        struct vmbus_transport *transport;
        struct vmo_pool *pool; /* of rings; pages are reached at pa + its pmm's physmap_base */
        const struct vmbus_driver *drivers;
        size_t driver_count;
        struct vmbus_channel *channels;
        uint32_t channel_count; /* 1 .. VMBUS_CHANNELS_MAX */
        struct vmbus_gpadl *gpadls;
        uint32_t gpadl_count;
        uint32_t version_max;     /* 0: the newest; else VMBUS_VERSION_* of vmbus_protocol.h */
        uint32_t features_wanted; /* VMBUS_FEATURE_*; those that the client knows are asked for */
        uint32_t message_cpu;     /* where messages arrive */
        uint64_t deadline_ns;     /* for each answer of the host; 0: VMBUS_DEADLINE_NS_DEFAULT */
        struct vmbus_guid client_id; /* with VMBUS_FEATURE_CLIENT_ID */
        /* vmbus_serve() has something to do. Any context; may be NULL */
        void (*wake)(void *context);
        void *wake_context;
};

struct vmbus {
        struct vmbus_config config;
        struct spinlock lock;
        uint8_t state; /* enum vmbus_state; written under the lock */
        bool offers_delivered;
        bool leaving; /* vmbus_disconnect() has begun: no offer is taken, no id released */
        bool serving; /* somebody is in vmbus_serve() */
        bool work;    /* for it */
        uint32_t version, features; /* agreed; 0 before */
        uint32_t connection_id;     /* for messages */
        uint32_t next_handle, next_open_id;
        struct list_node calls; /* of exchanges that wait for an answer */
        enum vmbus_fault_rule fault; /* that broke the connection */
        uint32_t fault_message_type; /* of the last fault of any kind */
        uint32_t faults[VMBUS_FAULT_COUNT]; /* atomic */
        uint64_t messages_in, messages_out;
        uint64_t leaked_pages; /* that a host would not let go */
#if PARAVANE_DEBUG
        /* How often channels went along each arrow, for tests that must have been everywhere. */
        uint32_t walked[VMBUS_CHANNEL_STATE_COUNT][VMBUS_EVENT_COUNT];
#endif
        uint8_t channel_of_id[VMBUS_CHANNEL_ID_MAX + 1]; /* slot + 1 or 0 [B1]; atomic */
};

/* Takes over the memory in `config` (copied). ZX_ERR_INVALID_ARGS: NULL, a number out of range. */
zx_status_t MUST_CHECK vmbus_init(struct vmbus *vmbus, const struct vmbus_config *config);
/* IDLE only; otherwise our bug. */
void vmbus_fini(struct vmbus *vmbus);

/* Starts the transport, agrees on a version from the newest down, asks for offers, waits for all of
 * them and hands them to the drivers.
 *   returns  ZX_OK; ZX_ERR_BAD_STATE: not IDLE; ZX_ERR_NOT_SUPPORTED: no version in common;
 *            ZX_ERR_NO_RESOURCES: the host says that it is short; ZX_ERR_TIMED_OUT;
 *            ZX_ERR_IO_DATA_INTEGRITY: `fault` says why; what the transport returned. After an
 *            error the connection is IDLE again
 *   context  thread */
zx_status_t MUST_CHECK vmbus_connect(struct vmbus *vmbus);

/* Tells drivers of new and of rescinded channels, releases ids, and ends GPADLs that were left.
 * Does nothing when it is running already (which then does it once more). A rescind itself is taken
 * where messages arrive: the channel is REVOKED, and its functions say ZX_ERR_PEER_CLOSED, before
 * this is called. Context: thread. */
void vmbus_serve(struct vmbus *vmbus);

/* Ends everything: rescind() of every driver, Unload, the transport. Afterwards IDLE; all channels
 * are gone, and all memory is back but that of leaked_pages. No other function of this connection
 * may run. On an IDLE one it does nothing.
 *   returns  ZX_OK; ZX_ERR_TIMED_OUT or what posting returned: the host did not say UnloadComplete,
 *            so pages that it may still use are leaked */
zx_status_t vmbus_disconnect(struct vmbus *vmbus);

/* Asks the host to hold its messages back, and to go on. Meanwhile nothing can be opened or closed.
 *   returns  ZX_OK; ZX_ERR_NOT_SUPPORTED: not agreed (6.0, feature 0x20); ZX_ERR_BAD_STATE: not
 *            CONNECTED, or not PAUSED; ZX_ERR_TIMED_OUT */
zx_status_t MUST_CHECK vmbus_pause(struct vmbus *vmbus);
zx_status_t MUST_CHECK vmbus_resume(struct vmbus *vmbus);

static inline enum vmbus_state vmbus_state(const struct vmbus *vmbus)
{
        return (enum vmbus_state)__atomic_load_n(&vmbus->state, __ATOMIC_ACQUIRE);
}

/* ---- channels ---- */

enum vmbus_backing {
        VMBUS_BACKING_ANY = 0,    /* contiguous if there is such a run, else paged */
        VMBUS_BACKING_CONTIGUOUS, /* the rings are flat: cheapest */
        VMBUS_BACKING_PAGED,      /* of single pages: succeeds in a fragmented memory */
};

struct vmbus_open_parameters {
        uint32_t send_pages, receive_pages; /* of data, 1 .. VMBUS_RING_PAGES_MAX each */
        enum vmbus_backing backing;
        /* Where the callback runs: a CPU to which the transport can send events (shared pages: 0 to
         * 7); VMBUS_CPU_NONE: nowhere, it is polled. */
        uint32_t cpu;
        const void *user_data; /* user_bytes of them, the rest is zero; NULL with 0 */
        uint32_t user_bytes;   /* 0 .. VMBUS_USER_BYTES */
        vmbus_channel_fn callback;
        void *context;
        struct vmbus_request_slot *request_slots; /* for channel->requests; NULL with 0 */
        uint32_t request_count;
};

/* Makes rings, gives them to the host, opens the channel. The receiver's signals are masked until
 * vmbus_channel_sleep().
 *   returns  ZX_OK: OPEN. Otherwise nothing is left: ZX_ERR_INVALID_ARGS: a parameter, such as a
 *            CPU to which the transport sends no events; ZX_ERR_BAD_STATE: not
 *            OFFERED, or the connection is not CONNECTED; ZX_ERR_NO_MEMORY; ZX_ERR_NO_RESOURCES: no
 *            GPADL free; ZX_ERR_ACCESS_DENIED: the host refused; ZX_ERR_PEER_CLOSED: rescinded
 *            meanwhile; ZX_ERR_TIMED_OUT; ZX_ERR_IO_DATA_INTEGRITY: the connection is broken
 *   context  thread */
zx_status_t MUST_CHECK vmbus_open(struct vmbus_channel *channel,
                                  const struct vmbus_open_parameters *parameters);

/* Closes an OPEN or REVOKED channel and takes the rings' memory back; the callback does not run any
 * more. GPADLs of the device are the caller's to end, before or after.
 *   returns  ZX_OK; ZX_ERR_BAD_STATE: not open, nothing changed; ZX_ERR_TIMED_OUT, ZX_ERR_IO...:
 *            closed here, but the host did not let go of the rings: they are kept until it does
 *   context  thread, not from the callback */
zx_status_t vmbus_close(struct vmbus_channel *channel);

/* Sends the channel's events to another CPU from now on; a late one may still come on the old one.
 *   returns  ZX_OK; ZX_ERR_NOT_SUPPORTED: version below 4.1; ZX_ERR_BAD_STATE: not OPEN, opened
 *            without interrupts, or an earlier answer is still due; ZX_ERR_OUT_OF_RANGE: no such
 *            CPU, or the transport sends no events to it; ZX_ERR_ACCESS_DENIED: the host refused;
 *            ZX_ERR_PEER_CLOSED; ZX_ERR_TIMED_OUT
 *   context  thread */
zx_status_t MUST_CHECK vmbus_modify(struct vmbus_channel *channel, uint32_t cpu);

/* Gives the host memory under a handle: one range of whole pages.
 *   gpadl_out  out: the client's; valid until vmbus_gpadl_teardown() or the driver's rescind()
 *              returned
 *   returns    ZX_OK: LIVE. Otherwise nothing is left: ZX_ERR_INVALID_ARGS: sizes;
 *              ZX_ERR_BAD_STATE; ZX_ERR_NO_RESOURCES: no GPADL free; what vmo_pin returns;
 *              ZX_ERR_ACCESS_DENIED: refused; ZX_ERR_PEER_CLOSED; ZX_ERR_TIMED_OUT: with page
 *              numbers, the pages may be the host's for ever, so the caller never uses them again;
 *              a VMO's stay pinned
 *   context    thread; any channel that is not FREE */
zx_status_t MUST_CHECK vmbus_gpadl_create(struct vmbus_channel *channel,
                                          const struct vmbus_gpadl_memory *memory,
                                          struct vmbus_gpadl **gpadl_out);

/* Takes it back; `gpadl` is gone in any case.
 *   returns  ZX_OK: the pages are ours; ZX_ERR_TIMED_OUT, ZX_ERR_IO...: as vmbus_gpadl_create's
 *            TIMED_OUT
 *   context  thread */
zx_status_t vmbus_gpadl_teardown(struct vmbus_channel *channel, struct vmbus_gpadl *gpadl);

/* The primary of a subchannel (itself, for a primary); NULL: gone. */
struct vmbus_channel *vmbus_channel_primary(struct vmbus_channel *channel);

/* ---- packets ----
 *
 * Each: ZX_ERR_PEER_CLOSED unless OPEN; ZX_ERR_IO_DATA_INTEGRITY: the ring is broken, and
 * channel->sender or ->receiver .fault says how. Sending end and receiving end are apart: each one
 * caller at a time. */

/* Writes one packet with a private payload, commits it, signals if the host needs that.
 *   packet   payload_bytes is how long `payload` is
 *   returns  ZX_OK; ZX_ERR_SHOULD_WAIT: the ring is full, nothing sent; ZX_ERR_OUT_OF_RANGE: larger
 *            than the ring
 *   context  any */
zx_status_t MUST_CHECK vmbus_channel_send(struct vmbus_channel *channel,
                                          const struct vmbus_outgoing *packet, const void *payload);

/* The same for a packet that asks for completion, with an id of channel->requests for `request`.
 *   returns  also ZX_ERR_NO_RESOURCES: all slots wait */
zx_status_t MUST_CHECK vmbus_channel_send_request(struct vmbus_channel *channel,
                                                  const struct vmbus_outgoing *packet,
                                                  const void *payload, void *request);
/* The request that a received completion answers, which it ends.
 *   returns  ZX_OK; ZX_ERR_NOT_FOUND: it answers none (b.3: drop it) */
zx_status_t MUST_CHECK vmbus_channel_complete(struct vmbus_channel *channel,
                                              const struct vmbus_incoming *packet,
                                              void **request_out);

/* Asks to be called back when `bytes` (vmbus_outgoing_bytes) are free.
 *   returns  ZX_ERR_SHOULD_WAIT: the callback will come; ZX_OK: there is room now;
 *            ZX_ERR_OUT_OF_RANGE: never */
zx_status_t MUST_CHECK vmbus_channel_send_sleep(struct vmbus_channel *channel, uint64_t bytes);

/* Reads one packet, copies its payload (with padding) and gives the ring's bytes back. Ends a
 * sleep.
 *   packet   out; ranges and payload.bytes are numbers, the bytes are in `buffer`
 *   returns  ZX_OK; ZX_ERR_SHOULD_WAIT: no packet; ZX_ERR_BUFFER_TOO_SMALL: payload.bytes says what
 *            it takes, the packet stays
 *   order    a host that fell asleep for room in the moment of a call may not have been seen by it:
 *            the fence of vmbus_receiver_commit() is put off. The signal that it is owed goes out
 *            by a later call, at the latest by the one that returns ZX_ERR_SHOULD_WAIT, or by
 *            vmbus_channel_sleep(). So read until there is nothing, or sleep
 *   context  any */
zx_status_t MUST_CHECK vmbus_channel_receive(struct vmbus_channel *channel,
                                             struct vmbus_incoming *packet, void *buffer,
                                             uint32_t buffer_bytes);

/* Asks to be called back with the next packet; every packet read must be given back before.
 *   returns  ZX_ERR_SHOULD_WAIT: the callback will come; ZX_OK: there is a packet now */
zx_status_t MUST_CHECK vmbus_channel_sleep(struct vmbus_channel *channel);
/* For those who use the ends directly: publishes what was written or gives back what was read, and
 * signals if that is due. Also ends a sleep of that end, if there is one: call _wake first. */
zx_status_t vmbus_channel_commit_send(struct vmbus_channel *channel);
zx_status_t vmbus_channel_commit_receive(struct vmbus_channel *channel);
/* End a sleep of one end, if it sleeps. vmbus_channel_send and _receive call them. */
void vmbus_channel_wake_send(struct vmbus_channel *channel);
void vmbus_channel_wake_receive(struct vmbus_channel *channel);

/* Signals the host, whatever the rings say: for a watchdog. */
void vmbus_channel_signal(struct vmbus_channel *channel);

#endif
