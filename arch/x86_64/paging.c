/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* paging — the kernel's own 4-level page tables: build, switch, map, unmap, clear, protect, query.
 *
 * Leaf entries are as large as alignment allows: 1 GiB (when the CPU has them), 2 MiB, 4 KiB.
 * Accessed and dirty are set from the start, so that the CPU never has to write a table. Writable
 * and executable together is refused by assertion. Facts: Intel SDM volume 3A, 4.5; AMD APM
 * volume 2, 5.3.
 *
 * Context: any CPU, one at a time for one part of the address space: the caller holds a lock if
 * needed. Two parts have no table in common but the root, of which nothing is counted. */
#include "arch/address_space.h"
#include "arch/arch.h"
#include "arch/cpu.h"
#include "arch/smp.h"
#include "base/assert.h"
#include "base/bytes.h"

#define PTE_PRESENT BIT_MASK(0)
#define PTE_WRITE BIT_MASK(1)
#define PTE_USER BIT_MASK(2)
#define PTE_WRITE_THROUGH BIT_MASK(3)
#define PTE_CACHE_DISABLE BIT_MASK(4)
#define PTE_ACCESSED BIT_MASK(5)
#define PTE_DIRTY BIT_MASK(6)
#define PTE_LARGE BIT_MASK(7) /* in a directory entry: this is a leaf */
#define PTE_GLOBAL BIT_MASK(8)
#define PTE_NO_EXECUTE BIT_MASK(63)
#define PTE_ADDRESS_MASK 0x000ffffffffff000ull
/* In an entry that points at a table, bits 62:52 mean nothing to a CPU (SDM 3A, tables 4-15
 * to 4-19; AVL in the APM): how many entries of that table are present is kept there, so that
 * nobody has to look at all 512. */
#define PTE_COUNT_SHIFT 52
#define PTE_COUNT_BITS 10

#define CACHE_LINE_BYTES 64 /* of every CPU with long mode */

#define LEVEL_COUNT 4 /* level 0: 4 KiB leaves ... level 3: the root */
#define ENTRIES_PER_TABLE 512

static uint64_t root_pa;
/* Tables are reached at table_base + pa: 0 on the boot path's
 * identity map, then the physical map. */
static uint64_t table_base;

static uint64_t *table_at(uint64_t pa)
{
        return (uint64_t *)(table_base + (pa & PTE_ADDRESS_MASK));
}

static unsigned level_shift(unsigned level)
{
        return PAGE_BYTES_LOG2 + 9 * level;
}

static uint64_t level_bytes(unsigned level)
{
        return 1ull << level_shift(level);
}

static unsigned table_index(uint64_t va, unsigned level)
{
        return (unsigned)(va >> level_shift(level)) & (ENTRIES_PER_TABLE - 1);
}

static bool is_leaf(uint64_t entry, unsigned level)
{
        return level == 0 || (entry & PTE_LARGE) != 0;
}

static uint64_t leaf_bits(uint32_t flags, unsigned level)
{
        uint64_t bits = PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY;

        ASSERT((flags & (ARCH_MAP_WRITE | ARCH_MAP_EXECUTE)) !=
               (ARCH_MAP_WRITE | ARCH_MAP_EXECUTE));
        if (flags & ARCH_MAP_WRITE)
                bits |= PTE_WRITE;
        if (flags & ARCH_MAP_USER)
                bits |= PTE_USER;
        if (flags & ARCH_MAP_UNCACHED)
                bits |= PTE_CACHE_DISABLE | PTE_WRITE_THROUGH;
        if (flags & ARCH_MAP_GLOBAL)
                bits |= PTE_GLOBAL;
        if (!(flags & ARCH_MAP_EXECUTE) && cpu_features()->nx)
                bits |= PTE_NO_EXECUTE;
        if (level > 0)
                bits |= PTE_LARGE;
        return bits;
}

/* An entry that points at a table. Permissions are the leaf's business; the way there allows
 * everything but user access to the kernel half. */
static uint64_t table_entry(uint64_t table_pa, uint64_t va)
{
        return table_pa | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | (va >> 63 ? 0 : PTE_USER);
}

/* The largest leaf that starts at va and pa and is no longer than bytes. */
static unsigned leaf_level(uint64_t va, uint64_t pa, uint64_t bytes)
{
        unsigned level = cpu_features()->gbpages ? 2 : 1;
        while (level > 0 &&
               (bytes < level_bytes(level) || !is_aligned(va | pa, level_bytes(level))))
                level--;
        return level;
}

/* The way down to an address: entry[n] is the one in its table of level n, for
 * n from `level` to the root's. */
struct way {
        uint64_t *entry[LEVEL_COUNT];
        unsigned level; /* where the way ends: at a leaf, or at nothing */
};

static void way_find(uint64_t va, struct way *way)
{
        uint64_t *table = table_at(root_pa);

        for (way->level = LEVEL_COUNT - 1;; way->level--) {
                uint64_t *entry = &table[table_index(va, way->level)];
                way->entry[way->level] = entry;
                if (!(*entry & PTE_PRESENT) || is_leaf(*entry, way->level))
                        return;
                table = table_at(*entry);
        }
}

static bool way_has_leaf(const struct way *way)
{
        return (*way->entry[way->level] & PTE_PRESENT) != 0;
}

/* How many entries of the table at which `entry` points are present. */
static unsigned present_count(uint64_t entry)
{
        return (unsigned)(entry >> PTE_COUNT_SHIFT) & ((1u << PTE_COUNT_BITS) - 1);
}

/* Sets the entry at the way's end, and counts. */
static void way_set(const struct way *way, uint64_t value)
{
        uint64_t *entry = way->entry[way->level];
        uint64_t change = (value & PTE_PRESENT) - (*entry & PTE_PRESENT); /* bit 0 */

        *entry = value;
        if (change != 0 && way->level + 1 < LEVEL_COUNT)
                *way->entry[way->level + 1] += change << PTE_COUNT_SHIFT;
}

/* Finds the place for a leaf at va of `level` at most, building the tables above it. Where an
 * earlier mapping, undone since, has left a table, the leaf becomes one of that table. */
static zx_status_t way_build(uint64_t va, unsigned level, const struct arch_table_source *source,
                             struct way *way)
{
        way_find(va, way);
        if (way_has_leaf(way))
                return ZX_ERR_ALREADY_EXISTS;
        while (way->level > level) {
                uint64_t page_pa = source->alloc_page(source->context);
                if (page_pa == 0)
                        return ZX_ERR_NO_MEMORY;
                way_set(way, table_entry(page_pa, va));
                way->level--;
                way->entry[way->level] = &table_at(page_pa)[table_index(va, way->level)];
        }
        return ZX_OK;
}

static bool range_is_sane(uint64_t va, uint64_t pa, uint64_t bytes)
{
        uint64_t va_last, pa_last;

        return bytes != 0 && is_aligned(va | pa | bytes, PAGE_BYTES) &&
               !add_overflows(va, bytes - 1, &va_last) && !add_overflows(pa, bytes - 1, &pa_last) &&
               pa_last >> cpu_features()->physical_bits == 0 &&
               va >> 63 == va_last >> 63; /* does not run through the hole */
}

zx_status_t arch_unmap(uint64_t va, uint64_t bytes)
{
        struct arch_tlb_batch batch = {0};
        zx_status_t status = ZX_OK;
        uint64_t done = 0;

        if (!range_is_sane(va, 0, bytes))
                return ZX_ERR_INVALID_ARGS;
        while (done < bytes) {
                uint64_t step = PAGE_BYTES;
                struct way way;
                way_find(va + done, &way);
                if (!way_has_leaf(&way)) {
                        status = ZX_ERR_NOT_FOUND;
                } else {
                        /* A large leaf is only ever unmapped whole. */
                        step = level_bytes(way.level);
                        ASSERT(is_aligned(va + done, step));
                        ASSERT(step <= bytes - done);
                        way_set(&way, 0);
                        /* One address drops a large leaf, too. */
                        arch_tlb_add(&batch, va + done, PAGE_BYTES);
                }
                done += step;
        }
        arch_tlb_flush(&batch);
        return status;
}

zx_status_t arch_map(uint64_t va, uint64_t pa, uint64_t bytes, uint32_t flags,
                     const struct arch_table_source *source)
{
        zx_status_t status = ZX_OK;
        uint64_t done = 0;

        if (!range_is_sane(va, pa, bytes))
                return ZX_ERR_INVALID_ARGS;
        while (done < bytes && status == ZX_OK) {
                struct way way;
                status = way_build(va + done, leaf_level(va + done, pa + done, bytes - done),
                                   source, &way);
                if (status == ZX_OK) {
                        way_set(&way, (pa + done) | leaf_bits(flags, way.level));
                        done += level_bytes(way.level);
                }
        }
        if (status != ZX_OK && done != 0) {
                zx_status_t undone = arch_unmap(va, done);
                ASSERT(undone == ZX_OK);
        }
        return status;
}

/* ---- what is there changes or goes, holes and all ---- */

/* Makes 512 smaller leaves of a large one; what they map stays the same. False: no page. */
static bool split_leaf(const struct way *way, uint64_t va, const struct arch_table_source *source)
{
        uint64_t *entry = way->entry[way->level];
        unsigned level = way->level;
        uint64_t table_pa = source->alloc_page(source->context);
        uint64_t pa = round_down(*entry & PTE_ADDRESS_MASK, level_bytes(level));
        uint64_t bits = *entry & ~PTE_ADDRESS_MASK;

        if (table_pa == 0)
                return false;
        if (level == 1)
                bits &= ~PTE_LARGE; /* means something else in a 4 KiB entry */
        for (unsigned i = 0; i < ENTRIES_PER_TABLE; i++)
                table_at(table_pa)[i] = (pa + i * level_bytes(level - 1)) | bits;
        way_set(way, table_entry(table_pa, va) | (uint64_t)ENTRIES_PER_TABLE << PTE_COUNT_SHIFT);
        return true;
}

/* Sees to it that no leaf lies on both sides of va. False: no page. */
static bool split_at(uint64_t va, const struct arch_table_source *source)
{
        struct way way;

        for (;;) { /* at level 0 every address is aligned */
                way_find(va, &way);
                if (!way_has_leaf(&way) || is_aligned(va, level_bytes(way.level)))
                        return true;
                if (!split_leaf(&way, va, source))
                        return false;
        }
}

/* Both ends of a range. */
static zx_status_t split_ends(uint64_t va, uint64_t bytes, const struct arch_table_source *source)
{
        if (!range_is_sane(va, 0, bytes))
                return ZX_ERR_INVALID_ARGS;
        return split_at(va, source) && split_at(va + bytes, source) ? ZX_OK : ZX_ERR_NO_MEMORY;
}

/* Tables that nothing points at any more, but of which a CPU may still know: chained through their
 * first entries, which look like holes, until all CPUs have forgotten them. */
struct dead_tables {
        uint64_t first_pa; /* 0: none */
};

/* Unlinks the tables on the way that are empty, from below; the way ends above them then. */
static void prune(struct way *way, uint64_t va, struct dead_tables *dead,
                  struct arch_tlb_batch *batch)
{
        while (way->level + 1 < LEVEL_COUNT && present_count(*way->entry[way->level + 1]) == 0) {
                uint64_t pa = *way->entry[++way->level] & PTE_ADDRESS_MASK;
                way_set(way, 0);
                table_at(pa)[0] = dead->first_pa;
                dead->first_pa = pa;
                /* One address is enough to drop what a CPU remembers of tables: SDM 3, 4.10.4.1. */
                arch_tlb_add(batch, va, PAGE_BYTES);
        }
}

static void bury(struct dead_tables *dead, const struct arch_table_source *source)
{
        while (dead->first_pa != 0) {
                uint64_t pa = dead->first_pa;
                dead->first_pa = table_at(pa)[0];
                table_at(pa)[0] = 0;
                source->free_page(source->context, pa);
        }
}

/* Of a range at va: how far the entry at the way's end reaches, when
 * the way was found at va + done. */
static uint64_t way_end(const struct way *way, uint64_t va, uint64_t done)
{
        return done + level_bytes(way->level) - ((va + done) & (level_bytes(way->level) - 1));
}

zx_status_t arch_clear(uint64_t va, uint64_t bytes, const struct arch_table_source *source)
{
        struct arch_tlb_batch batch = {0};
        struct dead_tables dead = {0};
        zx_status_t status = split_ends(va, bytes, source);

        for (uint64_t done = 0, next; done < bytes && status == ZX_OK; done = next) {
                struct way way;
                way_find(va + done, &way);
                next = way_end(&way, va, done);
                if (way_has_leaf(&way)) {
                        way_set(&way, 0);
                        arch_tlb_add(&batch, va + done, PAGE_BYTES);
                }
                if (source->free_page != NULL)
                        prune(&way, va + done, &dead, &batch);
        }
        arch_tlb_flush(&batch);
        bury(&dead, source);
        return status;
}

zx_status_t arch_protect(uint64_t va, uint64_t bytes, uint32_t flags,
                         const struct arch_table_source *source)
{
        const uint64_t kept = PTE_CACHE_DISABLE | PTE_WRITE_THROUGH | PTE_GLOBAL;
        struct arch_tlb_batch batch = {0};
        zx_status_t status = split_ends(va, bytes, source);

        for (uint64_t done = 0, next; done < bytes && status == ZX_OK; done = next) {
                struct way way;
                way_find(va + done, &way);
                next = way_end(&way, va, done);
                if (way_has_leaf(&way)) {
                        uint64_t entry = *way.entry[way.level];
                        way_set(&way, round_down(entry & PTE_ADDRESS_MASK, level_bytes(way.level)) |
                                              (entry & kept) | leaf_bits(flags, way.level));
                        arch_tlb_add(&batch, va + done, PAGE_BYTES);
                }
        }
        arch_tlb_flush(&batch);
        return status;
}

zx_status_t arch_query(uint64_t va, uint64_t *pa, uint32_t *flags, uint64_t *page_bytes)
{
        struct way way;
        way_find(va, &way);
        uint64_t entry = *way.entry[way.level];

        if (!way_has_leaf(&way))
                return ZX_ERR_NOT_FOUND;
        if (pa != NULL)
                *pa = round_down(entry & PTE_ADDRESS_MASK, level_bytes(way.level)) +
                      (va & (level_bytes(way.level) - 1));
        if (flags != NULL)
                *flags = (entry & PTE_WRITE ? ARCH_MAP_WRITE : 0u) |
                         (entry & PTE_NO_EXECUTE ? 0u : ARCH_MAP_EXECUTE) |
                         (entry & PTE_CACHE_DISABLE ? ARCH_MAP_UNCACHED : 0u) |
                         (entry & PTE_GLOBAL ? ARCH_MAP_GLOBAL : 0u) |
                         (entry & PTE_USER ? ARCH_MAP_USER : 0u);
        if (page_bytes != NULL)
                *page_bytes = level_bytes(way.level);
        return ZX_OK;
}

size_t arch_image_parts(const struct arch_image_part **parts)
{
        static struct arch_image_part list[3 + STACK_COUNT];
        static const char *const stack_names[STACK_COUNT] = {"boot stack", "double fault stack",
                                                             "NMI stack", "machine check stack"};

        list[0] = (struct arch_image_part){"text", (uint64_t)image_start, /* with the headers */
                                           (uint64_t)(text_end - image_start), ARCH_MAP_EXECUTE};
        list[1] = (struct arch_image_part){"rodata", (uint64_t)rodata_start,
                                           (uint64_t)(rodata_end - rodata_start), 0};
        list[2] = (struct arch_image_part){"data", (uint64_t)data_start,
                                           (uint64_t)(data_end - data_start), ARCH_MAP_WRITE};
        for (unsigned i = 0; i < STACK_COUNT; i++)
                list[3 + i] = (struct arch_image_part){stack_names[i], stack_bottom(i), STACK_BYTES,
                                                       ARCH_MAP_WRITE};
        *parts = list;
        return ARRAY_COUNT(list);
}

zx_status_t arch_paging_build(const struct arch_ram_range *ram, size_t ram_count,
                              uint64_t kernel_pa, const struct arch_table_source *source)
{
        const struct arch_image_part *parts;
        size_t part_count = arch_image_parts(&parts);
        zx_status_t status = ZX_OK;

        ASSERT(stack_top(STACK_COUNT - 1) == (uint64_t)stacks_end); /* linker.ld agrees */
        root_pa = source->alloc_page(source->context);
        if (root_pa == 0)
                return ZX_ERR_NO_MEMORY;
        for (size_t i = 0; i < part_count && status == ZX_OK; i++)
                status = arch_map(parts[i].va, kernel_pa + (parts[i].va - (uint64_t)image_start),
                                  parts[i].bytes, parts[i].protection | ARCH_MAP_GLOBAL, source);
        for (size_t i = 0; i < ram_count && status == ZX_OK; i++)
                status = arch_map(ARCH_PHYSMAP_BASE + ram[i].pa, ram[i].pa, ram[i].bytes,
                                  ARCH_MAP_WRITE | ARCH_MAP_GLOBAL, source);
        return status;
}

void arch_paging_switch(void)
{
        ASSERT(root_pa != 0);
        cpu_write_cr3(root_pa);
        table_base = ARCH_PHYSMAP_BASE;
        paging_drop_all(); /* the boot path's tables may have made global ones */
}

uint64_t paging_root_pa(void)
{
        return root_pa;
}

/* A write to CR3 keeps global translations; a change of CR4.PGE drops them. */
void paging_drop_all(void)
{
        cpu_write_cr3(cpu_read_cr3());
        cpu_write_cr4(cpu_read_cr4() & ~BIT_MASK(CPU_CR4_PGE_BIT));
        if (cpu_features()->pge)
                cpu_write_cr4(cpu_read_cr4() | BIT_MASK(CPU_CR4_PGE_BIT));
}

void arch_clean_cache(const void *va, size_t bytes)
{
        uint64_t end = (uint64_t)va + bytes;

        __asm__ volatile("mfence" : : : "memory");
        for (uint64_t at = round_down((uint64_t)va, CACHE_LINE_BYTES); at < end;
             at += CACHE_LINE_BYTES)
                __asm__ volatile("clflush (%0)" : : "r"(at) : "memory");
        __asm__ volatile("mfence" : : : "memory");
}
