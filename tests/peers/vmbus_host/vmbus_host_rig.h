/* SPDX-License-Identifier: MIT */
/* Copyright (c) 2026 The Paravane authors */
/* vmbus_host_rig — a host with one network card, for tests of a guest's driver. It shows nothing of
 * the protocol: the driver and the host have written down the same messages twice, on purpose and
 * under the same names, so no file can include both.
 *
 * Owner       one rig, static
 * Context     as vmbus_host.h: one caller at a time */
#ifndef TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_RIG_H
#define TESTS_PEERS_VMBUS_HOST_VMBUS_HOST_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "tests/peers/vmbus_host/vmbus_host_lie.h"

/* As struct vmbus_host_ops and struct vmbus_host_frame_port. */
struct vmbus_host_rig_ops {
        void *(*map)(uint64_t page_number);
        bool (*post)(const void *message, uint32_t bytes);
        void (*signal)(uint32_t event_flag);
        void (*give)(const void *frame, uint32_t bytes);
        uint32_t (*take)(void *frame, uint32_t capacity);
};

/* A fresh host with a card that speaks NVSP up to `nvsp_version` (0: the newest). */
zx_status_t MUST_CHECK vmbus_host_rig_begin(const struct vmbus_host_rig_ops *ops,
                                            const uint8_t mac[6], uint32_t nvsp_version);
zx_status_t MUST_CHECK vmbus_host_rig_message(uint32_t connection_id, const void *message,
                                              uint32_t bytes);
void vmbus_host_rig_event(uint32_t connection_id);
void vmbus_host_rig_poll(void);

void vmbus_host_rig_rescind(void);
void vmbus_host_rig_link(bool up);
/* From now on breaks rules: one opportunity in `rate`, in an order that `seed` decides. */
void vmbus_host_rig_lie(uint64_t seed, uint32_t rate);
/* The same with one kind of lie; how often it was told. */
void vmbus_host_rig_lie_only(uint64_t seed, uint32_t rate, enum vmbus_host_lie lie);
uint32_t vmbus_host_rig_lies_told(enum vmbus_host_lie lie);

/* What the guest has set, and how it behaved. */
uint32_t vmbus_host_rig_filter(void);
uint32_t vmbus_host_rig_multicast_count(void);
const uint8_t *vmbus_host_rig_multicast(uint32_t index);
struct vmbus_host_rig_heard {
        uint32_t ndis_major, ndis_minor, capabilities;
        uint32_t halts, revokes;
        uint32_t buffers_out; /* receive buffers that the guest has not given back */
};
struct vmbus_host_rig_heard vmbus_host_rig_heard(void);
uint64_t vmbus_host_rig_faults(void);    /* rules that the guest broke */
uint64_t vmbus_host_rig_shortages(void); /* times that no receive buffer was free */

#endif
