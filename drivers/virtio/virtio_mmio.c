/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The transport's operations on memory-mapped registers. All but the configuration are 32 bits wide
 * and accessed so. Facts: Virtio 1.3, 4.2.2 (registers), 4.2.3 (queues, interrupts). */
#include "drivers/virtio/virtio_mmio.h"

#include <stdio.h>

#include "arch/io.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "drivers/virtio/virtio_device.h"
#include "kernel/memory.h"
#include "kernel/time.h"

#define MMIO_MAGIC 0x000
#define MMIO_VERSION 0x004
#define MMIO_DEVICE_TYPE 0x008
#define MMIO_DEVICE_FEATURES 0x010
#define MMIO_DEVICE_FEATURES_SELECT 0x014
#define MMIO_DRIVER_FEATURES 0x020
#define MMIO_DRIVER_FEATURES_SELECT 0x024
#define MMIO_QUEUE_SELECT 0x030
#define MMIO_QUEUE_SIZE_MAX 0x034
#define MMIO_QUEUE_SIZE 0x038
#define MMIO_QUEUE_READY 0x044
#define MMIO_QUEUE_NOTIFY 0x050
#define MMIO_INTERRUPT_STATUS 0x060
#define MMIO_INTERRUPT_ACKNOWLEDGE 0x064
#define MMIO_STATUS 0x070
#define MMIO_QUEUE_DESCRIPTORS 0x080 /* low half; high half behind it, as in the next two */
#define MMIO_QUEUE_DRIVER 0x090
#define MMIO_QUEUE_DEVICE 0x0a0
#define MMIO_QUEUE_RESET 0x0c0
#define MMIO_CONFIG_GENERATION 0x0fc

#define MAGIC 0x74726976
#define VERSION_MODERN 2
#define CONFIG_BYTES_MAX 256
#define INTERRUPT_QUEUE_BIT 0
#define INTERRUPT_CONFIG_BIT 1
#define INTERRUPT_MASK 3u
#define BANK_BITS 32
#define POLL_PAUSE_NS (10 * NS_PER_US)

static struct virtio_mmio *from(struct virtio_transport *transport)
{
        return CONTAINER_OF(transport, struct virtio_mmio, transport);
}

static uint32_t get(struct virtio_transport *transport, uint32_t offset)
{
        return mmio_read32(from(transport)->registers + offset);
}

static void put(struct virtio_transport *transport, uint32_t offset, uint32_t value)
{
        mmio_write32(from(transport)->registers + offset, value);
}

/* ---- status, features, configuration ---- */

static uint8_t read_status(struct virtio_transport *transport)
{
        return (uint8_t)get(transport, MMIO_STATUS);
}

static void set_status(struct virtio_transport *transport, uint8_t status)
{
        put(transport, MMIO_STATUS, status);
}

static uint32_t offered_features(struct virtio_transport *transport, uint32_t bank)
{
        put(transport, MMIO_DEVICE_FEATURES_SELECT, bank);
        return get(transport, MMIO_DEVICE_FEATURES);
}

static void accept_features(struct virtio_transport *transport, uint32_t bank, uint32_t bits)
{
        put(transport, MMIO_DRIVER_FEATURES_SELECT, bank);
        put(transport, MMIO_DRIVER_FEATURES, bits);
        if (bank == VIRTIO_F_RING_RESET / BANK_BITS)
                from(transport)->reset_accepted = (bits >> VIRTIO_F_RING_RESET % BANK_BITS) & 1;
}

static uint32_t config_generation(struct virtio_transport *transport)
{
        return get(transport, MMIO_CONFIG_GENERATION);
}

static uint32_t config_read(struct virtio_transport *transport, uint32_t offset, uint8_t bytes)
{
        ASSERT(offset + bytes <= transport->config_bytes && offset % bytes == 0);
        const uint8_t *at = from(transport)->registers + VIRTIO_MMIO_CONFIG_OFFSET + offset;
        return bytes == 1 ? mmio_read8(at) : bytes == 2 ? mmio_read16(at) : mmio_read32(at);
}

/* ---- queues ---- */

/* There is no such register: a queue that does not exist says so by its size. */
static uint16_t queue_count(struct virtio_transport *transport)
{
        (void)transport;
        return UINT16_MAX;
}

/* From here to its end the registers are this queue's, whatever
 * other threads do to other queues. */
static void select_queue(struct virtio_transport *transport, uint16_t queue)
{
        spinlock_take(&transport->queue_lock);
        put(transport, MMIO_QUEUE_SELECT, queue);
}

static void deselect_queue(struct virtio_transport *transport)
{
        spinlock_give(&transport->queue_lock);
}

static uint32_t get_of_queue(struct virtio_transport *transport, uint16_t queue, uint32_t offset)
{
        select_queue(transport, queue);
        uint32_t value = get(transport, offset);
        deselect_queue(transport);
        return value;
}

static uint32_t queue_size_max(struct virtio_transport *transport, uint16_t queue)
{
        return get_of_queue(transport, queue, MMIO_QUEUE_SIZE_MAX);
}

static void write_address(struct virtio_transport *transport, uint32_t offset, uint64_t dev)
{
        put(transport, offset, (uint32_t)dev);
        put(transport, offset + 4, (uint32_t)(dev >> 32));
}

/* A queue that is not live. */
static zx_status_t program(struct virtio_transport *transport, uint16_t queue,
                           const struct virtio_queue_setup *setup)
{
        select_queue(transport, queue);
        put(transport, MMIO_QUEUE_SIZE, setup->size);
        write_address(transport, MMIO_QUEUE_DESCRIPTORS, setup->descriptors_dev);
        write_address(transport, MMIO_QUEUE_DRIVER, setup->driver_dev);
        write_address(transport, MMIO_QUEUE_DEVICE, setup->device_dev);
        put(transport, MMIO_QUEUE_READY, 1);
        uint32_t ready = get(transport, MMIO_QUEUE_READY);
        deselect_queue(transport);
        return ready == 1 ? ZX_OK : ZX_ERR_IO;
}

static uint32_t load_queue_reset(struct virtio_transport *transport, uint16_t queue)
{
        return get_of_queue(transport, queue, MMIO_QUEUE_RESET);
}

/* 4.2.2.1: the register reads 1 while it goes on, and then both it and "ready" read 0. */
static zx_status_t queue_reset(struct virtio_transport *transport, uint16_t queue)
{
        select_queue(transport, queue);
        put(transport, MMIO_QUEUE_RESET, 1);
        deselect_queue(transport);
        if (virtio_transport_wait_zero(transport, load_queue_reset, queue) != ZX_OK)
                return ZX_ERR_TIMED_OUT;
        return get_of_queue(transport, queue, MMIO_QUEUE_READY) == 0 ? ZX_OK : ZX_ERR_IO;
}

static zx_status_t queue_enable(struct virtio_transport *transport, uint16_t queue,
                                const struct virtio_queue_setup *setup)
{
        struct virtio_mmio *virtio = from(transport);
        if (get_of_queue(transport, queue, MMIO_QUEUE_READY) != 0)
                return ZX_ERR_BAD_STATE;
        zx_status_t status = program(transport, queue, setup);
        if (status != ZX_OK || !virtio->reset_accepted || virtio->reset_proven)
                return status;
        /* The first queue shows whether the device does what it offers, while nothing is in it. */
        transport->resets_queues = queue_reset(transport, queue) == ZX_OK;
        virtio->reset_proven = transport->resets_queues;
        return virtio->reset_proven ? program(transport, queue, setup) : ZX_ERR_NOT_SUPPORTED;
}

static void notify(struct virtio_transport *transport, uint16_t queue)
{
        /* An uncached store is ordered after all earlier stores: arch/io.h. */
        put(transport, MMIO_QUEUE_NOTIFY, queue);
}

/* ---- interrupts ---- */

/* What is acknowledged here and raised again before the handler has looked is a new interrupt. */
static bool on_interrupt(void *context)
{
        struct virtio_mmio *virtio = context;
        uint32_t status = get(&virtio->transport, MMIO_INTERRUPT_STATUS) & INTERRUPT_MASK;
        if (status == 0)
                return false;
        put(&virtio->transport, MMIO_INTERRUPT_ACKNOWLEDGE, status);
        uint32_t sources = status & BIT_MASK(INTERRUPT_QUEUE_BIT) ? virtio->queue_sources : 0;
        if (status & BIT_MASK(INTERRUPT_CONFIG_BIT))
                sources |= VIRTIO_SOURCE_CONFIG;
        virtio->handler(virtio->handler_context, sources);
        return true;
}

static enum virtio_interrupt_mode interrupts_open(struct virtio_transport *transport,
                                                  uint16_t queues, virtio_interrupt_fn handler,
                                                  void *context)
{
        struct virtio_mmio *virtio = from(transport);
        ASSERT(queues <= VIRTIO_QUEUES_MAX);
        virtio->queue_sources = VIRTIO_SOURCE_QUEUE(queues) - 1;
        virtio->handler = handler;
        virtio->handler_context = context;
        virtio->user.handler = on_interrupt;
        virtio->user.context = virtio;
        virtio->user.name = "virtio";
        transport->interrupt_mode = irq_line_connect(&virtio->user, &virtio->line) == ZX_OK ?
                                            VIRTIO_INTERRUPTS_LINE : VIRTIO_INTERRUPTS_NONE;
        return transport->interrupt_mode;
}

/* The line is open already; a device does not raise it before DRIVER_OK. */
static void interrupts_start(struct virtio_transport *transport)
{
        (void)transport;
}

static void interrupts_mask(struct virtio_transport *transport)
{
        irq_line_mask(&from(transport)->user);
}

static void interrupts_close(struct virtio_transport *transport)
{
        irq_line_disconnect(&from(transport)->user);
        transport->interrupt_mode = VIRTIO_INTERRUPTS_NONE;
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

static const struct virtio_transport_ops mmio_ops = {
        .name = "mmio",
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

/* ---- birth ---- */

zx_status_t virtio_mmio_open(struct virtio_mmio *virtio, const struct virtio_mmio_place *place)
{
        void *va;
        *virtio = (struct virtio_mmio){.transport = {.ops = &mmio_ops, .resets_queues = true,
                                                     .queue_lock = SPINLOCK_INIT("virtio queues")},
                                       .line = place->line};
        snprintf(virtio->transport.place, sizeof(virtio->transport.place), "0x%llx",
                 (unsigned long long)place->pa);
        if (place->bytes <= VIRTIO_MMIO_CONFIG_OFFSET)
                return ZX_ERR_IO_DATA_INTEGRITY;
        uint32_t config_bytes =
                (uint32_t)min_u64(place->bytes - VIRTIO_MMIO_CONFIG_OFFSET, CONFIG_BYTES_MAX);
        zx_status_t status = memory_map_physical(
                place->pa, VIRTIO_MMIO_CONFIG_OFFSET + config_bytes, MEMORY_MAP_DEVICE, &va);
        if (status != ZX_OK)
                return status;
        virtio->registers = va;
        if (get(&virtio->transport, MMIO_MAGIC) != MAGIC)
                return ZX_ERR_IO_DATA_INTEGRITY;
        virtio->version = get(&virtio->transport, MMIO_VERSION);
        uint32_t type = get(&virtio->transport, MMIO_DEVICE_TYPE);
        if (type == 0)
                return ZX_ERR_NOT_FOUND;
        if (virtio->version != VERSION_MODERN)
                return ZX_ERR_NOT_SUPPORTED;
        virtio->transport.device_type = (uint16_t)min_u64(type, UINT16_MAX);
        virtio->transport.config_bytes = config_bytes;
        return ZX_OK;
}
