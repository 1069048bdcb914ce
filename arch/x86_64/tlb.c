/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* tlb — takes translations out of the TLBs of all CPUs.
 *
 * One request at a time, under a lock. The asking CPU writes the batch, then the mask of those who
 * have to answer, interrupts them, and waits until each has taken its bit out of the mask. A CPU
 * answers in its interrupt handler, or by arch_tlb_poll when it waits with interrupts off. All CPUs
 * answer, whatever tables they are on: there are few of them, and a wrong guess would be a use
 * after free. Facts: Intel SDM 3, 4.10.4 (what invalidates what), 4.10.5 (several CPUs). */
#include <stdatomic.h>

#include "arch/arch.h"
#include "arch/cpu.h"
#include "arch/lapic.h"
#include "arch/smp.h"
#include "arch/text.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "base/spinlock.h"

/* A virtual CPU may be off its processor for long; a real hang lasts for ever. */
#define ANSWER_NS_MAX 5000000000ull
#define POLLS_PER_CLOCK_READ 64u

static struct spinlock lock = SPINLOCK_INIT("tlb shoot-down");
/* Written by the holder of the lock while `pending` is 0; read by those whose bit is set. */
static struct arch_tlb_batch request;
static _Atomic uint64_t pending; /* a bit for each CPU that has not answered */

void arch_tlb_add(struct arch_tlb_batch *batch, uint64_t va, uint64_t bytes)
{
        uint64_t pages = div_round_up(bytes, PAGE_BYTES);

        if (batch->everything)
                return;
        if (pages > ARCH_TLB_PAGES_MAX - batch->page_count) {
                batch->everything = true;
                return;
        }
        batch->page_count += (uint32_t)pages;
        if (batch->range_count > 0) { /* goes on where the last one ended: the usual case */
                uint32_t last = batch->range_count - 1;
                if (batch->ranges[last].va + batch->ranges[last].pages * PAGE_BYTES == va) {
                        batch->ranges[last].pages += pages;
                        return;
                }
        }
        if (batch->range_count == ARCH_TLB_RANGES_MAX) {
                batch->everything = true;
                return;
        }
        batch->ranges[batch->range_count].va = va;
        batch->ranges[batch->range_count++].pages = pages;
}

static void invalidate(const struct arch_tlb_batch *batch)
{
        if (batch->everything) {
                paging_drop_all();
                return;
        }
        for (uint32_t i = 0; i < batch->range_count; i++)
                for (uint64_t page = 0; page < batch->ranges[i].pages; page++)
                        cpu_invalidate_page(batch->ranges[i].va + page * PAGE_BYTES);
}

void arch_tlb_poll(void)
{
        uint64_t bit = BIT_MASK(arch_cpu_index());

        if (LIKELY((atomic_load_explicit(&pending, memory_order_relaxed) & bit) == 0))
                return;
        /* Not twice at the same time: the inner answer would end the request
         * under the outer one. */
        bool enabled = arch_interrupts_disable();
        /* acquire: pairs with the release in ask_others; `request` is ours to read now */
        if ((atomic_load_explicit(&pending, memory_order_acquire) & bit) != 0) {
                struct arch_cpu *cpu = smp_this();
                invalidate(&request);
                __atomic_store_n(&cpu->shootdown_count, cpu->shootdown_count + 1, __ATOMIC_RELAXED);
                /* release: pairs with the acquire in ask_others; what we read through the old
                 * translations was read before */
                atomic_fetch_and_explicit(&pending, ~bit, memory_order_release);
        }
        arch_interrupts_restore(enabled);
}

static NORETURN void panic_about(uint64_t silent)
{
        char cause[96];
        struct text text = text_begin(cause, sizeof(cause));

        text_add(&text, "CPU ");
        text_add_decimal(&text, (uint64_t)__builtin_ctzll(silent));
        text_add(&text, " does not answer a TLB shoot-down of CPU ");
        text_add_decimal(&text, arch_cpu_index());
        kernel_arch_panic(cause);
}

/* The lock is held. */
static void ask_others(const struct arch_tlb_batch *batch, uint64_t others)
{
        uint64_t deadline_ns = arch_clock_ns() + ANSWER_NS_MAX, silent;
        uint32_t polls = 0;

        request = *batch;
        atomic_store_explicit(&pending, others, memory_order_release);
        for (uint64_t left = others; left != 0; left &= left - 1)
                lapic_send(smp_cpu((uint32_t)__builtin_ctzll(left))->apic_id, SMP_VECTOR_TLB);
        while ((silent = atomic_load_explicit(&pending, memory_order_acquire)) != 0) {
                arch_pause();
                if (++polls % POLLS_PER_CLOCK_READ == 0 && arch_clock_ns() > deadline_ns)
                        panic_about(silent);
        }
}

void arch_tlb_flush(struct arch_tlb_batch *batch)
{
        uint64_t others;

        if (batch->range_count == 0 && !batch->everything)
                return;
        invalidate(batch);
        /* A CPU that comes on line later than this look drops all its translations after it did,
         * and the tables were changed before: seq_cst on both sides (smp.c). */
        atomic_thread_fence(memory_order_seq_cst);
        others = atomic_load_explicit(&smp_online, memory_order_seq_cst) &
                 ~BIT_MASK(arch_cpu_index());
        if (others != 0) {
                spinlock_take(&lock);
                ask_others(batch, others);
                spinlock_give(&lock);
        }
        *batch = (struct arch_tlb_batch){0};
}
