/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* From PCI capabilities to mapped registers: the birth of a virtio_pci. Its life is in
 * virtio_pci_ops.c. Facts: Virtio 1.3, 4.1.2, 4.1.4. */
#include "drivers/virtio/virtio_pci.h"

#include <stdio.h>

#include "base/bytes.h"
#include "drivers/virtio/virtio_pci_registers.h"
#include "kernel/cmdline.h"

#define VENDOR_VIRTIO 0x1af4
#define DEVICE_MODERN_FIRST 0x1041
#define DEVICE_MODERN_LAST 0x107f
#define DEVICE_MODERN_BASE 0x1040
#define DEVICE_TRANSITIONAL_FIRST 0x1000
#define DEVICE_TRANSITIONAL_LAST 0x103f
#define DEVICE_TRANSITIONAL_NET 0x1000
#define DEVICE_TYPE_NET 1

/* A vendor capability. */
#define CAPABILITY_BYTES_MIN 16
#define CAPABILITY_NOTIFY_BYTES_MIN 20
#define CAPABILITY_LENGTH 2
#define CAPABILITY_TYPE 3
#define CAPABILITY_BAR 4
#define CAPABILITY_OFFSET 8
#define CAPABILITY_REGION_BYTES 12
#define CAPABILITY_MULTIPLIER 16
#define TYPE_COMMON 1
#define TYPE_NOTIFY 2
#define TYPE_ISR 3
#define TYPE_CONFIG 4
#define TYPE_WINDOW 5

#define CONFIG_BYTES_MAX 256 /* as much of the device configuration as is mapped */

static bool window_wanted;
CMDLINE_FLAG(window_wanted, "virtio.pci-window",
             "reach virtio registers through PCI configuration space, "
             "as if no BAR could be mapped");

/* What a capability says. */
struct region {
        uint8_t offset; /* of the capability in configuration space */
        uint8_t length; /* of the capability */
        struct virtio_pci_registers registers;
};

uint16_t virtio_pci_device_type(const struct pci_device *pci)
{
        if (pci->vendor_id != VENDOR_VIRTIO)
                return 0;
        if (pci->device_id >= DEVICE_MODERN_FIRST && pci->device_id <= DEVICE_MODERN_LAST)
                return pci->device_id - DEVICE_MODERN_BASE;
        if (pci->device_id == DEVICE_TRANSITIONAL_NET)
                return DEVICE_TYPE_NET;
        /* 4.1.2.1: a transitional one tells its type where a legacy driver looks for it. */
        return pci->device_id >= DEVICE_TRANSITIONAL_FIRST &&
                               pci->device_id <= DEVICE_TRANSITIONAL_LAST ? pci->subsystem_id : 0;
}

void virtio_pci_describe_place(const struct pci_device *pci, char place[VIRTIO_PLACE_BYTES])
{
        snprintf(place, VIRTIO_PLACE_BYTES, "%02x:%02x.%x", pci->bus, pci->device, pci->function);
}

/* Whether the registers lie inside their BAR, and it is memory that somebody placed; through the
 * window any BAR will do. */
static bool registers_usable(const struct virtio_pci *virtio,
                             const struct virtio_pci_registers *registers)
{
        if (registers->bar >= PCI_BARS_MAX || registers->bytes == 0)
                return false;
        const struct pci_bar *bar = &virtio->pci->bars[registers->bar];
        if (virtio->window == 0 && (bar->kind != PCI_BAR_MEMORY || bar->address == 0))
                return false;
        return bar->kind != PCI_BAR_NONE && registers->start <= bar->bytes &&
               registers->bytes <= bar->bytes - registers->start;
}

/* Reads one capability; false: it is none of that type. */
static bool read_region(const struct pci_device *pci, const struct pci_capability *capability,
                        uint8_t type, struct region *region)
{
        uint16_t at = capability->offset;
        if (capability->id != PCI_CAPABILITY_VENDOR || at + CAPABILITY_NOTIFY_BYTES_MIN > 256)
                return false;
        *region = (struct region){
                .offset = (uint8_t)at,
                .length = pci_read8(pci, at + CAPABILITY_LENGTH),
                .registers = {.bar = pci_read8(pci, at + CAPABILITY_BAR),
                              .start = pci_read32(pci, at + CAPABILITY_OFFSET),
                              .bytes = pci_read32(pci, at + CAPABILITY_REGION_BYTES)},
        };
        return region->length >= CAPABILITY_BYTES_MIN &&
               pci_read8(pci, at + CAPABILITY_TYPE) == type;
}

/* The first usable region of a type: they come in the device's order of preference (4.1.4). */
static bool find_region(const struct virtio_pci *virtio, uint8_t type, struct region *region)
{
        const struct pci_device *pci = virtio->pci;
        for (uint8_t i = 0; i < pci->capability_count; i++)
                if (read_region(pci, &pci->capabilities[i], type, region) &&
                    (type == TYPE_WINDOW ? region->length >= CAPABILITY_NOTIFY_BYTES_MIN :
                                           registers_usable(virtio, &region->registers)))
                        return true;
        return false;
}

/* Finds registers and makes the first `bytes` of them accessible, or all when there are fewer. */
static zx_status_t take_registers(const struct virtio_pci *virtio, uint8_t type, uint32_t bytes,
                                  struct virtio_pci_registers *out)
{
        struct region region;
        if (!find_region(virtio, type, &region))
                return ZX_ERR_NOT_FOUND;
        if (type != TYPE_ISR && !is_aligned(region.registers.start, sizeof(uint32_t)))
                return ZX_ERR_IO_DATA_INTEGRITY;
        out->bytes = (uint32_t)min_u64(region.registers.bytes, bytes);
        return virtio_pci_map(virtio, &region.registers, 0, out);
}

/* Notify registers are mapped a queue at a time, when the queue's place among them is known. */
static zx_status_t take_notify(struct virtio_pci *virtio)
{
        struct region region;
        if (!find_region(virtio, TYPE_NOTIFY, &region) ||
            region.length < CAPABILITY_NOTIFY_BYTES_MIN ||
            !is_aligned(region.registers.start, NOTIFY_BYTES))
                return ZX_ERR_IO_DATA_INTEGRITY;
        virtio->notify = region.registers;
        virtio->notify_multiplier = pci_read32(virtio->pci,
                                               (uint16_t)(region.offset + CAPABILITY_MULTIPLIER));
        return ZX_OK;
}

static zx_status_t take_all(struct virtio_pci *virtio)
{
        zx_status_t status = take_registers(virtio, TYPE_COMMON, COMMON_BYTES_WITH_RESET,
                                            &virtio->common);
        if (status == ZX_ERR_NOT_FOUND)
                return virtio->pci->device_id <= DEVICE_TRANSITIONAL_LAST
                               ? ZX_ERR_NOT_SUPPORTED : ZX_ERR_IO_DATA_INTEGRITY;
        if (status != ZX_OK)
                return status;
        if (virtio->common.bytes < COMMON_BYTES)
                return ZX_ERR_IO_DATA_INTEGRITY;
        virtio->transport.resets_queues = virtio->common.bytes >= COMMON_BYTES_WITH_RESET;
        status = take_notify(virtio);
        if (status != ZX_OK)
                return status;
        /* A device may have no configuration, and we can do without the ISR. */
        status = take_registers(virtio, TYPE_ISR, 1, &virtio->isr);
        if (status == ZX_OK || status == ZX_ERR_NOT_FOUND)
                status = take_registers(virtio, TYPE_CONFIG, CONFIG_BYTES_MAX, &virtio->config);
        virtio->transport.config_bytes = virtio->config.bytes;
        return status == ZX_ERR_NOT_FOUND || status == ZX_ERR_IO_DATA_INTEGRITY ? ZX_OK : status;
}

zx_status_t virtio_pci_open(struct virtio_pci *virtio, const struct pci_device *pci)
{
        struct region window;
        zx_status_t status = ZX_ERR_NO_RESOURCES;
        *virtio = (struct virtio_pci){
                .transport = {.ops = &virtio_pci_transport_ops,
                              .queue_lock = SPINLOCK_INIT("virtio queues"),
                              .device_type = virtio_pci_device_type(pci)},
                .pci = pci,
        };
        virtio_pci_describe_place(pci, virtio->transport.place);
        bool has_window = find_region(virtio, TYPE_WINDOW, &window);
        if (!window_wanted || !has_window)
                status = take_all(virtio);
        if (status != ZX_OK && has_window) {
                virtio->window = window.offset;
                status = take_all(virtio);
        }
        if (status == ZX_OK)
                pci_enable(pci, virtio->window != 0 ? PCI_COMMAND_BUS_MASTER :
                                                      PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
        return status;
}
