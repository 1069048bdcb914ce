/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* unix_listener — a Unix socket that listens when it comes to be seen under its name: who waits for
 * the name and then connects is never refused. bind() alone leaves a moment in which it is.
 *
 * Facts: unix(7), listen(2), link(2). */
#ifndef PEERS_VMBUS_HOST_PROGRAM_UNIX_LISTENER_H
#define PEERS_VMBUS_HOST_PROGRAM_UNIX_LISTENER_H

#include <sys/un.h>

/* Bytes of a path, without the end: until the socket listens, a dot and the process's number of up
 * to ten digits are added to it. */
#define UNIX_LISTENER_PATH_MAX \
        (sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof(".1234567890"))

/* Makes the socket `path` and listens; non-blocking, closed in children.
 *   option   the one that asked for it, for what is said when it cannot be made
 *   path     up to UNIX_LISTENER_PATH_MAX; nothing may be there; on a file system with hard links
 *   backlog  as for listen()
 *   returns  the descriptor; the caller closes it and unlinks `path`. Or -1, with a sentence on the
 *            standard error: the path is too long, or what socket(), bind(), listen() or link()
 *            had against it; nothing is left then */
int unix_listener_open(const char *option, const char *path, int backlog);

#endif
