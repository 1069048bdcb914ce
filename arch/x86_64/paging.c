/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* paging — the kernel's own 4-level page tables: build, switch, map, unmap, clear, protect, query.
 *
 * Leaf entries are as large as alignment allows: 1 GiB (when the CPU has them), 2 MiB, 4 KiB. Accessed and
 * dirty are set from the start, so that the CPU never has to write a table. Writable and executable together
 * is refused by assertion. Facts: Intel SDM volume 3A, 4.5; AMD APM volume 2, 5.3.
 *
 * Context: any CPU, one at a time for one part of the address space: the caller holds a lock if needed. */
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

#define CACHE_LINE_BYTES 64 /* of every CPU with long mode */

#define LEVEL_COUNT 4 /* level 0: 4 KiB leaves ... level 3: the root */
#define ENTRIES_PER_TABLE 512

static uint64_t root_pa;
/* Tables are reached at table_base + pa: 0 on the boot path's identity map, then the physical map. */
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

        ASSERT((flags & (ARCH_MAP_WRITE | ARCH_MAP_EXECUTE)) != (ARCH_MAP_WRITE | ARCH_MAP_EXECUTE));
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

/* An entry that points at a table. Permissions are the leaf's business; the way there allows everything but
 * user access to the kernel half. */
static uint64_t table_entry(uint64_t table_pa, uint64_t va)
{
        return table_pa | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED | (va >> 63 ? 0 : PTE_USER);
}

/* The largest leaf that starts at va and pa and is no longer than bytes. */
static unsigned leaf_level(uint64_t va, uint64_t pa, uint64_t bytes)
{
        unsigned level = cpu_features()->gbpages ? 2 : 1;
        while (level > 0 && (bytes < level_bytes(level) || !is_aligned(va | pa, level_bytes(level))))
                level--;
        return level;
}

/* The entry for va at `level`, building the tables above it; NULL when the source is empty or a larger
 * leaf is in the way (*occupied). */
static uint64_t *entry_build(uint64_t va, unsigned level, const struct arch_table_source *source,
                             bool *occupied)
{
        uint64_t *table = table_at(root_pa);

        for (unsigned at = LEVEL_COUNT - 1; at > level; at--) {
                uint64_t *entry = &table[table_index(va, at)];
                if (!(*entry & PTE_PRESENT)) {
                        uint64_t page_pa = source->alloc_page(source->context);
                        if (page_pa == 0)
                                return NULL;
                        *entry = table_entry(page_pa, va);
                } else if (is_leaf(*entry, at)) {
                        *occupied = true;
                        return NULL;
                }
                table = table_at(*entry);
        }
        return &table[table_index(va, level)];
}

/* The entry for a leaf at va of *level at most: where an earlier mapping, undone since, has left a table, its
 * entries are used, and *level is theirs. NULL as entry_build. */
static uint64_t *leaf_build(uint64_t va, unsigned *level, const struct arch_table_source *source,
                            bool *occupied)
{
        for (;; --*level) { /* ends at level 0, where every entry is a leaf's */
                uint64_t *entry = entry_build(va, *level, source, occupied);
                if (entry == NULL || !(*entry & PTE_PRESENT) || is_leaf(*entry, *level))
                        return entry;
        }
}

/* The leaf entry that maps va, NULL when there is none. */
static uint64_t *entry_find(uint64_t va, unsigned *level)
{
        uint64_t *table = table_at(root_pa);

        for (unsigned at = LEVEL_COUNT - 1;; at--) {
                uint64_t *entry = &table[table_index(va, at)];
                if (!(*entry & PTE_PRESENT))
                        return NULL;
                if (is_leaf(*entry, at)) {
                        *level = at;
                        return entry;
                }
                table = table_at(*entry);
        }
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
                unsigned level = 0;
                uint64_t *entry = entry_find(va + done, &level);
                uint64_t step = entry != NULL ? level_bytes(level) : PAGE_BYTES;
                if (entry == NULL) {
                        status = ZX_ERR_NOT_FOUND;
                } else {
                        /* A large leaf is only ever unmapped whole. */
                        ASSERT(is_aligned(va + done, step));
                        ASSERT(step <= bytes - done);
                        *entry = 0;
                        arch_tlb_add(&batch, va + done, PAGE_BYTES); /* one address drops a large leaf, too */
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
                unsigned level = leaf_level(va + done, pa + done, bytes - done);
                bool occupied = false;
                uint64_t *entry = leaf_build(va + done, &level, source, &occupied);
                if (entry == NULL) {
                        status = occupied ? ZX_ERR_ALREADY_EXISTS : ZX_ERR_NO_MEMORY;
                } else if (*entry & PTE_PRESENT) {
                        status = ZX_ERR_ALREADY_EXISTS;
                } else {
                        *entry = (pa + done) | leaf_bits(flags, level);
                        done += level_bytes(level);
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
static bool split_leaf(uint64_t *entry, unsigned level, uint64_t va,
                       const struct arch_table_source *source)
{
        uint64_t table_pa = source->alloc_page(source->context);
        uint64_t pa = round_down(*entry & PTE_ADDRESS_MASK, level_bytes(level));
        uint64_t bits = *entry & ~PTE_ADDRESS_MASK;

        if (table_pa == 0)
                return false;
        if (level == 1)
                bits &= ~PTE_LARGE; /* means something else in a 4 KiB entry */
        for (unsigned i = 0; i < ENTRIES_PER_TABLE; i++)
                table_at(table_pa)[i] = (pa + i * level_bytes(level - 1)) | bits;
        *entry = table_entry(table_pa, va);
        return true;
}

/* Sees to it that no leaf lies on both sides of va. False: no page. */
static bool split_at(uint64_t va, const struct arch_table_source *source)
{
        unsigned level;
        uint64_t *entry;

        while ((entry = entry_find(va, &level)) != NULL && !is_aligned(va, level_bytes(level)))
                if (!split_leaf(entry, level, va, source))
                        return false;
        return true;
}

/* Both ends of a range. */
static zx_status_t split_ends(uint64_t va, uint64_t bytes, const struct arch_table_source *source)
{
        if (!range_is_sane(va, 0, bytes))
                return ZX_ERR_INVALID_ARGS;
        return split_at(va, source) && split_at(va + bytes, source) ? ZX_OK : ZX_ERR_NO_MEMORY;
}

/* The entry at which the way down to va ends: a leaf, or nothing. */
static uint64_t *entry_reach(uint64_t va, unsigned *level)
{
        uint64_t *table = table_at(root_pa);

        for (unsigned at = LEVEL_COUNT - 1;; at--) {
                uint64_t *entry = &table[table_index(va, at)];
                if (!(*entry & PTE_PRESENT) || is_leaf(*entry, at)) {
                        *level = at;
                        return entry;
                }
                table = table_at(*entry);
        }
}

static bool table_is_empty(const uint64_t *table)
{
        for (unsigned i = 0; i < ENTRIES_PER_TABLE; i++)
                if (table[i] != 0)
                        return false;
        return true;
}

/* Tables that nothing points at any more, but of which a CPU may still know: chained through their first
 * entries, which look like holes, until all CPUs have forgotten them. */
struct dead_tables {
        uint64_t first_pa; /* 0: none */
};

/* Unlinks the tables on the way to va that are empty, from below. */
static void prune(uint64_t va, struct dead_tables *dead, struct arch_tlb_batch *batch)
{
        uint64_t *way[LEVEL_COUNT]; /* way[n] points at a table of level n - 1 */
        uint64_t *table = table_at(root_pa);
        unsigned level = LEVEL_COUNT - 1;

        for (; level > 0; level--) {
                way[level] = &table[table_index(va, level)];
                if (!(*way[level] & PTE_PRESENT) || is_leaf(*way[level], level))
                        break;
                table = table_at(*way[level]);
        }
        for (level++; level < LEVEL_COUNT && table_is_empty(table_at(*way[level])); level++) {
                uint64_t pa = *way[level] & PTE_ADDRESS_MASK;
                *way[level] = 0;
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

zx_status_t arch_clear(uint64_t va, uint64_t bytes, const struct arch_table_source *source)
{
        struct arch_tlb_batch batch = {0};
        struct dead_tables dead = {0};
        zx_status_t status = split_ends(va, bytes, source);

        for (uint64_t done = 0, next; done < bytes && status == ZX_OK; done = next) {
                unsigned level;
                uint64_t *entry = entry_reach(va + done, &level);
                next = done + level_bytes(level) - ((va + done) & (level_bytes(level) - 1));
                if (*entry & PTE_PRESENT) {
                        *entry = 0;
                        arch_tlb_add(&batch, va + done, PAGE_BYTES);
                }
                /* The last entry of its table, or of the range. */
                if ((next >= bytes || is_aligned(va + next, level_bytes(level + 1))) &&
                    source->free_page != NULL)
                        prune(va + done, &dead, &batch);
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
                unsigned level;
                uint64_t *entry = entry_reach(va + done, &level);
                next = done + level_bytes(level) - ((va + done) & (level_bytes(level) - 1));
                if (*entry & PTE_PRESENT) {
                        *entry = round_down(*entry & PTE_ADDRESS_MASK, level_bytes(level)) |
                                 (*entry & kept) | leaf_bits(flags, level);
                        arch_tlb_add(&batch, va + done, PAGE_BYTES);
                }
        }
        arch_tlb_flush(&batch);
        return status;
}

zx_status_t arch_query(uint64_t va, uint64_t *pa, uint32_t *flags, uint64_t *page_bytes)
{
        unsigned level = 0;
        const uint64_t *entry = entry_find(va, &level);

        if (entry == NULL)
                return ZX_ERR_NOT_FOUND;
        if (pa != NULL)
                *pa = round_down(*entry & PTE_ADDRESS_MASK, level_bytes(level)) +
                      (va & (level_bytes(level) - 1));
        if (flags != NULL)
                *flags = (*entry & PTE_WRITE ? ARCH_MAP_WRITE : 0u) |
                         (*entry & PTE_NO_EXECUTE ? 0u : ARCH_MAP_EXECUTE) |
                         (*entry & PTE_CACHE_DISABLE ? ARCH_MAP_UNCACHED : 0u) |
                         (*entry & PTE_GLOBAL ? ARCH_MAP_GLOBAL : 0u) |
                         (*entry & PTE_USER ? ARCH_MAP_USER : 0u);
        if (page_bytes != NULL)
                *page_bytes = level_bytes(level);
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

zx_status_t arch_paging_build(const struct arch_ram_range *ram, size_t ram_count, uint64_t kernel_pa,
                              const struct arch_table_source *source)
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
        for (uint64_t at = round_down((uint64_t)va, CACHE_LINE_BYTES); at < end; at += CACHE_LINE_BYTES)
                __asm__ volatile("clflush (%0)" : : "r"(at) : "memory");
        __asm__ volatile("mfence" : : : "memory");
}
