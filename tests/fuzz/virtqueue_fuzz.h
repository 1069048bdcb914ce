/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtqueue_fuzz — the input of a fuzzer as a row of decisions, and what its checks are made of. */
#ifndef TESTS_FUZZ_VIRTQUEUE_FUZZ_H
#define TESTS_FUZZ_VIRTQUEUE_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"

#define CHECK(condition)                                                                  \
        do {                                                                              \
                if (!(condition)) {                                                       \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);   \
                        abort();                                                          \
                }                                                                         \
        } while (0)

struct fuzz_input {
        const uint8_t *bytes;
        size_t count;
};

/* The next byte; 0 when there are no more. */
static inline uint8_t fuzz_u8(struct fuzz_input *input)
{
        if (input->count == 0)
                return 0;
        input->count--;
        return *input->bytes++;
}

static inline uint16_t fuzz_u16(struct fuzz_input *input)
{
        uint16_t low = fuzz_u8(input);
        return (uint16_t)(low | fuzz_u8(input) << 8);
}

static inline uint32_t fuzz_u32(struct fuzz_input *input)
{
        uint32_t low = fuzz_u16(input);
        return low | (uint32_t)fuzz_u16(input) << 16;
}

NORETURN void assert_failed(const char *file, unsigned line, const char *expression)
{
        fprintf(stderr, "assertion failed: %s:%u: %s\n", file, line, expression);
        abort();
}

#endif
