/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_mailbox_pci — finds the PCI device whose shared pages carry VMBus under plain QEMU
 * (ivshmem-doorbell, 1af4:1110 with MSI-X), and connects its doorbells.
 *
 *   BAR 0   registers: own number at 8, doorbell at 12 (peer << 16 | vector)
 *   BAR 2   the shared pages
 *   MSI-X   one vector for messages, one for the events of each CPU, aimed at it: as many CPUs as
 *           the device has vectors for, VMBUS_MAILBOX_VPS at most
 *
 * Context     boot CPU, thread
 * Facts       QEMU, docs/specs/ivshmem-spec.txt; lib/vmbus_mailbox/vmbus_mailbox.h */
#ifndef DRIVERS_HYPERV_VMBUS_MAILBOX_PCI_H
#define DRIVERS_HYPERV_VMBUS_MAILBOX_PCI_H

#include "arch/arch.h"
#include "drivers/hyperv/vmbus_mailbox_transport.h"
#include "drivers/pci/pci.h"

struct vmbus_mailbox_pci {
        struct vmbus_mailbox_transport mailbox;
        const struct pci_device *pci;
        uint8_t *registers;
        struct pci_msix msix;
        struct vmbus_mailbox_vector {
                struct vmbus_mailbox_transport *mailbox;
                uint16_t number;
                struct arch_msi_message message;
        } vectors[VMBUS_MAILBOX_VECTORS];
};

/* Whether it is an ivshmem device with doorbells; it may be somebody else's. */
bool vmbus_mailbox_pci_matches(const struct pci_device *pci);

/* Takes the first such device whose pages have the right magic.
 *   returns  ZX_OK; ZX_ERR_NOT_FOUND: none; ZX_ERR_UNAVAILABLE: its host is not ready, or gave this
 *            guest no number; ZX_ERR_OUT_OF_RANGE: the host has not mapped all of this guest's
 *            memory; what PCI and vmbus_mailbox_transport_init return */
zx_status_t MUST_CHECK vmbus_mailbox_pci_open(struct vmbus_mailbox_pci *device,
                                              const struct vmbus_platform *platform);

#endif
