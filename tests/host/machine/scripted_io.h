/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* scripted_io — stands in for arch/io.h where drivers are built for the host: each access to a
 * register becomes a call, which tests/host/machine/scripted_machine.h hands to the scripted device
 * whose registers were mapped there. Port I/O does not exist here. */
#ifndef TESTS_HOST_MACHINE_SCRIPTED_IO_H
#define TESTS_HOST_MACHINE_SCRIPTED_IO_H

#include <stdint.h>

uint32_t scripted_io_read(const volatile void *address, uint8_t bytes);
void scripted_io_write(volatile void *address, uint32_t value, uint8_t bytes);

static inline uint8_t mmio_read8(const volatile void *address)
{
        return (uint8_t)scripted_io_read(address, 1);
}

static inline uint16_t mmio_read16(const volatile void *address)
{
        return (uint16_t)scripted_io_read(address, 2);
}

static inline uint32_t mmio_read32(const volatile void *address)
{
        return scripted_io_read(address, 4);
}

static inline void mmio_write8(volatile void *address, uint8_t value)
{
        scripted_io_write(address, value, 1);
}

static inline void mmio_write16(volatile void *address, uint16_t value)
{
        scripted_io_write(address, value, 2);
}

static inline void mmio_write32(volatile void *address, uint32_t value)
{
        scripted_io_write(address, value, 4);
}

#endif
