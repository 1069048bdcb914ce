/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* virtio_features — feature bits by number and name, and what each of them needs.
 *
 * Facts       Virtio 1.3, 6 (ring and transport), 5.1.3 and 5.1.3.1 (net) */
#ifndef DRIVERS_VIRTIO_VIRTIO_FEATURES_H
#define DRIVERS_VIRTIO_VIRTIO_FEATURES_H

#include <stddef.h>
#include <stdint.h>

/* Ring and transport. */
enum virtio_feature_bit {
        VIRTIO_F_INDIRECT_DESC = 28,
        VIRTIO_F_EVENT_IDX = 29,
        VIRTIO_F_VERSION_1 = 32,
        VIRTIO_F_ACCESS_PLATFORM = 33,
        VIRTIO_F_RING_PACKED = 34,
        VIRTIO_F_IN_ORDER = 35,
        VIRTIO_F_ORDER_PLATFORM = 36,
        VIRTIO_F_SR_IOV = 37,
        VIRTIO_F_NOTIFICATION_DATA = 38,
        VIRTIO_F_NOTIF_CONFIG_DATA = 39,
        VIRTIO_F_RING_RESET = 40,
        VIRTIO_F_ADMIN_VQ = 41,
};

/* Bits 0..23 and 50..63 of a network card. */
enum virtio_net_feature_bit {
        VIRTIO_NET_F_CSUM = 0,
        VIRTIO_NET_F_GUEST_CSUM = 1,
        VIRTIO_NET_F_CTRL_GUEST_OFFLOADS = 2,
        VIRTIO_NET_F_MTU = 3,
        VIRTIO_NET_F_MAC = 5,
        VIRTIO_NET_F_GUEST_TSO4 = 7,
        VIRTIO_NET_F_GUEST_TSO6 = 8,
        VIRTIO_NET_F_GUEST_ECN = 9,
        VIRTIO_NET_F_GUEST_UFO = 10,
        VIRTIO_NET_F_HOST_TSO4 = 11,
        VIRTIO_NET_F_HOST_TSO6 = 12,
        VIRTIO_NET_F_HOST_ECN = 13,
        VIRTIO_NET_F_HOST_UFO = 14,
        VIRTIO_NET_F_MRG_RXBUF = 15,
        VIRTIO_NET_F_STATUS = 16,
        VIRTIO_NET_F_CTRL_VQ = 17,
        VIRTIO_NET_F_CTRL_RX = 18,
        VIRTIO_NET_F_CTRL_VLAN = 19,
        VIRTIO_NET_F_CTRL_RX_EXTRA = 20,
        VIRTIO_NET_F_GUEST_ANNOUNCE = 21,
        VIRTIO_NET_F_MQ = 22,
        VIRTIO_NET_F_CTRL_MAC_ADDR = 23,
        VIRTIO_NET_F_HASH_TUNNEL = 51,
        VIRTIO_NET_F_VQ_NOTF_COAL = 52,
        VIRTIO_NET_F_NOTF_COAL = 53,
        VIRTIO_NET_F_GUEST_USO4 = 54,
        VIRTIO_NET_F_GUEST_USO6 = 55,
        VIRTIO_NET_F_HOST_USO = 56,
        VIRTIO_NET_F_HASH_REPORT = 57,
        VIRTIO_NET_F_GUEST_HDRLEN = 59,
        VIRTIO_NET_F_RSS = 60,
        VIRTIO_NET_F_RSC_EXT = 61,
        VIRTIO_NET_F_STANDBY = 62,
        VIRTIO_NET_F_SPEED_DUPLEX = 63,
};

/* `bit` may stay only if one of `any_of` stays.
 * A bit that needs several things has several rules. */
struct virtio_feature_rule {
        uint64_t any_of;
        uint32_t bit;
        uint32_t reserved;
};

/* The rules of network cards. */
#define VIRTIO_NET_FEATURE_RULES 24
extern const struct virtio_feature_rule virtio_net_feature_rules[VIRTIO_NET_FEATURE_RULES];

/* Clears every bit whose needs are not met, and then those that needed it,
 * until nothing changes. */
uint64_t virtio_features_clear_unmet(uint64_t features, const struct virtio_feature_rule *rules,
                                     size_t rule_count);

/* The bit with this name (`length` characters), as
 * virtio_features_describe() writes it; -1: none. */
int virtio_feature_find(const char *name, size_t length, uint16_t device_type);

#define VIRTIO_FEATURES_TEXT_BYTES 512
/* Writes the names of a device's bits, separated by spaces; bits without a name as numbers.
 *   device_type  1: net; for other types the device's own bits come out as numbers
 *   text         text_bytes long, always terminated; what does not fit is left out */
void virtio_features_describe(uint64_t features, uint16_t device_type, char *text,
                              size_t text_bytes);

#endif
