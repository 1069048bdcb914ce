/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_gpa — lists of GPA ranges: bytes of memory named by the numbers of the pages they lie in.
 *
 *   word        |byte_count, byte_offset| page | page | page |   |byte_count, byte_offset| page |
 *               `---- range of 3 pages ---------------------'   `---- range of 1 page ----------'
 *
 * Everything here is private memory; what a peer wrote is copied into a list before it is checked
 * (vmbus_external.h), so that it cannot change any more. A list is the caller's words, in the form
 * in which they stand in a packet, and is good at any time: only checked ranges get in.
 *
 * Owner       the caller, of the words; copied freely, nothing to release
 * Context     any; each loop is bounded by the words of a list
 * Invariants  [G1] word_count <= word_capacity, and the words hold exactly range_count good ranges
 * Facts       spec/vmbus.md, b.5, d.7; errors and their order at the end of c.6 */
#ifndef VMBUS_RING_VMBUS_GPA_H
#define VMBUS_RING_VMBUS_GPA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"
#include "vmbus_ring/vmbus_result.h"
#include "vmbus_ring/vmbus_wire.h"

struct vmbus_gpa_list {
        uint64_t *words;
        uint32_t word_capacity;
        uint32_t word_count;
        uint32_t range_count;
};

struct vmbus_gpa_range {
        uint32_t byte_count;   /* 1 .. */
        uint32_t byte_offset;  /* in the first page, 0 .. 4095 */
        uint32_t page_count;   /* 1 .. */
        const uint64_t *pages; /* their numbers; lives as long as the words that it points into */
};

/* The pages that a range of `byte_count` bytes at `byte_offset` touches; no sum overflows. */
static inline uint32_t vmbus_gpa_page_count(uint32_t byte_count, uint32_t byte_offset)
{
        return (uint32_t)(((uint64_t)byte_count + byte_offset + (PAGE_BYTES - 1)) / PAGE_BYTES);
}

/* What a check found: on VMBUS_OK the words that the ranges take; else what broke the rule. */
struct vmbus_gpa_check {
        uint32_t words_used;
        uint32_t value;
        uint32_t limit;
};

/* Holds `range_count` ranges in private memory against the rules of d.7, each range in this order:
 * header there, length, offset, sum, pages.
 *   words    word_count of them; more than the ranges take is allowed
 *   check    out
 *   returns  VMBUS_OK or the first broken rule, VMBUS_BAD_GPA_... */
enum vmbus_result MUST_CHECK vmbus_gpa_validate(const uint64_t *words, uint32_t word_count,
                                                uint32_t range_count,
                                                struct vmbus_gpa_check *check);

/* Private: the pages of the range whose header is `word`, the first of `word_count` words; 0: it
 * breaks a rule. */
static ALWAYS_INLINE uint32_t vmbus_gpa_good_pages_(uint64_t word, uint32_t word_count)
{
        uint64_t byte_count = (uint32_t)(word >> VMBUS_RANGE_BYTE_COUNT_BIT);
        uint64_t byte_offset = word >> VMBUS_RANGE_BYTE_OFFSET_BIT;
        uint64_t end = byte_count + byte_offset + (PAGE_BYTES - 1);
        if (UNLIKELY(byte_count == 0) || UNLIKELY(byte_offset >= PAGE_BYTES) ||
            UNLIKELY(end > UINT32_MAX) || UNLIKELY(end / PAGE_BYTES >= word_count))
                return 0;
        return (uint32_t)(end / PAGE_BYTES);
}

/* Private: whether none of them breaks a rule, and the words that they take; what is common, told
 * without a call. Which rule it is vmbus_gpa_validate() says. */
static ALWAYS_INLINE bool vmbus_gpa_good_(const uint64_t *words, uint32_t word_count,
                                          uint32_t range_count, uint32_t *words_used)
{
        uint32_t used = 0;
        /* Each round takes two words at least or ends: word_count bounds it, not range_count. */
        for (uint32_t i = 0; i < range_count; i++) {
                if (UNLIKELY(word_count - used < 2))
                        return false;
                uint64_t byte_count = (uint32_t)(words[used] >> VMBUS_RANGE_BYTE_COUNT_BIT);
                uint64_t byte_offset = words[used] >> VMBUS_RANGE_BYTE_OFFSET_BIT;
                /* One page, what network data is made of, apart from the rest: where the next range
                 * begins is then known before this one's header has been loaded. */
                if (LIKELY(byte_offset < PAGE_BYTES && byte_count - 1 < PAGE_BYTES - byte_offset)) {
                        used += 2;
                        continue;
                }
                uint32_t page_count = vmbus_gpa_good_pages_(words[used], word_count - used);
                if (UNLIKELY(page_count == 0))
                        return false;
                used += 1 + page_count;
        }
        *words_used = used;
        return true;
}

/* ---- lists ---- */

/* An empty list in `words`, word_capacity of them (1 .. for anything to fit). */
static inline void vmbus_gpa_list_init(struct vmbus_gpa_list *list, uint64_t *words,
                                       uint32_t word_capacity)
{
        *list = (struct vmbus_gpa_list){.words = words, .word_capacity = word_capacity};
}

/* Private: takes ranges that stand behind the list's last word already, as vmbus_gpa_list_extend();
 * false: they break a rule, nothing has changed. */
static ALWAYS_INLINE bool vmbus_gpa_list_take_good_(struct vmbus_gpa_list *list, uint32_t new_words,
                                                    uint32_t range_count)
{
        uint32_t used = 0, word_count = list->word_count;
        if (UNLIKELY(!vmbus_gpa_good_(list->words + word_count, new_words, range_count, &used)))
                return false;
        list->word_count = word_count + used;
        list->range_count += range_count;
        return true;
}

/* A list over words that hold range_count ranges already; what lies behind them is cut off.
 *   returns  as vmbus_gpa_validate(); on a broken rule *list is empty */
enum vmbus_result MUST_CHECK vmbus_gpa_list_take(struct vmbus_gpa_list *list, uint64_t *words,
                                                 uint32_t word_count, uint32_t range_count);

/* Empty again. */
static inline void vmbus_gpa_list_clear(struct vmbus_gpa_list *list)
{
        list->word_count = 0;
        list->range_count = 0;
}

/* Appends one range.
 *   range    pages[0 .. page_count - 1]; page_count is what vmbus_gpa_page_count() says
 *   returns  ZX_OK; ZX_ERR_INVALID_ARGS for a range that breaks a rule of b.5;
 *            ZX_ERR_NO_RESOURCES when it does not fit. Nothing changed then */
zx_status_t MUST_CHECK vmbus_gpa_list_push(struct vmbus_gpa_list *list,
                                           const struct vmbus_gpa_range *range);

/* Appends what was copied behind the list's words, after a check.
 *   words        words[word_count ..] were filled by the caller, `new_words` of them
 *   returns      as vmbus_gpa_validate(); on a broken rule the list is as before */
enum vmbus_result MUST_CHECK vmbus_gpa_list_extend(struct vmbus_gpa_list *list, uint32_t new_words,
                                                   uint32_t range_count,
                                                   struct vmbus_gpa_check *check);

/* The single range, when there is exactly one and it is whole pages from the start of its first on;
 * false otherwise, *range unchanged. */
bool MUST_CHECK vmbus_gpa_list_contiguous_aligned(const struct vmbus_gpa_list *list,
                                                  struct vmbus_gpa_range *range);

/* ---- walking ---- */

struct vmbus_gpa_cursor {
        const uint64_t *next;
        uint32_t ranges_left;
};

/* Before the first range of the list, which must stay as it is while it is walked. */
static inline struct vmbus_gpa_cursor vmbus_gpa_list_cursor(const struct vmbus_gpa_list *list)
{
        return (struct vmbus_gpa_cursor){.next = list->words, .ranges_left = list->range_count};
}

/* The next range; false, *range unchanged, when there is none. */
static inline bool MUST_CHECK vmbus_gpa_next(struct vmbus_gpa_cursor *cursor,
                                             struct vmbus_gpa_range *range)
{
        if (cursor->ranges_left == 0)
                return false;
        cursor->ranges_left--;
        range->byte_count = (uint32_t)(cursor->next[0] >> VMBUS_RANGE_BYTE_COUNT_BIT);
        range->byte_offset = (uint32_t)(cursor->next[0] >> VMBUS_RANGE_BYTE_OFFSET_BIT);
        range->page_count = vmbus_gpa_page_count(range->byte_count, range->byte_offset);
        range->pages = cursor->next + 1;
        cursor->next += 1 + range->page_count;
        return true;
}

#endif
