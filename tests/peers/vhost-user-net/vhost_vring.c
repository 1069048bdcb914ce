/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* One ring, see vhost_vring.h. Facts: docs/interop/vhost-user.rst of QEMU 7.2; eventfd(2). */
#define _GNU_SOURCE
#include "tests/peers/vhost-user-net/vhost_vring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/shared.h"
#include "tests/peers/vhost-user-net/net_header.h"
#include "tests/peers/vhost-user-net/vhost_channel.h"

/* SET_VRING_BASE of a packed ring: two positions in a word. */
#define BASE_POSITION_MASK 0xffffu
#define BASE_USED_SHIFT 16
#define BASE_BEGINNING 0x8000 /* offset 0, wrap counter 1 */

void vhost_vring_init(struct vhost_vring *ring)
{
        memset(ring, 0, sizeof(*ring));
        ring->kick_fd = ring->call_fd = ring->error_fd = -1;
}

static void close_fd(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

void vhost_vring_fini(struct vhost_vring *ring)
{
        if (ring->running)
                vhost_vring_stop(ring);
        close_fd(&ring->kick_fd);
        close_fd(&ring->call_fd);
        close_fd(&ring->error_fd);
        vhost_vring_init(ring);
}

/* The three areas by guest addresses; false: one is in no region. */
static bool find_areas(const struct vhost_vring *ring, const struct vhost_memory *memory,
                       struct virtqueue_device_config *config, char *why)
{
        const struct {
                const char *name;
                uint64_t user_address;
                uint64_t *guest_address;
        } areas[] = {
                {"descriptors", ring->addresses.descriptors, &config->descriptors_dev},
                {"available area", ring->addresses.avail, &config->driver_dev},
                {"used area", ring->addresses.used, &config->device_dev},
        };
        for (size_t i = 0; i < ARRAY_COUNT(areas); i++) {
                if (vhost_memory_guest_address(memory, areas[i].user_address,
                                               areas[i].guest_address))
                        continue;
                snprintf(why, VHOST_WHY_BYTES, "the %s at 0x%llx are in no memory region",
                         areas[i].name, (unsigned long long)areas[i].user_address);
                return false;
        }
        return true;
}

/* The used index in the ring, from which a split ring goes on: what a predecessor took and did not
 * give back is taken again. A wrong one harms only the driver whose memory it is in. */
static bool used_index(const struct virtqueue_device_config *config, uint16_t *index)
{
        const struct virtqueue_used *used = virtqueue_device_memory_map_whole(
                &config->memory, config->device_dev, virtqueue_used_bytes(config->size),
                VIRTQUEUE_USED_ALIGN);
        if (used == NULL)
                return false;
        *index = shared_load_u16(&used->index);
        return true;
}

/* Whether the first descriptor of a packed ring was made available in a lap whose wrap
 * counter is 0 and is not used yet. In a ring that begins it never was: there its
 * flags are 0 or those of lap 1. */
static bool in_even_lap(const struct virtqueue_device_config *config)
{
        const struct virtqueue_packed_descriptor *ring = virtqueue_device_memory_map_whole(
                &config->memory, config->descriptors_dev, virtqueue_descriptors_bytes(config->size),
                VIRTQUEUE_DESCRIPTOR_ALIGN);
        const uint16_t marks =
                VIRTQUEUE_FLAG(VIRTQUEUE_AVAIL_BIT) | VIRTQUEUE_FLAG(VIRTQUEUE_USED_BIT);
        return ring != NULL &&
               (shared_load_u16(&ring->flags) & marks) ==
                       VIRTQUEUE_FLAG(VIRTQUEUE_USED_BIT);
}

/* Where to go on. A packed ring's base has two positions: where the next chain is, and where the
 * next used one goes. They are the same unless a predecessor was killed; then the second is the one
 * from which nothing gets lost. Front ends that know only one (DPDK's) leave the second 0, and
 * begin in an empty ring; 0 is also offset 0 of an even lap, which the first one tells unless it is
 * a whole lap ahead: then the ring does. */
static bool find_state(const struct vhost_vring *ring, struct virtqueue_device_config *config,
                       char *why)
{
        uint16_t position = (uint16_t)(ring->base & BASE_POSITION_MASK);
        if (config->packed) {
                if (ring->base >> BASE_USED_SHIFT != 0 || position != BASE_BEGINNING ||
                    in_even_lap(config))
                        position = (uint16_t)(ring->base >> BASE_USED_SHIFT);
        } else if (ring->base > UINT16_MAX) {
                snprintf(why, VHOST_WHY_BYTES, "base 0x%x is no index", ring->base);
                return false;
        } else if (!used_index(config, &position)) {
                snprintf(why, VHOST_WHY_BYTES,
                         "the used area is not aligned, or not in one region");
                return false;
        }
        config->state = (struct virtqueue_device_state){position, position};
        return true;
}

bool vhost_vring_start(struct vhost_vring *ring, const struct vhost_vring_start *start, char *why)
{
        struct virtqueue_device_config config = {
                .size = ring->size,
                .event_index = (start->features & BIT_MASK(NET_F_EVENT_INDEX_BIT)) != 0,
                .indirect = (start->features & BIT_MASK(NET_F_INDIRECT_BIT)) != 0,
                .packed = (start->features & BIT_MASK(NET_F_PACKED_BIT)) != 0,
                .in_order = (start->features & BIT_MASK(NET_F_IN_ORDER_BIT)) != 0,
                .resume = true,
                .memory = vhost_memory_translation(start->memory),
        };
        if (!find_areas(ring, start->memory, &config, why) || !find_state(ring, &config, why))
                return false;
        ring->elements_max = ring->size * VHOST_VRING_ELEMENTS_FACTOR;
        ring->slots = calloc(ring->size, sizeof(*ring->slots));
        ring->elements = calloc(ring->elements_max, sizeof(*ring->elements));
        config.slots = ring->slots;
        if (ring->slots == NULL || ring->elements == NULL) {
                snprintf(why, VHOST_WHY_BYTES, "no memory for %u entries", ring->size);
        } else if (virtqueue_device_init(&ring->device, &config) != ZX_OK) {
                snprintf(why, VHOST_WHY_BYTES,
                         "%s ring of %u entries at base 0x%x: a wrong size or base, or an area that"
                         " is not aligned or not in one region",
                         config.packed ? "packed" : "split", ring->size, ring->base);
        } else {
                ring->running = true;
                ring->halted = ring->fault_reported = ring->asked = false;
                virtqueue_device_mute(&ring->device);
                return true;
        }
        free(ring->slots);
        free(ring->elements);
        ring->slots = NULL;
        ring->elements = NULL;
        return false;
}

/* None is in flight, so what was published is also where the next chain is; in a broken ring, too,
 * where virtqueue_device_save() would not speak of it. */
void vhost_vring_stop(struct vhost_vring *ring)
{
        const struct virtqueue_device *device = &ring->device;
        if (!ring->running)
                return;
        virtqueue_device_publish(&ring->device);
        if (device->packed) {
                ring->base = virtqueue_packed_position(device->next_published);
                ring->base |= ring->base << BASE_USED_SHIFT;
        } else {
                ring->base = (uint16_t)device->published;
        }
        free(ring->slots);
        free(ring->elements);
        ring->slots = NULL;
        ring->elements = NULL;
        ring->running = false;
}

bool vhost_vring_signal_always(struct vhost_vring *ring)
{
        const uint64_t one = 1;
        if (ring->call_fd < 0)
                return true;
        ring->calls++;
        /* EAGAIN: its counter is full, so it is signalled. EINTR comes only from a descriptor that
         * made us wait (the program's timer ends that). */
        return write(ring->call_fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN;
}

bool vhost_vring_signal(struct vhost_vring *ring)
{
        return !virtqueue_device_signal_needed(&ring->device) || vhost_vring_signal_always(ring);
}

bool vhost_vring_ask(struct vhost_vring *ring)
{
        ring->asked = true;
        return virtqueue_device_ask(&ring->device) &&
               ring->device.fault.reason == VIRTQUEUE_DEVICE_FAULT_NONE;
}

void vhost_vring_mute(struct vhost_vring *ring)
{
        if (!ring->asked)
                return;
        ring->asked = false;
        virtqueue_device_mute(&ring->device);
}

bool vhost_vring_broken(struct vhost_vring *ring)
{
        const uint64_t one = 1;
        if (LIKELY(ring->device.fault.reason == VIRTQUEUE_DEVICE_FAULT_NONE) ||
            ring->fault_reported)
                return false;
        ring->fault_reported = true;
        if (ring->error_fd >= 0 && write(ring->error_fd, &one, sizeof(one)) < 0)
                close_fd(&ring->error_fd); /* it cannot be told that way */
        return true;
}
