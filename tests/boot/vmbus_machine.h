/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_machine — the channels of the connection that this machine has. */
#ifndef TESTS_BOOT_VMBUS_MACHINE_H
#define TESTS_BOOT_VMBUS_MACHINE_H

#include "drivers/hyperv/hyperv.h"
#include "tests/peers/vmbus_host/vmbus_host_echo.h"

/* The echo of packets that is offered and not open; NULL: this machine has none. */
static inline struct vmbus_channel *vmbus_machine_echo(void)
{
        static const struct vmbus_guid echo = {VMBUS_HOST_ECHO_PACKETS};
        struct vmbus *vmbus = hyperv_vmbus();
        for (uint32_t i = 0; vmbus != NULL && i < vmbus->config.channel_count; i++) {
                struct vmbus_channel *channel = &vmbus->config.channels[i];
                if (vmbus_channel_state(channel) == VMBUS_CHANNEL_OFFERED &&
                    vmbus_guid_equal(&channel->offer.interface, &echo))
                        return channel;
        }
        return NULL;
}

#endif
