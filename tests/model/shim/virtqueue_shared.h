/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* shared — stands in for lib/base/shared.h when lib/virtqueue is compiled for the relacy model
 * checker: the same accessors, each a call of the checker, which keeps the words and lets every
 * load see any value that the memory model allows. The calls are in virtqueue_model.cpp. */
#ifndef BASE_SHARED_H
#define BASE_SHARED_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum model_order { MODEL_RELAXED, MODEL_ACQUIRE, MODEL_RELEASE };

uint64_t model_load(const void *address, unsigned bytes, enum model_order order);
void model_store(void *address, uint64_t value, unsigned bytes, enum model_order order);
void model_fence(void);

#define SHARED_ACCESSORS_(bits)                                                             \
        static inline uint##bits##_t shared_load_u##bits(const void *address)               \
        {                                                                                   \
                return (uint##bits##_t)model_load(address, bits / 8, MODEL_RELAXED);        \
        }                                                                                   \
        static inline uint##bits##_t shared_load_acquire_u##bits(const void *address)       \
        {                                                                                   \
                return (uint##bits##_t)model_load(address, bits / 8, MODEL_ACQUIRE);        \
        }                                                                                   \
        static inline void shared_store_u##bits(void *address, uint##bits##_t value)        \
        {                                                                                   \
                model_store(address, value, bits / 8, MODEL_RELAXED);                       \
        }                                                                                   \
        static inline void shared_store_release_u##bits(void *address, uint##bits##_t value) \
        {                                                                                   \
                model_store(address, value, bits / 8, MODEL_RELEASE);                       \
        }

SHARED_ACCESSORS_(16)
SHARED_ACCESSORS_(32)
SHARED_ACCESSORS_(64)
#undef SHARED_ACCESSORS_

static inline void shared_fence_full(void)
{
        model_fence();
}

/* The model moves whole words. */
void shared_copy_in(void *private_bytes, const void *shared_bytes, size_t bytes);
void shared_copy_out(void *shared_bytes, const void *private_bytes, size_t bytes);

#endif
