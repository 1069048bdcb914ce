/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_backings — rings on each kind of data area, for the host tests of lib/vmbus_ring. */
#ifndef TESTS_HOST_VMBUS_RING_BACKINGS_H
#define TESTS_HOST_VMBUS_RING_BACKINGS_H

#include "tests/boot/vmbus_ring_rig.h"

enum backing { BACKING_FLAT, BACKING_PAGED, BACKING_MIRRORED, BACKING_COUNT };

#define BACKING_PAGES_MAX 16u

/* `page_count` pages, mapped twice in a row and then a page that faults; never unmapped. Supplied
 * by vmbus_ring_threads_hosted_test.c, for it needs the system. */
uint8_t *backing_mirror(struct test *t, uint32_t page_count);

/* A ring on an area of that kind; `table` holds the pages of a paged one. */
static inline bool open_backing(struct test *t, struct rig *rig, enum backing backing,
                                uint32_t page_count, void *table[BACKING_PAGES_MAX])
{
        uint8_t *control = world_pages(t, 1, NULL);
        uint64_t bytes = page_count * PAGE_BYTES;
        zx_status_t status;
        if (backing == BACKING_PAGED) {
                /* Backwards, and with a gap between any two. */
                uint8_t *pages = world_pages(t, 2 * page_count, NULL);
                for (uint32_t i = 0; i < page_count; i++)
                        table[i] = pages + 2 * (page_count - 1 - i) * PAGE_BYTES;
                status = vmbus_memory_init_paged(&rig->memory, control, table, page_count);
        } else if (backing == BACKING_MIRRORED) {
                status = vmbus_memory_init_mirrored(&rig->memory, control,
                                                    backing_mirror(t, page_count), bytes);
        } else {
                status = vmbus_memory_init_flat(&rig->memory, control,
                                                world_pages(t, page_count, NULL), bytes);
        }
        return EXPECT_OK(status);
}

/* One byte of the data area, by the definition of each kind. */
static inline uint8_t *backing_byte(const struct vmbus_memory *memory, uint32_t index)
{
        return memory->data != NULL ? memory->data + index
                                    : memory->pages[index / 4096] + index % 4096;
}

#endif
