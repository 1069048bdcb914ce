/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* unix_listener — see the header. */
#define _GNU_SOURCE
#include "tests/peers/vmbus_host/program/unix_listener.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* As link(), but what is there already is said as bind() says it. */
static bool give_name(const char *from, const char *path)
{
        if (link(from, path) == 0)
                return true;
        if (errno == EEXIST)
                errno = EADDRINUSE;
        return false;
}

/* A descriptor, or -1 with errno; nothing is left then. */
static int open_listener(const char *path, int backlog)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        if (strlen(path) > UNIX_LISTENER_PATH_MAX) {
                errno = ENAMETOOLONG;
                return -1;
        }
        snprintf(address.sun_path, sizeof(address.sun_path), "%s.%d", path, (int)getpid());
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (listener < 0)
                return -1;
        bool bound = bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0;
        bool listens = bound && listen(listener, backlog) == 0 &&
                       give_name(address.sun_path, path);
        int error = errno;
        if (bound)
                unlink(address.sun_path);
        if (listens)
                return listener;
        close(listener);
        errno = error;
        return -1;
}

int unix_listener_open(const char *option, const char *path, int backlog)
{
        int listener = open_listener(path, backlog);
        if (listener < 0 && errno == ENAMETOOLONG)
                fprintf(stderr, "vmbus-host: %s: the path is longer than %zu bytes: %s\n", option,
                        UNIX_LISTENER_PATH_MAX, path);
        else if (listener < 0)
                fprintf(stderr, "vmbus-host: %s: cannot listen at %s: %s\n", option, path,
                        strerror(errno));
        return listener;
}
