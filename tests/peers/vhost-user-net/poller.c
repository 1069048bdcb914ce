/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* epoll behind poller.h. */
#include "tests/peers/vhost-user-net/poller.h"

#include <sys/epoll.h>

#define EVENTS_MAX 32

bool poller_init(struct poller *poller)
{
        poller->epoll = epoll_create1(EPOLL_CLOEXEC);
        return poller->epoll >= 0;
}

bool poller_add(struct poller *poller, struct poller_watch *watch, int fd, enum poller_kind kind)
{
        struct epoll_event event = {.events = EPOLLIN | (kind == POLLER_EDGES ? EPOLLET : 0u),
                                    .data.ptr = watch};
        if (epoll_ctl(poller->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
                return false;
        watch->fd = fd;
        return true;
}

void poller_remove(struct poller *poller, struct poller_watch *watch)
{
        if (watch->fd >= 0)
                epoll_ctl(poller->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
        watch->fd = -1;
}

void poller_wait(struct poller *poller, int timeout_ms)
{
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(poller->epoll, events, EVENTS_MAX, timeout_ms);
        for (int i = 0; i < count; i++) {
                struct poller_watch *watch = events[i].data.ptr;
                if (watch->fd >= 0)
                        watch->ready(watch);
        }
}
