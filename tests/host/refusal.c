/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* refusal — stands between whoever allocates pages and the pmm; see refusal.h.
 *
 * The linker turns calls of f from other object files into calls of __wrap_f, which is here, and
 * gives us f as __real_f. */
#include "tests/host/refusal.h"

#include <stdatomic.h>
#include <stddef.h>

#include "base/test_case.h"
#include "kernel/pmm.h"
#include "kernel/pmm_internal.h"

/* Larger ones are checked by their counts only: the walk over all pages takes too long. */
#define CHECKED_PAGES_MAX 65536u

static struct test *test; /* NULL: not between start and stop */
static void (*check)(struct test *t);
static _Atomic uint64_t allocations, refused_total, again_total;
static _Atomic int64_t pages_total;
static uint64_t refused_number;

/* The kernel has no storage for threads; there, one CPU runs while a test does. */
#if __STDC_HOSTED__
#define EACH_THREAD _Thread_local
#else
#define EACH_THREAD
#endif

static EACH_THREAD uint64_t unanswered;
static EACH_THREAD int64_t pages_here;
static EACH_THREAD unsigned depth;             /* calls of the pmm within the pmm are its own */
static EACH_THREAD const struct pmm *last_pmm; /* that was asked last */
static EACH_THREAD bool run_refused;           /* the refusal was of a run or a range */

/* ---- the books ---- */

static void count_pages(int64_t pages)
{
        pages_here += pages;
        atomic_fetch_add(&pages_total, pages);
}

/* Whether this allocation, in a test, is the one. */
static bool is_refused(const struct pmm *pmm, bool run)
{
        if (depth != 0)
                return false;
        last_pmm = pmm;
        if (atomic_fetch_add(&allocations, 1) + 1 != refused_number)
                return false;
        atomic_fetch_add(&refused_total, 1);
        unanswered++;
        run_refused = run;
        return true;
}

/* Counts what an outermost call has taken. */
static zx_status_t taken(zx_status_t status, uint64_t pages)
{
        if (--depth == 0 && status == ZX_OK)
                count_pages((int64_t)pages);
        return status;
}

void refusal_start(struct test *t, uint64_t nth)
{
        check = NULL;
        atomic_store(&allocations, 0);
        atomic_store(&refused_total, 0);
        atomic_store(&again_total, 0);
        atomic_store(&pages_total, 0);
        refused_number = nth;
        unanswered = 0;
        pages_here = 0;
        depth = 0;
        last_pmm = NULL;
        test = t;
}

void refusal_watch(const struct pmm *pmm)
{
        last_pmm = pmm;
}

void refusal_stop(void)
{
        test = NULL;
}

struct refusal_result refusal_result(void)
{
        return (struct refusal_result){atomic_load(&allocations), atomic_load(&refused_total),
                                       atomic_load(&again_total), atomic_load(&pages_total)};
}

void refusal_check(struct test *t, void (*function)(struct test *t))
{
        (void)t;
        check = function;
}

/* ---- calls ---- */

static uint64_t count_in(enum vm_page_state state)
{
        return test == NULL || last_pmm == NULL ? 0 : pmm_count_state(last_pmm, state);
}

/* What may stay after a refusal. */
static uint64_t count_kept(void)
{
        return count_in(VM_PAGE_OBJECT) + count_in(VM_PAGE_SLAB);
}

struct refusal_frame refusal_begin(const char *file, unsigned line)
{
        return (struct refusal_frame){file,         line,         unanswered,
                                      pages_here,   count_kept(), count_in(VM_PAGE_MMU)};
}

static bool says_refused(zx_status_t status)
{
        return status == ZX_ERR_NO_MEMORY || (run_refused && status == ZX_ERR_NOT_FOUND);
}

/* What a refused call must have left behind it. */
static void expect_unchanged(const struct refusal_frame *frame, zx_status_t status)
{
        const struct pmm *pmm = last_pmm;
        bool alone = pmm->current_cpu == NULL;
        int64_t more = pages_here - frame->pages, kept = (int64_t)(count_kept() - frame->kept);
        int64_t tables = (int64_t)(count_in(VM_PAGE_MMU) - frame->tables);

        if (!says_refused(status))
                test_fail(test, frame->file, frame->line, "refused a page, the call said %s",
                          zx_status_name(status));
        if (alone && more != 0 && (kept < 0 || more != kept + tables))
                test_fail(test, frame->file, frame->line, "refused a page, the call left %lld more",
                          (long long)more);
        if (alone && !(pmm->total_pages <= CHECKED_PAGES_MAX ? pmm_check_all(pmm) : pmm_valid(pmm)))
                test_fail(test, frame->file, frame->line, "refused a page, the pmm is not valid");
        if (check != NULL)
                check(test);
}

bool refusal_again(const struct refusal_frame *frame, bool as_wanted, zx_status_t status)
{
        if (test == NULL || unanswered == frame->refused || (as_wanted && !says_refused(status)))
                return false;
        unanswered = frame->refused;
        expect_unchanged(frame, status);
        atomic_fetch_add(&again_total, 1);
        return true;
}

/* ---- between the callers and the pmm ----
 *
 * Without a test they only pass on: other CPUs may call then. */

#define WRAP(result_, name_, parameters_)        \
        result_ __real_##name_ parameters_;      \
        result_ __wrap_##name_ parameters_;      \
        result_ __wrap_##name_ parameters_

WRAP(zx_status_t, pmm_alloc_page, (struct pmm * pmm, uint32_t flags, struct vm_page **page))
{
        if (test == NULL)
                return __real_pmm_alloc_page(pmm, flags, page);
        if (is_refused(pmm, false))
                return ZX_ERR_NO_MEMORY;
        depth++;
        return taken(__real_pmm_alloc_page(pmm, flags, page), 1);
}

WRAP(zx_status_t, pmm_alloc_pages,
     (struct pmm * pmm, size_t count, uint32_t flags, struct list_node *list))
{
        if (test == NULL)
                return __real_pmm_alloc_pages(pmm, count, flags, list);
        if (count != 0 && is_refused(pmm, false))
                return ZX_ERR_NO_MEMORY;
        depth++;
        return taken(__real_pmm_alloc_pages(pmm, count, flags, list), count);
}

WRAP(zx_status_t, pmm_alloc_range,
     (struct pmm * pmm, uint64_t pa, size_t count, struct list_node *list))
{
        if (test == NULL)
                return __real_pmm_alloc_range(pmm, pa, count, list);
        if (count != 0 && is_refused(pmm, true))
                return ZX_ERR_NOT_FOUND;
        depth++;
        return taken(__real_pmm_alloc_range(pmm, pa, count, list), count);
}

WRAP(zx_status_t, pmm_alloc_contiguous,
     (struct pmm * pmm, size_t count, uint32_t flags, uint32_t align_log2, uint64_t *pa_out,
      struct list_node *list))
{
        if (test == NULL)
                return __real_pmm_alloc_contiguous(pmm, count, flags, align_log2, pa_out, list);
        bool single = count == 1 && align_log2 <= PAGE_BYTES_LOG2;
        if (count != 0 && is_refused(pmm, !single))
                return single ? ZX_ERR_NO_MEMORY : ZX_ERR_NOT_FOUND;
        depth++;
        return taken(__real_pmm_alloc_contiguous(pmm, count, flags, align_log2, pa_out, list),
                     count);
}

WRAP(zx_status_t, pmm_alloc_between,
     (struct pmm * pmm, uint64_t least, uint64_t most, uint32_t flags, struct list_node *list,
      uint64_t *count_out))
{
        if (test == NULL)
                return __real_pmm_alloc_between(pmm, least, most, flags, list, count_out);
        if (is_refused(pmm, false))
                return ZX_ERR_NO_MEMORY;
        depth++;
        zx_status_t status = __real_pmm_alloc_between(pmm, least, most, flags, list, count_out);
        return taken(status, *count_out);
}

WRAP(void, pmm_free_page, (struct pmm * pmm, struct vm_page *page))
{
        if (test != NULL)
                count_pages(-1);
        __real_pmm_free_page(pmm, page);
}

WRAP(void, pmm_free, (struct pmm * pmm, struct list_node *list))
{
        if (test != NULL)
                count_pages(-(int64_t)list_count(list));
        __real_pmm_free(pmm, list);
}

WRAP(void, pmm_free_late, (struct pmm * pmm, struct list_node *list))
{
        if (test != NULL)
                count_pages(-(int64_t)list_count(list));
        __real_pmm_free_late(pmm, list);
}

/* In the guest, what a test stands on comes from the pmm, too; it is
 * not refused and counts nowhere. */
#if !__STDC_HOSTED__
WRAP(void *, world_pages, (struct test * t, size_t page_count, uint64_t *pa_out))
{
        if (test == NULL)
                return __real_world_pages(t, page_count, pa_out);
        depth++;
        void *pages = __real_world_pages(t, page_count, pa_out);
        depth--;
        return pages;
}
#endif
