/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Finds every PCI function by following bridges from the first bus, and lists them for `cmd=pci`.
 * Facts: PCI Local Bus 3.0, 6.1; PCI-to-PCI Bridge 1.2, 3.2.5. */
#include "drivers/pci/pci.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "drivers/pci/pci_config.h"
#include "kernel/command.h"
#include "kernel/driver.h"
#include "kernel/log.h"

#define DEVICES_PER_BUS 32
#define FUNCTIONS_PER_DEVICE 8

static struct pci_device devices[PCI_DEVICES_MAX];
static size_t device_count;
static size_t device_overflow; /* functions found for which there was no room */

/* Buses to be looked at, each at most once: a bridge that points back cannot make a loop. */
static struct {
        uint8_t queue[PCI_BUSES_MAX];
        size_t count;
        uint64_t queued[PCI_BUSES_MAX / 64];
} buses;

size_t pci_device_count(void)
{
        return device_count;
}

const struct pci_device *pci_device_at(size_t index)
{
        ASSERT(index < device_count);
        return &devices[index];
}

static void queue_bus(uint8_t bus)
{
        if (buses.queued[bus / 64] & BIT_MASK(bus % 64))
                return;
        buses.queued[bus / 64] |= BIT_MASK(bus % 64);
        buses.queue[buses.count++] = bus;
}

/* Notes a function that was found; bridges add their bus to the queue. */
static void take_function(const struct pci_device *found)
{
        if (found->bridge && found->secondary_bus != 0)
                queue_bus(found->secondary_bus);
        else if (found->bridge)
                log_line("pci: nobody numbered the bus behind bridge %02x:%02x.%x; skipped",
                         found->bus, found->device, found->function);
        if (found->capabilities_broken)
                log_line("pci: %02x:%02x.%x has a broken capability list; read up to the break",
                         found->bus, found->device, found->function);
        if (device_count == PCI_DEVICES_MAX) {
                device_overflow++;
                return;
        }
        devices[device_count++] = *found;
}

static void scan_bus(const struct pci_config_ops *config, uint8_t bus)
{
        static struct pci_device found; /* too large for the stack */
        for (uint8_t device = 0; device < DEVICES_PER_BUS; device++) {
                uint8_t functions = 1;
                for (uint8_t function = 0; function < functions; function++) {
                        found = (struct pci_device){.config = config,
                                                    .bus = bus,
                                                    .device = device,
                                                    .function = function};
                        zx_status_t status = pci_probe(&found);
                        if (function == 0 && status != ZX_ERR_NOT_FOUND && found.multi_function)
                                functions = FUNCTIONS_PER_DEVICE;
                        if (status == ZX_OK)
                                take_function(&found);
                }
        }
}

static zx_status_t pci_start(void)
{
        uint8_t first_bus;
        const struct pci_config_ops *config = pci_config_init(&first_bus);
        if (config == NULL)
                return ZX_ERR_NOT_FOUND;
        queue_bus(first_bus);
        for (size_t i = 0; i < buses.count; i++) {
                zx_status_t status = pci_config_open_bus(buses.queue[i]);
                if (status == ZX_OK)
                        scan_bus(config, buses.queue[i]);
                else
                        log_line("pci: bus %02x cannot be reached by %s: %s", buses.queue[i],
                                 config->name, zx_status_name(status));
        }
        log_line("pci: %zu functions on %zu buses, by %s", device_count, buses.count, config->name);
        if (device_overflow != 0)
                log_line("pci: %zu more functions were left out: the table has %u", device_overflow,
                         PCI_DEVICES_MAX);
        return ZX_OK;
}

DRIVER(pci_driver, "pci", DRIVER_PHASE_BUS, pci_start, NULL);

/* ---- cmd=pci ---- */

static void print_bar(uint8_t index, const struct pci_bar *bar)
{
        if (bar->kind == PCI_BAR_NONE)
                return;
        log_line("pci:     BAR%u %s 0x%llx, 0x%llx bytes%s%s%s", index,
                 bar->kind == PCI_BAR_PORT ? "ports" : "memory", (unsigned long long)bar->address,
                 (unsigned long long)bar->bytes, bar->wide ? ", 64-bit" : "",
                 bar->prefetchable ? ", prefetchable" : "",
                 bar->address == 0 ? ", not placed" : "");
}

static void pci_print(void)
{
        for (size_t i = 0; i < device_count; i++) {
                const struct pci_device *device = &devices[i];
                log_line("pci: %02x:%02x.%x %04x:%04x revision %02x class %06x", device->bus,
                         device->device, device->function, device->vendor_id, device->device_id,
                         device->revision, (unsigned)device->class_code);
                if (device->bridge)
                        log_line("pci:     bridge to bus %02x", device->secondary_bus);
                for (uint8_t bar = 0; bar < PCI_BARS_MAX; bar++)
                        print_bar(bar, &device->bars[bar]);
                for (uint8_t c = 0; c < device->capability_count; c++)
                        log_line("pci:     capability %02x at 0x%02x", device->capabilities[c].id,
                                 device->capabilities[c].offset);
        }
        if (device_count == 0)
                log_line("pci: no PCI functions");
}

COMMAND(pci_command, "pci", "lists the PCI functions with their BARs and capabilities", pci_print);
