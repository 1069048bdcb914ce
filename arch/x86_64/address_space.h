/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* address_space — the map of virtual memory and the symbols of linker.ld.
 *
 *   0xffffffff_ffffffff
 *        ...             not mapped
 *   0xffffffff_80200000  the linked image (linker.ld draws its inside); .text read/execute, .rodata read,
 *                        the rest read/write, a hole under each stack
 *        ...             not mapped
 *   0xffffa000_00000000  windows onto registers and firmware tables, handed out upwards by
 *                        kernel/memory.c (memory_map_physical)
 *        ...             not mapped
 *   0xffff8000_00000000  the physical map: all RAM but the image, read/write, never executable
 *        ...             not canonical
 *   0x00007fff_ffffffff
 *        ...             the user half: nothing yet, so a null pointer faults
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
enum stack_index { STACK_BOOT = 0, STACK_DOUBLE_FAULT = 1, STACK_NMI = 2, STACK_MACHINE_CHECK = 3 };

extern const char image_start[], image_end[], text_start[], text_end[], rodata_start[], rodata_end[];
extern char data_start[], data_end[], stacks_start[], stacks_end[];

/* Lowest address of stack `index` and one past its highest; below the lowest is its guard page. */
static inline uint64_t stack_bottom(unsigned index)
{
        return (uint64_t)stacks_start + index * (STACK_BYTES + STACK_GUARD_BYTES) + STACK_GUARD_BYTES;
}

static inline uint64_t stack_top(unsigned index)
{
        return stack_bottom(index) + STACK_BYTES;
}
#endif

#endif
