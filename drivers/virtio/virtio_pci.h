/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_pci — the transport of a modern virtio device on PCI: registers found through vendor
 * capabilities, interrupts by MSI-X (a vector for each queue, else one for all, else none).
 *
 * Owner       struct virtio_pci is the caller's and must not move while interrupts are open
 * Peer        capabilities are checked against the sized BARs before anything is mapped; registers
 *             that must hold what was written are read back
 * Context     as virtio_device.h; interrupts_mask() also in interrupts
 * Facts       Virtio 1.3, 4.1.2 (ids), 4.1.4 (capabilities), 4.1.4.3 (common configuration),
 *             4.1.5.1.2 (MSI-X vectors) */
#ifndef DRIVERS_VIRTIO_VIRTIO_PCI_H
#define DRIVERS_VIRTIO_VIRTIO_PCI_H

#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/compiler.h"
#include "base/status.h"
#include "drivers/pci/pci.h"
#include "drivers/virtio/virtio_transport.h"

/* One interrupt vector: which sources it stands for. */
struct virtio_pci_vector {
        struct virtio_pci *owner;
        uint32_t sources;
        struct arch_msi_message message;
};

/* Where the notification registers lie. */
struct virtio_pci_window {
        uint8_t bar;
        uint32_t offset, bytes;
};

struct virtio_pci {
        struct virtio_transport transport;
        const struct pci_device *pci;
        uint8_t *common;
        uint8_t *config; /* NULL when config_bytes is 0 */
        struct virtio_pci_window notify_window;
        uint32_t notify_multiplier;
        uint8_t *notify[VIRTIO_QUEUES_MAX]; /* of live queues */
        struct pci_msix msix;
        uint32_t vector_count; /* 0: no MSI-X */
        /* Configuration first, then queues. */
        struct virtio_pci_vector vectors[VIRTIO_QUEUES_MAX + 1];
        virtio_interrupt_fn handler;
        void *handler_context;
};

/* The virtio device type of a PCI function (1: net), 0 when it is no virtio device. */
uint16_t virtio_pci_device_type(const struct pci_device *pci);

/* "00:02.0". */
void virtio_pci_describe_place(const struct pci_device *pci, char place[VIRTIO_PLACE_BYTES]);

/* Finds and maps the registers; turns memory decoding and bus mastering on. Touches no virtio
 * register.
 *   returns  ZX_OK; ZX_ERR_NOT_SUPPORTED: a legacy-only device; ZX_ERR_IO_DATA_INTEGRITY: a modern
 *            one whose capabilities lead nowhere or contradict each other; or what mapping
 *            registers returned */
zx_status_t MUST_CHECK virtio_pci_open(struct virtio_pci *virtio, const struct pci_device *pci);

#endif
