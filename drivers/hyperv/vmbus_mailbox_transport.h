/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_mailbox_transport — the guest's end of the shared pages that carry VMBus under plain QEMU.
 *
 * The layout and its rules are lib/vmbus_mailbox's; how the pages and the doorbell are found is
 * vmbus_mailbox_pci.c's. Every index and every slot that the host writes is read once and checked;
 * the first broken rule latches the transport, and the client hears of it.
 *
 *   start: RESET with a new generation, doorbell --> the host forgets, zeroes, follows --> READY
 *
 * Events of a channel come with the vector, and on the CPU, that its opening or ModifyChannel
 * named, as long as that CPU has one (vp_count); other CPUs have no VP number, and cannot be named.
 *
 * Owner       the caller: struct, pages; nothing to release
 * Context     as vmbus_transport.h says. vmbus_mailbox_interrupt: interrupts
 * Locks       post_lock (threads only), take_lock (interrupts off; left of the client's locks)
 * Facts       lib/vmbus_mailbox/vmbus_mailbox.h */
#ifndef DRIVERS_HYPERV_VMBUS_MAILBOX_TRANSPORT_H
#define DRIVERS_HYPERV_VMBUS_MAILBOX_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/spinlock.h"
#include "base/status.h"
#include "drivers/hyperv/vmbus_transport.h"
#include "vmbus_mailbox/vmbus_mailbox.h"

/* X(name, number, what holds) */
#define VMBUS_MAILBOX_FAULT_LIST(X)                                                              \
        X(VMBUS_MAILBOX_FAULT_NONE, 0, "no rule was broken")                                     \
        X(VMBUS_MAILBOX_FAULT_HEAD, 1, "head stays between its last value and tail")             \
        X(VMBUS_MAILBOX_FAULT_TAIL, 2, "tail is an index, at most 15 slots ahead of head")       \
        X(VMBUS_MAILBOX_FAULT_SLOT_TYPE, 3, "a slot holds a VMBus message")                      \
        X(VMBUS_MAILBOX_FAULT_SLOT_BYTES, 4, "a message has at most 240 bytes")                  \
        X(VMBUS_MAILBOX_FAULT_SLOT_ZERO, 5, "the reserved fields of a slot are zero")

enum vmbus_mailbox_fault {
#define VMBUS_MAILBOX_FAULT_ENUM_(name, number, rule) name = (number),
        VMBUS_MAILBOX_FAULT_LIST(VMBUS_MAILBOX_FAULT_ENUM_)
#undef VMBUS_MAILBOX_FAULT_ENUM_
};

struct vmbus_mailbox_transport {
        struct vmbus_transport transport; /* first */
        const struct vmbus_platform *platform;
        struct vmbus_mailbox *pages; /* shared */
        /* Rings the doorbell of a peer; context any. */
        void (*doorbell)(void *context, uint16_t peer, uint16_t vector);
        void *doorbell_context;
        uint16_t own_peer, host_peer;
        bool running;
        uint8_t fault; /* enum vmbus_mailbox_fault, atomic */
        uint32_t generation;
        uint64_t ram_bytes; /* the host's, told in its header */
        struct vmbus_upcalls upcalls;
        struct spinlock post_lock;
        uint32_t post_tail, post_head; /* ours, and the host's last one */
        struct spinlock take_lock;
        uint32_t take_head;
        uint32_t taking; /* CPUs that take events now, each its own; atomic */
        /* CPUs 0 .. that events can go to, 1 .. VMBUS_MAILBOX_VPS: at first as many as there are.
         * Who connects the vectors lowers it, before start(), when some CPU has none. */
        uint32_t vp_count;
};

/* What vmbus_mailbox_transport_init needs beside its struct. */
struct vmbus_mailbox_config {
        const struct vmbus_platform *platform;
        struct vmbus_mailbox *pages;
        uint16_t own_peer;
        void (*doorbell)(void *context, uint16_t peer, uint16_t vector);
        void *doorbell_context;
};

/* Looks at the header.
 *   returns  ZX_OK; ZX_ERR_NOT_FOUND: these pages are somebody else's (magic);
 *            ZX_ERR_NOT_SUPPORTED: another version of the layout; ZX_ERR_UNAVAILABLE: the host is
 *            not ready; ZX_ERR_IO_DATA_INTEGRITY: its peer number is none */
zx_status_t MUST_CHECK vmbus_mailbox_transport_init(struct vmbus_mailbox_transport *mailbox,
                                                    const struct vmbus_mailbox_config *config);

/* A doorbell rang: takes what is there, a bounded amount.
 *   vector  VMBUS_MAILBOX_VECTOR_..., below VMBUS_MAILBOX_VECTORS */
void vmbus_mailbox_interrupt(struct vmbus_mailbox_transport *mailbox, uint16_t vector);

#endif
