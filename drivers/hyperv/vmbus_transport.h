/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_transport — what the VMBus client needs below it: messages and signals both ways,
 * a clock, and the number of a CPU.
 *
 *   vmbus.c ---- post, signal ----> transport ----> host
 *   vmbus.c <--- message, event --- transport <---- host     upcalls, in any context
 *
 * Three stand below one client: the hypervisor's message and event services (hyperv_transport.c),
 * shared pages of a PCI device under plain QEMU (vmbus_mailbox_transport.c), and a loopback to a
 * host side in the same program (the tests'). Time and the interrupt flag come through here too, so
 * that the client knows no CPU and runs on the host with a clock that a test moves.
 *
 * Peer        a transport checks whatever it reads from shared memory; what it hands up is a
 *             private copy of at most VMBUS_MESSAGE_BYTES_MAX bytes, whose content nobody has
 *             checked
 * Context     as each operation says; with no lock of the client held, but for signal(), now_ns()
 *             and the two about interrupts, which a callback may lead to
 * Facts       spec/vmbus.md, e.1, e.9, g.4, g.5 */
#ifndef DRIVERS_HYPERV_VMBUS_TRANSPORT_H
#define DRIVERS_HYPERV_VMBUS_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

#define VMBUS_MESSAGE_BYTES_MAX 240 /* e.1 */
#define VMBUS_VP_NONE UINT32_MAX

struct vmbus_transport;

/* One message, private to whoever holds it. */
struct vmbus_message {
        uint32_t bytes; /* 0 .. VMBUS_MESSAGE_BYTES_MAX */
        uint32_t reserved;
        uint8_t payload[VMBUS_MESSAGE_BYTES_MAX] ALIGNED(8);
};

/* What a transport calls. Any context, interrupts included, but never from inside post() or
 * signal(), whose callers may hold locks; several CPUs at once for events, one at a time for
 * messages, which come in the order in which the host sent them. */
struct vmbus_upcalls {
        void (*message)(void *context, const struct vmbus_message *message);
        void (*event)(void *context, uint32_t flag); /* flag 0 .. 2047, cleared before the call */
        /* The other side broke a rule of the transport: nothing comes or goes any more. Once. */
        void (*broken)(void *context);
        void *context;
};

struct vmbus_transport_ops {
        const char *name;

        /* Upcalls may come from here on, until stop() has returned: after that none runs and none
         * comes.
         *   upcalls  kept
         *   returns  ZX_OK; ZX_ERR_TIMED_OUT: the other side does not answer; what else went wrong.
         *            Nothing is left behind then */
        zx_status_t (*start)(struct vmbus_transport *transport,
                             const struct vmbus_upcalls *upcalls);
        void (*stop)(struct vmbus_transport *transport);

        /* Sends one message.
         *   connection_id  spec e.1
         *   bytes          1 .. VMBUS_MESSAGE_BYTES_MAX; the message is copied
         *   returns        ZX_OK; ZX_ERR_SHOULD_WAIT: no room now, nothing sent, try again later;
         *                  ZX_ERR_IO: the other side refuses it for good; ZX_ERR_IO_DATA_INTEGRITY:
         *                  the other side broke a rule of the transport
         *   context        thread, any CPU, several at once */
        zx_status_t (*post)(struct vmbus_transport *transport, uint32_t connection_id,
                            const void *message, uint32_t bytes);

        /* Tells the host to look at the rings of a channel.
         *   connection_id  of the channel's offer
         *   flag           the channel's id, for transports that signal by event flag
         *   returns        ZX_OK; ZX_ERR_IO: nobody is there any more
         *   context        any, several at once */
        zx_status_t (*signal)(struct vmbus_transport *transport, uint32_t connection_id,
                              uint32_t flag);

        /* Looks for messages and events without waiting for an interrupt, and makes the upcalls.
         * Bounded. Context: thread, or a driver that polls with interrupts off; any CPU */
        void (*poll)(struct vmbus_transport *transport);

        /* The host's number for one of our CPUs;
         * VMBUS_VP_NONE: no such CPU, or it takes no events. */
        uint32_t (*vp_index)(struct vmbus_transport *transport, uint32_t cpu);

        uint64_t (*now_ns)(struct vmbus_transport *transport);
        /* Waits a while, at most `ns`; less when something may have come in. Thread. */
        void (*pause)(struct vmbus_transport *transport, uint64_t ns);

        /* Around a lock that upcalls take, too. Returns whether they were on. */
        bool (*interrupts_disable)(struct vmbus_transport *transport);
        void (*interrupts_restore)(struct vmbus_transport *transport, bool enabled);
};

struct vmbus_transport {
        const struct vmbus_transport_ops *ops;
};

/* What transports themselves take from the world they run in: the kernel's is in hyperv.c, a test's
 * moves when it is told to. */
struct vmbus_platform {
        uint64_t (*now_ns)(void);
        void (*pause)(uint64_t ns); /* as in vmbus_transport_ops */
        uint32_t (*cpu)(void);      /* that calls, 0 .. cpu_count - 1; it stays there */
        uint32_t (*cpu_count)(void);
        bool (*interrupts_disable)(void);
        void (*interrupts_restore)(bool enabled);
};

#endif
