/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of arch/x86_64/paging.c and of the windows of kernel/memory.c, on the live tables. */
#include "tests/expect.h"

#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "kernel/memory.h"

/* An address that nothing here maps, in a slot of the root table of its own. */
#define SCRATCH_VA 0xffffc00000000000ull

/* Where the I/O APIC of a PC is; on no machine RAM. */
#define REGISTERS_PA 0xfec00000u

struct few_pages {
        unsigned left;
};

static uint64_t few_pages_alloc(void *context)
{
        struct few_pages *few = context;

        if (few->left == 0)
                return 0;
        few->left--;
        return memory_table_source.alloc_page(NULL);
}

TEST(paging, map_query_unmap)
{
        uint64_t pa, found_pa, page_bytes;
        uint32_t flags;
        volatile uint32_t *direct = world_pages(t, 1, &pa);
        volatile uint32_t *window = (volatile uint32_t *)SCRATCH_VA;

        EXPECT_STATUS(ZX_ERR_NOT_FOUND, arch_query(SCRATCH_VA, NULL, NULL, NULL));
        REQUIRE_OK(arch_map(SCRATCH_VA, pa, PAGE_BYTES, ARCH_MAP_WRITE, &memory_table_source));
        EXPECT_OK(arch_query(SCRATCH_VA + 5, &found_pa, &flags, &page_bytes));
        EXPECT_EQ(found_pa, pa + 5);
        EXPECT_EQ(flags, ARCH_MAP_WRITE);
        EXPECT_EQ(page_bytes, PAGE_BYTES);

        *window = 0x12345678;
        EXPECT_EQ(*direct, 0x12345678);
        *direct = 0x9abcdef0;
        EXPECT_EQ(*window, 0x9abcdef0);

        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS,
                      arch_map(SCRATCH_VA, pa, PAGE_BYTES, 0, &memory_table_source));
        EXPECT_OK(arch_unmap(SCRATCH_VA, PAGE_BYTES));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, arch_query(SCRATCH_VA, NULL, NULL, NULL));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, arch_unmap(SCRATCH_VA, PAGE_BYTES));
}

TEST(paging, remapping_shows_the_new_page)
{
        uint64_t pa[2];
        uint8_t *first = world_pages(t, 1, &pa[0]), *second = world_pages(t, 1, &pa[1]);
        volatile uint8_t *window = (volatile uint8_t *)SCRATCH_VA;

        *first = 1;
        *second = 2;
        for (unsigned i = 0; i < 2; i++) {
                REQUIRE_OK(arch_map(SCRATCH_VA, pa[i], PAGE_BYTES, ARCH_MAP_GLOBAL,
                                    &memory_table_source));
                EXPECT_EQ(*window, i + 1); /* a stale translation would still show 1 */
                REQUIRE_OK(arch_unmap(SCRATCH_VA, PAGE_BYTES));
        }
}

TEST(paging, bad_ranges_are_refused)
{
        const struct arch_table_source *source = &memory_table_source;

        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, arch_map(SCRATCH_VA, 0, 0, 0, source));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, arch_map(SCRATCH_VA + 1, 0, PAGE_BYTES, 0, source));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, arch_map(SCRATCH_VA, 8, PAGE_BYTES, 0, source));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, arch_map(SCRATCH_VA, 0, PAGE_BYTES + 1, 0, source));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, arch_map(SCRATCH_VA, 1ull << 60, PAGE_BYTES, 0, source));
        /* Wraps around the end of the address space; runs through the hole in the middle. */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, arch_map(0 - PAGE_BYTES, 0, 2 * PAGE_BYTES, 0, source));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                      arch_map((1ull << 63) - PAGE_BYTES, 0, 2 * PAGE_BYTES, 0, source));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, arch_unmap(SCRATCH_VA, 0));
}

TEST(paging, large_pages_where_alignment_allows)
{
        /* 2 MiB of address space from 1 MiB before a large page to 1 MiB behind the next one. */
        uint64_t va = SCRATCH_VA + GIB + MIB, pa = GIB + MIB, page_bytes;

        REQUIRE_OK(arch_map(va, pa, 4 * MIB, 0, &memory_table_source));
        EXPECT_OK(arch_query(va, NULL, NULL, &page_bytes));
        EXPECT_EQ(page_bytes, PAGE_BYTES);
        EXPECT_OK(arch_query(va + MIB + 12345, &pa, NULL, &page_bytes));
        EXPECT_EQ(page_bytes, 2 * MIB);
        EXPECT_EQ(pa, GIB + 2 * MIB + 12345);
        EXPECT_OK(arch_query(va + 4 * MIB - 1, &pa, NULL, &page_bytes));
        EXPECT_EQ(page_bytes, PAGE_BYTES);
        EXPECT_EQ(pa, GIB + 5 * MIB - 1);
        /* A small page inside the large one is taken. */
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS,
                      arch_map(va + 2 * MIB, 0, PAGE_BYTES, 0, &memory_table_source));
        EXPECT_OK(arch_unmap(va, 4 * MIB));
}

/* Tables stay when their last page goes; a large page at their address
 * must do without being large. */
TEST(paging, tables_left_behind_are_in_nobodys_way)
{
        uint64_t va = SCRATCH_VA + 2 * GIB, found_pa;

        REQUIRE_OK(arch_map(va + MIB, 0, PAGE_BYTES, 0, &memory_table_source));
        REQUIRE_OK(arch_unmap(va + MIB, PAGE_BYTES));
        REQUIRE_OK(arch_map(va, 4 * MIB, 4 * MIB, 0, &memory_table_source));
        EXPECT_OK(arch_query(va + MIB, &found_pa, NULL, NULL));
        EXPECT_EQ(found_pa, 5 * MIB);
        EXPECT_OK(arch_query(va + 3 * MIB, &found_pa, NULL, NULL));
        EXPECT_EQ(found_pa, 7 * MIB);
        EXPECT_OK(arch_unmap(va, 4 * MIB));

        /* A table that is in use still is in the way, and nothing stays of the attempt. */
        REQUIRE_OK(arch_map(va + MIB, 0, PAGE_BYTES, 0, &memory_table_source));
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS,
                      arch_map(va, 4 * MIB, 2 * MIB, 0, &memory_table_source));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, arch_query(va, NULL, NULL, NULL));
        EXPECT_OK(arch_unmap(va + MIB, PAGE_BYTES));
}

TEST(paging, nothing_stays_after_a_failure)
{
        /* A fresh root slot: three tables for the first page. */
        uint64_t va = SCRATCH_VA + (1ull << 39);
        struct few_pages few;
        struct arch_table_source source = {.alloc_page = few_pages_alloc, .context = &few};

        for (few.left = 0; few.left < 3;) {
                unsigned given = few.left;
                EXPECT_STATUS(ZX_ERR_NO_MEMORY, arch_map(va, 0, PAGE_BYTES, 0, &source));
                EXPECT_STATUS(ZX_ERR_NOT_FOUND, arch_query(va, NULL, NULL, NULL));
                va += 1ull << 39;
                few.left = given + 1;
        }
        /* The last page of one table, then the first of the next, for which there is no page. */
        few.left = 3;
        va += 2 * MIB - PAGE_BYTES;
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, arch_map(va, 0, 2 * PAGE_BYTES, 0, &source));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, arch_query(va, NULL, NULL, NULL));
        /* The second page is in the way. */
        REQUIRE_OK(arch_map(va + PAGE_BYTES, 0, PAGE_BYTES, 0, &memory_table_source));
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS,
                      arch_map(va, 0, 2 * PAGE_BYTES, 0, &memory_table_source));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, arch_query(va, NULL, NULL, NULL));
        EXPECT_OK(arch_unmap(va + PAGE_BYTES, PAGE_BYTES));
}

TEST(paging, image_is_mapped_as_drawn)
{
        const struct arch_image_part *parts;
        size_t count = arch_image_parts(&parts);
        uint32_t flags;

        for (size_t i = 0; i < count; i++) {
                uint64_t end = parts[i].va + parts[i].bytes;
                for (uint64_t va = parts[i].va; va < end; va += PAGE_BYTES) {
                        REQUIRE_OK(arch_query(va, NULL, &flags, NULL));
                        REQUIRE_EQ(flags, parts[i].protection | ARCH_MAP_GLOBAL);
                }
        }
        for (size_t i = 3; i < count; i++) /* the stacks */
                EXPECT_STATUS(ZX_ERR_NOT_FOUND, arch_query(parts[i].va - 1, NULL, NULL, NULL));
}

TEST(paging, no_second_way_to_the_image)
{
        const struct arch_image_part *parts;

        arch_image_parts(&parts);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      arch_query((uint64_t)memory_pa_to_va(memory_va_to_pa((void *)parts[0].va)),
                                 NULL, NULL, NULL));
}

TEST(paging, physical_map_is_data)
{
        uint64_t pa, found_pa;
        uint32_t flags;
        void *va = world_pages(t, 1, &pa);

        EXPECT_EQ(memory_va_to_pa(va), pa);
        EXPECT_PTR_EQ(memory_pa_to_va(pa), va);
        REQUIRE_OK(arch_query((uint64_t)va, &found_pa, &flags, NULL));
        EXPECT_EQ(found_pa, pa);
        EXPECT_EQ(flags, ARCH_MAP_WRITE | ARCH_MAP_GLOBAL);
}

TEST(paging, windows)
{
        uint64_t pa;
        uint32_t flags;
        char *page = world_pages(t, 2, &pa);
        void *window;

        memcpy(page + PAGE_BYTES - 4, "straddle", 8);
        REQUIRE_OK(memory_map_physical(pa + PAGE_BYTES - 4, 8, MEMORY_MAP_TABLE, &window));
        EXPECT_BYTES_EQ(window, "straddle", 8);
        EXPECT_OK(arch_query((uint64_t)window, NULL, &flags, NULL));
        EXPECT_EQ(flags, ARCH_MAP_GLOBAL);
        REQUIRE_OK(memory_map_physical(REGISTERS_PA, 1, MEMORY_MAP_DEVICE, &window));
        EXPECT_OK(arch_query((uint64_t)window, NULL, &flags, NULL));
        EXPECT_EQ(flags, ARCH_MAP_GLOBAL | ARCH_MAP_WRITE | ARCH_MAP_UNCACHED);

        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, memory_map_physical(pa, 0, MEMORY_MAP_TABLE, &window));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                      memory_map_physical(UINT64_MAX, 2, MEMORY_MAP_TABLE, &window));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                      memory_map_physical(1ull << 60, 1, MEMORY_MAP_TABLE, &window));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY,
                      memory_map_physical(0, 1ull << 45, MEMORY_MAP_TABLE, &window));
}

/* Tables and BARs are written by others: registers that they place into
 * RAM would let us write there. */
TEST(paging, no_registers_in_ram)
{
        const struct arch_image_part *parts;
        struct pmm_arena_info arena;
        uint64_t pa;
        void *window = NULL;

        world_pages(t, 2, &pa);
        arch_image_parts(&parts);
        REQUIRE_OK(pmm_arena_info(&kernel_pmm, 1, 0, &arena, sizeof(arena)));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, memory_map_physical(pa, 1, MEMORY_MAP_DEVICE, &window));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                      memory_map_physical(pa + PAGE_BYTES - 4, 8, MEMORY_MAP_DEVICE, &window));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, /* the kernel's own code */
                      memory_map_physical(memory_va_to_pa((void *)parts[0].va), 32,
                                          MEMORY_MAP_DEVICE, &window));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, /* a page of the arena's structures, or its last page */
                      memory_map_physical(arena.base_pa + arena.bytes - 1, 1, MEMORY_MAP_DEVICE,
                                          &window));
        EXPECT_STATUS(
                ZX_ERR_ACCESS_DENIED, /* all of it */
                memory_map_physical(0, arena.base_pa + arena.bytes, MEMORY_MAP_DEVICE, &window));
        EXPECT_PTR_EQ(window, NULL);
}
