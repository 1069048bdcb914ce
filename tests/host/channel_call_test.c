/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/channel: calls, with a scripted other side that acts while the caller waits.
 * Threads: channel_threads_hosted_test.c. */
#include "tests/host/channel_bed.h"

#define KERNEL_TXID 0x80000000u

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

TEST(channel_call, returns_the_answer)
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

TEST(channel_call, needs_room_for_an_id)
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

TEST(channel_call, times_out_and_the_late_answer_is_a_message)
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

TEST(channel_call, what_the_wait_says_ends_the_call)
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

TEST(channel_call, ends_with_either_end)
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

TEST(channel_call, answer_before_the_peer_went_counts)
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

TEST(channel_call, only_the_same_id_is_an_answer)
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

TEST(channel_call, ids_in_use_are_skipped)
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

TEST(channel_call, ids_wrap_and_keep_their_bit)
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

TEST(channel_call, both_ends_may_call_at_once)
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

TEST(channel_call, closing_wakes_every_caller)
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

static zx_status_t fill_then_answer(void)
{
        struct test *t = waiting_test;
        for (unsigned i = 1; i <= CHANNEL_PENDING_MAX; i++)
                write_ok(t, right, message_with_txid(t, i));
        return answer();
}

/* The limit is for messages that wait, and an answer does not. */
TEST(channel_call, an_answer_passes_a_full_queue)
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

TEST(channel_call, valid_sees_a_caller_whose_peer_has_gone)
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

TEST(channel_call, each_page_refused_once)
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
