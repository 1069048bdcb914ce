/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Opening, retargeting and closing channels, and the memory of their rings. Facts: spec/vmbus.md,
 * a.3, a.4, e.7, e.10. */
#include "drivers/hyperv/vmbus_internal.h"

/* Moves a channel under the lock, by `rescinded` instead
 * when the host has taken it back meanwhile. */
static void move(struct vmbus_channel *channel, enum vmbus_channel_event event,
                 enum vmbus_channel_event rescinded)
{
        struct vmbus *vmbus = channel->vmbus;
        bool enabled = vmbus_lock(vmbus);
        bool gone = channel->rescinded;
        vmbus_channel_move(channel, gone ? rescinded : event);
        vmbus_unlock(vmbus, enabled);
        if (gone)
                vmbus_wake(vmbus); /* vmbus_serve() has waited for this */
}

/* ---- rings: |control|send data ...|control|receive data ...| (a.3) ---- */

static uint32_t ring_pages(const struct vmbus_channel *channel)
{
        return 1 + channel->send_pages + 1 + channel->receive_pages;
}

/* All pages in a row, or each for itself. */
static zx_status_t make_ring_vmo(struct vmbus_channel *channel, bool contiguous)
{
        struct vmo_pool *pool = channel->vmbus->config.pool;
        uint64_t bytes = ring_pages(channel) * PAGE_BYTES;
        if (contiguous)
                return vmo_create_contiguous(pool, bytes, PAGE_BYTES_LOG2, &channel->ring_vmo);
        zx_status_t status = vmo_create(pool, bytes, 0, &channel->ring_vmo);
        if (status != ZX_OK)
                return status;
        status = vmo_op_range(channel->ring_vmo, VMO_OP_COMMIT, 0, bytes);
        if (status == ZX_OK)
                status = vmo_create_contiguous(
                        pool, round_up(ring_pages(channel) * sizeof(void *), PAGE_BYTES),
                        PAGE_BYTES_LOG2, &channel->table_vmo);
        return status;
}

static void free_rings(struct vmbus_channel *channel)
{
        if (channel->table_vmo != NULL)
                vmo_put(channel->table_vmo);
        if (channel->ring_vmo != NULL)
                vmo_put(channel->ring_vmo);
        channel->table_vmo = NULL;
        channel->ring_vmo = NULL;
}

static void *page_va(const struct vmbus_channel *channel, struct vmo *vmo, uint32_t index)
{
        uint64_t pa = 0;
        zx_status_t status = vmo_get_page(vmo, index * PAGE_BYTES, 0, &pa);
        ASSERT(status == ZX_OK); /* a VMO of ours, whose pages were made */
        return pmm_pa_to_va(channel->vmbus->config.pool->pmm, pa);
}

/* The memory of the ring whose control page is page `first`. */
static zx_status_t ring_memory(struct vmbus_channel *channel, uint32_t first, uint32_t pages,
                               struct vmbus_memory *memory)
{
        void *control = page_va(channel, channel->ring_vmo, first);
        if (channel->table_vmo == NULL)
                return vmbus_memory_init_flat(memory, control, (uint8_t *)control + PAGE_BYTES,
                                              pages * PAGE_BYTES);
        void **table = page_va(channel, channel->table_vmo, 0);
        for (uint32_t i = 0; i < pages; i++)
                table[first + 1 + i] = page_va(channel, channel->ring_vmo, first + 1 + i);
        return vmbus_memory_init_paged(memory, control, &table[first + 1], pages);
}

static zx_status_t make_rings(struct vmbus_channel *channel, enum vmbus_backing backing)
{
        struct vmbus_memory out, in;
        zx_status_t status = make_ring_vmo(channel, backing != VMBUS_BACKING_PAGED);
        if (status == ZX_ERR_NO_MEMORY && backing == VMBUS_BACKING_ANY)
                status = make_ring_vmo(channel, false);
        if (status == ZX_OK)
                status = ring_memory(channel, 0, channel->send_pages, &out);
        if (status == ZX_OK)
                status = ring_memory(channel, 1 + channel->send_pages, channel->receive_pages, &in);
        if (status != ZX_OK) {
                free_rings(channel);
                return status;
        }
        /* New pages are zero, both control pages too; the host has not seen them yet (a.4). */
        vmbus_sender_init(&channel->sender, &out);
        vmbus_receiver_init(&channel->receiver, &in);
        vmbus_sender_count_signals(&channel->sender);
        vmbus_receiver_count_signals(&channel->receiver);
        enum vmbus_result sent = vmbus_sender_position(&channel->sender, &channel->send_position);
        enum vmbus_result received =
                vmbus_receiver_position(&channel->receiver, &channel->receive_position);
        ASSERT(sent == VMBUS_OK && received == VMBUS_OK);
        return ZX_OK;
}

/* ---- open ---- */

static zx_status_t check_parameters(const struct vmbus_channel *channel,
                                    const struct vmbus_open_parameters *parameters)
{
        struct vmbus_transport *transport = channel->vmbus->config.transport;
        if (parameters->send_pages - 1 >= VMBUS_RING_PAGES_MAX ||
            parameters->receive_pages - 1 >= VMBUS_RING_PAGES_MAX ||
            parameters->user_bytes > VMBUS_USER_BYTES ||
            (parameters->user_data == NULL && parameters->user_bytes != 0) ||
            (parameters->request_slots == NULL && parameters->request_count != 0) ||
            parameters->backing > VMBUS_BACKING_PAGED ||
            (parameters->cpu != VMBUS_CPU_NONE &&
             transport->ops->vp_index(transport, parameters->cpu) == VMBUS_VP_NONE))
                return ZX_ERR_INVALID_ARGS;
        return ZX_OK;
}

void vmbus_channel_set_callback(struct vmbus_channel *channel, vmbus_channel_fn callback,
                                void *context)
{
        struct vmbus_transport *transport = channel->vmbus->config.transport;
        bool enabled = transport->ops->interrupts_disable(transport);
        spinlock_take(&channel->event_lock);
        channel->callback = callback;
        channel->callback_context = context;
        spinlock_give(&channel->event_lock);
        transport->ops->interrupts_restore(transport, enabled);
}

/* OFFERED becomes PREPARING; what is left of an earlier opening goes. */
static zx_status_t begin_open(struct vmbus_channel *channel,
                              const struct vmbus_open_parameters *parameters)
{
        struct vmbus *vmbus = channel->vmbus;
        bool enabled = vmbus_lock(vmbus);
        bool can = vmbus->state == VMBUS_STATE_CONNECTED &&
                   channel->state == VMBUS_CHANNEL_OFFERED;
        if (can) {
                vmbus_channel_move(channel, VMBUS_EVENT_OPEN);
                vmbus->next_open_id += vmbus->next_open_id == UINT32_MAX ? 2 : 1;
                __atomic_store_n(&channel->open_id, vmbus->next_open_id, __ATOMIC_RELAXED);
        }
        vmbus_unlock(vmbus, enabled);
        if (!can)
                return ZX_ERR_BAD_STATE;
        channel->cpu = parameters->cpu;
        channel->send_pages = parameters->send_pages;
        channel->receive_pages = parameters->receive_pages;
        channel->requests = (struct vmbus_requests){0};
        if (parameters->request_count != 0)
                vmbus_requests_init(&channel->requests, parameters->request_slots,
                                    parameters->request_count);
        return ZX_OK;
}

static void fill_open(const struct vmbus_channel *channel,
                      const struct vmbus_open_parameters *parameters,
                      struct vmbus_open_message *message)
{
        struct vmbus_transport *transport = channel->vmbus->config.transport;
        *message = (struct vmbus_open_message){
                .header.type = VMBUS_OPEN_CHANNEL,
                .channel_id = channel->offer.channel_id,
                .open_id = channel->open_id,
                .ring_gpadl = channel->ring_gpadl->handle,
                .target_vp = channel->cpu == VMBUS_CPU_NONE
                                     ? VMBUS_VP_DISABLED
                                     : transport->ops->vp_index(transport, channel->cpu),
                .downstream_page = 1 + channel->send_pages,
                /* With the feature the guest may choose:
                 * it chooses what it would have been without. */
                .connection_id = channel->offer.connection_id,
                .event_flag = channel->offer.channel_id,
        };
        if (parameters->user_bytes != 0)
                memcpy(message->user_data, parameters->user_data, parameters->user_bytes);
}

/* Sends CloseChannel when the host may have the channel open, and takes the rings back. CLOSING is
 * over then. */
static zx_status_t take_rings_back(struct vmbus_channel *channel, bool host_has_it_open)
{
        struct vmbus *vmbus = channel->vmbus;
        zx_status_t closed = ZX_OK;
        if (host_has_it_open && vmbus_state(vmbus) == VMBUS_STATE_CONNECTED)
                closed = vmbus_post_short(vmbus, VMBUS_CLOSE_CHANNEL, channel->offer.channel_id);
        zx_status_t torn = vmbus_gpadl_teardown(channel, channel->ring_gpadl);
        channel->ring_gpadl = NULL;
        free_rings(channel); /* the GPADL has references of its own, as long as the host has it */
        move(channel, VMBUS_EVENT_TORN, VMBUS_EVENT_TORN_RESCINDED);
        return torn != ZX_OK ? torn : closed;
}

/* PREPARING becomes OPENING, then OPEN. */
static zx_status_t ask_to_open(struct vmbus_channel *channel,
                               const struct vmbus_open_parameters *parameters)
{
        struct vmbus *vmbus = channel->vmbus;
        struct vmbus_open_message message;
        uint32_t longer = vmbus->features &
                          (VMBUS_FEATURE_SIGNAL_PARAMETERS | VMBUS_FEATURE_REDIRECT);
        fill_open(channel, parameters, &message);
        struct vmbus_call call = {.type = VMBUS_OPEN_RESULT,
                                  .channel_id = channel->offer.channel_id,
                                  .id = channel->open_id};
        vmbus_channel_set_callback(channel, parameters->callback, parameters->context);
        zx_status_t status = vmbus_exchange(vmbus, &call, &message,
                                            longer != 0 ? VMBUS_OPEN2_BYTES : VMBUS_OPEN_BYTES);
        bool refused = status == ZX_OK && call.host_status != VMBUS_STATUS_SUCCESS;
        if (refused)
                status = ZX_ERR_ACCESS_DENIED;
        bool enabled = vmbus_lock(vmbus);
        if (status == ZX_OK && channel->rescinded)
                status = ZX_ERR_PEER_CLOSED;
        vmbus_channel_move(channel, status == ZX_OK ? VMBUS_EVENT_OPENED : VMBUS_EVENT_REFUSED);
        vmbus_unlock(vmbus, enabled);
        if (status == ZX_OK)
                return ZX_OK;
        vmbus_channel_set_callback(channel, NULL, NULL);
        (void)take_rings_back(channel, !refused);
        return status;
}

zx_status_t vmbus_open(struct vmbus_channel *channel,
                       const struct vmbus_open_parameters *parameters)
{
        struct vmbus *vmbus = channel->vmbus;
        zx_status_t status = check_parameters(channel, parameters);
        if (status == ZX_OK)
                status = begin_open(channel, parameters);
        if (status != ZX_OK)
                return status;
        status = make_rings(channel, parameters->backing);
        if (status != ZX_OK)
                goto undo_state;
        const struct vmbus_gpadl_memory memory = {.vmo = channel->ring_vmo,
                                                  .bytes = ring_pages(channel) * PAGE_BYTES};
        status = vmbus_gpadl_create(channel, &memory, &channel->ring_gpadl);
        if (status != ZX_OK)
                goto undo_rings;

        bool enabled = vmbus_lock(vmbus);
        bool gone = channel->rescinded;
        vmbus_channel_move(channel, gone ? VMBUS_EVENT_CLOSE : VMBUS_EVENT_CREATED);
        vmbus_unlock(vmbus, enabled);
        if (gone) {
                (void)take_rings_back(channel, false);
                return ZX_ERR_PEER_CLOSED;
        }
        return ask_to_open(channel, parameters);

undo_rings:
        free_rings(channel);
undo_state:
        move(channel, VMBUS_EVENT_REFUSED, VMBUS_EVENT_REFUSED_RESCINDED);
        return status;
}

zx_status_t vmbus_close(struct vmbus_channel *channel)
{
        struct vmbus *vmbus = channel->vmbus;
        bool enabled = vmbus_lock(vmbus);
        bool can = (vmbus->state != VMBUS_STATE_PAUSED || vmbus->leaving) &&
                   (channel->state == VMBUS_CHANNEL_OPEN ||
                    channel->state == VMBUS_CHANNEL_REVOKED);
        if (can)
                vmbus_channel_move(channel, VMBUS_EVENT_CLOSE);
        vmbus_unlock(vmbus, enabled);
        if (!can)
                return ZX_ERR_BAD_STATE;
        vmbus_channel_set_callback(channel, NULL, NULL); /* a callback that runs is waited for */
        return take_rings_back(channel, true);
}

/* ---- modify ---- */

static zx_status_t begin_modify(struct vmbus_channel *channel)
{
        struct vmbus *vmbus = channel->vmbus;
        zx_status_t status = ZX_OK;
        bool enabled = vmbus_lock(vmbus);
        if (vmbus->state == VMBUS_STATE_BROKEN)
                status = ZX_ERR_IO_DATA_INTEGRITY;
        else if (channel->rescinded)
                status = ZX_ERR_PEER_CLOSED;
        else if (vmbus->state != VMBUS_STATE_CONNECTED || channel->modifying ||
                 channel->state != VMBUS_CHANNEL_OPEN || channel->cpu == VMBUS_CPU_NONE)
                status = ZX_ERR_BAD_STATE;
        else if (vmbus->version < VMBUS_VERSION_4_1)
                status = ZX_ERR_NOT_SUPPORTED;
        else
                channel->modifying = vmbus->version >= VMBUS_VERSION_5_3;
        vmbus_unlock(vmbus, enabled);
        return status;
}

zx_status_t vmbus_modify(struct vmbus_channel *channel, uint32_t cpu)
{
        struct vmbus *vmbus = channel->vmbus;
        struct vmbus_transport *transport = vmbus->config.transport;
        struct vmbus_modify_message message = {
                .header.type = VMBUS_MODIFY_CHANNEL,
                .channel_id = channel->offer.channel_id,
                .target_vp = transport->ops->vp_index(transport, cpu),
        };
        if (message.target_vp == VMBUS_VP_NONE)
                return ZX_ERR_OUT_OF_RANGE;
        zx_status_t status = begin_modify(channel);
        if (status != ZX_OK)
                return status;
        if (vmbus->version < VMBUS_VERSION_5_3) {
                status = vmbus_post(vmbus, &message, sizeof(message));
        } else {
                struct vmbus_call call = {.type = VMBUS_MODIFY_CHANNEL_RESPONSE,
                                          .channel_id = channel->offer.channel_id};
                status = vmbus_exchange(vmbus, &call, &message, sizeof(message));
                if (status == ZX_OK && call.host_status != VMBUS_STATUS_SUCCESS)
                        status = ZX_ERR_ACCESS_DENIED;
        }
        if (status == ZX_OK)
                channel->cpu = cpu;
        return status;
}

struct vmbus_channel *vmbus_channel_primary(struct vmbus_channel *channel)
{
        struct vmbus *vmbus = channel->vmbus;
        struct vmbus_channel *primary = channel->offer.subchannel_index == 0 ? channel : NULL;
        bool enabled = vmbus_lock(vmbus);
        for (uint32_t i = 0; i < vmbus->config.channel_count && primary == NULL; i++) {
                struct vmbus_channel *other = &vmbus->config.channels[i];
                if (other->state != VMBUS_CHANNEL_FREE && !other->rescinded &&
                    other->offer.subchannel_index == 0 &&
                    vmbus_guid_equal(&other->offer.interface, &channel->offer.interface) &&
                    vmbus_guid_equal(&other->offer.instance, &channel->offer.instance))
                        primary = other;
        }
        vmbus_unlock(vmbus, enabled);
        return primary;
}
