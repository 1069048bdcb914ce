/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* channel — two ends that hand message packets to each other.
 *
 *   end 0  --write-->  messages of end 1  --read-->  end 1        and the other way round
 *          --call--->  messages of end 1; the answer with the same transaction id goes straight to
 *                      the waiter
 *
 *   state of an end: open -> closed (channel_close). The other end then sees its peer closed; what
 *   is in its queue can still be read.
 *
 *   struct channel_end *left, *right;
 *   channel_pool_init(&pool, &pmm);                             // kernel_channels is one
 *   channel_create(&pool, &ops, &left, &right);
 *   message_packet_create_kernel(cache, "hi", 2, 0, &packet);
 *   channel_write(left, owner, &packet);                        // packet == NULL: the channel has
 *                                                               it
 *   struct channel_read_limits limits = {.bytes = 64, .handles = 0};
 *   channel_read(right, owner, &limits, &packet);               // ours again
 *   message_packet_free(packet);
 *   channel_close(left);  channel_close(right);                 // the storage goes with the second
 *
 * Owner       storage: the pool, or the caller (channel_init), who may reuse it when both ends are
 *             closed and every channel_call has returned. An end is its holder's until
 *             channel_close. Packets change hands through `struct message_packet **`: NULL
 *             afterwards means that the channel has taken it
 * Context     any CPU; both ends, and several callers at one end, at the same time: one spinlock
 *             for the pair. Nobody may be inside a call on an end that is being closed, or begin
 *             one, except channel_call, which then returns ZX_ERR_CANCELED. Not in interrupt
 *             handlers. Packets are freed with no lock held
 * Lock order  "channel" and, over a pool's list, "channels" in kernel/cpu.h; hooks marked "locked"
 *             run with the former held
 * Invariants  [H1] message_count of an end is the length of its queue
 *             [H2] a waiter is on exactly one list, that of its own end, while it waits, and its id
 *             is unique there
 *             [H3] a closed end has no messages and no waiters; an end whose peer is closed has no
 *             waiters
 * Limits      3500 pending messages at an end: the next write asks the hook `over_limit`, and is
 *             refused with ZX_ERR_SHOULD_WAIT when there is none; 1750: the hook `warning`, once
 *             each time it is reached
 * Facts       spec/zircon-objects.md, 5. Unlike there: the limit holds unless a hook says otherwise
 *             (there the message is queued all the same), a packet that was not taken stays its
 *             writer's (there it is lost), and both ends may call at the same time (there both
 *             count from the same number, so that a request can pass for an answer) */
#ifndef KERNEL_CHANNEL_H
#define KERNEL_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/spinlock.h"
#include "base/status.h"
#include "kernel/message_packet.h"
#include "kernel/slab.h"

#define CHANNEL_PENDING_MAX 3500u
#define CHANNEL_PENDING_WARNING 1750u
/* Transaction ids of channel_call have this bit; 1 .. 0x7fffffff are the users'; 0 is none. Bit 0
 * is the number of the end, so that no request of one end looks like an answer to the other. */
#define CHANNEL_TXID_KERNEL_BIT 31
/* The owner of a fresh end, of ends that only the kernel uses, and of one that is in a message: the
 * number that no program has. */
#define CHANNEL_OWNER_NONE 0ull

struct channel;
struct channel_end;

/* What a channel needs of the world; every function may be called on any CPU. */
struct channel_ops {
        /* Names the caller to `wake`, before it waits. */
        uint32_t (*waiter)(void);
        /* Waits until *done is not 0 or the deadline has passed; may return early at any time.
         *   returns  ZX_OK: look again; ZX_ERR_TIMED_OUT; anything else ends the call with that
         *            status
         *   order    the channel reads *done with acquire itself; not locked */
        zx_status_t (*wait)(const atomic_uint *done, uint64_t deadline_ns);
        /* *done of that waiter has just become 1; its memory may be gone already. Locked. */
        void (*wake)(uint32_t waiter);
        /* May be NULL. `pending` messages now wait at `end`. Locked. */
        void (*warning)(struct channel_end *end, uint32_t pending);
        /* May be NULL. The message would be number `pending` > CHANNEL_PENDING_MAX at `end`.
         * Locked.
         *   returns  ZX_OK: queue it; else the write's status */
        zx_status_t (*over_limit)(struct channel_end *end, uint32_t pending);
};

struct channel_end {
        struct channel *channel;
        struct list_node messages; /* of packets, oldest first */
        struct list_node waiters;  /* channel_call */
        uint64_t owner;
        uint32_t message_count;
        uint32_t message_count_max; /* ever */
        uint32_t call_count;        /* for ids; wraps */
        bool closed;
};

struct channel {
        struct spinlock lock;
        const struct channel_ops *ops;
        struct channel_pool *pool; /* NULL: the caller's storage */
        struct list_node node;     /* on pool->channels */
        uint32_t references;       /* open ends and calls that have not returned */
        struct channel_end ends[2];
};

/* Where channels come from, and who knows them all. Not moved while it is used. */
struct channel_pool {
        struct slab slab;
        struct spinlock lock; /* "channels" in the lock order; over the list */
        struct list_node channels;
};

/* ---- life ---- */

/* Makes an empty pool over `pmm`. ZX_ERR_INVALID_ARGS: pmm NULL. Takes no page yet. */
zx_status_t MUST_CHECK channel_pool_init(struct channel_pool *pool, struct pmm *pmm);
/* All its channels are gone; otherwise our bug. */
void channel_pool_fini(struct channel_pool *pool);

/* A channel in the caller's storage; both ends open and owned by CHANNEL_OWNER_NONE.
 *   ops  kept; `waiter`, `wait` and `wake` are needed by channel_call only and
 *        may be NULL without it */
void channel_init(struct channel *channel, const struct channel_ops *ops);
/* The ends of a channel. index 0 or 1. */
static inline struct channel_end *channel_end(struct channel *channel, unsigned index)
{
        return &channel->ends[index & 1];
}
/* A channel out of a pool.
 *   returns  ZX_OK; ZX_ERR_NO_MEMORY, the out pointers untouched */
zx_status_t MUST_CHECK channel_create(struct channel_pool *pool, const struct channel_ops *ops,
                                      struct channel_end **left_out,
                                      struct channel_end **right_out);

/* Ends the end: its queue is freed, its own callers return ZX_ERR_CANCELED, those of the other end
 * ZX_ERR_PEER_CLOSED. The pointer is dead afterwards. Twice is our bug. */
void channel_close(struct channel_end *end);
/* The same, but the packets of its queue are put at the tail of `packets` for
 * message_packet_free_list: for message_packet_handle_ops.close, so that ends in messages in ends
 * do not recurse. */
void channel_close_into(struct channel_end *end, struct list_node *packets);

/* ---- owner ---- */

/* Only who names this owner may read, write and call from now on; CHANNEL_OWNER_NONE before the end
 * goes into a message. */
void channel_set_owner(struct channel_end *end, uint64_t owner);

/* ---- messages ---- */

/* Hands *packet to the other end: to the caller there that waits for its transaction id, else to
 * the queue.
 *   owner    as set by channel_set_owner
 *   packet   NULL afterwards if it was taken; unchanged on failure
 *   returns  ZX_OK; in this order: ZX_ERR_BAD_HANDLE: another owner; ZX_ERR_PEER_CLOSED;
 *            ZX_ERR_SHOULD_WAIT (or the hook's status): too many messages wait there
 *   order    what the writer wrote before is seen by the reader */
zx_status_t MUST_CHECK channel_write(struct channel_end *end, uint64_t owner,
                                     struct message_packet **packet);

struct channel_read_limits {
        uint32_t bytes;   /* in: room; out: the message's, with ZX_OK and BUFFER_TOO_SMALL */
        uint32_t handles; /* likewise */
        bool may_discard;
};

/* Takes the oldest message.
 *   packet_out  out: the caller's; untouched on failure
 *   returns     ZX_OK; in this order: ZX_ERR_BAD_HANDLE: another owner;
 *               ZX_ERR_SHOULD_WAIT: no message; ZX_ERR_PEER_CLOSED: no message, and there will be
 *               none; ZX_ERR_BUFFER_TOO_SMALL: the message exceeds the limits, which now say its
 *               sizes. It stays, or is freed with may_discard */
zx_status_t MUST_CHECK channel_read(struct channel_end *end, uint64_t owner,
                                    struct channel_read_limits *limits,
                                    struct message_packet **packet_out);

/* Writes *packet under a new transaction id and waits for the answer that carries it.
 *   packet       NULL afterwards if it was taken
 *   deadline_ns  handed to ops->wait
 *   reply_out    out: the answer, the caller's; untouched on failure
 *   returns      ZX_OK, also if the answer came at the same time as whatever ends the wait;
 *                not taken: ZX_ERR_INVALID_ARGS: less than four bytes of data; then as
 *                channel_write; taken: ZX_ERR_TIMED_OUT; ZX_ERR_CANCELED: this end was closed;
 *                ZX_ERR_PEER_CLOSED; ops->wait's own. A message that timed out may still be
 *                answered: the answer is then queued as any other
 *   context      thread, no lock held */
zx_status_t MUST_CHECK channel_call(struct channel_end *end, uint64_t owner,
                                    struct message_packet **packet, uint64_t deadline_ns,
                                    struct message_packet **reply_out);

/* ---- state; true at the moment of the look ---- */

enum channel_signal {
        CHANNEL_READABLE = 1,
        CHANNEL_WRITABLE = 2, /* the peer is open, its queue below the limit */
        CHANNEL_PEER_CLOSED = 4,
};
uint32_t channel_signals(struct channel_end *end);
/* Messages that wait at this end, now and at most ever; `most_out` may be NULL. */
uint32_t channel_pending(struct channel_end *end, uint32_t *most_out);

/* What one end looked like at one moment. */
struct channel_end_info {
        bool closed;
        uint32_t pending;      /* messages */
        uint32_t pending_most; /* ever */
        uint32_t callers;      /* channel_calls that wait */
};
struct channel_info {
        const struct channel *channel; /* for comparing only */
        struct channel_end_info ends[2];
};
/* Calls `visit` for each channel of a pool, the oldest first; with the pool locked, so it must not
 * make or close one of its channels. */
typedef void (*channel_visit_fn)(void *context, const struct channel_info *info);
void channel_pool_walk(struct channel_pool *pool, channel_visit_fn visit, void *context);

/* [H1]..[H3] of both ends and the reference count; walks the queues; takes the lock. */
bool channel_valid(struct channel *channel);

#endif
