/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A tap, see tap_port.h. */
#include "tests/peers/vhost-user-net/tap_port.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TAP_DEVICE "/dev/net/tun"

struct tap_port {
        struct net_port port; /* first */
        int fd;
        struct poller *poller;
        struct poller_watch watch;
        unsigned offloads; /* TUN_F_... */
};

static void take(struct net_port *port, struct net_batch *batch)
{
        struct tap_port *tap = CONTAINER_OF(port, struct tap_port, port);
        while (net_batch_has_room(batch)) {
                uint8_t *data = net_batch_place(batch);
                ssize_t got = read(tap->fd, data - NET_HEADER_BYTES,
                                   NET_HEADER_BYTES + NET_FRAME_BYTES_MAX);
                if (got < (ssize_t)(NET_HEADER_BYTES + ETHERNET_HEADER_BYTES))
                        break;
                struct net_header *header = (struct net_header *)(void *)(data - NET_HEADER_BYTES);
                header->flags &= (uint8_t)BIT_MASK(NET_NEEDS_CSUM_BIT);
                header->buffers = 0;
                net_batch_add(batch, (uint32_t)got - NET_HEADER_BYTES, NET_PAIR_ANY);
        }
}

static enum net_delivery deliver(struct net_port *port, struct net_frame_place *frame)
{
        struct tap_port *tap = CONTAINER_OF(port, struct tap_port, port);
        ssize_t bytes = (ssize_t)(NET_HEADER_BYTES + frame->bytes);
        net_frame_header(frame)->buffers = 0;
        if (write(tap->fd, frame->data - NET_HEADER_BYTES, (size_t)bytes) == bytes)
                return NET_DELIVERED;
        if (errno == EAGAIN || errno == ENOBUFS)
                port->counters.dropped_full++;
        else if (errno == EIO) /* it is down */
                port->counters.dropped_down++;
        else
                port->counters.dropped_offload++; /* the kernel does not like its header */
        return NET_DROPPED;
}

static void flush(struct net_port *port)
{
}

/* The watch wakes as long as there is something to read: nothing to ask for. */
static bool ask_nothing(struct net_port *port)
{
        return false;
}

static bool must_poll(const struct net_port *port)
{
        return false;
}

static void tick(struct net_port *port)
{
}

static void readable(struct poller_watch *watch)
{
}

static void close_tap(struct net_port *port)
{
        struct tap_port *tap = CONTAINER_OF(port, struct tap_port, port);
        poller_remove(tap->poller, &tap->watch);
        close(tap->fd);
        free(tap);
}

void tap_port_set_offloads(struct net_port *port, uint64_t features)
{
        struct tap_port *tap = CONTAINER_OF(port, struct tap_port, port);
        unsigned offloads = 0;
        if (features & BIT_MASK(NET_F_GUEST_CSUM_BIT)) {
                offloads = TUN_F_CSUM;
                if (features & BIT_MASK(NET_F_GUEST_TSO4_BIT))
                        offloads |= TUN_F_TSO4;
                if (features & BIT_MASK(NET_F_GUEST_TSO6_BIT))
                        offloads |= TUN_F_TSO6;
        }
        if (offloads != tap->offloads && ioctl(tap->fd, TUNSETOFFLOAD, offloads) == 0)
                tap->offloads = offloads;
}

struct net_port *tap_port_new(const char *name, struct poller *poller)
{
        static const struct net_port_ops ops = {.take = take, .deliver = deliver, .flush = flush,
                                                .ask_source = ask_nothing, .ask_sink = ask_nothing,
                                                .must_poll = must_poll, .tick = tick,
                                                .close = close_tap};
        struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
        int header_bytes = NET_HEADER_BYTES;
        struct tap_port *tap = calloc(1, sizeof(*tap));
        if (tap == NULL || strlen(name) >= sizeof(request.ifr_name)) {
                fprintf(stderr, "%s: the name of a tap has at most %zu bytes\n", name,
                        sizeof(request.ifr_name) - 1);
                free(tap);
                return NULL;
        }
        strcpy(request.ifr_name, name);
        snprintf(tap->port.name, sizeof(tap->port.name), "tap:%s", name);
        tap->port.ops = &ops;
        tap->poller = poller;
        tap->watch = (struct poller_watch){.ready = readable, .fd = -1};
        tap->fd = open(TAP_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (tap->fd >= 0 && ioctl(tap->fd, TUNSETIFF, &request) == 0 &&
            ioctl(tap->fd, TUNSETVNETHDRSZ, &header_bytes) == 0 &&
            ioctl(tap->fd, TUNSETOFFLOAD, 0) == 0 &&
            poller_add(poller, &tap->watch, tap->fd, POLLER_READABLE))
                return &tap->port;
        fprintf(stderr, "tap %s: %s\n", name, strerror(errno));
        if (tap->fd >= 0)
                close(tap->fd);
        free(tap);
        return NULL;
}
