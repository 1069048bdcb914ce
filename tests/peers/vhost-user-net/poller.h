/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* poller — waits for descriptors (epoll) and calls whoever watches the one that became ready.
 *
 * Owner       watches are the caller's and stay where they are; a removed one may still be in the
 *             batch of events at hand, so its storage must outlive poller_wait(), not its use
 * Context     one thread
 * Facts       epoll(7) */
#ifndef TESTS_PEERS_POLLER_H
#define TESTS_PEERS_POLLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

struct poller {
        int epoll;
};

struct poller_watch {
        void (*ready)(struct poller_watch *watch);
        int fd; /* -1: not watched */
};

enum poller_kind {
        POLLER_READABLE, /* ready() is called as long as there is something to read */
        POLLER_EDGES,    /* called when something comes; nothing needs to be read (an eventfd) */
};

bool MUST_CHECK poller_init(struct poller *poller);

/* Watches `fd`, which is not watched yet; false, with errno: it cannot be. */
bool MUST_CHECK poller_add(struct poller *poller, struct poller_watch *watch, int fd,
                           enum poller_kind kind);

/* Ends that; nothing happens to a watch that is not in use. Before its descriptor is closed. */
void poller_remove(struct poller *poller, struct poller_watch *watch);

/* Waits up to `timeout_ms` (0: looks only) and calls. A signal ends it early. */
void poller_wait(struct poller *poller, int timeout_ms);

#endif
