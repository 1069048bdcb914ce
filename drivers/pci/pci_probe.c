/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* One PCI function, read from its configuration space: ids, BARs, capabilities. Everything comes
 * through device->config, so that a made-up function can be read as well as a real one.
 * Facts: PCI Local Bus 3.0, 6.1, 6.2.5.1 (BAR sizing), 6.7 (capabilities); Bridge 1.2, 3.2.5. */
#include "drivers/pci/pci.h"

#include "base/bytes.h"
#include "kernel/memory.h"

#define OFFSET_VENDOR 0x00
#define OFFSET_DEVICE 0x02
#define OFFSET_COMMAND 0x04
#define OFFSET_STATUS 0x06
#define OFFSET_REVISION 0x08 /* and the class code in the upper three bytes */
#define OFFSET_HEADER_TYPE 0x0e
#define OFFSET_BAR 0x10
#define OFFSET_SECONDARY_BUS 0x19
#define OFFSET_SUBSYSTEM_VENDOR 0x2c
#define OFFSET_SUBSYSTEM 0x2e
#define OFFSET_CAPABILITIES 0x34
#define OFFSET_INTERRUPT_LINE 0x3c
#define OFFSET_INTERRUPT_PIN 0x3d
#define INTERRUPT_PIN_MAX 4
#define ISA_IRQS 16

#define VENDOR_NONE 0xffff
#define STATUS_CAPABILITIES_BIT 4
#define HEADER_TYPE_MASK 0x7f
#define HEADER_MULTI_FUNCTION_BIT 7
#define HEADER_TYPE_DEVICE 0
#define HEADER_TYPE_BRIDGE 1

#define BAR_PORT_BIT 0
#define BAR_TYPE_MASK 0x6u
#define BAR_TYPE_32 0x0u
#define BAR_TYPE_64 0x4u
#define BAR_PREFETCHABLE_BIT 3
#define BAR_MEMORY_FLAGS 0xfull
#define BAR_PORT_FLAGS 0x3u
#define BAR_PORT_BYTES_MASK 0xffffu /* the upper half of a port BAR may read as zero */

#define CAPABILITY_FIRST_OFFSET 0x40
#define CAPABILITY_POINTER_MASK 0xfc

static void write32(const struct pci_device *device, uint16_t offset, uint32_t value)
{
        device->config->write(device, offset, 4, value);
}

/* What one BAR register answers to all ones; its value is put back. */
static uint32_t bar_mask(const struct pci_device *device, uint16_t offset, uint32_t value)
{
        write32(device, offset, UINT32_MAX);
        uint32_t mask = pci_read32(device, offset);
        write32(device, offset, value);
        return mask;
}

/* Reads BAR `index`; returns how many slots it takes. A mask that is no size makes it NONE. */
static uint8_t read_bar(struct pci_device *device, uint8_t index)
{
        uint16_t offset = (uint16_t)(OFFSET_BAR + 4 * index);
        uint32_t low = pci_read32(device, offset), low_mask = bar_mask(device, offset, low);
        struct pci_bar bar = {0};
        uint8_t slots = 1;

        if (low & BIT_MASK(BAR_PORT_BIT)) {
                bar.kind = PCI_BAR_PORT;
                bar.address = low & ~BAR_PORT_FLAGS & BAR_PORT_BYTES_MASK;
                bar.bytes = (~(low_mask & ~BAR_PORT_FLAGS) & BAR_PORT_BYTES_MASK) + 1;
        } else {
                uint64_t address = low, mask = low_mask | 0xffffffff00000000ull;
                bar.kind = PCI_BAR_MEMORY;
                bar.prefetchable = (low & BIT_MASK(BAR_PREFETCHABLE_BIT)) != 0;
                bar.wide = (low & BAR_TYPE_MASK) == BAR_TYPE_64;
                if (bar.wide && index + 1 < PCI_BARS_MAX) {
                        uint16_t above = (uint16_t)(offset + 4);
                        uint32_t high = pci_read32(device, above);
                        address |= (uint64_t)high << 32;
                        mask = low_mask | (uint64_t)bar_mask(device, above, high) << 32;
                        slots = 2;
                } else if ((low & BAR_TYPE_MASK) != BAR_TYPE_32) {
                        return 1;
                }
                bar.address = address & ~BAR_MEMORY_FLAGS;
                bar.bytes = ~(mask & ~BAR_MEMORY_FLAGS) + 1;
        }
        /* A mask of zero (not implemented) has no low bits set and comes out as 0 or as 4 GiB. */
        if (low_mask != 0 && is_power_of_two(bar.bytes) && is_aligned(bar.address, bar.bytes))
                device->bars[index] = bar;
        return slots;
}

static void read_bars(struct pci_device *device)
{
        uint16_t command = pci_read16(device, OFFSET_COMMAND);
        /* A BAR that holds all ones must not be decoded. */
        pci_disable(device, PCI_COMMAND_PORT | PCI_COMMAND_MEMORY);
        for (uint8_t i = 0; i < PCI_BARS_MAX;)
                i = (uint8_t)(i + read_bar(device, i));
        device->config->write(device, OFFSET_COMMAND, 2, command);
}

static void read_capabilities(struct pci_device *device)
{
        uint64_t seen = 0; /* a bit for each dword of configuration space */
        if (!(pci_read16(device, OFFSET_STATUS) & BIT_MASK(STATUS_CAPABILITIES_BIT)))
                return;
        uint8_t offset = pci_read8(device, OFFSET_CAPABILITIES) & CAPABILITY_POINTER_MASK;
        while (offset != 0) {
                if (offset < CAPABILITY_FIRST_OFFSET || (seen & BIT_MASK(offset / 4)) ||
                    device->capability_count == PCI_CAPABILITIES_MAX) {
                        device->capabilities_broken = true;
                        return;
                }
                seen |= BIT_MASK(offset / 4);
                device->capabilities[device->capability_count++] = (struct pci_capability){
                        .id = pci_read8(device, offset), .offset = offset};
                offset = pci_read8(device, (uint16_t)(offset + 1)) & CAPABILITY_POINTER_MASK;
        }
}

zx_status_t pci_probe(struct pci_device *device)
{
        device->vendor_id = pci_read16(device, OFFSET_VENDOR);
        if (device->vendor_id == VENDOR_NONE)
                return ZX_ERR_NOT_FOUND;
        device->device_id = pci_read16(device, OFFSET_DEVICE);
        uint32_t class_and_revision = pci_read32(device, OFFSET_REVISION);
        device->revision = (uint8_t)class_and_revision;
        device->class_code = class_and_revision >> 8;
        uint8_t header = pci_read8(device, OFFSET_HEADER_TYPE);
        device->multi_function = (header & BIT_MASK(HEADER_MULTI_FUNCTION_BIT)) != 0;
        device->interrupt_line = pci_read8(device, OFFSET_INTERRUPT_LINE);
        device->interrupt_pin = pci_read8(device, OFFSET_INTERRUPT_PIN);

        switch (header & HEADER_TYPE_MASK) {
        case HEADER_TYPE_DEVICE:
                device->subsystem_vendor_id = pci_read16(device, OFFSET_SUBSYSTEM_VENDOR);
                device->subsystem_id = pci_read16(device, OFFSET_SUBSYSTEM);
                read_bars(device);
                break;
        case HEADER_TYPE_BRIDGE:
                /* Its BARs stay unread: with decoding off nothing behind it would answer. */
                device->bridge = true;
                device->secondary_bus = pci_read8(device, OFFSET_SECONDARY_BUS);
                break;
        default:
                return ZX_ERR_NOT_SUPPORTED;
        }
        read_capabilities(device);
        return ZX_OK;
}

const struct pci_capability *pci_find_capability(const struct pci_device *device, uint8_t id)
{
        for (uint8_t i = 0; i < device->capability_count; i++)
                if (device->capabilities[i].id == id)
                        return &device->capabilities[i];
        return NULL;
}

void pci_enable(const struct pci_device *device, uint16_t bits)
{
        uint16_t command = pci_read16(device, OFFSET_COMMAND);
        device->config->write(device, OFFSET_COMMAND, 2, command | bits);
}

void pci_disable(const struct pci_device *device, uint16_t bits)
{
        uint16_t command = pci_read16(device, OFFSET_COMMAND);
        device->config->write(device, OFFSET_COMMAND, 2, command & ~bits);
}

zx_status_t pci_map(const struct pci_device *device, uint8_t bar_index, uint64_t offset,
                    uint64_t bytes, void **va_out)
{
        if (bar_index >= PCI_BARS_MAX || device->bars[bar_index].kind != PCI_BAR_MEMORY)
                return ZX_ERR_WRONG_TYPE;
        const struct pci_bar *bar = &device->bars[bar_index];
        if (bytes == 0 || offset > bar->bytes || bytes > bar->bytes - offset)
                return ZX_ERR_OUT_OF_RANGE;
        if (bar->address == 0)
                return ZX_ERR_NO_RESOURCES;
        return memory_map_physical(bar->address + offset, bytes, MEMORY_MAP_DEVICE, va_out);
}

zx_status_t pci_interrupt_line(const struct pci_device *device, struct irq_line *line)
{
        /* 0 is the timer, and what an untouched register holds; from 16 on it means "none". */
        if (device->interrupt_pin == 0 || device->interrupt_pin > INTERRUPT_PIN_MAX ||
            device->interrupt_line == 0 || device->interrupt_line >= ISA_IRQS)
                return ZX_ERR_NOT_FOUND;
        *line = irq_line_of_isa(device->interrupt_line);
        return ZX_OK;
}
