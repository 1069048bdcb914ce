/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_gpadl — the guest's pages, by lists that come in pieces. Facts: spec/vmbus.md, e.6.
 *
 * A list is gathered in the caller's words, checked when it is complete, and its page numbers are
 * then replaced by addresses, once; the range headers between them stay. */
#include "tests/peers/vmbus_host/vmbus_host_internal.h"

struct vmbus_host_gpadl *host_gpadl_find(struct vmbus_host *host, uint32_t channel, uint32_t handle)
{
        for (uint32_t i = 0; i < VMBUS_HOST_GPADLS; i++) {
                struct vmbus_host_gpadl *gpadl = &host->gpadls[i];
                if (gpadl->used && gpadl->handle == handle && gpadl->channel == channel)
                        return gpadl;
        }
        return NULL;
}

/* Any incomplete list of that handle: bodies name no channel. */
static struct vmbus_host_gpadl *find_incomplete(struct vmbus_host *host, uint32_t handle)
{
        for (uint32_t i = 0; i < VMBUS_HOST_GPADLS; i++) {
                struct vmbus_host_gpadl *gpadl = &host->gpadls[i];
                if (gpadl->used && !gpadl->created && gpadl->handle == handle)
                        return gpadl;
        }
        return NULL;
}

bool host_gpadl_any(const struct vmbus_host *host, uint32_t channel)
{
        for (uint32_t i = 0; i < VMBUS_HOST_GPADLS; i++)
                if (host->gpadls[i].used && host->gpadls[i].channel == channel)
                        return true;
        return false;
}

void host_gpadl_forget(struct vmbus_host *host, uint32_t channel)
{
        for (uint32_t i = 0; i < VMBUS_HOST_GPADLS; i++)
                if (host->gpadls[i].channel == channel)
                        host->gpadls[i].used = false;
}

/* ---- room for words ---- */

static bool overlaps(const struct vmbus_host *host, uint32_t first, uint32_t count)
{
        for (uint32_t i = 0; i < VMBUS_HOST_GPADLS; i++) {
                const struct vmbus_host_gpadl *gpadl = &host->gpadls[i];
                if (gpadl->used && first < gpadl->first_word + gpadl->word_count &&
                    gpadl->first_word < first + count)
                        return true;
        }
        return false;
}

/* The lowest free run of `count` words begins at 0 or right behind some list. */
static bool find_words(const struct vmbus_host *host, uint32_t count, uint32_t *first)
{
        bool found = false;
        *first = 0;
        for (uint32_t i = 0; i <= VMBUS_HOST_GPADLS; i++) {
                uint32_t start = 0;
                if (i < VMBUS_HOST_GPADLS) {
                        if (!host->gpadls[i].used)
                                continue;
                        start = host->gpadls[i].first_word + host->gpadls[i].word_count;
                }
                if (count <= host->config.word_count &&
                    start <= host->config.word_count - count && !overlaps(host, start, count) &&
                    (!found || start < *first)) {
                        found = true;
                        *first = start;
                }
        }
        return found;
}

static struct vmbus_host_gpadl *take_words(struct vmbus_host *host, uint32_t count)
{
        for (uint32_t i = 0; i < VMBUS_HOST_GPADLS; i++) {
                struct vmbus_host_gpadl *gpadl = &host->gpadls[i];
                uint32_t first;
                if (gpadl->used)
                        continue;
                if (!find_words(host, count, &first))
                        return NULL;
                *gpadl = (struct vmbus_host_gpadl){
                        .used = true, .first_word = first, .word_count = count}; /* [H1] */
                return gpadl;
        }
        return NULL;
}

static uint64_t *words_of(const struct vmbus_host *host, const struct vmbus_host_gpadl *gpadl)
{
        return host->config.words + gpadl->first_word;
}

/* ---- create ---- */

static void answer_created(struct vmbus_host *host, uint32_t channel, uint32_t handle,
                           uint32_t status)
{
        struct wire_gpadl_created created = {.channel = channel, .gpadl = handle, .status = status};
        host_post(host, WIRE_GPADL_CREATED, &created, sizeof(created));
}

/* Replaces the page numbers of good ranges by addresses; false when a page is not there. */
static bool map_list(struct vmbus_host *host, uint64_t *words, uint32_t range_count,
                     uint64_t *missing)
{
        uint32_t at = 0;
        for (uint32_t i = 0; i < range_count; i++) {
                uint32_t pages =
                        vmbus_gpa_page_count((uint32_t)words[at], (uint32_t)(words[at] >> 32));
                at++;
                for (uint32_t page = 0; page < pages; page++, at++) {
                        void *address = host->config.ops->map(host->config.context, words[at]);
                        if (address == NULL) {
                                *missing = words[at];
                                return false;
                        }
                        words[at] = (uint64_t)(uintptr_t)address;
                }
        }
        return true;
}

/* All words are there: checks them, and answers. */
static void complete(struct vmbus_host *host, struct vmbus_host_gpadl *gpadl)
{
        struct vmbus_gpa_check check;
        uint64_t *words = words_of(host, gpadl), missing = 0;
        enum vmbus_result result =
                vmbus_gpa_validate(words, gpadl->word_count, gpadl->range_count, &check);
        if (result != VMBUS_OK) {
                host_note(host, VMBUS_HOST_GPADL_LIST, gpadl->channel, result, gpadl->handle);
        } else if (!map_list(host, words, gpadl->range_count, &missing)) {
                host_note(host, VMBUS_HOST_GPADL_PAGE, gpadl->channel, (uint32_t)missing,
                          gpadl->handle);
        } else {
                gpadl->created = true;
        }
        gpadl->used = gpadl->created;
        answer_created(host, gpadl->channel, gpadl->handle,
                       gpadl->created ? WIRE_STATUS_OK : WIRE_STATUS_UNSUCCESSFUL);
}

/* Takes the words of one message, `from` on; bytes beyond the announced length are ignored. */
static uint32_t gather(struct vmbus_host *host, struct vmbus_host_gpadl *gpadl,
                       const struct host_message *message, uint32_t from)
{
        uint32_t limit = from == sizeof(struct wire_gpadl_header) ? WIRE_GPADL_HEADER_WORDS_MAX
                                                                  : WIRE_GPADL_BODY_WORDS_MAX;
        uint32_t count = (message->count - from) / 8;
        count = (uint32_t)min_u64(min_u64(count, limit), gpadl->word_count - gpadl->words_have);
        memcpy(words_of(host, gpadl) + gpadl->words_have, message->bytes + from, count * 8);
        gpadl->words_have += count;
        if (gpadl->words_have == gpadl->word_count)
                complete(host, gpadl);
        return count;
}

static enum vmbus_host_rule check_header(struct vmbus_host *host,
                                         const struct wire_gpadl_header *header)
{
        struct vmbus_host_channel *channel = vmbus_host_channel(host, header->channel);
        if (channel == NULL || !channel->announced)
                return VMBUS_HOST_CHANNEL_UNKNOWN;
        if (header->range_bytes % 8 != 0 || header->range_bytes / 8 < WIRE_GPADL_WORDS_MIN)
                return VMBUS_HOST_GPADL_BYTES;
        if (header->range_count == 0)
                return VMBUS_HOST_GPADL_RANGES;
        if (host_gpadl_find(host, header->channel, header->gpadl) != NULL ||
            find_incomplete(host, header->gpadl) != NULL)
                return VMBUS_HOST_GPADL_IN_USE;
        return VMBUS_HOST_NONE;
}

void host_gpadl_header(struct vmbus_host *host, const struct host_message *message)
{
        const struct wire_gpadl_header *header = &message->gpadl;
        struct vmbus_host_gpadl *gpadl = NULL;
        enum vmbus_host_rule rule = check_header(host, header);
        if (rule == VMBUS_HOST_NONE) {
                gpadl = take_words(host, header->range_bytes / 8);
                if (gpadl == NULL)
                        rule = VMBUS_HOST_GPADL_NO_ROOM;
        }
        if (rule != VMBUS_HOST_NONE) {
                host_note(host, rule, header->channel, header->range_bytes, header->gpadl);
                answer_created(host, header->channel, header->gpadl, WIRE_STATUS_UNSUCCESSFUL);
                return;
        }
        gpadl->channel = header->channel;
        gpadl->handle = header->gpadl;
        gpadl->range_count = header->range_count;
        (void)gather(host, gpadl, message, sizeof(*header));
}

void host_gpadl_body(struct vmbus_host *host, const struct host_message *message)
{
        uint32_t handle = message->body.gpadl;
        struct vmbus_host_gpadl *gpadl = find_incomplete(host, handle);
        if (gpadl == NULL)
                host_note(host, VMBUS_HOST_GPADL_UNKNOWN, 0, handle, 0);
        else if (gather(host, gpadl, message, sizeof(message->body)) == 0)
                host_note(host, VMBUS_HOST_GPADL_EMPTY_BODY, gpadl->channel, handle, 0);
}

/* ---- tear down ---- */

void host_gpadl_teardown(struct vmbus_host *host, const struct host_message *message)
{
        uint32_t handle = message->teardown.gpadl, id = message->teardown.channel;
        struct wire_gpadl_torndown torndown = {.gpadl = handle};
        struct vmbus_host_channel *channel = vmbus_host_channel(host, id);
        struct vmbus_host_gpadl *gpadl = host_gpadl_find(host, id, handle);
        enum vmbus_host_rule rule = VMBUS_HOST_NONE;
        if (channel == NULL || !channel->announced)
                rule = VMBUS_HOST_CHANNEL_UNKNOWN;
        else if (gpadl == NULL)
                rule = VMBUS_HOST_GPADL_UNKNOWN;
        else if (!gpadl->created)
                rule = VMBUS_HOST_GPADL_INCOMPLETE;
        else if (channel->open && channel->ring_gpadl == handle)
                rule = VMBUS_HOST_GPADL_BUSY;
        if (rule != VMBUS_HOST_NONE) {
                host_note(host, rule, id, handle, 0);
                return;
        }
        ASSERT(gpadl->users == 0); /* [H2] */
        const struct vmbus_host_device *device = channel->offer->device;
        if (channel->running && device->ops->gpadl_gone != NULL)
                device->ops->gpadl_gone(channel->offer->device, channel, handle);
        gpadl->used = false;
        host_post(host, WIRE_GPADL_TORNDOWN, &torndown, sizeof(torndown));
}

/* ---- for devices ---- */

bool vmbus_host_gpadl_pages(struct vmbus_host_channel *channel, uint32_t handle,
                            struct vmbus_host_pages *pages)
{
        struct vmbus_host *host = channel->host;
        const struct vmbus_host_gpadl *gpadl = host_gpadl_find(host, channel->id, handle);
        struct vmbus_gpa_list list;
        struct vmbus_gpa_range range;
        if (gpadl == NULL || !gpadl->created)
                return false;
        list = (struct vmbus_gpa_list){.words = words_of(host, gpadl),
                                       .word_capacity = gpadl->word_count,
                                       .word_count = gpadl->word_count,
                                       .range_count = gpadl->range_count};
        if (!vmbus_gpa_list_contiguous_aligned(&list, &range))
                return false;
        *pages = (struct vmbus_host_pages){range.pages, range.page_count};
        return true;
}

void vmbus_host_pages_read(const struct vmbus_host_pages *pages, uint64_t offset, void *target,
                           uint32_t bytes)
{
        uint8_t *next = target;
        ASSERT(offset + bytes <= pages->page_count * PAGE_BYTES);
        while (bytes > 0) { /* a page a round */
                uint32_t within = offset % PAGE_BYTES;
                uint32_t count = (uint32_t)min_u64(bytes, PAGE_BYTES - within);
                const uint8_t *page =
                        (const uint8_t *)(uintptr_t)pages->addresses[offset / PAGE_BYTES];
                shared_copy_in(next, page + within, count);
                next += count;
                offset += count;
                bytes -= count;
        }
}

void vmbus_host_pages_write(const struct vmbus_host_pages *pages, uint64_t offset,
                            const void *source, uint32_t bytes)
{
        const uint8_t *next = source;
        ASSERT(offset + bytes <= pages->page_count * PAGE_BYTES);
        while (bytes > 0) { /* a page a round */
                uint32_t within = offset % PAGE_BYTES;
                uint32_t count = (uint32_t)min_u64(bytes, PAGE_BYTES - within);
                uint8_t *page = (uint8_t *)(uintptr_t)pages->addresses[offset / PAGE_BYTES];
                shared_copy_out(page + within, next, count);
                next += count;
                offset += count;
                bytes -= count;
        }
}

bool vmbus_host_gpa(struct vmbus_host_channel *channel, const struct vmbus_incoming *packet,
                    struct vmbus_gpa_list *list)
{
        struct vmbus_host *host = channel->host;
        enum vmbus_result result = vmbus_receiver_gpa_ranges(&channel->receiver, packet, list);
        uint64_t missing = 0;
        if (result == VMBUS_RANGE_END) {
                vmbus_host_broke(channel, VMBUS_HOST_PACKET_RANGES, packet->ranges.bytes / 8,
                                 list->word_capacity);
        } else if (result != VMBUS_OK) {
                vmbus_host_fail(channel, VMBUS_HOST_RING, result, 0);
        } else if (!map_list(host, list->words, list->range_count, &missing)) {
                vmbus_host_broke(channel, VMBUS_HOST_PACKET_PAGE, (uint32_t)missing, 0);
        } else {
                return true;
        }
        vmbus_gpa_list_clear(list);
        return false;
}
