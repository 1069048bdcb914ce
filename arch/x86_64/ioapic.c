/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* See ioapic.h. */
#include "arch/ioapic.h"

#include <stddef.h>

#include "arch/io.h"
#include "base/bytes.h"

/* Two memory-mapped registers give access to all others. */
#define REGISTER_SELECT 0x00
#define REGISTER_WINDOW 0x10

#define INDEX_VERSION 0x01
#define INDEX_ENTRIES 0x10 /* two 32-bit registers each, low half first */

#define VERSION_MASK 0xff
#define VERSION_MIN 0x10 /* 82489DX, without an I/O APIC's layout, is 0x0X */
#define VERSION_MAX 0x2f
#define LAST_LINE_SHIFT 16
#define LINES_MAX 240

#define ENTRY_NMI (4u << 8)
#define ENTRY_ACTIVE_LOW_BIT 13
#define ENTRY_LEVEL_BIT 15
#define ENTRY_MASKED_BIT 16
#define ENTRY_DESTINATION_SHIFT 24

static struct ioapic {
        volatile uint8_t *registers;
        uint32_t gsi_base;
        uint32_t line_count;
} ioapics[IOAPIC_COUNT_MAX];
static uint32_t count;

static uint32_t ioapic_read(const struct ioapic *ioapic, uint32_t index)
{
        mmio_write32(ioapic->registers + REGISTER_SELECT, index);
        return mmio_read32(ioapic->registers + REGISTER_WINDOW);
}

static void ioapic_write(const struct ioapic *ioapic, uint32_t index, uint32_t value)
{
        mmio_write32(ioapic->registers + REGISTER_SELECT, index);
        mmio_write32(ioapic->registers + REGISTER_WINDOW, value);
}

zx_status_t ioapic_add(volatile void *registers, uint32_t gsi_base)
{
        struct ioapic ioapic = {.registers = registers, .gsi_base = gsi_base};

        if (count == IOAPIC_COUNT_MAX)
                return ZX_ERR_NO_RESOURCES;
        uint32_t version = ioapic_read(&ioapic, INDEX_VERSION);
        ioapic.line_count = (version >> LAST_LINE_SHIFT & 0xff) + 1;
        version &= VERSION_MASK;
        if (version < VERSION_MIN || version > VERSION_MAX || ioapic.line_count > LINES_MAX)
                return ZX_ERR_NOT_FOUND;
        for (uint32_t line = 0; line < ioapic.line_count; line++)
                ioapic_write(&ioapic, INDEX_ENTRIES + 2 * line,
                             (uint32_t)BIT_MASK(ENTRY_MASKED_BIT));
        ioapics[count++] = ioapic;
        return ZX_OK;
}

uint32_t ioapic_count(void)
{
        return count;
}

uint32_t ioapic_line_count(void)
{
        uint32_t lines = 0;
        for (uint32_t i = 0; i < count; i++)
                lines += ioapics[i].line_count;
        return lines;
}

/* The I/O APIC that has that GSI and the index of the entry's low half; NULL: none. */
static const struct ioapic *find_entry(uint32_t gsi, uint32_t *index)
{
        for (uint32_t i = 0; i < count; i++) {
                uint32_t line = gsi - ioapics[i].gsi_base;
                if (gsi >= ioapics[i].gsi_base && line < ioapics[i].line_count) {
                        *index = INDEX_ENTRIES + 2 * line;
                        return &ioapics[i];
                }
        }
        return NULL;
}

zx_status_t ioapic_route(uint32_t gsi, const struct ioapic_route *route)
{
        uint32_t index;
        const struct ioapic *ioapic = find_entry(gsi, &index);
        uint32_t low = route->nmi ? ENTRY_NMI : route->vector;

        if (ioapic == NULL)
                return ZX_ERR_NOT_FOUND;
        if (route->level)
                low |= (uint32_t)BIT_MASK(ENTRY_LEVEL_BIT);
        if (route->active_low)
                low |= (uint32_t)BIT_MASK(ENTRY_ACTIVE_LOW_BIT);
        /* Masked while the two halves do not belong together; as an edge, which forgets an
         * interrupt that an earlier user of the line has not ended. */
        ioapic_write(ioapic, index, (uint32_t)BIT_MASK(ENTRY_MASKED_BIT));
        ioapic_write(ioapic, index + 1, (uint32_t)route->apic_id << ENTRY_DESTINATION_SHIFT);
        ioapic_write(ioapic, index, low);
        return ZX_OK;
}

void ioapic_mask(uint32_t gsi)
{
        uint32_t index;
        const struct ioapic *ioapic = find_entry(gsi, &index);

        /* The rest stays: a level that falls while the entry is one of an edge is not noticed by
         * QEMU's I/O APIC, and an entry of a level would interrupt without end from then on. */
        if (ioapic != NULL) {
                uint32_t low = ioapic_read(ioapic, index);
                /* The read has left this register selected: the window still shows it. */
                mmio_write32(ioapic->registers + REGISTER_WINDOW,
                             low | (uint32_t)BIT_MASK(ENTRY_MASKED_BIT));
        }
}
