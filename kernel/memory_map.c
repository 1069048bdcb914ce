/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* memory_map — normalises the firmware's map, marks what is in use, chooses arenas.
 *
 * The map is a sorted array of disjoint ranges into which regions are painted one by one. Facts:
 * kernel/boot_info.h, spec/zircon-objects.md, 2.3. */
#include "kernel/memory_map.h"

#include "base/assert.h"
#include "base/bytes.h"

/* The last page of the address space is never part of a range, so that an end fits in 64 bits. */
#define ADDRESS_END (UINT64_MAX & ~(PAGE_BYTES - 1))

/* Runs are joined over holes of this size, because an arena less is worth the page structures of
 * the hole (24 KiB); with too many runs the size is doubled,
 * up to the maximum (12 MiB of structures). */
#define HOLE_JOINED_BYTES_MIN (1 * MIB)
#define HOLE_JOINED_BYTES_MAX (1 * GIB)

static uint64_t range_end(const struct memory_range *range)
{
        return range->pa + range->bytes;
}

/* What the pmm has to know about: RAM, now or later, free or not. */
static bool is_managed(uint32_t type)
{
        return type == BOOT_REGION_RAM || type == BOOT_REGION_LOADER || type == MEMORY_RANGE_IN_USE;
}

/* ---- painting ---- */

/* The index of the first range that ends above `pa`, or map->count. */
static size_t first_ending_above(const struct memory_map *map, uint64_t pa)
{
        size_t low = 0, high = map->count;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (range_end(&map->ranges[middle]) > pa)
                        high = middle;
                else
                        low = middle + 1;
        }
        return low;
}

static bool insert_range(struct memory_map *map, size_t index, const struct memory_range *range)
{
        if (map->count == map->capacity)
                return false;
        memmove(&map->ranges[index + 1], &map->ranges[index],
                (map->count - index) * sizeof(map->ranges[0]));
        map->ranges[index] = *range;
        map->count++;
        return true;
}

/* Splits the range at `index` so that one starts at `pa`, which lies inside it. */
static bool split_range(struct memory_map *map, size_t index, uint64_t pa)
{
        struct memory_range upper = map->ranges[index];
        upper.bytes = range_end(&upper) - pa;
        upper.pa = pa;
        if (!insert_range(map, index + 1, &upper))
                return false;
        map->ranges[index].bytes = pa - map->ranges[index].pa;
        return true;
}

struct paint {
        uint64_t first, end; /* [first, end) */
        uint32_t type;
        uint32_t over; /* HOLE: over all, the larger type wins; RAM: only over RAM and LOADER */
};

static uint32_t painted_type(const struct paint *paint, uint32_t type)
{
        if (paint->over == BOOT_REGION_RAM)
                return type == BOOT_REGION_RAM || type == BOOT_REGION_LOADER ? paint->type : type;
        return paint->type > type ? paint->type : type;
}

/* Gives the part of the range at *index that lies in [from, paint->end) its new type; *index ends
 * at that part. */
static bool paint_range(struct memory_map *map, size_t *index, uint64_t from,
                        const struct paint *paint)
{
        uint32_t type = painted_type(paint, map->ranges[*index].type);
        if (type == map->ranges[*index].type)
                return true;
        if (map->ranges[*index].pa < from) {
                if (!split_range(map, *index, from))
                        return false;
                ++*index;
        }
        if (range_end(&map->ranges[*index]) > paint->end && !split_range(map, *index, paint->end))
                return false;
        map->ranges[*index].type = type;
        return true;
}

/* False: the array is full; what was painted until then stays. */
static bool paint(struct memory_map *map, const struct paint *paint)
{
        uint64_t cursor = paint->first;
        for (size_t i = first_ending_above(map, cursor); cursor < paint->end; i++) {
                uint64_t next =
                        i < map->count ? min_u64(map->ranges[i].pa, paint->end) : paint->end;
                if (next > cursor) { /* a hole up to `next` */
                        struct memory_range fill = {cursor, next - cursor, paint->type, 0};
                        cursor = next;
                        if (paint->over == MEMORY_RANGE_HOLE) {
                                if (!insert_range(map, i, &fill))
                                        return false;
                                continue;
                        }
                        if (cursor == paint->end)
                                break;
                }
                uint64_t next_cursor = min_u64(range_end(&map->ranges[i]), paint->end);
                if (!paint_range(map, &i, cursor, paint))
                        return false;
                cursor = next_cursor;
        }
        return true;
}

/* Joins neighbours of one type [M2] and drops empty ranges. */
static void join_ranges(struct memory_map *map)
{
        size_t kept = 0;
        for (size_t i = 0; i < map->count; i++) {
                struct memory_range range = map->ranges[i];
                if (range.bytes == 0)
                        continue;
                struct memory_range *last = kept > 0 ? &map->ranges[kept - 1] : NULL;
                if (last != NULL && last->type == range.type && range_end(last) == range.pa)
                        last->bytes += range.bytes;
                else
                        map->ranges[kept++] = range;
        }
        map->count = kept;
}

/* ---- normalising ---- */

static uint32_t region_type(const struct boot_region *region)
{
        uint64_t end;
        bool wraps = add_overflows(region->pa, region->bytes, &end);
        bool known = region->type >= BOOT_REGION_RAM && region->type <= BOOT_REGION_UNUSABLE;
        if (!known || (wraps && region->type < BOOT_REGION_RESERVED))
                return BOOT_REGION_RESERVED;
        return region->type;
}

/* A region's bytes as [first, end), grown outwards to pages unless `exact`. */
static struct paint region_paint(const struct boot_region *region, uint32_t type, bool exact)
{
        struct paint paint = {.type = type, .over = MEMORY_RANGE_HOLE};
        if (add_overflows(region->pa, region->bytes, &paint.end) || paint.end > ADDRESS_END)
                paint.end = ADDRESS_END;
        else if (!exact)
                paint.end = round_up(paint.end, PAGE_BYTES);
        paint.first = exact ? region->pa : round_down(region->pa, PAGE_BYTES);
        if (region->bytes == 0 || paint.first > paint.end)
                paint.first = paint.end;
        return paint;
}

enum pass {
        PASS_MEMORY,   /* RAM and LOADER as one, by the byte */
        PASS_LOADER,   /* whole pages, where there is memory */
        PASS_THE_REST, /* whole pages, over everything */
};

static bool paint_regions(struct memory_map *map, const struct boot_region *regions,
                          size_t region_count, enum pass pass)
{
        for (size_t i = 0; i < region_count; i++) {
                uint32_t type = region_type(&regions[i]);
                bool is_memory = type == BOOT_REGION_RAM || type == BOOT_REGION_LOADER;
                if ((pass == PASS_MEMORY && !is_memory) || (pass == PASS_THE_REST && is_memory) ||
                    (pass == PASS_LOADER && type != BOOT_REGION_LOADER))
                        continue;
                struct paint one = region_paint(&regions[i], type, pass == PASS_MEMORY);
                if (pass == PASS_MEMORY)
                        one.type = BOOT_REGION_RAM;
                if (pass == PASS_LOADER)
                        one.over = BOOT_REGION_RAM;
                if (!paint(map, &one))
                        return false;
        }
        join_ranges(map);
        return true;
}

static void shrink_to_pages(struct memory_map *map)
{
        for (size_t i = 0; i < map->count; i++) {
                struct memory_range *range = &map->ranges[i];
                uint64_t end = round_down(range_end(range), PAGE_BYTES);
                range->pa = round_up(range->pa, PAGE_BYTES);
                range->bytes = end > range->pa ? end - range->pa : 0;
        }
        join_ranges(map);
}

zx_status_t memory_map_normalise(struct memory_map *map, const struct boot_region *regions,
                                 size_t region_count)
{
        map->count = 0;
        map->wrapping_count = 0;
        map->unknown_count = 0;
        for (size_t i = 0; i < region_count; i++) {
                uint64_t end;
                map->wrapping_count += add_overflows(regions[i].pa, regions[i].bytes, &end);
                map->unknown_count += regions[i].type < BOOT_REGION_RAM ||
                                      regions[i].type > BOOT_REGION_UNUSABLE;
        }

        bool fits = paint_regions(map, regions, region_count, PASS_MEMORY);
        if (fits) {
                shrink_to_pages(map);
                fits = paint_regions(map, regions, region_count, PASS_LOADER) &&
                       paint_regions(map, regions, region_count, PASS_THE_REST);
        }
        if (!fits) {
                map->count = 0;
                return ZX_ERR_BUFFER_TOO_SMALL;
        }
        DEBUG_ASSERT(memory_map_valid(map));
        return ZX_OK;
}

/* ---- what is in use ---- */

/* Whether [first, end) is IN_USE, all of it. */
static bool all_in_use(const struct memory_map *map, uint64_t first, uint64_t end)
{
        size_t i = first_ending_above(map, first); /* ranges of one type are joined [M2] */
        return i < map->count && map->ranges[i].type == MEMORY_RANGE_IN_USE &&
               map->ranges[i].pa <= first && range_end(&map->ranges[i]) >= end;
}

zx_status_t memory_map_carve(struct memory_map *map, uint64_t pa, uint64_t bytes)
{
        uint64_t end;
        if (add_overflows(pa, bytes, &end) || end > ADDRESS_END)
                return ZX_ERR_OUT_OF_RANGE;
        if (bytes == 0)
                return ZX_OK;
        struct paint one = {
                .first = round_down(pa, PAGE_BYTES),
                .end = round_up(end, PAGE_BYTES),
                .type = MEMORY_RANGE_IN_USE,
                .over = BOOT_REGION_RAM,
        };
        if (map->capacity - map->count < 2) /* one split at each end */
                return ZX_ERR_BUFFER_TOO_SMALL;
        bool fits = paint(map, &one);
        ASSERT(fits);
        join_ranges(map);
        DEBUG_ASSERT(memory_map_valid(map));
        return all_in_use(map, one.first, one.end) ? ZX_OK : ZX_ERR_NOT_FOUND;
}

zx_status_t memory_map_take(struct memory_map *map, uint64_t page_count, uint64_t below_pa,
                            uint64_t *pa_out)
{
        if (page_count == 0)
                return ZX_ERR_INVALID_ARGS;
        if (page_count > ADDRESS_END / PAGE_BYTES)
                return ZX_ERR_NO_MEMORY;
        uint64_t bytes = page_count * PAGE_BYTES;
        for (size_t i = map->count; i-- > 0;) {
                const struct memory_range *range = &map->ranges[i];
                uint64_t end = min_u64(range_end(range), round_down(below_pa, PAGE_BYTES));
                if (range->type != BOOT_REGION_RAM || end < range->pa || end - range->pa < bytes)
                        continue;
                zx_status_t status = memory_map_carve(map, end - bytes, bytes);
                if (status == ZX_OK)
                        *pa_out = end - bytes;
                return status;
        }
        return ZX_ERR_NO_MEMORY;
}

uint64_t memory_map_limit(struct memory_map *map, uint64_t bytes)
{
        uint64_t managed = 0, cut = 0;
        for (size_t i = 0; i < map->count; i++)
                managed += is_managed(map->ranges[i].type) ? map->ranges[i].bytes : 0;
        for (size_t i = map->count; i-- > 0 && managed - cut > bytes;) {
                struct memory_range *range = &map->ranges[i];
                if (range->type != BOOT_REGION_RAM)
                        continue;
                uint64_t step = min_u64(range->bytes, round_up(managed - cut - bytes, PAGE_BYTES));
                range->bytes -= step;
                cut += step;
        }
        join_ranges(map);
        DEBUG_ASSERT(memory_map_valid(map));
        return cut;
}

uint64_t memory_map_bytes(const struct memory_map *map, uint32_t type)
{
        uint64_t bytes = 0;
        for (size_t i = 0; i < map->count; i++)
                bytes += map->ranges[i].type == type ? map->ranges[i].bytes : 0;
        return bytes;
}

bool memory_map_touches_ram(const struct memory_map *map, uint64_t pa, uint64_t bytes)
{
        uint64_t last;
        if (bytes == 0)
                return false;
        if (add_overflows(pa, bytes - 1, &last))
                last = UINT64_MAX;
        for (size_t i = first_ending_above(map, pa); i < map->count; i++) {
                if (map->ranges[i].pa > last)
                        return false;
                if (is_managed(map->ranges[i].type))
                        return true;
        }
        return false;
}

/* ---- arenas ---- */

struct run {
        uint64_t pa, end;
};

/* The next run at or above `cursor`: managed ranges joined over holes of at most `hole_bytes`. */
static bool next_run(const struct memory_map *map, uint64_t cursor, uint64_t hole_bytes,
                     struct run *run)
{
        size_t i = first_ending_above(map, cursor);
        while (i < map->count && !is_managed(map->ranges[i].type))
                i++;
        if (i == map->count)
                return false;

        run->pa = max_u64(map->ranges[i].pa, cursor);
        uint64_t limit = run->pa < PMM_LO_MEM_END_PA ? PMM_LO_MEM_END_PA : ADDRESS_END;
        limit = run->pa + min_u64(limit - run->pa, PMM_ARENA_PAGES_MAX * PAGE_BYTES);
        run->end = min_u64(range_end(&map->ranges[i]), limit);
        for (i++; i < map->count && run->end < limit; i++) {
                const struct memory_range *range = &map->ranges[i];
                if (range->pa - run->end > hole_bytes || range->pa >= limit)
                        break;
                if (is_managed(range->type))
                        run->end = min_u64(range_end(range), limit);
        }
        return true;
}

/* The size of holes to join, so that at most PMM_ARENA_COUNT_MAX runs remain if that can be. */
static uint64_t choose_hole_bytes(const struct memory_map *map)
{
        uint64_t hole_bytes = HOLE_JOINED_BYTES_MIN;
        for (;; hole_bytes *= 2) {
                struct run run = {0, 0};
                size_t count = 0;
                while (next_run(map, run.end, hole_bytes, &run))
                        count++;
                if (count <= PMM_ARENA_COUNT_MAX || hole_bytes >= HOLE_JOINED_BYTES_MAX)
                        return hole_bytes;
        }
}

/* Finds the highest free RAM in a run that holds its page structures. */
static bool place_structures(const struct memory_map *map, const struct run *run, uint64_t *pa)
{
        uint64_t bytes = pmm_structure_bytes((run->end - run->pa) / PAGE_BYTES);
        for (size_t i = map->count; i-- > 0;) {
                const struct memory_range *range = &map->ranges[i];
                uint64_t first = max_u64(range->pa, run->pa);
                uint64_t end = min_u64(range_end(range), run->end);
                if (range->type != BOOT_REGION_RAM || end < first || end - first < bytes)
                        continue;
                *pa = end - bytes;
                return run->end - run->pa > bytes; /* room for a page besides its structures */
        }
        return false;
}

static void leave_out(const struct memory_map *map, struct memory_plan *plan, const struct run *run)
{
        for (size_t i = first_ending_above(map, run->pa); i < map->count; i++) {
                struct memory_range piece = map->ranges[i];
                uint64_t end = min_u64(range_end(&piece), run->end);
                if (piece.pa >= run->end)
                        break;
                if (!is_managed(piece.type))
                        continue;
                piece.pa = max_u64(piece.pa, run->pa);
                piece.bytes = end - piece.pa;
                if (plan->left_out_count < MEMORY_LEFT_OUT_MAX)
                        plan->left_out[plan->left_out_count] = piece;
                plan->left_out_count++;
                plan->left_out_bytes += piece.bytes;
                if (piece.type != BOOT_REGION_RAM)
                        plan->left_out_in_use_bytes += piece.bytes;
        }
}

/* Makes room for one more arena of `bytes`: drops the smallest if the plan is full. False: that one
 * is it. */
static bool make_room(const struct memory_map *map, struct memory_plan *plan, uint64_t bytes)
{
        if (plan->arena_count < PMM_ARENA_COUNT_MAX)
                return true;
        size_t smallest = 0;
        for (size_t i = 1; i < plan->arena_count; i++) {
                if (plan->arenas[i].bytes < plan->arenas[smallest].bytes)
                        smallest = i;
        }
        struct pmm_arena_config *arena = &plan->arenas[smallest];
        if (arena->bytes >= bytes)
                return false;
        leave_out(map, plan, &(struct run){arena->pa, arena->pa + arena->bytes});
        plan->arena_count--;
        memmove(arena, arena + 1, (plan->arena_count - smallest) * sizeof(*arena));
        return true;
}

void memory_map_plan_arenas(const struct memory_map *map, struct memory_plan *plan)
{
        uint64_t hole_bytes = choose_hole_bytes(map), structures_pa;
        struct run run = {0, 0};
        memset(plan, 0, sizeof(*plan));
        while (next_run(map, run.end, hole_bytes, &run)) {
                if (!place_structures(map, &run, &structures_pa) ||
                    !make_room(map, plan, run.end - run.pa)) {
                        leave_out(map, plan, &run);
                        continue;
                }
                plan->arenas[plan->arena_count++] = (struct pmm_arena_config){
                        .name = run.pa < PMM_LO_MEM_END_PA ? "low" : "high",
                        .pa = run.pa,
                        .bytes = run.end - run.pa,
                        .structures_pa = structures_pa,
                };
        }
        for (size_t i = 0; i < plan->arena_count; i++) {
                struct memory_range taken;
                uint64_t cursor = 0;
                while (memory_map_next_taken(map, &plan->arenas[i], &cursor, &taken))
                        plan->hole_bytes += is_managed(taken.type) ? 0 : taken.bytes;
        }
}

bool memory_map_next_taken(const struct memory_map *map, const struct pmm_arena_config *arena,
                           uint64_t *cursor, struct memory_range *taken)
{
        uint64_t end = arena->pa + arena->bytes;
        uint64_t pa = max_u64(*cursor, arena->pa);
        for (size_t i = first_ending_above(map, pa); pa < end; i++) {
                const struct memory_range *range = i < map->count ? &map->ranges[i] : NULL;
                uint64_t range_pa = range != NULL ? min_u64(range->pa, end) : end;
                if (range_pa > pa) {
                        *taken = (struct memory_range){pa, range_pa - pa, MEMORY_RANGE_HOLE, 0};
                } else if (range->type != BOOT_REGION_RAM) {
                        uint64_t taken_end = min_u64(range_end(range), end);
                        *taken = (struct memory_range){pa, taken_end - pa, range->type, 0};
                } else {
                        pa = range_end(range);
                        continue;
                }
                *cursor = range_end(taken);
                return true;
        }
        *cursor = end;
        return false;
}

bool memory_map_valid(const struct memory_map *map)
{
        if (map->count > map->capacity)
                return false;
        for (size_t i = 0; i < map->count; i++) {
                const struct memory_range *range = &map->ranges[i];
                if (range->bytes == 0 || !is_aligned(range->pa | range->bytes, PAGE_BYTES) ||
                    range->bytes > ADDRESS_END - range->pa)
                        return false; /* [M1] */
                const struct memory_range *previous = i > 0 ? range - 1 : NULL;
                if (previous == NULL)
                        continue;
                if (range_end(previous) > range->pa ||
                    (range_end(previous) == range->pa && previous->type == range->type))
                        return false; /* [M1], [M2] */
        }
        return true;
}
