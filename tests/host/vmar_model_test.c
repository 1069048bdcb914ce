/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Random work on a space, compared call by call with an obvious model: an array that says of every
 * page which region it belongs to, which page of which VMO it shows, and what it permits and may
 * permit.
 *
 * Host only for its size. */
#include "tests/host/vmar_bed.h"

#define MODEL_PAGES 160u
#define REGIONS 6u /* number 0 is the root */
#define VMOS 4u
#define VMO_PAGES 48u
#define NONE 0xffu

struct model_page {
        uint8_t region; /* the innermost */
        uint8_t vmo;    /* NONE: not mapped */
        uint8_t vmo_page;
        uint8_t permissions, permissions_max;
        uint32_t origin; /* which call of map */
};
struct model_region {
        struct vmar_handle handle; /* NULL: not there */
        uint64_t first, end;       /* pages */
        unsigned parent;
        bool alive;
        uint8_t can_map; /* as permissions */
        bool specific;   /* CAN_MAP_SPECIFIC */
};
static struct model_page model[MODEL_PAGES];
static struct model_region regions[REGIONS];
static struct vmo *vmos[VMOS];
static uint64_t vmo_pages[VMOS]; /* sizes */
static uint32_t map_calls;

static uint32_t pick(struct test *t, uint32_t bound)
{
        return world_random_below(t, bound);
}

static uint32_t pick_permissions(struct test *t)
{
        static const uint8_t sets[] = {0, VMAR_PERM_READ, VMAR_PERM_READ, RW, RW, RW, RX, RW | RX};
        return sets[pick(t, ARRAY_COUNT(sets))];
}

static void make_everything(struct test *t)
{
        bed_make_pmm(t, BED_PAGES_MAX);
        REQUIRE_OK(bed_make_space(BED_BASE, PAGES(MODEL_PAGES), 0, 1));
        __builtin_memset(regions, 0, sizeof(regions));
        regions[0] = (struct model_region){bed.root, 0, MODEL_PAGES, 0, true, VMAR_PERM_MASK, true};
        for (unsigned i = 0; i < MODEL_PAGES; i++)
                model[i] = (struct model_page){.vmo = NONE};
        for (unsigned i = 0; i < VMOS; i++) {
                vmo_pages[i] = VMO_PAGES;
                REQUIRE_OK(vmo_create(&bed.pool, PAGES(VMO_PAGES), VMO_RESIZABLE, &vmos[i]));
        }
}

/* ---- what the model says of ranges ---- */

static bool inside(const struct model_region *region, uint64_t first, uint64_t end)
{
        return first >= region->first && end <= region->end;
}

/* Whether page belongs to a descendant of `region`; *child is the outermost below it. */
static bool in_child(unsigned region, uint64_t page, unsigned *child)
{
        unsigned at = model[page].region;
        if (at == region)
                return false;
        while (regions[at].parent != region)
                at = regions[at].parent;
        *child = at;
        return true;
}

/* Nothing of `region`'s own or its children's in the range. */
static bool range_free(unsigned region, uint64_t first, uint64_t end)
{
        for (uint64_t i = first; i < end; i++)
                if (model[i].region != region || model[i].vmo != NONE)
                        return false;
        return true;
}

/* Lowest place that fits, UINT64_MAX: none. */
static uint64_t first_fit(unsigned region, uint64_t pages, uint64_t alignment, uint64_t end)
{
        for (uint64_t i = regions[region].first; i + pages <= end; i++)
                if (is_aligned(va_of(i), alignment) && range_free(region, i, i + pages))
                        return i;
        return UINT64_MAX;
}

static void forget(uint64_t first, uint64_t end, unsigned region)
{
        for (uint64_t i = first; i < end; i++)
                model[i] = (struct model_page){.region = (uint8_t)region, .vmo = NONE};
}

/* Every region below `top` that lies in the range dies. */
static void kill_regions_in(unsigned top, uint64_t first, uint64_t end)
{
        for (unsigned i = 1; i < REGIONS; i++) {
                unsigned at = i;
                if (i == top || !regions[i].alive || regions[i].first < first ||
                    regions[i].end > end)
                        continue;
                while (at != top && at != 0)
                        at = regions[at].parent;
                if (at == top)
                        regions[i].alive = false;
        }
}

/* ---- what is done ---- */

struct model_place {
        uint32_t options;
        uint64_t offset, pages, alignment; /* offset in pages */
};

static struct model_place pick_place(struct test *t, unsigned region)
{
        static const uint32_t kinds[] = {0, 0, VMAR_SPECIFIC, VMAR_SPECIFIC,
                                         VMAR_SPECIFIC_OVERWRITE,
                                         VMAR_OFFSET_IS_UPPER_LIMIT};
        struct model_place place = {.options = kinds[pick(t, ARRAY_COUNT(kinds))],
                                    .pages = 1 + pick(t, 12), .alignment = PAGE_BYTES};
        uint64_t room = regions[region].end - regions[region].first;
        if (place.options != 0)
                place.offset = pick(t, (uint32_t)room + 2);
        if (pick(t, 4) == 0) {
                uint32_t log2 = 10 + pick(t, 6);
                place.options |= VMAR_ALIGN(log2);
                place.alignment = max_u64(PAGE_BYTES, 1ull << log2);
        }
        return place;
}

/* Rows 5 to 12 of vmar_allocate; *page is where it must go. */
static zx_status_t model_place(unsigned region, const struct model_place *place, uint64_t *page)
{
        const struct model_region *r = &regions[region];
        uint64_t room = r->end - r->first;
        bool overwrite = (place->options & VMAR_SPECIFIC_OVERWRITE) != 0;
        bool specific = overwrite || (place->options & VMAR_SPECIFIC) != 0;
        bool limit = (place->options & VMAR_OFFSET_IS_UPPER_LIMIT) != 0;

        if (!r->alive)
                return ZX_ERR_BAD_STATE;
        if ((specific || limit) && !r->specific)
                return ZX_ERR_ACCESS_DENIED;
        if (limit && (place->offset > room || place->pages > place->offset))
                return ZX_ERR_INVALID_ARGS;
        if (!limit && (place->offset >= room || place->offset + place->pages > room))
                return ZX_ERR_INVALID_ARGS;
        *page = r->first + place->offset;
        if (!specific) {
                *page = first_fit(region, place->pages, place->alignment,
                                  limit ? *page : r->end);
                return *page == UINT64_MAX ? ZX_ERR_NO_RESOURCES : ZX_OK;
        }
        if (!is_aligned(va_of(*page), place->alignment))
                return ZX_ERR_INVALID_ARGS;
        for (uint64_t i = *page; i < *page + place->pages; i++) {
                if (overwrite && model[i].region != region)
                        return ZX_ERR_INVALID_ARGS;
                if (!overwrite && (model[i].region != region || model[i].vmo != NONE))
                        return ZX_ERR_ALREADY_EXISTS;
        }
        return ZX_OK;
}

static void do_map(struct test *t, unsigned region)
{
        struct model_place place = pick_place(t, region);
        uint32_t permissions = pick_permissions(t);
        uint32_t rights = RIGHT_MAP | (pick(t, 4) ? RIGHTS_ALL : RIGHT_READ);
        unsigned vmo = pick(t, VMOS);
        uint64_t vmo_page = pick(t, VMO_PAGES), page = 0, va = 0;
        uint32_t allowed = rights >> RIGHT_READ_BIT & VMAR_PERM_MASK;
        struct vmar_map_request request = {place.options | permissions, PAGES(place.offset),
                                           PAGES(place.pages) - pick(t, 2), {vmos[vmo], rights},
                                           PAGES(vmo_page)};
        zx_status_t expected;

        if (pick(t, 4) == 0 && !(place.options & VMAR_SPECIFIC_OVERWRITE))
                request.options |= VMAR_MAP_RANGE;
        expected = permissions & ~allowed || permissions & ~regions[region].can_map ?
                           ZX_ERR_ACCESS_DENIED : model_place(region, &place, &page);
        /* The handle of a region has the rights of its CAN_MAP_*,
         * so the two can differ for no code. */
        EXPECT_STATUS(expected, vmar_map(regions[region].handle, &request, &va));
        if (expected != ZX_OK)
                return;
        EXPECT_EQ(va, va_of(page));
        map_calls++;
        for (uint64_t i = 0; i < place.pages; i++)
                model[page + i] = (struct model_page){
                        .region = (uint8_t)region, .vmo = (uint8_t)vmo,
                        .vmo_page = (uint8_t)(vmo_page + i), .permissions = (uint8_t)permissions,
                        .permissions_max = (uint8_t)(allowed & regions[region].can_map),
                        .origin = map_calls};
}

static void do_allocate(struct test *t, unsigned parent)
{
        struct model_place place = pick_place(t, parent);
        uint32_t can_map = pick_permissions(t);
        uint64_t page = 0;
        unsigned number = 1;
        struct vmar_request request;
        struct vmar_handle child;
        zx_status_t expected;

        while (number < REGIONS && regions[number].handle.vmar != NULL)
                number++;
        if (number == REGIONS)
                return;
        place.pages += 8;
        if (place.options & VMAR_SPECIFIC_OVERWRITE)
                place.options ^= VMAR_SPECIFIC | VMAR_SPECIFIC_OVERWRITE;
        request = (struct vmar_request){place.options | can_map << VMAR_CAN_MAP_READ_BIT |
                                                (pick(t, 4) ? VMAR_CAN_MAP_SPECIFIC : 0),
                                        PAGES(place.offset), PAGES(place.pages)};
        if (can_map & ~regions[parent].can_map) /* the parent's handle lacks the right */
                expected = ZX_ERR_ACCESS_DENIED;
        else
                expected = model_place(parent, &place, &page);
        EXPECT_STATUS(expected, vmar_allocate(regions[parent].handle, &request, &child, NULL));
        if (expected != ZX_OK)
                return;
        regions[number] = (struct model_region){child, page, page + place.pages, parent, true,
                                                (uint8_t)can_map,
                                                (request.options & VMAR_CAN_MAP_SPECIFIC) != 0};
        forget(page, page + place.pages, number);
}

static void pick_range(struct test *t, unsigned region, uint64_t *first, uint64_t *end)
{
        uint64_t room = regions[region].end - regions[region].first;
        *first = regions[region].first + pick(t, (uint32_t)room);
        *end = *first + 1 + pick(t, pick(t, 4) ? 12 : 60);
        if (*end > regions[region].end && pick(t, 4))
                *end = regions[region].end;
}

static void do_unmap(struct test *t, unsigned region)
{
        uint64_t first, end;
        zx_status_t expected = ZX_OK;
        unsigned child;

        pick_range(t, region, &first, &end);
        if (!regions[region].alive)
                expected = ZX_ERR_BAD_STATE;
        else if (!inside(&regions[region], first, end))
                expected = ZX_ERR_INVALID_ARGS;
        else
                for (uint64_t i = first; i < end; i++)
                        if (in_child(region, i, &child) &&
                            (regions[child].first < first || regions[child].end > end))
                                expected = ZX_ERR_INVALID_ARGS;
        EXPECT_STATUS(expected, vmar_unmap(regions[region].handle, va_of(first),
                                           PAGES(end - first) - pick(t, 9)));
        if (expected != ZX_OK)
                return;
        kill_regions_in(region, first, end);
        forget(first, end, region);
}

static zx_status_t model_protect(unsigned region, uint32_t permissions, uint64_t first,
                                 uint64_t end)
{
        if (permissions & ~regions[region].can_map) /* the handle */
                return ZX_ERR_ACCESS_DENIED;
        if (!regions[region].alive)
                return ZX_ERR_BAD_STATE;
        if (!inside(&regions[region], first, end))
                return ZX_ERR_INVALID_ARGS;
        for (uint64_t i = first; i < end; i++) {
                if (model[i].vmo == NONE)
                        return ZX_ERR_NOT_FOUND;
                if (permissions & ~model[i].permissions_max)
                        return ZX_ERR_ACCESS_DENIED;
                if (model[i].region != region && permissions & ~model[i].permissions)
                        return ZX_ERR_ACCESS_DENIED;
        }
        return ZX_OK;
}

static void do_protect(struct test *t, unsigned region)
{
        uint32_t permissions = pick_permissions(t);
        uint64_t first, end;
        zx_status_t expected;

        pick_range(t, region, &first, &end);
        if (pick(t, 3) != 0) /* inside what is mapped, else it is NOT_FOUND nearly always */
                for (uint64_t i = first; i < end; i++)
                        if (i >= MODEL_PAGES || model[i].vmo == NONE)
                                end = i > first ? i : first + 1;
        expected = model_protect(region, permissions, first, end);
        EXPECT_STATUS(expected, vmar_protect(regions[region].handle, permissions, va_of(first),
                                             PAGES(end - first)));
        for (uint64_t i = first; expected == ZX_OK && i < end; i++)
                model[i].permissions = (uint8_t)permissions;
}

static void do_destroy(struct test *t, unsigned region)
{
        zx_status_t expected = !regions[region].alive ? ZX_ERR_BAD_STATE :
                               region == 0            ? ZX_ERR_NOT_SUPPORTED : ZX_OK;

        EXPECT_STATUS(expected, vmar_destroy(regions[region].handle));
        if (expected != ZX_OK)
                return;
        kill_regions_in(region, regions[region].first, regions[region].end);
        regions[region].alive = false;
        forget(regions[region].first, regions[region].end, regions[region].parent);
}

static void do_fault(struct test *t)
{
        static const uint32_t needs[] = {VMAR_PERM_READ, RW, RX, RW | RX};
        uint32_t flags = pick(t, 4);
        const struct model_page *page = &model[pick(t, MODEL_PAGES)];
        zx_status_t expected = page->vmo == NONE ? ZX_ERR_NOT_FOUND :
                               needs[flags] & ~page->permissions ? ZX_ERR_ACCESS_DENIED :
                               page->vmo_page >= vmo_pages[page->vmo] ? ZX_ERR_OUT_OF_RANGE : ZX_OK;

        uint64_t va = va_of((uint64_t)(page - model)) + pick(t, 4096);
        EXPECT_STATUS(expected, vmar_fault(&bed.space, va, flags));
        if (expected == ZX_OK)
                EXPECT_TRUE(bed_shown(va_of((uint64_t)(page - model))));
}

static void do_op(struct test *t, unsigned region)
{
        static const uint32_t ops[] = {VMAR_OP_COMMIT, VMAR_OP_DECOMMIT, VMAR_OP_ZERO,
                                       VMAR_OP_MAP_RANGE};
        uint32_t op = ops[pick(t, ARRAY_COUNT(ops))];
        bool writes = op != VMAR_OP_MAP_RANGE, own = op == VMAR_OP_COMMIT || op == VMAR_OP_DECOMMIT;
        uint64_t first, end;
        zx_status_t expected = ZX_OK;

        pick_range(t, region, &first, &end);
        if (!regions[region].alive)
                expected = ZX_ERR_BAD_STATE;
        else if (!inside(&regions[region], first, end))
                expected = ZX_ERR_OUT_OF_RANGE;
        for (uint64_t i = first; i < end && expected == ZX_OK; i++) {
                const struct model_page *page = &model[i];
                /* a mapping is checked as a whole, as far as it is in the range */
                uint64_t last = i;
                if (page->vmo == NONE) {
                        expected = ZX_ERR_BAD_STATE;
                        break;
                }
                while (last + 1 < end && model[last + 1].origin == page->origin &&
                       model[last + 1].vmo != NONE &&
                                       model[last + 1].permissions == page->permissions)
                        last++;
                if (page->region != region && own)
                        expected = ZX_ERR_INVALID_ARGS;
                else if (writes && !(page->permissions_max & VMAR_PERM_WRITE))
                        expected = ZX_ERR_ACCESS_DENIED;
                else if (writes && model[last].vmo_page >= vmo_pages[page->vmo])
                        expected = ZX_ERR_OUT_OF_RANGE;
                i = last;
        }
        EXPECT_STATUS(expected, vmar_op_range(regions[region].handle, op, va_of(first),
                                              PAGES(end - first)));
        for (uint64_t i = first; i < end && expected == ZX_OK && op == VMAR_OP_COMMIT; i++)
                EXPECT_EQ(bed_shown(va_of(i)), model[i].permissions != 0);
}

static void do_vmo(struct test *t)
{
        unsigned vmo = pick(t, VMOS);
        uint64_t page = pick(t, VMO_PAGES);
        if (pick(t, 2) == 0) {
                vmo_pages[vmo] = page;
                EXPECT_OK(vmo_set_size(vmos[vmo], PAGES(page)));
        } else if (page < vmo_pages[vmo]) {
                EXPECT_OK(vmo_op_range(vmos[vmo], VMO_OP_DECOMMIT, PAGES(page), PAGE_BYTES));
        }
        if (pick(t, 2) == 0) {
                vmo_pages[vmo] = VMO_PAGES;
                EXPECT_OK(vmo_set_size(vmos[vmo], PAGES(VMO_PAGES)));
        }
}

static void do_close(struct test *t)
{
        unsigned region = 1 + pick(t, REGIONS - 1);
        if (regions[region].handle.vmar == NULL || regions[region].alive)
                return;
        for (unsigned i = 1; i < REGIONS; i++) /* its number is still somebody's parent */
                if (i != region && regions[i].handle.vmar != NULL && regions[i].parent == region)
                        return;
        vmar_close(regions[region].handle);
        regions[region].handle.vmar = NULL;
}

/* ---- comparison ---- */

/* The table shows nothing but what the model has, and pages of the right VMO. */
static void check_table(struct test *t)
{
        for (uint64_t i = 0; i < MODEL_PAGES; i++) {
                uint64_t pa, page_pa = 0;
                uint32_t permissions;
                if (!bed_table_query(&bed.table.table, va_of(i), &pa, &permissions))
                        continue;
                EXPECT_NE(model[i].vmo, NONE);
                EXPECT_NE(permissions, 0);
                EXPECT_EQ(permissions, model[i].permissions);
                if (model[i].vmo != NONE)
                        EXPECT_OK(vmo_get_page(vmos[model[i].vmo], PAGES(model[i].vmo_page), 0,
                                               &page_pa));
                EXPECT_EQ(pa, page_pa);
        }
}

/* The walk says the same as the model: mappings are as long as they can be, and no longer. */
struct check {
        struct test *t;
        uint64_t at; /* all pages below it have been compared */
        const struct model_page *last; /* of the mapping before, if it ends at `at` */
};

static void check_entry(void *context, const struct vmar_entry *entry)
{
        struct check *check = context;
        struct test *t = check->t;
        uint64_t first = bed_index(entry->base), end = first + entry->bytes / PAGE_BYTES;

        if (entry->is_region)
                return;
        EXPECT_GE(first, check->at);
        for (; check->at < first; check->at++, check->last = NULL)
                EXPECT_EQ(model[check->at].vmo, NONE);
        if (check->last != NULL) /* neighbours that could be one are one */
                EXPECT_TRUE(check->last->origin != model[first].origin ||
                            check->last->permissions != model[first].permissions);
        check->last = &model[end - 1];
        for (; check->at < end; check->at++) {
                const struct model_page *page = &model[check->at];
                REQUIRE_TRUE(page->vmo != NONE);
                EXPECT_PTR_EQ(entry->vmo, vmos[page->vmo]);
                EXPECT_EQ(entry->vmo_offset + PAGES(check->at - first), PAGES(page->vmo_page));
                EXPECT_EQ(entry->options & VMAR_PERM_MASK, page->permissions);
                EXPECT_EQ(entry->options >> VMAR_CAN_MAP_READ_BIT & VMAR_PERM_MASK,
                          page->permissions_max);
                EXPECT_EQ(page->origin, model[first].origin);
        }
}

static void check_walk(struct test *t)
{
        struct check check = {.t = t};
        vmar_walk(&bed.space, check_entry, &check);
        for (; check.at < MODEL_PAGES; check.at++)
                EXPECT_EQ(model[check.at].vmo, NONE);
}

static void step(struct test *t)
{
        unsigned region = pick(t, REGIONS);
        if (regions[region].handle.vmar == NULL)
                region = 0;
        switch (pick(t, 16)) {
        case 0: case 1: case 2: case 3:
                do_map(t, region);
                break;
        case 4: case 5:
                do_unmap(t, region);
                break;
        case 6: case 7: case 8:
                do_protect(t, region);
                break;
        case 9:
                do_allocate(t, region);
                break;
        case 10:
                if (pick(t, 4) == 0)
                        do_destroy(t, region);
                do_close(t);
                break;
        case 11: case 12:
                do_fault(t);
                break;
        case 13: case 14:
                do_op(t, region);
                break;
        default:
                do_vmo(t);
        }
}

TEST_WITH(vmar_model, agrees_call_by_call, 0, 60000)
{
        for (unsigned round = 0; round < 12 && !test_has_failed(t); round++) {
                make_everything(t);
                for (unsigned i = 0; i < 2500 && !test_has_failed(t); i++) {
                        step(t);
                        check_table(t);
                        check_walk(t);
                        EXPECT_TRUE(vmar_valid(&bed.space));
                }
                for (unsigned i = 1; i < REGIONS; i++)
                        vmar_close(regions[i].handle);
                for (unsigned i = 0; i < VMOS; i++)
                        vmo_put(vmos[i]);
                bed_end(t);
        }
}
