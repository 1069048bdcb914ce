/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* bridge — see the header. Facts: QEMU 7.2, net/stream.c; Linux,
 * Documentation/networking/tuntap. */
#define _GNU_SOURCE
#include "tests/peers/vmbus_host/program/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_tun.h>

#define LENGTH_BYTES 4u

static bool complain(const char *what, const char *which)
{
        fprintf(stderr, "vmbus-host: %s %s: %s\n", what, which, strerror(errno));
        return false;
}

/* ---- frames ---- */

static void give(void *context, const void *frame, uint32_t bytes)
{
        struct bridge *bridge = context;
        uint8_t length[LENGTH_BYTES] = {(uint8_t)(bytes >> 24), (uint8_t)(bytes >> 16),
                                        (uint8_t)(bytes >> 8), (uint8_t)bytes};
        struct iovec parts[2] = {{length, sizeof(length)}, {(void *)(uintptr_t)frame, bytes}};
        if (bridge->file < 0)
                return;
        if (!bridge->stream) {
                if (write(bridge->file, frame, bytes) != (ssize_t)bytes)
                        bridge->lost++;
                return;
        }
        ssize_t sent = writev(bridge->file, parts, 2);
        if (sent <= 0) {
                bridge->lost++;
                return;
        }
        /* A stream may not lose half a frame: the rest goes out however long that takes. */
        uint32_t done = (uint32_t)sent;
        while (done < bytes + LENGTH_BYTES) {
                struct msghdr none = {0};
                const uint8_t *rest = done < LENGTH_BYTES
                                              ? length + done
                                              : (const uint8_t *)frame + done - LENGTH_BYTES;
                uint32_t left =
                        done < LENGTH_BYTES ? LENGTH_BYTES - done : bytes + LENGTH_BYTES - done;
                struct iovec part = {(void *)(uintptr_t)rest, left};
                int flags = fcntl(bridge->file, F_GETFL);
                none.msg_iov = &part;
                none.msg_iovlen = 1;
                (void)fcntl(bridge->file, F_SETFL, flags & ~O_NONBLOCK);
                sent = sendmsg(bridge->file, &none, MSG_NOSIGNAL);
                (void)fcntl(bridge->file, F_SETFL, flags);
                if (sent <= 0) {
                        bridge->lost++;
                        return;
                }
                done += (uint32_t)sent;
        }
}

/* The next frame of a stream, from what has been read. */
static uint32_t take_gathered(struct bridge *bridge, void *frame, uint32_t capacity)
{
        const uint8_t *all = bridge->gathered;
        if (bridge->have < LENGTH_BYTES)
                return 0;
        uint32_t bytes = (uint32_t)all[0] << 24 | (uint32_t)all[1] << 16 | (uint32_t)all[2] << 8 |
                         all[3];
        if (bytes == 0 || bytes > BRIDGE_FRAME_BYTES_MAX) {
                fprintf(stderr,
                        "vmbus-host: the network's stream has a frame of %u bytes; closed\n",
                        bytes);
                close(bridge->file);
                bridge->file = -1;
                return 0;
        }
        if (bridge->have < LENGTH_BYTES + bytes)
                return 0;
        memcpy(frame, all + LENGTH_BYTES, bytes < capacity ? bytes : capacity);
        bridge->have -= LENGTH_BYTES + bytes;
        memmove(bridge->gathered, all + LENGTH_BYTES + bytes, bridge->have);
        return bytes;
}

static uint32_t take(void *context, void *frame, uint32_t capacity)
{
        struct bridge *bridge = context;
        if (bridge->file < 0)
                return 0;
        if (!bridge->stream) {
                struct iovec part = {frame, capacity};
                ssize_t got = readv(bridge->file, &part, 1);
                return got > 0 ? (uint32_t)got : 0;
        }
        uint32_t bytes = take_gathered(bridge, frame, capacity);
        if (bytes != 0 || bridge->file < 0)
                return bytes;
        ssize_t got = read(bridge->file, bridge->gathered + bridge->have,
                           sizeof(bridge->gathered) - bridge->have);
        if (got > 0) {
                bridge->have += (uint32_t)got;
                return take_gathered(bridge, frame, capacity);
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
                fprintf(stderr, "vmbus-host: the network's socket was closed\n");
                close(bridge->file);
                bridge->file = -1;
        }
        return 0;
}

/* ---- connections ---- */

static bool open_tap(struct bridge *bridge, const char *name)
{
        struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
        bridge->file = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
        if (bridge->file < 0)
                return complain("cannot open", "/dev/net/tun");
        if (strlen(name) >= sizeof(request.ifr_name)) {
                errno = ENAMETOOLONG;
                return complain("tap", name);
        }
        strcpy(request.ifr_name, name);
        return ioctl(bridge->file, TUNSETIFF, &request) == 0 || complain("tap", name);
}

static bool open_path(struct bridge *bridge, const char *path, bool stream)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX}, local = {.sun_family = AF_UNIX};
        if (strlen(path) + sizeof(".vmbus-host") > sizeof(address.sun_path)) {
                errno = ENAMETOOLONG;
                return complain("socket", path);
        }
        strcpy(address.sun_path, path);
        bridge->file = socket(AF_UNIX, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
        if (bridge->file < 0)
                return complain("socket", path);
        if (!stream) {
                snprintf(local.sun_path, sizeof(local.sun_path), "%s.vmbus-host", path);
                if (bind(bridge->file, (struct sockaddr *)&local, sizeof(local)) != 0)
                        return complain("cannot bind", local.sun_path);
                bridge->local_path = strdup(local.sun_path);
        }
        return connect(bridge->file, (struct sockaddr *)&address, sizeof(address)) == 0 ||
               complain("cannot connect to", path);
}

static bool open_host(struct bridge *bridge, const char *where)
{
        struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *found = NULL;
        char host[256];
        const char *colon = strrchr(where, ':');
        if (colon == NULL || (size_t)(colon - where) >= sizeof(host)) {
                fprintf(stderr, "vmbus-host: %s: expected HOST:PORT\n", where);
                return false;
        }
        memcpy(host, where, (size_t)(colon - where));
        host[colon - where] = '\0';
        int error = getaddrinfo(host, colon + 1, &wanted, &found);
        if (error != 0) {
                fprintf(stderr, "vmbus-host: %s: %s\n", where, gai_strerror(error));
                return false;
        }
        bridge->file = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool good = bridge->file >= 0 &&
                    connect(bridge->file, found->ai_addr, found->ai_addrlen) == 0;
        if (!good)
                (void)complain("cannot connect to", where);
        freeaddrinfo(found);
        return good;
}

bool bridge_start(struct bridge *bridge, const char *network)
{
        memset(bridge, 0, sizeof(*bridge));
        bridge->file = -1;
        bridge->port =
                (struct vmbus_host_frame_port){.context = bridge, .give = give, .take = take};
        vmbus_host_responder_init(&bridge->responder);
        bool good = true;
        if (strcmp(network, "responder") == 0) {
                bridge->port = bridge->responder.port;
                bridge->responds = true;
        } else if (strncmp(network, "tap=", 4) == 0) {
                good = open_tap(bridge, network + 4);
        } else if (strncmp(network, "socket=/", 8) == 0) {
                bridge->stream = true;
                good = open_path(bridge, network + 7, true);
        } else if (strncmp(network, "socket=", 7) == 0) {
                bridge->stream = true;
                good = open_host(bridge, network + 7);
        } else if (strncmp(network, "dgram=/", 7) == 0) {
                good = open_path(bridge, network + 6, false);
        } else if (strcmp(network, "none") != 0) {
                fprintf(stderr, "vmbus-host: --net %s: expected responder, none, tap=INTERFACE, "
                                "socket=HOST:PORT, socket=/PATH or dgram=/PATH\n", network);
                return false;
        }
        if (good && bridge->file >= 0)
                (void)fcntl(bridge->file, F_SETFL, fcntl(bridge->file, F_GETFL) | O_NONBLOCK);
        return good;
}

void bridge_stop(struct bridge *bridge)
{
        if (bridge->file >= 0)
                close(bridge->file);
        if (bridge->local_path != NULL) {
                unlink(bridge->local_path);
                free(bridge->local_path);
        }
}
