/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* aspace — the seam between the VMAR tree and the CPU's page tables; see aspace.h. */
#include "kernel/aspace.h"

#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/cmdline.h"
#include "kernel/command.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/panic.h"

_Static_assert(ASPACE_USER_END <= ARCH_USER_END, "in the user half");

static struct vmar_space space;
static struct vmar_home home;
static struct vmo_pool pool;

static bool aslr_disable;
static uint64_t aslr_entropy_bits = VMAR_ENTROPY_BITS_DEFAULT;
static uint64_t aslr_seed;
CMDLINE_FLAG(aslr_disable, "aslr.disable", "place mappings at the lowest address that fits");
CMDLINE_UINT(aslr_entropy_bits, "aslr.entropy_bits", 0, VMAR_ENTROPY_BITS_MAX,
             "how many bits of a mapping's place are random");
CMDLINE_UINT(aslr_seed, "aslr.seed", 0, UINT64_MAX, "the same places on every boot; 0: other ones");

/* ---- tables ---- */

static struct spinlock tables_lock = SPINLOCK_INIT("page tables");
static uint64_t table_page_count;

static uint64_t alloc_table(void *context)
{
        uint64_t pa = memory_table_source.alloc_page(context);

        table_page_count += pa != 0;
        return pa;
}

static void free_table(void *context, uint64_t pa)
{
        pmm_free_page(&kernel_pmm, pmm_page_from_pa(&kernel_pmm, pa));
        table_page_count--;
}

static const struct arch_table_source source = {.alloc_page = alloc_table, .free_page = free_table};

uint64_t aspace_table_page_count(void)
{
        return __atomic_load_n(&table_page_count, __ATOMIC_RELAXED);
}

/* ---- what the tree asks of them ---- */

static uint32_t flags_of(uint32_t permissions, enum vmo_cache_policy policy)
{
        uint32_t flags = ARCH_MAP_USER;

        if (permissions & VMAR_PERM_WRITE)
                flags |= ARCH_MAP_WRITE;
        if (permissions & VMAR_PERM_EXECUTE)
                flags |= ARCH_MAP_EXECUTE;
        if (policy != VMO_CACHE_CACHED)
                flags |= ARCH_MAP_UNCACHED; /* write-combining memory, too: stronger, never wrong */
        return flags;
}

/* A large leaf with `va` in its middle goes as a whole. */
static void drop_leaf_across(uint64_t va)
{
        uint64_t page_bytes;
        zx_status_t status = arch_query(va, NULL, NULL, &page_bytes);

        if (status == ZX_OK && !is_aligned(va, page_bytes)) {
                status = arch_clear(round_down(va, page_bytes), page_bytes, &source);
                ASSERT(status == ZX_OK); /* nothing to split */
        }
}

/* Never fails: where there is no table for half of a large leaf, all of it goes, and faults bring
 * back what is still mapped. The lock is held. */
static void clear(uint64_t va, uint64_t bytes)
{
        zx_status_t status = arch_clear(va, bytes, &source);

        if (status == ZX_ERR_NO_MEMORY) {
                drop_leaf_across(va);
                drop_leaf_across(va + bytes);
                status = arch_clear(va, bytes, &source);
        }
        ASSERT(status == ZX_OK);
}

static bool is_entered(const struct vmar_table_entry *entry, uint32_t flags)
{
        uint64_t pa;
        uint32_t found;

        return entry->bytes == PAGE_BYTES && arch_query(entry->va, &pa, &found, NULL) == ZX_OK &&
               pa == entry->pa && found == flags;
}

static zx_status_t table_map(struct vmar_table *table, const struct vmar_table_entry *entry)
{
        uint32_t flags = flags_of(entry->permissions, entry->policy);
        zx_status_t status = ZX_OK;

        spinlock_take(&tables_lock);
        if (!is_entered(entry, flags)) { /* else another CPU's fault was faster */
                status = arch_map(entry->va, entry->pa, entry->bytes, flags, &source);
                if (status == ZX_ERR_ALREADY_EXISTS) {
                        clear(entry->va, entry->bytes);
                        status = arch_map(entry->va, entry->pa, entry->bytes, flags, &source);
                }
                if (status != ZX_OK) /* tables on a way that was not finished */
                        clear(entry->va, entry->bytes);
        }
        spinlock_give(&tables_lock);
        return status;
}

static void table_unmap(struct vmar_table *table, uint64_t va, uint64_t bytes)
{
        spinlock_take(&tables_lock);
        clear(va, bytes);
        spinlock_give(&tables_lock);
}

static void table_protect(struct vmar_table *table, uint64_t va, uint64_t bytes,
                          uint32_t permissions)
{
        zx_status_t status;

        spinlock_take(&tables_lock);
        status = arch_protect(va, bytes, flags_of(permissions, VMO_CACHE_CACHED), &source);
        if (status == ZX_ERR_NO_MEMORY)
                clear(va, bytes);
        else
                ASSERT(status == ZX_OK);
        spinlock_give(&tables_lock);
}

static bool table_query(struct vmar_table *table, uint64_t va, uint64_t *pa_out,
                        uint32_t *permissions_out)
{
        uint32_t flags;
        zx_status_t status;

        spinlock_take(&tables_lock);
        status = arch_query(va, pa_out, &flags, NULL);
        spinlock_give(&tables_lock);
        if (status != ZX_OK)
                return false;
        *permissions_out = VMAR_PERM_READ | (flags & ARCH_MAP_WRITE ? VMAR_PERM_WRITE : 0) |
                           (flags & ARCH_MAP_EXECUTE ? VMAR_PERM_EXECUTE : 0);
        return true;
}

static struct vmar_table table = {
        .map = table_map, .unmap = table_unmap, .protect = table_protect, .query = table_query};

/* ---- faults ---- */

static zx_status_t handle_fault(uint64_t va, uint32_t access)
{
        return vmar_fault(&space, va, access & ARCH_PAGE_FAULT_WRITE ? VMAR_FAULT_WRITE : 0);
}

/* ---- the space ---- */

void aspace_init(void)
{
        struct vmar_space_config config = {
                .base = ASPACE_USER_BASE,
                .bytes = ASPACE_USER_END - ASPACE_USER_BASE,
                .table = &table,
                .pmm = &kernel_pmm,
                .entropy_bits = aslr_disable ? 0 : (uint32_t)aslr_entropy_bits,
                .seed = aslr_seed != 0 ? aslr_seed : arch_ticks(),
                .forbid_write_execute = true, /* as in the kernel half */
        };
        zx_status_t status = vmar_space_init(&space, &config);

        if (status == ZX_OK)
                status = vmo_pool_init(&pool, &kernel_pmm);
        if (status == ZX_OK)
                status = vmar_home_init(&home, vmar_space_root(&space), &pool);
        if (status != ZX_OK)
                panic("aspace: %s", zx_status_name(status));
        pool.clean_cache = arch_clean_cache;
        arch_set_user_fault_handler(handle_fault);
}

struct vmar_space *aspace_user(void)
{
        return &space;
}

struct vmar_handle aspace_user_root(void)
{
        return home.root;
}

struct vmar_home *aspace_user_home(void)
{
        return &home;
}

struct vmo_pool *aspace_vmo_pool(void)
{
        return &pool;
}

/* ---- console ---- */

#define LINES_MAX 200

struct print {
        uint32_t lines;
        uint32_t left_out;
};

static void print_entry(void *context, const struct vmar_entry *entry)
{
        struct print *print = context;
        uint32_t permissions = entry->options >> (entry->is_region ? VMAR_CAN_MAP_READ_BIT : 0);
        char rest[64];

        if (print->lines == LINES_MAX) {
                print->left_out++;
                return;
        }
        print->lines++;
        if (entry->is_region)
                snprintf(rest, sizeof(rest), "region%s%s",
                         entry->options & VMAR_CAN_MAP_SPECIFIC ? " specific" : "",
                         entry->options & VMAR_COMPACT ? " compact" : "");
        else
                snprintf(rest, sizeof(rest), "VMO %p + 0x%llx", (void *)entry->vmo,
                         (unsigned long long)entry->vmo_offset);
        log_line("vmar: %*s0x%012llx..0x%012llx %c%c%c %s", (int)(2 * entry->depth), "",
                 (unsigned long long)entry->base, (unsigned long long)(entry->base + entry->bytes),
                 permissions & VMAR_PERM_READ ? 'r' : '-',
                 permissions & VMAR_PERM_WRITE ? 'w' : '-',
                 permissions & VMAR_PERM_EXECUTE ? 'x' : '-', rest);
}

static void vmar_print(void)
{
        struct print print = {0};

        vmar_walk(&space, print_entry, &print);
        if (print.left_out != 0)
                log_line("vmar: and %u more", print.left_out);
        log_line("vmar: %llu regions, %llu mappings, %llu pages of tables, %llu faults answered",
                 (unsigned long long)space.region_count, (unsigned long long)space.mapping_count,
                 (unsigned long long)aspace_table_page_count(),
                 (unsigned long long)space.fault_count);
}
COMMAND(vmar_command, "vmar", "the user half: its tree of regions and mappings", vmar_print);
