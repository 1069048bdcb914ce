/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_transport — the registers of a virtio device, whatever bus they lie on.
 *
 * A driver and the state machine in virtio_device.c reach the device through these
 * operations only. In the image they are virtio_pci.c's or virtio_mmio.c's; on the host a
 * scripted device can stand behind them, step for step. Time comes through them too, so that
 * a test's clock can run as it likes.
 *
 * Context     one thread at a time for one device, but for the operations of one queue
 *             (queue_enable, queue_reset, notify): queues may each have a thread. Their registers
 *             lie behind a select register, which is one for all queues; queue_lock is held from
 *             selecting to the last access, and never while anybody waits
 * Lock order  queue_lock > virtio window (virtio_pci_access.c) > PCI configuration
 * Facts       Virtio 1.3, 2.1, 2.2, 2.5, 4.1.4.3, 4.2.2 */
#ifndef DRIVERS_VIRTIO_VIRTIO_TRANSPORT_H
#define DRIVERS_VIRTIO_VIRTIO_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/spinlock.h"
#include "base/status.h"

struct virtio_transport;

/* Where an interrupt came from: bit n for queue n below 31, and the top bit for a change of
 * configuration. Where vectors are shared several bits are set,
 * and some of them may mean nothing. */
#define VIRTIO_SOURCE_QUEUE(queue) (1u << (queue))
#define VIRTIO_SOURCE_CONFIG (1u << 31)
#define VIRTIO_QUEUES_MAX 31 /* that can interrupt; one more, of any number, may be without */

/* In interrupt context. May come at any time after interrupts_open(), also without reason. */
typedef void (*virtio_interrupt_fn)(void *context, uint32_t sources);

enum virtio_interrupt_mode {
        VIRTIO_INTERRUPTS_NONE = 0,  /* only polling */
        VIRTIO_INTERRUPTS_LINE,      /* a line for everything, perhaps shared with other devices */
        VIRTIO_INTERRUPTS_SHARED,    /* one vector for everything */
        VIRTIO_INTERRUPTS_PER_QUEUE, /* one for each queue, one for the configuration */
};

struct virtio_queue_setup {
        uint32_t size;
        bool no_interrupt; /* nobody waits for this queue: it needs no vector */
        uint64_t descriptors_dev, driver_dev, device_dev;
};

struct virtio_transport_ops {
        const char *name;
        uint8_t (*status)(struct virtio_transport *transport);
        void (*set_status)(struct virtio_transport *transport, uint8_t status);
        /* Bank 0 has bits 0..31, bank 1 bits 32..63. */
        uint32_t (*offered_features)(struct virtio_transport *transport, uint32_t bank);
        void (*accept_features)(struct virtio_transport *transport, uint32_t bank, uint32_t bits);
        /* No queue has a higher number; some may not exist all the same. */
        uint16_t (*queue_count)(struct virtio_transport *transport);
        /* The largest size of a queue below queue_count, 0 when it does not exist. */
        uint32_t (*queue_size_max)(struct virtio_transport *transport, uint16_t queue);
        /* Programs size, addresses and interrupt vector of a queue that is not live, then makes it
         * live. ZX_ERR_BAD_STATE: it is live; ZX_ERR_IO_DATA_INTEGRITY: its notification address
         * leaves the window; ZX_ERR_IO: what was written does not read back; ZX_ERR_NOT_SUPPORTED:
         * the device has offered RING_RESET and does not reset queues: transport->resets_queues,
         * which was true, is false, and the device is to be reset and negotiated with again; or
         * what mapping registers returns. */
        zx_status_t (*queue_enable)(struct virtio_transport *transport, uint16_t queue,
                                    const struct virtio_queue_setup *setup);
        /* Takes one live queue back (RING_RESET); afterwards it may be enabled again. Waits, at
         * most VIRTIO_RESET_LIMIT_NS. ZX_ERR_TIMED_OUT: the device does not let go; ZX_ERR_IO: it
         * says that it has, and the queue is still live. Only where transport->resets_queues. */
        zx_status_t (*queue_reset)(struct virtio_transport *transport, uint16_t queue);
        /* Tells the device that a live queue has something new. */
        void (*notify)(struct virtio_transport *transport, uint16_t queue);
        uint32_t (*config_generation)(struct virtio_transport *transport);
        /* `bytes` is 1, 2 or 4, `offset` a multiple of it, together within config_bytes. */
        uint32_t (*config_read)(struct virtio_transport *transport, uint32_t offset, uint8_t bytes);
        /* Finds the best mode that device and machine allow for that many queues. Vectors stay
         * masked until interrupts_start; a line may already be open. */
        enum virtio_interrupt_mode (*interrupts_open)(struct virtio_transport *transport,
                                                      uint16_t queue_count,
                                                      virtio_interrupt_fn handler, void *context);
        /* Between open and start: interrupts of a queue that has a vector of its own
         * go to that CPU (below cpu_count()), if they can; the handler runs there.
         * NULL: a transport that cannot. */
        void (*interrupts_aim)(struct virtio_transport *transport, uint16_t queue, uint32_t cpu);
        /* Before DRIVER_OK: QEMU (virtio_pci_query_guest_notifiers()) looks then, and a vhost back
         * end behind a device whose interrupts are all off is never told how to interrupt. */
        void (*interrupts_start)(struct virtio_transport *transport);
        /* Masks everything; also in interrupt context. */
        void (*interrupts_mask)(struct virtio_transport *transport);
        /* After a reset: gives the vectors back. */
        void (*interrupts_close)(struct virtio_transport *transport);
        uint64_t (*now_ns)(struct virtio_transport *transport);
        void (*pause)(struct virtio_transport *transport); /* a short wait inside a poll loop */
};

#define VIRTIO_PLACE_BYTES 24

struct virtio_transport {
        const struct virtio_transport_ops *ops;
        uint16_t device_type;  /* 1: net */
        bool resets_queues;    /* it has the registers for that, as far as is known */
        uint32_t config_bytes; /* of the device configuration that can be read */
        enum virtio_interrupt_mode interrupt_mode;
        char place[VIRTIO_PLACE_BYTES]; /* for messages: "00:02.0", "0xfeb00e00" */
        /* Over the queue select register and those that it selects, and over what their programming
         * changes here. Never taken by interrupt handlers. */
        struct spinlock queue_lock;
};

#endif
