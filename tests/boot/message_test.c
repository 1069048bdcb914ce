/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of BufferChains on the kernel's own page cache: kernel/buffer_chain_boot.c, and that
 * the command line's kernel.bufferchain.reserve-pages is what the cache does. (The chain
 * itself: buffer_chain_test.c.) */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/buffer_chain.h"
#include "kernel/buffer_chain_boot.h"
#include "kernel/memory.h"

#define MESSAGE_BYTES 65536 /* a channel message of the largest size: 17 pages */

static uint8_t pattern_byte(size_t index)
{
        return (uint8_t)(index * 31 + (index >> 8));
}

TEST(message, largest_message_through_kernel_memory)
{
        uint64_t pa;
        uint8_t *in = world_pages(t, MESSAGE_BYTES / PAGE_BYTES, &pa);
        uint8_t *out = world_pages(t, MESSAGE_BYTES / PAGE_BYTES, &pa);
        uint64_t buffers_before = pmm_count_state(&kernel_pmm, VM_PAGE_IPC);
        struct buffer_chain *chain;
        size_t copied;

        for (size_t i = 0; i < MESSAGE_BYTES; i++)
                in[i] = pattern_byte(i);
        REQUIRE_OK(buffer_chain_alloc(&kernel_buffer_chain_cache, MESSAGE_BYTES, &chain));
        EXPECT_OK(buffer_chain_append_kernel(chain, in, MESSAGE_BYTES, &copied));
        EXPECT_EQ(copied, MESSAGE_BYTES);
        EXPECT_EQ(pmm_count_state(&kernel_pmm, VM_PAGE_IPC) - buffers_before, 17);
        EXPECT_OK(buffer_chain_copy_out_kernel(chain, out, 0, MESSAGE_BYTES));
        EXPECT_BYTES_EQ(out, in, MESSAGE_BYTES);
        buffer_chain_free(chain);
        EXPECT_EQ(pmm_count_state(&kernel_pmm, VM_PAGE_IPC), buffers_before);
}

TEST(message, stock_is_the_reserve_of_the_command_line)
{
        struct page_cache *cache = &kernel_buffer_chain_cache;
        uint64_t many_pages = 3ull * cache->reserve_pages + 1, free_before;
        struct buffer_chain *chain;

        if (pmm_count_free_pages(&kernel_pmm) < 2 * many_pages)
                SKIP("the machine has too little memory for three times the reserve");
        REQUIRE_OK(
                buffer_chain_alloc(cache, (many_pages - 1) * BUFFER_CHAIN_RAW_DATA_BYTES, &chain));
        buffer_chain_free(chain);
        EXPECT_EQ(page_cache_available(cache, 0), cache->reserve_pages);

        /* With the stock full, a message within the reserve does not touch the pmm. */
        free_before = pmm_count_free_pages(&kernel_pmm);
        if (cache->reserve_pages == 0)
                return;
        REQUIRE_OK(buffer_chain_alloc(cache, 64, &chain));
        EXPECT_EQ(pmm_count_free_pages(&kernel_pmm), free_before);
        EXPECT_EQ(page_cache_available(cache, 0), cache->reserve_pages - 1);
        buffer_chain_free(chain);
        EXPECT_TRUE(page_cache_valid(cache));
        EXPECT_TRUE(pmm_valid(&kernel_pmm));
}
