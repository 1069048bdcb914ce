/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_pci — the transport of a modern virtio device on PCI: registers found through vendor
 * capabilities, interrupts by MSI-X (a vector for each queue, else one for all), else by the
 * function's line, which it may share (pci_interrupt_line), else none.
 *
 * Window      registers in a BAR that nobody placed, or that cannot be mapped, are reached through
 *             configuration space, four bytes at a time (4.1.4.9): slow, but any device works so.
 *             Also on request: the word virtio.pci-window. The device's memory is not decoded then,
 *             so that there is no MSI-X either
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

/* Registers in a BAR. */
struct virtio_pci_registers {
        uint8_t *va; /* NULL: not mapped, through the window */
        uint8_t bar;
        uint32_t start, bytes; /* 0 bytes: there are none */
};

struct virtio_pci {
        struct virtio_transport transport;
        const struct pci_device *pci;
        uint8_t window; /* offset of its capability; 0: registers are mapped */
        struct virtio_pci_registers common, config, isr;
        struct virtio_pci_registers notify; /* never mapped as a whole */
        uint32_t notify_multiplier;
        struct virtio_pci_registers queue_notify[VIRTIO_QUEUES_MAX + 1]; /* of live queues; the last
                                                       one: of the queue with a higher number */
        struct pci_msix msix;
        struct irq_line_user line_user;
        uint32_t queue_sources; /* of the line */
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

/* Finds and maps the registers; turns bus mastering on, and memory decoding where they are mapped.
 * Touches no virtio register.
 *   returns  ZX_OK; ZX_ERR_NOT_SUPPORTED: a legacy-only device; ZX_ERR_IO_DATA_INTEGRITY: a modern
 *            one whose capabilities lead nowhere or contradict each other; or what mapping
 *            registers returned */
zx_status_t MUST_CHECK virtio_pci_open(struct virtio_pci *virtio, const struct pci_device *pci);

#endif
