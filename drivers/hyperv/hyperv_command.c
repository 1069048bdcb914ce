/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* cmd=vmbus: the connection, its channels, their rings. */
#include "drivers/hyperv/hyperv.h"

#include "kernel/command.h"
#include "kernel/log.h"
#include "vmbus_ring/vmbus_inspect.h"

static void print_ring(const char *what, const struct vmbus_memory *memory,
                       enum vmbus_result fault)
{
        struct vmbus_control_view view;
        vmbus_inspect_control(memory->control, memory->data_bytes, &view);
        log_line("vmbus:     %s: %u bytes, in %u, out %u, %u used, mask %u, pending %u, %s", what,
                 view.data_bytes, view.in, view.out, view.used_bytes, view.interrupt_mask,
                 view.pending_send_size, vmbus_result_name(fault));
}

static void print_channel(const struct vmbus_channel *channel)
{
        char interface[VMBUS_GUID_TEXT_BYTES];
        enum vmbus_channel_state state = vmbus_channel_state(channel);
        vmbus_guid_text(&channel->offer.interface, interface);
        log_line("vmbus: channel %u.%u, %s, %s, driver %s, %llu events in, %llu out",
                 channel->offer.channel_id, channel->offer.subchannel_index, interface,
                 vmbus_channel_state_name(state),
                 channel->driver != NULL ? channel->driver->name : "none",
                 (unsigned long long)channel->event_count,
                 (unsigned long long)channel->signal_count);
        if (state != VMBUS_CHANNEL_OPEN)
                return;
        print_ring("out", &channel->sender.memory, channel->sender.fault.reason);
        print_ring("in", &channel->receiver.memory, channel->receiver.fault.reason);
}

void hyperv_print(const struct vmbus *vmbus)
{
        log_line("vmbus: %s, version %u.%u, features 0x%x, over %s, %llu messages in, %llu out, "
                 "%llu pages leaked",
                 vmbus_state_name(vmbus_state(vmbus)), vmbus->version >> 16,
                 vmbus->version & 0xffff, vmbus->features, vmbus->config.transport->ops->name,
                 (unsigned long long)vmbus->messages_in, (unsigned long long)vmbus->messages_out,
                 (unsigned long long)vmbus->leaked_pages);
        for (unsigned i = 0; i < VMBUS_FAULT_COUNT; i++)
                if (vmbus->faults[i] != 0)
                        log_line("vmbus: %s: %u times%s", vmbus_fault_name(i), vmbus->faults[i],
                                 vmbus->fault == i ? ", which broke the connection" : "");
        for (uint32_t i = 0; i < vmbus->config.channel_count; i++)
                if (vmbus_channel_state(&vmbus->config.channels[i]) != VMBUS_CHANNEL_FREE)
                        print_channel(&vmbus->config.channels[i]);
}

static void command(void)
{
        const struct vmbus *vmbus = hyperv_vmbus();
        if (vmbus == NULL)
                log_line("vmbus: there is none");
        else
                hyperv_print(vmbus);
}

COMMAND(vmbus_command, "vmbus", "shows the VMBus connection, its channels and their rings",
        command);
