/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* wire_net — NVSP and RNDIS as the host side sees them; as wire.h is for channel messages.
 * Facts       spec/vmbus.md, (f); the layout of the RSS capabilities and the OIDs of the
 *             statistics: Windows driver documentation (ntddndis.h) */
#ifndef TESTS_PEERS_VMBUS_HOST_WIRE_NET_H
#define TESTS_PEERS_VMBUS_HOST_WIRE_NET_H

#include <stdint.h>

/* {f8615163-df3e-46c5-913f-f2d2f965ed0e} */
#define WIRE_NET_INTERFACE                                                                         \
        {                                                                                          \
                0x63, 0x51, 0x61, 0xf8, 0x3e, 0xdf, 0xc5, 0x46, 0x91, 0x3f, 0xf2, 0xd2, 0xf9,      \
                        0x65, 0xed, 0x0e                                                           \
        }

/* ---- NVSP (f.1, f.2) ---- */

#define NVSP_VERSION_1 0x00000002u
#define NVSP_VERSION_2 0x00030002u
#define NVSP_VERSION_4 0x00040000u
#define NVSP_VERSION_5 0x00050000u
#define NVSP_VERSION_6 0x00060000u
#define NVSP_VERSION_6_1 0x00060001u

#define NVSP_MESSAGE_WORDS 7u      /* before 6.1 */
#define NVSP_MESSAGE_WORDS_6_1 10u

enum nvsp_status {
        NVSP_STATUS_NONE = 0,
        NVSP_STATUS_SUCCESS = 1,
        NVSP_STATUS_FAILURE = 2,
        NVSP_STATUS_INVALID_RNDIS = 5,
        NVSP_STATUS_BUSY = 6,
        NVSP_STATUS_UNSUPPORTED = 7,
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
        NVSP_SWITCH_DATA_PATH = 129,
        NVSP_OID_QUERY_EX = 131,
        NVSP_OID_QUERY_EX_COMPLETE = 132,
        NVSP_SUBCHANNEL = 133,
        NVSP_SEND_INDIRECTION_TABLE = 134,
};

#define NVSP_RECEIVE_BUFFER_ID 0xcafeu
#define NVSP_SEND_BUFFER_ID 0xfaceu
#define NVSP_SECTION_NONE 0xffffffffu
#define NVSP_CHANNEL_DATA 0u
#define NVSP_CHANNEL_CONTROL 1u
#define NVSP_MDL_CHAIN_MAX 34u
#define NVSP_SUBCHANNEL_ALLOCATE 1u
#define NVSP_INDIRECTION_ENTRIES 16u
#define NVSP_FRAME_BYTES_MIN 1514u
#define NVSP_FRAME_BYTES_MAX 9216u

/* ---- RNDIS (f.6) ---- */

enum rndis_type {
        RNDIS_PACKET = 1,
        RNDIS_INITIALIZE = 2,
        RNDIS_HALT = 3,
        RNDIS_QUERY = 4,
        RNDIS_SET = 5,
        RNDIS_RESET = 6,
        RNDIS_INDICATE_STATUS = 7,
        RNDIS_KEEPALIVE = 8,
};
#define RNDIS_COMPLETE 0x80000000u /* added to the type of a request */

#define RNDIS_HEADER_BYTES 8u
#define RNDIS_PACKET_BYTES 44u
/* Offsets in messages count from here. */
#define RNDIS_OFFSET_BASE 8u

struct rndis_packet {
        uint32_t type, length;
        uint32_t data_offset, data_length;
        uint32_t oob_offset, oob_length, oob_elements;
        uint32_t ppi_offset, ppi_length;
        uint32_t vc_handle, reserved;
};
_Static_assert(sizeof(struct rndis_packet) == RNDIS_PACKET_BYTES, "f.6");

struct rndis_ppi {
        uint32_t size, type, offset; /* offset of the data from the start of this */
        uint32_t value;
};
#define RNDIS_PPI_HEADER_BYTES 12u

enum rndis_ppi_type {
        RNDIS_PPI_CHECKSUM = 0,
        RNDIS_PPI_LSO = 2,
        RNDIS_PPI_VLAN = 6,
};

#define RNDIS_TX_IPV4 0x01u
#define RNDIS_TX_IPV6 0x02u
#define RNDIS_TX_TCP 0x04u
#define RNDIS_TX_UDP 0x08u
#define RNDIS_TX_IP_HEADER 0x10u
#define RNDIS_TX_TRANSPORT_BIT 16
#define RNDIS_TX_TRANSPORT_MASK 0x3ffu
#define RNDIS_RX_TCP_FAILED 0x01u
#define RNDIS_RX_UDP_FAILED 0x02u
#define RNDIS_RX_IP_FAILED 0x04u
#define RNDIS_RX_TCP_OK 0x08u
#define RNDIS_RX_UDP_OK 0x10u
#define RNDIS_RX_IP_OK 0x20u
#define RNDIS_LSO_MSS_MASK 0xfffffu
#define RNDIS_LSO_TRANSPORT_BIT 20
#define RNDIS_LSO_VERSION_2 0x40000000u
#define RNDIS_LSO_IPV6 0x80000000u
#define RNDIS_LSO_BYTES_MAX 0xf53cu
#define RNDIS_LSO_SEGMENTS_MIN 2u

#define RNDIS_PACKETS_MAX 8u
#define RNDIS_TRANSFER_BYTES 0xefffffffu
#define RNDIS_ALIGNMENT_FACTOR 3u

#define NDIS_MEDIA_CONNECT 0x4001000bu
#define NDIS_MEDIA_DISCONNECT 0x4001000cu
#define NDIS_OFFLOAD_CONFIGURATION 0x40020006u

#define RNDIS_STATUS_OK 0u
#define RNDIS_STATUS_FAILURE 0xc0000001u
#define RNDIS_STATUS_NOT_SUPPORTED 0xc00000bbu
#define RNDIS_STATUS_BAD_VERSION 0xc0010004u
#define RNDIS_STATUS_INVALID_LENGTH 0xc0010014u
#define RNDIS_STATUS_INVALID_DATA 0xc0010015u

/* ---- OIDs (f.7) ---- */

#define OID_GEN_SUPPORTED_LIST 0x00010101u
#define OID_GEN_HARDWARE_STATUS 0x00010102u
#define OID_GEN_MAXIMUM_FRAME_SIZE 0x00010106u
#define OID_GEN_LINK_SPEED 0x00010107u
#define OID_GEN_CURRENT_PACKET_FILTER 0x0001010eu
#define OID_GEN_MAXIMUM_TOTAL_SIZE 0x00010111u
#define OID_GEN_MEDIA_CONNECT_STATUS 0x00010114u
#define OID_GEN_RECEIVE_SCALE_CAPABILITIES 0x00010203u
#define OID_GEN_RECEIVE_SCALE_PARAMETERS 0x00010204u
#define OID_GEN_MAX_LINK_SPEED 0x00010206u
#define OID_GEN_LINK_STATE 0x00010207u
#define OID_GEN_RNDIS_CONFIG_PARAMETER 0x0001021bu
#define OID_GEN_XMIT_OK 0x00020101u
#define OID_GEN_RCV_OK 0x00020102u
#define OID_GEN_XMIT_ERROR 0x00020103u
#define OID_GEN_RCV_ERROR 0x00020104u
#define OID_GEN_RCV_NO_BUFFER 0x00020105u
#define OID_802_3_PERMANENT_ADDRESS 0x01010101u
#define OID_802_3_CURRENT_ADDRESS 0x01010102u
#define OID_802_3_MULTICAST_LIST 0x01010103u
#define OID_TCP_OFFLOAD_CURRENT_CONFIG 0xfc01020bu
#define OID_TCP_OFFLOAD_PARAMETERS 0xfc01020cu
#define OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES 0xfc01020du

#define NDIS_FILTER_DIRECTED 0x01u
#define NDIS_FILTER_MULTICAST 0x02u
#define NDIS_FILTER_ALL_MULTICAST 0x04u
#define NDIS_FILTER_BROADCAST 0x08u
#define NDIS_FILTER_PROMISCUOUS 0x20u
#define NDIS_FILTER_ALL 0x2fu

#define NDIS_OBJECT_DEFAULT 0x80u
#define NDIS_OBJECT_RSS_CAPABILITIES 0x88u
#define NDIS_OBJECT_RSS_PARAMETERS 0x89u
#define NDIS_OBJECT_OFFLOAD 0xa7u
#define NDIS_OFFLOAD_BYTES 112u
#define NDIS_OFFLOAD_PARAMETERS_BYTES 20u
#define NDIS_RSS_TABLE_ENTRIES_MAX 128u

#endif
