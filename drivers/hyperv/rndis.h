/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* rndis — the messages inside the messages of a Hyper-V network card: frames
 * with what is said about them, and questions about the card with their
 * answers.
 *
 *   message   | type, length | fields ... | per-packet info | frame |
 *               0..7           from byte 8; every offset inside counts from
 * here
 *
 * Only bytes: what is to be sent is written into the caller's memory; what came
 * in lies in memory that the host may still write to, so each field is copied
 * out once, checked, and handed on as a number. Which answer belongs to which
 * question, and every wait, is netvsc.c's.
 *
 * Peer        the host wrote every byte of an incoming message; nothing in it
 * is taken for granted. Elements of per-packet info that are not known here are
 * stepped over Context     any; no state, nothing allocated, each loop bounded
 * by the bytes of the message Facts       spec/vmbus.md, f.4 to f.7 */
#ifndef DRIVERS_HYPERV_RNDIS_H
#define DRIVERS_HYPERV_RNDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum rndis_type {
        RNDIS_PACKET = 0x00000001,
        RNDIS_INITIALIZE = 0x00000002,
        RNDIS_HALT = 0x00000003,
        RNDIS_QUERY = 0x00000004,
        RNDIS_SET = 0x00000005,
        RNDIS_INDICATE_STATUS = 0x00000007,
        RNDIS_KEEPALIVE = 0x00000008,
};
#define RNDIS_COMPLETE 0x80000000u /* or-ed to the type of the question */

#define RNDIS_STATUS_SUCCESS 0x00000000u
#define RNDIS_STATUS_NOT_SUPPORTED 0xc00000bbu
#define RNDIS_STATUS_MEDIA_CONNECT 0x4001000bu
#define RNDIS_STATUS_MEDIA_DISCONNECT 0x4001000cu
#define RNDIS_STATUS_LINK_SPEED_CHANGE 0x40010013u
#define RNDIS_STATUS_NETWORK_CHANGE 0x40010018u
#define RNDIS_STATUS_OFFLOAD_CONFIG 0x40020006u

#define RNDIS_OID_GEN_MAXIMUM_FRAME_SIZE 0x00010106u
#define RNDIS_OID_GEN_LINK_SPEED 0x00010107u
#define RNDIS_OID_GEN_CURRENT_PACKET_FILTER 0x0001010eu
#define RNDIS_OID_GEN_MEDIA_CONNECT_STATUS 0x00010114u
#define RNDIS_OID_802_3_PERMANENT_ADDRESS 0x01010101u
#define RNDIS_OID_802_3_CURRENT_ADDRESS 0x01010102u
#define RNDIS_OID_802_3_MULTICAST_LIST 0x01010103u
#define RNDIS_OID_TCP_OFFLOAD_PARAMETERS 0xfc01020cu
#define RNDIS_OID_TCP_OFFLOAD_CAPABILITIES 0xfc01020du

/* Bits of OID_GEN_CURRENT_PACKET_FILTER. */
#define RNDIS_FILTER_DIRECTED_BIT 0
#define RNDIS_FILTER_MULTICAST_BIT 1
#define RNDIS_FILTER_ALL_MULTICAST_BIT 2
#define RNDIS_FILTER_BROADCAST_BIT 3
#define RNDIS_FILTER_PROMISCUOUS_BIT 5

#define RNDIS_HEADER_BYTES 8         /* type and length */
#define RNDIS_PACKET_HEADER_BYTES 44 /* with them */
#define RNDIS_INFO_BYTES 16          /* one element of per-packet info with its 32 bits */
#define RNDIS_INFO_COUNT_MAX 3 /* that we send: checksum, segmentation, VLAN */
#define RNDIS_PACKET_HEADER_BYTES_MAX                                                              \
        (RNDIS_PACKET_HEADER_BYTES + RNDIS_INFO_COUNT_MAX * RNDIS_INFO_BYTES)
#define RNDIS_REQUEST_BYTES 28 /* of a question in front of its information */
#define RNDIS_INITIALIZE_BYTES 24
#define RNDIS_HALT_BYTES 12
#define RNDIS_KEEPALIVE_COMPLETE_BYTES 16
#define RNDIS_INFORMATION_BYTES_MAX 512 /* of one answer that is looked at */
#define RNDIS_SEGMENT_BYTES_MAX 0xfffff /* 20 bits */
#define RNDIS_TRANSPORT_OFFSET_MAX 1023 /* 10 bits */

/* The rule that an incoming message broke. */
enum rndis_result {
        RNDIS_OK = 0,
        RNDIS_NO_HEADER,        /* fewer than 8 bytes */
        RNDIS_LENGTH_TOO_SMALL, /* below what its type has as fields */
        RNDIS_LENGTH_TOO_LARGE, /* above the bytes it came in */
        RNDIS_DATA_OUTSIDE,     /* the frame, in part or whole */
        RNDIS_DATA_EMPTY,
        RNDIS_OOB_DATA,             /* out-of-band records or a virtual circuit, which Ethernet
                                       has not */
        RNDIS_INFO_OUTSIDE,         /* the list of per-packet info */
        RNDIS_INFO_SIZE,            /* an element: below 12, no multiple of 4,
                                       or beyond the list */
        RNDIS_INFO_OFFSET,          /* its data begin in its header or end behind it */
        RNDIS_INFORMATION_OUTSIDE,  /* of an answer or a status */
        RNDIS_INFORMATION_TOO_LONG, /* above RNDIS_INFORMATION_BYTES_MAX */
        RNDIS_RESULT_COUNT,
};

/* "data outside the message", for a log line. */
const char *rndis_result_name(enum rndis_result result);

/* ---- out ---- */

/* What is said about a frame that goes out; zero: nothing. */
struct rndis_transmit_info {
        bool has_checksum; /* the host fills in the transport checksum (and IPv4's
                              with TSO) */
        bool has_segment;  /* the host cuts it into TCP segments */
        bool has_vlan;
        bool ipv6, udp;            /* else IPv4, TCP */
        uint16_t transport_offset; /* bytes from the frame's start, 0 ..
                                      RNDIS_TRANSPORT_OFFSET_MAX */
        uint32_t segment_bytes;    /* of payload, 2 .. RNDIS_SEGMENT_BYTES_MAX; with has_segment */
        uint16_t vlan_tci;         /* IEEE 802.1Q: priority, drop eligible, id */
};

/* Writes the header of a PACKET message; the frame follows right behind it.
 *   out          RNDIS_PACKET_HEADER_BYTES_MAX bytes
 *   frame_bytes  1 .., together with the header below 2^32
 *   returns      the bytes written, a multiple of 4 */
uint32_t rndis_put_packet(void *out, const struct rndis_transmit_info *info, uint32_t frame_bytes);

/* Each writes a whole message, RNDIS_..._BYTES long, and returns that.
 * request_id: not 0. */
uint32_t rndis_put_initialize(void *out, uint32_t request_id, uint32_t transfer_bytes_max);
uint32_t rndis_put_halt(void *out, uint32_t request_id);
uint32_t rndis_put_keepalive_complete(void *out, uint32_t request_id);

struct rndis_request {
        uint32_t type; /* RNDIS_QUERY or RNDIS_SET */
        uint32_t request_id, oid;
        const void *information;    /* may be NULL with 0 bytes */
        uint32_t information_bytes; /* RNDIS_REQUEST_BYTES + that many fit `out` */
};
uint32_t rndis_put_request(void *out, const struct rndis_request *request);

/* ---- in ---- */

/* A PACKET that keeps the rules. */
struct rndis_packet {
        uint32_t data_offset; /* of the frame, from the message's start */
        uint32_t data_bytes;  /* 1 .. */
        bool has_checksum, has_vlan, has_hash, has_segment, has_piece;
        uint32_t checksum; /* RNDIS_RECEIVED_... */
        uint32_t hash, hash_info;
        uint32_t segment; /* as received, spec f.6 */
        uint16_t vlan_tci;
        uint8_t piece_flags; /* RNDIS_PIECE_..., of a frame over several ranges */
        uint16_t piece_id;
};

#define RNDIS_RECEIVED_TCP_FAILED_BIT 0
#define RNDIS_RECEIVED_UDP_FAILED_BIT 1
#define RNDIS_RECEIVED_IP_FAILED_BIT 2
#define RNDIS_RECEIVED_TCP_OK_BIT 3
#define RNDIS_RECEIVED_UDP_OK_BIT 4
#define RNDIS_RECEIVED_IP_OK_BIT 5
#define RNDIS_PIECE_MULTI_BIT 0
#define RNDIS_PIECE_FIRST_BIT 1
#define RNDIS_PIECE_LAST_BIT 2

/* Type and length of the message in `bytes` bytes at `message`, which the host
 * may still write to. type, length  out. length: 8 .. bytes returns RNDIS_OK,
 * RNDIS_NO_HEADER, RNDIS_LENGTH_TOO_SMALL, RNDIS_LENGTH_TOO_LARGE */
enum rndis_result MUST_CHECK rndis_take_header(const void *message, uint32_t bytes, uint32_t *type,
                                               uint32_t *length);

/* Takes a PACKET apart. `length` is what rndis_take_header gave: the message's
 * own word is not read again. */
enum rndis_result MUST_CHECK rndis_take_packet(const void *message, uint32_t length,
                                               struct rndis_packet *packet);

/* An answer, a status indication or a keepalive. */
struct rndis_control {
        uint32_t type;
        uint32_t request_id; /* 0 for INDICATE_STATUS */
        uint32_t status;
        /* INITIALIZE_CMPLT */
        uint32_t packets_max, transfer_bytes_max, alignment_log2;
        /* QUERY_CMPLT with status success, INDICATE_STATUS */
        uint32_t information_bytes;
        uint8_t information[RNDIS_INFORMATION_BYTES_MAX];
};

/* Takes a control message apart; whole: `control` is private memory afterwards.
 * A type that no guest understands gives RNDIS_OK with `type` and nothing else.
 *   bytes    of the range that it came in: an old host's offload indication has
 * a wrong length, for which that of the range is taken (f.6) */
enum rndis_result MUST_CHECK rndis_take_control(const void *message, uint32_t bytes,
                                                struct rndis_control *control);

#endif
