/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/symbols.c with kernel/gen_symbols.sh, and of arch/x86_64/backtrace.c,
 * which needs names. */
#include "tests/expect.h"

#include <string.h>

#include "arch/arch.h"
#include "base/shared.h"
#include "kernel/panic.h"
#include "kernel/symbols.h"
#include "kernel/time.h"

extern const char text_start[], text_end[]; /* linker.ld */

#define FRAMES_MAX 32

static void expect_name(struct test *t, uint64_t address, const char *expected,
                        uint64_t expected_offset)
{
        const char *name = "(none)";
        uint64_t offset = UINT64_MAX;

        EXPECT_TRUE(symbols_lookup(address, &name, &offset));
        EXPECT_STR_EQ(name, expected);
        EXPECT_EQ(offset, expected_offset);
}

TEST(symbols, functions_have_their_names)
{
        EXPECT_GT(symbols_count(), 50);
        expect_name(t, (uint64_t)symbols_lookup, "symbols_lookup", 0);
        expect_name(t, (uint64_t)symbols_lookup + 1, "symbols_lookup", 1);
        expect_name(t, (uint64_t)panic, "panic", 0);
        expect_name(t, (uint64_t)kernel_main, "kernel_main", 0);
        expect_name(t, (uint64_t)expect_name, "expect_name", 0); /* static functions, too */
        expect_name(t, (uint64_t)memcpy, "memcpy", 0);           /* and the C library's */
}

TEST(symbols, only_text_has_names)
{
        const char *name = "untouched";
        uint64_t offset = 7;
        int local = 0;

        EXPECT_FALSE(symbols_lookup(0, &name, &offset));
        EXPECT_FALSE(symbols_lookup((uint64_t)text_start - 1, &name, &offset));
        EXPECT_FALSE(symbols_lookup((uint64_t)text_end, &name, &offset));
        EXPECT_FALSE(symbols_lookup((uint64_t)&local, &name, &offset));
        EXPECT_FALSE(symbols_lookup(UINT64_MAX, &name, &offset));
        EXPECT_STR_EQ(name, "untouched");
        EXPECT_EQ(offset, 7);
        EXPECT_TRUE(symbols_lookup((uint64_t)text_start, &name, &offset));
        EXPECT_TRUE(symbols_lookup((uint64_t)text_end - 1, &name, &offset));
}

/* Every address of .text in steps:
 * names never go backwards, and an offset is the way from the start. */
TEST(symbols, table_is_ascending)
{
        uint64_t start_before = 0;

        for (uint64_t address = (uint64_t)text_start; address < (uint64_t)text_end;
             address += 601) {
                const char *name;
                uint64_t offset;
                REQUIRE_TRUE(symbols_lookup(address, &name, &offset));
                REQUIRE_TRUE(offset <= address - (uint64_t)text_start);
                REQUIRE_TRUE(address - offset >= start_before);
                start_before = address - offset;
        }
}

/* ---- backtraces ---- */

struct trace {
        uint64_t addresses[FRAMES_MAX];
        size_t max, count;
};

static void NOINLINE trace_inner(struct trace *trace)
{
        trace->count = arch_backtrace(NULL, trace->addresses, trace->max);
        shared_fence_full(); /* not a tail call */
}

static void NOINLINE trace_outer(struct trace *trace)
{
        trace_inner(trace);
        shared_fence_full();
}

/* The index of the first frame, from `from` on, whose function's name begins with `name` (a
 * compiler may make a variant, name.constprop.0); trace->count when there is none. */
static size_t find_frame(const struct trace *trace, size_t from, const char *name)
{
        for (size_t i = from; i < trace->count; i++) {
                const char *found;
                uint64_t offset;
                if (symbols_lookup(trace->addresses[i] - 1, &found, &offset) &&
                    strncmp(found, name, strlen(name)) == 0)
                        return i;
        }
        return trace->count;
}

TEST(symbols, backtrace_names_the_callers)
{
        struct trace trace = {.max = FRAMES_MAX};

        trace_outer(&trace);
        EXPECT_EQ(find_frame(&trace, 0, "trace_inner"), 0);
        EXPECT_EQ(find_frame(&trace, 0, "trace_outer"), 1);
        EXPECT_EQ(find_frame(&trace, 0, "symbols.backtrace_names_the_callers"), 2);
        EXPECT_LT(find_frame(&trace, 3, "kernel_main"), trace.count);
        EXPECT_LT(trace.count, FRAMES_MAX); /* it ended by itself */
}

TEST(symbols, backtrace_stops_at_max)
{
        struct trace trace = {.max = 2};

        trace.addresses[2] = 12345;
        trace_outer(&trace);
        EXPECT_EQ(trace.count, 2);
        EXPECT_EQ(trace.addresses[2], 12345);
        trace.max = 0;
        trace_outer(&trace);
        EXPECT_EQ(trace.count, 0);
}

/* A chain of frames as a damaged stack might hold:
 * `link` is where the second one says it goes on. */
struct fake_frame {
        const void *next;
        uint64_t return_address;
};

static void NOINLINE trace_damaged(struct trace *trace, const void *link)
{
        struct fake_frame *mine = __builtin_frame_address(0);
        const void *next = mine->next;

        shared_store_u64(&mine->next, (uint64_t)link);
        trace->count = arch_backtrace(NULL, trace->addresses, trace->max);
        shared_store_u64(&mine->next, (uint64_t)next);
}

TEST(symbols, backtrace_survives_a_damaged_stack)
{
        struct trace trace = {.max = FRAMES_MAX};
        struct fake_frame loop = {.next = &loop, .return_address = (uint64_t)panic};
        struct fake_frame nowhere = {.next = NULL, .return_address = 0x1234};
        const void *const links[] = {
                NULL,                                /* nothing */
                (const void *)0x0000900000000000ull, /* not canonical */
                (const void *)0xffffb00000001000ull, /* not mapped */
                (const void *)UINT64_MAX,
                (const char *)&loop + 1, /* not aligned */
                text_start,              /* not a stack */
                __builtin_frame_address(0),
                &loop, &nowhere,
        };

        for (size_t i = 0; i < ARRAY_COUNT(links); i++) {
                memset(trace.addresses, 0, sizeof(trace.addresses));
                trace_damaged(&trace, links[i]);
                EXPECT_GE(trace.count, 2); /* in trace_damaged, and in this function */
                EXPECT_LT(trace.count, FRAMES_MAX);
                EXPECT_EQ(find_frame(&trace, 0, "trace_damaged"), 0);
                EXPECT_EQ(find_frame(&trace, 0, "symbols.backtrace_survives"), 1);
        }
}

/* ---- through an interrupt ---- */

#define INTERRUPT_WAIT_NS (100 * NS_PER_MS)

static struct trace interrupt_trace;
static bool interrupt_seen;

static void trace_in_interrupt(void *context)
{
        struct trace *trace = context;

        trace->count = arch_backtrace(NULL, trace->addresses, trace->max);
        shared_store_u8(&interrupt_seen, true);
}

static bool NOINLINE be_interrupted(const struct arch_msi_message *message)
{
        uint64_t deadline = time_deadline_after(INTERRUPT_WAIT_NS);

        arch_irq_raise_self(message);
        while (!shared_load_u8(&interrupt_seen)) {
                if (time_passed(deadline))
                        return false;
        }
        return true;
}

TEST(symbols, backtrace_goes_through_an_interrupt)
{
        struct arch_msi_message message;
        bool enabled;
        size_t handler, interrupted;

        interrupt_trace.max = FRAMES_MAX;
        interrupt_seen = false;
        zx_status_t status = arch_irq_allocate_msi("symbols test", trace_in_interrupt,
                                                   &interrupt_trace, &message);
        if (status != ZX_OK)
                SKIP("no local APIC");
        enabled = arch_interrupts_enabled();
        arch_interrupts_enable();
        EXPECT_TRUE(be_interrupted(&message));
        if (!enabled)
                arch_interrupts_disable();
        arch_irq_free_msi(&message);

        handler = find_frame(&interrupt_trace, 0, "trace_in_interrupt");
        EXPECT_EQ(handler, 0);
        EXPECT_LT(find_frame(&interrupt_trace, 1, "trap_common"), interrupt_trace.count);
        /* The loop or a function that it calls was interrupted; the callers must be all there. */
        interrupted = find_frame(&interrupt_trace, 1, "be_interrupted");
        EXPECT_LT(interrupted, interrupt_trace.count);
        EXPECT_EQ(find_frame(&interrupt_trace, interrupted, "symbols.backtrace_goes_through"),
                  interrupted + 1);
        EXPECT_LT(find_frame(&interrupt_trace, interrupted, "kernel_main"), interrupt_trace.count);
}
