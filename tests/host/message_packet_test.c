/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/message_packet: every limit, way of creation and status of
 * spec/zircon-objects.md, 5, and every page allocation refused once. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/message_packet.h"

#define FREE_PAGES 60
#define BYTES_MAX MESSAGE_PACKET_BYTES_MAX
#define HANDLES_MAX MESSAGE_PACKET_HANDLES_MAX
#define STEP MESSAGE_PACKET_IOVECS_A_STEP
#define IOVECS_MAX MESSAGE_PACKET_IOVECS_MAX
#define PATTERN_BYTES (BYTES_MAX + 4096)

static struct pmm pmm;
static struct page_cache cache;
static unsigned char *pattern, *out; /* PATTERN_BYTES each */

static void expect_cache_valid(struct test *t)
{
        EXPECT_TRUE(page_cache_valid(&cache));
}

static void make_bed(struct test *t)
{
        static struct page_cache_entry entry;
        struct page_cache_config config = {&pmm, 0, 1, &entry, NULL};
        char *memory = world_pages(t, FREE_PAGES + 1, NULL);
        __builtin_memset(memory, 0xa5, (FREE_PAGES + 1) * PAGE_BYTES); /* old bytes */
        pattern = world_pages(t, PATTERN_BYTES / PAGE_BYTES, NULL);
        out = world_pages(t, PATTERN_BYTES / PAGE_BYTES, NULL);
        for (uint32_t i = 0; i < PATTERN_BYTES; i++)
                pattern[i] = (unsigned char)(i * 7 + (i >> 8) * 13 + 1);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, (FREE_PAGES + 1) * PAGE_BYTES));
        REQUIRE_EQ(pmm_count_free_pages(&pmm), FREE_PAGES);
        buffer_chain_initialize_page_cache(&cache, &config);
        ON_REFUSAL(expect_cache_valid);
}

static void expect_no_leak(struct test *t)
{
        EXPECT_EQ(pmm_count_free_pages(&pmm), FREE_PAGES);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

static uint64_t pages_used(void)
{
        return FREE_PAGES - pmm_count_free_pages(&pmm);
}

/* The packet is well formed and its data is pattern[from...]; frees it. */
static void expect_packet(struct test *t, struct message_packet *packet, size_t from, size_t bytes)
{
        EXPECT_TRUE(message_packet_valid(packet));
        REQUIRE_EQ(message_packet_data_bytes(packet), bytes);
        __builtin_memset(out, 0xee, bytes + 1);
        message_packet_copy_data_kernel(packet, out);
        EXPECT_BYTES_EQ(out, pattern + from, bytes);
        EXPECT_EQ(out[bytes], 0xee);
        EXPECT_EQ(pages_used(), buffer_chain_pages_for(48 + 8 * packet->handle_count + bytes));
        message_packet_free(packet);
        expect_no_leak(t);
}

/* A source that copies from `pattern` and fails after `good_bytes`. */
struct test_source {
        struct buffer_chain_source base;
        size_t at, good_bytes;
};

static zx_status_t read_pattern(struct buffer_chain_source *base, void *destination, size_t bytes)
{
        struct test_source *source = CONTAINER_OF(base, struct test_source, base);
        if (source->at + bytes > source->good_bytes)
                return ZX_ERR_ACCESS_DENIED;
        __builtin_memcpy(destination, pattern + source->at, bytes);
        source->at += bytes;
        return ZX_OK;
}

/* ---- sizes and layout ---- */

TEST(message_packet, bytes_come_back_for_every_size_near_an_edge)
{
        static const size_t handle_counts[] = {0, 1, HANDLES_MAX};
        static const size_t edges[] = {2, 4024 - 48, 4024 - 48 - 8, 4024 - 48 - 8 * 64, 8104,
                                       BYTES_MAX - 2};
        make_bed(t);
        for (size_t h = 0; h < ARRAY_COUNT(handle_counts); h++) {
                for (size_t i = 0; i < ARRAY_COUNT(edges); i++) {
                        for (size_t bytes = edges[i] - 2; bytes <= edges[i] + 2; bytes++) {
                                struct test_source source = {{read_pattern}, 5, SIZE_MAX / 2};
                                struct message_packet *packet = NULL;
                                REQUIRE_OK(message_packet_create_kernel(&cache, pattern + 3, bytes,
                                                                        handle_counts[h], &packet));
                                EXPECT_EQ(message_packet_handle_count(packet), handle_counts[h]);
                                expect_packet(t, packet, 3, bytes);
                                REQUIRE_OK(message_packet_create(&cache, &source.base, bytes,
                                                                 handle_counts[h], &packet));
                                expect_packet(t, packet, 5, bytes);
                        }
                }
        }
}

TEST(message_packet, limits_are_exact)
{
        static const struct {
                size_t bytes, handles;
        } bad[] = {{BYTES_MAX + 1, 0}, {0, HANDLES_MAX + 1}, {SIZE_MAX, 0}, {0, SIZE_MAX},
                   {BYTES_MAX + 1, HANDLES_MAX + 1}, {1ull << 32, 0}, {0, 1ull << 16}};
        struct message_packet *packet = NULL;
        make_bed(t);
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
                struct test_source source = {{read_pattern}, 0, SIZE_MAX / 2};
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                              message_packet_create_kernel(&cache, pattern, bad[i].bytes,
                                                           bad[i].handles, &packet));
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                              message_packet_create(&cache, &source.base, bad[i].bytes,
                                                    bad[i].handles, &packet));
                EXPECT_EQ(source.at, 0);
                EXPECT_PTR_EQ(packet, NULL);
                expect_no_leak(t);
        }
        REQUIRE_OK(message_packet_create_kernel(&cache, pattern, BYTES_MAX, HANDLES_MAX, &packet));
        EXPECT_EQ(pages_used(), 17);
        expect_packet(t, packet, 0, BYTES_MAX);
}

TEST(message_packet, lies_in_the_first_buffer)
{
        struct message_packet *packet;
        make_bed(t);
        REQUIRE_OK(message_packet_create_kernel(&cache, pattern, 10, 3, &packet));
        EXPECT_EQ((uintptr_t)packet % PAGE_BYTES, 72);
        EXPECT_PTR_EQ(message_packet_handles(packet), (char *)packet + 48);
        EXPECT_BYTES_EQ((char *)packet + 48 + 3 * 8, pattern, 10);
        for (unsigned i = 0; i < 3; i++)
                EXPECT_PTR_EQ(message_packet_handles(packet)[i], NULL);
        EXPECT_FALSE(packet->owns_handles);
        expect_packet(t, packet, 0, 10);
        REQUIRE_OK(message_packet_create_kernel(&cache, NULL, 0, 0, &packet));
        expect_packet(t, packet, 0, 0);
}

TEST(message_packet, valid_sees_what_is_wrong)
{
        struct message_packet *packet;
        make_bed(t);
        REQUIRE_OK(message_packet_create_kernel(&cache, pattern, 10, 1, &packet));
        packet->data_bytes++;
        EXPECT_FALSE(message_packet_valid(packet));
        packet->data_bytes -= 2;
        EXPECT_FALSE(message_packet_valid(packet));
        packet->data_bytes++;
        packet->handle_count = 0;
        EXPECT_FALSE(message_packet_valid(packet));
        packet->handle_count = HANDLES_MAX + 1;
        EXPECT_FALSE(message_packet_valid(packet));
        packet->handle_count = 1;
        packet->handles++;
        EXPECT_FALSE(message_packet_valid(packet));
        packet->handles--;
        packet->owns_handles = true; /* and nobody knows how to close them */
        EXPECT_FALSE(message_packet_valid(packet));
        packet->owns_handles = false;
        expect_packet(t, packet, 0, 10);
}

TEST(message_packet, source_that_fails_leaves_nothing)
{
        static const size_t good[] = {0, 4024 - 48, 4024 - 48 + 4080};
        struct message_packet *packet = NULL;
        make_bed(t);
        for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
                struct test_source source = {{read_pattern}, 0, good[i]};
                EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                              message_packet_create(&cache, &source.base, 10000, 0, &packet));
                EXPECT_EQ(source.at, good[i]);
                EXPECT_PTR_EQ(packet, NULL);
                expect_no_leak(t);
        }
}

/* ---- iovecs ---- */

struct test_iovecs {
        struct message_packet_iovec_source base;
        struct message_packet_iovec *iovecs; /* addresses are offsets in `pattern` */
        uint32_t good_iovecs;                /* reading one behind fails */
        uint64_t good_bytes;                 /* reading one behind fails */
        uint32_t next, calls;
        bool change_after_read;
};
static struct message_packet_iovec iovecs[IOVECS_MAX + 1];

static zx_status_t read_iovecs(struct message_packet_iovec_source *base,
                               struct message_packet_iovec *destination, uint32_t first,
                               uint32_t count)
{
        struct test_iovecs *source = CONTAINER_OF(base, struct test_iovecs, base);
        if (first != source->next || count == 0 || count > STEP)
                return ZX_ERR_INTERNAL; /* out of order, or more than a step */
        source->next += count;
        source->calls++;
        if (first + count > source->good_iovecs)
                return ZX_ERR_NOT_FOUND;
        for (uint32_t i = 0; i < count; i++) {
                destination[i] = source->iovecs[first + i];
                if (source->change_after_read)
                        source->iovecs[first + i] = (struct message_packet_iovec){0, BYTES_MAX, 1};
        }
        return ZX_OK;
}

static zx_status_t read_bytes(struct message_packet_iovec_source *base, void *destination,
                              uint64_t address, size_t bytes)
{
        struct test_iovecs *source = CONTAINER_OF(base, struct test_iovecs, base);
        if (address + bytes > source->good_bytes)
                return ZX_ERR_ACCESS_DENIED;
        __builtin_memcpy(destination, pattern + address, bytes);
        return ZX_OK;
}

static struct test_iovecs all_good(void)
{
        return (struct test_iovecs){.base = {read_iovecs, read_bytes}, .iovecs = iovecs,
                                    .good_iovecs = UINT32_MAX, .good_bytes = UINT64_MAX};
}

/* From a source of which nothing was read before. */
static zx_status_t create_from(struct test_iovecs *source, uint32_t count, size_t handle_count,
                               struct message_packet **packet)
{
        source->next = source->calls = 0;
        return message_packet_create_iovecs(&cache, &source->base, count, handle_count, packet);
}

/* Cuts the first `total` bytes of the pattern into `count` pieces, some of them empty. */
static void cut(struct test *t, uint32_t count, uint32_t total)
{
        uint32_t at = 0;
        for (uint32_t i = 0; i < count; i++) {
                uint32_t left = total - at;
                uint32_t bytes = world_random_below(t, 2 * left / (count - i) + 2);
                if (i + 1 == count)
                        bytes = left;
                else if (bytes > left || i % 7 == 3)
                        bytes = 0;
                iovecs[i] = (struct message_packet_iovec){at, bytes, 0};
                at += bytes;
        }
}

TEST(message_packet, iovecs_are_gathered_in_order)
{
        static const uint32_t counts[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 1000, IOVECS_MAX};
        static const uint32_t totals[] = {0, 1, 3000, 4024, 20000, BYTES_MAX};
        make_bed(t);
        for (size_t c = 0; c < ARRAY_COUNT(counts); c++) {
                for (size_t i = 0; i < ARRAY_COUNT(totals); i++) {
                        struct test_iovecs source = all_good();
                        struct message_packet *packet;
                        cut(t, counts[c], totals[i]);
                        REQUIRE_OK(create_from(&source, counts[c], i % 3, &packet));
                        EXPECT_EQ(source.calls, (counts[c] + STEP - 1) / STEP);
                        EXPECT_EQ(source.next, counts[c]);
                        EXPECT_EQ(message_packet_handle_count(packet), i % 3);
                        expect_packet(t, packet, 0, totals[i]); /* with no page too many */
                }
        }
        struct test_iovecs source = all_good();
        struct message_packet *packet;
        REQUIRE_OK(message_packet_create_iovecs(&cache, &source.base, 0, 0, &packet));
        EXPECT_EQ(source.calls, 0);
        expect_packet(t, packet, 0, 0);
        /* As many handles as there may be. */
        for (uint32_t count = STEP; count <= STEP + 1; count++) {
                REQUIRE_OK((cut(t, count, 300), create_from(&source, count, HANDLES_MAX, &packet)));
                EXPECT_EQ(message_packet_handle_count(packet), HANDLES_MAX);
                expect_packet(t, packet, 0, 300);
        }
}

TEST(message_packet, iovecs_beyond_a_limit_are_out_of_range)
{
        static const struct {
                uint32_t count, last_bytes; /* the others: one byte each */
        } bad[] = {{1, BYTES_MAX + 1}, {16, BYTES_MAX - 14}, {17, BYTES_MAX - 15},
                   {17, 69257 - 16}, {16, UINT32_MAX}, {17, UINT32_MAX}, {2, UINT32_MAX}};
        struct message_packet *packet = NULL;
        make_bed(t);
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
                struct test_iovecs source = all_good();
                for (uint32_t k = 0; k < bad[i].count; k++)
                        iovecs[k] = (struct message_packet_iovec){k, 1, 0};
                iovecs[bad[i].count - 1].bytes = bad[i].last_bytes;
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                              create_from(&source, bad[i].count, 0, &packet));
                expect_no_leak(t);
        }
        /* All of them as large as can be: the sum must not wrap. */
        struct test_iovecs source = all_good();
        for (uint32_t k = 0; k < IOVECS_MAX; k++)
                iovecs[k] = (struct message_packet_iovec){0, UINT32_MAX, 0};
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, create_from(&source, IOVECS_MAX, 0, &packet));
        source = all_good();
        cut(t, IOVECS_MAX + 1, 10);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      message_packet_create_iovecs(&cache, &source.base, IOVECS_MAX + 1, 0,
                                                   &packet));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      message_packet_create_iovecs(&cache, &source.base, UINT32_MAX, 0, &packet));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      message_packet_create_iovecs(&cache, &source.base, 1, HANDLES_MAX + 1,
                                                   &packet));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      message_packet_create_iovecs(&cache, &source.base, 17, HANDLES_MAX + 1,
                                                   &packet));
        EXPECT_EQ(source.calls, 0);
        EXPECT_PTR_EQ(packet, NULL);
        expect_no_leak(t);
}

TEST(message_packet, reserved_field_of_any_iovec_must_be_zero)
{
        enum { COUNT = 40 };
        struct message_packet *packet = NULL;
        make_bed(t);
        for (uint32_t count = 1; count <= COUNT; count += 13) {
                for (uint32_t i = 0; i < count; i++) {
                        struct test_iovecs source = all_good();
                        cut(t, count, 5000);
                        iovecs[i].reserved = i % 2 ? 1 : 0x80000000u;
                        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                                      create_from(&source, count, 0, &packet));
                        EXPECT_EQ(source.calls, i / STEP + 1); /* as soon as it is seen */
                        expect_no_leak(t);
                }
        }
        EXPECT_PTR_EQ(packet, NULL);
}

TEST(message_packet, iovecs_that_cannot_be_read)
{
        enum { COUNT = 40 };
        struct message_packet *packet = NULL;
        make_bed(t);
        for (uint32_t good = 0; good < COUNT; good++) {
                struct test_iovecs source = all_good();
                cut(t, COUNT, 5000);
                source.good_iovecs = good;
                EXPECT_STATUS(ZX_ERR_NOT_FOUND, create_from(&source, COUNT, 0, &packet));
                expect_no_leak(t);
        }
        for (uint32_t count = 1; count <= COUNT; count += 13) {
                for (uint64_t good = 0; good < 5000; good += 499) {
                        struct test_iovecs source = all_good();
                        cut(t, count, 5000);
                        source.good_bytes = good;
                        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                                      create_from(&source, count, 0, &packet));
                        expect_no_leak(t);
                }
        }
        EXPECT_PTR_EQ(packet, NULL);
}

/* Their owner may write them while they are read: what was checked is what is used. */
TEST(message_packet, iovecs_are_read_once)
{
        static const uint32_t counts[] = {16, 40};
        make_bed(t);
        for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
                struct test_iovecs source = all_good();
                struct message_packet *packet;
                source.change_after_read = true;
                REQUIRE_OK((cut(t, counts[i], 5000), create_from(&source, counts[i], 0, &packet)));
                expect_packet(t, packet, 0, 5000);
        }
}

/* ---- contents ---- */

TEST(message_packet, transaction_id_is_the_first_four_bytes)
{
        make_bed(t);
        for (size_t bytes = 0; bytes < 9; bytes++) {
                struct message_packet *packet;
                uint32_t first;
                __builtin_memcpy(&first, pattern, sizeof(first));
                REQUIRE_OK(message_packet_create_kernel(&cache, pattern, bytes, HANDLES_MAX,
                                                        &packet));
                EXPECT_EQ(message_packet_txid(packet), bytes < 4 ? 0 : first);
                message_packet_set_txid(packet, 0x89abcdef);
                EXPECT_EQ(message_packet_txid(packet), bytes < 4 ? 0 : 0x89abcdef);
                message_packet_copy_data_kernel(packet, out);
                EXPECT_EQ(bytes < 4 ? 0xef : out[0], 0xef);
                EXPECT_BYTES_EQ(out + (bytes < 4 ? 0 : 4), pattern + (bytes < 4 ? 0 : 4),
                                bytes < 4 ? bytes : bytes - 4);
                message_packet_set_txid(packet, first);
                expect_packet(t, packet, 0, bytes);
        }
}

struct test_sink {
        struct buffer_chain_sink base;
        size_t at, good_bytes;
};

static zx_status_t write_out(struct buffer_chain_sink *base, const void *bytes, size_t byte_count)
{
        struct test_sink *sink = CONTAINER_OF(base, struct test_sink, base);
        if (sink->at + byte_count > sink->good_bytes)
                return ZX_ERR_ACCESS_DENIED;
        __builtin_memcpy(out + sink->at, bytes, byte_count);
        sink->at += byte_count;
        return ZX_OK;
}

TEST(message_packet, data_can_be_copied_out_more_than_once)
{
        struct message_packet *packet;
        struct test_sink sink = {{write_out}, 0, 4024 - 48 - 8};
        make_bed(t);
        REQUIRE_OK(message_packet_create_kernel(&cache, pattern, 9000, 1, &packet));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, message_packet_copy_data(packet, &sink.base));
        EXPECT_EQ(sink.at, 4024 - 48 - 8);
        EXPECT_BYTES_EQ(out, pattern, sink.at);
        sink = (struct test_sink){{write_out}, 0, SIZE_MAX / 2};
        EXPECT_OK(message_packet_copy_data(packet, &sink.base));
        EXPECT_EQ(sink.at, 9000);
        EXPECT_BYTES_EQ(out, pattern, 9000);
        expect_packet(t, packet, 0, 9000);
}

/* ---- handles ---- */

static uintptr_t closed[2 * HANDLES_MAX];
static unsigned closed_count, close_depth, close_depth_max;

static void note_close(void *handle, UNUSED struct list_node *packets)
{
        closed[closed_count++] = (uintptr_t)handle;
}
static const struct message_packet_handle_ops note_ops = {note_close};

TEST(message_packet, handles_are_closed_only_if_they_are_owned)
{
        struct message_packet *packet;
        make_bed(t);
        for (unsigned round = 0; round < 3; round++) {
                REQUIRE_OK(message_packet_create_kernel(&cache, pattern, 9000, HANDLES_MAX,
                                                        &packet));
                for (uintptr_t i = 0; i < HANDLES_MAX; i++)
                        message_packet_handles(packet)[i] = i == 5 ? NULL : (void *)(i + 1);
                closed_count = 0;
                if (round > 0)
                        message_packet_set_owns_handles(packet, true, &note_ops);
                if (round == 2)
                        message_packet_set_owns_handles(packet, false, &note_ops);
                EXPECT_TRUE(message_packet_valid(packet));
                expect_packet(t, packet, 0, 9000); /* filling slots writes no data; frees */
                EXPECT_EQ(closed_count, round == 1 ? HANDLES_MAX - 1 : 0);
                for (unsigned i = 0; i < closed_count; i++)
                        /* in order, the empty slot left out */
                        EXPECT_EQ(closed[i], i + 1 + (i >= 5));
        }
}

/* A handle that stands for another packet: it dies with it. */
static void close_packet(void *handle, struct list_node *packets)
{
        struct message_packet *inner = handle;
        close_depth++;
        if (close_depth > close_depth_max)
                close_depth_max = close_depth;
        list_add_tail(packets, &inner->node);
        closed_count++;
        close_depth--;
}
static const struct message_packet_handle_ops packet_ops = {close_packet};

TEST(message_packet, packets_in_packets_are_freed_without_recursion)
{
        enum { DEPTH = 50 };
        struct message_packet *packet, *inner = NULL;
        make_bed(t);
        closed_count = close_depth_max = 0;
        for (unsigned i = 0; i < DEPTH; i++) {
                REQUIRE_OK(message_packet_create_kernel(&cache, pattern, 4, 1, &packet));
                message_packet_handles(packet)[0] = inner;
                message_packet_set_owns_handles(packet, true, &packet_ops);
                inner = packet;
        }
        EXPECT_EQ(pages_used(), DEPTH);
        message_packet_free(inner);
        EXPECT_EQ(closed_count, DEPTH - 1);
        EXPECT_EQ(close_depth_max, 1);
        expect_no_leak(t);
}

TEST(message_packet, lists_are_freed_whole)
{
        struct list_node packets;
        struct message_packet *packet;
        make_bed(t);
        list_init(&packets);
        message_packet_free_list(&packets);
        for (unsigned i = 0; i < 5; i++) {
                REQUIRE_OK(message_packet_create_kernel(&cache, pattern, 9000, 0, &packet));
                list_add_tail(&packets, &packet->node);
        }
        message_packet_free_list(&packets);
        EXPECT_TRUE(list_is_empty(&packets));
        expect_no_leak(t);
}

/* ---- memory is short: every allocation refused once ---- */

static zx_status_t create_one(unsigned kind, struct message_packet **packet)
{
        struct test_source source = {{read_pattern}, 0, SIZE_MAX / 2};
        struct test_iovecs gather = all_good();
        switch (kind) {
        case 0:
                return message_packet_create_kernel(&cache, pattern, BYTES_MAX, HANDLES_MAX,
                                                    packet);
        case 1:
                return message_packet_create(&cache, &source.base, 9000, 2, packet);
        case 2:
                return message_packet_create_iovecs(&cache, &gather.base, STEP, 2, packet);
        default:
                return message_packet_create_iovecs(&cache, &gather.base, STEP + 1, 2, packet);
        }
}

TEST(message_packet, each_page_refused_once)
{
        static const unsigned pages_needed[] = {17, 3, 3, 17};
        struct list_node taken;
        make_bed(t);
        list_init(&taken);
        for (unsigned i = 0; i <= STEP; i++)
                iovecs[i] = (struct message_packet_iovec){i, 560, 0};
        for (unsigned kind = 0; kind < ARRAY_COUNT(pages_needed); kind++) {
                for (uint64_t n = 0; n <= 17; n++) {
                        struct message_packet *packet = NULL;
                        REQUIRE_OK(pmm_alloc_pages(&pmm, FREE_PAGES - n, PMM_ALLOC_ANY, &taken));
                        zx_status_t status = TRIED(create_one(kind, &packet));
                        EXPECT_STATUS(n < pages_needed[kind] ? ZX_ERR_NO_MEMORY : ZX_OK, status);
                        EXPECT_EQ(packet != NULL, status == ZX_OK);
                        if (packet != NULL) {
                                EXPECT_TRUE(message_packet_valid(packet));
                                message_packet_free(packet);
                        }
                        EXPECT_EQ(pmm_count_free_pages(&pmm), n);
                        pmm_free(&pmm, &taken);
                        expect_no_leak(t);
                }
        }
}

/* A reserved field comes before sizes that add up to too much, and before a byte is read. */
TEST(message_packet, reserved_is_looked_at_before_bytes_and_sizes)
{
        struct message_packet *packet = NULL;
        make_bed(t);
        for (unsigned big = 0; big < 2; big++) {
                struct test_iovecs source = all_good();
                source.good_bytes = 0; /* the first byte read would be ACCESS_DENIED */
                cut(t, STEP, 5000);
                if (big)
                        iovecs[0].bytes = UINT32_MAX;
                iovecs[STEP - 1].reserved = 1;
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS, create_from(&source, STEP, 0, &packet));
                expect_no_leak(t);
        }
}
