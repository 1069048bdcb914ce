/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Memory objects: what happens between two holds of a VMO's lock. New pages are taken from the pmm
 * without it; the other party here comes from inside that allocation, with the pmm's one-shot
 * signal, or behind it, when the pmm asks on which CPU it is; so each test meets the same moment
 * every time. (With threads: vmo_threads_hosted_test.c.) */
#include "tests/boot/vmo_bed.h"

#define P PAGE_BYTES
#define PAGES 4

static struct vmo *victim;
static uint64_t shrink_to;
static unsigned fired;

static void do_nothing(void *context)
{
}

/* Drops no page, for there is none yet: the pmm, which is in the middle of an
 * allocation, is not asked for anything. */
static void shrink(void *context)
{
        fired++;
        if (vmo_set_size(victim, shrink_to) != ZX_OK)
                fired += 100;
}

static void arm(void (*signal)(void *), uint64_t lower_pages)
{
        struct pmm_signal_config config = {lower_pages, UINT64_MAX, 0, signal, NULL};
        if (!pmm_set_free_memory_signal(&bed.pmm, &config))
                fired += 1000;
}

static void disarm(void)
{
        arm(do_nothing, 0);
}

/* The next allocation leaves fewer pages free than there are. */
static void shrink_at_next_allocation(struct vmo *vmo, uint64_t size)
{
        victim = vmo;
        shrink_to = size;
        fired = 0;
        bed.clean_up = disarm;
        arm(shrink, bed_free());
}

SWEPT_TEST(vmo_between, the_range_has_gone_when_its_pages_come)
{
        static const struct {
                uint64_t size;
                zx_status_t status; /* of two pages from page 1 on */
        } cases[] = {{0, ZX_ERR_OUT_OF_RANGE}, {P, ZX_ERR_OUT_OF_RANGE},
                     {P + 1, ZX_ERR_OUT_OF_RANGE}, {2 * P + 1, ZX_OK}, {PAGES * P, ZX_OK}};
        for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
                struct vmo *vmo;
                TRY(bed_vmo(PAGES * P, VMO_RESIZABLE, &vmo));
                TRY(bed_free() == 0 ? ZX_ERR_NO_MEMORY : ZX_OK);
                shrink_at_next_allocation(vmo, cases[i].size);
                zx_status_t status = TRIED(vmo_op_range(vmo, VMO_OP_COMMIT, P, 2 * P));
                if (status == ZX_ERR_NO_MEMORY)
                        return status;
                EXPECT_STATUS(cases[i].status, status);
                EXPECT_EQ(fired, 1);
                EXPECT_EQ(vmo_size(vmo), round_up(cases[i].size, P));
                /* All back, or all there. */
                EXPECT_EQ(vmo_committed_pages(vmo), status == ZX_OK ? 2 : 0);
                TRY(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, vmo_size(vmo)));
        }
        return ZX_OK;
}

/* Takes the last pins that a page can have; it is there, so nothing is allocated. */
static void pin_all(void *context)
{
        fired++;
        for (unsigned i = 0; i < VM_PAGE_PIN_COUNT_MAX; i++) {
                if (bed_pin(victim, 0, P) != ZX_OK)
                        fired += 100;
        }
}

SWEPT_TEST(vmo_between, pins_are_looked_at_again_when_the_pages_have_come)
{
        struct vmo *vmo;
        TRY(bed_vmo(PAGES * P, 0, &vmo));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, 0, P));
        TRY(bed_free() == 0 ? ZX_ERR_NO_MEMORY : ZX_OK);
        victim = vmo;
        fired = 0;
        bed.clean_up = disarm;
        arm(pin_all, bed_free());
        zx_status_t status = TRIED(vmo_pin(vmo, 0, 2 * P));
        if (status == ZX_ERR_NO_MEMORY)
                return status;
        EXPECT_STATUS(ZX_ERR_UNAVAILABLE, status);
        EXPECT_EQ(fired, 1);
        EXPECT_OK(vmo_op_range(vmo, VMO_OP_DECOMMIT, P, P)); /* the other page is not pinned */
        EXPECT_STATUS(ZX_ERR_BAD_STATE, vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, P));
        EXPECT_EQ(bed.pin_count, VM_PAGE_PIN_COUNT_MAX); /* the bed takes all of them off */
        return ZX_OK;
}

struct visits {
        struct vmo_page_visitor visitor;
        unsigned count;
};

static zx_status_t visit(struct vmo_page_visitor *visitor, uint64_t offset, uint64_t pa,
                         enum vmo_cache_policy policy)
{
        CONTAINER_OF(visitor, struct visits, visitor)->count++;
        return ZX_OK;
}

/* Pages beyond the size are left out, also when the size changes under the walk. */
SWEPT_TEST(vmo_between, a_walk_begins_again_with_the_new_size)
{
        for (uint64_t pages = 0; pages <= PAGES; pages++) {
                struct vmo *vmo;
                struct visits visits = {{visit}, 0};
                TRY(bed_vmo(PAGES * P, VMO_RESIZABLE, &vmo));
                TRY(bed_free() == 0 ? ZX_ERR_NO_MEMORY : ZX_OK);
                shrink_at_next_allocation(vmo, pages * P);
                zx_status_t status = TRIED(
                        vmo_with_pages(vmo, 0, PAGES * P, VMO_PAGE_COMMIT, &visits.visitor));
                if (status == ZX_ERR_NO_MEMORY)
                        return status;
                EXPECT_OK(status);
                EXPECT_EQ(fired, 1);
                EXPECT_EQ(visits.count, pages);
                EXPECT_EQ(vmo_committed_pages(vmo), pages);
                TRY(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, vmo_size(vmo)));
        }
        return ZX_OK;
}

/* ---- somebody who takes or gives pages himself, before the lock is taken again ---- */

static struct {
        uint32_t op;
        uint64_t offset, bytes;
        struct vmo *heir; /* gets as many pages as the other has dropped; or NULL */
        bool come;
        zx_status_t status;
} other;

static void forget_other(void)
{
        bed.pmm.current_cpu = NULL;
}

/* The pmm asks when it has given pages away and they become the VMO's, without its lock. */
static uint32_t let_other_come(void)
{
        forget_other();
        other.come = true;
        other.status = TRIED(vmo_op_range(victim, other.op, other.offset, other.bytes));
        if (other.heir != NULL && other.status == ZX_OK)
                other.status = TRIED(
                        vmo_op_range(other.heir, VMO_OP_COMMIT, other.offset, other.bytes));
        return 0;
}

static void other_comes_between(struct vmo *vmo, uint32_t op, uint64_t first, uint64_t end)
{
        victim = vmo;
        other.op = op;
        other.offset = first * P;
        other.bytes = (end - first) * P;
        other.heir = NULL;
        other.come = false;
        other.status = ZX_OK;
        bed.clean_up = forget_other;
        bed.pmm.current_cpu = let_other_come;
}

/* Pages that somebody else has made meanwhile are not replaced; as
 * many of ours go back to the pmm. */
SWEPT_TEST(vmo_between, pages_that_have_come_meanwhile_stay)
{
        for (uint64_t first = 0; first <= PAGES; first++) {
                for (uint64_t end = first; end <= PAGES; end++) {
                        struct vmo *vmo;
                        TRY(bed_vmo(PAGES * P, 0, &vmo));
                        other_comes_between(vmo, VMO_OP_COMMIT, first, end);
                        zx_status_t status = TRIED(vmo_op_range(vmo, VMO_OP_COMMIT, P, 2 * P));
                        forget_other();
                        if (status == ZX_ERR_NO_MEMORY || other.status == ZX_ERR_NO_MEMORY)
                                return ZX_ERR_NO_MEMORY;
                        EXPECT_OK(status);
                        EXPECT_OK(other.status);
                        EXPECT_TRUE(other.come);
                        /* Pages 1 and 2, and those of the other beside them; the pmm's counts say
                         * the same (bed_expect_valid). */
                        uint64_t beside = end - first;
                        for (uint64_t page = 1; page <= 2; page++)
                                beside -= first <= page && page < end;
                        EXPECT_EQ(vmo_committed_pages(vmo), 2 + beside);
                        TRY(vmo_op_range(vmo, VMO_OP_DECOMMIT, 0, PAGES * P));
                }
        }
        return ZX_OK;
}

/* Pages that somebody else has dropped meanwhile are made, too: more than were asked for at first.
 * The heir keeps as many pages out as before, so that a refusal finds the counts that it wants. */
SWEPT_TEST(vmo_between, pages_that_have_gone_meanwhile_are_made_again)
{
        struct vmo *vmo, *heir;
        TRY(bed_vmo(PAGES * P, 0, &vmo));
        TRY(bed_vmo(PAGES * P, 0, &heir));
        TRY(vmo_op_range(vmo, VMO_OP_COMMIT, 0, 3 * P));
        other_comes_between(vmo, VMO_OP_DECOMMIT, 0, 3);
        other.heir = heir;
        zx_status_t status = TRIED(vmo_op_range(vmo, VMO_OP_COMMIT, 0, PAGES * P));
        forget_other();
        if (status == ZX_ERR_NO_MEMORY) /* what was made before memory ran out has gone again */
                EXPECT_EQ(vmo_committed_pages(vmo), other.come ? 0 : 3);
        TRY(status);
        TRY(other.status);
        EXPECT_TRUE(other.come);
        EXPECT_EQ(vmo_committed_pages(vmo), PAGES);
        return ZX_OK;
}
