/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Posting messages and waiting for answers. Facts: spec/vmbus.md, e.1, e.10, g.6. */
#include "drivers/hyperv/vmbus_internal.h"

/* Between two tries to post, doubling; and between two looks for an answer. */
#define POST_DELAY_NS 10000ull
#define POST_DELAY_NS_MAX 50000000ull
#define WAIT_PAUSE_NS 1000000ull

zx_status_t vmbus_post_to(struct vmbus *vmbus, uint32_t connection_id, const void *message,
                          uint32_t bytes)
{
        struct vmbus_transport *transport = vmbus->config.transport;
        uint64_t deadline = transport->ops->now_ns(transport) + vmbus->config.deadline_ns;
        uint64_t delay = POST_DELAY_NS;
        for (;;) { /* until the deadline */
                zx_status_t status =
                        transport->ops->post(transport, connection_id, message, bytes);
                if (status == ZX_OK)
                        __atomic_fetch_add(&vmbus->messages_out, 1, __ATOMIC_RELAXED);
                if (status != ZX_ERR_SHOULD_WAIT)
                        return status;
                if (transport->ops->now_ns(transport) >= deadline)
                        return ZX_ERR_TIMED_OUT;
                transport->ops->pause(transport, delay);
                delay = min_u64(delay * 2, POST_DELAY_NS_MAX);
        }
}

zx_status_t vmbus_post(struct vmbus *vmbus, const void *message, uint32_t bytes)
{
        return vmbus_post_to(vmbus, vmbus->connection_id, message, bytes);
}

zx_status_t vmbus_post_short(struct vmbus *vmbus, enum vmbus_message_type type,
                             uint32_t channel_id)
{
        struct vmbus_channel_message message = {.header.type = type, .channel_id = channel_id};
        return vmbus_post(vmbus, &message,
                          channel_id == 0 ? sizeof(message.header) : sizeof(message));
}

/* ---- calls ---- */

static void finish(struct vmbus_call *call, zx_status_t status)
{
        list_remove(&call->node);
        call->status = status;
        __atomic_store_n(&call->done, true, __ATOMIC_RELEASE);
}

bool vmbus_call_answer(struct vmbus *vmbus, const struct vmbus_call *answer)
{
        LIST_FOR_EACH(node, &vmbus->calls)
        {
                struct vmbus_call *call = CONTAINER_OF(node, struct vmbus_call, node);
                if (call->type != answer->type || call->channel_id != answer->channel_id ||
                    call->id != answer->id)
                        continue;
                call->host_status = answer->host_status;
                call->reply = answer->reply;
                call->reply_bytes = answer->reply_bytes;
                finish(call, ZX_OK);
                return true;
        }
        return false;
}

void vmbus_calls_end(struct vmbus *vmbus, uint32_t channel_id, zx_status_t status)
{
        struct list_node *next;
        for (struct list_node *node = vmbus->calls.next; node != &vmbus->calls; node = next) {
                struct vmbus_call *call = CONTAINER_OF(node, struct vmbus_call, node);
                next = node->next;
                if (channel_id == 0 ||
                    (call->channel_id == channel_id && call->type != VMBUS_GPADL_CREATED))
                        finish(call, status);
        }
}

zx_status_t vmbus_call_begin(struct vmbus *vmbus, struct vmbus_call *call)
{
        zx_status_t status = ZX_OK;
        bool enabled = vmbus_lock(vmbus);
        /* The one answer that is believed on a broken connection comes while it is unloaded. */
        if (vmbus->state == VMBUS_STATE_BROKEN)
                status = ZX_ERR_IO_DATA_INTEGRITY;
        else
                list_add_tail(&vmbus->calls, &call->node);
        vmbus_unlock(vmbus, enabled);
        return status;
}

zx_status_t vmbus_call_end(struct vmbus *vmbus, struct vmbus_call *call, zx_status_t posted)
{
        struct vmbus_transport *transport = vmbus->config.transport;
        uint64_t deadline = transport->ops->now_ns(transport) + vmbus->config.deadline_ns;
        while (posted == ZX_OK && !__atomic_load_n(&call->done, __ATOMIC_ACQUIRE)) {
                transport->ops->poll(transport);
                if (__atomic_load_n(&call->done, __ATOMIC_ACQUIRE) ||
                    transport->ops->now_ns(transport) >= deadline)
                        break;
                transport->ops->pause(transport, WAIT_PAUSE_NS);
        }
        /* Whoever answered has let go of the call when this lock is free. */
        bool enabled = vmbus_lock(vmbus);
        if (!call->done)
                finish(call, posted == ZX_OK ? ZX_ERR_TIMED_OUT : posted);
        vmbus_unlock(vmbus, enabled);
        return call->status;
}

zx_status_t vmbus_exchange(struct vmbus *vmbus, struct vmbus_call *call, const void *message,
                           uint32_t bytes)
{
        zx_status_t status = vmbus_call_begin(vmbus, call);
        if (status != ZX_OK)
                return status;
        return vmbus_call_end(vmbus, call, vmbus_post(vmbus, message, bytes));
}

void vmbus_wake(struct vmbus *vmbus)
{
        __atomic_store_n(&vmbus->work, true, __ATOMIC_RELEASE);
        if (vmbus->config.wake != NULL)
                vmbus->config.wake(vmbus->config.wake_context);
}
