/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* What the client knows as tables: messages, faults, the life of a channel. Facts: spec/vmbus.md,
 * e.2; vmbus.h for the arrows. */
#include "drivers/hyperv/vmbus_protocol.h"

#include "base/bytes.h"

/* ---- messages ---- */

#define ALWAYS 0u /* valid before a version is agreed */
#define AGREED 1u /* in every version, once there is one */

/* Of each type that a host sends; bytes 0: a type that guests send. */
static const struct {
        uint32_t version_min;
        uint8_t feature; /* that must be agreed; 0: none */
        uint8_t bytes;
} from_host[VMBUS_MESSAGE_TYPE_COUNT] = {
        [VMBUS_OFFER_CHANNEL] = {AGREED, 0, sizeof(struct vmbus_offer_message)},
        [VMBUS_RESCIND_OFFER] = {AGREED, 0, sizeof(struct vmbus_channel_message)},
        [VMBUS_ALL_OFFERS_DELIVERED] = {AGREED, 0, sizeof(struct vmbus_header_message)},
        [VMBUS_OPEN_RESULT] = {AGREED, 0, sizeof(struct vmbus_open_result_message)},
        [VMBUS_GPADL_CREATED] = {AGREED, 0, sizeof(struct vmbus_gpadl_created_message)},
        [VMBUS_GPADL_TORNDOWN] = {AGREED, 0, sizeof(struct vmbus_gpadl_torndown_message)},
        [VMBUS_VERSION_RESPONSE] = {ALWAYS, 0, VMBUS_VERSION_BYTES_MIN},
        [VMBUS_UNLOAD_COMPLETE] = {AGREED, 0, sizeof(struct vmbus_header_message)},
        [VMBUS_CLOSE_RESERVED_RESPONSE] = {VMBUS_VERSION_4_0, 0, 12},
        [VMBUS_TL_CONNECT_RESULT] = {VMBUS_VERSION_4_1, 0, 44},
        [VMBUS_MODIFY_CHANNEL_RESPONSE] = {VMBUS_VERSION_5_3, 0,
                                           sizeof(struct vmbus_modify_response_message)},
        [VMBUS_MODIFY_CONNECTION_RESPONSE] = {VMBUS_VERSION_6_0, VMBUS_FEATURE_MODIFY_CONNECTION,
                                              9},
        [VMBUS_PAUSE_RESPONSE] = {VMBUS_VERSION_6_0, VMBUS_FEATURE_PAUSE_RESUME,
                                  sizeof(struct vmbus_header_message)},
};

enum vmbus_fault_rule vmbus_protocol_check(const struct vmbus_message *message,
                                           const struct vmbus_agreement *agreed)
{
        struct vmbus_header_message header;
        if (message->bytes < sizeof(header) || message->bytes > VMBUS_MESSAGE_BYTES_MAX)
                return VMBUS_FAULT_HEADER;
        memcpy(&header, message->payload, sizeof(header));
        if (header.type == 0 || header.type >= VMBUS_MESSAGE_TYPE_COUNT)
                return VMBUS_FAULT_TYPE;
        if (from_host[header.type].bytes == 0)
                return VMBUS_FAULT_DIRECTION;
        if (agreed->version < from_host[header.type].version_min ||
            (agreed->features & from_host[header.type].feature) != from_host[header.type].feature)
                return VMBUS_FAULT_VERSION;
        if (message->bytes < from_host[header.type].bytes)
                return VMBUS_FAULT_LENGTH;
        return VMBUS_FAULT_NONE;
}

/* ---- faults ---- */

static const struct {
        const char *name;
        bool fatal;
} faults[] = {
#define FAULT_(name, number, fatal, rule) [name] = {#name, fatal},
        VMBUS_FAULT_LIST(FAULT_)
#undef FAULT_
};

const char *vmbus_fault_name(enum vmbus_fault_rule rule)
{
        return rule < VMBUS_FAULT_COUNT ? faults[rule].name : "VMBUS_FAULT_?";
}

bool vmbus_fault_is_fatal(enum vmbus_fault_rule rule)
{
        return faults[rule].fatal;
}

/* ---- states ---- */

#define TO(state) (VMBUS_CHANNEL_##state + 1)

/* 0: no arrow. */
static const uint8_t arrows[VMBUS_CHANNEL_STATE_COUNT][VMBUS_EVENT_COUNT] = {
        [VMBUS_CHANNEL_FREE] = {[VMBUS_EVENT_OFFER] = TO(OFFERED)},
        [VMBUS_CHANNEL_OFFERED] = {[VMBUS_EVENT_OPEN] = TO(PREPARING),
                                   [VMBUS_EVENT_RESCIND] = TO(RESCINDED)},
        [VMBUS_CHANNEL_PREPARING] = {[VMBUS_EVENT_CREATED] = TO(OPENING),
                                     [VMBUS_EVENT_REFUSED] = TO(OFFERED),
                                     [VMBUS_EVENT_REFUSED_RESCINDED] = TO(RESCINDED),
                                     [VMBUS_EVENT_CLOSE] = TO(CLOSING),
                                     [VMBUS_EVENT_RESCIND] = TO(PREPARING)},
        [VMBUS_CHANNEL_OPENING] = {[VMBUS_EVENT_OPENED] = TO(OPEN),
                                   [VMBUS_EVENT_REFUSED] = TO(CLOSING),
                                   [VMBUS_EVENT_RESCIND] = TO(OPENING)},
        [VMBUS_CHANNEL_OPEN] = {[VMBUS_EVENT_CLOSE] = TO(CLOSING),
                                [VMBUS_EVENT_RESCIND] = TO(REVOKED)},
        [VMBUS_CHANNEL_CLOSING] = {[VMBUS_EVENT_TORN] = TO(OFFERED),
                                   [VMBUS_EVENT_TORN_RESCINDED] = TO(RESCINDED),
                                   [VMBUS_EVENT_RESCIND] = TO(CLOSING)},
        [VMBUS_CHANNEL_REVOKED] = {[VMBUS_EVENT_CLOSE] = TO(CLOSING)},
        [VMBUS_CHANNEL_RESCINDED] = {[VMBUS_EVENT_RELEASED] = TO(FREE)},
};

enum vmbus_channel_state vmbus_channel_next(enum vmbus_channel_state state,
                                            enum vmbus_channel_event event)
{
        uint8_t to = arrows[state][event];
        return to == 0 ? VMBUS_CHANNEL_STATE_COUNT : (enum vmbus_channel_state)(to - 1);
}

static const char *const channel_states[] = {"free",    "offered", "preparing", "opening",
                                             "open",    "closing", "revoked",   "rescinded"};
static const char *const states[] = {"idle",   "contacting", "connected",
                                     "paused", "unloading",  "broken"};
_Static_assert(ARRAY_COUNT(channel_states) == VMBUS_CHANNEL_STATE_COUNT, "a name each");
_Static_assert(ARRAY_COUNT(states) == VMBUS_STATE_COUNT, "a name each");

const char *vmbus_channel_state_name(enum vmbus_channel_state state)
{
        return state < VMBUS_CHANNEL_STATE_COUNT ? channel_states[state] : "?";
}

const char *vmbus_state_name(enum vmbus_state state)
{
        return state < VMBUS_STATE_COUNT ? states[state] : "?";
}

/* ---- GUIDs ---- */

bool vmbus_guid_equal(const struct vmbus_guid *left, const struct vmbus_guid *right)
{
        return memcmp(left, right, sizeof(*left)) == 0;
}

void vmbus_guid_text(const struct vmbus_guid *guid, char text[VMBUS_GUID_TEXT_BYTES])
{
        static const char digits[] = "0123456789abcdef";
        /* The bytes in the order in which they are written; a dash in front of some. */
        static const uint8_t order[] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
        static const uint32_t dashes = 1u << 4 | 1u << 6 | 1u << 8 | 1u << 10;
        for (unsigned i = 0; i < sizeof(order); i++) {
                uint8_t byte = guid->bytes[order[i]];
                if ((dashes >> i & 1) != 0)
                        *text++ = '-';
                *text++ = digits[byte >> 4];
                *text++ = digits[byte & 0xf];
        }
        *text = '\0';
}
