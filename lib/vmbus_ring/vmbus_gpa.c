/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_gpa — checking ranges and gathering them. Facts: spec/vmbus.md, b.5, c.6, d.7. */
#include "vmbus_ring/vmbus_gpa.h"

#include "base/assert.h"

/* Checks the range whose header is `word`, `words_left` words following it; VMBUS_OK and its pages,
 * or the rule that it breaks. */
static enum vmbus_result check_range(uint64_t word, uint32_t words_left, uint32_t *page_count,
                                     struct vmbus_gpa_check *check)
{
        uint32_t byte_count = (uint32_t)(word >> VMBUS_RANGE_BYTE_COUNT_BIT);
        uint32_t byte_offset = (uint32_t)(word >> VMBUS_RANGE_BYTE_OFFSET_BIT);
        if (byte_count == 0) {
                *check = (struct vmbus_gpa_check){.value = 0, .limit = 1};
                return VMBUS_BAD_GPA_EMPTY;
        }
        if (byte_offset >= PAGE_BYTES) {
                *check = (struct vmbus_gpa_check){.value = byte_offset, .limit = PAGE_BYTES - 1};
                return VMBUS_BAD_GPA_OFFSET;
        }
        if ((uint64_t)byte_count + byte_offset + (PAGE_BYTES - 1) > UINT32_MAX) {
                *check = (struct vmbus_gpa_check){.value = byte_count, .limit = UINT32_MAX};
                return VMBUS_BAD_GPA_OVERFLOW;
        }
        *page_count = vmbus_gpa_page_count(byte_count, byte_offset);
        if (*page_count > words_left) {
                *check = (struct vmbus_gpa_check){.value = words_left, .limit = *page_count};
                return VMBUS_BAD_GPA_PAGES;
        }
        return VMBUS_OK;
}

COLD enum vmbus_result vmbus_gpa_validate(const uint64_t *words, uint32_t word_count,
                                          uint32_t range_count, struct vmbus_gpa_check *check)
{
        uint32_t used = 0;
        /* Each round takes a word at least or ends: word_count bounds it, not range_count. */
        for (uint32_t i = 0; i < range_count; i++) {
                uint32_t page_count;
                if (used == word_count) {
                        *check = (struct vmbus_gpa_check){.value = i, .limit = range_count};
                        return VMBUS_BAD_GPA_HEADER;
                }
                enum vmbus_result result =
                        check_range(words[used], word_count - used - 1, &page_count, check);
                if (result != VMBUS_OK)
                        return result;
                used += 1 + page_count;
        }
        *check = (struct vmbus_gpa_check){.words_used = used};
        return VMBUS_OK;
}

enum vmbus_result vmbus_gpa_list_take(struct vmbus_gpa_list *list, uint64_t *words,
                                      uint32_t word_count, uint32_t range_count)
{
        struct vmbus_gpa_check check;
        vmbus_gpa_list_init(list, words, word_count);
        return vmbus_gpa_list_extend(list, word_count, range_count, &check);
}

zx_status_t vmbus_gpa_list_push(struct vmbus_gpa_list *list, const struct vmbus_gpa_range *range)
{
        struct vmbus_gpa_check check;
        uint32_t page_count;
        uint64_t word = (uint64_t)range->byte_count << VMBUS_RANGE_BYTE_COUNT_BIT |
                        (uint64_t)range->byte_offset << VMBUS_RANGE_BYTE_OFFSET_BIT;
        if (check_range(word, range->page_count, &page_count, &check) != VMBUS_OK ||
            page_count != range->page_count)
                return ZX_ERR_INVALID_ARGS;
        if (list->word_capacity - list->word_count < 1 + page_count)
                return ZX_ERR_NO_RESOURCES;
        list->words[list->word_count++] = word;
        memcpy(list->words + list->word_count, range->pages,
               (size_t)page_count * VMBUS_GPA_PAGE_BYTES);
        list->word_count += page_count;
        list->range_count++;
        return ZX_OK;
}

enum vmbus_result vmbus_gpa_list_extend(struct vmbus_gpa_list *list, uint32_t new_words,
                                        uint32_t range_count, struct vmbus_gpa_check *check)
{
        uint32_t word_count = list->word_count;
        ASSERT(new_words <= list->word_capacity - word_count); /* [G1] */
        if (UNLIKELY(!vmbus_gpa_list_take_good_(list, new_words, range_count)))
                return vmbus_gpa_validate(list->words + word_count, new_words, range_count, check);
        check->words_used = list->word_count - word_count;
        return VMBUS_OK;
}

bool vmbus_gpa_list_contiguous_aligned(const struct vmbus_gpa_list *list,
                                       struct vmbus_gpa_range *range)
{
        struct vmbus_gpa_cursor cursor = vmbus_gpa_list_cursor(list);
        struct vmbus_gpa_range only;
        if (list->range_count != 1 || !vmbus_gpa_next(&cursor, &only))
                return false;
        if (only.byte_offset != 0 || !is_aligned(only.byte_count, PAGE_BYTES))
                return false;
        *range = only;
        return true;
}
