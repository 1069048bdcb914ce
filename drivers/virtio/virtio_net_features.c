/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* Which features of a virtio network card are accepted, what its configuration says, and what that
 * makes of it for netdev. Facts: Virtio 1.3, 5.1.3 (features), 5.1.4 (configuration). */
#include "base/bytes.h"
#include "drivers/virtio/virtio_net.h"

#define MAC_GROUP_BIT 0 /* of the first byte */
#define MAC_LOCAL_BIT 1
#define DEVICE_PAIRS_MAX 0x7fffu /* one more is allowed, and leaves the control queue no number */
#define NET(name) BIT_MASK(VIRTIO_NET_F_##name)
#define RECEIVE_COALESCED                                                                          \
        (NET(GUEST_TSO4) | NET(GUEST_TSO6) | NET(GUEST_ECN) | NET(GUEST_USO4) | NET(GUEST_USO6))

/* ---- what is refused ---- */

static uint64_t refuse_mtu(struct virtio_device *device)
{
        uint16_t mtu;
        zx_status_t status = virtio_device_config_read(device, VIRTIO_NET_CONFIG_MTU, &mtu,
                                                       sizeof(mtu), sizeof(mtu));
        return status == ZX_OK && mtu >= NETDEV_MTU_MIN ? 0 : NET(MTU);
}

/* Several queue pairs need a control queue, whose number follows from theirs. */
static uint64_t refuse_pairs(struct virtio_device *device)
{
        uint16_t pairs;
        zx_status_t status = virtio_device_config_read(device, VIRTIO_NET_CONFIG_PAIRS, &pairs,
                                                       sizeof(pairs), sizeof(pairs));
        return status == ZX_OK && pairs != 0 && pairs <= DEVICE_PAIRS_MAX ?
                       0 : NET(MQ) | NET(RSS);
}

/* Tables and keys must have the least length that the standard wants. */
static uint64_t refuse_hashing(struct virtio_device *device)
{
        uint8_t key_bytes = 0;
        uint16_t entries = 0;
        uint64_t refused = 0;
        if (virtio_device_config_read(device, VIRTIO_NET_CONFIG_KEY_BYTES, &key_bytes,
                                      sizeof(key_bytes), sizeof(key_bytes)) != ZX_OK ||
            key_bytes < VIRTIO_NET_KEY_BYTES)
                refused |= NET(RSS) | NET(HASH_REPORT);
        if (virtio_device_config_read(device, VIRTIO_NET_CONFIG_TABLE_ENTRIES, &entries,
                                      sizeof(entries), sizeof(entries)) != ZX_OK ||
            entries < VIRTIO_NET_TABLE_ENTRIES_MIN)
                refused |= NET(RSS);
        return refused;
}

static uint64_t refused_features(struct virtio_device *device)
{
        struct virtio_net *net = CONTAINER_OF(device, struct virtio_net, device);
        uint64_t offered = device->offered, refused = net->options.unwanted;
        if (offered & NET(MTU))
                refused |= refuse_mtu(device);
        if (offered & (NET(MQ) | NET(RSS)))
                refused |= refuse_pairs(device);
        if (offered & (NET(RSS) | NET(HASH_REPORT)))
                refused |= refuse_hashing(device);
        if (!(offered & ~refused & NET(MRG_RXBUF)))
                refused |= RECEIVE_COALESCED;
        /* A queue is reset through its transport. */
        if (!device->transport->resets_queues)
                refused |= BIT_MASK(VIRTIO_F_RING_RESET);
        return refused;
}

const struct virtio_wishes virtio_net_wishes = {
        .wanted = BIT_MASK(VIRTIO_F_INDIRECT_DESC) | BIT_MASK(VIRTIO_F_EVENT_IDX) |
                  BIT_MASK(VIRTIO_F_RING_PACKED) | BIT_MASK(VIRTIO_F_IN_ORDER) |
                  BIT_MASK(VIRTIO_F_ACCESS_PLATFORM) | BIT_MASK(VIRTIO_F_ORDER_PLATFORM) |
                  BIT_MASK(VIRTIO_F_RING_RESET) | NET(CSUM) | NET(GUEST_CSUM) | NET(MTU) |
                  NET(MAC) | RECEIVE_COALESCED | NET(HOST_TSO4) | NET(HOST_TSO6) | NET(HOST_ECN) |
                  NET(HOST_USO) | NET(GUEST_HDRLEN) | NET(MRG_RXBUF) | NET(STATUS) |
                  NET(CTRL_VQ) | NET(CTRL_RX) | NET(CTRL_VLAN) | NET(CTRL_MAC_ADDR) |
                  NET(GUEST_ANNOUNCE) | NET(MQ) | NET(RSS) | NET(HASH_REPORT) | NET(NOTF_COAL),
        .refused = refused_features,
        .rules = virtio_net_feature_rules,
        .rule_count = VIRTIO_NET_FEATURE_RULES,
};

/* ---- configuration ---- */

/* Without an address of the device's:
 * a locally administered one, from where the card's memory lies. */
static void invent_mac(struct virtio_net *net)
{
        uint64_t seed = (uintptr_t)net >> 4;
        net->netdev.mac[0] = BIT_MASK(MAC_LOCAL_BIT);
        for (size_t i = 1; i < NETDEV_MAC_BYTES; i++, seed >>= 8)
                net->netdev.mac[i] = (uint8_t)seed;
}

/* Reads a field if its feature was accepted. */
static zx_status_t read_field(struct virtio_net *net, uint64_t features, uint32_t offset,
                              void *field, uint32_t bytes)
{
        if (!(net->device.features & features))
                return ZX_OK;
        return virtio_device_config_read(&net->device, offset, field, bytes, (uint8_t)bytes);
}

static zx_status_t read_all(struct virtio_net *net, uint16_t *link, uint16_t *mtu)
{
        zx_status_t status = ZX_OK;
        if (virtio_device_has(&net->device, VIRTIO_NET_F_MAC))
                status = virtio_device_config_read(&net->device, VIRTIO_NET_CONFIG_MAC,
                                                   net->netdev.mac, NETDEV_MAC_BYTES, 1);
        else
                invent_mac(net);
        if (status == ZX_OK)
                status = read_field(net, NET(STATUS), VIRTIO_NET_CONFIG_STATUS, link, 2);
        if (status == ZX_OK)
                status = read_field(net, NET(MTU), VIRTIO_NET_CONFIG_MTU, mtu, 2);
        if (status == ZX_OK)
                status = read_field(net, NET(MQ) | NET(RSS), VIRTIO_NET_CONFIG_PAIRS,
                                    &net->device_pairs, 2);
        if (status == ZX_OK)
                status = read_field(net, NET(RSS), VIRTIO_NET_CONFIG_TABLE_ENTRIES,
                                    &net->table_entries, 2);
        if (status == ZX_OK)
                status = read_field(net, NET(RSS) | NET(HASH_REPORT), VIRTIO_NET_CONFIG_HASH_TYPES,
                                    &net->hash_types, 4);
        return status;
}

zx_status_t virtio_net_read_configuration(struct virtio_net *net)
{
        struct netdev *netdev = &net->netdev;
        uint16_t link = BIT_MASK(VIRTIO_NET_LINK_UP_BIT), mtu = NETDEV_MTU_DEFAULT;
        net->device_pairs = 1;
        zx_status_t status = read_all(net, &link, &mtu);
        if (status != ZX_OK)
                return status;
        /* Read a second time since it was judged: it is judged again. */
        if (mtu < NETDEV_MTU_MIN || (netdev->mac[0] & BIT_MASK(MAC_GROUP_BIT)) ||
            net->device_pairs == 0 || net->device_pairs > DEVICE_PAIRS_MAX)
                return ZX_ERR_IO_DATA_INTEGRITY;
        netdev->mtu = mtu;
        netdev->link_up = (link & BIT_MASK(VIRTIO_NET_LINK_UP_BIT)) != 0;
        net->header_bytes = virtio_device_has(&net->device, VIRTIO_NET_F_HASH_REPORT) ?
                sizeof(struct virtio_net_header) : VIRTIO_NET_HEADER_BYTES;
        net->receive_limit_bytes = netdev->mtu + NETDEV_HEADER_BYTES + NETDEV_VLAN_TAG_BYTES;
        net->control_index = (uint16_t)(2 * net->device_pairs);
        return ZX_OK;
}

/* ---- capabilities ---- */

static const struct {
        uint64_t any_of;
        uint32_t capability;
} capability_of[] = {
        {NET(CSUM), NETDEV_CAN_CHECKSUM_BIT},
        {NET(HOST_TSO4), NETDEV_CAN_TSO4_BIT},
        {NET(HOST_TSO6), NETDEV_CAN_TSO6_BIT},
        {NET(HOST_ECN), NETDEV_CAN_TSO_ECN_BIT},
        {NET(HOST_USO), NETDEV_CAN_USO_BIT},
        {NET(GUEST_CSUM), NETDEV_CAN_CHECK_RECEIVED_BIT},
        {RECEIVE_COALESCED, NETDEV_CAN_COALESCE_BIT},
        {NET(HASH_REPORT), NETDEV_CAN_HASH_BIT},
        {NET(MQ) | NET(RSS), NETDEV_CAN_MULTIQUEUE_BIT},
        {NET(CTRL_RX), NETDEV_CAN_PROMISCUOUS_BIT},
        {NET(CTRL_RX), NETDEV_CAN_ALL_MULTICAST_BIT},
        {NET(CTRL_RX), NETDEV_CAN_FILTER_MAC_BIT},
        {NET(CTRL_VLAN), NETDEV_CAN_FILTER_VLAN_BIT},
        {NET(CTRL_MAC_ADDR), NETDEV_CAN_SET_MAC_BIT},
        {NET(NOTF_COAL), NETDEV_CAN_MODERATE_BIT},
        {NET(STATUS), NETDEV_CAN_REPORT_LINK_BIT},
};

void virtio_net_describe_capabilities(struct virtio_net *net)
{
        const struct virtio_net_pair *pair = &net->pairs[0];
        uint64_t features = net->device.features;
        uint32_t bits = 0;
        for (size_t i = 0; i < ARRAY_COUNT(capability_of); i++)
                if (features & capability_of[i].any_of)
                        bits |= 1u << capability_of[i].capability;
        net->netdev.capabilities = (struct netdev_capabilities){
                .bits = bits,
                .queue_pairs = (uint16_t)net->pair_count,
                .transmit_head_bytes = (uint16_t)net->header_bytes,
                .transmit_depth = pair->transmit.ring.size,
                .receive_depth = pair->part_count,
                .receive_part_bytes = pair->part_bytes - net->header_bytes,
                .segmented_bytes_max = features & (NET(HOST_TSO4) | NET(HOST_TSO6) |
                                                   NET(HOST_USO)) ? NETDEV_FRAME_BYTES_MAX : 0,
        };
}
