/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* backtrace — who called whom, by frame pointers.
 *
 *   rbp -> | caller's rbp   |     when an exception or interrupt came between, trap_dispatch's:
 *          | return address |     its return address is trap_return, and right above it lies the
 *          | ...            |     struct arch_trap_frame of the interrupted function
 *
 * The stack may be damaged: every address is checked to lie inside a kernel stack before it is
 * read, frames of one stack must go upwards, and the number of steps is bounded. gcc makes no frame
 * for a function that calls nothing; when such a one is interrupted its caller is found by looking
 * at what the stack pointer points at. Context: any. */
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
        unsigned stack = stack_at(address);

        if (stack == STACK_NONE || address < stack_bottom(stack) ||
            address > stack_top(stack) - bytes)
                return false;
        *index = stack;
        return is_aligned(address, sizeof(uint64_t));
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

/* ---- the interrupted function ---- */

#define OPCODE_CALL_RELATIVE 0xe8
#define CALL_RELATIVE_BYTES 5
#define OPCODE_GROUP5 0xff
#define GROUP5_CALL 2 /* bits 3..5 of the byte behind it: a call through register or memory */
#define CALL_INDIRECT_BYTES_MIN 2
#define CALL_INDIRECT_BYTES_MAX 7
#define FUNCTION_BYTES_MAX 0x10000

enum call_kind { CALL_NONE, CALL_DIRECT, CALL_INDIRECT };

/* What kind of call `return_address` stands behind; a direct one must be to the function that `rip`
 * is in, as far as one can tell. Intel SDM 2, CALL. */
static enum call_kind call_before(uint64_t return_address, uint64_t rip)
{
        const uint8_t *code = (const uint8_t *)return_address;

        if (!in_text(return_address) || !in_text(return_address - CALL_INDIRECT_BYTES_MAX))
                return CALL_NONE;
        if (code[-CALL_RELATIVE_BYTES] == OPCODE_CALL_RELATIVE) {
                int32_t distance;
                memcpy(&distance, code - sizeof(distance), sizeof(distance));
                uint64_t target = return_address + (uint64_t)(int64_t)distance;
                if (rip >= target && rip - target < FUNCTION_BYTES_MAX)
                        return CALL_DIRECT;
        }
        for (int back = CALL_INDIRECT_BYTES_MIN; back <= CALL_INDIRECT_BYTES_MAX; back++) {
                if (code[-back] == OPCODE_GROUP5 && (code[1 - back] >> 3 & 7) == GROUP5_CALL)
                        return CALL_INDIRECT;
        }
        return CALL_NONE;
}

/* The caller of a function that was interrupted with its return address on top of the stack:
 * because it has no frame, or not yet, or no longer.
 * 0 when the top of the stack is something else. */
static uint64_t caller_on_top(const struct arch_trap_frame *frame)
{
        unsigned stack;
        uint64_t top;

        if (!in_stack(frame->rsp, sizeof(uint64_t), &stack))
                return 0;
        top = *(const uint64_t *)frame->rsp;
        if (!in_text(frame->rip))
                return in_text(top) ? top : 0; /* a call through a wrong pointer */
        switch (call_before(top, frame->rip)) {
        case CALL_DIRECT:
                return top;
        case CALL_INDIRECT:
                /* Any function could have been called there;
                 * not if the frame pointer says the same. */
                if (in_stack(frame->rbp, sizeof(struct call_frame), &stack) &&
                    ((const struct call_frame *)frame->rbp)->return_address == top)
                        return 0;
                return top;
        default:
                return 0;
        }
}

/* Stores where `frame` was and returns the frame pointer to go on with. */
static uint64_t store_interrupted(struct trace *trace, const struct arch_trap_frame *frame)
{
        uint64_t caller = caller_on_top(frame);

        store(trace, frame->rip);
        if (caller != 0)
                store(trace, caller);
        return frame->rbp;
}

/* ---- the walk ---- */

size_t NOINLINE arch_backtrace(const struct arch_trap_frame *frame, uint64_t *addresses, size_t max)
{
        struct trace trace = {.addresses = addresses, .max = max};
        uint64_t at = frame != NULL ? store_interrupted(&trace, frame)
                                    : (uint64_t)__builtin_frame_address(0);
        uint64_t before = 0;
        unsigned stack, stack_before = STACK_NONE;

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
