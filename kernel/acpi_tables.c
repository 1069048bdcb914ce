/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Reads ACPI tables into struct acpi_tables; see the header. Offsets are those of the
 * specification's tables, named in the enums in front of each function. */
#include "kernel/acpi_tables.h"

#include "base/bytes.h"
#include "base/compiler.h"

/* The header that every table but the RSDP begins with (5.2.6). */
enum { HEADER_LENGTH = 4, HEADER_BYTES = 36 };

struct reader {
        acpi_tables_map_fn map;
        void *context;
        struct acpi_tables *out;
};

/* One table that was checked: `bytes` bytes at `data`, HEADER_BYTES or more. */
struct table {
        const uint8_t *data;
        uint32_t bytes;
        uint64_t pa;
};

/* ---- bytes: by builtins, which become one load where a call would cost more than the work ---- */

static uint16_t get16(const uint8_t *bytes)
{
        uint16_t value;
        __builtin_memcpy(&value, bytes, sizeof(value));
        return value;
}

static uint32_t get32(const uint8_t *bytes)
{
        uint32_t value;
        __builtin_memcpy(&value, bytes, sizeof(value));
        return value;
}

static uint64_t get64(const uint8_t *bytes)
{
        uint64_t value;
        __builtin_memcpy(&value, bytes, sizeof(value));
        return value;
}

static ALWAYS_INLINE bool has_signature(const uint8_t *bytes, const char *signature, size_t length)
{
        return __builtin_memcmp(bytes, signature, length) == 0;
}

/* A table's bytes add up to 0 modulo 256. */
static bool sums_to_zero(const uint8_t *bytes, size_t count)
{
        uint32_t sum = 0;
        for (size_t i = 0; i < count; i++)
                sum += bytes[i];
        return (sum & 0xff) == 0;
}

static void note_broken(struct reader *reader, const uint8_t *signature, uint64_t pa,
                        enum acpi_tables_fault fault)
{
        struct acpi_tables *out = reader->out;
        uint32_t index = out->broken_count++;
        if (index >= ACPI_TABLES_BROKEN_MAX)
                return;
        for (size_t i = 0; i < 4; i++) {
                bool printable = signature[i] > ' ' && signature[i] <= '~';
                out->broken[index].signature[i] = printable ? (char)signature[i] : '?';
        }
        out->broken[index].signature[4] = '\0';
        out->broken[index].fault = (uint8_t)fault;
        out->broken[index].pa = pa;
}

static const uint8_t *map_bytes(struct reader *reader, uint64_t pa, uint64_t bytes)
{
        uint64_t end;
        if (pa == 0 || add_overflows(pa, bytes, &end))
                return NULL;
        return reader->map(reader->context, pa, bytes);
}

/* Checks the table at `pa`, whose header is at `header`, against its signature and its own length
 * and checksum; notes what is wrong. */
static bool open_table(struct reader *reader, uint64_t pa, const char *signature,
                       uint32_t bytes_min, struct table *table)
{
        const uint8_t *name = (const uint8_t *)signature;
        const uint8_t *header = map_bytes(reader, pa, HEADER_BYTES);
        enum acpi_tables_fault fault = ACPI_TABLES_UNREACHABLE;
        if (header == NULL)
                goto broken;
        fault = ACPI_TABLES_BAD_SIGNATURE;
        if (!has_signature(header, signature, 4))
                goto broken;
        fault = ACPI_TABLES_BAD_LENGTH;
        uint32_t bytes = get32(header + HEADER_LENGTH);
        if (bytes < bytes_min || bytes > ACPI_TABLES_TABLE_BYTES_MAX)
                goto broken;
        fault = ACPI_TABLES_UNREACHABLE;
        const uint8_t *data = map_bytes(reader, pa, bytes);
        if (data == NULL)
                goto broken;
        fault = ACPI_TABLES_BAD_CHECKSUM;
        if (!sums_to_zero(data, bytes))
                goto broken;
        *table = (struct table){.data = data, .bytes = bytes, .pa = pa};
        return true;
broken:
        note_broken(reader, name, pa, fault);
        return false;
}

/* ---- MADT (5.2.12): processors and interrupt controllers ---- */

enum {
        MADT_LAPIC_ADDRESS = 36,
        MADT_ENTRIES = 44,

        ENTRY_TYPE = 0, /* the same in every entry */
        ENTRY_LENGTH = 1,
        ENTRY_BYTES_MIN = 2,

        LAPIC_TYPE = 0, LAPIC_BYTES = 8, LAPIC_ID = 3, LAPIC_FLAGS = 4,
        IOAPIC_TYPE = 1, IOAPIC_BYTES = 12, IOAPIC_ADDRESS = 4, IOAPIC_GSI_BASE = 8,
        OVERRIDE_TYPE = 2, OVERRIDE_BYTES = 10, OVERRIDE_BUS = 2, OVERRIDE_SOURCE = 3,
        OVERRIDE_GSI = 4, OVERRIDE_FLAGS = 8,
        LAPIC64_TYPE = 5, LAPIC64_BYTES = 12, LAPIC64_ADDRESS = 4,
        X2APIC_TYPE = 9, X2APIC_BYTES = 16, X2APIC_ID = 4, X2APIC_FLAGS = 8,

        CPU_ENABLED_BIT = 0,
        BUS_ISA = 0, ISA_IRQ_COUNT = 16,
        LAPIC_ID_BROADCAST = 0xff,
};

/* Counts a processor; one that is listed both as LAPIC and as x2APIC counts once. */
static void add_cpu(struct acpi_tables *out, uint32_t apic_id, uint32_t flags)
{
        if ((flags & BIT_MASK(CPU_ENABLED_BIT)) == 0)
                return;
        for (uint32_t i = 0; i < out->cpu_count && i < ACPI_TABLES_CPUS_MAX; i++)
                if (out->cpu_apic_ids[i] == apic_id)
                        return;
        if (out->cpu_count < ACPI_TABLES_CPUS_MAX)
                out->cpu_apic_ids[out->cpu_count] = apic_id;
        else
                out->ignored_count++;
        out->cpu_count++;
}

static void add_ioapic(struct acpi_tables *out, const uint8_t *entry)
{
        uint64_t pa = get32(entry + IOAPIC_ADDRESS);
        if (out->ioapic_count == ACPI_TABLES_IOAPICS_MAX || pa == 0) {
                out->ignored_count++;
                return;
        }
        out->ioapics[out->ioapic_count].pa = pa;
        out->ioapics[out->ioapic_count].gsi_base = get32(entry + IOAPIC_GSI_BASE);
        out->ioapic_count++;
}

static void add_override(struct acpi_tables *out, const uint8_t *entry)
{
        if (out->override_count == ACPI_TABLES_OVERRIDES_MAX || entry[OVERRIDE_BUS] != BUS_ISA ||
            entry[OVERRIDE_SOURCE] >= ISA_IRQ_COUNT) {
                out->ignored_count++;
                return;
        }
        out->overrides[out->override_count].isa_irq = entry[OVERRIDE_SOURCE];
        out->overrides[out->override_count].gsi = get32(entry + OVERRIDE_GSI);
        out->overrides[out->override_count].mps_flags = get16(entry + OVERRIDE_FLAGS);
        out->override_count++;
}

/* The bytes that this parser needs of an entry of that type; what it
 * does not know needs the minimum. */
static uint32_t madt_entry_bytes_min(uint8_t type)
{
        switch (type) {
        case LAPIC_TYPE:
                return LAPIC_BYTES;
        case IOAPIC_TYPE:
                return IOAPIC_BYTES;
        case OVERRIDE_TYPE:
                return OVERRIDE_BYTES;
        case LAPIC64_TYPE:
                return LAPIC64_BYTES;
        case X2APIC_TYPE:
                return X2APIC_BYTES;
        default:
                return ENTRY_BYTES_MIN;
        }
}

static void add_madt_entry(struct acpi_tables *out, const uint8_t *entry)
{
        switch (entry[ENTRY_TYPE]) {
        case LAPIC_TYPE:
                if (entry[LAPIC_ID] != LAPIC_ID_BROADCAST)
                        add_cpu(out, entry[LAPIC_ID], get32(entry + LAPIC_FLAGS));
                break;
        case IOAPIC_TYPE:
                add_ioapic(out, entry);
                break;
        case OVERRIDE_TYPE:
                add_override(out, entry);
                break;
        case LAPIC64_TYPE:
                out->lapic_pa = get64(entry + LAPIC64_ADDRESS);
                break;
        case X2APIC_TYPE:
                add_cpu(out, get32(entry + X2APIC_ID), get32(entry + X2APIC_FLAGS));
                break;
        default:
                break; /* NMI lines and other machines' controllers */
        }
}

static void read_madt(struct reader *reader, uint64_t pa)
{
        struct table table;
        if (!open_table(reader, pa, "APIC", MADT_ENTRIES, &table))
                return;
        reader->out->has_madt = true;
        reader->out->lapic_pa = get32(table.data + MADT_LAPIC_ADDRESS);
        /* Bounded by table.bytes: every entry that passes is at least ENTRY_BYTES_MIN long. */
        for (uint32_t at = MADT_ENTRIES; at < table.bytes;) {
                const uint8_t *entry = table.data + at;
                uint32_t room = table.bytes - at;
                if (room < ENTRY_BYTES_MIN || entry[ENTRY_LENGTH] > room ||
                    entry[ENTRY_LENGTH] < madt_entry_bytes_min(entry[ENTRY_TYPE])) {
                        note_broken(reader, table.data, pa, ACPI_TABLES_BAD_ENTRY);
                        return;
                }
                add_madt_entry(reader->out, entry);
                at += entry[ENTRY_LENGTH];
        }
}

/* ---- DSDT: \_S5 and virtio-mmio devices, by their patterns ---- */

enum {
        AML_NAME = 0x08, AML_PACKAGE = 0x12,
        NAME_BYTES = 4,
        SLEEP_TYPE_MAX = 7, /* SLP_TYP has three bits */
};

/* Decodes `Package () {a, b, ...}` at `at`: its head, then the first one or two numbers. */
static bool aml_sleep_package(const uint8_t *aml, uint32_t bytes, uint32_t at, uint8_t types[2])
{
        uint32_t end, values[2] = {0, 0};
        if (at >= bytes || aml[at++] != AML_PACKAGE || !acpi_aml_length(aml, bytes, &at, &end) ||
            at == end)
                return false;
        uint32_t count = aml[at++];
        for (uint32_t i = 0; i < 2 && i < count; i++)
                if (!acpi_aml_integer(aml, end, &at, &values[i]) || values[i] > SLEEP_TYPE_MAX)
                        return false;
        if (count == 0)
                return false;
        types[0] = (uint8_t)values[0];
        types[1] = (uint8_t)values[1];
        return true;
}

static void find_sleep_package(struct acpi_tables *out, const struct table *table)
{
        for (uint32_t at = HEADER_BYTES + 1; at + NAME_BYTES <= table->bytes; at++) {
                const uint8_t *name = table->data + at;
                if (!has_signature(name, "_S5_", NAME_BYTES))
                        continue;
                /* Name (_S5, ...) or Name (\_S5, ...) */
                bool named = name[-1] == AML_NAME || (name[-1] == '\\' && name[-2] == AML_NAME);
                uint8_t types[2];
                if (!named || !aml_sleep_package(table->data, table->bytes, at + NAME_BYTES, types))
                        continue;
                out->has_s5 = true;
                out->s5_a = types[0];
                out->s5_b = types[1];
                return;
        }
}

static void read_dsdt(struct reader *reader, uint64_t pa)
{
        struct acpi_tables *out = reader->out;
        struct table table;
        uint32_t ignored;
        if (!open_table(reader, pa, "DSDT", HEADER_BYTES, &table))
                return;
        find_sleep_package(out, &table);
        out->virtio_mmio_count = acpi_aml_virtio_mmio(table.data, table.bytes, out->virtio_mmio,
                                                      &ignored);
        out->ignored_count += ignored;
}

/* ---- FADT (5.2.9) ---- */

enum {
        FADT_DSDT = 40, FADT_PM1A_CONTROL = 64, FADT_PM1B_CONTROL = 68, FADT_PM_TIMER = 76,
        FADT_PM_TIMER_LENGTH = 91, FADT_FLAGS = 112, FADT_BYTES_MIN = 116,
        FADT_RESET = 116, FADT_RESET_VALUE = 128, FADT_X_DSDT = 140, FADT_X_PM1A_CONTROL = 172,
        FADT_X_PM1B_CONTROL = 184, FADT_X_PM_TIMER = 208, FADT_SLEEP_CONTROL = 244,

        PM_TIMER_LENGTH = 4,
        FADT_TIMER_32_BIT = 8, FADT_RESET_SUPPORTED_BIT = 10, FADT_REDUCED_HARDWARE_BIT = 20,

        REGISTER_SPACE = 0, REGISTER_ADDRESS = 4, REGISTER_BYTES = 12,
        PORT_MAX = 0xffff,
};

/* Takes a register description if it makes sense here; counts it when it does not. */
static void take_register(struct acpi_tables *out, const uint8_t *bytes,
                          struct acpi_tables_register *result)
{
        uint8_t space = bytes[REGISTER_SPACE];
        uint64_t address = get64(bytes + REGISTER_ADDRESS);
        if (address == 0)
                return;
        if (space == ACPI_TABLES_SPACE_MEMORY ||
            (space == ACPI_TABLES_SPACE_PORT && address <= PORT_MAX)) {
                result->space = space;
                result->address = address;
        } else {
                out->ignored_count++;
        }
}

/* A register with an old field (a port) and, in longer tables, an extended one, which wins. */
static void take_fadt_register(struct acpi_tables *out, const struct table *table, uint32_t old,
                               uint32_t extended, struct acpi_tables_register *result)
{
        uint32_t port = get32(table->data + old);
        if (port != 0 && port <= PORT_MAX) {
                result->space = ACPI_TABLES_SPACE_PORT;
                result->address = port;
        } else if (port != 0) {
                out->ignored_count++;
        }
        if (table->bytes >= extended + REGISTER_BYTES)
                take_register(out, table->data + extended, result);
}

static void read_fadt(struct reader *reader, uint64_t pa)
{
        struct acpi_tables *out = reader->out;
        struct table table;
        if (!open_table(reader, pa, "FACP", FADT_BYTES_MIN, &table))
                return;
        out->has_fadt = true;
        const uint8_t *fadt = table.data;
        uint32_t flags = get32(fadt + FADT_FLAGS);
        out->reduced_hardware = (flags & BIT_MASK(FADT_REDUCED_HARDWARE_BIT)) != 0;
        if (!out->reduced_hardware) {
                take_fadt_register(out, &table, FADT_PM1A_CONTROL, FADT_X_PM1A_CONTROL,
                                   &out->pm1a_control);
                take_fadt_register(out, &table, FADT_PM1B_CONTROL, FADT_X_PM1B_CONTROL,
                                   &out->pm1b_control);
                if (fadt[FADT_PM_TIMER_LENGTH] == PM_TIMER_LENGTH)
                        take_fadt_register(out, &table, FADT_PM_TIMER, FADT_X_PM_TIMER,
                                           &out->pm_timer);
                out->pm_timer_bits = flags & BIT_MASK(FADT_TIMER_32_BIT) ? 32 : 24;
        } else if (table.bytes >= FADT_SLEEP_CONTROL + REGISTER_BYTES) {
                take_register(out, fadt + FADT_SLEEP_CONTROL, &out->sleep_control);
        }
        if ((flags & BIT_MASK(FADT_RESET_SUPPORTED_BIT)) && table.bytes > FADT_RESET_VALUE) {
                take_register(out, fadt + FADT_RESET, &out->reset);
                out->reset_value = fadt[FADT_RESET_VALUE];
        }
        uint64_t dsdt = get32(fadt + FADT_DSDT);
        if (table.bytes >= FADT_X_DSDT + sizeof(uint64_t) && get64(fadt + FADT_X_DSDT) != 0)
                dsdt = get64(fadt + FADT_X_DSDT);
        if (dsdt != 0)
                read_dsdt(reader, dsdt);
}

/* ---- HPET and MCFG ---- */

enum {
        HPET_REGISTER = 40, HPET_BYTES_MIN = 56,
        MCFG_ENTRIES = 44, MCFG_ENTRY_BYTES = 16, MCFG_SEGMENT = 8, MCFG_FIRST_BUS = 10,
        MCFG_LAST_BUS = 11,
};

static void read_hpet(struct reader *reader, uint64_t pa)
{
        struct acpi_tables_register block = {0};
        struct table table;
        if (!open_table(reader, pa, "HPET", HPET_BYTES_MIN, &table))
                return;
        reader->out->has_hpet = true;
        take_register(reader->out, table.data + HPET_REGISTER, &block);
        if (block.space == ACPI_TABLES_SPACE_MEMORY && is_aligned(block.address, sizeof(uint64_t)))
                reader->out->hpet_pa = block.address;
        else
                reader->out->ignored_count++;
}

static void read_mcfg(struct reader *reader, uint64_t pa)
{
        struct acpi_tables *out = reader->out;
        struct table table;
        if (!open_table(reader, pa, "MCFG", MCFG_ENTRIES, &table))
                return;
        out->has_mcfg = true;
        uint32_t at = MCFG_ENTRIES;
        for (; table.bytes - at >= MCFG_ENTRY_BYTES; at += MCFG_ENTRY_BYTES) {
                const uint8_t *entry = table.data + at;
                uint64_t base = get64(entry);
                if (out->ecam_count == ACPI_TABLES_ECAM_MAX || base == 0 ||
                    !is_aligned(base, MIB) || entry[MCFG_FIRST_BUS] > entry[MCFG_LAST_BUS]) {
                        out->ignored_count++;
                        continue;
                }
                out->ecam[out->ecam_count].pa = base;
                out->ecam[out->ecam_count].segment = get16(entry + MCFG_SEGMENT);
                out->ecam[out->ecam_count].first_bus = entry[MCFG_FIRST_BUS];
                out->ecam[out->ecam_count].last_bus = entry[MCFG_LAST_BUS];
                out->ecam_count++;
        }
        if (at != table.bytes)
                note_broken(reader, table.data, pa, ACPI_TABLES_BAD_ENTRY);
}

/* ---- the roots ---- */

enum {
        RSDP_REVISION = 15, RSDP_RSDT = 16, RSDP_BYTES_V0 = 20, RSDP_LENGTH = 20, RSDP_XSDT = 24,
};

bool acpi_tables_is_rsdp(const uint8_t *bytes)
{
        if (!has_signature(bytes, "RSD PTR ", 8) || !sums_to_zero(bytes, RSDP_BYTES_V0))
                return false;
        return bytes[RSDP_REVISION] < 2 ||
               (get32(bytes + RSDP_LENGTH) == ACPI_TABLES_RSDP_BYTES &&
                sums_to_zero(bytes, ACPI_TABLES_RSDP_BYTES));
}

/* Looks at one table that the root names; the first of each kind is the one. */
static void read_entry(struct reader *reader, uint64_t pa)
{
        struct acpi_tables *out = reader->out;
        const uint8_t *header = map_bytes(reader, pa, HEADER_BYTES);
        if (header == NULL)
                note_broken(reader, (const uint8_t *)"????", pa, ACPI_TABLES_UNREACHABLE);
        else if (has_signature(header, "APIC", 4) && !out->has_madt)
                read_madt(reader, pa);
        else if (has_signature(header, "FACP", 4) && !out->has_fadt)
                read_fadt(reader, pa);
        else if (has_signature(header, "HPET", 4) && !out->has_hpet)
                read_hpet(reader, pa);
        else if (has_signature(header, "MCFG", 4) && !out->has_mcfg)
                read_mcfg(reader, pa);
}

/* Reads every table that a good root table names; entry_bytes: 8 in the XSDT, 4 in the RSDT. */
static bool read_root(struct reader *reader, uint64_t pa, const char *signature,
                      uint32_t entry_bytes)
{
        struct table root;
        if (pa == 0 || !open_table(reader, pa, signature, HEADER_BYTES, &root))
                return false;
        uint32_t count = (root.bytes - HEADER_BYTES) / entry_bytes;
        if ((root.bytes - HEADER_BYTES) % entry_bytes != 0)
                note_broken(reader, root.data, pa, ACPI_TABLES_BAD_ENTRY);
        for (uint32_t i = 0; i < count; i++) {
                const uint8_t *entry = root.data + HEADER_BYTES + i * entry_bytes;
                if (i < ACPI_TABLES_ROOT_ENTRIES_MAX)
                        read_entry(reader, entry_bytes == 8 ? get64(entry) : get32(entry));
                else
                        reader->out->ignored_count++;
        }
        return true;
}

zx_status_t acpi_tables_read(uint64_t rsdp_pa, acpi_tables_map_fn map, void *context,
                             struct acpi_tables *out)
{
        struct reader reader = {.map = map, .context = context, .out = out};
        memset(out, 0, sizeof(*out));
        const uint8_t *rsdp = map_bytes(&reader, rsdp_pa, ACPI_TABLES_RSDP_BYTES);
        if (rsdp == NULL || !acpi_tables_is_rsdp(rsdp)) {
                note_broken(&reader, (const uint8_t *)"RSDP", rsdp_pa,
                            rsdp == NULL ? ACPI_TABLES_UNREACHABLE : ACPI_TABLES_BAD_CHECKSUM);
                return ZX_ERR_IO_DATA_INTEGRITY;
        }
        out->revision = rsdp[RSDP_REVISION];
        if (out->revision >= 2 && read_root(&reader, get64(rsdp + RSDP_XSDT), "XSDT", 8))
                return ZX_OK;
        if (read_root(&reader, get32(rsdp + RSDP_RSDT), "RSDT", 4))
                return ZX_OK;
        return ZX_ERR_IO_DATA_INTEGRITY;
}

const char *acpi_tables_fault_name(unsigned fault)
{
        static const char *const names[] = {
                [ACPI_TABLES_UNREACHABLE] = "address out of reach",
                [ACPI_TABLES_BAD_SIGNATURE] = "wrong signature",
                [ACPI_TABLES_BAD_LENGTH] = "impossible length",
                [ACPI_TABLES_BAD_CHECKSUM] = "wrong checksum",
                [ACPI_TABLES_BAD_ENTRY] = "entry does not fit",
        };
        return fault < ARRAY_COUNT(names) && names[fault] != NULL ? names[fault] : "?";
}
