/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* control — see the header. */
#define _GNU_SOURCE
#include "tests/peers/vmbus_host/program/control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/peers/vmbus_host/program/unix_listener.h"

#define WAITING_MAX 4

bool control_start(struct control *control, const char *path)
{
        *control = (struct control){.listener = -1, .client = -1};
        if (path == NULL)
                return true;
        control->listener = unix_listener_open("--control", path, WAITING_MAX);
        if (control->listener < 0)
                return false;
        control->path = path;
        return true;
}

int control_file(const struct control *control)
{
        return control->client >= 0 ? control->client : control->listener;
}

static void hang_up(struct control *control)
{
        close(control->client);
        control->client = -1;
        control->have = 0;
}

/* Reads what there is; false: nothing, or the caller is gone. */
static bool read_more(struct control *control)
{
        ssize_t got = recv(control->client, control->gathered + control->have,
                           sizeof(control->gathered) - control->have, MSG_DONTWAIT);
        if (got > 0) {
                control->have += (uint32_t)got;
                return true;
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR))
                hang_up(control);
        return false;
}

bool control_take(struct control *control, char line[CONTROL_LINE_BYTES])
{
        if (control->listener < 0)
                return false;
        if (control->client < 0)
                control->client = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC);
        if (control->client < 0)
                return false;
        char *end = memchr(control->gathered, '\n', control->have);
        if (end == NULL && read_more(control))
                end = memchr(control->gathered, '\n', control->have);
        if (end == NULL) {
                if (control->have == sizeof(control->gathered)) {
                        control_say(control, "error: a line is shorter than that\n");
                        hang_up(control);
                }
                return false;
        }
        uint32_t bytes = (uint32_t)(end - control->gathered);
        memcpy(line, control->gathered, bytes);
        line[bytes] = '\0';
        control->have -= bytes + 1;
        memmove(control->gathered, end + 1, control->have);
        return true;
}

void control_say(struct control *control, const char *answer)
{
        if (control->client >= 0)
                (void)!send(control->client, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void control_stop(struct control *control)
{
        if (control->client >= 0)
                close(control->client);
        if (control->listener >= 0)
                close(control->listener);
        if (control->path != NULL)
                unlink(control->path);
}
