/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The user half on the CPU's own page tables: faults, permissions, tables that come and go, all
 * CPUs; and arch_clear and arch_protect below it. The tree itself is tested on the host
 * (tests/host/vmar_*_test.c). */
#include "tests/expect.h"
#include "tests/host/refusal.h"

#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "kernel/aspace.h"
#include "kernel/buffer_chain_boot.h"
#include "kernel/command.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/time.h"
#include "kernel/user_copy.h"
#include "kernel/vmo_mapper.h"
#include "kernel/vmo_user.h"

#define RW (VMAR_PERM_READ | VMAR_PERM_WRITE)
#define PAGES(n) ((uint64_t)(n) * PAGE_BYTES)
#define LARGE_BYTES (2 * MIB)

/* Where a test works: a region of its own, so that tables of others do not count. */
static struct vmar_handle region;
static struct vmo *vmo;
static uint64_t base, tables_before, objects_before;

static void begin(struct test *t, uint64_t vmo_pages)
{
        const struct vmar_request request = {
                VMAR_ALIGN(30) | VMAR_CAN_MAP_MASK | VMAR_CAN_MAP_SPECIFIC | VMAR_COMPACT, 0, GIB};

        tables_before = aspace_table_page_count();
        objects_before = pmm_count_state(&kernel_pmm, VM_PAGE_OBJECT);
        REQUIRE_OK(vmar_allocate(aspace_user_root(), &request, &region, &base));
        REQUIRE_OK(vmo_create(aspace_vmo_pool(), PAGES(vmo_pages), VMO_RESIZABLE, &vmo));
}

static void finish(struct test *t)
{
        EXPECT_TRUE(vmar_valid(aspace_user()));
        EXPECT_OK(vmar_destroy(region));
        vmar_close(region);
        vmo_put(vmo);
        EXPECT_EQ(aspace_table_page_count(), tables_before);
        EXPECT_EQ(pmm_count_state(&kernel_pmm, VM_PAGE_OBJECT), objects_before);
}

static zx_status_t MUST_CHECK map_at(uint64_t offset, uint64_t bytes, uint32_t options)
{
        uint64_t va;
        const struct vmar_map_request request = {options | VMAR_SPECIFIC, offset, bytes,
                                                 {vmo, RIGHTS_VMO_DEFAULT | RIGHT_EXECUTE}, 0};
        return vmar_map(region, &request, &va);
}

static zx_status_t read_byte(uint64_t va, uint8_t *byte)
{
        return user_copy_from(byte, va, 1, NULL);
}

static zx_status_t write_byte(uint64_t va, uint8_t byte)
{
        return user_copy_to(va, &byte, 1, NULL);
}

static void touch(void *context)
{
        (void)*(volatile uint8_t *)context;
}

TEST(aspace, faults_bring_pages)
{
        uint8_t text[16] = "over the edge!!", back[16] = {0};
        struct arch_trap_info info = {0};
        uint64_t faults = aspace_user()->fault_count;

        begin(t, 4);
        REQUIRE_OK(map_at(0, PAGES(4), RW));
        EXPECT_EQ(aspace_table_page_count(), tables_before); /* nothing until it is touched */
        EXPECT_OK(user_copy_to(base + PAGE_BYTES - 8, text, sizeof(text), NULL));
        EXPECT_EQ(aspace_user()->fault_count, faults + 2);
        /* the region is alone in its GiB */
        EXPECT_GE(aspace_table_page_count(), tables_before + 2);
        EXPECT_LE(aspace_table_page_count(), tables_before + 3);
        EXPECT_EQ(vmo_committed_pages(vmo), 2);
        EXPECT_OK(vmo_read(vmo, back, PAGE_BYTES - 8, sizeof(back)));
        EXPECT_BYTES_EQ(back, text, sizeof(text));
        EXPECT_OK(user_copy_from(back, base + PAGES(3), sizeof(back), NULL)); /* zeros */
        EXPECT_EQ(back[0] | back[15], 0);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, read_byte(base + PAGES(4), back));
        /* An ordinary access is a bug, and no mapping hides it. */
        EXPECT_TRUE(arch_trap_probe(touch, (void *)(base + PAGES(2)), &info));
        EXPECT_EQ(info.vector, ARCH_TRAP_PAGE_FAULT);
        EXPECT_EQ(vmo_committed_pages(vmo), 3);
        finish(t);
}

TEST(aspace, permissions_are_the_cpus)
{
        uint8_t byte = 7;

        begin(t, 2);
        REQUIRE_OK(map_at(0, PAGES(2), VMAR_PERM_READ));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, write_byte(base, 1)); /* not entered before */
        EXPECT_OK(read_byte(base, &byte));
        EXPECT_EQ(byte, 0);
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, write_byte(base, 1));
        EXPECT_OK(vmar_protect(region, RW, base, PAGES(2)));
        EXPECT_OK(write_byte(base, 2));
        EXPECT_OK(vmar_protect(region, VMAR_PERM_READ, base, PAGES(1)));
        /* a stale translation would let it */
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, write_byte(base, 3));
        EXPECT_OK(write_byte(base + PAGES(1), 4));
        EXPECT_OK(vmar_protect(region, 0, base, PAGES(1)));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, read_byte(base, &byte));
        EXPECT_OK(vmar_protect(region, RW, base, PAGES(1)));
        EXPECT_OK(read_byte(base, &byte));
        EXPECT_EQ(byte, 2);
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                      vmar_protect(region, RW | VMAR_PERM_EXECUTE, base, PAGES(1)));
        EXPECT_OK(vmar_unmap(region, base, PAGES(1)));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, read_byte(base, &byte));
        EXPECT_OK(read_byte(base + PAGES(1), &byte));
        EXPECT_EQ(byte, 4);
        finish(t);
}

TEST(aspace, what_the_vmo_takes_back_is_gone)
{
        uint8_t byte = 0;

        begin(t, 3);
        REQUIRE_OK(map_at(0, PAGES(3), RW));
        for (unsigned i = 0; i < 3; i++)
                EXPECT_OK(write_byte(base + PAGES(i), 9));
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, PAGES(1), PAGE_BYTES));
        EXPECT_OK(read_byte(base + PAGES(1), &byte));
        EXPECT_EQ(byte, 0);
        EXPECT_OK(vmo_set_size(vmo, PAGES(1)));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, read_byte(base + PAGES(1), &byte));
        EXPECT_OK(read_byte(base, &byte));
        EXPECT_EQ(byte, 9);
        finish(t);
}

TEST(aspace, uncached_memory)
{
        uint32_t flags = 0;

        begin(t, 1);
        REQUIRE_OK(vmo_set_cache_policy(vmo, VMO_CACHE_UNCACHED));
        REQUIRE_OK(map_at(0, PAGES(1), RW));
        EXPECT_OK(write_byte(base, 1));
        EXPECT_OK(vmar_protect(region, VMAR_PERM_READ, base, 1));
        EXPECT_OK(arch_query(base, NULL, &flags, NULL));
        EXPECT_EQ(flags, ARCH_MAP_USER | ARCH_MAP_UNCACHED);
        finish(t);
}

/* ---- large leaves ---- */

static uint64_t page_bytes_at(uint64_t va)
{
        uint64_t page_bytes = 0;
        return arch_query(va, NULL, NULL, &page_bytes) == ZX_OK ? page_bytes : 0;
}

static void take_all(struct test *t, struct list_node *pages)
{
        list_init(pages);
        (void)buffer_chain_boot_drain(time_deadline_after(NS_PER_SECOND)); /* or it is, meanwhile */
        REQUIRE_OK(pmm_alloc_pages(&kernel_pmm, pmm_count_free_pages(&kernel_pmm), PMM_ALLOC_ANY,
                                   pages));
}

TEST(aspace, large_leaves_are_split_or_dropped)
{
        struct list_node pages;
        uint8_t byte;

        begin(t, 1);
        vmo_put(vmo);
        if (vmo_create_contiguous(aspace_vmo_pool(), LARGE_BYTES, 21, &vmo) != ZX_OK)
                SKIP("no 2 MiB in a row");
        REQUIRE_OK(map_at(0, LARGE_BYTES, RW | VMAR_MAP_RANGE));
        EXPECT_EQ(page_bytes_at(base), LARGE_BYTES);
        EXPECT_OK(write_byte(base + LARGE_BYTES - 1, 5));
        EXPECT_OK(vmar_protect(region, VMAR_PERM_READ, base, PAGES(2)));
        /* Split; gone if there was no page for that (aspace_short_test.c). */
        if (refusal_result().refused == 0 || page_bytes_at(base) != 0)
                EXPECT_EQ(page_bytes_at(base), PAGE_BYTES);
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, write_byte(base + PAGES(1), 1));
        EXPECT_OK(write_byte(base + PAGES(2), 1));

        EXPECT_OK(vmar_unmap(region, base, LARGE_BYTES));
        REQUIRE_OK(map_at(0, LARGE_BYTES, RW | VMAR_MAP_RANGE));
        EXPECT_EQ(page_bytes_at(base), LARGE_BYTES);
        take_all(t, &pages); /* no page to split with: the leaf goes, and faults bring it back */
        EXPECT_OK(vmar_unmap(region, base, PAGES(2)));
        EXPECT_EQ(page_bytes_at(base + PAGES(2)), 0);
        /* no table for it */
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, read_byte(base + LARGE_BYTES - 1, &byte));
        pmm_free(&kernel_pmm, &pages);
        EXPECT_OK(read_byte(base + LARGE_BYTES - 1, &byte));
        EXPECT_EQ(byte, 5);
        EXPECT_EQ(page_bytes_at(base + LARGE_BYTES - 1), PAGE_BYTES);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, read_byte(base, &byte));
        /* A run over what a fault has entered already. */
        EXPECT_OK(
                vmar_op_range(region, VMAR_OP_MAP_RANGE, base + PAGES(2), LARGE_BYTES - PAGES(2)));
        EXPECT_EQ(page_bytes_at(base + PAGES(2)), PAGE_BYTES);
        finish(t);
}

/* With n pages left, for n from 0 on: a fault that cannot be answered leaves no table behind. */
TEST(aspace, faults_without_memory)
{
        struct list_node pages;
        zx_status_t status = ZX_ERR_NO_MEMORY;

        begin(t, 1);
        REQUIRE_OK(map_at(0, PAGES(1), RW));
        for (unsigned n = 0; n < 8 && status != ZX_OK; n++) {
                take_all(t, &pages);
                for (unsigned i = 0; i < n; i++)
                        pmm_free_page(&kernel_pmm, vm_page_from_node(list_remove_head(&pages)));
                status = write_byte(base, 1);
                pmm_free(&kernel_pmm, &pages);
                EXPECT_TRUE(status == ZX_OK || status == ZX_ERR_NO_MEMORY);
                EXPECT_EQ(aspace_table_page_count() != tables_before, status == ZX_OK);
                EXPECT_TRUE(n != 0 || status != ZX_OK);
                if (status != ZX_OK)
                        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, PAGES(1)));
        }
        EXPECT_OK(status);
        finish(t);
}

/* ---- what a compact region saves ---- */

#define MAPPINGS 16

/* Makes 16 mappings of a page each, touches them, and says how many tables that took. */
static uint64_t tables_of_mappings(struct test *t, struct vmar_manager *manager)
{
        static struct vmo_mapper mappers[MAPPINGS];
        const struct vmo_mapper_create request = {
                .bytes = 100, .map_options = RW, .manager = manager, .rights = RIGHT_SAME};
        uint64_t tables;

        for (unsigned i = 0; i < MAPPINGS; i++) {
                vmo_mapper_init(&mappers[i], aspace_user_home());
                EXPECT_OK(vmo_mapper_create_and_map(&mappers[i], &request, NULL));
                EXPECT_OK(write_byte(mappers[i].start + 99, 1));
        }
        tables = aspace_table_page_count() - tables_before;
        for (unsigned i = 0; i < MAPPINGS; i++)
                vmo_mapper_fini(&mappers[i]);
        EXPECT_EQ(aspace_table_page_count(), tables_before);
        return tables;
}

TEST(aspace, a_compact_region_saves_tables)
{
        struct vmar_manager *manager;
        uint64_t scattered, together;

        tables_before = aspace_table_page_count();
        REQUIRE_OK(vmar_manager_create(aspace_user_home(),
                                       &(struct vmar_manager_request){MIB, NULL,
                                                                      VMAR_MANAGER_OPTIONS_DEFAULT},
                                       &manager));
        scattered = tables_of_mappings(t, NULL);
        together = tables_of_mappings(t, manager);
        vmar_manager_put(manager);
        EXPECT_LE(together, 4); /* one a level, two at the bottom if the region lies over an edge */
        if (aspace_user()->entropy_bits == VMAR_ENTROPY_BITS_DEFAULT)
                EXPECT_GT(scattered, MAPPINGS); /* nearly every one has a table of its own */
}

/* ---- all CPUs ---- */

#define SHARED_PAGES 64

static void write_shared(void *context)
{
        uint64_t *failures = context, value = 1 + cpu_current();

        for (unsigned i = 0; i < SHARED_PAGES; i++)
                if (user_copy_to(base + PAGES(i) + 8 * value, &value, 8, NULL) != ZX_OK)
                        __atomic_fetch_add(failures, 1, __ATOMIC_RELAXED);
}

TEST(aspace, all_cpus_fault_at_once)
{
        uint64_t failures = 0, value;

        begin(t, SHARED_PAGES);
        REQUIRE_OK(map_at(0, PAGES(SHARED_PAGES), RW));
        for (unsigned round = 0; round < 4; round++) {
                REQUIRE_OK(cpu_run_on_all(write_shared, &failures,
                                          arch_clock_ns() + 5000000000ull));
                EXPECT_EQ(vmo_committed_pages(vmo), SHARED_PAGES);
                for (uint64_t cpu = 1; cpu <= cpu_count(); cpu++)
                        for (unsigned i = 0; i < SHARED_PAGES; i++) {
                                EXPECT_OK(vmo_read(vmo, &value, PAGES(i) + 8 * cpu, 8));
                                EXPECT_EQ(value, cpu);
                        }
                EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, PAGES(SHARED_PAGES)));
        }
        EXPECT_EQ(failures, 0);
        finish(t);
}

/* ---- below it: arch_clear and arch_protect ---- */

#define SCRATCH_VA 0xffffd00000000000ull /* a root slot that nobody uses */

struct counted {
        uint64_t left, out;
};

static uint64_t counted_alloc(void *context)
{
        struct counted *counted = context;
        uint64_t pa = counted->left == 0 ? 0 : memory_table_source.alloc_page(NULL);

        counted->left -= pa != 0;
        counted->out += pa != 0;
        return pa;
}

static void counted_free(void *context, uint64_t pa)
{
        struct counted *counted = context;
        const uint64_t *words = memory_pa_to_va(pa);
        uint64_t any = 0;
        for (unsigned i = 0; i < PAGE_BYTES / 8; i++)
                any |= words[i];
        counted->out -= any == 0; /* comes back empty */
        pmm_free_page(&kernel_pmm, pmm_page_from_pa(&kernel_pmm, pa));
}

TEST(aspace, arch_clear_frees_what_it_empties)
{
        struct counted counted = {.left = 100};
        const struct arch_table_source source = {counted_alloc, &counted, counted_free};
        const uint64_t far = SCRATCH_VA + GIB + 4 * MIB;

        REQUIRE_OK(arch_map(SCRATCH_VA, 0, PAGE_BYTES, 0, &source));
        EXPECT_EQ(counted.out, 3);
        REQUIRE_OK(arch_map(far - PAGE_BYTES, 0, 2 * PAGE_BYTES, 0, &source)); /* over an edge */
        EXPECT_EQ(counted.out, 6);
        EXPECT_OK(arch_clear(far, PAGE_BYTES, &source));
        EXPECT_EQ(counted.out, 5);
        EXPECT_OK(arch_clear(SCRATCH_VA + PAGE_BYTES, GIB, &source)); /* a hole */
        EXPECT_EQ(counted.out, 5);
        EXPECT_OK(arch_clear(SCRATCH_VA, 1ull << 39, &source)); /* 512 GiB, three entries */
        EXPECT_EQ(counted.out, 0);
        for (uint64_t n = 0; n < 3; n++) { /* tables on a way that was not finished */
                counted.left = n;
                EXPECT_STATUS(ZX_ERR_NO_MEMORY, arch_map(far, 0, PAGE_BYTES, 0, &source));
                EXPECT_EQ(counted.out, n);
                EXPECT_OK(arch_clear(far, PAGE_BYTES, &source));
                EXPECT_EQ(counted.out, 0);
        }
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, arch_clear(SCRATCH_VA + 1, PAGE_BYTES, &source));
}

TEST(aspace, arch_protect_and_split)
{
        struct counted counted = {.left = 2};
        const struct arch_table_source source = {counted_alloc, &counted, counted_free};
        uint64_t pa = 0;
        uint32_t flags = 0;

        REQUIRE_OK(arch_map(SCRATCH_VA, GIB, 4 * MIB, ARCH_MAP_WRITE | ARCH_MAP_UNCACHED, &source));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, arch_protect(SCRATCH_VA + MIB, 2 * MIB, 0, &source));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, arch_clear(SCRATCH_VA + MIB, 2 * MIB, &source));
        EXPECT_EQ(page_bytes_at(SCRATCH_VA), LARGE_BYTES); /* nothing changed */
        counted.left = 2;
        EXPECT_OK(arch_protect(SCRATCH_VA + MIB, 2 * MIB, 0, &source));
        for (uint64_t at = 0; at < 4 * MIB; at += MIB / 2) {
                EXPECT_OK(arch_query(SCRATCH_VA + at + 5, &pa, &flags, NULL));
                EXPECT_EQ(pa, GIB + at + 5);
                EXPECT_EQ(flags, ARCH_MAP_UNCACHED |
                                         (at >= MIB && at < 3 * MIB ? 0u :
                                          (uint32_t)ARCH_MAP_WRITE));
        }
        EXPECT_EQ(page_bytes_at(SCRATCH_VA), PAGE_BYTES);
        EXPECT_OK(arch_clear(SCRATCH_VA, 4 * MIB, &source));
        EXPECT_EQ(counted.out, 0);
}

/* ---- a VMO's bytes and user memory ---- */

/* The user memory is the VMO's own: each copy faults on it in the middle. */
TEST(aspace, a_vmo_is_copied_from_and_to_its_own_mapping)
{
        uint8_t byte = 0;

        begin(t, 4);
        REQUIRE_OK(map_at(0, PAGES(4), RW));
        EXPECT_OK(vmo_write(vmo, "self", 0, 4));
        EXPECT_OK(vmo_write(vmo, "next", PAGES(1), 4));
        /* each way in two pieces, as the VMO's pages are */
        EXPECT_OK(vmo_read_user(vmo, base + PAGES(2), 1, PAGES(1) + 3));
        EXPECT_OK(read_byte(base + PAGES(2), &byte));
        EXPECT_EQ(byte, 'e');
        EXPECT_OK(read_byte(base + PAGES(3) + 1, &byte));
        EXPECT_EQ(byte, 'x');
        EXPECT_OK(vmo_write_user(vmo, base + PAGES(1), PAGES(3) - 2, 4));
        EXPECT_OK(vmo_read(vmo, &byte, PAGES(3) + 1, 1));
        EXPECT_EQ(byte, 't');
        finish(t);
}

TEST(aspace, user_memory_that_a_vmo_cannot_be_copied_to)
{
        uint8_t byte = 0;

        begin(t, 3);
        REQUIRE_OK(map_at(0, PAGES(2), RW));
        EXPECT_OK(vmo_write(vmo, "text", 0, 4));
        EXPECT_OK(vmar_protect(region, VMAR_PERM_READ, base + PAGES(1), PAGES(1)));
        /* the VMO's own errors first */
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_read_user(vmo, ASPACE_USER_END, PAGES(3), 1));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, vmo_write_user(vmo, ASPACE_USER_END, PAGES(3), 1));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_read_user(vmo, ARCH_PHYSMAP_BASE, 0, 1));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, vmo_write_user(vmo, ARCH_PHYSMAP_BASE, 0, 1));
        /* the whole range before the first byte */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                      vmo_read_user(vmo, ARCH_USER_END - PAGES(1), 0, PAGES(2)));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                      vmo_write_user(vmo, ARCH_USER_END - PAGES(1), 0, PAGES(2)));
        EXPECT_OK(vmo_read_user(vmo, ARCH_PHYSMAP_BASE, 0, 0));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_read_user(vmo, base + PAGES(2), 0, 4));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, vmo_write_user(vmo, base + PAGES(2), 0, 4));
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, vmo_read_user(vmo, base + PAGES(1), 0, 4));
        EXPECT_OK(vmo_write_user(vmo, base + PAGES(1), 0, 2)); /* it can be read */
        EXPECT_OK(vmo_read(vmo, &byte, 0, 1));
        EXPECT_EQ(byte, 0);
        finish(t);
}

/* ---- permission to execute, places, the console's word ---- */

TEST(aspace, execute_is_the_cpus_too)
{
        uint32_t flags = 0;
        uint8_t byte;

        begin(t, 1);
        REQUIRE_OK(map_at(0, PAGES(1), VMAR_PERM_READ | VMAR_PERM_EXECUTE));
        EXPECT_OK(read_byte(base, &byte));
        EXPECT_OK(arch_query(base, NULL, &flags, NULL));
        EXPECT_EQ(flags, ARCH_MAP_USER | ARCH_MAP_EXECUTE);
        finish(t);
}

/* test_memory.py boots this with the options of aslr. */
TEST(aspace, where_regions_go)
{
        const struct vmar_request request = {0, 0, PAGES(4)};
        struct vmar_handle two[2];
        uint64_t at[2];

        for (unsigned i = 0; i < 2; i++)
                REQUIRE_OK(vmar_allocate(aspace_user_root(), &request, &two[i], &at[i]));
        test_log(t, "%u bits, placed at 0x%llx 0x%llx", (unsigned)aspace_user()->entropy_bits,
                 (unsigned long long)at[0], (unsigned long long)at[1]);
        if (aspace_user()->entropy_bits == 0)
                EXPECT_EQ(at[1], at[0] + PAGES(4));
        for (unsigned i = 0; i < 2; i++) {
                EXPECT_OK(vmar_destroy(two[i]));
                vmar_close(two[i]);
        }
}

static char said[32768];

static void keep_line(struct log_sink *sink, const char *line, size_t bytes)
{
        strncat(said, line, bytes < sizeof(said) - strlen(said) ? bytes : 0);
}

static const char *what_vmar_says(void)
{
        struct log_sink sink = {.write = keep_line}, *console = log_replace_sinks(&sink);
        said[0] = '\0';
        command_run_list("vmar");
        log_replace_sinks(console);
        return said;
}

TEST(aspace, the_console_shows_the_tree)
{
        enum { MANY = 250 };

        begin(t, 2);
        REQUIRE_OK(map_at(PAGES(1), PAGES(1), RW));
        EXPECT_TRUE(strstr(what_vmar_says(), " rwx region specific\n") != NULL); /* the root */
        EXPECT_TRUE(strstr(said, " rwx region specific compact\n") != NULL);
        EXPECT_TRUE(strstr(said, " rw- VMO ") != NULL);
        EXPECT_TRUE(strstr(said, "# vmar: and ") == NULL);
        EXPECT_TRUE(strstr(said, "# vmar: 2 regions, 1 mappings, ") != NULL);
        for (unsigned i = 1; i < MANY; i++) /* not neighbours, which would be one */
                REQUIRE_OK(map_at(PAGES(1 + 2 * i), PAGES(1), i % 2 ? VMAR_PERM_READ : 0));
        /* two regions and MANY mappings, of which 200 lines are shown */
        EXPECT_TRUE(strstr(what_vmar_says(), "# vmar: and 52 more\n") != NULL);
        EXPECT_TRUE(strstr(said, " r-- VMO ") != NULL && strstr(said, " --- VMO ") != NULL);
        EXPECT_TRUE(strstr(said, "# vmar: 2 regions, 250 mappings, ") != NULL);
        finish(t);
}
