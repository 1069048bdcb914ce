/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of drivers/virtio/virtio_pci: capabilities of made-up functions, right and wrong. What is
 * mapped here is never accessed. */
#include "tests/expect.h"

#include <string.h>

#include "base/bytes.h"
#include "drivers/virtio/virtio_pci.h"

#define TYPE_COMMON 1
#define TYPE_NOTIFY 2
#define TYPE_CONFIG 4
#define BAR_PORT 0
#define BAR_MEMORY 4
#define BAR_ADDRESS 0xfea00000ull /* where no RAM is; 16 KiB */
#define BAR_BYTES 0x4000u

static struct {
        struct pci_device device;
        uint8_t space[256];
        uint8_t next; /* where the next capability goes */
} fake;
static struct virtio_pci virtio;

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
        (void)device;
        memcpy(fake.space + offset, &value, bytes);
}

static const struct pci_config_ops fake_ops = {
        .read = fake_read, .write = fake_write, .name = "fake"};

static void fake_init(void)
{
        memset(&fake, 0, sizeof(fake));
        fake.next = 0x40;
        fake.device =
                (struct pci_device){.config = &fake_ops, .vendor_id = 0x1af4, .device_id = 0x1041};
        fake.device.bars[BAR_PORT] =
                (struct pci_bar){.kind = PCI_BAR_PORT, .address = 0xc000, .bytes = 32};
        fake.device.bars[BAR_MEMORY] = (struct pci_bar){
                .kind = PCI_BAR_MEMORY, .wide = true, .address = BAR_ADDRESS, .bytes = BAR_BYTES};
}

/* Adds a vendor capability of 20 bytes, the notify multiplier in the last four;
 * returns its place. */
static uint8_t *add(uint8_t type, uint8_t bar, uint32_t offset, uint32_t bytes)
{
        static const uint32_t multiplier = 4;
        uint8_t *at = fake.space + fake.next;
        fake.device.capabilities[fake.device.capability_count++] =
                (struct pci_capability){.id = PCI_CAPABILITY_VENDOR, .offset = fake.next};
        at[0] = PCI_CAPABILITY_VENDOR;
        at[2] = 20;
        at[3] = type;
        at[4] = bar;
        memcpy(at + 8, &offset, sizeof(offset));
        memcpy(at + 12, &bytes, sizeof(bytes));
        memcpy(at + 16, &multiplier, sizeof(multiplier));
        fake.next += 20;
        return at;
}

TEST(virtio_pci, device_types)
{
        static const struct {
                uint16_t vendor, device, subsystem, type;
        } ids[] = {
                {0x1af4, 0x1041, 9, 1}, {0x1af4, 0x1042, 9, 2}, {0x1af4, 0x107f, 9, 63},
                {0x1af4, 0x1040, 9, 0}, {0x1af4, 0x1080, 9, 0}, {0x1af4, 0x1110, 9, 0},
                {0x8086, 0x1041, 9, 0}, {0x1af4, 0x0fff, 9, 0}, {0x8086, 0x1001, 9, 0},
                /* transitional: a card, a disk, a serial port, the last one */
                {0x1af4, 0x1000, 0, 1}, {0x1af4, 0x1001, 2, 2}, {0x1af4, 0x1003, 3, 3},
                {0x1af4, 0x103f, 63, 63},
        };
        fake_init();
        for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
                fake.device.vendor_id = ids[i].vendor;
                fake.device.device_id = ids[i].device;
                fake.device.subsystem_id = ids[i].subsystem;
                EXPECT_EQ(virtio_pci_device_type(&fake.device), ids[i].type);
        }
}

TEST(virtio_pci, registers_of_a_sound_device)
{
        fake_init();
        add(TYPE_NOTIFY, BAR_PORT, 0, 4);        /* preferred by the device, but in ports */
        add(TYPE_NOTIFY, BAR_MEMORY, 0x3000, 0x1000);
        add(TYPE_CONFIG, BAR_MEMORY, 0x2000, 60);
        add(TYPE_COMMON, 6, 0, 0x38);            /* no such BAR */
        add(TYPE_COMMON, BAR_MEMORY, 0, 0x1000);
        REQUIRE_OK(virtio_pci_open(&virtio, &fake.device));
        EXPECT_EQ(virtio.transport.device_type, 1);
        EXPECT_EQ(virtio.transport.config_bytes, 60);
        EXPECT_EQ(virtio.notify.bar, BAR_MEMORY);
        EXPECT_EQ(virtio.notify.start, 0x3000);
        EXPECT_EQ(virtio.notify.bytes, 0x1000);
        EXPECT_EQ(virtio.notify_multiplier, 4);
        EXPECT_EQ((uintptr_t)virtio.common.va % PAGE_BYTES, 0);
        EXPECT_EQ(fake.space[4] & 6, 6); /* memory decoding and bus mastering are on */
}

TEST(virtio_pci, legacy_only)
{
        fake_init();
        fake.device.device_id = 0x1000;
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, virtio_pci_open(&virtio, &fake.device));
        EXPECT_EQ(fake.space[4], 0);
}

/* A device with one bad common capability; nothing of it may be mapped or enabled. */
static void expect_bad_common(struct test *t, uint8_t bar, uint32_t offset, uint32_t bytes)
{
        fake_init();
        add(TYPE_NOTIFY, BAR_MEMORY, 0x3000, 0x1000);
        add(TYPE_COMMON, bar, offset, bytes);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtio_pci_open(&virtio, &fake.device));
        EXPECT_EQ(fake.space[4], 0);
}

TEST(virtio_pci, common_registers_that_are_none)
{
        expect_bad_common(t, BAR_MEMORY, 0, 0x37);
        expect_bad_common(t, BAR_MEMORY, 2, 0x38);
        expect_bad_common(t, BAR_MEMORY, BAR_BYTES - 0x34, 0x38);
        expect_bad_common(t, BAR_MEMORY, UINT32_MAX - 3, 0x38);
        expect_bad_common(t, BAR_MEMORY, 0x38, UINT32_MAX);
        expect_bad_common(t, BAR_MEMORY, 0, 0);
        expect_bad_common(t, BAR_PORT, 0, 0x38);
        expect_bad_common(t, 5, 0, 0x38);
        expect_bad_common(t, 255, 0, 0x38);
}

TEST(virtio_pci, capability_too_short)
{
        fake_init();
        add(TYPE_NOTIFY, BAR_MEMORY, 0x3000, 0x1000);
        add(TYPE_COMMON, BAR_MEMORY, 0, 0x38)[2] = 15;
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtio_pci_open(&virtio, &fake.device));
        fake_init();
        add(TYPE_NOTIFY, BAR_MEMORY, 0x3000, 0x1000)[2] = 16; /* no room for the multiplier */
        add(TYPE_COMMON, BAR_MEMORY, 0, 0x38);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtio_pci_open(&virtio, &fake.device));
}

TEST(virtio_pci, notify_window_that_is_none)
{
        fake_init();
        add(TYPE_COMMON, BAR_MEMORY, 0, 0x38);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtio_pci_open(&virtio, &fake.device));
        add(TYPE_NOTIFY, BAR_MEMORY, 0x3001, 0x100);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtio_pci_open(&virtio, &fake.device));
}

/* A capability at the end of configuration space whose fields would leave it. */
TEST(virtio_pci, capability_at_the_brim)
{
        fake_init();
        fake.next = 0xfc;
        fake.space[0xfe] = 20;
        fake.space[0xff] = TYPE_COMMON;
        fake.device.capabilities[fake.device.capability_count++] =
                (struct pci_capability){.id = PCI_CAPABILITY_VENDOR, .offset = 0xfc};
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, virtio_pci_open(&virtio, &fake.device));
}
