/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* trap — the interrupt descriptor table, and who gets which exception, interrupt or NMI. See
 * trap.h.
 *
 * Facts: Intel SDM 3, 6.14 (64-bit gates, interrupt stack table), table 6-1 (vectors). */
#include "arch/trap.h"

#include "arch/arch.h"
#include "arch/cpu.h"
#include "arch/smp.h"
#include "arch/text.h"
#include "base/assert.h"
#include "base/bytes.h"

/* ---- trap.S ---- */

extern const char trap_entry[], trap_probe_recover[];
/* linker.ld */
extern const struct trap_exception __start_exception_table[], __stop_exception_table[];
bool trap_probe_call(void (*function)(void *), void *context, uint64_t *stack_out);
void trap_dispatch(struct arch_trap_frame *frame);

/* ---- the table ---- */

#define GATE_INTERRUPT 0x8e /* present, ring 0, 64-bit interrupt gate */

struct gate {
        uint16_t offset_low;
        uint16_t selector;
        uint8_t stack; /* slot of the interrupt stack table, 0: stay on the current stack */
        uint8_t type;
        uint16_t offset_middle;
        uint32_t offset_high;
        uint32_t reserved;
};
_Static_assert(sizeof(struct gate) == 16, "read by the CPU: Intel SDM 3, figure 6-8");

struct table_pointer {
        uint16_t limit;
        uint64_t base;
} PACKED;

static ALIGNED(16) struct gate gates[TRAP_VECTOR_COUNT];

static uint8_t stack_of_vector(unsigned vector)
{
        switch (vector) {
        case TRAP_DOUBLE_FAULT:
                return CPU_IST_DOUBLE_FAULT;
        case TRAP_NMI:
                return CPU_IST_NMI;
        case TRAP_MACHINE_CHECK:
        case TRAP_DEBUG:
                return CPU_IST_MACHINE_CHECK;
        default:
                return CPU_IST_NONE;
        }
}

void trap_init(void)
{
        for (unsigned vector = 0; vector < TRAP_VECTOR_COUNT; vector++) {
                uint64_t entry = (uint64_t)trap_entry + vector * TRAP_ENTRY_BYTES;
                gates[vector] = (struct gate){.offset_low = (uint16_t)entry,
                                              .selector = CPU_SELECTOR_CODE,
                                              .stack = stack_of_vector(vector),
                                              .type = GATE_INTERRUPT,
                                              .offset_middle = (uint16_t)(entry >> 16),
                                              .offset_high = (uint32_t)(entry >> 32)};
        }
        trap_load();
}

void trap_load(void)
{
        struct table_pointer pointer = {.limit = sizeof(gates) - 1, .base = (uint64_t)gates};

        __asm__ volatile("lidt %0" : : "m"(pointer) : "memory");
}

/* ---- handlers ---- */

struct handler {
        trap_handler function;
        void *context;
};

static struct handler handlers[TRAP_VECTOR_COUNT]; /* of exceptions only the NMI's is used */
static uint64_t unexpected_count;

/* An interrupt, or an NMI, on this CPU must not meet half of a new pair: without the function there
 * is no pair, and the function is the last to appear. Compiler barriers are enough: interrupts of
 * devices come to the boot CPU, which sets their handlers, and the others are set before any other
 * CPU runs. */
static void set_handler(struct handler *handler, trap_handler function, void *context)
{
        __atomic_store_n(&handler->function, NULL, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        handler->context = context;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        __atomic_store_n(&handler->function, function, __ATOMIC_RELAXED);
}

void trap_set_interrupt_handler(uint8_t vector, trap_handler function, void *context)
{
        ASSERT(vector >= TRAP_FIRST_INTERRUPT);
        bool enabled = arch_interrupts_disable();
        set_handler(&handlers[vector], function, context);
        arch_interrupts_restore(enabled);
}

void trap_set_nmi_handler(trap_handler function, void *context)
{
        set_handler(&handlers[TRAP_NMI], function, context);
}

uint64_t trap_unexpected_count(void)
{
        return __atomic_load_n(&unexpected_count, __ATOMIC_RELAXED);
}

/* ---- expected faults ---- */

bool arch_trap_probe(void (*function)(void *context), void *context, struct arch_trap_info *info)
{
        struct arch_cpu *cpu = smp_this();
        uint64_t outer_stack = cpu->probe_stack;
        struct arch_trap_info *outer_info = cpu->probe_info;
        bool faulted;

        ASSERT(cpu->handler_depth == 0);
        cpu->probe_info = info;
        faulted = trap_probe_call(function, context, &cpu->probe_stack);
        cpu->probe_stack = outer_stack;
        cpu->probe_info = outer_info;
        return faulted;
}

void arch_panic_begin(void)
{
        arch_interrupts_disable();
        smp_this()->probe_stack = 0;
        (void)arch_cpu_stop_others();
}

/* Makes the frame continue in trap_probe_call,
 * which restores the flags (interrupts too) by itself. */
static void leave_probe(struct arch_cpu *cpu, struct arch_trap_frame *frame)
{
        struct arch_trap_info *probe_info = cpu->probe_info;

        if (probe_info != NULL) {
                struct text text = text_begin(probe_info->cause, sizeof(probe_info->cause));
                trap_add_cause(&text, frame);
                probe_info->vector = (uint32_t)frame->vector;
                probe_info->error = frame->error;
                probe_info->address = frame->vector == TRAP_PAGE_FAULT ? frame->cr2 : 0;
                probe_info->rip = frame->rip;
        }
        frame->rip = (uint64_t)trap_probe_recover;
        frame->rsp = cpu->probe_stack;
        frame->cs = CPU_SELECTOR_CODE;
        frame->ss = CPU_SELECTOR_DATA;
        frame->rflags = BIT_MASK(CPU_RFLAGS_RESERVED_BIT);
        cpu->probe_stack = 0; /* a fault on the way back is a panic */
}

/* ---- faults that the code itself is prepared for ---- */

static bool is_in_table(const struct trap_exception *entry, uint64_t rip)
{
        return (uint64_t)&entry->fault_offset + (uint64_t)(int64_t)entry->fault_offset == rip;
}

/* The entry for a user address touched by an instruction that says what to do then; NULL: anything
 * else. Only user addresses: a fault on the kernel's side of a copy is our bug,
 * and so are broken tables. */
static const struct trap_exception *exception_of(const struct arch_trap_frame *frame)
{
        const struct trap_exception *entry = __start_exception_table;

        if (frame->vector != TRAP_PAGE_FAULT || frame->cr2 >= ARCH_USER_END ||
            (frame->error & ARCH_PAGE_FAULT_RESERVED_BIT) != 0)
                return NULL;
        while (entry < __stop_exception_table && !is_in_table(entry, frame->rip))
                entry++;
        return entry < __stop_exception_table ? entry : NULL;
}

static arch_user_fault_fn user_fault_handler;

arch_user_fault_fn arch_set_user_fault_handler(arch_user_fault_fn function)
{
        /* release: whoever calls it sees what was set up for it before */
        return __atomic_exchange_n(&user_fault_handler, function, __ATOMIC_ACQ_REL);
}

/* Asks for the page to be mapped, with interrupts as they were. */
static zx_status_t ask_for_page(struct arch_cpu *cpu, const struct arch_trap_frame *frame)
{
        arch_user_fault_fn function = __atomic_load_n(&user_fault_handler, __ATOMIC_ACQUIRE);
        uint64_t outer_stack = cpu->probe_stack;
        zx_status_t status;

        if (function == NULL || cpu->handler_depth != 0)
                return ZX_ERR_NOT_FOUND;
        cpu->probe_stack = 0; /* a fault in there is a panic */
        arch_interrupts_restore((frame->rflags & BIT_MASK(CPU_RFLAGS_IF_BIT)) != 0);
        status = function(frame->cr2, (uint32_t)frame->error);
        arch_interrupts_disable();
        cpu->probe_stack = outer_stack;
        return status;
}

/* Tries the instruction again, or goes on where its entry says.
 *   returns  false: neither */
static bool continue_after_fault(struct arch_cpu *cpu, struct arch_trap_frame *frame)
{
        const struct trap_exception *entry = exception_of(frame);

        if (entry == NULL)
                return false;
        zx_status_t status = ask_for_page(cpu, frame);
        if (status == ZX_OK)
                return true;
        if (status == ZX_ERR_NOT_FOUND && (frame->error & ARCH_PAGE_FAULT_PRESENT) != 0)
                status = ZX_ERR_ACCESS_DENIED; /* mapped by somebody else */
        frame->rip = (uint64_t)&entry->fixup_offset + (uint64_t)(int64_t)entry->fixup_offset;
        frame->rax = (uint32_t)status;
        return true;
}

/* ---- dispatch ---- */

static void dispatch_exception(struct arch_trap_frame *frame)
{
        struct arch_cpu *cpu = smp_this();

        frame->cr2 = cpu_read_cr2();
        frame->dr6 = cpu_read_dr6();
        if (continue_after_fault(cpu, frame))
                return;
        if (cpu->probe_stack == 0 || cpu->handler_depth != 0 ||
            frame->vector == TRAP_MACHINE_CHECK)
                kernel_trap_panic(frame);
        leave_probe(cpu, frame);
}

static void dispatch_to_handler(struct arch_trap_frame *frame)
{
        struct handler *handler = &handlers[frame->vector];
        trap_handler function = __atomic_load_n(&handler->function, __ATOMIC_RELAXED);
        struct arch_cpu *cpu = smp_this();

        if (frame->vector == TRAP_NMI)
                smp_stop_if_asked();
        if (function == NULL && frame->vector == TRAP_NMI)
                kernel_trap_panic(frame);
        if (function == NULL) {
                __atomic_fetch_add(&unexpected_count, 1, __ATOMIC_RELAXED);
                return;
        }
        cpu->handler_depth++;
        function(frame, handler->context);
        cpu->handler_depth--;
}

/* Called by trap_common for every trap; interrupts are off. */
void trap_dispatch(struct arch_trap_frame *frame)
{
        frame->cr2 = 0;
        frame->dr6 = 0;
        if (frame->vector >= TRAP_FIRST_INTERRUPT || frame->vector == TRAP_NMI)
                dispatch_to_handler(frame);
        else
                dispatch_exception(frame);
}
