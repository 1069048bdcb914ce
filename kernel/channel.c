/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* channel — two ends that hand message packets to each other.
 *
 * Facts: spec/zircon-objects.md, 5. */
#include "kernel/channel.h"

#include "base/assert.h"
#include "base/bytes.h"

#define TXID_KERNEL ((uint32_t)BIT_MASK(CHANNEL_TXID_KERNEL_BIT))

/* One channel_call, on its caller's stack. All but `done` is guarded by the lock, and the caller's
 * alone once `done` is 1. */
struct waiter {
        struct list_node node; /* on end->waiters until it is done or gives up [H2] */
        uint32_t txid;
        uint32_t name; /* for ops->wake */
        zx_status_t status;
        struct message_packet *reply;
        atomic_uint done; /* release in complete, acquire in channel_call */
};

static struct channel_end *peer_of(struct channel_end *end)
{
        struct channel *channel = end->channel;
        return &channel->ends[end == &channel->ends[0]];
}

/* ---- life ---- */

zx_status_t channel_pool_init(struct channel_pool *pool, struct pmm *pmm)
{
        memset(pool, 0, sizeof(*pool));
        spinlock_init(&pool->lock, "channels");
        list_init(&pool->channels);
        return slab_init(&pool->slab, "channels", pmm, sizeof(struct channel));
}

void channel_pool_fini(struct channel_pool *pool)
{
        ASSERT(list_is_empty(&pool->channels));
        slab_fini(&pool->slab);
}

void channel_init(struct channel *channel, const struct channel_ops *ops)
{
        memset(channel, 0, sizeof(*channel));
        spinlock_init(&channel->lock, "channel");
        channel->ops = ops;
        channel->references = ARRAY_COUNT(channel->ends);
        for (size_t i = 0; i < ARRAY_COUNT(channel->ends); i++) {
                channel->ends[i].channel = channel;
                list_init(&channel->ends[i].messages);
                list_init(&channel->ends[i].waiters);
        }
}

zx_status_t channel_create(struct channel_pool *pool, const struct channel_ops *ops,
                           struct channel_end **left_out, struct channel_end **right_out)
{
        struct channel *channel = slab_alloc(&pool->slab);
        if (channel == NULL)
                return ZX_ERR_NO_MEMORY;
        channel_init(channel, ops);
        channel->pool = pool;
        spinlock_take(&pool->lock);
        list_add_tail(&pool->channels, &channel->node);
        spinlock_give(&pool->lock);
        *left_out = &channel->ends[0];
        *right_out = &channel->ends[1];
        return ZX_OK;
}

/* Ends the lock hold and, if it was somebody's last, the channel. */
static void unlock_and_release(struct channel *channel)
{
        struct channel_pool *pool = channel->pool;
        ASSERT(channel->references > 0);
        bool last = --channel->references == 0;
        spinlock_give(&channel->lock);
        if (!last || pool == NULL)
                return;
        spinlock_take(&pool->lock); /* a walk that sees it still, sees it closed */
        list_remove(&channel->node);
        spinlock_give(&pool->lock);
        slab_free(&pool->slab, channel);
}

/* ---- waiters; with the lock held ---- */

static void complete(const struct channel *channel, struct waiter *waiter, zx_status_t status,
                     struct message_packet *reply)
{
        uint32_t name = waiter->name;
        list_remove(&waiter->node);
        waiter->status = status;
        waiter->reply = reply;
        /* From here on its memory is no longer ours. */
        atomic_store_explicit(&waiter->done, 1, memory_order_release);
        channel->ops->wake(name);
}

static void complete_all(struct channel_end *end, zx_status_t status)
{
        while (!list_is_empty(&end->waiters)) /* ends: nobody can join us */
                complete(end->channel, CONTAINER_OF(list_head(&end->waiters), struct waiter, node),
                         status, NULL);
}

static struct waiter *find_waiter(struct channel_end *end, uint32_t txid)
{
        LIST_FOR_EACH(node, &end->waiters)
        {
                struct waiter *waiter = CONTAINER_OF(node, struct waiter, node);
                if (waiter->txid == txid)
                        return waiter;
        }
        return NULL;
}

/* An id that no waiter of this end, and none of the other, has.
 * Ends: there are fewer waiters than ids. */
static uint32_t new_txid(struct channel_end *end)
{
        uint32_t end_bit = end == &end->channel->ends[1], txid;
        do
                txid = TXID_KERNEL | end->call_count++ << 1 | end_bit;
        while (find_waiter(end, txid) != NULL);
        return txid;
}

/* ---- end of an end ---- */

void channel_close_into(struct channel_end *end, struct list_node *packets)
{
        struct channel *channel = end->channel;
        spinlock_take(&channel->lock);
        ASSERT(!end->closed);
        end->closed = true;
        list_splice_tail(packets, &end->messages);
        end->message_count = 0;
        complete_all(end, ZX_ERR_CANCELED);
        complete_all(peer_of(end), ZX_ERR_PEER_CLOSED);
        unlock_and_release(channel);
}

void channel_close(struct channel_end *end)
{
        struct list_node packets;
        list_init(&packets);
        channel_close_into(end, &packets);
        message_packet_free_list(&packets);
}

void channel_set_owner(struct channel_end *end, uint64_t owner)
{
        spinlock_take(&end->channel->lock);
        ASSERT(!end->closed);
        end->owner = owner;
        spinlock_give(&end->channel->lock);
}

/* ---- messages ---- */

/* To the peer's waiter for it, or its queue. With the lock held. */
static zx_status_t deliver(struct channel_end *end, struct message_packet *packet)
{
        struct channel_end *peer = peer_of(end);
        const struct channel_ops *ops = end->channel->ops;
        struct waiter *waiter = find_waiter(peer, message_packet_txid(packet));
        if (waiter != NULL) {
                complete(end->channel, waiter, ZX_OK, packet);
                return ZX_OK;
        }
        uint32_t pending = peer->message_count + 1;
        if (pending > CHANNEL_PENDING_MAX) {
                zx_status_t status = ops->over_limit == NULL ? ZX_ERR_SHOULD_WAIT
                                                             : ops->over_limit(peer, pending);
                if (status != ZX_OK)
                        return status;
        }
        list_add_tail(&peer->messages, &packet->node);
        peer->message_count = pending;
        if (pending > peer->message_count_max)
                peer->message_count_max = pending;
        if (pending == CHANNEL_PENDING_WARNING && ops->warning != NULL)
                ops->warning(peer, pending);
        return ZX_OK;
}

/* What every use of an end by `owner` begins with. */
static zx_status_t check_owner(const struct channel_end *end, uint64_t owner)
{
        ASSERT(!end->closed);
        return end->owner == owner ? ZX_OK : ZX_ERR_BAD_HANDLE;
}

static zx_status_t check_writer(struct channel_end *end, uint64_t owner)
{
        zx_status_t status = check_owner(end, owner);
        if (status == ZX_OK && peer_of(end)->closed)
                status = ZX_ERR_PEER_CLOSED;
        return status;
}

zx_status_t channel_write(struct channel_end *end, uint64_t owner, struct message_packet **packet)
{
        spinlock_take(&end->channel->lock);
        zx_status_t status = check_writer(end, owner);
        if (status == ZX_OK)
                status = deliver(end, *packet);
        spinlock_give(&end->channel->lock);
        if (status == ZX_OK)
                *packet = NULL;
        return status;
}

/* Takes the oldest message off, if it fits or may be discarded. With the lock held.
 *   packet_out  out: what was taken off, else untouched */
static zx_status_t take_message(struct channel_end *end, struct channel_read_limits *limits,
                                struct message_packet **packet_out)
{
        struct list_node *node = list_head(&end->messages);
        if (node == NULL)
                return peer_of(end)->closed ? ZX_ERR_PEER_CLOSED : ZX_ERR_SHOULD_WAIT;
        struct message_packet *packet = message_packet_from_node(node);
        bool fits = packet->data_bytes <= limits->bytes && packet->handle_count <= limits->handles;
        limits->bytes = packet->data_bytes;
        limits->handles = packet->handle_count;
        if (fits || limits->may_discard) {
                list_remove(node);
                end->message_count--;
                *packet_out = packet;
        }
        return fits ? ZX_OK : ZX_ERR_BUFFER_TOO_SMALL;
}

zx_status_t channel_read(struct channel_end *end, uint64_t owner,
                         struct channel_read_limits *limits, struct message_packet **packet_out)
{
        struct message_packet *packet = NULL;
        spinlock_take(&end->channel->lock);
        zx_status_t status = check_owner(end, owner);
        if (status == ZX_OK)
                status = take_message(end, limits, &packet);
        spinlock_give(&end->channel->lock);
        if (status == ZX_OK)
                *packet_out = packet;
        else if (packet != NULL)
                message_packet_free(packet);
        return status;
}

/* ---- calls ---- */

/* The first half of channel_call: afterwards the channel has the packet, a reference is taken and
 * the waiter is on the list or done; or nothing has changed. */
static zx_status_t send_call(struct channel_end *end, uint64_t owner,
                             struct message_packet *packet, struct waiter *waiter)
{
        struct channel *channel = end->channel;
        uint32_t user_txid = message_packet_txid(packet);
        spinlock_take(&channel->lock);
        zx_status_t status = check_writer(end, owner);
        if (status == ZX_OK) {
                waiter->txid = new_txid(end);
                message_packet_set_txid(packet, waiter->txid);
                list_add_tail(&end->waiters, &waiter->node);
                channel->references++;
                status = deliver(end, packet);
                if (status != ZX_OK) {
                        channel->references--;
                        list_remove(&waiter->node);
                        message_packet_set_txid(packet, user_txid);
                }
        }
        spinlock_give(&channel->lock);
        return status;
}

zx_status_t channel_call(struct channel_end *end, uint64_t owner, struct message_packet **packet,
                         uint64_t deadline_ns, struct message_packet **reply_out)
{
        struct channel *channel = end->channel;
        const struct channel_ops *ops = channel->ops;
        struct waiter waiter = {.name = ops->waiter()};
        if (message_packet_data_bytes(*packet) < MESSAGE_PACKET_TXID_BYTES)
                return ZX_ERR_INVALID_ARGS;
        zx_status_t status = send_call(end, owner, *packet, &waiter);
        if (status != ZX_OK)
                return status;
        *packet = NULL;

        /* Ends: ops->wait knows the deadline. Acquire pairs with the release in complete. */
        while (status == ZX_OK && atomic_load_explicit(&waiter.done, memory_order_acquire) == 0)
                status = ops->wait(&waiter.done, deadline_ns);

        spinlock_take(&channel->lock);
        if (atomic_load_explicit(&waiter.done, memory_order_relaxed) != 0)
                status = waiter.status; /* whatever ended the wait, the answer was there first */
        else
                list_remove(&waiter.node);
        unlock_and_release(channel);
        if (status == ZX_OK)
                *reply_out = waiter.reply;
        return status;
}

/* ---- state ---- */

uint32_t channel_signals(struct channel_end *end)
{
        uint32_t signals = 0;
        spinlock_take(&end->channel->lock);
        const struct channel_end *peer = peer_of(end);
        ASSERT(!end->closed);
        if (end->message_count > 0)
                signals |= CHANNEL_READABLE;
        if (peer->closed)
                signals |= CHANNEL_PEER_CLOSED;
        else if (peer->message_count < CHANNEL_PENDING_MAX)
                signals |= CHANNEL_WRITABLE;
        spinlock_give(&end->channel->lock);
        return signals;
}

uint32_t channel_pending(struct channel_end *end, uint32_t *most_out)
{
        spinlock_take(&end->channel->lock);
        uint32_t pending = end->message_count;
        if (most_out != NULL)
                *most_out = end->message_count_max;
        spinlock_give(&end->channel->lock);
        return pending;
}

static struct channel_end_info info_of(const struct channel_end *end)
{
        return (struct channel_end_info){.closed = end->closed,
                                         .pending = end->message_count,
                                         .pending_most = end->message_count_max,
                                         .callers = (uint32_t)list_count(&end->waiters)};
}

void channel_pool_walk(struct channel_pool *pool, channel_visit_fn visit, void *context)
{
        spinlock_take(&pool->lock);
        LIST_FOR_EACH(node, &pool->channels)
        {
                struct channel *channel = CONTAINER_OF(node, struct channel, node);
                spinlock_take(&channel->lock);
                struct channel_info info = {
                        channel, {info_of(&channel->ends[0]), info_of(&channel->ends[1])}};
                spinlock_give(&channel->lock);
                visit(context, &info);
        }
        spinlock_give(&pool->lock);
}

static bool end_is_valid(struct channel_end *end)
{
        bool alone = end->closed || peer_of(end)->closed;
        if (list_count(&end->messages) != end->message_count || /* [H1] */
            end->message_count > end->message_count_max ||
            (end->closed && end->message_count != 0) ||
            (alone && !list_is_empty(&end->waiters)))
                return false; /* [H3] */
        LIST_FOR_EACH(node, &end->waiters)
        {
                const struct waiter *waiter = CONTAINER_OF(node, struct waiter, node);
                if ((waiter->txid & TXID_KERNEL) == 0 ||
                    find_waiter(end, waiter->txid) != waiter)
                        return false; /* [H2] */
        }
        return true;
}

bool channel_valid(struct channel *channel)
{
        size_t users = 0;
        bool valid = true;
        spinlock_take(&channel->lock);
        for (size_t i = 0; i < ARRAY_COUNT(channel->ends); i++) {
                struct channel_end *end = &channel->ends[i];
                valid = valid && end->channel == channel && end_is_valid(end);
                users += (end->closed ? 0 : 1) + list_count(&end->waiters);
        }
        valid = valid && channel->references >= users;
        spinlock_give(&channel->lock);
        return valid;
}
