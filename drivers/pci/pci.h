/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* pci — finds PCI functions and gives their drivers configuration space, BARs and MSI-X.
 *
 * Configuration space is reached through ECAM when ACPI names it (MCFG), else through the ports
 * 0xcf8 and 0xcfc; a machine with neither has no PCI, which is no error. Firmware or hypervisor has
 * numbered the buses and placed the BARs: what it left out is named on the console and not used.
 *
 *   const struct pci_device *device = pci_device_at(i);  // once DRIVER_PHASE_BUS is over
 *   pci_enable(device, PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
 *   pci_map(device, bar, offset, bytes, &va);            // registers
 *   pci_msix_open(device, &msix);                        // all vectors masked from here on
 *   pci_msix_program(&msix, 0, &message);                // message from arch_irq_allocate_msi
 *   pci_msix_unmask(&msix, 0);  pci_msix_start(&msix);   // interrupts flow
 *
 * Peer        a device may be hostile: capability lists are walked with a bound and without loops,
 *             BARs and MSI-X tables are checked against each other before anything is mapped
 * Context     boot CPU, threads. Not from interrupt handlers, but for pci_msix_mask and _unmask.
 * Facts       PCI Local Bus 3.0, 6; PCI Express Base 5.0, 7.2.2 (ECAM), 7.7.2 (MSI-X); PCI-to-PCI
 *             Bridge 1.2, 3.2.5 */
#ifndef DRIVERS_PCI_PCI_H
#define DRIVERS_PCI_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/compiler.h"
#include "base/status.h"
#include "kernel/irq_line.h"

#define PCI_DEVICES_MAX 64
#define PCI_BARS_MAX 6
#define PCI_CAPABILITIES_MAX 48 /* 192 bytes of 4 each */

#define PCI_COMMAND_PORT 0x0001
#define PCI_COMMAND_MEMORY 0x0002
#define PCI_COMMAND_BUS_MASTER 0x0004
#define PCI_COMMAND_INTX_DISABLE 0x0400

#define PCI_CAPABILITY_VENDOR 0x09
#define PCI_CAPABILITY_MSIX 0x11

struct pci_device;

/* One way to configuration space. `bytes` is 1, 2 or 4 and `offset` a multiple of it. What is not
 * there reads as all ones. */
struct pci_config_ops {
        uint32_t (*read)(const struct pci_device *device, uint16_t offset, uint8_t bytes);
        void (*write)(const struct pci_device *device, uint16_t offset, uint8_t bytes,
                      uint32_t value);
        const char *name;
};

enum pci_bar_kind { PCI_BAR_NONE = 0, PCI_BAR_PORT, PCI_BAR_MEMORY };

struct pci_bar {
        enum pci_bar_kind kind; /* the second slot of a wide one is NONE */
        bool wide;              /* 64-bit: takes two slots */
        bool prefetchable;
        uint64_t address; /* physical, or port; 0: nobody placed it */
        uint64_t bytes;   /* a power of two */
};

struct pci_capability {
        uint8_t id;
        uint8_t offset; /* of its id byte in configuration space, 0x40.. */
};

/* Read-only for everybody but pci. */
struct pci_device {
        const struct pci_config_ops *config;
        uint16_t segment;
        uint8_t bus, device, function;
        uint8_t revision;
        uint16_t vendor_id, device_id;
        uint16_t subsystem_vendor_id, subsystem_id;
        uint32_t class_code; /* class, subclass, interface: 24 bits */
        bool multi_function;
        bool bridge;
        uint8_t secondary_bus; /* of a bridge; 0: nobody numbered it */
        uint8_t interrupt_pin;  /* 1..4: INTA..INTD; 0: it has none */
        uint8_t interrupt_line; /* the ISA IRQ behind it, as firmware has noted it */
        bool capabilities_broken; /* the list looped or left its place; it is cut there */
        uint8_t capability_count;
        struct pci_capability capabilities[PCI_CAPABILITIES_MAX];
        struct pci_bar bars[PCI_BARS_MAX];
};

/* The functions found, bridges included, in order of discovery; constant after PHASE_BUS. */
size_t pci_device_count(void);
const struct pci_device *pci_device_at(size_t index);

static inline uint8_t pci_read8(const struct pci_device *device, uint16_t offset)
{
        return (uint8_t)device->config->read(device, offset, 1);
}

static inline uint16_t pci_read16(const struct pci_device *device, uint16_t offset)
{
        return (uint16_t)device->config->read(device, offset, 2);
}

static inline uint32_t pci_read32(const struct pci_device *device, uint16_t offset)
{
        return device->config->read(device, offset, 4);
}

/* Reads the function behind device->config: ids, BARs (decoding is off while they are sized),
 * capabilities.
 *   device   config and the address are set, all else is zero
 *   returns  ZX_OK; ZX_ERR_NOT_FOUND: there is no function; ZX_ERR_NOT_SUPPORTED: a header type
 *            that this does not know */
zx_status_t MUST_CHECK pci_probe(struct pci_device *device);

/* The first capability with that id, NULL when there is none. */
const struct pci_capability *pci_find_capability(const struct pci_device *device, uint8_t id);

/* Sets or clears PCI_COMMAND_* bits; the others stay. */
void pci_enable(const struct pci_device *device, uint16_t bits);
void pci_disable(const struct pci_device *device, uint16_t bits);

/* Maps part of a memory BAR as device registers, for good.
 *   offset, bytes   inside the BAR, bytes > 0
 *   returns  ZX_OK; ZX_ERR_WRONG_TYPE: no memory BAR; ZX_ERR_OUT_OF_RANGE: not inside it;
 *            ZX_ERR_NO_RESOURCES: nobody placed the BAR; what memory_map_physical returns */
zx_status_t MUST_CHECK pci_map(const struct pci_device *device, uint8_t bar, uint64_t offset,
                               uint64_t bytes, void **va_out);

/* Where the function's INTx arrives.
 *
 * A pin is wired to a router in the chipset (PIIX3, ICH9), which firmware has programmed; the
 * wiring stands in AML only. But firmware also notes the ISA IRQ that comes of it in the
 * function's interrupt line register, for operating systems that look no further: SeaBIOS does
 * (under which QEMU's q35 and pc start a PVH image, too), and OVMF. That IRQ arrives at the I/O
 * APIC as the MADT's overrides say (level, active high on both). Monitors without firmware have
 * MSI-X only, and leave the register 0.
 *   line     out
 *   returns  ZX_OK; ZX_ERR_NOT_FOUND: it has no pin, or nobody noted a line */
zx_status_t MUST_CHECK pci_interrupt_line(const struct pci_device *device, struct irq_line *line);

/* ---- MSI-X ---- */

struct pci_msix {
        const struct pci_device *device;
        uint16_t control; /* offset of message control in configuration space */
        uint16_t count;   /* vectors, 1..2048 */
        uint8_t *table;   /* registers */
};

/* Maps the table, masks every entry and enables MSI-X with the function mask set; turns INTx off.
 *   returns  ZX_OK; ZX_ERR_NOT_FOUND: the device has no MSI-X; what pci_map returns */
zx_status_t MUST_CHECK pci_msix_open(const struct pci_device *device, struct pci_msix *msix);
/* Writes the message of one masked entry (0..count - 1) and reads it back.
 *   returns  ZX_OK; ZX_ERR_IO: it does not read back */
zx_status_t MUST_CHECK pci_msix_program(const struct pci_msix *msix, uint16_t index,
                                        const struct arch_msi_message *message);
void pci_msix_mask(const struct pci_msix *msix, uint16_t index);
void pci_msix_unmask(const struct pci_msix *msix, uint16_t index);
/* Lifts the function mask. */
void pci_msix_start(const struct pci_msix *msix);
/* Masks every entry and disables MSI-X; INTx stays off. */
void pci_msix_close(const struct pci_msix *msix);

#endif
