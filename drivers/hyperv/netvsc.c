/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* A Hyper-V network card from its birth to its end. Facts: spec/vmbus.md, f.8. */
#include "drivers/hyperv/netvsc.h"

#include "base/assert.h"
#include "base/bytes.h"

#define POLL_PACKETS 64 /* read from the ring in one go; see the budget in poll */
#define FILTER_DEFAULT                                                                             \
        (1u << RNDIS_FILTER_DIRECTED_BIT | 1u << RNDIS_FILTER_ALL_MULTICAST_BIT |                  \
         1u << RNDIS_FILTER_BROADCAST_BIT)

const char *netvsc_fault_rule(enum netvsc_fault fault)
{
#define RULE_(name, rule) rule,
        static const char *const rules[] = {NETVSC_FAULT_LIST(RULE_)};
#undef RULE_
        return (uint32_t)fault < NETVSC_FAULT_COUNT ? rules[fault] : "";
}

zx_status_t netvsc_broken(struct netvsc *netvsc, enum netvsc_fault fault)
{
        if (netvsc->fault == NETVSC_FAULT_NONE) {
                netvsc->fault = fault;
                netvsc->netdev.counters.faults++;
        }
        return ZX_ERR_IO_DATA_INTEGRITY;
}

/* ---- memory ---- */

/* A contiguous VMO that the host can be given, with its addresses; one reference. */
static zx_status_t make_memory(struct netvsc *netvsc, uint64_t bytes, struct vmo **vmo_out,
                               uint64_t *pa_out)
{
        struct vmo_span span;
        size_t count;
        struct vmo *vmo;
        zx_status_t status = vmo_create_contiguous(netvsc->pool, bytes, PAGE_BYTES_LOG2, &vmo);
        if (status != ZX_OK)
                return status;
        status = vmo_pin(vmo, 0, bytes);
        if (status == ZX_OK)
                status = vmo_pinned_spans(vmo, 0, bytes, (struct vmo_span_list){&span, 1}, &count);
        ASSERT(status == ZX_OK); /* the pages are there, in one run, and nobody else knows them */
        *vmo_out = vmo;
        *pa_out = span.pa;
        return ZX_OK;
}

static void drop_memory(struct vmo **vmo)
{
        if (*vmo == NULL)
                return;
        vmo_unpin(*vmo, 0, vmo_size(*vmo));
        vmo_put(*vmo);
        *vmo = NULL;
}

/* The receive buffer as large as there is memory for. It stays from one opening to the next. */
static zx_status_t make_receive_memory(struct netvsc *netvsc)
{
        zx_status_t status = ZX_ERR_NO_MEMORY;
        if (netvsc->receive_vmo != NULL)
                return ZX_OK;
        for (uint32_t bytes = NETVSC_RECEIVE_BYTES_MAX; bytes >= NETVSC_RECEIVE_BYTES_MIN;
             bytes /= 2) {
                status = vmo_create_contiguous(netvsc->pool, bytes, PAGE_BYTES_LOG2,
                                               &netvsc->receive_vmo);
                if (status != ZX_ERR_NO_MEMORY)
                        break;
        }
        if (status != ZX_OK)
                return status;
        status = netdev_add_memory(&netvsc->netdev, netvsc->receive_vmo, &netvsc->receive_vmo_id);
        if (status != ZX_OK) {
                vmo_put(netvsc->receive_vmo);
                netvsc->receive_vmo = NULL;
                return status;
        }
        netvsc->receive_bytes = (uint32_t)vmo_size(netvsc->receive_vmo);
        struct vmo_region whole = {.vmo_id = (uint8_t)netvsc->receive_vmo_id,
                                   .length = netvsc->receive_bytes};
        netvsc->receive_va = netdev_window(&netvsc->netdev, whole);
        ASSERT(netvsc->receive_va != NULL);
        return ZX_OK;
}

static zx_status_t make_other_memory(struct netvsc *netvsc)
{
        uint64_t send_pa;
        zx_status_t status = make_memory(
                netvsc, NETVSC_SEND_SLOTS * NETVSC_HEADER_BYTES + NETVSC_CONTROL_BYTES,
                &netvsc->header_vmo, &netvsc->header_pa);
        if (status != ZX_OK)
                return status;
        netvsc->header_va = pmm_pa_to_va(netvsc->pool->pmm, netvsc->header_pa);
        status = make_memory(netvsc, NETVSC_SEND_BYTES, &netvsc->send_vmo, &send_pa);
        if (status != ZX_OK) {
                drop_memory(&netvsc->header_vmo);
                return status;
        }
        netvsc->send_va = pmm_pa_to_va(netvsc->pool->pmm, send_pa);
        return ZX_OK;
}

/* ---- opening and closing ---- */

static void on_signal(struct vmbus_channel *channel, void *context)
{
        struct netvsc *netvsc = context;
        (void)channel;
        __atomic_fetch_add(&netvsc->netdev.counters.interrupts, 1, __ATOMIC_RELAXED);
        __atomic_store_n(&netvsc->signalled, 1, __ATOMIC_RELEASE);
        netdev_wake(&netvsc->netdev, 1);
}

static zx_status_t open_channel(struct netvsc *netvsc)
{
        const struct vmbus_open_parameters parameters = {
                .send_pages = NETVSC_RING_PAGES,
                .receive_pages = NETVSC_RING_PAGES,
                .callback = on_signal,
                .context = netvsc,
                .request_slots = netvsc->request_slots,
                .request_count = ARRAY_COUNT(netvsc->request_slots),
        };
        zx_status_t status = vmbus_open(netvsc->channel, &parameters);
        if (status != ZX_OK)
                return status;
        netvsc->opened = true;
        struct vmbus_gpadl_memory receive = {.vmo = netvsc->receive_vmo,
                                             .bytes = netvsc->receive_bytes,
                                             .page_count =
                                                     netvsc->receive_bytes / (uint32_t)PAGE_BYTES};
        struct vmbus_gpadl_memory send = {.vmo = netvsc->send_vmo,
                                          .bytes = NETVSC_SEND_BYTES,
                                          .page_count = NETVSC_SEND_BYTES / (uint32_t)PAGE_BYTES};
        status = vmbus_gpadl_create(netvsc->channel, &receive, &netvsc->receive_gpadl);
        if (status == ZX_OK)
                status = vmbus_gpadl_create(netvsc->channel, &send, &netvsc->send_gpadl);
        return status;
}

static void end_gpadl(struct netvsc *netvsc, struct vmbus_gpadl **gpadl)
{
        if (*gpadl != NULL)
                (void)!vmbus_gpadl_teardown(netvsc->channel, *gpadl);
        *gpadl = NULL;
}

void netvsc_stop(struct netvsc *netvsc)
{
        netdev_set_running(&netvsc->netdev, false);
        if (netvsc->opened) {
                bool early = netvsc->version < NVSP_VERSION_4;
                if (netvsc->fault == NETVSC_FAULT_NONE &&
                    vmbus_channel_state(netvsc->channel) == VMBUS_CHANNEL_OPEN)
                        netvsc_halt(netvsc);
                if (early) {
                        end_gpadl(netvsc, &netvsc->send_gpadl);
                        end_gpadl(netvsc, &netvsc->receive_gpadl);
                }
                (void)!vmbus_close(netvsc->channel);
                netvsc->opened = false;
                end_gpadl(netvsc, &netvsc->send_gpadl);
                end_gpadl(netvsc, &netvsc->receive_gpadl);
        }
        netvsc_cancel_sent(netvsc);
        netvsc_forget_ranges(netvsc);
        drop_memory(&netvsc->send_vmo);
        drop_memory(&netvsc->header_vmo);
}

/* ---- netdev's calls ---- */

static uint32_t poll(struct netdev *netdev, uint32_t queue, uint32_t budget)
{
        struct netvsc *netvsc = netvsc_from(netdev);
        uint32_t delivered = 0, sent, more = 0;
        bool signalled = __atomic_exchange_n(&netvsc->signalled, 0, __ATOMIC_ACQUIRE) != 0;
        zx_status_t status = netvsc_take(netvsc, POLL_PACKETS);
        bool empty = status == ZX_ERR_SHOULD_WAIT;
        sent = netvsc_tell_sent(netvsc, budget);
        if (status == ZX_OK || empty)
                status = netvsc_deliver(netvsc, budget, &delivered);
        if (status == ZX_OK)
                status = netvsc_complete(netvsc);
        if (status == ZX_ERR_SHOULD_WAIT)
                status = ZX_OK; /* completions wait for room: a later poll */
        netdev_set_link(netdev, netvsc->link_up_told);
        /* A rule may have been broken to whoever set something, or gave frames back. */
        if (status != ZX_OK || netvsc->fault != NETVSC_FAULT_NONE) {
                netvsc_stop(netvsc);
                return delivered + sent;
        }
        if (signalled && delivered + sent == 0)
                netdev->queues[queue].counters.interrupts_idle++;
        /* Drained: ask for signals, unless something came in the meantime. */
        if (!empty || netvsc->range_head != netvsc->range_tail || netvsc->done_slot_count != 0)
                more = budget;
        else if (vmbus_channel_sleep(netvsc->channel) == ZX_OK)
                __atomic_store_n(&netvsc->signalled, 1, __ATOMIC_RELEASE);
        return (uint32_t)max_u64(delivered + sent, more);
}

static bool pending(struct netdev *netdev, uint32_t queue)
{
        struct netvsc *netvsc = netvsc_from(netdev);
        (void)queue;
        return __atomic_load_n(&netvsc->signalled, __ATOMIC_ACQUIRE) != 0 ||
               netvsc->range_head != netvsc->range_tail || netvsc->done_slot_count != 0 ||
               netvsc->transaction_done != UINT16_MAX || !netdev->running ||
               netvsc->fault != NETVSC_FAULT_NONE ||
               vmbus_channel_state(netvsc->channel) != VMBUS_CHANNEL_OPEN;
}

/* Lists of unicast addresses are not known to NDIS: more is let through instead. */
static zx_status_t set_receive_mode(struct netdev *netdev, const struct netdev_receive_mode *mode)
{
        struct netvsc *netvsc = netvsc_from(netdev);
        uint32_t filter = 1u << RNDIS_FILTER_DIRECTED_BIT | 1u << RNDIS_FILTER_BROADCAST_BIT;
        zx_status_t status = ZX_OK;
        if (mode->promiscuous || mode->unicast_count != 0)
                filter |= 1u << RNDIS_FILTER_PROMISCUOUS_BIT;
        if (mode->all_multicast) {
                filter |= 1u << RNDIS_FILTER_ALL_MULTICAST_BIT;
        } else if (mode->multicast_count != 0) {
                filter |= 1u << RNDIS_FILTER_MULTICAST_BIT;
                status = netvsc_set_multicast(netvsc, mode->macs[mode->unicast_count],
                                              mode->multicast_count);
                if (status == ZX_ERR_IO) { /* a host without lists gives all of them */
                        filter |= 1u << RNDIS_FILTER_ALL_MULTICAST_BIT;
                        status = ZX_OK;
                }
        }
        if (status == ZX_OK)
                status = netvsc_set_filter(netvsc, filter);
        if (status == ZX_OK)
                netvsc->filter = filter;
        return status;
}

static zx_status_t bring_up(struct netvsc *netvsc)
{
        struct netdev *netdev = &netvsc->netdev;
        netvsc->fault = NETVSC_FAULT_NONE;
        netvsc->rndis_fault = RNDIS_OK;
        netvsc->version = 0;
        netvsc->request_id = 0;
        netvsc->link_up_told = true;
        netvsc_receive_reset(netvsc);
        netvsc_transmit_reset(netvsc);
        netdev->mtu = netvsc->wanted_mtu;
        netdev->capabilities = (struct netdev_capabilities){
                .bits = 1u << NETDEV_CAN_VLAN_INSERT_BIT | 1u << NETDEV_CAN_VLAN_STRIP_BIT |
                        1u << NETDEV_CAN_PROMISCUOUS_BIT | 1u << NETDEV_CAN_ALL_MULTICAST_BIT |
                        1u << NETDEV_CAN_FILTER_MAC_BIT | 1u << NETDEV_CAN_REPORT_LINK_BIT,
                .queue_pairs = 1,
                .transmit_depth = NETVSC_SEND_SLOTS,
        };
        zx_status_t status = make_receive_memory(netvsc);
        if (status == ZX_OK)
                status = make_other_memory(netvsc);
        if (status == ZX_OK)
                status = open_channel(netvsc);
        if (status == ZX_OK)
                status = netvsc_set_up(netvsc);
        if (status != ZX_OK) {
                netvsc_stop(netvsc);
                return status;
        }
        netdev->capabilities.receive_depth = netvsc->suballocation_count;
        netdev->capabilities.receive_part_bytes = netdev->mtu + NETDEV_HEADER_BYTES;
        netdev_set_link(netdev, netvsc->link_up_told);
        /* Read what came with the answers, and from then on sleep for signals. */
        __atomic_store_n(&netvsc->signalled, 1, __ATOMIC_RELEASE);
        netdev_set_running(netdev, true);
        return ZX_OK;
}

static zx_status_t restart(struct netdev *netdev)
{
        struct netvsc *netvsc = netvsc_from(netdev);
        netvsc_stop(netvsc);
        if (netdev_receive_held(netdev) != 0)
                return ZX_ERR_SHOULD_WAIT; /* the host would write to what the client reads */
        return bring_up(netvsc);
}

static void describe(struct netdev *netdev)
{
        struct netvsc *netvsc = netvsc_from(netdev);
        if (netvsc->describe != NULL)
                netvsc->describe(netdev);
}

static const struct netdev_ops ops = {
        .transmit = netvsc_transmit,
        .poll = poll,
        .release = netvsc_release,
        .pending = pending,
        .restart = restart,
        .set_receive_mode = set_receive_mode,
        .describe = describe,
};

/* ---- life ---- */

zx_status_t netvsc_start(struct netvsc *netvsc, struct vmbus_channel *channel,
                         struct vmo_pool *pool)
{
        uint32_t copy_break = netvsc->copy_break, wanted_mtu = netvsc->wanted_mtu;
        memset(netvsc, 0, sizeof(*netvsc));
        netdev_init(&netvsc->netdev, &ops, pool);
        netvsc->channel = channel;
        netvsc->pool = pool;
        netvsc->copy_break = copy_break;
        netvsc->wanted_mtu = wanted_mtu != 0 ? wanted_mtu : NETDEV_MTU_DEFAULT;
        netvsc->filter = FILTER_DEFAULT;
        zx_status_t status = bring_up(netvsc);
        if (status != ZX_OK)
                netvsc_fini(netvsc);
        return status;
}

void netvsc_remove(struct netvsc *netvsc)
{
        netvsc_stop(netvsc);
        netdev_remove(&netvsc->netdev);
}

void netvsc_fini(struct netvsc *netvsc)
{
        ASSERT(!netvsc->opened);
        if (netvsc->receive_vmo == NULL)
                return;
        netdev_remove_memory(&netvsc->netdev, netvsc->receive_vmo_id);
        vmo_put(netvsc->receive_vmo);
        netvsc->receive_vmo = NULL;
}
