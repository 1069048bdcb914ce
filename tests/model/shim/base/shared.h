/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* shared — stands in for lib/base/shared.h when lib/vmbus_ring is compiled for the relacy model
 * checker: the same accessors, on words that relacy keeps.
 *
 * The four words of a control page are relacy atomics. The words of the data area are plain
 * variables of relacy, so that one that is read before it is published, or overwritten before it
 * was given back, is a data race and ends the run. */
#ifndef BASE_SHARED_H
#define BASE_SHARED_H

/* Addresses in these two stand for the words; nothing is ever stored in them. */
static unsigned char control_place[4096] __attribute__((aligned(4096)));
static unsigned char data_place[4096] __attribute__((aligned(4096)));

struct model_words {
        rl::atomic<uint32_t> control[5]; /* in, out, interrupt_mask, pending_send_size, features */
        rl::var<uint64_t> data[512];
};
static model_words *model;

static rl::atomic<uint32_t> &control_word(const void *address)
{
        size_t index = ((const unsigned char *)address - control_place) / 4;
        return model->control[index < 4 ? index : 4];
}

static rl::var<uint64_t> &data_word(const void *address)
{
        return model->data[((const unsigned char *)address - data_place) / 8];
}

static uint32_t shared_load_u32(const void *address)
{
        return control_word(address).load(rl::memory_order_relaxed);
}
static uint32_t shared_load_acquire_u32(const void *address)
{
        return control_word(address).load(rl::memory_order_acquire);
}
static void shared_store_u32(void *address, uint32_t value)
{
        control_word(address).store(value, rl::memory_order_relaxed);
}
static void shared_store_release_u32(void *address, uint32_t value)
{
        control_word(address).store(value, rl::memory_order_release);
}
static void shared_fence_full(void)
{
        rl::atomic_thread_fence(rl::memory_order_seq_cst);
}
static uint64_t shared_load_u64(const void *address)
{
        return data_word(address)($);
}
static void shared_store_u64(void *address, uint64_t value)
{
        data_word(address)($) = value;
}
static void shared_copy_in(void *, const void *, size_t)
{
        abort(); /* the model moves whole words */
}
static void shared_copy_out(void *, const void *, size_t)
{
        abort();
}

#endif
