/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_mailbox — the few shared pages that stand in for a hypervisor's message and event services,
 * where VMBus runs over plain QEMU: BAR 2 of an ivshmem-doorbell device, mapped by the guest and by
 * a host program.
 *
 *   page 0   header: who is there, doorbell vectors
 *   page 1   event flags, guest to host; then host to guest, a set for each of 8 processors
 *            (2048 bits a set, one a channel)
 *   page 2   messages, guest to host: 15 slots of 256 bytes behind the indices
 *   page 3   messages, host to guest: likewise
 *
 * It is as close to the Hyper-V interface as shared memory allows: a slot holds one message of at
 * most 240 bytes as HvPostMessage takes it and as a message page shows it, an event flag is a bit
 * that one side sets and the other side clears, and a doorbell (an eventfd in the host, an MSI-X
 * vector in the guest) says no more than "look". Messages that find no free slot wait in their
 * sender, as after HV_STATUS_INSUFFICIENT_BUFFERS. Ring buffers and GPADLs are not here: they lie
 * in the guest's own memory, which the host program maps as well (memory-backend-file, share=on).
 *
 * A flag's number is, guest to host, the channel's connection id (the host keeps those
 * below 2048), and, host to guest, the channel's event flag number (its id, unless the guest
 * chose another). The host sets it for the processor that OpenChannel or ModifyChannel named (VP
 * n: set n) and rings that set's vector, which the guest aims at that processor: a device of
 * ivshmem has as many vectors as it is given, so each processor has one, as it has a SINT and an
 * event page of its own under Hyper-V. VP numbers are 0 to 7. Messages come through one vector,
 * as they come to one processor.
 *
 * Only the layout is here, so that both ends can be written by different hands.
 *
 * Peer        every word may change at any time: each side reads a field once, checks the copy, and
 *             keeps its own index in private memory
 * Ordering    producer: slot bytes, then `tail` with release; consumer: `tail` with acquire, slot
 *             bytes, then `head` with release; producer reads `head` with acquire. Event flags:
 *             fetch_or with release by the one side, exchange with 0 and acquire by the other. The
 *             doorbell follows the store it announces (a register write, an eventfd write)
 * Facts       spec/vmbus.md, e.1 and g.5 for sizes; QEMU
 *             docs/specs/ivshmem-spec.txt for the device */
#ifndef VMBUS_MAILBOX_VMBUS_MAILBOX_H
#define VMBUS_MAILBOX_VMBUS_MAILBOX_H

#include <stdint.h>

#define VMBUS_MAILBOX_MAGIC 0x42584d5641524150ull /* "PARAVMXB", little-endian */
#define VMBUS_MAILBOX_VERSION 2
#define VMBUS_MAILBOX_PAGE_BYTES 4096
#define VMBUS_MAILBOX_BYTES 65536 /* of BAR 2; the pages behind those above are zero and reserved */

#define VMBUS_MAILBOX_SLOTS 15
#define VMBUS_MAILBOX_SLOT_BYTES 256
#define VMBUS_MAILBOX_MESSAGE_BYTES_MAX 240
#define VMBUS_MAILBOX_FLAGS 2048

#define VMBUS_MAILBOX_VPS 8

/* Doorbell vectors. To the host: these two. To the guest: messages, then events of each VP. */
#define VMBUS_MAILBOX_VECTOR_MESSAGE 0
#define VMBUS_MAILBOX_VECTOR_EVENT 1 /* host to guest: of VP 0; that of VP n is n more */
#define VMBUS_MAILBOX_VECTORS_TO_HOST 2
#define VMBUS_MAILBOX_VECTORS (VMBUS_MAILBOX_VECTOR_EVENT + VMBUS_MAILBOX_VPS)

/* State words of page 0. A side writes its own only. */
enum vmbus_mailbox_state {
        VMBUS_MAILBOX_ABSENT = 0,
        VMBUS_MAILBOX_READY = 1, /* may be sent to */
        VMBUS_MAILBOX_RESET = 2, /* guest only: begins anew; the host forgets every channel,
                                  * zeroes pages 1 to 3, then sets its own `generation` to match */
};

struct vmbus_mailbox_header {
        uint64_t magic;            /* host, before anything else is valid */
        uint32_t version;          /* host */
        uint32_t host_state;       /* host: enum vmbus_mailbox_state */
        uint32_t host_peer;        /* host: its ivshmem id, for the guest's doorbell register */
        uint32_t host_generation;  /* host: follows guest_generation when a reset is done */
        /* Host: bytes of guest memory it has mapped; GPA = file offset. */
        uint64_t ram_bytes;
        uint8_t host_reserved[32];
        uint32_t guest_state;      /* guest, at 64 */
        uint32_t guest_peer;       /* guest: its own ivshmem id */
        uint32_t guest_generation; /* guest: a new number, not 0, with each RESET */
};

/* One message, as in a Hyper-V message page (spec g.5). */
struct vmbus_mailbox_slot {
        uint32_t type;  /* 1: VMBus */
        uint8_t bytes;  /* of payload, at most VMBUS_MAILBOX_MESSAGE_BYTES_MAX */
        uint8_t flags;  /* 0 */
        uint16_t zero;
        uint64_t connection_id; /* guest to host: as given to HvPostMessage; host to guest: 0 */
        uint8_t payload[VMBUS_MAILBOX_MESSAGE_BYTES_MAX];
};

/* Free-running indices: tail - head slots are full, slot number is index % VMBUS_MAILBOX_SLOTS; a
 * difference above VMBUS_MAILBOX_SLOTS is a broken peer. Indices wrap at 15 x 2^28 (so that the
 * remainder stays true). */
#define VMBUS_MAILBOX_INDEX_LIMIT 4026531840u

struct vmbus_mailbox_messages {
        uint32_t tail; /* producer */
        uint8_t tail_pad[124];
        uint32_t head; /* consumer */
        uint8_t head_pad[124];
        struct vmbus_mailbox_slot slots[VMBUS_MAILBOX_SLOTS];
};

struct vmbus_mailbox_events {
        uint64_t flags[VMBUS_MAILBOX_FLAGS / 64];
};

struct vmbus_mailbox {
        union {
                struct vmbus_mailbox_header header;
                uint8_t header_page[VMBUS_MAILBOX_PAGE_BYTES];
        };
        struct vmbus_mailbox_events to_host, to_guest[VMBUS_MAILBOX_VPS];
        uint8_t event_pad[VMBUS_MAILBOX_PAGE_BYTES -
                          (1 + VMBUS_MAILBOX_VPS) * sizeof(struct vmbus_mailbox_events)];
        struct vmbus_mailbox_messages messages_to_host, messages_to_guest;
};

_Static_assert(sizeof(struct vmbus_mailbox_slot) == VMBUS_MAILBOX_SLOT_BYTES, "a slot");
_Static_assert(sizeof(struct vmbus_mailbox_messages) == VMBUS_MAILBOX_PAGE_BYTES, "a page");
_Static_assert(sizeof(struct vmbus_mailbox) == 4 * VMBUS_MAILBOX_PAGE_BYTES, "four pages");
_Static_assert(__builtin_offsetof(struct vmbus_mailbox_header, guest_state) == 64, "own line");
_Static_assert(VMBUS_MAILBOX_INDEX_LIMIT % VMBUS_MAILBOX_SLOTS == 0, "wrap");

#endif
