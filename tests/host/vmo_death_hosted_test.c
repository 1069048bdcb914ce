/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The bugs of others that slab, memory objects and their store must end: freeing twice, unpinning
 * what is not pinned, dropping what is in use. Every expected text is one of an ASSERT, which is in
 * release builds too. */
#include "tests/host/death.h"

#include "base/bytes.h"
#include "kernel/vmo_store.h"

#define BED_PAGES 40

static struct pmm pmm;
static struct vmo_pool pool;
static struct slab slab, other;
static struct vmo *vmo;
static struct vmo_store store;
static uint8_t *object;

static void ignore_unmap(struct vmo_mapping_link *mapping, uint64_t offset, uint64_t bytes)
{
}
static const struct vmo_mapping_ops ops = {ignore_unmap};
static struct vmo_mapping_link mapping;

static void make_bed(struct test *t)
{
        char *memory = world_pages(t, BED_PAGES, NULL);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, BED_PAGES * PAGE_BYTES));
        REQUIRE_OK(vmo_pool_init(&pool, &pmm));
        REQUIRE_OK(slab_init(&slab, "slab", &pmm, 200));
        REQUIRE_OK(slab_init(&other, "other", &pmm, 200));
        REQUIRE_OK(vmo_create(&pool, 4 * PAGE_BYTES, 0, &vmo));
        REQUIRE_OK(vmo_op_range(vmo, VMO_OP_COMMIT, 0, 4 * PAGE_BYTES));
        vmo_store_init(&store, "store");
        mapping = (struct vmo_mapping_link){.ops = &ops, .bytes = PAGE_BYTES};
        REQUIRE_TRUE((object = slab_alloc(&slab)) != NULL);
        REQUIRE_TRUE(slab_alloc(&slab) != NULL);
}

#define DEATH(name_, words_, ...)                                       \
        static void name_##_act(void)                                   \
        {                                                               \
                __VA_ARGS__                                             \
        }                                                               \
        TEST(vmo_death, name_)                                          \
        {                                                               \
                make_bed(t);                                            \
                expect_death(t, name_##_act, words_);                   \
        }                                                               \
        _Static_assert(sizeof(words_) > 1, "names the rule")

DEATH(slab_double_free, "BIT_MASK", slab_free(&slab, object); slab_free(&slab, object););
DEATH(slab_free_into_another, "header->slab == slab", slab_free(&other, object););
DEATH(slab_free_of_half_an_object, "objects_per_page", slab_free(&slab, object + 16););
DEATH(slab_free_of_its_header, "objects_per_page",
      slab_free(&slab, (void *)(uintptr_t)round_down((uintptr_t)object, PAGE_BYTES)););
DEATH(slab_free_behind_the_last_object, "objects_per_page",
      slab_free(&slab, object + slab.objects_per_page * slab.object_bytes););
DEATH(slab_free_of_what_is_no_object, "SLAB_PAGE_MAGIC", {
        struct vm_page *page;
        (void)!pmm_alloc_page(&pmm, 0, &page);
        slab_free(&slab, (uint8_t *)pmm_page_va(&pmm, page) + SLAB_PAGE_HEADER_BYTES);
});
DEATH(slab_free_of_null, "object != NULL", slab_free(&slab, NULL););
DEATH(slab_end_with_objects, "object_count == 0", slab_fini(&slab););

DEATH(pool_end_with_vmos, "object_count == 0", vmo_pool_fini(&pool););
DEATH(pool_end_with_a_vmo_without_pages, "object_count == 0", {
        (void)!vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, 4 * PAGE_BYTES);
        vmo_pool_fini(&pool);
});
DEATH(more_references_than_a_count_can_hold, "before != UINT32_MAX", {
        vmo->reference_count = UINT32_MAX;
        vmo_get(vmo);
});
DEATH(one_reference_too_many_given_back, "before != 0", vmo_put(vmo); vmo_put(vmo););
DEATH(reference_to_a_dead_vmo, "before != 0", vmo_put(vmo); vmo_get(vmo););
DEATH(last_reference_of_a_mapped_vmo, "mapping_count == 0", {
        vmo_add_mapping(vmo, &mapping);
        vmo_put(vmo);
        vmo_put(vmo);
});
DEATH(last_reference_of_a_pinned_vmo, "pinned_pages == 0", {
        (void)!vmo_pin(vmo, 0, PAGE_BYTES);
        vmo_put(vmo);
});
DEATH(unpin_without_pin, "vmo_page_pins", vmo_unpin(vmo, 0, PAGE_BYTES););
DEATH(unpin_once_too_often, "vmo_page_pins", {
        (void)!vmo_pin(vmo, 0, PAGE_BYTES);
        vmo_unpin(vmo, 0, PAGE_BYTES);
        vmo_unpin(vmo, 0, PAGE_BYTES);
});
DEATH(unpin_beyond_the_size, "vmo_range_is_in", vmo_unpin(vmo, 4 * PAGE_BYTES, PAGE_BYTES););
DEATH(unpin_of_half_a_page, "is_aligned", vmo_unpin(vmo, 1, PAGE_BYTES););
DEATH(unpin_of_a_page_that_is_not_there, "page != NULL", {
        (void)!vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, PAGE_BYTES);
        vmo_unpin(vmo, 0, PAGE_BYTES);
});
DEATH(unknown_page_flag, "VMO_PAGE_COMMIT", {
        uint64_t pa;
        (void)!vmo_get_page(vmo, 0, 4, &pa);
});
DEATH(mapping_without_ops, "link->ops", mapping.ops = NULL; vmo_add_mapping(vmo, &mapping););
DEATH(mapping_of_half_a_page, "is_aligned", mapping.bytes = 1; vmo_add_mapping(vmo, &mapping););
DEATH(change_of_a_link_on_no_list, "list_in_list", vmo_change_mapping(vmo, &mapping, 0, 0););
DEATH(removal_of_a_link_on_no_list, "list_in_list", vmo_remove_mapping(vmo, &mapping););
