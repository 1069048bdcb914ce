/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* One space and two VMOs from several threads at once: mapping, cutting and protecting, faulting,
 * and VMOs that take pages back. Under AddressSanitizer and, above all, under ThreadSanitizer; what
 * must come out is a valid space, a table without foreign pages, and every page back. */
#pragma GCC diagnostic ignored "-Wsign-compare"
#include <pthread.h>
#include <stdatomic.h>

#include "tests/host/vmar_bed.h"

#define THREADS 4
#define ROUNDS 20000
#define SPACE_PAGES 64u
#define VMO_PAGES 16u

static struct pmm_state_counts counts[THREADS + 1];
static _Thread_local uint32_t this_cpu;
static struct vmo *vmos[2];
static atomic_uint wrongs;

static uint32_t current_cpu(void)
{
        return this_cpu;
}

static void share(struct pmm *pmm)
{
        pmm_set_cpus(pmm, counts, THREADS + 1, current_cpu);
}

static uint32_t pick(uint64_t *state, uint32_t bound)
{
        *state = *state * 6364136223846793005ull + 1442695040888963407ull;
        return (uint32_t)(((*state >> 33) * bound) >> 31);
}

static void note(zx_status_t status, zx_status_t other)
{
        if (status != ZX_OK && status != other)
                atomic_fetch_add(&wrongs, 1);
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
                note(TRIED(vmar_map(bed.root, &map, &va)), ZX_OK);
                break;
        case 2:
                note(TRIED(vmar_unmap(bed.root, BED_BASE + PAGES(page), PAGES(pages))), ZX_OK);
                break;
        default:
                options = pick(state, 2) ? RW : VMAR_PERM_READ;
                note(TRIED(vmar_protect(bed.root, options, BED_BASE + PAGES(page), PAGES(pages))),
                     ZX_ERR_NOT_FOUND);
        }
}

static void touch(uint64_t *state)
{
        uint64_t va = BED_BASE + PAGES(pick(state, SPACE_PAGES));
        uint32_t flags = pick(state, 2);
        zx_status_t status = TRIED(vmar_fault(&bed.space, va, flags));
        if (status != ZX_ERR_ACCESS_DENIED && status != ZX_ERR_OUT_OF_RANGE)
                note(status, ZX_ERR_NOT_FOUND);
}

static void take_back(uint64_t *state)
{
        struct vmo *vmo = vmos[pick(state, 2)];

        if (pick(state, 8) == 0)
                note(vmo_set_size(vmo, PAGES(pick(state, VMO_PAGES))), ZX_OK);
        note(vmo_set_size(vmo, PAGES(VMO_PAGES)), ZX_OK);
        note(vmo_op_range(vmo, VMO_OP_DECOMMIT, PAGES(pick(state, VMO_PAGES)), PAGE_BYTES), ZX_OK);
}

static void *work(void *context)
{
        uint64_t state = this_cpu = (uint32_t)(uintptr_t)context;

        for (unsigned i = 0; i < ROUNDS; i++) {
                if (this_cpu == 1)
                        change_tree(&state);
                else if (this_cpu == 2)
                        take_back(&state);
                else
                        touch(&state);
        }
        return NULL;
}

TEST(vmar_threads, map_fault_and_take_back)
{
        pthread_t threads[THREADS];

        bed_share = share;
        bed_make(t);
        atomic_store(&wrongs, 0);
        for (unsigned i = 0; i < 2; i++)
                REQUIRE_OK(vmo_create(&bed.pool, PAGES(VMO_PAGES), VMO_RESIZABLE, &vmos[i]));
        for (uintptr_t i = 0; i < THREADS; i++)
                REQUIRE_EQ(pthread_create(&threads[i], NULL, work, (void *)(i + 1)), 0);
        for (unsigned i = 0; i < THREADS; i++)
                REQUIRE_EQ(pthread_join(threads[i], NULL), 0);
        EXPECT_EQ(atomic_load(&wrongs), 0u);
        EXPECT_TRUE(vmar_valid(&bed.space));
        vmo_put(vmos[0]);
        vmo_put(vmos[1]);
        bed_end(t);
}
