/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pmm — owns physical memory page by page: arenas, page states, single pages and runs of pages.
 *
 *   struct pmm --- arena 0 ---+ struct vm_page[page_count]   one for each page, in the arena itself
 *              \-- arena 1    + free words                   a bit for each page: FREE
 *               ...           + set-up words                 a bit for each group of 64 pages
 *                             + run words                    for orders 1 .. 6 a bit for each group
 *
 * Page structures are set up lazily, a group of 64 pages at a time, when a page of the group is
 * first needed: adding an arena costs seven bits for 64 pages, no more. Pages of a group that is
 * not set up are FREE (or the arena's own, WIRED) and are counted as such; nobody outside can tell
 * the difference.
 *
 *   alloc takes from    the head of the zone's free list, then the lowest group not set up
 *   free puts back to   the head (the page that is in the CPU's cache goes out
 *                       first); pmm_free_late, and any free while the checker is on,
 *                       to the tail (it goes out last)
 *   zones               high before low, so that low memory lasts; PMM_ALLOC_LO_MEM takes low only
 *
 * Owner       struct pmm is the caller's and must not move; page structures belong to the pmm, a
 *             page to whoever it was handed to, until it comes back
 * Context     any CPU, not from interrupt handlers. One lock is over arenas, free lists and what is
 *             counted of FREE; kernel/cpu.h has its place in the order. The state of a page is
 *             changed by its holder without the lock; that is counted for each CPU (pmm_set_cpus),
 *             so the counts but that of FREE are exact when nobody is in the middle of a change
 * Invariants  [P1] the counts of all states add up to total_pages
 *             [P2] state FREE <=> on a free list <=> free bit set, for every page that is set up
 *             [P3] free_in_zone adds up to the count of FREE; it includes pages not set up
 *             [P4] the pages of an arena's own structures are WIRED for ever
 *             [P5] a group in which 2^k free pages in a row start,
 *             k <= 6, that end in it or the next
 *                  one has its bit in the run words of order k or above; the bit may also be there
 *                  without, until a search finds that out
 * Errors      double free, a foreign page, a wrong state: our bugs, ASSERT in every build
 * Non-goals   loaned pages (2.9); a thread that sleeps until a page comes (2.7: who gets
 *             SHOULD_WAIT comes again); requests that wait at random in debug builds: host-tests
 *             --refuse refuses each in turn
 * Facts       spec/zircon-objects.md, 2 */
#ifndef KERNEL_PMM_H
#define KERNEL_PMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/spinlock.h"
#include "base/status.h"

#define PMM_ARENA_COUNT_MAX 16
#define PMM_ARENA_NAME_BYTES 16
/* One less than 2^25: the 32-bit page index of page number 2^25 - 1 would not fit (2.3). */
#define PMM_ARENA_PAGES_MAX ((1ull << 25) - 1)
#define PMM_GROUP_PAGES 64
#define PMM_GROUP_PAGES_LOG2 6
#define PMM_CPU_COUNT_MAX 64
#define PMM_LO_MEM_END_PA (4 * GIB)

/* ---- pages ---- */

enum vm_page_state {
        VM_PAGE_FREE = 0,  /* the pmm's */
        VM_PAGE_ALLOC = 1, /* handed out, not labelled yet */
        VM_PAGE_OBJECT = 2,
        VM_PAGE_WIRED = 3, /* kernel image, page structures, boot reservations, holes */
        VM_PAGE_HEAP = 4,
        VM_PAGE_MMU = 5,
        VM_PAGE_IOMMU = 6,
        VM_PAGE_IPC = 7,
        VM_PAGE_CACHE = 8,
        VM_PAGE_SLAB = 9,
        VM_PAGE_ZRAM = 10,
        VM_PAGE_FREE_LOANED = 11, /* not used: pages are never loaned here */
        VM_PAGE_STATE_COUNT = 12,
};
const char *vm_page_state_name(enum vm_page_state state);

/* object_bits, lowest bit first: pin count (5 bits), always needed (1), dirty state (2). */
#define VM_PAGE_PIN_COUNT_MAX 31
#define VM_PAGE_PIN_COUNT_MASK 0x1fu
#define VM_PAGE_ALWAYS_NEED_BIT 5
#define VM_PAGE_DIRTY_SHIFT 6

/* One for each page of an arena. `list` and `use` are for whoever holds the page; `use` means
 * nothing after the page has changed hands. A page that is on no list has list.next == NULL. */
struct vm_page {
        struct list_node list;
        uint64_t pa; /* constant */
        union {
                struct PACKED {
                        void *owner;
                        uint64_t offset;
                        uint32_t share_count;
                        uint8_t queue_id;
                        uint8_t bits;
                } object;
                struct PACKED {
                        uint64_t mapping_count;
                } mmu;
                struct PACKED {
                        /* Both: buffer_chain, in the page of its first buffer. */
                        void *owner;         /* where the pages go back to */
                        uint64_t full_bytes; /* payload in the buffers before the tail */
                } ipc;
                uint8_t bytes[22];
        } PACKED use;
        uint8_t state; /* enum vm_page_state; read by vm_page_state(), written by the pmm only */
        uint8_t loan_flags;
};
_Static_assert(sizeof(struct vm_page) == 48, "2.1");
_Static_assert(offsetof(struct vm_page, pa) == 0x10, "2.1");
_Static_assert(offsetof(struct vm_page, use) == 0x18, "2.1");
_Static_assert(offsetof(struct vm_page, use.object.offset) == 0x20, "2.1");
_Static_assert(offsetof(struct vm_page, use.object.share_count) == 0x28, "2.1");
_Static_assert(offsetof(struct vm_page, use.object.queue_id) == 0x2c, "2.1");
_Static_assert(offsetof(struct vm_page, use.object.bits) == 0x2d, "2.1");
_Static_assert(offsetof(struct vm_page, state) == 0x2e, "2.1");
_Static_assert(offsetof(struct vm_page, loan_flags) == 0x2f, "2.1");

static inline enum vm_page_state vm_page_state(const struct vm_page *page)
{
        return (enum vm_page_state)__atomic_load_n(&page->state, __ATOMIC_RELAXED);
}

static inline struct vm_page *vm_page_from_node(struct list_node *node)
{
        return CONTAINER_OF(node, struct vm_page, list);
}

/* ---- the pmm ---- */

enum pmm_alloc_flags {
        PMM_ALLOC_ANY = 0,
        PMM_ALLOC_LO_MEM = 1 << 0,   /* below 4 GiB */
        PMM_ALLOC_CAN_WAIT = 1 << 1, /* the caller can retry: SHOULD_WAIT instead of NO_MEMORY */
};

/* An arena is low when all of it is below PMM_LO_MEM_END_PA. One that crosses it counts as high, so
 * it is better added as two. */
enum pmm_zone { PMM_ZONE_LOW = 0, PMM_ZONE_HIGH = 1, PMM_ZONE_COUNT = 2 };

struct pmm_arena {
        uint64_t pa;
        uint64_t page_count;
        uint64_t group_count; /* of PMM_GROUP_PAGES pages, the last may have fewer */
        struct vm_page *pages;
        uint64_t *free_words;   /* bit i of word g: page 64 g + i is FREE; if set up */
        uint64_t *set_up_words; /* bit g: group g is set up */
        uint64_t *run_words;    /* those of order 1 first; bit g of an order: group g [P5] */
        uint64_t run_order_words; /* so many for each order */
        uint64_t own_first;     /* page numbers of its structures: [own_first, own_end) */
        uint64_t own_end;
        uint64_t set_up_cursor; /* every group below it is set up */
        uint64_t contiguous_hint;
        enum pmm_zone zone;
        char name[PMM_ARENA_NAME_BYTES];
};

/* What the checker does about a free page that somebody wrote to.
 * `report` is called once a page. */
struct pmm_checker_report {
        const struct vm_page *page;
        const void *va;        /* the page's bytes, for a dump */
        size_t fill_bytes;     /* verified bytes */
        size_t first_bad_byte; /* offset in the page */
        bool panic;            /* what pmm_checker_enable was told: oops or panic */
};
/* Called under the pmm's lock: it must not call the pmm. */
typedef void (*pmm_checker_report_fn)(void *context, const struct pmm_checker_report *report);

struct pmm_checker {
        bool enabled;
        bool armed;
        bool panic;
        uint32_t fill_bytes;
        pmm_checker_report_fn report;
        void *context;
        uint64_t failure_count;
};

/* What is told when free memory leaves a corridor (2.7). Called under the pmm's lock: it
 * may ask for the free count and arm the next signal, but call nothing else of the pmm; it
 * wakes or tells whoever shall. */
typedef void (*pmm_signal_fn)(void *context);

enum pmm_wait_state {
        PMM_WAIT_ONCE_LEVEL_TRIPPED = 0, /* CAN_WAIT requests are served */
        PMM_WAIT_UNTIL_RESET = 1,        /* CAN_WAIT requests get SHOULD_WAIT */
        PMM_WAIT_NEVER = 2,              /* for good: nobody waits any more */
};

struct pmm_free_memory_signal {
        bool armed;
        uint64_t lower_pages;
        uint64_t upper_pages;
        pmm_signal_fn signal;
        void *context;
};

/* The first allocation that failed (2.7). There it has a type, for a heap and a table of handles
 * report theirs too; here whatever runs out of memory (a slab, a VMO, a page table) has asked this
 * pmm, so all are of one type, and recorded where they fail. */
struct pmm_failure {
        bool happened;
        uint64_t page_count;
        uint64_t free_pages;
};

struct pmm_statistics {
        uint64_t allocation_failures;
        uint64_t delayed_allocations; /* SHOULD_WAIT answers */
        uint64_t groups_examined_max; /* by one contiguous allocation */
};

/* What one CPU has counted of the states that change without the lock: differences, which mean
 * something only together with those of all others. */
struct pmm_state_counts {
        uint64_t pages[VM_PAGE_STATE_COUNT];
} ALIGNED(64);

struct pmm {
        struct spinlock lock;
        uint64_t physmap_base;
        struct list_node free_list[PMM_ZONE_COUNT];
        uint64_t free_in_zone[PMM_ZONE_COUNT];
        uint64_t state_count[VM_PAGE_STATE_COUNT]; /* counted under the lock: FREE, all of it */
        struct pmm_state_counts *cpu_counts;       /* the rest */
        uint32_t cpu_count;
        uint32_t (*current_cpu)(void); /* NULL: always 0 */
        struct pmm_state_counts own_counts; /* used until pmm_set_cpus */
        uint64_t total_pages;
        uint32_t arena_count;
        enum pmm_wait_state wait_state;
        uint64_t delay_level_pages;
        /* The free count outside of which something has to be done about signals; see
         * pmm_signal.c. */
        uint64_t watch_lower_pages;
        uint64_t watch_upper_pages;
        struct pmm_free_memory_signal memory_signal;
        struct pmm_checker checker;
        bool free_late; /* what is freed goes to the tail: as long as the checker is on */
        struct pmm_failure first_failure;
        struct pmm_statistics statistics;
        struct pmm_arena arenas[PMM_ARENA_COUNT_MAX]; /* ascending */
};

/* Makes an empty pmm.
 *   physmap_base  the memory of a page at `pa` is at va == pa + physmap_base
 *   returns       ZX_OK; ZX_ERR_INVALID_ARGS: physmap_base is not page aligned */
zx_status_t MUST_CHECK pmm_init(struct pmm *pmm, uint64_t physmap_base);

/* Makes it usable by several CPUs (or threads) at the same time, from now on. Without it one CPU at
 * a time may use the pmm, and pays for no lock. Once, before a second CPU uses it, and before there
 * is a page_cache over it.
 *   counts       cpu_count of them, zeroed here; the caller's, as long as the pmm is used
 *   cpu_count    1 .. PMM_CPU_COUNT_MAX
 *   current_cpu  0 .. cpu_count - 1, a different number for each that runs at the same time */
void pmm_set_cpus(struct pmm *pmm, struct pmm_state_counts *counts, uint32_t cpu_count,
                  uint32_t (*current_cpu)(void));

struct pmm_arena_config {
        const char *name;       /* copied, cut to PMM_ARENA_NAME_BYTES - 1 */
        uint64_t pa;            /* page aligned */
        uint64_t bytes;         /* whole pages */
        uint64_t structures_pa; /* page aligned; pmm_structure_bytes inside the arena */
};

/* Bytes, in whole pages, of the structures for an arena of `page_count` pages. */
uint64_t pmm_structure_bytes(uint64_t page_count);

/* Adds an arena whose structures lie at its end. All pages are FREE, those of the structures WIRED.
 * The memory must be mapped at the physmap and is not read. Page indices change when an arena is
 * added below another one: add all arenas before using them.
 *   returns  ZX_OK; ZX_ERR_INVALID_ARGS: misaligned, empty or wrapping, or structures not inside;
 *            ZX_ERR_NO_MEMORY: too small for its own structures and one more page;
 *            ZX_ERR_ALREADY_EXISTS: overlaps an arena;
 *            ZX_ERR_NOT_SUPPORTED: more than PMM_ARENA_COUNT_MAX arenas or PMM_ARENA_PAGES_MAX
 *            pages
 *   cost     seven bits for each PMM_GROUP_PAGES pages are written */
zx_status_t MUST_CHECK pmm_add_arena(struct pmm *pmm, const char *name, uint64_t pa,
                                     uint64_t bytes);
/* The same with a place for the structures that the caller has chosen. */
zx_status_t MUST_CHECK pmm_add_arena_at(struct pmm *pmm, const struct pmm_arena_config *config);

/* ---- allocation: pages come in state ALLOC, contents undefined ---- */

/* One page.
 *   page     out: on no list; the caller's until pmm_free_page
 *   returns  ZX_OK; ZX_ERR_NO_MEMORY; ZX_ERR_SHOULD_WAIT (only with CAN_WAIT), nothing changed */
zx_status_t MUST_CHECK pmm_alloc_page(struct pmm *pmm, uint32_t flags, struct vm_page **page);
/* `count` pages, all or nothing, appended at the tail of `list`, which may hold others.
 *   returns  as above; count 0: ZX_OK */
zx_status_t MUST_CHECK pmm_alloc_pages(struct pmm *pmm, size_t count, uint32_t flags,
                                       struct list_node *list);
/* The pages at `pa`, rounded down to a page, ascending, possibly over the edge into the next arena;
 * appended to `list`, which must be empty.
 *   returns  ZX_OK; ZX_ERR_NOT_FOUND: one of them is in no arena or not FREE, nothing changed */
zx_status_t MUST_CHECK pmm_alloc_range(struct pmm *pmm, uint64_t pa, size_t count,
                                       struct list_node *list);
/* `count` pages in a row, ascending, appended to `list`. Never with CAN_WAIT.
 *   align_log2  of the physical address of the first; less than a page means a page; at most 63
 *   pa_out      (may be NULL) the address of the first page
 *   returns     ZX_OK; ZX_ERR_NOT_FOUND: no such run, nothing changed; count 0: ZX_OK, pa_out
 *               untouched; ZX_ERR_NO_MEMORY in the case of one page without alignment
 *   cost        a bit for each 64 pages that can be left out [P5],
 *               two words for each that cannot */
zx_status_t MUST_CHECK pmm_alloc_contiguous(struct pmm *pmm, size_t count, uint32_t flags,
                                            uint32_t align_log2, uint64_t *pa_out,
                                            struct list_node *list);

/* Gives back a page that is on no list. Its state may be any but FREE, FREE_LOANED and WIRED. */
void pmm_free_page(struct pmm *pmm, struct vm_page *page);
/* Gives back every page on `list`, which becomes empty;
 * the first of them is the next to be allocated. */
void pmm_free(struct pmm *pmm, struct list_node *list);
/* The same with delayed reuse (2.4): behind all pages that are set up and free now, in the order of
 * the list; so none of them is the next to be allocated while its zone has another. While the
 * free-page checker is on, the two above reuse late as well (a list's pages in any order): the
 * longer a page lies, the more late writes are found in it. (There: under an address sanitizer.) */
void pmm_free_late(struct pmm *pmm, struct list_node *list);

/* ---- states ---- */

/* Takes no lock: the page is the caller's. Never from or to FREE or FREE_LOANED, never from WIRED.
 * Entering OBJECT clears `use`. */
void pmm_set_state(struct pmm *pmm, struct vm_page *page, enum vm_page_state state);

/* Takes FREE pages for good, as pmm_alloc_range does, in state WIRED and on no list. */
zx_status_t MUST_CHECK pmm_wire_range(struct pmm *pmm, uint64_t pa, size_t count);
/* A WIRED page, not one of an arena's own, becomes ALLOC and leaves the list it is on, if any. */
void pmm_unwire_page(struct pmm *pmm, struct vm_page *page);
/* Unwires and frees; every page must be WIRED. */
void pmm_free_wired_range(struct pmm *pmm, uint64_t pa, size_t count);

/* ---- addresses ---- */

/* The page that contains `pa`; NULL when no arena does. */
struct vm_page *pmm_page_from_pa(const struct pmm *pmm, uint64_t pa);
static inline void *pmm_pa_to_va(const struct pmm *pmm, uint64_t pa)
{
        return (void *)(uintptr_t)(pa + pmm->physmap_base);
}
static inline void *pmm_page_va(const struct pmm *pmm, const struct vm_page *page)
{
        return pmm_pa_to_va(pmm, page->pa);
}
/* The page whose memory contains `va` of the physmap; NULL when there is none. */
static inline struct vm_page *pmm_page_from_va(const struct pmm *pmm, const void *va)
{
        return pmm_page_from_pa(pmm, (uint64_t)(uintptr_t)va - pmm->physmap_base);
}

/* A page named in 32 bits; the low PMM_INDEX_SPARE_BITS bits are 0 and free for the user. */
#define PMM_INDEX_NONE 0u
#define PMM_INDEX_SPARE_BITS 3
#define PMM_INDEX_ARENA_BITS 4
uint32_t pmm_page_to_index(const struct pmm *pmm, const struct vm_page *page);
/* NULL for PMM_INDEX_NONE and for an index that no page has. The spare bits are ignored. */
struct vm_page *pmm_index_to_page(const struct pmm *pmm, uint32_t index);
/* Without looking at the page structure. The index must be one that a page has. */
uint64_t pmm_index_to_pa(const struct pmm *pmm, uint32_t index);

/* ---- counts ---- */

/* Exact at some moment of the call. */
static inline uint64_t pmm_count_free_pages(const struct pmm *pmm)
{
        return __atomic_load_n(&pmm->state_count[VM_PAGE_FREE], __ATOMIC_RELAXED);
}
/* Exact while no other CPU changes a state. */
uint64_t pmm_count_state(const struct pmm *pmm, enum vm_page_state state);
static inline uint64_t pmm_count_total_bytes(const struct pmm *pmm)
{
        return pmm->total_pages * PAGE_BYTES;
}

struct pmm_arena_info {
        char name[PMM_ARENA_NAME_BYTES];
        uint32_t flags; /* 0 */
        uint64_t base_pa;
        uint64_t bytes;
};
/* Entries `first` .. `first + count - 1` in ascending order of address.
 *   returns  ZX_OK; ZX_ERR_OUT_OF_RANGE: count 0, or arenas that do not exist;
 *            ZX_ERR_BUFFER_TOO_SMALL: buffer_bytes is less than count entries */
zx_status_t MUST_CHECK pmm_arena_info(const struct pmm *pmm, size_t count, size_t first,
                                      struct pmm_arena_info *buffer, size_t buffer_bytes);

/* ---- low memory: pmm_signal.c ---- */

#define PMM_DELAY_AT_ONCE UINT64_MAX

struct pmm_signal_config {
        uint64_t lower_pages;       /* signalled when an allocation leaves fewer */
        uint64_t upper_pages;       /* signalled when a free leaves more */
        uint64_t delay_level_pages; /* CAN_WAIT waits below: <= lower or PMM_DELAY_AT_ONCE */
        pmm_signal_fn signal;
        void *context;
};
/* Arms the one-shot signal and ends a delay.
 *   returns  false: the free count is outside [lower, upper]; nothing is armed, nothing changed */
bool pmm_set_free_memory_signal(struct pmm *pmm, const struct pmm_signal_config *config);
/* The same from inside a signal, for the next one: between the two nothing goes by unnoticed. */
bool pmm_set_next_free_memory_signal(struct pmm *pmm, const struct pmm_signal_config *config);
/* From now on nobody waits: CAN_WAIT means nothing any more. For power-off. */
void pmm_stop_returning_should_wait(struct pmm *pmm);
static inline enum pmm_wait_state pmm_wait_state(const struct pmm *pmm)
{
        return pmm->wait_state;
}

/* ---- free-page checker: pmm_checker.c ---- */

#define PMM_CHECKER_PATTERN 0x43

/* A multiple of 8 in 8 .. PAGE_BYTES. */
bool pmm_checker_fill_bytes_valid(uint64_t fill_bytes);

struct pmm_checker_config {
        uint32_t fill_bytes; /* checked: pmm_checker_fill_bytes_valid */
        bool panic;          /* handed on to `report` */
        pmm_checker_report_fn report;
        void *context;
};
/* Pages are filled with the pattern when they are freed, from now on and
 * for ever, and go to the tail.
 *   returns  false: it was enabled already, nothing changed */
bool pmm_checker_enable(struct pmm *pmm, const struct pmm_checker_config *config);
/* Fills every free page (this writes fill_bytes in each, and sets up all page structures), then
 * pages are verified when they are allocated. Must be enabled. */
void pmm_checker_arm(struct pmm *pmm);
/* Verifies every free page and calls `report` for each bad one; not armed: nothing.
 *   returns  the number of bad pages. Asserts that the lists and the counts agree. */
uint64_t pmm_checker_check_all(struct pmm *pmm);

/* ---- validity ---- */

/* [P1] and [P3], in constant time. While no other CPU changes anything, as pmm_check_all. */
bool pmm_valid(const struct pmm *pmm);
/* Everything, by walking every list and every page that is set up. */
bool pmm_check_all(const struct pmm *pmm);

#endif
