/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* See acpi_aml.h. */
#include "kernel/acpi_aml.h"

#include "base/bytes.h"

enum {
        AML_ZERO = 0x00, AML_ONE = 0x01, AML_BYTE = 0x0a, AML_WORD = 0x0b, AML_DWORD = 0x0c,
        AML_EXTENDED = 0x5b, AML_DEVICE = 0x82,

        /* Resource descriptors: a large one has two bytes of length behind its tag. */
        LARGE_BIT = 7, SMALL_LENGTH_MASK = 7, LARGE_HEAD_BYTES = 3,
        MEMORY32_FIXED = 0x86, MEMORY32_BASE = 4, MEMORY32_LENGTH = 8, MEMORY32_BYTES = 12,
        INTERRUPT = 0x89, INTERRUPT_FLAGS = 3, INTERRUPT_COUNT = 4, INTERRUPT_NUMBER = 5,
        INTERRUPT_BYTES = 9,
        INTERRUPT_EDGE_BIT = 1, INTERRUPT_LOW_BIT = 2,
};

/* Name (_HID, "LNRO0005"), with the string's end; Name (_CRS, Buffer ... */
static const uint8_t hid_pattern[] = "\x08_HID\x0dLNRO0005";
static const uint8_t crs_pattern[] = {0x08, '_', 'C', 'R', 'S', 0x11};

static uint32_t get32(const uint8_t *bytes)
{
        uint32_t value;
        __builtin_memcpy(&value, bytes, sizeof(value));
        return value;
}

bool acpi_aml_length(const uint8_t *aml, uint32_t bytes, uint32_t *at, uint32_t *end)
{
        uint32_t start = *at, next = start + 1;
        if (start >= bytes)
                return false;
        /* The top two bits of the lead byte say how many bytes follow it. It counts from the lead
         * byte on. One byte holds six bits of length, longer forms four and then eight each. */
        uint32_t extra = aml[start] >> 6;
        uint32_t length = extra == 0 ? aml[start] & 0x3f : aml[start] & 0x0f;
        if (bytes - next < extra)
                return false;
        for (uint32_t i = 0; i < extra; i++)
                length |= (uint32_t)aml[next++] << (4 + 8 * i);
        if (length > bytes - start || length < next - start)
                return false;
        *at = next;
        *end = start + length;
        return true;
}

bool acpi_aml_integer(const uint8_t *aml, uint32_t end, uint32_t *at, uint32_t *value)
{
        uint32_t bytes;
        if (*at >= end)
                return false;
        uint8_t opcode = aml[(*at)++];
        switch (opcode) {
        case AML_ZERO:
        case AML_ONE:
                *value = opcode;
                return true;
        case AML_BYTE:
                bytes = 1;
                break;
        case AML_WORD:
                bytes = 2;
                break;
        case AML_DWORD:
                bytes = 4;
                break;
        default:
                return false;
        }
        if (end - *at < bytes)
                return false;
        *value = 0;
        memcpy(value, aml + *at, bytes);
        *at += bytes;
        return true;
}

/* Reads the resources in [at, end); false: fixed memory or interrupt is missing. */
static bool read_resources(const uint8_t *aml, uint32_t at, uint32_t end,
                           struct acpi_aml_virtio_mmio *out)
{
        bool memory = false, interrupt = false;
        while (at < end) {
                const uint8_t *resource = aml + at;
                uint32_t bytes = 1 + (resource[0] & SMALL_LENGTH_MASK);
                if (resource[0] & BIT_MASK(LARGE_BIT)) {
                        if (end - at < LARGE_HEAD_BYTES)
                                break;
                        bytes = LARGE_HEAD_BYTES + resource[1] + 256u * resource[2];
                }
                if (bytes > end - at)
                        break;
                if (resource[0] == MEMORY32_FIXED && bytes >= MEMORY32_BYTES && !memory) {
                        out->pa = get32(resource + MEMORY32_BASE);
                        out->bytes = get32(resource + MEMORY32_LENGTH);
                        memory = true;
                } else if (resource[0] == INTERRUPT && bytes >= INTERRUPT_BYTES && !interrupt &&
                           resource[INTERRUPT_COUNT] != 0) {
                        out->gsi = get32(resource + INTERRUPT_NUMBER);
                        out->level = !(resource[INTERRUPT_FLAGS] & BIT_MASK(INTERRUPT_EDGE_BIT));
                        out->active_low = resource[INTERRUPT_FLAGS] & BIT_MASK(INTERRUPT_LOW_BIT);
                        interrupt = true;
                }
                at += bytes;
        }
        return memory && interrupt;
}

/* The innermost Device whose package holds [at, behind); false: none near enough. */
static bool find_device(const uint8_t *aml, uint32_t bytes, uint32_t *at, uint32_t *end)
{
        uint32_t inside = *at;
        for (uint32_t back = 2; back <= ACPI_AML_DEVICE_HEAD_BYTES_MAX && back <= inside; back++) {
                uint32_t start = inside - back, length_at = start + 2;
                if (aml[start] == AML_EXTENDED && aml[start + 1] == AML_DEVICE &&
                    acpi_aml_length(aml, bytes, &length_at, end) &&
                    *end >= inside + sizeof(hid_pattern)) {
                        *at = length_at;
                        return true;
                }
        }
        return false;
}

/* The device around the _HID at `at`, by its first _CRS. */
static bool read_device(const uint8_t *aml, uint32_t bytes, uint32_t at,
                        struct acpi_aml_virtio_mmio *out)
{
        uint32_t end, buffer_end, size;
        if (!find_device(aml, bytes, &at, &end))
                return false;
        for (; at + sizeof(crs_pattern) <= end; at++) {
                if (__builtin_memcmp(aml + at, crs_pattern, sizeof(crs_pattern)) != 0)
                        continue;
                at += sizeof(crs_pattern);
                return acpi_aml_length(aml, end, &at, &buffer_end) &&
                       acpi_aml_integer(aml, buffer_end, &at, &size) &&
                       read_resources(aml, at, buffer_end, out);
        }
        return false;
}

uint32_t acpi_aml_virtio_mmio(const uint8_t *aml, uint32_t bytes,
                              struct acpi_aml_virtio_mmio *found, uint32_t *ignored)
{
        uint32_t count = 0;
        *ignored = 0;
        for (uint32_t at = 0; at + sizeof(hid_pattern) <= bytes; at++) {
                struct acpi_aml_virtio_mmio device;
                if (__builtin_memcmp(aml + at, hid_pattern, sizeof(hid_pattern)) != 0)
                        continue;
                if (count < ACPI_AML_VIRTIO_MMIO_MAX && read_device(aml, bytes, at, &device))
                        found[count++] = device;
                else
                        (*ignored)++;
        }
        return count;
}
