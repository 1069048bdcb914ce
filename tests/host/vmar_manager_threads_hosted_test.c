/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Managers whose references are taken and given back by several threads at once: any of them may
 * give the last one, of its own manager, of another's, or of the one that all share. Under
 * AddressSanitizer and, above all, under ThreadSanitizer; what must come out is an empty tree, no
 * manager, and every page back. */
#pragma GCC diagnostic ignored "-Wsign-compare"
#include <sched.h>

#include "tests/host/thread_bed.h"
#include "tests/host/vmar_bed.h"

#include "kernel/vmo_mapper.h"

#define ROUNDS 3000u
#define SLOTS THREADS
#define SHARED_PAGES 512u

static struct vmar_home home;
static struct vmar_manager *shared;
/* Each a manager with a reference, for whoever takes it. */
static _Atomic(struct vmar_manager *) slots[SLOTS];

static void share(struct pmm *bed_pmm)
{
        pmm_set_cpus(bed_pmm, counts, THREADS, current_cpu);
}

static void make_bed(struct test *t)
{
        bed_share = share;
        atomic_store(&wrongs, 0);
        bed_make(t);
        REQUIRE_OK(vmar_home_init(&home, bed.root, &bed.pool));
        REQUIRE_OK(vmar_manager_create(&home, &(struct vmar_manager_request){
                PAGES(SHARED_PAGES), NULL, VMAR_MANAGER_OPTIONS_DEFAULT}, &shared));
}

/* Nothing is left but what the bed has by itself. */
static void end_bed(struct test *t)
{
        EXPECT_EQ(slab_counts(&home.managers).objects, 0u);
        EXPECT_EQ(slab_counts(&bed.pool.vmos).objects, 0u);
        EXPECT_TREE("");
        vmar_home_fini(&home);
        bed_end(t);
}

/* ---- a tree of managers, handed from thread to thread ---- */

/* Puts a manager into a slot and gives back what was there. */
static void hand_over(uint64_t *state, struct vmar_manager *manager)
{
        vmar_manager_put(atomic_exchange(&slots[next_random(state) % SLOTS], manager));
}

/* A manager below the shared one, or below somebody else's, or one more of the shared region. */
static struct vmar_manager *make_one(uint64_t *state, struct vmar_manager *below)
{
        struct vmar_manager *manager = NULL;
        struct vmar_manager_request request = {PAGES(2), shared, VMAR_MANAGER_OPTIONS_DEFAULT};
        zx_status_t status;

        if (next_random(state) % 4 == 0) {
                note(TRIED(vmar_manager_use(&home, shared->region, &manager)) == ZX_OK);
                return manager;
        }
        if (below != NULL && !below->owned)
                request.parent = below; /* a used region is as large as the shared one */
        status = TRIED(vmar_manager_create(&home, &request, &manager));
        note(status == ZX_OK);
        return manager;
}

static void *hand_round(void *context)
{
        this_cpu = (uint32_t)(uintptr_t)context;
        uint64_t state = this_cpu + 1;

        pthread_barrier_wait(&all_here);
        for (unsigned i = 0; i < ROUNDS; i++) {
                /* takes one out, looks at it, and puts it back with a reference of its own left */
                struct vmar_manager *found = atomic_exchange(&slots[next_random(&state) % SLOTS],
                                                             NULL);
                struct vmar_manager *made = make_one(&state, found);
                if (found != NULL) {
                        note(found->home == &home && found->bytes != 0);
                        vmar_manager_get(found);
                        hand_over(&state, found);
                        note(vmar_manager_region(&home, found).vmar != NULL);
                        vmar_manager_put(found);
                }
                hand_over(&state, made);
        }
        return NULL;
}

TEST(vmar_manager_threads, the_last_reference_is_anybodys)
{
        make_bed(t);
        run_threads(t, THREADS, hand_round);
        for (unsigned i = 0; i < SLOTS; i++)
                vmar_manager_put(atomic_exchange(&slots[i], NULL));
        vmar_manager_put(shared); /* until now: those that use its region do not keep it */
        end_bed(t);
}

/* ---- mappers that hold the only references ---- */

static void *map_and_go(void *context)
{
        this_cpu = (uint32_t)(uintptr_t)context;
        struct vmo_mapper mappers[3];
        struct vmo_mapper_create request = {
                .bytes = 1, .map_options = RW, .manager = shared, .rights = RIGHT_SAME};

        for (unsigned i = 0; i < 3; i++)
                vmo_mapper_init(&mappers[i], &home);
        pthread_barrier_wait(&all_here);
        for (unsigned i = 0; i < ROUNDS; i++) {
                struct vmo_mapper *mapper = &mappers[i % 2];
                vmo_mapper_unmap(mapper); /* that of the round before last */
                note(TRIED(vmo_mapper_create_and_map(mapper, &request, NULL)) == ZX_OK);
                note(TRIED(vmar_fault(&bed.space, mapper->start, VMAR_FAULT_WRITE)) == ZX_OK);
                vmo_mapper_move(&mappers[2], mapper);
                vmo_mapper_move(mapper, &mappers[2]);
        }
        pthread_barrier_wait(&all_here);
        vmar_manager_put(shared); /* the mappers hold it now */
        for (unsigned i = 0; i < 3; i++)
                vmo_mapper_fini(&mappers[i]);
        return NULL;
}

TEST(vmar_manager_threads, the_last_mapper_ends_the_region)
{
        make_bed(t);
        for (unsigned i = 0; i < THREADS - 1; i++)
                vmar_manager_get(shared);
        run_threads(t, THREADS, map_and_go);
        end_bed(t);
}

/* ---- the order of what is done before a reference is given back ---- */

/* Thread 0 makes managers for the others, who look at them and put them. Nothing but the references
 * orders that look before the memory is the next manager's: boxes are emptied without a release. */
static void *give_away(void *context)
{
        this_cpu = (uint32_t)(uintptr_t)context;
        const struct vmar_manager_request two_pages = {PAGES(2), shared,
                                                       VMAR_MANAGER_OPTIONS_DEFAULT};
        struct vmar_manager *manager;

        for (unsigned i = 0; i < ROUNDS; i++) {
                if (this_cpu != 0) {
                        while ((manager = atomic_exchange_explicit(&slots[this_cpu], NULL,
                                                                   memory_order_acquire)) == NULL)
                                sched_yield();
                        note(manager->bytes == PAGES(2) && manager->parent == shared);
                        vmar_manager_put(manager);
                        continue;
                }
                manager = NULL;
                note(TRIED(vmar_manager_create(&home, &two_pages, &manager)) == ZX_OK);
                for (unsigned to = 1; to < THREADS; to++) {
                        vmar_manager_get(manager);
                        while (atomic_load_explicit(&slots[to], memory_order_relaxed) != NULL)
                                sched_yield();
                        atomic_store_explicit(&slots[to], manager, memory_order_release);
                }
                vmar_manager_put(manager);
        }
        return NULL;
}

TEST(vmar_manager_threads, a_look_comes_before_the_end)
{
        make_bed(t);
        run_threads(t, THREADS, give_away);
        vmar_manager_put(shared);
        end_bed(t);
}
