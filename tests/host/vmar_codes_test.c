/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The statuses of regions, managers and mappers that the other tests of vmar do not tell apart:
 * every bit of the options by itself, memory that runs out as the last of all checks, what is
 * passed on from the layer below, and the ends of what 64 bits can address.
 *
 * Host only for its size. */
#include "tests/host/vmar_bed.h"

#include "kernel/vmo_mapper.h"

#define ALL UINT32_MAX
#define P PAGE_BYTES

/* ---- options, one by one ---- */

#define ALLOCATE_BITS                                                                           \
        (VMAR_SPECIFIC | VMAR_CAN_MAP_SPECIFIC | VMAR_CAN_MAP_MASK | VMAR_COMPACT |             \
         VMAR_OFFSET_IS_UPPER_LIMIT)
#define MAP_BITS                                                                                \
        (VMAR_PERM_READ | VMAR_PERM_READ_IF_XOM_UNSUPPORTED | VMAR_SPECIFIC |                   \
         VMAR_SPECIFIC_OVERWRITE | VMAR_OFFSET_IS_UPPER_LIMIT | VMAR_MAP_RANGE |                \
         VMAR_REQUIRE_NON_RESIZABLE | VMAR_ALLOW_FAULTS)
#define PROTECT_BITS (VMAR_PERM_READ | VMAR_PERM_READ_IF_XOM_UNSUPPORTED)

static zx_status_t allowed(uint32_t options, uint32_t set)
{
        return (options & ~set) == 0 ? ZX_OK : ZX_ERR_INVALID_ARGS;
}

/* Allocates, maps and protects with these options, each in an empty space but for one page at 8. */
static void try_options(struct test *t, uint32_t options, struct vmo *vmo,
                        const zx_status_t expected[3])
{
        const uint64_t offset = options & VMAR_OFFSET_IS_UPPER_LIMIT ? P : 0;
        const struct vmar_request request = {options, offset, P};
        const struct vmar_map_request map = {options, offset, P, {vmo, RIGHTS_ALL}, 0};
        struct vmar_handle child;
        uint64_t va;

        if (EXPECT_STATUS(expected[0], vmar_allocate(bed.root, &request, &child, NULL)) &&
            expected[0] == ZX_OK) {
                EXPECT_OK(vmar_destroy(child));
                vmar_close(child);
        }
        if (EXPECT_STATUS(expected[1], vmar_map(bed.root, &map, &va)) && expected[1] == ZX_OK)
                EXPECT_OK(vmar_unmap(bed.root, va, P));
        EXPECT_STATUS(expected[2], vmar_protect(bed.root, options, va_of(8), P));
        EXPECT_EQ(bed.space.region_count, 1);
        EXPECT_EQ(bed.space.mapping_count, 1);
}

BED_TEST(vmar_codes, every_option_bit)
{
        struct vmo *vmo;

        REQUIRE_OK(vmo_create(&bed.pool, P, 0, &vmo));
        REQUIRE_OK(bed_map_at(bed.root, 8, 1, vmo));
        for (unsigned bit = 0; bit < VMAR_ALIGN_SHIFT; bit++) {
                uint32_t options = 1u << bit;
                const zx_status_t expected[] = {allowed(options, ALLOCATE_BITS),
                                                allowed(options, MAP_BITS),
                                                allowed(options, PROTECT_BITS)};
                try_options(t, options, vmo, expected);
        }
        vmo_put(vmo);
}

BED_TEST(vmar_codes, every_alignment)
{
        struct vmo *vmo = make_vmo(t, 1);

        REQUIRE_OK(bed_map_at(bed.root, 8, 1, vmo));
        for (uint32_t log2 = 1; log2 < 256; log2++) {
                /* the space begins at a GiB and has 32 MiB */
                zx_status_t status = log2 < 10 || log2 > 32 ? ZX_ERR_INVALID_ARGS
                                     : log2 > 30            ? ZX_ERR_NO_RESOURCES
                                                            : ZX_OK;
                const zx_status_t expected[] = {status, status, ZX_ERR_INVALID_ARGS};
                try_options(t, VMAR_ALIGN(log2), vmo, expected);
        }
        vmo_put(vmo);
}

TEST(vmar_codes, a_space_needs_a_table_and_a_pmm)
{
        struct vmar_space space;
        struct vmar_space_config config = {.base = P, .bytes = P};

        bed_make(t);
        config.pmm = &bed.pmm;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_space_init(&space, &config));
        config.table = &bed.table.table;
        config.pmm = NULL;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_space_init(&space, &config));
        bed_end(t);
}

BED_TEST(vmar_codes, handles_of_a_dead_region)
{
        struct vmar_handle dead, copy;

        REQUIRE_OK(bed_region_at(bed.root, 0, 1, &dead));
        REQUIRE_OK(vmar_destroy(dead));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_duplicate(dead, RIGHT_EXECUTE, &copy));
        REQUIRE_OK(vmar_duplicate(dead, RIGHT_SAME, &copy));
        EXPECT_EQ(copy.rights, dead.rights);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmar_destroy(copy));
        vmar_close(dead);
        vmar_close(copy);
}

BED_TEST(vmar_codes, no_handle_comes_before_no_right)
{
        struct vmar_handle none = {NULL, 0}, copy;
        const struct vmar_map_request no_vmo = {VMAR_PERM_WRITE, 1, 0, {NULL, 0}, 1};
        struct vmar_info info;
        uint64_t va;

        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmar_duplicate(none, 0, &copy));
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmar_get_info(none, &info));
        EXPECT_STATUS(ZX_ERR_BAD_HANDLE, vmar_map(bed.root, &no_vmo, &va));
}

/* ---- memory is the last thing that is missing ---- */

/* No page, and no room in what the slabs have. `vmo` has one page or more. */
static void use_up(struct test *t, struct vmo *vmo)
{
        const struct vmar_request request = {0, 0, P};
        struct vmar_handle child;

        REQUIRE_OK(pmm_alloc_pages(&bed.pmm, pmm_count_free_pages(&bed.pmm), PMM_ALLOC_ANY,
                                   &bed.taken));
        for (uint64_t i = 0; bed_map_at(bed.root, 200 + 2 * i, 1, vmo) == ZX_OK; i++)
                continue;
        while (vmar_allocate(bed.root, &request, &child, NULL) == ZX_OK)
                vmar_close(child);
}

BED_TEST(vmar_codes, no_memory_is_told_last)
{
        struct vmo *vmo = make_vmo(t, 8), *fixed = NULL;
        struct vmar_request request = {VMAR_SPECIFIC, 0, P};
        struct vmar_handle region, child;
        const uint32_t O = VMAR_SPECIFIC_OVERWRITE;
        struct vmar_map_request map = {VMAR_PERM_READ | O, 0, P, {vmo, RIGHTS_ALL}, 0};
        uint64_t va = 0, regions, mappings;

        REQUIRE_OK(vmo_create(&bed.pool, P, 0, &fixed));
        REQUIRE_OK(bed_map_at(bed.root, 0, 4, vmo));
        REQUIRE_OK(bed_region_at(bed.root, 8, 1, &region));
        use_up(t, vmo);
        regions = bed.space.region_count;
        mappings = bed.space.mapping_count;
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS, vmar_allocate(bed.root, &request, &child, NULL));
        request.offset = PAGES(5000);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_allocate(bed.root, &request, &child, NULL));
        request = (struct vmar_request){0, 0, PAGES(BED_WINDOW_PAGES)};
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, vmar_allocate(bed.root, &request, &child, NULL));
        map.offset = PAGES(8);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_map(bed.root, &map, &va)); /* a region */
        map.offset = PAGES(1);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_map(bed.root, &map, &va));
        map.options = VMAR_PERM_READ | VMAR_SPECIFIC;
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS, vmar_map(bed.root, &map, &va));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(bed.root, va_of(1), UINT64_MAX));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_unmap(bed.root, va_of(1), P));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmar_protect(bed.root, 0, va_of(1), PAGES(4)));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_protect(bed.root, 0, va_of(1), P));
        /* the VMO's page, and then the table's */
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                      vmar_fault(&bed.space, va_of(1), VMAR_FAULT_EXECUTE));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_fault(&bed.space, va_of(1), 0));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      vmar_op_range(bed.root, VMAR_OP_COMMIT, BED_BASE - P, P));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_op_range(bed.root, VMAR_OP_COMMIT, va_of(1), P));
        EXPECT_EQ(va, 0);
        EXPECT_EQ(bed.space.region_count, regions);
        EXPECT_EQ(bed.space.mapping_count, mappings);
        EXPECT_EQ(bed.space.fault_count, 0);
        EXPECT_EQ(bed_shown_count(), 0);
        EXPECT_TRUE(vmar_valid(&bed.space));
        vmar_close(region);
        vmo_put(vmo);
        vmo_put(fixed);
}

/* Two pages under two tables, and a page for one of these. */
BED_TEST(vmar_codes, map_range_without_a_second_table)
{
        struct vmo *vmo = make_vmo(t, 1024);
        const struct vmar_map_request map = {RW | VMAR_MAP_RANGE, 0, PAGES(1024),
                                             {vmo, RIGHTS_ALL}, 0};
        uint64_t va;

        REQUIRE_OK(vmo_write(vmo, "a", 0, 1));
        REQUIRE_OK(vmo_write(vmo, "b", PAGES(600), 1));
        REQUIRE_OK(bed_map_at(bed.root, 2000, 1, vmo)); /* so that the slab has room */
        REQUIRE_OK(pmm_alloc_pages(&bed.pmm, pmm_count_free_pages(&bed.pmm) - 1, PMM_ALLOC_ANY,
                                   &bed.taken));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_map(bed.root, &map, &va));
        EXPECT_EQ(bed_shown_count(), 0);
        EXPECT_EQ(bed.table.table_pages, 0);
        EXPECT_EQ(pmm_count_free_pages(&bed.pmm), 1);
        EXPECT_TREE("2000-2001rw");
        vmo_put(vmo);
}

/* ---- operations: what the VMO says, and how far they came ---- */

/* Maps 4 pages of a VMO at a page of the root. */
static void show(struct test *t, uint64_t page, struct vmo *vmo)
{
        REQUIRE_OK(bed_map_at(bed.root, page, 4, vmo));
}

BED_TEST(vmar_codes, operations_that_the_vmo_refuses)
{
        struct vmo *uncached = make_vmo(t, 4), *run, *window;

        REQUIRE_OK(vmo_set_cache_policy(uncached, VMO_CACHE_UNCACHED));
        REQUIRE_OK(vmo_create_contiguous(&bed.pool, PAGES(4), 0, &run));
        REQUIRE_OK(vmo_create_physical(&bed.pool, GIB, PAGES(4), &window));
        show(t, 0, uncached);
        show(t, 4, run);
        show(t, 8, window);
        const struct {
                uint32_t op;
                zx_status_t uncached, run, window;
        } rows[] = {
                {VMAR_OP_COMMIT, ZX_OK, ZX_OK, ZX_ERR_NOT_SUPPORTED},
                {VMAR_OP_DECOMMIT, ZX_OK, ZX_ERR_NOT_SUPPORTED, ZX_ERR_NOT_SUPPORTED},
                {VMAR_OP_ZERO, ZX_ERR_BAD_STATE, ZX_OK, ZX_ERR_NOT_SUPPORTED},
                {VMAR_OP_MAP_RANGE, ZX_OK, ZX_OK, ZX_OK},
                {VMAR_OP_DONT_NEED, ZX_OK, ZX_OK, ZX_OK},
                {VMAR_OP_ALWAYS_NEED, ZX_OK, ZX_OK, ZX_OK},
                {VMAR_OP_PREFETCH, ZX_OK, ZX_OK, ZX_OK},
        };
        for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
                EXPECT_STATUS(rows[i].uncached,
                              vmar_op_range(bed.root, rows[i].op, va_of(0), PAGES(4)));
                EXPECT_STATUS(rows[i].run, vmar_op_range(bed.root, rows[i].op, va_of(4), PAGES(4)));
                EXPECT_STATUS(rows[i].window,
                              vmar_op_range(bed.root, rows[i].op, va_of(8), PAGES(4)));
        }
        vmo_put(uncached);
        vmo_put(run);
        vmo_put(window);
}

/* Checks come before the first change, over all mappings; what a VMO says comes in its turn. */
BED_TEST(vmar_codes, how_far_an_operation_came)
{
        struct vmo *first = make_vmo(t, 4), *second = make_vmo(t, 4), *small = make_vmo(t, 3);
        const struct vmar_map_request half_out = {RW | VMAR_SPECIFIC, PAGES(8), PAGES(2),
                                                  {small, RIGHTS_ALL}, PAGES(2)};
        uint64_t va;

        show(t, 0, first);
        show(t, 4, second);
        REQUIRE_OK(vmar_op_range(bed.root, VMAR_OP_COMMIT, va_of(0), PAGES(8)));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, /* nothing is mapped at 8 */
                      vmar_op_range(bed.root, VMAR_OP_DECOMMIT, va_of(0), PAGES(9)));
        REQUIRE_OK(vmar_map(bed.root, &half_out, &va));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE,
                      vmar_op_range(bed.root, VMAR_OP_DECOMMIT, va_of(0), PAGES(10)));
        EXPECT_EQ(bed_shown_count(), 8);
        REQUIRE_OK(vmo_pin(second, PAGES(3), P));
        EXPECT_STATUS(ZX_ERR_BAD_STATE,
                      vmar_op_range(bed.root, VMAR_OP_DECOMMIT, va_of(2), PAGES(6)));
        EXPECT_EQ(vmo_committed_pages(first), 2); /* its turn came before */
        EXPECT_EQ(vmo_committed_pages(second), 4);
        EXPECT_EQ(bed_shown_count(), 6);
        vmo_unpin(second, PAGES(3), P);
        vmo_put(first);
        vmo_put(second);
        vmo_put(small);
}

/* Where neither the range nor the mapping begins at the beginning. */
BED_TEST(vmar_codes, a_part_of_a_run_is_entered)
{
        struct vmo *run;
        uint64_t va, pa = 0;

        REQUIRE_OK(vmo_create_contiguous(&bed.pool, PAGES(8), 0, &run));
        const struct vmar_map_request map = {RW, 0, PAGES(8), {run, RIGHTS_ALL}, PAGES(2)};
        REQUIRE_OK(vmar_map(bed.root, &map, &va));
        EXPECT_OK(vmar_op_range(bed.root, VMAR_OP_MAP_RANGE, va + PAGES(1), PAGES(3)));
        EXPECT_EQ(bed_shown_count(), 3);
        for (uint64_t i = 1; i < 4; i++) {
                EXPECT_OK(vmo_get_page(run, PAGES(2 + i), 0, &pa));
                EXPECT_EQ(bed.table.entries[i].pa, pa);
        }
        EXPECT_OK(vmar_op_range(bed.root, VMAR_OP_MAP_RANGE, va + PAGES(4), PAGES(4)));
        EXPECT_EQ(bed_shown_count(), 5); /* the run ends before the mapping */
        EXPECT_OK(vmar_op_range(bed.root, VMAR_OP_MAP_RANGE, va + PAGES(7), PAGES(1)));
        EXPECT_EQ(bed_shown_count(), 5);
        EXPECT_TRUE(vmar_valid(&bed.space));
        vmo_put(run);
}

BED_TEST(vmar_codes, hints_change_nothing)
{
        static const uint32_t hints[] = {VMAR_OP_DONT_NEED, VMAR_OP_ALWAYS_NEED, VMAR_OP_PREFETCH};
        struct vmo *vmo = make_vmo(t, 4);

        show(t, 0, vmo);
        REQUIRE_OK(vmar_op_range(bed.root, VMAR_OP_COMMIT, va_of(0), PAGES(2)));
        for (unsigned i = 0; i < ARRAY_COUNT(hints); i++)
                EXPECT_OK(vmar_op_range(bed.root, hints[i], va_of(0), PAGES(4)));
        EXPECT_EQ(vmo_committed_pages(vmo), 2);
        EXPECT_EQ(bed_shown_count(), 2);
        vmo_put(vmo);
}

/* ---- managers and mappers: what they pass on ---- */

static struct vmar_home home;

/* A manager of 4 pages that may execute and place, of which the first is mapped. */
static struct vmar_manager *make_manager(struct test *t, struct vmo *vmo)
{
        const struct vmar_manager_request request = {
                PAGES(4), NULL, VMAR_COMPACT | VMAR_CAN_MAP_MASK | VMAR_CAN_MAP_SPECIFIC};
        struct vmar_manager *manager = NULL;

        EXPECT_OK(vmar_home_init(&home, bed.root, &bed.pool));
        EXPECT_OK(vmar_manager_create(&home, &request, &manager));
        EXPECT_OK(bed_map_at(manager->region, 0, 1, vmo));
        return manager;
}

BED_TEST(vmar_codes, create_passes_on_what_allocate_says)
{
        struct vmo *vmo = make_vmo(t, 8);
        struct vmar_manager *manager = make_manager(t, vmo), *none;
        const struct {
                uint64_t bytes;
                uint32_t options;
                zx_status_t status;
        } rows[] = {
                {1, VMAR_MAP_RANGE, ZX_ERR_INVALID_ARGS},
                {1, VMAR_SPECIFIC, ZX_ERR_ALREADY_EXISTS},
                {PAGES(4), VMAR_MANAGER_OPTIONS_DEFAULT, ZX_ERR_NO_RESOURCES},
                {PAGES(5), VMAR_MANAGER_OPTIONS_DEFAULT, ZX_ERR_INVALID_ARGS},
                {1, VMAR_ALIGN(14), ZX_ERR_NO_RESOURCES},
        };

        for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
                const struct vmar_manager_request request = {rows[i].bytes, manager,
                                                             rows[i].options};
                none = manager;
                EXPECT_STATUS(rows[i].status, vmar_manager_create(&home, &request, &none));
                EXPECT_PTR_EQ(none, NULL);
        }
        EXPECT_EQ(manager->references, 1);
        EXPECT_TREE("0-4{0-1rw}");
        vmar_manager_put(manager);
        vmar_home_fini(&home);
        vmo_put(vmo);
}

/* What differs from a request that would be fine: a page, read and write, in the manager. */
struct mapper_row {
        uint32_t map_options;
        uint32_t rights; /* of the VMO; 0: those that are usual */
        uint64_t bytes, offset;
        zx_status_t status;
};

static zx_status_t try_map(const struct mapper_row *row, struct vmo *vmo,
                           struct vmar_manager *manager)
{
        const struct vmo_mapper_map request = {
                {vmo, row->rights != 0 ? row->rights : RIGHTS_VMO_DEFAULT}, row->offset, row->bytes,
                row->map_options, manager};
        struct vmo_mapper mapper;
        zx_status_t status;

        vmo_mapper_init(&mapper, &home);
        status = vmo_mapper_map(&mapper, &request);
        vmo_mapper_fini(&mapper);
        return status;
}

static zx_status_t try_create(const struct mapper_row *row, struct vmar_manager *manager)
{
        const struct vmo_mapper_create request = {
                .bytes = row->bytes, .map_options = row->map_options, .manager = manager,
                .rights = RIGHT_SAME, .vmo_options = VMO_RESIZABLE};
        struct vmo_mapper mapper;
        zx_status_t status;

        vmo_mapper_init(&mapper, &home);
        status = vmo_mapper_create_and_map(&mapper, &request, NULL);
        vmo_mapper_fini(&mapper);
        return status;
}

BED_TEST(vmar_codes, mappers_pass_on_what_map_says)
{
        struct vmo *vmo = make_vmo(t, 8);
        struct vmar_manager *manager = make_manager(t, vmo);
        /* those without rights and offset: making a VMO says the same */
        const struct mapper_row rows[] = {
                {VMAR_PERM_WRITE, 0, P, 0, ZX_ERR_INVALID_ARGS},
                {RW | VMAR_COMPACT, 0, P, 0, ZX_ERR_INVALID_ARGS},
                {RW | VMAR_CAN_MAP_READ, 0, P, 0, ZX_ERR_INVALID_ARGS},
                {RW | VMAR_ALIGN(9), 0, P, 0, ZX_ERR_INVALID_ARGS},
                {RW | VMAR_REQUIRE_NON_RESIZABLE, 0, P, 0, ZX_ERR_NOT_SUPPORTED},
                {RX, 0, P, 0, ZX_ERR_ACCESS_DENIED},
                {RW | VMAR_SPECIFIC, 0, P, 0, ZX_ERR_ALREADY_EXISTS},
                {RW, 0, PAGES(4), 0, ZX_ERR_NO_RESOURCES},
                {RW, 0, PAGES(4) + 1, 0, ZX_ERR_INVALID_ARGS}, /* more than the region */
                {RW, 0, P, 0, ZX_OK},
                {RW, RIGHTS_VMO_DEFAULT & ~RIGHT_MAP, P, 0, ZX_ERR_ACCESS_DENIED},
                {RW, RIGHT_MAP | RIGHT_READ, P, 0, ZX_ERR_ACCESS_DENIED},
                {RX, RIGHTS_ALL, P, 0, ZX_OK},
                {RW, 0, P, 1, ZX_ERR_INVALID_ARGS},
                {RW, 0, P, PAGES(8), ZX_ERR_OUT_OF_RANGE},
                {RW, 0, UINT64_MAX, P, ZX_ERR_OUT_OF_RANGE},
                {RW, 0, 0, PAGES(8), ZX_ERR_INVALID_ARGS},
        };

        for (unsigned i = 0; i < ARRAY_COUNT(rows) && !test_has_failed(t); i++) {
                if (!EXPECT_STATUS(rows[i].status, try_map(&rows[i], vmo, manager)) ||
                    (rows[i].rights == 0 && rows[i].offset == 0 &&
                     !EXPECT_STATUS(rows[i].status, try_create(&rows[i], manager))))
                        test_log(t, "in row %u", i);
                EXPECT_EQ(manager->references, 1);
                EXPECT_EQ(slab_counts(&bed.pool.vmos).objects, 1);
                EXPECT_TREE("0-4{0-1rw}");
        }
        vmar_manager_put(manager);
        vmar_home_fini(&home);
        vmo_put(vmo);
}

BED_TEST(vmar_codes, no_memory_for_managers_and_mappers)
{
        struct vmo *vmo = make_vmo(t, 8);
        struct vmar_manager *manager = make_manager(t, vmo), *other, *many[200];
        const struct mapper_row row = {RW, 0, P, 0, ZX_ERR_NO_MEMORY};
        const struct vmar_manager_request request = {P, NULL, VMAR_MANAGER_OPTIONS_DEFAULT};
        unsigned count = 0;

        REQUIRE_OK(pmm_alloc_pages(&bed.pmm, pmm_count_free_pages(&bed.pmm), PMM_ALLOC_ANY,
                                   &bed.taken));
        while (count < ARRAY_COUNT(many) &&
               vmar_manager_use(&home, manager->region, &many[count]) == ZX_OK)
                count++;
        EXPECT_LT(count, ARRAY_COUNT(many));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_manager_use(&home, manager->region, &other));
        EXPECT_PTR_EQ(other, NULL);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_manager_create(&home, &request, &other));
        EXPECT_PTR_EQ(other, NULL);
        if (count != 0) /* then it is the region that there is no memory for */
                vmar_manager_put(many[--count]);
        use_up(t, vmo);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, vmar_manager_create(&home, &request, &other));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, try_map(&row, vmo, manager));
        EXPECT_EQ(manager->references, 1);
        EXPECT_TRUE(vmar_valid(&bed.space));
        while (count != 0)
                vmar_manager_put(many[--count]);
        vmar_manager_put(manager);
        vmar_home_fini(&home);
        vmo_put(vmo);
}

/* ---- walking ---- */

struct walk {
        struct vmar_entry entries[8];
        unsigned count;
};

static void keep_entry(void *context, const struct vmar_entry *entry)
{
        struct walk *walk = context;
        if (walk->count < ARRAY_COUNT(walk->entries))
                walk->entries[walk->count] = *entry;
        walk->count++;
}

BED_TEST(vmar_codes, a_walk_says_all)
{
        struct vmo *vmo = make_vmo(t, 8);
        struct vmar_manager *manager = make_manager(t, vmo);
        const struct vmar_entry expected[] = {
                {true, 0, BED_BASE, PAGES(BED_WINDOW_PAGES),
                 VMAR_CAN_MAP_MASK | VMAR_CAN_MAP_SPECIFIC, NULL, 0},
                {true, 1, BED_BASE, PAGES(4),
                 VMAR_COMPACT | VMAR_CAN_MAP_MASK | VMAR_CAN_MAP_SPECIFIC, NULL, 0},
                {false, 2, BED_BASE, P, RW | VMAR_CAN_MAP_MASK, vmo, 0},
                {false, 1, va_of(6), PAGES(2), VMAR_PERM_READ | VMAR_CAN_MAP_READ, vmo, PAGES(3)},
        };
        const struct vmar_map_request map = {VMAR_PERM_READ | VMAR_SPECIFIC, PAGES(6), PAGES(2),
                                             {vmo, RIGHT_MAP | RIGHT_READ}, PAGES(3)};
        struct walk walk = {.count = 0};
        uint64_t va;

        REQUIRE_OK(vmar_map(bed.root, &map, &va));
        vmar_walk(&bed.space, keep_entry, &walk);
        EXPECT_EQ(walk.count, ARRAY_COUNT(expected));
        for (unsigned i = 0; i < ARRAY_COUNT(expected); i++) {
                EXPECT_EQ(walk.entries[i].is_region, expected[i].is_region);
                EXPECT_EQ(walk.entries[i].depth, expected[i].depth);
                EXPECT_EQ(walk.entries[i].base, expected[i].base);
                EXPECT_EQ(walk.entries[i].bytes, expected[i].bytes);
                EXPECT_EQ(walk.entries[i].options, expected[i].options);
                EXPECT_PTR_EQ(walk.entries[i].vmo, expected[i].vmo);
                EXPECT_EQ(walk.entries[i].vmo_offset, expected[i].vmo_offset);
        }
        vmar_manager_put(manager);
        vmar_home_fini(&home);
        vmo_put(vmo);
}

/* ---- the ends ---- */

TEST(vmar_codes, the_end_of_the_largest_space)
{
        const uint64_t last = BIT_MASK(63) - P;
        struct vmar_handle child;
        struct vmo *vmo;
        uint64_t va;

        bed_make_pmm(t, 64);
        REQUIRE_OK(bed_make_space(P, last, 0, 0));
        vmo = make_vmo(t, 4);
        struct vmar_map_request map = {RW | VMAR_SPECIFIC, last - P, P, {vmo, RIGHTS_ALL}, 0};
        REQUIRE_OK(vmar_map(bed.root, &map, &va));
        EXPECT_EQ(va, last);
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS, vmar_map(bed.root, &map, &va));
        map.bytes = P + 1;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_map(bed.root, &map, &va));
        EXPECT_OK(vmar_protect(bed.root, 0, last, 1));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_protect(bed.root, 0, last, P + 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmar_op_range(bed.root, VMAR_OP_ZERO, last, P + 1));
        EXPECT_OK(vmar_op_range(bed.root, VMAR_OP_ZERO, last, P));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmar_fault(&bed.space, last + P - 1, 0));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmar_fault(&bed.space, last + P, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_unmap(bed.root, last, P + 1));
        EXPECT_OK(vmar_unmap(bed.root, last, P));
        REQUIRE_OK(vmar_allocate(bed.root, &(struct vmar_request){0, 0, last}, &child, &va));
        EXPECT_EQ(va, P); /* all of it */
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES,
                      vmar_map(bed.root, &(struct vmar_map_request){RW, 0, 1, {vmo, RIGHTS_ALL}, 0},
                               &va));
        vmar_close(child);
        vmo_put(vmo);
        bed_end(t);
}

/* An offset in the VMO that is larger than any address: their difference wraps. */
BED_TEST(vmar_codes, the_end_of_the_largest_vmo)
{
        const uint64_t last = VMO_BYTES_MAX - P;
        struct vmo *vmo;
        uint64_t va;

        REQUIRE_OK(vmo_create(&bed.pool, VMO_BYTES_MAX, 0, &vmo));
        struct vmar_map_request map = {RW, 0, PAGES(2), {vmo, RIGHTS_ALL}, last};
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmar_map(bed.root, &map, &va)); /* ends past 2^64 */
        map.vmo_offset = last - P;
        REQUIRE_OK(vmar_map(bed.root, &map, &va));
        EXPECT_OK(vmar_op_range(bed.root, VMAR_OP_COMMIT, va + P, P));
        EXPECT_TRUE(bed_shown(va + P));
        EXPECT_EQ(bed_shown_count(), 1);
        EXPECT_OK(vmar_fault(&bed.space, va, VMAR_FAULT_WRITE));
        EXPECT_OK(vmar_protect(bed.root, VMAR_PERM_READ, va + P, P)); /* and in pieces */
        EXPECT_TRUE(vmar_valid(&bed.space));
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, last, P));
        EXPECT_FALSE(bed_shown(va + P));
        EXPECT_TRUE(bed_shown(va));
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, last - P, P));
        EXPECT_EQ(bed_shown_count(), 0);
        vmo_put(vmo);
}
