/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The kernel's list of network cards: names, waiting, `cmd=net`. */
#include "drivers/netdev/netdev_card.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "kernel/command.h"
#include "kernel/cpu.h"
#include "kernel/log.h"
#include "kernel/time.h"
#include "kernel/vmo_store_boot.h"

#define POLL_PERIOD_NS NS_PER_MS

static struct netdev *netdevs[NETDEV_MAX];
static size_t count;
static unsigned names; /* given so far */

zx_status_t netdev_add(struct netdev *netdev)
{
        if (count == NETDEV_MAX)
                return ZX_ERR_NO_RESOURCES;
        snprintf(netdev->name, sizeof(netdev->name), "net%u", names++);
        netdevs[count++] = netdev;
        vmo_store_publish(&netdev->store);
        return ZX_OK;
}

void netdev_forget(struct netdev *netdev)
{
        size_t at = 0;
        ASSERT(netdev_is_idle(netdev));
        while (at < count && netdevs[at] != netdev)
                at++;
        ASSERT(at < count);
        for (count--; at < count; at++)
                netdevs[at] = netdevs[at + 1];
        vmo_store_withdraw(&netdev->store);
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

/* ---- waiting ---- */

/* Cards come and go as work of the boot CPU, which nobody else makes take it. */
static void serve(void)
{
        if (cpu_current() == 0)
                (void)cpu_serve();
}

void netdev_wait(struct netdev *netdev, uint32_t queue, uint64_t deadline_ns)
{
        ASSERT(queue < NETDEV_QUEUE_PAIRS_MAX);
        struct netdev_queue *pair = &netdev->queues[queue];
        serve();
        /* Seen by netdev_wake() or not: an interrupt that misses it costs the millisecond that
         * time_wait_interrupt() promises at most. */
        __atomic_store_n(&pair->waiter, cpu_current() + 1, __ATOMIC_SEQ_CST);
        while (!time_passed(deadline_ns) && !netdev->ops->pending(netdev, queue)) {
                uint64_t next = time_deadline_after(POLL_PERIOD_NS);
                bool nap = netdev->polled && next < deadline_ns;
                time_wait_interrupt(nap ? next : deadline_ns);
                serve();
                if (nap)
                        break;
        }
        __atomic_store_n(&pair->waiter, 0, __ATOMIC_RELAXED);
}

void netdev_wake(struct netdev *netdev, uint32_t queue_bits)
{
        for (; queue_bits != 0; queue_bits &= queue_bits - 1) {
                uint32_t queue = (uint32_t)__builtin_ctz(queue_bits);
                uint32_t waiter = __atomic_load_n(&netdev->queues[queue].waiter, __ATOMIC_SEQ_CST);
                if (waiter != 0 && waiter - 1 != cpu_current())
                        arch_cpu_wake(waiter - 1);
        }
}

/* ---- cmd=net ---- */

static void print_queue(const char *name, const char *which, const struct netdev_queue_counters *c)
{
        log_line("net: %s%s: received %llu frames, %llu bytes, %llu parts; %llu dropped, "
                 "%llu times starved",
                 name, which, (unsigned long long)c->receive_frames,
                 (unsigned long long)c->receive_bytes, (unsigned long long)c->receive_parts,
                 (unsigned long long)c->receive_dropped, (unsigned long long)c->receive_starved);
        log_line("net: %s%s: sent %llu frames, %llu bytes; %llu done, %llu failed, %llu times "
                 "full; %llu notifications, %llu idle interrupts",
                 name, which, (unsigned long long)c->transmit_frames,
                 (unsigned long long)c->transmit_bytes, (unsigned long long)c->transmit_done,
                 (unsigned long long)c->transmit_failed, (unsigned long long)c->transmit_full,
                 (unsigned long long)c->notifications, (unsigned long long)c->interrupts_idle);
}

static const char *running_name(const struct netdev *netdev)
{
        if (!netdev->running)
                return netdev->removed ? "removed" : "stopped";
        return netdev->polled ? "polled" : "by interrupts";
}

static void print_capabilities(const struct netdev *netdev)
{
        char text[256];
        int used = 0;
        for (uint32_t i = 0; i < NETDEV_CAPABILITIES; i++)
                if (netdev_can(&netdev->capabilities, (enum netdev_capability)i))
                        used += snprintf(text + used, sizeof(text) - (size_t)used, " %s",
                                         netdev_capability_name((enum netdev_capability)i));
        text[used] = '\0';
        log_line("net: %s: can%s", netdev->name, used == 0 ? " nothing special" : text);
}

static void print_card(struct netdev *netdev)
{
        const struct netdev_counters *counters = netdev_counters(netdev);
        char which[8];
        log_line("net: %s: %02x:%02x:%02x:%02x:%02x:%02x, mtu %u, link %s, %s, %u of %u queue "
                 "pairs",
                 netdev->name, netdev->mac[0], netdev->mac[1], netdev->mac[2], netdev->mac[3],
                 netdev->mac[4], netdev->mac[5], (unsigned)netdev->mtu,
                 netdev->link_up ? "up" : "down", running_name(netdev),
                 (unsigned)netdev->queue_pairs, (unsigned)netdev->capabilities.queue_pairs);
        print_capabilities(netdev);
        print_queue(netdev->name, "", &counters->total);
        for (uint32_t queue = 0; netdev->queue_pairs > 1 && queue < netdev->queue_pairs; queue++) {
                snprintf(which, sizeof(which), ".%u", (unsigned)queue);
                print_queue(netdev->name, which, &netdev->queues[queue].counters);
        }
        log_line("net: %s: %llu interrupts, %llu faults, %llu restarts, %llu link changes, "
                 "%llu pages leaked",
                 netdev->name, (unsigned long long)counters->interrupts,
                 (unsigned long long)counters->faults, (unsigned long long)counters->restarts,
                 (unsigned long long)counters->link_changes,
                 (unsigned long long)counters->leaked_pages);
        if (netdev->ops->describe != NULL)
                netdev->ops->describe(netdev);
}

static void netdev_print(void)
{
        for (size_t i = 0; i < count; i++)
                print_card(netdevs[i]);
        if (count == 0)
                log_line("net: no network cards");
}

COMMAND(net_command, "net", "lists the network cards with their counters", netdev_print);
