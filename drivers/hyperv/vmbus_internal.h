/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_internal — what the files of the VMBus client share: the lock, posting, and calls, which
 * are requests that wait for the host's answer.
 *
 *   struct vmbus_call call = {.type = VMBUS_OPEN_RESULT, .channel_id = c, .id = open_id};
 *   vmbus_exchange(vmbus, &call, &message, bytes);       posts, waits; call.host_status, call.reply
 *
 * A call is on its caller's stack and in vmbus->calls until it is answered, ended or late, all
 * under vmbus.lock. Facts: spec/vmbus.md, (e). */
#ifndef DRIVERS_HYPERV_VMBUS_INTERNAL_H
#define DRIVERS_HYPERV_VMBUS_INTERNAL_H

#include "base/assert.h"
#include "base/bytes.h"
#include "drivers/hyperv/vmbus.h"
#include "drivers/hyperv/vmbus_protocol.h"

struct vmbus_call {
        struct list_node node;
        uint8_t type; /* of the message that answers, enum vmbus_message_type */
        bool done;    /* atomic; all else is written before it */
        uint32_t channel_id; /* 0: the answer names none */
        uint32_t id;         /* open id or handle; 0: none */
        zx_status_t status;
        uint32_t host_status;
        struct vmbus_version_message reply; /* of VMBUS_VERSION_RESPONSE */
        uint32_t reply_bytes;
};

static inline bool vmbus_lock(struct vmbus *vmbus)
{
        const struct vmbus_transport *transport = vmbus->config.transport;
        bool enabled = transport->ops->interrupts_disable(vmbus->config.transport);
        spinlock_take(&vmbus->lock);
        return enabled;
}

static inline void vmbus_unlock(struct vmbus *vmbus, bool enabled)
{
        spinlock_give(&vmbus->lock);
        vmbus->config.transport->ops->interrupts_restore(vmbus->config.transport, enabled);
}

/* Counts a broken rule; a fatal one breaks the connection. The lock is held. */
void vmbus_note_fault(struct vmbus *vmbus, enum vmbus_fault_rule rule, uint32_t message_type);
/* Counts one that is not fatal. Any context. */
void vmbus_count_fault(struct vmbus *vmbus, enum vmbus_fault_rule rule);

/* Moves a channel [B3]; the arrow exists, or it is our bug. The lock is held. */
void vmbus_channel_move(struct vmbus_channel *channel, enum vmbus_channel_event event);
/* Takes the device away: the host's word, or the end of the connection. The lock is held. */
void vmbus_channel_revoke(struct vmbus_channel *channel);
/* The channel with that id, NULL: none. The lock is held, or the caller checks what it finds. */
struct vmbus_channel *vmbus_channel_find(struct vmbus *vmbus, uint32_t channel_id);

/* Sets what events of a channel call; one that runs at this moment is waited for. No lock held. */
void vmbus_channel_set_callback(struct vmbus_channel *channel, vmbus_channel_fn callback,
                                void *context);

/* Answers the call that waits for this; false: nobody does. The lock is held. */
bool vmbus_call_answer(struct vmbus *vmbus, const struct vmbus_call *answer);
/* Ends calls without an answer: those of a channel that are not about GPADLs, or all (channel_id
 * 0). The lock is held. */
void vmbus_calls_end(struct vmbus *vmbus, uint32_t channel_id, zx_status_t status);

/* Sends a message on the connection's id, again and again while there is no room.
 *   returns  ZX_OK; ZX_ERR_TIMED_OUT: no room until the deadline; what the transport returns
 *   context  thread, no lock held */
zx_status_t MUST_CHECK vmbus_post(struct vmbus *vmbus, const void *message, uint32_t bytes);
zx_status_t MUST_CHECK vmbus_post_to(struct vmbus *vmbus, uint32_t connection_id,
                                     const void *message, uint32_t bytes);
/* Posts a message that is a header only, or a header and a channel id (0: without). */
zx_status_t MUST_CHECK vmbus_post_short(struct vmbus *vmbus, enum vmbus_message_type type,
                                        uint32_t channel_id);

/* Puts a call where its answer finds it; before its message is posted.
 *   returns  ZX_OK; ZX_ERR_IO_DATA_INTEGRITY: the connection is broken */
zx_status_t MUST_CHECK vmbus_call_begin(struct vmbus *vmbus, struct vmbus_call *call);
/* Waits for the answer until the deadline; `posted` other than ZX_OK: does not wait and returns
 * that. The call is nowhere afterwards. */
zx_status_t MUST_CHECK vmbus_call_end(struct vmbus *vmbus, struct vmbus_call *call,
                                      zx_status_t posted);
/* The three in a row. */
zx_status_t MUST_CHECK vmbus_exchange(struct vmbus *vmbus, struct vmbus_call *call,
                                      const void *message, uint32_t bytes);

/* Tells vmbus_serve()'s caller that there is work. No lock held. */
void vmbus_wake(struct vmbus *vmbus);

/* The upcalls of the transport. */
void vmbus_on_message(void *context, const struct vmbus_message *message);
void vmbus_on_event(void *context, uint32_t flag);
void vmbus_on_broken(void *context);

/* ---- GPADLs ---- */

/* The one with that handle in that state; NULL: none. The lock is held. */
struct vmbus_gpadl *vmbus_gpadl_find(struct vmbus *vmbus, uint32_t handle,
                                     enum vmbus_gpadl_state state);
/* Ends those that nobody waits for, as far as the host has answered. Thread, no lock held. */
void vmbus_gpadls_reap(struct vmbus *vmbus);
/* Leaves whatever GPADLs a channel still has to vmbus_gpadls_reap(). */
void vmbus_gpadls_abandon(struct vmbus *vmbus, uint32_t channel_id);
/* Whether the host may still have memory of that channel. */
bool vmbus_gpadls_left(struct vmbus *vmbus, uint32_t channel_id);
/* After the connection: frees all, or leaks them when the host did not confirm its end. */
void vmbus_gpadls_end(struct vmbus *vmbus, bool confirmed);

#endif
