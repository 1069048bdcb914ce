/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The transport's operations on PCI. Facts: Virtio 1.3, 4.1.4.3 (registers), 4.1.4.4
 * (notification), 4.1.5.1.2 (vectors), 4.1.5.1.3 (queues). */
#include "drivers/virtio/virtio_pci.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "drivers/virtio/virtio_device.h"
#include "drivers/virtio/virtio_pci_registers.h"
#include "kernel/time.h"

#define ISR_QUEUE_BIT 0
#define ISR_CONFIG_BIT 1
#define ISR_MASK 3u
#define POLL_PAUSE_NS (10 * NS_PER_US)

static struct virtio_pci *from(struct virtio_transport *transport)
{
        return CONTAINER_OF(transport, struct virtio_pci, transport);
}

static uint32_t get(struct virtio_transport *transport, uint32_t field, uint8_t bytes)
{
        return virtio_pci_read(from(transport), &from(transport)->common, field, bytes);
}

static void put(struct virtio_transport *transport, uint32_t field, uint8_t bytes, uint32_t value)
{
        virtio_pci_write(from(transport), &from(transport)->common, field, bytes, value);
}

/* ---- status, features, configuration ---- */

static uint8_t read_status(struct virtio_transport *transport)
{
        return (uint8_t)get(transport, COMMON_STATUS, 1);
}

static void set_status(struct virtio_transport *transport, uint8_t status)
{
        put(transport, COMMON_STATUS, 1, status);
}

static uint32_t offered_features(struct virtio_transport *transport, uint32_t bank)
{
        put(transport, COMMON_DEVICE_FEATURE_SELECT, 4, bank);
        return get(transport, COMMON_DEVICE_FEATURE, 4);
}

static void accept_features(struct virtio_transport *transport, uint32_t bank, uint32_t bits)
{
        put(transport, COMMON_DRIVER_FEATURE_SELECT, 4, bank);
        put(transport, COMMON_DRIVER_FEATURE, 4, bits);
}

static uint32_t config_generation(struct virtio_transport *transport)
{
        return get(transport, COMMON_GENERATION, 1);
}

static uint32_t config_read(struct virtio_transport *transport, uint32_t offset, uint8_t bytes)
{
        ASSERT(offset + bytes <= transport->config_bytes && offset % bytes == 0);
        return virtio_pci_read(from(transport), &from(transport)->config, offset, bytes);
}

/* ---- queues ---- */

static uint16_t queue_count(struct virtio_transport *transport)
{
        return (uint16_t)get(transport, COMMON_QUEUE_COUNT, 2);
}

/* From here to its end the registers are this queue's, whatever
 * other threads do to other queues. */
static void select_queue(struct virtio_transport *transport, uint16_t queue)
{
        spinlock_take(&transport->queue_lock);
        put(transport, COMMON_QUEUE_SELECT, 2, queue);
}

static void deselect_queue(struct virtio_transport *transport)
{
        spinlock_give(&transport->queue_lock);
}

static uint32_t get_of_queue(struct virtio_transport *transport, uint16_t queue, uint32_t field)
{
        select_queue(transport, queue);
        uint32_t value = get(transport, field, 2);
        deselect_queue(transport);
        return value;
}

static uint32_t queue_size_max(struct virtio_transport *transport, uint16_t queue)
{
        return get_of_queue(transport, queue, COMMON_QUEUE_SIZE);
}

static void write_address(struct virtio_transport *transport, uint32_t field, uint64_t dev)
{
        put(transport, field, 4, (uint32_t)dev);
        put(transport, field + 4, 4, (uint32_t)(dev >> 32));
}

/* Writes a vector register and looks whether the device took it. */
static bool write_vector(struct virtio_transport *transport, uint32_t field, uint16_t vector)
{
        put(transport, field, 2, vector);
        return get(transport, field, 2) == vector;
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

static struct virtio_pci_registers *notify_of(struct virtio_pci *virtio, uint16_t queue)
{
        return &virtio->queue_notify[queue < VIRTIO_QUEUES_MAX ? queue : VIRTIO_QUEUES_MAX];
}

/* Maps a queue's notification register; it must lie inside the notify registers. */
static zx_status_t map_notify(struct virtio_pci *virtio, uint16_t queue)
{
        struct virtio_pci_registers *notify = notify_of(virtio, queue);
        uint64_t offset =
                (uint64_t)get_of_queue(&virtio->transport, queue, COMMON_QUEUE_NOTIFY_OFFSET) *
                virtio->notify_multiplier;
        if (offset + NOTIFY_BYTES > virtio->notify.bytes || !is_aligned(offset, NOTIFY_BYTES))
                return ZX_ERR_IO_DATA_INTEGRITY;
        if (notify->bytes != 0 && notify->start == virtio->notify.start + offset)
                return ZX_OK; /* from the time before a reset; mappings stay */
        notify->bytes = NOTIFY_BYTES;
        zx_status_t status = virtio_pci_map(virtio, &virtio->notify, (uint32_t)offset, notify);
        if (status != ZX_OK)
                notify->bytes = 0;
        return status;
}

/* The selected queue, which is not live. */
static zx_status_t program(struct virtio_transport *transport, uint16_t queue,
                           const struct virtio_queue_setup *setup)
{
        put(transport, COMMON_QUEUE_SIZE, 2, (uint16_t)setup->size);
        if (get(transport, COMMON_QUEUE_SIZE, 2) != setup->size)
                return ZX_ERR_IO;
        write_address(transport, COMMON_QUEUE_DESCRIPTORS, setup->descriptors_dev);
        write_address(transport, COMMON_QUEUE_DRIVER, setup->driver_dev);
        write_address(transport, COMMON_QUEUE_DEVICE, setup->device_dev);
        if (setup->no_interrupt)
                write_vector(transport, COMMON_QUEUE_VECTOR, NO_VECTOR);
        else
                program_queue_vector(from(transport), queue);
        put(transport, COMMON_QUEUE_ENABLE, 2, 1);
        return get(transport, COMMON_QUEUE_ENABLE, 2) == 1 ? ZX_OK : ZX_ERR_IO;
}

static zx_status_t queue_enable(struct virtio_transport *transport, uint16_t queue,
                                const struct virtio_queue_setup *setup)
{
        if (get_of_queue(transport, queue, COMMON_QUEUE_ENABLE) != 0)
                return ZX_ERR_BAD_STATE;
        zx_status_t status = map_notify(from(transport), queue);
        if (status != ZX_OK)
                return status;
        select_queue(transport, queue);
        status = program(transport, queue, setup);
        deselect_queue(transport);
        return status;
}

static uint32_t load_queue_reset(struct virtio_transport *transport, uint16_t queue)
{
        return get_of_queue(transport, queue, COMMON_QUEUE_RESET);
}

static zx_status_t queue_reset(struct virtio_transport *transport, uint16_t queue)
{
        select_queue(transport, queue);
        put(transport, COMMON_QUEUE_RESET, 2, 1);
        deselect_queue(transport);
        if (virtio_transport_wait_zero(transport, load_queue_reset, queue) != ZX_OK)
                return ZX_ERR_TIMED_OUT;
        return get_of_queue(transport, queue, COMMON_QUEUE_ENABLE) == 0 ? ZX_OK : ZX_ERR_IO;
}

static void notify(struct virtio_transport *transport, uint16_t queue)
{
        /* An uncached store is ordered after all earlier stores: arch/io.h. */
        struct virtio_pci *virtio = from(transport);
        virtio_pci_write(virtio, notify_of(virtio, queue), 0, NOTIFY_BYTES, queue);
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

/* A line says why by the ISR, and reading that lets go of the line. */
static bool on_line(void *context)
{
        struct virtio_pci *virtio = context;
        uint32_t why = virtio_pci_read(virtio, &virtio->isr, 0, 1) & ISR_MASK;
        if (why == 0)
                return false;
        uint32_t sources = why & BIT_MASK(ISR_QUEUE_BIT) ? virtio->queue_sources : 0;
        if (why & BIT_MASK(ISR_CONFIG_BIT))
                sources |= VIRTIO_SOURCE_CONFIG;
        virtio->handler(virtio->handler_context, sources);
        return true;
}

/* Without MSI-X: the function's pin, if it is known where that arrives. */
static enum virtio_interrupt_mode open_line(struct virtio_pci *virtio)
{
        struct irq_line line;
        virtio->line_user.handler = on_line;
        virtio->line_user.context = virtio;
        virtio->line_user.name = "virtio";
        if (virtio->isr.bytes == 0 || pci_interrupt_line(virtio->pci, &line) != ZX_OK ||
            irq_line_connect(&virtio->line_user, &line) != ZX_OK)
                return VIRTIO_INTERRUPTS_NONE;
        return VIRTIO_INTERRUPTS_LINE;
}

static void interrupts_close(struct virtio_transport *transport)
{
        struct virtio_pci *virtio = from(transport);
        if (transport->interrupt_mode == VIRTIO_INTERRUPTS_LINE)
                pci_enable(virtio->pci, PCI_COMMAND_INTX_DISABLE);
        irq_line_disconnect(&virtio->line_user);
        if (virtio->msix.device != NULL)
                pci_msix_close(&virtio->msix);
        while (virtio->vector_count != 0)
                arch_irq_free_msi(&virtio->vectors[--virtio->vector_count].message);
        virtio->msix.device = NULL;
        transport->interrupt_mode = VIRTIO_INTERRUPTS_NONE;
}

/* A vector for the configuration, and one for each queue as far as they go; false: not even one. */
static bool open_vectors(struct virtio_pci *virtio, uint16_t queues)
{
        struct virtio_transport *transport = &virtio->transport;
        if (virtio->window != 0 || pci_msix_open(virtio->pci, &virtio->msix) != ZX_OK) {
                virtio->msix.device = NULL;
                return false;
        }
        if (!open_vector(virtio, VIRTIO_SOURCE_CONFIG) ||
            !write_vector(transport, COMMON_CONFIG_VECTOR, 0)) {
                interrupts_close(transport);
                return false;
        }
        transport->interrupt_mode = VIRTIO_INTERRUPTS_PER_QUEUE;
        for (uint16_t queue = 0; queue < queues; queue++)
                if (!open_vector(virtio, VIRTIO_SOURCE_QUEUE(queue)))
                        transport->interrupt_mode = VIRTIO_INTERRUPTS_SHARED;
        return true;
}

static enum virtio_interrupt_mode interrupts_open(struct virtio_transport *transport,
                                                  uint16_t queues, virtio_interrupt_fn handler,
                                                  void *context)
{
        struct virtio_pci *virtio = from(transport);
        ASSERT(queues <= VIRTIO_QUEUES_MAX && virtio->vector_count == 0);
        virtio->handler = handler;
        virtio->handler_context = context;
        virtio->queue_sources = VIRTIO_SOURCE_QUEUE(queues) - 1;
        transport->interrupt_mode = VIRTIO_INTERRUPTS_NONE;
        if (!open_vectors(virtio, queues))
                transport->interrupt_mode = open_line(virtio);
        return transport->interrupt_mode;
}

static void interrupts_aim(struct virtio_transport *transport, uint16_t queue, uint32_t cpu)
{
        struct virtio_pci *virtio = from(transport);
        uint16_t index = queue + 1;
        if (index >= virtio->vector_count)
                return;
        struct virtio_pci_vector *vector = &virtio->vectors[index];
        struct arch_msi_message message = vector->message;
        if (arch_irq_aim_msi(&message, cpu) != ZX_OK)
                return;
        if (pci_msix_program(&virtio->msix, index, &message) == ZX_OK)
                vector->message = message;
        else /* it did not read back: as before, if that is still possible */
                (void)!pci_msix_program(&virtio->msix, index, &vector->message);
}

static void interrupts_start(struct virtio_transport *transport)
{
        struct virtio_pci *virtio = from(transport);
        if (transport->interrupt_mode == VIRTIO_INTERRUPTS_LINE)
                pci_disable(virtio->pci, PCI_COMMAND_INTX_DISABLE);
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
        irq_line_mask(&virtio->line_user);
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
        .interrupts_aim = interrupts_aim,
        .interrupts_start = interrupts_start,
        .interrupts_mask = interrupts_mask,
        .interrupts_close = interrupts_close,
        .now_ns = now_ns,
        .pause = pause,
};
