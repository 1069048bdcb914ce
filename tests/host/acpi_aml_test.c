/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Tests of kernel/acpi_aml: virtio-mmio devices as two machine monitors write them, and everything
 * that is only nearly one. */
#include "tests/expect.h"

#include "base/bytes.h"
#include "kernel/acpi_aml.h"

/* Device (VR23) { _HID "LNRO0005", _UID 23, _CCA 1, _CRS { Memory32Fixed (0xfeb02e00, 0x200),
 * Interrupt (consumer, level, high) 47 } }, as QEMU's microvm has it. */
static const uint8_t by_qemu[] = {
        0x5b, 0x82, 0x42, 0x04, 'V', 'R', '2', '3',
        0x08, '_', 'H', 'I', 'D', 0x0d, 'L', 'N', 'R', 'O', '0', '0', '0', '5', 0,
        0x08, '_', 'U', 'I', 'D', 0x0a, 23,
        0x08, '_', 'C', 'C', 'A', 0x01,
        0x08, '_', 'C', 'R', 'S', 0x11, 0x1a, 0x0a, 0x17,
        0x86, 9, 0, 1, 0x00, 0x2e, 0xb0, 0xfe, 0x00, 0x02, 0, 0,
        0x89, 6, 0, 0x01, 1, 47, 0, 0, 0, 0x79, 0,
};

/* The same with long lengths, a resource of another kind first, and an edge, active low. */
static const uint8_t by_others[] = {
        0x5b, 0x82, 0x83, 0x04, 0x00, 'V', '0', '0', '1',
        0x08, '_', 'C', 'R', 'S', 0x11, 0x47, 0x02, 0x0b, 0x22, 0x00,
        0x47, 1, 0, 0, 0, 0, 0, 1, /* ports */
        0x86, 9, 0, 1, 0x00, 0x10, 0x00, 0xc0, 0x00, 0x10, 0, 0,
        0x89, 6, 0, 0x07, 1, 5, 0, 0, 0, 0x79, 0,
        0x79, 0, 0,
        0x08, '_', 'H', 'I', 'D', 0x0d, 'L', 'N', 'R', 'O', '0', '0', '0', '5', 0,
};

static struct acpi_aml_virtio_mmio found[ACPI_AML_VIRTIO_MMIO_MAX];
static uint32_t ignored;

static uint32_t scan(const uint8_t *aml, uint32_t bytes)
{
        return acpi_aml_virtio_mmio(aml, bytes, found, &ignored);
}

TEST(acpi_aml, lengths)
{
        static const uint8_t one[] = {0x03, 0, 0}, two[] = {0x42, 0x01}, cut[] = {0xc0, 0, 0};
        static uint8_t four[0x10004] = {0xc4, 0x00, 0x10, 0x00};
        uint32_t at = 0, end = 0;
        EXPECT_TRUE(acpi_aml_length(one, 3, &at, &end));
        EXPECT_EQ(at, 1);
        EXPECT_EQ(end, 3);
        at = 0;
        EXPECT_FALSE(acpi_aml_length(one, 2, &at, &end)); /* runs over */
        EXPECT_FALSE(acpi_aml_length(two, 2, &at, &end)); /* 0x12 bytes in 2 */
        EXPECT_FALSE(acpi_aml_length(cut, 3, &at, &end));
        EXPECT_FALSE(acpi_aml_length(cut, 0, &at, &end));
        EXPECT_EQ(at, 0);
        EXPECT_TRUE(acpi_aml_length(four, sizeof(four), &at, &end));
        EXPECT_EQ(at, 4);
        EXPECT_EQ(end, 0x10004);
        static const uint8_t zero[] = {0x00, 0};
        at = 0;
        EXPECT_FALSE(acpi_aml_length(zero, 2, &at, &end)); /* shorter than itself */
}

TEST(acpi_aml, device_of_microvm)
{
        REQUIRE_EQ(scan(by_qemu, sizeof(by_qemu)), 1);
        EXPECT_EQ(ignored, 0);
        EXPECT_EQ(found[0].pa, 0xfeb02e00);
        EXPECT_EQ(found[0].bytes, 0x200);
        EXPECT_EQ(found[0].gsi, 47);
        EXPECT_TRUE(found[0].level);
        EXPECT_FALSE(found[0].active_low);
}

TEST(acpi_aml, device_in_another_order)
{
        REQUIRE_EQ(scan(by_others, sizeof(by_others)), 1);
        EXPECT_EQ(ignored, 0);
        EXPECT_EQ(found[0].pa, 0xc0001000);
        EXPECT_EQ(found[0].bytes, 0x1000);
        EXPECT_EQ(found[0].gsi, 5);
        EXPECT_FALSE(found[0].level);
        EXPECT_TRUE(found[0].active_low);
}

TEST(acpi_aml, more_devices_than_there_is_room)
{
        static uint8_t many[(ACPI_AML_VIRTIO_MMIO_MAX + 2) * sizeof(by_qemu)];
        for (uint32_t i = 0; i < ACPI_AML_VIRTIO_MMIO_MAX + 2; i++) {
                memcpy(many + i * sizeof(by_qemu), by_qemu, sizeof(by_qemu));
                many[i * sizeof(by_qemu) + 62] = (uint8_t)i; /* the GSI */
        }
        REQUIRE_EQ(scan(many, sizeof(many)), ACPI_AML_VIRTIO_MMIO_MAX);
        EXPECT_EQ(ignored, 2);
        for (uint32_t i = 0; i < ACPI_AML_VIRTIO_MMIO_MAX; i++)
                EXPECT_EQ(found[i].gsi, i);
}

/* Cut anywhere it is no device, and nothing behind the cut is read:
 * the copy ends where it is cut. */
TEST(acpi_aml, cut_off_at_every_byte)
{
        uint64_t dev;
        uint8_t *page = world_pages(t, 1, &dev);
        for (uint32_t bytes = 0; bytes < sizeof(by_qemu); bytes++) {
                uint8_t *copy = page + PAGE_BYTES - bytes;
                memcpy(copy, by_qemu, bytes);
                EXPECT_EQ(scan(copy, bytes), 0);
        }
}

/* Each byte of a device changed to each value: found or not, nothing outside is touched. */
TEST(acpi_aml, every_byte_changed)
{
        uint64_t dev;
        uint8_t *copy = (uint8_t *)world_pages(t, 1, &dev) + PAGE_BYTES - sizeof(by_others);
        uint32_t whole = 0, others = 0;
        for (uint32_t at = 0; at < sizeof(by_others); at++)
                for (uint32_t value = 0; value < 256; value++) {
                        memcpy(copy, by_others, sizeof(by_others));
                        copy[at] = (uint8_t)value;
                        if (scan(copy, sizeof(by_others)) == 1)
                                whole++;
                        else
                                others++;
                        EXPECT_LE(ignored, 1);
                }
        EXPECT_GT(whole, 0);
        EXPECT_GT(others, 0);
}

/* The last resource says that it is longer than the buffer it lies in. */
TEST(acpi_aml, resource_that_leaves_its_buffer)
{
        static const uint8_t aml[] = {
                0x5b, 0x82, 0x32, 'V', 'R', '0', '0',
                0x08, '_', 'H', 'I', 'D', 0x0d, 'L', 'N', 'R', 'O', '0', '0', '0', '5', 0,
                0x08, '_', 'C', 'R', 'S', 0x11, 0x17, 0x0a, 0x14,
                0x89, 6, 0, 0x01, 1, 47, 0, 0, 0,
                0x86, 9, 0, 1, 0x00, 0x2e, 0xb0, 0xfe, 0x00, 0x02, 0,
                0, /* behind the buffer */
        };
        EXPECT_EQ(scan(aml, sizeof(aml)), 0);
        EXPECT_EQ(ignored, 1);
        uint8_t whole[sizeof(aml)];
        memcpy(whole, aml, sizeof(aml));
        whole[28]++, whole[30]++; /* one byte more in the buffer */
        EXPECT_EQ(scan(whole, sizeof(whole)), 1);
}

TEST(acpi_aml, id_without_a_device_or_resources)
{
        EXPECT_EQ(scan(by_qemu + 8, sizeof(by_qemu) - 8), 0); /* the head is missing */
        EXPECT_EQ(ignored, 1);
        uint8_t copy[sizeof(by_qemu)];
        memcpy(copy, by_qemu, sizeof(copy));
        copy[37] = 'X'; /* no _CRS */
        EXPECT_EQ(scan(copy, sizeof(copy)), 0);
        EXPECT_EQ(ignored, 1);
        memcpy(copy, by_qemu, sizeof(copy));
        copy[61] = 0; /* an interrupt resource without an interrupt */
        EXPECT_EQ(scan(copy, sizeof(copy)), 0);
        EXPECT_EQ(ignored, 1);
        memcpy(copy, by_qemu, sizeof(copy));
        copy[2] = 0x17, copy[3] = 0; /* a package that ends before its _HID does */
        EXPECT_EQ(scan(copy, sizeof(copy)), 0);
        EXPECT_EQ(ignored, 1);
}
