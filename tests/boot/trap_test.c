/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of the CPU's set-up and of arch/x86_64/trap*.c: every protection is tried by breaking it,
 * inside arch_trap_probe, and the words for it are compared. */
#include "tests/expect.h"

#include <string.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "base/shared.h"
#include "kernel/memory.h"

#define NON_CANONICAL 0x0000900000000000ull
#define UNMAPPED 0xffffb00000001000ull /* between the physical map and the windows */
#define RET_OPCODE 0xc3
#define STACKS_STRIDE_BYTES 0x5000ull /* linker.ld: guard and stack */
#define STACKS_COUNT 4
#define RECURSIONS_MAX 1000

extern const char text_start[], text_end[], stacks_start[], stacks_end[]; /* linker.ld */

/* ---- things that fault; each takes a pointer to its operand ---- */

/* The compiler must not know these operands, or it would reason away what faults. */
static uint64_t hidden_word;
static uint64_t hide(uint64_t value)
{
        shared_store_u64(&hidden_word, value);
        return shared_load_u64(&hidden_word);
}

static void do_nothing(UNUSED void *context)
{
}

static void do_read(void *context)
{
        const uint64_t *address = context;
        hide(shared_load_u8((const void *)*address));
}

/* Writes back what is there, so that nothing is harmed where the write is let through. */
static void do_write_back(void *context)
{
        uint64_t *address = context;
        shared_store_u8((void *)*address, shared_load_u8((const void *)*address));
}

static void do_write(void *context)
{
        uint64_t *address = context;
        shared_store_u64((void *)*address, 0);
}

static void do_call(void *context)
{
        uint64_t *address = context;
        ((void (*)(void))*address)();
        hide(0); /* not a tail call: the return address must be on the stack */
}

static void do_divide(void *context)
{
        uint64_t *divisor = context;
        hide(1000 / hide(*divisor));
}

static void do_undefined(UNUSED void *context)
{
        __builtin_trap();
}

/* ---- one probe, compared ---- */

struct expected_fault {
        uint32_t vector;
        uint64_t error;
        uint64_t address;
        const char *words; /* somewhere in the cause; NULL: do not care */
};

#define expect_fault(function_, operand_, ...) \
        expect_fault_at(t, (function_), (operand_), &(struct expected_fault){__VA_ARGS__}, __LINE__)

static void expect_fault_at(struct test *t, void (*function)(void *), uint64_t operand,
                            const struct expected_fault *expected, unsigned line)
{
        struct arch_trap_info info = {.vector = UINT32_MAX};

        if (!arch_trap_probe(function, &operand, &info)) {
                test_fail(t, __FILE__, line, "expected exception %u at operand 0x%llx, got none",
                          expected->vector, (unsigned long long)operand);
                return;
        }
        if (info.vector != expected->vector || info.error != expected->error ||
            info.address != expected->address)
                test_fail(t, __FILE__, line,
                          "expected exception %u error 0x%llx address 0x%llx, "
                          "got %u 0x%llx 0x%llx: %s",
                          expected->vector, (unsigned long long)expected->error,
                          (unsigned long long)expected->address, info.vector,
                          (unsigned long long)info.error, (unsigned long long)info.address,
                          info.cause);
        if (expected->words != NULL && strstr(info.cause, expected->words) == NULL)
                test_fail(t, __FILE__, line, "expected \"%s\" in the cause, got \"%s\"",
                          expected->words, info.cause);
}

/* ---- the probe itself ---- */

TEST(trap, probe_without_fault)
{
        struct arch_trap_info info = {.vector = 77};

        EXPECT_FALSE(arch_trap_probe(do_nothing, NULL, &info));
        EXPECT_EQ(info.vector, 77);
}

static void probe_inside(void *context)
{
        struct arch_trap_info *inner = context;
        uint64_t address = UNMAPPED;

        if (arch_trap_probe(do_read, &address, inner))
                do_undefined(NULL); /* to the outer probe, which must be in force again */
}

TEST(trap, probes_nest)
{
        struct arch_trap_info inner = {0}, outer = {0};

        EXPECT_TRUE(arch_trap_probe(probe_inside, &inner, &outer));
        EXPECT_EQ(inner.vector, ARCH_TRAP_PAGE_FAULT);
        EXPECT_EQ(outer.vector, ARCH_TRAP_INVALID_OPCODE);
        EXPECT_TRUE(arch_trap_probe(do_undefined, NULL, NULL));
}

static void disable_and_return(UNUSED void *context)
{
        arch_interrupts_disable();
}

static void disable_and_fault(UNUSED void *context)
{
        arch_interrupts_disable();
        do_undefined(NULL);
}

static void enable_and_fault(UNUSED void *context)
{
        arch_interrupts_enable();
        do_undefined(NULL);
}

TEST(trap, probe_restores_the_interrupt_flag)
{
        bool enabled = arch_interrupts_enabled();

        arch_interrupts_enable();
        EXPECT_TRUE(arch_trap_probe(disable_and_fault, NULL, NULL));
        EXPECT_TRUE(arch_interrupts_enabled());
        EXPECT_FALSE(arch_trap_probe(disable_and_return, NULL, NULL));
        EXPECT_FALSE(arch_interrupts_enabled()); /* as with any call */
        EXPECT_TRUE(arch_trap_probe(enable_and_fault, NULL, NULL));
        EXPECT_FALSE(arch_interrupts_enabled());
        if (enabled)
                arch_interrupts_enable();
}

/* ---- exceptions by name ---- */

TEST(trap, divide_error)
{
        expect_fault(do_divide, 0, ARCH_TRAP_DIVIDE_ERROR, 0, 0, "divide error");
        uint64_t one = 1;
        EXPECT_FALSE(arch_trap_probe(do_divide, &one, NULL));
}

TEST(trap, invalid_opcode)
{
        struct arch_trap_info info = {0};

        expect_fault(do_undefined, 0, ARCH_TRAP_INVALID_OPCODE, 0, 0, "invalid opcode: ud2");
        EXPECT_TRUE(arch_trap_probe(do_undefined, NULL, &info));
        EXPECT_GE(info.rip, (uint64_t)do_undefined);
        EXPECT_LT(info.rip, (uint64_t)do_undefined + 16);
}

TEST(trap, general_protection_names_the_register)
{
        expect_fault(do_read, NON_CANONICAL, ARCH_TRAP_GENERAL_PROTECTION, 0, 0,
                     "0x0000900000000000, not a canonical address");
        expect_fault(do_write, NON_CANONICAL, ARCH_TRAP_GENERAL_PROTECTION, 0, 0,
                     "general protection");
}

/* An instruction of the units that the kernel leaves off, hidden in the immediate operand of
 * another one, so that the check for such instructions in the image does not find it: "mov $word,
 * %eax" is b8 and the word. */
#define FLDZ_RET 0x00c3eed9u
#define XORPS_RET 0xc3c0570fu

static uint32_t NOINLINE x87_word(void)
{
        return FLDZ_RET;
}

static uint32_t NOINLINE sse_word(void)
{
        return XORPS_RET;
}

/* The address of `word` in the first bytes of the code at `function`, 0 when it is not there. */
static uint64_t find_word(uint32_t (*function)(void), uint32_t word)
{
        const char *code = (const char *)(uint64_t)function;

        for (size_t offset = 0; offset < 16; offset++) {
                if (memcmp(code + offset, &word, sizeof(word)) == 0)
                        return (uint64_t)code + offset;
        }
        return 0;
}

TEST(trap, vector_units_are_off)
{
        uint64_t x87 = find_word(x87_word, FLDZ_RET), sse = find_word(sse_word, XORPS_RET);

        REQUIRE_TRUE(x87 != 0);
        REQUIRE_TRUE(sse != 0);
        expect_fault(do_call, x87, ARCH_TRAP_NO_FPU, 0, 0, "x87 or vector instruction");
        expect_fault(do_call, sse, ARCH_TRAP_INVALID_OPCODE, 0, 0, "perhaps a vector instruction");
}

static bool has_no_execute(void)
{
        char cpu[256];

        arch_cpu_describe(cpu, sizeof(cpu));
        return strstr(cpu, " nx ") != NULL;
}

/* Without NX (and SMEP) the CPU does not tell a fetch from a read. */
static uint64_t fetch_error(void)
{
        return has_no_execute() ? ARCH_PAGE_FAULT_FETCH : 0;
}

/* ---- page faults: nothing there ---- */

TEST(trap, unmapped)
{
        expect_fault(do_read, UNMAPPED, ARCH_TRAP_PAGE_FAULT, 0, UNMAPPED,
                     "page fault: read of 0xffffb00000001000 (nothing is mapped there)");
        expect_fault(do_write, UNMAPPED, ARCH_TRAP_PAGE_FAULT, ARCH_PAGE_FAULT_WRITE, UNMAPPED,
                     "page fault: write to 0xffffb00000001000 (nothing is mapped there)");
        expect_fault(do_call, UNMAPPED, ARCH_TRAP_PAGE_FAULT, fetch_error(), UNMAPPED,
                     "page fault: instruction fetch from 0xffffb00000001000");
}

TEST(trap, null_pointer)
{
        expect_fault(do_read, 0, ARCH_TRAP_PAGE_FAULT, 0, 0, "read of 0x0 (null pointer)");
        expect_fault(do_write, 0x10, ARCH_TRAP_PAGE_FAULT, ARCH_PAGE_FAULT_WRITE, 0x10,
                     "null pointer");
        expect_fault(do_call, 0, ARCH_TRAP_PAGE_FAULT, fetch_error(), 0,
                     "instruction fetch from 0x0 (null pointer)");
        /* Nothing is left of the boot path's identity map. */
        expect_fault(do_read, 0x200000, ARCH_TRAP_PAGE_FAULT, 0, 0x200000, "nothing is mapped");
        expect_fault(do_read, 1 * GIB - 8, ARCH_TRAP_PAGE_FAULT, 0, 1 * GIB - 8,
                     "nothing is mapped");
}

/* ---- write or execute, never both ---- */

static void expect_not_writable(struct test *t, uint64_t address)
{
        uint64_t operand = address;

        EXPECT_FALSE(arch_trap_probe(do_read, &operand, NULL));
        expect_fault(do_write_back, address, ARCH_TRAP_PAGE_FAULT,
                     ARCH_PAGE_FAULT_PRESENT | ARCH_PAGE_FAULT_WRITE, address, "(read-only)");
}

static void expect_not_executable(struct test *t, uint64_t address)
{
        expect_fault(do_call, address, ARCH_TRAP_PAGE_FAULT,
                     ARCH_PAGE_FAULT_PRESENT | ARCH_PAGE_FAULT_FETCH, address,
                     "(NX: not executable)");
}

/* The tables say it of every page, and the CPU says it of the first and last byte. A CPU without NX
 * can at least refuse to write. */
static void expect_protected(struct test *t, const struct arch_image_part *part)
{
        uint32_t looked_at = ARCH_MAP_WRITE | ARCH_MAP_USER |
                             (has_no_execute() ? ARCH_MAP_EXECUTE : 0);
        uint64_t last = part->va + part->bytes - 1;

        for (uint64_t offset = 0; offset < part->bytes; offset += PAGE_BYTES) {
                uint32_t flags;
                REQUIRE_OK(arch_query(part->va + offset, NULL, &flags, NULL));
                REQUIRE_EQ(flags & looked_at, part->protection & looked_at);
        }
        if (!(part->protection & ARCH_MAP_WRITE)) {
                expect_not_writable(t, part->va);
                expect_not_writable(t, last);
        }
        if (!(part->protection & ARCH_MAP_EXECUTE) && has_no_execute()) {
                expect_not_executable(t, part->va);
                expect_not_executable(t, last);
        }
}

TEST(trap, image_is_write_or_execute)
{
        const struct arch_image_part *parts;
        size_t part_count = arch_image_parts(&parts), executable = 0, writable = 0, read_only = 0;

        for (size_t i = 0; i < part_count; i++) {
                EXPECT_NE(parts[i].protection & (ARCH_MAP_WRITE | ARCH_MAP_EXECUTE),
                          ARCH_MAP_WRITE | ARCH_MAP_EXECUTE);
                executable += (parts[i].protection & ARCH_MAP_EXECUTE) != 0;
                writable += (parts[i].protection & ARCH_MAP_WRITE) != 0;
                read_only += (parts[i].protection & (ARCH_MAP_WRITE | ARCH_MAP_EXECUTE)) == 0;
                expect_protected(t, &parts[i]);
        }
        EXPECT_EQ(executable, 1);
        EXPECT_EQ(read_only, 1);
        EXPECT_GE(writable, 1 + STACKS_COUNT);
}

static uint8_t data_code[1] = {RET_OPCODE};
static const uint8_t rodata_code[1] = {RET_OPCODE};

/* What would return at once, were it let through:
 * so this fails with a sentence, not with a crash. */
TEST(trap, data_is_not_code)
{
        uint8_t stack_code[1];
        uint8_t *page_code = world_pages(t, 1, NULL);

        if (!has_no_execute())
                SKIP("this CPU has no NX");
        shared_store_u8(data_code, RET_OPCODE);
        shared_store_u8(stack_code, RET_OPCODE);
        shared_store_u8(page_code, RET_OPCODE);
        expect_not_executable(t, (uint64_t)data_code);
        expect_not_executable(t, (uint64_t)rodata_code);
        expect_not_executable(t, (uint64_t)stack_code);
        expect_not_executable(t, (uint64_t)page_code);
}

/* The same memory must not be writable under a second address. */
TEST(trap, image_has_no_writable_alias)
{
        uint64_t pa;
        uint32_t flags;
        const uint64_t text = (uint64_t)text_start;

        REQUIRE_OK(arch_query(text, &pa, &flags, NULL));
        EXPECT_EQ(flags & (ARCH_MAP_WRITE | ARCH_MAP_EXECUTE), ARCH_MAP_EXECUTE);
        if (arch_query(ARCH_PHYSMAP_BASE + pa, NULL, &flags, NULL) == ZX_OK)
                EXPECT_EQ(flags & (ARCH_MAP_WRITE | ARCH_MAP_EXECUTE), 0);
        else
                expect_fault(do_write, ARCH_PHYSMAP_BASE + pa, ARCH_TRAP_PAGE_FAULT,
                             ARCH_PAGE_FAULT_WRITE, ARCH_PHYSMAP_BASE + pa, "nothing is mapped");
}

/* ---- user pages ---- */

#define USER_VA 0x40000000ull /* nothing else is in the user half */
#define CPUID_EXTENDED_FEATURES 7u
#define EBX_SMEP_BIT 7
#define EBX_SMAP_BIT 20
#define ECX_UMIP_BIT 2
#define CR4_PGE_BIT 7
#define CR4_UMIP_BIT 11

/* What the CPU itself says that it has; 0 for a leaf that it does not know. */
static void read_cpuid(uint32_t leaf, uint32_t *ebx, uint32_t *ecx)
{
        uint32_t eax = 0, edx;

        __asm__("cpuid" : "+a"(eax), "=b"(*ebx), "=c"(*ecx), "=d"(edx));
        if (eax < leaf) {
                *ebx = *ecx = 0;
                return;
        }
        eax = leaf;
        *ecx = 0;
        __asm__("cpuid" : "+a"(eax), "=b"(*ebx), "+c"(*ecx), "=d"(edx));
}

/* With SMAP the kernel cannot touch a user's page, with SMEP not run one. */
TEST(trap, user_pages_are_out_of_reach)
{
        uint64_t pa, operand = USER_VA, cr4;
        uint8_t *page = world_pages(t, 1, &pa);
        uint32_t ebx, ecx;

        read_cpuid(CPUID_EXTENDED_FEATURES, &ebx, &ecx);
        shared_store_u8(page, RET_OPCODE);
        REQUIRE_OK(arch_map(USER_VA, pa, PAGE_BYTES, ARCH_MAP_USER | ARCH_MAP_EXECUTE,
                            &memory_table_source));
        if (ebx >> EBX_SMAP_BIT & 1)
                expect_fault(do_read, USER_VA, ARCH_TRAP_PAGE_FAULT, ARCH_PAGE_FAULT_PRESENT,
                             USER_VA, "(SMAP: a user page)");
        else
                EXPECT_FALSE(arch_trap_probe(do_read, &operand, NULL));
        if (ebx >> EBX_SMEP_BIT & 1)
                expect_fault(do_call, USER_VA, ARCH_TRAP_PAGE_FAULT,
                             ARCH_PAGE_FAULT_PRESENT | ARCH_PAGE_FAULT_FETCH, USER_VA,
                             "(SMEP: a user page)");
        else
                EXPECT_FALSE(arch_trap_probe(do_call, &operand, NULL));
        EXPECT_OK(arch_unmap(USER_VA, PAGE_BYTES));

        /* These two show only in user mode, and in what a change of tables costs. */
        __asm__("mov %%cr4, %0" : "=r"(cr4));
        EXPECT_EQ(cr4 >> CR4_UMIP_BIT & 1, ecx >> ECX_UMIP_BIT & 1);
        EXPECT_EQ(cr4 >> CR4_PGE_BIT & 1, 1); /* every 64-bit CPU has it */
}

/* ---- stacks ---- */

TEST(trap, guard_pages)
{
        static const char *const names[STACKS_COUNT] = {
                "(guard page under the boot stack)", "(guard page under the double fault stack)",
                "(guard page under the NMI stack)", "(guard page under the machine check stack)"};

        REQUIRE_EQ((uint64_t)(stacks_end - stacks_start), STACKS_STRIDE_BYTES * STACKS_COUNT);
        for (size_t i = 0; i < STACKS_COUNT; i++) {
                uint64_t guard = (uint64_t)stacks_start + i * STACKS_STRIDE_BYTES;
                uint64_t first = guard + PAGE_BYTES, last = guard + STACKS_STRIDE_BYTES - 1;

                expect_fault(do_read, guard, ARCH_TRAP_PAGE_FAULT, 0, guard, names[i]);
                expect_fault(do_write, guard + PAGE_BYTES - 8, ARCH_TRAP_PAGE_FAULT,
                             ARCH_PAGE_FAULT_WRITE, guard + PAGE_BYTES - 8, names[i]);
                EXPECT_FALSE(arch_trap_probe(do_read, &first, NULL));
                EXPECT_FALSE(arch_trap_probe(do_read, &last, NULL));
        }
        expect_fault(do_read, (uint64_t)stacks_end, ARCH_TRAP_PAGE_FAULT, 0, (uint64_t)stacks_end,
                     "nothing is mapped there");
}

static unsigned NOINLINE recurse(unsigned depth)
{
        uint64_t block[32];

        for (size_t i = 0; i < ARRAY_COUNT(block); i++)
                shared_store_u64(&block[i], depth);
        if (depth < RECURSIONS_MAX)
                depth += recurse(depth + 1);
        return depth + (unsigned)shared_load_u64(&block[depth % ARRAY_COUNT(block)]);
}

static void do_recurse(UNUSED void *context)
{
        hide(recurse(0));
}

/* The double fault's own stack is what makes this survivable;
 * twice, because it must be usable again. */
TEST(trap, stack_overflow)
{
        for (int i = 0; i < 2; i++)
                expect_fault(do_recurse, 0, ARCH_TRAP_DOUBLE_FAULT, 0, 0,
                             "stack overflow: guard page under the boot stack");
}

/* ---- values in registers survive a fault ---- */

/* Keeps many values across a call that the compiler knows nothing about: they are in the registers
 * that a function must preserve, and differ from those of the caller. */
static uint64_t NOINLINE mix_around(void (*function)(struct test *t), struct test *t, uint64_t seed)
{
        uint64_t a = hide(seed + 1), b = hide(seed + 2), c = hide(seed + 3), d = hide(seed + 4);
        uint64_t e = hide(seed + 5), f = hide(seed + 6);

        ((void (*)(struct test *))hide((uint64_t)function))(t);
        return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f;
}

static void fault_deep_inside(UNUSED struct test *t)
{
        do_undefined(NULL);
}

static void mix_and_fault(void *context)
{
        hide(mix_around(fault_deep_inside, context, 1000));
}

static void probe_it(struct test *t)
{
        EXPECT_TRUE(arch_trap_probe(mix_and_fault, t, NULL));
}

TEST(trap, registers_survive)
{
        EXPECT_EQ(mix_around(probe_it, t, 0), 654321);
        EXPECT_EQ(mix_around(probe_it, t, 1), 765432);
}
