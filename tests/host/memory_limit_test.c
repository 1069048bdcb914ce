/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of memory_map_limit (kernel/memory_map.h), the rule behind kernel.memory-limit-mb. */
#include "base/bytes.h"
#include "kernel/memory_map.h"
#include "tests/expect.h"

static struct memory_range ranges[32];
static struct memory_map map;

/* 1..9 MiB RAM, 16..24 MiB RAM with 2 MiB of it in use from 18 MiB on, 30..31 MiB ACPI, 32..34 MiB
 * RAM, the last MiB of it the loader's: 18 MiB in all. */
static void make_map(struct test *t)
{
        static const struct boot_region regions[] = {
                {1 * MIB, 8 * MIB, BOOT_REGION_RAM, 0},
                {16 * MIB, 8 * MIB, BOOT_REGION_RAM, 0},
                {30 * MIB, 1 * MIB, BOOT_REGION_ACPI_RECLAIM, 0},
                {32 * MIB, 2 * MIB, BOOT_REGION_RAM, 0},
                {33 * MIB, 1 * MIB, BOOT_REGION_LOADER, 0},
        };
        map = (struct memory_map){.ranges = ranges, .capacity = ARRAY_COUNT(ranges)};
        REQUIRE_OK(memory_map_normalise(&map, regions, ARRAY_COUNT(regions)));
        REQUIRE_OK(memory_map_carve(&map, 18 * MIB, 2 * MIB));
}

static uint64_t managed_bytes(void)
{
        return memory_map_bytes(&map, BOOT_REGION_RAM) +
               memory_map_bytes(&map, BOOT_REGION_LOADER) +
               memory_map_bytes(&map, MEMORY_RANGE_IN_USE);
}

TEST(memory_limit, as_much_as_there_is_changes_nothing)
{
        make_map(t);
        size_t count = map.count;
        EXPECT_EQ(memory_map_limit(&map, 18 * MIB), 0);
        EXPECT_EQ(memory_map_limit(&map, UINT64_MAX), 0);
        EXPECT_EQ(map.count, count);
        EXPECT_EQ(managed_bytes(), 18 * MIB);
}

TEST(memory_limit, the_highest_ram_goes_first)
{
        make_map(t);
        EXPECT_EQ(memory_map_limit(&map, 17 * MIB + 4 * PAGE_BYTES), MIB - 4 * PAGE_BYTES);
        EXPECT_EQ(managed_bytes(), 17 * MIB + 4 * PAGE_BYTES);
        EXPECT_EQ(map.ranges[map.count - 2].pa, 32 * MIB);
        EXPECT_EQ(map.ranges[map.count - 2].bytes, 4 * PAGE_BYTES);
        EXPECT_EQ(map.ranges[map.count - 1].type, BOOT_REGION_LOADER);
        EXPECT_TRUE(memory_map_valid(&map));
}

TEST(memory_limit, what_is_in_use_stays)
{
        make_map(t);
        /* 1 MiB above, 4 MiB behind what is in use, 2 MiB before it, 1 MiB of the lowest. */
        EXPECT_EQ(memory_map_limit(&map, 10 * MIB), 8 * MIB);
        EXPECT_EQ(managed_bytes(), 10 * MIB);
        EXPECT_EQ(memory_map_bytes(&map, MEMORY_RANGE_IN_USE), 2 * MIB);
        EXPECT_EQ(memory_map_bytes(&map, BOOT_REGION_LOADER), 1 * MIB);
        EXPECT_EQ(map.ranges[0].pa, 1 * MIB);
        EXPECT_EQ(map.ranges[0].bytes, 7 * MIB);
        EXPECT_EQ(map.ranges[1].type, MEMORY_RANGE_IN_USE);
        EXPECT_EQ(memory_map_bytes(&map, BOOT_REGION_ACPI_RECLAIM), 1 * MIB);
        EXPECT_TRUE(memory_map_valid(&map));
}

TEST(memory_limit, no_more_ram_can_go_than_there_is)
{
        make_map(t);
        EXPECT_EQ(memory_map_limit(&map, 0), 15 * MIB);
        EXPECT_EQ(memory_map_bytes(&map, BOOT_REGION_RAM), 0);
        EXPECT_EQ(managed_bytes(), 3 * MIB);
        EXPECT_EQ(memory_map_limit(&map, 0), 0);
        EXPECT_TRUE(memory_map_valid(&map));
}

TEST(memory_limit, an_odd_limit_is_rounded_to_pages)
{
        make_map(t);
        EXPECT_EQ(memory_map_limit(&map, 18 * MIB - 1), PAGE_BYTES);
        EXPECT_EQ(managed_bytes(), 18 * MIB - PAGE_BYTES);
        EXPECT_TRUE(memory_map_valid(&map));
}
