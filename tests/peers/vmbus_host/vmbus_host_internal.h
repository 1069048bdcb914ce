/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_internal — what the files of the host share with each other. */
#ifndef TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_INTERNAL_H
#define TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_INTERNAL_H

#include "tests/peers/vmbus_host/vmbus_host.h"

/* All features of version 6.0 that this host has. */
#define HOST_FEATURES                                                                              \
        (WIRE_FEATURE_SIGNAL_PARAMETERS | WIRE_FEATURE_MODIFY_CONNECTION |                         \
         WIRE_FEATURE_CLIENT_ID | WIRE_FEATURE_PAUSE)

/* A message that has passed the checks that all have in common, copied to an aligned place; bytes
 * behind `count` are 0. */
struct host_message {
        union {
                struct wire_header header;
                struct wire_initiate_contact contact;
                struct wire_channel channel;
                struct wire_open_channel open;
                struct wire_modify_channel modify;
                struct wire_gpadl_header gpadl;
                struct wire_gpadl_body body;
                struct wire_gpadl_teardown teardown;
                struct wire_open_reserved open_reserved;
                struct wire_close_reserved close_reserved;
                struct wire_tl_connect tl_connect;
                struct wire_modify_connection modify_connection;
                uint8_t bytes[WIRE_MESSAGE_BYTES_MAX];
                uint64_t words[WIRE_MESSAGE_BYTES_MAX / 8];
        };
        uint32_t count;
};

/* vmbus_host.c: puts a message into the queue, which has room (the callers see to it). */
void host_post(struct vmbus_host *host, uint32_t type, void *message, uint32_t bytes);
bool host_queue_full(const struct vmbus_host *host);
void host_note(struct vmbus_host *host, enum vmbus_host_rule rule, uint32_t channel, uint32_t value,
               uint32_t limit);
/* Drops what waits to be sent. */
void host_queue_clear(struct vmbus_host *host);

/* vmbus_host_contact.c */
void host_initiate_contact(struct vmbus_host *host, const struct host_message *message);
void host_request_offers(struct vmbus_host *host);
void host_unload(struct vmbus_host *host);
void host_pause(struct vmbus_host *host);
void host_resume(struct vmbus_host *host);
void host_modify_connection(struct vmbus_host *host, const struct host_message *message);
void host_tl_connect(struct vmbus_host *host, const struct host_message *message);
void host_released(struct vmbus_host *host, const struct host_message *message);
/* Ends the connection; `everything`: reserved channels as well. */
void host_disconnect(struct vmbus_host *host, bool everything);
/* Makes offers and takes them back while there is room in the queue. */
void host_send_offers(struct vmbus_host *host);

/* vmbus_host_gpadl.c */
void host_gpadl_header(struct vmbus_host *host, const struct host_message *message);
void host_gpadl_body(struct vmbus_host *host, const struct host_message *message);
void host_gpadl_teardown(struct vmbus_host *host, const struct host_message *message);
struct vmbus_host_gpadl *host_gpadl_find(struct vmbus_host *host, uint32_t channel,
                                         uint32_t handle);
/* Whether a GPADL of the channel is left. */
bool host_gpadl_any(const struct vmbus_host *host, uint32_t channel);
/* Forgets those of the channel. */
void host_gpadl_forget(struct vmbus_host *host, uint32_t channel);

/* vmbus_host_channel.c */
void host_open_channel(struct vmbus_host *host, const struct host_message *message);
void host_close_channel(struct vmbus_host *host, const struct host_message *message);
void host_modify_channel(struct vmbus_host *host, const struct host_message *message);
void host_open_reserved(struct vmbus_host *host, const struct host_message *message);
void host_close_reserved(struct vmbus_host *host, const struct host_message *message);
/* Detaches device and rings, if attached; `open` stays. */
void host_stop_channel(struct vmbus_host_channel *channel);

/* vmbus_host_serve.c: one turn of a channel; true: there is more. */
bool host_serve_channel(struct vmbus_host_channel *channel);
void host_signal(struct vmbus_host_channel *channel);

/* vmbus_host_lie.c */
bool host_lies_now(struct vmbus_host *host, enum vmbus_host_lie lie);
uint32_t host_random(struct vmbus_host *host);
/* Spoils a message before it goes out; false: it does not go out at all. `twice`: it does twice. */
bool host_lie_message(struct vmbus_host *host, struct vmbus_host_queued *message, bool *twice);
/* Spoils packets from index `from` on, before or after they are published. */
void host_lie_before_commit(struct vmbus_host_channel *channel);
void host_lie_after_commit(struct vmbus_host_channel *channel, uint32_t from);
/* At the end of a poll. */
void host_lie_poll(struct vmbus_host *host);

static inline bool host_lies(struct vmbus_host *host, enum vmbus_host_lie lie)
{
        return UNLIKELY(host->liar.rate != 0) && host_lies_now(host, lie);
}

#endif
