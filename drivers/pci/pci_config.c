/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The two ways to configuration space: memory (ECAM, mapped a bus at a time) and ports. Segment 0
 * only. Relies on kernel/acpi.h for MCFG and kernel/memory.h for mappings. */
#include "drivers/pci/pci_config.h"

#include "arch/io.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/acpi.h"
#include "kernel/cpu.h"
#include "kernel/memory.h"

#define ECAM_BUS_SHIFT 20
#define ECAM_DEVICE_SHIFT 15
#define ECAM_FUNCTION_SHIFT 12
#define ECAM_BUS_BYTES (1ull << ECAM_BUS_SHIFT)

#define PORT_ADDRESS 0xcf8
#define PORT_DATA 0xcfc
#define PORT_ENABLE 0x80000000u
#define PORT_BUS_SHIFT 16
#define PORT_DEVICE_SHIFT 11
#define PORT_FUNCTION_SHIFT 8

static struct acpi_ecam ecam;
static uint8_t *ecam_bus_va[PCI_BUSES_MAX];
static bool by_ecam;

/* ---- memory ---- */

static uint8_t *ecam_register(const struct pci_device *device, uint16_t offset, uint8_t bytes)
{
        ASSERT(offset + bytes <= PCI_CONFIG_EXPRESS_BYTES && is_aligned(offset, bytes));
        ASSERT(ecam_bus_va[device->bus] != NULL);
        return ecam_bus_va[device->bus] + ((size_t)device->device << ECAM_DEVICE_SHIFT) +
               ((size_t)device->function << ECAM_FUNCTION_SHIFT) + offset;
}

static uint32_t ecam_read(const struct pci_device *device, uint16_t offset, uint8_t bytes)
{
        const uint8_t *at = ecam_register(device, offset, bytes);
        return bytes == 1 ? mmio_read8(at) : bytes == 2 ? mmio_read16(at) : mmio_read32(at);
}

static void ecam_write(const struct pci_device *device, uint16_t offset, uint8_t bytes,
                       uint32_t value)
{
        uint8_t *at = ecam_register(device, offset, bytes);
        if (bytes == 1)
                mmio_write8(at, (uint8_t)value);
        else if (bytes == 2)
                mmio_write16(at, (uint16_t)value);
        else
                mmio_write32(at, value);
}

static const struct pci_config_ops ecam_ops = {
        .read = ecam_read, .write = ecam_write, .name = "ECAM"};

/* ---- ports ---- */

/* Address and data belong together: interrupt handlers and other CPUs use them, too. */
static struct spinlock port_lock;

/* Selects the register and returns the data port of its first byte. */
static uint16_t port_select(const struct pci_device *device, uint16_t offset, uint8_t bytes)
{
        ASSERT(offset + bytes <= PCI_CONFIG_BYTES && is_aligned(offset, bytes));
        outl(PORT_ADDRESS, PORT_ENABLE | (uint32_t)device->bus << PORT_BUS_SHIFT |
                                   (uint32_t)device->device << PORT_DEVICE_SHIFT |
                                   (uint32_t)device->function << PORT_FUNCTION_SHIFT |
                                   (offset & ~3u));
        return (uint16_t)(PORT_DATA + (offset & 3));
}

static uint32_t port_read(const struct pci_device *device, uint16_t offset, uint8_t bytes)
{
        bool enabled = cpu_lock_irq_save(&port_lock);
        uint16_t port = port_select(device, offset, bytes);
        uint32_t value = bytes == 1 ? inb(port) : bytes == 2 ? inw(port) : inl(port);
        cpu_unlock_irq_restore(&port_lock, enabled);
        return value;
}

static void port_write(const struct pci_device *device, uint16_t offset, uint8_t bytes,
                       uint32_t value)
{
        bool enabled = cpu_lock_irq_save(&port_lock);
        uint16_t port = port_select(device, offset, bytes);
        if (bytes == 1)
                outb(port, (uint8_t)value);
        else if (bytes == 2)
                outw(port, (uint16_t)value);
        else
                outl(port, value);
        cpu_unlock_irq_restore(&port_lock, enabled);
}

static const struct pci_config_ops port_ops = {
        .read = port_read, .write = port_write, .name = "ports"};

/* The address register keeps what is written to it; a port that is not there reads as all ones. */
static bool ports_answer(void)
{
        uint32_t before = inl(PORT_ADDRESS);
        outl(PORT_ADDRESS, PORT_ENABLE);
        bool answer = inl(PORT_ADDRESS) == PORT_ENABLE;
        outl(PORT_ADDRESS, before);
        return answer;
}

/* ---- either ---- */

const struct pci_config_ops *pci_config_init(uint8_t *first_bus)
{
        const struct acpi_info *acpi = acpi_info();
        for (uint32_t i = 0; i < acpi->ecam_count; i++) {
                if (acpi->ecam[i].segment != 0 || acpi->ecam[i].first_bus > acpi->ecam[i].last_bus)
                        continue;
                ecam = acpi->ecam[i];
                by_ecam = true;
                *first_bus = ecam.first_bus;
                if (pci_config_open_bus(ecam.first_bus) == ZX_OK)
                        return &ecam_ops;
                by_ecam = false;
        }
        *first_bus = 0;
        return ports_answer() ? &port_ops : NULL;
}

zx_status_t pci_config_open_bus(uint8_t bus)
{
        if (!by_ecam || ecam_bus_va[bus] != NULL)
                return ZX_OK;
        if (bus < ecam.first_bus || bus > ecam.last_bus)
                return ZX_ERR_OUT_OF_RANGE;
        void *va;
        zx_status_t status = memory_map_physical(ecam.pa + bus * ECAM_BUS_BYTES, ECAM_BUS_BYTES,
                                                 MEMORY_MAP_DEVICE, &va);
        if (status == ZX_OK)
                ecam_bus_va[bus] = va;
        return status;
}
