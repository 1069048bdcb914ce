/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* MSI-X: a table of messages, each with a mask. Facts: PCI Express Base 5.0, 7.7.2. */
#include "drivers/pci/pci.h"
#include "drivers/pci/pci_config.h"

#include "arch/io.h"
#include "base/assert.h"
#include "base/bytes.h"

/* In the capability. */
#define OFFSET_CONTROL 2
#define OFFSET_TABLE 4
#define CAPABILITY_BYTES 12
#define CONTROL_COUNT_MASK 0x7ff /* less one */
#define CONTROL_MASK_ALL_BIT 14
#define CONTROL_ENABLE_BIT 15
#define TABLE_BAR_MASK 0x7u

/* In an entry of the table. */
#define ENTRY_BYTES 16u
#define ENTRY_ADDRESS_LOW 0
#define ENTRY_ADDRESS_HIGH 4
#define ENTRY_DATA 8
#define ENTRY_CONTROL 12
#define ENTRY_MASKED_BIT 0

static void set_control(const struct pci_msix *msix, uint16_t set, uint16_t clear)
{
        uint16_t control = pci_read16(msix->device, msix->control);
        msix->device->config->write(msix->device, msix->control, 2, (control & ~clear) | set);
}

static uint8_t *entry(const struct pci_msix *msix, uint16_t index)
{
        ASSERT(index < msix->count);
        return msix->table + ENTRY_BYTES * index;
}

zx_status_t pci_msix_open(const struct pci_device *device, struct pci_msix *msix)
{
        const struct pci_capability *capability = pci_find_capability(device, PCI_CAPABILITY_MSIX);
        if (capability == NULL)
                return ZX_ERR_NOT_FOUND;
        if (capability->offset > PCI_CONFIG_BYTES - CAPABILITY_BYTES)
                return ZX_ERR_OUT_OF_RANGE; /* a device may say anything */
        uint16_t control = (uint16_t)(capability->offset + OFFSET_CONTROL);
        uint32_t table = pci_read32(device, (uint16_t)(capability->offset + OFFSET_TABLE));
        *msix = (struct pci_msix){
                .device = device,
                .control = control,
                .count = (pci_read16(device, control) & CONTROL_COUNT_MASK) + 1,
        };
        void *va;
        zx_status_t status = pci_map(device, table & TABLE_BAR_MASK, table & ~TABLE_BAR_MASK,
                                     ENTRY_BYTES * msix->count, &va);
        if (status != ZX_OK)
                return status;
        msix->table = va;
        /* The table may be written only while MSI-X is enabled;
         * the function mask keeps it quiet. */
        set_control(msix, BIT_MASK(CONTROL_MASK_ALL_BIT) | BIT_MASK(CONTROL_ENABLE_BIT), 0);
        for (uint16_t i = 0; i < msix->count; i++)
                pci_msix_mask(msix, i);
        pci_enable(device, PCI_COMMAND_INTX_DISABLE);
        return ZX_OK;
}

zx_status_t pci_msix_program(const struct pci_msix *msix, uint16_t index,
                             const struct arch_msi_message *message)
{
        uint8_t *at = entry(msix, index);
        uint32_t low = (uint32_t)message->address, high = (uint32_t)(message->address >> 32);
        mmio_write32(at + ENTRY_ADDRESS_LOW, low);
        mmio_write32(at + ENTRY_ADDRESS_HIGH, high);
        mmio_write32(at + ENTRY_DATA, message->data);
        if (mmio_read32(at + ENTRY_ADDRESS_LOW) != low ||
            mmio_read32(at + ENTRY_ADDRESS_HIGH) != high ||
            mmio_read32(at + ENTRY_DATA) != message->data)
                return ZX_ERR_IO;
        return ZX_OK;
}

void pci_msix_mask(const struct pci_msix *msix, uint16_t index)
{
        uint8_t *at = entry(msix, index) + ENTRY_CONTROL;
        mmio_write32(at, mmio_read32(at) | BIT_MASK(ENTRY_MASKED_BIT));
}

void pci_msix_unmask(const struct pci_msix *msix, uint16_t index)
{
        uint8_t *at = entry(msix, index) + ENTRY_CONTROL;
        mmio_write32(at, mmio_read32(at) & ~(uint32_t)BIT_MASK(ENTRY_MASKED_BIT));
}

void pci_msix_start(const struct pci_msix *msix)
{
        set_control(msix, 0, BIT_MASK(CONTROL_MASK_ALL_BIT));
}

void pci_msix_close(const struct pci_msix *msix)
{
        for (uint16_t i = 0; i < msix->count; i++)
                pci_msix_mask(msix, i);
        set_control(msix, BIT_MASK(CONTROL_MASK_ALL_BIT), BIT_MASK(CONTROL_ENABLE_BIT));
}
