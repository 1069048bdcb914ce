/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vhost_wire — the bytes of the vhost-user protocol: message numbers, payloads, feature bits.
 *
 * Everything is in the machine's own byte order. A message is a header of 12 bytes and a payload;
 * file descriptors travel with its first byte. Nothing here does anything.
 *
 * Facts       the vhost-user protocol of QEMU 7.2,
 *             docs/interop/vhost-user.rst; spec/virtio.md, 13 */
#ifndef TESTS_PEERS_VHOST_WIRE_H
#define TESTS_PEERS_VHOST_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum vhost_request {
        VHOST_GET_FEATURES = 1,
        VHOST_SET_FEATURES = 2,
        VHOST_SET_OWNER = 3,
        VHOST_RESET_OWNER = 4,
        VHOST_SET_MEM_TABLE = 5,
        VHOST_SET_VRING_NUM = 8,
        VHOST_SET_VRING_ADDR = 9,
        VHOST_SET_VRING_BASE = 10,
        VHOST_GET_VRING_BASE = 11,
        VHOST_SET_VRING_KICK = 12,
        VHOST_SET_VRING_CALL = 13,
        VHOST_SET_VRING_ERR = 14,
        VHOST_GET_PROTOCOL_FEATURES = 15,
        VHOST_SET_PROTOCOL_FEATURES = 16,
        VHOST_GET_QUEUE_NUM = 17,
        VHOST_SET_VRING_ENABLE = 18,
        VHOST_NET_SET_MTU = 20,
        VHOST_GET_CONFIG = 24,
        VHOST_SET_CONFIG = 25,
        VHOST_RESET_DEVICE = 34,
        VHOST_GET_MAX_MEM_SLOTS = 36,
        VHOST_ADD_MEM_REG = 37,
        VHOST_REM_MEM_REG = 38,
        VHOST_REQUEST_END, /* one more than the last one known here */
};

/* Header flags. */
#define VHOST_VERSION 1u
#define VHOST_VERSION_MASK 3u
#define VHOST_REPLY_BIT 2
#define VHOST_NEED_REPLY_BIT 3

/* Protocol feature bits. */
#define VHOST_PROTOCOL_MQ_BIT 0
#define VHOST_PROTOCOL_REPLY_ACK_BIT 3
#define VHOST_PROTOCOL_NET_MTU_BIT 4
#define VHOST_PROTOCOL_CONFIG_BIT 9
#define VHOST_PROTOCOL_RESET_DEVICE_BIT 13
#define VHOST_PROTOCOL_MEM_SLOTS_BIT 15

/* In the feature word of the device: the messages for protocol features are understood. */
#define VHOST_F_PROTOCOL_FEATURES_BIT 30

/* SET_VRING_KICK, _CALL, _ERR: the payload's low byte is the ring. */
#define VHOST_VRING_INDEX_MASK 0xffu
#define VHOST_VRING_NO_FD_BIT 8

/* SET_VRING_ADDR: writes to the used ring are to be logged. */
#define VHOST_VRING_LOG_BIT 0

#define VHOST_HEADER_BYTES 12u
#define VHOST_FDS_MAX 8u            /* in one message */
#define VHOST_TABLE_REGIONS_MAX 8u  /* in SET_MEM_TABLE */
#define VHOST_MEMORY_SLOTS 64u      /* with ADD_MEM_REG */
#define VHOST_CONFIG_BYTES_MAX 256u
#define VHOST_CONFIG_HEAD_BYTES 12u
#define VHOST_TABLE_HEAD_BYTES 8u

struct vhost_header {
        uint32_t request;
        uint32_t flags;
        uint32_t bytes; /* of the payload */
};

struct vhost_vring_state {
        uint32_t index;
        uint32_t value;
};

/* Addresses of the front end's own address space. */
struct vhost_vring_addresses {
        uint32_t index;
        uint32_t flags;
        uint64_t descriptors;
        uint64_t used;
        uint64_t avail;
        uint64_t log;
};

struct vhost_region {
        uint64_t guest_address;
        uint64_t bytes;
        uint64_t user_address;
        uint64_t mmap_offset;
};

struct vhost_memory_table {
        uint32_t count;
        uint32_t padding;
        struct vhost_region regions[VHOST_TABLE_REGIONS_MAX];
};

struct vhost_single_region {
        uint64_t padding;
        struct vhost_region region;
};

struct vhost_config {
        uint32_t offset;
        uint32_t bytes;
        uint32_t flags;
        uint8_t data[VHOST_CONFIG_BYTES_MAX];
};

union vhost_payload {
        uint64_t word;
        struct vhost_vring_state state;
        struct vhost_vring_addresses addresses;
        struct vhost_memory_table table;
        struct vhost_single_region single;
        struct vhost_config config;
        uint8_t bytes[320];
};

_Static_assert(sizeof(struct vhost_header) == VHOST_HEADER_BYTES, "on the wire");
_Static_assert(sizeof(struct vhost_vring_addresses) == 40, "on the wire");
_Static_assert(sizeof(struct vhost_region) == 32, "on the wire");
_Static_assert(sizeof(struct vhost_single_region) == 40, "on the wire");
_Static_assert(offsetof(struct vhost_memory_table, regions) == VHOST_TABLE_HEAD_BYTES,
               "on the wire");
_Static_assert(offsetof(struct vhost_config, data) == VHOST_CONFIG_HEAD_BYTES, "on the wire");

#endif
