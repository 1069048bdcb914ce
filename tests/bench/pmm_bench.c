/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm_bench — what a page costs, and what a run of pages costs when memory is in pieces.
 *
 * The machine has 1 GiB of which only the page structures exist: the pmm never looks into a page.
 * In pmm.contiguous64.fragmented nine tenths of it are taken: it was filled with objects
 * of 1, 2, 4, .. 32 pages, and some of them, drawn at random, were freed again; wherever 64 pages
 * in a row came free a page was taken back, but for one run that is allocated, freed and searched
 * again. Each search starts behind the run and has to go once round the whole arena. In
 * .every_other the free pages are every other one, and half of the arena. */
#include <stdbool.h>

#include "kernel/page_cache.h"
#include "tests/bench/bench.h"

#define ARENA_PAGES (1 * GIB / PAGE_BYTES)
#define ARENA_PA (1 * GIB)
#define STRUCTURE_BYTES (13 * MIB) /* at least pmm_structure_bytes(ARENA_PAGES) */
#define RUN_PAGES 64
#define OBJECT_SIZES 6 /* 1 .. 32 pages */
#define FREE_PERCENT 10
#define LONGEST_HOLE (RUN_PAGES - 1)
#define RESERVE_PAGES 32
#define COPY_BYTES 64

static ALIGNED(4096) char structures[3][STRUCTURE_BYTES];
static struct pmm whole, fragmented, every_other;
static struct page_cache cache;
static struct page_cache_entry entry;

static void make_machine(struct pmm *pmm, char *memory)
{
        const struct pmm_arena_config config = {"bench", ARENA_PA, ARENA_PAGES * PAGE_BYTES,
                                                ARENA_PA};
        bench_require(pmm_structure_bytes(ARENA_PAGES) <= STRUCTURE_BYTES, "STRUCTURE_BYTES");
        bench_require(pmm_init(pmm, (uint64_t)(uintptr_t)memory - ARENA_PA) == ZX_OK, "pmm_init");
        bench_require(pmm_add_arena_at(pmm, &config) == ZX_OK, "pmm_add_arena_at");
}

static bool in_middle(uint64_t page)
{
        uint64_t middle = ARENA_PAGES / 2;
        return page >= middle && page < middle + RUN_PAGES;
}

static void wire(struct pmm *pmm, uint64_t page)
{
        bench_require(pmm_wire_range(pmm, ARENA_PA + page * PAGE_BYTES, 1) == ZX_OK, "wire");
}

static void make_every_other(void)
{
        make_machine(&every_other, structures[2]);
        for (uint64_t i = pmm_structure_bytes(ARENA_PAGES) / PAGE_BYTES; i < ARENA_PAGES; i += 2)
                if (!in_middle(i))
                        wire(&every_other, i);
}

/* xorshift64: any sequence without a pattern will do. */
static uint64_t next_random(void)
{
        static uint64_t state = 88172645463325252u;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return state;
}

/* Draws which pages are free: objects one after the other, each free with the
 * chance that leaves FREE_PERCENT of the arena free, and no more than LONGEST_HOLE
 * pages in a row but in the middle. */
static void make_fragmented(void)
{
        uint64_t page = pmm_structure_bytes(ARENA_PAGES) / PAGE_BYTES, in_a_row = 0;
        make_machine(&fragmented, structures[1]);
        while (page < ARENA_PAGES) {
                uint64_t object_pages = 1ull << next_random() % OBJECT_SIZES;
                bool is_free = next_random() % 100 < FREE_PERCENT;
                for (uint64_t i = 0; i < object_pages && page < ARENA_PAGES; i++, page++) {
                        bool beside = in_middle(page + 1) || in_middle(page - 1);
                        if (in_middle(page))
                                continue;
                        in_a_row = is_free ? in_a_row + 1 : 0;
                        if (!is_free || beside || in_a_row > LONGEST_HOLE) {
                                wire(&fragmented, page);
                                in_a_row = 0;
                        }
                }
        }
        uint64_t percent = pmm_count_free_pages(&fragmented) * 100 / ARENA_PAGES;
        bench_require(percent + 1 >= FREE_PERCENT && percent <= FREE_PERCENT + 1, "a tenth free");
}

static void run_page(void *context, uint64_t iterations)
{
        struct vm_page *page;
        for (uint64_t i = 0; i < iterations; i++) {
                bench_require(pmm_alloc_page(context, PMM_ALLOC_ANY, &page) == ZX_OK, "alloc_page");
                bench_keep(page);
                pmm_free_page(context, page);
        }
}

static void run_add_arena(void *context, uint64_t iterations)
{
        static struct pmm pmm;
        for (uint64_t i = 0; i < iterations; i++) {
                make_machine(&pmm, context);
                bench_keep(&pmm);
        }
}

static void run_contiguous(void *context, uint64_t iterations)
{
        struct list_node list;
        list_init(&list);
        for (uint64_t i = 0; i < iterations; i++) {
                zx_status_t status =
                        pmm_alloc_contiguous(context, RUN_PAGES, PMM_ALLOC_ANY, 0, NULL, &list);
                bench_require(status == ZX_OK, "alloc_contiguous");
                pmm_free(context, &list);
        }
}

/* The least that looking at every page can cost: each word of the bitmap once. */
static void scan_bitmap(void *context, uint64_t iterations)
{
        const struct pmm *pmm = context;
        const uint64_t *words = pmm->arenas[0].free_words;
        for (uint64_t i = 0; i < iterations; i++) {
                uint64_t sum = 0;
                for (uint64_t group = 0; group < ARENA_PAGES / PMM_GROUP_PAGES; group++) {
                        uint64_t word = words[group];
                        bench_keep(&word);
                        sum += word;
                }
                bench_keep(&sum);
        }
}

static void run_cache_hit(void *context, uint64_t iterations)
{
        struct vm_page *page;
        for (uint64_t i = 0; i < iterations; i++) {
                bench_require(page_cache_alloc_page(context, PMM_ALLOC_ANY, &page) == ZX_OK, "hit");
                bench_keep(page);
                page_cache_free_page(context, page);
        }
}

/* What a short message costs to move: something everybody can weigh a page against. */
static void copy_64_bytes_twice(void *context, uint64_t iterations)
{
        static char from[COPY_BYTES], between[COPY_BYTES], to[COPY_BYTES];
        (void)context;
        for (uint64_t i = 0; i < iterations; i++) {
                memcpy(between, from, COPY_BYTES);
                bench_keep(between);
                memcpy(to, between, COPY_BYTES);
                bench_keep(to);
        }
}

static const struct bench benches[] = {
        {.name = "pmm.page",
         .unit = "page",
         .run = run_page,
         .yardstick = copy_64_bytes_twice,
         .yardstick_name = "two copies of 64 bytes",
         .context = &whole},
        {.name = "pmm.add_arena.1GiB",
         .unit = "arena",
         .run = run_add_arena,
         .yardstick = copy_64_bytes_twice,
         .yardstick_name = "two copies of 64 bytes",
         .context = structures[0]},
        {.name = "pmm.contiguous64.fragmented",
         .unit = "run",
         .run = run_contiguous,
         .yardstick = scan_bitmap,
         .yardstick_name = "one look at each bitmap word",
         .context = &fragmented},
        {.name = "pmm.contiguous64.every_other",
         .unit = "run",
         .run = run_contiguous,
         .yardstick = scan_bitmap,
         .yardstick_name = "one look at each bitmap word",
         .context = &every_other},
        {.name = "page_cache.hit",
         .unit = "page",
         .run = run_cache_hit,
         .yardstick = copy_64_bytes_twice,
         .yardstick_name = "two copies of 64 bytes",
         .context = &cache},
};

void pmm_bench_register(void)
{
        const struct page_cache_config config = {&every_other, RESERVE_PAGES, 1, &entry, NULL};
        struct vm_page *page;
        make_machine(&whole, structures[0]);
        make_fragmented();
        make_every_other();
        bench_require(page_cache_init(&cache, &config) == ZX_OK, "page_cache_init");
        /* Two out and one back, so that there is always room in the stock. */
        bench_require(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page) == ZX_OK, "fill");
        bench_require(page_cache_alloc_page(&cache, PMM_ALLOC_ANY, &page) == ZX_OK, "fill");
        for (size_t i = 0; i < ARRAY_COUNT(benches); i++)
                bench_register(&benches[i]);
}
