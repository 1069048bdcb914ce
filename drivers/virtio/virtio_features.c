/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* The tables behind virtio_features.h. Facts: Virtio 1.3, 6 and 5.1.3. */
#include "drivers/virtio/virtio_features.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/compiler.h"

#define DEVICE_TYPE_NET 1
#define FEATURE_BITS 64

#define NEEDS(bit_, any_of_) {.bit = (bit_), .any_of = (any_of_)}
#define ONE(bit_) BIT_MASK(VIRTIO_NET_F_##bit_)

const struct virtio_feature_rule virtio_net_feature_rules[VIRTIO_NET_FEATURE_RULES] = {
        NEEDS(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, ONE(CTRL_VQ)),
        NEEDS(VIRTIO_NET_F_GUEST_TSO4, ONE(GUEST_CSUM)),
        NEEDS(VIRTIO_NET_F_GUEST_TSO6, ONE(GUEST_CSUM)),
        NEEDS(VIRTIO_NET_F_GUEST_ECN, ONE(GUEST_TSO4) | ONE(GUEST_TSO6)),
        NEEDS(VIRTIO_NET_F_GUEST_UFO, ONE(GUEST_CSUM)),
        NEEDS(VIRTIO_NET_F_GUEST_USO4, ONE(GUEST_CSUM)),
        NEEDS(VIRTIO_NET_F_GUEST_USO6, ONE(GUEST_CSUM)),
        NEEDS(VIRTIO_NET_F_HOST_TSO4, ONE(CSUM)),
        NEEDS(VIRTIO_NET_F_HOST_TSO6, ONE(CSUM)),
        NEEDS(VIRTIO_NET_F_HOST_ECN, ONE(HOST_TSO4) | ONE(HOST_TSO6)),
        NEEDS(VIRTIO_NET_F_HOST_UFO, ONE(CSUM)),
        NEEDS(VIRTIO_NET_F_HOST_USO, ONE(CSUM)),
        NEEDS(VIRTIO_NET_F_CTRL_RX, ONE(CTRL_VQ)),
        NEEDS(VIRTIO_NET_F_CTRL_VLAN, ONE(CTRL_VQ)),
        NEEDS(VIRTIO_NET_F_CTRL_RX_EXTRA, ONE(CTRL_VQ)),
        NEEDS(VIRTIO_NET_F_GUEST_ANNOUNCE, ONE(CTRL_VQ)),
        NEEDS(VIRTIO_NET_F_MQ, ONE(CTRL_VQ)),
        NEEDS(VIRTIO_NET_F_CTRL_MAC_ADDR, ONE(CTRL_VQ)),
        NEEDS(VIRTIO_NET_F_NOTF_COAL, ONE(CTRL_VQ)),
        NEEDS(VIRTIO_NET_F_VQ_NOTF_COAL, ONE(CTRL_VQ)),
        NEEDS(VIRTIO_NET_F_RSS, ONE(CTRL_VQ)),
        NEEDS(VIRTIO_NET_F_HASH_TUNNEL, ONE(CTRL_VQ)),
        NEEDS(VIRTIO_NET_F_HASH_TUNNEL, ONE(HASH_REPORT) | ONE(RSS)),
        NEEDS(VIRTIO_NET_F_RSC_EXT,
              ONE(GUEST_TSO4) | ONE(GUEST_TSO6) | ONE(HOST_TSO4) | ONE(HOST_TSO6)),
};

static const char *const ring_names[FEATURE_BITS] = {
        [VIRTIO_F_INDIRECT_DESC] = "indirect",
        [VIRTIO_F_EVENT_IDX] = "event-idx",
        [VIRTIO_F_VERSION_1] = "version-1",
        [VIRTIO_F_ACCESS_PLATFORM] = "access-platform",
        [VIRTIO_F_RING_PACKED] = "packed",
        [VIRTIO_F_IN_ORDER] = "in-order",
        [VIRTIO_F_ORDER_PLATFORM] = "order-platform",
        [VIRTIO_F_SR_IOV] = "sr-iov",
        [VIRTIO_F_NOTIFICATION_DATA] = "notification-data",
        [VIRTIO_F_NOTIF_CONFIG_DATA] = "notif-config-data",
        [VIRTIO_F_RING_RESET] = "ring-reset",
        [VIRTIO_F_ADMIN_VQ] = "admin-vq",
};

static const char *const net_names[FEATURE_BITS] = {
        [VIRTIO_NET_F_CSUM] = "csum",
        [VIRTIO_NET_F_GUEST_CSUM] = "guest-csum",
        [VIRTIO_NET_F_CTRL_GUEST_OFFLOADS] = "ctrl-guest-offloads",
        [VIRTIO_NET_F_MTU] = "mtu",
        [VIRTIO_NET_F_MAC] = "mac",
        [VIRTIO_NET_F_GUEST_TSO4] = "guest-tso4",
        [VIRTIO_NET_F_GUEST_TSO6] = "guest-tso6",
        [VIRTIO_NET_F_GUEST_ECN] = "guest-ecn",
        [VIRTIO_NET_F_GUEST_UFO] = "guest-ufo",
        [VIRTIO_NET_F_HOST_TSO4] = "host-tso4",
        [VIRTIO_NET_F_HOST_TSO6] = "host-tso6",
        [VIRTIO_NET_F_HOST_ECN] = "host-ecn",
        [VIRTIO_NET_F_HOST_UFO] = "host-ufo",
        [VIRTIO_NET_F_MRG_RXBUF] = "mrg-rxbuf",
        [VIRTIO_NET_F_STATUS] = "status",
        [VIRTIO_NET_F_CTRL_VQ] = "ctrl-vq",
        [VIRTIO_NET_F_CTRL_RX] = "ctrl-rx",
        [VIRTIO_NET_F_CTRL_VLAN] = "ctrl-vlan",
        [VIRTIO_NET_F_CTRL_RX_EXTRA] = "ctrl-rx-extra",
        [VIRTIO_NET_F_GUEST_ANNOUNCE] = "guest-announce",
        [VIRTIO_NET_F_MQ] = "mq",
        [VIRTIO_NET_F_CTRL_MAC_ADDR] = "ctrl-mac-addr",
        [VIRTIO_NET_F_HASH_TUNNEL] = "hash-tunnel",
        [VIRTIO_NET_F_VQ_NOTF_COAL] = "vq-notf-coal",
        [VIRTIO_NET_F_NOTF_COAL] = "notf-coal",
        [VIRTIO_NET_F_GUEST_USO4] = "guest-uso4",
        [VIRTIO_NET_F_GUEST_USO6] = "guest-uso6",
        [VIRTIO_NET_F_HOST_USO] = "host-uso",
        [VIRTIO_NET_F_HASH_REPORT] = "hash-report",
        [VIRTIO_NET_F_GUEST_HDRLEN] = "guest-hdrlen",
        [VIRTIO_NET_F_RSS] = "rss",
        [VIRTIO_NET_F_RSC_EXT] = "rsc-ext",
        [VIRTIO_NET_F_STANDBY] = "standby",
        [VIRTIO_NET_F_SPEED_DUPLEX] = "speed-duplex",
};

uint64_t virtio_features_clear_unmet(uint64_t features, const struct virtio_feature_rule *rules,
                                     size_t rule_count)
{
        /* Each round clears a bit or is the last, so there are at most rule_count + 1. */
        for (size_t round = 0; round <= rule_count; round++) {
                uint64_t before = features;
                for (size_t i = 0; i < rule_count; i++)
                        if (!(features & rules[i].any_of))
                                features &= ~BIT_MASK(rules[i].bit);
                if (features == before)
                        break;
        }
        return features;
}

static const char *name_of(uint32_t bit, uint16_t device_type)
{
        if (ring_names[bit] != NULL || device_type != DEVICE_TYPE_NET)
                return ring_names[bit];
        return net_names[bit];
}

int virtio_feature_find(const char *name, size_t length, uint16_t device_type)
{
        for (uint32_t bit = 0; bit < FEATURE_BITS; bit++) {
                const char *known = name_of(bit, device_type);
                if (known != NULL && strlen(known) == length && memcmp(known, name, length) == 0)
                        return (int)bit;
        }
        return -1;
}

void virtio_features_describe(uint64_t features, uint16_t device_type, char *text,
                              size_t text_bytes)
{
        size_t used = 0;
        text[0] = '\0';
        for (uint32_t bit = 0; bit < FEATURE_BITS; bit++) {
                const char *name = name_of(bit, device_type), *separator = used == 0 ? "" : " ";
                if (!(features & BIT_MASK(bit)))
                        continue;
                int length = name != NULL ?
                        snprintf(text + used, text_bytes - used, "%s%s", separator, name) :
                        snprintf(text + used, text_bytes - used, "%s%u", separator, (unsigned)bit);
                if (length < 0 || (size_t)length >= text_bytes - used) {
                        text[used] = '\0';
                        return;
                }
                used += (size_t)length;
        }
}
