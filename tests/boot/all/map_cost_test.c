/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* map_cost — what it takes to map one page of user memory, touch it and unmap it.
 *
 * Logs the least of ROUNDS rounds in ticks of the time stamp counter, by step; in ".fresh" the page
 * has been taken from the VMO before, so that the touch has to find and clear a new one. Under
 * QEMU's -icount shift=0 a tick is an instruction, which the first line shows on a loop of known
 * length: tests/harness/bench_guest.py reads these lines and makes rows of `make bench` of them.
 * What is tested is that each round leaves no page and no table behind. */
#include "tests/expect.h"

#include "arch/arch.h"
#include "base/bytes.h"
#include "kernel/aspace.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/user_copy.h"

#define ROUNDS 64
#define LOOP_ROUNDS 1000
#define LOOP_INSTRUCTIONS (2 * LOOP_ROUNDS)

enum step { MAP, TOUCH, UNMAP, WHOLE, STEPS };

struct bed {
        struct vmar_handle region;
        struct vmo *vmo;
        uint64_t base;
        uint64_t least[STEPS];
        uint64_t reading; /* ticks that one look at the counter takes */
};

static uint64_t loop_ticks(void)
{
        uint64_t left = LOOP_ROUNDS, before = arch_ticks();
        __asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(left) : : "cc");
        return arch_ticks() - before;
}

static void note(struct bed *bed, enum step step, uint64_t ticks)
{
        bed->least[step] = min_u64(bed->least[step], ticks - bed->reading);
}

static void one_round(struct test *t, struct bed *bed)
{
        const struct vmar_map_request request = {VMAR_PERM_READ | VMAR_PERM_WRITE | VMAR_SPECIFIC,
                                                 0, PAGE_BYTES, {bed->vmo, RIGHTS_VMO_DEFAULT}, 0};
        uint64_t tables = aspace_table_page_count(), va;
        uint8_t byte = 1;

        uint64_t begun = arch_ticks();
        REQUIRE_OK(vmar_map(bed->region, &request, &va));
        uint64_t mapped = arch_ticks();
        EXPECT_OK(user_copy_to(va, &byte, 1, NULL));
        uint64_t touched = arch_ticks();
        EXPECT_GT(aspace_table_page_count(), tables);
        uint64_t leaving = arch_ticks();
        EXPECT_OK(vmar_unmap(bed->region, va, PAGE_BYTES));
        uint64_t gone = arch_ticks();

        EXPECT_EQ(aspace_table_page_count(), tables);
        EXPECT_EQ(vmo_committed_pages(bed->vmo), 1);
        note(bed, MAP, mapped - begun);
        note(bed, TOUCH, touched - mapped);
        note(bed, UNMAP, gone - leaving);
        note(bed, WHOLE, (touched - begun) + (gone - leaving) - 2 * bed->reading);
}

static void rounds(struct test *t, struct bed *bed, const char *name, bool fresh)
{
        for (int step = 0; step < STEPS; step++)
                bed->least[step] = UINT64_MAX;
        for (int i = 0; i < ROUNDS; i++) {
                if (fresh)
                        REQUIRE_OK(vmo_op_range(bed->vmo, VMO_OP_DECOMMIT, 0, PAGE_BYTES));
                one_round(t, bed);
        }
        EXPECT_GE(bed->least[WHOLE], bed->least[MAP] + bed->least[TOUCH] + bed->least[UNMAP]);
        log_line("%s: map %lu, touch %lu, unmap %lu, whole %lu ticks", name, bed->least[MAP],
                 bed->least[TOUCH], bed->least[UNMAP], bed->least[WHOLE]);
}

TEST(map_cost, one_page)
{
        const struct vmar_request request = {
                VMAR_ALIGN(30) | VMAR_CAN_MAP_MASK | VMAR_CAN_MAP_SPECIFIC | VMAR_COMPACT, 0, GIB};
        uint64_t objects = pmm_count_state(&kernel_pmm, VM_PAGE_OBJECT);
        struct bed bed = {.reading = UINT64_MAX};

        REQUIRE_OK(vmar_allocate(aspace_user_root(), &request, &bed.region, &bed.base));
        REQUIRE_OK(vmo_create(aspace_vmo_pool(), PAGE_BYTES, 0, &bed.vmo));
        for (int i = 0; i < ROUNDS; i++) {
                uint64_t before = arch_ticks();
                bed.reading = min_u64(bed.reading, arch_ticks() - before);
        }
        log_line("map_cost.loop: %u instructions in %lu ticks", (unsigned)LOOP_INSTRUCTIONS,
                 loop_ticks() - bed.reading);
        rounds(t, &bed, "map_cost.page", false);
        rounds(t, &bed, "map_cost.page.fresh", true);
        EXPECT_OK(vmar_destroy(bed.region));
        vmar_close(bed.region);
        vmo_put(bed.vmo);
        EXPECT_EQ(pmm_count_state(&kernel_pmm, VM_PAGE_OBJECT), objects);
}
