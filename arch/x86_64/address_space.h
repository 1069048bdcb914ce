/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* address_space — the map of virtual memory and the symbols of linker.ld.
 *
 *   0xffffffff_ffffffff
 *        ...             not mapped
 *   0xffffffff_80200000  the linked image (linker.ld draws its inside); .text read/execute, .rodata
 *                        read, the rest read/write, a hole under each stack
 *        ...             not mapped
 *   0xffffb000_00000000  stacks of the CPUs but the first, STACK_COUNT
 *                        each, a hole under each stack
 *   0xffffa000_00000000  windows onto registers and firmware tables, handed out upwards by
 *                        kernel/memory.c (memory_map_physical)
 *        ...             not mapped
 *   0xffff8000_00000000  the physical map: all RAM but the image, read/write, never executable
 *        ...             not canonical
 *   0x00007fff_ffffffff
 *        ...             the user half: kernel/aspace.h; nothing
 *                        below 16 MiB, so a null pointer faults
 *   0x00000000_00000000
 *
 * Nothing is writable and executable. */
#ifndef ARCH_ADDRESS_SPACE_H
#define ARCH_ADDRESS_SPACE_H

#include <stdint.h>

/* Also in linker.ld. */
#define IMAGE_VA_OFFSET 0xffffffff80000000ull /* linked address minus PVH load address */
#define STACK_BYTES 0x4000
#define STACK_GUARD_BYTES 0x1000
#define STACK_COUNT 4

#ifndef __ASSEMBLER__
#define CPU_STACKS_BASE 0xffffb00000000000ull
#define STACK_STRIDE_BYTES (STACK_GUARD_BYTES + STACK_BYTES)

/* Stack number CPU set * STACK_COUNT + one of these. */
enum stack_index { STACK_BOOT = 0, STACK_DOUBLE_FAULT = 1, STACK_NMI = 2, STACK_MACHINE_CHECK = 3 };

extern const char image_start[], image_end[], text_start[], text_end[],
        rodata_start[], rodata_end[];
extern char data_start[], data_end[], stacks_start[], stacks_end[];

/* Stacks that are mapped: their numbers are below it. smp.c. */
extern unsigned stack_mapped_count;

/* Lowest address of stack `index` and one past its highest; below the lowest is its guard page.
 * Set 0 lies in the image, the others in the region above, where the place of set 0 is left out. */
static inline uint64_t stack_bottom(unsigned index)
{
        uint64_t base = index < STACK_COUNT ? (uint64_t)stacks_start : CPU_STACKS_BASE;
        return base + index * (uint64_t)STACK_STRIDE_BYTES + STACK_GUARD_BYTES;
}

static inline uint64_t stack_top(unsigned index)
{
        return stack_bottom(index) + STACK_BYTES;
}

/* The mapped stack that contains `address`, or whose guard page does; STACK_NONE: none. */
#define STACK_NONE (~0u)
static inline unsigned stack_at(uint64_t address)
{
        uint64_t offset = address - (uint64_t)stacks_start;

        if (offset < STACK_COUNT * (uint64_t)STACK_STRIDE_BYTES)
                return (unsigned)(offset / STACK_STRIDE_BYTES);
        offset = address - CPU_STACKS_BASE;
        if (offset >= STACK_COUNT * (uint64_t)STACK_STRIDE_BYTES &&
            offset < stack_mapped_count * (uint64_t)STACK_STRIDE_BYTES)
                return (unsigned)(offset / STACK_STRIDE_BYTES);
        return STACK_NONE;
}
#endif

#endif
