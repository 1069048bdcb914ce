/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The bugs of others that regions, their managers and mappers must end: closing what is not theirs,
 * giving back twice, taking a region away under its owner or under a mapper. Every expected text is
 * one of an ASSERT, which is in release builds too.
 *
 * Destroying the root is no such bug: vmar_test.c has its status. */
#pragma GCC diagnostic ignored "-Wsign-compare"
#include "tests/host/death.h"

#include "kernel/vmo_mapper.h"
#include "tests/host/vmar_bed.h"

#define IGNORE(call)                        \
        do {                                \
                zx_status_t status_ = call; \
                (void)status_;              \
        } while (0)

static struct vmar_home home;
static struct vmar_handle region, copy; /* of the root; pages 0 to 8 */
static struct vmar_manager *owner;      /* of pages 8 to 16 */
static struct vmar_manager *user;       /* of `region` */
static struct vmo_mapper mapper;        /* of a page, in nothing yet */

static void make_bed(struct test *t)
{
        bed_make(t);
        REQUIRE_OK(vmar_home_init(&home, bed.root, &bed.pool));
        REQUIRE_OK(bed_region_at(bed.root, 0, 8, &region));
        REQUIRE_OK(vmar_manager_create(&home, &(struct vmar_manager_request){
                PAGES(8), NULL, VMAR_MANAGER_OPTIONS_DEFAULT}, &owner));
        REQUIRE_OK(vmar_manager_use(&home, region, &user));
        vmo_mapper_init(&mapper, &home);
}

static void map_in(struct vmar_manager *manager)
{
        IGNORE(vmo_mapper_create_and_map(&mapper, &(struct vmo_mapper_create){
                .bytes = 1, .map_options = RW, .manager = manager, .rights = RIGHT_SAME}, NULL));
}

#define DEATH(name_, words_, ...)                                       \
        static void name_##_act(void)                                   \
        {                                                               \
                __VA_ARGS__                                             \
        }                                                               \
        TEST(vmar_death, name_)                                         \
        {                                                               \
                make_bed(t);                                            \
                expect_death(t, name_##_act, words_);                   \
        }                                                               \
        _Static_assert(sizeof(words_) > 1, "names the rule")

/* ---- spaces and handles ---- */

DEATH(root_closed, "!vmar->alive", vmar_close(bed.root););
DEATH(region_closed_twice, "!vmar->alive", vmar_manager_put(user); vmar_close(region);
      vmar_close(region););
DEATH(dead_region_closed_twice, "before != 0", vmar_manager_put(user); IGNORE(vmar_destroy(region));
      vmar_close(region); vmar_close(region););
DEATH(duplicate_of_a_handle_that_was_closed, "before != 0", {
        vmar_manager_put(user);
        IGNORE(vmar_destroy(region));
        vmar_close(region);
        IGNORE(vmar_duplicate(region, RIGHT_SAME, &copy));
});
DEATH(space_end_with_an_open_handle, "object_count == 0", vmar_manager_put(user);
      vmar_manager_put(owner); vmar_space_fini(&bed.space););
DEATH(space_end_with_a_dead_regions_handle, "object_count == 0", vmar_manager_put(user);
      vmar_manager_put(owner); IGNORE(vmar_destroy(region)); vmar_space_fini(&bed.space););
DEATH(space_end_twice, "root != NULL", vmar_manager_put(user); vmar_manager_put(owner);
      vmar_close(region); vmar_space_fini(&bed.space); vmar_space_fini(&bed.space););

/* ---- managers ---- */

DEATH(manager_put_twice, "before != 0", vmar_manager_put(owner); vmar_manager_put(owner););
DEATH(user_put_twice, "before != 0", vmar_manager_put(user); vmar_manager_put(user););
DEATH(reference_to_a_manager_that_is_gone, "before != 0", vmar_manager_put(owner);
      vmar_manager_get(owner););
DEATH(mapper_of_a_manager_that_is_gone, "before != 0", vmar_manager_put(user);
      map_in(user););
DEATH(owned_region_destroyed_elsewhere, "status == ZX_OK", IGNORE(vmar_destroy(owner->region));
      vmar_manager_put(owner););
DEATH(owned_region_unmapped_from_above, "status == ZX_OK",
      IGNORE(vmar_unmap(bed.root, va_of(8), PAGES(8))); vmar_manager_put(owner););
DEATH(owned_region_closed_elsewhere, "before != 0", vmar_close(owner->region);
      vmar_manager_put(owner););
DEATH(owned_region_in_one_that_was_destroyed, "status == ZX_OK", {
        struct vmar_manager *child;
        IGNORE(vmar_manager_create(&home, &(struct vmar_manager_request){
                PAGES(1), user, VMAR_MANAGER_OPTIONS_DEFAULT}, &child));
        IGNORE(vmar_destroy(region));
        vmar_manager_put(child);
});
DEATH(home_end_with_a_manager, "object_count == 0", vmar_manager_put(owner);
      vmar_home_fini(&home););
DEATH(home_end_with_a_mapper, "object_count == 0", map_in(owner); vmar_manager_put(owner);
      vmar_manager_put(user); vmar_home_fini(&home););

/* ---- mappers ---- */

DEATH(used_region_destroyed_under_a_mapper, "status == ZX_OK", map_in(user);
      IGNORE(vmar_destroy(region)); vmo_mapper_unmap(&mapper););
DEATH(owned_region_destroyed_under_a_mapper, "status == ZX_OK", map_in(owner);
      IGNORE(vmar_destroy(owner->region)); vmo_mapper_fini(&mapper););
DEATH(region_destroyed_under_a_mapper_that_gets_another, "status == ZX_OK", {
        struct vmo_mapper other;
        vmo_mapper_init(&other, &home);
        map_in(user);
        IGNORE(vmar_destroy(region));
        vmo_mapper_move(&mapper, &other);
});
