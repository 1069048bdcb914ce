/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_rig — see the header. */
#include "tests/peers/vmbus_host/vmbus_host_rig.h"

#include "base/bytes.h"
#include "tests/peers/vmbus_host/vmbus_host.h"
#include "tests/peers/vmbus_host/vmbus_host_net.h"

#define WORDS 4096
#define CONNECTION_BASE 0x2000

static struct {
        struct vmbus_host_rig_ops ops;
        struct vmbus_host host;
        struct vmbus_host_net net;
        struct vmbus_host_channel *channel;
        struct vmbus_host_frame_port port;
        uint64_t words[WORDS];
        uint8_t frame[VMBUS_HOST_NET_FRAME_BYTES];
} rig;

static void *map(void *context, uint64_t page_number)
{
        return rig.ops.map(page_number);
}

static bool post(void *context, const void *message, uint32_t bytes, uint32_t vp)
{
        return rig.ops.post(message, bytes);
}

static void signal(void *context, uint32_t event_flag, uint32_t vp)
{
        rig.ops.signal(event_flag);
}

static void give(void *context, const void *frame, uint32_t bytes)
{
        rig.ops.give(frame, bytes);
}

static uint32_t take(void *context, void *frame, uint32_t capacity)
{
        return rig.ops.take(frame, capacity);
}

zx_status_t vmbus_host_rig_begin(const struct vmbus_host_rig_ops *ops, const uint8_t mac[6],
                                 uint32_t nvsp_version)
{
        static const struct vmbus_host_ops host_ops = {.map = map, .post = post, .signal = signal};
        const struct vmbus_host_config host = {.ops = &host_ops,
                                               .words = rig.words,
                                               .word_count = WORDS,
                                               .connection_base = CONNECTION_BASE};
        struct vmbus_host_net_config net = {.port = &rig.port,
                                            .frame = rig.frame,
                                            .version_max = nvsp_version};
        memset(&rig, 0, sizeof(rig));
        rig.ops = *ops;
        rig.port = (struct vmbus_host_frame_port){.give = give, .take = take};
        memcpy(net.mac, mac, sizeof(net.mac));
        vmbus_host_init(&rig.host, &host);
        vmbus_host_net_init(&rig.net, &net);
        return vmbus_host_net_offer(&rig.net, &rig.host, 0, &rig.channel);
}

zx_status_t vmbus_host_rig_message(uint32_t connection_id, const void *message, uint32_t bytes)
{
        return vmbus_host_message(&rig.host, connection_id, message, bytes);
}

void vmbus_host_rig_event(uint32_t connection_id)
{
        vmbus_host_event(&rig.host, connection_id);
}

void vmbus_host_rig_poll(void)
{
        (void)vmbus_host_poll(&rig.host);
}

void vmbus_host_rig_rescind(void)
{
        vmbus_host_rescind(&rig.host, rig.channel);
}

void vmbus_host_rig_link(bool up)
{
        vmbus_host_net_link(&rig.net, up);
}

void vmbus_host_rig_lie(uint64_t seed, uint32_t rate)
{
        vmbus_host_lie(&rig.host, seed, rate);
}

void vmbus_host_rig_lie_only(uint64_t seed, uint32_t rate, enum vmbus_host_lie lie)
{
        vmbus_host_lie(&rig.host, seed, rate);
        vmbus_host_lie_only(&rig.host, BIT_MASK(lie));
}

uint32_t vmbus_host_rig_lies_told(enum vmbus_host_lie lie)
{
        return vmbus_host_lies_told(&rig.host, lie);
}

uint32_t vmbus_host_rig_filter(void)
{
        return rig.net.filter;
}

uint32_t vmbus_host_rig_multicast_count(void)
{
        return rig.net.multicast_count;
}

const uint8_t *vmbus_host_rig_multicast(uint32_t index)
{
        return rig.net.multicast[index];
}

struct vmbus_host_rig_heard vmbus_host_rig_heard(void)
{
        const struct vmbus_host_net *net = &rig.net;
        return (struct vmbus_host_rig_heard){.ndis_major = net->ndis_major,
                                             .ndis_minor = net->ndis_minor,
                                             .capabilities = net->capabilities,
                                             .halts = net->halts,
                                             .revokes = net->revokes,
                                             .buffers_out = net->suballocations -
                                                            net->free_suballocations};
}

uint64_t vmbus_host_rig_faults(void)
{
        return vmbus_host_faults_total(&rig.host);
}

uint64_t vmbus_host_rig_shortages(void)
{
        return rig.net.receive_shortages;
}
