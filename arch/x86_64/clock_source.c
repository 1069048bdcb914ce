/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* See clock_source.h. The sources come in two kinds: those that state a frequency (CPUID
 * leaves, MSRs), and counters of known speed (HPET, PM timer, PIT), against which the
 * time stamp counter is measured.
 * Facts: Intel SDM 2, CPUID leaves 15H and 16H; Intel SDM 3, 19.7.3; VMware's and KVM's
 * leaf 0x40000010; spec/vmbus.md, g.1 and g.2; KVM's msr.rst and cpuid.rst; IA-PC HPET 1.0a, 2.3;
 * ACPI 6.5, 4.8.3.3; 8254 datasheet. */
#include "arch/clock_source.h"

#include <stddef.h>

#include "arch/cpu.h"
#include "arch/io.h"
#include "arch/pit.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "base/shared.h"

#define NS_PER_SECOND 1000000000ull

static struct arch_clock_config config;

void clock_source_configure(const struct arch_clock_config *from)
{
        config = *from;
}

/* ---- counters of known speed ---- */

#define HPET_CAPABILITIES 0x000 /* upper half: femtoseconds a count */
#define HPET_CONFIGURATION 0x010
#define HPET_COUNTER 0x0f0
#define HPET_ENABLE_BIT 0
#define HPET_LEGACY_ROUTE_BIT 1 /* takes the PIT's interrupt line */
#define HPET_PERIOD_MAX_FS 100000000u
#define FEMTOSECONDS_PER_SECOND 1000000000000000ull

static uint64_t read_hpet(const struct clock_counter *counter)
{
        return mmio_read32((volatile uint8_t *)counter->registers + HPET_COUNTER);
}

static zx_status_t measure_hpet(uint64_t *hz)
{
        volatile uint8_t *registers = config.hpet_va;

        if (registers == NULL)
                return ZX_ERR_NOT_FOUND;
        uint32_t period_fs = mmio_read32(registers + HPET_CAPABILITIES + sizeof(uint32_t));
        if (period_fs == 0 || period_fs > HPET_PERIOD_MAX_FS)
                return ZX_ERR_IO;
        uint32_t old = mmio_read32(registers + HPET_CONFIGURATION);
        uint32_t new = (old & ~(uint32_t)BIT_MASK(HPET_LEGACY_ROUTE_BIT)) |
                       (uint32_t)BIT_MASK(HPET_ENABLE_BIT);
        if (new != old)
                mmio_write32(registers + HPET_CONFIGURATION, new);
        const struct clock_counter counter = {.read = read_hpet, .registers = registers, .bits = 32,
                                              .hz = FEMTOSECONDS_PER_SECOND / period_fs};
        return clock_measure_against(&counter, hz);
}

#define PM_TIMER_HZ 3579545u

static uint64_t read_pm_timer(const struct clock_counter *counter)
{
        return inl(counter->port);
}

static zx_status_t measure_pm_timer(uint64_t *hz)
{
        if (config.pm_timer_port == 0 || config.pm_timer_port > UINT16_MAX)
                return ZX_ERR_NOT_FOUND;
        const struct clock_counter counter = {.read = read_pm_timer,
                                              .port = (uint16_t)config.pm_timer_port,
                                              .bits = config.pm_timer_bits == 32 ? 32 : 24,
                                              .hz = PM_TIMER_HZ};
        return clock_measure_against(&counter, hz);
}

static uint64_t read_pit(const struct clock_counter *counter)
{
        (void)counter;
        return pit_read(PIT_CHANNEL_SPEAKER);
}

static zx_status_t measure_pit(uint64_t *hz)
{
        const struct clock_counter counter = {.read = read_pit, .bits = 16, .down = true,
                                              .hz = PIT_HZ};
        uint8_t old = inb(PIT_GATE_PORT);

        outb(PIT_GATE_PORT, (old & ~PIT_GATE_SPEAKER) | PIT_GATE_ENABLE);
        pit_program(PIT_CHANNEL_SPEAKER, PIT_MODE_ONE_SHOT, PIT_COUNT_MAX);
        zx_status_t status = clock_measure_against(&counter, hz);
        outb(PIT_GATE_PORT, old);
        /* Nothing counts: nothing is there. */
        return status == ZX_ERR_IO ? ZX_ERR_NOT_FOUND : status;
}

/* ---- stated frequencies ---- */

#define LEAF_CRYSTAL 0x15u
#define LEAF_BASE_FREQUENCY 0x16u
#define BASE_MHZ_MASK 0xffffu
#define LEAF_HYPERVISOR_TIMING 0x40000010u
#define HZ_PER_KHZ 1000ull
#define HZ_PER_MHZ 1000000ull

static zx_status_t read_crystal(uint64_t *hz)
{
        if (!cpu_has_leaf(LEAF_CRYSTAL))
                return ZX_ERR_NOT_FOUND;
        struct cpu_cpuid leaf = cpu_cpuid(LEAF_CRYSTAL, 0);
        if (leaf.eax == 0 || leaf.ebx == 0 || leaf.ecx == 0)
                return ZX_ERR_NOT_FOUND;
        *hz = (uint64_t)leaf.ecx * leaf.ebx / leaf.eax;
        return ZX_OK;
}

static zx_status_t read_base_frequency(uint64_t *hz)
{
        if (!cpu_has_leaf(LEAF_BASE_FREQUENCY))
                return ZX_ERR_NOT_FOUND;
        *hz = (cpu_cpuid(LEAF_BASE_FREQUENCY, 0).eax & BASE_MHZ_MASK) * HZ_PER_MHZ;
        return *hz != 0 ? ZX_OK : ZX_ERR_NOT_FOUND;
}

#define HYPERV_INTERFACE_LEAF 0x40000001u
#define HYPERV_INTERFACE 0x31237648u /* "Hv#1" */
#define HYPERV_FEATURES_LEAF 0x40000003u
#define HYPERV_MAY_READ_BIT 11       /* EAX */
#define HYPERV_HAS_FREQUENCY_BIT 8   /* EDX */
#define HYPERV_MSR_TSC_FREQUENCY 0x40000022u

static bool is_hyperv_interface(void)
{
        return cpu_has_leaf(HYPERV_FEATURES_LEAF) &&
               cpu_cpuid(HYPERV_INTERFACE_LEAF, 0).eax == HYPERV_INTERFACE;
}

/* Hyper-V uses the numbers of that range for itself. */
static zx_status_t read_hypervisor_timing(uint64_t *hz)
{
        if (!cpu_has_leaf(LEAF_HYPERVISOR_TIMING) || is_hyperv_interface())
                return ZX_ERR_NOT_FOUND;
        *hz = cpu_cpuid(LEAF_HYPERVISOR_TIMING, 0).eax * HZ_PER_KHZ;
        return *hz != 0 ? ZX_OK : ZX_ERR_NOT_FOUND;
}

static zx_status_t read_hyperv(uint64_t *hz)
{
        if (!is_hyperv_interface())
                return ZX_ERR_NOT_FOUND;
        struct cpu_cpuid features = cpu_cpuid(HYPERV_FEATURES_LEAF, 0);
        if ((features.eax & BIT_MASK(HYPERV_MAY_READ_BIT)) == 0 ||
            (features.edx & BIT_MASK(HYPERV_HAS_FREQUENCY_BIT)) == 0)
                return ZX_ERR_NOT_FOUND;
        *hz = cpu_read_msr(HYPERV_MSR_TSC_FREQUENCY);
        return ZX_OK;
}

/* ---- pvclock ---- */

/* KVM's leaves start at the first base that shows its signature: behind another hypervisor's,
 * if it plays that one as well. */
#define KVM_BASES_MAX 4u
#define KVM_BASE_STEP 0x100u
#define KVM_SIGNATURE_EBX 0x4b4d564bu /* "KVMKVMKVM" */
#define KVM_SIGNATURE_ECX 0x564b4d56u
#define KVM_SIGNATURE_EDX 0x0000004du
#define KVM_FEATURES_LEAF 1u
#define KVM_CLOCK_BIT 3 /* the clock by the MSR below */
#define KVM_MSR_SYSTEM_TIME 0x4b564d01u
#define KVM_SYSTEM_TIME_ENABLE 1u
#define PVCLOCK_READS_MAX 1000u

struct pvclock {
        uint32_t version; /* odd while the host writes */
        uint32_t reserved0;
        uint64_t tsc_timestamp, system_time_ns;
        uint32_t multiplier;
        int8_t shift;
        uint8_t flags;
        uint8_t reserved1[2];
};
_Static_assert(sizeof(struct pvclock) == 32, "KVM writes it");
_Static_assert(offsetof(struct pvclock, multiplier) == 24, "KVM writes it");

static struct pvclock ALIGNED(sizeof(struct pvclock)) pvclock; /* in one page, as KVM asks */

static bool kvm_has_clock(void)
{
        if (!cpu_features()->hypervisor)
                return false;
        for (uint32_t i = 0; i < KVM_BASES_MAX; i++) {
                uint32_t base = CPU_LEAF_HYPERVISOR + i * KVM_BASE_STEP;
                struct cpu_cpuid leaf = cpu_cpuid(base, 0);
                if (leaf.ebx == KVM_SIGNATURE_EBX && leaf.ecx == KVM_SIGNATURE_ECX &&
                    leaf.edx == KVM_SIGNATURE_EDX)
                        return (cpu_cpuid(base + KVM_FEATURES_LEAF, 0).eax &
                                BIT_MASK(KVM_CLOCK_BIT)) != 0;
        }
        return false;
}

uint64_t clock_pvclock_hz(uint32_t multiplier, int8_t shift)
{
        /* ns = (ticks << shift) * multiplier >> 32, so hz = 10^9 * 2^32 / multiplier >> shift */
        if (multiplier == 0 || shift <= -32 || shift >= 32)
                return 0;
        uint64_t hz = (NS_PER_SECOND << 32) / multiplier;
        if (shift >= 0)
                return hz >> shift;
        return hz <= UINT64_MAX >> -shift ? hz << -shift : 0;
}

static zx_status_t read_pvclock(uint64_t *hz)
{
        uint64_t pa;
        zx_status_t status = ZX_ERR_IO;

        if (!kvm_has_clock())
                return ZX_ERR_NOT_FOUND;
        if (arch_query((uintptr_t)&pvclock, &pa, NULL, NULL) != ZX_OK)
                return ZX_ERR_NOT_FOUND;
        cpu_write_msr(KVM_MSR_SYSTEM_TIME, pa | KVM_SYSTEM_TIME_ENABLE);
        for (uint32_t reads = 0; reads < PVCLOCK_READS_MAX; reads++) {
                uint32_t version = shared_load_acquire_u32(&pvclock.version);
                uint32_t multiplier = shared_load_u32(&pvclock.multiplier);
                uint8_t shift = shared_load_u8(&pvclock.shift);
                shared_fence_acquire(); /* the reads above before the second look at the version */
                if (version == 0 || (version & 1) != 0 ||
                    shared_load_u32(&pvclock.version) != version)
                        continue;
                *hz = clock_pvclock_hz(multiplier, (int8_t)shift);
                status = *hz != 0 ? ZX_OK : ZX_ERR_IO;
                break;
        }
        cpu_write_msr(KVM_MSR_SYSTEM_TIME, 0);
        return status;
}

/* ---- the list ---- */

static const struct {
        const char *name;
        zx_status_t (*measure)(uint64_t *hz);
} sources[ARCH_CLOCK_SOURCE_COUNT] = {
        [ARCH_CLOCK_CPUID_15] = {"cpuid-0x15", read_crystal},
        [ARCH_CLOCK_CPUID_16] = {"cpuid-0x16", read_base_frequency},
        [ARCH_CLOCK_CPUID_HYPERVISOR] = {"cpuid-0x40000010", read_hypervisor_timing},
        [ARCH_CLOCK_HYPERV_MSR] = {"hyperv-msr", read_hyperv},
        [ARCH_CLOCK_PVCLOCK] = {"pvclock", read_pvclock},
        [ARCH_CLOCK_HPET] = {"hpet", measure_hpet},
        [ARCH_CLOCK_PM_TIMER] = {"pm-timer", measure_pm_timer},
        [ARCH_CLOCK_PIT] = {"pit", measure_pit},
};

zx_status_t arch_clock_measure(enum arch_clock_source source, uint64_t *ticks_per_second)
{
        uint64_t hz = 0;

        ASSERT(source < ARCH_CLOCK_SOURCE_COUNT);
        bool enabled = arch_interrupts_disable();
        zx_status_t status = sources[source].measure(&hz);
        arch_interrupts_restore(enabled);
        if (status != ZX_OK)
                return status;
        if (hz < CLOCK_HZ_MIN || hz > CLOCK_HZ_MAX)
                return ZX_ERR_IO;
        *ticks_per_second = hz;
        return ZX_OK;
}

const char *arch_clock_source_name(enum arch_clock_source source)
{
        ASSERT(source < ARCH_CLOCK_SOURCE_COUNT);
        return sources[source].name;
}
