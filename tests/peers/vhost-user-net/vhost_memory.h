/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vhost_memory — the memory that a front end shares: its regions, mapped here, and the ways from
 * its two kinds of addresses to pointers.
 *
 *   guest address  --(what descriptors hold)--+
 *                                             +--> region --> pointer
 *   user address   --(what ring messages hold)+
 *
 * Owner       the mappings; a descriptor that is handed over stays the caller's
 * Peer        the front end: every number in a region is checked. It may also cut the file off
 *             after it was mapped: vhost_memory_fault() then puts empty pages in its place, and
 *             the table is latched as lost
 * Context     one thread; vhost_memory_fault() also in a signal handler
 * Invariants  [M1] regions overlap neither in guest nor in user addresses, and none wraps
 *             [M2] guest[i] describes regions[i], largest first (they are looked at in this order)
 * Facts       docs/interop/vhost-user.rst of QEMU 7.2, "Memory regions description" */
#ifndef TESTS_PEERS_VHOST_MEMORY_H
#define TESTS_PEERS_VHOST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "tests/peers/vhost-user-net/vhost_wire.h"
#include "virtqueue/virtqueue_device_memory.h"

#define VHOST_MEMORY_HOLDERS_MAX 64u /* of a region: the queue pairs that a front end may have */

struct vhost_mapping {
        struct vhost_region region;
        void *va;   /* of the region */
        void *base; /* of the mapping, in which the region is */
        size_t mapped_bytes;
        uint64_t device, inode; /* which file it is of */
        uint32_t holders;       /* how often it was added, 1.. */
};

struct vhost_memory {
        struct vhost_mapping mappings[VHOST_MEMORY_SLOTS];
        struct virtqueue_device_region guest[VHOST_MEMORY_SLOTS]; /* [M2] */
        struct virtqueue_device_regions table;
        volatile bool lost; /* a page was not there any more: somebody has cut the file off */
        struct vhost_memory *next; /* in the list for vhost_memory_fault() */
};

/* An empty table, known to vhost_memory_fault() until vhost_memory_fini(). */
void vhost_memory_init(struct vhost_memory *memory);
void vhost_memory_fini(struct vhost_memory *memory);

/* Unmaps everything; the table is empty then, and not lost. */
void vhost_memory_clear(struct vhost_memory *memory);

/* Maps one more region of the file `fd`. One that is there already, of the same file, has one
 * holder more: QEMU 7.2 adds each region once for every queue pair, over one connection.
 *   why      VHOST_WHY_BYTES (vhost_channel.h); says what is wrong with it
 *   returns  false: nothing has changed */
bool MUST_CHECK vhost_memory_add(struct vhost_memory *memory, const struct vhost_region *region,
                                 int fd, char *why);

/* Takes away a holder of the region with exactly these addresses and length, and unmaps it with the
 * last one; false: there is none. */
bool MUST_CHECK vhost_memory_remove(struct vhost_memory *memory,
                                    const struct vhost_region *region);

/* The guest address of a user address; false: it is in no region. */
bool MUST_CHECK vhost_memory_guest_address(const struct vhost_memory *memory, uint64_t user_address,
                                           uint64_t *guest_address);

/* For virtqueue_device: translates guest addresses. Good until the table changes. */
struct virtqueue_device_memory vhost_memory_translation(const struct vhost_memory *memory);

/* A page at `address` is not there (SIGBUS). True: it was in a table's mapping, which has empty
 * pages now and is lost; the access can be repeated. */
bool vhost_memory_fault(const void *address);

#endif
