/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The bugs of others that the memory parts must end: double frees, foreign pages, wrong
 * states, broken canaries. Each is made in a child process, which must die in an
 * assertion that names the rule.
 *
 * Every expected text is one of an ASSERT, which is in release builds too. */
#include "tests/host/death.h"

#include "base/bytes.h"
#include "kernel/buffer_chain.h"

#define FREE_PAGES 20
#define IGNORE(status) (void)!(status)

static struct pmm pmm;
static struct page_cache cache;
static struct vm_page *page;
static struct list_node list;
static struct buffer_chain *chain;

static void make_bed(struct test *t)
{
        static struct page_cache_entry entry;
        struct page_cache_config config = {&pmm, 4, 1, &entry, NULL};
        char *memory = world_pages(t, FREE_PAGES + 1, NULL);
        list_init(&list);
        REQUIRE_OK(pmm_init(&pmm, (uint64_t)(uintptr_t)memory - MIB));
        REQUIRE_OK(pmm_add_arena(&pmm, "bed", MIB, (FREE_PAGES + 1) * PAGE_BYTES));
        REQUIRE_OK(page_cache_init(&cache, &config));
        REQUIRE_OK(pmm_alloc_page(&pmm, PMM_ALLOC_ANY, &page));
        REQUIRE_OK(buffer_chain_alloc(&cache, 2 * BUFFER_CHAIN_RAW_DATA_BYTES, &chain));
}

#define DEATH(name_, words_, ...)                                       \
        static void name_##_act(void)                                   \
        {                                                               \
                __VA_ARGS__                                             \
        }                                                               \
        TEST(memory_death, name_)                                       \
        {                                                               \
                make_bed(t);                                            \
                expect_death(t, name_##_act, words_);                   \
        }                                                               \
        _Static_assert(sizeof(words_) > 1, "names the rule")

DEATH(double_free, "FREEABLE_STATES", pmm_free_page(&pmm, page); pmm_free_page(&pmm, page););
DEATH(double_free_in_a_list, "FREEABLE_STATES", {
        struct vm_page *other = pmm_page_from_pa(&pmm, page->pa + 10 * PAGE_BYTES); /* is FREE */
        other->list.prev = other->list.next = NULL;
        list_add_tail(&list, &other->list);
        pmm_free(&pmm, &list);
});
DEATH(free_of_a_page_on_a_list, "!list_in_list", list_add_tail(&list, &page->list);
      pmm_free_page(&pmm, page););
DEATH(free_of_a_foreign_page, "a page of this pmm", {
        static struct vm_page foreign;
        foreign = *page;
        pmm_free_page(&pmm, &foreign);
});
DEATH(free_of_half_a_page_structure, "page->pa ==",
      pmm_free_page(&pmm, (struct vm_page *)(void *)((char *)page + 8)););
DEATH(free_of_a_wired_page, "FREEABLE_STATES", pmm_set_state(&pmm, page, VM_PAGE_WIRED);
      pmm_free_page(&pmm, page););
DEATH(free_of_a_page_with_an_owner, "owner", pmm_set_state(&pmm, page, VM_PAGE_OBJECT);
      page->use.object.owner = &pmm; pmm_free_page(&pmm, page););
DEATH(free_of_a_pinned_page, "PIN_COUNT", pmm_set_state(&pmm, page, VM_PAGE_OBJECT);
      page->use.object.bits = 1; pmm_free_page(&pmm, page););
DEATH(set_state_to_free, "LABEL_STATES", pmm_set_state(&pmm, page, VM_PAGE_FREE););
DEATH(set_state_of_a_free_page, "FREEABLE_STATES", pmm_free_page(&pmm, page);
      pmm_set_state(&pmm, page, VM_PAGE_HEAP););
DEATH(set_state_to_a_number_that_is_none, "VM_PAGE_STATE_COUNT",
      pmm_set_state(&pmm, page, VM_PAGE_STATE_COUNT););
DEATH(unwire_of_a_page_that_is_not_wired, "== from", pmm_unwire_page(&pmm, page););
DEATH(unwire_of_the_pmm_s_own_page, "own_first",
      pmm_unwire_page(&pmm, pmm_page_from_pa(&pmm, MIB + FREE_PAGES * PAGE_BYTES)););
DEATH(address_of_no_index, "known", (void)pmm_index_to_pa(&pmm, PMM_INDEX_NONE););
DEATH(address_of_an_index_that_no_page_has, "known", {
        uint32_t behind_the_last = FREE_PAGES + 2;
        (void)pmm_index_to_pa(&pmm,
                              behind_the_last << (PMM_INDEX_SPARE_BITS + PMM_INDEX_ARENA_BITS));
});
DEATH(unknown_flag, "KNOWN_FLAGS", (void)!pmm_alloc_page(&pmm, 4, &page););
DEATH(contiguous_with_can_wait, "PMM_ALLOC_LO_MEM",
      (void)!pmm_alloc_contiguous(&pmm, 2, PMM_ALLOC_CAN_WAIT, 0, NULL, &list););
DEATH(range_into_a_list_that_is_not_empty, "list_is_empty", list_add_tail(&list, &page->list);
      (void)!pmm_alloc_range(&pmm, page->pa, 0, &list););
DEATH(delay_level_above_lower, "delay_level_pages", {
        struct pmm_signal_config config = {1, 100, 2, (pmm_signal_fn)(void *)&pmm, NULL};
        pmm_set_free_memory_signal(&pmm, &config);
});
DEATH(checker_with_a_wrong_size, "fill_bytes", {
        struct pmm_checker_config config = {12, false, (pmm_checker_report_fn)(void *)&pmm, NULL};
        pmm_checker_enable(&pmm, &config);
});

DEATH(cache_double_free, "VM_PAGE_IPC", page_cache_drain_all(&cache);
      page_cache_free_page(&cache, page); page->list.prev = page->list.next = NULL;
      page_cache_free_page(&cache, page););
DEATH(cache_free_of_a_page_on_a_list, "!list_in_list", page_cache_drain_all(&cache);
      page_cache_free_page(&cache, page); page_cache_free_page(&cache, page););
DEATH(cache_free_of_a_labelled_page, "VM_PAGE_IPC", page_cache_drain_all(&cache);
      pmm_set_state(&pmm, page, VM_PAGE_HEAP); page_cache_free_page(&cache, page););

DEATH(chain_freed_twice, "CANARY", buffer_chain_free(chain); buffer_chain_free(chain););
DEATH(chain_of_one_page_freed_twice, "CANARY", (void)!buffer_chain_alloc(&cache, 1, &chain);
      buffer_chain_free(chain); buffer_chain_free(chain););
DEATH(chain_used_after_free, "CANARY", buffer_chain_free(chain);
      (void)!buffer_chain_append_kernel(chain, "x", 1, NULL););
DEATH(canary_of_the_first_buffer, "CANARY", chain->first->canary ^= 1;
      (void)buffer_chain_length(chain););
DEATH(canary_of_the_second_buffer, "CANARY", {
        static char bytes[BUFFER_CHAIN_CONTIG_BYTES + 1];
        (void)!buffer_chain_append_kernel(chain, bytes, sizeof(bytes), NULL);
        chain->tail->canary = 0;
        (void)!buffer_chain_copy_out_kernel(chain, bytes, BUFFER_CHAIN_CONTIG_BYTES, 1);
});
DEATH(canary_on_free, "CANARY", {
        static char bytes[BUFFER_CHAIN_CONTIG_BYTES + 1];
        (void)!buffer_chain_append_kernel(chain, bytes, sizeof(bytes), NULL);
        chain->tail->canary = 0;
        buffer_chain_free(chain);
});
DEATH(skip_after_append, "write_offset == 0",
      (void)!buffer_chain_append_kernel(chain, "x", 1, NULL);
      buffer_chain_skip(chain, 1););
DEATH(skip_twice, "write_offset == 0", buffer_chain_skip(chain, 1); buffer_chain_skip(chain, 1););
DEATH(skip_past_the_first_buffer, "CONTIG",
      buffer_chain_skip(chain, BUFFER_CHAIN_CONTIG_BYTES + 1););
DEATH(page_cache_that_cannot_be, "status == ZX_OK", {
        struct page_cache_config config = {&pmm, 1, 0, NULL, NULL};
        buffer_chain_initialize_page_cache(&cache, &config);
});

/* ---- pages in a state that forbids it ---- */

DEATH(set_state_of_a_wired_page, "FREEABLE_STATES", pmm_set_state(&pmm, page, VM_PAGE_WIRED);
      pmm_set_state(&pmm, page, VM_PAGE_HEAP););
DEATH(set_state_to_loaned, "LABEL_STATES", pmm_set_state(&pmm, page, VM_PAGE_FREE_LOANED););
DEATH(free_of_a_loaned_page, "loan_flags", page->loan_flags = 1; pmm_free_page(&pmm, page););
DEATH(free_of_a_foreign_wired_range, "page != NULL", pmm_free_wired_range(&pmm, 0, 1););

DEATH(late_double_free, "FREEABLE_STATES", pmm_free_page(&pmm, page); {
        page->list.prev = page->list.next = NULL;
        list_add_tail(&list, &page->list);
        pmm_free_late(&pmm, &list);
});
DEATH(free_of_a_page_in_a_state_that_is_none, "VM_PAGE_STATE_COUNT",
      page->state = VM_PAGE_STATE_COUNT; pmm_free_page(&pmm, page););
DEATH(set_state_from_a_number_that_is_none, "from < VM_PAGE_STATE_COUNT",
      page->state = VM_PAGE_STATE_COUNT; pmm_set_state(&pmm, page, VM_PAGE_HEAP););
DEATH(unknown_flag_of_several, "KNOWN_FLAGS", IGNORE(pmm_alloc_pages(&pmm, 0, 4, &list)););
DEATH(contiguous_aligned_to_everything, "align_log2 < 64",
      IGNORE(pmm_alloc_contiguous(&pmm, 2, 0, 64, NULL, &list)););
DEATH(structures_of_an_arena_too_large, "PMM_ARENA_PAGES_MAX",
      (void)pmm_structure_bytes(PMM_ARENA_PAGES_MAX + 1););

static struct pmm_state_counts state_counts[2];

static uint32_t first_cpu(void)
{
        return 0;
}

DEATH(no_cpu, "cpu_count > 0", pmm_set_cpus(&pmm, state_counts, 0, first_cpu););
DEATH(more_cpus_than_there_can_be, "PMM_CPU_COUNT_MAX",
      pmm_set_cpus(&pmm, state_counts, PMM_CPU_COUNT_MAX + 1, first_cpu););
DEATH(cpus_that_nobody_can_tell_apart, "current_cpu != NULL",
      pmm_set_cpus(&pmm, state_counts, 2, NULL););
DEATH(cpus_twice, "current_cpu == NULL", pmm_set_cpus(&pmm, state_counts, 2, first_cpu);
      pmm_set_cpus(&pmm, state_counts, 2, first_cpu););

/* ---- the checker: lists and counts ---- */

static void no_report(void *context, const struct pmm_checker_report *report)
{
        (void)context;
        (void)report;
}

static void arm_checker(void)
{
        struct pmm_checker_config config = {8, false, no_report, NULL};
        pmm_checker_enable(&pmm, &config);
        pmm_checker_arm(&pmm);
}

DEATH(checker_without_a_report, "report != NULL", {
        struct pmm_checker_config config = {8, false, NULL, NULL};
        pmm_checker_enable(&pmm, &config);
});
DEATH(checker_armed_before_it_is_on, "enabled", pmm_checker_arm(&pmm););
DEATH(signal_to_nobody, "signal != NULL", {
        struct pmm_signal_config config = {0, UINT64_MAX, 0, NULL, NULL};
        pmm_set_free_memory_signal(&pmm, &config);
});
DEATH(checker_finds_a_list_too_short, "free_count", arm_checker();
      pmm.state_count[VM_PAGE_FREE]++; (void)pmm_checker_check_all(&pmm););
DEATH(checker_finds_a_list_too_long, "free_count", arm_checker();
      pmm.state_count[VM_PAGE_FREE]--; (void)pmm_checker_check_all(&pmm););

/* ---- canaries of the second buffer ---- */

static char many[BUFFER_CHAIN_CONTIG_BYTES + 1];

static void break_the_second(void)
{
        IGNORE(buffer_chain_append_kernel(chain, many, sizeof(many), NULL));
        chain->tail->canary = 0;
}

DEATH(canary_on_append, "CANARY", break_the_second();
      IGNORE(buffer_chain_append_kernel(chain, "x", 1, NULL)););
DEATH(canary_on_next, "CANARY", break_the_second(); (void)buffer_chain_next(chain->first););
DEATH(canary_on_data, "CANARY", break_the_second(); (void)buffer_chain_data(chain->tail););
DEATH(canary_of_a_span, "CANARY", {
        struct buffer_chain_spans spans;
        struct buffer_chain_span span;
        break_the_second();
        IGNORE(buffer_chain_spans_begin(&spans, chain, sizeof(many) - 1, 1));
        (void)buffer_chain_spans_next(&spans, &span);
});
DEATH(skip_of_a_closed_chain, "chain->tail == chain->first", chain->tail = BUFFER_CHAIN_END;
      buffer_chain_skip(chain, 1););

DEATH(append_from_nowhere, "source != NULL", IGNORE(buffer_chain_append(chain, NULL, 1, NULL)););
DEATH(copy_out_to_nowhere, "sink != NULL", IGNORE(buffer_chain_copy_out(chain, NULL, 0, 0)););
DEATH(canary_on_skip, "CANARY", chain->first->canary = 0; buffer_chain_skip(chain, 1););
DEATH(canary_on_free_unused, "CANARY", chain->first->canary = 0;
      buffer_chain_free_unused_buffers(chain););
DEATH(canary_on_copy_out, "CANARY", chain->first->canary = 0;
      IGNORE(buffer_chain_copy_out_kernel(chain, many, 0, 0)););
DEATH(chain_whose_first_buffer_is_another, "chain->first == buffer",
      chain->first = BUFFER_CHAIN_END; buffer_chain_free(chain););
DEATH(chain_of_a_page_that_is_no_buffer, "VM_PAGE_IPC", {
        struct buffer_chain *one;
        IGNORE(buffer_chain_alloc(&cache, 1, &one));
        vm_page_from_node(one->used_pages.next)->state = VM_PAGE_ALLOC;
        buffer_chain_free(one);
});

/* ---- page caches ---- */

DEATH(low_memory_from_a_cache, "PMM_ALLOC_CAN_WAIT",
      IGNORE(page_cache_alloc(&cache, 1, PMM_ALLOC_LO_MEM, &list)););
DEATH(drain_of_a_cpu_that_is_none, "cpu < cache->cpu_count", (void)page_cache_drain(&cache, 1););
