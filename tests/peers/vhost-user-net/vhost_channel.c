/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Messages over a unix socket, see vhost_channel.h. Relies on recvmsg() handing over the
 * descriptors with the first byte that they were sent with. Facts: unix(7), cmsg(3). */
#define _GNU_SOURCE
#include "tests/peers/vhost-user-net/vhost_channel.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void vhost_channel_open(struct vhost_channel *channel, int socket)
{
        memset(channel, 0, sizeof(*channel));
        channel->socket = socket;
}

void vhost_channel_release(struct vhost_channel *channel)
{
        struct vhost_message *message = &channel->message;
        for (uint32_t i = 0; i < message->fds_count; i++)
                if (message->fds[i] >= 0)
                        close(message->fds[i]);
        memset(message, 0, sizeof(*message));
        channel->received_bytes = 0;
}

void vhost_channel_close(struct vhost_channel *channel)
{
        vhost_channel_release(channel);
        close(channel->socket);
        channel->socket = -1;
}

/* Keeps the descriptors that came along; false: more than a message may have (all are closed, or
 * kept and closed with the message). */
static bool keep_fds(struct vhost_message *message, struct msghdr *received)
{
        bool fits = !(received->msg_flags & MSG_CTRUNC);
        for (struct cmsghdr *part = CMSG_FIRSTHDR(received); part != NULL;
             part = CMSG_NXTHDR(received, part)) {
                if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
                        continue;
                size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < count; i++) {
                        int fd;
                        memcpy(&fd, CMSG_DATA(part) + i * sizeof(fd), sizeof(fd));
                        if (message->fds_count < VHOST_FDS_MAX) {
                                message->fds[message->fds_count++] = fd;
                        } else {
                                close(fd);
                                fits = false;
                        }
                }
        }
        return fits;
}

/* One read of at most what the message still lacks. */
static ssize_t read_some(struct vhost_channel *channel, void *to, size_t bytes, bool *fds_fit)
{
        union {
                struct cmsghdr align;
                char bytes[CMSG_SPACE(sizeof(int) * VHOST_FDS_MAX)];
        } control;
        struct iovec piece = {.iov_base = to, .iov_len = bytes};
        struct msghdr received = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control,
                                  .msg_controllen = sizeof(control)};
        ssize_t got = recvmsg(channel->socket, &received, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        *fds_fit = got <= 0 || keep_fds(&channel->message, &received);
        return got;
}

/* Whether the header is that of a message; it is looked at when its last byte has come. */
static bool header_good(const struct vhost_header *header, char *why)
{
        if ((header->flags & VHOST_VERSION_MASK) != VHOST_VERSION)
                snprintf(why, VHOST_WHY_BYTES, "message %u is of version %u, only 1 is known",
                         header->request, header->flags & VHOST_VERSION_MASK);
        else if (header->flags & BIT_MASK(VHOST_REPLY_BIT))
                snprintf(why, VHOST_WHY_BYTES, "message %u is a reply, to no question",
                         header->request);
        else if (header->bytes > sizeof(union vhost_payload))
                snprintf(why, VHOST_WHY_BYTES, "message %u has %u bytes, the longest has %zu",
                         header->request, header->bytes, sizeof(union vhost_payload));
        else
                return true;
        return false;
}

/* When a read has brought nothing: what that means. */
static enum vhost_channel_result no_bytes(const struct vhost_channel *channel, ssize_t got,
                                          char *why)
{
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
                return VHOST_CHANNEL_AGAIN;
        if (got < 0 && errno != ECONNRESET) {
                snprintf(why, VHOST_WHY_BYTES, "reading from the socket: %s", strerror(errno));
                return VHOST_CHANNEL_BROKEN;
        }
        if (channel->received_bytes == 0)
                return VHOST_CHANNEL_CLOSED;
        snprintf(why, VHOST_WHY_BYTES, "the connection ended after %u bytes of a message",
                 channel->received_bytes);
        return VHOST_CHANNEL_BROKEN;
}

enum vhost_channel_result vhost_channel_receive(struct vhost_channel *channel, char *why)
{
        struct vhost_message *message = &channel->message;
        for (;;) { /* each turn takes at least a byte of one message, which has an end */
                uint32_t at = channel->received_bytes;
                bool in_header = at < VHOST_HEADER_BYTES;
                uint32_t end = VHOST_HEADER_BYTES + (in_header ? 0 : message->header.bytes);
                bool fds_fit;
                if (!in_header && at == end)
                        return VHOST_CHANNEL_MESSAGE;
                char *to = in_header ? (char *)&message->header + at :
                                       (char *)&message->payload + (at - VHOST_HEADER_BYTES);
                ssize_t got = read_some(channel, to, end - at, &fds_fit);
                if (got <= 0)
                        return no_bytes(channel, got, why);
                channel->received_bytes += (uint32_t)got;
                if (!fds_fit) {
                        snprintf(why, VHOST_WHY_BYTES, "more than %u descriptors in a message",
                                 VHOST_FDS_MAX);
                        return VHOST_CHANNEL_BROKEN;
                }
                if (in_header && channel->received_bytes == VHOST_HEADER_BYTES &&
                    !header_good(&message->header, why))
                        return VHOST_CHANNEL_BROKEN;
        }
}

bool vhost_channel_reply(struct vhost_channel *channel, const void *payload, uint32_t bytes)
{
        struct vhost_header header = {
                .request = channel->message.header.request,
                .flags = VHOST_VERSION | BIT_MASK(VHOST_REPLY_BIT),
                .bytes = bytes,
        };
        struct iovec pieces[] = {{.iov_base = &header, .iov_len = sizeof(header)},
                                 {.iov_base = (void *)(uintptr_t)payload, .iov_len = bytes}};
        struct msghdr sent = {.msg_iov = pieces, .msg_iovlen = 2};
        ssize_t put = sendmsg(channel->socket, &sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        return put == (ssize_t)(sizeof(header) + bytes);
}
