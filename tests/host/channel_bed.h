/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* channel_bed — a channel over a small pmm for channel_test.c and channel_call_test.c, and the
 * world's side of it: a wait that is a script of the test's, a wake that is counted, a policy. */
#ifndef TESTS_HOST_CHANNEL_BED_H
#define TESTS_HOST_CHANNEL_BED_H

#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/channel.h"

#define FREE_PAGES 40
#define OWNER 7ull

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

static inline uint32_t waiter(void)
{
        return 42;
}

static inline zx_status_t wait(const atomic_uint *done, uint64_t deadline_ns)
{
        (void)done;
        wait_count++;
        waited_deadline = deadline_ns;
        return while_waiting();
}

static inline void wake(uint32_t name)
{
        woken = name;
        wake_count++;
}

static inline void warning(struct channel_end *end, uint32_t pending)
{
        warned_end = end;
        warned_pending = pending;
        warning_count++;
}

static inline zx_status_t over_limit(struct channel_end *end, uint32_t pending)
{
        warned_end = end;
        limit_pending = pending;
        return limit_status;
}

static const struct channel_ops plain_ops = {waiter, wait, wake, NULL, NULL};
static const struct channel_ops policy_ops = {waiter, wait, wake, warning, over_limit};

static inline void expect_valid(struct test *t)
{
        EXPECT_TRUE(page_cache_valid(&cache));
        EXPECT_TRUE(slab_valid(&pool.slab));
}

static inline void make_bed_of(struct test *t, size_t page_count, const struct channel_ops *ops)
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

static inline void make_bed(struct test *t)
{
        make_bed_of(t, FREE_PAGES, &plain_ops);
}

static inline void expect_no_leak(struct test *t)
{
        EXPECT_EQ(slab_counts(&pool.slab).objects, 0);
        EXPECT_EQ(pmm_count_free_pages(&pmm), free_pages);
        EXPECT_TRUE(pmm_check_all(&pmm));
        channel_pool_fini(&pool);
}

static inline void close_bed(struct test *t)
{
        EXPECT_TRUE(channel_valid(left->channel));
        channel_close(left);
        EXPECT_TRUE(channel_valid(right->channel));
        channel_close(right);
        expect_no_leak(t);
}

static inline struct message_packet *message(struct test *t, const char *text, size_t bytes)
{
        struct message_packet *packet = NULL;
        EXPECT_OK(message_packet_create_kernel(&cache, text, bytes, 0, &packet));
        return packet;
}

static inline struct message_packet *message_with_txid(struct test *t, uint32_t txid)
{
        return message(t, (const char *)&txid, sizeof(txid));
}

static inline void write_ok(struct test *t, struct channel_end *end, struct message_packet *packet)
{
        EXPECT_OK(channel_write(end, OWNER, &packet));
        EXPECT_PTR_EQ(packet, NULL);
}

static inline zx_status_t read_any(struct channel_end *end, struct message_packet **packet)
{
        struct channel_read_limits limits = {65536, 64, false};
        return channel_read(end, OWNER, &limits, packet);
}

/* The oldest message at `end` is `text`; frees it. */
static inline void expect_text(struct test *t, struct channel_end *end, const char *text,
                               size_t bytes)
{
        struct message_packet *packet = NULL;
        char copy[16];
        REQUIRE_OK(read_any(end, &packet));
        REQUIRE_EQ(message_packet_data_bytes(packet), bytes);
        message_packet_copy_data_kernel(packet, copy);
        EXPECT_BYTES_EQ(copy, text, bytes);
        message_packet_free(packet);
}

#endif
