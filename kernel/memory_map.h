/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* memory_map — from what the firmware says to what the pmm gets.
 *
 *   boot regions          unsorted, overlapping, empty, wrapping, any alignment
 *     | memory_map_normalise
 *   ranges                sorted, disjoint, page aligned, one type each, neighbours of one type
 *                         joined
 *     | memory_map_carve, memory_map_take     what is already in use becomes IN_USE
 *     | memory_map_plan_arenas
 *   arenas                at most PMM_ARENA_COUNT_MAX, each with room for its own page structures
 *     | memory_map_next_taken                 what inside an arena is not free RAM, to be wired
 *   pmm
 *
 * Owner       the caller gives the array of ranges and keeps it as long as the map is used
 * Peer        the firmware's regions are taken as they come: none of them can do worse than be left
 *             out
 * Context     boot CPU; nothing is allocated
 * Invariants  [M1] ranges ascend, do not overlap, are not empty, and start and end on pages
 *             [M2] two ranges that touch differ in type
 * Facts       kernel/boot_info.h (types, who wins); spec/zircon-objects.md, 2.3 */
#ifndef KERNEL_MEMORY_MAP_H
#define KERNEL_MEMORY_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "kernel/boot_info.h"
#include "kernel/pmm.h"

/* The types of boot_info.h, and two more. */
enum memory_range_type {
        MEMORY_RANGE_HOLE = 0,    /* only from memory_map_next_taken: no region covers it */
        MEMORY_RANGE_IN_USE = 16, /* RAM or LOADER that memory_map_carve or _take has marked */
};

struct memory_range {
        uint64_t pa;
        uint64_t bytes;
        uint32_t type; /* enum boot_region_type or enum memory_range_type */
        uint32_t reserved;
};

struct memory_map {
        struct memory_range *ranges;
        size_t capacity;
        size_t count;
        size_t wrapping_count; /* regions that wrapped; RESERVED up to the last page */
        size_t unknown_count;  /* regions of unknown type, taken as RESERVED */
};

/* An array of this many ranges is always enough for `region_count` regions and `carve_count` calls
 * of memory_map_carve and memory_map_take together. */
#define MEMORY_MAP_CAPACITY(region_count, carve_count) (2 * ((region_count) + (carve_count)) + 1)

/* Fills `map` from the firmware's regions.
 *   map         ranges and capacity are the caller's; the rest is written here
 *   regions     region_count entries, unchanged
 *   returns     ZX_OK; ZX_ERR_BUFFER_TOO_SMALL: capacity is too small, the map is empty
 * RAM (and LOADER) shrinks inwards to whole pages after touching pieces were joined; everything
 * else grows outwards. A page that is partly LOADER is LOADER. Where types overlap, the larger
 * number wins.
 *   cost        region_count times the number of ranges at worst, less when regions are sorted */
zx_status_t MUST_CHECK memory_map_normalise(struct memory_map *map,
                                            const struct boot_region *regions, size_t region_count);

/* Marks what is in use already (kernel image, tables, page 0): RAM and LOADER in it become IN_USE.
 *   pa, bytes   any alignment, grown outwards; bytes 0 changes nothing
 *   returns     ZX_OK: all of it is IN_USE now; ZX_ERR_NOT_FOUND: some of it is not RAM (the rest
 *               is marked); ZX_ERR_OUT_OF_RANGE: it wraps, nothing changed;
 *               ZX_ERR_BUFFER_TOO_SMALL: nothing changed */
zx_status_t MUST_CHECK memory_map_carve(struct memory_map *map, uint64_t pa, uint64_t bytes);

/* Takes whole pages of RAM (never LOADER) for use before there is a pmm, and marks them IN_USE.
 *   below_pa    the last byte lies below this address
 *   pa_out      the first page; the highest place that fits
 *   returns     ZX_OK; ZX_ERR_NO_MEMORY or ZX_ERR_BUFFER_TOO_SMALL, nothing changed
 *               ZX_ERR_INVALID_ARGS: page_count is 0 */
zx_status_t MUST_CHECK memory_map_take(struct memory_map *map, uint64_t page_count,
                                       uint64_t below_pa, uint64_t *pa_out);

/* Leaves RAM out, the highest first, until RAM, LOADER and IN_USE are at most `bytes` together, or
 * no RAM is left. What is left out becomes a hole.
 *   bytes    grown outwards to whole pages
 *   returns  the bytes that were left out; 0: nothing changed */
uint64_t memory_map_limit(struct memory_map *map, uint64_t bytes);

/* The bytes of all ranges of one type. */
uint64_t memory_map_bytes(const struct memory_map *map, uint32_t type);

/* Whether a byte of [pa, pa + bytes) is RAM, LOADER or IN_USE, so that nobody's registers
 * can be there. A range that wraps is taken up to the end of the address space; one
 * without bytes touches nothing. */
bool memory_map_touches_ram(const struct memory_map *map, uint64_t pa, uint64_t bytes);

#define MEMORY_LEFT_OUT_MAX 16

/* What the pmm shall manage. Every arena has a config for pmm_add_arena_at. */
struct memory_plan {
        struct pmm_arena_config arenas[PMM_ARENA_COUNT_MAX]; /* ascending */
        size_t arena_count;
        /* RAM, LOADER and IN_USE that is in no arena:
         * the first MEMORY_LEFT_OUT_MAX pieces, and all sums. */
        struct memory_range left_out[MEMORY_LEFT_OUT_MAX];
        size_t left_out_count; /* pieces in all, may be more than MEMORY_LEFT_OUT_MAX */
        uint64_t left_out_bytes;
        /* IN_USE and LOADER: never handed out, mapped all the same. */
        uint64_t left_out_in_use_bytes;
        uint64_t hole_bytes;            /* inside arenas, no RAM: costs only page structures */
};

/* Chooses arenas: runs of RAM, LOADER and IN_USE, joined over small holes, cut at 4 GiB (so that
 * low memory is an arena of its own) and at PMM_ARENA_PAGES_MAX. When there are more than
 * PMM_ARENA_COUNT_MAX runs, larger holes are joined; if that is not enough the smallest runs are
 * left out. A run without free RAM for its own page structures is left out. */
void memory_map_plan_arenas(const struct memory_map *map, struct memory_plan *plan);

/* Walks what lies in [pa, pa + bytes) and is not plain RAM, ascending: holes, LOADER, IN_USE,
 * reserved.
 *   cursor      0 before the first call; the walk's own afterwards
 *   taken       out: one piece, clipped to the range
 *   returns     false: there are no more pieces */
bool memory_map_next_taken(const struct memory_map *map, const struct pmm_arena_config *arena,
                           uint64_t *cursor, struct memory_range *taken);

/* Whether the invariants hold; walks the map. */
bool memory_map_valid(const struct memory_map *map);

#endif
