/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* trap_describe — a trap frame in words: what happened, where, why as far as one can tell, the
 * registers.
 *
 * Reads nothing but the frame, control registers and, for an invalid opcode inside .text, two bytes
 * of the instruction: it must not fault. Facts: Intel SDM 3, table 6-1, 4.7 (page-fault error
 * code), 6.13 (selector error codes), volume 1, 3.3.7.1 (canonical addresses). */
#include "arch/address_space.h"
#include "arch/arch.h"
#include "arch/cpu.h"
#include "arch/smp.h"
#include "arch/text.h"
#include "arch/trap.h"
#include "base/bytes.h"

#define LINE_BYTES 160
#define ADDRESS_DIGITS 16

static const char *const exception_names[TRAP_FIRST_INTERRUPT] = {
        [0] = "divide error", [1] = "debug exception", [2] = "non-maskable interrupt",
        [3] = "breakpoint", [4] = "overflow", [5] = "bound range exceeded", [6] = "invalid opcode",
        [7] = "device not available", [8] = "double fault", [9] = "coprocessor segment overrun",
        [10] = "invalid TSS", [11] = "segment not present", [12] = "stack segment fault",
        [13] = "general protection fault", [14] = "page fault", [16] = "x87 error",
        [17] = "alignment check", [18] = "machine check", [19] = "SIMD error",
        [20] = "virtualization exception", [21] = "control protection exception",
        [28] = "hypervisor injection", [29] = "VMM communication exception",
        [30] = "security exception",
};

static const char *const stack_names[STACK_COUNT] = {
        [STACK_BOOT] = "boot",
        [STACK_DOUBLE_FAULT] = "double fault",
        [STACK_NMI] = "NMI",
        [STACK_MACHINE_CHECK] = "machine check",
};

/* The stack whose guard page contains `address`, STACK_NONE when none does. */
static unsigned guard_at(uint64_t address)
{
        unsigned stack = stack_at(address);

        return stack != STACK_NONE && address < stack_bottom(stack) ? stack : STACK_NONE;
}

static void add_guard(struct text *text, unsigned stack)
{
        text_add(text, "guard page under the ");
        text_add(text, stack == STACK_BOOT || stack % STACK_COUNT != STACK_BOOT
                               ? stack_names[stack % STACK_COUNT] : "work");
        text_add(text, " stack");
        if (stack < STACK_COUNT)
                return;
        text_add(text, " of CPU ");
        text_add_decimal(text, smp_index_of_stacks(stack / STACK_COUNT));
}

static bool is_canonical(uint64_t address)
{
        unsigned unused_bits = 64 - ((cpu_read_cr4() >> CPU_CR4_LA57_BIT & 1) != 0 ? 57 : 48);

        return (uint64_t)((int64_t)(address << unused_bits) >> unused_bits) == address;
}

/* The kernel half has no user page and the user half no other, so the address alone tells which of
 * the two protections against each other it was. */
static const char *page_fault_reason(uint64_t error, uint64_t address)
{
        bool user_page = address >> 63 == 0;

        if ((error & ARCH_PAGE_FAULT_PRESENT) == 0)
                return address < PAGE_BYTES ? "null pointer" : "nothing is mapped there";
        if ((error & ARCH_PAGE_FAULT_RESERVED_BIT) != 0)
                return "reserved bit set in a page table entry";
        if ((error & ARCH_PAGE_FAULT_USER) != 0)
                return "user mode has no access";
        if ((error & ARCH_PAGE_FAULT_FETCH) != 0)
                return user_page ? "SMEP: a user page" : "NX: not executable";
        if (user_page)
                return "SMAP: a user page";
        if ((error & ARCH_PAGE_FAULT_WRITE) != 0)
                return "read-only";
        return "protected by other means"; /* keys, shadow stacks, a hypervisor */
}

/* A CPU with neither NX nor SMEP does not report fetches as such,
 * but then the address is its own. */
static bool is_fetch(const struct arch_trap_frame *frame)
{
        return (frame->error & ARCH_PAGE_FAULT_FETCH) != 0 || frame->cr2 == frame->rip;
}

static void add_page_fault(struct text *text, const struct arch_trap_frame *frame)
{
        unsigned guard = guard_at(frame->cr2);

        if (is_fetch(frame))
                text_add(text, ": instruction fetch from ");
        else
                text_add(text, (frame->error & ARCH_PAGE_FAULT_WRITE) != 0 ? ": write to "
                                                                           : ": read of ");
        text_add_hex(text, frame->cr2, 1);
        text_add(text, " (");
        if (guard != STACK_NONE)
                add_guard(text, guard);
        else
                text_add(text, page_fault_reason(frame->error, frame->cr2));
        text_add(text, ")");
}

/* When a push runs into a guard page the page fault cannot push its frame either: a double fault,
 * with the stack pointer still at the end of that stack.
 * (CR2 alone would not do, it may be old.) */
static unsigned overflowed_stack(const struct arch_trap_frame *frame)
{
        unsigned guard = guard_at(frame->cr2);

        if (guard == STACK_NONE || guard_at(frame->rsp - TRAP_FRAME_BYTES) != guard)
                return STACK_NONE;
        return guard;
}

struct named_register {
        const char *name;
        uint64_t value;
};
#define GENERAL_REGISTER_COUNT 16

static void general_registers(const struct arch_trap_frame *f,
                              struct named_register registers[GENERAL_REGISTER_COUNT])
{
        const struct named_register values[GENERAL_REGISTER_COUNT] = {
                {"rax", f->rax}, {"rbx", f->rbx}, {"rcx", f->rcx}, {"rdx", f->rdx},
                {"rsi", f->rsi}, {"rdi", f->rdi}, {"rbp", f->rbp}, {"rsp", f->rsp},
                {"r8 ", f->r8},  {"r9 ", f->r9},  {"r10", f->r10}, {"r11", f->r11},
                {"r12", f->r12}, {"r13", f->r13}, {"r14", f->r14}, {"r15", f->r15},
        };
        memcpy(registers, values, sizeof(values));
}

/* An access through a pointer that is not canonical raises #GP or #SS and tells no address; the
 * register that holds such a value is the likely culprit. */
static void add_protection_fault(struct text *text, const struct arch_trap_frame *frame)
{
        static const char *const tables[] = {"GDT", "IDT", "LDT", "IDT"};
        struct named_register registers[GENERAL_REGISTER_COUNT];

        if (frame->error != 0) {
                text_add(text, ": selector or vector ");
                text_add_hex(text, frame->error >> 3, 1);
                text_add(text, " of the ");
                text_add(text, tables[frame->error >> 1 & 3]);
                return;
        }
        general_registers(frame, registers);
        for (unsigned i = 0; i < GENERAL_REGISTER_COUNT; i++) {
                if (is_canonical(registers[i].value))
                        continue;
                text_add(text, ": perhaps through ");
                text_add(text, registers[i].name);
                text_add(text, " = ");
                text_add_hex(text, registers[i].value, ADDRESS_DIGITS);
                text_add(text, ", not a canonical address");
                return;
        }
}

#define OPCODE_TWO_BYTE 0x0f
#define OPCODE_UD2_SECOND 0x0b

/* Bytes with which vector instructions begin:
 * 0F, the operand-size and repeat prefixes, VEX and EVEX. */
static bool begins_vector_instruction(uint8_t byte)
{
        return byte == OPCODE_TWO_BYTE || byte == 0x66 || byte == 0xf2 || byte == 0xf3 ||
               byte == 0xc4 || byte == 0xc5 || byte == 0x62;
}

static void add_invalid_opcode(struct text *text, const struct arch_trap_frame *frame)
{
        const uint8_t *code = (const uint8_t *)frame->rip;

        if (frame->rip < (uint64_t)text_start || frame->rip >= (uint64_t)text_end - 1)
                return;
        if (code[0] == OPCODE_TWO_BYTE && code[1] == OPCODE_UD2_SECOND)
                text_add(text, ": ud2");
        else if (begins_vector_instruction(code[0]))
                text_add(text, ": perhaps a vector instruction; they are off in the kernel");
}

void trap_add_cause(struct text *text, const struct arch_trap_frame *frame)
{
        unsigned stack = STACK_NONE;

        if (frame->vector == TRAP_DOUBLE_FAULT)
                stack = overflowed_stack(frame);
        if (stack != STACK_NONE) {
                text_add(text, "stack overflow: ");
                add_guard(text, stack);
                return;
        }
        if (frame->vector >= TRAP_FIRST_INTERRUPT) {
                text_add(text, "interrupt ");
                text_add_decimal(text, frame->vector);
                return;
        }
        text_add(text, exception_names[frame->vector] != NULL ? exception_names[frame->vector]
                                                              : "reserved exception");
        if (frame->vector == TRAP_PAGE_FAULT)
                add_page_fault(text, frame);
        else if (frame->vector == TRAP_GENERAL_PROTECTION || frame->vector == TRAP_STACK_FAULT)
                add_protection_fault(text, frame);
        else if (frame->vector == TRAP_INVALID_OPCODE)
                add_invalid_opcode(text, frame);
        else if (frame->vector == TRAP_DEVICE_NOT_AVAILABLE)
                text_add(text, ": x87 or vector instruction; they are off in the kernel");
}

static void add_register(struct text *text, const char *name, uint64_t value, unsigned digits)
{
        if (text->used_bytes > 0)
                text_add(text, "  ");
        text_add(text, name);
        text_add_char(text, ' ');
        text_add_hex(text, value, digits);
}

#define REGISTERS_PER_LINE 4

void arch_trap_describe(const struct arch_trap_frame *frame, arch_line_fn line)
{
        struct named_register registers[GENERAL_REGISTER_COUNT];
        char buffer[LINE_BYTES];
        struct text text = text_begin(buffer, sizeof(buffer));

        trap_add_cause(&text, frame);
        line(buffer);

        text = text_begin(buffer, sizeof(buffer));
        add_register(&text, "rip", frame->rip, ADDRESS_DIGITS);
        add_register(&text, "rflags", frame->rflags, 1);
        add_register(&text, "cs", frame->cs, 1);
        add_register(&text, "ss", frame->ss, 1);
        add_register(&text, "error", frame->error, 1);
        text_add(&text, "  vector ");
        text_add_decimal(&text, frame->vector);
        line(buffer);

        general_registers(frame, registers);
        for (unsigned i = 0; i < GENERAL_REGISTER_COUNT; i++) {
                if (i % REGISTERS_PER_LINE == 0)
                        text = text_begin(buffer, sizeof(buffer));
                add_register(&text, registers[i].name, registers[i].value, ADDRESS_DIGITS);
                if (i % REGISTERS_PER_LINE == REGISTERS_PER_LINE - 1)
                        line(buffer);
        }

        text = text_begin(buffer, sizeof(buffer));
        add_register(&text, "cr0", cpu_read_cr0(), 1);
        add_register(&text, "cr2", frame->cr2, ADDRESS_DIGITS);
        add_register(&text, "cr3", cpu_read_cr3(), 1);
        add_register(&text, "cr4", cpu_read_cr4(), 1);
        add_register(&text, "dr6", frame->dr6, 1);
        line(buffer);
}
