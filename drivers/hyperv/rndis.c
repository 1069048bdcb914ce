/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* rndis — see rndis.h. */
#include "drivers/hyperv/rndis.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/shared.h"

/* Offsets inside a message count from here. */
#define OFFSET_BASE RNDIS_HEADER_BYTES

/* The fields of a PACKET message behind type and length. */
struct packet_fields {
        uint32_t data_offset, data_bytes;
        uint32_t oob_offset, oob_bytes, oob_count;
        uint32_t info_offset, info_bytes;
        uint32_t vc_handle, reserved;
};

struct info_header {
        uint32_t size, type, data_offset;
};

/* Types of per-packet info. Bit 31: private to the VMBus card. */
enum info_type {
        INFO_CHECKSUM = 0,
        INFO_SEGMENT = 2,
        INFO_VLAN = 6,
        INFO_HASH = 8,
        INFO_HASH_INFO = 9,
        INFO_PIECE = (int)0x80000001,
};

/* Transmit checksum word. */
#define CHECKSUM_IPV4_BIT 0
#define CHECKSUM_IPV6_BIT 1
#define CHECKSUM_TCP_BIT 2
#define CHECKSUM_UDP_BIT 3
#define CHECKSUM_TRANSPORT_SHIFT 16
/* Segmentation word. */
#define SEGMENT_TRANSPORT_SHIFT 20
#define SEGMENT_VERSION_2_BIT 30
#define SEGMENT_IPV6_BIT 31
/* VLAN word, and IEEE 802.1Q's own order. */
#define VLAN_PRIORITY_MASK 7u
#define VLAN_DROP_BIT 3
#define VLAN_ID_SHIFT 4
#define VLAN_ID_MASK 0xfffu
#define TCI_PRIORITY_SHIFT 13
#define TCI_DROP_BIT 12

#define MAJOR_VERSION 1
#define MINOR_VERSION 0

_Static_assert(sizeof(struct packet_fields) + RNDIS_HEADER_BYTES == RNDIS_PACKET_HEADER_BYTES,
               "header of a PACKET");
_Static_assert(sizeof(struct info_header) + sizeof(uint32_t) == RNDIS_INFO_BYTES, "an element");

const char *rndis_result_name(enum rndis_result result)
{
        static const char *const names[RNDIS_RESULT_COUNT] = {
                [RNDIS_OK] = "no rule broken",
                [RNDIS_NO_HEADER] = "no header",
                [RNDIS_LENGTH_TOO_SMALL] = "length below its fields",
                [RNDIS_LENGTH_TOO_LARGE] = "length above its range",
                [RNDIS_DATA_OUTSIDE] = "frame outside the message",
                [RNDIS_DATA_EMPTY] = "frame without bytes",
                [RNDIS_OOB_DATA] = "out-of-band data",
                [RNDIS_INFO_OUTSIDE] = "per-packet info outside the message",
                [RNDIS_INFO_SIZE] = "size of per-packet info",
                [RNDIS_INFO_OFFSET] = "data of per-packet info outside it",
                [RNDIS_INFORMATION_OUTSIDE] = "information outside the message",
                [RNDIS_INFORMATION_TOO_LONG] = "information too long",
        };
        return (uint32_t)result < RNDIS_RESULT_COUNT ? names[result] : "no result";
}

/* ---- out ---- */

static uint8_t *put_words(void *out, const uint32_t *words, size_t count)
{
        memcpy(out, words, count * sizeof(uint32_t));
        return (uint8_t *)out + count * sizeof(uint32_t);
}

static uint8_t *put_info(uint8_t *out, uint32_t type, uint32_t value)
{
        const uint32_t words[] = {RNDIS_INFO_BYTES, type, sizeof(struct info_header), value};
        return put_words(out, words, ARRAY_COUNT(words));
}

static uint32_t checksum_word(const struct rndis_transmit_info *info)
{
        return 1u << (info->ipv6 ? CHECKSUM_IPV6_BIT : CHECKSUM_IPV4_BIT) |
               1u << (info->udp ? CHECKSUM_UDP_BIT : CHECKSUM_TCP_BIT) |
               (uint32_t)info->transport_offset << CHECKSUM_TRANSPORT_SHIFT;
}

static uint32_t segment_word(const struct rndis_transmit_info *info)
{
        return info->segment_bytes | (uint32_t)info->transport_offset << SEGMENT_TRANSPORT_SHIFT |
               1u << SEGMENT_VERSION_2_BIT | (info->ipv6 ? 1u << SEGMENT_IPV6_BIT : 0);
}

static uint32_t vlan_word(uint16_t tci)
{
        return (uint32_t)tci >> TCI_PRIORITY_SHIFT |
               ((uint32_t)tci >> TCI_DROP_BIT & 1) << VLAN_DROP_BIT |
               (tci & VLAN_ID_MASK) << VLAN_ID_SHIFT;
}

uint32_t rndis_put_packet(void *out, const struct rndis_transmit_info *info, uint32_t frame_bytes)
{
        uint8_t *at = (uint8_t *)out + RNDIS_PACKET_HEADER_BYTES;
        ASSERT(frame_bytes != 0 && frame_bytes <= UINT32_MAX - RNDIS_PACKET_HEADER_BYTES_MAX);
        ASSERT(info->transport_offset <= RNDIS_TRANSPORT_OFFSET_MAX);
        ASSERT(!info->has_segment ||
               (info->segment_bytes >= 2 && info->segment_bytes <= RNDIS_SEGMENT_BYTES_MAX));
        if (info->has_segment)
                at = put_info(at, INFO_SEGMENT, segment_word(info));
        else if (info->has_checksum)
                at = put_info(at, INFO_CHECKSUM, checksum_word(info));
        if (info->has_vlan)
                at = put_info(at, INFO_VLAN, vlan_word(info->vlan_tci));

        uint32_t header_bytes = (uint32_t)(at - (uint8_t *)out);
        uint32_t info_bytes = header_bytes - RNDIS_PACKET_HEADER_BYTES;
        const uint32_t start[] = {RNDIS_PACKET, header_bytes + frame_bytes};
        const struct packet_fields fields = {
                .data_offset = header_bytes - OFFSET_BASE,
                .data_bytes = frame_bytes,
                .info_offset = info_bytes != 0 ? RNDIS_PACKET_HEADER_BYTES - OFFSET_BASE : 0,
                .info_bytes = info_bytes,
        };
        memcpy(put_words(out, start, ARRAY_COUNT(start)), &fields, sizeof(fields));
        return header_bytes;
}

uint32_t rndis_put_initialize(void *out, uint32_t request_id, uint32_t transfer_bytes_max)
{
        const uint32_t words[] = {RNDIS_INITIALIZE, RNDIS_INITIALIZE_BYTES, request_id,
                                  MAJOR_VERSION,    MINOR_VERSION,          transfer_bytes_max};
        _Static_assert(sizeof(words) == RNDIS_INITIALIZE_BYTES, "length");
        put_words(out, words, ARRAY_COUNT(words));
        return RNDIS_INITIALIZE_BYTES;
}

uint32_t rndis_put_halt(void *out, uint32_t request_id)
{
        const uint32_t words[] = {RNDIS_HALT, RNDIS_HALT_BYTES, request_id};
        _Static_assert(sizeof(words) == RNDIS_HALT_BYTES, "length");
        put_words(out, words, ARRAY_COUNT(words));
        return RNDIS_HALT_BYTES;
}

uint32_t rndis_put_keepalive_complete(void *out, uint32_t request_id)
{
        const uint32_t words[] = {RNDIS_KEEPALIVE | RNDIS_COMPLETE, RNDIS_KEEPALIVE_COMPLETE_BYTES,
                                  request_id, RNDIS_STATUS_SUCCESS};
        _Static_assert(sizeof(words) == RNDIS_KEEPALIVE_COMPLETE_BYTES, "length");
        put_words(out, words, ARRAY_COUNT(words));
        return RNDIS_KEEPALIVE_COMPLETE_BYTES;
}

uint32_t rndis_put_request(void *out, const struct rndis_request *request)
{
        uint32_t bytes = RNDIS_REQUEST_BYTES + request->information_bytes;
        const uint32_t words[] = {
                request->type,
                bytes,
                request->request_id,
                request->oid,
                request->information_bytes,
                request->information_bytes != 0 ? RNDIS_REQUEST_BYTES - OFFSET_BASE : 0,
                0, /* device handle */
        };
        ASSERT(request->type == RNDIS_QUERY || request->type == RNDIS_SET);
        uint8_t *at = put_words(out, words, ARRAY_COUNT(words));
        if (request->information_bytes != 0)
                memcpy(at, request->information, request->information_bytes);
        return bytes;
}

/* ---- in ---- */

/* Whether `bytes` at `offset`, which counts from byte 8, lie behind the `fixed`
 * first bytes of a message of `length` bytes. */
static bool lies_in(uint32_t offset, uint32_t bytes, uint32_t fixed, uint32_t length)
{
        uint64_t start = (uint64_t)offset + OFFSET_BASE;
        return start >= fixed && start <= length && bytes <= length - start;
}

enum rndis_result rndis_take_header(const void *message, uint32_t bytes, uint32_t *type,
                                    uint32_t *length)
{
        uint32_t words[2];
        if (bytes < RNDIS_HEADER_BYTES)
                return RNDIS_NO_HEADER;
        shared_copy_in(words, message, sizeof(words));
        if (words[1] < RNDIS_HEADER_BYTES)
                return RNDIS_LENGTH_TOO_SMALL;
        if (words[1] > bytes)
                return RNDIS_LENGTH_TOO_LARGE;
        *type = words[0];
        *length = words[1];
        return RNDIS_OK;
}

static uint16_t tci_of(uint32_t word)
{
        return (uint16_t)((word & VLAN_PRIORITY_MASK) << TCI_PRIORITY_SHIFT |
                          (word >> VLAN_DROP_BIT & 1) << TCI_DROP_BIT |
                          (word >> VLAN_ID_SHIFT & VLAN_ID_MASK));
}

/* Notes an element by the first word of its data. */
static void note_info(struct rndis_packet *packet, uint32_t type, uint32_t word)
{
        switch (type) {
        case INFO_CHECKSUM:
                packet->has_checksum = true;
                packet->checksum = word;
                break;
        case INFO_SEGMENT:
                packet->has_segment = true;
                packet->segment = word;
                break;
        case INFO_VLAN:
                packet->has_vlan = true;
                packet->vlan_tci = tci_of(word);
                break;
        case INFO_HASH:
                packet->has_hash = true;
                packet->hash = word;
                break;
        case INFO_HASH_INFO:
                packet->hash_info = word;
                break;
        case (uint32_t)INFO_PIECE:
                /* u8 version, u8 flags, u16 id */
                packet->has_piece = true;
                packet->piece_flags = (uint8_t)(word >> 8);
                packet->piece_id = (uint16_t)(word >> 16);
                break;
        default:
                break;
        }
}

/* Walks the list of per-packet info, `bytes` at `list`. Each element takes 12
 * bytes at least, so the loop ends. */
static enum rndis_result take_info(const uint8_t *list, uint32_t bytes, struct rndis_packet *packet)
{
        struct info_header header;
        uint32_t data;
        while (bytes != 0) {
                if (bytes < sizeof(header))
                        return RNDIS_INFO_SIZE;
                shared_copy_in(&header, list, sizeof(header));
                if (header.size < sizeof(header) || header.size > bytes ||
                    !is_aligned(header.size, sizeof(uint32_t)))
                        return RNDIS_INFO_SIZE;
                if (header.data_offset < sizeof(header) || header.data_offset > header.size)
                        return RNDIS_INFO_OFFSET;
                if (header.size - header.data_offset >= sizeof(data)) {
                        shared_copy_in(&data, list + header.data_offset, sizeof(data));
                        note_info(packet, header.type, data);
                }
                list += header.size;
                bytes -= header.size;
        }
        return RNDIS_OK;
}

enum rndis_result rndis_take_packet(const void *message, uint32_t length,
                                    struct rndis_packet *packet)
{
        const uint8_t *bytes = message;
        struct packet_fields fields;
        *packet = (struct rndis_packet){0};
        if (length < RNDIS_PACKET_HEADER_BYTES)
                return RNDIS_LENGTH_TOO_SMALL;
        shared_copy_in(&fields, bytes + OFFSET_BASE, sizeof(fields));
        if (!lies_in(fields.data_offset, fields.data_bytes, RNDIS_PACKET_HEADER_BYTES, length))
                return RNDIS_DATA_OUTSIDE;
        if (fields.data_bytes == 0)
                return RNDIS_DATA_EMPTY;
        if (fields.oob_bytes != 0 || fields.oob_count != 0 || fields.vc_handle != 0)
                return RNDIS_OOB_DATA;
        packet->data_offset = fields.data_offset + OFFSET_BASE;
        packet->data_bytes = fields.data_bytes;
        if (fields.info_bytes == 0)
                return RNDIS_OK;
        if (!lies_in(fields.info_offset, fields.info_bytes, RNDIS_PACKET_HEADER_BYTES, length))
                return RNDIS_INFO_OUTSIDE;
        return take_info(bytes + OFFSET_BASE + fields.info_offset, fields.info_bytes, packet);
}

/* How many words of fields follow type and length, 0 for a type that is not for guests. */
static uint32_t control_words(uint32_t type)
{
        switch (type) {
        case RNDIS_INITIALIZE | RNDIS_COMPLETE:
                return 11;
        case RNDIS_QUERY | RNDIS_COMPLETE:
                return 4;
        case RNDIS_SET | RNDIS_COMPLETE:
        case RNDIS_KEEPALIVE | RNDIS_COMPLETE:
                return 2;
        case RNDIS_INDICATE_STATUS:
                return 3;
        case RNDIS_KEEPALIVE:
                return 1;
        default:
                return 0;
        }
}
#define CONTROL_WORDS_MAX 11

/* Copies out the information of an answer: `bytes` at `offset`, behind `fixed`
 * bytes of header. */
static enum rndis_result take_information(const uint8_t *message, uint32_t length, uint32_t fixed,
                                          const uint32_t place[2], struct rndis_control *control)
{
        uint32_t bytes = place[0], offset = place[1];
        if (bytes == 0)
                return RNDIS_OK;
        if (!lies_in(offset, bytes, fixed, length))
                return RNDIS_INFORMATION_OUTSIDE;
        if (bytes > sizeof(control->information))
                return RNDIS_INFORMATION_TOO_LONG;
        shared_copy_in(control->information, message + OFFSET_BASE + offset, bytes);
        control->information_bytes = bytes;
        return RNDIS_OK;
}

enum rndis_result rndis_take_control(const void *message, uint32_t bytes,
                                     struct rndis_control *control)
{
        uint32_t words[2 + CONTROL_WORDS_MAX]; /* type and length in front */
        const uint32_t *fields = words + 2;
        control->type = control->request_id = control->status = 0;
        control->information_bytes = 0;
        if (bytes < RNDIS_HEADER_BYTES)
                return RNDIS_NO_HEADER;
        shared_copy_in(words, message, RNDIS_HEADER_BYTES);
        uint32_t type = words[0], length = words[1];
        uint32_t fixed = RNDIS_HEADER_BYTES + control_words(type) * (uint32_t)sizeof(uint32_t);
        if (length > bytes && type != RNDIS_INDICATE_STATUS)
                return RNDIS_LENGTH_TOO_LARGE;
        if (type == RNDIS_INDICATE_STATUS)
                length = bytes;
        if (length < fixed)
                return RNDIS_LENGTH_TOO_SMALL;
        shared_copy_in(&words[2], (const uint8_t *)message + RNDIS_HEADER_BYTES,
                       fixed - RNDIS_HEADER_BYTES);
        control->type = type;
        if (type == RNDIS_INDICATE_STATUS) {
                control->status = fields[0];
                return take_information(message, length, fixed, &fields[1], control);
        }
        if (fixed > RNDIS_HEADER_BYTES)
                control->request_id = fields[0];
        if (control_words(type) >= 2)
                control->status = fields[1];
        if (type == (RNDIS_INITIALIZE | RNDIS_COMPLETE)) {
                control->packets_max = fields[6];
                control->transfer_bytes_max = fields[7];
                control->alignment_log2 = fields[8];
        }
        if (type == (RNDIS_QUERY | RNDIS_COMPLETE) && control->status == RNDIS_STATUS_SUCCESS)
                return take_information(message, length, fixed, &fields[2], control);
        return RNDIS_OK;
}
