/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What comes from the host: messages, held against the table and then against what is outstanding,
 * and events. Runs in interrupts: changes states, ends calls, calls no driver but a channel's
 * callback. Facts: spec/vmbus.md, e.3 to e.8, e.11. */
#include "drivers/hyperv/vmbus_internal.h"

void vmbus_count_fault(struct vmbus *vmbus, enum vmbus_fault_rule rule)
{
        __atomic_fetch_add(&vmbus->faults[rule], 1, __ATOMIC_RELAXED);
}

void vmbus_note_fault(struct vmbus *vmbus, enum vmbus_fault_rule rule, uint32_t message_type)
{
        vmbus_count_fault(vmbus, rule);
        vmbus->fault_message_type = message_type;
        if (!vmbus_fault_is_fatal(rule) || vmbus->state == VMBUS_STATE_BROKEN ||
            vmbus->state == VMBUS_STATE_UNLOADING || vmbus->state == VMBUS_STATE_IDLE)
                return;
        vmbus->fault = rule;
        __atomic_store_n(&vmbus->state, VMBUS_STATE_BROKEN, __ATOMIC_RELEASE);
        vmbus_calls_end(vmbus, 0, ZX_ERR_IO_DATA_INTEGRITY);
        for (uint32_t i = 0; i < vmbus->config.channel_count; i++)
                vmbus_channel_revoke(&vmbus->config.channels[i]);
}

/* ---- channels ---- */

void vmbus_channel_move(struct vmbus_channel *channel, enum vmbus_channel_event event)
{
        enum vmbus_channel_state next = vmbus_channel_next(channel->state, event);
        DEBUG_ASSERT(spinlock_is_held(&channel->vmbus->lock));
        ASSERT(next != VMBUS_CHANNEL_STATE_COUNT); /* [B3] */
#if PARAVANE_DEBUG
        channel->vmbus->walked[channel->state][event]++;
#endif
        __atomic_store_n(&channel->state, (uint8_t)next, __ATOMIC_RELEASE);
}

void vmbus_channel_revoke(struct vmbus_channel *channel)
{
        if (channel->state == VMBUS_CHANNEL_FREE || channel->rescinded)
                return;
        vmbus_channel_move(channel, VMBUS_EVENT_RESCIND);
        channel->rescinded = true;
        vmbus_calls_end(channel->vmbus, channel->offer.channel_id, ZX_ERR_PEER_CLOSED);
}

struct vmbus_channel *vmbus_channel_find(struct vmbus *vmbus, uint32_t channel_id)
{
        if (channel_id == 0 || channel_id > VMBUS_CHANNEL_ID_MAX)
                return NULL;
        uint8_t slot = __atomic_load_n(&vmbus->channel_of_id[channel_id], __ATOMIC_ACQUIRE);
        return slot == 0 ? NULL : &vmbus->config.channels[slot - 1];
}

static struct vmbus_channel *free_channel(struct vmbus *vmbus)
{
        for (uint32_t i = 0; i < vmbus->config.channel_count; i++)
                if (vmbus->config.channels[i].state == VMBUS_CHANNEL_FREE)
                        return &vmbus->config.channels[i];
        return NULL;
}

static void take_offer(struct vmbus_channel *channel, const struct vmbus_offer_message *message)
{
        channel->offer = (struct vmbus_offer){
                .interface = message->interface,
                .instance = message->instance,
                .flags = message->flags,
                .mmio_mib = message->mmio_mib,
                .mmio_optional_mib = message->mmio_optional_mib,
                .subchannel_index = message->subchannel_index,
                .channel_id = (uint16_t)message->channel_id,
                .connection_id = message->connection_id,
                .monitor_id = (message->monitor_valid & 1) != 0 && message->monitor_id < 128
                                      ? message->monitor_id
                                      : UINT8_MAX,
                .dedicated_interrupt = (message->dedicated_interrupt & 1) != 0,
        };
        memcpy(channel->offer.user_data, message->user_data, VMBUS_USER_BYTES);
        channel->rescinded = false;
        channel->modifying = false;
        __atomic_store_n(&channel->open_id, 0, __ATOMIC_RELAXED);
        channel->announce = true;
        channel->driver = NULL;
        channel->driver_context = NULL;
        channel->cpu = VMBUS_CPU_NONE;
        channel->event_count = 0;
        channel->signal_count = 0;
        vmbus_channel_move(channel, VMBUS_EVENT_OFFER);
}

/* ---- messages: each returns the rule that was broken; the lock is held ---- */

static enum vmbus_fault_rule on_offer(struct vmbus *vmbus, const uint8_t *bytes)
{
        struct vmbus_offer_message message;
        memcpy(&message, bytes, sizeof(message));
        if (message.channel_id == 0 || message.channel_id > VMBUS_CHANNEL_ID_MAX)
                return VMBUS_FAULT_ID_RANGE;
        if (vmbus_channel_find(vmbus, message.channel_id) != NULL)
                return VMBUS_FAULT_ID_LIVE;
        if (vmbus->leaving)
                return VMBUS_FAULT_NONE;
        struct vmbus_channel *channel = free_channel(vmbus);
        if (channel == NULL)
                return VMBUS_FAULT_NO_SLOT;
        take_offer(channel, &message);
        uint8_t slot = (uint8_t)(channel - vmbus->config.channels + 1);
        __atomic_store_n(&vmbus->channel_of_id[message.channel_id], slot, __ATOMIC_RELEASE);
        return VMBUS_FAULT_NONE;
}

static enum vmbus_fault_rule on_rescind(struct vmbus *vmbus, const uint8_t *bytes)
{
        struct vmbus_channel_message message;
        memcpy(&message, bytes, sizeof(message));
        struct vmbus_channel *channel = vmbus_channel_find(vmbus, message.channel_id);
        if (channel == NULL)
                return VMBUS_FAULT_ID_UNKNOWN;
        if (channel->rescinded)
                return VMBUS_FAULT_RESCIND_TWICE;
        vmbus_channel_revoke(channel);
        return VMBUS_FAULT_NONE;
}

static enum vmbus_fault_rule answer(struct vmbus *vmbus, const struct vmbus_call *call)
{
        return vmbus_call_answer(vmbus, call) ? VMBUS_FAULT_NONE : VMBUS_FAULT_NOT_AWAITED;
}

static enum vmbus_fault_rule on_all_offers(struct vmbus *vmbus)
{
        if (vmbus->offers_delivered)
                return VMBUS_FAULT_OFFERS_END;
        vmbus->offers_delivered = true;
        return answer(vmbus, &(struct vmbus_call){.type = VMBUS_ALL_OFFERS_DELIVERED});
}

static enum vmbus_fault_rule on_open_result(struct vmbus *vmbus, const uint8_t *bytes)
{
        struct vmbus_open_result_message message;
        memcpy(&message, bytes, sizeof(message));
        if (vmbus_channel_find(vmbus, message.channel_id) == NULL)
                return VMBUS_FAULT_ID_UNKNOWN;
        return answer(vmbus, &(struct vmbus_call){.type = VMBUS_OPEN_RESULT,
                                                  .channel_id = message.channel_id,
                                                  .id = message.open_id,
                                                  .host_status = message.status});
}

/* The state of a GPADL follows the host's word even when nobody waits for it any more. */
static enum vmbus_fault_rule on_gpadl_created(struct vmbus *vmbus, const uint8_t *bytes)
{
        struct vmbus_gpadl_created_message message;
        memcpy(&message, bytes, sizeof(message));
        struct vmbus_gpadl *gpadl =
                vmbus_gpadl_find(vmbus, message.handle, VMBUS_GPADL_CREATING);
        if (gpadl == NULL || gpadl->channel_id != message.channel_id)
                return VMBUS_FAULT_NOT_AWAITED;
        gpadl->state = message.status == VMBUS_STATUS_SUCCESS ? VMBUS_GPADL_LIVE : VMBUS_GPADL_DONE;
        (void)vmbus_call_answer(vmbus, &(struct vmbus_call){.type = VMBUS_GPADL_CREATED,
                                                            .channel_id = message.channel_id,
                                                            .id = message.handle,
                                                            .host_status = message.status});
        return VMBUS_FAULT_NONE;
}

static enum vmbus_fault_rule on_gpadl_torndown(struct vmbus *vmbus, const uint8_t *bytes)
{
        struct vmbus_gpadl_torndown_message message;
        memcpy(&message, bytes, sizeof(message));
        struct vmbus_gpadl *gpadl = vmbus_gpadl_find(vmbus, message.handle, VMBUS_GPADL_TEARING);
        if (gpadl == NULL)
                return VMBUS_FAULT_NOT_AWAITED;
        gpadl->state = VMBUS_GPADL_DONE;
        (void)vmbus_call_answer(vmbus, &(struct vmbus_call){.type = VMBUS_GPADL_TORNDOWN,
                                                            .id = message.handle});
        return VMBUS_FAULT_NONE;
}

static enum vmbus_fault_rule on_version(struct vmbus *vmbus, const struct vmbus_message *message)
{
        struct vmbus_call call = {.type = VMBUS_VERSION_RESPONSE};
        call.reply_bytes = (uint32_t)min_u64(message->bytes, sizeof(call.reply));
        memcpy(&call.reply, message->payload, call.reply_bytes);
        if (call.reply.supported > 1)
                return VMBUS_FAULT_SUPPORTED;
        return answer(vmbus, &call);
}

static enum vmbus_fault_rule on_modified(struct vmbus *vmbus, const uint8_t *bytes)
{
        struct vmbus_modify_response_message message;
        memcpy(&message, bytes, sizeof(message));
        struct vmbus_channel *channel = vmbus_channel_find(vmbus, message.channel_id);
        if (channel == NULL)
                return VMBUS_FAULT_ID_UNKNOWN;
        if (!channel->modifying)
                return VMBUS_FAULT_NOT_AWAITED;
        channel->modifying = false;
        (void)vmbus_call_answer(vmbus, &(struct vmbus_call){.type = VMBUS_MODIFY_CHANNEL_RESPONSE,
                                                            .channel_id = message.channel_id,
                                                            .host_status = message.status});
        return VMBUS_FAULT_NONE;
}

static enum vmbus_fault_rule dispatch(struct vmbus *vmbus, const struct vmbus_message *message,
                                      uint32_t type)
{
        const uint8_t *bytes = message->payload;
        switch (type) {
        case VMBUS_OFFER_CHANNEL:
                return on_offer(vmbus, bytes);
        case VMBUS_RESCIND_OFFER:
                return on_rescind(vmbus, bytes);
        case VMBUS_ALL_OFFERS_DELIVERED:
                return on_all_offers(vmbus);
        case VMBUS_OPEN_RESULT:
                return on_open_result(vmbus, bytes);
        case VMBUS_GPADL_CREATED:
                return on_gpadl_created(vmbus, bytes);
        case VMBUS_GPADL_TORNDOWN:
                return on_gpadl_torndown(vmbus, bytes);
        case VMBUS_VERSION_RESPONSE:
                return on_version(vmbus, message);
        case VMBUS_MODIFY_CHANNEL_RESPONSE:
                return on_modified(vmbus, bytes);
        default: /* answers that are no more than their type; nobody waits for the others */
                return answer(vmbus, &(struct vmbus_call){.type = (uint8_t)type});
        }
}

void vmbus_on_message(void *context, const struct vmbus_message *message)
{
        struct vmbus *vmbus = context;
        uint32_t type = 0;
        bool enabled = vmbus_lock(vmbus);
        const struct vmbus_agreement agreed = {vmbus->version, vmbus->features};
        enum vmbus_fault_rule rule = vmbus_protocol_check(message, &agreed);

        vmbus->messages_in++;
        if (message->bytes >= sizeof(type))
                memcpy(&type, message->payload, sizeof(type));
        if (rule == VMBUS_FAULT_NONE) {
                if (vmbus->state == VMBUS_STATE_BROKEN)
                        rule = VMBUS_FAULT_BROKEN;
                else if (vmbus->state != VMBUS_STATE_UNLOADING || type == VMBUS_UNLOAD_COMPLETE)
                        rule = dispatch(vmbus, message, type); /* others are drained (e.10) */
        }
        if (rule != VMBUS_FAULT_NONE)
                vmbus_note_fault(vmbus, rule, type);
        vmbus_unlock(vmbus, enabled);

        /* Whatever leaves work for a thread behind. */
        if (type == VMBUS_OFFER_CHANNEL || type == VMBUS_RESCIND_OFFER ||
            type == VMBUS_GPADL_CREATED || type == VMBUS_GPADL_TORNDOWN ||
            (rule != VMBUS_FAULT_NONE && vmbus_fault_is_fatal(rule)))
                vmbus_wake(vmbus);
}

void vmbus_on_event(void *context, uint32_t flag)
{
        struct vmbus *vmbus = context;
        struct vmbus_transport *transport = vmbus->config.transport;
        struct vmbus_channel *channel = vmbus_channel_find(vmbus, flag);
        bool known = false;
        if (channel != NULL) {
                bool enabled = transport->ops->interrupts_disable(transport);
                spinlock_take(&channel->event_lock);
                /* Signals overtake messages, and are overtaken: one may come before the answer to
                 * OpenChannel, and when the channel has been closed. */
                known = vmbus_channel_find(vmbus, flag) == channel && /* still: B1 */
                        __atomic_load_n(&channel->open_id, __ATOMIC_RELAXED) != 0;
                if (known && vmbus_channel_state(channel) == VMBUS_CHANNEL_OPEN) {
                        channel->event_count++;
                        if (channel->callback != NULL)
                                channel->callback(channel, channel->callback_context);
                }
                spinlock_give(&channel->event_lock);
                transport->ops->interrupts_restore(transport, enabled);
        }
        if (!known)
                vmbus_count_fault(vmbus, VMBUS_FAULT_EVENT_UNKNOWN);
}

void vmbus_on_broken(void *context)
{
        struct vmbus *vmbus = context;
        bool enabled = vmbus_lock(vmbus);
        vmbus_note_fault(vmbus, VMBUS_FAULT_TRANSPORT, 0);
        vmbus_unlock(vmbus, enabled);
        vmbus_wake(vmbus);
}
