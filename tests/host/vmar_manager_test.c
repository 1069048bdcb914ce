/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Managers and mappers: references, the root as NULL, moves, each status, what a compact region
 * saves, and each page allocation refused.
 *
 * Host only for its size; tests/boot/aspace_test.c counts real tables. */
#include "tests/host/vmar_bed.h"

#include "kernel/vmo_mapper.h"

#define DEFAULT VMAR_MANAGER_OPTIONS_DEFAULT

static struct vmar_home home;

static zx_status_t make_home(void)
{
        return vmar_home_init(&home, bed.root, &bed.pool);
}

#define MANAGER_TEST(suite_, name_)                                     \
        static void suite_##_##name_##_inner_(struct test *t);          \
        BED_TEST(suite_, name_)                                         \
        {                                                               \
                REQUIRE_OK(make_home());                                \
                suite_##_##name_##_inner_(t);                           \
                vmar_home_fini(&home);                                  \
        }                                                               \
        static void suite_##_##name_##_inner_(struct test *t)

static zx_status_t create(uint64_t bytes, struct vmar_manager *parent,
                          struct vmar_manager **manager)
{
        return vmar_manager_create(&home, &(struct vmar_manager_request){bytes, parent, DEFAULT},
                                   manager);
}

BED_TEST(vmar_manager, home_needs_a_root_and_a_pool)
{
        struct vmar_handle none = {0};
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_home_init(&home, none, &bed.pool));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_home_init(&home, bed.root, NULL));
}

/* ---- create ---- */

MANAGER_TEST(vmar_manager, create_and_its_statuses)
{
        struct vmar_manager *manager, *child, broken = {.references = 1};
        struct vmar_manager_request request = {PAGES(1), NULL, VMAR_PERM_READ};

        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, create(0, NULL, &manager));
        EXPECT_PTR_EQ(manager, NULL);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, create(UINT64_MAX - PAGE_BYTES + 2, NULL, &manager));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, create(1, &broken, &manager)); /* no region */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_manager_create(&home, &request, &manager));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, create(PAGES(BED_WINDOW_PAGES + 1), NULL, &manager));
        EXPECT_EQ(slab_counts(&home.managers).objects, 0);

        REQUIRE_OK(create(PAGES(3) + 1, NULL, &manager)); /* rounded up */
        EXPECT_EQ(manager->bytes, PAGES(4));
        EXPECT_EQ(manager->start, BED_BASE);
        EXPECT_PTR_EQ(manager->parent, NULL);
        EXPECT_TREE("0-4{}");
        /* larger than the parent */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, create(PAGES(5), manager, &child));
        REQUIRE_OK(create(PAGES(2), manager, &child));
        EXPECT_TREE("0-4{0-2{}}");
        request = (struct vmar_manager_request){PAGES(3), manager, DEFAULT};
        struct vmar_manager *none;
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, vmar_manager_create(&home, &request, &none));
        request = (struct vmar_manager_request){PAGES(1), manager, VMAR_CAN_MAP_EXECUTE};
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_manager_create(&home, &request, &none));
        vmar_manager_put(child);
        vmar_manager_put(manager);
        EXPECT_TREE("");
}

MANAGER_TEST(vmar_manager, references)
{
        struct vmar_manager *parent, *child;
        struct vmo_mapper mapper;
        struct vmo_mapper_create request = {.bytes = 1, .map_options = RW, .rights = RIGHT_SAME};

        REQUIRE_OK(create(PAGES(8), NULL, &parent));
        REQUIRE_OK(create(PAGES(4), parent, &child));
        vmar_manager_get(parent);
        vmar_manager_put(parent);
        vmar_manager_put(parent); /* the child still holds it */
        EXPECT_TREE("0-8{0-4{}}");
        vmo_mapper_init(&mapper, &home);
        request.manager = child;
        REQUIRE_OK(vmo_mapper_create_and_map(&mapper, &request, NULL));
        vmar_manager_put(child); /* the mapper still holds it */
        EXPECT_TREE("0-8{0-4{0-1rw}}");
        EXPECT_OK(vmar_fault(&bed.space, mapper.start, VMAR_FAULT_WRITE));
        vmo_mapper_unmap(&mapper); /* the last one: mapper, child and parent go */
        EXPECT_TREE("");
        EXPECT_EQ(slab_counts(&home.managers).objects, 0);
        vmar_manager_get(NULL);
        vmar_manager_put(NULL);
}

MANAGER_TEST(vmar_manager, the_last_reference_destroys_what_is_in_it)
{
        struct vmar_manager *manager;
        struct vmo *vmo;

        REQUIRE_OK(vmo_create(&bed.pool, PAGES(1), 0, &vmo));
        REQUIRE_OK(vmar_manager_create(&home, &(struct vmar_manager_request){
                PAGES(8), NULL, DEFAULT | VMAR_CAN_MAP_SPECIFIC}, &manager));
        REQUIRE_OK(bed_map_at(manager->region, 3, 1, vmo));
        REQUIRE_OK(vmar_fault(&bed.space, BED_BASE + PAGES(3), 0));
        vmar_manager_put(manager);
        EXPECT_TREE("");
        EXPECT_EQ(bed_shown_count(), 0);
        vmo_put(vmo);
}

/* ---- use ---- */

MANAGER_TEST(vmar_manager, use)
{
        struct vmar_manager *manager = (struct vmar_manager *)&home, *child;
        struct vmar_handle region, none = {0};

        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_manager_use(&home, none, &manager));
        EXPECT_PTR_EQ(manager, NULL);
        manager = (struct vmar_manager *)&home;
        EXPECT_OK(vmar_manager_use(&home, bed.root, &manager)); /* the root is nobody's */
        EXPECT_PTR_EQ(manager, NULL);
        EXPECT_PTR_EQ(vmar_manager_region(&home, NULL).vmar, bed.root.vmar);

        REQUIRE_OK(bed_region_at(bed.root, 4, 8, &region));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                      vmar_manager_use(&home, (struct vmar_handle){region.vmar, RIGHT_DUPLICATE},
                                       &manager));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                      vmar_manager_use(&home, (struct vmar_handle){region.vmar, RIGHT_INSPECT},
                                       &manager));
        EXPECT_EQ(slab_counts(&home.managers).objects, 0);
        REQUIRE_OK(vmar_manager_use(&home, region, &manager));
        vmar_close(region); /* it has a handle of its own */
        EXPECT_EQ(manager->start, BED_BASE + PAGES(4));
        EXPECT_EQ(manager->bytes, PAGES(8));
        EXPECT_PTR_EQ(manager->parent, NULL);
        EXPECT_EQ(manager->region.rights, region.rights);
        REQUIRE_OK(create(PAGES(2), manager, &child));
        vmar_manager_put(manager);
        EXPECT_TREE("4-12{4-6{}}");
        vmar_manager_put(child);
        EXPECT_TREE("4-12{}"); /* used, not owned: it stays */
}

/* ---- mappers ---- */

MANAGER_TEST(vmo_mapper, create_and_map_checks_in_order)
{
        struct vmar_manager broken = {.references = 1};
        struct vmo_handle vmo = {(struct vmo *)&home, 1};
        struct vmo_mapper mapper, used;
        const struct vmo_mapper_create good = {.bytes = 1, .map_options = RW, .rights = RIGHT_SAME};
        struct vmo_mapper_create request = good;

        vmo_mapper_init(&mapper, &home);
        vmo_mapper_init(&used, &home);
        REQUIRE_OK(vmo_mapper_create_and_map(&used, &good, NULL));
        EXPECT_EQ(used.start, BED_BASE);
        request.bytes = 0;
        /* first */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_mapper_create_and_map(&used, &request, &vmo));
        request.bytes = 1;
        request.manager = &broken;
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_mapper_create_and_map(&used, &request, &vmo));
        EXPECT_TREE("0-1rw"); /* the first mapping stays */
        request.vmo_options = BIT_MASK(7);
        request.map_options = VMAR_PERM_WRITE;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_mapper_create_and_map(&mapper, &request, &vmo));
        request = good;
        request.vmo_options = VMO_DISCARDABLE;
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, vmo_mapper_create_and_map(&mapper, &request, &vmo));
        request = good;
        request.bytes = UINT64_MAX;
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_mapper_create_and_map(&mapper, &request, &vmo));
        request = good;
        request.cache_policy = 4;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_mapper_create_and_map(&mapper, &request, &vmo));
        request = good;
        request.map_options = VMAR_PERM_WRITE;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_mapper_create_and_map(&mapper, &request, &vmo));
        request.map_options = RX; /* a new VMO has no such right */
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmo_mapper_create_and_map(&mapper, &request, &vmo));
        request = good;
        request.rights = RIGHT_EXECUTE;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_mapper_create_and_map(&mapper, &request, &vmo));
        /* two at a time: the earlier is told */
        request = good;
        request.manager = &broken;
        request.vmo_options = VMO_DISCARDABLE;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_mapper_create_and_map(&mapper, &request, &vmo));
        request = good;
        request.bytes = UINT64_MAX;
        request.cache_policy = 4;
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_mapper_create_and_map(&mapper, &request, &vmo));
        request = good;
        request.cache_policy = 4;
        request.map_options = RX;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_mapper_create_and_map(&mapper, &request, &vmo));
        request = good;
        request.map_options = RX;
        request.rights = RIGHT_EXECUTE;
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmo_mapper_create_and_map(&mapper, &request, &vmo));
        request = good;
        request.rights = RIGHT_EXECUTE;
        EXPECT_PTR_EQ(vmo.vmo, &home); /* untouched by all of that */
        EXPECT_EQ(mapper.start, 0);
        EXPECT_TREE("0-1rw"); /* and nothing left behind */
        EXPECT_EQ(slab_counts(&bed.pool.vmos).objects, 1);
        EXPECT_OK(vmo_mapper_create_and_map(&mapper, &request, NULL)); /* nobody asks for rights */
        vmo_mapper_fini(&mapper);
        vmo_mapper_fini(&used);
        vmo_mapper_fini(&used); /* idempotent */
        EXPECT_TREE("");
        EXPECT_EQ(slab_counts(&bed.pool.vmos).objects, 0);
}

MANAGER_TEST(vmo_mapper, create_and_map)
{
        struct vmo_handle vmo;
        struct vmo_mapper mapper;
        struct vmo_mapper_create request = {.bytes = 5000, .map_options = RW, .rights = RIGHT_SAME,
                                            .cache_policy = VMO_CACHE_UNCACHED,
                                            .vmo_options = VMO_RESIZABLE};
        struct vmar_manager *manager;

        REQUIRE_OK(create(PAGES(8), NULL, &manager));
        request.manager = manager;
        vmo_mapper_init(&mapper, &home);
        REQUIRE_OK(vmo_mapper_create_and_map(&mapper, &request, &vmo));
        EXPECT_EQ(mapper.bytes, 5000); /* as asked for */
        EXPECT_PTR_EQ(mapper.manager, manager);
        EXPECT_EQ(vmo.rights, RIGHTS_VMO_DEFAULT);
        EXPECT_EQ(vmo_size(vmo.vmo), PAGES(2));
        EXPECT_TRUE(vmo_is_resizable(vmo.vmo));
        EXPECT_EQ(vmo_cache_policy(vmo.vmo), VMO_CACHE_UNCACHED);
        EXPECT_TREE("0-8{0-2rw}");
        vmo_mapper_unmap(&mapper);
        EXPECT_TREE("0-8{}");
        EXPECT_EQ(mapper.start | mapper.bytes, 0);
        EXPECT_PTR_EQ(mapper.manager, NULL);
        vmo_mapper_unmap(&mapper);
        vmo_put(vmo.vmo);
        request.rights = RIGHT_READ | RIGHT_MAP;
        REQUIRE_OK(vmo_mapper_create_and_map(&mapper, &request, &vmo));
        EXPECT_EQ(vmo.rights, RIGHT_READ | RIGHT_MAP);
        vmo_put(vmo.vmo);
        vmo_mapper_fini(&mapper);
        vmar_manager_put(manager);
}

MANAGER_TEST(vmo_mapper, map_and_its_statuses)
{
        struct vmar_manager broken = {.references = 1};
        struct vmo *vmo;
        struct vmo_mapper mapper, used;
        struct vmo_mapper_map request = {.map_options = VMAR_PERM_READ};

        REQUIRE_OK(vmo_create(&bed.pool, PAGES(4), 0, &vmo));
        vmo_mapper_init(&mapper, &home);
        vmo_mapper_init(&used, &home);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_mapper_map(&used, &request));
        request.vmo = (struct vmo_handle){vmo, RIGHTS_ALL};
        REQUIRE_OK(vmo_mapper_map(&used, &request)); /* 0 bytes: all of it */
        EXPECT_EQ(used.bytes, PAGES(4));
        EXPECT_TREE("0-4r");
        request.manager = &broken;
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_mapper_map(&used, &request));
        request.offset = PAGES(99);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_mapper_map(&mapper, &request)); /* the manager */
        request.manager = NULL;
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_mapper_map(&mapper, &request));
        request.offset = PAGES(4);
        /* to the end: nothing */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_mapper_map(&mapper, &request));
        request.bytes = 1;
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_mapper_map(&mapper, &request));
        request.offset = PAGES(1);
        request.bytes = 0 - PAGES(1); /* wraps to 0 */
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_mapper_map(&mapper, &request));
        request.bytes = PAGES(3) + 1;
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_mapper_map(&mapper, &request));
        request.offset = 1;
        request.bytes = 1;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_mapper_map(&mapper, &request)); /* misaligned */
        request.offset = PAGES(1);
        request.vmo.rights = RIGHT_MAP;
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmo_mapper_map(&mapper, &request));
        request.vmo.rights = RIGHTS_ALL;
        request.bytes = 0;
        REQUIRE_OK(vmo_mapper_map(&mapper, &request));
        EXPECT_EQ(mapper.bytes, PAGES(3));
        EXPECT_TREE("0-4r 4-7r+1");
        vmo_mapper_fini(&mapper);
        request.bytes = 10;
        REQUIRE_OK(vmo_mapper_map(&mapper, &request));
        EXPECT_EQ(mapper.bytes, 10);
        vmo_mapper_fini(&mapper);
        vmo_mapper_fini(&used);
        EXPECT_TREE("");
        vmo_put(vmo);
}

MANAGER_TEST(vmo_mapper, move)
{
        struct vmo_mapper a, b;
        struct vmar_manager *manager;
        struct vmo_mapper_create request = {.bytes = 1, .map_options = RW, .rights = RIGHT_SAME};
        uint64_t start;

        REQUIRE_OK(create(PAGES(8), NULL, &manager));
        vmo_mapper_init(&a, &home);
        vmo_mapper_init(&b, &home);
        vmo_mapper_move(&a, &b); /* nothing onto nothing */
        EXPECT_EQ(a.start | b.start, 0);
        request.manager = manager;
        REQUIRE_OK(vmo_mapper_create_and_map(&a, &request, NULL));
        start = a.start;
        vmo_mapper_move(&a, &a); /* onto itself: nothing changes */
        EXPECT_EQ(a.start, start);
        EXPECT_TREE("0-8{0-1rw}");
        request.manager = NULL;
        REQUIRE_OK(vmo_mapper_create_and_map(&b, &request, NULL));
        EXPECT_TREE("0-8{0-1rw} 8-9rw");
        vmo_mapper_move(&b, &a); /* what b had goes */
        EXPECT_TREE("0-8{0-1rw}");
        EXPECT_EQ(b.start, start);
        EXPECT_EQ(b.bytes, 1);
        EXPECT_PTR_EQ(b.manager, manager);
        EXPECT_EQ(a.start | a.bytes, 0);
        EXPECT_PTR_EQ(a.manager, NULL);
        vmar_manager_put(manager); /* b holds it */
        EXPECT_TREE("0-8{0-1rw}");
        vmo_mapper_move(&b, &a); /* nothing onto something */
        EXPECT_TREE("");
        EXPECT_EQ(b.start, 0);
        vmo_mapper_fini(&a);
        vmo_mapper_fini(&b);
}

/* A mapper must be able to unmap when there is no memory at all,
 * even beside mappings of the same VMO. */
MANAGER_TEST(vmo_mapper, unmapping_needs_no_memory)
{
        struct vmo_mapper mappers[3];
        struct vmo *vmo;

        REQUIRE_OK(vmo_create(&bed.pool, PAGES(3), 0, &vmo));
        for (unsigned i = 0; i < 3; i++) {
                struct vmo_mapper_map request = {.vmo = {vmo, RIGHTS_ALL}, .offset = PAGES(i),
                                                 .bytes = 1, .map_options = VMAR_PERM_READ};
                vmo_mapper_init(&mappers[i], &home);
                REQUIRE_OK(vmo_mapper_map(&mappers[i], &request));
        }
        /* equal neighbours are not joined */
        EXPECT_OK(vmar_protect(bed.root, RW, BED_BASE, PAGES(3)));
        EXPECT_TREE("0-1rw 1-2rw+1 2-3rw+2");
        REQUIRE_OK(pmm_alloc_pages(&bed.pmm, pmm_count_free_pages(&bed.pmm), PMM_ALLOC_ANY,
                                   &bed.taken));
        for (uint64_t i = 100; bed_map_at(bed.root, i, 1, vmo) == ZX_OK; i++)
                continue; /* until the slab is full, too */
        vmo_mapper_fini(&mappers[1]);
        vmo_mapper_fini(&mappers[0]);
        vmo_mapper_fini(&mappers[2]);
        vmo_put(vmo);
}

/* ---- what it is for ---- */

static uint64_t tables_of(struct test *t, struct vmar_manager *manager)
{
        struct vmo_mapper mappers[8];
        const struct vmo_mapper_create request = {
                .bytes = 1, .map_options = RW, .manager = manager, .rights = RIGHT_SAME};
        uint64_t tables;

        for (unsigned i = 0; i < 8; i++) {
                vmo_mapper_init(&mappers[i], &home);
                EXPECT_OK(vmo_mapper_create_and_map(&mappers[i], &request, NULL));
                EXPECT_OK(vmar_fault(&bed.space, mappers[i].start, 0));
        }
        tables = bed.table.table_pages;
        for (unsigned i = 0; i < 8; i++)
                vmo_mapper_fini(&mappers[i]);
        EXPECT_EQ(bed.table.table_pages, 0);
        return tables;
}

TEST(vmar_manager, a_compact_region_saves_tables)
{
        struct vmar_manager *manager;

        bed_make_pmm(t, BED_PAGES_MAX);
        REQUIRE_OK(bed_make_space(BED_BASE, PAGES(BED_WINDOW_PAGES), VMAR_ENTROPY_BITS_DEFAULT, 4));
        REQUIRE_OK(make_home());
        REQUIRE_OK(create(PAGES(16), NULL, &manager));
        EXPECT_GE(tables_of(t, NULL), 6); /* 8 pages in 16 tables' worth of addresses */
        EXPECT_LE(tables_of(t, manager), 2);
        vmar_manager_put(manager);
        vmar_home_fini(&home);
        bed_end(t);
}

/* ---- memory runs out ---- */

static struct vmar_manager *sweep_managers[2];
static struct vmo_mapper sweep_mapper;

static void sweep_clean(void)
{
        if (bed.space.root != NULL && sweep_mapper.home != NULL)
                vmo_mapper_fini(&sweep_mapper);
        for (unsigned i = 0; i < 2; i++) {
                vmar_manager_put(sweep_managers[i]);
                sweep_managers[i] = NULL;
        }
        if (sweep_mapper.home != NULL)
                vmar_home_fini(&home);
        sweep_mapper.home = NULL;
}

static zx_status_t sweep_body(struct test *t)
{
        struct vmo_mapper_create request = {.bytes = PAGES(2), .map_options = RW, .rights =
                                            RIGHT_SAME};

        EXPECT_OK(make_home());
        vmo_mapper_init(&sweep_mapper, &home);
        TRY(create(PAGES(16), NULL, &sweep_managers[0]));
        TRY(vmar_manager_use(&home, sweep_managers[0]->region, &sweep_managers[1]));
        request.manager = sweep_managers[1];
        TRY(vmo_mapper_create_and_map(&sweep_mapper, &request, NULL));
        TRY(vmar_fault(&bed.space, sweep_mapper.start + PAGES(1), VMAR_FAULT_WRITE));
        return ZX_OK;
}

TEST(vmar_manager, every_allocation_refused)
{
        bed_sweep(t, sweep_body, sweep_clean);
}

MANAGER_TEST(vmar_manager, over_a_region_that_is_gone)
{
        struct vmar_manager *manager, *child;
        struct vmo_mapper mapper;
        struct vmar_handle region;
        struct vmo_mapper_create request = {.bytes = 1, .map_options = RW, .rights = RIGHT_SAME};
        REQUIRE_OK(bed_region_at(bed.root, 4, 8, &region));
        REQUIRE_OK(vmar_manager_use(&home, region, &manager));
        REQUIRE_OK(vmar_destroy(region));
        vmar_close(region);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, create(PAGES(1), manager, &child));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, create(0 - PAGE_BYTES, manager, &child)); /* the most */
        /* its own checks come first */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, create(0, manager, &child));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, create(0 - PAGE_BYTES + 1, manager, &child));
        EXPECT_PTR_EQ(child, NULL);
        vmo_mapper_init(&mapper, &home);
        request.manager = manager;
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_mapper_create_and_map(&mapper, &request, NULL));
        EXPECT_EQ(slab_counts(&bed.pool.vmos).objects, 0);
        vmo_mapper_fini(&mapper);
        vmar_manager_put(manager); /* used, not owned: nothing to destroy */
        EXPECT_EQ(slab_counts(&home.managers).objects, 0);
}
