/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Access to a device's registers: mapped, or through the window in configuration space.
 * Facts: Virtio 1.3, 4.1.4.9. */
#include "drivers/virtio/virtio_pci_registers.h"

#include "arch/io.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/cpu.h"

/* In the window's capability. */
#define WINDOW_BAR 4
#define WINDOW_OFFSET 8
#define WINDOW_LENGTH 12
#define WINDOW_DATA 16

/* What the window shows is said in three registers before it is used. */
static struct spinlock window_lock = SPINLOCK_INIT("virtio window");

static void aim_window(const struct virtio_pci *virtio,
                       const struct virtio_pci_registers *registers, uint32_t offset, uint8_t bytes)
{
        const struct pci_device *pci = virtio->pci;
        pci->config->write(pci, virtio->window + WINDOW_BAR, 1, registers->bar);
        pci->config->write(pci, virtio->window + WINDOW_OFFSET, 4, registers->start + offset);
        pci->config->write(pci, virtio->window + WINDOW_LENGTH, 4, bytes);
}

uint32_t virtio_pci_read(const struct virtio_pci *virtio,
                         const struct virtio_pci_registers *registers, uint32_t offset,
                         uint8_t bytes)
{
        ASSERT(offset + bytes <= registers->bytes && is_aligned(offset, bytes));
        if (registers->va != NULL) {
                const uint8_t *at = registers->va + offset;
                return bytes == 1 ? mmio_read8(at) : bytes == 2 ? mmio_read16(at) : mmio_read32(at);
        }
        bool enabled = cpu_lock_irq_save(&window_lock);
        aim_window(virtio, registers, offset, bytes);
        uint32_t value =
                virtio->pci->config->read(virtio->pci, virtio->window + WINDOW_DATA, bytes);
        cpu_unlock_irq_restore(&window_lock, enabled);
        return value;
}

void virtio_pci_write(const struct virtio_pci *virtio,
                      const struct virtio_pci_registers *registers, uint32_t offset,
                      uint8_t bytes, uint32_t value)
{
        ASSERT(offset + bytes <= registers->bytes && is_aligned(offset, bytes));
        if (registers->va == NULL) {
                bool enabled = cpu_lock_irq_save(&window_lock);
                aim_window(virtio, registers, offset, bytes);
                virtio->pci->config->write(virtio->pci, virtio->window + WINDOW_DATA, bytes, value);
                cpu_unlock_irq_restore(&window_lock, enabled);
                return;
        }
        uint8_t *at = registers->va + offset;
        if (bytes == 1) {
                mmio_write8(at, (uint8_t)value);
        } else if (bytes == 2) {
                mmio_write16(at, (uint16_t)value);
        } else {
                mmio_write32(at, value);
        }
}

zx_status_t virtio_pci_map(const struct virtio_pci *virtio,
                           const struct virtio_pci_registers *whole, uint32_t offset,
                           struct virtio_pci_registers *part)
{
        void *va = NULL;
        ASSERT(offset + part->bytes <= whole->bytes);
        if (virtio->window == 0) {
                zx_status_t status = pci_map(virtio->pci, whole->bar,
                                             whole->start + (uint64_t)offset, part->bytes, &va);
                if (status != ZX_OK)
                        return status;
        }
        *part = (struct virtio_pci_registers){
                .va = va, .bar = whole->bar, .start = whole->start + offset, .bytes = part->bytes};
        return ZX_OK;
}
