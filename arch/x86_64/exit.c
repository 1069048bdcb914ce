/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* exit — the ways out of the machine, from the one that carries a code to the one that always
 * works.
 *
 *   isa-debug-exit   QEMU, ends with status (code << 1) | 1
 *   ACPI S5          PM1 control registers, or the sleep control register of a hardware-reduced
 *                    machine
 *   ACPI reset       the FADT's reset register
 *   0xcf9, 8042      what PC chip sets have; Firecracker leaves on the 8042's reset line
 *   triple fault     shuts the CPU down, which every machine answers with a reset
 *
 * A write may take a while to work, so each is given some time before the next is tried.
 * Facts: ACPI 6.5, 4.8.3.2 (PM1 control), 4.8.3.6 (reset register), 4.8.3.7 (sleep control); Intel
 * PCH data sheets, RST_CNT; spec/virtio.md, 14.3. Context: any; interrupts are off from here on. */
#include "arch/arch.h"
#include "arch/cpu.h"
#include "arch/io.h"
#include "base/bytes.h"

#define DEBUG_EXIT_PORT_DEFAULT 0xf4

#define PM1_SLEEP_TYPE_BIT 10 /* three bits */
#define PM1_SLEEP_ENABLE_BIT 13
#define PM1_SLEEP_MASK (7u << PM1_SLEEP_TYPE_BIT | 1u << PM1_SLEEP_ENABLE_BIT)
#define SLEEP_CONTROL_TYPE_BIT 2 /* three bits */
#define SLEEP_CONTROL_ENABLE_BIT 5
#define SLEEP_TYPE_MAX 7

#define RESET_SPACE_MEMORY 0
#define RESET_SPACE_PORT 1

#define RESET_CONTROL_PORT 0xcf9
#define RESET_CONTROL_HARD 0x02
#define RESET_CONTROL_HARD_NOW 0x06

#define KEYBOARD_STATUS_PORT 0x64 /* and command */
#define KEYBOARD_STATUS_INPUT_FULL_BIT 1
#define KEYBOARD_PULSE_RESET 0xfe
#define KEYBOARD_POLLS_MAX 10000

/* Port writes to wait for, about a microsecond each on a PC and more in a virtual machine. */
#define SETTLE_WRITES 100000

static struct arch_exit_config exit_config = {.debug_exit_port = DEBUG_EXIT_PORT_DEFAULT};

void arch_exit_configure(const struct arch_exit_config *config)
{
        exit_config = *config;
}

static void settle(void)
{
        for (unsigned i = 0; i < SETTLE_WRITES; i++)
                io_delay();
}

static void sleep_by_pm1(uint32_t port, uint16_t sleep_type)
{
        uint32_t value;

        if (port == 0 || port > UINT16_MAX || sleep_type > SLEEP_TYPE_MAX)
                return;
        value = inw((uint16_t)port) & ~PM1_SLEEP_MASK;
        value |= (uint32_t)sleep_type << PM1_SLEEP_TYPE_BIT | 1u << PM1_SLEEP_ENABLE_BIT;
        outw((uint16_t)port, (uint16_t)value);
}

static void exit_by_debug_exit(const struct arch_exit_config *config, uint8_t code)
{
        if (config->debug_exit_port != 0 && config->debug_exit_port <= UINT16_MAX)
                outb((uint16_t)config->debug_exit_port, code);
}

static void exit_by_power_off(const struct arch_exit_config *config, UNUSED uint8_t code)
{
        if (config->sleep_control_va != NULL && config->s5_sleep_control <= SLEEP_TYPE_MAX)
                mmio_write8(config->sleep_control_va,
                            (uint8_t)(config->s5_sleep_control << SLEEP_CONTROL_TYPE_BIT |
                                      1u << SLEEP_CONTROL_ENABLE_BIT));
        sleep_by_pm1(config->pm1a_control_port, config->s5_a);
        sleep_by_pm1(config->pm1b_control_port, config->s5_b);
        if (config->sleep_control_va != NULL || config->pm1a_control_port != 0)
                settle();
}

static void exit_by_acpi_reset(const struct arch_exit_config *config, UNUSED uint8_t code)
{
        if (!config->reset_register_valid)
                return;
        if (config->reset_space == RESET_SPACE_PORT && config->reset_address <= UINT16_MAX)
                outb((uint16_t)config->reset_address, config->reset_value);
        else if (config->reset_space == RESET_SPACE_MEMORY && config->reset_va != NULL)
                mmio_write8(config->reset_va, config->reset_value);
        else
                return; /* PCI configuration space: no machine of ours has it there */
        settle();
}

static void exit_by_chip_set(UNUSED const struct arch_exit_config *config, UNUSED uint8_t code)
{
        outb(RESET_CONTROL_PORT, RESET_CONTROL_HARD);
        io_delay();
        outb(RESET_CONTROL_PORT, RESET_CONTROL_HARD_NOW);
        settle();
}

static void exit_by_keyboard_controller(UNUSED const struct arch_exit_config *config,
                                        UNUSED uint8_t code)
{
        for (unsigned i = 0; i < KEYBOARD_POLLS_MAX; i++) {
                if ((inb(KEYBOARD_STATUS_PORT) & 1u << KEYBOARD_STATUS_INPUT_FULL_BIT) == 0)
                        break;
        }
        outb(KEYBOARD_STATUS_PORT, KEYBOARD_PULSE_RESET);
        settle();
}

typedef void (*exit_way)(const struct arch_exit_config *config, uint8_t code);

static const exit_way exit_ways[] = {exit_by_debug_exit, exit_by_power_off, exit_by_acpi_reset,
                                     exit_by_chip_set, exit_by_keyboard_controller};

void arch_exit(uint8_t code)
{
        /* A way that faults ends in a panic, which comes here again:
         * then the next one's turn has come. */
        static size_t next_way;

        arch_interrupts_disable();
        while (next_way < ARRAY_COUNT(exit_ways))
                exit_ways[next_way++](&exit_config, code);
        arch_triple_fault();
}

void arch_triple_fault(void)
{
        const struct {
                uint16_t limit;
                uint64_t base;
        } PACKED empty = {0};

        /* The breakpoint finds no gate, nor does the fault about that, nor the double fault. */
        __asm__ volatile("cli\n\tlidt %0\n\tint3" : : "m"(empty) : "memory");
        for (;;)
                cpu_halt();
}

void arch_fault_without_stack(void)
{
        /* The user half is never mapped. */
        __asm__ volatile("movl %0, %%esp\n\tud2" : : "i"(PAGE_BYTES) : "memory");
        __builtin_unreachable();
}
