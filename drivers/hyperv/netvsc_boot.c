/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The kernel's Hyper-V network cards: which channel is which card,
 * command-line words, `cmd=net`. */
#include "drivers/hyperv/netvsc.h"

#include "base/assert.h"
#include "kernel/aspace.h"
#include "kernel/cmdline.h"
#include "kernel/linker_table.h"
#include "kernel/log.h"

#define CARDS_MAX 2
#define COPY_BREAK_MAX 4096
#define MTU_MIN 1280
#define MTU_MAX 9202 /* what a host takes (f.2), without the Ethernet header */

static struct netvsc cards[CARDS_MAX];

static uint64_t copy_break;
static uint64_t mtu = NETDEV_MTU_DEFAULT;
CMDLINE_UINT(copy_break, "netvsc.copy-break", 0, COPY_BREAK_MAX,
             "frames up to so many bytes are copied to the send buffer, not named by pages");
CMDLINE_UINT(mtu, "netvsc.mtu", MTU_MIN, MTU_MAX, "MTU that is asked for");

static void describe(struct netvsc *netvsc)
{
        const struct netdev *netdev = &netvsc->netdev;
        log_line("net: %s: netvsc, NVSP %u.%u, %u x %u bytes to receive, %llu frames copied, "
                 "%llu completions put off",
                 netdev->name, (unsigned)(netvsc->version >> 16),
                 netvsc->version >> 16 != 0 ? (unsigned)(netvsc->version & UINT16_MAX) : 1u,
                 (unsigned)netvsc->suballocation_count, (unsigned)netvsc->suballocation_bytes,
                 (unsigned long long)netvsc->frames_by_section,
                 (unsigned long long)netvsc->completions_put_off);
        if (netvsc->fault != NETVSC_FAULT_NONE)
                log_line("net: %s: stopped, the host broke: %s%s%s", netdev->name,
                         netvsc_fault_rule(netvsc->fault),
                         netvsc->rndis_fault != RNDIS_OK ? ": " : "",
                         netvsc->rndis_fault != RNDIS_OK ? rndis_result_name(netvsc->rndis_fault)
                                                         : "");
}

static void netvsc_describe(struct netdev *netdev)
{
        describe(netvsc_from(netdev));
}

/* A card that was never used, or whose client has left it. */
static struct netvsc *free_card(void)
{
        for (size_t i = 0; i < CARDS_MAX; i++) {
                struct netvsc *netvsc = &cards[i];
                if (netvsc->channel == NULL)
                        return netvsc;
                if (netvsc->netdev.removed && netdev_is_idle(&netvsc->netdev)) {
                        netdev_forget(&netvsc->netdev);
                        netvsc_fini(netvsc);
                        return netvsc;
                }
        }
        return NULL;
}

static zx_status_t offered(struct vmbus_channel *channel)
{
        if (channel->offer.subchannel_index != 0)
                return ZX_ERR_NOT_SUPPORTED; /* one queue pair */
        struct netvsc *netvsc = free_card();
        if (netvsc == NULL)
                return ZX_ERR_NO_RESOURCES;
        netvsc->copy_break = (uint32_t)copy_break;
        netvsc->wanted_mtu = (uint32_t)mtu;
        zx_status_t status = netvsc_start(netvsc, channel, aspace_vmo_pool());
        if (status != ZX_OK) {
                log_line("netvsc: channel %u does not come up: %s", channel->offer.channel_id,
                         zx_status_name(status));
                describe(netvsc);
                netvsc->channel = NULL;
                return status;
        }
        netvsc->describe = netvsc_describe;
        status = netdev_add(&netvsc->netdev);
        if (status != ZX_OK) {
                netvsc_stop(netvsc);
                netvsc_fini(netvsc);
                netvsc->channel = NULL;
                return status;
        }
        channel->driver_context = netvsc;
        log_line("netvsc: %s on channel %u, NVSP %#x, mtu %u", netvsc->netdev.name,
                 channel->offer.channel_id, (unsigned)netvsc->version,
                 (unsigned)netvsc->netdev.mtu);
        return ZX_OK;
}

static void rescinded(struct vmbus_channel *channel)
{
        netvsc_remove(channel->driver_context);
}

VMBUS_DRIVER(netvsc_driver, "netvsc", NETVSC_INTERFACE, offered, rescinded);
