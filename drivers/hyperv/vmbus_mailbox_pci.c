/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* ivshmem: two BARs, two vectors. Facts: QEMU, docs/specs/ivshmem-spec.txt. */
#include "drivers/hyperv/vmbus_mailbox_pci.h"

#include "arch/io.h"
#include "kernel/memory.h"

#define VENDOR_ID 0x1af4
#define DEVICE_ID 0x1110
#define BAR_REGISTERS 0
#define BAR_PAGES 2
#define REGISTERS_BYTES 16
#define REGISTER_OWN_PEER 8
#define REGISTER_DOORBELL 12
#define DOORBELL_PEER_SHIFT 16

static void ring_doorbell(void *context, uint16_t peer, uint16_t vector)
{
        const struct vmbus_mailbox_pci *device = context;
        mmio_write32(device->registers + REGISTER_DOORBELL,
                     (uint32_t)peer << DOORBELL_PEER_SHIFT | vector);
}

static void on_message(void *context)
{
        vmbus_mailbox_interrupt(context, VMBUS_MAILBOX_VECTOR_MESSAGE);
}

static void on_event(void *context)
{
        vmbus_mailbox_interrupt(context, VMBUS_MAILBOX_VECTOR_EVENT);
}

/* The host reaches guest memory by file offset, so it must have mapped all of it. */
static bool host_sees_all_memory(uint64_t ram_bytes)
{
        for (uint32_t i = 0; i < kernel_pmm.arena_count; i++) {
                const struct pmm_arena *arena = &kernel_pmm.arenas[i];
                if (arena->pa + arena->page_count * PAGE_BYTES > ram_bytes)
                        return false;
        }
        return true;
}

static zx_status_t connect_vectors(struct vmbus_mailbox_pci *device)
{
        static const arch_irq_handler handlers[VMBUS_MAILBOX_VECTORS] = {
                [VMBUS_MAILBOX_VECTOR_MESSAGE] = on_message,
                [VMBUS_MAILBOX_VECTOR_EVENT] = on_event,
        };
        zx_status_t status = pci_msix_open(device->pci, &device->msix);
        if (status != ZX_OK)
                return status;
        uint16_t i = 0;
        status = device->msix.count < VMBUS_MAILBOX_VECTORS ? ZX_ERR_NOT_SUPPORTED : ZX_OK;
        for (; i < VMBUS_MAILBOX_VECTORS && status == ZX_OK; i++) {
                status = arch_irq_allocate_msi("vmbus", handlers[i], &device->mailbox,
                                               &device->messages[i]);
                if (status != ZX_OK)
                        break;
                status = pci_msix_program(&device->msix, i, &device->messages[i]);
        }
        if (status != ZX_OK) {
                pci_msix_close(&device->msix);
                while (i != 0)
                        arch_irq_free_msi(&device->messages[--i]);
                return status;
        }
        for (i = 0; i < VMBUS_MAILBOX_VECTORS; i++)
                pci_msix_unmask(&device->msix, i);
        pci_msix_start(&device->msix);
        return ZX_OK;
}

static zx_status_t open_one(struct vmbus_mailbox_pci *device, const struct vmbus_platform *platform)
{
        void *registers, *pages;
        zx_status_t status =
                pci_map(device->pci, BAR_PAGES, 0, sizeof(struct vmbus_mailbox), &pages);
        if (status == ZX_OK)
                status = pci_map(device->pci, BAR_REGISTERS, 0, REGISTERS_BYTES, &registers);
        if (status != ZX_OK)
                return status;
        pci_enable(device->pci, PCI_COMMAND_MEMORY | PCI_COMMAND_BUS_MASTER);
        device->registers = registers;
        /* The device says -1 until its server has given it a number. */
        int32_t own_peer = (int32_t)mmio_read32(device->registers + REGISTER_OWN_PEER);
        const struct vmbus_mailbox_config config = {.platform = platform,
                                                    .pages = pages,
                                                    .own_peer = (uint16_t)own_peer,
                                                    .doorbell = ring_doorbell,
                                                    .doorbell_context = device};
        status = vmbus_mailbox_transport_init(&device->mailbox, &config);
        if (status != ZX_OK)
                return status;
        if (own_peer < 0 || own_peer > (int32_t)UINT16_MAX)
                return ZX_ERR_UNAVAILABLE;
        if (!host_sees_all_memory(device->mailbox.ram_bytes))
                return ZX_ERR_OUT_OF_RANGE;
        return connect_vectors(device);
}

bool vmbus_mailbox_pci_matches(const struct pci_device *pci)
{
        return pci->vendor_id == VENDOR_ID && pci->device_id == DEVICE_ID &&
               pci_find_capability(pci, PCI_CAPABILITY_MSIX) != NULL;
}

zx_status_t vmbus_mailbox_pci_open(struct vmbus_mailbox_pci *device,
                                   const struct vmbus_platform *platform)
{
        zx_status_t status = ZX_ERR_NOT_FOUND;
        for (size_t i = 0; i < pci_device_count() && status == ZX_ERR_NOT_FOUND; i++) {
                device->pci = pci_device_at(i);
                if (vmbus_mailbox_pci_matches(device->pci))
                        status = open_one(device, platform);
        }
        return status;
}
