/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Random work on three memory objects of three kinds, compared call by call with an obvious model:
 * an array of bytes, and for each page whether it is there and how often it is pinned. Memory is
 * short at times, so that a part of the calls fails and must have changed nothing. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/vmo.h"

#define ARENA_PAGES 160
#define VMOS 3
#define PAGES_MAX 90 /* more than one node of the tree */
#define BYTES_MAX (PAGES_MAX * PAGE_BYTES)

struct model {
        struct vmo *vmo;
        uint64_t size, content;
        bool paged, resizable;
        bool there[PAGES_MAX];
        uint8_t pins[PAGES_MAX];
        uint64_t shown; /* pages that the "page table" shows; below 64, the window of the mapping */
        uint8_t bytes[BYTES_MAX];
};

static struct pmm pmm;
static struct vmo_pool pool;
static struct model models[VMOS];
static struct list_node taken; /* pages that are kept from everybody, to make memory short */
static uint8_t scratch[BYTES_MAX];

/* ---- the mapping: shows pages 0 .. 63, one at a time ---- */

struct test_mapping {
        struct vmo_mapping_link link;
        struct model *model;
};
static struct test_mapping mappings[VMOS];

static void forget(struct vmo_mapping_link *link, uint64_t offset, uint64_t bytes)
{
        struct model *m = CONTAINER_OF(link, struct test_mapping, link)->model;
        for (uint64_t page = offset / PAGE_BYTES; page < (offset + bytes) / PAGE_BYTES; page++)
                m->shown &= ~BIT_MASK(page);
}
static const struct vmo_mapping_ops forget_ops = {forget};

/* ---- the model ---- */

static bool in_range(const struct model *m, uint64_t offset, uint64_t bytes)
{
        return offset <= m->size && bytes <= m->size - offset;
}

static uint64_t page_end(uint64_t offset, uint64_t bytes)
{
        return bytes == 0 ? offset / PAGE_BYTES : div_round_up(offset + bytes, PAGE_BYTES);
}

static bool any_pinned(const struct model *m, uint64_t first, uint64_t end)
{
        for (uint64_t page = first; page < end; page++) {
                if (m->pins[page] != 0)
                        return true;
        }
        return false;
}

static void model_commit(struct model *m, uint64_t first, uint64_t end)
{
        for (uint64_t page = first; page < end; page++)
                m->there[page] = true;
}

/* Pages that leave; those of the window must not be shown any more. */
static void model_drop(struct test *t, struct model *m, uint64_t first, uint64_t end)
{
        for (uint64_t page = first; page < end; page++) {
                if (m->pins[page] != 0)
                        continue;
                if (m->there[page] && page < 64)
                        EXPECT_EQ(m->shown & BIT_MASK(page), 0);
                m->there[page] = false;
        }
}

static uint64_t count_there(const struct model *m)
{
        uint64_t count = 0;
        for (uint64_t page = 0; page < PAGES_MAX; page++)
                count += m->there[page];
        return count;
}

/* NO_MEMORY is right only if there is too little for the missing pages and the nodes above them. */
static void expect_short(struct test *t, const struct model *m, uint64_t first, uint64_t end)
{
        uint64_t missing = 0;
        for (uint64_t page = first; page < end; page++)
                missing += !m->there[page];
        EXPECT_LT(pmm_count_free_pages(&pmm), missing + 1);
}

static void expect_same(struct test *t)
{
        uint64_t pages = 0;
        for (unsigned i = 0; i < VMOS; i++) {
                struct model *m = &models[i];
                EXPECT_TRUE(vmo_valid(m->vmo));
                EXPECT_EQ(vmo_size(m->vmo), m->size);
                EXPECT_EQ(vmo_content_size(m->vmo), m->content);
                EXPECT_EQ(vmo_committed_pages(m->vmo), count_there(m));
                EXPECT_OK(vmo_read(m->vmo, scratch, 0, m->size));
                EXPECT_BYTES_EQ(scratch, m->bytes, m->size);
                EXPECT_EQ(vmo_committed_pages(m->vmo), count_there(m));
                pages += count_there(m);
        }
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_OBJECT), pages);
        EXPECT_TRUE(slab_valid(&pool.nodes));
        EXPECT_TRUE(pmm_check_all(&pmm));
}

/* ---- what is done ---- */

static uint64_t some_offset(struct test *t, const struct model *m)
{
        uint64_t offset = world_random_below(t, (uint32_t)m->size + 1);
        uint32_t how = world_random_below(t, 4);
        if (how == 0)
                return round_down(offset, PAGE_BYTES);
        if (how == 1)
                return offset + world_random_below(t, 3 * PAGE_BYTES);
        return offset;
}

static uint64_t some_length(struct test *t)
{
        uint64_t length = world_random_below(t, 1u << (3 + world_random_below(t, 14)));
        return world_random_below(t, 3) == 0 ? round_up(length, PAGE_BYTES) : length;
}

static void do_write(struct test *t, struct model *m)
{
        uint64_t offset = some_offset(t, m), bytes = some_length(t);
        for (uint64_t i = 0; i < bytes; i++)
                scratch[i] = (uint8_t)(world_random(t) >> 7);
        zx_status_t status = TRIED(vmo_write(m->vmo, scratch, offset, bytes));
        if (!in_range(m, offset, bytes)) {
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, status);
        } else if (status == ZX_OK) {
                model_commit(m, offset / PAGE_BYTES, page_end(offset, bytes));
                __builtin_memcpy(m->bytes + offset, scratch, bytes);
        } else {
                EXPECT_STATUS(ZX_ERR_NO_MEMORY, status);
                expect_short(t, m, offset / PAGE_BYTES, page_end(offset, bytes));
        }
}

static void do_read(struct test *t, struct model *m)
{
        uint64_t offset = some_offset(t, m), bytes = some_length(t);
        zx_status_t status = TRIED(vmo_read(m->vmo, scratch, offset, bytes));
        EXPECT_STATUS(in_range(m, offset, bytes) ? ZX_OK : ZX_ERR_OUT_OF_RANGE, status);
        if (status == ZX_OK)
                EXPECT_BYTES_EQ(scratch, m->bytes + offset, bytes);
}

static void do_copy(struct test *t, struct model *m)
{
        struct model *from = &models[world_random_below(t, VMOS)];
        uint64_t offset = some_offset(t, m), bytes = some_length(t);
        uint64_t from_offset = some_offset(t, from);
        zx_status_t status = TRIED(vmo_copy((struct vmo_place){m->vmo, offset},
                                      (struct vmo_place){from->vmo, from_offset}, bytes));
        if (!in_range(from, from_offset, bytes) || !in_range(m, offset, bytes)) {
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, status);
        } else if (status == ZX_OK) {
                model_commit(m, offset / PAGE_BYTES, page_end(offset, bytes));
                __builtin_memmove(m->bytes + offset, from->bytes + from_offset, bytes);
        } else {
                EXPECT_STATUS(ZX_ERR_NO_MEMORY, status);
                expect_short(t, m, offset / PAGE_BYTES, page_end(offset, bytes));
        }
}

static void do_commit(struct test *t, struct model *m)
{
        uint64_t offset = some_offset(t, m), bytes = some_length(t);
        zx_status_t status = TRIED(vmo_op_range(m->vmo, VMO_OP_COMMIT, offset, bytes));
        if (!in_range(m, offset, bytes)) {
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, status);
        } else if (status == ZX_OK) {
                model_commit(m, offset / PAGE_BYTES, page_end(offset, bytes));
        } else {
                EXPECT_STATUS(ZX_ERR_NO_MEMORY, status);
                expect_short(t, m, offset / PAGE_BYTES, page_end(offset, bytes));
        }
}

static void do_decommit(struct test *t, struct model *m)
{
        uint64_t offset = some_offset(t, m), bytes = some_length(t);
        uint64_t first = offset / PAGE_BYTES, end = page_end(offset, bytes);
        zx_status_t expected = !is_aligned(offset | bytes, PAGE_BYTES)  ? ZX_ERR_INVALID_ARGS
                               : !m->paged                              ? ZX_ERR_NOT_SUPPORTED
                               : !in_range(m, offset, bytes)            ? ZX_ERR_OUT_OF_RANGE
                               : any_pinned(m, first, end)              ? ZX_ERR_BAD_STATE
                                                                        : ZX_OK;
        EXPECT_STATUS(expected, vmo_op_range(m->vmo, VMO_OP_DECOMMIT, offset, bytes));
        if (expected != ZX_OK)
                return;
        model_drop(t, m, first, end);
        __builtin_memset(m->bytes + offset, 0, bytes);
}

static void do_zero(struct test *t, struct model *m)
{
        uint64_t offset = some_offset(t, m), bytes = some_length(t);
        zx_status_t status = TRIED(vmo_op_range(m->vmo, VMO_OP_ZERO, offset, bytes));
        EXPECT_STATUS(in_range(m, offset, bytes) ? ZX_OK : ZX_ERR_OUT_OF_RANGE, status);
        if (status != ZX_OK)
                return;
        if (m->paged)
                model_drop(t, m, div_round_up(offset, PAGE_BYTES), (offset + bytes) / PAGE_BYTES);
        __builtin_memset(m->bytes + offset, 0, bytes);
}

static void do_resize(struct test *t, struct model *m)
{
        uint64_t size = world_random_below(t, BYTES_MAX + 1), rounded = round_up(size, PAGE_BYTES);
        uint64_t first = rounded / PAGE_BYTES, end = m->size / PAGE_BYTES;
        zx_status_t expected = !m->resizable                 ? ZX_ERR_UNAVAILABLE
                               : any_pinned(m, first, end)   ? ZX_ERR_BAD_STATE
                                                             : ZX_OK;
        EXPECT_STATUS(expected, vmo_set_size(m->vmo, size));
        if (expected != ZX_OK)
                return;
        if (first < end)
                model_drop(t, m, first, end);
        __builtin_memset(m->bytes + size, 0, rounded - size);
        if (rounded < m->size)
                __builtin_memset(m->bytes + rounded, 0, m->size - rounded);
        m->size = rounded;
        m->content = size;
}

static void do_pin(struct test *t, struct model *m)
{
        uint64_t offset = round_down(some_offset(t, m), PAGE_BYTES);
        uint64_t bytes = (1 + world_random_below(t, 5)) * PAGE_BYTES;
        uint64_t first = offset / PAGE_BYTES, end = first + bytes / PAGE_BYTES;
        zx_status_t status = TRIED(vmo_pin(m->vmo, offset, bytes));
        bool full = false;
        for (uint64_t page = first; in_range(m, offset, bytes) && page < end; page++)
                full = full || m->pins[page] == VM_PAGE_PIN_COUNT_MAX;
        if (!in_range(m, offset, bytes)) {
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, status);
                return;
        }
        if (full) { /* before a page is made */
                EXPECT_STATUS(ZX_ERR_UNAVAILABLE, status);
                return;
        }
        if (status == ZX_ERR_NO_MEMORY) {
                expect_short(t, m, first, end);
                return;
        }
        EXPECT_OK(status);
        model_commit(m, first, end);
        for (uint64_t page = first; page < end; page++)
                m->pins[page]++;
}

/* Pins come off page by page, which is as good as range by range. */
static void do_unpin(struct test *t, struct model *m, bool all)
{
        for (uint64_t page = 0; page < PAGES_MAX; page++) {
                while (m->pins[page] != 0 && (all || world_random_below(t, 3) == 0)) {
                        vmo_unpin(m->vmo, page * PAGE_BYTES, PAGE_BYTES);
                        m->pins[page]--;
                }
        }
}

static void do_spans(struct test *t, struct model *m)
{
        struct vmo_span spans[PAGES_MAX];
        uint64_t offset = some_offset(t, m), bytes = some_length(t), at = 0, pa;
        size_t count = 0;
        bool pinned = in_range(m, offset, bytes);
        for (uint64_t page = offset / PAGE_BYTES; pinned && page < page_end(offset, bytes); page++)
                pinned = m->pins[page] != 0;
        zx_status_t status = vmo_pinned_spans(m->vmo, offset, bytes,
                                              (struct vmo_span_list){spans, PAGES_MAX}, &count);
        EXPECT_STATUS(pinned                        ? ZX_OK
                      : in_range(m, offset, bytes) ? ZX_ERR_BAD_STATE
                                                    : ZX_ERR_OUT_OF_RANGE,
                      status);
        for (size_t i = 0; status == ZX_OK && i < count; i++) {
                EXPECT_BYTES_EQ(pmm_pa_to_va(&pmm, spans[i].pa), m->bytes + offset + at,
                                spans[i].bytes);
                EXPECT_OK(vmo_get_page(m->vmo, offset + at, 0, &pa));
                EXPECT_EQ(spans[i].pa, pa + (offset + at) % PAGE_BYTES);
                at += spans[i].bytes;
        }
        if (status == ZX_OK)
                EXPECT_EQ(at, bytes);
}

static void do_show(struct test *t, struct model *m)
{
        uint64_t offset = some_offset(t, m), page = offset / PAGE_BYTES, pa;
        uint32_t flags = world_random_below(t, 4);
        zx_status_t status = TRIED(vmo_get_page(m->vmo, offset, flags, &pa));
        if (page >= m->size / PAGE_BYTES) {
                EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, status);
                return;
        }
        if (status == ZX_ERR_NO_MEMORY) {
                expect_short(t, m, page, page + 1);
                return;
        }
        EXPECT_STATUS(m->there[page] || flags != 0 ? ZX_OK : ZX_ERR_NOT_FOUND, status);
        if (status != ZX_OK)
                return;
        m->there[page] = true;
        EXPECT_BYTES_EQ(pmm_pa_to_va(&pmm, pa), m->bytes + page * PAGE_BYTES, PAGE_BYTES);
        if (page < 64)
                m->shown |= BIT_MASK(page);
        if (flags & VMO_PAGE_WRITE) { /* a write through the page table */
                m->bytes[page * PAGE_BYTES + 99] ^= 0x55;
                *((uint8_t *)pmm_pa_to_va(&pmm, pa) + 99) ^= 0x55;
        }
}

/* Takes pages away from everybody, or gives them back. */
static void do_weather(struct test *t)
{
        uint64_t free_pages = pmm_count_free_pages(&pmm);
        if (world_random_below(t, 2) == 0)
                pmm_free(&pmm, &taken);
        else
                EXPECT_OK(pmm_alloc_pages(&pmm, world_random_below(t, (uint32_t)free_pages + 1),
                                          PMM_ALLOC_ANY, &taken));
}

static void make_world(struct test *t)
{
        char *memory = world_pages(t, ARENA_PAGES, NULL);
        list_init(&taken);
        __builtin_memset(models, 0, sizeof(models));
        __builtin_memset(mappings, 0, sizeof(mappings));
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "model", MIB, ARENA_PAGES * PAGE_BYTES));
        REQUIRE_OK(vmo_pool_init(&pool, &pmm));
        models[0] = (struct model){.size = 70 * PAGE_BYTES, .paged = true, .resizable = true};
        models[1] = (struct model){.size = 66 * PAGE_BYTES, .paged = true};
        models[2] = (struct model){.size = 9 * PAGE_BYTES};
        REQUIRE_OK(vmo_create(&pool, models[0].size, VMO_RESIZABLE, &models[0].vmo));
        REQUIRE_OK(vmo_create(&pool, models[1].size, 0, &models[1].vmo));
        REQUIRE_OK(vmo_create_contiguous(&pool, models[2].size, 0, &models[2].vmo));
        model_commit(&models[2], 0, 9);
        for (unsigned i = 0; i < VMOS; i++) {
                models[i].content = models[i].size;
                mappings[i] = (struct test_mapping){
                        .link = {.ops = &forget_ops, .bytes = 64 * PAGE_BYTES},
                        .model = &models[i]};
                vmo_add_mapping(models[i].vmo, &mappings[i].link);
        }
}

static void do_something(struct test *t)
{
        struct model *m = &models[world_random_below(t, VMOS)];
        switch (world_random_below(t, 24)) {
        case 0 ... 4:
                return do_write(t, m);
        case 5 ... 6:
                return do_read(t, m);
        case 7 ... 9:
                return do_copy(t, m);
        case 10:
                return do_commit(t, m);
        case 11 ... 12:
                return do_decommit(t, m);
        case 13 ... 14:
                return do_zero(t, m);
        case 15:
                return do_resize(t, m);
        case 16:
                return do_pin(t, m);
        case 17 ... 18:
                return do_unpin(t, m, world_random_below(t, 4) == 0);
        case 19:
                return do_spans(t, m);
        case 20 ... 22:
                return do_show(t, m);
        default:
                return do_weather(t);
        }
}

TEST(vmo_model, random_work_agrees)
{
        enum { ROUNDS = 12000, COMPARED_EVERY = 40 };
        make_world(t);
        expect_same(t);
        for (unsigned round = 0; round < ROUNDS && !test_has_failed(t); round++) {
                do_something(t);
                if (round % COMPARED_EVERY == 0)
                        expect_same(t);
        }
        expect_same(t);
        for (unsigned i = 0; i < VMOS; i++) {
                do_unpin(t, &models[i], true);
                vmo_remove_mapping(models[i].vmo, &mappings[i].link);
                vmo_put(models[i].vmo);
        }
        pmm_free(&pmm, &taken);
        vmo_pool_fini(&pool);
        EXPECT_EQ(pmm_count_free_pages(&pmm),
                  ARENA_PAGES - pmm_structure_bytes(ARENA_PAGES) / PAGE_BYTES);
        EXPECT_TRUE(pmm_check_all(&pmm));
}
