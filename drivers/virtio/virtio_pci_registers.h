/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_pci_registers — the common configuration structure, and access to registers wherever they
 * are (virtio_pci_access.c); private to virtio_pci*.c.
 * Each field is accessed in its own width, 64-bit ones as two halves.
 * Facts: Virtio 1.3, 4.1.4.3. */
#ifndef DRIVERS_VIRTIO_VIRTIO_PCI_REGISTERS_H
#define DRIVERS_VIRTIO_VIRTIO_PCI_REGISTERS_H

#include "drivers/virtio/virtio_pci.h"
#include "drivers/virtio/virtio_transport.h"

#define COMMON_DEVICE_FEATURE_SELECT 0x00 /* 4 bytes, RW */
#define COMMON_DEVICE_FEATURE 0x04        /* 4, R */
#define COMMON_DRIVER_FEATURE_SELECT 0x08 /* 4, RW */
#define COMMON_DRIVER_FEATURE 0x0c        /* 4, RW */
#define COMMON_CONFIG_VECTOR 0x10         /* 2, RW */
#define COMMON_QUEUE_COUNT 0x12           /* 2, R */
#define COMMON_STATUS 0x14                /* 1, RW */
#define COMMON_GENERATION 0x15            /* 1, R */
#define COMMON_QUEUE_SELECT 0x16          /* 2, RW: selects those below */
#define COMMON_QUEUE_SIZE 0x18            /* 2, RW */
#define COMMON_QUEUE_VECTOR 0x1a          /* 2, RW */
#define COMMON_QUEUE_ENABLE 0x1c          /* 2, RW: 1 only */
#define COMMON_QUEUE_NOTIFY_OFFSET 0x1e   /* 2, R: times the multiplier */
#define COMMON_QUEUE_DESCRIPTORS 0x20     /* 8, RW */
#define COMMON_QUEUE_DRIVER 0x28          /* 8, RW */
#define COMMON_QUEUE_DEVICE 0x30          /* 8, RW */
#define COMMON_BYTES 0x38
#define COMMON_QUEUE_RESET 0x3a           /* 2, RW: 1 only; exists with RING_RESET */
#define COMMON_BYTES_WITH_RESET 0x3c

#define NO_VECTOR 0xffff
#define NOTIFY_BYTES 2u

/* One register: `bytes` is 1, 2 or 4, `offset` a multiple of it, together inside the registers. Any
 * context but NMI. */
uint32_t virtio_pci_read(const struct virtio_pci *virtio,
                         const struct virtio_pci_registers *registers, uint32_t offset,
                         uint8_t bytes);
void virtio_pci_write(const struct virtio_pci *virtio,
                      const struct virtio_pci_registers *registers, uint32_t offset,
                      uint8_t bytes, uint32_t value);
/* Makes part of `whole` accessible: maps it, or leaves it to the window. What pci_map returns. */
zx_status_t MUST_CHECK virtio_pci_map(const struct virtio_pci *virtio,
                                      const struct virtio_pci_registers *whole, uint32_t offset,
                                      struct virtio_pci_registers *part);

extern const struct virtio_transport_ops virtio_pci_transport_ops;

#endif
