/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/pmm: arenas, addresses, single pages, lists, states.
 *
 * A test bed is a pmm over pages of the world, at made-up physical addresses: page structures and
 * memory are real, so that a write to the wrong place is caught by the guard pages on the host. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/pmm.h"

#define BED_PA (1 * MIB)
#define BED_PAGES 130 /* three groups of page structures, the last one not full */

static struct pmm pmm;
static struct list_node list;

/* One arena of `page_count` pages at `pa`. */
static void make_bed(struct test *t, uint64_t pa, uint64_t page_count)
{
        char *memory = world_pages(t, page_count, NULL);
        list_init(&list);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - pa));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", pa, page_count * PAGE_BYTES));
}

/* Two arenas that touch at 4 GiB, `page_count` pages each. */
static void make_two_zones(struct test *t, uint64_t page_count)
{
        uint64_t pa = 4 * GIB - page_count * PAGE_BYTES;
        make_bed(t, pa, 2 * page_count); /* for the memory; made again in two */
        REQUIRE_OK(pmm_init(&pmm, pmm.physmap_base));
        REQUIRE_OK(pmm_add_arena(&pmm, "high", 4 * GIB, page_count * PAGE_BYTES));
        REQUIRE_OK(pmm_add_arena(&pmm, "low", pa, page_count * PAGE_BYTES));
}

static uint64_t own_pages(uint64_t page_count)
{
        return pmm_structure_bytes(page_count) / PAGE_BYTES;
}

static struct vm_page *page_of(struct list_node *node)
{
        return vm_page_from_node(node);
}

/* ---- arenas ---- */

TEST(pmm, init_wants_an_aligned_physmap)
{
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, pmm_init(&pmm, 8));
        EXPECT_OK(pmm_init(&pmm, 0xffff800000000000));
        EXPECT_EQ(pmm_count_free_pages(&pmm), 0);
        EXPECT_EQ(pmm_count_total_bytes(&pmm), 0);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, new_arena_is_free_but_for_its_structures)
{
        make_bed(t, BED_PA, BED_PAGES);
        EXPECT_EQ(own_pages(BED_PAGES), 2); /* 130 * 48 + 3 * 8 + 8 bytes */
        EXPECT_EQ(pmm_count_free_pages(&pmm), BED_PAGES - 2);
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_WIRED), 2);
        EXPECT_EQ(pmm_count_total_bytes(&pmm), BED_PAGES * PAGE_BYTES);
        EXPECT_TRUE(pmm_check_all(&pmm));
        EXPECT_EQ(vm_page_state(pmm_page_from_pa(&pmm, BED_PA)), VM_PAGE_FREE);
        EXPECT_EQ(vm_page_state(pmm_page_from_pa(&pmm, BED_PA + 127 * PAGE_BYTES)), VM_PAGE_FREE);
        EXPECT_EQ(vm_page_state(pmm_page_from_pa(&pmm, BED_PA + 128 * PAGE_BYTES)), VM_PAGE_WIRED);
        EXPECT_EQ(vm_page_state(pmm_page_from_pa(&pmm, BED_PA + 129 * PAGE_BYTES)), VM_PAGE_WIRED);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, adding_an_arena_writes_no_page_structure)
{
        enum { STALE = 0xaa };
        unsigned char *memory = world_pages(t, BED_PAGES, NULL);
        size_t structures_at = (BED_PAGES - own_pages(BED_PAGES)) * PAGE_BYTES, changed = 0;
        __builtin_memset(memory, STALE, BED_PAGES * PAGE_BYTES);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - BED_PA));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", BED_PA, BED_PAGES * PAGE_BYTES));
        for (size_t i = 0; i < BED_PAGES * PAGE_BYTES; i++)
                changed += memory[i] != STALE;
        /* The bits of three groups: set up or not, and runs of six orders. */
        EXPECT_EQ(changed, (1 + PMM_GROUP_PAGES_LOG2) * sizeof(uint64_t));

        /* What lay there before does not matter when they are set up. */
        struct vm_page *page;
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        EXPECT_PTR_EQ(page, memory + structures_at);
        EXPECT_EQ(page->loan_flags, 0);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, structures_can_lie_in_the_middle)
{
        char *memory = world_pages(t, BED_PAGES, NULL);
        struct pmm_arena_config config = {.name = "an arena with a long name",
                                          .pa = BED_PA,
                                          .bytes = BED_PAGES * PAGE_BYTES,
                                          .structures_pa = BED_PA + 63 * PAGE_BYTES};
        uint64_t count = 0;
        struct vm_page *page;
        struct pmm_arena_info info;
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - BED_PA));
        REQUIRE_OK(pmm_add_arena_at(&pmm, &config));
        __builtin_memset(&info, 0xff, sizeof(info));
        EXPECT_OK(pmm_arena_info(&pmm, 1, 0, &info, sizeof(info)));
        EXPECT_STR_EQ(info.name, "an arena with a"); /* cut */
        EXPECT_EQ(info.flags, 0);
        while (TRIED(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page)) == ZX_OK) {
                EXPECT_FALSE(page->pa == BED_PA + 63 * PAGE_BYTES ||
                             page->pa == BED_PA + 64 * PAGE_BYTES);
                __builtin_memset(pmm_page_va(&pmm, page), 0xff, PAGE_BYTES);
                count++;
        }
        EXPECT_EQ(count, BED_PAGES - 2);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, arenas_that_cannot_be_are_refused)
{
        struct pmm_arena_config outside = {.name = "", .pa = BED_PA, .bytes = 64 * PAGE_BYTES};
        make_bed(t, BED_PA, BED_PAGES);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, pmm_add_arena(&pmm, "", 1, PAGE_BYTES));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, pmm_add_arena(&pmm, "", 0, PAGE_BYTES + 1));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, pmm_add_arena(&pmm, "", 0, 0));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, pmm_add_arena(&pmm, "", -PAGE_BYTES, 2 * PAGE_BYTES));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_add_arena(&pmm, "", 0, PAGE_BYTES));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED,
                      pmm_add_arena(&pmm, "", 4 * GIB, (PMM_ARENA_PAGES_MAX + 1) * PAGE_BYTES));
        EXPECT_STATUS(ZX_ERR_ALREADY_EXISTS,
                      pmm_add_arena(&pmm, "", BED_PA - 4 * PAGE_BYTES, 5 * PAGE_BYTES));
        EXPECT_STATUS(
                ZX_ERR_ALREADY_EXISTS,
                pmm_add_arena(&pmm, "", BED_PA + (BED_PAGES - 1) * PAGE_BYTES, 5 * PAGE_BYTES));
        outside.pa = 0;
        outside.structures_pa = 64 * PAGE_BYTES;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, pmm_add_arena_at(&pmm, &outside));
        outside.structures_pa = 63 * PAGE_BYTES + 8;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, pmm_add_arena_at(&pmm, &outside));
        EXPECT_EQ(pmm.arena_count, 1);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, sixteen_arenas_and_no_more)
{
        enum { EACH = 4 };
        uint64_t bytes = EACH * PAGE_BYTES;
        struct vm_page *page;
        make_bed(t, BED_PA, (PMM_ARENA_COUNT_MAX + 1) * EACH);
        REQUIRE_OK(pmm_init(&pmm, pmm.physmap_base));
        for (uint64_t i = 0; i < PMM_ARENA_COUNT_MAX; i++) /* odd ones first */
                REQUIRE_OK(pmm_add_arena(&pmm, "", BED_PA + (i * 2 + 1) % 17 * bytes, bytes));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, pmm_add_arena(&pmm, "", BED_PA + 100 * bytes, bytes));
        for (uint32_t i = 1; i < PMM_ARENA_COUNT_MAX; i++)
                EXPECT_LT(pmm.arenas[i - 1].pa, pmm.arenas[i].pa);
        for (uint64_t i = 0; i < PMM_ARENA_COUNT_MAX * (EACH - 1); i++)
                REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, arena_info_rules)
{
        struct pmm_arena_info info[3];
        make_two_zones(t, 8);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pmm_arena_info(&pmm, 0, 0, info, sizeof(info)));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pmm_arena_info(&pmm, 1, 2, info, sizeof(info)));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pmm_arena_info(&pmm, 3, 0, info, sizeof(info)));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pmm_arena_info(&pmm, 2, 1, info, sizeof(info)));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pmm_arena_info(&pmm, SIZE_MAX, 1, info, sizeof(info)));
        EXPECT_STATUS(ZX_ERR_BUFFER_TOO_SMALL,
                      pmm_arena_info(&pmm, 2, 0, info, 2 * sizeof(info[0]) - 1));
        EXPECT_OK(pmm_arena_info(&pmm, 2, 0, info, 2 * sizeof(info[0])));
        EXPECT_STR_EQ(info[0].name, "low");
        EXPECT_EQ(info[0].base_pa, 4 * GIB - 8 * PAGE_BYTES);
        EXPECT_EQ(info[0].bytes, 8 * PAGE_BYTES);
        EXPECT_STR_EQ(info[1].name, "high");
        EXPECT_OK(pmm_arena_info(&pmm, 1, 1, info, sizeof(info[0])));
        EXPECT_EQ(info[0].base_pa, 4 * GIB);
}

/* ---- addresses ---- */

TEST(pmm, page_from_pa_at_the_edges)
{
        make_bed(t, BED_PA, BED_PAGES);
        EXPECT_PTR_EQ(pmm_page_from_pa(&pmm, BED_PA - 1), NULL);
        EXPECT_PTR_EQ(pmm_page_from_pa(&pmm, BED_PA + BED_PAGES * PAGE_BYTES), NULL);
        EXPECT_PTR_EQ(pmm_page_from_pa(&pmm, UINT64_MAX), NULL);
        struct vm_page *first = pmm_page_from_pa(&pmm, BED_PA);
        EXPECT_EQ(first->pa, BED_PA);
        EXPECT_PTR_EQ(pmm_page_from_pa(&pmm, BED_PA + PAGE_BYTES - 1), first);
        struct vm_page *last = pmm_page_from_pa(&pmm, BED_PA + BED_PAGES * PAGE_BYTES - 1);
        EXPECT_EQ(last->pa, BED_PA + (BED_PAGES - 1) * PAGE_BYTES);
        EXPECT_PTR_EQ(pmm_page_from_va(&pmm, (char *)pmm_page_va(&pmm, last) + 17), last);
        EXPECT_EQ((uint64_t)(uintptr_t)pmm_page_va(&pmm, first), BED_PA + pmm.physmap_base);
}

TEST(pmm, page_index_form)
{
        make_two_zones(t, 80);
        struct vm_page *page = pmm_page_from_pa(&pmm, 4 * GIB + 70 * PAGE_BYTES);
        uint32_t index = pmm_page_to_index(&pmm, page);
        EXPECT_EQ(index, ((70 + 1) << 4 | 1) << 3);
        EXPECT_PTR_EQ(pmm_index_to_page(&pmm, index), page);
        EXPECT_PTR_EQ(pmm_index_to_page(&pmm, index | 7), page);
        EXPECT_EQ(pmm_index_to_pa(&pmm, index), page->pa);
        EXPECT_EQ(pmm_page_to_index(&pmm, pmm_page_from_pa(&pmm, 4 * GIB - 80 * PAGE_BYTES)),
                  1 << 7);
        EXPECT_PTR_EQ(pmm_index_to_page(&pmm, PMM_INDEX_NONE), NULL);
        EXPECT_PTR_EQ(pmm_index_to_page(&pmm, (70 << 4 | 2) << 3), NULL); /* no such arena */
        EXPECT_PTR_EQ(pmm_index_to_page(&pmm, 81 << 7), NULL);            /* no such page */
        EXPECT_PTR_EQ(pmm_index_to_page(&pmm, UINT32_MAX), NULL);
}

/* ---- single pages ---- */

TEST(pmm, pages_come_in_ascending_order_at_first)
{
        make_bed(t, BED_PA, BED_PAGES);
        for (uint64_t i = 0; i < BED_PAGES - 2; i++) {
                struct vm_page *page;
                REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
                EXPECT_EQ(page->pa, BED_PA + i * PAGE_BYTES);
                EXPECT_EQ(vm_page_state(page), VM_PAGE_ALLOC);
                EXPECT_FALSE(list_in_list(&page->list));
        }
        EXPECT_EQ(pmm_count_free_pages(&pmm), 0);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, freed_page_is_the_next_one)
{
        struct vm_page *a, *b, *again;
        make_bed(t, BED_PA, BED_PAGES);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &a));
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &b));
        pmm_free_page(&pmm, a);
        pmm_free_page(&pmm, b);
        EXPECT_EQ(vm_page_state(b), VM_PAGE_FREE);
        EXPECT_EQ(pmm_count_free_pages(&pmm), BED_PAGES - 2);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &again));
        EXPECT_PTR_EQ(again, b);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &again));
        EXPECT_PTR_EQ(again, a);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, freed_list_keeps_its_order)
{
        uint64_t pas[3], i = 0;
        make_bed(t, BED_PA, BED_PAGES);
        REQUIRE_OK(pmm_alloc_pages(&pmm, 3, PMM_ALLOC_ANY, &list));
        LIST_FOR_EACH(node, &list)
                pas[i++] = page_of(node)->pa;
        pmm_free(&pmm, &list);
        EXPECT_TRUE(list_is_empty(&list));
        for (i = 0; i < 3; i++) {
                struct vm_page *page;
                REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
                EXPECT_EQ(page->pa, pas[i]);
        }
        pmm_free(&pmm, &list); /* empty */
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, empty_is_no_memory_and_is_recorded_once)
{
        struct vm_page *page = NULL;
        make_bed(t, BED_PA, 8);
        REQUIRE_OK(pmm_alloc_pages(&pmm, 7, PMM_ALLOC_ANY, &list));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_page(&pmm, PMM_ALLOC_CAN_WAIT, &page));
        EXPECT_PTR_EQ(page, NULL);
        EXPECT_TRUE(pmm.first_failure.happened);
        EXPECT_EQ(pmm.first_failure.page_count, 1);
        EXPECT_EQ(pmm.first_failure.free_pages, 0);
        pmm_free(&pmm, &list);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_pages(&pmm, 8, PMM_ALLOC_ANY, &list));
        EXPECT_EQ(pmm.first_failure.page_count, 1);
        EXPECT_EQ(pmm.statistics.allocation_failures, 3);
}

TEST(pmm, alloc_pages_is_all_or_nothing)
{
        make_bed(t, BED_PA, 10);
        EXPECT_OK(pmm_alloc_pages(&pmm, 0, PMM_ALLOC_ANY, &list));
        EXPECT_TRUE(list_is_empty(&list));
        REQUIRE_OK(pmm_alloc_pages(&pmm, 1, PMM_ALLOC_ANY, &list));
        REQUIRE_OK(pmm_alloc_pages(&pmm, 2, PMM_ALLOC_ANY, &list));
        EXPECT_EQ(page_of(list.next)->pa, BED_PA); /* appended at the tail */
        EXPECT_EQ(page_of(list.prev)->pa, BED_PA + 2 * PAGE_BYTES);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_pages(&pmm, 7, PMM_ALLOC_ANY, &list));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_pages(&pmm, SIZE_MAX, PMM_ALLOC_ANY, &list));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, pmm_alloc_pages(&pmm, 7, PMM_ALLOC_CAN_WAIT, &list));
        EXPECT_EQ(list_count(&list), 3);
        EXPECT_EQ(pmm_count_free_pages(&pmm), 6);
        EXPECT_OK(pmm_alloc_pages(&pmm, 6, PMM_ALLOC_ANY, &list));
        EXPECT_EQ(list_count(&list), 9);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, high_memory_goes_first_and_low_is_kept_for_lo_mem)
{
        struct vm_page *page;
        make_two_zones(t, 8); /* seven free pages in each */
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        EXPECT_EQ(page->pa, 4 * GIB);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_LO_MEM, &page));
        EXPECT_EQ(page->pa, 4 * GIB - 8 * PAGE_BYTES);
        REQUIRE_OK(
                pmm_alloc_pages(&pmm, 8, PMM_ALLOC_ANY, &list)); /* six high ones, two low ones */
        EXPECT_EQ(page_of(list.next)->pa, 4 * GIB + PAGE_BYTES);
        EXPECT_EQ(page_of(list.prev)->pa, 4 * GIB - 6 * PAGE_BYTES);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_pages(&pmm, 5, PMM_ALLOC_LO_MEM, &list));
        EXPECT_OK(pmm_alloc_pages(&pmm, 4, PMM_ALLOC_LO_MEM, &list));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_page(&pmm, PMM_ALLOC_LO_MEM, &page));
        pmm_free(&pmm, &list);
        EXPECT_EQ(pmm.free_in_zone[PMM_ZONE_LOW], 6);
        EXPECT_EQ(pmm.free_in_zone[PMM_ZONE_HIGH], 6);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, an_arena_across_4_gib_counts_as_high)
{
        struct vm_page *page;
        make_bed(t, 4 * GIB - 4 * PAGE_BYTES, 8);
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_page(&pmm, PMM_ALLOC_LO_MEM, &page));
        EXPECT_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
}

/* ---- states ---- */

TEST(pmm, states_are_counted_exactly)
{
        struct vm_page *page;
        make_bed(t, BED_PA, BED_PAGES);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        __builtin_memset(&page->use, 0xff, sizeof(page->use));
        for (unsigned state = VM_PAGE_ALLOC; state < VM_PAGE_FREE_LOANED; state++) {
                if (state == VM_PAGE_WIRED)
                        continue;
                pmm_set_state(&pmm, page, (enum vm_page_state)state);
                EXPECT_EQ(vm_page_state(page), state);
                EXPECT_EQ(pmm_count_state(&pmm, (enum vm_page_state)state), 1);
                EXPECT_TRUE(pmm_check_all(&pmm));
                if (state == VM_PAGE_OBJECT) {
                        EXPECT_PTR_EQ(page->use.object.owner, NULL);
                        EXPECT_EQ(page->use.object.bits, 0);
                }
        }
        pmm_set_state(&pmm, page, VM_PAGE_OBJECT);
        page->use.object.share_count = 5;
        pmm_set_state(&pmm, page, VM_PAGE_OBJECT); /* is so already: nothing is cleared */
        EXPECT_EQ(page->use.object.share_count, 5);
        pmm_set_state(&pmm, page, VM_PAGE_ALLOC);
        EXPECT_EQ(page->use.object.share_count, 5); /* what it says no longer counts */
        pmm_set_state(&pmm, page, VM_PAGE_WIRED);
        EXPECT_EQ(pmm_count_state(&pmm, VM_PAGE_WIRED), 3);
        pmm_unwire_page(&pmm, page);
        EXPECT_EQ(vm_page_state(page), VM_PAGE_ALLOC);
        pmm_free_page(&pmm, page);
        EXPECT_EQ(pmm_count_free_pages(&pmm), BED_PAGES - 2);
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, every_state_has_a_name)
{
        EXPECT_STR_EQ(vm_page_state_name(VM_PAGE_FREE), "free");
        EXPECT_STR_EQ(vm_page_state_name(VM_PAGE_IPC), "ipc");
        EXPECT_STR_EQ(vm_page_state_name(VM_PAGE_STATE_COUNT), "?");
        for (unsigned state = 0; state < VM_PAGE_STATE_COUNT; state++)
                EXPECT_TRUE(vm_page_state_name((enum vm_page_state)state)[0] != '?');
}

/* check_all must notice: each of these is put right again at once. */
TEST(pmm, check_all_sees_a_wrong_count_a_wrong_state_and_a_wrong_bit)
{
        struct vm_page *page;
        make_bed(t, BED_PA, BED_PAGES);
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        EXPECT_TRUE(pmm_check_all(&pmm));
        pmm.state_count[VM_PAGE_IPC]++;
        EXPECT_FALSE(pmm_valid(&pmm));
        EXPECT_FALSE(pmm_check_all(&pmm));
        pmm.state_count[VM_PAGE_ALLOC]--; /* the sum is right, the states are not */
        EXPECT_TRUE(pmm_valid(&pmm));
        EXPECT_FALSE(pmm_check_all(&pmm));
        pmm.state_count[VM_PAGE_IPC]--;
        pmm.state_count[VM_PAGE_ALLOC]++;
        pmm.arenas[0].free_words[0] |= 1;
        EXPECT_FALSE(pmm_check_all(&pmm));
        pmm.arenas[0].free_words[0] &= ~1ull;
        pmm.free_in_zone[PMM_ZONE_HIGH]++;
        pmm.free_in_zone[PMM_ZONE_LOW]--;
        EXPECT_FALSE(pmm_check_all(&pmm));
        pmm.free_in_zone[PMM_ZONE_HIGH]--;
        pmm.free_in_zone[PMM_ZONE_LOW]++;
        page->pa++;
        EXPECT_FALSE(pmm_check_all(&pmm));
        page->pa--;
        EXPECT_TRUE(pmm_check_all(&pmm));
}

TEST(pmm, waiting_is_no_failure_and_the_first_failure_says_its_size)
{
        struct vm_page *page;
        make_bed(t, BED_PA, 10); /* nine are free */
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, pmm_alloc_pages(&pmm, 10, PMM_ALLOC_CAN_WAIT, &list));
        EXPECT_EQ(pmm.statistics.delayed_allocations, 1);
        EXPECT_EQ(pmm.statistics.allocation_failures, 0);
        EXPECT_FALSE(pmm.first_failure.happened);
        REQUIRE_OK(pmm_alloc_pages(&pmm, 4, PMM_ALLOC_ANY, &list));
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, pmm_alloc_pages(&pmm, 6, PMM_ALLOC_ANY, &list));
        EXPECT_EQ(pmm.first_failure.page_count, 6);
        EXPECT_EQ(pmm.first_failure.free_pages, 5);
        REQUIRE_OK(pmm_alloc_pages(&pmm, 5, PMM_ALLOC_ANY, &list));
        pmm.wait_state = PMM_WAIT_UNTIL_RESET;
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, pmm_alloc_page(&pmm, PMM_ALLOC_CAN_WAIT, &page));
        EXPECT_EQ(pmm.statistics.allocation_failures, 1);
}
