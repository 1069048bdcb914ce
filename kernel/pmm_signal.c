/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm_signal — what happens when free memory leaves its corridor, and who has to wait then.
 *
 *   0 ....... delay level ....... lower ............... upper .......
 *             below: CAN_WAIT     below: signalled      above: signalled
 *             waits until reset   once                  once
 *
 * The fast paths of the pmm compare the free count with watch_lower_pages and watch_upper_pages
 * only; this file keeps those two so that they are left exactly when something here has to be done.
 * Waiting itself (a thread that sleeps until pages come) is not here: there are no threads below
 * this. Facts: spec/zircon-objects.md, 2.7. */
#include "kernel/pmm.h"
#include "kernel/pmm_internal.h"

static void update_watch(struct pmm *pmm)
{
        pmm->watch_lower_pages = pmm->memory_signal.armed ? pmm->memory_signal.lower_pages : 0;
        pmm->watch_upper_pages =
                pmm->memory_signal.armed ? pmm->memory_signal.upper_pages : UINT64_MAX;
        if (pmm->wait_state == PMM_WAIT_ONCE_LEVEL_TRIPPED)
                pmm->watch_lower_pages = max_u64(pmm->watch_lower_pages, pmm->delay_level_pages);
}

/* Tells the owner once. */
static void fire(struct pmm *pmm)
{
        struct pmm_free_memory_signal signal = pmm->memory_signal;
        if (!signal.armed)
                return;
        pmm->memory_signal.armed = false;
        update_watch(pmm);
        signal.signal(signal.context);
}

void pmm_signal_fell(struct pmm *pmm)
{
        uint64_t free_pages = pmm_count_free_pages(pmm);
        if (pmm->wait_state == PMM_WAIT_ONCE_LEVEL_TRIPPED && free_pages < pmm->delay_level_pages) {
                pmm->wait_state = PMM_WAIT_UNTIL_RESET;
                update_watch(pmm);
        }
        if (free_pages < pmm->memory_signal.lower_pages)
                fire(pmm);
}

void pmm_signal_rose(struct pmm *pmm)
{
        if (pmm_count_free_pages(pmm) > pmm->memory_signal.upper_pages)
                fire(pmm);
}

void pmm_signal_failed(struct pmm *pmm, uint64_t page_count)
{
        pmm->statistics.allocation_failures++;
        if (pmm->first_failure.happened)
                return;
        pmm->first_failure.happened = true;
        pmm->first_failure.page_count = page_count;
        pmm->first_failure.free_pages = pmm_count_free_pages(pmm);
        fire(pmm);
}

/* Under the lock, as everything above. */
static void arm(struct pmm *pmm, const struct pmm_signal_config *config)
{
        pmm->memory_signal.armed = true;
        pmm->memory_signal.lower_pages = config->lower_pages;
        pmm->memory_signal.upper_pages = config->upper_pages;
        pmm->memory_signal.signal = config->signal;
        pmm->memory_signal.context = config->context;
        pmm->delay_level_pages = config->delay_level_pages;
        if (pmm->wait_state != PMM_WAIT_NEVER)
                pmm->wait_state = config->delay_level_pages == PMM_DELAY_AT_ONCE
                                          ? PMM_WAIT_UNTIL_RESET
                                          : PMM_WAIT_ONCE_LEVEL_TRIPPED;
        update_watch(pmm);
}

bool pmm_set_next_free_memory_signal(struct pmm *pmm, const struct pmm_signal_config *config)
{
        ASSERT(config->signal != NULL);
        ASSERT(config->delay_level_pages <= config->lower_pages ||
               config->delay_level_pages == PMM_DELAY_AT_ONCE);
        uint64_t free_pages = pmm_count_free_pages(pmm);
        bool inside = free_pages >= config->lower_pages && free_pages <= config->upper_pages;
        if (inside)
                arm(pmm, config);
        return inside;
}

bool pmm_set_free_memory_signal(struct pmm *pmm, const struct pmm_signal_config *config)
{
        pmm_lock(pmm);
        bool armed = pmm_set_next_free_memory_signal(pmm, config);
        pmm_unlock(pmm);
        return armed;
}

void pmm_stop_returning_should_wait(struct pmm *pmm)
{
        pmm_lock(pmm);
        pmm->wait_state = PMM_WAIT_NEVER;
        update_watch(pmm);
        pmm_unlock(pmm);
}
