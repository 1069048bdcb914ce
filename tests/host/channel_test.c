/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/channel: every method, status and order of checks of its header; calls with a
 * scripted other side that acts while the caller waits. Threads: channel_threads_hosted_test.c. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/channel.h"

#define FREE_PAGES 40
#define OWNER 7ull
#define KERNEL_TXID 0x80000000u

static struct pmm pmm;
static struct page_cache cache;
static struct channel_pool pool;
static struct channel_end *left, *right;
static uint64_t free_pages;

/* ---- the world's side ---- */

/* What happens while the caller waits; returns what the wait returns. */
static zx_status_t (*while_waiting)(void);
static struct test *waiting_test;
static unsigned wait_count, wake_count, warning_count;
static uint32_t woken, warned_pending, limit_pending;
static struct channel_end *warned_end;
static zx_status_t limit_status;
static uint64_t waited_deadline;

static uint32_t waiter(void)
{
        return 42;
}

static zx_status_t wait(const atomic_uint *done, uint64_t deadline_ns)
{
        (void)done;
        wait_count++;
        waited_deadline = deadline_ns;
        return while_waiting();
}

static void wake(uint32_t name)
{
        woken = name;
        wake_count++;
}

static void warning(struct channel_end *end, uint32_t pending)
{
        warned_end = end;
        warned_pending = pending;
        warning_count++;
}

static zx_status_t over_limit(struct channel_end *end, uint32_t pending)
{
        warned_end = end;
        limit_pending = pending;
        return limit_status;
}

static const struct channel_ops plain_ops = {waiter, wait, wake, NULL, NULL};
static const struct channel_ops policy_ops = {waiter, wait, wake, warning, over_limit};

static void expect_valid(struct test *t)
{
        EXPECT_TRUE(page_cache_valid(&cache));
        EXPECT_TRUE(slab_valid(&pool.slab));
}

static void make_bed_of(struct test *t, size_t page_count, const struct channel_ops *ops)
{
        static struct page_cache_entry entry;
        struct page_cache_config config = {&pmm, 0, 1, &entry, NULL};
        char *memory = world_pages(t, page_count, NULL);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, page_count * PAGE_BYTES));
        buffer_chain_initialize_page_cache(&cache, &config);
        REQUIRE_OK(channel_pool_init(&pool, &pmm));
        free_pages = pmm_count_free_pages(&pmm);
        REQUIRE_OK(channel_create(&pool, ops, &left, &right));
        channel_set_owner(left, OWNER);
        channel_set_owner(right, OWNER);
        ON_REFUSAL(expect_valid);
        waiting_test = t;
        wait_count = wake_count = warning_count = woken = 0;
}

static void make_bed(struct test *t)
{
        make_bed_of(t, FREE_PAGES, &plain_ops);
}

static void expect_no_leak(struct test *t)
{
        EXPECT_EQ(slab_counts(&pool.slab).objects, 0);
        EXPECT_EQ(pmm_count_free_pages(&pmm), free_pages);
        EXPECT_TRUE(pmm_check_all(&pmm));
        channel_pool_fini(&pool);
}

static void close_bed(struct test *t)
{
        EXPECT_TRUE(channel_valid(left->channel));
        channel_close(left);
        EXPECT_TRUE(channel_valid(right->channel));
        channel_close(right);
        expect_no_leak(t);
}

static struct message_packet *message(struct test *t, const char *text, size_t bytes)
{
        struct message_packet *packet = NULL;
        EXPECT_OK(message_packet_create_kernel(&cache, text, bytes, 0, &packet));
        return packet;
}

static struct message_packet *message_with_txid(struct test *t, uint32_t txid)
{
        return message(t, (const char *)&txid, sizeof(txid));
}

static void write_ok(struct test *t, struct channel_end *end, struct message_packet *packet)
{
        EXPECT_OK(channel_write(end, OWNER, &packet));
        EXPECT_PTR_EQ(packet, NULL);
}

static zx_status_t read_any(struct channel_end *end, struct message_packet **packet)
{
        struct channel_read_limits limits = {65536, 64, false};
        return channel_read(end, OWNER, &limits, packet);
}

/* The oldest message at `end` is `text`; frees it. */
static void expect_text(struct test *t, struct channel_end *end, const char *text, size_t bytes)
{
        struct message_packet *packet = NULL;
        char copy[16];
        REQUIRE_OK(read_any(end, &packet));
        REQUIRE_EQ(message_packet_data_bytes(packet), bytes);
        message_packet_copy_data_kernel(packet, copy);
        EXPECT_BYTES_EQ(copy, text, bytes);
        message_packet_free(packet);
}

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

/* ---- calls ---- */

static uint32_t call_txid; /* of the last request that the script has read */

/* The other side takes the request and keeps its id. */
static struct message_packet *take_request(void)
{
        struct test *t = waiting_test;
        struct message_packet *packet = NULL;
        EXPECT_OK(read_any(right, &packet));
        call_txid = message_packet_txid(packet);
        EXPECT_TRUE(channel_valid(left->channel));
        return packet;
}

static zx_status_t answer(void)
{
        struct test *t = waiting_test;
        write_ok(t, right, take_request()); /* the same bytes go back */
        EXPECT_EQ(wake_count, 1);
        EXPECT_EQ(woken, 42);
        return ZX_OK;
}

static zx_status_t answer_too_late(void)
{
        (void)answer();
        return ZX_ERR_TIMED_OUT;
}

TEST(channel, call_returns_the_answer)
{
        zx_status_t (*const scripts[])(void) = {answer, answer_too_late};
        make_bed(t);
        for (size_t i = 0; i < ARRAY_COUNT(scripts); i++) {
                struct message_packet *packet = message(t, "....data", 8), *reply = NULL;
                char copy[8];
                while_waiting = scripts[i];
                wake_count = 0;
                EXPECT_OK(channel_call(left, OWNER, &packet, 123456, &reply));
                EXPECT_PTR_EQ(packet, NULL);
                EXPECT_EQ(waited_deadline, 123456);
                REQUIRE_TRUE(reply != NULL);
                EXPECT_EQ(message_packet_txid(reply), call_txid);
                EXPECT_TRUE((call_txid & KERNEL_TXID) != 0);
                message_packet_copy_data_kernel(reply, copy);
                EXPECT_BYTES_EQ(copy + 4, "data", 4);
                EXPECT_EQ(channel_pending(left, NULL), 0); /* it did not go through the queue */
                message_packet_free(reply);
        }
        EXPECT_EQ(wait_count, 2);
        close_bed(t);
}

TEST(channel, call_needs_room_for_an_id)
{
        make_bed(t);
        for (size_t bytes = 0; bytes < 4; bytes++) {
                struct message_packet *packet = message(t, "abc", bytes), *mine = packet;
                /* Before the owner is looked at. */
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                              channel_call(left, OWNER + 1, &packet, 0, &mine));
                EXPECT_PTR_EQ(packet, mine);
                message_packet_free(packet);
        }
        EXPECT_EQ(wait_count, 0);
        close_bed(t);
}

static zx_status_t do_nothing_first(void)
{
        return wait_count < 5 ? ZX_OK : ZX_ERR_TIMED_OUT; /* woken early for no reason */
}

TEST(channel, call_times_out_and_the_late_answer_is_a_message)
{
        struct message_packet *packet = NULL, *reply = (void *)1;
        make_bed(t);
        packet = message(t, "....", 4);
        while_waiting = do_nothing_first;
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, channel_call(left, OWNER, &packet, 99, &reply));
        EXPECT_EQ(wait_count, 5);
        EXPECT_PTR_EQ(packet, NULL);
        EXPECT_PTR_EQ(reply, (void *)1);
        EXPECT_TRUE(channel_valid(left->channel));
        packet = take_request(); /* still there */
        write_ok(t, right, packet);
        EXPECT_EQ(wake_count, 0);
        EXPECT_OK(read_any(left, &packet));
        EXPECT_EQ(message_packet_txid(packet), call_txid);
        message_packet_free(packet);
        close_bed(t);
}

static zx_status_t be_killed(void)
{
        return ZX_ERR_INTERNAL_INTR_KILLED;
}

TEST(channel, what_the_wait_says_ends_the_call)
{
        struct message_packet *packet, *reply;
        make_bed(t);
        packet = message(t, "....", 4);
        while_waiting = be_killed;
        EXPECT_STATUS(ZX_ERR_INTERNAL_INTR_KILLED, channel_call(left, OWNER, &packet, 0, &reply));
        EXPECT_EQ(left->channel->references, 2);
        close_bed(t);
}

static zx_status_t close_own(void)
{
        channel_close(left);
        return ZX_OK;
}

static zx_status_t close_peer(void)
{
        channel_close(right);
        return ZX_ERR_TIMED_OUT; /* what ended the call comes first */
}

static zx_status_t close_both(void)
{
        struct test *t = waiting_test;
        channel_close(right);
        channel_close(left);
        EXPECT_EQ(slab_counts(&pool.slab).objects, 1); /* the call is still in there */
        return ZX_OK;
}

TEST(channel, call_ends_with_either_end)
{
        zx_status_t (*const scripts[])(void) = {close_own, close_peer, close_both};
        static const zx_status_t statuses[] = {ZX_ERR_CANCELED, ZX_ERR_PEER_CLOSED,
                                               ZX_ERR_PEER_CLOSED};
        for (size_t i = 0; i < ARRAY_COUNT(scripts); i++) {
                struct message_packet *packet, *reply = (void *)1;
                make_bed(t);
                packet = message(t, "....", 4);
                while_waiting = scripts[i];
                EXPECT_STATUS(statuses[i], channel_call(left, OWNER, &packet, 0, &reply));
                EXPECT_PTR_EQ(packet, NULL);
                EXPECT_PTR_EQ(reply, (void *)1);
                EXPECT_EQ(wake_count, 1);
                if (scripts[i] == close_own)
                        channel_close(right); /* with the request in its queue */
                if (scripts[i] == close_peer)
                        channel_close(left);
                expect_no_leak(t);
        }
}

static zx_status_t answer_and_close(void)
{
        (void)answer();
        channel_close(right);
        return ZX_OK;
}

TEST(channel, answer_before_the_peer_went_counts)
{
        struct message_packet *packet, *reply;
        make_bed(t);
        packet = message(t, "....", 4);
        while_waiting = answer_and_close;
        REQUIRE_OK(channel_call(left, OWNER, &packet, 0, &reply));
        EXPECT_EQ(message_packet_txid(reply), call_txid);
        message_packet_free(reply);
        channel_close(left);
        expect_no_leak(t);
}

static zx_status_t answer_wrongly_first(void)
{
        struct test *t = waiting_test;
        if (wait_count > 1)
                return ZX_ERR_TIMED_OUT;
        message_packet_free(take_request());
        write_ok(t, right, message_with_txid(t, call_txid ^ 2));
        write_ok(t, right, message_with_txid(t, call_txid & ~KERNEL_TXID));
        write_ok(t, right, message(t, (const char *)&call_txid, 3)); /* too short for an id */
        EXPECT_EQ(wake_count, 0);
        EXPECT_EQ(channel_pending(left, NULL), 3);
        write_ok(t, left, message_with_txid(t, call_txid)); /* the wrong way */
        EXPECT_EQ(channel_pending(right, NULL), 1);
        return ZX_OK;
}

TEST(channel, only_the_same_id_is_an_answer)
{
        struct message_packet *packet, *reply;
        make_bed(t);
        packet = message(t, "....", 4);
        while_waiting = answer_wrongly_first;
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, channel_call(left, OWNER, &packet, 0, &reply));
        EXPECT_EQ(wait_count, 2);
        close_bed(t);
}

/* Calls within calls: each level's request is answered after the ones inside it, newest first. */
#define NESTED 6
static uint32_t nested_txids[NESTED];
static unsigned nested_count;

static zx_status_t nest(void)
{
        struct test *t = waiting_test;
        struct message_packet *request = take_request(), *reply = NULL;
        uint32_t txid = call_txid;
        for (unsigned i = 0; i < nested_count; i++)
                EXPECT_NE(nested_txids[i], txid);
        nested_txids[nested_count++] = txid;
        if (nested_count < NESTED) {
                struct message_packet *packet = message(t, "....", 4);
                left->call_count--; /* the id of a call that still waits: it must be skipped */
                EXPECT_OK(channel_call(left, OWNER, &packet, 0, &reply));
                EXPECT_EQ(message_packet_txid(reply), nested_txids[--nested_count]);
                message_packet_free(reply);
        }
        write_ok(t, right, request);
        return ZX_OK;
}

TEST(channel, ids_in_use_are_skipped)
{
        struct message_packet *packet, *reply;
        make_bed(t);
        packet = message(t, "....", 4);
        while_waiting = nest;
        nested_count = 0;
        EXPECT_OK(channel_call(left, OWNER, &packet, 0, &reply));
        EXPECT_EQ(message_packet_txid(reply), nested_txids[0]);
        EXPECT_EQ(wake_count, NESTED);
        message_packet_free(reply);
        close_bed(t);
}

TEST(channel, ids_wrap_and_keep_their_bit)
{
        struct message_packet *packet, *reply;
        make_bed(t);
        left->call_count = UINT32_MAX - 2;
        for (unsigned i = 0; i < 6; i++) {
                packet = message(t, "....", 4);
                while_waiting = answer;
                wake_count = 0;
                REQUIRE_OK(channel_call(left, OWNER, &packet, 0, &reply));
                EXPECT_EQ(call_txid & (KERNEL_TXID | 1), KERNEL_TXID);
                message_packet_free(reply);
        }
        close_bed(t);
}

static zx_status_t answer_left_from_right(void)
{
        struct test *t = waiting_test;
        struct message_packet *packet;
        /* Both requests are in the queues, none has passed for an answer. */
        EXPECT_EQ(wake_count, 0);
        EXPECT_EQ(channel_pending(left, NULL), 1);
        EXPECT_EQ(channel_pending(right, NULL), 1);
        EXPECT_TRUE(channel_valid(left->channel));
        if (EXPECT_OK(read_any(left, &packet)))
                write_ok(t, left, packet); /* answers the inner call, of `right` */
        return ZX_OK;
}

static zx_status_t call_back(void)
{
        struct test *t = waiting_test;
        struct message_packet *packet = message(t, "....", 4), *reply = NULL;
        while_waiting = answer_left_from_right;
        EXPECT_OK(channel_call(right, OWNER, &packet, 0, &reply));
        EXPECT_EQ(message_packet_txid(reply) & (KERNEL_TXID | 1), KERNEL_TXID | 1);
        message_packet_free(reply);
        wake_count = 0;
        return answer();
}

TEST(channel, both_ends_may_call_at_once)
{
        struct message_packet *packet, *reply;
        make_bed(t);
        packet = message(t, "....", 4);
        while_waiting = call_back;
        REQUIRE_OK(channel_call(left, OWNER, &packet, 0, &reply));
        EXPECT_EQ(message_packet_txid(reply) & (KERNEL_TXID | 1), KERNEL_TXID);
        message_packet_free(reply);
        close_bed(t);
}

static zx_status_t several_then_close(void)
{
        struct test *t = waiting_test;
        struct message_packet *packet, *reply = NULL;
        if (wait_count == 3) {
                channel_close(right);
                EXPECT_EQ(wake_count, 3);
                return ZX_OK;
        }
        packet = message(t, "....", 4);
        EXPECT_STATUS(ZX_ERR_PEER_CLOSED, channel_call(left, OWNER, &packet, 0, &reply));
        return ZX_OK;
}

TEST(channel, closing_wakes_every_caller)
{
        struct message_packet *packet, *reply;
        make_bed(t);
        packet = message(t, "....", 4);
        while_waiting = several_then_close;
        EXPECT_STATUS(ZX_ERR_PEER_CLOSED, channel_call(left, OWNER, &packet, 0, &reply));
        EXPECT_TRUE(channel_valid(left->channel));
        EXPECT_EQ(left->channel->references, 1);
        channel_close(left);
        expect_no_leak(t);
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

static zx_status_t look_at_a_caller_that_cannot_be(void)
{
        struct test *t = waiting_test;
        message_packet_free(take_request());
        right->closed = true; /* nobody may wait for it any more */
        right->channel->references--;
        EXPECT_FALSE(channel_valid(left->channel)); /* [H3] */
        right->closed = false;
        right->channel->references++;
        EXPECT_TRUE(channel_valid(left->channel));
        return ZX_ERR_TIMED_OUT;
}

TEST(channel, valid_sees_a_caller_whose_peer_has_gone)
{
        struct message_packet *packet, *reply;
        make_bed(t);
        packet = message(t, "....", 4);
        while_waiting = look_at_a_caller_that_cannot_be;
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, channel_call(left, OWNER, &packet, 0, &reply));
        close_bed(t);
}

/* ---- memory is short: every page refused once ---- */

static zx_status_t whole_life(struct test *t)
{
        struct channel_end *near, *far;
        struct message_packet *packet, *reply;
        zx_status_t status = channel_create(&pool, &plain_ops, &near, &far);
        if (status != ZX_OK)
                return status;
        channel_set_owner(near, OWNER);
        channel_set_owner(far, OWNER);
        left = near;
        right = far;
        for (unsigned i = 0; i < 3 && status == ZX_OK; i++) {
                status = message_packet_create_kernel(&cache, "....", 4, 0, &packet);
                if (status == ZX_OK)
                        status = channel_write(near, OWNER, &packet);
        }
        if (status == ZX_OK)
                status = message_packet_create_kernel(&cache, "....", 4, 0, &packet);
        if (status == ZX_OK) {
                while_waiting = close_own;
                EXPECT_STATUS(ZX_ERR_CANCELED, channel_call(near, OWNER, &packet, 0, &reply));
                EXPECT_EQ(channel_pending(far, NULL), 4);
        } else {
                EXPECT_TRUE(channel_valid(near->channel));
                channel_close(near);
        }
        EXPECT_TRUE(channel_valid(far->channel));
        channel_close(far);
        return status;
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

TEST(channel, each_page_refused_once)
{
        struct list_node taken;
        make_bed(t);
        close_bed(t);
        list_init(&taken);
        for (uint64_t n = 0; n <= 6; n++) {
                REQUIRE_OK(channel_pool_init(&pool, &pmm));
                REQUIRE_OK(pmm_alloc_pages(&pmm, free_pages - n, PMM_ALLOC_ANY, &taken));
                EXPECT_STATUS(n < 5 ? ZX_ERR_NO_MEMORY : ZX_OK, whole_life(t));
                EXPECT_EQ(pmm_count_free_pages(&pmm), n);
                pmm_free(&pmm, &taken);
                expect_no_leak(t);
        }
}

static zx_status_t fill_then_answer(void)
{
        struct test *t = waiting_test;
        for (unsigned i = 1; i <= CHANNEL_PENDING_MAX; i++)
                write_ok(t, right, message_with_txid(t, i));
        return answer();
}

/* The limit is for messages that wait, and an answer does not. */
TEST(channel, an_answer_passes_a_full_queue)
{
        struct message_packet *packet, *reply = NULL;
        make_bed_of(t, CHANNEL_PENDING_MAX + 60, &plain_ops);
        packet = message(t, "....", 4);
        while_waiting = fill_then_answer;
        REQUIRE_OK(channel_call(left, OWNER, &packet, 0, &reply));
        EXPECT_EQ(channel_pending(left, NULL), CHANNEL_PENDING_MAX);
        message_packet_free(reply);
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
