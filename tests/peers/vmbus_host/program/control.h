/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* control — a Unix socket on which lines of text are orders, and each gets its answer.
 *
 *   socat - UNIX:PATH     rescind net   -->   ok
 *                         link sideways -->   error: ...
 *
 * One caller at a time; the next one waits in the socket's queue. Who does not read his answers
 * loses them.
 *
 * Owner       of the socket's path, which it removes at the end
 * Errors      a sentence on the standard error, and false */
#ifndef TESTS_PEERS_VMBUS_HOST_PROGRAM_CONTROL_H
#define TESTS_PEERS_VMBUS_HOST_PROGRAM_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#define CONTROL_LINE_BYTES 80u

struct control {
        const char *path; /* NULL: not bound */
        int listener, client; /* -1: there is none */
        uint32_t have;
        char gathered[CONTROL_LINE_BYTES];
};

/* Binds the socket at `path`; NULL: there is none, and nothing ever comes. */
bool control_start(struct control *control, const char *path);
/* What poll() is to wait for: a caller, or what he says; -1: nothing. */
int control_file(const struct control *control);
/* Looks, without waiting, and takes the next line, its end replaced by '\0'; false: none now. A
 * line that does not fit ends the call. */
bool control_take(struct control *control, char line[CONTROL_LINE_BYTES]);
/* Says `answer`, with its line end, to the caller. */
void control_say(struct control *control, const char *answer);
void control_stop(struct control *control);

#endif
