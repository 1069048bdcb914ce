/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/acpi_tables.c on hand-made tables. The image below is a small machine's firmware;
 * each test changes what it is about. Every mapping is a copy that ends where a page ends, so that
 * on the host a read behind it meets a guard page. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/acpi_tables.h"

#define IMAGE_PA 0x7ff0000ull
#define IMAGE_BYTES 8192u

/* Where things lie in the image. */
enum {
        RSDP_AT = 16, RSDT_AT = 64, XSDT_AT = 320, MADT_AT = 1024, FADT_AT = 3072, DSDT_AT = 3584,
        HPET_AT = 4096, MCFG_AT = 4224,
};

struct firmware {
        struct test *t;
        uint8_t bytes[IMAGE_BYTES];
        /* Which mappings get pages of their own; a world has room for some 60 in a test. */
        enum { GUARD_ALL, GUARD_DSDT, GUARD_NONE } guard;
};

static const void *map_firmware(void *context, uint64_t pa, uint64_t bytes)
{
        struct firmware *firmware = context;
        uint64_t at = pa - IMAGE_PA;

        if (pa < IMAGE_PA || at >= IMAGE_BYTES || bytes > IMAGE_BYTES - at)
                return NULL;
        if (firmware->guard == GUARD_NONE || (firmware->guard == GUARD_DSDT && at != DSDT_AT))
                return firmware->bytes + at;
        uint64_t pages = div_round_up(bytes, PAGE_BYTES);
        uint8_t *copy = world_pages(firmware->t, pages, NULL);
        copy += pages * PAGE_BYTES - bytes;
        memcpy(copy, firmware->bytes + at, bytes);
        return copy;
}

static void put(struct firmware *firmware, uint32_t at, uint64_t value, uint32_t bytes)
{
        memcpy(firmware->bytes + at, &value, bytes);
}

static uint32_t get(const struct firmware *firmware, uint32_t at)
{
        uint32_t value;
        memcpy(&value, firmware->bytes + at, sizeof(value));
        return value;
}

/* Makes the bytes at `at` add up, by the byte at `sum_at`. */
static void seal_bytes(struct firmware *firmware, uint32_t at, uint32_t bytes, uint32_t sum_at)
{
        uint8_t sum = 0;
        firmware->bytes[sum_at] = 0;
        for (uint32_t i = 0; i < bytes; i++)
                sum = (uint8_t)(sum + firmware->bytes[at + i]);
        firmware->bytes[sum_at] = (uint8_t)-sum;
}

static void seal_table(struct firmware *firmware, uint32_t at)
{
        seal_bytes(firmware, at, get(firmware, at + 4), at + 9);
}

static void begin_table(struct firmware *firmware, uint32_t at, const char *signature,
                        uint32_t bytes)
{
        memset(firmware->bytes + at, 0, bytes);
        memcpy(firmware->bytes + at, signature, 4);
        put(firmware, at + 4, bytes, 4);
}

static void seal_rsdp(struct firmware *firmware)
{
        seal_bytes(firmware, RSDP_AT, 20, RSDP_AT + 8);
        seal_bytes(firmware, RSDP_AT, 36, RSDP_AT + 32);
}

static const uint32_t leaves[] = {MADT_AT, FADT_AT, HPET_AT, MCFG_AT};

static void make_roots(struct firmware *firmware)
{
        memcpy(firmware->bytes + RSDP_AT, "RSD PTR ", 8);
        put(firmware, RSDP_AT + 15, 2, 1);
        put(firmware, RSDP_AT + 16, IMAGE_PA + RSDT_AT, 4);
        put(firmware, RSDP_AT + 20, 36, 4);
        put(firmware, RSDP_AT + 24, IMAGE_PA + XSDT_AT, 8);
        seal_rsdp(firmware);
        begin_table(firmware, RSDT_AT, "RSDT", 36 + 4 * ARRAY_COUNT(leaves));
        begin_table(firmware, XSDT_AT, "XSDT", 36 + 8 * ARRAY_COUNT(leaves));
        for (uint32_t i = 0; i < ARRAY_COUNT(leaves); i++) {
                put(firmware, RSDT_AT + 36 + 4 * i, IMAGE_PA + leaves[i], 4);
                put(firmware, XSDT_AT + 36 + 8 * i, IMAGE_PA + leaves[i], 8);
        }
        seal_table(firmware, RSDT_AT);
        seal_table(firmware, XSDT_AT);
}

/* Appends an entry to the MADT. */
static void add_entry(struct firmware *firmware, const uint8_t *entry, uint32_t bytes)
{
        uint32_t length = get(firmware, MADT_AT + 4);
        memcpy(firmware->bytes + MADT_AT + length, entry, bytes);
        put(firmware, MADT_AT + 4, length + bytes, 4);
        seal_table(firmware, MADT_AT);
}
#define ADD_ENTRY(firmware, ...)                                                                   \
        add_entry((firmware), (const uint8_t[]){__VA_ARGS__},                                      \
                  sizeof((const uint8_t[]){__VA_ARGS__}))

static void make_madt(struct firmware *firmware)
{
        begin_table(firmware, MADT_AT, "APIC", 44);
        put(firmware, MADT_AT + 36, 0xfee00000, 4);
        ADD_ENTRY(firmware, 0, 8, 0, 7, 1, 0, 0, 0); /* processor with APIC id 7, enabled */
        ADD_ENTRY(firmware, 0, 8, 1, 9, 0, 0, 0, 0); /* disabled */
        ADD_ENTRY(firmware, 4, 6, 0xff, 0, 0, 1);    /* NMI line: not read here */
        ADD_ENTRY(firmware, 1, 12, 0, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0);   /* 0xfec00000, GSI 0 */
        ADD_ENTRY(firmware, 1, 12, 1, 0, 0, 0, 0xc1, 0xfe, 24, 0, 0, 0);  /* 0xfec10000, GSI 24 */
        ADD_ENTRY(firmware, 2, 10, 0, 0, 2, 0, 0, 0, 0, 0);    /* IRQ 0 is GSI 2 */
        ADD_ENTRY(firmware, 2, 10, 0, 9, 9, 0, 0, 0, 0x0f, 0); /* IRQ 9: level, low */
}

static void make_dsdt(struct firmware *firmware, const uint8_t *aml, uint32_t bytes)
{
        /* Nothing of an older one stays. */
        begin_table(firmware, DSDT_AT, "DSDT", HPET_AT - DSDT_AT);
        begin_table(firmware, DSDT_AT, "DSDT", 36 + bytes);
        memcpy(firmware->bytes + DSDT_AT + 36, aml, bytes);
        seal_table(firmware, DSDT_AT);
}

static void make_fadt(struct firmware *firmware)
{
        begin_table(firmware, FADT_AT, "FACP", 276);
        put(firmware, FADT_AT + 40, IMAGE_PA + DSDT_AT, 4);
        put(firmware, FADT_AT + 64, 0x604, 4); /* PM1a control */
        put(firmware, FADT_AT + 76, 0x608, 4); /* PM timer */
        put(firmware, FADT_AT + 91, 4, 1);
        put(firmware, FADT_AT + 112, 1u << 8 | 1u << 10, 4);
        put(firmware, FADT_AT + 116, 1, 1); /* reset register: port 0xcf9 */
        put(firmware, FADT_AT + 120, 0xcf9, 8);
        put(firmware, FADT_AT + 128, 6, 1);
        seal_table(firmware, FADT_AT);
}

static const uint8_t sleep_aml[] = {0x10, 0x08, '_', 'S', '5', '_', 0x12, 7, 4, 0x0a, 5, 1, 0, 0};

/* A whole good machine. `firmware` is static: it is too large for a kernel stack. */
static struct firmware *make_firmware(struct test *t)
{
        static struct firmware firmware;

        memset(&firmware, 0, sizeof(firmware));
        firmware.t = t;
        make_roots(&firmware);
        make_madt(&firmware);
        make_dsdt(&firmware, sleep_aml, sizeof(sleep_aml));
        make_fadt(&firmware);
        begin_table(&firmware, HPET_AT, "HPET", 56);
        put(&firmware, HPET_AT + 44, 0xfed00000, 8);
        seal_table(&firmware, HPET_AT);
        begin_table(&firmware, MCFG_AT, "MCFG", 44 + 16);
        put(&firmware, MCFG_AT + 44, 0xb0000000, 8);
        put(&firmware, MCFG_AT + 44 + 11, 255, 1);
        seal_table(&firmware, MCFG_AT);
        return &firmware;
}

static struct acpi_tables tables;

static zx_status_t read_tables(struct firmware *firmware)
{
        memset(&tables, 0xa5, sizeof(tables)); /* all of it has to be written */
        return acpi_tables_read(IMAGE_PA + RSDP_AT, map_firmware, firmware, &tables);
}

static uint64_t port_or_zero(const struct acpi_tables_register *where)
{
        return where->space == ACPI_TABLES_SPACE_PORT ? where->address : 0;
}

static void expect_whole_machine(struct test *t)
{
        EXPECT_TRUE(tables.has_madt && tables.has_fadt && tables.has_hpet && tables.has_mcfg);
        EXPECT_EQ(tables.broken_count, 0u);
        EXPECT_EQ(tables.ignored_count, 0u);
        EXPECT_EQ(tables.lapic_pa, 0xfee00000u);
        EXPECT_EQ(tables.cpu_count, 1u);
        EXPECT_EQ(tables.cpu_apic_ids[0], 7u);
        EXPECT_EQ(tables.ioapic_count, 2u);
        EXPECT_EQ(tables.ioapics[1].pa, 0xfec10000u);
        EXPECT_EQ(tables.ioapics[1].gsi_base, 24u);
        EXPECT_EQ(tables.override_count, 2u);
        EXPECT_EQ(tables.overrides[0].gsi, 2u);
        EXPECT_EQ(tables.overrides[1].isa_irq, 9);
        EXPECT_EQ(tables.overrides[1].mps_flags, 0x0f);
        EXPECT_EQ(tables.pm1a_control.address, 0x604u);
        EXPECT_EQ(tables.pm1b_control.address, 0u);
        EXPECT_EQ(tables.pm_timer.address, 0x608u);
        EXPECT_EQ(tables.pm_timer_bits, 32u);
        EXPECT_EQ(tables.reset.address, 0xcf9u);
        EXPECT_EQ(tables.reset.space, ACPI_TABLES_SPACE_PORT);
        EXPECT_EQ(tables.reset_value, 6);
        EXPECT_TRUE(tables.has_s5);
        EXPECT_EQ(tables.s5_a, 5);
        EXPECT_EQ(tables.s5_b, 1);
        EXPECT_EQ(tables.hpet_pa, 0xfed00000u);
        EXPECT_EQ(tables.ecam_count, 1u);
        EXPECT_EQ(tables.ecam[0].pa, 0xb0000000u);
        EXPECT_EQ(tables.ecam[0].last_bus, 255);
}

TEST(acpi_tables, reads_a_whole_machine)
{
        REQUIRE_OK(read_tables(make_firmware(t)));
        EXPECT_EQ(tables.revision, 2u);
        expect_whole_machine(t);
}

TEST(acpi_tables, old_root_pointer_leads_to_the_rsdt)
{
        struct firmware *firmware = make_firmware(t);
        put(firmware, RSDP_AT + 15, 0, 1);
        put(firmware, XSDT_AT, 0, 4); /* nobody may look there */
        seal_rsdp(firmware);
        REQUIRE_OK(read_tables(firmware));
        expect_whole_machine(t);
}

TEST(acpi_tables, broken_xsdt_falls_back_to_the_rsdt)
{
        struct firmware *firmware = make_firmware(t);
        firmware->bytes[XSDT_AT + 20]++;
        REQUIRE_OK(read_tables(firmware));
        EXPECT_EQ(tables.broken_count, 1u);
        EXPECT_STR_EQ(tables.broken[0].signature, "XSDT");
        EXPECT_EQ(tables.broken[0].fault, ACPI_TABLES_BAD_CHECKSUM);
        tables.broken_count = 0;
        expect_whole_machine(t);
}

TEST(acpi_tables, broken_roots_are_an_error)
{
        struct firmware *firmware = make_firmware(t);
        firmware->bytes[XSDT_AT + 20]++;
        firmware->bytes[RSDT_AT + 20]++;
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, read_tables(firmware));
        EXPECT_EQ(tables.broken_count, 2u);
        EXPECT_FALSE(tables.has_madt);

        firmware->bytes[RSDP_AT + 9]++;
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, read_tables(firmware));
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                      acpi_tables_read(IMAGE_PA - 36, map_firmware, firmware, &tables));
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                      acpi_tables_read(UINT64_MAX - 10, map_firmware, firmware, &tables));
}

/* A wrong sum costs that table and no other. */
TEST(acpi_tables, each_checksum_is_checked)
{
        for (uint32_t i = 0; i < ARRAY_COUNT(leaves); i++) {
                struct firmware *firmware = make_firmware(t);
                firmware->guard = GUARD_NONE;
                firmware->bytes[leaves[i] + 30] ^= 0x40;
                REQUIRE_OK(read_tables(firmware));
                EXPECT_EQ(tables.broken_count, 1u);
                EXPECT_EQ(tables.broken[0].pa, IMAGE_PA + leaves[i]);
                EXPECT_EQ(tables.broken[0].fault, ACPI_TABLES_BAD_CHECKSUM);
                EXPECT_EQ(tables.has_madt, leaves[i] != MADT_AT);
                EXPECT_EQ(tables.has_fadt, leaves[i] != FADT_AT);
                EXPECT_EQ(tables.has_hpet, leaves[i] != HPET_AT);
                EXPECT_EQ(tables.has_mcfg, leaves[i] != MCFG_AT);
        }
}

TEST(acpi_tables, lengths_that_lie)
{
        static const struct {
                uint32_t length;
                enum acpi_tables_fault fault;
        } cases[] = {
                {0, ACPI_TABLES_BAD_LENGTH},
                {35, ACPI_TABLES_BAD_LENGTH},
                {43, ACPI_TABLES_BAD_LENGTH}, /* one less than the MADT's fixed part */
                {IMAGE_BYTES, ACPI_TABLES_UNREACHABLE},
                {ACPI_TABLES_TABLE_BYTES_MAX + 1, ACPI_TABLES_BAD_LENGTH},
                {UINT32_MAX, ACPI_TABLES_BAD_LENGTH},
        };
        for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
                struct firmware *firmware = make_firmware(t);
                firmware->guard = GUARD_NONE;
                put(firmware, MADT_AT + 4, cases[i].length, 4);
                REQUIRE_OK(read_tables(firmware));
                EXPECT_FALSE(tables.has_madt);
                EXPECT_EQ(tables.broken_count, 1u);
                EXPECT_EQ(tables.broken[0].fault, cases[i].fault);
        }
}

/* An entry that does not fit ends the MADT; what came before it counts. */
TEST(acpi_tables, madt_entries_that_do_not_fit)
{
        static const uint8_t entries[][4] = {
                {0, 0},    /* would never end */
                {0, 1},    /* would read its own length as a type */
                {0, 8},    /* longer than what is left */
                {0, 2},    /* shorter than a processor */
                {1, 4},    /* shorter than an I/O APIC */
                {0x7f, 0}, /* unknown, and would never end */
        };
        for (uint32_t i = 0; i < ARRAY_COUNT(entries); i++) {
                struct firmware *firmware = make_firmware(t);
                firmware->guard = i == 2 ? GUARD_ALL : GUARD_NONE;
                add_entry(firmware, entries[i], 4);
                REQUIRE_OK(read_tables(firmware));
                EXPECT_EQ(tables.broken_count, 1u);
                EXPECT_EQ(tables.broken[0].fault, ACPI_TABLES_BAD_ENTRY);
                EXPECT_STR_EQ(tables.broken[0].signature, "APIC");
                EXPECT_EQ(tables.ioapic_count, 2u);
        }
        struct firmware *firmware = make_firmware(t);
        add_entry(firmware, entries[2], 1); /* a type and no length */
        REQUIRE_OK(read_tables(firmware));
        EXPECT_EQ(tables.broken_count, 1u);
}

TEST(acpi_tables, x2apic_processors_and_wide_lapic_address)
{
        struct firmware *firmware = make_firmware(t);
        ADD_ENTRY(firmware, 9, 16, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0); /* id 7 again */
        ADD_ENTRY(firmware, 9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0); /* id 256 */
        ADD_ENTRY(firmware, 0, 8, 0, 0xff, 1, 0, 0, 0);                       /* nobody's id */
        ADD_ENTRY(firmware, 5, 12, 0, 0, 0, 0, 0xe0, 0xfe, 1, 0, 0, 0);
        REQUIRE_OK(read_tables(firmware));
        EXPECT_EQ(tables.cpu_count, 2u);
        EXPECT_EQ(tables.cpu_apic_ids[1], 256u);
        EXPECT_EQ(tables.lapic_pa, 0x1fee00000u);
}

TEST(acpi_tables, more_than_the_arrays_hold)
{
        struct firmware *firmware = make_firmware(t);
        begin_table(firmware, MADT_AT, "APIC", 44);
        for (uint32_t i = 0; i < ACPI_TABLES_CPUS_MAX + 3; i++)
                ADD_ENTRY(firmware, 0, 8, 0, (uint8_t)i, 1, 0, 0, 0);
        for (uint32_t i = 0; i < ACPI_TABLES_IOAPICS_MAX + 2; i++)
                ADD_ENTRY(firmware, 1, 12, 0, 0, 0, (uint8_t)i, 0xc0, 0xfe, 0, 0, 0, 0);
        ADD_ENTRY(firmware, 2, 10, 0, 16, 3, 0, 0, 0, 0, 0); /* there is no ISA IRQ 16 */
        for (uint32_t i = 0; i < ACPI_TABLES_OVERRIDES_MAX + 1; i++)
                ADD_ENTRY(firmware, 2, 10, 0, (uint8_t)(i % 16), 2, 0, 0, 0, 0, 0);
        REQUIRE_OK(read_tables(firmware));
        EXPECT_EQ(tables.broken_count, 0u);
        EXPECT_EQ(tables.cpu_count, ACPI_TABLES_CPUS_MAX + 3u);
        EXPECT_EQ(tables.ioapic_count, ACPI_TABLES_IOAPICS_MAX);
        EXPECT_EQ(tables.override_count, ACPI_TABLES_OVERRIDES_MAX);
        EXPECT_EQ(tables.overrides[0].gsi, 2u);
        EXPECT_EQ(tables.ignored_count, 3u + 2u + 1u + 1u);
}

/* A root that names the same broken table again and again, more often
 * than there is room to say so. */
TEST(acpi_tables, root_longer_than_the_limit)
{
        struct firmware *firmware = make_firmware(t);
        uint32_t count = ACPI_TABLES_ROOT_ENTRIES_MAX + 10;
        firmware->guard = GUARD_NONE;
        firmware->bytes[MADT_AT + 20]++;
        begin_table(firmware, XSDT_AT, "XSDT", 36 + 8 * count);
        for (uint32_t i = 0; i < count; i++)
                put(firmware, XSDT_AT + 36 + 8 * i, IMAGE_PA + MADT_AT, 8);
        seal_table(firmware, XSDT_AT);
        REQUIRE_OK(read_tables(firmware));
        EXPECT_EQ(tables.broken_count, ACPI_TABLES_ROOT_ENTRIES_MAX);
        EXPECT_EQ(tables.ignored_count, 10u);
        EXPECT_FALSE(tables.has_madt);
}

TEST(acpi_tables, extended_fields_win_and_must_make_sense)
{
        struct firmware *firmware = make_firmware(t);
        put(firmware, FADT_AT + 172, 1, 1); /* PM1a control: port 0xb004 */
        put(firmware, FADT_AT + 176, 0xb004, 8);
        put(firmware, FADT_AT + 184, 1, 1); /* PM1b control: no such port */
        put(firmware, FADT_AT + 188, 0x10004, 8);
        put(firmware, FADT_AT + 208, 3, 1); /* PM timer: in the embedded controller */
        put(firmware, FADT_AT + 212, 0x10, 8);
        put(firmware, FADT_AT + 140, 0x10, 8); /* DSDT: out of reach */
        seal_table(firmware, FADT_AT);
        REQUIRE_OK(read_tables(firmware));
        EXPECT_EQ(tables.pm1a_control.address, 0xb004u);
        EXPECT_EQ(tables.pm1b_control.address, 0u);
        EXPECT_EQ(tables.pm_timer.address, 0x608u);
        EXPECT_EQ(tables.ignored_count, 2u);
        EXPECT_FALSE(tables.has_s5);
        EXPECT_EQ(tables.broken_count, 1u);
        EXPECT_EQ(tables.broken[0].fault, ACPI_TABLES_UNREACHABLE);
}

TEST(acpi_tables, reduced_hardware_sleeps_by_another_register)
{
        struct firmware *firmware = make_firmware(t);
        put(firmware, FADT_AT + 112, 1u << 20, 4);
        put(firmware, FADT_AT + 244 + 4, 0xfea00200, 8);
        seal_table(firmware, FADT_AT);
        REQUIRE_OK(read_tables(firmware));
        EXPECT_TRUE(tables.reduced_hardware);
        EXPECT_EQ(tables.pm1a_control.address, 0u);
        EXPECT_EQ(tables.pm_timer.address, 0u);
        EXPECT_EQ(tables.reset.address, 0u);
        EXPECT_EQ(tables.sleep_control.address, 0xfea00200u);
        EXPECT_EQ(tables.sleep_control.space, ACPI_TABLES_SPACE_MEMORY);
}

/* The first FADT had 116 bytes; it has none of the fields behind them. */
TEST(acpi_tables, shortest_fadt)
{
        struct firmware *firmware = make_firmware(t);
        put(firmware, FADT_AT + 4, 116, 4);
        seal_table(firmware, FADT_AT);
        REQUIRE_OK(read_tables(firmware));
        EXPECT_TRUE(tables.has_fadt);
        EXPECT_EQ(tables.reset.address, 0u);
        EXPECT_TRUE(tables.has_s5);
}

TEST(acpi_tables, sleep_package_forms)
{
        static const struct {
                uint8_t aml[24];
                uint8_t bytes;
                bool found;
                uint8_t a, b;
        } cases[] = {
                {{8, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0x0a, 6}, 12, true, 5, 6},
                {{8, '\\', '_', 'S', '5', '_', 0x12, 4, 2, 0, 1}, 11, true, 0, 1},
                /* Length in two bytes; a word and a dword. */
                {{8, '_', 'S', '5', '_', 0x12, 0x4b, 0, 2, 0x0b, 7, 0, 0x0c, 3, 0, 0, 0},
                 17, true, 7, 3},
                /* One element. */
                {{8, '_', 'S', '5', '_', 0x12, 4, 1, 0x0a, 5}, 10, true, 5, 0},
                /* No element. */
                {{8, '_', 'S', '5', '_', 0x12, 2, 0}, 8, false, 0, 0},
                /* Eight: 3 bits. */
                {{8, '_', 'S', '5', '_', 0x12, 5, 2, 0x0a, 8, 0}, 11, false, 0, 0},
                /* Ends before b. */
                {{8, '_', 'S', '5', '_', 0x12, 3, 2, 0, 1}, 10, false, 0, 0},
                /* Beyond the table. */
                {{8, '_', 'S', '5', '_', 0x12, 40, 2, 0, 1}, 10, false, 0, 0},
                /* Word cut off. */
                {{8, '_', 'S', '5', '_', 0x12, 5, 2, 0, 0x0b, 1}, 11, false, 0, 0},
                /* Length cut off. */
                {{8, '_', 'S', '5', '_', 0x12, 0xc4, 0}, 8, false, 0, 0},
                /* Shorter than its head. */
                {{8, '_', 'S', '5', '_', 0x12, 0x41, 0}, 8, false, 0, 0},
                {{8, '_', 'S', '5', '_', 0x12}, 6, false, 0, 0},
                {{8, '_', 'S', '5', '_'}, 5, false, 0, 0},
                /* Not a definition. */
                {{'x', '_', 'S', '5', '_', 0x12, 4, 2, 0, 1}, 10, false, 0, 0},
                /* Not a package. */
                {{8, '_', 'S', '5', '_', 0x11, 4, 2, 0, 1}, 10, false, 0, 0},
                /* A name. */
                {{8, '_', 'S', '5', '_', 0x12, 4, 2, 'A', 1}, 10, false, 0, 0},
                /* A string that looks like it, then the real one. */
                {{'"', '_', 'S', '5', '_', 0, 8, '_', 'S', '5', '_', 0x12, 4, 2, 1, 1},
                 16, true, 1, 1},
        };
        for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
                struct firmware *firmware = make_firmware(t);
                firmware->guard = GUARD_DSDT;
                make_dsdt(firmware, cases[i].aml, cases[i].bytes);
                REQUIRE_OK(read_tables(firmware));
                if (!EXPECT_EQ(tables.has_s5, cases[i].found) ||
                    !EXPECT_EQ(tables.s5_a, cases[i].a) || !EXPECT_EQ(tables.s5_b, cases[i].b))
                        test_log(t, "in case %u", i);
        }
}

/* The name at the very end of the table: nothing behind it is read. */
TEST(acpi_tables, sleep_package_cut_off_at_every_byte)
{
        for (uint32_t bytes = 1; bytes <= sizeof(sleep_aml); bytes++) {
                struct firmware *firmware = make_firmware(t);
                firmware->guard = GUARD_DSDT;
                make_dsdt(firmware, sleep_aml, bytes);
                REQUIRE_OK(read_tables(firmware));
                EXPECT_EQ(tables.has_s5, bytes == sizeof(sleep_aml));
        }
}

TEST(acpi_tables, mcfg_entries_that_make_no_sense)
{
        struct firmware *firmware = make_firmware(t);
        begin_table(firmware, MCFG_AT, "MCFG", 44 + 3 * 16 + 5);
        put(firmware, MCFG_AT + 44, 0xb0001000, 8); /* not aligned */
        put(firmware, MCFG_AT + 60, 0xc0000000, 8);
        put(firmware, MCFG_AT + 60 + 10, 9, 1); /* from bus 9 to bus 0 */
        put(firmware, MCFG_AT + 76, 0xd0000000, 8);
        seal_table(firmware, MCFG_AT);
        REQUIRE_OK(read_tables(firmware));
        EXPECT_EQ(tables.ecam_count, 1u);
        EXPECT_EQ(tables.ecam[0].pa, 0xd0000000u);
        EXPECT_EQ(tables.ignored_count, 2u);
        EXPECT_EQ(tables.broken[0].fault, ACPI_TABLES_BAD_ENTRY); /* the five bytes */
}

/* Bytes change at random and the sums are made right again: whatever is found fits its array. */
#define CORRUPTIONS 64
#define CORRUPT_BYTES_MAX 6

TEST(acpi_tables, random_corruption_stays_inside)
{
        static const uint32_t all[] = {RSDT_AT, XSDT_AT, MADT_AT, FADT_AT,
                                       DSDT_AT, HPET_AT, MCFG_AT};
        for (uint32_t round = 0; round < CORRUPTIONS; round++) {
                struct firmware *firmware = make_firmware(t);
                firmware->guard = GUARD_NONE;
                uint32_t changes = 1 + world_random_below(t, CORRUPT_BYTES_MAX);
                for (uint32_t i = 0; i < changes; i++) {
                        uint32_t at = all[world_random_below(t, ARRAY_COUNT(all))];
                        at += 4 + world_random_below(t, 120);
                        firmware->bytes[at] = (uint8_t)world_random(t);
                }
                for (uint32_t i = 0; i < ARRAY_COUNT(all); i++)
                        if (get(firmware, all[i] + 4) <= IMAGE_BYTES - all[i])
                                seal_table(firmware, all[i]);
                (void)!read_tables(firmware);
                EXPECT_LE(tables.ioapic_count, (uint32_t)ACPI_TABLES_IOAPICS_MAX);
                EXPECT_LE(tables.override_count, (uint32_t)ACPI_TABLES_OVERRIDES_MAX);
                EXPECT_LE(tables.ecam_count, (uint32_t)ACPI_TABLES_ECAM_MAX);
                EXPECT_LE(tables.s5_a, 7);
                EXPECT_LE(tables.s5_b, 7);
                EXPECT_LE(port_or_zero(&tables.pm1a_control), 0xffffu);
        }
}

TEST(acpi_tables, root_pointer_is_recognised)
{
        struct firmware *firmware = make_firmware(t);
        uint8_t *rsdp = firmware->bytes + RSDP_AT;
        EXPECT_TRUE(acpi_tables_is_rsdp(rsdp));
        rsdp[33]++; /* outside the first sum, inside the second */
        EXPECT_FALSE(acpi_tables_is_rsdp(rsdp));
        rsdp[15] = 0;
        seal_bytes(firmware, RSDP_AT, 20, RSDP_AT + 8);
        EXPECT_TRUE(acpi_tables_is_rsdp(rsdp)); /* revision 0 has one sum */
        rsdp[0] = 'r';
        seal_bytes(firmware, RSDP_AT, 20, RSDP_AT + 8);
        EXPECT_FALSE(acpi_tables_is_rsdp(rsdp));
}
