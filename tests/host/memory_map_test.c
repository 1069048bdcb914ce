/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/memory_map: maps drawn by hand, a random differential against a model that paints
 * quarter pages, and plans that a real pmm takes. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/memory_map.h"

#define CAPACITY 64

static struct memory_range ranges[CAPACITY];

static struct memory_map empty_map(void)
{
        return (struct memory_map){.ranges = ranges, .capacity = CAPACITY};
}

struct expected {
        uint64_t pa, end;
        uint32_t type;
};

static void expect_ranges(struct test *t, const struct memory_map *map,
                          const struct expected *expected, size_t count)
{
        EXPECT_TRUE(memory_map_valid(map));
        REQUIRE_EQ(map->count, count);
        for (size_t i = 0; i < count; i++) {
                EXPECT_EQ(map->ranges[i].pa, expected[i].pa);
                EXPECT_EQ(map->ranges[i].pa + map->ranges[i].bytes, expected[i].end);
                EXPECT_EQ(map->ranges[i].type, expected[i].type);
        }
}

#define EXPECT_RANGES(map, ...)                                                     \
        do {                                                                        \
                static const struct expected expected_[] = {__VA_ARGS__};           \
                expect_ranges(t, (map), expected_, ARRAY_COUNT(expected_));         \
        } while (0)

/* Normalises the regions given as {pa, bytes, type, 0} into `map`. */
#define NORMALISE(map, ...)                                                                     \
        do {                                                                                    \
                static const struct boot_region regions_[] = {__VA_ARGS__};                     \
                REQUIRE_OK(memory_map_normalise((map), regions_, ARRAY_COUNT(regions_)));       \
        } while (0)

#define RAM BOOT_REGION_RAM
#define LOADER BOOT_REGION_LOADER
#define NVS BOOT_REGION_ACPI_NVS
#define RESERVED BOOT_REGION_RESERVED
#define IN_USE MEMORY_RANGE_IN_USE

/* ---- normalising ---- */

TEST(memory_map, nothing_gives_an_empty_map)
{
        struct memory_map map = empty_map();
        EXPECT_OK(memory_map_normalise(&map, NULL, 0));
        EXPECT_EQ(map.count, 0);
        NORMALISE(&map, {0x1000, 0, RAM, 0}, {0x5001, 0, RESERVED, 0});
        EXPECT_EQ(map.count, 0);
}

TEST(memory_map, unsorted_regions_are_sorted_and_joined)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0x9000, 0x1000, RAM, 0}, {0x1000, 0x1000, RAM, 0},
                  {0x3000, 0x1000, RESERVED, 0}, {0x2000, 0x1000, RAM, 0});
        EXPECT_RANGES(&map, {0x1000, 0x3000, RAM}, {0x3000, 0x4000, RESERVED},
                      {0x9000, 0xa000, RAM});
}

TEST(memory_map, less_usable_type_wins_whatever_the_order)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0x2000, 0x2000, RESERVED, 0}, {0, 0x8000, RAM, 0},
                  {0x3000, 0x2000, NVS, 0});
        EXPECT_RANGES(&map, {0, 0x2000, RAM}, {0x2000, 0x4000, RESERVED}, {0x4000, 0x5000, NVS},
                      {0x5000, 0x8000, RAM});
        NORMALISE(&map, {0, 0x8000, RAM, 0}, {0x3000, 0x2000, NVS, 0},
                  {0x2000, 0x2000, RESERVED, 0});
        EXPECT_RANGES(&map, {0, 0x2000, RAM}, {0x2000, 0x4000, RESERVED}, {0x4000, 0x5000, NVS},
                      {0x5000, 0x8000, RAM});
}

TEST(memory_map, one_region_over_many_fills_the_holes)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0x1000, 0x1000, RAM, 0}, {0x3000, 0x1000, RESERVED, 0},
                  {0x5000, 0x1000, RAM, 0}, {0, 0x8000, NVS, 0});
        EXPECT_RANGES(&map, {0, 0x3000, NVS}, {0x3000, 0x4000, RESERVED}, {0x4000, 0x8000, NVS});
}

TEST(memory_map, ram_shrinks_and_the_rest_grows_to_pages)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0, 0x9fc00, RAM, 0}, {0x9fc00, 0x400, RESERVED, 0},
                  {0x100800, 0x2000, RAM, 0});
        EXPECT_RANGES(&map, {0, 0x9f000, RAM}, {0x9f000, 0xa0000, RESERVED},
                      {0x101000, 0x102000, RAM});
}

TEST(memory_map, ram_less_than_a_page_vanishes)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0x1001, 0x1ffe, RAM, 0}, {0x8000, 0xfff, RAM, 0});
        EXPECT_EQ(map.count, 0);
}

TEST(memory_map, pieces_that_touch_inside_a_page_make_it_whole)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0x1000, 0x800, RAM, 0}, {0x1800, 0x800, RAM, 0});
        EXPECT_RANGES(&map, {0x1000, 0x2000, RAM});
        NORMALISE(&map, {0x1000, 0x1800, RAM, 0}, {0x2800, 0x1800, LOADER, 0});
        EXPECT_RANGES(&map, {0x1000, 0x2000, RAM}, {0x2000, 0x4000, LOADER});
}

TEST(memory_map, loader_over_ram_stays_loader_and_no_page_is_lost)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0x3400, 0x100, LOADER, 0}, {0, 0x8000, RAM, 0});
        EXPECT_RANGES(&map, {0, 0x3000, RAM}, {0x3000, 0x4000, LOADER}, {0x4000, 0x8000, RAM});
}

TEST(memory_map, wrapping_ram_is_not_believed)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0xfffffffffff00000, 0x200000, RAM, 0}, {0, 0x4000, RAM, 0});
        EXPECT_RANGES(&map, {0, 0x4000, RAM}, {0xfffffffffff00000, 0xfffffffffffff000, RESERVED});
        EXPECT_EQ(map.wrapping_count, 1);
}

TEST(memory_map, last_page_of_the_address_space_is_left_out)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0xffffffffffffe000, 0x1fff, UINT32_MAX, 0},
                  {0xfffffffffffff800, 0x7ff, RAM, 0});
        EXPECT_RANGES(&map, {0xffffffffffffe000, 0xfffffffffffff000, RESERVED});
        EXPECT_EQ(map.unknown_count, 1);
        EXPECT_EQ(map.wrapping_count, 0);
}

TEST(memory_map, unknown_types_are_reserved)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0, 0x4000, RAM, 0}, {0x1000, 0x1000, 0, 0}, {0x2000, 0x1000, 7, 0});
        EXPECT_RANGES(&map, {0, 0x1000, RAM}, {0x1000, 0x3000, RESERVED}, {0x3000, 0x4000, RAM});
        EXPECT_EQ(map.unknown_count, 2);
}

TEST(memory_map, an_array_too_small_is_an_error)
{
        static const struct boot_region regions[] = {
                {0, 0x1000, RAM, 0}, {0x2000, 0x1000, RAM, 0}, {0x4000, 0x1000, RAM, 0}};
        struct memory_map map = {.ranges = ranges, .capacity = 2};
        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL, memory_map_normalise(&map, regions, 3));
        EXPECT_EQ(map.count, 0);
        map.capacity = 3;
        EXPECT_OK(memory_map_normalise(&map, regions, 3));
        EXPECT_EQ(map.count, 3);
        map.capacity = 0;
        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL, memory_map_normalise(&map, regions, 1));
}

/* The model: the type of each quarter of each page of a small address space, 0 for a hole. */
#define MODEL_PAGES 48
#define QUARTERS 4
#define QUARTER_BYTES (PAGE_BYTES / QUARTERS)

/* What a page must be, by looking at its quarters. */
static uint32_t model_page_type(const uint8_t *quarters)
{
        uint32_t worst = 0;
        bool hole = false;
        for (size_t i = 0; i < QUARTERS; i++) {
                worst = quarters[i] > worst ? quarters[i] : worst;
                hole |= quarters[i] == 0;
        }
        return hole && worst <= BOOT_REGION_LOADER ? 0 : worst;
}

static uint32_t map_page_type(const struct memory_map *map, uint64_t pa)
{
        for (size_t i = 0; i < map->count; i++) {
                if (pa >= map->ranges[i].pa && pa - map->ranges[i].pa < map->ranges[i].bytes)
                        return map->ranges[i].type;
        }
        return 0;
}

TEST(memory_map, random_regions_agree_with_the_model)
{
        enum { ROUNDS = 300, REGIONS = 12 };
        for (unsigned round = 0; round < ROUNDS && !test_has_failed(t); round++) {
                uint8_t model[MODEL_PAGES][QUARTERS];
                struct boot_region regions[REGIONS];
                __builtin_memset(model, 0, sizeof(model));
                for (size_t i = 0; i < REGIONS; i++) {
                        uint32_t first = world_random_below(t, MODEL_PAGES * QUARTERS);
                        uint32_t count =
                                world_random_below(t, MODEL_PAGES * QUARTERS - first + 1) / 2;
                        uint32_t type = 1 + world_random_below(t, BOOT_REGION_UNUSABLE);
                        if (i < REGIONS / 2)
                                type = 1 + world_random_below(t, 2);
                        regions[i] = (struct boot_region){first * QUARTER_BYTES,
                                                          count * QUARTER_BYTES, type, 0};
                        for (uint32_t q = first; q < first + count; q++) {
                                uint8_t *cell = &model[q / QUARTERS][q % QUARTERS];
                                *cell = *cell > type ? *cell : (uint8_t)type;
                        }
                }
                struct memory_map map = {.ranges = ranges,
                                         .capacity = MEMORY_MAP_CAPACITY(REGIONS, 0)};
                REQUIRE_OK(memory_map_normalise(&map, regions, REGIONS));
                EXPECT_TRUE(memory_map_valid(&map));
                for (uint64_t page = 0; page < MODEL_PAGES; page++)
                        EXPECT_EQ(map_page_type(&map, page * PAGE_BYTES),
                                  model_page_type(model[page]));
        }
}

/* ---- what is in use ---- */

TEST(memory_map, carve_cuts_out_whole_pages)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0, 0x10000, RAM, 0});
        EXPECT_OK(memory_map_carve(&map, 0, 1));
        EXPECT_OK(memory_map_carve(&map, 0x4fff, 2));
        EXPECT_OK(memory_map_carve(&map, 0xf000, 0x1000));
        EXPECT_RANGES(&map, {0, 0x1000, IN_USE}, {0x1000, 0x4000, RAM}, {0x4000, 0x6000, IN_USE},
                      {0x6000, 0xf000, RAM}, {0xf000, 0x10000, IN_USE});
        EXPECT_OK(memory_map_carve(&map, 0x4000, 0x1000)); /* again */
        EXPECT_OK(memory_map_carve(&map, 0x5000, 0));
        EXPECT_EQ(memory_map_bytes(&map, IN_USE), 0x4000);
        EXPECT_EQ(memory_map_bytes(&map, RAM), 0xc000);
}

TEST(memory_map, carve_takes_loader_and_leaves_reserved)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0, 0x2000, RAM, 0}, {0x2000, 0x2000, LOADER, 0},
                  {0x4000, 0x1000, RESERVED, 0}, {0x6000, 0x2000, RAM, 0});
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, memory_map_carve(&map, 0x1000, 0x6000));
        EXPECT_RANGES(&map, {0, 0x1000, RAM}, {0x1000, 0x4000, IN_USE}, {0x4000, 0x5000, RESERVED},
                      {0x6000, 0x7000, IN_USE}, {0x7000, 0x8000, RAM});
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, memory_map_carve(&map, 0x5000, 0x1000));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, memory_map_carve(&map, 0x100000, 0x1000));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, memory_map_carve(&map, 0x1000, UINT64_MAX));
}

TEST(memory_map, carve_without_room_changes_nothing)
{
        static const struct boot_region one = {0, 0x10000, RAM, 0};
        struct memory_map map = {.ranges = ranges, .capacity = 2};
        uint64_t pa = 42;
        REQUIRE_OK(memory_map_normalise(&map, &one, 1));
        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL, memory_map_carve(&map, 0x4000, 0x1000));
        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL, memory_map_take(&map, 1, UINT64_MAX, &pa));
        EXPECT_EQ(pa, 42);
        EXPECT_RANGES(&map, {0, 0x10000, RAM});
}

TEST(memory_map, take_gives_the_highest_pages_below_the_limit)
{
        struct memory_map map = empty_map();
        uint64_t pa = 0;
        NORMALISE(&map, {0x1000, 0x7000, RAM, 0}, {0x10000, 0x4000, RAM, 0},
                  {0x14000, 0x8000, LOADER, 0});
        EXPECT_OK(memory_map_take(&map, 2, UINT64_MAX, &pa));
        EXPECT_EQ(pa, 0x12000);
        EXPECT_OK(memory_map_take(&map, 3, UINT64_MAX, &pa)); /* does not fit above any more */
        EXPECT_EQ(pa, 0x5000);
        EXPECT_OK(memory_map_take(&map, 1, 0x4fff, &pa)); /* the limit is inside page 0x4000 */
        EXPECT_EQ(pa, 0x3000);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, memory_map_take(&map, 5, UINT64_MAX, &pa));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, memory_map_take(&map, UINT64_MAX, UINT64_MAX, &pa));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, memory_map_take(&map, 1, 0x1000, &pa));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, memory_map_take(&map, 0, UINT64_MAX, &pa));
        EXPECT_EQ(pa, 0x3000);
}

TEST(memory_map, what_touches_ram)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0x1000, 0x2000, RAM, 0}, {0x3000, 0x1000, LOADER, 0},
                  {0x4000, 0x1000, NVS, 0}, {0x8000, 0x1000, RESERVED, 0},
                  {0xa000, 0x2000, RAM, 0});
        REQUIRE_OK(memory_map_carve(&map, 0xb000, 0x1000));

        EXPECT_FALSE(memory_map_touches_ram(&map, 0, 0x1000));
        EXPECT_TRUE(memory_map_touches_ram(&map, 0, 0x1001));
        EXPECT_TRUE(memory_map_touches_ram(&map, 0x2fff, 1));
        EXPECT_TRUE(memory_map_touches_ram(&map, 0x3fff, 2)); /* LOADER's last byte */
        EXPECT_FALSE(memory_map_touches_ram(&map, 0x4000, 0x6000)); /* NVS, hole, reserved, hole */
        EXPECT_TRUE(memory_map_touches_ram(&map, 0x4000, 0x6001));
        EXPECT_TRUE(memory_map_touches_ram(&map, 0xbfff, 1)); /* in use */
        EXPECT_FALSE(memory_map_touches_ram(&map, 0xc000, UINT64_MAX));
        EXPECT_TRUE(memory_map_touches_ram(&map, 0x9000, UINT64_MAX)); /* wraps */
        EXPECT_FALSE(memory_map_touches_ram(&map, 0x1000, 0));
}

/* ---- arenas ---- */

static struct memory_plan plan;

TEST(memory_map, a_pc_of_4_gib_becomes_two_arenas)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0, 0x9fc00, RAM, 0}, {0x9fc00, 0x400, RESERVED, 0},
                  {0xf0000, 0x10000, RESERVED, 0}, {0x100000, 0xbff00000 - 0x20000, RAM, 0},
                  {0xbffe0000, 0x20000, RESERVED, 0}, {0xfeffc000, 0x4000, RESERVED, 0},
                  {4 * GIB, 1 * GIB, RAM, 0});
        EXPECT_OK(memory_map_carve(&map, 0, PAGE_BYTES));
        EXPECT_OK(memory_map_carve(&map, 2 * MIB, 1 * MIB));
        memory_map_plan_arenas(&map, &plan);
        REQUIRE_EQ(plan.arena_count, 2);
        EXPECT_EQ(plan.left_out_count, 0);
        EXPECT_EQ(plan.arenas[0].pa, 0);
        EXPECT_EQ(plan.arenas[0].bytes, 0xbffe0000);
        EXPECT_EQ(plan.arenas[1].pa, 4 * GIB);
        EXPECT_EQ(plan.arenas[1].bytes, 1 * GIB);
        EXPECT_EQ(plan.arenas[0].structures_pa + pmm_structure_bytes(0xbffe0), 0xbffe0000);
        EXPECT_EQ(plan.hole_bytes, 0x100000 - 0x9f000);
}

TEST(memory_map, structures_go_where_ram_is_free)
{
        struct memory_map map = empty_map();
        /* The tail is used by the kernel, the piece below it is too small, the next one fits. */
        NORMALISE(&map, {1 * MIB, 63 * MIB, RAM, 0});
        EXPECT_OK(memory_map_carve(&map, 60 * MIB, 4 * MIB));
        EXPECT_OK(memory_map_carve(&map, 59 * MIB, MIB - PAGE_BYTES));
        memory_map_plan_arenas(&map, &plan);
        REQUIRE_EQ(plan.arena_count, 1);
        EXPECT_EQ(plan.arenas[0].bytes, 63 * MIB);
        EXPECT_EQ(plan.arenas[0].structures_pa + pmm_structure_bytes(63 * MIB / PAGE_BYTES),
                  59 * MIB);
}

TEST(memory_map, an_arena_ends_at_4_gib)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {3 * GIB, 2 * GIB, RAM, 0});
        memory_map_plan_arenas(&map, &plan);
        REQUIRE_EQ(plan.arena_count, 2);
        EXPECT_EQ(plan.arenas[0].bytes, 1 * GIB);
        EXPECT_EQ(plan.arenas[1].pa, 4 * GIB);
        EXPECT_EQ(plan.arenas[1].bytes, 1 * GIB);
}

TEST(memory_map, an_arena_has_at_most_pages_max)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {4 * GIB, 300 * GIB, RAM, 0});
        memory_map_plan_arenas(&map, &plan);
        REQUIRE_EQ(plan.arena_count, 3);
        EXPECT_EQ(plan.arenas[0].bytes, PMM_ARENA_PAGES_MAX * PAGE_BYTES);
        EXPECT_EQ(plan.arenas[0].bytes + plan.arenas[1].bytes + plan.arenas[2].bytes, 300 * GIB);
        EXPECT_EQ(plan.left_out_count, 0);
}

TEST(memory_map, too_many_runs_join_over_larger_holes)
{
        struct boot_region regions[24];
        struct memory_map map = empty_map();
        for (uint64_t i = 0; i < ARRAY_COUNT(regions); i++)
                regions[i] = (struct boot_region){i * 16 * MIB, 8 * MIB, RAM, 0};
        REQUIRE_OK(memory_map_normalise(&map, regions, ARRAY_COUNT(regions)));
        memory_map_plan_arenas(&map, &plan);
        REQUIRE_EQ(plan.arena_count, 1);
        EXPECT_EQ(plan.arenas[0].bytes, (24 * 16 - 8) * MIB);
        EXPECT_EQ(plan.hole_bytes, 23 * 8 * MIB);
        EXPECT_EQ(plan.left_out_count, 0);
}

TEST(memory_map, the_smallest_of_too_many_far_runs_are_left_out)
{
        struct boot_region regions[20];
        struct memory_map map = empty_map();
        for (uint64_t i = 0; i < ARRAY_COUNT(regions); i++)
                regions[i] = (struct boot_region){i * 16 * GIB, (40 - i) * MIB, RAM, 0};
        REQUIRE_OK(memory_map_normalise(&map, regions, ARRAY_COUNT(regions)));
        memory_map_plan_arenas(&map, &plan);
        REQUIRE_EQ(plan.arena_count, PMM_ARENA_COUNT_MAX);
        EXPECT_EQ(plan.arenas[15].pa, 15 * 16 * GIB);
        EXPECT_EQ(plan.left_out_count, 4);
        EXPECT_EQ(plan.left_out_bytes, (24 + 23 + 22 + 21) * MIB);

        for (uint64_t i = 0; i < ARRAY_COUNT(regions); i++) /* the small ones first */
                regions[i].bytes = (20 + i) * MIB;
        REQUIRE_OK(memory_map_normalise(&map, regions, ARRAY_COUNT(regions)));
        memory_map_plan_arenas(&map, &plan);
        REQUIRE_EQ(plan.arena_count, PMM_ARENA_COUNT_MAX);
        EXPECT_EQ(plan.arenas[0].pa, 4 * 16 * GIB);
        EXPECT_EQ(plan.arenas[15].pa, 19 * 16 * GIB);
        EXPECT_EQ(plan.left_out_bytes, (20 + 21 + 22 + 23) * MIB);
        EXPECT_EQ(plan.left_out[0].pa, 0);
        EXPECT_EQ(plan.left_out[0].bytes, 20 * MIB);
}

TEST(memory_map, a_run_without_room_for_its_structures_is_reported)
{
        struct memory_map map = empty_map();
        NORMALISE(&map, {0, PAGE_BYTES, RAM, 0}, {16 * MIB, MIB, RAM, 0},
                  {32 * MIB, MIB, LOADER, 0});
        EXPECT_OK(memory_map_carve(&map, 16 * MIB, MIB));
        memory_map_plan_arenas(&map, &plan);
        EXPECT_EQ(plan.arena_count, 0);
        EXPECT_EQ(plan.left_out_count, 3);
        EXPECT_EQ(plan.left_out_bytes, 2 * MIB + PAGE_BYTES);
        EXPECT_EQ(plan.left_out_in_use_bytes, 2 * MIB);
}

TEST(memory_map, next_taken_names_every_piece_that_is_not_ram)
{
        struct memory_map map = empty_map();
        const struct pmm_arena_config arena = {.pa = 0x2000, .bytes = 0xe000};
        static const struct expected expected[] = {{0x2000, 0x3000, IN_USE},
                                                   {0x4000, 0x5000, LOADER},
                                                   {0x5000, 0x6000, MEMORY_RANGE_HOLE},
                                                   {0x8000, 0x9000, RESERVED},
                                                   {0xf000, 0x10000, MEMORY_RANGE_HOLE}};
        struct memory_range taken;
        uint64_t cursor = 0;
        NORMALISE(&map, {0, 0x4000, RAM, 0}, {0x4000, 0x1000, LOADER, 0}, {0x6000, 0x9000, RAM, 0},
                  {0x8000, 0x1000, RESERVED, 0}, {0x20000, 0x1000, RAM, 0});
        EXPECT_OK(memory_map_carve(&map, 0, 0x3000));
        for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
                REQUIRE_TRUE(memory_map_next_taken(&map, &arena, &cursor, &taken));
                EXPECT_EQ(taken.pa, expected[i].pa);
                EXPECT_EQ(taken.pa + taken.bytes, expected[i].end);
                EXPECT_EQ(taken.type, expected[i].type);
        }
        EXPECT_FALSE(memory_map_next_taken(&map, &arena, &cursor, &taken));
        EXPECT_FALSE(memory_map_next_taken(&map, &arena, &cursor, &taken));
}

/* The whole way: a map with everything in it, its arenas in a pmm, what is taken wired, and in the
 * end exactly the plain RAM is free. */
TEST(memory_map, a_pmm_takes_the_plan)
{
        enum { PAGES = 200 };
        static struct pmm pmm;
        struct memory_map map = empty_map();
        struct memory_range taken;
        uint64_t structures = 0, early_pa;
        char *memory = world_pages(t, PAGES, NULL);
        NORMALISE(&map, {0, 40 * PAGE_BYTES, RAM, 0}, {44 * PAGE_BYTES, 100 * PAGE_BYTES, RAM, 0},
                  {60 * PAGE_BYTES, 10 * PAGE_BYTES, LOADER, 0},
                  {100 * PAGE_BYTES, 8 * PAGE_BYTES, RESERVED, 0});
        EXPECT_OK(memory_map_carve(&map, 0, 1));
        EXPECT_OK(memory_map_take(&map, 5, UINT64_MAX, &early_pa));
        memory_map_plan_arenas(&map, &plan);
        REQUIRE_EQ(plan.arena_count, 1);

        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory));
        for (size_t i = 0; i < plan.arena_count; i++) {
                uint64_t cursor = 0;
                REQUIRE_OK(pmm_add_arena_at(&pmm, &plan.arenas[i]));
                structures += pmm_structure_bytes(plan.arenas[i].bytes / PAGE_BYTES);
                while (memory_map_next_taken(&map, &plan.arenas[i], &cursor, &taken))
                        REQUIRE_OK(pmm_wire_range(&pmm, taken.pa, taken.bytes / PAGE_BYTES));
        }
        EXPECT_EQ(pmm_count_free_pages(&pmm) * PAGE_BYTES,
                  memory_map_bytes(&map, RAM) - structures);
        pmm_free_wired_range(&pmm, 60 * PAGE_BYTES, 10);
        EXPECT_EQ(pmm_count_free_pages(&pmm) * PAGE_BYTES,
                  memory_map_bytes(&map, RAM) + memory_map_bytes(&map, LOADER) - structures);
        EXPECT_TRUE(pmm_check_all(&pmm));
}
