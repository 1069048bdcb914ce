/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_net against a device of ours: the edges of settings, configuration and queue pairs, and
 * what netdev tells its client. */
#include "tests/host/machine/virtio_net_checks.h"

#include <string.h>

static const struct virtio_net_header plain;

#define CONTROL (RIG_NET(CTRL_VQ) | RIG_NET(CTRL_RX) | RIG_NET(CTRL_VLAN) |                        \
                 RIG_NET(CTRL_MAC_ADDR))

static const uint8_t new_mac[] = {2, 9, 8, 7, 6, 5};

/* ---- commands ---- */

/* An answer takes a second at most. */
TEST(virtio_net_edges, limit_of_an_answer)
{
        start_with(t, CONTROL);
        rig.control_silent = true;
        EXPECT_STATUS(ZX_ERR_TIMED_OUT, netdev_set_mac(rig_card(), new_mac));
        EXPECT_LE(rig.clock_ns, 1100000000ull);
        rig_finish(t);
}

static void break_control(uint16_t queue)
{
        if (queue == rig_net.control_index)
                rig_net.control.ring.used->index += 0x4000;
}

/* A broken control queue breaks the card, and is nobody's to reset alone; so it does while settings
 * are told again. */
TEST(virtio_net_edges, broken_control_queue)
{
        start_with(t, CONTROL | RIG_F(RING_RESET));
        EXPECT_OK(netdev_set_mac(rig_card(), new_mac));
        rig.control_silent = true;
        rig.at_notification = break_control;
        EXPECT_STATUS(ZX_ERR_IO, netdev_set_vlan(rig_card(), 9, true));
        EXPECT_FALSE(rig_card()->running);
        EXPECT_EQ(rig.queues[rig_net.control_index].resets, 0);
        EXPECT_EQ(netdev_counters(rig_card())->faults, 1);
        EXPECT_STATUS(ZX_ERR_BAD_STATE, netdev_set_mac(rig_card(), new_mac));
        EXPECT_STATUS(ZX_ERR_IO, netdev_restart(rig_card())); /* at the address */
        EXPECT_FALSE(rig_card()->running);
        EXPECT_EQ(netdev_counters(rig_card())->faults, 2);
        rig.at_notification = NULL;
        rig.control_silent = false;
        EXPECT_OK(netdev_restart(rig_card()));
        EXPECT_BYTES_EQ(rig_card()->mac, new_mac, sizeof(new_mac));
        rig_finish(t);
}

/* VLANs that share a byte of the table, and the first and the last of all. */
TEST(virtio_net_edges, vlans_survive_one_by_one)
{
        const uint16_t ids[] = {0, 16, 17, 18, 4094};
        uint32_t told = 0;
        start_with(t, CONTROL);
        for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++)
                EXPECT_OK(netdev_set_vlan(rig_card(), ids[i], true));
        EXPECT_OK(netdev_set_vlan(rig_card(), 17, false));
        rig.command_count = 0;
        EXPECT_OK(netdev_restart(rig_card()));
        REQUIRE_EQ(rig.command_count, ARRAY_COUNT(ids) - 1);
        for (uint32_t i = 0; i < ARRAY_COUNT(ids); i++) {
                uint16_t id;
                if (ids[i] == 17)
                        continue;
                memcpy(&id, rig.commands[told++].data, sizeof(id));
                EXPECT_EQ(id, ids[i]);
        }
        rig_finish(t);
}

TEST(virtio_net_edges, all_multicast_is_not_promiscuous)
{
        const struct netdev_receive_mode all = {.all_multicast = true};
        struct netdev_receive_mode many = {.unicast_count = NETDEV_FILTER_MACS_MAX};
        start_with(t, CONTROL);
        EXPECT_OK(netdev_set_receive_mode(rig_card(), &all));
        REQUIRE_EQ(rig.command_count, 3);
        EXPECT_EQ(rig.commands[1].command, 1);
        EXPECT_EQ(rig.commands[1].data[0], 1);
        EXPECT_EQ(rig.commands[2].command, 0);
        EXPECT_EQ(rig.commands[2].data[0], 0);
        EXPECT_OK(netdev_set_receive_mode(rig_card(), &many)); /* as many as there may be */
        many.macs[0][0] = 1; /* a group among the others */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, netdev_set_receive_mode(rig_card(), &many));
        many = (struct netdev_receive_mode){.multicast_count = 1}; /* and the other way round */
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, netdev_set_receive_mode(rig_card(), &many));
        rig_finish(t);
}

/* ---- configuration ---- */

TEST(virtio_net_edges, address_of_its_own)
{
        const uint8_t zeros[NETDEV_MAC_BYTES] = {0};
        rig_init(t, PAGES);
        rig.offered &= ~RIG_NET(MAC);
        memcpy(rig.config, zeros, sizeof(zeros));
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig_card()->mac[0] & 3, 2); /* locally administered, one station's */
        rig_finish(t);
}

TEST(virtio_net_edges, smallest_mtu)
{
        const uint16_t mtu = NETDEV_MTU_MIN;
        rig_init(t, PAGES);
        rig.offered |= RIG_NET(MTU);
        memcpy(rig.config + VIRTIO_NET_CONFIG_MTU, &mtu, 2);
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig_card()->mtu, NETDEV_MTU_MIN);
        struct netdev_frame frame = rig_frame(t, 1, 0, NETDEV_MTU_MIN + NETDEV_HEADER_BYTES, 1);
        EXPECT_OK(rig_send(0, &frame));
        EXPECT_EQ(rig_serve(0), 1);
        rig_poll(0);
        rig_finish(t);
}

/* A table for RSS that is too short: no RSS, and pairs all the same. */
TEST(virtio_net_edges, table_that_is_too_short)
{
        pairs_init(t, 2, RIG_NET(MQ) | RIG_NET(RSS));
        rig.config[VIRTIO_NET_CONFIG_TABLE_ENTRIES] = VIRTIO_NET_TABLE_ENTRIES_MIN - 1;
        REQUIRE_OK(rig_start(t));
        EXPECT_EQ(rig.accepted & (RIG_NET(RSS) | RIG_NET(MQ)), RIG_NET(MQ));
        rig_finish(t);
}

/* Each feature of the device by itself, and what the client is told for it. */
TEST(virtio_net_edges, capabilities_one_by_one)
{
        const struct {
                uint64_t features;
                uint32_t bits;
        } cases[] = {
                {RIG_NET(GUEST_CSUM), BIT_MASK(NETDEV_CAN_CHECK_RECEIVED_BIT)},
                {RIG_NET(STATUS), BIT_MASK(NETDEV_CAN_REPORT_LINK_BIT)},
                {RIG_NET(CTRL_VQ) | RIG_NET(RSS), BIT_MASK(NETDEV_CAN_MULTIQUEUE_BIT)},
                {RIG_NET(CTRL_VQ) | RIG_NET(MQ), BIT_MASK(NETDEV_CAN_MULTIQUEUE_BIT)},
                {RIG_NET(CTRL_VQ) | RIG_NET(HASH_REPORT), BIT_MASK(NETDEV_CAN_HASH_BIT)},
                {RIG_NET(CTRL_VQ) | RIG_NET(CTRL_RX),
                 BIT_MASK(NETDEV_CAN_PROMISCUOUS_BIT) | BIT_MASK(NETDEV_CAN_ALL_MULTICAST_BIT) |
                         BIT_MASK(NETDEV_CAN_FILTER_MAC_BIT)},
                {RIG_NET(CTRL_VQ) | RIG_NET(CTRL_VLAN), BIT_MASK(NETDEV_CAN_FILTER_VLAN_BIT)},
                {RIG_NET(CTRL_VQ) | RIG_NET(CTRL_MAC_ADDR), BIT_MASK(NETDEV_CAN_SET_MAC_BIT)},
                {RIG_NET(CTRL_VQ) | RIG_NET(NOTF_COAL), BIT_MASK(NETDEV_CAN_MODERATE_BIT)},
        };
        for (uint32_t i = 0; i < ARRAY_COUNT(cases); i++) {
                start_with(t, cases[i].features);
                EXPECT_EQ(rig_card()->capabilities.bits, cases[i].bits);
                rig_finish(t);
        }
}

/* ---- queue pairs ---- */

TEST(virtio_net_edges, fewer_pairs_after_a_restart)
{
        const uint16_t one = 1, two = 2;
        pairs_init(t, 2, RIG_NET(MQ));
        rig.queue_pairs = 2;
        REQUIRE_OK(rig_start(t));
        memcpy(rig.config + VIRTIO_NET_CONFIG_PAIRS, &one, 2);
        EXPECT_STATUS(ZX_ERR_IO, netdev_restart(rig_card()));
        EXPECT_FALSE(rig_card()->running);
        memcpy(rig.config + VIRTIO_NET_CONFIG_PAIRS, &two, 2);
        EXPECT_OK(netdev_restart(rig_card()));
        EXPECT_TRUE(rig_deliver(1, plain, 1, 60));
        EXPECT_EQ(rig_poll(1), 1);
        rig_finish(t);
}

/* A client gets two pairs, the next one wants three and there is no memory for the third: what the
 * device has of the second stays the device's. */
TEST(virtio_net_edges, memory_that_the_device_has_is_not_freed)
{
        pairs_init(t, 3, RIG_NET(MQ));
        rig.queue_pairs = 2;
        REQUIRE_OK(rig_start(t));
        EXPECT_OK(netdev_detach(rig_card()));
        vmo_put(rig.vmo);
        rig.queue_pairs = 1;
        EXPECT_OK(rig_attach());
        EXPECT_OK(netdev_detach(rig_card()));
        vmo_put(rig.vmo);
        rig.queue_pairs = 3;
        rig_take_pages(66); /* the client's own, and next to nothing */
        EXPECT_STATUS(ZX_ERR_NO_MEMORY, rig_attach());
        EXPECT_TRUE(rig_net.pairs[1].memory != NULL);
        EXPECT_TRUE(rig_net.pairs[2].memory == NULL);
        EXPECT_TRUE(rig_deliver(1, plain, 1, 60)); /* the device has heard of nothing */
        pmm_free(&rig.pmm, &rig.taken);
        EXPECT_OK(rig_attach());
        EXPECT_TRUE(rig_deliver(2, plain, 1, 60));
        EXPECT_EQ(rig_poll(2), 1);
        rig_finish(t);
}

/* ---- netdev ---- */

/* Fields of an offload that was not asked for do not reach the device. */
TEST(virtio_net_edges, leftovers_of_an_offload)
{
        start_with(t, RIG_NET(CSUM) | RIG_NET(HOST_TSO4));
        struct netdev_frame frame = rig_frame(t, 1, 0, 200, 1);
        frame.offload = (struct netdev_offload){.checksum = true, .checksum_start = 34,
                                                .segment_bytes = 77, .header_bytes = 66};
        EXPECT_OK(rig_send(0, &frame));
        frame.offload.segmentation = NETDEV_SEGMENT_TSO4;
        frame.offload.header_bytes = 200; /* nothing but headers: as long as can be */
        EXPECT_OK(rig_send(0, &frame));
        EXPECT_EQ(rig_serve(0), 2);
        EXPECT_EQ(rig.sent[0].header.gso_bytes, 0);
        EXPECT_EQ(rig.sent[0].header.gso_type, VIRTIO_NET_GSO_NONE);
        EXPECT_EQ(rig.sent[1].header.gso_bytes, 77);
        rig_poll(0);
        rig_finish(t);
}

/* A tag is looked for where it is, in the first region only, and is both of its bytes. */
TEST(virtio_net_edges, tags_of_long_frames)
{
        const uint8_t tag[] = {0x81, 0x00}, half[] = {0x81, 0x01}, other[] = {0x80, 0x00};
        start_with(t, 0);
        struct netdev_frame frame = rig_frame(t, 1, 0, 1518, 2);
        EXPECT_OK(vmo_write(rig.vmo, half, 12, sizeof(half)));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, rig_send(0, &frame));
        EXPECT_OK(vmo_write(rig.vmo, other, 12, sizeof(other)));
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, rig_send(0, &frame));
        EXPECT_OK(vmo_write(rig.vmo, tag, 12, sizeof(tag)));
        frame.buffer.buffer.parts[0].region.length = 13; /* half of the tag */
        frame.buffer.buffer.parts[1].region.length = 1505;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS, rig_send(0, &frame));
        frame.buffer.buffer.parts[0].region.length = 14;
        frame.buffer.buffer.parts[1].region.length = 1504;
        EXPECT_OK(rig_send(0, &frame));
        EXPECT_EQ(rig_serve(0), 1);
        rig_poll(0);
        rig_finish(t);
}

/* The client hears of a change once, and of none that is not one. */
TEST(virtio_net_edges, changes_are_told_once)
{
        start_with(t, RIG_NET(STATUS));
        EXPECT_TRUE(rig_card()->link_up);
        rig_interrupt(VIRTIO_SOURCE_CONFIG); /* up it was before */
        rig_poll(0);
        EXPECT_EQ(rig.changes, 0);
        EXPECT_EQ(netdev_counters(rig_card())->link_changes, 0);
        EXPECT_FALSE(netdev_is_idle(rig_card()));
        virtio_net_stop(&rig_net);
        EXPECT_EQ(rig.changes, 1);
        EXPECT_FALSE(rig_card()->link_up);
        netdev_remove(rig_card());
        EXPECT_EQ(rig.changes, 2);
        EXPECT_TRUE(rig_card()->removed);
        EXPECT_FALSE(netdev_is_idle(rig_card())); /* until the client has gone */
        rig_finish(t);
        EXPECT_TRUE(netdev_is_idle(rig_card()));
}

/* A removed card has no link, though nobody had stopped it. */
TEST(virtio_net_edges, removed_card_has_no_link)
{
        start_with(t, 0);
        netdev_remove(rig_card());
        EXPECT_FALSE(rig_card()->running || rig_card()->link_up);
        EXPECT_EQ(rig.changes, 1);
        rig_finish(t);
}

/* A device announces before there is anybody to hear it. */
TEST(virtio_net_edges, announcement_without_a_client)
{
        rig_init(t, PAGES);
        rig.offered |= RIG_NET(STATUS) | RIG_NET(GUEST_ANNOUNCE) | RIG_NET(CTRL_VQ);
        REQUIRE_OK(rig_start_card());
        rig.config[VIRTIO_NET_CONFIG_STATUS] = 3;
        rig_interrupt(VIRTIO_SOURCE_CONFIG);
        rig_poll(0);
        EXPECT_EQ(rig.announces, 0);
        EXPECT_EQ(rig.command_count, 1); /* that it was heard */
        rig_finish(t);
}

/* ---- what a client names ---- */

TEST(virtio_net_edges, window_of_a_region_that_is_none)
{
        start_with(t, 0);
        uint8_t id = (uint8_t)rig.vmo_id;
        uint64_t bytes = rig_card()->runs[id].bytes;
        const struct vmo_region bad[] = {{id, 0, 0},
                                         {id, bytes, 1},
                                         {id, bytes - 1, 2},
                                         {id, bytes + 1, 1},
                                         {id, 1, UINT64_MAX},
                                         {id, UINT64_MAX, 2},
                                         {id, 0, bytes + 1},
                                         {VMO_STORE_VMOS_MAX, 0, 1},
                                         {VMO_STORE_VMOS_MAX - 1, 0, 1}};
        EXPECT_NE(netdev_window(rig_card(), (struct vmo_region){id, bytes - 1, 1}), NULL);
        for (uint32_t i = 0; i < ARRAY_COUNT(bad); i++)
                if (!EXPECT_EQ(netdev_window(rig_card(), bad[i]), NULL))
                        test_log(t, "region %u", (unsigned)i);
        rig_finish(t);
}

/* The head lies in the page of the frame's first byte. */
TEST(virtio_net_edges, head_of_a_frame)
{
        start_with(t, 0);
        for (uint32_t more = 0; more < 2; more++) {
                struct netdev_frame frame = rig_frame(t, 1, PAGE_BYTES + 20, 100, 1);
                frame.head_bytes = 20 + more;
                EXPECT_STATUS(more ? ZX_ERR_INVALID_ARGS : ZX_OK, rig_send(0, &frame));
        }
        EXPECT_EQ(rig_serve(0), 1);
        rig_poll(0);
        rig_finish(t);
}

/* Counted is what was accepted: the frames before the one that is refused, and before the ring is
 * full; only that is a full ring. */
TEST(virtio_net_edges, what_was_accepted_is_counted)
{
        struct netdev_frame frames[3];
        uint32_t accepted;
        start_with(t, 0);
        const struct netdev_queue_counters *total = &netdev_counters(rig_card())->total;
        for (uint32_t i = 0; i < 3; i++)
                frames[i] = rig_frame(t, i, i * PAGE_BYTES, 100 + i, 1);
        frames[2].buffer.buffer.length++;
        EXPECT_STATUS(ZX_ERR_INVALID_ARGS,
                      netdev_transmit(rig_card(), 0, frames, 3, &accepted));
        EXPECT_EQ(accepted, 2);
        (void)netdev_counters(rig_card());
        EXPECT_EQ(total->transmit_frames, 2);
        EXPECT_EQ(total->transmit_bytes, 201);
        EXPECT_EQ(total->transmit_full, 0);
        uint32_t sent = 2;
        while (rig_send(0, &frames[0]) == ZX_OK)
                sent++;
        (void)netdev_counters(rig_card());
        EXPECT_EQ(total->transmit_frames, sent);
        EXPECT_EQ(total->transmit_bytes, 201 + 100 * (sent - 2));
        EXPECT_EQ(total->transmit_full, 1);
        EXPECT_EQ(rig_serve(0), sent);
        rig_poll(0);
        rig_finish(t);
}

TEST(virtio_net_edges, nobody_sends_without_a_client)
{
        const struct netdev_frame frame = {0};
        uint32_t accepted = 7;
        rig_init(t, PAGES);
        REQUIRE_OK(rig_start_card());
        EXPECT_STATUS(ZX_ERR_BAD_STATE, netdev_transmit(rig_card(), 0, &frame, 1, &accepted));
        EXPECT_EQ(accepted, 0);
        EXPECT_OK(rig_attach());
        EXPECT_STATUS(ZX_ERR_BAD_STATE, netdev_transmit(rig_card(), 1, &frame, 1, &accepted));
        rig_finish(t);
}

/* A ring that the device broke is full until a poll has put it right. */
TEST(virtio_net_edges, sending_finds_the_ring_broken)
{
        start_with(t, 0);
        struct netdev_frame frame = rig_frame(t, 1, 0, 100, 1);
        struct virtqueue_completion done;
        uint32_t count;
        EXPECT_OK(rig_send(0, &frame));
        rig_break_queue(VIRTIO_NET_TRANSMIT_QUEUE);
        EXPECT_STATUS(ZX_ERR_IO_DATA_INTEGRITY,
                      virtqueue_driver_get(&rig_net.pairs[0].transmit.ring, &done, 1, &count));
        EXPECT_STATUS(ZX_ERR_SHOULD_WAIT, rig_send(0, &frame));
        rig_poll(0);
        EXPECT_EQ(netdev_counters(rig_card())->faults, 1);
        rig_finish(t);
}
