/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/user_copy, arch/x86_64/user_copy.S and the exception table: user pages that are
 * mapped, read-only and missing, side by side, and every byte around their edges. */
#include "tests/expect.h"

#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "base/shared.h"
#include "kernel/memory.h"
#include "kernel/user_copy.h"

/* hole | page 0, writable | page 1, read-only | hole; far from what anybody maps. */
#define USER_VA 0x00006fff12340000ull
#define READ_ONLY_VA (USER_VA + PAGE_BYTES)
#define HOLE_VA (USER_VA + 2 * PAGE_BYTES)
#define NEAR 24 /* bytes on both sides of an edge */

static uint8_t *user_page[2]; /* the same pages, as the kernel sees them */
static uint8_t buffer[2 * PAGE_BYTES];

static void map_user(struct test *t)
{
        uint64_t pa;

        user_page[0] = world_pages(t, 2, &pa);
        user_page[1] = user_page[0] + PAGE_BYTES;
        for (size_t i = 0; i < 2 * PAGE_BYTES; i++)
                user_page[0][i] = (uint8_t)(i * 7 + (i >> 8));
        memset(buffer, 0xee, sizeof(buffer));
        REQUIRE_OK(arch_map(USER_VA, pa, PAGE_BYTES, ARCH_MAP_WRITE | ARCH_MAP_USER,
                            &memory_table_source));
        REQUIRE_OK(arch_map(READ_ONLY_VA, pa + PAGE_BYTES, PAGE_BYTES, ARCH_MAP_USER,
                            &memory_table_source));
}

static void unmap_user(struct test *t)
{
        EXPECT_OK(arch_unmap(USER_VA, 2 * PAGE_BYTES));
}

TEST(user_copy, bytes_go_both_ways_at_every_alignment)
{
        map_user(t);
        for (size_t offset = 0; offset < 8; offset++) {
                for (size_t bytes = 0; bytes < 3 * 8; bytes++) {
                        size_t copied = SIZE_MAX;
                        memset(buffer, 0xee, 64);
                        EXPECT_OK(user_copy_from(buffer + 3, USER_VA + offset, bytes, &copied));
                        EXPECT_EQ(copied, bytes);
                        EXPECT_BYTES_EQ(buffer + 3, user_page[0] + offset, bytes);
                        EXPECT_EQ(buffer[2], 0xee);
                        EXPECT_EQ(buffer[3 + bytes], 0xee);

                        memset(user_page[0] + 96, 0x55, 64);
                        EXPECT_OK(user_copy_to(USER_VA + 96 + offset, user_page[0] + 1, bytes,
                                               NULL));
                        EXPECT_BYTES_EQ(user_page[0] + 96 + offset, user_page[0] + 1, bytes);
                        EXPECT_EQ(user_page[0][96 + offset + bytes], 0x55);
                }
        }
        /* Over the edge; both are readable. */
        EXPECT_OK(user_copy_from(buffer, USER_VA, 2 * PAGE_BYTES, NULL));
        EXPECT_BYTES_EQ(buffer, user_page[0], 2 * PAGE_BYTES);
        unmap_user(t);
}

TEST(user_copy, addresses_outside_the_user_half_are_refused)
{
        static const struct {
                uint64_t va;
                size_t bytes;
        } bad[] = {
                {ARCH_USER_END, 1},
                {ARCH_USER_END - 1, 2},
                {0x0000900000000000ull, 1}, /* not canonical */
                {ARCH_PHYSMAP_BASE, 1},
                {UINT64_MAX, 1},
                {UINT64_MAX - 7, 16}, /* wraps into the user half */
                {USER_VA, SIZE_MAX},
                {USER_VA, SIZE_MAX - USER_VA + 2},
                {0, SIZE_MAX},
        };
        size_t copied;

        map_user(t);
        for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
                copied = 42;
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                              user_copy_from(buffer, bad[i].va, bad[i].bytes, &copied));
                EXPECT_EQ(copied, 0);
                copied = 42;
                EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                              user_copy_to(bad[i].va, buffer, bad[i].bytes, &copied));
                EXPECT_EQ(copied, 0);
                EXPECT_FALSE(user_copy_range_valid(bad[i].va, bad[i].bytes));
        }
        /* Kernel memory that could be read and written, were it let through. */
        copied = 42;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                      user_copy_to((uint64_t)buffer, user_page[0], 8, &copied));
        EXPECT_EQ(buffer[0], 0xee);
        EXPECT_TRUE(user_copy_range_valid(0, ARCH_USER_END));
        EXPECT_TRUE(user_copy_range_valid(ARCH_USER_END, 0));
        EXPECT_FALSE(user_copy_range_valid(ARCH_USER_END + 1, 0));
        EXPECT_OK(user_copy_from(buffer, ARCH_PHYSMAP_BASE, 0, &copied));
        EXPECT_EQ(copied, 0);
        EXPECT_OK(user_copy_to(UINT64_MAX, buffer, 0, NULL));
        EXPECT_EQ(buffer[0], 0xee);
        unmap_user(t);
}

TEST(user_copy, nothing_mapped)
{
        size_t copied = 42;

        map_user(t);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, user_copy_from(buffer, HOLE_VA, 100, &copied));
        EXPECT_EQ(copied, 0);
        EXPECT_EQ(buffer[0], 0xee);
        copied = 42;
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, user_copy_to(USER_VA - 1, buffer, 2, &copied));
        EXPECT_EQ(copied, 0);
        EXPECT_EQ(user_page[0][0], 0);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, user_copy_from(buffer, 0, 8, NULL)); /* a null pointer */
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, user_copy_from(buffer, ARCH_USER_END - 8, 8, NULL));
        unmap_user(t);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, user_copy_from(buffer, USER_VA, 8, NULL));
}

/* Every start before an edge, every end behind it: the count is exact, also where a word lies on
 * both sides, and nothing behind it is touched. */
TEST(user_copy, fault_in_the_middle_is_exact_to_the_byte)
{
        map_user(t);
        for (size_t before = 0; before <= NEAR; before++) {
                for (size_t after = 1; after <= NEAR; after += 5) {
                        size_t copied = 42;
                        memset(buffer, 0xee, 2 * NEAR);
                        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                                      user_copy_from(buffer, HOLE_VA - before, before + after,
                                                     &copied));
                        EXPECT_EQ(copied, before);
                        EXPECT_BYTES_EQ(buffer, user_page[1] + PAGE_BYTES - before, before);
                        EXPECT_EQ(buffer[before], 0xee);

                        memset(user_page[0] + PAGE_BYTES - NEAR, 0x11, NEAR);
                        copied = 42;
                        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                                      user_copy_to(READ_ONLY_VA - before, user_page[0],
                                                   before + after, &copied));
                        EXPECT_EQ(copied, before);
                        EXPECT_BYTES_EQ(user_page[0] + PAGE_BYTES - before, user_page[0], before);
                }
        }
        unmap_user(t);
}

TEST(user_copy, read_only_pages_can_be_read_but_not_written)
{
        uint8_t first;

        map_user(t);
        first = user_page[1][5];
        EXPECT_OK(user_copy_from(buffer, READ_ONLY_VA + 5, 100, NULL));
        EXPECT_BYTES_EQ(buffer, user_page[1] + 5, 100);
        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED, user_copy_to(READ_ONLY_VA + 5, "!", 1, NULL));
        EXPECT_EQ(user_page[1][5], first);
        unmap_user(t);
}

/* ---- whose fault it is ---- */

static void copy_to_bad_kernel_memory(UNUSED void *context)
{
        zx_status_t status = user_copy_from((void *)0xffffb00000001000ull, USER_VA, 8, NULL);
        (void)status;
}

static void copy_and_then_fault(void *context)
{
        zx_status_t *status = context;
        *status = user_copy_from(buffer, HOLE_VA, 8, NULL);
        __builtin_trap();
}

TEST(user_copy, only_user_addresses_are_forgiven)
{
        struct arch_trap_info info = {0};
        zx_status_t status = ZX_OK;

        map_user(t);
        EXPECT_TRUE(arch_trap_probe(copy_to_bad_kernel_memory, NULL, &info));
        EXPECT_EQ(info.vector, ARCH_TRAP_PAGE_FAULT);
        EXPECT_EQ(info.address, 0xffffb00000001000ull);
        /* The table is asked before the probe, and leaves it as it was. */
        EXPECT_TRUE(arch_trap_probe(copy_and_then_fault, &status, &info));
        EXPECT_EQ(info.vector, ARCH_TRAP_INVALID_OPCODE);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, status);
        unmap_user(t);
}

static void read_user(UNUSED void *context)
{
        (void)shared_load_u8((const void *)USER_VA);
}

static bool has_smap(void)
{
        char text[256];

        arch_cpu_describe(text, sizeof(text));
        return strstr(text, " smap") != NULL;
}

/* ---- demand faults ---- */

static uint64_t fault_va, fault_page_pa;
static uint32_t fault_count, fault_access;
static bool fault_interrupts, fault_saw_user_page;

/* Maps the missing page, after a look at what was just copied from. */
static zx_status_t fill_in(uint64_t va, uint32_t access)
{
        fault_count++;
        fault_va = va;
        fault_access = access;
        fault_interrupts = arch_interrupts_enabled();
        fault_saw_user_page = !arch_trap_probe(read_user, NULL, NULL);
        return arch_map(round_down(va, PAGE_BYTES), fault_page_pa, PAGE_BYTES,
                        ARCH_MAP_WRITE | ARCH_MAP_USER, &memory_table_source);
}

static zx_status_t refuse(UNUSED uint64_t va, UNUSED uint32_t access)
{
        fault_count++;
        return ZX_ERR_NO_MEMORY;
}

TEST(user_copy, missing_page_is_filled_in_under_the_copy)
{
        arch_user_fault_fn before = arch_set_user_fault_handler(fill_in);
        uint8_t *page = world_pages(t, 1, &fault_page_pa);
        size_t copied = 0;

        map_user(t);
        memset(page, 0x77, PAGE_BYTES);
        fault_count = 0;
        EXPECT_OK(user_copy_from(buffer, HOLE_VA - 13, 100, &copied));
        EXPECT_EQ(copied, 100);
        EXPECT_EQ(buffer[12], user_page[1][PAGE_BYTES - 1]);
        EXPECT_EQ(buffer[13], 0x77);
        EXPECT_EQ(buffer[99], 0x77);
        EXPECT_EQ(fault_count, 1);
        EXPECT_EQ(fault_va, HOLE_VA);
        EXPECT_EQ(fault_access, 0); /* a read, nothing there */
        EXPECT_TRUE(fault_interrupts);
        /* What interrupts a copy runs with user pages closed; the copy goes on with them open. */
        EXPECT_EQ(fault_saw_user_page, !has_smap());
        EXPECT_OK(arch_unmap(HOLE_VA, PAGE_BYTES));

        EXPECT_OK(user_copy_to(HOLE_VA + 50, "demand", 6, &copied));
        EXPECT_BYTES_EQ(page + 50, "demand", 6);
        EXPECT_EQ(fault_access, ARCH_PAGE_FAULT_WRITE);
        EXPECT_EQ(fault_count, 2);
        EXPECT_OK(arch_unmap(HOLE_VA, PAGE_BYTES));

        /* Nobody can: once for the words, once for the bytes that are left. */
        (void)arch_set_user_fault_handler(refuse);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, user_copy_from(buffer, HOLE_VA - 13, 100, &copied));
        EXPECT_EQ(copied, 13);
        EXPECT_EQ(fault_count, 4);
        EXPECT_TRUE(arch_set_user_fault_handler(before) == refuse);
        unmap_user(t);
}

TEST(user_copy, user_pages_are_closed_after_every_way_out)
{
        struct arch_trap_info info = {0};
        size_t copied;

        if (!has_smap())
                SKIP("this CPU has no SMAP");
        map_user(t);
        for (unsigned way = 0; way < 5; way++) {
                if (way == 1)
                        EXPECT_OK(user_copy_from(buffer, USER_VA, 17, &copied));
                if (way == 2)
                        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                                      user_copy_from(buffer, HOLE_VA, 17, &copied));
                if (way == 3)
                        EXPECT_STATUS(ZX_ERR_ACCESS_DENIED,
                                      user_copy_to(READ_ONLY_VA, buffer, 3, &copied));
                if (way == 4)
                        EXPECT_TRUE(arch_trap_probe(copy_to_bad_kernel_memory, NULL, NULL));
                EXPECT_TRUE(arch_trap_probe(read_user, NULL, &info));
                EXPECT_EQ(info.vector, ARCH_TRAP_PAGE_FAULT);
                EXPECT_EQ(info.error, ARCH_PAGE_FAULT_PRESENT);
                EXPECT_TRUE(strstr(info.cause, "SMAP") != NULL);
        }
        unmap_user(t);
}
