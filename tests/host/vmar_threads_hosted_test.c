/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* One space and two VMOs from several threads at once: mapping, cutting and protecting, faulting,
 * and VMOs that take pages back. Under AddressSanitizer and, above all, under ThreadSanitizer; what
 * must come out is a valid space, a table without foreign pages, and every page back. */
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "tests/host/thread_bed.h"
#include "tests/host/vmar_bed.h"

#define ROUNDS 20000
#define SPACE_PAGES 64u
#define VMO_PAGES 16u

static struct vmo *vmos[2];

static void share(struct pmm *bed_pmm)
{
        pmm_set_cpus(bed_pmm, counts, THREADS, current_cpu);
}

static uint32_t pick(uint64_t *state, uint32_t bound)
{
        return (uint32_t)((uint64_t)next_random(state) * bound >> 31);
}

static void note_status(zx_status_t status, zx_status_t other)
{
        note(status == ZX_OK || status == other);
}

static void change_tree(uint64_t *state)
{
        uint64_t va, page = pick(state, SPACE_PAGES - 8), pages = 1 + pick(state, 8);
        uint32_t options;
        struct vmar_map_request map = {RW | VMAR_SPECIFIC_OVERWRITE, PAGES(page), PAGES(pages),
                                       {vmos[pick(state, 2)], RIGHTS_ALL},
                                       PAGES(pick(state, VMO_PAGES))};

        switch (pick(state, 4)) {
        case 0: case 1:
                note_status(TRIED(vmar_map(bed.root, &map, &va)), ZX_OK);
                break;
        case 2:
                note_status(TRIED(vmar_unmap(bed.root, va_of(page), PAGES(pages))), ZX_OK);
                break;
        default:
                options = pick(state, 2) ? RW : VMAR_PERM_READ;
                note_status(TRIED(vmar_protect(bed.root, options, va_of(page), PAGES(pages))),
                            ZX_ERR_NOT_FOUND);
        }
}

static void touch(uint64_t *state)
{
        uint64_t va = BED_BASE + PAGES(pick(state, SPACE_PAGES));
        uint32_t flags = pick(state, 2);
        zx_status_t status = TRIED(vmar_fault(&bed.space, va, flags));
        if (status != ZX_ERR_ACCESS_DENIED && status != ZX_ERR_OUT_OF_RANGE)
                note_status(status, ZX_ERR_NOT_FOUND);
}

static void take_back(uint64_t *state)
{
        struct vmo *vmo = vmos[pick(state, 2)];

        if (pick(state, 8) == 0)
                note_status(vmo_set_size(vmo, PAGES(pick(state, VMO_PAGES))), ZX_OK);
        note_status(vmo_set_size(vmo, PAGES(VMO_PAGES)), ZX_OK);
        /* Another thread may just have made the VMO smaller. */
        note_status(vmo_op_range(vmo, VMO_OP_DECOMMIT, PAGES(pick(state, VMO_PAGES)), PAGE_BYTES),
                    ZX_ERR_OUT_OF_RANGE);
}

static void *work(void *context)
{
        this_cpu = (uint32_t)(uintptr_t)context;
        uint64_t state = this_cpu + 1;

        for (unsigned i = 0; i < ROUNDS; i++) {
                if (this_cpu == 0)
                        change_tree(&state);
                else if (this_cpu == 1)
                        take_back(&state);
                else
                        touch(&state);
        }
        return NULL;
}

/* Everybody does everything. */
static void *work_at_all(void *context)
{
        this_cpu = (uint32_t)(uintptr_t)context;
        uint64_t state = this_cpu + 1;

        for (unsigned i = 0; i < ROUNDS / 4; i++) {
                change_tree(&state);
                touch(&state);
                if (i % 4 == 0)
                        take_back(&state);
        }
        return NULL;
}

static void run(struct test *t, void *(*body)(void *))
{
        bed_share = share;
        atomic_store(&wrongs, 0);
        bed_make(t);
        for (unsigned i = 0; i < 2; i++)
                REQUIRE_OK(vmo_create(&bed.pool, PAGES(VMO_PAGES), VMO_RESIZABLE, &vmos[i]));
        run_threads(t, THREADS, body);
        EXPECT_TRUE(vmar_valid(&bed.space));
        vmo_put(vmos[0]);
        vmo_put(vmos[1]);
        bed_end(t);
}

TEST(vmar_threads, map_fault_and_take_back)
{
        run(t, work);
}

TEST(vmar_threads, everybody_changes_the_tree)
{
        run(t, work_at_all);
}
