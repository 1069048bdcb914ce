/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* backtrace — who called whom, by frame pointers.
 *
 *   rbp -> | caller's rbp   |        trap_dispatch's frame, when an exception or interrupt came between:
 *          | return address |        its return address is trap_return, and right above it lies
 *          | ...            |        the struct arch_trap_frame of the interrupted function
 *
 * The stack may be damaged: every address is checked to lie inside a kernel stack before it is read, frames of
 * one stack must go upwards, and the number of steps is bounded. Code without frame pointers (some assembler
 * in the C library) hides its direct caller, as does a function interrupted in its first two instructions.
 * Context: any. */
#include "arch/address_space.h"
#include "arch/arch.h"
#include "arch/trap.h"
#include "base/bytes.h"

extern const char trap_return[]; /* trap.S */

/* Interrupts nest two or three deep at most, and the stacks are 16 KiB. */
#define STEPS_MAX 4096

struct call_frame {
        uint64_t caller_frame;
        uint64_t return_address;
};

/* Whether `bytes` bytes at `address` lie in one stack; *index names it. */
static bool in_stack(uint64_t address, uint64_t bytes, unsigned *index)
{
        for (unsigned i = 0; i < STACK_COUNT; i++) {
                if (address >= stack_bottom(i) && address <= stack_top(i) - bytes) {
                        *index = i;
                        return is_aligned(address, sizeof(uint64_t));
                }
        }
        return false;
}

static bool in_text(uint64_t address)
{
        return address >= (uint64_t)text_start && address < (uint64_t)text_end;
}

struct trace {
        uint64_t *addresses;
        size_t max, count;
};

static void store(struct trace *trace, uint64_t address)
{
        if (trace->count < trace->max)
                trace->addresses[trace->count++] = address;
}

/* Stores where `frame` was and returns the frame pointer to go on with. When the CPU was not in our code (a
 * call through a wrong pointer), the caller is what the call has just pushed. */
static uint64_t store_interrupted(struct trace *trace, const struct arch_trap_frame *frame)
{
        unsigned stack;

        store(trace, frame->rip);
        if (!in_text(frame->rip) && in_stack(frame->rsp, sizeof(uint64_t), &stack) &&
            in_text(*(const uint64_t *)frame->rsp))
                store(trace, *(const uint64_t *)frame->rsp);
        return frame->rbp;
}

size_t NOINLINE arch_backtrace(const struct arch_trap_frame *frame, uint64_t *addresses, size_t max)
{
        struct trace trace = {.addresses = addresses, .max = max};
        uint64_t at = frame != NULL ? store_interrupted(&trace, frame)
                                    : (uint64_t)__builtin_frame_address(0);
        uint64_t before = 0;
        unsigned stack, stack_before = STACK_COUNT;

        for (unsigned step = 0; step < STEPS_MAX && trace.count < max; step++) {
                if (!in_stack(at, sizeof(struct call_frame), &stack))
                        break;
                if (stack == stack_before && at <= before)
                        break;
                before = at;
                stack_before = stack;

                const struct call_frame *call = (const struct call_frame *)at;
                if (!in_text(call->return_address))
                        break;
                store(&trace, call->return_address);
                at = call->caller_frame;

                const struct arch_trap_frame *trap = (const struct arch_trap_frame *)(call + 1);
                unsigned trap_stack;
                if (call->return_address == (uint64_t)trap_return &&
                    in_stack((uint64_t)trap, sizeof(*trap), &trap_stack))
                        at = store_interrupted(&trace, trap);
        }
        return trace.count;
}
