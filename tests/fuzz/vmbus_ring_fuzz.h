/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_ring_fuzz — what the two fuzz targets of the ring share: the input as a script, and a ring
 * on areas of their own, so that a byte too far is a fault.
 *
 *   input    |areas, 1 byte|op|operands|op|operands| ...         ends where the bytes end */
#ifndef TESTS_FUZZ_VMBUS_RING_FUZZ_H
#define TESTS_FUZZ_VMBUS_RING_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "vmbus_ring/vmbus_ring.h"

#define FUZZ_PAGES_MAX 2u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input {
        const uint8_t *next;
        size_t left;
};

/* The next byte, or 0 at the end. */
static inline uint8_t fuzz_u8(struct fuzz_input *input)
{
        if (input->left == 0)
                return 0;
        input->left--;
        return *input->next++;
}

static inline uint32_t fuzz_u32(struct fuzz_input *input)
{
        uint32_t value = 0;
        for (uint32_t i = 0; i < 4; i++)
                value |= (uint32_t)fuzz_u8(input) << (8 * i);
        return value;
}

/* A number of bytes or an index: mostly a small multiple of 8, so that the rules are met often. */
static inline uint32_t fuzz_size(struct fuzz_input *input)
{
        uint8_t kind = fuzz_u8(input);
        return kind < 0xf0 ? (kind & 7) * 512u + fuzz_u8(input) * 8u : fuzz_u32(input);
}

struct fuzz_ring {
        struct vmbus_memory memory;
        void *control;
        void *pages[FUZZ_PAGES_MAX];
        uint32_t page_count;
};

static inline void *fuzz_page(size_t bytes)
{
        void *page = aligned_alloc(PAGE_BYTES, bytes);
        if (page == NULL)
                abort();
        memset(page, 0, bytes);
        return page;
}

static inline void fuzz_check(bool held, const char *what)
{
        if (held)
                return;
        fprintf(stderr, "does not hold: %s\n", what);
        abort();
}
#define CHECK(condition) fuzz_check((condition), #condition)

static inline void fuzz_open(struct fuzz_ring *ring, uint8_t choice)
{
        zx_status_t status;
        ring->control = fuzz_page(PAGE_BYTES);
        ring->page_count = choice & 1 ? 2 : 1;
        if (choice & 2) {
                for (uint32_t i = 0; i < ring->page_count; i++)
                        ring->pages[i] = fuzz_page(PAGE_BYTES);
                status = vmbus_memory_init_paged(&ring->memory, ring->control, ring->pages,
                                                 ring->page_count);
        } else {
                ring->pages[0] = fuzz_page(ring->page_count * PAGE_BYTES);
                status = vmbus_memory_init_flat(&ring->memory, ring->control, ring->pages[0],
                                                ring->page_count * PAGE_BYTES);
                ring->page_count = 1;
        }
        CHECK(status == ZX_OK);
}

static inline void fuzz_close(struct fuzz_ring *ring)
{
        for (uint32_t i = 0; i < ring->page_count; i++)
                free(ring->pages[i]);
        free(ring->control);
}

NORETURN void assert_failed(const char *file, unsigned line, const char *expression)
{
        fprintf(stderr, "assertion failed: %s:%u: %s\n", file, line, expression);
        abort();
}

#endif
