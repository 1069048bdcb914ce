/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_net against a device of ours: bring-up with too little memory, commands and refusals,
 * queue pairs, and what breaks. */
#include "tests/host/machine/virtio_net_checks.h"

#include <string.h>

#include "kernel/cpu.h"

static const struct virtio_net_header plain;

/* ---- bring-up ---- */

/* With n pages, for each n from 0 on until it is enough: nothing leaks, and what starts works. */
static void sweep(struct test *t, uint64_t features, uint32_t queue_size)
{
        zx_status_t status = ZX_ERR_NO_MEMORY;
        uint32_t failures = 0;
        rig_init(t, PAGES);
        uint64_t all = rig.free_pages;
        for (uint64_t n = 0; n < all && status != ZX_OK && !test_has_failed(t); n++) {
                rig_init(t, PAGES);
                rig.offered |= features;
                rig.queue_size = queue_size;
                REQUIRE_OK(pmm_alloc_pages(&rig.pmm, all - n, PMM_ALLOC_ANY, &rig.taken));
                status = rig_start_card();
                if (status == ZX_OK) {
                        pmm_free(&rig.pmm, &rig.taken);
                        EXPECT_OK(rig_attach());
                        expect_traffic(t, 0);
                } else {
                        EXPECT_STATUS(ZX_ERR_NO_MEMORY, status);
                        failures++;
                        EXPECT_EQ(rig.status & VIRTIO_STATUS_DRIVER_OK, 0);
                        EXPECT_EQ(pmm_count_free_pages(&rig.pmm), n);
                }
                rig_finish(t);
        }
        EXPECT_OK(status);
        EXPECT_GT(failures, 5);
}

TEST(virtio_net_life, too_little_memory)
{
        sweep(t, 0, 16);
        sweep(t, RIG_F(RING_PACKED) | RIG_F(INDIRECT_DESC) | RIG_NET(CTRL_VQ) | RIG_NET(MRG_RXBUF),
              64);
}

TEST(virtio_net_life, queue_sizes)
{
        for (uint32_t size = 2; size <= 64; size *= 2) {
                rig_init(t, PAGES);
                rig.queue_size = size;
                REQUIRE_OK(rig_start(t));
                EXPECT_EQ(rig_net.pairs[0].transmit.ring.size, size);
                EXPECT_TRUE(rig_net.pairs[0].transmit.ring.config.lengths_ignored);
                EXPECT_FALSE(rig_net.pairs[0].receive.ring.config.lengths_ignored);
                if (size >= 4) /* two parts take three descriptors */
                        expect_traffic(t, 0);
                rig_finish(t);
        }
        rig_init(t, PAGES);
        rig.queue_size = 1;
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, rig_start(t));
        rig_finish(t);
        rig_init(t, PAGES);
        rig.queue_size = 48;
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY, rig_start(t));
        rig_finish(t);
        rig_init(t, PAGES); /* packed rings may have any */
        rig.queue_size = 48;
        rig.offered |= RIG_F(RING_PACKED);
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig_net.pairs[0].transmit.ring.size, 48);
        expect_traffic(t, 0);
        rig_finish(t);
}

static void expect_no_start(struct test *t, zx_status_t status)
{
        EXPECT_STATUS(status, rig_start_card());
        EXPECT_TRUE(rig.status & VIRTIO_STATUS_FAILED || rig.status == 0);
        rig_finish(t);
}

TEST(virtio_net_life, devices_that_do_not_start)
{
        rig_init(t, PAGES);
        rig.offered &= ~RIG_F(VERSION_1);
        expect_no_start(t, ZX_ERR_NOT_SUPPORTED);
        rig_init(t, PAGES);
        rig.breaks_at_start = true;
        expect_no_start(t, ZX_ERR_IO);
        rig_init(t, PAGES);
        rig.config[0] |= 1; /* a group address */
        expect_no_start(t, ZX_ERR_IO_DATA_INTEGRITY);
        rig_init(t, PAGES);
        rig.config_bytes = 5; /* not even the address */
        expect_no_start(t, ZX_ERR_OUT_OF_RANGE);
        rig_init(t, PAGES);
        rig.queue_count = 1;
        expect_no_start(t, ZX_ERR_NOT_FOUND);
        rig_init(t, PAGES);
        rig.offered |= RIG_NET(CTRL_VQ);
        rig.queue_count = 2; /* where is the control queue? */
        expect_no_start(t, ZX_ERR_NOT_FOUND);
}

/* Features that need others, or a configuration that makes sense, are left alone without that. */
TEST(virtio_net_life, features_left_alone)
{
        const uint64_t coalesced = RIG_NET(GUEST_TSO4) | RIG_NET(GUEST_TSO6) |
                                   RIG_NET(GUEST_USO4) | RIG_NET(GUEST_ECN);
        const uint16_t bad_pairs[] = {0, 0x8000, 0xffff};
        uint16_t mtu = 67;
        rig_init(t, PAGES);
        rig.offered |= coalesced | RIG_NET(GUEST_CSUM) | RIG_NET(MTU); /* no MRG_RXBUF */
        memcpy(rig.config + VIRTIO_NET_CONFIG_MTU, &mtu, 2);
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig.accepted & (coalesced | RIG_NET(MTU)), 0);
        EXPECT_EQ(rig_card()->mtu, NETDEV_MTU_DEFAULT);
        rig_finish(t);
        for (uint32_t i = 0; i < ARRAY_COUNT(bad_pairs); i++) {
                rig_init(t, PAGES);
                rig.offered |= RIG_NET(CTRL_VQ) | RIG_NET(MQ) | RIG_NET(RSS);
                memcpy(rig.config + VIRTIO_NET_CONFIG_PAIRS, &bad_pairs[i], 2);
                REQUIRE_OK(rig_start(t));
                EXPECT_EQ(rig.accepted & (RIG_NET(MQ) | RIG_NET(RSS)), 0);
                EXPECT_TRUE(rig.accepted & RIG_NET(CTRL_VQ));
                EXPECT_EQ(rig_card()->capabilities.queue_pairs, 1);
                rig_finish(t);
        }
        rig_init(t, PAGES);
        rig.offered |= RIG_NET(CTRL_VQ) | RIG_NET(RSS) | RIG_NET(HASH_REPORT);
        rig.config[VIRTIO_NET_CONFIG_KEY_BYTES] = VIRTIO_NET_KEY_BYTES - 1;
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig.accepted & (RIG_NET(RSS) | RIG_NET(HASH_REPORT)), 0);
        rig_finish(t);
        rig_init(t, PAGES); /* everything at once */
        rig.offered = UINT64_MAX;
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig.accepted & ~virtio_net_wishes.wanted, RIG_F(VERSION_1));
        EXPECT_EQ(virtio_net_wishes.wanted & ~rig.accepted, 0);
        EXPECT_EQ(rig.accepted & (RIG_NET(GUEST_UFO) | RIG_NET(CTRL_GUEST_OFFLOADS)), 0);
        expect_traffic(t, 0);
        rig_finish(t);
}

/* ---- commands ---- */

static void expect_command(struct test *t, uint32_t number, uint8_t class, uint8_t command,
                           const void *data, uint32_t bytes)
{
        const struct rig_command *got = &rig.commands[number];
        if (!EXPECT_LT(number, rig.command_count))
                return;
        EXPECT_EQ(got->class, class);
        EXPECT_EQ(got->command, command);
        if (EXPECT_EQ(got->bytes, bytes))
                EXPECT_BYTES_EQ(got->data, data, bytes);
}

#define CONTROL (RIG_NET(CTRL_VQ) | RIG_NET(CTRL_RX) | RIG_NET(CTRL_VLAN) |                        \
                 RIG_NET(CTRL_MAC_ADDR) | RIG_NET(NOTF_COAL))

static const struct netdev_receive_mode mode = {
        .promiscuous = true,
        .unicast_count = 1,
        .multicast_count = 2,
        .macs = {{2, 0, 0, 0, 0, 7}, {1, 0, 0x5e, 0, 0, 1}, {0x33, 0x33, 0, 0, 0, 1}},
};
static const uint8_t mode_bytes[] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 7,             /* unicast */
                                     2, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1, 0x33, 0x33, 0, 0, 0, 1};
static const uint8_t new_mac[] = {2, 9, 8, 7, 6, 5};
static const struct netdev_moderation moderation = {16, 50, 32, 100};

static void expect_settings(struct test *t, uint32_t first)
{
        const uint8_t on = 1, off = 0, vlan[] = {100, 0};
        const uint32_t sent[] = {32, 100}, received[] = {16, 50};
        expect_command(t, first, 1, 1, new_mac, 6);
        expect_command(t, first + 1, 1, 0, mode_bytes, sizeof(mode_bytes));
        expect_command(t, first + 2, 0, 1, &off, 1);
        expect_command(t, first + 3, 0, 0, &on, 1);
        expect_command(t, first + 4, 2, 0, vlan, 2);
        expect_command(t, first + 5, 6, 0, sent, 8);
        expect_command(t, first + 6, 6, 1, received, 8);
        EXPECT_EQ(rig.command_count, first + 7);
        EXPECT_BYTES_EQ(rig_card()->mac, new_mac, 6);
}

static void set_everything(struct test *t)
{
        EXPECT_OK(netdev_set_mac(rig_card(), new_mac));
        EXPECT_OK(netdev_set_receive_mode(rig_card(), &mode));
        EXPECT_OK(netdev_set_vlan(rig_card(), 100, true));
        EXPECT_OK(netdev_set_moderation(rig_card(), &moderation));
}

TEST(virtio_net_life, settings_are_commands_and_survive)
{
        for (uint32_t packed = 0; packed < 2; packed++) {
                start_with(t, CONTROL | (packed ? RIG_F(RING_PACKED) | RIG_F(INDIRECT_DESC) : 0));
                set_everything(t);
                expect_settings(t, 0);
                EXPECT_OK(netdev_restart(rig_card()));
                expect_settings(t, 7);
                EXPECT_EQ(netdev_counters(rig_card())->restarts, 1);
                EXPECT_OK(netdev_set_vlan(rig_card(), 100, false));
                EXPECT_OK(netdev_restart(rig_card()));
                EXPECT_EQ(rig.command_count, 7 + 7 + 1 + 6);
                rig_finish(t);
        }
}

TEST(virtio_net_life, settings_that_make_no_sense)
{
        const uint8_t group[] = {3, 0, 0, 0, 0, 1}, zeros[6] = {0};
        struct netdev_receive_mode bad = mode;
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, netdev_set_mac(rig_card(), new_mac));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, netdev_set_receive_mode(rig_card(), &mode));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, netdev_set_vlan(rig_card(), 1, true));
        EXPECT_STATUS(ZX_ERR_NOT_SUPPORTED, netdev_set_moderation(rig_card(), &moderation));
        rig_finish(t);
        start_with(t, CONTROL);
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, netdev_set_mac(rig_card(), group));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, netdev_set_mac(rig_card(), zeros));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, netdev_set_vlan(rig_card(), 4095, true));
        bad.unicast_count = 2; /* the second is a group address */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, netdev_set_receive_mode(rig_card(), &bad));
        bad = mode;
        bad.unicast_count = NETDEV_FILTER_MACS_MAX;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, netdev_set_receive_mode(rig_card(), &bad));
        EXPECT_EQ(rig.command_count, 0);
        virtio_net_stop(&rig_net);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, netdev_set_mac(rig_card(), new_mac));
        rig_finish(t);
}

/* A device that refuses leaves everything as it was, and is told so again where it took half. */
TEST(virtio_net_life, device_that_refuses)
{
        const uint8_t old_mac[] = {0x52, 0x54, 0, 1, 2, 3};
        start_with(t, CONTROL);
        for (uint32_t silent = 0; silent < 2; silent++) {
                rig.control_answer = 1;
                rig.control_answers_left = 0;
                rig.control_says_nothing = silent;
                EXPECT_STATUS(ZX_ERR_IO, netdev_set_mac(rig_card(), new_mac));
                EXPECT_BYTES_EQ(rig_card()->mac, old_mac, 6);
                EXPECT_STATUS(ZX_ERR_IO, netdev_set_vlan(rig_card(), 5, true));
                EXPECT_STATUS(ZX_ERR_IO, netdev_set_receive_mode(rig_card(), &mode));
                EXPECT_STATUS(ZX_ERR_IO, netdev_set_moderation(rig_card(), &moderation));
        }
        rig.control_says_nothing = false;
        /* Of new filters the first third: the old ones are told again. */
        rig.control_answers_left = 1;
        rig.control_refuses_once = true;
        rig.command_count = 0;
        EXPECT_STATUS(ZX_ERR_IO, netdev_set_receive_mode(rig_card(), &mode));
        const uint8_t no_macs[8] = {0}, off = 0;
        expect_command(t, 0, 1, 0, mode_bytes, sizeof(mode_bytes));
        expect_command(t, 1, 0, 1, &off, 1);
        expect_command(t, 2, 1, 0, no_macs, sizeof(no_macs));
        expect_command(t, 3, 0, 1, &off, 1);
        expect_command(t, 4, 0, 0, &off, 1);
        EXPECT_EQ(rig.command_count, 5);
        rig.control_refuses_once = false;
        rig.control_answers_left = 1; /* half of the moderation */
        rig.command_count = 0;
        EXPECT_STATUS(ZX_ERR_IO, netdev_set_moderation(rig_card(), &moderation));
        const uint32_t none[] = {0, 0};
        expect_command(t, 2, 6, 0, none, 8);
        rig.control_answers_left = UINT32_MAX;
        EXPECT_OK(netdev_restart(rig_card()));
        EXPECT_EQ(rig.command_count, 3); /* nothing of it was remembered */
        expect_traffic(t, 0);
        rig_finish(t);
}

/* A command without an answer costs its second once; its page stays the device's until a reset. */
TEST(virtio_net_life, device_that_does_not_answer)
{
        start_with(t, CONTROL);
        rig.control_silent = true;
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, netdev_set_mac(rig_card(), new_mac));
        uint64_t waited = rig.clock_ns;
        EXPECT_GE(waited, 1000000000ull);
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, netdev_set_vlan(rig_card(), 1, true));
        EXPECT_EQ(rig.clock_ns, waited);
        expect_traffic(t, 0);
        rig.control_silent = false;
        EXPECT_OK(netdev_restart(rig_card()));
        EXPECT_OK(netdev_set_mac(rig_card(), new_mac));
        rig_finish(t);
}

/* ---- queue pairs ---- */

static void expect_traffic_on_all(struct test *t, uint32_t pairs)
{
        for (uint32_t queue = 0; queue < pairs; queue++)
                expect_traffic(t, queue);
}

/* Pages, without a byte of the card's: where attaching begins to be of interest. */
#define CLIENT_NEEDS 62

/* A card with three pairs and a control queue, for a client that wants all of them; with n pages
 * left for the call, for each n until it is enough. A call that is refused can be made again. */
static void sweep_pairs(struct test *t, uint64_t features, bool restarts)
{
        zx_status_t status = ZX_ERR_NO_MEMORY;
        uint32_t failures = 0;
        for (uint64_t n = restarts ? 0 : CLIENT_NEEDS;
             n < PAGES && status != ZX_OK && !test_has_failed(t); n++) {
                pairs_init(t, 3, RIG_NET(MQ) | features);
                rig.queue_pairs = 3;
                REQUIRE_OK(rig_start_card());
                if (restarts) {
                        EXPECT_OK(rig_attach());
                        rig.leaves_pages = n; /* when the memory of its old life is free again */
                        rig.takes_pages = true;
                        status = netdev_restart(rig_card());
                } else {
                        rig_take_pages(n);
                        status = rig_attach();
                        if (status != ZX_OK)
                                EXPECT_EQ(pmm_count_free_pages(&rig.pmm), n);
                }
                rig.takes_pages = false;
                pmm_free(&rig.pmm, &rig.taken);
                if (status != ZX_OK) {
                        EXPECT_STATUS(ZX_ERR_NO_MEMORY, status);
                        failures++;
                        EXPECT_EQ(rig_card()->running, !restarts);
                        EXPECT_OK(restarts ? netdev_restart(rig_card()) : rig_attach());
                }
                expect_traffic_on_all(t, 3);
                rig_finish(t);
        }
        EXPECT_OK(status);
        EXPECT_GT(failures, 5);
}

#define EVERYTHING (RIG_F(RING_PACKED) | RIG_F(INDIRECT_DESC) | RIG_NET(MRG_RXBUF))

TEST(virtio_net_life, too_little_memory_to_attach_to_three_pairs)
{
        sweep_pairs(t, 0, false);
}

TEST(virtio_net_life, too_little_memory_to_restart_three_pairs)
{
        sweep_pairs(t, 0, true);
}

TEST(virtio_net_life, too_little_memory_to_restart_three_packed_pairs)
{
        sweep_pairs(t, EVERYTHING, true);
}

TEST(virtio_net_life, queue_pairs)
{
        const uint16_t three = 3;
        pairs_init(t, 4, RIG_NET(MQ));
        rig.queue_pairs = 3;
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig_card()->capabilities.queue_pairs, 4);
        EXPECT_EQ(rig_card()->queue_pairs, 3);
        EXPECT_EQ(rig.vectors, 8);
        EXPECT_EQ(rig_net.control_index, 8);
        EXPECT_TRUE(rig.queues[8].setup.no_interrupt);
        expect_command(t, 0, 4, 0, &three, 2);
        for (uint32_t queue = 0; queue < 8; queue++)
                EXPECT_EQ(rig.queues[queue].aimed_at, 1 + queue / 2 % cpu_count());
        for (uint32_t queue = 0; queue < 3; queue++) {
                EXPECT_EQ(rig.queues[2 * queue].notifications, 1); /* of the memory it got */
                expect_traffic(t, queue);
        }
        EXPECT_FALSE(rig_deliver(3, plain, 1, 60)); /* nobody polls it, so it has no memory */
        EXPECT_EQ(rig_net.pairs[3].memory, NULL);
        EXPECT_EQ(netdev_poll(rig_card(), 3, 1), 0);
        EXPECT_EQ(netdev_counters(rig_card())->total.receive_frames, 3);
        EXPECT_EQ(rig_card()->queues[2].counters.receive_frames, 1);
        EXPECT_OK(netdev_restart(rig_card())); /* and all three are there again */
        for (uint32_t queue = 0; queue < 4; queue++)
                EXPECT_EQ(rig.queues[2 * queue].notifications, queue < 3);
        expect_command(t, 1, 4, 0, &three, 2);
        for (uint32_t queue = 0; queue < 3; queue++)
                expect_traffic(t, queue);
        /* The next client wants one. */
        EXPECT_OK(netdev_detach(rig_card()));
        vmo_put(rig.vmo);
        rig.queue_pairs = 1;
        EXPECT_OK(rig_attach());
        const uint16_t one = 1;
        expect_command(t, 2, 4, 0, &one, 2);
        expect_traffic(t, 0);
        rig_finish(t);
}

/* More pairs than are ever used, so that the control queue lies beyond all that can interrupt. */
TEST(virtio_net_life, many_queue_pairs)
{
        const uint16_t used = NETDEV_QUEUE_PAIRS_MAX;
        pairs_init(t, 16, RIG_NET(MQ) | CONTROL);
        rig.queue_pairs = used;
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig_card()->capabilities.queue_pairs, used);
        EXPECT_EQ(rig_net.control_index, 32);
        EXPECT_EQ(rig.vectors, 2 * used);
        expect_command(t, 0, 4, 0, &used, 2);
        set_everything(t);
        expect_settings(t, 1);
        expect_traffic_on_all(t, used);
        EXPECT_OK(netdev_restart(rig_card()));
        expect_traffic_on_all(t, used);
        rig_finish(t);
}

/* Interrupts of one pair are not seen by another. */
TEST(virtio_net_life, interrupts_of_queue_pairs)
{
        pairs_init(t, 2, RIG_NET(MQ));
        rig.queue_pairs = 2;
        REQUIRE_OK(rig_start(t));
        rig_poll(0);
        rig_poll(1);
        const struct netdev_ops *ops = rig_card()->ops;
        EXPECT_FALSE(ops->pending(rig_card(), 0));
        EXPECT_FALSE(ops->pending(rig_card(), 1));
        rig.woken = 0;
        EXPECT_TRUE(rig_deliver(1, plain, 1, 60));
        EXPECT_EQ(rig.woken, 1u << 1);
        EXPECT_FALSE(ops->pending(rig_card(), 0));
        EXPECT_TRUE(ops->pending(rig_card(), 1));
        rig_poll(0);
        EXPECT_TRUE(ops->pending(rig_card(), 1));
        EXPECT_EQ(rig_poll(1), 1);
        EXPECT_FALSE(ops->pending(rig_card(), 1));
        /* Under load it stays masked, and says that it must be polled again. */
        uint64_t interrupts = netdev_counters(rig_card())->interrupts;
        for (uint32_t i = 0; i < 8; i++)
                EXPECT_TRUE(rig_deliver(1, plain, 1, 60));
        EXPECT_EQ(netdev_counters(rig_card())->interrupts, interrupts + 8); /* no EVENT_IDX */
        EXPECT_EQ(netdev_poll(rig_card(), 1, 4), 4);
        EXPECT_TRUE(ops->pending(rig_card(), 1));
        EXPECT_TRUE(rig_deliver(1, plain, 1, 60));
        EXPECT_EQ(netdev_counters(rig_card())->interrupts, interrupts + 8);
        EXPECT_EQ(netdev_poll(rig_card(), 1, 64), 5);
        EXPECT_FALSE(ops->pending(rig_card(), 1));
        /* One for nothing is counted. That of the configuration is the
         * first pair's, whoever polls. */
        const struct netdev_queue_counters *counters = &rig_card()->queues[1].counters;
        rig_interrupt(VIRTIO_SOURCE_QUEUE(2));
        EXPECT_EQ(rig_poll(1), 0);
        EXPECT_EQ(counters->interrupts_idle, 1);
        EXPECT_EQ(rig_poll(1), 0);
        EXPECT_EQ(counters->interrupts_idle, 1);
        rig.status |= VIRTIO_STATUS_NEEDS_RESET;
        rig.woken = 0;
        rig_interrupt(VIRTIO_SOURCE_CONFIG);
        EXPECT_EQ(rig.woken, 1u << 0);
        rig_poll(1);
        EXPECT_TRUE(rig_card()->running);
        EXPECT_TRUE(ops->pending(rig_card(), 0));
        rig_poll(0);
        EXPECT_FALSE(rig_card()->running);
        EXPECT_EQ(rig_card()->queues[0].counters.interrupts_idle, 0);
        rig_finish(t);
}

/* No poll takes more than its budget of either way. */
TEST(virtio_net_life, budget_of_a_poll)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        for (uint32_t id = 0; id < 5; id++) {
                struct netdev_frame frame = rig_frame(t, id, id * 2048, 100, 1);
                EXPECT_OK(rig_send(0, &frame));
                EXPECT_TRUE(rig_deliver(0, plain, id, 60));
        }
        EXPECT_EQ(rig_serve(0), 5);
        for (uint32_t polls = 1; polls <= 3; polls++) {
                netdev_poll(rig_card(), 0, 2);
                EXPECT_EQ(rig.done_count, min_u64(2 * polls, 5));
                EXPECT_EQ(rig.got_count, min_u64(2 * polls, 5));
                EXPECT_EQ(rig_card()->ops->pending(rig_card(), 0), polls < 3);
        }
        rig_finish(t);
}

/* What the device does behind the last look of a poll, when it is told of the parts that it has
 * back and is not asked for interrupts yet. */
static void deliver_late(uint16_t queue)
{
        rig.at_notification = NULL;
        if (queue == VIRTIO_NET_RECEIVE_QUEUE)
                (void)!rig_deliver(0, plain, 9, 60);
}

static void serve_late(uint16_t queue)
{
        rig.at_notification = NULL;
        if (queue == VIRTIO_NET_RECEIVE_QUEUE)
                rig_serve(0);
}

/* Asking comes before the last look: nothing that came in between
 * sleeps until the next interrupt. */
TEST(virtio_net_life, what_comes_between_draining_and_asking)
{
        const uint64_t rings[] = {0, RIG_F(EVENT_IDX), RIG_F(RING_PACKED),
                                  RIG_F(RING_PACKED) | RIG_F(EVENT_IDX)};
        for (uint32_t i = 0; i < 2 * ARRAY_COUNT(rings); i++) {
                bool sent = i % 2 != 0;
                start_with(t, rings[i / 2]);
                rig_poll(0);
                struct netdev_frame frame = rig_frame(t, 1, 0, 100, 1);
                EXPECT_OK(rig_send(0, &frame));
                EXPECT_TRUE(rig_deliver(0, plain, 1, 60));
                struct virtqueue_device *device = &rig.queues[VIRTIO_NET_RECEIVE_QUEUE].device;
                (void)!virtqueue_device_ask(device); /* packed: not for what is available already */
                if (device->packed)
                        memset(device->device_event, VIRTQUEUE_PACKED_EVENT_ALWAYS,
                               VIRTQUEUE_PACKED_EVENT_BYTES);
                uint32_t interrupts = rig.interrupts;
                rig.at_notification = sent ? serve_late : deliver_late;
                EXPECT_EQ(rig_poll(0), 1);
                EXPECT_TRUE(rig.at_notification == NULL);
                EXPECT_EQ(rig.interrupts, interrupts);
                EXPECT_TRUE(rig_card()->ops->pending(rig_card(), 0));
                EXPECT_EQ(rig_poll(0), 1);
                EXPECT_EQ(rig.done_count, sent);
                EXPECT_EQ(rig.got_count, 2 - sent);
                rig_finish(t);
        }
}

/* A device that waits for a place in the ring that it has passed itself, as QEMU's does: it is
 * notified before anybody sleeps. */
TEST(virtio_net_life, device_that_would_never_wake)
{
        start_with(t, RIG_F(RING_PACKED) | RIG_F(EVENT_IDX) | RIG_F(INDIRECT_DESC));
        struct rig_queue *queue = &rig.queues[VIRTIO_NET_TRANSMIT_QUEUE];
        struct virtqueue_packed_event *wish = queue->device.device_event;
        struct netdev_frame frame = rig_frame(t, 1, 0, 100, 1);
        EXPECT_OK(rig_send(0, &frame));
        EXPECT_EQ(rig_serve(0), 1);
        *wish = (struct virtqueue_packed_event){
                .position = virtqueue_packed_position((struct virtqueue_packed_place){0, true}),
                .flags = VIRTQUEUE_PACKED_EVENT_AT};
        uint32_t notifications = queue->notifications;
        frame = rig_frame(t, 2, 2048, 100, 1);
        EXPECT_OK(rig_send(0, &frame));
        EXPECT_EQ(queue->notifications, notifications); /* it has not asked */
        EXPECT_EQ(rig_poll(0), 1);
        EXPECT_EQ(queue->notifications, notifications + 1);
        EXPECT_EQ(rig_serve(0), 1);
        EXPECT_EQ(rig_poll(0), 1);
        rig_finish(t);
}

TEST(virtio_net_life, queue_pairs_refused)
{
        pairs_init(t, 2, RIG_NET(MQ));
        REQUIRE_OK(rig_start_card());
        rig.queue_pairs = 3;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, rig_attach());
        rig.queue_pairs = 2;
        rig.control_answers_left = 0;
        rig.control_answer = 1;
        EXPECT_STATUS(ZX_ERR_IO, rig_attach());
        EXPECT_EQ(rig_card()->queue_pairs, 1);
        rig.queue_pairs = 1;
        EXPECT_OK(rig_attach());
        EXPECT_STATUS(ZX_ERR_ALREADY_BOUND, netdev_attach(rig_card(), &rig_card()->client));
        expect_traffic(t, 0);
        rig_finish(t);
}

TEST(virtio_net_life, steering_by_hash)
{
        uint8_t bytes[4 + 2 + 2 + 64 * 2 + 2 + 1 + VIRTIO_NET_KEY_BYTES] = {0xff, 1, 0, 0, 63};
        pairs_init(t, 2, RIG_NET(RSS) | RIG_NET(HASH_REPORT));
        rig.queue_pairs = 2;
        REQUIRE_OK(rig_start(t));
        REQUIRE_EQ(rig.command_count, 2); /* for one pair, then for two */
        for (uint32_t i = 0; i < 64; i++)
                bytes[8 + 2 * i] = i % 2;
        bytes[136] = 2;
        bytes[138] = VIRTIO_NET_KEY_BYTES;
        memcpy(bytes + 139, rig.commands[1].data + 139, VIRTIO_NET_KEY_BYTES);
        expect_command(t, 1, 4, 1, bytes, sizeof(bytes));
        EXPECT_EQ(rig.commands[1].data[139], 0x6d);
        expect_traffic(t, 1);
        rig_finish(t);

        pairs_init(t, 1, RIG_NET(HASH_REPORT));
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig.commands[0].class, 4);
        EXPECT_EQ(rig.commands[0].command, 2);
        EXPECT_EQ(rig.commands[0].bytes, 4 + 8 + 1 + VIRTIO_NET_KEY_BYTES);
        rig_finish(t);
        /* With pairs to choose, the hash is the last word: QEMU
         * forgets it when it hears of pairs. */
        pairs_init(t, 2, RIG_NET(MQ) | RIG_NET(HASH_REPORT));
        rig.queue_pairs = 2;
        REQUIRE_OK(rig_start(t));
        REQUIRE_EQ(rig.command_count, 4); /* for one pair, then for two */
        for (uint32_t i = 0; i < 4; i++) {
                EXPECT_EQ(rig.commands[i].class, 4);
                EXPECT_EQ(rig.commands[i].command, i % 2 == 0 ? 0 : 2);
        }
        expect_traffic_on_all(t, 2);
        rig_finish(t);
}

/* The device takes two pairs and refuses the hash: it hears of one pair and its hash again. One
 * that refuses that, too, cannot be left as it is. */
TEST(virtio_net_life, hash_refused_after_pairs)
{
        const uint16_t one = 1, two = 2;
        for (uint32_t once = 0; once < 2; once++) {
                pairs_init(t, 2, RIG_NET(MQ) | RIG_NET(HASH_REPORT));
                REQUIRE_OK(rig_start_card());
                REQUIRE_EQ(rig.command_count, 2);
                rig.queue_pairs = 2;
                rig.control_answer = 1;
                rig.control_answers_left = 1;
                rig.control_refuses_once = once;
                EXPECT_STATUS(ZX_ERR_IO, rig_attach());
                EXPECT_EQ(rig_card()->queue_pairs, 1);
                EXPECT_EQ(netdev_counters(rig_card())->faults, !once);
                expect_command(t, 2, 4, 0, &two, 2);
                EXPECT_EQ(rig.commands[3].command, 2);
                expect_command(t, 4, 4, 0, &one, 2);
                EXPECT_EQ(rig.command_count, once ? 6 : 5);
                EXPECT_EQ(rig.commands[5].command, once ? 2 : 0);
                rig.control_answers_left = UINT32_MAX;
                rig.queue_pairs = 1;
                if (!once) {
                        EXPECT_STATUS(ZX_ERR_BAD_STATE, rig_attach());
                        EXPECT_OK(netdev_restart(rig_card()));
                }
                EXPECT_OK(rig_attach());
                expect_traffic(t, 0);
                rig_finish(t);
        }
}

/* A command for two pairs that is not answered may be executed later, when nobody looks at the
 * second pair: the card recovers first. What was never sent changes nothing. */
TEST(virtio_net_life, queue_pairs_not_answered)
{
        const uint64_t features[] = {RIG_NET(MQ), RIG_NET(RSS), RIG_NET(MQ) | RIG_NET(HASH_REPORT)};
        for (uint32_t i = 0; i < 2 * ARRAY_COUNT(features); i++) {
                bool before = i % 2; /* the command before that one is not answered either */
                pairs_init(t, 2, features[i / 2] | CONTROL);
                REQUIRE_OK(rig_start_card());
                rig.control_silent = true;
                if (before)
                        EXPECT_STATUS(ZX_ERR_TIMED_OUT, netdev_set_mac(rig_card(), new_mac));
                rig.queue_pairs = 2;
                EXPECT_STATUS(ZX_ERR_TIMED_OUT, rig_attach());
                EXPECT_EQ(rig_card()->queue_pairs, 1);
                EXPECT_EQ(netdev_counters(rig_card())->faults, !before);
                rig.control_silent = false;
                rig.queue_pairs = before ? 1 : 2;
                if (!before) {
                        EXPECT_STATUS(ZX_ERR_BAD_STATE, rig_attach());
                        EXPECT_OK(netdev_restart(rig_card()));
                }
                EXPECT_OK(rig_attach());
                expect_traffic_on_all(t, rig.queue_pairs);
                rig_finish(t);
        }
}

/* ---- what breaks ---- */

/* The device asks for a reset: frames under way come back, what the client has it keeps, and
 * everything goes on. */
TEST(virtio_net_life, device_that_asks_for_a_reset)
{
        start_with(t, CONTROL | RIG_NET(MRG_RXBUF) | RIG_F(RING_RESET));
        set_everything(t);
        rig.holds = true;
        EXPECT_TRUE(rig_deliver(0, plain, 1, 300));
        rig_poll(0);
        send_some(t, 5);
        uint32_t resets = rig.resets;
        rig.status |= VIRTIO_STATUS_NEEDS_RESET;
        rig_interrupt(VIRTIO_SOURCE_CONFIG);
        rig_poll(0);
        EXPECT_GT(rig.resets, resets);
        EXPECT_EQ(rig.done_count, 5);
        for (uint32_t i = 0; i < 5; i++)
                EXPECT_STATUS(ZX_ERR_CANCELED, rig.done_status[i]);
        EXPECT_EQ(rig.changes, 2); /* down, and up again */
        EXPECT_TRUE(rig_card()->running && rig_card()->link_up);
        EXPECT_EQ(netdev_counters(rig_card())->faults, 1);
        EXPECT_EQ(netdev_counters(rig_card())->restarts, 1);
        EXPECT_EQ(netdev_counters(rig_card())->total.transmit_failed, 5);
        expect_settings(t, 7);
        expect_traffic(t, 0); /* the first frame is still held */
        EXPECT_EQ(rig.got[0].sum, rig_sum(1, 300));
        EXPECT_EQ(netdev_receive_held(rig_card()), 2);
        rig_release_all();
        EXPECT_EQ(virtqueue_driver_in_flight(&rig_net.pairs[0].receive.ring),
                  rig_net.pairs[0].part_count);
        rig_finish(t);
}

/* With two queue pairs in use the poll that finds out only stops the card; the client brings its
 * threads out and restarts it. Every frame comes back once, every part is where it belongs. */
TEST(virtio_net_life, device_with_two_pairs_that_asks_for_a_reset)
{
        uint32_t seen = 0;
        pairs_init(t, 2, RIG_NET(MQ) | RIG_NET(MRG_RXBUF));
        rig.queue_pairs = 2;
        REQUIRE_OK(rig_start(t));
        rig.holds = true;
        for (uint32_t queue = 0; queue < 2; queue++) {
                EXPECT_TRUE(rig_deliver(queue, plain, queue, 300));
                rig_poll(queue);
        }
        for (uint32_t id = 0; id < 7; id++) {
                struct netdev_frame frame = rig_frame(t, id, id * 2048, 100, 1);
                EXPECT_OK(rig_send(id % 2, &frame));
        }
        EXPECT_TRUE(rig_deliver(1, plain, 5, 200)); /* never taken from the ring */
        uint32_t resets = rig.resets;
        rig.status |= VIRTIO_STATUS_NEEDS_RESET;
        rig_interrupt(VIRTIO_SOURCE_CONFIG);
        rig_poll(0);
        EXPECT_FALSE(rig_card()->running);
        EXPECT_EQ(netdev_counters(rig_card())->faults, 1);
        EXPECT_EQ(rig_poll(0) + rig_poll(1), 0);
        struct netdev_frame frame = rig_frame(t, 9, 0, 100, 1);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, rig_send(1, &frame));
        EXPECT_EQ(rig.resets, resets); /* nobody has touched what the other thread may be in */
        EXPECT_EQ(rig.done_count, 0);
        EXPECT_EQ(netdev_transmit_in_flight(rig_card()), 7);

        EXPECT_OK(netdev_restart(rig_card()));
        EXPECT_GT(rig.resets, resets);
        EXPECT_EQ(rig.done_count, 7);
        for (uint32_t i = 0; i < rig.done_count; i++) {
                EXPECT_STATUS(ZX_ERR_CANCELED, rig.done_status[i]);
                seen |= 1u << rig.done_ids[i];
        }
        EXPECT_EQ(seen, 0x7f);
        EXPECT_EQ(netdev_transmit_in_flight(rig_card()), 0);
        EXPECT_TRUE(rig_card()->running);
        EXPECT_EQ(rig_card()->queue_pairs, 2);
        EXPECT_EQ(rig.got_count, 2);
        EXPECT_EQ(netdev_receive_held(rig_card()), 2);
        for (uint32_t queue = 0; queue < 2; queue++)
                expect_traffic(t, queue);
        EXPECT_EQ(rig_sum(0, 300), rig.got[0].sum);
        rig_release_all();
        for (uint32_t queue = 0; queue < 2; queue++)
                EXPECT_EQ(virtqueue_driver_in_flight(&rig_net.pairs[queue].receive.ring),
                          rig_net.pairs[queue].part_count);
        EXPECT_EQ(netdev_counters(rig_card())->leaked_pages, 0);
        rig_finish(t);
}

/* Without an interrupt it is found by the watchdog in polls that find nothing. */
TEST(virtio_net_life, silent_device_is_looked_at)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        rig.status |= VIRTIO_STATUS_NEEDS_RESET;
        for (uint32_t i = 0; i < 1000 && netdev_counters(rig_card())->faults == 0; i++)
                rig_poll(0);
        EXPECT_EQ(netdev_counters(rig_card())->restarts, 1);
        expect_traffic(t, 0);
        rig_finish(t);
}

TEST(virtio_net_life, device_that_breaks_again_and_again)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        for (uint32_t i = 0; i < 2 * VIRTIO_NET_RECOVERIES_MAX; i++) {
                rig.status |= VIRTIO_STATUS_NEEDS_RESET;
                rig_interrupt(VIRTIO_SOURCE_CONFIG);
                rig_poll(0);
        }
        EXPECT_FALSE(rig_card()->running);
        EXPECT_EQ(netdev_counters(rig_card())->restarts, VIRTIO_NET_RECOVERIES_MAX);
        struct netdev_frame frame = rig_frame(t, 1, 0, 100, 1);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, rig_send(0, &frame));
        EXPECT_OK(netdev_restart(rig_card())); /* on request it comes back */
        expect_traffic(t, 0);
        rig_finish(t);
}

TEST(virtio_net_life, broken_queue_without_ring_reset)
{
        for (uint16_t queue = 0; queue < 2; queue++) {
                rig_init(t, PAGES);
                REQUIRE_OK(rig_start(t));
                send_some(t, 3);
                rig_break_queue(queue);
                rig_poll(0);
                EXPECT_EQ(netdev_counters(rig_card())->faults, 1);
                EXPECT_EQ(netdev_counters(rig_card())->restarts, 1);
                EXPECT_EQ(rig.done_count, 3);
                expect_traffic(t, 0);
                rig_finish(t);
        }
}

/* With RING_RESET only that queue is reset, and nobody else hears of it. */
TEST(virtio_net_life, broken_queue_with_ring_reset)
{
        for (uint16_t queue = 2; queue < 4; queue++) {
                pairs_init(t, 2, RIG_NET(MQ) | RIG_F(RING_RESET));
                rig.queue_pairs = 2;
                REQUIRE_OK(rig_start(t));
                struct netdev_frame frame = rig_frame(t, 9, 0, 100, 1);
                EXPECT_OK(rig_send(0, &frame));
                EXPECT_OK(rig_send(1, &frame));
                rig_break_queue(queue);
                rig_poll(1);
                EXPECT_EQ(rig.queues[queue].resets, 1);
                EXPECT_EQ(rig.resets, 1); /* at bring-up */
                EXPECT_EQ(netdev_counters(rig_card())->faults, 1);
                EXPECT_EQ(rig.done_count, queue == 3); /* the transmit queue's frame */
                EXPECT_TRUE(rig_card()->running);
                EXPECT_EQ(rig_serve(0), 1);
                EXPECT_EQ(rig_serve(1), queue == 2);
                rig_poll(0);
                rig_poll(1);
                expect_traffic(t, 1);
                rig_finish(t);
        }
        /* A queue that cannot be reset takes the card with it. Two pairs are in use, so the client
         * brings its threads out first. */
        pairs_init(t, 2, RIG_NET(MQ) | RIG_F(RING_RESET));
        rig.queue_pairs = 2;
        rig.queue_never_resets = true;
        REQUIRE_OK(rig_start(t));
        rig_break_queue(2);
        rig_poll(1);
        EXPECT_FALSE(rig_card()->running);
        EXPECT_EQ(rig_poll(0) + rig_poll(1), 0);
        EXPECT_OK(netdev_restart(rig_card()));
        expect_traffic(t, 1);
        rig_finish(t);
}

/* One that breaks again and again while nothing moves takes the card with it. */
TEST(virtio_net_life, queue_that_breaks_again_and_again)
{
        start_with(t, RIG_F(RING_RESET));
        for (uint32_t i = 1; i <= VIRTIO_NET_RECOVERIES_MAX + 1; i++) {
                EXPECT_EQ(netdev_counters(rig_card())->restarts, 0);
                rig_break_queue(0);
                rig_poll(0);
                EXPECT_EQ(netdev_counters(rig_card())->faults, i);
        }
        EXPECT_EQ(rig.queues[0].resets, VIRTIO_NET_RECOVERIES_MAX);
        EXPECT_EQ(netdev_counters(rig_card())->restarts, 1);
        expect_traffic(t, 0);
        rig_break_queue(0);
        rig_poll(0);
        EXPECT_EQ(rig.queues[0].resets, VIRTIO_NET_RECOVERIES_MAX + 1); /* something has moved */
        EXPECT_EQ(netdev_counters(rig_card())->restarts, 1);
        rig_finish(t);
}

/* A transport that finds out that queues are not reset: the card starts without the feature. */
TEST(virtio_net_life, ring_reset_that_is_only_offered)
{
        rig_init(t, PAGES);
        rig.offered |= RIG_F(RING_RESET) | RIG_NET(MRG_RXBUF);
        rig.only_offers_reset = true;
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig.resets, 3); /* at the first try, at its end, and at the second */
        EXPECT_EQ(rig.accepted, rig.offered & ~RIG_F(RING_RESET));
        EXPECT_EQ(netdev_counters(rig_card())->faults, 0);
        expect_traffic(t, 0);
        rig_break_queue(1);
        rig_poll(0);
        EXPECT_EQ(netdev_counters(rig_card())->restarts, 1); /* the whole card */
        EXPECT_EQ(rig.queues[1].resets, 0);
        expect_traffic(t, 0);
        rig_finish(t);
}

/* A device that does not answer to a reset keeps its rings and a reference to the client's memory.
 * The client hears of its frames once, and that the device may still read them: which it does. */
TEST(virtio_net_life, reset_that_never_ends)
{
        start_with(t, CONTROL);
        send_some(t, 3);
        rig.holds = true;
        EXPECT_TRUE(rig_deliver(0, plain, 1, 300));
        rig_poll(0);
        rig.never_resets = true;
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, netdev_restart(rig_card()));
        EXPECT_EQ(rig.done_count, 3);
        for (uint32_t i = 0; i < 3; i++)
                EXPECT_STATUS(ZX_ERR_TIMED_OUT, rig.done_status[i]);
        EXPECT_EQ(netdev_transmit_in_flight(rig_card()), 0);
        EXPECT_FALSE(rig_card()->running);
        virtio_net_stop(&rig_net); /* nothing comes back twice */
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, netdev_restart(rig_card()));
        EXPECT_EQ(rig.done_count, 3);
        EXPECT_EQ(rig_serve(0), 3);
        for (uint32_t i = 0; i < 3; i++)
                EXPECT_EQ(rig.sent[i].sum, rig_sum(i, 100));
        uint64_t leaked = netdev_counters(rig_card())->leaked_pages;
        EXPECT_GT(leaked, 64);
        rig_release_all();
        rig.never_resets = false; /* it comes to its senses */
        EXPECT_OK(netdev_restart(rig_card()));
        EXPECT_EQ(virtqueue_driver_in_flight(&rig_net.pairs[0].receive.ring),
                  rig_net.pairs[0].part_count);
        expect_traffic(t, 0);
        EXPECT_EQ(netdev_counters(rig_card())->leaked_pages, leaked);
        rig_release_all();
        virtio_net_stop(&rig_net);
        EXPECT_OK(netdev_detach(rig_card()));
        EXPECT_OK(virtio_net_free_memory(&rig_net));
        EXPECT_EQ(rig.bad_addresses, 0);
}

/* Then the client takes its memory out and forgets it, and still nobody else gets it. */
TEST(virtio_net_life, memory_of_a_device_that_never_resets)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        send_some(t, 3);
        rig.never_resets = true;
        virtio_net_stop(&rig_net);
        EXPECT_EQ(rig.done_count, 3);
        EXPECT_OK(netdev_detach(rig_card()));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, /* in use for ever */
                      vmo_op_range(rig.vmo, VMO_OP_DECOMMIT, 0, PAGE_BYTES));
        vmo_put(rig.vmo);
        EXPECT_OK(virtio_net_free_memory(&rig_net));
        struct list_node others; /* all there is, and written to */
        list_init(&others);
        EXPECT_OK(
                pmm_alloc_pages(&rig.pmm, pmm_count_free_pages(&rig.pmm), PMM_ALLOC_ANY, &others));
        LIST_FOR_EACH (node, &others)
                memset(pmm_pa_to_va(&rig.pmm, CONTAINER_OF(node, struct vm_page, list)->pa), 0xee,
                       PAGE_BYTES);
        EXPECT_EQ(rig_serve(0), 3);
        for (uint32_t i = 0; i < 3; i++)
                EXPECT_EQ(rig.sent[i].sum, rig_sum(i, 100));
        EXPECT_TRUE(rig_deliver(0, plain, 1, 300));
        EXPECT_EQ(rig.bad_addresses, 0);
}

/* The device comes back with a larger MTU while the client still reads in the old memory. */
TEST(virtio_net_life, memory_that_no_longer_fits)
{
        uint16_t mtu = 4000;
        start_with(t, RIG_NET(MTU));
        rig.holds = true;
        EXPECT_TRUE(rig_deliver(0, plain, 1, 300));
        rig_poll(0);
        memcpy(rig.config + VIRTIO_NET_CONFIG_MTU, &mtu, 2);
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, netdev_restart(rig_card()));
        EXPECT_FALSE(rig_card()->running);
        EXPECT_EQ(rig.got[0].sum, rig_sum(1, 300));
        rig_release_all();
        EXPECT_OK(netdev_restart(rig_card()));
        EXPECT_EQ(rig_card()->mtu, 4000);
        EXPECT_TRUE(rig_deliver(0, plain, 2, 4014));
        rig_poll(0);
        EXPECT_EQ(rig.got[1].sum, rig_sum(2, 4014));
        rig_finish(t);
}

TEST(virtio_net_life, link_and_announcement)
{
        uint16_t bits = 0;
        start_with(t, CONTROL | RIG_NET(STATUS) | RIG_NET(GUEST_ANNOUNCE));
        EXPECT_TRUE(rig_card()->link_up);
        memcpy(rig.config + VIRTIO_NET_CONFIG_STATUS, &bits, 2);
        rig_interrupt(VIRTIO_SOURCE_CONFIG);
        rig_poll(0);
        EXPECT_FALSE(rig_card()->link_up);
        EXPECT_EQ(rig.changes, 1);
        EXPECT_EQ(rig.announces, 0);
        bits = 3; /* up, and announce */
        memcpy(rig.config + VIRTIO_NET_CONFIG_STATUS, &bits, 2);
        rig_interrupt(VIRTIO_SOURCE_CONFIG);
        rig_poll(0);
        EXPECT_TRUE(rig_card()->link_up);
        EXPECT_EQ(rig.changes, 2);
        EXPECT_EQ(rig.announces, 1);
        expect_command(t, 0, 3, 0, NULL, 0);
        EXPECT_EQ(netdev_counters(rig_card())->link_changes, 2);
        rig_finish(t);
}

TEST(virtio_net_life, interrupts_without_end)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        EXPECT_FALSE(rig_card()->polled);
        for (uint32_t i = 0; i < 200000 && !rig.masked; i++)
                rig_interrupt(VIRTIO_SOURCE_QUEUE(0));
        EXPECT_TRUE(rig.masked);
        EXPECT_EQ(rig_poll(0), 0);
        EXPECT_TRUE(netdev_counters(rig_card())->interrupts >= 100000);
        EXPECT_TRUE(rig_card()->polled);
        expect_traffic(t, 0);
        rig_finish(t);
}

/* ---- the store, and cards that go away ---- */

TEST(virtio_net_life, memory_under_way_stays_registered)
{
        uint32_t id;
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, netdev_unregister_vmo(rig_card(), 31));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, netdev_unregister_vmo(rig_card(), 32));
        /* The card's own memory is not the client's to take out. */
        EXPECT_STATUS(ZX_ERR_NOT_FOUND,
                      netdev_unregister_vmo(rig_card(), rig_net.pairs[0].memory_id));
        send_some(t, 1);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, netdev_unregister_vmo(rig_card(), rig.vmo_id));
        EXPECT_STATUS(ZX_ERR_BAD_STATE, netdev_detach(rig_card()));
        rig_serve(0);
        EXPECT_EQ(netdev_transmit_in_flight(rig_card()), 1); /* until the client has heard */
        rig_poll(0);
        EXPECT_OK(netdev_unregister_vmo(rig_card(), rig.vmo_id));
        struct netdev_frame gone = {0};
        struct vmo_region region = {(uint8_t)rig.vmo_id, 0, 100};
        struct tx_request request = {.regions = &region, .region_count = 1};
        EXPECT_OK(vmo_store_make_tx_buffer(&rig_card()->store, &request, false, &gone.buffer));
        EXPECT_STATUS(ZX_ERR_NOT_FOUND, rig_send(0, &gone));
        EXPECT_EQ(netdev_window(rig_card(), region), NULL);
        EXPECT_OK(netdev_register_vmo(rig_card(), rig.vmo, &id));
        rig_finish(t);
}

TEST(virtio_net_life, card_that_is_removed)
{
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start(t));
        rig.holds = true;
        EXPECT_TRUE(rig_deliver(0, plain, 3, 300));
        rig_poll(0);
        send_some(t, 2);
        virtio_net_stop(&rig_net);
        netdev_remove(rig_card());
        EXPECT_EQ(rig.done_count, 2);
        EXPECT_STATUS(ZX_ERR_CANCELED, rig.done_status[1]);
        EXPECT_STATUS(ZX_ERR_PEER_CLOSED, netdev_restart(rig_card()));
        struct netdev_frame frame = rig_frame(t, 1, 0, 100, 1);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, rig_send(0, &frame));
        EXPECT_EQ(rig_poll(0), 0);
        EXPECT_EQ(rig.got[0].sum, rig_sum(3, 300)); /* still readable */
        EXPECT_STATUS(ZX_ERR_BAD_STATE, virtio_net_free_memory(&rig_net));
        EXPECT_FALSE(netdev_is_idle(rig_card()));
        rig_release_all();
        EXPECT_OK(netdev_detach(rig_card()));
        EXPECT_TRUE(netdev_is_idle(rig_card()));
        vmo_put(rig.vmo);
        rig.vmo = NULL;
        rig_finish(t);
}
