/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* ivshmem: two BARs, a vector for messages and one for the events of each CPU. Facts: QEMU,
 * docs/specs/ivshmem-spec.txt. */
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

static void on_doorbell(void *context)
{
        const struct vmbus_mailbox_vector *vector = context;
        vmbus_mailbox_interrupt(vector->mailbox, vector->number);
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

/* Gives vector `number` of the device to the boot CPU, or an event vector to the CPU of that VP. */
static zx_status_t connect_vector(struct vmbus_mailbox_pci *device, uint16_t number)
{
        struct vmbus_mailbox_vector *vector = &device->vectors[number];
        *vector = (struct vmbus_mailbox_vector){.mailbox = &device->mailbox, .number = number};
        zx_status_t status = arch_irq_allocate_msi("vmbus", on_doorbell, vector, &vector->message);
        if (status != ZX_OK)
                return status;
        if (number > VMBUS_MAILBOX_VECTOR_EVENT)
                status = arch_irq_aim_msi(&vector->message, number - VMBUS_MAILBOX_VECTOR_EVENT);
        if (status == ZX_OK)
                status = pci_msix_program(&device->msix, number, &vector->message);
        if (status != ZX_OK)
                arch_irq_free_msi(&vector->message);
        return status;
}

/* The first two vectors must be there; CPUs for which there is none get no events. */
static zx_status_t connect_vectors(struct vmbus_mailbox_pci *device)
{
        const uint16_t least = VMBUS_MAILBOX_VECTOR_EVENT + 1;
        uint16_t wanted = (uint16_t)(VMBUS_MAILBOX_VECTOR_EVENT + device->mailbox.vp_count);
        uint16_t count = 0;
        zx_status_t status = pci_msix_open(device->pci, &device->msix);
        if (status != ZX_OK)
                return status;
        if (device->msix.count < wanted)
                wanted = device->msix.count;
        while (count < wanted && status == ZX_OK) {
                status = connect_vector(device, count);
                count += status == ZX_OK;
        }
        if (count < least) {
                pci_msix_close(&device->msix);
                while (count != 0)
                        arch_irq_free_msi(&device->vectors[--count].message);
                return status != ZX_OK ? status : ZX_ERR_NOT_SUPPORTED;
        }
        device->mailbox.vp_count = count - VMBUS_MAILBOX_VECTOR_EVENT;
        for (uint16_t i = 0; i < count; i++)
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
