/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* channel_boot — see channel_boot.h. */
#include "kernel/channel_boot.h"

#include "kernel/command.h"
#include "kernel/log.h"
#include "kernel/memory.h"
#include "kernel/panic.h"

struct channel_pool kernel_channels;

void channel_boot(void)
{
        zx_status_t status = channel_pool_init(&kernel_channels, &kernel_pmm);

        if (status != ZX_OK)
                panic("channel: %s", zx_status_name(status));
}

struct print {
        uint32_t open, pending;
};

static void print_one(void *context, const struct channel_info *info)
{
        struct print *print = context;

        print->pending += info->ends[0].pending + info->ends[1].pending;
        if (++print->open > CHANNEL_LINES_MAX)
                return;
        for (unsigned i = 0; i < 2; i++) {
                const struct channel_end_info *end = &info->ends[i];
                log_line("channel: %u.%u %s, messages %u, at most %u, callers %u", print->open - 1,
                         i, end->closed ? "closed" : "open", end->pending, end->pending_most,
                         end->callers);
        }
}

void channel_print(void)
{
        struct print print = {0};
        struct slab_counts counts;

        channel_pool_walk(&kernel_channels, print_one, &print);
        counts = slab_counts(&kernel_channels.slab);
        log_line("channel: %u channels in %llu pages, %u messages wait; %llu could not be made",
                 print.open, (unsigned long long)counts.pages, print.pending,
                 (unsigned long long)counts.failures);
}
COMMAND(channel_command, "channel", "channels: open ends, messages and callers that wait",
        channel_print);
