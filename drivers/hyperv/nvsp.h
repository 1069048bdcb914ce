/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* nvsp — the messages of a Hyper-V network card on its channel.
 *
 * One size for all of them: NVSP_MESSAGE_BYTES, that of version 6.1. A receiver looks at the bytes
 * of the body only, so the longer form may be sent to any host.
 * Facts       spec/vmbus.md, f.1, f.2 */
#ifndef DRIVERS_HYPERV_NVSP_H
#define DRIVERS_HYPERV_NVSP_H

#include <stddef.h>
#include <stdint.h>

enum nvsp_version {
        NVSP_VERSION_1 = 0x00000002,
        NVSP_VERSION_2 = 0x00030002,
        NVSP_VERSION_4 = 0x00040000,
        NVSP_VERSION_5 = 0x00050000,
        NVSP_VERSION_6 = 0x00060000,
        NVSP_VERSION_6_1 = 0x00060001,
};

enum nvsp_status {
        NVSP_STATUS_NONE = 0,
        NVSP_STATUS_SUCCESS = 1,
        NVSP_STATUS_FAILURE = 2,
};

enum nvsp_type {
        NVSP_INIT = 1,
        NVSP_INIT_COMPLETE = 2,
        NVSP_SEND_NDIS_VERSION = 100,
        NVSP_SEND_RECEIVE_BUFFER = 101,
        NVSP_SEND_RECEIVE_BUFFER_COMPLETE = 102,
        NVSP_REVOKE_RECEIVE_BUFFER = 103,
        NVSP_SEND_SEND_BUFFER = 104,
        NVSP_SEND_SEND_BUFFER_COMPLETE = 105,
        NVSP_REVOKE_SEND_BUFFER = 106,
        NVSP_SEND_RNDIS_PACKET = 107,
        NVSP_SEND_RNDIS_PACKET_COMPLETE = 108,
        NVSP_SEND_NDIS_CONFIG = 125,
};

#define NVSP_RECEIVE_BUFFER_ID 0xcafe
#define NVSP_SEND_BUFFER_ID 0xface
#define NVSP_CHANNEL_DATA 0
#define NVSP_CHANNEL_CONTROL 1
#define NVSP_NO_SECTION UINT32_MAX
#define NVSP_CAPABILITY_VLAN_BIT 3 /* IEEE 802.1Q in per-packet info */

#define NVSP_MESSAGE_BYTES 40

struct nvsp_message {
        uint32_t type;
        union {
                struct {
                        uint32_t version_min, version_max; /* both the one version wanted */
                } init;
                struct {
                        uint32_t version, mdl_chain_max, status;
                } init_complete;
                struct {
                        uint32_t major, minor;
                } ndis_version;
                struct {
                        uint32_t gpadl;
                        uint16_t id, zero;
                } buffer; /* SEND_RECEIVE_BUFFER, SEND_SEND_BUFFER */
                struct {
                        uint32_t status, section_count;
                        uint32_t offset, suballocation_bytes, suballocation_count, end;
                } receive_buffer_complete;
                struct {
                        uint32_t status, section_bytes;
                } send_buffer_complete;
                struct {
                        uint16_t id, zero;
                } revoke;
                struct {
                        uint32_t channel, section_index, section_bytes;
                } rndis;
                struct {
                        uint32_t status;
                } rndis_complete;
                struct {
                        uint32_t frame_bytes, zero;
                        uint32_t capabilities_low, capabilities_high; /* 64 bits at 12 */
                } ndis_config;
                uint32_t words[9];
        };
};

_Static_assert(sizeof(struct nvsp_message) == NVSP_MESSAGE_BYTES, "f.1");
_Static_assert(offsetof(struct nvsp_message, init_complete.status) == 12, "f.2, 2");
_Static_assert(offsetof(struct nvsp_message, buffer.id) == 8, "f.2, 101");
_Static_assert(offsetof(struct nvsp_message, receive_buffer_complete.offset) == 12, "f.2, 102");
_Static_assert(offsetof(struct nvsp_message, receive_buffer_complete.end) == 24, "f.2, 102");
_Static_assert(offsetof(struct nvsp_message, rndis.section_bytes) == 12, "f.2, 107");
_Static_assert(offsetof(struct nvsp_message, ndis_config.capabilities_low) == 12, "f.2, 125");

#endif
