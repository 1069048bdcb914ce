/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The entry of the virtio family in the driver table: goes through the PCI functions and the places
 * where registers lie in memory, starts a driver for each virtio device that has one here, and
 * lists them for `cmd=virtio`. */
#include <stddef.h>

#include "drivers/pci/pci.h"
#include "drivers/virtio/virtio_mmio.h"
#include "drivers/virtio/virtio_net.h"
#include "drivers/virtio/virtio_pci.h"
#include "kernel/aspace.h"
#include "kernel/command.h"
#include "kernel/cpu.h"
#include "kernel/driver.h"
#include "kernel/log.h"

#define VIRTIO_CARDS_MAX 4
#define DEVICE_TYPE_NET 1
#define VERSION_LEGACY 1

static struct {
        union {
                struct virtio_pci pci;
                struct virtio_mmio mmio;
        } transport;
        struct virtio_net net;
} cards[VIRTIO_CARDS_MAX];
static size_t card_count;

static const char *const mode_names[] = {
        [VIRTIO_INTERRUPTS_NONE] = "polled",
        [VIRTIO_INTERRUPTS_LINE] = "an interrupt line",
        [VIRTIO_INTERRUPTS_SHARED] = "one MSI-X vector",
        [VIRTIO_INTERRUPTS_PER_QUEUE] = "an MSI-X vector a queue",
};

/* Says that there is no driver for it, or no room; true: it can be driven. */
static bool is_wanted(uint16_t type, const char *place)
{
        if (type == DEVICE_TYPE_NET && card_count < VIRTIO_CARDS_MAX)
                return true;
        log_line("virtio: the device of type %u at %s is not driven: "
                 "only network cards are, %u at most", type, place, VIRTIO_CARDS_MAX);
        return false;
}

static void say_legacy(const char *place, const char *remedy)
{
        log_line("virtio: %s is a legacy device: it lacks the registers of Virtio 1.0 and later, "
                 "and cannot be driven here (QEMU: %s)",
                 place, remedy);
}

static void say_unusable(const char *place, zx_status_t status)
{
        log_line("virtio: %s has registers that cannot be used: %s", place, zx_status_name(status));
}

/* Starts the card whose transport, in the next free slot, has been opened. */
static zx_status_t start_card(struct virtio_transport *transport)
{
        struct virtio_net *net = &cards[card_count].net;
        struct virtio_net_options options = {.pool = aspace_vmo_pool(), .queue_pairs = cpu_count()};
        virtio_net_options_of_command_line(&options);
        zx_status_t status = virtio_net_start(net, transport, &options);
        if (status != ZX_OK) {
                log_line("virtio: network card at %s does not start: %s", transport->place,
                         zx_status_name(status));
                return status;
        }
        log_line("virtio: %s at %s, mtu %u, %u queue pairs of %u and %u, %s", net->netdev.name,
                 transport->place, (unsigned)net->netdev.mtu, (unsigned)net->pair_count,
                 (unsigned)net->pairs[0].receive.ring.size,
                 (unsigned)net->pairs[0].transmit.ring.size, mode_names[transport->interrupt_mode]);
        card_count++;
        return ZX_OK;
}

static zx_status_t start_pci(const struct pci_device *pci)
{
        struct virtio_pci *virtio = &cards[card_count].transport.pci;
        zx_status_t status = virtio_pci_open(virtio, pci);
        if (status == ZX_ERR_NOT_SUPPORTED)
                say_legacy(virtio->transport.place, "disable-modern=off");
        else if (status != ZX_OK)
                say_unusable(virtio->transport.place, status);
        return status == ZX_OK ? start_card(&virtio->transport) : status;
}

static zx_status_t start_mmio(const struct virtio_mmio_place *place)
{
        struct virtio_mmio *virtio = &cards[card_count].transport.mmio;
        zx_status_t status = virtio_mmio_open(virtio, place);
        if (status == ZX_ERR_NOT_SUPPORTED && virtio->version == VERSION_LEGACY)
                say_legacy(virtio->transport.place, "-global virtio-mmio.force-legacy=false");
        else if (status != ZX_OK && status != ZX_ERR_NOT_FOUND)
                say_unusable(virtio->transport.place, status);
        if (status != ZX_OK)
                return status;
        return is_wanted(virtio->transport.device_type, virtio->transport.place) ?
                       start_card(&virtio->transport) : ZX_ERR_NOT_SUPPORTED;
}

/* One success makes a success, and without one any failure a failure. */
static void add_result(zx_status_t *result, zx_status_t status)
{
        if (status == ZX_OK || *result == ZX_ERR_NOT_FOUND)
                *result = status;
}

static bool named_before(size_t index)
{
        uint64_t pa = virtio_mmio_place_at(index).pa;
        for (size_t i = 0; i < index; i++)
                if (virtio_mmio_place_at(i).pa == pa)
                        return true;
        return false;
}

static zx_status_t virtio_start(void)
{
        zx_status_t result = ZX_ERR_NOT_FOUND;
        for (size_t i = 0; i < pci_device_count(); i++) {
                const struct pci_device *pci = pci_device_at(i);
                uint16_t type = virtio_pci_device_type(pci);
                char place[VIRTIO_PLACE_BYTES];
                if (type == 0)
                        continue;
                virtio_pci_describe_place(pci, place);
                if (is_wanted(type, place))
                        add_result(&result, start_pci(pci));
        }
        for (size_t i = 0; i < virtio_mmio_place_count() && card_count < VIRTIO_CARDS_MAX; i++) {
                struct virtio_mmio_place place = virtio_mmio_place_at(i);
                if (!named_before(i))
                        add_result(&result, start_mmio(&place));
        }
        return result;
}

static void virtio_stop(void)
{
        while (card_count != 0) {
                struct virtio_net *net = &cards[--card_count].net;
                virtio_net_stop(net);
                if (virtio_net_free_memory(net) != ZX_OK)
                        log_line("virtio: %s: its client has not released everything",
                                 net->netdev.name);
        }
}

DRIVER(virtio_driver, "virtio", DRIVER_PHASE_DEVICE, virtio_start, virtio_stop);

/* ---- cmd=virtio ---- */

static void print_features(const char *what, uint64_t features, uint16_t type)
{
        char text[VIRTIO_FEATURES_TEXT_BYTES];
        virtio_features_describe(features, type, text, sizeof(text));
        log_line("virtio:     %s %s", what, text);
}

static void print_queue(const char *what, const struct virtio_queue *queue)
{
        const struct virtqueue_driver *ring = &queue->ring;
        log_line("virtio:     queue %u, %s, %s%s: size %u, free %u, added %llu, published %llu, "
                 "taken %llu, %llu notifications, fault: %s",
                 queue->index, what, ring->packed ? "packed" : "split",
                 ring->indirect_entries != 0 ? " with tables" : "", (unsigned)ring->size,
                 (unsigned)ring->free_count,
                 (unsigned long long)ring->added, (unsigned long long)ring->published,
                 (unsigned long long)ring->taken, (unsigned long long)queue->kicks,
                 virtqueue_fault_name(ring->fault.reason));
}

static void virtio_print(void)
{
        for (size_t i = 0; i < card_count; i++) {
                const struct virtio_net *net = &cards[i].net;
                const struct virtio_transport *transport = net->device.transport;
                log_line("virtio: %s at %s, %s", net->netdev.name, transport->place,
                         mode_names[transport->interrupt_mode]);
                print_features("offered ", net->device.offered, DEVICE_TYPE_NET);
                print_features("accepted", net->device.features, DEVICE_TYPE_NET);
                for (uint32_t queue = 0; queue < net->pair_count; queue++) {
                        print_queue("receive", &net->pairs[queue].receive);
                        print_queue("transmit", &net->pairs[queue].transmit);
                }
                if (net->control_open)
                        print_queue("control", &net->control);
        }
        if (card_count == 0)
                log_line("virtio: no virtio devices");
}

COMMAND(virtio_command, "virtio", "lists the virtio devices with their features and queues",
        virtio_print);
