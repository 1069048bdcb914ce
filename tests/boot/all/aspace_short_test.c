/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The user half when there is no page for a page table: each operation with 0, 1, 2 ... pages left,
 * so that each table it wants is refused once. What takes something away never fails, and shows
 * less rather than something wrong; what adds something is all or nothing.
 *
 * The mappings are of physical addresses that nobody touches, so that tables are all that is
 * allocated. tests/host/vmar_change_test.c has the tree's side of it, on a simulated table. */
#include "tests/expect.h"

#include "arch/arch.h"
#include "base/bytes.h"
#include "kernel/aspace.h"
#include "kernel/buffer_chain_boot.h"
#include "kernel/memory.h"
#include "kernel/time.h"

#define RW (VMAR_PERM_READ | VMAR_PERM_WRITE)
#define P PAGE_BYTES
#define LARGE (2 * MIB)
#define WINDOW_PA (32 * GIB)   /* never touched */
#define REGION_BYTES (3 * GIB) /* the last one is for mappings that only fill the slab */
#define TABLES_MAX 8u          /* of any operation here */

static struct vmar_handle region;
static struct vmo *vmo;
static uint64_t base, tables_before, objects_before, mappings_before;
static struct list_node taken;

static void begin(struct test *t)
{
        const struct vmar_request request = {
                VMAR_ALIGN(30) | VMAR_CAN_MAP_MASK | VMAR_CAN_MAP_SPECIFIC, 0, REGION_BYTES};

        tables_before = aspace_table_page_count();
        objects_before = pmm_count_state(&kernel_pmm, VM_PAGE_OBJECT);
        mappings_before = aspace_user()->mapping_count;
        REQUIRE_OK(vmar_allocate(aspace_user_root(), &request, &region, &base));
}

static void finish(struct test *t)
{
        EXPECT_TRUE(vmar_valid(aspace_user()));
        EXPECT_OK(vmar_destroy(region));
        vmar_close(region);
        vmo_put(vmo);
        EXPECT_EQ(aspace_table_page_count(), tables_before);
        EXPECT_EQ(pmm_count_state(&kernel_pmm, VM_PAGE_OBJECT), objects_before);
        EXPECT_EQ(aspace_user()->mapping_count, mappings_before);
}

static zx_status_t MUST_CHECK map_at(uint64_t offset, uint64_t bytes, uint32_t options)
{
        uint64_t va;
        const struct vmar_map_request request = {options | RW, offset, bytes,
                                                 {vmo, RIGHTS_VMO_DEFAULT}, offset};
        return vmar_map(region, &request, &va);
}

/* Leaves `n` pages free. */
static void leave(struct test *t, uint64_t n)
{
        list_init(&taken);
        (void)buffer_chain_boot_drain(time_deadline_after(NS_PER_SECOND)); /* or it is, meanwhile */
        EXPECT_OK(pmm_alloc_pages(&kernel_pmm, pmm_count_free_pages(&kernel_pmm) - n, PMM_ALLOC_ANY,
                                  &taken));
}

static void give_back(void)
{
        pmm_free(&kernel_pmm, &taken);
}

/* Mappings until two more need no page, for the pieces of one that is cut. */
static void make_room_in_the_slab(struct test *t)
{
        struct slab *slab = &aspace_user()->mappings;

        for (uint64_t i = 0; i < 2ull * slab->objects_per_page; i++) {
                struct slab_counts now = slab_counts(slab);
                if (now.pages * slab->objects_per_page - now.objects >= 2)
                        break;
                EXPECT_OK(map_at(2 * GIB + 2 * i * P, P, VMAR_SPECIFIC));
        }
}

/* ---- what is taken away ---- */

enum act { UNMAP, OVERWRITE, READ_ONLY, NO_ACCESS };

struct cut {
        enum act act;
        uint64_t first, end;
        uint64_t splits; /* of large leaves at its ends */
};
static const struct cut cuts[] = {
        {UNMAP, 0, P, 1},                              /* the front of a leaf */
        {UNMAP, LARGE - P, LARGE, 1},                  /* the back of one */
        {UNMAP, LARGE + 3 * P, LARGE + 5 * P, 1},      /* the middle */
        {UNMAP, LARGE - 2 * P, 2 * LARGE + P, 2},      /* two ends and all between them */
        {UNMAP, 0, LARGE, 0},                          /* exactly one: nothing is split */
        {OVERWRITE, P, 2 * P, 1},
        {OVERWRITE, LARGE - P, LARGE + P, 2},
        {READ_ONLY, 0, P, 1},
        {READ_ONLY, LARGE - P, LARGE, 1},
        {READ_ONLY, LARGE + 3 * P, LARGE + 5 * P, 1},
        {READ_ONLY, LARGE - 2 * P, 2 * LARGE + P, 2},
        {READ_ONLY, LARGE, 2 * LARGE, 0},
        {NO_ACCESS, P, 2 * P, 1},
        {NO_ACCESS, LARGE - P, LARGE + P, 2},
};

static zx_status_t act_on(const struct cut *cut)
{
        uint64_t bytes = cut->end - cut->first;

        switch (cut->act) {
        case UNMAP:
                return vmar_unmap(region, base + cut->first, bytes);
        case OVERWRITE:
                return map_at(cut->first, bytes, VMAR_SPECIFIC_OVERWRITE);
        default:
                return vmar_protect(region, cut->act == READ_ONLY ? VMAR_PERM_READ : 0,
                                    base + cut->first, bytes);
        }
}

/* Shown pages of the first `bytes` bytes; each must be the right one, with what it permits now. */
static uint64_t count_shown(struct test *t, const struct cut *cut, uint64_t bytes)
{
        uint64_t shown = 0, wrong = 0;

        for (uint64_t offset = 0; offset < bytes; offset += P) {
                bool inside = offset >= cut->first && offset < cut->end;
                uint64_t pa = 0;
                uint32_t flags = 0;
                if (arch_query(base + offset, &pa, &flags, NULL) != ZX_OK)
                        continue;
                shown++;
                wrong += pa != WINDOW_PA + offset || (inside && cut->act != READ_ONLY) ||
                         ((flags & ARCH_MAP_WRITE) != 0) == inside;
        }
        EXPECT_EQ(wrong, 0);
        return shown;
}

/* Both ends of the cut, from both sides. */
static void check_faults(struct test *t, const struct cut *cut)
{
        const zx_status_t inside[] = {[UNMAP] = ZX_ERR_NOT_FOUND, [OVERWRITE] = ZX_OK,
                                      [READ_ONLY] = ZX_OK, [NO_ACCESS] = ZX_ERR_ACCESS_DENIED};

        if (cut->first != 0)
                EXPECT_OK(vmar_fault(aspace_user(), base + cut->first - P, VMAR_FAULT_WRITE));
        EXPECT_STATUS(inside[cut->act], vmar_fault(aspace_user(), base + cut->first, 0));
        EXPECT_STATUS(inside[cut->act], vmar_fault(aspace_user(), base + cut->end - P, 0));
        EXPECT_OK(vmar_fault(aspace_user(), base + cut->end, VMAR_FAULT_WRITE));
}

/* `bytes` in leaves as large as they can be, of which one is at the front; cut with `left` pages.
 *   returns  pages of the first three large leaves that are shown then */
static uint64_t cut_with(struct test *t, const struct cut *cut, uint64_t bytes, uint64_t left)
{
        uint64_t pages, shown;

        EXPECT_OK(map_at(0, bytes, VMAR_SPECIFIC | VMAR_MAP_RANGE));
        make_room_in_the_slab(t);
        leave(t, left);
        pages = left + aspace_table_page_count();
        EXPECT_OK(act_on(cut)); /* whatever is there */
        EXPECT_TRUE(vmar_valid(aspace_user()));
        shown = count_shown(t, cut, 3 * LARGE);
        EXPECT_EQ(pmm_count_free_pages(&kernel_pmm) + aspace_table_page_count(), pages);
        give_back();
        check_faults(t, cut);
        EXPECT_TRUE(vmar_valid(aspace_user()));
        EXPECT_OK(vmar_unmap(region, base, bytes));
        EXPECT_EQ(aspace_table_page_count(), tables_before);
        return shown;
}

/* With 0, 1 ... pages left, up to more than it takes. */
static void cut_to(struct test *t, const struct cut *cut, uint64_t bytes, uint64_t splits)
{
        uint64_t gone = cut->act == READ_ONLY ? 0 : (cut->end - cut->first) / P;
        uint64_t all = 3 * LARGE / P - gone;

        for (uint64_t left = 0; left <= splits + 1 && !test_has_failed(t); left++) {
                uint64_t shown = cut_with(t, cut, bytes, left);
                if (left >= splits) /* nothing went that had not to */
                        EXPECT_EQ(shown, all);
                else /* the leaf that could not be split did, as a whole */
                        EXPECT_LT(shown, all);
        }
}

TEST(aspace_short, a_large_leaf_is_cut)
{
        uint64_t page_bytes = 0;

        begin(t);
        REQUIRE_OK(vmo_create_physical(aspace_vmo_pool(), WINDOW_PA, REGION_BYTES, &vmo));
        REQUIRE_OK(map_at(0, 3 * LARGE, VMAR_SPECIFIC | VMAR_MAP_RANGE));
        EXPECT_OK(arch_query(base, NULL, NULL, &page_bytes));
        EXPECT_EQ(page_bytes, LARGE);
        EXPECT_OK(vmar_unmap(region, base, 3 * LARGE));
        for (unsigned i = 0; i < ARRAY_COUNT(cuts); i++)
                cut_to(t, &cuts[i], 3 * LARGE, cuts[i].splits);
        finish(t);
}

/* A cut inside one leaf of a GiB splits it twice, once to large leaves and once to pages; at a
 * table's edge once; two ends in two large leaves three times. */
static void cut_in_gib(struct test *t)
{
        static const struct cut in_gib[] = {
                {UNMAP, P, 2 * P, 2},
                {UNMAP, 0, LARGE, 1},
                {READ_ONLY, LARGE, 2 * LARGE, 1},
                {READ_ONLY, LARGE - P, LARGE + P, 3},
                {NO_ACCESS, LARGE - P, LARGE + P, 3},
                {OVERWRITE, LARGE - P, LARGE + P, 3},
        };

        for (unsigned i = 0; i < ARRAY_COUNT(in_gib); i++)
                cut_to(t, &in_gib[i], GIB, in_gib[i].splits);
}

/* Where the CPU has leaves of 1 GiB; two splits lead from one of them to a page. */
TEST(aspace_short, a_leaf_of_a_gib_is_cut)
{
        uint64_t page_bytes = 0;

        begin(t);
        REQUIRE_OK(vmo_create_physical(aspace_vmo_pool(), WINDOW_PA, REGION_BYTES, &vmo));
        REQUIRE_OK(map_at(0, GIB, VMAR_SPECIFIC | VMAR_MAP_RANGE));
        EXPECT_OK(arch_query(base, NULL, NULL, &page_bytes));
        EXPECT_OK(vmar_unmap(region, base, GIB));
        if (page_bytes == GIB)
                cut_in_gib(t);
        finish(t);
        if (page_bytes != GIB)
                SKIP("no leaves of 1 GiB");
}

/* ---- what is added ---- */

static uint64_t count_all_shown(uint64_t first, uint64_t end)
{
        uint64_t shown = 0;

        for (uint64_t offset = first; offset < end; offset += P)
                shown += arch_query(base + offset, NULL, NULL, NULL) == ZX_OK;
        return shown;
}

/* [first, end) mapped and entered at once: with as many pages left as it takes tables it works,
 * with fewer nothing has changed. Ends unmapped. */
static void map_range(struct test *t, uint64_t first, uint64_t end)
{
        uint64_t needed, pages;

        EXPECT_OK(map_at(first, end - first, VMAR_SPECIFIC | VMAR_MAP_RANGE));
        needed = aspace_table_page_count() - tables_before;
        pages = count_all_shown(first, end);
        EXPECT_LE(needed, TABLES_MAX);
        EXPECT_OK(vmar_unmap(region, base + first, end - first));
        for (uint64_t left = 0; left <= needed && !test_has_failed(t); left++) {
                uint64_t mappings;
                bool enough = left == needed;
                make_room_in_the_slab(t);
                mappings = aspace_user()->mapping_count;
                leave(t, left);
                EXPECT_STATUS(enough ? ZX_OK : ZX_ERR_NO_MEMORY,
                              map_at(first, end - first, VMAR_SPECIFIC | VMAR_MAP_RANGE));
                EXPECT_EQ(aspace_user()->mapping_count, mappings + enough);
                EXPECT_EQ(aspace_table_page_count(), tables_before + (enough ? needed : 0));
                EXPECT_EQ(pmm_count_free_pages(&kernel_pmm), enough ? 0 : left);
                EXPECT_EQ(count_all_shown(first, end), enough ? pages : 0);
                EXPECT_TRUE(vmar_valid(aspace_user()));
                give_back();
        }
        EXPECT_OK(vmar_unmap(region, base + first, end - first));
        EXPECT_EQ(aspace_table_page_count(), tables_before);
}

TEST(aspace_short, map_range_is_all_or_nothing)
{
        begin(t);
        REQUIRE_OK(vmo_create_physical(aspace_vmo_pool(), WINDOW_PA, REGION_BYTES, &vmo));
        map_range(t, 0, P);
        map_range(t, 0, LARGE);
        map_range(t, LARGE - P, LARGE + P);         /* over the edge of a table */
        map_range(t, LARGE - P, 2 * LARGE + P);     /* and a large leaf between two of them */
        map_range(t, GIB - LARGE - P, GIB + LARGE + P);
        finish(t);
}

/* A paged VMO is entered page by page; here two of its pages are there. */
TEST(aspace_short, map_range_of_pages_is_all_or_nothing)
{
        begin(t);
        REQUIRE_OK(vmo_create(aspace_vmo_pool(), 4 * LARGE, 0, &vmo));
        REQUIRE_OK(vmo_op_range(vmo, VMO_OP_COMMIT, LARGE - P, 2 * P));
        map_range(t, LARGE - 3 * P, LARGE + 3 * P);
        finish(t);
}

/* Here the VMO's pages and the nodes of its tree are refused, too. */
TEST(aspace_short, a_fault_and_commit_leave_no_empty_table)
{
        const uint64_t tables_for[] = {0, 3, 4}; /* pages shown, the second in a table of its own */
        zx_status_t status[2] = {ZX_ERR_NO_MEMORY, ZX_ERR_NO_MEMORY};

        begin(t);
        REQUIRE_OK(vmo_create(aspace_vmo_pool(), 2 * LARGE, 0, &vmo));
        REQUIRE_OK(map_at(LARGE - P, 2 * P, VMAR_SPECIFIC));
        for (unsigned act = 0; act < 2; act++) {
                for (uint64_t left = 0; left < 16 && status[act] != ZX_OK; left++) {
                        uint64_t shown;
                        leave(t, left);
                        status[act] = act == 0 ? vmar_fault(aspace_user(), base + LARGE, 0)
                                               : vmar_op_range(region, VMAR_OP_COMMIT,
                                                               base + LARGE - P, 2 * P);
                        shown = count_all_shown(0, 2 * LARGE);
                        EXPECT_TRUE(status[act] == ZX_OK || status[act] == ZX_ERR_NO_MEMORY);
                        EXPECT_TRUE(left != 0 || status[act] != ZX_OK);
                        EXPECT_EQ(aspace_table_page_count(), tables_before + tables_for[shown]);
                        EXPECT_EQ(status[act] == ZX_OK, shown == act + 1);
                        EXPECT_EQ(vmo_committed_pages(vmo) % (act + 1), 0); /* all or none */
                        EXPECT_TRUE(vmar_valid(aspace_user()));
                        give_back();
                        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, 2 * LARGE));
                        EXPECT_EQ(aspace_table_page_count(), tables_before);
                }
                EXPECT_OK(status[act]);
        }
        finish(t);
}

/* MAP_RANGE over the end of a leaf that is there: the leaf makes way. */
TEST(aspace_short, a_run_over_a_part_of_a_leaf)
{
        zx_status_t status = ZX_ERR_NO_MEMORY;

        begin(t);
        REQUIRE_OK(vmo_create_physical(aspace_vmo_pool(), WINDOW_PA, REGION_BYTES, &vmo));
        for (uint64_t left = 0; left < TABLES_MAX && status != ZX_OK; left++) {
                const struct cut none = {READ_ONLY, 0, 0, 0};
                uint64_t pages;
                EXPECT_OK(map_at(0, 3 * LARGE, VMAR_SPECIFIC | VMAR_MAP_RANGE));
                leave(t, left);
                pages = left + aspace_table_page_count();
                status = vmar_op_range(region, VMAR_OP_MAP_RANGE, base + P, LARGE + P);
                EXPECT_TRUE(status == ZX_OK || (status == ZX_ERR_NO_MEMORY && left < 2));
                EXPECT_EQ(pmm_count_free_pages(&kernel_pmm) + aspace_table_page_count(), pages);
                EXPECT_EQ(count_all_shown(P, LARGE + 2 * P), status == ZX_OK ? LARGE / P + 1 : 0);
                (void)count_shown(t, &none, 3 * LARGE); /* what there is, is right */
                EXPECT_TRUE(vmar_valid(aspace_user()));
                give_back();
                EXPECT_OK(vmar_op_range(region, VMAR_OP_MAP_RANGE, base, 3 * LARGE));
                EXPECT_EQ(count_shown(t, &none, 3 * LARGE), 3 * LARGE / P);
                EXPECT_OK(vmar_unmap(region, base, 3 * LARGE));
                EXPECT_EQ(aspace_table_page_count(), tables_before);
        }
        EXPECT_OK(status);
        finish(t);
}

/* The page table's own word: no CPU has that many address bits. */
TEST(aspace_short, an_address_that_the_cpu_cannot_reach)
{
        begin(t);
        REQUIRE_OK(vmo_create_physical(aspace_vmo_pool(), BIT_MASK(60), 2 * LARGE, &vmo));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, map_at(0, 2 * P, VMAR_SPECIFIC | VMAR_MAP_RANGE));
        EXPECT_EQ(aspace_user()->mapping_count, mappings_before);
        REQUIRE_OK(map_at(0, 2 * P, VMAR_SPECIFIC));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_fault(aspace_user(), base, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmar_op_range(region, VMAR_OP_MAP_RANGE, base, P));
        EXPECT_EQ(aspace_table_page_count(), tables_before);
        finish(t);
}
