/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/memory_map and kernel/pmm on a machine with 1 TiB: from a firmware's map to
 * arenas, pages out of each, exact counts. The physical map is address space without memory behind
 * it, of which only what the pmm writes becomes real. */
#include <sys/mman.h>

#include "base/bytes.h"
#include "kernel/memory_map.h"
#include "kernel/pmm.h"
#include "kernel/pmm_fragments.h"
#include "tests/expect.h"

#define MACHINE_BYTES (1024 * GIB)
#define LOW_BYTES (3 * GIB)
#define PHYSMAP_BYTES (LOW_BYTES + MACHINE_BYTES)

static struct memory_range ranges[32];
static struct memory_map map;
static struct memory_plan plan;
static struct pmm pmm;
static struct list_node list;
static char *physmap;

/* A PC: 3 GiB below 4 GiB with holes in the first MiB and before the end,
 * the rest from 4 GiB on. */
static bool make_machine(struct test *t)
{
        static const struct boot_region regions[] = {
                {0, 0x9fc00, BOOT_REGION_RAM, 0},
                {0x9fc00, 0x60400, BOOT_REGION_RESERVED, 0},
                {1 * MIB, LOW_BYTES - 1 * MIB, BOOT_REGION_RAM, 0},
                {LOW_BYTES - 64 * KIB, 64 * KIB, BOOT_REGION_ACPI_RECLAIM, 0},
                {4 * GIB, MACHINE_BYTES - LOW_BYTES, BOOT_REGION_RAM, 0},
        };
        map = (struct memory_map){.ranges = ranges, .capacity = ARRAY_COUNT(ranges)};
        list_init(&list);
        physmap = mmap(NULL, PHYSMAP_BYTES + GIB, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (physmap == MAP_FAILED) {
                test_skip(t, "no address space for 1 TiB");
                return false;
        }
        if (!EXPECT_OK(memory_map_normalise(&map, regions, ARRAY_COUNT(regions))) ||
            !EXPECT_OK(memory_map_carve(&map, 0, PAGE_BYTES)))
                return false;
        memory_map_plan_arenas(&map, &plan);
        if (!EXPECT_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)physmap)))
                return false;
        for (size_t i = 0; i < plan.arena_count; i++) {
                struct memory_range taken;
                uint64_t cursor = 0;
                if (!EXPECT_OK(pmm_add_arena_at(&pmm, &plan.arenas[i])))
                        return false;
                while (memory_map_next_taken(&map, &plan.arenas[i], &cursor, &taken))
                        EXPECT_OK(pmm_wire_range(&pmm, taken.pa, taken.bytes / PAGE_BYTES));
        }
        return true;
}

static void end_machine(void)
{
        if (physmap != MAP_FAILED)
                munmap(physmap, PHYSMAP_BYTES + GIB);
}

static uint64_t state_sum(void)
{
        uint64_t sum = 0;
        for (unsigned state = 0; state < VM_PAGE_STATE_COUNT; state++)
                sum += pmm_count_state(&pmm, (enum vm_page_state)state);
        return sum;
}

TEST(pmm_large, one_tebibyte_is_managed_to_the_last_page)
{
        if (make_machine(t)) {
                uint64_t managed = memory_map_bytes(&map, BOOT_REGION_RAM) +
                                   memory_map_bytes(&map, MEMORY_RANGE_IN_USE) + plan.hole_bytes;
                EXPECT_LE(plan.arena_count, (size_t)PMM_ARENA_COUNT_MAX);
                EXPECT_GT(plan.arena_count, (size_t)8); /* no arena is larger than 128 GiB */
                EXPECT_EQ(pmm_count_total_bytes(&pmm) + plan.left_out_bytes, managed);
                EXPECT_EQ(plan.left_out_bytes, 0u);
                EXPECT_EQ(state_sum() * PAGE_BYTES, pmm_count_total_bytes(&pmm));
                EXPECT_TRUE(pmm_valid(&pmm));
        }
        end_machine();
}

TEST(pmm_large, pages_come_from_high_and_low_and_go_back)
{
        struct vm_page *high, *low, *page;
        uint64_t pa;
        if (make_machine(t)) {
                uint64_t free_pages = pmm_count_free_pages(&pmm);
                EXPECT_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &high));
                EXPECT_GE(high->pa, 4 * GIB);
                EXPECT_OK(pmm_alloc_page(&pmm, PMM_ALLOC_LO_MEM, &low));
                EXPECT_LT(low->pa, 4 * GIB);

                /* The highest page of all, its name in 32 bits and back. */
                const struct pmm_arena *last = &pmm.arenas[pmm.arena_count - 1];
                pa = last->pa + (last->own_first > 0 ? last->own_first - 1 : last->page_count - 1) *
                                        PAGE_BYTES;
                EXPECT_GT(pa, 1000 * GIB);
                EXPECT_OK(pmm_alloc_range(&pmm, pa, 1, &list));
                page = vm_page_from_node(list.next);
                EXPECT_EQ(page->pa, pa);
                EXPECT_PTR_EQ(pmm_index_to_page(&pmm, pmm_page_to_index(&pmm, page)), page);
                EXPECT_EQ(pmm_index_to_pa(&pmm, pmm_page_to_index(&pmm, page)), pa);

                EXPECT_EQ(pmm_count_free_pages(&pmm), free_pages - 3);
                EXPECT_EQ(state_sum() * PAGE_BYTES, pmm_count_total_bytes(&pmm));
                pmm_free(&pmm, &list);
                pmm_free_page(&pmm, low);
                pmm_free_page(&pmm, high);
                EXPECT_EQ(pmm_count_free_pages(&pmm), free_pages);
                EXPECT_TRUE(pmm_valid(&pmm));
        }
        end_machine();
}

/* The largest number that a page of the largest arena has is one below 2^32. */
TEST(pmm_large, the_last_page_of_every_arena_has_a_name_in_32_bits)
{
        bool full = false;
        if (make_machine(t)) {
                for (uint32_t i = 0; i < pmm.arena_count; i++) {
                        const struct pmm_arena *arena = &pmm.arenas[i];
                        uint64_t pa = arena->pa + (arena->page_count - 1) * PAGE_BYTES;
                        struct vm_page *page = pmm_page_from_pa(&pmm, pa);
                        uint32_t index = pmm_page_to_index(&pmm, page);
                        EXPECT_EQ(index, (arena->page_count << 4 | i) << 3);
                        EXPECT_PTR_EQ(pmm_index_to_page(&pmm, index), page);
                        EXPECT_EQ(pmm_index_to_pa(&pmm, index), pa);
                        full = full || arena->page_count == PMM_ARENA_PAGES_MAX;
                }
                EXPECT_TRUE(full);
        }
        end_machine();
}

/* Runs longer than the last length that is told apart are counted with that. */
TEST(pmm_large, runs_of_any_length_are_counted)
{
        if (make_machine(t)) {
                struct pmm_fragments fragments = pmm_fragments(&pmm);
                uint64_t runs = 0;
                for (unsigned order = 0; order < PMM_FRAGMENTS_ORDER_COUNT; order++)
                        runs += fragments.runs[order];
                EXPECT_EQ(runs, fragments.run_count);
                EXPECT_EQ(fragments.free_pages, pmm_count_free_pages(&pmm));
                EXPECT_GE(fragments.runs[PMM_FRAGMENTS_ORDER_COUNT - 1], pmm.arena_count - 1);
                EXPECT_GT(fragments.longest_pages, 1ull << 24);
        }
        end_machine();
}

TEST(pmm_large, a_gibibyte_in_a_row_is_found_where_it_may_be)
{
        uint64_t pa;
        if (make_machine(t)) {
                uint64_t free_pages = pmm_count_free_pages(&pmm), run = GIB / PAGE_BYTES;
                EXPECT_OK(pmm_alloc_contiguous(&pmm, run, PMM_ALLOC_LO_MEM, 30, &pa, &list));
                EXPECT_TRUE(is_aligned(pa, GIB));
                EXPECT_LE(pa + GIB, 4 * GIB);
                pmm_free(&pmm, &list);
                EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                              pmm_alloc_contiguous(&pmm, 3 * run, PMM_ALLOC_LO_MEM, 0, &pa, &list));
                EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                              pmm_alloc_contiguous(&pmm, PMM_ARENA_PAGES_MAX + 1, PMM_ALLOC_ANY, 0,
                                                   &pa, &list));
                EXPECT_TRUE(list_is_empty(&list));
                EXPECT_EQ(pmm_count_free_pages(&pmm), free_pages);
        }
        end_machine();
}
