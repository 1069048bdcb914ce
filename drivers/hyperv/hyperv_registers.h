/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* hyperv_registers — numbers of the Hyper-V guest interface on x86-64: CPUID leaves, MSRs,
 * hypercalls, message and event pages. Facts: spec/vmbus.md, (g). */
#ifndef DRIVERS_HYPERV_HYPERV_REGISTERS_H
#define DRIVERS_HYPERV_HYPERV_REGISTERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* ---- CPUID (g.1) ---- */

enum { HYPERV_EAX = 0, HYPERV_EBX, HYPERV_ECX, HYPERV_EDX, HYPERV_REGISTER_COUNT };

#define HYPERV_LEAF_VENDOR 0x40000000u
#define HYPERV_LEAF_INTERFACE 0x40000001u
#define HYPERV_LEAF_VERSION 0x40000002u
#define HYPERV_LEAF_FEATURES 0x40000003u
#define HYPERV_LEAF_HINTS 0x40000004u
#define HYPERV_LEAF_LIMITS 0x40000005u
#define HYPERV_LEAF_ISOLATION 0x4000000cu
#define HYPERV_VENDOR_EBX 0x7263694du /* "Micr" */
#define HYPERV_VENDOR_ECX 0x666f736fu /* "osof" */
#define HYPERV_VENDOR_EDX 0x76482074u /* "t Hv" */
#define HYPERV_INTERFACE 0x31237648u  /* "Hv#1" */

#define HYPERV_FEATURE_REFERENCE_COUNTER_BIT 1 /* EAX */
#define HYPERV_FEATURE_SYNIC_BIT 2
#define HYPERV_FEATURE_HYPERCALL_BIT 5
#define HYPERV_FEATURE_VP_INDEX_BIT 6
#define HYPERV_FEATURE_REFERENCE_TSC_BIT 9
#define HYPERV_FEATURE_POST_MESSAGE_BIT 4 /* EBX */
#define HYPERV_FEATURE_SIGNAL_EVENT_BIT 5
#define HYPERV_FEATURE_ISOLATION_BIT 22
#define HYPERV_ISOLATION_TYPE_MASK 0xfu

/* ---- MSRs (g.2) ---- */

#define HYPERV_MSR_GUEST_OS_ID 0x40000000u
#define HYPERV_MSR_HYPERCALL 0x40000001u
#define HYPERV_MSR_VP_INDEX 0x40000002u
#define HYPERV_MSR_TIME_REF_COUNT 0x40000020u
#define HYPERV_MSR_REFERENCE_TSC 0x40000021u
#define HYPERV_MSR_SCONTROL 0x40000080u
#define HYPERV_MSR_SIEFP 0x40000082u
#define HYPERV_MSR_SIMP 0x40000083u
#define HYPERV_MSR_EOM 0x40000084u
#define HYPERV_MSR_SINT0 0x40000090u
#define HYPERV_MSR_SINT2 (HYPERV_MSR_SINT0 + 2)

/* Of every register that holds a page:
 * bit 0 enables, 63:12 are the page number, the others are kept. */
#define HYPERV_PAGE_ENABLE 1ull
#define HYPERV_PAGE_RESERVED_MASK 0xffeull
#define HYPERV_SCONTROL_ENABLE 1ull
#define HYPERV_SINT_VECTOR_MASK 0xffull
#define HYPERV_SINT_MASKED_BIT 16
#define HYPERV_SINT_AUTO_EOI_BIT 17
#define HYPERV_SINT_POLLING_BIT 18
#define HYPERV_SINT_PROXY_BIT 20

/* Open-source form; a type that nobody in the list has, and version 1 (g.2). */
#define HYPERV_GUEST_OS_ID (BIT_MASK(63) | 0x70ull << 56 | 1ull << 16)

/* ---- hypercalls (g.4, g.6) ---- */

#define HYPERV_CALL_POST_MESSAGE 0x005cull
#define HYPERV_CALL_SIGNAL_EVENT 0x005dull
#define HYPERV_CALL_FAST_BIT 16
#define HYPERV_STATUS_MASK 0xffffull
#define HYPERV_STATUS_SUCCESS 0x0
#define HYPERV_STATUS_INVALID_CODE 0x2
#define HYPERV_STATUS_INVALID_INPUT 0x3
#define HYPERV_STATUS_INSUFFICIENT_MEMORY 0xb
#define HYPERV_STATUS_INVALID_PORT_ID 0x11
#define HYPERV_STATUS_INVALID_CONNECTION_ID 0x12
#define HYPERV_STATUS_INSUFFICIENT_BUFFERS 0x13

#define HYPERV_MESSAGE_BYTES_MAX 240u
#define HYPERV_MESSAGE_TYPE_VMBUS 1u

struct hyperv_post_message {
        uint32_t connection_id;
        uint32_t zero;
        uint32_t message_type;
        uint32_t payload_bytes;
        uint8_t payload[HYPERV_MESSAGE_BYTES_MAX];
};

struct hyperv_signal_event {
        uint32_t connection_id;
        uint16_t flag;
        uint16_t zero;
};

/* ---- message page and event page (g.5) ---- */

#define HYPERV_SINTS 16
#define HYPERV_SINT_VMBUS 2
#define HYPERV_EVENT_FLAGS 2048
#define HYPERV_MESSAGE_PENDING 1u /* in flags */

struct hyperv_message {
        uint32_t type; /* 0: the slot is empty */
        uint8_t payload_bytes;
        uint8_t flags;
        uint16_t zero;
        uint64_t sender;
        uint8_t payload[HYPERV_MESSAGE_BYTES_MAX];
};

struct hyperv_message_page {
        struct hyperv_message slots[HYPERV_SINTS];
};

struct hyperv_event_page {
        uint64_t flags[HYPERV_SINTS][HYPERV_EVENT_FLAGS / 64];
};

struct hyperv_tsc_page { /* g.8 */
        uint32_t sequence; /* 0: not valid now */
        uint32_t reserved;
        uint64_t scale;
        int64_t offset;
};

_Static_assert(sizeof(struct hyperv_post_message) == 256, "g.4");
_Static_assert(offsetof(struct hyperv_post_message, payload) == 16, "g.4");
_Static_assert(sizeof(struct hyperv_signal_event) == 8, "g.4");
_Static_assert(sizeof(struct hyperv_message) == 256, "g.5");
_Static_assert(offsetof(struct hyperv_message, flags) == 5, "g.5");
_Static_assert(offsetof(struct hyperv_message, sender) == 8, "g.5");
_Static_assert(offsetof(struct hyperv_message, payload) == 16, "g.5");
_Static_assert(sizeof(struct hyperv_message_page) == 4096, "g.5");
_Static_assert(sizeof(struct hyperv_event_page) == 4096, "g.5");
_Static_assert(offsetof(struct hyperv_tsc_page, scale) == 8, "g.8");
_Static_assert(offsetof(struct hyperv_tsc_page, offset) == 16, "g.8");

#endif
