/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* slab — small objects of one size; the page of an object is found by rounding its address down. */
#include "kernel/slab.h"

#include "base/assert.h"
#include "base/bytes.h"

#define WORD_BITS 64u
#define SLAB_PAGE_MAGIC 0x42414c53u /* "SLAB" in memory */

/* At the start of each page. */
struct slab_page {
        struct slab *slab;
        struct list_node node; /* on slab->partial [A1] */
        uint32_t magic;
        uint32_t used_count;
        uint64_t free_bits[SLAB_BITMAP_WORDS]; /* bit i % 64 of word i / 64: object i is free */
};
_Static_assert(sizeof(struct slab_page) == SLAB_PAGE_HEADER_BYTES, "objects start behind it");
_Static_assert(SLAB_OBJECT_BYTES_MAX / SLAB_ALIGNMENT <= SLAB_BITMAP_WORDS * WORD_BITS,
               "a bit for each object");

zx_status_t slab_init(struct slab *slab, const char *name, struct pmm *pmm, size_t object_bytes)
{
        if (pmm == NULL || object_bytes == 0 || object_bytes > SLAB_OBJECT_BYTES_MAX)
                return ZX_ERR_INVALID_ARGS;
        memset(slab, 0, sizeof(*slab));
        spinlock_init(&slab->lock, name);
        slab->name = name;
        slab->pmm = pmm;
        slab->object_bytes = (uint32_t)round_up(object_bytes, SLAB_ALIGNMENT);
        slab->objects_per_page = (uint32_t)(SLAB_OBJECT_BYTES_MAX / slab->object_bytes);
        list_init(&slab->partial);
        return ZX_OK;
}

void slab_fini(struct slab *slab)
{
        ASSERT(slab->object_count == 0);
        ASSERT(slab->page_count == 0);
}

static struct slab_page *page_of_node(struct list_node *node)
{
        return CONTAINER_OF(node, struct slab_page, node);
}

/* One page more, with all objects free, at the head of the list. */
static bool grow(struct slab *slab)
{
        struct vm_page *page;
        if (pmm_alloc_page(slab->pmm, PMM_ALLOC_ANY, &page) != ZX_OK)
                return false;
        pmm_set_state(slab->pmm, page, VM_PAGE_SLAB);
        struct slab_page *header = pmm_page_va(slab->pmm, page);
        memset(header, 0, sizeof(*header));
        header->slab = slab;
        header->magic = SLAB_PAGE_MAGIC;
        for (uint32_t i = 0; i < slab->objects_per_page; i++)
                header->free_bits[i / WORD_BITS] |= BIT_MASK(i % WORD_BITS);
        list_add_head(&slab->partial, &header->node);
        slab->page_count++;
        return true;
}

/* The lowest free object of a page that has one. */
static void *take_object(struct slab *slab, struct slab_page *header)
{
        uint32_t word = 0;
        while (header->free_bits[word] == 0)
                word++;
        ASSERT(word < SLAB_BITMAP_WORDS); /* [A1] */
        uint32_t index = word * WORD_BITS + (uint32_t)__builtin_ctzll(header->free_bits[word]);
        header->free_bits[word] &= header->free_bits[word] - 1;
        header->used_count++;
        if (header->used_count == slab->objects_per_page)
                list_remove(&header->node);
        slab->object_count++;
        return (uint8_t *)header + SLAB_PAGE_HEADER_BYTES + (uint64_t)index * slab->object_bytes;
}

void *slab_alloc(struct slab *slab)
{
        void *object = NULL;
        spinlock_take(&slab->lock);
        if (!list_is_empty(&slab->partial) || grow(slab))
                object = take_object(slab, page_of_node(slab->partial.next));
        else
                slab->failure_count++;
        spinlock_give(&slab->lock);
        if (object != NULL)
                memset(object, 0, slab->object_bytes);
        return object;
}

void slab_free(struct slab *slab, void *object)
{
        uint64_t offset = (uint64_t)(uintptr_t)object % PAGE_BYTES - SLAB_PAGE_HEADER_BYTES;
        struct slab_page *header =
                (void *)(uintptr_t)round_down((uint64_t)(uintptr_t)object, PAGE_BYTES);
        uint64_t index = offset / slab->object_bytes; /* huge if the pointer is into the header */

        ASSERT(object != NULL);
        spinlock_take(&slab->lock);
        ASSERT(header->magic == SLAB_PAGE_MAGIC);
        ASSERT(header->slab == slab);
        ASSERT(index < slab->objects_per_page && offset % slab->object_bytes == 0);
        /* twice */
        ASSERT((header->free_bits[index / WORD_BITS] & BIT_MASK(index % WORD_BITS)) == 0);
        header->free_bits[index / WORD_BITS] |= BIT_MASK(index % WORD_BITS);
        if (header->used_count == slab->objects_per_page)
                list_add_head(&slab->partial, &header->node);
        header->used_count--;
        slab->object_count--;
        if (header->used_count == 0) {
                list_remove(&header->node);
                header->magic = 0;
                slab->page_count--;
                pmm_free_page(slab->pmm, pmm_page_from_va(slab->pmm, header));
        }
        spinlock_give(&slab->lock);
}

struct slab_counts slab_counts(struct slab *slab)
{
        spinlock_take(&slab->lock);
        struct slab_counts counts = {slab->object_count, slab->page_count, slab->failure_count};
        spinlock_give(&slab->lock);
        return counts;
}

static bool page_is_valid(const struct slab *slab, struct slab_page *header)
{
        uint32_t free_count = 0;
        for (uint32_t i = 0; i < SLAB_BITMAP_WORDS; i++)
                free_count += (uint32_t)__builtin_popcountll(header->free_bits[i]);
        const struct vm_page *page = pmm_page_from_va(slab->pmm, header);
        return header->magic == SLAB_PAGE_MAGIC && header->slab == slab && page != NULL &&
               vm_page_state(page) == VM_PAGE_SLAB && free_count != 0 && header->used_count != 0 &&
               header->used_count + free_count == slab->objects_per_page;
}

bool slab_valid(struct slab *slab)
{
        uint64_t pages = 0, objects = 0;
        bool valid = true;
        spinlock_take(&slab->lock);
        LIST_FOR_EACH(node, &slab->partial)
        {
                struct slab_page *header = page_of_node(node);
                valid = valid && page_is_valid(slab, header) && pages < slab->page_count;
                if (!valid)
                        break;
                pages++;
                objects += header->used_count;
        }
        valid = valid && (slab->page_count - pages) * slab->objects_per_page + objects ==
                                 slab->object_count;
        spinlock_give(&slab->lock);
        return valid;
}
