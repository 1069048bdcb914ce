/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm — arenas and their page structures, addresses and indices, counts, validity.
 *
 * Single pages are in pmm_page.c, ranges and runs in pmm_run.c, low-memory signals in pmm_signal.c,
 * the free-page checker in pmm_checker.c. Facts: spec/zircon-objects.md, 2.1 to 2.3. */
#include "kernel/pmm.h"

#include "kernel/pmm_internal.h"

const char *vm_page_state_name(enum vm_page_state state)
{
        static const char *const names[VM_PAGE_STATE_COUNT] = {
                [VM_PAGE_FREE] = "free",     [VM_PAGE_ALLOC] = "alloc",
                [VM_PAGE_OBJECT] = "object", [VM_PAGE_WIRED] = "wired",
                [VM_PAGE_HEAP] = "heap",     [VM_PAGE_MMU] = "mmu",
                [VM_PAGE_IOMMU] = "iommu",   [VM_PAGE_IPC] = "ipc",
                [VM_PAGE_CACHE] = "cache",   [VM_PAGE_SLAB] = "slab",
                [VM_PAGE_ZRAM] = "zram",     [VM_PAGE_FREE_LOANED] = "loaned",
        };
        return (unsigned)state < VM_PAGE_STATE_COUNT ? names[state] : "?";
}

zx_status_t pmm_init(struct pmm *pmm, uint64_t physmap_base)
{
        if (!is_aligned(physmap_base, PAGE_BYTES))
                return ZX_ERR_INVALID_ARGS;
        memset(pmm, 0, sizeof(*pmm));
        pmm->physmap_base = physmap_base;
        for (unsigned zone = 0; zone < PMM_ZONE_COUNT; zone++)
                list_init(&pmm->free_list[zone]);
        pmm->watch_upper_pages = UINT64_MAX;
        spinlock_init(&pmm->lock, "pmm");
        pmm->cpu_counts = &pmm->own_counts;
        pmm->cpu_count = 1;
        return ZX_OK;
}

void pmm_set_cpus(struct pmm *pmm, struct pmm_state_counts *counts, uint32_t cpu_count,
                  uint32_t (*current_cpu)(void))
{
        ASSERT(cpu_count > 0);
        ASSERT(cpu_count <= PMM_CPU_COUNT_MAX);
        ASSERT(current_cpu != NULL);
        ASSERT(pmm->current_cpu == NULL);
        for (unsigned state = 0; state < VM_PAGE_STATE_COUNT; state++)
                pmm_count_add(&pmm->state_count[state], pmm->own_counts.pages[state]);
        memset(counts, 0, cpu_count * sizeof(counts[0]));
        pmm->cpu_counts = counts;
        pmm->cpu_count = cpu_count;
        pmm->current_cpu = current_cpu;
}

uint64_t pmm_count_state(const struct pmm *pmm, enum vm_page_state state)
{
        uint64_t count = __atomic_load_n(&pmm->state_count[state], __ATOMIC_RELAXED);
        for (uint32_t cpu = 0; cpu < pmm->cpu_count; cpu++)
                count += __atomic_load_n(&pmm->cpu_counts[cpu].pages[state], __ATOMIC_RELAXED);
        return count;
}

/* ---- arenas ---- */

/* Where the parts of an arena's structures lie, in bytes from their start. */
struct structure_layout {
        uint64_t free_words;
        uint64_t set_up_words;
        uint64_t run_words;
        uint64_t last_order_words;
        uint64_t end;
};

static struct structure_layout structure_layout(uint64_t page_count)
{
        uint64_t groups = div_round_up(page_count, PMM_GROUP_PAGES);
        struct structure_layout layout;
        layout.free_words = page_count * sizeof(struct vm_page);
        layout.set_up_words = layout.free_words + groups * sizeof(uint64_t);
        uint64_t bitmap_bytes = div_round_up(groups, 64) * sizeof(uint64_t);
        layout.run_words = layout.set_up_words + bitmap_bytes;
        layout.last_order_words = layout.run_words + (PMM_GROUP_PAGES_LOG2 - 1) * bitmap_bytes;
        layout.end = layout.last_order_words + bitmap_bytes;
        return layout;
}

uint64_t pmm_structure_bytes(uint64_t page_count)
{
        ASSERT(page_count <= PMM_ARENA_PAGES_MAX);
        return round_up(structure_layout(page_count).end, PAGE_BYTES);
}

/* Checks everything about a new arena and changes nothing. */
static zx_status_t check_arena(const struct pmm *pmm, const struct pmm_arena_config *config)
{
        uint64_t end;
        if (!is_aligned(config->pa | config->bytes | config->structures_pa, PAGE_BYTES) ||
            config->bytes == 0 || add_overflows(config->pa, config->bytes, &end))
                return ZX_ERR_INVALID_ARGS;
        uint64_t page_count = config->bytes / PAGE_BYTES;
        if (pmm->arena_count == PMM_ARENA_COUNT_MAX || page_count > PMM_ARENA_PAGES_MAX)
                return ZX_ERR_NOT_SUPPORTED;
        uint64_t structure_bytes = pmm_structure_bytes(page_count);
        if (structure_bytes >= config->bytes)
                return ZX_ERR_NO_MEMORY;
        if (config->structures_pa < config->pa || config->structures_pa > end - structure_bytes)
                return ZX_ERR_INVALID_ARGS;
        for (uint32_t i = 0; i < pmm->arena_count; i++) {
                const struct pmm_arena *arena = &pmm->arenas[i];
                if (config->pa < arena->pa + arena->page_count * PAGE_BYTES && arena->pa < end)
                        return ZX_ERR_ALREADY_EXISTS;
        }
        return ZX_OK;
}

/* Makes room in the array for an arena at `pa`, so that it stays ascending. */
static struct pmm_arena *insert_arena(struct pmm *pmm, uint64_t pa)
{
        uint32_t place = pmm->arena_count;
        while (place > 0 && pmm->arenas[place - 1].pa > pa)
                place--;
        memmove(&pmm->arenas[place + 1], &pmm->arenas[place],
                (pmm->arena_count - place) * sizeof(pmm->arenas[0]));
        memset(&pmm->arenas[place], 0, sizeof(pmm->arenas[0]));
        pmm->arena_count++;
        return &pmm->arenas[place];
}

static void fill_arena(struct pmm *pmm, const struct pmm_arena_config *config)
{
        uint64_t page_count = config->bytes / PAGE_BYTES;
        uint64_t own_count = pmm_structure_bytes(page_count) / PAGE_BYTES;
        struct structure_layout layout = structure_layout(page_count);
        struct pmm_arena *arena = insert_arena(pmm, config->pa);
        char *structures = pmm_pa_to_va(pmm, config->structures_pa);
        arena->pa = config->pa;
        arena->page_count = page_count;
        arena->group_count = div_round_up(page_count, PMM_GROUP_PAGES);
        arena->run_order_words = div_round_up(arena->group_count, 64);
        arena->pages = (struct vm_page *)(void *)structures;
        arena->free_words = (uint64_t *)(void *)(structures + layout.free_words);
        arena->set_up_words = (uint64_t *)(void *)(structures + layout.set_up_words);
        arena->run_words = (uint64_t *)(void *)(structures + layout.run_words);
        arena->own_first = (config->structures_pa - config->pa) / PAGE_BYTES;
        arena->own_end = arena->own_first + own_count;
        arena->zone =
                config->pa + config->bytes <= PMM_LO_MEM_END_PA ? PMM_ZONE_LOW : PMM_ZONE_HIGH;
        for (size_t i = 0; i < PMM_ARENA_NAME_BYTES - 1 && config->name[i] != '\0'; i++)
                arena->name[i] = config->name[i];

        /* The only part of the structures that is written now. */
        memset(arena->set_up_words, 0, layout.last_order_words - layout.set_up_words);
        memset(structures + layout.last_order_words, 0xff, layout.end - layout.last_order_words);

        pmm->total_pages += page_count;
        pmm_count_add(&pmm->state_count[VM_PAGE_WIRED], own_count);
        pmm_count_add(&pmm->state_count[VM_PAGE_FREE], page_count - own_count);
        pmm_count_add(&pmm->free_in_zone[arena->zone], page_count - own_count);
}

zx_status_t pmm_add_arena_at(struct pmm *pmm, const struct pmm_arena_config *config)
{
        zx_status_t status = check_arena(pmm, config);
        if (status != ZX_OK)
                return status;
        pmm_lock(pmm);
        fill_arena(pmm, config);
        pmm_unlock(pmm);
        DEBUG_ASSERT(pmm_valid(pmm));
        return ZX_OK;
}

zx_status_t pmm_add_arena(struct pmm *pmm, const char *name, uint64_t pa, uint64_t bytes)
{
        struct pmm_arena_config config = {
                .name = name, .pa = pa, .bytes = bytes, .structures_pa = pa};
        uint64_t page_count = bytes / PAGE_BYTES;
        if (page_count <= PMM_ARENA_PAGES_MAX && pmm_structure_bytes(page_count) <= bytes)
                config.structures_pa = pa + bytes - pmm_structure_bytes(page_count);
        return pmm_add_arena_at(pmm, &config);
}

zx_status_t pmm_arena_info(const struct pmm *pmm, size_t count, size_t first,
                           struct pmm_arena_info *buffer, size_t buffer_bytes)
{
        if (count == 0 || first >= pmm->arena_count || count > pmm->arena_count - first)
                return ZX_ERR_OUT_OF_RANGE;
        if (buffer_bytes < count * sizeof(*buffer)) /* count is at most PMM_ARENA_COUNT_MAX */
                return ZX_ERR_BUFFER_TOO_SMALL;
        for (size_t i = 0; i < count; i++) {
                const struct pmm_arena *arena = &pmm->arenas[first + i];
                memset(&buffer[i], 0, sizeof(buffer[i]));
                memcpy(buffer[i].name, arena->name, sizeof(buffer[i].name));
                buffer[i].base_pa = arena->pa;
                buffer[i].bytes = arena->page_count * PAGE_BYTES;
        }
        return ZX_OK;
}

/* ---- groups of page structures ---- */

void pmm_set_up_group(struct pmm *pmm, struct pmm_arena *arena, uint64_t group)
{
        DEBUG_ASSERT(!pmm_group_is_set_up(arena, group));
        uint64_t free_bits = pmm_group_free_bits(arena, group);
        uint64_t first = group * PMM_GROUP_PAGES;
        uint64_t end = min_u64(first + PMM_GROUP_PAGES, arena->page_count);
        struct list_node *list = &pmm->free_list[arena->zone];
        struct list_node *tail = list->prev;

        for (uint64_t number = first; number < end; number++) {
                struct vm_page *page = &arena->pages[number];
                memset(page, 0, sizeof(*page));
                page->pa = arena->pa + number * PAGE_BYTES;
                if ((free_bits & BIT_MASK(number - first)) == 0) {
                        page->state = VM_PAGE_WIRED; /* [P4] */
                        continue;
                }
                page->list.prev = tail;
                tail->next = &page->list;
                tail = &page->list;
                if (UNLIKELY(pmm->checker.armed))
                        pmm_checker_fill(pmm, page);
        }
        tail->next = list;
        list->prev = tail;
        arena->free_words[group] = free_bits;
        /* release: pairs with the acquire in pmm_group_is_set_up */
        uint64_t *set_up_word = &arena->set_up_words[group / 64];
        __atomic_store_n(set_up_word, *set_up_word | BIT_MASK(group % 64), __ATOMIC_RELEASE);
}

/* The lowest group that is not set up, or the number of groups. */
static uint64_t next_group_to_set_up(struct pmm_arena *arena)
{
        uint64_t groups = pmm_arena_groups(arena);
        uint64_t group = arena->set_up_cursor;
        while (group < groups) {
                uint64_t missing = ~arena->set_up_words[group / 64] >> (group % 64);
                if (missing != 0) {
                        group += (uint64_t)__builtin_ctzll(missing);
                        break;
                }
                group = round_down(group, 64) + 64;
        }
        arena->set_up_cursor = min_u64(group, groups);
        return arena->set_up_cursor;
}

void pmm_set_up_next_group(struct pmm *pmm, enum pmm_zone zone)
{
        for (uint32_t i = 0; i < pmm->arena_count; i++) {
                struct pmm_arena *arena = &pmm->arenas[i];
                if (arena->zone != zone)
                        continue;
                uint64_t groups = pmm_arena_groups(arena), group;
                while ((group = next_group_to_set_up(arena)) < groups) {
                        pmm_set_up_group(pmm, arena, group);
                        if (!list_is_empty(&pmm->free_list[zone]))
                                return;
                }
        }
        assert_failed(__FILE__, __LINE__, "a free page that the count promised [P3]");
}

/* ---- addresses and indices ---- */

/* Setting up a group shows to nobody,
 * so a pmm that is const for the caller stays the same for him. */
static struct vm_page *page_by_number(const struct pmm *pmm, struct pmm_arena *arena,
                                      uint64_t number)
{
        uint64_t group = number / PMM_GROUP_PAGES;
        if (UNLIKELY(!pmm_group_is_set_up(arena, group))) {
                struct pmm *changed = (struct pmm *)(uintptr_t)pmm;
                pmm_lock(changed);
                if (!pmm_group_is_set_up(arena, group)) /* nor has another CPU done it meanwhile */
                        pmm_set_up_group(changed, arena, group);
                pmm_unlock(changed);
        }
        return &arena->pages[number];
}

struct vm_page *pmm_page_from_pa(const struct pmm *pmm, uint64_t pa)
{
        struct pmm_arena *arena = pmm_arena_of_pa(pmm, pa);
        if (arena == NULL)
                return NULL;
        return page_by_number(pmm, arena, (pa - arena->pa) / PAGE_BYTES);
}

/*   31                           7 6         3 2     0
 *   | page number in arena, plus 1 | arena     | spare | */
#define INDEX_ARENA_SHIFT PMM_INDEX_SPARE_BITS
#define INDEX_PAGE_SHIFT (PMM_INDEX_SPARE_BITS + PMM_INDEX_ARENA_BITS)
_Static_assert(PMM_ARENA_COUNT_MAX == 1 << PMM_INDEX_ARENA_BITS, "every arena has a number");
_Static_assert(PMM_ARENA_PAGES_MAX <= (UINT32_MAX >> INDEX_PAGE_SHIFT), "every page has an index");

uint32_t pmm_page_to_index(const struct pmm *pmm, const struct vm_page *page)
{
        uint64_t number;
        const struct pmm_arena *arena = pmm_arena_of_page(pmm, page, &number);
        uint64_t arena_number = (uint64_t)(arena - pmm->arenas);
        return (uint32_t)((number + 1) << INDEX_PAGE_SHIFT | arena_number << INDEX_ARENA_SHIFT);
}

static bool split_index(const struct pmm *pmm, uint32_t index, uint32_t *arena_number,
                        uint64_t *number)
{
        *arena_number = index >> INDEX_ARENA_SHIFT & (PMM_ARENA_COUNT_MAX - 1);
        *number = (uint64_t)(index >> INDEX_PAGE_SHIFT) - 1;
        return *arena_number < pmm->arena_count && *number < pmm->arenas[*arena_number].page_count;
}

struct vm_page *pmm_index_to_page(const struct pmm *pmm, uint32_t index)
{
        uint32_t arena_number;
        uint64_t number;
        if (!split_index(pmm, index, &arena_number, &number))
                return NULL;
        return page_by_number(pmm, (struct pmm_arena *)(uintptr_t)&pmm->arenas[arena_number],
                              number);
}

uint64_t pmm_index_to_pa(const struct pmm *pmm, uint32_t index)
{
        uint32_t arena_number;
        uint64_t number;
        bool known = split_index(pmm, index, &arena_number, &number);
        ASSERT(known);
        return pmm->arenas[arena_number].pa + number * PAGE_BYTES;
}

/* ---- validity ---- */

bool pmm_valid(const struct pmm *pmm)
{
        uint64_t sum = 0;
        for (unsigned state = 0; state < VM_PAGE_STATE_COUNT; state++)
                sum += pmm_count_state(pmm, (enum vm_page_state)state);
        return sum == pmm->total_pages && pmm->arena_count <= PMM_ARENA_COUNT_MAX &&
               pmm->free_in_zone[PMM_ZONE_LOW] + pmm->free_in_zone[PMM_ZONE_HIGH] ==
                       pmm->state_count[VM_PAGE_FREE];
}

/* What pmm_check_all finds, to be compared with what the pmm has counted. */
struct census {
        uint64_t states[VM_PAGE_STATE_COUNT];
        uint64_t listable[PMM_ZONE_COUNT]; /* FREE and set up */
        uint64_t not_set_up[PMM_ZONE_COUNT];
};

static bool census_group(const struct pmm_arena *arena, uint64_t group, struct census *census)
{
        uint64_t free_bits = pmm_group_free_bits(arena, group);
        uint64_t first = group * PMM_GROUP_PAGES;
        uint64_t end = min_u64(first + PMM_GROUP_PAGES, arena->page_count);
        uint64_t free_count = (uint64_t)__builtin_popcountll(free_bits);

        if (!pmm_group_is_set_up(arena, group)) {
                census->not_set_up[arena->zone] += free_count;
                census->states[VM_PAGE_FREE] += free_count;
                census->states[VM_PAGE_WIRED] += end - first - free_count;
                return true;
        }
        census->listable[arena->zone] += free_count;
        for (uint64_t number = first; number < end; number++) {
                const struct vm_page *page = &arena->pages[number];
                bool is_free = (free_bits & BIT_MASK(number - first)) != 0;
                bool is_own = number >= arena->own_first && number < arena->own_end;
                if (page->pa != arena->pa + number * PAGE_BYTES ||
                    page->state >= VM_PAGE_STATE_COUNT ||
                    is_free != (page->state == VM_PAGE_FREE) ||
                    (is_own && page->state != VM_PAGE_WIRED))
                        return false;
                census->states[page->state]++;
        }
        return true;
}

/* Whether a free list holds exactly `count` pages, all FREE and of that zone [P2]. */
static bool free_list_valid(const struct pmm *pmm, enum pmm_zone zone, uint64_t count)
{
        const struct list_node *list = &pmm->free_list[zone];
        struct list_node *node = list->next;
        for (uint64_t i = 0; i < count; i++, node = node->next) {
                uint64_t number;
                if (node == list || node->next->prev != node)
                        return false;
                struct vm_page *page = vm_page_from_node(node);
                const struct pmm_arena *arena = pmm_arena_of_page(pmm, page, &number);
                if (arena->zone != zone || page->state != VM_PAGE_FREE)
                        return false;
        }
        return node == list;
}

bool pmm_check_all(const struct pmm *pmm)
{
        struct census census;
        memset(&census, 0, sizeof(census));
        for (uint32_t i = 0; i < pmm->arena_count; i++) {
                const struct pmm_arena *arena = &pmm->arenas[i];
                for (uint64_t group = 0; group < pmm_arena_groups(arena); group++) {
                        if (!census_group(arena, group, &census) ||
                            !pmm_run_words_valid(arena, group))
                                return false;
                }
        }
        for (unsigned zone = 0; zone < PMM_ZONE_COUNT; zone++) {
                if (census.listable[zone] + census.not_set_up[zone] != pmm->free_in_zone[zone] ||
                    !free_list_valid(pmm, (enum pmm_zone)zone, census.listable[zone]))
                        return false;
        }
        for (unsigned state = 0; state < VM_PAGE_STATE_COUNT; state++) {
                if (census.states[state] != pmm_count_state(pmm, (enum vm_page_state)state))
                        return false;
        }
        return pmm_valid(pmm);
}
