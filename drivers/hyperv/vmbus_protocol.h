/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_protocol — VMBus channel messages as they stand on the wire, and the one table against
 * which received ones are held.
 *
 * Everything is little-endian and packed as the offsets below say. A message may be longer than its
 * layout (newer peers append fields); what is behind it is ignored, except where a longer layout is
 * defined here.
 * Facts: spec/vmbus.md, (e). */
#ifndef DRIVERS_HYPERV_VMBUS_PROTOCOL_H
#define DRIVERS_HYPERV_VMBUS_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "drivers/hyperv/vmbus.h"

/* ---- versions and features (e.3) ---- */

#define VMBUS_VERSION(major, minor) ((uint32_t)(major) << 16 | (uint32_t)(minor))
#define VMBUS_VERSION_3_0 VMBUS_VERSION(3, 0)
#define VMBUS_VERSION_4_0 VMBUS_VERSION(4, 0)
#define VMBUS_VERSION_4_1 VMBUS_VERSION(4, 1)
#define VMBUS_VERSION_5_0 VMBUS_VERSION(5, 0)
#define VMBUS_VERSION_5_1 VMBUS_VERSION(5, 1)
#define VMBUS_VERSION_5_2 VMBUS_VERSION(5, 2)
#define VMBUS_VERSION_5_3 VMBUS_VERSION(5, 3)
#define VMBUS_VERSION_6_0 VMBUS_VERSION(6, 0)

#define VMBUS_FEATURE_SIGNAL_PARAMETERS 0x01u
#define VMBUS_FEATURE_REDIRECT 0x02u
#define VMBUS_FEATURE_MODIFY_CONNECTION 0x04u
#define VMBUS_FEATURE_CLIENT_ID 0x08u
#define VMBUS_FEATURE_CONFIDENTIAL 0x10u
#define VMBUS_FEATURE_PAUSE_RESUME 0x20u
#define VMBUS_FEATURE_SERVER_MONITOR_PAGES 0x40u
#define VMBUS_FEATURE_GPA_PINNING 0x80u
/* Those that this client can live with; of the others it never asks for any. */
#define VMBUS_FEATURES_KNOWN                                                                    \
        (VMBUS_FEATURE_SIGNAL_PARAMETERS | VMBUS_FEATURE_REDIRECT | VMBUS_FEATURE_CLIENT_ID |   \
         VMBUS_FEATURE_PAUSE_RESUME)

#define VMBUS_CONNECTION_ID_OLD 1u     /* messages, below 5.0 */
#define VMBUS_CONNECTION_ID_CONTACT 4u /* InitiateContact, from 5.0 */
#define VMBUS_SINT 2u
#define VMBUS_MESSAGE_TYPE 1u /* of the hypervisor: VMBus */
#define VMBUS_VP_DISABLED UINT32_MAX
#define VMBUS_STATUS_SUCCESS 0u

/* ---- types (e.2) ---- */

enum vmbus_message_type {
        VMBUS_OFFER_CHANNEL = 1,
        VMBUS_RESCIND_OFFER = 2,
        VMBUS_REQUEST_OFFERS = 3,
        VMBUS_ALL_OFFERS_DELIVERED = 4,
        VMBUS_OPEN_CHANNEL = 5,
        VMBUS_OPEN_RESULT = 6,
        VMBUS_CLOSE_CHANNEL = 7,
        VMBUS_GPADL_HEADER = 8,
        VMBUS_GPADL_BODY = 9,
        VMBUS_GPADL_CREATED = 10,
        VMBUS_GPADL_TEARDOWN = 11,
        VMBUS_GPADL_TORNDOWN = 12,
        VMBUS_RELID_RELEASED = 13,
        VMBUS_INITIATE_CONTACT = 14,
        VMBUS_VERSION_RESPONSE = 15,
        VMBUS_UNLOAD = 16,
        VMBUS_UNLOAD_COMPLETE = 17,
        VMBUS_OPEN_RESERVED = 18,
        VMBUS_CLOSE_RESERVED = 19,
        VMBUS_CLOSE_RESERVED_RESPONSE = 20,
        VMBUS_TL_CONNECT_REQUEST = 21,
        VMBUS_MODIFY_CHANNEL = 22,
        VMBUS_TL_CONNECT_RESULT = 23,
        VMBUS_MODIFY_CHANNEL_RESPONSE = 24,
        VMBUS_MODIFY_CONNECTION = 25,
        VMBUS_MODIFY_CONNECTION_RESPONSE = 26,
        VMBUS_PAUSE = 27,
        VMBUS_PAUSE_RESPONSE = 28,
        VMBUS_RESUME = 29,
        VMBUS_MESSAGE_TYPE_COUNT
};

/* ---- layouts ---- */

struct vmbus_header_message {
        uint32_t type;
        uint32_t zero;
};

/* RescindChannelOffer, CloseChannel, RelIdReleased */
struct vmbus_channel_message {
        struct vmbus_header_message header;
        uint32_t channel_id;
};

struct PACKED vmbus_offer_message {
        struct vmbus_header_message header;
        struct vmbus_guid interface;
        struct vmbus_guid instance;
        uint8_t reserved[16];
        uint16_t flags;
        uint16_t mmio_mib;
        uint8_t user_data[VMBUS_USER_BYTES];
        uint16_t subchannel_index;
        uint16_t mmio_optional_mib;
        uint32_t channel_id;
        uint8_t monitor_id;
        uint8_t monitor_valid; /* bit 0 */
        uint16_t dedicated_interrupt; /* bit 0 */
        uint32_t connection_id;
};

struct vmbus_open_message {
        struct vmbus_header_message header;
        uint32_t channel_id;
        uint32_t open_id;
        uint32_t ring_gpadl;
        uint32_t target_vp;
        uint32_t downstream_page;
        uint8_t user_data[VMBUS_USER_BYTES];
        /* OpenChannel2: with VMBUS_FEATURE_SIGNAL_PARAMETERS or _REDIRECT */
        uint32_t connection_id;
        uint16_t event_flag;
        uint16_t flags; /* bit 0: redirect */
};
#define VMBUS_OPEN_BYTES 148u
#define VMBUS_OPEN2_BYTES 156u

struct vmbus_open_result_message {
        struct vmbus_header_message header;
        uint32_t channel_id;
        uint32_t open_id;
        uint32_t status;
};

#define VMBUS_GPADL_HEADER_BYTES 20u
#define VMBUS_GPADL_BODY_BYTES 16u
#define VMBUS_GPADL_HEADER_WORDS 27u /* the range's header and 26 page numbers */
#define VMBUS_GPADL_BODY_WORDS 28u
struct PACKED vmbus_gpadl_header_message {
        struct vmbus_header_message header;
        uint32_t channel_id;
        uint32_t handle;
        uint16_t range_bytes; /* of the whole list, in all messages */
        uint16_t range_count;
        uint64_t words[VMBUS_GPADL_HEADER_WORDS];
};

struct vmbus_gpadl_body_message {
        struct vmbus_header_message header;
        uint32_t number; /* 1, 2, ...: nobody looks at it */
        uint32_t handle;
        uint64_t words[VMBUS_GPADL_BODY_WORDS];
};

struct vmbus_gpadl_created_message {
        struct vmbus_header_message header;
        uint32_t channel_id;
        uint32_t handle;
        uint32_t status;
};

struct vmbus_gpadl_teardown_message {
        struct vmbus_header_message header;
        uint32_t channel_id;
        uint32_t handle;
};

struct vmbus_gpadl_torndown_message {
        struct vmbus_header_message header;
        uint32_t handle;
};

struct vmbus_contact_message {
        struct vmbus_header_message header;
        uint32_t version;
        uint32_t target_vp; /* from 3.0 */
        uint8_t sint;       /* from 5.0; before: interrupt page, used below 2.4 only */
        uint8_t vtl;        /* from 5.1 */
        uint16_t zero;
        uint32_t features; /* from 6.0 */
        uint64_t monitor_to_guest_pa, monitor_to_host_pa; /* both 0: none */
        struct vmbus_guid client_id; /* with VMBUS_FEATURE_CLIENT_ID */
};
#define VMBUS_CONTACT_BYTES 40u
#define VMBUS_CONTACT2_BYTES 56u

struct vmbus_version_message {
        struct vmbus_header_message header;
        uint8_t supported;
        uint8_t state; /* 0: success, 1: low resources */
        uint16_t zero;
        uint32_t connection_id; /* from 5.0 */
        uint32_t features;      /* 6.0 */
};
#define VMBUS_VERSION_BYTES_MIN 9u /* older servers leave the rest out (e.3) */
#define VMBUS_VERSION_BYTES 16u
#define VMBUS_VERSION2_BYTES 20u
#define VMBUS_CONNECTION_LOW_RESOURCES 1u

struct vmbus_modify_message {
        struct vmbus_header_message header;
        uint32_t channel_id;
        uint32_t target_vp;
};

struct vmbus_modify_response_message {
        struct vmbus_header_message header;
        uint32_t channel_id;
        uint32_t status;
};

#define VMBUS_AT(type, field, offset) \
        _Static_assert(offsetof(struct type, field) == (offset), #type " " #field)
_Static_assert(sizeof(struct vmbus_header_message) == 8, "e.1");
_Static_assert(sizeof(struct vmbus_channel_message) == 12, "e.2");
_Static_assert(sizeof(struct vmbus_offer_message) == 196, "e.4");
VMBUS_AT(vmbus_offer_message, instance, 24);
VMBUS_AT(vmbus_offer_message, flags, 56);
VMBUS_AT(vmbus_offer_message, mmio_mib, 58);
VMBUS_AT(vmbus_offer_message, user_data, 60);
VMBUS_AT(vmbus_offer_message, subchannel_index, 180);
VMBUS_AT(vmbus_offer_message, mmio_optional_mib, 182);
VMBUS_AT(vmbus_offer_message, channel_id, 184);
VMBUS_AT(vmbus_offer_message, monitor_id, 188);
VMBUS_AT(vmbus_offer_message, monitor_valid, 189);
VMBUS_AT(vmbus_offer_message, dedicated_interrupt, 190);
VMBUS_AT(vmbus_offer_message, connection_id, 192);
_Static_assert(sizeof(struct vmbus_open_message) == VMBUS_OPEN2_BYTES, "e.7");
VMBUS_AT(vmbus_open_message, open_id, 12);
VMBUS_AT(vmbus_open_message, ring_gpadl, 16);
VMBUS_AT(vmbus_open_message, target_vp, 20);
VMBUS_AT(vmbus_open_message, downstream_page, 24);
VMBUS_AT(vmbus_open_message, user_data, 28);
VMBUS_AT(vmbus_open_message, connection_id, VMBUS_OPEN_BYTES);
VMBUS_AT(vmbus_open_message, event_flag, 152);
VMBUS_AT(vmbus_open_message, flags, 154);
_Static_assert(sizeof(struct vmbus_open_result_message) == 20, "e.7");
VMBUS_AT(vmbus_open_result_message, status, 16);
_Static_assert(sizeof(struct vmbus_gpadl_header_message) == 236, "e.6");
VMBUS_AT(vmbus_gpadl_header_message, range_bytes, 16);
VMBUS_AT(vmbus_gpadl_header_message, range_count, 18);
VMBUS_AT(vmbus_gpadl_header_message, words, VMBUS_GPADL_HEADER_BYTES);
_Static_assert(sizeof(struct vmbus_gpadl_body_message) == VMBUS_MESSAGE_BYTES_MAX, "e.6");
VMBUS_AT(vmbus_gpadl_body_message, handle, 12);
VMBUS_AT(vmbus_gpadl_body_message, words, VMBUS_GPADL_BODY_BYTES);
_Static_assert(sizeof(struct vmbus_gpadl_created_message) == 20, "e.6");
VMBUS_AT(vmbus_gpadl_created_message, handle, 12);
VMBUS_AT(vmbus_gpadl_created_message, status, 16);
_Static_assert(sizeof(struct vmbus_gpadl_teardown_message) == 16, "e.6");
_Static_assert(sizeof(struct vmbus_gpadl_torndown_message) == 12, "e.6");
_Static_assert(sizeof(struct vmbus_contact_message) == VMBUS_CONTACT2_BYTES, "e.3");
VMBUS_AT(vmbus_contact_message, target_vp, 12);
VMBUS_AT(vmbus_contact_message, sint, 16);
VMBUS_AT(vmbus_contact_message, vtl, 17);
VMBUS_AT(vmbus_contact_message, features, 20);
VMBUS_AT(vmbus_contact_message, monitor_to_guest_pa, 24);
VMBUS_AT(vmbus_contact_message, client_id, VMBUS_CONTACT_BYTES);
_Static_assert(sizeof(struct vmbus_version_message) == VMBUS_VERSION2_BYTES, "e.3");
VMBUS_AT(vmbus_version_message, state, 9);
VMBUS_AT(vmbus_version_message, connection_id, 12);
VMBUS_AT(vmbus_version_message, features, 16);
_Static_assert(sizeof(struct vmbus_modify_message) == 16, "e.7");
_Static_assert(sizeof(struct vmbus_modify_response_message) == 16, "e.7");
#undef VMBUS_AT

/* ---- the table ---- */

/* What is agreed when a message comes. */
struct vmbus_agreement {
        uint32_t version; /* 0: nothing yet */
        uint32_t features;
};

/* Holds a received message against type, direction, version and length, in this order.
 *   returns  VMBUS_FAULT_NONE, or the first rule that it breaks */
enum vmbus_fault_rule vmbus_protocol_check(const struct vmbus_message *message,
                                           const struct vmbus_agreement *agreed);

#endif
