/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The list of cards and the checks that are the same for all of them. */
#include "drivers/netdev/netdev.h"

#include <stdio.h>

#include "base/assert.h"
#include "kernel/command.h"
#include "kernel/log.h"
#include "kernel/time.h"

#define POLL_PERIOD_NS NS_PER_MS

static struct netdev *netdevs[NETDEV_MAX];
static size_t count;

zx_status_t netdev_register(struct netdev *netdev)
{
        if (count == NETDEV_MAX)
                return ZX_ERR_NO_RESOURCES;
        snprintf(netdev->name, sizeof(netdev->name), "net%u", (unsigned)count);
        netdevs[count++] = netdev;
        return ZX_OK;
}

size_t netdev_count(void)
{
        return count;
}

struct netdev *netdev_at(size_t index)
{
        ASSERT(index < count);
        return netdevs[index];
}

zx_status_t netdev_attach(struct netdev *netdev, const struct netdev_client *client)
{
        if (netdev->client.receive != NULL)
                return ZX_ERR_ALREADY_BOUND;
        ASSERT(client->receive != NULL && client->transmit_done != NULL);
        netdev->client = *client;
        return ZX_OK;
}

void netdev_detach(struct netdev *netdev)
{
        netdev->client = (struct netdev_client){0};
}

zx_status_t netdev_transmit(struct netdev *netdev, const struct netdev_frame *frames,
                            uint32_t frame_count, uint32_t *accepted)
{
        zx_status_t status = ZX_OK, sent;
        uint32_t good = 0;
        *accepted = 0;
        if (!netdev->running)
                return ZX_ERR_BAD_STATE;
        while (good < frame_count && status == ZX_OK) {
                if (frames[good].bytes < NETDEV_HEADER_BYTES ||
                    frames[good].bytes > netdev->mtu + NETDEV_HEADER_BYTES)
                        status = ZX_ERR_INVALID_ARGS;
                else
                        good++;
        }
        if (good == 0)
                return status;
        sent = netdev->ops->transmit(netdev, frames, good, accepted);
        return sent != ZX_OK ? sent : status;
}

uint32_t netdev_poll(struct netdev *netdev, uint32_t budget)
{
        ASSERT(budget != 0);
        ASSERT(!netdev->in_poll);
        if (!netdev->running)
                return 0;
        netdev->in_poll = true;
        uint32_t done = netdev->ops->poll(netdev, budget);
        netdev->in_poll = false;
        return done;
}

void netdev_wait(struct netdev *netdev, uint64_t deadline_ns)
{
        while (!time_passed(deadline_ns) && !netdev->ops->pending(netdev)) {
                uint64_t next = time_deadline_after(POLL_PERIOD_NS);
                bool nap = netdev->polled && next < deadline_ns;
                time_wait_interrupt(nap ? next : deadline_ns);
                if (nap)
                        return;
        }
}

const struct netdev_counters *netdev_counters(struct netdev *netdev)
{
        netdev->ops->update_counters(netdev);
        return &netdev->counters;
}

/* ---- cmd=net ---- */

static void print_counters(const char *name, const struct netdev_counters *c)
{
        log_line("net: %s: received %llu frames, %llu bytes, %llu dropped", name,
                 (unsigned long long)c->receive_frames, (unsigned long long)c->receive_bytes,
                 (unsigned long long)c->receive_dropped);
        log_line("net: %s: sent %llu frames, %llu bytes, %llu times full", name,
                 (unsigned long long)c->transmit_frames, (unsigned long long)c->transmit_bytes,
                 (unsigned long long)c->transmit_full);
        log_line("net: %s: %llu interrupts, %llu idle, %llu notifications, %llu faults, "
                 "%llu pages leaked",
                 name, (unsigned long long)c->interrupts, (unsigned long long)c->interrupts_idle,
                 (unsigned long long)c->kicks, (unsigned long long)c->faults,
                 (unsigned long long)c->leaked_pages);
}

static const char *running_name(const struct netdev *netdev)
{
        if (!netdev->running)
                return "stopped";
        return netdev->polled ? "polled" : "by interrupts";
}

static void netdev_print(void)
{
        for (size_t i = 0; i < count; i++) {
                const struct netdev *netdev = netdevs[i];
                log_line("net: %s: %02x:%02x:%02x:%02x:%02x:%02x, mtu %u, link %s, %s",
                         netdev->name, netdev->mac[0], netdev->mac[1], netdev->mac[2],
                         netdev->mac[3], netdev->mac[4], netdev->mac[5], (unsigned)netdev->mtu,
                         netdev->link_up ? "up" : "down", running_name(netdev));
                print_counters(netdev->name, netdev_counters(netdevs[i]));
                if (netdev->ops->describe != NULL)
                        netdev->ops->describe(netdevs[i]);
        }
        if (count == 0)
                log_line("net: no network cards");
}

COMMAND(net_command, "net", "lists the network cards with their counters", netdev_print);
