/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Where virtio-mmio devices are said to be: by ACPI, by words of the command line. Words come
 * before there is ACPI, so they are kept as they stand. Facts: virtio_mmio.h. */
#include "drivers/virtio/virtio_mmio.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/acpi.h"
#include "kernel/cmdline.h"

#define ISA_IRQS 16
#define REGISTER_BYTES 4u

static struct {
        uint64_t bytes, pa, irq;
} words[VIRTIO_MMIO_PLACES_MAX];
static size_t word_count;

enum field { FIELD_SIZE, FIELD_BASE, FIELD_IRQ, FIELD_ID, FIELD_COUNT };
#define FORM "; expected SIZE@BASE:IRQ[:ID], such as 4K@0xd0000000:5"

/* Splits a value at its separators. Returns NULL, or what is wrong. */
static const char *read_fields(const char *value, size_t length, uint64_t fields[FIELD_COUNT])
{
        static const char *const no_number[FIELD_COUNT] = {
                "SIZE is no number" FORM, "BASE is no number" FORM, "IRQ is no number" FORM,
                "ID is no number" FORM};
        static const char separators[FIELD_COUNT] = "@::";
        size_t field = 0, start = 0;
        for (size_t at = 0; at <= length; at++) {
                if (at < length && (field == FIELD_ID || value[at] != separators[field]))
                        continue;
                if (!cmdline_number(value + start, at - start, &fields[field]))
                        return no_number[field];
                start = at + 1;
                field++;
        }
        return field > FIELD_IRQ ? NULL : field > FIELD_BASE ? "IRQ is missing" FORM :
                                                               "BASE is missing" FORM;
}

const char *virtio_mmio_take_place(const char *value, size_t length)
{
        uint64_t fields[FIELD_COUNT];
        const char *wrong = read_fields(value, length, fields);
        if (wrong != NULL)
                return wrong;
        if (fields[FIELD_SIZE] <= VIRTIO_MMIO_CONFIG_OFFSET)
                return "SIZE must be more than the 0x100 bytes that the registers take";
        if (fields[FIELD_BASE] == 0 || !is_aligned(fields[FIELD_BASE], REGISTER_BYTES) ||
            fields[FIELD_SIZE] > UINT64_MAX - fields[FIELD_BASE])
                return "no registers can lie there: BASE must be a multiple of 4, and not 0";
        if (fields[FIELD_IRQ] >= UINT32_MAX)
                return "no machine has such an IRQ";
        if (word_count == VIRTIO_MMIO_PLACES_MAX)
                return "there is no room for more than 32 devices";
        words[word_count].bytes = fields[FIELD_SIZE];
        words[word_count].pa = fields[FIELD_BASE];
        words[word_count++].irq = fields[FIELD_IRQ];
        return NULL;
}

CMDLINE_EACH(virtio_mmio_take_place, "virtio_mmio.device",
             "SIZE@BASE:IRQ[:ID]: a virtio device with registers in memory; once for each");

size_t virtio_mmio_place_count(void)
{
        return acpi_info()->virtio_mmio_count + word_count;
}

struct virtio_mmio_place virtio_mmio_place_at(size_t index)
{
        const struct acpi_info *acpi = acpi_info();
        ASSERT(index < virtio_mmio_place_count());
        if (index < acpi->virtio_mmio_count) {
                const struct acpi_aml_virtio_mmio *found = &acpi->virtio_mmio[index];
                return (struct virtio_mmio_place){
                        .pa = found->pa, .bytes = found->bytes,
                        .line = {.gsi = found->gsi, .level = found->level,
                                 .active_low = found->active_low}};
        }
        index -= acpi->virtio_mmio_count;
        uint32_t irq = (uint32_t)words[index].irq;
        return (struct virtio_mmio_place){
                .pa = words[index].pa, .bytes = words[index].bytes,
                .line = irq < ISA_IRQS ? irq_line_of_isa((uint8_t)irq) :
                                         (struct irq_line){.gsi = irq}};
}
