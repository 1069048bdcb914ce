/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* memory — see memory.h for the way from the firmware's map to the pmm. */
#include "kernel/memory.h"

#include <string.h>

#include "arch/arch.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "base/spinlock.h"
#include "kernel/boot_info.h"
#include "kernel/cmdline.h"
#include "kernel/log.h"
#include "kernel/memory_map.h"
#include "kernel/panic.h"
#include "kernel/pmm_console.h"

/* Below this much RAM the kernel says so and stops: the self-tests borrow up to 1 MiB in a row. */
#define MEMORY_NEEDED_BYTES (8 * MIB)
/* As much as there can be: 52 bits of physical address. */
#define LIMIT_MIB_MAX (BIT_MASK(52) / MIB)
/* Early pages must be reachable in the boot path's tables (kernel/boot_info.h). */
#define BOOT_MAPPED_BYTES GIB
/* Where a CPU can start in real mode. */
#define REAL_MODE_END_PA MIB
/* Carves: page 0, the image, the trampoline, and the early pages, which stay one
 * range as long as they touch. */
#define CARVES_MAX 8
/* Where memory_map_physical puts its windows; arch/x86_64/address_space.h has the whole picture. */
#define WINDOW_BASE 0xffffa00000000000ull
#define WINDOW_END 0xffffb00000000000ull
#define LARGE_PAGE_BYTES (2 * MIB)

struct pmm kernel_pmm;

static struct memory_range ranges[MEMORY_MAP_CAPACITY(BOOT_REGIONS_MAX, CARVES_MAX)];
static struct memory_map map = {.ranges = ranges, .capacity = ARRAY_COUNT(ranges)};
static struct memory_plan plan;
static struct arch_ram_range ram[ARRAY_COUNT(ranges)];
static uint64_t image_va, image_pa, image_bytes;
static struct spinlock window_lock = SPINLOCK_INIT("windows");
static uint64_t window_next = WINDOW_BASE;
static uint64_t early_page_count;
static uint64_t trampoline_pa;

static uint64_t limit_mib;
CMDLINE_UINT(limit_mib, "kernel.memory-limit-mb", 0, LIMIT_MIB_MAX,
             "use so many MiB of RAM, the lowest, and leave the rest alone; 0: all of it");

/* ---- before the pmm ---- */

static uint64_t early_table_page(void *context)
{
        uint64_t pa;

        (void)context;
        if (memory_map_take(&map, 1, BOOT_MAPPED_BYTES, &pa) != ZX_OK)
                return 0;
        memset((void *)pa, 0, PAGE_BYTES); /* the boot tables map it where it is */
        early_page_count++;
        return pa;
}

static bool is_ours(uint32_t type)
{
        return type == BOOT_REGION_RAM || type == BOOT_REGION_LOADER || type == MEMORY_RANGE_IN_USE;
}

static size_t add_ram(size_t count, uint64_t pa, uint64_t end)
{
        if (pa >= end)
                return count;
        if (count > 0 && ram[count - 1].pa + ram[count - 1].bytes == pa) {
                ram[count - 1].bytes += end - pa;
                return count;
        }
        ASSERT(count < ARRAY_COUNT(ram));
        ram[count] = (struct arch_ram_range){.pa = pa, .bytes = end - pa};
        return count + 1;
}

/* What the physical map covers: all RAM except the image, whose code and constants must not be
 * writable through a second address. */
static size_t gather_ram(void)
{
        uint64_t image_end_pa = image_pa + image_bytes;
        size_t count = 0;

        for (size_t i = 0; i < map.count; i++) {
                uint64_t pa = map.ranges[i].pa, end = pa + map.ranges[i].bytes;
                if (!is_ours(map.ranges[i].type))
                        continue;
                count = add_ram(count, pa, min_u64(end, max_u64(pa, image_pa)));
                count = add_ram(count, max_u64(pa, min_u64(end, image_end_pa)), end);
        }
        return count;
}

static void limit_ram(void)
{
        if (limit_mib == 0)
                return;
        if (limit_mib * MIB < MEMORY_NEEDED_BYTES) {
                log_line("cmdline: 'kernel.memory-limit-mb=%llu': this kernel needs %u MiB",
                         (unsigned long long)limit_mib, (unsigned)(MEMORY_NEEDED_BYTES / MIB));
                return;
        }
        log_line("memory: limited to %llu MiB, %llu MiB are left alone",
                 (unsigned long long)limit_mib,
                 (unsigned long long)(memory_map_limit(&map, limit_mib * MIB) / MIB));
}

static void read_map(const struct boot_info *boot_info)
{
        zx_status_t status =
                memory_map_normalise(&map, boot_info->regions, boot_info->region_count);
        uint64_t usable;

        if (status != ZX_OK)
                panic("the firmware's memory map: %s", zx_status_name(status));
        if (boot_info->regions_dropped != 0)
                log_line("memory: %u regions did not fit in boot_info and are not used",
                         boot_info->regions_dropped);
        usable = memory_map_bytes(&map, BOOT_REGION_RAM) +
                 memory_map_bytes(&map, BOOT_REGION_LOADER);
        if (usable < MEMORY_NEEDED_BYTES - MIB) /* a firmware keeps some of what the machine has */
                panic("not enough memory: %llu KiB of RAM, this kernel needs %u MiB",
                      (unsigned long long)(usable / KIB), (unsigned)(MEMORY_NEEDED_BYTES / MIB));

        status = memory_map_carve(&map, image_pa, image_bytes);
        if (status != ZX_OK)
                log_line("memory: the image at 0x%llx is not all RAM in the firmware's map: %s",
                         (unsigned long long)image_pa, zx_status_name(status));
        /* Page 0 is never handed out, so that a physical address of 0 can mean "none". */
        status = memory_map_carve(&map, 0, PAGE_BYTES);
        if (status != ZX_OK && status != ZX_ERR_NOT_FOUND)
                panic("memory: page 0: %s", zx_status_name(status));
        if (memory_map_take(&map, 1, REAL_MODE_END_PA, &trampoline_pa) != ZX_OK)
                trampoline_pa = 0;
        limit_ram();
}

static void build_tables(void)
{
        const struct arch_table_source source = {.alloc_page = early_table_page};
        zx_status_t status = arch_paging_build(ram, gather_ram(), image_pa, &source);

        if (status != ZX_OK)
                panic("page tables: %s after %llu pages", zx_status_name(status),
                      (unsigned long long)early_page_count);
        arch_paging_switch();
}

/* ---- the pmm ---- */

static void add_arena(const struct pmm_arena_config *config)
{
        struct memory_range taken;
        uint64_t cursor = 0;
        zx_status_t status = pmm_add_arena_at(&kernel_pmm, config);

        if (status != ZX_OK)
                panic("pmm: arena at 0x%llx: %s", (unsigned long long)config->pa,
                      zx_status_name(status));
        while (memory_map_next_taken(&map, config, &cursor, &taken)) {
                if (taken.type == BOOT_REGION_LOADER)
                        continue; /* we run on our own tables and boot_info is copied: RAM now */
                status = pmm_wire_range(&kernel_pmm, taken.pa, taken.bytes / PAGE_BYTES);
                if (status != ZX_OK)
                        panic("pmm: reserving 0x%llx: %s", (unsigned long long)taken.pa,
                              zx_status_name(status));
        }
}

static void print_left_out(void)
{
        log_line("memory: %llu KiB in %zu pieces are in no arena, %llu KiB of them in use",
                 (unsigned long long)(plan.left_out_bytes / KIB), plan.left_out_count,
                 (unsigned long long)(plan.left_out_in_use_bytes / KIB));
}

void memory_init(const struct boot_info *boot_info)
{
        const struct arch_image_part *parts;
        zx_status_t status;

        arch_image_parts(&parts);
        image_va = parts[0].va;
        image_pa = boot_info->kernel_pa;
        image_bytes = boot_info->kernel_bytes;
        read_map(boot_info);
        build_tables();

        status = pmm_init(&kernel_pmm, ARCH_PHYSMAP_BASE);
        ASSERT(status == ZX_OK);
        memory_map_plan_arenas(&map, &plan);
        for (size_t i = 0; i < plan.arena_count; i++)
                add_arena(&plan.arenas[i]);
        log_line("memory: %llu MiB in %zu arenas, %llu MiB free, %llu pages of tables, "
                 "image at 0x%llx",
                 (unsigned long long)(pmm_count_total_bytes(&kernel_pmm) / MIB), plan.arena_count,
                 (unsigned long long)(pmm_count_free_pages(&kernel_pmm) * PAGE_BYTES / MIB),
                 (unsigned long long)early_page_count, (unsigned long long)image_pa);
        if (plan.left_out_bytes >= 2 * PAGE_BYTES)
                print_left_out();
        pmm_console_start_checker();
}

uint64_t memory_trampoline_pa(void)
{
        return trampoline_pa;
}

void *memory_pa_to_va(uint64_t pa)
{
        return (void *)(pa + ARCH_PHYSMAP_BASE);
}

uint64_t memory_va_to_pa(const void *va)
{
        uint64_t address = (uint64_t)va;

        if (address - image_va < image_bytes)
                return address - image_va + image_pa;
        ASSERT(address - ARCH_PHYSMAP_BASE < ARCH_PHYSMAP_BYTES);
        return address - ARCH_PHYSMAP_BASE;
}

/* ---- windows onto memory that is not ours ---- */

static uint64_t table_page(void *context)
{
        struct vm_page *page;

        (void)context;
        if (pmm_alloc_page(&kernel_pmm, PMM_ALLOC_ANY, &page) != ZX_OK)
                return 0;
        pmm_set_state(&kernel_pmm, page, VM_PAGE_MMU);
        memset(pmm_page_va(&kernel_pmm, page), 0, PAGE_BYTES);
        return page->pa;
}

const struct arch_table_source memory_table_source = {.alloc_page = table_page};

zx_status_t memory_map_physical(uint64_t pa, uint64_t bytes, enum memory_map_kind kind,
                                void **va_out)
{
        uint64_t first = round_down(pa, PAGE_BYTES), last, va, mapped_bytes;
        zx_status_t status;

        if (bytes == 0 || add_overflows(pa, bytes - 1, &last))
                return ZX_ERR_INVALID_ARGS;
        if (kind == MEMORY_MAP_DEVICE && memory_map_touches_ram(&map, pa, bytes))
                return ZX_ERR_ACCESS_DENIED;
        mapped_bytes = round_down(last, PAGE_BYTES) - first + PAGE_BYTES;
        spinlock_take(&window_lock);
        va = window_next;
        if (mapped_bytes >= LARGE_PAGE_BYTES) /* so that large pages fit */
                va = round_up(va, LARGE_PAGE_BYTES) + first % LARGE_PAGE_BYTES;
        if (mapped_bytes > WINDOW_END - va)
                status = ZX_ERR_NO_MEMORY;
        else
                status = arch_map(
                        va, first, mapped_bytes,
                        ARCH_MAP_GLOBAL | (kind == MEMORY_MAP_CODE ? ARCH_MAP_EXECUTE : 0) |
                        (kind == MEMORY_MAP_DEVICE ? ARCH_MAP_UNCACHED | ARCH_MAP_WRITE : 0),
                        &memory_table_source);
        if (status == ZX_OK) {
                /* A page that is not mapped between two. */
                window_next = va + mapped_bytes + PAGE_BYTES;
                *va_out = (void *)(va + (pa - first));
        }
        spinlock_give(&window_lock);
        return status;
}

void memory_print_map(void)
{
        for (size_t i = 0; i < map.count; i++)
                log_line("memory: range 0x%llx..0x%llx type %u",
                         (unsigned long long)map.ranges[i].pa,
                         (unsigned long long)(map.ranges[i].pa + map.ranges[i].bytes),
                         map.ranges[i].type);
        print_left_out();
}
