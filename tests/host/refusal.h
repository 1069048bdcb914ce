/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* refusal — every test once more for each page allocation in it, with that allocation refused.
 *
 *   host-tests --refuse [GLOB]       runner.c
 *     run the test               -> it makes A page allocations, and in the end N pages are out
 *     for n = 1 .. A: run it, refuse allocation n
 *         EXPECT_OK(vmo_write(...))    -> the call says NO_MEMORY; nothing has changed; it is made
 *                                         again, and the test goes on as if nothing had been
 *         the end of the test          -> all it expects holds, and N pages are out
 *
 * So a refused call has to say so, leave every count as it was and everything valid, and work the
 * next time; and a page that is lost on the way shows in the end. The test is written as if there
 * were no refusals. Only these notice one: EXPECT_OK, EXPECT_STATUS, EXPECT_TRUE and REQUIRE_*
 * of them, and TRIED (tests/expect.h), which stands where a status goes into a variable. A refusal
 * that reaches none of them makes the test fail, or did no harm.
 *
 * "Page allocation" is a call of pmm_alloc_page, _pages, _range, _contiguous or _between, from
 * wherever it comes; the linker (--wrap) leads them through refusal.c, so the parts under test are
 * the same object files as always, and pay a call where no test is refused anything.
 *
 * Threads: each has its own books; which allocation is number n is then chance, as is its thread.
 *
 * In the guest: tests/boot/all/refused_test.c, in the image with TESTS=all, on a machine with one
 * CPU; for the tests of these objects that need real page tables or the kernel's own memory. */
#ifndef TESTS_HOST_REFUSAL_H
#define TESTS_HOST_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* The thread's books at the beginning of a call. */
struct refusal_frame {
        const char *file; /* where the call stands */
        unsigned line;
        uint64_t refused; /* refusals that nobody has answered for */
        int64_t pages;    /* taken from pmms, less those given back */
        uint64_t kept;    /* pages that VMOs have, and the nodes of their trees */
        uint64_t tables;  /* pages of page tables */
};
struct refusal_frame refusal_begin(const char *file, unsigned line);
/* After the call. A call that was refused and did not do what was wanted has to say `status`
 * NO_MEMORY, or NOT_FOUND for a run or range, and to have changed nothing; else the test fails.
 * Only this may be more than before: pages that VMOs hold, and tables that show them, for a call
 * that works on several mappings or parts, or makes pages and then enters them, says in its header
 * that it may end half way; what the pages read as is the same. And tables may be fewer: what they
 * do not show any longer comes back with a fault.
 *   returns  true: it was refused; make it again */
bool refusal_again(const struct refusal_frame *frame, bool as_wanted, zx_status_t status);

/* What has to hold whenever something was refused, besides the pmm's own validity; until the end of
 * the test. */
struct test;
void refusal_check(struct test *t, void (*check)(struct test *t));

/* ---- for the runner ---- */

/* Starts the books of one run of a test.
 *   nth  the allocation to refuse, from 1 on; 0: none */
void refusal_start(struct test *t, uint64_t nth);
/* The pmm that counts until one is asked; for pages that are out when the test begins. */
struct pmm;
void refusal_watch(const struct pmm *pmm);
/* Ends them: nothing is refused any more, in this process. */
void refusal_stop(void);

struct refusal_result {
        uint64_t allocations;
        uint64_t refused;
        uint64_t again;   /* calls that were made again */
        int64_t pages;    /* out in the end */
};
struct refusal_result refusal_result(void);

#endif
