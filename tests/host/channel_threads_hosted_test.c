/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Channels from several threads at once, one for each "CPU"; under AddressSanitizer and, above all,
 * under ThreadSanitizer. Both ends write, read, call and close at the same time; what must come out
 * is arithmetic: every message once and in order, every call one end, every page back. */
#include <sched.h>
#include <stdint.h>

#include "base/bytes.h"
#include "kernel/channel.h"
#include "tests/host/thread_bed.h"

#define BED_PAGES 900
#define MESSAGES 3000u
#define CALLS 1500u
#define CLOSE_ROUNDS 150u
#define NO_DEADLINE UINT64_MAX

static struct page_cache cache;
static struct page_cache_entry entries[THREADS];
static struct channel_pool pool;
static struct channel_end *ends[2];
static uint64_t free_pages;

/* ---- waiting: every thread looks again and again; the deadline is a number of looks ---- */

static _Thread_local uint64_t looks;

static zx_status_t wait(const atomic_uint *done, uint64_t deadline)
{
        (void)done;
        sched_yield();
        return looks++ < deadline ? ZX_OK : ZX_ERR_TIMED_OUT;
}

static void wake(uint32_t waiter)
{
        note(waiter < THREADS);
}
static const struct channel_ops ops = {current_cpu, wait, wake, NULL, NULL};

static void make_bed(struct test *t)
{
        const struct page_cache_config config = {&pmm, 8, THREADS, entries, current_cpu};
        make_pmm(t, BED_PAGES);
        REQUIRE_OK(page_cache_init(&cache, &config));
        REQUIRE_OK(channel_pool_init(&pool, &pmm));
        free_pages = pmm_count_free_pages(&pmm);
        REQUIRE_OK(channel_create(&pool, &ops, &ends[0], &ends[1]));
}

static void expect_no_leak(struct test *t)
{
        EXPECT_EQ(atomic_load(&wrongs), 0u);
        EXPECT_EQ(slab_counts(&pool.slab).objects, 0u);
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_IPC), 0u);
        page_cache_drain_all(&cache);
        EXPECT_EQ(pmm_count_free_pages(&pmm), free_pages);
        EXPECT_TRUE(pmm_check_all(&pmm));
        page_cache_fini(&cache);
}

static struct message_packet *numbered(uint32_t number)
{
        struct message_packet *packet;
        uint32_t data[2] = {number, ~number};
        while (message_packet_create_kernel(&cache, data, sizeof(data), 0, &packet) != ZX_OK)
                sched_yield(); /* the other side holds all pages; it will read on */
        return packet;
}

/* The number of a message, and that it is whole; frees it. */
static uint32_t number_of(struct message_packet *packet)
{
        uint32_t data[2] = {0, 0};
        note(message_packet_data_bytes(packet) == sizeof(data));
        message_packet_copy_data_kernel(packet, data);
        message_packet_free(packet);
        return data[1] == ~data[0] || (data[0] >> CHANNEL_TXID_KERNEL_BIT) != 0 ? ~data[1]
                                                                                : UINT32_MAX;
}

static zx_status_t read_any(struct channel_end *end, struct message_packet **packet)
{
        struct channel_read_limits limits = {64, 0, false};
        return channel_read(end, CHANNEL_OWNER_NONE, &limits, packet);
}

/* ---- both ends write and read ---- */

static void *write_and_read(void *number)
{
        this_cpu = (uint32_t)(uintptr_t)number;
        struct channel_end *end = ends[this_cpu];
        uint32_t sent = 0, received = 0;
        while (received < MESSAGES) {
                struct message_packet *packet;
                /* Not too far ahead, or there are no pages left for the other. */
                if (sent < MESSAGES && sent < received + 300) {
                        packet = numbered(sent++);
                        note(channel_write(end, CHANNEL_OWNER_NONE, &packet) == ZX_OK);
                }
                zx_status_t status = read_any(end, &packet);
                note(status == ZX_OK || status == ZX_ERR_SHOULD_WAIT);
                if (status == ZX_OK)
                        note(number_of(packet) == received++);
                else
                        sched_yield();
                if (received % 500 == 0)
                        note(channel_valid(end->channel));
        }
        return NULL;
}

TEST(channel_threads, messages_cross_in_order)
{
        make_bed(t);
        run_threads(t, 2, write_and_read);
        EXPECT_EQ(channel_pending(ends[0], NULL), 0u);
        EXPECT_EQ(channel_pending(ends[1], NULL), 0u);
        channel_close(ends[0]);
        channel_close(ends[1]);
        expect_no_leak(t);
}

/* ---- two threads call at one end, two answer at the other ---- */

static atomic_uint calls_left;

static void *call_or_answer(void *number)
{
        struct message_packet *packet = NULL, *reply = NULL;
        this_cpu = (uint32_t)(uintptr_t)number;
        if (this_cpu < 2) {
                for (uint32_t i = 0; i < CALLS; i++) {
                        packet = numbered(this_cpu << 20 | i);
                        note(channel_call(ends[0], CHANNEL_OWNER_NONE, &packet, NO_DEADLINE,
                                          &reply) == ZX_OK);
                        /* The answer to this call, and not to the other thread's. */
                        note(number_of(reply) == (this_cpu << 20 | i));
                        atomic_fetch_sub(&calls_left, 1);
                }
                return NULL;
        }
        while (atomic_load(&calls_left) > 0) {
                if (read_any(ends[1], &packet) == ZX_OK)
                        note(channel_write(ends[1], CHANNEL_OWNER_NONE, &packet) == ZX_OK);
                else
                        sched_yield();
        }
        return NULL;
}

TEST(channel_threads, every_caller_gets_its_own_answer)
{
        make_bed(t);
        atomic_store(&calls_left, 2 * CALLS);
        run_threads(t, THREADS, call_or_answer);
        channel_close(ends[0]);
        channel_close(ends[1]);
        expect_no_leak(t);
}

/* ---- answers, deadlines and closes race ---- */

static atomic_uint answered, timed_out, canceled, peer_closed, both_sent;
static unsigned answers_left; /* of race_peer, before it closes */

static void call_once(uint64_t deadline)
{
        struct message_packet *packet = numbered(this_cpu), *reply = NULL;
        looks = 0;
        zx_status_t status = channel_call(ends[0], CHANNEL_OWNER_NONE, &packet, deadline, &reply);
        note((status == ZX_OK) == (reply != NULL));
        if (reply != NULL)
                note(number_of(reply) == this_cpu);
        if (packet != NULL) /* the peer had gone before */
                message_packet_free(packet);
        atomic_fetch_add(status == ZX_OK              ? &answered
                         : status == ZX_ERR_TIMED_OUT ? &timed_out
                         : status == ZX_ERR_CANCELED  ? &canceled
                                                      : &peer_closed, 1);
        note(status == ZX_OK || status == ZX_ERR_TIMED_OUT || status == ZX_ERR_CANCELED ||
             status == ZX_ERR_PEER_CLOSED);
}

static void *race_peer(void *number)
{
        struct message_packet *packet = NULL;
        this_cpu = (uint32_t)(uintptr_t)number;
        if (this_cpu < 3) {
                for (uint32_t i = 0; i < 4; i++)
                        call_once((this_cpu + i) * 60);
                return NULL;
        }
        for (uint32_t i = 0; i < 2000 && answers_left > 0; i++) {
                answers_left -= channel_signals(ends[1]) & CHANNEL_READABLE ? 1 : 0;
                if (read_any(ends[1], &packet) == ZX_OK)
                        note(channel_write(ends[1], CHANNEL_OWNER_NONE, &packet) == ZX_OK);
                else
                        sched_yield();
        }
        channel_close(ends[1]);
        return NULL;
}

TEST(channel_threads, answer_deadline_and_the_peers_close_race)
{
        make_bed(t);
        channel_close(ends[0]);
        channel_close(ends[1]);
        atomic_store(&answered, 0);
        atomic_store(&timed_out, 0);
        atomic_store(&canceled, 0);
        atomic_store(&peer_closed, 0);
        for (unsigned round = 0; round < CLOSE_ROUNDS; round++) {
                REQUIRE_OK(channel_create(&pool, &ops, &ends[0], &ends[1]));
                answers_left = round % 14;
                run_threads(t, THREADS, race_peer);
                EXPECT_TRUE(channel_valid(ends[0]->channel));
                EXPECT_EQ(ends[0]->channel->references, 1u);
                channel_close(ends[0]);
        }
        EXPECT_EQ(atomic_load(&answered) + atomic_load(&timed_out) + atomic_load(&peer_closed),
                  CLOSE_ROUNDS * 3 * 4);
        EXPECT_EQ(atomic_load(&canceled), 0u);
        expect_no_leak(t);
}

/* Both ends are closed while two calls wait: whoever leaves last takes the storage along. */
static void *race_both(void *number)
{
        this_cpu = (uint32_t)(uintptr_t)number;
        switch (this_cpu) {
        case 0:
        case 1:
                call_once(NO_DEADLINE);
                break;
        case 2:
                while (channel_pending(ends[1], NULL) < 2)
                        sched_yield();
                atomic_store(&both_sent, 1);
                channel_close(ends[1]);
                break;
        default:
                while (atomic_load(&both_sent) == 0)
                        sched_yield();
                channel_close(ends[0]);
        }
        return NULL;
}

TEST(channel_threads, both_ends_close_under_calls)
{
        make_bed(t);
        channel_close(ends[0]);
        channel_close(ends[1]);
        atomic_store(&canceled, 0);
        atomic_store(&peer_closed, 0);
        for (unsigned round = 0; round < CLOSE_ROUNDS; round++) {
                REQUIRE_OK(channel_create(&pool, &ops, &ends[0], &ends[1]));
                atomic_store(&both_sent, 0);
                run_threads(t, THREADS, race_both);
                EXPECT_EQ(slab_counts(&pool.slab).objects, 0u);
        }
        EXPECT_EQ(atomic_load(&canceled) + atomic_load(&peer_closed), 2 * CLOSE_ROUNDS);
        expect_no_leak(t);
}
