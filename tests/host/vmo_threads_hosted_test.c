/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Slab and memory objects from several threads at once, one for each "CPU"; under AddressSanitizer
 * and, above all, under ThreadSanitizer. What must come out is arithmetic: every page back, every
 * count exact, and no page table that shows a page which has left. */
#include <string.h>

#include "base/bytes.h"
#include "kernel/vmo.h"
#include "tests/host/thread_bed.h"

#define BED_PAGES 300u
#define VMO_PAGES 100u /* two levels of the tree */
#define ROUNDS 2000

static struct vmo_pool pool;
static struct vmo *vmo;
static uint64_t free_before;

static void make_bed(struct test *t, uint64_t pages, uint32_t options)
{
        make_pmm(t, pages);
        REQUIRE_OK(vmo_pool_init(&pool, &pmm));
        free_before = pmm_count_free_pages(&pmm);
        REQUIRE_OK(vmo_create(&pool, VMO_PAGES * PAGE_BYTES, options, &vmo));
}

static void end_bed(struct test *t)
{
        EXPECT_TRUE(vmo_valid(vmo));
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_OBJECT), vmo_committed_pages(vmo));
        vmo_put(vmo);
        vmo_pool_fini(&pool);
        EXPECT_EQ(pmm_count_free_pages(&pmm), free_before);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

static uint64_t begin(void *number)
{
        this_cpu = (uint32_t)(uintptr_t)number;
        pthread_barrier_wait(&all_here);
        return this_cpu * 77777 + 1;
}

/* ---- slab ---- */

static void *alloc_and_free(void *number)
{
        enum { HELD = 40 };
        uint64_t random = begin(number);
        uint64_t *held[HELD] = {NULL};
        for (unsigned i = 0; i < 4 * ROUNDS; i++) {
                unsigned at = next_random(&random) % HELD;
                if (held[at] == NULL) {
                        held[at] = TRIED_POINTER(slab_alloc(&pool.nodes));
                        note(held[at] != NULL && held[at][0] == 0);
                        if (held[at] != NULL)
                                *held[at] = (uint64_t)this_cpu << 32 | at;
                } else {
                        note(*held[at] == ((uint64_t)this_cpu << 32 | at));
                        slab_free(&pool.nodes, held[at]);
                        held[at] = NULL;
                }
        }
        for (unsigned at = 0; at < HELD; at++) {
                if (held[at] != NULL)
                        slab_free(&pool.nodes, held[at]);
        }
        return NULL;
}

TEST(vmo_threads, slab)
{
        make_bed(t, BED_PAGES, 0);
        run_threads(t, THREADS, alloc_and_free);
        EXPECT_TRUE(slab_valid(&pool.nodes));
        EXPECT_EQ(slab_counts(&pool.nodes).objects, 0u);
        end_bed(t);
}

/* ---- bytes: each thread its own quarter of every page ---- */

static void *write_and_read(void *number)
{
        uint64_t random = begin(number), offset;
        uint8_t out[PAGE_BYTES / THREADS], in[PAGE_BYTES / THREADS];
        for (unsigned i = 0; i < ROUNDS; i++) {
                offset = next_random(&random) % VMO_PAGES * PAGE_BYTES + this_cpu * sizeof(out);
                memset(out, (int)next_random(&random) | 1, sizeof(out));
                note(TRIED(vmo_write(vmo, out, offset, sizeof(out))) == ZX_OK);
                note(vmo_read(vmo, in, offset, sizeof(in)) == ZX_OK);
                note(memcmp(in, out, sizeof(in)) == 0);
        }
        return NULL;
}

TEST(vmo_threads, bytes_next_to_each_other)
{
        make_bed(t, BED_PAGES, 0);
        run_threads(t, THREADS, write_and_read);
        EXPECT_EQ(vmo_committed_pages(vmo), VMO_PAGES);
        end_bed(t);
}

/* ---- pages come and go under everybody, memory is short ---- */

static void *come_and_go(void *number)
{
        uint64_t random = begin(number);
        static const uint8_t zeros[3 * PAGE_BYTES];
        uint8_t in[3 * PAGE_BYTES];
        for (unsigned i = 0; i < ROUNDS; i++) {
                uint64_t offset = next_random(&random) % VMO_PAGES * PAGE_BYTES;
                uint64_t bytes = (1 + next_random(&random) % 3) * PAGE_BYTES;
                zx_status_t status;
                switch (next_random(&random) % 5) {
                case 0:
                        status = vmo_op_range(vmo, VMO_OP_COMMIT, offset, bytes);
                        break;
                case 1:
                        status = vmo_op_range(vmo, VMO_OP_DECOMMIT, offset, bytes);
                        note(status != ZX_ERR_NO_MEMORY);
                        break;
                case 2:
                        status = vmo_read(vmo, in, offset, bytes);
                        note(status != ZX_OK || memcmp(in, zeros, bytes) == 0);
                        note(status == ZX_OK || status == ZX_ERR_OUT_OF_RANGE);
                        break;
                case 3:
                        status = vmo_pin(vmo, offset, bytes);
                        if (status == ZX_OK) {
                                struct vmo_span spans[3];
                                size_t count = 0;
                                note(vmo_pinned_spans(vmo, offset, bytes,
                                                      (struct vmo_span_list){spans, 3},
                                                      &count) == ZX_OK);
                                note(memcmp(pmm_pa_to_va(&pmm, spans[0].pa), zeros,
                                            PAGE_BYTES) == 0);
                                vmo_unpin(vmo, offset, bytes);
                        }
                        break;
                default:
                        status = ZX_OK;
                        if (vmo_is_resizable(vmo))
                                status = vmo_set_size(vmo, offset);
                        break;
                }
                note(status == ZX_OK || status == ZX_ERR_NO_MEMORY ||
                     status == ZX_ERR_OUT_OF_RANGE ||
                     status == ZX_ERR_BAD_STATE);
        }
        return NULL;
}

TEST(vmo_threads, pages_come_and_go)
{
        make_bed(t, BED_PAGES, 0);
        run_threads(t, THREADS, come_and_go);
        end_bed(t);
}

TEST(vmo_threads, pages_come_and_go_while_memory_is_short)
{
        make_bed(t, VMO_PAGES / 3, 0);
        run_threads(t, THREADS, come_and_go);
        end_bed(t);
}

TEST(vmo_threads, pages_come_and_go_while_the_size_changes)
{
        make_bed(t, VMO_PAGES, VMO_RESIZABLE);
        run_threads(t, THREADS, come_and_go);
        end_bed(t);
}

/* ---- page tables ---- */

/* What a page table shows; written under the VMO's lock only. */
struct table {
        struct vmo_mapping_link link;
        struct vmo_page_visitor visitor;
        uint64_t shown[VMO_PAGES];
};
static struct table table;

static void forget(struct vmo_mapping_link *link, uint64_t offset, uint64_t bytes)
{
        struct table *at = CONTAINER_OF(link, struct table, link);
        for (uint64_t page = offset / PAGE_BYTES; page < (offset + bytes) / PAGE_BYTES; page++)
                at->shown[page] = 0;
}

static zx_status_t show(struct vmo_page_visitor *visitor, uint64_t offset, uint64_t pa,
                        enum vmo_cache_policy policy)
{
        struct table *at = CONTAINER_OF(visitor, struct table, visitor);
        uint64_t before = at->shown[offset / PAGE_BYTES];
        note(before == 0 || before == pa); /* it never shows one that has left */
        at->shown[offset / PAGE_BYTES] = pa;
        return ZX_OK;
}

static const struct vmo_mapping_ops forget_ops = {forget};

static void *fault_and_drop(void *number)
{
        uint64_t random = begin(number);
        struct vmo_mapping_link passing = {.ops = &forget_ops}; /* a window of nothing */
        for (unsigned i = 0; i < ROUNDS; i++) {
                uint64_t offset = next_random(&random) % VMO_PAGES * PAGE_BYTES;
                uint64_t bytes = min_u64((1 + next_random(&random) % 5) * PAGE_BYTES,
                                         VMO_PAGES * PAGE_BYTES - offset);
                if (next_random(&random) % 2 == 0)
                        note(TRIED(vmo_with_page(vmo, offset, VMO_PAGE_WRITE,
                                                 &table.visitor)) == ZX_OK);
                else
                        note(vmo_op_range(vmo, VMO_OP_DECOMMIT, offset, bytes) == ZX_OK);
                if (i % 8 == 0) {
                        vmo_add_mapping(vmo, &passing);
                        vmo_change_mapping(vmo, &passing, PAGE_BYTES, 0);
                        vmo_remove_mapping(vmo, &passing);
                }
        }
        return NULL;
}

TEST(vmo_threads, page_tables_show_what_is_there)
{
        uint64_t pa;
        make_bed(t, BED_PAGES, 0);
        table = (struct table){.link = {.ops = &forget_ops, .bytes = VMO_PAGES * PAGE_BYTES},
                               .visitor = {show}};
        vmo_add_mapping(vmo, &table.link);
        run_threads(t, THREADS, fault_and_drop);
        for (uint64_t page = 0; page < VMO_PAGES; page++) {
                if (table.shown[page] == 0)
                        continue;
                EXPECT_OK(vmo_get_page(vmo, page * PAGE_BYTES, 0, &pa));
                EXPECT_EQ(pa, table.shown[page]);
        }
        vmo_remove_mapping(vmo, &table.link);
        end_bed(t);
}

/* ---- references ---- */

static void *get_and_put(void *number)
{
        uint64_t random = begin(number);
        for (unsigned i = 0; i < ROUNDS; i++) {
                vmo_get(vmo);
                if (next_random(&random) % 4 == 0)
                        note(vmo_size(vmo) == VMO_PAGES * PAGE_BYTES);
                vmo_put(vmo);
        }
        vmo_put(vmo); /* its own */
        return NULL;
}

TEST(vmo_threads, the_last_reference_frees)
{
        make_bed(t, BED_PAGES, 0);
        REQUIRE_OK(vmo_op_range(vmo, VMO_OP_COMMIT, 0, 50 * PAGE_BYTES));
        for (unsigned i = 1; i < THREADS; i++)
                vmo_get(vmo);
        run_threads(t, THREADS, get_and_put);
        vmo_pool_fini(&pool);
        EXPECT_EQ(pmm_count_free_pages(&pmm), free_before);
}

static zx_status_t see_page(struct vmo_page_visitor *visitor, uint64_t offset, uint64_t pa,
                            enum vmo_cache_policy policy)
{
        (void)visitor, (void)offset, (void)pa, (void)policy;
        return ZX_OK;
}

static void *resize_and_walk(void *number)
{
        uint64_t random = begin(number);
        struct vmo_page_visitor visitor = {see_page};
        for (unsigned i = 0; i < 30 * ROUNDS; i++) {
                uint64_t pages = next_random(&random) % (VMO_PAGES + 1);
                if (this_cpu == 0)
                        note(vmo_set_size(vmo, pages * PAGE_BYTES) == ZX_OK);
                else
                        note(vmo_with_pages(vmo, 0, VMO_PAGES * PAGE_BYTES, 0, &visitor) == ZX_OK);
        }
        return NULL;
}

/* Pages beyond the size are left out, whatever the size was a moment ago. */
TEST(vmo_threads, walking_while_the_size_changes)
{
        make_bed(t, BED_PAGES, VMO_RESIZABLE);
        run_threads(t, THREADS, resize_and_walk);
        end_bed(t);
}
