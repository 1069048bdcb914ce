/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of drivers/pci: the functions of this machine as they are,
 * and made-up ones that are wrong. */
#include "tests/expect.h"

#include <string.h>

#include "base/bytes.h"
#include "drivers/pci/pci.h"

/* ---- this machine ---- */

TEST(pci, functions_of_this_machine_make_sense)
{
        if (pci_device_count() == 0)
                SKIP("this machine has no PCI");
        for (size_t i = 0; i < pci_device_count(); i++) {
                const struct pci_device *device = pci_device_at(i);
                EXPECT_EQ(pci_read16(device, 0), device->vendor_id); /* still there */
                EXPECT_FALSE(device->capabilities_broken);
                for (size_t other = 0; other < i; other++) {
                        const struct pci_device *o = pci_device_at(other);
                        EXPECT_FALSE(o->bus == device->bus && o->device == device->device &&
                                     o->function == device->function);
                }
                for (uint8_t bar = 0; bar < PCI_BARS_MAX; bar++) {
                        const struct pci_bar *b = &device->bars[bar];
                        if (b->kind == PCI_BAR_NONE)
                                continue;
                        EXPECT_TRUE(is_power_of_two(b->bytes));
                        EXPECT_TRUE(is_aligned(b->address, b->bytes));
                }
        }
}

/* Sizing writes all ones to each BAR: what was there must be there again, and be decoded again. */
TEST(pci, sizing_leaves_no_trace)
{
        if (pci_device_count() == 0)
                SKIP("this machine has no PCI");
        static struct pci_device again;
        for (size_t i = 0; i < pci_device_count(); i++) {
                const struct pci_device *device = pci_device_at(i);
                uint16_t command = pci_read16(device, 4);
                uint32_t before[PCI_BARS_MAX];
                for (uint16_t bar = 0; bar < PCI_BARS_MAX; bar++)
                        before[bar] = pci_read32(device, 0x10 + 4 * bar);
                again = (struct pci_device){.config = device->config, .bus = device->bus,
                                            .device = device->device, .function = device->function};
                REQUIRE_OK(pci_probe(&again));
                EXPECT_EQ(pci_read16(device, 4), command);
                for (uint16_t bar = 0; bar < PCI_BARS_MAX; bar++)
                        EXPECT_EQ(pci_read32(device, 0x10 + 4 * bar), before[bar]);
                EXPECT_BYTES_EQ(again.bars, device->bars, sizeof(again.bars));
                EXPECT_BYTES_EQ(again.capabilities, device->capabilities,
                                sizeof(again.capabilities));
        }
}

/* ---- made-up functions ---- */

#define COMMAND 0x04
#define STATUS 0x06
#define HEADER_TYPE 0x0e
#define BAR(n) (0x10 + 4 * (n))
#define CAPABILITIES 0x34

struct fake {
        struct pci_device device;
        uint8_t space[256];
        uint32_t bar_masks[PCI_BARS_MAX]; /* bits that can be written */
        unsigned writes_while_decoded;    /* of BARs */
};

static struct fake fake;

static uint32_t fake_read(const struct pci_device *device, uint16_t offset, uint8_t bytes)
{
        uint32_t value = 0;
        (void)device;
        memcpy(&value, fake.space + offset, bytes);
        return value;
}

static void fake_write(const struct pci_device *device, uint16_t offset, uint8_t bytes,
                       uint32_t value)
{
        if (offset >= BAR(0) && offset < BAR(PCI_BARS_MAX)) {
                uint32_t mask = fake.bar_masks[(offset - BAR(0)) / 4];
                uint32_t fixed = fake_read(device, offset, 4) & ~mask;
                fake.writes_while_decoded += (fake.space[COMMAND] & 3) != 0;
                value = (value & mask) | fixed;
        }
        memcpy(fake.space + offset, &value, bytes);
}

static const struct pci_config_ops fake_ops = {
        .read = fake_read, .write = fake_write, .name = "fake"};

static void put16(uint8_t offset, uint16_t value)
{
        memcpy(fake.space + offset, &value, sizeof(value));
}

static void put32(uint8_t offset, uint32_t value)
{
        memcpy(fake.space + offset, &value, sizeof(value));
}

static void fake_init(void)
{
        memset(&fake, 0, sizeof(fake));
        fake.device.config = &fake_ops;
        put32(0, 0x10411af4);
        put16(COMMAND, 7);
}

static void fake_bar(uint8_t index, uint32_t value, uint32_t mask)
{
        put32((uint8_t)BAR(index), value);
        fake.bar_masks[index] = mask;
}

TEST(pci, bars_of_every_kind)
{
        fake_init();
        fake_bar(0, 0xc001, 0xffffffe0);          /* 32 ports */
        fake_bar(1, 0xfeb00000, 0xfffff000);      /* 4 KiB */
        fake_bar(2, 0x0000000c, 0xffffc000);      /* 16 KiB, 64-bit, prefetchable, at 896 GiB ... */
        fake_bar(3, 0x000000e0, 0xffffffff);      /* ... its upper half */
        fake_bar(5, 0xc101, 0x0000ff00);          /* 256 ports, upper half not implemented */
        REQUIRE_OK(pci_probe(&fake.device));
        EXPECT_EQ(fake.writes_while_decoded, 0);
        EXPECT_EQ(pci_read16(&fake.device, COMMAND), 7);
        const struct pci_bar *bars = fake.device.bars;
        EXPECT_EQ(bars[0].kind, PCI_BAR_PORT);
        EXPECT_EQ(bars[0].address, 0xc000);
        EXPECT_EQ(bars[0].bytes, 32);
        EXPECT_EQ(bars[1].kind, PCI_BAR_MEMORY);
        EXPECT_EQ(bars[1].address, 0xfeb00000ull);
        EXPECT_EQ(bars[1].bytes, 4096);
        EXPECT_FALSE(bars[1].wide);
        EXPECT_EQ(bars[2].kind, PCI_BAR_MEMORY);
        EXPECT_TRUE(bars[2].wide);
        EXPECT_TRUE(bars[2].prefetchable);
        EXPECT_EQ(bars[2].address, 0xe000000000ull);
        EXPECT_EQ(bars[2].bytes, 16384);
        EXPECT_EQ(bars[3].kind, PCI_BAR_NONE);
        EXPECT_EQ(bars[4].kind, PCI_BAR_NONE);
        EXPECT_EQ(bars[5].bytes, 256);
}

TEST(pci, bar_of_8_gib)
{
        fake_init();
        fake_bar(0, 0x00000004, 0);
        fake_bar(1, 0x00000002, 0xfffffffe);
        REQUIRE_OK(pci_probe(&fake.device));
        EXPECT_EQ(fake.device.bars[0].bytes, 8 * GIB);
        EXPECT_EQ(fake.device.bars[0].address, 8 * GIB);
}

TEST(pci, bars_that_are_none)
{
        fake_init();
        fake_bar(0, 0xfe000000, 0xfffff0f0); /* a size with a hole in it */
        fake_bar(1, 0xfe001000, 0xffffc000); /* not aligned to its size */
        fake_bar(2, 0xfe000006, 0xfffff000); /* reserved type */
        fake_bar(5, 0xfe00000c, 0xfffff000); /* 64-bit, and no slot behind it */
        REQUIRE_OK(pci_probe(&fake.device));
        for (uint8_t bar = 0; bar < PCI_BARS_MAX; bar++)
                EXPECT_EQ(fake.device.bars[bar].kind, PCI_BAR_NONE);
}

TEST(pci, map_refuses_what_is_not_inside)
{
        void *va;
        fake_init();
        fake_bar(0, 0xc001, 0xffffffe0);
        fake_bar(1, 0xfeb00000, 0xfffff000);
        fake_bar(2, 0x00000000, 0xfffff000); /* not placed */
        REQUIRE_OK(pci_probe(&fake.device));
        EXPECT_STATUS(ZX_ERR_WRONG_TYPE, pci_map(&fake.device, 0, 0, 4, &va));
        EXPECT_STATUS(ZX_ERR_WRONG_TYPE, pci_map(&fake.device, 3, 0, 4, &va));
        EXPECT_STATUS(ZX_ERR_WRONG_TYPE, pci_map(&fake.device, 6, 0, 4, &va));
        EXPECT_STATUS(ZX_ERR_WRONG_TYPE, pci_map(&fake.device, 255, 0, 4, &va));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pci_map(&fake.device, 1, 0, 0, &va));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pci_map(&fake.device, 1, 0, 4097, &va));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pci_map(&fake.device, 1, 4096, 1, &va));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pci_map(&fake.device, 1, UINT64_MAX, 2, &va));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pci_map(&fake.device, 1, 1, UINT64_MAX, &va));
        EXPECT_STATUS(ZX_ERR_NO_RESOURCES, pci_map(&fake.device, 2, 0, 4, &va));
}

TEST(pci, header_types)
{
        fake_init();
        put32(0, UINT32_MAX);
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, pci_probe(&fake.device));
        fake_init();
        fake.space[HEADER_TYPE] = 0x02; /* CardBus */
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, pci_probe(&fake.device));
        fake_init();
        fake.space[HEADER_TYPE] = 0x81;
        fake.space[0x19] = 5;
        fake_bar(0, 0xfeb00000, 0xfffff000);
        REQUIRE_OK(pci_probe(&fake.device));
        EXPECT_TRUE(fake.device.bridge);
        EXPECT_TRUE(fake.device.multi_function);
        EXPECT_EQ(fake.device.secondary_bus, 5);
        EXPECT_EQ(fake.device.bars[0].kind, PCI_BAR_NONE);
}

static void fake_capability(uint8_t offset, uint8_t id, uint8_t next)
{
        fake.space[offset] = id;
        fake.space[offset + 1] = next;
}

TEST(pci, capability_list)
{
        fake_init();
        put16(STATUS, 0x10);
        fake.space[CAPABILITIES] = 0x43; /* the low two bits are not part of it */
        fake_capability(0x40, PCI_CAPABILITY_VENDOR, 0xfc);
        fake_capability(0xfc, PCI_CAPABILITY_MSIX, 0);
        REQUIRE_OK(pci_probe(&fake.device));
        EXPECT_EQ(fake.device.capability_count, 2);
        EXPECT_FALSE(fake.device.capabilities_broken);
        EXPECT_EQ(pci_find_capability(&fake.device, PCI_CAPABILITY_MSIX)->offset, 0xfc);
        EXPECT_TRUE(pci_find_capability(&fake.device, 0x05) == NULL);
}

TEST(pci, capability_list_without_the_status_bit)
{
        fake_init();
        fake.space[CAPABILITIES] = 0x40;
        fake_capability(0x40, PCI_CAPABILITY_VENDOR, 0);
        REQUIRE_OK(pci_probe(&fake.device));
        EXPECT_EQ(fake.device.capability_count, 0);
}

TEST(pci, capability_loop)
{
        fake_init();
        put16(STATUS, 0x10);
        fake.space[CAPABILITIES] = 0x40;
        fake_capability(0x40, 1, 0x50);
        fake_capability(0x50, 2, 0x60);
        fake_capability(0x60, 3, 0x50);
        REQUIRE_OK(pci_probe(&fake.device));
        EXPECT_TRUE(fake.device.capabilities_broken);
        EXPECT_EQ(fake.device.capability_count, 3);
}

TEST(pci, capability_in_the_header)
{
        fake_init();
        put16(STATUS, 0x10);
        fake.space[CAPABILITIES] = 0x40;
        fake_capability(0x40, 1, 0x3c);
        REQUIRE_OK(pci_probe(&fake.device));
        EXPECT_TRUE(fake.device.capabilities_broken);
        EXPECT_EQ(fake.device.capability_count, 1);
}

/* As many capabilities as configuration space has room for are no error. */
TEST(pci, capabilities_to_the_brim)
{
        fake_init();
        put16(STATUS, 0x10);
        fake.space[CAPABILITIES] = 0x40;
        for (unsigned offset = 0x40; offset < 0x100; offset += 4)
                fake_capability((uint8_t)offset, 1, (uint8_t)(offset + 4));
        REQUIRE_OK(pci_probe(&fake.device));
        EXPECT_EQ(fake.device.capability_count, PCI_CAPABILITIES_MAX);
        EXPECT_FALSE(fake.device.capabilities_broken);
}

/* The capability needs 12 bytes; behind the 256 bytes of the space there is nothing to read. */
TEST(pci, msix_capability_over_the_end)
{
        struct pci_msix msix;
        fake_init();
        put16(STATUS, 0x10);
        fake.space[CAPABILITIES] = 0xf8;
        fake_capability(0xf8, PCI_CAPABILITY_MSIX, 0);
        REQUIRE_OK(pci_probe(&fake.device));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pci_msix_open(&fake.device, &msix));
        fake_init();
        put16(STATUS, 0x10);
        fake.space[CAPABILITIES] = 0xf4;
        fake_capability(0xf4, PCI_CAPABILITY_MSIX, 0);
        put32(0xf8, 7); /* read, and no such BAR */
        REQUIRE_OK(pci_probe(&fake.device));
        EXPECT_STATUS(ZX_ERR_WRONG_TYPE, pci_msix_open(&fake.device, &msix));
}

TEST(pci, msix_table_outside_its_bar)
{
        struct pci_msix msix;
        fake_init();
        put16(STATUS, 0x10);
        fake.space[CAPABILITIES] = 0x40;
        fake_capability(0x40, PCI_CAPABILITY_MSIX, 0);
        fake_bar(1, 0xfeb00000, 0xfffff000);
        put16(0x42, 256);       /* 257 entries of 16 bytes in 4 KiB */
        put32(0x44, 1);         /* BAR 1, offset 0 */
        REQUIRE_OK(pci_probe(&fake.device));
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pci_msix_open(&fake.device, &msix));
        put16(0x42, 0);
        put32(0x44, 4096 | 1);
        EXPECT_STATUS(ZX_ERR_OUT_OF_RANGE, pci_msix_open(&fake.device, &msix));
        put32(0x44, 7); /* no such BAR */
        EXPECT_STATUS(ZX_ERR_WRONG_TYPE, pci_msix_open(&fake.device, &msix));
        EXPECT_EQ(fake_read(&fake.device, 0x42, 2), 0); /* nothing was enabled */
        fake.device.capability_count = 0;
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, pci_msix_open(&fake.device, &msix));
}
