/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The bugs of others that channels and message packets must end. Every expected text is one of an
 * ASSERT, which is in release builds too. */
#include "tests/host/death.h"

#include "base/bytes.h"
#include "kernel/channel.h"

#define FREE_PAGES 20

static struct pmm pmm;
static struct page_cache cache;
static struct channel channel;
static struct channel_end *end;
static struct message_packet *packet, *other;

static void make_bed(struct test *t)
{
        static struct page_cache_entry entry;
        static const struct channel_ops ops;
        struct page_cache_config config = {&pmm, 4, 1, &entry, NULL};
        char *memory = world_pages(t, FREE_PAGES + 1, NULL);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, (FREE_PAGES + 1) * PAGE_BYTES));
        REQUIRE_OK(page_cache_init(&cache, &config));
        REQUIRE_OK(message_packet_create_kernel(&cache, "text", 4, 1, &packet));
        channel_init(&channel, &ops);
        end = channel_end(&channel, 0);
}

#define DEATH(name_, words_, ...)                                       \
        static void name_##_act(void)                                   \
        {                                                               \
                __VA_ARGS__                                             \
        }                                                               \
        TEST(channel_death, name_)                                      \
        {                                                               \
                make_bed(t);                                            \
                expect_death(t, name_##_act, words_);                   \
        }                                                               \
        _Static_assert(sizeof(words_) > 1, "names the rule")

#define IGNORE(call)                       \
        do {                               \
                zx_status_t status_ = call; \
                (void)status_;             \
        } while (0)

DEATH(closed_twice, "!end->closed", channel_close(end); channel_close(end););
DEATH(written_after_close, "!end->closed", {
        channel_close(end);
        IGNORE(channel_write(end, CHANNEL_OWNER_NONE, &packet));
});
DEATH(read_after_close, "!end->closed", {
        struct channel_read_limits limits = {4, 1, false};
        channel_close(end);
        IGNORE(channel_read(end, CHANNEL_OWNER_NONE, &limits, &other));
});
DEATH(owned_after_close, "!end->closed", channel_close(end); channel_set_owner(end, 1););
DEATH(asked_after_close, "!end->closed", channel_close(end); (void)channel_signals(end););
DEATH(pool_end_with_an_open_end, "list_is_empty", {
        static const struct channel_ops ops;
        static struct channel_pool pool;
        struct channel_end *left, *right;
        IGNORE(channel_pool_init(&pool, &pmm));
        IGNORE(channel_create(&pool, &ops, &left, &right));
        channel_close(left);
        channel_pool_fini(&pool);
});
DEATH(handles_nobody_can_close, "!owns || ops != NULL",
      message_packet_set_owns_handles(packet, true, NULL););
DEATH(packet_freed_twice, "canary", {
        struct buffer_chain *chain = packet->chain;
        message_packet_free(packet);
        buffer_chain_free(chain);
});
