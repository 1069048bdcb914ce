/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm_checker — fills free pages with a pattern and looks whether it is still there; and delayed
 * reuse, by which it has longer to look.
 *
 * Finds whoever writes to a page after it was freed. Facts: spec/zircon-objects.md, 2.4, 2.8. */
#include "kernel/pmm.h"
#include "kernel/pmm_internal.h"

#define WORD_BYTES sizeof(uint64_t)
#define PATTERN_WORD (0x0101010101010101ull * PMM_CHECKER_PATTERN)

bool pmm_checker_fill_bytes_valid(uint64_t fill_bytes)
{
        return fill_bytes >= WORD_BYTES && fill_bytes <= PAGE_BYTES &&
               is_aligned(fill_bytes, WORD_BYTES);
}

bool pmm_checker_enable(struct pmm *pmm, const struct pmm_checker_config *config)
{
        ASSERT(pmm_checker_fill_bytes_valid(config->fill_bytes));
        ASSERT(config->report != NULL);
        pmm_lock(pmm);
        bool first = !pmm->checker.enabled;
        if (first) {
                pmm->checker.fill_bytes = config->fill_bytes;
                pmm->checker.panic = config->panic;
                pmm->checker.report = config->report;
                pmm->checker.context = config->context;
                pmm->checker.enabled = true;
                pmm->free_late = true;
        }
        pmm_unlock(pmm);
        return first;
}

void pmm_checker_fill(struct pmm *pmm, struct vm_page *page)
{
        memset(pmm_page_va(pmm, page), PMM_CHECKER_PATTERN, pmm->checker.fill_bytes);
}

void pmm_add_tail(struct pmm *pmm, const struct pmm_arena *arena, struct vm_page *page)
{
        struct list_node *list = &pmm->free_list[arena->zone];
        if (pmm->checker.enabled)
                pmm_checker_fill(pmm, page);
        if (list_is_empty(list) && pmm->free_in_zone[arena->zone] != 0)
                pmm_set_up_next_group(pmm, arena->zone);
        list_add_tail(list, &page->list);
}

void pmm_free_late(struct pmm *pmm, struct list_node *list)
{
        struct list_node reversed, *node; /* pmm_free_locked begins with the last */
        list_init(&reversed);
        while ((node = list_remove_head(list)) != NULL)
                list_add_head(&reversed, node);
        pmm_lock(pmm);
        pmm->free_late = true;
        pmm_free_locked(pmm, &reversed);
        pmm->free_late = pmm->checker.enabled;
        pmm_signal_after_free(pmm);
        pmm_unlock(pmm);
}

/* Under the lock. */
static void arm(struct pmm *pmm)
{
        for (unsigned zone = 0; zone < PMM_ZONE_COUNT; zone++) {
                LIST_FOR_EACH(node, &pmm->free_list[zone])
                        pmm_checker_fill(pmm, vm_page_from_node(node));
        }
        pmm->checker.armed = true; /* from here on pmm_set_up_group fills */
        for (uint32_t i = 0; i < pmm->arena_count; i++) {
                struct pmm_arena *arena = &pmm->arenas[i];
                for (uint64_t group = 0; group < pmm_arena_groups(arena); group++) {
                        if (!pmm_group_is_set_up(arena, group))
                                pmm_set_up_group(pmm, arena, group);
                }
        }
}

void pmm_checker_arm(struct pmm *pmm)
{
        ASSERT(pmm->checker.enabled);
        pmm_lock(pmm);
        if (!pmm->checker.armed)
                arm(pmm);
        pmm_unlock(pmm);
}

bool pmm_checker_verify(struct pmm *pmm, const struct vm_page *page)
{
        const struct pmm_checker *checker = &pmm->checker;
        const uint64_t *words = pmm_page_va(pmm, page);
        for (size_t i = 0; i < checker->fill_bytes / WORD_BYTES; i++) {
                if (LIKELY(words[i] == PATTERN_WORD))
                        continue;
                uint64_t difference = words[i] ^ PATTERN_WORD;
                struct pmm_checker_report report = {
                        .page = page,
                        .va = words,
                        .fill_bytes = checker->fill_bytes,
                        .first_bad_byte = i * WORD_BYTES + (size_t)__builtin_ctzll(difference) / 8,
                        .panic = checker->panic,
                };
                pmm->checker.failure_count++;
                checker->report(checker->context, &report);
                return false;
        }
        return true;
}

uint64_t pmm_checker_check_all(struct pmm *pmm)
{
        if (!pmm->checker.armed)
                return 0;
        uint64_t bad_count = 0, free_count = 0;
        pmm_lock(pmm);
        for (unsigned zone = 0; zone < PMM_ZONE_COUNT; zone++) {
                LIST_FOR_EACH(node, &pmm->free_list[zone])
                {
                        bad_count += !pmm_checker_verify(pmm, vm_page_from_node(node));
                        free_count++;
                        /* Ends also if the list is a ring that never comes back to its head. */
                        ASSERT(free_count <= pmm_count_free_pages(pmm));
                }
        }
        bool all_set_up = true;
        for (uint32_t i = 0; i < pmm->arena_count && all_set_up; i++) {
                struct pmm_arena *arena = &pmm->arenas[i];
                for (uint64_t group = 0; group < pmm_arena_groups(arena) && all_set_up; group++)
                        all_set_up = pmm_group_is_set_up(arena, group);
        }
        /* Not all are set up only if an arena was added after arming. */
        ASSERT(!all_set_up || free_count == pmm_count_free_pages(pmm));
        pmm_unlock(pmm);
        return bad_count;
}
