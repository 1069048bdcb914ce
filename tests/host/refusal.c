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

static _Thread_local uint64_t unanswered;
static _Thread_local int64_t pages_here;
static _Thread_local unsigned depth;           /* calls of the pmm within the pmm are its own */
static _Thread_local const struct pmm *last_pmm; /* that was asked last */
static _Thread_local bool run_refused;          /* the refusal was of a run or a range */

/* ---- the books ---- */

static void count_pages(int64_t pages)
{
        pages_here += pages;
        atomic_fetch_add(&pages_total, pages);
}

/* Whether this allocation is the one. */
static bool is_refused(const struct pmm *pmm, bool run)
{
        if (test == NULL || depth != 0)
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

/* What may stay after a refusal. */
static uint64_t count_kept(void)
{
        if (test == NULL || last_pmm == NULL)
                return 0;
        return pmm_count_state(last_pmm, VM_PAGE_OBJECT) +
               pmm_count_state(last_pmm, VM_PAGE_SLAB) + pmm_count_state(last_pmm, VM_PAGE_MMU);
}

struct refusal_frame refusal_begin(const char *file, unsigned line)
{
        return (struct refusal_frame){file, line, unanswered, pages_here, count_kept()};
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
        int64_t more = pages_here - frame->pages;

        if (!says_refused(status))
                test_fail(test, frame->file, frame->line, "refused a page, the call said %s",
                          zx_status_name(status));
        if (alone && more != 0 && (more < 0 || count_kept() - frame->kept != (uint64_t)more))
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

/* ---- between the callers and the pmm ---- */

#define WRAP(result_, name_, parameters_)        \
        result_ __real_##name_ parameters_;      \
        result_ __wrap_##name_ parameters_;      \
        result_ __wrap_##name_ parameters_

WRAP(zx_status_t, pmm_alloc_page, (struct pmm * pmm, uint32_t flags, struct vm_page **page))
{
        if (is_refused(pmm, false))
                return ZX_ERR_NO_MEMORY;
        depth++;
        return taken(__real_pmm_alloc_page(pmm, flags, page), 1);
}

WRAP(zx_status_t, pmm_alloc_pages,
     (struct pmm * pmm, size_t count, uint32_t flags, struct list_node *list))
{
        if (count != 0 && is_refused(pmm, false))
                return ZX_ERR_NO_MEMORY;
        depth++;
        return taken(__real_pmm_alloc_pages(pmm, count, flags, list), count);
}

WRAP(zx_status_t, pmm_alloc_range,
     (struct pmm * pmm, uint64_t pa, size_t count, struct list_node *list))
{
        if (count != 0 && is_refused(pmm, true))
                return ZX_ERR_NOT_FOUND;
        depth++;
        return taken(__real_pmm_alloc_range(pmm, pa, count, list), count);
}

WRAP(zx_status_t, pmm_alloc_contiguous,
     (struct pmm * pmm, size_t count, uint32_t flags, uint32_t align_log2, uint64_t *pa_out,
      struct list_node *list))
{
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
        if (is_refused(pmm, false))
                return ZX_ERR_NO_MEMORY;
        depth++;
        zx_status_t status = __real_pmm_alloc_between(pmm, least, most, flags, list, count_out);
        return taken(status, *count_out);
}

WRAP(void, pmm_free_page, (struct pmm * pmm, struct vm_page *page))
{
        count_pages(-1);
        __real_pmm_free_page(pmm, page);
}

WRAP(void, pmm_free, (struct pmm * pmm, struct list_node *list))
{
        count_pages(-(int64_t)list_count(list));
        __real_pmm_free(pmm, list);
}

WRAP(void, pmm_free_late, (struct pmm * pmm, struct list_node *list))
{
        count_pages(-(int64_t)list_count(list));
        __real_pmm_free_late(pmm, list);
}
