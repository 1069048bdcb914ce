/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The connection: version, offers to drivers, rescinds from them, pause, the end. Facts:
 * spec/vmbus.md, e.3, e.4, e.8, e.10. */
#include "drivers/hyperv/vmbus.h"

#include "drivers/hyperv/vmbus_internal.h"

#define SERVE_ROUNDS 16 /* of vmbus_serve() before its caller gets to do something else */

static const uint32_t versions[] = {
        VMBUS_VERSION_6_0, VMBUS_VERSION_5_3, VMBUS_VERSION_5_2, VMBUS_VERSION_5_1,
        VMBUS_VERSION_5_0, VMBUS_VERSION_4_1, VMBUS_VERSION_4_0, VMBUS_VERSION_3_0,
};

/* ---- life ---- */

zx_status_t vmbus_init(struct vmbus *vmbus, const struct vmbus_config *config)
{
        if (config->transport == NULL || config->pool == NULL || config->channels == NULL ||
            config->gpadls == NULL || config->gpadl_count == 0 ||
            (config->drivers == NULL && config->driver_count != 0) ||
            config->channel_count == 0 || config->channel_count > VMBUS_CHANNELS_MAX)
                return ZX_ERR_INVALID_ARGS;
        *vmbus = (struct vmbus){.config = *config};
        if (vmbus->config.version_max == 0)
                vmbus->config.version_max = versions[0];
        if (vmbus->config.deadline_ns == 0)
                vmbus->config.deadline_ns = VMBUS_DEADLINE_NS_DEFAULT;
        spinlock_init(&vmbus->lock, "vmbus");
        list_init(&vmbus->calls);
        for (uint32_t i = 0; i < config->gpadl_count; i++)
                config->gpadls[i] = (struct vmbus_gpadl){0};
        for (uint32_t i = 0; i < config->channel_count; i++) {
                config->channels[i] = (struct vmbus_channel){.vmbus = vmbus};
                spinlock_init(&config->channels[i].event_lock, "vmbus channel");
        }
        return ZX_OK;
}

void vmbus_fini(struct vmbus *vmbus)
{
        ASSERT(vmbus->state == VMBUS_STATE_IDLE);
        ASSERT(list_is_empty(&vmbus->calls));
}

/* From one state to another; false when it was not in the first. */
static bool MUST_CHECK change_state(struct vmbus *vmbus, enum vmbus_state from,
                                    enum vmbus_state to)
{
        bool enabled = vmbus_lock(vmbus);
        bool was = vmbus->state == from;
        if (was)
                __atomic_store_n(&vmbus->state, (uint8_t)to, __ATOMIC_RELEASE);
        vmbus_unlock(vmbus, enabled);
        return was;
}

/* ---- version ---- */

/* Asks for one version.
 *   returns  ZX_OK: agreed; ZX_ERR_NOT_SUPPORTED: ask for an older one; anything else: give up */
static zx_status_t contact(struct vmbus *vmbus, uint32_t version)
{
        struct vmbus_transport *transport = vmbus->config.transport;
        uint32_t features = version >= VMBUS_VERSION_6_0
                                    ? vmbus->config.features_wanted & VMBUS_FEATURES_KNOWN
                                    : 0;
        struct vmbus_contact_message message = {
                .header.type = VMBUS_INITIATE_CONTACT,
                .version = version,
                .target_vp = transport->ops->vp_index(transport, vmbus->config.message_cpu),
                .sint = version >= VMBUS_VERSION_5_0 ? VMBUS_SINT : 0,
                .features = features,
                .client_id = vmbus->config.client_id,
        };
        uint32_t bytes = (features & VMBUS_FEATURE_CLIENT_ID) != 0 ? VMBUS_CONTACT2_BYTES
                                                                    : VMBUS_CONTACT_BYTES;
        struct vmbus_call call = {.type = VMBUS_VERSION_RESPONSE};

        vmbus->connection_id = version >= VMBUS_VERSION_5_0 ? VMBUS_CONNECTION_ID_CONTACT
                                                            : VMBUS_CONNECTION_ID_OLD;
        zx_status_t status = vmbus_exchange(vmbus, &call, &message, bytes);
        /* A host that knows no 5.0 need not have that connection. */
        if (status == ZX_ERR_IO && version >= VMBUS_VERSION_5_0)
                return ZX_ERR_NOT_SUPPORTED;
        if (status != ZX_OK)
                return status;
        if (call.reply.supported == 0)
                return ZX_ERR_NOT_SUPPORTED;
        if (call.reply.state != 0)
                return call.reply.state == VMBUS_CONNECTION_LOW_RESOURCES ? ZX_ERR_NO_RESOURCES
                                                                          : ZX_ERR_IO;
        bool enabled = vmbus_lock(vmbus);
        if ((version >= VMBUS_VERSION_5_0 && call.reply_bytes < VMBUS_VERSION_BYTES) ||
            (version >= VMBUS_VERSION_6_0 && call.reply_bytes < VMBUS_VERSION2_BYTES)) {
                vmbus_note_fault(vmbus, VMBUS_FAULT_LENGTH, VMBUS_VERSION_RESPONSE);
        } else if (vmbus->state == VMBUS_STATE_CONTACTING) {
                vmbus->version = version;
                if (version >= VMBUS_VERSION_5_0)
                        vmbus->connection_id = call.reply.connection_id;
                if (version >= VMBUS_VERSION_6_0) {
                        vmbus->features = call.reply.features & features;
                        if ((call.reply.features & ~features) != 0)
                                vmbus_count_fault(vmbus, VMBUS_FAULT_FEATURES);
                }
                __atomic_store_n(&vmbus->state, VMBUS_STATE_CONNECTED, __ATOMIC_RELEASE);
        }
        bool agreed = vmbus->state == VMBUS_STATE_CONNECTED;
        vmbus_unlock(vmbus, enabled);
        return agreed ? ZX_OK : ZX_ERR_IO_DATA_INTEGRITY;
}

static zx_status_t negotiate(struct vmbus *vmbus)
{
        zx_status_t status = ZX_ERR_NOT_SUPPORTED;
        for (size_t i = 0; i < ARRAY_COUNT(versions) && status == ZX_ERR_NOT_SUPPORTED; i++)
                if (versions[i] <= vmbus->config.version_max)
                        status = contact(vmbus, versions[i]);
        return status;
}

zx_status_t vmbus_connect(struct vmbus *vmbus)
{
        const struct vmbus_upcalls upcalls = {vmbus_on_message, vmbus_on_event, vmbus_on_broken,
                                              vmbus};
        struct vmbus_transport *transport = vmbus->config.transport;
        const struct vmbus_header_message request = {.type = VMBUS_REQUEST_OFFERS};
        struct vmbus_call offers = {.type = VMBUS_ALL_OFFERS_DELIVERED};

        if (!change_state(vmbus, VMBUS_STATE_IDLE, VMBUS_STATE_CONTACTING))
                return ZX_ERR_BAD_STATE;
        vmbus->version = 0;
        vmbus->features = 0;
        vmbus->offers_delivered = false;
        vmbus->leaving = false;
        vmbus->fault = VMBUS_FAULT_NONE;
        zx_status_t status = transport->ops->start(transport, &upcalls);
        if (status != ZX_OK) {
                __atomic_store_n(&vmbus->state, VMBUS_STATE_IDLE, __ATOMIC_RELEASE);
                return status;
        }
        status = negotiate(vmbus);
        if (status == ZX_OK)
                status = vmbus_exchange(vmbus, &offers, &request, sizeof(request));
        if (status != ZX_OK) {
                (void)vmbus_disconnect(vmbus);
                return status;
        }
        vmbus_serve(vmbus);
        return ZX_OK;
}

/* ---- drivers ---- */

/* The driver that is to have it: of its class, and for a subchannel the one of its primary. */
static const struct vmbus_driver *driver_for(struct vmbus_channel *channel)
{
        const struct vmbus_config *config = &channel->vmbus->config;
        if (channel->offer.subchannel_index != 0) {
                const struct vmbus_channel *primary = vmbus_channel_primary(channel);
                return primary == NULL ? NULL : primary->driver;
        }
        for (size_t i = 0; i < config->driver_count; i++)
                if (vmbus_guid_equal(&config->drivers[i].interface, &channel->offer.interface))
                        return &config->drivers[i];
        return NULL;
}

static void announce(struct vmbus_channel *channel)
{
        struct vmbus *vmbus = channel->vmbus;
        const struct vmbus_driver *driver = driver_for(channel);
        bool enabled = vmbus_lock(vmbus);
        bool due = channel->announce && channel->state == VMBUS_CHANNEL_OFFERED;
        channel->announce = false;
        if (due)
                channel->driver = driver;
        vmbus_unlock(vmbus, enabled);
        if (due && driver != NULL && driver->offer(channel) != ZX_OK)
                channel->driver = NULL;
}

/* Ends what is left of a channel that the host took back, and says so to the host. A channel of
 * which the host still has memory stays until it answers. */
static void retire(struct vmbus_channel *channel)
{
        struct vmbus *vmbus = channel->vmbus;
        uint32_t channel_id = channel->offer.channel_id;
        bool forced = vmbus->leaving || vmbus_state(vmbus) != VMBUS_STATE_CONNECTED;
        vmbus_channel_set_callback(channel, NULL, NULL); /* one that runs is waited for */
        if (channel->driver != NULL && channel->driver->rescind != NULL)
                channel->driver->rescind(channel);
        if ((channel->driver != NULL || forced) &&
            vmbus_channel_state(channel) == VMBUS_CHANNEL_REVOKED)
                (void)vmbus_close(channel);
        channel->driver = NULL;
        if (vmbus_channel_state(channel) != VMBUS_CHANNEL_RESCINDED)
                return;
        vmbus_gpadls_abandon(vmbus, channel_id);
        vmbus_gpadls_reap(vmbus);
        if (vmbus_gpadls_left(vmbus, channel_id) && !forced)
                return;
        bool enabled = vmbus_lock(vmbus);
        /* The host may use the id again as soon as it hears of it: first it is forgotten here. */
        __atomic_store_n(&vmbus->channel_of_id[channel_id], 0, __ATOMIC_RELEASE);
        vmbus_channel_move(channel, VMBUS_EVENT_RELEASED);
        vmbus_unlock(vmbus, enabled);
        if (!forced) {
                /* A host that does not hear it does not use the id again. */
                zx_status_t status UNUSED =
                        vmbus_post_short(vmbus, VMBUS_RELID_RELEASED, channel_id);
        }
}

static void serve_channels(struct vmbus *vmbus)
{
        for (uint32_t i = 0; i < vmbus->config.channel_count; i++) {
                struct vmbus_channel *channel = &vmbus->config.channels[i];
                enum vmbus_channel_state state = vmbus_channel_state(channel);
                if (state == VMBUS_CHANNEL_REVOKED || state == VMBUS_CHANNEL_RESCINDED)
                        retire(channel);
                else if (state == VMBUS_CHANNEL_OFFERED && channel->announce)
                        announce(channel);
        }
}

void vmbus_serve(struct vmbus *vmbus)
{
        __atomic_store_n(&vmbus->work, true, __ATOMIC_RELEASE);
        for (unsigned round = 0; round < SERVE_ROUNDS; round++) {
                bool enabled = vmbus_lock(vmbus);
                bool ours = !vmbus->serving &&
                            (vmbus->state != VMBUS_STATE_PAUSED || vmbus->leaving) &&
                            __atomic_exchange_n(&vmbus->work, false, __ATOMIC_ACQ_REL);
                vmbus->serving = vmbus->serving || ours;
                vmbus_unlock(vmbus, enabled);
                if (!ours)
                        return; /* nothing to do, or somebody does it, who looks again */
                serve_channels(vmbus);
                vmbus_gpadls_reap(vmbus);
                enabled = vmbus_lock(vmbus);
                vmbus->serving = false;
                vmbus_unlock(vmbus, enabled);
        }
        if (__atomic_load_n(&vmbus->work, __ATOMIC_ACQUIRE))
                vmbus_wake(vmbus);
}

/* ---- pause ---- */

zx_status_t vmbus_pause(struct vmbus *vmbus)
{
        const struct vmbus_header_message message = {.type = VMBUS_PAUSE};
        struct vmbus_call call = {.type = VMBUS_PAUSE_RESPONSE};
        if (vmbus_state(vmbus) == VMBUS_STATE_CONNECTED &&
            (vmbus->features & VMBUS_FEATURE_PAUSE_RESUME) == 0)
                return ZX_ERR_NOT_SUPPORTED;
        if (!change_state(vmbus, VMBUS_STATE_CONNECTED, VMBUS_STATE_PAUSED))
                return ZX_ERR_BAD_STATE;
        zx_status_t status = vmbus_exchange(vmbus, &call, &message, sizeof(message));
        if (status != ZX_OK && !change_state(vmbus, VMBUS_STATE_PAUSED, VMBUS_STATE_CONNECTED))
                return ZX_ERR_IO_DATA_INTEGRITY; /* broken meanwhile */
        return status;
}

zx_status_t vmbus_resume(struct vmbus *vmbus)
{
        if (vmbus_state(vmbus) != VMBUS_STATE_PAUSED)
                return ZX_ERR_BAD_STATE;
        zx_status_t status = vmbus_post_short(vmbus, VMBUS_RESUME, 0);
        if (status == ZX_OK && !change_state(vmbus, VMBUS_STATE_PAUSED, VMBUS_STATE_CONNECTED))
                status = ZX_ERR_BAD_STATE;
        vmbus_wake(vmbus);
        return status;
}

/* ---- the end ---- */

/* Every driver lets go of its channels, while the host still answers if it can. */
static void leave_channels(struct vmbus *vmbus)
{
        bool enabled = vmbus_lock(vmbus);
        vmbus->leaving = true;
        for (uint32_t i = 0; i < vmbus->config.channel_count; i++)
                vmbus_channel_revoke(&vmbus->config.channels[i]);
        vmbus_unlock(vmbus, enabled);
        vmbus_serve(vmbus);
        for (uint32_t i = 0; i < vmbus->config.channel_count; i++)
                ASSERT(vmbus->config.channels[i].state == VMBUS_CHANNEL_FREE); /* else in use */
}

static zx_status_t unload(struct vmbus *vmbus)
{
        const struct vmbus_header_message message = {.type = VMBUS_UNLOAD};
        struct vmbus_call call = {.type = VMBUS_UNLOAD_COMPLETE};
        bool enabled = vmbus_lock(vmbus);
        vmbus_calls_end(vmbus, 0, ZX_ERR_CANCELED);
        __atomic_store_n(&vmbus->state, VMBUS_STATE_UNLOADING, __ATOMIC_RELEASE);
        vmbus_unlock(vmbus, enabled);
        if (vmbus->version == 0) /* nobody to take leave of */
                return ZX_OK;
        return vmbus_exchange(vmbus, &call, &message, sizeof(message));
}

zx_status_t vmbus_disconnect(struct vmbus *vmbus)
{
        struct vmbus_transport *transport = vmbus->config.transport;
        enum vmbus_state state = vmbus_state(vmbus);
        if (state == VMBUS_STATE_IDLE)
                return ZX_OK;
        if (state == VMBUS_STATE_PAUSED) {
                /* If the host does not hear it, Unload goes out all the same. */
                zx_status_t resumed UNUSED = vmbus_resume(vmbus);
        }
        leave_channels(vmbus);
        zx_status_t status = unload(vmbus);
        transport->ops->stop(transport);
        vmbus_gpadls_end(vmbus, status == ZX_OK);
        __atomic_store_n(&vmbus->state, VMBUS_STATE_IDLE, __ATOMIC_RELEASE);
        vmbus->version = 0;
        vmbus->features = 0;
        return status;
}
