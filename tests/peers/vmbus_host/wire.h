/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* wire — the channel messages of VMBus as the host side sees them.
 *
 * Written from the description of the protocol alone; shares nothing with the guest's client, so
 * that a mistake in one of them does not hide in the other. Little-endian. GUIDs are bytes in wire
 * order. Relies on base/ only.
 * Facts       spec/vmbus.md, (e) */
#ifndef TESTS_PEERS_VMBUS_HOST_WIRE_H
#define TESTS_PEERS_VMBUS_HOST_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_MESSAGE_BYTES_MAX 240u
#define WIRE_GUID_BYTES 16u
#define WIRE_USER_BYTES 120u

/* ---- e.1 ---- */

#define WIRE_CONNECTION_OLD 1u     /* messages, versions before 5.0 */
#define WIRE_CONNECTION_CONTACT 4u /* InitiateContact from 5.0 on */
#define WIRE_CHANNEL_MAX 2047u
#define WIRE_EVENT_FLAGS 2048u
#define WIRE_SINT 2u
#define WIRE_SINTS 16u

/* ---- e.2 ---- */

enum wire_type {
        WIRE_OFFER_CHANNEL = 1,
        WIRE_RESCIND_CHANNEL_OFFER,
        WIRE_REQUEST_OFFERS,
        WIRE_ALL_OFFERS_DELIVERED,
        WIRE_OPEN_CHANNEL,
        WIRE_OPEN_RESULT,
        WIRE_CLOSE_CHANNEL,
        WIRE_GPADL_HEADER,
        WIRE_GPADL_BODY,
        WIRE_GPADL_CREATED,
        WIRE_GPADL_TEARDOWN,
        WIRE_GPADL_TORNDOWN,
        WIRE_REL_ID_RELEASED,
        WIRE_INITIATE_CONTACT,
        WIRE_VERSION_RESPONSE,
        WIRE_UNLOAD,
        WIRE_UNLOAD_COMPLETE,
        WIRE_OPEN_RESERVED_CHANNEL,
        WIRE_CLOSE_RESERVED_CHANNEL,
        WIRE_CLOSE_RESERVED_RESPONSE,
        WIRE_TL_CONNECT_REQUEST,
        WIRE_MODIFY_CHANNEL,
        WIRE_TL_CONNECT_RESULT,
        WIRE_MODIFY_CHANNEL_RESPONSE,
        WIRE_MODIFY_CONNECTION,
        WIRE_MODIFY_CONNECTION_RESPONSE,
        WIRE_PAUSE,
        WIRE_PAUSE_RESPONSE,
        WIRE_RESUME,
        WIRE_TYPES, /* one more than the last */
};

struct wire_header {
        uint32_t type;
        uint32_t zero;
};

/* ---- e.3 ---- */

#define WIRE_VERSION(major, minor) ((uint32_t)(major) << 16 | (minor))
#define WIRE_VERSION_3_0 WIRE_VERSION(3, 0)
#define WIRE_VERSION_4_0 WIRE_VERSION(4, 0)
#define WIRE_VERSION_4_1 WIRE_VERSION(4, 1)
#define WIRE_VERSION_5_0 WIRE_VERSION(5, 0)
#define WIRE_VERSION_5_1 WIRE_VERSION(5, 1)
#define WIRE_VERSION_5_2 WIRE_VERSION(5, 2)
#define WIRE_VERSION_5_3 WIRE_VERSION(5, 3)
#define WIRE_VERSION_6_0 WIRE_VERSION(6, 0)

#define WIRE_FEATURE_SIGNAL_PARAMETERS 0x01u
#define WIRE_FEATURE_INTERRUPT_REDIRECTION 0x02u
#define WIRE_FEATURE_MODIFY_CONNECTION 0x04u
#define WIRE_FEATURE_CLIENT_ID 0x08u
#define WIRE_FEATURE_CONFIDENTIAL 0x10u
#define WIRE_FEATURE_PAUSE 0x20u
#define WIRE_FEATURE_SERVER_MONITOR_PAGES 0x40u
#define WIRE_FEATURE_GPA_PINNING 0x80u

struct wire_initiate_contact {
        struct wire_header header;
        uint32_t version;
        uint32_t target_vp;
        uint8_t sint; /* from 5.0; before, 16 to 23 are the address of the interrupt page */
        uint8_t vtl;  /* from 5.1 */
        uint8_t zero[2];
        uint32_t features; /* from 6.0 */
        uint64_t parent_to_child;
        uint64_t child_to_parent;
        uint8_t client[WIRE_GUID_BYTES]; /* with WIRE_FEATURE_CLIENT_ID */
};
#define WIRE_INITIATE_CONTACT_BYTES 40u

enum wire_connection_state {
        WIRE_CONNECTION_OK = 0,
        WIRE_CONNECTION_LOW_RESOURCES = 1,
        WIRE_CONNECTION_FAILED = 2,
};

struct wire_version_response {
        struct wire_header header;
        uint8_t supported;
        uint8_t state;
        uint16_t zero;
        uint32_t connection; /* from 5.0; before, the version */
        uint32_t features;   /* 6.0 */
        uint32_t zero1;
        uint64_t parent_to_child; /* with WIRE_FEATURE_SERVER_MONITOR_PAGES */
        uint64_t child_to_parent;
};
#define WIRE_VERSION_RESPONSE_BYTES 16u
#define WIRE_VERSION_RESPONSE_2_BYTES 20u

/* ---- e.4 ---- */

#define WIRE_OFFER_ENUMERATE 0x0001u
#define WIRE_OFFER_PIPE 0x0010u
#define WIRE_MONITOR_NONE 0xffu
#define WIRE_PIPE_BYTES 0u /* first word of the user data in pipe mode */
#define WIRE_PIPE_MESSAGES 4u

struct wire_offer_channel {
        struct wire_header header;
        uint8_t interface[WIRE_GUID_BYTES];
        uint8_t instance[WIRE_GUID_BYTES];
        uint8_t reserved[16];
        uint16_t flags;
        uint16_t mmio_mib;
        uint8_t user[WIRE_USER_BYTES];
        uint16_t subchannel_index;
        uint16_t mmio_optional_mib;
        uint32_t channel;
        uint8_t monitor;
        uint8_t monitor_valid;
        uint16_t dedicated;
        uint32_t connection;
};

/* RescindChannelOffer, CloseChannel, RelIdReleased, CloseReservedResponse. */
struct wire_channel {
        struct wire_header header;
        uint32_t channel;
};

/* ---- e.5 ---- */

#define WIRE_STATUS_OK 0u
#define WIRE_STATUS_UNSUCCESSFUL 0x8000ffffu
#define WIRE_STATUS_CONNECTION_REFUSED 0xc0000236u

/* ---- e.6 ---- */

struct wire_gpadl_header {
        struct wire_header header;
        uint32_t channel;
        uint32_t gpadl;
        uint16_t range_bytes; /* of the whole list, all messages together */
        uint16_t range_count;
        /* words of the list follow, at 20 */
};
#define WIRE_GPADL_HEADER_WORDS_MAX 27u

struct wire_gpadl_body {
        struct wire_header header;
        uint32_t number; /* not interpreted */
        uint32_t gpadl;
        /* words, at 16 */
};
#define WIRE_GPADL_BODY_WORDS_MAX 28u
/* One range of one page. */
#define WIRE_GPADL_WORDS_MIN 2u

struct wire_gpadl_created {
        struct wire_header header;
        uint32_t channel;
        uint32_t gpadl;
        uint32_t status;
};

struct wire_gpadl_teardown {
        struct wire_header header;
        uint32_t channel;
        uint32_t gpadl;
};

struct wire_gpadl_torndown {
        struct wire_header header;
        uint32_t gpadl;
};

/* ---- e.7 ---- */

#define WIRE_VP_NONE 0xffffffffu

struct wire_open_channel {
        struct wire_header header;
        uint32_t channel;
        uint32_t open_id;
        uint32_t gpadl;
        uint32_t target_vp;
        uint32_t downstream_page;
        uint8_t user[WIRE_USER_BYTES];
        uint32_t connection; /* from here on: OpenChannel2 */
        uint16_t event_flag;
        uint16_t redirect;
};
#define WIRE_OPEN_CHANNEL_BYTES 148u
#define WIRE_OPEN_CHANNEL_2_BYTES 156u

struct wire_open_result {
        struct wire_header header;
        uint32_t channel;
        uint32_t open_id;
        uint32_t status;
};

struct wire_modify_channel {
        struct wire_header header;
        uint32_t channel;
        uint32_t target_vp;
};

struct wire_modify_channel_response {
        struct wire_header header;
        uint32_t channel;
        uint32_t status;
};

struct wire_open_reserved {
        struct wire_header header;
        uint32_t channel;
        uint32_t target_vp;
        uint32_t target_sint;
        uint32_t gpadl;
        uint32_t downstream_page;
};

struct wire_close_reserved {
        struct wire_header header;
        uint32_t channel;
        uint32_t target_vp;
        uint32_t target_sint;
};

/* ---- e.8 ---- */

struct wire_modify_connection {
        struct wire_header header;
        uint64_t parent_to_child;
        uint64_t child_to_parent;
};

struct wire_modify_connection_response {
        struct wire_header header;
        uint8_t state;
};
#define WIRE_MODIFY_CONNECTION_RESPONSE_BYTES 9u

struct wire_tl_connect {
        struct wire_header header;
        uint8_t endpoint[WIRE_GUID_BYTES];
        uint8_t service[WIRE_GUID_BYTES];
        uint8_t silo[WIRE_GUID_BYTES]; /* may be there from 5.2 */
};
#define WIRE_TL_CONNECT_BYTES 40u

struct wire_tl_result {
        struct wire_header header;
        uint8_t endpoint[WIRE_GUID_BYTES];
        uint8_t service[WIRE_GUID_BYTES];
        uint32_t status;
};

_Static_assert(sizeof(struct wire_initiate_contact) == 56, "e.3");
_Static_assert(offsetof(struct wire_initiate_contact, sint) == 16, "e.3");
_Static_assert(offsetof(struct wire_initiate_contact, parent_to_child) == 24, "e.3");
_Static_assert(sizeof(struct wire_version_response) == 40, "e.3");
_Static_assert(offsetof(struct wire_version_response, connection) == 12, "e.3");
_Static_assert(offsetof(struct wire_version_response, features) == 16, "e.3");
_Static_assert(sizeof(struct wire_offer_channel) == 196, "e.4");
_Static_assert(offsetof(struct wire_offer_channel, user) == 60, "e.4");
_Static_assert(offsetof(struct wire_offer_channel, channel) == 184, "e.4");
_Static_assert(offsetof(struct wire_offer_channel, connection) == 192, "e.4");
_Static_assert(sizeof(struct wire_channel) == 12, "e.4");
_Static_assert(sizeof(struct wire_gpadl_header) == 20, "e.6");
_Static_assert(sizeof(struct wire_gpadl_body) == 16, "e.6");
_Static_assert(sizeof(struct wire_gpadl_created) == 20, "e.6");
_Static_assert(sizeof(struct wire_gpadl_teardown) == 16, "e.6");
_Static_assert(sizeof(struct wire_gpadl_torndown) == 12, "e.6");
_Static_assert(sizeof(struct wire_open_channel) == WIRE_OPEN_CHANNEL_2_BYTES, "e.7");
_Static_assert(offsetof(struct wire_open_channel, connection) == WIRE_OPEN_CHANNEL_BYTES, "e.7");
_Static_assert(sizeof(struct wire_open_result) == 20, "e.7");
_Static_assert(sizeof(struct wire_modify_channel) == 16, "e.7");
_Static_assert(sizeof(struct wire_modify_channel_response) == 16, "e.7");
_Static_assert(sizeof(struct wire_open_reserved) == 28, "e.7");
_Static_assert(sizeof(struct wire_close_reserved) == 20, "e.7");
_Static_assert(sizeof(struct wire_modify_connection) == 24, "e.8");
_Static_assert(sizeof(struct wire_tl_connect) == 56, "e.8");
_Static_assert(sizeof(struct wire_tl_result) == 44, "e.8");

#endif
