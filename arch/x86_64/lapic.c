/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* See lapic.h. Relies on arch_cpu_init for the feature bits. */
#include "arch/lapic.h"

#include <stddef.h>

#include "arch/arch.h"
#include "arch/cpu.h"
#include "arch/io.h"
#include "base/assert.h"
#include "base/bytes.h"

#define APIC_BASE_X2APIC_BIT 10
#define APIC_BASE_ENABLE_BIT 11
#define APIC_BASE_ADDRESS_MASK 0x000ffffffffff000ull

#define CPUID_FEATURES 1
#define CPUID_EDX_APIC_BIT 9

#define VERSION_LVT_MAX_SHIFT 16 /* number of the last local vector table entry */
#define LVT_MAX_WITH_COUNTERS 4
#define LVT_MAX_WITH_THERMAL 5

#define SPURIOUS_ENABLE_BIT 8
#define DELIVERY_NMI (4u << 8)
#define COMMAND_PENDING_BIT 12
#define COMMAND_SELF (1u << 18)
#define COMMAND_HIGH_DESTINATION_SHIFT 24
#define COMMAND_X2APIC_DESTINATION_SHIFT 32
#define COMMAND_POLLS_MAX 100000u

#define XAPIC_ID_SHIFT 24

static struct {
        volatile uint8_t *registers;
        bool ready, x2apic;
} lapic;

static bool cpu_has_lapic(void)
{
        return (cpu_cpuid(CPUID_FEATURES, 0).edx & BIT_MASK(CPUID_EDX_APIC_BIT)) != 0;
}

uint64_t arch_irq_lapic_pa(void)
{
        return cpu_has_lapic() ? cpu_read_msr(CPU_MSR_APIC_BASE) & APIC_BASE_ADDRESS_MASK : 0;
}

uint32_t lapic_read(uint32_t offset)
{
        if (lapic.x2apic)
                return (uint32_t)cpu_read_msr(CPU_MSR_X2APIC_FIRST + offset / 16);
        return mmio_read32(lapic.registers + offset);
}

void lapic_write(uint32_t offset, uint32_t value)
{
        if (lapic.x2apic)
                cpu_write_msr(CPU_MSR_X2APIC_FIRST + offset / 16, value);
        else
                mmio_write32(lapic.registers + offset, value);
}

/* The only legal ways between the modes: off -> xAPIC -> x2APIC, one bit a step (10.12.5). Firmware
 * may have gone them already; nobody goes back. */
static void enable(bool x2apic)
{
        uint64_t base = cpu_read_msr(CPU_MSR_APIC_BASE);
        uint64_t want = base | BIT_MASK(APIC_BASE_ENABLE_BIT);

        if (want != base)
                cpu_write_msr(CPU_MSR_APIC_BASE, want);
        if (x2apic && (want & BIT_MASK(APIC_BASE_X2APIC_BIT)) == 0)
                cpu_write_msr(CPU_MSR_APIC_BASE, want | BIT_MASK(APIC_BASE_X2APIC_BIT));
}

zx_status_t lapic_init(volatile void *registers, uint8_t spurious_vector, uint8_t error_vector)
{
        bool x2apic = cpu_features()->x2apic;

        ASSERT(!lapic.ready);
        if (!cpu_has_lapic() || (!x2apic && registers == NULL))
                return ZX_ERR_NOT_SUPPORTED;
        lapic.registers = registers;
        lapic.x2apic = x2apic;
        lapic_init_this(spurious_vector, error_vector, true);
        lapic.ready = true;
        return ZX_OK;
}

void lapic_init_this(uint8_t spurious_vector, uint8_t error_vector, bool takes_nmi)
{
        uint32_t masked = (uint32_t)BIT_MASK(LAPIC_LVT_MASKED_BIT);

        ASSERT((spurious_vector & 0xf) == 0xf); /* some CPUs have the low bits hard-wired, 10.9 */
        enable(lapic.x2apic);
        /* Software-enabled first: while it is not, every LVT entry
         * is stuck at masked (10.4.7.2). */
        lapic_write(LAPIC_TASK_PRIORITY, 0);
        lapic_write(LAPIC_SPURIOUS, (uint32_t)BIT_MASK(SPURIOUS_ENABLE_BIT) | spurious_vector);
        uint32_t lvt_max = (lapic_read(LAPIC_VERSION) >> VERSION_LVT_MAX_SHIFT) & 0xff;
        lapic_write(LAPIC_LVT_TIMER, masked);
        lapic_write(LAPIC_LVT_LINT0, masked); /* the 8259s, which are masked for good */
        lapic_write(LAPIC_LVT_LINT1, takes_nmi ? DELIVERY_NMI : masked);
        if (lvt_max >= LVT_MAX_WITH_COUNTERS)
                lapic_write(LAPIC_LVT_COUNTERS, masked);
        if (lvt_max >= LVT_MAX_WITH_THERMAL)
                lapic_write(LAPIC_LVT_THERMAL, masked);
        (void)lapic_take_errors();
        lapic_write(LAPIC_LVT_ERROR, error_vector);
        lapic_end_of_interrupt(); /* one that firmware left open, if any */
}

bool lapic_is_ready(void)
{
        return lapic.ready;
}

bool lapic_is_x2apic(void)
{
        return lapic.x2apic;
}

uint32_t lapic_id(void)
{
        uint32_t id = lapic_read(LAPIC_ID);
        return lapic.x2apic ? id : id >> XAPIC_ID_SHIFT;
}

void lapic_end_of_interrupt(void)
{
        lapic_write(LAPIC_END_OF_INTERRUPT, 0);
}

bool lapic_in_service(uint8_t vector)
{
        return (lapic_read(LAPIC_IN_SERVICE + vector / 32 * 16) >> (vector % 32) & 1) != 0;
}

uint32_t lapic_take_errors(void)
{
        lapic_write(LAPIC_ERROR_STATUS, 0); /* a write latches and restarts the register, 10.5.3 */
        return lapic_read(LAPIC_ERROR_STATUS);
}

static void wait_until_sent(void)
{
        for (uint32_t polls = 0; polls < COMMAND_POLLS_MAX; polls++) {
                if ((lapic_read(LAPIC_COMMAND_LOW) & BIT_MASK(COMMAND_PENDING_BIT)) == 0)
                        break;
                arch_pause();
        }
}

void lapic_send_self(uint8_t vector)
{
        if (lapic.x2apic) {
                cpu_write_msr(CPU_MSR_X2APIC_FIRST + LAPIC_SELF / 16, vector);
                return;
        }
        wait_until_sent();
        lapic_write(LAPIC_COMMAND_LOW, COMMAND_SELF | vector);
}

void lapic_send(uint32_t apic_id, uint32_t command)
{
        /* A write to an MSR does not wait for the stores before it, which the
         * receiver is to see (10.12.3). */
        __asm__ volatile("mfence" : : : "memory");
        if (lapic.x2apic) {
                cpu_write_msr(CPU_MSR_X2APIC_FIRST + LAPIC_COMMAND_LOW / 16,
                              (uint64_t)apic_id << COMMAND_X2APIC_DESTINATION_SHIFT | command);
                return;
        }
        /* A handler between the two halves could send something of its own. */
        bool enabled = arch_interrupts_disable();
        wait_until_sent();
        lapic_write(LAPIC_COMMAND_HIGH, apic_id << COMMAND_HIGH_DESTINATION_SHIFT);
        lapic_write(LAPIC_COMMAND_LOW, command);
        arch_interrupts_restore(enabled);
}
