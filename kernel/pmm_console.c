/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm_console — see pmm_console.h. */
#include "kernel/pmm_console.h"

#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "kernel/cmdline.h"
#include "kernel/command.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/memory_pressure.h"
#include "kernel/panic.h"
#include "kernel/pmm_fragments.h"

/* ---- the checker ---- */

#define DUMP_LINE_BYTES 16u
#define DUMP_LINES 4u

enum checker_wish { CHECKER_OFF, CHECKER_ON, CHECKER_UNLESS_HYPERVISOR };

static enum checker_wish checker_wish;
static bool checker_oopses;
static uint64_t checker_fill_size = PAGE_BYTES;

struct choice {
        const char *word;
        int means;
};

/* Of `count` words the one that the value is, or -1. */
static int choose(const char *value, size_t length, const struct choice *choices, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                if (strlen(choices[i].word) == length &&
                    memcmp(choices[i].word, value, length) == 0)
                        return choices[i].means;
        }
        return -1;
}

static const char *take_enable(const char *value, size_t length)
{
        static const struct choice choices[] = {
                {"true", CHECKER_ON},   {"1", CHECKER_ON},  {"on", CHECKER_ON},
                {"yes", CHECKER_ON},    {"", CHECKER_ON},   {"false", CHECKER_OFF},
                {"0", CHECKER_OFF},     {"off", CHECKER_OFF}, {"no", CHECKER_OFF},
                {"auto", CHECKER_UNLESS_HYPERVISOR}};
        int wish = choose(value, length, choices, ARRAY_COUNT(choices));

        if (wish < 0)
                return "expected true, false or auto";
        checker_wish = (enum checker_wish)wish;
        return NULL;
}

static const char *take_action(const char *value, size_t length)
{
        static const struct choice choices[] = {{"oops", true}, {"panic", false}};
        int oopses = choose(value, length, choices, ARRAY_COUNT(choices));

        if (oopses < 0)
                return "expected oops or panic";
        checker_oopses = oopses;
        return NULL;
}

CMDLINE_EACH(take_enable, "kernel.pmm-checker.enable",
             "true, false or auto (unless under a hypervisor): fill free pages with a pattern and "
             "verify it when they are allocated");
CMDLINE_UINT(checker_fill_size, "kernel.pmm-checker.fill-size", 8, PAGE_BYTES,
             "bytes of each free page that the checker fills, a multiple of 8");
CMDLINE_EACH(take_action, "kernel.pmm-checker.action", "oops (log it) or panic");

static uint64_t free_pages_at_start;

/* Some lines of the page, from the one that has the first wrong byte. */
static void dump(const struct pmm_checker_report *report)
{
        size_t first = report->first_bad_byte / DUMP_LINE_BYTES * DUMP_LINE_BYTES;
        char text[DUMP_LINE_BYTES * 3 + 1];

        for (size_t line = first; line < first + DUMP_LINES * DUMP_LINE_BYTES && line < PAGE_BYTES;
             line += DUMP_LINE_BYTES) {
                const uint8_t *bytes = (const uint8_t *)report->va + line;
                for (size_t i = 0; i < DUMP_LINE_BYTES; i++)
                        snprintf(text + 3 * i, 4, " %02x", bytes[i]);
                log_line("pmm-checker: %03zx:%s", line, text);
        }
}

static void checker_report(UNUSED void *context, const struct pmm_checker_report *report)
{
        log_line("pmm-checker: free page 0x%llx was written at offset %zu, expected bytes %02x",
                 (unsigned long long)report->page->pa, report->first_bad_byte, PMM_CHECKER_PATTERN);
        dump(report);
        if (report->panic)
                panic("pmm-checker: a free page was written to");
}

void pmm_console_start_checker(void)
{
        struct pmm_checker_config config = {.fill_bytes = (uint32_t)checker_fill_size,
                                            .panic = !checker_oopses,
                                            .report = checker_report};

        free_pages_at_start = pmm_count_free_pages(&kernel_pmm);
        if (!pmm_checker_fill_bytes_valid(checker_fill_size)) {
                log_line("cmdline: 'kernel.pmm-checker.fill-size=%llu': expected a multiple of 8",
                         (unsigned long long)checker_fill_size);
                config.fill_bytes = PAGE_BYTES;
        }
        if (checker_wish == CHECKER_OFF ||
            (checker_wish == CHECKER_UNLESS_HYPERVISOR && arch_cpu_has_hypervisor()))
                return;
        pmm_checker_enable(&kernel_pmm, &config);
        pmm_checker_arm(&kernel_pmm);
        log_line("pmm-checker: armed, %u bytes a page", config.fill_bytes);
}

static void print_checker(void)
{
        const struct pmm_checker *checker = &kernel_pmm.checker;

        if (!checker->enabled)
                log_line("pmm-checker: off");
        else
                log_line("pmm-checker: %s, %u bytes a page, then %s; %llu pages were bad",
                         checker->armed ? "armed" : "fills", checker->fill_bytes,
                         checker->panic ? "panic" : "oops",
                         (unsigned long long)checker->failure_count);
}

void pmm_console_check(void)
{
        if (kernel_pmm.checker.armed)
                log_line("pmm-checker: %llu of %llu free pages are bad now",
                         (unsigned long long)pmm_checker_check_all(&kernel_pmm),
                         (unsigned long long)pmm_count_free_pages(&kernel_pmm));
        print_checker();
}
COMMAND(pmm_check_command, "pmmcheck", "verifies every free page, where the checker is on",
        pmm_console_check);

/* ---- the pmm ---- */

static void print_arenas(void)
{
        for (uint32_t i = 0; i < kernel_pmm.arena_count; i++) {
                const struct pmm_arena *arena = &kernel_pmm.arenas[i];
                log_line("pmm: arena %u '%s' 0x%llx..0x%llx, %llu pages", i, arena->name,
                         (unsigned long long)arena->pa,
                         (unsigned long long)(arena->pa + arena->page_count * PAGE_BYTES),
                         (unsigned long long)arena->page_count);
        }
}

static void print_fragments(void)
{
        struct pmm_fragments fragments = pmm_fragments(&kernel_pmm);
        char text[PMM_FRAGMENTS_ORDER_COUNT * 24];
        int used = 0;

        text[0] = '\0';
        for (unsigned order = 0; order < PMM_FRAGMENTS_ORDER_COUNT; order++)
                if (fragments.runs[order] != 0)
                        used += snprintf(text + used, sizeof(text) - (size_t)used, " %u+:%llu",
                                         1u << order, (unsigned long long)fragments.runs[order]);
        log_line("pmm: %llu runs of free pages, the longest %llu, %u %% fragmented; by length:%s",
                 (unsigned long long)fragments.run_count,
                 (unsigned long long)fragments.longest_pages,
                 pmm_fragments_percent(&fragments), text);
}

static void print_statistics(void)
{
        const struct pmm_statistics *statistics = &kernel_pmm.statistics;
        const struct pmm_failure *first = &kernel_pmm.first_failure;

        log_line("pmm: %llu allocation failures, %llu delayed, "
                 "longest contiguous search %llu groups of 64 pages, "
                 "%llu KiB were free after the start",
                 (unsigned long long)statistics->allocation_failures,
                 (unsigned long long)statistics->delayed_allocations,
                 (unsigned long long)statistics->groups_examined_max,
                 (unsigned long long)(free_pages_at_start * PAGE_BYTES / KIB));
        if (first->happened)
                log_line("pmm: the first failure was for %llu pages, with %llu free",
                         (unsigned long long)first->page_count,
                         (unsigned long long)first->free_pages);
}

void pmm_console_print(void)
{
        print_arenas();
        for (unsigned state = 0; state < VM_PAGE_STATE_COUNT; state++) {
                uint64_t pages = pmm_count_state(&kernel_pmm, (enum vm_page_state)state);
                if (pages != 0)
                        log_line("pmm: %-12s %llu pages", vm_page_state_name(state),
                                 (unsigned long long)pages);
        }
        print_fragments();
        print_statistics();
        memory_pressure_print();
        print_checker();
        memory_print_map();
}
COMMAND(pmm_command, "pmm",
        "arenas, pages by state, fragmentation, pressure, and the normalised memory map",
        pmm_console_print);
