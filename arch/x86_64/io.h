/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* io — device registers: I/O ports and memory-mapped registers, by width.
 *
 * This is the one file in which `volatile` is written. Each call makes exactly one access of
 * exactly the width in its name; the compiler neither merges, splits, repeats nor drops it, and
 * keeps all accesses of this file in program order, also against ordinary memory (each is a
 * compiler barrier). Values are in the CPU's byte order, which is little-endian, as PCI's registers
 * are.
 *
 * Order on the CPU: registers are mapped uncached (memory_map_physical, MEMORY_MAP_DEVICE). A store
 * to uncached memory and an OUT happen after all earlier stores to ordinary memory, so a doorbell
 * needs no fence behind the descriptors that it announces. Intel SDM 3, 9.2 and 12.3; volume 1,
 * 19.6.
 *
 * Context  any; nothing here fails: a port or register that is not there reads as all ones. */
#ifndef ARCH_IO_H
#define ARCH_IO_H

#include <stdint.h>

/* ---- ports, by the names of the instructions; the port always comes first ---- */

static inline uint8_t inb(uint16_t port)
{
        uint8_t value;
        __asm__ volatile("inb %w1, %b0" : "=a"(value) : "Nd"(port) : "memory");
        return value;
}

static inline uint16_t inw(uint16_t port)
{
        uint16_t value;
        __asm__ volatile("inw %w1, %w0" : "=a"(value) : "Nd"(port) : "memory");
        return value;
}

static inline uint32_t inl(uint16_t port)
{
        uint32_t value;
        __asm__ volatile("inl %w1, %k0" : "=a"(value) : "Nd"(port) : "memory");
        return value;
}

static inline void outb(uint16_t port, uint8_t value)
{
        __asm__ volatile("outb %b0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outw(uint16_t port, uint16_t value)
{
        __asm__ volatile("outw %w0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t value)
{
        __asm__ volatile("outl %k0, %w1" : : "a"(value), "Nd"(port) : "memory");
}

/* About a microsecond, by a write to the port that the BIOS uses for progress codes: what the 8259,
 * the 8254 and the 8042 of a real PC need between two accesses. A hypervisor ignores the value. */
#define IO_DELAY_PORT 0x80
static inline void io_delay(void)
{
        outb(IO_DELAY_PORT, 0);
}

/* ---- memory-mapped registers: `address` is naturally aligned and mapped as a device ----
 *
 * Written as one MOV between memory and a register, because that is what an emulator that decodes
 * the instruction of a trapped access is sure to understand; a compiler would be free to fold the
 * access into an arithmetic instruction. */

static inline uint8_t mmio_read8(const volatile void *address)
{
        uint8_t value;
        __asm__ volatile("movb %1, %0"
                         : "=q"(value)
                         : "m"(*(const volatile uint8_t *)address)
                         : "memory");
        return value;
}

static inline uint16_t mmio_read16(const volatile void *address)
{
        uint16_t value;
        __asm__ volatile("movw %1, %0"
                         : "=r"(value)
                         : "m"(*(const volatile uint16_t *)address)
                         : "memory");
        return value;
}

static inline uint32_t mmio_read32(const volatile void *address)
{
        uint32_t value;
        __asm__ volatile("movl %1, %0"
                         : "=r"(value)
                         : "m"(*(const volatile uint32_t *)address)
                         : "memory");
        return value;
}

static inline uint64_t mmio_read64(const volatile void *address)
{
        uint64_t value;
        __asm__ volatile("movq %1, %0"
                         : "=r"(value)
                         : "m"(*(const volatile uint64_t *)address)
                         : "memory");
        return value;
}

static inline void mmio_write8(volatile void *address, uint8_t value)
{
        __asm__ volatile("movb %1, %0"
                         : "=m"(*(volatile uint8_t *)address)
                         : "q"(value)
                         : "memory");
}

static inline void mmio_write16(volatile void *address, uint16_t value)
{
        __asm__ volatile("movw %1, %0"
                         : "=m"(*(volatile uint16_t *)address)
                         : "r"(value)
                         : "memory");
}

static inline void mmio_write32(volatile void *address, uint32_t value)
{
        __asm__ volatile("movl %1, %0"
                         : "=m"(*(volatile uint32_t *)address)
                         : "r"(value)
                         : "memory");
}

static inline void mmio_write64(volatile void *address, uint64_t value)
{
        __asm__ volatile("movq %1, %0"
                         : "=m"(*(volatile uint64_t *)address)
                         : "r"(value)
                         : "memory");
}

#endif
