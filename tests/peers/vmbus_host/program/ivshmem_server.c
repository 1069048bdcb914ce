/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* ivshmem_server — see the header. */
#define _GNU_SOURCE
#include "tests/peers/vmbus_host/program/ivshmem_server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/peers/vmbus_host/program/unix_listener.h"

#define PROTOCOL_VERSION 0
#define NO_PEER (-1) /* the message that carries the memory */

static bool complain(const char *what)
{
        fprintf(stderr, "vmbus-host: %s: %s\n", what, strerror(errno));
        return false;
}

static bool make_eventfds(int *files, unsigned count)
{
        for (unsigned i = 0; i < count; i++) {
                files[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
                if (files[i] < 0)
                        return false;
        }
        return true;
}

static void close_eventfds(const int *files, unsigned count)
{
        for (unsigned i = 0; i < count; i++)
                if (files[i] >= 0)
                        close(files[i]);
}

bool ivshmem_server_start(struct ivshmem_server *server, const char *path)
{
        *server = (struct ivshmem_server){.listener = -1, .client = -1, .memory_file = -1};
        for (unsigned i = 0; i < VMBUS_MAILBOX_VECTORS_TO_HOST; i++)
                server->from_guest[i] = -1;
        for (unsigned i = 0; i < VMBUS_MAILBOX_VECTORS; i++)
                server->to_guest[i] = -1;
        server->memory_file = memfd_create("vmbus-mailbox", MFD_CLOEXEC);
        if (server->memory_file < 0 || ftruncate(server->memory_file, VMBUS_MAILBOX_BYTES) != 0)
                return complain("cannot make shared memory");
        server->memory = mmap(NULL, VMBUS_MAILBOX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                              server->memory_file, 0);
        if (server->memory == MAP_FAILED) {
                server->memory = NULL;
                return complain("cannot map shared memory");
        }
        if (!make_eventfds(server->from_guest, VMBUS_MAILBOX_VECTORS_TO_HOST) ||
            !make_eventfds(server->to_guest, VMBUS_MAILBOX_VECTORS))
                return complain("cannot make an eventfd");
        server->listener = unix_listener_open("--socket", path, 1);
        if (server->listener < 0)
                return false;
        server->path = path;
        return true;
}

/* One message: a number of 64 bits, and a file descriptor with it or -1. */
static bool tell(int client, int64_t number, int file)
{
        struct iovec vector = {&number, sizeof(number)};
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
        if (file >= 0) {
                message.msg_control = control.bytes;
                message.msg_controllen = sizeof(control.bytes);
                struct cmsghdr *head = CMSG_FIRSTHDR(&message);
                head->cmsg_level = SOL_SOCKET;
                head->cmsg_type = SCM_RIGHTS;
                head->cmsg_len = CMSG_LEN(sizeof(int));
                memcpy(CMSG_DATA(head), &file, sizeof(int));
        }
        return sendmsg(client, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(number);
}

static bool tell_everything(const struct ivshmem_server *server)
{
        int client = server->client;
        bool good = tell(client, PROTOCOL_VERSION, -1) && tell(client, IVSHMEM_GUEST_ID, -1) &&
                    tell(client, NO_PEER, server->memory_file);
        for (unsigned i = 0; i < VMBUS_MAILBOX_VECTORS_TO_HOST; i++)
                good = good && tell(client, IVSHMEM_OUR_ID, server->from_guest[i]);
        for (unsigned i = 0; i < VMBUS_MAILBOX_VECTORS; i++)
                good = good && tell(client, IVSHMEM_GUEST_ID, server->to_guest[i]);
        return good;
}

bool ivshmem_server_accept(struct ivshmem_server *server)
{
        int client = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
                return false;
        if (server->client >= 0) {
                fprintf(stderr, "vmbus-host: a second emulator wants in; there is room for one\n");
                close(client);
                return false;
        }
        server->client = client;
        for (unsigned i = 0; i < VMBUS_MAILBOX_VECTORS_TO_HOST; i++)
                (void)ivshmem_server_rung(server, i); /* of the one before */
        for (unsigned i = 0; i < VMBUS_MAILBOX_VECTORS; i++) {
                uint64_t count;
                (void)!read(server->to_guest[i], &count, sizeof(count));
        }
        if (tell_everything(server))
                return true;
        fprintf(stderr, "vmbus-host: the emulator left while it was told of the memory\n");
        close(client);
        server->client = -1;
        return false;
}

bool ivshmem_server_client_gone(struct ivshmem_server *server)
{
        char byte;
        ssize_t got = recv(server->client, &byte, 1, MSG_DONTWAIT);
        if (got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR)))
                return false; /* what it says means nothing */
        close(server->client);
        server->client = -1;
        return true;
}

void ivshmem_server_ring(struct ivshmem_server *server, unsigned vector)
{
        const uint64_t one = 1;
        (void)!write(server->to_guest[vector], &one, sizeof(one)); /* full: rung often enough */
}

bool ivshmem_server_rung(struct ivshmem_server *server, unsigned vector)
{
        uint64_t count;
        return read(server->from_guest[vector], &count, sizeof(count)) == (ssize_t)sizeof(count);
}

void ivshmem_server_stop(struct ivshmem_server *server)
{
        close_eventfds(server->from_guest, VMBUS_MAILBOX_VECTORS_TO_HOST);
        close_eventfds(server->to_guest, VMBUS_MAILBOX_VECTORS);
        if (server->client >= 0)
                close(server->client);
        if (server->listener >= 0)
                close(server->listener);
        if (server->path != NULL)
                unlink(server->path);
        if (server->memory != NULL)
                munmap(server->memory, VMBUS_MAILBOX_BYTES);
        if (server->memory_file >= 0)
                close(server->memory_file);
}
