/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vhost_vring — one ring of a front end: what its messages said of it, and the device's end of the
 * virtqueue while it runs.
 *
 *   stopped --(size, addresses, kick descriptor)--> running --(GET_VRING_BASE)--> stopped
 *                                                      |  the memory goes: halted
 *                                                      |  the driver breaks a rule: broken
 *
 * Every walk through the ring is lib/virtqueue's; nothing here looks into it. All chains that were
 * taken are given back, in their order, before control returns from a batch: a ring that stands
 * still has none in flight, and where it stands is one position.
 *
 * Owner       the descriptors that were handed over; slots and elements while it runs
 * Peer        the front end gives numbers (checked at the latest in vhost_vring_start()), the
 *             driver writes the ring (checked by virtqueue_device)
 * Context     one thread
 * Facts       docs/interop/vhost-user.rst of QEMU 7.2; spec/virtio.md, 13 */
#ifndef TESTS_PEERS_VHOST_VRING_H
#define TESTS_PEERS_VHOST_VRING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "tests/peers/vhost-user-net/vhost_memory.h"
#include "tests/peers/vhost-user-net/vhost_wire.h"
#include "virtqueue/virtqueue_device.h"

/* Pieces of all chains that are in the works at one time: this many times the ring's size. */
#define VHOST_VRING_ELEMENTS_FACTOR 4u

struct vhost_vring {
        struct vhost_vring_addresses addresses;
        uint32_t size;        /* 0: not said yet */
        uint32_t base;        /* as SET_VRING_BASE said it, or where it was stopped */
        bool addresses_set;
        bool kickable;        /* a kick descriptor came, or the word that there is none */
        bool enabled;
        bool running;         /* `device` is up */
        bool halted;          /* would run, but its areas are in no memory now */
        bool fault_reported;
        bool asked;           /* the driver was asked for a kick */
        int kick_fd, call_fd, error_fd; /* -1: none */
        struct virtqueue_device device;
        struct virtqueue_device_slot *slots;
        struct virtqueue_element *elements;
        uint32_t elements_max;
        uint64_t calls;       /* signals sent */
        uint64_t kicks;       /* received */
};

/* What a ring is told of the connection when it starts. */
struct vhost_vring_start {
        const struct vhost_memory *memory;
        uint64_t features;
};

void vhost_vring_init(struct vhost_vring *ring);

/* Stops it and closes its descriptors; it is as after init. */
void vhost_vring_fini(struct vhost_vring *ring);

/* Whether all is there that a ring needs to run. */
static inline bool vhost_vring_ready(const struct vhost_vring *ring)
{
        return ring->size != 0 && ring->addresses_set && ring->kickable;
}

/* Starts a ring that is ready, at its base.
 *   why      VHOST_WHY_BYTES
 *   returns  false: what the front end said cannot be; it does not run */
bool MUST_CHECK vhost_vring_start(struct vhost_vring *ring, const struct vhost_vring_start *start,
                                  char *why);

/* Stops it; its base is where it stands then. */
void vhost_vring_stop(struct vhost_vring *ring);

/* Interrupts the driver, if it wants that; false: the call descriptor cannot take it. */
bool MUST_CHECK vhost_vring_signal(struct vhost_vring *ring);

/* Interrupts it whatever it wants: after the descriptor was changed. */
bool MUST_CHECK vhost_vring_signal_always(struct vhost_vring *ring);

/* Asks for a kick: true when there is work already. */
bool MUST_CHECK vhost_vring_ask(struct vhost_vring *ring);

/* Takes that back. */
void vhost_vring_mute(struct vhost_vring *ring);

/* True, once, when the driver has broken a rule; the error descriptor was written to then. */
bool vhost_vring_broken(struct vhost_vring *ring);

#endif
