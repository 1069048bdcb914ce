/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* From PCI capabilities to mapped registers: the birth of a virtio_pci. Its life is in
 * virtio_pci_ops.c. Facts: Virtio 1.3, 4.1.2, 4.1.4. */
#include "drivers/virtio/virtio_pci.h"

#include <stdio.h>

#include "base/bytes.h"
#include "drivers/virtio/virtio_pci_registers.h"

#define VENDOR_VIRTIO 0x1af4
#define DEVICE_MODERN_FIRST 0x1041
#define DEVICE_MODERN_LAST 0x107f
#define DEVICE_MODERN_BASE 0x1040
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
#define TYPE_CONFIG 4

#define CONFIG_BYTES_MAX 256 /* as much of the device configuration as is mapped */

struct region {
        uint8_t offset; /* of the capability in configuration space */
        uint8_t length; /* of the capability */
        uint8_t bar;
        uint32_t start, bytes;
};

uint16_t virtio_pci_device_type(const struct pci_device *pci)
{
        if (pci->vendor_id != VENDOR_VIRTIO)
                return 0;
        if (pci->device_id >= DEVICE_MODERN_FIRST && pci->device_id <= DEVICE_MODERN_LAST)
                return pci->device_id - DEVICE_MODERN_BASE;
        return pci->device_id == DEVICE_TRANSITIONAL_NET ? DEVICE_TYPE_NET : 0;
}

void virtio_pci_describe_place(const struct pci_device *pci, char place[VIRTIO_PLACE_BYTES])
{
        snprintf(place, VIRTIO_PLACE_BYTES, "%02x:%02x.%x", pci->bus, pci->device, pci->function);
}

/* Whether the region lies inside its BAR, and the BAR is memory that somebody placed. */
static bool region_usable(const struct pci_device *pci, const struct region *region)
{
        if (region->bar >= PCI_BARS_MAX)
                return false;
        const struct pci_bar *bar = &pci->bars[region->bar];
        return bar->kind == PCI_BAR_MEMORY && bar->address != 0 && region->bytes != 0 &&
               region->start <= bar->bytes && region->bytes <= bar->bytes - region->start;
}

/* The first usable region of a type: they come in the device's order of preference (4.1.4). */
static bool find_region(const struct pci_device *pci, uint8_t type, struct region *region)
{
        for (uint8_t i = 0; i < pci->capability_count; i++) {
                uint16_t at = pci->capabilities[i].offset;
                if (pci->capabilities[i].id != PCI_CAPABILITY_VENDOR ||
                    at + CAPABILITY_NOTIFY_BYTES_MIN > 256)
                        continue;
                uint8_t length = pci_read8(pci, at + CAPABILITY_LENGTH);
                if (length < CAPABILITY_BYTES_MIN || pci_read8(pci, at + CAPABILITY_TYPE) != type)
                        continue;
                *region = (struct region){
                        .offset = (uint8_t)at,
                        .length = length,
                        .bar = pci_read8(pci, at + CAPABILITY_BAR),
                        .start = pci_read32(pci, at + CAPABILITY_OFFSET),
                        .bytes = pci_read32(pci, at + CAPABILITY_REGION_BYTES),
                };
                if (region_usable(pci, region))
                        return true;
        }
        return false;
}

static zx_status_t map_region(const struct pci_device *pci, const struct region *region,
                              uint32_t bytes, uint8_t **va_out)
{
        void *va;
        zx_status_t status = pci_map(pci, region->bar, region->start, bytes, &va);
        if (status == ZX_OK)
                *va_out = va;
        return status;
}

/* Notify registers are mapped a queue at a time, when the queue's place in the window is known. */
static zx_status_t take_notify_window(struct virtio_pci *virtio, const struct region *region)
{
        if (region->length < CAPABILITY_NOTIFY_BYTES_MIN ||
            !is_aligned(region->start, NOTIFY_BYTES))
                return ZX_ERR_IO_DATA_INTEGRITY;
        virtio->notify_window = (struct virtio_pci_window){
                .bar = region->bar, .offset = region->start, .bytes = region->bytes};
        virtio->notify_multiplier = pci_read32(virtio->pci,
                                               (uint16_t)(region->offset + CAPABILITY_MULTIPLIER));
        return ZX_OK;
}

static zx_status_t map_registers(struct virtio_pci *virtio)
{
        const struct pci_device *pci = virtio->pci;
        struct region common, notify, config;
        if (!find_region(pci, TYPE_COMMON, &common))
                return pci->device_id == DEVICE_TRANSITIONAL_NET ? ZX_ERR_NOT_SUPPORTED :
                                                                   ZX_ERR_IO_DATA_INTEGRITY;
        if (!find_region(pci, TYPE_NOTIFY, &notify) || common.bytes < COMMON_BYTES ||
            !is_aligned(common.start, sizeof(uint32_t)))
                return ZX_ERR_IO_DATA_INTEGRITY;
        zx_status_t status = take_notify_window(virtio, &notify);
        if (status != ZX_OK)
                return status;
        if (find_region(pci, TYPE_CONFIG, &config) && is_aligned(config.start, sizeof(uint32_t))) {
                uint32_t bytes = (uint32_t)min_u64(config.bytes, CONFIG_BYTES_MAX);
                status = map_region(pci, &config, bytes, &virtio->config);
                if (status != ZX_OK)
                        return status;
                virtio->transport.config_bytes = bytes;
        }
        virtio->transport.resets_queues = common.bytes >= COMMON_BYTES_WITH_RESET;
        return map_region(pci, &common,
                          virtio->transport.resets_queues ? COMMON_BYTES_WITH_RESET : COMMON_BYTES,
                          &virtio->common);
}

zx_status_t virtio_pci_open(struct virtio_pci *virtio, const struct pci_device *pci)
{
        *virtio = (struct virtio_pci){
                .transport = {.ops = &virtio_pci_transport_ops,
                              .device_type = virtio_pci_device_type(pci)},
                .pci = pci,
        };
        virtio_pci_describe_place(pci, virtio->transport.place);
        zx_status_t status = map_registers(virtio);
        if (status == ZX_OK)
                pci_enable(pci, PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
        return status;
}
