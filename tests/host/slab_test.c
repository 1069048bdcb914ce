/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Small objects from pages: places, counts, pages that come and go. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/slab.h"

#define ARENA_PAGES 16
#define OBJECTS_MAX 300

static struct pmm pmm;
static struct slab slab;
static void *objects[OBJECTS_MAX];

static void make_bed(struct test *t, size_t object_bytes)
{
        char *memory = world_pages(t, ARENA_PAGES, NULL);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, ARENA_PAGES * PAGE_BYTES));
        REQUIRE_OK(slab_init(&slab, "bed", &pmm, object_bytes));
}

TEST(slab, objects_are_zeroed_aligned_and_apart)
{
        static const size_t sizes[] = {1, 16, 17, 144, 528, 2016, 2017, SLAB_OBJECT_BYTES_MAX};
        for (size_t s = 0; s < ARRAY_COUNT(sizes); s++) {
                size_t bytes = sizes[s];
                make_bed(t, bytes);
                uint64_t before = pmm_count_free_pages(&pmm);
                uint64_t rounded = round_up(bytes, SLAB_ALIGNMENT);
                unsigned per_page = (unsigned)(SLAB_OBJECT_BYTES_MAX / rounded);
                unsigned count = per_page + 1;
                for (unsigned i = 0; i < count; i++) {
                        uint8_t *object = objects[i] = TRIED_POINTER(slab_alloc(&slab));
                        REQUIRE_TRUE(object != NULL);
                        EXPECT_TRUE(is_aligned((uintptr_t)object, SLAB_ALIGNMENT));
                        for (size_t b = 0; b < bytes; b++)
                                EXPECT_EQ(object[b], 0);
                        __builtin_memset(object, (int)i + 1, bytes);
                }
                EXPECT_TRUE(slab_valid(&slab));
                EXPECT_EQ(slab_counts(&slab).objects, count);
                EXPECT_EQ(slab_counts(&slab).pages, 2);
                EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_SLAB), 2);
                for (unsigned i = 0; i < count; i++) {
                        const uint8_t *object = objects[i];
                        for (size_t b = 0; b < bytes; b++)
                                EXPECT_EQ(object[b], (uint8_t)(i + 1));
                        slab_free(&slab, objects[i]);
                        EXPECT_TRUE(slab_valid(&slab));
                }
                EXPECT_EQ(slab_counts(&slab).pages, 0);
                EXPECT_EQ(pmm_count_free_pages(&pmm), before);
                slab_fini(&slab);
        }
}

TEST(slab, refuses_sizes_that_do_not_fit)
{
        make_bed(t, 16);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, slab_init(&slab, "bed", &pmm, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, slab_init(&slab, "bed", &pmm,
                                                     SLAB_OBJECT_BYTES_MAX + 1));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, slab_init(&slab, "bed", NULL, 16));
}

TEST(slab, no_memory_is_null_and_changes_nothing)
{
        make_bed(t, SLAB_OBJECT_BYTES_MAX); /* one object a page */
        unsigned count = 0;
        for (; count < ARENA_PAGES - pmm_structure_bytes(ARENA_PAGES) / PAGE_BYTES; count++)
                REQUIRE_TRUE((objects[count] = slab_alloc(&slab)) != NULL);
        uint64_t failures = slab_counts(&slab).failures;
        EXPECT_TRUE(slab_alloc(&slab) == NULL);
        EXPECT_EQ(slab_counts(&slab).objects, count);
        EXPECT_EQ(slab_counts(&slab).failures, failures + 1);
        EXPECT_TRUE(slab_valid(&slab));
        slab_free(&slab, objects[--count]);
        EXPECT_TRUE((objects[count] = slab_alloc(&slab)) != NULL); /* the page that came back */
        for (unsigned i = 0; i <= count; i++)
                slab_free(&slab, objects[i]);
        slab_fini(&slab);
}

TEST(slab, random_work_fills_holes_before_new_pages)
{
        enum { ROUNDS = 2000, MOST = 120, PER_PAGE = 28 };
        unsigned live = 0;
        make_bed(t, 144);
        __builtin_memset(objects, 0, sizeof(objects));
        for (unsigned round = 0; round < ROUNDS && !test_has_failed(t); round++) {
                uint32_t i = world_random_below(t, MOST);
                uint64_t pages = slab_counts(&slab).pages;
                if (objects[i] == NULL) {
                        REQUIRE_TRUE((objects[i] = slab_alloc(&slab)) != NULL);
                        *(uint64_t *)objects[i] = i + 1;
                        if (live < pages * PER_PAGE)
                                EXPECT_EQ(slab_counts(&slab).pages, pages);
                        live++;
                } else {
                        EXPECT_EQ(*(uint64_t *)objects[i], i + 1);
                        slab_free(&slab, objects[i]);
                        objects[i] = NULL;
                        live--;
                }
                EXPECT_EQ(slab_counts(&slab).objects, live);
                EXPECT_TRUE(slab_valid(&slab));
        }
        for (unsigned i = 0; i < MOST; i++) {
                if (objects[i] != NULL)
                        slab_free(&slab, objects[i]);
        }
        slab_fini(&slab);
}
