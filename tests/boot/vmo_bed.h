/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmo_bed — a small pmm with a VMO pool for tests, and the fault sweep.
 *
 *   SWEPT_TEST(vmo, write_makes_pages)
 *   {
 *           struct vmo *vmo;
 *           TRY(bed_vmo(PAGE_BYTES, 0, &vmo));          // belongs to the bed: put when the body
 *           has ended TRY(vmo_write(vmo, "x", 0, 1));
 *           EXPECT_EQ(vmo_committed_pages(vmo), 1);
 *           return ZX_OK;
 *   }
 *
 * The body runs once with memory enough, and then once for each n with only n pages free, until one
 * passes: so every page allocation in it is refused once. TRY ends the body when memory is short.
 * After each run, short or not: all VMOs are valid, the pmm's counts of pages fit what the VMOs
 * say, and after the bed has taken everything back every page is free again. */
#ifndef TESTS_BOOT_VMO_BED_H
#define TESTS_BOOT_VMO_BED_H

#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/vmo.h"

#define BED_PAGES 64
#define BED_VMOS_MAX 40
#define BED_PINS_MAX 40
#define BED_BASE_PA (3 * MIB)

struct vmo_bed {
        struct pmm pmm;
        struct vmo_pool pool;
        struct list_node taken;
        uint64_t free_pages; /* when nothing is made */
        bool sweeping;
        struct vmo *vmos[BED_VMOS_MAX];
        unsigned vmo_count;
        struct {
                struct vmo *vmo;
                uint64_t offset, bytes;
        } pins[BED_PINS_MAX];
        unsigned pin_count;
        /* what a body has beyond that; set by it, before anything can fail */
        void (*clean_up)(void);
};
static struct vmo_bed bed;

#define TRY(expression)                                                 \
        do {                                                            \
                zx_status_t tried_ = TRIED(expression);                    \
                if (tried_ == ZX_ERR_NO_MEMORY && bed.sweeping)         \
                        return tried_;                                  \
                if (!EXPECT_OK(tried_))                                 \
                        return tried_;                                  \
        } while (0)

static inline zx_status_t bed_keep(zx_status_t status, struct vmo *const *vmo)
{
        if (status == ZX_OK)
                bed.vmos[bed.vmo_count++] = *vmo;
        return status;
}

static inline zx_status_t MUST_CHECK bed_vmo(uint64_t size, uint32_t options, struct vmo **vmo)
{
        return bed_keep(vmo_create(&bed.pool, size, options, vmo), vmo);
}

static inline zx_status_t MUST_CHECK bed_contiguous(uint64_t size, uint32_t align, struct vmo **vmo)
{
        return bed_keep(vmo_create_contiguous(&bed.pool, size, align, vmo), vmo);
}

static inline zx_status_t MUST_CHECK bed_physical(uint64_t pa, uint64_t size, struct vmo **vmo)
{
        return bed_keep(vmo_create_physical(&bed.pool, pa, size, vmo), vmo);
}

/* A pin that the bed takes off again. */
static inline zx_status_t MUST_CHECK bed_pin(struct vmo *vmo, uint64_t offset, uint64_t bytes)
{
        zx_status_t status = vmo_pin(vmo, offset, bytes);
        if (status == ZX_OK) {
                bed.pins[bed.pin_count].vmo = vmo;
                bed.pins[bed.pin_count].offset = offset;
                bed.pins[bed.pin_count++].bytes = bytes;
        }
        return status;
}

static inline uint64_t bed_free(void)
{
        return pmm_count_free_pages(&bed.pmm);
}

/* All that was made is consistent, with itself and with the pmm. */
static inline void bed_expect_valid(struct test *t)
{
        uint64_t committed = 0;
        for (unsigned i = 0; i < bed.vmo_count; i++) {
                EXPECT_TRUE(vmo_valid(bed.vmos[i]));
                committed += vmo_committed_pages(bed.vmos[i]);
        }
        EXPECT_EQ(pmm_count_state(&bed.pmm, VM_PAGE_OBJECT), committed);
        EXPECT_EQ(pmm_count_state(&bed.pmm, VM_PAGE_SLAB),
                  slab_counts(&bed.pool.vmos).pages + slab_counts(&bed.pool.nodes).pages);
        EXPECT_TRUE(slab_valid(&bed.pool.vmos));
        EXPECT_TRUE(slab_valid(&bed.pool.nodes));
        EXPECT_TRUE(pmm_valid(&bed.pmm));
}

/* What holds in the middle of a body, too. */
static inline void bed_expect_each_valid(struct test *t)
{
        for (unsigned i = 0; i < bed.vmo_count; i++)
                EXPECT_TRUE(vmo_valid(bed.vmos[i]));
        EXPECT_TRUE(slab_valid(&bed.pool.vmos));
        EXPECT_TRUE(slab_valid(&bed.pool.nodes));
}

static inline void bed_run_once(struct test *t, zx_status_t (*body)(struct test *t),
                                zx_status_t *status)
{
        bed.vmo_count = bed.pin_count = 0;
        bed.clean_up = NULL;
        *status = body(t);
        bed_expect_valid(t);
        if (bed.clean_up != NULL)
                bed.clean_up();
        for (unsigned i = 0; i < bed.pin_count; i++)
                vmo_unpin(bed.pins[i].vmo, bed.pins[i].offset, bed.pins[i].bytes);
        for (unsigned i = 0; i < bed.vmo_count; i++)
                vmo_put(bed.vmos[i]);
        bed.vmo_count = bed.pin_count = 0;
        pmm_free(&bed.pmm, &bed.taken);
        EXPECT_EQ(bed_free(), bed.free_pages);
        EXPECT_TRUE(pmm_check_all(&bed.pmm));
}

static inline void bed_run(struct test *t, zx_status_t (*body)(struct test *t))
{
        zx_status_t status;
        char *memory = world_pages(t, BED_PAGES, NULL);
        list_init(&bed.taken);
        bed.vmo_count = 0;
        REQUIRE_OK(pmm_init(&bed.pmm, (uint64_t)(uintptr_t)memory - BED_BASE_PA));
        REQUIRE_OK(pmm_add_arena(&bed.pmm, "bed", BED_BASE_PA, BED_PAGES * PAGE_BYTES));
        REQUIRE_OK(vmo_pool_init(&bed.pool, &bed.pmm));
        bed.free_pages = bed_free();
        bed.sweeping = false;
        ON_REFUSAL(bed_expect_each_valid);
        bed_run_once(t, body, &status);
        if (!EXPECT_OK(status))
                return;
        bed.sweeping = true;
        for (uint64_t n = 0; n < bed.free_pages && !test_has_failed(t); n++) {
                REQUIRE_OK(pmm_alloc_pages(&bed.pmm, bed.free_pages - n, PMM_ALLOC_ANY,
                                           &bed.taken));
                bed_run_once(t, body, &status);
                if (status == ZX_OK)
                        break;
                EXPECT_STATUS(ZX_ERR_NO_MEMORY, status);
        }
        EXPECT_OK(status); /* enough was enough at last */
        vmo_pool_fini(&bed.pool);
}

#define SWEPT_TEST(suite_, name_)                                               \
        static zx_status_t suite_##_##name_##_body_(struct test *t);            \
        TEST(suite_, name_)                                                     \
        {                                                                       \
                bed_run(t, suite_##_##name_##_body_);                           \
        }                                                                       \
        static zx_status_t suite_##_##name_##_body_(struct test *t)

/* Byte i of the pattern that tests write. */
static inline uint8_t bed_byte(uint64_t i)
{
        return (uint8_t)(i * 167 + i / 251 + 1);
}

#endif
