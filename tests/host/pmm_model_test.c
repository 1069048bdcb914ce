/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Random work on a pmm with large simulated arenas, compared call by call with an obvious model: an
 * array that says of every page whether it is free.
 *
 * Host only: the arenas are hundreds of MiB, of which only what is touched exists. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/pmm.h"

#define MODEL_PAGES_MAX 40000
#define HELD_MAX 6000
#define ARENAS 3

enum model_state { MODEL_OUTSIDE, MODEL_FREE, MODEL_HELD, MODEL_WIRED, MODEL_OWN };

static struct pmm pmm;
static uint8_t model[MODEL_PAGES_MAX]; /* by page number from base_pa, over all arenas */
static uint64_t base_pa, model_pages;
static struct {
        uint64_t first, end; /* page numbers in the model */
} arenas[ARENAS];
static struct vm_page *held[HELD_MAX];
static uint32_t held_count;

static uint64_t number_of(const struct vm_page *page)
{
        return (page->pa - base_pa) / PAGE_BYTES;
}

static uint64_t pa_of(uint64_t number)
{
        return base_pa + number * PAGE_BYTES;
}

static uint64_t model_count(uint8_t state, bool low_only)
{
        uint64_t count = 0;
        for (uint64_t i = 0; i < model_pages; i++)
                count += model[i] == state && (!low_only || pa_of(i) < PMM_LO_MEM_END_PA);
        return count;
}

/* Three arenas with holes between them, the second ends at 4 GiB, structures somewhere inside. */
static void make_machine(struct test *t)
{
        static const uint64_t sizes[ARENAS] = {4097, 20000, 9001}, gaps[ARENAS] = {3, 500, 0};
        uint64_t total = 0;
        for (unsigned i = 0; i < ARENAS; i++)
                total += sizes[i] + gaps[i];
        model_pages = total;
        base_pa = 4 * GIB - (sizes[0] + gaps[0] + sizes[1]) * PAGE_BYTES;
        char *memory = world_pages(t, total, NULL);
        __builtin_memset(model, MODEL_OUTSIDE, sizeof(model));
        held_count = 0;

        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - base_pa));
        uint64_t first = 0;
        for (unsigned i = 0; i < ARENAS; i++) {
                uint64_t own = pmm_structure_bytes(sizes[i]) / PAGE_BYTES;
                uint64_t own_first = first + world_random_below(t, (uint32_t)(sizes[i] - own));
                struct pmm_arena_config config = {"arena", pa_of(first), sizes[i] * PAGE_BYTES,
                                                  pa_of(own_first)};
                REQUIRE_OK(pmm_add_arena_at(&pmm, &config));
                __builtin_memset(&model[first], MODEL_FREE, sizes[i]);
                __builtin_memset(&model[own_first], MODEL_OWN, own);
                arenas[i].first = first;
                arenas[i].end = first + sizes[i];
                first += sizes[i] + gaps[i];
        }
}

/* ---- what the model says ---- */

static bool model_range_free(uint64_t first, uint64_t count)
{
        for (uint64_t i = first; i < first + count; i++) {
                if (i >= model_pages || model[i] != MODEL_FREE)
                        return false;
        }
        return true;
}

static bool model_has_run(uint64_t count, uint32_t align_log2, bool low_only)
{
        uint64_t alignment = 1ull << (align_log2 < PAGE_BYTES_LOG2 ? PAGE_BYTES_LOG2 : align_log2);
        for (unsigned a = 0; a < ARENAS; a++) {
                uint64_t run = 0; /* free pages that end at i */
                if (low_only && pa_of(arenas[a].end) > PMM_LO_MEM_END_PA)
                        continue;
                for (uint64_t i = arenas[a].first; i < arenas[a].end; i++) {
                        run = model[i] == MODEL_FREE ? run + 1 : 0;
                        /* Is there an aligned start in this run that leaves room? */
                        if (run >= count && is_aligned(pa_of(i + 1 - count), alignment))
                                return true;
                }
        }
        return false;
}

/* ---- what is done ---- */

static void hold(struct test *t, struct vm_page *page, bool low_only)
{
        uint64_t number = number_of(page);
        REQUIRE_TRUE(number < model_pages);
        EXPECT_EQ(model[number], MODEL_FREE);
        EXPECT_EQ(vm_page_state(page), VM_PAGE_ALLOC);
        if (low_only)
                EXPECT_LT(page->pa, PMM_LO_MEM_END_PA);
        model[number] = MODEL_HELD;
        REQUIRE_TRUE(held_count < HELD_MAX);
        held[held_count++] = page;
}

static void hold_list(struct test *t, struct list_node *list, uint64_t count, bool low_only)
{
        struct list_node *node;
        uint64_t seen = 0;
        while ((node = list_remove_head(list)) != NULL) {
                hold(t, vm_page_from_node(node), low_only);
                seen++;
        }
        EXPECT_EQ(seen, count);
}

static void do_alloc(struct test *t)
{
        struct list_node list;
        bool low_only = world_random_below(t, 3) == 0;
        uint64_t count = world_random_below(t, 8) == 0 ? world_random_below(t, 700)
                                                       : world_random_below(t, 4);
        list_init(&list);
        if (held_count + count > HELD_MAX)
                return;
        zx_status_t status = TRIED(
                pmm_alloc_pages(&pmm, count, low_only ? PMM_ALLOC_LO_MEM : PMM_ALLOC_ANY, &list));
        EXPECT_STATUS(model_count(MODEL_FREE, low_only) >= count ? ZX_OK : ZX_ERR_NO_MEMORY,
                      status);
        hold_list(t, &list, status == ZX_OK ? count : 0, low_only);
}

static void do_free(struct test *t)
{
        struct list_node list;
        list_init(&list);
        uint32_t count = world_random_below(t, held_count + 1) / (1 + world_random_below(t, 8));
        for (uint32_t i = 0; i < count; i++) {
                uint32_t choice = world_random_below(t, held_count);
                struct vm_page *page = held[choice];
                held[choice] = held[--held_count];
                model[number_of(page)] = MODEL_FREE;
                if (world_random_below(t, 4) == 0)
                        pmm_set_state(&pmm, page, VM_PAGE_IPC);
                list_add_tail(&list, &page->list);
        }
        if (count == 1)
                pmm_free_page(&pmm, vm_page_from_node(list_remove_head(&list)));
        else
                pmm_free(&pmm, &list);
        EXPECT_TRUE(list_is_empty(&list));
}

static void do_contiguous(struct test *t)
{
        struct list_node list;
        bool low_only = world_random_below(t, 3) == 0;
        uint64_t count = 1 + world_random_below(t, 1u << world_random_below(t, 11)), pa = 0;
        uint32_t align_log2 = world_random_below(t, 24);
        list_init(&list);
        if (held_count + count > HELD_MAX)
                return;
        zx_status_t status = TRIED(pmm_alloc_contiguous(
                &pmm, count, low_only ? PMM_ALLOC_LO_MEM : PMM_ALLOC_ANY, align_log2, &pa, &list));
        if (count == 1 && align_log2 <= PAGE_BYTES_LOG2) {
                EXPECT_EQ(status == ZX_OK, model_count(MODEL_FREE, low_only) != 0);
        } else {
                EXPECT_STATUS(model_has_run(count, align_log2, low_only) ? ZX_OK : ZX_ERR_NOT_FOUND,
                              status);
        }
        if (status != ZX_OK)
                return;
        EXPECT_TRUE(is_aligned(pa, 1ull << align_log2));
        uint64_t at = pa;
        LIST_FOR_EACH(node, &list)
        {
                EXPECT_EQ(vm_page_from_node(node)->pa, at);
                at += PAGE_BYTES;
        }
        hold_list(t, &list, count, low_only);
}

static void do_range(struct test *t)
{
        struct list_node list;
        uint64_t first = world_random_below(t, (uint32_t)model_pages);
        uint64_t count = world_random_below(t, 200);
        list_init(&list);
        if (world_random_below(t, 4) == 0) {
                zx_status_t status = pmm_wire_range(&pmm, pa_of(first), count / 8);
                EXPECT_STATUS(model_range_free(first, count / 8) ? ZX_OK : ZX_ERR_NOT_FOUND,
                              status);
                if (status == ZX_OK)
                        __builtin_memset(&model[first], MODEL_WIRED, count / 8);
                return;
        }
        if (held_count + count > HELD_MAX)
                return;
        zx_status_t status = TRIED(pmm_alloc_range(&pmm, pa_of(first), count, &list));
        EXPECT_STATUS(model_range_free(first, count) ? ZX_OK : ZX_ERR_NOT_FOUND, status);
        hold_list(t, &list, status == ZX_OK ? count : 0, false);
}

static void do_unwire(struct test *t)
{
        uint64_t first = world_random_below(t, (uint32_t)model_pages);
        uint64_t count = 0;
        while (first < model_pages && model[first] != MODEL_WIRED)
                first++;
        while (first + count < model_pages && model[first + count] == MODEL_WIRED)
                count++;
        pmm_free_wired_range(&pmm, pa_of(first), count);
        __builtin_memset(&model[first], MODEL_FREE, count);
}

static void expect_same(struct test *t)
{
        static const uint8_t states[] = {[VM_PAGE_FREE] = MODEL_FREE, [VM_PAGE_ALLOC] = MODEL_HELD};
        EXPECT_EQ(pmm_count_free_pages(&pmm), model_count(MODEL_FREE, false));
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_ALLOC), held_count);
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_WIRED),
                  model_count(MODEL_WIRED, false) + model_count(MODEL_OWN, false));
        EXPECT_TRUE(pmm_check_all(&pmm));
        for (uint64_t i = 0; i < 50; i++) {
                uint64_t number = world_random_below(t, (uint32_t)model_pages);
                struct vm_page *page = pmm_page_from_pa(&pmm, pa_of(number));
                EXPECT_EQ(page == NULL, model[number] == MODEL_OUTSIDE);
                if (page == NULL)
                        continue;
                EXPECT_EQ(number_of(page), number);
                EXPECT_PTR_EQ(pmm_index_to_page(&pmm, pmm_page_to_index(&pmm, page)), page);
                if (vm_page_state(page) == VM_PAGE_WIRED)
                        EXPECT_TRUE(model[number] == MODEL_WIRED || model[number] == MODEL_OWN);
                else
                        EXPECT_EQ(model[number], states[vm_page_state(page)]);
        }
}

TEST(pmm_model, random_work_agrees)
{
        enum { ROUNDS = 6000, COMPARED_EVERY = 50 };
        make_machine(t);
        expect_same(t);
        for (unsigned round = 0; round < ROUNDS && !test_has_failed(t); round++) {
                uint32_t what = world_random_below(t, 16);
                if (what < 5)
                        do_alloc(t);
                else if (what < 9)
                        do_free(t);
                else if (what < 12)
                        do_contiguous(t);
                else if (what < 15)
                        do_range(t);
                else
                        do_unwire(t);
                if (round % COMPARED_EVERY == 0)
                        expect_same(t);
        }
        /* Everything back: every page that is not the pmm's own is free again. */
        for (uint32_t i = 0; i < held_count; i++) {
                model[number_of(held[i])] = MODEL_FREE;
                pmm_free_page(&pmm, held[i]);
        }
        held_count = 0;
        while (model_count(MODEL_WIRED, false) != 0)
                do_unwire(t);
        expect_same(t);
        EXPECT_EQ(pmm_count_free_pages(&pmm) + model_count(MODEL_OWN, false),
                  pmm_count_total_bytes(&pmm) / PAGE_BYTES);
}

/* A machine at the edge of being full, where most requests fail. */
TEST(pmm_model, random_work_agrees_when_memory_is_short)
{
        enum { ROUNDS = 3000, COMPARED_EVERY = 50 };
        make_machine(t);
        for (unsigned a = 0; a < ARENAS; a++) { /* wire all but every third stretch of some pages */
                uint64_t first = arenas[a].first;
                while (first < arenas[a].end) {
                        uint64_t count = 1 + world_random_below(t, 90);
                        if (world_random_below(t, 8) != 0 && model_range_free(first, count) &&
                            first + count <= arenas[a].end) {
                                REQUIRE_OK(pmm_wire_range(&pmm, pa_of(first), count));
                                __builtin_memset(&model[first], MODEL_WIRED, count);
                        }
                        first += count;
                }
        }
        for (unsigned round = 0; round < ROUNDS && !test_has_failed(t); round++) {
                uint32_t what = world_random_below(t, 12);
                if (what < 4)
                        do_alloc(t);
                else if (what < 6)
                        do_free(t);
                else if (what < 10)
                        do_contiguous(t);
                else
                        do_range(t);
                if (round % COMPARED_EVERY == 0)
                        expect_same(t);
        }
        expect_same(t);
}

/* 32 GiB in one arena: adding it must not take time or memory in proportion. */
TEST(pmm_model, a_large_arena_is_added_without_touching_it)
{
        enum { PAGES = 8 << 20 };
        struct vm_page *page;
        struct list_node list;
        uint64_t pa;
        char *memory = world_pages(t, PAGES, NULL);
        list_init(&list);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - 4 * GIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "large", 4 * GIB, PAGES * PAGE_BYTES));
        EXPECT_EQ(pmm_count_free_pages(&pmm), PAGES - pmm_structure_bytes(PAGES) / PAGE_BYTES);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        EXPECT_EQ(page->pa, 4 * GIB);
        REQUIRE_OK(pmm_alloc_contiguous(&pmm, 1 << 18, PMM_ALLOC_ANY, 30, &pa, &list));
        EXPECT_EQ(pa, 5 * GIB);
        EXPECT_TRUE(pmm_check_all(&pmm));
}
