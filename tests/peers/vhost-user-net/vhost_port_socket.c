/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* How front ends come and go, see vhost_port.h. Facts: unix(7). */
#define _GNU_SOURCE
#include "tests/peers/vhost-user-net/vhost_port_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4

static struct sockaddr_un address_of(const struct vhost_port *vhost)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        memcpy(address.sun_path, vhost->path, sizeof(address.sun_path));
        return address;
}

/* Frames of a front end that has gone are for nobody. */
static void forget_frames(struct vhost_port *vhost)
{
        struct net_batch *batch = vhost->port.batch;
        vhost->port.counters.dropped_down += batch->count - batch->next;
        net_batch_clear(batch);
        vhost->port.stalled_on = NULL;
}

static void after_session(struct vhost_port *vhost)
{
        vhost->stock.ring = NULL;
        forget_frames(vhost);
}

void vhost_port_disconnect(struct vhost_port *vhost, const char *why)
{
        if (!vhost->session.open)
                return;
        poller_remove(vhost->poller, &vhost->channel_watch);
        vhost_session_close(&vhost->session, why);
        after_session(vhost);
}

/* The socket is closed by the session, which also takes it out of the poller. */
static void message_came(struct poller_watch *watch)
{
        struct vhost_port *vhost = CONTAINER_OF(watch, struct vhost_port, channel_watch);
        vhost_session_receive(&vhost->session);
        if (!vhost->session.open) {
                vhost->channel_watch.fd = -1;
                after_session(vhost);
        }
}

static void open_session(struct vhost_port *vhost, int socket)
{
        if (!poller_add(vhost->poller, &vhost->channel_watch, socket, POLLER_READABLE)) {
                fprintf(stderr, "%s: the connection cannot be waited for: %s\n", vhost->port.name,
                        strerror(errno));
                close(socket);
                return;
        }
        vhost->sessions++;
        vhost_session_open(&vhost->session, socket);
}

static void front_end_came(struct poller_watch *watch)
{
        struct vhost_port *vhost = CONTAINER_OF(watch, struct vhost_port, listener_watch);
        int socket = accept4(vhost->listener, NULL, NULL, SOCK_CLOEXEC);
        if (socket < 0)
                return;
        if (vhost->session.open) {
                fprintf(stderr, "%s: a second front end at a time was turned away\n",
                        vhost->port.name);
                close(socket);
                return;
        }
        open_session(vhost, socket);
}

/* Removes a socket at which nobody listens any more. */
static void remove_stale(const struct vhost_port *vhost)
{
        struct sockaddr_un address = address_of(vhost);
        struct stat file;
        if (lstat(vhost->path, &file) != 0 || !S_ISSOCK(file.st_mode))
                return;
        int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (probe < 0)
                return;
        if (connect(probe, (struct sockaddr *)&address, sizeof(address)) != 0 &&
            errno == ECONNREFUSED)
                unlink(vhost->path);
        close(probe);
}

static bool start_listening(struct vhost_port *vhost)
{
        struct sockaddr_un address = address_of(vhost);
        remove_stale(vhost);
        vhost->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (vhost->listener < 0)
                return false;
        if (bind(vhost->listener, (struct sockaddr *)&address, sizeof(address)) == 0) {
                if (listen(vhost->listener, BACKLOG) == 0 &&
                    poller_add(vhost->poller, &vhost->listener_watch, vhost->listener,
                               POLLER_READABLE))
                        return true;
                unlink(vhost->path);
        }
        int error = errno;
        close(vhost->listener);
        vhost->listener = -1;
        errno = error;
        return false;
}

static void try_to_connect(struct vhost_port *vhost)
{
        struct sockaddr_un address = address_of(vhost);
        int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connection < 0)
                return;
        if (connect(connection, (struct sockaddr *)&address, sizeof(address)) == 0) {
                vhost->refused_said = false;
                open_session(vhost, connection);
                return;
        }
        if (!vhost->refused_said)
                fprintf(stderr, "%s: %s; trying again every second\n", vhost->port.name,
                        strerror(errno));
        vhost->refused_said = true;
        close(connection);
}

struct vhost_port *vhost_port_new(const char *path, bool connects, const struct vhost_offer *offer,
                                  struct poller *poller)
{
        struct vhost_port *vhost = calloc(1, sizeof(*vhost));
        if (vhost == NULL || strlen(path) >= sizeof(vhost->path)) {
                fprintf(stderr, "%s: the path of a socket has at most %zu bytes\n", path,
                        sizeof(vhost->path) - 1);
                free(vhost);
                return NULL;
        }
        strcpy(vhost->path, path);
        snprintf(vhost->port.name, sizeof(vhost->port.name), "%s", path);
        vhost->port.ops = &vhost_port_ops;
        vhost->connects = connects;
        vhost->poller = poller;
        vhost->listener = -1;
        vhost->listener_watch = (struct poller_watch){.ready = front_end_came, .fd = -1};
        vhost->channel_watch = (struct poller_watch){.ready = message_came, .fd = -1};
        vhost_session_init(&vhost->session, vhost->port.name, offer, poller);
        if (connects) {
                try_to_connect(vhost);
        } else if (!start_listening(vhost)) {
                fprintf(stderr, "%s: cannot listen: %s\n", path, strerror(errno));
                vhost_memory_fini(&vhost->session.memory);
                free(vhost);
                return NULL;
        }
        return vhost;
}

bool vhost_port_must_poll(const struct net_port *port)
{
        return vhost_session_must_poll(&CONTAINER_OF(port, const struct vhost_port, port)->session);
}

void vhost_port_tick(struct net_port *port)
{
        struct vhost_port *vhost = CONTAINER_OF(port, struct vhost_port, port);
        if (vhost->connects && !vhost->session.open)
                try_to_connect(vhost);
}

void vhost_port_close(struct net_port *port)
{
        struct vhost_port *vhost = CONTAINER_OF(port, struct vhost_port, port);
        vhost_port_disconnect(vhost, NULL);
        if (vhost->listener >= 0) {
                poller_remove(vhost->poller, &vhost->listener_watch);
                close(vhost->listener);
                unlink(vhost->path);
        }
        vhost_memory_fini(&vhost->session.memory);
        free(vhost);
}
