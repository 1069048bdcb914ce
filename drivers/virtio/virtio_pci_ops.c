/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The transport's operations on PCI. Facts: Virtio 1.3, 4.1.4.3 (registers), 4.1.4.4
 * (notification), 4.1.5.1.2 (vectors), 4.1.5.1.3 (queues). */
#include "drivers/virtio/virtio_pci.h"

#include "arch/io.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "drivers/virtio/virtio_device.h"
#include "drivers/virtio/virtio_pci_registers.h"
#include "kernel/time.h"

#define POLL_PAUSE_NS (10 * NS_PER_US)

static struct virtio_pci *from(struct virtio_transport *transport)
{
        return CONTAINER_OF(transport, struct virtio_pci, transport);
}

static uint8_t *common(struct virtio_transport *transport)
{
        return from(transport)->common;
}

/* ---- status, features, configuration ---- */

static uint8_t read_status(struct virtio_transport *transport)
{
        return mmio_read8(common(transport) + COMMON_STATUS);
}

static void set_status(struct virtio_transport *transport, uint8_t status)
{
        mmio_write8(common(transport) + COMMON_STATUS, status);
}

static uint32_t offered_features(struct virtio_transport *transport, uint32_t bank)
{
        mmio_write32(common(transport) + COMMON_DEVICE_FEATURE_SELECT, bank);
        return mmio_read32(common(transport) + COMMON_DEVICE_FEATURE);
}

static void accept_features(struct virtio_transport *transport, uint32_t bank, uint32_t bits)
{
        mmio_write32(common(transport) + COMMON_DRIVER_FEATURE_SELECT, bank);
        mmio_write32(common(transport) + COMMON_DRIVER_FEATURE, bits);
}

static uint32_t config_generation(struct virtio_transport *transport)
{
        return mmio_read8(common(transport) + COMMON_GENERATION);
}

static uint32_t config_read(struct virtio_transport *transport, uint32_t offset, uint8_t bytes)
{
        ASSERT(offset + bytes <= transport->config_bytes && offset % bytes == 0);
        const uint8_t *at = from(transport)->config + offset;
        return bytes == 1 ? mmio_read8(at) : bytes == 2 ? mmio_read16(at) : mmio_read32(at);
}

/* ---- queues ---- */

static uint16_t queue_count(struct virtio_transport *transport)
{
        return mmio_read16(common(transport) + COMMON_QUEUE_COUNT);
}

static void select_queue(struct virtio_transport *transport, uint16_t queue)
{
        mmio_write16(common(transport) + COMMON_QUEUE_SELECT, queue);
}

static uint32_t queue_size_max(struct virtio_transport *transport, uint16_t queue)
{
        select_queue(transport, queue);
        return mmio_read16(common(transport) + COMMON_QUEUE_SIZE);
}

static void write_address(struct virtio_transport *transport, uint32_t field, uint64_t dev)
{
        mmio_write32(common(transport) + field, (uint32_t)dev);
        mmio_write32(common(transport) + field + 4, (uint32_t)(dev >> 32));
}

/* Writes a vector register and looks whether the device took it. */
static bool write_vector(struct virtio_transport *transport, uint32_t field, uint16_t vector)
{
        mmio_write16(common(transport) + field, vector);
        return mmio_read16(common(transport) + field) == vector;
}

/* Gives the selected queue the vector of its own, else the one of the configuration (which then
 * stands for the queue as well), else none. */
static void program_queue_vector(struct virtio_pci *virtio, uint16_t queue)
{
        struct virtio_transport *transport = &virtio->transport;
        uint16_t own = virtio->vector_count > queue + 1u ? queue + 1 : 0;
        if (virtio->vector_count == 0) {
                write_vector(transport, COMMON_QUEUE_VECTOR, NO_VECTOR);
                return;
        }
        if (own != 0 && write_vector(transport, COMMON_QUEUE_VECTOR, own))
                return;
        virtio->vectors[0].sources |= VIRTIO_SOURCE_QUEUE(queue);
        transport->interrupt_mode = VIRTIO_INTERRUPTS_SHARED;
        if (!write_vector(transport, COMMON_QUEUE_VECTOR, 0)) {
                write_vector(transport, COMMON_QUEUE_VECTOR, NO_VECTOR);
                transport->interrupt_mode = VIRTIO_INTERRUPTS_NONE;
        }
}

/* Maps the notification register of the selected queue; it must lie in the window. */
static zx_status_t map_notify(struct virtio_pci *virtio, uint16_t queue)
{
        const struct virtio_pci_window *window = &virtio->notify_window;
        uint64_t offset = (uint64_t)mmio_read16(virtio->common + COMMON_QUEUE_NOTIFY_OFFSET) *
                          virtio->notify_multiplier;
        if (offset + NOTIFY_BYTES > window->bytes || !is_aligned(offset, NOTIFY_BYTES))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (virtio->notify[queue] != NULL)
                return ZX_OK; /* from the time before a reset; mappings stay */
        void *va;
        zx_status_t status =
                pci_map(virtio->pci, window->bar, window->offset + offset, NOTIFY_BYTES, &va);
        if (status == ZX_OK)
                virtio->notify[queue] = va;
        return status;
}

static zx_status_t queue_enable(struct virtio_transport *transport, uint16_t queue,
                                const struct virtio_queue_setup *setup)
{
        struct virtio_pci *virtio = from(transport);
        uint8_t *registers = virtio->common;
        select_queue(transport, queue);
        if (mmio_read16(registers + COMMON_QUEUE_ENABLE) != 0)
                return ZX_ERR_BAD_STATE;
        zx_status_t status = map_notify(virtio, queue);
        if (status != ZX_OK)
                return status;
        mmio_write16(registers + COMMON_QUEUE_SIZE, (uint16_t)setup->size);
        if (mmio_read16(registers + COMMON_QUEUE_SIZE) != setup->size)
                return ZX_ERR_IO;
        write_address(transport, COMMON_QUEUE_DESCRIPTORS, setup->descriptors_dev);
        write_address(transport, COMMON_QUEUE_DRIVER, setup->driver_dev);
        write_address(transport, COMMON_QUEUE_DEVICE, setup->device_dev);
        if (setup->no_interrupt)
                write_vector(transport, COMMON_QUEUE_VECTOR, NO_VECTOR);
        else
                program_queue_vector(virtio, queue);
        mmio_write16(registers + COMMON_QUEUE_ENABLE, 1);
        return mmio_read16(registers + COMMON_QUEUE_ENABLE) == 1 ? ZX_OK : ZX_ERR_IO;
}

static zx_status_t queue_reset(struct virtio_transport *transport, uint16_t queue)
{
        uint8_t *registers = common(transport);
        uint64_t start_ns = time_ns();
        select_queue(transport, queue);
        mmio_write16(registers + COMMON_QUEUE_RESET, 1);
        while (mmio_read16(registers + COMMON_QUEUE_RESET) != 0) {
                if (time_ns() - start_ns >= VIRTIO_RESET_LIMIT_NS)
                        return ZX_ERR_TIMED_OUT;
                time_sleep(POLL_PAUSE_NS);
        }
        return mmio_read16(registers + COMMON_QUEUE_ENABLE) == 0 ? ZX_OK : ZX_ERR_IO;
}

static void notify(struct virtio_transport *transport, uint16_t queue)
{
        /* An uncached store is ordered after all earlier stores: arch/io.h. */
        mmio_write16(from(transport)->notify[queue], queue);
}

/* ---- interrupts ---- */

static void on_interrupt(void *context)
{
        const struct virtio_pci_vector *vector = context;
        vector->owner->handler(vector->owner->handler_context, vector->sources);
}

/* Opens one more vector for `sources`; false: machine or device have no more. */
static bool open_vector(struct virtio_pci *virtio, uint32_t sources)
{
        uint16_t index = (uint16_t)virtio->vector_count;
        struct virtio_pci_vector *vector = &virtio->vectors[index];
        if (index >= virtio->msix.count)
                return false;
        *vector = (struct virtio_pci_vector){.owner = virtio, .sources = sources};
        if (arch_irq_allocate_msi("virtio", on_interrupt, vector, &vector->message) != ZX_OK)
                return false;
        if (pci_msix_program(&virtio->msix, index, &vector->message) != ZX_OK) {
                arch_irq_free_msi(&vector->message);
                return false;
        }
        virtio->vector_count++;
        return true;
}

static void interrupts_close(struct virtio_transport *transport)
{
        struct virtio_pci *virtio = from(transport);
        if (virtio->msix.device != NULL)
                pci_msix_close(&virtio->msix);
        while (virtio->vector_count != 0)
                arch_irq_free_msi(&virtio->vectors[--virtio->vector_count].message);
        virtio->msix.device = NULL;
        transport->interrupt_mode = VIRTIO_INTERRUPTS_NONE;
}

static enum virtio_interrupt_mode interrupts_open(struct virtio_transport *transport,
                                                  uint16_t queues, virtio_interrupt_fn handler,
                                                  void *context)
{
        struct virtio_pci *virtio = from(transport);
        ASSERT(queues <= VIRTIO_QUEUES_MAX && virtio->vector_count == 0);
        virtio->handler = handler;
        virtio->handler_context = context;
        transport->interrupt_mode = VIRTIO_INTERRUPTS_NONE;
        if (pci_msix_open(virtio->pci, &virtio->msix) != ZX_OK) {
                virtio->msix.device = NULL;
                return VIRTIO_INTERRUPTS_NONE;
        }
        if (open_vector(virtio, VIRTIO_SOURCE_CONFIG) &&
            write_vector(transport, COMMON_CONFIG_VECTOR, 0)) {
                transport->interrupt_mode = VIRTIO_INTERRUPTS_PER_QUEUE;
                for (uint16_t queue = 0; queue < queues; queue++)
                        if (!open_vector(virtio, VIRTIO_SOURCE_QUEUE(queue)))
                                transport->interrupt_mode = VIRTIO_INTERRUPTS_SHARED;
        } else {
                interrupts_close(transport);
        }
        return transport->interrupt_mode;
}

static void interrupts_start(struct virtio_transport *transport)
{
        struct virtio_pci *virtio = from(transport);
        if (virtio->vector_count == 0)
                return;
        for (uint32_t i = 0; i < virtio->vector_count; i++)
                pci_msix_unmask(&virtio->msix, (uint16_t)i);
        pci_msix_start(&virtio->msix);
}

static void interrupts_mask(struct virtio_transport *transport)
{
        struct virtio_pci *virtio = from(transport);
        for (uint32_t i = 0; i < virtio->vector_count; i++)
                pci_msix_mask(&virtio->msix, (uint16_t)i);
}

/* ---- time ---- */

static uint64_t now_ns(struct virtio_transport *transport)
{
        (void)transport;
        return time_ns();
}

static void pause(struct virtio_transport *transport)
{
        (void)transport;
        time_sleep(POLL_PAUSE_NS);
}

const struct virtio_transport_ops virtio_pci_transport_ops = {
        .name = "pci",
        .status = read_status,
        .set_status = set_status,
        .offered_features = offered_features,
        .accept_features = accept_features,
        .queue_count = queue_count,
        .queue_size_max = queue_size_max,
        .queue_enable = queue_enable,
        .queue_reset = queue_reset,
        .notify = notify,
        .config_generation = config_generation,
        .config_read = config_read,
        .interrupts_open = interrupts_open,
        .interrupts_start = interrupts_start,
        .interrupts_mask = interrupts_mask,
        .interrupts_close = interrupts_close,
        .now_ns = now_ns,
        .pause = pause,
};
