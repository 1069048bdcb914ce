/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* ivshmem_server — the server of QEMU's ivshmem-doorbell device, and its only other peer.
 *
 *   QEMU -chardev socket,path=PATH,id=c -device ivshmem-doorbell,chardev=c,vectors=9
 *     <-- protocol version 0, QEMU's id, -1 with the shared memory,
 *         our id with two eventfds (rung by the guest), its id with one a vector (rung by us)
 *
 * Owner       of the socket's path, which it removes at the end, of memory and file descriptors
 * Errors      a sentence on the standard error, and false
 * Facts       QEMU 7.2, docs/specs/ivshmem-spec.txt, protocol version 0 */
#ifndef TESTS_PEERS_VMBUS_HOST_PROGRAM_IVSHMEM_SERVER_H
#define TESTS_PEERS_VMBUS_HOST_PROGRAM_IVSHMEM_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "vmbus_mailbox/vmbus_mailbox.h"

#define IVSHMEM_OUR_ID 0u
#define IVSHMEM_GUEST_ID 1u

struct ivshmem_server {
        const char *path; /* NULL: not bound */
        int listener;
        int client; /* QEMU; -1: not there */
        int memory_file;
        void *memory; /* VMBUS_MAILBOX_BYTES */
        int from_guest[VMBUS_MAILBOX_VECTORS_TO_HOST];
        int to_guest[VMBUS_MAILBOX_VECTORS];
};

/* Binds the socket and makes the memory. */
bool ivshmem_server_start(struct ivshmem_server *server, const char *path);
/* Accepts QEMU and tells it everything. False: that went wrong, or there is one already. */
bool ivshmem_server_accept(struct ivshmem_server *server);
/* Whether QEMU is gone: to be asked when its socket is readable, for it never says anything. */
bool ivshmem_server_client_gone(struct ivshmem_server *server);
/* Rings a doorbell of the guest. */
void ivshmem_server_ring(struct ivshmem_server *server, unsigned vector);
/* Takes what the guest rang; whether it did. */
bool ivshmem_server_rung(struct ivshmem_server *server, unsigned vector);
void ivshmem_server_stop(struct ivshmem_server *server);

#endif
