/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* acpi — finds the root pointer, lets acpi_tables.c read the tables, and turns what they say into
 * the configurations that arch takes: registers are mapped here, because arch cannot map by
 * itself. Where there is no ACPI, or no MADT, the PC's defaults stand in (MultiProcessor
 * Specification 1.4, chapter 3).
 * Relies on memory_init. */
#include "kernel/acpi.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/acpi_tables.h"
#include "kernel/cmdline.h"
#include "kernel/command.h"
#include "kernel/log.h"
#include "kernel/memory.h"

#define BIOS_AREA_PA 0xe0000u
#define BIOS_AREA_BYTES 0x20000u
#define RSDP_ALIGNMENT 16u /* 5.2.5.1 */

#define LAPIC_REGISTERS_BYTES 4096u
#define IOAPIC_REGISTERS_BYTES 32u
#define HPET_REGISTERS_BYTES 1024u

#define DEFAULT_IOAPIC_PA 0xfec00000u
/* The timer's ISA IRQ arrives at the second input line of the I/O
 * APIC on every PC and every VMM. */
#define DEFAULT_TIMER_GSI 2u

#define WINDOWS_MAX 24
#define DEFAULT_DEBUG_EXIT_PORT 0xf4u
#define PORT_MAX 0xffffu

static struct acpi_info info;
static struct acpi_tables tables;
static uint64_t rsdp_found_pa;
static bool initialised;

static uint64_t debug_exit_port = DEFAULT_DEBUG_EXIT_PORT;
CMDLINE_UINT(debug_exit_port, "exit.debug-port", 0, PORT_MAX,
             "port of QEMU's isa-debug-exit, by which the exit code leaves; 0: none");

/* Whole pages that are mapped already, so that tables which share pages share mappings. */
static struct {
        uint64_t pa, bytes;
        const uint8_t *va;
} windows[WINDOWS_MAX];
static size_t window_count;

static const void *map_table(void *context, uint64_t pa, uint64_t bytes)
{
        void *va;

        (void)context;
        for (size_t i = 0; i < window_count; i++) {
                uint64_t offset = pa - windows[i].pa;
                if (pa >= windows[i].pa && offset < windows[i].bytes &&
                    bytes <= windows[i].bytes - offset)
                        return windows[i].va + offset;
        }
        if (pa + bytes > UINT64_MAX - PAGE_BYTES)
                return NULL;
        uint64_t first = round_down(pa, PAGE_BYTES);
        uint64_t whole = round_up(pa + bytes, PAGE_BYTES) - first;
        if (memory_map_physical(first, whole, MEMORY_MAP_TABLE, &va) != ZX_OK)
                return NULL;
        if (window_count < WINDOWS_MAX) {
                windows[window_count].pa = first;
                windows[window_count].bytes = whole;
                windows[window_count].va = va;
                window_count++;
        }
        return (const uint8_t *)va + (pa - first);
}

/* Maps registers; NULL, with a line in the log, when that fails. */
static volatile void *map_registers(const char *what, uint64_t pa, uint64_t bytes)
{
        void *va;
        zx_status_t status = memory_map_physical(pa, bytes, MEMORY_MAP_DEVICE, &va);

        if (status == ZX_OK)
                return va;
        log_line("acpi: %s at 0x%llx cannot be mapped: %s", what, (unsigned long long)pa,
                 zx_status_name(status));
        return NULL;
}

/* The root pointer in the BIOS area, 0: none. */
static uint64_t search_bios_area(void)
{
        const uint8_t *area = map_table(NULL, BIOS_AREA_PA, BIOS_AREA_BYTES);

        if (area == NULL)
                return 0;
        for (uint32_t at = 0; at + ACPI_TABLES_RSDP_BYTES <= BIOS_AREA_BYTES; at += RSDP_ALIGNMENT)
                if (acpi_tables_is_rsdp(area + at))
                        return BIOS_AREA_PA + at;
        return 0;
}

/* ---- tables -> configurations ---- */

static void configure_lapic(void)
{
        uint64_t pa = arch_irq_lapic_pa();

        if (pa == 0)
                return;
        if (tables.has_madt && tables.lapic_pa != pa)
                log_line("acpi: MADT puts the local APIC at 0x%llx, the CPU has it at 0x%llx",
                         (unsigned long long)tables.lapic_pa, (unsigned long long)pa);
        info.irq.lapic_pa = pa;
        info.irq.lapic_va = map_registers("local APIC", pa, LAPIC_REGISTERS_BYTES);
}

static void add_ioapic(uint64_t pa, uint32_t gsi_base)
{
        uint32_t index = info.irq.ioapic_count;

        ASSERT(index < ARRAY_COUNT(info.irq.ioapics));
        info.irq.ioapics[index].pa = pa;
        info.irq.ioapics[index].gsi_base = gsi_base;
        info.irq.ioapics[index].va = map_registers("I/O APIC", pa, IOAPIC_REGISTERS_BYTES);
        info.irq.ioapic_count++;
}

static void add_override(uint8_t isa_irq, uint32_t gsi, uint16_t mps_flags)
{
        uint32_t index = info.irq.override_count;

        ASSERT(index < ARRAY_COUNT(info.irq.overrides));
        info.irq.overrides[index].isa_irq = isa_irq;
        info.irq.overrides[index].gsi = gsi;
        info.irq.overrides[index].mps_flags = mps_flags;
        info.irq.override_count++;
}

static void configure_interrupts(void)
{
        _Static_assert(ACPI_TABLES_IOAPICS_MAX <= ARRAY_COUNT(info.irq.ioapics), "all must fit");
        _Static_assert(ACPI_TABLES_OVERRIDES_MAX <= ARRAY_COUNT(info.irq.overrides),
                       "all must fit");

        configure_lapic();
        if (!tables.has_madt) {
                add_ioapic(DEFAULT_IOAPIC_PA, 0);
                add_override(0, DEFAULT_TIMER_GSI, 0);
                return;
        }
        for (uint32_t i = 0; i < tables.ioapic_count; i++)
                add_ioapic(tables.ioapics[i].pa, tables.ioapics[i].gsi_base);
        for (uint32_t i = 0; i < tables.override_count; i++)
                add_override(tables.overrides[i].isa_irq, tables.overrides[i].gsi,
                             tables.overrides[i].mps_flags);
}

static void configure_clock(void)
{
        if (tables.pm_timer.address != 0 && tables.pm_timer.space == ACPI_TABLES_SPACE_PORT) {
                info.clock.pm_timer_port = (uint32_t)tables.pm_timer.address;
                info.clock.pm_timer_bits = tables.pm_timer_bits;
        }
        if (tables.hpet_pa != 0) {
                info.clock.hpet_pa = tables.hpet_pa;
                info.clock.hpet_va = map_registers("HPET", tables.hpet_pa, HPET_REGISTERS_BYTES);
        }
}

static uint32_t port_of(const struct acpi_tables_register *where)
{
        return where->space == ACPI_TABLES_SPACE_PORT ? (uint32_t)where->address : 0;
}

static void configure_exit(void)
{
        struct arch_exit_config *out = &info.exit;

        out->debug_exit_port = (uint32_t)debug_exit_port;
        if (tables.has_s5) {
                out->pm1a_control_port = port_of(&tables.pm1a_control);
                out->pm1b_control_port = port_of(&tables.pm1b_control);
                out->s5_a = tables.s5_a;
                out->s5_b = tables.s5_b;
                out->s5_sleep_control = tables.s5_a;
                if (tables.sleep_control.address != 0 &&
                    tables.sleep_control.space == ACPI_TABLES_SPACE_MEMORY) {
                        out->sleep_control_pa = tables.sleep_control.address;
                        out->sleep_control_va =
                                map_registers("sleep control", out->sleep_control_pa, 1);
                }
        }
        if (tables.reset.address == 0)
                return;
        out->reset_register_valid = true;
        out->reset_space = tables.reset.space;
        out->reset_address = tables.reset.address;
        out->reset_value = tables.reset_value;
        if (tables.reset.space == ACPI_TABLES_SPACE_MEMORY) {
                out->reset_va = map_registers("reset register", out->reset_address, 1);
                out->reset_register_valid = out->reset_va != NULL;
        }
}

static void configure_rest(void)
{
        _Static_assert(ACPI_TABLES_CPUS_MAX == ACPI_CPUS_MAX, "copied one by one");
        _Static_assert(ACPI_TABLES_ECAM_MAX == ACPI_ECAM_MAX, "copied one by one");

        info.cpu_count = tables.cpu_count != 0 ? tables.cpu_count : 1;
        for (uint32_t i = 0; i < ACPI_CPUS_MAX; i++)
                info.cpu_apic_ids[i] = tables.cpu_apic_ids[i];
        info.virtio_mmio_count = tables.virtio_mmio_count;
        info.virtio_mmio = tables.virtio_mmio;
        info.ecam_count = tables.ecam_count;
        for (uint32_t i = 0; i < tables.ecam_count; i++) {
                info.ecam[i].pa = tables.ecam[i].pa;
                info.ecam[i].segment = tables.ecam[i].segment;
                info.ecam[i].first_bus = tables.ecam[i].first_bus;
                info.ecam[i].last_bus = tables.ecam[i].last_bus;
        }
}

static void report_broken(void)
{
        for (uint32_t i = 0; i < tables.broken_count && i < ACPI_TABLES_BROKEN_MAX; i++)
                log_line("acpi: table %s at 0x%llx is broken: %s", tables.broken[i].signature,
                         (unsigned long long)tables.broken[i].pa,
                         acpi_tables_fault_name(tables.broken[i].fault));
        if (tables.ignored_count != 0)
                log_line("acpi: %u entries ignored", tables.ignored_count);
}

void acpi_init(uint64_t rsdp_pa)
{
        ASSERT(!initialised);
        initialised = true;
        rsdp_found_pa = rsdp_pa != 0 ? rsdp_pa : search_bios_area();
        if (rsdp_found_pa != 0)
                info.found = acpi_tables_read(rsdp_found_pa, map_table, NULL, &tables) == ZX_OK;
        configure_interrupts();
        configure_clock();
        configure_exit();
        configure_rest();
        report_broken();
        if (!info.found)
                log_line("acpi: no tables, assuming a PC's defaults");
}

const struct acpi_info *acpi_info(void)
{
        ASSERT(initialised);
        return &info;
}

/* ---- console ---- */

static void print_interrupts(void)
{
        log_line("acpi: local APIC 0x%llx, %u CPUs", (unsigned long long)info.irq.lapic_pa,
                 info.cpu_count);
        for (uint32_t i = 0; i < info.irq.ioapic_count; i++)
                log_line("acpi: I/O APIC 0x%llx, GSIs from %u",
                         (unsigned long long)info.irq.ioapics[i].pa, info.irq.ioapics[i].gsi_base);
        for (uint32_t i = 0; i < info.irq.override_count; i++)
                log_line("acpi: ISA IRQ %u is GSI %u, flags 0x%x", info.irq.overrides[i].isa_irq,
                         info.irq.overrides[i].gsi, info.irq.overrides[i].mps_flags);
}

static void print_exit(void)
{
        const struct arch_exit_config *out = &info.exit;

        log_line("acpi: S5 %s, PM1a 0x%x PM1b 0x%x values %u %u, sleep control 0x%llx",
                 tables.has_s5 ? "found" : "not found", out->pm1a_control_port,
                 out->pm1b_control_port, out->s5_a, out->s5_b,
                 (unsigned long long)out->sleep_control_pa);
        if (out->reset_register_valid)
                log_line("acpi: reset by 0x%x to %s 0x%llx", out->reset_value,
                         out->reset_space == ACPI_TABLES_SPACE_PORT ? "port" : "memory",
                         (unsigned long long)out->reset_address);
}

static void acpi_print(void)
{
        if (!info.found)
                log_line("acpi: no tables; what follows are defaults");
        else
                log_line("acpi: root pointer 0x%llx, revision %u%s",
                         (unsigned long long)rsdp_found_pa, tables.revision,
                         tables.reduced_hardware ? ", reduced hardware" : "");
        print_interrupts();
        log_line("acpi: HPET 0x%llx, PM timer port 0x%x (%u bits)",
                 (unsigned long long)info.clock.hpet_pa, info.clock.pm_timer_port,
                 info.clock.pm_timer_bits);
        for (uint32_t i = 0; i < info.ecam_count; i++)
                log_line("acpi: ECAM 0x%llx, segment %u, buses %u-%u",
                         (unsigned long long)info.ecam[i].pa, info.ecam[i].segment,
                         info.ecam[i].first_bus, info.ecam[i].last_bus);
        for (uint32_t i = 0; i < info.virtio_mmio_count; i++)
                log_line("acpi: virtio-mmio 0x%llx, 0x%x bytes, GSI %u, %s",
                         (unsigned long long)info.virtio_mmio[i].pa, info.virtio_mmio[i].bytes,
                         info.virtio_mmio[i].gsi, info.virtio_mmio[i].level ? "level" : "edge");
        print_exit();
        report_broken();
}
COMMAND(acpi_command, "acpi", "what the ACPI tables said", acpi_print);
