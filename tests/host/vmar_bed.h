/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmar_bed — a pmm, a pool of VMOs, a simulated page table and a space over them, for the tests of
 * vmar.
 *
 * The simulated table has two levels: each 512 pages of the window share a table page from the pmm,
 * which goes back when its last entry does; so tables can run out of memory and be counted, as real
 * ones. Addresses outside the window can be given to mappings but never entered. */
#ifndef TESTS_HOST_VMAR_BED_H
#define TESTS_HOST_VMAR_BED_H

#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/vmar.h"
#include "kernel/vmar_manager.h"

#define BED_BASE_PA (5 * MIB)
#define BED_BASE (GIB)
#define BED_WINDOW_PAGES 8192u /* 32 MiB of addresses from BED_BASE that the table knows */
#define BED_TABLE_PAGES 512u
#define BED_PAGES_MAX 4096u
#define BED_RUNS_MAX 60u /* of a sweep: no body here takes more pages */

struct bed_entry {
        uint64_t pa;
        uint32_t permissions;
        uint32_t policy;
        bool present;
};
struct bed_table {
        struct vmar_table table;
        struct spinlock lock; /* each of the four takes it, as a real table's would */
        struct bed_entry entries[BED_WINDOW_PAGES];
        struct vm_page *pages[BED_WINDOW_PAGES / BED_TABLE_PAGES];
        uint32_t used[BED_WINDOW_PAGES / BED_TABLE_PAGES];
        uint64_t map_calls, unmap_calls, protect_calls;
        uint64_t table_pages;
};
struct vmar_bed {
        struct pmm pmm;
        struct vmo_pool pool;
        struct bed_table table;
        struct vmar_space space;
        struct vmar_handle root;
        struct list_node taken;
        uint64_t free_pages; /* when nothing is made */
        bool sweeping;
};
static struct vmar_bed bed;
static void (*bed_share)(struct pmm *pmm); /* set by tests with threads, before the bed is made */

/* ---- the table ---- */

static inline uint64_t bed_index(uint64_t va)
{
        return (va - BED_BASE) / PAGE_BYTES;
}

static inline void bed_table_clear(uint64_t index)
{
        uint64_t group = index / BED_TABLE_PAGES;
        if (!bed.table.entries[index].present)
                return;
        bed.table.entries[index] = (struct bed_entry){0};
        if (--bed.table.used[group] == 0) {
                pmm_free_page(&bed.pmm, bed.table.pages[group]);
                bed.table.pages[group] = NULL;
                bed.table.table_pages--;
        }
}

static inline void bed_table_clear_range(uint64_t va, uint64_t bytes)
{
        uint64_t first = bed_index(va), end = first + bytes / PAGE_BYTES;
        for (uint64_t i = first; i < end && i < BED_WINDOW_PAGES; i++)
                bed_table_clear(i);
}

static inline void bed_table_unmap(struct vmar_table *table, uint64_t va, uint64_t bytes)
{
        spinlock_take(&bed.table.lock);
        bed.table.unmap_calls++;
        bed_table_clear_range(va, bytes);
        spinlock_give(&bed.table.lock);
}

/* A page for the table of a group, if it has none. */
static inline zx_status_t bed_table_make(uint64_t group)
{
        struct vm_page *page;
        if (bed.table.pages[group] != NULL)
                return ZX_OK;
        if (pmm_alloc_page(&bed.pmm, PMM_ALLOC_ANY, &page) != ZX_OK)
                return ZX_ERR_NO_MEMORY;
        pmm_set_state(&bed.pmm, page, VM_PAGE_MMU);
        bed.table.pages[group] = page;
        bed.table.table_pages++;
        return ZX_OK;
}

static inline zx_status_t bed_table_map(struct vmar_table *table,
                                        const struct vmar_table_entry *entry)
{
        zx_status_t status = ZX_OK;
        spinlock_take(&bed.table.lock);
        bed.table.map_calls++;
        for (uint64_t done = 0; done < entry->bytes && status == ZX_OK; done += PAGE_BYTES) {
                uint64_t index = bed_index(entry->va + done), group = index / BED_TABLE_PAGES;
                if (index >= BED_WINDOW_PAGES)
                        __builtin_trap();
                status = bed_table_make(group);
                if (status != ZX_OK)
                        break;
                bed.table.used[group] += !bed.table.entries[index].present;
                bed.table.entries[index] = (struct bed_entry){
                        entry->pa + done, entry->permissions, entry->policy, true};
        }
        if (status != ZX_OK)
                bed_table_clear_range(entry->va, entry->bytes);
        spinlock_give(&bed.table.lock);
        return status;
}

static inline void bed_table_protect(struct vmar_table *table, uint64_t va, uint64_t bytes,
                                     uint32_t permissions)
{
        uint64_t first = bed_index(va), end = first + bytes / PAGE_BYTES;
        spinlock_take(&bed.table.lock);
        bed.table.protect_calls++;
        for (uint64_t i = first; i < end && i < BED_WINDOW_PAGES; i++)
                if (bed.table.entries[i].present)
                        bed.table.entries[i].permissions = permissions;
        spinlock_give(&bed.table.lock);
}

static inline bool bed_table_query(struct vmar_table *table, uint64_t va, uint64_t *pa_out,
                                   uint32_t *permissions_out)
{
        struct bed_entry entry = {0};
        spinlock_take(&bed.table.lock);
        if (bed_index(va) < BED_WINDOW_PAGES)
                entry = bed.table.entries[bed_index(va)];
        spinlock_give(&bed.table.lock);
        *pa_out = entry.pa;
        *permissions_out = entry.permissions;
        return entry.present;
}

/* Whether the table shows something at `va`. */
static inline bool bed_shown(uint64_t va)
{
        return bed.table.entries[bed_index(va)].present;
}

static inline uint64_t bed_shown_count(void)
{
        uint64_t count = 0;
        for (uint64_t i = 0; i < BED_WINDOW_PAGES; i++)
                count += bed.table.entries[i].present;
        return count;
}

/* ---- making and ending ---- */

static inline void bed_expect_valid(struct test *t)
{
        if (bed.space.root != NULL && bed_share == NULL) /* else VMOs change under the look */
                EXPECT_TRUE(vmar_valid(&bed.space));
}

static inline void bed_make_pmm(struct test *t, uint64_t pages)
{
        char *memory = world_pages(t, pages, NULL);
        bed.space.root = NULL;
        ON_REFUSAL(bed_expect_valid);
        REQUIRE_OK(pmm_init(&bed.pmm, (uint64_t)(uintptr_t)memory - BED_BASE_PA));
        if (bed_share != NULL)
                bed_share(&bed.pmm);
        REQUIRE_OK(pmm_add_arena(&bed.pmm, "bed", BED_BASE_PA, pages * PAGE_BYTES));
        REQUIRE_OK(vmo_pool_init(&bed.pool, &bed.pmm));
        bed.free_pages = pmm_count_free_pages(&bed.pmm);
        list_init(&bed.taken);
        bed.sweeping = false;
}

static inline zx_status_t MUST_CHECK bed_make_space(uint64_t base, uint64_t bytes,
                                                    uint32_t entropy_bits, uint64_t seed)
{
        zx_status_t status;
        __builtin_memset(&bed.table, 0, sizeof(bed.table));
        spinlock_init(&bed.table.lock, "bed table");
        bed.table.table = (struct vmar_table){.map = bed_table_map, .unmap = bed_table_unmap,
                                              .protect = bed_table_protect,
                                              .query = bed_table_query};
        status = vmar_space_init(&bed.space, &(struct vmar_space_config){
                .base = base, .bytes = bytes, .table = &bed.table.table, .pmm = &bed.pmm,
                .entropy_bits = entropy_bits, .seed = seed});
        bed.root = status == ZX_OK ? vmar_space_root(&bed.space) : (struct vmar_handle){0};
        return status;
}

/* 32 MiB at BED_BASE, first fit. */
static inline void bed_make(struct test *t)
{
        bed_make_pmm(t, BED_PAGES_MAX);
        REQUIRE_OK(bed_make_space(BED_BASE, BED_WINDOW_PAGES * PAGE_BYTES, 0, 1));
}

/* Everything made is valid and, with the space gone, every page is back. */
static inline void bed_end(struct test *t)
{
        if (bed.space.root != NULL) {
                EXPECT_TRUE(vmar_valid(&bed.space));
                vmar_space_fini(&bed.space);
                EXPECT_EQ(bed_shown_count(), 0);
        }
        vmo_pool_fini(&bed.pool);
        pmm_free(&bed.pmm, &bed.taken);
        EXPECT_EQ(pmm_count_free_pages(&bed.pmm), bed.free_pages);
        EXPECT_TRUE(pmm_valid(&bed.pmm));
}

#define BED_TEST(suite_, name_)                                    \
        static void suite_##_##name_##_body_(struct test *t);      \
        TEST(suite_, name_)                                        \
        {                                                          \
                bed_make(t);                                       \
                suite_##_##name_##_body_(t);                       \
                bed_end(t);                                        \
        }                                                          \
        static void suite_##_##name_##_body_(struct test *t)

/* ---- the sweep ---- */

/* Ends the body of a sweep when memory is short, as it must; fails the test on anything else. */
#define TRY(expression)                                                 \
        do {                                                            \
                zx_status_t tried_ = TRIED(expression);                    \
                if (tried_ == ZX_ERR_NO_MEMORY && bed.sweeping)         \
                        return tried_;                                  \
                if (!EXPECT_OK(tried_))                                 \
                        return tried_;                                  \
        } while (0)

/* Runs the body with memory enough and then with 0, 1, 2 ... pages, until it passes. `clean` gives
 * back what handles the body left. */
static inline void bed_sweep(struct test *t, zx_status_t (*body)(struct test *t),
                             void (*clean)(void))
{
        for (uint64_t n = 0; n <= BED_RUNS_MAX && !test_has_failed(t); n++) {
                zx_status_t status;
                bed_make_pmm(t, 128);
                bed.sweeping = n != 0;
                if (n != 0)
                        REQUIRE_OK(pmm_alloc_pages(&bed.pmm, bed.free_pages - (n - 1),
                                                   PMM_ALLOC_ANY,
                                                   &bed.taken));
                status = TRIED(bed_make_space(BED_BASE, BED_WINDOW_PAGES * PAGE_BYTES, 0, 1));
                if (status != ZX_OK)
                        bed.space.root = NULL;
                else
                        status = body(t);
                if (bed.space.root != NULL)
                        EXPECT_TRUE(vmar_valid(&bed.space));
                clean();
                bed_end(t);
                if (n == 0)
                        EXPECT_OK(status);
                else if (status == ZX_OK)
                        return;
                else
                        EXPECT_STATUS(ZX_ERR_NO_MEMORY, status);
        }
        EXPECT_TRUE(test_has_failed(t)); /* enough was enough at last */
}

/* ---- short words ---- */

#define RW (VMAR_PERM_READ | VMAR_PERM_WRITE)
#define RX (VMAR_PERM_READ | VMAR_PERM_EXECUTE)
#define RIGHTS_ALL (RIGHTS_VMO_DEFAULT | RIGHT_EXECUTE)
#define PAGES(n) ((uint64_t)(n) * PAGE_BYTES)
#define CAN_RW (VMAR_CAN_MAP_READ | VMAR_CAN_MAP_WRITE)

static inline uint64_t va_of(uint64_t page)
{
        return BED_BASE + PAGES(page);
}

static inline struct vmo *make_vmo(struct test *t, uint64_t pages)
{
        struct vmo *vmo = NULL;
        EXPECT_OK(vmo_create(&bed.pool, PAGES(pages), VMO_RESIZABLE, &vmo));
        return vmo;
}

/* Maps pages of `vmo` from its page `vmo_page` on, at page `page` of the region. */
static inline zx_status_t MUST_CHECK bed_map_at(struct vmar_handle region, uint64_t page,
                                                uint64_t pages, struct vmo *vmo)
{
        uint64_t va;
        struct vmar_map_request request = {.options = RW | VMAR_SPECIFIC, .offset = PAGES(page),
                                           .bytes = PAGES(pages), .vmo = {vmo, RIGHTS_ALL}};
        return vmar_map(region, &request, &va);
}

static inline zx_status_t MUST_CHECK bed_region_at(struct vmar_handle parent, uint64_t page,
                                                   uint64_t pages, struct vmar_handle *child)
{
        struct vmar_request request = {.options = VMAR_SPECIFIC | VMAR_CAN_MAP_SPECIFIC | CAN_RW,
                                       .offset = PAGES(page), .bytes = PAGES(pages)};
        return vmar_allocate(parent, &request, child, NULL);
}

/* Writes the tree as text, by page of the bed: "0-10{1-3rw 4-5r}", the root left out. */
struct bed_text {
        char text[400];
        uint32_t length, depth;
};

static inline void bed_add(struct bed_text *text, char c)
{
        if (text->length + 1 < sizeof(text->text))
                text->text[text->length++] = c;
}

static inline void bed_add_number(struct bed_text *text, uint64_t number)
{
        char digits[24];
        unsigned count = 0;
        do
                digits[count++] = (char)('0' + number % 10);
        while ((number /= 10) != 0);
        while (count != 0)
                bed_add(text, digits[--count]);
}

static inline void bed_visit(void *context, const struct vmar_entry *entry)
{
        struct bed_text *text = context;
        if (entry->depth == 0)
                return;
        while (text->depth >= entry->depth) {
                bed_add(text, '}');
                text->depth--;
        }
        if (text->length != 0 && text->text[text->length - 1] != '{')
                bed_add(text, ' ');
        bed_add_number(text, bed_index(entry->base));
        bed_add(text, '-');
        bed_add_number(text, bed_index(entry->base + entry->bytes));
        if (entry->is_region) {
                bed_add(text, '{');
                text->depth = entry->depth;
                return;
        }
        if (entry->options & VMAR_PERM_READ)
                bed_add(text, 'r');
        if (entry->options & VMAR_PERM_WRITE)
                bed_add(text, 'w');
        if (entry->options & VMAR_PERM_EXECUTE)
                bed_add(text, 'x');
        if (entry->vmo_offset != 0) {
                bed_add(text, '+');
                bed_add_number(text, entry->vmo_offset / PAGE_BYTES);
        }
}

static inline const char *bed_tree(void)
{
        static struct bed_text text;
        text = (struct bed_text){0};
        vmar_walk(&bed.space, bed_visit, &text);
        for (; text.depth != 0; text.depth--)
                bed_add(&text, '}');
        return text.text;
}

#define EXPECT_TREE(expected)                         \
        do {                                          \
                EXPECT_STR_EQ(bed_tree(), expected);  \
                EXPECT_TRUE(vmar_valid(&bed.space));  \
        } while (0)

#endif
