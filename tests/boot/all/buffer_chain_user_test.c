/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/buffer_chain_user: chains and message packets from and to user pages that are
 * mapped, read-only and missing, and kernel addresses. */
#include "tests/expect.h"

#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "kernel/buffer_chain_boot.h"
#include "kernel/buffer_chain_user.h"
#include "kernel/memory.h"

/* hole | pages 0 .. 2, writable | page 3, read-only | hole */
#define USER_VA 0x00006ffe12340000ull
#define USER_PAGES 4
#define USER_BYTES (USER_PAGES * PAGE_BYTES)
#define HOLE_VA (USER_VA + USER_BYTES)
#define READ_ONLY_VA (HOLE_VA - PAGE_BYTES)
#define KERNEL_VA ARCH_PHYSMAP_BASE
#define FIRST BUFFER_CHAIN_CONTIG_BYTES
#define NEXT BUFFER_CHAIN_RAW_DATA_BYTES

static uint8_t *user, *out; /* the user pages as the kernel sees them; USER_BYTES each */
static struct page_cache *const cache = &kernel_buffer_chain_cache;
static uint64_t ipc_pages;

static void map_user(struct test *t)
{
        uint64_t pa;

        user = world_pages(t, USER_PAGES, &pa);
        out = world_pages(t, USER_PAGES, NULL);
        for (size_t i = 0; i < USER_BYTES; i++)
                user[i] = (uint8_t)(i * 7 + (i >> 8) * 3 + 1);
        ipc_pages = pmm_count_state(&kernel_pmm, VM_PAGE_IPC);
        REQUIRE_OK(arch_map(USER_VA, pa, USER_BYTES - PAGE_BYTES, ARCH_MAP_WRITE | ARCH_MAP_USER,
                            &memory_table_source));
        REQUIRE_OK(arch_map(READ_ONLY_VA, pa + USER_BYTES - PAGE_BYTES, PAGE_BYTES, ARCH_MAP_USER,
                            &memory_table_source));
}

static void unmap_user(struct test *t)
{
        EXPECT_OK(arch_unmap(USER_VA, USER_BYTES));
        EXPECT_EQ(pmm_count_state(&kernel_pmm, VM_PAGE_IPC), ipc_pages);
}

/* Appends [va, va + bytes) to a chain with room for `room`;
 * the chain must hold `copied` bytes of it. */
static void expect_append(struct test *t, zx_status_t status, uint64_t va, size_t bytes,
                          size_t copied)
{
        struct buffer_chain *chain;
        size_t got = SIZE_MAX;

        REQUIRE_OK(buffer_chain_alloc(cache, 3 * NEXT, &chain));
        EXPECT_STATUS(status, buffer_chain_append_user(chain, va, bytes, &got));
        EXPECT_EQ(got, copied);
        EXPECT_EQ(buffer_chain_length(chain), copied);
        EXPECT_TRUE(buffer_chain_valid(chain));
        EXPECT_OK(buffer_chain_copy_out_kernel(chain, out, 0, copied));
        if (copied > 0)
                EXPECT_BYTES_EQ(out, user + (va - USER_VA), copied);
        if (status != ZX_OK) { /* closed */
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                              buffer_chain_append_user(chain, USER_VA, 1, &got));
                EXPECT_EQ(got, 0);
                EXPECT_OK(buffer_chain_append_user(chain, KERNEL_VA, 0, &got));
        }
        buffer_chain_free(chain);
}

TEST(buffer_chain_user, append)
{
        map_user(t);
        expect_append(t, ZX_OK, USER_VA, FIRST + NEXT + 100, FIRST + NEXT + 100);
        expect_append(t, ZX_OK, READ_ONLY_VA + 1, PAGE_BYTES - 1, PAGE_BYTES - 1);
        expect_append(t, ZX_OK, KERNEL_VA, 0, 0);
        expect_append(t, ZX_ERR_INVALID_ARGS, KERNEL_VA, 8, 0);
        expect_append(t, ZX_ERR_INVALID_ARGS, UINT64_MAX - 7, 16, 0);
        expect_append(t, ZX_ERR_INVALID_ARGS, ARCH_USER_END - 8, 9, 0);
        /* The whole range is checked first: not a byte of its good part. */
        expect_append(t, ZX_ERR_INVALID_ARGS, USER_VA, ARCH_USER_END - USER_VA + 1, 0);
        expect_append(t, ZX_ERR_NOT_FOUND, HOLE_VA, 8, 0);
        expect_append(t, ZX_ERR_NOT_FOUND, 0, 8, 0);
        /* A fault in the first buffer's piece, in the second's, right between them,
         * in the third's. */
        expect_append(t, ZX_ERR_NOT_FOUND, HOLE_VA - 100, 101, 0);
        expect_append(t, ZX_ERR_NOT_FOUND, HOLE_VA - FIRST - 100, FIRST + 101, FIRST);
        expect_append(t, ZX_ERR_NOT_FOUND, HOLE_VA - FIRST, FIRST + 1, FIRST);
        expect_append(t, ZX_ERR_NOT_FOUND, HOLE_VA - FIRST - NEXT - 1, FIRST + NEXT + 2,
                      FIRST + NEXT);
        unmap_user(t);
}

/* Copies a chain of `bytes` bytes to `va`; `copied` bytes must arrive, and nothing behind them. */
static void expect_copy_out(struct test *t, zx_status_t status, uint64_t va, size_t bytes,
                            size_t copied)
{
        struct buffer_chain *chain;
        size_t got = SIZE_MAX;

        for (size_t i = 0; i < bytes; i++)
                out[i] = (uint8_t)(i * 5 + 9);
        memset(user, 0xee, USER_BYTES);
        REQUIRE_OK(buffer_chain_alloc(cache, bytes, &chain));
        REQUIRE_OK(buffer_chain_append_kernel(chain, out, bytes, NULL));
        EXPECT_STATUS(status, buffer_chain_copy_out_user(chain, va, 1, bytes - 1, &got));
        EXPECT_EQ(got, copied);
        if (copied > 0)
                EXPECT_BYTES_EQ(user + (va - USER_VA), out + 1, copied);
        for (size_t i = 0; i < USER_BYTES; i++) {
                size_t at = va - USER_VA;
                if ((copied == 0 || i < at || i >= at + copied) && user[i] != 0xee) {
                        EXPECT_EQ(i, SIZE_MAX); /* written where nothing was to be written */
                        break;
                }
        }
        got = 42;
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, buffer_chain_copy_out_user(chain, va, 1, bytes, &got));
        EXPECT_EQ(got, 0);
        EXPECT_OK(buffer_chain_copy_out_user(chain, KERNEL_VA, bytes, 0, NULL));
        buffer_chain_free(chain);
}

TEST(buffer_chain_user, copy_out)
{
        map_user(t);
        expect_copy_out(t, ZX_OK, USER_VA, FIRST + NEXT + 1, FIRST + NEXT);
        expect_copy_out(t, ZX_ERR_INVALID_ARGS, KERNEL_VA, 9, 0);
        expect_copy_out(t, ZX_ERR_INVALID_ARGS, ARCH_USER_END - 8, 10, 0);
        expect_copy_out(t, ZX_ERR_NOT_FOUND, HOLE_VA, 9, 0);
        expect_copy_out(t, ZX_ERR_ACCESS_DENIED, READ_ONLY_VA, 9, 0);
        expect_copy_out(t, ZX_ERR_ACCESS_DENIED, READ_ONLY_VA - 13, 100, 13);
        expect_copy_out(t, ZX_ERR_ACCESS_DENIED, READ_ONLY_VA - FIRST - 13, FIRST + NEXT,
                        FIRST + 13);
        unmap_user(t);
}

/* The last page of the user half is there, and a message that begins in it ends behind it: not a
 * byte is written. */
TEST(buffer_chain_user, copy_out_checks_the_whole_range_first)
{
        struct buffer_chain *chain;
        size_t got = 42;
        uint64_t pa;
        uint8_t *last = world_pages(t, 1, &pa);

        REQUIRE_OK(arch_map(ARCH_USER_END - PAGE_BYTES, pa, PAGE_BYTES,
                            ARCH_MAP_WRITE | ARCH_MAP_USER, &memory_table_source));
        REQUIRE_OK(buffer_chain_alloc(cache, 2 * FIRST, &chain));
        memset(last, 0xee, PAGE_BYTES);
        REQUIRE_OK(buffer_chain_append_kernel(chain, last, FIRST, NULL));
        REQUIRE_OK(buffer_chain_append_kernel(chain, last, FIRST, NULL));
        memset(last, 0x11, PAGE_BYTES);
        EXPECT_OK(buffer_chain_copy_out_user(chain, ARCH_USER_END - 8, 0, 8, NULL));
        EXPECT_EQ(last[PAGE_BYTES - 1], 0xee);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                      buffer_chain_copy_out_user(chain, ARCH_USER_END - PAGE_BYTES, 0, 2 * FIRST,
                                                 &got));
        EXPECT_EQ(got, 0);
        EXPECT_EQ(last[0], 0x11);
        buffer_chain_free(chain);
        EXPECT_OK(arch_unmap(ARCH_USER_END - PAGE_BYTES, PAGE_BYTES));
}

/* ---- packets ---- */

TEST(buffer_chain_user, packets)
{
        struct buffer_chain_user_source source = buffer_chain_user_source(USER_VA + 5);
        struct buffer_chain_user_source bad = buffer_chain_user_source(HOLE_VA - 5000);
        struct buffer_chain_user_sink sink;
        struct message_packet *packet = NULL;

        map_user(t);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      message_packet_create(cache, &bad.base, 5001, 2, &packet));
        REQUIRE_OK(message_packet_create(cache, &source.base, 5000, 2, &packet));
        EXPECT_TRUE(message_packet_valid(packet));
        message_packet_copy_data_kernel(packet, out);
        EXPECT_BYTES_EQ(out, user + 5, 5000);
        sink = buffer_chain_user_sink(USER_VA + 6000);
        EXPECT_OK(message_packet_copy_data(packet, &sink.base));
        EXPECT_BYTES_EQ(user + 6000, out, 5000);
        sink = buffer_chain_user_sink(READ_ONLY_VA - 4999);
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, message_packet_copy_data(packet, &sink.base));
        EXPECT_EQ(sink.user_va, READ_ONLY_VA);
        message_packet_free(packet);
        unmap_user(t);
}

/* `count` iovecs at `array_va`, of 10 bytes each from USER_VA + 4096 on. */
static void put_iovecs(uint64_t array_va, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++) {
                struct message_packet_iovec iovec = {USER_VA + 4096 + 10 * i, 10, 0};
                memcpy(user + (array_va - USER_VA) + i * sizeof(iovec), &iovec, sizeof(iovec));
        }
}

static zx_status_t gather(struct test *t, uint64_t array_va, uint32_t count)
{
        struct message_packet_user_iovecs source = message_packet_user_iovecs(array_va);
        struct message_packet *packet = NULL;
        zx_status_t status =
                TRIED(message_packet_create_iovecs(cache, &source.base, count, 0, &packet));

        if (status != ZX_OK)
                return status;
        EXPECT_EQ(message_packet_data_bytes(packet), 10 * count);
        message_packet_copy_data_kernel(packet, out);
        EXPECT_BYTES_EQ(out, user + 4096, 10 * count);
        message_packet_free(packet);
        return ZX_OK;
}

TEST(buffer_chain_user, iovecs)
{
        static const uint32_t counts[] = {16, 17, 40};
        struct message_packet_iovec iovec;

        map_user(t);
        for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
                put_iovecs(USER_VA + 3, counts[i]); /* no alignment is asked for */
                EXPECT_OK(gather(t, USER_VA + 3, counts[i]));
                put_iovecs(HOLE_VA - 16 * (counts[i] - 1), counts[i] - 1);
                EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                              gather(t, HOLE_VA - 16 * (counts[i] - 1), counts[i]));
        }
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, gather(t, KERNEL_VA, 1));
        /* wraps behind a step */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, gather(t, UINT64_MAX - 15, 40));
        put_iovecs(USER_VA, 20);
        iovec = (struct message_packet_iovec){KERNEL_VA, 8, 0};
        memcpy(user + 19 * 16, &iovec, sizeof(iovec));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, gather(t, USER_VA, 20));
        iovec = (struct message_packet_iovec){HOLE_VA - 4, 8, 0};
        memcpy(user + 19 * 16, &iovec, sizeof(iovec));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, gather(t, USER_VA, 20));
        unmap_user(t);
}
