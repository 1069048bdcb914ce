/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_mmio — the transport of a virtio device whose registers simply lie somewhere in memory, as
 * QEMU's microvm and Firecracker have it: version 2 of the register layout, one interrupt line.
 *
 * To get such a device:  -M microvm -global virtio-mmio.force-legacy=false \
 *                        -netdev user,id=n0 -device virtio-net-device,netdev=n0
 *
 * Discovery   nothing can be enumerated. Devices are named by ACPI (kernel/acpi_aml.h), and by
 *             words of the command line in Linux's syntax:
 *                  virtio_mmio.device=SIZE@BASE:IRQ[:ID]       such as 4K@0xd0000000:5
 *             which QEMU's microvm without ACPI, and Firecracker, append by themselves. A place
 *             that both name is ACPI's. ID is read and means nothing here
 * Interrupts  one line for all queues and the configuration; the status register says which of the
 *             two, and what was seen is acknowledged before it is acted on. ACPI says how the line
 *             works; a line of the command line is taken for an edge, active high (or as the MADT
 *             overrides it): a hypervisor that pulses it (Firecracker) would lose interrupts
 *             otherwise, and one that holds it up until the acknowledgement (QEMU) loses none,
 *             because the status is read until it is zero (kernel/irq_line.h)
 * Queue reset where RING_RESET was accepted, the first queue that is made live is reset once, still
 *             empty, and made live again. QEMU (7.2) offers the feature on this transport and has
 *             no register for it: the queue stays ready, transport.resets_queues becomes false, and
 *             the driver negotiates again without the feature
 * Owner       struct virtio_mmio is the caller's and must not move while interrupts are open
 * Peer        what registers say is checked by virtio_device.h's callers; a queue that does not
 *             hold what was written is refused
 * Context     as virtio_device.h; interrupts_mask() also in interrupts
 * Facts       Virtio 1.3, 4.2; Linux's admin-guide/kernel-parameters for the word */
#ifndef DRIVERS_VIRTIO_VIRTIO_MMIO_H
#define DRIVERS_VIRTIO_VIRTIO_MMIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "drivers/virtio/virtio_transport.h"
#include "kernel/irq_line.h"

#define VIRTIO_MMIO_PLACES_MAX 32
#define VIRTIO_MMIO_CONFIG_OFFSET 0x100

/* Where a device is said to be. */
struct virtio_mmio_place {
        uint64_t pa;
        uint64_t bytes; /* more than VIRTIO_MMIO_CONFIG_OFFSET */
        struct irq_line line;
};

struct virtio_mmio {
        struct virtio_transport transport;
        uint8_t *registers;
        uint32_t version; /* as found; 0: there are no such registers */
        struct irq_line line;
        struct irq_line_user user;
        bool reset_accepted; /* RING_RESET, in this negotiation */
        bool reset_proven;   /* a queue was reset */
        uint32_t queue_sources; /* all queues that interrupts were opened for */
        virtio_interrupt_fn handler;
        void *handler_context;
};

/* Maps the registers and recognises them; changes nothing in the device.
 *   returns  ZX_OK; ZX_ERR_NOT_FOUND: an empty slot (device type 0); ZX_ERR_NOT_SUPPORTED:
 *            registers of another version than 2, virtio->version says which (1: legacy);
 *            ZX_ERR_IO_DATA_INTEGRITY: no virtio registers; or what mapping registers returned */
zx_status_t MUST_CHECK virtio_mmio_open(struct virtio_mmio *virtio,
                                        const struct virtio_mmio_place *place);

/* The places that were named, ACPI's first; constant once drivers start. */
size_t virtio_mmio_place_count(void);
struct virtio_mmio_place virtio_mmio_place_at(size_t index);

/* Takes one value of the word; private but for tests. What cmdline_take_fn says. */
const char *virtio_mmio_take_place(const char *value, size_t length);

#endif
