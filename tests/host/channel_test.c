/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/channel: every method, status and order of checks of its header but for calls,
 * which are in channel_call_test.c. Threads: channel_threads_hosted_test.c. */
#include "tests/host/channel_bed.h"

/* ---- write and read ---- */

TEST(channel, messages_arrive_in_order_both_ways)
{
        make_bed(t);
        write_ok(t, left, message(t, "one", 3));
        write_ok(t, right, message(t, "uno", 3));
        write_ok(t, left, message(t, "two", 3));
        write_ok(t, left, message(t, "", 0));
        EXPECT_TRUE(channel_valid(left->channel));
        EXPECT_EQ(channel_pending(right, NULL), 3);
        EXPECT_EQ(channel_pending(left, NULL), 1);
        expect_text(t, right, "one", 3);
        expect_text(t, right, "two", 3);
        expect_text(t, right, "", 0);
        expect_text(t, left, "uno", 3);
        uint32_t most;
        EXPECT_EQ(channel_pending(right, &most), 0);
        EXPECT_EQ(most, 3);
        EXPECT_EQ(wake_count, 0);
        close_bed(t);
}

TEST(channel, empty_is_should_wait)
{
        struct message_packet *packet = (void *)1;
        struct channel_read_limits limits = {5, 6, true};
        make_bed(t);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, channel_read(left, OWNER, &limits, &packet));
        EXPECT_PTR_EQ(packet, (void *)1);
        EXPECT_EQ(limits.bytes, 5);
        EXPECT_EQ(limits.handles, 6);
        close_bed(t);
}

TEST(channel, only_the_owner_may_use_an_end)
{
        struct channel_read_limits limits = {65536, 64, true};
        struct message_packet *packet, *mine, *none = (void *)1;
        make_bed(t);
        packet = mine = message(t, "text", 4);
        write_ok(t, right, message(t, "here", 4));
        static const uint64_t others[] = {OWNER + 1, CHANNEL_OWNER_NONE, OWNER | 1ull << 32,
                                          UINT64_MAX};
        for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
                EXPECT_STATUS(ZX_ERR_BAD_HANDLE, channel_write(left, others[i], &packet));
                EXPECT_STATUS(ZX_ERR_BAD_HANDLE, channel_read(left, others[i], &limits, &none));
                EXPECT_STATUS(ZX_ERR_BAD_HANDLE, channel_call(left, others[i], &packet, 0, &none));
        }
        EXPECT_PTR_EQ(packet, mine);
        EXPECT_PTR_EQ(none, (void *)1);
        EXPECT_BYTES_EQ(message_packet_handles(packet), "text", 4); /* the id is as it was */
        channel_set_owner(left, OWNER + 1);
        EXPECT_OK(channel_write(left, OWNER + 1, &packet));
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, channel_read(left, OWNER, &limits, &none));
        channel_set_owner(left, CHANNEL_OWNER_NONE); /* in a message: no program has that number */
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, channel_read(left, OWNER + 1, &limits, &none));
        channel_set_owner(left, OWNER);
        channel_close(right); /* the owner is checked first */
        packet = message(t, "text", 4);
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, channel_write(left, OWNER + 1, &packet));
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, channel_call(left, OWNER + 1, &packet, 0, &none));
        expect_text(t, left, "here", 4);
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, channel_read(left, OWNER + 1, &limits, &none));
        message_packet_free(packet);
        channel_close(left);
        expect_no_leak(t);
}

TEST(channel, fresh_ends_belong_to_nobody)
{
        struct channel storage;
        struct message_packet *packet;
        struct channel_read_limits limits = {4, 0, false};
        make_bed(t);
        channel_init(&storage, &plain_ops);
        packet = message(t, "text", 4);
        EXPECT_OK(channel_write(channel_end(&storage, 1), CHANNEL_OWNER_NONE, &packet));
        EXPECT_OK(channel_read(channel_end(&storage, 0), CHANNEL_OWNER_NONE, &limits, &packet));
        message_packet_free(packet);
        channel_close(channel_end(&storage, 0));
        channel_close(channel_end(&storage, 1)); /* the caller's storage: no pool is asked */
        close_bed(t);
}

TEST(channel, message_beyond_the_limits_says_its_sizes_and_stays)
{
        static const struct {
                uint32_t bytes, handles;
        } small[] = {{9, 3}, {10, 2}, {9, 2}, {0, 0}, {0, 64}, {65536, 0}};
        struct message_packet *packet = NULL;
        make_bed(t);
        for (unsigned discard = 0; discard < 2; discard++) {
                for (size_t i = 0; i < ARRAY_COUNT(small); i++) {
                        struct channel_read_limits limits = {small[i].bytes, small[i].handles,
                                                             discard};
                        if (channel_pending(right, NULL) == 0) {
                                EXPECT_OK(message_packet_create_kernel(&cache, "0123456789", 10, 3,
                                                                       &packet));
                                write_ok(t, left, packet);
                        }
                        packet = (void *)1;
                        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL,
                                      channel_read(right, OWNER, &limits, &packet));
                        EXPECT_PTR_EQ(packet, (void *)1);
                        EXPECT_EQ(limits.bytes, 10);
                        EXPECT_EQ(limits.handles, 3);
                        EXPECT_EQ(channel_pending(right, NULL), discard ? 0 : 1);
                }
                struct channel_read_limits exact = {10, 3, discard};
                EXPECT_STATUS(discard ? ZX_ERR_SHOULD_WAIT : ZX_OK,
                              channel_read(right, OWNER, &exact, &packet));
                if (!discard)
                        message_packet_free(packet);
                EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_IPC), 0);
        }
        struct channel_read_limits limits = {65536, 64, true};
        write_ok(t, left, message(t, "ab", 2));
        EXPECT_OK(channel_read(right, OWNER, &limits, &packet)); /* fits: nothing is discarded */
        EXPECT_EQ(limits.bytes, 2);
        EXPECT_EQ(limits.handles, 0);
        message_packet_free(packet);
        close_bed(t);
}

/* ---- the end of an end ---- */

TEST(channel, what_is_queued_can_be_read_after_the_peer_has_gone)
{
        struct message_packet *packet, *mine;
        make_bed(t);
        write_ok(t, left, message(t, "one", 3));
        write_ok(t, left, message(t, "two", 3));
        write_ok(t, right, message(t, "lost", 4)); /* dies with the end that would have read it */
        channel_close(left);
        EXPECT_TRUE(channel_valid(right->channel));
        expect_text(t, right, "one", 3);
        expect_text(t, right, "two", 3);
        packet = (void *)1;
        EXPECT_STATUS(ZX_ERR_PEER_CLOSED, read_any(right, &packet));
        EXPECT_PTR_EQ(packet, (void *)1);
        packet = mine = message(t, "text", 4);
        EXPECT_STATUS(ZX_ERR_PEER_CLOSED, channel_write(right, OWNER, &packet));
        EXPECT_PTR_EQ(packet, mine);
        EXPECT_STATUS(ZX_ERR_PEER_CLOSED, channel_call(right, OWNER, &packet, 0, &mine));
        EXPECT_PTR_EQ(packet, mine);
        EXPECT_BYTES_EQ(message_packet_handles(packet), "text", 4);
        EXPECT_EQ(wait_count, 0);
        message_packet_free(packet);
        EXPECT_EQ(slab_counts(&pool.slab).objects, 1);
        channel_close(right);
        expect_no_leak(t);
}

/* ---- ends as handles ---- */

static void close_end(void *handle, struct list_node *packets)
{
        channel_close_into(handle, packets);
}
static const struct message_packet_handle_ops end_ops = {close_end};

TEST(channel, ends_in_messages_in_ends_die_without_recursion)
{
        enum { DEPTH = 15 };
        make_bed(t);
        /* An end, in whose queue is a message with an end, in whose queue is a message with ... */
        struct channel_end *end = right;
        for (unsigned i = 0; i < DEPTH; i++) {
                struct channel_end *near, *far;
                struct message_packet *packet;
                REQUIRE_OK(channel_create(&pool, &plain_ops, &near, &far));
                REQUIRE_OK(message_packet_create_kernel(&cache, "text", 4, 1, &packet));
                message_packet_handles(packet)[0] = end;
                message_packet_set_owns_handles(packet, true, &end_ops);
                EXPECT_OK(channel_write(near, CHANNEL_OWNER_NONE, &packet));
                channel_close(near);
                end = far;
        }
        EXPECT_EQ(slab_counts(&pool.slab).objects, DEPTH + 1);
        EXPECT_EQ(channel_signals(left) & CHANNEL_PEER_CLOSED, 0);
        channel_close(end);
        EXPECT_EQ(slab_counts(&pool.slab).objects, 1);
        EXPECT_EQ(channel_signals(left), CHANNEL_PEER_CLOSED);
        channel_close(left);
        expect_no_leak(t);
}

/* ---- limits of the queue ---- */

TEST(channel, warning_at_1750_and_limit_at_3500)
{
        struct message_packet *packet, *mine;
        make_bed_of(t, CHANNEL_PENDING_MAX + 60, &policy_ops);
        limit_status = ZX_ERR_NO_RESOURCES;
        for (unsigned i = 1; i <= CHANNEL_PENDING_MAX; i++) {
                EXPECT_EQ(channel_signals(left), CHANNEL_WRITABLE);
                write_ok(t, left, message_with_txid(t, i));
                EXPECT_EQ(warning_count, i >= 1750 ? 1 : 0);
        }
        EXPECT_EQ(channel_pending(right, NULL), 3500);
        EXPECT_PTR_EQ(warned_end, right);
        EXPECT_EQ(warned_pending, 1750);
        EXPECT_EQ(channel_signals(left), 0);
        EXPECT_EQ(channel_signals(right), CHANNEL_READABLE | CHANNEL_WRITABLE);

        packet = mine = message_with_txid(t, 3501);
        warned_end = NULL;
        /* the hook's word */
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, channel_write(left, OWNER, &packet));
        EXPECT_PTR_EQ(packet, mine);
        EXPECT_PTR_EQ(warned_end, right);
        EXPECT_EQ(limit_pending, 3501);
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, channel_call(left, OWNER, &packet, 0, &mine));
        EXPECT_EQ(message_packet_txid(packet), 3501); /* as it was */
        EXPECT_TRUE(channel_valid(left->channel));
        EXPECT_EQ(left->channel->references, 2);
        limit_status = ZX_OK;
        EXPECT_OK(channel_write(left, OWNER, &packet)); /* queued all the same */
        EXPECT_EQ(channel_pending(right, NULL), 3501);

        for (unsigned i = 1; i <= 3501; i++) {
                REQUIRE_OK(read_any(right, &packet));
                REQUIRE_EQ(message_packet_txid(packet), i);
                message_packet_free(packet);
                if (i == 1752)
                        write_ok(t, left, message_with_txid(t, 3502)); /* 1749 + 1: again */
        }
        EXPECT_EQ(warning_count, 2);
        EXPECT_TRUE(channel_valid(left->channel));
        close_bed(t);
}

TEST(channel, limit_holds_when_nobody_is_asked)
{
        struct message_packet *packet, *mine;
        make_bed_of(t, CHANNEL_PENDING_MAX + 60, &plain_ops);
        for (unsigned i = 1; i <= CHANNEL_PENDING_MAX; i++)
                write_ok(t, left, message_with_txid(t, i));
        packet = mine = message_with_txid(t, 3501);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, channel_write(left, OWNER, &packet));
        EXPECT_PTR_EQ(packet, mine);
        write_ok(t, right, packet); /* the other way there is room */
        REQUIRE_OK(read_any(right, &packet));
        EXPECT_EQ(channel_signals(left), CHANNEL_READABLE | CHANNEL_WRITABLE);
        EXPECT_OK(channel_write(left, OWNER, &packet));
        close_bed(t);
}

/* ---- state ---- */

TEST(channel, signals_say_what_would_work)
{
        make_bed(t);
        EXPECT_EQ(channel_signals(left), CHANNEL_WRITABLE);
        write_ok(t, right, message(t, "one", 3));
        EXPECT_EQ(channel_signals(left), CHANNEL_WRITABLE | CHANNEL_READABLE);
        channel_close(right);
        EXPECT_EQ(channel_signals(left), CHANNEL_PEER_CLOSED | CHANNEL_READABLE);
        expect_text(t, left, "one", 3);
        EXPECT_EQ(channel_signals(left), CHANNEL_PEER_CLOSED);
        channel_close(left);
        expect_no_leak(t);
}

TEST(channel, valid_sees_what_is_wrong)
{
        make_bed(t);
        write_ok(t, left, message(t, "one", 3));
        EXPECT_TRUE(channel_valid(left->channel));
        right->message_count++;
        EXPECT_FALSE(channel_valid(left->channel)); /* [H1] */
        right->message_count--;
        right->message_count_max = 0;
        EXPECT_FALSE(channel_valid(left->channel));
        right->message_count_max = 1;
        right->closed = true; /* with a message */
        EXPECT_FALSE(channel_valid(left->channel)); /* [H3] */
        right->closed = false;
        left->channel->references = 1;
        EXPECT_FALSE(channel_valid(left->channel));
        left->channel->references = 2;
        close_bed(t);
}

/* ---- the pool ---- */

struct seen {
        unsigned count;
        struct channel_info infos[4];
};

static void see(void *context, const struct channel_info *info)
{
        struct seen *seen = context;
        if (seen->count < ARRAY_COUNT(seen->infos))
                seen->infos[seen->count] = *info;
        seen->count++;
}

static zx_status_t see_the_pool(void)
{
        struct seen *seen = (struct seen *)(uintptr_t)waited_deadline;
        channel_pool_walk(&pool, see, seen);
        return ZX_ERR_TIMED_OUT;
}

TEST(channel, a_pool_knows_its_channels)
{
        struct seen seen = {0}, calling = {0};
        struct channel_end *near, *far;
        struct message_packet *packet, *reply = NULL;
        struct channel storage;
        struct pmm *none = NULL;
        make_bed(t);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, channel_pool_init(&(struct channel_pool){0}, none));
        REQUIRE_OK(channel_create(&pool, &plain_ops, &near, &far));
        channel_init(&storage, &plain_ops); /* nobody's */
        write_ok(t, left, message(t, "one", 3));
        write_ok(t, left, message(t, "two", 3));
        expect_text(t, right, "one", 3);
        channel_close(far);
        channel_pool_walk(&pool, see, &seen);
        EXPECT_EQ(seen.count, 2);
        EXPECT_PTR_EQ(seen.infos[0].channel, left->channel);
        EXPECT_EQ(seen.infos[0].ends[0].pending, 0);
        EXPECT_EQ(seen.infos[0].ends[1].pending, 1);
        EXPECT_EQ(seen.infos[0].ends[1].pending_most, 2);
        EXPECT_FALSE(seen.infos[0].ends[0].closed || seen.infos[0].ends[1].closed);
        EXPECT_PTR_EQ(seen.infos[1].channel, near->channel);
        EXPECT_TRUE(!seen.infos[1].ends[0].closed && seen.infos[1].ends[1].closed);

        while_waiting = see_the_pool; /* while somebody calls; the deadline says where to note it */
        packet = message(t, "call", 4);
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, channel_call(left, OWNER, &packet,
                                                     (uint64_t)(uintptr_t)&calling, &reply));
        EXPECT_EQ(calling.infos[0].ends[0].callers, 1);
        EXPECT_EQ(calling.infos[0].ends[1].callers, 0);
        EXPECT_EQ(calling.infos[0].ends[1].pending, 2);

        channel_close(near);
        seen.count = 0;
        channel_pool_walk(&pool, see, &seen);
        EXPECT_EQ(seen.count, 1);
        channel_close(channel_end(&storage, 0));
        channel_close(channel_end(&storage, 1));
        close_bed(t);
}

/* The handle is the writer's own end: closing it takes the channel's lock, which is free then. */
TEST(channel, a_discarded_message_closes_its_handles)
{
        struct channel_read_limits none = {0, 0, true};
        struct message_packet *packet = NULL;
        make_bed(t);
        REQUIRE_OK(message_packet_create_kernel(&cache, "text", 4, 1, &packet));
        message_packet_handles(packet)[0] = left;
        message_packet_set_owns_handles(packet, true, &end_ops);
        write_ok(t, left, packet);
        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL, channel_read(right, OWNER, &none, &packet));
        EXPECT_EQ(channel_signals(right), CHANNEL_PEER_CLOSED);
        channel_close(right);
        expect_no_leak(t);
}
